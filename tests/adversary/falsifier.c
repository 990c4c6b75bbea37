/* falsifier.c - his evidence log, and how it gets into the answers. */
#include "falsifier.h"

#include <stdio.h>
#include <time.h>

#include "head.h"

void falsifier_open(struct falsifier *falsifier, struct scene_relay *relay) {
    *falsifier = (struct falsifier){.relay = relay, .fork = FALSIFIER_LEAVES};
    falsifier->log = scene_relay_key(relay, "log.key");
    falsifier->statement = scene_relay_key(relay, "statement.key");
    actor_new(relay, "zz/anybody", &falsifier->anybody);
    actor_connect(&falsifier->anybody);
}

void falsifier_close(struct falsifier *falsifier) { actor_free(&falsifier->anybody); }

/* What the real log has got since. */
static void follow(struct falsifier *falsifier) {
    AUTO_REPLY reply = {0};
    struct hashes hashes;
    struct gethashes ask = {.log = LOG_EVIDENCE, .from = falsifier->count, .max = LOG_HASHES_MAX};
    actor_call(&falsifier->anybody, MESSAGE_GETHASHES, &ask, &reply);
    assert_ok(hashes_decode(reply.body, &hashes));
    size_t count = hashes.hashes.n / HASH_SIZE;
    assert_true(falsifier->count + count <= FALSIFIER_LEAVES);
    if (count) memcpy(falsifier->hashes + falsifier->count * HASH_SIZE, hashes.hashes.p, hashes.hashes.n);
    if (falsifier->fork >= falsifier->count && falsifier->fork < falsifier->count + count)
        falsifier->hashes[falsifier->fork * HASH_SIZE] ^= 1;
    falsifier->count += count;
}

size_t falsifier_size(struct falsifier *falsifier) {
    follow(falsifier);
    return falsifier->count;
}

static uint64_t now(const struct falsifier *falsifier) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000 + falsifier->ahead_ms;
}

static void head_at(const struct falsifier *falsifier, size_t size, struct buf *out) {
    struct note_key key;
    uint8_t root[HASH_SIZE];
    merkle_root(falsifier->hashes, size, root);
    assert_ok(head_key(&falsifier->relay->card, LOG_EVIDENCE, &key));
    assert_ok(head_make(&key, falsifier->log.secret, size, root, (struct instant){now(falsifier) + 1000}, out));
}

static size_t shown(const struct falsifier *falsifier) {
    return falsifier->newest ? falsifier->newest : falsifier->count;
}

/* ---- receipts ---- */

/* The same step at another time: another entry, signed by the relay. */
static void other_record(struct falsifier *falsifier, struct record *record, struct buf *ret_stamped) {
    AUTO_BUF entry = {0}, payload = {0};
    struct entry step;
    assert_ok(entry_decode(record->entry, &step));
    if (step.ordinal != 1) return;
    record->time.ms = ++step.time.ms;
    entry_encode(&step, &entry);
    record->entry = buf_bytes(&entry);
    entry_hash(record->entry, falsifier->hashes + record->index * HASH_SIZE);
    record_encode(record, &payload);
    assert_ok(stamp_sign_one(LABEL_RECORD, falsifier->statement.secret, buf_bytes(&payload), ret_stamped));
}

static void replace_receipt(struct falsifier *falsifier, struct bytes bytes, struct buf *out) {
    AUTO_BUF stamped = {0}, note = {0}, path = {0}, items = {0};
    struct receipt receipt;
    struct record record;
    struct bytes payload;
    assert_ok(receipt_decode(bytes, &receipt));
    assert_ok(stamp_peek(receipt.record, &payload));
    assert_ok(record_decode(payload, &record));
    if (!record.has_entry) {
        buf_add_bytes(out, bytes);
        return;
    }
    if (record.index >= falsifier->count) follow(falsifier);
    assert_true(record.index < falsifier->count);
    if (falsifier->other_times) {
        other_record(falsifier, &record, &stamped);
        if (stamped.n) receipt.record = buf_bytes(&stamped);
    }
    head_at(falsifier, falsifier->count, &note);
    merkle_path(falsifier->hashes, falsifier->count, (size_t)record.index, &path);
    for (size_t i = 0; i < path.n; i += HASH_SIZE) cbor_put_bytes(&items, bytes_of(path.p + i, HASH_SIZE));
    receipt.checkpoint = buf_bytes(&note);
    receipt.proof = list_of(&items, path.n / HASH_SIZE);
    receipt_encode(&receipt, out);
}

static void take_receipt(struct falsifier *falsifier, struct bytes receipt, struct buf *out) {
    if (falsifier->places)
        replace_receipt(falsifier, receipt, out);
    else
        buf_add_bytes(out, receipt);
}

static void replace_results(struct falsifier *falsifier, struct list list, struct buf *out) {
    struct result result;
    while (result_next(&list, &result)) {
        AUTO_BUF receipt = {0};
        if (result.error == E_OK && result.has_receipt) take_receipt(falsifier, result.receipt, &receipt);
        if (result.error == E_OK) result.receipt = buf_bytes(&receipt);
        if (falsifier->no_receipts) result.has_receipt = false;
        result_encode(&result, out);
    }
}

/* ---- the feed ---- */

static void replace_item(struct falsifier *falsifier, struct item *item, struct buf *body) {
    struct offered offered;
    struct changed changed;
    AUTO_BUF receipt = {0};
    if (item->kind == ITEM_OFFERED) {
        assert_ok(offered_decode(item->body, &offered));
        take_receipt(falsifier, offered.receipt, &receipt);
        offered.receipt = buf_bytes(&receipt);
        offered_encode(&offered, body);
    } else if (item->kind == ITEM_CHANGED) {
        assert_ok(changed_decode(item->body, &changed));
        take_receipt(falsifier, changed.receipt, &receipt);
        changed.receipt = buf_bytes(&receipt);
        changed_encode(&changed, body);
    } else {
        buf_add_bytes(body, item->body);
    }
    item->body = buf_bytes(body);
}

static void answer_feed(struct falsifier *falsifier, struct bytes body, struct buf *out) {
    struct feed feed;
    struct item item, before = {0};
    AUTO_BUF items = {0};
    size_t count = 0;
    assert_ok(feed_decode(body, &feed));
    while (item_next(&feed.items, &item)) {
        AUTO_BUF changed = {0};
        struct item said = item;
        if (item.number == falsifier->left_out) continue;
        if (item.number == falsifier->hidden && before.number) {
            said = before;
            said.number = item.number;
        }
        replace_item(falsifier, &said, &changed);
        item_encode(&said, &items);
        before = item;
        if (item.number > falsifier->last_item) falsifier->last_item = item.number;
        count++;
    }
    feed.items = list_of(&items, count);
    feed_encode(&feed, out);
}

/* ---- answers ---- */

static void answer_welcome(struct falsifier *falsifier, struct bytes body, struct buf *out) {
    struct welcome welcome;
    AUTO_BUF note = {0};
    assert_ok(welcome_decode(body, &welcome));
    follow(falsifier);
    welcome.time.ms += falsifier->ahead_ms;
    head_at(falsifier, shown(falsifier), &note);
    if (falsifier->heads) welcome.evidence = buf_bytes(&note);
    if (falsifier->recovery.n) welcome.recovery = falsifier->recovery;
    welcome.has_recovery = welcome.recovery.n > 0;
    welcome_encode(&welcome, out);
}

static void answer_log(struct falsifier *falsifier, struct bytes body, struct buf *out) {
    struct log log;
    AUTO_BUF note = {0}, proofs = {0};
    assert_ok(log_decode(body, &log));
    follow(falsifier);
    for (size_t i = 0; i < falsifier->size_count; i++) {
        AUTO_BUF path = {0};
        size_t from = (size_t)falsifier->sizes[i],
               to = i + 1 < falsifier->size_count ? (size_t)falsifier->sizes[i + 1] : falsifier->count;
        if (from < to) merkle_consistency_path(falsifier->hashes, to, from, &path);
        cbor_put_bytes(&proofs, buf_bytes(&path));
    }
    head_at(falsifier, falsifier->count, &note);
    log.note = buf_bytes(&note);
    log.proofs = list_of(&proofs, falsifier->size_count);
    log_encode(&log, out);
}

static void answer_hashes(struct falsifier *falsifier, struct bytes body, struct buf *out) {
    struct hashes hashes;
    assert_ok(hashes_decode(body, &hashes));
    follow(falsifier);
    hashes.hashes.p = falsifier->hashes + hashes.from * HASH_SIZE;
    hashes_encode(&hashes, out);
}

static void answer_results(struct falsifier *falsifier, const struct message_row *row, struct bytes body,
                           struct buf *out) {
    AUTO_BUF results = {0};
    struct stated stated;
    struct submitted submitted;
    if (row->type == MESSAGE_STATED) {
        assert_ok(stated_decode(body, &stated));
        replace_results(falsifier, stated.results, &results);
        stated.results = list_of(&results, stated.results.count);
        stated_encode(&stated, out);
        return;
    }
    assert_ok(submitted_decode(body, &submitted));
    replace_results(falsifier, submitted.results, &results);
    submitted.results = list_of(&results, submitted.results.count);
    submitted_encode(&submitted, out);
}

bool falsifier_answers(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    struct falsifier *falsifier = context;
    struct frame parts;
    AUTO_BUF body = {0};
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    switch (row->type) {
    case MESSAGE_WELCOME: answer_welcome(falsifier, parts.body, &body); break;
    case MESSAGE_FEED: answer_feed(falsifier, parts.body, &body); break;
    case MESSAGE_STATED:
    case MESSAGE_SUBMITTED: answer_results(falsifier, row, parts.body, &body); break;
    case MESSAGE_LOG:
        if (!falsifier->heads) return true;
        answer_log(falsifier, parts.body, &body);
        break;
    case MESSAGE_HASHES:
        if (!falsifier->heads) return true;
        answer_hashes(falsifier, parts.body, &body);
        break;
    default: return true;
    }
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

bool falsifier_asks(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    struct falsifier *falsifier = context;
    struct frame parts;
    struct getlog ask;
    uint64_t size;
    if (row->type != MESSAGE_GETLOG) return true;
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    assert_ok(getlog_decode(parts.body, &ask));
    falsifier->size_count = 0;
    while (list_next_uint(&ask.sizes, &size)) falsifier->sizes[falsifier->size_count++] = size;
    return true;
}
