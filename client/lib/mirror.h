/* mirror.h - the home's own copy of the directory log.
 *
 * All leaves are kept and replayed; whatever the relay says about sizes and roots must agree with the replay, now and
 * with what it said before. On disagreement nothing changes: E_DIRECTORY_FORKED. */
#ifndef MIRROR_H
#define MIRROR_H

#include "home.h"
#include "link.h"

/* Replays the stored leaves under the card's registrars: E_CORRUPT when they do not give the root noted beside them. An
 * empty archive gives an empty directory. */
CHECKED enum error mirror_load(struct archive *archive, const struct card *card, struct directory **ret,
                               struct failure *failure);
/* Notes that the stored leaves are those of this directory, in the caller's transaction. */
CHECKED enum error mirror_mark(struct home *home, const struct directory *directory);
/* Right after connecting: the relay has not gone back behind what this home has seen. E_DIRECTORY_FORKED. */
CHECKED enum error mirror_greet(struct home *home, struct relay *relay, struct failure *failure);
/* Fetches what is new with its signed heads (heads.h), verifies and stores it, and replaces home->directory; then compares with
 * it what others were shown (gossip.h) and what the relay has promised (promises.h). E_DIRECTORY_FORKED, E_WITHHELD. Where
 * the relay's own signatures contradict each other there is a proof as well, and an alarm that names it. */
CHECKED enum error mirror_update(struct home *home, struct relay *relay, struct failure *failure);

#endif
