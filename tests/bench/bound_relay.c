/* bound_relay.c - the skeleton relay of the bound: what bound.c's head counts on the relay's side, and nothing else. */
#include "bound.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "chunks.h"
#include "header.h"

/* ---- the relay's rows ---- */

void bound_sql(struct bound_rows *rows, const char *text) {
    if (sqlite3_exec(rows->db, text, NULL, NULL, NULL) != SQLITE_OK)
        letter_die("bound: %s: %s", text, sqlite3_errmsg(rows->db));
}

void bound_rows_open(const char *folder, struct bound_rows *ret) {
    char path[512];
    static const char *const tails[] = {"", "-wal", "-shm"};
    for (size_t i = LENGTH(tails); i-- > 0;) {
        snprintf(path, sizeof path, "%s/bound.sqlite%s", folder, tails[i]);
        unlink(path);
    }
    if (sqlite3_open(path, &ret->db) != SQLITE_OK) letter_die("bound: %s cannot be made", path);
    bound_sql(
        ret,
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
        "CREATE TABLE row(id INTEGER PRIMARY KEY, data BLOB NOT NULL)");
    if (sqlite3_prepare_v2(ret->db, "INSERT INTO row(data) VALUES(?)", -1, &ret->add, NULL) != SQLITE_OK)
        letter_die("bound: %s", sqlite3_errmsg(ret->db));
}

void bound_rows_close(struct bound_rows *rows) {
    sqlite3_finalize(rows->add);
    sqlite3_close(rows->db);
}

static void put(struct bound_rows *rows, const void *p, size_t n) {
    sqlite3_bind_blob64(rows->add, 1, p, n, SQLITE_STATIC);
    if (sqlite3_step(rows->add) != SQLITE_DONE) letter_die("bound: %s", sqlite3_errmsg(rows->db));
    sqlite3_reset(rows->add);
}

/* An event of a letter: its receipt, and that it is in somebody's feed. */
static void put_events(struct bound_rows *rows, size_t receipts, size_t items) {
    static const uint8_t filler[RECEIPT];
    for (size_t i = 0; i < receipts; i++) put(rows, filler, RECEIPT);
    for (size_t i = 0; i < items; i++) put(rows, filler, FEED_ROW);
}

void bound_put_letter(struct bound_rows *rows, const struct letter *letter) {
    put(rows, letter->header.p, letter->header.n);
    put(rows, letter->wrapset.p, letter->wrapset.n);
    put(rows, letter->offer.p, letter->offer.n);
    for (uint64_t i = 0; i < chunks_count(letter->body.n); i++)
        put(rows, letter->body.p + i * CHUNK_SIZE, chunks_size(letter->body.n, i));
    put_events(rows, 1, 3);
}

/* ---- the relay ---- */

void bound_verify(const struct bound_task *task, const struct letter *letter) {
    bound_must(stamp_verify(LABEL_HEADER, task->ends.sender.device, letter->header, NULL), "a header");
    bound_must(stamp_verify(LABEL_WRAPSET, task->ends.sender.device, letter->wrapset, NULL), "a wrap set");
}

static void digest_letter(const struct letter *letter) {
    uint8_t digest[HASH_SIZE], root[HASH_SIZE];
    struct legs_leaf leaf = {.position = (uint32_t)letter->position};
    chunk_digest(letter->offer, digest);
    for (uint64_t i = 0; i < chunks_count(letter->body.n); i++)
        chunk_digest(bytes_of(letter->body.p + i * CHUNK_SIZE, chunks_size(letter->body.n, i)), digest);
    bound_must(legs_root(&leaf, 1, letter->seed, root), "the tree of legs");
}

static void verify_statements(const struct bound_task *task, struct bytes frame) {
    struct stamp_cache cache = {0};
    struct list list = {.items = bytes_of(frame.p + 2, frame.n - 2), .count = frame.p[1]};
    struct bytes stamped;
    while (list_next_bytes(&list, &stamped))
        bound_must(stamp_verify_cached(LABEL_STATEMENT, task->ends.recipient.device, stamped, &cache, NULL),
                   "a statement");
}

/* Takes one frame into the open transaction; returns how many bytes the answer has. */
static size_t serve(const struct bound_task *task, struct bound_rows *rows, struct bytes frame) {
    const struct letter *sample = &task->letter;
    struct letter letter;
    switch ((enum kind)frame.p[0]) {
    case SUBMIT:
        bound_must(letter_parse(bytes_of(frame.p + 1, frame.n - 1), &letter), "a letter");
        bound_verify(task, &letter);
        digest_letter(&letter);
        bound_put_letter(rows, &letter);
        return RECEIPT;
    case GETFEED: return WINDOW * (task->flat.n - sample->body.n + RECEIPT);
    case STATE:
        verify_statements(task, frame);
        put_events(rows, 2 * WINDOW, 4 * WINDOW);
        return WINDOW * (2 * RECEIPT + sample->body.n);
    case HANDED_OVER:
        verify_statements(task, frame);
        put_events(rows, WINDOW, 2 * WINDOW);
        return WINDOW * RECEIPT;
    case GETCHANGES: return WINDOW * 3 * RECEIPT;
    case ECHO: return RECEIPT;
    }
    letter_die("bound: a frame of no kind");
}

struct relay {
    const struct bound_task *task;
    void *socket;
    struct bound_rows rows;
    uint8_t *filler, secret[SIGN_SECRET_SIZE];
    struct answer {
        uint8_t who[32];
        size_t who_size, size;
        bool hint;
    } answers[BATCH];
};

static bool changes(uint8_t kind) { return kind == SUBMIT || kind == STATE || kind == HANDED_OVER; }

/* One frame, if there is one. */
static bool take_frame(struct relay *relay, struct answer *ret, bool *open) {
    zmq_msg_t message;
    int n = zmq_recv(relay->socket, ret->who, sizeof ret->who, ZMQ_DONTWAIT);
    if (n < 0) return false;
    ret->who_size = (size_t)n;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, relay->socket, 0) < 1) letter_die("bound: an empty frame");
    struct bytes frame = bytes_of(zmq_msg_data(&message), zmq_msg_size(&message));
    if (changes(frame.p[0]) && !*open) {
        bound_sql(&relay->rows, "BEGIN");
        *open = true;
    }
    ret->size = serve(relay->task, &relay->rows, frame);
    ret->hint = frame.p[0] == STATE || frame.p[0] == HANDED_OVER;
    zmq_msg_close(&message);
    return true;
}

static void send_answer(struct relay *relay, const struct answer *answer, size_t size) {
    if (zmq_send(relay->socket, answer->who, answer->who_size, ZMQ_SNDMORE) < 0 ||
        zmq_send(relay->socket, relay->filler, size, 0) < 0)
        letter_die("bound: send: %s", zmq_strerror(zmq_errno()));
}

static void one_batch(struct relay *relay) {
    size_t count = 0;
    bool open = false;
    uint8_t signature[SIGNATURE_SIZE];
    while (count < BATCH && take_frame(relay, &relay->answers[count], &open)) count++;
    if (open) {
        for (int i = 0; i < SIGNATURES; i++)
            crypto_sign_detached(signature, NULL, relay->filler, COMMITTED, relay->secret);
        bound_sql(&relay->rows, "COMMIT");
    }
    for (size_t i = 0; i < count; i++) {
        send_answer(relay, &relay->answers[i], relay->answers[i].size);
        if (relay->answers[i].hint) send_answer(relay, &relay->answers[i], HINT);
    }
}

void *bound_socket(void *context, int type) {
    void *socket = zmq_socket(context, type);
    int linger = 0, most = 0;
    if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_setsockopt(socket, ZMQ_SNDHWM, &most, sizeof most) != 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &most, sizeof most) != 0)
        letter_die("bound: a socket: %s", zmq_strerror(zmq_errno()));
    return socket;
}

void bound_relay(const struct bound_task *task) {
    struct relay relay = {.task = task};
    struct bound_shared *shared = task->shared;
    uint8_t public[KEY_SIZE];
    int server = 1;
    size_t address_size = sizeof task->shared->address;
    void *context = zmq_ctx_new();
    relay.socket = bound_socket(context, ZMQ_ROUTER);
    relay.filler = calloc(WINDOW, task->flat.n + 4 * RECEIPT);
    if (!relay.filler) letter_die("memory ran out");
    crypto_sign_keypair(public, relay.secret);
    bound_rows_open(task->folder, &relay.rows);
    if (zmq_setsockopt(relay.socket, ZMQ_CURVE_SERVER, &server, sizeof server) != 0 ||
        zmq_setsockopt(relay.socket, ZMQ_CURVE_SECRETKEY, shared->curve_secret, KEY_SIZE) != 0 ||
        zmq_bind(relay.socket, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(relay.socket, ZMQ_LAST_ENDPOINT, shared->address, &address_size) != 0)
        letter_die("bound: loopback: %s", zmq_strerror(zmq_errno()));
    shared->ready++;
    uint64_t before = 0;
    for (unsigned phase = CONNECTING; phase < END; phase = shared->phase) {
        zmq_pollitem_t item = {.socket = relay.socket, .events = ZMQ_POLLIN};
        if (phase == MEASURED && before == 0) before = bound_us(CLOCK_PROCESS_CPUTIME_ID);
        if (phase == ALONE && shared->relay_us == 0) shared->relay_us = bound_us(CLOCK_PROCESS_CPUTIME_ID) - before;
        if (zmq_poll(&item, 1, 20) > 0) one_batch(&relay);
    }
    bound_rows_close(&relay.rows);
    free(relay.filler);
    zmq_close(relay.socket);
    zmq_ctx_term(context);
}
