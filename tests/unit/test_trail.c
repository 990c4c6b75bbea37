/* test_trail.c - receipts onto legs: in order, of the right leg, by whom may speak; and a relay that contradicts
 * itself. */
#include "client_fixture.h"

static uint8_t digest[HASH_SIZE];
static struct kept_request request;
static struct kept_leg leg;

static int set_up(void **state) {
    homes_set_up(state);
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "subject", .text = bytes_text("text")};
    compose(&sender, &draft, digest);
    assert_ok(kept_load(sender.archive, digest, &request));
    only_leg(&sender, digest, &leg);
    return 0;
}

static int tear_down(void **state) {
    kept_request_free(&request);
    kept_leg_free(&leg);
    return homes_tear_down(state);
}

static enum error apply(const struct buf *receipt, enum trail_outcome *outcome) {
    return trail_apply(&sender, digest, &request, &leg, buf_bytes(receipt), outcome);
}

static enum error take_step(enum leg_event event, unsigned speaker, const char *post, enum leg_state to) {
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    next_receipt(&leg, digest, event, speaker, post, to, &receipt);
    return apply(&receipt, &outcome);
}

static void a_leg_climbs_entry_by_entry(void **state) {
    (void)state;
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    assert_ok(take_step(EVENT_NOTIFIED, RECIPIENT, "fj/national", STATE_NOTIFIED));
    assert_ok(take_step(EVENT_ACCEPTED, RECIPIENT, "fj/national", STATE_ACCEPTED));
    assert_ok(take_step(EVENT_HANDED_OVER, RECIPIENT + 1, "fj/national", STATE_HANDED_OVER));
    AUTO_LEG read = {0};
    only_leg(&sender, digest, &read);
    assert_int_equal(read.record.state, STATE_HANDED_OVER);
    assert_int_equal(read.record.entries, 4);
    assert_true(read.record.has_stored);
    struct event_view *events = NULL;
    size_t count = 0;
    assert_ok(client_track(&sender, digest, leg.leg, &events, &count, &failure));
    assert_int_equal(count, 4);
    assert_int_equal(events[2].event, EVENT_ACCEPTED);
    assert_string_equal(events[2].actor, "fj/national");
    assert_string_equal(events[0].actor, "");
    event_views_free(events, count);
}

static void what_a_speaker_has_seen_of_the_leg_is_compared(void **state) {
    (void)state;
    const uint8_t elsewhere[HASH_SIZE] = {9};
    const uint8_t *const seen[] = {leg.record.head, elsewhere};
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    static const enum leg_event events[] = {EVENT_NOTIFIED, EVENT_ACCEPTED};
    static const enum leg_state states[] = {STATE_NOTIFIED, STATE_ACCEPTED};
    for (size_t i = 0; i < 2; i++) {
        AUTO_BUF receipt = {0};
        enum trail_outcome outcome;
        struct told told = {.event = events[i],
                            .speaker = RECIPIENT,
                            .post = "fj/national",
                            .header = digest,
                            .leg = leg.leg,
                            .previous = leg.record.head,
                            .entry = true,
                            .ordinal = leg.record.entries,
                            .from = (enum leg_state)leg.record.state,
                            .to = states[i],
                            .seen = seen[i]};
        make_receipt(&told, &receipt, NULL);
        assert_ok(apply(&receipt, &outcome));
        assert_int_equal(count_rows(&sender, TABLE_SEEN), i); /* the second is of a chain that is not here */
    }
}

static void the_same_receipt_again_changes_nothing(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    next_receipt(&leg, digest, EVENT_STORED, RELAY, NULL, STATE_STORED, &receipt);
    assert_ok(apply(&receipt, &outcome));
    assert_int_equal(outcome, TRAIL_STEP);
    assert_ok(apply(&receipt, &outcome));
    assert_int_equal(outcome, TRAIL_KNOWN);
    assert_int_equal(leg.record.entries, 1);
}

static void two_entries_with_one_ordinal_are_found_out(void **state) {
    (void)state;
    AUTO_BUF first = {0}, second = {0};
    enum trail_outcome outcome;
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    next_receipt(&leg, digest, EVENT_ACCEPTED, RECIPIENT, "fj/national", STATE_ACCEPTED, &first);
    next_receipt(&leg, digest, EVENT_DECLINED, RECIPIENT, "fj/national", STATE_DECLINED, &second);
    assert_ok(apply(&first, &outcome));
    assert_error(apply(&second, &outcome), E_BAD_PROOF);
    assert_int_equal(leg.record.state, STATE_ACCEPTED);
}

static void an_entry_that_does_not_continue_the_last_is_refused(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    uint8_t elsewhere[HASH_SIZE] = {1};
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    struct told told = {.event = EVENT_NOTIFIED,
                        .speaker = RECIPIENT,
                        .post = "fj/national",
                        .header = digest,
                        .leg = leg.leg,
                        .previous = elsewhere,
                        .entry = true,
                        .ordinal = 1,
                        .from = STATE_STORED,
                        .to = STATE_NOTIFIED};
    make_receipt(&told, &receipt, NULL);
    assert_error(apply(&receipt, &outcome), E_BAD_PROOF);
    assert_int_equal(leg.record.state, STATE_STORED);
}

static void an_entry_from_another_state_is_refused(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    struct told told = {.event = EVENT_HANDED_OVER,
                        .speaker = RECIPIENT,
                        .post = "fj/national",
                        .header = digest,
                        .leg = leg.leg,
                        .previous = leg.record.head,
                        .entry = true,
                        .ordinal = 1,
                        .from = STATE_ACCEPTED,
                        .to = STATE_HANDED_OVER};
    make_receipt(&told, &receipt, NULL);
    assert_error(apply(&receipt, &outcome), E_BAD_PROOF);
}

static void the_ledgers_time_does_not_go_back(void **state) {
    (void)state;
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    for (uint64_t n = 0; n < 20; n++) (void)take_step(EVENT_STORED, RELAY, NULL, STATE_STORED); /* time passes */
    assert_ok(take_step(EVENT_NOTIFIED, RECIPIENT, "fj/national", STATE_NOTIFIED));
    AUTO_BUF receipt = {0}, again = {0};
    enum trail_outcome outcome;
    struct told told = {.event = EVENT_ACCEPTED,
                        .speaker = RECIPIENT,
                        .post = "fj/national",
                        .header = digest,
                        .leg = leg.leg,
                        .previous = leg.record.head,
                        .entry = true,
                        .ordinal = 2,
                        .from = STATE_NOTIFIED,
                        .to = STATE_ACCEPTED,
                        .back = 5}; /* after it was stored, before it was notified */
    make_receipt(&told, &receipt, NULL);
    assert_error(apply(&receipt, &outcome), E_OUT_OF_RANGE);
    told.back = 0;
    make_receipt(&told, &again, NULL);
    assert_ok(apply(&again, &outcome));
}

static void an_entry_kept_before_there_was_a_log_gets_its_proof_when_it_is_shown_again(void **state) {
    (void)state;
    static const struct {
        enum leg_event event;
        unsigned speaker;
        const char *post;
        enum leg_state to;
    } steps[] = {{EVENT_STORED, RELAY, NULL, STATE_STORED}, {EVENT_NOTIFIED, RECIPIENT, "fj/national", STATE_NOTIFIED}};
    struct buf proven[LENGTH(steps)] = {{0}};
    enum trail_outcome outcome;
    for (size_t i = 0; i < LENGTH(steps); i++) {
        AUTO_BUF bare = {0};
        struct receipt parts;
        next_receipt(&leg, digest, steps[i].event, steps[i].speaker, steps[i].post, steps[i].to, &proven[i]);
        assert_ok(apply(&proven[i], &outcome));
        assert_ok(receipt_decode(buf_bytes(&proven[i]), &parts));
        parts.has_proof = parts.has_checkpoint = false; /* as an older version has kept it */
        receipt_encode(&parts, &bare);
        assert_ok(archive_set(sender.archive, TABLE_ENTRY, archive_key(leg.leg, NULL, i), buf_bytes(&bare)));
    }
    leg.record.has_spoken = false;
    leg.record.spoken = 0;
    assert_ok(kept_leg_save(sender.archive, digest, leg.leg, &leg.record));
    for (size_t i = 0; i < LENGTH(steps); i++) {
        AUTO_BUF kept = {0};
        bool found = false;
        assert_ok(apply(&proven[i], &outcome));
        assert_int_equal(outcome, TRAIL_KNOWN);
        assert_ok(archive_get(sender.archive, TABLE_ENTRY, archive_key(leg.leg, NULL, i), &kept, &found));
        assert_true(found && bytes_equal(buf_bytes(&kept), buf_bytes(&proven[i])));
        buf_free(&proven[i]);
    }
    AUTO_LEG read = {0};
    only_leg(&sender, digest, &read);
    assert_true(read.record.has_spoken); /* who brought it to where it is */
    assert_int_equal(read.record.state, STATE_NOTIFIED);
    assert_int_equal(read.record.entries, LENGTH(steps));
}

static void an_entry_further_on_waits_for_the_feed(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    struct told told = {.event = EVENT_NOTIFIED,
                        .speaker = RECIPIENT,
                        .post = "fj/national",
                        .header = digest,
                        .leg = leg.leg,
                        .previous = leg.record.head,
                        .entry = true,
                        .ordinal = 1,
                        .from = STATE_STORED,
                        .to = STATE_NOTIFIED};
    make_receipt(&told, &receipt, NULL);
    assert_ok(apply(&receipt, &outcome));
    assert_int_equal(outcome, TRAIL_EARLY);
    assert_int_equal(leg.record.entries, 0);
}

static void nobody_speaks_for_another(void **state) {
    (void)state;
    assert_error(take_step(EVENT_STORED, SENDER, "de/technical", STATE_STORED), E_NOT_ALLOWED);
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    assert_error(take_step(EVENT_ACCEPTED, SENDER, "de/technical", STATE_ACCEPTED), E_NOT_ALLOWED);
    assert_error(take_step(EVENT_ACCEPTED, SENDER, "fj/national", STATE_ACCEPTED), E_NOT_ALLOWED);
    assert_error(take_step(EVENT_ACCEPTED, RECIPIENT + 1, "fj/national", STATE_ACCEPTED), E_NOT_ALLOWED); /* a reader */
    assert_error(take_step(EVENT_ACCEPTED, STRANGER, "fj/national", STATE_ACCEPTED), E_UNKNOWN_DEVICE);
    assert_ok(take_step(EVENT_ACCEPTED, RECIPIENT, "fj/national", STATE_ACCEPTED));
}

static void a_record_by_another_relay_is_refused(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    struct told told = {.event = EVENT_STORED,
                        .speaker = RELAY,
                        .header = digest,
                        .leg = leg.leg,
                        .previous = leg.leg,
                        .entry = true,
                        .from = STATE_NONE,
                        .to = STATE_STORED,
                        .relay = STRANGER};
    make_receipt(&told, &receipt, NULL);
    assert_error(apply(&receipt, &outcome), E_BAD_SIGNATURE);
}

static void a_receipt_of_another_request_is_refused(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    uint8_t other[HASH_SIZE] = {3};
    struct told told = {.event = EVENT_STORED,
                        .speaker = RELAY,
                        .header = other,
                        .leg = leg.leg,
                        .previous = leg.leg,
                        .entry = true,
                        .from = STATE_NONE,
                        .to = STATE_STORED};
    make_receipt(&told, &receipt, NULL);
    assert_error(apply(&receipt, &outcome), E_MISMATCH);
    buf_clear(&receipt);
    told.header = digest;
    told.leg = told.previous = other;
    make_receipt(&told, &receipt, NULL);
    assert_error(apply(&receipt, &outcome), E_MISMATCH);
}

static void a_device_receipt_is_kept_and_moves_nothing(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    struct told told = {
        .event = EVENT_NOTIFIED, .speaker = RECIPIENT + 1, .post = "fj/national", .header = digest, .leg = leg.leg};
    make_receipt(&told, &receipt, NULL);
    assert_ok(apply(&receipt, &outcome));
    assert_ok(apply(&receipt, &outcome));
    assert_int_equal(outcome, TRAIL_NOTE);
    assert_int_equal(leg.record.state, STATE_STORED);
    assert_int_equal(count_rows(&sender, TABLE_NOTE), 1);
}

static void a_device_receipt_from_before_the_leg_was_stored_is_refused(void **state) {
    (void)state;
    AUTO_BUF receipt = {0}, good = {0};
    enum trail_outcome outcome;
    assert_ok(take_step(EVENT_STORED, RELAY, NULL, STATE_STORED));
    struct told told = {.event = EVENT_NOTIFIED,
                        .speaker = RECIPIENT + 1,
                        .post = "fj/national",
                        .header = digest,
                        .leg = leg.leg,
                        .back = 2};
    make_receipt(&told, &receipt, NULL);
    assert_error(apply(&receipt, &outcome), E_OUT_OF_RANGE);
    assert_int_equal(count_rows(&sender, TABLE_NOTE), 0);
    told.back = 2; /* in the same batch: a millisecond passes with every receipt */
    make_receipt(&told, &good, NULL);
    assert_ok(apply(&good, &outcome));
}

static void every_damaged_byte_of_a_receipt_is_noticed(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    next_receipt(&leg, digest, EVENT_STORED, RELAY, NULL, STATE_STORED, &receipt);
    for (size_t i = 0; i < receipt.n; i++) {
        receipt.p[i] ^= (uint8_t)(1U << (i % 8));
        assert_int_not_equal(apply(&receipt, &outcome), E_OK);
        receipt.p[i] ^= (uint8_t)(1U << (i % 8));
    }
    assert_int_equal(leg.record.entries, 0);
    assert_ok(apply(&receipt, &outcome));
}

static void a_refusal_counts_only_when_it_is_signed_for_this_leg_and_reason(void **state) {
    (void)state;
    AUTO_BUF receipt = {0};
    struct told told = {.event = EVENT_REFUSED,
                        .speaker = RELAY,
                        .header = digest,
                        .leg = leg.leg,
                        .has_reason = true,
                        .reason = E_UNKNOWN_POST};
    make_receipt(&told, &receipt, NULL);
    assert_ok(trail_check_refusal(&sender, digest, leg.leg, E_UNKNOWN_POST, buf_bytes(&receipt)));
    assert_error(trail_check_refusal(&sender, digest, leg.leg, E_CONFLICT, buf_bytes(&receipt)), E_MISMATCH);
    assert_error(trail_check_refusal(&sender, digest, NULL, E_UNKNOWN_POST, buf_bytes(&receipt)), E_MISMATCH);
    uint8_t other[HASH_SIZE] = {5};
    assert_error(trail_check_refusal(&sender, other, leg.leg, E_UNKNOWN_POST, buf_bytes(&receipt)), E_MISMATCH);
    buf_clear(&receipt);
    told.back = 1; /* statement and record are of one clock */
    make_receipt(&told, &receipt, NULL);
    assert_error(trail_check_refusal(&sender, digest, leg.leg, E_UNKNOWN_POST, buf_bytes(&receipt)), E_MISMATCH);
    buf_clear(&receipt);
    told.back = 0;
    told.relay = STRANGER;
    make_receipt(&told, &receipt, NULL);
    assert_error(trail_check_refusal(&sender, digest, leg.leg, E_UNKNOWN_POST, buf_bytes(&receipt)), E_BAD_SIGNATURE);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_leg_climbs_entry_by_entry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_speaker_has_seen_of_the_leg_is_compared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_receipt_again_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_entries_with_one_ordinal_are_found_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_that_does_not_continue_the_last_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_from_another_state_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ledgers_time_does_not_go_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_kept_before_there_was_a_log_gets_its_proof_when_it_is_shown_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_further_on_waits_for_the_feed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_speaks_for_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_by_another_relay_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_receipt_of_another_request_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_device_receipt_is_kept_and_moves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_device_receipt_from_before_the_leg_was_stored_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_damaged_byte_of_a_receipt_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refusal_counts_only_when_it_is_signed_for_this_leg_and_reason, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
