/* broken.c - how a fuzz target begins, and how it says that something does not hold. */
#include <sodium.h>
#include <stdio.h>

#include "fuzz.h"

bool fuzz_accepted, fuzz_starved, fuzz_plenty;

__attribute__((constructor)) static void begin(void) {
    if (sodium_init() < 0) abort();
}

void fuzz_broken(const char *what, const char *file, int line) {
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}
