/* tamper.c - the walk through an answer. */
#include "tamper.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "directory.h"
#include "head.h"
#include "joint.h"
#include "note.h"

const char *const change_names[CHANGE_COUNT] = {"flip", "remove", "empty", "other",   "plus", "minus",
                                                "zero", "most",   "twice", "reverse", "add"};

static const struct field note_fields[] = {
    {.name = "origin", .kind = FIELD_TEXT, .key = 1, .hi = 1024},
    {.name = "size", .kind = FIELD_UINT, .key = 2, .hi = INT64_MAX},
    {.name = "root", .kind = FIELD_FIXED, .key = 3, .hi = HASH_SIZE},
    {.name = "time", .kind = FIELD_TIME, .key = 4},
    {.name = "lines", .kind = FIELD_BYTES, .key = 5, .hi = HEAD_NOTE_MAX},
};
const struct object tamper_note_object = {"note", 0, note_fields, LENGTH(note_fields)};

enum shape { SHAPE_NOTHING, SHAPE_OBJECT, SHAPE_STAMPED, SHAPE_JOINT, SHAPE_NOTE };
struct inside {
    enum shape shape;
    const struct object *object; /* the payload's, of what is signed */
    enum label label;
};

/* ---- what lies in which bytes ---- */

static const struct {
    const struct object *object;
    const char *field;
    struct inside inside;
} insides[] = {
    {&welcome_object, "checkpoint", {SHAPE_NOTE, &tamper_note_object, 0}},
    {&welcome_object, "evidence", {SHAPE_NOTE, &tamper_note_object, 0}},
    {&welcome_object, "recovery", {SHAPE_JOINT, &relaychange_object, LABEL_RELAY}},
    {&leaves_object, "leaves", {SHAPE_OBJECT, &leaf_object, 0}},
    {&leaves_object, "checkpoint", {SHAPE_NOTE, &tamper_note_object, 0}},
    {&heads_object, "notes", {SHAPE_NOTE, &tamper_note_object, 0}},
    {&log_object, "note", {SHAPE_NOTE, &tamper_note_object, 0}},
    {&done_object, "promise", {SHAPE_STAMPED, &promise_object, LABEL_PROMISE}},
    {&prekeys_object, "prekeys", {SHAPE_STAMPED, &prekey_object, LABEL_PREKEY}},
    {&offered_object, "header", {SHAPE_STAMPED, &header_object, LABEL_HEADER}},
    {&offered_object, "wrapset", {SHAPE_STAMPED, &wrapset_object, LABEL_WRAPSET}},
    {&offered_object, "receipt", {SHAPE_OBJECT, &receipt_object, 0}},
    {&sent_object, "header", {SHAPE_STAMPED, &header_object, LABEL_HEADER}},
    {&sent_object, "wrapset", {SHAPE_STAMPED, &wrapset_object, LABEL_WRAPSET}},
    {&changed_object, "receipt", {SHAPE_OBJECT, &receipt_object, 0}},
    {&changed_object, "wrapset", {SHAPE_STAMPED, &wrapset_object, LABEL_WRAPSET}},
    {&place_object, "opening", {SHAPE_OBJECT, &opening_object, 0}},
    {&result_object, "receipt", {SHAPE_OBJECT, &receipt_object, 0}},
    {&tracked_object, "receipts", {SHAPE_OBJECT, &receipt_object, 0}},
    {&failed_object, "refusal", {SHAPE_OBJECT, &receipt_object, 0}},
    {&receipt_object, "statement", {SHAPE_STAMPED, &statement_object, LABEL_STATEMENT}},
    {&receipt_object, "record", {SHAPE_STAMPED, &record_object, LABEL_RECORD}},
    {&receipt_object, "checkpoint", {SHAPE_NOTE, &tamper_note_object, 0}},
    {&record_object, "entry", {SHAPE_OBJECT, &entry_object, 0}},
};

/* By the number beside them. */
static const struct inside leaf_insides[] = {
    [LEAF_CHARTER] = {SHAPE_STAMPED, &charter_object, LABEL_CHARTER},
    [LEAF_ADMISSION] = {SHAPE_JOINT, &admission_object, LABEL_ADMISSION},
    [LEAF_POST] = {SHAPE_STAMPED, &post_object, LABEL_POST},
    [LEAF_DEVICE] = {SHAPE_STAMPED, &device_object, LABEL_DEVICE},
    [LEAF_COUNTERSIGN] = {SHAPE_STAMPED, &countersign_object, LABEL_COUNTERSIGN},
    [LEAF_REVOCATION] = {SHAPE_STAMPED, &revocation_object, LABEL_REVOCATION},
    [LEAF_SUCCESSION] = {SHAPE_STAMPED, &succession_object, LABEL_SUCCESSION},
    [LEAF_DEPARTURE] = {SHAPE_STAMPED, &departure_object, LABEL_DEPARTURE},
    [LEAF_SPLIT] = {SHAPE_STAMPED, &split_object, LABEL_SPLIT},
    [LEAF_NOTICE] = {SHAPE_JOINT, &notice_object, LABEL_NOTICE},
    [LEAF_CONTACT] = {SHAPE_STAMPED, &contact_object, LABEL_CONTACT},
    [LEAF_RELAY] = {SHAPE_JOINT, &relaychange_object, LABEL_RELAY},
};
static const struct inside item_insides[] = {
    [ITEM_OFFERED] = {SHAPE_OBJECT, &offered_object, 0},
    [ITEM_SENT] = {SHAPE_OBJECT, &sent_object, 0},
    [ITEM_CHANGED] = {SHAPE_OBJECT, &changed_object, 0},
};

static struct inside inside_of(const struct object *object, const struct field *field, struct bytes whole) {
    struct leaf leaf;
    struct item item;
    if (object == &leaf_object && strcmp(field->name, "statement") == 0 && leaf_decode(whole, &leaf) == E_OK &&
        leaf.kind < LENGTH(leaf_insides))
        return leaf_insides[leaf.kind];
    if (object == &item_object && strcmp(field->name, "body") == 0 && item_decode(whole, &item) == E_OK &&
        item.kind < LENGTH(item_insides))
        return item_insides[item.kind];
    for (size_t i = 0; i < LENGTH(insides); i++)
        if (insides[i].object == object && strcmp(insides[i].field, field->name) == 0) return insides[i].inside;
    return (struct inside){SHAPE_NOTHING, NULL, 0};
}

/* ---- the walk ---- */

struct walk {
    struct tamper *tamper;
    struct tamper_aim *aim; /* NULL: only looks */
    enum message type;
    char path[TAMPER_PATH];
    bool own;
    struct bytes payload; /* of the signed thing that is walked, as it has become */
};

static void walk_object(struct walk *walk, const struct object *object, struct bytes bytes, struct buf *out);

static struct tamper_values *values_of(struct tamper *tamper, const struct object *object, const struct field *field) {
    for (size_t i = 0; i < tamper->value_count; i++)
        if (tamper->values[i].object == object && tamper->values[i].field == field) return &tamper->values[i];
    assert_true(tamper->value_count < TAMPER_KINDS);
    tamper->values[tamper->value_count] = (struct tamper_values){.object = object, .field = field};
    return &tamper->values[tamper->value_count++];
}

static void keep_value(struct tamper *tamper, const struct object *object, const struct field *field,
                       struct bytes item) {
    struct tamper_values *values = values_of(tamper, object, field);
    for (size_t i = 0; i < values->count; i++)
        if (bytes_equal(buf_bytes(&values->items[i]), item)) return;
    if (values->count < TAMPER_SAMPLES) buf_add_bytes(&values->items[values->count++], item);
}

static void look(struct walk *walk, const struct object *object, const struct field *field, struct bytes item) {
    struct tamper *tamper = walk->tamper;
    struct tamper_field *found = NULL;
    if (item.n) keep_value(tamper, object, field, item);
    for (size_t i = 0; i < tamper->count && !found; i++)
        if (strcmp(tamper->fields[i].path, walk->path) == 0) found = &tamper->fields[i];
    if (!found) {
        assert_true(tamper->count < TAMPER_FIELDS);
        found = &tamper->fields[tamper->count++];
        *found = (struct tamper_field){.type = walk->type, .object = object, .field = field};
        snprintf(found->path, sizeof found->path, "%s", walk->path);
    }
    found->own = found->own || walk->own;
    found->present = found->present || item.n > 0;
}

static uint64_t changed_number(uint64_t value, uint64_t most, enum change change) {
    switch (change) {
    case CHANGE_PLUS: return value + 1;
    case CHANGE_MINUS: return value - 1;
    case CHANGE_ZERO: return 0;
    default: return most;
    }
}

static void change_number(const struct field *field, struct bytes item, enum change change, struct buf *out) {
    struct cbor_in in = cbor_in(item);
    uint64_t value = cbor_uint(&in);
    bool fits = (change == CHANGE_MINUS && value > 0) || (change == CHANGE_PLUS && value < INT64_MAX) ||
                change == CHANGE_ZERO || change == CHANGE_MOST;
    if (!fits) return buf_add_bytes(out, item);
    cbor_put_uint(out, changed_number(value, field->kind == FIELD_TIME ? INT64_MAX : field->hi, change));
}

static void change_string(const struct field *field, struct bytes item, enum change change, struct buf *out) {
    AUTO_BUF bytes = {0};
    bool is_text = field->kind == FIELD_TEXT;
    struct cbor_in in = cbor_in(item);
    buf_add_bytes(&bytes, is_text ? cbor_text(&in, item.n) : cbor_bytes(&in, item.n));
    if (change == CHANGE_EMPTY) buf_clear(&bytes);
    if (change == CHANGE_ZERO && bytes.n) memset(bytes.p, 0, bytes.n);
    if (change == CHANGE_FLIP && bytes.n) bytes.p[bytes.n / 2] ^= 1;
    if (is_text)
        cbor_put_text(out, buf_bytes(&bytes));
    else
        cbor_put_bytes(out, buf_bytes(&bytes));
}

enum { ITEMS_MAX = 1024 };
static void change_list(struct bytes item, enum change change, struct buf *out) {
    struct bytes items[ITEMS_MAX];
    struct cbor_in in = cbor_in(item);
    size_t count = cbor_array(&in, ITEMS_MAX);
    for (size_t i = 0; i < count; i++) items[i] = cbor_item(&in);
    assert_ok(in.error);
    bool fits = (count > 0 && change != CHANGE_REVERSE) || count > 1;
    if (!fits) return buf_add_bytes(out, item);
    if (change == CHANGE_EMPTY) return cbor_put_array(out, 0);
    cbor_put_array(out, count + (change == CHANGE_TWICE));
    if (change == CHANGE_TWICE) buf_add_bytes(out, items[0]);
    for (size_t i = 0; i < count; i++) {
        struct bytes one = items[change == CHANGE_REVERSE ? count - 1 - i : i];
        size_t at = out->n;
        buf_add_bytes(out, one);
        if (change == CHANGE_FLIP && i == 0) out->p[at + one.n - 1] ^= 1;
    }
}

static void other_value(struct walk *walk, const struct object *object, const struct field *field, struct bytes item,
                        struct buf *out) {
    const struct tamper_values *values = values_of(walk->tamper, object, field);
    for (size_t i = 0; i < values->count; i++)
        if (!bytes_equal(buf_bytes(&values->items[i]), item)) return buf_add_bytes(out, buf_bytes(&values->items[i]));
    buf_add_bytes(out, item);
}

static void change_item(struct walk *walk, const struct object *object, const struct field *field, struct bytes item,
                        struct buf *out) {
    enum change change = walk->aim->change;
    if (change == CHANGE_REMOVE) return;
    if (change == CHANGE_OTHER) return other_value(walk, object, field, item, out);
    switch (field->kind) {
    case FIELD_SUITE:
    case FIELD_UINT:
    case FIELD_TIME: change_number(field, item, change, out); break;
    case FIELD_BOOL: cbor_put_bool(out, item.p[item.n - 1] == 0xf4); break;
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_FIXED: change_string(field, item, change, out); break;
    case FIELD_SUB: buf_add_bytes(out, item); break;
    default: change_list(item, change, out);
    }
}

static void add_absent(const struct field *field, struct buf *out) {
    static const uint8_t zeros[KEY_SIZE * 2];
    switch (field->kind) {
    case FIELD_SUITE:
    case FIELD_UINT:
    case FIELD_TIME: cbor_put_uint(out, field->lo ? field->lo : 1); break;
    case FIELD_BOOL: cbor_put_bool(out, true); break;
    case FIELD_TEXT: cbor_put_text(out, bytes_text("de/technical")); break;
    case FIELD_BYTES: cbor_put_bytes(out, bytes_of(zeros, 40)); break;
    case FIELD_FIXED: cbor_put_bytes(out, bytes_of(zeros, (size_t)field->hi)); break;
    case FIELD_SUB: break;
    default: cbor_put_array(out, 0);
    }
}

/* ---- signed things ---- */

static bool is_own_statement(const struct walk *walk, struct bytes payload) {
    struct statement statement;
    return statement_decode(payload, &statement) == E_OK &&
           memcmp(statement.device, walk->tamper->statement.public, KEY_SIZE) == 0;
}

static bool is_own(const struct walk *walk, const struct inside *inside, struct bytes payload) {
    if (inside->shape != SHAPE_STAMPED) return false;
    return inside->label == LABEL_RECORD || inside->label == LABEL_PROMISE ||
           (inside->label == LABEL_STATEMENT && is_own_statement(walk, payload));
}

static void walk_signed(struct walk *walk, const struct inside *inside, struct bytes bytes, struct buf *out) {
    bool joint = inside->shape == SHAPE_JOINT, was_own = walk->own;
    struct bytes payload;
    AUTO_BUF changed = {0};
    assert_ok(joint ? joint_peek(bytes, &payload) : stamp_peek(bytes, &payload));
    walk->own = is_own(walk, inside, payload);
    size_t n = strlen(walk->path);
    snprintf(walk->path + n, sizeof walk->path - n, "/%s.payload", joint ? "joint" : "stamped");
    walk_object(walk, inside->object, payload, &changed);
    walk->path[n] = 0;
    if (walk->aim && walk->aim->anew && walk->own && !bytes_equal(buf_bytes(&changed), payload)) {
        assert_ok(stamp_sign_one(inside->label, walk->tamper->statement.secret, buf_bytes(&changed), out));
        walk->own = was_own;
        return;
    }
    walk->own = false;
    struct bytes before = walk->payload;
    walk->payload = buf_bytes(&changed);
    walk_object(walk, joint ? &joint_object : &stamped_object, bytes, out);
    walk->payload = before;
    walk->own = was_own;
}

/* ---- heads ---- */

static void note_to_object(struct bytes bytes, struct buf *out) {
    struct note note;
    struct checkpoint checkpoint;
    struct instant time;
    assert_ok(note_parse(bytes, &note));
    assert_ok(checkpoint_parse(note.text, &checkpoint));
    assert_ok(head_time(checkpoint.extensions, &time));
    cbor_put_map(out, 5);
    cbor_put_uint(out, 1);
    cbor_put_text(out, checkpoint.origin);
    cbor_put_uint(out, 2);
    cbor_put_uint(out, checkpoint.size);
    cbor_put_uint(out, 3);
    cbor_put_bytes(out, bytes_of(checkpoint.root, HASH_SIZE));
    cbor_put_uint(out, 4);
    cbor_put_uint(out, time.ms);
    cbor_put_uint(out, 5);
    cbor_put_bytes(out, bytes_of(note.text.p + note.text.n + 1, bytes.n - note.text.n - 1));
}

/* The text's lines as far as they are there. */
static void note_text(struct cbor_in *in, struct buf *text, struct buf *lines) {
    char line[128];
    size_t count = cbor_map(in, 5);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = cbor_uint(in);
        if (key == 1) buf_add_bytes(text, cbor_text(in, 1024));
        if (key == 2) snprintf(line, sizeof line, "%llu", (unsigned long long)cbor_uint(in));
        if (key == 3) {
            struct bytes root = cbor_bytes(in, HASH_SIZE);
            sodium_bin2base64(line, sizeof line, root.p, root.n, sodium_base64_VARIANT_ORIGINAL);
        }
        if (key == 4) snprintf(line, sizeof line, "time %llu", (unsigned long long)cbor_uint(in));
        if (key == 5) {
            buf_add_bytes(lines, cbor_bytes(in, HEAD_NOTE_MAX));
            continue;
        }
        if (key != 1) buf_add_bytes(text, bytes_text(line));
        buf_add_bytes(text, bytes_text("\n"));
    }
    assert_ok(in->error);
}

static void object_to_note(struct walk *walk, struct bytes object, bool evidence, struct buf *out) {
    AUTO_BUF text = {0}, lines = {0};
    struct note_key key;
    struct cbor_in in = cbor_in(object);
    note_text(&in, &text, &lines);
    if (walk->aim->anew && strcmp(walk->aim->field->field->name, "lines") != 0) {
        buf_clear(&lines);
        assert_ok(head_key(&walk->tamper->card, evidence ? LOG_EVIDENCE : LOG_DIRECTORY, &key));
        note_sign(buf_bytes(&text), &key, walk->tamper->log.secret, 0, &lines);
    }
    buf_add_bytes(out, buf_bytes(&text));
    buf_add_bytes(out, bytes_text("\n"));
    buf_add_bytes(out, buf_bytes(&lines));
}

static void walk_note(struct walk *walk, struct bytes bytes, struct buf *out) {
    AUTO_BUF object = {0}, changed = {0};
    bool was_own = walk->own;
    walk->own = true;
    note_to_object(bytes, &object);
    walk_object(walk, &tamper_note_object, buf_bytes(&object), &changed);
    walk->own = was_own;
    if (!walk->aim || bytes_equal(buf_bytes(&object), buf_bytes(&changed))) return buf_add_bytes(out, bytes);
    struct note note;
    struct checkpoint head;
    assert_ok(note_parse(bytes, &note));
    assert_ok(checkpoint_parse(note.text, &head));
    bool evidence = head.origin.n > 9 && memcmp(head.origin.p + head.origin.n - 9, "/evidence", 9) == 0;
    object_to_note(walk, buf_bytes(&changed), evidence, out);
}

/* ---- fields ---- */

static void walk_inside(struct walk *walk, const struct inside *inside, struct bytes bytes, struct buf *out) {
    switch (inside->shape) {
    case SHAPE_OBJECT: walk_object(walk, inside->object, bytes, out); break;
    case SHAPE_STAMPED:
    case SHAPE_JOINT: walk_signed(walk, inside, bytes, out); break;
    case SHAPE_NOTE: walk_note(walk, bytes, out); break;
    default: buf_add_bytes(out, bytes);
    }
}

static void walk_bytes_item(struct walk *walk, const struct inside *inside, struct cbor_in *in, struct buf *out) {
    AUTO_BUF inner = {0};
    walk_inside(walk, inside, cbor_bytes(in, SIZE_MAX), &inner);
    cbor_put_bytes(out, buf_bytes(&inner));
}

static void walk_into(struct walk *walk, const struct object *object, const struct field *field, struct bytes whole,
                      struct bytes item, struct buf *out) {
    struct inside inside = inside_of(object, field, whole);
    struct cbor_in in = cbor_in(item);
    if (field->kind == FIELD_SUB) return walk_object(walk, field->sub, item, out);
    if (field->kind == FIELD_BYTES && inside.shape) return walk_bytes_item(walk, &inside, &in, out);
    bool list = field->kind == FIELD_LIST || (field->kind == FIELD_LISTBYTES && inside.shape);
    if (!list) return buf_add_bytes(out, item);
    size_t count = cbor_array(&in, SIZE_MAX);
    cbor_put_array(out, count);
    for (size_t i = 0; i < count; i++) {
        if (field->kind == FIELD_LIST)
            walk_object(walk, field->sub, cbor_item(&in), out);
        else
            walk_bytes_item(walk, &inside, &in, out);
    }
}

static bool is_aimed_at(const struct walk *walk) {
    return walk->aim && !walk->aim->applied && strcmp(walk->aim->field->path, walk->path) == 0;
}

/* Appends the field's value, or nothing. */
static void walk_field(struct walk *walk, const struct object *object, const struct field *field, struct bytes whole,
                       struct bytes item, struct buf *out) {
    size_t at = out->n;
    if (!walk->aim) look(walk, object, field, item);
    if (item.n == 0) {
        if (!is_aimed_at(walk) || walk->aim->change != CHANGE_ADD) return;
        add_absent(field, out);
        walk->aim->applied = out->n > at;
        return;
    }
    if (is_aimed_at(walk) && walk->aim->change != CHANGE_ADD) {
        change_item(walk, object, field, item, out);
        walk->aim->applied = out->n - at != item.n || memcmp(out->p + at, item.p, item.n) != 0;
        return;
    }
    if ((object == &stamped_object || object == &joint_object) && strcmp(field->name, "payload") == 0)
        return cbor_put_bytes(out, walk->payload);
    walk_into(walk, object, field, whole, item, out);
}

static void walk_object(struct walk *walk, const struct object *object, struct bytes bytes, struct buf *out) {
    struct cbor_in in = cbor_in(bytes);
    AUTO_BUF pairs = {0};
    size_t left = cbor_map(&in, 64), written = 0, n = strlen(walk->path);
    uint64_t key = left ? cbor_uint(&in) : 0;
    for (size_t i = 0; i < object->count; i++) {
        const struct field *field = &object->fields[i];
        struct bytes item = {0};
        AUTO_BUF value = {0};
        if (left && key == field->key) {
            item = cbor_item(&in);
            if (--left) key = cbor_uint(&in);
        }
        snprintf(walk->path + n, sizeof walk->path - n, "/%s.%s", object->name, field->name);
        walk_field(walk, object, field, bytes, item, &value);
        walk->path[n] = 0;
        if (value.n == 0) continue;
        cbor_put_uint(&pairs, field->key);
        buf_add_bytes(&pairs, buf_bytes(&value));
        written++;
    }
    assert_ok(in.error);
    assert_int_equal(left, 0);
    cbor_put_map(out, written);
    buf_add_bytes(out, buf_bytes(&pairs));
}

static const struct object *object_of(enum message type) { return message_row(type)->object; }

static struct walk walk_of(struct tamper *tamper, struct tamper_aim *aim, enum message type) {
    struct walk walk = {.tamper = tamper, .aim = aim, .type = type};
    snprintf(walk.path, sizeof walk.path, "%s", message_row(type)->name);
    return walk;
}

void tamper_look(struct tamper *tamper, enum message type, struct bytes body) {
    AUTO_BUF same = {0};
    struct walk walk = walk_of(tamper, NULL, type);
    walk_object(&walk, object_of(type), body, &same);
    assert_true(bytes_equal(buf_bytes(&same), body)); /* the walk itself changes nothing */
}

void tamper_body(struct tamper *tamper, struct tamper_aim *aim, enum message type, struct bytes body, struct buf *out) {
    struct walk walk = walk_of(tamper, aim, type);
    bool before = aim->applied;
    aim->applied = false;
    walk_object(&walk, object_of(type), body, out);
    aim->applied = before || !bytes_equal(buf_bytes(out), body);
}

bool tamper_fits(const struct tamper_field *field, enum change change) {
    if (change == CHANGE_ADD) return field->field->optional && field->field->kind != FIELD_SUB;
    if (!field->present) return false;
    if (change == CHANGE_REMOVE || change == CHANGE_OTHER) return true;
    bool number = change == CHANGE_PLUS || change == CHANGE_MINUS || change == CHANGE_ZERO || change == CHANGE_MOST;
    switch (field->field->kind) {
    case FIELD_SUITE:
    case FIELD_UINT:
    case FIELD_TIME: return number;
    case FIELD_BOOL: return change == CHANGE_FLIP;
    case FIELD_TEXT:
    case FIELD_BYTES: return change == CHANGE_FLIP || change == CHANGE_EMPTY;
    case FIELD_FIXED: return change == CHANGE_FLIP || change == CHANGE_ZERO || change == CHANGE_EMPTY;
    case FIELD_SUB: return false;
    default:
        return change == CHANGE_FLIP || change == CHANGE_EMPTY || change == CHANGE_TWICE || change == CHANGE_REVERSE;
    }
}

/* ---- all that there is ---- */

struct found {
    const struct object *objects[128];
    size_t count;
};
static void find(struct found *found, const struct object *object);

static void find_inside(struct found *found, const struct inside *inside) {
    if (inside->shape == SHAPE_STAMPED) find(found, &stamped_object);
    if (inside->shape == SHAPE_JOINT) find(found, &joint_object);
    if (inside->shape) find(found, inside->object);
}

static void find(struct found *found, const struct object *object) {
    for (size_t i = 0; i < found->count; i++)
        if (found->objects[i] == object) return;
    assert_true(found->count < LENGTH(found->objects));
    found->objects[found->count++] = object;
    for (size_t i = 0; i < object->count; i++)
        if (object->fields[i].sub) find(found, object->fields[i].sub);
    for (size_t i = 0; i < LENGTH(insides); i++)
        if (insides[i].object == object) find_inside(found, &insides[i].inside);
    if (object == &leaf_object)
        for (size_t i = 0; i < LENGTH(leaf_insides); i++) find_inside(found, &leaf_insides[i]);
    if (object == &item_object)
        for (size_t i = 0; i < LENGTH(item_insides); i++) find_inside(found, &item_insides[i]);
}

void tamper_every_field(void (*each)(const struct object *object, const struct field *field, void *context),
                        void *context) {
    struct found found = {0};
    for (unsigned type = 101; type < 256; type++)
        if (message_row((enum message)type)) find(&found, message_row((enum message)type)->object);
    for (size_t i = 0; i < found.count; i++)
        for (size_t k = 0; k < found.objects[i]->count; k++)
            each(found.objects[i], &found.objects[i]->fields[k], context);
}

void tamper_open(struct tamper *tamper, const struct scene_relay *relay) {
    *tamper = (struct tamper){.card = relay->card};
    tamper->log = scene_relay_key(relay, "log.key");
    tamper->statement = scene_relay_key(relay, "statement.key");
}

void tamper_close(struct tamper *tamper) {
    for (size_t i = 0; i < tamper->value_count; i++)
        for (size_t k = 0; k < tamper->values[i].count; k++) buf_free(&tamper->values[i].items[k]);
    tamper->value_count = tamper->count = 0;
}
