/* idle.c - very many clients that are connected and do nothing, until their relay goes and all of them come back at once.
 *
 *     idle charter FOLDER                  FOLDER/idle.charter for `pouchctl admit`
 *     idle join FOLDER N                   N devices of that party, sixteen a post, at the relay of FOLDER/relay; FOLDER/idle.keys
 *     idle keys FOLDER N                   FOLDER/idle.keys alone: keys that no directory knows
 *     idle bare FOLDER PORT                the same library without a relay: ROUTER, CURVE, ZAP; lets in everybody, sends
 *                                          back what comes. Killed by whoever started it
 *     idle hold FOLDER N [PORT]            connects N of the keys to the relay, or to the bare server on PORT, and does what
 *                                          stdin says, a line of JSON each:
 *         up           everybody is connected and asks once; when all were answered
 *         down         waits until all connections have ended
 *         back         as up, and of a hundred of them those who were answered go on asking, 100 times a second in all
 *
 * A client here is a connection with a CURVE key and a ZMTP handshake of its own. They are connections of two ROUTERs, each under
 * the name that ZMQ_CONNECT_ROUTING_ID gave it, because 10,000 sockets would need 10,000 file descriptors more. They
 * connect again, time out and look after their link as client/lib/link.c does, but a question that was put while
 * nobody listened waits in libzmq. The question is HELLO, which the relay's ledger answers. */
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "card.h"
#include "directory.h"
#include "letter.h"
#include "message.h"
#include "sign.h"

enum {
    CARD_MAX = 64 * 1024,
    PATH = 512,
    WAIT_MS = 60000,
    PARTY_POST_DEVICES = 16, /* DEVICES_PER_POST_MAX */
    IO_THREADS = 1,
    RECONNECT_MS = 100, /* as client/lib/link.c, and what follows */
    RECONNECT_MAX_MS = 2000,
    HANDSHAKE_MS = 5000,
    CONNECT_MS = 5000,
    HEARTBEAT_MS = 60000,
    HEARTBEAT_WAIT_MS = 15000,
    ASK_EVERY_MS = 10,
    SAMPLES_MAX = 1 << 20,
    BARE_IO_THREADS = 2, /* as the gate */
    BACKLOG = 1024,
};

struct transport {
    uint8_t public[KEY_SIZE], secret[KEY_SIZE];
};

struct party {
    char name[8];
    uint8_t authority[KEY_SIZE], secret[SIGN_SECRET_SIZE];
};

static void must(enum error error, const char *what) {
    if (error != E_OK) letter_die("%s: %s", what, error_text(error));
}

static void must_zmq(bool good, const char *what) {
    if (!good) letter_die("%s: %s", what, zmq_strerror(zmq_errno()));
}

static uint64_t clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t now_ms(void) { return clock_ms(CLOCK_MONOTONIC); }
static uint64_t wall_ms(void) { return clock_ms(CLOCK_REALTIME); }

static void write_file(const char *folder, const char *name, struct bytes bytes) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    bool good = file && fwrite(bytes.p, 1, bytes.n, file) == bytes.n;
    if (!file || fclose(file) != 0 || !good) letter_die("%s cannot be written", path);
}

static size_t read_file(const char *folder, const char *name, void *out, size_t size) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (!file) letter_die("%s cannot be read", path);
    size_t n = fread(out, 1, size, file);
    fclose(file);
    return n;
}

static void read_card(const char *folder, struct card *ret) {
    static char text[CARD_MAX];
    size_t n = read_file(folder, "relay/relay.card", text, sizeof text);
    must(card_parse(bytes_of(text, n), ret, NULL), "relay.card");
}

/* ---- the party and its devices ---- */

static void put_statement(enum leaf_kind kind, enum label label, const uint8_t secret[static SIGN_SECRET_SIZE],
                          const struct buf *payload, struct buf *out) {
    AUTO_BUF stamped = {0};
    must(stamp_sign_one(label, secret, buf_bytes(payload), &stamped), "a statement");
    dirstatement_encode(&(struct dirstatement){.kind = (uint64_t)kind, .statement = buf_bytes(&stamped)}, out);
}

static void make_charter(const char *folder) {
    AUTO_BUF payload = {0}, statements = {0}, file = {0};
    struct party party = {.name = "idle"};
    crypto_sign_keypair(party.authority, party.secret);
    struct charter charter = {
        .party = bytes_text(party.name), .name = bytes_text("A party that waits"), .created = {wall_ms()}};
    memcpy(charter.authority, party.authority, KEY_SIZE);
    randombytes_buf(charter.next, HASH_SIZE);
    charter_encode(&charter, &payload);
    put_statement(LEAF_CHARTER, LABEL_CHARTER, party.secret, &payload, &statements);
    dossier_encode(&(struct dossier){.post = bytes_text(party.name), .statements = list_of(&statements, 1)}, &file);
    must(buf_error(&file), "a charter");
    write_file(folder, "idle.charter", buf_bytes(&file));
    write_file(folder, "idle.authority", bytes_of((const void *)&party, sizeof party));
}

static void put_device(const struct party *party, const char *post, const uint8_t post_key[static KEY_SIZE],
                       const uint8_t post_secret[static SIGN_SECRET_SIZE], const struct transport *transport,
                       struct buf *out) {
    AUTO_BUF device_payload = {0}, counter_payload = {0};
    uint8_t public[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    crypto_sign_keypair(public, secret);
    struct device device = {.post = bytes_text(post),
                            .role = ROLE_DECIDER,
                            .not_before = {wall_ms() - 3600000},
                            .not_after = {wall_ms() + 30 * DAY_MS}};
    memcpy(device.device, public, KEY_SIZE);
    memcpy(device.transport, transport->public, KEY_SIZE);
    memcpy(device.issuer, post_key, KEY_SIZE);
    device_encode(&device, &device_payload);
    put_statement(LEAF_DEVICE, LABEL_DEVICE, post_secret, &device_payload, out);
    struct countersign countersign = {.created = {wall_ms()}};
    stamp_hash(buf_bytes(&device_payload), countersign.certificate);
    memcpy(countersign.signer, party->authority, KEY_SIZE);
    countersign_encode(&countersign, &counter_payload);
    put_statement(LEAF_COUNTERSIGN, LABEL_COUNTERSIGN, party->secret, &counter_payload, out);
}

/* A post with some devices, as ENROL takes it. */
static size_t put_post(const struct party *party, unsigned number, const struct transport *devices, size_t count,
                       struct buf *out) {
    AUTO_BUF payload = {0};
    uint8_t key[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    char name[POST_MAX + 1];
    snprintf(name, sizeof name, "%s/p%u", party->name, number);
    crypto_sign_keypair(key, secret);
    struct post post = {.post = bytes_text(name), .functions = FUNCTION_TECHNICAL, .created = {wall_ms()}};
    memcpy(post.key, key, KEY_SIZE);
    memcpy(post.authority, party->authority, KEY_SIZE);
    post_encode(&post, &payload);
    put_statement(LEAF_POST, LABEL_POST, party->secret, &payload, out);
    for (size_t i = 0; i < count; i++) put_device(party, name, key, secret, &devices[i], out);
    return 1 + 2 * count;
}

static bool set_int(void *socket, int option, int value) {
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_key(void *socket, const struct transport *transport, const uint8_t server[static KEY_SIZE]) {
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server, KEY_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, transport->public, KEY_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, transport->secret, KEY_SIZE) == 0;
}

/* One question of a device that is connected for this alone. */
static void ask_once(void *context, const struct card *card, const struct transport *transport,
                     const struct buf *question) {
    void *socket = zmq_socket(context, ZMQ_DEALER);
    struct frame frame;
    const struct message_row *row;
    zmq_msg_t answer;
    must_zmq(socket && set_key(socket, transport, card->curve) && set_int(socket, ZMQ_LINGER, 0) &&
                 set_int(socket, ZMQ_RCVTIMEO, WAIT_MS) && zmq_connect(socket, card->addresses[0]) == 0,
             "the relay's address");
    must_zmq(zmq_send(socket, question->p, question->n, 0) >= 0, "a question");
    zmq_msg_init(&answer);
    do {
        must_zmq(zmq_msg_recv(&answer, socket, 0) >= 0, "no answer");
        must(message_decode(bytes_of(zmq_msg_data(&answer), zmq_msg_size(&answer)), &frame, &row), "a frame");
    } while (frame.number == 0);
    if (row->type == MESSAGE_FAILURE) {
        struct failed failed;
        must(failed_decode(frame.body, &failed), "FAILURE");
        letter_die("%s (%.*s)", error_text((enum error)failed.error), (int)failed.detail.n,
                   (const char *)failed.detail.p);
    }
    zmq_msg_close(&answer);
    zmq_close(socket);
}

static struct transport *make_keys(const char *folder, size_t count) {
    struct transport *transports = calloc(count, sizeof *transports);
    if (!transports) letter_die("memory ran out");
    for (size_t i = 0; i < count; i++) crypto_box_keypair(transports[i].public, transports[i].secret);
    write_file(folder, "idle.keys", bytes_of((const void *)transports, count * sizeof *transports));
    return transports;
}

static void join(const char *folder, size_t count) {
    struct party party;
    struct card card;
    read_card(folder, &card);
    if (read_file(folder, "idle.authority", &party, sizeof party) != sizeof party)
        letter_die("idle.authority is too short");
    struct transport *transports = make_keys(folder, count);
    void *context = zmq_ctx_new();
    for (size_t at = 0; at < count; at += PARTY_POST_DEVICES) {
        AUTO_BUF statements = {0}, question = {0};
        size_t devices = count - at < PARTY_POST_DEVICES ? count - at : PARTY_POST_DEVICES;
        size_t all = put_post(&party, (unsigned)(at / PARTY_POST_DEVICES), &transports[at], devices, &statements);
        message_encode(MESSAGE_ENROL, 1, &(struct enrol){.statements = list_of(&statements, all)}, &question);
        must(buf_error(&question), "ENROL");
        ask_once(context, &card, &transports[at], &question);
    }
    zmq_ctx_term(context);
    free(transports);
}

/* ---- the library alone ---- */

static void bare_key(const char *folder, struct transport *ret, bool make) {
    if (make) {
        crypto_box_keypair(ret->public, ret->secret);
        write_file(folder, "bare.key", bytes_of((const void *)ret, sizeof *ret));
    } else if (read_file(folder, "bare.key", ret, sizeof *ret) != sizeof *ret) {
        letter_die("bare.key is too short");
    }
}

static void let_in(void *zap) {
    char parts[8][256];
    int sizes[8], count = 0, more = 1;
    size_t size = sizeof more;
    while (more) {
        int n = zmq_recv(zap, parts[count & 7], sizeof parts[0], count == 0 ? ZMQ_DONTWAIT : 0);
        if (n < 0) return;
        sizes[count++ & 7] = n;
        must_zmq(zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &size) == 0, "ZAP");
    }
    zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(zap, parts[1], (size_t)sizes[1], ZMQ_SNDMORE);
    zmq_send(zap, "200", 3, ZMQ_SNDMORE);
    zmq_send(zap, "OK", 2, ZMQ_SNDMORE);
    zmq_send(zap, "peer", 4, ZMQ_SNDMORE);
    zmq_send(zap, "", 0, 0);
}

static void send_back(void *router) {
    char id[256], body[1024];
    for (;;) {
        int n = zmq_recv(router, id, sizeof id, ZMQ_DONTWAIT);
        if (n < 0) return;
        int m = zmq_recv(router, body, sizeof body, 0);
        zmq_send(router, id, (size_t)n, ZMQ_SNDMORE | ZMQ_DONTWAIT);
        zmq_send(router, body, (size_t)m, ZMQ_DONTWAIT);
    }
}

/* libzmq's own values but for the backlog, without which 10,000 at once wait for TCP's retries. */
static _Noreturn void bare(const char *folder, const char *port) {
    struct transport key;
    char address[64];
    char path[PATH];
    snprintf(path, sizeof path, "%s/bare.key", folder);
    bare_key(folder, &key, access(path, R_OK) != 0);
    void *context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_IO_THREADS, BARE_IO_THREADS);
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 16);
    void *zap = zmq_socket(context, ZMQ_REP), *router = zmq_socket(context, ZMQ_ROUTER);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%s", port);
    must_zmq(zap && router && zmq_bind(zap, "inproc://zeromq.zap.01") == 0 && set_int(router, ZMQ_CURVE_SERVER, 1) &&
                 zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, key.secret, KEY_SIZE) == 0 &&
                 zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, "idle", 4) == 0 && set_int(router, ZMQ_BACKLOG, BACKLOG) &&
                 zmq_bind(router, address) == 0,
             address);
    puts("ready");
    fflush(stdout);
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = zap, .events = ZMQ_POLLIN}, {.socket = router, .events = ZMQ_POLLIN}};
        if (zmq_poll(items, 2, -1) < 0) continue;
        let_in(zap);
        send_back(router);
    }
}

/* ---- those who wait ---- */

struct client {
    uint64_t asked_ms; /* 0: it has been answered */
    bool back;
};

/* Those who go on asking have libzmq threads of their own, or their times would be those of the queue behind all the
 * handshakes that this one process makes for the others. */
enum { ASKERS, OTHERS, SIDES, ASKERS_MAX = 100 };
struct side {
    void *context, *router, *monitor;
};

struct crowd {
    struct side sides[SIDES];
    struct client *clients; /* the first ones ask */
    uint32_t count, askers, waiting, connected, attempts;
    bool relay; /* the question is HELLO; else anything */
    uint64_t number;
    uint32_t *samples; /* ms */
    size_t sample_count;
};

static void name_of(uint32_t at, uint8_t ret[static 5]) {
    ret[0] = 'c'; /* zero is libzmq's own */
    for (unsigned i = 0; i < 4; i++) ret[i + 1] = (uint8_t)(at >> (8 * i));
}

static void open_side(struct side *side) {
    side->context = zmq_ctx_new();
    zmq_ctx_set(side->context, ZMQ_IO_THREADS, IO_THREADS);
    side->router = zmq_socket(side->context, ZMQ_ROUTER);
    side->monitor = zmq_socket(side->context, ZMQ_PAIR);
    const int events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    must_zmq(side->router && side->monitor && set_int(side->router, ZMQ_LINGER, 0) &&
                 set_int(side->router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
                 set_int(side->router, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
                 set_int(side->router, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_WAIT_MS) &&
                 set_int(side->router, ZMQ_CONNECT_TIMEOUT, CONNECT_MS) &&
                 set_int(side->router, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
                 set_int(side->router, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) &&
                 set_int(side->router, ZMQ_SNDHWM, 8) && set_int(side->router, ZMQ_ROUTER_MANDATORY, 1) &&
                 set_int(side->monitor, ZMQ_RCVHWM, 0) &&
                 zmq_socket_monitor(side->router, "inproc://idle.monitor", events) == 0 &&
                 zmq_connect(side->monitor, "inproc://idle.monitor") == 0,
             "sockets");
}

static struct side *side_of(struct crowd *crowd, uint32_t at) {
    return &crowd->sides[at < crowd->askers ? ASKERS : OTHERS];
}

static void read_server(const char *folder, const char *port, uint8_t ret_key[static KEY_SIZE],
                        char ret_address[static CARD_ADDRESS_SIZE]) {
    struct card card;
    struct transport server;
    if (port) {
        bare_key(folder, &server, false);
        snprintf(ret_address, CARD_ADDRESS_SIZE, "tcp://127.0.0.1:%s", port);
        memcpy(ret_key, server.public, KEY_SIZE);
    } else {
        read_card(folder, &card);
        snprintf(ret_address, CARD_ADDRESS_SIZE, "%s", card.addresses[0]);
        memcpy(ret_key, card.curve, KEY_SIZE);
    }
}

static void open_crowd(struct crowd *crowd, const char *folder, uint32_t count, const char *port) {
    struct transport *transports = calloc(count, sizeof *transports);
    char address[CARD_ADDRESS_SIZE];
    uint8_t name[5], server[KEY_SIZE];
    *crowd = (struct crowd){.clients = calloc(count, sizeof *crowd->clients),
                            .count = count,
                            .askers = count / 10 < ASKERS_MAX ? count / 10 : ASKERS_MAX,
                            .relay = port == NULL,
                            .samples = calloc(SAMPLES_MAX, sizeof *crowd->samples)};
    if (!transports || !crowd->clients || !crowd->samples) letter_die("memory ran out");
    if (read_file(folder, "idle.keys", transports, count * sizeof *transports) != count * sizeof *transports)
        letter_die("idle.keys has fewer keys");
    read_server(folder, port, server, address);
    for (unsigned i = 0; i < SIDES; i++) open_side(&crowd->sides[i]);
    for (uint32_t i = 0; i < count; i++) {
        void *router = side_of(crowd, i)->router;
        name_of(i, name);
        must_zmq(set_key(router, &transports[i], server) &&
                     zmq_setsockopt(router, ZMQ_CONNECT_ROUTING_ID, name, sizeof name) == 0 &&
                     zmq_connect(router, address) == 0,
                 "a connection");
    }
    free(transports);
}

static void watch(struct crowd *crowd, void *monitor) {
    uint8_t head[6], rest[256];
    uint16_t event;
    while (zmq_recv(monitor, head, sizeof head, ZMQ_DONTWAIT) == (int)sizeof head) {
        zmq_recv(monitor, rest, sizeof rest, 0);
        memcpy(&event, head, sizeof event);
        if (event == ZMQ_EVENT_CONNECTED) crowd->attempts++;
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) crowd->connected++;
        if (event == ZMQ_EVENT_DISCONNECTED && crowd->connected > 0) crowd->connected--;
    }
}

static void ask(struct crowd *crowd, uint32_t at) {
    AUTO_BUF question = {0};
    uint8_t name[5];
    name_of(at, name);
    message_encode(MESSAGE_HELLO, ++crowd->number, &(struct hello){0}, &question);
    void *router = side_of(crowd, at)->router;
    must_zmq(zmq_send(router, name, sizeof name, ZMQ_SNDMORE) == (int)sizeof name &&
                 zmq_send(router, question.p, question.n, 0) == (int)question.n,
             "a question");
    crowd->clients[at].asked_ms = now_ms();
    crowd->waiting++;
}

/* A failure counts as no answer, and ends the measurement: nobody here asks too much. */
static void check_answer(const struct crowd *crowd, zmq_msg_t *body) {
    struct frame frame;
    const struct message_row *row;
    struct failed failed;
    if (!crowd->relay) return;
    must(message_decode(bytes_of(zmq_msg_data(body), zmq_msg_size(body)), &frame, &row), "an answer");
    if (row->type != MESSAGE_FAILURE) return;
    must(failed_decode(frame.body, &failed), "FAILURE");
    letter_die("the relay says: %s", error_text((enum error)failed.error));
}

static void hear(struct crowd *crowd, void *router) {
    uint8_t name[8];
    zmq_msg_t body;
    int n;
    while ((n = zmq_recv(router, name, sizeof name, ZMQ_DONTWAIT)) >= 0) {
        uint32_t at = 0;
        zmq_msg_init(&body);
        must_zmq(zmq_msg_recv(&body, router, 0) >= 0, "an answer");
        for (unsigned i = 0; n == 5 && i < 4; i++) at |= (uint32_t)name[i + 1] << (8 * i);
        if (n != 5 || at >= crowd->count) letter_die("an answer to nobody");
        check_answer(crowd, &body);
        zmq_msg_close(&body);
        struct client *client = &crowd->clients[at];
        if (!client->asked_ms) continue;
        uint64_t took = now_ms() - client->asked_ms;
        if (client->back && crowd->sample_count < SAMPLES_MAX) crowd->samples[crowd->sample_count++] = (uint32_t)took;
        client->asked_ms = 0;
        client->back = true;
        crowd->waiting--;
    }
}

static void wait_a_little(struct crowd *crowd, long ms) {
    zmq_pollitem_t items[2 * SIDES];
    for (unsigned i = 0; i < SIDES; i++) {
        items[2 * i] = (zmq_pollitem_t){.socket = crowd->sides[i].router, .events = ZMQ_POLLIN};
        items[2 * i + 1] = (zmq_pollitem_t){.socket = crowd->sides[i].monitor, .events = ZMQ_POLLIN};
    }
    zmq_poll(items, 2 * SIDES, ms);
    for (unsigned i = 0; i < SIDES; i++) {
        watch(crowd, crowd->sides[i].monitor);
        hear(crowd, crowd->sides[i].router);
    }
}

static int by_size(const void *a, const void *b) {
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct crowd *crowd, unsigned hundredths) {
    if (crowd->sample_count == 0) return 0;
    size_t at = crowd->sample_count * hundredths / 100;
    return crowd->samples[at < crowd->sample_count ? at : crowd->sample_count - 1];
}

/* Whoever is back and is not waiting; a few tries, because most may be away. */
static void ask_somebody(struct crowd *crowd) {
    for (unsigned i = 0; i < 64; i++) {
        uint32_t at = randombytes_uniform(crowd->askers);
        if (!crowd->clients[at].back || crowd->clients[at].asked_ms) continue;
        ask(crowd, at);
        return;
    }
}

static void everybody(struct crowd *crowd, bool go_on, uint64_t limit_ms) {
    uint64_t began = now_ms(), next_ask = began, half = 0;
    uint32_t back = 0, attempts = crowd->attempts;
    crowd->sample_count = 0;
    for (uint32_t i = 0; i < crowd->count; i++) {
        crowd->clients[i] = (struct client){0};
        ask(crowd, i);
    }
    while (back < crowd->count && now_ms() - began < limit_ms) {
        wait_a_little(crowd, ASK_EVERY_MS / 2);
        if (go_on && now_ms() >= next_ask) {
            ask_somebody(crowd);
            next_ask += ASK_EVERY_MS;
        }
        back = 0;
        for (uint32_t i = 0; i < crowd->count; i++) back += crowd->clients[i].back;
        if (!half && back >= crowd->count / 2) half = now_ms();
#ifdef TIMELINE
        static uint64_t shown;
        if (now_ms() - shown >= 500) {
            shown = now_ms();
            fprintf(stderr, "%5.1f s attempts %u connected %u back %u\n", (double)(shown - began) / 1000,
                    crowd->attempts - attempts, crowd->connected, back);
        }
#endif
    }
    uint64_t took = now_ms() - began;
    while (crowd->waiting > 0 && now_ms() - began < limit_ms + 1000) wait_a_little(crowd, ASK_EVERY_MS);
    qsort(crowd->samples, crowd->sample_count, sizeof *crowd->samples, by_size);
    printf("{\"back\": %u, \"of\": %u, \"attempts\": %u, \"seconds\": %.3f, \"half_seconds\": %.3f, \"asked\": %zu, "
           "\"p50_ms\": %u, \"p99_ms\": %u, "
           "\"worst_ms\": %u}\n",
           back, crowd->count, crowd->attempts - attempts, (double)took / 1000,
           (double)(half ? half - began : took) / 1000, crowd->sample_count, percentile(crowd, 50),
           percentile(crowd, 99), percentile(crowd, 100));
    fflush(stdout);
}

static void obey(struct crowd *crowd, const char *word) {
    if (strcmp(word, "up\n") == 0) {
        everybody(crowd, false, 2 * WAIT_MS);
    } else if (strcmp(word, "back\n") == 0) {
        everybody(crowd, true, 2 * WAIT_MS);
    } else if (strcmp(word, "down\n") == 0) {
        uint64_t began = now_ms();
        while (crowd->connected > 0 && now_ms() - began < WAIT_MS) wait_a_little(crowd, ASK_EVERY_MS);
        crowd->waiting = 0;
        printf("{\"connected\": %u}\n", crowd->connected);
        fflush(stdout);
    } else {
        letter_die("up, down or back, not %s", word);
    }
}

static void hold(const char *folder, uint32_t count, const char *port) {
    struct crowd crowd;
    char word[32];
    open_crowd(&crowd, folder, count, port);
    for (;;) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        while (poll(&in, 1, 0) == 0) wait_a_little(&crowd, 100);
        if (!fgets(word, sizeof word, stdin)) break;
        obey(&crowd, word);
    }
    _exit(0); /* the kernel closes 10,000 connections faster than libzmq does */
}

/* As many files as there may be. */
static void raise_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv) {
    if (sodium_init() < 0 || sign_self_test() != E_OK) letter_die("libsodium does not work");
    umask(077);
    raise_files();
    setvbuf(stdin, NULL, _IONBF, 0); /* poll must see what is there */
    const char *verb = argc > 2 ? argv[1] : "";
    uint32_t count = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    if (strcmp(verb, "charter") == 0)
        make_charter(argv[2]);
    else if (strcmp(verb, "join") == 0 && count > 0)
        join(argv[2], count);
    else if (strcmp(verb, "keys") == 0 && count > 0)
        free(make_keys(argv[2], count));
    else if (strcmp(verb, "bare") == 0 && argc > 3)
        bare(argv[2], argv[3]);
    else if (strcmp(verb, "hold") == 0 && count > 0)
        hold(argv[2], count, argc > 4 ? argv[4] : NULL);
    else
        letter_die("charter FOLDER | join FOLDER N | keys FOLDER N | bare FOLDER PORT | hold FOLDER N [PORT]");
    return 0;
}
