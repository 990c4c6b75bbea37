/* test_forgotten.c - a secret that was destroyed is gone: it is looked for in the store, in SQLite's journal, and in
 * all memory of the process that has used it. */
#include "client_fixture.h"

#include <stdio.h>

#include "files.h"
#include "pairs.h"

enum { CORE = 24, MASK = 0xa5 }; /* the middle of a secret: what clamping and copying in words leave alone */
static const unsigned long OURS_MAX = 1ul << 30; /* larger mappings are a sanitizer's bookkeeping */

/* The secret that is looked for, masked, so that the search does not find itself. */
struct wanted {
    uint8_t masked[CORE];
};

static void want(struct wanted *wanted, const uint8_t *secret) {
    for (size_t i = 0; i < CORE; i++) wanted->masked[i] = secret[i + 4] ^ MASK;
}

/* Whatever lies there: also what an address sanitizer keeps apart. */
__attribute__((no_sanitize("address"))) static bool stands_at(const struct wanted *wanted, const volatile uint8_t *p) {
    for (size_t i = 0; i < CORE; i++)
        if ((p[i] ^ MASK) != wanted->masked[i]) return false;
    return true;
}

static size_t count_in(const struct wanted *wanted, const uint8_t *p, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i + CORE <= n; i++) count += stands_at(wanted, p + i);
    return count;
}

/* Every page that this process can write to: heap, stack, guarded memory, libraries' data. */
static size_t count_in_memory(const struct wanted *wanted) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    size_t count = 0;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || strncmp(mode, "rw", 2) != 0) continue;
        if (to - from > OURS_MAX) continue;
        count += count_in(wanted, (const uint8_t *)from, to - from); /* NOLINT: an address that the kernel names */
    }
    fclose(maps);
    return count;
}

static size_t count_in_files(const struct wanted *wanted, const struct home *home) {
    size_t count = 0;
    for (size_t i = 0; i < 3; i++) {
        char path[4200];
        AUTO_BUF bytes = {0};
        (void)snprintf(path, sizeof path, "%s%s", home->path, (const char *[]){"", "-wal", "-shm"}[i]);
        if (!files_exists(path)) continue;
        assert_ok(files_read(path, 64 * 1024 * 1024, &bytes, &failure));
        count += count_in(wanted, bytes.p, bytes.n);
    }
    return count;
}

/* What lies beneath the stack pointer is what the functions just left behind; deeper calls write over it in the end.
 * They are not waited for: it is looked at as it is. */
static void take_prekey(struct home *home, struct wanted *ret, struct archive_key *ret_row) {
    AUTO_BUF bytes = {0};
    struct keptprekey record;
    struct archive_cursor cursor = archive_cursor(TABLE_PREKEY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true; found;) {
        assert_ok(archive_next(home->archive, &cursor, &bytes, &found));
        assert_true(found);
        assert_ok(keptprekey_decode(buf_bytes(&bytes), &record));
        if (record.day == WORLD_TIME / DAY_MS) break;
    }
    want(ret, record.secret);
    *ret_row = cursor.key;
    sodium_memzero(&record, sizeof record);
}

static void a_used_day_keys_secret_is_gone_after_its_window(void **state) {
    (void)state;
    struct wanted wanted;
    struct archive_key row;
    uint8_t parent[HASH_SIZE], digest[HASH_SIZE];
    bool fresh = false, there = true;
    take_prekey(&recipient, &wanted, &row);
    accepted_request(parent);
    compose_reply(parent, digest);
    {
        AUTO_BUF offered = {0};
        const struct offering how = {0};
        make_offered(digest, &how, &offered);
        assert_ok(deliver(buf_bytes(&offered), &fresh));
    }
    AUTO_REQUEST request = {0};
    assert_ok(kept_load(recipient.archive, digest, &request));
    assert_true(request.record.has_body_key); /* it was used */
    uint64_t later = WORLD_TIME + (PREKEY_KEEP_DAYS + 1) * DAY_MS;
    assert_ok(enrol_destroy_old(&recipient, (struct instant){later}));
    assert_ok(archive_has(recipient.archive, TABLE_PREKEY, row, &there));
    assert_false(there);
    assert_int_equal(count_in_files(&wanted, &recipient), 0);
    assert_int_equal(count_in_memory(&wanted), 0);
}

/* The row as it lay in the file, sealed: after the archive key is known, that too would open. */
static void not_even_its_sealed_form_is_left_in_the_store(void **state) {
    (void)state;
    struct wanted wanted;
    struct archive_key row;
    take_prekey(&recipient, &wanted, &row);
    struct wanted id;
    uint8_t whole[HASH_SIZE];
    memcpy(whole, row.a, sizeof whole);
    /* The row's key stands beside its value in one page: 16 bytes, then zeros. */
    for (size_t i = 0; i < CORE; i++) id.masked[i] = whole[i] ^ MASK;
    assert_ok(archive_scrub(recipient.archive));
    assert_true(count_in_files(&id, &recipient) > 0); /* the search finds what is there */
    uint64_t later = WORLD_TIME + (PREKEY_KEEP_DAYS + 1) * DAY_MS;
    assert_ok(enrol_destroy_old(&recipient, (struct instant){later}));
    assert_int_equal(count_in_files(&id, &recipient), 0);
}

static void the_search_finds_a_secret_that_is_still_in_memory(void **state) {
    (void)state;
    struct wanted wanted;
    AUTO_SECRET secret = {0};
    assert_ok(secret_random(KEY_SIZE, &secret));
    want(&wanted, secret.p);
    assert_int_equal(count_in_memory(&wanted), 1);
}

static void a_removed_shared_secret_is_gone(void **state) {
    (void)state;
    struct wanted wanted;
    uint8_t id[PREKEY_ID_SIZE];
    char hex[2 * PREKEY_ID_SIZE + 1];
    {
        AUTO_SECRET secret = {0};
        assert_ok(secret_random(KEY_SIZE, &secret));
        want(&wanted, secret.p);
        assert_ok(pairs_add(&sender, "fj", secret.p, false, id, &failure));
    }
    {
        uint8_t parent[HASH_SIZE], digest[HASH_SIZE];
        AUTO_BUF offered = {0};
        const struct offering how = {.paired = true};
        accepted_request(parent);
        compose_reply(parent, digest);
        make_offered(digest, &how, &offered); /* it was used */
    }
    assert_int_equal(count_in_files(&wanted, &sender), 0);
    text_hex(id, PREKEY_ID_SIZE, hex);
    assert_ok(pairs_remove(&sender, "fj", hex, &failure));
    assert_int_equal(count_in_files(&wanted, &sender), 0);
    assert_int_equal(count_in_memory(&wanted), 0);
}

int main(void) {
    if (sodium_init() < 0) return 1;
#define T(name) cmocka_unit_test_setup_teardown(name, homes_set_up, homes_tear_down)
    const struct CMUnitTest tests[] = {
        T(the_search_finds_a_secret_that_is_still_in_memory),
        T(a_used_day_keys_secret_is_gone_after_its_window),
        T(not_even_its_sealed_form_is_left_in_the_store),
        T(a_removed_shared_secret_is_gone),
    };
    return cmocka_run_group_tests_name("forgotten", tests, NULL, NULL);
}
