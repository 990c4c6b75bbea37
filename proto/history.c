/* history.c - the rules by which a leg's entries follow each other. */
#include "history.h"

struct history history_of(const struct header *header, const struct opening *opening,
                          const uint8_t leg[static HASH_SIZE]) {
    struct history history = {.sender = header->from,
                              .device = header->device,
                              .kind = header_leg_kind(header),
                              .with = opening->to,
                              .state = STATE_NONE};
    memcpy(history.head, leg, HASH_SIZE);
    return history;
}

/* What the events that bring a wrap set must say: its generation, and to which other post of the party. */
static enum error check_seal(const struct history *history, const struct statement *statement) {
    bool forwarded = statement->event == EVENT_FORWARDED;
    if (!forwarded && statement->event != EVENT_RESEALED) return E_OK;
    if (!statement->has_generation || statement->generation != history->generation + 1) return E_BAD_PROOF;
    if (!forwarded) return E_OK;
    if (!statement->has_forward || !text_is_post(statement->forward)) return E_BAD_PROOF;
    if (bytes_equal(statement->forward, statement->post)) return E_BAD_PROOF;
    return bytes_equal(text_party_of(statement->forward), text_party_of(statement->post)) ? E_OK : E_BAD_PROOF;
}

enum error history_check_step(const struct history *history, const struct evidence *evidence) {
    enum leg_state to;
    TRY(evidence_follows(evidence, (int64_t)history->entries - 1, history->head));
    if (evidence->entry.from != (uint64_t)history->state) return E_BAD_PROOF;
    TRY(leg_step(history->state, (enum leg_event)evidence->statement.event, history->kind, &to));
    if ((uint64_t)to != evidence->entry.to) return E_BAD_PROOF;
    TRY(check_seal(history, &evidence->statement));
    return evidence->entry.time.ms < history->time.ms ? E_OUT_OF_RANGE : E_OK;
}

/* A relay that works with a revoked key cannot make its statements good. Of the relay's own words only `stored` rests
 * on somebody else's key: that of the device that sent it. */
static enum error check_live(const struct history *history, const struct evidence *evidence,
                             const struct directory *directory) {
    const struct statement *statement = &evidence->statement;
    bool sent = !statement->has_post;
    if (sent && statement->event != EVENT_STORED) return E_OK;
    const struct directory_device *device = directory_device(directory, sent ? history->device : statement->device);
    if (!device) return E_UNKNOWN_DEVICE;
    if (sent && !bytes_are(history->sender, device->post->name)) return E_MISMATCH;
    if (sent && device->role == ROLE_BELL) return E_NOT_ALLOWED;
    return directory_live_at(device, evidence->entry.size, evidence->entry.time);
}

enum error history_check_speaker(const struct history *history, const struct evidence *evidence,
                                 const struct directory *directory, const uint8_t relay_key[static KEY_SIZE]) {
    struct leg_posts posts = {.sender = history->sender, .recipient = history->with, .forwarder = history->forwarder};
    TRY(statement_may_on(&evidence->statement, directory, relay_key, &posts));
    return check_live(history, evidence, directory);
}

void history_move(struct history *history, const struct evidence *evidence) {
    const struct statement *statement = &evidence->statement;
    history->state = (enum leg_state)evidence->entry.to;
    history->entries = evidence->entry.ordinal + 1;
    memcpy(history->head, evidence->entry_hash, HASH_SIZE);
    history->time = evidence->entry.time;
    if (statement->event == EVENT_STORED) history->generation = 1;
    if (statement->event == EVENT_RESEALED || statement->event == EVENT_FORWARDED)
        history->generation = statement->generation;
    if (statement->event != EVENT_FORWARDED) return;
    history->forwarder = statement->post;
    history->with = statement->forward;
}
