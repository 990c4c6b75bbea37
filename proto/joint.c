/* joint.c - joint signatures: one payload, a set of signers in rising order of their keys. */
#include "joint.h"

#include "sign.h"

/* Signers out of order, or one twice, would count twice and merge wrongly. */
static enum error open_joint(struct bytes bytes, struct joint *ret) {
    struct joint joint;
    struct signer signer;
    uint8_t last[KEY_SIZE];
    TRY(joint_decode(bytes, &joint));
    struct list list = joint.signers;
    for (bool first = true; signer_next(&list, &signer); first = false) {
        if (!first && memcmp(last, signer.key, KEY_SIZE) >= 0) return E_NON_CANONICAL;
        memcpy(last, signer.key, KEY_SIZE);
    }
    *ret = joint;
    return E_OK;
}

enum error joint_peek(struct bytes joint, struct bytes *ret_payload) {
    struct joint opened;
    TRY(open_joint(joint, &opened));
    *ret_payload = opened.payload;
    return E_OK;
}

enum error joint_begin(struct bytes payload, struct buf *out) {
    if (payload.n > CERTIFICATE_MAX) return E_TOO_LARGE;
    joint_encode(&(struct joint){.payload = payload}, out);
    return buf_error(out);
}

/* Two lists of signers, both rising, as one; of a key in both the first's signature. */
static void merge_lists(struct list a, struct list b, struct buf *items, size_t *count) {
    struct signer one, other;
    bool has_one = signer_next(&a, &one), has_other = signer_next(&b, &other);
    while (has_one || has_other) {
        int order = !has_one ? 1 : !has_other ? -1 : memcmp(one.key, other.key, KEY_SIZE);
        signer_encode(order <= 0 ? &one : &other, items);
        ++*count;
        if (order <= 0) has_one = signer_next(&a, &one);
        if (order >= 0) has_other = signer_next(&b, &other);
    }
}

static enum error put_merged(struct bytes payload, struct list a, struct list b, struct buf *out) {
    AUTO_BUF items = {0};
    size_t count = 0;
    merge_lists(a, b, &items, &count);
    TRY(buf_error(&items));
    if (count > SIGNERS_MAX) return E_OUT_OF_RANGE;
    joint_encode(&(struct joint){payload, list_of(&items, count)}, out);
    return buf_error(out);
}

enum error joint_sign(enum label label, const uint8_t secret[static SIGN_SECRET_SIZE], struct bytes joint,
                      struct buf *out) {
    struct joint opened;
    struct signer signer, other;
    AUTO_BUF signature = {0}, item = {0};
    TRY(open_joint(joint, &opened));
    memcpy(signer.key, secret + SIGN_SECRET_SIZE - KEY_SIZE, KEY_SIZE); /* libsodium's form: seed, public key */
    struct list before = opened.signers;
    while (signer_next(&before, &other))
        if (memcmp(other.key, signer.key, KEY_SIZE) == 0) return E_CONFLICT;
    sign1_sign(secret, label_text(label), opened.payload, &signature);
    TRY(buf_error(&signature));
    signer.signature = buf_bytes(&signature);
    signer_encode(&signer, &item);
    TRY(buf_error(&item));
    return put_merged(opened.payload, opened.signers, list_of(&item, 1), out);
}

enum error joint_merge(struct bytes a, struct bytes b, struct buf *out) {
    struct joint one, other;
    TRY(open_joint(a, &one));
    TRY(open_joint(b, &other));
    if (!bytes_equal(one.payload, other.payload)) return E_MISMATCH;
    return put_merged(one.payload, one.signers, other.signers, out);
}

static bool is_among(const uint8_t (*keys)[KEY_SIZE], size_t n, const uint8_t key[static KEY_SIZE]) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(keys[i], key, KEY_SIZE) == 0) return true;
    return false;
}

enum error joint_verify(enum label label, const uint8_t (*keys)[KEY_SIZE], size_t n, unsigned threshold,
                        struct bytes joint, struct bytes *ret_payload) {
    struct joint opened;
    struct signer signer;
    TRY(open_joint(joint, &opened));
    struct list list = opened.signers;
    while (signer_next(&list, &signer)) {
        if (!is_among(keys, n, signer.key)) return E_UNKNOWN_REGISTRAR;
        if (!sign1_is_narrow(signer.signature)) return E_MALFORMED;
        TRY(sign1_verify(signer.key, label_text(label), signer.signature, opened.payload, NULL));
    }
    if (opened.signers.count == 0 || opened.signers.count < threshold) return E_TOO_FEW_SIGNERS;
    if (ret_payload) *ret_payload = opened.payload;
    return E_OK;
}
