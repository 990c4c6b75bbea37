/* inbox.h - the post's feed: offers for it, what it has sent itself, and how its legs have changed.
 *
 * Every item is verified before anything of it is kept. One that does not hold is recorded as an alarm and passed over;
 * it stops nothing else, and is asked for again later. A feed that goes back or leaves out a number is refused. What a
 * page of the feed brought, and the cursor, are committed together; statements that tell the relay of it ("notified")
 * are made only after that. */
#ifndef INBOX_H
#define INBOX_H

#include "kept.h"
#include "link.h"

/* Reads the feed to its end. */
CHECKED enum error inbox_read(struct home *home, struct relay *relay, struct sync_summary *summary,
                              struct failure *failure);
/* Says what this device has to say about what it keeps: offers that are safe here (NOTIFIED), bodies that it may have
 * now (fetched, then HANDED_OVER); and between the two what the standing policy says (policy.h). */
CHECKED enum error inbox_duties(struct home *home, struct relay *relay, struct sync_summary *summary,
                                struct failure *failure);

#endif
