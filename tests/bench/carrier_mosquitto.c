/* carrier_mosquitto.c - a letter as a QoS 1 publication to a persistent session, over MQTT 5 and TLS.
 *
 * Two topics a pair, letters/PAIR and receipts/PAIR; each end is one client with one persistent session that
 * subscribes to the other's topic. A payload is the letter's number (eight bytes, big-endian) and the letter or
 * receipt.
 *
 *     kept         PUBACK with reason 0: in the broker's memory for the recipient's session (servers/mosquitto.py)
 *     recipient    the library sends PUBACK by itself before it hands a message over; there is no later acknowledgement
 *
 * MQTT 5 and not 3.1.1 because only its PUBACK tells "no subscriber": the older one acknowledges what it then throws
 * away.
 *
 * For speed: no limit on what is in flight, as at the broker (the window is the limit), TCP_NODELAY, and an own poll
 * around the library's read and write. mosquitto_loop() would do, but wakes itself once for each publication. */
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "carrier.h"

#define QOS 1
#define NUMBER_SIZE 8
#define IDS 65536 /* of packets */

struct carrier {
    struct carrier_options options;
    struct mosquitto *client;
    char outgoing[128], incoming[128]; /* topics */
    uint64_t number_of[IDS];           /* which letter a packet carries */
    size_t unacknowledged;             /* publications without PUBACK */
    struct buf payload;
    int probe; /* the packet that asks whether the recipient's session is there, 0 when none is under way */
    bool connected, subscribed, heard, closing;
};

#define die(...) letter_die("mosquitto: " __VA_ARGS__)

static void check(int status, const char *what) {
    if (status == MOSQ_ERR_ERRNO) die("%s: %s", what, strerror(errno));
    if (status != MOSQ_ERR_SUCCESS) die("%s: %s", what, mosquitto_strerror(status));
}

static void on_connect(struct mosquitto *client, void *context, int reason, int flags,
                       const mosquitto_property *properties) {
    (void)client, (void)flags, (void)properties;
    struct carrier *carrier = context;
    if (reason != 0) die("connect: %s", mosquitto_reason_string(reason));
    carrier->connected = true;
}

static void on_disconnect(struct mosquitto *client, void *context, int reason, const mosquitto_property *properties) {
    (void)client, (void)properties;
    struct carrier *carrier = context;
    if (!carrier->closing) die("the broker ended the connection: %s", mosquitto_strerror(reason));
    carrier->connected = false;
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted,
                         const mosquitto_property *properties) {
    (void)client, (void)id, (void)properties;
    struct carrier *carrier = context;
    if (count != 1 || granted[0] != QOS) die("the broker refused the subscription to %s", carrier->incoming);
    carrier->subscribed = true;
}

static void on_publish(struct mosquitto *client, void *context, int id, int reason,
                       const mosquitto_property *properties) {
    (void)client, (void)properties;
    struct carrier *carrier = context;
    if (id == carrier->probe) {
        carrier->probe = 0;
        carrier->heard = reason != MQTT_RC_NO_MATCHING_SUBSCRIBERS;
        return;
    }
    if (reason != 0)
        die("the broker refused a publication to %s: %s", carrier->outgoing, mosquitto_reason_string(reason));
    carrier->unacknowledged--;
    if (carrier->options.sender) carrier->options.ears->on_kept(carrier->options.context, carrier->number_of[id]);
}

static void take_letter(const struct carrier *carrier, uint64_t number, struct bytes body) {
    struct letter letter;
    if (letter_parse(body, &letter) != E_OK) die("a letter that cannot be taken apart");
    carrier->options.ears->on_letter(carrier->options.context, number, &letter);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message,
                       const mosquitto_property *properties) {
    (void)client, (void)properties;
    const struct carrier *carrier = context;
    if (message->payloadlen == 0) /* the sender's probe */
        return;
    if (message->payloadlen < NUMBER_SIZE) die("a message without a number");
    const uint8_t *payload = message->payload;
    uint64_t number = 0;
    for (size_t i = 0; i < NUMBER_SIZE; i++) number = number << 8 | payload[i];
    struct bytes body = bytes_of(payload + NUMBER_SIZE, (size_t)message->payloadlen - NUMBER_SIZE);
    if (carrier->options.sender)
        carrier->options.ears->on_receipt(carrier->options.context, number, body);
    else
        take_letter(carrier, number, body);
}

/* Waits until there is something to read or room to write for what waits, and does both. */
static void turn(struct carrier *carrier, unsigned wait_ms) {
    bool writes = mosquitto_want_write(carrier->client);
    struct pollfd link = {.fd = mosquitto_socket(carrier->client), .events = (short)(POLLIN | (writes ? POLLOUT : 0))};
    int ready = poll(&link, 1, (int)wait_ms);
    if (ready < 0 && errno != EINTR) die("poll: %s", strerror(errno));
    if (ready <= 0) return;
    if (link.revents & POLLOUT) check(mosquitto_loop_write(carrier->client, 1), "write");
    if (link.revents & ~POLLOUT) { /* also an error or a hang-up, which reading reports */
        int status = mosquitto_loop_read(carrier->client, 1);
        if (!carrier->closing) check(status, "read");
    }
    if (mosquitto_socket(carrier->client) >= 0 && mosquitto_want_write(carrier->client))
        check(mosquitto_loop_write(carrier->client, 1), "write"); /* what the ears sent, and the acknowledgements */
}

static void connect_tls(struct carrier *carrier) {
    char path[4096], host[256];
    int port = 0;
    snprintf(path, sizeof path, "%s/address", carrier->options.folder);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%255s %d", host, &port) != 2) die("%s: no address", path);
    fclose(file);
    snprintf(path, sizeof path, "%s/ca.pem", carrier->options.folder);
    check(mosquitto_tls_set(carrier->client, path, NULL, NULL, NULL, NULL), path);
    check(mosquitto_tls_opts_set(carrier->client, 1, "tlsv1.3", NULL), "TLS");
    check(mosquitto_int_option(carrier->client, MOSQ_OPT_TCP_NODELAY, 1), "no delay");
    check(mosquitto_int_option(carrier->client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5), "MQTT 5");
    check(mosquitto_int_option(carrier->client, MOSQ_OPT_SEND_MAXIMUM, 65535), "messages in flight");
    check(mosquitto_int_option(carrier->client, MOSQ_OPT_RECEIVE_MAXIMUM, 65535), "messages in flight");
    mosquitto_property *session = NULL;
    check(mosquitto_property_add_int32(&session, MQTT_PROP_SESSION_EXPIRY_INTERVAL, UINT32_MAX), "session");
    check(mosquitto_connect_bind_v5(carrier->client, host, port, 0, NULL, session), "connect");
    mosquitto_property_free_all(&session);
    while (!carrier->connected) turn(carrier, 100);
}

/* A topic that nobody subscribes to swallows what is published. The recipient's session must be there first, though it
 * may be offline. */
static void await_recipient(struct carrier *carrier) {
    for (;;) {
        check(mosquitto_publish(carrier->client, &carrier->probe, carrier->outgoing, 0, NULL, QOS, false), "probe");
        while (carrier->probe) turn(carrier, 100);
        if (carrier->heard) return;
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
}

static struct carrier *mosquitto_open(const struct carrier_options *options) {
    struct carrier *carrier = calloc(1, sizeof *carrier);
    if (!carrier || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) die("no memory");
    carrier->options = *options;
    snprintf(carrier->outgoing, sizeof carrier->outgoing, "%s/%s", options->sender ? "letters" : "receipts",
             options->pair);
    snprintf(carrier->incoming, sizeof carrier->incoming, "%s/%s", options->sender ? "receipts" : "letters",
             options->pair);
    carrier->client = mosquitto_new(carrier->incoming, false, carrier); /* the session's name, too */
    if (!carrier->client) die("no memory");
    mosquitto_connect_v5_callback_set(carrier->client, on_connect);
    mosquitto_disconnect_v5_callback_set(carrier->client, on_disconnect);
    mosquitto_subscribe_v5_callback_set(carrier->client, on_subscribe);
    mosquitto_publish_v5_callback_set(carrier->client, on_publish);
    mosquitto_message_v5_callback_set(carrier->client, on_message);
    connect_tls(carrier);
    check(mosquitto_subscribe(carrier->client, NULL, carrier->incoming, QOS), "subscribe");
    while (!carrier->subscribed) turn(carrier, 100);
    if (options->sender) await_recipient(carrier);
    return carrier;
}

static void start_payload(struct carrier *carrier, uint64_t number) {
    uint8_t octets[NUMBER_SIZE];
    for (size_t i = 0; i < NUMBER_SIZE; i++) octets[i] = (uint8_t)(number >> (8 * (NUMBER_SIZE - 1 - i)));
    buf_clear(&carrier->payload);
    buf_add(&carrier->payload, octets, sizeof octets);
}

static void publish(struct carrier *carrier, uint64_t number) {
    if (buf_error(&carrier->payload) != E_OK) die("no memory");
    int id = 0;
    check(mosquitto_publish(carrier->client, &id, carrier->outgoing, (int)carrier->payload.n, carrier->payload.p, QOS,
                            false),
          "publish");
    carrier->number_of[id] = number;
    carrier->unacknowledged++;
}

static void mosquitto_send(struct carrier *carrier, uint64_t number, const struct letter *letter) {
    start_payload(carrier, number);
    letter_flatten(letter, &carrier->payload);
    publish(carrier, number);
}

static void mosquitto_answer(struct carrier *carrier, uint64_t number, struct bytes receipt) {
    start_payload(carrier, number);
    buf_add_bytes(&carrier->payload, receipt);
    publish(carrier, number);
}

/* Everything published is acknowledged before the orderly end. */
static void mosquitto_end(struct carrier *carrier) {
    while (carrier->unacknowledged > 0) turn(carrier, 100);
    while (mosquitto_want_write(carrier->client)) turn(carrier, 100);
    carrier->closing = true;
    check(mosquitto_disconnect(carrier->client), "disconnect");
    while (carrier->connected && mosquitto_socket(carrier->client) >= 0) turn(carrier, 100);
    mosquitto_destroy(carrier->client);
    mosquitto_lib_cleanup();
    buf_free(&carrier->payload);
    free(carrier);
}

const struct carrier_row carrier_mosquitto = {
    .name = "mosquitto",
    .open = mosquitto_open,
    .send = mosquitto_send,
    .answer = mosquitto_answer,
    .step = turn,
    .close = mosquitto_end,
};
