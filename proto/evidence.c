/* evidence.c - statements, entries, records and receipts, taken apart and held against each other. */
#include "evidence.h"

void statement_hash(struct bytes payload, uint8_t ret[static HASH_SIZE]) { stamp_hash(payload, ret); }

void entry_hash(struct bytes entry, uint8_t ret[static HASH_SIZE]) { merkle_leaf(entry, ret); }

static enum error open_statement(struct bytes stamped, struct stamp_cache *cache, struct statement *ret,
                                 uint8_t ret_hash[static HASH_SIZE]) {
    struct bytes payload;
    struct statement statement;
    TRY(stamp_peek(stamped, &payload));
    TRY(statement_decode(payload, &statement));
    if (!leg_event_row(statement.event)) return E_OUT_OF_RANGE;
    TRY(stamp_verify_cached(LABEL_STATEMENT, statement.device, stamped, cache, NULL));
    statement_hash(payload, ret_hash);
    *ret = statement;
    return E_OK;
}

enum error statement_open(struct bytes stamped, struct statement *ret, uint8_t ret_hash[static HASH_SIZE]) {
    struct stamp_cache none = {0};
    return open_statement(stamped, &none, ret, ret_hash);
}

static enum error relay_may(const struct statement *statement, const uint8_t relay_key[static KEY_SIZE]) {
    return !statement->has_post && memcmp(statement->device, relay_key, KEY_SIZE) == 0 ? E_OK : E_NOT_ALLOWED;
}

static bool on_that_side(enum leg_actor actor, struct bytes post, const struct leg_posts *posts) {
    switch (actor) {
    case ACTOR_RECIPIENT: return bytes_equal(post, posts->recipient);
    case ACTOR_SENDER: return bytes_equal(post, posts->sender);
    case ACTOR_EITHER: return bytes_equal(post, posts->sender) || bytes_equal(post, posts->recipient);
    case ACTOR_SEALER:
        return bytes_equal(post, posts->sender) || (posts->forwarder.n > 0 && bytes_equal(post, posts->forwarder));
    case ACTOR_RELAY: break;
    }
    return false;
}

/* A bell says nothing at all; what only a decider may say stands in leg.def. */
static bool role_suffices(enum device_role role, const struct leg_event_row *event) {
    return role == ROLE_DECIDER || (role == ROLE_READER && !event->decider);
}

/* Consent goes with what decides, acknowledges or ends, and is itself a decider's word. */
static enum error disclosure_may(const struct statement *statement, const struct directory_device *device) {
    static const enum leg_event with[] = {EVENT_ACCEPTED, EVENT_DECLINED,  EVENT_ACKNOWLEDGED,
                                          EVENT_CLOSED,   EVENT_WITHDRAWN, EVENT_CONSENTED};
    if (!statement->has_disclosure || !statement->disclosure) return E_OK;
    for (size_t i = 0; i < LENGTH(with); i++)
        if ((uint64_t)with[i] == statement->event) return device->role == ROLE_DECIDER ? E_OK : E_NOT_ALLOWED;
    return E_NOT_ALLOWED;
}

enum error statement_may_on(const struct statement *statement, const struct directory *directory,
                            const uint8_t relay_key[static KEY_SIZE], const struct leg_posts *posts) {
    const struct leg_event_row *event = leg_event_row(statement->event);
    if (!event) return E_NOT_ALLOWED;
    if (event->actor == ACTOR_RELAY) return relay_may(statement, relay_key);
    if (!statement->has_post) return E_NOT_ALLOWED;
    const struct directory_device *device = directory_device(directory, statement->device);
    if (!device) return E_UNKNOWN_DEVICE;
    if (!bytes_are(statement->post, device->post->name)) return E_NOT_ALLOWED;
    if (!on_that_side(event->actor, statement->post, posts)) return E_NOT_ALLOWED;
    TRY(disclosure_may(statement, device));
    return role_suffices(device->role, event) ? E_OK : E_NOT_ALLOWED;
}

enum error statement_may(const struct statement *statement, const struct directory *directory,
                         const uint8_t relay_key[static KEY_SIZE], struct bytes sender_post,
                         struct bytes recipient_post) {
    return statement_may_on(statement, directory, relay_key,
                            &(struct leg_posts){.sender = sender_post, .recipient = recipient_post});
}

/* Some row of leg.def takes `from` by this event to `to`, for whatever kind of leg: which kind, only the header tells.
 */
static bool is_step(uint64_t from, uint64_t event, uint64_t to) {
    const struct leg_step *step;
    for (unsigned n = 0; (step = leg_step_nth(n)); n++)
        if ((uint64_t)step->from == from && (uint64_t)step->event == event && (uint64_t)step->to == to) return true;
    return false;
}

/* A leg's first entry, and only it, comes from nothing and names the leg itself as its predecessor. */
static enum error check_beginning(const struct entry *entry) {
    bool first = entry->ordinal == 0;
    if (first != (entry->from == STATE_NONE)) return E_BAD_PROOF;
    return first && memcmp(entry->previous, entry->leg, HASH_SIZE) != 0 ? E_BAD_PROOF : E_OK;
}

static enum error check_entry(const struct evidence *evidence) {
    const struct statement *statement = &evidence->statement;
    const struct entry *entry = &evidence->entry;
    if (!statement->has_leg || memcmp(entry->leg, statement->leg, HASH_SIZE) != 0) return E_MISMATCH;
    if (memcmp(entry->statement, evidence->statement_hash, HASH_SIZE) != 0) return E_MISMATCH;
    if (entry->time.ms != evidence->record.time.ms) return E_MISMATCH;
    if (!is_step(entry->from, statement->event, entry->to)) return E_WRONG_STATE;
    return check_beginning(entry);
}

static enum error open_record(struct bytes stamped, const uint8_t relay_key[static KEY_SIZE], struct stamp_cache *cache,
                              struct record *ret) {
    struct bytes payload;
    TRY(stamp_verify_cached(LABEL_RECORD, relay_key, stamped, cache, &payload));
    return record_decode(payload, ret);
}

static enum error open_with(struct bytes bytes, const uint8_t relay_key[static KEY_SIZE], struct stamp_cache *cache,
                            struct evidence *ret) {
    struct receipt receipt;
    struct evidence evidence = {0};
    TRY(receipt_decode(bytes, &receipt));
    TRY(open_record(receipt.record, relay_key, cache, &evidence.record));
    TRY(open_statement(receipt.statement, cache, &evidence.statement, evidence.statement_hash));
    if (memcmp(evidence.record.statement, evidence.statement_hash, HASH_SIZE) != 0) return E_MISMATCH;
    if (evidence.record.has_entry != evidence.record.has_index) return E_MALFORMED;
    if (evidence.record.has_entry) {
        TRY(entry_decode(evidence.record.entry, &evidence.entry));
        TRY(check_entry(&evidence));
        entry_hash(evidence.record.entry, evidence.entry_hash);
        evidence.has_entry = true;
    }
    *ret = evidence;
    return E_OK;
}

enum error evidence_open(struct bytes bytes, const uint8_t relay_key[static KEY_SIZE], struct evidence *ret) {
    struct stamp_cache none = {0};
    return open_with(bytes, relay_key, &none, ret);
}

/* As the relay made it: whatever else stood in the note, nothing signed would cover. */
static enum error open_checkpoint(const struct card *card, struct bytes bytes, struct head *ret) {
    struct note note;
    TRY(note_parse(bytes, &note));
    if (note.count != 1) return E_MALFORMED;
    return head_open_log(card, LOG_EVIDENCE, bytes, ret);
}

static enum error flat_path(struct list list, struct buf *out) {
    const uint8_t *hash;
    while (list_next_fixed(&list, HASH_SIZE, &hash)) buf_add(out, hash, HASH_SIZE);
    return buf_error(out);
}

enum error evidence_checkpoint(const struct receipt *receipt, const struct evidence *evidence, const struct card *card,
                               struct head *ret_head) {
    struct head head;
    if (!receipt->has_checkpoint) return E_MISSING_FIELD;
    TRY(open_checkpoint(card, receipt->checkpoint, &head));
    if (head.time.ms < evidence->record.time.ms) return E_OUT_OF_RANGE;
    *ret_head = head;
    return E_OK;
}

enum error evidence_in_log(const struct receipt *receipt, const struct evidence *evidence, const struct head *head) {
    AUTO_BUF path = {0};
    if (!receipt->has_proof) return E_MISSING_FIELD;
    if (evidence->record.index >= head->size) return E_BAD_PROOF;
    TRY(flat_path(receipt->proof, &path));
    return merkle_verify_inclusion(evidence->entry_hash, evidence->record.index, head->size, buf_bytes(&path),
                                   bytes_of(head->root, HASH_SIZE));
}

/* The same bytes under the same card's log say the same: the head that they were opened as. */
static enum error checkpoint_cached(const struct receipt *receipt, const struct evidence *evidence,
                                    const struct card *card, struct evidence_cache *cache, struct head *ret) {
    bool known = receipt->has_checkpoint && cache->checkpoint.n > 0 &&
                 bytes_equal(receipt->checkpoint, buf_bytes(&cache->checkpoint)) &&
                 memcmp(cache->log, card->log, KEY_SIZE) == 0 && strcmp(cache->name, card->name) == 0;
    if (known) {
        *ret = cache->head;
        return cache->head.time.ms < evidence->record.time.ms ? E_OUT_OF_RANGE : E_OK;
    }
    TRY(evidence_checkpoint(receipt, evidence, card, ret));
    buf_clear(&cache->checkpoint);
    buf_add_bytes(&cache->checkpoint, receipt->checkpoint);
    cache->head = *ret;
    memcpy(cache->log, card->log, KEY_SIZE);
    memcpy(cache->name, card->name, sizeof cache->name);
    return buf_error(&cache->checkpoint);
}

enum error evidence_open_cached(struct bytes bytes, const struct card *card, struct evidence_cache *cache,
                                struct evidence *ret, struct head *ret_head) {
    struct receipt receipt;
    struct evidence evidence;
    struct head head = {0};
    TRY(open_with(bytes, card->statement, &cache->stamps, &evidence));
    TRY(receipt_decode(bytes, &receipt));
    if (evidence.has_entry) {
        TRY(checkpoint_cached(&receipt, &evidence, card, cache, &head));
        TRY(evidence_in_log(&receipt, &evidence, &head));
    } else if (receipt.has_checkpoint || receipt.has_proof) {
        return E_MALFORMED;
    }
    *ret = evidence;
    *ret_head = head;
    return E_OK;
}

void evidence_cache_free(struct evidence_cache *cache) { buf_free(&cache->checkpoint); }

enum error evidence_open_logged(struct bytes bytes, const struct card *card, struct evidence *ret,
                                struct head *ret_head) {
    AUTO_EVIDENCE_CACHE none = {0};
    return evidence_open_cached(bytes, card, &none, ret, ret_head);
}

enum error evidence_follows(const struct evidence *evidence, int64_t last_ordinal,
                            const uint8_t last_hash[static HASH_SIZE]) {
    if (!evidence->has_entry || last_ordinal < -1) return E_BAD_PROOF;
    if (evidence->entry.ordinal != (uint64_t)(last_ordinal + 1)) return E_BAD_PROOF;
    return memcmp(evidence->entry.previous, last_hash, HASH_SIZE) == 0 ? E_OK : E_BAD_PROOF;
}

/* ---- keys that have changed ---- */

void evidence_card(const struct directory *directory, struct bytes receipt, const struct card *given,
                   struct card *ret) {
    struct receipt parts;
    struct bytes payload;
    struct record record;
    struct entry entry;
    directory_relay_card_at(directory, UINT64_MAX, given, ret);
    if (receipt_decode(receipt, &parts) != E_OK || stamp_peek(parts.record, &payload) != E_OK) return;
    if (record_decode(payload, &record) != E_OK) return;
    if (record.has_entry) {
        if (entry_decode(record.entry, &entry) == E_OK) directory_relay_card_at(directory, entry.size, given, ret);
        return;
    }
    const struct directory_relay *relay;
    for (size_t n = 0; (relay = directory_relay_nth(directory, n)); n++) {
        struct card then;
        directory_relay_card_at(directory, relay->index, given, &then);
        if (stamp_verify(LABEL_RECORD, then.statement, parts.record, NULL) != E_OK) continue;
        *ret = then;
        return;
    }
}

void evidence_relay_key(const struct directory *directory, const struct evidence *evidence, const struct card *given,
                        uint8_t ret[static KEY_SIZE]) {
    const struct directory_relay *relay;
    struct card card;
    directory_relay_card_at(directory, evidence->has_entry ? evidence->entry.size : UINT64_MAX, given, &card);
    memcpy(ret, card.statement, KEY_SIZE);
    for (size_t n = 0; !evidence->has_entry && (relay = directory_relay_nth(directory, n)); n++) {
        directory_relay_card_at(directory, relay->index, given, &card);
        if (memcmp(card.statement, evidence->statement.device, KEY_SIZE) == 0) memcpy(ret, card.statement, KEY_SIZE);
    }
}
