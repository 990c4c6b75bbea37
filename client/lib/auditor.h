/* auditor.h - both logs of a relay audited (audit.h): from what it answers, or from a backup of its store.
 *
 * A guest has the card alone: directory entries, leaf hashes, heads, witnesses' words. A home adds its own receipts,
 * each of which must stand at its index, its legs' histories, the heads that it was given, and its copy of the
 * directory. A backup has every receipt.
 *
 * What was audited without a finding is remembered in the home (META "audit"): size and frontier of the evidence log,
 * so that the next audit reads only what is new, and notices when what it read then is no longer what is signed. A
 * receipt that came later for an index that was audited already makes the whole log be read again.
 *
 * What contradicts itself under two signatures becomes a proof file (fraud.h). */
#ifndef AUDITOR_H
#define AUDITOR_H

#include "audit.h"
#include "home.h"
#include "link.h"
#include "proofs.h"

enum { AUDITOR_WITNESSES = WITNESSES_MAX, AUDITOR_PATH_SIZE = 4200 };

struct auditor_sink {
    void *context;
    /* request, to: of a leg that this home holds; else NULL. An error ends the audit. */
    enum error (*tell)(void *context, const struct audit_finding *finding, const uint8_t *request, const char *to);
};

struct auditor_order {
    struct home *home; /* NULL: a guest */
    const struct card *card;
    struct relay *relay; /* NULL: of `backup` */
    const char *backup;  /* a folder that `pouchctl backup` has made, or a store's file */
    bool all;            /* from the beginning */
    struct auditor_sink sink;
};

struct auditor_result {
    uint64_t findings, sizes[2], from; /* from: of the evidence log, what an earlier audit had seen */
    uint8_t roots[2][HASH_SIZE];
    struct instant times[2];      /* of the newest heads; 0: there is none */
    uint64_t own, receipts, legs; /* receipts of this home; of the backup; legs whose history was judged */
    struct auditor_witness {
        uint64_t sizes[2]; /* of the newest head of each log that it has cosigned */
        uint64_t time_s[2];
    } witnesses[AUDITOR_WITNESSES]; /* in the card's order */
    size_t proofs;
    char proof[AUDITOR_PATH_SIZE]; /* the first */
};

/* E_OK also with findings. The link's errors; E_NO_FILE, E_CORRUPT: the backup cannot be read. */
CHECKED enum error auditor_run(const struct auditor_order *order, struct auditor_result *ret, struct failure *failure);

/* ---- inside (auditor.c, auditor_backup.c) ---- */
struct auditing {
    const struct auditor_order *order;
    struct auditor_result *result;
    struct audit *audit;
    struct failure *failure;
    struct auditor_own { /* of this home, by index */
        uint64_t index, ordinal;
        uint8_t leg[HASH_SIZE];
    } * own;
    size_t own_count, own_cap, own_at;
    uint64_t own_below;  /* below the size where this audit began */
    struct buf notes[2]; /* of the heads that were compared, as CBOR byte strings: for proofs */
    size_t note_count[2];
    bool contradicted[2];
};
/* A head of the relay's: compared, and the words of witnesses under it counted. */
CHECKED enum error auditor_head(struct auditing *auditing, enum relay_log log, struct bytes note);
/* The next leaf of the evidence log; receipt: of the source (p == NULL: it has none to give). The home's own is held
 * against it. */
CHECKED enum error auditor_leaf(struct auditing *auditing, const uint8_t hash[static HASH_SIZE], struct bytes receipt);
/* All of a backup: heads, leaves, entries; then its legs. */
CHECKED enum error auditor_read_backup(struct auditing *auditing);
CHECKED enum error auditor_backup_legs(struct auditing *auditing);

#endif
