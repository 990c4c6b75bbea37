/* succession.h - what a party's authority says about its own key, and about itself and its posts as a whole: successions,
 * objections, departure, splits. Each becomes a statement file: a dossier {post = party or post, statements [the statement]}.
 *
 * A succession changes who the home is. What it needs is durable in the home before the statement leaves it, in this order:
 *   succession   the statement's file, as it will be given out; until succession_delivered
 *   keys.next    the keys after it: the next key as authority's, a fresh next
 *   identity     charter, all successions and this one: from here on it is made
 *   keys         replaced by keys.next. home_open does this where it was left undone
 * So a succession that was killed is given out again, the same bytes, by the next call; and one that was given out can be given
 * out again at any time. The old key is not kept: whatever it could still sign, its successor can, as the statement stands in
 * the identity, and every certificate carries it along.
 *
 * recover, take and object look at the directory first (outsider.h): a home made anew knows neither the party's charter nor what
 * was said since. recover and take put both into its identity. */
#ifndef SUCCESSION_H
#define SUCCESSION_H

#include "outsider.h"

/* With the pre-committed next key. again: the last one once more (E_UNKNOWN_REQUEST when there is none). passphrase: the
 * home's, for its new keys. */
CHECKED enum error succession_renew(struct home *authority, const char *passphrase, bool again, const char *out,
                                    struct failure *failure);
/* It is with the relay, or in the file that was asked for: the next call makes a new one. */
CHECKED enum error succession_delivered(const struct home *authority, struct failure *failure);

/* The party's recovery key names this home's key. *ret_done: the directory says so already, and no file was written.
 * E_NOT_ALLOWED: another recovery key than the party's. */
CHECKED enum error succession_recover(struct home *authority, const struct outsider *outsider, const char *recovery_key,
                                      const char *passphrase, const char *out, bool *ret_done, struct failure *failure);
/* This home's key, of which the registrars gave notice, takes over. E_NOTICE_RUNNING: since less than 14 days. */
CHECKED enum error succession_take(struct home *authority, const struct outsider *outsider, const char *out,
                                   bool *ret_done, struct failure *failure);
/* Against the notice that stands, by the authority's key or (recovery_key not NULL) by the recovery key. E_CONFLICT: none does. */
CHECKED enum error succession_contest(struct home *authority, const struct outsider *outsider, const char *recovery_key,
                                      const char *passphrase, const char *out, struct failure *failure);

CHECKED enum error succession_depart(struct home *authority, const char *reason, const char *out,
                                     struct failure *failure);
/* into NULL: back. */
CHECKED enum error succession_split(struct home *authority, const char *post, const char *const *into, size_t count,
                                    const char *out, struct failure *failure);

#endif
