/* hpke.h - HPKE (RFC 9180), base and psk mode, single suite: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001,
 * ChaCha20-Poly1305 0x0003; and the HKDF-SHA256 (RFC 5869) beneath, which libsodium 1.0.18 lacks. */
#ifndef HPKE_H
#define HPKE_H

#include "../limits.h"
#include "../own.h"

enum { HPKE_ENC_SIZE = 32, HPKE_AEAD_KEY_SIZE = 32, HPKE_NONCE_SIZE = 12, HPKE_EXPORTER_SIZE = 32 };
enum hpke_mode { HPKE_BASE = 0, HPKE_PSK = 1 };

void hkdf_extract(struct bytes salt, struct bytes ikm, uint8_t ret[static HASH_SIZE]);
CHECKED enum error hkdf_expand(const uint8_t prk[static HASH_SIZE], struct bytes info, uint8_t *ret, size_t n);

struct hpke_psk { /* both empty in base mode; psk at least 32 bytes otherwise (RFC 9180 section 5.1.2) */
    struct bytes psk, id;
};

struct hpke_context {
    uint8_t key[HPKE_AEAD_KEY_SIZE], base_nonce[HPKE_NONCE_SIZE], exporter[HPKE_EXPORTER_SIZE];
    uint64_t sequence;
};
void hpke_context_wipe(struct hpke_context *context);

/* DeriveKeyPair (section 7.1.3) and a fresh pair. */
CHECKED enum error hpke_derive_pair(struct bytes ikm, uint8_t ret_secret[static KEY_SIZE],
                                    uint8_t ret_public[static KEY_SIZE]);
CHECKED enum error hpke_generate_pair(uint8_t ret_secret[static KEY_SIZE], uint8_t ret_public[static KEY_SIZE]);

/* SetupBaseS / SetupPSKS. `ephemeral` NULL: fresh; else the secret to use (vectors only). E_BAD_KEY. */
CHECKED enum error hpke_setup_sender(const uint8_t receiver[static KEY_SIZE], struct bytes info,
                                     const struct hpke_psk *psk, const uint8_t *ephemeral,
                                     uint8_t ret_enc[static HPKE_ENC_SIZE], struct hpke_context *ret);
CHECKED enum error hpke_setup_receiver(struct bytes enc, const uint8_t secret[static KEY_SIZE], struct bytes info,
                                       const struct hpke_psk *psk, struct hpke_context *ret);

CHECKED enum error hpke_seal(struct hpke_context *context, struct bytes aad, struct bytes plain, struct buf *out);
CHECKED enum error hpke_open(struct hpke_context *context, struct bytes aad, struct bytes cipher,
                             struct buf *out); /* E_CANNOT_OPEN */
CHECKED enum error hpke_export(const struct hpke_context *context, struct bytes label, uint8_t *ret, size_t n);

#endif
