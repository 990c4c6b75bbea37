/* test_units.c - sizes and durations as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "units.h"

struct sample {
    const char *text;
    enum error error;
    uint64_t value;
};

static void check(enum error (*parse)(struct bytes, uint64_t *), const struct sample *samples, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint64_t value = 77;
        enum error error = parse(bytes_text(samples[i].text), &value);
        if (error != samples[i].error || (error == E_OK && value != samples[i].value))
            fail_msg("\"%s\" gave error %d, value %llu", samples[i].text, (int)error, (unsigned long long)value);
        if (error != E_OK) assert_int_equal(value, 77); /* untouched on failure */
    }
}

static void sizes_have_at_most_one_unit(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"0", E_OK, 0},
        {"512", E_OK, 512},
        {"512B", E_OK, 512},
        {"64KiB", E_OK, 65536},
        {"64 MiB", E_OK, 67108864},
        {"1GiB", E_OK, 1073741824},
        {"2TiB", E_OK, (uint64_t)2 << 40},
        {"1kB", E_OK, 1000},
        {"5MB", E_OK, 5000000},
        {"1GB", E_OK, 1000000000},
        {"9223372036854775800", E_OK, 9223372036854775800u},
        {"", E_BAD_TEXT, 0},
        {"MiB", E_BAD_TEXT, 0},
        {"1 ", E_BAD_TEXT, 0},
        {"1  MiB", E_BAD_TEXT, 0},
        {"1mib", E_BAD_TEXT, 0},
        {"1K", E_BAD_TEXT, 0},
        {"-1", E_BAD_TEXT, 0},
        {"+1", E_BAD_TEXT, 0},
        {"1.5GiB", E_BAD_TEXT, 0},
        {"1MiB1KiB", E_BAD_TEXT, 0},
        {"0x10", E_BAD_TEXT, 0},
        {" 1", E_BAD_TEXT, 0},
        {"1e3", E_BAD_TEXT, 0},
        {"8388608TiB", E_OUT_OF_RANGE, 0},
        {"8388607TiB", E_OK, (uint64_t)8388607 << 40},
        {"99999999999999999999", E_OUT_OF_RANGE, 0},
    };
    check(units_size, samples, LENGTH(samples));
}

static void durations_name_their_units_largest_first(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"2s", E_OK, 2},
        {"0s", E_OK, 0},
        {"10m", E_OK, 600},
        {"24h", E_OK, 86400},
        {"30d", E_OK, 2592000},
        {"1h30m", E_OK, 5400},
        {"1d12h", E_OK, 129600},
        {"1d1h1m1s", E_OK, 90061},
        {"90m", E_OK, 5400},
        {"", E_BAD_TEXT, 0},
        {"30", E_BAD_TEXT, 0},
        {"m", E_BAD_TEXT, 0},
        {"30m1h", E_BAD_TEXT, 0},
        {"1h1h", E_BAD_TEXT, 0},
        {"1h30", E_BAD_TEXT, 0},
        {"1w", E_BAD_TEXT, 0},
        {"1ms", E_BAD_TEXT, 0},
        {"1h 30m", E_BAD_TEXT, 0},
        {"-1s", E_BAD_TEXT, 0},
        {"1.5h", E_BAD_TEXT, 0},
        {"1H", E_BAD_TEXT, 0},
        {"106751991167300d", E_OK, 9223372036854720000u},
        {"106751991167301d", E_OUT_OF_RANGE, 0},
        {"106751991167300d24h", E_OUT_OF_RANGE, 0},
        {"99999999999999999999s", E_OUT_OF_RANGE, 0},
    };
    check(units_duration, samples, LENGTH(samples));
}

static void numbers_are_digits_only(void **state) {
    (void)state;
    static const struct sample samples[] = {
        {"0", E_OK, 0},         {"007", E_OK, 7},      {"42", E_OK, 42},      {"", E_BAD_TEXT, 0},
        {"4 2", E_BAD_TEXT, 0}, {"-1", E_BAD_TEXT, 0}, {"1s", E_BAD_TEXT, 0}, {"1_000", E_BAD_TEXT, 0},
    };
    check(units_number, samples, LENGTH(samples));
}

static void formatted_values_read_back_as_themselves(void **state) {
    (void)state;
    static const uint64_t values[] = {0,
                                      1,
                                      59,
                                      60,
                                      61,
                                      1023,
                                      1024,
                                      1025,
                                      3600,
                                      5400,
                                      86400,
                                      86399,
                                      90061,
                                      67108864,
                                      1000000,
                                      (uint64_t)1 << 40,
                                      (uint64_t)1 << 50,
                                      ((uint64_t)1 << 50) + 1};
    for (size_t i = 0; i < LENGTH(values); i++) {
        char text[UNITS_TEXT_SIZE];
        uint64_t back;
        units_format_size(values[i], text);
        assert_int_equal(units_size(bytes_text(text), &back), E_OK);
        assert_true(back == values[i]);
        units_format_duration(values[i], text);
        assert_int_equal(units_duration(bytes_text(text), &back), E_OK);
        assert_true(back == values[i]);
    }
    char text[UNITS_TEXT_SIZE];
    units_format_size(67108864, text);
    assert_string_equal(text, "64MiB");
    units_format_duration(5400, text);
    assert_string_equal(text, "1h30m");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_at_most_one_unit),
        cmocka_unit_test(durations_name_their_units_largest_first),
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(formatted_values_read_back_as_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
