/* sqlite_legs.c - legs, receipts, the nodes of the log that they are in, feeds. */
#include "sqlite.h"

static enum error sq_leg_add(struct store *store, const struct store_leg *row, struct bytes opening,
                             struct bytes wrapset, int64_t *ret_id) {
    TRY(sq_run(sq_bind(store, SQL_LEG_ADD, "ihhttuuiiiiiiihuibbiui", row->request, row->leg, row->device, row->from,
                       row->to, row->sequence, row->keep_s, (int64_t)row->position, (int64_t)row->ordinal,
                       (int64_t)row->generation, (int64_t)row->kind, (int64_t)row->state, (int64_t)row->furthest,
                       (int64_t)row->exercise, row->head, row->expires.ms, row->parent, opening, wrapset,
                       (int64_t)row->needs_rekey, row->outages_ms, row->body)));
    *ret_id = sqlite3_last_insert_rowid(sq_self(store)->db);
    return E_OK;
}

static enum error one_leg(sqlite3_stmt *statement, struct store_leg *ret) {
    TRY(sq_first(statement));
    ret->id = sqlite3_column_int64(statement, 0);
    ret->request = sqlite3_column_int64(statement, 1);
    sq_column_fixed(statement, 2, ret->leg, HASH_SIZE);
    sq_column_fixed(statement, 3, ret->device, KEY_SIZE);
    sq_column_text(statement, 4, ret->from, sizeof ret->from);
    sq_column_text(statement, 5, ret->to, sizeof ret->to);
    ret->sequence = (uint64_t)sqlite3_column_int64(statement, 6);
    ret->keep_s = (uint64_t)sqlite3_column_int64(statement, 7);
    ret->position = (uint32_t)sqlite3_column_int64(statement, 8);
    ret->ordinal = (uint32_t)sqlite3_column_int64(statement, 9);
    ret->generation = (uint32_t)sqlite3_column_int64(statement, 10);
    ret->kind = (unsigned)sqlite3_column_int(statement, 11);
    ret->state = (unsigned)sqlite3_column_int(statement, 12);
    ret->furthest = (unsigned)sqlite3_column_int(statement, 13);
    ret->exercise = sqlite3_column_int(statement, 14);
    sq_column_fixed(statement, 15, ret->head, HASH_SIZE);
    ret->expires.ms = (uint64_t)sqlite3_column_int64(statement, 16);
    ret->parent = sqlite3_column_int64(statement, 17);
    ret->needs_rekey = sqlite3_column_int(statement, 18);
    ret->outages_ms = (uint64_t)sqlite3_column_int64(statement, 19);
    ret->body = sqlite3_column_int64(statement, 20);
    ret->notes[SIDE_SENDER] = (uint32_t)sqlite3_column_int64(statement, 21);
    ret->notes[SIDE_RECIPIENT] = (uint32_t)sqlite3_column_int64(statement, 22);
    sq_done(statement);
    return E_OK;
}
static enum error sq_leg_by_id(struct store *store, const uint8_t *leg, struct store_leg *ret) {
    return one_leg(sq_bind(store, SQL_LEG_BY_ID, "h", leg), ret);
}
static enum error sq_leg_by_row(struct store *store, int64_t id, struct store_leg *ret) {
    return one_leg(sq_bind(store, SQL_LEG_BY_ROW, "i", id), ret);
}
static enum error sq_leg_sealed(struct store *store, int64_t id, struct buf *ret_opening, struct buf *ret_wrapset) {
    sqlite3_stmt *statement = sq_bind(store, SQL_LEG_SEALED, "i", id);
    TRY(sq_first(statement));
    buf_add_bytes(ret_opening, sq_column_bytes(statement, 0));
    buf_add_bytes(ret_wrapset, sq_column_bytes(statement, 1));
    sq_done(statement);
    return ret_opening->failed || ret_wrapset->failed ? E_NO_MEMORY : E_OK;
}
static enum error sq_leg_update(struct store *store, const struct store_leg *row) {
    return sq_run(sq_bind(store, SQL_LEG_UPDATE, "iiiihuituiii", row->id, (int64_t)row->state, (int64_t)row->furthest,
                          (int64_t)row->ordinal, row->head, row->expires.ms, (int64_t)row->needs_rekey, row->to,
                          row->outages_ms, row->body, (int64_t)row->notes[SIDE_SENDER],
                          (int64_t)row->notes[SIDE_RECIPIENT]));
}
static enum error sq_leg_reseal(struct store *store, int64_t id, uint32_t generation, struct bytes wrapset) {
    return sq_run(sq_bind(store, SQL_LEG_RESEAL, "iib", id, (int64_t)generation, wrapset));
}
static enum error sq_leg_sequence_used(struct store *store, const uint8_t *device, const char *to, uint64_t sequence,
                                       bool *ret) {
    uint64_t got;
    enum error error = sq_u64(sq_bind(store, SQL_LEG_SEQUENCE, "htu", device, to, sequence), &got);
    if (error != E_OK && error != E_UNKNOWN_REQUEST) return error;
    *ret = error == E_OK;
    return E_OK;
}
static enum error sq_leg_nth(struct store *store, int64_t request, unsigned n, struct store_leg *ret) {
    return one_leg(sq_bind(store, SQL_LEG_NTH, "ii", request, (int64_t)n), ret);
}
static enum error sq_leg_due(struct store *store, struct instant now, struct store_leg *ret) {
    return one_leg(sq_bind(store, SQL_LEG_DUE, "u", now.ms), ret);
}
static enum error sq_leg_open_at(struct store *store, const char *post, int64_t after, struct store_leg *ret) {
    return one_leg(sq_bind(store, SQL_LEG_OPEN_AT, "ti", post, after), ret);
}
static enum error sq_leg_body_due(struct store *store, struct instant served, struct store_leg *ret) {
    return one_leg(sq_bind(store, SQL_LEG_BODY_DUE, "u", served.ms), ret);
}
static enum error sq_legs_open(struct store *store, int64_t request, uint64_t *ret, uint64_t *ret_body) {
    sqlite3_stmt *statement = sq_bind(store, SQL_LEGS_OPEN, "i", request);
    TRY(sq_first(statement));
    *ret = (uint64_t)sqlite3_column_int64(statement, 0);
    *ret_body = (uint64_t)sqlite3_column_int64(statement, 1);
    sq_done(statement);
    return E_OK;
}

static enum error sq_receipt_next(struct store *store, int64_t *ret_id) {
    uint64_t id;
    TRY(sq_u64(sq_bind(store, SQL_RECEIPT_NEXT, ""), &id));
    *ret_id = (int64_t)id;
    return E_OK;
}
static enum error sq_receipt_put(struct store *store, int64_t id, const uint8_t *hash, int64_t leg, int64_t ordinal,
                                 int64_t index, struct bytes receipt) {
    return sq_run(sq_bind(store, SQL_RECEIPT_PUT, "ihioob", id, hash, leg, ordinal, index, receipt));
}
static enum error sq_receipt_by_hash(struct store *store, int64_t leg, const uint8_t *hash, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_RECEIPT_BY_HASH, "ih", leg, hash), ret);
}
static enum error sq_receipt_get(struct store *store, int64_t id, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_RECEIPT_GET, "i", id), ret);
}
static enum error sq_receipt_of(struct store *store, int64_t leg, uint32_t ordinal, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_RECEIPT_OF, "ii", leg, (int64_t)ordinal), ret);
}
static enum error sq_receipt_at(struct store *store, uint64_t index, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_RECEIPT_AT, "u", index), ret);
}
static enum error sq_receipt_prove(struct store *store, uint64_t index, struct bytes receipt) {
    return sq_run(sq_bind(store, SQL_RECEIPT_PROVE, "ub", index, receipt));
}
static enum error sq_tile_put(struct store *store, unsigned log, unsigned level, uint64_t index, struct bytes hashes) {
    return sq_run(sq_bind(store, SQL_TILE_PUT, "iiub", (int64_t)log, (int64_t)level, index, hashes));
}
static enum error sq_tile_get(struct store *store, unsigned log, unsigned level, uint64_t index, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_TILE_GET, "iiu", (int64_t)log, (int64_t)level, index), ret);
}
static enum error sq_entry_count(struct store *store, uint64_t *ret) {
    return sq_u64(sq_bind(store, SQL_ENTRY_COUNT, ""), ret);
}

static enum error sq_feed_newest(struct store *store, const char *post, uint64_t *ret) {
    return sq_u64(sq_bind(store, SQL_FEED_NEWEST, "t", post), ret);
}
static enum error sq_feed_add(struct store *store, const char *post, const struct store_feed *item,
                              uint64_t *ret_number) {
    uint64_t newest;
    TRY(sq_feed_newest(store, post, &newest));
    TRY(sq_run(sq_bind(store, SQL_FEED_ADD, "tuiiii", post, newest + 1, (int64_t)item->kind, item->request, item->leg,
                       item->receipt)));
    *ret_number = newest + 1;
    return E_OK;
}
static enum error sq_feed_next(struct store *store, const char *post, uint64_t after, struct store_feed *ret) {
    sqlite3_stmt *statement = sq_bind(store, SQL_FEED_NEXT, "tu", post, after);
    TRY(sq_first(statement));
    ret->number = (uint64_t)sqlite3_column_int64(statement, 0);
    ret->kind = (enum item_kind)sqlite3_column_int(statement, 1);
    ret->request = sqlite3_column_int64(statement, 2);
    ret->leg = sqlite3_column_int64(statement, 3);
    ret->receipt = sqlite3_column_int64(statement, 4);
    sq_done(statement);
    return E_OK;
}

void sq_legs(struct store_ops *ret) {
    ret->leg_add = sq_leg_add;
    ret->leg_by_id = sq_leg_by_id;
    ret->leg_by_row = sq_leg_by_row;
    ret->leg_sealed = sq_leg_sealed;
    ret->leg_update = sq_leg_update;
    ret->leg_reseal = sq_leg_reseal;
    ret->leg_sequence_used = sq_leg_sequence_used;
    ret->leg_nth = sq_leg_nth;
    ret->leg_due = sq_leg_due;
    ret->leg_open_at = sq_leg_open_at;
    ret->leg_body_due = sq_leg_body_due;
    ret->legs_open = sq_legs_open;
    ret->receipt_next = sq_receipt_next;
    ret->receipt_put = sq_receipt_put;
    ret->receipt_by_hash = sq_receipt_by_hash;
    ret->receipt_get = sq_receipt_get;
    ret->receipt_of = sq_receipt_of;
    ret->receipt_at = sq_receipt_at;
    ret->receipt_prove = sq_receipt_prove;
    ret->tile_put = sq_tile_put;
    ret->tile_get = sq_tile_get;
    ret->entry_count = sq_entry_count;
    ret->feed_newest = sq_feed_newest;
    ret->feed_add = sq_feed_add;
    ret->feed_next = sq_feed_next;
}
