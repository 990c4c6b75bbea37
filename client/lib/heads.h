/* heads.h - the directory's signed heads as this home keeps them (table HEAD): fetched, verified, held against the
 * mirror.
 *
 * Every head must be the log's own, of this log, with its time; its root must be the mirror's at that size; no
 * signature under a witness's key may fail. The relay must have signed all that it shows. What it signed once it
 * cannot take back: a head that contradicts the mirror, or one of fewer entries, changes nothing here and ends in
 * E_DIRECTORY_FORKED; where two signed heads contradict each other they become a proof of fraud (fraud.h). */
#ifndef HEADS_H
#define HEADS_H

#include "home.h"
#include "link.h"

/* What was found against the relay within a transaction: to be used once that has been rolled back. */
struct heads_charge {
    struct buf proof;
    bool leaves; /* of an entry that breaks the rules; else of two heads */
};
void heads_charge_free(struct heads_charge *charge);
#define AUTO_CHARGE __attribute__((cleanup(heads_charge_free))) struct heads_charge

/* After the leaves, in the mirror's transaction: fetches the heads, verifies and keeps them. *ret_behind: one has more
 * entries than `directory`, whose leaves are to be fetched first; nothing was kept. E_WITHHELD: no signed head for
 * all that is shown. E_DIRECTORY_FORKED, E_BAD_SIGNATURE and the like: of a head. */
CHECKED enum error heads_update(struct home *home, struct relay *relay, const struct directory *directory,
                                struct heads_charge *charge, bool *ret_behind, struct failure *failure);

/* The same with the list of notes at hand: the newest head's first. */
CHECKED enum error heads_take(struct home *home, const struct directory *directory, struct list notes,
                              struct heads_charge *charge, bool *ret_behind, struct failure *failure);

/* A head that came beside the size and root that it must be of (PROTOCOL.md section 22), after heads_update. It need not be
 * the newest any more. E_WITHHELD: there is none, or one of other entries. */
struct heads_shown {
    uint64_t size;
    const uint8_t *root;
    struct bytes note;
};
CHECKED enum error heads_see(struct home *home, const struct directory *directory, const struct heads_shown *shown,
                             struct heads_charge *charge, bool *ret_behind, struct failure *failure);

/* The relay has contradicted itself in what it did not sign: do its signed heads prove it? Fills the charge if they
 * do. */
void heads_investigate(struct home *home, struct relay *relay, struct heads_charge *charge);

/* The newest head kept: its note, appended. */
CHECKED enum error heads_newest(struct home *home, struct buf *ret_note, bool *ret_found);

/* Two heads, held against each other with the mirror's leaves: E_OK and the proof appended when they are
 * irreconcilable. */
CHECKED enum error heads_contradict(const struct home *home, struct bytes note, struct bytes newest, struct buf *proof);

#endif
