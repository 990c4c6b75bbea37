/* registrar.h - what registrars sign: nominations, admissions, suspensions, resumptions, notices of another
 * authority key, and where the relay itself has gone. Linked into pouchctl only; pouchd records them and cannot make them. The registrars' keys need never
 * be on the relay's machine.
 *
 * An *order* is what is signed, in a file of its own that can be carried from one registrar to the next: a dossier
 * {post = the party, statements [charter, joint statement]}. The charter is there for an admission and for a notice
 * (of the key that the party made anew, which it names), so that every registrar sees whom the order is about and
 * compares the fingerprint; in a notice it is for their eyes only and is not recorded. The joint statement (joint.h)
 * may have been signed by nobody yet. */
#ifndef REGISTRAR_H
#define REGISTRAR_H

#include "card.h"
#include "directory.h"
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

/* An order that nobody has signed yet; appended to `ret`. E_BAD_TEXT: party, name or reason; E_MISSING_FIELD: an
 * admission without a charter; E_MISMATCH: the charter is another party's. `charter`: whom an admission is about, else
 * NULL. */
CHECKED enum error registrar_begin(const struct admission *admission, const struct registrar_charter *charter,
                                   struct buf *ret);
/* The same for a notice that the charter's key will be its party's authority. reason may be NULL. */
CHECKED enum error registrar_begin_notice(const struct registrar_charter *charter, const char *reason,
                                          struct instant created, struct buf *ret);

/* The same for the relay: the dossier names no party but REGISTRAR_RELAY. */
#define REGISTRAR_RELAY "relay"
CHECKED enum error registrar_begin_relay(const struct relaychange *change, struct buf *ret);

/* An order taken apart; views into the file's bytes. */
struct registrar_order {
    enum leaf_kind kind; /* LEAF_ADMISSION, LEAF_NOTICE or LEAF_RELAY */
    struct bytes party, joint;
    struct admission admission;
    struct notice notice;
    struct relaychange relay;
    bool has_charter;
    struct registrar_charter charter;
    uint8_t signers[SIGNERS_MAX][KEY_SIZE];
    size_t signer_count;
};

/* All parts fit each other and every signature that is there holds; whether the signers are anybody's registrars only a
 * card can say. Decoding errors, E_MALFORMED, E_MISMATCH, E_BAD_TEXT, E_BAD_KEY, E_BAD_SIGNATURE. */
CHECKED enum error registrar_open(struct bytes file, struct registrar_order *ret);

/* The order signed with one more seed (E_CONFLICT: it has signed already); two files of the same order as one
 * (E_MISMATCH: of different orders). Append to `ret`. */
CHECKED enum error registrar_sign(struct bytes file, const uint8_t seed[static KEY_SIZE], struct buf *ret);
CHECKED enum error registrar_combine(struct bytes a, struct bytes b, struct buf *ret);

/* E_OK: the relay of this card, and its members, will take it; E_UNKNOWN_REGISTRAR, E_TOO_FEW_SIGNERS. */
CHECKED enum error registrar_check(const struct registrar_order *order, const struct card *card);

/* What the relay is to record, as items of the list `statements` of a command. */
CHECKED enum error registrar_statements(const struct registrar_order *order, struct buf *ret_items, size_t *ret_count);

/* The seed's public key; and is it one of the card's registrars? */
void registrar_public(const uint8_t seed[static KEY_SIZE], uint8_t ret[static KEY_SIZE]);
bool registrar_is_of(const struct card *card, const uint8_t seed[static KEY_SIZE]);

#endif
