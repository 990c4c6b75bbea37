/* scribe.c - entries, records and their two signatures a batch. */
#include "scribe.h"

#include <assert.h>
#include <sodium.h>

static void pending_free(struct scribe_pending *pending) {
    buf_free(&pending->statement);
    buf_free(&pending->record);
    buf_free(&pending->receipt);
}

/* ---- finding what is pending ---- */

static size_t bucket(const struct scribe *scribe, const void *bytes, size_t n) {
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES && sizeof scribe->bucket_key >= crypto_shorthash_KEYBYTES,
                   "SipHash");
    crypto_shorthash((uint8_t *)&hash, bytes, n, scribe->bucket_key);
    return hash & (scribe->cap - 1);
}
static size_t bucket_of_hash(const struct scribe *scribe, const uint8_t hash[static HASH_SIZE]) {
    return bucket(scribe, hash, HASH_SIZE);
}
static size_t bucket_of_entry(const struct scribe *scribe, int64_t leg, int64_t ordinal) {
    int64_t both[2] = {leg, ordinal};
    return bucket(scribe, both, sizeof both);
}

static void index_one(struct scribe *scribe, size_t number) {
    struct scribe_pending *pending = &scribe->pending[number];
    int *hash = &scribe->by_hash[bucket_of_hash(scribe, pending->hash)];
    int *entry = &scribe->by_entry[bucket_of_entry(scribe, pending->leg, pending->ordinal)];
    pending->same_hash = *hash;
    pending->same_entry = *entry;
    *hash = *entry = (int)number;
}

static void index_all(struct scribe *scribe) {
    for (size_t i = 0; i < scribe->cap; i++) scribe->by_hash[i] = scribe->by_entry[i] = -1;
    for (size_t i = 0; i < scribe->count; i++) index_one(scribe, i);
}

/* cap stays a power of two, and there are as many buckets. */
static bool grow(struct scribe *scribe) {
    size_t cap = scribe->cap ? scribe->cap * 2 : 64;
    struct scribe_pending *pending = realloc(scribe->pending, cap * sizeof *pending);
    if (pending) scribe->pending = pending;
    int *by_hash = realloc(scribe->by_hash, cap * sizeof *by_hash);
    if (by_hash) scribe->by_hash = by_hash;
    int *by_entry = realloc(scribe->by_entry, cap * sizeof *by_entry);
    if (by_entry) scribe->by_entry = by_entry;
    if (!pending || !by_hash || !by_entry) return false;
    if (scribe->cap == 0) randombytes_buf(scribe->bucket_key, sizeof scribe->bucket_key);
    scribe->cap = cap;
    index_all(scribe);
    return true;
}

static void scribe_clear(struct scribe *scribe) {
    for (size_t i = 0; i < scribe->count; i++) pending_free(&scribe->pending[i]);
    scribe->count = 0;
    index_all(scribe);
}

void scribe_free(struct scribe *scribe) {
    scribe_clear(scribe);
    free(scribe->pending);
    free(scribe->by_hash);
    free(scribe->by_entry);
    *scribe = (struct scribe){0};
}

enum error scribe_begin(struct scribe *scribe, struct store *store, uint64_t directory_size) {
    scribe_clear(scribe);
    scribe->directory_size = directory_size;
    TRY(store->ops->receipt_next(store, &scribe->next_id));
    return store->ops->entry_count(store, &scribe->next_index);
}

static struct scribe_pending *pending_new(struct scribe *scribe) {
    if (scribe->count == scribe->cap && !grow(scribe)) return NULL;
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
    index_one(scribe, scribe->count);
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
    int at = scribe->cap ? scribe->by_hash[bucket_of_hash(scribe, hash)] : -1;
    while (at >= 0 && memcmp(scribe->pending[at].hash, hash, HASH_SIZE) != 0) at = scribe->pending[at].same_hash;
    return at;
}

int scribe_find_entry(const struct scribe *scribe, int64_t leg, int64_t ordinal) {
    int at = scribe->cap ? scribe->by_entry[bucket_of_entry(scribe, leg, ordinal)] : -1;
    while (at >= 0 && (scribe->pending[at].leg != leg || scribe->pending[at].ordinal != ordinal))
        at = scribe->pending[at].same_entry;
    return at;
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
