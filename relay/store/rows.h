/* rows.h - a store read by who trusts none of it: read-only, in one snapshot, row by row, also while the relay writes.
 *
 * Apart from store.h, which believes what it reads: here every column of every table is to be seen, also where the
 * file is damaged, and nothing is ever written. What the rows mean is told there and in schema.sql.h. In a store
 * every fact stands twice or is signed:
 *   leaves, receipts, headers, wrap sets, prekeys, heads   by signatures and hashes
 *   legs                  by their entries
 *   chunks                by the digests that the header signs
 *   numbers of the ledger's own (times, counters, deadlines)   by an index over them: integrity_check compares
 *   boxes, contact cards  by a digest beside the bytes (`sum`; none in rows from before version 3)
 *
 * Legal order: rows_open; any number of rows_select, each stepped with rows_next until no row is left and ended by
 * rows_end; rows_close. Columns count from 0; views live until the next step. */
#ifndef ROWS_H
#define ROWS_H

#include "own.h"

struct rows;   /* the file */
struct cursor; /* one question */

/* A file that another process has open, too. E_IO (not there, not readable), E_CORRUPT (no store, or of another
 * version). */
CHECKED enum error rows_open(const char *path, struct rows **ret);
void rows_close(struct rows *rows);

/* One row a damage that SQLite finds in its own structure: `tell` gets its words, and the table or index that they
 * name (empty: none).
 * Also: tables that are not those of the version. */
CHECKED enum error rows_check(struct rows *rows,
                              enum error (*tell)(void *context, const char *table, const char *words), void *context);

/* sql: one SELECT; numbers: values of its `?`, as many as there are. */
CHECKED enum error rows_select(struct rows *rows, const char *sql, const int64_t *numbers, size_t count,
                               struct cursor **ret);
/* E_CORRUPT where the file is damaged: no more rows can be read by this cursor. */
CHECKED enum error rows_next(struct cursor *cursor, bool *ret_row);
/* From the beginning, with other values. */
CHECKED enum error rows_again(struct cursor *cursor, const int64_t *numbers, size_t count);
void rows_end(struct cursor *cursor);
static inline void rows_cleanup(struct cursor **cursor) { rows_end(*cursor); }
#define AUTO_CURSOR __attribute__((cleanup(rows_cleanup))) struct cursor

int64_t rows_int(struct cursor *cursor, int column);
bool rows_null(struct cursor *cursor, int column);
struct bytes rows_bytes(struct cursor *cursor, int column); /* of a text or blob */
bool rows_is(struct cursor *cursor, int column, struct bytes bytes);
/* The digest that stands beside these bytes: absent, or right? */
bool rows_sum_holds(struct cursor *cursor, int column, const void *key, size_t n, struct bytes bytes);

/* A whole copy of the store in a file that must not be there: every page read and written anew, nothing of what was
 * erased. Works while the relay writes; it is one moment's. The copy is on disk when this returns. */
CHECKED enum error rows_copy(const char *path, const char *copy);

#endif
