/* chunks.h - the arithmetic of ciphertext in chunks, for both ends. No key is needed here, and none is used.
 *
 * A part's plaintext is cut into pieces of CHUNK_PLAIN bytes (the last may be shorter, never empty); each becomes a chunk
 * TAG_SIZE bytes longer. part.length is the sum of the chunks. part.digest is the labelled BLAKE2b-256 (PART_DIGEST) over
 * the concatenated labelled digests (CHUNK_DIGEST) of the chunks, so a chunk is checked alone and nothing is read twice. */
#ifndef CHUNKS_H
#define CHUNKS_H

#include "label.h"

/* How many chunks a part of this many ciphertext bytes has; 0 when no part can have that length. */
uint64_t chunks_count(uint64_t length);
/* Size of chunk `index` of such a part; 0 when there is none. */
size_t chunks_size(uint64_t length, uint64_t index);

void chunk_digest(struct bytes chunk, uint8_t ret[static HASH_SIZE]);
/* digests: all of them, concatenated. */
void part_digest(struct bytes digests, uint8_t ret[static HASH_SIZE]);

/* The list of digests fits the part: count and digest. E_BAD_DIGEST. */
CHECKED enum error chunks_check_digests(uint64_t length, const uint8_t digest[static HASH_SIZE], struct bytes digests);

#endif
