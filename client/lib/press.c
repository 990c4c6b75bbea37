/* press.c - cuts, seals, pads and keeps a part's chunks. */
#include "press.h"

#include <assert.h>

void press_free(struct press *press) {
    secret_free(&press->key);
    buf_free(&press->plain);
    buf_free(&press->digests);
}

struct archive_key press_key(const uint8_t content[static HASH_SIZE], uint64_t part, uint64_t index) {
    struct archive_key key = archive_key(content, NULL, index);
    key.b[HASH_SIZE - 1] = (uint8_t)part;
    return key;
}

enum error press_begin(struct press *press, uint64_t plain) {
    uint64_t length = content_length(plain);
    press->padded = length - chunks_count(length) * TAG_SIZE;
    return secret_random(KEY_SIZE, &press->key);
}

static enum error seal_chunk(struct press *press) {
    AUTO_BUF chunk = {0};
    bool last = press->written == press->padded;
    TRY(content_seal_chunk(&press->context, press->key.p, press->index, last, buf_bytes(&press->plain), &chunk));
    uint8_t digest[HASH_SIZE];
    chunk_digest(buf_bytes(&chunk), digest);
    buf_add(&press->digests, digest, sizeof digest);
    TRY(buf_error(&press->digests));
    TRY(archive_set(press->archive, TABLE_CHUNK, press_key(press->content, press->context.part, press->index),
                    buf_bytes(&chunk)));
    press->index++;
    buf_clear(&press->plain);
    return E_OK;
}

enum error press_add(struct press *press, struct bytes bytes) {
    while (bytes.n > 0) {
        size_t n = CHUNK_PLAIN - press->plain.n;
        if (n > bytes.n) n = bytes.n;
        buf_add(&press->plain, bytes.p, n);
        TRY(buf_error(&press->plain));
        press->written += n;
        assert(press->written <= press->padded);
        bytes = bytes_of(bytes.p + n, bytes.n - n);
        if (press->plain.n == CHUNK_PLAIN) TRY(seal_chunk(press));
    }
    return E_OK;
}

enum error press_end(struct press *press, struct part *ret) {
    static const uint8_t zeros[4096];
    while (press->written < press->padded) {
        uint64_t n = press->padded - press->written;
        TRY(press_add(press, bytes_of(zeros, n < sizeof zeros ? (size_t)n : sizeof zeros)));
    }
    if (press->plain.n > 0) TRY(seal_chunk(press));
    ret->length = press->padded + press->index * TAG_SIZE;
    part_digest(buf_bytes(&press->digests), ret->digest);
    content_commitment(press->key.p, ret->commitment);
    return E_OK;
}
