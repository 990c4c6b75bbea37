/* transition.c - one event on one leg: who may, whether leg.def allows it, the entry, who hears of it, what follows. */
#include "book.h"

#include <stdio.h>

#include "header.h"

enum { RECEIPTS_PER_LEG_MAX = 256 };

static bool settled(const struct store_leg *leg) {
    const struct leg_state_row *row = leg_state_row(leg->state);
    return row->terminal || leg->state == STATE_ACKNOWLEDGED ||
           (leg->kind == LEG_REPLY && leg->state == STATE_HANDED_OVER);
}

static enum error tell(struct book *book, const struct store_leg *leg, int64_t receipt, const char *post,
                       unsigned precedence) {
    struct store_feed item = {.kind = ITEM_CHANGED, .request = leg->request, .leg = leg->id, .receipt = receipt};
    return book_feed(book, post, &item, precedence);
}

/* From the acknowledgement on, `keep` counts anew: the exchange stays open for replies. What is said beside it
 * (CONSENTED) moves nothing. */
static void move_deadline(const struct book *book, struct store_leg *leg, bool was_settled) {
    bool before = was_settled && leg->kind != LEG_REPLY; /* of a reply the hand-over settles */
    if (leg->state == STATE_ACKNOWLEDGED && !before) outage_deadline(book, leg);
}

/* Everything that an entry brings with it, after the scribe has moved the leg. */
enum error transition_follow(struct book *book, struct store_leg *leg, bool was_settled, int pending,
                             unsigned precedence) {
    int64_t receipt = scribe_id(&book->scribe, pending);
    move_deadline(book, leg, was_settled);
    (void)retention_moves(book, leg);
    TRY(book->store->ops->leg_update(book->store, leg));
    TRY(tell(book, leg, receipt, leg->from, precedence));
    bool first = leg->ordinal == 1; /* the recipient learns of STORED by the offer itself */
    if (!first && strcmp(leg->from, leg->to) != 0) TRY(tell(book, leg, receipt, leg->to, precedence));
    if (settled(leg) && !was_settled) TRY(book_quota_legs(book, leg->from, leg->to, leg->exercise, -1));
    TRY(rekey_moved(book, leg));
    return leg_state_row(leg->state)->terminal ? retention_ended(book, leg) : E_OK;
}

enum error transition_relay(struct book *book, struct store_leg *leg, const uint8_t header[static HASH_SIZE],
                            enum leg_event event, const uint64_t *reason, unsigned precedence, int *ret_pending) {
    enum leg_state to;
    TRY(leg_step(leg->state, event, leg->kind, &to));
    AUTO_BUF payload = {0};
    struct scribe_words words = {event, header, leg->leg, book->statement_key, book->now, reason, 0};
    struct scribe_note note = {.own = true, .now = book->now};
    if (event == EVENT_EXPIRED) words.grace_s = outage_grace_s(book, leg);
    TRY(scribe_own(&words, &payload, note.hash));
    note.statement = buf_bytes(&payload);
    bool was_settled = settled(leg);
    TRY(scribe_entry(&book->scribe, &note, leg, to, ret_pending));
    return transition_follow(book, leg, was_settled, *ret_pending, precedence);
}

/* ---- statements of devices ---- */

/* A statement that does not move the leg: is it a repeat of what already is, or a decision that came too late, or
 * neither? */
static enum error judge_repeat(const struct statement *statement, const struct store_leg *leg, bool *ret_keep) {
    *ret_keep = true;
    enum leg_state target;
    switch ((enum leg_event)statement->event) {
    case EVENT_NOTIFIED: target = STATE_NOTIFIED; break;
    case EVENT_OPENED: target = STATE_OPENED; break;
    case EVENT_ACCEPTED: target = STATE_ACCEPTED; break;
    case EVENT_HANDED_OVER: target = STATE_HANDED_OVER; break;
    case EVENT_ACKNOWLEDGED: target = STATE_ACKNOWLEDGED; break;
    case EVENT_DECLINED: return leg->state == STATE_DECLINED ? E_OK : E_WRONG_STATE;
    case EVENT_WITHDRAWN: return leg->state == STATE_WITHDRAWN ? E_OK : E_WRONG_STATE;
    case EVENT_CLOSED: return leg->state == STATE_CLOSED ? E_OK : E_WRONG_STATE;
    case EVENT_CANNOT_OPEN: return E_OK;
    case EVENT_FORWARDED: return E_WRONG_STATE;
    case EVENT_CONSENTED: *ret_keep = false; return E_WRONG_STATE; /* a repeat: apply */
    default: *ret_keep = false; return E_NOT_ALLOWED;
    }
    if (target <= leg->furthest) return E_OK;
    bool late_decision = statement->event == EVENT_ACCEPTED;
    bool late_note = statement->event == EVENT_NOTIFIED || statement->event == EVENT_OPENED; /* after the end: a note */
    bool after_the_end = leg->state == STATE_EXPIRED || leg->state == STATE_CLOSED; /* it may be true all the same */
    *ret_keep = late_decision || late_note || after_the_end;
    return late_note ? E_OK : E_WRONG_STATE;
}

/* A device receipt: shown to the signer's own post only. Each side has its own room, so that neither can use up the
 * other's. */
static enum error keep_receipt(struct book *book, const struct scribe_note *note, const struct statement *statement,
                               struct store_leg *leg, struct outcome *outcome) {
    enum store_side side = bytes_are(statement->post, leg->from) ? SIDE_SENDER : SIDE_RECIPIENT;
    if (leg->notes[side] >= RECEIPTS_PER_LEG_MAX) {
        outcome->error = E_OVER_QUOTA;
        return E_OK;
    }
    leg->notes[side]++;
    TRY(book->store->ops->leg_update(book->store, leg));
    TRY(scribe_record(&book->scribe, note, leg->id, &outcome->pending));
    char post[POST_MAX + 1];
    snprintf(post, sizeof post, "%.*s", (int)statement->post.n, (const char *)statement->post.p);
    return tell(book, leg, scribe_id(&book->scribe, outcome->pending), post, PRECEDENCE_ROUTINE);
}

/* What was said beside the step, or instead of one, has effects of its own. */
static enum error take_note(struct book *book, const struct statement *statement, struct store_leg *leg) {
    if (statement->event == EVENT_HANDED_OVER) return retention_handed_over(book, leg, statement->device);
    return statement->event == EVENT_CANNOT_OPEN ? rekey_cannot_open(book, leg, statement) : E_OK;
}

static enum error apply(struct book *book, const struct scribe_note *note, const struct statement *statement,
                        const struct said *said, struct store_leg *leg, struct outcome *outcome) {
    enum leg_state to;
    bool reseals = statement->event == EVENT_RESEALED || statement->event == EVENT_FORWARDED;
    if (reseals) {
        TRY(reseal_apply(book, note, statement, said, leg, outcome));
        bool lost = statement->event == EVENT_FORWARDED && outcome->error == E_WRONG_STATE;
        return lost ? keep_receipt(book, note, statement, leg, outcome) : E_OK;
    }
    bool consented = false; /* once a side is an entry; the step alone would take it for ever */
    if (statement->event == EVENT_CONSENTED) TRY(reseal_consented(book, leg, statement->post, &consented));
    if (consented) return keep_receipt(book, note, statement, leg, outcome);
    if (leg_step(leg->state, (enum leg_event)statement->event, leg->kind, &to) == E_OK) {
        bool was_settled = settled(leg);
        TRY(scribe_entry(&book->scribe, note, leg, to, &outcome->pending));
        TRY(transition_follow(book, leg, was_settled, outcome->pending, PRECEDENCE_ROUTINE));
        return take_note(book, statement, leg);
    }
    bool keep;
    enum error judged = outcome->error = judge_repeat(statement, leg, &keep);
    if (keep) TRY(keep_receipt(book, note, statement, leg, outcome));
    return judged == E_OK ? take_note(book, statement, leg) : E_OK; /* also when there was no room for the receipt */
}

/* Of a post that the leg has left, what only notes something is welcome, and nothing else counts. */
static enum error judge_late(const struct statement *statement) {
    bool notes =
        statement->event == EVENT_NOTIFIED || statement->event == EVENT_OPENED || statement->event == EVENT_CANNOT_OPEN;
    return notes ? E_OK : E_WRONG_STATE;
}

/* Said by a post that has forwarded the leg meanwhile: it comes too late, and is kept as what it was. */
static enum error apply_late(struct book *book, const struct scribe_note *note, const struct statement *statement,
                             struct store_leg *leg, struct outcome *outcome) {
    outcome->error = judge_late(statement);
    return keep_receipt(book, note, statement, leg, outcome);
}

/* May it be said by this post? *ret_late: it might have been, before this post forwarded the leg. */
static enum error judge_speaker(struct book *book, const struct statement *statement, const struct store_leg *leg,
                                enum error *ret, bool *ret_late) {
    char forwarder[POST_MAX + 1] = "";
    uint32_t ordinal;
    *ret_late = false;
    bool stranger = !bytes_are(statement->post, leg->to) && !bytes_are(statement->post, leg->from);
    if (stranger && statement->event == EVENT_RESEALED) TRY(reseal_forwarder(book, leg, forwarder));
    struct leg_posts posts = {bytes_text(leg->from), bytes_text(leg->to), bytes_text(forwarder)};
    *ret = statement_may_on(statement, book_directory(book), book->statement_key, &posts);
    if (*ret != E_NOT_ALLOWED || !stranger || statement->event == EVENT_RESEALED) return E_OK;
    posts.recipient = statement->post;
    if (statement_may_on(statement, book_directory(book), book->statement_key, &posts) != E_OK) return E_OK;
    TRY(reseal_left(book, leg, statement->post, &ordinal, ret_late));
    if (*ret_late) *ret = E_OK;
    return E_OK;
}

/* What was answered once is answered the same again: the statement's hash names it. */
static enum error answered_before(struct book *book, const struct store_leg *leg, const uint8_t hash[static HASH_SIZE],
                                  struct outcome *outcome, bool *ret) {
    *ret = true;
    outcome->pending = scribe_find(&book->scribe, hash);
    if (outcome->pending >= 0) return E_OK;
    enum error error = book->store->ops->receipt_by_hash(book->store, leg->id, hash, &outcome->receipt);
    if (error == E_OK) return E_OK;
    *ret = false;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}

/* Did that answer bring an entry? */
static bool has_entry(const struct book *book, const struct outcome *outcome) {
    struct receipt receipt;
    struct record record;
    struct bytes payload;
    if (outcome->pending >= 0) return book->scribe.pending[outcome->pending].ordinal >= 0;
    return receipt_decode(buf_bytes(&outcome->receipt), &receipt) == E_OK &&
           stamp_peek(receipt.record, &payload) == E_OK && record_decode(payload, &record) == E_OK && record.has_entry;
}

/* E_OK in *ret and the leg, or what the peer did wrong. */
static enum error find_leg(struct book *book, const struct statement *statement, struct store_leg *ret_leg,
                           enum error *ret) {
    struct store_request request;
    *ret = E_MALFORMED;
    if (!statement->has_leg) return E_OK;
    enum error error = book->store->ops->leg_by_id(book->store, statement->leg, ret_leg);
    if (error == E_UNKNOWN_REQUEST) *ret = E_UNKNOWN_REQUEST;
    if (error == E_UNKNOWN_REQUEST) return E_OK;
    TRY(error);
    TRY(book->store->ops->request_by_row(book->store, ret_leg->request, &request));
    *ret = memcmp(request.digest, statement->header, HASH_SIZE) == 0 ? E_OK : E_MISMATCH;
    return E_OK;
}

/* A decision that came too late has a receipt, and is still not what happened. */
static enum error judge_again(struct book *book, const struct statement *statement, const struct store_leg *leg,
                              struct outcome *outcome) {
    bool keep;
    uint32_t ordinal;
    bool left;
    TRY(reseal_left(book, leg, statement->post, &ordinal, &left));
    outcome->error = judge_repeat(statement, leg, &keep);
    if (statement->event == EVENT_CONSENTED) outcome->error = E_OK; /* only a repeat is kept without an entry */
    if (left) outcome->error = judge_late(statement);
    return E_OK;
}

/* Accepted, now or before, by the post that it is with: the body may go along. */
static enum error body_along(struct book *book, const struct statement *statement, const struct store_leg *leg,
                             enum error outcome, struct response *response) {
    bool accepted = outcome == E_OK && statement->event == EVENT_ACCEPTED && bytes_are(statement->post, leg->to);
    if (response->room == 0 || !accepted || !leg_releases_body(leg->state, leg->kind)) return E_OK;
    struct store_request request;
    TRY(book->store->ops->request_by_row(book->store, leg->request, &request));
    return response_along(response, request.id, PART_BODY, request.digest);
}

/* One statement; the leg that it is about, when it is known. */
static enum error judge(struct book *book, const struct job *job, const struct said *said,
                        const struct scribe_note *note, const struct statement *statement, struct store_leg *leg,
                        struct outcome *outcome) {
    bool before = false, late;
    enum error wrong;
    TRY(find_leg(book, statement, leg, &wrong));
    if (wrong == E_OK) TRY(answered_before(book, leg, note->hash, outcome, &before));
    if (before) return has_entry(book, outcome) ? E_OK : judge_again(book, statement, leg, outcome);
    outcome->error = book_live(book, book_device(book, job));
    if (outcome->error == E_OK) outcome->error = wrong;
    if (outcome->error != E_OK) return E_OK;
    TRY(judge_speaker(book, statement, leg, &outcome->error, &late));
    if (outcome->error != E_OK) return E_OK;
    return late ? apply_late(book, note, statement, leg, outcome) : apply(book, note, statement, said, leg, outcome);
}

static enum error one(struct book *book, const struct job *job, const struct said *said, struct response *response) {
    struct bytes payload;
    struct statement statement;
    struct store_leg leg;
    uint8_t nobody[HASH_SIZE] = {0};
    struct scribe_note note = {.statement = said->statement, .now = book->now};
    enum error wrong = stamp_peek(said->statement, &payload);
    if (wrong == E_OK) wrong = statement_decode(payload, &statement);
    if (wrong == E_OK) statement_hash(payload, note.hash);
    struct outcome *outcome = response_outcome(response, wrong == E_OK ? note.hash : nobody, wrong);
    if (!outcome) return E_NO_MEMORY;
    if (wrong != E_OK) return E_OK;
    if (!job->has_device || memcmp(statement.device, job->device, KEY_SIZE) != 0) {
        outcome->error = E_NOT_ALLOWED;
        return E_OK;
    }
    TRY(judge(book, job, said, &note, &statement, &leg, outcome));
    return body_along(book, &statement, &leg, outcome->error, response);
}

enum error transition_state(struct book *book, const struct job *job, const struct state *state,
                            struct response *response) {
    struct list list = state->said;
    struct said said;
    response->type = MESSAGE_STATED;
    response->room = state->has_room ? state->room : 0;
    while (said_next(&list, &said)) TRY(one(book, job, &said, response));
    return E_OK;
}
