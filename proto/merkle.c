/* merkle.c - RFC 6962 trees. Roots come from the frontier (one pass, no memory); paths from the definitions of RFC 9162
 * sections 2.1.3.1 and 2.1.4.1, or from all levels at once where many are wanted. */
#include "merkle.h"

#include <assert.h>
#include <sodium.h>

static void hash(uint8_t prefix, struct bytes a, struct bytes b, uint8_t ret[static HASH_SIZE]) {
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &prefix, 1);
    if (a.n) crypto_hash_sha256_update(&state, a.p, a.n);
    if (b.n) crypto_hash_sha256_update(&state, b.p, b.n);
    crypto_hash_sha256_final(&state, ret);
}

void merkle_leaf(struct bytes leaf, uint8_t ret[static HASH_SIZE]) { hash(0x00, leaf, (struct bytes){0}, ret); }

void merkle_node(const uint8_t left[static HASH_SIZE], const uint8_t right[static HASH_SIZE],
                 uint8_t ret[static HASH_SIZE]) {
    hash(0x01, bytes_of(left, HASH_SIZE), bytes_of(right, HASH_SIZE), ret);
}

void merkle_frontier_add(struct merkle_frontier *frontier, const uint8_t leaf_hash[static HASH_SIZE]) {
    uint8_t carry[HASH_SIZE];
    memcpy(carry, leaf_hash, HASH_SIZE);
    unsigned level = 0;
    for (; frontier->size >> level & 1; level++) merkle_node(frontier->nodes[level], carry, carry);
    assert(level < MERKLE_DEPTH_MAX && frontier->size < UINT64_MAX);
    memcpy(frontier->nodes[level], carry, HASH_SIZE);
    frontier->size++;
}

void merkle_frontier_root(const struct merkle_frontier *frontier, uint8_t ret[static HASH_SIZE]) {
    uint8_t root[HASH_SIZE];
    bool begun = false;
    for (unsigned level = 0; level < MERKLE_DEPTH_MAX; level++) {
        if (!(frontier->size >> level & 1)) continue;
        if (begun)
            merkle_node(frontier->nodes[level], root, root);
        else
            memcpy(root, frontier->nodes[level], HASH_SIZE);
        begun = true;
    }
    if (!begun) crypto_hash_sha256(root, NULL, 0);
    memcpy(ret, root, HASH_SIZE);
}

void merkle_root(const uint8_t *hashes, size_t count, uint8_t ret[static HASH_SIZE]) {
    struct merkle_frontier frontier;
    frontier.size = 0;
    for (size_t i = 0; i < count; i++) merkle_frontier_add(&frontier, hashes + i * HASH_SIZE);
    merkle_frontier_root(&frontier, ret);
}

/* The largest power of two smaller than count, for count > 1. */
static size_t split(size_t count) {
    size_t k = 1;
    while (k < count - k) k *= 2;
    return k;
}

static void add_root(const uint8_t *hashes, size_t count, struct buf *out) {
    uint8_t root[HASH_SIZE];
    merkle_root(hashes, count, root);
    buf_add(out, root, sizeof root);
}

/* PATH(m, D_n) of RFC 9162 section 2.1.3.1. */
void merkle_path(const uint8_t *hashes, size_t count, size_t index, struct buf *out) {
    assert(index < count);
    if (count == 1) return;
    size_t k = split(count);
    const uint8_t *right = hashes + k * HASH_SIZE;
    if (index < k) {
        merkle_path(hashes, k, index, out);
        add_root(right, count - k, out);
    } else {
        merkle_path(right, count - k, index - k, out);
        add_root(hashes, k, out);
    }
}

/* SUBPROOF(m, D_n, b) of RFC 9162 section 2.1.4.1; `whole`: the old tree is this very subtree's beginning and its root is
 * known to the verifier. */
static void subproof(const uint8_t *hashes, size_t count, size_t old, bool whole, struct buf *out) {
    if (old == count) {
        if (!whole) add_root(hashes, count, out);
        return;
    }
    size_t k = split(count);
    const uint8_t *right = hashes + k * HASH_SIZE;
    if (old <= k) {
        subproof(hashes, k, old, whole, out);
        add_root(right, count - k, out);
    } else {
        subproof(right, count - k, old - k, false, out);
        add_root(hashes, k, out);
    }
}

void merkle_consistency_path(const uint8_t *hashes, size_t count, size_t old, struct buf *out) {
    assert(old > 0 && old <= count);
    subproof(hashes, count, old, true, out);
}

size_t merkle_levels_count(size_t count) {
    size_t sum = count;
    for (; count > 1; sum += count) count = count / 2 + count % 2;
    return sum;
}

/* A last node without a sibling rises unchanged, which is the tree of RFC 9162 section 2.1.1 seen from below. */
void merkle_levels(uint8_t *levels, size_t count) {
    while (count > 1) {
        uint8_t *above = levels + count * HASH_SIZE;
        for (size_t i = 0; i + 1 < count; i += 2)
            merkle_node(levels + i * HASH_SIZE, levels + (i + 1) * HASH_SIZE, above + i / 2 * HASH_SIZE);
        if (count % 2) memcpy(above + count / 2 * HASH_SIZE, levels + (count - 1) * HASH_SIZE, HASH_SIZE);
        levels = above;
        count = count / 2 + count % 2;
    }
}

size_t merkle_levels_path(const uint8_t *levels, size_t count, size_t index,
                          uint8_t ret[static MERKLE_DEPTH_MAX * HASH_SIZE]) {
    assert(index < count);
    size_t n = 0;
    while (count > 1) {
        size_t sibling = index ^ 1;
        if (sibling < count) memcpy(ret + n++ * HASH_SIZE, levels + sibling * HASH_SIZE, HASH_SIZE);
        levels += count * HASH_SIZE;
        index /= 2;
        count = count / 2 + count % 2;
    }
    return n;
}

/* ---- over complete subtrees ---- */

/* Of `count` leaves from `start` on, as the recursion of RFC 9162 section 2.1.1 cuts them: where count is a power of two, start
 * is a multiple of it, and the subtree is complete. */
static enum error part(const struct merkle_source *source, uint64_t start, uint64_t count,
                       uint8_t ret[static HASH_SIZE]) {
    uint8_t left[HASH_SIZE], right[HASH_SIZE];
    if ((count & (count - 1)) == 0) {
        unsigned level = (unsigned)__builtin_ctzll(count);
        return source->node(source->context, level, start >> level, ret);
    }
    uint64_t k = split(count);
    TRY(part(source, start, k, left));
    TRY(part(source, start + k, count - k, right));
    merkle_node(left, right, ret);
    return E_OK;
}

enum error merkle_source_root(const struct merkle_source *source, uint64_t size, uint8_t ret[static HASH_SIZE]) {
    assert(size > 0);
    return part(source, 0, size, ret);
}

static enum error add_part(const struct merkle_source *source, uint64_t start, uint64_t count, struct buf *out) {
    uint8_t root[HASH_SIZE];
    TRY(part(source, start, count, root));
    buf_add(out, root, sizeof root);
    return buf_error(out);
}

/* As merkle_path. */
static enum error subpath(const struct merkle_source *source, uint64_t start, uint64_t count, uint64_t index,
                          struct buf *out) {
    if (count == 1) return E_OK;
    uint64_t k = split(count);
    bool left = index < k;
    TRY(left ? subpath(source, start, k, index, out) : subpath(source, start + k, count - k, index - k, out));
    return left ? add_part(source, start + k, count - k, out) : add_part(source, start, k, out);
}

enum error merkle_source_path(const struct merkle_source *source, uint64_t index, uint64_t size, struct buf *out) {
    assert(index < size);
    return subpath(source, 0, size, index, out);
}

/* As subproof. */
static enum error source_subproof(const struct merkle_source *source, uint64_t start, uint64_t count, uint64_t old,
                                  bool whole, struct buf *out) {
    if (old == count) return whole ? E_OK : add_part(source, start, count, out);
    uint64_t k = split(count);
    bool left = old <= k;
    TRY(left ? source_subproof(source, start, k, old, whole, out)
             : source_subproof(source, start + k, count - k, old - k, false, out));
    return left ? add_part(source, start + k, count - k, out) : add_part(source, start, k, out);
}

enum error merkle_source_consistency_path(const struct merkle_source *source, uint64_t old, uint64_t size,
                                          struct buf *out) {
    assert(old > 0 && old <= size);
    return source_subproof(source, 0, size, old, true, out);
}

enum error merkle_source_frontier(const struct merkle_source *source, uint64_t size, struct merkle_frontier *ret) {
    struct merkle_frontier frontier = {.size = size};
    for (unsigned level = 0; level < MERKLE_DEPTH_MAX; level++)
        if (size >> level & 1) TRY(source->node(source->context, level, (size >> level) - 1, frontier.nodes[level]));
    *ret = frontier;
    return E_OK;
}

/* ---- a growing tree ---- */

/* Of each level it holds the node that the frontier has, if any, and all after it: whatever joins with what is added. */
enum error merkle_tree_begin(struct merkle_tree *tree, const struct merkle_frontier *frontier) {
    for (unsigned level = 0; level < MERKLE_DEPTH_MAX; level++) {
        bool has = frontier->size >> level & 1;
        struct buf *at = &tree->levels[level];
        buf_clear(at);
        tree->first[level] = (frontier->size >> level) - has;
        if (has) buf_add(at, frontier->nodes[level], HASH_SIZE);
        TRY(buf_error(at));
    }
    return E_OK;
}

enum error merkle_tree_add(struct merkle_tree *tree, const uint8_t leaf_hash[static HASH_SIZE]) {
    uint8_t hash[HASH_SIZE];
    memcpy(hash, leaf_hash, HASH_SIZE);
    for (unsigned level = 0; level < MERKLE_DEPTH_MAX; level++) {
        struct buf *at = &tree->levels[level];
        buf_add(at, hash, HASH_SIZE);
        TRY(buf_error(at));
        if ((tree->first[level] + at->n / HASH_SIZE) % 2) return E_OK;
        merkle_node(at->p + at->n - 2 * HASH_SIZE, at->p + at->n - HASH_SIZE, hash);
    }
    return E_INTERNAL;
}

void merkle_tree_free(struct merkle_tree *tree) {
    for (unsigned level = 0; level < MERKLE_DEPTH_MAX; level++) {
        buf_free(&tree->levels[level]);
        tree->first[level] = 0;
    }
}

uint64_t merkle_tree_size(const struct merkle_tree *tree) { return tree->first[0] + tree->levels[0].n / HASH_SIZE; }

static enum error tree_node(const void *context, unsigned level, uint64_t index, uint8_t *ret) {
    const struct merkle_tree *tree = context;
    const struct buf *at = &tree->levels[level];
    if (index < tree->first[level] || index - tree->first[level] >= at->n / HASH_SIZE) return E_INTERNAL;
    memcpy(ret, at->p + (index - tree->first[level]) * HASH_SIZE, HASH_SIZE);
    return E_OK;
}

struct merkle_source merkle_tree_source(const struct merkle_tree *tree) {
    return (struct merkle_source){.context = tree, .node = tree_node};
}

/* A whole tree lacks nothing, so that its source cannot fail. */
void merkle_tree_root(const struct merkle_tree *tree, uint64_t size, uint8_t ret[static HASH_SIZE]) {
    struct merkle_source source = merkle_tree_source(tree);
    assert(size > 0 && size <= merkle_tree_size(tree));
    enum error error = merkle_source_root(&source, size, ret);
    assert(error == E_OK);
}

void merkle_tree_consistency_path(const struct merkle_tree *tree, uint64_t old, uint64_t size, struct buf *out) {
    struct merkle_source source = merkle_tree_source(tree);
    assert(old > 0 && old <= size && size <= merkle_tree_size(tree));
    enum error error = merkle_source_consistency_path(&source, old, size, out);
    assert(error == E_OK || error == E_NO_MEMORY); /* out tells of the latter */
}

/* ---- verifying ---- */

enum error merkle_root_from_path(const uint8_t leaf_hash[static HASH_SIZE], uint64_t index, uint64_t size,
                                 struct bytes path, uint8_t ret[static HASH_SIZE]) {
    if (index >= size || path.n % HASH_SIZE) return E_BAD_PROOF;
    uint64_t fn = index, sn = size - 1;
    uint8_t r[HASH_SIZE];
    memcpy(r, leaf_hash, HASH_SIZE);
    for (size_t at = 0; at < path.n; at += HASH_SIZE) {
        if (sn == 0) return E_BAD_PROOF;
        if (fn & 1 || fn == sn) {
            merkle_node(path.p + at, r, r);
            for (; !(fn & 1) && fn != 0; fn >>= 1) sn >>= 1;
        } else {
            merkle_node(r, path.p + at, r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    if (sn != 0) return E_BAD_PROOF;
    memcpy(ret, r, HASH_SIZE);
    return E_OK;
}

static bool is_root(struct bytes root, const uint8_t hash[static HASH_SIZE]) {
    return bytes_equal(root, bytes_of(hash, HASH_SIZE));
}

enum error merkle_verify_inclusion(const uint8_t leaf_hash[static HASH_SIZE], uint64_t index, uint64_t size,
                                   struct bytes path, struct bytes root) {
    uint8_t reached[HASH_SIZE];
    TRY(merkle_root_from_path(leaf_hash, index, size, path, reached));
    return is_root(root, reached) ? E_OK : E_BAD_PROOF;
}

/* The loop of RFC 9162 section 2.1.4.2, steps 3 to 6: `seed` is the hash that both roots grow from. */
static enum error grow(uint64_t old_size, uint64_t new_size, const uint8_t seed[static HASH_SIZE], struct bytes path,
                       uint8_t ret_old[static HASH_SIZE], uint8_t ret_new[static HASH_SIZE]) {
    uint64_t fn = old_size - 1, sn = new_size - 1;
    for (; fn & 1; fn >>= 1) sn >>= 1;
    memcpy(ret_old, seed, HASH_SIZE);
    memcpy(ret_new, seed, HASH_SIZE);
    for (size_t at = 0; at < path.n; at += HASH_SIZE) {
        if (sn == 0) return E_BAD_PROOF;
        if (fn & 1 || fn == sn) {
            merkle_node(path.p + at, ret_old, ret_old);
            merkle_node(path.p + at, ret_new, ret_new);
            for (; !(fn & 1) && fn != 0; fn >>= 1) sn >>= 1;
        } else {
            merkle_node(ret_new, path.p + at, ret_new);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 ? E_OK : E_BAD_PROOF;
}

enum error merkle_verify_consistency(uint64_t old_size, struct bytes old_root, uint64_t new_size, struct bytes new_root,
                                     struct bytes path) {
    if (old_root.n != HASH_SIZE || new_root.n != HASH_SIZE || path.n % HASH_SIZE) return E_BAD_PROOF;
    if (old_size == 0 || old_size > new_size) return E_BAD_PROOF;
    if (old_size == new_size) return path.n == 0 && bytes_equal(old_root, new_root) ? E_OK : E_BAD_PROOF;
    if (path.n == 0) return E_BAD_PROOF;
    /* A complete old tree is itself the first node, and not sent (step 2). */
    bool complete = (old_size & (old_size - 1)) == 0;
    const uint8_t *seed = complete ? old_root.p : path.p;
    struct bytes rest = complete ? path : bytes_of(path.p + HASH_SIZE, path.n - HASH_SIZE);
    uint8_t reached_old[HASH_SIZE], reached_new[HASH_SIZE];
    TRY(grow(old_size, new_size, seed, rest, reached_old, reached_new));
    return is_root(old_root, reached_old) && is_root(new_root, reached_new) ? E_OK : E_BAD_PROOF;
}
