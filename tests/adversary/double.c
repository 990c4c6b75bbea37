/* double.c - the proxy's thread. */
#include "double.h"

#include <sodium.h>
#include <stdio.h>
#include <zmq.h>

#undef fail /* cmocka's; the client library has one of its own */
#include "keystore.h"

enum { POLL_MS = 20, ID_MAX = 256 };

void double_transport_of(const char *home, uint8_t ret_secret[static KEY_SIZE], uint8_t ret_public[static KEY_SIZE]) {
    struct keystore keys = {0};
    struct failure failure = {0};
    char path[SCENE_PATH + 8];
    snprintf(path, sizeof path, "%s/keys", home);
    assert_ok(keystore_open(path, NULL, &keys, &failure));
    memcpy(ret_secret, keys.transport.p, KEY_SIZE);
    assert_int_equal(crypto_scalarmult_base(ret_public, ret_secret), 0);
    keystore_free(&keys);
}

void double_replace_body(struct buf *frame, struct bytes body) {
    struct frame parts;
    AUTO_BUF whole = {0};
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    parts.body = body;
    frame_encode(&parts, &whole);
    buf_free(frame);
    *frame = buf_take(&whole);
}

void double_strip(const struct message_row *row, struct buf *frame) {
    struct frame parts;
    struct feed feed;
    struct stated stated;
    AUTO_BUF body = {0};
    if (frame_decode(buf_bytes(frame), &parts) != E_OK) return;
    if (row->type == MESSAGE_FEED && feed_decode(parts.body, &feed) == E_OK && feed.has_along) {
        feed.has_along = false;
        feed_encode(&feed, &body);
    }
    if (row->type == MESSAGE_STATED && stated_decode(parts.body, &stated) == E_OK && stated.has_along) {
        stated.has_along = false;
        stated_encode(&stated, &body);
    }
    if (body.n > 0) double_replace_body(frame, buf_bytes(&body));
}

struct ends {
    void *front, *back;
    uint8_t id[ID_MAX];
    size_t id_size; /* 0: nobody has come yet */
};

static bool receive(void *socket, struct buf *out) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    int n = zmq_msg_recv(&message, socket, ZMQ_DONTWAIT);
    if (n >= 0) {
        buf_clear(out);
        buf_add(out, zmq_msg_data(&message), zmq_msg_size(&message));
    }
    zmq_msg_close(&message);
    return n >= 0;
}

static void answer_client(struct ends *ends, const struct buf *frame) {
    if (ends->id_size == 0 || zmq_send(ends->front, ends->id, ends->id_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) return;
    zmq_send(ends->front, frame->p, frame->n, ZMQ_DONTWAIT);
}

/* Each statement is told to wait: nothing is stored, and the client keeps it. True: the frame has been dealt with. */
static bool mute(struct double_relay *relay, struct ends *ends, const struct message_row *row,
                 const struct frame *frame) {
    if (!relay->mute_statements || row->type != MESSAGE_STATE) return false;
    AUTO_BUF results = {0}, answer = {0};
    struct state state;
    struct said said;
    struct bytes payload;
    size_t count = 0;
    if (state_decode(frame->body, &state) != E_OK) return false;
    while (said_next(&state.said, &said)) {
        struct result result = {.error = E_OVER_QUOTA};
        if (stamp_peek(said.statement, &payload) == E_OK) statement_hash(payload, result.subject);
        result_encode(&result, &results);
        count++;
    }
    message_encode(MESSAGE_STATED, frame->number, &(struct stated){.results = list_of(&results, count)}, &answer);
    answer_client(ends, &answer);
    return true;
}

static void from_client(struct double_relay *relay, struct ends *ends) {
    AUTO_BUF frame = {0};
    struct frame parts;
    const struct message_row *row;
    for (int n; (n = zmq_recv(ends->front, ends->id, sizeof ends->id, ZMQ_DONTWAIT)) > 0;) {
        ends->id_size = (size_t)n;
        if (!receive(ends->front, &frame)) continue;
        if (message_decode(buf_bytes(&frame), &parts, &row) != E_OK) continue;
        if (mute(relay, ends, row, &parts)) continue;
        if (relay->on_ask && !relay->on_ask(relay, row, &frame, relay->context)) continue;
        zmq_send(ends->back, frame.p, frame.n, ZMQ_DONTWAIT);
    }
}

static void from_relay(struct double_relay *relay, struct ends *ends) {
    AUTO_BUF frame = {0}, body = {0};
    struct frame parts;
    const struct message_row *row;
    while (receive(ends->back, &frame)) {
        if (message_decode(buf_bytes(&frame), &parts, &row) != E_OK) continue;
        buf_clear(&body);
        buf_add_bytes(&body, parts.body);
        AUTO_BUF was = {0};
        buf_add_bytes(&was, buf_bytes(&frame));
        bool say = !relay->on_answer || relay->on_answer(relay, row, &frame, relay->context);
        if (!say || !bytes_equal(buf_bytes(&was), buf_bytes(&frame))) relay->changed++;
        buf_clear(&relay->before[row->type]);
        buf_add_bytes(&relay->before[row->type], buf_bytes(&body));
        if (say) answer_client(ends, &frame);
        for (size_t i = 0; i < relay->also_count; i++) {
            answer_client(ends, &relay->also[i]);
            buf_free(&relay->also[i]);
        }
        relay->also_count = 0;
    }
}

void double_also(struct double_relay *relay, struct bytes frame) {
    assert_true(relay->also_count < DOUBLE_ALSO);
    buf_add_bytes(&relay->also[relay->also_count++], frame);
}

void double_turn_to(struct double_relay *relay, struct scene_relay *behind) {
    pthread_mutex_lock(&relay->lock);
    relay->behind = behind;
    relay->turned = true;
    pthread_mutex_unlock(&relay->lock);
}

static void *open_front(struct double_relay *relay, const uint8_t *secret, void *context) {
    char address[64];
    int one = 1, zero = 0;
    void *front = zmq_socket(context, ZMQ_ROUTER);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", relay->port);
    bool good = front && zmq_setsockopt(front, ZMQ_CURVE_SERVER, &one, sizeof one) == 0 &&
                zmq_setsockopt(front, ZMQ_CURVE_SECRETKEY, secret, KEY_SIZE) == 0 &&
                zmq_setsockopt(front, ZMQ_LINGER, &zero, sizeof zero) == 0 && zmq_bind(front, address) == 0;
    assert_true(good);
    return front;
}

static void *open_back(struct double_relay *relay) {
    int zero = 0;
    void *back = zmq_socket(relay->behind->context, ZMQ_DEALER);
    bool good = back && zmq_setsockopt(back, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
                zmq_setsockopt(back, ZMQ_CURVE_SERVERKEY, relay->behind->card.curve, KEY_SIZE) == 0 &&
                zmq_setsockopt(back, ZMQ_CURVE_PUBLICKEY, relay->transport_public, KEY_SIZE) == 0 &&
                zmq_setsockopt(back, ZMQ_CURVE_SECRETKEY, relay->transport_secret, KEY_SIZE) == 0 &&
                zmq_connect(back, relay->behind->address) == 0;
    assert_true(good);
    return back;
}

struct start {
    struct double_relay *relay;
    void *front;
};

static void *run(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    struct double_relay *relay = start.relay;
    struct ends ends = {.front = start.front};
    uint8_t as[KEY_SIZE] = {0};
    for (bool stop = false; !stop;) {
        zmq_pollitem_t items[] = {{.socket = ends.front, .events = ZMQ_POLLIN},
                                  {.socket = ends.back, .events = ZMQ_POLLIN}};
        zmq_poll(items, ends.back ? 2 : 1, POLL_MS);
        pthread_mutex_lock(&relay->lock);
        if (relay->turned || memcmp(as, relay->transport_public, KEY_SIZE) != 0) {
            relay->turned = false;
            if (ends.back) zmq_close(ends.back);
            ends.back = open_back(relay);
            memcpy(as, relay->transport_public, KEY_SIZE);
        }
        from_client(relay, &ends);
        if (ends.back) from_relay(relay, &ends);
        stop = relay->stop;
        pthread_mutex_unlock(&relay->lock);
    }
    zmq_close(ends.front);
    if (ends.back) zmq_close(ends.back);
    return NULL;
}

void double_start(struct double_relay *ret, struct scene_relay *behind, const char *card_path) {
    uint8_t secret[KEY_SIZE];
    AUTO_BUF text = {0};
    *ret = (struct double_relay){.behind = behind, .port = scene_free_port()};
    randombytes_buf(secret, sizeof secret);
    assert_int_equal(crypto_scalarmult_base(ret->curve, secret), 0);
    pthread_mutex_init(&ret->lock, NULL);
    struct card card = behind->card;
    snprintf(card.addresses[0], sizeof card.addresses[0], "tcp://127.0.0.1:%u", ret->port);
    memcpy(card.curve, ret->curve, KEY_SIZE);
    card_format(&card, &text);
    scene_write_file(card_path, buf_bytes(&text));
    struct start *start = malloc(sizeof *start);
    assert_non_null(start);
    *start = (struct start){ret, open_front(ret, secret, behind->context)};
    assert_int_equal(pthread_create(&ret->thread, NULL, run, start), 0);
}

void double_become(struct double_relay *relay, const uint8_t *secret, const uint8_t *public) {
    pthread_mutex_lock(&relay->lock);
    memcpy(relay->transport_secret, secret, KEY_SIZE);
    memcpy(relay->transport_public, public, KEY_SIZE);
    pthread_mutex_unlock(&relay->lock);
}

void double_script_set(struct double_relay *relay, double_script *on_answer, double_script *on_ask, void *context,
                       bool mute_statements) {
    pthread_mutex_lock(&relay->lock);
    relay->on_answer = on_answer;
    relay->on_ask = on_ask;
    relay->context = context;
    relay->mute_statements = mute_statements;
    relay->changed = 0;
    pthread_mutex_unlock(&relay->lock);
}

void double_stop(struct double_relay *relay) {
    pthread_mutex_lock(&relay->lock);
    relay->stop = true;
    pthread_mutex_unlock(&relay->lock);
    pthread_join(relay->thread, NULL);
    pthread_mutex_destroy(&relay->lock);
    for (size_t i = 0; i < DOUBLE_TYPES; i++) buf_free(&relay->before[i]);
}
