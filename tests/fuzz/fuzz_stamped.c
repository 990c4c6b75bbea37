/* fuzz_stamped.c - one signature over many payloads: what verifies is a payload that was signed, and no other. */
#include "fuzz.h"
#include "made.h"

enum { PAYLOADS = 5 };
static const char *const words[PAYLOADS] = {"first", "second", "third", "fourth", "fifth"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct pair pair;
    static bool known;
    if (!known) pair = pair_of(DEVICE);
    known = true;
    struct bytes payload, peeked;
    struct stamp_cache cache = {0};
    fuzz_accepted = stamp_verify(LABEL_PREKEY, pair.public, bytes_of(data, size), &payload) == E_OK;
    bool cached = stamp_verify_cached(LABEL_PREKEY, pair.public, bytes_of(data, size), &cache, NULL) == E_OK;
    HOLDS(fuzz_accepted == cached);
    HOLDS(!fuzz_accepted || stamp_verify_cached(LABEL_PREKEY, pair.public, bytes_of(data, size), &cache, NULL) == E_OK);
    HOLDS(stamp_verify(LABEL_HEADER, pair.public, bytes_of(data, size), NULL) != E_OK); /* under no other label */
    if (!fuzz_accepted) return 0;
    HOLDS(stamp_peek(bytes_of(data, size), &peeked) == E_OK && bytes_equal(peeked, payload));
    bool ours = false;
    for (size_t i = 0; i < PAYLOADS; i++) ours = ours || bytes_are(payload, words[i]);
    HOLDS(ours);
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    struct bytes payloads[PAYLOADS];
    struct buf stamped[PAYLOADS] = {0};
    AUTO_BUF one = {0};
    struct pair pair = pair_of(DEVICE);
    for (size_t i = 0; i < PAYLOADS; i++) payloads[i] = bytes_text(words[i]);
    assert_ok(stamp_sign(LABEL_PREKEY, pair.secret, payloads, PAYLOADS, stamped));
    assert_ok(stamp_sign_one(LABEL_PREKEY, pair.secret, payloads[0], &one));
    give(buf_bytes(&one));
    for (size_t i = 0; i < PAYLOADS; i++) {
        give(buf_bytes(&stamped[i]));
        buf_free(&stamped[i]);
    }
}
