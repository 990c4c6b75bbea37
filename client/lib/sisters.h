/* sisters.h - the devices of one post, as each of them sees and governs the others. */
#ifndef SISTERS_H
#define SISTERS_H

#include "kept.h"
#include "link.h"

/* Statements that carry their own authority: to the relay, and back with the mirror. The relay's promise is kept. */
CHECKED enum error sisters_declare(struct home *home, struct relay *relay, struct list statements,
                                   struct failure *failure);

/* All devices of the own post in log order, whatever their standing: the nth, from 1; NULL after the last. */
const struct directory_device *sisters_nth(const struct home *home, size_t n);
/* By number, or a unique beginning of its key of at least four hex digits: E_UNKNOWN_DEVICE, E_AMBIGUOUS. */
CHECKED enum error sisters_find(const struct home *home, const char *typed, const struct directory_device **ret,
                                struct failure *failure);
/* Revokes a device of the own post, at once; this one, too. Revoked already: E_REVOKED. E_NOT_ALLOWED when this device is no
 * decider and not the one that is meant. */
CHECKED enum error sisters_revoke(struct home *home, struct relay *relay, const uint8_t device[static KEY_SIZE],
                                  unsigned reason, struct failure *failure);

#endif
