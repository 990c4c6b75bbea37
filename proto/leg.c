/* leg.c - the tables of leg.def. */
#include "leg.h"

static const struct leg_state_row states[] = {
#define STATE(name, number, json, terminal, text) {STATE_##name, json, terminal, text},
#include "leg.def"
};

enum { DECIDER = 1, READER = 0 };
static const struct leg_event_row events[] = {
#define EVENT(name, number, etsi, actor, role, text) {EVENT_##name, etsi, ACTOR_##actor, role, text},
#include "leg.def"
};

enum {
    WITH_BODY = LEG_REQUEST,
    OFFER_ONLY = LEG_OFFER_ONLY,
    REQUEST = WITH_BODY | OFFER_ONLY,
    REPLY = LEG_REPLY,
    ALL = REQUEST | REPLY
};
static const struct leg_step steps[] = {
#define STEP(from, event, to, kinds) {STATE_##from, EVENT_##event, STATE_##to, kinds},
#include "leg.def"
};

const struct leg_state_row *leg_state_row(uint64_t state) { return state < LENGTH(states) ? &states[state] : NULL; }

const struct leg_event_row *leg_event_row(uint64_t event) {
    return event >= 1 && event <= LENGTH(events) ? &events[event - 1] : NULL;
}

bool leg_state_parse(struct bytes name, enum leg_state *ret) {
    for (size_t i = 0; i < LENGTH(states); i++) {
        if (!bytes_are(name, states[i].name)) continue;
        *ret = states[i].state;
        return true;
    }
    return false;
}

const struct leg_step *leg_step_nth(unsigned n) { return n < LENGTH(steps) ? &steps[n] : NULL; }

enum error leg_step(enum leg_state from, enum leg_event event, enum leg_kind kind, enum leg_state *ret) {
    for (size_t i = 0; i < LENGTH(steps); i++) {
        if (steps[i].from != from || steps[i].event != event || !(steps[i].kinds & kind)) continue;
        *ret = steps[i].to;
        return E_OK;
    }
    return E_WRONG_STATE;
}

bool leg_releases_body(enum leg_state state, enum leg_kind kind) {
    if (state == STATE_STORED) return kind == LEG_REPLY;
    return state == STATE_ACCEPTED || state == STATE_HANDED_OVER || state == STATE_ACKNOWLEDGED;
}
