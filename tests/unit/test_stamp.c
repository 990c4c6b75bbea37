/* test_stamp.c - one signature over many payloads: each holds alone, none holds as another, of another kind or elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <sodium.h>

#include "sign.h"
#include "stamp.h"

enum { MOST = 40 };

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

static uint8_t texts[MOST][8];

static struct bytes payload_of(size_t i) {
    memset(texts[i], (int)i, sizeof texts[i]);
    return bytes_of(texts[i], i % 3 ? sizeof texts[i] : i % sizeof texts[i]);
}

static void free_all(struct buf *bufs, size_t n) {
    for (size_t i = 0; i < n; i++) buf_free(&bufs[i]);
}

static void every_payload_of_a_batch_verifies_alone(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    for (size_t n = 1; n <= MOST; n++) {
        struct bytes payloads[MOST], got, peeked;
        struct buf stamped[MOST] = {0};
        for (size_t i = 0; i < n; i++) payloads[i] = payload_of(i);
        assert_int_equal(stamp_sign(LABEL_STATEMENT, pair.secret, payloads, n, stamped), E_OK);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(stamp_verify(LABEL_STATEMENT, pair.key, buf_bytes(&stamped[i]), &got), E_OK);
            assert_true(bytes_equal(got, payloads[i]));
            assert_int_equal(stamp_peek(buf_bytes(&stamped[i]), &peeked), E_OK);
            assert_true(bytes_equal(got, peeked));
        }
        free_all(stamped, n);
    }
}

static void under_another_label_or_key_it_fails(void **state) {
    (void)state;
    struct pair pair = pair_of(1), other = pair_of(2);
    AUTO_BUF out = {0};
    assert_int_equal(stamp_sign_one(LABEL_HEADER, pair.secret, bytes_text("payload"), &out), E_OK);
    for (unsigned label = 0; label < LABEL_COUNT; label++) {
        enum error error = stamp_verify((enum label)label, pair.key, buf_bytes(&out), NULL);
        assert_int_equal(error, label == LABEL_HEADER ? E_OK : E_BAD_SIGNATURE);
    }
    assert_int_equal(stamp_verify(LABEL_HEADER, other.key, buf_bytes(&out), NULL), E_BAD_SIGNATURE);
}

static void a_payload_does_not_verify_at_its_sisters_place(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    for (size_t n = 2; n <= 9; n++) {
        struct bytes payloads[9];
        struct buf stamped[9] = {0};
        for (size_t i = 0; i < n; i++) payloads[i] = payload_of(i + 1);
        assert_int_equal(stamp_sign(LABEL_RECORD, pair.secret, payloads, n, stamped), E_OK);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                struct stamped mixed;
                AUTO_BUF out = {0};
                assert_int_equal(stamped_decode(buf_bytes(&stamped[i]), &mixed), E_OK);
                mixed.payload = payloads[j];
                stamped_encode(&mixed, &out);
                assert_int_equal(stamp_verify(LABEL_RECORD, pair.key, buf_bytes(&out), NULL) == E_OK, i == j);
            }
        free_all(stamped, n);
    }
}

/* Also: nothing can be changed so that another encoding of the same payload verifies. */
static void every_truncation_and_every_bit_flip_is_refused(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    for (size_t n = 1; n <= 3; n += 2) {
        struct bytes payloads[3];
        struct buf stamped[3] = {0};
        for (size_t i = 0; i < n; i++) payloads[i] = payload_of(i + 1);
        assert_int_equal(stamp_sign(LABEL_RECORD, pair.secret, payloads, n, stamped), E_OK);
        for (size_t i = 0; i < n; i++) {
            struct buf *one = &stamped[i];
            for (size_t cut = 0; cut < one->n; cut++) {
                struct bytes payload;
                assert_int_not_equal(stamp_verify(LABEL_RECORD, pair.key, bytes_of(one->p, cut), &payload), E_OK);
                assert_int_not_equal(stamp_peek(bytes_of(one->p, cut), &payload), E_OK);
            }
            for (size_t bit = 0; bit < 8 * one->n; bit++) {
                one->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_not_equal(stamp_verify(LABEL_RECORD, pair.key, buf_bytes(one), NULL), E_OK);
                one->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
        }
        free_all(stamped, n);
    }
}

/* A kid in the unprotected header is not signed: were it allowed, anybody could make second copies that differ. */
static void a_signature_that_is_not_narrow_is_refused(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    AUTO_BUF good = {0}, wide = {0}, out = {0};
    struct stamped stamped;
    assert_int_equal(stamp_sign_one(LABEL_HEADER, pair.secret, bytes_text("payload"), &good), E_OK);
    assert_int_equal(stamped_decode(buf_bytes(&good), &stamped), E_OK);
    buf_add(&wide, stamped.signature.p, 6);
    buf_add(&wide, "\xa1\x04\x41k", 4);
    buf_add(&wide, stamped.signature.p + 7, stamped.signature.n - 7);
    struct batch batch = {.size = 1};
    AUTO_BUF signed_bytes = {0};
    stamp_hash(stamped.payload, batch.root);
    batch_encode(&batch, &signed_bytes);
    assert_int_equal(sign1_verify(pair.key, label_text(LABEL_HEADER), buf_bytes(&wide), buf_bytes(&signed_bytes), NULL),
                     E_OK);
    stamped.signature = buf_bytes(&wide);
    stamped_encode(&stamped, &out);
    assert_int_equal(stamp_verify(LABEL_HEADER, pair.key, buf_bytes(&out), NULL), E_MALFORMED);
}

/* With everything good already in the cache, nothing bad may profit from it. */
static void a_cache_judges_as_verification_does(void **state) {
    (void)state;
    struct pair pair = pair_of(1), other = pair_of(2);
    struct bytes payloads[3], got;
    struct buf stamped[3] = {0};
    struct stamp_cache cache = {0};
    for (size_t i = 0; i < 3; i++) payloads[i] = payload_of(i + 1);
    assert_int_equal(stamp_sign(LABEL_RECORD, pair.secret, payloads, 3, stamped), E_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stamp_verify_cached(LABEL_RECORD, pair.key, buf_bytes(&stamped[i]), &cache, &got), E_OK);
        assert_true(bytes_equal(got, payloads[i]));
    }
    assert_int_equal(cache.count, 1);
    struct buf *one = &stamped[1];
    assert_int_equal(stamp_verify_cached(LABEL_HEADER, pair.key, buf_bytes(one), &cache, NULL), E_BAD_SIGNATURE);
    assert_int_equal(stamp_verify_cached(LABEL_RECORD, other.key, buf_bytes(one), &cache, NULL), E_BAD_SIGNATURE);
    for (size_t bit = 0; bit < 8 * one->n; bit++) {
        one->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(stamp_verify_cached(LABEL_RECORD, pair.key, buf_bytes(one), &cache, NULL), E_OK);
        one->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(cache.count, 1);
    free_all(stamped, 3);
}

static void a_cache_holds_only_so_many_and_forgets_the_oldest(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    struct stamp_cache cache = {0};
    for (size_t i = 0; i < 3 * STAMP_CACHE_MAX; i++) {
        AUTO_BUF out = {0};
        assert_int_equal(stamp_sign_one(LABEL_RECORD, pair.secret, payload_of(i), &out), E_OK);
        assert_int_equal(stamp_verify_cached(LABEL_RECORD, pair.key, buf_bytes(&out), &cache, NULL), E_OK);
        assert_int_equal(stamp_verify_cached(LABEL_RECORD, pair.key, buf_bytes(&out), &cache, NULL), E_OK);
        assert_int_equal(cache.count, i + 1 < STAMP_CACHE_MAX ? i + 1 : STAMP_CACHE_MAX);
    }
}

static void a_thousand_payloads_cost_one_signature(void **state) {
    (void)state;
    enum { N = 1024 };
    struct pair pair = pair_of(1);
    static struct bytes payloads[N];
    static struct buf stamped[N];
    static uint32_t numbers[N];
    for (uint32_t i = 0; i < N; i++) {
        numbers[i] = i;
        payloads[i] = bytes_of(&numbers[i], sizeof numbers[i]);
    }
    assert_int_equal(stamp_sign(LABEL_WRAPSET, pair.secret, payloads, N, stamped), E_OK);
    struct stamped first, other;
    assert_int_equal(stamped_decode(buf_bytes(&stamped[0]), &first), E_OK);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(stamped_decode(buf_bytes(&stamped[i]), &other), E_OK);
        assert_true(bytes_equal(first.signature, other.signature));
        assert_int_equal(stamp_verify(LABEL_WRAPSET, pair.key, buf_bytes(&stamped[i]), NULL), E_OK);
        assert_true(stamped[i].n <= payloads[i].n + STAMPED_OVERHEAD);
    }
    free_all(stamped, N);
}

/* STAMPED_OVERHEAD is what every limit on stamped objects adds: the longest path must fit it. */
static void the_overhead_of_the_largest_batch_is_within_its_limit(void **state) {
    (void)state;
    struct stamped most = {.index = STAMP_MAX - 1, .size = STAMP_MAX};
    AUTO_BUF path = {0}, payload = {0}, out = {0};
    uint8_t hash[HASH_SIZE] = {0}, signature[SIGNATURE_MAX] = {0};
    for (int i = 0; i < STAMP_PATH_MAX; i++) cbor_put_bytes(&path, bytes_of(hash, HASH_SIZE));
    memset(buf_extend(&payload, WRAPSET_MAX), 0, WRAPSET_MAX);
    most.path = list_of(&path, STAMP_PATH_MAX);
    most.payload = buf_bytes(&payload);
    most.signature = bytes_of(signature, sizeof signature);
    stamped_encode(&most, &out);
    assert_true(out.n <= WRAPSET_MAX + STAMPED_OVERHEAD);
}

static void a_payload_too_large_for_any_object_is_refused(void **state) {
    (void)state;
    struct pair pair = pair_of(1);
    AUTO_BUF payload = {0}, out = {0};
    memset(buf_extend(&payload, WRAPSET_MAX + 1), 0, WRAPSET_MAX + 1);
    assert_int_equal(stamp_sign_one(LABEL_WRAPSET, pair.secret, buf_bytes(&payload), &out), E_TOO_LARGE);
    assert_int_equal(out.n, 0);
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_payload_of_a_batch_verifies_alone),
        cmocka_unit_test(under_another_label_or_key_it_fails),
        cmocka_unit_test(a_payload_does_not_verify_at_its_sisters_place),
        cmocka_unit_test(every_truncation_and_every_bit_flip_is_refused),
        cmocka_unit_test(a_signature_that_is_not_narrow_is_refused),
        cmocka_unit_test(a_cache_judges_as_verification_does),
        cmocka_unit_test(a_cache_holds_only_so_many_and_forgets_the_oldest),
        cmocka_unit_test(a_thousand_payloads_cost_one_signature),
        cmocka_unit_test(the_overhead_of_the_largest_batch_is_within_its_limit),
        cmocka_unit_test(a_payload_too_large_for_any_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
