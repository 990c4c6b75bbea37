/* test_chunks.c - how ciphertext falls into chunks, at every edge, and the digests that bind them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "chunks.h"

static void a_length_that_no_part_can_have_counts_no_chunks(void **state) {
    (void)state;
    for (uint64_t n = 0; n <= TAG_SIZE; n++) assert_int_equal(chunks_count(n), 0);
    for (uint64_t n = 1; n <= TAG_SIZE; n++) assert_int_equal(chunks_count(5ull * CHUNK_SIZE + n), 0);
    assert_int_equal(chunks_count(PART_MAX + 1), 0);
    assert_int_equal(chunks_count(UINT64_MAX), 0);
}

static void edges_fall_where_they_should(void **state) {
    (void)state;
    assert_int_equal(chunks_count(TAG_SIZE + 1), 1);
    assert_int_equal(chunks_count(CHUNK_SIZE), 1);
    assert_int_equal(chunks_count(CHUNK_SIZE + TAG_SIZE + 1), 2);
    assert_int_equal(chunks_count(2ull * CHUNK_SIZE), 2);
    assert_int_equal(chunks_size(2ull * CHUNK_SIZE, 1), CHUNK_SIZE);
    assert_int_equal(chunks_size(CHUNK_SIZE + TAG_SIZE + 1, 0), CHUNK_SIZE);
    assert_int_equal(chunks_size(CHUNK_SIZE + TAG_SIZE + 1, 1), TAG_SIZE + 1);
    assert_int_equal(chunks_size(CHUNK_SIZE, 1), 0);
    assert_int_equal(chunks_size(CHUNK_SIZE, UINT64_MAX), 0);
    assert_int_equal(chunks_size(5, 0), 0);
}

static void sizes_add_up_to_the_length_and_each_has_plaintext(void **state) {
    (void)state;
    for (uint64_t length = 1; length < 4ull * CHUNK_SIZE; length += 997) {
        uint64_t count = chunks_count(length), sum = 0;
        for (uint64_t i = 0; i < count; i++) {
            size_t size = chunks_size(length, i);
            assert_true(size > TAG_SIZE && size <= CHUNK_SIZE);
            assert_true(size == CHUNK_SIZE || i + 1 == count);
            sum += size;
        }
        if (count)
            assert_int_equal(sum, length);
        else
            assert_in_range(length % CHUNK_SIZE, 1, TAG_SIZE);
    }
}

/* A chunk's number travels in 32 bits. */
static void the_largest_part_has_chunks_that_can_be_numbered(void **state) {
    (void)state;
    uint64_t largest = PART_MAX / CHUNK_SIZE * CHUNK_SIZE;
    assert_int_equal(chunks_count(largest), PART_MAX / CHUNK_SIZE);
    assert_true(chunks_count(largest) <= UINT32_MAX);
    assert_int_equal(chunks_size(largest, chunks_count(largest) - 1), CHUNK_SIZE);
}

static void digests_are_checked_for_their_number_and_value(void **state) {
    (void)state;
    uint8_t digests[3 * HASH_SIZE], digest[HASH_SIZE];
    for (uint8_t i = 0; i < 3; i++) chunk_digest(bytes_of(&i, 1), digests + i * HASH_SIZE);
    struct bytes all = bytes_of(digests, sizeof digests);
    uint64_t length = 2ull * CHUNK_SIZE + 100;
    part_digest(all, digest);
    assert_int_equal(chunks_check_digests(length, digest, all), E_OK);
    assert_int_equal(chunks_check_digests(length + CHUNK_SIZE, digest, all), E_BAD_DIGEST);
    assert_int_equal(chunks_check_digests(2ull * CHUNK_SIZE + 3, digest, all), E_BAD_DIGEST);
    assert_int_equal(chunks_check_digests(length, digest, bytes_of(digests, sizeof digests - 1)), E_BAD_DIGEST);
    assert_int_equal(chunks_check_digests(0, digest, (struct bytes){0}), E_BAD_DIGEST);
    for (size_t bit = 0; bit < 8 * sizeof digests; bit++) {
        digests[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(chunks_check_digests(length, digest, all), E_BAD_DIGEST);
        digests[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_chunks_digest_is_no_parts_digest(void **state) {
    (void)state;
    uint8_t chunk[HASH_SIZE], part[HASH_SIZE];
    chunk_digest(bytes_text("same bytes"), chunk);
    part_digest(bytes_text("same bytes"), part);
    assert_memory_not_equal(chunk, part, HASH_SIZE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_that_no_part_can_have_counts_no_chunks),
        cmocka_unit_test(edges_fall_where_they_should),
        cmocka_unit_test(sizes_add_up_to_the_length_and_each_has_plaintext),
        cmocka_unit_test(the_largest_part_has_chunks_that_can_be_numbered),
        cmocka_unit_test(digests_are_checked_for_their_number_and_value),
        cmocka_unit_test(a_chunks_digest_is_no_parts_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
