/* counters.h - the counters that one transaction reads and changes, in memory until it is committed.
 *
 * A batch counts the same few things for each of its requests: what a party has open, what it has from one post to another. In the
 * store that would be a row and an index written anew each time; here it is once a batch. Whoever uses it loads a counter when it
 * is first asked for, and writes the changed ones before the commit. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include "error.h"
#include "own.h"

enum { COUNTER_KEY_SIZE = 160 };

struct counter {
    char key[COUNTER_KEY_SIZE];
    uint64_t value, stored; /* now; in the store */
    bool known;             /* loaded, and not dropped */
    int same_bucket;        /* the one before it in its bucket, or -1 */
};

struct counters {
    struct counter *all;
    size_t count, cap;
    int *buckets; /* cap of them, a power of two */
    uint8_t bucket_key[16];
};

/* The counter of that name; a new one is not known yet. E_INTERNAL for a longer name. The pointer is good until the next call. */
CHECKED enum error counters_find(struct counters *counters, const char *key, struct counter **ret);
/* All whose names begin so are unknown again. */
void counters_drop(struct counters *counters, const char *prefix);
void counters_clear(struct counters *counters);
void counters_free(struct counters *counters);

#endif
