/* sqlite_requests.c - requests, the conflicts kept as proof, chunks. */
#include "sqlite.h"

static enum error sq_request_add(struct store *store, const struct store_request *row, struct bytes kept,
                                 struct bytes waiting, int64_t *ret_id) {
    const char *format = waiting.p ? "hhrtiiuubb" : "hhrtiiuubn";
    TRY(sq_run(sq_bind(store, SQL_REQUEST_ADD, format, row->digest, row->device, row->request, row->from,
                       (int64_t)row->exercise, (int64_t)row->stored, row->at.ms, row->bytes, kept, waiting)));
    *ret_id = sqlite3_last_insert_rowid(sq_self(store)->db);
    return E_OK;
}

static enum error one_request(sqlite3_stmt *statement, struct store_request *ret) {
    TRY(sq_first(statement));
    ret->id = sqlite3_column_int64(statement, 0);
    sq_column_fixed(statement, 1, ret->digest, HASH_SIZE);
    sq_column_fixed(statement, 2, ret->device, KEY_SIZE);
    sq_column_fixed(statement, 3, ret->request, REQUEST_ID_SIZE);
    sq_column_text(statement, 4, ret->from, sizeof ret->from);
    ret->exercise = sqlite3_column_int(statement, 5);
    ret->stored = sqlite3_column_int(statement, 6);
    ret->at.ms = (uint64_t)sqlite3_column_int64(statement, 7);
    ret->bytes = (uint64_t)sqlite3_column_int64(statement, 8);
    ret->released = (uint64_t)sqlite3_column_int64(statement, 9);
    sq_done(statement);
    return E_OK;
}
static enum error sq_request_by_digest(struct store *store, const uint8_t *digest, struct store_request *ret) {
    return one_request(sq_bind(store, SQL_REQUEST_BY_DIGEST, "h", digest), ret);
}
static enum error sq_request_by_name(struct store *store, const uint8_t *device, const uint8_t *request,
                                     struct store_request *ret) {
    return one_request(sq_bind(store, SQL_REQUEST_BY_NAME, "hr", device, request), ret);
}
static enum error sq_request_by_row(struct store *store, int64_t id, struct store_request *ret) {
    return one_request(sq_bind(store, SQL_REQUEST_BY_ROW, "i", id), ret);
}
static enum error sq_request_kept(struct store *store, int64_t id, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_REQUEST_KEPT, "i", id), ret);
}
static enum error sq_request_waiting(struct store *store, int64_t id, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_REQUEST_WAITING, "i", id), ret);
}
static enum error sq_request_set_waiting(struct store *store, int64_t id, struct bytes waiting) {
    return sq_run(sq_bind(store, SQL_REQUEST_SET_WAITING, "ib", id, waiting));
}
static enum error sq_request_complete(struct store *store, int64_t id, struct instant at) {
    return sq_run(sq_bind(store, SQL_REQUEST_COMPLETE, "iu", id, at.ms));
}
static enum error sq_request_restage(struct store *store, int64_t id, struct instant at) {
    return sq_run(sq_bind(store, SQL_REQUEST_RESTAGE, "iu", id, at.ms));
}
static enum error sq_request_release(struct store *store, int64_t id, uint64_t released) {
    return sq_run(sq_bind(store, SQL_REQUEST_RELEASE, "iu", id, released));
}
/* The row's number may be given out again, so nothing that names it may stay. */
static enum error sq_request_drop(struct store *store, int64_t id) {
    TRY(sq_run(sq_bind(store, SQL_CONFLICT_DROP, "i", id)));
    TRY(sq_run(sq_bind(store, SQL_CHUNK_ERASE, "ii", id, (int64_t)PART_OFFER)));
    TRY(sq_run(sq_bind(store, SQL_CHUNK_ERASE, "ii", id, (int64_t)PART_BODY)));
    return sq_run(sq_bind(store, SQL_REQUEST_DROP, "i", id));
}
static enum error sq_request_stale(struct store *store, struct instant before, struct store_request *ret) {
    return one_request(sq_bind(store, SQL_REQUEST_STALE, "u", before.ms), ret);
}

static enum error sq_conflict_add(struct store *store, int64_t request, const uint8_t *digest, struct bytes header) {
    return sq_run(sq_bind(store, SQL_CONFLICT_ADD, "ihbi", request, digest, header, (int64_t)CONFLICTS_MAX));
}

static enum error sq_chunk_put(struct store *store, int64_t request, unsigned part, uint32_t index, struct bytes data) {
    return sq_run(sq_bind(store, SQL_CHUNK_PUT, "iiib", request, (int64_t)part, (int64_t)index, data));
}
static enum error sq_chunk_get(struct store *store, int64_t request, unsigned part, uint32_t index, struct buf *ret) {
    return sq_buf(sq_bind(store, SQL_CHUNK_GET, "iii", request, (int64_t)part, (int64_t)index), ret);
}

/* Chunks mostly come in order, so count == highest + 1 answers at once; only a gap asks for the search. */
static enum error sq_chunk_missing(struct store *store, int64_t request, unsigned part, uint32_t count, uint32_t *ret) {
    sqlite3_stmt *statement = sq_bind(store, SQL_CHUNK_COUNT, "ii", request, (int64_t)part);
    TRY(sq_first(statement));
    int64_t have = sqlite3_column_int64(statement, 0), above = sqlite3_column_int64(statement, 1);
    sq_done(statement);
    if (have == above) {
        *ret = (uint32_t)(have < count ? have : count);
        return E_OK;
    }
    uint64_t lowest;
    TRY(sq_u64(sq_bind(store, SQL_CHUNK_FIRST, "ii", request, (int64_t)part), &lowest));
    if (lowest > 0) {
        *ret = 0;
        return E_OK;
    }
    uint64_t gap;
    TRY(sq_u64(sq_bind(store, SQL_CHUNK_NEXT_GAP, "ii", request, (int64_t)part), &gap));
    *ret = (uint32_t)(gap < count ? gap : count);
    return E_OK;
}
static enum error sq_chunk_erase(struct store *store, int64_t request, unsigned part) {
    return sq_run(sq_bind(store, SQL_CHUNK_ERASE, "ii", request, (int64_t)part));
}

void sq_requests(struct store_ops *ret) {
    ret->request_add = sq_request_add;
    ret->request_by_digest = sq_request_by_digest;
    ret->request_by_name = sq_request_by_name;
    ret->request_by_row = sq_request_by_row;
    ret->request_kept = sq_request_kept;
    ret->request_waiting = sq_request_waiting;
    ret->request_set_waiting = sq_request_set_waiting;
    ret->request_complete = sq_request_complete;
    ret->request_restage = sq_request_restage;
    ret->request_release = sq_request_release;
    ret->request_drop = sq_request_drop;
    ret->request_stale = sq_request_stale;
    ret->conflict_add = sq_conflict_add;
    ret->chunk_put = sq_chunk_put;
    ret->chunk_get = sq_chunk_get;
    ret->chunk_missing = sq_chunk_missing;
    ret->chunk_erase = sq_chunk_erase;
}
