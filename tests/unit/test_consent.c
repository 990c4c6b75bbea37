/* test_consent.c - consent to show an exchange to others: an entry once a side, receipts after that; when, by whom, and that it
 * moves nothing else. */
#include "ledger_fixture.h"
#include "ledger_words.h"

static const char national[] = "fj/national", technical[] = "de/technical";

static enum error consents(struct bench *bench, const struct cargo *parcel, const char *post, unsigned number,
                           uint8_t nonce, bool *ret_receipt) {
    struct words words = {.event = EVENT_CONSENTED, .post = post, .number = number, .nonce = nonce};
    return speak(bench, parcel, &words, ret_receipt);
}

static struct cargo exchange(struct bench *bench) {
    struct cargo parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    assert_ok(say_alone(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT, 2));
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACKNOWLEDGED, RECIPIENT, 3));
    return parcel;
}

static uint32_t entries(struct bench *bench, const struct cargo *parcel) {
    AUTO_BUF bytes = {0};
    struct evidence last;
    return (uint32_t)check_chain(bench, parcel, 0, &bytes, &last);
}

static void consent_is_an_entry_once_a_side_and_a_receipt_after_that(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = exchange(bench);
    uint32_t before = entries(bench, &parcel);
    assert_ok(consents(bench, &parcel, national, RECIPIENT, 10, &receipt));
    assert_true(receipt);
    assert_int_equal(entries(bench, &parcel), before + 1);
    assert_ok(consents(bench, &parcel, technical, SENDER, 11, &receipt));
    assert_int_equal(entries(bench, &parcel), before + 2);
    for (uint8_t nonce = 10; nonce < 20; nonce++) { /* the same statements, and new ones */
        assert_ok(consents(bench, &parcel, national, RECIPIENT, nonce, &receipt));
        assert_true(receipt);
        assert_ok(consents(bench, &parcel, technical, SENDER, nonce, &receipt));
        assert_true(receipt);
    }
    assert_int_equal(entries(bench, &parcel), before + 2);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_ACKNOWLEDGED);
}

static void two_consents_of_one_side_in_one_batch_are_one_entry(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = exchange(bench);
    uint32_t before = entries(bench, &parcel);
    begin(bench);
    for (uint8_t nonce = 10; nonce < 13; nonce++) {
        struct words words = {.event = EVENT_CONSENTED, .post = national, .number = RECIPIENT, .nonce = nonce};
        assert_ok(speak_in_batch(bench, &parcel, &words, &receipt));
        assert_true(receipt);
    }
    commit_batch(bench);
    assert_int_equal(entries(bench, &parcel), before + 1);
}

static void consent_moves_no_deadline(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = exchange(bench);
    struct instant deadline = leg_of(bench, &parcel, 0).expires;
    bench->book.now.ms += 5000;
    assert_ok(consents(bench, &parcel, national, RECIPIENT, 10, NULL));
    assert_int_equal(leg_of(bench, &parcel, 0).expires.ms, deadline.ms);
}

static void consent_is_for_open_exchanges_only(void **state) {
    struct bench *bench = *state;
    bool receipt = true;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_error(consents(bench, &parcel, technical, SENDER, 10, &receipt), E_WRONG_STATE);
    assert_false(receipt);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_error(consents(bench, &parcel, national, RECIPIENT, 11, &receipt), E_WRONG_STATE);
    assert_false(receipt);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 2));
    assert_ok(consents(bench, &parcel, national, RECIPIENT, 12, &receipt));
    assert_ok(say_alone(bench, &parcel, 0, EVENT_CLOSED, RECIPIENT, 3));
    uint32_t before = entries(bench, &parcel);
    assert_error(consents(bench, &parcel, technical, SENDER, 13, &receipt), E_WRONG_STATE);
    assert_false(receipt);
    assert_ok(consents(bench, &parcel, national, RECIPIENT, 14, &receipt)); /* it has been said */
    assert_true(receipt);
    assert_int_equal(entries(bench, &parcel), before);
}

static void consent_beside_a_step_counts_as_given(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    struct words accepted = {
        .event = EVENT_ACCEPTED, .post = national, .number = RECIPIENT, .nonce = 10, .disclosure = true};
    assert_ok(speak(bench, &parcel, &accepted, &receipt));
    uint32_t before = entries(bench, &parcel);
    assert_ok(consents(bench, &parcel, national, RECIPIENT, 11, &receipt));
    assert_true(receipt);
    assert_int_equal(entries(bench, &parcel), before);
    assert_ok(consents(bench, &parcel, technical, SENDER, 12, &receipt));
    assert_int_equal(entries(bench, &parcel), before + 1);
}

static void only_a_decider_consents_whatever_the_consent_goes_with(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    assert_ok(say_alone(bench, &parcel, 0, EVENT_HANDED_OVER, SISTER, 2));
    assert_error(consents(bench, &parcel, national, SISTER, 10, &receipt), E_NOT_ALLOWED);
    assert_error(consents(bench, &parcel, technical, OTHER_SENDER, 11, &receipt), E_NOT_ALLOWED);
    struct words words = {
        .event = EVENT_ACKNOWLEDGED, .post = national, .number = SISTER, .nonce = 12, .disclosure = true};
    assert_error(speak(bench, &parcel, &words, &receipt), E_NOT_ALLOWED);
    assert_false(receipt);
    words.disclosure = false;
    assert_ok(speak(bench, &parcel, &words, &receipt));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(consent_is_an_entry_once_a_side_and_a_receipt_after_that),
        TEST(two_consents_of_one_side_in_one_batch_are_one_entry),
        TEST(consent_moves_no_deadline),
        TEST(consent_is_for_open_exchanges_only),
        TEST(consent_beside_a_step_counts_as_given),
        TEST(only_a_decider_consents_whatever_the_consent_goes_with),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
