/* fuzz_cbor.c - the strict cursor: what it takes as one item, it walks to its end and finds nothing else. */
#include "cbor.h"
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes bytes = bytes_of(data, size);
    fuzz_accepted = cbor_check(bytes) == E_OK;
    struct cbor_in in = cbor_in(bytes);
    struct bytes item = cbor_item(&in);
    HOLDS(fuzz_accepted == (in.error == E_OK && item.n == size));
    if (!fuzz_accepted) return 0;
    HOLDS(item.p == data && cbor_end(&in) == E_OK);
    for (size_t n = 0; n < size && n < 64; n++)
        HOLDS(cbor_check(bytes_of(data, n)) != E_OK); /* no prefix is an item too */
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    AUTO_BUF deep = {0};
    for (int i = 0; i < CBOR_DEPTH_MAX - 2; i++) cbor_put_array(&deep, 1);
    cbor_put_int(&deep, INT64_MIN);
    give(buf_bytes(&deep));
    give(buf_bytes(&made()->offered));
    give(buf_bytes(&made()->receipt));
}
