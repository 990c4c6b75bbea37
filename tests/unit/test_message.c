/* test_message.c - frames: the table is whole, and nothing but a whole, known frame is read. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "message.h"

static void every_type_is_used_once_and_found(void **state) {
    (void)state;
    const struct message_row *a, *b;
    unsigned n = 0;
    for (; (a = message_nth(n)); n++) {
        assert_ptr_equal(message_row(a->type), a);
        for (unsigned j = 0; j < n && (b = message_nth(j)); j++) {
            assert_int_not_equal(a->type, b->type);
            assert_string_not_equal(a->name, b->name);
        }
    }
    assert_true(n > 10);
    assert_null(message_row(0));
    assert_null(message_row(UINT64_MAX));
}

static void every_question_of_a_client_has_an_answer_of_the_relay(void **state) {
    (void)state;
    const struct message_row *row;
    for (unsigned i = 0; (row = message_nth(i)); i++) {
        assert_int_equal(row->answer != MESSAGE_NONE, row->from_client);
        if (row->from_client) assert_false(message_row(row->answer)->from_client);
        /* What anyone may ask must be answered by something anyone may be sent. */
        if (row->from_client && row->anyone) assert_true(message_row(row->answer)->anyone);
    }
}

static void content_and_people_are_for_members_only(void **state) {
    (void)state;
    static const enum message members[] = {MESSAGE_GETPREKEYS, MESSAGE_SUBMIT, MESSAGE_CHUNK, MESSAGE_GETFEED,
                                           MESSAGE_FETCH,      MESSAGE_STATE,  MESSAGE_TRACK, MESSAGE_PUBLISH};
    for (size_t i = 0; i < LENGTH(members); i++) assert_false(message_row(members[i])->anyone);
}

static void a_frame_carries_its_object(void **state) {
    (void)state;
    AUTO_BUF out = {0};
    struct getleaves ask = {.from = 300, .max = 10}, got;
    struct frame frame;
    const struct message_row *row;
    message_encode(MESSAGE_GETLEAVES, 42, &ask, &out);
    assert_int_equal(message_decode(buf_bytes(&out), &frame, &row), E_OK);
    assert_int_equal(frame.number, 42);
    assert_int_equal(row->type, MESSAGE_GETLEAVES);
    assert_ptr_equal(row->object, &getleaves_object);
    assert_int_equal(getleaves_decode(frame.body, &got), E_OK);
    assert_int_equal(got.from, 300);
    assert_int_equal(got.max, 10);
}

static void every_truncation_of_a_frame_is_refused(void **state) {
    (void)state;
    AUTO_BUF out = {0};
    struct frame frame;
    const struct message_row *row = NULL;
    message_encode(MESSAGE_HELLO, 1, &(struct hello){.version = WIRE_VERSION}, &out);
    for (size_t n = 0; n < out.n; n++) assert_int_not_equal(message_decode(bytes_of(out.p, n), &frame, &row), E_OK);
    assert_null(row);
    buf_add(&out, "", 1);
    assert_int_equal(message_decode(buf_bytes(&out), &frame, &row), E_TRAILING);
}

static void every_bit_flip_of_a_frame_is_refused_or_another_frame(void **state) {
    (void)state;
    AUTO_BUF out = {0};
    message_encode(MESSAGE_HELLO, 1, &(struct hello){.version = WIRE_VERSION, .size = 7}, &out);
    for (size_t bit = 0; bit < 8 * out.n; bit++) {
        struct frame frame;
        const struct message_row *row;
        out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (message_decode(buf_bytes(&out), &frame, &row) == E_OK) {
            AUTO_BUF again = {0};
            frame_encode(&frame, &again);
            assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&again)));
            assert_int_equal(row->type, frame.type);
        }
        out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void an_unknown_type_is_told_apart_from_damage(void **state) {
    (void)state;
    AUTO_BUF out = {0};
    struct frame frame;
    const struct message_row *row;
    frame_encode(&(struct frame){.type = 77, .number = 1}, &out);
    assert_int_equal(message_decode(buf_bytes(&out), &frame, &row), E_UNKNOWN_MESSAGE);
}

static void decode_failure(const struct buf *out, struct failed *ret) {
    struct frame frame;
    const struct message_row *row;
    assert_int_equal(message_decode(buf_bytes(out), &frame, &row), E_OK);
    assert_int_equal(row->type, MESSAGE_FAILURE);
    assert_int_equal(failed_decode(frame.body, ret), E_OK);
}

static void a_failure_says_its_error(void **state) {
    (void)state;
    AUTO_BUF plain = {0}, detailed = {0};
    struct failed failure;
    message_encode_failure(9, E_BUSY, NULL, &plain);
    decode_failure(&plain, &failure);
    assert_int_equal(failure.error, E_BUSY);
    assert_false(failure.has_detail);
    message_encode_failure(9, E_CONFLICT, "the id", &detailed);
    decode_failure(&detailed, &failure);
    assert_true(failure.has_detail);
    assert_true(bytes_are(failure.detail, "the id"));
}

/* A long detail is cut between letters; cut inside one, the peer would have to refuse the whole answer. */
static void a_long_detail_is_cut_between_letters(void **state) {
    (void)state;
    for (size_t before = 0; before < 4; before++) {
        char detail[2 * SUBJECT_MAX];
        memset(detail, 'x', sizeof detail);
        for (size_t i = before; i + 4 < sizeof detail; i += 4) memcpy(detail + i, "\xf0\x9f\x98\x80", 4);
        detail[sizeof detail - 1] = 0;
        AUTO_BUF out = {0};
        struct failed failure;
        message_encode_failure(9, E_INTERNAL, detail, &out);
        decode_failure(&out, &failure);
        assert_in_range(failure.detail.n, SUBJECT_MAX - 3, SUBJECT_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_used_once_and_found),
        cmocka_unit_test(every_question_of_a_client_has_an_answer_of_the_relay),
        cmocka_unit_test(content_and_people_are_for_members_only),
        cmocka_unit_test(a_frame_carries_its_object),
        cmocka_unit_test(every_truncation_of_a_frame_is_refused),
        cmocka_unit_test(every_bit_flip_of_a_frame_is_refused_or_another_frame),
        cmocka_unit_test(an_unknown_type_is_told_apart_from_damage),
        cmocka_unit_test(a_failure_says_its_error),
        cmocka_unit_test(a_long_detail_is_cut_between_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
