/* evidence.h - statements, entries, records, receipts: made by one side, verified by any other.
 *
 * statement  what an actor says happened; stamped under label STATEMENT by its device (or the relay's statement key)
 * entry      the relay's record that this statement moved the leg: ordinal from 0, previous = hash of the leg's previous
 *            entry (the leg id at first), from -> to as leg.def allows, ledger time. Its hash is its RFC 6962 leaf hash, and
 *            that hash is the leaf of the evidence log at `index`.
 * record     {statement hash, ledger time, entry?, index?} stamped under label RECORD by the relay's statement key.
 *            With an entry: a step. Without: a device receipt (a repeat, a losing decision, a note), or, for the relay's own
 *            SubmissionRejection, a refusal.
 * receipt    {statement, record} as travels and is kept; with an entry also where it stands in the evidence log: `checkpoint`,
 *            a head of the log with the log's signature alone, and `proof`, the path from the entry's hash at `index` */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include "directory.h"
#include "head.h"
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

/* May this statement be made by its signer? RECIPIENT / SENDER / EITHER against the two posts, role, and the post
 * that the statement names equals its device's. relay_key: the relay's statement key, for the relay's own events.
 * E_UNKNOWN_DEVICE, E_NOT_ALLOWED. Liveness is not judged here. */
CHECKED enum error statement_may(const struct statement *statement, const struct directory *directory,
                                 const uint8_t relay_key[static KEY_SIZE], struct bytes sender_post,
                                 struct bytes recipient_post);
/* The same, where the leg has been forwarded. recipient: the post that it is with when this is said; forwarder: the
 * one that forwarded it last (empty: nobody has), which may seal it anew beside the sender. */
struct leg_posts {
    struct bytes sender, recipient, forwarder;
};
CHECKED enum error statement_may_on(const struct statement *statement, const struct directory *directory,
                                    const uint8_t relay_key[static KEY_SIZE], const struct leg_posts *posts);

/* Decodes a receipt, verifies the record under the relay's key and the statement under the key it names; record,
 * entry and statement agree with each other, and the entry is a STEP of leg.def (for some kind of leg). */
CHECKED enum error evidence_open(struct bytes receipt, const uint8_t relay_key[static KEY_SIZE], struct evidence *ret);

/* The same for who is given one: and its entry stands in the evidence log whose key is in the card. *ret_head: the
 * head that it came with, size 0 where there is no entry. E_MISSING_FIELD: no checkpoint or proof; E_MALFORMED: one
 * without an entry, or a head with other lines than the log's; E_OUT_OF_RANGE: the head is older than the record;
 * E_BAD_PROOF; head_open's errors. That the head is one of the log that others were shown, its reader finds out. */
CHECKED enum error evidence_open_logged(struct bytes receipt, const struct card *card, struct evidence *ret,
                                        struct head *ret_head);
/* The same for who opens many: of one batch they share their signatures and their head, and what has held is not computed
 * again. Begin with zeros; what is in it has been verified, so it may be kept as long as one likes. */
struct evidence_cache {
    struct stamp_cache stamps;
    struct buf checkpoint; /* as it came last, and what it says under this log's key */
    struct head head;
    uint8_t log[KEY_SIZE];
    char name[CARD_NAME_SIZE];
};
void evidence_cache_free(struct evidence_cache *cache);
#define AUTO_EVIDENCE_CACHE __attribute__((cleanup(evidence_cache_free))) struct evidence_cache
CHECKED enum error evidence_open_cached(struct bytes receipt, const struct card *card, struct evidence_cache *cache,
                                        struct evidence *ret, struct head *ret_head);
/* Its two halves, of a receipt that has an entry: the head that came with it; and that the entry stands in that. */
CHECKED enum error evidence_checkpoint(const struct receipt *receipt, const struct evidence *evidence,
                                       const struct card *card, struct head *ret_head);
CHECKED enum error evidence_in_log(const struct receipt *receipt, const struct evidence *evidence,
                                   const struct head *head);

/* The entry continues the leg whose last entry had this ordinal and hash (first: ordinal -1, hash = leg id):
 * E_BAD_PROOF. */
CHECKED enum error evidence_follows(const struct evidence *evidence, int64_t last_ordinal,
                                    const uint8_t last_hash[static HASH_SIZE]);

/* A relay that goes on after a declared loss has other keys than before (directory.h): the card with those that it
 * had when it made this receipt, as the receipt itself says by its entry's directory size; one without an entry is
 * tried under all. What does not decode gets the newest. */
void evidence_card(const struct directory *directory, struct bytes receipt, const struct card *given, struct card *ret);
/* The relay's statement key at the time of opened evidence. */
void evidence_relay_key(const struct directory *directory, const struct evidence *evidence, const struct card *given,
                        uint8_t ret[static KEY_SIZE]);

#endif
