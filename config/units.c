/* units.c - sizes and durations as people write them. */
#include "units.h"

#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: formatting takes the first that divides, and durations must come in this order. The powers of 1000
 * stand last so that formatting never chooses them. */
static const struct unit sizes[] = {
    {"TiB", (uint64_t)1 << 40},
    {"GiB", (uint64_t)1 << 30},
    {"MiB", (uint64_t)1 << 20},
    {"KiB", (uint64_t)1 << 10},
    {"B", 1},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"kB", 1000},
};
static const struct unit durations[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
enum { SIZES_FORMATTED = 4 };

/* Eats the digits at the front. */
static enum error eat_number(struct bytes *text, uint64_t *ret) {
    uint64_t value = 0;
    size_t n = 0;
    while (n < text->n && text->p[n] >= '0' && text->p[n] <= '9') {
        uint64_t digit = (uint64_t)(text->p[n++] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10) return E_OUT_OF_RANGE;
        value = value * 10 + digit;
    }
    if (n == 0) return E_BAD_TEXT;
    *text = bytes_of(text->p + n, text->n - n);
    *ret = value;
    return E_OK;
}

enum error units_number(struct bytes text, uint64_t *ret) {
    uint64_t value;
    TRY(eat_number(&text, &value));
    if (text.n) return E_BAD_TEXT;
    *ret = value;
    return E_OK;
}

enum error units_size(struct bytes text, uint64_t *ret_bytes) {
    uint64_t value;
    TRY(eat_number(&text, &value));
    if (text.n == 0) {
        *ret_bytes = value;
        return E_OK;
    }
    if (text.p[0] == ' ') text = bytes_of(text.p + 1, text.n - 1); /* "64 MiB" */
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        if (!bytes_are(text, sizes[i].name)) continue;
        if (value > (uint64_t)INT64_MAX / sizes[i].factor) return E_OUT_OF_RANGE;
        *ret_bytes = value * sizes[i].factor;
        return E_OK;
    }
    return E_BAD_TEXT;
}

enum error units_duration(struct bytes text, uint64_t *ret_s) {
    uint64_t sum = 0;
    size_t next = 0; /* units before this one have been used or passed over */
    if (text.n == 0) return E_BAD_TEXT;
    while (text.n) {
        uint64_t value;
        TRY(eat_number(&text, &value));
        while (next < LENGTH(durations) && !(text.n && text.p[0] == (uint8_t)durations[next].name[0])) next++;
        if (next == LENGTH(durations)) return E_BAD_TEXT;
        if (value > ((uint64_t)INT64_MAX - sum) / durations[next].factor) return E_OUT_OF_RANGE;
        sum += value * durations[next++].factor;
        text = bytes_of(text.p + 1, text.n - 1);
    }
    *ret_s = sum;
    return E_OK;
}

void units_format_size(uint64_t bytes, char out[static UNITS_TEXT_SIZE]) {
    for (size_t i = 0; i < SIZES_FORMATTED; i++) {
        if (bytes == 0 || bytes % sizes[i].factor) continue;
        snprintf(out, UNITS_TEXT_SIZE, "%llu%s", (unsigned long long)(bytes / sizes[i].factor), sizes[i].name);
        return;
    }
    snprintf(out, UNITS_TEXT_SIZE, "%llu", (unsigned long long)bytes);
}

void units_format_duration(uint64_t s, char out[static UNITS_TEXT_SIZE]) {
    size_t n = 0;
    if (s == 0) snprintf(out, UNITS_TEXT_SIZE, "0s");
    for (size_t i = 0; i < LENGTH(durations); i++) {
        uint64_t count = s / durations[i].factor;
        s %= durations[i].factor;
        if (count == 0) continue;
        int added = snprintf(out + n, UNITS_TEXT_SIZE - n, "%llu%s", (unsigned long long)count, durations[i].name);
        n += (size_t)added;
    }
}
