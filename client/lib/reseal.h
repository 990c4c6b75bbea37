/* reseal.h - new wrap sets for legs that the relay has: for requests that this post has sent and that no device of the
 * recipient can open (RESEALED), and for requests that it passes on to another post of its party (FORWARDED).
 *
 * Both are duties (table DUTY, keptseal) until their entry is here. A wrap set is made from the content keys that are in
 * the archive, put into the outbox together with its statement, and sent as it is until it is answered. It is made anew
 * where the recipient's devices have changed meanwhile; where a sister was first, hers stands. Without content keys it is
 * left to a sister; while the post has no device with day keys, it waits. */
#ifndef RESEAL_H
#define RESEAL_H

#include "kept.h"
#include "link.h"

/* Makes and sends what is due. Errors of the link, the disk and this device's standing. */
CHECKED enum error reseal_run(struct home *home, struct relay *relay, struct failure *failure);

/* What the relay said to a statement with a wrap set, in the transaction that takes it out of the outbox. E_OK: its entry
 * is applied. *ret_drop: the bytes are of no more use, whatever the error says; *ret_quiet: nobody need be told. */
CHECKED enum error reseal_answered(struct home *home, const struct outgoing *outgoing, enum error said, bool *ret_drop,
                                   bool *ret_quiet);

#endif
