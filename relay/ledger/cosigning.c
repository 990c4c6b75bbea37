/* cosigning.c - heads given out, to whoever asks and to witnesses; cosignatures that come back, in answers or as files.
 *
 * Of each log and each witness of the card, the newest head that it has cosigned is kept, and cosignatures of the newest text
 * stand under it. A head's origin tells of which log it is. */
#include "heads.h"

#include <stdio.h>

#include "log.h"
#include "witness.h"

#define ASKED_HEAD "asked %u" /* given to the operator for a witness who has no link */
enum { ASKED_HEADS = 8, ASKED_SIZE = 32 };

static const enum relay_log both_logs[] = {LOG_DIRECTORY, LOG_EVIDENCE};

/* ---- giving out ---- */

static bool same_text(struct bytes a, struct bytes b) {
    struct note one, other;
    return note_parse(a, &one) == E_OK && note_parse(b, &other) == E_OK && bytes_equal(one.text, other.text);
}

enum error heads_answer(const struct book *book, struct response *response) {
    AUTO_BUF newest = {0}, list = {0};
    size_t count = 0;
    bool has = false;
    TRY(heads_newest(book, LOG_DIRECTORY, &newest, &has));
    if (has) {
        cbor_put_bytes(&list, buf_bytes(&newest));
        count++;
    }
    for (size_t i = 0; i < book->card.witness_count; i++) {
        AUTO_STORED kept = {0};
        enum error error = heads_peek(book, LOG_DIRECTORY, book->card.witnesses[i].name, &kept);
        if (error == E_UNKNOWN_REQUEST) continue;
        TRY(error);
        if (same_text(buf_bytes(&kept.note), buf_bytes(&newest))) continue;
        cbor_put_bytes(&list, buf_bytes(&kept.note));
        count++;
    }
    heads_encode(&(struct heads){.notes = list_of(&list, count)}, &response->body);
    response->type = MESSAGE_HEADS;
    return list.failed ? E_NO_MEMORY : buf_error(&response->body);
}

enum error heads_newest_of(const struct book *book, enum relay_log log, struct buf *ret_note, uint64_t *ret_size,
                           bool *ret_has) {
    AUTO_STORED newest = {0};
    enum error error = heads_peek(book, log, HEADS_NEWEST, &newest);
    *ret_has = error == E_OK;
    if (error != E_OK) return error == E_UNKNOWN_REQUEST ? E_OK : error;
    *ret_size = newest.head.size;
    buf_add_bytes(ret_note, buf_bytes(&newest.note));
    return buf_error(ret_note);
}

enum error heads_request(const struct book *book, enum relay_log log, uint64_t old, struct buf *ret_body,
                         enum error *ret_wrong) {
    AUTO_STORED newest = {0};
    AUTO_BUF proof = {0}, bare = {0};
    enum error error = heads_peek(book, log, HEADS_NEWEST, &newest);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    *ret_wrong = error != E_OK ? E_NO_HEAD : old > newest.head.size ? E_OUT_OF_RANGE : E_OK;
    if (*ret_wrong != E_OK) return E_OK;
    if (old > 0) TRY(logs_consistency(book, log, old, newest.head.size, &proof));
    TRY(head_bare_log(&book->card, log, buf_bytes(&newest.note), &bare));
    witness_request_format(old, buf_bytes(&proof), buf_bytes(&bare), ret_body);
    return buf_error(ret_body);
}

enum error heads_answer_request(const struct book *book, enum relay_log log, uint64_t old, struct response *response) {
    AUTO_BUF body = {0};
    enum error wrong;
    TRY(heads_request(book, log, old, &body, &wrong));
    if (wrong != E_OK) {
        response_fail(response, wrong, wrong == E_OUT_OF_RANGE ? "the log has fewer entries than that" : NULL);
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
static enum error compose(const struct book *book, enum relay_log log, struct bytes base, struct bytes more,
                          const struct note_key *only, struct buf *out) {
    const struct card *card = &book->card;
    struct note notes[2];
    struct head heads[2];
    size_t count = more.p ? 2 : 1;
    TRY(head_bare_log(card, log, base, out));
    for (size_t n = 0; n < count; n++) {
        struct bytes bytes = n == 0 ? base : more;
        TRY(note_parse(bytes, &notes[n]));
        TRY(head_open_log(card, log, bytes, &heads[n]));
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

static enum error keep_for(const struct book *book, enum relay_log log, const struct note_key *witness,
                           struct bytes note, const struct head *head) {
    AUTO_STORED kept = {0};
    AUTO_BUF composed = {0};
    enum error error = heads_get(book, log, witness->name, &kept);
    if (error != E_UNKNOWN_REQUEST && error != E_CORRUPT) TRY(error); /* corrupt: under a key that it had before */
    if (error == E_OK && !is_newer(head, &kept.head)) return E_OK;
    TRY(compose(book, log, note, (struct bytes){0}, witness, &composed));
    return heads_put(book, log, witness->name, head->size, buf_bytes(&composed));
}

static enum error merge_newest(const struct book *book, enum relay_log log, struct bytes note) {
    AUTO_STORED newest = {0};
    AUTO_BUF merged = {0};
    enum error error = heads_get(book, log, HEADS_NEWEST, &newest);
    if (error != E_OK) return error == E_UNKNOWN_REQUEST ? E_OK : error;
    if (!same_text(buf_bytes(&newest.note), note)) return E_OK;
    TRY(compose(book, log, buf_bytes(&newest.note), note, NULL, &merged));
    return heads_put(book, log, HEADS_NEWEST, newest.head.size, buf_bytes(&merged));
}

/* The log's own key has signed it; is it of the log that is in the store? If not, then the store is older than the head, or the
 * key has signed elsewhere. */
static enum error check_own(const struct book *book, enum relay_log log, const struct head *head,
                            enum error *ret_wrong) {
    uint8_t root[HASH_SIZE] = {0};
    uint64_t size;
    TRY(logs_size(book, log, &size));
    bool own = head->size > 0 && head->size <= size;
    enum error error = own ? logs_root(book, log, head->size, root) : E_OK;
    *ret_wrong = error; /* a log that is damaged somewhere: nobody who brings an old head may end the relay by it */
    if (error == E_CORRUPT) return E_OK;
    TRY(error);
    own = own && memcmp(root, head->root, HASH_SIZE) == 0;
    *ret_wrong = own ? E_OK : log == LOG_EVIDENCE ? E_EVIDENCE_FORKED : E_DIRECTORY_FORKED;
    if (!own)
        log_line(LOG_ERR,
                 "a witness brought a head of %llu entries, signed by this relay's log key, that is not of %s in this "
                 "store: the store is older than what was given out, or the key is used elsewhere",
                 (unsigned long long)head->size, logs_name(log));
    return E_OK;
}

/* Of the log whose key has signed it; else what is wrong with it as a head of the log that its first line names. */
static enum error open_either(const struct book *book, struct bytes note, enum relay_log *ret_log, struct head *ret) {
    enum error errors[LENGTH(both_logs)];
    for (size_t i = 0; i < LENGTH(both_logs); i++) {
        *ret_log = both_logs[i];
        errors[i] = head_open_log(&book->card, both_logs[i], note, ret);
        if (errors[i] == E_OK) return E_OK;
    }
    const char *origin = book->log_keys[LOG_EVIDENCE].name;
    size_t n = strlen(origin);
    bool says_evidence = note.n > n && memcmp(note.p, origin, n) == 0 && note.p[n] == '\n';
    return errors[says_evidence ? 1 : 0];
}

enum error heads_cosign(struct book *book, struct bytes note, enum error *ret_wrong) {
    struct head head;
    enum relay_log log;
    bool any = false;
    *ret_wrong = open_either(book, note, &log, &head);
    for (size_t i = 0; *ret_wrong == E_OK && i < book->card.witness_count; i++) any = any || head.words[i].valid;
    if (*ret_wrong == E_OK && !any) *ret_wrong = E_UNKNOWN_WITNESS;
    if (*ret_wrong == E_OK) TRY(check_own(book, log, &head, ret_wrong));
    if (*ret_wrong != E_OK) return E_OK;
    for (size_t i = 0; i < book->card.witness_count; i++)
        if (head.words[i].valid) TRY(keep_for(book, log, &book->card.witnesses[i], note, &head));
    return merge_newest(book, log, note);
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

/* ---- by file ---- */

static enum error get_asked(const struct book *book, enum relay_log log, unsigned n, struct heads_stored *ret) {
    char who[ASKED_SIZE];
    snprintf(who, sizeof who, ASKED_HEAD, n % ASKED_HEADS);
    return heads_peek(book, log, who, ret);
}

static const char *counter_of(enum relay_log log) {
    return log == LOG_EVIDENCE ? "evidence-heads-asked" : "heads-asked";
}

/* The answer may come as signature lines alone, when the newest head is another: what was asked about is kept. */
enum error heads_remember_asked(struct book *book, enum relay_log log) {
    AUTO_STORED newest = {0}, last = {0};
    char who[ASKED_SIZE];
    uint64_t asked;
    enum error error = heads_peek(book, log, HEADS_NEWEST, &newest);
    if (error != E_OK) return error == E_UNKNOWN_REQUEST ? E_OK : error;
    TRY(book->store->ops->meta_get(book->store, counter_of(log), &asked));
    error = get_asked(book, log, (unsigned)((asked + ASKED_HEADS - 1) % ASKED_HEADS), &last);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    if (error == E_OK && same_text(buf_bytes(&last.note), buf_bytes(&newest.note))) return E_OK;
    snprintf(who, sizeof who, ASKED_HEAD, (unsigned)(asked % ASKED_HEADS));
    TRY(heads_put(book, log, who, newest.head.size, buf_bytes(&newest.note)));
    return book->store->ops->meta_put(book->store, counter_of(log), asked + 1);
}

/* Whole notes as they are; lines under the newest head, else under each that was asked about: the one whose text they sign. */
static enum error add_answer(struct book *book, enum relay_log log, struct bytes answer, enum error *ret_wrong) {
    for (unsigned n = 0; n <= ASKED_HEADS; n++) {
        AUTO_STORED head = {0};
        AUTO_BUF bare = {0}, whole = {0};
        enum error error = n == 0 ? heads_peek(book, log, HEADS_NEWEST, &head) : get_asked(book, log, n - 1, &head);
        if (error == E_UNKNOWN_REQUEST) continue;
        TRY(error);
        if (head_bare_log(&book->card, log, buf_bytes(&head.note), &bare) != E_OK) continue;
        *ret_wrong = witness_join(buf_bytes(&bare), answer, &whole);
        if (*ret_wrong == E_OK) TRY(heads_cosign(book, buf_bytes(&whole), ret_wrong));
        if (*ret_wrong != E_BAD_SIGNATURE) return E_OK;
    }
    return E_OK;
}

enum error heads_add_answer(struct book *book, struct bytes answer, enum error *ret_wrong) {
    for (size_t i = 0; i < LENGTH(both_logs); i++) {
        enum error wrong = E_NO_HEAD;
        TRY(add_answer(book, both_logs[i], answer, &wrong));
        if (i == 0 || wrong != E_NO_HEAD) *ret_wrong = wrong;
        if (wrong != E_BAD_SIGNATURE && wrong != E_NO_HEAD) return E_OK; /* not: lines under the other log's heads */
    }
    return E_OK;
}
