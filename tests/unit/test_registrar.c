/* test_registrar.c - charters taken apart, orders made, signed apart and joined; judged by the directory that every
 * member replays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <sodium.h>

#include "directory.h"
#include "registrar.h"
#include "sign.h"
#include "stamp.h"

static uint8_t authority_seed[KEY_SIZE], registrar_seed[KEY_SIZE], registrar_key[KEY_SIZE];

static int begin(void **state) {
    uint8_t secret[SIGN_SECRET_SIZE];
    (void)state;
    memset(authority_seed, 1, KEY_SIZE);
    memset(registrar_seed, 2, KEY_SIZE);
    if (sign_self_test() != E_OK) return -1;
    return crypto_sign_seed_keypair(registrar_key, secret, registrar_seed);
}

/* A charter file as an authority makes it; `file_party` is what the outer dossier says. */
static void make_file(const char *party, const char *file_party, uint64_t kind, struct buf *out) {
    uint8_t secret[SIGN_SECRET_SIZE];
    struct charter charter = {
        .suite = SUITE, .party = bytes_text(party), .name = bytes_text("Fiji"), .kind = PARTY_STATE, .created = {1000}};
    AUTO_BUF payload = {0};
    AUTO_BUF stamped = {0};
    AUTO_BUF items = {0};
    crypto_sign_seed_keypair(charter.authority, secret, authority_seed);
    charter_encode(&charter, &payload);
    assert_int_equal(stamp_sign_one(LABEL_CHARTER, secret, buf_bytes(&payload), &stamped), E_OK);
    dirstatement_encode(&(struct dirstatement){.kind = kind, .statement = buf_bytes(&stamped)}, &items);
    dossier_encode(&(struct dossier){.suite = SUITE, .post = bytes_text(file_party), .statements = list_of(&items, 1)},
                   out);
    assert_false(out->failed);
}

/* A registrar's seed, by number: 2 is the one that the cards of these tests always name. */
static void seed_of(uint8_t number, uint8_t ret[static KEY_SIZE]) { memset(ret, number, KEY_SIZE); }

/* Registrars 2, 3 and 4. */
static struct card card_of(unsigned threshold) {
    struct card card = {.registrar_count = 3, .threshold = threshold};
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t seed[KEY_SIZE];
        seed_of((uint8_t)(2 + i), seed);
        registrar_public(seed, card.registrars[i]);
    }
    return card;
}

static void sign(struct buf *file, uint8_t number, enum error wanted) {
    uint8_t seed[KEY_SIZE];
    AUTO_BUF more = {0};
    seed_of(number, seed);
    assert_int_equal(registrar_sign(buf_bytes(file), seed, &more), wanted);
    if (wanted != E_OK) {
        assert_int_equal(more.n, 0);
        return;
    }
    buf_free(file);
    *file = buf_take(&more);
}

static struct admission order_of(enum admission_action action, const char *reason) {
    static uint64_t created = 2000;
    return (struct admission){.party = bytes_text("fj"),
                              .action = (uint64_t)action,
                              .created = {created++},
                              .has_reason = reason != NULL,
                              .reason = bytes_text(reason)};
}

static void begin_order(const struct admission *admission, const struct registrar_charter *charter, struct buf *file) {
    assert_int_equal(registrar_begin(admission, charter, file), E_OK);
}

/* All that is to be recorded of the order, one leaf after the other; what the last one gave. */
static enum error record(struct directory *directory, struct bytes file, uint64_t ms) {
    struct registrar_order order;
    AUTO_BUF items = {0};
    size_t count;
    struct dirstatement statement;
    enum error error = E_OK;
    assert_int_equal(registrar_open(file, &order), E_OK);
    assert_int_equal(registrar_statements(&order, &items, &count), E_OK);
    struct list list = list_of(&items, count);
    while (error == E_OK && dirstatement_next(&list, &statement)) {
        AUTO_BUF leaf = {0};
        if (directory_holds(directory, (enum leaf_kind)statement.kind, statement.statement)) continue;
        error = directory_make_leaf(directory, (enum leaf_kind)statement.kind, statement.statement,
                                    (struct instant){ms}, &leaf);
        if (error == E_OK) assert_int_equal(directory_apply(directory, buf_bytes(&leaf)), E_OK);
    }
    return error;
}

/* The life of a party, each step signed by two of three; whatever has one signature is refused by every replay. */
static void signed_orders_are_what_the_directory_takes(void **state) {
    (void)state;
    AUTO_BUF charter_file = {0};
    struct registrar_charter charter;
    struct card card = card_of(2);
    struct directory *directory = directory_new(&card);
    assert_non_null(directory);
    make_file("fj", "fj", LEAF_CHARTER, &charter_file);
    assert_int_equal(registrar_open_charter(buf_bytes(&charter_file), &charter), E_OK);
    assert_true(bytes_are(charter.charter.party, "fj"));
    static const enum admission_action actions[] = {ACTION_NOMINATE, ACTION_ADMIT, ACTION_SUSPEND, ACTION_RESUME};
    for (size_t i = 0; i < LENGTH(actions); i++) {
        struct admission admission = order_of(actions[i], i == 2 ? "key stolen" : NULL);
        struct registrar_order order;
        AUTO_BUF file = {0};
        if (actions[i] == ACTION_NOMINATE) {
            admission.has_name = admission.has_kind = true;
            admission.name = bytes_text("Fiji");
        }
        begin_order(&admission, actions[i] == ACTION_ADMIT ? &charter : NULL, &file);
        assert_int_equal(registrar_open(buf_bytes(&file), &order), E_OK);
        assert_int_equal(order.signer_count, 0);
        assert_int_equal(registrar_check(&order, &card), E_TOO_FEW_SIGNERS);
        sign(&file, (uint8_t)(2 + i % 3), E_OK);
        assert_int_equal(registrar_open(buf_bytes(&file), &order), E_OK);
        assert_int_equal(order.signer_count, 1);
        assert_int_equal(registrar_check(&order, &card), E_TOO_FEW_SIGNERS);
        assert_int_equal(record(directory, buf_bytes(&file), 3000), E_TOO_FEW_SIGNERS);
        sign(&file, (uint8_t)(2 + i % 3), E_CONFLICT);
        sign(&file, (uint8_t)(2 + (i + 1) % 3), E_OK);
        assert_int_equal(registrar_open(buf_bytes(&file), &order), E_OK);
        assert_int_equal(registrar_check(&order, &card), E_OK);
        assert_int_equal(record(directory, buf_bytes(&file), 3000), E_OK);
    }
    const struct directory_party *party = directory_party(directory, bytes_text("fj"));
    assert_true(party->admitted && !party->suspended && !party->nominated);
    directory_free(directory);
}

static void notice_of_a_new_key_is_what_the_directory_takes(void **state) {
    (void)state;
    AUTO_BUF old_file = {0}, new_file = {0}, admit = {0}, file = {0};
    struct registrar_charter old, new;
    struct registrar_order order;
    struct card card = card_of(1);
    struct directory *directory = directory_new(&card);
    assert_non_null(directory);
    make_file("fj", "fj", LEAF_CHARTER, &old_file);
    assert_int_equal(registrar_open_charter(buf_bytes(&old_file), &old), E_OK);
    struct admission admission = order_of(ACTION_ADMIT, NULL);
    begin_order(&admission, &old, &admit);
    sign(&admit, 2, E_OK);
    assert_int_equal(record(directory, buf_bytes(&admit), 3000), E_OK);
    authority_seed[0] = 77; /* the key that the party made anew */
    make_file("fj", "fj", LEAF_CHARTER, &new_file);
    authority_seed[0] = 1;
    assert_int_equal(registrar_open_charter(buf_bytes(&new_file), &new), E_OK);
    assert_int_equal(registrar_begin_notice(&new, "the safe burnt", (struct instant){2500}, &file), E_OK);
    sign(&file, 3, E_OK);
    assert_int_equal(registrar_open(buf_bytes(&file), &order), E_OK);
    assert_int_equal(order.kind, LEAF_NOTICE);
    assert_true(order.has_charter && bytes_are(order.notice.reason, "the safe burnt"));
    assert_memory_equal(order.notice.authority, new.charter.authority, KEY_SIZE);
    assert_int_equal(record(directory, buf_bytes(&file), 3000), E_OK);
    const struct directory_party *party = directory_party(directory, bytes_text("fj"));
    assert_true(party->notice.stands);
    assert_memory_equal(party->notice.authority, new.charter.authority, KEY_SIZE);
    assert_memory_equal(party->authority, old.charter.authority, KEY_SIZE);
    directory_free(directory);
}

static void registrars_sign_copies_that_are_joined(void **state) {
    (void)state;
    AUTO_BUF one = {0}, other = {0}, both = {0}, foreign = {0}, out = {0};
    struct card card = card_of(2);
    struct registrar_order order;
    struct admission admission = order_of(ACTION_RESUME, NULL), another = order_of(ACTION_RESUME, NULL);
    begin_order(&admission, NULL, &one);
    buf_add_bytes(&other, buf_bytes(&one));
    sign(&one, 2, E_OK);
    sign(&other, 4, E_OK);
    assert_int_equal(registrar_combine(buf_bytes(&one), buf_bytes(&other), &both), E_OK);
    assert_int_equal(registrar_open(buf_bytes(&both), &order), E_OK);
    assert_int_equal(order.signer_count, 2);
    assert_int_equal(registrar_check(&order, &card), E_OK);
    begin_order(&another, NULL, &foreign);
    sign(&foreign, 3, E_OK);
    assert_int_equal(registrar_combine(buf_bytes(&one), buf_bytes(&foreign), &out), E_MISMATCH);
    assert_int_equal(out.n, 0);
}

static void stranger_who_signs_spoils_the_order_for_the_card(void **state) {
    (void)state;
    AUTO_BUF file = {0};
    struct card card = card_of(1);
    struct registrar_order order;
    struct admission admission = order_of(ACTION_RESUME, NULL);
    begin_order(&admission, NULL, &file);
    sign(&file, 2, E_OK);
    sign(&file, 9, E_OK);
    assert_int_equal(registrar_open(buf_bytes(&file), &order), E_OK);
    assert_int_equal(registrar_check(&order, &card), E_UNKNOWN_REGISTRAR);
}

static void order_that_no_directory_could_read_is_not_begun(void **state) {
    (void)state;
    AUTO_BUF out = {0}, charter_file = {0};
    struct registrar_charter charter;
    static char long_reason[SUBJECT_MAX + 2];
    memset(long_reason, 'a', SUBJECT_MAX + 1);
    static const char *const reasons[] = {"\xff", long_reason};
    make_file("fj", "fj", LEAF_CHARTER, &charter_file);
    assert_int_equal(registrar_open_charter(buf_bytes(&charter_file), &charter), E_OK);
    for (size_t i = 0; i < LENGTH(reasons); i++) {
        struct admission admission = order_of(ACTION_SUSPEND, reasons[i]);
        assert_int_equal(registrar_begin(&admission, NULL, &out), E_BAD_TEXT);
        assert_int_equal(registrar_begin_notice(&charter, reasons[i], (struct instant){1}, &out), E_BAD_TEXT);
    }
    struct admission admission = order_of(ACTION_RESUME, NULL);
    admission.party = bytes_text("Not A Party");
    assert_int_equal(registrar_begin(&admission, NULL, &out), E_BAD_TEXT);
    admission = order_of(ACTION_ADMIT, NULL);
    assert_int_equal(registrar_begin(&admission, NULL, &out), E_MISSING_FIELD);
    admission = order_of(ACTION_ADMIT, NULL);
    admission.party = bytes_text("de");
    assert_int_equal(registrar_begin(&admission, &charter, &out), E_MISMATCH);
    admission = order_of(ACTION_SUSPEND, "x");
    assert_int_equal(registrar_begin(&admission, &charter, &out), E_MALFORMED);
    admission = order_of(ACTION_NOMINATE, NULL);
    assert_int_equal(registrar_begin(&admission, NULL, &out), E_MISSING_FIELD);
    assert_int_equal(out.n, 0);
}

static void every_truncation_and_every_bit_flip_of_an_order_is_refused(void **state) {
    (void)state;
    AUTO_BUF charter_file = {0}, file = {0};
    struct registrar_charter charter;
    struct registrar_order order, before;
    make_file("fj", "fj", LEAF_CHARTER, &charter_file);
    assert_int_equal(registrar_open_charter(buf_bytes(&charter_file), &charter), E_OK);
    struct admission admission = order_of(ACTION_ADMIT, NULL);
    begin_order(&admission, &charter, &file);
    sign(&file, 3, E_OK);
    memset(&order, 0x33, sizeof order);
    before = order;
    for (size_t n = 0; n < file.n; n++) {
        AUTO_FREE(uint8_t) part = malloc(n ? n : 1); /* its own block, so that a read past the end is seen */
        assert_non_null(part);
        if (n) memcpy(part, file.p, n);
        assert_int_not_equal(registrar_open(bytes_of(part, n), &order), E_OK);
    }
    for (size_t i = 0; i < file.n * 8; i++) {
        file.p[i / 8] = (uint8_t)(file.p[i / 8] ^ 1u << i % 8);
        assert_int_not_equal(registrar_open(buf_bytes(&file), &order), E_OK);
        file.p[i / 8] = (uint8_t)(file.p[i / 8] ^ 1u << i % 8);
    }
    assert_memory_equal(&order, &before, sizeof order);
    assert_int_equal(registrar_open(buf_bytes(&file), &order), E_OK);
}

static void charter_file_must_be_what_it_says(void **state) {
    (void)state;
    struct registrar_charter charter;
    AUTO_BUF other_party = {0};
    AUTO_BUF other_kind = {0};
    make_file("fj", "de", LEAF_CHARTER, &other_party);
    assert_int_equal(registrar_open_charter(buf_bytes(&other_party), &charter), E_MISMATCH);
    make_file("fj", "fj", LEAF_POST, &other_kind);
    assert_int_equal(registrar_open_charter(buf_bytes(&other_kind), &charter), E_MALFORMED);
}

static void every_truncation_and_every_bit_flip_of_a_charter_is_refused(void **state) {
    (void)state;
    AUTO_BUF file = {0};
    make_file("fj", "fj", LEAF_CHARTER, &file);
    struct registrar_charter charter, before;
    memset(&charter, 0x33, sizeof charter);
    before = charter;
    for (size_t n = 0; n < file.n; n++) {
        AUTO_FREE(uint8_t) part = malloc(n ? n : 1); /* its own block, so that a read past the end is seen */
        assert_non_null(part);
        memcpy(part, file.p, n);
        assert_int_not_equal(registrar_open_charter(bytes_of(part, n), &charter), E_OK);
    }
    for (size_t i = 0; i < file.n * 8; i++) {
        file.p[i / 8] = (uint8_t)(file.p[i / 8] ^ 1u << i % 8);
        assert_int_not_equal(registrar_open_charter(buf_bytes(&file), &charter), E_OK);
        file.p[i / 8] = (uint8_t)(file.p[i / 8] ^ 1u << i % 8);
    }
    assert_memory_equal(&charter, &before, sizeof charter);
    assert_int_equal(registrar_open_charter(buf_bytes(&file), &charter), E_OK);
}

static void registrar_is_known_by_the_card(void **state) {
    (void)state;
    struct card card = {.registrar_count = 1, .threshold = 1};
    memcpy(card.registrars[0], registrar_key, KEY_SIZE);
    assert_true(registrar_is_of(&card, registrar_seed));
    assert_false(registrar_is_of(&card, authority_seed));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_orders_are_what_the_directory_takes),
        cmocka_unit_test(notice_of_a_new_key_is_what_the_directory_takes),
        cmocka_unit_test(registrars_sign_copies_that_are_joined),
        cmocka_unit_test(stranger_who_signs_spoils_the_order_for_the_card),
        cmocka_unit_test(order_that_no_directory_could_read_is_not_begun),
        cmocka_unit_test(every_truncation_and_every_bit_flip_of_an_order_is_refused),
        cmocka_unit_test(charter_file_must_be_what_it_says),
        cmocka_unit_test(every_truncation_and_every_bit_flip_of_a_charter_is_refused),
        cmocka_unit_test(registrar_is_known_by_the_card),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
