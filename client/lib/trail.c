/* trail.c - receipts onto legs. */
#include "trail.h"
#include "loss.h"

#include "evlog.h"
#include "gossip.h"
#include "header.h"
#include "history.h"
#include "libpouch.h"

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

/* The entry with this ordinal is here: another one with the same ordinal is a proof of the relay's fraud. *ret_bare: it
 * was kept before there was an evidence log, without its place there. */
static enum error compare_known(struct home *home, const struct kept_leg *leg, const struct evidence *evidence,
                                bool *ret_bare) {
    AUTO_BUF bytes = {0};
    uint8_t hash[HASH_SIZE];
    struct receipt receipt;
    bool found = false;
    TRY(archive_get(home->archive, TABLE_ENTRY, archive_key(leg->leg, NULL, evidence->entry.ordinal), &bytes, &found));
    if (!found || entry_of(buf_bytes(&bytes), hash) != E_OK) return E_CORRUPT;
    if (memcmp(hash, evidence->entry_hash, HASH_SIZE) != 0) return E_BAD_PROOF;
    *ret_bare = receipt_decode(buf_bytes(&bytes), &receipt) == E_OK && !receipt.has_checkpoint;
    return E_OK;
}

/* As far as the leg has come. */
static struct history history_here(const struct kept_request *request, const struct kept_leg *leg) {
    const struct keptleg *record = &leg->record;
    struct history history = {.sender = request->header.from,
                              .device = request->header.device,
                              .kind = header_leg_kind(&request->header),
                              .with = record->to,
                              .forwarder = record->has_forwarder ? record->forwarder : (struct bytes){0},
                              .state = (enum leg_state)record->state,
                              .entries = record->entries,
                              .generation = record->generation,
                              .time = record->stored};
    memcpy(history.head, record->head, HASH_SIZE);
    return history;
}

/* The wrap set that goes out for it has no wraps: the post has no device yet. */
static bool sealed_for_nobody(const struct keptleg *record) {
    struct bytes payload;
    struct wrapset set;
    return record->has_wrapset && stamp_peek(record->wrapset, &payload) == E_OK &&
           wrapset_decode(payload, &set) == E_OK && set.wraps.count == 0;
}

/* What an entry says of the wrap set that is in force: for whom it is, and whether anybody can open it. */
static void follow_seals(const struct home *home, const struct kept_request *request, struct keptleg *record,
                         const struct evidence *evidence) {
    const struct statement *statement = &evidence->statement;
    bool forwarded = statement->event == EVENT_FORWARDED;
    if (statement->event == EVENT_STORED || statement->event == EVENT_REKEY_NEEDED)
        record->has_rekey = record->rekey =
            statement->event == EVENT_REKEY_NEEDED || (request->record.mine && sealed_for_nobody(record));
    if (statement->event != EVENT_RESEALED && !forwarded) return;
    record->has_rekey = record->rekey = false;
    if (!forwarded) return;
    record->has_forwarder = true;
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

/* Who has brought the leg to its state, and who agrees that it may be shown to others. */
static void follow_words(const struct kept_request *request, struct keptleg *record, const struct evidence *evidence) {
    const struct statement *statement = &evidence->statement;
    bool agrees = statement->event == EVENT_CONSENTED || (statement->has_disclosure && statement->disclosure);
    if (evidence->entry.from != evidence->entry.to) {
        record->has_spoken = true;
        record->spoken = !statement->has_post ? SPEAKER_RELAY : statement->officer ? SPEAKER_OFFICER : SPEAKER_MACHINE;
    }
    if (!agrees || !statement->has_post) return;
    record->has_consents = true;
    record->consents |= bytes_equal(statement->post, request->header.from) ? CONSENT_SENDER : CONSENT_RECIPIENT;
}

/* What an older version of this program kept gets its proof, and what that version did not follow. */
static enum error make_up(struct home *home, const uint8_t digest[static HASH_SIZE], const struct kept_request *request,
                          struct kept_leg *leg, const struct evidence *evidence, struct bytes receipt) {
    struct keptleg *record = &leg->record;
    bool had_spoken = record->has_spoken;
    uint64_t spoken = record->spoken;
    follow_words(request, record, evidence);
    if (evidence->entry.to != record->state) { /* it has gone on since */
        record->has_spoken = had_spoken;
        record->spoken = spoken;
    }
    TRY(archive_set(home->archive, TABLE_ENTRY, archive_key(leg->leg, NULL, evidence->entry.ordinal), receipt));
    return kept_leg_save(home->archive, digest, leg->leg, record);
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
    struct history history = history_here(request, leg);
    TRY(archive_set(home->archive, TABLE_ENTRY, archive_key(leg->leg, NULL, record->entries), receipt));
    history_move(&history, evidence);
    record->state = history.state;
    record->entries = history.entries;
    record->generation = history.generation;
    record->to = history.with;
    record->forwarder = history.forwarder;
    record->refused = E_OK;
    memcpy(record->head, history.head, HASH_SIZE);
    follow_seals(home, request, record, evidence);
    follow_words(request, record, evidence);
    if (record->state == STATE_STORED) {
        record->has_stored = true;
        record->stored = evidence->entry.time;
    }
    TRY(kept_leg_save(home->archive, digest, leg->leg, record));
    TRY(seal_duties(home, digest, request, leg, evidence));
    if (evidence->statement.event == EVENT_FORWARDED)
        TRY(reload(home, digest, leg)); /* its views end with the receipt */
    bool ours =
        !leg->record.away && !request->record.mine && record->state == STATE_ACCEPTED && request->header.has_body;
    return ours ? trail_duty_add(home, digest, leg->leg, EVENT_HANDED_OVER) : E_OK;
}

/* Under the keys that the relay had then (loss.h); with its place in the evidence log. *ret_head: the head that it came with, if it is
 * one of the log as it goes on now, else of size 0. */
static enum error open_receipt(const struct home *home, const uint8_t digest[static HASH_SIZE],
                               const struct kept_leg *leg, struct bytes receipt, struct evidence *ret,
                               struct head *ret_head) {
    AUTO_FREE(struct card) card = calloc(1, sizeof *card);
    if (!card) return E_NO_MEMORY;
    loss_card(home, receipt, card);
    TRY(evidence_open_logged(receipt, card, ret, ret_head));
    if (memcmp(card->log, home->card.log, KEY_SIZE) != 0) ret_head->size = 0;
    const struct statement *statement = &ret->statement;
    if (memcmp(statement->header, digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (!statement->has_leg || memcmp(statement->leg, leg->leg, HASH_SIZE) != 0) return E_MISMATCH;
    return E_OK;
}

/* A receipt without an entry is this post's own, and may have come too late, after the leg was forwarded from here. It speaks of
 * a leg that was stored before; of when it was said there is nothing else but the relay's word. */
static enum error check_note(const struct home *home, const struct kept_request *request, const struct kept_leg *leg,
                             const struct evidence *evidence) {
    struct leg_posts posts = {.sender = request->header.from, .recipient = leg->record.to};
    if (leg->record.has_forwarder) posts.forwarder = leg->record.forwarder;
    if (!request->record.mine) posts.recipient = bytes_text(home->post);
    uint8_t key[KEY_SIZE];
    if (leg->record.has_stored && evidence->record.time.ms < leg->record.stored.ms) return E_OUT_OF_RANGE;
    loss_key(home, evidence, key);
    return statement_may_on(&evidence->statement, home->directory, key, &posts);
}

/* The ledger's time of the leg's last entry: what goes back behind it would spoil the evidence for others (bundle.h). */
static enum error last_time(const struct home *home, const struct kept_leg *leg, struct instant *ret) {
    AUTO_BUF bytes = {0};
    struct receipt receipt;
    struct bytes payload;
    struct record record;
    bool found = false;
    if (leg->record.entries == 0) return E_OK;
    struct archive_key row = archive_key(leg->leg, NULL, leg->record.entries - 1);
    TRY(archive_get(home->archive, TABLE_ENTRY, row, &bytes, &found));
    if (!found) return E_OK;
    if (receipt_decode(buf_bytes(&bytes), &receipt) != E_OK) return E_CORRUPT;
    if (stamp_peek(receipt.record, &payload) != E_OK || record_decode(payload, &record) != E_OK) return E_CORRUPT;
    *ret = record.time;
    return E_OK;
}

/* The rules of history.h. */
static enum error check_entry(const struct home *home, const struct kept_request *request, const struct kept_leg *leg,
                              const struct evidence *evidence) {
    struct history history = history_here(request, leg);
    uint8_t key[KEY_SIZE];
    TRY(last_time(home, leg, &history.time));
    loss_key(home, evidence, key);
    TRY(history_check_speaker(&history, evidence, home->directory, key));
    return history_check_step(&history, evidence);
}

/* The head must be of the one log that this home is shown (evlog.h). */
static enum error see_head(struct home *home, const struct head *head, struct bytes bytes) {
    struct receipt receipt;
    if (head->size == 0) return E_OK;
    TRY(receipt_decode(bytes, &receipt));
    return evlog_see(home, head, receipt.checkpoint);
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
    struct head head;
    TRY(open_receipt(home, digest, leg, receipt, &evidence, &head));
    if (!evidence.has_entry) {
        TRY(check_note(home, request, leg, &evidence));
        TRY(archive_set(home->archive, TABLE_NOTE, archive_key(leg->leg, evidence.statement_hash, 0), receipt));
        *ret = TRAIL_NOTE;
        return E_OK;
    }
    if (evidence.entry.ordinal < leg->record.entries) {
        bool bare = false;
        TRY(compare_known(home, leg, &evidence, &bare));
        TRY(see_head(home, &head, receipt));
        if (bare) TRY(make_up(home, digest, request, leg, &evidence, receipt));
        *ret = TRAIL_KNOWN;
        return E_OK;
    }
    if (evidence.entry.ordinal > leg->record.entries) {
        *ret = TRAIL_EARLY;
        return E_OK;
    }
    TRY(check_entry(home, request, leg, &evidence));
    TRY(see_head(home, &head, receipt));
    TRY(move(home, digest, request, leg, &evidence, receipt));
    TRY(compare_seen(home, leg, &evidence));
    *ret = TRAIL_STEP;
    return E_OK;
}

enum error trail_check_refusal(const struct home *home, const uint8_t digest[static HASH_SIZE], const uint8_t *leg,
                               enum error reason, struct bytes receipt) {
    struct evidence evidence;
    TRY(loss_open(home, receipt, &evidence));
    const struct statement *statement = &evidence.statement;
    uint8_t key[KEY_SIZE];
    loss_key(home, &evidence, key);
    TRY(statement_may(statement, home->directory, key, (struct bytes){0}, (struct bytes){0}));
    if (statement->event != EVENT_REFUSED || evidence.has_entry) return E_MISMATCH;
    if (memcmp(statement->header, digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (statement->time.ms != evidence.record.time.ms) return E_MISMATCH; /* one clock says both */
    if (statement->has_leg != (leg != NULL)) return E_MISMATCH;
    if (leg && memcmp(statement->leg, leg, HASH_SIZE) != 0) return E_MISMATCH;
    return statement->has_reason && statement->reason == (uint64_t)reason ? E_OK : E_MISMATCH;
}
