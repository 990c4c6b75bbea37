/* test_merkle.c - RFC 6962 trees against Certificate Transparency's reference tree and published proofs, good and bad. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "merkle.h"
#include "vectors.h"

static void hex_list(const json_t *list, struct buf *out) {
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one) vectors_hex(one, out);
}

/* False when an item is not a hash: our paths are lists of hashes by their type, so such a one cannot even be asked. */
static bool base64_list(const json_t *list, struct buf *out) {
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one) {
        size_t before = out->n;
        vectors_base64(one, out);
        if (out->n - before != HASH_SIZE) return false;
    }
    return true;
}

static void leaves_and_nodes_hash_as_published(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("merkle/rfc6962_reference_tree.json");
    AUTO_BUF want = {0}, inputs = {0};
    hex_list(json_object_get(file, "leaf_hashes_hex"), &want);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(file, "leaf_inputs_hex"), i, one) {
        uint8_t got[HASH_SIZE];
        buf_clear(&inputs);
        vectors_hex(one, &inputs);
        merkle_leaf(buf_bytes(&inputs), got);
        assert_memory_equal(got, want.p + i * HASH_SIZE, HASH_SIZE);
    }
    assert_int_equal(i, 8);
    const json_t *examples = json_object_get(file, "hash_examples");
    buf_clear(&want);
    json_array_foreach(examples, i, one) vectors_hex(json_object_get(one, "hex"), &want);
    uint8_t got[HASH_SIZE];
    merkle_root(NULL, 0, got);
    assert_memory_equal(got, want.p, HASH_SIZE);
    merkle_leaf((struct bytes){0}, got);
    assert_memory_equal(got, want.p + HASH_SIZE, HASH_SIZE);
    merkle_leaf(bytes_text("L123456"), got);
    assert_memory_equal(got, want.p + 2 * HASH_SIZE, HASH_SIZE);
}

static void roots_of_every_size_are_as_published(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("merkle/rfc6962_reference_tree.json");
    AUTO_BUF leaves = {0}, roots = {0};
    hex_list(json_object_get(file, "leaf_hashes_hex"), &leaves);
    hex_list(json_object_get(file, "root_hashes_hex_by_size_0_to_8"), &roots);
    struct merkle_frontier frontier = {0};
    for (size_t n = 0; n <= 8; n++) {
        uint8_t got[HASH_SIZE];
        merkle_root(leaves.p, n, got);
        assert_memory_equal(got, roots.p + n * HASH_SIZE, HASH_SIZE);
        merkle_frontier_root(&frontier, got);
        assert_memory_equal(got, roots.p + n * HASH_SIZE, HASH_SIZE);
        if (n < 8) merkle_frontier_add(&frontier, leaves.p + n * HASH_SIZE);
    }
}

static void proofs_are_made_as_published_and_verify(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("merkle/rfc6962_reference_tree.json");
    AUTO_BUF leaves = {0}, roots = {0};
    hex_list(json_object_get(file, "leaf_hashes_hex"), &leaves);
    hex_list(json_object_get(file, "root_hashes_hex_by_size_0_to_8"), &roots);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(file, "inclusion_proofs_derived"), i, one) {
        AUTO_BUF want = {0}, got = {0};
        size_t index = vectors_uint(one, "leafIdx"), size = vectors_uint(one, "treeSize");
        hex_list(json_object_get(one, "proof_hex"), &want);
        merkle_path(leaves.p, size, index, &got);
        assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
        assert_int_equal(merkle_verify_inclusion(leaves.p + index * HASH_SIZE, index, size, buf_bytes(&got),
                                                 bytes_of(roots.p + size * HASH_SIZE, HASH_SIZE)),
                         E_OK);
    }
    assert_int_equal(i, 36);
    json_array_foreach(json_object_get(file, "consistency_proofs_derived"), i, one) {
        AUTO_BUF want = {0}, got = {0};
        size_t old = vectors_uint(one, "size1"), size = vectors_uint(one, "size2");
        hex_list(json_object_get(one, "proof_hex"), &want);
        merkle_consistency_path(leaves.p, size, old, &got);
        assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
        assert_int_equal(merkle_verify_consistency(old, bytes_of(roots.p + old * HASH_SIZE, HASH_SIZE), size,
                                                   bytes_of(roots.p + size * HASH_SIZE, HASH_SIZE), buf_bytes(&got)),
                         E_OK);
    }
    assert_int_equal(i, 36);
}

static void every_published_inclusion_case_is_judged_as_its_file_says(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("merkle/transparency-dev_inclusion.json");
    const char *name;
    json_t *one;
    size_t good = 0, bad = 0;
    json_object_foreach(file, name, one) {
        AUTO_BUF leaf = {0}, root = {0}, path = {0};
        vectors_base64(json_object_get(one, "leafHash"), &leaf);
        vectors_base64(json_object_get(one, "root"), &root);
        bool hashes = base64_list(json_object_get(one, "proof"), &path) && leaf.n == HASH_SIZE;
        enum error error = E_BAD_PROOF;
        if (hashes)
            error = merkle_verify_inclusion(leaf.p, vectors_uint(one, "leafIdx"), vectors_uint(one, "treeSize"),
                                            buf_bytes(&path), buf_bytes(&root));
        if ((error != E_OK) != vectors_bool(one, "wantErr")) fail_msg("%s", name);
        if (error == E_OK)
            good++;
        else
            bad++;
    }
    assert_int_equal(good, 2);
    assert_int_equal(bad, 57);
}

/* Sizes of zero: the library that the vectors are from lets an empty tree prove its own emptiness. Here size 0 proves
 * nothing, as the two have no leaf in common; no vector of the file asks for more than the equal roots. */
static void every_published_consistency_case_is_judged_as_its_file_says(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("merkle/transparency-dev_consistency.json");
    const char *name;
    json_t *one;
    size_t good = 0, bad = 0;
    json_object_foreach(file, name, one) {
        AUTO_BUF old_root = {0}, new_root = {0}, path = {0};
        vectors_base64(json_object_get(one, "root1"), &old_root);
        vectors_base64(json_object_get(one, "root2"), &new_root);
        enum error error = E_BAD_PROOF;
        if (base64_list(json_object_get(one, "proof"), &path))
            error = merkle_verify_consistency(vectors_uint(one, "size1"), buf_bytes(&old_root),
                                              vectors_uint(one, "size2"), buf_bytes(&new_root), buf_bytes(&path));
        if ((error != E_OK) != vectors_bool(one, "wantErr")) fail_msg("%s", name);
        if (error == E_OK)
            good++;
        else
            bad++;
    }
    assert_int_equal(good, 4);
    assert_int_equal(bad, 55);
}

enum { MANY = 70 };

static void some_leaves(uint8_t *hashes) {
    for (size_t i = 0; i < MANY; i++) merkle_leaf(bytes_of(&i, sizeof i), hashes + i * HASH_SIZE);
}

static void every_path_of_every_small_tree_verifies_at_its_place_only(void **state) {
    (void)state;
    uint8_t hashes[MANY * HASH_SIZE];
    some_leaves(hashes);
    for (size_t n = 1; n <= MANY; n++) {
        uint8_t root[HASH_SIZE];
        merkle_root(hashes, n, root);
        for (size_t i = 0; i < n; i++) {
            AUTO_BUF path = {0};
            const uint8_t *leaf = hashes + i * HASH_SIZE;
            merkle_path(hashes, n, i, &path);
            for (size_t at = 0; at < n + 2; at++) {
                enum error error = merkle_verify_inclusion(leaf, at, n, buf_bytes(&path), bytes_of(root, HASH_SIZE));
                assert_int_equal(error, at == i ? E_OK : E_BAD_PROOF);
            }
            buf_add(&path, root, HASH_SIZE);
            assert_int_not_equal(merkle_verify_inclusion(leaf, i, n, buf_bytes(&path), bytes_of(root, HASH_SIZE)),
                                 E_OK);
        }
    }
}

static void levels_give_the_same_root_and_paths(void **state) {
    (void)state;
    uint8_t hashes[MANY * HASH_SIZE];
    some_leaves(hashes);
    for (size_t n = 1; n <= MANY; n++) {
        size_t count = merkle_levels_count(n);
        uint8_t *levels = malloc(count * HASH_SIZE), root[HASH_SIZE], path[MERKLE_DEPTH_MAX * HASH_SIZE];
        memcpy(levels, hashes, n * HASH_SIZE);
        merkle_levels(levels, n);
        merkle_root(hashes, n, root);
        assert_memory_equal(levels + (count - 1) * HASH_SIZE, root, HASH_SIZE);
        for (size_t i = 0; i < n; i++) {
            AUTO_BUF want = {0};
            merkle_path(hashes, n, i, &want);
            size_t length = merkle_levels_path(levels, n, i, path);
            assert_true(bytes_equal(bytes_of(path, length * HASH_SIZE), buf_bytes(&want)));
        }
        free(levels);
    }
}

static void every_consistency_path_verifies_and_no_other_size_does(void **state) {
    (void)state;
    uint8_t hashes[MANY * HASH_SIZE], roots[(MANY + 1) * HASH_SIZE];
    some_leaves(hashes);
    for (size_t n = 0; n <= MANY; n++) merkle_root(hashes, n, roots + n * HASH_SIZE);
    for (size_t n = 1; n <= MANY; n++) {
        struct bytes new_root = bytes_of(roots + n * HASH_SIZE, HASH_SIZE);
        for (size_t old = 1; old <= n; old++) {
            AUTO_BUF path = {0};
            merkle_consistency_path(hashes, n, old, &path);
            for (size_t claim = 0; claim <= n; claim++) {
                struct bytes old_root = bytes_of(roots + claim * HASH_SIZE, HASH_SIZE);
                enum error error = merkle_verify_consistency(claim, old_root, n, new_root, buf_bytes(&path));
                assert_int_equal(error, claim == old ? E_OK : E_BAD_PROOF);
            }
        }
    }
}

static void a_growing_tree_gives_the_roots_and_paths_of_every_size_that_it_had(void **state) {
    (void)state;
    enum { COUNT = 70 };
    static uint8_t hashes[COUNT * HASH_SIZE];
    struct merkle_tree tree = {0};
    for (size_t n = 1; n <= COUNT; n++) {
        uint8_t root[HASH_SIZE], expected[HASH_SIZE];
        merkle_leaf(bytes_of(&n, sizeof n), hashes + (n - 1) * HASH_SIZE);
        assert_int_equal(merkle_tree_add(&tree, hashes + (n - 1) * HASH_SIZE), E_OK);
        assert_int_equal(merkle_tree_size(&tree), n);
        for (size_t size = 1; size <= n; size++) {
            merkle_root(hashes, size, expected);
            merkle_tree_root(&tree, size, root);
            assert_memory_equal(root, expected, HASH_SIZE);
        }
    }
    for (size_t size = 1; size <= COUNT; size++) {
        for (size_t old = 1; old <= size; old++) {
            AUTO_BUF path = {0}, expected = {0};
            merkle_consistency_path(hashes, size, old, &expected);
            merkle_tree_consistency_path(&tree, old, size, &path);
            assert_int_equal(path.n, expected.n);
            if (path.n) assert_memory_equal(path.p, expected.p, path.n);
        }
    }
    merkle_tree_free(&tree);
    assert_int_equal(merkle_tree_size(&tree), 0);
}

static void assert_same(const struct buf *got, const struct buf *expected) {
    assert_int_equal(buf_error(got), E_OK);
    assert_int_equal(got->n, expected->n);
    if (got->n) assert_memory_equal(got->p, expected->p, got->n);
}

static void a_source_of_subtrees_gives_every_root_path_and_frontier(void **state) {
    (void)state;
    enum { COUNT = 70 };
    uint8_t hashes[COUNT * HASH_SIZE], root[HASH_SIZE], expected[HASH_SIZE];
    struct merkle_tree tree = {0};
    struct merkle_source source = merkle_tree_source(&tree);
    struct merkle_frontier whole = {0}, got;
    for (size_t i = 0; i < COUNT; i++) {
        merkle_leaf(bytes_of(&i, sizeof i), hashes + i * HASH_SIZE);
        assert_int_equal(merkle_tree_add(&tree, hashes + i * HASH_SIZE), E_OK);
    }
    for (size_t size = 1; size <= COUNT; size++) {
        merkle_root(hashes, size, expected);
        assert_int_equal(merkle_source_root(&source, size, root), E_OK);
        assert_memory_equal(root, expected, HASH_SIZE);
        merkle_frontier_add(&whole, hashes + (size - 1) * HASH_SIZE);
        assert_int_equal(merkle_source_frontier(&source, size, &got), E_OK);
        assert_int_equal(got.size, size);
        merkle_frontier_root(&got, root);
        assert_memory_equal(root, expected, HASH_SIZE);
        for (size_t i = 0; i < size; i++) {
            AUTO_BUF path = {0}, right = {0}, steps = {0}, right_steps = {0};
            merkle_path(hashes, size, i, &right);
            assert_int_equal(merkle_source_path(&source, i, size, &path), E_OK);
            assert_same(&path, &right);
            merkle_consistency_path(hashes, size, i + 1, &right_steps);
            assert_int_equal(merkle_source_consistency_path(&source, i + 1, size, &steps), E_OK);
            assert_same(&steps, &right_steps);
        }
    }
    merkle_tree_free(&tree);
}

static void a_tree_that_begins_with_a_frontier_gives_the_paths_of_what_was_added(void **state) {
    (void)state;
    enum { COUNT = 70 };
    uint8_t hashes[COUNT * HASH_SIZE], root[HASH_SIZE], expected[HASH_SIZE];
    struct merkle_frontier frontier = {0};
    for (size_t i = 0; i < COUNT; i++) merkle_leaf(bytes_of(&i, sizeof i), hashes + i * HASH_SIZE);
    for (size_t old = 0; old < COUNT; old++) {
        struct merkle_tree tree = {0};
        struct merkle_source source = merkle_tree_source(&tree);
        assert_int_equal(merkle_tree_begin(&tree, &frontier), E_OK);
        assert_int_equal(merkle_tree_size(&tree), old);
        for (size_t size = old + 1; size <= COUNT; size++) {
            assert_int_equal(merkle_tree_add(&tree, hashes + (size - 1) * HASH_SIZE), E_OK);
            assert_int_equal(merkle_tree_size(&tree), size);
            struct merkle_frontier now;
            merkle_root(hashes, size, expected);
            assert_int_equal(merkle_source_frontier(&source, size, &now), E_OK);
            merkle_frontier_root(&now, root);
            assert_memory_equal(root, expected, HASH_SIZE);
            for (size_t i = old; i < size; i++) {
                AUTO_BUF path = {0}, right = {0};
                merkle_path(hashes, size, i, &right);
                assert_int_equal(merkle_source_path(&source, i, size, &path), E_OK);
                assert_same(&path, &right);
            }
        }
        merkle_frontier_add(&frontier, hashes + old * HASH_SIZE);
        merkle_tree_free(&tree);
    }
}

/* Which subtree is missing is the source's to say; what was asked for then is not given. */
static enum error no_node(const void *context, unsigned level, uint64_t index, uint8_t *ret) {
    const uint64_t *missing = context;
    memset(ret, 1, HASH_SIZE);
    return missing[0] == level && missing[1] == index ? E_CORRUPT : E_OK;
}

static void a_source_that_fails_is_named_and_nothing_is_made_up(void **state) {
    (void)state;
    enum { SIZE = 13 }; /* complete: 8 leaves, 4, 1 */
    static const uint64_t of_root[][2] = {{3, 0}, {2, 2}, {0, 12}}, of_path[][2] = {{0, 5}, {1, 3}, {2, 0}, {2, 2}};
    uint8_t root[HASH_SIZE] = {9}, before[HASH_SIZE] = {9};
    for (size_t i = 0; i < LENGTH(of_root); i++) {
        struct merkle_frontier frontier;
        struct merkle_source source = {of_root[i], no_node};
        assert_int_equal(merkle_source_root(&source, SIZE, root), E_CORRUPT);
        assert_memory_equal(root, before, HASH_SIZE);
        assert_int_equal(merkle_source_frontier(&source, SIZE, &frontier), E_CORRUPT);
    }
    for (size_t i = 0; i < LENGTH(of_path); i++) {
        AUTO_BUF path = {0};
        struct merkle_source source = {of_path[i], no_node};
        assert_int_equal(merkle_source_path(&source, 4, SIZE, &path), E_CORRUPT);
    }
    const uint64_t unasked[] = {1, 1};
    AUTO_BUF path = {0};
    struct merkle_source source = {unasked, no_node};
    assert_int_equal(merkle_source_consistency_path(&source, 8, SIZE, &path), E_OK);
}

static void a_rewritten_tree_is_not_consistent(void **state) {
    (void)state;
    uint8_t hashes[MANY * HASH_SIZE], old_root[HASH_SIZE], new_root[HASH_SIZE];
    some_leaves(hashes);
    for (size_t old = 1; old < MANY; old++) {
        AUTO_BUF path = {0};
        merkle_root(hashes, old, old_root);
        hashes[0] ^= 1;
        merkle_root(hashes, MANY, new_root);
        merkle_consistency_path(hashes, MANY, old, &path);
        hashes[0] ^= 1;
        assert_int_equal(merkle_verify_consistency(old, bytes_of(old_root, HASH_SIZE), MANY,
                                                   bytes_of(new_root, HASH_SIZE), buf_bytes(&path)),
                         E_BAD_PROOF);
    }
}

static void an_empty_tree_proves_nothing(void **state) {
    (void)state;
    uint8_t empty[HASH_SIZE], root[HASH_SIZE];
    merkle_root(NULL, 0, empty);
    merkle_leaf(bytes_text("first"), root);
    struct bytes nothing = {0}, none = bytes_of(empty, HASH_SIZE), one = bytes_of(root, HASH_SIZE);
    assert_int_equal(merkle_verify_consistency(0, none, 0, none, nothing), E_BAD_PROOF);
    assert_int_equal(merkle_verify_consistency(0, none, 1, one, nothing), E_BAD_PROOF);
    assert_int_equal(merkle_verify_consistency(0, one, 1, one, one), E_BAD_PROOF);
    assert_int_equal(merkle_verify_inclusion(root, 0, 0, nothing, none), E_BAD_PROOF);
    assert_int_equal(merkle_verify_consistency(1, one, 1, one, nothing), E_OK);
}

static void a_path_of_broken_length_is_refused(void **state) {
    (void)state;
    uint8_t hashes[MANY * HASH_SIZE], root[HASH_SIZE];
    some_leaves(hashes);
    AUTO_BUF path = {0};
    merkle_root(hashes, 8, root);
    merkle_path(hashes, 8, 3, &path);
    struct bytes want = bytes_of(root, HASH_SIZE);
    for (size_t n = 0; n < path.n; n++)
        assert_int_equal(merkle_verify_inclusion(hashes + 3 * HASH_SIZE, 3, 8, bytes_of(path.p, n), want), E_BAD_PROOF);
    want.n--;
    assert_int_equal(merkle_verify_inclusion(hashes + 3 * HASH_SIZE, 3, 8, buf_bytes(&path), want), E_BAD_PROOF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_and_nodes_hash_as_published),
        cmocka_unit_test(roots_of_every_size_are_as_published),
        cmocka_unit_test(proofs_are_made_as_published_and_verify),
        cmocka_unit_test(every_published_inclusion_case_is_judged_as_its_file_says),
        cmocka_unit_test(every_published_consistency_case_is_judged_as_its_file_says),
        cmocka_unit_test(every_path_of_every_small_tree_verifies_at_its_place_only),
        cmocka_unit_test(levels_give_the_same_root_and_paths),
        cmocka_unit_test(every_consistency_path_verifies_and_no_other_size_does),
        cmocka_unit_test(a_growing_tree_gives_the_roots_and_paths_of_every_size_that_it_had),
        cmocka_unit_test(a_source_of_subtrees_gives_every_root_path_and_frontier),
        cmocka_unit_test(a_tree_that_begins_with_a_frontier_gives_the_paths_of_what_was_added),
        cmocka_unit_test(a_source_that_fails_is_named_and_nothing_is_made_up),
        cmocka_unit_test(a_rewritten_tree_is_not_consistent),
        cmocka_unit_test(an_empty_tree_proves_nothing),
        cmocka_unit_test(a_path_of_broken_length_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
