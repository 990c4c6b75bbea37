/* secret.c - guarded memory, on top of sodium_malloc. */
#include "secret.h"

#include <sodium.h>

enum error secret_new(size_t n, struct secret *ret) {
    uint8_t *p = sodium_malloc(n);
    if (!p) return E_NO_MEMORY;
    sodium_memzero(p, n);
    *ret = (struct secret){p, n};
    return E_OK;
}

enum error secret_copy(const void *from, size_t n, struct secret *ret) {
    struct secret secret;
    TRY(secret_new(n, &secret));
    if (n) memcpy(secret.p, from, n);
    *ret = secret;
    return E_OK;
}

enum error secret_random(size_t n, struct secret *ret) {
    struct secret secret;
    TRY(secret_new(n, &secret));
    randombytes_buf(secret.p, n);
    *ret = secret;
    return E_OK;
}

void secret_free(struct secret *secret) {
    sodium_free(secret->p);
    *secret = (struct secret){0};
}
