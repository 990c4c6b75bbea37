/* test_contact.c - contact cards: the forms of their fields, hours, sheets and their seals. */
#include "contact.h"

#include <sodium.h>

#include "directory_fixture.h"
#include "hpke.h"
#include "sheet.h"

#define POST_NAME "de/technical"

static bool good(enum contact_field field, const char *value) {
    return contact_field_check(bytes_text(POST_NAME), field, bytes_text(value)) == E_OK;
}

/* ---- fields ---- */

static void every_field_has_its_own_number_and_name(void **state) {
    (void)state;
    for (const struct contact_field_row *row = contact_field_rows; row->name; row++) {
        assert_ptr_equal(contact_field_row(row->field), row);
        assert_ptr_equal(contact_field_named(bytes_text(row->name)), row);
        if (row[1].name) assert_true(row[1].field > row->field);
        assert_true(row->audience == AUDIENCE_NOBODY || row->audience == AUDIENCE_MEMBERS);
    }
    assert_null(contact_field_row(0));
    assert_null(contact_field_named(bytes_text("fax")));
}

static void values_have_the_form_of_their_field(void **state) {
    static const struct {
        enum contact_field field;
        const char *good[5], *bad[12];
    } cases[] = {
        {CONTACT_OFFICE,
         {"Lagezentrum", "\xd9\x85\xd8\xb1\xd9\x83\xd8\xb2", "a b"},
         {"", " a", "a ", "a\nb", "a\x7f", "a\xc2\x85",
          "a\xe2\x80\xae"
          "b",
          "a\xe2\x81\xa6", "\xff", "a\xe2\x80\xa8"}},
        {CONTACT_LEVEL, {"working", "head-of-unit", "director", "ministerial"}, {"Working", "boss"}},
        {CONTACT_PHONE,
         {"+49 30 1234567", "(030) 12-34", "112", "+679 3211 000 ext 12"},
         {"12", "call me", "+49+30", "+49 30 ext", "1234 ext ", "+", "0123456789012345678901234567890123456789012",
          "12a4"}},
        {CONTACT_EMAIL, {"a@b", "desk.one@cert.example"}, {"a", "@b", "a@", "a@b@c", "a @b", "a@b,c@d"}},
        {CONTACT_LANGUAGES,
         {"de", "fr, en", "zh-Hant-TW", "es-419", "fil"},
         {"", "German", "d", "de,en", "de, ", ", de", "de-", "-de", "de--AT", "12", "de-123456789", "de;en"}},
        {CONTACT_ZONE,
         {"Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"},
         {"", "../passwd", "/etc/passwd", "Europe/", "Europe//Berlin", "Europe/../x", "a b", "Europe/.hidden"}},
        {CONTACT_FALLBACK,
         {"de/national", "de/policy, de/national"},
         {"fj/technical", POST_NAME, "de", "de/policy,de/national", "de/policy, "}},
        {CONTACT_STAND_IN, {"de/national"}, {"de/policy, de/national", "fj/national", POST_NAME}},
        {CONTACT_AWAY_UNTIL,
         {"2026-12-01T08:00:00Z", "2024-02-29T23:59:59Z", "1970-01-01T00:00:00Z"},
         {"2026-12-01", "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
          "2026-12-01T24:00:00Z", "2026-12-01T08:00:00", "2026-12-01T08:00:00Zx", "1969-12-31T23:59:59Z"}},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        for (size_t j = 0; j < LENGTH(cases[i].good) && cases[i].good[j]; j++)
            if (!good(cases[i].field, cases[i].good[j])) fail_msg("refused: %s", cases[i].good[j]);
        for (size_t j = 0; j < LENGTH(cases[i].bad) && cases[i].bad[j]; j++)
            if (good(cases[i].field, cases[i].bad[j])) fail_msg("taken: %s", cases[i].bad[j]);
    }
}

static void a_value_may_be_long_but_not_too_long(void **state) {
    static char text[CARD_VALUE_MAX + 2];
    (void)state;
    memset(text, 'x', CARD_VALUE_MAX + 1);
    assert_int_equal(contact_field_check(bytes_text(POST_NAME), CONTACT_NOTE, bytes_of(text, CARD_VALUE_MAX)), E_OK);
    assert_int_equal(contact_field_check(bytes_text(POST_NAME), CONTACT_NOTE, bytes_of(text, CARD_VALUE_MAX + 1)),
                     E_OUT_OF_RANGE);
}

static void hours_are_open_from_their_begin_to_just_before_their_end(void **state) {
    static const struct {
        const char *hours;
        unsigned weekday, hour, minute;
        bool open;
    } cases[] = {
        {"24/7", 6, 3, 12, true},
        {"Mon-Fri 08:00-17:00", 0, 8, 0, true},
        {"Mon-Fri 08:00-17:00", 4, 16, 59, true},
        {"Mon-Fri 08:00-17:00", 4, 17, 0, false},
        {"Mon-Fri 08:00-17:00", 0, 7, 59, false},
        {"Mon-Fri 08:00-17:00", 5, 12, 0, false},
        {"Mon-Fri 08:00-17:00, Sat 09:00-12:00", 5, 9, 30, true},
        {"Sun-Thu 09:00-15:00", 6, 9, 0, true},
        {"Sun-Thu 09:00-15:00", 3, 9, 0, true},
        {"Sun-Thu 09:00-15:00", 4, 9, 0, false},
        {"Fri 22:00-06:00", 4, 23, 0, true},
        {"Fri 22:00-06:00", 5, 5, 59, true},
        {"Fri 22:00-06:00", 5, 6, 0, false},
        {"Fri 22:00-06:00", 4, 3, 0, false},
        {"Sun 22:00-02:00", 0, 1, 0, true},
        {"Mon-Sun 00:00-24:00", 2, 23, 59, true},
    };
    struct contact_hours hours;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_int_equal(contact_hours_parse(bytes_text(cases[i].hours), &hours), E_OK);
        bool open = contact_hours_open(&hours, cases[i].weekday, cases[i].hour * 60 + cases[i].minute);
        if (open != cases[i].open)
            fail_msg("%s, day %u, %u:%u", cases[i].hours, cases[i].weekday, cases[i].hour, cases[i].minute);
    }
}

static void hours_that_are_none_are_refused(void **state) {
    static const char *const bad[] = {"",
                                      "always",
                                      "Mon",
                                      "Mon 8:00-17:00",
                                      "Mon 08:00",
                                      "Mon 08:00-",
                                      "Mon 08:00-08:00",
                                      "Mon 24:00-08:00",
                                      "Mon 08:00-24:01",
                                      "Mon 08:60-09:00",
                                      "Mon  08:00-09:00",
                                      "mon 08:00-09:00",
                                      "Mon-Xxx 08:00-09:00",
                                      "Mon 08:00-09:00, ",
                                      "Mon 08:00-09:00,Tue 08:00-09:00",
                                      "Mon 08:00-09:00 x",
                                      "24/7, Mon 08:00-09:00"};
    struct contact_hours hours;
    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (contact_hours_parse(bytes_text(bad[i]), &hours) == E_OK) fail_msg("taken: %s", bad[i]);
    AUTO_BUF many = {0};
    for (size_t i = 0; i <= CONTACT_RANGES_MAX; i++)
        buf_add_bytes(&many, bytes_text(i ? ", Mon 01:00-02:00" : "Mon 01:00-02:00"));
    assert_int_equal(contact_hours_parse(buf_bytes(&many), &hours), E_OUT_OF_RANGE);
}

static void times_read_back_what_they_print(void **state) {
    char text[CONTACT_TIME_SIZE];
    struct instant time;
    (void)state;
    for (uint64_t seconds = 0; seconds < UINT64_C(8000000000); seconds += UINT64_C(12345677)) {
        contact_time_format((struct instant){seconds * 1000}, text);
        assert_int_equal(contact_time_parse(bytes_text(text), &time), E_OK);
        assert_int_equal(time.ms, seconds * 1000);
    }
    contact_time_format((struct instant){UINT64_C(1764576000000)}, text);
    assert_string_equal(text, "2025-12-01T08:00:00Z");
}

/* ---- sheets ---- */

struct sample {
    struct sheet sheet;
    struct buf parties, fields, bytes;
    uint8_t commitment[HASH_SIZE];
};

static void sample_free(struct sample *sample) {
    buf_free(&sample->parties);
    buf_free(&sample->fields);
    buf_free(&sample->bytes);
}
#define AUTO_SAMPLE __attribute__((cleanup(sample_free))) struct sample

static void add_field(struct sample *sample, uint64_t field, const char *value) {
    cardfield_encode(&(struct cardfield){field, bytes_text(value)}, &sample->fields);
    sample->sheet.fields = list_of(&sample->fields, sample->sheet.fields.count + 1);
}

static void add_party(struct sample *sample, const char *party) {
    cbor_put_bytes(&sample->parties, bytes_text(party));
    sample->sheet.parties = list_of(&sample->parties, sample->sheet.parties.count + 1);
}

static struct sample sample_of(enum card_audience audience) {
    struct sample sample = {.sheet = {.post = bytes_text(POST_NAME), .salt = {1, 2, 3}, .audience = audience}};
    return sample;
}

static void fill(struct sample *sample) {
    if (sample->sheet.audience == AUDIENCE_PARTIES) {
        add_party(sample, "fj");
        add_party(sample, "fr");
    }
    add_field(sample, CONTACT_OFFICE, "Lagezentrum");
    add_field(sample, CONTACT_PHONE, "+49 30 5550100");
    assert_ok(sheet_make(&sample->sheet, &sample->bytes, sample->commitment));
}

static void a_sheet_is_what_was_committed_to_and_nothing_else(void **state) {
    AUTO_SAMPLE sample = sample_of(AUDIENCE_PARTIES);
    struct sheet sheet;
    struct bytes value;
    (void)state;
    fill(&sample);
    struct bytes bytes = buf_bytes(&sample.bytes), post = bytes_text(POST_NAME);
    assert_ok(sheet_open(bytes, sample.commitment, post, AUDIENCE_PARTIES, &sheet));
    assert_true(sheet_value(&sheet, CONTACT_PHONE, &value) && bytes_are(value, "+49 30 5550100"));
    assert_false(sheet_value(&sheet, CONTACT_MOBILE, &value));
    assert_int_equal(sheet_open(bytes, sample.commitment, bytes_text("de/policy"), AUDIENCE_PARTIES, &sheet),
                     E_MISMATCH);
    assert_int_equal(sheet_open(bytes, sample.commitment, post, AUDIENCE_MEMBERS, &sheet), E_MISMATCH);
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_equal(sheet_open(bytes_of(bytes.p, n), sample.commitment, post, AUDIENCE_PARTIES, &sheet),
                         E_BAD_COMMITMENT);
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        sample.bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(sheet_open(bytes, sample.commitment, post, AUDIENCE_PARTIES, &sheet), E_BAD_COMMITMENT);
        sample.bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < HASH_SIZE * 8; bit++) {
        sample.commitment[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(sheet_open(bytes, sample.commitment, post, AUDIENCE_PARTIES, &sheet), E_BAD_COMMITMENT);
        sample.commitment[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Its own commitment does not help a sheet that breaks the rules. */
static enum error made_anyhow(struct sample *sample) {
    struct sheet sheet;
    enum error made = sheet_make(&sample->sheet, &sample->bytes, sample->commitment);
    assert_int_equal(sample->bytes.n, 0);
    sheet_encode(&sample->sheet, &sample->bytes);
    sheet_commitment(buf_bytes(&sample->bytes), sample->commitment);
    enum error opened =
        sheet_open(buf_bytes(&sample->bytes), sample->commitment, sample->sheet.post, sample->sheet.audience, &sheet);
    assert_int_equal(made, opened);
    return made;
}

static void a_sheet_that_breaks_the_rules_is_refused_by_both_sides(void **state) {
    (void)state;
    AUTO_SAMPLE empty = sample_of(AUDIENCE_MEMBERS);
    assert_int_equal(made_anyhow(&empty), E_OUT_OF_RANGE);
    AUTO_SAMPLE order = sample_of(AUDIENCE_MEMBERS);
    add_field(&order, CONTACT_PHONE, "112");
    add_field(&order, CONTACT_OFFICE, "x");
    assert_int_equal(made_anyhow(&order), E_NON_CANONICAL);
    AUTO_SAMPLE twice = sample_of(AUDIENCE_MEMBERS);
    add_field(&twice, CONTACT_OFFICE, "x");
    add_field(&twice, CONTACT_OFFICE, "y");
    assert_int_equal(made_anyhow(&twice), E_NON_CANONICAL);
    AUTO_SAMPLE value = sample_of(AUDIENCE_MEMBERS);
    add_field(&value, CONTACT_PHONE, "javascript:");
    assert_int_equal(made_anyhow(&value), E_BAD_TEXT);
    AUTO_SAMPLE nobody_named = sample_of(AUDIENCE_PARTIES);
    add_field(&nobody_named, CONTACT_OFFICE, "x");
    assert_int_equal(made_anyhow(&nobody_named), E_NON_CANONICAL);
    AUTO_SAMPLE needless = sample_of(AUDIENCE_PUBLIC);
    add_party(&needless, "fj");
    add_field(&needless, CONTACT_OFFICE, "x");
    assert_int_equal(made_anyhow(&needless), E_NON_CANONICAL);
    AUTO_SAMPLE unsorted = sample_of(AUDIENCE_PARTIES);
    add_party(&unsorted, "fr");
    add_party(&unsorted, "fj");
    add_field(&unsorted, CONTACT_OFFICE, "x");
    assert_int_equal(made_anyhow(&unsorted), E_NON_CANONICAL);
    AUTO_SAMPLE no_party = sample_of(AUDIENCE_PARTIES);
    add_party(&no_party, "F J");
    add_field(&no_party, CONTACT_OFFICE, "x");
    assert_int_equal(made_anyhow(&no_party), E_BAD_TEXT);
    AUTO_SAMPLE later = sample_of(AUDIENCE_MEMBERS);
    add_field(&later, CONTACT_OFFICE, "x");
    add_field(&later, 200, "a field of a later version");
    assert_ok(sheet_make(&later.sheet, &later.bytes, later.commitment));
}

static void a_relay_sees_whether_a_public_sheet_is_what_it_says(void **state) {
    AUTO_SAMPLE sample = sample_of(AUDIENCE_PUBLIC);
    (void)state;
    fill(&sample);
    struct sealedsheet sealed = {.audience = AUDIENCE_PUBLIC, .has_data = true, .data = buf_bytes(&sample.bytes)};
    memcpy(sealed.commitment, sample.commitment, HASH_SIZE);
    assert_ok(sheet_check_sealed(&sealed, bytes_text(POST_NAME)));
    assert_int_equal(sheet_check_sealed(&sealed, bytes_text("de/policy")), E_MISMATCH);
    sealed.has_data = false;
    assert_int_equal(sheet_check_sealed(&sealed, bytes_text(POST_NAME)), E_MALFORMED);
    sealed.has_data = true;
    sealed.wraps.count = 1;
    assert_int_equal(sheet_check_sealed(&sealed, bytes_text(POST_NAME)), E_MALFORMED);
    sealed.wraps.count = 0;
    sealed.commitment[0] ^= 1;
    assert_int_equal(sheet_check_sealed(&sealed, bytes_text(POST_NAME)), E_BAD_COMMITMENT);
    sealed.audience = AUDIENCE_MEMBERS;
    assert_ok(sheet_check_sealed(&sealed, bytes_text(POST_NAME)));
    sealed.data.n = TAG_SIZE;
    assert_int_equal(sheet_check_sealed(&sealed, bytes_text(POST_NAME)), E_OUT_OF_RANGE);
    sealed.has_data = false;
    assert_ok(sheet_check_sealed(&sealed, bytes_text(POST_NAME)));
}

/* ---- seals ---- */

static void a_sealed_sheet_opens_with_its_key_for_its_commitment_only(void **state) {
    AUTO_SAMPLE sample = sample_of(AUDIENCE_MEMBERS);
    AUTO_BUF cipher = {0}, plain = {0};
    uint8_t key[KEY_SIZE] = {7};
    (void)state;
    fill(&sample);
    assert_ok(sheet_seal(key, sample.commitment, buf_bytes(&sample.bytes), &cipher));
    assert_int_equal(cipher.n, sample.bytes.n + TAG_SIZE);
    assert_ok(sheet_unseal(key, sample.commitment, buf_bytes(&cipher), &plain));
    assert_true(bytes_equal(buf_bytes(&plain), buf_bytes(&sample.bytes)));
    buf_clear(&plain);
    for (size_t n = 0; n < cipher.n; n++)
        assert_int_equal(sheet_unseal(key, sample.commitment, bytes_of(cipher.p, n), &plain), E_CANNOT_OPEN);
    for (size_t bit = 0; bit < cipher.n * 8; bit++) {
        cipher.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(sheet_unseal(key, sample.commitment, buf_bytes(&cipher), &plain), E_CANNOT_OPEN);
        cipher.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    sample.commitment[31] ^= 1;
    assert_int_equal(sheet_unseal(key, sample.commitment, buf_bytes(&cipher), &plain), E_CANNOT_OPEN);
    sample.commitment[31] ^= 1;
    key[0] ^= 1;
    assert_int_equal(sheet_unseal(key, sample.commitment, buf_bytes(&cipher), &plain), E_CANNOT_OPEN);
    assert_int_equal(plain.n, 0);
}

static void a_wrap_gives_the_key_to_its_device_and_to_no_other(void **state) {
    const uint8_t key[KEY_SIZE] = {42}, commitment[HASH_SIZE] = {9}, other[HASH_SIZE] = {8};
    struct wrapping_target target = {.device = {1}, .prekey_id = {2}};
    uint8_t secret[KEY_SIZE], stranger[KEY_SIZE], public[KEY_SIZE];
    AUTO_BUF bytes = {0};
    struct wrap wrap;
    (void)state;
    assert_ok(hpke_generate_pair(stranger, public));
    assert_ok(hpke_generate_pair(secret, target.prekey));
    assert_ok(sheet_wrap(key, commitment, &target, &bytes));
    assert_ok(wrap_decode(buf_bytes(&bytes), &wrap));
    AUTO_SECRET opened = {0};
    assert_ok(sheet_unwrap(&wrap, commitment, secret, &opened));
    assert_memory_equal(opened.p, key, KEY_SIZE);
    AUTO_SECRET none = {0};
    assert_int_equal(sheet_unwrap(&wrap, commitment, stranger, &none), E_CANNOT_OPEN);
    assert_int_equal(sheet_unwrap(&wrap, other, secret, &none), E_CANNOT_OPEN);
    for (size_t n = 0; n < bytes.n; n++) assert_int_not_equal(wrap_decode(bytes_of(bytes.p, n), &wrap), E_OK);
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (wrap_decode(buf_bytes(&bytes), &wrap) == E_OK)
            assert_int_equal(sheet_unwrap(&wrap, commitment, secret, &none), E_CANNOT_OPEN);
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_null(none.p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_its_own_number_and_name),
        cmocka_unit_test(values_have_the_form_of_their_field),
        cmocka_unit_test(a_value_may_be_long_but_not_too_long),
        cmocka_unit_test(hours_are_open_from_their_begin_to_just_before_their_end),
        cmocka_unit_test(hours_that_are_none_are_refused),
        cmocka_unit_test(times_read_back_what_they_print),
        cmocka_unit_test(a_sheet_is_what_was_committed_to_and_nothing_else),
        cmocka_unit_test(a_sheet_that_breaks_the_rules_is_refused_by_both_sides),
        cmocka_unit_test(a_relay_sees_whether_a_public_sheet_is_what_it_says),
        cmocka_unit_test(a_sealed_sheet_opens_with_its_key_for_its_commitment_only),
        cmocka_unit_test(a_wrap_gives_the_key_to_its_device_and_to_no_other),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
