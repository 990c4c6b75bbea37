/* fuzz_sign1.c - COSE_Sign1 with the payload detached; the payload stays the same, so only the structure can vary. */
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct pair pair;
    static bool known;
    if (!known) pair = pair_of(DEVICE);
    known = true;
    struct bytes payload = {0}, sign1 = bytes_of(data, size), text = bytes_text("what is signed");
    fuzz_accepted = sign1_verify(pair.public, bytes_text("aad"), sign1, text, &payload) == E_OK;
    HOLDS(sign1_verify(pair.public, bytes_text("bad"), sign1, text, NULL) != E_OK);
    HOLDS(sign1_verify(pair.public, bytes_text("aad"), sign1, bytes_text("what is not"), NULL) != E_OK);
    if (fuzz_accepted) HOLDS(bytes_equal(payload, text) && size <= 256);
    if (sign1_is_narrow(sign1)) HOLDS(cbor_check(sign1) == E_OK);
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    AUTO_BUF sign1 = {0};
    sign1_sign(pair_of(DEVICE).secret, bytes_text("aad"), bytes_text("what is signed"), &sign1);
    HOLDS(sign1_is_narrow(buf_bytes(&sign1)));
    give(buf_bytes(&sign1));
}
