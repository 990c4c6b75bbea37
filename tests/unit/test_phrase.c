/* test_phrase.c - the directory phrase of a home: over card, size and root, at every size that is mirrored. */
#include "client_fixture.h"

#include "libpouch.h"
#include "merkle.h"

static int mirrored(void **state) {
    homes_set_up(state);
    struct home *homes[] = {&sender, &recipient};
    for (size_t h = 0; h < LENGTH(homes); h++)
        for (size_t i = 0; i < world.count; i++)
            assert_ok(
                archive_set(homes[h]->archive, TABLE_LEAF, archive_key(NULL, NULL, i), buf_bytes(&world.leaves[i])));
    return 0;
}

static void two_homes_have_the_same_digits_at_every_size(void **state) {
    (void)state;
    uint8_t hashes[128 * HASH_SIZE], root[HASH_SIZE], digest[HASH_SIZE], card[HASH_SIZE], seen[128][HASH_SIZE];
    char digits[TEXT_FINGERPRINT_SIZE];
    card_hash(&sender.card, card);
    for (size_t size = 1; size <= world.count; size++) {
        struct phrase one, two;
        merkle_leaf(buf_bytes(&world.leaves[size - 1]), hashes + (size - 1) * HASH_SIZE);
        merkle_root(hashes, size, root);
        directory_phrase(card, size, root, digest);
        text_fingerprint(digest, digits);
        assert_ok(client_phrase(&sender, size, &one, &failure));
        assert_ok(client_phrase(&recipient, size, &two, &failure));
        assert_int_equal(one.size, size);
        assert_memory_equal(one.root, root, HASH_SIZE);
        assert_memory_equal(one.digest, digest, HASH_SIZE);
        assert_string_equal(one.digits, digits);
        assert_string_equal(two.digits, digits);
        assert_true(text_fingerprint_matches(one.digest, two.digits));
        for (size_t i = 0; i < size - 1; i++) assert_memory_not_equal(seen[i], digest, HASH_SIZE);
        memcpy(seen[size - 1], digest, HASH_SIZE);
    }
}

static void without_a_size_it_is_that_of_all_entries(void **state) {
    (void)state;
    struct phrase all, named;
    assert_ok(client_phrase(&sender, 0, &all, &failure));
    assert_ok(client_phrase(&sender, world.count, &named, &failure));
    assert_int_equal(all.size, world.count);
    assert_string_equal(all.digits, named.digits);
}

static void a_size_beyond_the_mirror_is_named(void **state) {
    (void)state;
    struct phrase phrase = {.size = 7};
    assert_int_equal(client_phrase(&sender, world.count + 1, &phrase, &failure), E_NOT_MIRRORED);
    assert_int_equal(client_phrase(&sender, UINT64_MAX, &phrase, &failure), E_NOT_MIRRORED);
    assert_int_equal(phrase.size, 7);
}

static void another_card_gives_other_digits(void **state) {
    (void)state;
    struct phrase before, after;
    assert_ok(client_phrase(&sender, 0, &before, &failure));
    sender.card.curve[0] ^= 1;
    assert_ok(client_phrase(&sender, 0, &after, &failure));
    sender.card.curve[0] ^= 1;
    assert_memory_equal(before.root, after.root, HASH_SIZE);
    assert_string_not_equal(before.digits, after.digits);
}

static void size_and_root_and_card_each_change_the_digest(void **state) {
    (void)state;
    uint8_t card[HASH_SIZE] = {0}, root[HASH_SIZE] = {0}, first[HASH_SIZE], other[HASH_SIZE];
    directory_phrase(card, 1, root, first);
    for (unsigned bit = 0; bit < 64; bit++) {
        directory_phrase(card, (uint64_t)1 ^ (uint64_t)1 << bit, root, other);
        assert_memory_not_equal(first, other, HASH_SIZE);
    }
    for (unsigned bit = 0; bit < 8 * HASH_SIZE; bit++) {
        root[bit / 8] ^= (uint8_t)(1u << bit % 8);
        directory_phrase(card, 1, root, other);
        assert_memory_not_equal(first, other, HASH_SIZE);
        root[bit / 8] ^= (uint8_t)(1u << bit % 8);
        card[bit / 8] ^= (uint8_t)(1u << bit % 8);
        directory_phrase(card, 1, root, other);
        assert_memory_not_equal(first, other, HASH_SIZE);
        card[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* The leaves must lead on to the root that was verified: else an earlier root would be a story of the disk's. */
static void leaves_that_were_changed_or_lost_are_noticed(void **state) {
    (void)state;
    struct phrase phrase;
    struct archive_key last = archive_key(NULL, NULL, world.count - 1);
    assert_ok(archive_set(sender.archive, TABLE_LEAF, last, bytes_text("another")));
    assert_int_equal(client_phrase(&sender, 1, &phrase, &failure), E_CORRUPT);
    assert_ok(archive_delete(sender.archive, TABLE_LEAF, last));
    assert_int_equal(client_phrase(&sender, 1, &phrase, &failure), E_CORRUPT);
    assert_ok(client_phrase(&recipient, 1, &phrase, &failure));
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_homes_have_the_same_digits_at_every_size, mirrored, homes_tear_down),
        cmocka_unit_test_setup_teardown(without_a_size_it_is_that_of_all_entries, mirrored, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_size_beyond_the_mirror_is_named, mirrored, homes_tear_down),
        cmocka_unit_test_setup_teardown(another_card_gives_other_digits, mirrored, homes_tear_down),
        cmocka_unit_test(size_and_root_and_card_each_change_the_digest),
        cmocka_unit_test_setup_teardown(leaves_that_were_changed_or_lost_are_noticed, mirrored, homes_tear_down),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
