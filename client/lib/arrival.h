/* arrival.h - one request as the feed brings it, for this post (offered) or from it (sent): verified from the outside
 * in.
 *
 *   header's signature and sender -> leg's path and addressee -> receipt -> wrap set's signer -> own wrap ->
 * commitments
 *   -> offer's chunks and digest -> what the offer says inside, against the header */
#ifndef ARRIVAL_H
#define ARRIVAL_H

#include "kept.h"
#include "link.h"

/* Verifies and keeps it, in the caller's transaction. *ret_new: it was not here before. */
CHECKED enum error arrival_offered(struct home *home, struct relay *relay, const struct offered *offered, bool *ret_new,
                                   bool *ret_reply, struct failure *failure);
/* *ret_lack: E_OK, or E_MISSING_FIELD: it came without the wrap set that would open it, and is kept closed. */
CHECKED enum error arrival_sent(struct home *home, struct relay *relay, const struct sent *sent, bool *ret_new,
                                enum error *ret_lack, struct failure *failure);

#endif
