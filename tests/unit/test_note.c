/* test_note.c - signed notes, checkpoints and cosignatures against published and derived vectors; every truncation and
 * bit flip of a note. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "merkle.h"
#include "note.h"
#include "vectors.h"

enum { KEYS_MAX = 4 };

/* Secret keys of RFC 8032 section 7.1, tests 1 and 2. */
static const char *const seeds[] = {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                                    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"};

static void secret_of(unsigned n, uint8_t secret[static SIGN_SECRET_SIZE]) {
    uint8_t seed[KEY_SIZE], public[KEY_SIZE];
    assert_int_equal(sodium_hex2bin(seed, KEY_SIZE, seeds[n], 2 * KEY_SIZE, NULL, NULL, NULL), 0);
    crypto_sign_seed_keypair(public, secret, seed);
}

static size_t read_keys(const json_t *list, struct note_key keys[static KEYS_MAX]) {
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one) {
        AUTO_BUF again = {0};
        assert_true(i < KEYS_MAX);
        assert_int_equal(note_key_parse(bytes_text(json_string_value(one)), &keys[i]), E_OK);
        note_key_format(&keys[i], &again);
        assert_true(bytes_are(buf_bytes(&again), json_string_value(one)));
    }
    return i;
}

static enum error open_note(struct bytes bytes, const struct note_key *keys, size_t count, struct note_signed *ret) {
    struct note note;
    TRY(note_parse(bytes, &note));
    return note_verify(&note, keys, count, ret);
}

static void published_notes_verify_under_their_keys_and_format_as_they_came(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/signed_notes.json");
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(file, "valid"), i, one) {
        struct note_key keys[KEYS_MAX];
        struct note_signed found[KEYS_MAX];
        struct note note;
        AUTO_BUF again = {0};
        size_t count = read_keys(json_object_get(one, "vkeys"), keys);
        struct bytes bytes = bytes_text(vectors_text(one, "note"));
        assert_int_equal(note_parse(bytes, &note), E_OK);
        assert_int_equal(note_verify(&note, keys, count, found), E_OK);
        for (size_t k = 0; k < count; k++) {
            assert_true(found[k].valid);
            assert_int_equal(found[k].time_s != 0, keys[k].algorithm == NOTE_COSIGNATURE);
        }
        note_format(&note, &again);
        assert_true(bytes_equal(buf_bytes(&again), bytes));
    }
    assert_int_equal(i, 3);
}

static void notes_changed_in_one_place_are_refused(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/signed_notes.json");
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(file, "invalid (derived from the valid ones by one change)"), i, one) {
        struct note_key keys[KEYS_MAX];
        struct note_signed found[KEYS_MAX] = {{.time_s = 7}};
        size_t count = read_keys(json_object_get(one, "vkeys"), keys);
        assert_int_equal(open_note(bytes_text(vectors_text(one, "note")), keys, count, found), E_BAD_SIGNATURE);
        assert_int_equal(found[0].time_s, 7);
    }
    assert_int_equal(i, 8);
}

static void a_cosignature_line_holds_its_time(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/signed_notes.json");
    const json_t *one = json_array_get(json_object_get(file, "framing_only"), 0);
    struct note note;
    uint8_t line[128];
    size_t n;
    assert_int_equal(note_parse(bytes_text(vectors_text(one, "note")), &note), E_OK);
    assert_int_equal(note.count, 2);
    assert_true(bytes_are(note.lines[1].name, "witness.example.com/w1"));
    assert_int_equal(sodium_base642bin(line, sizeof line, (const char *)note.lines[1].base64.p, note.lines[1].base64.n,
                                       NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL),
                     0);
    assert_int_equal(n, 4 + 8 + 64);
    uint64_t time_s = 0;
    for (size_t i = 4; i < 12; i++) time_s = time_s << 8 | line[i];
    assert_int_equal(time_s, vectors_uint(one, "cosignature_timestamp"));
}

static void published_checkpoints_are_read_and_made_again(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/signed_notes.json");
    static const char *const origins[] = {NULL, "go.sum database tree", "arche2025h1.staging.ct.transparency.dev"};
    static const uint64_t sizes[] = {0, 35225469, 1432088532};
    for (size_t i = 0; i < LENGTH(origins); i++) {
        const json_t *one = json_array_get(json_object_get(file, "valid"), i);
        struct note note;
        struct checkpoint checkpoint;
        AUTO_BUF again = {0};
        assert_int_equal(note_parse(bytes_text(vectors_text(one, "note")), &note), E_OK);
        if (!origins[i]) {
            assert_int_equal(checkpoint_parse(note.text, &checkpoint), E_MALFORMED);
            continue;
        }
        assert_int_equal(checkpoint_parse(note.text, &checkpoint), E_OK);
        assert_true(bytes_are(checkpoint.origin, origins[i]));
        assert_int_equal(checkpoint.size, sizes[i]);
        checkpoint_format(&checkpoint, &again);
        assert_true(bytes_equal(buf_bytes(&again), note.text));
    }
}

static void checkpoint_and_cosignature_are_made_byte_for_byte(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/project_tlog_proof.json");
    struct bytes text = bytes_text(vectors_text(file, "checkpoint_note_text"));
    AUTO_BUF note = {0}, message = {0};
    static const char *const names[] = {"relay.example/evidence", "witness.example/w1"};
    static const char *const members[] = {"log_vkey", "witness_vkey"};
    static const enum note_algorithm algorithms[] = {NOTE_ED25519, NOTE_COSIGNATURE};
    struct note_key keys[2];
    struct note_signed found[2];
    assert_int_equal(note_begin(text, &note), E_OK);
    for (unsigned i = 0; i < 2; i++) {
        AUTO_BUF written = {0};
        uint8_t secret[SIGN_SECRET_SIZE];
        secret_of(i, secret);
        assert_int_equal(note_key_make(bytes_text(names[i]), algorithms[i], secret + KEY_SIZE, &keys[i]), E_OK);
        note_key_format(&keys[i], &written);
        assert_true(bytes_are(buf_bytes(&written), vectors_text(file, members[i])));
        note_sign(text, &keys[i], secret, 1767225600, &note);
    }
    assert_true(bytes_are(buf_bytes(&note), vectors_text(file, "signed_checkpoint")));
    note_cosignature_message(1767225600, text, &message);
    assert_true(bytes_are(buf_bytes(&message), vectors_text(file, "cosigned_message")));
    assert_int_equal(open_note(buf_bytes(&note), keys, 2, found), E_OK);
    assert_true(found[0].valid && found[1].valid);
    assert_int_equal(found[0].time_s, 0);
    assert_int_equal(found[1].time_s, 1767225600);
}

/* What follows the first empty line of a proof or a request: the note. */
static const char *note_in(const char *body) {
    const char *empty = strstr(body, "\n\n");
    assert_non_null(empty);
    return empty + 2;
}

/* The base64 hashes between the first lines and the empty one. */
static void hashes_in(const char *body, unsigned skip, struct buf *out) {
    for (; skip > 0; skip--) body = strchr(body, '\n') + 1;
    while (*body != '\n') {
        uint8_t hash[HASH_SIZE];
        size_t n = strcspn(body, "\n"), got;
        assert_int_equal(
            sodium_base642bin(hash, sizeof hash, body, n, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL), 0);
        assert_int_equal(got, HASH_SIZE);
        buf_add(out, hash, HASH_SIZE);
        body += n + 1;
    }
}

static void proofs_lead_to_the_signed_checkpoint(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/project_tlog_proof.json");
    AUTO_JSON *tree = vectors_load("merkle/rfc6962_reference_tree.json");
    const char *proof = vectors_text(file, "tlog_proof");
    const char *request = vectors_text(file, "witness_add_checkpoint_request_from_size_3");
    AUTO_BUF leaf = {0}, path = {0}, consistency = {0}, old = {0};
    struct note note;
    struct checkpoint checkpoint;
    uint8_t hash[HASH_SIZE];
    assert_string_equal(note_in(proof), vectors_text(file, "signed_checkpoint"));
    assert_int_equal(note_parse(bytes_text(note_in(proof)), &note), E_OK);
    assert_int_equal(checkpoint_parse(note.text, &checkpoint), E_OK);
    struct bytes root = bytes_of(checkpoint.root, HASH_SIZE);
    vectors_hex(json_object_get(file, "leaf_hex"), &leaf);
    merkle_leaf(buf_bytes(&leaf), hash);
    hashes_in(proof, 2, &path);
    uint64_t index = vectors_uint(file, "leaf_index");
    assert_int_equal(merkle_verify_inclusion(hash, index, checkpoint.size, buf_bytes(&path), root), E_OK);
    assert_int_equal(merkle_verify_inclusion(hash, index + 1, checkpoint.size, buf_bytes(&path), root), E_BAD_PROOF);
    assert_int_equal(note_parse(bytes_text(note_in(request)), &note), E_OK);
    hashes_in(request, 1, &consistency);
    vectors_hex(json_array_get(json_object_get(tree, "root_hashes_hex_by_size_0_to_8"), 3), &old);
    assert_int_equal(merkle_verify_consistency(3, buf_bytes(&old), checkpoint.size, root, buf_bytes(&consistency)),
                     E_OK);
}

static void checkpoints_in_requests_to_a_witness_verify_where_they_should(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/witness_add_checkpoint.json");
    struct note_key key;
    size_t i, good = 0;
    json_t *one;
    assert_int_equal(note_key_parse(bytes_text(vectors_text(file, "log_vkey")), &key), E_OK);
    json_array_foreach(json_object_get(file, "cases"), i, one) {
        const char *bytes = note_in(vectors_text(one, "request_body"));
        bool want = json_is_true(json_object_get(one, "log_signature_valid"));
        struct note_signed found;
        struct note note;
        struct checkpoint checkpoint;
        assert_int_equal(open_note(bytes_text(bytes), &key, 1, &found) == E_OK, want);
        good += want;
        if (!want) continue;
        assert_int_equal(note_parse(bytes_text(bytes), &note), E_OK);
        assert_int_equal(checkpoint_parse(note.text, &checkpoint), E_OK);
        assert_true(bytes_are(checkpoint.origin, vectors_text(file, "origin")));
    }
    assert_int_equal(i, 9);
    assert_int_equal(good, 7);
}

/* ---- strictness ---- */

/* A note whose bytes were changed anywhere: refused, or both signers are no longer found in it. */
static void no_touched_note_is_taken_for_the_one_that_was_signed(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/project_tlog_proof.json");
    struct bytes whole = bytes_text(vectors_text(file, "signed_checkpoint"));
    struct note_key keys[2];
    struct note_signed found[2];
    assert_int_equal(note_key_parse(bytes_text(vectors_text(file, "log_vkey")), &keys[0]), E_OK);
    assert_int_equal(note_key_parse(bytes_text(vectors_text(file, "witness_vkey")), &keys[1]), E_OK);
    AUTO_BUF copy = {0};
    buf_add_bytes(&copy, whole);
    for (size_t i = 0; i < whole.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy.p[i] ^= (uint8_t)(1u << bit);
            enum error error = open_note(buf_bytes(&copy), keys, 2, found);
            assert_true(error != E_OK || !found[0].valid || !found[1].valid);
            for (size_t k = 0; k < 2; k++) { /* a signature that still counts is over the very same text */
                struct note note;
                if (error != E_OK || !found[k].valid) continue;
                assert_int_equal(note_parse(buf_bytes(&copy), &note), E_OK);
                assert_true(bytes_are(note.text, vectors_text(file, "checkpoint_note_text")));
            }
            copy.p[i] ^= (uint8_t)(1u << bit);
        }
    }
    for (size_t n = 0; n < whole.n; n++) {
        enum error error = open_note(bytes_of(whole.p, n), keys, 2, found);
        assert_true(error != E_OK || !found[1].valid); /* cut between two lines, the log's signature stands alone */
    }
    assert_int_equal(open_note(whole, keys, 2, found), E_OK);
}

/* Whatever is read gives the same bytes again: there is one form only. */
static void every_flip_that_can_be_read_is_written_the_same(void **state) {
    (void)state;
    AUTO_JSON *file = vectors_load("c2sp/project_tlog_proof.json");
    AUTO_BUF copy = {0}, again = {0};
    buf_add_bytes(&copy, bytes_text(vectors_text(file, "signed_checkpoint")));
    size_t readable = 0;
    for (size_t i = 0; i < 8 * copy.n; i++) {
        struct note note;
        struct checkpoint checkpoint;
        copy.p[i / 8] ^= (uint8_t)(1u << i % 8);
        if (note_parse(buf_bytes(&copy), &note) == E_OK) {
            buf_clear(&again);
            note_format(&note, &again);
            assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&copy)));
            if (checkpoint_parse(note.text, &checkpoint) == E_OK) {
                buf_clear(&again);
                checkpoint_format(&checkpoint, &again);
                assert_true(bytes_equal(buf_bytes(&again), note.text));
            }
            readable++;
        }
        copy.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(readable > 0);
}

/* libsodium 1.0.18 reads every byte beyond ASCII as a slash. */
static void base64_has_no_bytes_beyond_ascii(void **state) {
    (void)state;
    uint8_t out[8];
    size_t n;
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t text[] = {'A', (uint8_t)c, 'A', 'A'};
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        assert_int_equal(note_base64(bytes_of(text, sizeof text), out, sizeof out, &n), letter || c == '+' || c == '/');
    }
    struct note note;
    assert_int_equal(note_parse(bytes_text("text\n\n\xe2\x80\x94 a.example AAAA///=\n"), &note), E_MALFORMED); /* stray */
    assert_int_equal(note_parse(bytes_text("text\n\n\xe2\x80\x94 a.example AAAA/AA=\n"), &note), E_OK);
    assert_int_equal(note_parse(bytes_text("text\n\n\xe2\x80\x94 a.example AA\xc3\xa9//AA=\n"), &note), E_MALFORMED);
}

#define SIGNATURE "\xe2\x80\x94 a.example AAAAAAA=\n"

static void what_is_no_note_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        enum error error;
    } cases[] = {
        {"text\n\n" SIGNATURE, E_OK},
        {"text\n\n\nmore\n\n" SIGNATURE SIGNATURE, E_OK},
        {"", E_MALFORMED},
        {"text\n", E_MALFORMED},
        {"text\n\n", E_MALFORMED},
        {"text\n" SIGNATURE, E_MALFORMED},
        {"\n" SIGNATURE, E_MALFORMED},
        {"text\n\n" SIGNATURE "\n", E_MALFORMED},
        {"text\n\n" SIGNATURE "more", E_MALFORMED},
        {"text\n\n" SIGNATURE "more\n", E_MALFORMED},
        {"text\r\n\n" SIGNATURE, E_BAD_TEXT},
        {"te\txt\n\n" SIGNATURE, E_BAD_TEXT},
        {"te\xffxt\n\n" SIGNATURE, E_BAD_TEXT},
        {"te\xed\xa0\x80xt\n\n" SIGNATURE, E_BAD_TEXT},
        {"text\n\n- a.example AAAAAAA=\n", E_MALFORMED},
        {"text\n\n\xe2\x80\x94"
         "a.example AAAAAAA=\n",
         E_MALFORMED},
        {"text\n\n\xe2\x80\x94  AAAAAAA=\n", E_BAD_TEXT},
        {"text\n\n\xe2\x80\x94 a+b AAAAAAA=\n", E_BAD_TEXT},
        {"text\n\n\xe2\x80\x94 a\xc2\xa0"
         "b AAAAAAA=\n",
         E_BAD_TEXT},
        {"text\n\n\xe2\x80\x94 a\xe2\x80\x83"
         "b AAAAAAA=\n",
         E_BAD_TEXT},
        {"text\n\n\xe2\x80\x94 a\xe3\x80\x80"
         "b AAAAAAA=\n",
         E_BAD_TEXT},
        {"text\n\n\xe2\x80\x94 a b AAAAAAA=\n", E_MALFORMED},
        {"text\n\n\xe2\x80\x94 a.example\n", E_MALFORMED},
        {"text\n\n\xe2\x80\x94 a.example \n", E_MALFORMED},
        {"text\n\n\xe2\x80\x94 a.example AAAAAA==\n", E_MALFORMED}, /* a key hash and no signature */
        {"text\n\n\xe2\x80\x94 a.example AAAAAAA\n", E_MALFORMED},  /* not padded */
        {"text\n\n\xe2\x80\x94 a.example AAAAAAB=\n", E_MALFORMED}, /* stray bits */
        {"text\n\n\xe2\x80\x94 a.example AAAAAA_=\n", E_MALFORMED},
        {"text\n\n\xe2\x80\x94 a.example AAAAAAA= \n", E_MALFORMED},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct note note;
        enum error error = note_parse(bytes_text(cases[i].bytes), &note);
        if (error != cases[i].error) print_error("case %zu: %s\n", i, error_row(error)->name);
        assert_int_equal(error, cases[i].error);
    }
}

static void a_note_has_limits(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    struct note note;
    buf_add_bytes(&bytes, bytes_text("text\n\n"));
    for (unsigned i = 0; i < NOTE_SIGNATURES_MAX; i++) buf_add_bytes(&bytes, bytes_text(SIGNATURE));
    assert_int_equal(note_parse(buf_bytes(&bytes), &note), E_OK);
    assert_int_equal(note.count, NOTE_SIGNATURES_MAX);
    buf_add_bytes(&bytes, bytes_text(SIGNATURE));
    assert_int_equal(note_parse(buf_bytes(&bytes), &note), E_OUT_OF_RANGE);
    buf_clear(&bytes);
    size_t room = SIGNED_NOTE_MAX - sizeof SIGNATURE + 1 - 2;
    for (size_t i = 0; i < room; i++) buf_add_bytes(&bytes, bytes_text("x"));
    buf_add_bytes(&bytes, bytes_text("\n\n" SIGNATURE));
    assert_int_equal(note_parse(buf_bytes(&bytes), &note), E_OK);
    buf_clear(&bytes);
    for (size_t i = 0; i <= room; i++) buf_add_bytes(&bytes, bytes_text("x"));
    buf_add_bytes(&bytes, bytes_text("\n\n" SIGNATURE));
    assert_int_equal(note_parse(buf_bytes(&bytes), &note), E_OUT_OF_RANGE);
    buf_clear(&bytes);
    assert_int_equal(note_begin(bytes_text("no newline"), &bytes), E_MALFORMED);
    assert_int_equal(note_begin(bytes_text(""), &bytes), E_MALFORMED);
    assert_int_equal(note_begin(bytes_text("a\x01\n"), &bytes), E_BAD_TEXT);
    assert_int_equal(bytes.n, 0);
}

static void a_known_key_twice_must_hold_twice(void **state) {
    (void)state;
    struct note_key key;
    struct note_signed found;
    uint8_t secret[SIGN_SECRET_SIZE];
    AUTO_BUF note = {0};
    secret_of(1, secret);
    assert_int_equal(note_key_make(bytes_text("w"), NOTE_COSIGNATURE, secret + KEY_SIZE, &key), E_OK);
    assert_int_equal(note_begin(bytes_text("text\n"), &note), E_OK);
    note_sign(bytes_text("text\n"), &key, secret, 20, &note);
    note_sign(bytes_text("text\n"), &key, secret, 10, &note);
    assert_int_equal(open_note(buf_bytes(&note), &key, 1, &found), E_OK);
    assert_int_equal(found.time_s, 20);
    note_sign(bytes_text("another\n"), &key, secret, 30, &note);
    assert_int_equal(open_note(buf_bytes(&note), &key, 1, &found), E_BAD_SIGNATURE);
}

static void what_is_no_verifier_key_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum error error;
    } cases[] = {
        {"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_OK},
        {"example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_BAD_KEY},
        {"example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_BAD_KEY},
        {"example.com/fox+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_BAD_KEY},
        {"example.com/foo++AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_BAD_KEY},
        {"+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_BAD_TEXT},
        {"example com+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_BAD_TEXT},
        {"example.com/foo+530d903a", E_MALFORMED},
        {"example.com/foo+530d903a+", E_MALFORMED},
        {"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2", E_MALFORMED},
        {"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k=", E_MALFORMED},
        {"example.com/foo+530d903a+Aeky", E_MALFORMED},
        {"example.com/foo+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", E_UNKNOWN_SUITE},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct note_key key;
        enum error error = note_key_parse(bytes_text(cases[i].text), &key);
        if (error != cases[i].error) print_error("case %zu: %s\n", i, error_row(error)->name);
        assert_int_equal(error, cases[i].error);
    }
}

static void keys_of_small_order_and_unknown_algorithms_are_refused(void **state) {
    (void)state;
    static const uint8_t identity[KEY_SIZE] = {1}, zeros[KEY_SIZE];
    uint8_t secret[SIGN_SECRET_SIZE];
    struct note_key key;
    secret_of(0, secret);
    assert_int_equal(note_key_make(bytes_text("a"), NOTE_ED25519, identity, &key), E_BAD_KEY);
    assert_int_equal(note_key_make(bytes_text("a"), NOTE_COSIGNATURE, zeros, &key), E_BAD_KEY);
    assert_int_equal(note_key_make(bytes_text("a"), (enum note_algorithm)2, secret + KEY_SIZE, &key), E_UNKNOWN_SUITE);
    assert_int_equal(note_key_make(bytes_text(""), NOTE_ED25519, secret + KEY_SIZE, &key), E_BAD_TEXT);
    assert_int_equal(note_key_make(bytes_text("a"), NOTE_ED25519, secret + KEY_SIZE, &key), E_OK);
}

/* Seconds up to 2^63 - 1 only: a larger number, rightly signed, is no cosignature. */
static void a_cosignature_time_beyond_the_limit_is_refused(void **state) {
    (void)state;
    const struct bytes text = bytes_text("text\n");
    static const uint64_t times[] = {INT64_MAX, (uint64_t)INT64_MAX + 1};
    struct note_key key;
    struct note_signed found = {0};
    uint8_t secret[SIGN_SECRET_SIZE], line[4 + 8 + SIGNATURE_SIZE];
    char base64[128];
    secret_of(1, secret);
    assert_int_equal(note_key_make(bytes_text("w"), NOTE_COSIGNATURE, secret + KEY_SIZE, &key), E_OK);
    for (size_t t = 0; t < LENGTH(times); t++) {
        AUTO_BUF message = {0}, note = {0};
        note_cosignature_message(times[t], text, &message);
        memcpy(line, key.hash, 4);
        for (unsigned i = 0; i < 8; i++) line[4 + i] = (uint8_t)(times[t] >> (56 - 8 * i));
        crypto_sign_detached(line + 12, NULL, message.p, message.n, secret);
        sodium_bin2base64(base64, sizeof base64, line, sizeof line, sodium_base64_VARIANT_ORIGINAL);
        assert_int_equal(note_begin(text, &note), E_OK);
        buf_add_bytes(&note, bytes_text("\xe2\x80\x94 w "));
        buf_add_bytes(&note, bytes_text(base64));
        buf_add_bytes(&note, bytes_text("\n"));
        assert_int_equal(open_note(buf_bytes(&note), &key, 1, &found), t == 0 ? E_OK : E_BAD_SIGNATURE);
    }
    assert_true(found.time_s == INT64_MAX);
}

static void no_touched_verifier_key_is_taken(void **state) {
    (void)state;
    AUTO_BUF copy = {0};
    buf_add_bytes(&copy, bytes_text("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"));
    struct note_key key;
    for (size_t i = 0; i < 8 * copy.n; i++) {
        copy.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(note_key_parse(buf_bytes(&copy), &key), E_OK);
        copy.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < copy.n; n++) assert_int_not_equal(note_key_parse(bytes_of(copy.p, n), &key), E_OK);
    assert_int_equal(note_key_parse(buf_bytes(&copy), &key), E_OK);
}

#define ROOT "vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n"

static void what_is_no_checkpoint_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum error error;
    } cases[] = {
        {"log\n0\n" ROOT, E_OK},
        {"log\n9223372036854775807\n" ROOT "one\ntwo\n", E_OK},
        {"log\n9223372036854775808\n" ROOT, E_OUT_OF_RANGE},
        {"log\n18446744073709551617\n" ROOT, E_OUT_OF_RANGE},
        {"log\n99999999999999999999999\n" ROOT, E_OUT_OF_RANGE},
        {"\n1\n" ROOT, E_MALFORMED},
        {"log\n\n" ROOT, E_MALFORMED},
        {"log\n01\n" ROOT, E_MALFORMED},
        {"log\n+1\n" ROOT, E_MALFORMED},
        {"log\n-1\n" ROOT, E_MALFORMED},
        {"log\n 1\n" ROOT, E_MALFORMED},
        {"log\n0x1\n" ROOT, E_MALFORMED},
        {"log\n1\n", E_MALFORMED},
        {"log\n1\n\n", E_MALFORMED},
        {"log\n1\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ\n", E_MALFORMED},
        {"log\n1\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCR=\n", E_MALFORMED},
        {"log\n1\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJA==\n", E_MALFORMED},
        {"log\n1\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=", E_MALFORMED},
        {"log\n1\n" ROOT "\n", E_MALFORMED},
        {"log\n1\n" ROOT "one\n\ntwo\n", E_MALFORMED},
        {"log\n1\n" ROOT "one", E_MALFORMED},
        {"lo\x07g\n1\n" ROOT, E_BAD_TEXT},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct checkpoint checkpoint;
        enum error error = checkpoint_parse(bytes_text(cases[i].text), &checkpoint);
        if (error != cases[i].error) print_error("case %zu: %s\n", i, error_row(error)->name);
        assert_int_equal(error, cases[i].error);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_notes_verify_under_their_keys_and_format_as_they_came),
        cmocka_unit_test(notes_changed_in_one_place_are_refused),
        cmocka_unit_test(a_cosignature_line_holds_its_time),
        cmocka_unit_test(published_checkpoints_are_read_and_made_again),
        cmocka_unit_test(checkpoint_and_cosignature_are_made_byte_for_byte),
        cmocka_unit_test(proofs_lead_to_the_signed_checkpoint),
        cmocka_unit_test(base64_has_no_bytes_beyond_ascii),
        cmocka_unit_test(checkpoints_in_requests_to_a_witness_verify_where_they_should),
        cmocka_unit_test(no_touched_note_is_taken_for_the_one_that_was_signed),
        cmocka_unit_test(every_flip_that_can_be_read_is_written_the_same),
        cmocka_unit_test(what_is_no_note_is_refused),
        cmocka_unit_test(a_note_has_limits),
        cmocka_unit_test(a_known_key_twice_must_hold_twice),
        cmocka_unit_test(what_is_no_verifier_key_is_refused),
        cmocka_unit_test(keys_of_small_order_and_unknown_algorithms_are_refused),
        cmocka_unit_test(a_cosignature_time_beyond_the_limit_is_refused),
        cmocka_unit_test(no_touched_verifier_key_is_taken),
        cmocka_unit_test(what_is_no_checkpoint_is_refused),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
