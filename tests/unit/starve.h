/* starve.h - memory that runs out: the nth allocation from now fails. Include it once in a test program; it takes the
 * place of malloc, calloc and realloc (reallocarray uses the last). Not with AddressSanitizer, which has its own: there
 * CAN_STARVE is 0.
 *
 *     for (long n = 0; ; n++) {
 *         starve(n);
 *         error = the_call();
 *         if (!starve_end()) break;      it was not reached: the call had all it wanted
 *         assert(error == E_NO_MEMORY);
 *     } */
#ifndef STARVE_H
#define STARVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static long starve_left = -1;
static bool starve_reached;

static inline void starve(long n) {
    starve_left = n;
    starve_reached = false;
}

/* Plenty again; true when an allocation has failed. */
static inline bool starve_end(void) {
    starve_left = -1;
    return starve_reached;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STARVE_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(STARVE_ASAN)
#define CAN_STARVE 0
#else
#define CAN_STARVE 1
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static bool starved(void) {
    if (starve_left < 0 || starve_left-- > 0) return false;
    starve_reached = true;
    return true;
}
void *malloc(size_t n) { return starved() ? NULL : __libc_malloc(n); }
void *calloc(size_t count, size_t n) { return starved() ? NULL : __libc_calloc(count, n); }
void *realloc(void *p, size_t n) { return starved() ? NULL : __libc_realloc(p, n); }
#endif

#endif
