/* falsifier.h - a relay's operator who lies about the evidence. He has every key that the relay has, so what he
 * signs is signed as it should be; he has no key of a device.
 *
 * He keeps an evidence log of his own: the real one, as it grows, with other leaves in some places. What he puts
 * into a double's answers he can choose: the heads in WELCOME, the answers to GETLOG and GETHASHES, the places that
 * receipts claim. Given to the double with
 *     double_script_set(&stage_double, falsifier_answers, falsifier_asks, &falsifier, false) */
#ifndef FALSIFIER_H
#define FALSIFIER_H

#include "double.h"

enum { FALSIFIER_LEAVES = 1024 };

struct falsifier {
    struct scene_relay *relay;
    struct actor anybody; /* by whom he reads the real log */
    struct scene_keys log, statement;
    uint8_t hashes[FALSIFIER_LEAVES * HASH_SIZE]; /* of his log */
    size_t count;
    size_t fork; /* the leaf that is another one; FALSIFIER_LEAVES: none */
    /* what he lies about */
    bool heads;                    /* WELCOME, LOG and HASHES are of his log */
    bool places;                   /* receipts have their places in his log */
    size_t newest;                 /* WELCOME shows the head of a log of that size; 0: the whole */
    bool no_receipts;              /* statements and submissions are answered without */
    bool other_times;              /* second entries of legs are of another time than they are: other entries */
    uint64_t hidden;               /* this item of the feed is the one before it; 0: none */
    uint64_t left_out;             /* this item of the feed is not there; 0: none */
    uint64_t last_item;            /* the largest number of an item that went by */
    struct bytes recovery;         /* WELCOME declares this loss; empty: none */
    uint64_t ahead_ms;             /* by how much his clock is ahead */
    uint64_t sizes[LOG_SIZES_MAX]; /* that GETLOG asked for */
    size_t size_count;
};

void falsifier_open(struct falsifier *falsifier, struct scene_relay *relay);
void falsifier_close(struct falsifier *falsifier);

/* How many entries the real log has now. */
size_t falsifier_size(struct falsifier *falsifier);

bool falsifier_answers(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context);
bool falsifier_asks(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context);

#endif
