/* test_card.c - the relay's card: what it must have, what it may not have, and a fingerprint that ignores its looks. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>

#include "card.h"
#include "sign.h"

enum { LINE = 512, LINES_MAX = 48 };

/* A card as lines, so that tests can change one of them. */
struct lines {
    char line[LINES_MAX][LINE];
    size_t count;
};

static void add(struct lines *lines, const char *field, const char *value) {
    assert_true(lines->count < LINES_MAX);
    (void)snprintf(lines->line[lines->count++], LINE, "%s %s", field, value);
}

static void sign_key_hex(uint8_t number, char *hex) {
    uint8_t seed[32] = {number}, key[KEY_SIZE], secret[64];
    crypto_sign_seed_keypair(key, secret, seed);
    text_hex(key, KEY_SIZE, hex);
}

static void add_key(struct lines *lines, const char *field, uint8_t number) {
    char hex[65];
    sign_key_hex(number, hex);
    add(lines, field, hex);
}

/* A witness as a card names it: its verifier key (note.h). */
static void add_witness_as(struct lines *lines, const char *name, enum note_algorithm algorithm, uint8_t number) {
    uint8_t seed[32] = {number}, public[KEY_SIZE], secret[64];
    struct note_key key;
    AUTO_BUF text = {0};
    crypto_sign_seed_keypair(public, secret, seed);
    assert_int_equal(note_key_make(bytes_text(name), algorithm, public, &key), E_OK);
    note_key_format(&key, &text);
    buf_add(&text, "", 1);
    assert_false(text.failed);
    add(lines, "witness", (const char *)text.p);
}

static void add_witness(struct lines *lines, uint8_t number) {
    char name[32];
    (void)snprintf(name, sizeof name, "w%u.example", number);
    add_witness_as(lines, name, NOTE_COSIGNATURE, number);
}

static void add_curve(struct lines *lines) {
    uint8_t secret[32] = {5}, key[KEY_SIZE];
    char hex[65];
    assert_int_equal(crypto_scalarmult_base(key, secret), 0);
    text_hex(key, KEY_SIZE, hex);
    add(lines, "curve", hex);
}

/* Lines: 0 the first, 1 name, 2 and 3 addresses, 4 curve, 5 statement, 6 log, 7 and 8 registrars, 9 threshold, 10 and
 * 11 witnesses, 12 how many of them, 13 freshness. */
static struct lines sample(void) {
    struct lines lines = {0};
    add(&lines, "pouch-relay-card", "0");
    add(&lines, "name", "relay.example");
    add(&lines, "address", "tcp://relay.example:5870");
    add(&lines, "address", "tcp://192.0.2.7:5870");
    add_curve(&lines);
    add_key(&lines, "statement", 1);
    add_key(&lines, "log", 2);
    add_key(&lines, "registrar", 3);
    add_key(&lines, "registrar", 4);
    add(&lines, "threshold", "2");
    add_witness(&lines, 6);
    add_witness(&lines, 7);
    add(&lines, "witnesses", "2");
    add(&lines, "freshness", "3600");
    return lines;
}

static enum error parse(const struct lines *lines, struct card *ret, unsigned *ret_line) {
    AUTO_BUF text = {0};
    for (size_t i = 0; i < lines->count; i++) {
        buf_add(&text, lines->line[i], strlen(lines->line[i]));
        buf_add(&text, "\n", 1);
    }
    return card_parse(buf_bytes(&text), ret, ret_line);
}

static void remove_line(struct lines *lines, size_t which) {
    memmove(lines->line[which], lines->line[which + 1], (lines->count - which - 1) * LINE);
    lines->count--;
}

static void a_whole_card_is_read(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card;
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    assert_string_equal(card.name, "relay.example");
    assert_int_equal(card.address_count, 2);
    assert_string_equal(card.addresses[1], "tcp://192.0.2.7:5870");
    assert_int_equal(card.registrar_count, 2);
    assert_int_equal(card.threshold, 2);
    assert_int_equal(card.witness_count, 2);
    assert_string_equal(card.witnesses[0].name, "w6.example");
    assert_int_equal(card.witnesses[0].algorithm, NOTE_COSIGNATURE);
    assert_int_equal(card.quorum, 2);
    assert_int_equal(card.freshness_s, 3600);
    char hex[65], want[65];
    text_hex(card.log, KEY_SIZE, hex);
    sign_key_hex(2, want);
    assert_string_equal(hex, want);
}

static void a_formatted_card_is_read_back_the_same(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card, again;
    AUTO_BUF text = {0}, twice = {0};
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    card_format(&card, &text);
    assert_int_equal(card_parse(buf_bytes(&text), &again, NULL), E_OK);
    card_format(&again, &twice);
    assert_true(bytes_equal(buf_bytes(&text), buf_bytes(&twice)));
}

static void comments_blanks_and_order_do_not_change_the_fingerprint(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card, other;
    uint8_t hash[HASH_SIZE], other_hash[HASH_SIZE];
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    card_hash(&card, hash);
    struct lines shuffled = {0};
    add(&shuffled, "# a comment", "\xff");
    add(&shuffled, "  pouch-relay-card  ", " 0 \r");
    add(&shuffled, "", "");
    for (size_t i = lines.count - 1; i > 0; i--)
        (void)snprintf(shuffled.line[shuffled.count++], LINE, "\t%s # x", lines.line[i]);
    assert_int_equal(parse(&shuffled, &other, NULL), E_OK);
    card_hash(&other, other_hash);
    assert_memory_equal(hash, other_hash, HASH_SIZE);
}

static void every_changed_value_changes_the_fingerprint(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card, changed;
    uint8_t hash[HASH_SIZE], other[HASH_SIZE];
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    card_hash(&card, hash);
    uint8_t *const bytes[] = {(uint8_t *)changed.name,
                              (uint8_t *)changed.addresses[1],
                              changed.curve,
                              changed.statement,
                              changed.log,
                              changed.registrars[1],
                              changed.witnesses[0].key,
                              (uint8_t *)changed.witnesses[1].name};
    for (size_t i = 0; i < LENGTH(bytes); i++) {
        changed = card;
        bytes[i][0] ^= 1;
        card_hash(&changed, other);
        assert_memory_not_equal(hash, other, HASH_SIZE);
    }
    changed = card;
    changed.threshold = 1;
    card_hash(&changed, other);
    assert_memory_not_equal(hash, other, HASH_SIZE);
    changed = card;
    changed.quorum = 1;
    card_hash(&changed, other);
    assert_memory_not_equal(hash, other, HASH_SIZE);
    changed = card;
    changed.freshness_s++;
    card_hash(&changed, other);
    assert_memory_not_equal(hash, other, HASH_SIZE);
}

static void a_missing_line_is_told(void **state) {
    (void)state;
    static const size_t needed[] = {1, 4, 5, 6, 9};
    struct card card;
    for (size_t i = 0; i < LENGTH(needed); i++) {
        struct lines lines = sample();
        remove_line(&lines, needed[i]);
        assert_int_equal(parse(&lines, &card, NULL), E_MISSING_FIELD);
    }
    struct lines lines = sample();
    remove_line(&lines, 3);
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    remove_line(&lines, 2);
    assert_int_equal(parse(&lines, &card, NULL), E_MISSING_FIELD);
    lines = sample();
    remove_line(&lines, 0);
    assert_int_equal(parse(&lines, &card, NULL), E_MALFORMED);
    assert_int_equal(card_parse((struct bytes){0}, &card, NULL), E_MALFORMED);
}

static void a_bad_line_is_named_and_nothing_is_returned(void **state) {
    (void)state;
    static const struct {
        size_t at;
        const char *line;
        enum error error;
    } bad[] = {
        {0, "pouch-relay-card 1", E_UNKNOWN_VERSION},
        {0, "pouch-card 0", E_MALFORMED},
        {1, "name relay example", E_MALFORMED},
        {1, "name rel/ay", E_BAD_TEXT},
        {1, "name", E_BAD_TEXT},
        {1, "name abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl", E_BAD_TEXT},
        {2, "address tcp://r\x01", E_BAD_TEXT},
        {3, "address tcp://relay.example:5870", E_MALFORMED},
        {4, "curve 0000000000000000000000000000000000000000000000000000000000000000", E_BAD_KEY},
        {4, "curve 12", E_BAD_KEY},
        {5, "statement 0100000000000000000000000000000000000000000000000000000000000000", E_BAD_KEY},
        {5, "statement 95999999999999999999999999999999999999999999999999999999999999999", E_BAD_KEY},
        {7, "registrar 9599999999999999999999999999999999999999999999999999999999999999", E_BAD_KEY},
        {9, "threshold 0", E_OUT_OF_RANGE},
        {9, "threshold 17", E_OUT_OF_RANGE},
        {9, "threshold 02", E_OUT_OF_RANGE},
        {9, "threshold -1", E_OUT_OF_RANGE},
        {10, "threshold 2", E_MALFORMED},
        {10, "witness", E_MALFORMED},
        {10, "witness 0e1efeb3aa2f0d0ea4f4d1a5e5f6f4f4e9c4dd2bd6a2b0a2f0a5b7e5c7d6e5f4", E_MALFORMED},
        {11, "witness w6.example", E_MALFORMED},
        {12, "witnesses 0", E_OUT_OF_RANGE},
        {12, "witnesses 17", E_OUT_OF_RANGE},
        {12, "witnesses two", E_OUT_OF_RANGE},
        {13, "witnesses 1", E_MALFORMED},
        {13, "freshness 0", E_OUT_OF_RANGE},
        {13, "freshness 24h", E_OUT_OF_RANGE},
        {13, "freshness 31622401", E_OUT_OF_RANGE},
        {12, "freshness 60", E_OK}, /* the one below is one too many */
        {10, "name again", E_MALFORMED},
        {10, "colour blue", E_UNKNOWN_FIELD},
    };
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct lines lines = sample();
        struct card card, before;
        memset(&card, 0x5a, sizeof card);
        before = card;
        unsigned line = 0;
        (void)snprintf(lines.line[bad[i].at], LINE, "%s", bad[i].line);
        enum error error = parse(&lines, &card, &line);
        if (bad[i].error == E_OK) {
            assert_int_equal(error, E_MALFORMED);
            assert_int_equal(line, bad[i].at + 2);
            continue;
        }
        if (error != bad[i].error || line != bad[i].at + 1)
            fail_msg("%s: %s in line %u", bad[i].line, error_text(error), line);
        assert_memory_equal(&card, &before, sizeof card);
    }
}

static void a_registrar_named_twice_does_not_count_twice(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card;
    memcpy(lines.line[8], lines.line[7], LINE);
    assert_int_equal(parse(&lines, &card, NULL), E_MALFORMED);
    for (char *c = lines.line[8] + 10; *c; c++)
        if (*c >= 'a' && *c <= 'f') *c = (char)(*c - 'a' + 'A');
    assert_int_equal(parse(&lines, &card, NULL), E_MALFORMED);
}

static void the_threshold_cannot_exceed_the_registrars(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card;
    (void)snprintf(lines.line[9], LINE, "threshold 3");
    assert_int_equal(parse(&lines, &card, NULL), E_OUT_OF_RANGE);
}

static void witnesses_are_optional_and_so_are_their_number_and_age(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card, other;
    uint8_t hash[HASH_SIZE], other_hash[HASH_SIZE];
    remove_line(&lines, 13);
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    assert_int_equal(card.freshness_s, WITNESS_AGE_S);
    add(&lines, "freshness", "86400"); /* said or not, the same card */
    assert_int_equal(parse(&lines, &other, NULL), E_OK);
    card_hash(&card, hash);
    card_hash(&other, other_hash);
    assert_memory_equal(hash, other_hash, HASH_SIZE);
    remove_line(&lines, 12);
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    assert_int_equal(card.quorum, 0);
    assert_int_equal(card.witness_count, 2);
    remove_line(&lines, 10);
    remove_line(&lines, 10);
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    assert_int_equal(card.witness_count, 0);
}

static void more_witnesses_cannot_be_asked_for_than_are_named(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card;
    (void)snprintf(lines.line[12], LINE, "witnesses 3");
    assert_int_equal(parse(&lines, &card, NULL), E_OUT_OF_RANGE);
}

/* One key under two names, or one name with two keys, would count twice. */
static void a_witness_named_twice_does_not_count_twice(void **state) {
    (void)state;
    struct card card;
    struct lines lines = sample();
    memcpy(lines.line[11], lines.line[10], LINE);
    assert_int_equal(parse(&lines, &card, NULL), E_MALFORMED);
    lines = sample();
    add_witness_as(&lines, "another.example", NOTE_COSIGNATURE, 6);
    assert_int_equal(parse(&lines, &card, NULL), E_MALFORMED);
    lines = sample();
    add_witness_as(&lines, "w6.example", NOTE_COSIGNATURE, 9);
    assert_int_equal(parse(&lines, &card, NULL), E_MALFORMED);
}

static void a_witness_has_a_cosigning_key_and_a_name_that_fits_it(void **state) {
    (void)state;
    struct card card;
    struct lines lines = sample();
    add_witness_as(&lines, "log.example", NOTE_ED25519, 9);
    assert_int_equal(parse(&lines, &card, NULL), E_UNKNOWN_SUITE);
    lines = sample();
    char *name = strstr(lines.line[10], "w6.");
    assert_non_null(name);
    name[1] = '8'; /* the hash is of the name, too */
    assert_int_equal(parse(&lines, &card, NULL), E_BAD_KEY);
}

static void more_lines_than_there_is_room_for_are_refused(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card;
    for (uint8_t i = 0; i < WITNESSES_MAX - 2; i++) add_witness(&lines, (uint8_t)(50 + i));
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    assert_int_equal(card.witness_count, WITNESSES_MAX);
    add_witness(&lines, 200);
    assert_int_equal(parse(&lines, &card, NULL), E_OUT_OF_RANGE);
    lines = sample();
    for (int i = 0; i < CARD_ADDRESSES_MAX - 1; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "tcp://192.0.2.%d:1", 100 + i);
        add(&lines, "address", address);
    }
    assert_int_equal(parse(&lines, &card, NULL), E_OUT_OF_RANGE);
}

/* The largest card there can be: its fingerprint is taken in room of a fixed size. */
static void the_largest_card_has_a_fingerprint(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card;
    uint8_t hash[HASH_SIZE], other[HASH_SIZE];
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    card.address_count = CARD_ADDRESSES_MAX;
    card.registrar_count = CARD_KEYS_MAX;
    card.witness_count = card.quorum = WITNESSES_MAX;
    card.freshness_s = 366 * 86400;
    for (size_t i = 0; i < WITNESSES_MAX; i++) {
        memset(card.witnesses[i].name, 'w', NOTE_KEY_NAME_MAX);
        card.witnesses[i].algorithm = NOTE_COSIGNATURE;
    }
    card.threshold = CARD_KEYS_MAX;
    memset(card.name, 'n', sizeof card.name - 1);
    for (size_t i = 0; i < CARD_ADDRESSES_MAX; i++) memset(card.addresses[i], 'a', CARD_ADDRESS_SIZE - 1);
    card_hash(&card, hash);
    card.witnesses[WITNESSES_MAX - 1].key[KEY_SIZE - 1] ^= 1;
    card_hash(&card, other);
    assert_memory_not_equal(hash, other, HASH_SIZE);
}

static void every_truncation_of_a_card_is_refused_but_for_what_ends_it(void **state) {
    (void)state;
    struct lines lines = sample();
    struct card card, cut;
    AUTO_BUF text = {0};
    uint8_t hash[HASH_SIZE], other[HASH_SIZE];
    assert_int_equal(parse(&lines, &card, NULL), E_OK);
    card_hash(&card, hash);
    card_format(&card, &text);
    for (size_t n = 0; n + 1 < text.n; n++) {
        if (card_parse(bytes_of(text.p, n), &cut, NULL) != E_OK) continue;
        card_hash(&cut, other); /* the optional last line is gone whole: another card, another number */
        assert_memory_not_equal(hash, other, HASH_SIZE);
    }
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_card_is_read),
        cmocka_unit_test(a_formatted_card_is_read_back_the_same),
        cmocka_unit_test(comments_blanks_and_order_do_not_change_the_fingerprint),
        cmocka_unit_test(every_changed_value_changes_the_fingerprint),
        cmocka_unit_test(a_missing_line_is_told),
        cmocka_unit_test(a_bad_line_is_named_and_nothing_is_returned),
        cmocka_unit_test(a_registrar_named_twice_does_not_count_twice),
        cmocka_unit_test(the_threshold_cannot_exceed_the_registrars),
        cmocka_unit_test(witnesses_are_optional_and_so_are_their_number_and_age),
        cmocka_unit_test(more_witnesses_cannot_be_asked_for_than_are_named),
        cmocka_unit_test(a_witness_named_twice_does_not_count_twice),
        cmocka_unit_test(a_witness_has_a_cosigning_key_and_a_name_that_fits_it),
        cmocka_unit_test(more_lines_than_there_is_room_for_are_refused),
        cmocka_unit_test(the_largest_card_has_a_fingerprint),
        cmocka_unit_test(every_truncation_of_a_card_is_refused_but_for_what_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
