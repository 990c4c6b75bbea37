/* directory_index.c - linear probing over keyed digests. */
#include "directory_index.h"

#include <assert.h>
#include <sodium.h>

enum { INDEX_FIRST = 64 };

void index_init(struct index *index) {
    *index = (struct index){0};
    randombytes_buf(index->secret, sizeof index->secret);
}

void index_free(struct index *index) {
    free(index->slots);
    *index = (struct index){0};
}

static void digest_of(const struct index *index, enum index_space space, struct bytes key,
                      uint8_t ret[static INDEX_DIGEST_SIZE]) {
    uint8_t tag = (uint8_t)space;
    crypto_generichash_state state;
    crypto_generichash_init(&state, index->secret, sizeof index->secret, INDEX_DIGEST_SIZE);
    crypto_generichash_update(&state, &tag, 1);
    if (key.n) crypto_generichash_update(&state, key.p, key.n);
    crypto_generichash_final(&state, ret, INDEX_DIGEST_SIZE);
}

/* The slot that holds the digest, or the free one where it belongs. There always is one: the table is at most half
 * full. */
static size_t slot_of(const struct index_slot *slots, size_t capacity, const uint8_t digest[static INDEX_DIGEST_SIZE]) {
    uint64_t start;
    memcpy(&start, digest, sizeof start);
    size_t at = (size_t)start & (capacity - 1);
    while (slots[at].at != 0 && memcmp(slots[at].digest, digest, INDEX_DIGEST_SIZE) != 0)
        at = (at + 1) & (capacity - 1);
    return at;
}

enum error index_reserve(struct index *index, size_t more) {
    size_t capacity = index->capacity ? index->capacity : INDEX_FIRST;
    while (capacity / 2 < index->used + more) {
        if (capacity > SIZE_MAX / 2 / sizeof(struct index_slot)) return E_NO_MEMORY;
        capacity *= 2;
    }
    if (capacity == index->capacity) return E_OK;
    struct index_slot *slots = calloc(capacity, sizeof *slots);
    if (!slots) return E_NO_MEMORY;
    for (size_t i = 0; i < index->capacity; i++)
        if (index->slots[i].at != 0) slots[slot_of(slots, capacity, index->slots[i].digest)] = index->slots[i];
    free(index->slots);
    index->slots = slots;
    index->capacity = capacity;
    return E_OK;
}

void index_put(struct index *index, enum index_space space, struct bytes key, uint32_t at) {
    assert(index->capacity / 2 > 0 && at < UINT32_MAX);
    uint8_t digest[INDEX_DIGEST_SIZE];
    digest_of(index, space, key, digest);
    struct index_slot *slot = &index->slots[slot_of(index->slots, index->capacity, digest)];
    if (slot->at == 0) {
        assert(index->used < index->capacity / 2);
        index->used++;
        memcpy(slot->digest, digest, sizeof digest);
    }
    slot->at = at + 1;
}

bool index_get(const struct index *index, enum index_space space, struct bytes key, uint32_t *ret_at) {
    if (index->capacity == 0) return false;
    uint8_t digest[INDEX_DIGEST_SIZE];
    digest_of(index, space, key, digest);
    const struct index_slot *slot = &index->slots[slot_of(index->slots, index->capacity, digest)];
    if (slot->at == 0) return false;
    *ret_at = slot->at - 1;
    return true;
}

bool index_has(const struct index *index, enum index_space space, struct bytes key) {
    uint32_t at;
    return index_get(index, space, key, &at);
}

enum error index_copy(const struct index *index, struct index *ret) {
    struct index copy = *index;
    if (index->capacity) {
        copy.slots = calloc(index->capacity, sizeof *copy.slots);
        if (!copy.slots) return E_NO_MEMORY;
        memcpy(copy.slots, index->slots, index->capacity * sizeof *copy.slots);
    }
    *ret = copy;
    return E_OK;
}
