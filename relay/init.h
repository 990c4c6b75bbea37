/* init.h - a new relay's folder: keys, relay.card, empty store, relay.yaml, in this order.
 *
 * relay.yaml comes last and by rename: a folder that has it is complete, and init refuses it (E_HOME_EXISTS). An init
 * that was killed is run again: whole keys that are there are kept, everything else is written anew. */
#ifndef INIT_H
#define INIT_H

#include "card.h"
#include "config.h"

struct init {
    const char *folder;
    struct config config; /* as it is to be written; folder is filled in by init_folder */
    /* Makes the empty store; the current folder is the relay's, and the keys are there. An existing store is kept. */
    enum error (*create_store)(const struct config *config);
};

/* Changes the current folder to the relay's. ret_where: what the error is about, a text of at most room bytes. */
CHECKED enum error init_folder(struct init *init, struct card *ret_card, char *ret_where, size_t room);

#endif
