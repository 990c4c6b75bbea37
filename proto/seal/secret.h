/* secret.h - guarded memory for secrets: the one type that holds them (sodium_malloc: guard pages, locked, wiped).
 *
 * struct secret owns its memory; secret_free wipes and frees; AUTO_SECRET does so at the end of scope. */
#ifndef SECRET_H
#define SECRET_H

#include "../limits.h"
#include "../own.h"

struct secret {
    uint8_t *p;
    size_t n;
};

CHECKED enum error secret_new(size_t n, struct secret *ret); /* zeroed */
CHECKED enum error secret_copy(const void *from, size_t n, struct secret *ret);
CHECKED enum error secret_random(size_t n, struct secret *ret);
void secret_free(struct secret *secret);
#define AUTO_SECRET __attribute__((cleanup(secret_free))) struct secret

#endif
