/* trail.c - receipts onto legs. */
#include "trail.h"

#include "gossip.h"
#include "header.h"

static struct archive_key duty_key(const uint8_t *digest, const uint8_t *leg, enum leg_event event) {
    return archive_key(digest, leg, event);
}

enum error trail_duty_add(struct home *home, const uint8_t digest[static HASH_SIZE],
                          const uint8_t leg[static HASH_SIZE], enum leg_event event) {
    return archive_set(home->archive, TABLE_DUTY, duty_key(digest, leg, event), (struct bytes){0});
}

enum error trail_duty_done(struct home *home, const uint8_t digest[static HASH_SIZE],
                           const uint8_t leg[static HASH_SIZE], enum leg_event event) {
    return archive_delete(home->archive, TABLE_DUTY, duty_key(digest, leg, event));
}

static enum error entry_of(struct bytes receipt, uint8_t ret_hash[static HASH_SIZE]) {
    struct receipt parts;
    struct bytes payload;
    struct record record;
    TRY(receipt_decode(receipt, &parts));
    TRY(stamp_peek(parts.record, &payload));
    TRY(record_decode(payload, &record));
    if (!record.has_entry) return E_MISSING_FIELD;
    entry_hash(record.entry, ret_hash);
    return E_OK;
}

/* The entry with this ordinal is here: another one with the same ordinal is a proof of the relay's fraud. */
static enum error compare_known(struct home *home, const struct kept_leg *leg, const struct evidence *evidence) {
    AUTO_BUF bytes = {0};
    uint8_t hash[HASH_SIZE];
    bool found = false;
    TRY(archive_get(home->archive, TABLE_ENTRY, archive_key(leg->leg, NULL, evidence->entry.ordinal), &bytes, &found));
    if (!found || entry_of(buf_bytes(&bytes), hash) != E_OK) return E_CORRUPT;
    return memcmp(hash, evidence->entry_hash, HASH_SIZE) == 0 ? E_OK : E_BAD_PROOF;
}

static enum error check_step(const struct kept_request *request, const struct kept_leg *leg,
                             const struct evidence *evidence) {
    enum leg_state to;
    TRY(evidence_follows(evidence, (int64_t)leg->record.entries - 1, leg->record.head));
    if (evidence->entry.from != leg->record.state) return E_BAD_PROOF;
    TRY(leg_step((enum leg_state)leg->record.state, (enum leg_event)evidence->statement.event,
                 header_leg_kind(&request->header), &to));
    return (uint64_t)to == evidence->entry.to ? E_OK : E_BAD_PROOF;
}

/* The wrap set that goes out for it has no wraps: the post has no device yet. */
static bool sealed_for_nobody(const struct keptleg *record) {
    struct bytes payload;
    struct wrapset set;
    return record->has_wrapset && stamp_peek(record->wrapset, &payload) == E_OK &&
           wrapset_decode(payload, &set) == E_OK && set.wraps.count == 0;
}

/* What an entry says of the wrap set that is in force: its generation, for whom it is, and whether anybody can open it. */
static void follow_seals(const struct home *home, const struct kept_request *request, struct keptleg *record,
                         const struct evidence *evidence) {
    const struct statement *statement = &evidence->statement;
    bool forwarded = statement->event == EVENT_FORWARDED;
    if (statement->event == EVENT_STORED) record->generation = 1;
    if (statement->event == EVENT_STORED || statement->event == EVENT_REKEY_NEEDED)
        record->has_rekey = record->rekey =
            statement->event == EVENT_REKEY_NEEDED || (request->record.mine && sealed_for_nobody(record));
    if (statement->event != EVENT_RESEALED && !forwarded) return;
    record->generation = statement->generation;
    record->has_rekey = record->rekey = false;
    if (!forwarded) return;
    record->has_forwarder = true;
    record->forwarder = statement->post;
    record->to = statement->forward;
    record->has_away = record->away = !request->record.mine && bytes_are(statement->post, home->post);
}

static bool may_reseal(enum leg_state state) { /* some row of leg.def takes it */
    enum leg_state same;
    return leg_step(state, EVENT_RESEALED, LEG_REQUEST, &same) == E_OK;
}

/* Who has sent it seals it anew when that is needed, and no longer when it is not (reseal.c). */
static enum error seal_duties(struct home *home, const uint8_t digest[static HASH_SIZE],
                              const struct kept_request *request, const struct kept_leg *leg,
                              const struct evidence *evidence) {
    enum leg_event event = (enum leg_event)evidence->statement.event;
    bool open = may_reseal((enum leg_state)leg->record.state);
    if (event == EVENT_FORWARDED) TRY(trail_duty_done(home, digest, leg->leg, EVENT_FORWARDED));
    if (!request->record.mine) return E_OK;
    if (event == EVENT_REKEY_NEEDED) return trail_duty_add(home, digest, leg->leg, EVENT_RESEALED);
    bool done = event == EVENT_RESEALED || event == EVENT_FORWARDED || !open;
    return done ? trail_duty_done(home, digest, leg->leg, EVENT_RESEALED) : E_OK;
}

static enum error reload(struct home *home, const uint8_t digest[static HASH_SIZE], struct kept_leg *leg) {
    struct kept_leg fresh = {0};
    TRY(kept_leg_load(home->archive, digest, leg->leg, &fresh));
    kept_leg_free(leg);
    *leg = fresh;
    return E_OK;
}

static enum error move(struct home *home, const uint8_t digest[static HASH_SIZE], const struct kept_request *request,
                       struct kept_leg *leg, const struct evidence *evidence, struct bytes receipt) {
    struct keptleg *record = &leg->record;
    TRY(archive_set(home->archive, TABLE_ENTRY, archive_key(leg->leg, NULL, record->entries), receipt));
    record->state = evidence->entry.to;
    record->entries++;
    record->refused = E_OK;
    memcpy(record->head, evidence->entry_hash, HASH_SIZE);
    follow_seals(home, request, record, evidence);
    if (record->state == STATE_STORED) {
        record->has_stored = true;
        record->stored = evidence->entry.time;
    }
    TRY(kept_leg_save(home->archive, digest, leg->leg, record));
    TRY(seal_duties(home, digest, request, leg, evidence));
    if (evidence->statement.event == EVENT_FORWARDED) TRY(reload(home, digest, leg)); /* its views end with the receipt */
    bool ours = !leg->record.away && !request->record.mine && record->state == STATE_ACCEPTED && request->header.has_body;
    return ours ? trail_duty_add(home, digest, leg->leg, EVENT_HANDED_OVER) : E_OK;
}

/* The device that speaks - of a stored request: that sent it - was live where the entry stands in the directory's log.
 * A relay that works with a revoked key cannot make its statements good. */
static enum error check_live(const struct home *home, const struct kept_request *request,
                             const struct evidence *evidence) {
    const uint8_t *key = evidence->statement.has_post ? evidence->statement.device : request->header.device;
    if (!evidence->statement.has_post && evidence->statement.event != EVENT_STORED) return E_OK;
    const struct directory_device *device = directory_device(home->directory, key);
    if (!device) return E_UNKNOWN_DEVICE;
    return directory_live_at(device, evidence->entry.size, evidence->entry.time);
}

static enum error open_receipt(const struct home *home, const uint8_t digest[static HASH_SIZE],
                               const struct kept_leg *leg, struct bytes receipt, struct evidence *ret) {
    TRY(evidence_open(receipt, home->card.statement, ret));
    const struct statement *statement = &ret->statement;
    if (memcmp(statement->header, digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (!statement->has_leg || memcmp(statement->leg, leg->leg, HASH_SIZE) != 0) return E_MISMATCH;
    return E_OK;
}

/* By whom it may be said: of an entry, by the post that the leg is with before it; a receipt without one is this post's own,
 * and may have come too late, after the leg was forwarded from here. */
static enum error check_speaker(const struct home *home, const struct kept_request *request, const struct kept_leg *leg,
                                const struct evidence *evidence) {
    struct leg_posts posts = {.sender = request->header.from, .recipient = leg->record.to};
    if (leg->record.has_forwarder) posts.forwarder = leg->record.forwarder;
    if (!evidence->has_entry && !request->record.mine) posts.recipient = bytes_text(home->post);
    TRY(statement_may_on(&evidence->statement, home->directory, home->card.statement, &posts));
    return evidence->has_entry ? check_live(home, request, evidence) : E_OK;
}

/* What the events that bring a wrap set must say: its generation, and to which other post of the party. */
static enum error check_seal(const struct kept_leg *leg, const struct evidence *evidence) {
    const struct statement *statement = &evidence->statement;
    bool forwarded = statement->event == EVENT_FORWARDED;
    if (!forwarded && statement->event != EVENT_RESEALED) return E_OK;
    if (!statement->has_generation || statement->generation != leg->record.generation + 1) return E_BAD_PROOF;
    if (!forwarded) return E_OK;
    if (!statement->has_forward || !text_is_post(statement->forward)) return E_BAD_PROOF;
    if (bytes_equal(statement->forward, statement->post)) return E_BAD_PROOF;
    return bytes_equal(text_party_of(statement->forward), text_party_of(statement->post)) ? E_OK : E_BAD_PROOF;
}

/* What its speaker saw of the leg must be what this home was shown. */
static enum error compare_seen(struct home *home, const struct kept_leg *leg, const struct evidence *evidence) {
    const struct statement *statement = &evidence->statement;
    if (!statement->has_post || !statement->has_seen || bytes_are(statement->post, home->post)) return E_OK;
    return gossip_seen(home, statement->post, leg->leg, statement->seen);
}

enum error trail_apply(struct home *home, const uint8_t digest[static HASH_SIZE], const struct kept_request *request,
                       struct kept_leg *leg, struct bytes receipt, enum trail_outcome *ret) {
    struct evidence evidence;
    TRY(open_receipt(home, digest, leg, receipt, &evidence));
    if (!evidence.has_entry) {
        TRY(check_speaker(home, request, leg, &evidence));
        TRY(archive_set(home->archive, TABLE_NOTE, archive_key(leg->leg, evidence.statement_hash, 0), receipt));
        *ret = TRAIL_NOTE;
        return E_OK;
    }
    if (evidence.entry.ordinal < leg->record.entries) {
        TRY(compare_known(home, leg, &evidence));
        *ret = TRAIL_KNOWN;
        return E_OK;
    }
    if (evidence.entry.ordinal > leg->record.entries) {
        *ret = TRAIL_EARLY;
        return E_OK;
    }
    TRY(check_speaker(home, request, leg, &evidence));
    TRY(check_step(request, leg, &evidence));
    TRY(check_seal(leg, &evidence));
    TRY(move(home, digest, request, leg, &evidence, receipt));
    TRY(compare_seen(home, leg, &evidence));
    *ret = TRAIL_STEP;
    return E_OK;
}

enum error trail_check_refusal(const struct home *home, const uint8_t digest[static HASH_SIZE], const uint8_t *leg,
                               enum error reason, struct bytes receipt) {
    struct evidence evidence;
    TRY(evidence_open(receipt, home->card.statement, &evidence));
    const struct statement *statement = &evidence.statement;
    TRY(statement_may(statement, home->directory, home->card.statement, (struct bytes){0}, (struct bytes){0}));
    if (statement->event != EVENT_REFUSED || evidence.has_entry) return E_MISMATCH;
    if (memcmp(statement->header, digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (statement->has_leg != (leg != NULL)) return E_MISMATCH;
    if (leg && memcmp(statement->leg, leg, HASH_SIZE) != 0) return E_MISMATCH;
    return statement->has_reason && statement->reason == (uint64_t)reason ? E_OK : E_MISMATCH;
}
