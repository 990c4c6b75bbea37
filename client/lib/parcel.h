/* parcel.h - what the devices of one post give each other, through boxes at the relay: content keys of requests that came
 * before a sister did, secrets shared with other parties, the post's contact card.
 *
 * A parcel is sealed to one sister: HPKE base mode to her newest prekey, info = label PARCEL_INFO, 0x00, CBOR `parcelinfo`,
 * aad empty, plaintext = CBOR `parcel`; the `sealedparcel` is signed by the giver (label PARCEL) and lies in her box, whose
 * id is the label digest (BOX) of her device key. Only live deciders and readers of the post give, and only they get.
 *
 * What is to be given waits in the archive (table PARCEL) until the relay has it: a sister without day keys, a full box or a
 * broken link delay it, no more. Given twice, it changes nothing. */
#ifndef PARCEL_H
#define PARCEL_H

#include "kept.h"
#include "link.h"

/* Encoded items, as list_of makes them; card.p NULL: none. */
struct parcel_contents {
    struct list pairs, keys; /* pairsecret, handedkey; at most PARCEL_ITEMS_MAX each */
    struct bytes card;
};

/* Keeps it for every sister that can read, in a transaction of its own or the caller's; with a relay it is also sent now,
 * as far as it can be: what cannot goes with the next sync. Errors are those of the local store alone. */
CHECKED enum error parcel_give_sisters(struct home *home, struct relay *relay, const struct parcel_contents *contents,
                                       struct failure *failure);
/* A sister that was not linked from here (the authority certified her, say) gets what a new sister needs, once. Those that were
 * there when this device came know it better themselves. */
CHECKED enum error parcel_welcome(struct home *home, struct instant time, struct failure *failure);
/* Sends what waits. A sister that is live no longer gets nothing more. Errors of the link and of the disk. */
CHECKED enum error parcel_send(struct home *home, struct relay *relay, struct failure *failure);
/* Fetches this device's own box; what does not hold becomes an alarm, and is dropped when it comes a second time. Errors of
 * the link and of the disk. */
CHECKED enum error parcel_receive(struct home *home, struct relay *relay, struct failure *failure);

/* Gives a sister whose directory entry is new what she needs, through her box: sealed to the stamped prekey with which she
 * asked, since the relay has none of hers yet, and never under the invitation's code alone. A bell gets nothing. Repeatable. */
CHECKED enum error parcel_greet(struct home *home, struct relay *relay, struct bytes prekey, struct failure *failure);
/* What parcel_greet puts there; nothing is appended for a bell. */
CHECKED enum error parcel_seal_for_new(struct home *home, struct bytes prekey, struct buf *ret_sealed);
/* All that a new sister needs, for the device of this key: the first parcel is appended to ret_parcel (CBOR `parcel`), the
 * rest, keys of older requests, is kept for her box. */
CHECKED enum error parcel_for_new(struct home *home, const uint8_t device[static KEY_SIZE], struct buf *ret_parcel);
/* One parcel (CBOR) for the sister whose prekey this is: the stamped sealedparcel is appended. */
CHECKED enum error parcel_seal(const struct home *home, const struct prekey *prekey,
                               const uint8_t id[static PREKEY_ID_SIZE], struct bytes parcel, struct buf *out);
/* The other way round. From a sister that is live now (E_NOT_ALLOWED, E_UNKNOWN_DEVICE), for this device (E_NOT_FOR_US), under
 * a prekey that is still here (E_PREKEY_GONE); what is inside names the same giver (E_MISMATCH). Views borrow from `plain`. */
CHECKED enum error parcel_open(struct home *home, struct bytes stamped, struct instant now, struct buf *plain,
                               struct parcel *ret);
/* Takes a parcel's contents in, in the caller's transaction. */
CHECKED enum error parcel_apply(struct home *home, const struct parcel *parcel);

/* A handed key that fits the header's commitments, for a request that this device cannot open by a wrap of its own. */
CHECKED enum error parcel_handed(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                                 const struct header *header, struct handedkey *ret, bool *ret_found);

#endif
