/* cbor.c - the strict cursor. One function, head(), reads every initial byte; nothing else looks at raw bytes. */
#include "cbor.h"

#include "limits.h"
#include "text.h"

enum major { UINT = 0, NEGATIVE = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6, SIMPLE = 7 };
enum { FALSE = 20, TRUE = 21, NIL = 22, HALF = 25, SINGLE = 26, DOUBLE = 27 };

struct head {
    enum major major;
    unsigned info; /* the low five bits */
    uint64_t value;
};

struct cbor_in cbor_in(struct bytes bytes) {
    static const uint8_t nothing[1];
    const uint8_t *p = bytes.p ? bytes.p : nothing;
    return (struct cbor_in){p, p + bytes.n, E_OK};
}

enum error cbor_fail(struct cbor_in *in, enum error error) {
    if (in->error == E_OK) in->error = error;
    return in->error;
}

static size_t left(const struct cbor_in *in) { return (size_t)(in->end - in->p); }

/* The shortest form: a value that fits a smaller head is not canonical. Floats (major 7, info 25-27) are judged by
 * shortest_float(), simple values below 32 may not use the two-byte form (RFC 8949 section 3.3). */
static bool shortest(const struct head *head) {
    if (head->major == SIMPLE) return head->info != 24 || head->value >= 32;
    switch (head->info) {
    case 24: return head->value >= 24;
    case 25: return head->value > UINT8_MAX;
    case 26: return head->value > UINT16_MAX;
    case 27: return head->value > UINT32_MAX;
    default: return true;
    }
}

static struct head head(struct cbor_in *in) {
    struct head head = {0};
    if (in->error != E_OK) return head;
    if (left(in) < 1) {
        cbor_fail(in, E_TRUNCATED);
        return head;
    }
    head.major = (enum major)(*in->p >> 5);
    head.info = *in->p & 31;
    if (head.info >= 28) { /* 28-30 reserved, 31 indefinite length or break */
        cbor_fail(in, head.info == 31 ? E_NON_CANONICAL : E_MALFORMED);
        return (struct head){0};
    }
    size_t extra = head.info < 24 ? 0 : (size_t)1 << (head.info - 24);
    if (left(in) - 1 < extra) {
        cbor_fail(in, E_TRUNCATED);
        return (struct head){0};
    }
    head.value = head.info;
    if (extra) head.value = 0;
    for (size_t i = 0; i < extra; i++) head.value = head.value << 8 | in->p[1 + i];
    if (!shortest(&head)) {
        cbor_fail(in, head.major == SIMPLE ? E_MALFORMED : E_NON_CANONICAL);
        return (struct head){0};
    }
    in->p += 1 + extra;
    return head;
}

static struct head head_of(struct cbor_in *in, enum major major) {
    struct head got = head(in);
    if (in->error == E_OK && got.major != major) cbor_fail(in, E_MALFORMED);
    return in->error == E_OK ? got : (struct head){0};
}

uint64_t cbor_uint(struct cbor_in *in) { return head_of(in, UINT).value; }

int64_t cbor_int(struct cbor_in *in) {
    struct head got = head(in);
    if (in->error != E_OK) return 0;
    if (got.major != UINT && got.major != NEGATIVE) {
        cbor_fail(in, E_MALFORMED);
        return 0;
    }
    if (got.value > INT64_MAX) {
        cbor_fail(in, E_OUT_OF_RANGE);
        return 0;
    }
    return got.major == UINT ? (int64_t)got.value : -1 - (int64_t)got.value;
}

bool cbor_bool(struct cbor_in *in) {
    struct head got = head_of(in, SIMPLE);
    if (in->error == E_OK && got.info != FALSE && got.info != TRUE) cbor_fail(in, E_MALFORMED);
    return in->error == E_OK && got.info == TRUE;
}

void cbor_null(struct cbor_in *in) {
    struct head got = head_of(in, SIMPLE);
    if (in->error == E_OK && got.info != NIL) cbor_fail(in, E_MALFORMED);
}

bool cbor_next_is_null(const struct cbor_in *in) {
    return in->error == E_OK && left(in) > 0 && *in->p == (SIMPLE << 5 | NIL);
}

static struct bytes take_string(struct cbor_in *in, enum major major, size_t max) {
    uint64_t n = head_of(in, major).value;
    if (in->error == E_OK && n > left(in)) cbor_fail(in, E_TRUNCATED);
    if (in->error == E_OK && n > max) cbor_fail(in, E_OUT_OF_RANGE);
    if (in->error != E_OK) return (struct bytes){0};
    struct bytes view = {in->p, (size_t)n};
    in->p += n;
    return view;
}

struct bytes cbor_bytes(struct cbor_in *in, size_t max) {
    return take_string(in, BYTES, max);
}

static bool utf8_valid(struct bytes text) {
    for (size_t i = 0; i < text.n;) {
        size_t n = text_utf8_sequence(text.p + i, text.n - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

struct bytes cbor_text(struct cbor_in *in, size_t max) {
    struct bytes text = take_string(in, TEXT, max);
    if (in->error == E_OK && !utf8_valid(text)) cbor_fail(in, E_BAD_TEXT);
    return in->error == E_OK ? text : (struct bytes){0};
}

/* Every item takes at least one byte, so a count above the bytes left is a lie told before any memory is asked for. */
static size_t take_count(struct cbor_in *in, enum major major, size_t per_item, size_t max) {
    uint64_t n = head_of(in, major).value;
    if (in->error == E_OK && n > left(in) / per_item) cbor_fail(in, E_TRUNCATED);
    if (in->error == E_OK && n > max) cbor_fail(in, E_OUT_OF_RANGE);
    return in->error == E_OK ? (size_t)n : 0;
}

size_t cbor_array(struct cbor_in *in, size_t max) { return take_count(in, ARRAY, 1, max); }
size_t cbor_map(struct cbor_in *in, size_t max) { return take_count(in, MAP, 2, max); }

void cbor_tag(struct cbor_in *in, uint64_t tag) {
    uint64_t got = head_of(in, TAG).value;
    if (in->error == E_OK && got != tag) cbor_fail(in, E_MALFORMED);
}

/* RFC 8949 section 4.2.2: a float stands in the shortest form that keeps its value; of the NaNs only 7e00 is allowed.
 * The two longer forms are judged alike: would the value fit the next shorter one? */
static bool shortest_float(const struct head *head) {
    if (head->info == HALF)
        return (head->value & 0x7c00) != 0x7c00 || (head->value & 0x3ff) == 0 || head->value == 0x7e00;
    bool single = head->info == SINGLE;
    unsigned bits = single ? 23 : 52, shorter_bits = single ? 10 : 23;
    int bias = single ? 127 : 1023, top = single ? 0xff : 0x7ff;
    int shorter_min = single ? -14 : -126, shorter_max = single ? 15 : 127; /* exponents of its normal numbers */
    uint64_t mantissa = head->value & (((uint64_t)1 << bits) - 1);
    int exponent = (int)(head->value >> bits & (uint64_t)top);
    if (exponent == top) return false;       /* infinities and NaN have a half form */
    if (exponent == 0) return mantissa != 0; /* zero has one too; our subnormals are too small for any shorter form */
    int e = exponent - bias;
    if (e > shorter_max) return true;
    uint64_t drop = bits - shorter_bits;
    if (e < shorter_min) drop += (uint64_t)(shorter_min - e); /* a subnormal there keeps fewer bits */
    if (drop > bits) return true;
    return (mantissa & (((uint64_t)1 << drop) - 1)) != 0;
}

static void item(struct cbor_in *in, unsigned depth);

static void map_items(struct cbor_in *in, uint64_t pairs, unsigned depth) {
    struct bytes last = {0};
    for (uint64_t i = 0; i < pairs && in->error == E_OK; i++) {
        struct bytes key = {in->p, 0};
        item(in, depth);
        if (in->error != E_OK) return;
        key.n = (size_t)(in->p - key.p);
        size_t shared = key.n < last.n ? key.n : last.n;
        int order = i == 0 ? 1 : memcmp(key.p, last.p, shared);
        if (order < 0 || (order == 0 && key.n <= last.n)) {
            cbor_fail(in, E_NON_CANONICAL);
            return;
        }
        last = key;
        item(in, depth);
    }
}

static void simple(struct cbor_in *in, const struct head *got) {
    bool is_float = got->info >= HALF && got->info <= DOUBLE;
    if (is_float && !shortest_float(got)) cbor_fail(in, E_NON_CANONICAL);
}

static void item(struct cbor_in *in, unsigned depth) {
    if (depth >= CBOR_DEPTH_MAX) {
        cbor_fail(in, E_TOO_DEEP);
        return;
    }
    struct cbor_in before = *in;
    struct head got = head(in);
    if (in->error != E_OK) return;
    switch (got.major) {
    case UINT:
    case NEGATIVE: return;
    case BYTES:
    case TEXT:
        *in = before;
        if (got.major == BYTES)
            cbor_bytes(in, SIZE_MAX);
        else
            cbor_text(in, SIZE_MAX);
        return;
    case ARRAY:
        *in = before;
        for (size_t n = cbor_array(in, SIZE_MAX); n > 0 && in->error == E_OK; n--) item(in, depth + 1);
        return;
    case MAP:
        *in = before;
        map_items(in, cbor_map(in, SIZE_MAX), depth + 1);
        return;
    case TAG: item(in, depth + 1); return;
    case SIMPLE: simple(in, &got); return;
    }
}

struct bytes cbor_item(struct cbor_in *in) {
    const uint8_t *start = in->p;
    if (in->error == E_OK) item(in, 0);
    return in->error == E_OK ? (struct bytes){start, (size_t)(in->p - start)} : (struct bytes){0};
}

enum error cbor_end(struct cbor_in *in) {
    if (in->error == E_OK && left(in) > 0) cbor_fail(in, E_TRAILING);
    return in->error;
}

enum error cbor_check(struct bytes bytes) {
    struct cbor_in in = cbor_in(bytes);
    cbor_item(&in);
    return cbor_end(&in);
}

static void put_head(struct buf *out, enum major major, uint64_t value) {
    size_t extra = value < 24 ? 0 : value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : value <= UINT32_MAX ? 4 : 8;
    static const uint8_t info[] = {[1] = 24, [2] = 25, [4] = 26, [8] = 27};
    uint8_t *at = buf_extend(out, 1 + extra);
    if (!at) return;
    at[0] = (uint8_t)(major << 5 | (extra ? info[extra] : value));
    for (size_t i = 0; i < extra; i++) at[1 + i] = (uint8_t)(value >> 8 * (extra - 1 - i));
}

void cbor_put_uint(struct buf *out, uint64_t value) { put_head(out, UINT, value); }
void cbor_put_int(struct buf *out, int64_t value) {
    if (value >= 0)
        put_head(out, UINT, (uint64_t)value);
    else
        put_head(out, NEGATIVE, (uint64_t)(-1 - value));
}
void cbor_put_bool(struct buf *out, bool value) { put_head(out, SIMPLE, value ? TRUE : FALSE); }
void cbor_put_null(struct buf *out) { put_head(out, SIMPLE, NIL); }
void cbor_put_bytes(struct buf *out, struct bytes value) {
    put_head(out, BYTES, value.n);
    buf_add_bytes(out, value);
}
void cbor_put_text(struct buf *out, struct bytes value) {
    put_head(out, TEXT, value.n);
    buf_add_bytes(out, value);
}
void cbor_put_array(struct buf *out, uint64_t count) { put_head(out, ARRAY, count); }
void cbor_put_map(struct buf *out, uint64_t pairs) { put_head(out, MAP, pairs); }
void cbor_put_tag(struct buf *out, uint64_t tag) { put_head(out, TAG, tag); }
