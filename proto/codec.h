/* codec.h - objects as tables: one row a field, one decoder and one encoder for all of them.
 *
 * An object on the wire is a CBOR map with small unsigned keys in rising order. Its fields stand once, in a .def table
 * (objects.def for the protocol, others for a program's own links and files). From the table come the C struct
 * (codec_struct.h), the description used here (codec_table.h), and the check that PROTOCOL.md lists every field.
 *
 * Decoding allocates nothing: texts, byte strings and lists in the struct are views into the input and live as long
 * as it does. Every field is bounded by its row; unknown keys, missing required fields, wrong types, values outside
 * their range and trailing bytes are refused, and *ret is untouched unless the whole object is good.
 *
 * Field kinds and what they become in the struct:
 *   SUITE      uint64_t suite, must be SUITE, else E_UNKNOWN_SUITE
 *   UINT       uint64_t in lo..hi            BOOL  bool           TIME  struct instant
 *   TEXT       struct bytes, UTF-8           BYTES struct bytes   FIXED uint8_t name[n]
 *   SUB        the other object's struct, by value
 *   LIST       struct list of objects        LISTFIXED / LISTUINT / LISTBYTES  struct list of such values
 * An OPTIONAL field has a `bool has_<field>` beside it.
 *
 * Errors: those of cbor.h, E_UNKNOWN_FIELD, E_MISSING_FIELD, E_UNKNOWN_SUITE. */
#ifndef CODEC_H
#define CODEC_H

#include "cbor.h"

enum field_kind {
    FIELD_SUITE,
    FIELD_UINT,
    FIELD_BOOL,
    FIELD_TIME,
    FIELD_TEXT,
    FIELD_BYTES,
    FIELD_FIXED,
    FIELD_SUB,
    FIELD_LIST,
    FIELD_LISTFIXED,
    FIELD_LISTUINT,
    FIELD_LISTBYTES,
};

struct object;
struct field {
    const char *name;
    enum field_kind kind;
    uint8_t key;
    bool optional;
    size_t offset, has_offset;
    uint64_t lo, hi;          /* UINT: range; TEXT, BYTES, FIXED, LISTFIXED, LISTBYTES: size of one in hi */
    size_t max;               /* lists: how many */
    const struct object *sub; /* SUB, LIST */
};

struct object {
    const char *name;
    size_t size; /* of the struct */
    const struct field *fields;
    size_t count;
};

/* The encoded items one after the other, and how many. */
struct list {
    struct bytes items;
    size_t count;
};

CHECKED enum error codec_decode(const struct object *object, struct bytes bytes, void *ret_value);
/* As above, and puts into *ret_field the name of the field at fault, or NULL. */
CHECKED enum error codec_decode_where(const struct object *object, struct bytes bytes, void *ret_value,
                                      const char **ret_field);
/* Appends. The value must hold its table's bounds: ours to ensure, so a breach is an assertion. */
void codec_encode(const struct object *object, const void *value, struct buf *out);

/* Lists are read by eating them: each call takes the first item off *list. False at the end. The list must have come
 * from codec_decode (so it is valid) or from list_of. */
bool list_next(struct list *list, const struct object *object, void *ret_value);
bool list_next_fixed(struct list *list, size_t n, const uint8_t **ret);
bool list_next_uint(struct list *list, uint64_t *ret);
bool list_next_bytes(struct list *list, struct bytes *ret);

/* Lists are written into a buf with codec_encode or cbor_put_*, item after item. */
static inline struct list list_of(const struct buf *items, size_t count) {
    return (struct list){{items->p, items->n}, count};
}

#endif
