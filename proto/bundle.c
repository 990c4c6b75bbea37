/* bundle.c - makes and verifies bundles. Whatever is made is verified before it is given out, so that there is one
 * opinion on what a bundle is.
 *
 * Verifying goes through the parts in the order that bundle.h tells. Before each part its place is noted; where
 * something fails, that is the place. Rungs of all legs stand in one growing array, legs know where theirs begin;
 * pointers are set at the end. */
#include "bundle.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "chunks.h"
#include "evidence.h"
#include "header.h"
#include "history.h"
#include "note.h"

static const struct bundle_gap_row gaps[] = {
#define GAP(name, json, text) {json, text},
#include "bundle.def"
};

const struct bundle_gap_row *bundle_gap_row(enum bundle_gap gap) {
    return (unsigned)gap < LENGTH(gaps) ? &gaps[gap] : NULL;
}

static const size_t NO_RUNG = SIZE_MAX;

/* A leg while it is verified: where its rungs are. */
struct leg_work {
    size_t first, notes, consent[BUNDLE_SIDES];
    struct bundleleg bundle;
    struct history history;
    struct opening opening;
};

/* A head of the evidence log that some receipt brought. */
struct seen_head {
    uint64_t size;
    uint8_t root[HASH_SIZE];
};

struct work {
    struct bundle bundle;
    struct bundle_report *report;
    const struct card *given; /* from outside; or NULL */
    struct card *then;        /* with the keys that the relay had at some time */
    struct bundle_where *where;
    struct leg_work *works;
    struct bundle_leg_report *legs;
    struct buf rungs, heads; /* struct bundle_rung, struct seen_head */
};

/* What a report owns. */
struct holding {
    struct bundle_leg_report *legs;
    struct buf rungs;
};

static void at(const struct work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void at(const struct work *work, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(work->where->text, sizeof work->where->text, format, arguments);
    va_end(arguments);
}

/* More about the same place. */
static void at_its(const struct work *work, const char *part) {
    size_t n = strlen(work->where->text);
    (void)snprintf(work->where->text + n, sizeof work->where->text - n, ", %s", part);
}

static enum error flat(struct list list, struct buf *out) {
    const uint8_t *hash;
    while (list_next_fixed(&list, HASH_SIZE, &hash)) buf_add(out, hash, HASH_SIZE);
    return buf_error(out);
}

/* ---- card, header, heads ---- */

static bool has_registrar(const struct card *card, const uint8_t key[static KEY_SIZE]) {
    for (size_t i = 0; i < card->registrar_count; i++)
        if (memcmp(card->registrars[i], key, KEY_SIZE) == 0) return true;
    return false;
}

/* Who says which keys are the relay's; where it is found, and who witnesses, may have changed since. */
static bool same_registrars(const struct card *a, const struct card *b) {
    if (strcmp(a->name, b->name) != 0) return false;
    if (a->threshold != b->threshold || a->registrar_count != b->registrar_count) return false;
    for (size_t i = 0; i < a->registrar_count; i++)
        if (!has_registrar(b, a->registrars[i])) return false;
    return true;
}

/* The file's card with the new keys that the leaves claim for the relay; their signatures are looked at when they are
 * replayed. */
static void card_then_claimed(const struct work *work, struct card *ret) {
    struct list list = work->bundle.leaves;
    struct bundleleaf item;
    struct leaf leaf;
    struct bytes payload;
    struct relaychange change;
    *ret = work->report->card;
    while (bundleleaf_next(&list, &item)) {
        if (leaf_decode(item.leaf, &leaf) != E_OK || leaf.kind != LEAF_RELAY) continue;
        if (directory_peek(leaf.kind, leaf.statement, &payload) != E_OK) continue;
        if (relaychange_decode(payload, &change) != E_OK || !change.has_log || !change.has_statement) continue;
        memcpy(ret->log, change.log, KEY_SIZE);
        memcpy(ret->statement, change.statement, KEY_SIZE);
    }
}

static enum error open_card(struct work *work) {
    AUTO_BUF again = {0};
    struct bundle_report *report = work->report;
    at(work, "card");
    TRY(card_parse(work->bundle.card, &report->card, NULL));
    card_format(&report->card, &again);
    TRY(buf_error(&again));
    if (!bytes_equal(work->bundle.card, buf_bytes(&again))) return E_NON_CANONICAL;
    card_hash(&report->card, report->card_hash);
    return !work->given || same_registrars(work->given, &report->card) ? E_OK : E_WRONG_FINGERPRINT;
}

static enum error open_request(struct work *work) {
    at(work, "header");
    TRY(header_open(work->bundle.header, &work->report->header, work->report->digest));
    work->report->kind = header_leg_kind(&work->report->header);
    return E_OK;
}

/* Only lines that are checked, and each once: the log's first, then witnesses of the card. */
static enum error check_lines(const struct card *card, enum relay_log log, struct bytes bytes) {
    struct note note;
    struct note_key key;
    bool seen[WITNESSES_MAX] = {false};
    TRY(note_parse(bytes, &note));
    TRY(head_key(card, log, &key));
    for (size_t i = 0; i < note.count; i++) {
        const struct note_line *line = &note.lines[i];
        size_t k = 0;
        if (i == 0 && bytes_are(line->name, key.name) && memcmp(line->hash, key.hash, sizeof key.hash) == 0) continue;
        for (; k < card->witness_count; k++)
            if (bytes_are(line->name, card->witnesses[k].name) &&
                memcmp(line->hash, card->witnesses[k].hash, NOTE_KEY_HASH_SIZE) == 0)
                break;
        if (i == 0 || k == card->witness_count || seen[k]) return E_MALFORMED;
        seen[k] = true;
    }
    return E_OK;
}

static enum error open_head(const struct card *card, enum relay_log log, struct bytes bytes, struct head *ret) {
    TRY(head_open_log(card, log, bytes, ret));
    return check_lines(card, log, bytes);
}

/* A card from outside says who is a witness; the file's own card only what may stand in the file. */
static bool is_witness(const struct card *card, const struct note_key *key) {
    for (size_t i = 0; i < card->witness_count; i++)
        if (strcmp(card->witnesses[i].name, key->name) == 0 && memcmp(card->witnesses[i].key, key->key, KEY_SIZE) == 0)
            return true;
    return false;
}

static enum error open_directory_head(struct work *work) {
    struct bundle_report *report = work->report;
    at(work, "directory head");
    card_then_claimed(work, work->then);
    TRY(open_head(work->then, LOG_DIRECTORY, work->bundle.directory, &report->directory));
    for (size_t i = 0; i < report->card.witness_count; i++)
        report->witnesses +=
            report->directory.words[i].valid && (!work->given || is_witness(work->given, &report->card.witnesses[i]));
    return E_OK;
}

/* ---- the legs' places ---- */

static enum error open_leg(struct work *work, struct leg_work *leg, struct bundle_leg_report *report) {
    const struct header *header = &work->report->header;
    TRY(legs_verify(&leg->bundle.place, leg->bundle.path, header->legs, &leg->opening, report->leg));
    leg->history = history_of(header, &leg->opening, report->leg);
    report->to = leg->opening.to;
    report->sequence = leg->opening.sequence;
    return E_OK;
}

static enum error open_legs(struct work *work) {
    struct bundle_report *report = work->report;
    struct list list = work->bundle.legs;
    size_t count = list.count;
    at(work, "legs");
    if (count == 0) return E_MISSING_FIELD;
    if (report->header.has_parent && count > 1) return E_MALFORMED;
    work->works = calloc(count, sizeof *work->works);
    work->legs = calloc(count, sizeof *work->legs);
    if (!work->works || !work->legs) return E_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct leg_work *leg = &work->works[i];
        at(work, "leg %zu", i + 1);
        if (!bundleleg_next(&list, &leg->bundle)) return E_MALFORMED;
        if (i > 0 && leg->bundle.place.position <= leg[-1].bundle.place.position) return E_NON_CANONICAL;
        TRY(open_leg(work, leg, &work->legs[i]));
    }
    report->leg_count = count;
    return E_OK;
}

/* ---- the directory, as far as it is shown ---- */

/* The sender's party and the recipients': forwarding stays inside a party. A word on the relay itself concerns
 * everybody. */
static enum error check_concern(const struct work *work, struct bytes leaf) {
    enum leaf_kind kind;
    struct bytes name;
    TRY(directory_leaf_name(work->report->entries, leaf, &kind, &name));
    if (kind == LEAF_RELAY) return E_OK;
    struct bytes party = text_party_of(name);
    if (bytes_equal(party, text_party_of(work->report->header.from))) return E_OK;
    for (size_t i = 0; i < work->report->leg_count; i++)
        if (bytes_equal(party, text_party_of(work->works[i].opening.to))) return E_OK;
    return E_MISMATCH;
}

static enum error check_leaf(const struct work *work, const struct bundleleaf *leaf) {
    const struct head *head = &work->report->directory;
    uint8_t hash[HASH_SIZE];
    AUTO_BUF path = {0};
    at(work, "directory entry %llu", (unsigned long long)leaf->index);
    if (leaf->index < directory_size(work->report->entries)) return E_NON_CANONICAL;
    at_its(work, "proof");
    merkle_leaf(leaf->leaf, hash);
    TRY(flat(leaf->path, &path));
    TRY(merkle_verify_inclusion(hash, leaf->index, head->size, buf_bytes(&path), bytes_of(head->root, HASH_SIZE)));
    at(work, "directory entry %llu", (unsigned long long)leaf->index);
    TRY(check_concern(work, leaf->leaf));
    return directory_apply_at(work->report->entries, leaf->index, leaf->leaf);
}

/* The header's device is one of the post that it claims to be of. */
static enum error check_sender(const struct work *work) {
    const struct header *header = &work->report->header;
    at(work, "header, sender");
    const struct directory_device *device = directory_device(work->report->entries, header->device);
    if (!device) return E_UNKNOWN_DEVICE;
    return bytes_are(header->from, device->post->name) ? E_OK : E_MISMATCH;
}

static bool same_keys(const struct card *card, const uint8_t log[static KEY_SIZE],
                      const uint8_t statement[static KEY_SIZE]) {
    return memcmp(card->log, log, KEY_SIZE) == 0 && memcmp(card->statement, statement, KEY_SIZE) == 0;
}

/* Are these the relay's keys, of any time? Of a relay that has never changed them only the file's own card tells. */
static bool has_relay_keys(const struct work *work, const struct card *card) {
    const struct directory_relay *relay;
    const struct card *own = &work->report->card;
    bool changed = false;
    for (size_t n = 0; (relay = directory_relay_nth(work->report->entries, n)); n++) {
        if (relay->action != RELAY_RECOVERED) continue;
        if (same_keys(card, relay->old_log, relay->old_statement) || same_keys(card, relay->log, relay->statement))
            return true;
        changed = true;
    }
    return !changed && same_keys(card, own->log, own->statement);
}

/* The file's card and the one from outside may be of different times: what they have in common are the registrars,
 * who say which keys came after which. */
static enum error check_cards(struct work *work) {
    at(work, "card");
    if (!has_relay_keys(work, &work->report->card)) return E_MISMATCH;
    if (work->given && !has_relay_keys(work, work->given)) return E_WRONG_FINGERPRINT;
    work->report->card_given = work->given != NULL;
    return E_OK;
}

static enum error replay(struct work *work) {
    struct bundleleaf leaf;
    struct list list = work->bundle.leaves;
    work->report->entries = directory_new(&work->report->card);
    if (!work->report->entries) return E_NO_MEMORY;
    while (bundleleaf_next(&list, &leaf)) TRY(check_leaf(work, &leaf));
    work->report->leaf_count = work->bundle.leaves.count;
    TRY(check_cards(work));
    return check_sender(work);
}

/* ---- receipts ---- */

static void fill_rung(const struct evidence *evidence, struct bundle_rung *ret) {
    const struct statement *statement = &evidence->statement;
    const struct entry *entry = &evidence->entry;
    *ret = (struct bundle_rung){.event = (enum leg_event)statement->event,
                                .by_relay = !statement->has_post,
                                .post = statement->has_post ? statement->post : (struct bytes){0},
                                .officer = statement->officer,
                                .disclosure = statement->has_disclosure && statement->disclosure,
                                .has_reason = statement->has_reason,
                                .reason = statement->reason,
                                .has_generation = statement->has_generation,
                                .generation = statement->generation,
                                .forward = statement->has_forward ? statement->forward : (struct bytes){0},
                                .grace_s = statement->has_grace ? statement->grace : 0,
                                .words = statement->has_note ? statement->note : (struct bytes){0},
                                .device_time = statement->time,
                                .time = evidence->record.time};
    memcpy(ret->device, statement->device, KEY_SIZE);
    memcpy(ret->nonce, statement->nonce, NONCE_SIZE);
    memcpy(ret->statement, evidence->statement_hash, HASH_SIZE);
    if (!evidence->has_entry) return;
    ret->has_entry = true;
    ret->from = (enum leg_state)entry->from;
    ret->to = (enum leg_state)entry->to;
    ret->ordinal = entry->ordinal;
    ret->index = evidence->record.index;
    memcpy(ret->hash, evidence->entry_hash, HASH_SIZE);
    ret->directory_size = entry->size;
}

/* That the relay has put it into its log, and where. */
static enum error check_logged(const struct work *work, struct bytes bytes, const struct evidence *evidence,
                               struct bundle_rung *rung) {
    struct receipt receipt;
    struct head head;
    struct bundle_where place = *work->where;
    TRY(receipt_decode(bytes, &receipt));
    at_its(work, "checkpoint");
    TRY(evidence_checkpoint(&receipt, evidence, work->then, &head));
    rung->head_size = head.size;
    rung->head_time = head.time;
    memcpy(rung->head_root, head.root, HASH_SIZE);
    *work->where = place;
    at_its(work, "proof");
    return evidence_in_log(&receipt, evidence, &head);
}

/* Afterwards work->then is the card with the keys of that time. */
static enum error open_receipt(const struct work *work, const struct bundle_leg_report *leg, struct bytes bytes,
                               struct evidence *ret) {
    evidence_card(work->report->entries, bytes, &work->report->card, work->then);
    TRY(evidence_open(bytes, work->then->statement, ret));
    if (memcmp(ret->statement.header, work->report->digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (ret->statement.event == EVENT_REFUSED && !ret->statement.has_leg) return E_OK; /* the request, not one leg */
    return ret->statement.has_leg && memcmp(ret->statement.leg, leg->leg, HASH_SIZE) == 0 ? E_OK : E_MISMATCH;
}

static enum error add_rung(struct work *work, const struct bundle_rung *rung) {
    buf_add(&work->rungs, rung, sizeof *rung);
    return buf_error(&work->rungs);
}

static enum error add_head(struct work *work, const struct bundle_rung *rung) {
    struct seen_head seen = {.size = rung->head_size};
    memcpy(seen.root, rung->head_root, HASH_SIZE);
    buf_add(&work->heads, &seen, sizeof seen);
    return buf_error(&work->heads);
}

/* Once forwarded, every post that has had it speaks for the recipient. */
static void note_consent(const struct work *work, struct leg_work *leg, const struct bundle_rung *rung, size_t which) {
    bool says = rung->disclosure || rung->event == EVENT_CONSENTED;
    unsigned side = bytes_equal(rung->post, work->report->header.from) ? BUNDLE_SENDER : BUNDLE_RECIPIENT;
    if (says && !rung->by_relay && leg->consent[side] == NO_RUNG) leg->consent[side] = which;
}

static size_t rung_count(const struct work *work) { return work->rungs.n / sizeof(struct bundle_rung); }

static enum error verify_entry(struct work *work, struct leg_work *leg, const struct bundle_leg_report *report,
                               struct bytes bytes) {
    struct evidence evidence;
    struct bundle_rung rung;
    TRY(open_receipt(work, report, bytes, &evidence));
    if (!evidence.has_entry) return E_MISSING_FIELD;
    TRY(history_check_step(&leg->history, &evidence));
    if (evidence.entry.size > work->report->directory.size) return E_BAD_PROOF;
    TRY(history_check_speaker(&leg->history, &evidence, work->report->entries, work->then->statement));
    fill_rung(&evidence, &rung);
    TRY(check_logged(work, bytes, &evidence, &rung));
    history_move(&leg->history, &evidence);
    note_consent(work, leg, &rung, rung_count(work));
    TRY(add_head(work, &rung));
    return add_rung(work, &rung);
}

/* Has the leg been with this post? */
static bool has_had(const struct work *work, const struct leg_work *leg, struct bytes post) {
    const struct bundle_rung *rungs = (const void *)work->rungs.p;
    if (bytes_equal(post, leg->opening.to)) return true;
    for (size_t i = leg->first; i < leg->notes; i++)
        if (rungs[i].forward.n > 0 && bytes_equal(post, rungs[i].forward)) return true;
    return false;
}

/* A device may have spoken too late, when its post no longer had the leg. Of its own the relay says without an entry
 * only that it refuses. */
static enum error may_note(const struct work *work, const struct leg_work *leg, const struct statement *statement) {
    const struct bundle_report *report = work->report;
    struct leg_posts posts = {.sender = report->header.from};
    if (!statement->has_post && statement->event != EVENT_REFUSED) return E_NOT_ALLOWED;
    if (statement->has_post && has_had(work, leg, statement->post)) posts.recipient = posts.forwarder = statement->post;
    return statement_may_on(statement, report->entries, work->then->statement, &posts);
}

static enum error verify_note(struct work *work, const struct leg_work *leg, const struct bundle_leg_report *report,
                              struct bytes bytes) {
    struct evidence evidence;
    struct bundle_rung rung;
    struct receipt receipt;
    const struct bundle_rung *rungs = (const void *)work->rungs.p;
    size_t count = rung_count(work);
    TRY(open_receipt(work, report, bytes, &evidence));
    TRY(receipt_decode(bytes, &receipt));
    if (evidence.has_entry || receipt.has_checkpoint || receipt.has_proof) return E_UNKNOWN_FIELD;
    if (count > leg->notes && memcmp(rungs[count - 1].statement, evidence.statement_hash, HASH_SIZE) >= 0)
        return E_NON_CANONICAL;
    TRY(may_note(work, leg, &evidence.statement));
    fill_rung(&evidence, &rung);
    return add_rung(work, &rung);
}

static enum error verify_leg(struct work *work, size_t which) {
    struct leg_work *leg = &work->works[which];
    struct bundle_leg_report *report = &work->legs[which];
    struct list receipts = leg->bundle.receipts, notes = leg->bundle.notes;
    struct bytes bytes;
    leg->first = rung_count(work);
    leg->consent[BUNDLE_SENDER] = leg->consent[BUNDLE_RECIPIENT] = NO_RUNG;
    for (size_t n = 1; list_next_bytes(&receipts, &bytes); n++) {
        at(work, "leg %zu, receipt %zu", which + 1, n);
        TRY(verify_entry(work, leg, report, bytes));
    }
    leg->notes = rung_count(work);
    for (size_t n = 1; list_next_bytes(&notes, &bytes); n++) {
        at(work, "leg %zu, note %zu", which + 1, n);
        TRY(verify_note(work, leg, report, bytes));
    }
    report->with = leg->history.with;
    report->state = leg->history.state;
    report->rung_count = leg->notes - leg->first;
    report->note_count = rung_count(work) - leg->notes;
    return E_OK;
}

static enum error verify_legs(struct work *work) {
    for (size_t i = 0; i < work->report->leg_count; i++) TRY(verify_leg(work, i));
    return E_OK;
}

/* ---- one log ---- */

static int by_size(const void *x, const void *y) {
    const struct seen_head *a = x, *b = y;
    return a->size < b->size ? -1 : a->size > b->size;
}

/* The distinct heads, rising; two of one size are one. */
static enum error sort_heads(struct work *work, struct seen_head *heads, size_t *ret_count) {
    size_t count = work->heads.n / sizeof *heads, kept = 0;
    if (count) qsort(heads, count, sizeof *heads, by_size);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || heads[kept - 1].size != heads[i].size)
            heads[kept++] = heads[i];
        else if (memcmp(heads[kept - 1].root, heads[i].root, HASH_SIZE) != 0)
            return E_EVIDENCE_FORKED;
    }
    *ret_count = kept;
    return E_OK;
}

static enum error verify_step(const struct bundlestep *step, const struct seen_head *from, const struct seen_head *to) {
    AUTO_BUF path = {0};
    if (step->size != from->size) return E_MISMATCH;
    if (from->size == to->size && memcmp(from->root, to->root, HASH_SIZE) != 0) return E_EVIDENCE_FORKED;
    TRY(flat(step->path, &path));
    return merkle_verify_consistency(from->size, bytes_of(from->root, HASH_SIZE), to->size,
                                     bytes_of(to->root, HASH_SIZE), buf_bytes(&path));
}

static enum error verify_steps(struct work *work, const struct seen_head *heads, size_t count) {
    const struct head *last = &work->report->evidence;
    struct seen_head end = {.size = last->size};
    struct list list = work->bundle.steps;
    struct bundlestep step;
    memcpy(end.root, last->root, HASH_SIZE);
    at(work, "evidence head");
    if (count > 0 && heads[count - 1].size > end.size) return E_BAD_PROOF;
    at(work, "steps");
    if (list.count != count) return E_MISMATCH;
    for (size_t i = 0; bundlestep_next(&list, &step); i++) {
        at(work, "step %zu", i + 1);
        TRY(verify_step(&step, &heads[i], i + 1 < count ? &heads[i + 1] : &end));
    }
    work->report->step_count = count;
    return E_OK;
}

static enum error verify_log(struct work *work) {
    struct seen_head *heads = (void *)work->heads.p;
    size_t count;
    at(work, "heads of receipts");
    TRY(sort_heads(work, heads, &count));
    if (!work->bundle.has_evidence) {
        at(work, "steps");
        return work->bundle.steps.count == 0 ? E_OK : E_UNKNOWN_FIELD;
    }
    at(work, "evidence head");
    directory_relay_card_at(work->report->entries, UINT64_MAX, &work->report->card, work->then);
    TRY(open_head(work->then, LOG_EVIDENCE, work->bundle.evidence, &work->report->evidence));
    work->report->has_evidence = true;
    return verify_steps(work, heads, count);
}

/* ---- what is opened ---- */

static enum error check_chunks(const struct bundlepart *opened, const struct part *part) {
    struct list chunks = opened->chunks;
    struct bytes chunk;
    AUTO_BUF digests = {0};
    if (chunks.count != chunks_count(part->length)) return E_BAD_DIGEST;
    for (uint64_t i = 0; list_next_bytes(&chunks, &chunk); i++) {
        uint8_t digest[HASH_SIZE];
        if (chunk.n != chunks_size(part->length, i)) return E_BAD_DIGEST;
        chunk_digest(chunk, digest);
        buf_add(&digests, digest, sizeof digest);
    }
    TRY(buf_error(&digests));
    return chunks_check_digests(part->length, part->digest, buf_bytes(&digests));
}

static enum error verify_opened(struct work *work) {
    const struct bundlepart *opened = &work->bundle.opened;
    struct bundle_report *report = work->report;
    const struct header *header = &report->header;
    uint8_t commitment[HASH_SIZE];
    if (!work->bundle.has_opened) return E_OK;
    bool offer = opened->part == PART_OFFER;
    const struct part *part = offer ? &header->offer : &header->body;
    at(work, "opened part");
    if (!(offer ? header->has_offer : header->has_body)) return E_NO_BODY;
    at(work, "opened part, key");
    label_digest(LABEL_COMMITMENT, bytes_of(opened->key, KEY_SIZE), commitment);
    if (memcmp(commitment, part->commitment, HASH_SIZE) != 0) return E_BAD_COMMITMENT;
    at(work, "opened part, chunks");
    TRY(check_chunks(opened, part));
    report->has_opened = true;
    report->opened = (enum part_number)opened->part;
    memcpy(report->opened_key, opened->key, KEY_SIZE);
    report->opened_chunks = opened->chunks;
    return E_OK;
}

/* ---- what is not proven ---- */

static bool is_decided(enum leg_state state) {
    return state != STATE_NONE && state != STATE_STORED && state != STATE_NOTIFIED && state != STATE_OPENED &&
           state != STATE_FORWARDED && state != STATE_EXPIRED && state != STATE_WITHDRAWN;
}

static bool has_accepted(const struct bundle_leg_report *leg) {
    for (size_t i = 0; i < leg->rung_count; i++)
        if (leg->rungs[i].event == EVENT_ACCEPTED) return true;
    return false;
}

static bool is_open(const struct bundle_leg_report *leg) {
    const struct leg_state_row *row = leg_state_row((uint64_t)leg->state);
    return !row || !row->terminal;
}

static void find_gaps_of_leg(struct bundle_report *report, const struct bundle_leg_report *leg) {
    bool request = report->kind != LEG_REPLY;
    if (is_open(leg)) report->gaps[GAP_LATER] = true;
    if (request && !is_decided(leg->state)) report->gaps[GAP_SILENCE] = true;
    if (has_accepted(leg)) report->gaps[GAP_AGREEMENT] = true;
    if (leg->note_count > 0) report->gaps[GAP_RECEIPTS] = true;
    if (request && !leg->consent[BUNDLE_RECIPIENT]) report->gaps[GAP_CONSENT] = true;
    if (request && !leg->consent[BUNDLE_SENDER]) report->gaps[GAP_CONSENT] = true;
}

static void find_gaps(struct bundle_report *report) {
    bool offer = report->has_opened && report->opened == PART_OFFER;
    bool body = report->has_opened && report->opened == PART_BODY;
    for (size_t i = 0; i < report->leg_count; i++) find_gaps_of_leg(report, &report->legs[i]);
    report->gaps[GAP_CARD] = !report->card_given;
    report->gaps[GAP_RECIPIENTS] = report->kind != LEG_REPLY; /* a reply has one */
    report->gaps[GAP_DIRECTORY] = true;
    report->gaps[GAP_WITNESSES] = report->witnesses == 0;
    report->gaps[GAP_ONE_LOG] = !report->has_evidence;
    report->gaps[GAP_SAME_FOR_ALL] = true;
    report->gaps[GAP_HOLDER] = report->gaps[GAP_READ] = report->gaps[GAP_CLOCK] = true;
    report->gaps[GAP_OFFER] = report->header.has_offer && !offer;
    report->gaps[GAP_BODY] = report->header.has_body && !body;
    report->gaps[GAP_MARK] = report->header.has_offer && !offer;
}

/* ---- the whole ---- */

static enum error open_file(struct work *work, struct bytes file) {
    struct bundlefile outer;
    uint8_t digest[HASH_SIZE];
    at(work, "file");
    TRY(bundlefile_decode(file, &outer));
    at(work, "digest");
    label_digest(LABEL_BUNDLE, outer.bundle, digest);
    if (memcmp(digest, outer.digest, HASH_SIZE) != 0) return E_BAD_DIGEST;
    memcpy(work->report->file_digest, digest, HASH_SIZE);
    at(work, "bundle");
    return bundle_decode(outer.bundle, &work->bundle);
}

static enum error verify(struct work *work, struct bytes file) {
    TRY(open_file(work, file));
    TRY(open_card(work));
    TRY(open_request(work));
    TRY(open_directory_head(work));
    TRY(open_legs(work));
    TRY(replay(work));
    TRY(verify_legs(work));
    TRY(verify_log(work));
    return verify_opened(work);
}

static const struct bundle_rung *rung_of(const struct work *work, size_t which) {
    return which == NO_RUNG ? NULL : (const struct bundle_rung *)(const void *)work->rungs.p + which;
}

/* Rungs stay where they are from now on. */
static enum error hand_over(struct work *work) {
    struct bundle_report *report = work->report;
    struct holding *holding = calloc(1, sizeof *holding);
    if (!holding) return E_NO_MEMORY;
    for (size_t i = 0; i < report->leg_count; i++) {
        const struct leg_work *leg = &work->works[i];
        struct bundle_leg_report *to = &work->legs[i];
        to->rungs = to->rung_count ? rung_of(work, leg->first) : NULL;
        to->notes = to->note_count ? rung_of(work, leg->notes) : NULL;
        for (unsigned side = 0; side < BUNDLE_SIDES; side++) to->consent[side] = rung_of(work, leg->consent[side]);
    }
    holding->legs = take(&work->legs);
    holding->rungs = buf_take(&work->rungs);
    report->legs = holding->legs;
    report->memory = holding;
    return E_OK;
}

void bundle_report_free(struct bundle_report *report) {
    struct holding *holding = report->memory;
    if (holding) {
        free(holding->legs);
        buf_free(&holding->rungs);
        free(holding);
    }
    directory_free(report->entries);
    *report = (struct bundle_report){0};
}

enum error bundle_verify(struct bytes file, const struct card *card, struct bundle_report *ret,
                         struct bundle_where *ret_where) {
    struct bundle_where unused;
    AUTO_FREE(struct bundle_report) report = calloc(1, sizeof *report);
    struct work work = {.report = report, .given = card, .where = ret_where ? ret_where : &unused};
    AUTO_FREE(struct card) then = calloc(1, sizeof *then);
    work.where->text[0] = 0;
    if (!report || !then) return E_NO_MEMORY;
    work.then = then;
    enum error error = verify(&work, file);
    if (error == E_OK) error = hand_over(&work);
    free(work.works);
    free(work.legs);
    buf_free(&work.rungs);
    buf_free(&work.heads);
    if (error != E_OK) {
        bundle_report_free(report);
        return error;
    }
    find_gaps(report);
    work.where->text[0] = 0;
    *ret = *report;
    return E_OK;
}

/* ---- making ---- */

enum error bundle_make(const struct bundle *bundle, struct buf *out, struct bundle_where *ret_where) {
    struct bundlefile file = {0};
    AUTO_BUF inner = {0}, whole = {0};
    AUTO_BUNDLE_REPORT report = {0};
    bundle_encode(bundle, &inner);
    TRY(buf_error(&inner));
    if (inner.n > BUNDLE_MAX) return E_TOO_LARGE;
    label_digest(LABEL_BUNDLE, buf_bytes(&inner), file.digest);
    file.bundle = buf_bytes(&inner);
    bundlefile_encode(&file, &whole);
    TRY(buf_error(&whole));
    TRY(bundle_verify(buf_bytes(&whole), NULL, &report, ret_where));
    buf_add_bytes(out, buf_bytes(&whole));
    return buf_error(out);
}
