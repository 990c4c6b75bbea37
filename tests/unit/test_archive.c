/* test_archive.c - the sealed local store: nothing readable in its file, nothing movable in it, and a commit that is
 * either there or not, whatever happens to the process or the disk. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* ours is a function (failure.h) */
#include <sodium.h>
#include <sqlite3.h>

#include "archive.h"

static char folder[64], path[128];
static struct secret key;

static int set_up(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pouch-archive-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", folder);
    assert_int_equal(secret_random(KEY_SIZE, &key), E_OK);
    return 0;
}

static void remove_file(const char *suffix) {
    char name[160];
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    (void)unlink(name);
}

static int tear_down(void **state) {
    (void)state;
    remove_file("");
    remove_file("-wal");
    remove_file("-shm");
    (void)rmdir(folder);
    secret_free(&key);
    return 0;
}

static struct archive *open_archive(bool create) {
    struct archive *archive = NULL;
    struct failure failure = {0};
    enum error error = archive_open(path, &key, create, &archive, &failure);
    if (error != E_OK) print_error("%s: %s\n", failure.where, error_text(error));
    assert_int_equal(error, E_OK);
    return archive;
}

static struct archive_key row(uint8_t a, uint64_t n) {
    uint8_t bytes[HASH_SIZE] = {a};
    return archive_key(bytes, NULL, n);
}

static void put(struct archive *archive, enum archive_table table, struct archive_key where, const char *text) {
    assert_int_equal(archive_set(archive, table, where, bytes_text(text)), E_OK);
}

static bool holds(struct archive *archive, enum archive_table table, struct archive_key where, const char *text) {
    AUTO_BUF value = {0};
    bool found = false;
    assert_int_equal(archive_get(archive, table, where, &value, &found), E_OK);
    return found && bytes_are(buf_bytes(&value), text);
}

/* Runs SQL on the file behind the archive's back. */
static void meddle(const char *sql) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *message = NULL;
    int code = sqlite3_exec(db, sql, NULL, NULL, &message);
    if (code != SQLITE_OK) print_error("%s: %s\n", sql, message);
    assert_int_equal(code, SQLITE_OK);
    sqlite3_close(db);
}

/* ---- rows ---- */

static void what_was_committed_is_read_back_after_reopening(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_REQUEST, row(1, 0), "first");
    put(archive, TABLE_REQUEST, row(1, 0), "second");
    archive_close(&archive);
    archive = open_archive(false);
    assert_true(holds(archive, TABLE_REQUEST, row(1, 0), "second"));
    assert_false(holds(archive, TABLE_REQUEST, row(2, 0), "second"));
    assert_int_equal(archive_delete(archive, TABLE_REQUEST, row(1, 0)), E_OK);
    assert_false(holds(archive, TABLE_REQUEST, row(1, 0), "second"));
    archive_close(&archive);
}

static void another_key_opens_nothing(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_META, archive_named("x"), "value");
    archive_close(&archive);
    key.p[0] ^= 1;
    archive = open_archive(false);
    AUTO_BUF value = {0};
    bool found = false;
    assert_int_equal(archive_get(archive, TABLE_META, archive_named("x"), &value, &found), E_CORRUPT);
    assert_int_equal(value.n, 0);
    archive_close(&archive);
}

static void a_file_that_is_no_archive_is_refused(void **state) {
    (void)state;
    struct archive *archive = NULL;
    assert_int_not_equal(archive_open(path, &key, false, &archive, NULL), E_OK);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) assert_true(fputs("this is no database ", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(archive_open(path, &key, true, &archive, NULL), E_CORRUPT);
    assert_null(archive);
}

static void rows_are_walked_in_order_within_their_scope(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_ENTRY, row(2, 300), "c");
    put(archive, TABLE_ENTRY, row(2, 2), "b");
    put(archive, TABLE_ENTRY, row(1, 9), "other");
    put(archive, TABLE_ENTRY, row(2, 0), "a");
    put(archive, TABLE_ENTRY, row(3, 1), "other");
    struct archive_cursor cursor = archive_cursor(TABLE_ENTRY, SCOPE_A, row(2, 0));
    AUTO_BUF value = {0}, all = {0};
    for (bool found = true;;) {
        assert_int_equal(archive_next(archive, &cursor, &value, &found), E_OK);
        if (!found) break;
        buf_add_bytes(&all, buf_bytes(&value));
        /* writing and deleting between two steps disturbs nothing */
        put(archive, TABLE_ENTRY, row(1, 9 + cursor.key.n), "more");
        assert_int_equal(archive_delete(archive, TABLE_ENTRY, cursor.key), E_OK);
    }
    assert_true(bytes_are(buf_bytes(&all), "abc"));
    uint64_t count, number;
    assert_int_equal(archive_count(archive, TABLE_ENTRY, SCOPE_A, row(2, 0), &count), E_OK);
    assert_int_equal(count, 0);
    assert_int_equal(archive_count(archive, TABLE_ENTRY, SCOPE_ALL, row(0, 0), &count), E_OK);
    assert_int_equal(count, 4);
    assert_int_equal(archive_number(archive, TABLE_ENTRY, row(1, 0), &number), E_OK);
    assert_int_equal(number, 310);
    assert_int_equal(archive_number(archive, TABLE_ENTRY, row(9, 0), &number), E_OK);
    assert_int_equal(number, 1);
    archive_close(&archive);
}

/* ---- sealing ---- */

static void a_sealed_value_cannot_be_moved_to_another_row(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_LEG, row(1, 0), "accepted");
    put(archive, TABLE_LEG, row(2, 0), "declined");
    put(archive, TABLE_LEG, row(1, 1), "numbered");
    archive_close(&archive);
    meddle("UPDATE leg SET v=(SELECT v FROM leg WHERE hex(a) LIKE '01%' AND n=0) WHERE hex(a) LIKE '02%'");
    meddle("UPDATE leg SET v=(SELECT v FROM leg WHERE hex(a) LIKE '01%' AND n=0) WHERE n=1");
    archive = open_archive(false);
    AUTO_BUF value = {0};
    bool found = false;
    assert_true(holds(archive, TABLE_LEG, row(1, 0), "accepted"));
    assert_int_equal(archive_get(archive, TABLE_LEG, row(2, 0), &value, &found), E_CORRUPT);
    assert_int_equal(archive_get(archive, TABLE_LEG, row(1, 1), &value, &found), E_CORRUPT);
    archive_close(&archive);
}

static void a_sealed_value_cannot_be_moved_to_another_table(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_NOTE, row(1, 0), "a note");
    archive_close(&archive);
    meddle("INSERT INTO entry(a,b,n,v) SELECT a,b,n,v FROM note");
    archive = open_archive(false);
    AUTO_BUF value = {0};
    bool found = false;
    assert_int_equal(archive_get(archive, TABLE_ENTRY, row(1, 0), &value, &found), E_CORRUPT);
    archive_close(&archive);
}

static void every_flipped_byte_of_a_sealed_value_is_noticed(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_REQUEST, row(1, 0), "short");
    archive_close(&archive);
    for (int i = 1; i <= 24 + 5 + 16; i++) {
        char sql[256];
        (void)snprintf(sql, sizeof sql,
                       "UPDATE request SET v=CAST(substr(v,1,%d)||"
                       "CASE WHEN hex(substr(v,%d,1))='00' THEN x'01' ELSE x'00' END||substr(v,%d) AS BLOB)",
                       i - 1, i, i + 1);
        meddle("CREATE TABLE keep AS SELECT v FROM request");
        meddle(sql);
        archive = open_archive(false);
        AUTO_BUF value = {0};
        bool found = false;
        assert_int_equal(archive_get(archive, TABLE_REQUEST, row(1, 0), &value, &found), E_CORRUPT);
        archive_close(&archive);
        meddle("UPDATE request SET v=(SELECT v FROM keep); DROP TABLE keep");
    }
    archive = open_archive(false);
    assert_true(holds(archive, TABLE_REQUEST, row(1, 0), "short"));
    archive_close(&archive);
}

static bool file_has(const char *suffix, const char *needle) {
    char name[160];
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    FILE *file = fopen(name, "rb");
    if (!file) return false;
    AUTO_BUF all = {0};
    char piece[4096];
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;) buf_add(&all, piece, got);
    (void)fclose(file);
    return all.n > 0 && memmem(all.p, all.n, needle, strlen(needle)) != NULL;
}

static void nothing_of_a_plaintext_is_in_the_files(void **state) {
    (void)state;
    static const char canary[] = "CANARY-OF-THE-LOCAL-STORE";
    struct archive *archive = open_archive(true);
    uint8_t hash[HASH_SIZE];
    archive_hash(archive, bytes_text(canary), hash);
    for (int table = 0; table < TABLE_COUNT; table++)
        if (table != TABLE_CHUNK) put(archive, (enum archive_table)table, archive_key(hash, NULL, 7), canary);
    assert_false(file_has("", canary));
    assert_false(file_has("-wal", canary));
    put(archive, TABLE_CHUNK, row(1, 0), "PROBE-THAT-THE-SEARCH-FINDS"); /* chunks alone are kept as they come */
    assert_true(file_has("-wal", "PROBE-THAT-THE-SEARCH-FINDS"));
    archive_close(&archive);
    assert_false(file_has("", canary));
    assert_true(file_has("", "PROBE-THAT-THE-SEARCH-FINDS"));
}

static void a_deleted_row_leaves_no_trace_after_scrubbing(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_CHUNK, row(1, 0), "SECRET-THAT-WAS-DESTROYED");
    assert_true(file_has("-wal", "SECRET-THAT-WAS-DESTROYED"));
    assert_int_equal(archive_delete(archive, TABLE_CHUNK, row(1, 0)), E_OK);
    assert_int_equal(archive_scrub(archive), E_OK);
    assert_false(file_has("", "SECRET-THAT-WAS-DESTROYED"));
    assert_false(file_has("-wal", "SECRET-THAT-WAS-DESTROYED"));
    archive_close(&archive);
}

static void names_are_hashed_under_a_key(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    uint8_t first[HASH_SIZE], second[HASH_SIZE], plain[HASH_SIZE];
    archive_hash(archive, bytes_text("de/technical"), first);
    archive_hash(archive, bytes_text("de/technical"), second);
    crypto_generichash(plain, sizeof plain, (const uint8_t *)"de/technical", 12, NULL, 0);
    assert_memory_equal(first, second, HASH_SIZE);
    assert_memory_not_equal(first, plain, HASH_SIZE);
    archive_close(&archive);
    remove_file("");
    key.p[5] ^= 1;
    archive = open_archive(true);
    archive_hash(archive, bytes_text("de/technical"), second);
    assert_memory_not_equal(first, second, HASH_SIZE);
    archive_close(&archive);
}

/* ---- transactions ---- */

static void a_rollback_undoes_only_its_own_level(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    assert_int_equal(archive_begin(archive), E_OK);
    put(archive, TABLE_LEG, row(1, 0), "outer");
    assert_int_equal(archive_begin(archive), E_OK);
    put(archive, TABLE_LEG, row(1, 0), "inner");
    put(archive, TABLE_LEG, row(2, 0), "inner");
    archive_rollback(archive);
    assert_true(holds(archive, TABLE_LEG, row(1, 0), "outer"));
    assert_false(holds(archive, TABLE_LEG, row(2, 0), "inner"));
    assert_int_equal(archive_begin(archive), E_OK);
    put(archive, TABLE_LEG, row(3, 0), "kept");
    assert_int_equal(archive_commit(archive), E_OK);
    assert_int_equal(archive_commit(archive), E_OK);
    archive_close(&archive);
    archive = open_archive(false);
    assert_true(holds(archive, TABLE_LEG, row(1, 0), "outer"));
    assert_true(holds(archive, TABLE_LEG, row(3, 0), "kept"));
    assert_int_equal(archive_begin(archive), E_OK);
    put(archive, TABLE_LEG, row(1, 0), "never");
    archive_rollback(archive);
    assert_true(holds(archive, TABLE_LEG, row(1, 0), "outer"));
    archive_close(&archive);
}

enum { PAIRS = 40 };

/* The child writes generation after generation: all rows of one in one transaction. */
static void write_for_ever(void) {
    struct archive *archive = NULL;
    if (archive_open(path, &key, false, &archive, NULL) != E_OK) _exit(1);
    for (unsigned generation = 1;; generation++) {
        char text[32];
        (void)snprintf(text, sizeof text, "generation %u", generation);
        if (archive_begin(archive) != E_OK) _exit(2);
        for (uint64_t n = 0; n < PAIRS; n++)
            if (archive_set(archive, TABLE_SPOOL, row(0, n), bytes_text(text)) != E_OK) _exit(3);
        if (archive_commit(archive) != E_OK) _exit(4);
    }
}

static void a_kill_during_commit_leaves_the_state_before_or_after(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    for (uint64_t n = 0; n < PAIRS; n++) put(archive, TABLE_SPOOL, row(0, n), "generation 0");
    archive_close(&archive);
    unsigned moved = 0;
    for (int round = 0; round < 25; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) write_for_ever();
        usleep((useconds_t)(2000 + randombytes_uniform(20000)));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        archive = open_archive(false);
        AUTO_BUF first = {0}, other = {0};
        bool found = false;
        assert_int_equal(archive_get(archive, TABLE_SPOOL, row(0, 0), &first, &found), E_OK);
        for (uint64_t n = 1; n < PAIRS; n++) {
            buf_clear(&other);
            assert_int_equal(archive_get(archive, TABLE_SPOOL, row(0, n), &other, &found), E_OK);
            assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&other)));
        }
        moved += !bytes_are(buf_bytes(&first), "generation 0");
        archive_close(&archive);
    }
    assert_true(moved > 0); /* else nothing was ever committed and the test proved nothing */
}

static void a_full_disk_leaves_the_store_as_it_was(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_REQUEST, row(1, 0), "before");
    archive_close(&archive);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* A file that may not grow: writes fail as on a full disk. */
        struct rlimit limit = {256 * 1024, 256 * 1024};
        (void)signal(SIGXFSZ, SIG_IGN);
        archive = NULL;
        if (archive_open(path, &key, false, &archive, NULL) != E_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
        static uint8_t piece[32 * 1024];
        enum error error = archive_begin(archive);
        for (uint64_t n = 0; error == E_OK && n < 1000; n++)
            error = archive_set(archive, TABLE_CHUNK, row(2, n), bytes_of(piece, sizeof piece));
        if (error == E_OK)
            error = archive_commit(archive);
        else
            archive_rollback(archive);
        if (error != E_DISK_FULL && error != E_IO) _exit(2);
        /* the same handle still reads what was there, and nothing of what failed */
        uint64_t count = 1;
        if (!holds(archive, TABLE_REQUEST, row(1, 0), "before")) _exit(3);
        if (archive_count(archive, TABLE_CHUNK, SCOPE_ALL, row(0, 0), &count) != E_OK || count != 0) _exit(4);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    archive = open_archive(false);
    uint64_t count = 1;
    assert_true(holds(archive, TABLE_REQUEST, row(1, 0), "before"));
    assert_int_equal(archive_count(archive, TABLE_CHUNK, SCOPE_ALL, row(0, 0), &count), E_OK);
    assert_int_equal(count, 0);
    put(archive, TABLE_REQUEST, row(1, 0), "after"); /* and with room again it goes on */
    archive_close(&archive);
}

static void an_older_versions_file_gets_the_tables_that_it_lacks(void **state) {
    (void)state;
    struct archive *archive = open_archive(true);
    put(archive, TABLE_REQUEST, row(1, 0), "kept");
    archive_close(&archive);
    meddle("DROP TABLE policy; DROP TABLE gap; DROP TABLE lost; PRAGMA user_version=2");
    archive = open_archive(false);
    static const enum archive_table younger[] = {TABLE_POLICY, TABLE_GAP, TABLE_LOST};
    for (size_t i = 0; i < LENGTH(younger); i++) {
        put(archive, younger[i], row(1, 0), "new");
        assert_true(holds(archive, younger[i], row(1, 0), "new"));
    }
    assert_true(holds(archive, TABLE_REQUEST, row(1, 0), "kept"));
    archive_close(&archive);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_committed_is_read_back_after_reopening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_opens_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_archive_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_are_walked_in_order_within_their_scope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sealed_value_cannot_be_moved_to_another_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sealed_value_cannot_be_moved_to_another_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_flipped_byte_of_a_sealed_value_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_of_a_plaintext_is_in_the_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_row_leaves_no_trace_after_scrubbing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_hashed_under_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rollback_undoes_only_its_own_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kill_during_commit_leaves_the_state_before_or_after, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_store_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_older_versions_file_gets_the_tables_that_it_lacks, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
