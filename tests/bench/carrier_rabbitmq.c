/* carrier_rabbitmq.c - a letter as a persistent message in a quorum queue, over AMQP 0-9-1 and TLS.
 *
 * Two queues a pair, letters.PAIR and receipts.PAIR; either end declares both, so that neither waits for the other and
 * nothing is unroutable. Channel 1 publishes with confirms, channel 2 consumes: what each stops, stops only itself.
 *
 *     kept         basic.ack of the publisher's confirm: in the queue's Raft log, synced
 *     recipient    acknowledges a letter once its receipt is confirmed, so that whoever dies, nothing is lost
 *     sender       acknowledges a receipt once it has been checked
 *
 * Acknowledgements gather for a step and go as one ("multiple"), up to the first delivery that is still open; each is
 * an entry of the Raft log, so the server likes few. The prefetch limit leaves room for those that wait. */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "carrier.h"

#define PUBLISHING 1
#define CONSUMING 2
#define FRAME_MAX 131072 /* the server's own limit */

/* A publication that waits for its confirm, or a delivery that waits to be done with. */
struct row {
    uint64_t value; /* publication: letter's number (sender), delivery that it answers (recipient). Delivery: number */
    bool answered, done;
};

/* Rows by the sequence number that the channel gave them: first .. first + n - 1. The front is forgotten when done. */
struct ledger {
    struct row *rows;
    uint64_t first;
    size_t n, cap;
};

struct carrier {
    struct carrier_options options;
    amqp_connection_state_t link;
    char outgoing[128], incoming[128]; /* queues */
    struct ledger published, delivered;
    uint64_t acknowledged; /* the server has been told of deliveries up to here */
    struct buf flat;
};

#define die(...) letter_die("rabbitmq: " __VA_ARGS__)

static void check_status(int status, const char *what) {
    if (status != AMQP_STATUS_OK) die("%s: %s", what, amqp_error_string2(status));
}

/* What the server says when it closes a channel or the connection: code, length and text lie alike in both. */
static void die_closed(const amqp_method_t *method, const char *what) {
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = method->decoded;
        die("%s: channel closed: %u %.*s", what, close->reply_code, (int)close->reply_text.len,
            (const char *)close->reply_text.bytes);
    }
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = method->decoded;
        die("%s: connection closed: %u %.*s", what, close->reply_code, (int)close->reply_text.len,
            (const char *)close->reply_text.bytes);
    }
    die("%s: unexpected method %s", what, amqp_method_name(method->id));
}

static void check_reply(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) die_closed(&reply.reply, what);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) die("%s: %s", what, amqp_error_string2(reply.library_error));
}

static void check_rpc(const struct carrier *carrier, const char *what) {
    check_reply(amqp_get_rpc_reply(carrier->link), what);
}

static void ledger_add(struct ledger *ledger, uint64_t value) {
    if (ledger->n == ledger->cap) {
        ledger->cap = ledger->cap ? 2 * ledger->cap : 64;
        ledger->rows = realloc(ledger->rows, ledger->cap * sizeof *ledger->rows);
        if (!ledger->rows) die("no memory");
    }
    ledger->rows[ledger->n++] = (struct row){.value = value};
}

static struct row *ledger_row(const struct ledger *ledger, uint64_t sequence) {
    if (sequence < ledger->first || sequence - ledger->first >= ledger->n)
        die("sequence number %" PRIu64 " is none that waits", sequence);
    return &ledger->rows[sequence - ledger->first];
}

static void ledger_trim(struct ledger *ledger) {
    size_t done = 0;
    while (done < ledger->n && ledger->rows[done].done) done++;
    if (!done) return;
    ledger->first += done;
    ledger->n -= done;
    memmove(ledger->rows, ledger->rows + done, ledger->n * sizeof *ledger->rows);
}

static void connect_tls(struct carrier *carrier) {
    char path[4096], host[256];
    int port = 0;
    snprintf(path, sizeof path, "%s/address", carrier->options.folder);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%255s %d", host, &port) != 2) die("%s: no address", path);
    fclose(file);
    carrier->link = amqp_new_connection();
    amqp_socket_t *socket = carrier->link ? amqp_ssl_socket_new(carrier->link) : NULL;
    if (!socket) die("no memory");
    snprintf(path, sizeof path, "%s/ca.pem", carrier->options.folder);
    check_status(amqp_ssl_socket_set_cacert(socket, path), path);
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    /* The library compares names, not addresses. */
    check_status(amqp_socket_open(socket, strcmp(host, "127.0.0.1") == 0 ? "localhost" : host, port), "connect");
    check_reply(amqp_login(carrier->link, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, "bench", "bench"), "login");
}

static void declare(struct carrier *carrier, const char *queue) {
    amqp_table_entry_t kind = {.key = amqp_cstring_bytes("x-queue-type"),
                               .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_table_t arguments = {.num_entries = 1, .entries = &kind};
    amqp_queue_declare(carrier->link, CONSUMING, amqp_cstring_bytes(queue), 0, 1, 0, 0, arguments);
    check_rpc(carrier, queue);
}

static unsigned prefetch(unsigned window) {
    unsigned wanted = 2 * window > 256 ? 2 * window : 256;
    return wanted > UINT16_MAX ? UINT16_MAX : wanted;
}

static struct carrier *rabbitmq_open(const struct carrier_options *options) {
    struct carrier *carrier = calloc(1, sizeof *carrier);
    if (!carrier) die("no memory");
    carrier->options = *options;
    carrier->published.first = carrier->delivered.first = 1;
    snprintf(carrier->outgoing, sizeof carrier->outgoing, "%s.%s", options->sender ? "letters" : "receipts",
             options->pair);
    snprintf(carrier->incoming, sizeof carrier->incoming, "%s.%s", options->sender ? "receipts" : "letters",
             options->pair);
    connect_tls(carrier);
    amqp_channel_open(carrier->link, PUBLISHING);
    check_rpc(carrier, "channel");
    amqp_channel_open(carrier->link, CONSUMING);
    check_rpc(carrier, "channel");
    declare(carrier, carrier->outgoing);
    declare(carrier, carrier->incoming);
    amqp_confirm_select(carrier->link, PUBLISHING);
    check_rpc(carrier, "confirm.select");
    amqp_basic_qos(carrier->link, CONSUMING, 0, (uint16_t)prefetch(options->window), 0);
    check_rpc(carrier, "basic.qos");
    amqp_basic_consume(carrier->link, CONSUMING, amqp_cstring_bytes(carrier->incoming), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check_rpc(carrier, "basic.consume");
    return carrier;
}

/* `value` comes back when the confirm does. */
static void publish(struct carrier *carrier, uint64_t number, struct bytes body, uint64_t value) {
    char id[24];
    snprintf(id, sizeof id, "%" PRIu64, number);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(id),
    };
    amqp_bytes_t bytes = {.len = body.n, .bytes = (void *)(uintptr_t)body.p};
    ledger_add(&carrier->published, value);
    check_status(amqp_basic_publish(carrier->link, PUBLISHING, amqp_empty_bytes, amqp_cstring_bytes(carrier->outgoing),
                                    1, 0, &properties, bytes),
                 "publish");
}

static void rabbitmq_send(struct carrier *carrier, uint64_t number, const struct letter *letter) {
    buf_clear(&carrier->flat);
    letter_flatten(letter, &carrier->flat);
    if (buf_error(&carrier->flat) != E_OK) die("no memory");
    publish(carrier, number, buf_bytes(&carrier->flat), number);
}

/* Which delivery brought the letter; it counts as answered from here on. */
static uint64_t delivery_of(const struct ledger *delivered, uint64_t number) {
    for (size_t i = 0; i < delivered->n; i++) {
        struct row *row = &delivered->rows[i];
        if (row->value == number && !row->answered) {
            row->answered = true;
            return delivered->first + i;
        }
    }
    die("answers letter %" PRIu64 ", which did not come", number);
}

static void rabbitmq_answer(struct carrier *carrier, uint64_t number, struct bytes receipt) {
    publish(carrier, number, receipt, delivery_of(&carrier->delivered, number));
}

static void confirm_one(struct carrier *carrier, struct row *row) {
    if (row->done) return;
    row->done = true;
    if (carrier->options.sender)
        carrier->options.ears->on_kept(carrier->options.context, row->value);
    else
        ledger_row(&carrier->delivered, row->value)->done = true;
}

static void take_confirm(struct carrier *carrier, const amqp_basic_ack_t *ack) {
    struct ledger *published = &carrier->published;
    uint64_t first = ack->multiple ? published->first : ack->delivery_tag;
    for (uint64_t sequence = first; sequence <= ack->delivery_tag; sequence++)
        confirm_one(carrier, ledger_row(published, sequence));
    ledger_trim(published);
}

static uint64_t number_of(const amqp_message_t *message) {
    char digits[24] = {0};
    amqp_bytes_t id = message->properties.message_id;
    if (!(message->properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG) || id.len == 0 || id.len >= sizeof digits)
        die("a message without a number");
    memcpy(digits, id.bytes, id.len);
    return strtoull(digits, NULL, 10);
}

static void take_letter(const struct carrier *carrier, uint64_t number, struct bytes body) {
    struct letter letter;
    if (letter_parse(body, &letter) != E_OK) die("letter %" PRIu64 " cannot be taken apart", number);
    carrier->options.ears->on_letter(carrier->options.context, number, &letter);
}

static void take_delivery(struct carrier *carrier, uint64_t tag) {
    amqp_message_t message;
    check_reply(amqp_read_message(carrier->link, CONSUMING, &message, 0), "read message");
    uint64_t number = number_of(&message);
    struct bytes body = bytes_of(message.body.bytes, message.body.len);
    ledger_add(&carrier->delivered, number);
    if (carrier->options.sender) {
        carrier->options.ears->on_receipt(carrier->options.context, number, body);
        ledger_row(&carrier->delivered, tag)->done = true;
    } else {
        take_letter(carrier, number, body);
    }
    amqp_destroy_message(&message);
}

static void take_frame(struct carrier *carrier, const amqp_frame_t *frame) {
    if (frame->frame_type != AMQP_FRAME_METHOD) die("unexpected frame of type %u", frame->frame_type);
    const amqp_method_t *method = &frame->payload.method;
    switch (method->id) {
    case AMQP_BASIC_ACK_METHOD: take_confirm(carrier, method->decoded); return;
    case AMQP_BASIC_DELIVER_METHOD: {
        const amqp_basic_deliver_t *deliver = method->decoded;
        take_delivery(carrier, deliver->delivery_tag);
        return;
    }
    case AMQP_BASIC_NACK_METHOD: die("the server refused a message");
    case AMQP_BASIC_RETURN_METHOD: die("no such queue: %s", carrier->outgoing);
    default: die_closed(method, "step");
    }
}

/* False when nothing came within the time. */
static bool take_next(struct carrier *carrier, unsigned wait_ms) {
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(carrier->link, &frame, &wait);
    if (status == AMQP_STATUS_TIMEOUT) return false;
    check_status(status, "step");
    take_frame(carrier, &frame);
    amqp_maybe_release_buffers(carrier->link);
    return true;
}

static void acknowledge(struct carrier *carrier) {
    ledger_trim(&carrier->delivered);
    uint64_t done = carrier->delivered.first - 1;
    if (done == carrier->acknowledged) return;
    check_status(amqp_basic_ack(carrier->link, CONSUMING, done, 1), "acknowledge");
    carrier->acknowledged = done;
}

static void rabbitmq_step(struct carrier *carrier, unsigned wait_ms) {
    if (take_next(carrier, wait_ms))
        while (take_next(carrier, 0)) {
        }
    acknowledge(carrier);
}

/* The last answers' confirms are awaited and acknowledged: a letter left open would come again to who takes this queue
 * next. The orderly close makes the server read it all before it lets go. */
static void rabbitmq_close(struct carrier *carrier) {
    while (carrier->published.n > 0) rabbitmq_step(carrier, 100);
    acknowledge(carrier);
    check_reply(amqp_connection_close(carrier->link, AMQP_REPLY_SUCCESS), "close");
    amqp_destroy_connection(carrier->link);
    free(carrier->published.rows);
    free(carrier->delivered.rows);
    buf_free(&carrier->flat);
    free(carrier);
}

const struct carrier_row carrier_rabbitmq = {
    .name = "rabbitmq",
    .open = rabbitmq_open,
    .send = rabbitmq_send,
    .answer = rabbitmq_answer,
    .step = rabbitmq_step,
    .close = rabbitmq_close,
};
