/* link.h - the connection to the relay: a ZeroMQ DEALER with CURVE under the home's transport key.
 *
 * Requests are numbered; several may be outstanding; answers come in any order. Every request of the protocol may be
 * repeated without harm, so what is outstanding is sent again after the connection was lost and came back (a restarted
 * relay), after a long silence, and when the relay was busy - until the time for an answer is over.
 *
 * libzmq does not say why there is no connection, but its monitor does (libzmq issue 2227):
 *   never connected, or only silence       E_UNREACHABLE
 *   hung up on again and again             E_WRONG_RELAY_KEY   (libzmq 4.3.4 hangs up on a hello for another key at
 * once) handshake ended by ZAP                 E_REFUSED_BY_RELAY
 *
 * Legal order: relay_open; any of relay_call, or relay_post up to RELAY_WINDOW times and relay_collect for each;
 * relay_close. One thread. */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include "libpouch.h"
#include "message.h"

enum { RELAY_WINDOW = 16, RELAY_TIMEOUT_S = 20 };

struct relay_keys {
    const struct secret *secret; /* X25519 */
    const uint8_t *public;
};

/* Tries the card's addresses in turn and says hello. */
CHECKED enum error relay_open(const struct card *card, const struct relay_keys *keys,
                              const struct client_options *options, struct relay **ret, struct failure *failure);
void relay_close(struct relay **relay);

/* What an answer said; `body` is a view into `bytes`. */
struct relay_answer {
    uint64_t tag;     /* the caller's, from relay_post */
    enum error error; /* the relay's FAILURE, else E_OK */
    char detail[SUBJECT_MAX + 1];
    struct bytes body;    /* the object that the answer's type names, not yet decoded */
    struct bytes refusal; /* signed, with some failures */
    struct buf bytes;
};
void relay_answer_free(struct relay_answer *answer);
#define AUTO_ANSWER __attribute__((cleanup(relay_answer_free))) struct relay_answer

/* Queues a request. At most RELAY_WINDOW may be outstanding. */
CHECKED enum error relay_post(struct relay *relay, enum message type, const void *value, uint64_t tag);
/* The next answer to come, of any outstanding request. Returned are the link's own errors; the relay's FAILURE stands
 * in ret->error. After an error of the link nothing is outstanding any more. */
CHECKED enum error relay_collect(struct relay *relay, struct relay_answer *ret, struct failure *failure);
size_t relay_outstanding(const struct relay *relay);
/* Forgets what is outstanding: late answers are passed over. */
void relay_abandon(struct relay *relay);

/* One request, one answer; nothing else may be outstanding. The relay's FAILURE is returned too, its detail in
 * `failure`. */
CHECKED enum error relay_call(struct relay *relay, enum message type, const void *value, struct relay_answer *ret,
                              struct failure *failure);

/* Content that came along with an answer, before anybody asked for it (PROTOCOL.md section 16, "room"): kept until it is wanted or
 * there is too much of it. It is not yet judged. */
enum { RELAY_ROOM = 128 * 1024 };
CHECKED enum error relay_keep_along(struct relay *relay, struct list along);
/* The part's first chunk, once; false: it has not come. */
bool relay_take_along(struct relay *relay, const uint8_t digest[static HASH_SIZE], unsigned part, struct buf *ret);

/* What it said at hello, and the ledger's time as it must be by now. */
const struct welcome *relay_welcome(const struct relay *relay);
/* The registrars' newest statement that the relay has lost something (PROTOCOL.md section 28); empty: none. */
struct bytes relay_recovery(const struct relay *relay);
/* The note of the evidence log's newest head then; empty: none. */
struct bytes relay_evidence(const struct relay *relay);
/* The note of the directory's newest head then; empty: none. Once: who asks judges it. */
bool relay_take_head(struct relay *relay, struct buf *ret);
struct instant relay_now(const struct relay *relay);
const struct client_options *relay_options(const struct relay *relay);
void relay_progress(const struct relay *relay, const char *what, uint64_t done, uint64_t total);

/* True once after each unasked hint that the feed has grown. */
bool relay_hinted(struct relay *relay);
/* What the last hint said: the feed's newest number, and how urgent it is. */
struct relay_hint {
    uint64_t newest;
    bool has_precedence;
    enum precedence precedence;
};
struct relay_hint relay_last_hint(const struct relay *relay);
/* False while the connection is lost: it is made anew by itself, if the relay comes back. */
bool relay_is_up(const struct relay *relay);
/* True once after it was made anew: hints may have been missed, and none come before something is asked. */
bool relay_came_back(struct relay *relay);
/* True once after another connection of the same key took over: hints go there, until something is asked here again. */
bool relay_taken_over(struct relay *relay);
/* Waits for a hint, at most `ms`: E_OK also when none came. */
CHECKED enum error relay_wait(struct relay *relay, unsigned ms, struct failure *failure);

#endif
