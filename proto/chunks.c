/* chunks.c - how a part falls into chunks, and the digests that let each be checked alone. */
#include "chunks.h"

uint64_t chunks_count(uint64_t length) {
    if (length > PART_MAX) return 0;
    uint64_t whole = length / CHUNK_SIZE, rest = length % CHUNK_SIZE;
    if (rest == 0) return whole;
    return rest > TAG_SIZE ? whole + 1 : 0; /* a last chunk that is all tag would have no plaintext */
}

size_t chunks_size(uint64_t length, uint64_t index) {
    uint64_t count = chunks_count(length);
    if (index >= count) return 0;
    return index + 1 < count ? CHUNK_SIZE : (size_t)(length - index * CHUNK_SIZE);
}

void chunk_digest(struct bytes chunk, uint8_t ret[static HASH_SIZE]) { label_digest(LABEL_CHUNK_DIGEST, chunk, ret); }

void part_digest(struct bytes digests, uint8_t ret[static HASH_SIZE]) { label_digest(LABEL_PART_DIGEST, digests, ret); }

enum error chunks_check_digests(uint64_t length, const uint8_t digest[static HASH_SIZE], struct bytes digests) {
    uint64_t count = chunks_count(length);
    if (count == 0 || digests.n % HASH_SIZE || digests.n / HASH_SIZE != count) return E_BAD_DIGEST;
    uint8_t got[HASH_SIZE];
    part_digest(digests, got);
    return memcmp(got, digest, HASH_SIZE) == 0 ? E_OK : E_BAD_DIGEST;
}
