/* chain.h - the statements of a dossier that say who a home is: charter, post, device, countersignature - each at most once -
 * taken apart, and held against each other. Views borrow from the dossier's bytes. */
#ifndef CHAIN_H
#define CHAIN_H

#include "directory.h"
#include "secret.h"

struct chain {
    struct bytes charter_stamped, post_stamped, device_stamped, countersign_stamped; /* p == NULL: not there */
    struct charter charter;
    struct post post;
    struct device device;
    struct countersign countersign;
    uint8_t certificate[HASH_SIZE]; /* of the device's payload */
};

/* Decodes only. E_MALFORMED for any other kind of statement or a second of one kind. */
CHECKED enum error chain_read(const struct dossier *dossier, struct chain *ret);

/* The charter is signed by the key in it. */
CHECKED enum error chain_check_charter(const struct chain *chain);
/* The device certificate is of this post, signed by this post key, with good keys and an allowed validity. */
CHECKED enum error chain_check_device(const struct chain *chain, struct bytes post,
                                      const uint8_t post_key[static KEY_SIZE]);
/* All four are there, verify, and fit: charter of the post's party, post signed by that authority, device by that post key,
 * countersigned by that authority. E_FOREIGN_CERTIFICATE when they are of different owners. */
CHECKED enum error chain_check(const struct chain *chain, struct bytes post);

/* Signs `value` under the label and appends it as a dirstatement of this kind; ret_hash (may be NULL): the payload's. */
CHECKED enum error chain_sign(enum leaf_kind kind, enum label label, const struct object *object, const void *value,
                              const struct secret *key, struct buf *statements, uint8_t *ret_hash);
/* A dirstatement around a stamped statement that exists already. */
CHECKED enum error chain_append(enum leaf_kind kind, struct bytes stamped, struct buf *statements);

#endif
