/* liar_evidence.c - the real client against a relay whose operator lies about the evidence.
 *
 * Goal: whatever he shows, with all of the relay's keys in his hands - a log that was rewritten, one that went back,
 * two logs for two members, receipts out of another log, no receipts, a request kept back, two histories of one leg,
 * a loss that no registrar has declared - the client says so in plain words, exits with 4, and keeps the proof where
 * there is one; and with an honest relay it goes on. */
#include <dirent.h>
#include <stdio.h>

#include "falsifier.h"
#include "joint.h"
#include "stage.h"

static struct user ann = {.party = "fj", .post = "fj/technical"}, bob = {.party = "de", .post = "de/technical"};
static char note[SCENE_PATH];
static struct falsifier liar;
static struct actor eve, mallory; /* two others: one writes to the other, who writes to bob */

static void be_honest(void) { double_script_set(&stage_double, NULL, NULL, NULL, false); }
static void lie(void) { double_script_set(&stage_double, falsifier_answers, falsifier_asks, &liar, false); }

static void ann_writes(const char *subject, char id[static 2 * TEXT_ID_BYTES + 1]) {
    AUTO_RAN ran = {0};
    be_honest();
    POUCH_GOOD(&ann, &ran, "send", "--to", "de", "-s", subject, note);
    stage_text_field((const char *)ran.out.p, "id", id, 2 * TEXT_ID_BYTES + 1);
}

/* An actor numbers what it sends once for all posts: so each writes to one. */
static void writes(struct actor *from, const char *post) {
    AUTO_REQUEST request = {0};
    AUTO_ROOM room = {0};
    AUTO_REPLY reply = {0};
    struct submit submit;
    struct submitted submitted;
    struct result result;
    request_new(from, &(struct outline){.to = &post, .count = 1}, &request);
    request_submit(&request, true, &room, &submit);
    actor_call(from, MESSAGE_SUBMIT, &submit, &reply);
    assert_ok(submitted_decode(reply.body, &submitted));
    assert_true(result_next(&submitted.results, &result));
    assert_ok((enum error)result.error);
}

static void no_rate(struct config *config) { config->rate_guest = config->rate_member = 10000; }

static int raise_curtain(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    stage_open(no_rate);
    snprintf(note, sizeof note, "%s/note.txt", stage_papers);
    scene_write_file(note, bytes_text("Please look at this at once.\n"));
    stage_make_user(&ann);
    stage_make_user(&bob);
    stage_join(&ann, &ran);
    assert_int_equal(ran.exit, 0);
    stage_join(&bob, &ran);
    assert_int_equal(ran.exit, 0);
    actor_join(&stage_relay, "xx/evil", &eve);
    actor_join(&stage_relay, "yy/evil", &mallory);
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sync");
    for (int i = 0; i < 3; i++) {
        ann_writes("Before", id);
        POUCH_GOOD(&bob, &ran, "sync");
    }
    POUCH_GOOD(&ann, &ran, "sync");
    return 0;
}

static int lower_curtain(void **state) {
    (void)state;
    actor_free(&eve);
    actor_free(&mallory);
    stage_close();
    return 0;
}

static int begin(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    be_honest();
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sync");
    stage_save(&bob);
    stage_save(&ann);
    falsifier_open(&liar, &stage_relay);
    return 0;
}

static int end(void **state) {
    (void)state;
    be_honest();
    falsifier_close(&liar);
    stage_put_back(&bob);
    stage_put_back(&ann);
    return 0;
}

/* ---- what must follow ---- */

static void assert_refused(const struct ran *ran, const char *error, const char *word) {
    char name[96];
    snprintf(name, sizeof name, "\"error\": \"%s\"", error);
    if (ran->exit != 4) fail_msg("exit %d: %s%s", ran->exit, (const char *)ran->out.p, (const char *)ran->err.p);
    if (!strstr((const char *)ran->err.p, name)) fail_msg("not %s but %s", name, (const char *)ran->err.p);
    if (!strstr((const char *)ran->err.p, word)) fail_msg("no word of \"%s\" in %s", word, (const char *)ran->err.p);
}

static bool confirms(const char *path, const char *wanted) {
    AUTO_RAN ran = {0};
    scene_run("/", (const char *const[]){getenv("POUCH"), "verify", path, "--json", NULL}, &ran);
    if (ran.exit != 0) fail_msg("verify %s: %s", path, (const char *)ran.err.p);
    assert_non_null(strstr((const char *)ran.out.p, "\"proven\": true"));
    return strstr((const char *)ran.out.p, wanted) != NULL;
}

/* The home has written a proof of which anybody is told this, without home or network. */
static bool has_proof(const struct user *user, const char *wanted) {
    char folder[SCENE_PATH + 16], path[2 * SCENE_PATH];
    bool found = false;
    snprintf(folder, sizeof folder, "%s/proofs", user->home);
    DIR *directory = opendir(folder);
    if (!directory) return false;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!strstr(entry->d_name, ".proof")) continue;
        snprintf(path, sizeof path, "%s/%.100s", folder, entry->d_name);
        found = confirms(path, wanted) || found;
    }
    closedir(directory);
    return found;
}

static void assert_alarm(const struct user *user, const char *word) {
    AUTO_RAN ran = {0};
    POUCH(user, &ran, "--offline", "status");
    if (!strstr((const char *)ran.out.p, word))
        fail_msg("status says nothing of \"%s\": %s", word, (const char *)ran.out.p);
}

static void assert_no_alarm(const struct user *user, const char *word) {
    AUTO_RAN ran = {0};
    POUCH_GOOD(user, &ran, "--offline", "status");
    if (strstr((const char *)ran.out.p, word)) fail_msg("status speaks of \"%s\": %s", word, (const char *)ran.out.p);
}

static void assert_goes_on(const struct user *user) {
    AUTO_RAN ran = {0};
    be_honest();
    POUCH_GOOD(user, &ran, "sync");
}

/* ---- the log ---- */

/* A leaf that bob's log has had for long is another one now; everything else fits. */
static void a_log_that_was_rewritten(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    liar.fork = 0;
    liar.heads = liar.places = true;
    ann_writes("History", id);
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "fraud", "evidence logs");
    assert_true(has_proof(&bob, "\"log\": \"evidence\""));
    assert_alarm(&bob, "two evidence logs");
    POUCH(&bob, &ran, "sync"); /* for as long as it is so */
    assert_refused(&ran, "fraud", "evidence logs");
    POUCH_GOOD(&bob, &ran, "--offline", "inbox");
    assert_non_null(strstr((const char *)ran.out.p, "History")); /* the letter itself is here */
    stage_put_back(&bob);
    assert_goes_on(&bob);
}

/* The log's newest head alone is another one, of a size that bob knows. */
static void another_head_of_a_size_that_was_seen(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    liar.fork = 1;
    liar.heads = true;
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "fraud", "evidence logs");
    assert_true(has_proof(&bob, "\"log\": \"evidence\""));
    stage_put_back(&bob);
    assert_goes_on(&bob);
}

static void a_log_that_went_back(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    liar.heads = true;
    liar.newest = falsifier_size(&liar) - 2;
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "evidence-forked", "this home has seen");
    assert_alarm(&bob, "this home has seen");
    assert_goes_on(&bob);
}

/* Bob is shown one log, by itself as it should be; ann is shown the real one. The day on which he is shown hers,
 * too, there is proof. */
static void two_logs_for_two_members(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    liar.fork = falsifier_size(&liar);
    liar.heads = liar.places = true;
    writes(&eve, mallory.post); /* where the two logs part is nothing that bob has to do with */
    ann_writes("For bob", id);
    lie();
    POUCH_GOOD(&bob, &ran, "sync");
    be_honest();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "fraud", "evidence logs");
    assert_true(has_proof(&bob, "\"log\": \"evidence\""));
    POUCH_GOOD(&ann, &ran, "sync");
    stage_put_back(&bob);
    assert_goes_on(&bob);
}

/* The place of his own letter is where they part: its receipt cannot show any. */
static void a_log_without_ones_own_entry(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    liar.fork = falsifier_size(&liar);
    liar.heads = liar.places = true;
    ann_writes("Not in the log", id);
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "bad-proof", "a request, does not hold");
    assert_alarm(&bob, "does not hold");
    stage_put_back(&bob);
    assert_goes_on(&bob);
    POUCH_GOOD(&bob, &ran, "--offline", "inbox");
    assert_non_null(strstr((const char *)ran.out.p, "Not in the log"));
}

/* More than one question can be about; and no lie in any of them. */
static void many_heads_at_once_are_one_log(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    for (size_t i = 0; i < 2 * LOG_SIZES_MAX + 7; i++) writes(&mallory, bob.post);
    for (size_t i = 0; i < 2; i++) POUCH_GOOD(&bob, &ran, "sync");
    assert_no_alarm(&bob, "evidence");
    liar.hashes[(falsifier_size(&liar) - LOG_SIZES_MAX) * HASH_SIZE] ^= 1; /* among them */
    liar.heads = true;
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "fraud", "evidence logs");
    stage_put_back(&bob);
    assert_goes_on(&bob);
}

/* ---- receipts ---- */

static void a_receipt_out_of_another_log(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    liar.fork = 2;
    liar.places = true; /* WELCOME and LOG are honest */
    ann_writes("Out of another log", id);
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "fraud", "evidence logs");
    assert_true(has_proof(&bob, "\"log\": \"evidence\""));
    stage_put_back(&bob);
    assert_goes_on(&bob);
}

static void receipts_that_are_not_given(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    ann_writes("No receipt", id);
    liar.no_receipts = true;
    lie();
    POUCH(&bob, &ran, "sync"); /* "notified" is said, and answered without */
    assert_refused(&ran, "withheld", "no receipt for a statement");
    assert_alarm(&bob, "no receipt for a statement");
    assert_goes_on(&bob); /* it is said again */
    lie();
    POUCH(&ann, &ran, "send", "--to", "de", "-s", "Nor for this", note);
    assert_refused(&ran, "withheld", "no receipt for submission");
    assert_alarm(&ann, "no receipt for submission");
    assert_goes_on(&ann);
}

/* The relay puts another entry where it has put one, and shows it to ann alone. */
static void two_histories_of_one_leg(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    ann_writes("Two histories", id);
    POUCH_GOOD(&bob, &ran, "sync"); /* notified */
    liar.places = liar.heads = liar.other_times = true;
    stage_save(&ann);
    lie();
    POUCH(&ann, &ran, "sync"); /* he learns which leaf it is, so that his next heads have it */
    stage_put_back(&ann);
    POUCH_GOOD(&ann, &ran, "sync"); /* each history by itself is as it should be */
    be_honest();
    POUCH_GOOD(&bob, &ran, "accept", id);
    POUCH(&ann, &ran, "sync");
    assert_refused(&ran, "fraud", "");
    assert_true(has_proof(&ann, "\"kind\": \"entries\""));
    assert_true(has_proof(&ann, "\"log\": \"evidence\""));
    assert_alarm(&ann, "two entries for one place");
    stage_put_back(&ann);
    assert_goes_on(&ann);
}

/* ---- what is kept back ---- */

/* Instead of the second letter bob gets the first one again: no number of the feed is missing, but one of ann's is. */
static void a_letter_that_is_kept_back(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    ann_writes("First", id);
    lie();
    POUCH_GOOD(&bob, &ran, "sync");
    liar.hidden = liar.last_item + 2; /* after bob's own "notified" */
    ann_writes("Second", id);
    ann_writes("Third", id);
    lie();
    for (int i = 0; i < 3; i++) POUCH_GOOD(&bob, &ran, "sync"); /* it may still come */
    liar.ahead_ms = 2 * 3600 * 1000;
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "gap", "fj/technical");
    assert_alarm(&bob, "have not arrived");
    POUCH_GOOD(&bob, &ran, "sync"); /* it has been said */
    stage_put_back(&bob);
    assert_goes_on(&bob);
    POUCH_GOOD(&bob, &ran, "--offline", "inbox");
    assert_non_null(strstr((const char *)ran.out.p, "Second"));
}

static void a_number_of_the_feed_that_is_left_out(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    lie();
    POUCH_GOOD(&bob, &ran, "sync");
    ann_writes("Left out", id);
    ann_writes("And the next", id);
    liar.left_out = liar.last_item + 1;
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "gap", "leaves out item");
    assert_alarm(&bob, "leaves out item");
    assert_goes_on(&bob);
    POUCH_GOOD(&bob, &ran, "--offline", "inbox");
    assert_non_null(strstr((const char *)ran.out.p, "Left out"));
}

/* ---- a loss that nobody has declared ---- */

/* The last `lost` entries of the directory, and all evidence, are to be forgotten, under keys of his own. */
static void declare_loss(uint64_t lost, struct relaychange *ret, struct buf *addresses) {
    AUTO_REPLY reply = {0};
    struct leaves leaves;
    struct bytes leaf;
    uint8_t hashes[LEAVES_MAX * HASH_SIZE];
    struct scene_keys log = scene_keys(), statement = scene_keys();
    const struct card *card = &stage_relay.card;
    actor_call(&liar.anybody, MESSAGE_GETLEAVES, &(struct getleaves){.max = LEAVES_MAX}, &reply);
    assert_ok(leaves_decode(reply.body, &leaves));
    assert_int_equal(leaves.leaves.count, leaves.size);
    for (size_t i = 0; list_next_bytes(&leaves.leaves, &leaf); i++) merkle_leaf(leaf, hashes + i * HASH_SIZE);
    for (size_t i = 0; i < card->address_count; i++) cbor_put_bytes(addresses, bytes_text(card->addresses[i]));
    *ret = (struct relaychange){.action = RELAY_RECOVERED,
                                .addresses = list_of(addresses, card->address_count),
                                .created = {scene_now_ms()},
                                .has_log = true,
                                .has_statement = true,
                                .has_size = true,
                                .size = leaves.size - lost,
                                .has_root = true,
                                .has_entries = true,
                                .has_entries_root = true,
                                .has_old_log = true,
                                .has_old_statement = true};
    merkle_root(hashes, (size_t)ret->size, ret->root);
    memcpy(ret->curve, card->curve, KEY_SIZE);
    memcpy(ret->log, log.public, KEY_SIZE);
    memcpy(ret->statement, statement.public, KEY_SIZE);
    memcpy(ret->old_log, card->log, KEY_SIZE);
    memcpy(ret->old_statement, card->statement, KEY_SIZE);
}

static void sign_loss(const struct relaychange *change, const struct scene_keys *signer, struct buf *out) {
    AUTO_BUF payload = {0}, begun = {0};
    relaychange_encode(change, &payload);
    assert_ok(joint_begin(buf_bytes(&payload), &begun));
    if (signer)
        assert_ok(joint_sign(LABEL_RELAY, signer->secret, buf_bytes(&begun), out));
    else
        buf_add_bytes(out, buf_bytes(&begun));
}

static void assert_no_such_loss(struct bytes statement, const char *error) {
    AUTO_RAN ran = {0};
    liar.recovery = statement;
    for (int i = 0; i < 2; i++) { /* it does not wear out */
        lie();
        POUCH(&bob, &ran, "sync");
        assert_refused(&ran, error, "lost");
    }
    liar.recovery = (struct bytes){0};
    assert_goes_on(&bob);
}

static void a_loss_that_no_registrar_has_declared(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    struct relaychange change;
    struct scene_keys himself = scene_keys(), registrar = scene_relay_key(&stage_relay, "registrar.key");
    AUTO_BUF addresses = {0}, by_himself = {0}, by_nobody = {0}, spoiled = {0}, another_log = {0}, not_yet = {0};
    declare_loss(2, &change, &addresses);
    sign_loss(&change, &himself, &by_himself);
    assert_no_such_loss(buf_bytes(&by_himself), "unknown-registrar");
    sign_loss(&change, NULL, &by_nobody);
    assert_no_such_loss(buf_bytes(&by_nobody), "too-few-signers");
    sign_loss(&change, &registrar, &spoiled);
    spoiled.p[spoiled.n - 1] ^= 1;
    assert_no_such_loss(buf_bytes(&spoiled), "bad-signature");
    change.root[0] ^= 1;
    sign_loss(&change, &registrar, &another_log); /* of another relay with the same registrars */
    assert_no_such_loss(buf_bytes(&another_log), "directory-forked");
    change.root[0] ^= 1;
    change.size = 1000000;
    sign_loss(&change, &himself, &not_yet); /* of more than there is: only to be heard */
    liar.recovery = buf_bytes(&not_yet);
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "withheld", "loss");
    liar.recovery = (struct bytes){0};
    assert_goes_on(&bob);
}

int main(void) {
#define ACT(act) cmocka_unit_test_setup_teardown(act, begin, end)
    const struct CMUnitTest acts[] = {
        ACT(a_log_that_was_rewritten),
        ACT(another_head_of_a_size_that_was_seen),
        ACT(a_log_that_went_back),
        ACT(two_logs_for_two_members),
        ACT(a_log_without_ones_own_entry),
        ACT(many_heads_at_once_are_one_log),
        ACT(a_receipt_out_of_another_log),
        ACT(receipts_that_are_not_given),
        ACT(two_histories_of_one_leg),
        ACT(a_letter_that_is_kept_back),
        ACT(a_number_of_the_feed_that_is_left_out),
        ACT(a_loss_that_no_registrar_has_declared),
    };
    return cmocka_run_group_tests_name("a relay that lies about the evidence", acts, raise_curtain, lower_curtain);
}
