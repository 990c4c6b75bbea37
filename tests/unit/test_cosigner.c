/* test_cosigner.c - a witness's folder: what it signs, what it refuses, and that its own word binds it. */
#include "heads_fixture.h"
#undef fail /* ours is a function (failure.h) */

#include <sys/stat.h>
#include <unistd.h>

#include "cosigner.h"
#include "files.h"
#include "moment.h"
#include "witness.h"

static char folder[64];
static struct card card;
static struct cosigner cosigner;
static struct failure failure;
static uint8_t honest[HEADS_LEAVES * HASH_SIZE], forked[HEADS_LEAVES * HASH_SIZE];

static int set_up(void **state) {
    (void)state;
    struct note_key key;
    (void)snprintf(folder, sizeof folder, "/tmp/pouch-witness-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_ok(cosigner_init(folder, "one.example", NULL, &key, &failure));
    assert_ok(cosigner_open(folder, NULL, &cosigner, &failure));
    assert_memory_equal(&cosigner.key, &key, sizeof key);
    card = heads_card(1);
    card.witnesses[0] = key;
    heads_log(HEADS_LEAVES, honest);
    heads_log(6, forked);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    cosigner_close(&cosigner);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

static void request_of(const uint8_t *hashes, size_t old, size_t size, uint64_t time_ms, struct buf *out) {
    AUTO_BUF note = {0}, path = {0};
    head_of(&card, hashes, size, time_ms, &note);
    if (old > 0 && old < size) merkle_consistency_path(hashes, size, old, &path);
    witness_request_format(old, buf_bytes(&path), buf_bytes(&note), out);
}

static enum error ask(const uint8_t *hashes, size_t old, size_t size, struct buf *ret_note) {
    AUTO_BUF request = {0};
    struct cosigner_state state;
    request_of(hashes, old, size, moment_now().ms, &request);
    failure = (struct failure){0};
    enum error error = cosigner_sign(&cosigner, &card, NULL, buf_bytes(&request), ret_note, &state, &failure);
    if (error == E_OK) assert_int_equal(state.size, size);
    return error;
}

static enum error tries(const uint8_t *hashes, size_t old, size_t size) {
    AUTO_BUF note = {0};
    enum error error = ask(hashes, old, size, &note);
    assert_int_equal(note.n > 0, error == E_OK); /* nothing is given away with a refusal */
    return error;
}

static void count_state(void *context, const struct cosigner_state *state) { *(uint64_t *)context = state->size; }

static uint64_t remembered(void) {
    uint64_t size = 0;
    assert_ok(cosigner_states(folder, count_state, &size, &failure));
    return size;
}

static void a_witness_follows_one_log_and_its_word_holds_under_the_card(void **state) {
    (void)state;
    static const size_t sizes[] = {3, 3, 5, 11, 24};
    for (size_t i = 0, old = 0; i < LENGTH(sizes); old = sizes[i++]) {
        AUTO_BUF note = {0};
        struct head head;
        assert_ok(ask(honest, old, sizes[i], &note));
        assert_ok(head_open(&card, buf_bytes(&note), &head));
        assert_true(head.words[0].valid);
        assert_in_range(moment_now().ms / 1000 - head.words[0].time_s, 0, 60);
        assert_int_equal(remembered(), sizes[i]);
    }
}

static void its_word_binds_it(void **state) {
    (void)state;
    assert_ok(tries(honest, 0, 11));
    assert_error(tries(honest, 0, 11), E_CONFLICT); /* as if it had never signed */
    assert_error(tries(honest, 5, 7), E_CONFLICT);  /* fewer entries */
    assert_error(tries(honest, 11, 7), E_OUT_OF_RANGE);
    assert_error(tries(forked, 11, 20), E_BAD_PROOF); /* without the leaves: refused, not proven */
    assert_error(tries(forked, 11, 11), E_FRAUD);
    assert_int_equal(remembered(), 11);
    assert_ok(tries(honest, 11, 12));
}

static enum error tries_evidence(const uint8_t *hashes, size_t old, size_t size) {
    AUTO_BUF head = {0}, path = {0}, request = {0}, note = {0};
    struct cosigner_state told;
    evidence_head_of(&card, hashes, size, moment_now().ms, &head);
    if (old > 0 && old < size) merkle_consistency_path(hashes, size, old, &path);
    witness_request_format(old, buf_bytes(&path), buf_bytes(&head), &request);
    failure = (struct failure){0};
    TRY(cosigner_sign(&cosigner, &card, NULL, buf_bytes(&request), &note, &told, &failure));
    struct head opened;
    assert_ok(head_open_log(&card, LOG_EVIDENCE, buf_bytes(&note), &opened));
    assert_true(opened.words[0].valid);
    assert_string_equal(told.origin, "relay.test/evidence");
    return E_OK;
}

static void each_log_is_followed_by_itself(void **state) {
    (void)state;
    assert_ok(tries(honest, 0, 11));
    assert_ok(tries_evidence(forked, 0, 7));
    assert_ok(tries(honest, 11, 12));
    assert_ok(tries_evidence(forked, 7, 9));
    assert_error(tries_evidence(honest, 9, 9), E_FRAUD);
    assert_non_null(strstr(failure.where, "evidence logs"));
    assert_error(tries_evidence(forked, 9, 8), E_OUT_OF_RANGE);
}

static void two_heads_of_one_size_leave_a_proof(void **state) {
    (void)state;
    AUTO_BUF proof = {0};
    struct fraud_view view;
    assert_ok(tries(honest, 0, 11));
    assert_error(tries(forked, 11, 11), E_FRAUD);
    const char *path = strstr(failure.where, "proof: ");
    assert_non_null(path);
    assert_ok(files_read(path + strlen("proof: "), 65536, &proof, &failure));
    assert_ok(fraud_verify(buf_bytes(&proof), &view));
    assert_int_equal(view.older.size, 11);
}

static void a_head_of_another_time_is_not_cosigned(void **state) {
    (void)state;
    const uint64_t now = moment_now().ms, off = HEAD_TIME_MS + 60000;
    const uint64_t times[] = {now - off, now + off};
    for (size_t i = 0; i < 2; i++) {
        AUTO_BUF request = {0}, note = {0};
        struct cosigner_state told;
        request_of(honest, 0, 5, times[i], &request);
        assert_error(cosigner_sign(&cosigner, &card, NULL, buf_bytes(&request), &note, &told, &failure), E_HEAD_TIME);
        assert_int_equal(note.n, 0);
    }
    assert_int_equal(remembered(), 0);
}

static void a_card_that_names_another_key_gets_no_word(void **state) {
    (void)state;
    card.witnesses[0] = card.witnesses[1];
    assert_error(tries(honest, 0, 5), E_UNKNOWN_WITNESS);
    assert_int_equal(remembered(), 0);
}

/* Whoever loses the state must not sign as if there had been none. */
static void a_damaged_state_stops_the_witness(void **state) {
    (void)state;
    char command[256];
    assert_ok(tries(honest, 0, 5));
    (void)snprintf(command, sizeof command, "for f in %s/log-*; do printf x > $f; done", folder);
    assert_int_equal(system(command), 0);
    assert_error(tries(honest, 5, 7), E_CORRUPT);
    assert_error(tries(honest, 0, 7), E_CORRUPT);
}

static void a_folder_is_one_witnesss_for_good(void **state) {
    (void)state;
    struct note_key key;
    struct cosigner other;
    char path[128];
    assert_error(cosigner_init(folder, "two.example", NULL, &key, &failure), E_HOME_EXISTS);
    (void)snprintf(path, sizeof path, "%s/other", folder);
    assert_error(cosigner_open(path, NULL, &other, &failure), E_NO_HOME);
    assert_error(cosigner_init(path, "has blanks", NULL, &key, &failure), E_BAD_TEXT);
    assert_ok(cosigner_init(path, "two.example", "secret words", &key, &failure));
    assert_error(cosigner_open(path, NULL, &other, &failure), E_BAD_PASSPHRASE);
    assert_ok(cosigner_open(path, "secret words", &other, &failure));
    cosigner_close(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_witness_follows_one_log_and_its_word_holds_under_the_card),
        TEST(its_word_binds_it),
        TEST(each_log_is_followed_by_itself),
        TEST(two_heads_of_one_size_leave_a_proof),
        TEST(a_head_of_another_time_is_not_cosigned),
        TEST(a_card_that_names_another_key_gets_no_word),
        TEST(a_damaged_state_stops_the_witness),
        TEST(a_folder_is_one_witnesss_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
