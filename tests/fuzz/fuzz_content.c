/* fuzz_content.c - plaintexts of offers and bodies, and sealed words; the first byte picks which. */
#include "content.h"
#include "fuzz.h"
#include "made.h"

enum { WHICH_OFFER, WHICH_MANIFEST, WHICH_NOTE, WHICH_CHUNK };

static const uint8_t key[KEY_SIZE] = {5}, nonce[NONCE_SIZE] = {6};
static const struct content_context context = {.request = {1}, .device = {2}, .part = PART_BODY};

static bool open_offer(struct bytes plain) {
    struct offer offer;
    if (content_open_offer(plain, &made()->header, &offer) != E_OK) return false;
    HOLDS(bytes_are(offer.from, "de/technical"));
    HOLDS(!offer.exercise);
    return true;
}

static bool open_manifest(struct bytes plain) {
    struct manifest manifest;
    size_t size = 0;
    if (content_open_manifest(plain, &made()->header, &manifest, &size) != E_OK) return false;
    HOLDS(size > 0 && size <= plain.n);
    HOLDS(bytes_are(manifest.from, "de/technical"));
    return true;
}

static bool open_note(struct bytes sealed) {
    AUTO_BUF words = {0};
    if (content_open_note(key, nonce, made()->digest, made()->leg, sealed, &words) != E_OK) return false;
    HOLDS(bytes_are(buf_bytes(&words), "We cannot."));
    return true;
}

static bool open_chunk(struct bytes sealed) {
    AUTO_BUF plain = {0};
    if (content_open_chunk(&context, key, 0, true, sealed, &plain) != E_OK) return false;
    HOLDS(bytes_are(buf_bytes(&plain), "a piece"));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool (*const which[])(struct bytes) = {open_offer, open_manifest, open_note, open_chunk};
    fuzz_accepted = size > 0 && data[0] < LENGTH(which) && which[data[0]](bytes_of(data + 1, size - 1));
    return 0;
}

static void give_marked(void (*give)(struct bytes sample), uint8_t which, struct bytes bytes) {
    AUTO_BUF sample = {0};
    buf_add(&sample, &which, 1);
    buf_add_bytes(&sample, bytes);
    give(buf_bytes(&sample));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    const struct made *good = made();
    AUTO_BUF sealed = {0}, chunk = {0};
    assert_ok(content_seal_note(key, nonce, good->digest, good->leg, bytes_text("We cannot."), &sealed));
    assert_ok(content_seal_chunk(&context, key, 0, true, bytes_text("a piece"), &chunk));
    give_marked(give, WHICH_OFFER, buf_bytes(&good->offer_plain));
    give_marked(give, WHICH_MANIFEST, buf_bytes(&good->body_plain));
    give_marked(give, WHICH_NOTE, buf_bytes(&sealed));
    give_marked(give, WHICH_CHUNK, buf_bytes(&chunk));
}
