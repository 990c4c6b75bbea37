/* fuzz_directory.c - the next leaf of a directory that already holds two parties, a notice, and a post to split.
 * Whatever is refused changes nothing; what is taken grows it by one and is never taken twice. */
#include "fuzz.h"
#include "made.h"

static struct directory *base;

static void free_base(void) { directory_free(base); }

static struct notice standing_notice(void) {
    struct notice notice = notice_of("de", STRANGER + 2, STRANGER + 3);
    notice.created.ms = 1;
    return notice;
}

static void add_to_base(enum leaf_kind kind, const struct buf *statement) {
    AUTO_BUF leaf = {0};
    leaf_bytes(kind, buf_bytes(statement), made()->world.time + 1000, &leaf);
    assert_ok(directory_apply(base, buf_bytes(&leaf)));
}

static void make_base(void) {
    AUTO_BUF post_bytes = {0}, notice_bytes = {0};
    struct post post = post_of("de/other", AUTHORITY, STRANGER + 6);
    struct notice notice = standing_notice();
    base = directory_copy(made()->world.directory);
    HOLDS(base);
    atexit(free_base);
    sign_post(&post, AUTHORITY, &post_bytes);
    sign_notice(&notice, REGISTRAR, &notice_bytes);
    add_to_base(LEAF_POST, &post_bytes);
    add_to_base(LEAF_NOTICE, &notice_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!base) make_base();
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    fuzz_plenty = true;
    struct directory *directory = directory_copy(base);
    fuzz_plenty = false;
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

static const char *const into[] = {"de/other", NULL};

/* The newer kinds: each fits the world as it is made. */
static void give_newer(void (*give)(struct bytes sample));

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
    suspension.created.ms = 1000; /* younger than the world's, which another file has counted */
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
    give_newer(give);
}

static void give_newer(void (*give)(struct bytes sample)) {
    AUTO_BUF items = {0}, sheets = {0}, nominate_bytes = {0}, notice_bytes = {0}, object_bytes = {0},
             depart_bytes = {0}, split_bytes = {0}, contact_bytes = {0}, extend_bytes = {0}, sister_bytes = {0},
             issued_bytes = {0};
    struct admission nomination = nomination_of("yy", "A party to be");
    struct notice notice = notice_of("fj", STRANGER + 4, STRANGER + 5), standing = standing_notice();
    struct succession objection = succession_of("de", SUCCESSION_OBJECT, AUTHORITY, 0, 0);
    objection.has_notice = true;
    hash_notice(&standing, objection.notice);
    struct departure departure = departure_of("fj", OTHER_AUTHORITY);
    struct split split = split_of("de/technical", AUTHORITY, into, &items);
    struct contact contact = contact_of("de/technical", DEVICE, 2, &sheets);
    struct device extended = device_of("de/technical", DEVICE, DEVICE, ROLE_DECIDER),
                  issued = device_of("de/technical", AUTHORITY, DEVICE + 31, ROLE_BELL);
    struct revocation by_sister = revocation_of("de/technical", DEVICE + 1, DEVICE);
    extended.not_after.ms = made()->world.time + 390 * DAY_MS;
    sign_admission(&nomination, REGISTRAR, &nominate_bytes);
    sign_notice(&notice, REGISTRAR, &notice_bytes);
    sign_succession(&objection, AUTHORITY, &object_bytes);
    sign_departure(&departure, OTHER_AUTHORITY, &depart_bytes);
    sign_split(&split, AUTHORITY, &split_bytes);
    sign_contact(&contact, DEVICE, &contact_bytes);
    sign_device(&extended, DEVICE, &extend_bytes);
    sign_device(&issued, AUTHORITY, &issued_bytes);
    sign_revocation(&by_sister, DEVICE, &sister_bytes);
    give_leaf(give, LEAF_ADMISSION, &nominate_bytes);
    give_leaf(give, LEAF_NOTICE, &notice_bytes);
    give_leaf(give, LEAF_SUCCESSION, &object_bytes);
    give_leaf(give, LEAF_DEPARTURE, &depart_bytes);
    give_leaf(give, LEAF_SPLIT, &split_bytes);
    give_leaf(give, LEAF_CONTACT, &contact_bytes);
    give_leaf(give, LEAF_DEVICE, &extend_bytes);
    give_leaf(give, LEAF_DEVICE, &issued_bytes);
    give_leaf(give, LEAF_REVOCATION, &sister_bytes);
}
