/* stamp.h - one signature over 1..n payloads of one kind.
 *
 * The payloads' RFC 6962 leaf hashes form a tree; the object `batch` {size, root} is signed as a COSE_Sign1 with detached
 * payload under the kind's label; each payload travels as `stamped` {payload, index, size, path, signature}. With n = 1 the
 * path is empty. Every signed thing in Pouch - header, wrap set, statement, record, certificate, prekey - is a stamped
 * object, so a thousand wrap sets or a day's receipts cost one signature.
 *
 * The hash of a payload (stamp_hash) is its RFC 6962 leaf hash; it names statements, certificates and prekeys. */
#ifndef STAMP_H
#define STAMP_H

#include "label.h"
#include "objects.h"

/* Signs n payloads; ret[i] receives the stamped object of payload i (appended). 1 <= n <= STAMP_MAX. */
CHECKED enum error stamp_sign(enum label label, const uint8_t secret[static SIGN_SECRET_SIZE],
                              const struct bytes *payloads, size_t n, struct buf *ret);
/* For one payload. */
CHECKED enum error stamp_sign_one(enum label label, const uint8_t secret[static SIGN_SECRET_SIZE], struct bytes payload,
                                  struct buf *ret);

/* The payload without any check but decoding: to learn who claims to have signed. */
CHECKED enum error stamp_peek(struct bytes stamped, struct bytes *ret_payload);

/* Path and signature hold under this key: E_BAD_PROOF, E_BAD_SIGNATURE, decoding errors. ret_payload may be NULL. */
CHECKED enum error stamp_verify(enum label label, const uint8_t key[static KEY_SIZE], struct bytes stamped,
                                struct bytes *ret_payload);

void stamp_hash(struct bytes payload, uint8_t ret[static HASH_SIZE]);

#endif
