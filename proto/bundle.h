/* bundle.h - evidence in one file, for who trusts neither side nor the relay: what happened to a request, who said
 * so, and where it stands in the relay's log. Made by either side, verified by anybody, offline, from nothing but the
 * file and - outside of it - the relay's card or the keys in it.
 *
 * The file is the object `bundlefile` {bundle's bytes, their labelled digest (BUNDLE)}: the digest tells damage, and
 * nothing else. Objects stand in objects.def. In `bundle`:
 *   card       the relay's, in the one form that card_format gives
 *   header     as its sender stamped it
 *   legs       by rising position, those that the maker shows (1 or more). Each: its place and the path to the
 *              header's root; the receipts with an entry, by ordinal from 0 without a gap (none: the relay has not
 *              stored it, as far as shown); the receipts without an entry (`notes`), by rising statement hash
 *   directory  a head of the directory log, at least as large as the directory of every entry, with signature lines
 *              of the card's log (the first line) and of the card's witnesses, no other, none twice
 *   leaves     entries of the directory, by rising index, each with its inclusion path in that head, each about a
 *              party concerned: that of the header's sender, or of a leg's recipient (its opening's; forwarding stays
 *              inside a party); or about the relay itself
 *   evidence   a head of the evidence log, lines as above, at least as large as the head of every receipt; and
 *              `steps`: for every distinct size of the receipts' heads, rising, the consistency path (RFC 9162
 *              section 2.1.4) to the next one of them, the last one's to `evidence` (of equal size: equal roots,
 *              empty path). Both absent, or both complete; no receipt with an entry: no steps
 *   opened     one part of the content: number, key, all chunks
 *
 * Verifying, in this order; the first thing that does not hold is the answer. `where` in parentheses:
 *   1. (file) decodes as bundlefile; (digest) E_BAD_DIGEST; (bundle) decodes. Deterministic CBOR, no unknown field
 *   2. (card) parses, is in its one form (E_NON_CANONICAL). With a card from outside: name, threshold and the set of
 *      registrars are the same (E_WRONG_FINGERPRINT); addresses, CURVE key and witnesses may have changed; for the
 *      keys see 6
 *   3. (header) opens (header_open)
 *   4. (directory head) opens (head_open_log) with the lines told above (E_MALFORMED), under the newest log key that
 *      a leaf of the kind RELAY claims (6 looks at its signatures), else under the card's
 *   5. (legs) one or more (E_MISSING_FIELD), of a reply one (E_MALFORMED). (leg N) position risen (E_NON_CANONICAL),
 *      place and path lead to the header's root (legs_verify)
 *   6. (directory entry I) index risen (E_NON_CANONICAL), (directory entry I, proof) its path leads to the head's
 *      root (E_BAD_PROOF), it is about a party concerned or the relay itself (E_MISMATCH), and the rules of
 *      directory.h take it at this index (directory_apply_at). Then (card): a relay gets new keys by a `recovered`
 *      leaf alone, which names the old ones and the new; where there is one, the card's log and statement key are
 *      those of some such leaf, old or new (E_MISMATCH), and so are those of the card from outside; else the latter
 *      has the same as the former (E_WRONG_FINGERPRINT). A receipt with an entry is held against the keys of its
 *      entry's directory (directory_relay_card_at), one without against those under which its record verifies, a
 *      later head of the evidence log against the newest. Then (header, sender): the header's device is known
 *      (E_UNKNOWN_DEVICE) and of its post (E_MISMATCH)
 *   7. (leg N, receipt R) as PROTOCOL.md section 12 tells, for every receipt: record and statement verify
 *      (evidence_open), it is of this header and leg (E_MISMATCH), ordinal and previous hash continue (E_BAD_PROOF),
 *      ledger time has not gone back (E_OUT_OF_RANGE), its directory is not larger than the head (E_BAD_PROOF), the
 *      speaker may say it (statement_may_on) and was live (directory_live_at; of `stored`: the device that sent it),
 *      the step is one of leg.def for this kind of leg, generations rise by one and forwarding stays in the party
 *      (history.h). (leg N, receipt R, checkpoint) is a head of the evidence log with the log's signature alone, not
 *      older than the entry; (leg N, receipt R, proof) the entry's hash stands at its index in that head (E_BAD_PROOF)
 *   8. (leg N, note R) likewise without entry, checkpoint and proof; statement hashes rise (E_NON_CANONICAL); said by
 *      the relay (a refusal), by the sending post, or by a post that the leg was with
 *   9. (heads of receipts) those of equal size have equal roots (E_EVIDENCE_FORKED). (evidence head) opens, is not
 *      smaller than those (E_BAD_PROOF); (steps) as many as there are sizes (E_MISMATCH), none without `evidence`
 *      (E_UNKNOWN_FIELD); (step S) of that size (E_MISMATCH), its path holds (E_BAD_PROOF; of equal size:
 *      E_EVIDENCE_FORKED)
 *  10. (opened part) the header has it (E_NO_BODY); (opened part, key) its labelled digest (COMMITMENT) is the
 *      header's (E_BAD_COMMITMENT); (opened part, chunks) they have their sizes and their digests give the header's
 *      (E_BAD_DIGEST). Decrypting is an endpoint's: seal/disclosed.h
 * Legs, receipts, notes and steps are counted from 1, in the file's order; directory entries by their index.
 *
 * Nothing in the file is left unchecked, so with the digest made anew every change is refused or is another true
 * statement, which reads differently. What a bundle cannot prove stands in bundle.def. */
#ifndef BUNDLE_H
#define BUNDLE_H

#include "directory.h"
#include "head.h"
#include "leg.h"
#include "objects.h"

enum bundle_gap {
#define GAP(name, json, text) GAP_##name,
#include "bundle.def"
    GAP_COUNT
};
struct bundle_gap_row {
    const char *name; /* in JSON */
    const char *text;
};
const struct bundle_gap_row *bundle_gap_row(enum bundle_gap gap);

/* One verified receipt. Views into the file's bytes. */
struct bundle_rung {
    enum leg_event event;
    bool by_relay;
    struct bytes post; /* empty: the relay */
    uint8_t device[KEY_SIZE];
    bool officer;
    bool disclosure; /* it says: this may be shown to others */
    bool has_reason, has_generation;
    uint64_t reason, generation;
    struct bytes forward; /* to this post */
    uint64_t grace_s;     /* of an expiry: what outages have added to the deadline */
    struct bytes words;   /* sealed under the offer's key (a reply: the body's): disclosed_words; none: empty */
    uint8_t nonce[NONCE_SIZE];
    struct instant device_time, time; /* as the device said; the ledger's */
    uint8_t statement[HASH_SIZE];     /* its hash */
    /* of receipts with an entry */
    bool has_entry;
    enum leg_state from, to;
    uint64_t ordinal, index; /* index: in the evidence log */
    uint8_t hash[HASH_SIZE]; /* of the entry: the log's leaf hash */
    uint64_t directory_size;
    uint64_t head_size; /* of the evidence log's head that the receipt brought */
    uint8_t head_root[HASH_SIZE];
    struct instant head_time;
};

enum { BUNDLE_SENDER, BUNDLE_RECIPIENT, BUNDLE_SIDES };

struct bundle_leg_report {
    uint8_t leg[HASH_SIZE];
    struct bytes to;   /* as sent */
    struct bytes with; /* the post that it is with now */
    uint64_t sequence;
    enum leg_state state;
    const struct bundle_rung *rungs; /* by ordinal */
    size_t rung_count;
    const struct bundle_rung *notes;
    size_t note_count;
    /* The first rung of each side that agrees to the exchange being shown; NULL: none. */
    const struct bundle_rung *consent[BUNDLE_SIDES];
};

struct bundle_report {
    struct card card; /* of the file */
    uint8_t card_hash[HASH_SIZE];
    bool card_given;                /* the one from outside vouches for its keys */
    uint8_t file_digest[HASH_SIZE]; /* the one in the file: names it */
    struct header header;
    uint8_t digest[HASH_SIZE]; /* of the header */
    enum leg_kind kind;
    const struct bundle_leg_report *legs;
    size_t leg_count;
    struct head directory;
    unsigned witnesses; /* how many of the card's (from outside, if given) have signed the directory's head */
    size_t leaf_count;
    bool has_evidence;
    struct head evidence;
    size_t step_count;
    bool has_opened;
    enum part_number opened;
    uint8_t opened_key[KEY_SIZE];
    struct list opened_chunks;
    bool gaps[GAP_COUNT];
    struct directory *entries; /* as far as the file shows it */
    void *memory;
};

/* What does not hold: a path in words such as "leg 2, receipt 3, proof". */
enum { BUNDLE_WHERE_SIZE = 80 };
struct bundle_where {
    char text[BUNDLE_WHERE_SIZE];
};

/* Verifies; needs nothing else. card: from outside, or NULL. The report has views into `file`; bundle_report_free. On
 * failure there is no report, and ret_where tells which part is at fault. */
CHECKED enum error bundle_verify(struct bytes file, const struct card *card, struct bundle_report *ret,
                                 struct bundle_where *ret_where);
void bundle_report_free(struct bundle_report *report);
#define AUTO_BUNDLE_REPORT __attribute__((cleanup(bundle_report_free))) struct bundle_report

/* Makes the file of what was collected, and verifies it before it is given out. Appends. E_TOO_LARGE; else as
 * bundle_verify. */
CHECKED enum error bundle_make(const struct bundle *bundle, struct buf *out, struct bundle_where *ret_where);

#endif
