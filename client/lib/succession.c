/* succession.c - the authority's own statements, made and kept. */
#include "succession.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "chain.h"
#include "fault.h"
#include "files.h"
#include "home_files.h"
#include "moment.h"
#include "stamp.h"
#include "text.h"

static enum error need_authority(const struct home *home, struct failure *failure) {
    if (home->kind == HOME_AUTHORITY) return E_OK;
    enum error error = fail(failure, E_NOT_ALLOWED, "%s is a post's home", home->path);
    fail_hint(failure, "use the authority's home: pouch --home AUTHORITY authority ...");
    return error;
}

static enum error dossier_of(const char *name, const struct buf *statements, size_t count, struct buf *out) {
    dossier_encode(&(struct dossier){.post = bytes_text(name), .statements = list_of(statements, count)}, out);
    return buf_error(out);
}

/* One statement, signed, as the bytes of its file. */
struct saying {
    const char *name; /* the dossier's: party or post */
    enum leaf_kind kind;
    enum label label;
    const struct object *object;
    const void *value;
    const struct secret *key;
};

static enum error say(const struct saying *saying, struct buf *statements, struct buf *file) {
    TRY(chain_sign(saying->kind, saying->label, saying->object, saying->value, saying->key, statements, NULL));
    return dossier_of(saying->name, statements, 1, file);
}

static enum error say_to(const struct saying *saying, const char *out, struct failure *failure) {
    AUTO_BUF statements = {0}, file = {0};
    enum error error = say(saying, &statements, &file);
    return error == E_OK ? files_write(out, 0644, buf_bytes(&file), failure) : fail(failure, error, "%s", saying->name);
}

static enum error say_succession(const struct succession *succession, const char *party, const struct secret *key,
                                 struct buf *statements, struct buf *file) {
    return say(&(struct saying){party, LEAF_SUCCESSION, LABEL_SUCCESSION, &succession_object, succession, key},
               statements, file);
}

/* ---- who this home is ---- */

struct self {
    char identity[HOME_PATH_SIZE], pending[HOME_PATH_SIZE], keys[HOME_PATH_SIZE], next[HOME_PATH_SIZE];
    struct buf bytes;
    struct chain chain;
};

static void self_free(struct self *self) { buf_free(&self->bytes); }
#define AUTO_SELF __attribute__((cleanup(self_free))) struct self

static enum error self_read(const struct home *home, struct self *ret, struct failure *failure) {
    struct dossier dossier;
    TRY(need_authority(home, failure));
    TRY(files_join(home->path, "identity", ret->identity, sizeof ret->identity, failure));
    TRY(files_join(home->path, "succession", ret->pending, sizeof ret->pending, failure));
    TRY(files_join(home->path, "keys", ret->keys, sizeof ret->keys, failure));
    TRY(files_join(home->path, "keys.next", ret->next, sizeof ret->next, failure));
    TRY(files_read(ret->identity, HOME_FILE_MAX, &ret->bytes, failure));
    enum error error = dossier_decode(buf_bytes(&ret->bytes), &dossier);
    if (error == E_OK) error = chain_read(&dossier, &ret->chain);
    return error == E_OK ? E_OK : fail(failure, E_CORRUPT, "%s: %s", ret->identity, error_text(error));
}

static enum error drop(const char *path, struct failure *failure) {
    return unlink(path) == 0 || errno == ENOENT ? E_OK : files_failure(failure, path);
}

/* ---- renewing ---- */

/* The last succession of the identity, as a file. */
static enum error last_file(const struct home *home, const struct chain *chain, struct buf *file) {
    AUTO_BUF statements = {0};
    if (chain->succession_count == 0) return E_UNKNOWN_REQUEST;
    TRY(chain_append(LEAF_SUCCESSION, chain->succession_stamped[chain->succession_count - 1], &statements));
    return dossier_of(home->post, &statements, 1, file);
}

/* One that was made and not given out yet: its file says the identity's last word. One that was begun and not made is
 * forgotten: nobody has seen it. */
static enum error find_pending(const struct home *home, const struct self *self, struct buf *file, bool *ret,
                               struct failure *failure) {
    AUTO_BUF pending = {0};
    *ret = false;
    if (!files_exists(self->pending)) return E_OK;
    TRY(files_read(self->pending, HOME_FILE_MAX, &pending, failure));
    enum error error = last_file(home, &self->chain, file);
    if (error != E_OK && error != E_UNKNOWN_REQUEST) return fail(failure, error, "%s", self->pending);
    *ret = error == E_OK && bytes_equal(buf_bytes(file), buf_bytes(&pending));
    if (!*ret) buf_clear(file);
    return E_OK;
}

/* The keys after the succession: the ring owns copies. */
static enum error next_ring(const struct home *home, struct keystore *ret, uint8_t ret_next[static HASH_SIZE]) {
    uint8_t public[KEY_SIZE];
    TRY(secret_copy(home->keys.authority_next.p, SIGN_SECRET_SIZE, &ret->authority));
    TRY(secret_new(SIGN_SECRET_SIZE, &ret->authority_next));
    crypto_sign_keypair(public, ret->authority_next.p);
    label_digest(LABEL_NEXT_KEY, bytes_of(public, sizeof public), ret_next);
    return E_OK;
}

static enum error identity_with(const struct home *home, const struct chain *chain, const struct buf *statement,
                                struct buf *out) {
    AUTO_BUF statements = {0};
    size_t count = 1;
    TRY(chain_append_origin(chain, &statements, &count));
    buf_add_bytes(&statements, buf_bytes(statement));
    TRY(buf_error(&statements));
    return dossier_of(home->post, &statements, count, out);
}

static enum error renew(struct home *home, const struct self *self, struct keystore *ring, const char *passphrase,
                        struct buf *file, struct failure *failure) {
    AUTO_BUF statement = {0}, identity = {0};
    struct succession succession = {
        .party = bytes_text(home->post), .action = SUCCESSION_RENEW, .created = moment_now(), .has_authority = true};
    succession.has_next = true;
    if (self->chain.succession_count == CHAIN_SUCCESSIONS_MAX)
        return fail(failure, E_OUT_OF_RANGE, "%s has had %d successions", home->post, CHAIN_SUCCESSIONS_MAX);
    enum error error = next_ring(home, ring, succession.next);
    if (error != E_OK) return fail(failure, error, "new keys");
    memcpy(succession.authority, ring->authority.p + KEY_SIZE, KEY_SIZE);
    memcpy(succession.signer, succession.authority, KEY_SIZE);
    error = say_succession(&succession, home->post, &ring->authority, &statement, file);
    if (error == E_OK) error = identity_with(home, &self->chain, &statement, &identity);
    if (error != E_OK) return fail(failure, error, "the succession");
    TRY(files_write(self->pending, 0600, buf_bytes(file), failure));
    TRY(drop(self->next, failure));
    TRY(keystore_create(self->next, ring, passphrase, failure));
    FAULT("succession.keys");
    TRY(files_write(self->identity, 0600, buf_bytes(&identity), failure));
    FAULT("succession.identity");
    return files_rename(self->next, self->keys, failure);
}

static enum error make_renewal(struct home *home, const struct self *self, const char *passphrase, struct buf *file,
                               struct failure *failure) {
    struct keystore ring = {0};
    if (!home->keys.authority_next.p) return fail(failure, E_CORRUPT, "%s has no next key", home->path);
    enum error error = renew(home, self, &ring, passphrase, file, failure);
    if (error != E_OK) {
        keystore_free(&ring);
        return error;
    }
    keystore_free(&home->keys);
    home->keys = ring;
    memcpy(home->authority, ring.authority.p + KEY_SIZE, KEY_SIZE);
    return E_OK;
}

enum error succession_renew(struct home *authority, const char *passphrase, bool again, const char *out,
                            struct failure *failure) {
    AUTO_SELF self = {0};
    AUTO_BUF file = {0};
    bool pending = false;
    TRY(self_read(authority, &self, failure));
    TRY(find_pending(authority, &self, &file, &pending, failure));
    if (!pending && again) {
        enum error error = last_file(authority, &self.chain, &file);
        if (error != E_OK) return fail(failure, error, "%s has had no succession", authority->post);
    } else if (!pending) {
        TRY(make_renewal(authority, &self, passphrase, &file, failure));
    }
    FAULT("succession.made");
    return files_write(out, 0644, buf_bytes(&file), failure);
}

enum error succession_delivered(const struct home *authority, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(files_join(authority->path, "succession", path, sizeof path, failure));
    return drop(path, failure);
}

/* ---- after a loss ---- */

static enum error own_party(const struct home *home, const struct outsider *outsider,
                            const struct directory_party **ret, struct failure *failure) {
    *ret = directory_party(outsider->directory, bytes_text(home->post));
    if (!*ret) return fail(failure, E_UNKNOWN_PARTY, "%s", home->post);
    return (*ret)->admitted ? E_OK : fail(failure, E_NOT_ADMITTED, "%s", home->post);
}

/* The identity of a home whose key was named by a succession: the party's origin, and it. statement NULL: it stands in the
 * directory already. */
static enum error adopt(const struct home *home, const struct self *self, const struct outsider *outsider,
                        const struct buf *statement, struct failure *failure) {
    AUTO_BUF statements = {0}, identity = {0};
    struct dossier dossier;
    struct chain chain;
    size_t count = 0;
    enum error error = outsider_origin(outsider, home->post, &statements, &count);
    if (error == E_OK && statement) {
        buf_add_bytes(&statements, buf_bytes(statement));
        error = buf_error(&statements);
        count++;
    }
    if (error == E_OK) error = dossier_of(home->post, &statements, count, &identity);
    /* What would not be read again must not become the identity. */
    if (error == E_OK) error = dossier_decode(buf_bytes(&identity), &dossier);
    if (error == E_OK) error = chain_read(&dossier, &chain);
    if (error == E_OK) error = chain_check_charter(&chain);
    if (error == E_OK && memcmp(chain_authority(&chain), home->authority, KEY_SIZE) != 0) error = E_CORRUPT;
    if (error != E_OK) return fail(failure, error, "the successions of %s", home->post);
    return files_write(self->identity, 0600, buf_bytes(&identity), failure);
}

/* The succession that makes this home's key the party's, all but its signer. */
static void towards(const struct home *home, enum succession_action action, struct succession *ret) {
    *ret = (struct succession){.party = bytes_text(home->post),
                               .action = action,
                               .created = moment_now(),
                               .has_authority = true,
                               .has_next = true};
    memcpy(ret->authority, home->keys.authority.p + KEY_SIZE, KEY_SIZE);
    label_digest(LABEL_NEXT_KEY, bytes_of(home->keys.authority_next.p + KEY_SIZE, KEY_SIZE), ret->next);
}

static enum error conclude(const struct home *home, const struct self *self, const struct outsider *outsider,
                           const struct succession *succession, const struct secret *key, const char *out,
                           struct failure *failure) {
    AUTO_BUF statement = {0}, file = {0};
    enum error error = say_succession(succession, home->post, key, &statement, &file);
    if (error != E_OK) return fail(failure, error, "the succession");
    TRY(adopt(home, self, outsider, &statement, failure));
    return files_write(out, 0644, buf_bytes(&file), failure);
}

static enum error recovery_open(const char *path, const char *passphrase, struct keystore *ret,
                                struct failure *failure) {
    TRY(keystore_open(path, passphrase, ret, failure));
    return ret->recovery.p ? E_OK : fail(failure, E_BAD_KEY, "%s holds no recovery key", path);
}

/* The recovery key that this home made for itself; used up is the old one. A home that has recovered before has put it into its
 * succession, one that has not into its charter. */
static void own_recovery(const struct self *self, struct succession *succession) {
    const struct chain *chain = &self->chain;
    struct bytes payload;
    struct succession last;
    if (chain->succession_count == 0) {
        succession->has_recovery = chain->charter.has_recovery;
        memcpy(succession->recovery, chain->charter.recovery, KEY_SIZE);
    } else if (stamp_peek(chain->succession_stamped[chain->succession_count - 1], &payload) == E_OK &&
               succession_decode(payload, &last) == E_OK && last.has_recovery) {
        succession->has_recovery = true;
        memcpy(succession->recovery, last.recovery, KEY_SIZE);
    }
}

static enum error recover(struct home *home, const struct self *self, const struct outsider *outsider,
                          const struct directory_party *party, const struct secret *key, const char *out,
                          struct failure *failure) {
    struct succession succession;
    if (!party->has_recovery || memcmp(key->p + KEY_SIZE, party->recovery, KEY_SIZE) != 0) {
        enum error error = fail(failure, E_NOT_ALLOWED, "this is not the recovery key of %s", home->post);
        fail_hint(failure, "without it the registrars can give notice of a new key: pouchctl takeover");
        return error;
    }
    towards(home, SUCCESSION_RECOVER, &succession);
    memcpy(succession.signer, key->p + KEY_SIZE, KEY_SIZE);
    own_recovery(self, &succession);
    return conclude(home, self, outsider, &succession, key, out, failure);
}

enum error succession_recover(struct home *authority, const struct outsider *outsider, const char *recovery_key,
                              const char *passphrase, const char *out, bool *ret_done, struct failure *failure) {
    AUTO_SELF self = {0};
    const struct directory_party *party;
    struct keystore apart = {0};
    TRY(self_read(authority, &self, failure));
    TRY(own_party(authority, outsider, &party, failure));
    *ret_done = memcmp(party->authority, authority->authority, KEY_SIZE) == 0;
    if (*ret_done) return adopt(authority, &self, outsider, NULL, failure);
    enum error error = recovery_open(recovery_key, passphrase, &apart, failure);
    if (error == E_OK) error = recover(authority, &self, outsider, party, &apart.recovery, out, failure);
    keystore_free(&apart);
    return error;
}

enum error succession_take(struct home *authority, const struct outsider *outsider, const char *out, bool *ret_done,
                           struct failure *failure) {
    AUTO_SELF self = {0};
    const struct directory_party *party;
    struct succession succession;
    char date[MOMENT_SIZE];
    TRY(self_read(authority, &self, failure));
    TRY(own_party(authority, outsider, &party, failure));
    *ret_done = memcmp(party->authority, authority->authority, KEY_SIZE) == 0;
    if (*ret_done) return adopt(authority, &self, outsider, NULL, failure);
    if (!party->notice.stands || memcmp(party->notice.authority, authority->authority, KEY_SIZE) != 0)
        return fail(failure, E_NOT_ALLOWED, "no notice of the registrars names the key of this home");
    struct instant due = {party->notice.since.ms + NOTICE_MS};
    if (outsider->now.ms < due.ms)
        return fail(failure, E_NOTICE_RUNNING, "%s, from %s on", authority->post, moment_text(due, date));
    towards(authority, SUCCESSION_TAKE, &succession);
    memcpy(succession.signer, succession.authority, KEY_SIZE);
    succession.has_notice = true;
    memcpy(succession.notice, party->notice.hash, HASH_SIZE);
    return conclude(authority, &self, outsider, &succession, &authority->keys.authority, out, failure);
}

enum error succession_contest(struct home *authority, const struct outsider *outsider, const char *recovery_key,
                              const char *passphrase, const char *out, struct failure *failure) {
    const struct directory_party *party;
    struct keystore apart = {0};
    TRY(need_authority(authority, failure));
    TRY(own_party(authority, outsider, &party, failure));
    if (!party->notice.stands) return fail(failure, E_CONFLICT, "no notice stands against %s", authority->post);
    if (recovery_key) TRY(recovery_open(recovery_key, passphrase, &apart, failure));
    const struct secret *key = recovery_key ? &apart.recovery : &authority->keys.authority;
    struct succession succession = {
        .party = bytes_text(authority->post), .action = SUCCESSION_OBJECT, .created = moment_now(), .has_notice = true};
    memcpy(succession.signer, key->p + KEY_SIZE, KEY_SIZE);
    memcpy(succession.notice, party->notice.hash, HASH_SIZE);
    enum error error = say_to(
        &(struct saying){authority->post, LEAF_SUCCESSION, LABEL_SUCCESSION, &succession_object, &succession, key}, out,
        failure);
    keystore_free(&apart);
    return error;
}

/* ---- leaving, and dividing posts ---- */

enum error succession_depart(struct home *authority, const char *reason, const char *out, struct failure *failure) {
    TRY(need_authority(authority, failure));
    if (reason && strlen(reason) > SUBJECT_MAX)
        return fail(failure, E_TOO_LARGE, "the reason has %zu bytes; at most %d", strlen(reason), SUBJECT_MAX);
    struct departure departure = {.party = bytes_text(authority->post),
                                  .created = moment_now(),
                                  .has_reason = reason != NULL,
                                  .reason = bytes_text(reason)};
    memcpy(departure.authority, authority->authority, KEY_SIZE);
    return say_to(&(struct saying){authority->post, LEAF_DEPARTURE, LABEL_DEPARTURE, &departure_object, &departure,
                                   &authority->keys.authority},
                  out, failure);
}

static enum error check_own_post(const struct home *authority, const char *post, struct failure *failure) {
    if (!text_is_post(bytes_text(post))) return fail(failure, E_USAGE, "%.80s is no name of a post", post);
    if (!bytes_are(text_party_of(bytes_text(post)), authority->post))
        return fail(failure, E_NOT_ALLOWED, "%.80s is not a post of %s", post, authority->post);
    return E_OK;
}

enum error succession_split(struct home *authority, const char *post, const char *const *into, size_t count,
                            const char *out, struct failure *failure) {
    AUTO_BUF names = {0};
    TRY(need_authority(authority, failure));
    TRY(check_own_post(authority, post, failure));
    if (count > SPLIT_MAX) return fail(failure, E_USAGE, "a post is split into at most %d", SPLIT_MAX);
    for (size_t i = 0; i < count; i++) {
        TRY(check_own_post(authority, into[i], failure));
        cbor_put_bytes(&names, bytes_text(into[i]));
    }
    if (names.failed) return fail(failure, E_NO_MEMORY, "%s", post);
    struct split split = {.post = bytes_text(post),
                          .action = count > 0 ? SPLIT_INTO : SPLIT_BACK,
                          .into = list_of(&names, count),
                          .created = moment_now()};
    memcpy(split.authority, authority->authority, KEY_SIZE);
    return say_to(&(struct saying){post, LEAF_SPLIT, LABEL_SPLIT, &split_object, &split, &authority->keys.authority},
                  out, failure);
}
