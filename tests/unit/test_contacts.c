/* test_contacts.c - contact cards at the relay: who may put them, who gets what, and that what is replaced is gone. */
#include "contact.h"

#include "ledger_fixture.h"
#include "verify.h"

enum { READER = DEVICE + 1, BELL = DEVICE + 2, OUTSIDER = DEVICE + 10 };

/* A card of de/technical: a public sheet with this office, and a sealed one. */
struct card_sample {
    struct buf sheets, statement, message;
    uint8_t commitments[SHEETS_MAX][HASH_SIZE];
    size_t count;
    struct putcontact put;
};

static void card_free(struct card_sample *card) {
    buf_free(&card->sheets);
    buf_free(&card->statement);
    buf_free(&card->message);
}
#define AUTO_CARD __attribute__((cleanup(card_free))) struct card_sample

static void add_public(struct card_sample *card, const char *office) {
    AUTO_BUF fields = {0}, bytes = {0};
    struct sealedsheet sealed = {.audience = AUDIENCE_PUBLIC, .has_data = true};
    cardfield_encode(&(struct cardfield){CONTACT_OFFICE, bytes_text(office)}, &fields);
    struct sheet sheet = {
        .post = bytes_text("de/technical"), .audience = AUDIENCE_PUBLIC, .fields = list_of(&fields, 1)};
    memset(sheet.salt, (int)strlen(office), HASH_SIZE);
    assert_ok(sheet_make(&sheet, &bytes, sealed.commitment));
    sealed.data = buf_bytes(&bytes);
    memcpy(card->commitments[card->count++], sealed.commitment, HASH_SIZE);
    sealedsheet_encode(&sealed, &card->sheets);
}

static void add_wrap(struct buf *out, unsigned device, const char *cipher) {
    struct wrap wrap = {.enc = bytes_text("enc"), .ciphertext = bytes_text(cipher)};
    memcpy(wrap.device, pair_of(device).public, KEY_SIZE);
    wrap_encode(&wrap, out);
}

/* data NULL: only wraps. */
static void add_sealed(struct card_sample *card, uint8_t mark, const char *data, struct list wraps) {
    struct sealedsheet sealed = {
        .audience = AUDIENCE_MEMBERS, .has_data = data != NULL, .data = bytes_text(data), .wraps = wraps};
    memset(sealed.commitment, mark, HASH_SIZE);
    memcpy(card->commitments[card->count++], sealed.commitment, HASH_SIZE);
    sealedsheet_encode(&sealed, &card->sheets);
}

static void finish_wraps(struct card_sample *card) {
    card->put = (struct putcontact){.sheets = list_of(&card->sheets, card->count)};
}

static void sign_card(struct card_sample *card, const char *post, unsigned device, uint64_t created) {
    AUTO_BUF items = {0}, payload = {0};
    for (size_t i = 0; i < card->count; i++) cbor_put_bytes(&items, bytes_of(card->commitments[i], HASH_SIZE));
    struct contact contact = {
        .post = bytes_text(post), .commitments = list_of(&items, card->count), .created = {created}};
    memcpy(contact.device, pair_of(device).public, KEY_SIZE);
    contact_encode(&contact, &payload);
    buf_clear(&card->statement);
    assert_ok(stamp_sign_one(LABEL_CONTACT, pair_of(device).secret, buf_bytes(&payload), &card->statement));
    finish_wraps(card);
    card->put.has_statement = true;
    card->put.statement = buf_bytes(&card->statement);
}

static enum error put(struct bench *bench, unsigned device, const struct card_sample *card) {
    struct response response = {.type = MESSAGE_NONE};
    struct job job = job_of(device);
    begin(bench);
    assert_ok(contacts_put(&bench->book, &job, &card->put, &response));
    commit_batch(bench);
    enum error error = response.type == MESSAGE_FAILURE ? response.error : E_OK;
    if (error == E_OK) assert_int_equal(response.type, MESSAGE_DONE);
    response_free(&response);
    return error;
}

/* What the gate says of the same message. */
static enum error gate(struct bench *bench, unsigned device, const struct card_sample *card) {
    char detail[VERIFY_DETAIL];
    AUTO_BUF body = {0};
    putcontact_encode(&card->put, &body);
    struct verify_question question = {.directory = bench->book.directory,
                                       .device = directory_device(bench->book.directory, pair_of(device).public),
                                       .row = message_row(MESSAGE_PUTCONTACT),
                                       .body = buf_bytes(&body),
                                       .time = bench->book.now};
    return verify_message(&question, detail);
}

struct got {
    struct response response;
    struct contactcard card;
    size_t sheets, wraps;
};

/* device 0: a guest. The caller frees the response. */
static struct got get(struct bench *bench, unsigned device, const char *post) {
    struct got got = {.response = {.type = MESSAGE_NONE}};
    struct job job = device ? job_of(device) : (struct job){0};
    struct getcontact ask = {.post = bytes_text(post)};
    struct sealedsheet sheet;
    assert_ok(contacts_get(&bench->book, &job, &ask, &got.response));
    assert_int_equal(got.response.type, MESSAGE_CONTACTCARD);
    assert_ok(contactcard_decode(buf_bytes(&got.response.body), &got.card));
    struct list list = got.card.sheets;
    for (; sealedsheet_next(&list, &sheet); got.sheets++) got.wraps += sheet.wraps.count;
    return got;
}

static void assert_gets(struct bench *bench, unsigned device, size_t sheets, size_t wraps) {
    struct got got = get(bench, device, "de/technical");
    assert_int_equal(got.sheets, sheets);
    assert_int_equal(got.wraps, wraps);
    response_free(&got.response);
}

static void put_both(struct bench *bench, const char *office, uint8_t mark, uint64_t created) {
    AUTO_CARD card = {0};
    AUTO_BUF wraps = {0};
    add_public(&card, office);
    add_wrap(&wraps, OUTSIDER, "for a stranger");
    add_wrap(&wraps, READER, "for a sister");
    add_sealed(&card, mark, "sealed, and more than a tag", list_of(&wraps, 2));
    sign_card(&card, "de/technical", DEVICE, created);
    assert_ok(gate(bench, DEVICE, &card));
    assert_ok(put(bench, DEVICE, &card));
}

/* ---- tests ---- */

static void members_get_all_sheets_with_their_own_wrap_and_guests_the_public_ones(void **state) {
    struct bench *bench = *state;
    assert_gets(bench, OUTSIDER, 0, 0);
    put_both(bench, "Lagezentrum", 1, 10);
    const struct directory_post *post = directory_post(bench->book.directory, bytes_text("de/technical"));
    assert_int_equal(post->sheet_count, 2);
    assert_gets(bench, 0, 1, 0);
    assert_gets(bench, OUTSIDER, 2, 1);
    assert_gets(bench, OUTSIDER + 1, 2, 0);
    assert_gets(bench, BELL, 1, 0);
    struct got got = get(bench, READER, "de/technical");
    struct list list = got.card.sheets;
    struct sealedsheet sheet;
    struct wrap wrap;
    assert_true(sealedsheet_next(&list, &sheet) && sealedsheet_next(&list, &sheet));
    assert_true(wrap_next(&sheet.wraps, &wrap));
    assert_memory_equal(wrap.device, pair_of(READER).public, KEY_SIZE);
    response_free(&got.response);
}

static void only_a_live_decider_of_the_post_puts_its_card(void **state) {
    struct bench *bench = *state;
    AUTO_CARD card = {0};
    add_public(&card, "Lagezentrum");
    sign_card(&card, "de/technical", READER, 1);
    assert_int_equal(put(bench, READER, &card), E_NOT_ALLOWED);
    sign_card(&card, "de/technical", OUTSIDER, 1);
    assert_int_equal(put(bench, OUTSIDER, &card), E_NOT_ALLOWED);
    assert_int_equal(gate(bench, OUTSIDER, &card), E_NOT_ALLOWED);
    sign_card(&card, "fj/national", DEVICE, 1);
    assert_int_equal(put(bench, DEVICE, &card), E_NOT_ALLOWED);
    sign_card(&card, "de/technical", DEVICE, 1);
    assert_int_equal(put(bench, OUTSIDER, &card), E_NOT_ALLOWED);
    assert_int_equal(gate(bench, OUTSIDER, &card), E_NOT_ALLOWED);
    card.statement.p[card.statement.n - 1] ^= 1;
    assert_int_equal(gate(bench, DEVICE, &card), E_BAD_SIGNATURE);
    assert_int_equal(put(bench, DEVICE, &card), E_BAD_SIGNATURE);
    assert_gets(bench, OUTSIDER, 0, 0);
    struct revocation revocation = revocation_of("de/technical", DEVICE, POST_KEY);
    assert_ok(say_revocation(&bench->world, &revocation, POST_KEY));
    const struct buf *leaf = &bench->world.leaves[bench->world.count - 1];
    assert_ok(directory_apply(bench->book.directory, buf_bytes(leaf)));
    sign_card(&card, "de/technical", DEVICE, 1);
    assert_int_equal(put(bench, DEVICE, &card), E_REVOKED);
}

static void the_sheets_are_exactly_those_that_the_statement_commits_to(void **state) {
    struct bench *bench = *state;
    AUTO_CARD fewer = {0}, other = {0}, twice = {0}, bare = {0}, lying = {0};
    add_public(&fewer, "Lagezentrum");
    add_sealed(&fewer, 1, "sealed, and more than a tag", (struct list){0});
    sign_card(&fewer, "de/technical", DEVICE, 1);
    fewer.put.sheets.count = 0;
    fewer.put.sheets.items.n = 0;
    assert_int_equal(put(bench, DEVICE, &fewer), E_MISMATCH);
    add_public(&other, "Lagezentrum");
    other.commitments[0][0] ^= 1;
    sign_card(&other, "de/technical", DEVICE, 1);
    assert_int_equal(put(bench, DEVICE, &other), E_MISMATCH);
    add_sealed(&twice, 1, "sealed, and more than a tag", (struct list){0});
    add_sealed(&twice, 1, "sealed, and more than a tag", (struct list){0});
    sign_card(&twice, "de/technical", DEVICE, 1);
    assert_int_equal(put(bench, DEVICE, &twice), E_NON_CANONICAL);
    add_sealed(&bare, 1, NULL, (struct list){0});
    sign_card(&bare, "de/technical", DEVICE, 1);
    assert_int_equal(put(bench, DEVICE, &bare), E_MISSING_FIELD);
    struct sealedsheet sealed = {.audience = AUDIENCE_PUBLIC, .has_data = true, .data = bytes_text("not a sheet")};
    memset(sealed.commitment, 5, HASH_SIZE);
    memcpy(lying.commitments[lying.count++], sealed.commitment, HASH_SIZE);
    sealedsheet_encode(&sealed, &lying.sheets);
    sign_card(&lying, "de/technical", DEVICE, 1);
    assert_int_equal(gate(bench, DEVICE, &lying), E_BAD_COMMITMENT);
    assert_int_equal(put(bench, DEVICE, &lying), E_BAD_COMMITMENT);
    assert_int_equal(directory_post(bench->book.directory, bytes_text("de/technical"))->contact_size, 0);
}

static bool store_holds(const struct bench *bench, const char *canary) {
    static char whole[8 * 1024 * 1024];
    const char *ends[] = {"", "-wal"};
    for (size_t i = 0; i < LENGTH(ends); i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", bench->path, ends[i]);
        FILE *file = fopen(name, "rb");
        if (!file) continue;
        size_t n = fread(whole, 1, sizeof whole, file);
        fclose(file);
        assert_true(n < sizeof whole);
        if (memmem(whole, n, canary, strlen(canary))) return true;
    }
    return false;
}

static void what_is_replaced_or_erased_is_gone_from_the_disk(void **state) {
    struct bench *bench = *state;
    put_both(bench, "the former office", 1, 10);
    assert_true(store_holds(bench, "the former office"));
    assert_true(store_holds(bench, "for a stranger"));
    AUTO_CARD newer = {0};
    add_public(&newer, "the new one");
    sign_card(&newer, "de/technical", DEVICE, 11);
    assert_ok(put(bench, DEVICE, &newer));
    assert_false(store_holds(bench, "the former office"));
    assert_false(store_holds(bench, "for a stranger"));
    assert_true(store_holds(bench, "the new one"));
    assert_gets(bench, OUTSIDER, 1, 0);
    AUTO_CARD none = {0};
    sign_card(&none, "de/technical", DEVICE, 12);
    assert_ok(put(bench, DEVICE, &none));
    assert_false(store_holds(bench, "the new one"));
    assert_gets(bench, OUTSIDER, 0, 0);
}

static void declare(struct bench *bench, enum leaf_kind kind, const struct buf *stamped) {
    AUTO_BUF items = {0};
    struct response response = {0};
    dirstatement_encode(&(struct dirstatement){kind, buf_bytes(stamped)}, &items);
    begin(bench);
    bench->book.now.ms += 1000;
    assert_ok(enrolment_declare(&bench->book, &(struct declare){list_of(&items, 1)}, &response));
    assert_int_equal(response.type, MESSAGE_DONE);
    commit_batch(bench);
    response_free(&response);
}

/* Its devices are gone, and nobody else may erase the card. */
static void a_revoked_posts_card_is_gone_from_the_disk(void **state) {
    struct bench *bench = *state;
    enum { NEW_KEY = 300, NEW_DEVICE };
    AUTO_BUF device_gone = {0}, gone = {0}, back = {0}, device_stamped = {0}, counter_stamped = {0};
    struct revocation one = revocation_of("de/technical", DEVICE + 1, AUTHORITY);
    struct revocation all = revocation_of("de/technical", 0, AUTHORITY);
    sign_revocation(&one, AUTHORITY, &device_gone);
    sign_revocation(&all, AUTHORITY, &gone);
    put_both(bench, "the lost office", 1, 10);
    declare(bench, LEAF_REVOCATION, &device_gone);
    assert_true(store_holds(bench, "the lost office")); /* the post still stands */
    assert_gets(bench, OUTSIDER, 2, 1);
    declare(bench, LEAF_REVOCATION, &gone);
    assert_false(store_holds(bench, "the lost office"));
    assert_false(store_holds(bench, "for a stranger"));

    struct post post = post_of("de/technical", AUTHORITY, NEW_KEY);
    struct device device = device_of("de/technical", NEW_KEY, NEW_DEVICE, ROLE_DECIDER);
    struct countersign countersign = countersign_of(&device, AUTHORITY);
    sign_post(&post, AUTHORITY, &back);
    sign_device(&device, NEW_KEY, &device_stamped);
    sign_countersign(&countersign, AUTHORITY, &counter_stamped);
    declare(bench, LEAF_POST, &back);
    declare(bench, LEAF_DEVICE, &device_stamped);
    declare(bench, LEAF_COUNTERSIGN, &counter_stamped);
    assert_gets(bench, OUTSIDER, 0, 0);
    AUTO_CARD card = {0};
    add_public(&card, "the office that came back");
    sign_card(&card, "de/technical", NEW_DEVICE, 20);
    assert_ok(put(bench, NEW_DEVICE, &card));
    declare(bench, LEAF_REVOCATION, &gone); /* repeated: it is about the post that was */
    declare(bench, LEAF_POST, &back);
    assert_true(store_holds(bench, "the office that came back"));
    assert_gets(bench, OUTSIDER, 1, 0);
}

static void a_card_that_is_put_again_changes_nothing_and_an_old_one_does_not_come_back(void **state) {
    struct bench *bench = *state;
    AUTO_CARD first = {0}, second = {0};
    AUTO_BUF wraps = {0};
    add_sealed(&first, 1, "sealed, and more than a tag", (struct list){0});
    sign_card(&first, "de/technical", DEVICE, 1);
    assert_ok(put(bench, DEVICE, &first));
    uint64_t size = directory_size(bench->book.directory);
    AUTO_CARD more = {0};
    add_wrap(&wraps, OUTSIDER, "wrap");
    add_sealed(&more, 1, NULL, list_of(&wraps, 1));
    finish_wraps(&more);
    assert_ok(put(bench, READER, &more));
    assert_ok(put(bench, DEVICE, &first));
    assert_int_equal(directory_size(bench->book.directory), size);
    assert_gets(bench, OUTSIDER, 1, 1);
    add_sealed(&second, 2, "sealed, and more than a tag", (struct list){0});
    sign_card(&second, "de/technical", DEVICE, 2);
    assert_ok(put(bench, DEVICE, &second));
    assert_int_equal(put(bench, DEVICE, &first), E_CONFLICT);
    assert_gets(bench, OUTSIDER, 1, 0);
}

static void wraps_are_added_by_the_post_itself_to_the_card_that_stands(void **state) {
    struct bench *bench = *state;
    put_both(bench, "Lagezentrum", 1, 10);
    AUTO_BUF wraps = {0}, unknown = {0};
    AUTO_CARD more = {0}, gone = {0}, data = {0}, nobody = {0};
    add_wrap(&wraps, OUTSIDER + 1, "for another");
    add_sealed(&more, 1, NULL, list_of(&wraps, 1));
    finish_wraps(&more);
    assert_int_equal(put(bench, OUTSIDER, &more), E_STALE_DIRECTORY);
    assert_int_equal(put(bench, BELL, &more), E_NOT_ALLOWED);
    assert_ok(gate(bench, READER, &more));
    assert_ok(put(bench, READER, &more));
    assert_gets(bench, OUTSIDER + 1, 2, 1);
    assert_gets(bench, OUTSIDER, 2, 1);
    add_sealed(&gone, 9, NULL, list_of(&wraps, 1));
    finish_wraps(&gone);
    assert_int_equal(put(bench, DEVICE, &gone), E_STALE_DIRECTORY);
    add_sealed(&data, 1, "other bytes under the same commitment", list_of(&wraps, 1));
    finish_wraps(&data);
    assert_int_equal(put(bench, DEVICE, &data), E_MALFORMED);
    add_wrap(&unknown, 4000, "for a device that is in no directory");
    add_sealed(&nobody, 1, NULL, list_of(&unknown, 1));
    finish_wraps(&nobody);
    assert_ok(put(bench, DEVICE, &nobody));
    assert_false(store_holds(bench, "for a device that is in no directory"));
}

static void another_posts_commitment_cannot_be_taken(void **state) {
    struct bench *bench = *state;
    put_both(bench, "Lagezentrum", 1, 10);
    AUTO_CARD thief = {0};
    add_sealed(&thief, 1, "sealed, and more than a tag", (struct list){0});
    sign_card(&thief, "fj/national", OUTSIDER, 1);
    assert_int_equal(put(bench, OUTSIDER, &thief), E_CONFLICT);
    assert_gets(bench, OUTSIDER, 2, 1);
}

static void a_post_has_so_many_new_cards_a_day(void **state) {
    struct bench *bench = *state;
    for (uint64_t i = 1; i <= 32; i++) put_both(bench, "Lagezentrum", (uint8_t)i, i);
    AUTO_CARD card = {0};
    add_public(&card, "one too many");
    sign_card(&card, "de/technical", DEVICE, 100);
    assert_int_equal(put(bench, DEVICE, &card), E_OVER_QUOTA);
    assert_gets(bench, OUTSIDER, 2, 1);
    bench->book.now.ms += DAY_MS;
    assert_ok(put(bench, DEVICE, &card));
}

static void what_is_there_is_erased_however_many_cards_there_were_and_on_a_full_disk(void **state) {
    struct bench *bench = *state;
    for (uint64_t i = 1; i <= 32; i++) put_both(bench, "Lagezentrum", (uint8_t)i, i);
    AUTO_CARD none = {0};
    sign_card(&none, "de/technical", DEVICE, 100);
    bench->book.refuse_new = true;
    assert_ok(put(bench, DEVICE, &none));
    assert_gets(bench, OUTSIDER, 0, 0);
    bench->book.refuse_new = false;
    AUTO_CARD again = {0};
    sign_card(&again, "de/technical", DEVICE, 101);
    assert_int_equal(put(bench, DEVICE, &again), E_OVER_QUOTA); /* there was nothing to erase */
}

static void a_full_disk_keeps_the_card_that_is_there(void **state) {
    struct bench *bench = *state;
    put_both(bench, "Lagezentrum", 1, 10);
    AUTO_CARD card = {0};
    add_public(&card, "newer");
    sign_card(&card, "de/technical", DEVICE, 11);
    bench->book.refuse_new = true;
    assert_int_equal(put(bench, DEVICE, &card), E_STORE_FULL);
    assert_gets(bench, OUTSIDER, 2, 1);
}

int main(void) {
#define CARD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CARD_TEST(members_get_all_sheets_with_their_own_wrap_and_guests_the_public_ones),
        CARD_TEST(only_a_live_decider_of_the_post_puts_its_card),
        CARD_TEST(the_sheets_are_exactly_those_that_the_statement_commits_to),
        CARD_TEST(what_is_replaced_or_erased_is_gone_from_the_disk),
        CARD_TEST(a_card_that_is_put_again_changes_nothing_and_an_old_one_does_not_come_back),
        CARD_TEST(a_revoked_posts_card_is_gone_from_the_disk),
        CARD_TEST(wraps_are_added_by_the_post_itself_to_the_card_that_stands),
        CARD_TEST(another_posts_commitment_cannot_be_taken),
        CARD_TEST(a_post_has_so_many_new_cards_a_day),
        CARD_TEST(what_is_there_is_erased_however_many_cards_there_were_and_on_a_full_disk),
        CARD_TEST(a_full_disk_keeps_the_card_that_is_there),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
