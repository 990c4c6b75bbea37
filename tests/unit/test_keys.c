/* test_keys.c - the relay's key files: whole or not there, never replaced, never readable by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keys.h"

static char folder[] = "/tmp/pouch-keys-XXXXXX";
static uint8_t key[KEY_SIZE];

static void path_of(const char *name, char ret[static 128]) { snprintf(ret, 128, "%s/%s", folder, name); }

static void put(const char *name, const void *text, size_t n, mode_t mode) {
    char path[128];
    path_of(name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void drop(const char *name) {
    char path[128];
    path_of(name, path);
    assert_int_equal(unlink(path), 0);
}

static int begin(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(i * 7 + 1);
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    return rmdir(folder); /* fails if a temporary file was left behind */
}

static void written_key_reads_back_and_is_the_owners_only(void **state) {
    (void)state;
    uint8_t back[KEY_SIZE] = {0};
    char path[128], text[80];
    struct stat stat_;
    assert_int_equal(keys_write(folder, "a.key", key), E_OK);
    assert_int_equal(keys_read(folder, "a.key", back), E_OK);
    assert_memory_equal(key, back, KEY_SIZE);
    path_of("a.key", path);
    assert_int_equal(stat(path, &stat_), 0);
    assert_int_equal(stat_.st_mode & 07777, 0600);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text, file), 65);
    fclose(file);
    assert_int_equal(strncmp(text, "01080f16", 8), 0);
    assert_int_equal(text[64], '\n');
    drop("a.key");
}

static void existing_key_is_never_replaced(void **state) {
    (void)state;
    uint8_t other[KEY_SIZE] = {1}, back[KEY_SIZE];
    assert_int_equal(keys_write(folder, "a.key", key), E_OK);
    assert_int_equal(keys_write(folder, "a.key", other), E_HOME_EXISTS);
    assert_int_equal(keys_read(folder, "a.key", back), E_OK);
    assert_memory_equal(key, back, KEY_SIZE);
    drop("a.key");
}

static void remains_of_a_killed_write_do_not_matter(void **state) {
    (void)state;
    uint8_t back[KEY_SIZE];
    put(".a.key.new", "0102", 4, 0600);
    assert_int_equal(keys_write(folder, "a.key", key), E_OK);
    assert_int_equal(keys_read(folder, "a.key", back), E_OK);
    assert_memory_equal(key, back, KEY_SIZE);
    drop("a.key");
}

static void key_that_others_may_read_is_refused(void **state) {
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0610, 0660, 0666, 0601};
    uint8_t back[KEY_SIZE];
    char path[128];
    path_of("a.key", path);
    assert_int_equal(keys_write(folder, "a.key", key), E_OK);
    for (size_t i = 0; i < LENGTH(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(keys_read(folder, "a.key", back), E_NOT_ALLOWED);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(keys_read(folder, "a.key", back), E_OK);
    drop("a.key");
}

static void damaged_key_is_corrupt_and_output_untouched(void **state) {
    (void)state;
    char text[67];
    memset(text, 'a', sizeof text);
    for (size_t n = 0; n <= sizeof text; n++) {
        if (n == 64) continue; /* without its line feed, as an editor may leave it: still a key */
        uint8_t back[KEY_SIZE];
        memset(back, 0x11, sizeof back);
        put("a.key", text, n, 0600);
        assert_int_equal(keys_read(folder, "a.key", back), E_CORRUPT);
        for (size_t i = 0; i < KEY_SIZE; i++) assert_int_equal(back[i], 0x11);
    }
    for (size_t i = 0; i < 64; i++) {
        uint8_t back[KEY_SIZE];
        text[64] = '\n';
        text[i] = 'g';
        put("a.key", text, 65, 0600);
        assert_int_equal(keys_read(folder, "a.key", back), E_CORRUPT);
        text[i] = 'a';
    }
    drop("a.key");
}

static void what_is_no_file_is_an_error(void **state) {
    (void)state;
    uint8_t back[KEY_SIZE];
    char path[128];
    assert_int_equal(keys_read(folder, "none.key", back), E_IO);
    assert_int_equal(keys_read("/nonexistent", "a.key", back), E_IO);
    assert_int_equal(keys_write("/nonexistent", "a.key", key), E_IO);
    path_of("fifo.key", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(keys_read(folder, "fifo.key", back), E_CORRUPT); /* and does not hang */
    drop("fifo.key");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_key_reads_back_and_is_the_owners_only),
        cmocka_unit_test(existing_key_is_never_replaced),
        cmocka_unit_test(remains_of_a_killed_write_do_not_matter),
        cmocka_unit_test(key_that_others_may_read_is_refused),
        cmocka_unit_test(damaged_key_is_corrupt_and_output_untouched),
        cmocka_unit_test(what_is_no_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
