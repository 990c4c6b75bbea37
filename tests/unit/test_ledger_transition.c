/* test_ledger_transition.c - every event in every state of every kind of leg, by the signer who may and by those who
 * may not; deadlines; and when ciphertext goes. What is expected is written from the protocol's section on the life of
 * a leg. */
#include "ledger_states.h"

/* The receipt that was given verifies by itself, is an entry exactly if the leg moved, and is kept. */
static void check_receipt(struct bench *bench, int pending, bool moves) {
    struct evidence evidence;
    AUTO_BUF kept = {0};
    struct bytes receipt = scribe_receipt(&bench->book.scribe, pending);
    assert_ok(evidence_open(receipt, bench->book.statement_key, &evidence));
    assert_int_equal(evidence.has_entry, moves);
    struct store *store = bench->book.store;
    struct store_leg leg;
    assert_ok(store->ops->leg_by_id(store, evidence.statement.leg, &leg));
    assert_ok(store->ops->receipt_by_hash(store, leg.id, evidence.statement_hash, &kept));
    assert_true(bytes_equal(buf_bytes(&kept), receipt));
}

struct trial {
    struct cargo *parcel;
    enum leg_kind kind;
    const enum leg_event *route;
    enum leg_state state, furthest;
};

static void try_event(struct bench *bench, const struct trial *trial, enum leg_event event, unsigned signer) {
    struct verdict verdict = documented(trial->state, trial->furthest, trial->kind, event);
    struct response response = {0};
    struct evidence last;
    AUTO_BUF bytes = {0};
    int pending;
    bool receipt;
    begin(bench);
    submit_leg(bench, trial->parcel, 0, true, &response);
    response_free(&response);
    walk(bench, trial->parcel, trial->route);
    struct store_leg before = leg_of(bench, trial->parcel, 0);
    assert_int_equal(before.state, trial->state);
    assert_int_equal(before.furthest, trial->furthest);
    assert_error(say_pending(bench, trial->parcel, 0, event, signer, 99, &pending, &receipt), verdict.error);
    assert_int_equal(receipt, verdict.receipt);
    commit_batch(bench);
    struct store_leg after = leg_of(bench, trial->parcel, 0);
    assert_int_equal(after.state, verdict.to);
    assert_int_equal(after.ordinal, before.ordinal + verdict.moves);
    if (pending >= 0) check_receipt(bench, pending, verdict.moves);
    assert_int_equal(check_chain(bench, trial->parcel, 0, &bytes, &last), after.ordinal);
    if (verdict.moves) assert_int_equal(last.entry.from, trial->state);
    if (verdict.moves) assert_int_equal(last.statement.event, event);
}

static void try_all_events(struct bench *bench, enum leg_kind kind, const enum leg_event *route,
                           const struct cargo *parent, unsigned *id) {
    struct trial trial = {.kind = kind, .route = route};
    if (!route_end(route, kind, &trial.state, &trial.furthest)) return;
    for (unsigned event = EVENT_STORED; event <= EVENT_CONSENTED; event++) {
        bool either = leg_event_row(event)->actor == ACTOR_EITHER;
        for (unsigned side = 0; side < (either ? 2 : 1); side++) {
            AUTO_PARCEL parcel = parcel_make(
                bench, (struct plan){.id = ++*id, .kind = kind, .parent = kind == LEG_REPLY ? parent : NULL});
            trial.parcel = &parcel;
            try_event(bench, &trial, event, side ? SENDER : signer_of(event));
        }
    }
}

static void exactly_the_steps_move_a_leg_and_all_else_is_answered_as_documented(void **state) {
    struct bench *bench = *state;
    unsigned id = 1;
    AUTO_PARCEL parent = parcel_new(bench, id, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    for (size_t k = 0; k < LENGTH(kinds); k++)
        for (size_t i = 0; i < LENGTH(routes); i++) try_all_events(bench, kinds[k], routes[i], &parent, &id);
    assert_true(id > 700);
}

/* The table of routes above would prove nothing if it left a state out. */
static void the_routes_reach_every_state_that_a_kind_of_leg_can_reach(void **state) {
    UNUSED struct bench *bench = *state;
    for (size_t k = 0; k < LENGTH(kinds); k++) {
        unsigned reached = 0, possible = 1u << STATE_STORED;
        for (size_t i = 0; i < LENGTH(routes); i++) {
            enum leg_state end, furthest;
            if (route_end(routes[i], kinds[k], &end, &furthest)) reached |= 1u << end;
        }
        for (unsigned round = 0; round < 12; round++) {
            const struct leg_step *step;
            for (unsigned n = 0; (step = leg_step_nth(n)); n++)
                if (possible & 1u << step->from && step->kinds & kinds[k]) possible |= 1u << step->to;
        }
        assert_int_equal(reached, possible);
    }
}

/* In every state: who is not the actor, or has too small a role, moves nothing and leaves nothing. */
static void nobody_moves_a_leg_for_somebody_else(void **state) {
    struct bench *bench = *state;
    static const unsigned everybody[] = {SENDER, OTHER_SENDER, DEVICE + 2, RECIPIENT, SISTER};
    for (size_t i = 0; i < LENGTH(routes); i++) {
        enum leg_state end, furthest;
        if (!route_end(routes[i], LEG_REQUEST, &end, &furthest)) continue;
        AUTO_PARCEL parcel = parcel_new(bench, 1 + (unsigned)i, 1);
        struct response response = {0};
        begin(bench);
        submit_leg(bench, &parcel, 0, true, &response);
        response_free(&response);
        walk(bench, &parcel, routes[i]);
        for (unsigned event = EVENT_STORED; event <= EVENT_CONSENTED; event++) {
            const struct leg_event_row *row = leg_event_row(event);
            for (size_t who = 0; who < LENGTH(everybody); who++) {
                bool recipient = everybody[who] >= RECIPIENT, bell = everybody[who] == DEVICE + 2;
                bool decider = everybody[who] == SENDER || everybody[who] == RECIPIENT;
                bool side = row->actor == ACTOR_EITHER || row->actor == (recipient ? ACTOR_RECIPIENT : ACTOR_SENDER) ||
                            (row->actor == ACTOR_SEALER && !recipient);
                bool receipt;
                if (row->actor != ACTOR_RELAY && side && !bell && (decider || !row->decider)) continue;
                struct store_leg before = leg_of(bench, &parcel, 0), after;
                size_t count = bench->book.scribe.count;
                assert_error(say(bench, &parcel, 0, event, everybody[who], 77, &receipt), E_NOT_ALLOWED);
                after = leg_of(bench, &parcel, 0);
                assert_memory_equal(&after, &before, sizeof before);
                assert_false(receipt);
                assert_int_equal(bench->book.scribe.count, count);
            }
        }
        commit_batch(bench);
    }
}

static void a_statement_for_another_header_or_of_another_device_is_refused(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    AUTO_PARCEL other = parcel_new(bench, 2, 1);
    AUTO_PARCEL unknown = parcel_new(bench, 3, 1);
    store_parcel(bench, &parcel, 0);
    store_parcel(bench, &other, 0);
    begin(bench);
    uint8_t digest[HASH_SIZE];
    memcpy(digest, parcel.digest, HASH_SIZE);
    memcpy(parcel.digest, other.digest, HASH_SIZE);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1, &receipt), E_MISMATCH);
    assert_false(receipt);
    memcpy(parcel.digest, digest, HASH_SIZE);
    assert_error(say(bench, &unknown, 0, EVENT_ACCEPTED, RECIPIENT, 1, &receipt), E_UNKNOWN_REQUEST);
    assert_false(receipt);
    AUTO_BUF stamped = {0}, said = {0};
    struct response response = {0};
    struct job job = job_of(SISTER);
    make_statement(&parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1, &stamped);
    said_encode(&(struct said){.statement = buf_bytes(&stamped)}, &said);
    assert_ok(transition_state(&bench->book, &job, &(struct state){.said = list_of(&said, 1)}, &response));
    assert_error(response.outcomes[0].error, E_NOT_ALLOWED);
    response_free(&response);
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 1);
}

/* ---- deadlines ---- */

static void statements_of_a_batch_come_before_its_deadlines(void **state) {
    struct bench *bench = *state;
    bool more;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    store_parcel(bench, &parcel, 1);
    bench->book.now.ms = leg_of(bench, &parcel, 0).expires.ms + 1;
    begin(bench);
    assert_ok(say(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1, NULL));
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_DECLINED);
    assert_int_equal(leg_of(bench, &parcel, 1).state, STATE_EXPIRED);
}

static void one_millisecond_after_the_deadline_is_too_late(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_int_equal(leg_of(bench, &parcel, 0).expires.ms, bench->book.now.ms + KEEP_MIN_S * 1000);
    bench->book.now = leg_of(bench, &parcel, 0).expires;
    run_expiry(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    bench->book.now.ms++;
    bench->book.clock.halted = true;
    run_expiry(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    bench->book.clock.halted = false;
    run_expiry(bench);
    begin(bench);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1, &receipt), E_WRONG_STATE);
    assert_true(receipt);
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_EXPIRED);
}

static void an_expiry_names_the_furthest_rung(void **state) {
    struct bench *bench = *state;
    for (size_t i = 0; i < LENGTH(routes); i++) {
        enum leg_state end, furthest;
        if (!route_end(routes[i], LEG_REQUEST, &end, &furthest) || leg_state_row(end)->terminal) continue;
        struct response response = {0};
        struct evidence last;
        AUTO_BUF bytes = {0};
        AUTO_PARCEL parcel = parcel_new(bench, 1 + (unsigned)i, 1);
        begin(bench);
        submit_leg(bench, &parcel, 0, true, &response);
        response_free(&response);
        walk(bench, &parcel, routes[i]);
        commit_batch(bench);
        bench->book.now.ms = leg_of(bench, &parcel, 0).expires.ms + 1;
        publish_prekey(bench, RECIPIENT, (uint32_t)(bench->book.now.ms / DAY_MS));
        run_expiry(bench);
        check_chain(bench, &parcel, 0, &bytes, &last);
        assert_int_equal(last.statement.event, EVENT_EXPIRED);
        assert_int_equal(last.entry.from, end);
        assert_true(last.statement.has_reason);
        assert_int_equal(last.statement.reason, furthest);
    }
}

static void from_the_acknowledgement_on_keep_counts_anew(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    uint64_t first = leg_of(bench, &parcel, 0).expires.ms;
    bench->book.now.ms += 1000;
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    assert_ok(say_alone(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT, 2));
    assert_int_equal(leg_of(bench, &parcel, 0).expires.ms, first);
    bench->book.now.ms += 1000;
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACKNOWLEDGED, RECIPIENT, 3));
    assert_int_equal(leg_of(bench, &parcel, 0).expires.ms, first + 2000);
    assert_int_equal(quota(bench, "legs real de"), 0);
    bench->book.now.ms += 1000;
    assert_ok(say_alone(bench, &parcel, 0, EVENT_ACKNOWLEDGED, SISTER, 4));
    assert_int_equal(leg_of(bench, &parcel, 0).expires.ms, first + 2000);
}

/* ---- ciphertext ---- */

static void ciphertext_is_there_until_the_last_leg_has_ended_and_then_gone(void **state) {
    struct bench *bench = *state;
    for (size_t i = 0; i < LENGTH(routes); i++) {
        enum leg_state end, furthest;
        if (!route_end(routes[i], LEG_REQUEST, &end, &furthest) || end == STATE_FORWARDED) continue;
        bool ended = leg_state_row(end)->terminal;
        struct response response = {0};
        struct store_request row;
        AUTO_PARCEL parcel = parcel_new(bench, 1 + (unsigned)i, 1);
        uint64_t counted = quota(bench, "bytes real de");
        begin(bench);
        submit_leg(bench, &parcel, 0, true, &response);
        response_free(&response);
        walk(bench, &parcel, routes[i]);
        commit_batch(bench);
        assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcel.digest, &row));
        for (unsigned part = PART_OFFER; part <= PART_BODY; part++) {
            AUTO_BUF data = {0};
            assert_error(bench->book.store->ops->chunk_get(bench->book.store, row.id, part, 0, &data),
                         ended ? E_UNKNOWN_REQUEST : E_OK);
        }
        bool released = end == STATE_ACCEPTED || end == STATE_HANDED_OVER || end == STATE_ACKNOWLEDGED;
        assert_error(fetch_part(bench, &parcel, 0, PART_BODY, RECIPIENT), released ? E_OK : E_NOT_ACCEPTED);
        assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), ended ? E_ERASED : E_OK);
        assert_int_equal(quota(bench, "bytes real de"), counted + (ended ? 0 : row.bytes));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(exactly_the_steps_move_a_leg_and_all_else_is_answered_as_documented),
        TEST(the_routes_reach_every_state_that_a_kind_of_leg_can_reach),
        TEST(nobody_moves_a_leg_for_somebody_else),
        TEST(a_statement_for_another_header_or_of_another_device_is_refused),
        TEST(statements_of_a_batch_come_before_its_deadlines),
        TEST(one_millisecond_after_the_deadline_is_too_late),
        TEST(an_expiry_names_the_furthest_rung),
        TEST(from_the_acknowledgement_on_keep_counts_anew),
        TEST(ciphertext_is_there_until_the_last_leg_has_ended_and_then_gone),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
