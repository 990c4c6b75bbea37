/* sheet.c - sealing the sheets of contact cards. */
#include "sheet.h"

#include <sodium.h>

static const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES]; /* the key seals one sheet */

static void add_label(enum label label, struct buf *out) {
    static const uint8_t zero;
    buf_add_bytes(out, label_text(label));
    buf_add(out, &zero, 1);
}

static enum error associated(const uint8_t commitment[static HASH_SIZE], struct buf *out) {
    add_label(LABEL_SHEET, out);
    buf_add(out, commitment, HASH_SIZE);
    return buf_error(out);
}

enum error sheet_seal(const uint8_t key[static KEY_SIZE], const uint8_t commitment[static HASH_SIZE],
                      struct bytes bytes, struct buf *out) {
    AUTO_BUF aad = {0};
    TRY(associated(commitment, &aad));
    uint8_t *cipher = buf_extend(out, bytes.n + TAG_SIZE);
    if (!cipher) return E_NO_MEMORY;
    crypto_aead_chacha20poly1305_ietf_encrypt(cipher, NULL, bytes.p, bytes.n, aad.p, aad.n, NULL, nonce, key);
    return E_OK;
}

enum error sheet_unseal(const uint8_t key[static KEY_SIZE], const uint8_t commitment[static HASH_SIZE],
                        struct bytes cipher, struct buf *out) {
    AUTO_BUF aad = {0};
    TRY(associated(commitment, &aad));
    if (cipher.n < TAG_SIZE) return E_CANNOT_OPEN;
    size_t before = out->n;
    uint8_t *plain = buf_extend(out, cipher.n - TAG_SIZE);
    if (!plain && cipher.n > TAG_SIZE) return E_NO_MEMORY;
    if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, cipher.p, cipher.n, aad.p, aad.n, nonce, key) == 0)
        return E_OK;
    out->n = before;
    return E_CANNOT_OPEN;
}

/* ---- wraps ---- */

static enum error info_of(const uint8_t commitment[static HASH_SIZE], const uint8_t device[static KEY_SIZE],
                          const uint8_t prekey[static PREKEY_ID_SIZE], struct buf *out) {
    struct sheetinfo info = {.suite = SUITE};
    memcpy(info.commitment, commitment, HASH_SIZE);
    memcpy(info.device, device, KEY_SIZE);
    memcpy(info.prekey, prekey, PREKEY_ID_SIZE);
    add_label(LABEL_SHEET_INFO, out);
    sheetinfo_encode(&info, out);
    return buf_error(out);
}

static void wipe_context(struct hpke_context *context) { hpke_context_wipe(context); }
#define AUTO_CONTEXT __attribute__((cleanup(wipe_context))) struct hpke_context

enum error sheet_wrap(const uint8_t key[static KEY_SIZE], const uint8_t commitment[static HASH_SIZE],
                      const struct wrapping_target *target, struct buf *out) {
    AUTO_BUF info = {0}, cipher = {0};
    AUTO_CONTEXT context = {0};
    uint8_t enc[HPKE_ENC_SIZE];
    struct wrap wrap = {.mode = HPKE_BASE};
    TRY(info_of(commitment, target->device, target->prekey_id, &info));
    TRY(hpke_setup_sender(target->prekey, buf_bytes(&info), NULL, NULL, enc, &context));
    TRY(hpke_seal(&context, (struct bytes){0}, bytes_of(key, KEY_SIZE), &cipher));
    memcpy(wrap.device, target->device, KEY_SIZE);
    memcpy(wrap.prekey, target->prekey_id, PREKEY_ID_SIZE);
    wrap.enc = bytes_of(enc, sizeof enc);
    wrap.ciphertext = buf_bytes(&cipher);
    wrap_encode(&wrap, out);
    return buf_error(out);
}

enum error sheet_unwrap(const struct wrap *wrap, const uint8_t commitment[static HASH_SIZE],
                        const uint8_t secret[static KEY_SIZE], struct secret *ret_key) {
    AUTO_BUF info = {0}, plain = {0};
    AUTO_CONTEXT context = {0};
    if (wrap->mode != HPKE_BASE || wrap->has_psk) return E_CANNOT_OPEN;
    TRY(info_of(commitment, wrap->device, wrap->prekey, &info));
    enum error error = hpke_setup_receiver(wrap->enc, secret, buf_bytes(&info), NULL, &context);
    if (error == E_BAD_KEY) return E_CANNOT_OPEN; /* an enc that is no key */
    TRY(error);
    TRY(hpke_open(&context, (struct bytes){0}, wrap->ciphertext, &plain));
    if (plain.n != KEY_SIZE) return E_CANNOT_OPEN;
    return secret_copy(plain.p, KEY_SIZE, ret_key);
}
