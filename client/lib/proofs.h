/* proofs.h - what this home has found against its relay: proof files (fraud.h) in the folder `proofs`, an alarm that
 * names the file, and the home's breach (home.h), with which the next sync ends.
 *
 * Call outside of a transaction that may still be rolled back: the alarm must stay. */
#ifndef PROOFS_H
#define PROOFS_H

#include "home.h"
#include "link.h"

enum { PROOF_NAME_SIZE = 40 }; /* proofs/fraud-12345678.proof */

/* Writes the proof, which may be there already, beneath a home's or a witness's folder; ret_name is relative to that.
 * */
CHECKED enum error proofs_write(const char *folder, struct bytes proof, char ret_name[static PROOF_NAME_SIZE],
                                struct failure *failure);

/* The proof written, the alarm raised, once a proof; the home is in breach. A folder that cannot be written loses the
 * file, not the alarm, which then holds the proof itself. */
CHECKED enum error proofs_accuse(struct home *home, struct bytes proof, const char *what);

/* A receipt that did not hold, and why: an alarm in these words, with the receipt, and the home's breach. When it
 * puts another entry where one is kept, or comes with a head that contradicts one that is kept, that is fraud, and
 * is accused too. */
CHECKED enum error proofs_contradictions(struct home *home, struct bytes receipt); /* only this last */
CHECKED enum error proofs_receipt(struct home *home, struct bytes receipt, enum error why, const char *text, ...)
    __attribute__((format(printf, 4, 5)));

/* Something of a leg does not fit: what the relay shows of it now, held against what is kept. Whatever else it says
 * is passed over; errors are the link's and this machine's own. */
CHECKED enum error proofs_compare_leg(struct home *home, struct relay *relay, const uint8_t leg[static HASH_SIZE]);

/* A breach without proof: an alarm, and the next sync ends with `error`. */
CHECKED enum error proofs_suspect(struct home *home, enum error error, const char *text, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, the alarm once for these words; every sync ends with it for as long as it is found. */
CHECKED enum error proofs_suspect_once(struct home *home, enum error error, const char *text, ...)
    __attribute__((format(printf, 3, 4)));

#endif
