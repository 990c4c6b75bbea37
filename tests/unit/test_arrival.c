/* test_arrival.c - what the feed brings, as the recipient's home judges it: honest items are kept once; whatever the
 * relay or a sender bends is refused; withheld numbers show. Replies are used, because they need nothing fetched. */
#include "client_fixture.h"

#include "chunks.h"
#include "gaps.h"
#include "press.h"

static uint8_t parent[HASH_SIZE], reply[HASH_SIZE];

static int set_up(void **state) {
    homes_set_up(state);
    accepted_request(parent);
    compose_reply(parent, reply);
    return 0;
}

static void an_honest_reply_is_kept_once_and_becomes_a_duty(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    static const uint64_t voids[] = {1}; /* the parent, which is not delivered in these tests */
    make_offered(reply, &(struct offering){.voids = voids, .void_count = 1}, &bytes);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_true(fresh);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_false(fresh);
    assert_int_equal(count_rows(&recipient, TABLE_REQUEST), 1);
    AUTO_LEG leg = {0};
    only_leg(&recipient, reply, &leg);
    assert_int_equal(leg.record.state, STATE_STORED);
    bool duty = false;
    assert_ok(archive_has(recipient.archive, TABLE_DUTY, archive_key(reply, leg.leg, EVENT_HANDED_OVER), &duty));
    assert_true(duty);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
    AUTO_VIEW view = {0};
    assert_ok(client_view(&recipient, reply, &view, &failure));
    assert_string_equal(view.from, "de/technical");
    assert_false(view.sealed);
    assert_true(view.is_reply);
}

static void every_damaged_byte_of_an_item_is_noticed(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){0}, &bytes);
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t flip = (uint8_t)(1U << (i % 8));
        bytes.p[i] ^= flip;
        enum error error = deliver(buf_bytes(&bytes), &fresh);
        if (error == E_OK) print_error("byte %zu\n", i);
        assert_int_not_equal(error, E_OK);
        bytes.p[i] ^= flip;
    }
    assert_int_equal(count_rows(&recipient, TABLE_REQUEST), 0);
    assert_int_equal(count_rows(&recipient, TABLE_LEG), 0);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
}

static void every_truncation_of_an_item_is_noticed(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){0}, &bytes);
    for (size_t n = 0; n < bytes.n; n++) assert_int_not_equal(deliver(bytes_of(bytes.p, n), &fresh), E_OK);
    assert_int_equal(count_rows(&recipient, TABLE_REQUEST), 0);
}

static void a_wrap_set_by_a_stranger_is_refused(void **state) {
    (void)state;
    AUTO_BUF bytes = {0}, other = {0};
    bool fresh;
    make_offered(reply, &(struct offering){.signer = STRANGER}, &bytes);
    assert_error(deliver(buf_bytes(&bytes), &fresh), E_UNKNOWN_DEVICE);
    make_offered(reply, &(struct offering){.signer = RECIPIENT + 1}, &other); /* known, but of another post */
    assert_error(deliver(buf_bytes(&other), &fresh), E_NOT_ALLOWED);
    assert_int_equal(count_rows(&recipient, TABLE_REQUEST), 0);
}

static void a_sister_device_of_the_sender_may_wrap(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){.signer = SENDER + 1}, &bytes);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
}

/* What the next sync will say about a leg that stays sealed: why, and that nothing has been said yet. */
static void assert_cannot_open(enum error why) {
    AUTO_LEG leg = {0};
    AUTO_VIEW view = {0};
    uint64_t said = 0;
    only_leg(&recipient, reply, &leg);
    assert_ok(kept_number(recipient.archive, TABLE_DUTY, archive_key(reply, leg.leg, EVENT_CANNOT_OPEN), &said));
    assert_int_equal(said, why);
    assert_int_equal(count_rows(&recipient, TABLE_DUTY), 1);
    assert_ok(client_view(&recipient, reply, &view, &failure));
    assert_true(view.sealed);
}

/* The sender has wrapped it wrongly: the relay could not. So it is kept, sealed, and the sender's post learns of it. */
static void a_key_that_the_header_does_not_promise_opens_nothing_and_is_said(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){.wrong_key = true}, &bytes);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_cannot_open(E_BAD_COMMITMENT);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
}

static void what_is_not_sealed_for_this_device_is_kept_sealed_and_said(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){.no_wrap = true}, &bytes);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_true(fresh);
    assert_cannot_open(E_NOT_FOR_US);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0); /* a device that came later: nobody's fault */
}

static void a_destroyed_day_key_leaves_the_request_sealed(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){0}, &bytes);
    assert_ok(enrol_destroy_old(&recipient, (struct instant){WORLD_TIME + PREKEY_KEEP_DAYS * DAY_MS}));
    assert_int_equal(count_rows(&recipient, TABLE_PREKEY), PREKEY_DAYS_AHEAD); /* on the last day it still opens */
    assert_ok(enrol_destroy_old(&recipient, (struct instant){WORLD_TIME + (PREKEY_KEEP_DAYS + 1) * DAY_MS}));
    assert_int_equal(count_rows(&recipient, TABLE_PREKEY), PREKEY_DAYS_AHEAD - 1);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    AUTO_VIEW view = {0};
    assert_ok(client_view(&recipient, reply, &view, &failure));
    assert_true(view.sealed);
}

/* ---- offers that do not open ---- */

/* The one chunk of a request's offer, as it lies in a home. */
static struct archive_key offer_row(struct home *home, const uint8_t *digest) {
    AUTO_REQUEST request = {0};
    assert_ok(kept_load(home->archive, digest, &request));
    assert_int_equal(chunks_count(request.header.offer.length), 1);
    return press_key(request.record.content, PART_OFFER, 0);
}

static void sent_chunk(struct buf *out) {
    bool found = false;
    assert_ok(archive_get(sender.archive, TABLE_CHUNK, offer_row(&sender, parent), out, &found));
    assert_true(found);
}

/* The request is known, but sealed; ret_open: the same item with a wrap that opens. */
static void know_sealed(const uint8_t *digest, struct buf *ret_open) {
    AUTO_BUF receipt = {0}, sealed = {0};
    AUTO_LEG leg = {0};
    bool fresh;
    only_leg(&sender, digest, &leg);
    struct told told = {.event = EVENT_STORED,
                        .speaker = RELAY,
                        .header = digest,
                        .leg = leg.leg,
                        .previous = leg.leg,
                        .entry = true,
                        .to = STATE_STORED};
    make_receipt(&told, &receipt, NULL);
    make_offered(digest, &(struct offering){.no_wrap = true, .receipt = &receipt}, &sealed);
    make_offered(digest, &(struct offering){.receipt = &receipt}, ret_open);
    assert_ok(deliver(buf_bytes(&sealed), &fresh));
}

/* With its offer there, as if fetched. */
static enum error deliver_with(const uint8_t *digest, const struct buf *item, struct bytes chunk) {
    bool fresh;
    assert_ok(archive_set(recipient.archive, TABLE_CHUNK, offer_row(&recipient, digest), chunk));
    return deliver(buf_bytes(item), &fresh);
}

/* A request like the parent, but its header names the offer's chunk as it is given. */
static void send_other_offer(struct bytes chunk, uint8_t ret[static HASH_SIZE]) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    AUTO_BUF payload = {0}, stamped = {0};
    uint8_t digest[HASH_SIZE];
    assert_ok(kept_load(sender.archive, parent, &request));
    only_leg(&sender, parent, &leg);
    struct header header = request.header;
    chunk_digest(chunk, digest);
    part_digest(bytes_of(digest, HASH_SIZE), header.offer.digest);
    header.request[0] ^= 1;
    header_encode(&header, &payload);
    header_digest(buf_bytes(&payload), ret);
    assert_ok(stamp_sign_one(LABEL_HEADER, pair_of(SENDER).secret, buf_bytes(&payload), &stamped));
    request.record.header = buf_bytes(&stamped);
    assert_ok(kept_add(sender.archive, ret, &request.record, &header));
    assert_ok(kept_leg_save(sender.archive, ret, leg.leg, &leg.record));
}

static uint64_t reason_said(const uint8_t *digest) {
    AUTO_LEG leg = {0};
    uint64_t why = 0;
    only_leg(&recipient, digest, &leg);
    assert_ok(kept_number(recipient.archive, TABLE_DUTY, archive_key(digest, leg.leg, EVENT_CANNOT_OPEN), &why));
    return why;
}

/* It is fetched again, and nobody is told that the sender had sealed it wrongly. */
static void an_offer_that_the_relay_has_damaged_is_the_relays_fault(void **state) {
    (void)state;
    AUTO_BUF chunk = {0}, item = {0};
    AUTO_VIEW view = {0};
    sent_chunk(&chunk);
    know_sealed(parent, &item);
    for (size_t i = 0; i < chunk.n; i += 97) {
        chunk.p[i] ^= 1;
        assert_error(deliver_with(parent, &item, buf_bytes(&chunk)), E_BAD_DIGEST);
        chunk.p[i] ^= 1;
        assert_int_equal(reason_said(parent), E_NOT_FOR_US); /* as before: by the wraps without one for this device */
    }
    assert_ok(deliver_with(parent, &item, buf_bytes(&chunk)));
    assert_ok(client_view(&recipient, parent, &view, &failure));
    assert_false(view.sealed);
    assert_int_equal(reason_said(parent), 0);
}

static void an_offer_that_is_what_the_header_names_and_does_not_open_is_the_senders_fault(void **state) {
    (void)state;
    AUTO_BUF chunk = {0}, item = {0};
    AUTO_VIEW view = {0};
    uint8_t other[HASH_SIZE];
    sent_chunk(&chunk);
    chunk.p[chunk.n / 2] ^= 1;
    send_other_offer(buf_bytes(&chunk), other);
    know_sealed(other, &item);
    assert_ok(deliver_with(other, &item, buf_bytes(&chunk)));
    assert_ok(client_view(&recipient, other, &view, &failure));
    assert_true(view.sealed);
    assert_int_equal(reason_said(other), E_CANNOT_OPEN);
}

static void a_sender_that_the_directory_does_not_know_is_refused(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){0}, &bytes);
    directory_free(recipient.directory);
    recipient.directory = fresh_directory();
    assert_error(deliver(buf_bytes(&bytes), &fresh), E_UNKNOWN_DEVICE);
}

static void an_item_for_another_post_is_refused(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){0}, &bytes);
    (void)snprintf(recipient.post, sizeof recipient.post, "de/technical");
    assert_error(deliver(buf_bytes(&bytes), &fresh), E_MISMATCH);
}

/* ---- numbers ---- */

static void send_number(const struct offering *how, bool withhold) {
    uint8_t digest[HASH_SIZE];
    AUTO_BUF bytes = {0};
    bool fresh;
    compose_reply(parent, digest);
    if (withhold) return;
    make_offered(digest, how, &bytes);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_true(fresh);
}

/* As if the relay's time had moved on. */
static void let_pass(uint64_t ms) {
    AUTO_BUF bytes = {0};
    struct keptrelay relay;
    assert_ok(kept_relay(recipient.archive, &relay));
    relay.time.ms += ms;
    keptrelay_encode(&relay, &bytes);
    assert_ok(archive_set(recipient.archive, TABLE_META, archive_named("relay"), buf_bytes(&bytes)));
}

static void end_syncs(unsigned count) {
    for (unsigned i = 0; i < count; i++) assert_ok(gaps_end(&recipient));
}

static bool feed_is_read_anew(void) {
    uint64_t missing;
    assert_ok(kept_number(recipient.archive, TABLE_META, archive_named(KEPT_FEED_GAP), &missing));
    assert_ok(kept_number_set(recipient.archive, TABLE_META, archive_named(KEPT_FEED_GAP), 0));
    return missing > 0;
}

/* Parent and the set-up's reply have the numbers 1 and 2. */
static void numbers_that_do_not_come_are_named_once_after_some_syncs_and_an_hour(void **state) {
    (void)state;
    send_number(&(struct offering){0}, false); /* 3: the first to arrive */
    assert_true(feed_is_read_anew());
    send_number(&(struct offering){0}, false); /* 4 */
    assert_false(feed_is_read_anew());
    assert_int_equal(count_rows(&recipient, TABLE_GAP), 1);
    end_syncs(GAP_SYNCS);
    let_pass(GAP_WAIT_MS - 1);
    assert_true(feed_is_read_anew());
    end_syncs(1);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
    assert_error(recipient.breach.error, E_OK);
    let_pass(1);
    end_syncs(1);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
    assert_error(recipient.breach.error, E_GAP);
    assert_non_null(strstr(recipient.breach.where, "de/technical: 2 of the numbers 1 to 2"));
    recipient.breach = (struct failure){0};
    end_syncs(2);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
    assert_error(recipient.breach.error, E_OK);
    send_number(&(struct offering){0}, true);  /* 5 */
    send_number(&(struct offering){0}, false); /* 6 */
    let_pass(2 * GAP_WAIT_MS);
    end_syncs(GAP_SYNCS - 1);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1); /* long ago, and yet not looked for often enough */
    end_syncs(1);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 2);
}

static void numbers_declared_void_are_not_missed(void **state) {
    (void)state;
    static const uint64_t voids[] = {1, 2};
    send_number(&(struct offering){.voids = voids, .void_count = 2}, false);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){0}, &bytes); /* number 2 comes after all */
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
}

static void a_late_number_closes_the_gap_without_an_alarm(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    static const uint64_t voids[] = {1};
    send_number(&(struct offering){0}, false);
    end_syncs(GAP_SYNCS);
    make_offered(reply, &(struct offering){0}, &bytes);
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_true(fresh);
    end_syncs(1);
    assert_int_equal(count_rows(&recipient, TABLE_GAP), 1); /* number 1 */
    send_number(&(struct offering){.voids = voids, .void_count = 1}, false);
    let_pass(2 * GAP_WAIT_MS);
    end_syncs(1);
    assert_int_equal(count_rows(&recipient, TABLE_GAP), 0);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
}

/* ---- the exchange of a reply ---- */

/* The parent as the recipient would have it, with its leg in a state. */
static void know_parent(enum leg_state state) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    assert_ok(kept_load(sender.archive, parent, &request));
    only_leg(&sender, parent, &leg);
    request.record.mine = false;
    leg.record.state = state;
    assert_ok(kept_add(recipient.archive, parent, &request.record, &request.header));
    assert_ok(kept_leg_save(recipient.archive, parent, leg.leg, &leg.record));
}

static void a_reply_comes_only_into_an_exchange_that_was_accepted(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    AUTO_LEG leg = {0};
    static const uint64_t voids[] = {1};
    static const enum leg_state never[] = {STATE_STORED, STATE_NOTIFIED, STATE_OPENED, STATE_DECLINED, STATE_WITHDRAWN};
    bool fresh;
    make_offered(reply, &(struct offering){.voids = voids, .void_count = 1}, &bytes);
    know_parent(STATE_NOTIFIED);
    only_leg(&recipient, parent, &leg);
    for (size_t i = 0; i < LENGTH(never); i++) {
        leg.record.state = never[i];
        assert_ok(kept_leg_save(recipient.archive, parent, leg.leg, &leg.record));
        assert_error(deliver(buf_bytes(&bytes), &fresh), E_NOT_ACCEPTED);
        assert_int_equal(count_rows(&recipient, TABLE_DUTY), 0);
    }
    leg.record.state = STATE_ACKNOWLEDGED;
    assert_ok(kept_leg_save(recipient.archive, parent, leg.leg, &leg.record));
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_int_equal(count_rows(&recipient, TABLE_DUTY), 1);
}

/* ---- day keys ---- */

static void a_time_years_ahead_is_not_the_end_of_day_keys(void **state) {
    (void)state;
    enum { DAYS = 4000 };
    uint64_t before = count_rows(&recipient, TABLE_PREKEY);
    assert_ok(enrol_make_prekeys(&recipient, (struct instant){WORLD_TIME + DAYS * DAY_MS}));
    assert_int_equal(count_rows(&recipient, TABLE_PREKEY), before + PREKEY_DAYS_AHEAD);
    for (int again = 0; again < 2; again++) {
        assert_ok(enrol_make_prekeys(&recipient, (struct instant){WORLD_TIME + 5 * DAY_MS}));
        assert_int_equal(count_rows(&recipient, TABLE_PREKEY),
                         before + 5); /* those that no relay would take are gone */
    }
}

static void one_day_never_gets_two_keys(void **state) {
    (void)state;
    AUTO_BUF items = {0};
    size_t count = 0;
    uint64_t before = count_rows(&recipient, TABLE_PREKEY);
    assert_ok(enrol_published(&recipient));
    assert_ok(enrol_make_prekeys(&recipient, (struct instant){WORLD_TIME - 40 * DAY_MS}));
    assert_int_equal(count_rows(&recipient, TABLE_PREKEY), before + PREKEY_DAYS_AHEAD);
    for (int again = 0; again < 2; again++) {
        assert_ok(enrol_make_prekeys(&recipient, (struct instant){WORLD_TIME}));
        assert_int_equal(count_rows(&recipient, TABLE_PREKEY), before + PREKEY_DAYS_AHEAD);
    }
    assert_ok(enrol_unpublished(&recipient, &items, &count)); /* no relay takes those of days that are long over */
    assert_int_equal(count, 0);
}

/* ---- sent by this post, from another device ---- */

/* how NULL: without a wrap set. */
static enum error deliver_sent(const struct offering *how, enum error *ret_lack) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    AUTO_BUF wrapset = {0}, places = {0};
    bool fresh = false;
    assert_ok(kept_load(sender.archive, reply, &request));
    only_leg(&sender, reply, &leg);
    place_encode(&leg.record.place, &places);
    if (how) make_wrapset(&request, reply, NULL, how, &wrapset);
    struct sent sent = {.header = request.record.header,
                        .places = list_of(&places, 1),
                        .has_wrapset = how != NULL,
                        .wrapset = buf_bytes(&wrapset)};
    memcpy(sent.seed, request.record.seed, HASH_SIZE);
    assert_ok(archive_begin(recipient.archive));
    enum error error = arrival_sent(&recipient, NULL, &sent, &fresh, ret_lack, &failure);
    if (error == E_OK)
        assert_ok(archive_commit(recipient.archive));
    else
        archive_rollback(recipient.archive);
    return error;
}

static int set_up_sister(void **state) {
    set_up(state);
    close_home(&recipient);
    open_home(&recipient, "sister", "de/technical", SENDER + 1);
    return 0;
}

static bool is_closed(void) {
    AUTO_VIEW view = {0};
    assert_ok(client_view(&recipient, reply, &view, &failure));
    return view.sealed;
}

static void a_request_sent_that_comes_without_its_wrap_set_is_named_and_opens_when_that_comes(void **state) {
    (void)state;
    enum error lack = E_OK;
    for (int again = 0; again < 2; again++) {
        assert_ok(deliver_sent(NULL, &lack));
        assert_int_equal(lack, E_MISSING_FIELD);
        assert_true(is_closed());
    }
    assert_ok(deliver_sent(&(struct offering){0}, &lack));
    assert_int_equal(lack, E_OK);
    assert_false(is_closed());
    assert_ok(deliver_sent(NULL, &lack)); /* what is open needs none */
    assert_int_equal(lack, E_OK);
}

static void the_own_posts_wrap_set_is_the_first(void **state) {
    (void)state;
    enum error lack = E_OK;
    assert_error(deliver_sent(&(struct offering){.generation = 2}, &lack), E_MISMATCH);
    assert_int_equal(count_rows(&recipient, TABLE_REQUEST), 0);
    assert_ok(deliver_sent(&(struct offering){.no_wrap = true}, &lack)); /* a device that came later: nobody's fault */
    assert_int_equal(lack, E_OK);
    assert_true(is_closed());
    assert_error(deliver_sent(&(struct offering){.generation = 2}, &lack), E_MISMATCH);
    assert_true(is_closed());
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_honest_reply_is_kept_once_and_becomes_a_duty, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(every_damaged_byte_of_an_item_is_noticed, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(every_truncation_of_an_item_is_noticed, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_wrap_set_by_a_stranger_is_refused, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_sister_device_of_the_sender_may_wrap, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_the_header_does_not_promise_opens_nothing_and_is_said, set_up,
                                        homes_tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_sealed_for_this_device_is_kept_sealed_and_said, set_up,
                                        homes_tear_down),
        cmocka_unit_test_setup_teardown(a_destroyed_day_key_leaves_the_request_sealed, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(an_offer_that_the_relay_has_damaged_is_the_relays_fault, set_up,
                                        homes_tear_down),
        cmocka_unit_test_setup_teardown(an_offer_that_is_what_the_header_names_and_does_not_open_is_the_senders_fault,
                                        set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_sender_that_the_directory_does_not_know_is_refused, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(an_item_for_another_post_is_refused, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(numbers_that_do_not_come_are_named_once_after_some_syncs_and_an_hour, set_up,
                                        homes_tear_down),
        cmocka_unit_test_setup_teardown(numbers_declared_void_are_not_missed, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_late_number_closes_the_gap_without_an_alarm, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_reply_comes_only_into_an_exchange_that_was_accepted, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_time_years_ahead_is_not_the_end_of_day_keys, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(one_day_never_gets_two_keys, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(
            a_request_sent_that_comes_without_its_wrap_set_is_named_and_opens_when_that_comes, set_up_sister,
            homes_tear_down),
        cmocka_unit_test_setup_teardown(the_own_posts_wrap_set_is_the_first, set_up_sister, homes_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
