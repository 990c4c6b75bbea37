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

/* Signatures that held a moment ago. Payloads of one batch share theirs, so who verifies many at once checks it once. Begin
 * with zeros; keep it for one message. Only what held is remembered. */
enum { STAMP_CACHE_MAX = 8 };
struct stamp_cache {
    struct stamp_checked {
        uint64_t label, size;
        uint8_t key[KEY_SIZE], root[HASH_SIZE], signature[SIGNATURE_MAX];
    } checked[STAMP_CACHE_MAX];
    size_t count, next;
};
/* As stamp_verify. */
CHECKED enum error stamp_verify_cached(enum label label, const uint8_t key[static KEY_SIZE], struct bytes stamped,
                                       struct stamp_cache *cache, struct bytes *ret_payload);

void stamp_hash(struct bytes payload, uint8_t ret[static HASH_SIZE]);

#endif
