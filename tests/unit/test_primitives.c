/* test_primitives.c - the installed libsodium does what Pouch takes for granted, against project Wycheproof. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "limits.h"
#include "vectors.h"

/* Calls `check` for every test of a file, with its group. */
static unsigned each_test(const char *path, void (*check)(const json_t *group, const json_t *test)) {
    AUTO_JSON *file = vectors_load(path);
    const json_t *groups = json_object_get(file, "testGroups");
    unsigned count = 0;
    for (size_t g = 0; g < json_array_size(groups); g++) {
        const json_t *group = json_array_get(groups, g), *tests = json_object_get(group, "tests");
        for (size_t i = 0; i < json_array_size(tests); i++, count++) check(group, json_array_get(tests, i));
    }
    return count;
}

static bool is_valid(const json_t *test) { return strcmp(vectors_text(test, "result"), "valid") == 0; }

static unsigned zero_results;

static void check_x25519(const json_t *group, const json_t *test) {
    (void)group;
    AUTO_BUF public = {0};
    AUTO_BUF secret = {0};
    AUTO_BUF shared = {0};
    uint8_t got[KEY_SIZE];
    vectors_hex(json_object_get(test, "public"), &public);
    vectors_hex(json_object_get(test, "private"), &secret);
    vectors_hex(json_object_get(test, "shared"), &shared);
    assert_int_equal(public.n, KEY_SIZE);
    bool zero = sodium_is_zero(shared.p, shared.n);
    zero_results += zero;
    assert_int_equal(crypto_scalarmult(got, secret.p, public.p), zero ? -1 : 0);
    if (!zero) assert_memory_equal(got, shared.p, KEY_SIZE);
}

static void x25519_agrees_and_refuses_a_zero_result(void **state) {
    (void)state;
    zero_results = 0;
    assert_int_equal(each_test("wycheproof/x25519_test.json", check_x25519), 518);
    assert_int_equal(zero_results, 31);
}

static unsigned other_nonces;

/* Content is sealed with the first, what lies at home with the second. */
struct aead {
    size_t nonce_size;
    int (*open)(unsigned char *, unsigned long long *, unsigned char *, const unsigned char *, unsigned long long,
                const unsigned char *, unsigned long long, const unsigned char *, const unsigned char *);
    int (*seal)(unsigned char *, unsigned long long *, const unsigned char *, unsigned long long, const unsigned char *,
                unsigned long long, const unsigned char *, const unsigned char *, const unsigned char *);
};
static const struct aead chacha20 = {crypto_aead_chacha20poly1305_IETF_NPUBBYTES,
                                     crypto_aead_chacha20poly1305_ietf_decrypt,
                                     crypto_aead_chacha20poly1305_ietf_encrypt};
static const struct aead xchacha20 = {crypto_aead_xchacha20poly1305_IETF_NPUBBYTES,
                                      crypto_aead_xchacha20poly1305_ietf_decrypt,
                                      crypto_aead_xchacha20poly1305_ietf_encrypt};
static const struct aead *aead;

/* libsodium's interface has no nonce size: those tests with another are the caller's to refuse, and ours is a constant.
 */
static void check_aead(const json_t *group, const json_t *test) {
    AUTO_BUF key = {0};
    AUTO_BUF nonce = {0};
    AUTO_BUF aad = {0};
    AUTO_BUF plain = {0};
    AUTO_BUF cipher = {0};
    AUTO_BUF got = {0};
    vectors_hex(json_object_get(test, "key"), &key);
    vectors_hex(json_object_get(test, "iv"), &nonce);
    vectors_hex(json_object_get(test, "aad"), &aad);
    vectors_hex(json_object_get(test, "msg"), &plain);
    vectors_hex(json_object_get(test, "ct"), &cipher);
    vectors_hex(json_object_get(test, "tag"), &cipher);
    assert_int_equal(vectors_uint(group, "ivSize"), nonce.n * 8);
    if (nonce.n != aead->nonce_size) {
        assert_false(is_valid(test));
        other_nonces++;
        return;
    }
    uint8_t *to = buf_extend(&got, plain.n + TAG_SIZE);
    assert_non_null(to);
    int rc = aead->open(to, NULL, NULL, cipher.p, cipher.n, aad.p, aad.n, nonce.p, key.p);
    assert_int_equal(rc, is_valid(test) ? 0 : -1);
    if (!is_valid(test)) return;
    assert_memory_equal(to, plain.p, plain.n);
    aead->seal(to, NULL, plain.p, plain.n, aad.p, aad.n, NULL, nonce.p, key.p);
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&cipher)));
}

static void chacha20_poly1305_agrees(void **state) {
    (void)state;
    other_nonces = 0;
    aead = &chacha20;
    assert_int_equal(each_test("wycheproof/chacha20_poly1305_test.json", check_aead), 325);
    assert_int_equal(other_nonces, 9);
}

static void xchacha20_poly1305_agrees(void **state) {
    (void)state;
    other_nonces = 0;
    aead = &xchacha20;
    assert_int_equal(each_test("wycheproof/xchacha20_poly1305_test.json", check_aead), 315);
    assert_int_equal(other_nonces, 9);
}

/* As hkdf_extract uses it: keys of any length. Shorter tags are cut from the whole one. */
static void check_hmac(const json_t *group, const json_t *test) {
    AUTO_BUF key = {0};
    AUTO_BUF message = {0};
    AUTO_BUF tag = {0};
    uint8_t got[HASH_SIZE];
    crypto_auth_hmacsha256_state state;
    vectors_hex(json_object_get(test, "key"), &key);
    vectors_hex(json_object_get(test, "msg"), &message);
    vectors_hex(json_object_get(test, "tag"), &tag);
    assert_int_equal(vectors_uint(group, "tagSize"), tag.n * 8);
    crypto_auth_hmacsha256_init(&state, key.p, key.n);
    crypto_auth_hmacsha256_update(&state, message.p, message.n);
    crypto_auth_hmacsha256_final(&state, got);
    assert_int_equal(memcmp(got, tag.p, tag.n) == 0, is_valid(test));
    if (key.n != crypto_auth_hmacsha256_KEYBYTES) return;
    crypto_auth_hmacsha256(got, message.p, message.n, key.p);
    assert_int_equal(memcmp(got, tag.p, tag.n) == 0, is_valid(test));
}

static void hmac_sha256_agrees(void **state) {
    (void)state;
    assert_int_equal(each_test("wycheproof/hmac_sha256_test.json", check_hmac), 174);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x25519_agrees_and_refuses_a_zero_result),
        cmocka_unit_test(chacha20_poly1305_agrees),
        cmocka_unit_test(xchacha20_poly1305_agrees),
        cmocka_unit_test(hmac_sha256_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
