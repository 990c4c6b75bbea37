/* test_evlog.c - heads of the evidence log as they come with receipts: all of one log, or refused; with the proof
 * that remains of a relay that signed two. How the log has grown between them is asked of a relay (tests/adversary,
 * tests/flow). */
#include "client_fixture.h"

#include <sodium.h>
#include <sys/stat.h>

#include "evlog.h"
#include "proofs.h"

static char archive_path[4096];
static uint8_t honest[HEADS_LEAVES * HASH_SIZE], forked[HEADS_LEAVES * HASH_SIZE];

static int set_up(void **state) {
    assert_int_equal(homes_set_up(state), 0);
    memcpy(archive_path, sender.path, sizeof archive_path);
    (void)snprintf(sender.path, sizeof sender.path, "%s/home", folder);
    assert_int_equal(mkdir(sender.path, 0700), 0);
    sender.card.address_count = sender.card.registrar_count = sender.card.threshold =
        1; /* a proof has the whole card */
    (void)snprintf(sender.card.addresses[0], sizeof sender.card.addresses[0], "tcp://127.0.0.1:5870");
    memcpy(sender.card.registrars[0], pair_of(REGISTRAR).public, KEY_SIZE);
    transport_of(LOG_KEY, sender.card.curve);
    sender.given = sender.card;
    heads_log(HEADS_LEAVES, honest);
    heads_log(6, forked);
    return 0;
}

static int tear_down(void **state) {
    char command[5000];
    (void)snprintf(command, sizeof command, "rm -rf '%s/home'", folder);
    assert_int_equal(system(command), 0);
    memcpy(sender.path, archive_path, sizeof archive_path);
    return homes_tear_down(state);
}

static void note_of(const uint8_t *hashes, size_t size, struct buf *out) {
    evidence_head_of(&sender.card, hashes, size, WORLD_TIME, out);
}

static enum error see(const uint8_t *hashes, size_t size) {
    AUTO_BUF note = {0};
    struct head head;
    note_of(hashes, size, &note);
    assert_ok(head_open_log(&sender.card, LOG_EVIDENCE, buf_bytes(&note), &head));
    return evlog_see(&sender, &head, buf_bytes(&note));
}

static uint64_t anchor(void) {
    AUTO_BUF note = {0};
    struct head head;
    bool found;
    assert_ok(evlog_newest(&sender, &note, &found));
    if (!found) return 0;
    assert_ok(head_open_log(&sender.card, LOG_EVIDENCE, buf_bytes(&note), &head));
    return head.size;
}

static void the_first_head_is_the_anchor_and_later_ones_wait(void **state) {
    (void)state;
    assert_int_equal(anchor(), 0);
    assert_ok(see(honest, 9));
    assert_int_equal(anchor(), 9);
    assert_ok(see(honest, 9));
    assert_int_equal(count_rows(&sender, TABLE_HEAD), 1);
    assert_ok(see(honest, 12));
    assert_ok(see(honest, 4)); /* a smaller one is held against it, too */
    assert_ok(see(honest, 12));
    assert_int_equal(anchor(), 9);
    assert_int_equal(count_rows(&sender, TABLE_HEAD), 3);
}

static void another_root_of_a_known_size_is_refused(void **state) {
    (void)state;
    assert_ok(see(honest, 9));
    assert_ok(see(honest, 12));
    assert_error(see(forked, 9), E_EVIDENCE_FORKED);
    assert_error(see(forked, 12), E_EVIDENCE_FORKED);
    assert_int_equal(count_rows(&sender, TABLE_HEAD), 2);
    assert_int_equal(anchor(), 9);
}

static void two_heads_of_one_size_are_a_proof(void **state) {
    (void)state;
    static const size_t sizes[] = {9, 12};
    for (size_t i = 0; i < LENGTH(sizes); i++) assert_ok(see(honest, sizes[i]));
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        AUTO_BUF note = {0};
        bool proven = false;
        sender.breach = (struct failure){0};
        note_of(forked, sizes[i], &note);
        assert_ok(evlog_accuse(&sender, buf_bytes(&note), &proven));
        assert_true(proven);
        assert_error(sender.breach.error, E_FRAUD);
        assert_non_null(strstr(sender.breach.where, "two evidence logs"));
        assert_int_equal(count_rows(&sender, TABLE_ALARM), i + 1);
    }
}

static void what_does_not_contradict_accuses_nobody(void **state) {
    (void)state;
    AUTO_BUF same = {0}, unknown = {0}, directory = {0};
    bool proven = true;
    assert_ok(see(honest, 9));
    note_of(honest, 9, &same);
    assert_ok(evlog_accuse(&sender, buf_bytes(&same), &proven));
    assert_false(proven);
    note_of(forked, 12, &unknown);
    assert_ok(evlog_accuse(&sender, buf_bytes(&unknown), &proven));
    assert_false(proven);
    head_of(&sender.card, forked, 9, WORLD_TIME, &directory);
    assert_ok(evlog_accuse(&sender, buf_bytes(&directory), &proven));
    assert_false(proven);
    assert_error(sender.breach.error, E_OK);
    assert_int_equal(count_rows(&sender, TABLE_ALARM), 0);
}

/* ---- with receipts ---- */

static uint8_t digest[HASH_SIZE];

static void stored_receipt(const struct kept_leg *leg, struct buf *out) {
    next_receipt(leg, digest, EVENT_STORED, RELAY, NULL, STATE_STORED, out);
}

static enum error apply(struct buf *receipt, enum trail_outcome *outcome) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    assert_ok(kept_load(sender.archive, digest, &request));
    only_leg(&sender, digest, &leg);
    return trail_apply(&sender, digest, &request, &leg, buf_bytes(receipt), outcome);
}

static void begin_request(struct kept_leg *leg) {
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "subject", .text = bytes_text("text")};
    compose(&sender, &draft, digest);
    only_leg(&sender, digest, leg);
}

static void a_receipt_out_of_another_log_moves_nothing_and_is_a_proof(void **state) {
    (void)state;
    AUTO_LEG leg = {0}, after = {0};
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    begin_request(&leg);
    stored_receipt(&leg, &receipt);
    uint8_t other[sizeof entries];
    memcpy(other, entries, sizeof other);
    other[(entry_count - 1) * HASH_SIZE] ^= 1; /* this very entry is another one there */
    assert_ok(see(other, entry_count));
    assert_error(apply(&receipt, &outcome), E_EVIDENCE_FORKED);
    only_leg(&sender, digest, &after);
    assert_int_equal(after.record.entries, 0);
    assert_ok(proofs_receipt(&sender, buf_bytes(&receipt), E_EVIDENCE_FORKED, "the receipt of %s", "a test"));
    assert_error(sender.breach.error, E_FRAUD);
    assert_int_equal(count_rows(&sender, TABLE_ALARM), 2); /* the proof, and the receipt */
}

static void a_known_receipt_with_another_head_is_looked_at_too(void **state) {
    (void)state;
    AUTO_LEG leg = {0};
    AUTO_BUF receipt = {0}, again = {0};
    enum trail_outcome outcome;
    struct receipt parts;
    begin_request(&leg);
    stored_receipt(&leg, &receipt);
    size_t place = entry_count - 1;
    assert_ok(apply(&receipt, &outcome));
    assert_ok(see(honest, 20 + entry_count)); /* some head of the future */
    uint8_t future[(20 + sizeof entries / HASH_SIZE) * HASH_SIZE];
    memset(future, 7, sizeof future);
    memcpy(future, entries, entry_count * HASH_SIZE);
    assert_ok(receipt_decode(buf_bytes(&receipt), &parts));
    receipt_with_place(&parts, &sender.card, future, entry_count + 20, place, WORLD_TIME + DAY_MS, &again);
    assert_error(apply(&again, &outcome), E_EVIDENCE_FORKED);
}

static void what_is_wrong_with_a_receipt_is_an_alarm_with_its_bytes_and_a_breach(void **state) {
    (void)state;
    assert_ok(proofs_receipt(&sender, bytes_text("no receipt"), E_BAD_PROOF, "the receipt of %s", "a test"));
    assert_error(sender.breach.error, E_BAD_PROOF);
    assert_string_equal(sender.breach.where, "the receipt of a test");
    assert_ok(proofs_receipt(&sender, (struct bytes){0}, E_WITHHELD, "no receipt at all"));
    assert_error(sender.breach.error, E_WITHHELD);
    assert_int_equal(count_rows(&sender, TABLE_ALARM), 2);
    for (int i = 0; i < 2; i++) assert_ok(proofs_suspect_once(&sender, E_GAP, "number %d", 7));
    assert_error(sender.breach.error, E_GAP);
    assert_int_equal(count_rows(&sender, TABLE_ALARM), 3);
}

int main(void) {
    if (sodium_init() < 0) return 1;
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_head_is_the_anchor_and_later_ones_wait),
        TEST(another_root_of_a_known_size_is_refused),
        TEST(two_heads_of_one_size_are_a_proof),
        TEST(what_does_not_contradict_accuses_nobody),
        TEST(a_receipt_out_of_another_log_moves_nothing_and_is_a_proof),
        TEST(a_known_receipt_with_another_head_is_looked_at_too),
        TEST(what_is_wrong_with_a_receipt_is_an_alarm_with_its_bytes_and_a_breach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
