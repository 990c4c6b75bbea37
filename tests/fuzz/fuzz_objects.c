/* fuzz_objects.c - every object's decoder; the first byte picks the object. What is taken encodes to the same bytes
 * again, and its lists can be read to their ends. */
#include "fuzz.h"
#include "made.h"

enum { VALUE_SIZE = 4096, KEEP = 512 * 1024 };

static size_t object_count(void) {
    size_t count = 0;
    while (object_list[count]) count++;
    return count;
}

static void walk(const struct object *object, const uint8_t *value);

static void walk_list(const struct field *field, struct list list) {
    _Alignas(max_align_t) uint8_t item[VALUE_SIZE];
    size_t count = 0;
    const uint8_t *fixed;
    uint64_t number;
    struct bytes bytes;
    for (;; count++) {
        if (field->kind == FIELD_LIST && !list_next(&list, field->sub, item)) break;
        if (field->kind == FIELD_LISTFIXED && !list_next_fixed(&list, field->hi, &fixed)) break;
        if (field->kind == FIELD_LISTUINT && !list_next_uint(&list, &number)) break;
        if (field->kind == FIELD_LISTBYTES && !list_next_bytes(&list, &bytes)) break;
        if (field->kind == FIELD_LIST) walk(field->sub, item);
    }
    HOLDS(count <= field->max);
    HOLDS(list.items.n == 0);
}

static void walk(const struct object *object, const uint8_t *value) {
    for (size_t i = 0; i < object->count; i++) {
        const struct field *field = &object->fields[i];
        if (field->optional && !*(const bool *)(value + field->has_offset)) continue;
        struct list list;
        if (field->kind < FIELD_LIST) continue;
        memcpy(&list, value + field->offset, sizeof list);
        walk_list(field, list);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _Alignas(max_align_t) uint8_t value[VALUE_SIZE];
    static size_t count;
    fuzz_accepted = false;
    if (!count) count = object_count();
    if (size == 0 || data[0] >= count) return 0;
    const struct object *object = object_list[data[0]];
    struct bytes bytes = bytes_of(data + 1, size - 1);
    HOLDS(object->size <= sizeof value);
    memset(value, 0xaa, sizeof value);
    enum error error = codec_decode(object, bytes, value);
    if (error != E_OK) {
        for (size_t i = 0; i < object->size; i++) HOLDS(value[i] == 0xaa); /* untouched */
        return 0;
    }
    AUTO_BUF again = {0};
    walk(object, value);
    codec_encode(object, value, &again);
    HOLDS(bytes_equal(bytes, buf_bytes(&again)));
    HOLDS(cbor_check(bytes) == E_OK);
    fuzz_accepted = true;
    return 0;
}

/* The smallest good value of each object, and the same with every optional field. */
static void fill(const struct object *object, bool optional, uint8_t *value, struct buf rooms[], size_t *room);

static void put_item(const struct field *field, bool optional, struct buf *out, struct buf rooms[], size_t *room) {
    _Alignas(max_align_t) uint8_t item[VALUE_SIZE] = {0};
    static const uint8_t zeros[VALUE_SIZE];
    if (field->kind == FIELD_LISTUINT)
        cbor_put_uint(out, 7);
    else if (field->kind == FIELD_LISTFIXED)
        cbor_put_bytes(out, bytes_of(zeros, field->hi));
    else if (field->kind == FIELD_LISTBYTES)
        cbor_put_bytes(out, bytes_of(zeros, 3));
    else {
        fill(field->sub, optional, item, rooms, room);
        codec_encode(field->sub, item, out);
    }
}

static void fill_field(const struct field *field, bool optional, uint8_t *to, struct buf rooms[], size_t *room) {
    struct bytes text = bytes_text("abc");
    uint64_t number = field->kind == FIELD_SUITE ? SUITE : field->lo;
    if (text.n > field->hi) text.n = field->hi;
    if (field->kind == FIELD_UINT || field->kind == FIELD_SUITE) memcpy(to, &number, sizeof number);
    if (field->kind == FIELD_TEXT || field->kind == FIELD_BYTES) memcpy(to, &text, sizeof text);
    if (field->kind == FIELD_SUB) fill(field->sub, optional, to, rooms, room);
    if (field->kind < FIELD_LIST) return;
    struct buf *items = &rooms[(*room)++];
    put_item(field, optional, items, rooms, room);
    struct list list = list_of(items, 1);
    memcpy(to, &list, sizeof list);
}

static void fill(const struct object *object, bool optional, uint8_t *value, struct buf rooms[], size_t *room) {
    for (size_t i = 0; i < object->count; i++) {
        const struct field *field = &object->fields[i];
        if (field->optional) *(bool *)(value + field->has_offset) = optional;
        if (!field->optional || optional) fill_field(field, optional, value + field->offset, rooms, room);
    }
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    for (size_t i = 0; i < object_count(); i++)
        for (int optional = 0; optional < 2; optional++) {
            _Alignas(max_align_t) uint8_t value[VALUE_SIZE] = {0};
            struct buf rooms[32] = {0};
            size_t room = 0;
            AUTO_BUF sample = {0};
            uint8_t which = (uint8_t)i;
            buf_add(&sample, &which, 1);
            fill(object_list[i], optional, value, rooms, &room);
            codec_encode(object_list[i], value, &sample);
            give(buf_bytes(&sample));
            for (size_t k = 0; k < room; k++) buf_free(&rooms[k]);
        }
}
