/* config.c - relay.yaml read by the table of schema.def: tree.c gives a tree with places, the rows say what each key
 * takes. */
#include "config.h"

#include <errno.h>
#include <libgen.h>
#include <linux/limits.h>
#include <stdlib.h>

#include "text.h"
#include "units.h"
#include "tree.h"

enum row_kind { ROW_ADDRESSES, ROW_TEXT, ROW_NUMBER, ROW_SIZE, ROW_DURATION };

struct row {
    enum row_kind kind;
    const char *path, *doc;
    size_t offset, count_offset; /* in struct config */
    uint64_t init, lo, hi;       /* ROW_TEXT: most bytes in hi */
    const char *text;            /* ROW_TEXT: the default */
};

static const struct row rows[] = {
#define ADDRESSES(field, path_, doc_)                                                                                  \
    {.kind = ROW_ADDRESSES,                                                                                            \
     .path = path_,                                                                                                    \
     .doc = doc_,                                                                                                      \
     .offset = offsetof(struct config, field),                                                                         \
     .count_offset = offsetof(struct config, field##_count)},
#define TEXT(field, path_, init_, max, doc_)                                                                           \
    {.kind = ROW_TEXT, .path = path_, .doc = doc_, .offset = offsetof(struct config, field), .hi = max, .text = init_},
#define VALUE(kind_, field, path_, init_, min, max, doc_)                                                              \
    {.kind = kind_,                                                                                                    \
     .path = path_,                                                                                                    \
     .doc = doc_,                                                                                                      \
     .offset = offsetof(struct config, field),                                                                         \
     .init = init_,                                                                                                    \
     .lo = min,                                                                                                        \
     .hi = max},
#define NUMBER(field, path, init, min, max, doc) VALUE(ROW_NUMBER, field, path, init, min, max, doc)
#define SIZE(field, path, init, min, max, doc) VALUE(ROW_SIZE, field, path, init, min, max, doc)
#define DURATION(field, path, init, min, max, doc) VALUE(ROW_DURATION, field, path, init, min, max, doc)
#include "schema.def"
#undef ADDRESSES
#undef TEXT
#undef VALUE
#undef NUMBER
#undef SIZE
#undef DURATION
};

#define DEFAULT_ADDRESS "tcp://127.0.0.1:5870"

static void *field_of(struct config *config, const struct row *row) { return (char *)config + row->offset; }
static const void *field_in(const struct config *config, const struct row *row) {
    return (const char *)config + row->offset;
}
static void set_value(struct config *config, const struct row *row, uint64_t value) {
    memcpy(field_of(config, row), &value, sizeof value);
}
static uint64_t value_of(const struct config *config, const struct row *row) {
    uint64_t value;
    memcpy(&value, field_in(config, row), sizeof value);
    return value;
}

void config_defaults(struct config *ret) {
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const struct row *row = &rows[i];
        size_t one = 1;
        switch (row->kind) {
        case ROW_ADDRESSES:
            memcpy(field_of(ret, row), DEFAULT_ADDRESS, sizeof DEFAULT_ADDRESS);
            memcpy((char *)ret + row->count_offset, &one, sizeof one);
            break;
        case ROW_TEXT: memcpy(field_of(ret, row), row->text, strlen(row->text) + 1); break;
        case ROW_NUMBER:
        case ROW_SIZE:
        case ROW_DURATION: set_value(ret, row, row->init); break;
        }
    }
}

/* ---- what single values must look like ---- */

static bool starts_with(struct bytes text, const char *start) {
    size_t n = strlen(start);
    return text.n >= n && memcmp(text.p, start, n) == 0;
}

static bool printable(struct bytes text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f) return false;
    return true;
}

static bool host_ok(struct bytes host) {
    if (bytes_are(host, "*")) return true;
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    if (bracketed) host = bytes_of(host.p + 1, host.n - 2);
    for (size_t i = 0; i < host.n; i++)
        if (!strchr(letters, host.p[i]) && !(bracketed && strchr(":%", host.p[i]))) return false;
    return host.n > 0;
}

const char *config_address_problem(struct bytes address) {
    enum { PORT_MAX = 65535 };
    if (address.n >= CONFIG_ADDRESS_SIZE) return "the address is too long";
    if (!printable(address)) return "an address has no spaces and only ASCII characters";
    if (starts_with(address, "ipc://")) return address.n > strlen("ipc://") ? NULL : "the path is missing after ipc://";
    if (!starts_with(address, "tcp://")) return "an address begins with tcp:// or ipc://, such as tcp://127.0.0.1:5870";
    struct bytes rest = bytes_of(address.p + strlen("tcp://"), address.n - strlen("tcp://"));
    size_t colon = rest.n;
    while (colon > 0 && rest.p[colon - 1] != ':' && rest.p[colon - 1] != ']') colon--;
    if (colon == 0 || rest.p[colon - 1] != ':') return "the port is missing, such as tcp://127.0.0.1:5870";
    uint64_t port;
    if (units_number(bytes_of(rest.p + colon, rest.n - colon), &port) != E_OK || port == 0 || port > PORT_MAX)
        return "the port must be a number from 1 to 65535";
    if (!host_ok(bytes_of(rest.p, colon - 1)))
        return "the host must be a name, an IPv4 address, an IPv6 address in [brackets], or *";
    return NULL;
}

const char *config_name_problem(struct bytes name) {
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (i == 0 || (c != '.' && c != '-'))) return "a name has letters, digits, dots and dashes only";
    }
    return NULL;
}

/* ---- reading ---- */

struct reading {
    struct config config;
    struct tree_notes notes;
};

static void note(struct reading *reading, const struct tree_node *node, const struct row *row, const char *problem) {
    tree_note(&reading->notes, node->place, "%s: %s", row->path, problem);
}

/* An unquoted nothing, ~ or null: the key was written and its value forgotten. */
static bool is_nothing(const struct tree_node *node) {
    return node->kind == TREE_TEXT && !node->quoted &&
           (strcmp(node->text, "") == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

static void format_value(const struct row *row, uint64_t value, char out[static UNITS_TEXT_SIZE]) {
    if (row->kind == ROW_SIZE)
        units_format_size(value, out);
    else if (row->kind == ROW_DURATION)
        units_format_duration(value, out);
    else
        snprintf(out, UNITS_TEXT_SIZE, "%llu", (unsigned long long)value);
}

static enum error parse_value(const struct row *row, const struct tree_node *node, uint64_t *ret) {
    struct bytes text = bytes_text(node->text);
    if (row->kind == ROW_SIZE) return units_size(text, ret);
    if (row->kind == ROW_DURATION) return units_duration(text, ret);
    return node->quoted ? E_BAD_TEXT : units_number(text, ret);
}

static const char *wanted(const struct row *row) {
    switch (row->kind) {
    case ROW_SIZE: return "a size is wanted, such as 512KiB, 64MiB or 1GiB";
    case ROW_DURATION: return "a duration with its unit is wanted, such as 30s, 10m, 24h or 14d";
    case ROW_NUMBER: return "a whole number is wanted, without quotes";
    case ROW_TEXT: return "a text is wanted";
    case ROW_ADDRESSES: break;
    }
    return "an address or a list of addresses is wanted, such as [\"tcp://127.0.0.1:5870\"]";
}

static void read_value(struct reading *reading, const struct row *row, const struct tree_node *node) {
    uint64_t value;
    enum error error = parse_value(row, node, &value);
    if (error == E_BAD_TEXT) {
        note(reading, node, row, wanted(row));
        return;
    }
    if (error == E_OK && value >= row->lo && value <= row->hi) {
        set_value(&reading->config, row, value);
        return;
    }
    char lo[UNITS_TEXT_SIZE], hi[UNITS_TEXT_SIZE];
    format_value(row, row->lo, lo);
    format_value(row, row->hi, hi);
    tree_note(&reading->notes, node->place, "%s: %.64s is out of bounds; it must be from %s to %s", row->path,
              node->text, lo, hi);
}

static void read_text(struct reading *reading, const struct row *row, const struct tree_node *node) {
    struct bytes text = bytes_text(node->text);
    const char *problem = NULL;
    for (size_t i = 0; i < text.n && !problem; i++)
        if (text.p[i] < ' ' || text.p[i] == 0x7f) problem = "control characters are not allowed";
    if (!problem && text.n > row->hi) problem = "the text is too long";
    if (!problem && row->offset == offsetof(struct config, name)) problem = config_name_problem(text);
    if (!problem && row->offset == offsetof(struct config, store_file) && text.n == 0)
        problem = "a file name is wanted";
    if (problem)
        note(reading, node, row, problem);
    else
        memcpy(field_of(&reading->config, row), text.p, text.n + 1);
}

static void read_address(struct reading *reading, const struct row *row, const struct tree_node *node) {
    if (node->kind != TREE_TEXT) {
        note(reading, node, row, wanted(row));
        return;
    }
    const char *problem =
        is_nothing(node) ? "an address is missing here" : config_address_problem(bytes_text(node->text));
    if (problem) {
        note(reading, node, row, problem);
        return;
    }
    size_t count;
    memcpy(&count, (char *)&reading->config + row->count_offset, sizeof count);
    if (count == CONFIG_ADDRESSES_MAX) {
        note(reading, node, row, "too many addresses; eight at most");
        return;
    }
    char *at = (char *)field_of(&reading->config, row) + count * CONFIG_ADDRESS_SIZE;
    memcpy(at, node->text, strlen(node->text));
    count++;
    memcpy((char *)&reading->config + row->count_offset, &count, sizeof count);
}

static void read_addresses(struct reading *reading, const struct row *row, const struct tree_node *node) {
    /* What is written replaces the default. */
    memset(field_of(&reading->config, row), 0, CONFIG_ADDRESSES_MAX * CONFIG_ADDRESS_SIZE);
    memset((char *)&reading->config + row->count_offset, 0, sizeof(size_t));
    if (node->kind != TREE_LIST) {
        read_address(reading, row, node);
        return;
    }
    if (!node->children) note(reading, node, row, "the list is empty; the relay needs an address to listen on");
    for (const struct tree_node *at = node->children; at; at = at->next) read_address(reading, row, at);
}

static void read_row(struct reading *reading, const struct row *row, const struct tree_node *node) {
    if (is_nothing(node)) {
        note(reading, node, row, "the value is missing; give one or remove the key");
        return;
    }
    if (row->kind == ROW_ADDRESSES)
        read_addresses(reading, row, node);
    else if (node->kind != TREE_TEXT)
        note(reading, node, row, wanted(row));
    else if (row->kind == ROW_TEXT)
        read_text(reading, row, node);
    else
        read_value(reading, row, node);
}

/* The length of the section in a path ("store" of "store.file"), 0 at the top level. */
static size_t section_length(const struct row *row) {
    const char *dot = strchr(row->path, '.');
    return dot ? (size_t)(dot - row->path) : 0;
}

static bool in_section(const struct row *row, const char *section) {
    size_t n = section_length(row);
    return n == strlen(section) && memcmp(row->path, section, n) == 0;
}

static const struct row *find_row(const char *section, const char *key) {
    for (size_t i = 0; i < LENGTH(rows); i++) {
        size_t n = section_length(&rows[i]);
        if (in_section(&rows[i], section) && strcmp(rows[i].path + (n ? n + 1 : 0), key) == 0) return &rows[i];
    }
    return NULL;
}

static bool is_section(const char *key) {
    for (size_t i = 0; i < LENGTH(rows); i++)
        if (*key && in_section(&rows[i], key)) return true;
    return false;
}

/* Suggests the nearest key, and a key of another section by its last word ("body" at the top: limits.body). */
static void note_unknown(struct reading *reading, const char *section, const struct tree_node *node) {
    enum { WORD_MAX = 64 };
    char path[2 * WORD_MAX + 2];
    const char *near = NULL, *names[2 * LENGTH(rows)];
    char sections[LENGTH(rows)][WORD_MAX];
    size_t n = 0;
    snprintf(path, sizeof path, "%.64s%s%.64s", section, *section ? "." : "", node->key);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        names[n++] = rows[i].path;
        snprintf(sections[i], WORD_MAX, "%.*s", (int)section_length(&rows[i]), rows[i].path);
        if (*sections[i]) names[n++] = sections[i];
        const char *dot = strchr(rows[i].path, '.');
        if (dot && strcmp(dot + 1, node->key) == 0) near = rows[i].path;
    }
    if (!near && strlen(node->key) <= WORD_MAX) near = text_nearest(path, names, n);
    if (near)
        tree_note(&reading->notes, node->key_place, "unknown key \"%s\"; did you mean %s?", path, near);
    else
        tree_note(&reading->notes, node->key_place,
                  "unknown key \"%s\"; remove it, see the example file for the keys there are", path);
}

static void read_section(struct reading *reading, const char *section, const struct tree_node *map) {
    for (const struct tree_node *at = map->children; at; at = at->next) {
        const struct row *row = find_row(section, at->key);
        if (row) {
            read_row(reading, row, at);
        } else if (*section || !is_section(at->key)) {
            note_unknown(reading, section, at);
        } else if (at->kind == TREE_MAP) {
            read_section(reading, at->key, at);
        } else if (!is_nothing(at)) {
            tree_note(&reading->notes, at->place, "%s: keys are wanted below it, indented", at->key);
        }
    }
}

/* The name of an unexpected top: a list or a bare word where keys should stand. */
static void read_top(struct reading *reading, struct bytes text) {
    struct tree_node *top = tree_parse(text, &reading->notes);
    if (top && top->kind == TREE_MAP)
        read_section(reading, "", top);
    else if (top && !is_nothing(top))
        tree_note(&reading->notes, top->place, "keys are wanted here, such as listen:");
    tree_free(top);
}

enum error config_parse(struct bytes text, const char *name, FILE *report, struct config *ret) {
    struct reading reading = {0};
    config_defaults(&reading.config);
    if (text.n > CONFIG_FILE_MAX)
        tree_note(&reading.notes, (struct tree_place){1, 1},
                  "the file is larger than 64 KiB; that is no configuration");
    else
        read_top(&reading, text);
    tree_notes_print(&reading.notes, name, report);
    enum error error = reading.notes.failed ? E_NO_MEMORY : reading.notes.count ? E_CONFIG : E_OK;
    tree_notes_free(&reading.notes);
    if (error == E_OK) *ret = reading.config;
    return error;
}

/* One byte more than allowed is read, so that config_parse can tell a file that is too large. */
static enum error read_file(const char *path, struct buf *out) {
    FILE *file = fopen(path, "re");
    if (!file) return E_IO;
    uint8_t *at = buf_extend(out, CONFIG_FILE_MAX + 1);
    size_t n = at ? fread(at, 1, CONFIG_FILE_MAX + 1, file) : 0;
    bool bad = ferror(file) != 0;
    int saved = errno;
    fclose(file);
    errno = saved;
    if (!at) return E_NO_MEMORY;
    if (bad) return E_IO;
    out->n = n;
    return E_OK;
}

static enum error folder_of(const char *path, char ret[static PATH_MAX]) {
    char resolved[PATH_MAX];
    if (!realpath(path, resolved)) return E_IO;
    const char *folder = dirname(resolved);
    memcpy(ret, folder, strlen(folder) + 1);
    return E_OK;
}

enum error config_read(const char *path, FILE *report, struct config *ret) {
    AUTO_BUF text = {0};
    char folder[PATH_MAX];
    _Static_assert(sizeof ret->folder >= PATH_MAX, "a resolved folder fits");
    enum error error = read_file(path, &text);
    if (error == E_OK) error = folder_of(path, folder);
    if (error != E_OK) {
        if (report) fprintf(report, "%s: cannot be read: %s\n", path, strerror(errno));
        return error;
    }
    TRY(config_parse(buf_bytes(&text), path, report, ret));
    memcpy(ret->folder, folder, strlen(folder) + 1);
    return E_OK;
}

/* ---- writing ---- */

static void add(struct buf *out, const char *text) { buf_add_bytes(out, bytes_text(text)); }

/* Double quotes and YAML's escapes; control characters never get into a config. */
static void add_quoted(struct buf *out, const char *text) {
    add(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') add(out, "\\");
        buf_add(out, text, 1);
    }
    add(out, "\"");
}

static void format_doc(const struct row *row, const char *indent, struct buf *out) {
    char line[512], init[UNITS_TEXT_SIZE], lo[UNITS_TEXT_SIZE], hi[UNITS_TEXT_SIZE];
    snprintf(line, sizeof line, "%s# %s\n", indent, row->doc);
    add(out, line);
    if (row->kind == ROW_ADDRESSES || row->kind == ROW_TEXT) return;
    format_value(row, row->init, init);
    format_value(row, row->lo, lo);
    format_value(row, row->hi, hi);
    snprintf(line, sizeof line, "%s# (from %s to %s, default %s)\n", indent, lo, hi, init);
    add(out, line);
}

static void format_addresses(const struct config *config, const struct row *row, struct buf *out) {
    const char *address = field_in(config, row);
    size_t count;
    memcpy(&count, (const char *)config + row->count_offset, sizeof count);
    for (size_t i = 0; i < count; i++) {
        add(out, "\n  - ");
        add_quoted(out, address + i * CONFIG_ADDRESS_SIZE);
    }
}

static void format_row(const struct config *config, const struct row *row, struct buf *out) {
    size_t section = section_length(row);
    const char *indent = section ? "  " : "";
    char value[UNITS_TEXT_SIZE];
    format_doc(row, indent, out);
    add(out, indent);
    add(out, row->path + (section ? section + 1 : 0));
    add(out, ":");
    switch (row->kind) {
    case ROW_ADDRESSES: format_addresses(config, row, out); break;
    case ROW_TEXT:
        add(out, " ");
        add_quoted(out, field_in(config, row));
        break;
    case ROW_NUMBER:
    case ROW_SIZE:
    case ROW_DURATION:
        add(out, " ");
        format_value(row, value_of(config, row), value);
        add(out, value);
        break;
    }
    add(out, "\n");
}

static bool first_of_section(size_t which) {
    for (size_t i = 0; i < which; i++)
        if (section_length(&rows[i]) == section_length(&rows[which]) &&
            memcmp(rows[i].path, rows[which].path, section_length(&rows[which])) == 0)
            return false;
    return true;
}

/* All rows of the section that rows[first] opens, wherever they stand in the table. */
static void format_section(const struct config *config, size_t first, struct buf *out) {
    size_t n = section_length(&rows[first]);
    buf_add(out, rows[first].path, n);
    add(out, ":\n");
    for (size_t i = first; i < LENGTH(rows); i++)
        if (section_length(&rows[i]) == n && memcmp(rows[i].path, rows[first].path, n) == 0)
            format_row(config, &rows[i], out);
}

void config_format(const struct config *config, struct buf *out) {
    add(out, "# relay.yaml - configuration of a Pouch relay. Check it with: pouchd --config relay.yaml --check-config\n"
             "# Keys that are left out have their defaults. A change takes effect when the relay is restarted.\n");
    for (size_t i = 0; i < LENGTH(rows); i++) {
        if (section_length(&rows[i]) == 0) {
            add(out, "\n");
            format_row(config, &rows[i], out);
        } else if (first_of_section(i)) {
            add(out, "\n");
            format_section(config, i, out);
        }
    }
}
