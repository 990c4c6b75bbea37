/* heads.h - inside heads.c and cosigning.c: heads as they lie in the store. */
#ifndef HEADS_H
#define HEADS_H

#include "head.h"
#include "logs.h"

#define HEADS_NEWEST "" /* instead of a witness's name */

struct heads_stored {
    struct buf note;
    struct head head;
};
static inline void heads_stored_free(struct heads_stored *stored) { buf_free(&stored->note); }
#define AUTO_STORED __attribute__((cleanup(heads_stored_free))) struct heads_stored

/* E_UNKNOWN_REQUEST: there is none. Without its signatures, which were verified before it was put there. */
CHECKED enum error heads_peek(const struct book *book, enum relay_log log, const char *who, struct heads_stored *ret);
/* With the witnesses' words, and all signatures under the card's keys as they are now: else E_CORRUPT. */
CHECKED enum error heads_get(const struct book *book, enum relay_log log, const char *who, struct heads_stored *ret);
CHECKED enum error heads_put(const struct book *book, enum relay_log log, const char *who, uint64_t size,
                             struct bytes note);

#endif
