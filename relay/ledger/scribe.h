/* scribe.h - the relay's pen: entries and records of one batch, signed together at its end.
 *
 * During the batch every statement that is kept gets a pending receipt with its final number, ordinal, index and hash; only the
 * signatures are missing. scribe_sign makes them all with two signatures (the relay's own statements, then all records), puts
 * the receipts into the store, and makes them readable by scribe_receipt until the next scribe_begin. Receipts of entries lack
 * their proofs then, which proofs_write adds. */
#ifndef SCRIBE_H
#define SCRIBE_H

#include "evidence.h"
#include "store.h"

struct scribe_pending {
    int64_t id, leg, ordinal, index;           /* ordinal and index: -1 without entry */
    uint8_t hash[HASH_SIZE], entry[HASH_SIZE]; /* of the statement; of the entry */
    bool kept;                                 /* in the store; refusals are not */
    bool own;                                  /* the relay's own statement, not signed yet */
    struct buf statement;                      /* own: payload; else the stamped statement */
    struct buf record, receipt;
    int same_hash, same_entry; /* the one before it in the same bucket, or -1 */
};

struct scribe {
    struct scribe_pending *pending;
    size_t count, cap;
    int *by_hash, *by_entry;      /* cap buckets each: the newest pending in it, or -1 */
    uint8_t bucket_key[KEY_SIZE]; /* peers choose the statements, so what falls into one bucket is not theirs to say */
    int64_t next_id;
    uint64_t next_index, directory_size;
};

/* Reads where the store stands. */
CHECKED enum error scribe_begin(struct scribe *scribe, struct store *store, uint64_t directory_size);
void scribe_free(struct scribe *scribe);

/* What is to be written down: a device's stamped statement, or the payload of the relay's own. */
struct scribe_note {
    bool own;
    struct bytes statement;
    uint8_t hash[HASH_SIZE];
    struct instant now;
};
/* An entry: moves *leg to `to` (state, furthest, ordinal, head); the caller stores the leg. ret: the pending's number. */
CHECKED enum error scribe_entry(struct scribe *scribe, const struct scribe_note *note, struct store_leg *leg,
                                enum leg_state to, int *ret);
/* A record without entry: a device receipt. */
CHECKED enum error scribe_record(struct scribe *scribe, const struct scribe_note *note, int64_t leg, int *ret);
/* A record of a refusal: signed and given, but not kept, so that a flood of bad submissions fills no disk. */
CHECKED enum error scribe_refusal(struct scribe *scribe, const struct scribe_note *note, int *ret);

/* The pending with this statement hash, or -1. */
int scribe_find(const struct scribe *scribe, const uint8_t hash[static HASH_SIZE]);
/* The pending entry with this ordinal of this leg, or -1. */
int scribe_find_entry(const struct scribe *scribe, int64_t leg, int64_t ordinal);
int64_t scribe_id(const struct scribe *scribe, int pending);

uint64_t scribe_entries(const struct scribe *scribe); /* how many of the pending are entries */

CHECKED enum error scribe_sign(struct scribe *scribe, struct store *store,
                               const uint8_t secret[static SIGN_SECRET_SIZE]);
struct bytes scribe_receipt(const struct scribe *scribe, int pending);

/* The payload of a statement that the relay makes itself. */
struct scribe_words {
    enum leg_event event;
    const uint8_t *header, *leg, *key; /* leg may be NULL */
    struct instant now;
    const uint64_t *reason; /* may be NULL */
    uint64_t grace_s;       /* 0: none */
};
CHECKED enum error scribe_own(const struct scribe_words *words, struct buf *ret_payload,
                              uint8_t ret_hash[static HASH_SIZE]);

#endif
