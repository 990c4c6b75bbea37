/* label.c - label texts and the labelled digest. */
#include "label.h"

#include <assert.h>
#include <sodium.h>

static const char *const texts[] = {
#define LABEL(name, text) text,
#include "label.def"
#undef LABEL
};

struct bytes label_text(enum label label) {
    assert(label < LABEL_COUNT);
    return bytes_text(texts[label]);
}

void label_digest(enum label label, struct bytes bytes, uint8_t ret[static HASH_SIZE]) {
    static const uint8_t zero;
    struct bytes text = label_text(label);
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, text.p, text.n);
    crypto_generichash_update(&state, &zero, 1);
    if (bytes.n) crypto_generichash_update(&state, bytes.p, bytes.n);
    crypto_generichash_final(&state, ret, HASH_SIZE);
}
