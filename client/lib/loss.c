/* loss.c - following a relay that goes on after a declared loss. */
#include "loss.h"

#include "cards.h"
#include "enrol.h"
#include "fault.h"
#include "kept.h"
#include "leaves.h"
#include "mirror.h"
#include "outbox.h"
#include "stamp.h"
#include "trail.h"

static struct archive_key entries_key(void) { return archive_named("loss entries"); }
static struct archive_key until_key(void) { return archive_named("loss offers until"); }
/* LOST: a = this name, n = index: a leaf; a = leg, n = ordinal: a receipt. */
static struct archive_key leaf_key(uint64_t index) {
    struct archive_key key = archive_named("leaves");
    key.n = index;
    return key;
}

/* ---- the statement ---- */

static enum error open_statement(struct bytes statement, struct relaychange *ret) {
    struct bytes payload;
    TRY(directory_peek(LEAF_RELAY, statement, &payload));
    TRY(relaychange_decode(payload, ret));
    return ret->action == RELAY_RECOVERED ? E_OK : E_MALFORMED;
}

/* The first `size` leaves, as they were verified once. */
static enum error replay(const struct home *home, uint64_t size, struct directory **ret) {
    struct directory *directory = directory_new(&home->given);
    if (!directory) return E_NO_MEMORY;
    enum error error = E_OK;
    for (uint64_t n = 0; n < size && error == E_OK; n++) {
        AUTO_BUF leaf = {0};
        bool found = false;
        error = archive_get(home->archive, TABLE_LEAF, archive_key(NULL, NULL, n), &leaf, &found);
        if (error == E_OK) error = found ? directory_replay(directory, buf_bytes(&leaf)) : E_CORRUPT;
    }
    if (error == E_OK)
        *ret = directory;
    else
        directory_free(directory);
    return error;
}

/* ---- the mirror goes back ---- */

static enum error set_aside(struct home *home, uint64_t size) {
    uint64_t end = directory_size(home->directory);
    for (uint64_t n = size; n < end; n++) {
        AUTO_BUF leaf = {0};
        bool found = false;
        TRY(archive_get(home->archive, TABLE_LEAF, archive_key(NULL, NULL, n), &leaf, &found));
        if (!found) return E_CORRUPT;
        TRY(archive_set(home->archive, TABLE_LOST, leaf_key(n), buf_bytes(&leaf)));
        TRY(archive_delete(home->archive, TABLE_LEAF, archive_key(NULL, NULL, n)));
    }
    return E_OK;
}

/* Legs go back to where the earliest of all losses says that is not made up for yet. */
static enum error await_entries(struct archive *archive, uint64_t entries) {
    uint64_t pending = 0; /* 0: nothing to follow */
    TRY(kept_number(archive, TABLE_META, entries_key(), &pending));
    if (pending > 0 && pending <= entries + 1) return E_OK;
    return kept_number_set(archive, TABLE_META, entries_key(), entries + 1);
}

/* A recovery that is set aside itself has had entries of its own, from where it went on. */
static enum error undo_recoveries(struct home *home, uint64_t size) {
    const struct directory_relay *relay;
    for (size_t n = 0; (relay = directory_relay_nth(home->directory, n)); n++)
        if (relay->action == RELAY_RECOVERED && relay->index >= size) TRY(await_entries(home->archive, relay->entries));
    return E_OK;
}

static enum error go_back(struct home *home, struct directory *there) {
    TRY(archive_begin(home->archive));
    enum error error = set_aside(home, directory_size(there));
    if (error == E_OK) error = undo_recoveries(home, directory_size(there));
    if (error == E_OK) error = mirror_mark(home, there);
    FAULT("loss.set-aside");
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

static enum error truncate(struct home *home, const struct relaychange *change, struct bytes statement,
                           struct instant now) {
    struct directory *there = NULL;
    uint8_t root[HASH_SIZE];
    AUTO_BUF leaf = {0};
    TRY(replay(home, change->size, &there));
    directory_root(there, root);
    enum error error = memcmp(root, change->root, HASH_SIZE) == 0 ? E_OK : E_DIRECTORY_FORKED;
    if (error == E_OK) error = directory_make_leaf(there, LEAF_RELAY, statement, now, &leaf);
    if (error == E_OK) error = go_back(home, there);
    if (error != E_OK) {
        directory_free(there);
        return error;
    }
    directory_free(home->directory);
    home->directory = there;
    home_follow_relay(home);
    return E_OK;
}

/* Of several losses the last one counts. Whoever has the keys of an earlier one cannot show that again. */
static bool is_repeated(const struct directory *directory, const struct relaychange *change) {
    const struct directory_relay *relay;
    for (size_t n = 0; (relay = directory_relay_nth(directory, n)); n++)
        if (relay->action == RELAY_RECOVERED && relay->created.ms >= change->created.ms) return true;
    return false;
}

static enum error take_back(struct home *home, struct bytes statement, struct instant now, uint64_t *ret_size) {
    struct relaychange change;
    TRY(open_statement(statement, &change));
    *ret_size = change.size;
    if (is_repeated(home->directory, &change)) return E_STALE_STATEMENT;
    return change.size < directory_size(home->directory) ? truncate(home, &change, statement, now) : E_OK;
}

/* The relay may have lost something more than once meanwhile, and tells of the last loss only: here it goes back to the first
 * one that this home does not know. */
static enum error take_back_first(struct home *home, struct relay *relay, struct bytes newest, uint64_t *ret_size) {
    AUTO_BUF items = {0};
    size_t count = 0;
    struct relaychange change;
    TRY(open_statement(newest, &change));
    *ret_size = change.size;
    uint64_t size = directory_size(home->directory);
    enum error error = leaves_from_relay(relay, change.size < size ? change.size : size, &items, &count);
    if (error != E_OK && error != E_TOO_LARGE) return error;
    struct list list = list_of(&items, count);
    for (struct bytes bytes; list_next_bytes(&list, &bytes);) {
        struct leaf leaf;
        TRY(leaf_decode(bytes, &leaf));
        if (leaf.kind != LEAF_RELAY || open_statement(leaf.statement, &change) != E_OK) continue;
        if (directory_holds(home->directory, LEAF_RELAY, leaf.statement)) continue;
        return take_back(home, leaf.statement, relay_welcome(relay)->time, ret_size);
    }
    return take_back(home, newest, relay_welcome(relay)->time, ret_size);
}

enum error loss_greet(struct home *home, struct relay *relay, bool *ret, struct failure *failure) {
    struct bytes statement = relay_recovery(relay);
    uint64_t pending = 0, size = 0;
    enum error error = kept_number(home->archive, TABLE_META, entries_key(), &pending);
    if (error != E_OK) return fail(failure, error, "the local store");
    *ret = pending > 0;
    if (statement.n == 0 || directory_holds(home->directory, LEAF_RELAY, statement)) return E_OK;
    error = take_back_first(home, relay, statement, &size);
    if (error != E_OK)
        return fail(failure, error, "the relay says that it has lost what came after %llu directory entries",
                    (unsigned long long)size);
    *ret = true;
    return E_OK;
}

/* ---- the statement has come ---- */

enum error loss_take_leaf(struct home *home, struct bytes bytes) {
    struct leaf leaf;
    struct relaychange change;
    TRY(leaf_decode(bytes, &leaf));
    if (leaf.kind != LEAF_RELAY || open_statement(leaf.statement, &change) != E_OK) return E_OK;
    /* What the old keys signed about the log that is void neither binds nor proves anything. */
    TRY(archive_delete_all(home->archive, TABLE_HEAD, SCOPE_ALL, archive_key(NULL, NULL, 0)));
    TRY(archive_delete_all(home->archive, TABLE_PROMISE, SCOPE_ALL, archive_key(NULL, NULL, 0)));
    TRY(archive_delete_all(home->archive, TABLE_SEEN, SCOPE_ALL, archive_key(NULL, NULL, 0)));
    TRY(kept_number_set(home->archive, TABLE_META, until_key(), leaf.time.ms + LOSS_OFFERS_MS));
    return await_entries(home->archive, change.entries);
}

/* ---- legs go back ---- */

struct returning {
    struct home *home;
    uint64_t entries; /* of the evidence log that are left */
    uint8_t digest[HASH_SIZE];
    struct kept_request request;
    bool resubmit;
};

static enum error index_of(struct bytes receipt, uint64_t *ret) {
    struct receipt parts;
    struct record record;
    struct bytes payload;
    TRY(receipt_decode(receipt, &parts));
    TRY(stamp_peek(parts.record, &payload));
    TRY(record_decode(payload, &record));
    *ret = record.index;
    return record.has_index ? E_OK : E_CORRUPT;
}

/* This device's own words are said again; those that bring a wrap set are made anew by whoever has the duty. */
static enum error say_again(const struct returning *returning, const uint8_t leg[static HASH_SIZE],
                            struct bytes receipt) {
    struct receipt parts;
    struct statement statement;
    struct bytes payload;
    TRY(receipt_decode(receipt, &parts));
    TRY(stamp_peek(parts.statement, &payload));
    TRY(statement_decode(payload, &statement));
    bool own = statement.has_post && memcmp(statement.device, returning->home->device, KEY_SIZE) == 0;
    if (!own || statement.event == EVENT_RESEALED || statement.event == EVENT_FORWARDED) return E_OK;
    struct outgoing outgoing = {
        .kind = OUTGOING_STATEMENT, .has_leg = true, .has_statement = true, .statement = parts.statement};
    memcpy(outgoing.header, returning->digest, HASH_SIZE);
    memcpy(outgoing.leg, leg, HASH_SIZE);
    return kept_outgoing_add(returning->home->archive, &outgoing);
}

/* As it was when it came here, or was made. */
static enum error begin_anew(const struct returning *returning, const struct kept_leg *leg) {
    const struct keptleg *record = &leg->record;
    struct opening opening;
    struct keptleg fresh = {.place = record->place,
                            .state = STATE_NONE,
                            .generation = returning->request.record.mine ? 0 : 1,
                            .has_path = record->has_path,
                            .path = record->path};
    if (opening_decode(record->place.opening, &opening) != E_OK) return E_CORRUPT;
    fresh.to = opening.to;
    memcpy(fresh.head, leg->leg, HASH_SIZE);
    return kept_leg_save(returning->home->archive, returning->digest, leg->leg, &fresh);
}

static enum error apply_again(const struct returning *returning, const uint8_t id[static HASH_SIZE],
                              struct bytes receipt) {
    AUTO_LEG leg = {0};
    enum trail_outcome outcome;
    TRY(kept_leg_load(returning->home->archive, returning->digest, id, &leg));
    return trail_apply(returning->home, returning->digest, &returning->request, &leg, receipt, &outcome);
}

static enum error read_receipt(const struct returning *returning, const struct kept_leg *leg, uint64_t n,
                               struct buf *ret) {
    bool found = false;
    TRY(archive_get(returning->home->archive, TABLE_ENTRY, archive_key(leg->leg, NULL, n), ret, &found));
    return found ? E_OK : E_CORRUPT;
}

/* The first ordinal that is lost: entries of one leg stand in the log in their order. */
static enum error find_loss(const struct returning *returning, const struct kept_leg *leg, uint64_t *ret) {
    for (*ret = leg->record.entries; *ret > 0; --*ret) {
        AUTO_BUF receipt = {0};
        uint64_t index = 0;
        TRY(read_receipt(returning, leg, *ret - 1, &receipt));
        TRY(index_of(buf_bytes(&receipt), &index));
        if (index < returning->entries) return E_OK;
    }
    return E_OK;
}

static enum error return_leg(struct returning *returning, const struct kept_leg *leg) {
    struct archive *archive = returning->home->archive;
    uint64_t keep;
    TRY(find_loss(returning, leg, &keep));
    if (keep == leg->record.entries) return E_OK;
    AUTO_BUF kept = {0};
    for (uint64_t n = 0; n < leg->record.entries; n++) {
        AUTO_BUF receipt = {0};
        TRY(read_receipt(returning, leg, n, &receipt));
        TRY(archive_delete(archive, TABLE_ENTRY, archive_key(leg->leg, NULL, n)));
        if (n < keep) cbor_put_bytes(&kept, buf_bytes(&receipt));
        if (n < keep) continue;
        TRY(archive_set(archive, TABLE_LOST, archive_key(leg->leg, NULL, n), buf_bytes(&receipt)));
        TRY(say_again(returning, leg->leg, buf_bytes(&receipt)));
    }
    TRY(buf_error(&kept));
    TRY(begin_anew(returning, leg));
    struct list list = list_of(&kept, (size_t)keep);
    for (struct bytes receipt; list_next_bytes(&list, &receipt);) TRY(apply_again(returning, leg->leg, receipt));
    returning->resubmit = returning->resubmit || (keep == 0 && returning->request.record.mine);
    return E_OK;
}

static enum error return_request(struct returning *returning) {
    AUTO_LEGS legs = {0};
    returning->resubmit = false;
    TRY(kept_legs_load(returning->home->archive, returning->digest, &legs));
    for (size_t i = 0; i < legs.count; i++) TRY(return_leg(returning, &legs.legs[i]));
    if (!returning->resubmit) return E_OK;
    struct outgoing outgoing = {.kind = OUTGOING_REQUEST};
    memcpy(outgoing.header, returning->digest, HASH_SIZE);
    return kept_outgoing_add(returning->home->archive, &outgoing);
}

static enum error return_all(struct home *home, uint64_t entries) {
    AUTO_BUF digest = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ORDER, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        struct returning returning = {.home = home, .entries = entries};
        TRY(archive_next(home->archive, &cursor, &digest, &found));
        if (!found) return E_OK;
        if (digest.n != HASH_SIZE) return E_CORRUPT;
        memcpy(returning.digest, digest.p, HASH_SIZE);
        TRY(kept_load(home->archive, returning.digest, &returning.request));
        enum error error = return_request(&returning);
        kept_request_free(&returning.request);
        TRY(error);
    }
}

static enum error settle_all(struct home *home, uint64_t entries) {
    TRY(return_all(home, entries));
    TRY(enrol_forget_published(home));
    TRY(kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1));
    return kept_number_set(home->archive, TABLE_META, entries_key(), 0);
}

static enum error settle(struct home *home, struct failure *failure) {
    uint64_t entries = 0;
    enum error error = kept_number(home->archive, TABLE_META, entries_key(), &entries);
    if (error == E_OK && entries == 0) return E_OK;
    if (error == E_OK) error = archive_begin(home->archive);
    if (error != E_OK) return fail(failure, error, "the local store");
    error = settle_all(home, entries - 1);
    FAULT("loss.settled");
    if (error == E_OK)
        error = archive_commit(home->archive);
    else
        archive_rollback(home->archive);
    return error == E_OK ? E_OK : fail(failure, error, "going back to what the relay still has");
}

/* ---- offering again ---- */

/* A card goes with its sheets, and is its author's to give. */
static enum error offer_card(struct home *home, struct bytes statement) {
    struct bytes payload;
    struct contact contact;
    TRY(stamp_peek(statement, &payload));
    TRY(contact_decode(payload, &contact));
    if (memcmp(contact.device, home->device, KEY_SIZE) != 0) return E_OK;
    return cards_set_state(home, &(struct keptcardstate){.state = CONTACT_DUE});
}

static enum error offer(struct home *home, struct relay *relay, const struct leaf *leaf, struct failure *failure) {
    AUTO_BUF item = {0};
    AUTO_ANSWER answer = {0};
    struct dirstatement statement = {.kind = leaf->kind, .statement = leaf->statement};
    if (leaf->kind == LEAF_RELAY) return E_OK;
    if (leaf->kind == LEAF_CONTACT) return offer_card(home, leaf->statement);
    dirstatement_encode(&statement, &item);
    TRY(buf_error(&item));
    return relay_call(relay, MESSAGE_DECLARE, &(struct declare){.statements = list_of(&item, 1)}, &answer, failure);
}

/* In their order. What the relay refuses for good is there already, or void: others were faster. */
static enum error offer_all(struct home *home, struct relay *relay, struct failure *failure) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_LOST, SCOPE_A, leaf_key(0));
    for (bool found = true;;) {
        struct leaf leaf;
        struct failure aside = {0};
        enum error error = archive_next(home->archive, &cursor, &bytes, &found);
        if (error == E_OK && !found) return E_OK;
        if (error == E_OK && leaf_decode(buf_bytes(&bytes), &leaf) != E_OK) error = E_CORRUPT;
        if (error == E_OK) error = offer(home, relay, &leaf, &aside);
        FAULT("loss.offered");
        if (outbox_is_fatal(error)) {
            if (failure) *failure = aside;
            return error;
        }
        if (error != E_OK && error_row(error)->again) continue; /* at the next sync */
        error = archive_delete(home->archive, TABLE_LOST, cursor.key);
        if (error != E_OK) return fail(failure, error, "the local store");
    }
}

enum error loss_follow(struct home *home, struct relay *relay, struct failure *failure) {
    struct bytes statement = relay_recovery(relay);
    TRY(mirror_update(home, relay, failure));
    if (!directory_holds(home->directory, LEAF_RELAY, statement))
        return fail(failure, E_WITHHELD, "the relay shows a declared loss that is not in its directory");
    FAULT("loss.mirrored");
    TRY(settle(home, failure));
    return offer_all(home, relay, failure);
}

/* ---- whose keys ---- */

void loss_card(const struct home *home, struct bytes receipt, struct card *ret) {
    *ret = home->card;
    if (home->directory) evidence_card(home->directory, receipt, &home->given, ret);
}

void loss_key(const struct home *home, const struct evidence *evidence, uint8_t ret[static KEY_SIZE]) {
    evidence_relay_key(home->directory, evidence, &home->given, ret);
}

enum error loss_open(const struct home *home, struct bytes receipt, struct evidence *ret) {
    struct card card;
    loss_card(home, receipt, &card);
    return evidence_open(receipt, card.statement, ret);
}

enum error loss_waits(struct home *home, bool *ret) {
    struct keptrelay relay;
    uint64_t until = 0;
    TRY(kept_number(home->archive, TABLE_META, until_key(), &until));
    TRY(kept_relay(home->archive, &relay));
    *ret = relay.time.ms < until;
    return E_OK;
}
