/* link.c - frames over ZeroMQ: connecting, telling why not, and sending again what was not answered. */
#include "link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "moment.h"

enum {
    ADDRESS_BUDGET_MS = 10000, /* for one address of the card */
    REFUSED_BUDGET_MS = 3000,  /* when nobody listens there: a relay that restarts is back by then */
    CONNECTS_MAX = 3,          /* connections that the other end closed in the handshake, until the key is to blame */
    RESEND_MS = 6000,
    BUSY_WAIT_MS = 300,
    CONNECT_MS = 5000,    /* until a SYN that nobody answered is given up and sent anew, without TCP's growing pauses */
    HEARTBEAT_MS = 60000, /* silence, until the relay is asked whether it lives; it pays for each answer */
    HEARTBEAT_WAIT_MS = 15000, /* for that answer */
    KEEPALIVE_IDLE_S = 10,     /* silence, until TCP asks the relay's host, which costs the relay nothing */
    KEEPALIVE_EVERY_S = 5,
    KEEPALIVE_COUNT = 3,
    UNACKNOWLEDGED_MS = 15000, /* a link whose other end took nothing for so long is gone */
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 2000,
    ALONG_BYTES_MAX = 1024 * 1024,
};

struct keepsake { /* a part's first chunk, that nobody has asked for yet */
    uint8_t digest[HASH_SIZE];
    unsigned part;
    struct buf data;
};

struct pending {
    uint64_t number, tag; /* number 0: free */
    struct buf frame;
    bool sent;
    uint64_t resend_at_ms; /* ticks: to be sent then, for the first time or again */
};

struct relay {
    void *context, *socket, *monitor;
    struct client_options options;
    struct card card;
    char address[CARD_ADDRESS_SIZE];
    unsigned sockets; /* made so far: names the monitor's address */
    uint64_t next_number;
    struct pending pending[RELAY_WINDOW];
    uint64_t deadline_ms;
    bool hinted, taken_over, refused, broken;
    bool met, came_back; /* there was a handshake; there was another one since */
    struct relay_hint hint;
    unsigned connects; /* TCP connections since the last handshake */
    bool ready;
    struct welcome welcome;
    struct buf recovery, evidence, head; /* of the welcome */
    bool head_taken;
    uint64_t welcome_ticks_ms;
    struct keepsake *along;
    size_t along_count, along_bytes;
};

/* ---- what came along ---- */

static void forget_along(struct relay *relay) {
    for (size_t i = 0; i < relay->along_count; i++) buf_free(&relay->along[i].data);
    free(relay->along);
    relay->along = NULL;
    relay->along_count = relay->along_bytes = 0;
}

static enum error keep_one(struct relay *relay, const struct along *along) {
    struct keepsake *grown = realloc(relay->along, (relay->along_count + 1) * sizeof *grown);
    if (!grown) return E_NO_MEMORY;
    relay->along = grown;
    struct keepsake *keepsake = &grown[relay->along_count];
    *keepsake = (struct keepsake){.part = (unsigned)along->part};
    memcpy(keepsake->digest, along->header, HASH_SIZE);
    buf_add_bytes(&keepsake->data, along->data);
    if (keepsake->data.failed) return E_NO_MEMORY;
    relay->along_count++;
    relay->along_bytes += along->data.n;
    return E_OK;
}

enum error relay_keep_along(struct relay *relay, struct list list) {
    struct along along;
    while (along_next(&list, &along)) {
        if (relay->along_bytes + along.data.n > ALONG_BYTES_MAX) forget_along(relay);
        TRY(keep_one(relay, &along));
    }
    return E_OK;
}

bool relay_take_along(struct relay *relay, const uint8_t digest[static HASH_SIZE], unsigned part, struct buf *ret) {
    for (size_t i = 0; i < relay->along_count; i++) {
        struct keepsake *keepsake = &relay->along[i];
        if (keepsake->part != part || memcmp(keepsake->digest, digest, HASH_SIZE) != 0) continue;
        relay->along_bytes -= keepsake->data.n;
        *ret = buf_take(&keepsake->data);
        *keepsake = relay->along[--relay->along_count];
        return true;
    }
    return false;
}

/* ---- the socket and its monitor ---- */

static bool set_int(void *socket, int option, int value) {
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

/* A link that broke without a word (a cable, a router that forgot it, a host without power) must be found before a command's
 * time is over: by TCP. ZMTP's heartbeats find the relay whose host lives and which hangs all the same; they are rare, because
 * ten thousand clients that wait would cost it a noticeable part of a core. */
static bool set_watchfulness(void *socket) {
    return set_int(socket, ZMQ_CONNECT_TIMEOUT, CONNECT_MS) && set_int(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
           set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_WAIT_MS) && set_int(socket, ZMQ_TCP_KEEPALIVE, 1) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT) && set_int(socket, ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS);
}

static bool set_options(const struct relay *relay, const struct relay_keys *keys) {
    int64_t most = MESSAGE_MAX + 4096;
    void *socket = relay->socket;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0 && set_int(socket, ZMQ_LINGER, 0) &&
           set_int(socket, ZMQ_IMMEDIATE, 1) && set_int(socket, ZMQ_HANDSHAKE_IVL, ADDRESS_BUDGET_MS / 2) &&
           set_watchfulness(socket) && set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
           set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) && set_int(socket, ZMQ_IPV6, 1) &&
           set_int(socket, ZMQ_SNDHWM, RELAY_WINDOW * 4) &&
           zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, relay->card.curve, KEY_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public, KEY_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret->p, KEY_SIZE) == 0;
}

static void close_socket(struct relay *relay) {
    if (relay->socket) {
        (void)zmq_socket_monitor(relay->socket, NULL, 0);
        zmq_close(relay->socket);
    }
    if (relay->monitor) zmq_close(relay->monitor);
    relay->socket = relay->monitor = NULL;
}

static enum error open_socket(struct relay *relay, const struct relay_keys *keys, const char *address) {
    char name[64];
    (void)snprintf(name, sizeof name, "inproc://monitor-%u", relay->sockets++);
    relay->socket = zmq_socket(relay->context, ZMQ_DEALER);
    relay->monitor = zmq_socket(relay->context, ZMQ_PAIR);
    relay->connects = 0;
    relay->ready = relay->refused = relay->met = false;
    if (!relay->socket || !relay->monitor) return E_NO_MEMORY;
    if (!set_options(relay, keys)) return E_INTERNAL;
    int events =
        ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (zmq_socket_monitor(relay->socket, name, events) != 0 || zmq_connect(relay->monitor, name) != 0)
        return E_INTERNAL;
    return zmq_connect(relay->socket, address) == 0 ? E_OK : E_UNREACHABLE;
}

/* What went over the old connection is sent again over the new one, at once. */
static void resend_all(struct relay *relay) {
    for (size_t i = 0; i < RELAY_WINDOW; i++) {
        if (!relay->pending[i].sent) continue;
        relay->pending[i].sent = false;
        relay->pending[i].resend_at_ms = 0;
    }
}

static void take_event(struct relay *relay, uint16_t event) {
    if (event == ZMQ_EVENT_CONNECTED) relay->connects++;
    if (event == ZMQ_EVENT_DISCONNECTED) relay->ready = false;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) relay->refused = true;
    if (event != ZMQ_EVENT_HANDSHAKE_SUCCEEDED) return;
    relay->came_back = relay->came_back || relay->met;
    relay->ready = relay->met = true;
    relay->connects = 0;
    resend_all(relay);
}

/* Each event is two frames: {uint16 event, uint32 value} in this machine's order, and the address. */
static void read_monitor(struct relay *relay) {
    for (;;) {
        uint8_t head[6], address[256];
        if (zmq_recv(relay->monitor, head, sizeof head, ZMQ_DONTWAIT) != (int)sizeof head) return;
        (void)zmq_recv(relay->monitor, address, sizeof address, ZMQ_DONTWAIT);
        uint16_t event;
        memcpy(&event, head, sizeof event);
        take_event(relay, event);
    }
}

/* ---- connecting ---- */

static enum error connect_one(struct relay *relay, const struct relay_keys *keys, const char *address,
                              uint64_t budget_ms) {
    TRY(open_socket(relay, keys, address));
    uint64_t start = moment_ticks_ms();
    while (!relay->ready) {
        uint64_t elapsed = moment_ticks_ms() - start;
        if (relay->refused) return E_REFUSED_BY_RELAY;
        if (relay->connects >= CONNECTS_MAX) return E_WRONG_RELAY_KEY;
        if (relay->connects == 0 && elapsed >= REFUSED_BUDGET_MS) return E_UNREACHABLE;
        if (elapsed >= budget_ms) return E_UNREACHABLE; /* connected perhaps, but nothing speaks: a relay that hangs */
        zmq_pollitem_t item = {.socket = relay->monitor, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, 100) < 0) return errno == EINTR ? E_INTERRUPTED : E_INTERNAL;
        read_monitor(relay);
    }
    return E_OK;
}

/* Of several addresses the most telling error is reported: refused, then the wrong key, then unreachable. */
static enum error worse(enum error first, enum error second) {
    if (first == E_REFUSED_BY_RELAY || second == E_REFUSED_BY_RELAY) return E_REFUSED_BY_RELAY;
    if (first == E_WRONG_RELAY_KEY || second == E_WRONG_RELAY_KEY) return E_WRONG_RELAY_KEY;
    return second;
}

static enum error connect_any(struct relay *relay, const struct relay_keys *keys, struct failure *failure) {
    enum error error = E_UNREACHABLE;
    uint64_t budget_ms = relay->options.timeout_s * 1000ULL;
    if (budget_ms > ADDRESS_BUDGET_MS) budget_ms = ADDRESS_BUDGET_MS;
    for (size_t i = 0; i < relay->card.address_count; i++) {
        const char *address = relay->card.addresses[i];
        (void)snprintf(relay->address, sizeof relay->address, "%s", address);
        enum error one = connect_one(relay, keys, address, budget_ms);
        if (one == E_OK) return E_OK;
        close_socket(relay);
        if (one == E_INTERRUPTED || one == E_NO_MEMORY || one == E_INTERNAL) return fail(failure, one, "%s", address);
        error = worse(error, one);
    }
    return fail(failure, error, "%s%s", relay->address,
                relay->card.address_count > 1 ? " and the other addresses" : "");
}

static enum error hello(struct relay *relay, struct failure *failure) {
    AUTO_ANSWER answer = {0};
    TRY(relay_call(relay, MESSAGE_HELLO, &(struct hello){.version = WIRE_VERSION}, &answer, failure));
    struct welcome welcome;
    enum error error = welcome_decode(answer.body, &welcome);
    if (error != E_OK) return fail(failure, error, "the relay's welcome");
    if (welcome.version != WIRE_VERSION) return fail(failure, E_UNKNOWN_VERSION, "%s", relay->address);
    relay->welcome = welcome;
    buf_clear(&relay->recovery);
    buf_clear(&relay->evidence);
    buf_clear(&relay->head);
    buf_add_bytes(&relay->recovery, welcome.recovery);
    buf_add_bytes(&relay->evidence, welcome.evidence);
    buf_add_bytes(&relay->head, welcome.checkpoint);
    if (relay->recovery.failed || relay->evidence.failed || relay->head.failed)
        return fail(failure, E_NO_MEMORY, "the relay's welcome");
    /* The answer's bytes go. */
    relay->welcome.recovery = relay->welcome.evidence = relay->welcome.checkpoint = (struct bytes){0};
    relay->welcome.has_recovery = relay->welcome.has_evidence = relay->welcome.has_checkpoint = false;
    relay->welcome_ticks_ms = moment_ticks_ms();
    return E_OK;
}

enum error relay_open(const struct card *card, const struct relay_keys *keys, const struct client_options *options,
                      struct relay **ret, struct failure *failure) {
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay) return fail(failure, E_NO_MEMORY, "the relay's connection");
    relay->card = *card;
    relay->next_number = 1;
    if (options) relay->options = *options;
    if (relay->options.timeout_s == 0) relay->options.timeout_s = RELAY_TIMEOUT_S;
    relay->context = zmq_ctx_new();
    enum error error =
        relay->context ? connect_any(relay, keys, failure) : fail(failure, E_NO_MEMORY, "the relay's connection");
    if (error == E_OK) error = hello(relay, failure);
    if (error == E_OK)
        *ret = relay;
    else
        relay_close(&relay);
    return error;
}

void relay_close(struct relay **relay) {
    struct relay *this = *relay;
    if (!this) return;
    relay_abandon(this);
    forget_along(this);
    buf_free(&this->recovery);
    buf_free(&this->evidence);
    buf_free(&this->head);
    close_socket(this);
    if (this->context) zmq_ctx_term(this->context);
    free(this);
    *relay = NULL;
}

/* ---- requests and answers ---- */

void relay_answer_free(struct relay_answer *answer) { buf_free(&answer->bytes); }

static void release(struct pending *pending) {
    buf_free(&pending->frame);
    *pending = (struct pending){0};
}

void relay_abandon(struct relay *relay) {
    for (size_t i = 0; i < RELAY_WINDOW; i++) release(&relay->pending[i]);
}

size_t relay_outstanding(const struct relay *relay) {
    size_t count = 0;
    for (size_t i = 0; i < RELAY_WINDOW; i++) count += relay->pending[i].number != 0;
    return count;
}

static struct pending *pending_of(struct relay *relay, uint64_t number) {
    for (size_t i = 0; i < RELAY_WINDOW; i++)
        if (relay->pending[i].number == number) return &relay->pending[i];
    return NULL;
}

/* Progress gives everybody new time. */
static void renew_deadline(struct relay *relay) {
    relay->deadline_ms = moment_ticks_ms() + relay->options.timeout_s * 1000ULL;
}

static void send_waiting(struct relay *relay) {
    uint64_t now = moment_ticks_ms();
    for (size_t i = 0; i < RELAY_WINDOW && relay->ready; i++) {
        struct pending *pending = &relay->pending[i];
        if (pending->number == 0 || now < pending->resend_at_ms) continue;
        if (zmq_send(relay->socket, pending->frame.p, pending->frame.n, ZMQ_DONTWAIT) < 0) return;
        pending->sent = true;
        pending->resend_at_ms = now + RESEND_MS;
    }
}

enum error relay_post(struct relay *relay, enum message type, const void *value, uint64_t tag) {
    struct pending *pending = pending_of(relay, 0);
    assert(pending);
    uint64_t number = relay->next_number++;
    message_encode(type, number, value, &pending->frame);
    if (pending->frame.failed || pending->frame.n > MESSAGE_MAX + 64) {
        enum error error = pending->frame.failed ? E_NO_MEMORY : E_TOO_LARGE;
        release(pending);
        return error;
    }
    pending->number = number;
    pending->tag = tag;
    renew_deadline(relay);
    send_waiting(relay);
    return E_OK;
}

/* The relay asks to come back later: the same frame again, while there is time. */
static bool put_off(struct relay *relay, struct pending *pending, const struct failed *failed) {
    if (failed->error != E_BUSY && failed->error != E_RATE_LIMITED) return false;
    uint64_t wait_ms = BUSY_WAIT_MS;
    if (failed->has_retry_s && failed->retry_s * 1000 > wait_ms) wait_ms = failed->retry_s * 1000;
    uint64_t now = moment_ticks_ms();
    if (now + wait_ms >= relay->deadline_ms) return false;
    pending->sent = false;
    pending->resend_at_ms = now + wait_ms;
    return true;
}

static void read_failure(const struct failed *failed, struct relay_answer *ret) {
    enum error said = (enum error)failed->error;
    bool known = said != E_OK && error_row(said)->error == said; /* an unknown one is no error of this program's */
    ret->error = known ? said : E_MALFORMED;
    if (failed->has_detail) memcpy(ret->detail, failed->detail.p, failed->detail.n);
    if (failed->has_refusal) ret->refusal = failed->refusal;
}

/* One that does not decode still says that something is new. */
static void take_hint(struct relay *relay, struct bytes body) {
    struct hint hint;
    if (hint_decode(body, &hint) != E_OK) return;
    relay->hint = (struct relay_hint){hint.newest, hint.has_precedence, (enum precedence)hint.precedence};
}

/* Unasked: another connection of this key took over, or the key is good for nothing any more. */
static void take_warning(struct relay *relay, struct bytes body) {
    struct failed failed;
    if (failed_decode(body, &failed) != E_OK) return;
    if (failed.error == E_CONFLICT)
        relay->taken_over = true;
    else
        relay->hinted = true;
}

/* One frame: *ret_done when it answered a request of ours. Frames that are nobody's answer are passed over. */
static enum error take_frame(struct relay *relay, struct relay_answer *answer, bool *ret_done) {
    struct frame frame;
    const struct message_row *row;
    TRY(message_decode(buf_bytes(&answer->bytes), &frame, &row));
    if (row->from_client) return E_UNKNOWN_MESSAGE;
    if (row->type == MESSAGE_HINT) {
        relay->hinted = true;
        take_hint(relay, frame.body);
        return E_OK;
    }
    if (row->type == MESSAGE_FAILURE && frame.number == 0) take_warning(relay, frame.body);
    struct pending *pending = frame.number ? pending_of(relay, frame.number) : NULL;
    if (!pending) return E_OK;
    answer->tag = pending->tag;
    answer->body = frame.body;
    if (row->type == MESSAGE_FAILURE) {
        struct failed failed;
        TRY(failed_decode(frame.body, &failed));
        if (put_off(relay, pending, &failed)) return E_OK;
        read_failure(&failed, answer);
    } else {
        struct frame asked;
        const struct message_row *ours;
        TRY(message_decode(buf_bytes(&pending->frame), &asked, &ours));
        if (ours->answer != row->type) return E_MALFORMED;
    }
    release(pending);
    renew_deadline(relay);
    *ret_done = true;
    return E_OK;
}

static enum error receive(struct relay *relay, struct relay_answer *ret, bool *ret_done) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    enum error error = E_OK;
    while (error == E_OK && !*ret_done && zmq_msg_recv(&message, relay->socket, ZMQ_DONTWAIT) >= 0) {
        relay_answer_free(ret);
        *ret = (struct relay_answer){0};
        buf_add(&ret->bytes, zmq_msg_data(&message), zmq_msg_size(&message));
        error = zmq_msg_more(&message) ? E_MALFORMED : buf_error(&ret->bytes);
        if (error == E_OK) error = take_frame(relay, ret, ret_done);
    }
    zmq_msg_close(&message);
    return error;
}

/* How long to sleep at most: the next resend, or the deadline. */
static long sleep_ms(const struct relay *relay, uint64_t deadline) {
    uint64_t now = moment_ticks_ms(), until = deadline;
    for (size_t i = 0; i < RELAY_WINDOW; i++)
        if (relay->pending[i].number && relay->pending[i].resend_at_ms > now && relay->pending[i].resend_at_ms < until)
            until = relay->pending[i].resend_at_ms;
    return until <= now ? 0 : (long)(until - now);
}

static bool anything_unsent(const struct relay *relay) {
    uint64_t now = moment_ticks_ms();
    for (size_t i = 0; i < RELAY_WINDOW; i++)
        if (relay->pending[i].number && !relay->pending[i].sent && relay->pending[i].resend_at_ms <= now) return true;
    return false;
}

/* One round: sends what waits, sleeps until something comes or `deadline`, and looks at events. */
static enum error turn(struct relay *relay, uint64_t deadline) {
    read_monitor(relay);
    if (relay->refused) return E_REFUSED_BY_RELAY;
    if (relay->connects >= 2 * CONNECTS_MAX) return E_WRONG_RELAY_KEY;
    send_waiting(relay);
    bool unsent = relay->ready && anything_unsent(relay);
    zmq_pollitem_t items[] = {
        {.socket = relay->socket, .events = (short)(ZMQ_POLLIN | (unsent ? ZMQ_POLLOUT : 0))},
        {.socket = relay->monitor, .events = ZMQ_POLLIN},
    };
    if (zmq_poll(items, LENGTH(items), sleep_ms(relay, deadline)) < 0)
        return errno == EINTR ? E_INTERRUPTED : E_INTERNAL;
    return E_OK;
}

static enum error collect(struct relay *relay, struct relay_answer *ret) {
    for (bool done = false;;) {
        TRY(receive(relay, ret, &done));
        if (done) return E_OK;
        if (moment_ticks_ms() >= relay->deadline_ms) return relay->ready ? E_TIMED_OUT : E_UNREACHABLE;
        TRY(turn(relay, relay->deadline_ms));
    }
}

enum error relay_collect(struct relay *relay, struct relay_answer *ret, struct failure *failure) {
    assert(relay_outstanding(relay) > 0);
    enum error error = collect(relay, ret);
    if (error == E_OK) return E_OK;
    relay_abandon(relay);
    return fail(failure, error, "%s", relay->address);
}

enum error relay_call(struct relay *relay, enum message type, const void *value, struct relay_answer *ret,
                      struct failure *failure) {
    assert(relay_outstanding(relay) == 0);
    enum error error = relay_post(relay, type, value, 0);
    if (error != E_OK) return fail(failure, error, "%s", relay->address);
    TRY(relay_collect(relay, ret, failure));
    return ret->error == E_OK ? E_OK : fail(failure, ret->error, "%s", ret->detail);
}

/* ---- what is known of the relay ---- */

struct bytes relay_recovery(const struct relay *relay) {
    return buf_bytes(&relay->recovery);
}

struct bytes relay_evidence(const struct relay *relay) {
    return buf_bytes(&relay->evidence);
}

bool relay_take_head(struct relay *relay, struct buf *ret) {
    if (relay->head_taken) return false;
    relay->head_taken = true;
    buf_add_bytes(ret, buf_bytes(&relay->head));
    return true;
}

const struct welcome *relay_welcome(const struct relay *relay) { return &relay->welcome; }

struct instant relay_now(const struct relay *relay) {
    return (struct instant){relay->welcome.time.ms + (moment_ticks_ms() - relay->welcome_ticks_ms)};
}

const struct client_options *relay_options(const struct relay *relay) { return &relay->options; }

void relay_progress(const struct relay *relay, const char *what, uint64_t done, uint64_t total) {
    const struct progress *progress = &relay->options.progress;
    if (progress->report) progress->report(progress->context, what, done, total);
}

bool relay_hinted(struct relay *relay) {
    bool hinted = relay->hinted;
    relay->hinted = false;
    return hinted;
}

bool relay_is_up(const struct relay *relay) { return relay->ready; }

bool relay_taken_over(struct relay *relay) {
    bool taken_over = relay->taken_over;
    relay->taken_over = false;
    return taken_over;
}

bool relay_came_back(struct relay *relay) {
    bool came_back = relay->came_back;
    relay->came_back = false;
    return came_back;
}

struct relay_hint relay_last_hint(const struct relay *relay) {
    return relay->hint;
}

enum error relay_wait(struct relay *relay, unsigned ms, struct failure *failure) {
    uint64_t deadline = moment_ticks_ms() + ms;
    AUTO_ANSWER answer = {0};
    bool done = false;
    for (;;) {
        enum error error = receive(relay, &answer, &done);
        if (error == E_OK && (relay->hinted || moment_ticks_ms() >= deadline)) return E_OK;
        if (error == E_OK) error = turn(relay, deadline);
        if (error != E_OK) return fail(failure, error, "%s", relay->address);
    }
}
