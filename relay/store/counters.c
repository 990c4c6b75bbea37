/* counters.c - counters by name, in buckets of a keyed hash: names come from peers. */
#include "counters.h"

#include <sodium.h>
#include <stdio.h>

static size_t bucket_of(const struct counters *counters, const char *key) {
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES && sizeof counters->bucket_key == crypto_shorthash_KEYBYTES,
                   "SipHash");
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)key, strlen(key), counters->bucket_key);
    return hash & (counters->cap - 1);
}

static void put_into_bucket(struct counters *counters, size_t at) {
    int *bucket = &counters->buckets[bucket_of(counters, counters->all[at].key)];
    counters->all[at].same_bucket = *bucket;
    *bucket = (int)at;
}

static enum error grow(struct counters *counters) {
    size_t cap = counters->cap ? counters->cap * 2 : 64;
    struct counter *all = realloc(counters->all, cap * sizeof *all);
    if (all) counters->all = all;
    int *buckets = realloc(counters->buckets, cap * sizeof *buckets);
    if (buckets) counters->buckets = buckets;
    if (!all || !buckets) return E_NO_MEMORY;
    if (counters->cap == 0) randombytes_buf(counters->bucket_key, sizeof counters->bucket_key);
    counters->cap = cap;
    for (size_t i = 0; i < cap; i++) buckets[i] = -1;
    for (size_t i = 0; i < counters->count; i++) put_into_bucket(counters, i);
    return E_OK;
}

enum error counters_find(struct counters *counters, const char *key, struct counter **ret) {
    if (strlen(key) >= COUNTER_KEY_SIZE) return E_INTERNAL;
    if (counters->count == counters->cap) TRY(grow(counters));
    int at = counters->buckets[bucket_of(counters, key)];
    while (at >= 0 && strcmp(counters->all[at].key, key) != 0) at = counters->all[at].same_bucket;
    if (at < 0) {
        at = (int)counters->count++;
        counters->all[at] = (struct counter){0};
        snprintf(counters->all[at].key, COUNTER_KEY_SIZE, "%s", key);
        put_into_bucket(counters, (size_t)at);
    }
    *ret = &counters->all[at];
    return E_OK;
}

void counters_drop(struct counters *counters, const char *prefix) {
    size_t n = strlen(prefix);
    for (size_t i = 0; i < counters->count; i++)
        if (strncmp(counters->all[i].key, prefix, n) == 0) counters->all[i].known = false;
}

void counters_clear(struct counters *counters) {
    for (size_t i = 0; i < counters->cap; i++) counters->buckets[i] = -1;
    counters->count = 0;
}

void counters_free(struct counters *counters) {
    free(counters->all);
    free(counters->buckets);
    *counters = (struct counters){0};
}
