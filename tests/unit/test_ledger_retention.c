/* test_ledger_retention.c - ciphertext goes when nobody has use for it any more, not before, and what it counted for is
 * given back exactly once; evidence stays, for either post, whatever became of the content. */
#include "ledger_fixture.h"

enum { NEW_DEVICE = 300 };

static const char national[] = "fj/national";
static const char bytes_key[] = "bytes real de";

/* The directory without one device: a sister of the sender, or of the recipient. */
static void lose(struct bench *bench, const char *post, unsigned authority, unsigned number) {
    struct revocation revocation = revocation_of(post, number, authority);
    assert_ok(say_revocation(&bench->world, &revocation, authority));
    catch_up(bench);
}

static int set_up_alone(void **state) {
    setup(state);
    lose(*state, "de/technical", AUTHORITY, OTHER_SENDER);
    return 0;
}

static bool has_part(struct bench *bench, const struct cargo *parcel, unsigned part) {
    struct store_request row;
    AUTO_BUF data = {0};
    assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcel->digest, &row));
    enum error error = bench->book.store->ops->chunk_get(bench->book.store, row.id, part, 0, &data);
    if (error != E_UNKNOWN_REQUEST) assert_ok(error);
    return error == E_OK;
}

static uint64_t counted(struct bench *bench, const struct cargo *parcel) {
    struct store_request row;
    assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcel->digest, &row));
    return row.bytes;
}

static void sweep_at(struct bench *bench, uint64_t ms) {
    bench->book.now.ms = ms;
    begin(bench);
    assert_ok(retention_sweep(&bench->book));
    assert_ok(submission_sweep(&bench->book));
    commit_batch(bench);
}

static void say_ok(struct bench *bench, const struct cargo *parcel, size_t which, enum leg_event event,
                   unsigned number) {
    static uint8_t nonce;
    assert_ok(say_alone(bench, parcel, which, event, number, ++nonce));
}

/* ---- all have it ---- */

static void the_body_goes_with_the_last_device_that_got_it_and_the_offer_with_the_leg(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    uint64_t all = quota(bench, bytes_key);
    assert_int_equal(all, counted(bench, &parcel));
    say_ok(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT); /* the same device twice is one */
    assert_true(has_part(bench, &parcel, PART_BODY));
    assert_ok(fetch_part(bench, &parcel, 0, PART_BODY, SISTER));
    assert_int_equal(quota(bench, bytes_key), all);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, SISTER);
    assert_false(has_part(bench, &parcel, PART_BODY));
    assert_true(has_part(bench, &parcel, PART_OFFER));
    assert_error(fetch_part(bench, &parcel, 0, PART_BODY, SISTER), E_ERASED);
    assert_ok(fetch_offer(bench, &parcel, 0, SISTER));
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_HANDED_OVER);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, SISTER); /* and again, when it has gone */
    say_ok(bench, &parcel, 0, EVENT_ACKNOWLEDGED, RECIPIENT);
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    say_ok(bench, &parcel, 0, EVENT_CLOSED, SENDER);
    assert_false(has_part(bench, &parcel, PART_OFFER));
    assert_int_equal(quota(bench, bytes_key), 0);
}

static void of_a_reply_it_goes_the_same_way(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    store_parcel(bench, &parent, 0);
    say_ok(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT);
    AUTO_PARCEL reply = parcel_make(bench, (struct plan){.id = 2, .kind = LEG_REPLY, .parent = &parent});
    store_parcel(bench, &reply, 0);
    uint64_t all = quota(bench, bytes_key);
    say_ok(bench, &reply, 0, EVENT_HANDED_OVER, SISTER);
    assert_true(has_part(bench, &reply, PART_BODY));
    say_ok(bench, &reply, 0, EVENT_HANDED_OVER, RECIPIENT);
    assert_false(has_part(bench, &reply, PART_BODY));
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    bench->book.now.ms = leg_of(bench, &reply, 0).expires.ms + 1;
    run_expiry(bench);
    assert_int_equal(quota(bench, bytes_key), 0);
}

/* Who could never open it is not waited for; who could is. */
static void only_live_devices_that_it_was_sealed_for_are_waited_for(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    AUTO_PARCEL other = parcel_new(bench, 2, 1);
    store_parcel(bench, &parcel, 0);
    store_parcel(bench, &other, 0);
    say_ok(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT);
    say_ok(bench, &other, 0, EVENT_ACCEPTED, RECIPIENT);
    world_device(&bench->world, national, OTHER_AUTHORITY, OTHER_POST_KEY, NEW_DEVICE, ROLE_READER);
    catch_up(bench);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT);
    assert_true(has_part(bench, &parcel, PART_BODY));
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, SISTER);
    assert_false(has_part(bench, &parcel, PART_BODY));
    AUTO_PARCEL for_three = parcel_new(bench, 3, 1);
    publish_prekey(bench, NEW_DEVICE, (uint32_t)(bench->book.now.ms / DAY_MS));
    store_parcel(bench, &for_three, 0);
    say_ok(bench, &for_three, 0, EVENT_ACCEPTED, RECIPIENT);
    say_ok(bench, &for_three, 0, EVENT_HANDED_OVER, SISTER);
    lose(bench, national, OTHER_AUTHORITY, NEW_DEVICE);
    say_ok(bench, &for_three, 0, EVENT_HANDED_OVER, RECIPIENT);
    assert_false(has_part(bench, &for_three, PART_BODY));
    lose(bench, national, OTHER_AUTHORITY, SISTER);
    say_ok(bench, &other, 0, EVENT_HANDED_OVER, RECIPIENT);
    assert_true(has_part(bench, &other, PART_BODY)); /* one copy is none */
}

static void another_leg_that_may_yet_want_it_keeps_it(void **state) {
    struct bench *bench = *state;
    static const enum leg_event ends[] = {EVENT_DECLINED, EVENT_WITHDRAWN};
    for (unsigned i = 0; i < LENGTH(ends); i++) {
        uint64_t before = quota(bench, bytes_key);
        AUTO_PARCEL parcel = parcel_new(bench, 1 + i, 2);
        store_parcel(bench, &parcel, 0);
        store_parcel(bench, &parcel, 1);
        say_ok(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT);
        say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT);
        say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, SISTER);
        assert_true(has_part(bench, &parcel, PART_BODY));
        say_ok(bench, &parcel, 1, EVENT_NOTIFIED, RECIPIENT);
        assert_true(has_part(bench, &parcel, PART_BODY));
        say_ok(bench, &parcel, 1, ends[i], ends[i] == EVENT_DECLINED ? RECIPIENT : SENDER);
        assert_false(has_part(bench, &parcel, PART_BODY)); /* nobody is left that could */
        assert_true(has_part(bench, &parcel, PART_OFFER));
        say_ok(bench, &parcel, 0, EVENT_CLOSED, RECIPIENT);
        assert_false(has_part(bench, &parcel, PART_OFFER));
        assert_int_equal(quota(bench, bytes_key), before);
    }
}

/* ---- not all have it ---- */

static void a_body_that_some_lack_goes_when_its_time_is_over(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 90 * 86400});
    store_parcel(bench, &parcel, 0);
    uint64_t all = quota(bench, bytes_key), start = bench->book.now.ms;
    say_ok(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT);
    sweep_at(bench, start + 60 * DAY_MS); /* accepted, and nobody has it: it waits as long as the leg */
    assert_true(has_part(bench, &parcel, PART_BODY));
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT);
    uint64_t end = bench->book.now.ms + bench->config.keep_body_s * 1000;
    sweep_at(bench, end);
    assert_true(has_part(bench, &parcel, PART_BODY)); /* exactly */
    bench->book.clock.halted = true;
    sweep_at(bench, end + 1);
    assert_true(has_part(bench, &parcel, PART_BODY));
    bench->book.clock.halted = false;
    sweep_at(bench, end + 1);
    assert_false(has_part(bench, &parcel, PART_BODY));
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    sweep_at(bench, end + 2); /* once */
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    assert_true(has_part(bench, &parcel, PART_OFFER));
}

/* The next shift reads what was sent: the sender's other devices have no word for it, so time alone decides. */
static void what_the_senders_sisters_may_read_stays_until_its_time_is_over(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 90 * 86400});
    store_parcel(bench, &parcel, 0);
    say_ok(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, SISTER);
    assert_true(has_part(bench, &parcel, PART_BODY));
    sweep_at(bench, bench->book.now.ms + bench->config.keep_body_s * 1000 + 1);
    assert_false(has_part(bench, &parcel, PART_BODY));
}

static void an_outage_adds_to_the_time_of_a_body_too(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 90 * 86400});
    store_parcel(bench, &parcel, 0);
    say_ok(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT);
    say_ok(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT);
    uint64_t end = bench->book.now.ms + bench->config.keep_body_s * 1000;
    bench->book.outages.sum_ms = 5 * DAY_MS;
    sweep_at(bench, end + 5 * DAY_MS);
    assert_true(has_part(bench, &parcel, PART_BODY));
    sweep_at(bench, end + 5 * DAY_MS + 1);
    assert_false(has_part(bench, &parcel, PART_BODY));
}

/* ---- a leg that follows ---- */

/* What is wanted, as a submission of the second leg is told. */
static size_t announce_second(struct bench *bench, const struct cargo *parcel, bool with_chunks) {
    struct response response = {0};
    begin(bench);
    submit_leg(bench, parcel, 1, with_chunks, &response);
    commit_batch(bench);
    assert_int_equal(response.type, MESSAGE_SUBMITTED);
    size_t wants = response.want_count;
    if (wants == 1) assert_int_equal(response.wants[0].part, PART_BODY);
    response_free(&response);
    return wants;
}

static void erase_early(struct bench *bench, const struct cargo *parcel) {
    store_parcel(bench, parcel, 0);
    say_ok(bench, parcel, 0, EVENT_ACCEPTED, RECIPIENT);
    say_ok(bench, parcel, 0, EVENT_HANDED_OVER, RECIPIENT);
    say_ok(bench, parcel, 0, EVENT_HANDED_OVER, SISTER);
    assert_false(has_part(bench, parcel, PART_BODY));
}

static void a_leg_that_follows_brings_the_body_again_and_disturbs_nobody(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    erase_early(bench, &parcel);
    uint64_t all = counted(bench, &parcel);
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    assert_int_equal(announce_second(bench, &parcel, false), 1);
    assert_int_equal(quota(bench, bytes_key), all);
    assert_ok(fetch_offer(bench, &parcel, 0, SISTER)); /* the first leg goes on meanwhile */
    assert_error(fetch_part(bench, &parcel, 0, PART_BODY, SISTER), E_ERASED);
    assert_int_equal(announce_second(bench, &parcel, true), 0);
    assert_int_equal(leg_of(bench, &parcel, 1).state, STATE_STORED);
    assert_int_equal(quota(bench, bytes_key), all);
    say_ok(bench, &parcel, 1, EVENT_ACCEPTED, RECIPIENT);
    assert_ok(fetch_part(bench, &parcel, 1, PART_BODY, SISTER));
    say_ok(bench, &parcel, 0, EVENT_CLOSED, RECIPIENT);
    assert_int_equal(quota(bench, bytes_key), all);
    say_ok(bench, &parcel, 1, EVENT_HANDED_OVER, RECIPIENT);
    say_ok(bench, &parcel, 1, EVENT_HANDED_OVER, SISTER);
    assert_false(has_part(bench, &parcel, PART_BODY));
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    say_ok(bench, &parcel, 1, EVENT_CLOSED, SENDER);
    assert_int_equal(quota(bench, bytes_key), 0);
}

static void a_second_staging_that_ends_takes_only_what_it_brought(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    erase_early(bench, &parcel);
    uint64_t all = counted(bench, &parcel);
    assert_int_equal(announce_second(bench, &parcel, false), 1);
    sweep_at(bench, bench->book.now.ms + (bench->config.staging_s + 1) * 1000);
    assert_true(has_part(bench, &parcel, PART_OFFER));
    assert_int_equal(quota(bench, bytes_key), all - TEXT);
    assert_ok(fetch_offer(bench, &parcel, 0, RECIPIENT));
    publish_prekey(bench, RECIPIENT, (uint32_t)(bench->book.now.ms / DAY_MS));
    say_ok(bench, &parcel, 0, EVENT_CLOSED, SENDER);
    assert_int_equal(quota(bench, bytes_key), 0);
}

/* The last open leg ends while the request is staged once more: what is counted is the staging's, and given back with
 * it. */
static void the_end_of_the_last_leg_during_a_second_staging_gives_back_once(void **state) {
    struct bench *bench = *state;
    for (unsigned comes = 0; comes < 2; comes++) {
        AUTO_PARCEL other = parcel_new(bench, 10 + comes, 1); /* what it counts for must stay */
        store_parcel(bench, &other, 0);
        uint64_t others = quota(bench, bytes_key);
        AUTO_PARCEL parcel = parcel_new(bench, 1 + comes, 2);
        erase_early(bench, &parcel);
        assert_int_equal(announce_second(bench, &parcel, false), 1);
        say_ok(bench, &parcel, 0, EVENT_CLOSED, SENDER);
        assert_int_equal(quota(bench, bytes_key), others + counted(bench, &parcel));
        if (comes) {
            assert_int_equal(announce_second(bench, &parcel, true), 0);
            assert_int_equal(quota(bench, bytes_key), others + counted(bench, &parcel));
            say_ok(bench, &parcel, 1, EVENT_DECLINED, RECIPIENT);
        } else {
            sweep_at(bench, bench->book.now.ms + (bench->config.staging_s + 1) * 1000);
        }
        assert_false(has_part(bench, &parcel, PART_OFFER));
        assert_int_equal(quota(bench, bytes_key), others);
        say_ok(bench, &other, 0, EVENT_WITHDRAWN, SENDER);
    }
    assert_int_equal(quota(bench, bytes_key), 0);
}

/* ---- evidence stays ---- */

static size_t tracked_by(struct bench *bench, const struct cargo *parcel, unsigned number) {
    struct track track = {0};
    struct tracked tracked;
    struct response response = {0};
    struct job job = job_of(number);
    AUTO_BUF body = {0};
    memcpy(track.leg, parcel->leg[0], HASH_SIZE);
    track_encode(&track, &body);
    assert_ok(handover_answer(&bench->book, &job, MESSAGE_TRACK, buf_bytes(&body), &response));
    assert_int_equal(response.type, MESSAGE_TRACKED);
    assert_ok(tracked_decode(buf_bytes(&response.body), &tracked));
    size_t count = 0;
    struct bytes receipt;
    uint8_t last[HASH_SIZE];
    memcpy(last, parcel->leg[0], HASH_SIZE);
    for (struct list list = tracked.receipts; list_next_bytes(&list, &receipt); count++) {
        struct evidence evidence;
        assert_ok(evidence_open(receipt, bench->book.statement_key, &evidence));
        assert_ok(evidence_follows(&evidence, (int64_t)count - 1, last));
        memcpy(last, evidence.entry_hash, HASH_SIZE);
    }
    response_free(&response);
    return count;
}

static void the_evidence_of_what_has_ended_and_is_erased_is_there_for_either_post(void **state) {
    struct bench *bench = *state;
    static const enum leg_event ends[] = {EVENT_DECLINED, EVENT_WITHDRAWN, EVENT_EXPIRED};
    for (unsigned i = 0; i < LENGTH(ends); i++) {
        AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1 + i, .keep_s = 3600, .exercise = true});
        store_parcel(bench, &parcel, 0);
        say_ok(bench, &parcel, 0, EVENT_NOTIFIED, SISTER);
        if (ends[i] == EVENT_EXPIRED) {
            bench->book.now.ms = leg_of(bench, &parcel, 0).expires.ms + 1;
            run_expiry(bench);
        } else {
            say_ok(bench, &parcel, 0, ends[i], ends[i] == EVENT_DECLINED ? RECIPIENT : SENDER);
        }
        assert_false(has_part(bench, &parcel, PART_OFFER));
        assert_false(has_part(bench, &parcel, PART_BODY));
        sweep_at(bench,
                 bench->book.now.ms + 200 * DAY_MS / LENGTH(ends)); /* as long as this world's certificates last */
        assert_int_equal(tracked_by(bench, &parcel, SENDER), 3);
        assert_int_equal(tracked_by(bench, &parcel, SISTER), 3);
    }
}

#define ALONE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_alone, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        ALONE_TEST(the_body_goes_with_the_last_device_that_got_it_and_the_offer_with_the_leg),
        ALONE_TEST(of_a_reply_it_goes_the_same_way),
        ALONE_TEST(only_live_devices_that_it_was_sealed_for_are_waited_for),
        ALONE_TEST(another_leg_that_may_yet_want_it_keeps_it),
        ALONE_TEST(a_body_that_some_lack_goes_when_its_time_is_over),
        TEST(what_the_senders_sisters_may_read_stays_until_its_time_is_over),
        ALONE_TEST(an_outage_adds_to_the_time_of_a_body_too),
        ALONE_TEST(a_leg_that_follows_brings_the_body_again_and_disturbs_nobody),
        ALONE_TEST(a_second_staging_that_ends_takes_only_what_it_brought),
        ALONE_TEST(the_end_of_the_last_leg_during_a_second_staging_gives_back_once),
        TEST(the_evidence_of_what_has_ended_and_is_erased_is_there_for_either_post),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
