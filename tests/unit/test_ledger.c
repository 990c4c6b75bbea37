/* test_ledger.c - batches, quotas, erasure and the store's file: the ledger's parts on a real store with really signed
 * objects. */
#include "ledger_fixture.h"

static void a_leg_that_comes_after_the_content_was_erased_brings_it_again(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    uint64_t counted = quota(bench, "bytes real de");
    assert_true(counted >= 2 * TEXT);
    assert_error(say_alone(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1), E_OK);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    begin(bench);
    submit_leg(bench, &parcel, 1, false, &response);
    commit_batch(bench);
    assert_int_equal(response.want_count, 2);
    assert_int_equal(response.outcome_count, 0);
    response_free(&response);
    assert_int_equal(quota(bench, "bytes real de"), counted);
    store_parcel(bench, &parcel, 1);
    assert_int_equal(quota(bench, "bytes real de"), counted);
    assert_error(fetch_offer(bench, &parcel, 1, RECIPIENT), E_OK);
    assert_error(say_alone(bench, &parcel, 1, EVENT_WITHDRAWN, SENDER, 1), E_OK);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    assert_int_equal(quota(bench, "legs real de"), 0);
}

static void a_second_staging_that_never_completes_is_swept_and_its_legs_stay(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    assert_error(say_alone(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1), E_OK);
    begin(bench);
    submit_leg(bench, &parcel, 1, false, &response);
    commit_batch(bench);
    response_free(&response);
    bench->book.now.ms += (bench->config.staging_s + 1) * 1000;
    begin(bench);
    assert_ok(submission_sweep(&bench->book));
    commit_batch(bench);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_DECLINED);
    struct store_request row;
    assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcel.digest, &row));
    assert_true(row.stored);
}

static void the_same_submission_twice_in_one_batch_is_one_leg_and_one_receipt(void **state) {
    struct bench *bench = *state;
    struct response first = {0}, second = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    begin(bench);
    submit_leg(bench, &parcel, 0, true, &first);
    submit_leg(bench, &parcel, 0, true, &second);
    commit_batch(bench);
    assert_int_equal(second.outcome_count, 1);
    assert_int_equal(first.outcomes[0].pending, second.outcomes[0].pending);
    assert_int_equal(quota(bench, "legs real de"), 1);
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 1);
    response_free(&first);
    response_free(&second);
}

static void of_two_decisions_in_one_batch_the_first_wins_and_repeats_say_so(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    begin(bench);
    assert_error(say(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1, &receipt), E_OK);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 2, &receipt), E_WRONG_STATE);
    assert_true(receipt);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 2, &receipt), E_WRONG_STATE);
    commit_batch(bench);
    begin(bench);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 2, &receipt), E_WRONG_STATE);
    assert_true(receipt);
    assert_error(say(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1, &receipt), E_OK);
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_DECLINED);
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 2);
}

static void submit_and_withdrawal_in_one_batch_leave_nothing_counted(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    begin(bench);
    submit_leg(bench, &parcel, 0, true, &response);
    assert_error(say(bench, &parcel, 0, EVENT_WITHDRAWN, SENDER, 1, NULL), E_OK);
    commit_batch(bench);
    response_free(&response);
    assert_int_equal(quota(bench, "legs real de"), 0);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), E_ERASED);
}

static void a_withdrawn_offer_is_gone_though_another_leg_still_waits(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    store_parcel(bench, &parcel, 1);
    assert_error(say_alone(bench, &parcel, 0, EVENT_WITHDRAWN, SENDER, 1), E_OK);
    assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), E_ERASED);
    assert_error(fetch_offer(bench, &parcel, 1, RECIPIENT), E_OK);
}

static void one_side_cannot_use_up_the_other_sides_receipts(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_error(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1), E_OK);
    begin(bench);
    for (unsigned i = 0; i < 256; i++)
        assert_error(say(bench, &parcel, 0, EVENT_WITHDRAWN, SENDER, (uint8_t)i, NULL), E_WRONG_STATE);
    commit_batch(bench);
    assert_error(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, SISTER, 1), E_OK);
}

static void exactly_at_the_deadline_is_in_time(void **state) {
    struct bench *bench = *state;
    bool more;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    bench->book.now = leg_of(bench, &parcel, 0).expires;
    begin(bench);
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    bench->book.now.ms++;
    bench->book.clock.halted = true;
    begin(bench);
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    bench->book.clock.halted = false;
    begin(bench);
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_EXPIRED);
    assert_int_equal(quota(bench, "legs real de"), 0);
    assert_int_equal(quota(bench, "bytes real de"), 0);
}

static void a_reader_cannot_decide_and_a_stranger_says_nothing(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_error(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, SISTER, 1), E_NOT_ALLOWED);
    assert_error(say_alone(bench, &parcel, 0, EVENT_WITHDRAWN, OTHER_SENDER, 1), E_NOT_ALLOWED);
    assert_error(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, SENDER, 1), E_NOT_ALLOWED);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
}

static void a_prekey_signed_anew_is_the_same_prekey(void **state) {
    struct bench *bench = *state;
    struct prekey prekeys[2];
    struct bytes payloads[2];
    struct buf bytes[2] = {{0}, {0}}, stamped[2] = {{0}, {0}};
    for (unsigned i = 0; i < 2; i++) {
        prekeys[i] = (struct prekey){.day = (uint32_t)(bench->book.now.ms / DAY_MS) + i};
        memcpy(prekeys[i].device, pair_of(SENDER).public, KEY_SIZE);
        transport_of(SENDER + 500, prekeys[i].key);
        prekey_encode(&prekeys[i], &bytes[i]);
        payloads[i] = buf_bytes(&bytes[i]);
    }
    assert_ok(stamp_sign(LABEL_PREKEY, pair_of(SENDER).secret, payloads, 2, stamped));
    assert_ok(bench->book.store->ops->prekey_put(bench->book.store, prekeys[0].device, (uint32_t)prekeys[0].day,
                                                 buf_bytes(&stamped[0])));
    for (unsigned i = 0; i < 2; i++) {
        buf_free(&bytes[i]);
        buf_free(&stamped[i]);
    }
}

static void only_the_relay_may_read_its_store(void **state) {
    struct bench *bench = *state;
    struct stat file;
    assert_int_equal(stat(bench->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_leg_that_comes_after_the_content_was_erased_brings_it_again),
        TEST(a_second_staging_that_never_completes_is_swept_and_its_legs_stay),
        TEST(the_same_submission_twice_in_one_batch_is_one_leg_and_one_receipt),
        TEST(of_two_decisions_in_one_batch_the_first_wins_and_repeats_say_so),
        TEST(submit_and_withdrawal_in_one_batch_leave_nothing_counted),
        TEST(a_withdrawn_offer_is_gone_though_another_leg_still_waits),
        TEST(one_side_cannot_use_up_the_other_sides_receipts),
        TEST(exactly_at_the_deadline_is_in_time),
        TEST(a_reader_cannot_decide_and_a_stranger_says_nothing),
        TEST(a_prekey_signed_anew_is_the_same_prekey),
        TEST(only_the_relay_may_read_its_store),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
