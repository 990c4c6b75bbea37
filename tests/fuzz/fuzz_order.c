/* fuzz_order.c - order files, which are carried from registrar to registrar: what opens can be signed and joined again
 * and stays the same order. */
#include "fuzz.h"
#include "made.h"
#include "registrar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct registrar_order order, again;
    struct bytes file = bytes_of(data, size);
    AUTO_BUF joined = {0}, more = {0};
    uint8_t seed[KEY_SIZE] = {99};
    fuzz_accepted = registrar_open(file, &order) == E_OK;
    HOLDS((registrar_combine(file, file, &joined) == E_OK) == fuzz_accepted);
    if (!fuzz_accepted) {
        HOLDS(registrar_sign(file, seed, &more) != E_OK);
        return 0;
    }
    HOLDS(bytes_equal(buf_bytes(&joined), file));
    if (order.signer_count == SIGNERS_MAX) return 0;
    NEEDS(registrar_sign(file, seed, &more) == E_OK);
    NEEDS(registrar_open(buf_bytes(&more), &again) == E_OK);
    HOLDS(again.kind == order.kind && again.signer_count == order.signer_count + 1);
    HOLDS(bytes_equal(again.party, order.party));
    return 0;
}

static void charter_file(struct buf *out) {
    AUTO_BUF stamped = {0}, items = {0};
    struct charter charter = charter_of("fj", OTHER_AUTHORITY);
    charter.has_recovery = true;
    memcpy(charter.recovery, pair_of(STRANGER).public, KEY_SIZE);
    sign_charter(&charter, OTHER_AUTHORITY, &stamped);
    dirstatement_encode(&(struct dirstatement){.kind = LEAF_CHARTER, .statement = buf_bytes(&stamped)}, &items);
    dossier_encode(&(struct dossier){.suite = SUITE, .post = charter.party, .statements = list_of(&items, 1)}, out);
    assert_ok(buf_error(out));
}

static void give_signed(void (*give)(struct bytes sample), const struct buf *order) {
    AUTO_BUF one = {0};
    uint8_t seed[KEY_SIZE] = {1};
    give(buf_bytes(order));
    assert_ok(registrar_sign(buf_bytes(order), seed, &one));
    give(buf_bytes(&one));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    AUTO_BUF file = {0}, admit = {0}, suspend = {0}, notice = {0};
    struct registrar_charter charter;
    struct admission admission = {.party = bytes_text("fj"), .action = ACTION_ADMIT, .created = {7}};
    charter_file(&file);
    assert_ok(registrar_open_charter(buf_bytes(&file), &charter));
    assert_ok(registrar_begin(&admission, &charter, &admit));
    admission.action = ACTION_SUSPEND;
    admission.has_reason = true;
    admission.reason = bytes_text("a letter");
    assert_ok(registrar_begin(&admission, NULL, &suspend));
    assert_ok(registrar_begin_notice(&charter, "fire", (struct instant){8}, &notice));
    give_signed(give, &admit);
    give_signed(give, &suspend);
    give_signed(give, &notice);
}
