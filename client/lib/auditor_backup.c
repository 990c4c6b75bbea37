/* auditor_backup.c - what an audit reads of a relay's store: a backup that the operator hands over (`pouchctl backup`).
 *
 * Nothing of the relay's programs is used: an auditor's reader is its own. All that it relies on are six columns of
 * four tables, which relay/DESIGN.md names: head(note), leaf(idx, bytes), receipt(leg, ordinal, idx, bytes), leg(id,
 * leg, opening, request) and request(kept). The file is opened read-only; what the operator's program thinks of it
 * does not count. */
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "auditor.h"
#include "files.h"
#include "header.h"

enum { STORE_VERSION_FIRST = 3, STORE_VERSION_LAST = 5 };

struct store {
    sqlite3 *db;
};
static void store_free(struct store *store) { sqlite3_close(store->db); }
#define AUTO_STORE __attribute__((cleanup(store_free))) struct store

static void statement_free(sqlite3_stmt **statement) { sqlite3_finalize(*statement); }
#define AUTO_STATEMENT __attribute__((cleanup(statement_free))) sqlite3_stmt

static enum error error_of(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return E_OK;
    case SQLITE_NOMEM: return E_NO_MEMORY;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY: return E_IO;
    default: return E_CORRUPT;
    }
}

static enum error ask(struct store *store, const char *sql, sqlite3_stmt **ret) {
    return error_of(sqlite3_prepare_v2(store->db, sql, -1, ret, NULL));
}
static enum error step(sqlite3_stmt *statement, bool *ret_row) {
    int code = sqlite3_step(statement);
    *ret_row = code == SQLITE_ROW;
    return error_of(code);
}
static struct bytes column(sqlite3_stmt *statement, int which) {
    const void *p = sqlite3_column_blob(statement, which);
    return bytes_of(p ? p : "", p ? (size_t)sqlite3_column_bytes(statement, which) : 0);
}

/* The store's file, and the folder with the heads that were kept outside of it. */
static enum error paths_of(const struct auditing *auditing, char ret_store[static AUDITOR_PATH_SIZE],
                           char ret_folder[static AUDITOR_PATH_SIZE]) {
    const char *path = auditing->order->backup;
    struct stat stat_of;
    if (stat(path, &stat_of) != 0) return files_failure(auditing->failure, path);
    bool folder = S_ISDIR(stat_of.st_mode);
    const char *slash = strrchr(path, '/');
    int n = snprintf(ret_store, AUDITOR_PATH_SIZE, folder ? "%s/store.sqlite" : "%s", path);
    if (n < 0 || n >= AUDITOR_PATH_SIZE) return fail(auditing->failure, E_OUT_OF_RANGE, "%s", path);
    if (folder)
        snprintf(ret_folder, AUDITOR_PATH_SIZE, "%s", path);
    else
        snprintf(ret_folder, AUDITOR_PATH_SIZE, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return E_OK;
}

static enum error check_version(struct store *store) {
    AUTO_STATEMENT *statement = NULL;
    bool row;
    TRY(ask(store, "PRAGMA user_version", &statement));
    TRY(step(statement, &row));
    int version = row ? sqlite3_column_int(statement, 0) : 0;
    return version >= STORE_VERSION_FIRST && version <= STORE_VERSION_LAST ? E_OK : E_CORRUPT;
}

/* A copy that lies still needs no journal beside it; one that does not is read as any reader would. */
static enum error open_store(const struct auditing *auditing, struct store *ret,
                             char ret_folder[static AUDITOR_PATH_SIZE]) {
    char path[AUDITOR_PATH_SIZE];
    TRY(paths_of(auditing, path, ret_folder));
    enum error error = error_of(sqlite3_open_v2(path, &ret->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL));
    if (error == E_OK)
        error = error_of(
            sqlite3_exec(ret->db, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; BEGIN", NULL, NULL, NULL));
    if (error == E_OK) error = check_version(ret);
    if (error == E_OK) return E_OK;
    fail(auditing->failure, error, "%s is no relay's store of this version", path);
    return fail_hint(auditing->failure, "name the folder that `pouchctl backup` has made");
}

/* ---- heads ---- */

static enum error outside_head(struct auditing *auditing, const char *folder, enum relay_log log) {
    char path[AUDITOR_PATH_SIZE + 32];
    AUTO_BUF note = {0};
    snprintf(path, sizeof path, "%s/%s.head", folder, head_log_name(log));
    if (!files_exists(path)) return E_OK;
    TRY(files_read(path, HEAD_NOTE_MAX, &note, auditing->failure));
    while (note.n > 1 && note.p[note.n - 1] == '\n' && note.p[note.n - 2] == '\n')
        note.n--; /* filled up by the relay */
    return auditor_head(auditing, log, buf_bytes(&note));
}

/* Which log a head is of, its origin says; what is of neither is told as the directory's. */
static enum error stored_heads(struct auditing *auditing, struct store *store) {
    AUTO_STATEMENT *statement = NULL;
    struct head head;
    bool row;
    TRY(ask(store, "SELECT note FROM head ORDER BY who", &statement));
    for (;;) {
        TRY(step(statement, &row));
        if (!row) return E_OK;
        struct bytes note = column(statement, 0);
        bool evidence = head_open_log(auditing->order->card, LOG_EVIDENCE, note, &head) == E_OK;
        TRY(auditor_head(auditing, evidence ? LOG_EVIDENCE : LOG_DIRECTORY, note));
    }
}

/* ---- logs ---- */

static enum error stored_leaves(struct auditing *auditing, struct store *store) {
    AUTO_STATEMENT *statement = NULL;
    uint64_t next = 0;
    bool row;
    TRY(ask(store, "SELECT idx, bytes FROM leaf ORDER BY idx", &statement));
    for (;;) {
        TRY(step(statement, &row));
        if (!row) break;
        for (; next < (uint64_t)sqlite3_column_int64(statement, 0); next++)
            TRY(audit_gap(auditing->audit, LOG_DIRECTORY, next));
        next++;
        TRY(audit_leaf(auditing->audit, column(statement, 1)));
    }
    return audit_done(auditing->audit, LOG_DIRECTORY, true);
}

/* The leaf is worked out from the receipt's own entry; nothing that the store has computed is believed. */
static bool leaf_of(struct bytes bytes, uint8_t ret[static HASH_SIZE]) {
    struct receipt receipt;
    struct record record;
    struct bytes payload;
    if (receipt_decode(bytes, &receipt) != E_OK || stamp_peek(receipt.record, &payload) != E_OK) return false;
    if (record_decode(payload, &record) != E_OK || !record.has_entry) return false;
    entry_hash(record.entry, ret);
    return true;
}

static enum error stored_entries(struct auditing *auditing, struct store *store) {
    AUTO_STATEMENT *statement = NULL;
    uint64_t next = 0;
    bool row;
    TRY(ask(store, "SELECT idx, bytes FROM receipt WHERE idx IS NOT NULL ORDER BY idx", &statement));
    for (;;) {
        uint8_t hash[HASH_SIZE] = {0};
        TRY(step(statement, &row));
        if (!row) return E_OK;
        uint64_t index = (uint64_t)sqlite3_column_int64(statement, 0);
        for (; next < index; next++) TRY(audit_gap(auditing->audit, LOG_EVIDENCE, next));
        next++;
        auditing->result->receipts++;
        if (!leaf_of(column(statement, 1), hash)) TRY(audit_gap(auditing->audit, LOG_EVIDENCE, index));
        TRY(auditor_leaf(auditing, hash, column(statement, 1)));
    }
}

enum error auditor_read_backup(struct auditing *auditing) {
    AUTO_STORE store = {0};
    char folder[AUDITOR_PATH_SIZE];
    TRY(open_store(auditing, &store, folder));
    enum error error = outside_head(auditing, folder, LOG_DIRECTORY);
    if (error == E_OK) error = outside_head(auditing, folder, LOG_EVIDENCE);
    if (error == E_OK) error = stored_heads(auditing, &store);
    if (error == E_OK) error = stored_leaves(auditing, &store);
    if (error == E_OK) error = stored_entries(auditing, &store);
    return error == E_CORRUPT ? fail(auditing->failure, error, "%s", auditing->order->backup) : error;
}

/* ---- legs ---- */

static enum error judge_leg(struct auditing *auditing, sqlite3_stmt *leg, sqlite3_stmt *receipts) {
    struct submit kept;
    struct header header;
    struct opening opening;
    struct audit_trail trail;
    struct audit_leg about = {.recipient = {(const uint8_t *)"", 0}, .sender = {(const uint8_t *)"", 0}};
    bool row;
    struct bytes bytes = column(leg, 2);
    merkle_leaf(bytes, about.leg);
    enum error error = submit_decode(column(leg, 3), &kept);
    if (error == E_OK) error = header_open(kept.header, &header, about.header);
    if (error == E_OK) error = opening_decode(bytes, &opening);
    if (error != E_OK) return error == E_NO_MEMORY ? error : E_CORRUPT;
    about.sender = header.from;
    about.recipient = opening.to;
    about.device = header.device;
    about.kind = header_leg_kind(&header);
    about.keep_s = header.keep_s;
    audit_begin(&trail, &about);
    auditing->result->legs++;
    sqlite3_reset(receipts);
    sqlite3_bind_int64(receipts, 1, sqlite3_column_int64(leg, 0));
    for (;;) {
        TRY(step(receipts, &row));
        if (!row) return E_OK;
        TRY(audit_step(auditing->audit, &trail, column(receipts, 0)));
    }
}

enum error auditor_backup_legs(struct auditing *auditing) {
    AUTO_STORE store = {0};
    AUTO_STATEMENT *legs = NULL, *receipts = NULL;
    char folder[AUDITOR_PATH_SIZE];
    bool row = false;
    TRY(open_store(auditing, &store, folder));
    enum error error = ask(&store,
                           "SELECT l.id, l.leg, l.opening, q.kept FROM leg l JOIN request q ON q.id = l.request "
                           "ORDER BY l.id",
                           &legs);
    if (error == E_OK)
        error =
            ask(&store, "SELECT bytes FROM receipt WHERE leg = ? AND ordinal IS NOT NULL ORDER BY ordinal", &receipts);
    while (error == E_OK && (error = step(legs, &row)) == E_OK && row) error = judge_leg(auditing, legs, receipts);
    if (error != E_CORRUPT) return error;
    fail(auditing->failure, error, "the legs in %s", auditing->order->backup);
    return fail_hint(auditing->failure, "`pouchctl verify --store` names what is damaged");
}
