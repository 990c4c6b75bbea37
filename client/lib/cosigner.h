/* cosigner.h - a witness: a party's key that cosigns the heads of a relay's two logs which it found consistent, each
 * with the one before it of its log.
 *
 * Its folder:
 *   witness.key    the key, sealed (keystore.h)
 *   witness.vkey   one line: name, key hash and public key, as it is put into a relay's card (note.h)
 *   log-XXXXXXXX   what was cosigned last of the log whose name and key have this hash: object `cosigned`
 *   proofs/        proofs of fraud (fraud.h)
 *   lock           held while one head is judged and its state written
 *
 * The state is on disk before the signature is given away: killed at any moment, a witness never cosigns two roots
 * of one size, nor a smaller head after a larger one. */
#ifndef COSIGNER_H
#define COSIGNER_H

#include "head.h"
#include "keystore.h"
#include "link.h"

#include "codec_struct.h"
#include "cosigner.def"
#include "codec_undef.h"

enum { COSIGNER_PATH_SIZE = 4096 };

struct cosigner {
    char path[COSIGNER_PATH_SIZE];
    struct note_key key;
    struct keystore keys;
};

/* Makes the folder's keys: E_HOME_EXISTS, E_BAD_TEXT (the name). */
CHECKED enum error cosigner_init(const char *path, const char *name, const char *passphrase, struct note_key *ret,
                                 struct failure *failure);
/* E_NO_HOME, E_BAD_PASSPHRASE, E_CORRUPT. */
CHECKED enum error cosigner_open(const char *path, const char *passphrase, struct cosigner *ret,
                                 struct failure *failure);
/* The public key alone. */
CHECKED enum error cosigner_key(const char *path, struct note_key *ret, struct failure *failure);
void cosigner_close(struct cosigner *cosigner);
#define AUTO_COSIGNER __attribute__((cleanup(cosigner_close))) struct cosigner

/* What was cosigned last of a log; size 0: nothing yet. */
struct cosigner_state {
    char origin[256];
    uint64_t size;
    uint8_t root[HASH_SIZE];
    struct instant head_time, time; /* the head's own, and when it was cosigned */
};
/* Of every log, to the callback. */
CHECKED enum error cosigner_states(const char *path, void (*each)(void *context, const struct cosigner_state *state),
                                   void *context, struct failure *failure);

/* An add-checkpoint request (witness.h), judged and cosigned: the head's note with the log's line and this witness's
 * is appended. Which log it is of, its origin tells. relay may be NULL; it is asked for the leaves where they prove
 * fraud. A proof is written into `proofs`, and the failure names it. E_UNKNOWN_WITNESS: the card does not name this
 * witness; and the errors of witness_judge. */
CHECKED enum error cosigner_sign(const struct cosigner *cosigner, const struct card *card, struct relay *relay,
                                 struct bytes request, struct buf *ret_note, struct cosigner_state *ret,
                                 struct failure *failure);

/* Asks the relay for the newest head of this log, cosigns it, and gives it back. E_NO_HEAD: the log is empty. */
CHECKED enum error cosigner_round(const struct cosigner *cosigner, const struct card *card, struct relay *relay,
                                  enum relay_log log, struct cosigner_state *ret, struct failure *failure);

#endif
