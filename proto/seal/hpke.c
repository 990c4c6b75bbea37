/* hpke.c - RFC 9180 over libsodium's X25519, HMAC-SHA256 and ChaCha20-Poly1305. Function and variable names are those
 * of the RFC where it has one; its section stands beside each. Nothing is allocated but what is appended to a caller's
 * buf. */
#include "hpke.h"

#include <assert.h>
#include <sodium.h>

/* Thirty-two secret bytes that are wiped when they go out of scope. */
struct secret32 {
    uint8_t p[32];
};
static void wipe32(struct secret32 *secret) { sodium_memzero(secret, sizeof *secret); }
#define AUTO_WIPE __attribute__((cleanup(wipe32))) struct secret32

static const uint8_t version[] = "HPKE-v1";
static const uint8_t kem_suite[] = {'K', 'E', 'M', 0x00, 0x20};
static const uint8_t hpke_suite[] = {'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x03};

static struct bytes kem_id(void) { return bytes_of(kem_suite, sizeof kem_suite); }
static struct bytes hpke_id(void) { return bytes_of(hpke_suite, sizeof hpke_suite); }
static struct bytes version_id(void) { return bytes_of(version, sizeof version - 1); }

/* ---- HKDF-SHA256, RFC 5869, over inputs in pieces so that labels need no copy ---- */

static void hmac_begin(struct bytes key, crypto_auth_hmacsha256_state *state) {
    static const uint8_t none;
    crypto_auth_hmacsha256_init(state, key.n ? key.p : &none, key.n);
}

static void hmac_add(crypto_auth_hmacsha256_state *state, struct bytes piece) {
    if (piece.n) crypto_auth_hmacsha256_update(state, piece.p, piece.n);
}

static void hmac_end(crypto_auth_hmacsha256_state *state, uint8_t ret[static HASH_SIZE]) {
    crypto_auth_hmacsha256_final(state, ret);
    sodium_memzero(state, sizeof *state);
}

static void extract_pieces(struct bytes salt, const struct bytes *pieces, size_t count, uint8_t ret[static HASH_SIZE]) {
    crypto_auth_hmacsha256_state state;
    hmac_begin(salt, &state);
    for (size_t i = 0; i < count; i++) hmac_add(&state, pieces[i]);
    hmac_end(&state, ret);
}

/* T(i) = HMAC(PRK, T(i-1) || info || i), section 2.3. */
static enum error expand_pieces(const uint8_t prk[static HASH_SIZE], const struct bytes *info, size_t count,
                                uint8_t *ret, size_t n) {
    if (n > 255 * HASH_SIZE) return E_OUT_OF_RANGE;
    AUTO_WIPE block;
    uint8_t number = 0;
    for (size_t done = 0; done < n;) {
        crypto_auth_hmacsha256_state state;
        hmac_begin(bytes_of(prk, HASH_SIZE), &state);
        hmac_add(&state, bytes_of(block.p, number ? HASH_SIZE : 0));
        for (size_t i = 0; i < count; i++) hmac_add(&state, info[i]);
        number++;
        hmac_add(&state, bytes_of(&number, 1));
        hmac_end(&state, block.p);
        size_t more = n - done < HASH_SIZE ? n - done : HASH_SIZE;
        memcpy(ret + done, block.p, more);
        done += more;
    }
    return E_OK;
}

void hkdf_extract(struct bytes salt, struct bytes ikm, uint8_t ret[static HASH_SIZE]) {
    extract_pieces(salt, &ikm, 1, ret);
}

enum error hkdf_expand(const uint8_t prk[static HASH_SIZE], struct bytes info, uint8_t *ret, size_t n) {
    return expand_pieces(prk, &info, 1, ret, n);
}

/* ---- labelled forms, RFC 9180 section 4 ---- */

static void labeled_extract(struct bytes suite, struct bytes salt, const char *label, struct bytes ikm,
                            uint8_t ret[static HASH_SIZE]) {
    struct bytes pieces[] = {version_id(), suite, bytes_text(label), ikm};
    extract_pieces(salt, pieces, LENGTH(pieces), ret);
}

static enum error labeled_expand(struct bytes suite, const uint8_t prk[static HASH_SIZE], const char *label,
                                 struct bytes info, uint8_t *ret, size_t n) {
    if (n > 255 * HASH_SIZE) return E_OUT_OF_RANGE; /* and so it fits two bytes */
    uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    struct bytes pieces[] = {bytes_of(length, sizeof length), version_id(), suite, bytes_text(label), info};
    return expand_pieces(prk, pieces, LENGTH(pieces), ret, n);
}

/* ---- the KEM, section 4.1 and 7.1 ---- */

enum error hpke_derive_pair(struct bytes ikm, uint8_t ret_secret[static KEY_SIZE],
                            uint8_t ret_public[static KEY_SIZE]) {
    AUTO_WIPE dkp_prk;
    AUTO_WIPE secret;
    uint8_t public[KEY_SIZE];
    labeled_extract(kem_id(), (struct bytes){0}, "dkp_prk", ikm, dkp_prk.p);
    TRY(labeled_expand(kem_id(), dkp_prk.p, "sk", (struct bytes){0}, secret.p, KEY_SIZE));
    if (crypto_scalarmult_base(public, secret.p) != 0) return E_BAD_KEY;
    memcpy(ret_secret, secret.p, KEY_SIZE);
    memcpy(ret_public, public, KEY_SIZE);
    return E_OK;
}

enum error hpke_generate_pair(uint8_t ret_secret[static KEY_SIZE], uint8_t ret_public[static KEY_SIZE]) {
    AUTO_WIPE ikm;
    randombytes_buf(ikm.p, sizeof ikm.p);
    return hpke_derive_pair(bytes_of(ikm.p, sizeof ikm.p), ret_secret, ret_public);
}

/* ExtractAndExpand over the Diffie-Hellman output. crypto_scalarmult refuses the all-zero output that section 7.1.4
 * asks to be refused. */
static enum error shared_secret(const uint8_t secret[static KEY_SIZE], const uint8_t public[static KEY_SIZE],
                                const uint8_t enc[static KEY_SIZE], const uint8_t receiver[static KEY_SIZE],
                                uint8_t ret[static HASH_SIZE]) {
    AUTO_WIPE dh;
    AUTO_WIPE eae_prk;
    uint8_t kem_context[2 * KEY_SIZE];
    if (crypto_scalarmult(dh.p, secret, public) != 0) return E_BAD_KEY;
    memcpy(kem_context, enc, KEY_SIZE);
    memcpy(kem_context + KEY_SIZE, receiver, KEY_SIZE);
    labeled_extract(kem_id(), (struct bytes){0}, "eae_prk", bytes_of(dh.p, sizeof dh.p), eae_prk.p);
    return labeled_expand(kem_id(), eae_prk.p, "shared_secret", bytes_of(kem_context, sizeof kem_context), ret,
                          HASH_SIZE);
}

/* ---- key schedule, section 5.1 ---- */

/* VerifyPSKInputs: both or neither; and at least 32 bytes (section 5.1.2). */
static enum error check_psk(const struct hpke_psk *psk) {
    if (psk->psk.n == 0 && psk->id.n == 0) return E_OK;
    return psk->psk.n >= 32 && psk->id.n > 0 ? E_OK : E_BAD_KEY;
}

static enum error key_schedule(const uint8_t shared[static HASH_SIZE], struct bytes info, const struct hpke_psk *psk,
                               struct hpke_context *ret) {
    uint8_t context_bytes[1 + 2 * HASH_SIZE];
    struct bytes context = bytes_of(context_bytes, sizeof context_bytes);
    AUTO_WIPE secret;
    context_bytes[0] = psk->psk.n ? HPKE_PSK : HPKE_BASE;
    labeled_extract(hpke_id(), (struct bytes){0}, "psk_id_hash", psk->id, context_bytes + 1);
    labeled_extract(hpke_id(), (struct bytes){0}, "info_hash", info, context_bytes + 1 + HASH_SIZE);
    labeled_extract(hpke_id(), bytes_of(shared, HASH_SIZE), "secret", psk->psk, secret.p);
    ret->sequence = 0;
    TRY(labeled_expand(hpke_id(), secret.p, "key", context, ret->key, sizeof ret->key));
    TRY(labeled_expand(hpke_id(), secret.p, "base_nonce", context, ret->base_nonce, sizeof ret->base_nonce));
    return labeled_expand(hpke_id(), secret.p, "exp", context, ret->exporter, sizeof ret->exporter);
}

void hpke_context_wipe(struct hpke_context *context) { sodium_memzero(context, sizeof *context); }

/* From the shared secret of both ends to the context. */
static enum error setup(const uint8_t secret[static KEY_SIZE], const uint8_t public[static KEY_SIZE],
                        const uint8_t enc[static KEY_SIZE], const uint8_t receiver[static KEY_SIZE], struct bytes info,
                        const struct hpke_psk *psk, struct hpke_context *ret) {
    static const struct hpke_psk none;
    if (!psk) psk = &none;
    AUTO_WIPE shared;
    TRY(check_psk(psk));
    TRY(shared_secret(secret, public, enc, receiver, shared.p));
    return key_schedule(shared.p, info, psk, ret);
}

enum error hpke_setup_sender(const uint8_t receiver[static KEY_SIZE], struct bytes info, const struct hpke_psk *psk,
                             const uint8_t *ephemeral, uint8_t ret_enc[static HPKE_ENC_SIZE],
                             struct hpke_context *ret) {
    AUTO_WIPE secret;
    uint8_t enc[KEY_SIZE];
    if (ephemeral) {
        memcpy(secret.p, ephemeral, KEY_SIZE);
        if (crypto_scalarmult_base(enc, secret.p) != 0) return E_BAD_KEY;
    } else {
        TRY(hpke_generate_pair(secret.p, enc));
    }
    TRY(setup(secret.p, receiver, enc, receiver, info, psk, ret));
    memcpy(ret_enc, enc, sizeof enc);
    return E_OK;
}

enum error hpke_setup_receiver(struct bytes enc, const uint8_t secret[static KEY_SIZE], struct bytes info,
                               const struct hpke_psk *psk, struct hpke_context *ret) {
    uint8_t receiver[KEY_SIZE];
    if (enc.n != HPKE_ENC_SIZE) return E_BAD_KEY;
    if (crypto_scalarmult_base(receiver, secret) != 0) return E_BAD_KEY;
    return setup(secret, enc.p, enc.p, receiver, info, psk, ret);
}

/* ---- encryption, section 5.2 ---- */

static void compute_nonce(const struct hpke_context *context, uint8_t ret[static HPKE_NONCE_SIZE]) {
    memcpy(ret, context->base_nonce, HPKE_NONCE_SIZE);
    for (unsigned i = 0; i < 8; i++)
        ret[HPKE_NONCE_SIZE - 1 - i] = (uint8_t)(ret[HPKE_NONCE_SIZE - 1 - i] ^ (context->sequence >> (8 * i)));
}

enum error hpke_seal(struct hpke_context *context, struct bytes aad, struct bytes plain, struct buf *out) {
    uint8_t nonce[HPKE_NONCE_SIZE];
    if (context->sequence == UINT64_MAX || plain.n > SIZE_MAX - TAG_SIZE) return E_OUT_OF_RANGE;
    uint8_t *to = buf_extend(out, plain.n + TAG_SIZE);
    if (!to) return E_NO_MEMORY;
    compute_nonce(context, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(to, NULL, plain.p, plain.n, aad.p, aad.n, NULL, nonce, context->key);
    context->sequence++;
    return E_OK;
}

enum error hpke_open(struct hpke_context *context, struct bytes aad, struct bytes cipher, struct buf *out) {
    uint8_t nonce[HPKE_NONCE_SIZE];
    if (context->sequence == UINT64_MAX) return E_OUT_OF_RANGE;
    if (cipher.n < TAG_SIZE) return E_CANNOT_OPEN;
    size_t before = out->n;
    uint8_t *to = buf_extend(out, cipher.n - TAG_SIZE);
    if (!to) return E_NO_MEMORY;
    compute_nonce(context, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(to, NULL, NULL, cipher.p, cipher.n, aad.p, aad.n, nonce,
                                                  context->key)) {
        out->n = before;
        return E_CANNOT_OPEN;
    }
    context->sequence++;
    return E_OK;
}

/* Section 5.3. */
enum error hpke_export(const struct hpke_context *context, struct bytes label, uint8_t *ret, size_t n) {
    return labeled_expand(hpke_id(), context->exporter, "sec", label, ret, n);
}
