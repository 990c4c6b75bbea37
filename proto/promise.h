/* promise.h - the relay's signed word that directory statements stand in the log.
 *
 * Whoever brings statements to the directory (ENROL, DECLARE) gets it in the answer: the object `promise`, stamped under label
 * PROMISE by the relay's statement key. It names the statements by their hashes (stamp_hash of the payload), and the size and
 * root of the directory with them in it. Every head made after the deadline must have at least that size, and that root there:
 * a head that has not is a proof of fraud together with the promise (fraud.h). */
#ifndef PROMISE_H
#define PROMISE_H

#include "objects.h"

/* E_BAD_SIGNATURE, E_BAD_PROOF, decoding errors; E_OUT_OF_RANGE: a deadline before the promise. Views into `stamped`. */
CHECKED enum error promise_open(struct bytes stamped, const uint8_t relay_key[static KEY_SIZE], struct promise *ret);

/* Is the statement with this payload among them? */
bool promise_names(const struct promise *promise, struct bytes payload);

/* statements: as they were brought (`dirstatement`), each stamped. Appends the stamped promise. */
CHECKED enum error promise_make(struct list statements, uint64_t size, const uint8_t root[static HASH_SIZE],
                                struct instant time, const uint8_t secret[static SIGN_SECRET_SIZE], struct buf *out);

#endif
