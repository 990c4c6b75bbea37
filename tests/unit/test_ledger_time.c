/* test_ledger_time.c - decisive time: it never goes back, a jump of the clock halts what it would end, and the time
 * that the ledger was not there is added to every deadline that was open then, and named. */
#include <time.h>

#include "ledger_fixture.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };
static const uint64_t year = 365 * DAY_MS;

/* ---- the clock ---- */

static uint64_t wall_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static void the_first_start_believes_the_clock(UNUSED void **state) {
    struct ledger_clock clock;
    uint64_t before = wall_ms();
    clock_start(&clock, (struct instant){0});
    assert_false(clock.halted);
    assert_true(clock_read(&clock).ms >= before);
}

/* What the last batch said, seen from this machine's clock; is it believed? */
static const struct start {
    int64_t days;
    bool halted;
} starts[] = {{-3653, true}, {-731, true}, {-729, false}, {-30, false}, {0, false}, {1, true}, {3653, true}};

static void a_clock_that_is_years_off_at_the_start_halts_and_ledger_time_goes_on_without_it(UNUSED void **state) {
    for (size_t i = 0; i < LENGTH(starts); i++) {
        struct ledger_clock clock;
        uint64_t wall = wall_ms(), last = wall + (uint64_t)(starts[i].days * (int64_t)DAY_MS);
        clock_start(&clock, (struct instant){last});
        assert_int_equal(clock.halted, starts[i].halted);
        uint64_t first = clock_read(&clock).ms;
        assert_true(first >= last);
        uint64_t base = starts[i].halted ? last : wall;
        assert_true(first - base < MINUTE);
        assert_true(clock_read(&clock).ms >= first);
        assert_int_equal(clock.halted, starts[i].halted);
    }
}

static void a_clock_a_little_behind_the_last_batch_waits_until_it_is_there(UNUSED void **state) {
    struct ledger_clock clock;
    uint64_t last = wall_ms() + CLOCK_JUMP_MS / 2;
    clock_start(&clock, (struct instant){last});
    assert_false(clock.halted);
    for (int i = 0; i < 3; i++) assert_int_equal(clock_read(&clock).ms, last);
}

/* As if the steady clock had gone on for less, or more, than the wall clock. */
static void a_jump_while_it_runs_halts_and_time_goes_on_by_the_steady_clock(UNUSED void **state) {
    static const int64_t jumps[] = {2 * MINUTE, -2 * MINUTE, 10 * 365 * (int64_t)DAY_MS, -10 * 365 * (int64_t)DAY_MS};
    for (size_t i = 0; i < LENGTH(jumps); i++) {
        struct ledger_clock clock;
        clock_start(&clock, (struct instant){wall_ms()});
        uint64_t before = clock_read(&clock).ms;
        clock.last_ms -= (uint64_t)jumps[i]; /* the wall has moved against all that the ledger has counted */
        before -= (uint64_t)jumps[i];
        uint64_t after = clock_read(&clock).ms;
        assert_true(clock.halted);
        assert_true(after >= before && after - before < MINUTE);
    }
}

/* ---- outages ---- */

/* The batches of a ledger that runs: each at this time, with what may expire. */
static void batch_at(struct bench *bench, uint64_t ms) {
    struct book *book = &bench->book;
    bool more;
    book->now.ms = ms;
    publish_prekey(bench, RECIPIENT, (uint32_t)(ms / DAY_MS)); /* nothing here is about wraps */
    assert_ok(book->store->ops->begin(book->store));
    outage_begin(book);
    assert_ok(scribe_begin(&book->scribe, book->store, directory_size(book->directory)));
    assert_ok(expiry_run(book, &more));
    assert_ok(outage_write(book));
    commit_batch(bench);
    (void)outage_committed(book);
}

/* A life of the ledger ends and another begins: it knows what the store does. */
static void start_again(struct bench *bench) {
    memset(&bench->book.outages, 0xff, sizeof bench->book.outages);
    assert_ok(outage_load(&bench->book));
}

static uint64_t run_until(struct bench *bench, uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at += MINUTE) batch_at(bench, at);
    batch_at(bench, to);
    return to;
}

static struct statement last_statement(struct bench *bench, const struct cargo *parcel) {
    struct evidence last;
    AUTO_BUF bytes = {0};
    check_chain(bench, parcel, 0, &bytes, &last);
    return last.statement; /* numbers only are read: the views end with the bytes */
}

static void a_ledger_that_writes_every_minute_has_no_outage_and_names_none(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 3600, .exercise = true});
    uint64_t at = bench->book.now.ms;
    batch_at(bench, at);
    store_parcel(bench, &parcel, 0);
    at = run_until(bench, at, at + HOUR);
    start_again(bench); /* at once, and again after a little: neither was an outage */
    batch_at(bench, at);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED); /* exactly at the deadline */
    assert_int_equal(bench->book.outages.sum_ms, 0);
    start_again(bench);
    batch_at(bench, at + 2 * MINUTE);
    assert_int_equal(bench->book.outages.count, 0);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_EXPIRED);
    assert_false(last_statement(bench, &parcel).has_grace);
}

static void an_outage_moves_every_open_deadline_by_its_length_and_expired_names_it(void **state) {
    struct bench *bench = *state;
    uint64_t start = bench->book.now.ms;
    AUTO_PARCEL before = parcel_make(bench, (struct plan){.id = 1, .keep_s = 4 * 3600, .exercise = true});
    AUTO_PARCEL long_before = parcel_make(bench, (struct plan){.id = 2, .keep_s = 2 * 3600, .exercise = true});
    batch_at(bench, start);
    store_parcel(bench, &before, 0);
    store_parcel(bench, &long_before, 0);
    uint64_t at = run_until(bench, start, start + HOUR); /* one hour of two has gone, and of four */
    start_again(bench);
    at += 10 * HOUR + 500;
    batch_at(bench, at);
    assert_int_equal(bench->book.outages.count, 1);
    assert_int_equal(bench->book.outages.sum_ms, 10 * HOUR + 500);
    assert_int_equal(bench->book.outages.end.ms, at);
    AUTO_PARCEL after = parcel_make(bench, (struct plan){.id = 3, .keep_s = 3600, .exercise = true});
    store_parcel(bench, &after, 0);
    at = run_until(bench, at, at + HOUR); /* the same hour more for both: one has it to the end, the other three */
    assert_int_equal(leg_of(bench, &long_before, 0).state, STATE_STORED);
    assert_int_equal(leg_of(bench, &after, 0).state, STATE_STORED);
    batch_at(bench, at + 1);
    assert_int_equal(leg_of(bench, &long_before, 0).state, STATE_EXPIRED);
    assert_int_equal(leg_of(bench, &after, 0).state, STATE_EXPIRED);
    assert_int_equal(leg_of(bench, &before, 0).state, STATE_STORED);
    struct statement named = last_statement(bench, &long_before), unnamed = last_statement(bench, &after);
    assert_true(named.has_grace);
    assert_int_equal(named.grace, 10 * 3600 + 1); /* rounded up */
    assert_true(named.has_reason);
    assert_int_equal(named.reason, STATE_STORED);
    assert_false(unnamed.has_grace);
    at = run_until(bench, at + MINUTE, at + 2 * HOUR);
    assert_int_equal(leg_of(bench, &before, 0).state, STATE_STORED);
    batch_at(bench, at + 1);
    assert_int_equal(leg_of(bench, &before, 0).state, STATE_EXPIRED);
    assert_int_equal(last_statement(bench, &before).grace, 10 * 3600 + 1);
}

/* The deadline, and more, passes while the relay is down: what is left of it is there when it is back. */
static void who_had_one_minute_left_has_one_minute_left_when_the_relay_is_back(void **state) {
    struct bench *bench = *state;
    uint64_t at = bench->book.now.ms;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 3600, .exercise = true});
    batch_at(bench, at);
    store_parcel(bench, &parcel, 0);
    at = run_until(bench, at, at + HOUR - MINUTE);
    for (int i = 0; i < 3; i++) { /* again and again */
        start_again(bench);
        at += 40 * DAY_MS;
        batch_at(bench, at);
        assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    }
    batch_at(bench, at + MINUTE); /* exactly */
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    batch_at(bench, at + MINUTE + 1);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_EXPIRED);
    assert_int_equal(last_statement(bench, &parcel).grace, 3 * 40 * 86400);
    assert_int_equal(bench->book.outages.count, 3);
}

/* Asleep with its machine, stopped, or without room on its disk: the process lived, the ledger was not there. */
static void an_outage_needs_no_restart_and_an_undone_batch_does_not_end_it(void **state) {
    struct bench *bench = *state;
    struct book *book = &bench->book;
    uint64_t at = book->now.ms;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 3600, .exercise = true});
    batch_at(bench, at);
    store_parcel(bench, &parcel, 0);
    for (int i = 1; i <= 5; i++) { /* tried, and undone, for want of room */
        book->now.ms = at + (uint64_t)i * HOUR;
        assert_ok(book->store->ops->begin(book->store));
        outage_begin(book);
        assert_int_equal(book->outages.sum_ms, (uint64_t)i * HOUR);
        assert_ok(outage_write(book));
        book_undo(book);
    }
    at += 5 * HOUR + MINUTE;
    batch_at(bench, at);
    assert_int_equal(book->outages.count, 1);
    assert_int_equal(book->outages.sum_ms, 5 * HOUR + MINUTE);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    start_again(bench);
    assert_int_equal(book->outages.sum_ms, 5 * HOUR + MINUTE);
    assert_int_equal(book->outages.alive.ms, at);
    batch_at(bench, at + HOUR); /* an hour in which it was away as well */
    batch_at(bench, at + HOUR + MINUTE);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
}

static void what_counts_anew_counts_from_after_the_outage(void **state) {
    struct bench *bench = *state;
    uint64_t at = bench->book.now.ms;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 3600, .exercise = true});
    batch_at(bench, at);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    start_again(bench);
    at += 3 * HOUR;
    batch_at(bench, at);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT, 2));
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACKNOWLEDGED, RECIPIENT, 3)); /* `keep` begins anew here */
    at = run_until(bench, at, at + HOUR / 2);
    AUTO_PARCEL reply = parcel_make(
        bench,
        (struct plan){
            .id = 2, .kind = LEG_REPLY, .parent = &parcel, .sender = RECIPIENT, .keep_s = 7200, .exercise = true});
    store_parcel(bench, &reply, 0); /* and here again */
    at = run_until(bench, at, at + HOUR);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_ACKNOWLEDGED);
    batch_at(bench, at + 1);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_EXPIRED);
    assert_false(last_statement(bench, &parcel).has_grace); /* what came before was not added to this deadline */
    assert_int_equal(leg_of(bench, &reply, 0).state, STATE_STORED);
}

/* Set forward while the relay was down, it cannot be told from an outage: then a grace is given, and nobody loses
 * anything. */
static void a_clock_set_forward_while_it_was_down_gives_time_rather_than_taking_it(void **state) {
    struct bench *bench = *state;
    uint64_t at = bench->book.now.ms;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    batch_at(bench, at);
    store_parcel(bench, &parcel, 0);
    start_again(bench);
    batch_at(bench, at + year);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    assert_int_equal(bench->book.outages.sum_ms, year);
}

/* ---- a batch at the deadline ---- */

static void at_the_deadline_what_arrived_counts_first_and_then_the_deadline(void **state) {
    struct bench *bench = *state;
    static const struct {
        enum leg_event event;
        unsigned signer;
        uint64_t after; /* ms after the deadline */
        enum leg_state end;
        enum leg_state furthest;
    } rows[] = {
        {EVENT_NOTIFIED, RECIPIENT, 0, STATE_NOTIFIED, STATE_NOTIFIED},
        {EVENT_ACCEPTED, RECIPIENT, 0, STATE_ACCEPTED, STATE_ACCEPTED},
        {EVENT_DECLINED, RECIPIENT, 0, STATE_DECLINED, STATE_STORED},
        {EVENT_WITHDRAWN, SENDER, 0, STATE_WITHDRAWN, STATE_STORED},
        {EVENT_NOTIFIED, RECIPIENT, 1, STATE_EXPIRED, STATE_NOTIFIED},
        {EVENT_ACCEPTED, RECIPIENT, 1, STATE_EXPIRED, STATE_ACCEPTED},
        {EVENT_DECLINED, RECIPIENT, 1, STATE_DECLINED, STATE_STORED},
        {EVENT_WITHDRAWN, SENDER, 1, STATE_WITHDRAWN, STATE_STORED},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct evidence last;
        bool more;
        AUTO_BUF bytes = {0};
        AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1 + (unsigned)i, .keep_s = 60, .exercise = true});
        store_parcel(bench, &parcel, 0);
        bench->book.now.ms = leg_of(bench, &parcel, 0).expires.ms + rows[i].after;
        begin(bench);
        assert_ok(say(bench, &parcel, 0, rows[i].event, rows[i].signer, 1, NULL));
        assert_ok(expiry_run(&bench->book, &more));
        commit_batch(bench);
        struct store_leg leg = leg_of(bench, &parcel, 0);
        assert_int_equal(leg.state, rows[i].end);
        assert_int_equal(leg.furthest, rows[i].furthest);
        assert_int_equal(check_chain(bench, &parcel, 0, &bytes, &last), rows[i].end == STATE_EXPIRED ? 3 : 2);
        if (rows[i].end == STATE_EXPIRED) assert_int_equal(last.statement.reason, rows[i].furthest);
        if (rows[i].end == STATE_EXPIRED) assert_int_equal(last.entry.from, rows[i].furthest);
        if (rows[i].end == STATE_EXPIRED) continue;
        bench->book.now.ms++; /* and in the next batch, for those that are still open */
        run_expiry(bench);
        bool ended = leg_state_row(rows[i].end)->terminal;
        assert_int_equal(leg_of(bench, &parcel, 0).state, ended ? rows[i].end : STATE_EXPIRED);
    }
}

/* The other order: the deadline was written in an earlier batch. Then no decision undoes it, and it is kept as what it
 * was. */
static void after_the_expiry_a_decision_is_kept_as_one_that_came_too_late(void **state) {
    struct bench *bench = *state;
    static const enum leg_event events[] = {EVENT_ACCEPTED, EVENT_DECLINED, EVENT_WITHDRAWN, EVENT_CLOSED};
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = 60, .exercise = true});
    store_parcel(bench, &parcel, 0);
    bench->book.now.ms = leg_of(bench, &parcel, 0).expires.ms + 1;
    run_expiry(bench);
    struct store_leg before = leg_of(bench, &parcel, 0);
    for (size_t i = 0; i < LENGTH(events); i++) {
        bool receipt;
        begin(bench);
        assert_error(say(bench, &parcel, 0, events[i], events[i] == EVENT_WITHDRAWN ? SENDER : RECIPIENT, 1, &receipt),
                     E_WRONG_STATE);
        assert_true(receipt);
        commit_batch(bench);
    }
    struct store_leg after = leg_of(bench, &parcel, 0);
    assert_int_equal(after.state, STATE_EXPIRED);
    assert_memory_equal(after.head, before.head, HASH_SIZE);
}

static void many_deadlines_at_once_expire_in_pieces_and_each_once(void **state) {
    struct bench *bench = *state;
    enum { LEGS = 600 };
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .legs = LEGS, .keep_s = 60, .exercise = true});
    struct response response = {0};
    bench->config.quota_pair_legs = LEGS_MAX;
    for (size_t first = 0; first < LEGS; first += 100) {
        begin(bench);
        assert_ok(try_submit(bench, &parcel, first, 100, first == 0, &response));
        commit_batch(bench);
        response_free(&response);
    }
    bench->book.now.ms = leg_of(bench, &parcel, LEGS - 1).expires.ms + 1;
    unsigned batches = 0;
    for (bool more = true; more; batches++) {
        begin(bench);
        assert_ok(expiry_run(&bench->book, &more));
        assert_true(bench->book.scribe.count <= 256);
        commit_batch(bench);
    }
    assert_int_equal(batches, 3);
    for (size_t i = 0; i < LEGS; i++) {
        assert_int_equal(leg_of(bench, &parcel, i).state, STATE_EXPIRED);
        assert_int_equal(leg_of(bench, &parcel, i).ordinal, 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_start_believes_the_clock),
        cmocka_unit_test(a_clock_that_is_years_off_at_the_start_halts_and_ledger_time_goes_on_without_it),
        cmocka_unit_test(a_clock_a_little_behind_the_last_batch_waits_until_it_is_there),
        cmocka_unit_test(a_jump_while_it_runs_halts_and_time_goes_on_by_the_steady_clock),
        TEST(a_ledger_that_writes_every_minute_has_no_outage_and_names_none),
        TEST(an_outage_moves_every_open_deadline_by_its_length_and_expired_names_it),
        TEST(who_had_one_minute_left_has_one_minute_left_when_the_relay_is_back),
        TEST(an_outage_needs_no_restart_and_an_undone_batch_does_not_end_it),
        TEST(what_counts_anew_counts_from_after_the_outage),
        TEST(a_clock_set_forward_while_it_was_down_gives_time_rather_than_taking_it),
        TEST(at_the_deadline_what_arrived_counts_first_and_then_the_deadline),
        TEST(after_the_expiry_a_decision_is_kept_as_one_that_came_too_late),
        TEST(many_deadlines_at_once_expire_in_pieces_and_each_once),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
