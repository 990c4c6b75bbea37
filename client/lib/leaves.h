/* leaves.h - hashes of a log's leaves, for roots at earlier sizes and for proofs: of this home's mirror, or of the
 * log that a relay shows now. */
#ifndef LEAVES_H
#define LEAVES_H

#include "home.h"
#include "link.h"

/* All that the archive holds (also what the current transaction has written), in order; HASH_SIZE bytes each. */
CHECKED enum error leaves_of_mirror(struct archive *archive, struct buf *ret);
/* The first `size` leaves as the relay gives them now, as items of a list. Nothing is believed. E_TOO_LARGE. */
CHECKED enum error leaves_from_relay(struct relay *relay, uint64_t size, struct buf *ret_items, size_t *ret_count);
/* Their hashes. Nothing is believed: their root decides. */
CHECKED enum error leaves_of_relay(struct relay *relay, uint64_t size, struct buf *ret, struct failure *failure);
/* The same of either log. E_TOO_LARGE. */
CHECKED enum error leaves_of_log(struct relay *relay, enum relay_log log, uint64_t size, struct buf *ret,
                                 struct failure *failure);
/* The next of them from `from` on, as many as the relay gives at once, appended: at most `size` in all. E_WITHHELD:
 * none. */
CHECKED enum error leaves_some(struct relay *relay, enum relay_log log, uint64_t from, uint64_t size, struct buf *ret,
                               struct failure *failure);
/* The root over the first `size`; false when there are not that many. */
bool leaves_root(const struct buf *hashes, uint64_t size, uint8_t ret[static HASH_SIZE]);

#endif
