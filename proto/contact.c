/* contact.c - the fields of contact cards and the sheets they stand on. */
#include "contact.h"

#include <stdio.h>

#include "text.h"

const struct contact_field_row contact_field_rows[] = {
#define CARDFIELD(number, NAME, name, form, audience, text)                                                            \
    {CONTACT_##NAME, name, text, FORM_##form, AUDIENCE_##audience},
#include "cardfield.def"
#undef CARDFIELD
    {0}};

static const char *const levels[] = {"working", "head-of-unit", "director", "ministerial"};
static const char *const day_names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
enum { DAYS = LENGTH(day_names), PHONE_MIN = 3, PHONE_MAX = 40, TAG_MAX = 35, SUBTAG_MAX = 8, ZONE_MAX = 64 };

const struct contact_field_row *contact_field_row(uint64_t field) {
    for (const struct contact_field_row *row = contact_field_rows; row->name; row++)
        if (row->field == field) return row;
    return NULL;
}

const struct contact_field_row *contact_field_named(struct bytes name) {
    for (const struct contact_field_row *row = contact_field_rows; row->name; row++)
        if (bytes_are(name, row->name)) return row;
    return NULL;
}

int contact_level(struct bytes word) {
    for (size_t i = 0; i < LENGTH(levels); i++)
        if (bytes_are(word, levels[i])) return (int)i;
    return -1;
}

const char *contact_level_name(int level) {
    return level >= 0 && (size_t)level < LENGTH(levels) ? levels[level] : NULL;
}

bool contact_list_next(struct bytes *list, struct bytes *ret) {
    if (list->n == 0) return false;
    const uint8_t *end = memmem(list->p, list->n, ", ", 2);
    size_t n = end ? (size_t)(end - list->p) : list->n;
    *ret = bytes_of(list->p, n);
    size_t eaten = end ? n + 2 : n;
    *list = bytes_of(list->p + eaten, list->n - eaten);
    return true;
}

/* ---- characters ---- */

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static bool is_letter(uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_one_of(uint8_t c, const char *set) { return c != 0 && strchr(set, c); }

/* The code point of a valid sequence of n bytes. */
static uint32_t code_point(const uint8_t *p, size_t n) {
    if (n == 1) return p[0];
    uint32_t code = p[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) code = (code << 6) | (p[i] & 0x3fU);
    return code;
}

/* C0, DEL and C1; line and paragraph separators; what turns the direction of the text around it. */
static bool is_steering(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static enum error check_line(struct bytes value) {
    if (value.n == 0) return E_BAD_TEXT;
    if (value.n > CARD_VALUE_MAX) return E_OUT_OF_RANGE;
    for (size_t i = 0, n; i < value.n; i += n) {
        n = text_utf8_sequence(value.p + i, value.n - i);
        if (n == 0 || is_steering(code_point(value.p + i, n))) return E_BAD_TEXT;
    }
    return value.p[0] != ' ' && value.p[value.n - 1] != ' ' ? E_OK : E_BAD_TEXT;
}

/* ---- forms ---- */

static bool is_phone(struct bytes value) {
    size_t digits = 0, i = 0;
    if (value.n < PHONE_MIN || value.n > PHONE_MAX) return false;
    for (; i < value.n && (is_digit(value.p[i]) || is_one_of(value.p[i], "+ .-()/")); i++) {
        if (value.p[i] == '+' && i > 0) return false;
        digits += is_digit(value.p[i]);
    }
    if (digits < PHONE_MIN) return false;
    if (i == value.n) return true;
    struct bytes rest = bytes_of(value.p + i, value.n - i);
    if (rest.n < 5 || memcmp(rest.p, "ext ", 4) != 0) return false;
    for (i = 4; i < rest.n; i++)
        if (!is_digit(rest.p[i])) return false;
    return true;
}

static bool is_email(struct bytes value) {
    const uint8_t *at = memchr(value.p, '@', value.n);
    if (!at || at == value.p || at == value.p + value.n - 1) return false;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == ' ' || value.p[i] == ',' || (value.p[i] == '@' && value.p + i != at)) return false;
    return true;
}

/* The first subtag: two or three letters, as all languages that are registered have. */
static bool is_language(struct bytes tag) {
    size_t subtag = 0, primary = 0;
    if (tag.n == 0 || tag.n > TAG_MAX) return false;
    for (size_t i = 0; i < tag.n; i++) {
        if (tag.p[i] == '-' && subtag == 0) return false;
        if (tag.p[i] == '-') {
            if (primary == 0) primary = subtag;
            subtag = 0;
            continue;
        }
        if (!is_letter(tag.p[i]) && (primary == 0 || !is_digit(tag.p[i]))) return false;
        if (++subtag > SUBTAG_MAX) return false;
    }
    if (primary == 0) primary = subtag;
    return subtag > 0 && primary >= 2 && primary <= 3;
}

/* Each item of a list, none empty, without one too many comma at the end. */
static bool all_items(struct bytes list, bool (*is)(struct bytes item, struct bytes post), struct bytes post) {
    struct bytes rest = list, item;
    if (list.n >= 2 && memcmp(list.p + list.n - 2, ", ", 2) == 0) return false;
    while (contact_list_next(&rest, &item))
        if (!is(item, post)) return false;
    return list.n > 0;
}

static bool language_item(struct bytes item, struct bytes post) {
    (void)post;
    return is_language(item);
}

static bool sister_post(struct bytes item, struct bytes post) {
    return text_is_post(item) && bytes_equal(text_party_of(item), text_party_of(post)) && !bytes_equal(item, post);
}

/* So that it names a file in the zones' folder and nothing beside it. */
static bool is_zone(struct bytes value) {
    if (value.n == 0 || value.n > ZONE_MAX || !is_letter(value.p[0])) return false;
    for (size_t i = 0; i < value.n; i++) {
        if (!is_letter(value.p[i]) && !is_digit(value.p[i]) && !is_one_of(value.p[i], "/_+-")) return false;
        if (value.p[i] == '/' && (i + 1 == value.n || !is_letter(value.p[i + 1]))) return false;
    }
    return true;
}

/* ---- hours ---- */

struct cursor {
    struct bytes rest;
    bool bad;
};

static bool eat(struct cursor *cursor, const char *text) {
    size_t n = strlen(text);
    if (cursor->rest.n < n || memcmp(cursor->rest.p, text, n) != 0) return false;
    cursor->rest = bytes_of(cursor->rest.p + n, cursor->rest.n - n);
    return true;
}

/* `digits` decimal digits, at most `max`. */
static unsigned eat_number(struct cursor *cursor, size_t digits, unsigned max) {
    unsigned value = 0;
    if (cursor->rest.n < digits) cursor->bad = true;
    for (size_t i = 0; !cursor->bad && i < digits; i++) {
        if (!is_digit(cursor->rest.p[i])) cursor->bad = true;
        value = value * 10 + (unsigned)(cursor->rest.p[i] - '0');
    }
    if (cursor->bad || value > max) {
        cursor->bad = true;
        return 0;
    }
    cursor->rest = bytes_of(cursor->rest.p + digits, cursor->rest.n - digits);
    return value;
}

static unsigned eat_day(struct cursor *cursor) {
    for (unsigned i = 0; i < DAYS; i++)
        if (eat(cursor, day_names[i])) return i;
    cursor->bad = true;
    return 0;
}

static void expect(struct cursor *cursor, const char *text) {
    if (!cursor->bad && !eat(cursor, text)) cursor->bad = true;
}

static unsigned eat_minute(struct cursor *cursor) {
    unsigned hour = eat_number(cursor, 2, 24);
    expect(cursor, ":");
    unsigned minute = eat_number(cursor, 2, 59);
    if (hour == 24 && minute > 0) cursor->bad = true;
    return hour * 60 + minute;
}

enum error contact_hours_parse(struct bytes value, struct contact_hours *ret) {
    struct contact_hours hours = {0};
    struct bytes rest = value, item;
    if (bytes_are(value, "24/7")) {
        *ret = hours;
        return E_OK;
    }
    if (value.n >= 2 && memcmp(value.p + value.n - 2, ", ", 2) == 0) return E_BAD_TEXT;
    while (contact_list_next(&rest, &item)) {
        if (hours.count == CONTACT_RANGES_MAX) return E_OUT_OF_RANGE;
        struct cursor cursor = {item, false};
        unsigned first = eat_day(&cursor), last = first;
        if (eat(&cursor, "-")) last = eat_day(&cursor);
        expect(&cursor, " ");
        unsigned from = eat_minute(&cursor);
        expect(&cursor, "-");
        unsigned to = eat_minute(&cursor), days = 0;
        if (cursor.bad || cursor.rest.n > 0 || from == to || from == CONTACT_DAY_MINUTES) return E_BAD_TEXT;
        for (unsigned day = first;; day = (day + 1) % DAYS) {
            days |= 1U << day;
            if (day == last) break;
        }
        hours.ranges[hours.count].days = days;
        hours.ranges[hours.count].from = from;
        hours.ranges[hours.count++].to = to;
    }
    if (hours.count == 0) return E_BAD_TEXT;
    *ret = hours;
    return E_OK;
}

bool contact_hours_open(const struct contact_hours *hours, unsigned weekday, unsigned minute) {
    unsigned yesterday = (weekday + DAYS - 1) % DAYS;
    if (hours->count == 0) return true;
    for (size_t i = 0; i < hours->count; i++) {
        unsigned from = hours->ranges[i].from, to = hours->ranges[i].to, days = hours->ranges[i].days;
        bool overnight = to < from;
        if ((days >> weekday & 1) && minute >= from && (overnight || minute < to)) return true;
        if (overnight && (days >> yesterday & 1) && minute < to) return true;
    }
    return false;
}

/* ---- times ---- */

/* Days since 1970 of a date in the Gregorian calendar; 0 <= month < 12. */
static uint64_t days_of(unsigned year, unsigned month, unsigned day) {
    static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    uint64_t years = year - 1970, y = year - 1;
    uint64_t leaps = (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    return years * 365 + leaps + before[month] + (month > 1 && leap) + day - 1;
}

void contact_time_format(struct instant time, char ret[static CONTACT_TIME_SIZE]) {
    uint64_t seconds = time.ms / 1000, days = seconds / 86400, rest = seconds % 86400;
    unsigned year = 1970, month = 0;
    while (year < 9999 && days_of(year + 1, 0, 1) <= days) year++;
    while (month < 11 && days_of(year, month + 1, 1) <= days) month++;
    uint64_t day = days - days_of(year, month, 1) + 1;
    snprintf(ret, CONTACT_TIME_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", year % 10000, month + 1, (unsigned)(day % 100),
             (unsigned)(rest / 3600), (unsigned)(rest / 60 % 60), (unsigned)(rest % 60));
}

enum error contact_time_parse(struct bytes value, struct instant *ret) {
    struct cursor cursor = {value, false};
    char again[CONTACT_TIME_SIZE];
    unsigned year = eat_number(&cursor, 4, 9998);
    expect(&cursor, "-");
    unsigned month = eat_number(&cursor, 2, 12);
    expect(&cursor, "-");
    unsigned day = eat_number(&cursor, 2, 31);
    expect(&cursor, "T");
    unsigned hour = eat_number(&cursor, 2, 23);
    expect(&cursor, ":");
    unsigned minute = eat_number(&cursor, 2, 59);
    expect(&cursor, ":");
    unsigned second = eat_number(&cursor, 2, 59);
    expect(&cursor, "Z");
    if (cursor.bad || cursor.rest.n > 0 || year < 1970 || month == 0 || day == 0) return E_BAD_TEXT;
    uint64_t seconds = days_of(year, month - 1, day) * 86400 + hour * 3600 + minute * 60 + second;
    struct instant time = {seconds * 1000};
    contact_time_format(time, again);
    if (!bytes_are(value, again)) return E_BAD_TEXT; /* 31 April */
    *ret = time;
    return E_OK;
}

/* ---- a field ---- */

static bool has_form(enum contact_form form, struct bytes post, struct bytes value) {
    struct contact_hours hours;
    struct instant time;
    switch (form) {
    case FORM_LINE: return true;
    case FORM_LEVEL: return contact_level(value) >= 0;
    case FORM_PHONE: return is_phone(value);
    case FORM_EMAIL: return is_email(value);
    case FORM_LANGUAGES: return all_items(value, language_item, post);
    case FORM_HOURS: return contact_hours_parse(value, &hours) == E_OK;
    case FORM_ZONE: return is_zone(value);
    case FORM_POSTS: return all_items(value, sister_post, post);
    case FORM_POST: return sister_post(value, post);
    case FORM_TIME: return contact_time_parse(value, &time) == E_OK;
    }
    return false;
}

enum error contact_field_check(struct bytes post, uint64_t field, struct bytes value) {
    const struct contact_field_row *row = contact_field_row(field);
    TRY(check_line(value));
    return !row || has_form(row->form, post, value) ? E_OK : E_BAD_TEXT;
}

/* ---- sheets ---- */

bool sheet_value(const struct sheet *sheet, enum contact_field field, struct bytes *ret) {
    struct list fields = sheet->fields;
    struct cardfield item;
    while (cardfield_next(&fields, &item)) {
        if (item.field != (uint64_t)field) continue;
        *ret = item.value;
        return true;
    }
    return false;
}

/* As memcmp, with a shorter beginning before the longer name. */
static int compare(struct bytes a, struct bytes b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static enum error check_parties(const struct sheet *sheet) {
    struct list parties = sheet->parties;
    struct bytes party, last = {0};
    if ((sheet->audience == AUDIENCE_PARTIES) != (parties.count > 0)) return E_NON_CANONICAL;
    while (list_next_bytes(&parties, &party)) {
        if (!text_is_party(party)) return E_BAD_TEXT;
        if (last.p && compare(last, party) >= 0) return E_NON_CANONICAL;
        last = party;
    }
    return E_OK;
}

enum error sheet_check(const struct sheet *sheet) {
    struct list fields = sheet->fields;
    struct cardfield item;
    uint64_t last = 0;
    if (!text_is_post(sheet->post)) return E_BAD_TEXT;
    if (fields.count == 0) return E_OUT_OF_RANGE;
    TRY(check_parties(sheet));
    while (cardfield_next(&fields, &item)) {
        if (item.field <= last) return E_NON_CANONICAL;
        TRY(contact_field_check(sheet->post, item.field, item.value));
        last = item.field;
    }
    return E_OK;
}

void sheet_commitment(struct bytes sheet, uint8_t ret[static HASH_SIZE]) { label_digest(LABEL_SHEET, sheet, ret); }

enum error sheet_make(const struct sheet *sheet, struct buf *out, uint8_t ret_commitment[static HASH_SIZE]) {
    AUTO_BUF bytes = {0};
    TRY(sheet_check(sheet));
    sheet_encode(sheet, &bytes);
    TRY(buf_error(&bytes));
    if (bytes.n > SHEET_MAX) return E_TOO_LARGE;
    sheet_commitment(buf_bytes(&bytes), ret_commitment);
    buf_add_bytes(out, buf_bytes(&bytes));
    return buf_error(out);
}

enum error sheet_open(struct bytes bytes, const uint8_t commitment[static HASH_SIZE], struct bytes post,
                      uint64_t audience, struct sheet *ret) {
    uint8_t computed[HASH_SIZE];
    struct sheet sheet;
    if (bytes.n > SHEET_MAX) return E_OUT_OF_RANGE;
    sheet_commitment(bytes, computed);
    if (memcmp(computed, commitment, HASH_SIZE) != 0) return E_BAD_COMMITMENT;
    TRY(sheet_decode(bytes, &sheet));
    if (!bytes_equal(sheet.post, post) || sheet.audience != audience) return E_MISMATCH;
    TRY(sheet_check(&sheet));
    *ret = sheet;
    return E_OK;
}

enum error sheet_check_sealed(const struct sealedsheet *sealed, struct bytes post) {
    struct sheet sheet;
    if (sealed->audience == AUDIENCE_PUBLIC) {
        if (sealed->wraps.count > 0 || !sealed->has_data) return E_MALFORMED;
        return sheet_open(sealed->data, sealed->commitment, post, AUDIENCE_PUBLIC, &sheet);
    }
    return !sealed->has_data || sealed->data.n > TAG_SIZE ? E_OK : E_OUT_OF_RANGE;
}
