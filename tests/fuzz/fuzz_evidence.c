/* fuzz_evidence.c - receipts: what opens under the relay's key is what the relay signed; and with its place in the
 * evidence log, that it is there. */
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct made *good = made();
    struct evidence evidence, placed;
    struct head head;
    enum error error = evidence_open_logged(bytes_of(data, size), &good->card, &placed, &head);
    fuzz_accepted = evidence_open(bytes_of(data, size), good->relay.public, &evidence) == E_OK;
    HOLDS(error != E_OK || fuzz_accepted);
    if (!fuzz_accepted) return 0;
    HOLDS(error != E_OK || head.size == (placed.has_entry ? 11 : 0));
    HOLDS(memcmp(evidence.statement.header, good->digest, HASH_SIZE) == 0);
    HOLDS(evidence.has_entry == (evidence.statement.event == EVENT_STORED));
    HOLDS(evidence.statement.event == EVENT_STORED || evidence.statement.event == EVENT_REFUSED);
    HOLDS(!evidence.has_entry || evidence_follows(&evidence, -1, good->leg) == E_OK);
    HOLDS(evidence_open(bytes_of(data, size), good->device.public, &evidence) != E_OK);
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    give(buf_bytes(&made()->receipt));
    give(buf_bytes(&made()->refusal));
}
