/* wraps.h - wrap sets for the legs of a request that the relay has not got yet, and for the sender's own post.
 *
 * They are made for exactly the devices that the mirrored directory names as readers at the relay's time, with the
 * prekeys that the relay hands out (each signed by its device), are signed together by one signature, and are kept in
 * the archive before they are sent; so a retry sends the same bytes. One that has waited for a day is made anew: the
 * secrets of day keys do not live for ever, and a leg that the relay has is known to it whatever wraps come again. */
#ifndef WRAPS_H
#define WRAPS_H

#include "kept.h"
#include "link.h"
#include "wrapping.h"

/* Makes what is missing. `held`: per leg of `legs`, leave it alone. A leg whose wrap set cannot be made now (a device
 * without a prekey) gets refused = E_STALE_DIRECTORY. Reloads *legs and *request. */
CHECKED enum error wraps_prepare(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                                 struct kept_request *request, struct kept_legs *legs, const bool *held,
                                 struct failure *failure);

/* One more wrap set for a leg that the relay has, from the content keys that are here. */
struct wraps_order {
    const uint8_t *digest;
    struct kept_request *request;
    struct kept_leg *leg;
    const struct kept_legs
        *legs;         /* all of the request: they decide on the shared secret (pairs.h); NULL: none is used */
    struct bytes post; /* for whose devices */
    uint32_t generation;
};
/* ret_stamped: signed by this device; ret_devices: for how many. E_STALE_DIRECTORY, E_PAIR_REQUIRED. */
CHECKED enum error wraps_seal(struct home *home, struct relay *relay, const struct wraps_order *order,
                              struct buf *ret_stamped, size_t *ret_devices, struct failure *failure);

/* The readers of a post with the prekeys of the relay's answer, those that have one; each verified. No shared secret. */
CHECKED enum error wraps_targets(struct home *home, struct relay *relay, struct bytes post,
                                 const struct prekeys *answer, struct wrapping_target *ret, size_t *ret_count);

/* May something be sealed to it now? E_OUT_OF_RANGE: its day has not begun; E_PREKEY_GONE: its secret should be destroyed. */
CHECKED enum error wraps_current(const struct prekey *prekey, struct instant now);

/* The key under which rows about a recipient post are filed (SEQUENCE, VOID). */
struct archive_key wraps_post_key(const struct archive *archive, struct bytes post, uint64_t number);

#endif
