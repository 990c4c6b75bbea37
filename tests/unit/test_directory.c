/* test_directory.c - every rule of directory.h, kept and broken. */
#include "directory_fixture.h"
#include "starve.h"

/* ---- keys that are no keys ---- */

static const uint8_t order_eight[KEY_SIZE] = {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
                                              0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
                                              0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a};

static void mixed_order(unsigned number, uint8_t ret[static KEY_SIZE]) {
    struct pair pair = pair_of(number);
    assert_int_equal(crypto_core_ed25519_add(ret, pair.public, order_eight), 0);
}

/* ---- charter ---- */

static void charter_brings_a_party_that_is_not_admitted_yet(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter charter = charter_of("de", AUTHORITY);
    charter.name = bytes_text("Föderation");
    charter.kind = PARTY_OBSERVER;
    assert_null(directory_party(world.directory, bytes_text("de")));
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    const struct directory_party *party = directory_party(world.directory, bytes_text("de"));
    assert_non_null(party);
    assert_string_equal(party->name, "de");
    assert_string_equal(party->title, "Föderation");
    assert_int_equal(party->kind, PARTY_OBSERVER);
    assert_false(party->admitted);
    assert_memory_equal(party->authority, charter.authority, KEY_SIZE);
    assert_memory_equal(party->next, charter.next, HASH_SIZE);
    uint8_t hash[HASH_SIZE];
    hash_charter(&charter, hash);
    assert_memory_equal(party->charter, hash, HASH_SIZE);
    assert_int_equal(directory_size(world.directory), 1);
    assert_null(directory_party(world.directory, bytes_text("d")));
    assert_null(directory_party(world.directory, bytes_text("")));
}

static void charter_of_a_known_party_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct charter charter = charter_of("de", STRANGER);
    assert_error(say_charter(&world, &charter, STRANGER), E_CONFLICT);
}

static void charter_under_another_key_than_its_own_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct charter charter = charter_of("it", STRANGER);
    assert_error(say_charter(&world, &charter, AUTHORITY), E_BAD_SIGNATURE);
    assert_ok(say_charter(&world, &charter, STRANGER));
}

static void charter_with_a_malformed_name_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    static const char *const names[] = {"", "IT", "it/technical", "1t", "i t", "it\n"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        struct charter charter = charter_of(names[i], STRANGER);
        assert_error(say_charter(&world, &charter, STRANGER), E_BAD_TEXT);
    }
    struct charter charter = charter_of("it", STRANGER);
    charter.name = bytes_text("two\nlines");
    assert_error(say_charter(&world, &charter, STRANGER), E_BAD_TEXT);
    charter.name = bytes_of("zero\0", 5);
    assert_error(say_charter(&world, &charter, STRANGER), E_BAD_TEXT);
}

static void charter_with_a_weak_key_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct charter charter = charter_of("it", STRANGER);
    mixed_order(STRANGER, charter.authority);
    assert_error(say_charter(&world, &charter, STRANGER), E_BAD_KEY);
    memcpy(charter.authority, order_eight, KEY_SIZE);
    assert_error(say_charter(&world, &charter, STRANGER), E_BAD_KEY);
    charter = charter_of("it", STRANGER);
    charter.has_recovery = true;
    mixed_order(STRANGER, charter.recovery);
    assert_error(say_charter(&world, &charter, STRANGER), E_BAD_KEY);
    memcpy(charter.recovery, pair_of(STRANGER + 1).public, KEY_SIZE);
    assert_ok(say_charter(&world, &charter, STRANGER));
}

/* ---- admission ---- */

static void registrar_admits_a_party_once(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter charter = charter_of("de", AUTHORITY);
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_error(say_admission(&world, &admission, REGISTRAR), E_UNKNOWN_PARTY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    uint64_t time = world.time;
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    const struct directory_party *party = directory_party(world.directory, bytes_text("de"));
    assert_true(party->admitted);
    assert_false(party->suspended);
    assert_int_equal(party->admitted_at.ms, time);
    assert_false(party->has_quota_legs || party->has_quota_bytes);
    admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_error(say_admission(&world, &admission, REGISTRAR), E_CONFLICT);
}

static void admission_by_anybody_but_a_registrar_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter charter = charter_of("de", AUTHORITY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    assert_error(say_admission(&world, &admission, AUTHORITY), E_UNKNOWN_REGISTRAR);
}

static void admission_must_name_the_charter(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter charter = charter_of("de", AUTHORITY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    admission.has_charter = false;
    assert_error(say_admission(&world, &admission, REGISTRAR), E_MISSING_FIELD);
    admission.has_charter = true;
    admission.charter[31] ^= 1;
    assert_error(say_admission(&world, &admission, REGISTRAR), E_MISMATCH);
}

static void only_an_admitted_party_is_suspended_or_resumed(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    struct charter charter = charter_of("de", AUTHORITY);
    assert_ok(say_charter(&world, &charter, AUTHORITY));
    struct admission admission = admission_of("de", ACTION_ADMIT, AUTHORITY);
    struct admission suspend = admission_of("de", ACTION_SUSPEND, 0), resume = admission_of("de", ACTION_RESUME, 0);
    assert_error(say_admission(&world, &suspend, REGISTRAR), E_NOT_ADMITTED);
    assert_error(say_admission(&world, &resume, REGISTRAR), E_NOT_ADMITTED);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    const struct directory_party *party = directory_party(world.directory, bytes_text("de"));
    assert_ok(say_admission(&world, &suspend, REGISTRAR));
    assert_true(party->suspended && party->admitted);
    assert_error(say_admission(&world, &resume, AUTHORITY), E_UNKNOWN_REGISTRAR);
    assert_true(party->suspended);
    assert_ok(say_admission(&world, &resume, REGISTRAR));
    assert_false(party->suspended);
}

static void newest_admission_statement_sets_the_quotas(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    const struct directory_party *party = directory_party(world.directory, bytes_text("de"));
    struct admission admission = admission_of("de", ACTION_RESUME, 0);
    admission.has_legs = admission.has_bytes = true;
    admission.legs = 12;
    admission.bytes = 34;
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    assert_true(party->has_quota_legs && party->has_quota_bytes);
    assert_int_equal(party->quota_legs, 12);
    assert_int_equal(party->quota_bytes, 34);
    admission = admission_of("de", ACTION_RESUME, 0);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    assert_false(party->has_quota_legs || party->has_quota_bytes);
}

/* ---- post ---- */

static void authority_names_its_post(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct post statement = post_of("de/policy", AUTHORITY, STRANGER);
    statement.functions = FUNCTION_POLICY | FUNCTION_DIPLOMATIC;
    uint64_t time = world.time;
    assert_ok(say_post(&world, &statement, AUTHORITY));
    const struct directory_post *post = directory_post(world.directory, bytes_text("de/policy"));
    assert_string_equal(post->name, "de/policy");
    assert_int_equal(post->functions, FUNCTION_POLICY | FUNCTION_DIPLOMATIC);
    assert_int_equal(post->added_at.ms, time);
    assert_memory_equal(post->key, statement.key, KEY_SIZE);
    assert_true(post->has_revoker && !post->revoked);
    assert_memory_equal(post->revoker, statement.revoker, KEY_SIZE);
    assert_ptr_equal(post->party, directory_party(world.directory, bytes_text("de")));
    assert_null(directory_post(world.directory, bytes_text("de")));
}

static void post_of_an_unknown_or_unadmitted_party_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct post post = post_of("it/technical", STRANGER, STRANGER + 1);
    assert_error(say_post(&world, &post, STRANGER), E_UNKNOWN_PARTY);
    struct charter charter = charter_of("it", STRANGER);
    assert_ok(say_charter(&world, &charter, STRANGER));
    assert_error(say_post(&world, &post, STRANGER), E_NOT_ADMITTED);
    struct admission admission = admission_of("it", ACTION_ADMIT, STRANGER);
    assert_ok(say_admission(&world, &admission, REGISTRAR));
    assert_ok(say_post(&world, &post, STRANGER));
}

static void nobody_names_the_post_of_another_party(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct post post = post_of("de/policy", OTHER_AUTHORITY, STRANGER);
    assert_error(say_post(&world, &post, OTHER_AUTHORITY), E_FOREIGN_CERTIFICATE);
    post = post_of("de/policy", AUTHORITY, STRANGER);
    assert_error(say_post(&world, &post, OTHER_AUTHORITY), E_BAD_SIGNATURE);
}

static void post_with_a_bad_name_or_weak_key_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    static const char *const names[] = {"de", "de/", "de/a.b", "de/a/b", "/technical", "DE/technical"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        struct post post = post_of(names[i], AUTHORITY, STRANGER);
        assert_error(say_post(&world, &post, AUTHORITY), E_BAD_TEXT);
    }
    struct post post = post_of("de/policy", AUTHORITY, STRANGER);
    mixed_order(STRANGER, post.key);
    assert_error(say_post(&world, &post, AUTHORITY), E_BAD_KEY);
    post = post_of("de/policy", AUTHORITY, STRANGER);
    mixed_order(STRANGER, post.revoker);
    assert_error(say_post(&world, &post, AUTHORITY), E_BAD_KEY);
}

static void repeated_post_replaces_functions_and_keys(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    const struct directory_post *post = directory_post(world.directory, bytes_text("de/technical"));
    uint64_t added_at = post->added_at.ms;
    struct post statement = post_of("de/technical", AUTHORITY, STRANGER);
    statement.functions = 7;
    statement.has_revoker = false;
    assert_error(say_post(&world, &statement, OTHER_AUTHORITY), E_BAD_SIGNATURE);
    assert_ok(say_post(&world, &statement, AUTHORITY));
    post = directory_post(world.directory, bytes_text("de/technical"));
    assert_int_equal(post->functions, 7);
    assert_int_equal(post->added_at.ms, added_at);
    assert_false(post->has_revoker);
    assert_memory_equal(post->key, statement.key, KEY_SIZE);
    /* the former key certifies nobody any more, the new one does; the devices are still those of the post */
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    assert_error(say_device(&world, &device, POST_KEY), E_FOREIGN_CERTIFICATE);
    device = device_of("de/technical", STRANGER, DEVICE + 5, ROLE_READER);
    assert_ok(say_device(&world, &device, STRANGER));
    assert_ptr_equal(world_find(&world, DEVICE)->post, post);
}

static void revoked_post_does_not_come_back_under_a_key_that_was_known(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct revocation revocation = revocation_of("de/technical", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    static const unsigned known[] = {POST_KEY, POST_KEY + 1000, OTHER_POST_KEY, DEVICE, AUTHORITY};
    for (size_t i = 0; i < LENGTH(known); i++) {
        struct post post = post_of("de/technical", AUTHORITY, known[i]);
        assert_error(say_post(&world, &post, AUTHORITY), E_REVOKED);
    }
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    assert_error(say_device(&world, &device, POST_KEY), E_REVOKED);
}

/* An old post statement would bring the former key back. */
static void old_statement_is_not_taken_a_second_time(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct post before = post_of("de/technical", AUTHORITY, STRANGER);
    struct post after = post_of("de/technical", AUTHORITY, STRANGER + 1);
    assert_ok(say_post(&world, &before, AUTHORITY));
    assert_ok(say_post(&world, &after, AUTHORITY));
    assert_error(say_post(&world, &before, AUTHORITY), E_CONFLICT);
    struct admission suspend = admission_of("de", ACTION_SUSPEND, 0), resume = admission_of("de", ACTION_RESUME, 0);
    assert_ok(say_admission(&world, &suspend, REGISTRAR));
    assert_ok(say_admission(&world, &resume, REGISTRAR));
    assert_error(say_admission(&world, &suspend, REGISTRAR), E_CONFLICT);
}

/* ---- device ---- */

static void post_key_certifies_a_device(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device statement = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    uint64_t time = world.time;
    assert_ok(say_device(&world, &statement, POST_KEY));
    const struct directory_device *device = world_find(&world, DEVICE + 5);
    assert_non_null(device);
    assert_memory_equal(device->transport, statement.transport, KEY_SIZE);
    assert_ptr_equal(directory_transport(world.directory, statement.transport), device);
    assert_int_equal(device->role, ROLE_READER);
    assert_int_equal(device->added_at.ms, time);
    assert_int_equal(device->not_before.ms, statement.not_before.ms);
    assert_int_equal(device->not_after.ms, statement.not_after.ms);
    assert_false(device->countersigned || device->revoked);
    uint8_t hash[HASH_SIZE];
    hash_device(&statement, hash);
    assert_memory_equal(device->certificate, hash, HASH_SIZE);
    assert_string_equal(device->post->name, "de/technical");
}

static void device_that_its_post_did_not_certify_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/policy", POST_KEY, DEVICE + 5, ROLE_READER);
    assert_error(say_device(&world, &device, POST_KEY), E_UNKNOWN_POST);
    device = device_of("de/technical", OTHER_AUTHORITY, DEVICE + 5, ROLE_READER);
    assert_error(say_device(&world, &device, OTHER_AUTHORITY), E_FOREIGN_CERTIFICATE);
    device = device_of("de/technical", OTHER_POST_KEY, DEVICE + 5, ROLE_READER);
    assert_error(say_device(&world, &device, OTHER_POST_KEY), E_FOREIGN_CERTIFICATE);
    device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    assert_error(say_device(&world, &device, OTHER_POST_KEY), E_BAD_SIGNATURE);
}

static void device_keys_are_new_to_the_directory(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    transport_of(DEVICE + 10, device.transport); /* of the other party's device */
    assert_error(say_device(&world, &device, POST_KEY), E_CONFLICT);
    device = device_of("de/technical", POST_KEY, DEVICE + 10, ROLE_READER);
    transport_of(DEVICE + 5, device.transport);
    assert_error(say_device(&world, &device, POST_KEY), E_CONFLICT);
    static const unsigned used[] = {AUTHORITY, POST_KEY + 1000, OTHER_POST_KEY, REGISTRAR};
    for (size_t i = 0; i < LENGTH(used); i++) {
        device = device_of("de/technical", POST_KEY, used[i], ROLE_READER);
        assert_error(say_device(&world, &device, POST_KEY), E_CONFLICT);
    }
    device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    assert_ok(say_device(&world, &device, POST_KEY));
    struct revocation revocation = revocation_of("de/technical", DEVICE + 5, POST_KEY);
    assert_ok(say_revocation(&world, &revocation, POST_KEY));
    device.not_after.ms++; /* a revoked key does not come back either */
    assert_error(say_device(&world, &device, POST_KEY), E_CONFLICT);
}

static void device_with_a_weak_key_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    mixed_order(DEVICE + 5, device.device);
    assert_error(say_device(&world, &device, POST_KEY), E_BAD_KEY);
    memcpy(device.device, order_eight, KEY_SIZE);
    assert_error(say_device(&world, &device, POST_KEY), E_BAD_KEY);
    /* X25519: the points 0, 1, p - 1, p, p + 1 and one of the two of order eight */
    static const uint8_t small[][KEY_SIZE] = {
        {0},
        {1},
        {0xec, [1 ... 30] = 0xff, 0x7f},
        {0xed, [1 ... 30] = 0xff, 0x7f},
        {0xee, [1 ... 30] = 0xff, 0x7f},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
         0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    };
    for (size_t i = 0; i < LENGTH(small); i++) {
        device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
        memcpy(device.transport, small[i], KEY_SIZE);
        assert_error(say_device(&world, &device, POST_KEY), E_BAD_KEY);
    }
}

static void device_is_valid_for_at_most_the_limit(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_READER);
    device.not_after.ms = device.not_before.ms + DEVICE_VALIDITY_MAX_MS + 1;
    assert_error(say_device(&world, &device, POST_KEY), E_OUT_OF_RANGE);
    device.not_after.ms = device.not_before.ms;
    assert_error(say_device(&world, &device, POST_KEY), E_OUT_OF_RANGE);
    device.not_after.ms = device.not_before.ms - 1;
    assert_error(say_device(&world, &device, POST_KEY), E_OUT_OF_RANGE);
    device.not_after.ms = device.not_before.ms + DEVICE_VALIDITY_MAX_MS;
    assert_ok(say_device(&world, &device, POST_KEY));
}

static void post_has_a_limited_number_of_devices(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    for (unsigned i = 3; i < DEVICES_PER_POST_MAX; i++) {
        struct device device = device_of("de/technical", POST_KEY, DEVICE + 20 + i, ROLE_READER);
        assert_ok(say_device(&world, &device, POST_KEY));
    }
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 50, ROLE_READER);
    assert_error(say_device(&world, &device, POST_KEY), E_NOT_ALLOWED);
    struct device elsewhere = device_of("fj/national", OTHER_POST_KEY, DEVICE + 51, ROLE_READER);
    assert_ok(say_device(&world, &elsewhere, OTHER_POST_KEY));
    struct revocation revocation = revocation_of("de/technical", DEVICE + 25, POST_KEY);
    assert_ok(say_revocation(&world, &revocation, POST_KEY));
    assert_ok(say_device(&world, &device, POST_KEY));
    struct device next = device_of("de/technical", POST_KEY, DEVICE + 52, ROLE_READER);
    assert_error(say_device(&world, &next, POST_KEY), E_NOT_ALLOWED);
    world.time = WORLD_TIME + 300 * DAY_MS; /* the others have run out */
    assert_ok(say_device(&world, &next, POST_KEY));
}

/* ---- countersignature ---- */

static void authority_or_a_live_sister_countersigns(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    static const unsigned signers[] = {AUTHORITY, DEVICE, DEVICE + 1};
    for (unsigned i = 0; i < LENGTH(signers); i++) {
        struct device device = device_of("de/technical", POST_KEY, DEVICE + 20 + i, ROLE_READER);
        assert_ok(say_device(&world, &device, POST_KEY));
        struct instant now = {world.time};
        assert_error(directory_live(world_find(&world, DEVICE + 20 + i), now), E_NOT_COUNTERSIGNED);
        struct countersign countersign = countersign_of(&device, signers[i]);
        assert_ok(say_countersign(&world, &countersign, signers[i]));
        assert_ok(directory_live(world_find(&world, DEVICE + 20 + i), now));
    }
}

static void countersignature_by_anybody_else_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 20, ROLE_READER);
    struct device waiting = device_of("de/technical", POST_KEY, DEVICE + 21, ROLE_READER);
    assert_ok(say_device(&world, &device, POST_KEY));
    assert_ok(say_device(&world, &waiting, POST_KEY));
    static const unsigned strangers[] = {POST_KEY, OTHER_AUTHORITY, DEVICE + 2, DEVICE + 10, STRANGER, REGISTRAR};
    for (size_t i = 0; i < LENGTH(strangers); i++) {
        struct countersign countersign = countersign_of(&device, strangers[i]);
        assert_error(say_countersign(&world, &countersign, strangers[i]), E_NOT_ALLOWED);
    }
    struct countersign countersign = countersign_of(&device, DEVICE + 20); /* itself */
    assert_error(say_countersign(&world, &countersign, DEVICE + 20), E_NOT_COUNTERSIGNED);
    countersign = countersign_of(&device, DEVICE + 21);
    assert_error(say_countersign(&world, &countersign, DEVICE + 21), E_NOT_COUNTERSIGNED);
    countersign = countersign_of(&device, AUTHORITY);
    assert_error(say_countersign(&world, &countersign, DEVICE), E_BAD_SIGNATURE);
    countersign.certificate[0] ^= 1;
    assert_error(say_countersign(&world, &countersign, AUTHORITY), E_UNKNOWN_DEVICE);
    assert_false(world_find(&world, DEVICE + 20)->countersigned);
}

static void revoked_or_expired_sister_does_not_countersign(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 20, ROLE_READER);
    device.not_after.ms = WORLD_TIME + 390 * DAY_MS;
    assert_ok(say_device(&world, &device, POST_KEY));
    struct revocation revocation = revocation_of("de/technical", DEVICE, POST_KEY);
    assert_ok(say_revocation(&world, &revocation, POST_KEY));
    struct countersign countersign = countersign_of(&device, DEVICE);
    assert_error(say_countersign(&world, &countersign, DEVICE), E_REVOKED);
    world.time = WORLD_TIME + 300 * DAY_MS;
    countersign = countersign_of(&device, DEVICE + 1);
    assert_error(say_countersign(&world, &countersign, DEVICE + 1), E_CERTIFICATE_EXPIRED);
    world.time--;
    assert_ok(say_countersign(&world, &countersign, DEVICE + 1));
}

static void revoked_device_is_not_countersigned(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 20, ROLE_READER);
    assert_ok(say_device(&world, &device, POST_KEY));
    struct revocation revocation = revocation_of("de/technical", DEVICE + 20, POST_KEY);
    assert_ok(say_revocation(&world, &revocation, POST_KEY));
    struct countersign countersign = countersign_of(&device, AUTHORITY);
    assert_error(say_countersign(&world, &countersign, AUTHORITY), E_REVOKED);
    struct device second = device_of("de/technical", POST_KEY, DEVICE + 21, ROLE_READER);
    assert_ok(say_device(&world, &second, POST_KEY));
    revocation = revocation_of("de/technical", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    countersign = countersign_of(&second, AUTHORITY);
    assert_error(say_countersign(&world, &countersign, AUTHORITY), E_REVOKED);
}

/* ---- revocation ---- */

static void four_keys_may_revoke_a_device(void **state) {
    (void)state;
    static const unsigned signers[] = {AUTHORITY, POST_KEY, POST_KEY + 1000, DEVICE};
    for (size_t i = 0; i < LENGTH(signers); i++) {
        AUTO_WORLD world = world_new();
        struct revocation revocation = revocation_of("de/technical", DEVICE, signers[i]);
        assert_ok(say_revocation(&world, &revocation, signers[i]));
        struct instant now = {world.time};
        assert_error(directory_live(world_find(&world, DEVICE), now), E_REVOKED);
        assert_ok(directory_live(world_find(&world, DEVICE + 1), now));
        revocation = revocation_of("de/technical", DEVICE, AUTHORITY);
        assert_error(say_revocation(&world, &revocation, AUTHORITY), E_REVOKED);
    }
}

/* Evidence of the past is judged by where it stands in the log: good before the revocation, never after it. */
static void a_revoked_device_was_live_before_its_revocation_and_not_before_it_was_vouched_for(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    const struct instant time = {WORLD_TIME + 1000};
    const struct directory_device *device = world_find(&world, DEVICE);
    uint64_t vouched = device->countersigned_size, before = directory_size(world.directory);
    assert_true(vouched > 0 && vouched <= before);
    assert_error(directory_live_at(device, vouched - 1, time), E_NOT_COUNTERSIGNED);
    assert_ok(directory_live_at(device, vouched, time));
    struct revocation revocation = revocation_of("de/technical", DEVICE, POST_KEY);
    assert_ok(say_revocation(&world, &revocation, POST_KEY));
    device = world_find(&world, DEVICE);
    assert_ok(directory_live_at(device, before, time));
    assert_error(directory_live_at(device, before + 1, time), E_REVOKED);
    assert_error(directory_live_at(device, before, device->not_after), E_CERTIFICATE_EXPIRED);
    revocation = revocation_of("de/technical", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    device = world_find(&world, DEVICE);
    assert_ok(directory_live_at(device, before, time));
    assert_error(directory_live_at(device, before + 2, time), E_REVOKED);
}

static void three_keys_may_revoke_a_post(void **state) {
    (void)state;
    static const unsigned signers[] = {AUTHORITY, POST_KEY, POST_KEY + 1000};
    for (size_t i = 0; i < LENGTH(signers); i++) {
        AUTO_WORLD world = world_new();
        struct revocation revocation = revocation_of("de/technical", 0, signers[i]);
        assert_ok(say_revocation(&world, &revocation, signers[i]));
        assert_true(directory_post(world.directory, bytes_text("de/technical"))->revoked);
        assert_error(directory_live(world_find(&world, DEVICE), (struct instant){world.time}), E_REVOKED);
        assert_ok(directory_live(world_find(&world, DEVICE + 10), (struct instant){world.time}));
        revocation = revocation_of("de/technical", 0, AUTHORITY);
        assert_error(say_revocation(&world, &revocation, AUTHORITY), E_REVOKED);
    }
}

static void nobody_else_revokes(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    static const unsigned strangers[] = {
        OTHER_AUTHORITY, OTHER_POST_KEY, OTHER_POST_KEY + 1000, DEVICE + 1, DEVICE + 10, REGISTRAR, STRANGER};
    for (size_t i = 0; i < LENGTH(strangers); i++) {
        struct revocation revocation = revocation_of("de/technical", DEVICE, strangers[i]);
        assert_error(say_revocation(&world, &revocation, strangers[i]), E_NOT_ALLOWED);
        revocation = revocation_of("de/technical", 0, strangers[i]);
        assert_error(say_revocation(&world, &revocation, strangers[i]), E_NOT_ALLOWED);
    }
    struct revocation revocation = revocation_of("de/technical", 0, DEVICE); /* a device speaks for itself only */
    assert_error(say_revocation(&world, &revocation, DEVICE), E_NOT_ALLOWED);
    revocation = revocation_of("de/technical", DEVICE, AUTHORITY);
    assert_error(say_revocation(&world, &revocation, DEVICE + 1), E_BAD_SIGNATURE);
    revocation = revocation_of("de/technical", 0, AUTHORITY);
    assert_error(say_revocation(&world, &revocation, DEVICE), E_BAD_SIGNATURE);
}

static void revocation_of_what_is_not_there_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct revocation revocation = revocation_of("de/policy", DEVICE, AUTHORITY);
    assert_error(say_revocation(&world, &revocation, AUTHORITY), E_UNKNOWN_POST);
    revocation = revocation_of("de/technical", POST_KEY, AUTHORITY); /* a key, but no device's */
    assert_error(say_revocation(&world, &revocation, AUTHORITY), E_UNKNOWN_DEVICE);
    revocation = revocation_of("de/technical", STRANGER, STRANGER); /* anybody could */
    assert_error(say_revocation(&world, &revocation, STRANGER), E_UNKNOWN_DEVICE);
    revocation = revocation_of("de/technical", DEVICE + 10, AUTHORITY); /* another post's device */
    assert_error(say_revocation(&world, &revocation, AUTHORITY), E_UNKNOWN_DEVICE);
    revocation = revocation_of("de/technical", DEVICE + 10, DEVICE + 10);
    assert_error(say_revocation(&world, &revocation, DEVICE + 10), E_UNKNOWN_DEVICE);
    assert_false(world_find(&world, DEVICE + 10)->revoked);
}

/* The laptop was stolen on its way: whoever has it has a certificate that the directory never saw. */
static void a_certified_device_that_never_came_is_kept_out(void **state) {
    (void)state;
    enum { LATER = 700 };
    AUTO_WORLD world = world_new();
    struct revocation revocation = revocation_of("de/technical", LATER, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    struct device device = device_of("de/technical", POST_KEY, LATER, ROLE_DECIDER);
    assert_error(say_device(&world, &device, POST_KEY), E_CONFLICT);
    assert_null(directory_device(world.directory, pair_of(LATER).public));
    assert_ok(directory_live(world_find(&world, DEVICE), (struct instant){world.time}));
    revocation = revocation_of("de/technical", LATER, POST_KEY);
    assert_error(say_revocation(&world, &revocation, POST_KEY), E_UNKNOWN_DEVICE); /* said already */
}

static void post_without_a_revoker_is_not_revoked_by_the_zero_key(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct post post = post_of("de/policy", AUTHORITY, STRANGER);
    post.has_revoker = false;
    memset(post.revoker, 0, KEY_SIZE);
    assert_ok(say_post(&world, &post, AUTHORITY));
    struct revocation revocation = revocation_of("de/policy", 0, STRANGER + 1000);
    assert_error(say_revocation(&world, &revocation, STRANGER + 1000), E_NOT_ALLOWED);
    memset(revocation.signer, 0, KEY_SIZE);
    assert_error(say_revocation(&world, &revocation, STRANGER), E_NOT_ALLOWED);
}

/* ---- questions ---- */

static void device_is_live_within_its_time_only(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    const struct directory_device *device = world_find(&world, DEVICE);
    assert_error(directory_live(device, (struct instant){device->not_before.ms - 1}), E_CERTIFICATE_EXPIRED);
    assert_ok(directory_live(device, device->not_before));
    assert_ok(directory_live(device, (struct instant){device->not_after.ms - 1}));
    assert_error(directory_live(device, device->not_after), E_CERTIFICATE_EXPIRED);
}

static void suspended_party_stays_live_but_submits_nothing(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct instant now = {world.time};
    assert_ok(directory_may_submit(world_find(&world, DEVICE), now));
    assert_ok(directory_may_submit(world_find(&world, DEVICE + 1), now));
    assert_error(directory_may_submit(world_find(&world, DEVICE + 2), now), E_NOT_ALLOWED);
    struct admission suspend = admission_of("de", ACTION_SUSPEND, 0);
    assert_ok(say_admission(&world, &suspend, REGISTRAR));
    assert_error(directory_may_submit(world_find(&world, DEVICE), now), E_SUSPENDED);
    assert_ok(directory_live(world_find(&world, DEVICE), now));
    assert_ok(directory_may_submit(world_find(&world, DEVICE + 10), now));
    struct revocation revocation = revocation_of("fj/national", DEVICE + 10, OTHER_AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, OTHER_AUTHORITY));
    assert_error(directory_may_submit(world_find(&world, DEVICE + 10), now), E_REVOKED);
}

static void readers_are_the_live_devices_that_open_things(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device waiting = device_of("de/technical", POST_KEY, DEVICE + 5, ROLE_DECIDER);
    assert_ok(say_device(&world, &waiting, POST_KEY));
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    struct instant now = {world.time};
    assert_int_equal(directory_readers(world.directory, bytes_text("de/technical"), now, readers), 2);
    assert_ptr_equal(readers[0], world_find(&world, DEVICE));
    assert_ptr_equal(readers[1], world_find(&world, DEVICE + 1));
    assert_int_equal(directory_readers(world.directory, bytes_text("de/policy"), now, readers), 0);
    struct countersign countersign = countersign_of(&waiting, DEVICE);
    assert_ok(say_countersign(&world, &countersign, DEVICE));
    struct revocation revocation = revocation_of("de/technical", DEVICE, DEVICE);
    assert_ok(say_revocation(&world, &revocation, DEVICE));
    assert_int_equal(directory_readers(world.directory, bytes_text("de/technical"), now, readers), 2);
    assert_ptr_equal(readers[0], world_find(&world, DEVICE + 1));
    assert_ptr_equal(readers[1], world_find(&world, DEVICE + 5));
    now.ms = waiting.not_after.ms;
    assert_int_equal(directory_readers(world.directory, bytes_text("de/technical"), now, readers), 0);
}

static void prekey_of_a_known_device_is_opened(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct prekey prekey = {.day = 20000}, got;
    uint8_t id[PREKEY_ID_SIZE], hash[HASH_SIZE];
    struct pair pair = pair_of(DEVICE), stranger = pair_of(STRANGER);
    memcpy(prekey.device, pair.public, KEY_SIZE);
    transport_of(777, prekey.key);
    AUTO_BUF payload = {0};
    AUTO_BUF stamped = {0};
    AUTO_BUF forged = {0};
    AUTO_BUF mislabelled = {0};
    prekey_encode(&prekey, &payload);
    assert_ok(stamp_sign_one(LABEL_PREKEY, pair.secret, buf_bytes(&payload), &stamped));
    assert_ok(directory_open_prekey(world.directory, buf_bytes(&stamped), &got, id));
    stamp_hash(buf_bytes(&payload), hash);
    assert_memory_equal(id, hash, PREKEY_ID_SIZE);
    assert_memory_equal(got.key, prekey.key, KEY_SIZE);
    assert_int_equal(got.day, 20000);
    assert_ok(stamp_sign_one(LABEL_PREKEY, stranger.secret, buf_bytes(&payload), &forged));
    assert_error(directory_open_prekey(world.directory, buf_bytes(&forged), &got, id), E_BAD_SIGNATURE);
    assert_ok(stamp_sign_one(LABEL_DEVICE, pair.secret, buf_bytes(&payload), &mislabelled));
    assert_error(directory_open_prekey(world.directory, buf_bytes(&mislabelled), &got, id), E_BAD_SIGNATURE);
}

static void prekey_of_a_stranger_or_of_small_order_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct prekey prekey = {.day = 20000}, got;
    uint8_t id[PREKEY_ID_SIZE];
    struct pair pair = pair_of(DEVICE), stranger = pair_of(STRANGER);
    AUTO_BUF payload = {0};
    AUTO_BUF weak = {0};
    AUTO_BUF foreign = {0};
    memcpy(prekey.device, pair.public, KEY_SIZE);
    prekey_encode(&prekey, &payload);
    assert_ok(stamp_sign_one(LABEL_PREKEY, pair.secret, buf_bytes(&payload), &weak));
    assert_error(directory_open_prekey(world.directory, buf_bytes(&weak), &got, id), E_BAD_KEY);
    memcpy(prekey.device, stranger.public, KEY_SIZE);
    transport_of(777, prekey.key);
    buf_clear(&payload);
    prekey_encode(&prekey, &payload);
    assert_ok(stamp_sign_one(LABEL_PREKEY, stranger.secret, buf_bytes(&payload), &foreign));
    assert_error(directory_open_prekey(world.directory, buf_bytes(&foreign), &got, id), E_UNKNOWN_DEVICE);
}

/* ---- the log ---- */

static void ledger_time_never_goes_back(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    uint64_t last = world.time - 1000;
    struct charter charter = charter_of("it", STRANGER);
    world.time = last - 1;
    assert_error(say_charter(&world, &charter, STRANGER), E_OUT_OF_RANGE);
    world.time = last;
    assert_ok(say_charter(&world, &charter, STRANGER));
}

static void unknown_kinds_and_other_kinds_of_statements_are_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    AUTO_BUF stamped = {0};
    struct charter charter = charter_of("it", STRANGER);
    sign_charter(&charter, STRANGER, &stamped);
    static const unsigned unknown[] = {LEAF_RELAY + 1, 128, 255};
    for (size_t i = 0; i < LENGTH(unknown); i++)
        assert_error(world_leaf(&world, (enum leaf_kind)unknown[i], buf_bytes(&stamped)), E_UNKNOWN_VERSION);
    for (unsigned kind = LEAF_ADMISSION; kind <= LEAF_RELAY; kind++)
        assert_int_not_equal(world_leaf(&world, (enum leaf_kind)kind, buf_bytes(&stamped)), E_OK);
    assert_ok(world_leaf(&world, LEAF_CHARTER, buf_bytes(&stamped)));
}

/* A signature under another label does not count, whoever made it. */
static void statement_signed_under_another_label_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    AUTO_BUF payload = {0};
    struct charter charter = charter_of("it", STRANGER);
    struct pair pair = pair_of(STRANGER);
    charter_encode(&charter, &payload);
    for (unsigned label = 0; label < LABEL_COUNT; label++) {
        AUTO_BUF stamped = {0};
        if (label == LABEL_CHARTER) continue;
        assert_ok(stamp_sign_one((enum label)label, pair.secret, buf_bytes(&payload), &stamped));
        assert_error(world_leaf(&world, LEAF_CHARTER, buf_bytes(&stamped)), E_BAD_SIGNATURE);
    }
}

static void oversized_statement_makes_no_leaf(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    AUTO_BUF out = {0};
    static const uint8_t big[DIRSTATEMENT_MAX + 1];
    assert_error(directory_make_leaf(world.directory, LEAF_CHARTER, bytes_of(big, sizeof big),
                                     (struct instant){world.time}, &out),
                 E_OUT_OF_RANGE);
    assert_int_equal(out.n, 0);
}

static void second_reader_comes_to_the_same_directory(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct directory *second = fresh_directory();
    uint8_t a[HASH_SIZE], b[HASH_SIZE], hashes[LENGTH(world.leaves)][HASH_SIZE];
    for (size_t i = 0; i < world.count; i++) {
        assert_ok(directory_apply(second, buf_bytes(&world.leaves[i])));
        merkle_leaf(buf_bytes(&world.leaves[i]), hashes[i]);
        merkle_root(hashes[0], i + 1, a);
        directory_root(second, b);
        assert_memory_equal(a, b, HASH_SIZE);
    }
    assert_int_equal(directory_size(second), directory_size(world.directory));
    hash_directory(second, a);
    hash_directory(world.directory, b);
    assert_memory_equal(a, b, HASH_SIZE);
    directory_free(second);
}

static void leaves_in_another_order_are_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct directory *second = fresh_directory();
    for (size_t i = 1; i < world.count; i++)
        if (i != 9) assert_int_not_equal(directory_apply(second, buf_bytes(&world.leaves[i])), E_OK); /* 9: a charter */
    directory_free(second);
}

static void copy_lives_on_its_own(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct directory *copy = directory_copy(world.directory);
    assert_non_null(copy);
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    hash_directory(world.directory, before);
    hash_directory(copy, after);
    assert_memory_equal(before, after, HASH_SIZE);
    const struct directory_device *device = directory_device(copy, pair_of(DEVICE).public);
    assert_ptr_not_equal(device, world_find(&world, DEVICE));
    assert_ptr_equal(device->post, directory_post(copy, bytes_text("de/technical")));
    assert_ptr_equal(device->post->party, directory_party(copy, bytes_text("de")));

    struct revocation revocation = revocation_of("de/technical", DEVICE, POST_KEY);
    assert_ok(say_revocation(&world, &revocation, POST_KEY));
    world_party(&world, "it", STRANGER);
    hash_directory(copy, after);
    assert_memory_equal(before, after, HASH_SIZE);
    for (size_t i = world.count - 3; i < world.count; i++)
        assert_ok(directory_apply(copy, buf_bytes(&world.leaves[i])));
    hash_directory(world.directory, before);
    directory_free(world.directory);
    world.directory = copy; /* and it does not lean on what it was copied from */
    hash_directory(world.directory, after);
    assert_memory_equal(before, after, HASH_SIZE);
    world_post(&world, "it/technical", STRANGER, STRANGER + 1);
    world_device(&world, "it/technical", STRANGER, STRANGER + 1, DEVICE + 60, ROLE_DECIDER);
    world_device(&world, "de/technical", AUTHORITY, POST_KEY, DEVICE + 61, ROLE_DECIDER);
}

static void copy_knows_the_newest_ledger_time(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct directory *original = world.directory;
    world.directory = directory_copy(original);
    assert_non_null(world.directory);
    directory_free(original);
    struct charter charter = charter_of("it", STRANGER);
    world.time -= 1001;
    assert_error(say_charter(&world, &charter, STRANGER), E_OUT_OF_RANGE);
    world.time += 1;
    assert_ok(say_charter(&world, &charter, STRANGER));
}

static void empty_directory_answers_nothing(void **state) {
    (void)state;
    struct directory *directory = directory_new(&(struct card){0});
    uint8_t root[HASH_SIZE], empty[HASH_SIZE];
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    merkle_root(NULL, 0, empty);
    directory_root(directory, root);
    assert_memory_equal(root, empty, HASH_SIZE);
    assert_int_equal(directory_size(directory), 0);
    assert_null(directory_party(directory, bytes_text("de")));
    assert_null(directory_post(directory, bytes_text("de/technical")));
    assert_null(directory_device(directory, root));
    assert_null(directory_transport(directory, root));
    assert_null(directory_party_nth(directory, 0));
    assert_null(directory_post_nth(directory, 0));
    assert_null(directory_device_nth(directory, 0));
    assert_int_equal(directory_readers(directory, bytes_text("de/technical"), (struct instant){0}, readers), 0);
    assert_false(directory_holds(directory, LEAF_POST, bytes_text("nonsense")));
    struct directory *copy = directory_copy(directory);
    assert_non_null(copy);
    directory_free(copy);
    directory_free(directory);
    directory_free(NULL);
}

/* ---- damage ---- */

static void every_truncation_of_a_leaf_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct directory *second = fresh_directory();
    for (size_t i = 0; i < world.count; i++) {
        struct bytes leaf = buf_bytes(&world.leaves[i]);
        uint8_t before[HASH_SIZE], after[HASH_SIZE];
        hash_directory(second, before);
        for (size_t n = 0; n < leaf.n; n++) assert_int_not_equal(directory_apply(second, bytes_of(leaf.p, n)), E_OK);
        hash_directory(second, after);
        assert_memory_equal(before, after, HASH_SIZE);
        assert_ok(directory_apply(second, leaf));
    }
    directory_free(second);
}

/* Of a leaf everything is signed but the ledger's time, which the log's root covers. */
static void every_bit_flip_of_a_leaf_is_refused_or_changes_the_time_only(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct directory *second = fresh_directory();
    for (size_t i = 0; i < world.count; i++) {
        struct bytes leaf = buf_bytes(&world.leaves[i]);
        struct leaf good, bad;
        assert_ok(leaf_decode(leaf, &good));
        unsigned taken = 0;
        for (size_t bit = 0; bit < leaf.n * 8 && i < 6; bit++) {
            world.leaves[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            struct directory *copy = directory_copy(second);
            if (directory_apply(copy, leaf) == E_OK) {
                assert_ok(leaf_decode(leaf, &bad));
                assert_int_equal(bad.kind, good.kind);
                assert_int_not_equal(bad.time.ms, good.time.ms);
                assert_true(bytes_equal(bad.statement, good.statement));
                taken++;
            }
            directory_free(copy);
            world.leaves[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_true(taken <= 64);
        assert_ok(directory_apply(second, leaf));
    }
    directory_free(second);
}

static void directory_survives_the_end_of_memory_unchanged(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    AUTO_WORLD world = world_new();
    struct directory *second = fresh_directory();
    long most = 0;
    for (size_t i = 0; i < world.count; i++) {
        uint8_t before[HASH_SIZE], after[HASH_SIZE];
        hash_directory(second, before);
        for (long n = 0;; n++) {
            starve(n);
            enum error error = directory_apply(second, buf_bytes(&world.leaves[i]));
            bool reached = starve_end();
            hash_directory(second, after);
            if (!reached) {
                assert_ok(error);
                if (n > most) most = n;
                break;
            }
            assert_error(error, E_NO_MEMORY);
            assert_memory_equal(before, after, HASH_SIZE);
        }
    }
    assert_true(most >= 3);
    hash_directory(world.directory, world.leaves[0].p);
    uint8_t after[HASH_SIZE];
    hash_directory(second, after);
    assert_memory_equal(after, world.leaves[0].p, HASH_SIZE);
    directory_free(second);
}

static void copying_survives_the_end_of_memory(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    AUTO_WORLD world = world_new();
    for (long n = 0;; n++) {
        starve(n);
        struct directory *copy = directory_copy(world.directory);
        bool reached = starve_end();
        if (!reached) {
            assert_non_null(copy);
            directory_free(copy);
            assert_true(n > 10);
            break;
        }
        assert_null(copy);
    }
}

/* Thousands of keys, many collisions of slots, several growths. */
static void large_directory_finds_everything(void **state) {
    (void)state;
    AUTO_WORLD world = {.directory = fresh_directory(), .time = WORLD_TIME};
    enum { MANY = 3000 };
    for (unsigned i = 0; i < MANY; i++) {
        char name[PARTY_MAX];
        AUTO_BUF stamped = {0};
        AUTO_BUF leaf = {0};
        snprintf(name, sizeof name, "p%u", i);
        struct charter charter = charter_of(name, 2000 + i);
        sign_charter(&charter, 2000 + i, &stamped);
        assert_ok(directory_make_leaf(world.directory, LEAF_CHARTER, buf_bytes(&stamped), (struct instant){5}, &leaf));
        assert_ok(directory_apply(world.directory, buf_bytes(&leaf)));
    }
    for (unsigned i = 0; i < MANY; i++) {
        char name[PARTY_MAX];
        snprintf(name, sizeof name, "p%u", i);
        const struct directory_party *party = directory_party(world.directory, bytes_text(name));
        assert_ptr_equal(party, directory_party_nth(world.directory, i));
        assert_memory_equal(party->authority, pair_of(2000 + i).public, KEY_SIZE);
    }
    assert_null(directory_party(world.directory, bytes_text("p3000")));
    assert_null(directory_party_nth(world.directory, MANY));
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charter_brings_a_party_that_is_not_admitted_yet),
        cmocka_unit_test(charter_of_a_known_party_is_refused),
        cmocka_unit_test(charter_under_another_key_than_its_own_is_refused),
        cmocka_unit_test(charter_with_a_malformed_name_is_refused),
        cmocka_unit_test(charter_with_a_weak_key_is_refused),
        cmocka_unit_test(registrar_admits_a_party_once),
        cmocka_unit_test(admission_by_anybody_but_a_registrar_is_refused),
        cmocka_unit_test(admission_must_name_the_charter),
        cmocka_unit_test(only_an_admitted_party_is_suspended_or_resumed),
        cmocka_unit_test(newest_admission_statement_sets_the_quotas),
        cmocka_unit_test(authority_names_its_post),
        cmocka_unit_test(post_of_an_unknown_or_unadmitted_party_is_refused),
        cmocka_unit_test(nobody_names_the_post_of_another_party),
        cmocka_unit_test(post_with_a_bad_name_or_weak_key_is_refused),
        cmocka_unit_test(repeated_post_replaces_functions_and_keys),
        cmocka_unit_test(revoked_post_does_not_come_back_under_a_key_that_was_known),
        cmocka_unit_test(old_statement_is_not_taken_a_second_time),
        cmocka_unit_test(post_key_certifies_a_device),
        cmocka_unit_test(device_that_its_post_did_not_certify_is_refused),
        cmocka_unit_test(device_keys_are_new_to_the_directory),
        cmocka_unit_test(device_with_a_weak_key_is_refused),
        cmocka_unit_test(device_is_valid_for_at_most_the_limit),
        cmocka_unit_test(post_has_a_limited_number_of_devices),
        cmocka_unit_test(authority_or_a_live_sister_countersigns),
        cmocka_unit_test(countersignature_by_anybody_else_is_refused),
        cmocka_unit_test(revoked_or_expired_sister_does_not_countersign),
        cmocka_unit_test(revoked_device_is_not_countersigned),
        cmocka_unit_test(four_keys_may_revoke_a_device),
        cmocka_unit_test(a_revoked_device_was_live_before_its_revocation_and_not_before_it_was_vouched_for),
        cmocka_unit_test(three_keys_may_revoke_a_post),
        cmocka_unit_test(nobody_else_revokes),
        cmocka_unit_test(revocation_of_what_is_not_there_is_refused),
        cmocka_unit_test(a_certified_device_that_never_came_is_kept_out),
        cmocka_unit_test(post_without_a_revoker_is_not_revoked_by_the_zero_key),
        cmocka_unit_test(device_is_live_within_its_time_only),
        cmocka_unit_test(suspended_party_stays_live_but_submits_nothing),
        cmocka_unit_test(readers_are_the_live_devices_that_open_things),
        cmocka_unit_test(prekey_of_a_known_device_is_opened),
        cmocka_unit_test(prekey_of_a_stranger_or_of_small_order_is_refused),
        cmocka_unit_test(ledger_time_never_goes_back),
        cmocka_unit_test(unknown_kinds_and_other_kinds_of_statements_are_refused),
        cmocka_unit_test(statement_signed_under_another_label_is_refused),
        cmocka_unit_test(oversized_statement_makes_no_leaf),
        cmocka_unit_test(second_reader_comes_to_the_same_directory),
        cmocka_unit_test(leaves_in_another_order_are_refused),
        cmocka_unit_test(copy_lives_on_its_own),
        cmocka_unit_test(copy_knows_the_newest_ledger_time),
        cmocka_unit_test(empty_directory_answers_nothing),
        cmocka_unit_test(every_truncation_of_a_leaf_is_refused),
        cmocka_unit_test(every_bit_flip_of_a_leaf_is_refused_or_changes_the_time_only),
        cmocka_unit_test(directory_survives_the_end_of_memory_unchanged),
        cmocka_unit_test(copying_survives_the_end_of_memory),
        cmocka_unit_test(large_directory_finds_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
