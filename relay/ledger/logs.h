/* logs.h - the relay's two logs with one face: how large they are, what their roots were, how they have grown.
 *
 * The directory's leaves lie in the store, each with the root that it made, and their hashes in memory (book.tree). The evidence
 * log's nodes lie in the store as tiles (tiles.h); its leaves are the hashes of the entries in the receipts. What is wrong with
 * the evidence log's rows is E_CORRUPT, and the row's name stands in the relay's log. */
#ifndef LOGS_H
#define LOGS_H

#include "book.h"
#include "tiles.h"

struct log_state {
    uint64_t size;
    uint8_t root[HASH_SIZE]; /* zeros where size is 0 */
};

/* `the directory`, `the evidence log`: for messages. */
const char *logs_name(enum relay_log log);

/* As this batch sees it: the directory with the batch's own leaves, the evidence log as far as it is in the store. */
CHECKED enum error logs_now(const struct book *book, enum relay_log log, struct log_state *ret);
CHECKED enum error logs_size(const struct book *book, enum relay_log log, uint64_t *ret);
/* 0 < size <= the log's */
CHECKED enum error logs_root(const struct book *book, enum relay_log log, uint64_t size, uint8_t ret[static HASH_SIZE]);
/* Appends. 0 < old <= size <= the committed log's */
CHECKED enum error logs_consistency(const struct book *book, enum relay_log log, uint64_t old, uint64_t size,
                                    struct buf *out);
/* E_CORRUPT becomes a line in the log that names the tile; the error is handed on. */
enum error logs_blame(const struct tiles *tiles, enum error error);

#endif
