/* proofs.c - the evidence log: a batch's entries become leaves, one head over them is signed, and each receipt gets its proof.
 *
 *     scribe has put the batch's receipts ─ tiles grow ─ all of it is read back and hashed anew ─ head ─ proofs into the receipts
 *
 * Everything happens in the batch's transaction, so that what is rolled back was never signed. What is read back and differs from
 * what was written is E_CORRUPT, the row is named in the log, and nothing is signed: the disk, the memory or the program is not to
 * be trusted. A batch reads its tree's right edge (log256(n) + 1 rows) and what it has written, so its cost does not grow with
 * the log. */
#include "fault.h"
#include "log.h"
#include "logs.h"

/* ---- receipts ---- */

/* The entry's hash, worked out from the receipt's bytes. */
static enum error entry_of(struct bytes bytes, uint8_t ret[static HASH_SIZE]) {
    struct receipt receipt;
    struct record record;
    struct bytes payload;
    if (receipt_decode(bytes, &receipt) != E_OK || stamp_peek(receipt.record, &payload) != E_OK ||
        record_decode(payload, &record) != E_OK || !record.has_entry)
        return E_CORRUPT;
    entry_hash(record.entry, ret);
    return E_OK;
}

static enum error blame_receipt(uint64_t index) {
    log_line(LOG_ERR, "the receipt of entry %llu is damaged in the store: nothing is signed; bring back a copy",
             (unsigned long long)index);
    return E_CORRUPT;
}

static enum error read_receipt(const struct book *book, uint64_t index, struct buf *ret, uint8_t *ret_entry) {
    enum error error = book->store->ops->receipt_at(book->store, index, ret);
    if (error == E_UNKNOWN_REQUEST) return blame_receipt(index);
    TRY(error);
    return entry_of(buf_bytes(ret), ret_entry) == E_OK ? E_OK : blame_receipt(index);
}

/* The same receipt with checkpoint and path. */
static enum error with_proof(struct bytes bytes, struct bytes checkpoint, struct bytes path, struct buf *out) {
    struct receipt receipt;
    AUTO_BUF list = {0};
    if (receipt_decode(bytes, &receipt) != E_OK) return E_CORRUPT;
    for (size_t at = 0; at < path.n; at += HASH_SIZE) cbor_put_bytes(&list, bytes_of(path.p + at, HASH_SIZE));
    receipt.has_proof = receipt.has_checkpoint = true;
    receipt.proof = list_of(&list, path.n / HASH_SIZE);
    receipt.checkpoint = checkpoint;
    receipt_encode(&receipt, out);
    return list.failed ? E_NO_MEMORY : buf_error(out);
}

static enum error prove(const struct book *book, const struct merkle_source *source, uint64_t index, uint64_t size,
                        struct bytes checkpoint, struct bytes receipt, struct buf *out) {
    AUTO_BUF path = {0};
    TRY(merkle_source_path(source, index, size, &path));
    TRY(with_proof(receipt, checkpoint, buf_bytes(&path), out));
    return book->store->ops->receipt_prove(book->store, index, buf_bytes(out));
}

/* ---- a batch ---- */

struct growth {
    struct book *book;
    struct log_state before, after;
    struct merkle_tree tree; /* the frontier before, and the new leaves */
};
static void growth_free(struct growth *growth) { merkle_tree_free(&growth->tree); }
#define AUTO_GROWTH __attribute__((cleanup(growth_free))) struct growth

static enum error state_of(const struct tiles *tiles, struct merkle_frontier *ret_frontier, struct log_state *ret) {
    struct merkle_source source = tiles_source(tiles);
    TRY(logs_blame(tiles, merkle_source_frontier(&source, tiles->size, ret_frontier)));
    ret->size = tiles->size;
    if (ret->size > 0) merkle_frontier_root(ret_frontier, ret->root);
    return E_OK;
}

/* As the batch before has left it; what has become of it in the store meanwhile shows when all is read back. */
static enum error state_before(const struct book *book, const struct tiles *tiles,
                               struct merkle_frontier *ret_frontier, struct log_state *ret) {
    if (tiles->size == 0 || book->edge.size != tiles->size) return state_of(tiles, ret_frontier, ret);
    *ret_frontier = book->edge;
    ret->size = tiles->size;
    merkle_frontier_root(ret_frontier, ret->root);
    return E_OK;
}

static enum error grow(struct growth *growth, struct scribe_pending *pending, size_t count) {
    AUTO_TILES tiles = {0};
    struct merkle_frontier frontier;
    struct store *store = growth->book->store;
    TRY(tiles_open(&tiles, store, LOG_EVIDENCE, growth->before.size));
    TRY(state_before(growth->book, &tiles, &frontier, &growth->before));
    TRY(merkle_tree_begin(&growth->tree, &frontier));
    for (size_t i = 0; i < count; i++) {
        if (pending[i].index < 0) continue;
        TRY(merkle_tree_add(&growth->tree, pending[i].entry));
        TRY(logs_blame(&tiles, tiles_add(&tiles, pending[i].entry)));
        merkle_frontier_add(&frontier, pending[i].entry);
    }
    TRY(tiles_flush(&tiles));
    growth->after.size = tiles.size;
    merkle_frontier_root(&frontier, growth->after.root);
    growth->book->edge = frontier;
    return E_OK;
}

/* One level of one tile as it lies in the store: the hashes that this batch has added are the tree's, and a tile that is full now
 * has the root that stands for it one level above. */
static enum error recheck_tile(struct growth *growth, const struct tiles *tiles, unsigned level, uint64_t index) {
    struct merkle_source source = merkle_tree_source(&growth->tree);
    uint64_t first = index << TILE_BITS, old = tiles_count(growth->before.size, level);
    uint8_t expected[HASH_SIZE], root[HASH_SIZE];
    AUTO_BUF hashes = {0};
    TRY(tiles_read(tiles, level, index, &hashes));
    size_t count = hashes.n / HASH_SIZE;
    for (uint64_t i = first > old ? first : old; i < first + count; i++) {
        TRY(source.node(source.context, level * TILE_BITS, i, expected));
        if (memcmp(hashes.p + (i - first) * HASH_SIZE, expected, HASH_SIZE) != 0) return E_CORRUPT;
    }
    if (count < TILE_HASHES) return E_OK;
    TRY(source.node(source.context, (level + 1) * TILE_BITS, index, expected));
    merkle_root(hashes.p, count, root);
    return memcmp(root, expected, HASH_SIZE) == 0 ? E_OK : E_CORRUPT;
}

static enum error recheck_tiles(struct growth *growth) {
    AUTO_TILES tiles = {0};
    struct merkle_frontier frontier;
    struct log_state read;
    TRY(tiles_open(&tiles, growth->book->store, LOG_EVIDENCE, growth->after.size));
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        uint64_t from = tiles_count(growth->before.size, level), to = tiles_count(growth->after.size, level);
        for (uint64_t index = from >> TILE_BITS; to > from && index <= (to - 1) >> TILE_BITS; index++) {
            enum error error = recheck_tile(growth, &tiles, level, index);
            if (error == E_CORRUPT)
                log_line(
                    LOG_ERR,
                    "the evidence log is not in the store as it was written (level %u, tile %llu): nothing is signed",
                    level, (unsigned long long)index);
            TRY(error);
        }
    }
    TRY(state_of(&tiles, &frontier, &read)); /* with the edge's older hashes */
    if (memcmp(read.root, growth->after.root, HASH_SIZE) == 0) return E_OK;
    log_line(LOG_ERR, "the evidence log's right edge is not in the store as it was read before: nothing is signed");
    return E_CORRUPT;
}

static enum error recheck_receipt(const struct book *book, const struct scribe_pending *pending) {
    AUTO_BUF bytes = {0};
    uint8_t hash[HASH_SIZE];
    TRY(read_receipt(book, (uint64_t)pending->index, &bytes, hash));
    bool same =
        bytes_equal(buf_bytes(&bytes), buf_bytes(&pending->receipt)) && memcmp(hash, pending->entry, HASH_SIZE) == 0;
    return same ? E_OK : blame_receipt((uint64_t)pending->index);
}

static enum error recheck(struct growth *growth, const struct scribe_pending *pending, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (pending[i].index >= 0) TRY(recheck_receipt(growth->book, &pending[i]));
    return recheck_tiles(growth);
}

static enum error prove_all(struct growth *growth, struct scribe_pending *pending, size_t count,
                            struct bytes checkpoint) {
    struct merkle_source source = merkle_tree_source(&growth->tree);
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF proven = {0};
        if (pending[i].index < 0) continue;
        TRY(prove(growth->book, &source, (uint64_t)pending[i].index, growth->after.size, checkpoint,
                  buf_bytes(&pending[i].receipt), &proven));
        buf_free(&pending[i].receipt);
        pending[i].receipt = buf_take(&proven);
    }
    return E_OK;
}

enum error proofs_write(struct book *book) {
    struct scribe *scribe = &book->scribe;
    uint64_t entries = scribe_entries(scribe);
    if (entries == 0) return E_OK;
    AUTO_GROWTH growth = {.book = book, .before.size = scribe->next_index - entries};
    AUTO_BUF checkpoint = {0};
    TRY(grow(&growth, scribe->pending, scribe->count));
    FAULT("ledger.tiles");
    TRY(recheck(&growth, scribe->pending, scribe->count));
    TRY(heads_grown(book, LOG_EVIDENCE, &growth.before, &growth.after, &checkpoint));
    TRY(prove_all(&growth, scribe->pending, scribe->count, buf_bytes(&checkpoint)));
    FAULT("ledger.proven");
    return E_OK;
}

/* ---- where the damage is ---- */

/* The hash that a node of the right edge should have, from what lies below it: a receipt, or a full tile. */
static enum error node_from_below(const struct book *book, const struct tiles *tiles, unsigned level, uint64_t index,
                                  uint8_t ret[static HASH_SIZE]) {
    AUTO_BUF below = {0};
    if (level == 0) return read_receipt(book, index, &below, ret);
    TRY(tiles_read(tiles, level - 1, index, &below));
    merkle_root(below.p, below.n / HASH_SIZE, ret);
    return E_OK;
}

static enum error name_in_tile(const struct book *book, const struct tiles *tiles, unsigned level, uint64_t tile) {
    AUTO_BUF hashes = {0};
    TRY(tiles_read(tiles, level, tile, &hashes));
    for (uint64_t i = 0; i < hashes.n / HASH_SIZE; i++) {
        uint8_t expected[HASH_SIZE];
        TRY(node_from_below(book, tiles, level, (tile << TILE_BITS) + i, expected));
        if (memcmp(hashes.p + i * HASH_SIZE, expected, HASH_SIZE) == 0) continue;
        log_line(LOG_ERR,
                 "the evidence log is damaged in the store: level %u, tile %llu, hash %llu is not that of what it "
                 "stands for",
                 level, (unsigned long long)tile, (unsigned long long)i);
        return E_CORRUPT;
    }
    return E_OK;
}

/* All that the newest root is made of, and what that was made of: few rows, read only when something is wrong. */
void proofs_name_damage(const struct book *book) {
    AUTO_TILES tiles = {0};
    uint64_t size;
    if (book->store->ops->entry_count(book->store, &size) != E_OK) return;
    if (tiles_open(&tiles, book->store, LOG_EVIDENCE, size) != E_OK) return;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        uint64_t count = tiles_count(size, level);
        if (count % TILE_HASHES == 0) continue;
        if (logs_blame(&tiles, name_in_tile(book, &tiles, level, count >> TILE_BITS)) != E_OK) return;
    }
}

/* ---- what was recorded before there was an evidence log ---- */

#define UNPROVEN "unproven" /* how many entries a store has brought along from before (schema.sql.h) */

static enum error fill_tiles(struct book *book, uint64_t count) {
    AUTO_TILES tiles = {0};
    TRY(tiles_open(&tiles, book->store, LOG_EVIDENCE, 0));
    for (uint64_t i = 0; i < count; i++) {
        AUTO_BUF receipt = {0};
        uint8_t hash[HASH_SIZE];
        TRY(read_receipt(book, i, &receipt, hash));
        TRY(logs_blame(&tiles, tiles_add(&tiles, hash)));
    }
    return tiles_flush(&tiles);
}

static enum error prove_old(struct book *book, uint64_t count, struct bytes checkpoint) {
    AUTO_TILES tiles = {0};
    TRY(tiles_open(&tiles, book->store, LOG_EVIDENCE, count));
    struct merkle_source source = tiles_source(&tiles);
    for (uint64_t i = 0; i < count; i++) {
        AUTO_BUF receipt = {0}, proven = {0};
        uint8_t hash[HASH_SIZE];
        TRY(read_receipt(book, i, &receipt, hash));
        TRY(logs_blame(&tiles, prove(book, &source, i, count, checkpoint, buf_bytes(&receipt), &proven)));
    }
    return E_OK;
}

enum error proofs_catch_up(struct book *book) {
    struct log_state now;
    AUTO_BUF checkpoint = {0};
    uint64_t count;
    TRY(book->store->ops->meta_get(book->store, UNPROVEN, &count));
    if (count == 0) return E_OK;
    TRY(fill_tiles(book, count));
    TRY(logs_now(book, LOG_EVIDENCE, &now));
    if (now.size != count) return E_CORRUPT;
    TRY(heads_grown(book, LOG_EVIDENCE, &now, &now, &checkpoint));
    TRY(prove_old(book, count, buf_bytes(&checkpoint)));
    log_line(LOG_NOTICE, "%llu entries from before the evidence log have their proofs now", (unsigned long long)count);
    return book->store->ops->meta_put(book->store, UNPROVEN, 0);
}
