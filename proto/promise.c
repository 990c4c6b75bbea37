/* promise.c - makes and reads the relay's promises. */
#include "promise.h"

#include "directory.h"
#include "stamp.h"

enum error promise_open(struct bytes stamped, const uint8_t relay_key[static KEY_SIZE], struct promise *ret) {
    struct bytes payload;
    struct promise promise;
    TRY(stamp_verify(LABEL_PROMISE, relay_key, stamped, &payload));
    TRY(promise_decode(payload, &promise));
    if (promise.deadline.ms < promise.time.ms) return E_OUT_OF_RANGE;
    *ret = promise;
    return E_OK;
}

bool promise_names(const struct promise *promise, struct bytes payload) {
    uint8_t hash[HASH_SIZE];
    struct list list = promise->statements;
    struct bytes one;
    stamp_hash(payload, hash);
    while (list_next_bytes(&list, &one))
        if (bytes_equal(one, bytes_of(hash, HASH_SIZE))) return true;
    return false;
}

enum error promise_make(struct list statements, uint64_t size, const uint8_t root[static HASH_SIZE],
                        struct instant time, const uint8_t secret[static SIGN_SECRET_SIZE], struct buf *out) {
    AUTO_BUF hashes = {0}, payload = {0};
    struct dirstatement statement;
    size_t count = statements.count;
    while (dirstatement_next(&statements, &statement)) {
        uint8_t hash[HASH_SIZE];
        struct bytes bytes;
        TRY(directory_peek(statement.kind, statement.statement, &bytes));
        stamp_hash(bytes, hash);
        cbor_put_bytes(&hashes, bytes_of(hash, HASH_SIZE));
    }
    TRY(buf_error(&hashes));
    struct promise promise = {
        .statements = list_of(&hashes, count), .size = size, .time = time, .deadline = {time.ms + PROMISE_MS}};
    memcpy(promise.root, root, HASH_SIZE);
    promise_encode(&promise, &payload);
    TRY(buf_error(&payload));
    return stamp_sign_one(LABEL_PROMISE, secret, buf_bytes(&payload), out);
}
