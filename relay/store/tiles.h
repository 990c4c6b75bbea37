/* tiles.h - a log's tree as it lies in a store: tiles, in the shape of C2SP tlog-tiles.
 *
 * A tile is a row (log, level, index) of up to 256 hashes. At level 0 they are leaf hashes; at level n each is the root of 256^n
 * leaves, which is the root of one full tile of the level below. Only the last tile of a level may have fewer than 256; a level
 * has no tile until it has a hash. So the tree of n leaves has its right edge in at most log256(n) + 1 rows, any of its roots and
 * paths is worked out from few rows, and memory does not grow with the log.
 *
 * tiles_open reads nothing. What is read is kept, one tile a level, until it is needed no more: open anew to read anew. Calls for
 * one struct tiles: open; add*, flush; or reads. Adding and flushing belong into one transaction.
 *
 * A tile that is not there, or has another number of hashes than the size asks for, is E_CORRUPT, and tiles_fault names it. */
#ifndef TILES_H
#define TILES_H

#include "merkle.h"
#include "store.h"

enum { TILE_BITS = 8, TILE_HASHES = 1 << TILE_BITS, TILE_LEVELS = 64 / TILE_BITS };

struct tile;
struct tiles {
    struct store *store;
    enum relay_log log;
    uint64_t size;
    struct tile *held; /* TILE_LEVELS of them */
};
/* E_NO_MEMORY */
CHECKED enum error tiles_open(struct tiles *tiles, struct store *store, enum relay_log log, uint64_t size);
void tiles_free(struct tiles *tiles);
#define AUTO_TILES __attribute__((cleanup(tiles_free))) struct tiles

/* Roots and paths of every size up to `size`. It reads through *tiles, which must outlive it. */
struct merkle_source tiles_source(const struct tiles *tiles);

CHECKED enum error tiles_add(struct tiles *tiles, const uint8_t leaf_hash[static HASH_SIZE]);
CHECKED enum error
tiles_flush(struct tiles *tiles); /* the tiles that are not full; full ones are written as they fill */

/* The hashes of one tile, read anew; how many there must be, by the size. */
CHECKED enum error tiles_read(const struct tiles *tiles, unsigned level, uint64_t index, struct buf *ret_hashes);
/* How many hashes a level has. */
uint64_t tiles_count(uint64_t size, unsigned level);

enum { TILES_FAULT_SIZE = 64 };
/* After E_CORRUPT: `level 1, tile 7`. False: it was none of the tiles that had been read. */
bool tiles_fault(const struct tiles *tiles, char ret[static TILES_FAULT_SIZE]);

#endif
