/* units.h - sizes and durations as people write them.
 *
 * size      a whole number and, at most, one unit: 512, 64kB, 1MB, 2GB (powers of 1000), 512KiB, 64MiB, 1GiB, 2TiB
 * (powers of 1024) duration  whole numbers, each with its unit, larger units first, each at most once: 30s, 10m, 24h,
 * 14d, 1h30m, 1d12h. A number without a unit is refused, since nobody agrees on what it would mean.
 *
 * Errors: E_BAD_TEXT (no such form), E_OUT_OF_RANGE (does not fit in 63 bits). */
#ifndef UNITS_H
#define UNITS_H

#include "own.h"

enum { UNITS_TEXT_SIZE = 40 };

CHECKED enum error units_number(struct bytes text, uint64_t *ret); /* decimal digits only */
CHECKED enum error units_size(struct bytes text, uint64_t *ret_bytes);
CHECKED enum error units_duration(struct bytes text, uint64_t *ret_s);

/* The shortest exact form, which the parsers above read back. */
void units_format_size(uint64_t bytes, char out[static UNITS_TEXT_SIZE]);
void units_format_duration(uint64_t s, char out[static UNITS_TEXT_SIZE]);

#endif
