/* test_hkdf.c - HKDF-SHA256 against project Wycheproof. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "hpke.h"
#include "vectors.h"

static void check(const json_t *test) {
    AUTO_BUF ikm = {0};
    AUTO_BUF salt = {0};
    AUTO_BUF info = {0};
    AUTO_BUF okm = {0};
    AUTO_BUF got = {0};
    uint8_t prk[HASH_SIZE];
    vectors_hex(json_object_get(test, "ikm"), &ikm);
    vectors_hex(json_object_get(test, "salt"), &salt);
    vectors_hex(json_object_get(test, "info"), &info);
    vectors_hex(json_object_get(test, "okm"), &okm);
    size_t size = (size_t)vectors_uint(test, "size");
    assert_non_null(buf_extend(&got, size));
    hkdf_extract(buf_bytes(&salt), buf_bytes(&ikm), prk);
    bool valid = strcmp(vectors_text(test, "result"), "valid") == 0;
    assert_int_equal(hkdf_expand(prk, buf_bytes(&info), got.p, size), valid ? E_OK : E_OUT_OF_RANGE);
    if (valid) assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&okm)));
}

static void every_published_output_is_made_and_none_that_is_too_long(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("wycheproof/hkdf_sha256_test.json");
    const json_t *groups = json_object_get(file, "testGroups");
    unsigned count = 0;
    for (size_t g = 0; g < json_array_size(groups); g++) {
        const json_t *tests = json_object_get(json_array_get(groups, g), "tests");
        for (size_t i = 0; i < json_array_size(tests); i++, count++) check(json_array_get(tests, i));
    }
    assert_int_equal(count, 86);
}

static void no_output_may_be_asked_for(void **state) {
    (void)state;
    static const uint8_t prk[HASH_SIZE];
    uint8_t byte = 7;
    assert_int_equal(hkdf_expand(prk, bytes_text("info"), &byte, 0), E_OK);
    assert_int_equal(byte, 7);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_output_is_made_and_none_that_is_too_long),
        cmocka_unit_test(no_output_may_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
