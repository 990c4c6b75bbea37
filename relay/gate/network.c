/* network.c - ROUTER, ZAP (RFC 27 of ZeroMQ) and monitor.
 *
 * The ZAP handler is bound before anything else is: while there is none, libzmq lets in whoever has a CURVE key. Which
 * fd a message came over is known from its metadata (ZMQ_SRCFD), and fds are reused; but libzmq reports the end of a
 * connection before it closes the fd, so after all events have been read an fd can only mean its latest connection. */
#include "network.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "door.h"
#include "text.h"

#define ZAP_ADDRESS "inproc://zeromq.zap.01"
#define MONITOR_ADDRESS "inproc://pouch.monitor"
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 /* the header hides it among the drafts; the library takes it, or we do not start */
#endif

enum {
    IO_THREADS = 2,
    HANDSHAKE_MS = 5000,
    KEEPALIVE_IDLE_S = 15, /* silence, until TCP asks whether the peer is still there */
    KEEPALIVE_EVERY_S = 15,
    KEEPALIVE_COUNT = 3,
    UNACKNOWLEDGED_MS = 60000, /* a peer whose TCP took nothing for so long is gone */
    ACCEPT_BACKLOG = 4096,     /* who waits at the door; the kernel's own limit may be lower */
    SEND_MARK = 8,             /* frames of any size that libzmq holds for a peer; beyond these we do, counting bytes */
    RECEIVE_MARK = 64,         /* beyond these TCP holds a peer back */
    EVENTS_MARK = 100000,      /* beyond these libzmq's own threads wait for us */
    FILES_SPARE = 64,          /* open files that are no connections */
    ZAP_PARTS = 8,
    ZAP_PART_MAX = 256,
    MONITORED = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED,
};

/* A connection is a newcomer until its first message, or HANDSHAKE_MS later. */
struct line {
    bool open, new;
    uint64_t accepted_ms;
};

struct network {
    void *context, *router, *zap, *monitor;
    struct sessions *sessions;
    struct network_numbers numbers;
    uint64_t connections_max;
    struct line *lines; /* by fd */
    size_t lines_size;
    uint32_t newcomers;
};

/* ---- opening ---- */

/* Connections above what the limit of open files can hold would make libzmq spin: the smaller number wins. */
static uint64_t connections_limit(uint64_t wanted) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted;
    rlim_t need = (rlim_t)wanted + 2 * FILES_SPARE;
    if (files.rlim_cur < need) {
        files.rlim_cur = files.rlim_max < need ? files.rlim_max : need;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0) return FILES_SPARE;
    }
    uint64_t spare = files.rlim_cur < 4 * FILES_SPARE ? files.rlim_cur / 2 : FILES_SPARE;
    uint64_t room = files.rlim_cur - spare;
    if (room >= wanted) return wanted;
    fprintf(stderr, "gate: the limit of open files (%ju) leaves room for %ju connections, not %ju; raise LimitNOFILE\n",
            (uintmax_t)files.rlim_cur, (uintmax_t)room, (uintmax_t)wanted);
    return room;
}

static bool set_int(void *socket, int option, int value) {
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_security(void *router, const uint8_t secret[static KEY_SIZE]) {
    return set_int(router, ZMQ_CURVE_SERVER, 1) && zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, secret, KEY_SIZE) == 0 &&
           zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, NETWORK_DOMAIN, sizeof NETWORK_DOMAIN - 1) == 0 &&
           set_int(router, ZMQ_ZAP_ENFORCE_DOMAIN, 1);
}

/* Who is gone without a word is found by TCP, in the kernel. ZMTP's own heartbeats would find it as well, but libzmq 4.3
 * looks for the timer of every pong in the list of all: with 10,000 peers that alone was 5 % of a core. */
static bool set_keepalive(void *router) {
    return set_int(router, ZMQ_TCP_KEEPALIVE, 1) && set_int(router, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) &&
           set_int(router, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S) &&
           set_int(router, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT) && set_int(router, ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS);
}

static bool set_limits(void *router) {
    int64_t message_max = MESSAGE_MAX + 64;
    return zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max) == 0 &&
           set_int(router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) && set_keepalive(router) &&
           set_int(router, ZMQ_SNDHWM, SEND_MARK) && set_int(router, ZMQ_RCVHWM, RECEIVE_MARK) &&
           set_int(router, ZMQ_BACKLOG, ACCEPT_BACKLOG) && set_int(router, ZMQ_ROUTER_MANDATORY, 1) &&
           set_int(router, ZMQ_IPV6, 1) && set_int(router, ZMQ_LINGER, 0);
}

static bool open_zap(struct network *network) {
    network->zap = zmq_socket(network->context, ZMQ_REP);
    return network->zap && set_int(network->zap, ZMQ_LINGER, 0) && zmq_bind(network->zap, ZAP_ADDRESS) == 0;
}

static bool open_monitor(struct network *network) {
    network->monitor = zmq_socket(network->context, ZMQ_PAIR);
    return network->monitor && set_int(network->monitor, ZMQ_LINGER, 0) &&
           set_int(network->monitor, ZMQ_RCVHWM, EVENTS_MARK) &&
           zmq_socket_monitor(network->router, MONITOR_ADDRESS, MONITORED) == 0 &&
           zmq_connect(network->monitor, MONITOR_ADDRESS) == 0;
}

static bool open_sockets(struct network *network, const uint8_t secret[static KEY_SIZE]) {
    network->context = zmq_ctx_new();
    if (!network->context || zmq_ctx_set(network->context, ZMQ_IO_THREADS, IO_THREADS) != 0) return false;
    /* ROUTER makes its own routing ids by counting from rand(); peers must not be able to guess them. */
    srand(randombytes_random());
    if (!open_zap(network)) return false;
    network->router = zmq_socket(network->context, ZMQ_ROUTER);
    return network->router && set_security(network->router, secret) && set_limits(network->router) &&
           open_monitor(network);
}

static enum error bind_all(struct network *network, const struct config *config) {
    for (size_t i = 0; i < config->listen_count; i++) {
        if (zmq_bind(network->router, config->listen[i]) == 0) continue;
        fprintf(stderr, "gate: cannot listen on %s: %s\n", config->listen[i], zmq_strerror(errno));
        return E_IO;
    }
    return E_OK;
}

enum error network_open(const struct config *config, const uint8_t secret[static KEY_SIZE], struct sessions *sessions,
                        struct network **ret) {
    struct network *network = calloc(1, sizeof *network);
    if (!network) return E_NO_MEMORY;
    network->sessions = sessions;
    network->connections_max = connections_limit(config->connections);
    enum error error = E_OK;
    if (!open_sockets(network, secret)) {
        fprintf(stderr, "gate: cannot make sockets: %s\n", zmq_strerror(errno));
        error = E_NO_MEMORY;
    }
    door_watch();
    if (error == E_OK) error = bind_all(network, config);
    if (error != E_OK) {
        network_close(&network);
        return error;
    }
    *ret = network;
    return E_OK;
}

void network_close(struct network **pp) {
    struct network *network = take(pp);
    if (!network) return;
    if (network->router) zmq_close(network->router);
    if (network->monitor) zmq_close(network->monitor);
    if (network->zap) zmq_close(network->zap);
    if (network->context) zmq_ctx_term(network->context);
    free(network->lines);
    free(network);
}

void network_items(const struct network *network, zmq_pollitem_t ret[static NETWORK_ITEMS]) {
    ret[0] = (zmq_pollitem_t){.socket = network->zap, .events = ZMQ_POLLIN};
    ret[1] = (zmq_pollitem_t){.socket = network->monitor, .events = ZMQ_POLLIN};
    ret[2] = (zmq_pollitem_t){.socket = network->router, .events = ZMQ_POLLIN};
}

struct network_numbers network_numbers(const struct network *network) {
    return network->numbers;
}

/* ---- ZAP ---- */

/* version, request id, domain, address, identity, mechanism, credentials: the parts of a CURVE request. */
struct zap_request {
    uint8_t bytes[ZAP_PARTS][ZAP_PART_MAX];
    size_t size[ZAP_PARTS];
    size_t count;
};

static bool more(void *socket) {
    int value = 0;
    size_t size = sizeof value;
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &value, &size) == 0 && value;
}

static bool zap_read(void *zap, struct zap_request *ret) {
    uint8_t room[ZAP_PART_MAX];
    ret->count = 0;
    int n = zmq_recv(zap, room, sizeof room, ZMQ_DONTWAIT);
    if (n < 0) return false;
    for (;;) {
        if (ret->count < ZAP_PARTS && n >= 0) {
            size_t size = (size_t)n < sizeof room ? (size_t)n : sizeof room;
            memcpy(ret->bytes[ret->count], room, size);
            ret->size[ret->count] = (size_t)n; /* larger than the room: cut off, and refused below */
        }
        ret->count++;
        if (!more(zap)) return true;
        n = zmq_recv(zap, room, sizeof room, 0);
    }
}

static bool part_is(const struct zap_request *request, size_t part, const char *text) {
    return part < request->count && request->size[part] == strlen(text) &&
           memcmp(request->bytes[part], text, strlen(text)) == 0;
}

enum { ZAP_VERSION, ZAP_REQUEST, ZAP_DOMAIN, ZAP_PEER, ZAP_IDENTITY, ZAP_MECHANISM, ZAP_KEY, ZAP_COUNT };

static bool zap_lets_in(const struct zap_request *request, const struct directory *directory) {
    if (request->count != ZAP_COUNT || !part_is(request, ZAP_VERSION, "1.0")) return false;
    if (!part_is(request, ZAP_DOMAIN, NETWORK_DOMAIN) || !part_is(request, ZAP_MECHANISM, "CURVE")) return false;
    return request->size[ZAP_KEY] == KEY_SIZE && admit_key(directory, request->bytes[ZAP_KEY]);
}

static void zap_answer(void *zap, const struct zap_request *request, bool in) {
    char user[2 * KEY_SIZE + 1] = "";
    size_t id_size = request->count > ZAP_REQUEST ? request->size[ZAP_REQUEST] : 0;
    if (id_size > ZAP_PART_MAX) id_size = 0;
    if (in) text_hex(request->bytes[ZAP_KEY], KEY_SIZE, user);
    zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(zap, request->bytes[ZAP_REQUEST], id_size, ZMQ_SNDMORE);
    zmq_send(zap, in ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(zap, in ? "OK" : "refused", in ? 2 : 7, ZMQ_SNDMORE);
    zmq_send(zap, user, strlen(user), ZMQ_SNDMORE);
    zmq_send(zap, "", 0, 0);
}

void network_zap(struct network *network, const struct directory *directory) {
    struct zap_request request;
    while (zap_read(network->zap, &request)) {
        bool in = zap_lets_in(&request, directory);
        if (!in) network->numbers.refused++;
        zap_answer(network->zap, &request, in);
    }
}

/* ---- monitor ---- */

static uint64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool know_fd(struct network *network, int fd) {
    if (fd < 0) return false;
    if ((size_t)fd < network->lines_size) return true;
    size_t size = 2 * (size_t)fd + 64;
    struct line *lines = reallocarray(network->lines, size, sizeof *lines);
    if (!lines) return false;
    memset(lines + network->lines_size, 0, (size - network->lines_size) * sizeof *lines);
    network->lines = lines;
    network->lines_size = size;
    return true;
}

static bool is_open(const struct network *network, int fd) {
    return fd >= 0 && (size_t)fd < network->lines_size && network->lines[fd].open;
}

static void settled(struct network *network, int fd) {
    if (!is_open(network, fd) || !network->lines[fd].new) return;
    network->lines[fd].new = false;
    network->newcomers--;
}

static void accepted(struct network *network, int fd) {
    if (!know_fd(network, fd) || network->lines[fd].open) return;
    network->lines[fd] = (struct line){.open = true, .new = true, .accepted_ms = monotonic_ms()};
    network->newcomers++;
    network->numbers.connections++;
    if (network->numbers.connections <= network->connections_max) return;
    network->numbers.refused++;
    network_cut(network, fd);
}

static void disconnected(struct network *network, int fd) {
    sessions_part_fd(network->sessions, fd);
    if (!is_open(network, fd)) return;
    settled(network, fd);
    network->lines[fd].open = false;
    network->numbers.connections--;
}

void network_tick(struct network *network, uint64_t now_ms) {
    for (size_t fd = 0; network->newcomers > 0 && fd < network->lines_size; fd++) {
        const struct line *line = &network->lines[fd];
        if (line->new &&now_ms - line->accepted_ms >= HANDSHAKE_MS) settled(network, (int)fd);
    }
    door_count(network->newcomers);
}

/* First part: 16 bits event, 32 bits value, in host order; second: the address. */
static bool read_event(void *monitor, uint16_t *ret_event, int32_t *ret_value) {
    uint8_t room[sizeof *ret_event + sizeof *ret_value];
    int n = zmq_recv(monitor, room, sizeof room, ZMQ_DONTWAIT);
    if (n < 0) return false;
    *ret_event = 0;
    *ret_value = -1;
    if ((size_t)n == sizeof room) {
        memcpy(ret_event, room, sizeof *ret_event);
        memcpy(ret_value, room + sizeof *ret_event, sizeof *ret_value);
    }
    while (more(monitor)) zmq_recv(monitor, room, sizeof room, 0);
    return true;
}

void network_watch(struct network *network) {
    uint16_t event;
    int32_t value;
    while (read_event(network->monitor, &event, &value)) {
        if (event == ZMQ_EVENT_ACCEPTED) accepted(network, value);
        if (event == ZMQ_EVENT_DISCONNECTED) disconnected(network, value);
    }
    door_count(network->newcomers);
}

/* libzmq keeps the fd and closes it when it sees the end. Only fds that the monitor knows: never one of our own. */
void network_cut(struct network *network, int fd) {
    if (is_open(network, fd)) shutdown(fd, SHUT_RDWR);
}

/* ---- messages ---- */

static bool read_user(zmq_msg_t *body, uint8_t ret[static KEY_SIZE]) {
    const char *user = zmq_msg_gets(body, "User-Id");
    return user && text_unhex(bytes_text(user), ret, KEY_SIZE) == E_OK;
}

/* Reads [routing id][body] and whatever wrongly follows. False: no good, and nothing is left open. */
static bool read_rest(void *router, zmq_msg_t *body) {
    if (!more(router) || zmq_msg_recv(body, router, 0) < 0) return false;
    bool alone = true;
    while (more(router)) {
        zmq_msg_t surplus;
        zmq_msg_init(&surplus);
        zmq_msg_recv(&surplus, router, 0);
        zmq_msg_close(&surplus);
        alone = false;
    }
    return alone;
}

bool network_receive(struct network *network, struct arrival *ret) {
    for (;;) {
        int n = zmq_recv(network->router, ret->route.id, sizeof ret->route.id, ZMQ_DONTWAIT);
        if (n < 0) return false;
        ret->route.n = (size_t)n;
        zmq_msg_init(&ret->body);
        bool good = read_rest(network->router, &ret->body) && n > 0 && n <= ROUTE_MAX;
        network_watch(network);
        if (good && read_user(&ret->body, ret->transport)) {
            ret->fd = zmq_msg_get(&ret->body, ZMQ_SRCFD);
            settled(network, ret->fd);
            return true;
        }
        zmq_msg_close(&ret->body);
        network->numbers.refused++;
    }
}

enum error network_send(struct network *network, const struct route *route, struct bytes frame) {
    if (route->n == 0) return E_UNREACHABLE;
    if (zmq_send(network->router, route->id, route->n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN ? E_BUSY : E_UNREACHABLE;
    /* Once ROUTER has taken the route, it takes the frame. */
    return zmq_send(network->router, frame.p, frame.n, ZMQ_DONTWAIT) < 0 ? E_UNREACHABLE : E_OK;
}
