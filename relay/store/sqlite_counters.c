/* sqlite_counters.c - quotas and marks: within a transaction they are read once and written once, at its end. */
#include "sqlite.h"

static enum error load(struct store *store, const char *key, uint64_t *ret) {
    enum error error = sq_u64(sq_bind(store, SQL_QUOTA_GET, "t", key), ret);
    if (error == E_UNKNOWN_REQUEST) *ret = 0;
    return error == E_UNKNOWN_REQUEST ? E_OK : error;
}

static enum error find(struct store *store, const char *key, struct counter **ret) {
    TRY(counters_find(&sq_self(store)->counters, key, ret));
    if ((*ret)->known) return E_OK;
    TRY(load(store, key, &(*ret)->stored));
    (*ret)->value = (*ret)->stored;
    (*ret)->known = true;
    return E_OK;
}

static bool in_transaction(struct store *store) { return !sqlite3_get_autocommit(sq_self(store)->db); }

static enum error sq_quota_get(struct store *store, const char *key, uint64_t *ret) {
    struct counter *counter;
    if (!in_transaction(store)) return load(store, key, ret);
    TRY(find(store, key, &counter));
    *ret = counter->value;
    return E_OK;
}

static enum error sq_quota_add(struct store *store, const char *key, int64_t change) {
    struct counter *counter;
    if (!in_transaction(store)) return sq_run(sq_bind(store, SQL_QUOTA_ADD, "ti", key, change));
    TRY(find(store, key, &counter));
    int64_t value = (int64_t)counter->value + change;
    counter->value = value > 0 ? (uint64_t)value : 0;
    return E_OK;
}

static enum error sq_quota_drop(struct store *store, const char *prefix) {
    counters_drop(&sq_self(store)->counters, prefix);
    return sq_run(sq_bind(store, SQL_QUOTA_DROP, "t", prefix));
}

enum error sq_counters_write(struct sqlite_store *sq) {
    for (size_t i = 0; i < sq->counters.count; i++) {
        struct counter *counter = &sq->counters.all[i];
        if (!counter->known || counter->value == counter->stored) continue;
        int64_t change = (int64_t)counter->value - (int64_t)counter->stored;
        TRY(sq_run(sq_bind(&sq->store, SQL_QUOTA_ADD, "ti", counter->key, change)));
        counter->stored = counter->value;
    }
    return E_OK;
}

void sq_counters(struct store_ops *ret) {
    ret->quota_get = sq_quota_get;
    ret->quota_add = sq_quota_add;
    ret->quota_drop = sq_quota_drop;
}
