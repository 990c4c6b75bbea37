/* chain.h - the statements of a dossier that say who a home is: charter, the successions since, post, device,
 * countersignature - each at most once but successions - taken apart, and held against each other. Views borrow from the
 * dossier's bytes.
 *
 * Successions stand in their order and lead from the charter's authority key to the one that signs now. One that takes a key
 * after the registrars' notice can be checked here only for the new key's signature: the directory decides whether there was
 * a notice. */
#ifndef CHAIN_H
#define CHAIN_H

#include "directory.h"
#include "secret.h"

enum { CHAIN_SUCCESSIONS_MAX = 32 };

struct chain {
    struct bytes succession_stamped[CHAIN_SUCCESSIONS_MAX];
    size_t succession_count;
    uint8_t authorities[CHAIN_SUCCESSIONS_MAX + 1][KEY_SIZE]; /* the charter's, then each succession's */
    struct bytes charter_stamped, post_stamped, device_stamped, countersign_stamped; /* p == NULL: not there */
    struct charter charter;
    struct post post;
    struct device device;
    struct countersign countersign;
    uint8_t certificate[HASH_SIZE]; /* of the device's payload */
};

/* Decodes only. E_MALFORMED for any other kind of statement, an objection, or a second of one kind. */
CHECKED enum error chain_read(const struct dossier *dossier, struct chain *ret);

/* The authority key after all successions; of a chain that has a charter. */
const uint8_t *chain_authority(const struct chain *chain);

/* The charter is signed by the key in it; each succession by the key that may name the next. */
CHECKED enum error chain_check_charter(const struct chain *chain);
/* The device certificate is of this post, signed by this post key, with good keys and an allowed validity. */
CHECKED enum error chain_check_device(const struct chain *chain, struct bytes post,
                                      const uint8_t post_key[static KEY_SIZE]);
/* All four are there, verify, and fit: charter of the post's party, post signed by that authority, device by that post key,
 * countersigned by that authority. E_FOREIGN_CERTIFICATE when they are of different owners. */
CHECKED enum error chain_check(const struct chain *chain, struct bytes post);

/* Of a further device of a post: charter, post, device and countersignature are there and each holds under the key that it
 * names; the device's issuer is the post key, the authority or, renewed, the device; the countersignature is of this
 * certificate. Whether its signer may vouch, the directory says. */
CHECKED enum error chain_check_further(const struct chain *chain, struct bytes post);

/* Signs `value` under the label and appends it as a dirstatement of this kind; ret_hash (may be NULL): the payload's. */
CHECKED enum error chain_sign(enum leaf_kind kind, enum label label, const struct object *object, const void *value,
                              const struct secret *key, struct buf *statements, uint8_t *ret_hash);
/* Appends the charter and the successions, and counts them: what every certificate of the party begins with. */
CHECKED enum error chain_append_origin(const struct chain *chain, struct buf *statements, size_t *count);
/* A dirstatement around a stamped statement that exists already. */
CHECKED enum error chain_append(enum leaf_kind kind, struct bytes stamped, struct buf *statements);

#endif
