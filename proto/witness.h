/* witness.h - what a witness is asked, and what it answers: C2SP tlog-witness, add-checkpoint, as text.
 *
 *     old 20                                  the size that the witness cosigned last
 *     PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=    consistency proof from there: at most 63 hashes, from the bottom
 *     ...
 *                                             one empty line
 *     relay.example/directory                 the checkpoint, a signed note
 *     ...
 *
 * It may come over HTTP, by the relay's own link (GETCHECKPOINT, COSIGN) or as a file. The witness answers with its signature
 * lines, or with why not. A witness that has nothing yet is asked with `old 0` and no hashes.
 *
 * Legal order: witness_request_parse, witness_judge; then the witness writes the verdict down so that it survives a crash, and
 * only then makes its signature (note_sign with its own key and the time of its own clock) and gives it away: else it could
 * cosign two heads that are not of one log. */
#ifndef WITNESS_H
#define WITNESS_H

#include "merkle.h"
#include "note.h"

enum { WITNESS_PROOF_MAX = 63 }; /* hashes */

struct witness_request {
    uint64_t old;
    uint8_t proof[WITNESS_PROOF_MAX * HASH_SIZE];
    size_t proof_count;
    struct bytes bytes; /* of the note; a view */
    struct note note;
};

/* E_OUT_OF_RANGE (too long, too many hashes, a number too large), E_MALFORMED, and note_parse's errors. */
CHECKED enum error witness_request_parse(struct bytes body, struct witness_request *ret);
/* proof: hashes, concatenated; at most WITNESS_PROOF_MAX. */
void witness_request_format(uint64_t old, struct bytes proof, struct bytes note, struct buf *out);

/* What a witness knows of a log. */
struct witness_log {
    struct note_key key; /* its name is the log's origin */
    bool timed;          /* its heads say when they were made (head.h); judged against the witness's clock */
    uint64_t size;       /* of the head cosigned last; 0: none yet */
    uint8_t root[HASH_SIZE];
};
struct witness_verdict { /* to be remembered */
    uint64_t size;
    uint8_t root[HASH_SIZE];
};

/* May this head be cosigned? In this order, with the answer that tlog-witness gives over HTTP:
 *   E_MISMATCH         (404) another log's
 *   E_BAD_SIGNATURE    (403) the log has not signed it
 *   E_MALFORMED        (400) no checkpoint; a proof where there is nothing to prove
 *   E_OUT_OF_RANGE     (400) `old` is larger than the head
 *   E_CONFLICT         (409) `old` is not what this witness cosigned last: ask again from log->size
 *   E_DIRECTORY_FORKED (409) same size, other root. The log's signature is under both
 *   E_BAD_PROOF        (422) the head does not continue what was cosigned. The log's signature is under it
 *   E_HEAD_TIME        its time is more than HEAD_TIME_MS from `now`, the witness's clock */
CHECKED enum error witness_judge(const struct witness_log *log, const struct witness_request *request,
                                 struct instant now, struct witness_verdict *ret);

/* A witness's answer put under the head that it was asked about: whole note out of the head's note and signature lines, each
 * beginning with a dash. An answer that is a whole note already is taken as it is. Appends; what it holds is for note_verify to
 * say. E_MALFORMED: neither. */
CHECKED enum error witness_join(struct bytes note, struct bytes answer, struct buf *out);

#endif
