/* sqlite.h - inside the embedded store: its one connection, its prepared statements, and the few ways in which they are run.
 *
 * The functions of store_ops stand in five files by what they keep (sqlite_requests.c, sqlite_legs.c, sqlite_directory.c,
 * sqlite_boxes.c, sqlite_counters.c); each fills in its own. A statement is bound by a small format string and reset after use, so no read
 * outlives its call and the WAL can be checkpointed. Numbers above INT64_MAX never come here: the wire bounds them. */
#ifndef SQLITE_H
#define SQLITE_H

#include <sqlite3.h>

#include "counters.h"
#include "store.h"

enum sql {
#define STATEMENT(name, sql) SQL_##name,
#include "statements.def"
#undef STATEMENT
    SQL_COUNT
};

struct sqlite_store {
    struct store store; /* first: the public face */
    struct store_ops ops;
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    struct counters counters; /* of the transaction that is open; written before its commit */
    bool erased; /* something was erased that must leave the journal too */
};

struct sqlite_store *sq_self(struct store *store);
CHECKED enum error sq_error(int code);

/* Binds from a format: i int64_t, u uint64_t, t text, b struct bytes, h 32-byte hash, r 16 bytes, n nothing (NULL), o int64_t
 * that is NULL when negative. Texts and blobs live until the statement is reset by sq_done(). */
sqlite3_stmt *sq_bind(struct store *store, enum sql id, const char *format, ...);
void sq_done(sqlite3_stmt *statement);
/* Runs what is no prepared statement. */
CHECKED enum error sq_execute(struct sqlite_store *sq, const char *sql);
/* Runs a statement that gives no row. */
CHECKED enum error sq_run(sqlite3_stmt *statement);
/* Steps to the first row: E_UNKNOWN_REQUEST when there is none. The caller reads columns, then calls sq_done(). */
CHECKED enum error sq_first(sqlite3_stmt *statement);
/* The first column of the first row. */
CHECKED enum error sq_u64(sqlite3_stmt *statement, uint64_t *ret);
CHECKED enum error sq_buf(sqlite3_stmt *statement, struct buf *ret);

/* Of a row's key and bytes, for who wants to know later whether they are still the same (rows.h). */
void sq_sum(const void *key, size_t n, struct bytes bytes, uint8_t ret[static HASH_SIZE]);

struct bytes sq_column_bytes(sqlite3_stmt *statement, int column);
/* Zeros where the column has another length. */
void sq_column_fixed(sqlite3_stmt *statement, int column, uint8_t *ret, size_t n);
void sq_column_text(sqlite3_stmt *statement, int column, char *ret, size_t size);

void sq_requests(struct store_ops *ret);  /* requests, conflicts, chunks */
void sq_legs(struct store_ops *ret);      /* legs, receipts, nodes of the evidence log, feeds */
void sq_directory(struct store_ops *ret); /* leaves, heads, prekeys, contact cards */
void sq_boxes(struct store_ops *ret);     /* boxes */
void sq_counters(struct store_ops *ret);  /* quotas and marks */
/* Writes what has changed since the transaction began. */
CHECKED enum error sq_counters_write(struct sqlite_store *sq);

#endif
