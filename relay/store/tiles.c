/* tiles.c - a log's tree in rows of 256 hashes: read as a source of complete subtrees, written at its right edge. */
#include "tiles.h"

#include <assert.h>
#include <stdio.h>

struct tile {
    bool held, changed, faulty; /* faulty: this one could not be read */
    uint64_t index;
    size_t count;
    uint8_t hashes[TILE_HASHES * HASH_SIZE];
};

enum error tiles_open(struct tiles *tiles, struct store *store, enum relay_log log, uint64_t size) {
    struct tile *held = calloc(TILE_LEVELS, sizeof *held);
    if (!held) return E_NO_MEMORY;
    *tiles = (struct tiles){.store = store, .log = log, .size = size, .held = held};
    return E_OK;
}

void tiles_free(struct tiles *tiles) {
    free(tiles->held);
    tiles->held = NULL;
}

uint64_t tiles_count(uint64_t size, unsigned level) { return size >> TILE_BITS * level; }

/* How many hashes the tile has. */
static size_t count_in(const struct tiles *tiles, unsigned level, uint64_t index) {
    uint64_t all = tiles_count(tiles->size, level), before = index << TILE_BITS;
    if (all <= before) return 0;
    return all - before < TILE_HASHES ? (size_t)(all - before) : TILE_HASHES;
}

static enum error blame(const struct tiles *tiles, unsigned level, uint64_t index) {
    struct tile *tile = &tiles->held[level];
    tile->held = false;
    tile->faulty = true;
    tile->index = index;
    return E_CORRUPT;
}

enum error tiles_read(const struct tiles *tiles, unsigned level, uint64_t index, struct buf *ret_hashes) {
    AUTO_BUF hashes = {0};
    enum error error = tiles->store->ops->tile_get(tiles->store, tiles->log, level, index, &hashes);
    if (error == E_UNKNOWN_REQUEST) return blame(tiles, level, index);
    TRY(error);
    if (hashes.n != count_in(tiles, level, index) * HASH_SIZE) return blame(tiles, level, index);
    buf_add_bytes(ret_hashes, buf_bytes(&hashes));
    return buf_error(ret_hashes);
}

static enum error hold(const struct tiles *tiles, unsigned level, uint64_t index) {
    struct tile *tile = &tiles->held[level];
    AUTO_BUF hashes = {0};
    if (tile->held && tile->index == index) return E_OK;
    assert(!tile->changed); /* reading elsewhere while writing: ours to avoid */
    TRY(tiles_read(tiles, level, index, &hashes));
    tile->held = true;
    tile->index = index;
    tile->count = hashes.n / HASH_SIZE;
    memcpy(tile->hashes, hashes.p, hashes.n);
    return E_OK;
}

/* A subtree of 2^level leaves is one hash of a tile, or the root of a run of them. */
static enum error node(const void *context, unsigned level, uint64_t index, uint8_t *ret) {
    const struct tiles *tiles = context;
    unsigned at = level / TILE_BITS, bits = level % TILE_BITS;
    uint64_t first = index << bits;
    size_t offset = (size_t)(first % TILE_HASHES), count = (size_t)1 << bits;
    TRY(hold(tiles, at, first >> TILE_BITS));
    const struct tile *tile = &tiles->held[at];
    if (offset + count > tile->count) return E_INTERNAL;
    merkle_root(tile->hashes + offset * HASH_SIZE, count, ret);
    return E_OK;
}

struct merkle_source tiles_source(const struct tiles *tiles) {
    return (struct merkle_source){.context = tiles, .node = node};
}

static enum error put(const struct tiles *tiles, unsigned level) {
    struct tile *tile = &tiles->held[level];
    tile->changed = false;
    return tiles->store->ops->tile_put(tiles->store, tiles->log, level, tile->index,
                                       bytes_of(tile->hashes, tile->count * HASH_SIZE));
}

/* The tile that the level's next hash goes into. */
static enum error hold_last(const struct tiles *tiles, unsigned level) {
    struct tile *tile = &tiles->held[level];
    uint64_t count = tiles_count(tiles->size, level), index = count >> TILE_BITS;
    if (count % TILE_HASHES) return hold(tiles, level, index);
    assert(!tile->changed);
    tile->held = true;
    tile->index = index;
    tile->count = 0;
    return E_OK;
}

enum error tiles_add(struct tiles *tiles, const uint8_t leaf_hash[static HASH_SIZE]) {
    uint8_t hash[HASH_SIZE];
    memcpy(hash, leaf_hash, HASH_SIZE);
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        TRY(hold_last(tiles, level));
        struct tile *tile = &tiles->held[level];
        memcpy(tile->hashes + tile->count++ * HASH_SIZE, hash, HASH_SIZE);
        tile->changed = true;
        if (tile->count < TILE_HASHES) break;
        merkle_root(tile->hashes, TILE_HASHES, hash);
        TRY(put(tiles, level));
    }
    tiles->size++;
    return E_OK;
}

enum error tiles_flush(struct tiles *tiles) {
    for (unsigned level = 0; level < TILE_LEVELS; level++)
        if (tiles->held[level].changed) TRY(put(tiles, level));
    return E_OK;
}

bool tiles_fault(const struct tiles *tiles, char ret[static TILES_FAULT_SIZE]) {
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        if (!tiles->held[level].faulty) continue;
        snprintf(ret, TILES_FAULT_SIZE, "level %u, tile %llu", level, (unsigned long long)tiles->held[level].index);
        return true;
    }
    return false;
}
