/* gaps.h - numbers that have not come (table GAP). Each device counts what it sends to a post (section 8 of
 * PROTOCOL.md), and says within the seal which numbers never will come. A number that is skipped may still be on its
 * way: the feed is read anew (KEPT_FEED_GAP), and only what is missing after several syncs and GAP_WAIT_MS is an
 * alarm, once: something was kept back or lost. It is no alarm any more when it comes, or is declared void, before. */
#ifndef GAPS_H
#define GAPS_H

#include "home.h"

enum { GAP_SYNCS = 3 };
#define GAP_WAIT_MS ((uint64_t)60 * 60 * 1000)

/* Heard of: the number came, with this leg, or was declared void (empty). */
CHECKED enum error gaps_hear(struct home *home, const uint8_t device[static KEY_SIZE], uint64_t number,
                             struct bytes leg);
/* This number came with something that could be opened, and the one before it that came was `highest`. */
CHECKED enum error gaps_look(struct home *home, const uint8_t device[static KEY_SIZE], struct bytes from,
                             uint64_t highest, uint64_t number);
/* At the end of a sync, once all was fetched. */
CHECKED enum error gaps_end(struct home *home);

#endif
