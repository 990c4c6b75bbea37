/* witness.c - add-checkpoint requests, and a witness's decision as a pure function (C2SP tlog-witness). */
#include "witness.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#include "head.h"

#define DASH "\xe2\x80\x94 " /* em dash and a blank open a signature line */

static const char old_word[] = "old ";

/* One line off the front; false when there is no whole one. */
static bool cut_line(struct bytes *rest, struct bytes *ret) {
    const uint8_t *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    if (!end) return false;
    size_t n = (size_t)(end - rest->p);
    *ret = bytes_of(rest->p, n);
    *rest = bytes_of(rest->p + n + 1, rest->n - n - 1);
    return true;
}

/* `old` and a decimal number without leading zeros, at most INT64_MAX. */
static enum error read_old(struct bytes line, uint64_t *ret) {
    size_t skip = sizeof old_word - 1;
    uint64_t value = 0;
    if (line.n <= skip || memcmp(line.p, old_word, skip) != 0) return E_MALFORMED;
    if (line.p[skip] == '0' && line.n > skip + 1) return E_MALFORMED;
    for (size_t i = skip; i < line.n; i++) {
        if (line.p[i] < '0' || line.p[i] > '9') return E_MALFORMED;
        uint64_t digit = (uint64_t)(line.p[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10) return E_OUT_OF_RANGE;
        value = value * 10 + digit;
    }
    *ret = value;
    return E_OK;
}

static enum error read_hash(struct bytes line, uint8_t ret[static HASH_SIZE]) {
    size_t n = 0;
    return note_base64(line, ret, HASH_SIZE, &n) && n == HASH_SIZE ? E_OK : E_MALFORMED;
}

enum error witness_request_parse(struct bytes body, struct witness_request *ret) {
    struct witness_request request = {0};
    struct bytes line;
    if (body.n > SIGNED_NOTE_MAX) return E_OUT_OF_RANGE;
    if (!cut_line(&body, &line)) return E_MALFORMED;
    TRY(read_old(line, &request.old));
    for (;;) {
        if (!cut_line(&body, &line)) return E_MALFORMED;
        if (line.n == 0) break;
        if (request.proof_count == WITNESS_PROOF_MAX) return E_OUT_OF_RANGE;
        TRY(read_hash(line, request.proof + request.proof_count * HASH_SIZE));
        request.proof_count++;
    }
    TRY(note_parse(body, &request.note));
    request.bytes = body;
    *ret = request;
    return E_OK;
}

void witness_request_format(uint64_t old, struct bytes proof, struct bytes note, struct buf *out) {
    char line[32], hash[sodium_base64_ENCODED_LEN(HASH_SIZE, sodium_base64_VARIANT_ORIGINAL)];
    assert(proof.n % HASH_SIZE == 0 && proof.n / HASH_SIZE <= WITNESS_PROOF_MAX);
    int n = snprintf(line, sizeof line, "%s%llu\n", old_word, (unsigned long long)old);
    buf_add(out, line, (size_t)n);
    for (size_t at = 0; at < proof.n; at += HASH_SIZE) {
        sodium_bin2base64(hash, sizeof hash, proof.p + at, HASH_SIZE, sodium_base64_VARIANT_ORIGINAL);
        buf_add_bytes(out, bytes_text(hash));
        buf_add(out, "\n", 1);
    }
    buf_add(out, "\n", 1);
    buf_add_bytes(out, note);
}

/* ---- the decision ---- */

/* The first line of the text: it says of which log the head is, before any signature is looked at. */
static bool is_of_log(struct bytes text, const struct note_key *key) {
    struct bytes origin;
    return cut_line(&text, &origin) && bytes_are(origin, key->name);
}

static enum error check_growth(const struct witness_log *log, const struct witness_request *request,
                               const struct checkpoint *checkpoint) {
    struct bytes proof = bytes_of(request->proof, request->proof_count * HASH_SIZE);
    struct bytes old_root = bytes_of(log->root, HASH_SIZE), root = bytes_of(checkpoint->root, HASH_SIZE);
    if (request->old > checkpoint->size) return E_OUT_OF_RANGE;
    if (request->old == 0 && proof.n) return E_MALFORMED;
    if (request->old != log->size) return E_CONFLICT;
    if (log->size == 0) return E_OK;
    if (log->size == checkpoint->size && !bytes_equal(old_root, root)) return E_DIRECTORY_FORKED;
    return merkle_verify_consistency(log->size, old_root, checkpoint->size, root, proof);
}

static enum error check_time(const struct witness_log *log, const struct checkpoint *checkpoint, struct instant now) {
    struct instant time;
    if (!log->timed) return E_OK;
    TRY(head_time(checkpoint->extensions, &time));
    uint64_t apart = time.ms > now.ms ? time.ms - now.ms : now.ms - time.ms;
    return apart > HEAD_TIME_MS ? E_HEAD_TIME : E_OK;
}

enum error witness_judge(const struct witness_log *log, const struct witness_request *request, struct instant now,
                         struct witness_verdict *ret) {
    struct note_signed found;
    struct checkpoint checkpoint;
    if (!is_of_log(request->note.text, &log->key)) return E_MISMATCH;
    TRY(note_verify(&request->note, &log->key, 1, &found));
    TRY(checkpoint_parse(request->note.text, &checkpoint));
    TRY(check_growth(log, request, &checkpoint));
    TRY(check_time(log, &checkpoint, now));
    ret->size = checkpoint.size;
    memcpy(ret->root, checkpoint.root, HASH_SIZE);
    return E_OK;
}

enum error witness_join(struct bytes note, struct bytes answer, struct buf *out) {
    size_t dash = sizeof DASH - 1;
    struct note whole;
    AUTO_BUF joined = {0};
    if (answer.n > dash && memcmp(answer.p, DASH, dash) == 0) buf_add_bytes(&joined, note);
    buf_add_bytes(&joined, answer);
    TRY(buf_error(&joined));
    TRY(note_parse(buf_bytes(&joined), &whole));
    buf_add_bytes(out, buf_bytes(&joined));
    return buf_error(out);
}
