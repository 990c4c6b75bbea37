/* heads.c - the signed heads of both logs: made with every batch in which a log grew, checked against the ones before.
 *
 * A head is signed in the transaction that adds its leaves, so that no signature exists for a log that was rolled back. It is made
 * anew, with a fresh time, when the newest is old, so that witnesses can say that nothing was kept back. Of each log the newest
 * one is kept here and in a file beside the store; cosigning.c is about what witnesses make of them. */
#include "heads.h"

#include <stdio.h>

#include "fault.h"
#include "headfile.h"
#include "log.h"

/* ---- reading ---- */

/* The store's names for heads. Witnesses' names have no blanks, so that the others cannot meet them. */
enum { WHO_SIZE = NOTE_KEY_NAME_MAX + 16 };

static const char *name_of(enum relay_log log, const char *who, char room[static WHO_SIZE]) {
    snprintf(room, WHO_SIZE, "%s%s", log == LOG_EVIDENCE ? "evidence " : "", who);
    return room;
}

static enum error get_note(const struct book *book, enum relay_log log, const char *who, struct buf *ret) {
    char room[WHO_SIZE];
    uint64_t size;
    return book->store->ops->head_get(book->store, name_of(log, who, room), &size, ret);
}

enum error heads_put(const struct book *book, enum relay_log log, const char *who, uint64_t size, struct bytes note) {
    char room[WHO_SIZE];
    return book->store->ops->head_put(book->store, name_of(log, who, room), size, note);
}

static enum error read_head(struct bytes bytes, struct head *ret) {
    struct note note;
    struct checkpoint checkpoint;
    struct head head = {0};
    TRY(note_parse(bytes, &note));
    TRY(checkpoint_parse(note.text, &checkpoint));
    TRY(head_time(checkpoint.extensions, &head.time));
    head.size = checkpoint.size;
    memcpy(head.root, checkpoint.root, HASH_SIZE);
    *ret = head;
    return E_OK;
}

enum error heads_peek(const struct book *book, enum relay_log log, const char *who, struct heads_stored *ret) {
    TRY(get_note(book, log, who, &ret->note));
    return read_head(buf_bytes(&ret->note), &ret->head) == E_OK ? E_OK : E_CORRUPT;
}

enum error heads_get(const struct book *book, enum relay_log log, const char *who, struct heads_stored *ret) {
    TRY(get_note(book, log, who, &ret->note));
    return head_open_log(&book->card, log, buf_bytes(&ret->note), &ret->head) == E_OK ? E_OK : E_CORRUPT;
}

enum error heads_newest(const struct book *book, enum relay_log log, struct buf *ret_note, bool *ret_has) {
    enum error error = get_note(book, log, HEADS_NEWEST, ret_note);
    *ret_has = error == E_OK;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}

bool heads_old(const struct book *book, enum relay_log log, uint64_t age_ms) {
    AUTO_STORED newest = {0};
    enum error error = heads_peek(book, log, HEADS_NEWEST, &newest);
    return error != E_OK || book->now.ms >= newest.head.time.ms + age_ms;
}

/* ---- signing ---- */

static enum error is_too_old(enum relay_log log, uint64_t has, uint64_t signed_size) {
    log_line(
        LOG_ERR,
        "%s has %llu entries, but a head of %llu has been signed: the store is older than what this relay has given "
        "out. Nothing is signed; bring back the newer store",
        logs_name(log), (unsigned long long)has, (unsigned long long)signed_size);
    return E_CORRUPT;
}

static enum error is_other(const struct book *book, enum relay_log log, uint64_t size) {
    log_line(
        LOG_ERR,
        "the first %llu entries of %s are not those of the head that has been signed: the store was changed, or is "
        "another relay's. Nothing is signed; bring back the right store",
        (unsigned long long)size, logs_name(log));
    if (log == LOG_EVIDENCE) proofs_name_damage(book);
    return E_CORRUPT;
}

/* The head before is a promise to everybody who has it. What does not continue it is never signed: the store is an older one
 * than this relay has worked with, or was changed. known: a state that the caller has worked out, or NULL. */
static enum error check_continues(const struct book *book, enum relay_log log, const struct head *before, uint64_t size,
                                  const struct log_state *known) {
    uint8_t then[HASH_SIZE];
    if (before->size > size) return is_too_old(log, size, before->size);
    if (known && known->size == before->size)
        memcpy(then, known->root, HASH_SIZE);
    else if (before->size > 0)
        TRY(logs_root(book, log, before->size, then));
    else
        return E_CORRUPT; /* no head is made of nothing */
    return memcmp(then, before->root, HASH_SIZE) == 0 ? E_OK : is_other(book, log, before->size);
}

/* Every batch reads the head before: whose signatures held once, they hold as long as not a byte of it is another. */
static void remember(struct book *book, enum relay_log log, struct bytes note) {
    struct head_seen *seen = &book->head_seen[log];
    seen->n = note.n <= sizeof seen->note ? note.n : 0;
    memcpy(seen->note, note.p, seen->n);
}

static bool is_remembered(const struct book *book, enum relay_log log, struct bytes note) {
    const struct head_seen *seen = &book->head_seen[log];
    return seen->n > 0 && bytes_equal(bytes_of(seen->note, seen->n), note);
}

static enum error sign(struct book *book, enum relay_log log, const struct log_state *now, struct buf *ret_note) {
    TRY(head_make(&book->log_keys[log], book->log_secret, now->size, now->root, book->now, ret_note));
    TRY(heads_put(book, log, HEADS_NEWEST, now->size, buf_bytes(ret_note)));
    book->head_made[log] = true;
    remember(book, log, buf_bytes(ret_note));
    FAULT("ledger.head");
    return E_OK;
}

/* *ret_has false: there is none yet. */
static enum error get_newest(struct book *book, enum relay_log log, struct heads_stored *ret, bool *ret_has) {
    enum error error = heads_peek(book, log, HEADS_NEWEST, ret);
    if (error == E_OK && !is_remembered(book, log, buf_bytes(&ret->note))) {
        error = head_open_log(&book->card, log, buf_bytes(&ret->note), &ret->head) == E_OK ? E_OK : E_CORRUPT;
        if (error == E_OK) remember(book, log, buf_bytes(&ret->note));
    }
    if (error == E_CORRUPT)
        log_line(LOG_ERR, "the newest head of %s in the store does not hold under the keys in relay.card",
                 logs_name(log));
    *ret_has = error == E_OK;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}

enum error heads_write(struct book *book, enum relay_log log, uint64_t age_ms) {
    AUTO_STORED before = {0};
    AUTO_BUF note = {0};
    struct log_state now;
    bool has;
    TRY(get_newest(book, log, &before, &has));
    TRY(logs_now(book, log, &now));
    if (!has) return now.size > 0 ? sign(book, log, &now, &note) : E_OK;
    TRY(check_continues(book, log, &before.head, now.size, &now));
    bool fresh = book->now.ms < before.head.time.ms + age_ms;
    return before.head.size == now.size && fresh ? E_OK : sign(book, log, &now, &note);
}

enum error heads_grown(struct book *book, enum relay_log log, const struct log_state *before,
                       const struct log_state *now, struct buf *ret_note) {
    AUTO_STORED newest = {0};
    bool has;
    TRY(get_newest(book, log, &newest, &has));
    if (has) TRY(check_continues(book, log, &newest.head, now->size, before));
    return sign(book, log, now, ret_note);
}

/* ---- outside the store ---- */

/* The commit stands, so that what fails here is said and gone on with. */
static void keep_outside(struct book *book, enum relay_log log) {
    AUTO_BUF note = {0}, bare = {0};
    bool has = false;
    if (!book->head_made[log]) return;
    enum error error = heads_newest(book, log, &note, &has);
    if (error == E_OK && has) error = head_bare_key(&book->log_keys[log], buf_bytes(&note), &bare);
    if (error == E_OK && has) error = headfile_write(log, buf_bytes(&bare));
    if (error != E_OK)
        log_line(LOG_ERR, "%s: %s; an older store would not be noticed", headfile_name(log), error_text(error));
    book->head_made[log] = false;
}

void heads_keep_outside(struct book *book) {
    keep_outside(book, LOG_DIRECTORY);
    keep_outside(book, LOG_EVIDENCE);
}

enum error heads_check_outside(const struct book *book, enum relay_log log) {
    AUTO_BUF note = {0};
    struct head head;
    uint64_t size;
    TRY(headfile_read(log, &note));
    if (note.n == 0) return E_OK;
    enum error error = head_open_log(&book->card, log, buf_bytes(&note), &head);
    if (error != E_OK) {
        log_line(LOG_ERR, "%s is no head of %s of this relay (%s)", headfile_name(log), logs_name(log),
                 error_row(error)->name);
        return E_CORRUPT;
    }
    TRY(logs_size(book, log, &size));
    return check_continues(book, log, &head, size, NULL);
}

/* ---- numbers ---- */

/* A witness's newest word is under its own head, or, without one, nowhere. */
static enum error is_fresh(const struct book *book, size_t witness, bool *ret) {
    AUTO_STORED kept = {0};
    enum error error = heads_get(book, LOG_DIRECTORY, book->card.witnesses[witness].name, &kept);
    *ret = error == E_OK && kept.head.words[witness].valid &&
           kept.head.words[witness].time_s + book->card.freshness_s >= book->now.ms / 1000;
    return error == E_UNKNOWN_REQUEST || error == E_CORRUPT ? E_OK : error;
}

static enum error count_newest(const struct book *book, enum relay_log log, uint64_t *ret_size,
                               struct instant *ret_time) {
    AUTO_STORED newest = {0};
    enum error error = heads_peek(book, log, HEADS_NEWEST, &newest);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    *ret_size = newest.head.size;
    *ret_time = newest.head.time;
    return E_OK;
}

enum error heads_count(const struct book *book, struct heads_numbers *ret) {
    struct heads_numbers numbers = {.witnesses = book->card.witness_count};
    TRY(count_newest(book, LOG_DIRECTORY, &numbers.size, &numbers.time));
    TRY(count_newest(book, LOG_EVIDENCE, &numbers.evidence_size, &numbers.evidence_time));
    for (size_t i = 0; i < numbers.witnesses; i++) {
        bool fresh;
        TRY(is_fresh(book, i, &fresh));
        numbers.fresh += fresh;
    }
    *ret = numbers;
    return E_OK;
}
