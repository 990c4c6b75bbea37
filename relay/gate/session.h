/* session.h - who is connected: from an authenticated transport key to its latest connection.
 *
 * A session belongs to one key. Its number names it to the ledger and changes with the connection, so an answer meant
 * for an earlier connection finds nobody. A connection that ends leaves its session behind without a route, so that the
 * key's rate outlives it, until SESSION_IDLE_MS later, or until the table is full.
 *
 * Invariants (sessions_check):
 *   1. every session is in exactly one of the two lists, connected (it has a route) or parted (it has none)
 *   2. the connected stand in the order of `seen_ms`, the parted in the order in which they parted
 *   3. one session a key, one a number
 *   4. only the connected have an fd, and no two the same one
 *   5. only the connected have unsent frames; all their bytes together are sessions_unsent
 *
 * Not thread safe: the network thread's. No clock: times are given, monotonic, in milliseconds. */
#ifndef SESSION_H
#define SESSION_H

#include "admit.h"

enum {
    ROUTE_MAX = 255,
    SESSION_IDLE_MS = 10 * 60 * 1000,
    UNSENT_ALL_MAX = 512 * 1024 * 1024, /* what all slow readers together may leave */
};

/* A routing id, as ROUTER gives it. */
struct route {
    uint8_t id[ROUTE_MAX];
    size_t n; /* 0: none */
};

/* A frame that the connection has not taken yet. */
struct unsent {
    struct unsent *next;
    size_t n;
    uint8_t bytes[];
};

struct session {
    uint64_t number;
    uint8_t transport[KEY_SIZE];
    struct route route;
    int fd; /* -1: none */
    struct bucket bucket;
    uint64_t seen_ms;
    uint64_t evict_ms; /* 0: not to be put out */
    unsigned waiting;  /* its messages that the workers have */
    struct unsent *unsent_first, *unsent_last;
    size_t unsent_bytes;
    uint64_t stuck_ms; /* when the connection last took something, while there is something unsent */

    struct session *list_before, *list_after, *key_next, *number_next, *fd_next; /* session.c's own */
};

struct sessions;

/* max: how many may be remembered. first_number: from which on they are numbered. NULL when memory ran out. */
struct sessions *sessions_new(size_t max, uint64_t first_number);
void sessions_free(struct sessions *sessions);

/* A message of this key came over this connection. When the key was connected otherwise until now, *ret_older is the
 * route that it lost (else n = 0). E_BUSY: the table is full of connected peers. E_NO_MEMORY. */
CHECKED enum error sessions_arrive(struct sessions *sessions, const uint8_t transport[static KEY_SIZE],
                                   const struct route *route, int fd, uint64_t now_ms, struct session **ret,
                                   struct route *ret_older);
/* NULL when there is none. */
struct session *sessions_by_key(const struct sessions *sessions, const uint8_t transport[static KEY_SIZE]);
struct session *sessions_by_number(const struct sessions *sessions, uint64_t number);

/* The connection ended, or is to be treated so. */
void sessions_part(struct sessions *sessions, struct session *session);
void sessions_part_fd(struct sessions *sessions, int fd);

/* Keeps a copy of a frame until the connection takes it: E_BUSY when this would be more than `max` bytes of this
 * session, or too much of all of them. sessions_sent drops the oldest, because it has gone. */
CHECKED enum error sessions_keep(struct sessions *sessions, struct session *session, struct bytes frame, size_t max,
                                 uint64_t now_ms);
void sessions_sent(struct sessions *sessions, struct session *session, uint64_t now_ms);
size_t sessions_unsent(const struct sessions *sessions);

/* Forgets who parted and has been idle for SESSION_IDLE_MS. */
void sessions_sweep(struct sessions *sessions, uint64_t now_ms);

/* The connected ones, longest silent first: begin with NULL; NULL at the end. */
struct session *sessions_next(const struct sessions *sessions, const struct session *after);
size_t sessions_count(const struct sessions *sessions);

void sessions_check(const struct sessions *sessions);

#endif
