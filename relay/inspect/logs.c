/* logs.c - both logs: heads, leaves and their roots, tiles, and the receipt at every index. */
#include <stdio.h>

#include "inspector.h"

enum { TILE_HASHES = 256, TILE_LEVELS_MAX = 8, WHO_MAX = 300 };

/* ---- heads ---- */

/* `who` of the table: empty for the newest, a witness, or `asked N`; behind `evidence ` that of the evidence log. */
static enum relay_log log_of_who(struct bytes who, struct bytes *ret_name) {
    static const char prefix[] = "evidence ";
    size_t n = sizeof prefix - 1;
    bool evidence = who.n >= n && memcmp(who.p, prefix, n) == 0;
    *ret_name = evidence ? bytes_of(who.p + n, who.n - n) : who;
    return evidence ? LOG_EVIDENCE : LOG_DIRECTORY;
}

/* A witness that is in the card; one that was taken off it is not asked for any more. */
static const char *witness_named(const struct inspector *inspector, struct bytes name) {
    for (size_t i = 0; i < inspector->card->witness_count; i++)
        if (bytes_are(name, inspector->card->witnesses[i].name)) return inspector->card->witnesses[i].name;
    return NULL;
}

static enum error one_head(struct inspector *inspector, struct cursor *cursor, void *context) {
    const enum relay_log *wanted = context;
    struct bytes name, note = rows_bytes(cursor, 2);
    struct head head;
    enum relay_log log = log_of_who(rows_bytes(cursor, 0), &name);
    if (log != *wanted) return E_OK;
    inspector_what_text(inspector, "head of", name.n ? name : bytes_text("the newest"));
    TRY(audit_head(inspector->audit, log, note, witness_named(inspector, name)));
    if (head_open_log(inspector->card, log, note, &head) != E_OK) return E_OK; /* told just now */
    return inspector_expect(inspector, head.size == (uint64_t)rows_int(cursor, 1), "mismatch", E_MISMATCH,
                            "the size beside the head is not the head's");
}

/* Heads go before the leaves; also the one that is kept outside of the store. */
static enum error all_heads(struct inspector *inspector, enum relay_log log) {
    struct bytes outside = inspector->options->outside[log == LOG_EVIDENCE];
    TRY(inspector_each(inspector, "head", "SELECT who, size, note FROM head ORDER BY who", &log, one_head));
    inspector_at(inspector, "head", -1);
    inspector_what_text(inspector, "file", bytes_text(log == LOG_EVIDENCE ? "evidence.head" : "directory.head"));
    return outside.n ? audit_head(inspector->audit, log, outside, NULL) : E_OK;
}

/* ---- the directory ---- */

static enum error one_leaf(struct inspector *inspector, struct cursor *cursor, void *context) {
    uint64_t *next = context, index = (uint64_t)rows_int(cursor, 0);
    uint8_t root[HASH_SIZE];
    inspector_at(inspector, "leaf", (int64_t)index);
    for (; *next < index; ++*next) TRY(audit_gap(inspector->audit, LOG_DIRECTORY, *next));
    *next = index + 1;
    TRY(audit_leaf(inspector->audit, rows_bytes(cursor, 1)));
    audit_root(inspector->audit, LOG_DIRECTORY, root);
    inspector->numbers->leaves++;
    return inspector_expect(inspector, rows_is(cursor, 2, bytes_of(root, sizeof root)), "mismatch", E_BAD_PROOF,
                            "the root beside the leaf is not that of the leaves up to it");
}

enum error inspect_directory(struct inspector *inspector) {
    uint64_t next = 0;
    TRY(all_heads(inspector, LOG_DIRECTORY));
    TRY(inspector_each(inspector, "leaf", "SELECT idx, bytes, root FROM leaf ORDER BY idx", &next, one_leaf));
    inspector_at(inspector, "leaf", -1);
    return audit_done(inspector->audit, LOG_DIRECTORY, true);
}

/* ---- tiles: compared with what the receipts say, level by level ---- */

struct level {
    struct buf hashes; /* of the tile that is filling */
    uint64_t full;     /* tiles filled before it */
};
struct growing {
    uint64_t next;
    struct level levels[TILE_LEVELS_MAX];
    struct cursor *tile;
    uint64_t tiles; /* seen */
};

static enum error check_tile(struct inspector *inspector, struct growing *leaves, unsigned level) {
    struct level *at = &leaves->levels[level];
    int64_t key[2] = {(int64_t)level, (int64_t)at->full};
    bool row = false;
    inspector_at(inspector, "tile", (int64_t)at->full);
    snprintf(inspector->what, sizeof inspector->what, "level %u", level);
    TRY(rows_again(leaves->tile, key, 2));
    enum error error = rows_next(leaves->tile, &row);
    if (error == E_CORRUPT) return inspector_tell(inspector, "unreadable", E_CORRUPT, "this tile cannot be read");
    TRY(error);
    if (!row) return inspector_tell(inspector, "missing", E_GAP, "a tile of the evidence log is missing");
    leaves->tiles++;
    return inspector_expect(inspector, rows_is(leaves->tile, 0, buf_bytes(&at->hashes)), "mismatch", E_BAD_PROOF,
                            "a tile of the evidence log is not what the receipts say");
}

static enum error add_to_level(struct inspector *inspector, struct growing *leaves, unsigned level,
                               const uint8_t hash[static HASH_SIZE]) {
    struct level *at = &leaves->levels[level];
    uint8_t root[HASH_SIZE];
    buf_add(&at->hashes, hash, HASH_SIZE);
    TRY(buf_error(&at->hashes));
    if (at->hashes.n < TILE_HASHES * HASH_SIZE) return E_OK;
    TRY(check_tile(inspector, leaves, level));
    merkle_root(at->hashes.p, TILE_HASHES, root);
    buf_clear(&at->hashes);
    at->full++;
    return level + 1 < TILE_LEVELS_MAX ? add_to_level(inspector, leaves, level + 1, root) : E_OK;
}

/* ---- the evidence log ---- */

/* The receipt's entry as a leaf; a receipt that cannot be read gives none. */
static bool leaf_of(struct bytes bytes, uint8_t ret[static HASH_SIZE]) {
    struct receipt receipt;
    struct record record;
    struct bytes payload;
    if (receipt_decode(bytes, &receipt) != E_OK || stamp_peek(receipt.record, &payload) != E_OK) return false;
    if (record_decode(payload, &record) != E_OK || !record.has_entry) return false;
    entry_hash(record.entry, ret);
    return true;
}

static enum error one_entry(struct inspector *inspector, struct cursor *cursor, void *context) {
    struct growing *leaves = context;
    uint64_t index = (uint64_t)rows_int(cursor, 1);
    uint8_t hash[HASH_SIZE] = {0};
    struct bytes bytes = rows_bytes(cursor, 2);
    inspector_at(inspector, "receipt", rows_int(cursor, 0));
    for (; leaves->next < index; leaves->next++) TRY(audit_gap(inspector->audit, LOG_EVIDENCE, leaves->next));
    leaves->next = index + 1;
    inspector->numbers->entries++;
    if (!leaf_of(bytes, hash)) TRY(audit_gap(inspector->audit, LOG_EVIDENCE, index));
    TRY(audit_entry(inspector->audit, hash, bytes));
    return add_to_level(inspector, leaves, 0, hash);
}

static enum error count_tiles(struct inspector *inspector, struct cursor *cursor, void *context) {
    const struct growing *leaves = context;
    return inspector_expect(inspector, (uint64_t)rows_int(cursor, 0) == leaves->tiles, "left-over", E_MISMATCH,
                            "there are more tiles than the log has");
}

static enum error check_evidence(struct inspector *inspector, struct growing *leaves) {
    TRY(all_heads(inspector, LOG_EVIDENCE));
    TRY(inspector_each(inspector, "receipt", "SELECT id, idx, bytes FROM receipt WHERE idx IS NOT NULL ORDER BY idx",
                       leaves, one_entry));
    inspector_at(inspector, "receipt", -1);
    TRY(audit_done(inspector->audit, LOG_EVIDENCE, true));
    for (unsigned level = 0; level < TILE_LEVELS_MAX; level++)
        if (leaves->levels[level].hashes.n > 0) TRY(check_tile(inspector, leaves, level));
    return inspector_each(inspector, "tile", "SELECT count(*) FROM tile", leaves, count_tiles);
}

enum error inspect_evidence(struct inspector *inspector) {
    struct growing leaves = {0};
    int64_t zeros[2] = {0};
    enum error error = rows_select(inspector->rows, "SELECT hashes FROM tile WHERE log = 2 AND level = ? AND idx = ?",
                                   zeros, 2, &leaves.tile);
    if (error == E_OK) error = check_evidence(inspector, &leaves);
    rows_end(leaves.tile);
    for (unsigned level = 0; level < TILE_LEVELS_MAX; level++) buf_free(&leaves.levels[level].hashes);
    if (error != E_CORRUPT) return error;
    inspector_at(inspector, "tile", -1);
    return inspector_tell(inspector, "unreadable", E_CORRUPT, "the tiles of the evidence log cannot be read");
}
