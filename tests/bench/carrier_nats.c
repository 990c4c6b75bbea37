/* carrier_nats.c - a letter as a message of a JetStream stream with file storage, over TLS.
 *
 * Two streams a pair, letters-PAIR and receipts-PAIR, each with one subject, one durable consumer and explicit
 * acknowledgements. A stream of its own for each direction, because a consumer that filters a common one must skip
 * everybody else's messages. A payload is the letter's number (eight bytes, big-endian) and the letter or receipt.
 *
 *     kept         the stream's acknowledgement of the publication: in its file, not synced (servers/nats.py)
 *     recipient    acknowledges a letter once its receipt is kept, so that whoever dies, nothing is lost
 *     sender       acknowledges a receipt once it has been checked
 *
 * For speed:
 * - what is acknowledged stays in the stream, which is the server's default (limits). A work queue, which removes it,
 *   cost the server about a quarter more CPU a letter with 32 pairs. Acknowledging many deliveries at once (AckAll)
 *   saved nothing that could be told from noise.
 * - publications are asynchronous with as many pending as the window. The library's own js_PublishAsync of this
 *   version tells of failures only, not of what is kept; so this does by hand what it does: publish with a reply
 *   subject, count what comes back. Acknowledgements of one stream come in the order of publication, and their
 *   sequence numbers are checked for it.
 * - the consumer pushes: no requests for more; what it may have unacknowledged is twice the window, at least 256.
 * - the library works within our own poll (its event loop interface): no threads that hand over every message, and
 *   what a step sends goes out in one write. With its own threads, either each message is a write or a timer of 1 ms
 *   gathers them.
 * - one inbox for what is kept and for what is delivered: one queue to wait for. A delivery has a reply subject, what
 *   is kept has none. The inbox has no wildcard, because a push consumer sees only subscribers that name its subject
 *   word by word. */
#include <errno.h>
#include <inttypes.h>
#include <nats/nats.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "carrier.h"

#define NUMBER_SIZE 8
#define GATHERED (128 * 1024) /* bytes after which a write does not wait for the end of the step */
#define ACK_WAIT_S 600        /* a busy machine is no reason to deliver twice */
#define FAREWELL "farewell"

#define die(...) letter_die("nats: " __VA_ARGS__)

/* A publication that is not kept yet; `delivery` is what to acknowledge then (the recipient's). */
struct pending {
    uint64_t number;
    char *delivery;
};

/* A row of pending, first in, first out: `from` moves on and the array is moved back when it is full. */
struct row {
    struct pending *at;
    size_t from, n, cap;
};

struct carrier {
    struct carrier_options options;
    natsConnection *link;
    natsSubscription *inbox;
    char outgoing[128], incoming[128], mine[128]; /* subjects; the first two are streams as well */
    struct row published;
    struct row open;   /* the recipient's letters without an answer */
    uint64_t sequence; /* of the last publication that is kept; 0 before the first */
    struct buf payload;
    int socket;
    bool wants_write, gone;
};

static void check(natsStatus status, const char *what) {
    if (status != NATS_OK) die("%s: %s", what, natsStatus_GetText(status));
}

/* ---- rows ---- */

static void row_add(struct row *row, struct pending pending) {
    if (row->from + row->n == row->cap) {
        if (row->from > row->cap / 2) {
            memmove(row->at, row->at + row->from, row->n * sizeof *row->at);
            row->from = 0;
        } else {
            row->cap = row->cap ? 2 * row->cap : 64;
            row->at = realloc(row->at, row->cap * sizeof *row->at);
            if (!row->at) die("no memory");
        }
    }
    row->at[row->from + row->n++] = pending;
}

static struct pending row_shift(struct row *row) {
    if (row->n == 0) die("an acknowledgement of nothing");
    row->n--;
    return row->at[row->from++];
}

/* Takes out the row of this number, which is the first unless answers come out of order. */
static struct pending row_take(struct row *row, uint64_t number) {
    for (size_t i = 0; i < row->n; i++) {
        struct pending *found = &row->at[row->from + i];
        if (found->number != number) continue;
        struct pending taken = *found;
        memmove(row->at + row->from + 1, row->at + row->from, i * sizeof *row->at);
        row->from++;
        row->n--;
        return taken;
    }
    die("letter %" PRIu64 " is answered but did not come", number);
}

/* ---- the library's event loop interface ---- */

static natsStatus attach(void **user, void *loop, natsConnection *link, natsSock socket) {
    (void)link;
    struct carrier *carrier = loop;
    carrier->socket = socket;
    *user = carrier;
    return NATS_OK;
}

static natsStatus want_read(void *user, bool wanted) {
    (void)user, (void)wanted; /* always wanted */
    return NATS_OK;
}

static natsStatus want_write(void *user, bool wanted) {
    struct carrier *carrier = user;
    carrier->wants_write = wanted;
    return NATS_OK;
}

static natsStatus detach(void *user) {
    struct carrier *carrier = user;
    carrier->gone = true;
    return NATS_OK;
}

static void write_out(struct carrier *carrier) {
    if (carrier->wants_write) natsConnection_ProcessWriteEvent(carrier->link);
    if (carrier->gone) die("the connection ended: %s", nats_GetLastError(NULL));
}

/* TLS must be offered again what it could not write, at the same place: nothing is added until that has gone out. */
static void write_all(struct carrier *carrier) {
    write_out(carrier);
    while (carrier->wants_write) {
        struct pollfd link = {.fd = carrier->socket, .events = POLLOUT};
        if (poll(&link, 1, 1000) < 0 && errno != EINTR) die("poll: %s", strerror(errno));
        write_out(carrier);
    }
}

static void send_gathered(struct carrier *carrier) {
    if (natsConnection_Buffered(carrier->link) >= GATHERED) write_all(carrier);
}

/* ---- publishing ---- */

static void start_payload(struct carrier *carrier, uint64_t number) {
    uint8_t octets[NUMBER_SIZE];
    for (size_t i = 0; i < NUMBER_SIZE; i++) octets[i] = (uint8_t)(number >> (8 * (NUMBER_SIZE - 1 - i)));
    buf_clear(&carrier->payload);
    buf_add(&carrier->payload, octets, sizeof octets);
}

static void publish(struct carrier *carrier, struct pending pending) {
    if (buf_error(&carrier->payload) != E_OK) die("no memory");
    row_add(&carrier->published, pending);
    check(natsConnection_PublishRequest(carrier->link, carrier->outgoing, carrier->mine, carrier->payload.p,
                                        (int)carrier->payload.n),
          "publish");
    send_gathered(carrier);
}

static void nats_send(struct carrier *carrier, uint64_t number, const struct letter *letter) {
    start_payload(carrier, number);
    letter_flatten(letter, &carrier->payload);
    publish(carrier, (struct pending){.number = number});
}

static void nats_answer(struct carrier *carrier, uint64_t number, struct bytes receipt) {
    start_payload(carrier, number);
    buf_add_bytes(&carrier->payload, receipt);
    publish(carrier, row_take(&carrier->open, number));
}

static void acknowledge(struct carrier *carrier, const char *delivery) {
    check(natsConnection_PublishString(carrier->link, delivery, "+ACK"), "acknowledge");
}

/* ---- what comes ---- */

/* {"stream":"letters-1", "seq":17}, or with "error" */
static uint64_t sequence_of(struct bytes body) {
    static const char key[] = "\"seq\":";
    const uint8_t *found = body.n ? memmem(body.p, body.n, key, sizeof key - 1) : NULL;
    if (!found || memmem(body.p, body.n, "\"error\"", 7)) die("not kept: %.*s", (int)body.n, (const char *)body.p);
    uint64_t sequence = 0;
    for (const uint8_t *p = found + sizeof key - 1; p < body.p + body.n && *p >= '0' && *p <= '9'; p++)
        sequence = 10 * sequence + (uint64_t)(*p - '0');
    return sequence;
}

static void take_kept(struct carrier *carrier, struct bytes body) {
    uint64_t sequence = sequence_of(body);
    if (carrier->sequence != 0 && sequence != carrier->sequence + 1)
        die("kept %" PRIu64 " after %" PRIu64, sequence, carrier->sequence);
    carrier->sequence = sequence;
    struct pending pending = row_shift(&carrier->published);
    if (carrier->options.sender) {
        carrier->options.ears->on_kept(carrier->options.context, pending.number);
        return;
    }
    acknowledge(carrier, pending.delivery);
    free(pending.delivery);
}

static void take_letter(struct carrier *carrier, uint64_t number, struct bytes body, const char *delivery) {
    struct pending pending = {.number = number, .delivery = strdup(delivery)};
    if (!pending.delivery) die("no memory");
    row_add(&carrier->open, pending);
    struct letter letter;
    if (letter_parse(body, &letter) != E_OK) die("letter %" PRIu64 " cannot be taken apart", number);
    carrier->options.ears->on_letter(carrier->options.context, number, &letter);
}

static void take_delivery(struct carrier *carrier, struct bytes payload, const char *delivery) {
    if (payload.n < NUMBER_SIZE) die("a message without a number");
    uint64_t number = 0;
    for (size_t i = 0; i < NUMBER_SIZE; i++) number = number << 8 | payload.p[i];
    struct bytes body = bytes_of(payload.p + NUMBER_SIZE, payload.n - NUMBER_SIZE);
    if (!carrier->options.sender) {
        take_letter(carrier, number, body, delivery);
        return;
    }
    carrier->options.ears->on_receipt(carrier->options.context, number, body);
    acknowledge(carrier, delivery);
}

/* Hands out all that the library has taken in. Returns whether our own farewell was among it. */
static bool take_all(struct carrier *carrier) {
    bool farewell = false;
    for (;;) {
        natsMsg *message = NULL;
        natsStatus status = natsSubscription_NextMsg(&message, carrier->inbox, 0);
        if (status == NATS_TIMEOUT) return farewell;
        check(status, "receive");
        struct bytes body = bytes_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
        const char *delivery = natsMsg_GetReply(message);
        if (delivery)
            take_delivery(carrier, body, delivery);
        else if (bytes_are(body, FAREWELL))
            farewell = true;
        else
            take_kept(carrier, body);
        natsMsg_Destroy(message);
    }
}

static bool turn(struct carrier *carrier, unsigned wait_ms) {
    write_all(carrier);
    struct pollfd link = {.fd = carrier->socket, .events = POLLIN};
    int ready = poll(&link, 1, (int)wait_ms);
    if (ready < 0 && errno != EINTR) die("poll: %s", strerror(errno));
    if (ready <= 0) return false;
    natsConnection_ProcessReadEvent(carrier->link);
    bool farewell = take_all(carrier);
    write_all(carrier);
    return farewell;
}

static void nats_step(struct carrier *carrier, unsigned wait_ms) { turn(carrier, wait_ms); }

/* ---- set-up ---- */

static natsOptions *options_make(const struct carrier *carrier) {
    char path[4096], host[256], url[300];
    int port = 0;
    snprintf(path, sizeof path, "%s/address", carrier->options.folder);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%255s %d", host, &port) != 2) die("%s: no address", path);
    fclose(file);
    snprintf(path, sizeof path, "%s/ca.pem", carrier->options.folder);
    snprintf(url, sizeof url, "tls://%s:%d", host, port);
    natsOptions *options = NULL;
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, url), url);
    check(natsOptions_SetSecure(options, true), "TLS");
    check(natsOptions_LoadCATrustedCertificates(options, path), path);
    check(natsOptions_SetExpectedHostname(options, "localhost"), "host name");
    check(natsOptions_SetAllowReconnect(options, false), "options");
    check(natsOptions_SetPingInterval(options, INT64_C(600) * 1000),
          "options"); /* its timer runs in a thread of its own */
    return options;
}

static void stream_make(jsCtx *stream, const char *name) {
    jsStreamConfig config;
    check(jsStreamConfig_Init(&config), "stream");
    config.Name = name;
    config.Subjects = &name;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Retention = js_LimitsPolicy;
    jsErrCode code = 0;
    natsStatus status = js_AddStream(NULL, stream, &config, NULL, &code);
    if (status != NATS_OK) die("stream %s: %s (%d)", name, natsStatus_GetText(status), (int)code);
}

static void consumer_make(jsCtx *stream, const struct carrier *carrier) {
    jsConsumerConfig config;
    check(jsConsumerConfig_Init(&config), "consumer");
    config.Durable = "end";
    config.AckPolicy = js_AckExplicit;
    config.AckWait = ACK_WAIT_S * INT64_C(1000000000);
    config.MaxAckPending = carrier->options.window > 128 ? 2 * (int64_t)carrier->options.window : 256;
    config.DeliverSubject = carrier->mine;
    jsErrCode code = 0;
    natsStatus status = js_AddConsumer(NULL, stream, carrier->incoming, &config, NULL, &code);
    if (status != NATS_OK) die("consumer of %s: %s (%d)", carrier->incoming, natsStatus_GetText(status), (int)code);
}

/* Streams and consumer are made over a connection with the library's own threads: such requests wait. */
static void prepare(const struct carrier *carrier) {
    natsOptions *options = options_make(carrier);
    natsConnection *link = NULL;
    jsCtx *stream = NULL;
    check(natsConnection_Connect(&link, options), "connect");
    check(natsConnection_JetStream(&stream, link, NULL), "JetStream");
    stream_make(stream, carrier->outgoing);
    stream_make(stream, carrier->incoming);
    consumer_make(stream, carrier);
    jsCtx_Destroy(stream);
    natsConnection_Destroy(link);
    natsOptions_Destroy(options);
}

static struct carrier *nats_open(const struct carrier_options *given) {
    struct carrier *carrier = calloc(1, sizeof *carrier);
    if (!carrier) die("no memory");
    carrier->options = *given;
    snprintf(carrier->outgoing, sizeof carrier->outgoing, "%s-%s", given->sender ? "letters" : "receipts", given->pair);
    snprintf(carrier->incoming, sizeof carrier->incoming, "%s-%s", given->sender ? "receipts" : "letters", given->pair);
    snprintf(carrier->mine, sizeof carrier->mine, "%s-of-%s", given->sender ? "sender" : "recipient", given->pair);
    prepare(carrier);
    natsOptions *options = options_make(carrier);
    check(natsOptions_SetSendAsap(options, true), "options"); /* asks for the write in this thread, not in a timer's */
    check(natsOptions_SetEventLoop(options, carrier, attach, want_read, want_write, detach), "event loop");
    check(natsConnection_Connect(&carrier->link, options), "connect");
    natsOptions_Destroy(options);
    check(natsConnection_SubscribeSync(&carrier->inbox, carrier->link, carrier->mine), "subscribe");
    check(natsSubscription_SetPendingLimits(carrier->inbox, -1, -1), "subscribe"); /* MaxAckPending is the limit */
    write_all(carrier);
    return carrier;
}

/* Everything published is kept before the end; when our own farewell is back, the server has read all that we sent. */
static void nats_end(struct carrier *carrier) {
    while (carrier->published.n > 0) turn(carrier, 100);
    check(natsConnection_PublishString(carrier->link, carrier->mine, FAREWELL), "farewell");
    while (!turn(carrier, 100)) {
    }
    natsSubscription_Destroy(carrier->inbox);
    natsConnection_Destroy(carrier->link);
    for (size_t i = 0; i < carrier->open.n; i++) free(carrier->open.at[carrier->open.from + i].delivery);
    free(carrier->open.at);
    free(carrier->published.at);
    buf_free(&carrier->payload);
    free(carrier);
}

const struct carrier_row carrier_nats = {
    .name = "nats",
    .open = nats_open,
    .send = nats_send,
    .answer = nats_answer,
    .step = nats_step,
    .close = nats_end,
};
