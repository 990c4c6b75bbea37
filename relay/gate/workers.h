/* workers.h - the threads that verify, and the queue before and behind them.
 *
 * Work is given and taken by one thread, the network's. It comes out in the order in which it went in, whichever thread
 * was quicker, so that messages of one device reach the ledger in the order in which they were sent. The queue is
 * bounded in count and bytes; a full one refuses the new. workers_fd is readable when a thread is done with the oldest work;
 * what is light (verify.h) is done at once, by the giver, who therefore looks for it after giving. */
#ifndef WORKERS_H
#define WORKERS_H

#include "snapshot.h"
#include "verify.h"

enum { WORKERS_QUEUE_MAX = 4096, WORKERS_BYTES_MAX = 64 * 1024 * 1024 };

struct work {
    /* the giver's */
    uint64_t session, number;
    uint8_t transport[KEY_SIZE];
    const struct message_row *row;
    struct snapshot *snapshot;             /* held */
    const struct directory_device *device; /* of the snapshot, or NULL */
    struct instant time;
    struct buf frame;  /* owned */
    struct bytes body; /* within frame */
    /* the worker's */
    enum error error;
    char detail[VERIFY_DETAIL];
    /* the queue's */
    struct work *next;
    bool done;
};

struct workers;

void work_free(struct work **work);

/* NULL when threads or memory are not to be had. */
struct workers *workers_start(unsigned count);
/* Finishes what is being verified and forgets the rest. */
void workers_stop(struct workers **workers);

int workers_fd(const struct workers *workers);
/* Takes *work over and nulls it; or E_BUSY, and it stays the caller's. */
CHECKED enum error workers_put(struct workers *workers, struct work **work);
/* The oldest work, when it is done; else NULL, and workers_fd is quiet until it is. */
struct work *workers_take(struct workers *workers);

#endif
