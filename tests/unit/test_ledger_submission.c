/* test_ledger_submission.c - chunks one by one, replies, a thousand legs, and what comes out of the feed. */
#include "ledger_fixture.h"

enum { THREE_CHUNKS = 2 * CHUNK_SIZE + 100 };

/* One chunk in a batch of its own: the failure, or E_OK with what is still wanted. */
static enum error send_chunk(struct bench *bench, struct job job, const struct chunk *chunk, struct response *ret) {
    begin(bench);
    assert_ok(submission_chunk(&bench->book, &job, chunk, ret));
    commit_batch(bench);
    assert_true(ret->type == MESSAGE_SUBMITTED || ret->type == MESSAGE_FAILURE);
    return ret->type == MESSAGE_FAILURE ? ret->error : E_OK;
}

static enum error put_chunk(struct bench *bench, const struct chunk *chunk) {
    struct response response = {0};
    enum error error = send_chunk(bench, job_of(SENDER), chunk, &response);
    response_free(&response);
    return error;
}

/* Submits without chunks: all are wanted. */
static void announce(struct bench *bench, const struct cargo *parcel) {
    struct response response = {0};
    begin(bench);
    submit_leg(bench, parcel, 0, false, &response);
    commit_batch(bench);
    assert_int_equal(response.type, MESSAGE_SUBMITTED);
    assert_int_equal(response.outcome_count, 0);
    assert_int_equal(response.want_count, 2);
    response_free(&response);
}

static struct cargo three_chunks(struct bench *bench) {
    return parcel_make(bench, (struct plan){.id = 1, .body = THREE_CHUNKS});
}

static void assert_nothing_stored(struct bench *bench, const struct cargo *parcel) {
    struct store_request row;
    struct store_leg leg;
    assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcel->digest, &row));
    assert_false(row.stored);
    assert_error(bench->book.store->ops->leg_by_id(bench->book.store, parcel->leg[0], &leg), E_UNKNOWN_REQUEST);
    for (uint32_t i = 0; i < 4; i++) {
        AUTO_BUF data = {0};
        assert_error(bench->book.store->ops->chunk_get(bench->book.store, row.id, PART_BODY, i, &data),
                     E_UNKNOWN_REQUEST);
    }
}

static void a_chunk_in_the_wrong_place_or_of_the_wrong_size_or_content_is_refused(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = three_chunks(bench);
    announce(bench, &parcel);
    struct chunk chunk = chunk_of(&parcel, PART_BODY, 0);
    chunk.index = 1; /* a good chunk, elsewhere */
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    chunk.index = 2;
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    chunk.index = 3;
    assert_error(put_chunk(bench, &chunk), E_NO_SUCH_CHUNK);
    chunk.index = UINT32_MAX;
    assert_error(put_chunk(bench, &chunk), E_NO_SUCH_CHUNK);
    chunk = chunk_of(&parcel, PART_BODY, 0);
    chunk.part = PART_OFFER;
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    chunk.part = PART_BODY;
    chunk.data.n--;
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    chunk.data.n = 0;
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    uint8_t flipped[CHUNK_SIZE];
    chunk = chunk_of(&parcel, PART_BODY, 0);
    memcpy(flipped, chunk.data.p, CHUNK_SIZE);
    flipped[CHUNK_SIZE - 1] ^= 1;
    chunk.data.p = flipped;
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    assert_nothing_stored(bench, &parcel);
}

/* The sender signs both the length and the digests; the relay takes no chunk on which they disagree. */
static void a_chunk_that_has_its_digest_but_not_its_size_is_refused(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .misfit = true});
    announce(bench, &parcel);
    struct chunk chunk = chunk_of(&parcel, PART_BODY, 0);
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    chunk.data.n--;
    assert_error(put_chunk(bench, &chunk), E_BAD_DIGEST);
    assert_nothing_stored(bench, &parcel);
}

static void a_request_that_was_staged_twice_is_told_once_to_its_own_post(void **state) {
    struct bench *bench = *state;
    struct store_feed item = {0};
    unsigned told = 0;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1));
    store_parcel(bench, &parcel, 1);
    while (bench->book.store->ops->feed_next(bench->book.store, "de/technical", item.number, &item) == E_OK)
        told += item.kind == ITEM_SENT;
    assert_int_equal(told, 1);
    assert_int_equal(item.number, 4); /* sent, stored, declined, stored */
}

static void a_part_that_the_request_has_not_takes_no_chunk(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .kind = LEG_OFFER_ONLY});
    begin(bench);
    submit_leg(bench, &parcel, 0, false, &response);
    commit_batch(bench);
    assert_int_equal(response.want_count, 1);
    response_free(&response);
    struct chunk chunk = chunk_of(&parcel, PART_OFFER, 0);
    chunk.part = PART_BODY;
    assert_error(put_chunk(bench, &chunk), E_NO_SUCH_CHUNK);
}

static void only_the_device_that_submits_may_bring_the_chunks(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = three_chunks(bench);
    announce(bench, &parcel);
    struct chunk chunk = chunk_of(&parcel, PART_BODY, 0);
    assert_error(send_chunk(bench, job_of(OTHER_SENDER), &chunk, &response), E_NOT_ALLOWED);
    response_free(&response);
    assert_error(send_chunk(bench, job_of(RECIPIENT), &chunk, &response), E_NOT_ALLOWED);
    response_free(&response);
    assert_nothing_stored(bench, &parcel);
}

/* Every order of the four chunks, each given twice but the last: the last one stores the leg, whichever it is. */
static void the_last_chunk_stores_the_leg_in_whatever_order_they_come(void **state) {
    struct bench *bench = *state;
    unsigned id = 0;
    for (unsigned order = 0; order < 256; order++) {
        unsigned pick[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 & 3};
        if ((1u << pick[0] | 1u << pick[1] | 1u << pick[2] | 1u << pick[3]) != 15) continue;
        AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = ++id, .body = THREE_CHUNKS});
        announce(bench, &parcel);
        for (unsigned i = 0; i < 4; i++) {
            struct response response = {0};
            struct store_leg leg;
            unsigned part = pick[i] == 3 ? PART_OFFER : PART_BODY;
            struct chunk chunk = chunk_of(&parcel, part, pick[i] == 3 ? 0 : pick[i]);
            bool last = i == 3;
            assert_error(bench->book.store->ops->leg_by_id(bench->book.store, parcel.leg[0], &leg), E_UNKNOWN_REQUEST);
            if (!last) assert_ok(put_chunk(bench, &chunk));
            assert_ok(send_chunk(bench, job_of(SENDER), &chunk, &response));
            assert_int_equal(response.outcome_count, last);
            assert_int_equal(response.want_count == 0, last);
            if (last) assert_error(response.outcomes[0].error, E_OK);
            response_free(&response);
        }
        assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
        assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 1);
    }
    assert_int_equal(id, 24);
    assert_int_equal(quota(bench, "legs real de"), 24);
}

static void a_wanted_chunk_is_the_first_that_is_missing(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = three_chunks(bench);
    announce(bench, &parcel);
    struct chunk chunk = chunk_of(&parcel, PART_OFFER, 0);
    assert_ok(put_chunk(bench, &chunk));
    chunk = chunk_of(&parcel, PART_BODY, 2);
    assert_ok(put_chunk(bench, &chunk));
    chunk = chunk_of(&parcel, PART_BODY, 0);
    assert_ok(send_chunk(bench, job_of(SENDER), &chunk, &response));
    assert_int_equal(response.want_count, 1);
    assert_int_equal(response.wants[0].part, PART_BODY);
    assert_int_equal(response.wants[0].index, 1);
    response_free(&response);
}

static void a_chunk_after_the_staging_was_dropped_or_without_one_is_unknown(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = three_chunks(bench);
    struct chunk chunk = chunk_of(&parcel, PART_BODY, 0);
    assert_error(put_chunk(bench, &chunk), E_UNKNOWN_REQUEST);
    announce(bench, &parcel);
    assert_ok(put_chunk(bench, &chunk));
    bench->book.now.ms += bench->config.staging_s * 1000;
    begin(bench);
    assert_ok(submission_sweep(&bench->book));
    commit_batch(bench);
    assert_ok(put_chunk(bench, &chunk)); /* exactly at the end of its time it is still there */
    bench->book.now.ms++;
    begin(bench);
    assert_ok(submission_sweep(&bench->book));
    commit_batch(bench);
    assert_error(put_chunk(bench, &chunk), E_UNKNOWN_REQUEST);
    assert_int_equal(quota(bench, "bytes real de"), 0);
}

static void a_chunk_after_all_was_stored_changes_nothing(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = three_chunks(bench);
    store_parcel(bench, &parcel, 0);
    uint64_t bytes = quota(bench, "bytes real de");
    struct chunk chunk = chunk_of(&parcel, PART_BODY, 1);
    assert_ok(send_chunk(bench, job_of(SENDER), &chunk, &response));
    assert_int_equal(response.outcome_count + response.want_count, 0);
    response_free(&response);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1));
    assert_ok(put_chunk(bench, &chunk)); /* erased content does not come back by a late chunk */
    struct store_request row;
    AUTO_BUF data = {0};
    assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcel.digest, &row));
    assert_error(bench->book.store->ops->chunk_get(bench->book.store, row.id, PART_BODY, 1, &data), E_UNKNOWN_REQUEST);
    assert_true(bytes > THREE_CHUNKS);
    assert_int_equal(quota(bench, "bytes real de"), 0);
}

/* ---- replies ---- */

static struct cargo reply_to(struct bench *bench, unsigned id, const struct cargo *parent, unsigned sender) {
    return parcel_make(bench, (struct plan){.id = id, .kind = LEG_REPLY, .parent = parent, .sender = sender});
}

static enum error reply(struct bench *bench, unsigned id, const struct cargo *parent, unsigned sender) {
    AUTO_PARCEL parcel = reply_to(bench, id, parent, sender);
    return send_parcel(bench, &parcel, 0);
}

static void replies_go_both_ways_while_the_parent_is_open_and_only_then(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    unsigned id = 1;
    assert_error(reply(bench, ++id, &parent, RECIPIENT), E_UNKNOWN_REQUEST);
    store_parcel(bench, &parent, 0);
    static const struct {
        enum leg_event event;
        enum error expected;
    } steps[] = {
        {EVENT_NOTIFIED, E_WRONG_STATE}, {EVENT_OPENED, E_WRONG_STATE}, {EVENT_ACCEPTED, E_OK},
        {EVENT_HANDED_OVER, E_OK},       {EVENT_ACKNOWLEDGED, E_OK},    {EVENT_CLOSED, E_WRONG_STATE},
    };
    assert_error(reply(bench, ++id, &parent, RECIPIENT), E_WRONG_STATE);
    assert_error(reply(bench, ++id, &parent, SENDER), E_WRONG_STATE);
    for (size_t i = 0; i < LENGTH(steps); i++) {
        assert_ok(say_alone(bench, &parent, 0, steps[i].event, RECIPIENT, (uint8_t)(i + 1)));
        assert_error(reply(bench, ++id, &parent, RECIPIENT), steps[i].expected);
        assert_error(reply(bench, ++id, &parent, SISTER), steps[i].expected);
        assert_error(reply(bench, ++id, &parent, SENDER), steps[i].expected);
    }
}

static void a_reply_to_what_was_declined_withdrawn_or_expired_is_refused(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL declined = parcel_new(bench, 1, 1);
    AUTO_PARCEL withdrawn = parcel_new(bench, 2, 1);
    AUTO_PARCEL expired = parcel_new(bench, 3, 1);
    store_parcel(bench, &declined, 0);
    store_parcel(bench, &withdrawn, 0);
    store_parcel(bench, &expired, 0);
    assert_ok(say_alone(bench, &declined, 0, EVENT_DECLINED, RECIPIENT, 1));
    assert_ok(say_alone(bench, &withdrawn, 0, EVENT_WITHDRAWN, SENDER, 1));
    assert_ok(say_alone(bench, &expired, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    bench->book.now.ms = leg_of(bench, &expired, 0).expires.ms + 1;
    run_expiry(bench);
    assert_int_equal(leg_of(bench, &expired, 0).state, STATE_EXPIRED);
    assert_error(reply(bench, 10, &declined, RECIPIENT), E_WRONG_STATE);
    assert_error(reply(bench, 11, &withdrawn, RECIPIENT), E_WRONG_STATE);
    assert_error(reply(bench, 12, &expired, RECIPIENT), E_WRONG_STATE);
}

static void a_reply_has_the_parents_two_posts_and_mark_and_no_reply_for_a_parent(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    AUTO_PARCEL other = parcel_new(bench, 2, 1);
    store_parcel(bench, &parent, 0);
    store_parcel(bench, &other, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    AUTO_PARCEL home = parcel_make(
        bench, (struct plan){.id = 3, .kind = LEG_REPLY, .parent = &parent, .sender = RECIPIENT, .to = "fj/national"});
    assert_error(send_parcel(bench, &home, 0), E_NOT_ALLOWED);
    AUTO_PARCEL drill = parcel_make(
        bench, (struct plan){.id = 4, .kind = LEG_REPLY, .parent = &parent, .sender = RECIPIENT, .exercise = true});
    assert_error(send_parcel(bench, &drill, 0), E_NOT_ALLOWED);
    AUTO_PARCEL first = reply_to(bench, 5, &parent, RECIPIENT);
    assert_ok(send_parcel(bench, &first, 0));
    assert_error(reply(bench, 6, &first, SENDER), E_NOT_ALLOWED);
    assert_error(reply(bench, 7, &first, RECIPIENT), E_NOT_ALLOWED);
    struct cargo mixed = {0}; /* the leg of one request under the header of another */
    memcpy(mixed.digest, other.digest, HASH_SIZE);
    memcpy(mixed.leg[0], parent.leg[0], HASH_SIZE);
    assert_error(reply(bench, 8, &mixed, RECIPIENT), E_UNKNOWN_REQUEST);
    AUTO_PARCEL two = parcel_make(
        bench, (struct plan){.id = 9, .legs = 2, .kind = LEG_REPLY, .parent = &parent, .sender = RECIPIENT});
    assert_error(send_parcel(bench, &two, 0), E_TOO_MANY_LEGS);
}

static void a_reply_extends_the_deadline_of_an_acknowledged_parent_only(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    uint64_t expires = leg_of(bench, &parent, 0).expires.ms;
    bench->book.now.ms += 5000;
    assert_ok(reply(bench, 2, &parent, RECIPIENT));
    assert_int_equal(leg_of(bench, &parent, 0).expires.ms, expires);
    assert_ok(say_alone(bench, &parent, 0, EVENT_HANDED_OVER, RECIPIENT, 2));
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACKNOWLEDGED, RECIPIENT, 3));
    assert_int_equal(leg_of(bench, &parent, 0).expires.ms, expires + 5000);
    bench->book.now.ms += 7000;
    struct store_leg before = leg_of(bench, &parent, 0);
    assert_ok(reply(bench, 3, &parent, SENDER));
    before.expires.ms = expires + 12000;
    struct store_leg after = leg_of(bench, &parent, 0);
    assert_memory_equal(&after, &before, sizeof after);
}

/* The reply's own signers: it goes the other way, so the parent's sender is its recipient. */
static void a_reply_back_is_received_by_the_parents_sender(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    AUTO_PARCEL back = reply_to(bench, 2, &parent, RECIPIENT);
    assert_ok(send_parcel(bench, &back, 0));
    assert_error(fetch_part(bench, &back, 0, PART_BODY, RECIPIENT), E_UNKNOWN_REQUEST);
    assert_ok(fetch_part(bench, &back, 0, PART_BODY, SENDER));
    assert_error(say_alone(bench, &back, 0, EVENT_HANDED_OVER, RECIPIENT, 2), E_NOT_ALLOWED);
    assert_error(say_alone(bench, &back, 0, EVENT_HANDED_OVER, OTHER_SENDER, 3), E_OK);
    assert_error(say_alone(bench, &back, 0, EVENT_WITHDRAWN, RECIPIENT, 4), E_WRONG_STATE);
    assert_int_equal(leg_of(bench, &back, 0).state, STATE_HANDED_OVER);
}

/* ---- a thousand legs ---- */

enum { MANY = 1000, MANY_MESSAGES = 4 };

static void send_many(struct bench *bench, const struct cargo *parcel) {
    enum { EACH = MANY / MANY_MESSAGES };
    for (size_t i = 0; i < MANY_MESSAGES; i++) {
        struct response response = {0};
        begin(bench);
        assert_ok(try_submit(bench, parcel, i * EACH, EACH, i == 0, &response));
        commit_batch(bench);
        assert_int_equal(response.outcome_count, EACH);
        for (size_t k = 0; k < EACH; k++) {
            assert_error(response.outcomes[k].error, E_OK);
            assert_memory_equal(response.outcomes[k].subject, parcel->leg[i * EACH + k], HASH_SIZE);
        }
        response_free(&response);
    }
}

/* Reads a post's whole feed in pages; seen[i]: how often leg i came. Items are numbered without a gap. */
static size_t read_feed(struct bench *bench, unsigned reader, const struct cargo *parcel, enum item_kind kind,
                        unsigned *seen, size_t *ret_sent) {
    struct job job = job_of(reader);
    uint64_t after = 0;
    size_t pages = 0;
    struct feed feed = {.newest = 1};
    *ret_sent = 0;
    for (; after < feed.newest; pages++) {
        AUTO_BUF ask = {0};
        struct response response = {0};
        struct item item;
        getfeed_encode(&(struct getfeed){.after = after, .max = FEED_MAX}, &ask);
        assert_ok(handover_answer(&bench->book, &job, MESSAGE_GETFEED, buf_bytes(&ask), &response));
        assert_int_equal(response.type, MESSAGE_FEED);
        assert_true(response.body.n <= MESSAGE_MAX);
        assert_ok(feed_decode(buf_bytes(&response.body), &feed));
        assert_true(feed.items.count > 0);
        struct list list = feed.items;
        while (item_next(&list, &item)) {
            struct changed changed;
            struct offered offered;
            struct sent sent;
            uint8_t leg[HASH_SIZE];
            assert_int_equal(item.number, ++after);
            if (item.kind == ITEM_SENT) {
                assert_int_equal(item.number, 1); /* before what happened to it */
                assert_ok(sent_decode(item.body, &sent));
                assert_int_equal(sent.places.count, parcel->legs);
                ++*ret_sent;
                continue;
            }
            assert_int_equal(item.kind, kind);
            if (kind == ITEM_CHANGED) {
                assert_ok(changed_decode(item.body, &changed));
                memcpy(leg, changed.leg, HASH_SIZE);
            } else {
                struct opening opening;
                assert_ok(offered_decode(item.body, &offered));
                assert_ok(legs_verify(&offered.place, offered.path, parcel->header.legs, &opening, leg));
            }
            size_t which = (size_t)after - 1 - *ret_sent; /* in the order in which they were submitted */
            assert_true(which < parcel->legs);
            assert_memory_equal(leg, parcel->leg[which], HASH_SIZE);
            seen[which]++;
        }
        response_free(&response);
    }
    return pages;
}

static void a_thousand_legs_are_stored_once_each_and_the_feeds_tell_of_all_in_order(void **state) {
    struct bench *bench = *state;
    size_t sent;
    unsigned seen[MANY] = {0}, offered[MANY] = {0};
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .legs = MANY});
    send_many(bench, &parcel);
    send_many(bench, &parcel); /* again: nothing new */
    assert_int_equal(quota(bench, "legs real de"), MANY);
    struct store_counts counts;
    assert_ok(bench->book.store->ops->counts(bench->book.store, &counts));
    assert_int_equal(counts.legs, MANY);
    assert_int_equal(counts.entries, MANY);
    assert_int_equal(counts.requests, 1);
    assert_true(read_feed(bench, OTHER_SENDER, &parcel, ITEM_CHANGED, seen, &sent) >= MANY / FEED_MAX);
    assert_int_equal(sent, 1);
    assert_true(read_feed(bench, RECIPIENT, &parcel, ITEM_OFFERED, offered, &sent) > 1);
    assert_int_equal(sent, 0);
    for (size_t i = 0; i < MANY; i++) assert_true(seen[i] == 1 && offered[i] == 1);
    uint64_t first;
    assert_ok(bench->book.store->ops->feed_newest(bench->book.store, "de/technical", &first));
    assert_int_equal(first, MANY + 1);
}

/* ---- who takes new requests ---- */

static enum error send_new(struct bench *bench, unsigned id) {
    AUTO_PARCEL parcel = parcel_new(bench, id, 1);
    return send_parcel(bench, &parcel, 0);
}

/* Nothing new comes, and what was open before is still answered in both directions. */
static void assert_only_finishes(struct bench *bench, const struct cargo *parent, unsigned id, enum error why) {
    AUTO_PARCEL there = parcel_make(bench, (struct plan){.id = id, .kind = LEG_REPLY, .parent = parent});
    AUTO_PARCEL back =
        parcel_make(bench, (struct plan){.id = id + 1, .kind = LEG_REPLY, .sender = RECIPIENT, .parent = parent});
    AUTO_PARCEL new = parcel_new(bench, id + 2, 1);
    struct store_leg leg;
    assert_error(send_parcel(bench, &new, 0), why);
    assert_error(bench->book.store->ops->leg_by_id(bench->book.store, new.leg[0], &leg), E_UNKNOWN_REQUEST);
    assert_ok(send_parcel(bench, &there, 0));
    assert_ok(send_parcel(bench, &back, 0));
}

static void a_post_that_was_split_takes_nothing_new_and_finishes_what_is_open(void **state) {
    struct bench *bench = *state;
    static const char *const into[] = {"fj/one", "fj/two", NULL};
    AUTO_BUF items = {0};
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    world_post(&bench->world, into[0], OTHER_AUTHORITY, 310);
    world_post(&bench->world, into[1], OTHER_AUTHORITY, 311);
    struct split split = split_of("fj/national", OTHER_AUTHORITY, into, &items);
    assert_ok(say_split(&bench->world, &split, OTHER_AUTHORITY));
    catch_up(bench);
    assert_only_finishes(bench, &parent, 10, E_SPLIT);
    assert_ok(say_alone(bench, &parent, 0, EVENT_HANDED_OVER, RECIPIENT, 2));
    struct split back = split_of("fj/national", OTHER_AUTHORITY, NULL, NULL);
    assert_ok(say_split(&bench->world, &back, OTHER_AUTHORITY));
    catch_up(bench);
    assert_ok(send_new(bench, 20));
}

static void a_post_of_a_party_that_has_left_takes_nothing_new_and_finishes_what_is_open(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    struct departure departure = departure_of("fj", OTHER_AUTHORITY);
    assert_ok(say_departure(&bench->world, &departure, OTHER_AUTHORITY));
    catch_up(bench);
    assert_only_finishes(bench, &parent, 10, E_DEPARTED);
    assert_ok(say_alone(bench, &parent, 0, EVENT_HANDED_OVER, RECIPIENT, 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_chunk_in_the_wrong_place_or_of_the_wrong_size_or_content_is_refused),
        TEST(a_chunk_that_has_its_digest_but_not_its_size_is_refused),
        TEST(a_request_that_was_staged_twice_is_told_once_to_its_own_post),
        TEST(a_part_that_the_request_has_not_takes_no_chunk),
        TEST(only_the_device_that_submits_may_bring_the_chunks),
        TEST(the_last_chunk_stores_the_leg_in_whatever_order_they_come),
        TEST(a_wanted_chunk_is_the_first_that_is_missing),
        TEST(a_chunk_after_the_staging_was_dropped_or_without_one_is_unknown),
        TEST(a_chunk_after_all_was_stored_changes_nothing),
        TEST(replies_go_both_ways_while_the_parent_is_open_and_only_then),
        TEST(a_reply_to_what_was_declined_withdrawn_or_expired_is_refused),
        TEST(a_reply_has_the_parents_two_posts_and_mark_and_no_reply_for_a_parent),
        TEST(a_reply_extends_the_deadline_of_an_acknowledged_parent_only),
        TEST(a_reply_back_is_received_by_the_parents_sender),
        TEST(a_thousand_legs_are_stored_once_each_and_the_feeds_tell_of_all_in_order),
        TEST(a_post_that_was_split_takes_nothing_new_and_finishes_what_is_open),
        TEST(a_post_of_a_party_that_has_left_takes_nothing_new_and_finishes_what_is_open),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
