/* inspect.c - the order in which a store is looked through, and how findings are told. */
#include "inspector.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

/* ---- telling ---- */

void inspector_at(struct inspector *inspector, const char *table, int64_t row) {
    inspector->table = table;
    inspector->has_row = row >= 0;
    inspector->row = row;
    inspector->what[0] = 0;
}

void inspector_what(struct inspector *inspector, const char *kind, struct bytes id) {
    char hex[2 * TEXT_ID_BYTES + 1] = "";
    text_hex(id.p, id.n < TEXT_ID_BYTES ? id.n : TEXT_ID_BYTES, hex);
    snprintf(inspector->what, sizeof inspector->what, "%s %s", kind, hex);
}

void inspector_what_text(struct inspector *inspector, const char *kind, struct bytes text) {
    AUTO_BUF clean = {0};
    text_for_terminal(text, false, &clean);
    snprintf(inspector->what, sizeof inspector->what, "%s %.64s", kind, clean.p ? (const char *)clean.p : "");
}

/* What the operator can do, by what is damaged. Nothing is ever mended by itself. */
static const struct {
    const char *table, *todo;
} todos[] = {
    {"chunk",
     "the recipient's device will refuse this text and ask again; the sender can send it anew. Look at the disk"},
    {"quota",
     "the relay works with the wrong number; stop it and bring back a backup, or ask for help with this output"},
    {"box", "the device that fetches this will refuse it; what lay there must be sent again. Look at the disk"},
    {"sheet", "the post can put its contact card again with `pouch card edit`. Look at the disk"},
    {"sheetwrap", "the post can put its contact card again with `pouch card edit`. Look at the disk"},
    {"prekey", "the device publishes its keys anew by itself within a day. Look at the disk"},
};

static const char *todo_of(const char *table) {
    for (size_t i = 0; i < LENGTH(todos); i++)
        if (strcmp(todos[i].table, table) == 0) return todos[i].todo;
    return "change nothing: stop the relay, keep a copy of this store, look at the disk, and bring back the newest "
           "backup that "
           "verifies (pouchctl restore)";
}

enum error inspector_tell(struct inspector *inspector, const char *name, enum error error, const char *format, ...) {
    struct inspect_finding finding = {.table = inspector->table,
                                      .has_row = inspector->has_row,
                                      .row = inspector->row,
                                      .name = name,
                                      .error = error,
                                      .todo = todo_of(inspector->table)};
    memcpy(finding.what, inspector->what, sizeof finding.what);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding.words, sizeof finding.words, format, arguments);
    va_end(arguments);
    inspector->numbers->findings++;
    return inspector->options->tell(inspector->options->context, &finding);
}

enum error inspector_expect(struct inspector *inspector, bool holds, const char *name, enum error error,
                            const char *words) {
    return holds ? E_OK : inspector_tell(inspector, name, error, "%s", words);
}

/* What the audit finds belongs to the row that it was fed. */
static enum error tell_audit(void *context, const struct audit_finding *finding) {
    struct inspector *inspector = context;
    char where[128] = "";
    if (finding->has_index)
        snprintf(where, sizeof where, ", %s %llu", finding->kind <= AUDIT_HEAD_MISSING ? "size" : "index",
                 (unsigned long long)finding->index);
    if (finding->has_ordinal)
        snprintf(where + strlen(where), sizeof where - strlen(where), ", ordinal %llu",
                 (unsigned long long)finding->ordinal);
    return inspector_tell(inspector, audit_name(finding->kind), finding->error, "%s%s (%s)", audit_text(finding->kind),
                          where, error_row(finding->error)->name);
}

/* ---- questions ---- */

void inspector_progress(const struct inspector *inspector, uint64_t done) {
    enum { EVERY = 1000 };
    const struct inspect_options *options = inspector->options;
    if (options->progress && done % EVERY == 0) options->progress(options->context, inspector->table, done);
}

static enum error tell_unreadable(struct inspector *inspector, const char *table) {
    inspector_at(inspector, table, -1);
    return inspector_tell(inspector, "unreadable", E_CORRUPT, "the rows of this table cannot all be read");
}

enum error inspector_each(struct inspector *inspector, const char *table, const char *sql, void *context,
                          enum error (*each)(struct inspector *inspector, struct cursor *cursor, void *context)) {
    AUTO_CURSOR *cursor = NULL;
    bool row = true;
    enum error error = rows_select(inspector->rows, sql, NULL, 0, &cursor);
    for (uint64_t n = 1; error == E_OK; n++) {
        error = rows_next(cursor, &row);
        if (error != E_OK || !row) break;
        inspector_at(inspector, table, -1);
        TRY(each(inspector, cursor, context));
        inspector->table = table;
        inspector_progress(inspector, n);
    }
    return error == E_CORRUPT ? tell_unreadable(inspector, table) : error;
}

/* ---- the whole ---- */

static enum error tell_structure(void *context, const char *table, const char *words) {
    struct inspector *inspector = context;
    inspector_at(inspector, table, -1);
    long long row;
    if (sscanf(words, "row %lld ", &row) == 1) { /* row 7 missing from index leg_due */
        inspector->has_row = true;
        inspector->row = row;
    }
    return inspector_tell(inspector, "structure", E_CORRUPT, "%s", words);
}

static enum error inspect_all(struct inspector *inspector) {
    static enum error (*const parts[])(struct inspector * inspector) = {
        inspect_directory, inspect_evidence, inspect_requests, inspect_legs, inspect_feeds, inspect_rest};
    TRY(rows_check(inspector->rows, tell_structure, inspector));
    for (size_t i = 0; i < LENGTH(parts); i++) TRY(parts[i](inspector));
    for (int i = 0; i < 2; i++) {
        enum relay_log log = i ? LOG_EVIDENCE : LOG_DIRECTORY;
        inspector->numbers->sizes[i] = audit_size(inspector->audit, log);
        audit_root(inspector->audit, log, inspector->numbers->roots[i]);
    }
    return E_OK;
}

enum error inspect_store(const struct inspect_options *options, struct inspect_numbers *ret) {
    struct inspect_numbers numbers = {0};
    struct inspector inspector = {.options = options, .card = options->card, .numbers = &numbers};
    TRY(rows_open(options->store, &inspector.rows));
    inspector.audit = audit_new(options->card, (struct audit_sink){&inspector, tell_audit});
    enum error error = inspector.audit ? inspect_all(&inspector) : E_NO_MEMORY;
    audit_free(inspector.audit);
    rows_close(inspector.rows);
    TRY(error);
    *ret = numbers;
    return E_OK;
}
