/* cbor.h - a strict cursor and a writer for deterministic CBOR (RFC 8949 section 4.2.1).
 *
 * Reading: struct cbor_in walks borrowed bytes. Its first error sticks; after it every read returns zero or an empty
 * view, so a caller reads a whole shape and checks `error` once. Accepted is the core deterministic encoding only:
 * shortest heads, definite lengths, map keys in bytewise order without duplicates, UTF-8 text. Every count and length
 * is compared with the bytes left before anything is done with it; nothing is ever allocated.
 *
 *     struct cbor_in in = cbor_in(bytes);
 *     size_t n = cbor_array(&in, 2);
 *     ...
 *     TRY(cbor_end(&in));
 *
 * Writing: cbor_put_* append to a struct buf; the caller keeps map keys in order.
 *
 * Errors: E_TRUNCATED, E_NON_CANONICAL, E_MALFORMED, E_TOO_DEEP, E_TRAILING, E_OUT_OF_RANGE, E_BAD_TEXT. */
#ifndef CBOR_H
#define CBOR_H

#include "own.h"

struct cbor_in {
    const uint8_t *p, *end;
    enum error error;
};

struct cbor_in cbor_in(struct bytes bytes);

uint64_t cbor_uint(struct cbor_in *in); /* major type 0 */
int64_t cbor_int(struct cbor_in *in);   /* major types 0 and 1, within int64_t */
bool cbor_bool(struct cbor_in *in);
void cbor_null(struct cbor_in *in);
struct bytes cbor_bytes(struct cbor_in *in, size_t max); /* at most max bytes, else E_OUT_OF_RANGE */
struct bytes cbor_text(struct cbor_in *in, size_t max);
size_t cbor_array(struct cbor_in *in, size_t max); /* the count of items that follow */
size_t cbor_map(struct cbor_in *in, size_t max);   /* the count of pairs that follow */
void cbor_tag(struct cbor_in *in, uint64_t tag);   /* that tag, else E_MALFORMED */
bool cbor_next_is_null(const struct cbor_in *in);

/* Any one item, checked completely; returns its bytes. */
struct bytes cbor_item(struct cbor_in *in);
/* Nothing may be left. */
CHECKED enum error cbor_end(struct cbor_in *in);
/* The bytes are exactly one deterministic item. */
CHECKED enum error cbor_check(struct bytes bytes);

/* Sets the cursor's error unless it has one; always returns the error that stands. */
enum error cbor_fail(struct cbor_in *in, enum error error);

void cbor_put_uint(struct buf *out, uint64_t value);
void cbor_put_int(struct buf *out, int64_t value);
void cbor_put_bool(struct buf *out, bool value);
void cbor_put_null(struct buf *out);
void cbor_put_bytes(struct buf *out, struct bytes value);
void cbor_put_text(struct buf *out, struct bytes value);
void cbor_put_array(struct buf *out, uint64_t count);
void cbor_put_map(struct buf *out, uint64_t pairs);
void cbor_put_tag(struct buf *out, uint64_t tag);

#endif
