/* header.h - the request's header and the tree of its legs.
 *
 * The header digest, BLAKE2b-256 over label and payload (never the signature), is the request's identity; its first 16
 * bytes are the id people see. The legs are leaves of an RFC 6962 tree of fixed depth LEGS_DEPTH (size LEGS_MAX): each
 * stands at a random position, and every subtree without a leg is one random-looking hash
 *     pad(level, index) = BLAKE2b-256(key = seed, label "pouch/0 leg padding" || 0x00 || level (1 byte) || index (4 bytes, BE))
 * where level counts from the leaves (0) upwards. So a path tells neither how many legs there are nor which, and a root
 * over one leg costs ten hashes, not a thousand. The relay is given all places and the seed and recomputes the root; a
 * recipient is given its own place and its path, and checks it as plain RFC 6962 inclusion at (position, LEGS_MAX). */
#ifndef HEADER_H
#define HEADER_H

#include "leg.h"
#include "objects.h"
#include "stamp.h"

void header_digest(struct bytes payload, uint8_t ret[static HASH_SIZE]);

/* What one header may say, beyond field bounds: at least one part; a reply has a body and no offer; other requests have
 * an offer; keep at least KEEP_MIN_S outside exercises; post names well-formed. E_MALFORMED, E_BAD_KEEP, E_BAD_TEXT. */
CHECKED enum error header_check(const struct header *header);
enum leg_kind header_leg_kind(const struct header *header);

/* Decodes, verifies the signature under header.device, checks. Whether that device may speak for `from` is the
 * directory's to say. ret_payload may be NULL. */
CHECKED enum error header_open(struct bytes stamped, struct header *ret_header, uint8_t ret_digest[static HASH_SIZE]);

struct legs_leaf {
    uint8_t id[HASH_SIZE]; /* leaf hash of the opening */
    uint32_t position;     /* 0..LEGS_MAX-1, all different */
};

/* The leaves of the places, in their order; ret has room for places.count. */
void legs_leaves(struct list places, struct legs_leaf *ret);
/* The root over 1..LEGS_MAX leaves, given in rising position: E_MALFORMED when out of order, repeated or none. */
CHECKED enum error legs_root(const struct legs_leaf *leaves, size_t count, const uint8_t seed[static HASH_SIZE],
                             uint8_t ret[static HASH_SIZE]);
/* The path of leaves[which]: LEGS_DEPTH * 32 bytes. */
CHECKED enum error legs_path(const struct legs_leaf *leaves, size_t count, const uint8_t seed[static HASH_SIZE],
                             size_t which, uint8_t ret[static LEGS_DEPTH * HASH_SIZE]);
/* The opening at this place, along this path (LEGS_DEPTH hashes), belongs to the header's root. */
CHECKED enum error legs_verify(const struct place *place, struct list path, const uint8_t root[static HASH_SIZE],
                               struct opening *ret_opening, uint8_t ret_leg[static HASH_SIZE]);

#endif
