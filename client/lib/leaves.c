/* leaves.c - leaf hashes of the directory log. */
#include "leaves.h"

#include "merkle.h"

enum { FOREIGN_LEAVES_MAX = 1 << 20, FOREIGN_BYTES_MAX = 48 * 1024 * 1024 };

static enum error add_leaf(struct buf *hashes, struct bytes leaf) {
    uint8_t hash[HASH_SIZE];
    merkle_leaf(leaf, hash);
    buf_add(hashes, hash, HASH_SIZE);
    return buf_error(hashes);
}

enum error leaves_of_mirror(struct archive *archive, struct buf *ret) {
    AUTO_BUF leaf = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_LEAF, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(archive, &cursor, &leaf, &found));
        if (!found) return E_OK;
        if (cursor.key.n != ret->n / HASH_SIZE) return E_CORRUPT;
        TRY(add_leaf(ret, buf_bytes(&leaf)));
    }
}

/* What is done with each leaf that the relay gives. */
typedef enum error leaf_taker(struct buf *out, struct bytes leaf);

static enum error put_leaf(struct buf *items, struct bytes leaf) {
    if (items->n > FOREIGN_BYTES_MAX) return E_TOO_LARGE;
    cbor_put_bytes(items, leaf);
    return buf_error(items);
}

static enum error take_all(struct relay *relay, uint64_t size, leaf_taker *taker, struct buf *out,
                           struct failure *failure) {
    if (size > FOREIGN_LEAVES_MAX) return E_TOO_LARGE;
    for (uint64_t from = 0; from < size;) {
        AUTO_ANSWER answer = {0};
        struct leaves leaves;
        struct bytes leaf;
        TRY(relay_call(relay, MESSAGE_GETLEAVES, &(struct getleaves){.from = from, .max = LEAVES_MAX}, &answer,
                       failure));
        TRY(leaves_decode(answer.body, &leaves));
        if (leaves.from != from || leaves.leaves.count == 0) return E_WITHHELD;
        for (; from < size && list_next_bytes(&leaves.leaves, &leaf); from++) TRY(taker(out, leaf));
    }
    return E_OK;
}

enum error leaves_of_relay(struct relay *relay, uint64_t size, struct buf *ret, struct failure *failure) {
    return take_all(relay, size, add_leaf, ret, failure);
}

enum error leaves_from_relay(struct relay *relay, uint64_t size, struct buf *ret_items, size_t *ret_count) {
    TRY(take_all(relay, size, put_leaf, ret_items, NULL));
    *ret_count = (size_t)size;
    return E_OK;
}

enum error leaves_some(struct relay *relay, enum relay_log log, uint64_t from, uint64_t size, struct buf *ret,
                       struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct hashes hashes;
    uint64_t left = size - from;
    struct gethashes ask = {.log = log, .from = from, .max = left < LOG_HASHES_MAX ? left : LOG_HASHES_MAX};
    TRY(relay_call(relay, MESSAGE_GETHASHES, &ask, &answer, failure));
    TRY(hashes_decode(answer.body, &hashes));
    if (hashes.log != (uint64_t)log || hashes.from != from || hashes.hashes.n % HASH_SIZE) return E_MISMATCH;
    if (hashes.hashes.n / HASH_SIZE > ask.max) return E_MISMATCH;
    if (hashes.hashes.n == 0) return E_WITHHELD;
    buf_add_bytes(ret, hashes.hashes);
    return buf_error(ret);
}

enum error leaves_of_log(struct relay *relay, enum relay_log log, uint64_t size, struct buf *ret,
                         struct failure *failure) {
    if (log == LOG_DIRECTORY) return leaves_of_relay(relay, size, ret, failure);
    if (size > FOREIGN_LEAVES_MAX) return E_TOO_LARGE;
    while (ret->n / HASH_SIZE < size) TRY(leaves_some(relay, log, ret->n / HASH_SIZE, size, ret, failure));
    return E_OK;
}

bool leaves_root(const struct buf *hashes, uint64_t size, uint8_t ret[static HASH_SIZE]) {
    if (size > hashes->n / HASH_SIZE) return false;
    merkle_root(hashes->p, (size_t)size, ret);
    return true;
}
