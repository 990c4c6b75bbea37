/* home.h - one point of contact's folder (--home): its keys, its local store, its settings, one user at a time.
 *
 *   keys         sealed secrets (keystore.h)
 *   post.key     the post key, sealed apart: take it away
 *   recovery.key an authority's recovery key, sealed apart: take it away
 *   keys.next    there while a succession is made (succession.h)
 *   certified-P  of an authority: the certificate that it made last for post P, for the post's further devices
 *   identity     CBOR dossier: who this home is. Of an authority its charter and its successions; of a post its request until it has joined,
 *                its certificates after. Written last by init: a folder without it is no home
 *   relay.card   the card joined
 *   store.sqlite local archive, sealed at rest (archive.h)
 *   lock         held (flock) while a command works; a second process waits up to `wait_s`, then E_LOCKED
 *   restored     there after a restore, until the home has caught up with its relay (recovery.h)
 *   unfinished   there while init works: an init that was killed is repeated, and may replace what it left
 *
 * Public files that init makes are written where the user stands:
 *   PARTY.charter           dossier {post = party, statements [charter]}
 *   PARTY.nomination        a sheet to read and sign, with the charter's fingerprint
 *   PARTY-POST.request      dossier {post, statements [device], post_key, revoker}
 *   PARTY-POST-device.request   of a further device: dossier {post, statements [device]}, the device being its own issuer;
 *                           whoever certifies it makes a device statement of the same keys and role
 *   PARTY-POST.revocation   dossier {post, statements [revocation of the whole post]}: whoever holds it can only revoke
 * A certificate is a dossier {post, statements [charter, successions..., post, device, countersign]}.
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
    uint8_t post_key[KEY_SIZE];  /* public; zeros in an authority home, and in a further device's until it has joined */
    enum device_role role;       /* as its certificate, or before that its request, says */
    bool further;                /* not the post's first device: others vouch for it, the directory decides */
    struct instant certificate_ends;
    bool joined;
    bool restored; /* from a backup, and not yet caught up with the relay (recovery.h) */
    struct card card;  /* as the directory has it now: the relay may have moved since */
    struct card given; /* as this home was given it, in relay.card */
    struct failure breach; /* of trust, by the relay, found since the last sync ended (proofs.h); error E_OK: none */
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
/* The directory's changes of the relay (directory.h) come into home->card. */
void home_follow_relay(struct home *home);

/* join's last step, once the relay has enrolled the device: remembers card and certificate. Repeatable. */
CHECKED enum error home_join(struct home *home, const struct card *card, struct bytes certificate,
                             struct failure *failure);

/* Before anything is signed or shown: may this device do what needs this role, and is it, by this home's directory, not revoked?
 * E_NOT_ALLOWED, E_REVOKED. */
CHECKED enum error home_check_role(const struct home *home, enum device_role least, struct failure *failure);

/* Lets another process in for a while (`wait` does, between its syncs), and takes the lock back. */
void home_unlock(struct home *home);
CHECKED enum error home_relock(struct home *home, struct failure *failure);

/* authority init: keys, the recovery key's file, PARTY.charter and PARTY.nomination (a sheet with the fingerprint) in `outdir`. */
struct home_new_authority {
    const char *party, *name, *outdir;
    enum party_kind kind;
    const char *recovery; /* the recovery key's file; NULL: `recovery.key` in the home */
    bool no_recovery;
};
CHECKED enum error home_init_authority(const struct home_options *options, const struct home_new_authority *what,
                                       struct failure *failure);
/* init POST: device keys, post key file, PARTY-POST.request and PARTY-POST.revocation in `outdir`. */
struct home_new_post {
    const char *post, *outdir;
    uint64_t validity_s; /* of the device's certificate, from now; 0: as long as is allowed */
};
CHECKED enum error home_init_post(const struct home_options *options, const struct home_new_post *what,
                                  struct failure *failure);
/* init POST --device, and link: keys of a further device of a post that exists. outdir NULL: no request file. */
struct home_new_device {
    const char *post, *outdir;
    enum device_role role;
    uint64_t validity_s;
};
CHECKED enum error home_init_device(const struct home_options *options, const struct home_new_device *what,
                                    struct failure *failure);
/* functions 0: by the desk's name - diplomatic, policy, technical -, all three for any other; of a further device as the post
 * has them. A further device's request is certified for a post that this home has certified (certified-P).
 * authority certify FILE: reads a request, signs the post and countersigns the device; writes the certificate (CBOR dossier:
 * charter, post, device, countersignature). */
CHECKED enum error home_certify(struct home *authority, const char *request, unsigned functions, const char *out,
                                char ret_post[static POST_MAX + 1], struct failure *failure);
/* authority revoke: makes the stamped revocation of a post, or of a device (its key), as a dossier file. */
CHECKED enum error home_revoke(struct home *authority, const char *post, const uint8_t *device, unsigned reason,
                               const char *out, struct failure *failure);

#endif
