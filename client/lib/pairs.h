/* pairs.h - secrets shared with other parties, exchanged by hand, under which wraps are sealed as well (HPKE psk mode).
 *
 * A secret is 32 random bytes; its id is the first PREKEY_ID_SIZE bytes of its labelled digest (PAIR), which both sides
 * show. Several secrets with one party may exist while they are changed: senders use the newest, recipients the one
 * that the wrap names. Beside the secrets stands one rule a party: that nothing may go to it without one.
 *
 * The rule for a request (DESIGN section 4): if any of its recipients' parties requires a secret, or a secret is shared
 * with the parties of all of them, all its legs' wraps are made under one; else none is. A request must not mix:
 * pairs_groups says how a list of recipients falls into such requests. The wrap set for the sender's own post is always
 * made without.
 *
 * Records are the `pairsecret` objects of the table PAIR; that of the rule has an id of zeros. They are shared among a
 * post's devices by parcels: of two records of one id the later changed one counts, so a removed secret stays as a
 * record without bytes. */
#ifndef PAIRS_H
#define PAIRS_H

#include "home.h"
#include "kept.h"
#include "wrapping.h"

/* A secret in use: the view `psk` points into `secret`. Freed with secret_free(&key.secret). */
struct pair_key {
    struct secret secret;
    struct wrapping_psk psk;
};
void pair_key_free(struct pair_key *key);
#define AUTO_PAIR __attribute__((cleanup(pair_key_free))) struct pair_key

struct pair_view {
    char party[PARTY_MAX + 1];
    uint8_t id[PREKEY_ID_SIZE];
    struct instant created;
    bool none;     /* the party's rule alone: there is no secret */
    bool required; /* by the party's rule */
    bool in_use;   /* the newest: what is sealed from now on is sealed under it */
};

void pairs_id(const uint8_t secret[static KEY_SIZE], uint8_t ret[static PREKEY_ID_SIZE]);

/* Keeps a secret shared with a party of the directory, and, with `require`, the rule. Known already: fine, unless it
 * was removed here (E_CONFLICT). E_UNKNOWN_PARTY, E_USAGE (the own party). */
CHECKED enum error pairs_add(struct home *home, const char *party, const uint8_t secret[static KEY_SIZE], bool require,
                             uint8_t ret_id[static PREKEY_ID_SIZE], struct failure *failure);
/* Sets or ends the rule, also where there is no secret yet. */
CHECKED enum error pairs_require(struct home *home, const char *party, bool required, struct failure *failure);
/* Destroys a secret. typed: the id or its beginning, in hex. E_UNKNOWN_PAIR, E_AMBIGUOUS. */
CHECKED enum error pairs_remove(struct home *home, const char *party, const char *typed, struct failure *failure);
/* All of them, by party and age; to be freed. */
CHECKED enum error pairs_list(struct home *home, struct pair_view **ret, size_t *ret_count);

/* For parcels: appends every record, encoded, at most PARCEL_ITEMS_MAX; and takes a sister's records in. */
CHECKED enum error pairs_records(struct home *home, struct buf *ret_items, size_t *ret_count);
CHECKED enum error pairs_apply(struct home *home, const struct list *pairs);

/* ---- sealing and opening ---- */
CHECKED enum error pairs_required(struct home *home, struct bytes party, bool *ret);
/* The newest secret with a post's party; *ret_found false: there is none. */
CHECKED enum error pairs_newest(struct home *home, struct bytes post, struct pair_key *ret, bool *ret_found);
/* The one with this id: E_UNKNOWN_PAIR. */
CHECKED enum error pairs_find(struct home *home, struct bytes post, const uint8_t id[static PREKEY_ID_SIZE],
                              struct pair_key *ret);

/* ret[i]: the request (0 or 1) that recipient i goes into; *ret_groups: how many there are. E_PAIR_REQUIRED: a party
 * requires a secret and there is none. */
CHECKED enum error pairs_groups(struct home *home, const char (*posts)[POST_MAX + 1], size_t count, uint8_t *ret,
                                size_t *ret_groups, struct failure *failure);
/* Are the wraps of a request with these legs made under shared secrets? The same rule, asked again when they are made:
 * E_PAIR_REQUIRED when a secret that is required has been removed since. */
CHECKED enum error pairs_apply_to(struct home *home, const struct kept_legs *legs, bool *ret);

#endif
