/* init.h - a new relay's folder: keys, relay.card, empty store, relay.yaml, in this order.
 *
 * relay.yaml comes last and by rename: a folder that has it is complete, and init refuses it (E_HOME_EXISTS). An init
 * that was killed is run again: whole keys that are there are kept, everything else is written anew.
 *
 * relay.card may be changed by hand later, while the relay is stopped; init_check_card says whether it can still be
 * used. */
#ifndef INIT_H
#define INIT_H

#include "card.h"
#include "config.h"

struct init {
    const char *folder;
    struct config config; /* as it is to be written; folder is filled in by init_folder */
    /* Of the card: registrars and threshold, witnesses, their quorum and freshness, as they are to be. Without registrars
     * a registrar's key is made, one of one; with them none is: the keys are elsewhere, and the relay never sees them. */
    struct card wanted;
    /* Makes the empty store; the current folder is the relay's, and the keys are there. An existing store is kept. */
    enum error (*create_store)(const struct config *config);
};

/* Changes the current folder to the relay's. ret_where: what the error is about, a text of at most room bytes. */
CHECKED enum error init_folder(struct init *init, struct card *ret_card, char *ret_where, size_t room);

/* Is the folder's relay.card whole, and does it name the keys that are in the folder (those that may be read)? E_OK and
 * *ret_has false where there is none. ret_where: `relay.card:LINE`, or the key file that it does not fit
 * (E_WRONG_FINGERPRINT). */
CHECKED enum error init_check_card(const char *folder, struct card *ret_card, bool *ret_has, char *ret_where,
                                   size_t room);

#endif
