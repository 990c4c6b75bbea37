/* body.h - content from the relay: chunks fetched with several under way, kept as they come, so that an interrupted
 * fetch goes on where it stopped; verified as a whole before anybody is told that it is here. */
#ifndef BODY_H
#define BODY_H

#include "kept.h"
#include "link.h"

/* Fetches what is missing of one part. leg NULL: as the sender's own post. The relay's refusals (E_NOT_ACCEPTED,
 * E_ERASED) are returned. Chunks go into the archive in the caller's transaction, or else every few of them in one. */
CHECKED enum error body_fetch(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                              const uint8_t *leg, const struct kept_request *request, enum part_number part,
                              struct failure *failure);
/* Forgets the chunks of a part: they did not verify. */
CHECKED enum error body_drop(struct home *home, const struct kept_request *request, enum part_number part);

/* Opens the chunks one by one, in order, and gives each plaintext with its place. The digest of the whole is checked at
 * the end: E_BAD_DIGEST, after the pieces were given. */
CHECKED enum error body_walk(struct home *home, const struct kept_request *request, enum part_number part,
                             enum error (*each)(void *context, uint64_t at, struct bytes plain), void *context);

/* The chunks of a part, all of which are here, have the digest that the header names; no key is needed. E_BAD_DIGEST: the
 * relay gave something else than what the sender had signed. */
CHECKED enum error body_intact(struct home *home, const struct kept_request *request, enum part_number part);

/* The body is what header and manifest promise, down to its padding. E_BAD_DIGEST, E_CANNOT_OPEN, E_MISMATCH,
 * E_BAD_PADDING. */
CHECKED enum error body_check(struct home *home, const struct kept_request *request);

/* A received body, whole: fetched, verified, kept; then the statement that it is here goes into the outbox, all in the
 * transaction that makes it so. */
CHECKED enum error body_receive(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                                const uint8_t leg[static HASH_SIZE], struct failure *failure);

#endif
