/* test_fraud.c - heads of the relay's logs, and proofs that a relay has lied about it: made from what the relay itself
 * signed, and refused whenever anything in them was changed or they prove nothing. */
#include "heads_fixture.h"

static struct card card;
static uint8_t honest[HEADS_LEAVES * HASH_SIZE], forked[HEADS_LEAVES * HASH_SIZE];

static int set_up(void **state) {
    (void)state;
    card = heads_card(2);
    heads_log(HEADS_LEAVES, honest);
    heads_log(6, forked);
    return 0;
}

static struct bytes hashes_of(const uint8_t *hashes, size_t n) { return bytes_of(hashes, n * HASH_SIZE); }

/* ---- heads ---- */

static void a_head_tells_size_root_time_and_who_has_cosigned(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    struct head head;
    uint8_t root[HASH_SIZE];
    merkle_root(honest, 9, root);
    head_of(&card, honest, 9, WORLD_TIME, &note);
    head_cosign(&card, 1, 1800000005, &note);
    assert_ok(head_open(&card, buf_bytes(&note), &head));
    assert_int_equal(head.size, 9);
    assert_memory_equal(head.root, root, HASH_SIZE);
    assert_int_equal(head.time.ms, WORLD_TIME);
    assert_false(head.words[0].valid);
    assert_true(head.words[1].valid);
    assert_int_equal(head.words[1].time_s, 1800000005);
}

static void a_head_with_any_bit_changed_is_refused_or_loses_a_word(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    struct head head, changed;
    head_of(&card, honest, 9, WORLD_TIME, &note);
    head_cosign(&card, 0, 1800000005, &note);
    assert_ok(head_open(&card, buf_bytes(&note), &head));
    for (size_t i = 0; i < note.n * 8; i++) {
        note.p[i / 8] ^= (uint8_t)(1 << i % 8);
        enum error error = head_open(&card, buf_bytes(&note), &changed);
        /* A damaged name or key hash makes a witness's line one of an unknown key. */
        if (error == E_OK) assert_false(changed.words[0].valid);
        note.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t n = 0; n < note.n; n++) {
        enum error error = head_open(&card, bytes_of(note.p, n), &changed);
        if (error == E_OK) assert_false(changed.words[0].valid);
    }
}

static void a_head_of_another_log_or_without_its_time_is_refused(void **state) {
    (void)state;
    struct note_key key;
    uint8_t root[HASH_SIZE] = {1};
    static const struct {
        const char *log, *extension;
        enum error error;
    } rows[] = {{"directory", "time 5\n", E_OK},
                {"evidence", "time 5\n", E_BAD_SIGNATURE},
                {"directory", "", E_MALFORMED},
                {"directory", "time \n", E_MALFORMED},
                {"directory", "time 05\n", E_MALFORMED},
                {"directory", "time 5x\n", E_MALFORMED},
                {"directory", "time 5\ntime 5\n", E_MALFORMED},
                {"directory", "tide 5\n", E_MALFORMED},
                {"directory", "time 9223372036854775808\n", E_OUT_OF_RANGE}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        AUTO_BUF text = {0}, note = {0};
        struct head head;
        assert_ok(card_log_key(&card, rows[i].log, &key));
        head_text_of(key.name, 4, root, rows[i].extension, &text);
        assert_ok(note_begin(buf_bytes(&text), &note));
        note_sign(buf_bytes(&text), &key, pair_of(LOG_KEY).secret, 0, &note);
        assert_error(head_open(&card, buf_bytes(&note), &head), rows[i].error);
    }
    AUTO_BUF text = {0}, note = {0};
    struct head head;
    assert_ok(card_log_key(&card, "directory", &key));
    head_text_of("relay.other/directory", 4, root, "time 5\n", &text);
    assert_ok(note_begin(buf_bytes(&text), &note));
    note_sign(buf_bytes(&text), &key, pair_of(LOG_KEY).secret, 0, &note);
    assert_error(head_open(&card, buf_bytes(&note), &head), E_MISMATCH);
}

static void a_witness_alone_makes_no_head_and_a_bad_word_spoils_it(void **state) {
    (void)state;
    AUTO_BUF note = {0}, alone = {0};
    struct head head;
    struct note parsed;
    head_of(&card, honest, 9, WORLD_TIME, &note);
    assert_ok(note_parse(buf_bytes(&note), &parsed));
    assert_ok(note_begin(parsed.text, &alone));
    note_sign(parsed.text, &card.witnesses[0], pair_of(WITNESS_ONE).secret, 5, &alone);
    assert_error(head_open(&card, buf_bytes(&alone), &head), E_BAD_SIGNATURE);
    note_sign(parsed.text, &card.witnesses[0], pair_of(WITNESS_TWO).secret, 5, &note); /* by another's key */
    assert_error(head_open(&card, buf_bytes(&note), &head), E_BAD_SIGNATURE);
}

static void the_bare_head_bears_the_logs_signature_alone(void **state) {
    (void)state;
    AUTO_BUF note = {0}, whole = {0}, bare = {0};
    head_of(&card, honest, 9, WORLD_TIME, &note);
    buf_add_bytes(&whole, buf_bytes(&note));
    head_cosign(&card, 0, 5, &whole);
    assert_ok(head_bare(&card, buf_bytes(&whole), &bare));
    assert_true(bytes_equal(buf_bytes(&bare), buf_bytes(&note)));
}

/* ---- proofs ---- */

static void make_heads_proof(size_t n, size_t m, struct buf *out) {
    AUTO_BUF older = {0}, newer = {0};
    head_of(&card, honest, n, WORLD_TIME, &older);
    head_of(&card, forked, m, WORLD_TIME + 1, &newer);
    assert_ok(fraud_make_heads(&card, buf_bytes(&newer), buf_bytes(&older), hashes_of(forked, m), out));
}

static void two_heads_that_no_log_can_have_are_a_proof(void **state) {
    (void)state;
    for (size_t n = 7; n < HEADS_LEAVES; n++)
        for (size_t m = n; m < HEADS_LEAVES; m++) {
            AUTO_BUF proof = {0};
            struct fraud_view view;
            uint8_t root[HASH_SIZE];
            make_heads_proof(n, m, &proof);
            assert_ok(fraud_verify(buf_bytes(&proof), &view));
            assert_int_equal(view.kind, FRAUD_HEADS);
            assert_int_equal(view.older.size, n);
            assert_int_equal(view.newer.size, m);
            merkle_root(forked, n, root);
            assert_memory_equal(view.root, root, HASH_SIZE);
            merkle_root(honest, n, root);
            assert_memory_equal(view.older.root, root, HASH_SIZE);
            assert_string_equal(view.card.name, "relay.test");
        }
}

static void two_heads_of_one_log_prove_nothing(void **state) {
    (void)state;
    AUTO_BUF older = {0}, newer = {0}, again = {0}, proof = {0};
    head_of(&card, honest, 5, WORLD_TIME, &older);
    head_of(&card, honest, 9, WORLD_TIME + 1, &newer);
    head_of(&card, honest, 9, WORLD_TIME + 2, &again);
    struct bytes hashes = hashes_of(honest, 9);
    assert_error(fraud_make_heads(&card, buf_bytes(&older), buf_bytes(&newer), hashes, &proof), E_NO_PROOF);
    assert_error(fraud_make_heads(&card, buf_bytes(&newer), buf_bytes(&again), hashes, &proof), E_NO_PROOF);
    assert_error(fraud_make_heads(&card, buf_bytes(&newer), buf_bytes(&newer), hashes, &proof), E_NO_PROOF);
    assert_int_equal(proof.n, 0);
    /* The logs part after six entries: nothing is wrong before. */
    AUTO_BUF other = {0};
    head_of(&card, forked, 9, WORLD_TIME + 1, &other);
    assert_error(fraud_make_heads(&card, buf_bytes(&older), buf_bytes(&other), hashes_of(forked, 9), &proof),
                 E_NO_PROOF);
    assert_error(fraud_make_heads(&card, buf_bytes(&older), buf_bytes(&other), hashes, &proof), E_BAD_PROOF);
}

/* Root and path as a relay's answer brings them, instead of hashes. */
static void make_evidence_proof(size_t n, size_t m, struct buf *out) {
    AUTO_BUF older = {0}, newer = {0}, path = {0};
    uint8_t root[HASH_SIZE];
    evidence_head_of(&card, honest, n, WORLD_TIME, &older);
    evidence_head_of(&card, forked, m, WORLD_TIME + 1, &newer);
    if (n < m) merkle_consistency_path(forked, m, n, &path);
    merkle_root(forked, n, root);
    assert_ok(fraud_make_heads_by(&card, buf_bytes(&older), buf_bytes(&newer), root, buf_bytes(&path), out));
}

static void two_heads_that_no_evidence_log_can_have_are_a_proof(void **state) {
    (void)state;
    for (size_t n = 7; n < HEADS_LEAVES; n++)
        for (size_t m = n; m < HEADS_LEAVES; m++) {
            AUTO_BUF proof = {0};
            struct fraud_view view;
            make_evidence_proof(n, m, &proof);
            assert_ok(fraud_verify(buf_bytes(&proof), &view));
            assert_int_equal(view.kind, FRAUD_HEADS);
            assert_int_equal(view.log, LOG_EVIDENCE);
            assert_int_equal(view.older.size, n);
            assert_int_equal(view.newer.size, m);
        }
    AUTO_BUF proof = {0};
    struct fraud_view view;
    make_heads_proof(7, 9, &proof);
    assert_ok(fraud_verify(buf_bytes(&proof), &view));
    assert_int_equal(view.log, LOG_DIRECTORY);
}

static void heads_of_two_logs_prove_nothing(void **state) {
    (void)state;
    AUTO_BUF evidence = {0}, directory = {0}, honest_newer = {0}, path = {0}, proof = {0};
    uint8_t root[HASH_SIZE];
    evidence_head_of(&card, honest, 9, WORLD_TIME, &evidence);
    head_of(&card, forked, 9, WORLD_TIME, &directory);
    assert_int_not_equal(
        fraud_make_heads(&card, buf_bytes(&evidence), buf_bytes(&directory), (struct bytes){0}, &proof), E_OK);
    assert_int_not_equal(
        fraud_make_heads(&card, buf_bytes(&directory), buf_bytes(&evidence), (struct bytes){0}, &proof), E_OK);
    evidence_head_of(&card, honest, 12, WORLD_TIME, &honest_newer);
    merkle_consistency_path(honest, 12, 9, &path);
    merkle_root(honest, 9, root);
    assert_error(fraud_make_heads_by(&card, buf_bytes(&evidence), buf_bytes(&honest_newer), root, buf_bytes(&path), &proof),
                 E_NO_PROOF);
    root[0] ^= 1; /* a root that the path does not show */
    assert_error(fraud_make_heads_by(&card, buf_bytes(&evidence), buf_bytes(&honest_newer), root, buf_bytes(&path), &proof),
                 E_BAD_PROOF);
    assert_int_equal(proof.n, 0);
}

static void two_entries_at_one_place_are_a_proof(void **state) {
    (void)state;
    AUTO_BUF a = {0}, b = {0}, c = {0}, proof = {0}, swapped = {0};
    struct fraud_view view;
    receipt_of(4, 1, &a);
    receipt_of(4, 2, &b);
    receipt_of(5, 2, &c);
    assert_ok(fraud_make_entries(&card, buf_bytes(&a), buf_bytes(&b), &proof));
    assert_ok(fraud_make_entries(&card, buf_bytes(&b), buf_bytes(&a), &swapped));
    assert_true(bytes_equal(buf_bytes(&proof), buf_bytes(&swapped)));
    assert_ok(fraud_verify(buf_bytes(&proof), &view));
    assert_int_equal(view.kind, FRAUD_ENTRIES);
    assert_int_equal(view.leg[0], 4);
    assert_int_equal(view.ordinal, 0);
    assert_true(memcmp(view.older.root, view.newer.root, HASH_SIZE) < 0);
    assert_error(fraud_make_entries(&card, buf_bytes(&a), buf_bytes(&a), &proof), E_NO_PROOF);
    assert_error(fraud_make_entries(&card, buf_bytes(&a), buf_bytes(&c), &proof), E_NO_PROOF);
}

static void make_promise_proof(size_t size, const uint8_t *later, size_t m, struct buf *out) {
    AUTO_BUF promise = {0}, newer = {0};
    uint8_t root[HASH_SIZE];
    merkle_root(honest, size, root);
    promise_of(root, size, WORLD_TIME, &promise);
    head_of(&card, later, m, WORLD_TIME + PROMISE_MS + 1, &newer);
    assert_ok(fraud_make_promise(&card, buf_bytes(&promise), buf_bytes(&newer), hashes_of(later, m), out));
}

static void a_broken_promise_is_a_proof(void **state) {
    (void)state;
    AUTO_BUF forgotten = {0}, same = {0}, smaller = {0};
    struct fraud_view view;
    make_promise_proof(9, forked, 12, &forgotten);
    assert_ok(fraud_verify(buf_bytes(&forgotten), &view));
    assert_int_equal(view.kind, FRAUD_PROMISE);
    assert_int_equal(view.deadline.ms, WORLD_TIME + PROMISE_MS);
    assert_int_equal(view.statements, 1);
    make_promise_proof(9, forked, 9, &same);
    assert_ok(fraud_verify(buf_bytes(&same), &view));
    make_promise_proof(9, honest, 8, &smaller);
    assert_ok(fraud_verify(buf_bytes(&smaller), &view));
    assert_false(view.has_root);
}

static void a_promise_that_was_kept_or_is_not_due_proves_nothing(void **state) {
    (void)state;
    AUTO_BUF promise = {0}, kept = {0}, due = {0}, proof = {0};
    uint8_t root[HASH_SIZE];
    merkle_root(honest, 9, root);
    promise_of(root, 9, WORLD_TIME, &promise);
    head_of(&card, honest, 12, WORLD_TIME + PROMISE_MS + 1, &kept);
    head_of(&card, honest, 8, WORLD_TIME + PROMISE_MS, &due);
    assert_error(fraud_make_promise(&card, buf_bytes(&promise), buf_bytes(&kept), hashes_of(honest, 12), &proof),
                 E_NO_PROOF);
    assert_error(fraud_make_promise(&card, buf_bytes(&promise), buf_bytes(&due), hashes_of(honest, 8), &proof),
                 E_NO_PROOF);
}

/* ---- a directory with an entry that breaks its rules ---- */

/* A charter, an admission by `registrar`, and the beginning of another charter: as the items of a list. */
static void make_directory(unsigned registrar, struct buf *items) {
    struct charter charter = charter_of("de", AUTHORITY), other = charter_of("fj", OTHER_AUTHORITY);
    struct admission admission = {
        .party = bytes_text("de"), .action = ACTION_ADMIT, .created = {8}, .has_charter = true};
    AUTO_BUF one = {0}, two = {0}, three = {0}, leaf = {0};
    hash_charter(&charter, admission.charter);
    sign_charter(&charter, AUTHORITY, &one);
    sign_admission(&admission, registrar, &two);
    sign_charter(&other, OTHER_AUTHORITY, &three);
    const struct {
        enum leaf_kind kind;
        const struct buf *statement;
    } entries[] = {{LEAF_CHARTER, &one}, {LEAF_ADMISSION, &two}, {LEAF_CHARTER, &three}};
    for (size_t i = 0; i < LENGTH(entries); i++) {
        buf_clear(&leaf);
        leaf_bytes(entries[i].kind, buf_bytes(entries[i].statement), WORLD_TIME, &leaf);
        cbor_put_bytes(items, buf_bytes(&leaf));
    }
}

/* The head of the first `n` of them. */
static void directory_head(struct list list, size_t n, struct buf *out) {
    uint8_t hashes[3 * HASH_SIZE];
    struct bytes leaf;
    for (size_t i = 0; i < n && list_next_bytes(&list, &leaf); i++) merkle_leaf(leaf, hashes + i * HASH_SIZE);
    head_of(&card, hashes, n, WORLD_TIME, out);
}

static void make_leaves_proof(size_t n, struct buf *out) {
    AUTO_BUF items = {0}, two = {0}, head = {0};
    struct bytes leaf;
    make_directory(STRANGER, &items);
    struct list all = list_of(&items, 3), some = all;
    for (size_t i = 0; i < n && list_next_bytes(&some, &leaf); i++) cbor_put_bytes(&two, leaf);
    directory_head(all, n, &head);
    assert_ok(fraud_make_leaves(&card, buf_bytes(&head), list_of(&two, n), out));
}

static void a_signed_entry_that_breaks_the_rules_is_a_proof(void **state) {
    (void)state;
    for (size_t n = 2; n <= 3; n++) {
        AUTO_BUF proof = {0};
        struct fraud_view view;
        struct leaf leaf;
        make_leaves_proof(n, &proof);
        assert_ok(fraud_verify(buf_bytes(&proof), &view));
        assert_int_equal(view.kind, FRAUD_LEAVES);
        assert_int_equal(view.older.size, 2); /* the second entry */
        assert_int_equal(view.newer.size, n);
        assert_error(view.why, E_UNKNOWN_REGISTRAR);
        assert_ok(leaf_decode(view.leaf, &leaf));
        assert_int_equal(leaf.kind, LEAF_ADMISSION);
    }
}

static void a_directory_by_the_rules_proves_nothing(void **state) {
    (void)state;
    AUTO_BUF items = {0}, head = {0}, short_head = {0}, proof = {0};
    make_directory(REGISTRAR, &items);
    directory_head(list_of(&items, 3), 3, &head);
    assert_error(fraud_make_leaves(&card, buf_bytes(&head), list_of(&items, 3), &proof), E_NO_PROOF);
    buf_clear(&items);
    make_directory(STRANGER, &items);
    directory_head(list_of(&items, 3), 1, &short_head); /* signed before the false entry came */
    assert_error(fraud_make_leaves(&card, buf_bytes(&short_head), list_of(&items, 3), &proof), E_BAD_PROOF);
    assert_error(fraud_make_leaves(&card, buf_bytes(&head), list_of(&items, 3), &proof), E_BAD_PROOF);
    assert_int_equal(proof.n, 0);
}

static void another_relays_words_accuse_nobody(void **state) {
    (void)state;
    AUTO_BUF older = {0}, newer = {0}, proof = {0};
    struct card other = card;
    memcpy(other.log, pair_of(STRANGER).public, KEY_SIZE);
    head_of(&card, honest, 9, WORLD_TIME, &older);
    head_of(&card, forked, 9, WORLD_TIME, &newer);
    assert_error(fraud_make_heads(&other, buf_bytes(&older), buf_bytes(&newer), hashes_of(forked, 9), &proof),
                 E_BAD_SIGNATURE);
}

/* Nothing signs the card inside: who changes it makes a proof against another card, as its fingerprint shows. */
static void refuses_every_change(struct buf *proof) {
    struct fraud_view whole, view;
    assert_ok(fraud_verify(buf_bytes(proof), &whole));
    for (size_t i = 0; i < proof->n * 8; i++) {
        proof->p[i / 8] ^= (uint8_t)(1 << i % 8);
        if (fraud_verify(buf_bytes(proof), &view) == E_OK)
            assert_memory_not_equal(view.card_hash, whole.card_hash, HASH_SIZE);
        proof->p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t n = 0; n < proof->n; n++) assert_true(fraud_verify(bytes_of(proof->p, n), &view) != E_OK);
    buf_add(proof, "\0", 1);
    assert_error(fraud_verify(buf_bytes(proof), &view), E_TRAILING);
}

static void a_proof_with_any_bit_changed_or_any_end_is_refused(void **state) {
    (void)state;
    AUTO_BUF heads = {0}, same = {0}, entries = {0}, promise = {0}, smaller = {0}, a = {0}, b = {0};
    AUTO_BUF leaves = {0}, evidence = {0};
    make_evidence_proof(7, 11, &evidence);
    refuses_every_change(&evidence);
    make_leaves_proof(3, &leaves);
    make_heads_proof(7, 11, &heads);
    make_heads_proof(9, 9, &same);
    receipt_of(4, 1, &a);
    receipt_of(4, 2, &b);
    assert_ok(fraud_make_entries(&card, buf_bytes(&a), buf_bytes(&b), &entries));
    make_promise_proof(9, forked, 12, &promise);
    make_promise_proof(9, honest, 8, &smaller);
    refuses_every_change(&heads);
    refuses_every_change(&same);
    refuses_every_change(&entries);
    refuses_every_change(&promise);
    refuses_every_change(&smaller);
    refuses_every_change(&leaves);
}

static void a_proof_carries_nothing_that_its_kind_does_not_need(void **state) {
    (void)state;
    AUTO_BUF proof = {0}, receipt = {0}, items = {0}, more = {0}, cosigned = {0};
    struct fraud fraud;
    struct fraud_view view;
    make_heads_proof(7, 11, &proof);
    assert_ok(fraud_decode(buf_bytes(&proof), &fraud));
    receipt_of(4, 1, &receipt);
    cbor_put_bytes(&items, buf_bytes(&receipt));
    struct fraud changed = fraud;
    changed.receipts = list_of(&items, 1);
    fraud_encode(&changed, &more);
    assert_error(fraud_verify(buf_bytes(&more), &view), E_UNKNOWN_FIELD);
    buf_clear(&more);
    changed = fraud;
    buf_add_bytes(&cosigned, fraud.older);
    head_cosign(&card, 0, 5, &cosigned);
    changed.older = buf_bytes(&cosigned);
    fraud_encode(&changed, &more);
    assert_error(fraud_verify(buf_bytes(&more), &view), E_MALFORMED);
    buf_clear(&more);
    changed = fraud;
    changed.older = fraud.newer;
    changed.newer = fraud.older;
    fraud_encode(&changed, &more);
    assert_error(fraud_verify(buf_bytes(&more), &view), E_MALFORMED);
    buf_clear(&more);
    changed = fraud;
    changed.has_root = false;
    fraud_encode(&changed, &more);
    assert_error(fraud_verify(buf_bytes(&more), &view), E_MISSING_FIELD);
}

/* ---- the files in tests/vectors/fraud ---- */

static void same_as_file(const char *name, const struct buf *made) {
    char path[1024];
    AUTO_BUF file = {0};
    assert_non_null(getenv("POUCH_VECTORS"));
    (void)snprintf(path, sizeof path, "%s/fraud/%s", getenv("POUCH_VECTORS"), name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    uint8_t *room = buf_extend(&file, 65536);
    assert_non_null(room);
    file.n = fread(room, 1, 65536, in);
    (void)fclose(in);
    assert_true(bytes_equal(buf_bytes(&file), buf_bytes(made)));
}

static void the_proofs_are_made_byte_for_byte(void **state) {
    (void)state;
    AUTO_BUF heads = {0}, entries = {0}, promise = {0}, a = {0}, b = {0}, text = {0};
    make_heads_proof(7, 11, &heads);
    receipt_of(4, 1, &a);
    receipt_of(4, 2, &b);
    assert_ok(fraud_make_entries(&card, buf_bytes(&a), buf_bytes(&b), &entries));
    make_promise_proof(9, forked, 12, &promise);
    card_format(&card, &text);
    same_as_file("heads.proof", &heads);
    same_as_file("entries.proof", &entries);
    same_as_file("promise.proof", &promise);
    same_as_file("relay.card", &text);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_tells_size_root_time_and_who_has_cosigned),
        cmocka_unit_test(a_head_with_any_bit_changed_is_refused_or_loses_a_word),
        cmocka_unit_test(a_head_of_another_log_or_without_its_time_is_refused),
        cmocka_unit_test(a_witness_alone_makes_no_head_and_a_bad_word_spoils_it),
        cmocka_unit_test(the_bare_head_bears_the_logs_signature_alone),
        cmocka_unit_test(two_heads_that_no_log_can_have_are_a_proof),
        cmocka_unit_test(two_heads_of_one_log_prove_nothing),
        cmocka_unit_test(two_heads_that_no_evidence_log_can_have_are_a_proof),
        cmocka_unit_test(heads_of_two_logs_prove_nothing),
        cmocka_unit_test(two_entries_at_one_place_are_a_proof),
        cmocka_unit_test(a_broken_promise_is_a_proof),
        cmocka_unit_test(a_promise_that_was_kept_or_is_not_due_proves_nothing),
        cmocka_unit_test(a_signed_entry_that_breaks_the_rules_is_a_proof),
        cmocka_unit_test(a_directory_by_the_rules_proves_nothing),
        cmocka_unit_test(another_relays_words_accuse_nobody),
        cmocka_unit_test(a_proof_with_any_bit_changed_or_any_end_is_refused),
        cmocka_unit_test(a_proof_carries_nothing_that_its_kind_does_not_need),
        cmocka_unit_test(the_proofs_are_made_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
