/* outbox.c - signed statements: made, kept, sent, answered; and the order in which all that waits is sent. */
#include "outbox.h"

#include <assert.h>
#include <sodium.h>

#include "content.h"
#include "fault.h"
#include "loss.h"
#include "moment.h"
#include "policy.h"
#include "proofs.h"
#include "reseal.h"
#include "stamp.h"
#include "trail.h"

/* The receipts, larger than the statements, must fit into one answer. */
enum { BAG_MAX = STATEMENTS_MAX < 100 ? STATEMENTS_MAX : 100, BAG_BYTES_MAX = MESSAGE_MAX / 3 };

bool outbox_is_fatal(enum error error) {
    static const enum error fatal[] = {E_UNREACHABLE, E_WRONG_RELAY_KEY, E_REFUSED_BY_RELAY, E_TIMED_OUT,
                                       E_IO,          E_DISK_FULL,       E_LOCKED,           E_CORRUPT,
                                       E_NO_MEMORY,   E_INTERNAL,        E_INTERRUPTED};
    for (size_t i = 0; i < LENGTH(fatal); i++)
        if (fatal[i] == error) return true;
    return false;
}

/* ---- saying ---- */

/* Words are sealed under the key that both posts hold: the offer's; a reply has only a body. */
static enum error seal_note(const struct kept_request *request, const struct saying *saying, const uint8_t *nonce,
                            struct buf *out) {
    const struct keptrequest *record = &request->record;
    const uint8_t *key = record->has_offer_key ? record->offer_key : record->has_body_key ? record->body_key : NULL;
    struct bytes words = bytes_text(saying->note);
    if (!key) return E_CANNOT_OPEN;
    if (words.n > NOTE_MAX) return E_TOO_LARGE;
    return content_seal_note(key, nonce, saying->header, saying->leg, words, out);
}

static enum error make_statement(struct home *home, const struct saying *saying, struct buf *out) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    TRY(kept_load(home->archive, saying->header, &request));
    TRY(kept_leg_load(home->archive, saying->header, saying->leg, &leg));
    struct statement statement = {.event = saying->event,
                                  .has_leg = true,
                                  .has_post = true,
                                  .post = bytes_text(home->post),
                                  .officer = saying->officer,
                                  .time = moment_now(),
                                  .has_reason = saying->has_reason,
                                  .reason = saying->reason,
                                  .has_disclosure = saying->disclosure,
                                  .disclosure = saying->disclosure,
                                  .generation = saying->generation ? saying->generation : leg.record.generation,
                                  .has_seen = true,
                                  .has_forward = saying->forward != NULL,
                                  .forward = bytes_text(saying->forward)};
    statement.has_generation = statement.generation > 0;
    memcpy(statement.header, saying->header, HASH_SIZE);
    memcpy(statement.leg, saying->leg, HASH_SIZE);
    memcpy(statement.device, home->device, KEY_SIZE);
    memcpy(statement.seen, leg.record.head, HASH_SIZE);
    randombytes_buf(statement.nonce, sizeof statement.nonce);
    AUTO_BUF note = {0};
    if (saying->note && *saying->note) {
        TRY(seal_note(&request, saying, statement.nonce, &note));
        statement.has_note = true;
        statement.note = buf_bytes(&note);
    }
    statement_encode(&statement, out);
    return buf_error(out);
}

static enum error keep_statement(struct home *home, const struct saying *saying, struct bytes stamped) {
    struct outgoing outgoing = {
        .kind = OUTGOING_STATEMENT, .has_leg = true, .has_statement = true, .statement = stamped,
        .has_wrapset = saying->wrapset.p != NULL, .wrapset = saying->wrapset};
    memcpy(outgoing.header, saying->header, HASH_SIZE);
    memcpy(outgoing.leg, saying->leg, HASH_SIZE);
    return kept_outgoing_add(home->archive, &outgoing);
}

struct batch_of_words {
    struct buf *payloads, *stamped;
    struct bytes *views;
    size_t count;
};

static void batch_end(struct batch_of_words *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->payloads) buf_free(&batch->payloads[i]);
        if (batch->stamped) buf_free(&batch->stamped[i]);
    }
    free(batch->payloads);
    free(batch->stamped);
    free(batch->views);
}

static enum error say(struct home *home, const struct saying *sayings, struct batch_of_words *batch,
                      uint8_t *ret_hashes) {
    for (size_t i = 0; i < batch->count; i++) {
        TRY(make_statement(home, &sayings[i], &batch->payloads[i]));
        batch->views[i] = buf_bytes(&batch->payloads[i]);
    }
    TRY(stamp_sign(LABEL_STATEMENT, home->keys.device.p, batch->views, batch->count, batch->stamped));
    for (size_t i = 0; i < batch->count; i++) {
        TRY(keep_statement(home, &sayings[i], buf_bytes(&batch->stamped[i])));
        if (ret_hashes) statement_hash(batch->views[i], ret_hashes + i * HASH_SIZE);
    }
    return E_OK;
}

enum error outbox_say(struct home *home, const struct saying *sayings, size_t count, uint8_t *ret_hashes) {
    if (count == 0) return E_OK;
    struct batch_of_words batch = {calloc(count, sizeof(struct buf)), calloc(count, sizeof(struct buf)),
                                   calloc(count, sizeof(struct bytes)), count};
    enum error error =
        batch.payloads && batch.stamped && batch.views ? say(home, sayings, &batch, ret_hashes) : E_NO_MEMORY;
    batch_end(&batch);
    return error;
}

/* ---- sending statements ---- */

struct letter {      /* one statement under way */
    uint64_t number; /* in the outbox */
    struct outgoing outgoing;
    struct buf bytes;
    uint8_t hash[HASH_SIZE];
};

struct mailbag {
    struct home *home;
    const struct outbox_listener *listener;
    struct letter letters[BAG_MAX];
    size_t count;
    struct outbox_summary *summary;
};

static void empty_bag(struct mailbag *bag) {
    for (size_t i = 0; i < bag->count; i++) buf_free(&bag->letters[i].bytes);
    bag->count = 0;
}

static enum error read_outgoing(const struct buf *bytes, struct outgoing *ret) {
    return outgoing_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

/* Fills the bag with statements after the cursor's place; stays below one message. */
static enum error fill_bag(struct mailbag *bag, struct archive_cursor *cursor) {
    size_t bytes = 0;
    while (bag->count < BAG_MAX && bytes < BAG_BYTES_MAX) {
        struct letter *letter = &bag->letters[bag->count];
        bool found = false;
        *letter = (struct letter){0};
        enum error error = archive_next(bag->home->archive, cursor, &letter->bytes, &found);
        if (error == E_OK && found) error = read_outgoing(&letter->bytes, &letter->outgoing);
        bool take = error == E_OK && found && letter->outgoing.kind == OUTGOING_STATEMENT;
        if (!take) buf_free(&letter->bytes);
        TRY(error);
        if (!found) return E_OK;
        if (!take) continue;
        letter->number = cursor->key.n;
        bytes += letter->bytes.n + 32;
        bag->count++;
        struct bytes payload;
        if (stamp_peek(letter->outgoing.statement, &payload) != E_OK) return E_CORRUPT;
        statement_hash(payload, letter->hash);
    }
    return E_OK;
}

static enum error take_receipt(struct home *home, const struct letter *letter, struct bytes receipt) {
    struct evidence evidence;
    TRY(loss_open(home, receipt, &evidence));
    if (memcmp(evidence.statement_hash, letter->hash, HASH_SIZE) != 0) return E_MISMATCH;
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    enum trail_outcome outcome;
    TRY(kept_load(home->archive, letter->outgoing.header, &request));
    TRY(kept_leg_load(home->archive, letter->outgoing.header, letter->outgoing.leg, &leg));
    return trail_apply(home, letter->outgoing.header, &request, &leg, receipt, &outcome);
}

static enum error note_refusal(struct home *home, const struct letter *letter, enum error error) {
    char id[2 * 8 + 1];
    text_hex(letter->outgoing.header, 8, id);
    return kept_alarm(home->archive, "the relay refused a statement about %s: %s", id, error_text(error));
}

/* What a person decided and nobody waits for any more must not vanish: another step was first. */
static bool came_too_late(const struct mailbag *bag, const struct letter *letter, enum error said) {
    struct bytes payload;
    struct statement statement;
    if (said != E_WRONG_STATE || bag->listener) return false;
    if (stamp_peek(letter->outgoing.statement, &payload) != E_OK || statement_decode(payload, &statement) != E_OK)
        return false;
    return statement.event == EVENT_ACCEPTED || statement.event == EVENT_DECLINED ||
           statement.event == EVENT_ACKNOWLEDGED || statement.event == EVENT_WITHDRAWN ||
           statement.event == EVENT_FORWARDED ||
           statement.event == EVENT_CLOSED;
}

/* A receipt that does not verify is named, and the statement stays: it was not answered. */
static enum error take_stated(struct mailbag *bag, const struct letter *letter, const struct result *result) {
    if (memcmp(result->subject, letter->hash, HASH_SIZE) != 0) return E_MISMATCH;
    enum error said = result->error == E_OK ? E_OK : error_row((enum error)result->error)->error;
    enum error error = result->has_receipt ? take_receipt(bag->home, letter, result->receipt) : E_OK;
    if (outbox_is_fatal(error)) return error;
    if (error == E_OK && said == E_OK && !result->has_receipt) error = E_WITHHELD; /* the relay owes it */
    bool drop = false, quiet = false, waits = false;
    if (said == E_UNKNOWN_REQUEST) TRY(loss_waits(bag->home, &waits));
    if (error == E_OK && letter->outgoing.has_wrapset)
        TRY(reseal_answered(bag->home, &letter->outgoing, said, &drop, &quiet));
    if (error != E_OK) {
        char id[2 * 8 + 1];
        text_hex(letter->outgoing.header, 8, id);
        TRY(proofs_receipt(bag->home, result->receipt, error,
                           result->has_receipt ? "the relay's receipt for a statement about %s does not hold: %s"
                                               : "the relay gave no receipt for a statement about %s: %s",
                           id, error_text(error)));
        said = error;
    } else if (drop || (!error_row(said)->again && !waits) || said == E_OK) {
        TRY(archive_delete(bag->home->archive, TABLE_OUTBOX, archive_key(NULL, NULL, letter->number)));
        bag->summary->settled++;
        bool loud = (said != E_OK && said != E_WRONG_STATE) || came_too_late(bag, letter, said);
        if (said == E_WRONG_STATE && !quiet) TRY(policy_was_late(bag->home, &letter->outgoing, letter->hash, &quiet));
        if (loud && !quiet) /* quiet: it is made anew, or a sister's stands */
            TRY(note_refusal(bag->home, letter, said));
    }
    if (bag->listener) bag->listener->answered(bag->listener->context, letter->hash, said);
    return E_OK;
}

static enum error take_all_stated(struct mailbag *bag, struct relay *relay, struct bytes body) {
    struct stated stated;
    TRY(stated_decode(body, &stated));
    if (stated.results.count != bag->count) return E_MISMATCH;
    if (stated.has_along) TRY(relay_keep_along(relay, stated.along));
    TRY(archive_begin(bag->home->archive));
    struct list list = stated.results;
    struct result result;
    enum error error = E_OK;
    for (size_t i = 0; error == E_OK && result_next(&list, &result); i++)
        error = take_stated(bag, &bag->letters[i], &result);
    if (error == E_OK) return archive_commit(bag->home->archive);
    archive_rollback(bag->home->archive);
    return error;
}

static enum error send_bag(struct mailbag *bag, struct relay *relay, struct failure *failure) {
    AUTO_BUF said = {0};
    for (size_t i = 0; i < bag->count; i++)
        said_encode(&(struct said){.statement = bag->letters[i].outgoing.statement,
                                   .has_wrapset = bag->letters[i].outgoing.has_wrapset,
                                   .wrapset = bag->letters[i].outgoing.wrapset},
                    &said);
    TRY(buf_error(&said));
    AUTO_ANSWER answer = {0};
    const struct state state = {.said = list_of(&said, bag->count), .has_room = true, .room = RELAY_ROOM};
    FAULT("statement.committed");
    TRY(relay_call(relay, MESSAGE_STATE, &state, &answer, failure));
    FAULT("statement.unanswered");
    enum error error = take_all_stated(bag, relay, answer.body);
    return error == E_OK ? E_OK : fail(failure, error, "the relay's answer to statements");
}

enum error outbox_send_statements(struct home *home, struct relay *relay, const struct outbox_listener *listener,
                                  struct outbox_summary *ret, struct failure *failure) {
    AUTO_FREE(struct mailbag) bag = calloc(1, sizeof *bag);
    if (!bag) return fail(failure, E_NO_MEMORY, "the outbox");
    *bag = (struct mailbag){.home = home, .listener = listener, .summary = ret};
    struct archive_cursor cursor = archive_cursor(TABLE_OUTBOX, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (;;) {
        enum error error = fill_bag(bag, &cursor);
        bool any = bag->count > 0;
        if (error != E_OK) fail(failure, error, "the outbox");
        if (error == E_OK && any) error = send_bag(bag, relay, failure);
        empty_bag(bag);
        if (error != E_OK || !any) return error;
    }
}

/* ---- everything ---- */

static enum error send_requests(struct home *home, struct relay *relay, struct outbox_summary *summary,
                                struct failure *failure) {
    AUTO_BUF value = {0}, held = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_OUTBOX, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true, done = false;;) {
        struct outgoing outgoing;
        enum error error = archive_next(home->archive, &cursor, &value, &found);
        if (error == E_OK && !found) return E_OK;
        if (error == E_OK) error = read_outgoing(&value, &outgoing);
        if (error != E_OK) return fail(failure, error, "the outbox");
        if (outgoing.kind != OUTGOING_REQUEST) continue;
        TRY(submit_request(home, relay, outgoing.header, &held, &done, failure));
        if (!done) continue;
        error = archive_delete(home->archive, TABLE_OUTBOX, cursor.key);
        if (error != E_OK) return fail(failure, error, "the outbox");
        summary->settled++;
    }
}

enum error outbox_flush(struct home *home, struct relay *relay, const struct outbox_listener *listener,
                        struct outbox_summary *ret, struct failure *failure) {
    *ret = (struct outbox_summary){0};
    enum error error = outbox_send_statements(home, relay, listener, ret, failure);
    if (error == E_OK) error = send_requests(home, relay, ret, failure);
    uint64_t waiting = 0;
    if (archive_count(home->archive, TABLE_OUTBOX, SCOPE_ALL, archive_key(NULL, NULL, 0), &waiting) == E_OK)
        ret->waiting = (uint32_t)waiting;
    return error;
}
