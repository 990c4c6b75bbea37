/* merkle.h - RFC 6962 / RFC 9162 section 2.1 hash trees over SHA-256.
 *
 * Hashes are 32 bytes. A path is the list of sibling hashes from the leaf upwards, concatenated. Sizes count leaves. */
#ifndef MERKLE_H
#define MERKLE_H

#include "limits.h"
#include "own.h"

enum { MERKLE_DEPTH_MAX = 64 };

void merkle_leaf(struct bytes leaf, uint8_t ret[static HASH_SIZE]); /* SHA-256(0x00 || leaf) */
void merkle_node(const uint8_t left[static HASH_SIZE], const uint8_t right[static HASH_SIZE],
                 uint8_t ret[static HASH_SIZE]); /* SHA-256(0x01 || left || right); ret may alias */

/* Root over `count` leaf hashes, concatenated. The empty tree's root is SHA-256 of nothing. */
void merkle_root(const uint8_t *hashes, size_t count, uint8_t ret[static HASH_SIZE]);

/* The inclusion path of leaf `index` in the tree of `count` leaf hashes: appends n * 32 bytes. index < count. */
void merkle_path(const uint8_t *hashes, size_t count, size_t index, struct buf *out);
/* Consistency proof from `old` to `count` leaves; 0 < old <= count. */
void merkle_consistency_path(const uint8_t *hashes, size_t count, size_t old, struct buf *out);

/* All levels of one tree, for whoever wants many of its paths: `levels` has room for merkle_levels_count hashes and holds
 * the `count` leaf hashes; filled in above them, the root last. The path of one leaf then costs no hashing; its number of
 * hashes is returned. */
size_t merkle_levels_count(size_t count);
void merkle_levels(uint8_t *levels, size_t count);
size_t merkle_levels_path(const uint8_t *levels, size_t count, size_t index,
                          uint8_t ret[static MERKLE_DEPTH_MAX * HASH_SIZE]);

/* A growing tree that keeps only its frontier: append and root in O(log n), no memory beyond this struct. */
struct merkle_frontier {
    uint64_t size;
    uint8_t nodes[MERKLE_DEPTH_MAX][HASH_SIZE]; /* nodes[i] is valid where bit i of size is set */
};
void merkle_frontier_add(struct merkle_frontier *frontier, const uint8_t leaf_hash[static HASH_SIZE]);
void merkle_frontier_root(const struct merkle_frontier *frontier, uint8_t ret[static HASH_SIZE]);

/* ---- over complete subtrees ----
 * Whoever keeps the roots of complete subtrees, in whatever place, has roots and paths of every size that the tree has had.
 * node: the root of the 2^level leaves from index * 2^level on, all of them within the tree; it may fail, and its error is the
 * function's. What is asked for lies below the size that is asked about, so an older tree needs nothing newer. */
struct merkle_source {
    const void *context;
    enum error (*node)(const void *context, unsigned level, uint64_t index, uint8_t *ret);
};
/* size > 0 */
CHECKED enum error merkle_source_root(const struct merkle_source *source, uint64_t size, uint8_t ret[static HASH_SIZE]);
/* index < size; appends */
CHECKED enum error merkle_source_path(const struct merkle_source *source, uint64_t index, uint64_t size,
                                      struct buf *out);
/* 0 < old <= size; appends */
CHECKED enum error merkle_source_consistency_path(const struct merkle_source *source, uint64_t old, uint64_t size,
                                                  struct buf *out);
/* One node a set bit of `size`. */
CHECKED enum error merkle_source_frontier(const struct merkle_source *source, uint64_t size,
                                          struct merkle_frontier *ret);

/* A growing tree that keeps the hash of every complete subtree (64 bytes a leaf), for who proves to many how it has grown:
 * roots and consistency paths of any size that it has had cost O(log^2 n). Begin with zeros, or with a frontier: then it keeps
 * what was added since, and gives the paths of those leaves alone, in any tree that has them. After a failed add or begin the
 * tree is of no more use. */
struct merkle_tree {
    struct buf levels[MERKLE_DEPTH_MAX]; /* levels[i]: roots of 2^i leaves each, */
    uint64_t first[MERKLE_DEPTH_MAX];    /* from this one on */
};
CHECKED enum error merkle_tree_begin(struct merkle_tree *tree, const struct merkle_frontier *frontier);
CHECKED enum error merkle_tree_add(struct merkle_tree *tree, const uint8_t leaf_hash[static HASH_SIZE]);
void merkle_tree_free(struct merkle_tree *tree);
uint64_t merkle_tree_size(const struct merkle_tree *tree);
/* E_INTERNAL: a subtree from before the frontier that it began with. */
struct merkle_source merkle_tree_source(const struct merkle_tree *tree);
/* Of a tree begun with zeros. 0 < size <= merkle_tree_size */
void merkle_tree_root(const struct merkle_tree *tree, uint64_t size, uint8_t ret[static HASH_SIZE]);
/* 0 < old <= size <= merkle_tree_size; of a tree begun with zeros */
void merkle_tree_consistency_path(const struct merkle_tree *tree, uint64_t old, uint64_t size, struct buf *out);

/* The root that a leaf hash at `index` of `size` leaves leads to along the path: E_BAD_PROOF when the path's length does
 * not fit (RFC 9162 section 2.1.3.2). */
CHECKED enum error merkle_root_from_path(const uint8_t leaf_hash[static HASH_SIZE], uint64_t index, uint64_t size,
                                         struct bytes path, uint8_t ret[static HASH_SIZE]);
CHECKED enum error merkle_verify_inclusion(const uint8_t leaf_hash[static HASH_SIZE], uint64_t index, uint64_t size,
                                           struct bytes path, struct bytes root);
/* RFC 9162 section 2.1.4.2, and: equal sizes need equal roots and an empty proof; size 0 proves nothing. */
CHECKED enum error merkle_verify_consistency(uint64_t old_size, struct bytes old_root, uint64_t new_size,
                                             struct bytes new_root, struct bytes path);

#endif
