/* contact.h - contact cards: what a post says of itself, and to whom.
 *
 * A card's fields (cardfield.def) stand on sheets, one for each audience: the object `sheet` {post, salt, audience,
 * parties, fields}. The log holds a `contact` statement with the sheets' commitments only; the relay holds the public
 * sheets plain and the others sealed (seal/sheet.h), and erases them when the post replaces or takes back its card. A
 * sheet's commitment is the labelled digest (SHEET) of its bytes, salt included: without the salt nobody can try
 * values.
 *
 * A sheet is good when its fields stand in rising order of their numbers, and its parties, which only audience 1 has,
 * in rising order of their names; every value has its field's form. A field with a number unknown here is passed over.
 *
 * Forms of values, all UTF-8 without control characters, line ends, separators and overrides of writing direction:
 *   LINE       1..CARD_VALUE_MAX bytes
 *   LEVEL      a word of `levels`
 *   PHONE      +, digits, and blanks, dots, dashes, brackets, slashes; 3 to 40 characters; may end in "ext" and digits
 *   EMAIL      one @ with something on both sides, no blanks
 *   LANGUAGES  BCP 47 tags (RFC 5646 section 2.1: form only, a language of two or three letters), the best one first,
 *              separated by ", "
 *   HOURS      24/7, or ranges `DAY[-DAY] HH:MM-HH:MM` separated by ", "; an end before the begin lies in the next day
 *   ZONE       a name of the IANA time zone database: Area/Location
 *   POSTS      posts of the same party, another than the card's, separated by ", ";  POST: one
 *   TIME       UTC: 2026-12-01T08:00:00Z */
#ifndef CONTACT_H
#define CONTACT_H

#include "label.h"
#include "objects.h"

enum contact_field {
#define CARDFIELD(number, NAME, name, form, audience, text) CONTACT_##NAME = number,
#include "cardfield.def"
#undef CARDFIELD
};

enum contact_form {
    FORM_LINE,
    FORM_LEVEL,
    FORM_PHONE,
    FORM_EMAIL,
    FORM_LANGUAGES,
    FORM_HOURS,
    FORM_ZONE,
    FORM_POSTS,
    FORM_POST,
    FORM_TIME
};

struct contact_field_row {
    enum contact_field field;
    const char *name, *text;
    enum contact_form form;
    enum card_audience audience;
};
/* All of them in order of their numbers, then one whose name is NULL. */
extern const struct contact_field_row contact_field_rows[];
const struct contact_field_row *contact_field_row(uint64_t field);      /* NULL: unknown here */
const struct contact_field_row *contact_field_named(struct bytes name); /* NULL */

/* Has the value its field's form, on a card of this post? E_BAD_TEXT, E_OUT_OF_RANGE (too long). Unknown fields: only
 * what holds for all. */
CHECKED enum error contact_field_check(struct bytes post, uint64_t field, struct bytes value);

/* Ranks, from 0; -1 when it is none. */
int contact_level(struct bytes word);
const char *contact_level_name(int level); /* NULL when there is none */

/* The next of a list's items (LANGUAGES, POSTS, HOURS); false at its end. */
bool contact_list_next(struct bytes *list, struct bytes *ret);

enum { CONTACT_RANGES_MAX = 16, CONTACT_DAY_MINUTES = 24 * 60 };
struct contact_hours {
    size_t count; /* 0: always open */
    struct {
        unsigned days, from, to; /* days: bit 0 is Monday; minutes of the day, to <= CONTACT_DAY_MINUTES */
    } ranges[CONTACT_RANGES_MAX];
};
CHECKED enum error contact_hours_parse(struct bytes value, struct contact_hours *ret);
/* weekday: 0 is Monday. */
bool contact_hours_open(const struct contact_hours *hours, unsigned weekday, unsigned minute);

CHECKED enum error contact_time_parse(struct bytes value, struct instant *ret);
enum { CONTACT_TIME_SIZE = 21 };
void contact_time_format(struct instant time,
                         char ret[static CONTACT_TIME_SIZE]); /* whole seconds; 2026-12-01T08:00:00Z */

/* ---- sheets ---- */

/* The value of a field on a sheet; false when it is not there. */
bool sheet_value(const struct sheet *sheet, enum contact_field field, struct bytes *ret);

/* Whether the sheet keeps the rules above: E_NON_CANONICAL (order, or parties without need), E_OUT_OF_RANGE (nothing
 * on it), E_BAD_TEXT (a party's name, a value). */
CHECKED enum error sheet_check(const struct sheet *sheet);

/* Appends the bytes of a sheet that keeps the rules, and gives its commitment; E_TOO_LARGE. */
CHECKED enum error sheet_make(const struct sheet *sheet, struct buf *out, uint8_t ret_commitment[static HASH_SIZE]);
void sheet_commitment(struct bytes sheet, uint8_t ret[static HASH_SIZE]);

/* Bytes that came from elsewhere: they are what was committed to (E_BAD_COMMITMENT), decode, keep the rules, and are of
 * that post and audience (E_MISMATCH). */
CHECKED enum error sheet_open(struct bytes bytes, const uint8_t commitment[static HASH_SIZE], struct bytes post,
                              uint64_t audience, struct sheet *ret);

/* What a relay can tell of a sheet that it is given, without opening anything: a public one is opened as above, and
 * has no wraps (E_MALFORMED); another one has the size of a sealed one (E_OUT_OF_RANGE). No data: only wraps are
 * added. */
CHECKED enum error sheet_check_sealed(const struct sealedsheet *sealed, struct bytes post);

#endif
