/* verify.h - is what a peer says well-formed and signed by whom it must be? A pure function of the message's bytes and
 * a directory: no sockets, clock or store. What depends on what is stored is the ledger's to judge.
 *
 *   SUBMIT   the header is signed by the asking device and speaks for its post; openings decode; every wrap set is for
 *            that header and signed by a live device of the same post
 *   STATE    every statement is made and signed by the asking device for its post; a wrap set beside one as above
 *   PUBLISH  every prekey is the asking device's own, and signed by it
 *   PUTCONTACT  the contact statement, if there is one, is signed by the asking device and speaks for its post; a public sheet
 *            is what its commitment says, and keeps the rules of contact.h; a sealed one has the size of one
 *   others   decode. (ENROL, DECLARE: the ledger replays their statements, which verifies them.)
 *
 * One bad part fails the whole message. */
#ifndef VERIFY_H
#define VERIFY_H

#include "directory.h"
#include "message.h"

enum { VERIFY_DETAIL = 96 };

struct verify_question {
    const struct directory *directory;
    const struct directory_device *device; /* of that directory: who asks; NULL: a guest, who may not ask everything */
    const struct message_row *row;
    struct bytes body;
    struct instant time; /* for liveness */
};

/* Its check is decoding alone, cheaper than handing it to another thread. */
bool verify_is_light(const struct message_row *row);

/* E_OK or what is wrong, and where: the field, or the list and index, in ret_detail (empty when there is nothing to
 * say). E_NOT_ALLOWED: another device or post than the asking one. E_MISMATCH: a wrap set of another request.
 * E_UNKNOWN_DEVICE, and directory_live's errors, of a wrap set's signer. Decoding and signature errors. */
CHECKED enum error verify_message(const struct verify_question *question, char ret_detail[static VERIFY_DETAIL]);

#endif
