/* enrol.c - makes the ends of the benchmark's pairs, and their posts at a relay.
 *
 *     bench_enrol keys FOLDER PAIRS     FOLDER/pN.ends for N < PAIRS: what carriers need that register nobody
 *     bench_enrol charters FOLDER       FOLDER/aa.charter, bb.charter for `pouchctl admit`, and the authorities' keys
 *     bench_enrol join FOLDER PAIRS     the posts aa/pN and bb/pN at the relay of FOLDER/relay, each with one device; FOLDER/pN.ends */
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <zmq.h>

#include "card.h"
#include "letter.h"
#include "message.h"
#include "sign.h"
#include "wrapping.h"

enum { CARD_MAX = 64 * 1024, PATH = 512, WAIT_MS = 20000 };

struct party {
    char name[4];
    uint8_t authority[KEY_SIZE], secret[SIGN_SECRET_SIZE];
};

static void must(enum error error, const char *what) {
    if (error != E_OK) letter_die("%s: %s", what, error_text(error));
}

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void write_file(const char *folder, const char *name, const char *tail, struct bytes bytes) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, tail);
    FILE *file = fopen(path, "we");
    bool good = file && fwrite(bytes.p, 1, bytes.n, file) == bytes.n;
    if (!file || fclose(file) != 0 || !good) letter_die("%s cannot be written", path);
}

static void read_file(const char *folder, const char *name, const char *tail, void *out, size_t size, size_t *ret_n) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, tail);
    FILE *file = fopen(path, "re");
    if (!file) letter_die("%s cannot be read", path);
    *ret_n = fread(out, 1, size, file);
    fclose(file);
}

/* ---- parties ---- */

static void put_statement(enum leaf_kind kind, enum label label, const uint8_t secret[static SIGN_SECRET_SIZE],
                          const struct buf *payload, struct buf *out) {
    AUTO_BUF stamped = {0};
    must(stamp_sign_one(label, secret, buf_bytes(payload), &stamped), "a statement");
    dirstatement_encode(&(struct dirstatement){.kind = (uint64_t)kind, .statement = buf_bytes(&stamped)}, out);
}

static void make_party(const char *folder, const char *name) {
    AUTO_BUF payload = {0}, statements = {0}, file = {0};
    struct party party = {0};
    snprintf(party.name, sizeof party.name, "%s", name);
    crypto_sign_keypair(party.authority, party.secret);
    struct charter charter = {
        .party = bytes_text(name), .name = bytes_text("A party of the benchmark"), .created = {wall_ms()}};
    memcpy(charter.authority, party.authority, KEY_SIZE);
    randombytes_buf(charter.next, HASH_SIZE);
    charter_encode(&charter, &payload);
    put_statement(LEAF_CHARTER, LABEL_CHARTER, party.secret, &payload, &statements);
    dossier_encode(&(struct dossier){.post = bytes_text(name), .statements = list_of(&statements, 1)}, &file);
    must(buf_error(&file), "a charter");
    write_file(folder, name, ".charter", buf_bytes(&file));
    write_file(folder, name, ".authority", bytes_of((const void *)&party, sizeof party));
}

/* ---- posts ---- */

struct link {
    void *context, *socket;
    uint64_t number;
    zmq_msg_t answer;
};

static void open_link(const struct card *card, void *context, const struct letter_end *end, struct link *ret) {
    int linger = 0, wait_ms = WAIT_MS;
    *ret = (struct link){.context = context, .socket = zmq_socket(context, ZMQ_DEALER)};
    bool good = ret->socket && zmq_setsockopt(ret->socket, ZMQ_CURVE_SERVERKEY, card->curve, KEY_SIZE) == 0 &&
                zmq_setsockopt(ret->socket, ZMQ_CURVE_PUBLICKEY, end->transport, KEY_SIZE) == 0 &&
                zmq_setsockopt(ret->socket, ZMQ_CURVE_SECRETKEY, end->transport_secret, KEY_SIZE) == 0 &&
                zmq_setsockopt(ret->socket, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
                zmq_setsockopt(ret->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms) == 0 &&
                zmq_connect(ret->socket, card->addresses[0]) == 0;
    if (!good) letter_die("the relay's address: %s", zmq_strerror(zmq_errno()));
    zmq_msg_init(&ret->answer);
}

static void close_link(struct link *link) {
    zmq_msg_close(&link->answer);
    zmq_close(link->socket);
}

static struct bytes call(struct link *link, enum message type, const void *value) {
    AUTO_BUF bytes = {0};
    struct frame frame;
    const struct message_row *row;
    struct failed failed;
    message_encode(type, ++link->number, value, &bytes);
    if (zmq_send(link->socket, bytes.p, bytes.n, 0) < 0) letter_die("send: %s", zmq_strerror(zmq_errno()));
    do {
        if (zmq_msg_recv(&link->answer, link->socket, 0) < 0) letter_die("no answer: %s", zmq_strerror(zmq_errno()));
        must(message_decode(bytes_of(zmq_msg_data(&link->answer), zmq_msg_size(&link->answer)), &frame, &row),
             "a frame");
    } while (frame.number != link->number);
    if (row->type != MESSAGE_FAILURE) return frame.body;
    must(failed_decode(frame.body, &failed), "FAILURE");
    letter_die("%s: %s (%.*s)", message_row(type)->name, error_text((enum error)failed.error), (int)failed.detail.n,
               (const char *)failed.detail.p);
}

/* Post, device and the authority's countersignature. */
static void state_post(const struct party *party, const struct letter_end *end, struct buf *out) {
    AUTO_BUF post_payload = {0}, device_payload = {0}, counter_payload = {0};
    uint8_t key[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    crypto_sign_keypair(key, secret);
    struct post post = {.post = bytes_text(end->post), .functions = FUNCTION_TECHNICAL, .created = {wall_ms()}};
    memcpy(post.key, key, KEY_SIZE);
    memcpy(post.authority, party->authority, KEY_SIZE);
    post_encode(&post, &post_payload);
    put_statement(LEAF_POST, LABEL_POST, party->secret, &post_payload, out);
    struct device device = {.post = bytes_text(end->post),
                            .role = ROLE_DECIDER,
                            .not_before = {wall_ms() - 3600000},
                            .not_after = {wall_ms() + 30 * DAY_MS}};
    memcpy(device.device, end->device, KEY_SIZE);
    memcpy(device.transport, end->transport, KEY_SIZE);
    memcpy(device.issuer, key, KEY_SIZE);
    device_encode(&device, &device_payload);
    put_statement(LEAF_DEVICE, LABEL_DEVICE, secret, &device_payload, out);
    struct countersign countersign = {.created = {wall_ms()}};
    stamp_hash(buf_bytes(&device_payload), countersign.certificate);
    memcpy(countersign.signer, party->authority, KEY_SIZE);
    countersign_encode(&countersign, &counter_payload);
    put_statement(LEAF_COUNTERSIGN, LABEL_COUNTERSIGN, party->secret, &counter_payload, out);
}

static void enrol(const struct card *card, void *context, const struct party *party, struct letter_end *end) {
    AUTO_BUF statements = {0}, stamped = {0}, prekeys = {0};
    struct link link;
    must(prekey_make(end->device_secret, (uint32_t)(wall_ms() / DAY_MS), 1, 0, &stamped, end->prekey_secret,
                     end->prekey_id),
         "a prekey");
    crypto_scalarmult_base(end->prekey, end->prekey_secret);
    cbor_put_bytes(&prekeys, buf_bytes(&stamped));
    state_post(party, end, &statements);
    open_link(card, context, end, &link);
    call(&link, MESSAGE_ENROL, &(struct enrol){.statements = list_of(&statements, 3), .prekeys = list_of(&prekeys, 1)});
    close_link(&link);
}

static void read_card(const char *folder, struct card *ret) {
    static char text[CARD_MAX];
    size_t n;
    read_file(folder, "relay/relay", ".card", text, sizeof text, &n);
    must(card_parse(bytes_of(text, n), ret, NULL), "relay.card");
}

static void join(const char *folder, unsigned pairs) {
    struct card card;
    struct party parties[2];
    struct letter_ends *all = calloc(pairs, sizeof *all);
    size_t n;
    if (!all) letter_die("memory ran out");
    read_card(folder, &card);
    read_file(folder, "aa", ".authority", &parties[0], sizeof parties[0], &n);
    read_file(folder, "bb", ".authority", &parties[1], sizeof parties[1], &n);
    void *context = zmq_ctx_new();
    for (unsigned i = 0; i < pairs; i++) {
        char pair[16];
        snprintf(pair, sizeof pair, "p%u", i);
        letter_ends_make(pair, &all[i]);
        enrol(&card, context, &parties[0], &all[i].sender);
        enrol(&card, context, &parties[1], &all[i].recipient);
    }
    /* The directory as it is now, which all wrap sets name. */
    struct link link;
    struct welcome welcome;
    open_link(&card, context, &all[0].sender, &link);
    must(welcome_decode(call(&link, MESSAGE_HELLO, &(struct hello){0}), &welcome), "WELCOME");
    for (unsigned i = 0; i < pairs; i++) {
        char pair[16];
        snprintf(pair, sizeof pair, "p%u", i);
        all[i].size = welcome.size;
        memcpy(all[i].root, welcome.root, HASH_SIZE);
        letter_ends_write(folder, pair, &all[i]);
    }
    close_link(&link);
    zmq_ctx_term(context);
    free(all);
}

static void keys(const char *folder, unsigned pairs) {
    for (unsigned i = 0; i < pairs; i++) {
        struct letter_ends ends;
        char pair[16];
        snprintf(pair, sizeof pair, "p%u", i);
        letter_ends_make(pair, &ends);
        letter_ends_write(folder, pair, &ends);
    }
}

int main(int argc, char **argv) {
    if (sodium_init() < 0 || sign_self_test() != E_OK) letter_die("libsodium does not work");
    umask(077);
    unsigned pairs = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (argc > 3 && strcmp(argv[1], "keys") == 0) {
        keys(argv[2], pairs);
    } else if (argc > 3 && strcmp(argv[1], "join") == 0) {
        join(argv[2], pairs);
    } else if (argc > 2 && strcmp(argv[1], "charters") == 0) {
        make_party(argv[2], "aa");
        make_party(argv[2], "bb");
    } else {
        letter_die("keys FOLDER PAIRS | charters FOLDER | join FOLDER PAIRS");
    }
    return 0;
}
