/* test_sign.c - COSE_Sign1 and Ed25519 against published vectors, and what the narrow form refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "cbor.h"
#include "sign.h"
#include "vectors.h"

static struct bytes member(const json_t *json, const char *name, struct buf *room) {
    vectors_hex(json_object_get(json, name), room);
    return buf_bytes(room);
}

static void every_sign1_case_is_judged_as_its_file_says(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("cose/project_sign1_ed25519.json");
    AUTO_BUF key = {0};
    size_t i, valid = 0;
    json_t *one;
    assert_int_equal(member(file, "public_key_hex", &key).n, KEY_SIZE);
    json_array_foreach(json_object_get(file, "cases"), i, one) {
        AUTO_BUF cose = {0}, aad = {0}, detached = {0};
        struct bytes external = member(one, "external_aad_hex", &aad), sign1 = member(one, "cose_hex", &cose);
        enum error error = sign1_verify(key.p, external, sign1, member(one, "detached_payload_hex", &detached), NULL);
        if ((error == E_OK) != vectors_bool(one, "valid"))
            fail_msg("%s: %s", vectors_text(one, "name"), error_text(error));
        valid += error == E_OK;
    }
    assert_int_equal(i, 21);
    assert_int_equal(valid, 5);
}

/* The COSE WG example is signed under algorithm -8 (EdDSA) with a content type beside it. RFC 9864 deprecates -8 because it
 * does not name the curve; this profile takes -19 only, so what is expected is a refusal - for the algorithm, before the
 * signature is looked at. That the signature itself is good shows that our Sig_structure is not what is refused. */
static void the_working_groups_example_is_refused_for_its_algorithm(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("cose/cose-wg_eddsa-sig-01.json");
    const json_t *key_json = json_object_get(json_object_get(json_object_get(file, "input"), "sign0"), "key");
    AUTO_BUF key = {0}, cose = {0}, message = {0};
    member(key_json, "x_hex", &key);
    member(json_object_get(file, "output"), "cbor", &cose);
    member(json_object_get(file, "intermediates"), "ToBeSign_hex", &message);
    assert_int_equal(sign1_verify(key.p, (struct bytes){0}, buf_bytes(&cose), (struct bytes){0}, NULL),
                     E_UNKNOWN_SUITE);
    const uint8_t *signature = cose.p + cose.n - SIGNATURE_SIZE;
    assert_int_equal(crypto_sign_verify_detached(signature, message.p, message.n, key.p), 0);
}

/* The Ed25519 beneath sign1_verify: these vectors sign messages of their own, not a Sig_structure. */
static bool plain_verify(const struct buf *key, const struct buf *message, const struct buf *signature) {
    if (signature->n != SIGNATURE_SIZE) return false;
    return crypto_sign_verify_detached(signature->p, message->p, message->n, key->p) == 0;
}

static void wycheproof_signatures_are_judged_as_their_file_says(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("wycheproof/ed25519_test.json");
    size_t g, t, count = 0;
    json_t *group, *test;
    json_array_foreach(json_object_get(file, "testGroups"), g, group) {
        AUTO_BUF key = {0};
        member(json_object_get(group, "publicKey"), "pk", &key);
        assert_int_equal(key.n, KEY_SIZE);
        json_array_foreach(json_object_get(group, "tests"), t, test) {
            AUTO_BUF message = {0}, signature = {0};
            member(test, "msg", &message);
            member(test, "sig", &signature);
            bool valid = strcmp(vectors_text(test, "result"), "valid") == 0;
            if (plain_verify(&key, &message, &signature) != valid) fail_msg("tcId %d", (int)vectors_uint(test, "tcId"));
            if (valid) assert_true(sign_key_valid(key.p));
            count++;
        }
    }
    assert_int_equal(count, 151);
}

static bool has_flag(const json_t *test, const char *flag) {
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(test, "flags"), i,
                       value) if (strcmp(json_string_value(value), flag) == 0) return true;
    return false;
}

/* These vectors tell what a signature is made of, not whether it is valid. libsodium verifies some whose key has a part of
 * low order; sign_key_valid refuses exactly those keys, so nothing is left that verifies under a key we would take. */
static void no_signature_of_mixed_order_verifies_under_a_key_we_accept(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("ed25519/cctv_ed25519vectors.json");
    size_t i, verified = 0, taken = 0;
    json_t *test;
    json_array_foreach(file, i, test) {
        AUTO_BUF key = {0}, signature = {0};
        struct buf message = {0};
        member(test, "key", &key);
        member(test, "sig", &signature);
        const char *text = vectors_text(test, "msg");
        buf_add(&message, text, strlen(text));
        bool odd_key = has_flag(test, "low_order_A") || has_flag(test, "low_order_component_A") ||
                       has_flag(test, "non_canonical_A");
        bool valid = sign_key_valid(key.p), holds = plain_verify(&key, &message, &signature);
        if (odd_key && valid) fail_msg("key of vector %d is accepted", (int)vectors_uint(test, "number"));
        if (holds) verified++;
        if (holds && valid) taken++;
        if (holds && has_flag(test, "non_canonical_R")) fail_msg("vector %d", (int)vectors_uint(test, "number"));
        if (holds && has_flag(test, "low_order_R")) fail_msg("vector %d", (int)vectors_uint(test, "number"));
        buf_free(&message);
    }
    assert_true(i > 500);
    assert_true(verified > 0); /* otherwise this test shows nothing about the check of keys */
    assert_int_equal(taken, 0);
}

static void ed25519_keys_of_small_order_are_no_keys(void **state) {
    (void)state;
    static const uint8_t zero[KEY_SIZE], one[KEY_SIZE] = {1};
    uint8_t none[KEY_SIZE];
    memset(none, 0xff, sizeof none);
    assert_false(sign_key_valid(zero));
    assert_false(sign_key_valid(one));
    assert_false(sign_key_valid(none));
    assert_int_equal(sign_self_test(), E_OK);
}

struct pair {
    uint8_t key[KEY_SIZE], secret[SIGN_SECRET_SIZE];
};

static struct pair pair_of(uint8_t seed_byte) {
    struct pair pair;
    uint8_t seed[32];
    memset(seed, seed_byte, sizeof seed);
    crypto_sign_seed_keypair(pair.key, pair.secret, seed);
    return pair;
}

static const struct bytes label = {(const uint8_t *)"pouch/0 test", 12}, payload = {(const uint8_t *)"payload", 7};

static void what_was_signed_verifies_and_is_narrow(void **state) {
    (void)state;
    struct pair pair = pair_of(7);
    AUTO_BUF out = {0};
    struct bytes got = {0};
    sign1_sign(pair.secret, label, payload, &out);
    assert_true(out.n <= SIGNATURE_MAX);
    assert_int_equal(cbor_check(buf_bytes(&out)), E_OK);
    assert_true(sign1_is_narrow(buf_bytes(&out)));
    assert_int_equal(sign1_verify(pair.key, label, buf_bytes(&out), payload, &got), E_OK);
    assert_true(bytes_equal(got, payload));
}

static void another_label_payload_or_key_fails(void **state) {
    (void)state;
    struct pair pair = pair_of(7), other = pair_of(8);
    AUTO_BUF out = {0};
    sign1_sign(pair.secret, label, payload, &out);
    struct bytes sign1 = buf_bytes(&out);
    assert_int_equal(sign1_verify(pair.key, bytes_text("pouch/0 tesT"), sign1, payload, NULL), E_BAD_SIGNATURE);
    assert_int_equal(sign1_verify(pair.key, (struct bytes){0}, sign1, payload, NULL), E_BAD_SIGNATURE);
    assert_int_equal(sign1_verify(pair.key, label, sign1, label, NULL), E_BAD_SIGNATURE);
    assert_int_equal(sign1_verify(other.key, label, sign1, payload, NULL), E_BAD_SIGNATURE);
    assert_int_equal(sign1_verify(pair.key, label, sign1, (struct bytes){0}, NULL), E_MALFORMED);
    uint8_t zero[KEY_SIZE] = {0};
    assert_int_equal(sign1_verify(zero, label, sign1, payload, NULL), E_BAD_KEY);
}

static void every_truncation_and_every_bit_flip_of_a_signature_is_refused(void **state) {
    (void)state;
    struct pair pair = pair_of(7);
    AUTO_BUF out = {0};
    sign1_sign(pair.secret, label, payload, &out);
    for (size_t n = 0; n < out.n; n++) {
        assert_int_not_equal(sign1_verify(pair.key, label, bytes_of(out.p, n), payload, NULL), E_OK);
        assert_false(sign1_is_narrow(bytes_of(out.p, n)));
    }
    for (size_t bit = 0; bit < 8 * out.n; bit++) {
        out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(sign1_verify(pair.key, label, buf_bytes(&out), payload, NULL), E_OK);
        out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buf_add(&out, "", 1);
    assert_int_equal(sign1_verify(pair.key, label, buf_bytes(&out), payload, NULL), E_TRAILING);
}

/* What the wide form may carry verifies, and is told from the narrow one. */
static void a_wide_signature_verifies_but_is_not_narrow(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("cose/project_sign1_ed25519.json");
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(file, "cases"), i, one) {
        AUTO_BUF cose = {0};
        assert_false(sign1_is_narrow(member(one, "cose_hex", &cose)));
    }
}

/* RFC 9052 section 3: a label may stand in one of the two headers only. The unsigned one is added to a good signature. */
static void a_kid_in_both_headers_is_refused(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("cose/project_sign1_ed25519.json");
    const json_t *one = json_array_get(json_object_get(file, "cases"), 2);
    AUTO_BUF key = {0}, good = {0}, aad = {0}, detached = {0}, both = {0};
    member(file, "public_key_hex", &key);
    member(one, "cose_hex", &good);
    member(one, "external_aad_hex", &aad);
    member(one, "detached_payload_hex", &detached);
    enum { UNPROTECTED = 10 }; /* tag, array, and the eight bytes of the protected header stand before it */
    assert_int_equal(good.p[UNPROTECTED], 0xa0);
    buf_add(&both, good.p, UNPROTECTED);
    buf_add(&both, "\xa1\x04\x41k", 4);
    buf_add(&both, good.p + UNPROTECTED + 1, good.n - UNPROTECTED - 1);
    assert_int_equal(sign1_verify(key.p, buf_bytes(&aad), buf_bytes(&good), buf_bytes(&detached), NULL), E_OK);
    assert_int_equal(sign1_verify(key.p, buf_bytes(&aad), buf_bytes(&both), buf_bytes(&detached), NULL), E_MALFORMED);
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sign1_case_is_judged_as_its_file_says),
        cmocka_unit_test(the_working_groups_example_is_refused_for_its_algorithm),
        cmocka_unit_test(wycheproof_signatures_are_judged_as_their_file_says),
        cmocka_unit_test(no_signature_of_mixed_order_verifies_under_a_key_we_accept),
        cmocka_unit_test(ed25519_keys_of_small_order_are_no_keys),
        cmocka_unit_test(what_was_signed_verifies_and_is_narrow),
        cmocka_unit_test(another_label_payload_or_key_fails),
        cmocka_unit_test(every_truncation_and_every_bit_flip_of_a_signature_is_refused),
        cmocka_unit_test(a_kid_in_both_headers_is_refused),
        cmocka_unit_test(a_wide_signature_verifies_but_is_not_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
