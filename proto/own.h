/* own.h - byte views, growing buffers, and ownership by scope.
 *
 * struct bytes  a view: borrowed memory, never freed through the view.
 * struct buf    owned, growing memory. An allocation that fails sets `failed`, after which every further write is
 *               ignored: callers check once, at the end, with buf_error().
 * AUTO_FREE(T)  a malloc'd pointer freed at the end of its scope; take() hands it over and leaves NULL behind.
 * AUTO_BUF      a struct buf freed at the end of its scope; buf_take() hands its memory over.
 *
 * No sockets, clock, files or logging anywhere in proto/. */
#ifndef OWN_H
#define OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define CHECKED __attribute__((warn_unused_result))
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct bytes {
    const uint8_t *p;
    size_t n;
};

struct buf {
    uint8_t *p;
    size_t n, cap;
    bool failed;
};

/* A point of time: milliseconds since 1970-01-01T00:00:00Z. */
struct instant {
    uint64_t ms;
};

static inline void own_free(void *pp) {
    void **p = pp;
    free(*p);
    *p = NULL;
}
#define AUTO_FREE(type) __attribute__((cleanup(own_free))) type *
#define take(pp)                                                                                                       \
    __extension__({                                                                                                    \
        __typeof__(*(pp)) taken = *(pp);                                                                               \
        *(pp) = NULL;                                                                                                  \
        taken;                                                                                                         \
    })

/* Frees and empties; wipes first, because buffers may have carried plaintext. */
void buf_free(struct buf *buf);
#define AUTO_BUF __attribute__((cleanup(buf_free))) struct buf

/* Makes room for n more bytes and returns where they go, or NULL (and `failed`). The bytes count as written. */
uint8_t *buf_extend(struct buf *buf, size_t n);
void buf_add(struct buf *buf, const void *p, size_t n);
void buf_add_bytes(struct buf *buf, struct bytes bytes);
void buf_clear(struct buf *buf);

static inline struct bytes buf_bytes(const struct buf *buf) { return (struct bytes){buf->p, buf->n}; }
static inline enum error buf_error(const struct buf *buf) { return buf->failed ? E_NO_MEMORY : E_OK; }
static inline struct buf buf_take(struct buf *buf) {
    struct buf taken = *buf;
    *buf = (struct buf){0};
    return taken;
}

static inline struct bytes bytes_of(const void *p, size_t n) { return (struct bytes){p, n}; }
static inline struct bytes bytes_text(const char *text) {
    return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}
static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool bytes_are(struct bytes a, const char *text) { return bytes_equal(a, bytes_text(text)); }

#endif
