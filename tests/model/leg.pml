/* leg.pml - one leg between its sender, a relay that crashes, and the devices that it goes to. README.md says what is
 * modelled, what is left out, and what must hold; the steps come from leg.def (steps.py).
 *
 * The links: what a device has said is on its way from then on. The relay may take it now, later, never, again, in any
 * order: that is all that losing, repeating and reordering links can do. An answer arrives or is lost.
 *
 * The relay: takes some statements into a batch, commits it, and answers; it may crash before the commit, and between
 * the commit and any of the answers. What lies between these is nobody else's business, so a batch is one atomic
 * sequence: whatever others do in the meantime they might as well do before it or after it.
 *
 * Options: KIND (by steps.py), BATCH, GENERATIONS; and what happens: WITHDRAWS, EXPIRES, OPENS, ACKNOWLEDGES, CLOSES,
 * CONSENTS, REKEYS, FORWARDS, PARENT; SISTER: the recipient has a second device. */
#include "steps.pml"

c_decl {
    /* A planted fault is asked for by its number. */
    static unsigned char planted(void) {
        const char *asked = getenv("MODEL_FAULT");
        return asked ? (unsigned char)atoi(asked) : 0;
    }
    /* The arrows that were taken, in any run: told at the end. */
    static unsigned char arrows[16][32][16];
    static void tell_arrows(void) {
        for (int from = 0; from < 16; from++)
            for (int event = 0; event < 32; event++)
                for (int to = 0; to < 16; to++)
                    if (arrows[from][event][to]) printf("arrow %d %d %d\n", from, event, to);
    }
    static void violated(const char *property) { printf("violated: %s\n", property); }
}

#ifndef BATCH
#define BATCH 1
#endif
#ifndef GENERATIONS
#define GENERATIONS 1
#endif
/* Faults to be planted, one at a time: every property must be able to fail. */
#define FAULT_ordinal_skipped 1
#define FAULT_state_without_entry 2
#define FAULT_entry_without_state 3
#define FAULT_stored_twice 4
#define FAULT_judged_by_the_state_before_the_batch 5
#define FAULT_repeat_taken_anew 6
#define FAULT_old_post_decides 7
#define FAULT_need_not_cleared 8
#define FAULT_expiry_first 9
#define FAULT_answer_before_commit 10
#define FAULT_forget_on_crash 11
#define FAULT_no_retry 12
#define FAULT_body_before_acceptance 13
#define FAULT_never_answers 14
#define FAULT_refusal_passes 15
#define FAULT_consents_pile_up 16
#define FAULT_forgets_who_left 17
#define PLANTED(name) (fault == FAULT_##name)
hidden byte fault;
#define MUST(condition, property) if :: (condition) :: else -> c_code { violated(property); }; assert(false) fi

/* ---- who, and what they say ---- */

#define SENDER 0
#define A 1 /* two devices of the post that the request goes to */
#define B 2
#define C 3 /* a device of the post that it may be forwarded to */
#ifdef FORWARDS
#define PEOPLE 4
#else
#define PEOPLE 3
#endif
#define RELAY 7

#define POST_OF(d) ((d) == C -> 2 : 1)
#ifdef SISTER
#define READERS_1 (BIT(A) | BIT(B))
#else
#define READERS_1 BIT(A)
#endif
#define READERS (post == 1 -> READERS_1 : BIT(C))

/* A statement is a device and a slot: the event, and for those that exist once a generation some more. */
#define SUBMISSION 0
#define CANNOT_2 17
#define RESEAL_3 18
#define FORWARD_3 19
#define BIT(slot) (1 << (slot))
#define EVENT_OF(slot) ((slot) == CANNOT_2 -> EVENT_CANNOT_OPEN : ((slot) == RESEAL_3 -> EVENT_RESEALED : \
                        ((slot) == FORWARD_3 -> EVENT_FORWARDED : (slot))))
#define GENERATION_OF(slot) ((slot) == EVENT_CANNOT_OPEN -> 1 : ((slot) == RESEAL_3 || (slot) == FORWARD_3 -> 3 : 2))
#define CANNOT_SLOT(g) ((g) == 1 -> EVENT_CANNOT_OPEN : CANNOT_2)
#define RESEAL_SLOT(g) ((g) == 2 -> EVENT_RESEALED : RESEAL_3)
#define FORWARD_SLOT(g) ((g) == 2 -> EVENT_FORWARDED : FORWARD_3)
#define DECISIONS (BIT(EVENT_ACCEPTED) | BIT(EVENT_DECLINED))
#define WORDS_OF_PERSONS (DECISIONS | BIT(EVENT_WITHDRAWN) | BIT(EVENT_CLOSED))

/* ---- archives of devices: they survive whatever the device goes through ---- */

int said[PEOPLE];      /* stamped statements, kept and sent until they are answered; a retry sends these bytes */
int answered[PEOPLE];
int receipts[PEOPLE];  /* answers that came with a receipt */
byte bodies;           /* which devices have the body */

#define OUTBOX(d) (said[d] & ~answered[d])

/* ---- the relay's disk ---- */

#define ENTRIES 12
byte leg, furthest, ordinal, generation;
byte shown; /* so many entries have been in some feed: all that were ever committed */
byte entry_by[ENTRIES]; /* device * 32 + slot */
byte entry_to[ENTRIES];
int has_entry[PEOPLE], has_note[PEOPLE]; /* receipts by statement: with an entry, or without */
int lost[PEOPLE];                        /* of the latter: those that were answered with an error */
byte post;                               /* the leg is with */
short been_1, been_2;                    /* states that devices of the first post, of the second, were shown */
byte cannot;                             /* devices that said so of this generation */
bit needs_rekey;
bit told_need; /* what the entries say of that */
bit parent_closed;

/* ---- the relay's memory ---- */

byte batch_device[BATCH], batch_slot[BATCH];
bit batch_receipt[BATCH];
bit disturbed; /* this batch has something that comes again, or lost an answer, or was lost itself */
byte jobs;
bit quiet;     /* from now on nothing crashes, nothing is lost, nothing comes again */

hidden byte device, slot, event, to, at, from, ended, decided, sealed, now_at, j, start, entries_before;
hidden byte result, late, welcome, repeats, beaten, consents;

#define IS_OPEN(state) ((state) == STATE_ACCEPTED || (state) == STATE_HANDED_OVER || (state) == STATE_ACKNOWLEDGED)
#define SETTLED(state) (TERMINAL(state) || (state) == STATE_ACKNOWLEDGED || \
                        (KIND == KIND_REPLY && (state) == STATE_HANDED_OVER))
#define RELEASES(state) ((state) == STATE_STORED -> KIND == KIND_REPLY : IS_OPEN(state))
#define HAS_BODY (KIND != KIND_OFFER_ONLY)

#define NEEDS_WRAPS (NEXT(leg, EVENT_REKEY_NEEDED) != STATE_NONE)

/* ---- entries ---- */

inline put_entry(who, what, state) {
    c_code {
        arrows[now.leg][(int)event][(int)to] = 1;
    };
    entry_by[ordinal] = (who) * 32 + (what);
    entry_to[ordinal] = state;
    if
    :: PLANTED(ordinal_skipped) && ordinal == 1 -> ordinal = ordinal + 2
    :: PLANTED(state_without_entry) && leg == STATE_NOTIFIED -> entry_by[ordinal] = 0; entry_to[ordinal] = 0
    :: else -> ordinal++
    fi;
    if
    :: PLANTED(entry_without_state) && leg == STATE_NOTIFIED
    :: else -> leg = state
    fi;
    if
    :: post == 1 -> been_1 = been_1 | BIT(state)
    :: else -> been_2 = been_2 | BIT(state)
    fi;
    if
    :: ordinal > shown -> shown = ordinal
    :: else
    fi;
    if
    :: !TERMINAL(state) && state > furthest -> furthest = state
    :: else
    fi;
    if
    :: !NEEDS_WRAPS -> cannot = 0
    :: else
    fi;
    if
    :: event == EVENT_REKEY_NEEDED -> told_need = true
    :: event == EVENT_RESEALED || event == EVENT_FORWARDED -> told_need = false
    :: else
    fi
}

inline say_rekey_needed() {
    if
    :: !needs_rekey && NEEDS_WRAPS && (cannot & READERS) == READERS ->
        event = EVENT_REKEY_NEEDED;
        to = leg;
        put_entry(RELAY, event, leg);
        needs_rekey = true
    :: else
    fi
}

/* ---- one statement (transition.c, submission.c, reseal.c) ---- */

#define CONSENTED_BY(d) ((d) == SENDER -> (has_entry[SENDER] & BIT(EVENT_CONSENTED)) : \
    ((d) == C -> CONSENTED_BY_C : ((has_entry[A] | has_entry[B]) & BIT(EVENT_CONSENTED))))
#ifdef FORWARDS
#define CONSENTED_BY_C (has_entry[C] & BIT(EVENT_CONSENTED))
#else
#define CONSENTED_BY_C 0
#endif

inline answer_with(ok, receipt) {
    result = (ok);
    batch_receipt[at] = (receipt)
}

/* A statement that moves nothing: a repeat, a late note, a decision that lost, or something out of place. */
#define ONLY_NOTES(event) ((event) == EVENT_NOTIFIED || (event) == EVENT_OPENED || (event) == EVENT_CANNOT_OPEN)
inline judge_repeat() {
    if
    :: ONLY_NOTES(event) -> answer_with(true, true)
    :: !late && repeats -> answer_with(true, true) /* one entry of either side says it */
    :: late && !ONLY_NOTES(event) -> answer_with(false, true)
    :: !late && event == EVENT_ACCEPTED -> answer_with(furthest >= STATE_ACCEPTED, true)
    :: !late && event == EVENT_HANDED_OVER -> answer_with(furthest >= STATE_HANDED_OVER, furthest >= STATE_HANDED_OVER)
    :: !late && event == EVENT_ACKNOWLEDGED ->
        answer_with(furthest >= STATE_ACKNOWLEDGED, furthest >= STATE_ACKNOWLEDGED)
    :: !late && event == EVENT_DECLINED -> answer_with(leg == STATE_DECLINED, true)
    :: !late && event == EVENT_WITHDRAWN -> answer_with(leg == STATE_WITHDRAWN, true)
    :: !late && event == EVENT_CLOSED -> answer_with(leg == STATE_CLOSED, true)
    :: !late && event == EVENT_FORWARDED -> answer_with(false, true)
    :: else -> answer_with(false, false)
    fi
}

inline keep_receipt() {
    if
    :: batch_receipt[at] ->
        has_note[device] = has_note[device] | BIT(slot);
        lost[device] = lost[device] | (result -> 0 : BIT(slot))
    :: else
    fi
}

inline take_submission() {
    if
    :: ordinal > 0 && !PLANTED(stored_twice) -> answer_with(true, true) /* its first receipt */
    :: else ->
        if
        :: parent_closed -> answer_with(false, false) /* refused for good */
        :: else ->
            event = EVENT_STORED;
            to = STATE_STORED;
            put_entry(SENDER, SUBMISSION, STATE_STORED);
            generation = 1;
            has_entry[SENDER] = has_entry[SENDER] | BIT(SUBMISSION);
            answer_with(true, true)
        fi
    fi
}

inline take_statement() {
    late = device != SENDER && POST_OF(device) != post;
    repeats = event == EVENT_CONSENTED && CONSENTED_BY(device) && !PLANTED(repeat_taken_anew) &&
              !PLANTED(consents_pile_up);
    welcome = !late || PLANTED(old_post_decides);
    to = NEXT((PLANTED(judged_by_the_state_before_the_batch) -> start : leg), event);
    if
    :: (has_entry[device] & BIT(slot)) && !PLANTED(repeat_taken_anew) -> answer_with(true, true)
    :: (has_note[device] & BIT(slot)) ->
        late = late && !PLANTED(forgets_who_left);
        judge_repeat();
        batch_receipt[at] = true; /* the same */
        MUST(result == !(lost[device] & BIT(slot)), "answered means kept: one statement, two answers")
    :: else ->
        if
        :: !welcome -> judge_repeat(); keep_receipt()
        :: welcome && to != STATE_NONE && (event == EVENT_RESEALED || event == EVENT_FORWARDED) ->
            if
            :: GENERATION_OF(slot) != generation + 1 -> answer_with(false, false) /* a sister was first: no receipt */
            :: else ->
                put_entry(device, slot, to);
                has_entry[device] = has_entry[device] | BIT(slot);
                generation++;
                cannot = 0;
                if
                :: PLANTED(need_not_cleared)
                :: else -> needs_rekey = false
                fi;
                if
                :: event == EVENT_FORWARDED -> post = 2; been_2 = BIT(STATE_FORWARDED)
                :: else
                fi;
                answer_with(true, true)
            fi
        :: !repeats && welcome && to != STATE_NONE && event != EVENT_RESEALED && event != EVENT_FORWARDED ->
            put_entry(device, slot, to);
            has_entry[device] = has_entry[device] | BIT(slot);
            answer_with(true, true)
        :: else ->
            judge_repeat();
            keep_receipt();
            if
            :: event == EVENT_CANNOT_OPEN && GENERATION_OF(slot) == generation && NEEDS_WRAPS ->
                cannot = cannot | BIT(device);
                say_rekey_needed()
            :: else
            fi
        fi
    fi
}

inline take_job() {
    device = batch_device[at];
    slot = batch_slot[at];
    event = EVENT_OF(slot);
    if
    :: slot == SUBMISSION -> take_submission()
    :: slot != SUBMISSION && ordinal == 0 -> answer_with(false, false) /* unknown request */
    :: else -> take_statement()
    fi
}

inline expire() {
    event = EVENT_EXPIRED;
    to = NEXT(leg, event);
    if
    :: to != STATE_NONE -> put_entry(RELAY, event, to)
    :: else
    fi
}

/* ---- what every commit must leave on the disk: the log replayed, as an auditor would (audit) ---- */

inline audit() {
    from = STATE_NONE;
    decided = 0;
    consents = 0;
    ended = 0;
    sealed = 1;
    now_at = 1;
    at = 0;
    do
    :: at < ordinal ->
        device = entry_by[at] / 32;
        slot = entry_by[at] % 32;
        event = (slot == SUBMISSION -> EVENT_STORED : EVENT_OF(slot));
        MUST(entry_to[at] != STATE_NONE, "no state without its entry: an ordinal is missing");
        j = at + 1;
        do
        :: j < ordinal ->
            MUST(device == RELAY || entry_by[j] != entry_by[at] || entry_to[j] == STATE_NONE,
                 "an effect happens once: one statement has two entries");
            j++
        :: else -> break
        od;
        MUST(ended == 0, "one decision: an entry after the end");
        if
        :: event == EVENT_ACCEPTED || event == EVENT_DECLINED || event == EVENT_WITHDRAWN ||
           (event == EVENT_EXPIRED && !IS_OPEN(from)) -> decided++
        :: else
        fi;
        MUST(decided <= 1, "one decision: two of accepted, declined, withdrawn and expired are entries");
        MUST(device == SENDER || device == RELAY || POST_OF(device) == now_at || event == EVENT_RESEALED,
             "one decision: another post than the one that the leg is with has spoken");
        MUST(NEXT(from, event) == entry_to[at],
             "no state without its entry: the entries are no walk through the table");
        MUST(device == RELAY || (has_entry[device] & BIT(slot)), "answered means kept: an entry without its receipt");
        if
        :: event == EVENT_CONSENTED ->
            MUST(!(consents & (device == SENDER -> 1 : 2)), "an effect happens once: a side has consented twice");
            consents = consents | (device == SENDER -> 1 : 2)
        :: event == EVENT_FORWARDED -> consents = consents & 1
        :: else
        fi;
        if
        :: TERMINAL(entry_to[at]) -> ended++
        :: else
        fi;
        if
        :: event == EVENT_RESEALED || event == EVENT_FORWARDED -> sealed++
        :: else
        fi;
        if
        :: event == EVENT_FORWARDED -> now_at = 2
        :: else
        fi;
        from = entry_to[at];
        at++
    :: else -> break
    od;
    MUST(leg == from, "no state without its entry: the state is not that of the last entry");
    MUST(sealed == (ordinal == 0 -> 1 : generation) && now_at == post,
         "no state without its entry: a generation or a post that no entry names")
}

/* ---- the relay ---- */

inline commit(expires) {
    start = leg;
    entries_before = ordinal;
    beaten = false;
    if
    :: (expires) && PLANTED(expiry_first) -> expire(); beaten = leg == STATE_EXPIRED && !IS_OPEN(start)
    :: else
    fi;
    at = 0;
    do
    :: at < jobs ->
        take_job();
        MUST(!(beaten && !result && (BIT(slot) & DECISIONS)),
             "one decision: a deadline beat what had arrived before it");
        at++
    :: else -> break
    od;
    if
    :: (expires) && !PLANTED(expiry_first) -> expire()
    :: else
    fi;
    if
    :: ordinal != entries_before || leg != start -> audit()
    :: else
    fi
}

inline take(d, s) {
    batch_device[jobs] = d;
    batch_slot[jobs] = s;
    jobs++;
    if
    :: PLANTED(answer_before_commit) -> answered[d] = answered[d] | BIT(s); receipts[d] = receipts[d] | BIT(s)
    :: else
    fi
}
#define TAKE(d, s) \
    :: d_step { jobs < BATCH && !disturbed && (OUTBOX(d) & BIT(s)) -> take(d, s) } \
    :: d_step { jobs == 0 && !quiet && (said[d] & answered[d] & BIT(s)) -> take(d, s); disturbed = true }

inline empty_batch() {
    at = 0;
    do
    :: at < BATCH -> batch_device[at] = 0; batch_slot[at] = 0; batch_receipt[at] = 0; at++
    :: else -> break
    od;
    at = 0;
    jobs = 0
}

/* The last entry was not on the disk after all. */
inline forget() {
    ordinal--;
    if
    :: entry_by[ordinal] / 32 != RELAY ->
        has_entry[entry_by[ordinal] / 32] = has_entry[entry_by[ordinal] / 32] & ~BIT(entry_by[ordinal] % 32)
    :: else
    fi;
    entry_by[ordinal] = 0;
    entry_to[ordinal] = 0;
    leg = (ordinal == 0 -> STATE_NONE : entry_to[ordinal - 1])
}

/* The answer to one job of the batch. */
inline answer(which) {
    device = batch_device[which];
    answered[device] = answered[device] | BIT(batch_slot[which]);
    if
    :: batch_receipt[which] -> receipts[device] = receipts[device] | BIT(batch_slot[which])
    :: else
    fi
}

inline answer_all() {
    at = 0;
    do
    :: at < jobs -> answer(at); at++
    :: else -> break
    od;
    at = 0
}

#ifdef OPENS
#define TAKE_OPENED(d) TAKE(d, EVENT_OPENED)
#else
#define TAKE_OPENED(d)
#endif
#ifdef CLOSES
#define TAKE_CLOSED(d) TAKE(d, EVENT_CLOSED)
#else
#define TAKE_CLOSED(d)
#endif
#ifdef CONSENTS
#define TAKE_CONSENTED(d) TAKE(d, EVENT_CONSENTED)
#else
#define TAKE_CONSENTED(d)
#endif
#ifdef REKEYS
#define TAKE_CANNOT(d) TAKE(d, EVENT_CANNOT_OPEN) TAKE(d, CANNOT_2)
#else
#define TAKE_CANNOT(d)
#endif
#ifdef FORWARDS
#define TAKE_FORWARDED(d) TAKE(d, EVENT_FORWARDED) TAKE(d, FORWARD_3)
#else
#define TAKE_FORWARDED(d)
#endif
#ifdef WITHDRAWS
#define TAKE_WITHDRAWN(d) TAKE(d, EVENT_WITHDRAWN)
#else
#define TAKE_WITHDRAWN(d)
#endif
#ifdef ACKNOWLEDGES
#define TAKE_ACKNOWLEDGED(d) TAKE(d, EVENT_ACKNOWLEDGED)
#else
#define TAKE_ACKNOWLEDGED(d)
#endif
#if KIND == KIND_REPLY
#define TAKE_DECISIONS(d)
#else
#define TAKE_DECISIONS(d) TAKE(d, EVENT_NOTIFIED) TAKE(d, EVENT_ACCEPTED) TAKE(d, EVENT_DECLINED)
#endif
#if KIND == KIND_OFFER_ONLY
#define TAKE_HANDED_OVER(d)
#else
#define TAKE_HANDED_OVER(d) TAKE(d, EVENT_HANDED_OVER)
#endif
#define TAKE_FROM(d) TAKE_DECISIONS(d) TAKE_OPENED(d) TAKE_HANDED_OVER(d) TAKE_CLOSED(d) \
    TAKE_CONSENTED(d) TAKE_CANNOT(d)

#ifdef FORWARDS
#define TAKE_FROM_C TAKE_FROM(C) TAKE_ACKNOWLEDGED(C)
#else
#define TAKE_FROM_C
#endif
#ifdef SISTER
#define TAKE_FROM_B TAKE_FROM(B) TAKE_FORWARDED(B)
#else
#define TAKE_FROM_B
#endif
#ifdef REKEYS
#define TAKE_RESEALED TAKE(SENDER, EVENT_RESEALED) TAKE(SENDER, RESEAL_3)
#else
#define TAKE_RESEALED
#endif
/* One statement of all that are on their way. */
#define TAKE_ANY \
    TAKE(SENDER, SUBMISSION) TAKE_WITHDRAWN(SENDER) TAKE_CLOSED(SENDER) TAKE_CONSENTED(SENDER) TAKE_RESEALED \
    TAKE_FROM(A) TAKE_ACKNOWLEDGED(A) TAKE_FORWARDED(A) TAKE_FROM_B TAKE_FROM_C

active proctype relay() {
    d_step {
        read_steps();
        c_code { fault = planted(); };
        post = 1;
        said[SENDER] = BIT(SUBMISSION);
        c_code { atexit(tell_arrows); }
    };
end:
    do
    :: atomic {
        if
        TAKE_ANY
        fi;
        do
        TAKE_ANY
        :: break
        od;
        if
        :: d_step { commit(false) }
#ifdef EXPIRES
        :: d_step { commit(true) }
#endif
        :: d_step { !quiet -> empty_batch(); disturbed = true } /* a crash before the commit */
        fi;
        if
        :: d_step { answer_all() }
        :: d_step { jobs > 1 && !quiet -> answer(0); disturbed = true }
        :: d_step { jobs > 1 && !quiet -> answer(1); disturbed = true }
        :: d_step { !quiet -> disturbed = true } /* a crash after it, or a broken link */
        :: PLANTED(never_answers)
        fi;
        d_step { empty_batch() };
#ifdef LIVENESS
        if
        :: disturbed -> goto progress
        :: else
        fi
#else
        disturbed = false
#endif
        }
#ifdef EXPIRES
    :: d_step { ordinal > 0 && NEXT(leg, EVENT_EXPIRED) != STATE_NONE -> commit(true) }
#endif
#ifdef REKEYS
    /* All devices that could open it are gone; there will be others. */
    :: d_step { ordinal > 0 && generation < GENERATIONS && !needs_rekey && NEEDS_WRAPS ->
        cannot = READERS;
        say_rekey_needed();
        audit() }
#endif
#ifdef PARENT
    :: !parent_closed -> parent_closed = true
    :: PLANTED(refusal_passes) && parent_closed && !quiet -> parent_closed = false
#endif
    :: d_step { PLANTED(forget_on_crash) && ordinal > 0 && !quiet -> forget() }
    od;
#ifdef LIVENESS
progress:
    disturbed = false;
    goto end
#endif
}

/* ---- devices ---- */

/* What a device says it says by what it has been shown, and that may be long out of date: any state since the leg came
 * to its post. */
#define BEEN(d) ((d) == SENDER -> (been_1 | been_2) : ((d) == C -> been_2 : been_1))
#define MAY(d, event) ((BEEN(d) & starts[event]) && !(said[d] & BIT(event)))
#define SAY(d, slot) said[d] = said[d] | BIT(slot)

#define DROPPED(d) (OUTBOX(d) & ~WORDS_OF_PERSONS)
#define MAY_DROP(d) :: d_step { PLANTED(no_retry) && DROPPED(d) -> answered[d] = answered[d] | DROPPED(d) }

active proctype sender() {
end:
    do
    MAY_DROP(SENDER)
#ifdef WITHDRAWS
    :: MAY(SENDER, EVENT_WITHDRAWN) -> SAY(SENDER, EVENT_WITHDRAWN)
#endif
#ifdef CLOSES
    :: MAY(SENDER, EVENT_CLOSED) -> SAY(SENDER, EVENT_CLOSED)
#endif
#if defined(CONSENTS) && !defined(SISTER) /* with two devices the question is whether their post consents once */
    :: MAY(SENDER, EVENT_CONSENTED) -> SAY(SENDER, EVENT_CONSENTED)
#endif
#ifdef REKEYS
    :: d_step { told_need && generation < GENERATIONS && !(said[SENDER] & BIT(RESEAL_SLOT(generation + 1))) ->
        SAY(SENDER, RESEAL_SLOT(generation + 1)) }
#endif
    od
}

#define OPENED_IT(d) (said[d] & BIT(EVENT_NOTIFIED))
/* One that came after another wrap set was made for nothing, and is made anew. */
#define MADE_FOR_NOTHING(d) (answered[d] & ~receipts[d])
#define DECIDED(d) (said[d] & (DECISIONS | ((BIT(EVENT_FORWARDED) | BIT(FORWARD_3)) & ~MADE_FOR_NOTHING(d))))

#ifdef OPENS
#define MAY_OPEN(d) :: OPENED_IT(d) && MAY(d, EVENT_OPENED) -> SAY(d, EVENT_OPENED)
#else
#define MAY_OPEN(d)
#endif
#ifdef CLOSES
#define MAY_CLOSE(d) :: MAY(d, EVENT_CLOSED) -> SAY(d, EVENT_CLOSED)
#else
#define MAY_CLOSE(d)
#endif
#ifdef CONSENTS
#define MAY_CONSENT(d) :: MAY(d, EVENT_CONSENTED) -> SAY(d, EVENT_CONSENTED)
#else
#define MAY_CONSENT(d)
#endif
#ifdef REKEYS
#define CANNOT_OPEN_IT(d) (generation < 3 -> (said[d] & BIT(CANNOT_SLOT(generation))) : 0)
#define MAY_FAIL(d) \
    :: d_step { BEEN(d) && generation < GENERATIONS && !OPENED_IT(d) && !(bodies & BIT(d)) && !CANNOT_OPEN_IT(d) -> \
        SAY(d, CANNOT_SLOT(generation)) }
#else
#define CANNOT_OPEN_IT(d) false
#define MAY_FAIL(d)
#endif
#ifdef FORWARDS
#define MAY_FORWARD(d) \
    :: d_step { OPENED_IT(d) && (BEEN(d) & starts[EVENT_FORWARDED]) && !DECIDED(d) && generation < GENERATIONS && \
                !(said[d] & BIT(FORWARD_SLOT(generation + 1))) -> SAY(d, FORWARD_SLOT(generation + 1)) }
#else
#define MAY_FORWARD(d)
#endif
#ifdef ACKNOWLEDGES
#define MAY_ACKNOWLEDGE(d) \
    :: (HAS_BODY -> (bodies & BIT(d)) : OPENED_IT(d)) && MAY(d, EVENT_ACKNOWLEDGED) -> SAY(d, EVENT_ACKNOWLEDGED)
#else
#define MAY_ACKNOWLEDGE(d)
#endif
#if KIND == KIND_REPLY
#define MAY_DECIDE(d)
#else
#define MAY_DECIDE(d) \
    :: BEEN(d) && !OPENED_IT(d) && !CANNOT_OPEN_IT(d) -> SAY(d, EVENT_NOTIFIED) \
    :: OPENED_IT(d) && MAY(d, EVENT_ACCEPTED) && !DECIDED(d) -> SAY(d, EVENT_ACCEPTED) \
    :: OPENED_IT(d) && MAY(d, EVENT_DECLINED) && !DECIDED(d) -> SAY(d, EVENT_DECLINED)
#endif
#if KIND == KIND_OFFER_ONLY
#define MAY_FETCH(d)
#else
/* It may ask whenever it likes, and the relay's answer is for the leg as it stands. */
#define MAY_FETCH(d) \
    :: BEEN(d) && POST_OF(d) == post && !(bodies & BIT(d)) && !CANNOT_OPEN_IT(d) && \
       (RELEASES(leg) || (PLANTED(body_before_acceptance) && !TERMINAL(leg))) -> bodies = bodies | BIT(d) \
    :: (bodies & BIT(d)) && !(said[d] & BIT(EVENT_HANDED_OVER)) -> SAY(d, EVENT_HANDED_OVER)
#endif
#define DEVICE(d) MAY_DROP(d) MAY_DECIDE(d) MAY_OPEN(d) MAY_FETCH(d) MAY_CLOSE(d) MAY_CONSENT(d) MAY_FAIL(d)

active proctype device_a() {
end:
    do
    DEVICE(A) MAY_ACKNOWLEDGE(A) MAY_FORWARD(A)
    od
}
#ifdef SISTER
active proctype device_b() {
end:
    do
    DEVICE(B) MAY_FORWARD(B)
    od
}
#endif
#ifdef FORWARDS
active proctype device_c() {
end:
    do
    DEVICE(C) MAY_ACKNOWLEDGE(C)
    od
}
#endif

/* ---- what must hold ---- */

#define KEPT(d) !(receipts[d] & ~(has_entry[d] | has_note[d]))
#ifdef FORWARDS
#define ACCEPTED_BY_ANYBODY ((has_entry[A] | has_entry[B] | has_entry[C]) & BIT(EVENT_ACCEPTED))
#define ALL_KEPT (KEPT(SENDER) && KEPT(A) && KEPT(B) && KEPT(C))
#define ALL_ANSWERED !(OUTBOX(SENDER) | OUTBOX(A) | OUTBOX(B) | OUTBOX(C))
#else
#define ACCEPTED_BY_ANYBODY ((has_entry[A] | has_entry[B]) & BIT(EVENT_ACCEPTED))
#define ALL_KEPT (KEPT(SENDER) && KEPT(A) && KEPT(B))
#define ALL_ANSWERED !(OUTBOX(SENDER) | OUTBOX(A) | OUTBOX(B))
#endif
#define MAY_HAVE_BODY (KIND == KIND_REPLY -> ordinal > 0 : (KIND == KIND_WITH_BODY && ACCEPTED_BY_ANYBODY))
#define REFUSAL_BROKEN (ordinal > 0 && (answered[SENDER] & ~receipts[SENDER] & BIT(SUBMISSION)))
#define REFUSED (ordinal == 0 && (answered[SENDER] & BIT(SUBMISSION)))

active proctype judge() {
end:
    do
    :: atomic { !ALL_KEPT -> MUST(false, "answered means kept: a receipt is gone") }
    :: atomic { shown > ordinal -> MUST(false, "answered means kept: an entry that was shown is gone") }
    :: atomic { REFUSAL_BROKEN -> MUST(false, "answered means kept: what was refused for good is stored") }
    :: atomic { bodies && !MAY_HAVE_BODY -> MUST(false, "body only after acceptance") }
    :: !quiet -> quiet = true
    :: atomic { timeout ->
        MUST(SETTLED(leg) || REFUSED, "no dead end: nothing more can happen, and the leg is not settled");
        MUST(ALL_ANSWERED, "no dead end: a statement waits for ever") } -> break
    od
}
