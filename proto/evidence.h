/* evidence.h - statements, entries, records, receipts: made by one side, verified by any other.
 *
 * statement  what an actor says happened; stamped under label STATEMENT by its device (or the relay's statement key)
 * entry      the relay's record that this statement moved the leg: ordinal from 0, previous = hash of the leg's previous
 *            entry (the leg id at first), from -> to as leg.def allows, ledger time. Its hash is its RFC 6962 leaf hash, and
 *            that hash is the leaf of the evidence log at `index`.
 * record     {statement hash, ledger time, entry?, index?} stamped under label RECORD by the relay's statement key.
 *            With an entry: a step. Without: a device receipt (a repeat, a losing decision, a note), or, for the relay's own
 *            SubmissionRejection, a refusal.
 * receipt    {statement, record} as travels and is kept. */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include "directory.h"
#include "leg.h"
#include "objects.h"
#include "stamp.h"

/* A receipt taken apart; views into the receipt's bytes. */
struct evidence {
    struct statement statement;
    uint8_t statement_hash[HASH_SIZE];
    struct record record;
    bool has_entry;
    struct entry entry;
    uint8_t entry_hash[HASH_SIZE];
};

void statement_hash(struct bytes payload, uint8_t ret[static HASH_SIZE]);
void entry_hash(struct bytes entry, uint8_t ret[static HASH_SIZE]);

/* Decodes a stamped statement and verifies it under the key it names. That key's right to speak is judged apart. */
CHECKED enum error statement_open(struct bytes stamped, struct statement *ret, uint8_t ret_hash[static HASH_SIZE]);

/* May this statement be made by its signer? RECIPIENT / SENDER / EITHER against the two posts, role, and the post that the
 * statement names equals its device's. relay_key: the relay's statement key, for the relay's own events.
 * E_UNKNOWN_DEVICE, E_NOT_ALLOWED. Liveness is not judged here. */
CHECKED enum error statement_may(const struct statement *statement, const struct directory *directory,
                                 const uint8_t relay_key[static KEY_SIZE], struct bytes sender_post,
                                 struct bytes recipient_post);
/* The same, where the leg has been forwarded. recipient: the post that it is with when this is said; forwarder: the one that
 * forwarded it last (empty: nobody has), which may seal it anew beside the sender. */
struct leg_posts {
    struct bytes sender, recipient, forwarder;
};
CHECKED enum error statement_may_on(const struct statement *statement, const struct directory *directory,
                                    const uint8_t relay_key[static KEY_SIZE], const struct leg_posts *posts);

/* Decodes a receipt, verifies the record under the relay's key and the statement under the key it names; record, entry and
 * statement agree with each other, and the entry is a STEP of leg.def (for some kind of leg). */
CHECKED enum error evidence_open(struct bytes receipt, const uint8_t relay_key[static KEY_SIZE], struct evidence *ret);

/* The entry continues the leg whose last entry had this ordinal and hash (first: ordinal -1, hash = leg id): E_BAD_PROOF. */
CHECKED enum error evidence_follows(const struct evidence *evidence, int64_t last_ordinal,
                                    const uint8_t last_hash[static HASH_SIZE]);

#endif
