/* scene.c - programs, a relay, and honest peers. */
#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "text.h"

enum { ARGUMENTS_MAX = 40, READ_SIZE = 64 * 1024, STATUS_NUMBERS = 64 };

/* Sockets that are open: a context with any left cannot be ended. */
static unsigned sockets;

/* ---- programs ---- */

void ran_free(struct ran *ran) {
    buf_free(&ran->out);
    buf_free(&ran->err);
}

uint64_t scene_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static pid_t spawn(const char *folder, const char *const *argv, int out, int err) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* a test that dies must not leave its relay holding the pipes that others read */
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
    if (out >= 0) dup2(out, STDOUT_FILENO);
    if (err >= 0) dup2(err, STDERR_FILENO);
    if (folder && chdir(folder) != 0) _exit(98);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(99);
}

/* Reads both pipes to their ends, so that neither can block the program. */
static void drain(int out, int err, struct ran *ret) {
    struct pollfd fds[] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    struct buf *bufs[] = {&ret->out, &ret->err};
    uint8_t piece[READ_SIZE];
    for (int open_ends = 2; open_ends > 0;) {
        if (poll(fds, LENGTH(fds), -1) < 0) continue;
        for (size_t i = 0; i < LENGTH(fds); i++) {
            if (!fds[i].revents) continue;
            ssize_t n = read(fds[i].fd, piece, sizeof piece);
            if (n > 0) buf_add(bufs[i], piece, (size_t)n);
            if (n > 0 || (n < 0 && errno == EINTR)) continue;
            close(fds[i].fd);
            fds[i].fd = -1;
            open_ends--;
        }
    }
}

static int exit_of(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void end_text(struct buf *buf) {
    buf_add(buf, "", 1);
    assert_false(buf->failed);
    buf->n--;
}

void scene_run(const char *folder, const char *const *argv, struct ran *ret) {
    int out[2], err[2];
    ran_free(ret);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    pid_t pid = spawn(folder, argv, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    drain(out[0], err[0], ret);
    ret->exit = exit_of(pid);
    end_text(&ret->out);
    end_text(&ret->err);
}

static const char *program(const char *variable) {
    const char *path = getenv(variable);
    if (!path) fail_msg("%s is not set: run this through `meson test`", variable);
    return path;
}

unsigned scene_free_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

void scene_write_file(const char *path, struct bytes bytes) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, file), bytes.n);
    assert_int_equal(fclose(file), 0);
}

void scene_read_file(const char *path, struct buf *out) {
    uint8_t piece[READ_SIZE];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;) buf_add(out, piece, n);
    assert_false(ferror(file));
    fclose(file);
}

/* ---- the relay ---- */

static void adjust_config(const struct scene_relay *relay, void (*adjust)(struct config *config)) {
    struct config config;
    AUTO_BUF text = {0};
    assert_ok(config_read(relay->yaml, stderr, &config));
    adjust(&config);
    config_format(&config, &text);
    scene_write_file(relay->yaml, buf_bytes(&text));
}

static void wait_ready(struct scene_relay *relay) {
    char text[4096];
    size_t n = 0;
    for (uint64_t end = scene_now_ms() + SCENE_WAIT_MS; scene_now_ms() < end;) {
        struct pollfd fd = {.fd = relay->out, .events = POLLIN};
        if (poll(&fd, 1, 100) <= 0) continue;
        ssize_t got = read(relay->out, text + n, sizeof text - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
        text[n] = 0;
        if (strstr(text, "ready")) return;
    }
    fail_msg("the relay did not say that it is ready");
}

static void read_card(struct scene_relay *relay) {
    char path[SCENE_PATH];
    AUTO_BUF text = {0};
    snprintf(path, sizeof path, "%s/relay.card", relay->folder);
    scene_read_file(path, &text);
    assert_ok(card_parse(buf_bytes(&text), &relay->card, NULL));
}

static void serve(struct scene_relay *relay) {
    int pipes[2];
    read_card(relay);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    const char *words[] = {program("POUCHD"), "--config", relay->yaml, NULL};
    relay->pid = spawn(NULL, words, pipes[1], -1);
    close(pipes[1]);
    relay->out = pipes[0];
    wait_ready(relay);
    relay->context = zmq_ctx_new();
    assert_non_null(relay->context);
}

void scene_relay_start(struct scene_relay *relay, void (*adjust)(struct config *config)) {
    scene_relay_start_with(relay, adjust, (const char *const[]){NULL});
}

void scene_relay_start_with(struct scene_relay *relay, void (*adjust)(struct config *config),
                            const char *const *words) {
    enum { INIT_WORDS = 16 };
    AUTO_RAN ran = {0};
    const char *init[INIT_WORDS] = {0};
    assert_ok(sodium_init() < 0 ? E_INTERNAL : E_OK);
    *relay = (struct scene_relay){.port = scene_free_port()};
    snprintf(relay->folder, sizeof relay->folder, "/tmp/pouch-adversary-XXXXXX");
    assert_non_null(mkdtemp(relay->folder));
    snprintf(relay->yaml, sizeof relay->yaml, "%s/relay.yaml", relay->folder);
    snprintf(relay->address, sizeof relay->address, "tcp://127.0.0.1:%u", relay->port);
    const char *always[] = {program("POUCHD"), "init",   relay->folder, "--listen",
                            relay->address,    "--name", "relay.test"};
    memcpy(init, always, sizeof always);
    for (size_t i = LENGTH(always); *words && i + 1 < INIT_WORDS; i++) init[i] = *words++;
    scene_run(NULL, init, &ran);
    if (ran.exit != 0) fail_msg("pouchd init: %s", (char *)ran.err.p);
    if (adjust) adjust_config(relay, adjust);
    serve(relay);
}

/* Its files say where they are and where it listens: these words are put right. */
static void replace_word(struct scene_relay *relay, const char *from, const char *to) {
    AUTO_BUF was = {0}, is = {0};
    scene_read_file(relay->yaml, &was);
    buf_add(&was, "", 1);
    const char *at = (const char *)was.p;
    for (const char *next; (next = strstr(at, from)); at = next + strlen(from)) {
        buf_add(&is, at, (size_t)(next - at));
        buf_add_bytes(&is, bytes_text(to));
    }
    buf_add_bytes(&is, bytes_text(at));
    scene_write_file(relay->yaml, buf_bytes(&is));
}

void scene_relay_copy(const struct scene_relay *relay, struct scene_relay *ret) {
    AUTO_RAN ran = {0};
    char all[SCENE_PATH], from[32], to[32];
    *ret = (struct scene_relay){.port = scene_free_port()};
    snprintf(ret->folder, sizeof ret->folder, "/tmp/pouch-adversary-XXXXXX");
    assert_non_null(mkdtemp(ret->folder));
    snprintf(all, sizeof all, "%s/.", relay->folder);
    scene_run(NULL, (const char *const[]){"/bin/cp", "-a", all, ret->folder, NULL}, &ran);
    assert_int_equal(ran.exit, 0);
    snprintf(ret->yaml, sizeof ret->yaml, "%s/relay.yaml", ret->folder);
    snprintf(ret->address, sizeof ret->address, "tcp://127.0.0.1:%u", ret->port);
    snprintf(from, sizeof from, ":%u", relay->port);
    snprintf(to, sizeof to, ":%u", ret->port);
    replace_word(ret, from, to);
    replace_word(ret, relay->folder, ret->folder);
}

void scene_relay_go_on(struct scene_relay *relay) { serve(relay); }

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw) {
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scene_relay_stop(struct scene_relay *relay) {
    if (sockets == 0) zmq_ctx_term(relay->context); /* some are left only when a test has failed */
    kill(relay->pid, SIGTERM);
    assert_int_equal(exit_of(relay->pid), 0);
    close(relay->out);
    nftw(relay->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    *relay = (struct scene_relay){0};
}

static uint64_t number_of(const char *json, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    if (!at) fail_msg("pouchctl status has no %s: %s", name, json);
    return strtoull(at + strlen(key) + strspn(at + strlen(key), " \""), NULL, 10);
}

struct scene_numbers scene_status(const struct scene_relay *relay) {
    AUTO_RAN ran = {0};
    assert_int_equal(waitpid(relay->pid, NULL, WNOHANG), 0); /* the supervisor lives */
    const char *status[] = {program("POUCHCTL"), "--config", relay->yaml, "--json", "status", NULL};
    scene_run(NULL, status, &ran);
    if (ran.exit != 0) fail_msg("pouchctl status: %s", (char *)ran.err.p);
    const char *json = (const char *)ran.out.p;
    return (struct scene_numbers){.requests = number_of(json, "requests"),
                                  .staged = number_of(json, "staged"),
                                  .legs = number_of(json, "legs_total"),
                                  .entries = number_of(json, "entries"),
                                  .receipts = number_of(json, "receipts"),
                                  .directory = number_of(json, "directory_size"),
                                  .gate_pid = number_of(json, "gate_pid"),
                                  .ledger_pid = number_of(json, "ledger_pid"),
                                  .connections = number_of(json, "connections"),
                                  .refused = number_of(json, "refused")};
}

/* ---- peers ---- */

struct scene_keys scene_keys(void) {
    struct scene_keys keys;
    assert_int_equal(crypto_sign_keypair(keys.public, keys.secret), 0);
    return keys;
}

struct scene_keys scene_relay_key(const struct scene_relay *relay, const char *name) {
    char path[SCENE_PATH];
    AUTO_BUF text = {0};
    uint8_t seed[KEY_SIZE];
    struct scene_keys keys;
    snprintf(path, sizeof path, "%s/%s", relay->folder, name);
    scene_read_file(path, &text);
    assert_ok(text_unhex(bytes_of(text.p, sizeof seed * 2), seed, sizeof seed));
    crypto_sign_seed_keypair(keys.public, keys.secret, seed);
    return keys;
}

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void device_keys(struct actor *actor) {
    actor->device = scene_keys();
    randombytes_buf(actor->transport_secret, KEY_SIZE);
    assert_int_equal(crypto_scalarmult_base(actor->transport_public, actor->transport_secret), 0);
    assert_ok(prekey_make(actor->device.secret, (uint32_t)(wall_ms() / DAY_MS), PREKEYS, 0, actor->prekeys,
                          actor->prekey_secrets, actor->prekey_ids));
}

void actor_new(struct scene_relay *relay, const char *post, struct actor *ret) {
    *ret = (struct actor){.relay = relay, .authority = scene_keys(), .poster = scene_keys()};
    struct bytes party = text_party_of(bytes_text(post));
    snprintf(ret->post, sizeof ret->post, "%s", post);
    memcpy(ret->party, party.p, party.n);
    device_keys(ret);
}

void actor_sister(const struct actor *actor, struct actor *ret) {
    *ret = (struct actor){.relay = actor->relay, .authority = actor->authority, .poster = actor->poster};
    memcpy(ret->post, actor->post, sizeof ret->post);
    memcpy(ret->party, actor->party, sizeof ret->party);
    device_keys(ret);
}

void actor_free(struct actor *actor) {
    actor_disconnect(actor);
    for (size_t i = 0; i < PREKEYS; i++) buf_free(&actor->prekeys[i]);
}

static void stamp_one(enum label label, const struct scene_keys *keys, const struct buf *payload, struct buf *out) {
    assert_ok(stamp_sign_one(label, keys->secret, buf_bytes(payload), out));
}

static void put_statement(enum leaf_kind kind, const struct buf *stamped, struct buf *out) {
    dirstatement_encode(&(struct dirstatement){.kind = (uint64_t)kind, .statement = buf_bytes(stamped)}, out);
}

void actor_admit(const struct actor *actor) {
    AUTO_BUF payload = {0}, stamped = {0}, statements = {0}, file = {0};
    AUTO_RAN ran = {0};
    char path[SCENE_PATH];
    struct charter charter = {
        .party = bytes_text(actor->party), .name = bytes_text("A member"), .created = {wall_ms()}};
    memcpy(charter.authority, actor->authority.public, KEY_SIZE);
    randombytes_buf(charter.next, HASH_SIZE);
    charter_encode(&charter, &payload);
    stamp_one(LABEL_CHARTER, &actor->authority, &payload, &stamped);
    put_statement(LEAF_CHARTER, &stamped, &statements);
    dossier_encode(&(struct dossier){.post = bytes_text(actor->party), .statements = list_of(&statements, 1)}, &file);
    snprintf(path, sizeof path, "%s/%s.charter", actor->relay->folder, actor->party);
    scene_write_file(path, buf_bytes(&file));
    const char *admit[] = {program("POUCHCTL"), "--config", actor->relay->yaml, "--yes", "admit", path, NULL};
    scene_run(NULL, admit, &ran);
    if (ran.exit != 0) fail_msg("pouchctl admit: %s", (char *)ran.err.p);
}

void actor_connect(struct actor *actor) {
    int zero = 0, wait = SCENE_WAIT_MS;
    actor->socket = zmq_socket(actor->relay->context, ZMQ_DEALER);
    assert_non_null(actor->socket);
    assert_int_equal(zmq_setsockopt(actor->socket, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_int_equal(zmq_setsockopt(actor->socket, ZMQ_SNDTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(zmq_setsockopt(actor->socket, ZMQ_CURVE_SERVERKEY, actor->relay->card.curve, KEY_SIZE), 0);
    assert_int_equal(zmq_setsockopt(actor->socket, ZMQ_CURVE_PUBLICKEY, actor->transport_public, KEY_SIZE), 0);
    assert_int_equal(zmq_setsockopt(actor->socket, ZMQ_CURVE_SECRETKEY, actor->transport_secret, KEY_SIZE), 0);
    if (actor->unread_max) zmq_setsockopt(actor->socket, ZMQ_RCVHWM, &actor->unread_max, sizeof actor->unread_max);
    assert_int_equal(zmq_connect(actor->socket, actor->relay->address), 0);
    sockets++;
}

void actor_disconnect(struct actor *actor) {
    if (!actor->socket) return;
    zmq_close(actor->socket);
    actor->socket = NULL;
    sockets--;
}

static void certificate(const struct actor *actor, struct buf *out) {
    struct device device = {.post = bytes_text(actor->post),
                            .role = ROLE_DECIDER,
                            .not_before = {wall_ms() - 3600000},
                            .not_after = {wall_ms() + 30 * DAY_MS}};
    memcpy(device.device, actor->device.public, KEY_SIZE);
    memcpy(device.transport, actor->transport_public, KEY_SIZE);
    memcpy(device.issuer, actor->poster.public, KEY_SIZE);
    device_encode(&device, out);
}

void actor_enrolment(const struct actor *actor, struct buf *statements, struct buf *prekeys, struct enrol *ret) {
    AUTO_BUF post_payload = {0}, post = {0}, device_payload = {0}, device = {0}, counter_payload = {0}, counter = {0};
    /* The same each time for one actor's post: a repeated statement is the same statement. */
    struct post words = {.post = bytes_text(actor->post), .functions = FUNCTION_TECHNICAL, .created = {1}};
    memcpy(words.key, actor->poster.public, KEY_SIZE);
    memcpy(words.authority, actor->authority.public, KEY_SIZE);
    post_encode(&words, &post_payload);
    stamp_one(LABEL_POST, &actor->authority, &post_payload, &post);
    certificate(actor, &device_payload);
    stamp_one(LABEL_DEVICE, &actor->poster, &device_payload, &device);
    struct countersign countersign = {.created = {wall_ms()}};
    stamp_hash(buf_bytes(&device_payload), countersign.certificate);
    memcpy(countersign.signer, actor->authority.public, KEY_SIZE);
    countersign_encode(&countersign, &counter_payload);
    stamp_one(LABEL_COUNTERSIGN, &actor->authority, &counter_payload, &counter);
    put_statement(LEAF_POST, &post, statements);
    put_statement(LEAF_DEVICE, &device, statements);
    put_statement(LEAF_COUNTERSIGN, &counter, statements);
    for (size_t i = 0; i < PREKEYS; i++) cbor_put_bytes(prekeys, buf_bytes(&actor->prekeys[i]));
    *ret = (struct enrol){.statements = list_of(statements, 3), .prekeys = list_of(prekeys, PREKEYS)};
}

void actor_enrol(struct actor *actor) {
    AUTO_BUF statements = {0}, prekeys = {0};
    AUTO_REPLY reply = {0};
    struct enrol enrol;
    actor_enrolment(actor, &statements, &prekeys, &enrol);
    actor_call(actor, MESSAGE_ENROL, &enrol, &reply);
}

void actor_join(struct scene_relay *relay, const char *post, struct actor *ret) {
    actor_new(relay, post, ret);
    actor_admit(ret);
    actor_connect(ret);
    actor_enrol(ret);
}

/* ---- messages ---- */

void reply_free(struct reply *reply) { buf_free(&reply->bytes); }

void actor_send_bytes(struct actor *actor, struct bytes frame) {
    assert_int_equal(zmq_send(actor->socket, frame.p, frame.n, 0), frame.n);
}

uint64_t actor_send(struct actor *actor, enum message type, const void *value) {
    AUTO_BUF frame = {0};
    message_encode(type, ++actor->number, value, &frame);
    actor_send_bytes(actor, buf_bytes(&frame));
    return actor->number;
}

static bool receive(struct actor *actor, uint64_t wait_ms, struct buf *out) {
    zmq_pollitem_t item = {.socket = actor->socket, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, (long)wait_ms) <= 0) return false;
    zmq_msg_t message;
    zmq_msg_init(&message);
    assert_true(zmq_msg_recv(&message, actor->socket, 0) >= 0);
    assert_false(zmq_msg_more(&message));
    buf_clear(out);
    buf_add(out, zmq_msg_data(&message), zmq_msg_size(&message));
    zmq_msg_close(&message);
    return true;
}

bool actor_hear(struct actor *actor, uint64_t wait_ms, struct reply *ret) {
    uint64_t end = scene_now_ms() + wait_ms;
    for (uint64_t now; (now = scene_now_ms()) <= end;) {
        struct frame frame;
        const struct message_row *row;
        _Alignas(max_align_t) uint8_t value[4096];
        if (!receive(actor, end - now, &ret->bytes)) return false;
        assert_ok(message_decode(buf_bytes(&ret->bytes), &frame, &row));
        assert_false(row->from_client);
        assert_true(row->object->size <= sizeof value);
        assert_ok(codec_decode(row->object, frame.body, value));
        if (row->type == MESSAGE_HINT) continue;
        ret->type = row->type;
        ret->number = frame.number;
        ret->body = frame.body;
        ret->error = E_OK;
        if (row->type != MESSAGE_FAILURE) return true;
        assert_ok(failed_decode(frame.body, &ret->failed));
        ret->error = (enum error)ret->failed.error;
        assert_int_not_equal(ret->error, E_OK);
        return true;
    }
    return false;
}

void actor_ask(struct actor *actor, enum message type, const void *value, struct reply *ret) {
    uint64_t number = actor_send(actor, type, value);
    do
        if (!actor_hear(actor, SCENE_WAIT_MS, ret)) fail_msg("no answer to %s", message_row(type)->name);
    while (ret->number != number);
}

void actor_call(struct actor *actor, enum message type, const void *value, struct reply *ret) {
    actor_ask(actor, type, value, ret);
    if (ret->type == MESSAGE_FAILURE)
        fail_msg("%s: %s (%.*s)", message_row(type)->name, error_row(ret->error)->name, (int)ret->failed.detail.n,
                 (const char *)ret->failed.detail.p);
    assert_int_equal(ret->type, message_row(type)->answer);
}

enum error actor_refused(struct actor *actor, enum message type, const void *value) {
    AUTO_REPLY reply = {0};
    actor_ask(actor, type, value, &reply);
    return reply.error;
}

/* ---- requests ---- */

static void seal_part(const struct request *request, enum part_number number, const uint8_t key[static KEY_SIZE],
                      const struct buf *plain, struct buf *chunk, uint8_t digest[static HASH_SIZE], struct part *ret) {
    struct content_context context = {.part = number, .exercise = request->header.exercise};
    AUTO_BUF padded = {0};
    memcpy(context.request, request->header.request, REQUEST_ID_SIZE);
    memcpy(context.device, request->header.device, KEY_SIZE);
    buf_add_bytes(&padded, buf_bytes(plain));
    uint8_t *zeros = buf_extend(&padded, (size_t)content_padme(plain->n) - plain->n);
    assert_non_null(zeros);
    memset(zeros, 0, (size_t)content_padme(plain->n) - plain->n);
    assert_ok(content_seal_chunk(&context, key, 0, true, buf_bytes(&padded), chunk));
    chunk_digest(buf_bytes(chunk), digest);
    ret->length = chunk->n;
    part_digest(bytes_of(digest, HASH_SIZE), ret->digest);
    content_commitment(key, ret->commitment);
}

static void seal_content(struct request *request) {
    static const char text[] = "Would you look at this, please?";
    AUTO_BUF offer_plain = {0}, body_plain = {0}, files = {0};
    struct offer offer = {.from = request->header.from,
                          .exercise = request->header.exercise,
                          .kind = KIND_INCIDENT,
                          .subject = bytes_text("A subject")};
    memcpy(offer.request, request->header.request, REQUEST_ID_SIZE);
    offer_encode(&offer, &offer_plain);
    file_encode(&(struct file){.length = strlen(text)}, &files);
    struct manifest manifest = {
        .from = request->header.from, .exercise = request->header.exercise, .files = list_of(&files, 1)};
    memcpy(manifest.request, request->header.request, REQUEST_ID_SIZE);
    manifest_encode(&manifest, &body_plain);
    buf_add(&body_plain, text, strlen(text));
    randombytes_buf(request->offer_key, KEY_SIZE);
    randombytes_buf(request->body_key, KEY_SIZE);
    request->header.has_offer = request->header.has_body = true;
    seal_part(request, PART_OFFER, request->offer_key, &offer_plain, &request->offer_chunk, request->offer_digest,
              &request->header.offer);
    seal_part(request, PART_BODY, request->body_key, &body_plain, &request->body_chunk, request->body_digest,
              &request->header.body);
}

static void make_legs(struct actor *actor, const struct outline *outline, struct request *request) {
    request->count = outline->count;
    request->legs = calloc(request->count, sizeof *request->legs);
    AUTO_FREE(struct legs_leaf) leaves = calloc(request->count, sizeof *leaves);
    assert_non_null(request->legs);
    assert_non_null(leaves);
    randombytes_buf(request->seed, HASH_SIZE);
    for (size_t i = 0; i < request->count; i++) {
        struct leg *leg = &request->legs[i];
        leg->to = outline->to[outline->same_post ? 0 : i];
        leg->sequence = ++actor->sequence;
        struct opening opening = {.to = bytes_text(leg->to), .sequence = leg->sequence};
        randombytes_buf(opening.salt, HASH_SIZE);
        opening_encode(&opening, &leg->opening);
        stamp_hash(buf_bytes(&leg->opening), leg->id);
        memcpy(leaves[i].id, leg->id, HASH_SIZE);
        leaves[i].position = (uint32_t)(i % LEGS_MAX);
    }
    if (request->count <= LEGS_MAX) assert_ok(legs_root(leaves, request->count, request->seed, request->header.legs));
}

static void sign_header(const struct outline *outline, const struct scene_keys *keys, struct request *request) {
    AUTO_BUF payload = {0};
    if (outline->spoil) outline->spoil(&request->header, outline->context);
    header_encode(&request->header, &payload);
    header_digest(buf_bytes(&payload), request->digest);
    stamp_one(LABEL_HEADER, keys, &payload, &request->stamped);
}

void request_new(struct actor *actor, const struct outline *outline, struct request *ret) {
    const struct scene_keys *keys = outline->signer ? outline->signer : &actor->device;
    *ret = (struct request){.header = {.from = bytes_text(outline->from ? outline->from : actor->post),
                                       .created = {wall_ms()},
                                       .keep_s = KEEP_DEFAULT_S,
                                       .precedence = PRECEDENCE_ROUTINE}};
    memcpy(ret->header.device, keys->public, KEY_SIZE);
    if (outline->request_id)
        memcpy(ret->header.request, outline->request_id, REQUEST_ID_SIZE);
    else
        randombytes_buf(ret->header.request, REQUEST_ID_SIZE);
    seal_content(ret);
    make_legs(actor, outline, ret);
    sign_header(outline, keys, ret);
    for (size_t i = 0; i < ret->count; i++)
        request_wrapset(actor, ret, ret->legs[i].id, ret->legs[i].to, 1, outline->no_wraps, &ret->legs[i].wrapset);
}

void request_free(struct request *request) {
    buf_free(&request->stamped);
    buf_free(&request->offer_chunk);
    buf_free(&request->body_chunk);
    for (size_t i = 0; i < request->count; i++) {
        buf_free(&request->legs[i].opening);
        buf_free(&request->legs[i].wrapset);
    }
    free(request->legs);
}

void submit_room_free(struct submit_room *room) {
    buf_free(&room->places);
    buf_free(&room->wrapsets);
    buf_free(&room->chunks);
}

static void put_chunk(const struct request *request, enum part_number part, const struct buf *data, struct buf *out) {
    struct chunk chunk = {.part = (uint64_t)part, .data = buf_bytes(data)};
    memcpy(chunk.header, request->digest, HASH_SIZE);
    chunk_encode(&chunk, out);
}

void request_submit(const struct request *request, bool with_chunks, struct submit_room *room, struct submit *ret) {
    for (size_t i = 0; i < request->count; i++) {
        struct place place = {.opening = buf_bytes(&request->legs[i].opening), .position = i};
        place_encode(&place, &room->places);
        cbor_put_bytes(&room->wrapsets, buf_bytes(&request->legs[i].wrapset));
    }
    put_chunk(request, PART_OFFER, &request->offer_chunk, &room->chunks);
    put_chunk(request, PART_BODY, &request->body_chunk, &room->chunks);
    *ret = (struct submit){.header = buf_bytes(&request->stamped),
                           .places = list_of(&room->places, request->count),
                           .wrapsets = list_of(&room->wrapsets, request->count),
                           .has_offer_digests = true,
                           .offer_digests = bytes_of(request->offer_digest, HASH_SIZE),
                           .has_body_digests = true,
                           .body_digests = bytes_of(request->body_digest, HASH_SIZE)};
    memcpy(ret->seed, request->seed, HASH_SIZE);
    if (with_chunks) ret->chunks = list_of(&room->chunks, 2);
}

/* The devices of a post, by the prekeys that the relay names. */
static size_t targets_of(struct actor *actor, const char *to, struct wrapping_target *ret) {
    AUTO_REPLY reply = {0};
    struct prekeys prekeys;
    struct bytes stamped, payload;
    size_t count = 0;
    actor_call(actor, MESSAGE_GETPREKEYS, &(struct getprekeys){.post = bytes_text(to)}, &reply);
    assert_ok(prekeys_decode(reply.body, &prekeys));
    while (list_next_bytes(&prekeys.prekeys, &stamped)) {
        struct prekey prekey;
        assert_ok(stamp_peek(stamped, &payload));
        assert_ok(prekey_decode(payload, &prekey));
        assert_ok(stamp_verify(LABEL_PREKEY, prekey.device, stamped, NULL));
        memcpy(ret[count].device, prekey.device, KEY_SIZE);
        memcpy(ret[count].prekey, prekey.key, KEY_SIZE);
        ret[count].psk = NULL;
        prekey_id(payload, ret[count++].prekey_id);
    }
    return count;
}

void request_wrapset(struct actor *actor, const struct request *request, const uint8_t *leg, const char *to,
                     uint64_t generation, bool no_wraps, struct buf *out) {
    AUTO_REPLY reply = {0};
    AUTO_BUF payload = {0};
    struct welcome welcome = {.size = 1};
    struct wrapping_target targets[DEVICES_PER_POST_MAX];
    size_t count = 0;
    if (!no_wraps) {
        actor_call(actor, MESSAGE_HELLO, &(struct hello){0}, &reply);
        assert_ok(welcome_decode(reply.body, &welcome));
        count = targets_of(actor, to, targets);
    }
    struct wrapping_set set = {request->digest, leg,          (uint32_t)generation,
                               welcome.size,    welcome.root, actor->device.public};
    struct wrapped keys = {.has_offer_key = true, .has_body_key = true};
    memcpy(keys.offer_key, request->offer_key, KEY_SIZE);
    memcpy(keys.body_key, request->body_key, KEY_SIZE);
    assert_ok(wrapping_make(&set, &keys, targets, count, &payload));
    stamp_one(LABEL_WRAPSET, &actor->device, &payload, out);
}

struct statement actor_statement(const struct actor *actor, enum leg_event event,
                                 const uint8_t header[static HASH_SIZE], const uint8_t leg[static HASH_SIZE]) {
    struct statement statement = {.event = (uint64_t)event,
                                  .has_leg = true,
                                  .has_post = true,
                                  .post = bytes_text(actor->post),
                                  .time = {wall_ms()}};
    memcpy(statement.header, header, HASH_SIZE);
    memcpy(statement.leg, leg, HASH_SIZE);
    memcpy(statement.device, actor->device.public, KEY_SIZE);
    randombytes_buf(statement.nonce, NONCE_SIZE);
    return statement;
}

void sign_statement(const struct statement *statement, const struct scene_keys *keys, struct buf *out) {
    AUTO_BUF payload = {0};
    statement_encode(statement, &payload);
    stamp_one(LABEL_STATEMENT, keys, &payload, out);
}

enum error actor_state(struct actor *actor, struct bytes stamped, struct buf *receipt) {
    AUTO_REPLY reply = {0};
    AUTO_BUF items = {0};
    struct stated stated;
    struct result result;
    said_encode(&(struct said){.statement = stamped}, &items);
    actor_ask(actor, MESSAGE_STATE, &(struct state){.said = list_of(&items, 1)}, &reply);
    if (reply.type == MESSAGE_FAILURE) return reply.error;
    assert_int_equal(reply.type, MESSAGE_STATED);
    assert_ok(stated_decode(reply.body, &stated));
    assert_int_equal(stated.results.count, 1);
    assert_true(result_next(&stated.results, &result));
    if (result.has_receipt) {
        struct evidence evidence;
        assert_ok(evidence_open(result.receipt, actor->relay->card.statement, &evidence));
        assert_memory_equal(evidence.statement_hash, result.subject, HASH_SIZE);
        if (receipt) buf_add_bytes(receipt, result.receipt);
    }
    assert_true(result.has_receipt || result.error != E_OK);
    return (enum error)result.error;
}

enum error actor_say(struct actor *actor, enum leg_event event, const uint8_t header[static HASH_SIZE],
                     const uint8_t leg[static HASH_SIZE], struct buf *receipt) {
    AUTO_BUF stamped = {0};
    struct statement statement = actor_statement(actor, event, header, leg);
    sign_statement(&statement, &actor->device, &stamped);
    return actor_state(actor, buf_bytes(&stamped), receipt);
}

enum error actor_fetch(struct actor *actor, const uint8_t header[static HASH_SIZE], const uint8_t *leg, unsigned part,
                       uint32_t index, struct buf *out) {
    AUTO_REPLY reply = {0};
    struct fetch fetch = {.has_leg = leg != NULL, .part = part, .index = index};
    struct chunk chunk;
    memcpy(fetch.header, header, HASH_SIZE);
    if (leg) memcpy(fetch.leg, leg, HASH_SIZE);
    actor_ask(actor, MESSAGE_FETCH, &fetch, &reply);
    if (reply.type == MESSAGE_FAILURE) return reply.error;
    assert_int_equal(reply.type, MESSAGE_FETCHED);
    assert_ok(chunk_decode(reply.body, &chunk));
    if (out) buf_add_bytes(out, chunk.data);
    return E_OK;
}

/* ---- what a user wants ---- */

static void submit_whole(struct actor *from, const struct request *request) {
    AUTO_ROOM room = {0};
    AUTO_REPLY reply = {0};
    struct submit submit;
    struct submitted submitted;
    struct result result;
    struct evidence evidence;
    request_submit(request, true, &room, &submit);
    actor_call(from, MESSAGE_SUBMIT, &submit, &reply);
    assert_ok(submitted_decode(reply.body, &submitted));
    assert_int_equal(submitted.wants.count, 0);
    assert_true(result_next(&submitted.results, &result));
    assert_ok((enum error)result.error);
    assert_memory_equal(result.subject, request->legs[0].id, HASH_SIZE);
    assert_ok(evidence_open(result.receipt, from->relay->card.statement, &evidence));
    assert_int_equal(evidence.statement.event, EVENT_STORED);
    assert_ok(evidence_follows(&evidence, -1, request->legs[0].id));
}

/* Reads the feed on until the offer of this request. */
static void find_offer(struct actor *to, const struct request *request, struct buf *bytes, struct offered *ret) {
    for (uint64_t end = scene_now_ms() + SCENE_WAIT_MS; scene_now_ms() < end;) {
        AUTO_REPLY reply = {0};
        struct feed feed;
        struct item item;
        actor_call(to, MESSAGE_GETFEED, &(struct getfeed){.after = to->feed, .max = FEED_MAX}, &reply);
        assert_ok(feed_decode(reply.body, &feed));
        while (item_next(&feed.items, &item)) {
            struct header header;
            uint8_t digest[HASH_SIZE];
            assert_true(item.number > to->feed);
            to->feed = item.number;
            if (item.kind != ITEM_OFFERED) continue;
            buf_clear(bytes);
            buf_add_bytes(bytes, item.body);
            assert_ok(offered_decode(buf_bytes(bytes), ret));
            assert_ok(header_open(ret->header, &header, digest));
            if (memcmp(digest, request->digest, HASH_SIZE) == 0) return;
        }
    }
    fail_msg("the request is not in the recipient's feed");
}

static void open_wrap(const struct actor *to, struct bytes stamped, struct buf *room, struct wrapped *ret) {
    struct bytes payload;
    struct wrapset set;
    struct wrap wrap;
    assert_ok(stamp_peek(stamped, &payload));
    assert_ok(wrapset_decode(payload, &set));
    assert_ok(wrapping_find(&set, to->device.public, &wrap));
    for (size_t i = 0; i < PREKEYS; i++)
        if (memcmp(wrap.prekey, to->prekey_ids + i * PREKEY_ID_SIZE, PREKEY_ID_SIZE) == 0) {
            assert_ok(wrapping_open(&set, &wrap, to->prekey_secrets + i * KEY_SIZE, NULL, room, ret));
            return;
        }
    fail_msg("sealed to a prekey that is not ours");
}

static void open_part(struct actor *to, const struct request *request, unsigned part,
                      const uint8_t key[static KEY_SIZE], struct buf *plain) {
    AUTO_BUF data = {0};
    struct content_context context = {.part = (enum part_number)part};
    memcpy(context.request, request->header.request, REQUEST_ID_SIZE);
    memcpy(context.device, request->header.device, KEY_SIZE);
    assert_ok(actor_fetch(to, request->digest, request->legs[0].id, part, 0, &data));
    assert_ok(content_open_chunk(&context, key, 0, true, buf_bytes(&data), plain));
}

void scene_good_request(struct actor *from, struct actor *to) {
    const char *posts[] = {to->post};
    AUTO_REQUEST request = {0};
    AUTO_BUF bytes = {0}, keys_room = {0}, offer_plain = {0}, body_plain = {0};
    struct offered offered;
    struct wrapped keys;
    struct offer offer;
    struct manifest manifest;
    struct opening opening;
    uint8_t leg[HASH_SIZE];
    size_t size;
    request_new(from, &(struct outline){.to = posts, .count = 1}, &request);
    submit_whole(from, &request);
    find_offer(to, &request, &bytes, &offered);
    assert_ok(legs_verify(&offered.place, offered.path, request.header.legs, &opening, leg));
    assert_memory_equal(leg, request.legs[0].id, HASH_SIZE);
    open_wrap(to, offered.wrapset, &keys_room, &keys);
    open_part(to, &request, PART_OFFER, keys.offer_key, &offer_plain);
    assert_ok(content_open_offer(buf_bytes(&offer_plain), &request.header, &offer));
    assert_ok(actor_say(to, EVENT_NOTIFIED, request.digest, leg, NULL));
    assert_error(actor_fetch(to, request.digest, leg, PART_BODY, 0, NULL), E_NOT_ACCEPTED);
    assert_ok(actor_say(to, EVENT_ACCEPTED, request.digest, leg, NULL));
    open_part(to, &request, PART_BODY, keys.body_key, &body_plain);
    assert_ok(content_open_manifest(buf_bytes(&body_plain), &request.header, &manifest, &size));
    assert_ok(actor_say(to, EVENT_HANDED_OVER, request.digest, leg, NULL));
}
