/* sqlite.c - the embedded store: one SQLite connection, WAL, synchronous FULL.
 *
 * One connection writes and checkpoints (SQLite 3.40.1's WAL-reset fault needs two). Here: how statements are run, what
 * belongs to no one table, and opening, with the upgrade of a store that an older version made. */
#include "sqlite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "leg.h"
#include "schema.sql.h"

/* The SQL says "state < 8" where it means "not terminal": leg.def must keep its terminal states last. */
_Static_assert(STATE_DECLINED == 8 && STATE_ACKNOWLEDGED == 7, "terminal states begin at 8");

#define REQUEST_COLUMNS "id, digest, device, request, sender, exercise, stored, at, bytes, released"
#define LEG_COLUMNS                                                                                                    \
    "id, request, leg, device, sender, recipient, sequence, keep_s, position, ordinal, generation, kind, state, "      \
    "furthest, exercise, head, expires, parent, rekey, outages, body, notes_sender, notes_recipient"

static const char *const statement_sql[] = {
#define STATEMENT(name, sql) sql,
#include "statements.def"
#undef STATEMENT
};

enum { BUSY_MS = 5000 };

struct sqlite_store *sq_self(struct store *store) {
    return (struct sqlite_store *)store;
}

enum error sq_error(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return E_OK;
    case SQLITE_FULL: return E_STORE_FULL;
    case SQLITE_NOMEM: return E_NO_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return E_CORRUPT;
    case SQLITE_CONSTRAINT: return E_CONFLICT;
    default: return E_IO;
    }
}

sqlite3_stmt *sq_bind(struct store *store, enum sql id, const char *format, ...) {
    sqlite3_stmt *statement = sq_self(store)->statements[id];
    va_list arguments;
    va_start(arguments, format);
    for (int i = 1; format[i - 1]; i++) {
        int64_t number;
        struct bytes bytes;
        switch (format[i - 1]) {
        case 'i': sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t)); break;
        case 'u': sqlite3_bind_int64(statement, i, (int64_t)va_arg(arguments, uint64_t)); break;
        case 'o':
            number = va_arg(arguments, int64_t);
            if (number < 0)
                sqlite3_bind_null(statement, i);
            else
                sqlite3_bind_int64(statement, i, number);
            break;
        case 't': sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1, SQLITE_STATIC); break;
        case 'b':
            bytes = va_arg(arguments, struct bytes);
            sqlite3_bind_blob64(statement, i, bytes.n ? (const void *)bytes.p : "", bytes.n, SQLITE_STATIC);
            break;
        case 'h': sqlite3_bind_blob(statement, i, va_arg(arguments, const uint8_t *), HASH_SIZE, SQLITE_STATIC); break;
        case 'r':
            sqlite3_bind_blob(statement, i, va_arg(arguments, const uint8_t *), REQUEST_ID_SIZE, SQLITE_STATIC);
            break;
        case 'n': sqlite3_bind_null(statement, i); break;
        default: assert(false && "bind format");
        }
    }
    va_end(arguments);
    return statement;
}

void sq_done(sqlite3_stmt *statement) {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

enum error sq_execute(struct sqlite_store *sq, const char *sql) {
    return sq_error(sqlite3_exec(sq->db, sql, NULL, NULL, NULL));
}

enum error sq_run(sqlite3_stmt *statement) {
    enum error error = sq_error(sqlite3_step(statement));
    sq_done(statement);
    return error;
}

enum error sq_first(sqlite3_stmt *statement) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) return E_OK;
    sq_done(statement);
    return code == SQLITE_DONE ? E_UNKNOWN_REQUEST : sq_error(code);
}

enum error sq_u64(sqlite3_stmt *statement, uint64_t *ret) {
    TRY(sq_first(statement));
    *ret = (uint64_t)sqlite3_column_int64(statement, 0);
    sq_done(statement);
    return E_OK;
}

void sq_sum(const void *key, size_t n, struct bytes bytes, uint8_t ret[static HASH_SIZE]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, key, n);
    crypto_generichash_update(&state, bytes.p, bytes.n);
    crypto_generichash_final(&state, ret, HASH_SIZE);
}

struct bytes sq_column_bytes(sqlite3_stmt *statement, int column) {
    const void *p = sqlite3_column_blob(statement, column);
    return bytes_of(p, (size_t)sqlite3_column_bytes(statement, column));
}

enum error sq_buf(sqlite3_stmt *statement, struct buf *ret) {
    TRY(sq_first(statement));
    struct bytes bytes = sq_column_bytes(statement, 0);
    bool short_of_memory = !bytes.p && sqlite3_errcode(sqlite3_db_handle(statement)) == SQLITE_NOMEM;
    buf_add_bytes(ret, bytes);
    sq_done(statement);
    return short_of_memory ? E_NO_MEMORY : buf_error(ret);
}

void sq_column_fixed(sqlite3_stmt *statement, int column, uint8_t *ret, size_t n) {
    struct bytes bytes = sq_column_bytes(statement, column);
    memset(ret, 0, n);
    if (bytes.n == n) memcpy(ret, bytes.p, n);
}

void sq_column_text(sqlite3_stmt *statement, int column, char *ret, size_t size) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    snprintf(ret, size, "%s", text ? text : "");
}

/* ---- what belongs to no one table ---- */

static void sq_close(struct store *store) {
    struct sqlite_store *sq = sq_self(store);
    for (size_t i = 0; i < SQL_COUNT; i++) sqlite3_finalize(sq->statements[i]);
    sqlite3_close(sq->db);
    counters_free(&sq->counters);
    free(sq);
}

static enum error sq_begin(struct store *store) {
    counters_clear(&sq_self(store)->counters);
    return sq_run(sq_bind(store, SQL_BEGIN, ""));
}

/* What was erased is still in the journal until that is emptied. If it cannot be now, because somebody reads (a backup), then
 * after the next commit. */
static void empty_journal(struct sqlite_store *sq) {
    sqlite3_busy_timeout(sq->db, 0);
    if (sqlite3_wal_checkpoint_v2(sq->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
        sq->erased = false;
    sqlite3_busy_timeout(sq->db, BUSY_MS);
}

static enum error sq_commit(struct store *store) {
    TRY(sq_counters_write(sq_self(store)));
    TRY(sq_run(sq_bind(store, SQL_COMMIT, "")));
    if (sq_self(store)->erased) empty_journal(sq_self(store));
    return E_OK;
}

/* A read transaction: the file's locks are taken once. */
static enum error sq_view_begin(struct store *store) { return sq_run(sq_bind(store, SQL_VIEW, "")); }
static enum error sq_view_end(struct store *store) { return sq_run(sq_bind(store, SQL_COMMIT, "")); }

/* PASSIVE waits for nobody; the journal begins anew with the next commit when all of it was brought over. */
static enum error sq_settle(struct store *store) {
    int code = sqlite3_wal_checkpoint_v2(sq_self(store)->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return code == SQLITE_BUSY || code == SQLITE_LOCKED ? E_OK : sq_error(code);
}

static void sq_rollback(struct store *store) {
    counters_clear(&sq_self(store)->counters);
    /* SQLite may have rolled back by itself (SQLITE_FULL); then there is nothing to do. */
    if (!sqlite3_get_autocommit(sq_self(store)->db)) (void)!sq_run(sq_bind(store, SQL_ROLLBACK, ""));
}

static enum error sq_meta_get(struct store *store, const char *key, uint64_t *ret) {
    enum error error = sq_u64(sq_bind(store, SQL_META_GET, "t", key), ret);
    if (error == E_UNKNOWN_REQUEST) *ret = 0;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}
static enum error sq_meta_put(struct store *store, const char *key, uint64_t value) {
    return sq_run(sq_bind(store, SQL_META_PUT, "tu", key, value));
}
static enum error two_u64(sqlite3_stmt *statement, uint64_t *ret_a, uint64_t *ret_b) {
    TRY(sq_first(statement));
    *ret_a = (uint64_t)sqlite3_column_int64(statement, 0);
    *ret_b = (uint64_t)sqlite3_column_int64(statement, 1);
    sq_done(statement);
    return E_OK;
}
static enum error sq_counts(struct store *store, struct store_counts *ret) {
    struct store_counts counts;
    TRY(two_u64(sq_bind(store, SQL_COUNT_REQUESTS, ""), &counts.requests, &counts.staged));
    TRY(two_u64(sq_bind(store, SQL_COUNT_LEGS, ""), &counts.legs, &counts.legs_open));
    TRY(sq_u64(sq_bind(store, SQL_COUNT_RECEIPTS, ""), &counts.receipts));
    TRY(sq_u64(sq_bind(store, SQL_COUNT_PAGES, ""), &counts.bytes));
    TRY(store->ops->entry_count(store, &counts.entries));
    *ret = counts;
    return E_OK;
}

static const struct store_ops core_ops = {
    .close = sq_close,
    .begin = sq_begin,
    .commit = sq_commit,
    .rollback = sq_rollback,
    .view_begin = sq_view_begin,
    .view_end = sq_view_end,
    .settle = sq_settle,
    .meta_get = sq_meta_get,
    .meta_put = sq_meta_put,
    .counts = sq_counts,
};

/* ---- opening ---- */

static enum error schema_version(struct sqlite_store *sq, int *ret) {
    sqlite3_stmt *statement = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(sq->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    int code = sqlite3_finalize(statement);
    if (code != SQLITE_OK) return sq_error(code);
    *ret = version;
    return E_OK;
}

/* Makes the tables, or brings an older version's to this one, in one transaction. What fails is rolled back by closing. */
static enum error upgrade(struct sqlite_store *sq, bool create) {
    int version = -1;
    TRY(schema_version(sq, &version));
    if (version == SCHEMA_VERSION) return E_OK;
    if (version < 0 || version > SCHEMA_VERSION || (version == 0 && !create)) return E_CORRUPT;
    TRY(sq_execute(sq, "BEGIN IMMEDIATE"));
    for (; version < SCHEMA_VERSION; version++) TRY(sq_execute(sq, schema_sql[version]));
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", SCHEMA_VERSION);
    return sq_execute(sq, sql);
}

static enum error prepare(struct sqlite_store *sq) {
    for (size_t i = 0; i < SQL_COUNT; i++) {
        int code =
            sqlite3_prepare_v3(sq->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &sq->statements[i], NULL);
        if (code != SQLITE_OK) return sq_error(code) == E_IO ? E_CORRUPT : sq_error(code);
    }
    return E_OK;
}

static enum error open_file(struct sqlite_store *sq, const char *path, bool create) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &sq->db, flags, NULL);
    if (code != SQLITE_OK) return sq_error(code);
    sqlite3_extended_result_codes(sq->db, 1);
    sqlite3_busy_timeout(sq->db, BUSY_MS);
    TRY(sq_execute(sq,
                   "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                   "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA secure_delete = FAST;"
                   "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864;"));
    TRY(upgrade(sq, create));
    return prepare(sq);
}

/* SQLite would take the umask's word for who may read; its other files get the mode of this one. */
static enum error create_file(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return errno == ENOSPC ? E_STORE_FULL : E_IO;
    close(fd);
    return E_OK;
}

enum error store_sqlite_open(const char *path, bool create, struct store **ret) {
    if (create) TRY(create_file(path));
    if (!create && access(path, F_OK) != 0) return E_IO;
    struct sqlite_store *sq = calloc(1, sizeof *sq);
    if (!sq) return E_NO_MEMORY;
    sq->erased = true; /* perhaps just before it was killed */
    sq->ops = core_ops;
    sq_requests(&sq->ops);
    sq_legs(&sq->ops);
    sq_directory(&sq->ops);
    sq_boxes(&sq->ops);
    sq_counters(&sq->ops);
    sq->store.ops = &sq->ops;
    enum error error = open_file(sq, path, create);
    if (error != E_OK) {
        sq_close(&sq->store);
        return error;
    }
    *ret = &sq->store;
    return E_OK;
}
