/* sign.c - COSE_Sign1 by hand: four fields around one Ed25519 signature. The narrow form is a constant prefix, so it is
 * written and recognised as one. */
#include "sign.h"

#include <sodium.h>

#include "cbor.h"

enum { TAG_SIGN1 = 18, HEADER_ALG = 1, HEADER_KID = 4, ALG_ED25519 = -19, PROTECTED_MAX = 80, KID_MAX = 64 };

/* 18([h'a10132', {}, null, h'..64 bytes']) up to the signature's first byte. */
static const uint8_t narrow_prefix[] = {0xd2, 0x84, 0x43, 0xa1, 0x01, 0x32, 0xa0, 0xf6, 0x58, 0x40};
static const uint8_t narrow_protected[] = {0xa1, 0x01, 0x32};

struct sign1 {
    struct bytes protected, payload, signature;
    bool attached;
};

/* RFC 9052 section 4.4: Sig_structure = ["Signature1", body_protected, external_aad, payload]. */
static void to_be_signed(struct bytes protected, struct bytes external_aad, struct bytes payload, struct buf *out) {
    cbor_put_array(out, 4);
    cbor_put_text(out, bytes_text("Signature1"));
    cbor_put_bytes(out, protected);
    cbor_put_bytes(out, external_aad);
    cbor_put_bytes(out, payload);
}

void sign1_sign(const uint8_t secret[static SIGN_SECRET_SIZE], struct bytes external_aad, struct bytes payload,
                struct buf *out) {
    AUTO_BUF message = {0};
    uint8_t signature[SIGNATURE_SIZE];
    to_be_signed(bytes_of(narrow_protected, sizeof narrow_protected), external_aad, payload, &message);
    if (message.failed) {
        out->failed = true;
        return;
    }
    crypto_sign_detached(signature, NULL, message.p, message.n, secret);
    buf_add(out, narrow_prefix, sizeof narrow_prefix);
    buf_add(out, signature, sizeof signature);
}

/* One header map: alg where it is protected and nowhere else, a kid at most once in both together (RFC 9052 section 3:
 * a label must not occur twice). Everything else is refused, `crit` included. */
static void read_headers(struct cbor_in *in, bool is_protected, bool *kid) {
    size_t pairs = cbor_map(in, 2);
    int64_t last = 0;
    bool alg = false;
    for (size_t i = 0; i < pairs && in->error == E_OK; i++) {
        int64_t label = cbor_int(in);
        if (in->error == E_OK && label <= last) cbor_fail(in, E_NON_CANONICAL);
        last = label;
        if (is_protected && label == HEADER_ALG) {
            alg = true;
            if (cbor_int(in) != ALG_ED25519) cbor_fail(in, E_UNKNOWN_SUITE);
        } else if (label == HEADER_KID && !*kid) {
            *kid = true;
            cbor_bytes(in, KID_MAX);
        } else {
            cbor_fail(in, E_MALFORMED);
        }
    }
    if (is_protected && !alg) cbor_fail(in, E_MISSING_FIELD);
}

static enum error read_sign1(struct bytes bytes, struct sign1 *ret) {
    struct cbor_in in = cbor_in(bytes);
    struct sign1 sign1 = {0};
    bool kid = false;
    cbor_tag(&in, TAG_SIGN1);
    if (cbor_array(&in, 4) != 4) cbor_fail(&in, E_MALFORMED);
    sign1.protected = cbor_bytes(&in, PROTECTED_MAX);
    if (in.error == E_OK) {
        struct cbor_in inner = cbor_in(sign1.protected);
        read_headers(&inner, true, &kid);
        if (cbor_end(&inner) != E_OK) cbor_fail(&in, inner.error);
    }
    read_headers(&in, false, &kid);
    sign1.attached = !cbor_next_is_null(&in);
    if (sign1.attached)
        sign1.payload = cbor_bytes(&in, SIZE_MAX);
    else
        cbor_null(&in);
    sign1.signature = cbor_bytes(&in, SIGNATURE_SIZE);
    if (in.error == E_OK && sign1.signature.n != SIGNATURE_SIZE) cbor_fail(&in, E_OUT_OF_RANGE);
    TRY(cbor_end(&in));
    *ret = sign1;
    return E_OK;
}

enum error sign1_verify(const uint8_t key[static KEY_SIZE], struct bytes external_aad, struct bytes sign1,
                        struct bytes detached, struct bytes *ret_payload) {
    struct sign1 parts;
    TRY(read_sign1(sign1, &parts));
    if (parts.attached == (detached.p != NULL)) return E_MALFORMED;
    struct bytes payload = parts.attached ? parts.payload : detached;
    AUTO_BUF message = {0};
    to_be_signed(parts.protected, external_aad, payload, &message);
    TRY(buf_error(&message));
    if (crypto_sign_verify_detached(parts.signature.p, message.p, message.n, key) != 0)
        return sign_key_valid(key) ? E_BAD_SIGNATURE : E_BAD_KEY;
    if (ret_payload) *ret_payload = payload;
    return E_OK;
}

bool sign1_is_narrow(struct bytes sign1) {
    return sign1.n == sizeof narrow_prefix + SIGNATURE_SIZE &&
           memcmp(sign1.p, narrow_prefix, sizeof narrow_prefix) == 0;
}

bool sign_key_valid(const uint8_t key[static KEY_SIZE]) { return crypto_core_ed25519_is_valid_point(key) == 1; }

/* The sum of the base point and the point of order two (0, -1) is of mixed order: on the curve, outside the subgroup.
 * Negating both coordinates of B gives just that; x changes its sign bit, y becomes p - y. */
static const uint8_t mixed_order[KEY_SIZE] = {0x95, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99,
                                              0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99,
                                              0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99};
static const uint8_t base_point[KEY_SIZE] = {0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                             0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                             0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66};

enum error sign_self_test(void) {
    if (sodium_init() < 0) return E_INTERNAL;
    return sign_key_valid(base_point) && !sign_key_valid(mixed_order) ? E_OK : E_INTERNAL;
}
