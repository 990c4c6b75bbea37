/* test_secret.c - guarded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <sodium.h>

#include "secret.h"

static void new_secret_is_zero(void **state) {
    (void)state;
    AUTO_SECRET secret = {0};
    assert_int_equal(secret_new(77, &secret), E_OK);
    assert_int_equal(secret.n, 77);
    assert_true(sodium_is_zero(secret.p, secret.n));
}

static void copied_secret_is_equal_and_apart(void **state) {
    (void)state;
    char from[] = "the word is mum";
    AUTO_SECRET secret = {0};
    assert_int_equal(secret_copy(from, sizeof from, &secret), E_OK);
    from[0] = 'T';
    assert_memory_equal(secret.p, "the word is mum", sizeof from);
}

static void random_secrets_differ(void **state) {
    (void)state;
    AUTO_SECRET a = {0};
    AUTO_SECRET b = {0};
    assert_int_equal(secret_random(32, &a), E_OK);
    assert_int_equal(secret_random(32, &b), E_OK);
    assert_memory_not_equal(a.p, b.p, 32);
}

static void empty_secret_is_allowed_and_freeing_is_repeatable(void **state) {
    (void)state;
    struct secret secret = {0};
    assert_int_equal(secret_copy(NULL, 0, &secret), E_OK);
    assert_non_null(secret.p);
    secret_free(&secret);
    assert_null(secret.p);
    assert_int_equal(secret.n, 0);
    secret_free(&secret);
}

static void impossible_size_gives_an_error_and_touches_nothing(void **state) {
    (void)state;
    struct secret secret = {(uint8_t *)state, 5};
    assert_int_equal(secret_new(SIZE_MAX - 4, &secret), E_NO_MEMORY);
    assert_ptr_equal(secret.p, state);
    assert_int_equal(secret.n, 5);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_secret_is_zero),
        cmocka_unit_test(copied_secret_is_equal_and_apart),
        cmocka_unit_test(random_secrets_differ),
        cmocka_unit_test(empty_secret_is_allowed_and_freeing_is_repeatable),
        cmocka_unit_test(impossible_size_gives_an_error_and_touches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
