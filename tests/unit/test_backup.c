/* test_backup.c - a backup is whole or refused: every flipped bit, every cut, every foreign key; and what is restored
 * is what was there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>
#undef fail /* ours is a function (failure.h) */

#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup.h"
#include "files.h"

#define assert_ok(call) assert_int_equal(call, E_OK)

static char room[64], home_folder[128], safe[128], fresh[128];
static struct failure failure;
static struct backup_done done;
static struct secret key;

static void wipe_folder(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        char name[600];
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) (void)unlink(name);
    }
    closedir(folder);
    (void)rmdir(path);
}

/* The code stands on the sheet in two lines of their own. */
static void read_key(const char *sheet) {
    AUTO_BUF text = {0};
    uint8_t bytes[KEY_SIZE];
    assert_ok(files_read(sheet, 8192, &text, &failure));
    assert_non_null(buf_extend(&text, 1));
    text.p[text.n - 1] = 0;
    const char *at = strstr((const char *)text.p, "Key\n\n");
    assert_non_null(at);
    at += 5;
    assert_ok(text_code_parse(bytes_of(at, 2 * (4 + TEXT_CODE_SIZE)), bytes, 2));
    secret_free(&key);
    assert_ok(secret_copy(bytes, sizeof bytes, &key));
}

static struct home_options options_for(const char *path) { return (struct home_options){.path = path}; }

/* An authority's home, small enough that everything can be tried on its backup. */
static int set_up(void **state) {
    (void)state;
    (void)snprintf(room, sizeof room, "/tmp/pouch-backup-XXXXXX");
    if (!mkdtemp(room)) return -1;
    (void)snprintf(home_folder, sizeof home_folder, "%s/home", room);
    (void)snprintf(safe, sizeof safe, "%s/safe", room);
    (void)snprintf(fresh, sizeof fresh, "%s/fresh", room);
    struct home_options options = options_for(home_folder);
    struct home_new_authority what = {.party = "fj", .name = "Fiji", .outdir = room};
    return home_init_authority(&options, &what, &failure) == E_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    secret_free(&key);
    wipe_folder(home_folder);
    wipe_folder(safe);
    wipe_folder(fresh);
    wipe_folder(room);
    return 0;
}

static void back_up(unsigned keep) {
    AUTO_HOME home = {0};
    struct home_options options = options_for(home_folder);
    assert_ok(home_open(&options, &home, &failure));
    assert_ok(backup_write(&home, &(struct backup_order){.folder = safe, .keep = keep}, &done, &failure));
    read_key(done.sheet);
}

static enum error restore(void) {
    struct home_options options = options_for(fresh);
    struct restore_done restored;
    return backup_read(&options, done.file, &key, &restored, &failure);
}

static enum error check(void) {
    struct restore_done checked;
    return backup_check(done.file, &key, &checked, &failure);
}

static void read_whole(const char *folder, const char *name, struct buf *ret) {
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(files_read(path, 16 * 1024 * 1024, ret, &failure));
}

static void put_whole(struct bytes bytes) { assert_ok(files_write(done.file, 0600, bytes, &failure)); }

static size_t files_in(const char *path) {
    DIR *folder = opendir(path);
    size_t count = 0;
    for (const struct dirent *entry; folder && (entry = readdir(folder));) count += entry->d_name[0] != '.';
    if (folder) closedir(folder);
    return count;
}

static void what_is_restored_is_what_was_there(void **state) {
    (void)state;
    back_up(0);
    assert_ok(restore());
    for (size_t i = 0; i < 2; i++) {
        AUTO_BUF before = {0}, after = {0};
        const char *name = i ? "keys" : "identity";
        read_whole(home_folder, name, &before);
        read_whole(fresh, name, &after);
        assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    }
    AUTO_HOME home = {0};
    struct home_options options = options_for(fresh);
    assert_ok(home_open(&options, &home, &failure));
    assert_string_equal(home.post, "fj");
    assert_false(home.restored); /* an authority has nothing to catch up with */
}

static void neither_file_is_readable_for_others(void **state) {
    (void)state;
    struct stat stat_;
    back_up(0);
    assert_int_equal(stat(done.file, &stat_), 0);
    assert_int_equal(stat_.st_mode & 077, 0);
    assert_int_equal(stat(done.sheet, &stat_), 0);
    assert_int_equal(stat_.st_mode & 077, 0);
}

static void no_secret_key_stands_in_the_file_in_clear(void **state) {
    (void)state;
    back_up(0);
    AUTO_HOME home = {0};
    AUTO_BUF file = {0};
    struct home_options options = options_for(home_folder);
    assert_ok(home_open(&options, &home, &failure));
    assert_ok(files_read(done.file, 1024 * 1024, &file, &failure));
    for (size_t at = 0; at + 32 <= file.n; at++) {
        assert_memory_not_equal(file.p + at, home.keys.authority.p, 32);
        assert_memory_not_equal(file.p + at, key.p, 32);
    }
}

static void every_flipped_bit_is_refused(void **state) {
    (void)state;
    back_up(0);
    AUTO_BUF file = {0};
    assert_ok(files_read(done.file, 1024 * 1024, &file, &failure));
    assert_true(file.n > 500 && file.n < 8192);
    for (size_t i = 0; i < file.n; i++) {
        file.p[i] ^= (uint8_t)(1u << i % 8);
        put_whole(buf_bytes(&file));
        enum error error = check();
        assert_true(error == E_CORRUPT || (error == E_BAD_BACKUP_KEY && i >= 15 && i < 31));
        file.p[i] ^= (uint8_t)(1u << i % 8);
    }
    put_whole(buf_bytes(&file));
    assert_ok(check());
}

static void every_cut_and_every_addition_is_refused(void **state) {
    (void)state;
    back_up(0);
    AUTO_BUF file = {0};
    assert_ok(files_read(done.file, 1024 * 1024, &file, &failure));
    for (size_t n = 0; n < file.n; n++) {
        put_whole(bytes_of(file.p, n));
        assert_int_equal(check(), E_CORRUPT);
    }
    buf_add(&file, "x", 1);
    put_whole(buf_bytes(&file));
    assert_int_equal(check(), E_CORRUPT);
}

/* Several chunks: cut, doubled and exchanged at their edges. */
static void chunks_cannot_be_left_out_nor_moved(void **state) {
    (void)state;
    enum { HEAD = 15 + 16 + 24, SEALED = CHUNK_PLAIN + 17, BLOB = 3 * CHUNK_PLAIN };
    AUTO_FREE(uint8_t) blob = calloc(1, BLOB);
    char path[600];
    (void)snprintf(path, sizeof path, "%s/blob", home_folder);
    assert_ok(files_write(path, 0600, bytes_of(blob, BLOB), &failure));
    back_up(0);
    AUTO_BUF file = {0}, changed = {0};
    assert_ok(files_read(done.file, 1024 * 1024, &file, &failure));
    assert_ok(check());
    size_t chunks = (file.n - HEAD + SEALED - 1) / SEALED;
    assert_true(chunks >= 4);
    for (size_t i = 0; i < chunks; i++) { /* cut at an edge; left out; twice */
        size_t from = HEAD + i * SEALED, to = from + SEALED < file.n ? from + SEALED : file.n;
        put_whole(bytes_of(file.p, from));
        assert_int_equal(check(), E_CORRUPT);
        buf_clear(&changed);
        buf_add(&changed, file.p, from);
        buf_add(&changed, file.p + to, file.n - to);
        put_whole(buf_bytes(&changed));
        assert_int_equal(check(), E_CORRUPT);
        buf_clear(&changed);
        buf_add(&changed, file.p, to);
        buf_add(&changed, file.p + from, file.n - from);
        put_whole(buf_bytes(&changed));
        assert_int_equal(check(), E_CORRUPT);
    }
    buf_clear(&changed);
    buf_add(&changed, file.p, HEAD);
    buf_add(&changed, file.p + HEAD + SEALED, SEALED);
    buf_add(&changed, file.p + HEAD, SEALED);
    buf_add(&changed, file.p + HEAD + 2 * SEALED, file.n - HEAD - 2 * SEALED);
    put_whole(buf_bytes(&changed));
    assert_int_equal(check(), E_CORRUPT);
    put_whole(buf_bytes(&file));
    assert_ok(check());
    assert_ok(restore());
}

static void a_damaged_backup_makes_no_home(void **state) {
    (void)state;
    back_up(0);
    AUTO_BUF file = {0};
    assert_ok(files_read(done.file, 1024 * 1024, &file, &failure));
    file.p[file.n - 1] ^= 1;
    put_whole(buf_bytes(&file));
    assert_int_equal(restore(), E_CORRUPT);
    assert_int_equal(files_in(fresh), 0);
    file.p[file.n - 1] ^= 1;
    put_whole(buf_bytes(&file));
    assert_ok(restore());
}

static void another_key_is_named_as_such(void **state) {
    (void)state;
    back_up(0);
    key.p[31] ^= 1;
    assert_int_equal(check(), E_BAD_BACKUP_KEY);
    assert_int_equal(restore(), E_BAD_BACKUP_KEY);
    assert_int_equal(files_in(fresh), 0);
}

static void a_folder_that_is_not_empty_is_left_alone(void **state) {
    (void)state;
    back_up(0);
    char path[600];
    (void)snprintf(path, sizeof path, "%s/letter", fresh);
    assert_ok(files_make_folder(fresh, &failure));
    assert_ok(files_write(path, 0600, bytes_text("dear"), &failure));
    assert_int_equal(restore(), E_HOME_EXISTS);
    assert_true(files_exists(path));
    assert_int_equal(unlink(path), 0);
    assert_ok(restore());
    assert_int_equal(restore(), E_HOME_EXISTS);
}

static void what_an_unfinished_restore_left_is_replaced(void **state) {
    (void)state;
    back_up(0);
    char path[600];
    assert_ok(files_make_folder(fresh, &failure));
    (void)snprintf(path, sizeof path, "%s/unfinished", fresh);
    assert_ok(files_write(path, 0600, bytes_text("pouch restore\n"), &failure));
    (void)snprintf(path, sizeof path, "%s/keys", fresh);
    assert_ok(files_write(path, 0600, bytes_text("half"), &failure));
    assert_ok(restore());
    AUTO_HOME home = {0};
    struct home_options options = options_for(fresh);
    assert_ok(home_open(&options, &home, &failure));
}

static void only_as_many_are_kept_as_were_asked_for(void **state) {
    (void)state;
    char name[600];
    assert_ok(files_make_folder(safe, &failure));
    static const char *const older[] = {"pouch-fj-20200101T000000Z.backup", "pouch-fj-20210101T000000Z.backup",
                                        "pouch-fj-technical-20200101T000000Z.backup", "pouch-fj-notes.backup"};
    for (size_t i = 0; i < LENGTH(older); i++) {
        (void)snprintf(name, sizeof name, "%s/%s", safe, older[i]);
        assert_ok(files_write(name, 0600, bytes_text("old"), &failure));
    }
    back_up(2);
    assert_int_equal(done.removed, 1);
    for (size_t i = 0; i < LENGTH(older); i++) {
        (void)snprintf(name, sizeof name, "%s/%s", safe, older[i]);
        assert_int_equal(files_exists(name), i != 0); /* another post's, and what is none, are not ours to delete */
    }
    assert_ok(check());
}

static void a_folder_gives_its_newest_backup(void **state) {
    (void)state;
    char name[600], found[BACKUP_PATH_SIZE];
    back_up(0);
    (void)snprintf(name, sizeof name, "%s/pouch-fj-20200101T000000Z.backup", safe);
    assert_ok(files_write(name, 0600, bytes_text("old"), &failure));
    assert_ok(backup_find(safe, found, &failure));
    assert_string_equal(found, done.file);
    (void)snprintf(name, sizeof name, "%s/pouch-de-20200101T000000Z.backup", safe);
    assert_ok(files_write(name, 0600, bytes_text("old"), &failure));
    assert_int_equal(backup_find(safe, found, &failure), E_AMBIGUOUS);
    assert_int_equal(backup_find(room, found, &failure), E_NO_FILE);
}

int main(void) {
    if (sodium_init() < 0) return 1;
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_is_restored_is_what_was_there),
        T(neither_file_is_readable_for_others),
        T(no_secret_key_stands_in_the_file_in_clear),
        T(every_flipped_bit_is_refused),
        T(every_cut_and_every_addition_is_refused),
        T(chunks_cannot_be_left_out_nor_moved),
        T(a_damaged_backup_makes_no_home),
        T(another_key_is_named_as_such),
        T(a_folder_that_is_not_empty_is_left_alone),
        T(what_an_unfinished_restore_left_is_replaced),
        T(only_as_many_are_kept_as_were_asked_for),
        T(a_folder_gives_its_newest_backup),
    };
    return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
