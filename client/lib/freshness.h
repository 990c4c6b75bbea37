/* freshness.h - may the mirrored directory be used for sending? At least as many of the card's witnesses as it asks
 * for must have cosigned a head of the mirror's full size, not longer ago than the card allows, by the relay's time. */
#ifndef FRESHNESS_H
#define FRESHNESS_H

#include "libpouch.h"

CHECKED enum error freshness_at(struct home *home, struct instant now, struct freshness_view *ret);

/* What a request of this header must wait for: E_NOT_WITNESSED or E_OK. Replies are bound to an exchange, not to the
 * directory, and immediate and flash go with a warning. */
CHECKED enum error freshness_gate(struct home *home, struct instant now, const struct header *header);

#endif
