/* fuzz.h - what the fuzz targets share.
 *
 * A target is one file: LLVMFuzzerTestOneInput gives the bytes to one parser and aborts when something that must hold
 * does not. With clang and -Dfuzzers=true each is a libFuzzer program; in every build each is linked with smoke.c,
 * which damages good samples in a fixed order. The samples are made by the code that makes such bytes in earnest. */
#ifndef FUZZ_H
#define FUZZ_H

#include "own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Hands good inputs to `give`, one after the other; each must be accepted. */
void fuzz_samples(void (*give)(struct bytes sample));
/* Whether the last input was taken by the parser. */
extern bool fuzz_accepted;
/* An allocation was made to fail in this run (smoke.c): what a target computes to compare with may be missing. */
extern bool fuzz_starved;
/* While it is set none fails: for what a target prepares before it gives the bytes to the parser. */
extern bool fuzz_plenty;

#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition) && !fuzz_starved) fuzz_broken(#condition, __FILE__, __LINE__);                                \
    } while (0)
/* HOLDS, and ends the target where an allocation failed and it does not: what follows would read what is not there. */
#define NEEDS(condition)                                                                                               \
    do {                                                                                                               \
        bool holds = (condition);                                                                                      \
        if (!holds && fuzz_starved) return 0;                                                                          \
        if (!holds) fuzz_broken(#condition, __FILE__, __LINE__);                                                       \
    } while (0)
_Noreturn void fuzz_broken(const char *what, const char *file, int line);

#endif
