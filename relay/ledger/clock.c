/* clock.c - ledger time. */
#include "clock.h"

#include <time.h>

#include "log.h"

static uint64_t ms_of(clockid_t id) {
    struct timespec at;
    clock_gettime(id, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

uint64_t clock_steady_ms(void) { return ms_of(CLOCK_BOOTTIME); }

void clock_start(struct ledger_clock *clock, struct instant last) {
    uint64_t wall = ms_of(CLOCK_REALTIME);
    *clock = (struct ledger_clock){.last_ms = last.ms, .steady_ms = clock_steady_ms()};
    if (wall + CLOCK_JUMP_MS < last.ms) {
        clock->halted = true;
        log_line(LOG_ERR,
                 "this machine's clock is behind the last entry of the ledger: nothing expires until it is set "
                 "right and the relay is started again");
    } else if (last.ms > 0 && wall > last.ms + CLOCK_BELIEVED_MS) {
        clock->halted = true;
        log_line(LOG_ERR,
                 "this machine's clock is years ahead of the last entry of the ledger: ledger time goes on without it "
                 "and nothing expires until it is set right and the relay is started again");
    } else if (wall > last.ms) {
        clock->last_ms = wall;
    }
}

struct instant clock_read(struct ledger_clock *clock) {
    uint64_t wall = ms_of(CLOCK_REALTIME), steady = clock_steady_ms();
    uint64_t expected = clock->last_ms + (steady - clock->steady_ms);
    clock->steady_ms = steady;
    bool jumped = wall > expected + CLOCK_JUMP_MS || wall + CLOCK_JUMP_MS < expected;
    if (jumped && !clock->halted) {
        clock->halted = true;
        log_line(LOG_ERR,
                 "this machine's clock has jumped: ledger time goes on without it and nothing expires until it is "
                 "set right and the relay is started again");
    }
    if (clock->halted)
        clock->last_ms = expected;
    else if (wall > clock->last_ms)
        clock->last_ms = wall;
    return (struct instant){clock->last_ms};
}
