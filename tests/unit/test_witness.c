/* test_witness.c - add-checkpoint requests and a witness's decision, against the requests and answers of a published witness;
 * every truncation and bit flip of a request. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "head.h"
#include "vectors.h"
#include "witness.h"

#define assert_error(call, wanted) assert_string_equal(error_row(call)->name, error_row(wanted)->name)
#define assert_ok(call) assert_error(call, E_OK)

#define NOW ((uint64_t)1800000000000)

static void pair_of(uint8_t number, uint8_t public[static KEY_SIZE], uint8_t secret[static SIGN_SECRET_SIZE]) {
    uint8_t seed[KEY_SIZE] = {number, 1};
    assert_int_equal(crypto_sign_seed_keypair(public, secret, seed), 0);
}

static enum error judge(const struct witness_log *log, struct bytes body, uint64_t now, struct witness_verdict *ret) {
    struct witness_request request;
    TRY(witness_request_parse(body, &request));
    return witness_judge(log, &request, (struct instant){now}, ret);
}

static enum error error_of_status(uint64_t status, const char *body) {
    if (status == 200) return E_OK;
    if (status == 403 && strstr(body, "unknown log")) return E_MISMATCH;
    if (status == 403) return E_BAD_SIGNATURE;
    return status == 409 ? E_CONFLICT : E_BAD_PROOF;
}

static void a_published_witnesss_answers_are_given_here_too(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/witness_add_checkpoint.json");
    struct witness_log log = {0};
    size_t i;
    json_t *one;
    assert_ok(note_key_parse(bytes_text(vectors_text(file, "log_vkey")), &log.key));
    json_array_foreach(json_object_get(file, "cases"), i, one) {
        struct witness_verdict verdict = {.size = 999};
        uint64_t status = vectors_uint(one, "http_status");
        const char *answer = vectors_text(one, "assert_body");
        enum error error = judge(&log, bytes_text(vectors_text(one, "request_body")), NOW, &verdict);
        if (status == 403 && error == E_MALFORMED) error = E_BAD_SIGNATURE; /* its base64 has stray bits as well */
        assert_error(error, error_of_status(status, answer));
        if (error == E_CONFLICT) { /* the answer names the size that the witness has */
            char size[32];
            snprintf(size, sizeof size, "== \"%llu\\n\"", (unsigned long long)log.size);
            assert_string_equal(answer, size);
        }
        if (error != E_OK) {
            assert_int_equal(verdict.size, 999);
            continue;
        }
        log.size = verdict.size;
        memcpy(log.root, verdict.root, HASH_SIZE);
    }
    assert_int_equal(i, 9);
    assert_int_equal(log.size, 5);
}

static void the_projects_own_request_is_cosigned_byte_for_byte(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/project_tlog_proof.json");
    AUTO_JSON *tree = vectors_load("merkle/rfc6962_reference_tree.json");
    const char *body = vectors_text(file, "witness_add_checkpoint_request_from_size_3");
    struct witness_log log = {.size = 3};
    struct witness_request request;
    struct witness_verdict verdict;
    AUTO_BUF root = {0}, again = {0};
    vectors_hex(json_array_get(json_object_get(tree, "root_hashes_hex_by_size_0_to_8"), 3), &root);
    memcpy(log.root, root.p, HASH_SIZE);
    assert_ok(note_key_parse(bytes_text(vectors_text(file, "log_vkey")), &log.key));
    assert_ok(witness_request_parse(bytes_text(body), &request));
    assert_ok(witness_judge(&log, &request, (struct instant){NOW}, &verdict));
    assert_int_equal(verdict.size, 7);
    witness_request_format(request.old, bytes_of(request.proof, request.proof_count * HASH_SIZE), request.bytes,
                           &again);
    assert_true(bytes_are(buf_bytes(&again), body));
}

/* ---- a log that grows, with heads as the relay makes them ---- */

struct stage {
    struct merkle_tree tree;
    struct witness_log log;
    uint8_t secret[SIGN_SECRET_SIZE];
};

static void stage_free(struct stage *stage) { merkle_tree_free(&stage->tree); }
#define AUTO_STAGE __attribute__((cleanup(stage_free))) struct stage

static struct stage stage_of(uint64_t leaves) {
    struct stage stage = {.log.timed = true};
    uint8_t public[KEY_SIZE];
    pair_of(1, public, stage.secret);
    assert_ok(note_key_make(bytes_text("relay.example/directory"), NOTE_ED25519, public, &stage.log.key));
    for (uint64_t i = 0; i < leaves; i++) {
        uint8_t hash[HASH_SIZE];
        merkle_leaf(bytes_of(&i, sizeof i), hash);
        assert_ok(merkle_tree_add(&stage.tree, hash));
    }
    return stage;
}

static void has_cosigned(struct stage *stage, uint64_t size) {
    stage->log.size = size;
    if (size) merkle_tree_root(&stage->tree, size, stage->log.root);
}

static void make_request(const struct stage *stage, uint64_t old, uint64_t size, uint64_t time, struct buf *out) {
    AUTO_BUF note = {0}, proof = {0};
    uint8_t root[HASH_SIZE];
    merkle_tree_root(&stage->tree, size, root);
    if (old && old <= size) merkle_tree_consistency_path(&stage->tree, old, size, &proof);
    assert_ok(head_make(&stage->log.key, stage->secret, size, root, (struct instant){time}, &note));
    witness_request_format(old, buf_bytes(&proof), buf_bytes(&note), out);
}

static enum error ask(const struct stage *stage, uint64_t old, uint64_t size, uint64_t time) {
    AUTO_BUF body = {0};
    struct witness_verdict verdict;
    make_request(stage, old, size, time, &body);
    return judge(&stage->log, buf_bytes(&body), NOW, &verdict);
}

static void every_growth_is_cosigned_and_no_other_old_size(void **state) {
    (void)state;
    AUTO_STAGE stage = stage_of(20);
    for (uint64_t seen = 0; seen <= 20; seen++) {
        has_cosigned(&stage, seen);
        for (uint64_t old = 0; old <= 20; old++)
            for (uint64_t size = 1; size <= 20; size++)
                assert_error(ask(&stage, old, size, NOW), old > size    ? E_OUT_OF_RANGE
                                                          : old != seen ? E_CONFLICT
                                                                        : E_OK);
    }
}

static void a_head_whose_time_is_off_is_refused(void **state) {
    (void)state;
    AUTO_STAGE stage = stage_of(5);
    assert_ok(ask(&stage, 0, 5, NOW - HEAD_TIME_MS));
    assert_ok(ask(&stage, 0, 5, NOW + HEAD_TIME_MS));
    assert_error(ask(&stage, 0, 5, NOW - HEAD_TIME_MS - 1), E_HEAD_TIME);
    assert_error(ask(&stage, 0, 5, NOW + HEAD_TIME_MS + 1), E_HEAD_TIME);
    assert_error(ask(&stage, 0, 5, 0), E_HEAD_TIME);
    assert_error(ask(&stage, 0, 5, INT64_MAX), E_HEAD_TIME);
    stage.log.timed = false; /* a log that says no time is judged without */
    assert_ok(ask(&stage, 0, 5, 0));
}

static void a_log_that_shows_two_faces_is_refused(void **state) {
    (void)state;
    AUTO_STAGE stage = stage_of(9);
    has_cosigned(&stage, 5);
    stage.log.root[0] ^= 1; /* what it cosigned was another log's beginning */
    assert_error(ask(&stage, 5, 5, NOW), E_DIRECTORY_FORKED);
    assert_error(ask(&stage, 5, 9, NOW), E_BAD_PROOF);
}

static void a_proof_where_there_is_nothing_to_prove_is_refused(void **state) {
    (void)state;
    AUTO_STAGE stage = stage_of(5);
    AUTO_BUF note = {0}, body = {0};
    struct witness_verdict verdict;
    uint8_t root[HASH_SIZE];
    merkle_tree_root(&stage.tree, 5, root);
    assert_ok(head_make(&stage.log.key, stage.secret, 5, root, (struct instant){NOW}, &note));
    witness_request_format(0, bytes_of(root, HASH_SIZE), buf_bytes(&note), &body);
    assert_error(judge(&stage.log, buf_bytes(&body), NOW, &verdict), E_MALFORMED);
}

/* ---- strictness ---- */

static void no_touched_request_is_cosigned_for_another_head(void **state) {
    (void)state;
    AUTO_STAGE stage = stage_of(11);
    AUTO_BUF body = {0};
    struct witness_verdict verdict = {0};
    has_cosigned(&stage, 6);
    make_request(&stage, 6, 11, NOW, &body);
    assert_ok(judge(&stage.log, buf_bytes(&body), NOW, &verdict));
    for (size_t i = 0; i < 8 * body.n; i++) {
        body.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_true(judge(&stage.log, buf_bytes(&body), NOW, &verdict) != E_OK);
        body.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < body.n; n++) assert_true(judge(&stage.log, bytes_of(body.p, n), NOW, &verdict) != E_OK);
}

static void what_can_be_read_is_written_the_same(void **state) {
    (void)state;
    AUTO_STAGE stage = stage_of(11);
    AUTO_BUF body = {0}, again = {0};
    size_t readable = 0;
    make_request(&stage, 6, 11, NOW, &body);
    for (size_t i = 0; i < 8 * body.n; i++) {
        struct witness_request request;
        body.p[i / 8] ^= (uint8_t)(1u << i % 8);
        if (witness_request_parse(buf_bytes(&body), &request) == E_OK) {
            buf_clear(&again);
            witness_request_format(request.old, bytes_of(request.proof, request.proof_count * HASH_SIZE), request.bytes,
                                   &again);
            assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&body)));
            readable++;
        }
        body.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(readable > 0);
}

#define NOTE "a\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\xe2\x80\x94 a AAAAAAA=\n"
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

static void what_is_no_request_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *body;
        enum error error;
    } cases[] = {
        {"old 0\n\n" NOTE, E_OK},
        {"old 9223372036854775807\n" HASH HASH "\n" NOTE, E_OK},
        {"old 9223372036854775808\n\n" NOTE, E_OUT_OF_RANGE},
        {"old 00\n\n" NOTE, E_MALFORMED},
        {"old 01\n\n" NOTE, E_MALFORMED},
        {"old -1\n\n" NOTE, E_MALFORMED},
        {"old \n\n" NOTE, E_MALFORMED},
        {"old 1 \n\n" NOTE, E_MALFORMED},
        {"old  1\n\n" NOTE, E_MALFORMED},
        {"Old 1\n\n" NOTE, E_MALFORMED},
        {"old 1\r\n\n" NOTE, E_MALFORMED},
        {"\nold 1\n\n" NOTE, E_MALFORMED},
        {"old 1\n" NOTE, E_MALFORMED},
        {"old 1\nAAAA\n\n" NOTE, E_MALFORMED},
        {"old 1\n AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" NOTE, E_MALFORMED},
        {"old 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n\n" NOTE, E_MALFORMED}, /* a stray bit */
        {"old 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n" NOTE, E_MALFORMED},  /* no padding */
        {"old 1\n\n", E_MALFORMED},
        {"old 1\n", E_MALFORMED},
        {"old 1", E_MALFORMED},
        {"", E_MALFORMED},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct witness_request request;
        assert_error(witness_request_parse(bytes_text(cases[i].body), &request), cases[i].error);
    }
}

static void a_proof_is_bounded(void **state) {
    (void)state;
    for (unsigned n = WITNESS_PROOF_MAX; n <= WITNESS_PROOF_MAX + 1; n++) {
        struct witness_request request;
        AUTO_BUF body = {0};
        buf_add_bytes(&body, bytes_text("old 1\n"));
        for (unsigned i = 0; i < n; i++) buf_add_bytes(&body, bytes_text(HASH));
        buf_add_bytes(&body, bytes_text("\n" NOTE));
        assert_error(witness_request_parse(buf_bytes(&body), &request), n > WITNESS_PROOF_MAX ? E_OUT_OF_RANGE : E_OK);
    }
}

/* ---- answers ---- */

static void an_answer_is_joined_to_its_head(void **state) {
    (void)state;
    AUTO_STAGE stage = stage_of(3);
    AUTO_BUF body = {0}, lines = {0}, whole = {0}, again = {0};
    struct witness_request request;
    struct note_key keys[2];
    struct note_signed found[2];
    struct note note;
    uint8_t public[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    pair_of(2, public, secret);
    keys[0] = stage.log.key;
    assert_ok(note_key_make(bytes_text("witness.example"), NOTE_COSIGNATURE, public, &keys[1]));
    make_request(&stage, 0, 3, NOW, &body);
    assert_ok(witness_request_parse(buf_bytes(&body), &request));
    note_sign(request.note.text, &keys[1], secret, NOW / 1000, &lines);
    assert_ok(witness_join(request.bytes, buf_bytes(&lines), &whole));
    assert_ok(note_parse(buf_bytes(&whole), &note));
    assert_ok(note_verify(&note, keys, 2, found));
    assert_true(found[0].valid && found[1].valid);
    assert_int_equal(found[1].time_s, NOW / 1000);
    assert_ok(witness_join(request.bytes, buf_bytes(&whole), &again));
    assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&whole)));
    assert_int_equal(lines.p[lines.n - 1], '\n');
    lines.n--;
    buf_clear(&again);
    assert_error(witness_join(request.bytes, buf_bytes(&lines), &again), E_MALFORMED);
    assert_error(witness_join(request.bytes, bytes_text("409\n"), &again), E_MALFORMED);
    assert_error(witness_join(request.bytes, (struct bytes){0}, &again), E_MALFORMED);
    assert_int_equal(again.n, 0);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_witnesss_answers_are_given_here_too),
        cmocka_unit_test(the_projects_own_request_is_cosigned_byte_for_byte),
        cmocka_unit_test(every_growth_is_cosigned_and_no_other_old_size),
        cmocka_unit_test(a_head_whose_time_is_off_is_refused),
        cmocka_unit_test(a_log_that_shows_two_faces_is_refused),
        cmocka_unit_test(a_proof_where_there_is_nothing_to_prove_is_refused),
        cmocka_unit_test(no_touched_request_is_cosigned_for_another_head),
        cmocka_unit_test(what_can_be_read_is_written_the_same),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(a_proof_is_bounded),
        cmocka_unit_test(an_answer_is_joined_to_its_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
