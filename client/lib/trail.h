/* trail.h - the evidence of one leg: receipts are verified, put in their place, and move the leg. What does not fit is
 * refused with an error and changes nothing. */
#ifndef TRAIL_H
#define TRAIL_H

#include "evidence.h"
#include "home.h"
#include "kept.h"

enum trail_outcome {
    TRAIL_STEP,  /* the next entry: the leg has moved */
    TRAIL_KNOWN, /* an entry that is here already */
    TRAIL_EARLY, /* an entry further on: the feed will bring it in its turn; not kept */
    TRAIL_NOTE,  /* a device receipt: kept, moves nothing */
};

/* The receipt must speak of this leg of this request; its speaker must have the right to, and its entry a place in
 * the evidence log (E_EVIDENCE_FORKED: in another one than this home is shown). A receipt that is refused is for
 * proofs_receipt, once what was written with it has been rolled back. An accepted leg with a body, sent to this
 * post, becomes a duty (to fetch the body and say so). E_BAD_PROOF: it contradicts an entry that is here, or does
 * not continue it. */
CHECKED enum error trail_apply(struct home *home, const uint8_t digest[static HASH_SIZE],
                               const struct kept_request *request, struct kept_leg *leg, struct bytes receipt,
                               enum trail_outcome *ret);

/* The relay's signed words that this leg (NULL: the whole request) is refused for this reason. */
CHECKED enum error trail_check_refusal(const struct home *home, const uint8_t digest[static HASH_SIZE],
                                       const uint8_t *leg, enum error reason, struct bytes receipt);

/* What a device of this post has still to say about a leg (table DUTY). */
CHECKED enum error trail_duty_add(struct home *home, const uint8_t digest[static HASH_SIZE],
                                  const uint8_t leg[static HASH_SIZE], enum leg_event event);
CHECKED enum error trail_duty_done(struct home *home, const uint8_t digest[static HASH_SIZE],
                                   const uint8_t leg[static HASH_SIZE], enum leg_event event);

#endif
