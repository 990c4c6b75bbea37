/* sqlite.c - the embedded store: one SQLite connection, WAL, synchronous FULL.
 *
 * One connection writes and checkpoints (SQLite 3.40.1's WAL-reset fault needs two). Every statement is prepared once, from
 * the table below, bound by a small format string, and reset after use, so no read outlives its
 * call and the WAL can be checkpointed. Numbers above INT64_MAX never come here: the wire bounds them. */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "leg.h"
#include "schema.sql.h"
#include "stamp.h"

/* The SQL says "state < 8" where it means "not terminal": leg.def must keep its terminal states last. */
_Static_assert(STATE_DECLINED == 8 && STATE_ACKNOWLEDGED == 7, "terminal states begin at 8");

#define REQUEST_COLUMNS "id, digest, device, request, sender, exercise, stored, at, bytes"
#define LEG_COLUMNS                                                                                                    \
    "id, request, leg, device, sender, recipient, sequence, keep_s, position, ordinal, generation, kind, state, "      \
    "furthest, exercise, head, expires, parent"

#define STATEMENTS(X)                                                                                                  \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(META_GET, "SELECT value FROM meta WHERE key = ?")                                                                \
    X(META_PUT, "INSERT INTO meta(key, value) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value")     \
    X(LEAF_ADD, "INSERT INTO leaf(idx, bytes, root) VALUES(?, ?, ?)")                                                  \
    X(LEAF_GET, "SELECT bytes FROM leaf WHERE idx = ?")                                                                \
    X(LEAF_ROOT, "SELECT root FROM leaf WHERE idx = ?")                                                                \
    X(LEAF_COUNT, "SELECT ifnull(max(idx) + 1, 0) FROM leaf")                                                          \
    X(REQUEST_ADD, "INSERT INTO request(digest, device, request, sender, exercise, stored, at, bytes, kept, waiting) " \
                   "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                                                             \
    X(REQUEST_BY_DIGEST, "SELECT " REQUEST_COLUMNS " FROM request WHERE digest = ?")                                   \
    X(REQUEST_BY_NAME, "SELECT " REQUEST_COLUMNS " FROM request WHERE device = ? AND request = ?")                     \
    X(REQUEST_BY_ROW, "SELECT " REQUEST_COLUMNS " FROM request WHERE id = ?")                                          \
    X(REQUEST_KEPT, "SELECT kept FROM request WHERE id = ?")                                                           \
    X(REQUEST_WAITING, "SELECT waiting FROM request WHERE id = ? AND waiting IS NOT NULL")                             \
    X(REQUEST_SET_WAITING, "UPDATE request SET waiting = ?2 WHERE id = ?1")                                            \
    X(REQUEST_COMPLETE, "UPDATE request SET stored = 1, at = ?2, waiting = NULL WHERE id = ?1")                        \
    X(REQUEST_RESTAGE, "UPDATE request SET stored = 0, at = ?2 WHERE id = ?1")                                         \
    X(CONFLICT_DROP, "DELETE FROM conflict WHERE request = ?")                                                         \
    X(REQUEST_DROP, "DELETE FROM request WHERE id = ? AND stored = 0")                                                 \
    X(REQUEST_STALE, "SELECT " REQUEST_COLUMNS " FROM request WHERE stored = 0 AND at < ? ORDER BY at LIMIT 1")        \
    X(CONFLICT_ADD, "INSERT INTO conflict(request, digest, header) SELECT ?1, ?2, ?3 "                                 \
                    "WHERE (SELECT count(*) FROM conflict WHERE request = ?1) < ?4 ON CONFLICT DO NOTHING")            \
    X(CHUNK_PUT, "INSERT INTO chunk(request, part, idx, data) VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING")              \
    X(CHUNK_GET, "SELECT data FROM chunk WHERE request = ? AND part = ? AND idx = ?")                                  \
    X(CHUNK_COUNT, "SELECT count(*), ifnull(max(idx) + 1, 0) FROM chunk WHERE request = ? AND part = ?")               \
    X(CHUNK_NEXT_GAP, "SELECT min(idx) + 1 FROM chunk c WHERE request = ?1 AND part = ?2 AND NOT EXISTS "              \
                      "(SELECT 1 FROM chunk d WHERE d.request = ?1 AND d.part = ?2 AND d.idx = c.idx + 1)")            \
    X(CHUNK_FIRST, "SELECT min(idx) FROM chunk WHERE request = ? AND part = ?")                                        \
    X(CHUNK_ERASE, "DELETE FROM chunk WHERE request = ? AND part = ?")                                                 \
    X(LEG_ADD, "INSERT INTO leg(request, leg, device, sender, recipient, sequence, keep_s, position, ordinal, "        \
               "generation, kind, state, furthest, exercise, head, expires, parent, opening, wrapset, addressed) "     \
               "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?5)")     \
    X(LEG_BY_ID, "SELECT " LEG_COLUMNS " FROM leg WHERE leg = ?")                                                      \
    X(LEG_BY_ROW, "SELECT " LEG_COLUMNS " FROM leg WHERE id = ?")                                                      \
    X(LEG_SEALED, "SELECT opening, wrapset FROM leg WHERE id = ?")                                                     \
    X(LEG_UPDATE, "UPDATE leg SET state = ?2, furthest = ?3, ordinal = ?4, head = ?5, expires = ?6 WHERE id = ?1")     \
    X(LEG_RESEAL, "UPDATE leg SET generation = ?2, wrapset = ?3 WHERE id = ?1")                                        \
    X(LEG_SEQUENCE, "SELECT 1 FROM leg WHERE device = ? AND addressed = ? AND sequence = ?")                           \
    X(LEG_NTH, "SELECT " LEG_COLUMNS " FROM leg WHERE request = ? ORDER BY id LIMIT 1 OFFSET ?")                       \
    X(LEG_DUE, "SELECT " LEG_COLUMNS " FROM leg WHERE state < 8 AND expires < ? ORDER BY expires LIMIT 1")             \
    X(LEGS_OPEN, "SELECT count(*) FROM leg WHERE request = ? AND state < 8")                                           \
    X(RECEIPT_NEXT, "SELECT ifnull(max(id), 0) + 1 FROM receipt")                                                      \
    X(RECEIPT_PUT, "INSERT INTO receipt(id, hash, leg, ordinal, idx, bytes) VALUES(?, ?, ?, ?, ?, ?)")                 \
    X(RECEIPT_BY_HASH, "SELECT bytes FROM receipt WHERE hash = ?")                                                     \
    X(RECEIPT_GET, "SELECT bytes FROM receipt WHERE id = ?")                                                           \
    X(RECEIPT_OF, "SELECT bytes FROM receipt WHERE leg = ? AND ordinal = ?")                                           \
    X(ENTRY_COUNT, "SELECT ifnull(max(idx) + 1, 0) FROM receipt WHERE idx IS NOT NULL")                                \
    X(FEED_ADD, "INSERT INTO feed(post, number, kind, request, leg, receipt) VALUES(?, ?, ?, ?, ?, ?)")                \
    X(FEED_NEWEST, "SELECT ifnull(max(number), 0) FROM feed WHERE post = ?")                                           \
    X(FEED_NEXT, "SELECT number, kind, request, leg, receipt FROM feed WHERE post = ? AND number > ? "                 \
                 "ORDER BY number LIMIT 1")                                                                            \
    X(PREKEY_PUT, "INSERT INTO prekey(device, day, bytes) VALUES(?, ?, ?) ON CONFLICT DO NOTHING")                     \
    X(PREKEY_SAME, "SELECT bytes FROM prekey WHERE device = ? AND day = ?")                                            \
    X(PREKEY_NEWEST, "SELECT bytes FROM prekey WHERE device = ? AND day <= ? ORDER BY day DESC LIMIT 1")               \
    X(PREKEY_DROP, "DELETE FROM prekey WHERE day < ?")                                                                 \
    X(QUOTA_GET, "SELECT value FROM quota WHERE key = ?")                                                              \
    X(QUOTA_ADD, "INSERT INTO quota(key, value) VALUES(?1, max(?2, 0)) "                                               \
                 "ON CONFLICT(key) DO UPDATE SET value = max(value + ?2, 0)")                                          \
    X(COUNT_REQUESTS, "SELECT count(*), ifnull(sum(stored = 0), 0) FROM request")                                      \
    X(COUNT_LEGS, "SELECT count(*), ifnull(sum(state < 8), 0) FROM leg")                                               \
    X(COUNT_RECEIPTS, "SELECT count(*) FROM receipt")                                                                  \
    X(COUNT_PAGES, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")

enum statement_id {
#define X(name, sql) name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const char *const statement_sql[] = {
#define X(name, sql) sql,
    STATEMENTS(X)
#undef X
};

struct sqlite_store {
    struct store store; /* first: the public face */
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

static struct sqlite_store *self(struct store *store) { return (struct sqlite_store *)store; }

static enum error error_of(int code) {
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

/* Binds from a format: i int64_t, u uint64_t, t text, b struct bytes, h 32-byte hash, r 16 bytes, n nothing (NULL), o int64_t
 * that is NULL when negative. Texts and blobs live until the statement is reset by done(). */
static sqlite3_stmt *bind(struct store *store, enum statement_id id, const char *format, ...) {
    sqlite3_stmt *statement = self(store)->statements[id];
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
        default: assert(!"bind format");
        }
    }
    va_end(arguments);
    return statement;
}

static void done(sqlite3_stmt *statement) {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* Runs a statement that gives no row. */
static enum error run(sqlite3_stmt *statement) {
    enum error error = error_of(sqlite3_step(statement));
    done(statement);
    return error;
}

/* Steps to the first row: E_UNKNOWN_REQUEST when there is none. The caller reads columns, then calls done(). */
static enum error first(sqlite3_stmt *statement) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) return E_OK;
    done(statement);
    return code == SQLITE_DONE ? E_UNKNOWN_REQUEST : error_of(code);
}

static enum error one_u64(sqlite3_stmt *statement, uint64_t *ret) {
    TRY(first(statement));
    *ret = (uint64_t)sqlite3_column_int64(statement, 0);
    done(statement);
    return E_OK;
}

static struct bytes column_bytes(sqlite3_stmt *statement, int column) {
    const void *p = sqlite3_column_blob(statement, column);
    return bytes_of(p, (size_t)sqlite3_column_bytes(statement, column));
}

static enum error one_buf(sqlite3_stmt *statement, struct buf *ret) {
    TRY(first(statement));
    buf_add_bytes(ret, column_bytes(statement, 0));
    done(statement);
    return buf_error(ret);
}

static void column_fixed(sqlite3_stmt *statement, int column, uint8_t *ret, size_t n) {
    struct bytes bytes = column_bytes(statement, column);
    memset(ret, 0, n);
    if (bytes.n == n) memcpy(ret, bytes.p, n);
}

static void column_text(sqlite3_stmt *statement, int column, char *ret, size_t size) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    snprintf(ret, size, "%s", text ? text : "");
}

/* ---- the functions of store_ops, in its order ---- */

static void sq_close(struct store *store) {
    struct sqlite_store *sq = self(store);
    for (size_t i = 0; i < STATEMENT_COUNT; i++) sqlite3_finalize(sq->statements[i]);
    sqlite3_close(sq->db);
    free(sq);
}

static enum error sq_begin(struct store *store) { return run(bind(store, BEGIN, "")); }
static enum error sq_commit(struct store *store) { return run(bind(store, COMMIT, "")); }
static void sq_rollback(struct store *store) {
    /* SQLite may have rolled back by itself (SQLITE_FULL); then there is nothing to do. */
    if (!sqlite3_get_autocommit(self(store)->db)) (void)!run(bind(store, ROLLBACK, ""));
}

static enum error sq_meta_get(struct store *store, const char *key, uint64_t *ret) {
    enum error error = one_u64(bind(store, META_GET, "t", key), ret);
    if (error == E_UNKNOWN_REQUEST) *ret = 0;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}
static enum error sq_meta_put(struct store *store, const char *key, uint64_t value) {
    return run(bind(store, META_PUT, "tu", key, value));
}

static enum error sq_leaf_add(struct store *store, uint64_t index, struct bytes leaf, const uint8_t *root) {
    return run(bind(store, LEAF_ADD, "ubh", index, leaf, root));
}
static enum error sq_leaf_get(struct store *store, uint64_t index, struct buf *ret) {
    return one_buf(bind(store, LEAF_GET, "u", index), ret);
}
static enum error sq_leaf_root(struct store *store, uint64_t size, uint8_t *ret) {
    sqlite3_stmt *statement = bind(store, LEAF_ROOT, "u", size - 1);
    TRY(first(statement));
    column_fixed(statement, 0, ret, HASH_SIZE);
    done(statement);
    return E_OK;
}
static enum error sq_leaf_count(struct store *store, uint64_t *ret) {
    return one_u64(bind(store, LEAF_COUNT, ""), ret);
}

static enum error sq_request_add(struct store *store, const struct store_request *row, struct bytes kept,
                                 struct bytes waiting, int64_t *ret_id) {
    const char *format = waiting.p ? "hhrtiiuubb" : "hhrtiiuubn";
    TRY(run(bind(store, REQUEST_ADD, format, row->digest, row->device, row->request, row->from, (int64_t)row->exercise,
                 (int64_t)row->stored, row->at.ms, row->bytes, kept, waiting)));
    *ret_id = sqlite3_last_insert_rowid(self(store)->db);
    return E_OK;
}

static enum error one_request(sqlite3_stmt *statement, struct store_request *ret) {
    TRY(first(statement));
    ret->id = sqlite3_column_int64(statement, 0);
    column_fixed(statement, 1, ret->digest, HASH_SIZE);
    column_fixed(statement, 2, ret->device, KEY_SIZE);
    column_fixed(statement, 3, ret->request, REQUEST_ID_SIZE);
    column_text(statement, 4, ret->from, sizeof ret->from);
    ret->exercise = sqlite3_column_int(statement, 5);
    ret->stored = sqlite3_column_int(statement, 6);
    ret->at.ms = (uint64_t)sqlite3_column_int64(statement, 7);
    ret->bytes = (uint64_t)sqlite3_column_int64(statement, 8);
    done(statement);
    return E_OK;
}
static enum error sq_request_by_digest(struct store *store, const uint8_t *digest, struct store_request *ret) {
    return one_request(bind(store, REQUEST_BY_DIGEST, "h", digest), ret);
}
static enum error sq_request_by_name(struct store *store, const uint8_t *device, const uint8_t *request,
                                     struct store_request *ret) {
    return one_request(bind(store, REQUEST_BY_NAME, "hr", device, request), ret);
}
static enum error sq_request_by_row(struct store *store, int64_t id, struct store_request *ret) {
    return one_request(bind(store, REQUEST_BY_ROW, "i", id), ret);
}
static enum error sq_request_kept(struct store *store, int64_t id, struct buf *ret) {
    return one_buf(bind(store, REQUEST_KEPT, "i", id), ret);
}
static enum error sq_request_waiting(struct store *store, int64_t id, struct buf *ret) {
    return one_buf(bind(store, REQUEST_WAITING, "i", id), ret);
}
static enum error sq_request_set_waiting(struct store *store, int64_t id, struct bytes waiting) {
    return run(bind(store, REQUEST_SET_WAITING, "ib", id, waiting));
}
static enum error sq_request_complete(struct store *store, int64_t id, struct instant at) {
    return run(bind(store, REQUEST_COMPLETE, "iu", id, at.ms));
}
static enum error sq_request_restage(struct store *store, int64_t id, struct instant at) {
    return run(bind(store, REQUEST_RESTAGE, "iu", id, at.ms));
}
/* The row's number may be given out again, so nothing that names it may stay. */
static enum error sq_request_drop(struct store *store, int64_t id) {
    TRY(run(bind(store, CONFLICT_DROP, "i", id)));
    TRY(run(bind(store, CHUNK_ERASE, "ii", id, (int64_t)PART_OFFER)));
    TRY(run(bind(store, CHUNK_ERASE, "ii", id, (int64_t)PART_BODY)));
    return run(bind(store, REQUEST_DROP, "i", id));
}
static enum error sq_request_stale(struct store *store, struct instant before, struct store_request *ret) {
    return one_request(bind(store, REQUEST_STALE, "u", before.ms), ret);
}

static enum error sq_conflict_add(struct store *store, int64_t request, const uint8_t *digest, struct bytes header) {
    return run(bind(store, CONFLICT_ADD, "ihbi", request, digest, header, (int64_t)CONFLICTS_MAX));
}

static enum error sq_chunk_put(struct store *store, int64_t request, unsigned part, uint32_t index, struct bytes data) {
    return run(bind(store, CHUNK_PUT, "iiib", request, (int64_t)part, (int64_t)index, data));
}
static enum error sq_chunk_get(struct store *store, int64_t request, unsigned part, uint32_t index, struct buf *ret) {
    return one_buf(bind(store, CHUNK_GET, "iii", request, (int64_t)part, (int64_t)index), ret);
}

/* Chunks mostly come in order, so count == highest + 1 answers at once; only a gap asks for the search. */
static enum error sq_chunk_missing(struct store *store, int64_t request, unsigned part, uint32_t count, uint32_t *ret) {
    sqlite3_stmt *statement = bind(store, CHUNK_COUNT, "ii", request, (int64_t)part);
    TRY(first(statement));
    int64_t have = sqlite3_column_int64(statement, 0), above = sqlite3_column_int64(statement, 1);
    done(statement);
    if (have == above) {
        *ret = (uint32_t)(have < count ? have : count);
        return E_OK;
    }
    uint64_t lowest;
    TRY(one_u64(bind(store, CHUNK_FIRST, "ii", request, (int64_t)part), &lowest));
    if (lowest > 0) {
        *ret = 0;
        return E_OK;
    }
    uint64_t gap;
    TRY(one_u64(bind(store, CHUNK_NEXT_GAP, "ii", request, (int64_t)part), &gap));
    *ret = (uint32_t)(gap < count ? gap : count);
    return E_OK;
}
static enum error sq_chunk_erase(struct store *store, int64_t request, unsigned part) {
    return run(bind(store, CHUNK_ERASE, "ii", request, (int64_t)part));
}

static enum error sq_leg_add(struct store *store, const struct store_leg *row, struct bytes opening,
                             struct bytes wrapset, int64_t *ret_id) {
    TRY(run(bind(store, LEG_ADD, "ihhttuuiiiiiiihuibb", row->request, row->leg, row->device, row->from, row->to,
                 row->sequence, row->keep_s, (int64_t)row->position, (int64_t)row->ordinal, (int64_t)row->generation,
                 (int64_t)row->kind, (int64_t)row->state, (int64_t)row->furthest, (int64_t)row->exercise, row->head,
                 row->expires.ms, row->parent, opening, wrapset)));
    *ret_id = sqlite3_last_insert_rowid(self(store)->db);
    return E_OK;
}

static enum error one_leg(sqlite3_stmt *statement, struct store_leg *ret) {
    TRY(first(statement));
    ret->id = sqlite3_column_int64(statement, 0);
    ret->request = sqlite3_column_int64(statement, 1);
    column_fixed(statement, 2, ret->leg, HASH_SIZE);
    column_fixed(statement, 3, ret->device, KEY_SIZE);
    column_text(statement, 4, ret->from, sizeof ret->from);
    column_text(statement, 5, ret->to, sizeof ret->to);
    ret->sequence = (uint64_t)sqlite3_column_int64(statement, 6);
    ret->keep_s = (uint64_t)sqlite3_column_int64(statement, 7);
    ret->position = (uint32_t)sqlite3_column_int64(statement, 8);
    ret->ordinal = (uint32_t)sqlite3_column_int64(statement, 9);
    ret->generation = (uint32_t)sqlite3_column_int64(statement, 10);
    ret->kind = (unsigned)sqlite3_column_int(statement, 11);
    ret->state = (unsigned)sqlite3_column_int(statement, 12);
    ret->furthest = (unsigned)sqlite3_column_int(statement, 13);
    ret->exercise = sqlite3_column_int(statement, 14);
    column_fixed(statement, 15, ret->head, HASH_SIZE);
    ret->expires.ms = (uint64_t)sqlite3_column_int64(statement, 16);
    ret->parent = sqlite3_column_int64(statement, 17);
    done(statement);
    return E_OK;
}
static enum error sq_leg_by_id(struct store *store, const uint8_t *leg, struct store_leg *ret) {
    return one_leg(bind(store, LEG_BY_ID, "h", leg), ret);
}
static enum error sq_leg_by_row(struct store *store, int64_t id, struct store_leg *ret) {
    return one_leg(bind(store, LEG_BY_ROW, "i", id), ret);
}
static enum error sq_leg_sealed(struct store *store, int64_t id, struct buf *ret_opening, struct buf *ret_wrapset) {
    sqlite3_stmt *statement = bind(store, LEG_SEALED, "i", id);
    TRY(first(statement));
    buf_add_bytes(ret_opening, column_bytes(statement, 0));
    buf_add_bytes(ret_wrapset, column_bytes(statement, 1));
    done(statement);
    return ret_opening->failed || ret_wrapset->failed ? E_NO_MEMORY : E_OK;
}
static enum error sq_leg_update(struct store *store, const struct store_leg *row) {
    return run(bind(store, LEG_UPDATE, "iiiihu", row->id, (int64_t)row->state, (int64_t)row->furthest,
                    (int64_t)row->ordinal, row->head, row->expires.ms));
}
static enum error sq_leg_reseal(struct store *store, int64_t id, uint32_t generation, struct bytes wrapset) {
    return run(bind(store, LEG_RESEAL, "iib", id, (int64_t)generation, wrapset));
}
static enum error sq_leg_sequence_used(struct store *store, const uint8_t *device, const char *to, uint64_t sequence,
                                       bool *ret) {
    uint64_t got;
    enum error error = one_u64(bind(store, LEG_SEQUENCE, "htu", device, to, sequence), &got);
    if (error != E_OK && error != E_UNKNOWN_REQUEST) return error;
    *ret = error == E_OK;
    return E_OK;
}
static enum error sq_leg_nth(struct store *store, int64_t request, unsigned n, struct store_leg *ret) {
    return one_leg(bind(store, LEG_NTH, "ii", request, (int64_t)n), ret);
}
static enum error sq_leg_due(struct store *store, struct instant now, struct store_leg *ret) {
    return one_leg(bind(store, LEG_DUE, "u", now.ms), ret);
}
static enum error sq_legs_open(struct store *store, int64_t request, uint64_t *ret) {
    return one_u64(bind(store, LEGS_OPEN, "i", request), ret);
}

static enum error sq_receipt_next(struct store *store, int64_t *ret_id) {
    uint64_t id;
    TRY(one_u64(bind(store, RECEIPT_NEXT, ""), &id));
    *ret_id = (int64_t)id;
    return E_OK;
}
static enum error sq_receipt_put(struct store *store, int64_t id, const uint8_t *hash, int64_t leg, int64_t ordinal,
                                 int64_t index, struct bytes receipt) {
    return run(bind(store, RECEIPT_PUT, "ihioob", id, hash, leg, ordinal, index, receipt));
}
static enum error sq_receipt_by_hash(struct store *store, const uint8_t *hash, struct buf *ret) {
    return one_buf(bind(store, RECEIPT_BY_HASH, "h", hash), ret);
}
static enum error sq_receipt_get(struct store *store, int64_t id, struct buf *ret) {
    return one_buf(bind(store, RECEIPT_GET, "i", id), ret);
}
static enum error sq_receipt_of(struct store *store, int64_t leg, uint32_t ordinal, struct buf *ret) {
    return one_buf(bind(store, RECEIPT_OF, "ii", leg, (int64_t)ordinal), ret);
}
static enum error sq_entry_count(struct store *store, uint64_t *ret) {
    return one_u64(bind(store, ENTRY_COUNT, ""), ret);
}

static enum error sq_feed_newest(struct store *store, const char *post, uint64_t *ret) {
    return one_u64(bind(store, FEED_NEWEST, "t", post), ret);
}
static enum error sq_feed_add(struct store *store, const char *post, const struct store_feed *item,
                              uint64_t *ret_number) {
    uint64_t newest;
    TRY(sq_feed_newest(store, post, &newest));
    TRY(run(bind(store, FEED_ADD, "tuiiii", post, newest + 1, (int64_t)item->kind, item->request, item->leg,
                 item->receipt)));
    *ret_number = newest + 1;
    return E_OK;
}
static enum error sq_feed_next(struct store *store, const char *post, uint64_t after, struct store_feed *ret) {
    sqlite3_stmt *statement = bind(store, FEED_NEXT, "tu", post, after);
    TRY(first(statement));
    ret->number = (uint64_t)sqlite3_column_int64(statement, 0);
    ret->kind = (enum item_kind)sqlite3_column_int(statement, 1);
    ret->request = sqlite3_column_int64(statement, 2);
    ret->leg = sqlite3_column_int64(statement, 3);
    ret->receipt = sqlite3_column_int64(statement, 4);
    done(statement);
    return E_OK;
}

/* The same payload signed anew, with other neighbours, is the same statement. */
static bool same_statement(struct bytes a, struct bytes b) {
    struct bytes payload_a, payload_b;
    if (bytes_equal(a, b)) return true;
    return stamp_peek(a, &payload_a) == E_OK && stamp_peek(b, &payload_b) == E_OK && bytes_equal(payload_a, payload_b);
}

/* A device publishes one key a day; another key for the same day would let a relay choose between them. */
static enum error sq_prekey_put(struct store *store, const uint8_t *device, uint32_t day, struct bytes stamped) {
    sqlite3_stmt *statement = bind(store, PREKEY_SAME, "hi", device, (int64_t)day);
    enum error error = first(statement);
    if (error == E_UNKNOWN_REQUEST) return run(bind(store, PREKEY_PUT, "hib", device, (int64_t)day, stamped));
    TRY(error);
    bool same = same_statement(column_bytes(statement, 0), stamped);
    done(statement);
    return same ? E_OK : E_CONFLICT;
}
static enum error sq_prekey_newest(struct store *store, const uint8_t *device, uint32_t day, struct buf *ret) {
    return one_buf(bind(store, PREKEY_NEWEST, "hi", device, (int64_t)day), ret);
}
static enum error sq_prekey_drop(struct store *store, uint32_t before_day) {
    return run(bind(store, PREKEY_DROP, "i", (int64_t)before_day));
}

static enum error sq_quota_get(struct store *store, const char *key, uint64_t *ret) {
    enum error error = one_u64(bind(store, QUOTA_GET, "t", key), ret);
    if (error == E_UNKNOWN_REQUEST) *ret = 0;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}
static enum error sq_quota_add(struct store *store, const char *key, int64_t change) {
    return run(bind(store, QUOTA_ADD, "ti", key, change));
}

static enum error two_u64(sqlite3_stmt *statement, uint64_t *ret_a, uint64_t *ret_b) {
    TRY(first(statement));
    *ret_a = (uint64_t)sqlite3_column_int64(statement, 0);
    *ret_b = (uint64_t)sqlite3_column_int64(statement, 1);
    done(statement);
    return E_OK;
}
static enum error sq_counts(struct store *store, struct store_counts *ret) {
    struct store_counts counts;
    TRY(two_u64(bind(store, COUNT_REQUESTS, ""), &counts.requests, &counts.staged));
    TRY(two_u64(bind(store, COUNT_LEGS, ""), &counts.legs, &counts.legs_open));
    TRY(one_u64(bind(store, COUNT_RECEIPTS, ""), &counts.receipts));
    TRY(one_u64(bind(store, COUNT_PAGES, ""), &counts.bytes));
    TRY(sq_entry_count(store, &counts.entries));
    *ret = counts;
    return E_OK;
}

static const struct store_ops sqlite_ops = {
    .close = sq_close,
    .begin = sq_begin,
    .commit = sq_commit,
    .rollback = sq_rollback,
    .meta_get = sq_meta_get,
    .meta_put = sq_meta_put,
    .leaf_add = sq_leaf_add,
    .leaf_get = sq_leaf_get,
    .leaf_root = sq_leaf_root,
    .leaf_count = sq_leaf_count,
    .request_add = sq_request_add,
    .request_by_digest = sq_request_by_digest,
    .request_by_name = sq_request_by_name,
    .request_by_row = sq_request_by_row,
    .request_kept = sq_request_kept,
    .request_waiting = sq_request_waiting,
    .request_set_waiting = sq_request_set_waiting,
    .request_complete = sq_request_complete,
    .request_restage = sq_request_restage,
    .request_drop = sq_request_drop,
    .request_stale = sq_request_stale,
    .conflict_add = sq_conflict_add,
    .chunk_put = sq_chunk_put,
    .chunk_get = sq_chunk_get,
    .chunk_missing = sq_chunk_missing,
    .chunk_erase = sq_chunk_erase,
    .leg_add = sq_leg_add,
    .leg_by_id = sq_leg_by_id,
    .leg_by_row = sq_leg_by_row,
    .leg_sealed = sq_leg_sealed,
    .leg_update = sq_leg_update,
    .leg_reseal = sq_leg_reseal,
    .leg_sequence_used = sq_leg_sequence_used,
    .leg_nth = sq_leg_nth,
    .leg_due = sq_leg_due,
    .legs_open = sq_legs_open,
    .receipt_next = sq_receipt_next,
    .receipt_put = sq_receipt_put,
    .receipt_by_hash = sq_receipt_by_hash,
    .receipt_get = sq_receipt_get,
    .receipt_of = sq_receipt_of,
    .entry_count = sq_entry_count,
    .feed_add = sq_feed_add,
    .feed_newest = sq_feed_newest,
    .feed_next = sq_feed_next,
    .prekey_put = sq_prekey_put,
    .prekey_newest = sq_prekey_newest,
    .prekey_drop = sq_prekey_drop,
    .quota_get = sq_quota_get,
    .quota_add = sq_quota_add,
    .counts = sq_counts,
};

/* ---- opening ---- */

static enum error check_schema(struct sqlite_store *sq, bool create) {
    sqlite3_stmt *statement = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(sq->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    int code = sqlite3_finalize(statement);
    if (code != SQLITE_OK) return error_of(code);
    if (version == SCHEMA_VERSION) return E_OK;
    if (!create || version != 0) return E_CORRUPT;
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", SCHEMA_VERSION);
    code = sqlite3_exec(sq->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK) code = sqlite3_exec(sq->db, schema_sql, NULL, NULL, NULL);
    if (code == SQLITE_OK) code = sqlite3_exec(sq->db, sql, NULL, NULL, NULL);
    return error_of(code);
}

static enum error prepare(struct sqlite_store *sq) {
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        int code =
            sqlite3_prepare_v3(sq->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &sq->statements[i], NULL);
        if (code != SQLITE_OK) return error_of(code) == E_IO ? E_CORRUPT : error_of(code);
    }
    return E_OK;
}

static enum error open_file(struct sqlite_store *sq, const char *path, bool create) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &sq->db, flags, NULL);
    if (code != SQLITE_OK) return error_of(code);
    sqlite3_extended_result_codes(sq->db, 1);
    sqlite3_busy_timeout(sq->db, 5000);
    code = sqlite3_exec(sq->db,
                        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA secure_delete = FAST;"
                        "PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864;",
                        NULL, NULL, NULL);
    TRY(error_of(code));
    TRY(check_schema(sq, create));
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
    sq->store.ops = &sqlite_ops;
    enum error error = open_file(sq, path, create);
    if (error != E_OK) {
        sq_close(&sq->store);
        return error;
    }
    *ret = &sq->store;
    return E_OK;
}
