/* codec.c - decodes and encodes any object from its table. The decoder walks fields and keys side by side, both
 * rising, so unknown, missing, repeated and misplaced keys show as the first difference. */
#include "codec.h"

#include <assert.h>

#include "limits.h"

enum { OBJECT_SIZE_MAX = 4096, FIELDS_MAX = 64 };

struct decoder {
    struct cbor_in in;
    const char *field; /* at fault, the innermost */
};

static void decode_object(struct decoder *decoder, const struct object *object, void *value, unsigned depth);

static void *at(const void *value, size_t offset) { return (uint8_t *)(uintptr_t)value + offset; }

static void decode_fixed(struct cbor_in *in, size_t n, uint8_t *ret) {
    struct bytes got = cbor_bytes(in, n);
    if (in->error == E_OK && got.n != n) cbor_fail(in, E_OUT_OF_RANGE);
    if (in->error == E_OK && ret) memcpy(ret, got.p, n);
}

static void decode_list_item(struct decoder *decoder, const struct field *field, unsigned depth) {
    struct cbor_in *in = &decoder->in;
    if (field->kind == FIELD_LISTFIXED)
        decode_fixed(in, field->hi, NULL);
    else if (field->kind == FIELD_LISTUINT)
        cbor_uint(in);
    else if (field->kind == FIELD_LISTBYTES)
        cbor_bytes(in, field->hi);
    else
        decode_object(decoder, field->sub, NULL, depth + 1);
}

static void decode_list(struct decoder *decoder, const struct field *field, struct list *ret, unsigned depth) {
    struct cbor_in *in = &decoder->in;
    size_t count = cbor_array(in, field->max);
    const uint8_t *start = in->p;
    for (size_t i = 0; i < count && in->error == E_OK; i++) decode_list_item(decoder, field, depth);
    if (in->error == E_OK) *ret = (struct list){{start, (size_t)(in->p - start)}, count};
}

static void decode_uint(struct cbor_in *in, const struct field *field, uint64_t *ret) {
    *ret = cbor_uint(in);
    if (in->error == E_OK && (*ret < field->lo || *ret > field->hi)) cbor_fail(in, E_OUT_OF_RANGE);
}

static void decode_suite(struct cbor_in *in, uint64_t *ret) {
    *ret = cbor_uint(in);
    if (in->error == E_OK && *ret != SUITE) cbor_fail(in, E_UNKNOWN_SUITE);
}

static void decode_field(struct decoder *decoder, const struct field *field, void *value, unsigned depth) {
    struct cbor_in *in = &decoder->in;
    void *to = at(value, field->offset);
    switch (field->kind) {
    case FIELD_SUITE: decode_suite(in, to); break;
    case FIELD_UINT: decode_uint(in, field, to); break;
    case FIELD_BOOL: *(bool *)to = cbor_bool(in); break;
    case FIELD_TIME: ((struct instant *)to)->ms = cbor_uint(in); break;
    case FIELD_TEXT: *(struct bytes *)to = cbor_text(in, field->hi); break;
    case FIELD_BYTES: *(struct bytes *)to = cbor_bytes(in, field->hi); break;
    case FIELD_FIXED: decode_fixed(in, field->hi, to); break;
    case FIELD_SUB: decode_object(decoder, field->sub, to, depth + 1); break;
    case FIELD_LIST:
    case FIELD_LISTFIXED:
    case FIELD_LISTUINT:
    case FIELD_LISTBYTES: decode_list(decoder, field, to, depth); break;
    }
    if (field->optional) *(bool *)at(value, field->has_offset) = in->error == E_OK;
    if (in->error != E_OK && !decoder->field) decoder->field = field->name;
}

static void missing(struct decoder *decoder, const struct field *field) {
    if (field->optional) return;
    cbor_fail(&decoder->in, E_MISSING_FIELD);
    if (!decoder->field) decoder->field = field->name;
}

/* With value NULL the object is only checked (list elements): into scratch of its own. */
static void decode_object(struct decoder *decoder, const struct object *object, void *value, unsigned depth) {
    struct cbor_in *in = &decoder->in;
    _Alignas(max_align_t) uint8_t scratch[OBJECT_SIZE_MAX];
    assert(object->size <= sizeof scratch);
    if (depth >= CBOR_DEPTH_MAX) {
        cbor_fail(in, E_TOO_DEEP);
        return;
    }
    void *to = value ? value : scratch;
    memset(to, 0, object->size);
    size_t pairs = cbor_map(in, FIELDS_MAX), next = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < pairs && in->error == E_OK; i++) {
        uint64_t key = cbor_uint(in);
        if (in->error == E_OK && i > 0 && key <= last) cbor_fail(in, E_NON_CANONICAL);
        last = key;
        while (in->error == E_OK && next < object->count && object->fields[next].key < key)
            missing(decoder, &object->fields[next++]);
        if (in->error != E_OK) break;
        if (next == object->count || object->fields[next].key != key) {
            cbor_fail(in, E_UNKNOWN_FIELD);
            break;
        }
        decode_field(decoder, &object->fields[next++], to, depth);
    }
    while (in->error == E_OK && next < object->count) missing(decoder, &object->fields[next++]);
}

enum error codec_decode_where(const struct object *object, struct bytes bytes, void *ret_value,
                              const char **ret_field) {
    _Alignas(max_align_t) uint8_t scratch[OBJECT_SIZE_MAX];
    assert(object->size <= sizeof scratch);
    struct decoder decoder = {cbor_in(bytes), NULL};
    decode_object(&decoder, object, scratch, 0);
    enum error error = cbor_end(&decoder.in);
    if (ret_field) *ret_field = decoder.field;
    if (error == E_OK) memcpy(ret_value, scratch, object->size);
    return error;
}

enum error codec_decode(const struct object *object, struct bytes bytes, void *ret_value) {
    return codec_decode_where(object, bytes, ret_value, NULL);
}

static bool present(const struct field *field, const void *value) {
    return !field->optional || *(const bool *)at(value, field->has_offset);
}

static void encode_list(const struct field *field, const struct list *list, struct buf *out) {
    assert(list->count <= field->max);
    cbor_put_array(out, list->count);
    buf_add_bytes(out, list->items);
}

static void encode_uint(const struct field *field, uint64_t value, struct buf *out) {
    assert(value >= field->lo && value <= field->hi);
    cbor_put_uint(out, value);
}

static void encode_field(const struct field *field, const void *value, struct buf *out) {
    const void *from = at(value, field->offset);
    const struct bytes *bytes = from;
    cbor_put_uint(out, field->key);
    switch (field->kind) {
    case FIELD_SUITE: cbor_put_uint(out, SUITE); return;
    case FIELD_UINT: encode_uint(field, *(const uint64_t *)from, out); return;
    case FIELD_BOOL: cbor_put_bool(out, *(const bool *)from); return;
    case FIELD_TIME: cbor_put_uint(out, ((const struct instant *)from)->ms); return;
    case FIELD_TEXT:
        assert(bytes->n <= field->hi);
        cbor_put_text(out, *bytes);
        return;
    case FIELD_BYTES:
        assert(bytes->n <= field->hi);
        cbor_put_bytes(out, *bytes);
        return;
    case FIELD_FIXED: cbor_put_bytes(out, bytes_of(from, field->hi)); return;
    case FIELD_SUB: codec_encode(field->sub, from, out); return;
    case FIELD_LIST:
    case FIELD_LISTFIXED:
    case FIELD_LISTUINT:
    case FIELD_LISTBYTES: encode_list(field, from, out); return;
    }
}

void codec_encode(const struct object *object, const void *value, struct buf *out) {
    size_t pairs = 0;
    for (size_t i = 0; i < object->count; i++) pairs += present(&object->fields[i], value);
    cbor_put_map(out, pairs);
    for (size_t i = 0; i < object->count; i++)
        if (present(&object->fields[i], value)) encode_field(&object->fields[i], value, out);
}

/* The list was checked when it was decoded, so a failure here is our own bug. */
static bool list_take(struct list *list, struct cbor_in *in) {
    if (list->count == 0) return false;
    *in = cbor_in(list->items);
    return true;
}

static void list_drop(struct list *list, const struct cbor_in *in) {
    assert(in->error == E_OK);
    list->items = (struct bytes){in->p, (size_t)(in->end - in->p)};
    list->count--;
}

bool list_next(struct list *list, const struct object *object, void *ret_value) {
    struct decoder decoder = {0};
    if (!list_take(list, &decoder.in)) return false;
    decode_object(&decoder, object, ret_value, 0);
    list_drop(list, &decoder.in);
    return true;
}

bool list_next_fixed(struct list *list, size_t n, const uint8_t **ret) {
    struct cbor_in in;
    if (!list_take(list, &in)) return false;
    struct bytes got = cbor_bytes(&in, n);
    assert(got.n == n);
    list_drop(list, &in);
    *ret = got.p;
    return true;
}

bool list_next_uint(struct list *list, uint64_t *ret) {
    struct cbor_in in;
    if (!list_take(list, &in)) return false;
    *ret = cbor_uint(&in);
    list_drop(list, &in);
    return true;
}

bool list_next_bytes(struct list *list, struct bytes *ret) {
    struct cbor_in in;
    if (!list_take(list, &in)) return false;
    *ret = cbor_bytes(&in, SIZE_MAX);
    list_drop(list, &in);
    return true;
}
