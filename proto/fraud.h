/* fraud.h - proofs of a relay's fraud: files that convince anybody who has the relay's card, offline.
 *
 * The object `fraud` holds the card, in the form that card_format gives, and signed words of the relay that cannot
 * all be true. Four kinds:
 *   heads    two heads of the directory, or two of the evidence log, that no append-only log has: `older` of n
 *            entries, `newer` of at least as many. `root` is what the newer head's log has at n entries, shown by
 *            `path` (RFC 9162 section 2.1.4), and is not the older head's. Of equal sizes: other roots; neither root
 *            nor path
 *   entries  two receipts whose signed records put different entries at one ordinal of one leg, the one with the
 *            smaller entry hash first
 *   promise  the relay's promise that statements stand in the directory at a size with a root, and a head (`newer`)
 *            made after the promise's deadline whose log has fewer entries, or (root, path; equal sizes: neither)
 *            another root there
 *   leaves   the directory's first entries, and a head (`newer`) whose log begins with them (path, from their root, where
 *            there are more): the last of them breaks the directory's rules (directory.h) under the card's registrars, and
 *            was signed all the same
 *
 * A proof holds against the keys in the card inside it: who is shown one compares that card's fingerprint with the
 * relay's. It says that the relay's keys signed both; not who ordered it, nor which of the two is right. */
#ifndef FRAUD_H
#define FRAUD_H

#include "directory.h"
#include "head.h"
#include "objects.h"

struct fraud_side {          /* a head, or what was promised, or an entry's receipt */
    uint64_t size;           /* of the directory; of an entry: as it says */
    uint8_t root[HASH_SIZE]; /* of an entry: its hash */
    struct instant time;
};

struct fraud_view {
    enum fraud_kind kind;
    struct card card;
    uint8_t card_hash[HASH_SIZE];
    enum relay_log log;             /* heads: of which log; promise, leaves: the directory */
    struct fraud_side older, newer; /* entries: the two; promise: what was promised, and the head */
    bool has_root;
    uint8_t root[HASH_SIZE]; /* of the newer one's log, at the older one's size */
    uint8_t leg[HASH_SIZE];  /* entries */
    uint64_t ordinal;
    struct instant deadline; /* promise */
    size_t statements;       /* promise: of how many statements */
    struct bytes leaf;       /* leaves: the entry that breaks the rules, a view; its index is older.size - 1 */
    enum error why;          /* leaves: what is wrong with it */
};

/* From two heads' notes, both of one log, and, where they are of different sizes, the leaf hashes of the newer one's
 * log. Which of the two is older is found out. E_NO_PROOF: they are of one log; E_BAD_PROOF: the hashes are not the
 * newer one's. Append to `out`. */
CHECKED enum error fraud_make_heads(const struct card *card, struct bytes a, struct bytes b, struct bytes newer_hashes,
                                    struct buf *out);
/* The same of either log, with the root that the newer one's log has at the older one's size and the path that shows
 * it, in place of hashes; of equal sizes: neither. */
CHECKED enum error fraud_make_heads_by(const struct card *card, struct bytes older, struct bytes newer,
                                       const uint8_t root[static HASH_SIZE], struct bytes path, struct buf *out);
CHECKED enum error fraud_make_entries(const struct card *card, struct bytes a, struct bytes b, struct buf *out);
CHECKED enum error fraud_make_promise(const struct card *card, struct bytes promise, struct bytes newer,
                                      struct bytes newer_hashes, struct buf *out);

/* leaves: all of the head's log, as they stand in it. The first that breaks a rule is found out. */
CHECKED enum error fraud_make_leaves(const struct card *card, struct bytes newer, struct list leaves, struct buf *out);

/* E_NO_PROOF when everything in it holds but does not contradict itself; otherwise what does not hold. */
CHECKED enum error fraud_verify(struct bytes bytes, struct fraud_view *ret);

#endif
