/* test_cbor.c - the strict cursor accepts exactly the core deterministic encoding, within its depth. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cbor.h"
#include "limits.h"
#include "vectors.h"

static enum error check_hex(const char *hex) {
    AUTO_BUF bytes = {0};
    AUTO_JSON *json = json_string(hex);
    vectors_hex(json, &bytes);
    return cbor_check(buf_bytes(&bytes));
}

/* How many arrays of one item a vector opens with: some of them are deterministic and deeper than we go. */
static size_t nesting(const char *hex) {
    size_t n = 0;
    while (strncmp(hex + 2 * n, "81", 2) == 0) n++;
    return n;
}

static void every_deterministic_vector_is_accepted_and_no_other(void **state) {
    (void)state;
    AUTO_JSON *vectors = vectors_load("cbor/deterministic.json");
    size_t i, accepted = 0, refused = 0;
    json_t *vector;
    json_array_foreach(vectors, i, vector) {
        const char *hex = vectors_text(vector, "hex");
        enum error error = check_hex(hex);
        if (nesting(hex) >= CBOR_DEPTH_MAX) {
            assert_int_equal(error, E_TOO_DEEP);
        } else if (vectors_bool(vector, "deterministic")) {
            if (error != E_OK) fail_msg("%s: %s", hex, error_text(error));
            accepted++;
        } else {
            if (error == E_OK) fail_msg("%s was accepted", hex);
            refused++;
        }
    }
    assert_true(accepted > 30 && refused > 30);
}

static void nothing_ill_formed_is_accepted(void **state) {
    (void)state;
    AUTO_JSON *vectors = vectors_load("cbor/fail.json");
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector) if (check_hex(vectors_text(vector, "hex")) == E_OK)
        fail_msg("%s was accepted", vectors_text(vector, "hex"));
    assert_true(i > 200);
}

/* "roundtrip": a decoder's value encodes to the same bytes, which in this file means the deterministic ones; but f818 is
 * not well-formed any more (RFC 8949 section 3.3). */
static void rfc_examples_are_accepted_where_deterministic(void **state) {
    (void)state;
    AUTO_JSON *vectors = vectors_load("cbor/rfc7049_appendix_a.json");
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector) {
        const char *hex = vectors_text(vector, "hex");
        bool due = vectors_bool(vector, "roundtrip") && strcmp(hex, "f818") != 0;
        if ((check_hex(hex) == E_OK) != due) fail_msg("%s: %s", hex, error_text(check_hex(hex)));
    }
    assert_true(i > 70);
}

static void map_keys_are_ordered_by_bytes_not_by_length_first(void **state) {
    (void)state;
    assert_int_equal(check_hex("a21864002000"), E_OK);
    assert_int_equal(check_hex("a22000186400"), E_NON_CANONICAL);
    assert_int_equal(check_hex("a201000100"), E_NON_CANONICAL);
}

static void depth_is_bounded_in_every_kind_of_nest(void **state) {
    (void)state;
    static const uint8_t heads[][2] = {{0x81}, {0xc1}, {0xa1, 0x00}};
    for (size_t kind = 0; kind < LENGTH(heads); kind++)
        for (size_t depth = CBOR_DEPTH_MAX - 2; depth <= 5000; depth = depth < 20 ? depth + 1 : depth * 2) {
            AUTO_BUF bytes = {0};
            for (size_t i = 0; i < depth; i++) buf_add(&bytes, heads[kind], kind == 2 ? 2 : 1);
            buf_add(&bytes, "\0", 1);
            enum error want = depth < CBOR_DEPTH_MAX ? E_OK : E_TOO_DEEP;
            assert_int_equal(cbor_check(buf_bytes(&bytes)), want);
        }
}

static void lengths_beyond_the_input_are_refused_before_anything_is_done(void **state) {
    (void)state;
    assert_int_equal(check_hex("5bffffffffffffffff"), E_TRUNCATED);
    assert_int_equal(check_hex("7b7fffffffffffffff00"), E_TRUNCATED);
    assert_int_equal(check_hex("9bffffffffffffffff00"), E_TRUNCATED);
    assert_int_equal(check_hex("bb8000000000000000"), E_TRUNCATED);
    assert_int_equal(check_hex("9a40000000"), E_TRUNCATED);
    assert_int_equal(check_hex(""), E_TRUNCATED);
}

static void what_was_written_is_read_back(void **state) {
    (void)state;
    static const uint64_t numbers[] = {0,        23, 24, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
                                       INT64_MAX};
    AUTO_BUF out = {0};
    cbor_put_tag(&out, 18);
    cbor_put_array(&out, 3 * LENGTH(numbers) + 5);
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        cbor_put_uint(&out, numbers[i]);
        cbor_put_int(&out, (int64_t)numbers[i]);
        cbor_put_int(&out, -1 - (int64_t)numbers[i]);
    }
    cbor_put_bool(&out, true);
    cbor_put_null(&out);
    cbor_put_bytes(&out, bytes_text("bytes"));
    cbor_put_text(&out, bytes_text("gr\xc3\xbc\xc3\x9f"));
    cbor_put_map(&out, 1);
    cbor_put_uint(&out, 1);
    cbor_put_bool(&out, false);
    assert_int_equal(buf_error(&out), E_OK);
    assert_int_equal(cbor_check(buf_bytes(&out)), E_OK);

    struct cbor_in in = cbor_in(buf_bytes(&out));
    cbor_tag(&in, 18);
    assert_int_equal(cbor_array(&in, 100), 3 * LENGTH(numbers) + 5);
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        assert_int_equal(cbor_uint(&in), numbers[i]);
        assert_int_equal(cbor_int(&in), (int64_t)numbers[i]);
        assert_int_equal(cbor_int(&in), -1 - (int64_t)numbers[i]);
    }
    assert_true(cbor_bool(&in));
    assert_true(cbor_next_is_null(&in));
    cbor_null(&in);
    assert_true(bytes_are(cbor_bytes(&in, 5), "bytes"));
    assert_true(bytes_are(cbor_text(&in, 100), "gr\xc3\xbc\xc3\x9f"));
    assert_int_equal(cbor_map(&in, 1), 1);
    assert_int_equal(cbor_uint(&in), 1);
    assert_false(cbor_bool(&in));
    assert_int_equal(cbor_end(&in), E_OK);
}

static void the_first_error_sticks_and_reads_give_nothing_after_it(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x01, 0x43, 'a', 'b', 'c', 0x02};
    struct cbor_in in = cbor_in(bytes_of(bytes, sizeof bytes));
    assert_int_equal(cbor_uint(&in), 1);
    assert_null(cbor_bytes(&in, 2).p);
    assert_int_equal(in.error, E_OUT_OF_RANGE);
    assert_int_equal(cbor_uint(&in), 0);
    assert_int_equal(cbor_array(&in, 9), 0);
    assert_int_equal(cbor_item(&in).n, 0);
    assert_int_equal(cbor_fail(&in, E_TOO_DEEP), E_OUT_OF_RANGE);
    assert_int_equal(cbor_end(&in), E_OUT_OF_RANGE);
}

static void integers_outside_int64_are_out_of_range(void **state) {
    (void)state;
    static const uint8_t big[] = {0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0}, small[] = {0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t least[] = {0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct cbor_in in = cbor_in(bytes_of(big, sizeof big));
    assert_int_equal(cbor_int(&in), 0);
    assert_int_equal(in.error, E_OUT_OF_RANGE);
    in = cbor_in(bytes_of(small, sizeof small));
    assert_int_equal(cbor_int(&in), 0);
    assert_int_equal(in.error, E_OUT_OF_RANGE);
    in = cbor_in(bytes_of(least, sizeof least));
    assert_true(cbor_int(&in) == INT64_MIN);
    assert_int_equal(cbor_end(&in), E_OK);
}

static void a_value_of_another_type_is_malformed(void **state) {
    (void)state;
    static const uint8_t text[] = {0x61, 'x'};
    struct cbor_in in = cbor_in(bytes_of(text, sizeof text));
    cbor_bytes(&in, 10);
    assert_int_equal(in.error, E_MALFORMED);
    in = cbor_in(bytes_of(text, sizeof text));
    cbor_bool(&in);
    assert_int_equal(in.error, E_MALFORMED);
    in = cbor_in(bytes_of(text, sizeof text));
    cbor_tag(&in, 1);
    assert_int_equal(in.error, E_MALFORMED);
}

/* A half is a whole multiple of 2^-24 with 11 binary digits, up to 65504; an infinity; or a NaN, of which 7e00 is the one. */
static bool fits_half(float value) {
    double scaled = (double)value * (1 << 24);
    if (value != value || isinf(value)) return true;
    if (value > 65504.0f || value < -65504.0f || scaled != (double)(int64_t)scaled) return false;
    uint64_t whole = (uint64_t)llabs((int64_t)scaled);
    while (whole && whole % 2 == 0) whole /= 2;
    return whole < 1 << 11;
}

/* Every double that a single or half can hold must stand there; judged here by arithmetic of its own. */
static void floats_must_stand_in_their_shortest_form(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t bits = i * 21474u + i;
        float value;
        memcpy(&value, &bits, 4);
        uint8_t single[5] = {0xfa, (uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        enum error want = fits_half(value) ? E_NON_CANONICAL : E_OK;
        if (cbor_check(bytes_of(single, 5)) != want) fail_msg("single %08x", bits);
        double wide = (double)value;
        uint64_t wide_bits;
        memcpy(&wide_bits, &wide, 8);
        uint8_t doubled[9] = {0xfb};
        for (int b = 0; b < 8; b++) doubled[1 + b] = (uint8_t)(wide_bits >> 8 * (7 - b));
        if (cbor_check(bytes_of(doubled, 9)) == E_OK) fail_msg("double of %08x", bits);
        doubled[8] |= 1; /* now it holds more than a single can, or is a NaN that is not 7e00 */
        bool nan = value != value || (wide_bits >> 52 & 0x7ff) == 0x7ff;
        if ((cbor_check(bytes_of(doubled, 9)) == E_OK) == nan) fail_msg("double of %08x plus a bit", bits);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_deterministic_vector_is_accepted_and_no_other),
        cmocka_unit_test(nothing_ill_formed_is_accepted),
        cmocka_unit_test(rfc_examples_are_accepted_where_deterministic),
        cmocka_unit_test(map_keys_are_ordered_by_bytes_not_by_length_first),
        cmocka_unit_test(depth_is_bounded_in_every_kind_of_nest),
        cmocka_unit_test(lengths_beyond_the_input_are_refused_before_anything_is_done),
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(the_first_error_sticks_and_reads_give_nothing_after_it),
        cmocka_unit_test(integers_outside_int64_are_out_of_range),
        cmocka_unit_test(a_value_of_another_type_is_malformed),
        cmocka_unit_test(floats_must_stand_in_their_shortest_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
