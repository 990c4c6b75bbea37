/* rows.c - a read-only connection of its own, one snapshot, plain SELECTs. */
#include "rows.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "schema.sql.h"
#include "sqlite.h"

enum { BUSY_MS = 30000, DAMAGES_MAX = 100, TABLE_NAME_SIZE = 64 };

struct rows {
    sqlite3 *db;
};
struct cursor {
    sqlite3_stmt *statement;
};

static enum error execute(sqlite3 *db, const char *sql) { return sq_error(sqlite3_exec(db, sql, NULL, NULL, NULL)); }

static enum error one_int(sqlite3 *db, const char *sql, int64_t *ret) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (code != SQLITE_ROW) return code == SQLITE_DONE ? E_CORRUPT : sq_error(code);
    *ret = value;
    return E_OK;
}

static enum error connect(const char *path, int flags, sqlite3 **ret) {
    int code = sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) return sq_error(code);
    sqlite3_extended_result_codes(*ret, 1);
    sqlite3_busy_timeout(*ret, BUSY_MS);
    return execute(*ret, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON");
}

/* The snapshot begins with the first read. */
static enum error begin(struct rows *rows, const char *path) {
    int64_t version;
    TRY(connect(path, SQLITE_OPEN_READONLY, &rows->db));
    TRY(execute(rows->db, "BEGIN"));
    TRY(one_int(rows->db, "PRAGMA user_version", &version));
    if (version != SCHEMA_VERSION) return E_CORRUPT;
    return one_int(rows->db, "SELECT count(*) FROM sqlite_master", &version);
}

enum error rows_open(const char *path, struct rows **ret) {
    if (access(path, R_OK) != 0) return E_IO;
    struct rows *rows = calloc(1, sizeof *rows);
    if (!rows) return E_NO_MEMORY;
    enum error error = begin(rows, path);
    if (error != E_OK) {
        rows_close(rows);
        return error;
    }
    *ret = rows;
    return E_OK;
}

void rows_close(struct rows *rows) {
    if (!rows) return;
    sqlite3_close(rows->db);
    free(rows);
}

/* ---- structure ---- */

/* "row 7 missing from index leg_due": the table of that index; or a table that the words name. */
static void table_of(struct rows *rows, const char *words, char ret[static TABLE_NAME_SIZE]) {
    sqlite3_stmt *statement = NULL;
    ret[0] = 0;
    /* the longest name that stands in the words */
    static const char sql[] =
        "SELECT tbl_name FROM sqlite_master WHERE instr(?1, name) > 0 ORDER BY length(name) DESC LIMIT 1";
    if (sqlite3_prepare_v2(rows->db, sql, -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, words, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) == SQLITE_ROW)
            snprintf(ret, TABLE_NAME_SIZE, "%s", (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
}

/* What the tables of this version are: made anew, in memory. */
static enum error expected_schema(sqlite3 **ret) {
    TRY(connect(":memory:", SQLITE_OPEN_READWRITE, ret));
    for (int i = 0; i < SCHEMA_VERSION; i++) TRY(execute(*ret, schema_sql[i]));
    return E_OK;
}

static enum error add_schema(sqlite3 *db, struct buf *out) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        db, "SELECT type || ' ' || name || ' ' || tbl_name || ': ' || ifnull(sql, '') FROM sqlite_master ORDER BY name",
        -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        buf_add_bytes(out, sq_column_bytes(statement, 0));
        buf_add(out, "\n", 1);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    TRY(sq_error(code));
    return buf_error(out);
}

static enum error check_schema(struct rows *rows, enum error (*tell)(void *, const char *, const char *),
                               void *context) {
    AUTO_BUF expected = {0}, found = {0};
    sqlite3 *fresh = NULL;
    enum error error = expected_schema(&fresh);
    if (error == E_OK) error = add_schema(fresh, &expected);
    sqlite3_close(fresh);
    TRY(error);
    TRY(add_schema(rows->db, &found));
    if (bytes_equal(buf_bytes(&expected), buf_bytes(&found))) return E_OK;
    return tell(context, "sqlite_master", "the tables are not described as this version makes them");
}

/* A flipped bit in a row's own description makes a blob of a text, or nothing of a zero; SQLite lets most of that
 * pass. */
static enum error check_column(struct rows *rows, const char *table, const char *column, const char *type,
                               bool maybe_null, enum error (*tell)(void *, const char *, const char *), void *context) {
    char sql[512], words[256], name[16];
    int64_t count;
    snprintf(name, sizeof name, "%s", type);
    for (char *p = name; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\" WHERE typeof(\"%s\") NOT IN ('%s'%s)", table, column, name,
             maybe_null ? ", 'null'" : "");
    TRY(one_int(rows->db, sql, &count));
    if (count == 0) return E_OK;
    snprintf(words, sizeof words, "column %s has another type than %s in %lld rows", column, name, (long long)count);
    return tell(context, table, words);
}

static enum error check_types(struct rows *rows, enum error (*tell)(void *, const char *, const char *),
                              void *context) {
    static const char sql[] = "SELECT m.name, p.name, p.type, p.\"notnull\" OR p.pk > 0 FROM sqlite_master m, "
                              "pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT GLOB 'sqlite_*'";
    AUTO_CURSOR *cursor = NULL;
    bool row;
    TRY(rows_select(rows, sql, NULL, 0, &cursor));
    for (;;) {
        char table[TABLE_NAME_SIZE], column[TABLE_NAME_SIZE], type[16];
        TRY(rows_next(cursor, &row));
        if (!row) return E_OK;
        sq_column_text(cursor->statement, 0, table, sizeof table);
        sq_column_text(cursor->statement, 1, column, sizeof column);
        sq_column_text(cursor->statement, 2, type, sizeof type);
        enum error error = check_column(rows, table, column, type, rows_int(cursor, 3) == 0, tell, context);
        if (error == E_CORRUPT) error = tell(context, table, "the rows of this table cannot all be read");
        TRY(error);
    }
}

enum error rows_check(struct rows *rows, enum error (*tell)(void *, const char *, const char *), void *context) {
    char sql[64], table[TABLE_NAME_SIZE];
    AUTO_CURSOR *cursor = NULL;
    bool row;
    snprintf(sql, sizeof sql, "PRAGMA integrity_check(%d)", DAMAGES_MAX);
    enum error error = rows_select(rows, sql, NULL, 0, &cursor);
    while (error == E_OK && (error = rows_next(cursor, &row)) == E_OK && row) {
        char words[512];
        struct bytes text = rows_bytes(cursor, 0);
        snprintf(words, sizeof words, "%.*s", (int)(text.n < sizeof words ? text.n : sizeof words - 1),
                 (const char *)text.p);
        if (strcmp(words, "ok") == 0) continue;
        table_of(rows, words, table);
        TRY(tell(context, table, words));
    }
    if (error != E_OK && error != E_CORRUPT) return error;
    if (error == E_CORRUPT) TRY(tell(context, "", "the file's structure is damaged"));
    error = check_schema(rows, tell, context);
    if (error == E_OK) error = check_types(rows, tell, context);
    return error == E_CORRUPT ? tell(context, "sqlite_master", "the description of the tables is damaged") : error;
}

/* ---- rows ---- */

static enum error bind(struct cursor *cursor, const int64_t *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) sqlite3_bind_int64(cursor->statement, (int)i + 1, numbers[i]);
    return E_OK;
}

enum error rows_select(struct rows *rows, const char *sql, const int64_t *numbers, size_t count, struct cursor **ret) {
    struct cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor) return E_NO_MEMORY;
    int code = sqlite3_prepare_v2(rows->db, sql, -1, &cursor->statement, NULL);
    if (code != SQLITE_OK) {
        free(cursor);
        enum error error = sq_error(code); /* a table that is not there, or has other columns */
        return error == E_IO && (code & 0xff) == SQLITE_ERROR ? E_CORRUPT : error;
    }
    TRY(bind(cursor, numbers, count));
    *ret = cursor;
    return E_OK;
}

enum error rows_again(struct cursor *cursor, const int64_t *numbers, size_t count) {
    sqlite3_reset(cursor->statement);
    return bind(cursor, numbers, count);
}

enum error rows_next(struct cursor *cursor, bool *ret_row) {
    int code = sqlite3_step(cursor->statement);
    *ret_row = code == SQLITE_ROW;
    return sq_error(code);
}

void rows_end(struct cursor *cursor) {
    if (!cursor) return;
    sqlite3_finalize(cursor->statement);
    free(cursor);
}

int64_t rows_int(struct cursor *cursor, int column) { return sqlite3_column_int64(cursor->statement, column); }
bool rows_null(struct cursor *cursor, int column) {
    return sqlite3_column_type(cursor->statement, column) == SQLITE_NULL;
}
struct bytes rows_bytes(struct cursor *cursor, int column) {
    return sq_column_bytes(cursor->statement, column);
}
bool rows_is(struct cursor *cursor, int column, struct bytes bytes) {
    return bytes_equal(rows_bytes(cursor, column), bytes);
}

bool rows_sum_holds(struct cursor *cursor, int column, const void *key, size_t n, struct bytes bytes) {
    uint8_t sum[HASH_SIZE];
    if (rows_null(cursor, column)) return true;
    sq_sum(key, n, bytes, sum);
    return rows_is(cursor, column, bytes_of(sum, sizeof sum));
}

/* ---- copies ---- */

static enum error sync_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return E_IO;
    int failed = fsync(fd);
    close(fd);
    return failed ? E_IO : E_OK;
}

static enum error vacuum_into(sqlite3 *db, const char *copy) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, copy, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return sq_error(code);
}

/* SQLite would take the umask's word for who may read the copy; an empty file that is there is one that it takes. */
static enum error make_private(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return E_IO;
    close(fd);
    return E_OK;
}

enum error rows_copy(const char *path, const char *copy) {
    sqlite3 *db = NULL;
    if (access(path, R_OK) != 0) return E_IO;
    TRY(make_private(copy));
    enum error error = connect(path, SQLITE_OPEN_READONLY, &db);
    if (error == E_OK) error = vacuum_into(db, copy);
    sqlite3_close(db);
    if (error == E_OK) error = sync_file(copy);
    if (error != E_OK) unlink(copy);
    return error;
}
