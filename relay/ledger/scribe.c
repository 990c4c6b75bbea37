/* scribe.c - entries, records and their two signatures a batch. */
#include "scribe.h"

#include <assert.h>
#include <sodium.h>

static void pending_free(struct scribe_pending *pending) {
    buf_free(&pending->statement);
    buf_free(&pending->record);
    buf_free(&pending->receipt);
}

static void scribe_clear(struct scribe *scribe) {
    for (size_t i = 0; i < scribe->count; i++) pending_free(&scribe->pending[i]);
    scribe->count = 0;
}

void scribe_free(struct scribe *scribe) {
    scribe_clear(scribe);
    free(scribe->pending);
    *scribe = (struct scribe){0};
}

enum error scribe_begin(struct scribe *scribe, struct store *store, uint64_t directory_size) {
    scribe_clear(scribe);
    scribe->directory_size = directory_size;
    TRY(store->ops->receipt_next(store, &scribe->next_id));
    return store->ops->entry_count(store, &scribe->next_index);
}

static struct scribe_pending *pending_new(struct scribe *scribe) {
    if (scribe->count == scribe->cap) {
        size_t cap = scribe->cap ? scribe->cap * 2 : 64;
        struct scribe_pending *grown = realloc(scribe->pending, cap * sizeof *grown);
        if (!grown) return NULL;
        scribe->pending = grown;
        scribe->cap = cap;
    }
    struct scribe_pending *pending = &scribe->pending[scribe->count];
    *pending = (struct scribe_pending){.ordinal = -1, .index = -1, .kept = true};
    return pending;
}

/* The new pending counts only when everything of it is there. */
static enum error keep(struct scribe *scribe, const struct scribe_note *note, const struct record *record,
                       struct scribe_pending *pending, int *ret) {
    memcpy(pending->hash, note->hash, HASH_SIZE);
    pending->own = note->own;
    buf_add_bytes(&pending->statement, note->statement);
    record_encode(record, &pending->record);
    if (pending->statement.failed || pending->record.failed) {
        pending_free(pending);
        return E_NO_MEMORY;
    }
    pending->id = pending->kept ? scribe->next_id++ : -1;
    *ret = (int)scribe->count++;
    return E_OK;
}

enum error scribe_entry(struct scribe *scribe, const struct scribe_note *note, struct store_leg *leg, enum leg_state to,
                        int *ret) {
    struct scribe_pending *pending = pending_new(scribe);
    if (!pending) return E_NO_MEMORY;
    struct entry entry = {
        .ordinal = leg->ordinal, .from = leg->state, .to = to, .size = scribe->directory_size, .time = note->now};
    memcpy(entry.leg, leg->leg, HASH_SIZE);
    memcpy(entry.previous, leg->head, HASH_SIZE);
    memcpy(entry.statement, note->hash, HASH_SIZE);
    AUTO_BUF bytes = {0};
    entry_encode(&entry, &bytes);
    TRY(buf_error(&bytes));
    struct record record = {.time = note->now,
                            .has_entry = true,
                            .entry = buf_bytes(&bytes),
                            .has_index = true,
                            .index = scribe->next_index};
    memcpy(record.statement, note->hash, HASH_SIZE);
    pending->leg = leg->id;
    pending->ordinal = leg->ordinal;
    pending->index = (int64_t)scribe->next_index;
    TRY(keep(scribe, note, &record, pending, ret));
    scribe->next_index++;
    entry_hash(buf_bytes(&bytes), leg->head);
    memcpy(scribe->pending[*ret].entry, leg->head, HASH_SIZE);
    leg->ordinal++;
    leg->state = to;
    if (!leg_state_row(to)->terminal && to > leg->furthest) leg->furthest = to;
    return E_OK;
}

enum error scribe_record(struct scribe *scribe, const struct scribe_note *note, int64_t leg, int *ret) {
    struct scribe_pending *pending = pending_new(scribe);
    if (!pending) return E_NO_MEMORY;
    struct record record = {.time = note->now};
    memcpy(record.statement, note->hash, HASH_SIZE);
    pending->leg = leg;
    return keep(scribe, note, &record, pending, ret);
}

enum error scribe_refusal(struct scribe *scribe, const struct scribe_note *note, int *ret) {
    struct scribe_pending *pending = pending_new(scribe);
    if (!pending) return E_NO_MEMORY;
    struct record record = {.time = note->now};
    memcpy(record.statement, note->hash, HASH_SIZE);
    pending->kept = false;
    return keep(scribe, note, &record, pending, ret);
}

int scribe_find(const struct scribe *scribe, const uint8_t hash[static HASH_SIZE]) {
    for (size_t i = 0; i < scribe->count; i++)
        if (memcmp(scribe->pending[i].hash, hash, HASH_SIZE) == 0) return (int)i;
    return -1;
}

int scribe_find_entry(const struct scribe *scribe, int64_t leg, int64_t ordinal) {
    for (size_t i = 0; i < scribe->count; i++)
        if (scribe->pending[i].leg == leg && scribe->pending[i].ordinal == ordinal) return (int)i;
    return -1;
}

int64_t scribe_id(const struct scribe *scribe, int pending) { return scribe->pending[pending].id; }

uint64_t scribe_entries(const struct scribe *scribe) {
    uint64_t count = 0;
    for (size_t i = 0; i < scribe->count; i++) count += scribe->pending[i].index >= 0;
    return count;
}

struct bytes scribe_receipt(const struct scribe *scribe, int pending) {
    assert(pending >= 0 && (size_t)pending < scribe->count);
    return buf_bytes(&scribe->pending[pending].receipt);
}

/* Signs the chosen payloads of all pending with one signature; each result replaces its payload. */
static enum error sign_all(struct scribe *scribe, enum label label, bool own_statements,
                           const uint8_t secret[static SIGN_SECRET_SIZE]) {
    AUTO_FREE(struct bytes) payloads = calloc(scribe->count + 1, sizeof *payloads);
    AUTO_FREE(struct buf) stamped = calloc(scribe->count + 1, sizeof *stamped);
    if (!payloads || !stamped) return E_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < scribe->count; i++) {
        const struct scribe_pending *pending = &scribe->pending[i];
        if (own_statements && !pending->own) continue;
        payloads[n++] = buf_bytes(own_statements ? &pending->statement : &pending->record);
    }
    if (n == 0) return E_OK;
    enum error error = stamp_sign(label, secret, payloads, n, stamped);
    for (size_t i = 0, at = 0; i < scribe->count && error == E_OK; i++) {
        struct scribe_pending *pending = &scribe->pending[i];
        if (own_statements && !pending->own) continue;
        struct buf *target = own_statements ? &pending->statement : &pending->record;
        buf_free(target);
        *target = buf_take(&stamped[at++]);
    }
    for (size_t i = 0; i < n; i++) buf_free(&stamped[i]);
    return error;
}

enum error scribe_sign(struct scribe *scribe, struct store *store, const uint8_t secret[static SIGN_SECRET_SIZE]) {
    TRY(sign_all(scribe, LABEL_STATEMENT, true, secret));
    TRY(sign_all(scribe, LABEL_RECORD, false, secret));
    for (size_t i = 0; i < scribe->count; i++) {
        struct scribe_pending *pending = &scribe->pending[i];
        struct receipt receipt = {.statement = buf_bytes(&pending->statement), .record = buf_bytes(&pending->record)};
        receipt_encode(&receipt, &pending->receipt);
        TRY(buf_error(&pending->receipt));
        if (!pending->kept) continue;
        TRY(store->ops->receipt_put(store, pending->id, pending->hash, pending->leg, pending->ordinal, pending->index,
                                    buf_bytes(&pending->receipt)));
    }
    return E_OK;
}

enum error scribe_own(const struct scribe_words *words, struct buf *ret_payload, uint8_t ret_hash[static HASH_SIZE]) {
    struct statement statement = {.event = words->event,
                                  .has_leg = words->leg != NULL,
                                  .time = words->now,
                                  .has_reason = words->reason != NULL,
                                  .reason = words->reason ? *words->reason : 0,
                                  .has_grace = words->grace_s > 0,
                                  .grace = words->grace_s};
    memcpy(statement.header, words->header, HASH_SIZE);
    if (words->leg) memcpy(statement.leg, words->leg, HASH_SIZE);
    memcpy(statement.device, words->key, KEY_SIZE);
    randombytes_buf(statement.nonce, NONCE_SIZE);
    statement_encode(&statement, ret_payload);
    TRY(buf_error(ret_payload));
    statement_hash(buf_bytes(ret_payload), ret_hash);
    return E_OK;
}
