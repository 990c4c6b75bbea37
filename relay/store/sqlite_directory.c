/* sqlite_directory.c - what stands in the directory or beside it: leaves, heads, prekeys, contact cards. */
#include "sqlite.h"

#include "stamp.h"

static enum error sq_leaf_add(struct store *store, uint64_t index, struct bytes leaf, const uint8_t *root) {
    return sq_run(sq_bind(store, SQL_LEAF_ADD, "ubh", index, leaf, root));
}
static enum error sq_leaf_get(struct store *store, uint64_t index, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_LEAF_GET, "u", index), ret);
}
static enum error sq_leaf_root(struct store *store, uint64_t size, uint8_t *ret) {
    sqlite3_stmt *statement = sq_bind(store, SQL_LEAF_ROOT, "u", size - 1);
    TRY(sq_first(statement));
    sq_column_fixed(statement, 0, ret, HASH_SIZE);
    sq_done(statement);
    return E_OK;
}
static enum error sq_leaf_count(struct store *store, uint64_t *ret) {
    return sq_u64(sq_bind(store, SQL_LEAF_COUNT, ""), ret);
}

/* The same payload signed anew, with other neighbours, is the same statement. */
static bool same_statement(struct bytes a, struct bytes b) {
    struct bytes payload_a, payload_b;
    if (bytes_equal(a, b)) return true;
    return stamp_peek(a, &payload_a) == E_OK && stamp_peek(b, &payload_b) == E_OK && bytes_equal(payload_a, payload_b);
}

/* A device publishes one key a day; another key for the same day would let a relay choose between them. */
static enum error sq_prekey_put(struct store *store, const uint8_t *device, uint32_t day, struct bytes stamped) {
    sqlite3_stmt *statement = sq_bind(store, SQL_PREKEY_SAME, "hi", device, (int64_t)day);
    enum error error = sq_first(statement);
    if (error == E_UNKNOWN_REQUEST) return sq_run(sq_bind(store, SQL_PREKEY_PUT, "hib", device, (int64_t)day, stamped));
    TRY(error);
    bool same = same_statement(sq_column_bytes(statement, 0), stamped);
    sq_done(statement);
    return same ? E_OK : E_CONFLICT;
}
static enum error sq_prekey_newest(struct store *store, const uint8_t *device, uint32_t day, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_PREKEY_NEWEST, "hi", device, (int64_t)day), ret);
}
static enum error sq_prekey_drop(struct store *store, uint32_t before_day) {
    return sq_run(sq_bind(store, SQL_PREKEY_DROP, "i", (int64_t)before_day));
}
static enum error sq_prekey_replace(struct store *store, const uint8_t *device, uint32_t day, struct bytes stamped) {
    return sq_run(sq_bind(store, SQL_PREKEY_REPLACE, "hib", device, (int64_t)day, stamped));
}

static enum error sq_head_put(struct store *store, const char *who, uint64_t size, struct bytes note) {
    return sq_run(sq_bind(store, SQL_HEAD_PUT, "tub", who, size, note));
}
static enum error sq_heads_drop(struct store *store) { return sq_run(sq_bind(store, SQL_HEADS_DROP, "")); }
static enum error sq_head_get(struct store *store, const char *who, uint64_t *ret_size, struct buf *ret_note) {
    sqlite3_stmt *statement = sq_bind(store, SQL_HEAD_GET, "t", who);
    TRY(sq_first(statement));
    buf_add_bytes(ret_note, sq_column_bytes(statement, 1));
    if (!ret_note->failed) *ret_size = (uint64_t)sqlite3_column_int64(statement, 0);
    sq_done(statement);
    return buf_error(ret_note);
}

static enum error sq_sheet_put(struct store *store, const char *post, const uint8_t *commitment, unsigned audience,
                               struct bytes data) {
    uint8_t sum[HASH_SIZE], who = (uint8_t)audience;
    sq_sum(&who, 1, data, sum);
    return sq_run(sq_bind(store, SQL_SHEET_PUT, "thibh", post, commitment, (int64_t)audience, data, sum));
}
static enum error sq_sheet_nth(struct store *store, const char *post, unsigned n, uint8_t *ret_commitment,
                               unsigned *ret_audience, struct buf *ret_data) {
    sqlite3_stmt *statement = sq_bind(store, SQL_SHEET_NTH, "ti", post, (int64_t)n);
    TRY(sq_first(statement));
    buf_add_bytes(ret_data, sq_column_bytes(statement, 2));
    if (!ret_data->failed) {
        sq_column_fixed(statement, 0, ret_commitment, HASH_SIZE);
        *ret_audience = (unsigned)sqlite3_column_int(statement, 1);
    }
    sq_done(statement);
    return buf_error(ret_data);
}
/* Erased means overwritten, also on pages that become free; elsewhere that is not worth its writes. */
static enum error sq_sheets_erase(struct store *store, const char *post) {
    TRY(sq_execute(sq_self(store), "PRAGMA secure_delete = ON"));
    enum error error = sq_run(sq_bind(store, SQL_SHEETWRAPS_ERASE, "t", post));
    if (error == E_OK) error = sq_run(sq_bind(store, SQL_SHEETS_ERASE, "t", post));
    sq_self(store)->erased = true;
    TRY(sq_execute(sq_self(store), "PRAGMA secure_delete = FAST"));
    return error;
}
static enum error sq_sheetwrap_put(struct store *store, const uint8_t *commitment, const uint8_t *device,
                                   struct bytes wrap) {
    uint8_t sum[HASH_SIZE], key[HASH_SIZE + KEY_SIZE];
    memcpy(key, commitment, HASH_SIZE);
    memcpy(key + HASH_SIZE, device, KEY_SIZE);
    sq_sum(key, sizeof key, wrap, sum);
    return sq_run(sq_bind(store, SQL_SHEETWRAP_PUT, "hhbh", commitment, device, wrap, sum));
}
static enum error sq_sheetwrap_get(struct store *store, const uint8_t *commitment, const uint8_t *device,
                                   struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_SHEETWRAP_GET, "hh", commitment, device), ret);
}

void sq_directory(struct store_ops *ret) {
    ret->leaf_add = sq_leaf_add;
    ret->leaf_get = sq_leaf_get;
    ret->leaf_root = sq_leaf_root;
    ret->leaf_count = sq_leaf_count;
    ret->prekey_put = sq_prekey_put;
    ret->prekey_newest = sq_prekey_newest;
    ret->prekey_drop = sq_prekey_drop;
    ret->prekey_replace = sq_prekey_replace;
    ret->head_put = sq_head_put;
    ret->head_get = sq_head_get;
    ret->heads_drop = sq_heads_drop;
    ret->sheet_put = sq_sheet_put;
    ret->sheet_nth = sq_sheet_nth;
    ret->sheets_erase = sq_sheets_erase;
    ret->sheetwrap_put = sq_sheetwrap_put;
    ret->sheetwrap_get = sq_sheetwrap_get;
}
