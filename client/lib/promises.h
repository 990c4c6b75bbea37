/* promises.h - the relay's promises that statements stand in the directory (promise.h): kept until the mirror shows
 * that they were kept, or a head proves that they were not. */
#ifndef PROMISES_H
#define PROMISES_H

#include "heads.h"
#include "promise.h"

/* Keeps a promise (its stamped bytes) in the home. E_BAD_SIGNATURE and the like: it is none of this relay's. */
CHECKED enum error promises_keep(struct home *home, struct bytes stamped);

/* The promise in the relay's answer (the object `done`) to these statements (`dirstatement`), if it gave one; else
 * *ret_stamped is empty. E_WITHHELD: it names something else than what was brought, and is none. Views into `done`. */
CHECKED enum error promises_read(const struct card *card, struct list statements, struct bytes done,
                                 struct promise *ret, struct bytes *ret_stamped, struct failure *failure);

/* The same, and keeps it: this home brought the statements. */
CHECKED enum error promises_take(struct home *home, struct list statements, struct bytes done, struct failure *failure);

/* After the mirror was brought up to date: what is due is held against it. A broken promise is fraud: proof, alarm,
 * breach. */
CHECKED enum error promises_check(struct home *home);

#endif
