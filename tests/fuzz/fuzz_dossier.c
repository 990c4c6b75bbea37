/* fuzz_dossier.c - certificate, request and revocation files: decoded, taken apart, and checked as one owner's chain.
 */
#include "chain.h"

#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct dossier dossier;
    struct chain chain = {0};
    fuzz_accepted = false;
    if (dossier_decode(bytes_of(data, size), &dossier) != E_OK) return 0;
    if (chain_read(&dossier, &chain) != E_OK) return 0;
    if (chain_check(&chain, dossier.post) != E_OK) return 0;
    HOLDS(bytes_are(dossier.post, "de/technical"));
    HOLDS(memcmp(chain.device.device, pair_of(DEVICE).public, KEY_SIZE) == 0);
    fuzz_accepted = true;
    return 0;
}

static void put(enum leaf_kind kind, const struct buf *stamped, struct buf *out) {
    dirstatement_encode(&(struct dirstatement){.kind = (uint64_t)kind, .statement = buf_bytes(stamped)}, out);
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    AUTO_BUF charter_bytes = {0}, post_bytes = {0}, device_bytes = {0}, counter_bytes = {0}, statements = {0},
             file = {0};
    struct charter charter = charter_of("de", AUTHORITY);
    struct post post = post_of("de/technical", AUTHORITY, POST_KEY);
    struct device device = device_of("de/technical", POST_KEY, DEVICE, ROLE_DECIDER);
    struct countersign countersign = countersign_of(&device, AUTHORITY);
    sign_charter(&charter, AUTHORITY, &charter_bytes);
    sign_post(&post, AUTHORITY, &post_bytes);
    sign_device(&device, POST_KEY, &device_bytes);
    sign_countersign(&countersign, AUTHORITY, &counter_bytes);
    put(LEAF_CHARTER, &charter_bytes, &statements);
    put(LEAF_POST, &post_bytes, &statements);
    put(LEAF_DEVICE, &device_bytes, &statements);
    put(LEAF_COUNTERSIGN, &counter_bytes, &statements);
    dossier_encode(&(struct dossier){.post = bytes_text("de/technical"), .statements = list_of(&statements, 4)}, &file);
    give(buf_bytes(&file));
}
