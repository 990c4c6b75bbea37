/* reseal.c - a new wrap set for a leg: made again for the post that it is with (RESEALED), or for another post of the same
 * party (FORWARDED). Both are statements that bring a wrap set along, both raise the generation, and in both the wraps are
 * for exactly the devices that this ledger would name. What the leg has been through stands in its entries and is read from
 * there. */
#include "book.h"

#include <stdio.h>

enum { GENERATIONS_MAX = 256 }; /* of one leg: its evidence must not grow without end */

/* ---- who it was with ---- */

/* The statement of the leg's entry with this ordinal, if a device has made it. */
static enum error entry_statement(struct book *book, const struct store_leg *leg, uint32_t ordinal, struct buf *bytes,
                                  struct statement *ret, bool *ret_found) {
    struct bytes stamped, payload;
    struct receipt receipt;
    *ret_found = false;
    int pending = scribe_find_entry(&book->scribe, leg->id, ordinal);
    if (pending >= 0 && book->scribe.pending[pending].own) return E_OK;
    if (pending >= 0) {
        stamped = buf_bytes(&book->scribe.pending[pending].statement);
    } else {
        TRY(book->store->ops->receipt_of(book->store, leg->id, ordinal, bytes));
        if (receipt_decode(buf_bytes(bytes), &receipt) != E_OK) return E_CORRUPT;
        stamped = receipt.statement;
    }
    if (stamp_peek(stamped, &payload) != E_OK || statement_decode(payload, ret) != E_OK) return E_CORRUPT;
    *ret_found = true;
    return E_OK;
}

/* The last entry by which the leg was forwarded; by: only by this post, if it has bytes. */
static enum error last_forward(struct book *book, const struct store_leg *leg, struct bytes by, uint32_t *ret_ordinal,
                               char ret_post[static POST_MAX + 1], bool *ret_found) {
    *ret_found = false;
    for (uint32_t ordinal = leg->ordinal; ordinal-- > 0;) {
        AUTO_BUF bytes = {0};
        struct statement statement;
        bool found;
        TRY(entry_statement(book, leg, ordinal, &bytes, &statement, &found));
        if (!found || statement.event != EVENT_FORWARDED) continue;
        if (by.n > 0 && !bytes_equal(statement.post, by)) continue;
        *ret_ordinal = ordinal;
        snprintf(ret_post, POST_MAX + 1, "%.*s", (int)statement.post.n, (const char *)statement.post.p);
        *ret_found = true;
        return E_OK;
    }
    return E_OK;
}

enum error reseal_forwarder(struct book *book, const struct store_leg *leg, char ret[static POST_MAX + 1]) {
    uint32_t ordinal;
    bool found;
    ret[0] = 0;
    return last_forward(book, leg, (struct bytes){0}, &ordinal, ret, &found);
}

enum error reseal_left(struct book *book, const struct store_leg *leg, struct bytes post, uint32_t *ret_ordinal,
                       bool *ret) {
    char by[POST_MAX + 1];
    *ret = false;
    if (bytes_are(post, leg->to) || bytes_are(post, leg->from)) return E_OK;
    return last_forward(book, leg, post, ret_ordinal, by, ret);
}

enum error reseal_consented(struct book *book, const struct store_leg *leg, struct bytes post, bool *ret) {
    *ret = false;
    for (uint32_t ordinal = leg->ordinal; ordinal-- > 0;) {
        AUTO_BUF bytes = {0};
        struct statement statement;
        bool found;
        TRY(entry_statement(book, leg, ordinal, &bytes, &statement, &found));
        if (!found || !bytes_equal(statement.post, post)) continue;
        *ret |= statement.event == EVENT_CONSENTED || (statement.has_disclosure && statement.disclosure);
    }
    return E_OK;
}

/* ---- the new wrap set ---- */

/* What is wrong with it as the wrap set of this statement, for the readers of `to`, or E_OK. */
static enum error check_set(struct book *book, const struct statement *statement, const struct store_leg *leg,
                            const char *to, struct bytes stamped, enum error *ret_wrong) {
    struct bytes payload;
    struct wrapset set;
    *ret_wrong = E_MALFORMED;
    if (stamp_peek(stamped, &payload) != E_OK || wrapset_decode(payload, &set) != E_OK) return E_OK;
    *ret_wrong = E_NOT_ALLOWED;
    if (memcmp(set.signer, statement->device, KEY_SIZE) != 0) return E_OK;
    *ret_wrong = E_MISMATCH;
    if (memcmp(set.header, statement->header, HASH_SIZE) != 0) return E_OK;
    if (!set.has_leg || memcmp(set.leg, leg->leg, HASH_SIZE) != 0) return E_OK;
    if (!statement->has_generation || statement->generation != set.generation) return E_OK;
    if (set.generation <= leg->generation) *ret_wrong = E_CONFLICT; /* a sister was first: hers stands */
    if (set.generation <= leg->generation) return E_OK;
    *ret_wrong = E_OUT_OF_RANGE;
    if (set.generation != (uint64_t)leg->generation + 1) return E_OK;
    *ret_wrong = E_WRONG_STATE;
    if (set.generation > GENERATIONS_MAX) return E_OK;
    TRY(submission_check_readers(book, bytes_text(to), &set, ret_wrong));
    return *ret_wrong == E_OK ? submission_check_seen(book, &set, ret_wrong) : E_OK;
}

static enum error put_set(struct book *book, struct store_leg *leg, struct bytes stamped) {
    leg->generation++;
    leg->needs_rekey = false;
    TRY(rekey_resealed(book, leg));
    return book->store->ops->leg_reseal(book->store, leg->id, leg->generation, stamped);
}

/* The post's devices get the leg once more, with the wraps that they can open now. */
static enum error offer_again(struct book *book, const struct store_leg *leg, int pending) {
    struct store_feed item = {
        .kind = ITEM_OFFERED, .request = leg->request, .leg = leg->id, .receipt = scribe_id(&book->scribe, pending)};
    return book_feed(book, leg->to, &item, PRECEDENCE_ROUTINE);
}

static bool is_empty(struct bytes stamped) {
    struct bytes payload;
    struct wrapset set;
    return stamp_peek(stamped, &payload) == E_OK && wrapset_decode(payload, &set) == E_OK && set.wraps.count == 0;
}

static enum error take_resealed(struct book *book, const struct scribe_note *note, const struct statement *statement,
                                struct bytes stamped, struct store_leg *leg, struct outcome *outcome) {
    enum leg_state same;
    outcome->error = leg_step(leg->state, EVENT_RESEALED, leg->kind, &same);
    if (outcome->error != E_OK) return E_OK;
    TRY(check_set(book, statement, leg, leg->to, stamped, &outcome->error));
    if (outcome->error == E_OK && is_empty(stamped)) outcome->error = E_WRONG_STATE; /* still nobody to seal it for */
    if (outcome->error != E_OK) return E_OK;
    TRY(put_set(book, leg, stamped));
    TRY(scribe_entry(&book->scribe, note, leg, same, &outcome->pending));
    TRY(transition_follow(book, leg, false, outcome->pending, PRECEDENCE_ROUTINE));
    return offer_again(book, leg, outcome->pending);
}

/* Another post of the same party that takes new requests, and has no leg of this request yet. */
static enum error check_target(struct book *book, const struct statement *statement, const struct store_leg *leg,
                               char ret_to[static POST_MAX + 1], enum error *ret_wrong) {
    struct bytes to = statement->forward;
    struct store_leg other;
    *ret_wrong = E_MALFORMED;
    if (!statement->has_forward) return E_OK;
    *ret_wrong = E_NOT_ALLOWED;
    if (!bytes_equal(text_party_of(to), text_party_of(bytes_text(leg->to)))) return E_OK;
    if (bytes_are(to, leg->to) || bytes_are(to, leg->from)) return E_OK;
    const struct directory_post *post = directory_post(book_directory(book), to);
    *ret_wrong = post ? directory_may_receive(post) : E_UNKNOWN_POST;
    if (*ret_wrong == E_DEPARTED) *ret_wrong = E_OK; /* what is open finishes, also within a party that leaves */
    if (*ret_wrong != E_OK) return E_OK;
    snprintf(ret_to, POST_MAX + 1, "%s", post->name);
    for (unsigned n = 0; n < LEGS_MAX; n++) {
        enum error error = book->store->ops->leg_nth(book->store, leg->request, n, &other);
        if (error == E_UNKNOWN_REQUEST) return E_OK;
        TRY(error);
        if (other.id != leg->id && bytes_are(to, other.to)) *ret_wrong = E_NOT_ALLOWED;
    }
    return E_OK;
}

static enum error tell(struct book *book, const struct store_leg *leg, int pending, const char *post) {
    struct store_feed item = {
        .kind = ITEM_CHANGED, .request = leg->request, .leg = leg->id, .receipt = scribe_id(&book->scribe, pending)};
    return book_feed(book, post, &item, PRECEDENCE_ROUTINE);
}

/* The leg changes hands. From here on the old post hears no more of it; what it has, it keeps. */
static enum error hand_on(struct book *book, const struct scribe_note *note, struct store_leg *leg, const char *to,
                          enum leg_state state, struct outcome *outcome) {
    char old[POST_MAX + 1];
    snprintf(old, sizeof old, "%s", leg->to);
    TRY(scribe_entry(&book->scribe, note, leg, state, &outcome->pending));
    snprintf(leg->to, sizeof leg->to, "%s", to);
    TRY(book->store->ops->leg_update(book->store, leg));
    TRY(book_quota_legs(book, leg->from, old, leg->exercise, -1));
    TRY(book_quota_legs(book, leg->from, leg->to, leg->exercise, 1));
    TRY(tell(book, leg, outcome->pending, leg->from));
    TRY(tell(book, leg, outcome->pending, old));
    return offer_again(book, leg, outcome->pending);
}

static enum error take_forwarded(struct book *book, const struct scribe_note *note, const struct statement *statement,
                                 struct bytes stamped, struct store_leg *leg, struct outcome *outcome) {
    char to[POST_MAX + 1];
    enum leg_state state;
    outcome->error = leg_step(leg->state, EVENT_FORWARDED, leg->kind, &state);
    if (outcome->error != E_OK) return E_OK;
    TRY(check_target(book, statement, leg, to, &outcome->error));
    if (outcome->error != E_OK) return E_OK;
    TRY(check_set(book, statement, leg, to, stamped, &outcome->error));
    if (outcome->error != E_OK) return E_OK;
    TRY(put_set(book, leg, stamped));
    TRY(hand_on(book, note, leg, to, state, outcome));
    return rekey_judge(book, leg, statement->header);
}

enum error reseal_apply(struct book *book, const struct scribe_note *note, const struct statement *statement,
                        const struct said *said, struct store_leg *leg, struct outcome *outcome) {
    if (!said->has_wrapset) {
        outcome->error = E_MISSING_FIELD;
        return E_OK;
    }
    return statement->event == EVENT_FORWARDED ? take_forwarded(book, note, statement, said->wrapset, leg, outcome)
                                               : take_resealed(book, note, statement, said->wrapset, leg, outcome);
}
