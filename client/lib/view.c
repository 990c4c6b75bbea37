/* view.c - what the home holds, for people and scripts: lists, one request, its legs' history, numbers. */
#include "libpouch.h"
#include "loss.h"

#include <ctype.h>
#include <stdio.h>

#include "content.h"
#include "evidence.h"
#include "freshness.h"
#include "kept.h"
#include "moment.h"

static enum error broken(struct failure *failure, enum error error) {
    return error == E_UNKNOWN_REQUEST ? fail(failure, error, "%s", "") : fail(failure, error, "the local store");
}

/* ---- the standing policy ---- */

/* What is ignored is out of sight until somebody decides after all, here or on another device. */
static bool stays_ignored(const struct keptdecision *decision, const struct keptleg *leg) {
    static const bool decided[] = {
        [STATE_ACCEPTED] = true, [STATE_HANDED_OVER] = true, [STATE_ACKNOWLEDGED] = true,
        [STATE_DECLINED] = true, [STATE_CLOSED] = true};
    return decision->decision == POLICY_IGNORE && !leg->away && !(leg->state < LENGTH(decided) && decided[leg->state]);
}

static enum error is_ignored(struct home *home, const uint8_t *digest, const struct kept_leg *leg, bool *ret) {
    struct keptdecision decision;
    TRY(policy_decision_of(home->archive, digest, leg->leg, &decision));
    *ret = stays_ignored(&decision, &leg->record);
    return E_OK;
}

/* ---- lists ---- */

static enum error is_open(struct home *home, const uint8_t *digest, bool mine, bool *ret) {
    AUTO_LEGS legs = {0};
    TRY(kept_legs_load(home->archive, digest, &legs));
    *ret = false;
    for (size_t i = 0; i < legs.count; i++) {
        bool ignored = false;
        if (kept_leg_settled(&legs.legs[i].record)) continue;
        if (!mine) TRY(is_ignored(home, digest, &legs.legs[i], &ignored));
        *ret |= !ignored;
    }
    return E_OK;
}

static enum error add_listed(struct home *home, enum client_box box, bool all, const uint8_t *digest, struct buf *out) {
    AUTO_REQUEST request = {0};
    bool open = true;
    TRY(kept_load(home->archive, digest, &request));
    if (request.record.mine != (box == BOX_SENT)) return E_OK;
    if (!all) TRY(is_open(home, digest, box == BOX_SENT, &open));
    if (open) buf_add(out, digest, HASH_SIZE);
    return buf_error(out);
}

static enum error list(struct home *home, enum client_box box, bool all, struct buf *out) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ORDER, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (value.n != HASH_SIZE) return E_CORRUPT;
        TRY(add_listed(home, box, all, value.p, out));
    }
}

/* What a bell could show would be a sister's at most. A revoked device keeps what it has. */
static enum error bell_reads_nothing(const struct home *home, struct failure *failure) {
    enum error error = home_check_role(home, ROLE_READER, failure);
    return error == E_NOT_ALLOWED ? error : E_OK;
}

enum error client_list(struct home *home, enum client_box box, bool all, struct buf *ret_digests,
                       struct failure *failure) {
    AUTO_BUF digests = {0};
    TRY(bell_reads_nothing(home, failure));
    enum error error = list(home, box, all, &digests);
    if (error != E_OK) return broken(failure, error);
    buf_add_bytes(ret_digests, buf_bytes(&digests));
    return ret_digests->failed ? fail(failure, E_NO_MEMORY, "the list") : E_OK;
}

static enum error replies(struct home *home, const uint8_t *digest, struct buf *out) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_THREAD, SCOPE_A, archive_key(digest, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return buf_error(out);
        buf_add_bytes(out, buf_bytes(&value));
    }
}

enum error client_replies(struct home *home, const uint8_t digest[static HASH_SIZE], struct buf *ret_digests,
                          struct failure *failure) {
    enum error error = replies(home, digest, ret_digests);
    return error == E_OK ? E_OK : broken(failure, error);
}

/* ---- finding ---- */

enum { LIST_DIGITS_MAX = 6 };

static bool only(const char *text, int (*is)(int)) {
    for (const char *p = text; *p; p++)
        if (!is((unsigned char)*p)) return false;
    return *text != 0;
}

/* A list number is the request's own: the same in every list, so that it cannot mean one request here and another
 * there. */
static enum error find_numbered(struct home *home, const char *typed, uint8_t *ret, bool *ret_found) {
    if (!only(typed, isdigit) || strlen(typed) > LIST_DIGITS_MAX) return E_OK;
    AUTO_BUF digest = {0};
    bool found = false;
    TRY(archive_get(home->archive, TABLE_ORDER, archive_key(NULL, NULL, strtoul(typed, NULL, 10)), &digest, &found));
    if (found && digest.n != HASH_SIZE) return E_CORRUPT;
    if (found) memcpy(ret, digest.p, HASH_SIZE);
    *ret_found = found;
    return E_OK;
}

struct search {
    char prefix[2 * HASH_SIZE + 1]; /* lower case; empty: no hex */
    bool by_reference;
    uint32_t bits;
};

static bool matches(const struct search *search, const uint8_t *digest) {
    char hex[2 * HASH_SIZE + 1];
    text_hex(digest, HASH_SIZE, hex);
    if (search->prefix[0] && strncmp(hex, search->prefix, strlen(search->prefix)) == 0) return true;
    return search->by_reference && text_reference_bits(digest) == search->bits;
}

static enum error find_matching(struct home *home, const struct search *search, uint8_t *ret, size_t *ret_count) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ORDER, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (value.n != HASH_SIZE) return E_CORRUPT;
        if (!matches(search, value.p)) continue;
        memcpy(ret, value.p, HASH_SIZE);
        (*ret_count)++;
    }
}

static void read_search(const char *typed, struct search *search) {
    search->by_reference = text_reference_parse(bytes_text(typed), &search->bits) == E_OK;
    if (!only(typed, isxdigit) || strlen(typed) > 2 * HASH_SIZE) return;
    for (size_t i = 0; typed[i]; i++) search->prefix[i] = (char)tolower((unsigned char)typed[i]);
}

enum error client_find(struct home *home, const char *typed, uint8_t ret_digest[static HASH_SIZE],
                       struct failure *failure) {
    uint8_t digest[HASH_SIZE];
    struct search search = {0};
    TRY(bell_reads_nothing(home, failure));
    bool numbered = false;
    size_t count = 0;
    enum error error = find_numbered(home, typed, digest, &numbered);
    if (numbered) count = 1;
    read_search(typed, &search);
    if (error == E_OK && !numbered) error = find_matching(home, &search, digest, &count);
    if (error != E_OK) return broken(failure, error);
    if (count == 0) return fail(failure, E_UNKNOWN_REQUEST, "%s", typed);
    if (count > 1) return fail(failure, E_AMBIGUOUS, "%s", typed);
    memcpy(ret_digest, digest, HASH_SIZE);
    return E_OK;
}

/* ---- one request ---- */

void request_view_free(struct request_view *view) {
    buf_free(&view->summary);
    free(view->legs);
    *view = (struct request_view){0};
}

static void copy_text(struct bytes text, char *out, size_t size) {
    size_t n = text.n < size ? text.n : size - 1;
    if (n) memcpy(out, text.p, n);
    out[n] = 0;
}

static enum error view_offer(struct bytes object, struct request_view *view) {
    struct offer offer;
    if (offer_decode(object, &offer) != E_OK) return E_CORRUPT;
    view->kind = (enum request_kind)offer.kind;
    view->has_tlp = offer.has_tlp;
    view->tlp = (enum tlp)offer.tlp;
    view->has_pap = offer.has_pap;
    view->pap = (enum pap)offer.pap;
    view->disclosure = offer.has_disclosure && offer.disclosure;
    copy_text(offer.subject, view->subject, sizeof view->subject);
    copy_text(offer.language, view->language, sizeof view->language);
    buf_add_bytes(&view->summary, offer.summary);
    return buf_error(&view->summary);
}

/* A reply has no offer of its own: kind, subject and marks are those of the request it belongs to. */
static enum error view_content(struct home *home, const struct kept_request *request, struct request_view *view) {
    if (request->record.has_offer) return view_offer(request->record.offer, view);
    view->sealed = request->header.has_offer || !request->record.has_body_key;
    if (!request->header.has_parent) return E_OK;
    AUTO_REQUEST parent = {0};
    enum error error = kept_load(home->archive, request->header.parent.header, &parent);
    if (error == E_UNKNOWN_REQUEST) return E_OK;
    TRY(error);
    if (!parent.record.has_offer) return E_OK;
    TRY(view_offer(parent.record.offer, view));
    buf_clear(&view->summary);
    return E_OK;
}

static void view_header(const struct header *header, struct request_view *view) {
    copy_text(header->from, view->from, sizeof view->from);
    view->exercise = header->exercise;
    view->has_answer_by = header->has_answer_by;
    view->answer_by = header->answer_by;
    view->is_reply = header->has_parent;
    view->has_body = header->has_body;
    view->offer_only = !header->has_body;
    view->precedence = (enum precedence)header->precedence;
    view->created = header->created;
    view->body_length = header->has_body ? header->body.length : 0;
    if (header->has_parent) memcpy(view->parent_header, header->parent.header, HASH_SIZE);
}

static enum error view_policy(struct home *home, const struct kept_leg *leg, struct request_view *view) {
    struct keptdecision decision;
    if (view->mine || view->is_reply) return E_OK;
    TRY(policy_decision_of(home->archive, view->digest, leg->leg, &decision));
    view->policy = (struct policy_view){.decision = (enum policy_decision)decision.decision,
                                        .line = (unsigned)decision.line,
                                        .late = decision.late};
    view->ignored = stays_ignored(&decision, &leg->record);
    return E_OK;
}

static enum error view_legs(struct home *home, const struct header *header, struct request_view *view) {
    AUTO_LEGS legs = {0};
    TRY(kept_legs_load(home->archive, view->digest, &legs));
    view->legs = calloc(legs.count + 1, sizeof *view->legs);
    if (!view->legs) return E_NO_MEMORY;
    for (size_t i = 0; i < legs.count; i++) {
        const struct keptleg *record = &legs.legs[i].record;
        struct leg_view *leg = &view->legs[view->leg_count++];
        copy_text(record->to, leg->to, sizeof leg->to);
        memcpy(leg->leg, legs.legs[i].leg, HASH_SIZE);
        leg->state = (enum leg_state)record->state;
        leg->needs_rekey = record->rekey && !kept_leg_settled(record);
        leg->away = record->away;
        leg->spoken = (enum speaker)record->spoken;
        leg->consents = (unsigned)record->consents;
        if (record->has_forwarder) copy_text(record->forwarder, leg->forwarder, sizeof leg->forwarder);
        TRY(view_policy(home, &legs.legs[i], view));
        leg->refused = record->refused == E_OK ? E_OK : error_row((enum error)record->refused)->error;
        if (record->has_stored && (view->stored.ms == 0 || record->stored.ms < view->stored.ms))
            view->stored = record->stored;
    }
    if (view->stored.ms) view->expires.ms = view->stored.ms + header->keep_s * 1000;
    return E_OK;
}

static int by_name(const void *x, const void *y) {
    const struct leg_view *a = x, *b = y;
    return strcmp(a->to, b->to);
}

static enum error make_view(struct home *home, struct request_view *view) {
    AUTO_REQUEST request = {0};
    TRY(kept_load(home->archive, view->digest, &request));
    view->mine = request.record.mine;
    view->number = request.record.number;
    view->paired = request.record.has_paired && request.record.paired;
    view->unpaired = request.record.has_paired && !request.record.paired;
    text_reference(view->digest, view->reference);
    view_header(&request.header, view);
    TRY(view_content(home, &request, view));
    TRY(view_legs(home, &request.header, view));
    qsort(view->legs, view->leg_count, sizeof *view->legs, by_name);
    return E_OK;
}

enum error client_view(struct home *home, const uint8_t digest[static HASH_SIZE], struct request_view *ret,
                       struct failure *failure) {
    AUTO_VIEW view = {0};
    memcpy(view.digest, digest, HASH_SIZE);
    enum error error = make_view(home, &view);
    if (error != E_OK) return broken(failure, error);
    *ret = view;
    view = (struct request_view){0};
    return E_OK;
}

/* ---- the ladder of a leg ---- */

void event_views_free(struct event_view *events, size_t count) {
    for (size_t i = 0; events && i < count; i++) buf_free(&events[i].note);
    free(events);
}

struct ladder {
    struct home *home;
    const uint8_t *digest, *leg;
    struct kept_request request;
    struct event_view *events;
    size_t count, room;
};

static enum error open_note(const struct ladder *ladder, const struct statement *statement, struct buf *out) {
    const struct keptrequest *record = &ladder->request.record;
    const uint8_t *key = record->has_offer_key ? record->offer_key : record->has_body_key ? record->body_key : NULL;
    if (!statement->has_note || !key) return E_OK;
    enum error error = content_open_note(key, statement->nonce, ladder->digest, ladder->leg, statement->note, out);
    if (error == E_NO_MEMORY) return error;
    if (error != E_OK) buf_clear(out); /* words that do not open are not shown; the statement stands */
    return E_OK;
}

static enum error add_event(struct ladder *ladder, struct bytes receipt) {
    struct evidence evidence;
    enum error error = loss_open(ladder->home, receipt, &evidence);
    if (error != E_OK) return error == E_NO_MEMORY ? E_NO_MEMORY : E_CORRUPT;
    if (ladder->count == ladder->room) {
        size_t room = ladder->room ? 2 * ladder->room : 8;
        struct event_view *grown = realloc(ladder->events, room * sizeof *grown);
        if (!grown) return E_NO_MEMORY;
        ladder->events = grown;
        ladder->room = room;
    }
    const struct statement *statement = &evidence.statement;
    struct event_view *event = &ladder->events[ladder->count++];
    *event = (struct event_view){.event = (enum leg_event)statement->event,
                                 .from = (enum leg_state)evidence.entry.from,
                                 .to = (enum leg_state)evidence.entry.to,
                                 .officer = statement->officer,
                                 .has_entry = evidence.has_entry,
                                 .at = evidence.record.time,
                                 .device_time = statement->time,
                                 .ordinal = evidence.entry.ordinal,
                                 .log_index = evidence.record.index,
                                 .has_reason = statement->has_reason,
                                 .reason = (unsigned)statement->reason,
                                 .grace_s = statement->has_grace ? statement->grace : 0,
                                 .disclosure = statement->has_disclosure && statement->disclosure};
    if (statement->has_post) copy_text(statement->post, event->actor, sizeof event->actor);
    if (statement->has_forward) copy_text(statement->forward, event->forward, sizeof event->forward);
    return open_note(ladder, statement, &event->note);
}

static enum error add_table(struct ladder *ladder, enum archive_table table) {
    AUTO_BUF receipt = {0};
    struct archive_cursor cursor = archive_cursor(table, SCOPE_A, archive_key(ladder->leg, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(ladder->home->archive, &cursor, &receipt, &found));
        if (!found) return E_OK;
        TRY(add_event(ladder, buf_bytes(&receipt)));
    }
}

/* Oldest first; at one time the entries by their number, before the device receipts. */
static int by_time(const void *x, const void *y) {
    const struct event_view *a = x, *b = y;
    if (a->at.ms != b->at.ms) return a->at.ms < b->at.ms ? -1 : 1;
    if (a->has_entry != b->has_entry) return a->has_entry ? -1 : 1;
    return a->ordinal < b->ordinal ? -1 : a->ordinal > b->ordinal;
}

static enum error climb(struct ladder *ladder) {
    AUTO_LEG leg = {0};
    TRY(kept_load(ladder->home->archive, ladder->digest, &ladder->request));
    TRY(kept_leg_load(ladder->home->archive, ladder->digest, ladder->leg, &leg));
    if (leg.record.has_refusal) TRY(add_event(ladder, leg.record.refusal));
    TRY(add_table(ladder, TABLE_ENTRY));
    TRY(add_table(ladder, TABLE_NOTE));
    if (ladder->count) qsort(ladder->events, ladder->count, sizeof *ladder->events, by_time);
    return E_OK;
}

enum error client_track(struct home *home, const uint8_t digest[static HASH_SIZE], const uint8_t leg[static HASH_SIZE],
                        struct event_view **ret, size_t *ret_count, struct failure *failure) {
    struct ladder ladder = {.home = home, .digest = digest, .leg = leg};
    enum error error = climb(&ladder);
    kept_request_free(&ladder.request);
    if (error != E_OK) {
        event_views_free(ladder.events, ladder.count);
        return broken(failure, error);
    }
    *ret = ladder.events;
    *ret_count = ladder.count;
    return E_OK;
}

/* ---- the home as a whole ---- */

static enum error count_open(struct home *home, enum client_box box, uint64_t *ret) {
    AUTO_BUF digests = {0};
    TRY(list(home, box, false, &digests));
    *ret = digests.n / HASH_SIZE;
    return E_OK;
}

static enum error status_policy(struct home *home, struct home_status *status) {
    AUTO_BUF bytes = {0};
    struct keptpolicy policy;
    bool found;
    TRY(policy_load(home, &bytes, &policy, &found));
    status->policy_rules = policy.rules.count;
    status->opened = policy.opened;
    return E_OK;
}

static enum error read_status(struct home *home, struct home_status *status) {
    struct archive *archive = home->archive;
    struct keptrelay relay;
    uint64_t last_sync, last_day, today;
    TRY(count_open(home, BOX_INBOX, &status->inbox_open));
    TRY(count_open(home, BOX_SENT, &status->sent_open));
    TRY(archive_count(archive, TABLE_OUTBOX, SCOPE_ALL, archive_key(NULL, NULL, 0), &status->outbox));
    TRY(archive_count(archive, TABLE_ALARM, SCOPE_ALL, archive_key(NULL, NULL, 0), &status->alarms));
    TRY(kept_relay(archive, &relay));
    TRY(kept_number(archive, TABLE_META, archive_named("last sync"), &last_sync));
    TRY(kept_number(archive, TABLE_META, archive_named("last prekey day"), &last_day));
    today = moment_now().ms / DAY_MS;
    status->prekey_days = last_day >= today ? last_day - today + 1 : 0;
    status->last_sync.ms = last_sync;
    status->relay_time = relay.time;
    status->body_max = relay.body_max;
    status->directory_size = home->directory ? directory_size(home->directory) : 0;
    status->certificate_expires = home->certificate_ends;
    TRY(status_policy(home, status));
    return freshness_at(home, relay.time, &status->freshness);
}

enum error client_status(struct home *home, struct home_status *ret, struct failure *failure) {
    struct home_status status = {0};
    enum error error = read_status(home, &status);
    if (error != E_OK) return broken(failure, error);
    *ret = status;
    return E_OK;
}

static enum error walk_alarms(struct home *home, void (*each)(void *context, struct instant at, const char *text),
                              void *context) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ALARM, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        struct keptalarm alarm;
        char text[1024 + 1];
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (keptalarm_decode(buf_bytes(&value), &alarm) != E_OK) return E_CORRUPT;
        copy_text(alarm.text, text, sizeof text);
        each(context, alarm.at, text);
    }
}

enum error client_alarms(struct home *home, void (*each)(void *context, struct instant at, const char *text),
                         void *context, struct failure *failure) {
    enum error error = walk_alarms(home, each, context);
    return error == E_OK ? E_OK : broken(failure, error);
}
