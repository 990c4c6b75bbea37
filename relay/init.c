/* init.c - a new relay's folder. */
#include "init.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys.h"
#include "lockdown.h"

struct where {
    char *text;
    size_t room;
};

static enum error fail(const struct where *where, enum error error, const char *what) {
    if (errno && (error == E_IO || error == E_DISK_FULL))
        snprintf(where->text, where->room, "%s: %s", what, strerror(errno));
    else
        snprintf(where->text, where->room, "%s", what);
    return error;
}

/* Makes the folder for its owner only. One that exists must not be open to others' writing: /tmp, for one. */
static enum error enter(struct init *init, const struct where *where) {
    struct stat stat;
    errno = 0;
    if (mkdir(init->folder, 0700) != 0 && errno != EEXIST) return fail(where, E_IO, init->folder);
    if (chdir(init->folder) != 0 || lstat(".", &stat) != 0) return fail(where, E_IO, init->folder);
    if (stat.st_mode & (S_IWGRP | S_IWOTH))
        return fail(where, E_NOT_ALLOWED, "others may write to this folder; choose another");
    if (!getcwd(init->config.folder, sizeof init->config.folder)) return fail(where, E_IO, init->folder);
    return E_OK;
}

static enum error key_kept_or_made(const char *name, uint8_t ret[static KEY_SIZE], const struct where *where) {
    errno = 0;
    enum error error = keys_read(".", name, ret);
    if (error == E_IO && errno == ENOENT) {
        randombytes_buf(ret, KEY_SIZE);
        errno = 0;
        error = keys_write(".", name, ret);
    }
    return error == E_OK ? E_OK : fail(where, error, name);
}

static enum error sign_key(const char *name, uint8_t ret_public[static KEY_SIZE], const struct where *where) {
    uint8_t seed[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    enum error error = key_kept_or_made(name, seed, where);
    if (error == E_OK) crypto_sign_seed_keypair(ret_public, secret, seed);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(secret, sizeof secret);
    return error;
}

static enum error curve_key(uint8_t ret_public[static KEY_SIZE], const struct where *where) {
    uint8_t secret[KEY_SIZE];
    enum error error = key_kept_or_made("curve.key", secret, where);
    if (error == E_OK && crypto_scalarmult_base(ret_public, secret) != 0) error = fail(where, E_BAD_KEY, "curve.key");
    sodium_memzero(secret, sizeof secret);
    return error;
}

/* The host's name as far as a card may say it. */
static void host_name(char ret[static CARD_NAME_SIZE]) {
    char name[CARD_NAME_SIZE] = "";
    if (gethostname(name, sizeof name - 1) != 0 || !isalnum((unsigned char)name[0]))
        memcpy(name, "relay", sizeof "relay");
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '.') *at = '-';
    memcpy(ret, name, sizeof name);
}

/* What a client is to connect to: a wildcard says nothing to it, the host's name does. */
static void card_address(const char *listen, const char *host, char ret[static CARD_ADDRESS_SIZE]) {
    static const char *const wildcards[] = {"tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"};
    snprintf(ret, CARD_ADDRESS_SIZE, "%s", listen);
    for (size_t i = 0; i < LENGTH(wildcards); i++) {
        size_t n = strlen(wildcards[i]);
        if (strncmp(listen, wildcards[i], n) == 0)
            snprintf(ret, CARD_ADDRESS_SIZE, "tcp://%.63s:%.16s", host, listen + n);
    }
}

static enum error make_card(const struct init *init, struct card *ret, const struct where *where) {
    const struct config *config = &init->config;
    struct card card = init->wanted;
    card.address_count = config->listen_count;
    if (card.freshness_s == 0) card.freshness_s = WITNESS_AGE_S;
    char host[CARD_NAME_SIZE];
    host_name(host);
    snprintf(card.name, sizeof card.name, "%.63s", *config->name ? config->name : host);
    for (size_t i = 0; i < config->listen_count; i++) card_address(config->listen[i], host, card.addresses[i]);
    TRY(curve_key(card.curve, where));
    TRY(sign_key("statement.key", card.statement, where));
    TRY(sign_key("log.key", card.log, where));
    if (card.registrar_count == 0) {
        TRY(sign_key("registrar.key", card.registrars[0], where));
        card.registrar_count = card.threshold = 1;
    }
    *ret = card;
    return E_OK;
}

static enum error write_synced(const char *name, struct bytes text, mode_t mode, const struct where *where) {
    errno = 0;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) return fail(where, errno == ENOSPC ? E_DISK_FULL : E_IO, name);
    size_t done = 0;
    while (done < text.n) {
        ssize_t n = write(fd, text.p + done, text.n - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        done += (size_t)n;
    }
    bool good = done == text.n && fsync(fd) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return good ? E_OK : fail(where, errno == ENOSPC ? E_DISK_FULL : E_IO, name);
}

static enum error publish(const char *temporary, const char *name, const struct where *where) {
    errno = 0;
    if (rename(temporary, name) != 0) return fail(where, E_IO, name);
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int synced = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) close(fd);
    return synced == 0 ? E_OK : fail(where, E_IO, name);
}

static enum error fill_folder(struct init *init, struct card *ret_card, const struct where *where) {
    AUTO_BUF card_text = {0};
    AUTO_BUF config_text = {0};
    struct card card;
    if (access("relay.yaml", F_OK) == 0) return fail(where, E_HOME_EXISTS, "relay.yaml");
    TRY(make_card(init, &card, where));
    card_format(&card, &card_text);
    config_format(&init->config, &config_text);
    if (card_text.failed || config_text.failed) return E_NO_MEMORY;
    TRY(write_synced(".relay.card.new", buf_bytes(&card_text), 0644, where));
    TRY(publish(".relay.card.new", "relay.card", where));
    TRY(write_synced(".relay.yaml.new", buf_bytes(&config_text), 0600, where));
    errno = 0;
    enum error error = init->create_store(&init->config);
    if (error != E_OK) return fail(where, error, init->config.store_file);
    TRY(publish(".relay.yaml.new", "relay.yaml", where));
    *ret_card = card;
    return E_OK;
}

enum error init_folder(struct init *init, struct card *ret_card, char *ret_where, size_t room) {
    struct where where = {ret_where, room};
    int lock = -1;
    pid_t other = 0;
    TRY(enter(init, &where));
    errno = 0;
    enum error error = lockdown_folder(&lock, &other);
    if (error != E_OK) return fail(&where, error, "lock");
    error = fill_folder(init, ret_card, &where);
    close(lock);
    return error;
}

/* ---- a card that was changed by hand ---- */

/* E_OK also where the key may not be read: who checks a card need not be the relay's user. */
static enum error check_key(const char *folder, const char *name, const uint8_t named[static KEY_SIZE]) {
    uint8_t seed[KEY_SIZE], public[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    if (keys_read(folder, name, seed) != E_OK) return E_OK;
    int failed = 0;
    if (strcmp(name, "curve.key") == 0)
        failed = crypto_scalarmult_base(public, seed);
    else
        crypto_sign_seed_keypair(public, secret, seed);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(secret, sizeof secret);
    return !failed && memcmp(public, named, KEY_SIZE) == 0 ? E_OK : E_WRONG_FINGERPRINT;
}

enum error init_check_card(const char *folder, struct card *ret_card, bool *ret_has, char *ret_where, size_t room) {
    static char text[64 * 1024 + 1];
    char path[4200];
    struct card card;
    unsigned line = 0;
    *ret_has = false;
    snprintf(path, sizeof path, "%s/relay.card", folder);
    snprintf(ret_where, room, "relay.card");
    errno = 0;
    FILE *file = fopen(path, "re");
    if (!file) return errno == ENOENT ? E_OK : E_IO;
    size_t n = fread(text, 1, sizeof text, file);
    bool bad = ferror(file) != 0;
    fclose(file);
    if (bad) return E_IO;
    enum error error = card_parse(bytes_of(text, n), &card, &line);
    if (error != E_OK) snprintf(ret_where, room, "relay.card:%u", line);
    TRY(error);
    const struct {
        const char *name;
        const uint8_t *key;
    } own[] = {{"curve.key", card.curve}, {"statement.key", card.statement}, {"log.key", card.log}};
    for (size_t i = 0; i < LENGTH(own); i++) {
        error = check_key(folder, own[i].name, own[i].key);
        if (error != E_OK) snprintf(ret_where, room, "%s is not the key that relay.card names", own[i].name);
        TRY(error);
    }
    *ret_card = card;
    *ret_has = true;
    return E_OK;
}
