/* power_loss_relay.c - the power goes while the ledger works: what it has answered is there afterwards, whole batches or none.
 *
 * The ledger's own parts on its own store (ledger_fixture.h): submissions, decisions, hand-overs, evidence with its nodes and heads,
 * quotas, erasure, the journal brought over between the batches. That the checker sees a loss is tried with a disk that lies about
 * its syncs, and with an answer before the commit. */
#include "ledger_fixture.h"
#include "power.h"

enum { LETTERS = 24, IMAGES = 1500, IMAGES_LONG = 60000, PLANTED = 150 };

static void batch_end(struct bench *bench) {
    commit_batch(bench);
    power_mark();
}

static void say_marked(struct bench *bench, const struct cargo *parcel, enum leg_event event, unsigned number,
                       uint8_t nonce) {
    begin(bench);
    assert_ok(say(bench, parcel, 0, event, number, nonce, NULL));
    batch_end(bench);
}

static void submit_marked(struct bench *bench, const struct cargo *parcel) {
    struct response response = {0};
    begin(bench);
    submit_leg(bench, parcel, 0, true, &response);
    batch_end(bench);
    response_free(&response);
}

/* Every letter goes another way; some steps share a batch; the journal is settled now and then, as the loop does. */
static void work(struct bench *bench) {
    struct cargo letters[LETTERS];
    bench->book.store->ops->close(bench->book.store);
    power_begin(bench->path);
    assert_ok(store_sqlite_open(bench->path, false, &bench->book.store));
    struct store *store = bench->book.store;
    power_mark();
    for (unsigned i = 0; i < LETTERS; i++) {
        bench->book.now.ms += 1000;
        letters[i] = parcel_make(bench, (struct plan){.id = 1 + i, .body = i % 4 == 3 ? 60000 : 0});
        submit_marked(bench, &letters[i]);
        if (i % 3 == 1) assert_ok(store->ops->settle(store));
        say_marked(bench, &letters[i], EVENT_NOTIFIED, RECIPIENT, 1);
        if (i % 5 == 4) { /* its content is erased, and the journal emptied */
            say_marked(bench, &letters[i], i % 2 ? EVENT_DECLINED : EVENT_WITHDRAWN, i % 2 ? RECIPIENT : SENDER, 2);
            continue;
        }
        begin(bench);
        assert_ok(say(bench, &letters[i], 0, EVENT_ACCEPTED, RECIPIENT, 3, NULL));
        if (i > 0 && (i - 1) % 5 != 4) assert_ok(say(bench, &letters[i - 1], 0, EVENT_HANDED_OVER, RECIPIENT, 4, NULL));
        batch_end(bench);
        if (i % 4 == 2) assert_ok(store->ops->settle(store));
    }
    power_stop();
    for (unsigned i = 0; i < LETTERS; i++) parcel_free(&letters[i]);
}

static bool opens(const char *path) {
    struct store *store;
    uint64_t entries;
    if (store_sqlite_open(path, false, &store) != E_OK) return false;
    bool good = store->ops->entry_count(store, &entries) == E_OK;
    store->ops->close(store);
    return good;
}

static void what_was_answered_outlives_the_power(void **state) {
    struct bench *bench = *state;
    struct power_trial trial = power_trial_of_environment(IMAGES, IMAGES_LONG);
    struct power_found found;
    work(bench);
    power_try(&trial, opens, &found);
    print_message("%zu operations, %u images, %u of them torn\n", power_count(), found.images, found.torn);
    if (found.lost > 0) print_error("%u of %u: %s\n", found.lost, found.images, found.first);
    assert_int_equal(found.lost, 0);
    assert_true(found.torn > found.images / 2);
    trial.images = PLANTED;
    trial.lying = true;
    power_try(&trial, opens, &found);
    print_message("a disk that lies: %u of %u lost; %s\n", found.lost, found.images, found.first);
    assert_true(found.lost > 0);
    trial.lying = false;
    trial.hasty = true;
    power_try(&trial, opens, &found);
    print_message("an answer before the commit: %u of %u lost; %s\n", found.lost, found.images, found.first);
    assert_true(found.lost > 0);
    power_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_answered_outlives_the_power, setup, teardown)};
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
