/* test_succession.c - the authority's key from one to the next, certificates after it, and what desks are told. */
#include "client_fixture.h"

#include <sys/stat.h>

#include "chain.h"
#include "files.h"
#include "news.h"
#include "succession.h"

static const char *at(const char *name) {
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void make_authority(const char *name, const char *party, struct home *ret) {
    struct home_options options = {.path = at(name), .wait_s = 1};
    char outdir[256];
    (void)snprintf(outdir, sizeof outdir, "%s.papers", at(name));
    assert_int_equal(mkdir(outdir, 0700), 0);
    assert_ok(home_init_authority(
        &options, &(struct home_new_authority){.party = party, .name = "A State", .outdir = outdir}, &failure));
    assert_ok(home_open(&options, ret, &failure));
}

/* The statements of a file, taken apart. */
static void read_chain(const char *path, struct buf *bytes, struct chain *ret) {
    struct dossier dossier;
    assert_ok(files_read(path, 1 << 20, bytes, &failure));
    assert_ok(dossier_decode(buf_bytes(bytes), &dossier));
    assert_ok(chain_read(&dossier, ret));
}

static void certify(struct home *authority, const char *name, const char *post, struct buf *bytes, struct chain *ret) {
    struct home_options options = {.path = at(name), .wait_s = 1};
    char certified[POST_MAX + 1], request[256], out[256], base[POST_MAX + 16];
    (void)snprintf(base, sizeof base, "%s.request", post);
    for (char *p = base; *p; p++)
        if (*p == '/') *p = '-';
    (void)snprintf(request, sizeof request, "%s", at(base));
    (void)snprintf(out, sizeof out, "%s", at("cert"));
    assert_ok(home_init_post(&options, &(struct home_new_post){.post = post, .outdir = folder}, &failure));
    assert_ok(home_certify(authority, request, 0, out, certified, &failure));
    read_chain(out, bytes, ret);
}

/* What an outsider sees of the world at a time. */
static void see(struct outsider *ret, uint64_t now) {
    *ret = (struct outsider){.directory = directory_copy(world.directory), .now = {now}};
    assert_non_null(ret->directory);
    for (size_t i = 0; i < world.count; i++) cbor_put_bytes(&ret->leaves, buf_bytes(&world.leaves[i]));
    ret->count = world.count;
}

static void apply_file(const char *path) {
    AUTO_BUF bytes = {0};
    struct dossier dossier;
    struct dirstatement statement;
    assert_ok(files_read(path, 1 << 20, &bytes, &failure));
    assert_ok(dossier_decode(buf_bytes(&bytes), &dossier));
    while (dirstatement_next(&dossier.statements, &statement))
        assert_ok(world_leaf(&world, (enum leaf_kind)statement.kind, statement.statement));
}

/* ---- the chain ---- */

static void renewed_keys_lead_from_the_charter_to_every_certificate(void **state) {
    (void)state;
    AUTO_HOME home = {0};
    AUTO_BUF bytes = {0};
    struct chain chain;
    uint8_t first[KEY_SIZE];
    make_authority("A", "xx", &home);
    memcpy(first, home.authority, KEY_SIZE);
    for (size_t i = 1; i <= 3; i++) {
        AUTO_BUF file = {0};
        struct chain made;
        char name[16], post[16];
        assert_ok(succession_renew(&home, NULL, false, at("paper"), &failure));
        assert_ok(succession_delivered(&home, &failure));
        (void)snprintf(name, sizeof name, "P%zu", i);
        (void)snprintf(post, sizeof post, "xx/desk%zu", i);
        certify(&home, name, post, &file, &made);
        assert_int_equal(made.succession_count, i);
        assert_ok(chain_check(&made, bytes_text(post)));
        assert_memory_equal(chain_authority(&made), home.authority, KEY_SIZE);
        assert_memory_equal(made.authorities[0], first, KEY_SIZE);
    }
    home_close(&home);
    struct home_options options = {.path = at("A"), .wait_s = 1};
    assert_ok(home_open(&options, &home, &failure));
    read_chain(at("A/identity"), &bytes, &chain);
    assert_int_equal(chain.succession_count, 3);
    assert_memory_equal(chain_authority(&chain), home.authority, KEY_SIZE);
}

static void a_chain_with_a_gap_a_swap_or_an_objection_is_refused(void **state) {
    (void)state;
    AUTO_HOME home = {0};
    AUTO_BUF bytes = {0}, objection = {0}, statements = {0}, file = {0};
    struct chain chain, wrong;
    struct dossier dossier;
    make_authority("A", "xx", &home);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(succession_renew(&home, NULL, false, at("paper"), &failure));
        assert_ok(succession_delivered(&home, &failure));
    }
    certify(&home, "P", "xx/desk", &bytes, &chain);
    assert_ok(chain_check(&chain, bytes_text("xx/desk")));

    wrong = chain;
    wrong.succession_stamped[0] = chain.succession_stamped[1];
    wrong.succession_stamped[1] = chain.succession_stamped[0];
    assert_error(chain_check(&wrong, bytes_text("xx/desk")), E_FOREIGN_CERTIFICATE);
    wrong = chain;
    wrong.succession_stamped[0] = chain.succession_stamped[1];
    memcpy(wrong.authorities[1], chain.authorities[2], KEY_SIZE);
    wrong.succession_count = 1;
    assert_error(chain_check(&wrong, bytes_text("xx/desk")), E_FOREIGN_CERTIFICATE);
    wrong = chain;
    wrong.succession_count = 1; /* the last one missing: the post was signed by a key that is not the chain's */
    assert_error(chain_check(&wrong, bytes_text("xx/desk")), E_FOREIGN_CERTIFICATE);

    struct succession no = succession_of("xx", SUCCESSION_OBJECT, AUTHORITY, 0, 0);
    sign_succession(&no, AUTHORITY, &objection);
    assert_ok(chain_append(LEAF_CHARTER, chain.charter_stamped, &statements));
    assert_ok(chain_append(LEAF_SUCCESSION, buf_bytes(&objection), &statements));
    dossier_encode(&(struct dossier){.post = bytes_text("xx"), .statements = list_of(&statements, 2)}, &file);
    assert_ok(dossier_decode(buf_bytes(&file), &dossier));
    assert_error(chain_read(&dossier, &wrong), E_MALFORMED);
}

/* ---- after a loss ---- */

static void a_key_is_taken_only_once_the_notice_has_stood_for_fourteen_days(void **state) {
    (void)state;
    AUTO_HOME home = {0};
    AUTO_BUF bytes = {0}, cert = {0};
    AUTO_OUTSIDER early = {0}, due = {0}, after = {0};
    struct chain own, certified;
    bool done = true;
    make_authority("A", "de", &home);
    read_chain(at("A/identity"), &bytes, &own);
    see(&early, world.time);
    assert_error(succession_take(&home, &early, at("paper"), &done, &failure), E_NOT_ALLOWED);
    outsider_free(&early);

    struct notice notice = notice_of("de", AUTHORITY, AUTHORITY);
    memcpy(notice.authority, own.charter.authority, KEY_SIZE);
    memcpy(notice.next, own.charter.next, HASH_SIZE);
    notice.has_recovery = own.charter.has_recovery;
    memcpy(notice.recovery, own.charter.recovery, KEY_SIZE);
    uint64_t since = world.time;
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    see(&early, since + NOTICE_MS - 1);
    assert_error(succession_take(&home, &early, at("paper"), &done, &failure), E_NOTICE_RUNNING);
    assert_false(files_exists(at("paper")));

    see(&due, since + NOTICE_MS);
    assert_ok(succession_take(&home, &due, at("paper"), &done, &failure));
    assert_false(done);
    world.time = since + NOTICE_MS;
    apply_file(at("paper"));
    assert_memory_equal(directory_party(world.directory, bytes_text("de"))->authority, home.authority, KEY_SIZE);
    assert_memory_equal(directory_party(world.directory, bytes_text("de"))->recovery, own.charter.recovery, KEY_SIZE);

    see(&after, world.time);
    assert_ok(succession_take(&home, &after, at("again"), &done, &failure));
    assert_true(done);
    assert_false(files_exists(at("again")));
    certify(&home, "P", "de/policy", &cert, &certified);
    assert_ok(chain_check(&certified, bytes_text("de/policy")));
    assert_memory_equal(certified.charter.authority, pair_of(AUTHORITY).public, KEY_SIZE);
    assert_ok(succession_renew(&home, NULL, false, at("renewed"), &failure));
    apply_file(at("renewed")); /* the notice's next key is the one that this home holds */
}

static void only_the_partys_own_recovery_key_recovers(void **state) {
    (void)state;
    AUTO_HOME lost = {0}, fresh = {0};
    AUTO_BUF bytes = {0};
    AUTO_OUTSIDER outsider = {0}, after = {0};
    struct chain chain;
    struct dirstatement statement;
    struct dossier dossier;
    bool done = true;
    make_authority("A", "xx", &lost);
    make_authority("B", "xx", &fresh);
    read_chain(at("A/identity"), &bytes, &chain);
    assert_ok(dossier_decode(buf_bytes(&bytes), &dossier));
    assert_true(dirstatement_next(&dossier.statements, &statement));
    assert_ok(world_leaf(&world, LEAF_CHARTER, statement.statement));
    struct admission admission = admission_of("xx", ACTION_ADMIT, AUTHORITY);
    memcpy(admission.charter, directory_party(world.directory, bytes_text("xx"))->charter, HASH_SIZE);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    see(&outsider, world.time);
    assert_error(succession_recover(&fresh, &outsider, at("B/recovery.key"), NULL, at("paper"), &done, &failure),
                 E_NOT_ALLOWED);
    assert_error(succession_recover(&fresh, &outsider, at("B/keys"), NULL, at("paper"), &done, &failure), E_BAD_KEY);
    assert_false(files_exists(at("paper")));
    assert_ok(succession_recover(&fresh, &outsider, at("A/recovery.key"), NULL, at("paper"), &done, &failure));
    assert_ok(succession_recover(&fresh, &outsider, at("A/recovery.key"), NULL, at("paper"), &done, &failure));
    assert_false(done);
    apply_file(at("paper"));
    const struct directory_party *party = directory_party(world.directory, bytes_text("xx"));
    assert_memory_equal(party->authority, fresh.authority, KEY_SIZE);
    struct keystore used = {0};
    assert_ok(keystore_open(at("A/recovery.key"), NULL, &used, &failure));
    assert_memory_not_equal(party->recovery, used.recovery.p + KEY_SIZE, KEY_SIZE); /* it is used up */
    keystore_free(&used);
    see(&after, world.time);
    assert_ok(succession_recover(&fresh, &after, at("A/recovery.key"), NULL, at("paper"), &done, &failure));
    assert_true(done);
}

static void an_objection_needs_a_notice_that_stands(void **state) {
    (void)state;
    AUTO_HOME home = {0};
    AUTO_OUTSIDER before = {0}, outsider = {0};
    make_authority("A", "de", &home);
    see(&before, world.time);
    assert_error(succession_contest(&home, &before, NULL, NULL, at("paper"), &failure), E_CONFLICT);
    struct notice notice = notice_of("de", STRANGER, STRANGER + 1);
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    see(&outsider, world.time);
    assert_ok(succession_contest(&home, &outsider, NULL, NULL, at("paper"), &failure));
}

/* ---- what desks are told ---- */

struct seen {
    size_t count;
    char kinds[32][33];
};

static void see_news(void *context, const struct news_view *news) {
    struct seen *seen = context;
    assert_true(seen->count < LENGTH(seen->kinds));
    assert_true(strlen(news->text) > 0);
    (void)snprintf(seen->kinds[seen->count++], sizeof seen->kinds[0], "%s", news->kind);
}

/* Whatever was said since to the world, told to a home. */
static void told(struct home *home, size_t from, struct seen *seen) {
    *seen = (struct seen){0};
    directory_free(home->directory);
    home->directory = directory_copy(world.directory);
    assert_non_null(home->directory);
    for (size_t i = from; i < world.count; i++)
        assert_ok(news_take(home, world.directory, buf_bytes(&world.leaves[i])));
    assert_ok(client_news(home, NEWS_TOLD, false, see_news, seen, &failure));
}

static void every_desk_is_told_of_keys_notices_departures_and_splits_once(void **state) {
    (void)state;
    size_t from = world.count;
    struct seen seen;
    uint64_t count = 0;
    struct notice notice = notice_of("de", STRANGER, STRANGER + 1);
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    struct succession no = succession_of("de", SUCCESSION_OBJECT, AUTHORITY, 0, 0);
    no.has_notice = true;
    hash_notice(&notice, no.notice);
    assert_ok(say_succession(&world, &no, AUTHORITY));
    struct admission suspension = admission_of("de", ACTION_SUSPEND, 0), again = admission_of("de", ACTION_RESUME, 0);
    struct admission nomination = nomination_of("zz", "A new one");
    assert_ok(say_admission(&world, &suspension, REGISTRAR));
    assert_ok(say_admission(&world, &again, REGISTRAR));
    assert_ok(say_admission(&world, &nomination, REGISTRAR));
    struct revocation revocation = revocation_of("de/technical", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    struct departure departure = departure_of("de", AUTHORITY);
    assert_ok(say_departure(&world, &departure, AUTHORITY));

    static const char *const wanted[] = {"notice",    "objected",     "suspended", "resumed",
                                         "nominated", "post-revoked", "departed"};
    told(&recipient, from, &seen);
    assert_int_equal(seen.count, LENGTH(wanted));
    for (size_t i = 0; i < LENGTH(wanted); i++) assert_string_equal(seen.kinds[i], wanted[i]);
    told(&recipient, world.count, &seen);
    assert_int_equal(seen.count, 0);
    assert_ok(client_news_count(&recipient, &count, &failure));
    assert_int_equal(count, LENGTH(wanted));
    assert_ok(client_news(&recipient, NEWS_READ, false, see_news, &seen, &failure));
    assert_int_equal(seen.count, LENGTH(wanted));
    assert_ok(client_news_count(&recipient, &count, &failure));
    assert_int_equal(count, 0);
}

static void a_desk_is_told_of_its_own_new_devices_and_not_of_others(void **state) {
    (void)state;
    size_t from = world.count;
    struct seen seen;
    struct device device = device_of("de/technical", AUTHORITY, DEVICE + 50, ROLE_READER);
    struct countersign countersign = countersign_of(&device, SENDER);
    assert_ok(say_device(&world, &device, AUTHORITY));
    assert_ok(say_countersign(&world, &countersign, SENDER));
    struct revocation revocation = revocation_of("de/technical", DEVICE + 50, SENDER);
    assert_ok(say_revocation(&world, &revocation, SENDER));
    told(&sender, from, &seen);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.kinds[0], "device-linked");
    assert_string_equal(seen.kinds[1], "device-revoked");
    told(&recipient, from, &seen);
    assert_int_equal(seen.count, 0);
}

static void a_home_that_joins_is_told_of_standing_notices_alone(void **state) {
    (void)state;
    struct seen seen = {0};
    struct notice notice = notice_of("de", STRANGER, STRANGER + 1);
    assert_ok(news_first(&recipient, world.directory));
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    assert_ok(news_first(&recipient, world.directory));
    assert_ok(client_news(&recipient, NEWS_TOLD, false, see_news, &seen, &failure));
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.kinds[0], "notice");
}

/* ---- where a request goes ---- */

static const struct directory_post *resolved(const char *typed, enum request_kind kind) {
    const struct directory_post *post = NULL;
    assert_ok(client_resolve(&recipient, typed, kind, &post, &failure));
    return post;
}

static enum error not_resolved(const char *typed) {
    const struct directory_post *post = NULL;
    directory_free(recipient.directory);
    recipient.directory = directory_copy(world.directory);
    enum error error = client_resolve(&recipient, typed, KIND_INCIDENT, &post, &failure);
    assert_null(post);
    return error;
}

static void a_split_posts_name_leads_to_the_one_with_the_function(void **state) {
    (void)state;
    AUTO_BUF items = {0};
    struct post diplomatic = post_of("de/diplomatic", AUTHORITY, OTHER_POST_KEY + 100);
    struct post technical = post_of("de/cert", AUTHORITY, OTHER_POST_KEY + 101);
    diplomatic.functions = FUNCTION_DIPLOMATIC;
    assert_ok(say_post(&world, &diplomatic, AUTHORITY));
    assert_ok(say_post(&world, &technical, AUTHORITY));
    struct split split =
        split_of("de/technical", AUTHORITY, (const char *const[]){"de/cert", "de/diplomatic", NULL}, &items);
    assert_ok(say_split(&world, &split, AUTHORITY));
    assert_error(not_resolved("zz"), E_UNKNOWN_PARTY);
    assert_string_equal(resolved("de/technical", KIND_INCIDENT)->name, "de/cert");
    assert_string_equal(resolved("de/technical", KIND_CLARIFICATION)->name, "de/diplomatic");
    assert_string_equal(resolved("de", KIND_INCIDENT)->name, "de/cert");
    struct revocation revocation = revocation_of("de/cert", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    assert_error(not_resolved("de/technical"), E_SPLIT);
}

static void nobody_writes_to_a_party_that_is_nominated_or_gone(void **state) {
    (void)state;
    struct admission nomination = nomination_of("zz", "A new one");
    assert_ok(say_admission(&world, &nomination, REGISTRAR));
    assert_error(not_resolved("zz"), E_NOT_ADMITTED);
    struct departure departure = departure_of("de", AUTHORITY);
    assert_ok(say_departure(&world, &departure, AUTHORITY));
    assert_error(not_resolved("de"), E_DEPARTED);
    assert_error(not_resolved("de/technical"), E_DEPARTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, homes_set_up, lives_tear_down)

/* Also what the homes of authorities have left. */
static int lives_tear_down(void **state) {
    char command[128];
    homes_tear_down(state);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(renewed_keys_lead_from_the_charter_to_every_certificate),
        TEST(a_chain_with_a_gap_a_swap_or_an_objection_is_refused),
        TEST(a_key_is_taken_only_once_the_notice_has_stood_for_fourteen_days),
        TEST(only_the_partys_own_recovery_key_recovers),
        TEST(an_objection_needs_a_notice_that_stands),
        TEST(every_desk_is_told_of_keys_notices_departures_and_splits_once),
        TEST(a_desk_is_told_of_its_own_new_devices_and_not_of_others),
        TEST(a_home_that_joins_is_told_of_standing_notices_alone),
        TEST(a_split_posts_name_leads_to_the_one_with_the_function),
        TEST(nobody_writes_to_a_party_that_is_nominated_or_gone),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
