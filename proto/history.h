/* history.h - how the entries of one leg follow each other: who may speak next, where it goes, who has it now.
 *
 * Who holds a leg's entries one after the other - a home as they come, a reader of a bundle all at once - asks here
 * whether the next one holds, and lets it move the leg. Nothing is kept but what the next entry depends on. The
 * receipt itself has been opened (evidence_open) and speaks of this header and leg. */
#ifndef HISTORY_H
#define HISTORY_H

#include "evidence.h"
#include "header.h"
#include "text.h"

struct history {
    /* of the request: views that live as long as this */
    struct bytes sender;   /* the post that sent it */
    const uint8_t *device; /* by which it was sent */
    enum leg_kind kind;
    /* of the leg, as far as it has come */
    struct bytes with, forwarder; /* the post that has it; the one that forwarded it last (empty: nobody has) */
    enum leg_state state;
    uint64_t entries;        /* the next one's ordinal */
    uint8_t head[HASH_SIZE]; /* hash of the last one; the leg id at first */
    uint64_t generation;     /* of the wrap sets; 0 before the first entry */
    struct instant time;     /* of the last entry, if that is known; else 0 */
};

/* Before the first entry. */
struct history history_of(const struct header *header, const struct opening *opening,
                          const uint8_t leg[static HASH_SIZE]);

/* It continues the leg: ordinal and previous hash (E_BAD_PROOF), from the state that it is in (E_BAD_PROOF), by a
 * step for this kind of leg (E_WRONG_STATE), with a generation one higher where it brings a wrap set, forwarded to
 * another post of the same party (E_BAD_PROOF), at a ledger time that has not gone back (E_OUT_OF_RANGE). */
CHECKED enum error history_check_step(const struct history *history, const struct evidence *evidence);
/* Its speaker may say it of this leg now, and was live where the entry stands in the directory's log; of `stored`,
 * the device that sent it. Errors as statement_may_on and directory_live_at; E_MISMATCH: the sending device is of
 * another post. */
CHECKED enum error history_check_speaker(const struct history *history, const struct evidence *evidence,
                                         const struct directory *directory, const uint8_t relay_key[static KEY_SIZE]);
/* An entry that passed both. */
void history_move(struct history *history, const struct evidence *evidence);

#endif
