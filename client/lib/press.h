/* press.h - one part of a request on its way into the archive: plaintext in pieces of any size goes in, sealed and
 * padded chunks lie in the table CHUNK, their digests in order. At most one chunk is in memory. */
#ifndef PRESS_H
#define PRESS_H

#include "archive.h"
#include "content.h"

struct press {
    struct archive *archive;
    const uint8_t *content; /* name of the chunks' rows */
    struct content_context context;
    struct secret key;
    uint64_t padded, written, index;
    struct buf plain, digests;
};
void press_free(struct press *press);

/* Chooses the key. plain: how many bytes of plaintext will come. */
CHECKED enum error press_begin(struct press *press, uint64_t plain);
CHECKED enum error press_add(struct press *press, struct bytes bytes);
/* Pads; what the header says of this part. */
CHECKED enum error press_end(struct press *press, struct part *ret);

/* Row of a chunk. */
struct archive_key press_key(const uint8_t content[static HASH_SIZE], uint64_t part, uint64_t index);

#endif
