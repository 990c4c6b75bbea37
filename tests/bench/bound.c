/* bound.c - what no relay and no client can do without, timed: the bound beside which the relay is judged.
 *
 *     bench_bound --folder F --size BYTES --seconds T        prints one JSON object
 *
 * A skeleton relay (bound_relay.c; one process: libzmq's thread and one of ours) and client processes do side by side, on
 * all cores, this alone for every letter, for real and on bytes of the true sizes. In brackets: PROTOCOL.md's sections.
 *
 *   relay
 *     Ed25519: header and wrap set, each signed by itself under its own label [5, 8, 10]: 2 verifications a letter. The
 *       recipient's statements are under one signature a WINDOW [5], NOTIFIED and ACCEPTED together, HANDED_OVER later:
 *       2 a WINDOW. The relay's own statements, the records and the evidence log's head [12, 26]: 3 signatures a commit.
 *     digests of all chunks [9], the tree of legs [8].
 *     CURVE over loopback, libzmq's own [14]: SUBMIT and SUBMITTED a letter; a WINDOW's feed to the recipient, STATE and
 *       STATED twice, feed to the sender, the questions for both and two hints. Offer and body go in once and out once.
 *     SQLite, WAL, synchronous FULL: header, wrap set, chunks; 4 receipts and 9 feed items a letter [12, 13], each a row
 *       of a table without any other index; one commit for what has arrived while the last one ran, at most BATCH frames.
 *   clients
 *     content, HPKE wrap and two signatures made; the same opened and verified (letter.c).
 *     two signatures a WINDOW over statements, and the check of the receipts that come back.
 *     the relay's evidence: record and head of each of the three commits that a WINDOW's letters are in, at both ends:
 *       12 verifications a WINDOW.
 *     CURVE as above, the other side of it.
 *
 * Left out, though a relay needs them: gate and ledger apart, the directory, indexes, states, quotas, the log's tree,
 * retention. WINDOW is that of the benchmark's 32 pairs, and sharing is counted as if each window came through whole. So
 * the bound asks for less than any relay of this protocol can do with.
 *
 * relay_us and client_us are processor time a letter, of all threads of the one side and of the other; letters_per_s is
 * what came through with both on the machine's cores. Then one letter alone, medians: round_trip_us (the bytes of SUBMIT
 * and SUBMITTED over the same sockets, nothing done), verify_us (its two signatures), commit_us (its rows). */
#include "bound.h"

#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "sign.h"

enum {
    LARGE = 256 * 1024, /* letters above: fewer clients, so that memory is not what is measured */
    LARGE_CLIENTS = 8,
    SAMPLES = 400, /* of one letter alone: at most, and time for them */
    SAMPLES_US = 400000,
};

/* ---- clients ---- */

struct client {
    const struct bound_task *task;
    void *context, *socket;
    struct buf text;
    struct letter_room rooms[WINDOW];
    struct letter letters[WINDOW];
    struct letter_done done[WINDOW];
    uint8_t key[KEY_SIZE], signature[SIGNATURE_SIZE], committed[COMMITTED];
};

static void client_open(const struct bound_task *task, struct client *ret) {
    uint8_t key[KEY_SIZE], secret[KEY_SIZE], relay_secret[SIGN_SECRET_SIZE];
    int wait_ms = 60000;
    *ret = (struct client){.task = task, .context = zmq_ctx_new()};
    ret->socket = bound_socket(ret->context, ZMQ_DEALER);
    crypto_box_keypair(key, secret);
    if (zmq_setsockopt(ret->socket, ZMQ_CURVE_SERVERKEY, task->shared->curve, KEY_SIZE) != 0 ||
        zmq_setsockopt(ret->socket, ZMQ_CURVE_PUBLICKEY, key, KEY_SIZE) != 0 ||
        zmq_setsockopt(ret->socket, ZMQ_CURVE_SECRETKEY, secret, KEY_SIZE) != 0 ||
        zmq_setsockopt(ret->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms) != 0 ||
        zmq_connect(ret->socket, task->shared->address) != 0)
        letter_die("bound: the link: %s", zmq_strerror(zmq_errno()));
    uint8_t *text = buf_extend(&ret->text, task->size);
    if (!text) letter_die("memory ran out");
    randombytes_buf(text, task->size);
    crypto_sign_keypair(ret->key, relay_secret);
    crypto_sign_detached(ret->signature, NULL, ret->committed, COMMITTED, relay_secret);
}

static void client_close(struct client *client) {
    for (size_t i = 0; i < WINDOW; i++) letter_room_free(&client->rooms[i]);
    buf_free(&client->text);
    zmq_close(client->socket);
    zmq_ctx_term(client->context);
}

static void tell(struct client *client, struct bytes frame) {
    if (zmq_send(client->socket, frame.p, frame.n, 0) < 0) letter_die("bound: send: %s", zmq_strerror(zmq_errno()));
}

static void hear(struct client *client, size_t answers) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    while (answers > 0) {
        if (zmq_msg_recv(&message, client->socket, 0) < 0)
            letter_die("bound: no answer: %s", zmq_strerror(zmq_errno()));
        answers -= zmq_msg_size(&message) != HINT;
    }
    zmq_msg_close(&message);
}

static void ask(struct client *client, enum kind kind) {
    uint8_t question[QUESTION] = {(uint8_t)kind};
    tell(client, bytes_of(question, sizeof question));
    hear(client, 1);
}

static void submit_window(struct client *client, uint64_t *number) {
    for (size_t i = 0; i < WINDOW; i++) {
        AUTO_BUF frame = {0};
        struct letter *letter = &client->letters[i];
        letter_seal(&client->task->ends, ++*number, buf_bytes(&client->text), &client->rooms[i], letter);
        client->done[i].number = *number;
        memcpy(client->done[i].digest, letter->digest, HASH_SIZE);
        memcpy(client->done[i].leg, letter->leg, HASH_SIZE);
        buf_add(&frame, &(uint8_t){SUBMIT}, 1);
        letter_flatten(letter, &frame);
        tell(client, buf_bytes(&frame));
    }
    hear(client, WINDOW);
}

/* Statements about all letters of the window under one signature; with events of two kinds, two of each letter. */
static void state(struct client *client, enum kind kind, const enum leg_event *events, size_t each,
                  struct buf *receipts) {
    AUTO_BUF frame = {0};
    struct letter_word words[2 * WINDOW];
    size_t count = each * WINDOW;
    for (size_t i = 0; i < count; i++) words[i] = (struct letter_word){events[i % each], &client->done[i / each]};
    letter_sign(&client->task->ends, words, count, receipts);
    buf_add(&frame, (uint8_t[]){(uint8_t)kind, (uint8_t)count}, 2);
    for (size_t i = 0; i < count; i++) cbor_put_bytes(&frame, buf_bytes(&receipts[i]));
    bound_must(buf_error(&frame), "statements");
    tell(client, buf_bytes(&frame));
    hear(client, 1);
}

static void check_evidence(struct client *client) {
    for (int i = 0; i < EVIDENCE_CHECKS; i++)
        if (crypto_sign_verify_detached(client->signature, client->committed, COMMITTED, client->key) != 0)
            letter_die("bound: a signature");
}

static void open_window(struct client *client) {
    for (size_t i = 0; i < WINDOW; i++) {
        AUTO_BUF text = {0};
        struct letter letter = client->letters[i];
        bound_must(letter_open(&client->task->ends, &letter, &text), "a letter");
    }
}

static void one_window(struct client *client, uint64_t *number) {
    static const enum leg_event accepted[] = {EVENT_NOTIFIED, EVENT_ACCEPTED}, handed_over[] = {EVENT_HANDED_OVER};
    struct buf words[2 * WINDOW] = {0}, receipts[WINDOW] = {0};
    struct stamp_cache cache = {0};
    submit_window(client, number);
    ask(client, GETFEED);
    state(client, STATE, accepted, LENGTH(accepted), words);
    open_window(client);
    state(client, HANDED_OVER, handed_over, 1, receipts);
    ask(client, GETCHANGES);
    for (size_t i = 0; i < WINDOW; i++)
        bound_must(letter_check(&client->task->ends, &client->done[i], buf_bytes(&receipts[i]), &cache), "a receipt");
    check_evidence(client);
    for (size_t i = 0; i < LENGTH(words); i++) buf_free(&words[i]);
    for (size_t i = 0; i < LENGTH(receipts); i++) buf_free(&receipts[i]);
}

static void run_client(const struct bound_task *task, unsigned which) {
    struct client client;
    uint64_t number = 0;
    client_open(task, &client);
    ask(&client, ECHO);
    task->shared->ready++;
    while (task->shared->phase == CONNECTING) usleep(1000);
    uint64_t before = bound_us(CLOCK_PROCESS_CPUTIME_ID),
             end = bound_us(CLOCK_MONOTONIC) + (uint64_t)(task->seconds * 1e6);
    do one_window(&client, &number);
    while (bound_us(CLOCK_MONOTONIC) < end);
    task->shared->client_us[which] = bound_us(CLOCK_PROCESS_CPUTIME_ID) - before;
    task->shared->letters[which] = number;
    task->shared->done++;
    client_close(&client);
}

/* ---- one letter alone ---- */

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct alone {
    struct client client;
    struct bound_rows rows;
    struct bytes echo;
};

static void echo_once(const struct bound_task *task, struct alone *alone) {
    (void)task;
    tell(&alone->client, alone->echo);
    hear(&alone->client, 1);
}

static void verify_once(const struct bound_task *task, struct alone *alone) {
    (void)alone;
    bound_verify(task, &task->letter);
}

static void commit_once(const struct bound_task *task, struct alone *alone) {
    bound_sql(&alone->rows, "BEGIN");
    bound_put_letter(&alone->rows, &task->letter);
    bound_sql(&alone->rows, "COMMIT");
}

static double median(const struct bound_task *task, struct alone *alone,
                     void (*once)(const struct bound_task *, struct alone *)) {
    uint64_t samples[SAMPLES], count = 0, begun = bound_us(CLOCK_MONOTONIC), before = begun;
    do {
        once(task, alone);
        uint64_t now = bound_us(CLOCK_MONOTONIC);
        samples[count++] = now - before;
        before = now;
    } while (count < SAMPLES && before - begun < SAMPLES_US);
    qsort(samples, count, sizeof *samples, compare);
    return (double)samples[count / 2];
}

/* ---- the whole ---- */

static pid_t start(const struct bound_task *task, int client) {
    pid_t pid = fork();
    if (pid < 0) letter_die("bound: no process");
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (client < 0)
        bound_relay(task);
    else
        run_client(task, (unsigned)client);
    _exit(0);
}

/* A process that ends before its time ends us. */
static void wait_for(const _Atomic unsigned *number, unsigned wanted) {
    int status;
    while (*number < wanted) {
        if (waitpid(-1, &status, WNOHANG) > 0 && status != 0) letter_die("bound: a process has ended");
        usleep(500);
    }
}

static void measure(const struct bound_task *task) {
    struct bound_shared *shared = task->shared;
    struct alone alone = {0};
    AUTO_BUF echo = {0};
    start(task, -1);
    wait_for(&shared->ready, 1);
    for (unsigned i = 0; i < task->clients; i++) start(task, (int)i);
    wait_for(&shared->ready, 1 + task->clients);
    uint64_t begun = bound_us(CLOCK_MONOTONIC);
    shared->phase = MEASURED;
    wait_for(&shared->done, task->clients);
    double wall = (double)(bound_us(CLOCK_MONOTONIC) - begun) / 1e6, letters = 0, client_us = 0;
    shared->phase = ALONE;
    client_open(task, &alone.client);
    buf_add(&echo, &(uint8_t){ECHO}, 1);
    buf_add_bytes(&echo, buf_bytes(&task->flat));
    alone.echo = buf_bytes(&echo);
    echo_once(task, &alone); /* the handshake */
    double round_trip_us = median(task, &alone, echo_once), verify_us = median(task, &alone, verify_once);
    client_close(&alone.client);
    shared->phase = END;
    while (wait(NULL) > 0) continue;
    bound_rows_open(task->folder, &alone.rows);
    double commit_us = median(task, &alone, commit_once);
    bound_rows_close(&alone.rows);
    for (unsigned i = 0; i < task->clients; i++) {
        letters += (double)shared->letters[i];
        client_us += (double)shared->client_us[i];
    }
    printf("{\"size\": %zu, \"letters\": %.0f, \"relay_us\": %.1f, \"client_us\": %.1f, \"letters_per_s\": %.1f, "
           "\"round_trip_us\": %.1f, \"verify_us\": %.1f, \"commit_us\": %.1f}\n",
           task->size, letters, (double)shared->relay_us / letters, client_us / letters, letters / wall, round_trip_us,
           verify_us, commit_us);
}

int main(int argc, char **argv) {
    struct bound_task task = {.size = 4096, .seconds = 2};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--folder") == 0) task.folder = argv[i + 1];
        if (strcmp(argv[i], "--size") == 0) task.size = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seconds") == 0) task.seconds = strtod(argv[i + 1], NULL);
    }
    if (!task.folder || task.size == 0 || task.seconds <= 0) letter_die("--folder F --size BYTES --seconds T");
    if (sodium_init() < 0 || sign_self_test() != E_OK) letter_die("libsodium does not work");
    task.shared = mmap(NULL, sizeof *task.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    AUTO_FREE(uint8_t) text = calloc(1, task.size);
    if (task.shared == MAP_FAILED || !text) letter_die("memory ran out");
    task.clients = task.size > LARGE ? LARGE_CLIENTS : CLIENTS_MAX;
    letter_ends_make("p0", &task.ends);
    letter_seal(&task.ends, 1, bytes_of(text, task.size), &task.room, &task.letter);
    letter_flatten(&task.letter, &task.flat);
    crypto_box_keypair(task.shared->curve, task.shared->curve_secret);
    measure(&task);
    letter_room_free(&task.room);
    buf_free(&task.flat);
    return 0;
}
