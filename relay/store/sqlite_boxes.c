/* sqlite_boxes.c - boxes: what lies at the relay until a device fetches it. */
#include "sqlite.h"

static enum error sq_box_add(struct store *store, const uint8_t *box, bool guest, struct instant expires,
                             struct bytes data) {
    uint8_t sum[HASH_SIZE];
    sq_sum(NULL, 0, data, sum);
    TRY(sq_run(sq_bind(store, SQL_BOX_ADD, "hiubh", box, (int64_t)guest, expires.ms, data, sum)));
    /* SQLite's own counter stands in one place only. */
    return store->ops->meta_put(store, "box", (uint64_t)sqlite3_last_insert_rowid(sq_self(store)->db));
}
static enum error sq_box_next(struct store *store, const uint8_t *box, uint64_t after, uint64_t *ret_number,
                              struct buf *ret) {
    sqlite3_stmt *statement = sq_bind(store, SQL_BOX_NEXT, "hu", box, after);
    TRY(sq_first(statement));
    buf_add_bytes(ret, sq_column_bytes(statement, 1));
    if (!ret->failed) *ret_number = (uint64_t)sqlite3_column_int64(statement, 0);
    sq_done(statement);
    return buf_error(ret);
}
static enum error sq_box_count(struct store *store, const uint8_t *box, uint64_t *ret) {
    return sq_u64(sq_bind(store, SQL_BOX_COUNT, "h", box), ret);
}
static enum error sq_box_total(struct store *store, bool guest, uint64_t *ret) {
    return sq_u64(sq_bind(store, SQL_BOX_TOTAL, "i", (int64_t)guest), ret);
}
static enum error sq_box_drop(struct store *store, const uint8_t *box, uint64_t upto) {
    return sq_run(sq_bind(store, SQL_BOX_DROP, "hu", box, upto));
}
static enum error sq_box_sweep(struct store *store, struct instant now) {
    return sq_run(sq_bind(store, SQL_BOX_SWEEP, "u", now.ms));
}

void sq_boxes(struct store_ops *ret) {
    ret->box_add = sq_box_add;
    ret->box_next = sq_box_next;
    ret->box_count = sq_box_count;
    ret->box_total = sq_box_total;
    ret->box_drop = sq_box_drop;
    ret->box_sweep = sq_box_sweep;
}
