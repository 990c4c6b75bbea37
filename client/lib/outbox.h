/* outbox.h - what this home has still to tell the relay: whole requests and signed statements, kept until answered.
 *
 * Everything that is sent lies in the archive before; a retry sends the stored bytes. Requests to one post go in the
 * order of their numbers: while an earlier one waits for that post (a full quota), a later one's leg to the same post
 * waits too - among requests of one kind (reply or not), precedence and exercise mark: a flash request is not held back
 * by a notice. */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "kept.h"
#include "link.h"

/* What a device of this post says about a leg. */
struct saying {
    enum leg_event event;
    const uint8_t *header, *leg;
    bool officer, has_reason, disclosure; /* disclosure: agrees that the exchange may be shown to others */
    unsigned reason;
    const char *note; /* words, sealed under the content's key; may be NULL */
    struct bytes wrapset;    /* of RESEALED and FORWARDED, with its generation; FORWARDED: the post it goes to */
    uint32_t generation;     /* 0: the leg's */
    const char *forward;
};
/* Makes the statements, signs all with one signature, and puts them into the outbox, in the caller's transaction.
 * ret_hashes: count * HASH_SIZE, or NULL. E_CANNOT_OPEN: a note for a leg whose content key is not here. */
CHECKED enum error outbox_say(struct home *home, const struct saying *sayings, size_t count, uint8_t *ret_hashes);

/* What became of one statement. */
struct outbox_listener {
    void (*answered)(void *context, const uint8_t statement[static HASH_SIZE], enum error error);
    void *context;
};

struct outbox_summary {
    uint32_t settled, waiting;
};
/* Sends everything that waits. Returned are errors of the link, the disk, or of this device's standing; what single
 * legs met stands in their records. */
CHECKED enum error outbox_flush(struct home *home, struct relay *relay, const struct outbox_listener *listener,
                                struct outbox_summary *ret, struct failure *failure);
CHECKED enum error outbox_send_statements(struct home *home, struct relay *relay,
                                          const struct outbox_listener *listener, struct outbox_summary *ret,
                                          struct failure *failure);

/* A queue to a post in which something waits, and why. */
struct held_post {
    char post[POST_MAX + 1];
    uint64_t precedence;
    bool exercise, reply;
    enum error why;
};
/* One request: wrap sets, submission, chunks, results (submit.c). held: an array of struct held_post, those that
 * earlier requests wait for; this request's are appended. *ret_done: nothing more to send. */
CHECKED enum error submit_request(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                                  struct buf *held, bool *ret_done, struct failure *failure);

/* Errors that end the work at hand: this machine's, the network's, or the relay's refusal of this device. Others
 * concern one item. */
bool outbox_is_fatal(enum error error);

#endif
