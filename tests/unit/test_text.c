/* test_text.c - names, hex, fingerprints and references as people type them, and foreign text on a terminal. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "text.h"

static bool is_party(const char *name) { return text_is_party(bytes_text(name)); }
static bool is_post(const char *name) { return text_is_post(bytes_text(name)); }

static void names_of_parties_and_posts_are_narrow(void **state) {
    (void)state;
    assert_true(is_party("de") && is_party("org.first") && is_party("a") && is_party("x-1"));
    assert_true(is_party("abcdefghijklmnopqrstuvwxyzabcdef"));
    assert_false(is_party("abcdefghijklmnopqrstuvwxyzabcdefg"));
    assert_false(is_party("") || is_party("De") || is_party("1a") || is_party(".a") || is_party("d e") ||
                 is_party("d/e"));
    assert_false(is_party("d\xc3\xa9"));
    assert_true(is_post("de/technical") && is_post("org.first/duty-1"));
    assert_false(is_post("de") || is_post("de/") || is_post("/x") || is_post("de/a.b") || is_post("de/a/b"));
    assert_false(is_post("de/Technical") || is_post("de/1") || is_post(""));
    assert_false(text_is_post(bytes_of("de/te\0h", 7)));
    assert_true(is_post("abcdefghijklmnopqrstuvwxyzabcdef/abcdefghijklmnopqrstuvwxyzabcdef"));
    assert_false(is_post("de/abcdefghijklmnopqrstuvwxyzabcdefg"));
    assert_true(bytes_are(text_party_of(bytes_text("de/technical")), "de"));
    assert_true(bytes_are(text_party_of(bytes_text("de")), "de"));
}

static void hex_is_read_back_in_either_case(void **state) {
    (void)state;
    uint8_t bytes[] = {0x00, 0x9f, 0xa0, 0xff}, got[4];
    char out[9];
    text_hex(bytes, 4, out);
    assert_string_equal(out, "009fa0ff");
    assert_int_equal(text_unhex(bytes_text(out), got, 4), E_OK);
    assert_memory_equal(got, bytes, 4);
    assert_int_equal(text_unhex(bytes_text("009FA0Ff"), got, 4), E_OK);
    assert_memory_equal(got, bytes, 4);
    uint8_t before[4] = {1, 2, 3, 4};
    static const char *const bad[] = {"009fa0f", "009fa0ff0", "009fa0ff00", "009fa0fg", "", " 09fa0ff"};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        assert_int_equal(text_unhex(bytes_text(bad[i]), before, 4), E_BAD_TEXT);
        assert_memory_equal(before, "\1\2\3\4", 4);
    }
}

static void a_fingerprint_is_ten_groups_of_three_bytes_each(void **state) {
    (void)state;
    uint8_t hash[HASH_SIZE] = {0x00, 0x00, 0x07, 0x01, 0x86, 0x9f, 0x01, 0x86, 0xa0, 0xff, 0xff, 0xff};
    char out[TEXT_FINGERPRINT_SIZE];
    text_fingerprint(hash, out);
    assert_string_equal(out, "00007 99999 00000 77215 00000 00000 00000 00000 00000 00000");
}

static void a_typed_fingerprint_matches_whatever_separates_its_digits(void **state) {
    (void)state;
    uint8_t hash[HASH_SIZE];
    for (size_t i = 0; i < HASH_SIZE; i++) hash[i] = (uint8_t)(i * 41 + 3);
    char right[TEXT_FINGERPRINT_SIZE], typed[64] = "";
    text_fingerprint(hash, right);
    assert_true(text_fingerprint_matches(hash, right));
    size_t n = 0;
    for (size_t i = 0; right[i]; i++)
        if (right[i] != ' ') typed[n++] = right[i];
    typed[n] = 0;
    assert_true(text_fingerprint_matches(hash, typed));
    assert_false(text_fingerprint_matches(hash, ""));
    for (size_t i = 0; i < n; i++) {
        char was = typed[i];
        typed[i] = was == '9' ? '0' : (char)(was + 1);
        assert_false(text_fingerprint_matches(hash, typed));
        typed[i] = 0;
        assert_false(text_fingerprint_matches(hash, typed));
        typed[i] = was;
    }
    typed[n] = '0';
    typed[n + 1] = 0;
    assert_false(text_fingerprint_matches(hash, typed));
    for (size_t i = 0; right[i]; i++)
        if (right[i] == ' ') right[i] = i % 4 ? '-' : '.';
    assert_true(text_fingerprint_matches(hash, right));
    right[0] = 'x';
    assert_false(text_fingerprint_matches(hash, right));
}

static void a_reference_is_read_back_as_people_type_it(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE] = {0x00, 0x44, 0x32, 0x14};
    char out[TEXT_REFERENCE_SIZE];
    uint32_t bits;
    for (unsigned i = 0; i < 4000; i++) {
        digest[0] = (uint8_t)(i * 7);
        digest[1] = (uint8_t)(i * 31 + 5);
        digest[2] = (uint8_t)(i >> 3);
        digest[3] = (uint8_t)(i * 4);
        text_reference(digest, out);
        assert_int_equal(strlen(out), 7);
        assert_int_equal(text_reference_parse(bytes_text(out), &bits), E_OK);
        assert_int_equal(bits, text_reference_bits(digest));
    }
    uint8_t first[HASH_SIZE] = {0x9c, 0xee, 0xe8, 0x51}; /* 10011 10011 10111 01110 10000 10100 */
    text_reference(first, out);
    assert_string_equal(out, "KKQ-EGM");
    static const char *const same[] = {"KKQ-EGM", "kkq-egm", "KkqEGm"};
    for (size_t i = 0; i < LENGTH(same); i++) {
        assert_int_equal(text_reference_parse(bytes_text(same[i]), &bits), E_OK);
        assert_int_equal(bits, text_reference_bits(first));
    }
    uint32_t clean;
    assert_int_equal(text_reference_parse(bytes_text("IlO-oLi"), &bits), E_OK);
    assert_int_equal(text_reference_parse(bytes_text("110-011"), &clean), E_OK);
    assert_int_equal(bits, clean);
}

static void what_is_no_reference_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",         "KKQ",     "KKQ-EG",  "KKQ-EGMM", "KK-QEGM",
                                      "KKQ--EGM", "KKQ-EGU", "KKQEGM-", "-KKQEGM",  "KKQ EGM"};
    uint32_t bits = 77;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        if (text_reference_parse(bytes_text(bad[i]), &bits) != E_BAD_TEXT) fail_msg("%s", bad[i]);
        assert_int_equal(bits, 77);
    }
    assert_int_equal(text_reference_parse(bytes_of("KKQ-EG\0", 7), &bits), E_BAD_TEXT);
}

static void expect_shown(struct bytes text, bool many_lines, const char *want) {
    AUTO_BUF out = {0};
    text_for_terminal(text, many_lines, &out);
    assert_int_equal(buf_error(&out), E_OK);
    assert_int_equal(out.n, strlen(want));
    assert_string_equal((const char *)out.p, want);
}

#define BAD "\xef\xbf\xbd"

static void foreign_text_cannot_drive_the_terminal(void **state) {
    (void)state;
    expect_shown(bytes_text("plain, gr\xc3\xbc\xc3\x9f, \xe6\xb0\xb4, \xf0\x9f\x98\x80"), false,
                 "plain, gr\xc3\xbc\xc3\x9f, \xe6\xb0\xb4, \xf0\x9f\x98\x80");
    expect_shown(bytes_text("\x1b[2J\x07\x7f"), true, BAD "[2J" BAD BAD);
    expect_shown(bytes_of("a\0b", 3), true, "a" BAD "b");
    expect_shown(bytes_text("a\xc2\x9b"
                            "2J"),
                 true, "a" BAD "2J"); /* CSI as one C1 character */
    expect_shown(bytes_text("line\nnext\tcolumn\r"), true, "line\nnext\tcolumn" BAD);
    expect_shown(bytes_text("line\nnext\tcolumn"), false, "line" BAD "next" BAD "column");
    expect_shown((struct bytes){0}, false, "");
}

static void text_cannot_be_shown_in_another_order_than_it_is_written(void **state) {
    (void)state;
    expect_shown(bytes_text("a\xe2\x80\xaa\xe2\x80\xae"
                            "b"),
                 true, "a" BAD BAD "b");
    expect_shown(bytes_text("\xe2\x81\xa6\xe2\x81\xa9"), true, BAD BAD);
    expect_shown(bytes_text("\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c"), true, BAD BAD BAD);
    expect_shown(bytes_text("\xe2\x80\xa8\xe2\x80\xa9"), true, BAD BAD); /* line and paragraph separator */
    expect_shown(bytes_text("\xe2\x80\xa7|\xe2\x80\xaf|\xe2\x81\xa5|\xe2\x81\xaa"), true,
                 "\xe2\x80\xa7|\xe2\x80\xaf|\xe2\x81\xa5|\xe2\x81\xaa"); /* the neighbours stay */
}

static void bytes_that_are_no_utf8_are_replaced(void **state) {
    (void)state;
    expect_shown(bytes_text("a\xff"
                            "b"),
                 true, "a" BAD "b");
    expect_shown(bytes_text("\xc0\xaf"), true, BAD BAD);                 /* overlong */
    expect_shown(bytes_text("\xed\xa0\x80"), true, BAD BAD BAD);         /* a surrogate */
    expect_shown(bytes_text("\xf4\x90\x80\x80"), true, BAD BAD BAD BAD); /* beyond U+10FFFF */
    expect_shown(bytes_text("a\xe6\xb0"), true, "a" BAD BAD);            /* cut */
}

static void a_mistyped_word_finds_its_neighbour_and_nonsense_none(void **state) {
    (void)state;
    static const char *const names[] = {"accept", "decline", "inbox", "sent", "sync", "status"};
    assert_string_equal(text_nearest("acept", names, LENGTH(names)), "accept");
    assert_string_equal(text_nearest("delcine", names, LENGTH(names)), "decline");
    assert_string_equal(text_nearest("snyc", names, LENGTH(names)), "sync");
    assert_string_equal(text_nearest("statsu", names, LENGTH(names)), "status");
    assert_string_equal(text_nearest("inbox", names, LENGTH(names)), "inbox");
    assert_null(text_nearest("xyzzy", names, LENGTH(names)));
    assert_null(text_nearest("", names, LENGTH(names)));
    assert_null(text_nearest("accept", names, 0));
    static const char *const shorts[] = {"ls"};
    assert_null(text_nearest("ab", shorts, 1));
}

/* ---- codes ---- */

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void a_code_is_read_back_as_people_type_it(void **state) {
    (void)state;
    uint8_t secret[2 * TEXT_CODE_ROW], back[sizeof secret];
    char code[2 * TEXT_CODE_SIZE];
    for (size_t i = 0; i < sizeof secret; i++) secret[i] = (uint8_t)(i * 37 + 200);
    text_code(secret, 2, code);
    assert_int_equal(strlen(code), 2 * TEXT_CODE_SIZE - 1);
    assert_int_equal(text_code_parse(bytes_text(code), back, 2), E_OK);
    assert_memory_equal(back, secret, sizeof secret);
    text_code(secret, 1, code);
    assert_int_equal(strlen(code), TEXT_CODE_SIZE - 1);
    for (char *p = code; *p; p++)
        *p = *p == '0' ? 'o' : *p == '1' ? 'l' : *p == '-' ? ' ' : (char)(*p >= 'A' ? *p - 'A' + 'a' : *p);
    assert_int_equal(text_code_parse(bytes_text(code), back, 1), E_OK);
    assert_memory_equal(back, secret, TEXT_CODE_ROW);
}

static void codes_of_extreme_secrets_are_fixed(void **state) {
    (void)state;
    uint8_t secret[TEXT_CODE_ROW] = {0};
    char code[TEXT_CODE_SIZE];
    text_code(secret, 1, code);
    assert_string_equal(code, "0000-0000-0000-0000-0000-0000-0000");
    memset(secret, 0xff, sizeof secret);
    text_code(secret, 1, code);
    code[32] = 0;
    assert_string_equal(code, "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZW"); /* two zero bits end the 26th symbol */
}

/* Every symbol of every row, replaced by each of the others; then every two neighbours swapped, and every symbol left out. */
static void no_single_mistake_in_a_code_passes(void **state) {
    (void)state;
    uint8_t secret[2 * TEXT_CODE_ROW], back[sizeof secret];
    char code[2 * TEXT_CODE_SIZE], wrong[2 * TEXT_CODE_SIZE];
    size_t tried = 0;
    for (size_t i = 0; i < sizeof secret; i++) secret[i] = (uint8_t)(i * 101 + 7);
    text_code(secret, 2, code);
    for (size_t i = 0; code[i]; i++) {
        if (code[i] == '-') continue;
        for (const char *other = crockford; *other; other++) {
            if (*other == code[i]) continue;
            memcpy(wrong, code, sizeof code);
            wrong[i] = *other;
            memset(back, 0x55, sizeof back);
            assert_int_equal(text_code_parse(bytes_text(wrong), back, 2), E_BAD_CODE);
            assert_int_equal(back[0], 0x55);
            tried++;
        }
        size_t next = i + 1 + (code[i + 1] == '-');
        memcpy(wrong, code, sizeof code);
        memmove(wrong + i, wrong + i + 1, strlen(wrong + i));
        assert_int_equal(text_code_parse(bytes_text(wrong), back, 2), E_BAD_CODE);
        if (!code[i + 1] || code[next] == code[i]) continue;
        memcpy(wrong, code, sizeof code);
        wrong[i] = code[next];
        wrong[next] = code[i];
        assert_int_equal(text_code_parse(bytes_text(wrong), back, 2), E_BAD_CODE);
    }
    assert_int_equal(tried, 2 * 28 * 31);
    memcpy(wrong, code + TEXT_CODE_SIZE, TEXT_CODE_SIZE - 1); /* the two rows, one for the other */
    wrong[TEXT_CODE_SIZE - 1] = '-';
    memcpy(wrong + TEXT_CODE_SIZE, code, TEXT_CODE_SIZE - 1);
    wrong[2 * TEXT_CODE_SIZE - 1] = 0;
    assert_int_equal(text_code_parse(bytes_text(wrong), back, 2), E_BAD_CODE);
    assert_int_equal(text_code_parse(bytes_text(""), back, 1), E_BAD_CODE);
    assert_int_equal(text_code_parse(bytes_text(code), back, 1), E_BAD_CODE);
    assert_int_equal(text_code_parse(bytes_text("0000-0000-0000-0000-0000-0000-000U"), back, 1), E_BAD_CODE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_is_read_back_as_people_type_it),
        cmocka_unit_test(codes_of_extreme_secrets_are_fixed),
        cmocka_unit_test(no_single_mistake_in_a_code_passes),
        cmocka_unit_test(names_of_parties_and_posts_are_narrow),
        cmocka_unit_test(hex_is_read_back_in_either_case),
        cmocka_unit_test(a_fingerprint_is_ten_groups_of_three_bytes_each),
        cmocka_unit_test(a_typed_fingerprint_matches_whatever_separates_its_digits),
        cmocka_unit_test(a_reference_is_read_back_as_people_type_it),
        cmocka_unit_test(what_is_no_reference_is_refused),
        cmocka_unit_test(foreign_text_cannot_drive_the_terminal),
        cmocka_unit_test(text_cannot_be_shown_in_another_order_than_it_is_written),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
        cmocka_unit_test(a_mistyped_word_finds_its_neighbour_and_nonsense_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
