/* test_tiles.c - a log's tree in rows of 256 hashes, on a real store: the same roots and paths as from all leaves at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tiles.h"

#define assert_ok(expression) assert_int_equal(expression, E_OK)

enum { MANY = 65536 + 300, SMALL = 600 };

static char folder[] = "/tmp/pouch-tiles-XXXXXX";
static char path[64];
static uint8_t leaves[MANY * HASH_SIZE];

static int fresh(void **state) {
    char command[128];
    struct store *store = NULL;
    snprintf(command, sizeof command, "rm -f %s*", path);
    assert_int_equal(system(command), 0);
    assert_ok(store_sqlite_open(path, true, &store));
    *state = store;
    return 0;
}

static int finish(void **state) {
    struct store *store = *state;
    store->ops->close(store);
    return 0;
}

/* In one transaction, as a batch does it. */
static void add(struct store *store, uint64_t from, uint64_t to) {
    AUTO_TILES tiles = {0};
    assert_ok(store->ops->begin(store));
    assert_ok(tiles_open(&tiles, store, LOG_EVIDENCE, from));
    for (uint64_t i = from; i < to; i++) assert_ok(tiles_add(&tiles, leaves + i * HASH_SIZE));
    assert_ok(tiles_flush(&tiles));
    assert_int_equal(tiles.size, to);
    assert_ok(store->ops->commit(store));
}

static void assert_root(struct store *store, uint64_t held, uint64_t size) {
    AUTO_TILES tiles = {0};
    struct merkle_frontier frontier;
    uint8_t root[HASH_SIZE], expected[HASH_SIZE];
    assert_ok(tiles_open(&tiles, store, LOG_EVIDENCE, held));
    struct merkle_source source = tiles_source(&tiles);
    merkle_root(leaves, size, expected);
    assert_ok(merkle_source_root(&source, size, root));
    assert_memory_equal(root, expected, HASH_SIZE);
    assert_ok(merkle_source_frontier(&source, size, &frontier));
    merkle_frontier_root(&frontier, root);
    assert_memory_equal(root, expected, HASH_SIZE);
}

static void assert_paths(struct store *store, uint64_t held, uint64_t size, uint64_t index) {
    AUTO_TILES tiles = {0};
    AUTO_BUF got = {0}, expected = {0}, steps = {0}, expected_steps = {0};
    assert_ok(tiles_open(&tiles, store, LOG_EVIDENCE, held));
    struct merkle_source source = tiles_source(&tiles);
    merkle_path(leaves, size, index, &expected);
    assert_ok(merkle_source_path(&source, index, size, &got));
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&expected)));
    merkle_consistency_path(leaves, size, index + 1, &expected_steps);
    assert_ok(merkle_source_consistency_path(&source, index + 1, size, &steps));
    assert_true(bytes_equal(buf_bytes(&steps), buf_bytes(&expected_steps)));
}

static void a_log_that_grows_one_by_one_has_the_root_of_every_size(void **state) {
    struct store *store = *state;
    for (uint64_t n = 0; n < SMALL; n++) {
        add(store, n, n + 1);
        assert_root(store, n + 1, n + 1);
    }
    for (uint64_t size = 1; size <= SMALL; size += 7) assert_root(store, SMALL, size); /* older sizes too */
}

static void a_log_that_grows_by_batches_of_any_size_is_the_same_log(void **state) {
    struct store *store = *state;
    static const uint64_t batches[] = {1, 254, 1, 1, 255, 256, 257, 3, 511, 512, 513, 70};
    uint64_t size = 0;
    for (size_t i = 0; i < LENGTH(batches); i++) {
        add(store, size, size + batches[i]);
        size += batches[i];
        assert_root(store, size, size);
        for (uint64_t index = 0; index < size; index += 61) assert_paths(store, size, size, index);
        assert_paths(store, size, size, size - 1);
    }
}

static void a_log_of_three_levels_gives_paths_across_all_of_them(void **state) {
    struct store *store = *state;
    static const uint64_t sizes[] = {65535, 65536, 65537, MANY}, indexes[] = {0, 255, 256, 511, 65279, 65280, 65534};
    uint64_t from = 0;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        add(store, from, sizes[i]);
        from = sizes[i];
        assert_root(store, from, from);
        for (size_t k = 0; k < LENGTH(indexes); k++) assert_paths(store, from, from, indexes[k]);
        assert_paths(store, from, from, from - 1);
    }
    AUTO_BUF top = {0};
    assert_ok(store->ops->tile_get(store, LOG_EVIDENCE, 2, 0, &top));
    assert_int_equal(top.n, HASH_SIZE);
    uint8_t root[HASH_SIZE];
    merkle_root(leaves, 65536, root);
    assert_memory_equal(top.p, root, HASH_SIZE);
}

static void a_tile_that_is_missing_or_of_another_length_is_named(void **state) {
    struct store *store = *state;
    static const struct {
        unsigned level;
        uint64_t index;
        size_t hashes;
        const char *name;
    } rows[] = {{0, 2, 7, "level 0, tile 2"},
                {0, 2, 9, "level 0, tile 2"},
                {1, 0, 1, "level 1, tile 0"},
                {1, 0, 0, "level 1, tile 0"}};
    add(store, 0, 520);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        AUTO_TILES tiles = {0};
        AUTO_BUF right = {0};
        char fault[TILES_FAULT_SIZE];
        struct merkle_frontier frontier;
        assert_ok(store->ops->tile_get(store, LOG_EVIDENCE, rows[i].level, rows[i].index, &right));
        assert_ok(store->ops->tile_put(store, LOG_EVIDENCE, rows[i].level, rows[i].index,
                                       bytes_of(leaves, rows[i].hashes * HASH_SIZE)));
        assert_ok(tiles_open(&tiles, store, LOG_EVIDENCE, 520));
        struct merkle_source source = tiles_source(&tiles);
        assert_int_equal(merkle_source_frontier(&source, 520, &frontier), E_CORRUPT);
        assert_true(tiles_fault(&tiles, fault));
        assert_string_equal(fault, rows[i].name);
        assert_ok(store->ops->tile_put(store, LOG_EVIDENCE, rows[i].level, rows[i].index, buf_bytes(&right)));
        assert_root(store, 520, 520);
    }
    AUTO_TILES beyond = {0};
    char fault[TILES_FAULT_SIZE];
    struct merkle_frontier frontier;
    assert_ok(tiles_open(&beyond, store, LOG_EVIDENCE, 1000)); /* a store that is older than it should be */
    struct merkle_source source = tiles_source(&beyond);
    assert_int_equal(merkle_source_frontier(&source, 1000, &frontier), E_CORRUPT);
    assert_true(tiles_fault(&beyond, fault));
    assert_string_equal(fault, "level 0, tile 3");
}

static void what_is_rolled_back_leaves_the_tiles_as_they_were(void **state) {
    struct store *store = *state;
    add(store, 0, 250);
    AUTO_TILES tiles = {0};
    assert_ok(store->ops->begin(store));
    assert_ok(tiles_open(&tiles, store, LOG_EVIDENCE, 250));
    for (uint64_t i = 0; i < 20; i++) assert_ok(tiles_add(&tiles, leaves)); /* others than those that come */
    assert_ok(tiles_flush(&tiles));
    store->ops->rollback(store);
    assert_root(store, 250, 250);
    add(store, 250, 530);
    assert_root(store, 530, 530);
}

static void the_two_logs_do_not_meet(void **state) {
    struct store *store = *state;
    AUTO_BUF none = {0}, there = {0};
    add(store, 0, 3);
    assert_int_equal(store->ops->tile_get(store, LOG_DIRECTORY, 0, 0, &none), E_UNKNOWN_REQUEST);
    assert_ok(store->ops->tile_put(store, LOG_DIRECTORY, 0, 0, bytes_text("other")));
    assert_ok(store->ops->tile_get(store, LOG_EVIDENCE, 0, 0, &there));
    assert_int_equal(there.n, 3 * HASH_SIZE);
}

static void hashes_are_read_as_they_lie(void **state) {
    struct store *store = *state;
    AUTO_TILES tiles = {0};
    AUTO_BUF first = {0}, last = {0}, none = {0};
    add(store, 0, 300);
    assert_ok(tiles_open(&tiles, store, LOG_EVIDENCE, 300));
    assert_ok(tiles_read(&tiles, 0, 0, &first));
    assert_ok(tiles_read(&tiles, 0, 1, &last));
    assert_int_equal(first.n, TILE_HASHES * HASH_SIZE);
    assert_memory_equal(first.p, leaves, first.n);
    assert_int_equal(last.n, 44 * HASH_SIZE);
    assert_memory_equal(last.p, leaves + 256 * HASH_SIZE, last.n);
    assert_int_equal(tiles_read(&tiles, 0, 2, &none), E_CORRUPT);
    assert_int_equal(tiles_count(300, 0), 300);
    assert_int_equal(tiles_count(300, 1), 1);
    assert_int_equal(tiles_count(300, 2), 0);
}

int main(void) {
    if (sodium_init() < 0 || !mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/store.sqlite", folder);
    for (uint64_t i = 0; i < MANY; i++) merkle_leaf(bytes_of(&i, sizeof i), leaves + i * HASH_SIZE);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_log_that_grows_one_by_one_has_the_root_of_every_size),
        TEST(a_log_that_grows_by_batches_of_any_size_is_the_same_log),
        TEST(a_log_of_three_levels_gives_paths_across_all_of_them),
        TEST(a_tile_that_is_missing_or_of_another_length_is_named),
        TEST(what_is_rolled_back_leaves_the_tiles_as_they_were),
        TEST(the_two_logs_do_not_meet),
        TEST(hashes_are_read_as_they_lie),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : failed;
}
