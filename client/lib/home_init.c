/* home_init.c - makes the home of an authority or of a post.
 *
 * The order is what makes it safe to kill: `unfinished` first; then keys, store and the public files; then `identity`, which
 * alone makes the folder a home; then `unfinished` goes. What an init that was killed left behind is replaced by the next;
 * anything else that stands in the way is left alone (E_HOME_EXISTS). */
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chain.h"
#include "files.h"
#include "home_files.h"
#include "stamp.h"
#include "text.h"

enum { DEVICE_EARLY_MS = 86400 * 1000, SHEET_SIZE = 4096 };

/* Where the new home's files go. */
struct nest {
    char home[HOME_PATH_SIZE];
    char keys[HOME_PATH_SIZE], identity[HOME_PATH_SIZE], unfinished[HOME_PATH_SIZE];
    const char *outdir, *passphrase;
    char base[POST_MAX + 8]; /* of the public files' names: `de`, `de-technical`, `de-technical-device` */
    int lock_fd;
    bool again; /* an earlier init was killed here */
};

static struct instant now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000};
}

static void nest_close(struct nest *nest) {
    if (nest->lock_fd >= 0) close(nest->lock_fd);
}

/* The folder is there, locked, and holds no home. */
static enum error nest_open(const struct home_options *options, const char *name, const char *outdir, struct nest *nest,
                            struct failure *failure) {
    TRY(home_path(options->path, nest->home, sizeof nest->home, failure));
    TRY(files_make_folder(nest->home, failure));
    TRY(home_lock_open(nest->home, options->wait_s, &nest->lock_fd, failure));
    TRY(files_join(nest->home, "keys", nest->keys, sizeof nest->keys, failure));
    TRY(files_join(nest->home, "identity", nest->identity, sizeof nest->identity, failure));
    TRY(files_join(nest->home, "unfinished", nest->unfinished, sizeof nest->unfinished, failure));
    nest->outdir = outdir && *outdir ? outdir : ".";
    nest->passphrase = options->passphrase;
    snprintf(nest->base, sizeof nest->base, "%s", name);
    for (char *p = nest->base; *p; p++)
        if (*p == '/') *p = '-';
    nest->again = files_exists(nest->unfinished);
    if (files_exists(nest->identity) || (files_exists(nest->keys) && !nest->again))
        return fail(failure, E_HOME_EXISTS, "%s", nest->home);
    return E_OK;
}

static enum error out_path(const struct nest *nest, const char *ending, char *ret, size_t size,
                           struct failure *failure) {
    char name[POST_MAX + 32];
    snprintf(name, sizeof name, "%s.%s", nest->base, ending);
    return files_join(nest->outdir, name, ret, size, failure);
}

/* A public file of the same name, if no killed init of this home left it, may belong to another home. */
static enum error out_is_free(const struct nest *nest, const char *ending, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(out_path(nest, ending, path, sizeof path, failure));
    return files_exists(path) && !nest->again ? fail(failure, E_HOME_EXISTS, "%s", path) : E_OK;
}

static enum error out_write(const struct nest *nest, const char *ending, mode_t mode, struct bytes bytes,
                            struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(out_path(nest, ending, path, sizeof path, failure));
    return files_write(path, mode, bytes, failure);
}

/* From here on a kill leaves `unfinished` behind. What an earlier one left goes first. */
static enum error nest_begin(const struct nest *nest, struct failure *failure) {
    static const char *const leftovers[] = {"keys", "post.key", "recovery.key", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"};
    for (size_t i = 0; nest->again && i < LENGTH(leftovers); i++) {
        char path[HOME_PATH_SIZE];
        TRY(files_join(nest->home, leftovers[i], path, sizeof path, failure));
        if (files_exists(path) && unlink(path) != 0) return files_failure(failure, path);
    }
    return files_write(nest->unfinished, 0600, bytes_text("pouch init\n"), failure);
}

static enum error nest_finish(const struct nest *nest, struct bytes identity, struct failure *failure) {
    TRY(files_write(nest->identity, 0600, identity, failure));
    unlink(nest->unfinished); /* harmless if it stays: identity decides */
    return E_OK;
}

static enum error sign_pair(struct secret *ret, uint8_t ret_public[static KEY_SIZE]) {
    TRY(secret_new(SIGN_SECRET_SIZE, ret));
    crypto_sign_keypair(ret_public, ret->p);
    return E_OK;
}

static enum error transport_pair(struct secret *ret, uint8_t ret_public[static KEY_SIZE]) {
    TRY(secret_random(KEY_SIZE, ret));
    return crypto_scalarmult_base(ret_public, ret->p) == 0 ? E_OK : E_INTERNAL;
}

static enum error dossier_file(const char *post, const struct buf *statements, size_t count, const uint8_t *post_key,
                               const uint8_t *revoker, struct buf *out) {
    struct dossier dossier = {.post = bytes_text(post),
                              .statements = list_of(statements, count),
                              .has_post_key = post_key != NULL,
                              .has_revoker = revoker != NULL};
    if (post_key) memcpy(dossier.post_key, post_key, KEY_SIZE);
    if (revoker) memcpy(dossier.revoker, revoker, KEY_SIZE);
    dossier_encode(&dossier, out);
    return buf_error(out);
}

/* ---- an authority ---- */

static enum error check_authority(const struct home_new_authority *what, struct failure *failure) {
    if (!text_is_party(bytes_text(what->party))) return fail(failure, E_USAGE, "%s is no name of a party", what->party);
    if (!*what->name || strlen(what->name) > NAME_MAX_SIZE)
        return fail(failure, E_USAGE, "the name must have 1 to %d bytes", NAME_MAX_SIZE);
    /* The wire's own check of UTF-8. */
    AUTO_BUF text = {0};
    cbor_put_text(&text, bytes_text(what->name));
    return cbor_check(buf_bytes(&text)) == E_OK
               ? E_OK
               : fail(failure, E_USAGE, "the name of %s is not valid UTF-8", what->party);
}

static void sheet_line(struct buf *out, const char *name, const char *value) {
    char line[NAME_MAX_SIZE + 64];
    int n = snprintf(line, sizeof line, "%-13s%s\n", name, value);
    buf_add(out, line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* What is handed to the registrar beside the charter, on paper. */
static void nomination(const struct charter *charter, const char *name, struct buf *out) {
    static const char *const kinds[] = {"State", "intergovernmental organisation", "observer"};
    char party[PARTY_MAX + 1] = "", fingerprint[TEXT_FINGERPRINT_SIZE];
    AUTO_BUF payload = {0};
    uint8_t digest[HASH_SIZE];
    charter_encode(charter, &payload);
    directory_charter_digest(buf_bytes(&payload), digest);
    text_fingerprint(digest, fingerprint);
    memcpy(party, charter->party.p, charter->party.n);
    buf_add_bytes(out, bytes_text("Nomination of a party\n\n"));
    sheet_line(out, "Party", party);
    sheet_line(out, "Name", name);
    sheet_line(out, "Kind", kinds[charter->kind]);
    sheet_line(out, "Recovery", charter->has_recovery ? "the party keeps a recovery key" : "none");
    sheet_line(out, "Fingerprint", fingerprint);
    buf_add_bytes(
        out, bytes_text("\nThe fingerprint is that of the charter file sent beside this sheet. Compare it digit by\n"
                        "digit, by telephone or on paper, before the party is admitted.\n\n"
                        "Date, place, name and signature:\n\n\n"
                        "______________________________________________________________\n"));
}

/* Kept apart from the authority's keys: it is for the day on which those are lost. */
static enum error recovery_file(const struct nest *nest, const struct home_new_authority *what, struct charter *charter,
                                struct failure *failure) {
    char path[HOME_PATH_SIZE];
    struct keystore apart = {0};
    if (what->no_recovery) return E_OK;
    if (what->recovery)
        (void)snprintf(path, sizeof path, "%s", what->recovery);
    else
        TRY(files_join(nest->home, "recovery.key", path, sizeof path, failure));
    TRY(sign_pair(&apart.recovery, charter->recovery));
    enum error error = keystore_create(path, &apart, nest->passphrase, failure);
    keystore_free(&apart);
    charter->has_recovery = error == E_OK;
    return error;
}

static enum error authority_files(const struct nest *nest, const struct home_new_authority *what, struct keystore *keys,
                                  struct failure *failure) {
    struct charter charter = {
        .party = bytes_text(what->party), .name = bytes_text(what->name), .kind = what->kind, .created = now()};
    uint8_t next[KEY_SIZE];
    TRY(sign_pair(&keys->authority, charter.authority));
    TRY(sign_pair(&keys->authority_next, next));
    label_digest(LABEL_NEXT_KEY, bytes_of(next, sizeof next), charter.next);
    TRY(recovery_file(nest, what, &charter, failure));
    AUTO_BUF statements = {0};
    AUTO_BUF file = {0};
    AUTO_BUF sheet = {0};
    TRY(chain_sign(LEAF_CHARTER, LABEL_CHARTER, &charter_object, &charter, &keys->authority, &statements, NULL));
    TRY(dossier_file(what->party, &statements, 1, NULL, NULL, &file));
    nomination(&charter, what->name, &sheet);
    TRY(buf_error(&sheet));
    TRY(keystore_create(nest->keys, keys, nest->passphrase, failure));
    TRY(out_write(nest, "charter", 0644, buf_bytes(&file), failure));
    TRY(out_write(nest, "nomination", 0644, buf_bytes(&sheet), failure));
    return nest_finish(nest, buf_bytes(&file), failure);
}

enum error home_init_authority(const struct home_options *options, const struct home_new_authority *what,
                               struct failure *failure) {
    __attribute__((cleanup(nest_close))) struct nest nest = {.lock_fd = -1};
    TRY(check_authority(what, failure));
    TRY(nest_open(options, what->party, what->outdir, &nest, failure));
    TRY(out_is_free(&nest, "charter", failure));
    TRY(out_is_free(&nest, "nomination", failure));
    TRY(nest_begin(&nest, failure));
    struct keystore keys = {0};
    enum error error = authority_files(&nest, what, &keys, failure);
    keystore_free(&keys);
    return error;
}

/* ---- a post ---- */

/* Keys of a new post, and what is public of them. */
struct newborn {
    struct keystore keys, post; /* the post key is kept apart */
    struct secret revoker;      /* signs the slip and is forgotten */
    uint8_t post_key[KEY_SIZE], revoker_key[KEY_SIZE];
    struct device device;
};

static void newborn_free(struct newborn *newborn) {
    keystore_free(&newborn->keys);
    keystore_free(&newborn->post);
    secret_free(&newborn->revoker);
}

static enum error newborn_device(const char *post, enum device_role role, uint64_t validity_s, struct newborn *ret) {
    struct device *device = &ret->device;
    TRY(sign_pair(&ret->keys.device, device->device));
    TRY(transport_pair(&ret->keys.transport, device->transport));
    TRY(secret_random(KEY_SIZE, &ret->keys.archive));
    device->post = bytes_text(post);
    device->role = role;
    /* A day early, for a relay whose clock is behind; and so a day less at the end, within the longest validity. */
    device->not_before.ms = now().ms - DEVICE_EARLY_MS;
    device->not_after.ms = device->not_before.ms + DEVICE_VALIDITY_MAX_MS - DEVICE_EARLY_MS;
    uint64_t wanted = now().ms + validity_s * 1000;
    if (validity_s && wanted < device->not_after.ms) device->not_after.ms = wanted;
    return E_OK;
}

static enum error newborn_make(const char *post, uint64_t validity_s, struct newborn *ret) {
    TRY(sign_pair(&ret->post.post, ret->post_key));
    TRY(sign_pair(&ret->revoker, ret->revoker_key));
    TRY(newborn_device(post, ROLE_DECIDER, validity_s, ret));
    memcpy(ret->device.issuer, ret->post_key, KEY_SIZE);
    return E_OK;
}

static enum error request_file(const char *post, const struct newborn *newborn, struct buf *out) {
    AUTO_BUF statements = {0};
    TRY(chain_sign(LEAF_DEVICE, LABEL_DEVICE, &device_object, &newborn->device, &newborn->post.post, &statements,
                   NULL));
    return dossier_file(post, &statements, 1, newborn->post_key, newborn->revoker_key, out);
}

static enum error slip_file(const char *post, const struct newborn *newborn, struct buf *out) {
    struct revocation revocation = {.post = bytes_text(post), .created = now()};
    memcpy(revocation.signer, newborn->revoker_key, KEY_SIZE);
    AUTO_BUF statements = {0};
    TRY(chain_sign(LEAF_REVOCATION, LABEL_REVOCATION, &revocation_object, &revocation, &newborn->revoker, &statements,
                   NULL));
    return dossier_file(post, &statements, 1, NULL, NULL, out);
}

static enum error make_store(const struct nest *nest, const struct newborn *newborn, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    struct archive *archive = NULL;
    TRY(files_join(nest->home, "store.sqlite", path, sizeof path, failure));
    TRY(archive_open(path, &newborn->keys.archive, true, &archive, failure));
    archive_close(&archive);
    /* SQLite gives its other files the mode of this one. */
    return chmod(path, 0600) == 0 ? E_OK : files_failure(failure, path);
}

static enum error post_files(const struct nest *nest, const struct home_new_post *what, struct newborn *newborn,
                             struct failure *failure) {
    const char *post = what->post;
    char post_key[HOME_PATH_SIZE];
    AUTO_BUF request = {0};
    AUTO_BUF slip = {0};
    TRY(newborn_make(post, what->validity_s, newborn));
    TRY(request_file(post, newborn, &request));
    TRY(slip_file(post, newborn, &slip));
    TRY(files_join(nest->home, "post.key", post_key, sizeof post_key, failure));
    TRY(keystore_create(post_key, &newborn->post, nest->passphrase, failure));
    TRY(keystore_create(nest->keys, &newborn->keys, nest->passphrase, failure));
    TRY(make_store(nest, newborn, failure));
    TRY(out_write(nest, "revocation", 0600, buf_bytes(&slip), failure));
    TRY(out_write(nest, "request", 0644, buf_bytes(&request), failure));
    return nest_finish(nest, buf_bytes(&request), failure);
}

enum error home_init_post(const struct home_options *options, const struct home_new_post *what,
                          struct failure *failure) {
    __attribute__((cleanup(nest_close))) struct nest nest = {.lock_fd = -1};
    if (!text_is_post(bytes_text(what->post)))
        return fail(failure, E_USAGE, "%s is no name of a post, such as de/technical", what->post);
    TRY(nest_open(options, what->post, what->outdir, &nest, failure));
    TRY(out_is_free(&nest, "request", failure));
    TRY(out_is_free(&nest, "revocation", failure));
    TRY(nest_begin(&nest, failure));
    struct newborn newborn = {0};
    enum error error = post_files(&nest, what, &newborn, failure);
    newborn_free(&newborn);
    return error;
}

/* ---- a further device of a post ---- */

/* It is its own issuer: that shows that it holds the key, and claims nothing else. */
static enum error device_request(const char *post, struct newborn *newborn, struct buf *out) {
    AUTO_BUF statements = {0};
    memcpy(newborn->device.issuer, newborn->device.device, KEY_SIZE);
    TRY(chain_sign(LEAF_DEVICE, LABEL_DEVICE, &device_object, &newborn->device, &newborn->keys.device, &statements,
                   NULL));
    return dossier_file(post, &statements, 1, NULL, NULL, out);
}

static enum error device_files(const struct nest *nest, const struct home_new_device *what, struct newborn *newborn,
                               struct failure *failure) {
    AUTO_BUF request = {0};
    TRY(newborn_device(what->post, what->role, what->validity_s, newborn));
    TRY(device_request(what->post, newborn, &request));
    TRY(keystore_create(nest->keys, &newborn->keys, nest->passphrase, failure));
    TRY(make_store(nest, newborn, failure));
    if (what->outdir) TRY(out_write(nest, "request", 0644, buf_bytes(&request), failure));
    return nest_finish(nest, buf_bytes(&request), failure);
}

enum error home_init_device(const struct home_options *options, const struct home_new_device *what,
                            struct failure *failure) {
    __attribute__((cleanup(nest_close))) struct nest nest = {.lock_fd = -1};
    char base[POST_MAX + 8];
    if (!text_is_post(bytes_text(what->post)))
        return fail(failure, E_USAGE, "%s is no name of a post, such as de/technical", what->post);
    (void)snprintf(base, sizeof base, "%s-device", what->post);
    TRY(nest_open(options, base, what->outdir, &nest, failure));
    if (what->outdir) TRY(out_is_free(&nest, "request", failure));
    TRY(nest_begin(&nest, failure));
    struct newborn newborn = {0};
    enum error error = device_files(&nest, what, &newborn, failure);
    newborn_free(&newborn);
    return error;
}
