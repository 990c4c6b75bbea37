/* gate.c - the gate process: network, sessions, admission, workers and the link to the ledger, put together in one
 * loop.
 *
 *     peer -> receive -> sessions -> admit -> workers -> link -> ledger
 *     peer <- send    <- sessions <------------------------------ link <- ledger
 *
 * Every queue on the way is bounded; a full one is answered E_BUSY before anything is done. */
#include "gate.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "keys.h"
#include "link.h"
#include "network.h"
#include "sign.h"
#include "workers.h"

enum {
    EXIT_STOPPED = 0,
    EXIT_FAILED = 1,
    CARD_MAX = 64 * 1024,
    TICK_MS = 1000,
    EVICT_MS = 5000,                      /* so long a revoked peer may still be told so */
    RECEIVE_AT_ONCE = 64,                 /* messages before the other sockets are looked at again */
    WAITING_MAX = 256,                    /* messages of one session that the workers may have */
    BEHIND_MAX = 32 * 1024 * 1024,        /* bytes that the ledger has not taken */
    UNSENT_MEMBER_MAX = 16 * 1024 * 1024, /* bytes of answers that a peer has not taken */
    UNSENT_GUEST_MAX = 2 * 1024 * 1024,
    RETRY_MS = 2,     /* until it is tried again */
    STUCK_MS = 60000, /* a peer that took nothing for so long is gone */
    HEAP_STEP = 1024 * 1024,
    PARTED_MAX = 4096,        /* keys remembered beyond those connected */
    SESSION_NUMBER_BITS = 20, /* the lower ones count, the higher ones are chance */
};

struct gate {
    const struct config *config;
    struct link link;
    struct snapshot *snapshot;
    struct sessions *sessions;
    struct workers *workers;
    struct network *network;
    int signals;
    uint64_t received, refused, members;
    struct instant told;        /* ledger time, as it was last told, */
    uint64_t told_ms;           /* and the steady clock then */
    uint64_t tick_ms, count_ms; /* when the next one is due; when the members are counted again */
    bool ended;
    int exit_code;
};

static void end(struct gate *gate, int exit_code) {
    if (!gate->ended) gate->exit_code = exit_code;
    gate->ended = true;
}

static void fail(struct gate *gate, const char *what, enum error error) {
    fprintf(stderr, "gate: %s: %s\n", what, error_text(error));
    end(gate, EXIT_FAILED);
}

static uint64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t steady_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What the ledger has told, and what the steady clock says since. This machine's own clock may have been set to any year:
 * members must not be put off because of it. Decisive is what the ledger says; it judges again. */
static struct instant ledger_time(const struct gate *gate) {
    return (struct instant){gate->told.ms + (steady_ms() - gate->told_ms)};
}

/* ---- to peers ---- */

/* It comes back and asks again. */
static void put_out(struct gate *gate, struct session *session) {
    gate->refused++;
    network_cut(gate->network, session->fd);
    sessions_part(gate->sessions, session);
}

static bool is_member(const struct gate *gate, const struct session *session) {
    return admit_standing(gate->snapshot->directory, session->transport, ledger_time(gate)).live == E_OK;
}

/* What the connection does not take is kept, behind what is kept already; who leaves too much of it is put out. */
static void deliver(struct gate *gate, struct session *session, struct bytes frame) {
    enum error error = session->unsent_first ? E_BUSY : network_send(gate->network, &session->route, frame);
    if (error == E_BUSY) {
        size_t max = is_member(gate, session) ? UNSENT_MEMBER_MAX : UNSENT_GUEST_MAX;
        error = sessions_keep(gate->sessions, session, frame, max, monotonic_ms());
    }
    if (error == E_UNREACHABLE)
        sessions_part(gate->sessions, session);
    else if (error != E_OK)
        put_out(gate, session);
}

static void deliver_kept(struct gate *gate, struct session *session, uint64_t now_ms) {
    enum error error = E_OK;
    while (error == E_OK && session->unsent_first) {
        const struct unsent *unsent = session->unsent_first;
        error = network_send(gate->network, &session->route, bytes_of(unsent->bytes, unsent->n));
        if (error == E_OK) sessions_sent(gate->sessions, session, now_ms);
    }
    if (error == E_UNREACHABLE)
        sessions_part(gate->sessions, session);
    else if (error != E_OK && now_ms - session->stuck_ms >= STUCK_MS)
        put_out(gate, session);
}

/* libzmq does not say when a peer can take more, so as long as anything is kept it is tried every few milliseconds. */
static void deliver_all_kept(struct gate *gate) {
    if (sessions_unsent(gate->sessions) == 0) return;
    uint64_t now_ms = monotonic_ms();
    for (struct session *at = sessions_next(gate->sessions, NULL), *after; at; at = after) {
        after = sessions_next(gate->sessions, at);
        if (at->unsent_first) deliver_kept(gate, at, now_ms);
    }
}

static void encode_failure(uint64_t number, enum error error, const char *detail, uint32_t retry_s, struct buf *out) {
    struct failed failure = {
        .error = (uint64_t)error, .has_retry_s = retry_s > 0, .retry_s = retry_s, .has_detail = detail && *detail};
    if (failure.has_detail) failure.detail = bytes_text(detail);
    message_encode(MESSAGE_FAILURE, number, &failure, out);
}

static void answer(struct gate *gate, struct session *session, uint64_t number, enum error error, const char *detail,
                   uint32_t retry_s) {
    AUTO_BUF frame = {0};
    gate->refused++;
    encode_failure(number, error, detail, retry_s, &frame);
    if (buf_error(&frame) == E_OK) deliver(gate, session, buf_bytes(&frame));
}

static void tell_older(struct gate *gate, const struct route *older) {
    AUTO_BUF frame = {0};
    message_encode_failure(0, E_CONFLICT, "another connection took over", &frame);
    if (buf_error(&frame) != E_OK) return;
    if (network_send(gate->network, older, buf_bytes(&frame)) != E_OK) gate->refused++;
}

/* ---- from peers ---- */

static bool ledger_is_behind(const struct gate *gate) { return gate->link.out.n - gate->link.out_done > BEHIND_MAX; }

static struct work *work_new(struct gate *gate, const struct session *session, const struct message_row *row,
                             const struct standing *standing, struct bytes bytes) {
    struct work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    struct frame frame;
    buf_add_bytes(&work->frame, bytes);
    if (buf_error(&work->frame) != E_OK || frame_decode(buf_bytes(&work->frame), &frame) != E_OK) {
        work_free(&work);
        return NULL;
    }
    work->session = session->number;
    work->number = frame.number;
    work->body = frame.body;
    work->row = row;
    work->device = standing->device;
    work->snapshot = snapshot_hold(gate->snapshot);
    work->time = ledger_time(gate);
    memcpy(work->transport, session->transport, KEY_SIZE);
    return work;
}

static enum error hand_to_workers(struct gate *gate, struct session *session, const struct message_row *row,
                                  const struct standing *standing, struct bytes bytes) {
    if (session->waiting >= WAITING_MAX || ledger_is_behind(gate)) return E_BUSY;
    struct work *work = work_new(gate, session, row, standing, bytes);
    if (!work) return E_BUSY;
    enum error error = workers_put(gate->workers, &work);
    if (error == E_OK) session->waiting++;
    work_free(&work);
    return error;
}

static void handle(struct gate *gate, struct session *session, struct bytes bytes) {
    struct frame frame;
    const struct message_row *row;
    uint32_t retry_s = 0;
    struct standing standing = admit_standing(gate->snapshot->directory, session->transport, ledger_time(gate));
    uint64_t rate = standing.live == E_OK ? gate->config->rate_member : gate->config->rate_guest;
    enum error error = frame_decode(bytes, &frame);
    uint64_t number = error == E_OK ? frame.number : 0;
    if (!bucket_take(&session->bucket, rate, session->seen_ms, &retry_s)) {
        answer(gate, session, number, E_RATE_LIMITED, NULL, retry_s);
        return;
    }
    if (error == E_OK) error = admit_frame(&frame, &standing, &row);
    if (error == E_OK) error = hand_to_workers(gate, session, row, &standing, bytes);
    if (error != E_OK) answer(gate, session, number, error, NULL, error == E_BUSY ? 1 : 0);
}

static void receive(struct gate *gate, struct arrival *arrival) {
    struct session *session;
    struct route older;
    gate->received++;
    if (sessions_arrive(gate->sessions, arrival->transport, &arrival->route, arrival->fd, monotonic_ms(), &session,
                        &older) != E_OK) {
        gate->refused++;
        network_cut(gate->network, arrival->fd);
        return;
    }
    if (older.n) tell_older(gate, &older);
    handle(gate, session, bytes_of(zmq_msg_data(&arrival->body), zmq_msg_size(&arrival->body)));
}

static void receive_some(struct gate *gate) {
    struct arrival arrival;
    for (unsigned i = 0; i < RECEIVE_AT_ONCE && network_receive(gate->network, &arrival); i++) {
        receive(gate, &arrival);
        zmq_msg_close(&arrival.body);
    }
}

/* ---- to the ledger ---- */

static enum error put_job(struct gate *gate, const struct work *work) {
    struct job job = {.session = work->session, .has_device = work->device != NULL, .frame = buf_bytes(&work->frame)};
    memcpy(job.transport, work->transport, KEY_SIZE);
    if (work->device) memcpy(job.device, work->device->device, KEY_SIZE);
    return link_put(&gate->link, PACKET_JOB, &job_object, &job);
}

static void release(struct gate *gate, const struct work *work) {
    struct session *session = sessions_by_number(gate->sessions, work->session);
    if (session && session->waiting) session->waiting--;
    enum error error = work->error;
    if (error == E_OK && put_job(gate, work) != E_OK) error = E_BUSY;
    if (error != E_OK && session) answer(gate, session, work->number, error, work->detail, error == E_BUSY ? 1 : 0);
}

static void release_done(struct gate *gate) {
    struct work *work;
    while ((work = workers_take(gate->workers))) {
        release(gate, work);
        work_free(&work);
    }
}

static void pulse(struct gate *gate) {
    struct network_numbers numbers = network_numbers(gate->network);
    struct pulse pulse = {.connections = numbers.connections,
                          .members = gate->members,
                          .received = gate->received,
                          .refused = gate->refused + numbers.refused,
                          .pid = (uint64_t)getpid()};
    /* A ledger too busy to take a few numbers will get the next ones. */
    if (link_put(&gate->link, PACKET_PULSE, &pulse_object, &pulse) != E_OK) gate->refused++;
}

/* ---- from the ledger ---- */

static void on_reply(struct gate *gate, const struct reply *reply) {
    struct session *session = sessions_by_number(gate->sessions, reply->session);
    if (session) deliver(gate, session, reply->frame);
}

static void on_wake(struct gate *gate, const struct wake *wake) {
    struct hint hint = {.newest = wake->newest, .has_precedence = wake->has_precedence, .precedence = wake->precedence};
    const struct directory_device *const *devices;
    struct instant now = ledger_time(gate);
    AUTO_BUF frame = {0};
    message_encode(MESSAGE_HINT, 0, &hint, &frame);
    if (buf_error(&frame) != E_OK) return;
    size_t count = snapshot_post(gate->snapshot, wake->post, &devices);
    for (size_t i = 0; i < count; i++) {
        struct session *session = sessions_by_key(gate->sessions, devices[i]->transport);
        if (!session || session->route.n == 0 || directory_live(devices[i], now) != E_OK) continue;
        deliver(gate, session, buf_bytes(&frame));
    }
}

/* ZAP judges a key at the handshake only, so whoever was revoked since is put out: not at once, because it may be about
 * to hear that its own revocation was recorded. */
static void mark_revoked(struct gate *gate) {
    for (struct session *at = sessions_next(gate->sessions, NULL); at; at = sessions_next(gate->sessions, at))
        if (!at->evict_ms && !admit_key(gate->snapshot->directory, at->transport))
            at->evict_ms = monotonic_ms() + EVICT_MS;
}

static enum error on_grown(struct gate *gate, const struct grown *grown) {
    TRY(snapshot_grow(&gate->snapshot, grown));
    gate->told.ms = grown->time_ms;
    gate->told_ms = steady_ms();
    if (gate->sessions) mark_revoked(gate);
    return E_OK;
}

static enum error on_packet(struct gate *gate, const struct packet *packet) {
    if (packet->kind == PACKET_REPLY) {
        struct reply reply;
        TRY(reply_decode(packet->body, &reply));
        on_reply(gate, &reply);
        return E_OK;
    }
    if (packet->kind == PACKET_WAKE) {
        struct wake wake;
        TRY(wake_decode(packet->body, &wake));
        on_wake(gate, &wake);
        return E_OK;
    }
    if (packet->kind == PACKET_GROWN) {
        struct grown grown;
        TRY(grown_decode(packet->body, &grown));
        return on_grown(gate, &grown);
    }
    return E_UNKNOWN_MESSAGE;
}

static void listen_to_ledger(struct gate *gate) {
    struct packet packet;
    enum error error = link_fill(&gate->link);
    if (error == E_UNREACHABLE) {
        end(gate, EXIT_STOPPED); /* the supervisor knows why, and what now */
        return;
    }
    while (error == E_OK && link_next(&gate->link, &packet, &error)) error = on_packet(gate, &packet);
    if (error != E_OK) fail(gate, "a packet of the ledger", error);
}

/* ---- starting ---- */

static enum error read_card(struct card *ret) {
    FILE *file = fopen("relay.card", "re");
    if (!file) return E_IO;
    AUTO_FREE(uint8_t) text = malloc(CARD_MAX);
    size_t n = text ? fread(text, 1, CARD_MAX, file) : 0;
    bool whole = text && !ferror(file) && feof(file);
    fclose(file);
    return whole ? card_parse(bytes_of(text, n), ret, NULL) : E_IO;
}

static enum error empty_directory(struct gate *gate) {
    struct card card;
    TRY(read_card(&card));
    struct directory *directory = directory_new(&card);
    if (!directory) return E_NO_MEMORY;
    gate->snapshot = snapshot_new(directory);
    return gate->snapshot ? E_OK : E_NO_MEMORY;
}

static void check_signals(struct gate *gate) {
    struct signalfd_siginfo info;
    if (read(gate->signals, &info, sizeof info) == (ssize_t)sizeof info) end(gate, EXIT_STOPPED);
}

/* Replays the leaves that the ledger sends first. Nothing faces the world before the directory is whole. */
static enum error first_packet(struct gate *gate, bool *ret_whole) {
    struct packet packet;
    struct grown grown;
    enum error error;
    while (!*ret_whole && link_next(&gate->link, &packet, &error)) {
        if (packet.kind != PACKET_GROWN) return E_UNKNOWN_MESSAGE;
        TRY(grown_decode(packet.body, &grown));
        TRY(on_grown(gate, &grown));
        *ret_whole = directory_size(gate->snapshot->directory) >= grown.size;
    }
    return *ret_whole ? E_OK : error;
}

static void load_directory(struct gate *gate) {
    bool whole = false;
    while (!whole && !gate->ended) {
        struct pollfd fds[] = {{.fd = gate->link.fd, .events = POLLIN}, {.fd = gate->signals, .events = POLLIN}};
        if (poll(fds, LENGTH(fds), -1) < 0) continue;
        if (fds[1].revents) check_signals(gate);
        if (!fds[0].revents) continue;
        enum error error = link_fill(&gate->link);
        if (error == E_UNREACHABLE) {
            end(gate, EXIT_STOPPED);
            return;
        }
        if (error == E_OK) error = first_packet(gate, &whole);
        if (error != E_OK) fail(gate, "the directory", error);
    }
}

/* Before the first thread is made, so that they all inherit it and the signals come through the fd alone. */
static int take_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGPIPE);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    sigdelset(&set, SIGPIPE);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Answers from an earlier gate's life must not find a session of this one: numbers begin at a random place. */
static uint64_t first_number(void) {
    uint64_t high = randombytes_random();
    return ((high << SESSION_NUMBER_BITS) | 1) & INT64_MAX;
}

static enum error open_network(struct gate *gate) {
    uint8_t secret[KEY_SIZE];
    enum error error = keys_read(".", "curve.key", secret);
    if (error != E_OK)
        fprintf(stderr, "gate: curve.key: %s\n", error_text(error));
    else
        error = network_open(gate->config, secret, gate->sessions, &gate->network);
    sodium_memzero(secret, sizeof secret);
    return error;
}

/* Each step says on stderr what failed. */
static void prepare(struct gate *gate) {
    enum error error = sign_self_test();
    if (error == E_OK && (gate->signals = take_signals()) < 0) error = E_INTERNAL;
    if (error != E_OK) {
        fail(gate, "start", error);
        return;
    }
    error = empty_directory(gate);
    if (error != E_OK) {
        fail(gate, "relay.card", error);
        return;
    }
    int fd = link_connect(".", GATE_SOCKET);
    if (fd < 0) {
        fprintf(stderr, "gate: %s: %s\n", GATE_SOCKET, strerror(errno));
        end(gate, EXIT_FAILED);
        return;
    }
    link_open(&gate->link, fd);
    load_directory(gate);
}

static void face_the_world(struct gate *gate) {
    if (gate->ended) return;
    gate->sessions = sessions_new(gate->config->connections + PARTED_MAX, first_number());
    gate->workers = gate->sessions ? workers_start((unsigned)gate->config->workers) : NULL;
    if (!gate->workers)
        fail(gate, "workers", E_NO_MEMORY);
    else if (open_network(gate) != E_OK)
        end(gate, EXIT_FAILED);
}

/* ---- serving ---- */

/* Puts out whose time has come. */
static void put_out_revoked(struct gate *gate, uint64_t now_ms) {
    for (struct session *at = sessions_next(gate->sessions, NULL), *after; at; at = after) {
        after = sessions_next(gate->sessions, at);
        if (at->evict_ms && now_ms >= at->evict_ms) put_out(gate, at);
    }
}

/* Every key is looked up, so with very many this waits longer: a millisecond for each. */
static void count_members(struct gate *gate, uint64_t now_ms) {
    if (now_ms < gate->count_ms) return;
    struct instant now = ledger_time(gate);
    uint64_t seen = 0;
    gate->members = 0;
    for (const struct session *at = sessions_next(gate->sessions, NULL); at;
         at = sessions_next(gate->sessions, at), seen++)
        gate->members += admit_standing(gate->snapshot->directory, at->transport, now).live == E_OK;
    gate->count_ms = now_ms + seen;
}

static void look_after_sessions(struct gate *gate, uint64_t now_ms) {
    put_out_revoked(gate, now_ms);
    count_members(gate, now_ms);
    sessions_sweep(gate->sessions, now_ms);
}

static void tick(struct gate *gate) {
    uint64_t now_ms = monotonic_ms();
    if (now_ms < gate->tick_ms) return;
    gate->tick_ms = now_ms + TICK_MS;
    network_tick(gate->network, now_ms);
    look_after_sessions(gate, now_ms);
    pulse(gate);
}

static long until_tick(const struct gate *gate) {
    uint64_t now_ms = monotonic_ms();
    long left = now_ms < gate->tick_ms ? (long)(gate->tick_ms - now_ms) : 0;
    return left > RETRY_MS && sessions_unsent(gate->sessions) ? RETRY_MS : left;
}

enum { ITEM_LINK = NETWORK_ITEMS, ITEM_WORKERS, ITEM_SIGNALS, ITEM_COUNT };

static void flush(struct gate *gate) {
    if (gate->link.out_done == gate->link.out.n) return;
    if (link_flush(&gate->link) != E_OK) end(gate, EXIT_STOPPED);
}

static void serve_once(struct gate *gate) {
    zmq_pollitem_t items[ITEM_COUNT];
    network_items(gate->network, items);
    items[ITEM_LINK] = (zmq_pollitem_t){.fd = gate->link.fd, .events = ZMQ_POLLIN};
    if (link_wants(&gate->link) & POLLOUT) items[ITEM_LINK].events |= ZMQ_POLLOUT;
    items[ITEM_WORKERS] = (zmq_pollitem_t){.fd = workers_fd(gate->workers), .events = ZMQ_POLLIN};
    items[ITEM_SIGNALS] = (zmq_pollitem_t){.fd = gate->signals, .events = ZMQ_POLLIN};
    if (zmq_poll(items, ITEM_COUNT, until_tick(gate)) < 0 && errno != EINTR) {
        fail(gate, "poll", E_INTERNAL);
        return;
    }
    if (items[ITEM_SIGNALS].revents) check_signals(gate);
    /* The ledger first: what it says of the directory holds for whatever arrived since. */
    if (items[ITEM_LINK].revents & (ZMQ_POLLIN | ZMQ_POLLERR)) listen_to_ledger(gate);
    if (gate->ended) return;
    network_zap(gate->network, gate->snapshot->directory);
    network_watch(gate->network);
    deliver_all_kept(gate);
    release_done(gate);
    receive_some(gate);
    release_done(gate);
    tick(gate);
    flush(gate);
}

static void report_ready(int ready_fd) {
    ssize_t n;
    do n = write(ready_fd, "", 1);
    while (n < 0 && errno == EINTR);
}

static void close_all(struct gate *gate) {
    workers_stop(&gate->workers);
    network_close(&gate->network);
    sessions_free(gate->sessions);
    snapshot_drop(&gate->snapshot);
    link_close(&gate->link);
    if (gate->signals >= 0) close(gate->signals);
}

/* One heap for all threads, that grows in large steps. The heaps that glibc gives to further threads grow by a system
 * call for every few pages, under a lock of the whole process, and keep what other threads could use: with 10,000 peers
 * that come at once, it was the largest part of the time. */
static void prepare_heap(void) {
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TOP_PAD, HEAP_STEP);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * HEAP_STEP);
}

int gate_run(const struct config *config, int ready_fd) {
    struct gate gate = {.config = config, .link = {.fd = -1}, .signals = -1};
    prepare_heap();
    prepare(&gate);
    face_the_world(&gate);
    if (!gate.ended) report_ready(ready_fd);
    while (!gate.ended) serve_once(&gate);
    close_all(&gate);
    return gate.exit_code;
}
