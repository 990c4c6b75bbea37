/* test_codec.c - every object of objects.def: a sample is filled from its own table, and then every way to damage it is
 * tried. What is decoded encodes to the same bytes; so no two byte strings mean the same. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "objects.h"

enum { VALUE_MAX = 4096, POOL = 256, ROWS_MAX = 64 };
enum fill { FILL_LEAST, FILL_MIDDLE, FILL_MOST };

/* A struct of any object, and the memory that its views point into. */
struct sample {
    _Alignas(max_align_t) uint8_t value[VALUE_MAX];
    struct buf pool[POOL];
    size_t pooled;
};

static void sample_free(struct sample *sample) {
    for (size_t i = 0; i < sample->pooled; i++) buf_free(&sample->pool[i]);
    sample->pooled = 0;
}
#define AUTO_SAMPLE __attribute__((cleanup(sample_free))) struct sample

static struct buf *pool_new(struct sample *sample) {
    assert_true(sample->pooled < POOL);
    sample->pool[sample->pooled] = (struct buf){0};
    return &sample->pool[sample->pooled++];
}

static void fill_object(struct sample *sample, const struct object *object, uint8_t *value, enum fill fill);

/* n bytes of text: most of it two-byte letters, to be sure that sizes are bytes. */
static struct bytes some_text(struct sample *sample, size_t n) {
    struct buf *buf = pool_new(sample);
    for (; n >= 2; n -= 2) buf_add(buf, "\xc3\xa9", 2);
    if (n) buf_add(buf, "e", 1);
    return buf_bytes(buf);
}

static struct bytes some_bytes(struct sample *sample, size_t n) {
    struct buf *buf = pool_new(sample);
    for (size_t i = 0; i < n; i++) buf_add(buf, &(uint8_t){(uint8_t)(i * 37 + n)}, 1);
    return buf_bytes(buf);
}

static void add_list_item(struct sample *sample, const struct field *field, enum fill fill, size_t size,
                          struct buf *items) {
    if (field->kind == FIELD_LISTUINT) {
        cbor_put_uint(items, size * 1000);
    } else if (field->kind == FIELD_LIST) {
        struct sample inner = {0};
        fill_object(&inner, field->sub, inner.value, fill);
        codec_encode(field->sub, inner.value, items);
        sample_free(&inner);
    } else {
        cbor_put_bytes(items, some_bytes(sample, size));
    }
}

static struct list some_list(struct sample *sample, const struct field *field, enum fill fill, size_t count,
                             size_t size) {
    struct buf *items = pool_new(sample);
    for (size_t i = 0; i < count; i++) add_list_item(sample, field, fill, size, items);
    return list_of(items, count);
}

static uint64_t some_uint(const struct field *field, enum fill fill) {
    if (fill == FILL_LEAST) return field->lo;
    return fill == FILL_MOST ? field->hi : field->lo + (field->hi - field->lo) / 2;
}

static size_t some_size(const struct field *field, enum fill fill) {
    size_t most = field->hi < 40 ? field->hi : 40;
    return fill == FILL_LEAST ? 0 : fill == FILL_MOST ? most : most / 2;
}

static size_t some_count(const struct field *field, enum fill fill) {
    size_t most = field->max < 3 ? field->max : 3;
    return fill == FILL_LEAST ? 0 : fill == FILL_MOST ? most : 1;
}

static void fill_field(struct sample *sample, const struct field *field, uint8_t *value, enum fill fill) {
    void *to = value + field->offset;
    switch (field->kind) {
    case FIELD_SUITE: *(uint64_t *)to = SUITE; return;
    case FIELD_UINT: *(uint64_t *)to = some_uint(field, fill); return;
    case FIELD_BOOL: *(bool *)to = fill == FILL_MOST; return;
    case FIELD_TIME: ((struct instant *)to)->ms = fill == FILL_LEAST ? 0 : 1760000000000; return;
    case FIELD_TEXT: *(struct bytes *)to = some_text(sample, some_size(field, fill)); return;
    case FIELD_BYTES: *(struct bytes *)to = some_bytes(sample, some_size(field, fill)); return;
    case FIELD_FIXED: memset(to, fill == FILL_LEAST ? 0 : 0xa5, field->hi); return;
    case FIELD_SUB: fill_object(sample, field->sub, to, fill); return;
    case FIELD_LIST:
    case FIELD_LISTUINT:
    case FIELD_LISTBYTES:
        *(struct list *)to = some_list(sample, field, fill, some_count(field, fill), some_size(field, fill));
        return;
    case FIELD_LISTFIXED:
        *(struct list *)to = some_list(sample, field, fill, some_count(field, fill), field->hi);
        return;
    }
}

/* The least sample has no optional field, the others have all. */
static void fill_object(struct sample *sample, const struct object *object, uint8_t *value, enum fill fill) {
    assert_true(object->size <= VALUE_MAX);
    for (size_t i = 0; i < object->count; i++) {
        const struct field *field = &object->fields[i];
        if (field->optional) *(bool *)(value + field->has_offset) = fill != FILL_LEAST;
        if (!field->optional || fill != FILL_LEAST) fill_field(sample, field, value, fill);
    }
}

static void encode_sample(const struct object *object, enum fill fill, struct buf *out) {
    AUTO_SAMPLE sample = {0};
    fill_object(&sample, object, sample.value, fill);
    codec_encode(object, sample.value, out);
    assert_int_equal(buf_error(out), E_OK);
}

#define FOR_EACH_OBJECT(o) for (const struct object *const *o##_at = object_list, *o; (o = *o##_at); o##_at++)
#define FOR_EACH_FILL(fill) for (enum fill fill = FILL_LEAST; fill <= FILL_MOST; fill++)

static void every_object_comes_back_as_it_was_sent(void **state) {
    (void)state;
    size_t objects = 0;
    FOR_EACH_OBJECT(object) {
        objects++;
        FOR_EACH_FILL(fill) {
            AUTO_BUF bytes = {0}, again = {0};
            AUTO_SAMPLE decoded = {0};
            encode_sample(object, fill, &bytes);
            assert_int_equal(cbor_check(buf_bytes(&bytes)), E_OK);
            const char *field = "";
            enum error error = codec_decode_where(object, buf_bytes(&bytes), decoded.value, &field);
            if (error != E_OK) fail_msg("%s.%s: %s", object->name, field, error_text(error));
            assert_null(field);
            codec_encode(object, decoded.value, &again);
            assert_true(bytes_equal(buf_bytes(&bytes), buf_bytes(&again)));
        }
    }
    assert_true(objects > 40);
}

static void every_truncation_is_refused_and_leaves_the_result_untouched(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object) {
        AUTO_BUF bytes = {0};
        encode_sample(object, FILL_MOST, &bytes);
        for (size_t n = 0; n < bytes.n; n++) {
            uint8_t value[VALUE_MAX], before[VALUE_MAX];
            memset(value, 0x5a, sizeof value);
            memset(before, 0x5a, sizeof before);
            uint8_t *exact = malloc(n ? n : 1); /* so that a read beyond the end is seen by the sanitizer */
            memcpy(exact, bytes.p, n);
            enum error error = codec_decode(object, bytes_of(exact, n), value);
            free(exact);
            if (error == E_OK) fail_msg("%s cut to %zu bytes was accepted", object->name, n);
            assert_memory_equal(value, before, sizeof value);
        }
    }
}

static void every_bit_flip_is_refused_or_means_another_object(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object) {
        AUTO_BUF bytes = {0};
        encode_sample(object, FILL_MIDDLE, &bytes);
        for (size_t bit = 0; bit < 8 * bytes.n; bit++) {
            bytes.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            AUTO_SAMPLE decoded = {0};
            if (codec_decode(object, buf_bytes(&bytes), decoded.value) == E_OK) {
                AUTO_BUF again = {0};
                codec_encode(object, decoded.value, &again);
                if (!bytes_equal(buf_bytes(&bytes), buf_bytes(&again))) fail_msg("%s, bit %zu", object->name, bit);
            }
            bytes.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void bytes_after_the_object_are_refused(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object) {
        AUTO_BUF bytes = {0};
        AUTO_SAMPLE decoded = {0};
        encode_sample(object, FILL_MIDDLE, &bytes);
        buf_add(&bytes, "", 1);
        assert_int_equal(codec_decode(object, buf_bytes(&bytes), decoded.value), E_TRAILING);
    }
}

static void an_unknown_key_is_refused(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object) {
        AUTO_BUF bytes = {0};
        AUTO_SAMPLE decoded = {0};
        encode_sample(object, FILL_MOST, &bytes);
        assert_true(object->count < 22);
        bytes.p[0]++;
        cbor_put_uint(&bytes, object->count ? object->fields[object->count - 1].key + 1u : 1);
        cbor_put_uint(&bytes, 0);
        assert_int_equal(codec_decode(object, buf_bytes(&bytes), decoded.value), E_UNKNOWN_FIELD);
    }
}

/* The object with some rows changed: what a faulty peer would send. */
struct variant {
    struct field rows[ROWS_MAX];
    struct object object;
};

static struct object *vary(const struct object *object, struct variant *ret) {
    assert_true(object->count + 1 < ROWS_MAX);
    memcpy(ret->rows, object->fields, object->count * sizeof ret->rows[0]);
    ret->object = *object;
    ret->object.fields = ret->rows;
    return &ret->object;
}

static void expect_refusal(const struct object *object, const struct object *sent, const uint8_t *value,
                           enum error want, const char *field) {
    AUTO_BUF bytes = {0};
    AUTO_SAMPLE decoded = {0};
    const char *where = NULL;
    codec_encode(sent, value, &bytes);
    enum error error = codec_decode_where(object, buf_bytes(&bytes), decoded.value, &where);
    if (error != want) fail_msg("%s.%s: %s", object->name, field, error_text(error));
    if (want != E_NON_CANONICAL) assert_string_equal(where, field);
}

static void a_missing_field_is_refused_and_named(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object) {
        AUTO_SAMPLE sample = {0};
        fill_object(&sample, object, sample.value, FILL_MIDDLE);
        for (size_t i = 0; i < object->count; i++) {
            if (object->fields[i].optional) continue;
            struct variant variant;
            struct object *sent = vary(object, &variant);
            memmove(variant.rows + i, variant.rows + i + 1, (object->count - i - 1) * sizeof variant.rows[0]);
            sent->count--;
            expect_refusal(object, sent, sample.value, E_MISSING_FIELD, object->fields[i].name);
        }
    }
}

static void a_repeated_key_is_refused(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object) {
        AUTO_SAMPLE sample = {0};
        fill_object(&sample, object, sample.value, FILL_MIDDLE);
        for (size_t i = 0; i < object->count; i++) {
            struct variant variant;
            struct object *sent = vary(object, &variant);
            memmove(variant.rows + i + 1, variant.rows + i, (object->count - i) * sizeof variant.rows[0]);
            sent->count++;
            expect_refusal(object, sent, sample.value, E_NON_CANONICAL, object->fields[i].name);
        }
    }
}

static void keys_in_another_order_are_refused(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object) {
        AUTO_SAMPLE sample = {0}, decoded = {0};
        fill_object(&sample, object, sample.value, FILL_MIDDLE);
        for (size_t i = 0; i + 1 < object->count; i++) {
            struct variant variant;
            struct object *sent = vary(object, &variant);
            variant.rows[i] = object->fields[i + 1];
            variant.rows[i + 1] = object->fields[i];
            AUTO_BUF bytes = {0};
            codec_encode(sent, sample.value, &bytes);
            assert_int_not_equal(codec_decode(object, buf_bytes(&bytes), decoded.value), E_OK);
        }
    }
}

/* Sets the field to just outside its bounds, and widens its row so that it can be encoded. E_OK: there is no such value. */
static enum error put_outside(struct sample *sample, struct field *row, uint8_t *value, bool above) {
    void *to = value + row->offset;
    size_t size = row->hi < 40 ? row->hi : 40;
    switch (row->kind) {
    case FIELD_SUITE:
        *(uint64_t *)to = above ? SUITE + 1 : 0;
        row->kind = FIELD_UINT;
        row->lo = 0;
        row->hi = UINT64_MAX;
        return E_UNKNOWN_SUITE;
    case FIELD_UINT:
        if (above ? row->hi == UINT64_MAX : row->lo == 0) return E_OK;
        *(uint64_t *)to = above ? row->hi + 1 : row->lo - 1;
        row->lo = 0;
        row->hi = UINT64_MAX;
        return E_OUT_OF_RANGE;
    case FIELD_TEXT:
        if (!above) return E_OK;
        *(struct bytes *)to = some_text(sample, row->hi + 1);
        row->hi++;
        return E_OUT_OF_RANGE;
    case FIELD_BYTES:
        if (!above) return E_OK;
        *(struct bytes *)to = some_bytes(sample, row->hi + 1);
        row->hi++;
        return E_OUT_OF_RANGE;
    case FIELD_FIXED:
        memset(to, 0, sizeof(struct bytes));
        *(struct bytes *)to = some_bytes(sample, above ? row->hi + 1 : row->hi - 1);
        row->kind = FIELD_BYTES;
        row->hi++;
        return E_OUT_OF_RANGE;
    case FIELD_LISTFIXED: size = row->hi; __attribute__((fallthrough));
    case FIELD_LIST:
    case FIELD_LISTUINT:
    case FIELD_LISTBYTES:
        if (!above || row->max > 300) return E_OK; /* the largest lists: the code is the same */
        *(struct list *)to = some_list(sample, row, FILL_LEAST, row->max + 1, row->kind == FIELD_LISTBYTES ? 0 : size);
        row->max++;
        return E_OUT_OF_RANGE;
    case FIELD_BOOL:
    case FIELD_TIME:
    case FIELD_SUB: return E_OK;
    }
    return E_OK;
}

static void a_value_outside_its_bounds_is_refused_and_named(void **state) {
    (void)state;
    size_t tried = 0;
    FOR_EACH_OBJECT(object)
    for (size_t i = 0; i < object->count; i++)
        for (int above = 0; above < 2; above++) {
            static struct sample sample;
            memset(&sample, 0, sizeof sample);
            struct variant variant;
            struct object *sent = vary(object, &variant);
            fill_object(&sample, object, sample.value, FILL_MIDDLE);
            struct field *row = &variant.rows[i];
            if (row->kind == FIELD_FIXED) { /* gets room of its own: a view is wider than the smallest arrays */
                row->offset = VALUE_MAX - sizeof(struct bytes);
            }
            enum error want = put_outside(&sample, row, sample.value, above);
            if (want != E_OK) expect_refusal(object, sent, sample.value, want, object->fields[i].name);
            tried += want != E_OK;
            sample_free(&sample);
        }
    assert_true(tried > 150);
}

static void a_list_item_of_wrong_size_is_refused(void **state) {
    (void)state;
    FOR_EACH_OBJECT(object)
    for (size_t i = 0; i < object->count; i++) {
        const struct field *field = &object->fields[i];
        if (field->kind != FIELD_LISTFIXED && field->kind != FIELD_LISTBYTES) continue;
        AUTO_SAMPLE sample = {0};
        fill_object(&sample, object, sample.value, FILL_MIDDLE);
        void *to = sample.value + field->offset;
        *(struct list *)to = some_list(&sample, field, FILL_LEAST, 1, field->hi + 1);
        expect_refusal(object, object, sample.value, E_OUT_OF_RANGE, field->name);
    }
}

static void a_list_inside_gives_its_items_in_order_and_then_ends(void **state) {
    (void)state;
    AUTO_BUF voids = {0}, bytes = {0};
    for (uint64_t i = 0; i < 5; i++) cbor_put_uint(&voids, i * i * 1000);
    struct wrapped wrapped = {.voids = list_of(&voids, 5)}, got;
    wrapped_encode(&wrapped, &bytes);
    assert_int_equal(wrapped_decode(buf_bytes(&bytes), &got), E_OK);
    uint64_t value;
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(list_next_uint(&got.voids, &value));
        assert_int_equal(value, i * i * 1000);
    }
    assert_false(list_next_uint(&got.voids, &value));
    assert_int_equal(got.voids.items.n, 0);
}

static void a_text_that_is_not_utf8_is_refused(void **state) {
    (void)state;
    struct getprekeys ask = {.post = bytes_text("de/technical")}, got;
    AUTO_BUF bytes = {0};
    getprekeys_encode(&ask, &bytes);
    bytes.p[bytes.n - 1] = 0xff;
    assert_int_equal(getprekeys_decode(buf_bytes(&bytes), &got), E_BAD_TEXT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_object_comes_back_as_it_was_sent),
        cmocka_unit_test(every_truncation_is_refused_and_leaves_the_result_untouched),
        cmocka_unit_test(every_bit_flip_is_refused_or_means_another_object),
        cmocka_unit_test(bytes_after_the_object_are_refused),
        cmocka_unit_test(an_unknown_key_is_refused),
        cmocka_unit_test(a_missing_field_is_refused_and_named),
        cmocka_unit_test(a_repeated_key_is_refused),
        cmocka_unit_test(keys_in_another_order_are_refused),
        cmocka_unit_test(a_value_outside_its_bounds_is_refused_and_named),
        cmocka_unit_test(a_list_item_of_wrong_size_is_refused),
        cmocka_unit_test(a_list_inside_gives_its_items_in_order_and_then_ends),
        cmocka_unit_test(a_text_that_is_not_utf8_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
