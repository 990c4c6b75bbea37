/* test_header.c - what a header may say, who may have said it, and the tree that binds its legs. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <sodium.h>

#include "header.h"
#include "merkle.h"
#include "sign.h"

struct pair {
    uint8_t key[KEY_SIZE], secret[SIGN_SECRET_SIZE];
};

static struct pair pair_of(uint8_t seed_byte) {
    struct pair pair;
    uint8_t seed[32];
    memset(seed, seed_byte, sizeof seed);
    crypto_sign_seed_keypair(pair.key, pair.secret, seed);
    return pair;
}

static struct header sample(const struct pair *pair) {
    struct header header = {.suite = SUITE,
                            .from = bytes_text("de/technical"),
                            .created = {1760000000000},
                            .keep_s = KEEP_DEFAULT_S,
                            .precedence = PRECEDENCE_PRIORITY,
                            .has_offer = true,
                            .offer = {.length = 272},
                            .has_body = true,
                            .body = {.length = 5000}};
    memcpy(header.device, pair->key, KEY_SIZE);
    return header;
}

static void sign_header(const struct header *header, const struct pair *pair, struct buf *out) {
    AUTO_BUF payload = {0};
    header_encode(header, &payload);
    assert_int_equal(stamp_sign_one(LABEL_HEADER, pair->secret, buf_bytes(&payload), out), E_OK);
}

static void a_signed_header_opens_and_is_named_by_its_payload(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    struct header header = sample(&pair), got;
    AUTO_BUF stamped = {0};
    uint8_t digest[HASH_SIZE], want[HASH_SIZE];
    sign_header(&header, &pair, &stamped);
    assert_int_equal(header_open(buf_bytes(&stamped), &got, digest), E_OK);
    assert_true(bytes_are(got.from, "de/technical"));
    assert_int_equal(got.body.length, 5000);
    struct bytes payload;
    assert_int_equal(stamp_peek(buf_bytes(&stamped), &payload), E_OK);
    label_digest(LABEL_HEADER_DIGEST, payload, want);
    assert_memory_equal(digest, want, HASH_SIZE);
}

static void a_header_signed_by_another_device_or_as_another_kind_is_refused(void **state) {
    (void)state;
    struct pair pair = pair_of(1), other = pair_of(2);
    struct header header = sample(&pair), got;
    AUTO_BUF stamped = {0}, payload = {0}, kind = {0};
    uint8_t digest[HASH_SIZE];
    sign_header(&header, &other, &stamped);
    assert_int_equal(header_open(buf_bytes(&stamped), &got, digest), E_BAD_SIGNATURE);
    header_encode(&header, &payload);
    assert_int_equal(stamp_sign_one(LABEL_STATEMENT, pair.secret, buf_bytes(&payload), &kind), E_OK);
    assert_int_equal(header_open(buf_bytes(&kind), &got, digest), E_BAD_SIGNATURE);
}

static void every_truncation_and_every_bit_flip_of_a_signed_header_is_refused(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    struct header header = sample(&pair), got;
    AUTO_BUF stamped = {0};
    uint8_t digest[HASH_SIZE];
    sign_header(&header, &pair, &stamped);
    for (size_t n = 0; n < stamped.n; n++)
        assert_int_not_equal(header_open(bytes_of(stamped.p, n), &got, digest), E_OK);
    for (size_t bit = 0; bit < 8 * stamped.n; bit++) {
        stamped.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(header_open(buf_bytes(&stamped), &got, digest), E_OK);
        stamped.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(header_open(buf_bytes(&stamped), &got, digest), E_OK);
}

static void the_parts_tell_the_kind_of_leg(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    struct header header = sample(&pair);
    assert_int_equal(header_check(&header), E_OK);
    assert_int_equal(header_leg_kind(&header), LEG_REQUEST);
    header.has_body = false;
    assert_int_equal(header_check(&header), E_OK);
    assert_int_equal(header_leg_kind(&header), LEG_OFFER_ONLY);
    header.has_offer = false;
    assert_int_equal(header_check(&header), E_MALFORMED);
    header.has_body = true;
    assert_int_equal(header_check(&header), E_MALFORMED);
    header.has_parent = true;
    assert_int_equal(header_check(&header), E_OK);
    assert_int_equal(header_leg_kind(&header), LEG_REPLY);
    header.has_offer = true;
    assert_int_equal(header_check(&header), E_MALFORMED);
    header.has_offer = header.has_body = false;
    assert_int_equal(header_check(&header), E_MALFORMED);
}

static void a_part_of_impossible_length_is_refused(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    struct header header = sample(&pair);
    header.offer.length = TAG_SIZE;
    assert_int_equal(header_check(&header), E_MALFORMED);
    header.offer.length = TAG_SIZE + 1;
    assert_int_equal(header_check(&header), E_OK);
    header.body.length = CHUNK_SIZE + 3;
    assert_int_equal(header_check(&header), E_MALFORMED);
}

static void keep_is_at_least_three_days_outside_exercises(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    struct header header = sample(&pair);
    header.keep_s = KEEP_MIN_S;
    assert_int_equal(header_check(&header), E_OK);
    header.keep_s = KEEP_MIN_S - 1;
    assert_int_equal(header_check(&header), E_BAD_KEEP);
    header.exercise = true;
    assert_int_equal(header_check(&header), E_OK);
}

static void the_senders_name_must_be_a_posts_name(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    struct header header = sample(&pair);
    static const char *const bad[] = {"de", "de/", "/technical", "De/technical", "de/technical/x", "de/tech.nical", ""};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        header.from = bytes_text(bad[i]);
        assert_int_equal(header_check(&header), E_BAD_TEXT);
    }
}

/* The tree as header.h writes it down, built naively: all 1024 places, level by level. */
struct naive {
    uint8_t hash[LEGS_DEPTH + 1][LEGS_MAX][HASH_SIZE];
    bool used[LEGS_DEPTH + 1][LEGS_MAX];
};

static void naive_pad(const uint8_t seed[static HASH_SIZE], unsigned level, uint32_t index, uint8_t *ret) {
    uint8_t text[] = "pouch/0 leg padding\0LIIII"; /* label, zero byte, level, index */
    uint8_t *tail = text + sizeof "pouch/0 leg padding";
    tail[0] = (uint8_t)level;
    for (int i = 0; i < 4; i++) tail[1 + i] = (uint8_t)(index >> 8 * (3 - i));
    crypto_generichash(ret, HASH_SIZE, text, sizeof text - 1, seed, HASH_SIZE);
}

static void naive_build(const struct legs_leaf *leaves, size_t count, const uint8_t seed[static HASH_SIZE],
                        struct naive *naive) {
    memset(naive, 0, sizeof *naive);
    for (size_t i = 0; i < count; i++) {
        memcpy(naive->hash[0][leaves[i].position], leaves[i].id, HASH_SIZE);
        naive->used[0][leaves[i].position] = true;
    }
    for (unsigned level = 0; level <= LEGS_DEPTH; level++)
        for (uint32_t i = 0; i < (uint32_t)LEGS_MAX >> level; i++) {
            if (level > 0) {
                naive->used[level][i] = naive->used[level - 1][2 * i] || naive->used[level - 1][2 * i + 1];
                merkle_node(naive->hash[level - 1][2 * i], naive->hash[level - 1][2 * i + 1], naive->hash[level][i]);
            }
            if (!naive->used[level][i]) naive_pad(seed, level, i, naive->hash[level][i]);
        }
}

static const uint8_t seed[HASH_SIZE] = {9, 8, 7};

/* count leaves at distinct places: all of them, or scattered ones. */
static void some_legs(struct legs_leaf *leaves, size_t count, uint32_t salt) {
    uint32_t place = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t spare = LEGS_MAX - place - (uint32_t)(count - i);
        salt = salt * 1664525 + 1013904223;
        place += spare ? (salt >> 16) % (spare * 2 / (uint32_t)(count - i) + 1) % (spare + 1) : 0;
        leaves[i].position = place++;
        memset(leaves[i].id, (int)(i + salt), HASH_SIZE);
    }
}

static const size_t counts[] = {1, 2, 3, 5, 17, 100, 511, 1023, 1024};

static void the_root_and_every_path_are_those_of_the_whole_tree(void **state) {
    (void)state;
    static struct naive naive;
    static struct legs_leaf leaves[LEGS_MAX];
    for (size_t c = 0; c < LENGTH(counts); c++) {
        uint8_t root[HASH_SIZE], path[LEGS_DEPTH * HASH_SIZE];
        some_legs(leaves, counts[c], (uint32_t)c);
        naive_build(leaves, counts[c], seed, &naive);
        assert_int_equal(legs_root(leaves, counts[c], seed, root), E_OK);
        assert_memory_equal(root, naive.hash[LEGS_DEPTH][0], HASH_SIZE);
        for (size_t i = 0; i < counts[c]; i += 1 + counts[c] / 20) {
            assert_int_equal(legs_path(leaves, counts[c], seed, i, path), E_OK);
            for (unsigned level = 0; level < LEGS_DEPTH; level++)
                assert_memory_equal(path + level * HASH_SIZE, naive.hash[level][leaves[i].position >> level ^ 1],
                                    HASH_SIZE);
            assert_int_equal(merkle_verify_inclusion(leaves[i].id, leaves[i].position, LEGS_MAX,
                                                     bytes_of(path, sizeof path), bytes_of(root, HASH_SIZE)),
                             E_OK);
        }
    }
}

static void a_full_tree_is_a_plain_rfc_6962_tree(void **state) {
    (void)state;
    static struct legs_leaf leaves[LEGS_MAX];
    static uint8_t ids[LEGS_MAX * HASH_SIZE];
    uint8_t root[HASH_SIZE], want[HASH_SIZE];
    some_legs(leaves, LEGS_MAX, 3);
    for (size_t i = 0; i < LEGS_MAX; i++) memcpy(ids + i * HASH_SIZE, leaves[i].id, HASH_SIZE);
    merkle_root(ids, LEGS_MAX, want);
    assert_int_equal(legs_root(leaves, LEGS_MAX, seed, root), E_OK);
    assert_memory_equal(root, want, HASH_SIZE);
}

static void legs_out_of_order_or_twice_in_one_place_are_refused(void **state) {
    (void)state;
    struct legs_leaf leaves[3] = {{.position = 4}, {.position = 9}, {.position = LEGS_MAX - 1}};
    uint8_t root[HASH_SIZE], path[LEGS_DEPTH * HASH_SIZE];
    assert_int_equal(legs_root(leaves, 3, seed, root), E_OK);
    assert_int_equal(legs_root(leaves, 0, seed, root), E_MALFORMED);
    assert_int_equal(legs_path(leaves, 3, seed, 3, path), E_MALFORMED);
    leaves[1].position = 4;
    assert_int_equal(legs_root(leaves, 3, seed, root), E_MALFORMED);
    assert_int_equal(legs_path(leaves, 3, seed, 0, path), E_MALFORMED);
    leaves[1].position = 3;
    assert_int_equal(legs_root(leaves, 3, seed, root), E_MALFORMED);
    leaves[1].position = 9;
    leaves[2].position = LEGS_MAX;
    assert_int_equal(legs_root(leaves, 3, seed, root), E_MALFORMED);
}

static void the_seed_decides_the_padding(void **state) {
    (void)state;
    struct legs_leaf leaf = {.position = 77};
    uint8_t a[HASH_SIZE], b[HASH_SIZE], other[HASH_SIZE] = {1};
    assert_int_equal(legs_root(&leaf, 1, seed, a), E_OK);
    assert_int_equal(legs_root(&leaf, 1, other, b), E_OK);
    assert_memory_not_equal(a, b, HASH_SIZE);
}

/* Two openings in a tree, with their paths as they travel. */
struct two {
    struct buf openings[2], paths[2];
    struct place places[2];
    uint8_t root[HASH_SIZE];
};

static void two_free(struct two *two) {
    for (int i = 0; i < 2; i++) {
        buf_free(&two->openings[i]);
        buf_free(&two->paths[i]);
    }
}
#define AUTO_TWO __attribute__((cleanup(two_free))) struct two

static void two_make(struct two *two, const char *first, const char *second) {
    struct legs_leaf leaves[2] = {{.position = 100}, {.position = 101}};
    for (int i = 0; i < 2; i++) {
        struct opening opening = {.suite = SUITE, .to = bytes_text(i ? second : first), .sequence = 1};
        opening_encode(&opening, &two->openings[i]);
        merkle_leaf(buf_bytes(&two->openings[i]), leaves[i].id);
        two->places[i] = (struct place){.opening = buf_bytes(&two->openings[i]), .position = leaves[i].position};
    }
    assert_int_equal(legs_root(leaves, 2, seed, two->root), E_OK);
    for (size_t i = 0; i < 2; i++) {
        uint8_t path[LEGS_DEPTH * HASH_SIZE];
        assert_int_equal(legs_path(leaves, 2, seed, i, path), E_OK);
        for (size_t h = 0; h < LEGS_DEPTH; h++)
            cbor_put_bytes(&two->paths[i], bytes_of(path + h * HASH_SIZE, HASH_SIZE));
    }
}

static void a_recipient_verifies_its_own_leg_and_no_other_place(void **state) {
    (void)state;
    AUTO_TWO two = {0};
    struct opening opening;
    uint8_t leg[HASH_SIZE], want[HASH_SIZE];
    two_make(&two, "fj/national", "my/national");
    for (int i = 0; i < 2; i++) {
        struct list path = list_of(&two.paths[i], LEGS_DEPTH);
        assert_int_equal(legs_verify(&two.places[i], path, two.root, &opening, leg), E_OK);
        assert_true(bytes_are(opening.to, i ? "my/national" : "fj/national"));
        merkle_leaf(two.places[i].opening, want);
        assert_memory_equal(leg, want, HASH_SIZE);
        for (uint32_t place = 0; place < LEGS_MAX; place++) {
            struct place moved = {.opening = two.places[i].opening, .position = place};
            enum error error = legs_verify(&moved, path, two.root, &opening, leg);
            assert_int_equal(error, place == two.places[i].position ? E_OK : E_BAD_PROOF);
        }
        assert_int_equal(legs_verify(&two.places[1 - i], path, two.root, &opening, leg), E_BAD_PROOF);
        path = list_of(&two.paths[i], LEGS_DEPTH - 1);
        assert_int_equal(legs_verify(&two.places[i], path, two.root, &opening, leg), E_BAD_PROOF);
    }
}

static void a_changed_opening_path_or_root_is_refused(void **state) {
    (void)state;
    AUTO_TWO two = {0};
    struct opening opening;
    uint8_t leg[HASH_SIZE];
    two_make(&two, "fj/national", "my/national");
    struct list path = list_of(&two.paths[0], LEGS_DEPTH);
    for (size_t bit = 0; bit < 8 * two.openings[0].n; bit++) {
        two.openings[0].p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(legs_verify(&two.places[0], path, two.root, &opening, leg), E_BAD_PROOF);
        two.openings[0].p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t h = 0; h < LEGS_DEPTH; h++) {
        uint8_t *byte = two.paths[0].p + h * (HASH_SIZE + 2) + 2;
        *byte ^= 1;
        assert_int_equal(legs_verify(&two.places[0], path, two.root, &opening, leg), E_BAD_PROOF);
        *byte ^= 1;
    }
    two.root[31] ^= 1;
    assert_int_equal(legs_verify(&two.places[0], path, two.root, &opening, leg), E_BAD_PROOF);
}

static void an_opening_to_no_posts_name_is_refused(void **state) {
    (void)state;
    AUTO_TWO two = {0};
    struct opening opening;
    uint8_t leg[HASH_SIZE];
    two_make(&two, "fj", "my/national");
    assert_int_equal(legs_verify(&two.places[0], list_of(&two.paths[0], LEGS_DEPTH), two.root, &opening, leg),
                     E_BAD_TEXT);
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_header_opens_and_is_named_by_its_payload),
        cmocka_unit_test(a_header_signed_by_another_device_or_as_another_kind_is_refused),
        cmocka_unit_test(every_truncation_and_every_bit_flip_of_a_signed_header_is_refused),
        cmocka_unit_test(the_parts_tell_the_kind_of_leg),
        cmocka_unit_test(a_part_of_impossible_length_is_refused),
        cmocka_unit_test(keep_is_at_least_three_days_outside_exercises),
        cmocka_unit_test(the_senders_name_must_be_a_posts_name),
        cmocka_unit_test(the_root_and_every_path_are_those_of_the_whole_tree),
        cmocka_unit_test(a_full_tree_is_a_plain_rfc_6962_tree),
        cmocka_unit_test(legs_out_of_order_or_twice_in_one_place_are_refused),
        cmocka_unit_test(the_seed_decides_the_padding),
        cmocka_unit_test(a_recipient_verifies_its_own_leg_and_no_other_place),
        cmocka_unit_test(a_changed_opening_path_or_root_is_refused),
        cmocka_unit_test(an_opening_to_no_posts_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
