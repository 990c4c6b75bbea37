/* home.h - one point of contact's folder (--home): its keys, its local store, its settings, one user at a time.
 *
 *   keys         sealed secrets (keystore.h)
 *   post.key     the post key, sealed apart: take it away
 *   identity     CBOR dossier: who this home is. Of an authority its charter; of a post its request until it has joined,
 *                its certificates after. Written last by init: a folder without it is no home
 *   relay.card   the card joined
 *   store.sqlite local archive, sealed at rest (archive.h)
 *   lock         held (flock) while a command works; a second process waits up to `wait_s`, then E_LOCKED
 *   unfinished   there while init works: an init that was killed is repeated, and may replace what it left
 *
 * Public files that init makes are written where the user stands:
 *   PARTY.charter           dossier {post = party, statements [charter]}
 *   PARTY.nomination        a sheet to read and sign, with the charter's fingerprint
 *   PARTY-POST.request      dossier {post, statements [device], post_key, revoker}
 *   PARTY-POST.revocation   dossier {post, statements [revocation of the whole post]}: whoever holds it can only revoke
 * A certificate is a dossier {post, statements [charter, post, device, countersign]}.
 * The fingerprint of a charter is text_fingerprint of directory_charter_digest; the sheet bears it. */
#ifndef HOME_H
#define HOME_H

#include "archive.h"
#include "card.h"
#include "directory.h"
#include "keystore.h"

enum home_kind { HOME_AUTHORITY = 1, HOME_POST = 2 };

struct home {
    char path[4096];
    enum home_kind kind;
    char post[POST_MAX + 1]; /* `de/technical`; of an authority: the party, `de` */
    uint8_t device[KEY_SIZE], transport[KEY_SIZE], authority[KEY_SIZE];
    struct keystore keys;
    struct archive *archive;     /* post homes only */
    struct directory *directory; /* replayed from the archive; post homes that have joined only, else NULL */
    uint8_t post_key[KEY_SIZE];  /* public; zeros in an authority home */
    struct instant certificate_ends;
    bool joined;
    struct card card;
    int lock_fd;
};

struct home_options {
    const char *path;       /* NULL: $POUCH_HOME, else $XDG_DATA_HOME/pouch, else ~/.local/share/pouch */
    const char *passphrase; /* NULL: none given */
    unsigned wait_s;        /* for the lock; 0: 30 */
};

/* The folder that options and environment name. */
CHECKED enum error home_path(const char *path, char *ret, size_t size, struct failure *failure);
/* E_NO_HOME, E_LOCKED, E_BAD_PASSPHRASE (also when one is needed and none was given), E_CORRUPT, E_IO. */
CHECKED enum error home_open(const struct home_options *options, struct home *ret, struct failure *failure);
void home_close(struct home *home);
#define AUTO_HOME __attribute__((cleanup(home_close))) struct home

/* A certificate (the bytes of its file) was made for this home by one authority whose charter it holds, and its four
 * statements fit each other and this home's keys: E_FOREIGN_CERTIFICATE, decoding errors. Views in *ret borrow `file`. */
CHECKED enum error home_check_certificate(const struct home *home, struct bytes file, struct dossier *ret,
                                          struct failure *failure);
/* join's last step, once the relay has enrolled the device: remembers card and certificate. Repeatable. */
CHECKED enum error home_join(struct home *home, const struct card *card, struct bytes certificate,
                             struct failure *failure);

/* Lets another process in for a while (`wait` does, between its syncs), and takes the lock back. */
void home_unlock(struct home *home);
CHECKED enum error home_relock(struct home *home, struct failure *failure);

/* authority init: keys, PARTY.charter and PARTY.nomination (a sheet with the fingerprint) in `outdir`. */
struct home_new_authority {
    const char *party, *name, *outdir;
    enum party_kind kind;
};
CHECKED enum error home_init_authority(const struct home_options *options, const struct home_new_authority *what,
                                       struct failure *failure);
/* init POST: device keys, post key file, PARTY-POST.request and PARTY-POST.revocation in `outdir`. */
struct home_new_post {
    const char *post, *outdir;
};
CHECKED enum error home_init_post(const struct home_options *options, const struct home_new_post *what,
                                  struct failure *failure);
/* functions 0: by the desk's name - diplomatic, policy, technical -, all three for any other.
 * authority certify FILE: reads a request, signs the post and countersigns the device; writes the certificate (CBOR dossier:
 * charter, post, device, countersignature). */
CHECKED enum error home_certify(struct home *authority, const char *request, unsigned functions, const char *out,
                                char ret_post[static POST_MAX + 1], struct failure *failure);
/* authority revoke: makes the stamped revocation of a post, or of a device (its key), as a dossier file. */
CHECKED enum error home_revoke(struct home *authority, const char *post, const uint8_t *device, unsigned reason,
                               const char *out, struct failure *failure);

#endif
