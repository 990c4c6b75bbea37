/* mutate.c - walks an item head by head and copies it, but for the one place. */
#include "mutate.h"

#include "cbor.h"

enum {
    UINT,
    NINT,
    BYTES,
    TEXT,
    ARRAY,
    MAP,
    TAG,
    SIMPLE,
    FLOAT64 = 0xfb,
    NULL_ITEM = 0xf6,
    DEEP = 100,
    UNKNOWN_KEY = 200
};

struct walk {
    const uint8_t *p, *end;
    size_t place, wanted;
    enum mutation mutation;
    bool applied, met;
    struct buf *out;
};

static uint64_t read_argument(struct walk *walk, uint8_t head) {
    unsigned info = head & 0x1f;
    if (info < 24) return info;
    size_t n = (size_t)1 << (info - 24);
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) value = value << 8 | *walk->p++;
    return value;
}

static void put_byte(struct buf *out, unsigned byte) {
    uint8_t b = (uint8_t)byte;
    buf_add(out, &b, 1);
}

static void put_wide(struct buf *out, unsigned major, unsigned size_bits, uint64_t argument) {
    size_t n = (size_t)1 << size_bits;
    put_byte(out, major << 5 | (24 + size_bits));
    for (size_t i = n; i-- > 0;) put_byte(out, (unsigned)(argument >> (8 * i)) & 0xff);
}

static void put_head(struct buf *out, unsigned major, uint64_t argument) {
    if (argument < 24)
        put_byte(out, major << 5 | (unsigned)argument);
    else
        put_wide(out, major,
                 argument <= UINT8_MAX    ? 0
                 : argument <= UINT16_MAX ? 1
                 : argument <= UINT32_MAX ? 2
                                          : 3,
                 argument);
}

/* One size longer than needed; false when it is the longest already. */
static bool put_long_head(struct buf *out, unsigned major, uint64_t argument) {
    if (argument > UINT32_MAX) return false;
    put_wide(out, major, argument < 24 ? 0 : argument <= UINT8_MAX ? 1 : argument <= UINT16_MAX ? 2 : 3, argument);
    return true;
}

static void copy_item(struct walk *walk);

static void copy_items(struct walk *walk, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) copy_item(walk);
}

/* The item without its head, unchanged or with damage further inside. */
static void copy_content(struct walk *walk, unsigned major, uint64_t argument) {
    if (major == BYTES || major == TEXT) {
        buf_add(walk->out, walk->p, (size_t)argument);
        walk->p += argument;
    } else if (major == ARRAY)
        copy_items(walk, argument);
    else if (major == MAP)
        copy_items(walk, 2 * argument);
    else if (major == TAG)
        copy_item(walk);
}

/* A byte string that is an item itself is walked through, and its length is put right. */
static void copy_nested(struct walk *walk, uint64_t argument) {
    AUTO_BUF inner = {0};
    struct walk inside = *walk;
    inside.end = walk->p + argument;
    inside.out = &inner;
    copy_item(&inside);
    put_head(walk->out, BYTES, inner.n);
    buf_add_bytes(walk->out, buf_bytes(&inner));
    walk->p += argument;
    walk->place = inside.place;
    walk->applied = inside.applied;
    walk->met = inside.met;
}

/* Copies the content elsewhere than to the output: to be left out. */
static void skip_content(struct walk *walk, unsigned major, uint64_t argument) {
    AUTO_BUF nowhere = {0};
    struct buf *out = walk->out;
    size_t wanted = walk->wanted;
    walk->out = &nowhere;
    walk->wanted = SIZE_MAX;
    copy_content(walk, major, argument);
    walk->out = out;
    walk->wanted = wanted;
}

static bool replace(struct walk *walk, unsigned major, uint64_t argument) {
    static const uint8_t number[] = {FLOAT64, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0};
    bool is_null = major == SIMPLE && argument == (NULL_ITEM & 0x1f);
    skip_content(walk, major, argument);
    if (walk->mutation == MUTATE_NULL) put_byte(walk->out, NULL_ITEM);
    if (walk->mutation == MUTATE_FLOAT) buf_add(walk->out, number, sizeof number);
    for (int i = 0; walk->mutation == MUTATE_DEEP && i < DEEP; i++) put_byte(walk->out, ARRAY << 5 | 1);
    if (walk->mutation == MUTATE_DEEP) put_byte(walk->out, 0);
    return !(is_null && walk->mutation == MUTATE_NULL);
}

static bool sized(unsigned major) { return major >= BYTES && major <= MAP; }

static bool put_damaged_head(struct walk *walk, unsigned major, uint64_t argument) {
    struct buf *out = walk->out;
    switch (walk->mutation) {
    case MUTATE_LONG_HEAD: return major != SIMPLE && put_long_head(out, major, argument);
    case MUTATE_OTHER_TYPE:
        if (major == SIMPLE) return false;
        put_head(out, major ^ 1, argument); /* uint/nint, bytes/text, array/map */
        return true;
    case MUTATE_INDEFINITE:
        if (!sized(major)) return false;
        put_byte(out, major << 5 | 31);
        return true;
    case MUTATE_TAGGED:
        put_head(out, TAG, 24);
        put_head(out, major, argument);
        return major != SIMPLE;
    case MUTATE_HUGE:
        if (!sized(major)) return false;
        put_wide(out, major, 3, (uint64_t)1 << 63);
        return true;
    case MUTATE_WIDE:
        if (!sized(major)) return false;
        put_wide(out, major, 2, UINT32_MAX);
        return true;
    case MUTATE_MORE:
        if (!sized(major)) return false;
        put_head(out, major, argument + 1);
        return true;
    case MUTATE_FEWER:
        if (!sized(major) || argument == 0) return false;
        put_head(out, major, argument - 1);
        return true;
    default: return false;
    }
}

static bool damage_map(struct walk *walk, uint64_t pairs) {
    struct buf *out = walk->out;
    put_head(out, MAP, pairs + 1);
    if (walk->mutation == MUTATE_REPEATED) {
        if (pairs == 0) return false;
        const uint8_t *first = walk->p;
        copy_items(walk, 2);
        walk->p = first;
    }
    copy_items(walk, 2 * pairs);
    if (walk->mutation == MUTATE_UNKNOWN_FIELD) {
        put_head(out, UINT, UNKNOWN_KEY);
        put_head(out, UINT, 1);
    }
    return true;
}

/* A list's items after the first, then the first again, if wanted. */
static bool change_list(struct walk *walk, uint64_t count) {
    struct buf *out = walk->out;
    if (count == 0 || (walk->mutation == MUTATE_REVERSED && count == 1)) {
        put_head(out, ARRAY, count);
        copy_items(walk, count);
        return false;
    }
    const uint8_t *first = walk->p;
    put_head(out, ARRAY,
             walk->mutation == MUTATE_DROP    ? count - 1
             : walk->mutation == MUTATE_TWICE ? count + 1
                                              : count);
    if (walk->mutation == MUTATE_TWICE)
        copy_item(walk);
    else
        skip_content(walk, ARRAY, 1);
    if (walk->mutation == MUTATE_TWICE) walk->p = first;
    copy_items(walk, walk->mutation == MUTATE_TWICE ? count : count - 1);
    if (walk->mutation != MUTATE_REVERSED) return true;
    const uint8_t *end = walk->p;
    walk->p = first;
    copy_item(walk);
    walk->p = end;
    return true;
}

static bool drop_last_pair(struct walk *walk, uint64_t pairs) {
    if (pairs == 0) return false;
    put_head(walk->out, MAP, pairs - 1);
    copy_items(walk, 2 * (pairs - 1));
    skip_content(walk, ARRAY, 2);
    return true;
}

static bool empty(struct walk *walk, unsigned major, uint64_t argument) {
    put_head(walk->out, major, 0);
    skip_content(walk, major, argument);
    return argument > 0;
}

/* The string's middle byte: of a text that stays UTF-8. */
static bool change_string(struct walk *walk, unsigned major, uint64_t argument) {
    size_t at = walk->out->n + (argument < 24 ? 1 : argument <= UINT8_MAX ? 2 : argument <= UINT16_MAX ? 3 : 5);
    put_head(walk->out, major, argument);
    copy_content(walk, major, argument);
    if (argument == 0 || walk->out->failed) return false;
    walk->out->p[at + argument / 2] ^= 1;
    return true;
}

static bool change_value(struct walk *walk, unsigned major, uint64_t argument) {
    if (major == BYTES || major == TEXT) return change_string(walk, major, argument);
    bool truth = major == SIMPLE && (argument == 20 || argument == 21);
    bool changes = truth || major == UINT;
    put_head(walk->out, major, changes ? argument ^ 1 : argument);
    copy_content(walk, major, argument);
    return changes;
}

static bool damage(struct walk *walk, unsigned major, uint64_t argument) {
    walk->met = true;
    walk->wanted = SIZE_MAX;
    enum mutation mutation = walk->mutation;
    if (mutation == MUTATE_NULL || mutation == MUTATE_FLOAT || mutation == MUTATE_DEEP)
        return replace(walk, major, argument);
    if (major == MAP && (mutation == MUTATE_UNKNOWN_FIELD || mutation == MUTATE_REPEATED))
        return damage_map(walk, argument);
    if (mutation == MUTATE_VALUE) return change_value(walk, major, argument);
    if (mutation == MUTATE_EMPTY && sized(major)) return empty(walk, major, argument);
    if (mutation == MUTATE_DROP && major == MAP) return drop_last_pair(walk, argument);
    if (mutation >= MUTATE_DROP && major == ARRAY) return change_list(walk, argument);
    bool applies = put_damaged_head(walk, major, argument);
    copy_content(walk, major, argument);
    if (applies && mutation == MUTATE_INDEFINITE) put_byte(walk->out, 0xff);
    return applies;
}

static void copy_item(struct walk *walk) {
    uint8_t head = *walk->p++;
    unsigned major = head >> 5;
    uint64_t argument = read_argument(walk, head);
    bool here = walk->place++ == walk->wanted;
    if (here) {
        walk->applied = damage(walk, major, argument);
    } else if (major == BYTES && argument > 1 && cbor_check(bytes_of(walk->p, (size_t)argument)) == E_OK) {
        copy_nested(walk, argument);
    } else {
        put_head(walk->out, major, argument);
        copy_content(walk, major, argument);
    }
}

bool mutate(struct bytes item, size_t place, enum mutation mutation, struct buf *out, bool *ret_past) {
    struct walk walk = {.p = item.p, .end = item.p + item.n, .wanted = place, .mutation = mutation, .out = out};
    copy_item(&walk);
    *ret_past = !walk.met;
    return walk.applied && !out->failed;
}
