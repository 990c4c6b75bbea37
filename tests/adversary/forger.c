/* forger.c - his log, and how it gets into the answers. */
#include "forger.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "note.h"

static void copy_log(struct forger *forger) {
    struct actor anybody;
    AUTO_REPLY reply = {0};
    struct leaves leaves;
    struct bytes leaf;
    actor_new(forger->relay, "zz/anybody", &anybody);
    actor_connect(&anybody);
    actor_call(&anybody, MESSAGE_GETLEAVES, &(struct getleaves){.from = 0, .max = LEAVES_MAX}, &reply);
    assert_ok(leaves_decode(reply.body, &leaves));
    assert_int_equal(leaves.leaves.count, leaves.size);
    while (list_next_bytes(&leaves.leaves, &leaf)) {
        assert_true(forger->count < FORGER_LEAVES);
        buf_add_bytes(&forger->leaves[forger->count++], leaf);
    }
    actor_free(&anybody);
}

void forger_open(struct forger *forger, struct scene_relay *relay) {
    *forger = (struct forger){.relay = relay};
    forger->log = scene_relay_key(relay, "log.key");
    forger->statement = scene_relay_key(relay, "statement.key");
    copy_log(forger);
}

void forger_cut(struct forger *forger, size_t count) {
    while (forger->count > count) buf_free(&forger->leaves[--forger->count]);
}

void forger_close(struct forger *forger) {
    forger_cut(forger, 0);
    buf_free(&forger->swallowed);
}

uint64_t forger_now(const struct forger *forger) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)((int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000 + forger->ahead_ms);
}

static void put_leaf(enum leaf_kind kind, struct bytes statement, uint64_t time, struct buf *out) {
    struct leaf leaf = {.kind = (uint64_t)kind, .statement = statement, .time = {time}};
    buf_clear(out);
    leaf_encode(&leaf, out);
}

void forger_say(struct forger *forger, enum leaf_kind kind, struct bytes statement) {
    assert_true(forger->count < FORGER_LEAVES);
    put_leaf(kind, statement, forger_now(forger), &forger->leaves[forger->count++]);
}

void forger_replace(struct forger *forger, size_t index, enum leaf_kind kind, struct bytes statement) {
    struct leaf leaf;
    assert_ok(leaf_decode(buf_bytes(&forger->leaves[index]), &leaf));
    put_leaf(kind, statement, leaf.time.ms, &forger->leaves[index]);
}

void forger_root(const struct forger *forger, size_t size, uint8_t ret[static HASH_SIZE]) {
    uint8_t hashes[FORGER_LEAVES * HASH_SIZE];
    for (size_t i = 0; i < size; i++) merkle_leaf(buf_bytes(&forger->leaves[i]), hashes + i * HASH_SIZE);
    merkle_root(hashes, size, ret);
}

void forger_head(const struct forger *forger, struct buf *out) {
    struct note_key key;
    char extension[64];
    AUTO_BUF text = {0};
    assert_ok(card_log_key(&forger->relay->card, "directory", &key));
    int n = snprintf(extension, sizeof extension, "time %llu\n", (unsigned long long)forger_now(forger));
    struct checkpoint head = {
        .origin = bytes_text(key.name), .size = forger->count, .extensions = bytes_of(extension, (size_t)n)};
    forger_root(forger, forger->count, head.root);
    checkpoint_format(&head, &text);
    assert_ok(note_begin(buf_bytes(&text), out));
    note_sign(buf_bytes(&text), &key, forger->log.secret, 0, out);
}

/* ---- answers ---- */

static void answer_welcome(const struct forger *forger, struct bytes body, struct buf *out, struct buf *head) {
    struct welcome welcome;
    assert_ok(welcome_decode(body, &welcome));
    welcome.time.ms = forger_now(forger);
    welcome.size = forger->count;
    forger_root(forger, forger->count, welcome.root);
    forger_head(forger, head);
    welcome.has_checkpoint = !forger->no_heads;
    welcome.checkpoint = buf_bytes(head);
    welcome_encode(&welcome, out);
}

static void answer_leaves(const struct forger *forger, struct bytes body, struct buf *out, struct buf *head) {
    struct leaves leaves;
    AUTO_BUF list = {0};
    size_t count = 0;
    assert_ok(leaves_decode(body, &leaves));
    for (size_t i = (size_t)leaves.from; i < forger->count; i++, count++)
        cbor_put_bytes(&list, buf_bytes(&forger->leaves[i]));
    leaves.leaves = list_of(&list, count);
    leaves.size = forger->count;
    forger_root(forger, forger->count, leaves.root);
    forger_head(forger, head);
    leaves.has_checkpoint = !forger->no_heads;
    leaves.checkpoint = buf_bytes(head);
    leaves_encode(&leaves, out);
}

static void answer_heads(const struct forger *forger, struct buf *out, struct buf *head) {
    AUTO_BUF list = {0};
    forger_head(forger, head);
    if (!forger->no_heads) cbor_put_bytes(&list, buf_bytes(head));
    heads_encode(&(struct heads){list_of(&list, !forger->no_heads)}, out);
}

/* A promise of statements that are nowhere. */
static void false_promise(const struct forger *forger, struct buf *out) {
    struct list list = list_of(&forger->swallowed, forger->swallowed_count);
    struct dirstatement statement;
    struct bytes payload;
    AUTO_BUF hashes = {0}, promise_bytes = {0};
    while (dirstatement_next(&list, &statement)) {
        uint8_t hash[HASH_SIZE];
        assert_ok(stamp_peek(statement.statement, &payload));
        stamp_hash(payload, hash);
        cbor_put_bytes(&hashes, bytes_of(hash, sizeof hash));
    }
    struct promise promise = {.statements = list_of(&hashes, forger->swallowed_count),
                              .size = forger->count + forger->swallowed_count,
                              .time = {forger_now(forger)},
                              .deadline = {forger_now(forger) + PROMISE_MS}};
    randombytes_buf(promise.root, sizeof promise.root); /* of a log that nobody will ever see */
    promise_encode(&promise, &promise_bytes);
    assert_ok(stamp_sign_one(LABEL_PROMISE, forger->statement.secret, buf_bytes(&promise_bytes), out));
}

static void answer_done(const struct forger *forger, uint64_t number, struct buf *frame) {
    AUTO_BUF promise = {0};
    false_promise(forger, &promise);
    struct done done = {.has_size = true,
                        .size = forger->count + forger->swallowed_count,
                        .has_promise = true,
                        .promise = buf_bytes(&promise)};
    buf_clear(frame);
    message_encode(MESSAGE_DONE, number, &done, frame);
}

bool forger_answers(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    struct forger *forger = context;
    struct frame parts;
    AUTO_BUF body = {0}, head = {0};
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    if (forger->swallowing && parts.number == forger->swallowing) {
        answer_done(forger, parts.number, frame);
        forger->swallowing = 0;
        return true;
    }
    if (row->type == MESSAGE_WELCOME)
        answer_welcome(forger, parts.body, &body, &head);
    else if (row->type == MESSAGE_LEAVES)
        answer_leaves(forger, parts.body, &body, &head);
    else if (row->type == MESSAGE_HEADS)
        answer_heads(forger, &body, &head);
    else
        return true;
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

/* A declaration is kept from the relay: it gets a harmless question in its place, so that there is an answer to change. */
bool forger_asks(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    struct forger *forger = context;
    struct frame parts;
    struct declare declare;
    if (!forger->swallow || row->type != MESSAGE_DECLARE) return true;
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    assert_ok(declare_decode(parts.body, &declare));
    buf_clear(&forger->swallowed);
    buf_add_bytes(&forger->swallowed, declare.statements.items);
    forger->swallowed_count = declare.statements.count;
    forger->swallowing = parts.number;
    buf_clear(frame);
    message_encode(MESSAGE_GETHEADS, forger->swallowing, &(struct getheads){}, frame);
    return true;
}
