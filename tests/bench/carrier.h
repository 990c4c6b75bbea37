/* carrier.h - what takes a letter from one end to another: the one interface behind which every peer is measured.
 *
 * A letter is what Pouch sends: stamped header, wrap sets and sealed chunks (letter.h). A receipt is what a recipient
 * signs: a stamped statement. Over every carrier the two are the same bytes, made and verified by the same functions;
 * only what lies between differs. A driver process is one end, either the sender or the recipient of one pair:
 *
 *     sender     letter_seal ─ carrier.send ··· on_kept (the carrier's durable word) ··· on_receipt ─ letter_check
 *     recipient  on_letter ─ letter_open ─ letter_sign ─ carrier.answer
 *
 * A carrier that knows no more than messages sends letter_flatten's bytes and takes them apart with letter_parse. Pouch's
 * own goes the whole way: SUBMIT, offer, acceptance, body, HANDED_OVER.
 *
 * One process, one thread, one carrier; every call may block for as long as a system call does, and `step` at most
 * `wait_ms`. What fails ends the process with a message: a benchmark has no use for half a result. */
#ifndef BENCH_CARRIER_H
#define BENCH_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "own.h"
#include "letter.h"

struct carrier;

/* What the driver wants to hear. `context` is carrier_options.context. */
struct carrier_ears {
    void (*on_kept)(void *context, uint64_t number); /* to the sender: the carrier answers for it from here on */
    void (*on_letter)(void *context, uint64_t number, const struct letter *letter);
    void (*on_receipt)(void *context, uint64_t number, struct bytes receipt);
};

struct carrier_options {
    const char *folder; /* where the server's set-up left what the client needs: certificates, keys, addresses */
    const char *pair;   /* the name of this pair; each has its own queue, topic or post */
    bool sender;
    bool earlier;       /* a recipient: also what came before it was there, if the carrier keeps such; else from now on */
    unsigned window;                /* letters under way at once */
    const struct letter_ends *ends; /* keys of both ends */
    const struct carrier_ears *ears;
    void *context;
};

struct carrier_row {
    const char *name;
    struct carrier *(*open)(const struct carrier_options *options); /* connected and subscribed when it returns */
    void (*send)(struct carrier *carrier, uint64_t number, const struct letter *letter);
    void (*answer)(struct carrier *carrier, uint64_t number, struct bytes receipt);
    /* Sends what waits, takes what has come, calls the ears. */
    void (*step)(struct carrier *carrier, unsigned wait_ms);
    void (*close)(struct carrier *carrier);
};

extern const struct carrier_row carrier_pouch, carrier_mosquitto, carrier_nats, carrier_rabbitmq, carrier_postfix;

#endif
