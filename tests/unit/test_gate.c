/* test_gate.c - the gate process as peers and the ledger meet it. The gate is real and runs in a process of its own
 * (this program, started with --gate); of the ledger there is only its end of the socket, so what is tested is
 * transport: who is let in, whose answer goes where, what is dropped, and what a kill costs. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "directory_fixture.h"
#include "gate.h"
#include "keys.h"
#include "link.h"
#include "message.h"

enum { WAIT_MS = 8000, QUIET_MS = 400, GUEST = 900, RATE_GUEST = 20, CONNECTIONS = 40 };
/* libzmq's limit counts what CURVE adds: command name, nonce, tag, flags. */
enum { CURVE_OVERHEAD = 8 + 8 + 16 + 1, LARGEST = MESSAGE_MAX + 64 - CURVE_OVERHEAD };

/* ---- the gate's process ---- */

static int run_gate(char **arguments) {
    struct config config = {
        .listen_count = 1, .rate_member = 400, .rate_guest = RATE_GUEST, .connections = CONNECTIONS, .workers = 2};
    snprintf(config.listen[0], sizeof config.listen[0], "tcp://127.0.0.1:%s", arguments[0]);
    return gate_run(&config, atoi(arguments[1]));
}

struct relay {
    char folder[64];
    struct world world;
    unsigned port;
    int listener, ready;
    pid_t pid;
    struct link link;
    uint8_t curve[KEY_SIZE];
    void *context;
    /* what the ledger's end has seen */
    unsigned jobs;
    uint64_t session;
    bool has_device, answers;
    uint8_t device[KEY_SIZE], transport[KEY_SIZE];
    unsigned pulses;
    uint64_t connections, members, refused;
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int raw_socket(unsigned port, bool listening) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int done = listening ? bind(fd, (struct sockaddr *)&address, sizeof address)
                         : connect(fd, (struct sockaddr *)&address, sizeof address);
    assert_int_equal(done, 0);
    return fd;
}

static unsigned free_port(void) {
    int fd = raw_socket(0, true);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void write_folder(struct relay *relay) {
    struct card card = {.name = "relay.test", .address_count = 1, .registrar_count = 1, .threshold = 1};
    uint8_t secret[KEY_SIZE];
    AUTO_BUF text = {0};
    randombytes_buf(secret, sizeof secret);
    assert_int_equal(crypto_scalarmult_base(relay->curve, secret), 0);
    assert_ok(keys_write(".", "curve.key", secret));
    snprintf(card.addresses[0], sizeof card.addresses[0], "tcp://127.0.0.1:%u", relay->port);
    memcpy(card.curve, relay->curve, KEY_SIZE);
    memcpy(card.statement, pair_of(70).public, KEY_SIZE);
    memcpy(card.log, pair_of(71).public, KEY_SIZE);
    memcpy(card.registrars[0], pair_of(REGISTRAR).public, KEY_SIZE);
    card_format(&card, &text);
    FILE *file = fopen("relay.card", "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.p, 1, text.n, file), text.n);
    fclose(file);
}

/* ---- the ledger's end ---- */

static void send_leaves(struct relay *relay, size_t from) {
    AUTO_BUF items = {0};
    for (size_t i = from; i < relay->world.count; i++) cbor_put_bytes(&items, buf_bytes(&relay->world.leaves[i]));
    struct grown grown = {.from = from,
                          .leaves = list_of(&items, relay->world.count - from),
                          .size = relay->world.count,
                          .time_ms = (uint64_t)time(NULL) * 1000};
    assert_ok(link_put(&relay->link, PACKET_GROWN, &grown_object, &grown));
    assert_ok(link_flush(&relay->link));
}

static void send_reply(struct relay *relay, uint64_t session, struct bytes frame) {
    assert_ok(link_put(&relay->link, PACKET_REPLY, &reply_object, &(struct reply){.session = session, .frame = frame}));
    assert_ok(link_flush(&relay->link));
}

static void on_job(struct relay *relay, const struct job *job) {
    struct frame frame;
    AUTO_BUF answer = {0};
    assert_ok(frame_decode(job->frame, &frame));
    relay->jobs++;
    relay->session = job->session;
    relay->has_device = job->has_device;
    memcpy(relay->device, job->device, KEY_SIZE);
    memcpy(relay->transport, job->transport, KEY_SIZE);
    if (!relay->answers) return;
    message_encode(MESSAGE_DONE, frame.number, &(struct done){0}, &answer);
    send_reply(relay, job->session, buf_bytes(&answer));
}

static void on_pulse(struct relay *relay, const struct pulse *pulse) {
    relay->pulses++;
    relay->connections = pulse->connections;
    relay->members = pulse->members;
    relay->refused = pulse->refused;
    assert_int_equal(pulse->pid, relay->pid);
}

/* Takes what the gate has sent so far; waits a little for more. False: it has gone. */
static bool pump(struct relay *relay) {
    struct pollfd fd = {.fd = relay->link.fd, .events = POLLIN};
    if (link_flush(&relay->link) != E_OK) return false;
    if (poll(&fd, 1, 5) <= 0) return true;
    if (link_fill(&relay->link) != E_OK) return false;
    struct packet packet;
    enum error error;
    while (link_next(&relay->link, &packet, &error)) {
        struct job job;
        struct pulse pulse;
        if (packet.kind == PACKET_JOB) {
            assert_ok(job_decode(packet.body, &job));
            on_job(relay, &job);
        } else {
            assert_int_equal(packet.kind, PACKET_PULSE);
            assert_ok(pulse_decode(packet.body, &pulse));
            on_pulse(relay, &pulse);
        }
    }
    assert_ok(error);
    return true;
}

static void wait_pulses(struct relay *relay, unsigned more) {
    unsigned until = relay->pulses + more;
    for (uint64_t end = now_ms() + WAIT_MS; relay->pulses < until;) {
        assert_true(now_ms() < end);
        assert_true(pump(relay));
    }
}

static void wait_connections(struct relay *relay, uint64_t wanted) {
    for (uint64_t end = now_ms() + 2 * WAIT_MS; relay->connections != wanted;) {
        assert_true(now_ms() < end);
        assert_true(pump(relay));
    }
}

/* ---- starting and ending ---- */

static void spawn(struct relay *relay) {
    char port[16], ready[16];
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    fcntl(pipes[0], F_SETFD, FD_CLOEXEC);
    snprintf(port, sizeof port, "%u", relay->port);
    snprintf(ready, sizeof ready, "%d", pipes[1]);
    relay->pid = fork();
    assert_true(relay->pid >= 0);
    if (relay->pid == 0) {
        execl("/proc/self/exe", "test_gate", "--gate", port, ready, (char *)NULL);
        _exit(99);
    }
    close(pipes[1]);
    relay->ready = pipes[0];
}

static void accept_gate(struct relay *relay) {
    int fd = accept(relay->listener, NULL, NULL);
    assert_true(fd >= 0);
    link_open(&relay->link, fd);
    relay->connections = 0;
}

static void start(struct relay *relay) {
    char byte;
    spawn(relay);
    accept_gate(relay);
    send_leaves(relay, 0);
    assert_int_equal(read(relay->ready, &byte, 1), 1);
    close(relay->ready);
}

static int exit_of(struct relay *relay) {
    int status = 0;
    pid_t pid = relay->pid;
    relay->pid = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void certify(struct world *world, const char *post, unsigned authority, unsigned key, unsigned number,
                    enum device_role role) {
    struct device device = device_of(post, key, number, role);
    device.not_before.ms = world->time - DAY_MS;
    device.not_after.ms = world->time + 30 * DAY_MS;
    struct countersign countersign = countersign_of(&device, authority);
    assert_ok(say_device(world, &device, key));
    assert_ok(say_countersign(world, &countersign, authority));
}

/* de/technical with DEVICE (decider) and DEVICE + 2 (bell), fj/national with DEVICE + 10; all valid today. */
static struct world world_of_today(void) {
    struct world world = {.directory = fresh_directory(), .time = (uint64_t)(time(NULL) - 3600) * 1000};
    world_party(&world, "de", AUTHORITY);
    world_post(&world, "de/technical", AUTHORITY, POST_KEY);
    certify(&world, "de/technical", AUTHORITY, POST_KEY, DEVICE, ROLE_DECIDER);
    certify(&world, "de/technical", AUTHORITY, POST_KEY, DEVICE + 2, ROLE_BELL);
    world_party(&world, "fj", OTHER_AUTHORITY);
    world_post(&world, "fj/national", OTHER_AUTHORITY, OTHER_POST_KEY);
    certify(&world, "fj/national", OTHER_AUTHORITY, OTHER_POST_KEY, DEVICE + 10, ROLE_DECIDER);
    return world;
}

static struct relay relay_new(void) {
    struct relay relay = {.world = world_of_today(), .port = free_port(), .answers = true, .link = {.fd = -1}};
    snprintf(relay.folder, sizeof relay.folder, "/tmp/pouch-gate-XXXXXX");
    assert_non_null(mkdtemp(relay.folder));
    assert_int_equal(chdir(relay.folder), 0);
    write_folder(&relay);
    relay.listener = link_listen(GATE_SOCKET);
    assert_true(relay.listener >= 0);
    relay.context = zmq_ctx_new();
    return relay;
}

static struct relay relay_started(void) {
    struct relay relay = relay_new();
    start(&relay);
    return relay;
}

/* An orderly end is part of every test: exit code 0 after SIGTERM. */
static void relay_free(struct relay *relay) {
    if (relay->pid > 0) {
        kill(relay->pid, SIGTERM);
        assert_int_equal(exit_of(relay), 0);
    }
    zmq_ctx_term(relay->context);
    link_close(&relay->link);
    close(relay->listener);
    unlink("curve.key");
    unlink("relay.card");
    unlink(GATE_SOCKET);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(relay->folder), 0);
    world_free(&relay->world);
}

/* ---- peers ---- */

static void set(void *socket, int option, int value) {
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof value), 0);
}

static void *peer_unsecured(struct relay *relay) {
    void *socket = zmq_socket(relay->context, ZMQ_DEALER);
    assert_non_null(socket);
    set(socket, ZMQ_LINGER, 0);
    set(socket, ZMQ_SNDTIMEO, WAIT_MS);
    return socket;
}

static void secure(void *socket, unsigned number, const uint8_t server[static KEY_SIZE]) {
    uint8_t secret[KEY_SIZE] = {0, (uint8_t)number, (uint8_t)(number >> 8), 2}; /* as transport_of */
    uint8_t public[KEY_SIZE];
    transport_of(number, public);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server, KEY_SIZE), 0);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public, KEY_SIZE), 0);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, KEY_SIZE), 0);
}

static void join(const struct relay *relay, void *socket) {
    char address[64];
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", relay->port);
    assert_int_equal(zmq_connect(socket, address), 0);
}

static void *peer(struct relay *relay, unsigned number) {
    void *socket = peer_unsecured(relay);
    secure(socket, number, relay->curve);
    join(relay, socket);
    return socket;
}

static void say(void *socket, enum message type, uint64_t number, const void *value) {
    AUTO_BUF frame = {0};
    message_encode(type, number, value, &frame);
    assert_int_equal(zmq_send(socket, frame.p, frame.n, 0), frame.n);
}

static void hello(void *socket, uint64_t number) { say(socket, MESSAGE_HELLO, number, &(struct hello){.size = 1}); }

/* The next frame for this peer within the time; the ledger's end goes on meanwhile. False: nothing came. */
static bool hear(struct relay *relay, void *socket, uint64_t wait_ms, struct buf *bytes, struct frame *ret) {
    for (uint64_t end = now_ms() + wait_ms; now_ms() < end;) {
        assert_true(pump(relay));
        zmq_msg_t message;
        zmq_msg_init(&message);
        int n = zmq_msg_recv(&message, socket, ZMQ_DONTWAIT);
        if (n >= 0) {
            buf_clear(bytes);
            buf_add(bytes, zmq_msg_data(&message), zmq_msg_size(&message));
        }
        zmq_msg_close(&message);
        if (n < 0) continue;
        assert_ok(frame_decode(buf_bytes(bytes), ret));
        return true;
    }
    return false;
}

static void expect_done(struct relay *relay, void *socket, uint64_t number) {
    AUTO_BUF bytes = {0};
    struct frame frame;
    assert_true(hear(relay, socket, WAIT_MS, &bytes, &frame));
    assert_int_equal(frame.type, MESSAGE_DONE);
    assert_int_equal(frame.number, number);
}

static struct failed expect_failure(struct relay *relay, void *socket, uint64_t number, enum error error) {
    AUTO_BUF bytes = {0};
    struct frame frame;
    struct failed failed;
    assert_true(hear(relay, socket, WAIT_MS, &bytes, &frame));
    assert_int_equal(frame.type, MESSAGE_FAILURE);
    assert_int_equal(frame.number, number);
    assert_ok(failed_decode(frame.body, &failed));
    assert_error((enum error)failed.error, error);
    failed.detail = (struct bytes){0}; /* its bytes end here */
    return failed;
}

static void expect_silence(struct relay *relay, void *socket) {
    AUTO_BUF bytes = {0};
    struct frame frame;
    assert_false(hear(relay, socket, QUIET_MS, &bytes, &frame));
}

#define AUTO_RELAY __attribute__((cleanup(relay_free))) struct relay

/* ---- who is let in, and as whom ---- */

static void guest_is_heard_and_named_by_its_key_alone(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *guest = peer(&relay, GUEST);
    uint8_t transport[KEY_SIZE];
    transport_of(GUEST, transport);
    hello(guest, 7);
    expect_done(&relay, guest, 7);
    assert_false(relay.has_device);
    assert_memory_equal(relay.transport, transport, KEY_SIZE);
    zmq_close(guest);
}

static void member_is_named_by_its_device(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *member = peer(&relay, DEVICE);
    say(member, MESSAGE_GETFEED, 8, &(struct getfeed){.max = 1});
    expect_done(&relay, member, 8);
    assert_true(relay.has_device);
    assert_memory_equal(relay.device, pair_of(DEVICE).public, KEY_SIZE);
    wait_pulses(&relay, 2);
    assert_int_equal(relay.members, 1);
    assert_int_equal(relay.connections, 1);
    zmq_close(member);
}

static void guest_may_not_ask_what_members_ask(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *guest = peer(&relay, GUEST);
    say(guest, MESSAGE_GETFEED, 9, &(struct getfeed){.max = 1});
    expect_failure(&relay, guest, 9, E_UNKNOWN_DEVICE);
    say(guest, MESSAGE_DONE, 10, &(struct done){0});
    expect_failure(&relay, guest, 10, E_UNKNOWN_MESSAGE);
    assert_int_equal(relay.jobs, 0);
    zmq_close(guest);
}

static void guest_above_its_rate_is_told_when_to_come_back(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *guest = peer(&relay, GUEST);
    unsigned done = 0, limited = 0;
    for (unsigned i = 0; i < 3 * RATE_GUEST; i++) hello(guest, i + 1);
    for (unsigned i = 0; i < 3 * RATE_GUEST; i++) {
        AUTO_BUF bytes = {0};
        struct frame frame;
        struct failed failed;
        assert_true(hear(&relay, guest, WAIT_MS, &bytes, &frame));
        done += frame.type == MESSAGE_DONE;
        if (frame.type == MESSAGE_DONE) continue;
        assert_ok(failed_decode(frame.body, &failed));
        assert_error((enum error)failed.error, E_RATE_LIMITED);
        assert_true(failed.has_retry_s && failed.retry_s == 1);
        limited++;
    }
    assert_true(done >= RATE_GUEST && limited >= RATE_GUEST);
    assert_int_equal(relay.jobs, done);
    zmq_close(guest);
}

static void peer_without_curve_or_with_another_servers_key_is_not_heard(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *plain = peer_unsecured(&relay), *lost = peer_unsecured(&relay), *guest = peer(&relay, GUEST);
    secure(lost, DEVICE, pair_of(5).public);
    join(&relay, plain);
    join(&relay, lost);
    hello(plain, 1);
    hello(lost, 2);
    expect_silence(&relay, plain);
    expect_silence(&relay, lost);
    hello(guest, 3);
    expect_done(&relay, guest, 3);
    assert_int_equal(relay.jobs, 1);
    zmq_close(plain);
    zmq_close(lost);
    zmq_close(guest);
}

static void revoke_device(struct relay *relay, unsigned number) {
    struct revocation revocation = revocation_of("de/technical", number, AUTHORITY);
    size_t before = relay->world.count;
    assert_ok(say_revocation(&relay->world, &revocation, AUTHORITY));
    if (relay->link.fd >= 0) send_leaves(relay, before);
}

static void revoked_key_is_refused_at_the_door(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_new();
    revoke_device(&relay, DEVICE);
    start(&relay);
    void *member = peer_unsecured(&relay), *monitor = zmq_socket(relay.context, ZMQ_PAIR);
    secure(member, DEVICE, relay.curve);
    assert_int_equal(zmq_socket_monitor(member, "inproc://watch", ZMQ_EVENT_HANDSHAKE_FAILED_AUTH), 0);
    assert_int_equal(zmq_connect(monitor, "inproc://watch"), 0);
    set(monitor, ZMQ_RCVTIMEO, WAIT_MS);
    set(monitor, ZMQ_LINGER, 0);
    join(&relay, member);
    uint8_t event[6];
    uint32_t value;
    assert_int_equal(zmq_recv(monitor, event, sizeof event, 0), sizeof event);
    memcpy(&value, event + 2, sizeof value);
    assert_int_equal(value, 400);
    assert_int_equal(relay.jobs, 0);
    zmq_close(member);
    zmq_close(monitor);
}

static void member_revoked_while_connected_is_told_and_then_put_out(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *member = peer(&relay, DEVICE);
    hello(member, 1);
    expect_done(&relay, member, 1);
    wait_connections(&relay, 1);
    revoke_device(&relay, DEVICE);
    wait_pulses(&relay, 1);
    hello(member, 2);
    expect_failure(&relay, member, 2, E_REVOKED);
    assert_int_equal(relay.jobs, 1);
    wait_connections(&relay, 0);
    zmq_send(member, "", 0, ZMQ_DONTWAIT); /* it tries to come back, and is refused at the door */
    expect_silence(&relay, member);
    wait_connections(&relay, 0);
    assert_int_equal(relay.jobs, 1);
    zmq_close(member);
}

/* ---- whose answer goes where ---- */

static void second_connection_of_a_key_takes_over_and_the_first_is_told(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *first = peer(&relay, DEVICE);
    hello(first, 1);
    expect_done(&relay, first, 1);
    uint64_t session = relay.session;
    void *second = peer(&relay, DEVICE);
    hello(second, 2);
    expect_failure(&relay, first, 0, E_CONFLICT);
    expect_done(&relay, second, 2);
    assert_int_not_equal(relay.session, session);
    AUTO_BUF late = {0};
    message_encode(MESSAGE_DONE, 3, &(struct done){0}, &late);
    send_reply(&relay, session, buf_bytes(&late)); /* meant for the first: nobody gets it */
    expect_silence(&relay, first);
    expect_silence(&relay, second);
    zmq_close(first);
    zmq_close(second);
}

static void hint_reaches_every_live_device_of_the_post_and_nobody_else(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    static const unsigned numbers[] = {DEVICE, DEVICE + 2, DEVICE + 10, GUEST};
    void *peers[LENGTH(numbers)];
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        peers[i] = peer(&relay, numbers[i]);
        hello(peers[i], 1);
        expect_done(&relay, peers[i], 1);
    }
    struct wake wake = {
        .post = bytes_text("de/technical"), .newest = 42, .has_precedence = true, .precedence = PRECEDENCE_FLASH};
    assert_ok(link_put(&relay.link, PACKET_WAKE, &wake_object, &wake));
    wake.post = bytes_text("no/such");
    assert_ok(link_put(&relay.link, PACKET_WAKE, &wake_object, &wake));
    assert_ok(link_flush(&relay.link));
    for (size_t i = 0; i < 2; i++) {
        AUTO_BUF bytes = {0};
        struct frame frame;
        struct hint hint;
        assert_true(hear(&relay, peers[i], WAIT_MS, &bytes, &frame));
        assert_int_equal(frame.type, MESSAGE_HINT);
        assert_int_equal(frame.number, 0);
        assert_ok(hint_decode(frame.body, &hint));
        assert_int_equal(hint.newest, 42);
        assert_true(hint.has_precedence && hint.precedence == PRECEDENCE_FLASH);
    }
    expect_silence(&relay, peers[2]);
    expect_silence(&relay, peers[3]);
    for (size_t i = 0; i < LENGTH(numbers); i++) zmq_close(peers[i]);
}

static void member_admitted_while_the_gate_runs_is_a_member_at_once(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *fresh = peer(&relay, DEVICE + 1);
    say(fresh, MESSAGE_GETFEED, 1, &(struct getfeed){.max = 1});
    expect_failure(&relay, fresh, 1, E_UNKNOWN_DEVICE);
    size_t before = relay.world.count;
    certify(&relay.world, "de/technical", AUTHORITY, POST_KEY, DEVICE + 1, ROLE_READER);
    send_leaves(&relay, before);
    wait_pulses(&relay, 1);
    say(fresh, MESSAGE_GETFEED, 2, &(struct getfeed){.max = 1});
    expect_done(&relay, fresh, 2);
    assert_true(relay.has_device);
    zmq_close(fresh);
}

static void answers_come_in_the_order_of_the_questions(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *member = peer(&relay, DEVICE);
    for (unsigned i = 0; i < 200; i++) hello(member, i + 1);
    for (unsigned i = 0; i < 200; i++) expect_done(&relay, member, i + 1);
    zmq_close(member);
}

/* ---- slow readers ---- */

enum { LARGE = 400 * 1024 };

/* A peer that takes next to nothing by itself: what it does not read stays in the network and at the gate. */
static void *slow_peer(struct relay *relay, unsigned number) {
    void *socket = peer_unsecured(relay);
    secure(socket, number, relay->curve);
    set(socket, ZMQ_RCVHWM, 1);
    set(socket, ZMQ_RCVBUF, 65536);
    join(relay, socket);
    hello(socket, 1);
    expect_done(relay, socket, 1);
    return socket;
}

static void send_large(struct relay *relay, uint64_t number) {
    AUTO_BUF frame = {0};
    AUTO_BUF body = {0};
    memset(buf_extend(&body, LARGE), 7, LARGE);
    frame_encode(&(struct frame){.type = MESSAGE_DONE, .number = number, .body = buf_bytes(&body)}, &frame);
    send_reply(relay, relay->session, buf_bytes(&frame));
}

static uint64_t memory_of(pid_t pid) {
    char path[64];
    unsigned long pages = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &pages, &resident), 2);
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void slow_reader_gets_everything_in_order_in_its_own_time(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *slow = slow_peer(&relay, DEVICE);
    for (uint64_t number = 100; number < 140; number++) send_large(&relay, number);
    wait_pulses(&relay, 2);
    for (uint64_t number = 100; number < 140; number++) {
        AUTO_BUF bytes = {0};
        struct frame frame;
        assert_true(hear(&relay, slow, WAIT_MS, &bytes, &frame));
        assert_int_equal(frame.number, number);
        assert_int_equal(frame.body.n, LARGE);
    }
    assert_int_equal(relay.refused, 0);
    zmq_close(slow);
}

static void reader_that_leaves_too_much_is_put_out_and_costs_the_others_nothing(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *slow = slow_peer(&relay, DEVICE), *member = peer(&relay, DEVICE + 10);
    for (uint64_t number = 0; number < 300; number++) {
        send_large(&relay, number);
        assert_true(pump(&relay));
    }
    hello(member, 2);
    expect_done(&relay, member, 2);
    wait_pulses(&relay, 2);
    assert_true(relay.refused > 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(memory_of(relay.pid) < (uint64_t)300 * LARGE / 2);
#else
    assert_true(memory_of(relay.pid) > 0);
#endif
    zmq_close(slow);
    zmq_close(member);
}

/* ---- what is dropped ---- */

static void frames_of_the_wrong_number_or_size_are_dropped_and_harm_nobody(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *rude = peer(&relay, GUEST), *member = peer(&relay, DEVICE);
    AUTO_BUF frame = {0};
    message_encode(MESSAGE_HELLO, 1, &(struct hello){.size = 1}, &frame);
    zmq_send(rude, frame.p, frame.n, ZMQ_SNDMORE);
    zmq_send(rude, frame.p, frame.n, 0);
    expect_silence(&relay, rude);
    hello(rude, 2);
    expect_done(&relay, rude, 2);
    AUTO_FREE(uint8_t) large = calloc(1, LARGEST + 1);
    zmq_send(rude, large, LARGEST, 0);
    expect_failure(&relay, rude, 0, E_MALFORMED);
    zmq_send(rude, large, LARGEST + 1, 0); /* costs it the connection */
    hello(member, 3);
    expect_done(&relay, member, 3);
    expect_silence(&relay, rude);
    assert_int_equal(relay.jobs, 2);
    zmq_close(rude);
    zmq_close(member);
}

static void answer_names_the_field_that_is_wrong(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *guest = peer(&relay, GUEST);
    AUTO_BUF body = {0};
    AUTO_BUF bytes = {0};
    struct frame frame;
    struct failed failed;
    getleaves_encode(&(struct getleaves){.max = 1}, &body);
    body.p[body.n - 1] = 0; /* max */
    AUTO_BUF wrong = {0};
    frame_encode(&(struct frame){.type = MESSAGE_GETLEAVES, .number = 4, .body = buf_bytes(&body)}, &wrong);
    zmq_send(guest, wrong.p, wrong.n, 0);
    assert_true(hear(&relay, guest, WAIT_MS, &bytes, &frame));
    assert_ok(failed_decode(frame.body, &failed));
    assert_error((enum error)failed.error, E_OUT_OF_RANGE);
    assert_true(failed.has_detail && bytes_are(failed.detail, "max"));
    assert_int_equal(relay.jobs, 0);
    zmq_close(guest);
}

static void half_open_handshake_is_closed(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    int silent = raw_socket(relay.port, false), greeted = raw_socket(relay.port, false);
    static const uint8_t greeting[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0};
    assert_int_equal(write(greeted, greeting, sizeof greeting), sizeof greeting);
    wait_connections(&relay, 2);
    wait_connections(&relay, 0);
    char byte[256];
    while (read(silent, byte, sizeof byte) > 0) {
    }
    while (read(greeted, byte, sizeof byte) > 0) {
    }
    assert_int_equal(relay.jobs, 0);
    close(silent);
    close(greeted);
}

static void connections_above_the_limit_are_closed_and_the_others_stay(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *member = peer(&relay, DEVICE);
    hello(member, 1);
    expect_done(&relay, member, 1);
    int fds[2 * CONNECTIONS];
    for (size_t i = 0; i < LENGTH(fds); i++) fds[i] = raw_socket(relay.port, false);
    wait_pulses(&relay, 3);
    assert_in_range(relay.connections, CONNECTIONS / 2, CONNECTIONS);
    assert_true(relay.refused >= CONNECTIONS);
    hello(member, 2);
    expect_done(&relay, member, 2);
    for (size_t i = 0; i < LENGTH(fds); i++) close(fds[i]);
    wait_connections(&relay, 1);
    zmq_close(member);
}

/* ---- living and dying ---- */

static void killed_gate_is_started_again_and_its_peers_come_back(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    void *member = peer(&relay, DEVICE);
    hello(member, 1);
    expect_done(&relay, member, 1);
    uint64_t session = relay.session;
    kill(relay.pid, SIGKILL);
    assert_int_equal(exit_of(&relay), 128 + SIGKILL);
    link_close(&relay.link);
    start(&relay);
    AUTO_BUF late = {0};
    message_encode(MESSAGE_DONE, 99, &(struct done){0}, &late);
    bool back = false;
    for (uint64_t number = 2; number < 20 && !back; number++) { /* what the kill swallowed is asked again */
        AUTO_BUF bytes = {0};
        struct frame frame;
        hello(member, number);
        back = hear(&relay, member, 1000, &bytes, &frame);
    }
    assert_true(back);
    assert_int_not_equal(relay.session, session);
    send_reply(&relay, session, buf_bytes(&late));
    zmq_close(member);
}

static void gate_ends_when_the_ledger_does(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    link_close(&relay.link);
    assert_int_equal(exit_of(&relay), 0);
}

static void nothing_listens_before_the_directory_is_whole(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_new();
    char byte;
    spawn(&relay);
    accept_gate(&relay);
    AUTO_BUF items = {0};
    cbor_put_bytes(&items, buf_bytes(&relay.world.leaves[0]));
    struct grown grown = {.from = 0, .leaves = list_of(&items, 1), .size = relay.world.count};
    assert_ok(link_put(&relay.link, PACKET_GROWN, &grown_object, &grown));
    assert_ok(link_flush(&relay.link));
    struct pollfd ready = {.fd = relay.ready, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, QUIET_MS), 0);
    send_leaves(&relay, 1);
    assert_int_equal(read(relay.ready, &byte, 1), 1);
    close(relay.ready);
}

static void leaf_that_does_not_verify_ends_the_gate(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_started();
    size_t before = relay.world.count;
    certify(&relay.world, "de/technical", AUTHORITY, POST_KEY, DEVICE + 1, ROLE_READER);
    struct buf *leaf = &relay.world.leaves[before];
    leaf->p[leaf->n / 2] ^= 1;
    send_leaves(&relay, before);
    assert_int_equal(exit_of(&relay), 1);
}

static void address_in_use_ends_the_gate_with_an_error(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_new();
    char byte;
    int taken = raw_socket(relay.port, true);
    assert_int_equal(listen(taken, 1), 0);
    spawn(&relay);
    accept_gate(&relay);
    send_leaves(&relay, 0);
    assert_int_equal(read(relay.ready, &byte, 1), 0);
    assert_int_equal(exit_of(&relay), 1);
    close(relay.ready);
    close(taken);
}

static void key_file_that_others_may_read_ends_the_gate_with_an_error(void **state) {
    (void)state;
    AUTO_RELAY relay = relay_new();
    char byte;
    assert_int_equal(chmod("curve.key", 0644), 0);
    spawn(&relay);
    accept_gate(&relay);
    send_leaves(&relay, 0);
    assert_int_equal(read(relay.ready, &byte, 1), 0);
    assert_int_equal(exit_of(&relay), 1);
    close(relay.ready);
}

int main(int count, char **arguments) {
    if (count == 4 && strcmp(arguments[1], "--gate") == 0) return run_gate(arguments + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_is_heard_and_named_by_its_key_alone),
        cmocka_unit_test(member_is_named_by_its_device),
        cmocka_unit_test(guest_may_not_ask_what_members_ask),
        cmocka_unit_test(guest_above_its_rate_is_told_when_to_come_back),
        cmocka_unit_test(peer_without_curve_or_with_another_servers_key_is_not_heard),
        cmocka_unit_test(revoked_key_is_refused_at_the_door),
        cmocka_unit_test(member_revoked_while_connected_is_told_and_then_put_out),
        cmocka_unit_test(second_connection_of_a_key_takes_over_and_the_first_is_told),
        cmocka_unit_test(hint_reaches_every_live_device_of_the_post_and_nobody_else),
        cmocka_unit_test(member_admitted_while_the_gate_runs_is_a_member_at_once),
        cmocka_unit_test(answers_come_in_the_order_of_the_questions),
        cmocka_unit_test(slow_reader_gets_everything_in_order_in_its_own_time),
        cmocka_unit_test(reader_that_leaves_too_much_is_put_out_and_costs_the_others_nothing),
        cmocka_unit_test(frames_of_the_wrong_number_or_size_are_dropped_and_harm_nobody),
        cmocka_unit_test(answer_names_the_field_that_is_wrong),
        cmocka_unit_test(half_open_handshake_is_closed),
        cmocka_unit_test(connections_above_the_limit_are_closed_and_the_others_stay),
        cmocka_unit_test(killed_gate_is_started_again_and_its_peers_come_back),
        cmocka_unit_test(gate_ends_when_the_ledger_does),
        cmocka_unit_test(nothing_listens_before_the_directory_is_whole),
        cmocka_unit_test(leaf_that_does_not_verify_ends_the_gate),
        cmocka_unit_test(address_in_use_ends_the_gate_with_an_error),
        cmocka_unit_test(key_file_that_others_may_read_ends_the_gate_with_an_error),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
