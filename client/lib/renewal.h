/* renewal.h - a device extends its own certificate while it is live, so that nobody has to think of it.
 *
 * When less than RENEWAL_LEFT_MS are left, it signs a device statement of its own keys and role, issued by itself, as long as
 * is allowed. The statement is kept (META "renewal") before it is sent, and the kept one is sent again until the directory
 * says the same; at most once a day, so that a relay that refuses is not asked at every command. */
#ifndef RENEWAL_H
#define RENEWAL_H

#include "home.h"
#include "link.h"

#define RENEWAL_LEFT_MS (60 * DAY_MS)
#define RENEWAL_URGENT_MS (14 * DAY_MS)

/* After the directory was brought up to date. Errors are the link's and the disk's; what the relay refuses becomes an alarm. */
CHECKED enum error renewal_due(struct home *home, struct relay *relay, struct failure *failure);

#endif
