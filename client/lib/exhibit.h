/* exhibit.h - evidence to be shown to others: what this home holds of a request, put together as a bundle (bundle.h).
 *
 * From the archive: header, legs, receipts, chunks. From the mirror: every entry of the directory about the parties
 * concerned, and of the signed heads that cover what is shown the one that most witnesses have cosigned. From the
 * relay, if there is one: a later head of the evidence log, and how the log has grown to it from every receipt's. */
#ifndef EXHIBIT_H
#define EXHIBIT_H

#include "bundle.h"
#include "libpouch.h"

struct exhibit_options {
    const char *to;          /* only the leg that was sent to this post; NULL: all legs */
    enum part_number opened; /* one part whose key and chunks go with it; 0: none */
};

/* Appends the file's bytes, verified. `relay` may be NULL; what it then lacks, and what the relay would not give, is
 * only the later head: *ret_later tells. E_UNKNOWN_POST (no leg was sent to it), E_NO_BODY, E_NOT_FOR_US (the part's
 * key is not here), E_NOT_COMPLETE, E_ERASED (its chunks are not here, and not at the relay), E_NOT_MIRRORED (no
 * signed head covers it yet), E_TOO_LARGE; what does not hold is named in `failure`. */
CHECKED enum error client_exhibit(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                                  const struct exhibit_options *options, struct buf *out, bool *ret_later,
                                  struct failure *failure);

#endif
