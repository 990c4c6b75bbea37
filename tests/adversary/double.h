/* double.h - a relay between a client and its relay: a proxy with a CURVE key of its own, which sees every frame in the
 * clear and answers what it likes. It speaks to the real relay as the client, with the client's transport key. One a
 * client. */
#ifndef DOUBLE_H
#define DOUBLE_H

#include <pthread.h>

#include "scene.h"

/* Answers that were seen, to be said again: the latest but one of each type. */
enum { DOUBLE_TYPES = 128, DOUBLE_ALSO = 32 };

struct double_relay;
/* What the double does to a frame. Returns false to keep it to itself. */
typedef bool double_script(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context);

struct double_relay {
    struct scene_relay *behind;
    uint8_t curve[KEY_SIZE];
    uint8_t transport_public[KEY_SIZE], transport_secret[KEY_SIZE];
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stop;
    /* under the lock */
    double_script *on_answer, *on_ask; /* on_ask may rewrite what the client says; NULL: honest */
    void *context;
    bool mute_statements;            /* STATE is answered "over quota", so that a home can be put back and try again */
    struct buf before[DOUBLE_TYPES]; /* bodies, by type */
    unsigned changed;                /* frames that the script has changed or kept */
    struct buf also[DOUBLE_ALSO];    /* frames that it says besides, after this one */
    size_t also_count;
    bool turned; /* another relay is behind it now */
};
/* The card that leads a client to the double, otherwise the real one. */
void double_start(struct double_relay *ret, struct scene_relay *behind, const char *card_path);
/* From now on it speaks as this client. */
void double_become(struct double_relay *relay, const uint8_t *secret, const uint8_t *public);
void double_script_set(struct double_relay *relay, double_script *on_answer, double_script *on_ask, void *context,
                       bool mute_statements);
/* From a script: this frame is said as well, after the one at hand. */
void double_also(struct double_relay *relay, struct bytes frame);
/* From now on the answers are this relay's. */
void double_turn_to(struct double_relay *relay, struct scene_relay *behind);
void double_stop(struct double_relay *relay);

/* A home's transport key, from its unsealed key store. */
void double_transport_of(const char *home, uint8_t ret_secret[static KEY_SIZE], uint8_t ret_public[static KEY_SIZE]);
/* Puts another body into a frame. */
void double_replace_body(struct buf *frame, struct bytes body);
/* Takes out of an answer what came along with it unasked, so that the client must fetch it. */
void double_strip(const struct message_row *row, struct buf *frame);

#endif
