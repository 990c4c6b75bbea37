/* scene.h - a real relay and its peers, as the adversary's tests need them.
 *
 * The relay is the built `pouchd` (environment POUCHD), made with `pouchd init`, reached over TCP; parties are admitted
 * through the built `pouchctl` (POUCHCTL). Peers are made here from the protocol's library: their keys, certificates,
 * requests and statements are real, so a hostile peer differs from an honest one only in what the test lets it do. */
#ifndef SCENE_H
#define SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <sys/types.h>

#include "card.h"
#include "config.h"
#include "content.h"
#include "evidence.h"
#include "header.h"
#include "message.h"
#include "wrapping.h"

#define assert_error(call, wanted) assert_string_equal(error_row(call)->name, error_row(wanted)->name)
#define assert_ok(call) assert_error(call, E_OK)

enum { SCENE_WAIT_MS = 20000, SCENE_PATH = 256 };

/* ---- programs ---- */

struct ran {
    int exit;            /* 128 + signal when one ended it */
    struct buf out, err; /* each with a zero byte after its end */
};
void ran_free(struct ran *ran);
#define AUTO_RAN __attribute__((cleanup(ran_free))) struct ran
/* Runs a program to its end, stdin from /dev/null; `folder`: where it stands, or NULL. argv ends with NULL. */
void scene_run(const char *folder, const char *const *argv, struct ran *ret);
uint64_t scene_now_ms(void);
unsigned scene_free_port(void);
void scene_write_file(const char *path, struct bytes bytes);
void scene_read_file(const char *path, struct buf *out);

/* ---- the relay ---- */

struct scene_relay {
    char folder[64], yaml[SCENE_PATH], address[64];
    unsigned port;
    pid_t pid;
    int out;
    struct card card;
    void *context;
};
/* `adjust` changes the configuration that `pouchd init` made; may be NULL. */
void scene_relay_start(struct scene_relay *relay, void (*adjust)(struct config *config));
/* The same; `words`, ended by NULL, go to `pouchd init` as well. */
void scene_relay_start_with(struct scene_relay *relay, void (*adjust)(struct config *config), const char *const *words);
/* All of a relay's files as they are now, while it is at rest, elsewhere and for another port; and the relay that
 * serves them, keys and all. */
void scene_relay_copy(const struct scene_relay *relay, struct scene_relay *ret);
void scene_relay_go_on(struct scene_relay *relay);
/* In order, with exit code 0. Removes everything. */
void scene_relay_stop(struct scene_relay *relay);

struct scene_numbers {
    uint64_t requests, staged, legs, entries, receipts, directory, gate_pid, ledger_pid, connections, refused;
};
/* From `pouchctl status`. */
struct scene_numbers scene_status(const struct scene_relay *relay);

/* ---- peers ---- */

struct scene_keys {
    uint8_t public[KEY_SIZE], secret[SIGN_SECRET_SIZE];
};
struct scene_keys scene_keys(void);
/* One of the relay's own: `log.key`, `statement.key`. */
struct scene_keys scene_relay_key(const struct scene_relay *relay, const char *name);

enum { PREKEYS = 3 };
struct actor {
    struct scene_relay *relay;
    char party[PARTY_MAX + 1], post[POST_MAX + 1];
    struct scene_keys authority, poster, device;
    uint8_t transport_public[KEY_SIZE], transport_secret[KEY_SIZE];
    uint8_t prekey_secrets[PREKEYS * KEY_SIZE], prekey_ids[PREKEYS * PREKEY_ID_SIZE];
    struct buf prekeys[PREKEYS];
    void *socket;
    uint64_t number, sequence, feed;
    int unread_max; /* how many answers libzmq takes for it unread; 0: its own number */
};
/* Fresh keys; nothing is told to the relay. */
void actor_new(struct scene_relay *relay, const char *post, struct actor *ret);
/* A further device of the same post, its own keys otherwise. */
void actor_sister(const struct actor *actor, struct actor *ret);
void actor_free(struct actor *actor);
/* The charter's file goes through `pouchctl admit`. */
void actor_admit(const struct actor *actor);
void actor_connect(struct actor *actor);
void actor_disconnect(struct actor *actor);
/* What ENROL needs: post, device certificate, countersignature and prekeys. `statements` and `prekeys` receive list
 * items. */
void actor_enrolment(const struct actor *actor, struct buf *statements, struct buf *prekeys, struct enrol *ret);
void actor_enrol(struct actor *actor);
/* All of the above: admitted, connected, enrolled. */
void actor_join(struct scene_relay *relay, const char *post, struct actor *ret);

/* ---- messages ---- */

struct reply {
    struct buf bytes;
    enum message type;
    uint64_t number;
    struct bytes body;
    struct failed failed;
    enum error error; /* of a FAILURE */
};
void reply_free(struct reply *reply);
#define AUTO_REPLY __attribute__((cleanup(reply_free))) struct reply

void actor_send_bytes(struct actor *actor, struct bytes frame);
uint64_t actor_send(struct actor *actor, enum message type, const void *value);
/* The next frame that is no hint, or false after wait_ms. It must be well-formed: what the relay says always is. */
bool actor_hear(struct actor *actor, uint64_t wait_ms, struct reply *ret);
void actor_ask(struct actor *actor, enum message type, const void *value, struct reply *ret);
/* As actor_ask; the answer must be of the type that message.def names. */
void actor_call(struct actor *actor, enum message type, const void *value, struct reply *ret);
enum error actor_refused(struct actor *actor, enum message type, const void *value);

/* ---- requests ---- */

struct leg {
    const char *to;
    uint8_t id[HASH_SIZE];
    struct buf opening, wrapset;
    uint64_t sequence;
};
struct request {
    struct header header;
    uint8_t digest[HASH_SIZE];
    struct buf stamped, offer_chunk, body_chunk;
    uint8_t offer_key[KEY_SIZE], body_key[KEY_SIZE], seed[HASH_SIZE], offer_digest[HASH_SIZE], body_digest[HASH_SIZE];
    struct leg *legs;
    size_t count;
};
struct outline {
    const char *const *to;
    size_t count;
    const char *from;                                    /* default: the actor's */
    const struct scene_keys *signer;                     /* default: the actor's device */
    const uint8_t *request_id;                           /* default: random */
    void (*spoil)(struct header *header, void *context); /* before it is signed */
    void *context;
    bool same_post; /* all legs to to[0], count of them */
    bool no_wraps;
};
void request_new(struct actor *actor, const struct outline *outline, struct request *ret);
void request_free(struct request *request);
#define AUTO_REQUEST __attribute__((cleanup(request_free))) struct request

/* The message that submits it. `room` receives what the lists point to. */
struct submit_room {
    struct buf places, wrapsets, chunks;
};
void submit_room_free(struct submit_room *room);
#define AUTO_ROOM __attribute__((cleanup(submit_room_free))) struct submit_room
void request_submit(const struct request *request, bool with_chunks, struct submit_room *room, struct submit *ret);
/* Signs a wrap set for one leg of the request; leg NULL: for the sender's own post. */
void request_wrapset(struct actor *actor, const struct request *request, const uint8_t *leg, const char *to,
                     uint64_t generation, bool no_wraps, struct buf *out);

struct statement actor_statement(const struct actor *actor, enum leg_event event,
                                 const uint8_t header[static HASH_SIZE], const uint8_t leg[static HASH_SIZE]);
void sign_statement(const struct statement *statement, const struct scene_keys *keys, struct buf *out);
/* STATE with one stamped statement; its result, and the receipt in `receipt` (may be NULL). */
enum error actor_state(struct actor *actor, struct bytes stamped, struct buf *receipt);
enum error actor_say(struct actor *actor, enum leg_event event, const uint8_t header[static HASH_SIZE],
                     const uint8_t leg[static HASH_SIZE], struct buf *receipt);
enum error actor_fetch(struct actor *actor, const uint8_t header[static HASH_SIZE], const uint8_t *leg, unsigned part,
                       uint32_t index, struct buf *out);

/* What a user wants of the whole thing: sends, finds it in the feed, opens the offer, accepts, fetches and opens the
 * body, and every receipt holds. Entries added: 4 (stored, notified, accepted, handed over). */
void scene_good_request(struct actor *from, struct actor *to);

#endif
