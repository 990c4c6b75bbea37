/* test_mirror_heads.c - what a home makes of the directory's signed heads: those that the relay gives, those that
 * others were given, witnesses' words, and promises; with the proofs that remain of a relay that lied. */
#include "client_fixture.h"

#include <sys/stat.h>

#include "freshness.h"
#include "gossip.h"
#include "heads.h"
#include "heads_fixture.h"
#include "leaves.h"
#include "mirror.h"
#include "promises.h"
#include "proofs.h"

static char archive_path[4096];
static struct buf mirror,
    forked; /* leaf hashes: of the world, and of another log that parts from it at its last leaf */
static uint64_t size;

static int set_up(void **state) {
    assert_int_equal(homes_set_up(state), 0);
    recipient.card = recipient.given = heads_card(2);
    memcpy(archive_path, recipient.path, sizeof archive_path);
    (void)snprintf(recipient.path, sizeof recipient.path, "%s/home", folder);
    assert_int_equal(mkdir(recipient.path, 0700), 0);
    for (size_t i = 0; i < world.count; i++)
        assert_ok(archive_set(recipient.archive, TABLE_LEAF, archive_key(NULL, NULL, i), buf_bytes(&world.leaves[i])));
    assert_ok(leaves_of_mirror(recipient.archive, &mirror));
    size = directory_size(world.directory);
    assert_int_equal(mirror.n, size * HASH_SIZE);
    buf_add_bytes(&forked, buf_bytes(&mirror));
    forked.p[forked.n - 1] ^= 1;
    return 0;
}

static int tear_down(void **state) {
    char command[5000];
    (void)snprintf(command, sizeof command, "rm -rf '%s/home'", folder);
    assert_int_equal(system(command), 0);
    memcpy(recipient.path, archive_path, sizeof archive_path);
    buf_free(&mirror);
    buf_free(&forked);
    return homes_tear_down(state);
}

/* ---- helpers ---- */

static void head(const struct buf *log, uint64_t n, uint64_t time_ms, struct buf *out) {
    head_of(&recipient.card, log->p, (size_t)n, time_ms, out);
}

static enum error take_heads(const struct buf *notes, size_t count, bool *ret_behind, struct buf *ret_proof) {
    AUTO_CHARGE charge = {0};
    AUTO_BUF items = {0};
    bool behind = false;
    for (size_t i = 0; i < count; i++) cbor_put_bytes(&items, buf_bytes(&notes[i]));
    failure = (struct failure){0};
    enum error error = heads_take(&recipient, recipient.directory, list_of(&items, count), &charge, &behind, &failure);
    if (ret_behind) *ret_behind = behind;
    if (ret_proof) buf_add_bytes(ret_proof, buf_bytes(&charge.proof));
    return error;
}

static void keep_honest_head(void) {
    AUTO_BUF note = {0};
    head(&mirror, size, WORLD_TIME, &note);
    assert_ok(take_heads(&note, 1, NULL, NULL));
}

static void check_proof(struct bytes proof, enum fraud_kind kind) {
    struct fraud_view view;
    assert_ok(fraud_verify(proof, &view));
    assert_int_equal(view.kind, kind);
    assert_string_equal(view.card.name, "relay.test");
}

static void check_proof_file(enum fraud_kind kind) {
    AUTO_BUF bytes = {0};
    const char *name = strstr(recipient.breach.where, "proof: ");
    assert_error(recipient.breach.error, E_FRAUD);
    assert_non_null(name);
    FILE *file = fopen(name + strlen("proof: "), "rb");
    assert_non_null(file);
    uint8_t *room = buf_extend(&bytes, 65536);
    bytes.n = fread(room, 1, 65536, file);
    (void)fclose(file);
    check_proof(buf_bytes(&bytes), kind);
    recipient.breach = (struct failure){0};
}

static struct bytes other(void) { return bytes_text("de/technical"); }

/* ---- from the relay ---- */

static void a_home_keeps_the_newest_head_and_each_witnesss(void **state) {
    (void)state;
    struct buf notes[2] = {0};
    AUTO_BUF kept = {0};
    struct freshness_view view;
    bool found = false;
    head(&mirror, size, WORLD_TIME, &notes[0]);
    head_cosign(&recipient.card, 0, WORLD_TIME / 1000, &notes[0]);
    head(&mirror, size - 2, WORLD_TIME - 1000, &notes[1]);
    head_cosign(&recipient.card, 1, WORLD_TIME / 1000 - 1, &notes[1]);
    assert_ok(take_heads(notes, 2, NULL, NULL));
    assert_ok(heads_newest(&recipient, &kept, &found));
    assert_true(found && bytes_equal(buf_bytes(&kept), buf_bytes(&notes[0])));
    assert_ok(freshness_at(&recipient, (struct instant){WORLD_TIME}, &view));
    assert_int_equal(view.witnesses[0].size, size);
    assert_int_equal(view.witnesses[1].size, size - 2);
    assert_int_equal(count_rows(&recipient, TABLE_HEAD), 3);
    assert_ok(take_heads(notes, 2, NULL, NULL));
    assert_int_equal(count_rows(&recipient, TABLE_HEAD), 3);
    buf_free(&notes[0]);
    buf_free(&notes[1]);
}

static void a_head_of_more_entries_sends_the_mirror_for_them(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    bool behind = false;
    uint8_t root[HASH_SIZE] = {1};
    head_sign(&recipient.card, root, size + 1, WORLD_TIME, &note);
    assert_ok(take_heads(&note, 1, &behind, NULL));
    assert_true(behind);
    assert_int_equal(count_rows(&recipient, TABLE_HEAD), 0);
}

static void entries_that_the_relay_has_not_signed_are_withheld_words(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    assert_error(take_heads(NULL, 0, NULL, NULL), E_WITHHELD);
    head(&mirror, size - 1, WORLD_TIME, &note);
    assert_error(take_heads(&note, 1, NULL, NULL), E_WITHHELD);
}

static void a_head_of_another_log_is_refused_and_leaves_a_proof(void **state) {
    (void)state;
    struct buf notes[2] = {0};
    AUTO_BUF proof = {0}, same = {0};
    keep_honest_head();
    head(&forked, size, WORLD_TIME + 1, &notes[0]);
    assert_error(take_heads(notes, 1, NULL, &same), E_DIRECTORY_FORKED);
    check_proof(buf_bytes(&same), FRAUD_HEADS);
    buf_clear(&notes[0]);
    /* Hidden behind an honest one, as a witness's. */
    uint8_t root[HASH_SIZE] = {9};
    head(&mirror, size, WORLD_TIME + 1, &notes[0]);
    head_sign(&recipient.card, root, size - 3, WORLD_TIME - 5, &notes[1]);
    head_cosign(&recipient.card, 1, WORLD_TIME / 1000, &notes[1]);
    assert_error(take_heads(notes, 2, NULL, &proof), E_DIRECTORY_FORKED);
    check_proof(buf_bytes(&proof), FRAUD_HEADS);
    buf_free(&notes[0]);
    buf_free(&notes[1]);
}

/* As beside WELCOME's and LEAVES' size and root. */
static enum error see_head(uint64_t shown_size, uint8_t flip, struct bytes note, bool *ret_behind,
                           struct buf *ret_proof) {
    AUTO_CHARGE charge = {0};
    uint8_t root[HASH_SIZE];
    bool behind = false;
    assert_true(leaves_root(&mirror, shown_size, root));
    root[0] ^= flip;
    failure = (struct failure){0};
    enum error error = heads_see(&recipient, recipient.directory, &(struct heads_shown){shown_size, root, note},
                                 &charge, &behind, &failure);
    if (ret_behind) *ret_behind = behind;
    if (ret_proof) buf_add_bytes(ret_proof, buf_bytes(&charge.proof));
    return error;
}

static void a_head_beside_size_and_root_is_of_these(void **state) {
    (void)state;
    AUTO_BUF now = {0}, before = {0}, later = {0};
    uint8_t root[HASH_SIZE] = {1};
    bool behind = false;
    keep_honest_head();
    head(&mirror, size, WORLD_TIME + 1, &now);
    head(&mirror, size - 2, WORLD_TIME, &before);
    head_sign(&recipient.card, root, size + 1, WORLD_TIME, &later);
    assert_ok(see_head(size, 0, buf_bytes(&now), &behind, NULL));
    assert_false(behind);
    assert_ok(see_head(size - 2, 0, buf_bytes(&before), NULL, NULL)); /* the log has grown since */
    assert_error(see_head(size, 0, (struct bytes){0}, NULL, NULL), E_WITHHELD);
    assert_error(see_head(size, 0, buf_bytes(&before), NULL, NULL), E_WITHHELD);
    assert_error(see_head(size - 2, 0, buf_bytes(&now), NULL, NULL), E_WITHHELD);
    assert_error(see_head(size, 1, buf_bytes(&now), NULL, NULL), E_DIRECTORY_FORKED);
    assert_ok(see_head(size, 0, buf_bytes(&later), &behind, NULL));
    assert_true(behind); /* its leaves are asked for first */
    uint8_t *text_end = memmem(later.p, later.n, "\n\n", 2);
    assert_non_null(text_end);
    text_end[-1] ^= 1; /* another time than was signed */
    assert_error(see_head(size, 0, buf_bytes(&later), NULL, NULL), E_BAD_SIGNATURE);
    assert_int_equal(count_rows(&recipient, TABLE_HEAD), 1);
}

static void a_false_head_beside_size_and_root_is_proven_fraud(void **state) {
    (void)state;
    AUTO_BUF false_one = {0}, older = {0}, proof = {0}, other_proof = {0};
    uint8_t root[HASH_SIZE] = {9};
    keep_honest_head();
    head(&forked, size, WORLD_TIME + 1, &false_one);
    assert_error(see_head(size, 0, buf_bytes(&false_one), NULL, &proof), E_DIRECTORY_FORKED);
    check_proof(buf_bytes(&proof), FRAUD_HEADS);
    head_sign(&recipient.card, root, size - 3, WORLD_TIME - 5, &older);
    assert_error(see_head(size - 3, 0, buf_bytes(&older), NULL, &other_proof), E_DIRECTORY_FORKED);
    check_proof(buf_bytes(&other_proof), FRAUD_HEADS);
}

static void a_false_word_of_a_witness_is_named_once_and_counts_for_nothing(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    struct note parsed;
    struct freshness_view view;
    AUTO_BUF copy = {0};
    head(&mirror, size, WORLD_TIME, &note);
    buf_add_bytes(&copy, buf_bytes(&note));
    assert_ok(note_parse(buf_bytes(&copy), &parsed));
    note_sign(parsed.text, &recipient.card.witnesses[0], pair_of(STRANGER).secret, WORLD_TIME / 1000, &note);
    assert_ok(take_heads(&note, 1, NULL, NULL));
    assert_ok(take_heads(&note, 1, NULL, NULL));
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
    assert_ok(freshness_at(&recipient, (struct instant){WORLD_TIME}, &view));
    assert_int_equal(view.witnesses[0].time.ms, 0);
}

/* ---- how fresh ---- */

static void witness(size_t which, uint64_t n, uint64_t time_s) {
    struct buf notes[2] = {0};
    head(&mirror, size, WORLD_TIME, &notes[0]);
    head(&mirror, n, WORLD_TIME, &notes[1]);
    head_cosign(&recipient.card, which, time_s, &notes[1]);
    assert_ok(take_heads(notes, 2, NULL, NULL));
    buf_free(&notes[0]);
    buf_free(&notes[1]);
}

static bool witnessed(uint64_t now_ms) {
    struct freshness_view view;
    assert_ok(freshness_at(&recipient, (struct instant){now_ms}, &view));
    return view.witnessed;
}

static void a_directory_is_witnessed_by_enough_of_them_at_full_size_and_lately(void **state) {
    (void)state;
    uint64_t now_s = WORLD_TIME / 1000, now = now_s * 1000;
    assert_false(witnessed(now));
    witness(0, size, now_s);
    assert_false(witnessed(now));
    witness(1, size - 1, now_s);
    assert_false(witnessed(now));
    witness(1, size, now_s);
    assert_true(witnessed(now));
    recipient.card.quorum = 0;
    assert_false(witnessed(now)); /* unproven */
    recipient.card.quorum = 2;
    assert_true(witnessed(now + WITNESS_AGE_S * 1000));
    assert_false(witnessed(now + WITNESS_AGE_S * 1000 + 1000));
    assert_true(witnessed(now - HEAD_TIME_MS));
    assert_false(witnessed(now - HEAD_TIME_MS - 1));
    recipient.card.quorum = 1;
    witness(0, size, now_s + 3600);
    assert_true(witnessed(now + WITNESS_AGE_S * 1000 + 1000));
}

static void the_late_witnesses_are_named(void **state) {
    (void)state;
    struct freshness_view view;
    char late[512];
    witness(0, size - 1, WORLD_TIME / 1000);
    assert_ok(freshness_at(&recipient, (struct instant){WORLD_TIME}, &view));
    client_freshness_late(&view, late, sizeof late);
    assert_non_null(strstr(late, "one.example last cosigned"));
    assert_non_null(strstr(late, "2027-01-15T08:00:00Z"));
    assert_non_null(strstr(late, "two.example has not cosigned yet"));
    witness(1, size, WORLD_TIME / 1000);
    assert_ok(freshness_at(&recipient, (struct instant){WORLD_TIME}, &view));
    client_freshness_late(&view, late, sizeof late);
    assert_null(strstr(late, "two.example"));
}

static void only_what_is_new_and_not_urgent_waits_for_witnesses(void **state) {
    (void)state;
    struct instant now = {WORLD_TIME};
    struct header header = {.precedence = PRECEDENCE_PRIORITY};
    assert_error(freshness_gate(&recipient, now, &header), E_NOT_WITNESSED);
    header.precedence = PRECEDENCE_IMMEDIATE;
    assert_ok(freshness_gate(&recipient, now, &header));
    header = (struct header){.precedence = PRECEDENCE_ROUTINE, .has_parent = true};
    assert_ok(freshness_gate(&recipient, now, &header));
    header.has_parent = false;
    recipient.card.quorum = 0;
    assert_ok(freshness_gate(&recipient, now, &header));
}

/* ---- from others ---- */

static void what_a_sender_attaches_is_the_newest_head_alone(void **state) {
    (void)state;
    AUTO_BUF note = {0}, gossip = {0}, bare = {0};
    assert_ok(gossip_head(&recipient, &gossip));
    assert_int_equal(gossip.n, 0);
    head(&mirror, size, WORLD_TIME, &bare);
    buf_add_bytes(&note, buf_bytes(&bare));
    head_cosign(&recipient.card, 0, WORLD_TIME / 1000, &note);
    assert_ok(take_heads(&note, 1, NULL, NULL));
    assert_ok(gossip_head(&recipient, &gossip));
    assert_true(bytes_equal(buf_bytes(&gossip), buf_bytes(&bare)));
}

static void a_head_that_agrees_with_the_mirror_is_heard_in_silence(void **state) {
    (void)state;
    keep_honest_head();
    for (uint64_t n = 1; n <= size; n++) {
        AUTO_BUF note = {0};
        head(&mirror, n, WORLD_TIME, &note);
        assert_ok(gossip_hear(&recipient, other(), buf_bytes(&note)));
    }
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
    assert_error(recipient.breach.error, E_OK);
}

static void another_directory_shown_to_another_member_is_proven_fraud(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    keep_honest_head();
    head(&forked, size, WORLD_TIME, &note);
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&note)));
    check_proof_file(FRAUD_HEADS);
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&note)));
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
    recipient.breach = (struct failure){0};
}

static void a_forged_head_accuses_nobody(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    keep_honest_head();
    head(&forked, size, WORLD_TIME, &note);
    note.p[note.n - 10] ^= 1;
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&note)));
    assert_error(recipient.breach.error, E_OK);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1); /* the sender's head does not hold */
}

/* The mirror as it was before its last leaves. */
static void shrink_mirror(uint64_t to) {
    struct directory *smaller = fresh_directory();
    for (uint64_t i = 0; i < to; i++) assert_ok(directory_apply(smaller, buf_bytes(&world.leaves[i])));
    for (uint64_t i = to; i < size; i++)
        assert_ok(archive_delete(recipient.archive, TABLE_LEAF, archive_key(NULL, NULL, i)));
    directory_free(recipient.directory);
    recipient.directory = smaller;
}

static void grow_mirror(void) {
    for (uint64_t i = directory_size(recipient.directory); i < size; i++)
        assert_ok(archive_set(recipient.archive, TABLE_LEAF, archive_key(NULL, NULL, i), buf_bytes(&world.leaves[i])));
    directory_free(recipient.directory);
    recipient.directory = directory_copy(world.directory);
}

static void a_head_ahead_of_the_mirror_waits_until_it_has_grown(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    shrink_mirror(size - 2);
    head(&mirror, size, WORLD_TIME, &note);
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&note)));
    assert_error(recipient.breach.error, E_OK);
    grow_mirror();
    keep_honest_head();
    assert_ok(gossip_settle(&recipient));
    assert_ok(gossip_end(&recipient, NULL));
    assert_error(recipient.breach.error, E_OK);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
    assert_int_equal(count_rows(&recipient, TABLE_HEAD), 1);
}

static void a_head_that_the_relay_never_shows_is_withheld(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    shrink_mirror(size - 2);
    head(&mirror, size, WORLD_TIME, &note);
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&note)));
    for (int sync = 0; sync < 2; sync++) {
        recipient.breach = (struct failure){0};
        assert_ok(gossip_end(&recipient, NULL));
        assert_error(recipient.breach.error, E_WITHHELD);
        assert_non_null(strstr(recipient.breach.where, "de/technical"));
        assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
    }
}

static void a_head_ahead_of_the_mirror_that_turns_out_false_is_proven_fraud(void **state) {
    (void)state;
    AUTO_BUF note = {0};
    shrink_mirror(size - 2);
    head(&forked, size, WORLD_TIME, &note);
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&note)));
    grow_mirror();
    keep_honest_head();
    assert_ok(gossip_settle(&recipient));
    check_proof_file(FRAUD_HEADS);
}

/* Each of two correspondents was shown another log of one size, which this home has not seen at all. */
static void two_heads_of_one_size_that_wait_contradict_each_other_at_once(void **state) {
    (void)state;
    AUTO_BUF one = {0}, two = {0};
    shrink_mirror(size - 2);
    head(&mirror, size, WORLD_TIME, &one);
    head(&forked, size, WORLD_TIME, &two);
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&one)));
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&one)));
    assert_error(recipient.breach.error, E_OK);
    assert_ok(gossip_hear(&recipient, other(), buf_bytes(&two)));
    check_proof_file(FRAUD_HEADS);
}

/* ---- entries of a leg ---- */

static void an_entry_that_the_other_side_saw_may_come_until_the_next_sync(void **state) {
    (void)state;
    const uint8_t leg[HASH_SIZE] = {4}, none[HASH_SIZE] = {77};
    AUTO_BUF receipt = {0};
    struct evidence evidence;
    receipt_of(4, 1, &receipt);
    assert_ok(evidence_open(buf_bytes(&receipt), recipient.card.statement, &evidence));
    assert_ok(gossip_seen(&recipient, other(), leg, leg)); /* nothing seen yet */
    assert_int_equal(count_rows(&recipient, TABLE_SEEN), 0);
    assert_ok(gossip_seen(&recipient, other(), leg, evidence.entry_hash));
    assert_ok(gossip_seen(&recipient, other(), leg, none));
    assert_int_equal(count_rows(&recipient, TABLE_SEEN), 2);
    assert_ok(gossip_end(&recipient, NULL));
    assert_error(recipient.breach.error, E_OK);
    assert_ok(archive_set(recipient.archive, TABLE_ENTRY, archive_key(leg, NULL, 0), buf_bytes(&receipt)));
    assert_ok(gossip_end(&recipient, NULL));
    assert_error(recipient.breach.error, E_WITHHELD); /* the other one */
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
    assert_int_equal(count_rows(&recipient, TABLE_SEEN), 0);
}

static void two_entries_at_one_place_become_a_proof(void **state) {
    (void)state;
    const uint8_t leg[HASH_SIZE] = {4};
    AUTO_BUF first = {0}, second = {0};
    receipt_of(4, 1, &first);
    receipt_of(4, 2, &second);
    assert_ok(proofs_contradictions(&recipient, buf_bytes(&second)));
    assert_error(recipient.breach.error, E_OK);
    assert_ok(archive_set(recipient.archive, TABLE_ENTRY, archive_key(leg, NULL, 0), buf_bytes(&first)));
    assert_ok(proofs_contradictions(&recipient, buf_bytes(&first)));
    assert_error(recipient.breach.error, E_OK);
    assert_ok(proofs_contradictions(&recipient, buf_bytes(&second)));
    check_proof_file(FRAUD_ENTRIES);
}

/* ---- promises ---- */

static void promise_at(const struct buf *log, uint64_t n, struct bytes statement, struct buf *out) {
    AUTO_BUF payload = {0}, statements = {0};
    uint8_t hash[HASH_SIZE];
    stamp_hash(statement, hash);
    cbor_put_bytes(&statements, bytes_of(hash, HASH_SIZE));
    struct promise promise = {
        .statements = list_of(&statements, 1), .size = n, .time = {WORLD_TIME}, .deadline = {WORLD_TIME + PROMISE_MS}};
    merkle_root(log->p, (size_t)n, promise.root);
    promise_encode(&promise, &payload);
    assert_ok(stamp_sign_one(LABEL_PROMISE, pair_of(STATEMENT_KEY).secret, buf_bytes(&payload), out));
}

static void keep_head_at(uint64_t time_ms) {
    AUTO_BUF note = {0};
    head(&mirror, size, time_ms, &note);
    assert_ok(take_heads(&note, 1, NULL, NULL));
}

static struct bytes payload_of(size_t i) {
    struct leaf leaf;
    struct bytes payload;
    assert_ok(leaf_decode(buf_bytes(&world.leaves[i]), &leaf));
    assert_ok(leaf.kind == LEAF_ADMISSION ? joint_peek(leaf.statement, &payload)
                                          : stamp_peek(leaf.statement, &payload));
    return payload;
}

static void a_promise_that_the_mirror_keeps_is_forgotten(void **state) {
    (void)state;
    for (size_t i = 0; i < size; i++) {
        AUTO_BUF promise = {0};
        promise_at(&mirror, size, payload_of(i), &promise);
        assert_ok(promises_keep(&recipient, buf_bytes(&promise)));
    }
    keep_head_at(WORLD_TIME);
    assert_ok(promises_check(&recipient));
    assert_int_equal(count_rows(&recipient, TABLE_PROMISE), 0);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
}

static void a_promise_is_waited_for_until_its_deadline_and_then_proves_fraud(void **state) {
    (void)state;
    AUTO_BUF promise = {0};
    promise_at(&forked, size, bytes_text("a revocation"), &promise);
    assert_ok(promises_keep(&recipient, buf_bytes(&promise)));
    keep_head_at(WORLD_TIME + PROMISE_MS);
    assert_ok(promises_check(&recipient));
    assert_error(recipient.breach.error, E_OK);
    assert_int_equal(count_rows(&recipient, TABLE_PROMISE), 1);
    keep_head_at(WORLD_TIME + PROMISE_MS + 1);
    assert_ok(promises_check(&recipient));
    check_proof_file(FRAUD_PROMISE);
    assert_int_equal(count_rows(&recipient, TABLE_PROMISE), 0);
}

static void a_promised_root_without_the_statement_is_an_alarm(void **state) {
    (void)state;
    AUTO_BUF promise = {0};
    promise_at(&mirror, size, bytes_text("a revocation"), &promise);
    assert_ok(promises_keep(&recipient, buf_bytes(&promise)));
    keep_head_at(WORLD_TIME);
    assert_ok(promises_check(&recipient));
    assert_error(recipient.breach.error, E_WITHHELD);
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 1);
}

/* A promise for the end of time would never be broken. */
static void a_promise_without_an_end_is_none(void **state) {
    (void)state;
    AUTO_BUF payload = {0}, stamped = {0};
    struct promise promise = {.size = size, .time = {WORLD_TIME}, .deadline = {WORLD_TIME + PROMISE_MS + 1}};
    promise_encode(&promise, &payload);
    assert_ok(stamp_sign_one(LABEL_PROMISE, pair_of(STATEMENT_KEY).secret, buf_bytes(&payload), &stamped));
    assert_error(promises_keep(&recipient, buf_bytes(&stamped)), E_OUT_OF_RANGE);
    assert_int_equal(count_rows(&recipient, TABLE_PROMISE), 0);
}

static void a_strangers_promise_is_not_kept(void **state) {
    (void)state;
    AUTO_BUF promise = {0};
    promise_at(&mirror, size, bytes_text("x"), &promise);
    promise.p[promise.n - 1] ^= 1;
    assert_error(promises_keep(&recipient, buf_bytes(&promise)), E_BAD_SIGNATURE);
    assert_int_equal(count_rows(&recipient, TABLE_PROMISE), 0);
}

/* What the relay answers to entry i of the mirror, with a promise of what stands in `statement`. */
static enum error take_answer(size_t i, struct bytes statement) {
    AUTO_BUF promise = {0}, brought = {0}, answer = {0};
    struct leaf leaf;
    assert_ok(leaf_decode(buf_bytes(&world.leaves[i]), &leaf));
    dirstatement_encode(&(struct dirstatement){.kind = leaf.kind, .statement = leaf.statement}, &brought);
    if (statement.n) promise_at(&mirror, size, statement, &promise);
    done_encode(&(struct done){.has_promise = statement.n > 0, .promise = buf_bytes(&promise)}, &answer);
    assert_ok(buf_error(&answer));
    return promises_take(&recipient, list_of(&brought, 1), buf_bytes(&answer), NULL);
}

static void a_promise_of_something_else_than_what_was_brought_is_none(void **state) {
    (void)state;
    for (size_t i = 0; i < size; i++) {
        assert_error(take_answer(i, payload_of(i ? i - 1 : size - 1)), E_WITHHELD);
        assert_error(take_answer(i, (struct bytes){0}), E_OK);
        assert_int_equal(count_rows(&recipient, TABLE_PROMISE), i);
        assert_error(take_answer(i, payload_of(i)), E_OK);
        assert_int_equal(count_rows(&recipient, TABLE_PROMISE), i + 1);
    }
}

/* ---- opening the home again ---- */

static void note_mirror(const struct card *card) {
    AUTO_BUF bytes = {0};
    struct keptmirror mark = {.size = size, .has_card = card != NULL};
    assert_true(leaves_root(&mirror, size, mark.root));
    if (card) card_hash(card, mark.card);
    keptmirror_encode(&mark, &bytes);
    assert_ok(archive_set(recipient.archive, TABLE_META, archive_named("mirror"), buf_bytes(&bytes)));
}

static enum error load(const struct card *card) {
    struct directory *directory = NULL;
    failure = (struct failure){0};
    enum error error = mirror_load(recipient.archive, card, &directory, &failure);
    if (error == E_OK) assert_int_equal(directory_size(directory), size);
    directory_free(directory);
    return error;
}

/* Under the card it was verified under the root is enough; under any other every signature counts again. */
static void a_mirror_is_verified_anew_under_another_card(void **state) {
    (void)state;
    struct card other_card = recipient.card;
    memcpy(other_card.registrars[0], pair_of(STRANGER).public, KEY_SIZE);
    note_mirror(&recipient.card);
    assert_ok(load(&recipient.card));
    assert_error(load(&other_card), E_CORRUPT);
    note_mirror(NULL);
    assert_ok(load(&recipient.card));
    note_mirror(&other_card);
    assert_ok(load(&recipient.card));
}

static void a_mirror_that_was_changed_is_noticed(void **state) {
    (void)state;
    note_mirror(&recipient.card);
    for (size_t i = 0; i < world.count; i++) {
        AUTO_BUF leaf = {0};
        buf_add_bytes(&leaf, buf_bytes(&world.leaves[i]));
        leaf.p[leaf.n - 1] ^= 1; /* of its time */
        assert_ok(archive_set(recipient.archive, TABLE_LEAF, archive_key(NULL, NULL, i), buf_bytes(&leaf)));
        assert_error(load(&recipient.card), E_CORRUPT);
        assert_ok(archive_set(recipient.archive, TABLE_LEAF, archive_key(NULL, NULL, i), buf_bytes(&world.leaves[i])));
    }
    assert_ok(load(&recipient.card));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_home_keeps_the_newest_head_and_each_witnesss),
        TEST(a_head_of_more_entries_sends_the_mirror_for_them),
        TEST(entries_that_the_relay_has_not_signed_are_withheld_words),
        TEST(a_head_of_another_log_is_refused_and_leaves_a_proof),
        TEST(a_head_beside_size_and_root_is_of_these),
        TEST(a_false_head_beside_size_and_root_is_proven_fraud),
        TEST(a_false_word_of_a_witness_is_named_once_and_counts_for_nothing),
        TEST(a_directory_is_witnessed_by_enough_of_them_at_full_size_and_lately),
        TEST(the_late_witnesses_are_named),
        TEST(only_what_is_new_and_not_urgent_waits_for_witnesses),
        TEST(what_a_sender_attaches_is_the_newest_head_alone),
        TEST(a_head_that_agrees_with_the_mirror_is_heard_in_silence),
        TEST(another_directory_shown_to_another_member_is_proven_fraud),
        TEST(a_forged_head_accuses_nobody),
        TEST(a_head_ahead_of_the_mirror_waits_until_it_has_grown),
        TEST(a_head_that_the_relay_never_shows_is_withheld),
        TEST(a_head_ahead_of_the_mirror_that_turns_out_false_is_proven_fraud),
        TEST(an_entry_that_the_other_side_saw_may_come_until_the_next_sync),
        TEST(two_entries_at_one_place_become_a_proof),
        TEST(a_promise_that_the_mirror_keeps_is_forgotten),
        TEST(a_promise_is_waited_for_until_its_deadline_and_then_proves_fraud),
        TEST(a_promised_root_without_the_statement_is_an_alarm),
        TEST(two_heads_of_one_size_that_wait_contradict_each_other_at_once),
        TEST(a_promise_without_an_end_is_none),
        TEST(a_strangers_promise_is_not_kept),
        TEST(a_promise_of_something_else_than_what_was_brought_is_none),
        TEST(a_mirror_is_verified_anew_under_another_card),
        TEST(a_mirror_that_was_changed_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
