/* power_loss_client.c - the power goes while a client writes: a transaction that it has gone on from is there afterwards, whole or,
 * before that, not at all. The archive is all that a client has: outbox, receipts, keys, content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* ours is a function (failure.h) */
#include <sodium.h>

#include "archive.h"
#include "power.h"

enum { STEPS = 60, IMAGES = 1500, IMAGES_LONG = 60000, PLANTED = 150, LARGE = 40000 };

static char folder[64], path[128];
static struct secret key;

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pouch-power-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store.sqlite", folder);
    assert_int_equal(secret_random(KEY_SIZE, &key), E_OK);
    return 0;
}

static int tear_down(void **state) {
    static const char *const ends[] = {"", "-wal", "-shm"};
    (void)state;
    for (size_t i = 0; i < LENGTH(ends); i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    rmdir(folder);
    secret_free(&key);
    return 0;
}

static struct archive *open_archive(const char *at, bool create) {
    struct archive *archive = NULL;
    struct failure failure = {0};
    return archive_open(at, &key, create, &archive, &failure) == E_OK ? archive : NULL;
}

static bool opens(const char *at) {
    struct archive *archive = open_archive(at, false);
    uint64_t count;
    bool good = archive && archive_count(archive, TABLE_OUTBOX, SCOPE_ALL, archive_key(NULL, NULL, 0), &count) == E_OK;
    archive_close(&archive);
    return good;
}

static void set(struct archive *archive, enum archive_table table, unsigned number, size_t size) {
    static uint8_t value[LARGE];
    uint8_t name[HASH_SIZE] = {(uint8_t)number};
    memset(value, (int)number, size);
    assert_int_equal(archive_set(archive, table, archive_key(name, NULL, number), bytes_of(value, size)), E_OK);
}

static void forget(struct archive *archive, enum archive_table table, unsigned number) {
    uint8_t name[HASH_SIZE] = {(uint8_t)number};
    assert_int_equal(archive_delete(archive, table, archive_key(name, NULL, number)), E_OK);
}

/* As a home lives: a request into the outbox with its content, statements, what is settled out again, secrets destroyed. */
static void work(struct archive *archive) {
    power_mark();
    for (unsigned i = 0; i < STEPS; i++) {
        assert_int_equal(archive_begin(archive), E_OK);
        set(archive, TABLE_OUTBOX, i, 900);
        set(archive, TABLE_REQUEST, i, 1500);
        if (i % 4 == 1) set(archive, TABLE_CHUNK, i, LARGE);
        if (i >= 3) forget(archive, TABLE_OUTBOX, i - 3);
        assert_int_equal(archive_commit(archive), E_OK);
        power_mark();
        if (i % 7 == 6) {
            forget(archive, TABLE_REQUEST, i - 2);
            power_mark();
            assert_int_equal(archive_scrub(archive), E_OK);
        }
    }
}

static void what_was_committed_outlives_the_power(void **state) {
    (void)state;
    struct power_trial trial = power_trial_of_environment(IMAGES, IMAGES_LONG);
    struct power_found found;
    struct archive *archive = open_archive(path, true);
    assert_non_null(archive);
    assert_int_equal(archive_scrub(archive), E_OK); /* the file has all of it */
    archive_close(&archive);
    power_begin(path);
    archive = open_archive(path, false);
    assert_non_null(archive);
    work(archive);
    power_stop();
    power_try(&trial, opens, &found);
    print_message("%zu operations, %u images, %u of them torn\n", power_count(), found.images, found.torn);
    if (found.lost > 0) print_error("%u of %u: %s\n", found.lost, found.images, found.first);
    assert_int_equal(found.lost, 0);
    trial.images = PLANTED;
    trial.lying = true;
    power_try(&trial, opens, &found);
    print_message("a disk that lies: %u of %u lost; %s\n", found.lost, found.images, found.first);
    assert_true(found.lost > 0);
    trial.lying = false;
    trial.hasty = true;
    power_try(&trial, opens, &found);
    print_message("an answer before the commit: %u of %u lost; %s\n", found.lost, found.images, found.first);
    assert_true(found.lost > 0);
    archive_close(&archive);
    power_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_committed_outlives_the_power, set_up, tear_down)};
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
