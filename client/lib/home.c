/* home.c - opening a home: its lock, its keys, who it is, its store; and joining. */
#include "home.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "chain.h"
#include "files.h"
#include "home_files.h"
#include "mirror.h"
#include "recovery.h"
#include "text.h"

enum { LOCK_WAIT_S = 30, LOCK_POLL_MS = 20, CARD_FILE_MAX = 64 * 1024 };

enum error home_path(const char *path, char *ret, size_t size, struct failure *failure) {
    const char *given = path ? path : getenv("POUCH_HOME");
    const char *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    int n;
    if (given && *given)
        n = snprintf(ret, size, "%s", given);
    else if (data && *data == '/')
        n = snprintf(ret, size, "%s/pouch", data);
    else if (user && *user)
        n = snprintf(ret, size, "%s/.local/share/pouch", user);
    else
        return fail(failure, E_NO_HOME, "neither --home nor POUCH_HOME nor HOME is set");
    if (n < 0 || (size_t)n >= size) return fail(failure, E_OUT_OF_RANGE, "the home's path is too long");
    return E_OK;
}

/* Asks for the lock again and again, not in one blocking call, so that the wait can end. */
static enum error lock_take(int fd, const char *path, unsigned wait_s, struct failure *failure) {
    unsigned tries = (wait_s ? wait_s : LOCK_WAIT_S) * 1000 / LOCK_POLL_MS;
    for (unsigned i = 0;; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return E_OK;
        if (errno != EWOULDBLOCK && errno != EINTR) return files_failure(failure, path);
        if (i >= tries) return fail(failure, E_LOCKED, "%s", path);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_MS * 1000000L}, NULL);
    }
}

enum error home_lock_open(const char *home, unsigned wait_s, int *ret_fd, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(files_join(home, "lock", path, sizeof path, failure));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return files_failure(failure, path);
    enum error error = lock_take(fd, path, wait_s, failure);
    if (error != E_OK) {
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return E_OK;
}

/* A request names its post key as the issuer; a further device's is its own issuer, and knows no post key yet. */
static void identify(struct home *home, const struct chain *chain) {
    const struct device *device = &chain->device;
    home->role = (enum device_role)device->role;
    if (chain->post_stamped.p) {
        memcpy(home->post_key, chain->post.key, KEY_SIZE);
        home->further = memcmp(device->issuer, chain->post.key, KEY_SIZE) != 0 ||
                        memcmp(chain->countersign.signer, chain_authority(chain), KEY_SIZE) != 0;
        return;
    }
    home->further = memcmp(device->issuer, device->device, KEY_SIZE) == 0;
    if (!home->further) memcpy(home->post_key, device->issuer, KEY_SIZE);
}

/* What `identity` says, held against the keys: the one file that makes a folder a home. */
static enum error identity_read(struct home *home, struct buf *bytes, bool *ret_certified, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(files_join(home->path, "identity", path, sizeof path, failure));
    TRY(files_read(path, HOME_FILE_MAX, bytes, failure));
    struct dossier dossier;
    struct chain chain;
    enum error error = dossier_decode(buf_bytes(bytes), &dossier);
    if (error == E_OK) error = chain_read(&dossier, &chain);
    if (error != E_OK || dossier.post.n > POST_MAX) return fail(failure, E_CORRUPT, "%s: %s", path, error_text(error));
    memcpy(home->post, dossier.post.p, dossier.post.n);
    home->post[dossier.post.n] = '\0';
    home->kind = text_is_post(dossier.post) ? HOME_POST : HOME_AUTHORITY;
    if (chain.charter_stamped.p) memcpy(home->authority, chain_authority(&chain), KEY_SIZE);
    if (home->kind == HOME_AUTHORITY) return E_OK;
    memcpy(home->device, chain.device.device, KEY_SIZE);
    memcpy(home->transport, chain.device.transport, KEY_SIZE);
    identify(home, &chain);
    home->certificate_ends = chain.device.not_after;
    *ret_certified = chain.charter_stamped.p != NULL;
    return E_OK;
}

/* The keys in the store are those that the identity names. */
static bool keys_fit(const struct home *home) {
    const struct keystore *keys = &home->keys;
    uint8_t transport[KEY_SIZE];
    if (home->kind == HOME_AUTHORITY)
        return keys->authority.p && memcmp(keys->authority.p + KEY_SIZE, home->authority, KEY_SIZE) == 0;
    if (!keys->device.p || !keys->transport.p || !keys->archive.p) return false;
    return crypto_scalarmult_base(transport, keys->transport.p) == 0 &&
           memcmp(transport, home->transport, KEY_SIZE) == 0 &&
           memcmp(keys->device.p + KEY_SIZE, home->device, KEY_SIZE) == 0;
}

static enum error card_read(struct home *home, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(files_join(home->path, "relay.card", path, sizeof path, failure));
    if (!files_exists(path)) return E_OK;
    AUTO_BUF text = {0};
    TRY(files_read(path, CARD_FILE_MAX, &text, failure));
    unsigned line = 0;
    if (card_parse(buf_bytes(&text), &home->card, &line) != E_OK) return fail(failure, E_CORRUPT, "%s:%u", path, line);
    home->given = home->card;
    home->joined = true;
    return E_OK;
}

void home_follow_relay(struct home *home) {
    home->card = home->given;
    if (home->directory) directory_relay_card(home->directory, &home->card);
}

static enum error store_open(struct home *home, bool certified, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(files_join(home->path, "store.sqlite", path, sizeof path, failure));
    TRY(archive_open(path, &home->keys.archive, false, &home->archive, failure));
    if (!certified) return E_OK;
    TRY(card_read(home, failure));
    if (!home->joined) return E_OK;
    TRY(mirror_load(home->archive, &home->card, &home->directory, failure));
    home_follow_relay(home);
    return E_OK;
}

/* Another process may have caught up meanwhile. */
static enum error read_mark(struct home *home, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(files_join(home->path, RECOVERY_MARK, path, sizeof path, failure));
    home->restored = files_exists(path);
    return E_OK;
}

/* A succession that was killed between its statement and its keys: what the identity names already is in `keys.next`. */
static enum error finish_succession(struct home *home, const char *keys, const char *passphrase,
                                    struct failure *failure) {
    char next[HOME_PATH_SIZE];
    struct keystore fresh = {0};
    TRY(files_join(home->path, "keys.next", next, sizeof next, failure));
    if (home->kind != HOME_AUTHORITY || keys_fit(home) || !files_exists(next)) return E_OK;
    TRY(keystore_open(next, passphrase, &fresh, failure));
    struct keystore old = home->keys;
    home->keys = fresh;
    if (!keys_fit(home)) {
        home->keys = old;
        keystore_free(&fresh);
        return E_OK;
    }
    keystore_free(&old);
    return files_rename(next, keys, failure);
}

static enum error open_parts(struct home *home, const struct home_options *options, struct failure *failure) {
    char keys[HOME_PATH_SIZE];
    AUTO_BUF identity = {0};
    bool certified = false;
    TRY(identity_read(home, &identity, &certified, failure));
    TRY(files_join(home->path, "keys", keys, sizeof keys, failure));
    TRY(keystore_open(keys, options->passphrase, &home->keys, failure));
    TRY(read_mark(home, failure));
    TRY(finish_succession(home, keys, options->passphrase, failure));
    if (!keys_fit(home)) return fail(failure, E_CORRUPT, "%s holds other keys than the identity beside it names", keys);
    return home->kind == HOME_POST ? store_open(home, certified, failure) : E_OK;
}

enum error home_open(const struct home_options *options, struct home *ret, struct failure *failure) {
    char identity[HOME_PATH_SIZE];
    struct home home = {.lock_fd = -1};
    TRY(home_path(options->path, home.path, sizeof home.path, failure));
    TRY(files_join(home.path, "identity", identity, sizeof identity, failure));
    if (!files_exists(identity)) return fail(failure, E_NO_HOME, "%s", home.path);
    TRY(home_lock_open(home.path, options->wait_s, &home.lock_fd, failure));
    enum error error = open_parts(&home, options, failure);
    if (error != E_OK) {
        home_close(&home);
        return error;
    }
    *ret = home;
    return E_OK;
}

void home_close(struct home *home) {
    if (home->path[0] == '\0') return; /* never opened */
    directory_free(home->directory);
    archive_close(&home->archive);
    keystore_free(&home->keys);
    if (home->lock_fd >= 0) close(home->lock_fd);
    *home = (struct home){.lock_fd = -1};
}

void home_unlock(struct home *home) {
    if (home->lock_fd >= 0) flock(home->lock_fd, LOCK_UN);
}

/* Has another process mirrored more of the directory than this one holds? */
static enum error mirror_moved(const struct home *home, bool *ret) {
    AUTO_BUF bytes = {0};
    struct keptmirror mirror;
    bool found = false;
    TRY(archive_get(home->archive, TABLE_META, archive_named("mirror"), &bytes, &found));
    if (!found) return E_OK;
    TRY(keptmirror_decode(buf_bytes(&bytes), &mirror));
    *ret = mirror.size != directory_size(home->directory);
    return E_OK;
}

enum error home_relock(struct home *home, struct failure *failure) {
    bool moved = false;
    TRY(lock_take(home->lock_fd, home->path, 0, failure));
    TRY(read_mark(home, failure));
    if (!home->joined) return E_OK;
    if (mirror_moved(home, &moved) != E_OK) return fail(failure, E_CORRUPT, "the local store of %s", home->post);
    if (!moved) return E_OK;
    struct directory *fresh = NULL;
    TRY(mirror_load(home->archive, &home->card, &fresh, failure));
    directory_free(home->directory);
    home->directory = fresh;
    home_follow_relay(home);
    return E_OK;
}

enum error home_check_certificate(const struct home *home, struct bytes file, struct dossier *ret,
                                  struct failure *failure) {
    struct dossier dossier;
    struct chain chain;
    enum error error = dossier_decode(file, &dossier);
    if (error == E_OK) error = chain_read(&dossier, &chain);
    if (error != E_OK) return fail(failure, error, "the certificate");
    if (!bytes_are(dossier.post, home->post))
        return fail(failure, E_FOREIGN_CERTIFICATE, "it is for %.*s, this home is %s", (int)dossier.post.n,
                    (const char *)dossier.post.p, home->post);
    error = home->further ? chain_check_further(&chain, dossier.post) : chain_check(&chain, dossier.post);
    if (error != E_OK) return fail(failure, error, "the certificate of %s", home->post);
    if (memcmp(chain.device.device, home->device, KEY_SIZE) != 0 ||
        memcmp(chain.device.transport, home->transport, KEY_SIZE) != 0 ||
        (!home->further && memcmp(chain.post.key, home->post_key, KEY_SIZE) != 0))
        return fail(failure, E_FOREIGN_CERTIFICATE, "it is for other keys of %s than this home's", home->post);
    *ret = dossier;
    return E_OK;
}

/* Certificate first: with a card and no certificate the home would count as joined without being able to speak. */
enum error home_join(struct home *home, const struct card *card, struct bytes certificate, struct failure *failure) {
    char identity[HOME_PATH_SIZE], path[HOME_PATH_SIZE];
    struct dossier dossier;
    struct chain chain;
    TRY(home_check_certificate(home, certificate, &dossier, failure));
    TRY(chain_read(&dossier, &chain));
    TRY(files_join(home->path, "identity", identity, sizeof identity, failure));
    TRY(files_join(home->path, "relay.card", path, sizeof path, failure));
    AUTO_BUF text = {0};
    card_format(card, &text);
    if (text.failed) return fail(failure, E_NO_MEMORY, "%s", path);
    TRY(files_write(identity, 0600, certificate, failure));
    TRY(files_write(path, 0600, buf_bytes(&text), failure));
    memcpy(home->authority, chain_authority(&chain), KEY_SIZE);
    identify(home, &chain);
    home->certificate_ends = chain.device.not_after;
    home->given = *card;
    home_follow_relay(home);
    home->joined = true;
    return E_OK;
}

static enum error wrong_role(const struct home *home, enum device_role role, struct failure *failure) {
    enum error error = fail(failure, E_NOT_ALLOWED, "this device of %s is a %s", home->post,
                            role == ROLE_BELL ? "bell: it rings, and can neither read nor send"
                                              : "reader: it reads, and cannot decide");
    fail_hint(failure, "use another device of the post (pouch device list), or have this one's keys certified anew in "
                       "another role");
    return error;
}

enum error home_check_role(const struct home *home, enum device_role least, struct failure *failure) {
    if (!home->directory) return E_OK; /* not joined: said elsewhere */
    const struct directory_device *own = directory_device(home->directory, home->device);
    if (!own) return E_OK;
    if (own->revoked || own->post->revoked)
        return fail(failure, E_REVOKED, "%s %s", own->revoked ? "this device of" : "the post", home->post);
    return own->role <= least ? E_OK : wrong_role(home, own->role, failure); /* the roles fall in their order */
}
