/* loss.h - the relay has lost what came after some point, the registrars have said so, and it goes on from there under new keys
 * (PROTOCOL.md section 28). This home goes back with it, and offers again what it has.
 *
 * What is to be done stands in the archive, so that each step goes on after a crash:
 *   1. loss_greet       the mirror ends where the relay's log does; the leaves behind it are set aside (table LOST)
 *   2. loss_take_leaf   the registrars' statement enters the mirror, and with it what the old keys signed has no use any more
 *   3. loss_settle      legs go back behind the entries that are lost; what this device has said of them, and requests that
 *                       it sent and that are gone, lie in the outbox again; the feed is read anew
 *   4. loss_offer       the leaves set aside are offered to the relay
 * Receipts are verified under the keys that the relay had when it made them: loss_card. */
#ifndef LOSS_H
#define LOSS_H

#include "evidence.h"
#include "home.h"
#include "link.h"

/* The relay shows a declared loss that this home has not followed yet. The statement is checked; *ret: there is one, and
 * loss_follow is to be called. E_DIRECTORY_FORKED: it goes back to a log that this home does not know. E_STALE_STATEMENT:
 * it is not younger than a loss that was followed. Of several losses that this home has slept through the first comes first. */
CHECKED enum error loss_greet(struct home *home, struct relay *relay, bool *ret, struct failure *failure);
/* Steps 2 to 4, by way of a mirror_update. Afterwards the connection is made anew: this device may have been unknown. */
CHECKED enum error loss_follow(struct home *home, struct relay *relay, struct failure *failure);

/* In the mirror's transaction, of every leaf. */
CHECKED enum error loss_take_leaf(struct home *home, struct bytes leaf);

/* evidence_open under the keys that the relay had when it made this receipt; and the card with those keys. */
CHECKED enum error loss_open(const struct home *home, struct bytes receipt, struct evidence *ret);
/* The relay's statement key at that time. */
void loss_key(const struct home *home, const struct evidence *evidence, uint8_t ret[static KEY_SIZE]);
void loss_card(const struct home *home, struct bytes receipt, struct card *ret);
/* A statement about a request that the relay does not know waits for its sender to offer it again. */
CHECKED enum error loss_waits(struct home *home, bool *ret);

#endif
