/* forger.h - a relay's operator who lies about the directory. He has every key that the relay has, so his heads and
 * promises are signed as they should be; he has no key of a party, post or registrar.
 *
 * A forger keeps a log of his own, begun as a copy of the real one, and puts it into what a double (double.h) answers:
 * size, root, leaves, heads, and promises. Given to the double with
 *     double_script_set(&stage_double, forger_answers, forger_asks, &forger, false) */
#ifndef FORGER_H
#define FORGER_H

#include "double.h"

enum { FORGER_LEAVES = 256 };

struct forger {
    struct scene_relay *relay;
    struct scene_keys log, statement; /* the relay's own */
    struct buf leaves[FORGER_LEAVES];
    size_t count;
    int64_t ahead_ms;       /* by how much his clock is ahead */
    bool no_heads;          /* he shows none */
    bool swallow;           /* declarations are promised, and not recorded */
    uint64_t swallowing;    /* the number of the frame that was turned into another */
    struct buf swallowed;   /* its statements, as list items */
    size_t swallowed_count; /* how many */
};

/* A copy of the log as the relay shows it now, and of its keys. */
void forger_open(struct forger *forger, struct scene_relay *relay);
void forger_close(struct forger *forger);

/* His clock: the time of day, and what he is ahead of it. */
uint64_t forger_now(const struct forger *forger);
/* A further leaf, of the forger's time; whether it holds is the caller's matter. */
void forger_say(struct forger *forger, enum leaf_kind kind, struct bytes statement);
/* Another statement in place of a leaf's; and the log cut to `count` leaves. */
void forger_replace(struct forger *forger, size_t index, enum leaf_kind kind, struct bytes statement);
void forger_cut(struct forger *forger, size_t count);

void forger_root(const struct forger *forger, size_t size, uint8_t ret[static HASH_SIZE]);
/* The note of his newest head. */
void forger_head(const struct forger *forger, struct buf *out);

bool forger_answers(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context);
bool forger_asks(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context);

#endif
