/* evlog.c - the evidence log as this home has seen it grow. */
#include "evlog.h"

#include <stdio.h>
#include <stdlib.h>

#include "fraud.h"
#include "kept.h"
#include "leaves.h"
#include "proofs.h"

static struct archive_key row_key(const char *name, uint64_t size) {
    struct archive_key key = archive_named(name);
    key.n = size;
    return key;
}

static struct archive_key anchor_key(uint64_t size) { return row_key("evidence", size); }
static struct archive_key seen_key(uint64_t size) { return row_key("evidence seen", size); }

/* ---- rows ---- */

/* A root that the log has, or is said to have, at a size; `note`: who signed it so, nobody where a loss was
 * declared. */
struct mark {
    uint64_t size;
    uint8_t root[HASH_SIZE];
    struct bytes note; /* a view into `bytes` */
    struct buf bytes;
};
static void mark_free(struct mark *mark) { buf_free(&mark->bytes); }
#define AUTO_MARK __attribute__((cleanup(mark_free))) struct mark

static enum error read_mark(uint64_t size, struct mark *mark) {
    struct keptevidence record;
    if (keptevidence_decode(buf_bytes(&mark->bytes), &record) != E_OK) return E_CORRUPT;
    mark->size = size;
    memcpy(mark->root, record.root, HASH_SIZE);
    mark->note = record.has_note ? record.note : (struct bytes){0};
    return E_OK;
}

static enum error write_mark(struct archive *archive, struct archive_key key, const uint8_t *root, struct bytes note) {
    AUTO_BUF bytes = {0};
    struct keptevidence record = {.has_note = note.n > 0, .note = note};
    memcpy(record.root, root, HASH_SIZE);
    keptevidence_encode(&record, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(archive, TABLE_HEAD, key, buf_bytes(&bytes));
}

/* The next row beneath the cursor's key; size 0: there is none. */
static enum error next_mark(struct archive *archive, struct archive_cursor *cursor, struct mark *mark) {
    bool found = false;
    TRY(archive_next(archive, cursor, &mark->bytes, &found));
    mark->size = 0;
    return found ? read_mark(cursor->key.n, mark) : E_OK;
}

static enum error load_anchor(struct archive *archive, struct mark *mark) {
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, anchor_key(0));
    return next_mark(archive, &cursor, mark);
}

static enum error save_anchor(struct archive *archive, uint64_t size, const uint8_t *root, struct bytes note) {
    TRY(archive_delete_all(archive, TABLE_HEAD, SCOPE_A, anchor_key(0)));
    return write_mark(archive, anchor_key(size), root, note);
}

/* What is known at this size; size 0: nothing. */
static enum error load_mark(struct archive *archive, uint64_t size, struct mark *mark) {
    const struct archive_key keys[] = {anchor_key(size), seen_key(size)};
    for (size_t i = 0; i < 2; i++) {
        bool found = false;
        TRY(archive_get(archive, TABLE_HEAD, keys[i], &mark->bytes, &found));
        if (found) return read_mark(size, mark);
    }
    return E_OK;
}

/* The largest log that was seen. */
static enum error largest(struct archive *archive, uint64_t *ret) {
    AUTO_MARK mark = {0};
    TRY(load_anchor(archive, &mark));
    *ret = mark.size;
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, seen_key(0));
    do {
        TRY(next_mark(archive, &cursor, &mark));
        if (mark.size > *ret) *ret = mark.size;
    } while (mark.size > 0);
    return E_OK;
}

enum error evlog_newest(struct home *home, struct buf *ret_note, bool *ret_found) {
    AUTO_MARK mark = {0};
    TRY(load_anchor(home->archive, &mark));
    *ret_found = mark.note.n > 0;
    if (*ret_found) buf_add_bytes(ret_note, mark.note);
    return buf_error(ret_note);
}

/* ---- a head comes ---- */

enum error evlog_see(struct home *home, const struct head *head, struct bytes note) {
    AUTO_MARK mark = {0}, anchor = {0};
    TRY(load_mark(home->archive, head->size, &mark));
    if (mark.size > 0) return memcmp(mark.root, head->root, HASH_SIZE) == 0 ? E_OK : E_EVIDENCE_FORKED;
    TRY(load_anchor(home->archive, &anchor));
    return anchor.size == 0 ? save_anchor(home->archive, head->size, head->root, note)
                            : write_mark(home->archive, seen_key(head->size), head->root, note);
}

static void say_forked(uint64_t a, uint64_t b, char *out, size_t room) {
    (void)snprintf(out, room, "the relay has signed two evidence logs that cannot be one: of %llu and of %llu entries",
                   (unsigned long long)a, (unsigned long long)b);
}

enum error evlog_accuse(struct home *home, struct bytes note, bool *ret_proven) {
    AUTO_MARK mark = {0};
    AUTO_BUF proof = {0};
    struct head head;
    char what[160];
    *ret_proven = false;
    if (head_open_log(&home->card, LOG_EVIDENCE, note, &head) != E_OK) return E_OK;
    TRY(load_mark(home->archive, head.size, &mark));
    if (mark.note.n == 0) return E_OK;
    if (fraud_make_heads(&home->card, mark.note, note, (struct bytes){0}, &proof) != E_OK) return E_OK;
    say_forked(mark.size, head.size, what, sizeof what);
    *ret_proven = true;
    return proofs_accuse(home, buf_bytes(&proof), what);
}

/* ---- a loss that the registrars have declared ---- */

/* What was seen beyond the size that they name was lost, and told (news.h). Before that size nothing may have
 * changed. */
static enum error forget_lost(struct archive *archive, uint64_t size) {
    AUTO_MARK mark = {0};
    TRY(load_anchor(archive, &mark));
    if (mark.size > size) TRY(archive_delete(archive, TABLE_HEAD, anchor_key(mark.size)));
    if (size == INT64_MAX) return E_OK; /* nothing can be beyond it */
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, seen_key(size + 1));
    for (;;) {
        TRY(next_mark(archive, &cursor, &mark));
        if (mark.size == 0) return E_OK;
        TRY(archive_delete(archive, TABLE_HEAD, seen_key(mark.size)));
    }
}

static enum error take_recovery(struct home *home, const struct directory_relay *relay) {
    struct archive *archive = home->archive;
    AUTO_MARK mark = {0}, anchor = {0};
    TRY(forget_lost(archive, relay->entries));
    TRY(kept_number_set(archive, TABLE_META, archive_named("evidence lost"), relay->index + 1));
    if (relay->entries == 0) return E_OK;
    TRY(load_mark(archive, relay->entries, &mark));
    if (mark.size > 0 && memcmp(mark.root, relay->entries_root, HASH_SIZE) != 0)
        return proofs_suspect(home, E_EVIDENCE_FORKED,
                              "the registrars have declared an evidence log of %llu entries that is not the one that "
                              "this home has seen",
                              (unsigned long long)relay->entries);
    if (mark.size > 0) return E_OK;
    TRY(load_anchor(archive, &anchor));
    return anchor.size == 0 ? save_anchor(archive, relay->entries, relay->entries_root, (struct bytes){0})
                            : write_mark(archive, seen_key(relay->entries), relay->entries_root, (struct bytes){0});
}

static enum error follow_recoveries(struct home *home) {
    uint64_t known;
    const struct directory_relay *relay;
    TRY(kept_number(home->archive, TABLE_META, archive_named("evidence lost"), &known));
    for (size_t n = 0; (relay = directory_relay_nth(home->directory, n)); n++)
        if (relay->action == RELAY_RECOVERED && relay->index >= known) TRY(take_recovery(home, relay));
    return E_OK;
}

/* ---- WELCOME ---- */

static enum error went_back(struct home *home, uint64_t size, uint64_t seen) {
    return proofs_suspect_once(home, E_EVIDENCE_FORKED,
                               "the relay shows an evidence log of %llu entries; this home has seen one of %llu",
                               (unsigned long long)size, (unsigned long long)seen);
}

enum error evlog_greet(struct home *home, struct relay *relay) {
    struct head head = {0};
    uint64_t seen;
    AUTO_BUF bare = {0};
    TRY(follow_recoveries(home));
    struct bytes note = relay_evidence(relay);
    if (note.n > 0) {
        enum error error = head_bare_log(&home->card, LOG_EVIDENCE, note, &bare);
        if (error == E_OK) error = head_open_log(&home->card, LOG_EVIDENCE, buf_bytes(&bare), &head);
        if (error == E_NO_MEMORY) return error;
        if (error != E_OK)
            return proofs_suspect(home, error, "the evidence log's newest head does not hold: %s", error_text(error));
    }
    TRY(largest(home->archive, &seen));
    if (head.size < seen) return went_back(home, head.size, seen);
    if (head.size == 0) return E_OK;
    enum error error = evlog_see(home, &head, buf_bytes(&bare));
    bool proven = false;
    if (error != E_EVIDENCE_FORKED) return error;
    TRY(evlog_accuse(home, buf_bytes(&bare), &proven));
    return proven ? E_OK
                  : proofs_suspect(home, error, "the relay shows another evidence log of %llu entries",
                                   (unsigned long long)head.size);
}

/* ---- how it has grown ---- */

struct settling {
    struct home *home;
    struct relay *relay;
    struct failure *failure;
    struct mark marks[LOG_SIZES_MAX]; /* rising */
    size_t count;
    bool more; /* wait beyond these */
    struct buf bare;
    struct head head; /* the newest */
    struct bytes proofs[LOG_SIZES_MAX];
};

static void settling_clear(struct settling *work) {
    for (size_t i = 0; i < work->count; i++) mark_free(&work->marks[i]);
    work->count = 0;
    work->more = false;
    buf_clear(&work->bare);
}

static int by_size(const void *x, const void *y) {
    const struct mark *a = x, *b = y;
    return a->size < b->size ? -1 : a->size > b->size;
}

/* The anchor, and what waits: as many as fit into one question. *ret_waiting: whether anything does. */
static enum error collect(struct settling *work, bool *ret_waiting) {
    struct archive *archive = work->home->archive;
    settling_clear(work);
    work->count = 1;
    TRY(load_anchor(archive, &work->marks[0]));
    work->count = work->marks[0].size > 0;
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, seen_key(0));
    while (work->count < LOG_SIZES_MAX) {
        struct mark *mark = &work->marks[work->count];
        *mark = (struct mark){0};
        work->count++;
        TRY(next_mark(archive, &cursor, mark));
        if (mark->size > 0) continue;
        mark_free(mark);
        work->count--;
        break;
    }
    work->more = work->count == LOG_SIZES_MAX;
    *ret_waiting = cursor.begun && work->count > 1;
    qsort(work->marks, work->count, sizeof work->marks[0], by_size);
    return E_OK;
}

/* One question. The answer's proofs are views into it. *ret_wrong: what is not as it must be, or E_OK. */
static enum error ask(struct settling *work, const struct mark *marks, size_t count, struct relay_answer *answer,
                      enum error *ret_wrong) {
    AUTO_BUF sizes = {0};
    struct log log;
    for (size_t i = 0; i < count; i++) cbor_put_uint(&sizes, marks[i].size);
    TRY(buf_error(&sizes));
    struct getlog question = {.log = LOG_EVIDENCE, .sizes = list_of(&sizes, count)};
    TRY(relay_call(work->relay, MESSAGE_GETLOG, &question, answer, work->failure));
    buf_clear(&work->bare);
    *ret_wrong = log_decode(answer->body, &log);
    if (*ret_wrong == E_OK && (log.log != LOG_EVIDENCE || log.proofs.count != count)) *ret_wrong = E_MISMATCH;
    if (*ret_wrong == E_OK) *ret_wrong = head_bare_log(&work->home->card, LOG_EVIDENCE, log.note, &work->bare);
    if (*ret_wrong == E_OK)
        *ret_wrong = head_open_log(&work->home->card, LOG_EVIDENCE, buf_bytes(&work->bare), &work->head);
    if (*ret_wrong == E_OK && work->head.size < marks[count - 1].size) *ret_wrong = E_OUT_OF_RANGE;
    for (size_t i = 0; *ret_wrong == E_OK && list_next_bytes(&log.proofs, &work->proofs[i]);) i++;
    return *ret_wrong == E_NO_MEMORY ? E_NO_MEMORY : E_OK;
}

static bool grows(const struct mark *from, uint64_t size, const uint8_t *root, struct bytes proof) {
    return merkle_verify_consistency(from->size, bytes_of(from->root, HASH_SIZE), size, bytes_of(root, HASH_SIZE),
                                     proof) == E_OK;
}

static bool all_grow(const struct settling *work) {
    for (size_t i = 0; i < work->count; i++) {
        const struct mark *next = i + 1 < work->count ? &work->marks[i + 1] : NULL;
        if (!grows(&work->marks[i], next ? next->size : work->head.size, next ? next->root : work->head.root,
                   work->proofs[i]))
            return false;
    }
    return true;
}

/* The newest head takes the anchor's place, and stands for all that were asked about. */
static enum error keep_newest(struct settling *work) {
    struct archive *archive = work->home->archive;
    TRY(archive_delete(archive, TABLE_HEAD, seen_key(work->head.size)));
    TRY(kept_number_set(archive, TABLE_META, archive_named("evidence unanswered"), 0));
    for (size_t i = 0; i < work->count; i++) TRY(archive_delete(archive, TABLE_HEAD, seen_key(work->marks[i].size)));
    return save_anchor(archive, work->head.size, work->head.root, buf_bytes(&work->bare));
}

/* ---- what does not fit ---- */

/* The root over the first `size` leaves that the relay shows now. Nothing is believed: a path must lead from it to a
 * head. */
static enum error root_shown(struct settling *work, uint64_t size, uint8_t ret[static HASH_SIZE]) {
    struct merkle_frontier frontier = {0};
    while (frontier.size < size) {
        AUTO_BUF hashes = {0};
        TRY(leaves_some(work->relay, LOG_EVIDENCE, frontier.size, size, &hashes, NULL));
        for (size_t at = 0; at < hashes.n; at += HASH_SIZE) merkle_frontier_add(&frontier, hashes.p + at);
    }
    merkle_frontier_root(&frontier, ret);
    return E_OK;
}

static enum error prove(struct settling *work, const struct mark *mark, struct bytes path, struct buf *proof) {
    uint8_t root[HASH_SIZE];
    if (mark->note.n == 0) return E_NO_PROOF; /* the registrars' word */
    memcpy(root, work->head.root, HASH_SIZE);
    if (mark->size < work->head.size) TRY(root_shown(work, mark->size, root));
    return fraud_make_heads_by(&work->home->card, mark->note, buf_bytes(&work->bare), root, path, proof);
}

/* It is not in the log that the relay shows now. */
static enum error accuse(struct settling *work, const struct mark *mark, struct bytes path) {
    AUTO_BUF proof = {0};
    char what[160];
    enum error error = prove(work, mark, path, &proof);
    if (error == E_NO_MEMORY) return error;
    say_forked(mark->size, work->head.size, what, sizeof what);
    if (error == E_OK) return proofs_accuse(work->home, buf_bytes(&proof), what);
    return proofs_suspect_once(work->home, E_EVIDENCE_FORKED,
                               "the relay does not show that the evidence log of %llu entries, which it has signed, is "
                               "the beginning of the one that it shows now",
                               (unsigned long long)mark->size);
}

/* One of the same size may wait still. */
static enum error settled(struct settling *work, bool *ret_good) {
    AUTO_MARK same = {0};
    TRY(load_mark(work->home->archive, work->head.size, &same));
    *ret_good = same.size == 0 || memcmp(same.root, work->head.root, HASH_SIZE) == 0;
    if (!*ret_good) return accuse(work, &same, (struct bytes){0});
    TRY(archive_begin(work->home->archive));
    enum error error = keep_newest(work);
    if (error == E_OK) return archive_commit(work->home->archive);
    archive_rollback(work->home->archive);
    return error;
}

/* Some step does not hold: which heads are not in the log? */
static enum error find_out(struct settling *work) {
    for (size_t i = 0; i < work->count; i++) {
        AUTO_ANSWER answer = {0};
        const struct mark *mark = &work->marks[i];
        enum error wrong = E_OK, error = ask(work, mark, 1, &answer, &wrong);
        if (error != E_OK && answer.error == E_OK) return error; /* the link's */
        if (error != E_OK) wrong = error;
        if (wrong == E_OK && grows(mark, work->head.size, work->head.root, work->proofs[0])) continue;
        TRY(accuse(work, mark, wrong == E_OK ? work->proofs[0] : (struct bytes){0}));
    }
    return E_OK;
}

/* ---- a sync ---- */

/* What it cannot answer now it may later, but not for ever. */
static enum error answered_later(struct settling *work, enum error error) {
    enum { PATIENCE = 5 };
    uint64_t syncs;
    struct archive_key row = archive_named("evidence unanswered");
    if (!error_row(error)->again) return error;
    if (work->failure) *work->failure = (struct failure){0};
    TRY(kept_number(work->home->archive, TABLE_META, row, &syncs));
    TRY(kept_number_set(work->home->archive, TABLE_META, row, syncs + 1));
    if (syncs < PATIENCE) return E_OK;
    return proofs_suspect_once(work->home, E_WITHHELD,
                               "the relay does not say how the evidence log has grown, however often it is asked: %s",
                               error_text(error));
}

/* It has no such log any more, or says so. */
static enum error not_answered(struct settling *work, enum error error) {
    if (error != E_OUT_OF_RANGE && error != E_NO_HEAD) return answered_later(work, error);
    if (work->failure) *work->failure = (struct failure){0};
    return proofs_suspect_once(work->home, E_EVIDENCE_FORKED,
                               "the relay shows an evidence log of less than the %llu entries that this home has seen",
                               (unsigned long long)work->marks[work->count - 1].size);
}

/* *ret_go_on: all that was asked about is settled, and more waits. */
static enum error settle_some(struct settling *work, bool *ret_go_on) {
    AUTO_ANSWER answer = {0};
    enum error wrong = E_OK;
    bool waiting = false;
    *ret_go_on = false;
    TRY(collect(work, &waiting));
    if (!waiting) return E_OK;
    enum error error = ask(work, work->marks, work->count, &answer, &wrong);
    if (error != E_OK) return answer.error != E_OK ? not_answered(work, error) : error;
    if (wrong == E_OUT_OF_RANGE) return not_answered(work, wrong);
    if (wrong != E_OK)
        return proofs_suspect_once(work->home, wrong, "how the evidence log has grown, the relay does not show: %s",
                                   error_text(wrong));
    if (!all_grow(work)) return find_out(work);
    bool good = false;
    TRY(settled(work, &good));
    *ret_go_on = good && work->more;
    return E_OK;
}

enum error evlog_settle(struct home *home, struct relay *relay, struct failure *failure) {
    AUTO_FREE(struct settling) work = calloc(1, sizeof *work);
    if (!work) return fail(failure, E_NO_MEMORY, "the evidence log");
    *work = (struct settling){.home = home, .relay = relay, .failure = failure};
    enum error error = follow_recoveries(home);
    for (bool more = true; error == E_OK && more;) error = settle_some(work, &more);
    settling_clear(work);
    buf_free(&work->bare);
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "the evidence log");
    return error;
}
