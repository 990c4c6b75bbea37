/* test_leg.c - the table of steps is the drawing of the life of a leg, no step more and none less. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "leg.h"

enum { BODY = LEG_REQUEST, SHORT = LEG_OFFER_ONLY, ASK = BODY | SHORT, REPLY = LEG_REPLY, ANY = ASK | REPLY };

/* The life of a leg as the design tells it, written down a second time. */
static const struct leg_step drawing[] = {
    {STATE_NONE, EVENT_STORED, STATE_STORED, ANY},
    {STATE_STORED, EVENT_NOTIFIED, STATE_NOTIFIED, ASK},
    {STATE_STORED, EVENT_ACCEPTED, STATE_ACCEPTED, ASK},
    {STATE_STORED, EVENT_DECLINED, STATE_DECLINED, ASK},
    {STATE_STORED, EVENT_WITHDRAWN, STATE_WITHDRAWN, ANY},
    {STATE_STORED, EVENT_EXPIRED, STATE_EXPIRED, ANY},
    {STATE_STORED, EVENT_HANDED_OVER, STATE_HANDED_OVER, REPLY},
    {STATE_NOTIFIED, EVENT_OPENED, STATE_OPENED, ASK},
    {STATE_NOTIFIED, EVENT_FORWARDED, STATE_FORWARDED, ASK},
    {STATE_NOTIFIED, EVENT_ACCEPTED, STATE_ACCEPTED, ASK},
    {STATE_NOTIFIED, EVENT_DECLINED, STATE_DECLINED, ASK},
    {STATE_NOTIFIED, EVENT_WITHDRAWN, STATE_WITHDRAWN, ASK},
    {STATE_NOTIFIED, EVENT_EXPIRED, STATE_EXPIRED, ASK},
    {STATE_OPENED, EVENT_FORWARDED, STATE_FORWARDED, ASK},
    {STATE_OPENED, EVENT_ACCEPTED, STATE_ACCEPTED, ASK},
    {STATE_OPENED, EVENT_DECLINED, STATE_DECLINED, ASK},
    {STATE_OPENED, EVENT_WITHDRAWN, STATE_WITHDRAWN, ASK},
    {STATE_OPENED, EVENT_EXPIRED, STATE_EXPIRED, ASK},
    {STATE_FORWARDED, EVENT_NOTIFIED, STATE_NOTIFIED, ASK},
    {STATE_FORWARDED, EVENT_WITHDRAWN, STATE_WITHDRAWN, ASK},
    {STATE_FORWARDED, EVENT_EXPIRED, STATE_EXPIRED, ASK},
    {STATE_ACCEPTED, EVENT_HANDED_OVER, STATE_HANDED_OVER, BODY},
    {STATE_ACCEPTED, EVENT_ACKNOWLEDGED, STATE_ACKNOWLEDGED, SHORT},
    {STATE_ACCEPTED, EVENT_CLOSED, STATE_CLOSED, ASK},
    {STATE_ACCEPTED, EVENT_EXPIRED, STATE_EXPIRED, ASK},
    {STATE_HANDED_OVER, EVENT_ACKNOWLEDGED, STATE_ACKNOWLEDGED, ANY},
    {STATE_HANDED_OVER, EVENT_CLOSED, STATE_CLOSED, ASK},
    {STATE_HANDED_OVER, EVENT_EXPIRED, STATE_EXPIRED, ANY},
    {STATE_ACKNOWLEDGED, EVENT_CLOSED, STATE_CLOSED, ASK},
    {STATE_ACKNOWLEDGED, EVENT_EXPIRED, STATE_EXPIRED, ANY},
    /* beside the rungs on which something is still to be opened */
    {STATE_STORED, EVENT_REKEY_NEEDED, STATE_STORED, ANY},
    {STATE_NOTIFIED, EVENT_REKEY_NEEDED, STATE_NOTIFIED, ASK},
    {STATE_OPENED, EVENT_REKEY_NEEDED, STATE_OPENED, ASK},
    {STATE_FORWARDED, EVENT_REKEY_NEEDED, STATE_FORWARDED, ASK},
    {STATE_ACCEPTED, EVENT_REKEY_NEEDED, STATE_ACCEPTED, ASK},
    {STATE_STORED, EVENT_RESEALED, STATE_STORED, ANY},
    {STATE_NOTIFIED, EVENT_RESEALED, STATE_NOTIFIED, ASK},
    {STATE_OPENED, EVENT_RESEALED, STATE_OPENED, ASK},
    {STATE_FORWARDED, EVENT_RESEALED, STATE_FORWARDED, ASK},
    {STATE_ACCEPTED, EVENT_RESEALED, STATE_ACCEPTED, ASK},
    /* from the acceptance on, while the exchange is open */
    {STATE_ACCEPTED, EVENT_CONSENTED, STATE_ACCEPTED, ASK},
    {STATE_HANDED_OVER, EVENT_CONSENTED, STATE_HANDED_OVER, ASK},
    {STATE_ACKNOWLEDGED, EVENT_CONSENTED, STATE_ACKNOWLEDGED, ASK},
};

static const enum leg_kind kinds[] = {LEG_REQUEST, LEG_OFFER_ONLY, LEG_REPLY};

static enum leg_state drawn(enum leg_state from, enum leg_event event, enum leg_kind kind) {
    for (size_t i = 0; i < LENGTH(drawing); i++)
        if (drawing[i].from == from && drawing[i].event == event && drawing[i].kinds & kind) return drawing[i].to;
    return STATE_NONE;
}

static void every_step_is_in_the_drawing_and_every_other_is_refused(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(kinds); k++)
        for (uint64_t from = 0; leg_state_row(from); from++)
            for (uint64_t event = 1; leg_event_row(event); event++) {
                enum leg_state want = drawn((enum leg_state)from, (enum leg_event)event, kinds[k]), to = STATE_NONE;
                enum error error = leg_step((enum leg_state)from, (enum leg_event)event, kinds[k], &to);
                if (to != want || error != (want == STATE_NONE ? E_WRONG_STATE : E_OK))
                    fail_msg("%s, %s, kind %u", leg_state_row(from)->name, leg_event_row(event)->name, kinds[k]);
            }
}

static void the_table_has_as_many_rows_as_the_drawing(void **state) {
    (void)state;
    unsigned n = 0;
    while (leg_step_nth(n)) n++;
    assert_int_equal(n, LENGTH(drawing));
}

static void a_terminal_state_has_no_way_out_and_every_other_has_one(void **state) {
    (void)state;
    for (uint64_t s = 0; leg_state_row(s); s++) {
        bool out = false;
        const struct leg_step *step;
        for (unsigned n = 0; (step = leg_step_nth(n)); n++) out |= step->from == s;
        if (out == leg_state_row(s)->terminal) fail_msg("%s", leg_state_row(s)->name);
    }
}

static bool can_become(enum leg_state from, enum leg_state to, enum leg_kind kind) {
    const struct leg_step *step;
    for (unsigned n = 0; (step = leg_step_nth(n)); n++)
        if (step->from == from && step->to == to && step->kinds & kind) return true;
    return false;
}

/* Which states a leg of this kind can ever be in, as bits. */
static unsigned reachable(enum leg_kind kind) {
    unsigned seen = 1u << STATE_NONE, before = 0;
    while (seen != before) {
        before = seen;
        for (unsigned from = 0; from <= STATE_CLOSED; from++)
            for (unsigned to = 0; to <= STATE_CLOSED; to++)
                if (seen >> from & 1 && can_become((enum leg_state)from, (enum leg_state)to, kind)) seen |= 1u << to;
    }
    return seen;
}

static void every_state_can_be_reached_by_a_leg_with_a_body(void **state) {
    (void)state;
    assert_int_equal(reachable(LEG_REQUEST), (1u << (STATE_CLOSED + 1)) - 1);
}

static void an_offer_without_body_is_never_handed_over(void **state) {
    (void)state;
    assert_false(reachable(LEG_OFFER_ONLY) >> STATE_HANDED_OVER & 1);
    assert_true(reachable(LEG_OFFER_ONLY) >> STATE_ACKNOWLEDGED & 1);
}

static void a_reply_needs_no_decision(void **state) {
    (void)state;
    unsigned states = 1u << STATE_NONE | 1u << STATE_STORED | 1u << STATE_HANDED_OVER | 1u << STATE_ACKNOWLEDGED |
                      1u << STATE_EXPIRED | 1u << STATE_WITHDRAWN;
    assert_int_equal(reachable(LEG_REPLY), states);
}

static void from_every_open_state_a_leg_can_end(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(kinds); k++)
        for (unsigned s = STATE_STORED; s <= STATE_CLOSED; s++)
            if (reachable(kinds[k]) >> s & 1 && !leg_state_row(s)->terminal)
                assert_true(can_become((enum leg_state)s, STATE_EXPIRED, kinds[k]));
}

static void a_body_is_released_only_after_acceptance_or_in_a_reply(void **state) {
    (void)state;
    for (unsigned s = 0; s <= STATE_CLOSED; s++) {
        bool after = s == STATE_ACCEPTED || s == STATE_HANDED_OVER || s == STATE_ACKNOWLEDGED;
        assert_int_equal(leg_releases_body((enum leg_state)s, LEG_REQUEST), after);
        assert_int_equal(leg_releases_body((enum leg_state)s, LEG_REPLY), after || s == STATE_STORED);
    }
}

static void only_the_recipient_decides(void **state) {
    (void)state;
    assert_int_equal(leg_event_row(EVENT_ACCEPTED)->actor, ACTOR_RECIPIENT);
    assert_int_equal(leg_event_row(EVENT_DECLINED)->actor, ACTOR_RECIPIENT);
    assert_true(leg_event_row(EVENT_ACCEPTED)->decider);
    assert_true(leg_event_row(EVENT_DECLINED)->decider);
    assert_true(leg_event_row(EVENT_CLOSED)->decider);
    assert_true(leg_event_row(EVENT_FORWARDED)->decider);
    assert_false(leg_event_row(EVENT_NOTIFIED)->decider);
}

static void the_relay_speaks_only_its_own_four_words(void **state) {
    (void)state;
    for (uint64_t e = 1; leg_event_row(e); e++) {
        bool own = e == EVENT_STORED || e == EVENT_REFUSED || e == EVENT_EXPIRED || e == EVENT_REKEY_NEEDED;
        assert_int_equal(leg_event_row(e)->actor == ACTOR_RELAY, own);
    }
}

static void rows_stand_at_their_numbers_and_names_are_read_back(void **state) {
    (void)state;
    for (uint64_t s = 0; leg_state_row(s); s++) {
        enum leg_state parsed;
        assert_int_equal(leg_state_row(s)->state, s);
        assert_true(leg_state_parse(bytes_text(leg_state_row(s)->name), &parsed));
        assert_int_equal(parsed, s);
    }
    for (uint64_t e = 1; leg_event_row(e); e++) assert_int_equal(leg_event_row(e)->event, e);
    enum leg_state parsed;
    assert_false(leg_state_parse(bytes_text("Stored"), &parsed));
    assert_null(leg_state_row(UINT64_MAX));
    assert_null(leg_event_row(0));
    assert_null(leg_event_row(UINT64_MAX));
}

static void events_have_their_etsi_names(void **state) {
    (void)state;
    assert_string_equal(leg_event_row(EVENT_STORED)->name, "SubmissionAcceptance");
    assert_string_equal(leg_event_row(EVENT_REFUSED)->name, "SubmissionRejection");
    assert_string_equal(leg_event_row(EVENT_NOTIFIED)->name, "NotificationForAcceptance");
    assert_string_equal(leg_event_row(EVENT_OPENED)->name, "NotificationAccessTracking");
    assert_string_equal(leg_event_row(EVENT_ACCEPTED)->name, "ConsignmentAcceptance");
    assert_string_equal(leg_event_row(EVENT_DECLINED)->name, "ConsignmentRejection");
    assert_string_equal(leg_event_row(EVENT_HANDED_OVER)->name, "ContentHandover");
    assert_string_equal(leg_event_row(EVENT_ACKNOWLEDGED)->name, "ContentAccessTracking");
    assert_string_equal(leg_event_row(EVENT_EXPIRED)->name, "AcceptanceRejectionExpiry");
    assert_string_equal(leg_event_row(EVENT_REKEY_NEEDED)->name, "ContentConsignmentFailure");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_in_the_drawing_and_every_other_is_refused),
        cmocka_unit_test(the_table_has_as_many_rows_as_the_drawing),
        cmocka_unit_test(a_terminal_state_has_no_way_out_and_every_other_has_one),
        cmocka_unit_test(every_state_can_be_reached_by_a_leg_with_a_body),
        cmocka_unit_test(an_offer_without_body_is_never_handed_over),
        cmocka_unit_test(a_reply_needs_no_decision),
        cmocka_unit_test(from_every_open_state_a_leg_can_end),
        cmocka_unit_test(a_body_is_released_only_after_acceptance_or_in_a_reply),
        cmocka_unit_test(only_the_recipient_decides),
        cmocka_unit_test(the_relay_speaks_only_its_own_four_words),
        cmocka_unit_test(rows_stand_at_their_numbers_and_names_are_read_back),
        cmocka_unit_test(events_have_their_etsi_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
