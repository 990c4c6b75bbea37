/* smoke.c - a deterministic driver for one fuzz target: every good sample must be taken; then samples are damaged -
 * flipped, cut, spliced, given hostile lengths, changed in their structure - always in the same order, until the count
 * or the time is used up. Nothing may crash, and no allocation may be larger than what a message can justify: malloc is
 * wrapped (meson.build), and outside of sanitizers the address space is limited as well. Given a folder, it leaves the good
 * samples there as well: smoke_card DIR && fuzz_card -rss_limit_mb=512 -max_total_time=180 DIR. */
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "cbor.h"
#include "fuzz.h"
#include "mutate.h"

#if defined(__has_feature) /* clang's way to say it */
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum {
    SAMPLES_MAX = 600,
    ALLOCATION_MAX = 8 * 1024 * 1024,
    SPACE_MAX = 256 * 1024 * 1024,
    ROUNDS = SANITIZED ? 12000 : 60000,
    SECONDS = 4,
    STRUCTURE_PLACES = 80,
    STARVED_MAX = 4000,
};

/* ---- memory ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

static long allocations_left = -1; /* until one fails; below 0: none does */

static bool starved(void) {
    if (fuzz_plenty || allocations_left < 0 || allocations_left-- > 0) return false;
    fuzz_starved = true;
    return true;
}

void *__wrap_malloc(size_t size) {
    HOLDS(size <= ALLOCATION_MAX);
    return starved() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    HOLDS(size == 0 || count <= ALLOCATION_MAX / size);
    return starved() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *p, size_t size) {
    HOLDS(size <= ALLOCATION_MAX);
    return starved() ? NULL : __real_realloc(p, size);
}

static void limit_space(void) {
    struct rlimit space = {.rlim_cur = SPACE_MAX, .rlim_max = SPACE_MAX};
    if (!SANITIZED) HOLDS(setrlimit(RLIMIT_AS, &space) == 0);
}

/* ---- chance that is the same every time ---- */

static uint64_t chance_state = 0x9e3779b97f4a7c15;

static size_t chance(size_t below) { /* xorshift64* */
    chance_state ^= chance_state >> 12;
    chance_state ^= chance_state << 25;
    chance_state ^= chance_state >> 27;
    return below ? (size_t)((chance_state * 0x2545f4914f6cdd1d) >> 16) % below : 0;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- samples ---- */

static struct buf samples[SAMPLES_MAX];
static size_t sample_count;

static void keep(struct bytes sample) {
    HOLDS(sample_count < SAMPLES_MAX);
    buf_add_bytes(&samples[sample_count], sample);
    HOLDS(!samples[sample_count++].failed);
}

static unsigned long tried, taken, failed;

/* From memory of exactly that size, so that a read beyond it shows. */
static void try(struct bytes input) {
    uint8_t *copy = malloc(input.n ? input.n : 1);
    HOLDS(copy);
    if (input.n) memcpy(copy, input.p, input.n);
    fuzz_accepted = false;
    LLVMFuzzerTestOneInput(copy, input.n);
    free(copy);
    tried++;
    taken += fuzz_accepted;
}

/* ---- damage ---- */

static void flip(struct buf *bytes) {
    for (size_t i = 1 + chance(3); i > 0 && bytes->n; i--) bytes->p[chance(bytes->n)] ^= (uint8_t)(1 << chance(8));
}

static void overwrite(struct buf *bytes) {
    static const uint8_t tempting[] = {0,    1,    0x17, 0x18, 0x1b, 0x3b, 0x5b, 0x5f, 0x7b, 0x7f,
                                       0x80, 0x9b, 0x9f, 0xbb, 0xbf, 0xd2, 0xf6, 0xfb, 0xff};
    if (bytes->n) bytes->p[chance(bytes->n)] = tempting[chance(sizeof tempting)];
}

static void cut(struct buf *bytes) { bytes->n = chance(bytes->n + 1); }

/* A head of any kind that claims far too much. */
static void blow_up(struct buf *bytes) {
    static const uint8_t kinds[] = {0x5a, 0x5b, 0x7a, 0x7b, 0x9a, 0x9b, 0xba, 0xbb};
    size_t at = chance(bytes->n);
    if (bytes->n < 10 || at > bytes->n - 9) return;
    bytes->p[at] = kinds[chance(sizeof kinds)];
    for (size_t i = 1; i < 9; i++) bytes->p[at + i] = (uint8_t)(chance(2) ? 0xff : chance(256));
    if (chance(2)) memset(bytes->p + at + 1, 0, 4);
}

static void splice(struct buf *bytes) {
    const struct buf *other = &samples[chance(sample_count)];
    size_t keep_n = chance(bytes->n + 1), from = chance(other->n + 1);
    bytes->n = keep_n;
    buf_add(bytes, other->p + from, other->n - from);
}

static void repeat(struct buf *bytes) {
    AUTO_BUF piece = {0};
    size_t from = chance(bytes->n), n = chance(bytes->n - from + 1);
    if (bytes->n > 64 * 1024) return;
    buf_add(&piece, bytes->p + from, n);
    buf_add(&piece, bytes->p + from, bytes->n - from);
    bytes->n = from;
    buf_add_bytes(bytes, buf_bytes(&piece));
}

static void damage(struct buf *bytes) {
    switch (chance(8)) {
    case 0: overwrite(bytes); break;
    case 1: cut(bytes); break;
    case 2: blow_up(bytes); break;
    case 3: splice(bytes); break;
    case 4: repeat(bytes); break;
    default: flip(bytes); break;
    }
}

/* ---- the run ---- */

/* A good sample with each of the allocations failing that it needs. Whoever is short of memory takes nothing that it would not
 * have taken otherwise, does not crash, and, as the sanitizers see, loses nothing; and with enough memory takes it again. */
static void try_starved(struct bytes sample) {
    for (long n = 0; n < STARVED_MAX; n++) {
        fuzz_starved = fuzz_accepted = false;
        allocations_left = n;
        LLVMFuzzerTestOneInput(sample.p, sample.n);
        allocations_left = -1;
        tried++;
        failed += fuzz_starved;
        if (!fuzz_starved) break;
    }
    fuzz_starved = false;
    try(sample);
    HOLDS(fuzz_accepted);
}

static void try_truncations(const struct buf *sample) {
    for (size_t n = 0; n < sample->n; n += 1 + sample->n / 2000) try(bytes_of(sample->p, n));
}

static void try_structure(const struct buf *sample) {
    bool past = false;
    if (sample->n > 4096 || cbor_check(buf_bytes(sample)) != E_OK) return;
    for (size_t place = 0; place < STRUCTURE_PLACES && !past; place++)
        for (unsigned mutation = 0; mutation < MUTATE_COUNT && !past; mutation++) {
            AUTO_BUF bytes = {0};
            if (mutate(buf_bytes(sample), place, (enum mutation)mutation, &bytes, &past)) try(buf_bytes(&bytes));
        }
}

static void try_chance(double end) {
    for (unsigned i = 0; i < ROUNDS && ((i & 63) || seconds() < end); i++) {
        AUTO_BUF bytes = {0};
        buf_add_bytes(&bytes, buf_bytes(&samples[chance(sample_count)]));
        for (size_t k = 1 + chance(3); k > 0; k--) damage(&bytes);
        if (!bytes.failed) try(buf_bytes(&bytes));
    }
}

/* The good samples as files, for libFuzzer to begin with. */
static void write_seeds(const char *folder) {
    for (size_t i = 0; i < sample_count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%03zu", folder, i);
        FILE *file = fopen(path, "wb");
        HOLDS(file && fwrite(samples[i].p, 1, samples[i].n, file) == samples[i].n && fclose(file) == 0);
    }
}

int main(int argc, char **argv) {
    double start = seconds();
    limit_space();
    fuzz_samples(keep);
    HOLDS(sample_count > 0);
    if (argc == 2) write_seeds(argv[1]);
    for (size_t i = 0; i < sample_count; i++) {
        try(buf_bytes(&samples[i]));
        HOLDS(fuzz_accepted);
    }
    for (size_t i = 0; i < sample_count && seconds() < start + SECONDS; i++) try_starved(buf_bytes(&samples[i]));
    for (size_t i = 0; i < sample_count && seconds() < start + SECONDS; i++) try_truncations(&samples[i]);
    for (size_t i = 0; i < sample_count && seconds() < start + 2 * SECONDS; i++) try_structure(&samples[i]);
    try_chance(seconds() + SECONDS);
    printf("%zu samples, %lu inputs, %lu of them taken, %lu short of memory, %.1f s\n", sample_count, tried, taken,
           failed, seconds() - start);
    HOLDS(tried > 1000);
    for (size_t i = 0; i < sample_count; i++) buf_free(&samples[i]);
    return 0;
}
