/* test_present.c - how things look: widths, foreign text, markings, times, and the JSON that scripts rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is a function (failure.h) */

#include <locale.h>
#include <stdio.h>
#include <time.h>

#include "present.h"
#include "words.h"

static const struct look plain = {0};
static const struct look colored = {.terminal = true, .color = true};

/* What is printed, as one text that the caller frees. */
struct page {
    FILE *out;
    char *text;
    size_t n;
};
static struct page page_open(void) {
    struct page page = {0};
    return page;
}
static void page_begin(struct page *page) {
    page->out = open_memstream(&page->text, &page->n);
    assert_non_null(page->out);
}
static const char *page_end(struct page *page) {
    fclose(page->out);
    return page->text;
}

static void width_counts_columns_not_bytes(void **state) {
    (void)state;
    assert_int_equal(present_width("abc"), 3);
    assert_int_equal(present_width("K\xc3\xb6ln"), 4);
    assert_int_equal(present_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two wide characters */
    assert_int_equal(present_width("e\xcc\x81"), 1);                /* a combining accent takes none */
    assert_int_equal(present_width(""), 0);
}

static void columns_stay_aligned_with_wide_text(void **state) {
    (void)state;
    static const char *const heads[] = {"NAME", "N>", "LAST"};
    AUTO_TABLE table = {.heads = heads, .columns = 3};
    table_add(&table, STYLE_NONE, "\xe6\x97\xa5\xe6\x9c\xac");
    table_add(&table, STYLE_NONE, "7");
    table_add(&table, STYLE_NONE, "x");
    table_add(&table, STYLE_NONE, "abcdef");
    table_add(&table, STYLE_NONE, "12");
    table_add(&table, STYLE_NONE, "y");
    struct page page = page_open();
    page_begin(&page);
    table_print(&table, page.out, &plain);
    assert_string_equal(page_end(&page), "NAME     N  LAST\n\xe6\x97\xa5\xe6\x9c\xac     7  x\nabcdef  12  y\n");
    free(page.text);
}

static void a_narrow_window_cuts_the_elastic_column_only(void **state) {
    (void)state;
    static const char *const heads[] = {"ID", "SUBJECT"};
    AUTO_TABLE table = {.heads = heads, .columns = 2, .elastic = 1};
    table_add(&table, STYLE_NONE, "K7Q-M2F");
    table_add(&table, STYLE_NONE, "a subject that is much too long for the window");
    struct page page = page_open();
    page_begin(&page);
    table_print(&table, page.out, &(struct look){.terminal = true, .width = 24});
    const char *row = strchr(page_end(&page), '\n') + 1;
    assert_memory_equal(row, "K7Q-M2F  ", 9);
    AUTO_FREE(char) line = strndup(row, strcspn(row, "\n"));
    assert_int_equal(present_width(line), 24);
    assert_non_null(strstr(line, "\xe2\x80\xa6"));
    free(page.text);
}

static void foreign_text_cannot_drive_the_terminal(void **state) {
    (void)state;
    static const char hostile[] = "a\033[2Jb\xe2\x80\xae"
                                  "c\xe2\x81\xa6"
                                  "d\x07";
    static const char *const heads[] = {"SUBJECT"};
    AUTO_TABLE table = {.heads = heads, .columns = 1};
    table_add(&table, STYLE_NONE, "%s", hostile);
    struct page page = page_open();
    page_begin(&page);
    present_text(page.out, &plain, STYLE_NONE, bytes_text(hostile), true);
    table_print(&table, page.out, &plain);
    const char *text = page_end(&page);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\a'));
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_null(strstr(text, "\xe2\x81\xa6"));
    assert_non_null(strstr(text, "\xef\xbf\xbd"));
    free(page.text);
}

static void line_ends_in_a_cell_do_not_break_the_table(void **state) {
    (void)state;
    static const char *const heads[] = {"SUBJECT"};
    AUTO_TABLE table = {.heads = heads, .columns = 1};
    table_add(&table, STYLE_NONE, "one\ntwo");
    struct page page = page_open();
    page_begin(&page);
    table_print(&table, page.out, &plain);
    const char *text = page_end(&page);
    unsigned lines = 0;
    for (const char *p = text; *p; p++) lines += *p == '\n';
    assert_int_equal(lines, 2);
    free(page.text);
}

static void the_marking_is_a_word_and_its_colour_is_beside_it(void **state) {
    (void)state;
    struct page page = page_open();
    page_begin(&page);
    present_tlp(page.out, &plain, true, TLP_AMBER_STRICT);
    assert_string_equal(page_end(&page), "TLP:AMBER+STRICT");
    free(page.text);
    page_begin(&page);
    present_tlp(page.out, &colored, true, TLP_RED);
    const char *text = page_end(&page);
    assert_non_null(strstr(text, "TLP:RED"));
    assert_non_null(strstr(text, "38;2;255;43;43"));
    assert_non_null(strstr(text, "\033[0m"));
    free(page.text);
    page_begin(&page);
    present_tlp(page.out, &colored, false, TLP_RED);
    assert_string_equal(page_end(&page), "-");
    free(page.text);
}

static void no_color_is_obeyed(void **state) {
    (void)state;
    assert_false(look_of(stdout, true).color);
    setenv("NO_COLOR", "1", 1);
    assert_false(look_of(stdout, false).color);
    unsetenv("NO_COLOR");
    /* A file is no terminal. */
    FILE *file = tmpfile();
    assert_non_null(file);
    struct look look = look_of(file, false);
    assert_false(look.terminal);
    assert_false(look.color);
    fclose(file);
}

static void an_exercise_is_loud_and_the_rest_is_not(void **state) {
    (void)state;
    struct page page = page_open();
    page_begin(&page);
    present_exercise(page.out, &plain, false);
    assert_string_equal(page_end(&page), "");
    free(page.text);
    page_begin(&page);
    present_exercise(page.out, &plain, true);
    assert_non_null(strstr(page_end(&page), "EXERCISE"));
    free(page.text);
}

static void times_are_iso_8601_in_utc_and_local(void **state) {
    (void)state;
    char out[TIME_SIZE];
    struct instant time = {1769860800000};
    setenv("TZ", "XXX-05:30", 1);
    tzset();
    assert_string_equal(present_utc(time, out), "2026-01-31T12:00:00Z");
    assert_string_equal(present_time(&plain, time, out), "2026-01-31T12:00:00Z");
    assert_string_equal(present_time(&(struct look){.terminal = true}, time, out), "2026-01-31 17:30 +05:30 (12:00Z)");
    assert_string_equal(present_utc((struct instant){0}, out), "-");
}

static struct request_view sample(struct leg_view *legs, size_t count) {
    struct request_view view = {.reference = "K7Q-M2F",
                                .from = "fj/technical",
                                .kind = KIND_INCIDENT,
                                .has_tlp = true,
                                .tlp = TLP_AMBER,
                                .precedence = PRECEDENCE_FLASH,
                                .subject = "Hello \"x\"",
                                .legs = legs,
                                .leg_count = count,
                                .stored = {1769860800000},
                                .has_answer_by = true,
                                .answer_by = {1769864400000}};
    for (unsigned i = 0; i < HASH_SIZE; i++) view.digest[i] = (uint8_t)i;
    return view;
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static void a_request_line_has_the_promised_fields(void **state) {
    (void)state;
    static const char *const promised[] = {"id",         "ref",      "from",  "subject",   "kind",     "tlp",     "precedence",
                                           "exercise",   "state",    "answer_by", "received", "parent", "ignored", "policy"};
    struct leg_view leg = {.to = "de/technical", .state = STATE_NOTIFIED};
    struct request_view view = sample(&leg, 1);
    json_t *line = present_json_request(&view);
    for (size_t i = 0; i < LENGTH(promised); i++) assert_non_null(json_object_get(line, promised[i]));
    assert_int_equal(json_object_size(line), LENGTH(promised));
    assert_string_equal(text_of(line, "id"), "000102030405060708090a0b0c0d0e0f");
    assert_string_equal(text_of(line, "ref"), "K7Q-M2F");
    assert_string_equal(text_of(line, "subject"), "Hello \"x\"");
    assert_string_equal(text_of(line, "kind"), "incident");
    assert_string_equal(text_of(line, "tlp"), "AMBER");
    assert_string_equal(text_of(line, "precedence"), "flash");
    assert_string_equal(text_of(line, "state"), "notified");
    assert_string_equal(text_of(line, "answer_by"), "2026-01-31T13:00:00Z");
    assert_string_equal(text_of(line, "received"), "2026-01-31T12:00:00Z");
    assert_true(json_is_false(json_object_get(line, "exercise")));
    assert_true(json_is_null(json_object_get(line, "parent")));
    json_decref(line);
}

static void what_is_still_sealed_is_null(void **state) {
    (void)state;
    struct leg_view leg = {.to = "de/technical", .state = STATE_STORED};
    struct request_view view = sample(&leg, 1);
    view.sealed = true;
    json_t *line = present_json_request(&view);
    assert_true(json_is_null(json_object_get(line, "subject")));
    assert_true(json_is_null(json_object_get(line, "kind")));
    assert_true(json_is_null(json_object_get(line, "tlp")));
    assert_string_equal(text_of(line, "from"), "fj/technical");
    json_decref(line);
}

static void a_parents_state_is_computed_from_its_legs(void **state) {
    (void)state;
    struct leg_view legs[] = {{.to = "de/technical", .state = STATE_ACCEPTED},
                              {.to = "fr/technical", .state = STATE_ACCEPTED}};
    struct request_view view = sample(legs, 2);
    assert_string_equal(present_state(&view), "accepted");
    legs[1].state = STATE_DECLINED;
    assert_string_equal(present_state(&view), "mixed");
    legs[1] = (struct leg_view){.to = "fr/technical", .state = STATE_NONE, .refused = E_UNKNOWN_POST};
    assert_string_equal(present_leg_state(&legs[1]), "refused");
    legs[1].refused = E_BUSY; /* it goes out later */
    assert_string_equal(present_leg_state(&legs[1]), "none");
    json_t *list = present_json_legs(&view);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text_of(json_array_get(list, 0), "to"), "de/technical");
    assert_string_equal(text_of(json_array_get(list, 0), "state"), "accepted");
    assert_string_equal(text_of(json_array_get(list, 1), "error"), "busy");
    json_decref(list);
}

static void an_event_says_who_spoke_and_by_which_clock(void **state) {
    (void)state;
    struct event_view event = {.event = EVENT_DECLINED,
                               .from = STATE_NOTIFIED,
                               .to = STATE_DECLINED,
                               .actor = "de/technical",
                               .officer = true,
                               .has_entry = true,
                               .at = {1769860800000},
                               .device_time = {1769860799000},
                               .ordinal = 2,
                               .log_index = 77,
                               .has_reason = true,
                               .reason = 16};
    json_t *one = present_json_event(&event);
    assert_string_equal(text_of(one, "event"), "ConsignmentRejection");
    assert_string_equal(text_of(one, "actor"), "de/technical");
    assert_string_equal(text_of(one, "signer"), "officer");
    assert_string_equal(text_of(one, "at"), "2026-01-31T12:00:00Z");
    assert_string_equal(text_of(one, "device_time"), "2026-01-31T11:59:59Z");
    assert_string_equal(text_of(one, "reason"), "not-competent");
    assert_int_equal(json_integer_value(json_object_get(one, "ordinal")), 2);
    assert_int_equal(json_integer_value(json_object_get(one, "log_index")), 77);
    json_decref(one);
    event = (struct event_view){.event = EVENT_STORED};
    one = present_json_event(&event);
    assert_string_equal(text_of(one, "actor"), "relay");
    assert_string_equal(text_of(one, "signer"), "machine");
    assert_true(json_is_null(json_object_get(one, "ordinal")));
    json_decref(one);
}

static void bytes_that_are_not_utf8_still_make_json(void **state) {
    (void)state;
    json_t *text = present_json_text(bytes_text("a\xff"
                                                "b"));
    assert_non_null(text);
    assert_string_equal(json_string_value(text), "a\xef\xbf\xbd"
                                                 "b");
    json_decref(text);
}

static void words_and_numbers_agree(void **state) {
    (void)state;
    unsigned number;
    char list[256];
    assert_int_equal(words_parse(WORDS_TLP, "tlp:amber+strict", &number), E_OK);
    assert_int_equal(number, TLP_AMBER_STRICT);
    assert_int_equal(words_parse(WORDS_KIND, "PING", &number), E_OK);
    assert_int_equal(number, KIND_PING);
    assert_int_equal(words_parse(WORDS_KIND, "pings", &number), E_BAD_TEXT);
    assert_string_equal(words_name(WORDS_PRECEDENCE, PRECEDENCE_IMMEDIATE), "immediate");
    assert_string_equal(words_name(WORDS_PRECEDENCE, 99), "unknown");
    assert_int_equal(words_reason_parse("no-capacity", &number), E_OK);
    assert_string_equal(words_reason(number), "no-capacity");
    assert_int_equal(words_reason_parse("17", &number), E_OK);
    assert_string_equal(words_reason(number), "no-capacity");
    assert_int_equal(words_reason_parse("no", &number), E_BAD_TEXT);
    assert_null(words_reason(60000));
    assert_int_equal(words_functions_parse("diplomatic,technical", &number), E_OK);
    assert_int_equal(number, FUNCTION_DIPLOMATIC | FUNCTION_TECHNICAL);
    words_functions(number, list, sizeof list);
    assert_string_equal(list, "diplomatic,technical");
    assert_int_equal(words_functions_parse("diplomatic,", &number), E_BAD_TEXT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(width_counts_columns_not_bytes),
        cmocka_unit_test(columns_stay_aligned_with_wide_text),
        cmocka_unit_test(a_narrow_window_cuts_the_elastic_column_only),
        cmocka_unit_test(foreign_text_cannot_drive_the_terminal),
        cmocka_unit_test(line_ends_in_a_cell_do_not_break_the_table),
        cmocka_unit_test(the_marking_is_a_word_and_its_colour_is_beside_it),
        cmocka_unit_test(no_color_is_obeyed),
        cmocka_unit_test(an_exercise_is_loud_and_the_rest_is_not),
        cmocka_unit_test(times_are_iso_8601_in_utc_and_local),
        cmocka_unit_test(a_request_line_has_the_promised_fields),
        cmocka_unit_test(what_is_still_sealed_is_null),
        cmocka_unit_test(a_parents_state_is_computed_from_its_legs),
        cmocka_unit_test(an_event_says_who_spoke_and_by_which_clock),
        cmocka_unit_test(bytes_that_are_not_utf8_still_make_json),
        cmocka_unit_test(words_and_numbers_agree),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
