/* fuzz_wrapping.c - wrap sets: only a wrap that was made for this device, header and leg opens, and to the same keys.
 */
#include "fuzz.h"
#include "made.h"
#include "wrapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct made *good = made();
    struct wrapset set;
    struct wrap wrap;
    struct wrapped keys;
    AUTO_BUF plain = {0};
    fuzz_accepted = false;
    if (wrapset_decode(bytes_of(data, size), &set) != E_OK) return 0;
    if (wrapping_find(&set, pair_of(DEVICE + 10).public, &wrap) != E_OK) return 0;
    if (wrapping_open(&set, &wrap, good->prekey_secret, NULL, &plain, &keys) != E_OK) return 0;
    HOLDS(memcmp(set.header, good->digest, HASH_SIZE) == 0 && memcmp(set.leg, good->leg, HASH_SIZE) == 0);
    HOLDS(set.generation == 1 && keys.has_offer_key && keys.offer_key[0] == 1 && keys.body_key[0] == 2);
    fuzz_accepted = true;
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) { give(buf_bytes(&made()->wrapset)); }
