/* keystore.h - a home's secret keys, in one sealed file.
 *
 * Layout of `keys`: CBOR {1: "pouch keys 0", 2: method (0 none, 1 Argon2id), 3: salt, 4: opslimit, 5: memlimit, 6: nonce,
 * 7: XChaCha20-Poly1305 of the CBOR map of secrets, associated data = fields 1-5}. Argon2id key derivation with libsodium's
 * MODERATE limits; method 0 (`--no-passphrase`) uses an all-zero key and says so in the file. Written to a temporary name,
 * synced, renamed. Secrets live in struct secret only. */
#ifndef KEYSTORE_H
#define KEYSTORE_H

#include "failure.h"
#include "limits.h"
#include "secret.h"

struct keystore {                 /* an absent key has p == NULL */
    struct secret authority;      /* Ed25519, 64: the party's; in an authority home only */
    struct secret authority_next; /* Ed25519, 64: its pre-committed successor */
    struct secret recovery;       /* Ed25519, 64: only in the separately sealed recovery key file */
    struct secret post;           /* Ed25519, 64: only in the separately sealed post key file */
    struct secret device;         /* Ed25519, 64 */
    struct secret transport;      /* X25519, 32: CURVE */
    struct secret archive;        /* 32: seals the local store */
    struct secret witness;        /* Ed25519, 64: only in a witness's folder (cosigner.h) */
};

void keystore_free(struct keystore *keystore);
/* passphrase NULL: none. E_HOME_EXISTS when the file is there. */
CHECKED enum error keystore_create(const char *path, const struct keystore *keystore, const char *passphrase,
                                   struct failure *failure);
/* Reads whether a pass-phrase is needed. */
CHECKED enum error keystore_is_sealed(const char *path, bool *ret, struct failure *failure);
CHECKED enum error keystore_open(const char *path, const char *passphrase, struct keystore *ret,
                                 struct failure *failure);

#endif
