/* evlog.h - the heads of the relay's evidence log that this home has seen (table HEAD): all must be of one log.
 *
 * The newest one that was checked is the home's anchor. Every other head - in WELCOME, with a receipt - is held
 * against what is known of its size at once, and waits on disk until a consistency proof has tied it to the anchor
 * and to the log's newest head, which is asked for once a sync for all that wait, and then takes the anchor's place.
 * What was checked is forgotten: the anchor stands for it.
 *
 * What does not fit is never believed, and stays where it is, so that every sync ends with it: a proof of fraud
 * (proofs.h) where two signed heads contradict each other, else an alarm. WELCOME never shows fewer entries than
 * were seen before, unless the registrars have declared a loss (directory.h): the log then goes on from the size and
 * root that they name. */
#ifndef EVLOG_H
#define EVLOG_H

#include "head.h"
#include "home.h"
#include "link.h"

/* A head that came with a receipt: note with the log's line alone, opened. E_EVIDENCE_FORKED: another one of that
 * size is kept; nothing was written. To be called in the transaction that keeps what the head came with. */
CHECKED enum error evlog_see(struct home *home, const struct head *head, struct bytes note);
/* The same head, refused, once that transaction is rolled back: *ret_proven, and the proof and alarm, if the relay's
 * signature under the other one of its size proves it. */
CHECKED enum error evlog_accuse(struct home *home, struct bytes note, bool *ret_proven);

/* Right after connecting. What the relay did wrong is an alarm and the home's breach; errors are this machine's own. */
CHECKED enum error evlog_greet(struct home *home, struct relay *relay);
/* Within a sync, once the mirror is up to date and all was fetched: asks how the log has grown. Errors are the
 * link's and this machine's own. */
CHECKED enum error evlog_settle(struct home *home, struct relay *relay, struct failure *failure);

/* The anchor's note, appended. */
CHECKED enum error evlog_newest(struct home *home, struct buf *ret_note, bool *ret_found);

#endif
