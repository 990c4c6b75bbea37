/* registrar.h - what a registrar signs: admissions, suspensions, resumptions. Linked into pouchctl only; pouchd records
 * them and cannot make them. The registrar's key need never be on the relay's machine. */
#ifndef REGISTRAR_H
#define REGISTRAR_H

#include "card.h"
#include "objects.h"

/* A charter file taken apart; views into the file's bytes. */
struct registrar_charter {
    struct charter charter;
    struct bytes statement;         /* stamped, as it goes into the directory */
    uint8_t hash[HASH_SIZE];        /* of the charter: what the admission names */
    uint8_t fingerprint[HASH_SIZE]; /* of which people compare text_fingerprint (PROTOCOL.md section 18) */
};

/* `file`: the dossier that `pouch authority init` wrote: one charter, signed by the authority key it names, for the
 * party that the dossier names. Decoding errors, E_MALFORMED, E_BAD_TEXT, E_BAD_KEY, E_BAD_SIGNATURE. */
CHECKED enum error registrar_open_charter(struct bytes file, struct registrar_charter *ret);

struct registrar_order {
    enum admission_action action;
    struct bytes party;
    const uint8_t *charter; /* its hash, for ACTION_ADMIT, else NULL */
    const char *reason;     /* or NULL */
    struct instant created;
};

/* Appends the stamped admission, signed with this seed. E_BAD_TEXT: party or reason. */
CHECKED enum error registrar_sign(const struct registrar_order *order, const uint8_t seed[static KEY_SIZE],
                                  struct buf *ret);

/* The seed's public key is one of the card's registrars. */
bool registrar_is_of(const struct card *card, const uint8_t seed[static KEY_SIZE]);

#endif
