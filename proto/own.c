/* own.c - growing buffers. */
#include "own.h"

#include <sodium.h>

enum { BUF_FIRST = 256 };

void buf_free(struct buf *buf) {
    if (buf->p) {
        sodium_memzero(buf->p, buf->cap);
        free(buf->p);
    }
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf) {
    buf->n = 0;
    buf->failed = false;
}

/* Grows by doubling into fresh memory, never by realloc: the old block is wiped before it is given back. */
static bool buf_grow(struct buf *buf, size_t need) {
    size_t cap = buf->cap ? buf->cap : BUF_FIRST;
    while (cap < need) {
        if (cap > SIZE_MAX / 2) return false;
        cap *= 2;
    }
    uint8_t *p = malloc(cap);
    if (!p) return false;
    if (buf->n) memcpy(p, buf->p, buf->n);
    if (buf->p) {
        sodium_memzero(buf->p, buf->cap);
        free(buf->p);
    }
    buf->p = p;
    buf->cap = cap;
    return true;
}

uint8_t *buf_extend(struct buf *buf, size_t n) {
    if (buf->failed) return NULL;
    if (n > SIZE_MAX - buf->n || ((buf->n + n > buf->cap || !buf->p) && !buf_grow(buf, buf->n + n))) {
        buf->failed = true;
        return NULL;
    }
    uint8_t *at = buf->p + buf->n;
    buf->n += n;
    return at;
}

void buf_add(struct buf *buf, const void *p, size_t n) {
    uint8_t *at = buf_extend(buf, n);
    if (at && n) memcpy(at, p, n);
}

void buf_add_bytes(struct buf *buf, struct bytes bytes) { buf_add(buf, bytes.p, bytes.n); }
