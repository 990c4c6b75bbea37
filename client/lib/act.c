/* act.c - client_act: what this post says about a leg, by hand: signed, kept, sent, and answered. */
#include "evidence.h"
#include "outbox.h"
#include "stamp.h"

#include <stdio.h>

struct answers { /* of the relay to the statements made here */
    const uint8_t *hashes;
    size_t count, answered;
    enum error error;
};

static void take_answer(void *context, const uint8_t statement[static HASH_SIZE], enum error error) {
    struct answers *answers = context;
    for (size_t i = 0; i < answers->count; i++) {
        if (memcmp(answers->hashes + i * HASH_SIZE, statement, HASH_SIZE) != 0) continue;
        answers->answered++;
        if (error != E_OK && answers->error == E_OK) answers->error = error;
    }
}

/* The states in which an event's effect is there already: saying it again would be noise, not an error. */
static bool already(const struct keptleg *leg, enum leg_event event) {
    static const struct {
        enum leg_event event;
        enum leg_state state;
    } done[] = {
        {EVENT_OPENED, STATE_OPENED},         {EVENT_OPENED, STATE_ACCEPTED},
        {EVENT_OPENED, STATE_HANDED_OVER},    {EVENT_OPENED, STATE_ACKNOWLEDGED},
        {EVENT_ACCEPTED, STATE_ACCEPTED},     {EVENT_ACCEPTED, STATE_HANDED_OVER},
        {EVENT_ACCEPTED, STATE_ACKNOWLEDGED}, {EVENT_ACKNOWLEDGED, STATE_ACKNOWLEDGED},
        {EVENT_DECLINED, STATE_DECLINED},     {EVENT_WITHDRAWN, STATE_WITHDRAWN},
        {EVENT_CLOSED, STATE_CLOSED},
    };
    for (size_t i = 0; i < LENGTH(done); i++)
        if (done[i].event == event && (uint64_t)done[i].state == leg->state) return true;
    return false;
}

/* This side has agreed before that it may be shown to others. */
static bool has_consented(const struct kept_request *request, const struct keptleg *leg) {
    return leg->consents & (request->record.mine ? CONSENT_SENDER : CONSENT_RECIPIENT);
}

static bool may_act(const struct kept_request *request, enum leg_event event) {
    const struct leg_event_row *row = leg_event_row(event);
    if (!row) return false;
    switch (row->actor) {
    case ACTOR_RECIPIENT: return !request->record.mine;
    case ACTOR_SENDER: return request->record.mine;
    case ACTOR_EITHER: return true;
    case ACTOR_SEALER: return false; /* by itself (reseal.c) */
    case ACTOR_RELAY: break;
    }
    return false;
}

struct work {
    struct home *home;
    const uint8_t *digest;
    const struct act *act;
    struct kept_request request;
    struct kept_legs legs;
    struct saying *sayings;
    size_t count;
    bool officer;
    struct failure *failure;
};

static enum error wrong_state(struct work *work, const struct keptleg *leg) {
    const struct leg_state_row *row = leg_state_row(leg->state);
    if (leg->state == STATE_NONE && !kept_leg_refused(leg)) {
        enum error error = fail(work->failure, E_WRONG_STATE, "%.*s: it has not reached the relay yet", (int)leg->to.n,
                                (const char *)leg->to.p);
        fail_hint(work->failure, "it waits in the outbox; after `pouch sync` it can be withdrawn");
        return error;
    }
    enum error error = fail(work->failure, E_WRONG_STATE, "%.*s: %s", (int)leg->to.n, (const char *)leg->to.p,
                            row ? row->name : "unknown");
    if (work->act->event == EVENT_CONSENTED)
        fail_hint(work->failure, "consent can be given from the acceptance to the end of the exchange; of a reply, with the "
                                 "request that it belongs to; or beside a decision: pouch accept --consent");
    return error;
}

/* The step has been made already, without the consent that is now to go with it. */
static enum error too_late_to_consent(struct work *work, const struct keptleg *leg) {
    const struct leg_state_row *row = leg_state_row(leg->state);
    enum error error = fail(work->failure, E_WRONG_STATE, "%.*s: %s already, without consent", (int)leg->to.n,
                            (const char *)leg->to.p, row ? row->name : "unknown");
    fail_hint(work->failure, row && row->terminal ? "it has ended; nothing can be added to it"
                                                  : "say it by itself: pouch consent ID");
    return error;
}

/* Of accepted, declined, withdrawn and closed one is enough. */
static bool excludes(enum leg_event waiting, enum leg_event event) {
    bool decided = waiting == EVENT_ACCEPTED || waiting == EVENT_DECLINED || waiting == EVENT_WITHDRAWN;
    return decided && (event == EVENT_ACCEPTED || event == EVENT_DECLINED || event == EVENT_WITHDRAWN);
}

/* What the outbox holds of this leg already: the same is not said twice, and a decision not taken back by another that
 * could only lose. */
static enum error find_waiting(struct work *work, const uint8_t *leg, bool *ret_same, bool *ret_other) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_OUTBOX, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        struct outgoing outgoing;
        struct statement statement;
        struct bytes payload;
        TRY(archive_next(work->home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (outgoing_decode(buf_bytes(&value), &outgoing) != E_OK) return E_CORRUPT;
        if (!outgoing.has_statement || memcmp(outgoing.leg, leg, HASH_SIZE) != 0) continue;
        if (stamp_peek(outgoing.statement, &payload) != E_OK || statement_decode(payload, &statement) != E_OK)
            return E_CORRUPT;
        if (statement.event == (uint64_t)work->act->event)
            *ret_same = true;
        else
            *ret_other |= excludes((enum leg_event)statement.event, work->act->event);
    }
}

/* Without a relay: leaves out what waits in the outbox already. */
static enum error leave_out_waiting(struct work *work) {
    size_t count = 0;
    for (size_t i = 0; i < work->count; i++) {
        bool same = false, other = false;
        enum error error = find_waiting(work, work->sayings[i].leg, &same, &other);
        if (error != E_OK) return fail(work->failure, error, "the outbox");
        if (other) return fail(work->failure, E_WRONG_STATE, "another decision waits in the outbox");
        if (!same) work->sayings[count++] = work->sayings[i];
    }
    work->count = count;
    return E_OK;
}

/* The legs that this is said of. One that is named must take it; of all legs those that can. */
static enum error choose(struct work *work) {
    enum leg_kind kind = header_leg_kind(&work->request.header);
    bool named = work->act->to != NULL, done = false;
    const struct keptleg *other = NULL, *bare = NULL; /* bare: the step is made, without consent */
    work->sayings = calloc(work->legs.count + 1, sizeof *work->sayings);
    if (!work->sayings) return fail(work->failure, E_NO_MEMORY, "statements");
    for (size_t i = 0; i < work->legs.count; i++) {
        const struct kept_leg *leg = &work->legs.legs[i];
        enum leg_state to;
        if (named && !bytes_are(leg->record.to, work->act->to)) continue;
        other = &leg->record;
        bool agreed = has_consented(&work->request, &leg->record);
        bool same = already(&leg->record, work->act->event) || (work->act->event == EVENT_CONSENTED && agreed);
        done |= same;
        if (same && work->act->disclosure && !agreed) bare = &leg->record;
        if (work->act->event == EVENT_CONSENTED && agreed) continue;
        if (leg_step((enum leg_state)leg->record.state, work->act->event, kind, &to) != E_OK) continue;
        work->sayings[work->count++] = (struct saying){.event = work->act->event,
                                                       .header = work->digest,
                                                       .leg = leg->leg,
                                                       .officer = work->officer,
                                                       .has_reason = work->act->has_reason,
                                                       .reason = work->act->reason,
                                                       .note = work->act->note,
                                                       .disclosure = work->act->disclosure};
    }
    if (work->count == 0 && bare) return too_late_to_consent(work, bare);
    if (work->count > 0 || done) return E_OK;
    if (!other)
        return fail(work->failure, E_UNKNOWN_POST, "%s is no recipient of this request", named ? work->act->to : "");
    return wrong_state(work, other);
}

static enum error keep(struct work *work, uint8_t *hashes) {
    struct archive *archive = work->home->archive;
    TRY(archive_begin(archive));
    enum error error = outbox_say(work->home, work->sayings, work->count, hashes);
    if (error == E_OK) return archive_commit(archive);
    archive_rollback(archive);
    return error;
}

static enum error send(struct work *work, struct relay *relay, const uint8_t *hashes) {
    struct answers answers = {.hashes = hashes, .count = work->count};
    struct outbox_listener listener = {take_answer, &answers};
    struct outbox_summary summary = {0};
    TRY(outbox_send_statements(work->home, relay, &listener, &summary, work->failure));
    if (answers.error == E_OK && answers.answered == work->count) return E_OK;
    enum error error = answers.error == E_OK ? E_TIMED_OUT : answers.error;
    char reference[TEXT_REFERENCE_SIZE];
    text_reference(work->digest, reference);
    return fail(work->failure, error, "%s", reference);
}

static enum error act(struct work *work, struct relay *relay) {
    enum error error = kept_load(work->home->archive, work->digest, &work->request);
    if (error == E_OK) error = kept_legs_load(work->home->archive, work->digest, &work->legs);
    if (error != E_OK) return fail(work->failure, error, "%s", error == E_UNKNOWN_REQUEST ? "" : "the local store");
    if (!may_act(&work->request, work->act->event))
        return fail(work->failure, E_NOT_ALLOWED,
                    work->request.record.mine ? "this post has sent it" : "this post has received it");
    TRY(choose(work));
    if (!relay) TRY(leave_out_waiting(work));
    if (work->count == 0) return E_OK;
    AUTO_FREE(uint8_t) hashes = calloc(work->count, HASH_SIZE);
    if (!hashes) return fail(work->failure, E_NO_MEMORY, "statements");
    error = keep(work, hashes);
    if (error != E_OK) return fail(work->failure, error, error == E_TOO_LARGE ? "the note" : "the statement");
    return relay ? send(work, relay, hashes) : E_OK;
}

enum error client_act(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                      const struct act *what, const struct client_options *options, struct failure *failure) {
    if (!home->directory) return fail(failure, E_NOT_JOINED, "%s", home->post);
    bool decides = leg_event_row(what->event)->decider || what->disclosure;
    TRY(home_check_role(home, decides ? ROLE_DECIDER : ROLE_READER, failure));
    struct work work = {
        .home = home, .digest = digest, .act = what, .officer = options && options->officer, .failure = failure};
    enum error error = act(&work, relay);
    kept_request_free(&work.request);
    kept_legs_free(&work.legs);
    free(work.sayings);
    return error;
}

/* ---- opened ---- */

static enum error is_disclosed(struct home *home, bool *ret) {
    AUTO_BUF bytes = {0};
    struct keptpolicy policy;
    bool found;
    TRY(policy_load(home, &bytes, &policy, &found));
    *ret = policy.opened;
    return E_OK;
}

enum error client_opened(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                         struct failure *failure) {
    AUTO_VIEW view = {0};
    bool disclosed = false;
    enum error error = is_disclosed(home, &disclosed);
    if (error != E_OK) return fail(failure, error, "the standing policy");
    if (!disclosed) return E_OK;
    TRY(client_view(home, digest, &view, failure));
    bool first = !view.mine && !view.is_reply && !view.sealed && !view.ignored && view.leg_count == 1 &&
                 view.legs[0].state == STATE_NOTIFIED && !view.legs[0].away;
    if (!first) return E_OK;
    error = client_act(home, relay, digest, &(struct act){.event = EVENT_OPENED}, NULL, failure);
    return error == E_WRONG_STATE ? E_OK : error; /* a decision was faster */
}
