/* store.h - what the ledger remembers, as a table of functions. sqlite.c is the embedded store; others can follow, and the
 * same tests run on all.
 *
 * Contract
 *   One ledger, one thread, one store. Everything between begin and commit becomes durable together at commit, or not at all.
 *   After commit returned E_OK it survives power loss. E_STORE_FULL: nothing of the transaction stays, rollback and go on.
 *   Any other error of commit has an unknown outcome: the caller ends the process without answering anybody.
 *   Reads inside a transaction see its writes. "Not there" is E_UNKNOWN_REQUEST and is no failure of the store.
 *   Outputs are untouched on failure; struct buf outputs are appended to.
 *
 * Rows
 *   leaf      directory statement at its index, and the tree's root once it is in
 *   request   one header; `staged` while chunks are missing, then `stored`. kept: the `submit` object without chunks and
 *             without the legs' wrap sets; waiting: the `submit` object as sent, while staged
 *   chunk     (request, part, index) -> ciphertext
 *   leg       one recipient of a stored request; the only row that changes
 *   receipt   statement + record by number, by (leg, statement hash), and by (leg, ordinal) where it is an entry
 *   feed      per post, numbered from 1 without gaps: what its devices have to fetch
 *   prekey    (device, day) -> stamped prekey
 *   tile      (log, level, index) -> up to 256 hashes of the log's tree, one after the other
 *   head      a signed head of a log with its cosignatures: the newest, and each witness's newest
 *   box       numbered items under a 32-byte name, until fetched or swept
 *   sheet     (post, commitment) -> sealed part of a contact card; sheetwrap: (commitment, device) -> its key
 *   quota     counters by key */
#ifndef STORE_H
#define STORE_H

#include "objects.h"

struct store;

enum { CONFLICTS_MAX = 8 };
enum store_side { SIDE_SENDER, SIDE_RECIPIENT };

/* store_leg.body: the recipient may yet ask for it; above: until then (served time) for devices that lack it; no more. */
enum { BODY_WANTED = 0, BODY_DONE = -1 };

struct store_request {
    int64_t id;
    uint8_t digest[HASH_SIZE], device[KEY_SIZE], request[REQUEST_ID_SIZE];
    char from[POST_MAX + 1];
    bool exercise, stored;
    struct instant at; /* staged or stored */
    uint64_t bytes;    /* of both parts, as counted in the quota */
    uint64_t released; /* of these, not counted any more: the body was erased before the offer */
};

struct store_leg {
    int64_t id, request;
    uint8_t leg[HASH_SIZE], device[KEY_SIZE];  /* the sender's device */
    char from[POST_MAX + 1], to[POST_MAX + 1]; /* to: the post that it is with now */
    uint64_t sequence, keep_s;
    uint32_t position, ordinal, generation; /* ordinal: of the next entry */
    unsigned kind, state, furthest;         /* enum leg_kind, enum leg_state; furthest rung reached */
    bool exercise, needs_rekey;             /* needs_rekey: no live device can open it; a new wrap set clears it */
    uint8_t head[HASH_SIZE];                /* hash of the last entry, or the leg id */
    struct instant expires;                 /* decisive deadline, in served time (outage.c) */
    uint64_t outages_ms;                    /* all outages of the ledger, when that was set */
    int64_t body;                           /* BODY_WANTED, BODY_DONE, or until when it is kept */
    uint32_t notes[2];                      /* device receipts of each side (enum store_side) */
    int64_t parent;                         /* a reply: row of the leg it belongs to; else 0 */
};

struct store_feed {
    uint64_t number;
    enum item_kind kind;
    int64_t request, leg, receipt; /* 0: none */
};

struct store_counts {
    uint64_t requests, staged, legs, legs_open, entries, receipts, bytes;
};

struct store_ops {
    void (*close)(struct store *store);
    enum error (*begin)(struct store *store);
    enum error (*commit)(struct store *store);
    void (*rollback)(struct store *store);
    /* Around many reads outside a transaction: they see one moment, and cost less than each by itself. */
    enum error (*view_begin)(struct store *store);
    enum error (*view_end)(struct store *store);
    /* Between transactions: brings what is durable already to its final place, in small helpings, so that no commit ever has to.
     * Changes nothing that can be read. E_STORE_FULL: later, perhaps. */
    enum error (*settle)(struct store *store);

    enum error (*meta_get)(struct store *store, const char *key, uint64_t *ret); /* 0 when never put */
    enum error (*meta_put)(struct store *store, const char *key, uint64_t value);

    enum error (*leaf_add)(struct store *store, uint64_t index, struct bytes leaf, const uint8_t *root);
    enum error (*leaf_get)(struct store *store, uint64_t index, struct buf *ret);
    /* The directory's root when it had `size` leaves, size > 0. */
    enum error (*leaf_root)(struct store *store, uint64_t size, uint8_t *ret);
    enum error (*leaf_count)(struct store *store, uint64_t *ret);

    enum error (*request_add)(struct store *store, const struct store_request *row, struct bytes kept,
                              struct bytes waiting, int64_t *ret_id);
    enum error (*request_by_digest)(struct store *store, const uint8_t *digest, struct store_request *ret);
    enum error (*request_by_name)(struct store *store, const uint8_t *device, const uint8_t *request,
                                  struct store_request *ret);
    enum error (*request_by_row)(struct store *store, int64_t id, struct store_request *ret);
    enum error (*request_kept)(struct store *store, int64_t id, struct buf *ret);
    enum error (*request_waiting)(struct store *store, int64_t id, struct buf *ret);
    enum error (*request_set_waiting)(struct store *store, int64_t id, struct bytes waiting);
    enum error (*request_complete)(struct store *store, int64_t id, struct instant at); /* staged -> stored */
    /* stored -> staged: its content was erased and more legs follow, so the chunks are needed once more. */
    enum error (*request_restage)(struct store *store, int64_t id, struct instant at);
    enum error (*request_release)(struct store *store, int64_t id, uint64_t released);
    enum error (*request_drop)(struct store *store, int64_t id); /* staged only, with its chunks */
    /* A staged request older than `before`, or E_UNKNOWN_REQUEST. */
    enum error (*request_stale)(struct store *store, struct instant before, struct store_request *ret);

    /* Another header under the same (device, request id): kept as proof, at most CONFLICTS_MAX for one request. */
    enum error (*conflict_add)(struct store *store, int64_t request, const uint8_t *digest, struct bytes header);

    enum error (*chunk_put)(struct store *store, int64_t request, unsigned part, uint32_t index, struct bytes data);
    enum error (*chunk_get)(struct store *store, int64_t request, unsigned part, uint32_t index, struct buf *ret);
    /* The first index below `count` that is missing, or count. */
    enum error (*chunk_missing)(struct store *store, int64_t request, unsigned part, uint32_t count, uint32_t *ret);
    enum error (*chunk_erase)(struct store *store, int64_t request, unsigned part);

    enum error (*leg_add)(struct store *store, const struct store_leg *row, struct bytes opening, struct bytes wrapset,
                          int64_t *ret_id);
    enum error (*leg_by_id)(struct store *store, const uint8_t *leg, struct store_leg *ret);
    enum error (*leg_by_row)(struct store *store, int64_t id, struct store_leg *ret);
    enum error (*leg_sealed)(struct store *store, int64_t id, struct buf *ret_opening, struct buf *ret_wrapset);
    /* state, furthest, ordinal, head, expires, needs_rekey, outages_ms, body, notes, and the post that it is with */
    enum error (*leg_update)(struct store *store, const struct store_leg *row);
    enum error (*leg_reseal)(struct store *store, int64_t id, uint32_t generation, struct bytes wrapset);
    /* Is this number taken for (device, recipient post)? */
    enum error (*leg_sequence_used)(struct store *store, const uint8_t *device, const char *to, uint64_t sequence,
                                    bool *ret);
    /* The nth leg (from 0) of a request, or E_UNKNOWN_REQUEST. */
    enum error (*leg_nth)(struct store *store, int64_t request, unsigned n, struct store_leg *ret);
    /* A leg, not terminal, whose deadline lies before `served`, earliest first; or E_UNKNOWN_REQUEST. */
    enum error (*leg_due)(struct store *store, struct instant served, struct store_leg *ret);
    /* The same of the time for which its body is kept. */
    enum error (*leg_body_due)(struct store *store, struct instant served, struct store_leg *ret);
    /* How many legs of the request are not terminal, and how many of these have use for its body. */
    enum error (*legs_open)(struct store *store, int64_t request, uint64_t *ret, uint64_t *ret_body);

    enum error (*receipt_next)(struct store *store, int64_t *ret_id); /* the number after the last one stored */
    enum error (*receipt_put)(struct store *store, int64_t id, const uint8_t *hash, int64_t leg, int64_t ordinal,
                              int64_t index, struct bytes receipt); /* ordinal and index -1: no entry */
    enum error (*receipt_by_hash)(struct store *store, int64_t leg, const uint8_t *hash, struct buf *ret);
    enum error (*receipt_get)(struct store *store, int64_t id, struct buf *ret);
    enum error (*receipt_of)(struct store *store, int64_t leg, uint32_t ordinal, struct buf *ret);
    enum error (*receipt_at)(struct store *store, uint64_t index, struct buf *ret); /* of the entry at this index */
    /* The same receipt with its proof, in the transaction that put it. */
    enum error (*receipt_prove)(struct store *store, uint64_t index, struct bytes receipt);
    enum error (*entry_count)(struct store *store, uint64_t *ret);

    /* Nodes of a log's tree: tile_get is E_UNKNOWN_REQUEST where there is none (tiles.h). */
    enum error (*tile_put)(struct store *store, unsigned log, unsigned level, uint64_t index, struct bytes hashes);
    enum error (*tile_get)(struct store *store, unsigned log, unsigned level, uint64_t index, struct buf *ret);

    enum error (*feed_add)(struct store *store, const char *post, const struct store_feed *item, uint64_t *ret_number);
    enum error (*feed_newest)(struct store *store, const char *post, uint64_t *ret);
    /* The first item numbered above `after`, or E_UNKNOWN_REQUEST. */
    enum error (*feed_next)(struct store *store, const char *post, uint64_t after, struct store_feed *ret);

    enum error (*prekey_put)(struct store *store, const uint8_t *device, uint32_t day,
                             struct bytes stamped); /* E_CONFLICT */
    enum error (*prekey_newest)(struct store *store, const uint8_t *device, uint32_t day, struct buf *ret);
    enum error (*prekey_drop)(struct store *store, uint32_t before_day);

    /* Another key for the same day, from a device that has lost its secrets. */
    enum error (*prekey_replace)(struct store *store, const uint8_t *device, uint32_t day, struct bytes stamped);

    /* Directory heads: the note of the newest, and of each witness the newest that it has cosigned. who: "" for the newest,
     * else the witness's name. */
    enum error (*head_put)(struct store *store, const char *who, uint64_t size, struct bytes note);
    enum error (*heads_drop)(struct store *store); /* all of them */
    enum error (*head_get)(struct store *store, const char *who, uint64_t *ret_size,
                           struct buf *ret_note); /* E_UNKNOWN_REQUEST */

    /* Boxes: numbered items, oldest first. A box's numbers rise, with gaps, and none comes back after it was dropped.
     * guest: anybody may put it, so all of them together are counted and bounded. box_next: the first item numbered above
     * `after`, or E_UNKNOWN_REQUEST. box_sweep drops what has expired before `now`. */
    enum error (*box_add)(struct store *store, const uint8_t *box, bool guest, struct instant expires,
                          struct bytes data);
    enum error (*box_next)(struct store *store, const uint8_t *box, uint64_t after, uint64_t *ret_number,
                           struct buf *ret);
    enum error (*box_count)(struct store *store, const uint8_t *box, uint64_t *ret);
    enum error (*box_total)(struct store *store, bool guest, uint64_t *ret); /* items in all boxes of that kind */
    enum error (*box_drop)(struct store *store, const uint8_t *box, uint64_t upto);
    enum error (*box_sweep)(struct store *store, struct instant now);

    /* Contact cards: the sealed sheets of a post; the wraps beside them, one a device and sheet. A commitment belongs to the
     * first post that puts it (E_CONFLICT for another). What is erased is overwritten, and gone from the file and its journal once
     * the transaction is committed. */
    enum error (*sheet_put)(struct store *store, const char *post, const uint8_t *commitment, unsigned audience,
                            struct bytes data);
    /* The nth sheet (from 0) of a post, or E_UNKNOWN_REQUEST. */
    enum error (*sheet_nth)(struct store *store, const char *post, unsigned n, uint8_t *ret_commitment,
                            unsigned *ret_audience, struct buf *ret_data);
    enum error (*sheets_erase)(struct store *store, const char *post); /* with their wraps */
    enum error (*sheetwrap_put)(struct store *store, const uint8_t *commitment, const uint8_t *device,
                                struct bytes wrap);
    enum error (*sheetwrap_get)(struct store *store, const uint8_t *commitment, const uint8_t *device,
                                struct buf *ret); /* E_UNKNOWN_REQUEST */

    /* Legs, not terminal, that are with a post now: the first with a row above `after`, or E_UNKNOWN_REQUEST. */
    enum error (*leg_open_at)(struct store *store, const char *post, int64_t after, struct store_leg *ret);

    enum error (*quota_get)(struct store *store, const char *key, uint64_t *ret);
    enum error (*quota_add)(struct store *store, const char *key, int64_t change);
    enum error (*quota_drop)(struct store *store, const char *prefix); /* all counters whose keys begin so */

    enum error (*counts)(struct store *store, struct store_counts *ret);
};

struct store {
    const struct store_ops *ops;
};

/* Opens, or with `create` makes (mode 0600), the embedded store: SQLite, WAL, synchronous FULL, one connection. An older
 * version's store is upgraded in one transaction. E_IO, E_CORRUPT (not a store, damaged, or of a newer version), E_STORE_FULL. */
CHECKED enum error store_sqlite_open(const char *path, bool create, struct store **ret);

#endif
