/* inspect.h - a store looked through from end to end by who trusts none of it: does every row say what its
 * signatures, hashes and the other rows say?
 *
 * Read-only, in one snapshot, also while the relay works on the store, and the same for a backup. Nothing is repaired
 * and nothing deleted: a finding names the table, the row, the request or leg that it belongs to, what does not fit,
 * and what to do.
 *
 *   structure   SQLite's own check of pages and indexes; tables and the types of columns are this version's
 *   leaf head tile receipt   both logs recomputed and replayed (audit.h): roots, heads also of witnesses and of the
 *               files beside the store, signatures, proofs; receipts filed under the right hash, leg, ordinal and index
 *   request chunk conflict   header's signature, places and root, digests of every chunk; chunks that are missing, or
 *               left over
 *   leg         derived again from its entries and compared; wrap sets' signatures
 *   feed        numbers without gaps, items that point to something of this post, and everything that it must be told
 *   prekey box sheet sheetwrap   by their signatures, or by the digest beside them
 *   quota meta  counters counted again
 *
 * Memory does not grow with the store, apart from the directory; time does: it reads all of it once. */
#ifndef INSPECT_H
#define INSPECT_H

#include "audit.h"
#include "card.h"

enum { INSPECT_WHAT_SIZE = 96, INSPECT_WORDS_SIZE = 512 };

struct inspect_finding {
    const char *table; /* empty: the file as a whole */
    bool has_row;
    int64_t row;                  /* its number: id, index, or in a feed its number */
    char what[INSPECT_WHAT_SIZE]; /* `leg 1e60…`, `request 4ead…`, `post de/technical`, or nothing */
    const char *name; /* of the kind, in JSON: audit_name, or `structure`, `mismatch`, `missing`, `left-over`... */
    enum error error;
    char words[INSPECT_WORDS_SIZE];
    const char *todo;
};

struct inspect_options {
    const char *store;
    const struct card *card;
    /* Heads kept outside the store: the notes, or empty. Read them before calling: the store may only be newer. */
    struct bytes outside[2]; /* of the directory, of the evidence log */
    void *context;
    enum error (*tell)(void *context, const struct inspect_finding *finding); /* an error ends it */
    void (*progress)(void *context, const char *table, uint64_t done);        /* may be NULL */
};

struct inspect_numbers {
    uint64_t findings, leaves, entries, receipts, requests, legs, chunks, items;
    uint64_t sizes[2]; /* of both logs */
    uint8_t roots[2][HASH_SIZE];
};

/* E_OK also when there are findings: ret->findings tells. E_IO, E_NO_MEMORY; E_CORRUPT: it cannot be read as a store
 * at all. */
CHECKED enum error inspect_store(const struct inspect_options *options, struct inspect_numbers *ret);

#endif
