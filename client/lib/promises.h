/* promises.h - the relay's promises that statements stand in the directory (promise.h): kept until the mirror shows
 * that they were kept, or a head proves that they were not. */
#ifndef PROMISES_H
#define PROMISES_H

#include "heads.h"

/* Keeps a promise (its stamped bytes) in the home. E_BAD_SIGNATURE and the like: it is none of this relay's. */
CHECKED enum error promises_keep(struct home *home, struct bytes stamped);

/* The promise in the relay's answer (the object `done`) to statements that this home brought, if it gave one. */
CHECKED enum error promises_take(struct home *home, struct bytes done, struct failure *failure);

/* After the mirror was brought up to date: what is due is held against it. A broken promise is fraud: proof, alarm,
 * breach. */
CHECKED enum error promises_check(struct home *home);

#endif
