/* test_joint.c - what several sign together: order, doubles, strangers, thresholds, joining of parts, damage. */
#include "directory_fixture.h"
#include "starve.h"

enum { ONE = 11, TWO, THREE, FOUR };
#define WORDS bytes_text("the words that are signed")

static void begin(struct buf *out) { assert_ok(joint_begin(WORDS, out)); }

static enum error sign_by(unsigned key, const struct buf *joint, struct buf *out) {
    return joint_sign(LABEL_ADMISSION, pair_of(key).secret, buf_bytes(joint), out);
}

/* Signed by these keys in this order; 0 ends them. */
static void signed_by(const unsigned *keys, struct buf *out) {
    AUTO_BUF joint = {0};
    begin(&joint);
    for (; *keys; keys++) {
        AUTO_BUF more = {0};
        assert_ok(sign_by(*keys, &joint, &more));
        buf_free(&joint);
        joint = buf_take(&more);
    }
    *out = buf_take(&joint);
}

static enum error verify(struct bytes joint, unsigned threshold) {
    uint8_t keys[3][KEY_SIZE];
    for (unsigned i = 0; i < 3; i++) memcpy(keys[i], pair_of(ONE + i).public, KEY_SIZE);
    struct bytes payload = {0};
    enum error error = joint_verify(LABEL_ADMISSION, keys, 3, threshold, joint, &payload);
    if (error == E_OK)
        assert_true(bytes_equal(payload, WORDS));
    else
        assert_null(payload.p);
    return error;
}

static void enough_signers_make_it_hold_and_fewer_do_not(void **state) {
    (void)state;
    AUTO_BUF none = {0}, one = {0}, two = {0}, three = {0};
    signed_by((unsigned[]){0}, &none);
    signed_by((unsigned[]){TWO, 0}, &one);
    signed_by((unsigned[]){THREE, ONE, 0}, &two);
    signed_by((unsigned[]){THREE, ONE, TWO, 0}, &three);
    assert_error(verify(buf_bytes(&none), 1), E_TOO_FEW_SIGNERS);
    assert_error(verify(buf_bytes(&none), 0), E_TOO_FEW_SIGNERS); /* a card without a threshold admits nobody */
    assert_ok(verify(buf_bytes(&one), 1));
    assert_error(verify(buf_bytes(&one), 2), E_TOO_FEW_SIGNERS);
    assert_ok(verify(buf_bytes(&two), 2));
    assert_error(verify(buf_bytes(&two), 3), E_TOO_FEW_SIGNERS);
    assert_ok(verify(buf_bytes(&three), 3));
    assert_ok(verify(buf_bytes(&three), 1));
}

static void order_of_signing_leaves_no_trace(void **state) {
    (void)state;
    AUTO_BUF first = {0}, second = {0};
    signed_by((unsigned[]){ONE, TWO, THREE, 0}, &first);
    signed_by((unsigned[]){THREE, ONE, TWO, 0}, &second);
    assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    struct bytes payload;
    assert_ok(joint_peek(buf_bytes(&first), &payload));
    assert_true(bytes_equal(payload, WORDS));
}

static void nobody_signs_twice(void **state) {
    (void)state;
    AUTO_BUF joint = {0}, out = {0};
    signed_by((unsigned[]){ONE, TWO, 0}, &joint);
    assert_error(sign_by(ONE, &joint, &out), E_CONFLICT);
    assert_error(sign_by(TWO, &joint, &out), E_CONFLICT);
    assert_int_equal(out.n, 0);
}

static void a_stranger_among_the_signers_spoils_it(void **state) {
    (void)state;
    AUTO_BUF joint = {0};
    signed_by((unsigned[]){ONE, TWO, FOUR, 0}, &joint);
    assert_error(verify(buf_bytes(&joint), 2), E_UNKNOWN_REGISTRAR);
}

static void signature_under_another_label_or_of_other_words_does_not_hold(void **state) {
    (void)state;
    AUTO_BUF begun = {0}, joint = {0}, other = {0}, other_begun = {0};
    begin(&begun);
    assert_ok(joint_sign(LABEL_NOTICE, pair_of(ONE).secret, buf_bytes(&begun), &joint));
    assert_error(verify(buf_bytes(&joint), 1), E_BAD_SIGNATURE);
    struct joint opened;
    assert_ok(joint_begin(bytes_text("other words"), &other_begun));
    assert_ok(sign_by(ONE, &other_begun, &other));
    assert_ok(joint_decode(buf_bytes(&other), &opened));
    opened.payload = WORDS;
    AUTO_BUF moved = {0};
    joint_encode(&opened, &moved);
    assert_error(verify(buf_bytes(&moved), 1), E_BAD_SIGNATURE);
}

/* The signers of `joint` in the order of `places`, as somebody might write them who does not keep the rules. */
static void reorder(struct bytes joint, const size_t *places, size_t count, struct buf *out) {
    struct joint opened;
    struct signer signers[SIGNERS_MAX];
    AUTO_BUF items = {0};
    assert_ok(joint_decode(joint, &opened));
    for (size_t i = 0; signer_next(&opened.signers, &signers[i]); i++) {
    }
    for (size_t i = 0; i < count; i++) signer_encode(&signers[places[i]], &items);
    joint_encode(&(struct joint){.payload = opened.payload, .signers = list_of(&items, count)}, out);
}

static void signers_out_of_order_or_twice_are_refused_by_every_function(void **state) {
    (void)state;
    static const size_t wrong[][2] = {{1, 0}, {0, 0}, {1, 1}};
    AUTO_BUF joint = {0}, alone = {0};
    signed_by((unsigned[]){ONE, TWO, 0}, &joint);
    signed_by((unsigned[]){THREE, 0}, &alone);
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        AUTO_BUF bad = {0}, out = {0};
        struct bytes payload;
        reorder(buf_bytes(&joint), wrong[i], 2, &bad);
        assert_error(verify(buf_bytes(&bad), 1), E_NON_CANONICAL);
        assert_error(joint_peek(buf_bytes(&bad), &payload), E_NON_CANONICAL);
        assert_error(sign_by(FOUR, &bad, &out), E_NON_CANONICAL);
        assert_error(joint_merge(buf_bytes(&alone), buf_bytes(&bad), &out), E_NON_CANONICAL);
        assert_error(joint_merge(buf_bytes(&bad), buf_bytes(&alone), &out), E_NON_CANONICAL);
        assert_int_equal(out.n, 0);
    }
}

static void parts_signed_apart_become_one(void **state) {
    (void)state;
    AUTO_BUF one = {0}, other = {0}, both = {0}, wanted = {0}, reversed = {0}, nothing = {0}, same = {0};
    signed_by((unsigned[]){ONE, TWO, 0}, &one);
    signed_by((unsigned[]){THREE, TWO, 0}, &other);
    signed_by((unsigned[]){ONE, TWO, THREE, 0}, &wanted);
    signed_by((unsigned[]){0}, &nothing);
    assert_ok(joint_merge(buf_bytes(&one), buf_bytes(&other), &both));
    assert_true(bytes_equal(buf_bytes(&both), buf_bytes(&wanted)));
    assert_ok(joint_merge(buf_bytes(&other), buf_bytes(&one), &reversed));
    assert_true(bytes_equal(buf_bytes(&reversed), buf_bytes(&wanted)));
    assert_ok(joint_merge(buf_bytes(&nothing), buf_bytes(&one), &same));
    assert_true(bytes_equal(buf_bytes(&same), buf_bytes(&one)));
    AUTO_BUF foreign = {0}, out = {0};
    assert_ok(joint_begin(bytes_text("other words"), &foreign));
    assert_error(joint_merge(buf_bytes(&one), buf_bytes(&foreign), &out), E_MISMATCH);
    assert_int_equal(out.n, 0);
}

static void more_signers_than_there_is_room_for_are_refused(void **state) {
    (void)state;
    unsigned half[SIGNERS_MAX + 1] = {0}, rest[SIGNERS_MAX + 1] = {0};
    for (unsigned i = 0; i < SIGNERS_MAX; i++) half[i] = 50 + i;
    rest[0] = 90;
    AUTO_BUF full = {0}, one = {0}, out = {0};
    signed_by(half, &full);
    signed_by(rest, &one);
    assert_true(full.n <= DIRSTATEMENT_MAX);
    assert_error(sign_by(90, &full, &out), E_OUT_OF_RANGE);
    assert_error(joint_merge(buf_bytes(&full), buf_bytes(&one), &out), E_OUT_OF_RANGE);
    static const uint8_t big[CERTIFICATE_MAX + 1];
    assert_error(joint_begin(bytes_of(big, sizeof big), &out), E_TOO_LARGE);
    assert_int_equal(out.n, 0);
}

static void every_truncation_and_every_bit_flip_is_refused(void **state) {
    (void)state;
    AUTO_BUF joint = {0};
    signed_by((unsigned[]){ONE, THREE, 0}, &joint);
    for (size_t n = 0; n < joint.n; n++) {
        AUTO_FREE(uint8_t) part = malloc(n ? n : 1); /* its own block, so that a read past the end is seen */
        if (n) memcpy(part, joint.p, n);
        assert_int_not_equal(verify(bytes_of(part, n), 2), E_OK);
    }
    for (size_t bit = 0; bit < joint.n * 8; bit++) {
        joint.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(verify(buf_bytes(&joint), 2), E_OK);
        joint.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_ok(verify(buf_bytes(&joint), 2));
}

static void signing_and_merging_survive_the_end_of_memory(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    AUTO_BUF one = {0}, two = {0};
    struct pair three = pair_of(THREE);
    signed_by((unsigned[]){ONE, 0}, &one);
    signed_by((unsigned[]){TWO, 0}, &two);
    for (int merge = 0; merge < 2; merge++) {
        for (long n = 0;; n++) {
            AUTO_BUF out = {0};
            starve(n);
            enum error error = merge ? joint_merge(buf_bytes(&one), buf_bytes(&two), &out)
                                     : joint_sign(LABEL_ADMISSION, three.secret, buf_bytes(&one), &out);
            bool reached = starve_end();
            assert_error(error, reached ? E_NO_MEMORY : E_OK);
            if (!reached) {
                assert_true(n > 0);
                break;
            }
        }
    }
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enough_signers_make_it_hold_and_fewer_do_not),
        cmocka_unit_test(order_of_signing_leaves_no_trace),
        cmocka_unit_test(nobody_signs_twice),
        cmocka_unit_test(a_stranger_among_the_signers_spoils_it),
        cmocka_unit_test(signature_under_another_label_or_of_other_words_does_not_hold),
        cmocka_unit_test(signers_out_of_order_or_twice_are_refused_by_every_function),
        cmocka_unit_test(parts_signed_apart_become_one),
        cmocka_unit_test(more_signers_than_there_is_room_for_are_refused),
        cmocka_unit_test(every_truncation_and_every_bit_flip_is_refused),
        cmocka_unit_test(signing_and_merging_survive_the_end_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
