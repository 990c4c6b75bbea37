/* directory_index.h - from a name or key to the position of its record: the look-up table beneath directory.c.
 *
 * One open-addressing table for all kinds of keys. A key is reduced, with its space, to 16 bytes by BLAKE2b under a
 * random key of this process: nobody outside can aim at one slot or make two keys equal, so the digest alone is kept
 * and compared. Nothing is ever removed, because the log never forgets.
 *
 * Order of calls: index_reserve, which may fail, then as many index_put as were reserved, which may not. */
#ifndef DIRECTORY_INDEX_H
#define DIRECTORY_INDEX_H

#include "limits.h"
#include "own.h"

enum { INDEX_DIGEST_SIZE = 16, INDEX_SECRET_SIZE = 32 };

/* What kind of key: equal bytes in different spaces are different keys. */
enum index_space {
    INDEX_PARTY,       /* name -> party */
    INDEX_POST,        /* name -> post */
    INDEX_DEVICE,      /* signing key -> device */
    INDEX_TRANSPORT,   /* transport key -> device */
    INDEX_CERTIFICATE, /* hash of a device certificate -> device */
    INDEX_STATEMENT,   /* hash of any statement that the log holds */
    INDEX_KEY,         /* any public key that ever stood in the log */
};

struct index_slot {
    uint8_t digest[INDEX_DIGEST_SIZE];
    uint32_t at; /* position plus one; 0: free */
};

struct index {
    uint8_t secret[INDEX_SECRET_SIZE];
    struct index_slot *slots;
    size_t capacity, used; /* capacity is 0 or a power of two, at least twice `used` */
};

void index_init(struct index *index);
void index_free(struct index *index);
CHECKED enum error index_copy(const struct index *index, struct index *ret);

/* Makes room for `more` keys. */
CHECKED enum error index_reserve(struct index *index, size_t more);
/* A key that is there already gets the new position. */
void index_put(struct index *index, enum index_space space, struct bytes key, uint32_t at);
bool index_get(const struct index *index, enum index_space space, struct bytes key, uint32_t *ret_at);
bool index_has(const struct index *index, enum index_space space, struct bytes key);

#endif
