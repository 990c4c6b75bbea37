/* heads_fixture.h - logs of plain leaves, their signed heads, witnesses' words, promises and receipts: the relay's
 * own words, made with keys that the test holds. */
#ifndef HEADS_FIXTURE_H
#define HEADS_FIXTURE_H

#include "directory_fixture.h"
#include "evidence.h"
#include "fraud.h"

enum { LOG_KEY = 60, STATEMENT_KEY, WITNESS_ONE, WITNESS_TWO, HEADS_LEAVES = 24 };

/* A relay's card with two witnesses; of its keys the log's and the statements' are real. */
UNUSED static struct card heads_card(unsigned quorum) {
    struct card card = {.name = "relay.test",
                        .addresses = {"tcp://127.0.0.1:5870"},
                        .address_count = 1,
                        .registrar_count = 1,
                        .threshold = 1,
                        .witness_count = 2,
                        .quorum = quorum,
                        .freshness_s = WITNESS_AGE_S};
    transport_of(LOG_KEY, card.curve);
    memcpy(card.log, pair_of(LOG_KEY).public, KEY_SIZE);
    memcpy(card.statement, pair_of(STATEMENT_KEY).public, KEY_SIZE);
    memcpy(card.registrars[0], pair_of(REGISTRAR).public, KEY_SIZE);
    assert_ok(
        note_key_make(bytes_text("one.example"), NOTE_COSIGNATURE, pair_of(WITNESS_ONE).public, &card.witnesses[0]));
    assert_ok(
        note_key_make(bytes_text("two.example"), NOTE_COSIGNATURE, pair_of(WITNESS_TWO).public, &card.witnesses[1]));
    return card;
}

/* The leaf hashes of a log whose leaves from `fork` on are other ones. */
UNUSED static void heads_log(size_t fork, uint8_t ret[static HEADS_LEAVES * HASH_SIZE]) {
    for (size_t i = 0; i < HEADS_LEAVES; i++) {
        uint8_t leaf[2] = {(uint8_t)i, i >= fork};
        merkle_leaf(bytes_of(leaf, sizeof leaf), ret + i * HASH_SIZE);
    }
}

UNUSED static void head_text_of(const char *origin, uint64_t size, const uint8_t *root, const char *extension,
                                struct buf *out) {
    struct checkpoint checkpoint = {.origin = bytes_text(origin), .size = size, .extensions = bytes_text(extension)};
    memcpy(checkpoint.root, root, HASH_SIZE);
    checkpoint_format(&checkpoint, out);
    assert_ok(buf_error(out));
}

/* The head of these leaves, signed by the log. */
UNUSED static void head_sign(const struct card *card, const uint8_t *root, uint64_t size, uint64_t time_ms,
                             struct buf *out) {
    struct note_key key;
    AUTO_BUF text = {0};
    char line[64];
    (void)snprintf(line, sizeof line, "time %llu\n", (unsigned long long)time_ms);
    assert_ok(card_log_key(card, "directory", &key));
    head_text_of(key.name, size, root, line, &text);
    assert_ok(note_begin(buf_bytes(&text), out));
    note_sign(buf_bytes(&text), &key, pair_of(LOG_KEY).secret, 0, out);
    assert_ok(buf_error(out));
}

UNUSED static void head_of(const struct card *card, const uint8_t *hashes, size_t size, uint64_t time_ms,
                           struct buf *out) {
    uint8_t root[HASH_SIZE];
    merkle_root(hashes, size, root);
    head_sign(card, root, size, time_ms, out);
}

/* The same of the evidence log. */
UNUSED static void evidence_head_of(const struct card *card, const uint8_t *hashes, size_t size, uint64_t time_ms,
                                    struct buf *out) {
    struct note_key key;
    uint8_t root[HASH_SIZE];
    merkle_root(hashes, size, root);
    assert_ok(head_key(card, LOG_EVIDENCE, &key));
    assert_ok(head_make(&key, pair_of(LOG_KEY).secret, size, root, (struct instant){time_ms}, out));
}

/* A receipt with its place in the evidence log of these leaf hashes. */
UNUSED static void receipt_with_place(const struct receipt *bare, const struct card *card, const uint8_t *hashes,
                                      size_t size, size_t index, uint64_t time_ms, struct buf *out) {
    AUTO_BUF note = {0}, path = {0}, items = {0};
    struct receipt receipt = *bare;
    evidence_head_of(card, hashes, size, time_ms, &note);
    merkle_path(hashes, size, index, &path);
    for (size_t i = 0; i < path.n; i += HASH_SIZE) cbor_put_bytes(&items, bytes_of(path.p + i, HASH_SIZE));
    receipt.has_checkpoint = receipt.has_proof = true;
    receipt.checkpoint = buf_bytes(&note);
    receipt.proof = list_of(&items, path.n / HASH_SIZE);
    receipt_encode(&receipt, out);
    assert_ok(buf_error(out));
}

/* Adds a witness's word to a head. */
UNUSED static void head_cosign(const struct card *card, size_t witness, uint64_t time_s, struct buf *note) {
    struct note parsed;
    AUTO_BUF copy = {0};
    buf_add_bytes(&copy, buf_bytes(note));
    assert_ok(note_parse(buf_bytes(&copy), &parsed));
    note_sign(parsed.text, &card->witnesses[witness], pair_of(WITNESS_ONE + (unsigned)witness).secret, time_s, note);
    assert_ok(buf_error(note));
}

UNUSED static void promise_of(const uint8_t *root, uint64_t size, uint64_t time_ms, struct buf *out) {
    AUTO_BUF payload = {0}, statements = {0};
    uint8_t hash[HASH_SIZE] = {7};
    cbor_put_bytes(&statements, bytes_of(hash, HASH_SIZE));
    struct promise promise = {
        .statements = list_of(&statements, 1), .size = size, .time = {time_ms}, .deadline = {time_ms + PROMISE_MS}};
    memcpy(promise.root, root, HASH_SIZE);
    promise_encode(&promise, &payload);
    assert_ok(stamp_sign_one(LABEL_PROMISE, pair_of(STATEMENT_KEY).secret, buf_bytes(&payload), out));
}

/* The receipt for the first entry of a leg; another nonce makes another entry. */
UNUSED static void receipt_of(uint8_t leg, uint8_t nonce, struct buf *out) {
    AUTO_BUF payload = {0}, stamped = {0}, entry = {0}, record = {0}, stamped_record = {0};
    struct pair relay = pair_of(STATEMENT_KEY);
    struct statement statement = {
        .event = EVENT_STORED, .has_leg = true, .header = {1}, .leg = {leg}, .time = {WORLD_TIME}, .nonce = {nonce}};
    memcpy(statement.device, relay.public, KEY_SIZE);
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, relay.secret, buf_bytes(&payload), &stamped));
    struct record value = {.time = {WORLD_TIME}, .has_entry = true, .has_index = true, .index = 5};
    statement_hash(buf_bytes(&payload), value.statement);
    struct entry step = {
        .leg = {leg}, .previous = {leg}, .from = STATE_NONE, .to = STATE_STORED, .size = 3, .time = {WORLD_TIME}};
    memcpy(step.statement, value.statement, HASH_SIZE);
    entry_encode(&step, &entry);
    value.entry = buf_bytes(&entry);
    record_encode(&value, &record);
    assert_ok(stamp_sign_one(LABEL_RECORD, relay.secret, buf_bytes(&record), &stamped_record));
    receipt_encode(&(struct receipt){.statement = buf_bytes(&stamped), .record = buf_bytes(&stamped_record)}, out);
    assert_ok(buf_error(out));
}

#endif
