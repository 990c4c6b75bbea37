/* moment.h - this device's clock: shown, never trusted; and a clock that only runs forward, for waiting. */
#ifndef MOMENT_H
#define MOMENT_H

#include <stdio.h>
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

enum { MOMENT_SIZE = 40 };
/* As people read it who live in different places: 2026-05-17 09:30 UTC. */
static inline const char *moment_text(struct instant at, char ret[static MOMENT_SIZE]) {
    time_t seconds = (time_t)(at.ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(ret, MOMENT_SIZE, "%Y-%m-%d %H:%M UTC", &parts) == 0)
        (void)snprintf(ret, MOMENT_SIZE, "an unknown time");
    return ret;
}

#endif
