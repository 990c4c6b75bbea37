/* sign.h - COSE_Sign1 (RFC 9052 section 4.2) with Ed25519, algorithm -19 (RFC 9864).
 *
 * Pouch's own objects use the narrow form that sign1_sign makes: tag 18, protected header {1: -19} only, empty
 * unprotected header, detached payload, external_aad = the label's text. sign1_verify accepts what the published vectors
 * ask of a verifier: also attached payloads and a `kid` (4) in either header; sign1_is_narrow tells the narrow form.
 *
 * A public key is accepted only if crypto_core_ed25519_is_valid_point agrees (mixed-order keys verify in libsodium
 * 1.0.18): sign_key_valid, to be called for every key when it first enters the directory or a card. */
#ifndef SIGN_H
#define SIGN_H

#include "limits.h"
#include "own.h"

/* Appends a narrow COSE_Sign1 over the detached payload. secret: libsodium's 64-byte form. */
void sign1_sign(const uint8_t secret[static SIGN_SECRET_SIZE], struct bytes external_aad, struct bytes payload,
                struct buf *out);

/* Verifies. `detached` is used where the structure's payload is null, and must be empty (p == NULL) otherwise.
 * E_BAD_SIGNATURE; E_BAD_KEY when the signature fails and the key itself is at fault; or the reason why the bytes are no
 * allowed COSE_Sign1 (another algorithm: E_UNKNOWN_SUITE). ret_payload may be NULL. */
CHECKED enum error sign1_verify(const uint8_t key[static KEY_SIZE], struct bytes external_aad, struct bytes sign1,
                                struct bytes detached, struct bytes *ret_payload);

bool sign1_is_narrow(struct bytes sign1);

bool sign_key_valid(const uint8_t key[static KEY_SIZE]);

/* libsodium is initialised, and it refuses a mixed-order key: to be called once at start. E_INTERNAL otherwise. */
CHECKED enum error sign_self_test(void);

#endif
