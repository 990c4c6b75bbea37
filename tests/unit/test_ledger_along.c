/* test_ledger_along.c - content that goes along with an answer: never what FETCH would refuse, never without being welcome, never
 * more than there is room for. */
#include "ledger_fixture.h"

enum { LARGE = 60000, WHOLE_MESSAGE = MESSAGE_MAX };

/* What came along: how many, each the offer or body of one of the parcels, as it was submitted. */
static size_t check_along(struct list along, unsigned part, const struct cargo *parcels, size_t count,
                          uint64_t *ret_bytes) {
    struct along one;
    size_t found = 0;
    *ret_bytes = 0;
    while (along_next(&along, &one)) {
        size_t which = 0;
        assert_int_equal(one.part, part);
        while (which < count && memcmp(parcels[which].digest, one.header, HASH_SIZE) != 0) which++;
        assert_true(which < count);
        struct chunk chunk = chunk_of(&parcels[which], part, 0);
        assert_true(bytes_equal(chunk.data, one.data));
        *ret_bytes += one.data.n;
        found++;
    }
    return found;
}

static size_t offers_along(struct bench *bench, unsigned reader, uint64_t room, const struct cargo *parcels,
                           size_t count) {
    struct job job = job_of(reader);
    struct response response = {0};
    struct feed feed;
    AUTO_BUF ask = {0};
    uint64_t bytes;
    getfeed_encode(&(struct getfeed){.max = FEED_MAX, .has_room = room > 0, .room = room}, &ask);
    assert_ok(handover_answer(&bench->book, &job, MESSAGE_GETFEED, buf_bytes(&ask), &response));
    assert_int_equal(response.type, MESSAGE_FEED);
    assert_true(response.body.n <= MESSAGE_MAX);
    assert_ok(feed_decode(buf_bytes(&response.body), &feed));
    size_t found = feed.has_along ? check_along(feed.along, PART_OFFER, parcels, count, &bytes) : 0;
    if (found > 0) assert_true(bytes <= room);
    response_free(&response);
    return found;
}

static void offers_come_along_as_far_as_there_is_room(void **state) {
    struct bench *bench = *state;
    struct cargo parcels[3];
    for (unsigned i = 0; i < LENGTH(parcels); i++) {
        parcels[i] = parcel_new(bench, 1 + i, 1);
        store_parcel(bench, &parcels[i], 0);
    }
    size_t size = chunk_of(&parcels[0], PART_OFFER, 0).data.n;
    assert_int_equal(offers_along(bench, RECIPIENT, 0, parcels, 3), 0);
    assert_int_equal(offers_along(bench, RECIPIENT, 1, parcels, 3), 0);
    assert_int_equal(offers_along(bench, RECIPIENT, size, parcels, 3), 1);
    assert_int_equal(offers_along(bench, RECIPIENT, 2 * size + 1, parcels, 3), 2);
    assert_int_equal(offers_along(bench, RECIPIENT, WHOLE_MESSAGE, parcels, 3), 3);
    assert_int_equal(offers_along(bench, SENDER, WHOLE_MESSAGE, parcels, 3), 0); /* its own: it has them */
    assert_ok(say_alone(bench, &parcels[1], 0, EVENT_DECLINED, RECIPIENT, 1));
    assert_int_equal(offers_along(bench, SISTER, WHOLE_MESSAGE, parcels, 3), 2);
    for (unsigned i = 0; i < LENGTH(parcels); i++) parcel_free(&parcels[i]);
}

/* One statement with so much room; how many bodies came along. */
static size_t bodies_along(struct bench *bench, const struct cargo *parcel, enum leg_event event, unsigned number,
                           uint8_t nonce, uint64_t room, enum error *ret) {
    AUTO_BUF stamped = {0}, said = {0}, list = {0};
    struct response response = {0};
    struct job job = job_of(number);
    size_t count = 0;
    uint64_t bytes;
    make_statement(parcel, 0, event, number, nonce, &stamped);
    said_encode(&(struct said){.statement = buf_bytes(&stamped)}, &said);
    struct state state = {.said = list_of(&said, 1), .has_room = room > 0, .room = room};
    begin(bench);
    assert_ok(transition_state(&bench->book, &job, &state, &response));
    commit_batch(bench);
    *ret = response.outcomes[0].error;
    assert_ok(handover_along(&bench->book, &response, 0, &list, &count));
    assert_int_equal(check_along(list_of(&list, count), PART_BODY, parcel, 1, &bytes), count);
    response_free(&response);
    return count;
}

static void a_body_comes_along_with_its_acceptance_and_nothing_else(void **state) {
    struct bench *bench = *state;
    enum error error;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_int_equal(bodies_along(bench, &parcel, EVENT_NOTIFIED, RECIPIENT, 1, WHOLE_MESSAGE, &error), 0);
    assert_int_equal(bodies_along(bench, &parcel, EVENT_OPENED, RECIPIENT, 2, WHOLE_MESSAGE, &error), 0);
    assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, SENDER, 3, WHOLE_MESSAGE, &error), 0);
    assert_int_not_equal(error, E_OK); /* not the sender's to say */
    assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, RECIPIENT, 4, WHOLE_MESSAGE, &error), 1);
    assert_ok(error);
    assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, RECIPIENT, 4, WHOLE_MESSAGE, &error), 1); /* again */
    assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, RECIPIENT, 4, 0, &error), 0);
    assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, RECIPIENT, 4, 1, &error), 0);
    assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, SISTER, 5, WHOLE_MESSAGE, &error), 0);
    assert_error(error, E_NOT_ALLOWED); /* a reader */
    assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, RECIPIENT, 7, WHOLE_MESSAGE, &error), 1);
    assert_ok(error); /* once more: a device receipt */
    assert_int_equal(bodies_along(bench, &parcel, EVENT_HANDED_OVER, RECIPIENT, 6, WHOLE_MESSAGE, &error), 0);
}

static void an_acceptance_that_came_too_late_brings_no_body(void **state) {
    struct bench *bench = *state;
    static const enum leg_event ends[] = {EVENT_DECLINED, EVENT_WITHDRAWN};
    for (unsigned i = 0; i < LENGTH(ends); i++) {
        enum error error;
        AUTO_PARCEL parcel = parcel_new(bench, 1 + i, 1);
        store_parcel(bench, &parcel, 0);
        assert_ok(say_alone(bench, &parcel, 0, ends[i], ends[i] == EVENT_DECLINED ? RECIPIENT : SENDER, 1));
        for (unsigned again = 0; again < 2; again++) {
            assert_int_equal(bodies_along(bench, &parcel, EVENT_ACCEPTED, RECIPIENT, 2, WHOLE_MESSAGE, &error), 0);
            assert_error(error, E_WRONG_STATE);
        }
    }
}

static void an_answer_with_all_that_came_along_fits_into_a_message(void **state) {
    struct bench *bench = *state;
    enum { COUNT = 12 };
    struct cargo parcels[COUNT];
    struct response response = {.room = MESSAGE_MAX};
    for (unsigned i = 0; i < COUNT; i++) {
        struct store_request row;
        parcels[i] = parcel_make(bench, (struct plan){.id = 1 + i, .body = LARGE});
        store_parcel(bench, &parcels[i], 0);
        assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcels[i].digest, &row));
        assert_ok(response_along(&response, row.id, PART_BODY, parcels[i].digest));
    }
    for (size_t taken = 0; taken <= MESSAGE_MAX; taken += MESSAGE_MAX / 4) {
        AUTO_BUF list = {0};
        size_t count = 0;
        uint64_t bytes;
        assert_ok(handover_along(&bench->book, &response, taken, &list, &count));
        assert_true(taken + list.n <= MESSAGE_MAX || count == 0);
        assert_int_equal(check_along(list_of(&list, count), PART_BODY, parcels, COUNT, &bytes), count);
        assert_int_equal(count > 0, MESSAGE_MAX - taken > LARGE + 8192);
    }
    response_free(&response);
    for (unsigned i = 0; i < COUNT; i++) parcel_free(&parcels[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(offers_come_along_as_far_as_there_is_room),
        TEST(a_body_comes_along_with_its_acceptance_and_nothing_else),
        TEST(an_acceptance_that_came_too_late_brings_no_body),
        TEST(an_answer_with_all_that_came_along_fits_into_a_message),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
