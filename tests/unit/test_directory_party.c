/* test_directory_party.c - who belongs to the directory and who says so: registrars k of n, nomination, admission, the
 * lives of an authority's key, departure. The rules stand in directory.h; each is kept and broken here. */
#include "directory_fixture.h"

enum { SECOND = 200, THIRD, NEXT = 300, AFTER_NEXT, RECOVERY, LATER };

static const struct directory_party *party(const struct world *world) {
    const struct directory_party *found = directory_party(world->directory, bytes_text("de"));
    assert_non_null(found);
    return found;
}

/* REGISTRAR, SECOND and THIRD, of whom two must sign. */
static struct world two_of_three(void) {
    struct card card = {.registrar_count = 3, .threshold = 2};
    memcpy(card.registrars[0], pair_of(REGISTRAR).public, KEY_SIZE);
    memcpy(card.registrars[1], pair_of(SECOND).public, KEY_SIZE);
    memcpy(card.registrars[2], pair_of(THIRD).public, KEY_SIZE);
    struct world world = {.directory = directory_new(&card), .time = WORLD_TIME};
    assert_non_null(world.directory);
    return world;
}

static enum error say_by(struct world *world, const struct admission *admission, unsigned one, unsigned other) {
    AUTO_BUF joint = {0};
    sign_admission_by(admission, one, other, &joint);
    return world_leaf(world, LEAF_ADMISSION, buf_bytes(&joint));
}

static enum error notice_by(struct world *world, const struct notice *notice, unsigned one, unsigned other) {
    AUTO_BUF joint = {0};
    sign_notice_by(notice, one, other, &joint);
    return world_leaf(world, LEAF_NOTICE, buf_bytes(&joint));
}

/* de, admitted by one registrar, with NEXT promised and RECOVERY kept. */
static struct world with_recovery(void) {
    struct world world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter charter = charter_of("de", AUTHORITY);
    next_of(NEXT, charter.next);
    charter.has_recovery = true;
    memcpy(charter.recovery, pair_of(RECOVERY).public, KEY_SIZE);
    struct admission admission = admission_of("de", ACTION_ADMIT, 0);
    hash_charter(&charter, admission.charter);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    return world;
}

/* ---- k of n ---- */

static void no_single_registrar_admits_where_two_must_sign(void **state) {
    (void)state;
    AUTO_WORLD world = two_of_three();
    struct charter charter = charter_of("de", AUTHORITY);
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    static const unsigned alone[] = {REGISTRAR, SECOND, THIRD};
    for (size_t i = 0; i < LENGTH(alone); i++) assert_error(say_by(&world, &admission, alone[i], 0), E_TOO_FEW_SIGNERS);
    assert_error(say_by(&world, &admission, REGISTRAR, STRANGER), E_UNKNOWN_REGISTRAR);
    assert_error(say_by(&world, &admission, AUTHORITY, STRANGER), E_UNKNOWN_REGISTRAR);
    assert_false(party(&world)->admitted);
    assert_ok(say_by(&world, &admission, THIRD, REGISTRAR));
    assert_true(party(&world)->admitted);
    struct admission suspend = admission_of("de", ACTION_SUSPEND, 0);
    assert_error(say_by(&world, &suspend, SECOND, 0), E_TOO_FEW_SIGNERS);
    assert_false(party(&world)->suspended);
    assert_ok(say_by(&world, &suspend, SECOND, THIRD));
    assert_true(party(&world)->suspended);
}

static void no_single_registrar_nominates_or_gives_notice_where_two_must_sign(void **state) {
    (void)state;
    AUTO_WORLD world = two_of_three();
    struct admission nomination = nomination_of("de", "Germany");
    assert_error(say_by(&world, &nomination, REGISTRAR, 0), E_TOO_FEW_SIGNERS);
    assert_null(directory_party(world.directory, bytes_text("de")));
    assert_ok(say_by(&world, &nomination, SECOND, REGISTRAR));
    struct charter charter = charter_of("de", AUTHORITY);
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    assert_ok(say_by(&world, &admission, REGISTRAR, SECOND));
    struct notice notice = notice_of("de", NEXT, AFTER_NEXT);
    assert_error(notice_by(&world, &notice, THIRD, 0), E_TOO_FEW_SIGNERS);
    assert_false(party(&world)->notice.stands);
    assert_ok(notice_by(&world, &notice, THIRD, SECOND));
    assert_true(party(&world)->notice.stands);
}

/* Who has signed does not change what is said: it is taken once. */
static void the_same_words_by_other_registrars_are_the_same_statement(void **state) {
    (void)state;
    AUTO_WORLD world = two_of_three();
    struct admission nomination = nomination_of("de", "Germany");
    assert_ok(say_by(&world, &nomination, SECOND, REGISTRAR));
    assert_error(say_by(&world, &nomination, SECOND, THIRD), E_CONFLICT);
}

/* ---- nomination ---- */

static void nominated_party_is_listed_and_has_no_keys(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    static const uint8_t none[KEY_SIZE];
    struct admission nomination = nomination_of("de", "Germany");
    nomination.kind = PARTY_OBSERVER;
    assert_ok(say_admission(&world, &nomination, REGISTRAR));
    assert_true(party(&world)->nominated);
    assert_false(party(&world)->admitted || party(&world)->suspended || party(&world)->departed);
    assert_string_equal(party(&world)->title, "Germany");
    assert_int_equal(party(&world)->kind, PARTY_OBSERVER);
    assert_memory_equal(party(&world)->authority, none, KEY_SIZE);
    struct post post = post_of("de/technical", AUTHORITY, POST_KEY);
    assert_error(say_post(&world, &post, AUTHORITY), E_NOT_ADMITTED);
    memset(post.authority, 0, KEY_SIZE); /* the key that it does not have */
    assert_error(say_post(&world, &post, AUTHORITY), E_NOT_ADMITTED);
    struct departure departure = departure_of("de", AUTHORITY);
    assert_error(say_departure(&world, &departure, AUTHORITY), E_NOT_ADMITTED);
    struct notice notice = notice_of("de", NEXT, AFTER_NEXT);
    assert_error(say_notice(&world, &notice, REGISTRAR), E_NOT_ADMITTED);
    static const enum admission_action actions[] = {ACTION_ADMIT, ACTION_SUSPEND, ACTION_RESUME};
    for (size_t i = 0; i < LENGTH(actions); i++) {
        struct admission admission = admission_of("de", actions[i], AUTHORITY);
        assert_error(say_admission(&world, &admission, REGISTRAR), E_NOT_ADMITTED);
    }
}

static void nomination_may_be_corrected_until_the_charter_comes(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct admission nomination = nomination_of("de", "Germny");
    assert_ok(say_admission(&world, &nomination, REGISTRAR));
    nomination = nomination_of("de", "Germany");
    assert_ok(say_admission(&world, &nomination, REGISTRAR));
    assert_string_equal(party(&world)->title, "Germany");
    assert_null(directory_party_nth(world.directory, 1));
    struct charter charter = charter_of("de", AUTHORITY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    assert_false(party(&world)->nominated);
    assert_string_equal(party(&world)->title, "A member");
    nomination = nomination_of("de", "Germany");
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_CONFLICT);
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    nomination = nomination_of("de", "Germany");
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_CONFLICT);
}

static void nomination_says_name_and_kind_and_nothing_else(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct admission nomination = nomination_of("de", "Germany");
    nomination.has_name = false;
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_MISSING_FIELD);
    nomination = nomination_of("de", "Germany");
    nomination.has_kind = false;
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_MISSING_FIELD);
    nomination = nomination_of("de", "Ger\nmany");
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_BAD_TEXT);
    nomination = nomination_of("de/technical", "Germany");
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_BAD_TEXT);
    nomination = nomination_of("de", "Germany");
    nomination.has_charter = true;
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_MALFORMED);
    nomination = nomination_of("de", "Germany");
    nomination.has_legs = true;
    assert_error(say_admission(&world, &nomination, REGISTRAR), E_MALFORMED);
    nomination = nomination_of("de", "Germany");
    assert_error(say_admission(&world, &nomination, AUTHORITY), E_UNKNOWN_REGISTRAR);
    struct charter charter = charter_of("de", AUTHORITY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    admission.has_name = true;
    admission.name = bytes_text("Another");
    assert_error(say_admission(&world, &admission, REGISTRAR), E_MALFORMED);
    assert_null(directory_party_nth(world.directory, 1));
}

/* ---- charter and admission ---- */

/* Whoever was first with a charter for somebody else's name does not stand in the way of the party's own. */
static void last_charter_before_admission_counts_and_the_admission_names_it(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter squatter = charter_of("de", STRANGER), own = charter_of("de", AUTHORITY);
    struct admission of_squatter = admission_of("de", ACTION_ADMIT, STRANGER);
    assert_ok(say_charter(&world, &squatter, STRANGER));
    assert_ok(say_charter(&world, &own, AUTHORITY));
    assert_null(directory_party_nth(world.directory, 1));
    assert_error(say_admission(&world, &of_squatter, REGISTRAR), E_MISMATCH);
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    assert_memory_equal(party(&world)->authority, own.authority, KEY_SIZE);
    squatter.created.ms++;
    assert_error(say_charter(&world, &squatter, STRANGER), E_CONFLICT);
}

static void recovery_key_is_never_the_authority_key(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct charter charter = charter_of("it", STRANGER);
    charter.has_recovery = true;
    memcpy(charter.recovery, charter.authority, KEY_SIZE);
    assert_error(say_charter(&world, &charter, STRANGER), E_CONFLICT);
    struct notice notice = notice_of("de", LATER, AFTER_NEXT);
    notice.has_recovery = true;
    memcpy(notice.recovery, notice.authority, KEY_SIZE);
    assert_error(say_notice(&world, &notice, REGISTRAR), E_CONFLICT);
    struct succession succession = succession_of("de", SUCCESSION_RENEW, NEXT, NEXT, AFTER_NEXT);
    succession.has_recovery = true;
    memcpy(succession.recovery, succession.authority, KEY_SIZE);
    assert_error(say_succession(&world, &succession, NEXT), E_CONFLICT);
}

/* A resumption that the relay kept back must not undo a later suspension. */
static void order_that_was_kept_back_does_not_undo_a_later_one(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct admission kept = admission_of("de", ACTION_RESUME, 0), suspend = admission_of("de", ACTION_SUSPEND, 0);
    assert_ok(say_admission(&world, &suspend, REGISTRAR));
    assert_error(say_admission(&world, &kept, REGISTRAR), E_STALE_STATEMENT);
    assert_true(party(&world)->suspended);
    struct notice kept_notice = notice_of("de", LATER, AFTER_NEXT), notice = notice_of("de", LATER + 1, AFTER_NEXT);
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    assert_error(say_notice(&world, &kept_notice, REGISTRAR), E_STALE_STATEMENT);
}

static void a_clock_that_runs_ahead_locks_nobody_out(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct admission suspend = admission_of("de", ACTION_SUSPEND, 0);
    suspend.created.ms = world.time + DAY_MS + 1;
    assert_error(say_admission(&world, &suspend, REGISTRAR), E_STALE_STATEMENT);
    suspend.created.ms = world.time + DAY_MS;
    assert_ok(say_admission(&world, &suspend, REGISTRAR));
    struct notice notice = notice_of("de", LATER, AFTER_NEXT);
    notice.created.ms = UINT64_MAX >> 1;
    assert_error(say_notice(&world, &notice, REGISTRAR), E_STALE_STATEMENT);
}

/* ---- departure ---- */

static void departed_party_comes_back_only_by_the_registrars(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct departure departure = departure_of("de", OTHER_AUTHORITY);
    assert_error(say_departure(&world, &departure, OTHER_AUTHORITY), E_FOREIGN_CERTIFICATE);
    departure = departure_of("de", AUTHORITY);
    assert_error(say_departure(&world, &departure, OTHER_AUTHORITY), E_BAD_SIGNATURE);
    assert_ok(say_departure(&world, &departure, AUTHORITY));
    assert_true(party(&world)->departed && party(&world)->admitted);
    departure = departure_of("de", AUTHORITY);
    assert_error(say_departure(&world, &departure, AUTHORITY), E_DEPARTED);

    struct instant now = {world.time};
    const struct directory_post *post = directory_post(world.directory, bytes_text("de/technical"));
    assert_ok(directory_live(world_find(&world, DEVICE), now)); /* it reads, and answers what is open */
    assert_error(directory_may_submit(world_find(&world, DEVICE), now), E_DEPARTED);
    assert_error(directory_may_receive(post), E_DEPARTED);
    assert_ok(directory_may_receive(directory_post(world.directory, bytes_text("fj/national"))));
    struct post again = post_of("de/policy", AUTHORITY, STRANGER);
    assert_error(say_post(&world, &again, AUTHORITY), E_DEPARTED);
    struct charter charter = charter_of("de", STRANGER);
    assert_error(say_charter(&world, &charter, STRANGER), E_CONFLICT);

    struct admission admission = admission_of("de", ACTION_ADMIT, STRANGER);
    assert_error(say_admission(&world, &admission, REGISTRAR), E_MISMATCH);
    admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_error(say_admission(&world, &admission, AUTHORITY), E_UNKNOWN_REGISTRAR);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    assert_false(party(&world)->departed);
    assert_ok(directory_may_submit(world_find(&world, DEVICE), now));
    assert_ok(directory_may_receive(directory_post(world.directory, bytes_text("de/technical"))));
    admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_error(say_admission(&world, &admission, REGISTRAR), E_CONFLICT);
    assert_ok(say_post(&world, &again, AUTHORITY));
}

static void only_an_admitted_party_departs(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct departure departure = departure_of("it", STRANGER);
    assert_error(say_departure(&world, &departure, STRANGER), E_UNKNOWN_PARTY);
    struct charter charter = charter_of("it", STRANGER);
    assert_ok(say_charter(&world, &charter, STRANGER));
    assert_error(say_departure(&world, &departure, STRANGER), E_NOT_ADMITTED);
}

/* ---- another authority key ---- */

static void promised_key_takes_over(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    world_post(&world, "de/technical", AUTHORITY, POST_KEY);
    assert_int_equal(party(&world)->succeeded_size, 0);
    struct succession renew = succession_of("de", SUCCESSION_RENEW, NEXT, NEXT, AFTER_NEXT);
    assert_error(say_succession(&world, &renew, AUTHORITY), E_BAD_SIGNATURE);
    assert_ok(say_succession(&world, &renew, NEXT));
    assert_memory_equal(party(&world)->authority, pair_of(NEXT).public, KEY_SIZE);
    assert_int_equal(party(&world)->succeeded_size, directory_size(world.directory));
    assert_true(party(&world)->has_recovery); /* absent: as before */
    assert_memory_equal(party(&world)->recovery, pair_of(RECOVERY).public, KEY_SIZE);
    struct post post = post_of("de/policy", AUTHORITY, STRANGER);
    assert_error(say_post(&world, &post, AUTHORITY), E_FOREIGN_CERTIFICATE);
    post = post_of("de/policy", NEXT, STRANGER);
    assert_ok(say_post(&world, &post, NEXT));
    assert_false(directory_post(world.directory, bytes_text("de/technical"))->revoked); /* what was named stays */
    struct succession second = succession_of("de", SUCCESSION_RENEW, AFTER_NEXT, AFTER_NEXT, LATER);
    assert_ok(say_succession(&world, &second, AFTER_NEXT));
    assert_memory_equal(party(&world)->authority, pair_of(AFTER_NEXT).public, KEY_SIZE);
}

static void key_that_was_not_promised_does_not_take_over(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct succession renew = succession_of("de", SUCCESSION_RENEW, STRANGER, STRANGER, AFTER_NEXT);
    assert_error(say_succession(&world, &renew, STRANGER), E_NOT_ALLOWED);
    renew =
        succession_of("de", SUCCESSION_RENEW, AUTHORITY, NEXT, AFTER_NEXT); /* by the old key: it does not name heirs */
    assert_error(say_succession(&world, &renew, AUTHORITY), E_NOT_ALLOWED);
    renew = succession_of("de", SUCCESSION_RENEW, NEXT, 0, 0);
    assert_error(say_succession(&world, &renew, NEXT), E_MISSING_FIELD);
    renew = succession_of("it", SUCCESSION_RENEW, NEXT, NEXT, AFTER_NEXT);
    assert_error(say_succession(&world, &renew, NEXT), E_UNKNOWN_PARTY);
    renew = succession_of("de", SUCCESSION_RENEW, NEXT, NEXT, AFTER_NEXT);
    renew.has_next = false;
    assert_error(say_succession(&world, &renew, NEXT), E_MISSING_FIELD);
}

static void only_an_admitted_party_renews(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter charter = charter_of("de", AUTHORITY);
    next_of(NEXT, charter.next);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    struct succession renew = succession_of("de", SUCCESSION_RENEW, NEXT, NEXT, AFTER_NEXT);
    assert_error(say_succession(&world, &renew, NEXT), E_NOT_ADMITTED);
}

static void a_key_that_was_ever_known_is_no_new_authority(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    static const unsigned known[] = {DEVICE, POST_KEY, OTHER_AUTHORITY, REGISTRAR};
    for (size_t i = 0; i < LENGTH(known); i++) {
        struct notice notice = notice_of("de", known[i], AFTER_NEXT);
        assert_error(say_notice(&world, &notice, REGISTRAR), E_CONFLICT);
        notice = notice_of("de", NEXT, AFTER_NEXT);
        notice.has_recovery = true;
        memcpy(notice.recovery, pair_of(known[i]).public, KEY_SIZE);
        assert_error(say_notice(&world, &notice, REGISTRAR), E_CONFLICT);
    }
    struct notice notice = notice_of("de", AUTHORITY, AFTER_NEXT); /* the one that it has */
    assert_error(say_notice(&world, &notice, REGISTRAR), E_CONFLICT);
    memset(notice.authority, 0, KEY_SIZE);
    assert_error(say_notice(&world, &notice, REGISTRAR), E_BAD_KEY);
}

static void former_authority_never_comes_back(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct succession renew = succession_of("de", SUCCESSION_RENEW, NEXT, NEXT, AUTHORITY); /* promises the old one */
    assert_ok(say_succession(&world, &renew, NEXT));
    renew = succession_of("de", SUCCESSION_RENEW, AUTHORITY, AUTHORITY, LATER);
    assert_error(say_succession(&world, &renew, AUTHORITY), E_CONFLICT);
}

static void recovery_key_names_a_new_authority_after_total_loss(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct succession recover = succession_of("de", SUCCESSION_RECOVER, STRANGER, LATER, AFTER_NEXT);
    assert_error(say_succession(&world, &recover, STRANGER), E_NOT_ALLOWED);
    recover = succession_of("de", SUCCESSION_RECOVER, RECOVERY, LATER, AFTER_NEXT);
    assert_error(say_succession(&world, &recover, LATER), E_BAD_SIGNATURE);
    recover.has_recovery = true;
    memcpy(recover.recovery, pair_of(AFTER_NEXT + 50).public, KEY_SIZE);
    assert_ok(say_succession(&world, &recover, RECOVERY));
    assert_memory_equal(party(&world)->authority, pair_of(LATER).public, KEY_SIZE);
    assert_memory_equal(party(&world)->recovery, pair_of(AFTER_NEXT + 50).public, KEY_SIZE);
    struct succession again = succession_of("de", SUCCESSION_RECOVER, RECOVERY, LATER + 1, AFTER_NEXT);
    assert_error(say_succession(&world, &again, RECOVERY), E_NOT_ALLOWED); /* replaced: the old one is worth nothing */
    AUTO_WORLD without = world_new();
    again = succession_of("de", SUCCESSION_RECOVER, RECOVERY, LATER, AFTER_NEXT);
    assert_error(say_succession(&without, &again, RECOVERY), E_NOT_ALLOWED);
    memset(again.signer, 0, KEY_SIZE); /* nobody has the zero key of a party without one */
    assert_error(say_succession(&without, &again, RECOVERY), E_NOT_ALLOWED);
}

static struct succession take_of(const struct notice *notice, unsigned authority, unsigned next) {
    struct succession take = succession_of("de", SUCCESSION_TAKE, authority, authority, next);
    take.has_notice = true;
    hash_notice(notice, take.notice);
    return take;
}

static void noticed_key_takes_over_when_the_time_is_up_and_not_before(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct notice notice = notice_of("de", LATER, AFTER_NEXT);
    notice.has_recovery = true;
    memcpy(notice.recovery, pair_of(AFTER_NEXT + 50).public, KEY_SIZE);
    uint64_t since = world.time;
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    uint8_t hash[HASH_SIZE];
    hash_notice(&notice, hash);
    assert_true(party(&world)->notice.stands);
    assert_int_equal(party(&world)->notice.since.ms, since);
    assert_memory_equal(party(&world)->notice.hash, hash, HASH_SIZE);
    assert_memory_equal(party(&world)->notice.authority, notice.authority, KEY_SIZE);
    assert_memory_equal(party(&world)->authority, pair_of(AUTHORITY).public, KEY_SIZE); /* nothing has changed yet */
    struct succession take = take_of(&notice, LATER, AFTER_NEXT);
    assert_error(say_succession(&world, &take, LATER), E_NOTICE_RUNNING);
    world.time = since + NOTICE_MS - 1;
    assert_error(say_succession(&world, &take, LATER), E_NOTICE_RUNNING);
    world.time = since + NOTICE_MS;
    assert_error(say_succession(&world, &take, AUTHORITY), E_BAD_SIGNATURE);
    struct succession other = take_of(&notice, STRANGER, AFTER_NEXT);
    assert_error(say_succession(&world, &other, STRANGER), E_NOT_ALLOWED);
    other = take_of(&notice, LATER, NEXT); /* what the notice said stands */
    assert_error(say_succession(&world, &other, LATER), E_MISMATCH);
    other = take_of(&notice, LATER, AFTER_NEXT);
    other.has_recovery = true;
    memcpy(other.recovery, pair_of(STRANGER).public, KEY_SIZE);
    assert_error(say_succession(&world, &other, LATER), E_MISMATCH);
    other = take_of(&notice, LATER, AFTER_NEXT);
    other.has_notice = false;
    assert_error(say_succession(&world, &other, LATER), E_CONFLICT);
    assert_ok(say_succession(&world, &take, LATER));
    assert_memory_equal(party(&world)->authority, pair_of(LATER).public, KEY_SIZE);
    assert_memory_equal(party(&world)->recovery, pair_of(AFTER_NEXT + 50).public, KEY_SIZE);
    assert_false(party(&world)->notice.stands);
}

static void nobody_hinders_a_taking_by_naming_the_announced_key_as_his_own(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    world_party(&world, "xx", STRANGER + 20);
    struct notice notice = notice_of("de", LATER, AFTER_NEXT);
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    struct post post = post_of("xx/national", STRANGER + 20, LATER);
    assert_ok(say_post(&world, &post, STRANGER + 20));
    world.time += NOTICE_MS;
    struct succession take = take_of(&notice, LATER, AFTER_NEXT);
    assert_ok(say_succession(&world, &take, LATER));
    assert_memory_equal(party(&world)->authority, pair_of(LATER).public, KEY_SIZE);
}

static void taking_over_ends_a_recovery_key_that_the_notice_does_not_name(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct notice notice = notice_of("de", LATER, AFTER_NEXT);
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    world.time += NOTICE_MS;
    struct succession take = take_of(&notice, LATER, AFTER_NEXT);
    assert_ok(say_succession(&world, &take, LATER));
    assert_false(party(&world)->has_recovery);
    struct succession recover = succession_of("de", SUCCESSION_RECOVER, RECOVERY, LATER + 1, AFTER_NEXT);
    assert_error(say_succession(&world, &recover, RECOVERY), E_NOT_ALLOWED);
}

static void party_that_is_still_there_objects(void **state) {
    (void)state;
    static const unsigned own[] = {AUTHORITY, RECOVERY};
    for (size_t i = 0; i < LENGTH(own); i++) {
        AUTO_WORLD world = with_recovery();
        struct succession objection = succession_of("de", SUCCESSION_OBJECT, own[i], 0, 0);
        assert_error(say_succession(&world, &objection, own[i]), E_CONFLICT); /* to nothing */
        struct notice notice = notice_of("de", LATER, AFTER_NEXT);
        assert_ok(say_notice(&world, &notice, REGISTRAR));
        objection = succession_of("de", SUCCESSION_OBJECT, STRANGER, 0, 0);
        objection.has_notice = true;
        hash_notice(&notice, objection.notice);
        assert_error(say_succession(&world, &objection, STRANGER), E_NOT_ALLOWED);
        memcpy(objection.signer, pair_of(own[i]).public, KEY_SIZE);
        assert_error(say_succession(&world, &objection, STRANGER), E_BAD_SIGNATURE);
        objection.notice[0] ^= 1;
        assert_error(say_succession(&world, &objection, own[i]), E_CONFLICT);
        objection.notice[0] ^= 1;
        assert_ok(say_succession(&world, &objection, own[i]));
        assert_false(party(&world)->notice.stands);
        world.time += NOTICE_MS;
        struct succession take = take_of(&notice, LATER, AFTER_NEXT);
        assert_error(say_succession(&world, &take, LATER), E_CONFLICT);
        assert_memory_equal(party(&world)->authority, pair_of(AUTHORITY).public, KEY_SIZE);
    }
}

static void renewal_and_recovery_end_a_notice(void **state) {
    (void)state;
    for (int recover = 0; recover < 2; recover++) {
        AUTO_WORLD world = with_recovery();
        struct notice notice = notice_of("de", LATER, AFTER_NEXT);
        assert_ok(say_notice(&world, &notice, REGISTRAR));
        struct succession own = recover ? succession_of("de", SUCCESSION_RECOVER, RECOVERY, LATER + 1, AFTER_NEXT)
                                        : succession_of("de", SUCCESSION_RENEW, NEXT, NEXT, AFTER_NEXT);
        assert_ok(say_succession(&world, &own, recover ? RECOVERY : NEXT));
        assert_false(party(&world)->notice.stands);
        world.time += NOTICE_MS;
        struct succession take = take_of(&notice, LATER, AFTER_NEXT);
        assert_error(say_succession(&world, &take, LATER), E_CONFLICT);
    }
}

static void later_notice_takes_the_place_and_the_time_begins_anew(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct notice first = notice_of("de", LATER, AFTER_NEXT);
    assert_ok(say_notice(&world, &first, REGISTRAR));
    world.time += NOTICE_MS;
    struct notice second = notice_of("de", LATER, AFTER_NEXT); /* the same key: it was not burnt by the first */
    uint64_t since = world.time;
    assert_ok(say_notice(&world, &second, REGISTRAR));
    struct succession take = take_of(&first, LATER, AFTER_NEXT);
    assert_error(say_succession(&world, &take, LATER), E_CONFLICT);
    take = take_of(&second, LATER, AFTER_NEXT);
    assert_error(say_succession(&world, &take, LATER), E_NOTICE_RUNNING);
    world.time = since + NOTICE_MS;
    assert_ok(say_succession(&world, &take, LATER));
}

static void departed_party_that_lost_its_keys_is_given_new_ones_and_comes_back(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct departure departure = departure_of("de", AUTHORITY);
    assert_ok(say_departure(&world, &departure, AUTHORITY));
    struct notice notice = notice_of("de", LATER, AFTER_NEXT);
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    world.time += NOTICE_MS;
    struct succession take = take_of(&notice, LATER, AFTER_NEXT);
    assert_ok(say_succession(&world, &take, LATER));
    assert_true(party(&world)->departed);
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    memcpy(admission.charter, party(&world)->charter, HASH_SIZE);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    world_post(&world, "de/technical", LATER, POST_KEY);
}

/* ---- whoever replays comes to the same ---- */

static void second_reader_follows_every_succession(void **state) {
    (void)state;
    AUTO_WORLD world = with_recovery();
    struct notice notice = notice_of("de", LATER, AFTER_NEXT);
    struct succession renew = succession_of("de", SUCCESSION_RENEW, NEXT, NEXT, AFTER_NEXT);
    struct departure departure = departure_of("de", NEXT);
    struct admission nomination = nomination_of("it", "Italy");
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    assert_ok(say_succession(&world, &renew, NEXT));
    assert_ok(say_admission(&world, &nomination, REGISTRAR));
    assert_ok(say_departure(&world, &departure, NEXT));
    struct directory *second = fresh_directory();
    uint8_t a[HASH_SIZE], b[HASH_SIZE];
    for (size_t i = 0; i < world.count; i++) assert_ok(directory_apply(second, buf_bytes(&world.leaves[i])));
    hash_directory(second, a);
    hash_directory(world.directory, b);
    assert_memory_equal(a, b, HASH_SIZE);
    directory_free(second);
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_single_registrar_admits_where_two_must_sign),
        cmocka_unit_test(no_single_registrar_nominates_or_gives_notice_where_two_must_sign),
        cmocka_unit_test(the_same_words_by_other_registrars_are_the_same_statement),
        cmocka_unit_test(nominated_party_is_listed_and_has_no_keys),
        cmocka_unit_test(nomination_may_be_corrected_until_the_charter_comes),
        cmocka_unit_test(nomination_says_name_and_kind_and_nothing_else),
        cmocka_unit_test(last_charter_before_admission_counts_and_the_admission_names_it),
        cmocka_unit_test(recovery_key_is_never_the_authority_key),
        cmocka_unit_test(order_that_was_kept_back_does_not_undo_a_later_one),
        cmocka_unit_test(a_clock_that_runs_ahead_locks_nobody_out),
        cmocka_unit_test(departed_party_comes_back_only_by_the_registrars),
        cmocka_unit_test(only_an_admitted_party_departs),
        cmocka_unit_test(promised_key_takes_over),
        cmocka_unit_test(key_that_was_not_promised_does_not_take_over),
        cmocka_unit_test(only_an_admitted_party_renews),
        cmocka_unit_test(a_key_that_was_ever_known_is_no_new_authority),
        cmocka_unit_test(former_authority_never_comes_back),
        cmocka_unit_test(recovery_key_names_a_new_authority_after_total_loss),
        cmocka_unit_test(noticed_key_takes_over_when_the_time_is_up_and_not_before),
        cmocka_unit_test(nobody_hinders_a_taking_by_naming_the_announced_key_as_his_own),
        cmocka_unit_test(taking_over_ends_a_recovery_key_that_the_notice_does_not_name),
        cmocka_unit_test(party_that_is_still_there_objects),
        cmocka_unit_test(renewal_and_recovery_end_a_notice),
        cmocka_unit_test(later_notice_takes_the_place_and_the_time_begins_anew),
        cmocka_unit_test(departed_party_that_lost_its_keys_is_given_new_ones_and_comes_back),
        cmocka_unit_test(second_reader_follows_every_succession),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
