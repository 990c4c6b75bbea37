/* card.c - relay.card: read line by line into the struct, written back in one canonical order. */
#include "card.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#include "sign.h"

static const char magic[] = "pouch-relay-card";
enum { CARD_MAX = 64 * 1024, CARD_CANONICAL_MAX = 16 * 1024, FRESHNESS_MAX_S = 366 * 86400 };

/* Takes the first blank-separated word off *line; empty at its end. */
static struct bytes next_word(struct bytes *line) {
    size_t start = 0;
    while (start < line->n && (line->p[start] == ' ' || line->p[start] == '\t' || line->p[start] == '\r')) start++;
    size_t end = start;
    while (end < line->n && line->p[end] != ' ' && line->p[end] != '\t' && line->p[end] != '\r') end++;
    struct bytes word = bytes_of(line->p + start, end - start);
    *line = bytes_of(line->p + end, line->n - end);
    return word;
}

static struct bytes next_line(struct bytes *text) {
    const uint8_t *newline = memchr(text->p, '\n', text->n);
    size_t n = newline ? (size_t)(newline - text->p) : text->n;
    struct bytes line = bytes_of(text->p, n);
    size_t eaten = newline ? n + 1 : n;
    *text = bytes_of(text->p + eaten, text->n - eaten);
    return line;
}

/* What is being read, and which fields have been seen. */
struct reading {
    struct card card;
    bool begun, curve, statement, log;
};

static bool is_empty(const char *text) { return text[0] == 0; }

static bool is_relay_name(struct bytes name) {
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '-') return false;
    }
    return name.n > 0 && name.n < CARD_NAME_SIZE;
}

bool card_address_valid(struct bytes address) {
    for (size_t i = 0; i < address.n; i++)
        if (address.p[i] <= ' ' || address.p[i] >= 0x7f) return false;
    return address.n > 0 && address.n < CARD_ADDRESS_SIZE;
}

/* An X25519 key of small order would make every shared secret zero (RFC 7748 section 6.1). */
bool card_curve_valid(const uint8_t key[static KEY_SIZE]) {
    static const uint8_t scalar[KEY_SIZE] = {1};
    uint8_t shared[KEY_SIZE];
    return crypto_scalarmult(shared, scalar, key) == 0;
}

static enum error read_sign_key(struct bytes value, uint8_t ret[static KEY_SIZE]) {
    uint8_t key[KEY_SIZE];
    if (text_unhex(value, key, KEY_SIZE) != E_OK || !sign_key_valid(key)) return E_BAD_KEY;
    memcpy(ret, key, KEY_SIZE);
    return E_OK;
}

static enum error read_one_key(struct bytes value, bool *seen, uint8_t ret[static KEY_SIZE]) {
    if (*seen) return E_MALFORMED;
    *seen = true;
    return read_sign_key(value, ret);
}

/* A key named twice would count as two signers towards the threshold. */
enum error card_add_registrar(struct card *card, struct bytes hex) {
    size_t count = card->registrar_count;
    if (count == CARD_KEYS_MAX) return E_OUT_OF_RANGE;
    TRY(read_sign_key(hex, card->registrars[count]));
    for (size_t i = 0; i < count; i++)
        if (memcmp(card->registrars[i], card->registrars[count], KEY_SIZE) == 0) return E_MALFORMED;
    card->registrar_count++;
    return E_OK;
}

static enum error read_curve(struct bytes value, struct reading *reading) {
    if (reading->curve) return E_MALFORMED;
    reading->curve = true;
    if (text_unhex(value, reading->card.curve, KEY_SIZE) != E_OK) return E_BAD_KEY;
    return card_curve_valid(reading->card.curve) ? E_OK : E_BAD_KEY;
}

static enum error read_name(struct bytes value, struct card *card) {
    if (!is_empty(card->name)) return E_MALFORMED;
    if (!is_relay_name(value)) return E_BAD_TEXT;
    memcpy(card->name, value.p, value.n);
    return E_OK;
}

static enum error read_address(struct bytes value, struct card *card) {
    if (card->address_count == CARD_ADDRESSES_MAX) return E_OUT_OF_RANGE;
    if (!card_address_valid(value)) return E_BAD_TEXT;
    memcpy(card->addresses[card->address_count], value.p, value.n);
    for (size_t i = 0; i < card->address_count; i++)
        if (strcmp(card->addresses[i], card->addresses[card->address_count]) == 0) return E_MALFORMED;
    card->address_count++;
    return E_OK;
}

/* A number without sign or leading zeros, 1 to max. */
static enum error read_number(struct bytes value, uint64_t max, uint64_t *ret) {
    uint64_t number = 0;
    if (value.n < 1 || value.n > 9 || value.p[0] == '0') return E_OUT_OF_RANGE;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') return E_OUT_OF_RANGE;
        number = number * 10 + (value.p[i] - (uint64_t)'0');
    }
    if (number > max) return E_OUT_OF_RANGE;
    *ret = number;
    return E_OK;
}

static enum error read_count(struct bytes value, uint64_t max, unsigned *count) {
    uint64_t number = 0;
    if (*count != 0) return E_MALFORMED;
    TRY(read_number(value, max, &number));
    *count = (unsigned)number;
    return E_OK;
}

static enum error read_freshness(struct bytes value, struct card *card) {
    return card->freshness_s ? E_MALFORMED : read_number(value, FRESHNESS_MAX_S, &card->freshness_s);
}

/* Two of one name, or of one key, would count twice. */
enum error card_add_witness(struct card *card, struct bytes value) {
    if (card->witness_count == WITNESSES_MAX) return E_OUT_OF_RANGE;
    struct note_key *key = &card->witnesses[card->witness_count];
    TRY(note_key_parse(value, key));
    if (key->algorithm != NOTE_COSIGNATURE) return E_UNKNOWN_SUITE;
    for (size_t i = 0; i < card->witness_count; i++)
        if (memcmp(card->witnesses[i].key, key->key, KEY_SIZE) == 0 || strcmp(card->witnesses[i].name, key->name) == 0)
            return E_MALFORMED;
    card->witness_count++;
    return E_OK;
}

static enum error read_field(struct bytes field, struct bytes value, struct reading *reading) {
    struct card *card = &reading->card;
    if (bytes_are(field, "name")) return read_name(value, card);
    if (bytes_are(field, "address")) return read_address(value, card);
    if (bytes_are(field, "curve")) return read_curve(value, reading);
    if (bytes_are(field, "statement")) return read_one_key(value, &reading->statement, card->statement);
    if (bytes_are(field, "log")) return read_one_key(value, &reading->log, card->log);
    if (bytes_are(field, "registrar")) return card_add_registrar(card, value);
    if (bytes_are(field, "threshold")) return read_count(value, CARD_KEYS_MAX, &card->threshold);
    if (bytes_are(field, "witness")) return card_add_witness(card, value);
    if (bytes_are(field, "witnesses")) return read_count(value, WITNESSES_MAX, &card->quorum);
    if (bytes_are(field, "freshness")) return read_freshness(value, card);
    return E_UNKNOWN_FIELD;
}

static enum error read_line(struct bytes line, struct reading *reading) {
    struct bytes field = next_word(&line);
    if (field.n == 0 || field.p[0] == '#') return E_OK;
    struct bytes value = next_word(&line), rest = next_word(&line);
    if (rest.n != 0 && rest.p[0] != '#') return E_MALFORMED;
    if (reading->begun) return read_field(field, value, reading);
    if (!bytes_are(field, magic)) return E_MALFORMED;
    reading->begun = true;
    return bytes_are(value, "0") ? E_OK : E_UNKNOWN_VERSION;
}

static enum error check_whole(const struct reading *reading) {
    const struct card *card = &reading->card;
    if (!reading->begun) return E_MALFORMED;
    if (is_empty(card->name) || card->address_count == 0 || card->registrar_count == 0 || card->threshold == 0)
        return E_MISSING_FIELD;
    if (!reading->curve || !reading->statement || !reading->log) return E_MISSING_FIELD;
    if (card->quorum > card->witness_count) return E_OUT_OF_RANGE;
    return card->threshold <= card->registrar_count ? E_OK : E_OUT_OF_RANGE;
}

enum error card_parse(struct bytes text, struct card *ret, unsigned *ret_line) {
    struct reading reading = {0};
    unsigned line = 0;
    enum error error = text.n > CARD_MAX ? E_TOO_LARGE : E_OK;
    while (error == E_OK && text.n > 0) {
        line++;
        error = read_line(next_line(&text), &reading);
    }
    if (error == E_OK) error = check_whole(&reading);
    if (reading.card.freshness_s == 0) reading.card.freshness_s = WITNESS_AGE_S;
    if (error == E_OK)
        *ret = reading.card;
    else if (ret_line)
        *ret_line = line ? line : 1;
    return error;
}

static void put_line(struct buf *out, const char *field, const char *value) {
    char padded[16];
    int n = snprintf(padded, sizeof padded, "%-10s ", field);
    buf_add(out, padded, (size_t)n);
    buf_add(out, value, strlen(value));
    buf_add(out, "\n", 1);
}

static void put_key(struct buf *out, const char *field, const uint8_t key[static KEY_SIZE]) {
    char hex[2 * KEY_SIZE + 1];
    text_hex(key, KEY_SIZE, hex);
    put_line(out, field, hex);
}

static void put_number(struct buf *out, const char *field, uint64_t number) {
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    put_line(out, field, text);
}

static void put_witness(struct buf *out, const struct note_key *key) {
    buf_add(out, "witness    ", 11);
    note_key_format(key, out);
    buf_add(out, "\n", 1);
}

static int compare_witnesses(const void *a, const void *b) {
    const struct note_key *one = a, *other = b;
    return strcmp(one->name, other->name);
}

static int compare_keys(const void *a, const void *b) { return memcmp(a, b, KEY_SIZE); }
static int compare_addresses(const void *a, const void *b) { return strcmp(a, b); }

void card_format(const struct card *card, struct buf *out) {
    struct card sorted = *card;
    qsort(sorted.addresses, sorted.address_count, CARD_ADDRESS_SIZE, compare_addresses);
    qsort(sorted.registrars, sorted.registrar_count, KEY_SIZE, compare_keys);
    qsort(sorted.witnesses, sorted.witness_count, sizeof sorted.witnesses[0], compare_witnesses);
    buf_add(out, magic, sizeof magic - 1);
    buf_add(out, " 0\n", 3);
    put_line(out, "name", sorted.name);
    for (size_t i = 0; i < sorted.address_count; i++) put_line(out, "address", sorted.addresses[i]);
    put_key(out, "curve", sorted.curve);
    put_key(out, "statement", sorted.statement);
    put_key(out, "log", sorted.log);
    for (size_t i = 0; i < sorted.registrar_count; i++) put_key(out, "registrar", sorted.registrars[i]);
    put_number(out, "threshold", sorted.threshold);
    for (size_t i = 0; i < sorted.witness_count; i++) put_witness(out, &sorted.witnesses[i]);
    if (sorted.quorum) put_number(out, "witnesses", sorted.quorum);
    if (sorted.freshness_s && sorted.freshness_s != WITNESS_AGE_S) put_number(out, "freshness", sorted.freshness_s);
}

/* The canonical text fits a fixed room, so the number that people compare cannot depend on memory running out. */
void card_hash(const struct card *card, uint8_t ret[static HASH_SIZE]) {
    uint8_t room[CARD_CANONICAL_MAX];
    struct buf text = {.p = room, .cap = sizeof room};
    card_format(card, &text);
    assert(text.p == room && !text.failed);
    label_digest(LABEL_CARD, buf_bytes(&text), ret);
}

enum error card_log_key(const struct card *card, const char *log, struct note_key *ret) {
    char name[CARD_NAME_SIZE + 32];
    int n = snprintf(name, sizeof name, "%s/%s", card->name, log);
    assert(n > 0 && (size_t)n < sizeof name);
    return note_key_of(bytes_of(name, (size_t)n), NOTE_ED25519, card->log, ret);
}
