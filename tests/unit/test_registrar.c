/* test_registrar.c - charters taken apart and admissions signed, judged by the directory that every member replays. */
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

static void apply(struct directory *directory, enum leaf_kind kind, struct bytes statement, uint64_t ms,
                  enum error wanted) {
    AUTO_BUF leaf = {0};
    enum error error = directory_make_leaf(directory, kind, statement, (struct instant){ms}, &leaf);
    assert_int_equal(error, wanted);
    if (error == E_OK) assert_int_equal(directory_apply(directory, buf_bytes(&leaf)), E_OK);
}

static void sign(enum admission_action action, const uint8_t *charter, const char *reason, const uint8_t *seed,
                 struct buf *out) {
    struct registrar_order order = {
        .action = action, .party = bytes_text("fj"), .charter = charter, .reason = reason, .created = {2000}};
    assert_int_equal(registrar_sign(&order, seed, out), E_OK);
}

static void signed_orders_are_what_the_directory_takes(void **state) {
    (void)state;
    AUTO_BUF file = {0};
    AUTO_BUF admit = {0};
    AUTO_BUF suspend = {0};
    AUTO_BUF resume = {0};
    AUTO_BUF foreign = {0};
    struct registrar_charter charter;
    struct card card = {.registrar_count = 1, .threshold = 1};
    memcpy(card.registrars[0], registrar_key, KEY_SIZE);
    struct directory *directory = directory_new(&card);
    assert_non_null(directory);
    make_file("fj", "fj", LEAF_CHARTER, &file);
    assert_int_equal(registrar_open_charter(buf_bytes(&file), &charter), E_OK);
    assert_true(bytes_are(charter.charter.party, "fj"));
    sign(ACTION_ADMIT, charter.hash, NULL, registrar_seed, &admit);
    sign(ACTION_SUSPEND, NULL, "key stolen", registrar_seed, &suspend);
    sign(ACTION_RESUME, NULL, NULL, registrar_seed, &resume);
    sign(ACTION_ADMIT, charter.hash, NULL, authority_seed, &foreign);
    apply(directory, LEAF_CHARTER, charter.statement, 3000, E_OK);
    apply(directory, LEAF_ADMISSION, buf_bytes(&foreign), 3000, E_UNKNOWN_REGISTRAR);
    apply(directory, LEAF_ADMISSION, buf_bytes(&admit), 3000, E_OK);
    apply(directory, LEAF_ADMISSION, buf_bytes(&suspend), 3000, E_OK);
    apply(directory, LEAF_ADMISSION, buf_bytes(&resume), 3000, E_OK);
    directory_free(directory);
}

static void order_that_no_directory_could_read_is_not_signed(void **state) {
    (void)state;
    AUTO_BUF out = {0};
    static char long_reason[SUBJECT_MAX + 2];
    memset(long_reason, 'a', SUBJECT_MAX + 1);
    static const char *const reasons[] = {"\xff", long_reason};
    for (size_t i = 0; i < LENGTH(reasons); i++) {
        struct registrar_order order = {
            .action = ACTION_SUSPEND, .party = bytes_text("fj"), .reason = reasons[i], .created = {1}};
        assert_int_equal(registrar_sign(&order, registrar_seed, &out), E_BAD_TEXT);
    }
    struct registrar_order order = {.action = ACTION_RESUME, .party = bytes_text("Not A Party"), .created = {1}};
    assert_int_equal(registrar_sign(&order, registrar_seed, &out), E_BAD_TEXT);
    assert_int_equal(out.n, 0);
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
        cmocka_unit_test(order_that_no_directory_could_read_is_not_signed),
        cmocka_unit_test(charter_file_must_be_what_it_says),
        cmocka_unit_test(every_truncation_and_every_bit_flip_of_a_charter_is_refused),
        cmocka_unit_test(registrar_is_known_by_the_card),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
