/* test_protocol_document.c - PROTOCOL.md says what the code says: every table of it is held against the code's own
 * tables, in both directions, and its worked example is computed anew from the keys that it prints.
 *
 * Tables of the document follow a comment line <!-- name -->; their first two lines are head and rule. Values of the
 * worked example stand in blocks that begin with ```example: a line `name =`, then indented lines of hex, or of text in
 * quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <ctype.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "card.h"
#include "chunks.h"
#include "content.h"
#include "directory.h"
#include "evidence.h"
#include "header.h"
#include "joint.h"
#include "message.h"
#include "sign.h"
#include "wrapping.h"

#define assert_ok(call) assert_string_equal(error_row(call)->name, "ok")

enum { CELL_MAX = 512, ROW_MAX = 2048, ROWS_MAX = 1024 };

static char *text; /* the document, read once */

static char *read_file(const char *name) {
    const char *path = getenv(name);
    assert_non_null(path);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    enum { FILE_MAX = 1 << 20 };
    char *bytes = calloc(1, FILE_MAX);
    assert_non_null(bytes);
    size_t n = fread(bytes, 1, FILE_MAX - 1, file);
    assert_true(n > 0 && n < FILE_MAX - 1);
    fclose(file);
    return bytes;
}

/* ---- tables ---- */

struct rows {
    char *row[ROWS_MAX];
    size_t count;
};

static void rows_free(struct rows *rows) {
    for (size_t i = 0; i < rows->count; i++) free(rows->row[i]);
    rows->count = 0;
}
#define AUTO_ROWS __attribute__((cleanup(rows_free))) struct rows

__attribute__((format(printf, 2, 3))) static void add(struct rows *rows, const char *format, ...) {
    char row[ROW_MAX];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(row, sizeof row, format, list);
    va_end(list);
    assert_true(n > 0 && (size_t)n < sizeof row && rows->count < ROWS_MAX);
    rows->row[rows->count++] = strdup(row);
}

/* The first `cells` cells of a line of a table, without blanks and backticks around them, joined by '|'. */
static void add_line(struct rows *rows, const char *line, size_t n, unsigned cells) {
    char row[ROW_MAX];
    size_t used = 0;
    const char *end = line + n, *at = line + 1;
    for (unsigned i = 0; i < cells; i++) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        assert_non_null(bar);
        const char *from = at, *to = bar;
        while (from < to && (*from == ' ' || *from == '`')) from++;
        while (to > from && (to[-1] == ' ' || to[-1] == '`')) to--;
        used += (size_t)snprintf(row + used, sizeof row - used, "%s%.*s", i ? "|" : "", (int)(to - from), from);
        assert_true(used < sizeof row);
        at = bar + 1;
    }
    add(rows, "%s", row);
}

/* All tables under <!-- name -->. */
static void document_rows(const char *name, unsigned cells, struct rows *ret) {
    char mark[CELL_MAX];
    snprintf(mark, sizeof mark, "\n<!-- %s -->\n", name);
    for (const char *at = text; (at = strstr(at, mark));) {
        at += strlen(mark);
        for (unsigned line = 0; *at == '|' || *at == '\n'; line++) {
            const char *newline = strchr(at, '\n');
            assert_non_null(newline);
            if (*at == '\n' && line > 0) break;
            if (*at == '\n')
                line--;
            else if (line >= 2)
                add_line(ret, at, (size_t)(newline - at), cells);
            at = newline + 1;
        }
        at--; /* the next mark may follow at once */
    }
}

static size_t count_in(const struct rows *rows, const char *row) {
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) count += strcmp(rows->row[i], row) == 0;
    return count;
}

/* How many rows stand on one side only, or more than once. */
static size_t differences(const char *name, const struct rows *document, const struct rows *code) {
    size_t wrong = 0;
    for (size_t i = 0; i < code->count; i++) {
        if (count_in(document, code->row[i]) == 1) continue;
        print_error("%s: PROTOCOL.md lacks (or repeats): %s\n", name, code->row[i]);
        wrong++;
    }
    for (size_t i = 0; i < document->count; i++) {
        if (count_in(code, document->row[i]) > 0) continue;
        print_error("%s: PROTOCOL.md says what the code does not: %s\n", name, document->row[i]);
        wrong++;
    }
    return wrong;
}

static void assert_same(const char *name, const struct rows *document, const struct rows *code) {
    assert_true(code->count > 0);
    assert_int_equal(differences(name, document, code), 0);
}

static void assert_table(const char *name, unsigned cells, const struct rows *code) {
    AUTO_ROWS document = {.count = 0};
    document_rows(name, cells, &document);
    assert_same(name, &document, code);
}

static void a_wrong_missing_added_or_repeated_row_is_noticed(void **state) {
    (void)state;
    static const char table[] =
        "\n<!-- pets -->\n| a | b |\n|---|---|\n| `cat` | 1 | warm |\n| dog |  2 | loyal |\n\n| x | 3 |\n";
    char *whole = text;
    AUTO_ROWS document = {.count = 0}, code = {.count = 0};
    text = strdup(table);
    assert_non_null(text);
    document_rows("pets", 2, &document);
    free(text);
    text = whole;
    assert_int_equal(document.count, 2);
    add(&code, "cat|1");
    assert_int_equal(differences("expected here", &document, &code), 1); /* dog is too many */
    add(&code, "dog|2");
    assert_int_equal(differences("expected here", &document, &code), 0);
    add(&code, "fish|3");
    assert_int_equal(differences("expected here", &document, &code), 1); /* fish is missing */
    add(&document, "fish|4");
    assert_int_equal(differences("expected here", &document, &code), 2); /* and here it is wrong */
    add(&document, "cat|1");
    assert_int_equal(differences("expected here", &document, &code), 3); /* and cat repeated */
}

/* ---- objects ---- */

static void say_range(const struct field *field, char *out) {
    if (field->lo == field->hi)
        snprintf(out, CELL_MAX, "%" PRIu64, field->lo);
    else
        snprintf(out, CELL_MAX, "%" PRIu64 "..%" PRIu64, field->lo, field->hi);
}

static void say_field(const struct field *field, char *type, char *bounds) {
    *bounds = 0;
    switch (field->kind) {
    case FIELD_SUITE:
        snprintf(type, CELL_MAX, "suite");
        snprintf(bounds, CELL_MAX, "%d", SUITE);
        return;
    case FIELD_UINT:
        snprintf(type, CELL_MAX, "uint");
        say_range(field, bounds);
        return;
    case FIELD_BOOL: snprintf(type, CELL_MAX, "bool"); return;
    case FIELD_TIME: snprintf(type, CELL_MAX, "time"); return;
    case FIELD_TEXT:
        snprintf(type, CELL_MAX, "text");
        snprintf(bounds, CELL_MAX, "0..%" PRIu64 " bytes", field->hi);
        return;
    case FIELD_BYTES:
        snprintf(type, CELL_MAX, "bytes");
        snprintf(bounds, CELL_MAX, "0..%" PRIu64 " bytes", field->hi);
        return;
    case FIELD_FIXED:
        snprintf(type, CELL_MAX, "bytes");
        snprintf(bounds, CELL_MAX, "%" PRIu64 " bytes", field->hi);
        return;
    case FIELD_SUB: snprintf(type, CELL_MAX, "%s", field->sub->name); return;
    case FIELD_LIST:
        snprintf(type, CELL_MAX, "list of %s", field->sub->name);
        snprintf(bounds, CELL_MAX, "0..%zu", field->max);
        return;
    case FIELD_LISTFIXED:
        snprintf(type, CELL_MAX, "list of bytes");
        snprintf(bounds, CELL_MAX, "0..%zu, each %" PRIu64 " bytes", field->max, field->hi);
        return;
    case FIELD_LISTUINT:
        snprintf(type, CELL_MAX, "list of uint");
        snprintf(bounds, CELL_MAX, "0..%zu", field->max);
        return;
    case FIELD_LISTBYTES:
        snprintf(type, CELL_MAX, "list of bytes");
        snprintf(bounds, CELL_MAX, "0..%zu, each 0..%" PRIu64 " bytes", field->max, field->hi);
        return;
    }
    fail();
}

static void every_field_of_every_object_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
    for (const struct object *const *object = object_list; *object; object++)
        for (size_t i = 0; i < (*object)->count; i++) {
            const struct field *field = &(*object)->fields[i];
            char type[CELL_MAX], bounds[CELL_MAX];
            say_field(field, type, bounds);
            add(&code, "%s|%u|%s|%s|%s|%s", (*object)->name, field->key, field->name, type,
                field->optional ? "optional" : "required", bounds);
        }
    assert_table("fields", 6, &code);
}

static void say_cddl(const struct field *field, char *out) {
    char range[CELL_MAX];
    switch (field->kind) {
    case FIELD_SUITE: snprintf(out, CELL_MAX, "suite"); return;
    case FIELD_UINT: say_range(field, out); return;
    case FIELD_BOOL: snprintf(out, CELL_MAX, "bool"); return;
    case FIELD_TIME: snprintf(out, CELL_MAX, "instant"); return;
    case FIELD_TEXT: snprintf(out, CELL_MAX, "tstr .size (0..%" PRIu64 ")", field->hi); return;
    case FIELD_BYTES: snprintf(out, CELL_MAX, "bstr .size (0..%" PRIu64 ")", field->hi); return;
    case FIELD_FIXED: snprintf(out, CELL_MAX, "bstr .size %" PRIu64, field->hi); return;
    case FIELD_SUB: snprintf(out, CELL_MAX, "%s", field->sub->name); return;
    case FIELD_LIST: snprintf(out, CELL_MAX, "[0*%zu %s]", field->max, field->sub->name); return;
    case FIELD_LISTFIXED: snprintf(out, CELL_MAX, "[0*%zu bstr .size %" PRIu64 "]", field->max, field->hi); return;
    case FIELD_LISTUINT: snprintf(out, CELL_MAX, "[0*%zu uint]", field->max); return;
    case FIELD_LISTBYTES:
        snprintf(range, sizeof range, "(0..%" PRIu64 ")", field->hi);
        snprintf(out, CELL_MAX, "[0*%zu bstr .size %.64s]", field->max, range);
        return;
    }
    fail();
}

static void the_grammar_is_that_of_the_tables(void **state) {
    (void)state;
    AUTO_BUF want = {0};
    char line[2 * CELL_MAX], type[CELL_MAX];
    buf_add_bytes(&want,
                  bytes_text("\n```cddl\nsuite = 1\ninstant = uint ; milliseconds since 1970-01-01T00:00:00Z\n"));
    for (const struct object *const *object = object_list; *object; object++) {
        snprintf(line, sizeof line, "\n%s = {\n", (*object)->name);
        buf_add_bytes(&want, bytes_text(line));
        for (size_t i = 0; i < (*object)->count; i++) {
            const struct field *field = &(*object)->fields[i];
            say_cddl(field, type);
            snprintf(line, sizeof line, "  %s%u: %s, ; %s\n", field->optional ? "? " : "", field->key, type,
                     field->name);
            buf_add_bytes(&want, bytes_text(line));
        }
        buf_add_bytes(&want, bytes_text("}\n"));
    }
    buf_add_bytes(&want, bytes_text("```\n"));
    buf_add(&want, "", 1);
    assert_false(want.failed);
    if (strstr(text, (const char *)want.p)) return;
    fprintf(stderr, "PROTOCOL.md's grammar should be:%s", (const char *)want.p); /* too long for print_error */
    fail();
}

static void every_named_value_stands_in_the_document(void **state) {
    (void)state;
    static const struct value {
        const char *field;
        int number;
        const char *name;
    } values[] = {
        {"leaf.kind", LEAF_CHARTER, "charter"},
        {"leaf.kind", LEAF_ADMISSION, "admission"},
        {"leaf.kind", LEAF_POST, "post"},
        {"leaf.kind", LEAF_DEVICE, "device"},
        {"leaf.kind", LEAF_COUNTERSIGN, "countersign"},
        {"leaf.kind", LEAF_REVOCATION, "revocation"},
        {"leaf.kind", LEAF_SUCCESSION, "succession"},
        {"leaf.kind", LEAF_DEPARTURE, "departure"},
        {"leaf.kind", LEAF_SPLIT, "split"},
        {"leaf.kind", LEAF_NOTICE, "notice"},
        {"leaf.kind", LEAF_CONTACT, "contact"},
        {"leaf.kind", LEAF_RELAY, "relay"},
        {"relaychange.action", RELAY_MOVED, "moved"},
        {"relaychange.action", RELAY_RECOVERED, "recovered"},
        {"getlog.log", LOG_DIRECTORY, "directory"},
        {"getlog.log", LOG_EVIDENCE, "evidence"},
        {"charter.kind", PARTY_STATE, "State"},
        {"charter.kind", PARTY_INTERGOVERNMENTAL, "intergovernmental organisation"},
        {"charter.kind", PARTY_OBSERVER, "observer"},
        {"admission.action", ACTION_ADMIT, "admit"},
        {"admission.action", ACTION_SUSPEND, "suspend"},
        {"admission.action", ACTION_RESUME, "resume"},
        {"admission.action", ACTION_NOMINATE, "nominate"},
        {"succession.action", SUCCESSION_RENEW, "renew"},
        {"succession.action", SUCCESSION_RECOVER, "recover"},
        {"succession.action", SUCCESSION_TAKE, "take"},
        {"succession.action", SUCCESSION_OBJECT, "object"},
        {"split.action", SPLIT_INTO, "into"},
        {"split.action", SPLIT_BACK, "back"},
        {"draftfield.audience", AUDIENCE_NOBODY, "nobody"},
        {"sheet.audience", AUDIENCE_PARTIES, "the parties named"},
        {"sheet.audience", AUDIENCE_MEMBERS, "all members"},
        {"sheet.audience", AUDIENCE_PUBLIC, "everybody"},
        {"fraud.kind", FRAUD_HEADS, "heads"},
        {"fraud.kind", FRAUD_ENTRIES, "entries"},
        {"fraud.kind", FRAUD_PROMISE, "promise"},
        {"fraud.kind", FRAUD_LEAVES, "leaves"},
        {"post.functions", FUNCTION_DIPLOMATIC, "diplomatic (a bit)"},
        {"post.functions", FUNCTION_POLICY, "policy (a bit)"},
        {"post.functions", FUNCTION_TECHNICAL, "technical (a bit)"},
        {"device.role", ROLE_DECIDER, "decider"},
        {"device.role", ROLE_READER, "reader"},
        {"device.role", ROLE_BELL, "bell"},
        {"chunk.part", PART_OFFER, "offer"},
        {"chunk.part", PART_BODY, "body"},
        {"offer.kind", KIND_INCIDENT, "incident"},
        {"offer.kind", KIND_CLARIFICATION, "clarification"},
        {"offer.kind", KIND_ASSISTANCE, "assistance"},
        {"offer.kind", KIND_NOTICE, "notice"},
        {"offer.kind", KIND_PING, "ping"},
        {"header.precedence", PRECEDENCE_ROUTINE, "routine"},
        {"header.precedence", PRECEDENCE_PRIORITY, "priority"},
        {"header.precedence", PRECEDENCE_IMMEDIATE, "immediate"},
        {"header.precedence", PRECEDENCE_FLASH, "flash"},
        {"offer.tlp", TLP_CLEAR, "TLP:CLEAR"},
        {"offer.tlp", TLP_GREEN, "TLP:GREEN"},
        {"offer.tlp", TLP_AMBER, "TLP:AMBER"},
        {"offer.tlp", TLP_AMBER_STRICT, "TLP:AMBER+STRICT"},
        {"offer.tlp", TLP_RED, "TLP:RED"},
        {"offer.pap", PAP_CLEAR, "PAP:CLEAR"},
        {"offer.pap", PAP_GREEN, "PAP:GREEN"},
        {"offer.pap", PAP_AMBER, "PAP:AMBER"},
        {"offer.pap", PAP_RED, "PAP:RED"},
        {"item.kind", ITEM_OFFERED, "offered"},
        {"item.kind", ITEM_SENT, "sent"},
        {"item.kind", ITEM_CHANGED, "changed"},
        {"wrap.mode", HPKE_BASE, "base"},
        {"wrap.mode", HPKE_PSK, "psk"},
    };
    AUTO_ROWS code = {.count = 0};
    for (size_t i = 0; i < LENGTH(values); i++)
        add(&code, "%s|%d|%s", values[i].field, values[i].number, values[i].name);
    assert_table("values", 3, &code);
}

/* ---- labels, messages, errors, limits ---- */

static void every_label_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
#define LABEL(name, text) add(&code, "%s|%s", #name, text);
#include "label.def"
#undef LABEL
    assert_table("labels", 2, &code);
}

static const char *lower(const char *word) {
    static char small[32];
    size_t n = strlen(word);
    assert_true(n < sizeof small);
    for (size_t i = 0; i <= n; i++) small[i] = (char)tolower((unsigned char)word[i]);
    return small;
}

static void every_field_of_a_contact_card_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
#define CARDFIELD(number, NAME, name, form, audience, text)                                                            \
    add(&code, "%d|%s|%s|%s|%s", number, name, #form, lower(#audience), text);
#include "cardfield.def"
#undef CARDFIELD
    assert_table("card fields", 5, &code);
}

static void the_code_in_the_document_is_that_of_its_bytes(void **state) {
    (void)state;
    uint8_t secret[2 * TEXT_CODE_ROW];
    char code[2 * TEXT_CODE_SIZE], line[sizeof code + 16];
    for (size_t i = 0; i < sizeof secret; i++) secret[i] = (uint8_t)i;
    text_code(secret, 2, code);
    snprintf(line, sizeof line, "\n    %s\n", code);
    assert_non_null(strstr(text, line));
}

static const char *answer_name(enum message answer) {
    return answer == MESSAGE_NONE ? "none" : message_row(answer)->name;
}

static void every_message_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
    const struct message_row *row;
    for (unsigned i = 0; (row = message_nth(i)); i++)
        add(&code, "%u|%s|%s|%s|%s|%s", row->type, row->name, row->object->name, row->from_client ? "client" : "relay",
            row->anyone ? "anyone" : "member", answer_name(row->answer));
    assert_table("messages", 6, &code);
}

static void every_error_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
    const struct error_row *row;
    for (unsigned i = 0; (row = error_nth(i)); i++)
        add(&code, "%u|%s|%s|%s", row->error, row->name, row->again ? "transient" : "final", row->text);
    assert_table("errors", 4, &code);
}

#define LIMITS(X)                                                                                                      \
    X(WIRE_VERSION)                                                                                                    \
    X(SUITE)                                                                                                           \
    X(HASH_SIZE)                                                                                                       \
    X(KEY_SIZE) X(SIGN_SECRET_SIZE) X(SIGNATURE_SIZE) X(REQUEST_ID_SIZE) X(NONCE_SIZE) X(PREKEY_ID_SIZE) X(TAG_SIZE)   \
        X(PARTY_MAX) X(DESK_MAX) X(POST_MAX) X(NAME_MAX_SIZE) X(CBOR_DEPTH_MAX) X(LEGS_DEPTH) X(LEGS_MAX)              \
            X(STAMP_PATH_MAX) X(STAMP_MAX) X(CHUNK_PLAIN) X(CHUNK_SIZE) X(DEVICES_PER_POST_MAX) X(PREKEY_DAYS_AHEAD)   \
                X(PREKEY_WINDOW_DAYS) X(PREKEY_BATCH_MAX) X(VOIDS_MAX) X(SUBJECT_MAX) X(SUMMARY_MAX) X(NOTE_MAX)       \
                    X(PARTS_MAX) X(FILENAME_MAX_SIZE) X(HEADER_MAX) X(SIGNATURE_MAX) X(STAMPED_OVERHEAD)               \
                        X(OPENING_MAX) X(STATEMENT_MAX) X(ENTRY_MAX) X(WRAP_PLAIN_MAX) X(WRAPSET_MAX)                  \
                            X(CERTIFICATE_MAX) X(RECEIPT_MAX) X(SIGNERS_MAX) X(DIRSTATEMENT_MAX) X(SPLIT_MAX) X(SHEETS_MAX) X(SHEET_MAX) X(SHEET_WRAPS_MAX) X(AUDIENCE_MAX) X(CARD_FIELDS_MAX) X(CARD_VALUE_MAX) X(BOX_ITEM_MAX) X(BOX_ITEMS_MAX) X(PARCEL_MAX) X(PARCEL_ITEMS_MAX) X(CARD_ADDRESSES) X(CARD_ADDRESS_MAX) X(FRAUD_LEAVES_MAX) X(WITNESSES_MAX) X(HEAD_NOTE_MAX) X(MESSAGE_MAX) X(FEED_MAX) X(LEAVES_MAX)                 \
                                X(STATEMENTS_MAX) X(LOG_SIZES_MAX) X(LOG_HASHES_MAX) X(MERKLE_PROOF_MAX) X(BUNDLE_RECEIPTS_MAX) X(BUNDLE_STEPS_MAX) X(BUNDLE_MAX) X(LOG_DIRECTORY) X(LOG_EVIDENCE) X(SIGNED_NOTE_MAX) X(NOTE_KEY_NAME_MAX) X(NOTE_SIGNATURES_MAX)       \
                                    X(NOTE_SIGNATURE_MAX) X(PART_MAX) X(KEEP_MIN_S) X(KEEP_MAX_S) X(KEEP_DEFAULT_S)    \
                                        X(DEVICE_VALIDITY_MAX_MS) X(NOTICE_MS) X(HEAD_TIME_MS) X(WITNESS_AGE_S) X(PROMISE_MS) X(LOSS_OFFERS_MS) X(DAY_MS)

static bool limit_listed(const char *name, size_t n) {
#define X(limit)                                                                                                       \
    if (strlen(#limit) == n && memcmp(#limit, name, n) == 0) return true;
    LIMITS(X)
#undef X
    return false;
}

/* The C list above has all that limits.h defines: a name of capitals before '=' or after #define. */
static void check_limit_list(const char *source) {
    static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t seen = 0;
    for (const char *at = source; *at;) {
        size_t n = strspn(at, capitals);
        bool defined = at >= source + 8 && memcmp(at - 8, "#define ", 8) == 0 && at[n] == ' ';
        bool begins = at == source || !strchr("abcdefghijklmnopqrstuvwxyz", at[-1]);
        if (n > 1 && begins && (defined || strncmp(at + n, " = ", 3) == 0)) {
            if (!limit_listed(at, n)) print_error("limits.h has %.*s, this test has not\n", (int)n, at);
            assert_true(limit_listed(at, n));
            seen++;
        }
        at += n ? n : 1;
    }
    size_t count = 0;
#define X(limit) count++;
    LIMITS(X)
#undef X
    assert_int_equal(seen, count);
}

static void every_limit_stands_in_the_document(void **state) {
    (void)state;
    char *source = read_file("POUCH_LIMITS");
    check_limit_list(source);
    free(source);
    AUTO_ROWS code = {.count = 0};
#define X(limit) add(&code, "%s|%" PRIu64, #limit, (uint64_t)limit);
    LIMITS(X)
    X(CONTENT_MIN)
    X(CARD_ADDRESSES_MAX)
    X(CARD_KEYS_MAX)
#undef X
    assert_table("limits", 2, &code);
}

/* ---- the life of a leg ---- */

static const char *const state_names[] = {
#define STATE(name, number, json, terminal, text) [number] = #name,
#include "leg.def"
};

static void every_state_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
#define STATE(name, number, json, terminal, text)                                                                      \
    add(&code, "%d|%s|%s|%s|%s", number, #name, json, terminal ? "yes" : "no", text);
#include "leg.def"
    assert_table("states", 5, &code);
}

static void every_event_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
#define EVENT(name, number, etsi, actor, role, text)                                                                   \
    add(&code, "%d|%s|%s|%s|%s|%s", number, #name, etsi, #actor, #role, text);
#include "leg.def"
    assert_table("events", 6, &code);
}

static void every_step_stands_in_the_document(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0};
#define STEP(from, event, to, kinds) add(&code, "%s|%s|%s|%s", #from, #event, #to, #kinds);
#include "leg.def"
    assert_table("steps", 4, &code);
}

/* Below the drawing stands one line a state, in the form `  NOTIFIED --> OPENED, DECLINED`: the same arrows as the
 * table. */
static void the_drawing_has_the_arrows_of_the_table(void **state) {
    (void)state;
    AUTO_ROWS code = {.count = 0}, document = {.count = 0};
    const struct leg_step *step;
    for (unsigned i = 0; (step = leg_step_nth(i)); i++)
        add(&code, "%s -> %s", state_names[step->from], state_names[step->to]);
    const char *at = strstr(text, "\n```states\n");
    assert_non_null(at);
    for (at += strlen("\n```states\n"); strncmp(at, "```", 3) != 0; at = strchr(at, '\n') + 1) {
        char from[64], to[64];
        int n = 0;
        if (*at == '\n') continue; /* sscanf would read on in the next line */
        if (sscanf(at, " %63[A-Z_] -->%n", from, &n) != 1 || n == 0) continue;
        const char *word = at + n;
        while (sscanf(word, " %63[A-Z_]%n", to, &n) == 1) {
            add(&document, "%s -> %s", from, to);
            word += n;
            word += *word == ',';
            if (*word == '\n') break;
        }
    }
    assert_same("drawing", &document, &code);
}

/* ---- the worked example ---- */

struct value {
    char name[64];
    struct buf bytes;
    bool used;
};
static struct value values[256];
static size_t value_count, wrong_values;

static void take_value(const char *name, size_t n, const char **at) {
    struct value *value = &values[value_count++];
    assert_true(n < sizeof value->name && value_count < LENGTH(values));
    memcpy(value->name, name, n);
    for (; **at == ' '; *at = strchr(*at, '\n') + 1) {
        const char *line = *at + strspn(*at, " "), *end = strchr(line, '\n');
        if (*line == '"') {
            buf_add(&value->bytes, line + 1, (size_t)(end - line) - 2);
            continue;
        }
        size_t half = (size_t)(end - line) / 2;
        uint8_t *to = buf_extend(&value->bytes, half);
        assert_non_null(to);
        assert_ok(text_unhex(bytes_of(line, (size_t)(end - line)), to, half));
    }
}

static int read_example(void **state) {
    (void)state;
    for (const char *at = text; (at = strstr(at, "\n```example\n"));) {
        at += strlen("\n```example\n");
        while (strncmp(at, "```", 3) != 0) {
            const char *end = strchr(at, '\n');
            assert_true(end - at > 2 && memcmp(end - 2, " =", 2) == 0);
            const char *name = at;
            at = end + 1;
            take_value(name, (size_t)(end - 2 - name), &at);
        }
    }
    return value_count == 0;
}

static int free_example(void **state) {
    (void)state;
    for (size_t i = 0; i < value_count; i++) buf_free(&values[i].bytes);
    return 0;
}

static struct value *find_value(const char *name) {
    for (size_t i = 0; i < value_count; i++)
        if (strcmp(values[i].name, name) == 0) return &values[i];
    return NULL;
}

/* An input: what the document prints. */
static const uint8_t *given(const char *name, size_t n) {
    struct value *value = find_value(name);
    if (!value) {
        print_error("the example lacks %s\n", name);
        abort(); /* without its keys nothing follows */
    }
    assert_int_equal(value->bytes.n, n);
    value->used = true;
    return value->bytes.p;
}

static void is(const char *name, struct bytes bytes) {
    struct value *value = find_value(name);
    if (value && bytes_equal(buf_bytes(&value->bytes), bytes)) {
        value->used = true;
        return;
    }
    AUTO_FREE(char) hex = malloc(2 * bytes.n + 1);
    assert_non_null(hex);
    text_hex(bytes.p, bytes.n, hex);
    wrong_values++;
    print_error("the example's value should be\n%s =\n", name);
    for (size_t i = 0; i < 2 * bytes.n; i += 96) print_error("  %.96s\n", hex + i);
}

static void is_hash(const char *name, const uint8_t hash[static HASH_SIZE]) { is(name, bytes_of(hash, HASH_SIZE)); }

/* Everything that the example makes, kept until its end: views point into it. */
static struct buf kept[256];
static size_t kept_count;
static struct buf *keep(void) {
    assert_true(kept_count < LENGTH(kept));
    kept[kept_count] = (struct buf){0};
    return &kept[kept_count++];
}

static struct bytes encoded(const struct object *object, const void *value) {
    struct buf *out = keep();
    codec_encode(object, value, out);
    assert_false(out->failed);
    return buf_bytes(out);
}

static struct bytes stamped(enum label label, const uint8_t secret[static SIGN_SECRET_SIZE], struct bytes payload) {
    struct buf *out = keep();
    assert_ok(stamp_sign_one(label, secret, payload, out));
    return buf_bytes(out);
}

#define EXAMPLE_TIME ((struct instant){1767225600000}) /* 2026-01-01T00:00:00Z */
enum { EXAMPLE_DAY = 20454, EXAMPLE_POSITION = 599, EXAMPLE_SEQUENCE = 1, WEEK_S = 7 * 86400 };

struct key {
    uint8_t public[KEY_SIZE], secret[SIGN_SECRET_SIZE];
};
struct people { /* one party with one post and one device */
    const char *party, *post;
    struct key authority, post_key, revoker, device;
    uint8_t transport[KEY_SIZE];
};
struct example {
    struct key registrar, relay;
    struct people fj, de;
    struct directory *directory;
    uint8_t root[HASH_SIZE];
    struct header header;
    struct bytes header_stamped, wrapset, submit_place;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE];
    struct place place;
    uint8_t prekey_secret[KEY_SIZE];
    struct wrapping_target target;
    uint8_t last_entry[HASH_SIZE];
    struct buf *log; /* hashes of the evidence log's leaves */
    struct list path;
};

static void name_of(const char *party, const char *what, char *out) {
    snprintf(out, 64, "%s%s%s", party, *party ? "." : "", what);
}

static struct key key_of(const char *party, const char *what) {
    struct key key;
    char seed[64], public[64];
    name_of(party, what, seed);
    snprintf(public, sizeof public, "%.40s.key", seed);
    strcat(seed, ".seed");
    crypto_sign_seed_keypair(key.public, key.secret, given(seed, KEY_SIZE));
    is_hash(public, key.public);
    return key;
}

/* The signature of a statement, step by step. */
static void show_signature(const char *name, enum label label, struct bytes payload, struct bytes stamped_bytes) {
    char path[64];
    uint8_t hash[HASH_SIZE];
    struct stamped parts;
    stamp_hash(payload, hash);
    snprintf(path, sizeof path, "%s.hash", name);
    is_hash(path, hash);
    struct batch batch = {.size = 1};
    memcpy(batch.root, hash, HASH_SIZE);
    struct bytes batch_bytes = encoded(&batch_object, &batch);
    snprintf(path, sizeof path, "%s.batch", name);
    is(path, batch_bytes);
    struct buf *tbs = keep();
    cbor_put_array(tbs, 4);
    cbor_put_text(tbs, bytes_text("Signature1"));
    cbor_put_bytes(tbs, bytes_of("\xa1\x01\x32", 3));
    cbor_put_bytes(tbs, label_text(label));
    cbor_put_bytes(tbs, batch_bytes);
    snprintf(path, sizeof path, "%s.sig_structure", name);
    is(path, buf_bytes(tbs));
    assert_ok(stamped_decode(stamped_bytes, &parts));
    snprintf(path, sizeof path, "%s.signature", name);
    is(path, parts.signature);
}

/* What registrars sign. */
static struct bytes jointly(enum label label, const uint8_t *secret, struct bytes payload) {
    AUTO_BUF begun = {0};
    struct buf *out = keep();
    assert_ok(joint_begin(payload, &begun));
    assert_ok(joint_sign(label, secret, buf_bytes(&begun), out));
    return buf_bytes(out);
}

static void add_leaf(struct example *example, enum leaf_kind kind, enum label label, const struct key *key,
                     struct bytes payload) {
    char name[64];
    struct leaf leaf = {.kind = (uint64_t)kind, .time = EXAMPLE_TIME};
    leaf.statement = kind == LEAF_ADMISSION ? jointly(label, key->secret, payload) : stamped(label, key->secret, payload);
    snprintf(name, sizeof name, "leaf.%" PRIu64, directory_size(example->directory));
    struct bytes bytes = encoded(&leaf_object, &leaf);
    is(name, bytes);
    if (directory_size(example->directory) == 0) {
        is("charter.payload", payload);
        is("charter.stamped", leaf.statement);
        show_signature("charter", label, payload, leaf.statement);
    }
    assert_ok(directory_apply(example->directory, bytes));
}

static void make_party(struct example *example, struct people *people, const char *title) {
    char name[64];
    const char *party = people->party;
    people->authority = key_of(party, "authority");
    people->post_key = key_of(party, "post");
    people->revoker = key_of(party, "revoker");
    people->device = key_of(party, "device");
    struct key next = key_of(party, "next");
    name_of(party, "transport.secret", name);
    assert_int_equal(crypto_scalarmult_base(people->transport, given(name, KEY_SIZE)), 0);
    name_of(party, "transport.key", name);
    is_hash(name, people->transport);

    struct charter charter = {
        .party = bytes_text(party), .name = bytes_text(title), .kind = PARTY_STATE, .created = EXAMPLE_TIME};
    memcpy(charter.authority, people->authority.public, KEY_SIZE);
    label_digest(LABEL_NEXT_KEY, bytes_of(next.public, KEY_SIZE), charter.next);
    struct bytes charter_bytes = encoded(&charter_object, &charter);
    struct admission admission = {
        .party = charter.party, .action = ACTION_ADMIT, .has_charter = true, .created = EXAMPLE_TIME};
    stamp_hash(charter_bytes, admission.charter);
    struct post post = {.post = bytes_text(people->post),
                        .functions = FUNCTION_TECHNICAL,
                        .created = EXAMPLE_TIME,
                        .has_revoker = true};
    memcpy(post.key, people->post_key.public, KEY_SIZE);
    memcpy(post.authority, people->authority.public, KEY_SIZE);
    memcpy(post.revoker, people->revoker.public, KEY_SIZE);
    struct device device = {.post = post.post,
                            .role = ROLE_DECIDER,
                            .not_before = EXAMPLE_TIME,
                            .not_after = {EXAMPLE_TIME.ms + DEVICE_VALIDITY_MAX_MS}};
    memcpy(device.device, people->device.public, KEY_SIZE);
    memcpy(device.transport, people->transport, KEY_SIZE);
    memcpy(device.issuer, people->post_key.public, KEY_SIZE);
    struct bytes device_bytes = encoded(&device_object, &device);
    struct countersign countersign = {.created = EXAMPLE_TIME};
    stamp_hash(device_bytes, countersign.certificate);
    memcpy(countersign.signer, people->authority.public, KEY_SIZE);

    add_leaf(example, LEAF_CHARTER, LABEL_CHARTER, &people->authority, charter_bytes);
    add_leaf(example, LEAF_ADMISSION, LABEL_ADMISSION, &example->registrar, encoded(&admission_object, &admission));
    add_leaf(example, LEAF_POST, LABEL_POST, &people->authority, encoded(&post_object, &post));
    add_leaf(example, LEAF_DEVICE, LABEL_DEVICE, &people->post_key, device_bytes);
    add_leaf(example, LEAF_COUNTERSIGN, LABEL_COUNTERSIGN, &people->authority,
             encoded(&countersign_object, &countersign));
    if (strcmp(party, "fj") != 0) return;
    uint8_t hash[HASH_SIZE];
    char digits[TEXT_FINGERPRINT_SIZE];
    label_digest(LABEL_FINGERPRINT, charter_bytes, hash);
    text_fingerprint(hash, digits);
    is("charter.fingerprint", bytes_text(digits));
}

static void make_directory(struct example *example) {
    example->registrar = key_of("", "registrar");
    example->relay = key_of("", "relay");
    struct card card = {.registrar_count = 1, .threshold = 1};
    memcpy(card.registrars[0], example->registrar.public, KEY_SIZE);
    example->directory = directory_new(&card);
    assert_non_null(example->directory);
    make_party(example, &example->fj, "Fiji");
    make_party(example, &example->de, "Germany");
    directory_root(example->directory, example->root);
    is_hash("directory.root", example->root);
}

static void make_prekey(struct example *example) {
    struct prekey prekey = {.day = EXAMPLE_DAY}, opened;
    uint8_t id[PREKEY_ID_SIZE];
    memcpy(example->prekey_secret, given("de.prekey.secret", KEY_SIZE), KEY_SIZE);
    memcpy(prekey.device, example->de.device.public, KEY_SIZE);
    assert_int_equal(crypto_scalarmult_base(prekey.key, example->prekey_secret), 0);
    struct bytes payload = encoded(&prekey_object, &prekey);
    struct bytes stamped_bytes = stamped(LABEL_PREKEY, example->de.device.secret, payload);
    is("prekey.payload", payload);
    is("prekey.stamped", stamped_bytes);
    assert_ok(directory_open_prekey(example->directory, stamped_bytes, &opened, id));
    is("prekey.id", bytes_of(id, sizeof id));
    memcpy(example->target.device, prekey.device, KEY_SIZE);
    memcpy(example->target.prekey, prekey.key, KEY_SIZE);
    memcpy(example->target.prekey_id, id, sizeof id);
}

static struct content_context context_of(const struct example *example, enum part_number part) {
    struct content_context context = {.part = part};
    memcpy(context.request, given("request.id", REQUEST_ID_SIZE), REQUEST_ID_SIZE);
    memcpy(context.device, example->fj.device.public, KEY_SIZE);
    return context;
}

/* One part of one chunk: padded, sealed, digested. */
static void make_part(const struct example *example, enum part_number number, const char *name, struct bytes plain,
                      struct part *ret) {
    char path[64], key_name[64];
    struct content_context context = context_of(example, number);
    struct buf *padded = keep(), *chunk = keep(), *opened = keep(), *aad = keep();
    snprintf(key_name, sizeof key_name, "%s.key", name);
    const uint8_t *key = given(key_name, KEY_SIZE);
    buf_add_bytes(padded, plain);
    memset(buf_extend(padded, content_padme(plain.n) - plain.n), 0, content_padme(plain.n) - plain.n);
    assert_int_equal(padded->n, CONTENT_MIN);
    struct chunkaad words = {.part = number, .exercise = false};
    memcpy(words.request, context.request, REQUEST_ID_SIZE);
    memcpy(words.device, context.device, KEY_SIZE);
    buf_add_bytes(aad, label_text(LABEL_CHUNK));
    buf_add(aad, "", 1);
    chunkaad_encode(&words, aad);
    snprintf(path, sizeof path, "%s.aad", name);
    is(path, buf_bytes(aad));
    assert_ok(content_seal_chunk(&context, key, 0, true, buf_bytes(padded), chunk));
    assert_ok(content_open_chunk(&context, key, 0, true, buf_bytes(chunk), opened));
    assert_true(bytes_equal(buf_bytes(opened), buf_bytes(padded)));
    snprintf(path, sizeof path, "%s.chunk", name);
    is(path, buf_bytes(chunk));
    uint8_t digest[HASH_SIZE];
    chunk_digest(buf_bytes(chunk), digest);
    snprintf(path, sizeof path, "%s.chunk.digest", name);
    is_hash(path, digest);
    ret->length = chunk->n;
    part_digest(bytes_of(digest, HASH_SIZE), ret->digest);
    content_commitment(key, ret->commitment);
    snprintf(path, sizeof path, "%s.digest", name);
    is_hash(path, ret->digest);
    snprintf(path, sizeof path, "%s.commitment", name);
    is_hash(path, ret->commitment);
}

static void make_content(struct example *example) {
    struct offer offer = {.from = bytes_text(example->fj.post),
                          .kind = KIND_INCIDENT,
                          .subject = bytes_text("A worked example"),
                          .has_tlp = true,
                          .tlp = TLP_AMBER};
    memcpy(offer.request, given("request.id", REQUEST_ID_SIZE), REQUEST_ID_SIZE);
    struct bytes offer_bytes = encoded(&offer_object, &offer);
    is("offer.object", offer_bytes);
    make_part(example, PART_OFFER, "offer", offer_bytes, &example->header.offer);
    struct bytes words = bytes_text("Bula vinaka.\n");
    struct file file = {.length = words.n};
    struct buf *files = keep(), *body = keep();
    file_encode(&file, files);
    struct manifest manifest = {.from = offer.from, .files = list_of(files, 1)};
    memcpy(manifest.request, offer.request, REQUEST_ID_SIZE);
    manifest_encode(&manifest, body);
    buf_add_bytes(body, words);
    is("body.plain", buf_bytes(body));
    make_part(example, PART_BODY, "body", buf_bytes(body), &example->header.body);
}

static void make_legs(struct example *example) {
    struct opening opening = {.to = bytes_text(example->de.post), .sequence = EXAMPLE_SEQUENCE}, found;
    memcpy(opening.salt, given("opening.salt", HASH_SIZE), HASH_SIZE);
    struct bytes payload = encoded(&opening_object, &opening);
    struct legs_leaf leaf = {.position = EXAMPLE_POSITION};
    uint8_t path[LEGS_DEPTH * HASH_SIZE], leg[HASH_SIZE];
    stamp_hash(payload, leaf.id);
    memcpy(example->leg, leaf.id, HASH_SIZE);
    is("opening", payload);
    is_hash("leg.id", leaf.id);
    const uint8_t *seed = given("legs.seed", HASH_SIZE);
    assert_ok(legs_root(&leaf, 1, seed, example->header.legs));
    assert_ok(legs_path(&leaf, 1, seed, 0, path));
    is("leg.path", bytes_of(path, sizeof path));
    is_hash("legs.root", example->header.legs);
    example->place = (struct place){.opening = payload, .position = EXAMPLE_POSITION};
    is("place", encoded(&place_object, &example->place));
    struct buf *hashes = keep();
    for (size_t i = 0; i < LEGS_DEPTH; i++) cbor_put_bytes(hashes, bytes_of(path + i * HASH_SIZE, HASH_SIZE));
    example->path = list_of(hashes, LEGS_DEPTH);
    assert_ok(legs_verify(&example->place, example->path, example->header.legs, &found, leg));
}

static void make_header(struct example *example) {
    struct header *header = &example->header, opened;
    char reference[TEXT_REFERENCE_SIZE];
    uint8_t digest[HASH_SIZE];
    memcpy(header->request, given("request.id", REQUEST_ID_SIZE), REQUEST_ID_SIZE);
    header->from = bytes_text(example->fj.post);
    memcpy(header->device, example->fj.device.public, KEY_SIZE);
    header->created = EXAMPLE_TIME;
    header->keep_s = WEEK_S;
    header->precedence = PRECEDENCE_PRIORITY;
    header->has_offer = header->has_body = true;
    struct bytes payload = encoded(&header_object, header);
    is("header.payload", payload);
    header_digest(payload, example->digest);
    is_hash("header.digest", example->digest);
    text_reference(example->digest, reference);
    is("header.reference", bytes_text(reference));
    example->header_stamped = stamped(LABEL_HEADER, example->fj.device.secret, payload);
    is("header.stamped", example->header_stamped);
    assert_ok(header_open(example->header_stamped, &opened, digest));
}

/* As wrapping_make does it, with an ephemeral key that is given; wrapping_open must agree. */
static struct bytes make_wrap(const struct example *example, struct bytes plain, struct wrap *ret) {
    struct wrapinfo words = {.has_leg = true, .generation = 1, .mode = HPKE_BASE};
    struct hpke_context context;
    struct buf *info = keep(), *cipher = keep(), *enc = keep();
    memcpy(words.header, example->digest, HASH_SIZE);
    memcpy(words.leg, example->leg, HASH_SIZE);
    memcpy(words.device, example->target.device, KEY_SIZE);
    memcpy(words.prekey, example->target.prekey_id, PREKEY_ID_SIZE);
    buf_add_bytes(info, label_text(LABEL_WRAP_INFO));
    buf_add(info, "", 1);
    wrapinfo_encode(&words, info);
    is("wrap.info", buf_bytes(info));
    assert_ok(hpke_setup_sender(example->target.prekey, buf_bytes(info), NULL, given("hpke.ephemeral.secret", KEY_SIZE),
                                buf_extend(enc, HPKE_ENC_SIZE), &context));
    is("wrap.enc", buf_bytes(enc));
    is("hpke.key", bytes_of(context.key, sizeof context.key));
    is("hpke.base_nonce", bytes_of(context.base_nonce, sizeof context.base_nonce));
    assert_ok(hpke_seal(&context, (struct bytes){0}, plain, cipher));
    is("wrap.ciphertext", buf_bytes(cipher));
    *ret = (struct wrap){.mode = HPKE_BASE, .enc = buf_bytes(enc), .ciphertext = buf_bytes(cipher)};
    memcpy(ret->device, words.device, KEY_SIZE);
    memcpy(ret->prekey, words.prekey, PREKEY_ID_SIZE);
    return encoded(&wrap_object, ret);
}

static void make_wrapset(struct example *example) {
    struct wrapped keys = {.has_offer_key = true, .has_body_key = true}, opened;
    struct wrap wrap;
    memcpy(keys.offer_key, given("offer.key", KEY_SIZE), KEY_SIZE);
    memcpy(keys.body_key, given("body.key", KEY_SIZE), KEY_SIZE);
    struct bytes plain = encoded(&wrapped_object, &keys);
    is("wrapped", plain);
    struct bytes wrap_bytes = make_wrap(example, plain, &wrap);
    struct wrapset set = {
        .has_leg = true, .generation = 1, .size = directory_size(example->directory), .wraps = {wrap_bytes, 1}};
    memcpy(set.header, example->digest, HASH_SIZE);
    memcpy(set.leg, example->leg, HASH_SIZE);
    memcpy(set.root, example->root, HASH_SIZE);
    memcpy(set.signer, example->fj.device.public, KEY_SIZE);
    struct bytes payload = encoded(&wrapset_object, &set);
    is("wrapset.payload", payload);
    example->wrapset = stamped(LABEL_WRAPSET, example->fj.device.secret, payload);
    is("wrapset.stamped", example->wrapset);
    struct buf *out = keep();
    assert_ok(wrapping_open(&set, &wrap, example->prekey_secret, NULL, out, &opened));
    assert_true(bytes_equal(buf_bytes(out), plain));
}

/* The head that the evidence log's newest entry brings, and the way to it; each entry is a batch of its own. */
static void add_proof(const struct example *example, const char *name, struct receipt *receipt) {
    char place[64];
    uint8_t root[HASH_SIZE];
    struct note_key key;
    size_t size = example->log->n / HASH_SIZE, count = 0;
    struct buf *note = keep(), *proof = keep();
    AUTO_BUF path = {0};
    assert_ok(note_key_make(bytes_text("relay.example/evidence"), NOTE_ED25519, example->relay.public, &key));
    merkle_root(example->log->p, size, root);
    assert_ok(head_make(&key, example->relay.secret, size, root, EXAMPLE_TIME, note));
    snprintf(place, sizeof place, "%s.checkpoint", name);
    is(place, buf_bytes(note));
    merkle_path(example->log->p, size, size - 1, &path);
    for (; count < path.n / HASH_SIZE; count++) cbor_put_bytes(proof, bytes_of(path.p + count * HASH_SIZE, HASH_SIZE));
    receipt->has_checkpoint = receipt->has_proof = true;
    receipt->checkpoint = buf_bytes(note);
    receipt->proof = list_of(proof, count);
}

/* Statement, entry, record and receipt of one step. */
static void make_receipt(struct example *example, const char *name, struct statement *statement,
                         const struct key *signer, uint32_t ordinal, enum leg_state from, enum leg_state to) {
    char path[64];
    uint8_t hash[HASH_SIZE];
    struct evidence evidence;
    struct head head;
    struct card card = {.name = "relay.example"};
    memcpy(card.log, example->relay.public, KEY_SIZE);
    memcpy(card.statement, example->relay.public, KEY_SIZE);
    snprintf(path, sizeof path, "%s.nonce", name);
    memcpy(statement->nonce, given(path, NONCE_SIZE), NONCE_SIZE);
    statement->has_leg = true;
    statement->time = EXAMPLE_TIME;
    memcpy(statement->header, example->digest, HASH_SIZE);
    memcpy(statement->leg, example->leg, HASH_SIZE);
    memcpy(statement->device, signer->public, KEY_SIZE);
    struct bytes payload = encoded(&statement_object, statement);
    snprintf(path, sizeof path, "%s.statement", name);
    is(path, payload);
    statement_hash(payload, hash);
    snprintf(path, sizeof path, "%s.statement.hash", name);
    is_hash(path, hash);

    struct entry entry = {
        .ordinal = ordinal, .from = from, .to = to, .size = directory_size(example->directory), .time = EXAMPLE_TIME};
    memcpy(entry.leg, example->leg, HASH_SIZE);
    memcpy(entry.previous, example->last_entry, HASH_SIZE);
    memcpy(entry.statement, hash, HASH_SIZE);
    struct record record = {.time = EXAMPLE_TIME,
                            .has_entry = true,
                            .entry = encoded(&entry_object, &entry),
                            .has_index = true,
                            .index = ordinal};
    memcpy(record.statement, hash, HASH_SIZE);
    snprintf(path, sizeof path, "%s.entry", name);
    is(path, record.entry);
    entry_hash(record.entry, example->last_entry);
    snprintf(path, sizeof path, "%s.entry.hash", name);
    is_hash(path, example->last_entry);
    buf_add(example->log, example->last_entry, HASH_SIZE);
    struct bytes record_bytes = encoded(&record_object, &record);
    snprintf(path, sizeof path, "%s.record", name);
    is(path, record_bytes);
    struct receipt receipt = {.statement = stamped(LABEL_STATEMENT, signer->secret, payload),
                              .record = stamped(LABEL_RECORD, example->relay.secret, record_bytes)};
    add_proof(example, name, &receipt);
    struct bytes receipt_bytes = encoded(&receipt_object, &receipt);
    snprintf(path, sizeof path, "%s.receipt", name);
    is(path, receipt_bytes);
    assert_ok(evidence_open_logged(receipt_bytes, &card, &evidence, &head));
    assert_ok(statement_may(&evidence.statement, example->directory, example->relay.public,
                            bytes_text(example->fj.post), bytes_text(example->de.post)));
}

static void make_evidence(struct example *example) {
    struct statement stored = {.event = EVENT_STORED};
    struct statement declined = {.event = EVENT_DECLINED,
                                 .has_post = true,
                                 .post = bytes_text(example->de.post),
                                 .officer = true,
                                 .has_reason = true,
                                 .reason = 17,
                                 .has_note = true};
    struct buf *note = keep(), *opened = keep();
    memcpy(example->last_entry, example->leg, HASH_SIZE);
    example->log = keep();
    make_receipt(example, "stored", &stored, &example->relay, 0, STATE_NONE, STATE_STORED);
    declined.has_seen = true;
    memcpy(declined.seen, example->last_entry, HASH_SIZE);
    const uint8_t *key = given("offer.key", KEY_SIZE), *nonce = given("declined.nonce", NONCE_SIZE);
    assert_ok(content_seal_note(key, nonce, example->digest, example->leg, bytes_text("No capacity today."), note));
    assert_ok(content_open_note(key, nonce, example->digest, example->leg, buf_bytes(note), opened));
    is("declined.note", buf_bytes(note));
    declined.note = buf_bytes(note);
    make_receipt(example, "declined", &declined, &example->de.device, 1, STATE_STORED, STATE_DECLINED);
}

static void make_frames(struct example *example) {
    struct buf *hello = keep(), *submit_frame = keep(), *wrapsets = keep(), *chunks = keep();
    message_encode(MESSAGE_HELLO, 1, &(struct hello){.size = 0}, hello);
    is("hello.frame", buf_bytes(hello));
    struct bytes place = encoded(&place_object, &example->place);
    uint8_t offer_digest[HASH_SIZE], body_digest[HASH_SIZE];
    memcpy(offer_digest, given("offer.chunk.digest", HASH_SIZE), HASH_SIZE);
    memcpy(body_digest, given("body.chunk.digest", HASH_SIZE), HASH_SIZE);
    cbor_put_bytes(wrapsets, example->wrapset);
    for (unsigned number = PART_OFFER; number <= PART_BODY; number++) {
        struct chunk chunk = {
            .part = number,
            .data = bytes_of(given(number == PART_OFFER ? "offer.chunk" : "body.chunk", CONTENT_MIN + TAG_SIZE),
                             CONTENT_MIN + TAG_SIZE)};
        memcpy(chunk.header, example->digest, HASH_SIZE);
        chunk_encode(&chunk, chunks);
    }
    struct submit submit = {.header = example->header_stamped,
                            .places = {place, 1},
                            .wrapsets = list_of(wrapsets, 1),
                            .has_offer_digests = true,
                            .offer_digests = bytes_of(offer_digest, HASH_SIZE),
                            .has_body_digests = true,
                            .body_digests = bytes_of(body_digest, HASH_SIZE),
                            .chunks = list_of(chunks, 2)};
    memcpy(submit.seed, given("legs.seed", HASH_SIZE), HASH_SIZE);
    message_encode(MESSAGE_SUBMIT, 2, &submit, submit_frame);
    uint8_t hash[HASH_SIZE];
    crypto_hash_sha256(hash, submit_frame->p, submit_frame->n);
    is_hash("submit.frame.sha256", hash);
}

static void make_card(const struct example *example) {
    struct card card = {.address_count = 1, .registrar_count = 1, .threshold = 1}, parsed;
    struct buf *out = keep();
    uint8_t hash[HASH_SIZE];
    char digits[TEXT_FINGERPRINT_SIZE];
    snprintf(card.name, sizeof card.name, "relay.example");
    snprintf(card.addresses[0], sizeof card.addresses[0], "tcp://relay.example:5870");
    memcpy(card.curve, example->fj.transport, KEY_SIZE);
    memcpy(card.statement, example->relay.public, KEY_SIZE);
    memcpy(card.log, example->relay.public, KEY_SIZE);
    memcpy(card.registrars[0], example->registrar.public, KEY_SIZE);
    card_format(&card, out);
    struct value *printed = find_value("card");
    assert_non_null(printed);
    /* The document prints the lines; each ends with a newline. */
    struct buf *canonical = keep();
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] != '\n') buf_add(canonical, &out->p[i], 1);
    is("card", buf_bytes(canonical));
    assert_ok(card_parse(buf_bytes(out), &parsed, NULL));
    card_hash(&card, hash);
    is_hash("card.digest", hash);
    text_fingerprint(hash, digits);
    is("card.fingerprint", bytes_text(digits));
    uint8_t root[HASH_SIZE], phrase[HASH_SIZE];
    directory_root(example->directory, root);
    directory_phrase(hash, directory_size(example->directory), root, phrase);
    is_hash("phrase.digest", phrase);
    text_fingerprint(phrase, digits);
    is("phrase.digits", bytes_text(digits));
}

static void the_worked_example_follows_from_its_keys(void **state) {
    (void)state;
    struct example example = {.fj = {.party = "fj", .post = "fj/technical"},
                              .de = {.party = "de", .post = "de/technical"}};
    make_directory(&example);
    make_prekey(&example);
    make_content(&example);
    make_legs(&example);
    make_header(&example);
    make_wrapset(&example);
    make_evidence(&example);
    make_frames(&example);
    make_card(&example);
    directory_free(example.directory);
    for (size_t i = 0; i < kept_count; i++) buf_free(&kept[i]);
    for (size_t i = 0; i < value_count; i++) {
        if (!values[i].used)
            print_error("the example has a value that nothing needs, or a wrong one: %s\n", values[i].name);
        wrong_values += !values[i].used;
    }
    assert_int_equal(wrong_values, 0);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_missing_added_or_repeated_row_is_noticed),
        cmocka_unit_test(every_field_of_every_object_stands_in_the_document),
        cmocka_unit_test(the_grammar_is_that_of_the_tables),
        cmocka_unit_test(every_named_value_stands_in_the_document),
        cmocka_unit_test(every_label_stands_in_the_document),
        cmocka_unit_test(every_field_of_a_contact_card_stands_in_the_document),
        cmocka_unit_test(the_code_in_the_document_is_that_of_its_bytes),
        cmocka_unit_test(every_message_stands_in_the_document),
        cmocka_unit_test(every_error_stands_in_the_document),
        cmocka_unit_test(every_limit_stands_in_the_document),
        cmocka_unit_test(every_state_stands_in_the_document),
        cmocka_unit_test(every_event_stands_in_the_document),
        cmocka_unit_test(every_step_stands_in_the_document),
        cmocka_unit_test(the_drawing_has_the_arrows_of_the_table),
        cmocka_unit_test_setup_teardown(the_worked_example_follows_from_its_keys, read_example, free_example),
    };
    if (sodium_init() < 0) return 1;
    text = read_file("POUCH_PROTOCOL");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(text);
    return failed;
}
