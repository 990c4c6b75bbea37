/* ledger_states.h - ways to every state of every kind of leg, and what the protocol says of a statement that is made
 * there by somebody who may. Written from the protocol's section on the life of a leg. */
#ifndef LEDGER_STATES_H
#define LEDGER_STATES_H

#include "ledger_fixture.h"

enum { ROUTE_MAX = 6 };

/* Ways to the states; each is walked with every kind of leg that can go it. FORWARDED is reserved: the leg is put
 * there. */
static const enum leg_event routes[][ROUTE_MAX] = {
    {EVENT_NONE},
    {EVENT_NOTIFIED},
    {EVENT_NOTIFIED, EVENT_OPENED},
    {EVENT_NOTIFIED, EVENT_FORWARDED},
    {EVENT_NOTIFIED, EVENT_FORWARDED, EVENT_NOTIFIED},
    {EVENT_ACCEPTED},
    {EVENT_NOTIFIED, EVENT_OPENED, EVENT_ACCEPTED},
    {EVENT_ACCEPTED, EVENT_HANDED_OVER},
    {EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED},
    {EVENT_ACCEPTED, EVENT_ACKNOWLEDGED},
    {EVENT_HANDED_OVER},
    {EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED},
    {EVENT_DECLINED},
    {EVENT_NOTIFIED, EVENT_OPENED, EVENT_DECLINED},
    {EVENT_WITHDRAWN},
    {EVENT_NOTIFIED, EVENT_OPENED, EVENT_WITHDRAWN},
    {EVENT_EXPIRED},
    {EVENT_NOTIFIED, EVENT_EXPIRED},
    {EVENT_ACCEPTED, EVENT_EXPIRED},
    {EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_EXPIRED},
    {EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED, EVENT_EXPIRED},
    {EVENT_ACCEPTED, EVENT_ACKNOWLEDGED, EVENT_EXPIRED},
    {EVENT_HANDED_OVER, EVENT_EXPIRED},
    {EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED, EVENT_EXPIRED},
    {EVENT_ACCEPTED, EVENT_CLOSED},
    {EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_CLOSED},
    {EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED, EVENT_CLOSED},
    {EVENT_ACCEPTED, EVENT_ACKNOWLEDGED, EVENT_CLOSED},
};
static const enum leg_kind kinds[] = {LEG_REQUEST, LEG_OFFER_ONLY, LEG_REPLY};

/* Where a leg of this kind is at the end of the route; false when it cannot go it. */
static bool route_end(const enum leg_event *route, enum leg_kind kind, enum leg_state *ret_state,
                      enum leg_state *ret_furthest) {
    *ret_state = *ret_furthest = STATE_STORED;
    for (; *route != EVENT_NONE; route++) {
        if (leg_step(*ret_state, *route, kind, ret_state) != E_OK) return false;
        if (*ret_state <= STATE_ACKNOWLEDGED && *ret_state > *ret_furthest) *ret_furthest = *ret_state;
    }
    return true;
}

static unsigned signer_of(enum leg_event event) {
    enum leg_actor actor = leg_event_row(event)->actor;
    return actor == ACTOR_SENDER || actor == ACTOR_SEALER ? SENDER : RECIPIENT;
}

static void force_forwarded(struct bench *bench, const struct cargo *parcel) {
    struct store_leg leg = leg_of(bench, parcel, 0);
    leg.state = leg.furthest = STATE_FORWARDED;
    assert_ok(bench->book.store->ops->leg_update(bench->book.store, &leg));
}

UNUSED static void walk(struct bench *bench, const struct cargo *parcel, const enum leg_event *route) {
    for (uint8_t nonce = 1; *route != EVENT_NONE; route++, nonce++) {
        if (*route == EVENT_FORWARDED) {
            force_forwarded(bench, parcel);
        } else if (*route == EVENT_EXPIRED) {
            struct store_leg leg = leg_of(bench, parcel, 0);
            int pending;
            assert_ok(transition_relay(&bench->book, &leg, parcel->digest, EVENT_EXPIRED, NULL, 0, &pending));
        } else {
            assert_ok(say(bench, parcel, 0, *route, signer_of(*route), nonce, NULL));
        }
    }
}

struct verdict {
    enum error error;
    bool moves, receipt;
    enum leg_state to;
};

/* The protocol's words on a statement said by somebody who may. */
UNUSED static struct verdict documented(enum leg_state state, enum leg_state furthest, enum leg_kind kind,
                                 enum leg_event event) {
    struct verdict verdict = {.to = state};
    bool sealing = event == EVENT_FORWARDED || event == EVENT_RESEALED; /* here without a wrap set: see test_rekey.c */
    if (leg_event_row(event)->actor == ACTOR_RELAY || sealing) {
        verdict.error = sealing ? E_MISSING_FIELD : E_NOT_ALLOWED;
        return verdict;
    }
    verdict.receipt = true;
    verdict.moves = leg_step(state, event, kind, &verdict.to) == E_OK;
    if (verdict.moves) return verdict;
    switch (event) {
    case EVENT_NOTIFIED:
    case EVENT_OPENED:
    case EVENT_CANNOT_OPEN: return verdict;
    case EVENT_ACCEPTED: verdict.error = furthest >= STATE_ACCEPTED ? E_OK : E_WRONG_STATE; return verdict;
    case EVENT_DECLINED: verdict.error = state == STATE_DECLINED ? E_OK : E_WRONG_STATE; return verdict;
    case EVENT_WITHDRAWN: verdict.error = state == STATE_WITHDRAWN ? E_OK : E_WRONG_STATE; return verdict;
    case EVENT_CLOSED: verdict.error = state == STATE_CLOSED ? E_OK : E_WRONG_STATE; return verdict;
    case EVENT_CONSENTED: verdict.receipt = false; break; /* the second of a side: see test_consent.c */
    case EVENT_HANDED_OVER:
    case EVENT_ACKNOWLEDGED: {
        enum leg_state target = event == EVENT_HANDED_OVER ? STATE_HANDED_OVER : STATE_ACKNOWLEDGED;
        verdict.error = furthest >= target ? E_OK : E_WRONG_STATE;
        verdict.receipt = furthest >= target || state == STATE_EXPIRED || state == STATE_CLOSED;
        return verdict;
    }
    default: fail_msg("an event that the protocol does not speak of");
    }
    verdict.error = verdict.receipt ? E_OK : E_WRONG_STATE;
    return verdict;
}

#endif
