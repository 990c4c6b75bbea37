/* head.h - the signed heads of the relay's logs: C2SP checkpoint notes (note.h) whose origin is the name of the card's log key
 * (card_log_key of "directory" or "evidence") and whose only extension line is the ledger's time:
 *
 *     relay.example/directory
 *     42
 *     3bib5AOAnjJXUNPSY814kpwp...=
 *     time 1767225600000            milliseconds since 1970, when the head was made
 *
 *     — relay.example/directory ...  the log's signature
 *     — witness.example ...          cosignatures
 */
#ifndef HEAD_H
#define HEAD_H

#include "card.h"

struct head {
    uint64_t size;
    uint8_t root[HASH_SIZE];
    struct instant time;
    struct note_signed words[WITNESSES_MAX]; /* of the card's witnesses, in the card's order */
};

/* `directory` or `evidence`: the last part of its origin. */
const char *head_log_name(enum relay_log log);
/* The key under which the card's log signs that log's heads; its name is their origin. */
CHECKED enum error head_key(const struct card *card, enum relay_log log, struct note_key *ret);

/* The log has signed it (E_BAD_SIGNATURE), it is of this log (E_MISMATCH), it has its time (E_MALFORMED), and no
 * signature under a key of the card fails (E_BAD_SIGNATURE). */
CHECKED enum error head_open_log(const struct card *card, enum relay_log log, struct bytes note, struct head *ret);
CHECKED enum error head_open(const struct card *card, struct bytes note, struct head *ret); /* the directory's */

/* The time in a checkpoint's extension lines, if they are a head's: E_MALFORMED, E_OUT_OF_RANGE. */
CHECKED enum error head_time(struct bytes extensions, struct instant *ret);
/* Makes one: appends the note, with the log's signature. `log`, `secret`: the card's log key and its secret half. */
CHECKED enum error head_make(const struct note_key *log, const uint8_t secret[static SIGN_SECRET_SIZE], uint64_t size,
                             const uint8_t root[static HASH_SIZE], struct instant time, struct buf *out);

/* Appends the note with the log's signature alone: what gossip and proofs carry. */
CHECKED enum error head_bare_log(const struct card *card, enum relay_log log, struct bytes note, struct buf *out);
/* By the key that has been worked out once (head_key). */
CHECKED enum error head_bare_key(const struct note_key *key, struct bytes bytes, struct buf *out);
CHECKED enum error head_bare(const struct card *card, struct bytes note, struct buf *out); /* the directory's */

#endif
