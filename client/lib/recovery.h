/* recovery.h - a home that was restored from a backup catches up with what was sent, received and published after the
 * backup was made, before it says anything new.
 *
 * The file `restored`, which restore leaves in the home, marks such a home (home->restored). client_sync then works in
 * another order:
 *   1. the directory; the feed from its beginning (arrival.c passes over the numbers given meanwhile)
 *   2. day keys: those published meanwhile have no secrets here, so all days get new ones under a higher serial
 *   3. only then the outbox: what was sent meanwhile is known as such by now, and is not sent again
 * Every step may be repeated; the mark goes last. Until then client_send refuses (E_RESTORED). */
#ifndef RECOVERY_H
#define RECOVERY_H

#include "home.h"
#include "link.h"

#define RECOVERY_MARK "restored"

/* Before the feed is read: from its beginning. */
CHECKED enum error recovery_begin(struct home *home, struct failure *failure);
/* New day keys for all days that may have been published. */
CHECKED enum error recovery_replace_prekeys(struct home *home, struct relay *relay, struct failure *failure);
/* All caught up: the home is as any other. */
CHECKED enum error recovery_end(struct home *home, struct failure *failure);

#endif
