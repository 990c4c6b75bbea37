/* fuzz_legs.c - what a recipient is given: place and path must lead to the header's root. */
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct offered offered;
    struct opening opening;
    uint8_t leg[HASH_SIZE];
    const struct made *good = made();
    fuzz_accepted = false;
    if (offered_decode(bytes_of(data, size), &offered) != E_OK) return 0;
    if (legs_verify(&offered.place, offered.path, good->header.legs, &opening, leg) != E_OK) return 0;
    HOLDS(memcmp(leg, good->leg, HASH_SIZE) == 0);
    HOLDS(offered.place.position == good->place.position);
    HOLDS(bytes_are(opening.to, "fj/national"));
    fuzz_accepted = true;
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) { give(buf_bytes(&made()->offered)); }
