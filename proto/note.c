/* note.c - signed notes (C2SP signed-note), checkpoints (tlog-checkpoint) and cosignatures (tlog-cosignature). */
#include "note.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#include "sign.h"
#include "text.h"

#define DASH "\xe2\x80\x94 " /* em dash and a blank open a signature line */

enum { TIMESTAMP_SIZE = 8, BASE64_KEY_SIZE = 1 + KEY_SIZE, NUMBER_SIZE = 24 };

/* ---- text ---- */

static uint32_t code_point(const uint8_t *p, size_t n) {
    if (n == 1) return p[0];
    uint32_t value = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) value = value << 6 | (p[i] & 0x3fu);
    return value;
}

/* White space of Unicode (property White_Space). */
static bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* UTF-8 whose only control character below U+0020 is the newline. */
static enum error check_text(struct bytes text) {
    for (size_t i = 0, n; i < text.n; i += n) {
        n = text_utf8_sequence(text.p + i, text.n - i);
        if (n == 0 || (text.p[i] < 0x20 && text.p[i] != '\n')) return E_BAD_TEXT;
    }
    return E_OK;
}

static enum error check_name(struct bytes name) {
    if (name.n == 0 || name.n > NOTE_KEY_NAME_MAX) return E_BAD_TEXT;
    for (size_t i = 0, n; i < name.n; i += n) {
        n = text_utf8_sequence(name.p + i, name.n - i);
        if (n == 0 || name.p[i] < 0x20 || name.p[i] == '+' || is_space(code_point(name.p + i, n))) return E_BAD_TEXT;
    }
    return E_OK;
}

static void add_text(struct buf *out, const char *text) { buf_add_bytes(out, bytes_text(text)); }

static void add_number(struct buf *out, uint64_t value) {
    char digits[NUMBER_SIZE];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    add_text(out, digits);
}

/* Sodium refuses all else, but 1.0.18 takes every byte beyond ASCII for a slash. */
bool note_base64(struct bytes text, uint8_t *ret, size_t max, size_t *ret_n) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 0x80) return false;
    return sodium_base642bin(ret, max, (const char *)text.p, text.n, NULL, ret_n, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0;
}

static void add_base64(struct buf *out, const uint8_t *bytes, size_t n) {
    char text[sodium_base64_ENCODED_LEN(NOTE_KEY_HASH_SIZE + TIMESTAMP_SIZE + SIGNATURE_SIZE,
                                        sodium_base64_VARIANT_ORIGINAL)];
    assert(n <= NOTE_KEY_HASH_SIZE + TIMESTAMP_SIZE + SIGNATURE_SIZE);
    add_text(out, sodium_bin2base64(text, sizeof text, bytes, n, sodium_base64_VARIANT_ORIGINAL));
}

/* Up to the separator, which must be there; `rest` goes on behind it. */
static bool cut(struct bytes *rest, uint8_t separator, struct bytes *ret) {
    const uint8_t *end = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    if (!end) return false;
    size_t n = (size_t)(end - rest->p);
    *ret = bytes_of(rest->p, n);
    *rest = bytes_of(rest->p + n + 1, rest->n - n - 1);
    return true;
}

/* ---- keys ---- */

static void key_hash(struct bytes name, uint8_t algorithm, const uint8_t key[static KEY_SIZE],
                     uint8_t ret[static NOTE_KEY_HASH_SIZE]) {
    uint8_t hash[HASH_SIZE], middle[] = {'\n', algorithm};
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, name.p, name.n);
    crypto_hash_sha256_update(&state, middle, sizeof middle);
    crypto_hash_sha256_update(&state, key, KEY_SIZE);
    crypto_hash_sha256_final(&state, hash);
    memcpy(ret, hash, NOTE_KEY_HASH_SIZE);
}

enum error note_key_make(struct bytes name, enum note_algorithm algorithm, const uint8_t key[static KEY_SIZE],
                         struct note_key *ret) {
    if (!sign_key_valid(key)) return E_BAD_KEY;
    return note_key_of(name, algorithm, key, ret);
}

enum error note_key_of(struct bytes name, enum note_algorithm algorithm, const uint8_t key[static KEY_SIZE],
                       struct note_key *ret) {
    TRY(check_name(name));
    if (algorithm != NOTE_ED25519 && algorithm != NOTE_COSIGNATURE) return E_UNKNOWN_SUITE;
    struct note_key made = {.algorithm = algorithm};
    memcpy(made.name, name.p, name.n);
    memcpy(made.key, key, KEY_SIZE);
    key_hash(name, (uint8_t)algorithm, key, made.hash);
    *ret = made;
    return E_OK;
}

enum error note_key_parse(struct bytes text, struct note_key *ret) {
    struct bytes name, hash;
    uint8_t blob[BASE64_KEY_SIZE];
    size_t n = 0;
    struct note_key key;
    /* The name has no plus, so the first two are the separators; base64 may have more. */
    if (!cut(&text, '+', &name) || !cut(&text, '+', &hash)) return E_MALFORMED;
    TRY(check_name(name));
    if (!note_base64(text, blob, sizeof blob, &n) || n < 1) return E_MALFORMED;
    if (blob[0] != NOTE_ED25519 && blob[0] != NOTE_COSIGNATURE) return E_UNKNOWN_SUITE;
    if (n != sizeof blob) return E_MALFORMED;
    TRY(note_key_make(name, (enum note_algorithm)blob[0], blob + 1, &key));
    char hex[2 * NOTE_KEY_HASH_SIZE + 1];
    text_hex(key.hash, NOTE_KEY_HASH_SIZE, hex);
    if (!bytes_are(hash, hex)) return E_BAD_KEY;
    *ret = key;
    return E_OK;
}

void note_key_format(const struct note_key *key, struct buf *out) {
    char hex[2 * NOTE_KEY_HASH_SIZE + 1];
    uint8_t blob[BASE64_KEY_SIZE] = {(uint8_t)key->algorithm};
    memcpy(blob + 1, key->key, KEY_SIZE);
    text_hex(key->hash, NOTE_KEY_HASH_SIZE, hex);
    add_text(out, key->name);
    add_text(out, "+");
    add_text(out, hex);
    add_text(out, "+");
    add_base64(out, blob, sizeof blob);
}

/* ---- reading ---- */

static enum error read_line(struct bytes line, struct note_line *ret) {
    uint8_t decoded[NOTE_SIGNATURE_MAX];
    size_t n = 0, dash = sizeof DASH - 1;
    if (line.n < dash || memcmp(line.p, DASH, dash) != 0) return E_MALFORMED;
    struct bytes rest = bytes_of(line.p + dash, line.n - dash), name;
    if (!cut(&rest, ' ', &name)) return E_MALFORMED;
    TRY(check_name(name));
    if (!note_base64(rest, decoded, sizeof decoded, &n) || n <= NOTE_KEY_HASH_SIZE) return E_MALFORMED;
    *ret = (struct note_line){.name = name, .base64 = rest};
    memcpy(ret->hash, decoded, NOTE_KEY_HASH_SIZE);
    return E_OK;
}

/* Where the signature lines begin: behind the last empty line. 0: nowhere. */
static size_t signatures_begin(struct bytes bytes) {
    for (size_t i = bytes.n; i >= 2; i--)
        if (bytes.p[i - 1] == '\n' && bytes.p[i - 2] == '\n') return i;
    return 0;
}

enum error note_parse(struct bytes bytes, struct note *ret) {
    struct note note = {0};
    if (bytes.n > SIGNED_NOTE_MAX) return E_OUT_OF_RANGE;
    TRY(check_text(bytes));
    size_t begin = signatures_begin(bytes);
    if (begin == 0) return E_MALFORMED;
    note.text = bytes_of(bytes.p, begin - 1);
    struct bytes rest = bytes_of(bytes.p + begin, bytes.n - begin), line;
    while (cut(&rest, '\n', &line)) {
        if (note.count == NOTE_SIGNATURES_MAX) return E_OUT_OF_RANGE;
        TRY(read_line(line, &note.lines[note.count]));
        note.count++;
    }
    if (rest.n || note.count == 0) return E_MALFORMED;
    *ret = note;
    return E_OK;
}

void note_format(const struct note *note, struct buf *out) {
    buf_add_bytes(out, note->text);
    add_text(out, "\n");
    for (size_t i = 0; i < note->count; i++) {
        add_text(out, DASH);
        buf_add_bytes(out, note->lines[i].name);
        add_text(out, " ");
        buf_add_bytes(out, note->lines[i].base64);
        add_text(out, "\n");
    }
}

/* ---- verifying ---- */

void note_cosignature_message(uint64_t time_s, struct bytes text, struct buf *out) {
    add_text(out, "cosignature/v1\ntime ");
    add_number(out, time_s);
    add_text(out, "\n");
    buf_add_bytes(out, text);
}

static bool by_key(const struct note_line *line, const struct note_key *key) {
    return bytes_are(line->name, key->name) && memcmp(line->hash, key->hash, NOTE_KEY_HASH_SIZE) == 0;
}

static enum error verify_text(struct bytes signature, struct bytes text, const uint8_t key[static KEY_SIZE]) {
    if (signature.n != SIGNATURE_SIZE) return E_BAD_SIGNATURE;
    return crypto_sign_verify_detached(signature.p, text.p, text.n, key) == 0 ? E_OK : E_BAD_SIGNATURE;
}

static enum error verify_cosignature(struct bytes signature, struct bytes text, const uint8_t key[static KEY_SIZE],
                                     uint64_t *ret_time_s) {
    AUTO_BUF message = {0};
    uint64_t time_s = 0;
    if (signature.n != TIMESTAMP_SIZE + SIGNATURE_SIZE) return E_BAD_SIGNATURE;
    for (size_t i = 0; i < TIMESTAMP_SIZE; i++) time_s = time_s << 8 | signature.p[i];
    if (time_s > INT64_MAX) return E_BAD_SIGNATURE;
    note_cosignature_message(time_s, text, &message);
    TRY(buf_error(&message));
    TRY(verify_text(bytes_of(signature.p + TIMESTAMP_SIZE, SIGNATURE_SIZE), buf_bytes(&message), key));
    *ret_time_s = time_s;
    return E_OK;
}

static enum error verify_line(const struct note_line *line, struct bytes text, const struct note_key *key,
                              struct note_signed *ret) {
    uint8_t decoded[NOTE_SIGNATURE_MAX];
    size_t n = 0;
    uint64_t time_s = 0;
    if (!note_base64(line->base64, decoded, sizeof decoded, &n) || n <= NOTE_KEY_HASH_SIZE) return E_MALFORMED;
    struct bytes signature = bytes_of(decoded + NOTE_KEY_HASH_SIZE, n - NOTE_KEY_HASH_SIZE);
    if (key->algorithm == NOTE_COSIGNATURE)
        TRY(verify_cosignature(signature, text, key->key, &time_s));
    else
        TRY(verify_text(signature, text, key->key));
    ret->valid = true;
    if (time_s > ret->time_s) ret->time_s = time_s; /* of two by one witness the newer counts */
    return E_OK;
}

static enum error verify_key(const struct note *note, const struct note_key *key, struct note_signed *ret) {
    struct note_signed found = {0};
    for (size_t i = 0; i < note->count; i++)
        if (by_key(&note->lines[i], key)) TRY(verify_line(&note->lines[i], note->text, key, &found));
    *ret = found;
    return E_OK;
}

enum error note_verify(const struct note *note, const struct note_key *keys, size_t count, struct note_signed *ret) {
    struct note_signed found;
    bool any = false;
    /* First all, then the outputs: they stay untouched on failure. */
    for (size_t i = 0; i < count; i++) {
        TRY(verify_key(note, &keys[i], &found));
        any = any || found.valid;
    }
    if (!any) return E_BAD_SIGNATURE;
    for (size_t i = 0; i < count; i++) {
        ret[i] = (struct note_signed){0};
        TRY(verify_key(note, &keys[i], &ret[i]));
    }
    return E_OK;
}

/* ---- making ---- */

enum error note_begin(struct bytes text, struct buf *out) {
    if (text.n > SIGNED_NOTE_MAX) return E_OUT_OF_RANGE;
    TRY(check_text(text));
    if (text.n == 0 || text.p[text.n - 1] != '\n') return E_MALFORMED;
    buf_add_bytes(out, text);
    add_text(out, "\n");
    return buf_error(out);
}

void note_sign(struct bytes text, const struct note_key *key, const uint8_t secret[static SIGN_SECRET_SIZE],
               uint64_t time_s, struct buf *out) {
    AUTO_BUF message = {0};
    uint8_t blob[NOTE_KEY_HASH_SIZE + TIMESTAMP_SIZE + SIGNATURE_SIZE];
    size_t n = NOTE_KEY_HASH_SIZE;
    memcpy(blob, key->hash, NOTE_KEY_HASH_SIZE);
    if (key->algorithm == NOTE_COSIGNATURE) {
        assert(time_s <= INT64_MAX);
        note_cosignature_message(time_s, text, &message);
        for (unsigned shift = 64; shift > 0; shift -= 8) blob[n++] = (uint8_t)(time_s >> (shift - 8));
    } else {
        buf_add_bytes(&message, text);
    }
    if (message.failed) {
        out->failed = true;
        return;
    }
    crypto_sign_detached(blob + n, NULL, message.p, message.n, secret);
    add_text(out, DASH);
    add_text(out, key->name);
    add_text(out, " ");
    add_base64(out, blob, n + SIGNATURE_SIZE);
    add_text(out, "\n");
}

/* ---- checkpoints ---- */

/* Decimal, without leading zeros, at most INT64_MAX. */
static enum error read_number(struct bytes digits, uint64_t *ret) {
    uint64_t value = 0;
    if (digits.n == 0 || (digits.n > 1 && digits.p[0] == '0')) return E_MALFORMED;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') return E_MALFORMED;
        uint64_t digit = (uint64_t)(digits.p[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10) return E_OUT_OF_RANGE;
        value = value * 10 + digit;
    }
    *ret = value;
    return E_OK;
}

static enum error check_extensions(struct bytes rest) {
    struct bytes line;
    while (cut(&rest, '\n', &line))
        if (line.n == 0) return E_MALFORMED;
    return rest.n == 0 ? E_OK : E_MALFORMED;
}

enum error checkpoint_parse(struct bytes text, struct checkpoint *ret) {
    struct checkpoint checkpoint = {0};
    struct bytes size, root;
    size_t n = 0;
    TRY(check_text(text));
    if (!cut(&text, '\n', &checkpoint.origin) || !cut(&text, '\n', &size) || !cut(&text, '\n', &root))
        return E_MALFORMED;
    if (checkpoint.origin.n == 0) return E_MALFORMED;
    TRY(read_number(size, &checkpoint.size));
    if (!note_base64(root, checkpoint.root, HASH_SIZE, &n) || n != HASH_SIZE) return E_MALFORMED;
    TRY(check_extensions(text));
    checkpoint.extensions = text;
    *ret = checkpoint;
    return E_OK;
}

void checkpoint_format(const struct checkpoint *checkpoint, struct buf *out) {
    buf_add_bytes(out, checkpoint->origin);
    add_text(out, "\n");
    add_number(out, checkpoint->size);
    add_text(out, "\n");
    add_base64(out, checkpoint->root, HASH_SIZE);
    add_text(out, "\n");
    buf_add_bytes(out, checkpoint->extensions);
}
