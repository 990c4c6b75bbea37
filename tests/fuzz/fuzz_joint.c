/* fuzz_joint.c - what several sign together: what verifies is the payload that was signed, under no other label, by
 * enough of the right signers; joining it with itself changes nothing. */
#include "fuzz.h"
#include "made.h"

static const char words[] = "an order";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t keys[3][KEY_SIZE];
    static bool known;
    for (unsigned i = 0; i < 3 && !known; i++) memcpy(keys[i], pair_of(REGISTRAR + i).public, KEY_SIZE);
    known = true;
    struct bytes joint = bytes_of(data, size), payload;
    AUTO_BUF again = {0};
    const uint8_t(*all)[KEY_SIZE] = (const uint8_t(*)[KEY_SIZE])keys;
    fuzz_accepted = joint_verify(LABEL_ADMISSION, all, 3, 2, joint, &payload) == E_OK;
    HOLDS(joint_verify(LABEL_NOTICE, all, 3, 2, joint, NULL) != E_OK);
    enum error merged = joint_merge(joint, joint, &again);
    HOLDS(merged != E_OK || bytes_equal(buf_bytes(&again), joint));
    if (!fuzz_accepted) return 0;
    HOLDS(merged == E_OK);
    HOLDS(bytes_are(payload, words));
    HOLDS(joint_verify(LABEL_ADMISSION, all, 1, 2, joint, NULL) != E_OK);
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    AUTO_BUF begun = {0}, one = {0}, two = {0}, three = {0};
    assert_ok(joint_begin(bytes_text(words), &begun));
    assert_ok(joint_sign(LABEL_ADMISSION, pair_of(REGISTRAR).secret, buf_bytes(&begun), &one));
    assert_ok(joint_sign(LABEL_ADMISSION, pair_of(REGISTRAR + 1).secret, buf_bytes(&one), &two));
    assert_ok(joint_sign(LABEL_ADMISSION, pair_of(REGISTRAR + 2).secret, buf_bytes(&two), &three));
    give(buf_bytes(&two));
    give(buf_bytes(&three));
}
