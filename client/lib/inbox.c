/* inbox.c - the feed, page by page and item by item; then what has to be said about it.
 *
 * A relay may be wrong today and right tomorrow. So an item that does not hold is asked for again at every later sync,
 * until it does; and when something shows that items were left out under others' numbers, the feed is read again from
 * its beginning, which costs time but changes nothing that is here. */
#include "inbox.h"

#include <stdio.h>

#include "arrival.h"
#include "body.h"
#include "fault.h"
#include "loss.h"
#include "mirror.h"
#include "outbox.h"
#include "policy.h"
#include "proofs.h"
#include "trail.h"

enum { RETRIES_PER_SYNC = 64 };

static struct archive_key cursor_key(void) { return archive_named("feed cursor"); }
static struct archive_key proofs_key(void) { return archive_named("feed read with proofs"); }
static struct archive_key retried_key(void) { return archive_named("feed item tried again last"); }

/* ---- one item ---- */

static enum error take_changed(struct home *home, const struct changed *changed, struct sync_summary *summary) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    enum trail_outcome outcome;
    TRY(kept_load(home->archive, changed->header, &request));
    TRY(kept_leg_load(home->archive, changed->header, changed->leg, &leg));
    TRY(trail_apply(home, changed->header, &request, &leg, changed->receipt, &outcome));
    if (outcome == TRAIL_EARLY) return E_GAP; /* the feed leaves nothing out */
    if (outcome == TRAIL_STEP) summary->changed++;
    return E_OK;
}

static enum error take_offered(struct home *home, struct relay *relay, struct bytes body, struct sync_summary *summary,
                               struct failure *failure) {
    struct offered offered;
    bool fresh = false, reply = false;
    TRY(offered_decode(body, &offered));
    TRY(arrival_offered(home, relay, &offered, &fresh, &reply, failure));
    if (fresh && reply)
        summary->replies++;
    else if (fresh)
        summary->offered++;
    return E_OK;
}

/* *ret_lack: what it lacks, although it was taken. */
static enum error take_body(struct home *home, struct relay *relay, const struct item *item, enum error *ret_lack,
                            struct sync_summary *summary, struct failure *failure) {
    struct sent sent;
    struct changed changed;
    bool fresh = false;
    *ret_lack = E_OK;
    switch (item->kind) {
    case ITEM_OFFERED: return take_offered(home, relay, item->body, summary, failure);
    case ITEM_SENT:
        TRY(sent_decode(item->body, &sent));
        return arrival_sent(home, relay, &sent, &fresh, ret_lack, failure);
    case ITEM_CHANGED: TRY(changed_decode(item->body, &changed)); return take_changed(home, &changed, summary);
    default: return E_MALFORMED;
    }
}

static const char *kind_name(uint64_t kind) {
    return kind == ITEM_OFFERED ? "a request" : kind == ITEM_SENT ? "a request sent from this post" : "a change";
}

/* What does not continue the leg may contradict it: then the relay's own answers prove it. */
static enum error compare(struct home *home, struct relay *relay, const uint8_t leg[static HASH_SIZE], enum error why) {
    return why == E_BAD_PROOF || why == E_GAP ? proofs_compare_leg(home, relay, leg) : E_OK;
}

/* Of what an offer comes with, the receipt is the relay's alone; the rest is its sender's, or for another device. */
static bool is_false(const struct home *home, struct bytes receipt, enum error why) {
    struct card card;
    struct evidence evidence;
    struct head head;
    loss_card(home, receipt, &card);
    return why == E_EVIDENCE_FORKED || why == E_BAD_PROOF || why == E_GAP ||
           evidence_open_logged(receipt, &card, &evidence, &head) != E_OK;
}

static enum error remember(struct home *home, struct relay *relay, const struct item *item, enum error error) {
    struct archive_key row = archive_key(NULL, NULL, item->number);
    bool known = false;
    TRY(archive_has(home->archive, TABLE_AGAIN, row, &known));
    if (known) return E_OK; /* and the alarm was raised */
    TRY(archive_set(home->archive, TABLE_AGAIN, row, (struct bytes){0}));
    struct changed changed;
    struct offered offered;
    static const char text[] = "item %llu of the feed, %s, does not hold: %s";
    unsigned long long number = item->number;
    bool is_change = item->kind == ITEM_CHANGED && changed_decode(item->body, &changed) == E_OK;
    /* Had it another number than it was shown under, trying this number again would not bring it. */
    if (is_change) TRY(kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1));
    if (is_change) TRY(compare(home, relay, changed.leg, error));
    if (is_change)
        return proofs_receipt(home, changed.receipt, error, text, number, kind_name(item->kind), error_text(error));
    bool is_offer = item->kind == ITEM_OFFERED && offered_decode(item->body, &offered) == E_OK;
    if (is_offer && is_false(home, offered.receipt, error))
        return proofs_receipt(home, offered.receipt, error, text, number, kind_name(item->kind), error_text(error));
    return kept_alarm_proof(home->archive, item->body, text, number, kind_name(item->kind), error_text(error));
}

/* What is wrong with the item stays with the item: its own writes are undone, an alarm tells, the cursor moves on. What only
 * lacks something is kept, and asked for again all the same. */
static enum error take_item(struct home *home, struct relay *relay, const struct item *item,
                            struct sync_summary *summary, struct failure *failure) {
    enum error lack;
    TRY(archive_begin(home->archive));
    enum error error = take_body(home, relay, item, &lack, summary, failure);
    if (error == E_OK && lack == E_OK)
        error = archive_delete(home->archive, TABLE_AGAIN, archive_key(NULL, NULL, item->number));
    if (error == E_OK) {
        TRY(archive_commit(home->archive));
        return lack == E_OK ? E_OK : remember(home, relay, item, lack);
    }
    archive_rollback(home->archive);
    return outbox_is_fatal(error) ? error : remember(home, relay, item, error);
}

/* ---- a page ---- */

/* The relay counts what it feeds: it has kept something back. */
static enum error left_out(struct home *home, uint64_t number, struct failure *failure) {
    TRY(proofs_suspect_once(home, E_GAP, "the relay leaves out item %llu of the feed", (unsigned long long)number));
    return fail(failure, E_GAP, "the feed leaves out item %llu", (unsigned long long)number);
}

static enum error take_items(struct home *home, struct relay *relay, const struct feed *feed, uint64_t *cursor,
                             struct sync_summary *summary, struct failure *failure) {
    struct list list = feed->items;
    struct item item;
    while (item_next(&list, &item)) {
        if (item.number <= *cursor) return fail(failure, E_MALFORMED, "the feed goes back");
        if (item.number != *cursor + 1) return left_out(home, *cursor + 1, failure);
        TRY(take_item(home, relay, &item, summary, failure));
        *cursor = item.number;
    }
    return E_OK;
}

/* What came before a broken link or a full disk is kept, with the cursor that belongs to it. */
static enum error take_page(struct home *home, struct relay *relay, const struct feed *feed, uint64_t *cursor,
                            struct sync_summary *summary, struct failure *failure) {
    TRY(archive_begin(home->archive));
    enum error error = take_items(home, relay, feed, cursor, summary, failure);
    enum error kept = kept_number_set(home->archive, TABLE_META, cursor_key(), *cursor);
    if (kept == E_OK)
        kept = archive_commit(home->archive);
    else
        archive_rollback(home->archive);
    FAULT("offer.archived");
    return error != E_OK ? error : kept;
}

/* The items may speak of devices that entered the directory just now: the mirror follows before they are judged. */
static enum error read_page(struct home *home, struct relay *relay, uint64_t *cursor, bool *ret_more,
                            struct sync_summary *summary, struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct feed feed;
    const struct getfeed ask = {.after = *cursor, .max = FEED_MAX, .has_room = true, .room = RELAY_ROOM};
    TRY(relay_call(relay, MESSAGE_GETFEED, &ask, &answer, failure));
    TRY(feed_decode(answer.body, &feed));
    if (feed.has_along) TRY(relay_keep_along(relay, feed.along));
    *ret_more = feed.items.count > 0;
    if (!*ret_more) return feed.newest > *cursor ? left_out(home, *cursor + 1, failure) : E_OK;
    TRY(mirror_update(home, relay, failure));
    return take_page(home, relay, &feed, cursor, summary, failure);
}

/* ---- items that did not hold ---- */

static enum error try_again(struct home *home, struct relay *relay, uint64_t number, struct sync_summary *summary,
                            struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct feed feed;
    struct item item;
    TRY(relay_call(relay, MESSAGE_GETFEED, &(struct getfeed){.after = number - 1, .max = 1}, &answer, failure));
    TRY(feed_decode(answer.body, &feed));
    if (!item_next(&feed.items, &item) || item.number != number) return E_OK; /* not today either */
    return take_item(home, relay, &item, summary, failure);
}

/* Some at every sync, each in its turn, in the order of their numbers because one may need another. */
static enum error retry_items(struct home *home, struct relay *relay, struct sync_summary *summary,
                              struct failure *failure) {
    uint64_t last;
    AUTO_BUF value = {0};
    TRY(kept_number(home->archive, TABLE_META, retried_key(), &last));
    struct archive_cursor cursor = archive_cursor(TABLE_AGAIN, SCOPE_ALL, archive_key(NULL, NULL, last + 1));
    for (unsigned i = 0; i < RETRIES_PER_SYNC; i++) {
        bool found = false;
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return last ? kept_number_set(home->archive, TABLE_META, retried_key(), 0) : E_OK;
        TRY(try_again(home, relay, cursor.key.n, summary, failure));
    }
    return kept_number_set(home->archive, TABLE_META, retried_key(), cursor.key.n);
}

/* ---- the feed ---- */

/* Where to go on; from the beginning, once, after something was found missing, and in a home that an older version of this
 * program has read it for: it kept receipts without their places in the evidence log, and no paths to the headers' roots. */
static enum error first_cursor(struct home *home, uint64_t *ret) {
    uint64_t missing, proofs;
    TRY(kept_number(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), &missing));
    TRY(kept_number(home->archive, TABLE_META, proofs_key(), &proofs));
    if (!missing && proofs) return kept_number(home->archive, TABLE_META, cursor_key(), ret);
    TRY(archive_begin(home->archive));
    enum error error = kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 0);
    if (error == E_OK) error = kept_number_set(home->archive, TABLE_META, proofs_key(), 1);
    if (error == E_OK) error = kept_number_set(home->archive, TABLE_META, cursor_key(), 0);
    if (error == E_OK)
        error = archive_commit(home->archive);
    else
        archive_rollback(home->archive);
    TRY(error);
    *ret = 0;
    return E_OK;
}

enum error inbox_read(struct home *home, struct relay *relay, struct sync_summary *summary, struct failure *failure) {
    uint64_t cursor;
    enum error error = first_cursor(home, &cursor);
    if (error == E_OK) error = retry_items(home, relay, summary, failure);
    for (bool more = true; error == E_OK && more;) error = read_page(home, relay, &cursor, &more, summary, failure);
    const struct welcome *welcome = relay_welcome(relay);
    if (error == E_OK && welcome->has_newest && cursor < welcome->newest) error = left_out(home, cursor + 1, failure);
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "the feed");
    return error;
}

/* ---- duties ---- */

static enum error drop_duty(struct home *home, const struct archive_key *duty) {
    return archive_delete(home->archive, TABLE_DUTY, *duty);
}

static bool is_bell(const struct home *home) {
    const struct directory_device *device = directory_device(home->directory, home->device);
    return !device || device->role == ROLE_BELL;
}

/* "Notified" for all that have become safe: one signature, one transaction with the end of the duty. */
static enum error say_notified(struct home *home, struct buf *duties) {
    size_t count = duties->n / (2 * HASH_SIZE);
    AUTO_FREE(struct saying) sayings = calloc(count + 1, sizeof *sayings);
    if (!sayings) return E_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = duties->p + i * 2 * HASH_SIZE;
        sayings[i] = (struct saying){.event = EVENT_NOTIFIED, .header = at, .leg = at + HASH_SIZE};
        TRY(trail_duty_done(home, at, at + HASH_SIZE, EVENT_NOTIFIED));
        TRY(policy_due(home, at, at + HASH_SIZE));
    }
    return outbox_say(home, sayings, count, NULL);
}

static enum error notify(struct home *home) {
    AUTO_BUF duties = {0}, value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_DUTY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) break;
        if (cursor.key.n != EVENT_NOTIFIED) continue;
        buf_add(&duties, cursor.key.a, HASH_SIZE);
        buf_add(&duties, cursor.key.b, HASH_SIZE);
    }
    TRY(buf_error(&duties));
    if (duties.n == 0) return E_OK;
    TRY(archive_begin(home->archive));
    enum error error = say_notified(home, &duties);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

/* What of them could not be opened, whatever came with them: "cannot open", once a generation. */
static enum error say_cannot_open(struct home *home, const struct archive_key *duty, uint64_t why) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    TRY(kept_load(home->archive, duty->a, &request));
    TRY(kept_leg_load(home->archive, duty->a, duty->b, &leg));
    struct keptleg *record = &leg.record;
    bool opened = request.record.has_offer_key || request.record.has_body_key;
    bool told = record->has_told && record->told >= record->generation;
    TRY(drop_duty(home, duty));
    if (opened || told || kept_leg_settled(record)) return E_OK;
    record->has_told = true;
    record->told = record->generation;
    TRY(kept_leg_save(home->archive, duty->a, duty->b, record));
    struct saying saying = {
        .event = EVENT_CANNOT_OPEN, .header = duty->a, .leg = duty->b, .has_reason = true, .reason = (unsigned)why};
    return outbox_say(home, &saying, 1, NULL);
}

static enum error say_all_cannot_open(struct home *home) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_DUTY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        uint64_t why;
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (cursor.key.n != EVENT_CANNOT_OPEN) continue;
        TRY(kept_number(home->archive, TABLE_DUTY, cursor.key, &why));
        TRY(archive_begin(home->archive));
        enum error error = say_cannot_open(home, &cursor.key, why);
        if (error == E_OK)
            error = archive_commit(home->archive);
        else
            archive_rollback(home->archive);
        TRY(error);
    }
}

/* One body. One that does not hold is asked for again, and named once. It may have become impossible to have it (declined by a sister, expired, erased): then the duty is over. */
static enum error fetch_one(struct home *home, struct relay *relay, const struct archive_key *duty, bool named,
                            struct failure *failure) {
    enum error error = body_receive(home, relay, duty->a, duty->b, failure);
    if (error == E_OK || error == E_NO_BODY || error == E_NOT_FOR_US || error == E_ERASED) return drop_duty(home, duty);
    if (outbox_is_fatal(error)) return error;
    AUTO_LEG leg = {0};
    TRY(kept_leg_load(home->archive, duty->a, duty->b, &leg));
    const struct leg_state_row *row = leg_state_row(leg.record.state);
    if (row && row->terminal) return drop_duty(home, duty);
    if (named || error_row(error)->again || error == E_NOT_ACCEPTED) return E_OK; /* next time */
    TRY(archive_set(home->archive, TABLE_DUTY, *duty, bytes_text("named")));
    char id[2 * 8 + 1];
    text_hex(duty->a, 8, id);
    return kept_alarm(home->archive, "the body of request %s does not hold: %s", id, error_text(error));
}

static enum error fetch_bodies(struct home *home, struct relay *relay, struct failure *failure) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_DUTY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (cursor.key.n == EVENT_HANDED_OVER) TRY(fetch_one(home, relay, &cursor.key, value.n > 0, failure));
    }
}

enum error inbox_duties(struct home *home, struct relay *relay, struct sync_summary *summary, struct failure *failure) {
    struct outbox_summary sent = {0};
    if (is_bell(home)) return E_OK;
    enum error error = notify(home);
    if (error == E_OK) error = say_all_cannot_open(home);
    if (error == E_OK) error = outbox_send_statements(home, relay, NULL, &sent, failure);
    if (error == E_OK) error = policy_run(home, summary, failure); /* "notified" is out: only now any rule is read */
    if (error == E_OK) error = outbox_send_statements(home, relay, NULL, &sent, failure);
    if (error == E_OK) error = fetch_bodies(home, relay, failure);
    if (error == E_OK) error = outbox_send_statements(home, relay, NULL, &sent, failure);
    summary->sent += sent.settled;
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "requests received");
    return error;
}
