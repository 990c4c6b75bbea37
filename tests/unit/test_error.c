/* test_error.c - the table of errors is whole: scripts, peers and people can rely on every row. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "own.h"

static void every_number_and_name_is_used_once(void **state) {
    (void)state;
    const struct error_row *a, *b;
    for (unsigned i = 0; (a = error_nth(i)); i++)
        for (unsigned j = 0; j < i && (b = error_nth(j)); j++) {
            assert_int_not_equal(a->error, b->error);
            assert_string_not_equal(a->name, b->name);
        }
}

static void every_error_says_what_happened_and_what_to_do(void **state) {
    (void)state;
    const struct error_row *row;
    for (unsigned i = 0; (row = error_nth(i)); i++) {
        assert_true(strlen(row->text) > 0);
        if (row->error == E_OK) continue;
        assert_true(strlen(row->hint) > 0);
        assert_int_not_equal(row->exit, 0);
    }
}

static void names_are_fit_for_scripts(void **state) {
    (void)state;
    const struct error_row *row;
    for (unsigned i = 0; (row = error_nth(i)); i++)
        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(row->name));
}

static void numbers_fit_the_wire(void **state) {
    (void)state;
    const struct error_row *row;
    for (unsigned i = 0; (row = error_nth(i)); i++) assert_in_range(row->error, 0, 65535);
}

static void a_row_is_found_by_its_number(void **state) {
    (void)state;
    const struct error_row *row;
    unsigned n = 0;
    for (; (row = error_nth(n)); n++) assert_ptr_equal(error_row(row->error), row);
    assert_true(n > 50);
    assert_string_equal(error_row(E_OK)->name, "ok");
    assert_string_equal(error_text(E_BUSY), "the relay is busy");
}

static void an_unknown_number_reads_as_internal(void **state) {
    (void)state;
    assert_int_equal(error_row((enum error)65000)->error, E_INTERNAL);
}

static void only_what_may_pass_is_worth_a_retry(void **state) {
    (void)state;
    assert_true(error_row(E_BUSY)->again);
    assert_true(error_row(E_STORE_FULL)->again);
    assert_true(error_row(E_OVER_QUOTA)->again);
    assert_true(error_row(E_STALE_DIRECTORY)->again);
    assert_false(error_row(E_BAD_SIGNATURE)->again);
    assert_false(error_row(E_CONFLICT)->again);
    assert_false(error_row(E_REVOKED)->again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_and_name_is_used_once),
        cmocka_unit_test(every_error_says_what_happened_and_what_to_do),
        cmocka_unit_test(names_are_fit_for_scripts),
        cmocka_unit_test(numbers_fit_the_wire),
        cmocka_unit_test(a_row_is_found_by_its_number),
        cmocka_unit_test(an_unknown_number_reads_as_internal),
        cmocka_unit_test(only_what_may_pass_is_worth_a_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
