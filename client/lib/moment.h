/* moment.h - this device's clock: shown, never trusted; and a clock that only runs forward, for waiting. */
#ifndef MOMENT_H
#define MOMENT_H

#include <time.h>

#include "own.h"

static inline struct instant moment_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct instant){(uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000};
}

static inline uint64_t moment_ticks_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
