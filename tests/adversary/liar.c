/* liar.c - the real client against a relay whose operator lies about the directory.
 *
 * Goal: whatever he shows, with all of the relay's keys in his hands - another device, post or party, a member whom no
 * registrar admitted, an old log, two logs, a log without a revocation that he has promised - the client refuses it, says
 * so in plain words, exits with 4, and keeps the proof where there is one; and with an honest relay it goes on. */
#include <dirent.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

#include "forger.h"
#include "joint.h"
#include "stage.h"

static struct user ann = {.party = "fj", .post = "fj/technical"}, bob = {.party = "de", .post = "de/technical"},
                   carl = {.party = "ke", .post = "ke/technical"};
static struct actor eve, mallory;
static char note[SCENE_PATH];
static struct forger forger;

static void be_honest(void) { double_script_set(&stage_double, NULL, NULL, NULL, false); }
static void lie(void) { double_script_set(&stage_double, forger_answers, forger_asks, &forger, false); }

static int raise_curtain(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    struct user *users[] = {&ann, &bob, &carl};
    stage_open(NULL);
    snprintf(note, sizeof note, "%s/note.txt", stage_papers);
    scene_write_file(note, bytes_text("Please look at this at once.\n"));
    for (size_t i = 0; i < LENGTH(users); i++) stage_make_user(users[i]);
    stage_join(&ann, &ran);
    assert_int_equal(ran.exit, 0);
    stage_join(&bob, &ran);
    assert_int_equal(ran.exit, 0);
    actor_join(&stage_relay, "xx/evil", &eve);
    actor_join(&stage_relay, "yy/evil", &mallory);
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sync");
    stage_save(&bob);
    return 0;
}

static int lower_curtain(void **state) {
    (void)state;
    actor_free(&eve);
    actor_free(&mallory);
    stage_close();
    return 0;
}

static int open_log(void **state) {
    (void)state;
    forger_open(&forger, &stage_relay);
    return 0;
}

static int close_log(void **state) {
    (void)state;
    be_honest();
    forger_close(&forger);
    return 0;
}

/* It said no, with 4, by this name, and in words that name the entry or the relay. */
static void assert_refused(const struct ran *ran, const char *error, const char *word) {
    char name[96];
    snprintf(name, sizeof name, "\"error\": \"%s\"", error);
    if (ran->exit != 4) fail_msg("exit %d: %s%s", ran->exit, (const char *)ran->out.p, (const char *)ran->err.p);
    if (!strstr((const char *)ran->err.p, name)) fail_msg("not %s but %s", name, (const char *)ran->err.p);
    if (!strstr((const char *)ran->err.p, word)) fail_msg("no word of \"%s\" in %s", word, (const char *)ran->err.p);
}

static bool confirms(const char *path, const char *kind) {
    AUTO_RAN ran = {0};
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"kind\": \"%s\"", kind);
    scene_run("/", (const char *const[]){getenv("POUCH"), "verify", path, "--json", NULL}, &ran);
    if (ran.exit != 0) fail_msg("verify %s: %s", path, (const char *)ran.err.p);
    assert_non_null(strstr((const char *)ran.out.p, "\"proven\": true"));
    return strstr((const char *)ran.out.p, wanted) != NULL;
}

/* The home has written a proof of this kind, which anybody confirms without home or network. */
static void assert_proof(const struct user *user, const char *kind) {
    char folder[SCENE_PATH + 16], path[2 * SCENE_PATH];
    bool found = false;
    snprintf(folder, sizeof folder, "%s/proofs", user->home);
    DIR *directory = opendir(folder);
    if (!directory) fail_msg("%s has no proofs", user->home);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!strstr(entry->d_name, ".proof")) continue;
        snprintf(path, sizeof path, "%s/%.100s", folder, entry->d_name);
        found = confirms(path, kind) || found;
    }
    closedir(directory);
    if (!found) fail_msg("%s has no proof of %s", folder, kind);
}

/* `of`: whose entry it is; `why`: what the directory says to it. */
static void assert_refused_by(const struct user *user, const char *of, enum error why) {
    AUTO_RAN ran = {0};
    lie();
    POUCH(user, &ran, "sync");
    assert_refused(&ran, "false-entry", of);
    assert_refused(&ran, "false-entry", error_text(why));
    assert_proof(user, "leaves");
    POUCH(user, &ran, "send", "--to", "fj", "-s", "Into the trap", note);
    if (ran.exit != 4) fail_msg("send: exit %d: %s", ran.exit, (const char *)ran.err.p);
}

/* As if nothing had been: what was refused left no trace. */
static void assert_goes_on(const struct user *user) {
    AUTO_RAN ran = {0};
    be_honest();
    POUCH_GOOD(user, &ran, "sync");
    POUCH_GOOD(user, &ran, "directory", "list");
    if (strstr((const char *)ran.out.p, "zz/")) fail_msg("what was refused is shown: %s", (const char *)ran.out.p);
}

/* ---- false entries ---- */

static void signed_by(enum label label, const struct object *object, const void *value, const struct scene_keys *keys,
                      struct buf *out) {
    AUTO_BUF payload = {0};
    codec_encode(object, value, &payload);
    assert_ok(stamp_sign_one(label, keys->secret, buf_bytes(&payload), out));
}

static void say(enum leaf_kind kind, enum label label, const struct object *object, const void *value,
                const struct scene_keys *keys) {
    AUTO_BUF stamped = {0};
    signed_by(label, object, value, keys, &stamped);
    forger_say(&forger, kind, buf_bytes(&stamped));
}

static struct device device_for(const char *post, const struct scene_keys *device, const struct scene_keys *issuer) {
    struct device made = {.post = bytes_text(post),
                          .not_before = {forger_now(&forger) - DAY_MS},
                          .not_after = {forger_now(&forger) + 30 * DAY_MS}};
    uint8_t secret[KEY_SIZE];
    randombytes_buf(secret, sizeof secret);
    assert_int_equal(crypto_scalarmult_base(made.transport, secret), 0);
    memcpy(made.device, device->public, KEY_SIZE);
    memcpy(made.issuer, issuer->public, KEY_SIZE);
    return made;
}

static void a_device_that_no_key_of_the_post_has_certified(void **state) {
    (void)state;
    struct scene_keys device = scene_keys(), issuer = scene_keys();
    struct device made = device_for("fj/technical", &device, &issuer);
    say(LEAF_DEVICE, LABEL_DEVICE, &device_object, &made, &issuer);
    assert_refused_by(&bob, "fj/technical", E_FOREIGN_CERTIFICATE);
    assert_goes_on(&bob);
}

/* Its issuer is the right key, which he does not have. */
static void a_device_whose_signature_is_another_key_s(void **state) {
    (void)state;
    struct scene_keys device = scene_keys(), issuer = scene_keys();
    struct device made = device_for("xx/evil", &device, &eve.poster);
    say(LEAF_DEVICE, LABEL_DEVICE, &device_object, &made, &issuer);
    assert_refused_by(&bob, "xx/evil", E_BAD_SIGNATURE);
    assert_goes_on(&bob);
}

static void a_device_for_which_nobody_vouches_gets_nothing(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    struct scene_keys device = scene_keys();
    struct device made = device_for("xx/evil", &device, &eve.poster);
    say(LEAF_DEVICE, LABEL_DEVICE, &device_object, &made, &eve.poster); /* a post key that was stolen */
    lie();
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&bob, &ran, "directory", "show", "xx/evil");
    assert_non_null(strstr((const char *)ran.out.p, "\"not countersigned\"")); /* so nothing is sealed to it */
    stage_put_back(&bob);
}

static void a_post_that_another_authority_has_certified(void **state) {
    (void)state;
    struct scene_keys authority = scene_keys(), key = scene_keys();
    struct post post = {.post = bytes_text("fj/technical"), .functions = 4, .created = {forger_now(&forger)}};
    memcpy(post.key, key.public, KEY_SIZE);
    memcpy(post.authority, authority.public, KEY_SIZE);
    say(LEAF_POST, LABEL_POST, &post_object, &post, &authority);
    assert_refused_by(&bob, "fj/technical", E_FOREIGN_CERTIFICATE);
    assert_goes_on(&bob);
}

static void an_authority_key_that_the_party_has_not_chosen(void **state) {
    (void)state;
    struct scene_keys taken = scene_keys();
    struct succession succession = {.party = bytes_text("fj"),
                                    .action = SUCCESSION_RENEW,
                                    .created = {forger_now(&forger)},
                                    .has_authority = true,
                                    .has_next = true};
    memcpy(succession.signer, taken.public, KEY_SIZE);
    memcpy(succession.authority, taken.public, KEY_SIZE);
    say(LEAF_SUCCESSION, LABEL_SUCCESSION, &succession_object, &succession, &taken);
    assert_refused_by(&bob, "fj", E_NOT_ALLOWED);
    assert_goes_on(&bob);
}

static void a_revocation_by_nobody_s_key(void **state) {
    (void)state;
    struct scene_keys stranger = scene_keys();
    struct revocation revocation = {.post = bytes_text("fj/technical"), .created = {forger_now(&forger)}};
    memcpy(revocation.signer, stranger.public, KEY_SIZE);
    say(LEAF_REVOCATION, LABEL_REVOCATION, &revocation_object, &revocation, &stranger);
    assert_refused_by(&bob, "fj/technical", E_NOT_ALLOWED);
    assert_goes_on(&bob);
}

static struct charter charter_for(const char *party, const struct scene_keys *authority) {
    struct charter charter = {
        .party = bytes_text(party), .name = bytes_text("A member"), .created = {forger_now(&forger)}};
    memcpy(charter.authority, authority->public, KEY_SIZE);
    randombytes_buf(charter.next, sizeof charter.next);
    return charter;
}

static void admit_by(const struct charter *charter, const struct scene_keys *registrar, struct buf *out) {
    AUTO_BUF payload = {0}, admission_bytes = {0}, begun = {0};
    struct admission admission = {
        .party = charter->party, .action = ACTION_ADMIT, .has_charter = true, .created = {forger_now(&forger)}};
    charter_encode(charter, &payload);
    stamp_hash(buf_bytes(&payload), admission.charter);
    admission_encode(&admission, &admission_bytes);
    assert_ok(joint_begin(buf_bytes(&admission_bytes), &begun));
    assert_ok(joint_sign(LABEL_ADMISSION, registrar->secret, buf_bytes(&begun), out));
}

static void a_party_that_no_registrar_has_admitted(void **state) {
    (void)state;
    struct scene_keys authority = scene_keys(), operator= scene_keys();
    struct charter charter = charter_for("zz", &authority);
    AUTO_BUF admission = {0};
    say(LEAF_CHARTER, LABEL_CHARTER, &charter_object, &charter, &authority);
    admit_by(&charter, &operator, & admission);
    forger_say(&forger, LEAF_ADMISSION, buf_bytes(&admission));
    assert_refused_by(&bob, "zz", E_UNKNOWN_REGISTRAR);
    assert_goes_on(&bob);
}

/* To somebody who comes for the first time, and so has seen nothing that could be contradicted. */
static void another_party_of_the_same_name_shown_to_a_newcomer(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    AUTO_BUF stamped = {0};
    struct scene_keys authority = scene_keys();
    struct charter charter = charter_for("fj", &authority);
    signed_by(LABEL_CHARTER, &charter_object, &charter, &authority, &stamped);
    forger_replace(&forger, 0, LEAF_CHARTER, buf_bytes(&stamped));
    lie();
    stage_join(&carl, &ran);
    assert_refused(&ran, "false-entry", "fj");
    assert_proof(&carl, "leaves");
    be_honest();
    stage_join(&carl, &ran);
    if (ran.exit != 0) fail_msg("an honest relay: %s", (const char *)ran.err.p);
}

/* ---- an old log, two logs ---- */

static void an_older_log_than_was_seen(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    be_honest();
    POUCH_GOOD(&bob, &ran, "sync");
    stage_save(&bob);
    forger_cut(&forger, forger.count - 1);
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "directory-forked", "entries");
    assert_goes_on(&bob);
}

static void a_log_without_a_signed_head(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    forger.no_heads = true;
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "withheld", "head");
    assert_goes_on(&bob);
}

/* A statement that holds: a post that is nobody's concern here is revoked by its own key. */
static void revocation_of(const struct actor *actor, struct buf *out) {
    struct revocation revocation = {.post = bytes_text(actor->post), .created = {forger_now(&forger)}};
    memcpy(revocation.signer, actor->poster.public, KEY_SIZE);
    signed_by(LABEL_REVOCATION, &revocation_object, &revocation, &actor->poster, out);
}

static void really_revoke(const struct actor *actor) {
    AUTO_BUF stamped = {0}, statements = {0};
    AUTO_REPLY reply = {0};
    struct actor anybody;
    actor_new(&stage_relay, "zz/anybody", &anybody);
    actor_connect(&anybody);
    revocation_of(actor, &stamped);
    dirstatement_encode(&(struct dirstatement){LEAF_REVOCATION, buf_bytes(&stamped)}, &statements);
    actor_call(&anybody, MESSAGE_DECLARE, &(struct declare){list_of(&statements, 1)}, &reply);
    actor_free(&anybody);
}

static void ann_writes(const char *subject) {
    AUTO_RAN ran = {0};
    be_honest();
    POUCH_GOOD(&ann, &ran, "send", "--to", "de", "-s", subject, note);
}

/* Bob is shown a revocation that nobody else is shown, and ann one that he is not: each log by itself is as it should be.
 * Her letter tells him, and the two heads are the proof. */
static void two_logs_for_two_members(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    AUTO_BUF stamped = {0};
    stage_put_back(&bob);
    revocation_of(&eve, &stamped);
    forger_say(&forger, LEAF_REVOCATION, buf_bytes(&stamped));
    lie();
    POUCH_GOOD(&bob, &ran, "sync");
    really_revoke(&mallory);
    ann_writes("Do you see what I see?");
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "fraud", "fj/technical");
    assert_proof(&bob, "heads");
    POUCH_GOOD(&bob, &ran, "--offline", "inbox"); /* the letter itself is here, and may be read */
    assert_non_null(strstr((const char *)ran.out.p, "Do you see what I see?"));
    stage_put_back(&bob);
    assert_goes_on(&bob);
    stage_save(&bob);
}

/* The log stands still for bob alone: what ann's letter brings shows it. */
static void a_log_that_stands_still_for_one_member(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    really_revoke(&eve);
    ann_writes("The world goes on");
    lie();
    POUCH(&bob, &ran, "sync");
    assert_refused(&ran, "withheld", "fj/technical");
    POUCH_GOOD(&bob, &ran, "--offline", "inbox");
    assert_non_null(strstr((const char *)ran.out.p, "The world goes on"));
    stage_put_back(&bob);
    assert_goes_on(&bob);
}

/* ---- a promise that is broken ---- */

/* A second device of ann's post, certified by her authority, for so short that it renews itself at its next sync. */
static void give_ann_a_second_device(struct user *second) {
    AUTO_RAN ran = {0};
    *second = (struct user){.party = "fj-second", .post = ann.post};
    snprintf(second->home, sizeof second->home, "%s/home-second", stage_papers);
    snprintf(second->saved, sizeof second->saved, "%s/saved-second", stage_papers);
    be_honest();
    stage_run(second->home, &ran,
              (const char *const[]){"init", ann.post, "--device", "--validity", "10d", "--no-passphrase", NULL});
    assert_int_equal(ran.exit, 0);
    stage_run(
        ann.authority, &ran,
        (const char *const[]){"authority", "certify", "fj-technical-device.request", "-o", "fj-second.cert", NULL});
    assert_int_equal(ran.exit, 0);
    double_transport_of(second->home, second->secret, second->public);
    stage_join(second, &ran);
    if (ran.exit != 0) fail_msg("the second device: %s", (const char *)ran.err.p);
    POUCH_GOOD(&ann, &ran, "sync");
    stage_save(&ann);
    stage_save(second);
}

static struct user second;

/* The device wants to live on; he says yes and lets it run out. */
static void a_renewal_that_was_promised_and_dropped(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    give_ann_a_second_device(&second);
    forger_close(&forger);
    forger_open(&forger, &stage_relay); /* with the second device in it */
    forger.swallow = true;
    lie();
    POUCH_GOOD(&second, &ran, "sync"); /* there is time left */
    assert_int_equal(forger.swallowed_count, 1);
    forger.ahead_ms = 2 * 3600 * 1000;
    POUCH(&second, &ran, "sync");
    assert_refused(&ran, "fraud", "promise");
    assert_proof(&second, "promise");
    stage_put_back(&second);
    be_honest();
    POUCH_GOOD(&second, &ran, "sync");
    POUCH_GOOD(&second, &ran, "status");
    assert_null(strstr((const char *)ran.err.p, "certificate ends"));
}

/* Ann's laptop is stolen; she revokes it, he says yes and keeps it back. She is never told that it is done, and once the
 * promised hour is over she has the proof. */
static void a_revocation_that_was_promised_and_dropped(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    POUCH_GOOD(&ann, &ran, "sync"); /* the act before has given her one */
    stage_save(&ann);
    forger_close(&forger);
    forger_open(&forger, &stage_relay);
    forger.swallow = true;
    lie();
    POUCH(&ann, &ran, "device", "revoke", "2");
    assert_refused(&ran, "withheld", "revocation");
    POUCH_GOOD(&ann, &ran, "sync"); /* there is time left */
    forger.ahead_ms = 2 * 3600 * 1000;
    POUCH(&ann, &ran, "sync");
    assert_refused(&ran, "fraud", "promise");
    assert_proof(&ann, "promise");
    stage_put_back(&ann);
    assert_goes_on(&ann);
    POUCH_GOOD(&ann, &ran, "device", "revoke", "2");
}

int main(void) {
#define ACT(act) cmocka_unit_test_setup_teardown(act, open_log, close_log)
    const struct CMUnitTest acts[] = {
        ACT(a_device_that_no_key_of_the_post_has_certified),
        ACT(a_device_whose_signature_is_another_key_s),
        ACT(a_device_for_which_nobody_vouches_gets_nothing),
        ACT(a_post_that_another_authority_has_certified),
        ACT(an_authority_key_that_the_party_has_not_chosen),
        ACT(a_revocation_by_nobody_s_key),
        ACT(a_party_that_no_registrar_has_admitted),
        ACT(another_party_of_the_same_name_shown_to_a_newcomer),
        ACT(an_older_log_than_was_seen),
        ACT(a_log_without_a_signed_head),
        ACT(two_logs_for_two_members),
        ACT(a_log_that_stands_still_for_one_member),
        ACT(a_renewal_that_was_promised_and_dropped),
        ACT(a_revocation_that_was_promised_and_dropped),
    };
    return cmocka_run_group_tests_name("a relay that lies about the directory", acts, raise_curtain, lower_curtain);
}
