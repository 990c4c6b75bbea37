/* gossip.h - what travels inside the seal, where no relay can filter it, and tells two members whether the relay
 * shows them the same: the sender's newest head of the directory, and the last entry of a leg that it has seen. */
#ifndef GOSSIP_H
#define GOSSIP_H

#include "heads.h"

/* For an offer or a manifest: the newest head kept, with the log's signature alone. Appends nothing when there is
 * none, or when it is too long. */
CHECKED enum error gossip_head(struct home *home, struct buf *ret);

/* A head that came from `from`. One that contradicts the mirror is fraud, with a proof. One of more entries than the
 * mirror waits for the mirror to catch up; what does not hold is an alarm. Errors are this machine's own. */
CHECKED enum error gossip_hear(struct home *home, struct bytes from, struct bytes note);
/* After the mirror has grown: the heads that waited for it. */
CHECKED enum error gossip_settle(struct home *home);

/* The other side's last entry of a leg. One that is not here may still be on its way. */
CHECKED enum error gossip_seen(struct home *home, struct bytes from, const uint8_t leg[static HASH_SIZE],
                               const uint8_t seen[static HASH_SIZE]);

/* At the end of a sync, once all was fetched: heads and entries that others were shown and this home was not. relay:
 * asked for the legs where something is missing, whether it contradicts itself there; may be NULL. */
CHECKED enum error gossip_end(struct home *home, struct relay *relay);

#endif
