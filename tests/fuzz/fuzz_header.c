/* fuzz_header.c - a signed header: only the one that was signed opens. */
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct header header;
    uint8_t digest[HASH_SIZE];
    const struct made *good = made();
    fuzz_accepted = header_open(bytes_of(data, size), &header, digest) == E_OK;
    if (fuzz_accepted && memcmp(header.device, good->device.public, KEY_SIZE) == 0)
        HOLDS(memcmp(digest, good->digest, HASH_SIZE) == 0);
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) { give(buf_bytes(&made()->header_stamped)); }
