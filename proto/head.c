/* head.c - reads and makes the heads of both logs. */
#include "head.h"

#include <stdio.h>

/* `time <decimal>` and its newline, nothing else. */
enum error head_time(struct bytes line, struct instant *ret) {
    static const char begin[] = "time ";
    size_t n = sizeof begin - 1;
    uint64_t value = 0;
    if (line.n < n + 2 || memcmp(line.p, begin, n) != 0 || line.p[line.n - 1] != '\n') return E_MALFORMED;
    struct bytes digits = bytes_of(line.p + n, line.n - n - 1);
    if (digits.n > 1 && digits.p[0] == '0') return E_MALFORMED;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') return E_MALFORMED;
        uint64_t digit = (uint64_t)(digits.p[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10) return E_OUT_OF_RANGE;
        value = value * 10 + digit;
    }
    ret->ms = value;
    return E_OK;
}

const char *head_log_name(enum relay_log log) { return log == LOG_EVIDENCE ? "evidence" : "directory"; }

enum error head_key(const struct card *card, enum relay_log log, struct note_key *ret) {
    return card_log_key(card, head_log_name(log), ret);
}

/* The log's key first, then the card's witnesses. */
static enum error card_keys(const struct card *card, enum relay_log log,
                            struct note_key ret[static WITNESSES_MAX + 1]) {
    TRY(head_key(card, log, &ret[0]));
    for (size_t i = 0; i < card->witness_count; i++) ret[i + 1] = card->witnesses[i];
    return E_OK;
}

enum error head_open_log(const struct card *card, enum relay_log log, struct bytes bytes, struct head *ret) {
    struct note_key keys[WITNESSES_MAX + 1];
    struct note_signed found[WITNESSES_MAX + 1];
    struct note note;
    struct checkpoint checkpoint;
    struct head head = {0};
    if (bytes.n > HEAD_NOTE_MAX) return E_OUT_OF_RANGE;
    TRY(card_keys(card, log, keys));
    TRY(note_parse(bytes, &note));
    TRY(note_verify(&note, keys, card->witness_count + 1, found));
    if (!found[0].valid) return E_BAD_SIGNATURE;
    TRY(checkpoint_parse(note.text, &checkpoint));
    if (!bytes_are(checkpoint.origin, keys[0].name)) return E_MISMATCH;
    TRY(head_time(checkpoint.extensions, &head.time));
    head.size = checkpoint.size;
    memcpy(head.root, checkpoint.root, HASH_SIZE);
    for (size_t i = 0; i < card->witness_count; i++) head.words[i] = found[i + 1];
    *ret = head;
    return E_OK;
}

enum error head_open(const struct card *card, struct bytes bytes, struct head *ret) {
    return head_open_log(card, LOG_DIRECTORY, bytes, ret);
}

enum error head_make(const struct note_key *log, const uint8_t secret[static SIGN_SECRET_SIZE], uint64_t size,
                     const uint8_t root[static HASH_SIZE], struct instant time, struct buf *out) {
    AUTO_BUF text = {0};
    char line[40];
    snprintf(line, sizeof line, "time %llu\n", (unsigned long long)time.ms);
    struct checkpoint checkpoint = {.origin = bytes_text(log->name), .size = size, .extensions = bytes_text(line)};
    memcpy(checkpoint.root, root, HASH_SIZE);
    checkpoint_format(&checkpoint, &text);
    TRY(buf_error(&text));
    TRY(note_begin(buf_bytes(&text), out));
    note_sign(buf_bytes(&text), log, secret, 0, out);
    return buf_error(out);
}

enum error head_bare_key(const struct note_key *key, struct bytes bytes, struct buf *out) {
    struct note note;
    TRY(note_parse(bytes, &note));
    for (size_t i = 0; i < note.count; i++) {
        const struct note_line *line = &note.lines[i];
        if (!bytes_are(line->name, key->name) || memcmp(line->hash, key->hash, NOTE_KEY_HASH_SIZE) != 0) continue;
        note.lines[0] = *line;
        note.count = 1;
        note_format(&note, out);
        return buf_error(out);
    }
    return E_BAD_SIGNATURE;
}

enum error head_bare_log(const struct card *card, enum relay_log log, struct bytes bytes, struct buf *out) {
    struct note_key key;
    TRY(head_key(card, log, &key));
    return head_bare_key(&key, bytes, out);
}

enum error head_bare(const struct card *card, struct bytes bytes, struct buf *out) {
    return head_bare_log(card, LOG_DIRECTORY, bytes, out);
}
