/* leg.h - the states of a leg and the steps between them (leg.def), as pure functions. */
#ifndef LEG_H
#define LEG_H

#include "error.h"
#include "own.h"

enum leg_state {
#define STATE(name, number, json, terminal, text) STATE_##name = number,
#include "leg.def"
};

enum leg_event {
    EVENT_NONE = 0,
#define EVENT(name, number, etsi, actor, role, text) EVENT_##name = number,
#include "leg.def"
};

enum leg_actor { ACTOR_RELAY, ACTOR_RECIPIENT, ACTOR_SENDER, ACTOR_EITHER, ACTOR_SEALER };

/* The three kinds of legs, as bits, for STEP's column. */
enum leg_kind { LEG_REQUEST = 1, LEG_OFFER_ONLY = 2, LEG_REPLY = 4 };

struct leg_state_row {
    enum leg_state state;
    const char *name; /* lower case, in JSON */
    bool terminal;
    const char *text;
};

struct leg_event_row {
    enum leg_event event;
    const char *name; /* ETSI event name or our own */
    enum leg_actor actor;
    bool decider; /* only a decider may say it */
    const char *text;
};

/* NULL for a number that no row has. */
const struct leg_state_row *leg_state_row(uint64_t state);
const struct leg_event_row *leg_event_row(uint64_t event);
/* The state of that JSON name, or false. */
bool leg_state_parse(struct bytes name, enum leg_state *ret);

struct leg_step {
    enum leg_state from;
    enum leg_event event;
    enum leg_state to;
    unsigned kinds; /* of enum leg_kind */
};
const struct leg_step *leg_step_nth(unsigned n); /* NULL after the last: for documents and tests */

/* Where `event` takes a leg of this kind: E_WRONG_STATE if it does not. */
CHECKED enum error leg_step(enum leg_state from, enum leg_event event, enum leg_kind kind, enum leg_state *ret);
/* The states in which the body may be handed over to the recipient: accepted, or a stored reply. */
bool leg_releases_body(enum leg_state state, enum leg_kind kind);

#endif
