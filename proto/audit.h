/* audit.h - both logs of a relay judged by somebody who trusts none of it: recomputed, replayed, and held against
 * each other.
 *
 * Bytes in, findings out; no files, clock or sockets. What an auditor has may be little (a guest: leaves, hashes and
 * heads) or all (the operator, or who holds a backup: every receipt too); each piece is judged as far as what is
 * there goes. A finding is a value; the auditor goes on after it, from what was shown, so that one fault is told once
 * and hides no other.
 *
 * Legal order
 *   audit_new
 *   audit_head       any number, of either log; the evidence log's before it has been fed beyond their size, so that
 *                    roots can be compared
 *   audit_leaf       every directory leaf, from index 0
 *   audit_done(LOG_DIRECTORY)
 *   audit_resume     perhaps: goes on where an earlier audit of the evidence log ended
 *   audit_hash or audit_entry   every leaf of the evidence log in its order, alone or with its receipt
 *   audit_done(LOG_EVIDENCE)
 *   audit_begin; audit_step for each entry by ordinal from 0, and audit_note for each device receipt; for each leg.
 *                    Legs may come in any order, and need the directory only
 *   audit_free
 *
 * Memory: the directory, forty bytes for each of its leaves, and the heads that have not been reached yet. A log of
 * any length streams through; a leg's state is the caller's (struct audit_trail).
 *
 * Functions return errors of their own only: E_NO_MEMORY, or what the sink returned. What is wrong with the relay
 * goes to the sink. */
#ifndef AUDIT_H
#define AUDIT_H

#include "evidence.h"
#include "head.h"

enum audit_kind {
#define FINDING(name, json, text) AUDIT_##name,
#include "audit.def"
    AUDIT_KINDS
};

struct audit_finding {
    enum audit_kind kind;
    enum relay_log log; /* 0: neither; then it concerns a leg */
    bool has_index, has_leg, has_ordinal;
    uint64_t index; /* in the log; of a head: its size */
    uint8_t leg[HASH_SIZE];
    uint64_t ordinal;
    const char *who;  /* of a head: whose word it bears, as audit_head was told; else NULL */
    enum error error; /* the rule that was broken */
};

const char *audit_name(enum audit_kind kind); /* in JSON */
const char *audit_text(enum audit_kind kind);

struct audit_sink {
    void *context;
    enum error (*tell)(void *context, const struct audit_finding *finding);
};

struct audit;
/* The card is copied; whether it was given out before or after a declared loss of the relay does not matter. NULL
 * when memory ran out. */
struct audit *audit_new(const struct card *card, struct audit_sink sink);
void audit_free(struct audit *audit);
#define AUTO_AUDIT __attribute__((cleanup(audit_cleanup))) struct audit
static inline void audit_cleanup(struct audit **audit) { audit_free(*audit); }

/* A signed head, as note. `who` (may be NULL; must live as long as the audit): a witness who is said to have cosigned
 * it; its word must then be under it. Two heads of one size and different roots are an equivocation. A head under
 * other keys than the card's is judged once the directory is known, which may tell of a declared loss. A head of the
 * evidence log of a size that it has passed already: E_OUT_OF_RANGE, the caller's mistake. */
CHECKED enum error audit_head(struct audit *audit, enum relay_log log, struct bytes note, const char *who);
/* The size of the largest head fed so far, and its time: who must show a head for everything has it. */
uint64_t audit_headed(const struct audit *audit, enum relay_log log, struct instant *ret_time);

CHECKED enum error audit_leaf(struct audit *audit, struct bytes leaf);
CHECKED enum error audit_resume(struct audit *audit, const struct merkle_frontier *frontier, struct instant time);
CHECKED enum error audit_hash(struct audit *audit, const uint8_t hash[static HASH_SIZE]);
/* The leaf and its receipt; p == NULL: the source should have one and has none. Here the receipt is compared with the
 * log, and time and directory size must not go back; signatures and the leg's history are audit_step's. */
CHECKED enum error audit_entry(struct audit *audit, const uint8_t hash[static HASH_SIZE], struct bytes receipt);
/* A number that the source does not have, although it has later ones: told, and the root cannot be recomputed any
 * more. */
CHECKED enum error audit_gap(struct audit *audit, enum relay_log log, uint64_t index);
/* The log has ended. Heads that are larger are told; `must`: entries without a head too. */
CHECKED enum error audit_done(struct audit *audit, enum relay_log log, bool must);

uint64_t audit_size(const struct audit *audit, enum relay_log log);
void audit_root(const struct audit *audit, enum relay_log log, uint8_t ret[static HASH_SIZE]);
const struct merkle_frontier *audit_frontier(const struct audit *audit, enum relay_log log);
const struct directory *audit_directory(const struct audit *audit);
/* Ledger time of the last entry that was fed with its receipt. */
struct instant audit_time(const struct audit *audit);

/* ---- the history of one leg ---- */

/* What the auditor knows of a leg from elsewhere (header, opening); views must live as long as the trail. */
struct audit_leg {
    uint8_t leg[HASH_SIZE], header[HASH_SIZE];
    struct bytes sender, recipient; /* as it was addressed */
    const uint8_t *device;          /* the header's; NULL: not known */
    unsigned kind;                  /* enum leg_kind; 0: not known */
    uint64_t keep_s;                /* 0: not known */
};

/* How it stands after what has been fed; to be compared with what the source says. */
struct audit_trail {
    struct audit_leg about;
    char to[POST_MAX + 1],
        forwarder[POST_MAX + 1]; /* the post that it is with now; who forwarded it last, or nothing */
    unsigned state, furthest;
    uint64_t ordinal; /* of the next entry */
    uint8_t head[HASH_SIZE];
    uint64_t generation;
    bool needs_rekey;
    struct instant last, due; /* of the last entry; before that it may not expire (0: not known) */
    uint64_t notes_sender, notes_recipient;
};
void audit_begin(struct audit_trail *trail, const struct audit_leg *leg);

CHECKED enum error audit_step(struct audit *audit, struct audit_trail *trail, struct bytes receipt);
CHECKED enum error audit_note(struct audit *audit, struct audit_trail *trail, struct bytes receipt);

#endif
