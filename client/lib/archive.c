/* archive.c - the sealed local store over SQLite: one form of row for all tables, so one way to read, write and seal.
 */
#include "archive.h"

#include <assert.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>

#include "label.h"

enum {
    SCHEMA_VERSION = 3, /* 1 and 2 had fewer tables */
    STATEMENT_KINDS = 10,
    BUSY_MS = 5000,
    DEPTH_MAX = 8,
    SEAL_OVERHEAD = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES,
};

/* The SQL of each kind of access, made once for a table. */
enum query {
    QUERY_SET,
    QUERY_GET,
    QUERY_DELETE,
    QUERY_DELETE_ALL,
    QUERY_DELETE_A,
    QUERY_DELETE_AB,
    QUERY_NEXT,
    QUERY_COUNT,
    QUERY_LAST,
    QUERY_HAS,
};

struct archive {
    sqlite3 *db;
    sqlite3_stmt *queries[TABLE_COUNT][STATEMENT_KINDS];
    struct secret key;
    uint8_t names[KEY_SIZE]; /* key of archive_hash */
    unsigned depth;          /* of nested begins */
    bool spoiled;            /* a commit's outcome is unknown */
};

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",         [TABLE_LEAF] = "leaf",     [TABLE_PREKEY] = "prekey", [TABLE_REQUEST] = "request",
    [TABLE_ORDER] = "orders",      [TABLE_LEG] = "leg",       [TABLE_ENTRY] = "entry",   [TABLE_NOTE] = "note",
    [TABLE_CHUNK] = "chunk",       [TABLE_OUTBOX] = "outbox", [TABLE_DUTY] = "duty",     [TABLE_SEQUENCE] = "sequence",
    [TABLE_VOID] = "void",         [TABLE_HEARD] = "heard",   [TABLE_THREAD] = "thread", [TABLE_ALARM] = "alarm",
    [TABLE_SPOOL] = "spool",       [TABLE_AGAIN] = "again",   [TABLE_HEAD] = "head",     [TABLE_PROMISE] = "promise",
    [TABLE_NEWS] = "news",         [TABLE_PAIR] = "pair",     [TABLE_HANDED] = "handed", [TABLE_CONTACT] = "contact",
    [TABLE_SHEETKEY] = "sheetkey", [TABLE_PARCEL] = "parcel", [TABLE_SEEN] = "seen",     [TABLE_POLICY] = "policy",
    [TABLE_GAP] = "gap",           [TABLE_LOST] = "lost",
};

static const char *const query_texts[STATEMENT_KINDS] = {
    [QUERY_SET] = "INSERT OR REPLACE INTO %s(a,b,n,v) VALUES(?1,?2,?3,?4)",
    [QUERY_GET] = "SELECT v FROM %s WHERE a=?1 AND b=?2 AND n=?3",
    [QUERY_DELETE] = "DELETE FROM %s WHERE a=?1 AND b=?2 AND n=?3",
    [QUERY_DELETE_ALL] = "DELETE FROM %s",
    [QUERY_DELETE_A] = "DELETE FROM %s WHERE a=?1",
    [QUERY_DELETE_AB] = "DELETE FROM %s WHERE a=?1 AND b=?2",
    [QUERY_NEXT] = "SELECT a,b,n,v FROM %s WHERE (a,b,n)>=(?1,?2,?3) ORDER BY a,b,n LIMIT 1",
    [QUERY_COUNT] = "SELECT count(*) FROM %s WHERE a BETWEEN ?1 AND ?4 AND b BETWEEN ?2 AND ?5",
    [QUERY_LAST] = "SELECT n FROM %s WHERE a=?1 AND b=?2 ORDER BY n DESC LIMIT 1",
    [QUERY_HAS] = "SELECT 1 FROM %s WHERE a=?1 AND b=?2 AND n=?3",
};

static enum error error_of(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return E_OK;
    case SQLITE_FULL: return E_DISK_FULL;
    case SQLITE_NOMEM: return E_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return E_LOCKED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return E_CORRUPT;
    default: return E_IO;
    }
}

static enum error run(struct archive *archive, const char *sql) {
    return error_of(sqlite3_exec(archive->db, sql, NULL, NULL, NULL));
}

struct archive_key archive_key(const uint8_t *a, const uint8_t *b, uint64_t n) {
    struct archive_key key = {.n = n};
    if (a) memcpy(key.a, a, sizeof key.a);
    if (b) memcpy(key.b, b, sizeof key.b);
    return key;
}

struct archive_key archive_named(const char *name) {
    struct archive_key key = {0};
    assert(strlen(name) <= sizeof key.a);
    memcpy(key.a, name, strlen(name));
    return key;
}

/* ---- opening ---- */

static enum error create_tables(struct archive *archive) {
    for (int i = 0; i < TABLE_COUNT; i++) {
        char sql[256];
        (void)snprintf(
            sql, sizeof sql,
            "CREATE TABLE IF NOT EXISTS %s(a BLOB NOT NULL,b BLOB NOT NULL,n INTEGER NOT NULL,v BLOB NOT NULL,"
            "PRIMARY KEY(a,b,n)) WITHOUT ROWID",
            table_names[i]);
        TRY(run(archive, sql));
    }
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA user_version=%d", SCHEMA_VERSION);
    return run(archive, sql);
}

static enum error read_version(struct archive *archive, int *ret) {
    sqlite3_stmt *query = NULL;
    int code = sqlite3_prepare_v2(archive->db, "PRAGMA user_version", -1, &query, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(query);
    enum error error = error_of(code);
    if (code == SQLITE_ROW) *ret = sqlite3_column_int(query, 0);
    sqlite3_finalize(query);
    return error;
}

/* A file that was made but never got its tables (a crash within init) is filled, an older version's gets those that it
 * lacks; a newer version's is left alone. */
static enum error prepare_schema(struct archive *archive, bool create) {
    int version = 0;
    TRY(read_version(archive, &version));
    if (version == SCHEMA_VERSION) return E_OK;
    if (version > SCHEMA_VERSION) return E_UNKNOWN_VERSION;
    if (version == 0 && !create) return E_CORRUPT;
    TRY(archive_begin(archive));
    enum error error = create_tables(archive);
    if (error == E_OK) return archive_commit(archive);
    archive_rollback(archive);
    return error;
}

static enum error set_modes(struct archive *archive) {
    sqlite3_busy_timeout(archive->db, BUSY_MS);
    TRY(run(archive, "PRAGMA secure_delete=ON"));
    TRY(run(archive, "PRAGMA journal_mode=WAL"));
    TRY(run(archive, "PRAGMA synchronous=FULL"));
    TRY(run(archive, "PRAGMA temp_store=MEMORY"));
    return run(archive, "PRAGMA trusted_schema=OFF");
}

static enum error open_file(struct archive *archive, const char *path, const struct secret *key, bool create) {
    TRY(secret_copy(key->p, key->n, &archive->key));
    crypto_generichash(archive->names, sizeof archive->names, (const uint8_t *)"names", 5, key->p, key->n);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    TRY(error_of(sqlite3_open_v2(path, &archive->db, flags, NULL)));
    TRY(set_modes(archive));
    return prepare_schema(archive, create);
}

enum error archive_open(const char *path, const struct secret *key, bool create, struct archive **ret,
                        struct failure *failure) {
    assert(key->n == KEY_SIZE);
    struct archive *archive = calloc(1, sizeof *archive);
    if (!archive) return fail(failure, E_NO_MEMORY, "%s", path);
    enum error error = open_file(archive, path, key, create);
    if (error != E_OK) {
        fail(failure, error, "%s", path);
        archive_close(&archive);
        return error;
    }
    *ret = archive;
    return E_OK;
}

void archive_close(struct archive **archive) {
    struct archive *this = *archive;
    if (!this) return;
    for (int i = 0; i < TABLE_COUNT; i++)
        for (int j = 0; j < STATEMENT_KINDS; j++) sqlite3_finalize(this->queries[i][j]);
    sqlite3_close(this->db);
    secret_free(&this->key);
    sodium_memzero(this->names, sizeof this->names);
    free(this);
    *archive = NULL;
}

/* ---- transactions ---- */

static void level_sql(char *sql, size_t size, const char *verb, unsigned level) {
    (void)snprintf(sql, size, "%s level%u", verb, level);
}

enum error archive_begin(struct archive *archive) {
    if (archive->spoiled) return E_IO;
    assert(archive->depth < DEPTH_MAX);
    char sql[64];
    level_sql(sql, sizeof sql, "SAVEPOINT", archive->depth);
    TRY(run(archive, archive->depth == 0 ? "BEGIN IMMEDIATE" : sql));
    archive->depth++;
    return E_OK;
}

enum error archive_commit(struct archive *archive) {
    assert(archive->depth > 0);
    if (archive->depth > 1) {
        char sql[64];
        level_sql(sql, sizeof sql, "RELEASE", archive->depth - 1);
        enum error error = run(archive, sql);
        if (error != E_OK)
            archive_rollback(archive);
        else
            archive->depth--;
        return error;
    }
    int code = sqlite3_exec(archive->db, "COMMIT", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        archive->depth = 0;
        return E_OK;
    }
    /* After a failed sync the row may be there or not: nobody may go on as if he knew. */
    int extended = sqlite3_extended_errcode(archive->db);
    archive->spoiled = extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC;
    archive_rollback(archive);
    return error_of(code);
}

void archive_rollback(struct archive *archive) {
    assert(archive->depth > 0);
    archive->depth--;
    if (archive->depth == 0) {
        /* SQLite may have rolled back by itself (disk full); then there is nothing left to do. */
        if (!sqlite3_get_autocommit(archive->db) && run(archive, "ROLLBACK") != E_OK) archive->spoiled = true;
        return;
    }
    if (sqlite3_get_autocommit(archive->db)) return;
    char sql[64];
    level_sql(sql, sizeof sql, "ROLLBACK TO", archive->depth);
    enum error error = run(archive, sql);
    level_sql(sql, sizeof sql, "RELEASE", archive->depth);
    if (error != E_OK || run(archive, sql) != E_OK) archive->spoiled = true;
}

/* ---- rows ---- */

/* Inside a transaction that SQLite has ended by itself nothing may be written singly. */
static enum error ready(struct archive *archive) {
    if (archive->spoiled) return E_IO;
    return archive->depth > 0 && sqlite3_get_autocommit(archive->db) ? E_IO : E_OK;
}

static enum error query_begin(struct archive *archive, enum archive_table table, enum query query,
                              const struct archive_key *key, sqlite3_stmt **ret) {
    TRY(ready(archive));
    sqlite3_stmt **slot = &archive->queries[table][query];
    if (!*slot) {
        char sql[256];
        (void)sqlite3_snprintf(sizeof sql, sql, query_texts[query], table_names[table]);
        TRY(error_of(sqlite3_prepare_v3(archive->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL)));
    }
    assert(key->n <= INT64_MAX);
    int most = sqlite3_bind_parameter_count(*slot), code = SQLITE_OK;
    if (most >= 1) code = sqlite3_bind_blob(*slot, 1, key->a, sizeof key->a, SQLITE_STATIC);
    if (code == SQLITE_OK && most >= 2) code = sqlite3_bind_blob(*slot, 2, key->b, sizeof key->b, SQLITE_STATIC);
    if (code == SQLITE_OK && most >= 3) code = sqlite3_bind_int64(*slot, 3, (sqlite3_int64)key->n);
    *ret = *slot;
    return error_of(code);
}

static void query_end(sqlite3_stmt *query) {
    sqlite3_reset(query);
    sqlite3_clear_bindings(query);
}

/* Runs to the end without wanting a row. */
static enum error query_run(sqlite3_stmt *query) {
    int code = sqlite3_step(query);
    query_end(query);
    return error_of(code);
}

static void associated_data(enum archive_table table, const struct archive_key *key, struct buf *out) {
    buf_add_bytes(out, label_text(LABEL_STORE));
    buf_add(out, "", 1);
    buf_add_bytes(out, bytes_text(table_names[table]));
    buf_add(out, "\0value\0", 7);
    buf_add(out, key->a, sizeof key->a);
    buf_add(out, key->b, sizeof key->b);
    for (int shift = 56; shift >= 0; shift -= 8) buf_add(out, &(uint8_t){(uint8_t)(key->n >> shift)}, 1);
}

static enum error seal(struct archive *archive, enum archive_table table, const struct archive_key *key,
                       struct bytes value, struct buf *out) {
    if (table == TABLE_CHUNK) { /* sealed by its sender */
        buf_add_bytes(out, value);
        return buf_error(out);
    }
    AUTO_BUF ad = {0};
    associated_data(table, key, &ad);
    uint8_t *to = buf_extend(out, value.n + SEAL_OVERHEAD);
    if (!to || ad.failed) return E_NO_MEMORY;
    randombytes_buf(to, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(to + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, NULL, value.p,
                                               value.n, ad.p, ad.n, NULL, to, archive->key.p);
    return E_OK;
}

/* SQLite gives nothing at all for a value that there is no memory for: that is no damage. */
static enum error too_short(const struct archive *archive) {
    return sqlite3_errcode(archive->db) == SQLITE_NOMEM ? E_NO_MEMORY : E_CORRUPT;
}

static enum error unseal(struct archive *archive, enum archive_table table, const struct archive_key *key,
                         struct bytes sealed, struct buf *out) {
    if (table == TABLE_CHUNK) {
        if (sealed.n == 0) return too_short(archive);
        buf_add_bytes(out, sealed);
        return buf_error(out);
    }
    if (sealed.n < SEAL_OVERHEAD) return too_short(archive);
    AUTO_BUF ad = {0};
    associated_data(table, key, &ad);
    size_t before = out->n;
    uint8_t *to = buf_extend(out, sealed.n - SEAL_OVERHEAD);
    if (!to || ad.failed) return E_NO_MEMORY;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            to, NULL, NULL, sealed.p + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
            sealed.n - crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, ad.p, ad.n, sealed.p, archive->key.p) == 0)
        return E_OK;
    out->n = before;
    return E_CORRUPT;
}

enum error archive_set(struct archive *archive, enum archive_table table, struct archive_key key, struct bytes value) {
    AUTO_BUF sealed = {0};
    TRY(seal(archive, table, &key, value, &sealed));
    if (sealed.n > INT32_MAX) return E_TOO_LARGE;
    sqlite3_stmt *query;
    TRY(query_begin(archive, table, QUERY_SET, &key, &query));
    int code = sqlite3_bind_blob(query, 4, sealed.p ? sealed.p : (const uint8_t *)"", (int)sealed.n, SQLITE_STATIC);
    if (code != SQLITE_OK) {
        query_end(query);
        return error_of(code);
    }
    return query_run(query);
}

static struct bytes column(sqlite3_stmt *query, int index) {
    const void *p = sqlite3_column_blob(query, index);
    return bytes_of(p, (size_t)sqlite3_column_bytes(query, index));
}

enum error archive_get(struct archive *archive, enum archive_table table, struct archive_key key, struct buf *out,
                       bool *ret_found) {
    sqlite3_stmt *query;
    TRY(query_begin(archive, table, QUERY_GET, &key, &query));
    int code = sqlite3_step(query);
    enum error error = code == SQLITE_ROW ? unseal(archive, table, &key, column(query, 0), out) : error_of(code);
    query_end(query);
    if (error == E_OK) *ret_found = code == SQLITE_ROW;
    return error;
}

enum error archive_has(struct archive *archive, enum archive_table table, struct archive_key key, bool *ret) {
    sqlite3_stmt *query;
    TRY(query_begin(archive, table, QUERY_HAS, &key, &query));
    int code = sqlite3_step(query);
    query_end(query);
    TRY(error_of(code));
    *ret = code == SQLITE_ROW;
    return E_OK;
}

enum error archive_delete(struct archive *archive, enum archive_table table, struct archive_key key) {
    sqlite3_stmt *query;
    TRY(query_begin(archive, table, QUERY_DELETE, &key, &query));
    return query_run(query);
}

enum error archive_delete_all(struct archive *archive, enum archive_table table, enum archive_scope scope,
                              struct archive_key key) {
    static const enum query queries[] = {QUERY_DELETE_ALL, QUERY_DELETE_A, QUERY_DELETE_AB};
    sqlite3_stmt *query;
    TRY(query_begin(archive, table, queries[scope], &key, &query));
    return query_run(query);
}

/* ---- walking ---- */

struct archive_cursor archive_cursor(enum archive_table table, enum archive_scope scope, struct archive_key key) {
    return (struct archive_cursor){.table = table, .scope = scope, .key = key};
}

static bool in_scope(enum archive_scope scope, const struct archive_key *x, const struct archive_key *y) {
    if (scope >= SCOPE_A && memcmp(x->a, y->a, sizeof x->a) != 0) return false;
    return scope < SCOPE_AB || memcmp(x->b, y->b, sizeof x->b) == 0;
}

static enum error read_key(const struct archive *archive, sqlite3_stmt *query, struct archive_key *ret) {
    struct bytes a = column(query, 0), b = column(query, 1);
    if (a.n != sizeof ret->a || b.n != sizeof ret->b || sqlite3_column_int64(query, 2) < 0) return too_short(archive);
    *ret = archive_key(a.p, b.p, (uint64_t)sqlite3_column_int64(query, 2));
    return E_OK;
}

static bool increase(uint8_t *number, size_t n) {
    while (n > 0)
        if (++number[--n] != 0) return true;
    return false;
}

/* To the next key there can be; a number may come from a peer, and be the largest. False after the last. */
static bool step(struct archive_key *key) {
    if (key->n < INT64_MAX) {
        key->n++;
        return true;
    }
    key->n = 0;
    return increase(key->b, sizeof key->b) || increase(key->a, sizeof key->a);
}

enum error archive_next(struct archive *archive, struct archive_cursor *cursor, struct buf *out, bool *ret_found) {
    buf_clear(out);
    struct archive_key from = cursor->key, key;
    *ret_found = false;
    if (cursor->begun && !step(&from)) return E_OK;
    sqlite3_stmt *query;
    TRY(query_begin(archive, cursor->table, QUERY_NEXT, &from, &query));
    int code = sqlite3_step(query);
    bool found = code == SQLITE_ROW;
    enum error error = found ? read_key(archive, query, &key) : error_of(code);
    if (error == E_OK && found && !in_scope(cursor->scope, &key, &cursor->key)) found = false;
    if (error == E_OK && found) error = unseal(archive, cursor->table, &key, column(query, 3), out);
    query_end(query);
    TRY(error);
    if (found) {
        cursor->key = key;
        cursor->begun = true;
    }
    *ret_found = found;
    return E_OK;
}

/* The rows under a scope: the open columns range from all zeros to all ones. */
enum error archive_count(struct archive *archive, enum archive_table table, enum archive_scope scope,
                         struct archive_key key, uint64_t *ret) {
    struct archive_key low = key, high = key;
    if (scope < SCOPE_AB) {
        memset(low.b, 0, sizeof low.b);
        memset(high.b, 0xff, sizeof high.b);
    }
    if (scope < SCOPE_A) {
        memset(low.a, 0, sizeof low.a);
        memset(high.a, 0xff, sizeof high.a);
    }
    sqlite3_stmt *query;
    TRY(query_begin(archive, table, QUERY_COUNT, &low, &query));
    int code = sqlite3_bind_blob(query, 4, high.a, sizeof high.a, SQLITE_STATIC);
    if (code == SQLITE_OK) code = sqlite3_bind_blob(query, 5, high.b, sizeof high.b, SQLITE_STATIC);
    if (code == SQLITE_OK) code = sqlite3_step(query);
    sqlite3_int64 count = code == SQLITE_ROW ? sqlite3_column_int64(query, 0) : 0;
    query_end(query);
    TRY(error_of(code));
    *ret = (uint64_t)count;
    return E_OK;
}

enum error archive_number(struct archive *archive, enum archive_table table, struct archive_key key, uint64_t *ret) {
    sqlite3_stmt *query;
    TRY(query_begin(archive, table, QUERY_LAST, &key, &query));
    int code = sqlite3_step(query);
    sqlite3_int64 last = code == SQLITE_ROW ? sqlite3_column_int64(query, 0) : 0;
    query_end(query);
    TRY(error_of(code));
    *ret = last < 0 ? 1 : (uint64_t)last + 1;
    return E_OK;
}

void archive_hash(const struct archive *archive, struct bytes name, uint8_t ret[static HASH_SIZE]) {
    crypto_generichash(ret, HASH_SIZE, name.p, name.n, archive->names, sizeof archive->names);
}

enum error archive_scrub(struct archive *archive) {
    assert(archive->depth == 0);
    TRY(ready(archive));
    return run(archive, "PRAGMA wal_checkpoint(TRUNCATE)");
}

enum error archive_copy(struct archive *archive, const char *path) {
    assert(archive->depth == 0);
    TRY(ready(archive));
    sqlite3_stmt *query = NULL;
    int code = sqlite3_prepare_v2(archive->db, "VACUUM INTO ?1", -1, &query, NULL);
    if (code == SQLITE_OK) code = sqlite3_bind_text(query, 1, path, -1, SQLITE_STATIC);
    if (code == SQLITE_OK) code = sqlite3_step(query);
    sqlite3_finalize(query);
    return error_of(code);
}
