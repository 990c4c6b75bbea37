/* wrapping.c - content keys sealed to devices, and the prekeys they are sealed to. */
#include "wrapping.h"

#include <sodium.h>

#include "stamp.h"

enum { DECODER_STACK = 16 * 1024 };

/* ---- wraps ---- */

/* HPKE's info: what the recipient must agree on with whoever sealed. */
static enum error wrap_info(const struct wrapinfo *info, struct buf *out) {
    static const uint8_t zero;
    buf_add_bytes(out, label_text(LABEL_WRAP_INFO));
    buf_add(out, &zero, 1);
    wrapinfo_encode(info, out);
    return buf_error(out);
}

static struct wrapinfo info_of(const uint8_t header[static HASH_SIZE], const uint8_t *leg, uint64_t generation,
                               enum hpke_mode mode, const uint8_t device[static KEY_SIZE],
                               const uint8_t prekey[static PREKEY_ID_SIZE]) {
    struct wrapinfo info = {.has_leg = leg != NULL, .generation = generation, .mode = (uint64_t)mode};
    memcpy(info.header, header, HASH_SIZE);
    if (leg) memcpy(info.leg, leg, HASH_SIZE);
    memcpy(info.device, device, KEY_SIZE);
    memcpy(info.prekey, prekey, PREKEY_ID_SIZE);
    return info;
}

static void wipe_context(struct hpke_context *context) { hpke_context_wipe(context); }
#define AUTO_CONTEXT __attribute__((cleanup(wipe_context))) struct hpke_context

/* In HPKE's form; NULL: base mode. */
static const struct hpke_psk *psk_of(const struct wrapping_psk *psk, struct hpke_psk *room) {
    if (!psk) return NULL;
    *room = (struct hpke_psk){bytes_of(psk->secret, KEY_SIZE), bytes_of(psk->id, PREKEY_ID_SIZE)};
    return room;
}

static enum error seal_for(const struct wrapping_set *set, const struct wrapping_target *target, struct bytes plain,
                           struct buf *out) {
    enum hpke_mode mode = target->psk ? HPKE_PSK : HPKE_BASE;
    struct hpke_psk room;
    struct wrap wrap = {.mode = (uint64_t)mode, .has_psk = target->psk != NULL};
    struct wrapinfo info = info_of(set->header, set->leg, set->generation, mode, target->device, target->prekey_id);
    AUTO_BUF info_bytes = {0};
    AUTO_BUF cipher = {0};
    AUTO_CONTEXT context = {0};
    uint8_t enc[HPKE_ENC_SIZE];
    TRY(wrap_info(&info, &info_bytes));
    TRY(hpke_setup_sender(target->prekey, buf_bytes(&info_bytes), psk_of(target->psk, &room), NULL, enc, &context));
    TRY(hpke_seal(&context, (struct bytes){0}, plain, &cipher));
    memcpy(wrap.device, target->device, KEY_SIZE);
    memcpy(wrap.prekey, target->prekey_id, PREKEY_ID_SIZE);
    if (target->psk) memcpy(wrap.psk, target->psk->id, PREKEY_ID_SIZE);
    wrap.enc = bytes_of(enc, sizeof enc);
    wrap.ciphertext = buf_bytes(&cipher);
    wrap_encode(&wrap, out);
    return buf_error(out);
}

enum error wrapping_make(const struct wrapping_set *set, const struct wrapped *keys,
                         const struct wrapping_target *targets, size_t count, struct buf *out) {
    AUTO_BUF plain = {0};
    AUTO_BUF wraps = {0};
    if (count > DEVICES_PER_POST_MAX || set->generation == 0 || keys->voids.count > VOIDS_MAX) return E_OUT_OF_RANGE;
    wrapped_encode(keys, &plain);
    TRY(buf_error(&plain));
    if (plain.n > WRAP_PLAIN_MAX) return E_OUT_OF_RANGE;
    for (size_t i = 0; i < count; i++) TRY(seal_for(set, &targets[i], buf_bytes(&plain), &wraps));

    struct wrapset wrapset = {
        .has_leg = set->leg != NULL,
        .generation = set->generation,
        .size = set->directory_size,
        .wraps = list_of(&wraps, count),
    };
    memcpy(wrapset.header, set->header, HASH_SIZE);
    if (set->leg) memcpy(wrapset.leg, set->leg, HASH_SIZE);
    memcpy(wrapset.root, set->directory_root, HASH_SIZE);
    memcpy(wrapset.signer, set->signer, KEY_SIZE);
    wrapset_encode(&wrapset, out);
    return buf_error(out);
}

enum error wrapping_find(const struct wrapset *set, const uint8_t device[static KEY_SIZE], struct wrap *ret) {
    struct list wraps = set->wraps;
    struct wrap wrap;
    while (wrap_next(&wraps, &wrap)) {
        if (memcmp(wrap.device, device, KEY_SIZE) != 0) continue;
        *ret = wrap;
        return E_OK;
    }
    return E_NOT_FOR_US;
}

static enum error open_wrap(const struct wrapset *set, const struct wrap *wrap, const uint8_t secret[static KEY_SIZE],
                            const struct wrapping_psk *psk, struct buf *out) {
    struct wrapinfo info = info_of(set->header, set->has_leg ? set->leg : NULL, set->generation,
                                   (enum hpke_mode)wrap->mode, wrap->device, wrap->prekey);
    struct hpke_psk room;
    AUTO_BUF info_bytes = {0};
    AUTO_CONTEXT context = {0};
    TRY(wrap_info(&info, &info_bytes));
    TRY(hpke_setup_receiver(wrap->enc, secret, buf_bytes(&info_bytes), psk_of(psk, &room), &context));
    return hpke_open(&context, (struct bytes){0}, wrap->ciphertext, out);
}

/* Takes back what was appended, and leaves no plaintext in the room behind it. */
static void take_back(struct buf *out, size_t before) {
    if (out->n > before) sodium_memzero(out->p + before, out->n - before);
    out->n = before;
}

enum error wrapping_open(const struct wrapset *set, const struct wrap *wrap, const uint8_t secret[static KEY_SIZE],
                         const struct wrapping_psk *psk, struct buf *out, struct wrapped *ret) {
    if ((wrap->mode == HPKE_PSK) != wrap->has_psk) return E_CANNOT_OPEN;
    if (!wrap->has_psk) psk = NULL;
    if (wrap->has_psk && (!psk || memcmp(psk->id, wrap->psk, PREKEY_ID_SIZE) != 0)) return E_UNKNOWN_PAIR;
    size_t before = out->n;
    enum error error = open_wrap(set, wrap, secret, psk, out);
    if (error == E_BAD_KEY) return E_CANNOT_OPEN; /* an enc that is no key */
    if (error != E_OK) return error;
    error = wrapped_decode(bytes_of(out->p + before, out->n - before), ret);
    sodium_stackzero(DECODER_STACK); /* the decoder's copy of the keys */
    if (error != E_OK) take_back(out, before);
    return error;
}

/* ---- prekeys ---- */

void prekey_id(struct bytes payload, uint8_t ret[static PREKEY_ID_SIZE]) {
    uint8_t hash[HASH_SIZE];
    stamp_hash(payload, hash);
    memcpy(ret, hash, PREKEY_ID_SIZE);
}

/* The payload of one day's prekey; its secret goes to ret_secret. */
static enum error prekey_pair(const uint8_t device[static KEY_SIZE], uint32_t day, uint64_t serial,
                              uint8_t ret_secret[static KEY_SIZE], struct buf *out) {
    struct prekey prekey = {.day = day, .has_serial = serial > 0, .serial = serial};
    memcpy(prekey.device, device, KEY_SIZE);
    TRY(hpke_generate_pair(ret_secret, prekey.key));
    prekey_encode(&prekey, out);
    return buf_error(out);
}

static void free_payloads(struct buf (*payloads)[PREKEY_BATCH_MAX]) {
    for (size_t i = 0; i < PREKEY_BATCH_MAX; i++) buf_free(&(*payloads)[i]);
}

enum error prekey_make(const uint8_t device_secret[static SIGN_SECRET_SIZE], uint32_t first_day, size_t count,
                       uint64_t serial, struct buf *ret_stamped, uint8_t *ret_secrets, uint8_t *ret_ids) {
    __attribute__((cleanup(free_payloads))) struct buf payloads[PREKEY_BATCH_MAX] = {0};
    struct bytes views[PREKEY_BATCH_MAX];
    uint8_t device[KEY_SIZE];
    AUTO_SECRET secrets = {0};
    if (count == 0 || count > PREKEY_BATCH_MAX || first_day > UINT32_MAX - (count - 1)) return E_OUT_OF_RANGE;
    TRY(secret_new(count * KEY_SIZE, &secrets));
    crypto_sign_ed25519_sk_to_pk(device, device_secret);
    for (size_t i = 0; i < count; i++) {
        TRY(prekey_pair(device, first_day + (uint32_t)i, serial, secrets.p + i * KEY_SIZE, &payloads[i]));
        views[i] = buf_bytes(&payloads[i]);
    }
    TRY(stamp_sign(LABEL_PREKEY, device_secret, views, count, ret_stamped));
    for (size_t i = 0; i < count; i++) prekey_id(views[i], ret_ids + i * PREKEY_ID_SIZE);
    memcpy(ret_secrets, secrets.p, secrets.n);
    return E_OK;
}
