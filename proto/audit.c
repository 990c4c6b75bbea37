/* audit.c - replays both logs and the history of legs, and tells what does not hold. */
#include "audit.h"

#include <stdio.h>

static const struct {
    const char *name, *text;
} rows[] = {
#define FINDING(name, json, text) {json, text},
#include "audit.def"
};

const char *audit_name(enum audit_kind kind) { return rows[kind].name; }
const char *audit_text(enum audit_kind kind) { return rows[kind].text; }

/* A head that the log has not reached yet, or has reached just now. */
struct expected {
    uint64_t size;
    uint8_t root[HASH_SIZE];
    struct instant time;
    const char *who;
};

struct audit_log {
    struct merkle_frontier frontier;
    struct expected *heads; /* by rising size, then time */
    size_t count, cap;
    struct instant time;        /* of the last leaf, where it is known */
    struct instant headed_at;   /* of the last head compared */
    uint64_t headed;            /* size of the largest head ever given */
    struct instant headed_time; /* and its time */
    bool broken;                /* a leaf is missing: roots mean nothing any more */
};

/* A head that the card's keys have not signed: perhaps those of before or after a declared loss, which the directory
 * tells. */
struct deferred {
    enum relay_log log;
    const char *who;
    struct buf note;
};

/* What the directory was once this leaf was in it. */
struct mark {
    uint64_t time;
    uint8_t root[HASH_SIZE];
};

struct audit {
    struct card card;
    struct audit_sink sink;
    struct audit_log logs[2];
    struct directory *directory;
    struct mark *marks; /* of the directory's leaves */
    size_t mark_cap;
    bool directory_done;
    struct deferred *deferred;
    size_t deferred_count, deferred_cap;
    uint64_t named;        /* the directory's size, as the last entry of the evidence log names it */
    struct buf checkpoint; /* of the receipt before, so that a batch's head is opened once */
    struct head checkpoint_head;
};

static struct audit_log *log_of(struct audit *audit, enum relay_log log) { return &audit->logs[log == LOG_EVIDENCE]; }
static const struct audit_log *log_at(const struct audit *audit, enum relay_log log) {
    return &audit->logs[log == LOG_EVIDENCE];
}

struct audit *audit_new(const struct card *card, struct audit_sink sink) {
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit) return NULL;
    audit->card = *card;
    audit->sink = sink;
    audit->directory = directory_new(card);
    if (audit->directory) return audit;
    free(audit);
    return NULL;
}

void audit_free(struct audit *audit) {
    if (!audit) return;
    directory_free(audit->directory);
    buf_free(&audit->checkpoint);
    for (size_t i = 0; i < audit->deferred_count; i++) buf_free(&audit->deferred[i].note);
    free(audit->deferred);
    free(audit->marks);
    free(audit->logs[0].heads);
    free(audit->logs[1].heads);
    free(audit);
}

static enum error tell(const struct audit *audit, const struct audit_finding *finding) {
    return audit->sink.tell(audit->sink.context, finding);
}

static enum error tell_index(const struct audit *audit, enum audit_kind kind, enum relay_log log, uint64_t index,
                             enum error error) {
    struct audit_finding finding = {.kind = kind, .log = log, .has_index = true, .index = index, .error = error};
    return tell(audit, &finding);
}

static enum error forked(enum relay_log log) { return log == LOG_EVIDENCE ? E_EVIDENCE_FORKED : E_DIRECTORY_FORKED; }

/* ---- heads ---- */

static enum error tell_head(const struct audit *audit, enum audit_kind kind, enum relay_log log,
                            const struct expected *head, enum error error) {
    struct audit_finding finding = {
        .kind = kind, .log = log, .has_index = true, .index = head->size, .who = head->who, .error = error};
    return tell(audit, &finding);
}

/* The log has exactly as many leaves as the head. */
static enum error compare(struct audit *audit, enum relay_log log, const struct expected *head) {
    struct audit_log *of = log_of(audit, log);
    uint8_t root[HASH_SIZE];
    if (!of->broken) {
        merkle_frontier_root(&of->frontier, root);
        if (memcmp(root, head->root, HASH_SIZE) != 0) TRY(tell_head(audit, AUDIT_HEAD_ROOT, log, head, forked(log)));
    }
    if (head->time.ms < of->time.ms || head->time.ms < of->headed_at.ms)
        TRY(tell_head(audit, AUDIT_HEAD_TIME, log, head, E_HEAD_TIME));
    if (head->time.ms > of->headed_at.ms) of->headed_at = head->time;
    return E_OK;
}

/* All heads of the size that the log has now. */
static enum error reach(struct audit *audit, enum relay_log log) {
    struct audit_log *of = log_of(audit, log);
    size_t n = 0;
    while (n < of->count && of->heads[n].size <= of->frontier.size) TRY(compare(audit, log, &of->heads[n++]));
    if (n == 0) return E_OK;
    of->count -= n;
    memmove(of->heads, of->heads + n, of->count * sizeof *of->heads);
    return E_OK;
}

static bool before(const struct expected *a, const struct expected *b) {
    return a->size != b->size ? a->size < b->size : a->time.ms < b->time.ms;
}

/* Into its place; the same head twice is one, and of one size there is one root. */
static enum error expect(struct audit *audit, enum relay_log log, const struct expected *head) {
    struct audit_log *of = log_of(audit, log);
    size_t at = of->count;
    bool rival = false;
    for (size_t i = 0; i < of->count; i++) {
        if (of->heads[i].size != head->size) continue;
        bool same = memcmp(of->heads[i].root, head->root, HASH_SIZE) == 0;
        rival = rival || !same;
        if (same && of->heads[i].time.ms == head->time.ms && of->heads[i].who == head->who) return E_OK;
    }
    if (rival) TRY(tell_head(audit, AUDIT_EQUIVOCATION, log, head, forked(log)));
    if (of->count == of->cap) {
        size_t cap = of->cap ? of->cap * 2 : 16;
        struct expected *grown = realloc(of->heads, cap * sizeof *grown);
        if (!grown) return E_NO_MEMORY;
        of->heads = grown;
        of->cap = cap;
    }
    while (at > 0 && before(head, &of->heads[at - 1])) at--;
    memmove(of->heads + at + 1, of->heads + at, (of->count - at) * sizeof *of->heads);
    of->heads[at] = *head;
    of->count++;
    return E_OK;
}

/* The directory was that of the head when it had as many leaves: its roots are all kept. */
static enum error compare_past(struct audit *audit, const struct expected *head) {
    uint8_t empty[HASH_SIZE];
    merkle_root(NULL, 0, empty);
    const struct mark *mark = head->size ? &audit->marks[head->size - 1] : NULL;
    if (memcmp(mark ? mark->root : empty, head->root, HASH_SIZE) != 0)
        TRY(tell_head(audit, AUDIT_HEAD_ROOT, LOG_DIRECTORY, head, E_DIRECTORY_FORKED));
    return mark && head->time.ms < mark->time ? tell_head(audit, AUDIT_HEAD_TIME, LOG_DIRECTORY, head, E_HEAD_TIME)
                                              : E_OK;
}

static enum error take_head(struct audit *audit, enum relay_log log, const struct head *head, const char *who) {
    struct audit_log *of = log_of(audit, log);
    struct expected expected = {.size = head->size, .time = head->time, .who = who};
    memcpy(expected.root, head->root, HASH_SIZE);
    if (head->size > of->headed || (head->size == of->headed && head->time.ms > of->headed_time.ms)) {
        of->headed = head->size;
        of->headed_time = head->time;
    }
    if (head->size >= of->frontier.size) {
        TRY(expect(audit, log, &expected));
        return reach(audit, log);
    }
    if (log == LOG_EVIDENCE) return E_OUT_OF_RANGE;
    return of->broken ? E_OK : compare_past(audit, &expected);
}

/* The witness of that name in the card has cosigned it. */
static bool cosigned(const struct audit *audit, const struct head *head, const char *who) {
    for (size_t i = 0; i < audit->card.witness_count; i++)
        if (strcmp(audit->card.witnesses[i].name, who) == 0) return head->words[i].valid;
    return false;
}

static enum error open_under(const struct audit *audit, const struct card *card, enum relay_log log, struct bytes note,
                             const char *who, struct head *ret) {
    TRY(head_open_log(card, log, note, ret));
    return who && !cosigned(audit, ret, who) ? E_UNKNOWN_WITNESS : E_OK;
}

static enum error tell_invalid(const struct audit *audit, enum relay_log log, const char *who, enum error error) {
    struct expected none = {.who = who};
    return tell_head(audit, AUDIT_HEAD_INVALID, log, &none, error);
}

/* Under the keys that the relay had before a declared loss, and after it. What the old ones have signed beyond it is
 * lost: the registrars have said so, and nobody is to be blamed. */
static enum error open_deferred(struct audit *audit, enum relay_log log, struct bytes note, const char *who) {
    const struct directory_relay *relay;
    for (size_t n = 0; (relay = directory_relay_nth(audit->directory, n)); n++) {
        struct card card;
        struct head head;
        if (relay->action != RELAY_RECOVERED) continue;
        uint64_t kept = log == LOG_EVIDENCE ? relay->entries : relay->index;
        directory_relay_card_at(audit->directory, relay->index, &audit->card, &card);
        bool before = open_under(audit, &card, log, note, who, &head) == E_OK;
        if (before) return head.size > kept ? E_OK : take_head(audit, log, &head, who);
        directory_relay_card_at(audit->directory, relay->index + 1, &audit->card, &card);
        if (open_under(audit, &card, log, note, who, &head) == E_OK) return take_head(audit, log, &head, who);
    }
    return tell_invalid(audit, log, who, E_BAD_SIGNATURE);
}

static enum error defer(struct audit *audit, enum relay_log log, struct bytes note, const char *who) {
    if (audit->deferred_count == audit->deferred_cap) {
        size_t cap = audit->deferred_cap ? audit->deferred_cap * 2 : 8;
        struct deferred *grown = realloc(audit->deferred, cap * sizeof *grown);
        if (!grown) return E_NO_MEMORY;
        audit->deferred = grown;
        audit->deferred_cap = cap;
    }
    struct deferred *deferred = &audit->deferred[audit->deferred_count++];
    *deferred = (struct deferred){.log = log, .who = who};
    buf_add_bytes(&deferred->note, note);
    return buf_error(&deferred->note);
}

/* Once the directory is known. */
static enum error open_all_deferred(struct audit *audit) {
    audit->directory_done = true;
    for (size_t i = 0; i < audit->deferred_count; i++) {
        const struct deferred *deferred = &audit->deferred[i];
        TRY(open_deferred(audit, deferred->log, buf_bytes(&deferred->note), deferred->who));
    }
    for (size_t i = 0; i < audit->deferred_count; i++) buf_free(&audit->deferred[i].note);
    audit->deferred_count = 0;
    return E_OK;
}

enum error audit_head(struct audit *audit, enum relay_log log, struct bytes note, const char *who) {
    struct head head;
    enum error error = open_under(audit, &audit->card, log, note, who, &head);
    if (error == E_OK) return take_head(audit, log, &head, who);
    if (error != E_BAD_SIGNATURE) return tell_invalid(audit, log, who, error);
    return audit->directory_done ? open_deferred(audit, log, note, who) : defer(audit, log, note, who);
}

uint64_t audit_headed(const struct audit *audit, enum relay_log log, struct instant *ret_time) {
    *ret_time = log_at(audit, log)->headed_time;
    return log_at(audit, log)->headed;
}

enum error audit_done(struct audit *audit, enum relay_log log, bool must) {
    struct audit_log *of = log_of(audit, log);
    if (log == LOG_DIRECTORY) TRY(open_all_deferred(audit));
    TRY(reach(audit, log));
    for (size_t i = 0; i < of->count; i++) TRY(tell_head(audit, AUDIT_HEAD_AHEAD, log, &of->heads[i], E_GAP));
    of->count = 0;
    if (must && of->headed < of->frontier.size)
        TRY(tell_index(audit, AUDIT_HEAD_MISSING, log, of->frontier.size, E_NO_HEAD));
    return E_OK;
}

/* ---- leaves ---- */

static enum error keep_mark(struct audit *audit, struct instant time, const uint8_t hash[static HASH_SIZE]) {
    struct audit_log *of = log_of(audit, LOG_DIRECTORY);
    size_t n = (size_t)of->frontier.size;
    if (n == audit->mark_cap) {
        size_t cap = n ? n * 2 : 256;
        struct mark *grown = realloc(audit->marks, cap * sizeof *grown);
        if (!grown) return E_NO_MEMORY;
        audit->marks = grown;
        audit->mark_cap = cap;
    }
    audit->marks[n].time = time.ms;
    merkle_frontier_add(&of->frontier, hash);
    merkle_frontier_root(&of->frontier, audit->marks[n].root);
    return reach(audit, LOG_DIRECTORY);
}

/* After a leaf that breaks the rules the directory goes on without it, as every client's would have. */
enum error audit_leaf(struct audit *audit, struct bytes bytes) {
    struct audit_log *of = log_of(audit, LOG_DIRECTORY);
    uint64_t index = of->frontier.size;
    struct leaf leaf;
    uint8_t hash[HASH_SIZE];
    enum error error = leaf_decode(bytes, &leaf);
    bool back = error == E_OK && leaf.time.ms < of->time.ms;
    if (back) TRY(tell_index(audit, AUDIT_TIME_BACK, LOG_DIRECTORY, index, E_OUT_OF_RANGE));
    if (error == E_OK && !back) {
        of->time = leaf.time;
        error = directory_apply(audit->directory, bytes);
        if (error == E_NO_MEMORY) return error;
    }
    if (error != E_OK) TRY(tell_index(audit, AUDIT_LEAF_INVALID, LOG_DIRECTORY, index, error));
    merkle_leaf(bytes, hash);
    return keep_mark(audit, of->time, hash);
}

enum error audit_resume(struct audit *audit, const struct merkle_frontier *frontier, struct instant time) {
    struct audit_log *of = log_of(audit, LOG_EVIDENCE);
    size_t n = 0;
    of->frontier = *frontier;
    of->time = time;
    while (n < of->count && of->heads[n].size < frontier->size) n++; /* compared by the audit that went past them */
    of->count -= n;
    memmove(of->heads, of->heads + n, of->count * sizeof *of->heads);
    return reach(audit, LOG_EVIDENCE);
}

enum error audit_hash(struct audit *audit, const uint8_t hash[static HASH_SIZE]) {
    merkle_frontier_add(&log_of(audit, LOG_EVIDENCE)->frontier, hash);
    return reach(audit, LOG_EVIDENCE);
}

enum error audit_gap(struct audit *audit, enum relay_log log, uint64_t index) {
    log_of(audit, log)->broken = true;
    return tell_index(audit, AUDIT_INDEX_GAP, log, index, E_GAP);
}

/* ---- the evidence log's leaves with their receipts ---- */

/* What the relay recorded, its signature not looked at. */
static enum error peek_record(const struct receipt *receipt, struct record *ret) {
    struct bytes payload;
    TRY(stamp_peek(receipt->record, &payload));
    return record_decode(payload, ret);
}

/* The directory that the entry names is the one that stood when its batch began: all leaves of earlier times, and
 * none of later. */
static bool size_fits(const struct audit *audit, const struct entry *entry) {
    uint64_t size = log_at(audit, LOG_DIRECTORY)->frontier.size;
    if (entry->size > size) return false;
    if (entry->size > 0 && audit->marks[entry->size - 1].time > entry->time.ms) return false;
    return entry->size == size || audit->marks[entry->size].time >= entry->time.ms;
}

/* Hashes out of their list, concatenated: at most MERKLE_DEPTH_MAX of them, as the object's table says. */
static struct bytes flat_path(struct list list, uint8_t room[static MERKLE_PROOF_MAX]) {
    const uint8_t *hash;
    size_t n = 0;
    for (; n < MERKLE_PROOF_MAX && list_next_fixed(&list, HASH_SIZE, &hash); n += HASH_SIZE)
        memcpy(room + n, hash, HASH_SIZE);
    return bytes_of(room, n);
}

/* The batch's head that came with the receipt: opened once a batch, compared when the log has reached it. */
static enum error check_receipt_head(struct audit *audit, const struct receipt *receipt, const struct card *card,
                                     const uint8_t hash[static HASH_SIZE]) {
    uint64_t index = log_of(audit, LOG_EVIDENCE)->frontier.size;
    uint8_t path[MERKLE_PROOF_MAX];
    bool again = receipt->has_checkpoint && bytes_equal(receipt->checkpoint, buf_bytes(&audit->checkpoint));
    struct head head = audit->checkpoint_head;
    enum error error = E_MISSING_FIELD;
    if (receipt->has_checkpoint && receipt->has_proof)
        error = again ? E_OK : head_open_log(card, LOG_EVIDENCE, receipt->checkpoint, &head);
    if (error == E_OK && head.size <= index) error = E_OUT_OF_RANGE;
    if (error == E_OK)
        error = merkle_verify_inclusion(hash, index, head.size, flat_path(receipt->proof, path),
                                        bytes_of(head.root, HASH_SIZE));
    if (error != E_OK) return tell_index(audit, AUDIT_RECEIPT_HEAD, LOG_EVIDENCE, index, error);
    if (again) return E_OK;
    buf_clear(&audit->checkpoint);
    buf_add_bytes(&audit->checkpoint, receipt->checkpoint);
    audit->checkpoint_head = head;
    TRY(buf_error(&audit->checkpoint));
    return take_head(audit, LOG_EVIDENCE, &head, NULL);
}

static enum error check_at(struct audit *audit, const uint8_t hash[static HASH_SIZE], struct bytes bytes) {
    struct audit_log *of = log_of(audit, LOG_EVIDENCE);
    uint64_t index = of->frontier.size;
    struct receipt receipt;
    struct record record;
    struct entry entry;
    uint8_t found[HASH_SIZE];
    enum error error = receipt_decode(bytes, &receipt);
    if (error == E_OK) error = peek_record(&receipt, &record);
    if (error == E_OK && !record.has_entry) error = E_MISSING_FIELD;
    if (error == E_OK) error = entry_decode(record.entry, &entry);
    if (error != E_OK) return tell_index(audit, AUDIT_RECEIPT_INVALID, LOG_EVIDENCE, index, error);
    entry_hash(record.entry, found);
    bool here = record.has_index && record.index == index && memcmp(found, hash, HASH_SIZE) == 0;
    if (!here) return tell_index(audit, AUDIT_RECEIPT_ELSEWHERE, LOG_EVIDENCE, index, E_MISMATCH);
    if (entry.time.ms < of->time.ms) TRY(tell_index(audit, AUDIT_TIME_BACK, LOG_EVIDENCE, index, E_OUT_OF_RANGE));
    if (entry.time.ms > of->time.ms) of->time = entry.time;
    if (entry.size < audit->named || !size_fits(audit, &entry))
        TRY(tell_index(audit, AUDIT_DIRECTORY_SIZE, LOG_EVIDENCE, index, E_OUT_OF_RANGE));
    if (entry.size > audit->named) audit->named = entry.size;
    struct card card;
    directory_relay_card_at(audit->directory, entry.size, &audit->card, &card);
    return check_receipt_head(audit, &receipt, &card, hash);
}

enum error audit_entry(struct audit *audit, const uint8_t hash[static HASH_SIZE], struct bytes receipt) {
    struct audit_log *of = log_of(audit, LOG_EVIDENCE);
    if (receipt.p)
        TRY(check_at(audit, hash, receipt));
    else
        TRY(tell_index(audit, AUDIT_RECEIPT_MISSING, LOG_EVIDENCE, of->frontier.size, E_GAP));
    return audit_hash(audit, hash);
}

uint64_t audit_size(const struct audit *audit, enum relay_log log) { return log_at(audit, log)->frontier.size; }
void audit_root(const struct audit *audit, enum relay_log log, uint8_t ret[static HASH_SIZE]) {
    merkle_frontier_root(&log_at(audit, log)->frontier, ret);
}
const struct merkle_frontier *audit_frontier(const struct audit *audit, enum relay_log log) {
    return &log_at(audit, log)->frontier;
}
const struct directory *audit_directory(const struct audit *audit) { return audit->directory; }
struct instant audit_time(const struct audit *audit) {
    return log_at(audit, LOG_EVIDENCE)->time;
}

/* ---- legs ---- */

static void post_name(struct bytes name, char out[static POST_MAX + 1]) {
    snprintf(out, POST_MAX + 1, "%.*s", (int)(name.n < POST_MAX ? name.n : POST_MAX), (const char *)name.p);
}

void audit_begin(struct audit_trail *trail, const struct audit_leg *leg) {
    *trail = (struct audit_trail){.about = *leg, .state = STATE_NONE, .furthest = STATE_NONE, .generation = 1};
    post_name(leg->recipient, trail->to);
    memcpy(trail->head, leg->leg, HASH_SIZE);
}

struct step {
    struct audit *audit;
    struct audit_trail *trail;
    const struct evidence *evidence;
    uint64_t ordinal; /* where it stands */
};

static enum error tell_step(const struct step *step, enum audit_kind kind, enum error error) {
    struct audit_finding finding = {.kind = kind,
                                    .has_leg = true,
                                    .has_ordinal = step->evidence == NULL || step->evidence->has_entry,
                                    .ordinal = step->ordinal,
                                    .error = error};
    memcpy(finding.leg, step->trail->about.leg, HASH_SIZE);
    if (step->evidence && step->evidence->has_entry) {
        finding.log = LOG_EVIDENCE;
        finding.has_index = true;
        finding.index = step->evidence->record.index;
    }
    return tell(step->audit, &finding);
}

static bool is_relays(const struct statement *statement) {
    const struct leg_event_row *row = leg_event_row(statement->event);
    return row && row->actor == ACTOR_RELAY;
}

static enum error check_about(const struct step *step) {
    const struct statement *statement = &step->evidence->statement;
    const struct audit_leg *about = &step->trail->about;
    bool fits = statement->has_leg && memcmp(statement->leg, about->leg, HASH_SIZE) == 0 &&
                memcmp(statement->header, about->header, HASH_SIZE) == 0;
    return fits ? E_OK : tell_step(step, AUDIT_LEG_MISMATCH, E_MISMATCH);
}

/* The ordinal, and what it continues. */
static enum error check_place(const struct step *step) {
    const struct entry *entry = &step->evidence->entry;
    struct audit_trail *trail = step->trail;
    if (entry->ordinal + 1 == trail->ordinal && memcmp(step->evidence->entry_hash, trail->head, HASH_SIZE) != 0)
        return tell_step(step, AUDIT_RIVAL, E_BAD_PROOF);
    if (entry->ordinal != trail->ordinal) return tell_step(step, AUDIT_ORDINAL_GAP, E_GAP);
    if (memcmp(entry->previous, trail->head, HASH_SIZE) != 0) return tell_step(step, AUDIT_CHAIN, E_BAD_PROOF);
    return E_OK;
}

static bool is_allowed(const struct audit_trail *trail, const struct entry *entry, uint64_t event) {
    static const enum leg_kind kinds[] = {LEG_REQUEST, LEG_OFFER_ONLY, LEG_REPLY};
    enum leg_state to;
    if (entry->from != trail->state) return false;
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (trail->about.kind && trail->about.kind != kinds[i]) continue;
        if (leg_step((enum leg_state)entry->from, (enum leg_event)event, kinds[i], &to) == E_OK && to == entry->to)
            return true;
    }
    return false;
}

/* The stored leg is its header's device's, which must have been valid; every other statement is its own signer's. */
static enum error check_live(const struct step *step, const uint8_t *key) {
    const struct entry *entry = &step->evidence->entry;
    const struct directory_device *device = key ? directory_device(step->audit->directory, key) : NULL;
    if (!key) return E_OK;
    if (!device) return tell_step(step, AUDIT_SPEAKER, E_UNKNOWN_DEVICE);
    enum error error = directory_live_at(device, entry->size, entry->time);
    return error == E_OK ? E_OK : tell_step(step, AUDIT_NOT_LIVE, error);
}

static enum error check_speaker(const struct step *step) {
    const struct statement *statement = &step->evidence->statement;
    const struct audit_trail *trail = step->trail;
    struct leg_posts posts = {trail->about.sender, bytes_text(trail->to), bytes_text(trail->forwarder)};
    uint8_t key[KEY_SIZE];
    evidence_relay_key(step->audit->directory, step->evidence, &step->audit->card, key);
    enum error error = statement_may_on(statement, step->audit->directory, key, &posts);
    if (error != E_OK) return tell_step(step, AUDIT_SPEAKER, error);
    if (is_relays(statement)) return statement->event == EVENT_STORED ? check_live(step, trail->about.device) : E_OK;
    return check_live(step, statement->device);
}

/* Into another post of the same party, which the directory has. */
static enum error check_forward(const struct step *step) {
    const struct statement *statement = &step->evidence->statement;
    struct audit_trail *trail = step->trail;
    struct bytes to = statement->forward;
    if (!statement->has_forward) return tell_step(step, AUDIT_FORWARDING, E_MISSING_FIELD);
    bool fits = bytes_equal(text_party_of(to), text_party_of(bytes_text(trail->to))) && !bytes_are(to, trail->to) &&
                !bytes_equal(to, trail->about.sender);
    if (!fits) TRY(tell_step(step, AUDIT_FORWARDING, E_NOT_ALLOWED));
    if (!directory_post(step->audit->directory, to)) TRY(tell_step(step, AUDIT_FORWARDING, E_UNKNOWN_POST));
    memcpy(trail->forwarder, trail->to, sizeof trail->forwarder);
    post_name(to, trail->to);
    return E_OK;
}

static enum error check_generation(const struct step *step) {
    const struct statement *statement = &step->evidence->statement;
    struct audit_trail *trail = step->trail;
    if (!statement->has_generation || statement->generation != trail->generation + 1)
        TRY(tell_step(step, AUDIT_GENERATION, E_OUT_OF_RANGE));
    if (statement->has_generation) trail->generation = statement->generation;
    trail->needs_rekey = false;
    return E_OK;
}

/* Outages only move a deadline further away, by the grace that the statement names (in seconds, rounded up); and what
 * is exactly at it is in time. */
static enum error check_deadline(const struct step *step) {
    const struct entry *entry = &step->evidence->entry;
    struct audit_trail *trail = step->trail;
    uint64_t event = step->evidence->statement.event;
    uint64_t grace_ms = step->evidence->statement.has_grace ? (step->evidence->statement.grace - 1) * 1000 : 0;
    if (event == EVENT_EXPIRED && trail->due.ms && entry->time.ms <= trail->due.ms + grace_ms)
        TRY(tell_step(step, AUDIT_EXPIRED_EARLY, E_OUT_OF_RANGE));
    bool anew = event == EVENT_STORED || event == EVENT_ACKNOWLEDGED;
    if (anew && trail->about.keep_s) trail->due.ms = entry->time.ms + trail->about.keep_s * 1000;
    return E_OK;
}

/* What this event brings with it, beside the state. */
static enum error check_effects(const struct step *step) {
    uint64_t event = step->evidence->statement.event;
    TRY(check_deadline(step));
    if (event == EVENT_REKEY_NEEDED) step->trail->needs_rekey = true;
    if (event == EVENT_RESEALED || event == EVENT_FORWARDED) TRY(check_generation(step));
    return event == EVENT_FORWARDED ? check_forward(step) : E_OK;
}

static void move(struct audit_trail *trail, const struct entry *entry, const uint8_t hash[static HASH_SIZE]) {
    const struct leg_state_row *row = leg_state_row(entry->to);
    trail->state = (unsigned)entry->to;
    if (row && !row->terminal && entry->to > trail->furthest) trail->furthest = (unsigned)entry->to;
    trail->ordinal = entry->ordinal + 1;
    if (entry->time.ms > trail->last.ms) trail->last = entry->time;
    memcpy(trail->head, hash, HASH_SIZE);
}

/* A receipt that does not hold may still tell where the leg went, so that what follows is judged from there. */
static void move_on(struct audit_trail *trail, struct bytes bytes) {
    struct receipt receipt;
    struct record record;
    struct entry entry;
    uint8_t hash[HASH_SIZE];
    trail->ordinal++;
    if (receipt_decode(bytes, &receipt) != E_OK || peek_record(&receipt, &record) != E_OK || !record.has_entry) return;
    if (entry_decode(record.entry, &entry) != E_OK || entry.ordinal + 1 != trail->ordinal) return;
    entry_hash(record.entry, hash);
    move(trail, &entry, hash);
}

/* Under the keys that the relay had when it made the receipt. */
static enum error open_evidence(const struct audit *audit, struct bytes receipt, struct evidence *ret) {
    struct card card;
    evidence_card(audit->directory, receipt, &audit->card, &card);
    return evidence_open(receipt, card.statement, ret);
}

enum error audit_step(struct audit *audit, struct audit_trail *trail, struct bytes receipt) {
    struct evidence evidence;
    struct step step = {audit, trail, NULL, trail->ordinal};
    enum error error = open_evidence(audit, receipt, &evidence);
    if (error != E_OK) {
        /* What is no step at all is found here already. */
        TRY(tell_step(&step, error == E_WRONG_STATE ? AUDIT_STATE : AUDIT_RECEIPT_INVALID, error));
        move_on(trail, receipt);
        return E_OK;
    }
    step.evidence = &evidence;
    if (!evidence.has_entry) return tell_step(&step, AUDIT_NOTE, E_MISSING_FIELD);
    step.ordinal = evidence.entry.ordinal;
    TRY(check_about(&step));
    TRY(check_place(&step));
    if (!is_allowed(trail, &evidence.entry, evidence.statement.event))
        TRY(tell_step(&step, AUDIT_STATE, E_WRONG_STATE));
    if (evidence.entry.time.ms < trail->last.ms) TRY(tell_step(&step, AUDIT_TIME_BACK, E_OUT_OF_RANGE));
    TRY(check_speaker(&step));
    TRY(check_effects(&step));
    move(trail, &evidence.entry, evidence.entry_hash);
    return E_OK;
}

/* A device receipt is of a device that had to do with the leg. Without an entry it names no size of the directory, so
 * that only its post can be judged, not whether the device was valid then. */
enum error audit_note(struct audit *audit, struct audit_trail *trail, struct bytes receipt) {
    struct evidence evidence;
    struct step step = {audit, trail, NULL, 0};
    enum error error = open_evidence(audit, receipt, &evidence);
    step.evidence = &evidence;
    evidence.has_entry = error == E_OK && evidence.has_entry;
    if (error != E_OK) return tell_step(&step, AUDIT_RECEIPT_INVALID, error);
    if (evidence.has_entry) return tell_step(&step, AUDIT_NOTE, E_MISMATCH);
    TRY(check_about(&step));
    const struct statement *statement = &evidence.statement;
    bool by_sender = bytes_equal(statement->post, trail->about.sender);
    *(by_sender ? &trail->notes_sender : &trail->notes_recipient) += 1;
    const struct directory_device *device = directory_device(audit->directory, statement->device);
    if (is_relays(statement) || !statement->has_post) return tell_step(&step, AUDIT_SPEAKER, E_NOT_ALLOWED);
    if (!device) return tell_step(&step, AUDIT_SPEAKER, E_UNKNOWN_DEVICE);
    bool its = bytes_are(statement->post, device->post->name);
    bool side = by_sender || bytes_equal(text_party_of(statement->post), text_party_of(bytes_text(trail->to)));
    return its && side ? E_OK : tell_step(&step, AUDIT_SPEAKER, E_NOT_ALLOWED);
}
