/* test_init.c - a relay's folder is complete when it has a relay.yaml; an init that broke off is run again. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "init.h"
#include "keys.h"
#include "lockdown.h"

static char base[] = "/tmp/pouch-init-XXXXXX";
static char folder[64];
static unsigned stores;

static enum error store_made(const struct config *config) {
    (void)config;
    stores++;
    return E_OK;
}
static enum error store_fails(const struct config *config) {
    (void)config;
    return E_DISK_FULL;
}
static enum error killed_at_the_store(const struct config *config) {
    (void)config;
    raise(SIGKILL);
    return E_OK;
}

static void empty_folder(void) {
    static const char *const names[] = {"curve.key",     "statement.key",   "log.key",
                                        "registrar.key", "relay.card",      "relay.yaml",
                                        "lock",          ".relay.yaml.new", ".relay.card.new"};
    assert_int_equal(chdir(base), 0);
    for (size_t i = 0; i < LENGTH(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static int begin(void **state) {
    (void)state;
    if (sodium_init() < 0 || !mkdtemp(base)) return -1;
    snprintf(folder, sizeof folder, "%s/r", base);
    return 0;
}

static int end(void **state) {
    (void)state;
    empty_folder();
    rmdir(folder); /* fails when a file is left that no step names: rmdir of base then fails too */
    return chdir("/") == 0 && rmdir(base) == 0 ? 0 : -1;
}

static struct card wanted; /* of the next init */

static enum error init(enum error (*create)(const struct config *), struct card *ret_card, char ret_where[static 256]) {
    struct init init = {.folder = folder, .create_store = create, .wanted = wanted};
    config_defaults(&init.config);
    snprintf(init.config.listen[0], sizeof init.config.listen[0], "tcp://*:443");
    snprintf(init.config.name, sizeof init.config.name, "relay.example");
    enum error error = init_folder(&init, ret_card, ret_where, 256);
    assert_int_equal(chdir(base), 0);
    return error;
}

static bool exists(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void folder_is_made_for_the_owner_with_keys_that_the_card_names(void **state) {
    (void)state;
    struct card card, read;
    char where[256], path[128];
    uint8_t seed[KEY_SIZE], public[KEY_SIZE], secret[SIGN_SECRET_SIZE], text[4096];
    struct stat stat_;
    stores = 0;
    assert_int_equal(init(store_made, &card, where), E_OK);
    assert_int_equal(stores, 1);
    assert_int_equal(stat(folder, &stat_), 0);
    assert_int_equal(stat_.st_mode & 07777, 0700);
    snprintf(path, sizeof path, "%s/relay.card", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_int_equal(card_parse(bytes_of(text, n), &read, NULL), E_OK);
    assert_string_equal(read.name, "relay.example");
    assert_null(strchr(read.addresses[0], '*')); /* a client cannot connect to a wildcard */
    assert_int_equal(keys_read(folder, "curve.key", seed), E_OK);
    assert_int_equal(crypto_scalarmult_base(public, seed), 0);
    assert_memory_equal(public, read.curve, KEY_SIZE);
    assert_int_equal(keys_read(folder, "statement.key", seed), E_OK);
    crypto_sign_seed_keypair(public, secret, seed);
    assert_memory_equal(public, read.statement, KEY_SIZE);
    assert_int_equal(keys_read(folder, "registrar.key", seed), E_OK);
    crypto_sign_seed_keypair(public, secret, seed);
    assert_memory_equal(public, read.registrars[0], KEY_SIZE);
    struct config config;
    snprintf(path, sizeof path, "%s/relay.yaml", folder);
    assert_int_equal(config_read(path, NULL, &config), E_OK);
    assert_string_equal(config.listen[0], "tcp://*:443");
    assert_string_equal(config.folder, folder);
    empty_folder();
}

static void finished_folder_is_left_alone(void **state) {
    (void)state;
    struct card card, second;
    char where[256];
    assert_int_equal(init(store_made, &card, where), E_OK);
    stores = 0;
    memset(&second, 0x77, sizeof second);
    struct card before = second;
    assert_int_equal(init(store_made, &second, where), E_HOME_EXISTS);
    assert_string_equal(where, "relay.yaml");
    assert_int_equal(stores, 0);
    assert_memory_equal(&second, &before, sizeof second);
    empty_folder();
}

static void failed_init_is_run_again_with_the_same_keys(void **state) {
    (void)state;
    struct card card;
    char where[256];
    uint8_t first[KEY_SIZE], second[KEY_SIZE];
    assert_int_equal(init(store_fails, &card, where), E_DISK_FULL);
    assert_false(exists("relay.yaml"));
    assert_int_equal(keys_read(folder, "statement.key", first), E_OK);
    assert_int_equal(init(store_made, &card, where), E_OK);
    assert_int_equal(keys_read(folder, "statement.key", second), E_OK);
    assert_memory_equal(first, second, KEY_SIZE);
    assert_false(exists(".relay.yaml.new"));
    empty_folder();
}

static void killed_init_is_run_again(void **state) {
    (void)state;
    struct card card;
    char where[256];
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(init(killed_at_the_store, &card, where) == E_OK ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_true(exists(".relay.yaml.new"));
    assert_false(exists("relay.yaml"));
    assert_int_equal(init(store_made, &card, where), E_OK);
    empty_folder();
}

static void folder_that_others_may_write_is_refused(void **state) {
    (void)state;
    struct card card;
    char where[256];
    assert_int_equal(mkdir(folder, 0700) == 0 || exists("."), 1);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(init(store_made, &card, where), E_NOT_ALLOWED);
    assert_false(exists("curve.key"));
    assert_int_equal(chmod(folder, 0700), 0);
}

static void damaged_key_is_named_and_kept(void **state) {
    (void)state;
    struct card card;
    char where[256], path[128];
    snprintf(path, sizeof path, "%s/statement.key", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    assert_int_equal(init(store_made, &card, where), E_CORRUPT);
    assert_string_equal(where, "statement.key");
    empty_folder();
}

static void running_relay_keeps_its_folder_locked(void **state) {
    (void)state;
    struct card card;
    char where[256];
    int fd;
    pid_t pid = 0;
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(lockdown_folder(&fd, &pid), E_OK);
    assert_int_equal(init(store_made, &card, where), E_RELAY_RUNNING);
    close(fd);
    assert_int_equal(init(store_made, &card, where), E_OK);
    empty_folder();
}

static void public_of(uint8_t number, uint8_t ret[static KEY_SIZE]) {
    uint8_t seed[KEY_SIZE] = {number}, secret[SIGN_SECRET_SIZE];
    crypto_sign_seed_keypair(ret, secret, seed);
}

static void no_registrars_key_is_made_where_registrars_are_named(void **state) {
    (void)state;
    struct card card, read;
    char where[256];
    bool has;
    wanted = (struct card){.registrar_count = 3, .threshold = 2, .quorum = 1, .freshness_s = 7200};
    for (uint8_t i = 0; i < 3; i++) public_of((uint8_t)(10 + i), wanted.registrars[i]);
    uint8_t witness[KEY_SIZE];
    public_of(20, witness);
    assert_int_equal(note_key_make(bytes_text("w.example"), NOTE_COSIGNATURE, witness, &wanted.witnesses[0]), E_OK);
    wanted.witness_count = 1;
    assert_int_equal(init(store_made, &card, where), E_OK);
    assert_false(exists("registrar.key"));
    assert_int_equal(init_check_card(folder, &read, &has, where, sizeof where), E_OK);
    assert_true(has);
    assert_int_equal(read.registrar_count, 3);
    assert_int_equal(read.threshold, 2);
    assert_int_equal(read.witness_count, 1);
    assert_int_equal(read.quorum, 1);
    assert_int_equal(read.freshness_s, 7200);
    uint8_t hash[HASH_SIZE], again[HASH_SIZE];
    card_hash(&card, hash); /* what init prints is the fingerprint of what it has written */
    card_hash(&read, again);
    assert_memory_equal(hash, again, HASH_SIZE);
    wanted = (struct card){0};
    empty_folder();
}

static void write_card(const struct card *card) {
    AUTO_BUF text = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/relay.card", folder);
    card_format(card, &text);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.p, 1, text.n, file), text.n);
    assert_int_equal(fclose(file), 0);
}

static void card_that_does_not_fit_the_keys_beside_it_is_named(void **state) {
    (void)state;
    struct card card, read;
    char where[256], path[128];
    bool has = true;
    assert_int_equal(init_check_card(folder, &read, &has, where, sizeof where), E_OK);
    assert_false(has); /* no card: nothing to complain of */
    assert_int_equal(init(store_made, &card, where), E_OK);
    assert_int_equal(init_check_card(folder, &read, &has, where, sizeof where), E_OK);
    assert_true(has);
    struct card changed[3] = {card, card, card};
    static const char *const names[] = {"curve.key", "statement.key", "log.key"};
    uint8_t secret[KEY_SIZE] = {9};
    assert_int_equal(crypto_scalarmult_base(changed[0].curve, secret), 0);
    public_of(30, changed[1].statement);
    public_of(31, changed[2].log);
    for (size_t i = 0; i < LENGTH(names); i++) {
        write_card(&changed[i]);
        assert_int_equal(init_check_card(folder, &read, &has, where, sizeof where), E_WRONG_FINGERPRINT);
        assert_non_null(strstr(where, names[i]));
        assert_false(has);
    }
    write_card(&card);
    snprintf(path, sizeof path, "%s/relay.card", folder);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("colour blue\n", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(init_check_card(folder, &read, &has, where, sizeof where), E_UNKNOWN_FIELD);
    assert_non_null(strstr(where, "relay.card:"));
    empty_folder();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_is_made_for_the_owner_with_keys_that_the_card_names),
        cmocka_unit_test(finished_folder_is_left_alone),
        cmocka_unit_test(failed_init_is_run_again_with_the_same_keys),
        cmocka_unit_test(killed_init_is_run_again),
        cmocka_unit_test(folder_that_others_may_write_is_refused),
        cmocka_unit_test(damaged_key_is_named_and_kept),
        cmocka_unit_test(running_relay_keeps_its_folder_locked),
        cmocka_unit_test(no_registrars_key_is_made_where_registrars_are_named),
        cmocka_unit_test(card_that_does_not_fit_the_keys_beside_it_is_named),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
