/* test_ledger_races.c - who speaks, when, and how often. Every statement in every state of every kind of leg by
 * everybody, twice and once more; decisions that race; and the lives of offers without a body, of replies, and of what
 * is passed on. */
#include "ledger_states.h"
#include "ledger_words.h"

enum {
    SECOND = 300,            /* another decider of fj/national */
    SECOND_SENDER,           /* another decider of de/technical */
    OTHER_POST = 310,        /* fj/other */
    OTHER_DEVICE,            /* its decider */
    THIRD_POST,              /* fj/third */
    THIRD_DEVICE,            /* its decider */
    FOREIGN_AUTHORITY = 320, /* ke */
    FOREIGN_POST,
    FOREIGN_DEVICE,
};

static const char national[] = "fj/national", technical[] = "de/technical", other_post[] = "fj/other",
                  third_post[] = "fj/third", foreign_post[] = "ke/national";

static void join(struct bench *bench, const char *post, unsigned authority, unsigned key, unsigned number) {
    world_device(&bench->world, post, authority, key, number, ROLE_DECIDER);
    catch_up(bench);
    publish_prekey(bench, number, (uint32_t)(bench->book.now.ms / DAY_MS));
}

static int set_up(void **state) {
    setup(state);
    struct bench *bench = *state;
    join(bench, national, OTHER_AUTHORITY, OTHER_POST_KEY, SECOND);
    join(bench, technical, AUTHORITY, POST_KEY, SECOND_SENDER);
    world_post(&bench->world, other_post, OTHER_AUTHORITY, OTHER_POST);
    join(bench, other_post, OTHER_AUTHORITY, OTHER_POST, OTHER_DEVICE);
    world_post(&bench->world, third_post, OTHER_AUTHORITY, THIRD_POST);
    join(bench, third_post, OTHER_AUTHORITY, THIRD_POST, THIRD_DEVICE);
    world_party(&bench->world, "ke", FOREIGN_AUTHORITY);
    world_post(&bench->world, foreign_post, FOREIGN_AUTHORITY, FOREIGN_POST);
    join(bench, foreign_post, FOREIGN_AUTHORITY, FOREIGN_POST, FOREIGN_DEVICE);
    return 0;
}

/* ---- everybody says everything everywhere ---- */

enum side { SIDE_NONE, SIDE_OF_SENDER, SIDE_OF_RECIPIENT };

static const struct speaker {
    unsigned number;
    const char *post;
    enum side side;
    bool decider, bell;
} speakers[] = {
    {RECIPIENT, national, SIDE_OF_RECIPIENT, true, false},  {SISTER, national, SIDE_OF_RECIPIENT, false, false},
    {SENDER, technical, SIDE_OF_SENDER, true, false},       {OTHER_SENDER, technical, SIDE_OF_SENDER, false, false},
    {FOREIGN_DEVICE, foreign_post, SIDE_NONE, true, false}, {SECOND, national, SIDE_OF_RECIPIENT, true, false},
    {OTHER_DEVICE, other_post, SIDE_NONE, true, false},     {SECOND_SENDER, technical, SIDE_OF_SENDER, true, false},
    {DEVICE + 2, technical, SIDE_OF_SENDER, false, true},
};

static bool may_say(const struct speaker *speaker, enum leg_event event) {
    const struct leg_event_row *row = leg_event_row(event);
    if (row->actor == ACTOR_RELAY || speaker->side == SIDE_NONE || speaker->bell) return false;
    if (row->decider && !speaker->decider) return false;
    if (row->actor == ACTOR_EITHER) return true;
    return (row->actor == ACTOR_RECIPIENT) == (speaker->side == SIDE_OF_RECIPIENT);
}

/* What anybody could see of a leg and its feeds. */
struct sight {
    struct store_leg leg;
    uint64_t feed[4];
    size_t receipts;
};
static const char *const watched[] = {national, technical, other_post, foreign_post};

static struct sight look(struct bench *bench, const struct cargo *parcel) {
    struct sight sight = {.leg = leg_of(bench, parcel, 0), .receipts = bench->book.scribe.count};
    for (size_t i = 0; i < LENGTH(watched); i++)
        assert_ok(bench->book.store->ops->feed_newest(bench->book.store, watched[i], &sight.feed[i]));
    return sight;
}

/* What must have followed from an entry, from a device receipt, and from nothing. */
static void check_followed(const struct sight *before, const struct sight *after, const struct verdict *verdict,
                           const struct speaker *speaker) {
    bool note = verdict->receipt && !verdict->moves;
    const struct store_leg *leg = &after->leg, *was = &before->leg;
    assert_int_equal(leg->state, verdict->to);
    bool higher = verdict->moves && !leg_state_row(verdict->to)->terminal && verdict->to > was->furthest;
    assert_int_equal(leg->furthest, higher ? verdict->to : was->furthest);
    assert_int_equal(leg->ordinal, was->ordinal + verdict->moves);
    assert_int_equal(memcmp(leg->head, was->head, HASH_SIZE) != 0, verdict->moves);
    assert_int_equal(leg->generation, was->generation);
    assert_string_equal(leg->to, was->to);
    assert_int_equal(leg->notes[SIDE_SENDER], was->notes[SIDE_SENDER] + (note && speaker->side == SIDE_OF_SENDER));
    assert_int_equal(leg->notes[SIDE_RECIPIENT],
                     was->notes[SIDE_RECIPIENT] + (note && speaker->side == SIDE_OF_RECIPIENT));
    assert_int_equal(after->receipts, before->receipts + verdict->receipt);
    for (size_t i = 0; i < LENGTH(watched); i++) {
        bool party = strcmp(watched[i], was->from) == 0 || strcmp(watched[i], was->to) == 0;
        bool own = strcmp(watched[i], speaker->post) == 0;
        bool hears = verdict->moves ? party : note && own;
        assert_int_equal(after->feed[i], before->feed[i] + hears);
    }
}

static enum error utter(struct bench *bench, const struct cargo *parcel, const struct speaker *speaker,
                        enum leg_event event, uint8_t nonce, bool *ret_receipt) {
    struct words words = {
        .event = event, .post = speaker->post, .number = speaker->number, .nonce = nonce, .no_set = true};
    return speak_in_batch(bench, parcel, &words, ret_receipt);
}

static bool consented[SIDE_OF_RECIPIENT + 1]; /* to the leg that is tried */

/* Once a side is an entry, what the side says again is kept. */
static struct verdict verdict_on_consent(const struct store_leg *leg, enum side side) {
    struct verdict verdict = {.to = leg->state, .receipt = true};
    if (consented[side]) return verdict;
    verdict.error = leg_step(leg->state, EVENT_CONSENTED, leg->kind, &verdict.to);
    verdict.receipt = verdict.moves = verdict.error == E_OK;
    consented[side] = verdict.moves;
    return verdict;
}

static struct verdict verdict_on(const struct store_leg *leg, const struct speaker *speaker, enum leg_event event) {
    if (!may_say(speaker, event)) return (struct verdict){.error = E_NOT_ALLOWED, .to = leg->state};
    if (event == EVENT_CONSENTED) return verdict_on_consent(leg, speaker->side);
    return documented(leg->state, leg->furthest, leg->kind, event);
}

/* Says it for the first time, the same bytes once more, and the same with another nonce. */
static void try_speaker(struct bench *bench, const struct cargo *parcel, const struct speaker *speaker,
                        enum leg_event event, uint8_t nonce, bool in_two_batches) {
    bool receipt;
    struct sight before = look(bench, parcel), after;
    struct verdict verdict = verdict_on(&before.leg, speaker, event);
    assert_error(utter(bench, parcel, speaker, event, nonce, &receipt), verdict.error);
    assert_int_equal(receipt, verdict.receipt);
    after = look(bench, parcel);
    check_followed(&before, &after, &verdict, speaker);
    if (in_two_batches) {
        commit_batch(bench);
        begin(bench);
        after = look(bench, parcel);
    }
    assert_error(utter(bench, parcel, speaker, event, nonce, &receipt), verdict.error);
    assert_int_equal(receipt, verdict.receipt); /* the same one: nothing was added */
    before = after;
    after = look(bench, parcel);
    assert_memory_equal(&after, &before, sizeof after);
    verdict = verdict_on(&after.leg, speaker, event);
    assert_error(utter(bench, parcel, speaker, event, (uint8_t)(nonce + 1), &receipt), verdict.error);
    assert_int_equal(receipt, verdict.receipt);
    after = look(bench, parcel);
    check_followed(&before, &after, &verdict, speaker);
}

static bool is_settled(const struct store_leg *leg) {
    return leg_state_row(leg->state)->terminal || leg->state == STATE_ACKNOWLEDGED ||
           (leg->kind == LEG_REPLY && leg->state == STATE_HANDED_OVER);
}

/* Everybody says `event` to one leg; who is first depends on `turn`. */
static void try_everybody(struct bench *bench, const struct cargo *parcel, const enum leg_event *route,
                          enum leg_event event, unsigned turn) {
    struct response response = {0};
    struct evidence last;
    AUTO_BUF bytes = {0};
    memset(consented, 0, sizeof consented);
    begin(bench);
    submit_leg(bench, parcel, 0, true, &response);
    response_free(&response);
    walk(bench, parcel, route);
    for (size_t i = 0; i < LENGTH(speakers); i++) {
        const struct speaker *speaker = &speakers[(turn + i) % LENGTH(speakers)];
        try_speaker(bench, parcel, speaker, event, (uint8_t)(50 + 2 * i), turn % 4 == 0);
    }
    commit_batch(bench);
    assert_int_equal(check_chain(bench, parcel, 0, &bytes, &last), leg_of(bench, parcel, 0).ordinal);
}

static void whoever_speaks_however_often_the_answer_the_state_and_the_feeds_are_as_documented(void **state) {
    struct bench *bench = *state;
    unsigned id = 1, unsettled = 1;
    AUTO_PARCEL parent = parcel_new(bench, id, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    for (size_t k = 0; k < LENGTH(kinds); k++) {
        for (size_t i = 0; i < LENGTH(routes); i++) {
            enum leg_state end, furthest;
            if (!route_end(routes[i], kinds[k], &end, &furthest)) continue;
            for (unsigned event = EVENT_STORED; leg_event_row(event); event++) {
                AUTO_PARCEL parcel = parcel_make(
                    bench,
                    (struct plan){.id = ++id, .kind = kinds[k], .parent = kinds[k] == LEG_REPLY ? &parent : NULL});
                try_everybody(bench, &parcel, routes[i], event, id);
                struct store_leg leg = leg_of(bench, &parcel, 0);
                unsettled += !is_settled(&leg);
            }
        }
    }
    assert_true(id > 650);
    assert_int_equal(quota(bench, "legs real de"), unsettled); /* nothing was counted twice, or given back twice */
}

/* ---- two at once ---- */

struct call {
    enum leg_event event;
    unsigned number;
    const char *post, *forward; /* forward: with the wrap set */
};

static struct words words_of(const struct call *call, uint8_t nonce) {
    return (struct words){.event = call->event,
                          .post = call->post,
                          .for_post = call->forward,
                          .number = call->number,
                          .nonce = nonce,
                          .generation = call->forward ? 2 : 0,
                          .forward = call->forward};
}

/* The pairs that exclude each other from NOTIFIED on. Either may come first; the first one stands. */
static const struct race {
    struct call a, b;
} races[] = {
    {{EVENT_ACCEPTED, RECIPIENT, national, NULL}, {EVENT_DECLINED, SECOND, national, NULL}},
    {{EVENT_ACCEPTED, RECIPIENT, national, NULL}, {EVENT_WITHDRAWN, SENDER, technical, NULL}},
    {{EVENT_DECLINED, RECIPIENT, national, NULL}, {EVENT_WITHDRAWN, SECOND_SENDER, technical, NULL}},
    {{EVENT_ACCEPTED, RECIPIENT, national, NULL}, {EVENT_FORWARDED, SECOND, national, other_post}},
    {{EVENT_DECLINED, RECIPIENT, national, NULL}, {EVENT_FORWARDED, SECOND, national, other_post}},
    {{EVENT_FORWARDED, RECIPIENT, national, third_post}, {EVENT_FORWARDED, SECOND, national, other_post}},
    {{EVENT_WITHDRAWN, SENDER, technical, NULL}, {EVENT_FORWARDED, SECOND, national, other_post}},
    {{EVENT_WITHDRAWN, SENDER, technical, NULL}, {EVENT_CLOSED, SECOND, national, NULL}},
};

static bool is_withdrawal_of_forwarded(const struct call *first, const struct call *second) {
    return first->event == EVENT_FORWARDED && second->event == EVENT_WITHDRAWN;
}

static enum leg_state state_after(enum leg_event event) {
    enum leg_state state = STATE_NOTIFIED;
    (void)!leg_step(STATE_NOTIFIED, event, LEG_REQUEST, &state);
    return state;
}

static void run_race(struct bench *bench, unsigned id, const struct call *first, const struct call *second,
                     bool one_batch) {
    bool receipt;
    struct evidence last;
    AUTO_BUF bytes = {0};
    AUTO_PARCEL parcel = parcel_new(bench, id, 1);
    struct words winner = words_of(first, 11), loser = words_of(second, 12);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, SISTER, 10));
    uint64_t entries = leg_of(bench, &parcel, 0).ordinal;

    begin(bench);
    bool stands = first->event != EVENT_CLOSED; /* nothing to close yet */
    assert_error(speak_in_batch(bench, &parcel, &winner, &receipt), stands ? E_OK : E_WRONG_STATE);
    assert_true(receipt);
    if (!one_batch) {
        commit_batch(bench);
        begin(bench);
    }
    struct sight before = look(bench, &parcel);
    bool also = !stands || is_withdrawal_of_forwarded(first, second);
    assert_error(speak_in_batch(bench, &parcel, &loser, &receipt), also ? E_OK : E_WRONG_STATE);
    assert_true(receipt);
    struct sight after = look(bench, &parcel);
    commit_batch(bench);

    struct store_leg leg = leg_of(bench, &parcel, 0);
    assert_int_equal(leg.state, state_after(also ? second->event : first->event));
    assert_int_equal(leg.ordinal, entries + (stands ? 1 : 0) + (also ? 1 : 0));
    assert_int_equal(check_chain(bench, &parcel, 0, &bytes, &last), leg.ordinal);
    if (leg.state == STATE_FORWARDED) assert_string_equal(leg.to, first->forward);
    if (!also) { /* the loser's own post alone is told, by a receipt without entry */
        for (size_t i = 0; i < LENGTH(watched); i++)
            assert_int_equal(after.feed[i], before.feed[i] + (strcmp(watched[i], second->post) == 0));
        assert_int_equal(leg.generation, first->forward ? 2 : 1);
    }
    /* Whoever asks again is told the same again: the winner that it stands, the loser that it does not. */
    assert_error(speak(bench, &parcel, &winner, &receipt), stands ? E_OK : E_WRONG_STATE);
    assert_true(receipt);
    assert_error(speak(bench, &parcel, &loser, &receipt), also ? E_OK : E_WRONG_STATE);
    assert_true(receipt);
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, leg.ordinal);
}

static void of_two_that_exclude_each_other_the_first_stands_in_one_batch_and_over_two(void **state) {
    struct bench *bench = *state;
    unsigned id = 0;
    for (size_t i = 0; i < LENGTH(races); i++)
        for (unsigned way = 0; way < 4; way++)
            run_race(bench, ++id, way & 1 ? &races[i].b : &races[i].a, way & 1 ? &races[i].a : &races[i].b, way & 2);
}

static void a_deadline_in_the_same_batch_comes_after_all_that_arrived(void **state) {
    struct bench *bench = *state;
    static const struct call calls[] = {
        {EVENT_ACCEPTED, RECIPIENT, national, NULL},
        {EVENT_DECLINED, SECOND, national, NULL},
        {EVENT_WITHDRAWN, SENDER, technical, NULL},
        {EVENT_FORWARDED, RECIPIENT, national, other_post},
    };
    for (size_t i = 0; i < LENGTH(calls); i++) {
        bool receipt, more;
        AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1 + (unsigned)i, .keep_s = 60, .exercise = true});
        store_parcel(bench, &parcel, 0);
        assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, SISTER, 10));
        bench->book.now.ms = leg_of(bench, &parcel, 0).expires.ms + 1;
        struct words words = words_of(&calls[i], 11);
        begin(bench);
        assert_ok(speak_in_batch(bench, &parcel, &words, &receipt));
        assert_ok(expiry_run(&bench->book, &more));
        commit_batch(bench);
        struct store_leg leg = leg_of(bench, &parcel, 0);
        enum leg_state reached = state_after(calls[i].event);
        bool ended = leg_state_row(reached)->terminal;
        assert_int_equal(leg.state,
                         ended ? reached : STATE_EXPIRED); /* what is open still, ends: but as what it became */
        assert_int_equal(leg.furthest, ended ? STATE_NOTIFIED : reached);
        assert_int_equal(leg.ordinal, ended ? 3 : 4);
    }
}

/* ---- what comes late ---- */

static void what_is_said_after_the_end_is_kept_and_changes_nothing(void **state) {
    struct bench *bench = *state;
    static const enum leg_event events[] = {EVENT_NOTIFIED,     EVENT_OPENED,      EVENT_ACCEPTED, EVENT_HANDED_OVER,
                                            EVENT_ACKNOWLEDGED, EVENT_CANNOT_OPEN, EVENT_DECLINED};
    static const enum leg_event before[] = {EVENT_NOTIFIED, EVENT_OPENED, EVENT_ACCEPTED, EVENT_HANDED_OVER,
                                            EVENT_ACKNOWLEDGED};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    for (size_t i = 0; i < LENGTH(before); i++)
        assert_ok(say_alone(bench, &parcel, 0, before[i], RECIPIENT, (uint8_t)(1 + i)));
    assert_ok(say_alone(bench, &parcel, 0, EVENT_CLOSED, SENDER, 9));
    struct store_leg closed = leg_of(bench, &parcel, 0);
    for (size_t i = 0; i < LENGTH(events); i++) {
        bool receipt;
        begin(bench);
        enum error error = say(bench, &parcel, 0, events[i], events[i] == EVENT_DECLINED ? RECIPIENT : SISTER,
                               (uint8_t)(20 + i), &receipt);
        commit_batch(bench);
        bool not_theirs = events[i] == EVENT_ACCEPTED; /* SISTER is a reader */
        assert_error(error, not_theirs ? E_NOT_ALLOWED : events[i] == EVENT_DECLINED ? E_WRONG_STATE : E_OK);
        assert_int_equal(receipt, !not_theirs);
    }
    struct store_leg after = leg_of(bench, &parcel, 0);
    assert_int_equal(after.notes[SIDE_RECIPIENT], LENGTH(events) - 1);
    after.notes[SIDE_RECIPIENT] = closed.notes[SIDE_RECIPIENT];
    assert_memory_equal(&after, &closed, sizeof after);
    assert_error(fetch_part(bench, &parcel, 0, PART_BODY, SISTER), E_NOT_ACCEPTED);
    assert_error(fetch_offer(bench, &parcel, 0, SISTER), E_ERASED);
}

/* A flood of notes ends where it is documented to end, also after the leg has ended and its content has gone, and one
 * side's never takes the other's room. */
static void notes_have_an_end_that_the_end_of_the_leg_does_not_renew(void **state) {
    struct bench *bench = *state;
    struct words words = {.event = EVENT_OPENED, .post = national, .number = SISTER, .generation = 1};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    unsigned said = 0, refused = 0;
    for (unsigned i = 0; i < 300; i++) {
        bool receipt;
        if (i == 100) assert_ok(say_alone(bench, &parcel, 0, EVENT_WITHDRAWN, SENDER, 1));
        words.said_generation = i + 1; /* another statement each time */
        enum error error = speak(bench, &parcel, &words, &receipt);
        assert_error(error, i < 256 ? E_OK : E_OVER_QUOTA);
        assert_int_equal(receipt, i < 256);
        said += receipt;
        refused += !receipt;
    }
    assert_int_equal(said, 256);
    assert_int_equal(refused, 44);
    bool receipt;
    words = (struct words){.event = EVENT_WITHDRAWN, .post = technical, .number = SECOND_SENDER, .nonce = 7};
    assert_ok(speak(bench, &parcel, &words, &receipt)); /* the other side's room */
    assert_true(receipt);
    assert_int_equal(leg_of(bench, &parcel, 0).notes[SIDE_RECIPIENT], 256);
}

/* Notes of devices that cannot open: kept everywhere; where a wrap set could still help, and nobody can open it, it is
 * said. */
static void who_cannot_open_it_is_heard_on_every_rung_and_answered_where_it_helps(void **state) {
    struct bench *bench = *state;
    static const unsigned devices[] = {RECIPIENT, SISTER, SECOND};
    unsigned id = 1;
    AUTO_PARCEL parent = parcel_new(bench, id, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    for (size_t k = 0; k < LENGTH(kinds); k++) {
        for (size_t i = 0; i < LENGTH(routes); i++) {
            enum leg_state end, furthest, same;
            if (!route_end(routes[i], kinds[k], &end, &furthest)) continue;
            struct response response = {0};
            AUTO_PARCEL parcel = parcel_make(
                bench, (struct plan){.id = ++id, .kind = kinds[k], .parent = kinds[k] == LEG_REPLY ? &parent : NULL});
            begin(bench);
            submit_leg(bench, &parcel, 0, true, &response);
            response_free(&response);
            walk(bench, &parcel, routes[i]);
            uint32_t entries = leg_of(bench, &parcel, 0).ordinal;
            bool helps = leg_step(end, EVENT_REKEY_NEEDED, kinds[k], &same) == E_OK;
            for (size_t n = 0; n < LENGTH(devices); n++) {
                bool receipt;
                struct words words = {.event = EVENT_CANNOT_OPEN,
                                      .post = national,
                                      .number = devices[n],
                                      .nonce = (uint8_t)(40 + n),
                                      .generation = 1};
                assert_false(leg_of(bench, &parcel, 0).needs_rekey);
                assert_ok(speak_in_batch(bench, &parcel, &words, &receipt));
                assert_true(receipt);
            }
            commit_batch(bench);
            struct store_leg leg = leg_of(bench, &parcel, 0);
            assert_int_equal(leg.needs_rekey, helps);
            assert_int_equal(leg.ordinal, entries + helps);
            assert_int_equal(leg.state, end);
            if (!helps) continue;
            struct evidence last;
            AUTO_BUF bytes = {0};
            check_chain(bench, &parcel, 0, &bytes, &last);
            assert_int_equal(last.statement.event, EVENT_REKEY_NEEDED);
            assert_int_equal(last.statement.reason, E_CANNOT_OPEN);
            struct words reseal = {.event = EVENT_RESEALED,
                                   .post = technical,
                                   .for_post = national,
                                   .number = OTHER_SENDER,
                                   .nonce = 60,
                                   .generation = 2};
            assert_ok(speak(bench, &parcel, &reseal, NULL));
            leg = leg_of(bench, &parcel, 0);
            assert_false(leg.needs_rekey);
            assert_int_equal(leg.state, end);
            assert_int_equal(leg.furthest, furthest);
            assert_int_equal(leg.ordinal, entries + 2);
        }
    }
}

/* ---- offers without a body ---- */

static void of_an_offer_only_request_no_body_is_ever_given(void **state) {
    struct bench *bench = *state;
    static const unsigned readers[] = {RECIPIENT, SISTER, SENDER, OTHER_DEVICE};
    unsigned id = 0;
    for (size_t i = 0; i < LENGTH(routes); i++) {
        enum leg_state end, furthest;
        if (!route_end(routes[i], LEG_OFFER_ONLY, &end, &furthest)) continue;
        struct response response = {0};
        AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = ++id, .kind = LEG_OFFER_ONLY});
        begin(bench);
        submit_leg(bench, &parcel, 0, true, &response);
        response_free(&response);
        walk(bench, &parcel, routes[i]);
        commit_batch(bench);
        for (size_t n = 0; n < LENGTH(readers); n++) {
            enum error error = fetch_part(bench, &parcel, 0, PART_BODY, readers[n]);
            bool theirs = post_name_of(readers[n])[0] == 'f' && readers[n] != OTHER_DEVICE;
            bool accepted = leg_releases_body(end, LEG_OFFER_ONLY);
            assert_error(error, !theirs ? E_UNKNOWN_REQUEST : accepted ? E_NO_BODY : E_NOT_ACCEPTED);
        }
        assert_int_equal(leg_of(bench, &parcel, 0).body, BODY_DONE);
        assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), leg_state_row(end)->terminal ? E_ERASED : E_OK);
    }
}

/* ---- replies ---- */

static struct cargo reply_of(struct bench *bench, unsigned id, const struct cargo *parent, unsigned sender,
                             uint64_t keep_s) {
    return parcel_make(
        bench,
        (struct plan){
            .id = id, .kind = LEG_REPLY, .parent = parent, .sender = sender, .keep_s = keep_s, .exercise = true});
}

/* Either side may close, by any decider; whoever does, what was stored is delivered to its end and what is new is
 * refused. */
static void closing_from_either_side_delivers_stored_replies_and_refuses_new_ones(void **state) {
    struct bench *bench = *state;
    static const struct call closers[] = {
        {EVENT_CLOSED, SENDER, technical, NULL},
        {EVENT_CLOSED, SECOND_SENDER, technical, NULL},
        {EVENT_CLOSED, RECIPIENT, national, NULL},
        {EVENT_CLOSED, SECOND, national, NULL},
    };
    static const enum leg_event ways[][ROUTE_MAX] = {
        {EVENT_ACCEPTED},
        {EVENT_ACCEPTED, EVENT_HANDED_OVER},
        {EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED},
    };
    unsigned id = 0;
    for (size_t i = 0; i < LENGTH(closers); i++) {
        for (size_t k = 0; k < LENGTH(ways); k++) {
            struct response response = {0};
            AUTO_PARCEL parent = parcel_make(bench, (struct plan){.id = ++id, .exercise = true});
            store_parcel(bench, &parent, 0);
            begin(bench);
            walk(bench, &parent, ways[k]);
            commit_batch(bench);
            AUTO_PARCEL forth = reply_of(bench, ++id, &parent, SENDER, 3600);
            AUTO_PARCEL back = reply_of(bench, ++id, &parent, RECIPIENT, 3600);
            AUTO_PARCEL halfway = reply_of(bench, ++id, &parent, RECIPIENT, 3600);
            AUTO_PARCEL late = reply_of(bench, ++id, &parent, SENDER, 3600);
            AUTO_PARCEL ended = reply_of(bench, ++id, &parent, SENDER, 3600);
            AUTO_PARCEL taken_back = reply_of(bench, ++id, &parent, SENDER, 3600);
            store_parcel(bench, &forth, 0);
            store_parcel(bench, &back, 0);
            store_parcel(bench, &ended, 0);
            store_parcel(bench, &taken_back, 0);
            begin(bench); /* its text is still on the way */
            submit_leg(bench, &halfway, 0, false, &response);
            commit_batch(bench);
            response_free(&response);
            struct words close = words_of(&closers[i], 30);
            assert_ok(speak(bench, &parent, &close, NULL));
            assert_int_equal(leg_of(bench, &parent, 0).state, STATE_CLOSED);

            assert_error(send_parcel(bench, &late, 0), E_WRONG_STATE);
            assert_error(send_parcel(bench, &halfway, 0), E_WRONG_STATE);
            assert_ok(fetch_part(bench, &forth, 0, PART_BODY, SISTER));
            assert_ok(fetch_part(bench, &back, 0, PART_BODY, OTHER_SENDER));
            assert_ok(say_alone(bench, &forth, 0, EVENT_HANDED_OVER, SISTER, 31));
            assert_ok(say_alone(bench, &forth, 0, EVENT_ACKNOWLEDGED, RECIPIENT, 32));
            assert_ok(say_alone(bench, &back, 0, EVENT_HANDED_OVER, OTHER_SENDER, 33));
            assert_ok(say_alone(bench, &taken_back, 0, EVENT_WITHDRAWN, SENDER, 34));
            assert_int_equal(leg_of(bench, &forth, 0).state, STATE_ACKNOWLEDGED);
            assert_int_equal(leg_of(bench, &back, 0).state, STATE_HANDED_OVER);
            bench->book.now.ms = leg_of(bench, &ended, 0).expires.ms + 1;
            run_expiry(bench);
            assert_int_equal(leg_of(bench, &ended, 0).state, STATE_EXPIRED);
        }
    }
}

static void a_refused_reply_says_why_under_the_relays_signature(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    struct evidence refusal;
    AUTO_PARCEL parent = parcel_new(bench, 1, 1);
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    assert_ok(say_alone(bench, &parent, 0, EVENT_CLOSED, RECIPIENT, 2));
    AUTO_PARCEL late = parcel_make(bench, (struct plan){.id = 2, .kind = LEG_REPLY, .parent = &parent});
    begin(bench);
    submit_leg(bench, &late, 0, true, &response);
    commit_batch(bench);
    assert_int_equal(response.outcome_count, 1);
    assert_error(response.outcomes[0].error, E_WRONG_STATE);
    assert_ok(evidence_open(scribe_receipt(&bench->book.scribe, response.outcomes[0].pending),
                            bench->book.statement_key, &refusal));
    assert_int_equal(refusal.statement.event, EVENT_REFUSED);
    assert_false(refusal.has_entry);
    assert_memory_equal(refusal.statement.leg, late.leg[0], HASH_SIZE);
    assert_int_equal(refusal.statement.reason, E_WRONG_STATE);
    response_free(&response);
}

/* A reply has its own `keep`, and ends alone; its parent ends without it. */
static void a_reply_and_its_parent_end_each_by_their_own_time(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parent = parcel_make(bench, (struct plan){.id = 1, .keep_s = 7200, .exercise = true});
    store_parcel(bench, &parent, 0);
    assert_ok(say_alone(bench, &parent, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    uint64_t stored = bench->book.now.ms;
    AUTO_PARCEL brief = reply_of(bench, 2, &parent, RECIPIENT, 3600);
    AUTO_PARCEL lasting = reply_of(bench, 3, &parent, RECIPIENT, 3 * 3600);
    store_parcel(bench, &brief, 0);
    store_parcel(bench, &lasting, 0);
    static const struct {
        uint64_t hours;
        enum leg_state parent, brief, lasting;
    } rows[] = {{1, STATE_EXPIRED, STATE_EXPIRED, STATE_STORED}, {2, STATE_EXPIRED, STATE_EXPIRED, STATE_STORED}};
    bench->book.now.ms = stored + 3600 * 1000;
    run_expiry(bench);
    assert_int_equal(leg_of(bench, &brief, 0).state, STATE_STORED); /* exactly */
    bench->book.now.ms++;
    run_expiry(bench);
    assert_int_equal(leg_of(bench, &brief, 0).state, rows[0].brief);
    assert_int_equal(leg_of(bench, &parent, 0).state, STATE_ACCEPTED);
    bench->book.now.ms = stored + 7200 * 1000 + 1;
    run_expiry(bench);
    assert_int_equal(leg_of(bench, &parent, 0).state, rows[1].parent);
    assert_int_equal(leg_of(bench, &lasting, 0).state, rows[1].lasting);
    assert_ok(fetch_part(bench, &lasting, 0, PART_BODY, SENDER)); /* it was stored in time */
    assert_ok(say_alone(bench, &lasting, 0, EVENT_HANDED_OVER, SENDER, 5));
    AUTO_PARCEL late = reply_of(bench, 4, &parent, RECIPIENT, 3600);
    assert_error(send_parcel(bench, &late, 0), E_WRONG_STATE);
}

/* ---- passed on ---- */

static enum error pass_on(struct bench *bench, const struct cargo *parcel, const char *from, unsigned number,
                          const char *to, uint64_t generation) {
    struct words words = {.event = EVENT_FORWARDED,
                          .post = from,
                          .for_post = to,
                          .number = number,
                          .nonce = (uint8_t)generation,
                          .generation = generation,
                          .forward = to};
    return speak(bench, parcel, &words, NULL);
}

static enum error tell(struct bench *bench, const struct cargo *parcel, const char *post, unsigned number,
                       enum leg_event event) {
    struct words words = {.event = event, .post = post, .number = number, .nonce = (uint8_t)(100 + event)};
    return speak(bench, parcel, &words, NULL);
}

/* From post to post to post and back to the first: it is with one alone, and whoever had it may say no more. */
static void a_leg_that_goes_from_post_to_post_is_always_with_one_alone(void **state) {
    struct bench *bench = *state;
    static const struct {
        const char *post;
        unsigned number;
    } stops[] = {{national, RECIPIENT}, {other_post, OTHER_DEVICE}, {third_post, THIRD_DEVICE}, {national, SECOND}};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    for (size_t i = 0; i < LENGTH(stops); i++) {
        const char *here = stops[i].post;
        if (i > 0) assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_FORWARDED);
        if (i > 0)
            assert_error(tell(bench, &parcel, here, stops[i].number, EVENT_ACCEPTED), E_WRONG_STATE); /* unread */
        assert_ok(tell(bench, &parcel, here, stops[i].number, EVENT_NOTIFIED));
        assert_string_equal(leg_of(bench, &parcel, 0).to, here);
        for (size_t k = 0; k < LENGTH(stops); k++) {
            if (strcmp(stops[k].post, here) == 0) continue;
            bool had_it = false;
            for (size_t earlier = 0; earlier < i; earlier++)
                had_it = had_it || strcmp(stops[earlier].post, stops[k].post) == 0;
            uint32_t ordinal = leg_of(bench, &parcel, 0).ordinal;
            assert_error(tell(bench, &parcel, stops[k].post, stops[k].number, EVENT_DECLINED),
                         had_it ? E_WRONG_STATE : E_NOT_ALLOWED);
            assert_error(fetch_offer(bench, &parcel, 0, stops[k].number), E_UNKNOWN_REQUEST);
            assert_int_equal(leg_of(bench, &parcel, 0).ordinal, ordinal);
        }
        assert_ok(fetch_offer(bench, &parcel, 0, stops[i].number));
        if (i + 1 == LENGTH(stops)) break;
        assert_ok(pass_on(bench, &parcel, here, stops[i].number, stops[i + 1].post, i + 2));
    }
    assert_int_equal(quota(bench, "pair real de fj/national"), 1);
    assert_int_equal(quota(bench, "pair real de fj/other"), 0);
    assert_int_equal(quota(bench, "pair real de fj/third"), 0);
    assert_ok(tell(bench, &parcel, national, SECOND, EVENT_OPENED));
    struct words accept = {.event = EVENT_ACCEPTED, .post = national, .number = SECOND, .nonce = 9};
    assert_ok(speak(bench, &parcel, &accept, NULL));
    assert_ok(fetch_part(bench, &parcel, 0, PART_BODY, RECIPIENT));
    struct evidence last;
    AUTO_BUF bytes = {0};
    check_chain(bench, &parcel, 0, &bytes, &last);
    assert_int_equal(last.entry.to, STATE_ACCEPTED);
}

/* The decision of the post that passed it on arrives after the new post's: it moves nothing, and neither does the new
 * post's before it has the leg. */
static void a_decision_in_flight_while_it_is_passed_on_counts_for_whoever_has_it(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(tell(bench, &parcel, national, SISTER, EVENT_NOTIFIED));
    assert_error(tell(bench, &parcel, other_post, OTHER_DEVICE, EVENT_ACCEPTED), E_NOT_ALLOWED); /* too early for it */
    bool receipt;
    begin(bench);
    struct words forward = {.event = EVENT_FORWARDED,
                            .post = national,
                            .for_post = other_post,
                            .number = RECIPIENT,
                            .nonce = 2,
                            .generation = 2,
                            .forward = other_post};
    struct words notify = {.event = EVENT_NOTIFIED, .post = other_post, .number = OTHER_DEVICE, .nonce = 3};
    struct words accept = {.event = EVENT_ACCEPTED, .post = other_post, .number = OTHER_DEVICE, .nonce = 4};
    struct words too_late = {.event = EVENT_ACCEPTED, .post = national, .number = SECOND, .nonce = 5};
    assert_ok(speak_in_batch(bench, &parcel, &forward, &receipt)); /* all in one batch */
    assert_ok(speak_in_batch(bench, &parcel, &notify, &receipt));
    assert_error(speak_in_batch(bench, &parcel, &too_late, &receipt), E_WRONG_STATE);
    assert_true(receipt);
    assert_ok(speak_in_batch(bench, &parcel, &accept, &receipt));
    commit_batch(bench);
    struct store_leg leg = leg_of(bench, &parcel, 0);
    assert_int_equal(leg.state, STATE_ACCEPTED);
    assert_int_equal(leg.ordinal, 5);
    assert_int_equal(leg.notes[SIDE_RECIPIENT], 1);
    assert_error(speak(bench, &parcel, &too_late, &receipt), E_WRONG_STATE); /* the same again */
    assert_true(receipt);
    assert_ok(tell(bench, &parcel, other_post, OTHER_DEVICE, EVENT_HANDED_OVER));
    struct words late = {.event = EVENT_ACKNOWLEDGED, .post = national, .number = SISTER, .nonce = 6};
    for (unsigned twice = 0; twice < 2; twice++) {
        assert_error(speak(bench, &parcel, &late, &receipt), E_WRONG_STATE);
        assert_true(receipt);
    }
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_HANDED_OVER);
}

#define RACE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RACE_TEST(whoever_speaks_however_often_the_answer_the_state_and_the_feeds_are_as_documented),
        RACE_TEST(of_two_that_exclude_each_other_the_first_stands_in_one_batch_and_over_two),
        RACE_TEST(a_deadline_in_the_same_batch_comes_after_all_that_arrived),
        RACE_TEST(what_is_said_after_the_end_is_kept_and_changes_nothing),
        RACE_TEST(notes_have_an_end_that_the_end_of_the_leg_does_not_renew),
        RACE_TEST(who_cannot_open_it_is_heard_on_every_rung_and_answered_where_it_helps),
        RACE_TEST(of_an_offer_only_request_no_body_is_ever_given),
        RACE_TEST(closing_from_either_side_delivers_stored_replies_and_refuses_new_ones),
        RACE_TEST(a_refused_reply_says_why_under_the_relays_signature),
        RACE_TEST(a_reply_and_its_parent_end_each_by_their_own_time),
        RACE_TEST(a_leg_that_goes_from_post_to_post_is_always_with_one_alone),
        RACE_TEST(a_decision_in_flight_while_it_is_passed_on_counts_for_whoever_has_it),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
