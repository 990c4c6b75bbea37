/* clock.h - ledger time: one never-decreasing time a batch.
 *
 * It follows the machine's wall clock. When that disagrees by more than CLOCK_JUMP_MS with the steady clock - a jump,
 * by hand or by a broken time source - ledger time goes on by the steady clock and expiry is halted until the operator
 * has looked and restarted the relay: a leg must not expire because a clock went wrong.
 *
 * While the relay is down there is no steady clock to compare with. A time before the last batch, or later than it by
 * more than CLOCK_BELIEVED_MS, is no time at which this relay can be started again, and is treated as such a jump: no
 * device that was certified before would be valid any more. What lies between is an outage (outage.c). */
#ifndef CLOCK_H
#define CLOCK_H

#include "limits.h"
#include "own.h"

enum { CLOCK_JUMP_MS = 60 * 1000 };
#define CLOCK_BELIEVED_MS ((uint64_t)2 * 365 * DAY_MS)

struct ledger_clock {
    uint64_t last_ms, steady_ms; /* ledger time and steady clock when it was last read */
    bool halted;
};

/* last: ledger time of the last batch in the store; 0 for a new one. */
void clock_start(struct ledger_clock *clock, struct instant last);
struct instant clock_read(struct ledger_clock *clock);

/* Counts on whatever anybody sets; of no day and no year. For pauses, not for what is recorded. */
uint64_t clock_steady_ms(void);

#endif
