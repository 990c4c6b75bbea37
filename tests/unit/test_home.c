/* test_home.c - making homes, certifying posts, and what a home refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is a function (failure.h) */

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chain.h"
#include "files.h"
#include "home.h"
#include "joint.h"
#include "sign.h"
#include "stamp.h"
#include "text.h"

static char root[64];
static struct failure failure;

/* A path below this test's folder; up to four live at once. */
static const char *at(const char *name) {
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static struct home_options options(const char *name) { return (struct home_options){.path = at(name), .wait_s = 1}; }

static enum error make_authority(const char *name, const char *party) {
    struct home_options where = options(name);
    return home_init_authority(
        &where, &(struct home_new_authority){.party = party, .name = "A State", .outdir = root, .kind = PARTY_STATE},
        &failure);
}

static enum error make_post(const char *name, const char *post) {
    struct home_options where = options(name);
    return home_init_post(&where, &(struct home_new_post){.post = post, .outdir = root}, &failure);
}

static void open_home(const char *name, struct home *ret) {
    struct home_options where = options(name);
    enum error error = home_open(&where, ret, &failure);
    if (error != E_OK) print_message("%s: %s\n", error_text(error), failure.where);
    assert_int_equal(error, E_OK);
}

static void read_at(const char *path, struct buf *out) {
    assert_int_equal(files_read(path, 1 << 20, out, &failure), E_OK);
}

/* The certificate of a post's request, made by an authority's home. */
static void certify(const char *authority, const char *request, const char *out) {
    AUTO_HOME home = {0};
    char post[POST_MAX + 1];
    open_home(authority, &home);
    assert_int_equal(home_certify(&home, at(request), 0, at(out), post, &failure), E_OK);
}

static void a_certificate_made_from_a_request_fits_its_home(void **state) {
    (void)state;
    AUTO_HOME home = {0};
    AUTO_BUF file = {0};
    struct dossier dossier;
    struct chain chain;
    assert_int_equal(make_authority("A", "de"), E_OK);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    certify("A", "de-technical.request", "cert");
    open_home("H", &home);
    assert_int_equal(home.kind, HOME_POST);
    assert_string_equal(home.post, "de/technical");
    assert_false(home.joined);
    read_at(at("cert"), &file);
    assert_int_equal(home_check_certificate(&home, buf_bytes(&file), &dossier, &failure), E_OK);
    assert_int_equal(chain_read(&dossier, &chain), E_OK);
    assert_int_equal(chain.post.functions, FUNCTION_TECHNICAL);
    assert_true(chain.post.has_revoker);
    assert_true(chain.device.not_after.ms - chain.device.not_before.ms <= DEVICE_VALIDITY_MAX_MS);
    assert_memory_equal(chain.device.device, home.device, KEY_SIZE);
}

static void a_directory_takes_the_statements_of_charter_and_certificate(void **state) {
    (void)state;
    assert_int_equal(make_authority("A", "de"), E_OK);
    assert_int_equal(make_post("H", "de/national"), E_OK);
    certify("A", "de-national.request", "cert");
    uint8_t registrar[1][KEY_SIZE], secret[SIGN_SECRET_SIZE];
    crypto_sign_keypair(registrar[0], secret);
    struct card card = {.registrar_count = 1, .threshold = 1};
    memcpy(card.registrars[0], registrar[0], KEY_SIZE);
    struct directory *directory = directory_new(&card);
    AUTO_BUF file = {0};
    struct dossier dossier;
    struct dirstatement statement;
    struct chain chain;
    read_at(at("cert"), &file);
    assert_int_equal(dossier_decode(buf_bytes(&file), &dossier), E_OK);
    assert_int_equal(chain_read(&dossier, &chain), E_OK);
    struct instant time = {chain.countersign.created.ms};
    unsigned applied = 0;
    while (dirstatement_next(&dossier.statements, &statement)) {
        AUTO_BUF leaf = {0};
        enum error error =
            directory_make_leaf(directory, (enum leaf_kind)statement.kind, statement.statement, time, &leaf);
        assert_int_equal(error, E_OK);
        assert_int_equal(directory_apply(directory, buf_bytes(&leaf)), E_OK);
        if (applied++ > 0) continue;
        /* After the charter, the registrar admits the party. */
        struct admission admission = {
            .party = bytes_text("de"), .action = ACTION_ADMIT, .has_charter = true, .created = time};
        struct bytes payload;
        assert_int_equal(stamp_peek(statement.statement, &payload), E_OK);
        stamp_hash(payload, admission.charter);
        AUTO_BUF encoded = {0};
        AUTO_BUF begun = {0};
        AUTO_BUF joint = {0};
        AUTO_BUF second = {0};
        admission_encode(&admission, &encoded);
        assert_int_equal(joint_begin(buf_bytes(&encoded), &begun), E_OK);
        assert_int_equal(joint_sign(LABEL_ADMISSION, secret, buf_bytes(&begun), &joint), E_OK);
        assert_int_equal(directory_make_leaf(directory, LEAF_ADMISSION, buf_bytes(&joint), time, &second), E_OK);
        assert_int_equal(directory_apply(directory, buf_bytes(&second)), E_OK);
    }
    assert_int_equal(applied, 4);
    const struct directory_device *device = directory_device(directory, chain.device.device);
    assert_non_null(device);
    assert_int_equal(directory_live(device, time), E_OK);
    assert_int_equal(device->post->functions, FUNCTION_DIPLOMATIC | FUNCTION_POLICY | FUNCTION_TECHNICAL);

    /* The slip from the safe revokes the post, and needs nothing else. */
    AUTO_BUF slip = {0};
    AUTO_BUF leaf = {0};
    read_at(at("de-national.revocation"), &slip);
    assert_int_equal(dossier_decode(buf_bytes(&slip), &dossier), E_OK);
    assert_int_equal(dossier.statements.count, 1);
    assert_true(dirstatement_next(&dossier.statements, &statement));
    assert_int_equal(statement.kind, LEAF_REVOCATION);
    assert_int_equal(directory_make_leaf(directory, LEAF_REVOCATION, statement.statement, time, &leaf), E_OK);
    assert_int_equal(directory_apply(directory, buf_bytes(&leaf)), E_OK);
    assert_int_equal(directory_live(directory_device(directory, chain.device.device), time), E_REVOKED);
    directory_free(directory);
}

static void an_authoritys_revocation_is_taken_by_the_directory_form(void **state) {
    (void)state;
    AUTO_HOME authority = {0};
    AUTO_BUF file = {0};
    struct dossier dossier;
    struct dirstatement statement;
    struct bytes payload;
    struct revocation revocation;
    uint8_t device[KEY_SIZE];
    memset(device, 7, sizeof device);
    assert_int_equal(make_authority("A", "de"), E_OK);
    open_home("A", &authority);
    assert_int_equal(home_revoke(&authority, "de/technical", device, 3, at("revoked"), &failure), E_OK);
    read_at(at("revoked"), &file);
    assert_int_equal(dossier_decode(buf_bytes(&file), &dossier), E_OK);
    assert_true(dirstatement_next(&dossier.statements, &statement));
    assert_int_equal(stamp_verify(LABEL_REVOCATION, authority.authority, statement.statement, &payload), E_OK);
    assert_int_equal(revocation_decode(payload, &revocation), E_OK);
    assert_true(revocation.has_device);
    assert_memory_equal(revocation.device, device, KEY_SIZE);
    assert_int_equal(revocation.reason, 3);
    assert_int_equal(home_revoke(&authority, "fr/technical", NULL, 0, at("other"), &failure), E_NOT_ALLOWED);
    assert_false(files_exists(at("other")));
}

static void the_certificate_of_another_post_or_home_is_refused(void **state) {
    (void)state;
    assert_int_equal(make_authority("A", "de"), E_OK);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    assert_int_equal(make_post("G", "de/diplomatic"), E_OK);
    certify("A", "de-technical.request", "technical.cert");
    certify("A", "de-diplomatic.request", "diplomatic.cert");
    /* The same post once more, in another home, with other keys. */
    assert_int_equal(rename(at("de-technical.request"), at("first.request")), 0);
    assert_int_equal(rename(at("de-technical.revocation"), at("first.revocation")), 0);
    assert_int_equal(make_post("H2", "de/technical"), E_OK);
    certify("A", "de-technical.request", "second.cert");
    AUTO_HOME home = {0};
    struct dossier dossier;
    static const struct {
        const char *file;
        enum error error;
    } cases[] = {
        {"technical.cert", E_OK}, {"diplomatic.cert", E_FOREIGN_CERTIFICATE}, {"second.cert", E_FOREIGN_CERTIFICATE}};
    open_home("H", &home);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        AUTO_BUF file = {0};
        read_at(at(cases[i].file), &file);
        assert_int_equal(home_check_certificate(&home, buf_bytes(&file), &dossier, &failure), cases[i].error);
    }
}

static void a_certificate_by_another_authority_is_refused(void **state) {
    (void)state;
    struct home_options second = options("A2");
    assert_int_equal(make_authority("A", "de"), E_OK);
    assert_int_equal(mkdir(at("elsewhere"), 0700), 0);
    assert_int_equal(home_init_authority(
                         &second,
                         &(struct home_new_authority){.party = "de", .name = "An impostor", .outdir = at("elsewhere")},
                         &failure),
                     E_OK);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    certify("A", "de-technical.request", "good.cert");
    certify("A2", "de-technical.request", "bad.cert");
    /* The first authority's charter with the second's signatures: neither's certificate. */
    AUTO_BUF good = {0};
    AUTO_BUF bad = {0};
    AUTO_BUF mixed = {0};
    AUTO_BUF statements = {0};
    struct dossier a, b;
    struct chain first, other;
    read_at(at("good.cert"), &good);
    read_at(at("bad.cert"), &bad);
    assert_int_equal(dossier_decode(buf_bytes(&good), &a), E_OK);
    assert_int_equal(dossier_decode(buf_bytes(&bad), &b), E_OK);
    assert_int_equal(chain_read(&a, &first), E_OK);
    assert_int_equal(chain_read(&b, &other), E_OK);
    assert_int_equal(chain_append(LEAF_CHARTER, first.charter_stamped, &statements), E_OK);
    assert_int_equal(chain_append(LEAF_POST, other.post_stamped, &statements), E_OK);
    assert_int_equal(chain_append(LEAF_DEVICE, first.device_stamped, &statements), E_OK);
    assert_int_equal(chain_append(LEAF_COUNTERSIGN, first.countersign_stamped, &statements), E_OK);
    dossier_encode(&(struct dossier){.post = bytes_text("de/technical"), .statements = list_of(&statements, 4)},
                   &mixed);
    AUTO_HOME home = {0};
    struct dossier ignored;
    open_home("H", &home);
    assert_int_equal(home_check_certificate(&home, buf_bytes(&mixed), &ignored, &failure), E_FOREIGN_CERTIFICATE);
}

static void no_touched_certificate_is_taken(void **state) {
    (void)state;
    AUTO_HOME home = {0};
    AUTO_BUF file = {0};
    struct dossier dossier;
    assert_int_equal(make_authority("A", "de"), E_OK);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    certify("A", "de-technical.request", "cert");
    open_home("H", &home);
    read_at(at("cert"), &file);
    for (size_t n = 0; n < file.n; n++)
        assert_int_not_equal(home_check_certificate(&home, bytes_of(file.p, n), &dossier, &failure), E_OK);
    for (size_t bit = 0; bit < file.n * 8; bit++) {
        file.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_not_equal(home_check_certificate(&home, buf_bytes(&file), &dossier, &failure), E_OK);
        file.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(home_check_certificate(&home, buf_bytes(&file), &dossier, &failure), E_OK);
}

static void no_touched_request_is_certified(void **state) {
    (void)state;
    AUTO_HOME authority = {0};
    AUTO_BUF file = {0};
    char post[POST_MAX + 1];
    assert_int_equal(make_authority("A", "de"), E_OK);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    open_home("A", &authority);
    read_at(at("de-technical.request"), &file);
    for (size_t i = 0; i < file.n; i += 3) {
        file.p[i] ^= 1;
        assert_int_equal(files_write(at("touched"), 0600, buf_bytes(&file), &failure), E_OK);
        enum error error = home_certify(&authority, at("touched"), 0, at("cert"), post, &failure);
        /* The revoker's key is covered by the authority's signature only; the rest is not certified when touched. */
        struct dossier dossier;
        bool decodes = dossier_decode(buf_bytes(&file), &dossier) == E_OK;
        size_t from = decodes ? (size_t)(file.n - KEY_SIZE) : file.n;
        if (i < from) assert_int_not_equal(error, E_OK);
        file.p[i] ^= 1;
    }
    assert_int_equal(home_certify(&authority, at("de-technical.request"), 0, at("cert"), post, &failure), E_OK);
    assert_string_equal(post, "de/technical");
}

static void an_authority_certifies_its_own_posts_only(void **state) {
    (void)state;
    AUTO_HOME authority = {0};
    char post[POST_MAX + 1];
    assert_int_equal(make_authority("A", "fr"), E_OK);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    open_home("A", &authority);
    assert_int_equal(home_certify(&authority, at("de-technical.request"), 0, at("cert"), post, &failure),
                     E_FOREIGN_CERTIFICATE);
    assert_false(files_exists(at("cert")));
}

static void the_home_does_not_hold_the_post_key(void **state) {
    (void)state;
    AUTO_HOME home = {0};
    struct keystore keys = {0};
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    open_home("H", &home);
    assert_null(home.keys.post.p);
    assert_int_equal(keystore_open(at("H/post.key"), NULL, &keys, &failure), E_OK);
    assert_memory_equal(keys.post.p + KEY_SIZE, home.post_key, KEY_SIZE);
    assert_null(keys.device.p);
    keystore_free(&keys);
}

static void secret_files_are_for_their_owner_only(void **state) {
    (void)state;
    static const char *const secrets[] = {"H/keys",         "H/post.key", "H/identity",
                                          "H/store.sqlite", "H/lock",     "de-technical.revocation"};
    struct stat stat_;
    umask(022);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    assert_int_equal(stat(at("H"), &stat_), 0);
    assert_int_equal(stat_.st_mode & 0777, 0700);
    for (size_t i = 0; i < LENGTH(secrets); i++) {
        assert_int_equal(stat(at(secrets[i]), &stat_), 0);
        assert_int_equal(stat_.st_mode & 0077, 0);
    }
    assert_int_equal(stat(at("de-technical.request"), &stat_), 0);
    assert_int_equal(stat_.st_mode & 0777, 0644);
}

static void a_second_init_changes_nothing(void **state) {
    (void)state;
    static const char *const kept[] = {"H/keys", "H/post.key", "H/identity", "de-technical.request",
                                       "de-technical.revocation"};
    struct buf before[LENGTH(kept)] = {0};
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    for (size_t i = 0; i < LENGTH(kept); i++) read_at(at(kept[i]), &before[i]);
    assert_int_equal(make_post("H", "de/technical"), E_HOME_EXISTS);
    assert_int_equal(make_post("H", "fr/technical"), E_HOME_EXISTS);
    assert_int_equal(make_authority("H", "de"), E_HOME_EXISTS);
    /* Another home must not overwrite the first one's request. */
    assert_int_equal(make_post("G", "de/technical"), E_HOME_EXISTS);
    for (size_t i = 0; i < LENGTH(kept); i++) {
        AUTO_BUF after = {0};
        read_at(at(kept[i]), &after);
        assert_true(bytes_equal(buf_bytes(&before[i]), buf_bytes(&after)));
        buf_free(&before[i]);
    }
}

static void empty_root(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/*", root);
    assert_int_equal(system(command), 0);
}

/* How long an init takes here, in microseconds. */
static long init_takes_us(void) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    empty_root();
    return (end.tv_sec - begin.tv_sec) * 1000000L + (end.tv_nsec - begin.tv_nsec) / 1000;
}

static void kill_init_after_us(long us) {
    int status;
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) _exit(make_post("H", "de/technical") == E_OK ? 0 : 1);
    nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
}

static void an_init_killed_at_any_moment_can_be_repeated(void **state) {
    (void)state;
    enum { ROUNDS = 60 };
    long whole = init_takes_us();
    unsigned halfway = 0;
    for (long i = 0; i < ROUNDS; i++) {
        kill_init_after_us(whole * i / ROUNDS);
        bool whole_home = files_exists(at("H/identity"));
        halfway += !whole_home && files_exists(at("H/unfinished"));
        if (!whole_home) assert_int_equal(make_post("H", "de/technical"), E_OK);
        AUTO_HOME home = {0};
        AUTO_BUF request = {0};
        AUTO_BUF identity = {0};
        open_home("H", &home);
        read_at(at("de-technical.request"), &request);
        read_at(at("H/identity"), &identity);
        assert_true(bytes_equal(buf_bytes(&request), buf_bytes(&identity)));
        home_close(&home);
        empty_root();
    }
    assert_true(halfway > 0); /* else nothing was tried */
}

static void a_folder_that_is_no_home_says_so(void **state) {
    (void)state;
    struct home home = {0};
    struct home_options where = options("nothing");
    assert_int_equal(home_open(&where, &home, &failure), E_NO_HOME);
    assert_int_equal(mkdir(at("nothing"), 0700), 0);
    assert_int_equal(home_open(&where, &home, &failure), E_NO_HOME);
    assert_string_equal(home.path, "");
}

static void names_are_checked_before_anything_is_made(void **state) {
    (void)state;
    assert_int_equal(make_post("H", "de"), E_USAGE);
    assert_int_equal(make_post("H", "DE/technical"), E_USAGE);
    assert_int_equal(make_post("H", "../x"), E_USAGE);
    assert_int_equal(make_authority("H", "de/technical"), E_USAGE);
    struct home_options where = options("H");
    assert_int_equal(home_init_authority(
                         &where, &(struct home_new_authority){.party = "de", .name = "\xff", .outdir = root}, &failure),
                     E_USAGE);
    assert_false(files_exists(at("H")));
}

static void a_home_in_use_makes_others_wait_and_then_say_so(void **state) {
    (void)state;
    struct home second = {0};
    struct home_options where = options("H");
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    AUTO_HOME home = {0};
    open_home("H", &home);
    assert_int_equal(home_open(&where, &second, &failure), E_LOCKED);
    home_unlock(&home);
    assert_int_equal(home_open(&where, &second, &failure), E_OK);
    home_close(&second);
    assert_int_equal(home_relock(&home, &failure), E_OK);
    assert_int_equal(home_open(&where, &second, &failure), E_LOCKED);
}

static void a_sealed_home_opens_with_its_pass_phrase_only(void **state) {
    (void)state;
    struct home_options where = {.path = at("H"), .passphrase = "open sesame", .wait_s = 1};
    struct home home = {0};
    assert_int_equal(home_init_post(&where, &(struct home_new_post){.post = "de/technical", .outdir = root}, &failure),
                     E_OK);
    assert_int_equal(home_open(&where, &home, &failure), E_OK);
    home_close(&home);
    where.passphrase = "open barley";
    assert_int_equal(home_open(&where, &home, &failure), E_BAD_PASSPHRASE);
    where.passphrase = NULL;
    assert_int_equal(home_open(&where, &home, &failure), E_BAD_PASSPHRASE);
}

static void keys_of_another_home_are_noticed(void **state) {
    (void)state;
    struct home home = {0};
    struct home_options where = options("H");
    assert_int_equal(make_post("H", "de/technical"), E_OK);
    assert_int_equal(make_post("G", "de/diplomatic"), E_OK);
    assert_int_equal(rename(at("G/keys"), at("H/keys")), 0);
    assert_int_equal(home_open(&where, &home, &failure), E_CORRUPT);
}

static void the_charter_commits_to_the_next_authority_key(void **state) {
    (void)state;
    AUTO_HOME authority = {0};
    AUTO_BUF file = {0};
    AUTO_BUF sheet = {0};
    struct dossier dossier;
    struct chain chain;
    uint8_t next[HASH_SIZE], hash[HASH_SIZE];
    char fingerprint[TEXT_FINGERPRINT_SIZE];
    struct bytes payload;
    assert_int_equal(make_authority("A", "de"), E_OK);
    open_home("A", &authority);
    read_at(at("de.charter"), &file);
    read_at(at("de.nomination"), &sheet);
    assert_int_equal(dossier_decode(buf_bytes(&file), &dossier), E_OK);
    assert_int_equal(chain_read(&dossier, &chain), E_OK);
    assert_int_equal(chain_check_charter(&chain), E_OK);
    label_digest(LABEL_NEXT_KEY, bytes_of(authority.keys.authority_next.p + KEY_SIZE, KEY_SIZE), next);
    assert_memory_equal(chain.charter.next, next, HASH_SIZE);
    assert_int_equal(stamp_peek(chain.charter_stamped, &payload), E_OK);
    directory_charter_digest(payload, hash); /* what the registrar's program shows */
    text_fingerprint(hash, fingerprint);
    buf_add(&sheet, "", 1);
    assert_non_null(strstr((const char *)sheet.p, fingerprint));
}

static int fresh(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/pouch-home-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int clean(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, clean)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_certificate_made_from_a_request_fits_its_home),
        TEST(a_directory_takes_the_statements_of_charter_and_certificate),
        TEST(an_authoritys_revocation_is_taken_by_the_directory_form),
        TEST(the_certificate_of_another_post_or_home_is_refused),
        TEST(a_certificate_by_another_authority_is_refused),
        TEST(no_touched_certificate_is_taken),
        TEST(no_touched_request_is_certified),
        TEST(an_authority_certifies_its_own_posts_only),
        TEST(the_home_does_not_hold_the_post_key),
        TEST(secret_files_are_for_their_owner_only),
        TEST(a_second_init_changes_nothing),
        TEST(an_init_killed_at_any_moment_can_be_repeated),
        TEST(a_folder_that_is_no_home_says_so),
        TEST(names_are_checked_before_anything_is_made),
        TEST(a_home_in_use_makes_others_wait_and_then_say_so),
        TEST(a_sealed_home_opens_with_its_pass_phrase_only),
        TEST(keys_of_another_home_are_noticed),
        TEST(the_charter_commits_to_the_next_authority_key),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
