/* fuzz_directory.c - the next leaf of a directory that already holds two parties. Whatever is refused changes nothing;
 * what is taken grows it by one and is never taken twice. */
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct made *good = made();
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    struct directory *directory = directory_copy(good->world.directory);
    HOLDS(directory);
    uint64_t old = directory_size(directory);
    hash_directory(directory, before);
    fuzz_accepted = directory_apply(directory, bytes_of(data, size)) == E_OK;
    hash_directory(directory, after);
    HOLDS(directory_size(directory) == old + fuzz_accepted);
    HOLDS((memcmp(before, after, HASH_SIZE) != 0) == fuzz_accepted);
    HOLDS(!fuzz_accepted || directory_apply(directory, bytes_of(data, size)) != E_OK);
    directory_free(directory);
    return 0;
}

static void give_leaf(void (*give)(struct bytes sample), enum leaf_kind kind, const struct buf *stamped) {
    AUTO_BUF leaf = {0};
    leaf_bytes(kind, buf_bytes(stamped), made()->world.time + 5000, &leaf);
    give(buf_bytes(&leaf));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    AUTO_BUF charter_bytes = {0}, post_bytes = {0}, device_bytes = {0}, counter_bytes = {0}, revoke_bytes = {0},
             suspend_bytes = {0};
    struct charter charter = charter_of("zz", STRANGER);
    struct post post = post_of("de/policy", AUTHORITY, STRANGER + 1);
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 30, ROLE_READER),
                  known = device_of("de/technical", POST_KEY, DEVICE, ROLE_DECIDER);
    struct countersign countersign = countersign_of(&known, DEVICE + 1);
    struct revocation revocation = revocation_of("de/technical", DEVICE + 1, AUTHORITY);
    struct admission suspension = admission_of("fj", ACTION_SUSPEND, OTHER_AUTHORITY);
    memcpy(countersign.signer, pair_of(DEVICE + 1).public, KEY_SIZE);
    sign_charter(&charter, STRANGER, &charter_bytes);
    sign_post(&post, AUTHORITY, &post_bytes);
    sign_device(&device, POST_KEY, &device_bytes);
    sign_countersign(&countersign, DEVICE + 1, &counter_bytes);
    sign_revocation(&revocation, AUTHORITY, &revoke_bytes);
    sign_admission(&suspension, REGISTRAR, &suspend_bytes);
    give_leaf(give, LEAF_CHARTER, &charter_bytes);
    give_leaf(give, LEAF_POST, &post_bytes);
    give_leaf(give, LEAF_DEVICE, &device_bytes);
    give_leaf(give, LEAF_COUNTERSIGN, &counter_bytes);
    give_leaf(give, LEAF_REVOCATION, &revoke_bytes);
    give_leaf(give, LEAF_ADMISSION, &suspend_bytes);
}
