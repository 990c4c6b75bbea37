/* kept.h - the records of the archive as values: requests, legs, alarms, numbers, what is to be sent.
 *
 * A loaded record owns the bytes that its views borrow (in `bytes`); kept_*_free ends it. */
#ifndef KEPT_H
#define KEPT_H

#include "archive.h"
#include "header.h"
#include "stamp.h"

struct kept_request {
    struct keptrequest record;
    struct header header; /* decoded from record.header */
    struct buf bytes;
};
void kept_request_free(struct kept_request *request);
#define AUTO_REQUEST __attribute__((cleanup(kept_request_free))) struct kept_request

struct kept_leg {
    struct keptleg record;
    uint8_t leg[HASH_SIZE];
    struct buf bytes;
};
void kept_leg_free(struct kept_leg *leg);
#define AUTO_LEG __attribute__((cleanup(kept_leg_free))) struct kept_leg

/* E_UNKNOWN_REQUEST when it is not here. */
CHECKED enum error kept_load(struct archive *archive, const uint8_t digest[static HASH_SIZE], struct kept_request *ret);
CHECKED enum error kept_save(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                             const struct keptrequest *record);
/* A new one: gives it its number, lists it, and files a reply under its parent. */
CHECKED enum error kept_add(struct archive *archive, const uint8_t digest[static HASH_SIZE], struct keptrequest *record,
                            const struct header *header);

CHECKED enum error kept_leg_load(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                                 const uint8_t leg[static HASH_SIZE], struct kept_leg *ret);
CHECKED enum error kept_leg_save(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                                 const uint8_t leg[static HASH_SIZE], const struct keptleg *record);
/* All legs of a request, in the order of their places (so recipients' order tells nothing). */
struct kept_legs {
    struct kept_leg *legs;
    size_t count;
};
void kept_legs_free(struct kept_legs *legs);
#define AUTO_LEGS __attribute__((cleanup(kept_legs_free))) struct kept_legs
CHECKED enum error kept_legs_load(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                                  struct kept_legs *ret);

/* Nothing more will happen to this leg by itself: terminal, acknowledged, refused for good, or forwarded from here. */
bool kept_leg_settled(const struct keptleg *leg);
/* The relay holds it. */
bool kept_leg_stored(const struct keptleg *leg);
/* Refused for good, by the relay's words. */
bool kept_leg_refused(const struct keptleg *leg);

CHECKED enum error kept_number(struct archive *archive, enum archive_table table, struct archive_key key,
                               uint64_t *ret);
CHECKED enum error kept_number_set(struct archive *archive, enum archive_table table, struct archive_key key,
                                   uint64_t value);

/* What the relay said last; zeros and the protocol's own limits before that. */
CHECKED enum error kept_relay(struct archive *archive, struct keptrelay *ret);

enum outgoing_kind { OUTGOING_REQUEST = 1, OUTGOING_STATEMENT };
CHECKED enum error kept_outgoing_add(struct archive *archive, const struct outgoing *outgoing);

/* META: set when numbers are missing, so that the feed is read anew. */
#define KEPT_FEED_GAP "feed gap"

/* Notes something that does not hold, in words: never shown as content, never dropped. */
CHECKED enum error kept_alarm(struct archive *archive, const char *text, ...) __attribute__((format(printf, 2, 3)));
/* The same with the signed bytes that show it: two entries with one ordinal prove the relay's fraud. */
CHECKED enum error kept_alarm_proof(struct archive *archive, struct bytes proof, const char *text, ...)
    __attribute__((format(printf, 3, 4)));

#endif
