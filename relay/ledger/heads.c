/* heads.c - the directory's signed heads: made with every batch in which the directory grew, given out, cosigned.
 *
 * A head is signed in the transaction that adds its leaves, so that no signature exists for a directory that was rolled back. It
 * is made anew, with a fresh time, when the newest is old, so that witnesses can say that nothing was kept back. The newest one
 * and, of each witness of the card, the newest that it has cosigned are kept; cosignatures of the newest text stand under it. */
#include "book.h"

#include <stdio.h>

#include "fault.h"
#include "head.h"
#include "headfile.h"
#include "log.h"
#include "witness.h"

/* The store's names for heads: witnesses' names have no blanks, so the others cannot meet them. */
static const char newest_head[] = "";
#define ASKED_HEAD "asked %u" /* given to the operator for a witness who has no link */
enum { ASKED_HEADS = 8, WHO_SIZE = 32 };

/* ---- reading ---- */

struct stored {
    struct buf note;
    struct head head;
};
static void stored_free(struct stored *stored) { buf_free(&stored->note); }
#define AUTO_STORED __attribute__((cleanup(stored_free))) struct stored

/* What stands in the store was verified before it was put there: size, root and time need no signature checked again. */
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

static enum error peek_head(const struct book *book, const char *who, struct stored *ret) {
    uint64_t size;
    TRY(book->store->ops->head_get(book->store, who, &size, &ret->note));
    return read_head(buf_bytes(&ret->note), &ret->head) == E_OK ? E_OK : E_CORRUPT;
}

/* With the witnesses' words, and all signatures under the card's keys as they are now. */
static enum error get_head(const struct book *book, const char *who, struct stored *ret) {
    uint64_t size;
    TRY(book->store->ops->head_get(book->store, who, &size, &ret->note));
    return head_open(&book->card, buf_bytes(&ret->note), &ret->head) == E_OK ? E_OK : E_CORRUPT;
}

enum error heads_newest(const struct book *book, struct buf *ret_note, bool *ret_has) {
    uint64_t size;
    enum error error = book->store->ops->head_get(book->store, newest_head, &size, ret_note);
    *ret_has = error == E_OK;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}

/* ---- signing ---- */

/* The head before is a promise to everybody who has it. What does not continue it is never signed: the store is an older one
 * than this relay has worked with, or was changed. */
static enum error check_continues(const struct book *book, const struct head *before, uint64_t size,
                                  const uint8_t root[static HASH_SIZE]) {
    uint8_t then[HASH_SIZE];
    if (before->size > size) {
        log_line(
            LOG_ERR,
            "the directory has %llu entries, but a head of %llu has been signed: the store is older than what this "
            "relay has given out. Nothing is signed; bring back the newer store",
            (unsigned long long)size, (unsigned long long)before->size);
        return E_CORRUPT;
    }
    if (before->size == size)
        memcpy(then, root, HASH_SIZE);
    else
        TRY(book->store->ops->leaf_root(book->store, before->size, then));
    if (memcmp(then, before->root, HASH_SIZE) == 0) return E_OK;
    log_line(
        LOG_ERR,
        "the directory's first %llu entries are not those of the head that has been signed: the store was changed, or "
        "is another relay's. Nothing is signed; bring back the right store",
        (unsigned long long)before->size);
    return E_CORRUPT;
}

static enum error sign(struct book *book, uint64_t size, const uint8_t root[static HASH_SIZE]) {
    AUTO_BUF note = {0};
    TRY(head_make(&book->log_key, book->log_secret, size, root, book->now, &note));
    TRY(book->store->ops->head_put(book->store, newest_head, size, buf_bytes(&note)));
    book->head_made = true;
    FAULT("ledger.head");
    return E_OK;
}

enum error heads_write(struct book *book, uint64_t age_ms) {
    AUTO_STORED before = {0};
    uint8_t root[HASH_SIZE];
    const struct directory *directory = book_directory(book);
    uint64_t size = directory_size(directory);
    enum error error = get_head(book, newest_head, &before);
    if (error == E_CORRUPT)
        log_line(LOG_ERR, "the newest head in the store does not hold under the keys in relay.card");
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    if (error == E_UNKNOWN_REQUEST && size == 0) return E_OK;
    directory_root(directory, root);
    if (error == E_OK) {
        TRY(check_continues(book, &before.head, size, root));
        bool fresh = book->now.ms < before.head.time.ms + age_ms;
        if (before.head.size == size && fresh) return E_OK;
    }
    return sign(book, size, root);
}

/* The commit stands, so that what fails here is said and gone on with. */
void heads_keep_outside(struct book *book) {
    AUTO_BUF note = {0};
    bool has = false;
    if (!book->head_made) return;
    enum error error = heads_newest(book, &note, &has);
    if (error == E_OK && has) error = headfile_write(buf_bytes(&note));
    if (error != E_OK) log_line(LOG_ERR, HEADFILE ": %s; an older store would not be noticed", error_text(error));
    book->head_made = false;
}

enum error heads_check_outside(const struct book *book) {
    AUTO_BUF note = {0};
    struct head head;
    uint8_t root[HASH_SIZE];
    TRY(headfile_read(&note));
    if (note.n == 0) return E_OK;
    enum error error = head_open(&book->card, buf_bytes(&note), &head);
    if (error != E_OK) {
        log_line(LOG_ERR, HEADFILE " is no head of this relay's directory (%s)", error_row(error)->name);
        return E_CORRUPT;
    }
    directory_root(book->directory, root);
    return check_continues(book, &head, directory_size(book->directory), root);
}

bool heads_old(const struct book *book, uint64_t age_ms) {
    AUTO_STORED newest = {0};
    return peek_head(book, newest_head, &newest) != E_OK || book->now.ms >= newest.head.time.ms + age_ms;
}

/* ---- giving out ---- */

static bool same_text(struct bytes a, struct bytes b) {
    struct note one, other;
    return note_parse(a, &one) == E_OK && note_parse(b, &other) == E_OK && bytes_equal(one.text, other.text);
}

enum error heads_answer(const struct book *book, struct response *response) {
    AUTO_BUF newest = {0}, list = {0};
    size_t count = 0;
    bool has = false;
    TRY(heads_newest(book, &newest, &has));
    if (has) {
        cbor_put_bytes(&list, buf_bytes(&newest));
        count++;
    }
    for (size_t i = 0; i < book->card.witness_count; i++) {
        AUTO_BUF note = {0};
        uint64_t size;
        enum error error = book->store->ops->head_get(book->store, book->card.witnesses[i].name, &size, &note);
        if (error == E_UNKNOWN_REQUEST) continue;
        TRY(error);
        if (same_text(buf_bytes(&note), buf_bytes(&newest))) continue;
        cbor_put_bytes(&list, buf_bytes(&note));
        count++;
    }
    heads_encode(&(struct heads){.notes = list_of(&list, count)}, &response->body);
    response->type = MESSAGE_HEADS;
    return list.failed ? E_NO_MEMORY : buf_error(&response->body);
}

enum error heads_request(const struct book *book, uint64_t old, struct buf *ret_body, enum error *ret_wrong) {
    AUTO_STORED newest = {0};
    AUTO_BUF proof = {0}, bare = {0};
    enum error error = peek_head(book, newest_head, &newest);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    *ret_wrong = error != E_OK ? E_NO_HEAD : old > newest.head.size ? E_OUT_OF_RANGE : E_OK;
    if (*ret_wrong != E_OK) return E_OK;
    if (newest.head.size > merkle_tree_size(&book->tree)) return E_CORRUPT;
    if (old > 0) merkle_tree_consistency_path(&book->tree, old, newest.head.size, &proof);
    TRY(buf_error(&proof));
    TRY(head_bare(&book->card, buf_bytes(&newest.note), &bare));
    witness_request_format(old, buf_bytes(&proof), buf_bytes(&bare), ret_body);
    return buf_error(ret_body);
}

enum error heads_answer_request(const struct book *book, uint64_t old, struct response *response) {
    AUTO_BUF body = {0};
    enum error wrong;
    TRY(heads_request(book, old, &body, &wrong));
    if (wrong != E_OK) {
        response_fail(response, wrong, wrong == E_OUT_OF_RANGE ? "the directory has fewer entries than that" : NULL);
        return E_OK;
    }
    addcheckpoint_encode(&(struct addcheckpoint){.request = buf_bytes(&body)}, &response->body);
    response->type = MESSAGE_ADDCHECKPOINT;
    return buf_error(&response->body);
}

/* ---- cosignatures ---- */

static bool is_by(const struct note_line *line, const struct note_key *key) {
    return bytes_are(line->name, key->name) && memcmp(line->hash, key->hash, NOTE_KEY_HASH_SIZE) == 0;
}

/* The text with the log's line and the line of one witness, or of all that have signed either note: of two by one witness the
 * newer. `base` has the text, and the log's line; `more` has the same text, or is NULL. */
static enum error compose(const struct book *book, struct bytes base, struct bytes more, const struct note_key *only,
                          struct buf *out) {
    const struct card *card = &book->card;
    struct note notes[2];
    struct head heads[2];
    size_t count = more.p ? 2 : 1;
    TRY(head_bare(card, base, out));
    for (size_t n = 0; n < count; n++) {
        struct bytes bytes = n == 0 ? base : more;
        TRY(note_parse(bytes, &notes[n]));
        TRY(head_open(card, bytes, &heads[n]));
    }
    for (size_t w = 0; w < card->witness_count; w++) {
        const struct note_key *key = &card->witnesses[w];
        if (only && key != only) continue;
        size_t from = count == 2 && heads[1].words[w].time_s > heads[0].words[w].time_s ? 1 : 0;
        if (!heads[from].words[w].valid) continue;
        const struct note_line *chosen = NULL;
        for (size_t i = 0; i < notes[from].count; i++)
            if (is_by(&notes[from].lines[i], key)) chosen = &notes[from].lines[i];
        struct note one = {.text = notes[from].text, .count = 1};
        AUTO_BUF whole = {0};
        if (!chosen) return E_INTERNAL;
        one.lines[0] = *chosen;
        note_format(&one, &whole);
        TRY(buf_error(&whole));
        buf_add(out, whole.p + one.text.n + 1, whole.n - one.text.n - 1);
    }
    return buf_error(out);
}

/* Is `head` more than what the witness's kept one is: of more leaves, or of as many and later? */
static bool is_newer(const struct head *head, const struct head *kept) {
    return head->size != kept->size ? head->size > kept->size : head->time.ms >= kept->time.ms;
}

static enum error keep_for(const struct book *book, const struct note_key *witness, struct bytes note,
                           const struct head *head) {
    AUTO_STORED kept = {0};
    AUTO_BUF composed = {0};
    enum error error = get_head(book, witness->name, &kept);
    if (error != E_UNKNOWN_REQUEST && error != E_CORRUPT) TRY(error); /* corrupt: under a key that it had before */
    if (error == E_OK && !is_newer(head, &kept.head)) return E_OK;
    TRY(compose(book, note, (struct bytes){0}, witness, &composed));
    return book->store->ops->head_put(book->store, witness->name, head->size, buf_bytes(&composed));
}

static enum error merge_newest(const struct book *book, struct bytes note) {
    AUTO_STORED newest = {0};
    AUTO_BUF merged = {0};
    enum error error = get_head(book, newest_head, &newest);
    if (error != E_OK) return error == E_UNKNOWN_REQUEST ? E_OK : error;
    if (!same_text(buf_bytes(&newest.note), note)) return E_OK;
    TRY(compose(book, buf_bytes(&newest.note), note, NULL, &merged));
    return book->store->ops->head_put(book->store, newest_head, newest.head.size, buf_bytes(&merged));
}

/* The log's own key has signed it; is it of the log that is in the store? If not, then the store is older than the head, or the
 * key has signed elsewhere. */
static enum error check_own(const struct book *book, const struct head *head, enum error *ret_wrong) {
    uint8_t root[HASH_SIZE] = {0};
    bool own = head->size > 0 && head->size <= directory_size(book_directory(book));
    if (own) TRY(book->store->ops->leaf_root(book->store, head->size, root));
    own = own && memcmp(root, head->root, HASH_SIZE) == 0;
    *ret_wrong = own ? E_OK : E_DIRECTORY_FORKED;
    if (!own)
        log_line(
            LOG_ERR,
            "a witness brought a head of %llu entries, signed by this relay's log key, that is not of this store's "
            "directory: the store is older than what was given out, or the key is used elsewhere",
            (unsigned long long)head->size);
    return E_OK;
}

enum error heads_cosign(struct book *book, struct bytes note, enum error *ret_wrong) {
    struct head head;
    bool any = false;
    *ret_wrong = head_open(&book->card, note, &head);
    for (size_t i = 0; *ret_wrong == E_OK && i < book->card.witness_count; i++) any = any || head.words[i].valid;
    if (*ret_wrong == E_OK && !any) *ret_wrong = E_UNKNOWN_WITNESS;
    if (*ret_wrong == E_OK) TRY(check_own(book, &head, ret_wrong));
    if (*ret_wrong != E_OK) return E_OK;
    for (size_t i = 0; i < book->card.witness_count; i++)
        if (head.words[i].valid) TRY(keep_for(book, &book->card.witnesses[i], note, &head));
    return merge_newest(book, note);
}

enum error heads_answer_cosign(struct book *book, struct bytes note, struct response *response) {
    enum error wrong;
    TRY(heads_cosign(book, note, &wrong));
    if (wrong != E_OK) {
        response_fail(response, wrong, NULL);
        return E_OK;
    }
    done_encode(&(struct done){0}, &response->body);
    response->type = MESSAGE_DONE;
    return buf_error(&response->body);
}

/* A witness's newest word is under its own head, or, without one, nowhere. */
static enum error is_fresh(const struct book *book, size_t witness, bool *ret) {
    AUTO_STORED kept = {0};
    enum error error = get_head(book, book->card.witnesses[witness].name, &kept);
    *ret = error == E_OK && kept.head.words[witness].valid &&
           kept.head.words[witness].time_s + book->card.freshness_s >= book->now.ms / 1000;
    return error == E_UNKNOWN_REQUEST || error == E_CORRUPT ? E_OK : error;
}

enum error heads_count(const struct book *book, struct heads_numbers *ret) {
    AUTO_STORED newest = {0};
    struct heads_numbers numbers = {.witnesses = book->card.witness_count};
    enum error error = peek_head(book, newest_head, &newest);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    if (error == E_OK) {
        numbers.size = newest.head.size;
        numbers.time = newest.head.time;
    }
    for (size_t i = 0; i < numbers.witnesses; i++) {
        bool fresh;
        TRY(is_fresh(book, i, &fresh));
        numbers.fresh += fresh;
    }
    *ret = numbers;
    return E_OK;
}

/* ---- by file ---- */

static enum error get_asked(const struct book *book, unsigned n, struct buf *ret_note) {
    char who[WHO_SIZE];
    uint64_t size;
    snprintf(who, sizeof who, ASKED_HEAD, n % ASKED_HEADS);
    return book->store->ops->head_get(book->store, who, &size, ret_note);
}

/* The answer may come as signature lines alone, when the newest head is another: what was asked about is kept. */
enum error heads_remember_asked(struct book *book) {
    AUTO_STORED newest = {0};
    AUTO_BUF last = {0};
    char who[WHO_SIZE];
    uint64_t asked;
    enum error error = peek_head(book, newest_head, &newest);
    if (error != E_OK) return error == E_UNKNOWN_REQUEST ? E_OK : error;
    TRY(book->store->ops->meta_get(book->store, "heads-asked", &asked));
    error = get_asked(book, (unsigned)((asked + ASKED_HEADS - 1) % ASKED_HEADS), &last);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    if (error == E_OK && same_text(buf_bytes(&last), buf_bytes(&newest.note))) return E_OK;
    snprintf(who, sizeof who, ASKED_HEAD, (unsigned)(asked % ASKED_HEADS));
    TRY(book->store->ops->head_put(book->store, who, newest.head.size, buf_bytes(&newest.note)));
    return book->store->ops->meta_put(book->store, "heads-asked", asked + 1);
}

/* Whole notes as they are; lines under the newest head, else under each that was asked about: the one whose text they sign. */
enum error heads_add_answer(struct book *book, struct bytes answer, enum error *ret_wrong) {
    for (unsigned n = 0; n <= ASKED_HEADS; n++) {
        AUTO_BUF head = {0}, bare = {0}, whole = {0};
        bool has = true;
        enum error error = E_OK;
        if (n == 0) {
            TRY(heads_newest(book, &head, &has));
        } else {
            error = get_asked(book, n - 1, &head);
            has = error == E_OK;
            if (error != E_UNKNOWN_REQUEST) TRY(error);
        }
        if (!has) continue;
        if (head_bare(&book->card, buf_bytes(&head), &bare) != E_OK) continue;
        *ret_wrong = witness_join(buf_bytes(&bare), answer, &whole);
        if (*ret_wrong == E_OK) TRY(heads_cosign(book, buf_bytes(&whole), ret_wrong));
        if (*ret_wrong != E_BAD_SIGNATURE) return E_OK;
    }
    return E_OK;
}
