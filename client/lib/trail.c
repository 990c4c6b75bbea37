/* trail.c - receipts onto legs. */
#include "trail.h"

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

static enum error move(struct home *home, const uint8_t digest[static HASH_SIZE], const struct kept_request *request,
                       struct kept_leg *leg, const struct evidence *evidence, struct bytes receipt) {
    struct keptleg *record = &leg->record;
    TRY(archive_set(home->archive, TABLE_ENTRY, archive_key(leg->leg, NULL, record->entries), receipt));
    record->state = evidence->entry.to;
    record->entries++;
    record->refused = E_OK;
    memcpy(record->head, evidence->entry_hash, HASH_SIZE);
    if (record->state == STATE_STORED) {
        record->has_stored = true;
        record->stored = evidence->entry.time;
    }
    TRY(kept_leg_save(home->archive, digest, leg->leg, record));
    bool ours = !request->record.mine && record->state == STATE_ACCEPTED && request->header.has_body;
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
                               const struct kept_request *request, const struct kept_leg *leg, struct bytes receipt,
                               struct evidence *ret) {
    TRY(evidence_open(receipt, home->card.statement, ret));
    const struct statement *statement = &ret->statement;
    if (memcmp(statement->header, digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (!statement->has_leg || memcmp(statement->leg, leg->leg, HASH_SIZE) != 0) return E_MISMATCH;
    TRY(statement_may(statement, home->directory, home->card.statement, request->header.from, leg->record.to));
    return ret->has_entry ? check_live(home, request, ret) : E_OK;
}

enum error trail_apply(struct home *home, const uint8_t digest[static HASH_SIZE], const struct kept_request *request,
                       struct kept_leg *leg, struct bytes receipt, enum trail_outcome *ret) {
    struct evidence evidence;
    TRY(open_receipt(home, digest, request, leg, receipt, &evidence));
    if (!evidence.has_entry) {
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
    TRY(check_step(request, leg, &evidence));
    TRY(move(home, digest, request, leg, &evidence, receipt));
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
