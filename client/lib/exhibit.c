/* exhibit.c - collecting the parts of a bundle, from the archive, the mirror, and the relay. */
#include "exhibit.h"

#include "body.h"
#include "chunks.h"
#include "evidence.h"
#include "head.h"
#include "kept.h"
#include "leaves.h"
#include "link.h"
#include "loss.h"
#include "press.h"

struct exhibit {
    struct home *home;
    struct relay *relay; /* or NULL */
    const struct exhibit_options *options;
    struct failure *failure;
    struct kept_request request;
    struct kept_legs legs;
    uint64_t needed; /* of the directory's entries, by what is shown */
    /* the bundle's parts */
    struct buf card, items, head, leaves, chunks, sizes, evidence, steps;
    size_t leg_count, leaf_count, step_count;
    struct head directory;
};

static void exhibit_free(struct exhibit *work) {
    struct buf *bufs[] = {&work->card,   &work->items, &work->head,     &work->leaves,
                          &work->chunks, &work->sizes, &work->evidence, &work->steps};
    for (size_t i = 0; i < LENGTH(bufs); i++) buf_free(bufs[i]);
    kept_legs_free(&work->legs);
    kept_request_free(&work->request);
}

static void put_hashes(struct bytes flat, struct buf *out) {
    for (size_t i = 0; i + HASH_SIZE <= flat.n; i += HASH_SIZE) cbor_put_bytes(out, bytes_of(flat.p + i, HASH_SIZE));
}

/* Signature lines that nobody checks do not go out: the log's first, then the card's witnesses in its order. */
static enum error clean_head(const struct card *card, enum relay_log of, struct bytes bytes, struct buf *out) {
    struct note note, clean;
    struct note_key log;
    size_t count = 0;
    TRY(note_parse(bytes, &note));
    TRY(head_key(card, of, &log));
    clean = note;
    for (size_t k = 0; k <= card->witness_count; k++) {
        const struct note_key *key = k ? &card->witnesses[k - 1] : &log;
        for (size_t i = 0; i < note.count; i++) {
            const struct note_line *line = &note.lines[i];
            if (!bytes_are(line->name, key->name) || memcmp(line->hash, key->hash, NOTE_KEY_HASH_SIZE) != 0) continue;
            clean.lines[count++] = *line;
            break;
        }
    }
    if (count == 0) return E_BAD_SIGNATURE;
    clean.count = count;
    note_format(&clean, out);
    return buf_error(out);
}

/* ---- legs ---- */

/* What its sender was given by the tree, what its recipient was given by the sender. */
static enum error leg_path(const struct exhibit *work, size_t which, struct buf *items, struct list *ret) {
    const struct keptleg *record = &work->legs.legs[which].record;
    uint8_t path[LEGS_DEPTH * HASH_SIZE];
    if (record->has_path) {
        *ret = record->path;
        return E_OK;
    }
    if (!work->request.record.has_seed) return E_NOT_COMPLETE;
    AUTO_FREE(struct legs_leaf) leaves = calloc(work->legs.count, sizeof *leaves);
    if (!leaves) return E_NO_MEMORY;
    for (size_t i = 0; i < work->legs.count; i++) {
        leaves[i].position = (uint32_t)work->legs.legs[i].record.place.position;
        memcpy(leaves[i].id, work->legs.legs[i].leg, HASH_SIZE);
    }
    TRY(legs_path(leaves, work->legs.count, work->request.record.seed, which, path));
    put_hashes(bytes_of(path, sizeof path), items);
    TRY(buf_error(items));
    *ret = list_of(items, LEGS_DEPTH);
    return E_OK;
}

static enum error note_size(struct exhibit *work, uint64_t size) {
    buf_add(&work->sizes, &size, sizeof size);
    return buf_error(&work->sizes);
}

/* How large directory and evidence log were when it was written. */
static enum error look_at(struct exhibit *work, struct bytes bytes) {
    struct receipt receipt;
    struct evidence evidence;
    struct head head;
    struct card card;
    TRY(receipt_decode(bytes, &receipt));
    loss_card(work->home, bytes, &card);
    TRY(evidence_open(bytes, card.statement, &evidence));
    if (evidence.entry.size > work->needed) work->needed = evidence.entry.size;
    if (!receipt.has_checkpoint) return E_MISSING_FIELD;
    TRY(head_open_log(&card, LOG_EVIDENCE, receipt.checkpoint, &head));
    return note_size(work, head.size);
}

static enum error add_entries(struct exhibit *work, const struct kept_leg *leg, struct buf *items, size_t *ret_count) {
    AUTO_BUF receipt = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ENTRY, SCOPE_A, archive_key(leg->leg, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(work->home->archive, &cursor, &receipt, &found));
        if (!found) return buf_error(items);
        TRY(look_at(work, buf_bytes(&receipt)));
        cbor_put_bytes(items, buf_bytes(&receipt));
        (*ret_count)++;
    }
}

static enum error statement_of(const struct exhibit *work, struct bytes receipt, uint8_t ret[static HASH_SIZE]) {
    struct evidence evidence;
    TRY(loss_open(work->home, receipt, &evidence));
    memcpy(ret, evidence.statement_hash, HASH_SIZE);
    return E_OK;
}

/* The relay's refusal, which the leg itself keeps, stands among the others where its hash puts it. */
static enum error add_notes(struct exhibit *work, const struct kept_leg *leg, struct buf *items, size_t *ret_count) {
    AUTO_BUF receipt = {0};
    uint8_t refusal[HASH_SIZE];
    bool waits = leg->record.has_refusal;
    if (waits) TRY(statement_of(work, leg->record.refusal, refusal));
    struct archive_cursor cursor = archive_cursor(TABLE_NOTE, SCOPE_A, archive_key(leg->leg, NULL, 0));
    for (bool found = true; found;) {
        TRY(archive_next(work->home->archive, &cursor, &receipt, &found));
        if (waits && (!found || memcmp(refusal, cursor.key.b, HASH_SIZE) < 0)) {
            cbor_put_bytes(items, leg->record.refusal);
            waits = false;
            (*ret_count)++;
        }
        if (!found) break;
        cbor_put_bytes(items, buf_bytes(&receipt));
        (*ret_count)++;
    }
    return buf_error(items);
}

static enum error add_leg(struct exhibit *work, size_t which) {
    const struct kept_leg *leg = &work->legs.legs[which];
    AUTO_BUF path = {0}, receipts = {0}, notes = {0};
    struct bundleleg item = {.place = leg->record.place};
    size_t receipt_count = 0, note_count = 0;
    TRY(leg_path(work, which, &path, &item.path));
    TRY(add_entries(work, leg, &receipts, &receipt_count));
    TRY(add_notes(work, leg, &notes, &note_count));
    if (receipt_count > BUNDLE_RECEIPTS_MAX || note_count > BUNDLE_RECEIPTS_MAX) return E_TOO_LARGE;
    item.receipts = list_of(&receipts, receipt_count);
    item.notes = list_of(&notes, note_count);
    bundleleg_encode(&item, &work->items);
    work->leg_count++;
    return buf_error(&work->items);
}

static enum error sent_to(const struct kept_leg *leg, struct bytes *ret) {
    struct opening opening;
    TRY(opening_decode(leg->record.place.opening, &opening));
    *ret = opening.to;
    return E_OK;
}

/* By the post that it was sent to, or that it is with now. */
static enum error is_wanted(const struct exhibit *work, const struct kept_leg *leg, bool *ret) {
    struct bytes to;
    TRY(sent_to(leg, &to));
    const char *wanted = work->options->to;
    *ret = !wanted || bytes_are(to, wanted) || bytes_are(leg->record.to, wanted);
    return E_OK;
}

static enum error add_legs(struct exhibit *work) {
    for (size_t i = 0; i < work->legs.count; i++) {
        bool wanted;
        TRY(is_wanted(work, &work->legs.legs[i], &wanted));
        if (wanted) TRY(add_leg(work, i));
    }
    if (work->leg_count == 0)
        return fail(work->failure, E_UNKNOWN_POST, "it was not sent to %s",
                    work->options->to ? work->options->to : "anybody");
    return E_OK;
}

/* ---- the directory ---- */

static unsigned words_in(const struct card *card, const struct head *head) {
    unsigned count = 0;
    for (size_t i = 0; i < card->witness_count; i++) count += head->words[i].valid;
    return count;
}

/* The more witnesses the better; of as many, the larger one. */
static enum error consider_head(struct exhibit *work, struct bytes note) {
    const struct card *card = &work->home->card;
    struct head head;
    if (head_open(card, note, &head) != E_OK) return E_OK; /* of before the card changed */
    if (head.size < work->needed || head.size > directory_size(work->home->directory)) return E_OK;
    bool better = words_in(card, &head) > words_in(card, &work->directory);
    bool equal = words_in(card, &head) == words_in(card, &work->directory);
    if (work->head.n > 0 && !better && !(equal && head.size > work->directory.size)) return E_OK;
    buf_clear(&work->head);
    TRY(clean_head(card, LOG_DIRECTORY, note, &work->head));
    work->directory = head;
    return E_OK;
}

static enum error choose_head(struct exhibit *work) {
    AUTO_BUF note = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct archive_key gossip = archive_named("gossip");
    for (bool found = true;;) {
        TRY(archive_next(work->home->archive, &cursor, &note, &found));
        if (!found) break;
        if (memcmp(cursor.key.a, gossip.a, HASH_SIZE) != 0) TRY(consider_head(work, buf_bytes(&note)));
    }
    if (work->head.n > 0) return E_OK;
    return fail(work->failure, E_NOT_MIRRORED,
                "no signed head of the directory covers all that happened; `pouch sync` fetches it");
}

static enum error concerns(const struct exhibit *work, struct bytes leaf, bool *ret) {
    enum leaf_kind kind;
    struct bytes name, to;
    TRY(directory_leaf_name(work->home->directory, leaf, &kind, &name));
    struct bytes party = text_party_of(name);
    *ret = kind == LEAF_RELAY || bytes_equal(party, text_party_of(work->request.header.from));
    for (size_t i = 0; !*ret && i < work->legs.count; i++) {
        bool wanted;
        TRY(is_wanted(work, &work->legs.legs[i], &wanted));
        TRY(sent_to(&work->legs.legs[i], &to));
        *ret = wanted && bytes_equal(party, text_party_of(to));
    }
    return E_OK;
}

static enum error add_leaf(struct exhibit *work, uint64_t index, struct bytes leaf, const uint8_t *levels) {
    uint8_t flat[MERKLE_DEPTH_MAX * HASH_SIZE];
    AUTO_BUF path = {0};
    size_t count = merkle_levels_path(levels, (size_t)work->directory.size, (size_t)index, flat);
    put_hashes(bytes_of(flat, count * HASH_SIZE), &path);
    TRY(buf_error(&path));
    if (work->leaf_count == FRAUD_LEAVES_MAX) return E_TOO_LARGE;
    bundleleaf_encode(&(struct bundleleaf){.index = index, .leaf = leaf, .path = list_of(&path, count)}, &work->leaves);
    work->leaf_count++;
    return buf_error(&work->leaves);
}

static enum error add_leaves(struct exhibit *work) {
    AUTO_BUF hashes = {0}, leaf = {0};
    size_t size = (size_t)work->directory.size;
    TRY(leaves_of_mirror(work->home->archive, &hashes));
    if (hashes.n / HASH_SIZE < size) return E_CORRUPT;
    AUTO_FREE(uint8_t) levels = malloc((merkle_levels_count(size) + 1) * HASH_SIZE);
    if (!levels) return E_NO_MEMORY;
    memcpy(levels, hashes.p, size * HASH_SIZE);
    merkle_levels(levels, size);
    struct archive_cursor cursor = archive_cursor(TABLE_LEAF, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        bool wanted;
        TRY(archive_next(work->home->archive, &cursor, &leaf, &found));
        if (!found || cursor.key.n >= size) return E_OK;
        TRY(concerns(work, buf_bytes(&leaf), &wanted));
        if (wanted) TRY(add_leaf(work, cursor.key.n, buf_bytes(&leaf), levels));
    }
}

/* ---- what is opened ---- */

static enum error fetch_part(struct exhibit *work, const uint8_t *digest, enum part_number part) {
    const uint8_t *leg = work->request.record.mine || work->legs.count == 0 ? NULL : work->legs.legs[0].leg;
    enum error error = body_intact(work->home, &work->request, part);
    if (error != E_NOT_COMPLETE || !work->relay) return error;
    TRY(body_fetch(work->home, work->relay, digest, leg, &work->request, part, work->failure));
    return body_intact(work->home, &work->request, part);
}

static enum error add_opened(struct exhibit *work, const uint8_t *digest, struct bundlepart *ret) {
    enum part_number number = work->options->opened;
    const struct keptrequest *record = &work->request.record;
    const struct header *header = &work->request.header;
    bool offer = number == PART_OFFER;
    const struct part *part = offer ? &header->offer : &header->body;
    if (!(offer ? header->has_offer : header->has_body)) return E_NO_BODY;
    if (!(offer ? record->has_offer_key : record->has_body_key)) return E_NOT_FOR_US;
    if (part->length > BUNDLE_MAX) return E_TOO_LARGE;
    TRY(fetch_part(work, digest, number));
    ret->part = (uint64_t)number;
    memcpy(ret->key, offer ? record->offer_key : record->body_key, KEY_SIZE);
    uint64_t count = chunks_count(part->length);
    for (uint64_t i = 0; i < count; i++) {
        AUTO_BUF chunk = {0};
        bool found = false;
        TRY(archive_get(work->home->archive, TABLE_CHUNK, press_key(record->content, (uint64_t)number, i), &chunk,
                        &found));
        if (!found) return E_NOT_COMPLETE;
        cbor_put_bytes(&work->chunks, buf_bytes(&chunk));
    }
    ret->chunks = list_of(&work->chunks, (size_t)count);
    return buf_error(&work->chunks);
}

/* ---- how the evidence log has grown since ---- */

static int by_number(const void *x, const void *y) {
    uint64_t a, b;
    memcpy(&a, x, sizeof a);
    memcpy(&b, y, sizeof b);
    return a < b ? -1 : a > b;
}

/* Rising, each once. */
static size_t distinct(uint64_t *sizes, size_t count) {
    size_t kept = 0;
    if (count) qsort(sizes, count, sizeof *sizes, by_number);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || sizes[kept - 1] != sizes[i]) sizes[kept++] = sizes[i];
    return kept;
}

static enum error add_step(struct exhibit *work, uint64_t size, struct bytes flat) {
    AUTO_BUF path = {0};
    if (flat.n % HASH_SIZE) return E_BAD_PROOF;
    put_hashes(flat, &path);
    TRY(buf_error(&path));
    bundlestep_encode(&(struct bundlestep){.size = size, .path = list_of(&path, flat.n / HASH_SIZE)}, &work->steps);
    work->step_count++;
    return buf_error(&work->steps);
}

/* One answer: the steps from sizes[0] to sizes[count - 1], and the head. Only the last answer's head is of use, and
 * the step to it. */
static enum error ask_steps(struct exhibit *work, const uint64_t *sizes, size_t count, bool last) {
    AUTO_BUF items = {0};
    AUTO_ANSWER answer = {0};
    struct log log;
    struct bytes proof;
    for (size_t i = 0; i < count; i++) cbor_put_uint(&items, sizes[i]);
    TRY(buf_error(&items));
    struct getlog ask = {.log = LOG_EVIDENCE, .sizes = list_of(&items, count)};
    TRY(relay_call(work->relay, MESSAGE_GETLOG, &ask, &answer, work->failure));
    TRY(log_decode(answer.body, &log));
    if (log.log != LOG_EVIDENCE || log.proofs.count != count) return E_MISMATCH;
    for (size_t i = 0; list_next_bytes(&log.proofs, &proof); i++)
        if (last || i + 1 < count) TRY(add_step(work, sizes[i], proof));
    if (!last) return E_OK;
    return clean_head(&work->home->card, LOG_EVIDENCE, log.note, &work->evidence);
}

static enum error fetch_steps(struct exhibit *work) {
    uint64_t *sizes = (void *)work->sizes.p;
    size_t count = distinct(sizes, work->sizes.n / sizeof *sizes);
    if (count > BUNDLE_STEPS_MAX) return E_TOO_LARGE;
    for (size_t from = 0; from < count;) {
        size_t some = count - from < LOG_SIZES_MAX ? count - from : LOG_SIZES_MAX;
        bool last = from + some == count;
        TRY(ask_steps(work, sizes + from, some, last));
        if (last) break;
        from += some - 1; /* the step over the seam is the next answer's first */
    }
    return E_OK;
}

/* ---- the whole ---- */

static enum error collect(struct exhibit *work, const uint8_t *digest) {
    TRY(kept_load(work->home->archive, digest, &work->request));
    TRY(kept_legs_load(work->home->archive, digest, &work->legs));
    card_format(&work->home->given, &work->card); /* how its keys changed, the directory tells */
    TRY(buf_error(&work->card));
    TRY(add_legs(work));
    TRY(choose_head(work));
    return add_leaves(work);
}

static enum error make(struct exhibit *work, struct bundle *bundle, struct buf *out) {
    struct bundle_where where;
    bundle->card = buf_bytes(&work->card);
    bundle->header = work->request.record.header;
    bundle->legs = list_of(&work->items, work->leg_count);
    bundle->directory = buf_bytes(&work->head);
    bundle->leaves = list_of(&work->leaves, work->leaf_count);
    bundle->has_evidence = work->evidence.n > 0;
    bundle->evidence = buf_bytes(&work->evidence);
    bundle->steps = list_of(&work->steps, work->step_count);
    enum error error = bundle_make(bundle, out, &where);
    return error == E_OK ? E_OK : fail(work->failure, error, "what was collected does not hold: %s", where.text);
}

static enum error exhibit(struct exhibit *work, const uint8_t *digest, struct buf *out, bool *ret_later) {
    struct bundle bundle = {0};
    TRY(collect(work, digest));
    if (work->options->opened) {
        TRY(add_opened(work, digest, &bundle.opened));
        bundle.has_opened = true;
    }
    enum error error = work->relay ? fetch_steps(work) : E_UNREACHABLE;
    *ret_later = error == E_OK && work->step_count > 0;
    if (error != E_OK && !error_row(error)->again) return error;
    if (error != E_OK) { /* it goes without */
        buf_clear(&work->evidence);
        buf_clear(&work->steps);
        work->step_count = 0;
    }
    return make(work, &bundle, out);
}

enum error client_exhibit(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                          const struct exhibit_options *options, struct buf *out, bool *ret_later,
                          struct failure *failure) {
    struct exhibit work = {.home = home, .relay = relay, .options = options, .failure = failure};
    *failure = (struct failure){0};
    enum error error = exhibit(&work, digest, out, ret_later);
    exhibit_free(&work);
    if (error != E_OK && failure->error == E_OK) fail(failure, error, "%s", "");
    return error;
}
