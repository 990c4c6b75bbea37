/* fuzz_link.c - what comes over the relay's inner sockets, in pieces. */
#include "link.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "made.h"

static bool decodes(const struct packet *packet) {
    union {
        struct job job;
        struct reply reply;
        struct grown grown;
        struct command command;
    } value;
    switch (packet->kind) {
    case PACKET_JOB: return job_decode(packet->body, &value.job) == E_OK;
    case PACKET_REPLY: return reply_decode(packet->body, &value.reply) == E_OK;
    case PACKET_GROWN: return grown_decode(packet->body, &value.grown) == E_OK;
    case PACKET_COMMAND: return command_decode(packet->body, &value.command) == E_OK;
    default: return false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int ends[2];
    struct link link;
    struct packet packet;
    enum error error = E_OK;
    fuzz_accepted = false;
    if (size > 64 * 1024) return 0;
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    link_open(&link, ends[0]);
    for (size_t done = 0; done < size && error == E_OK;) {
        size_t n = size - done < 700 ? size - done : 700;
        HOLDS(send(ends[1], data + done, n, MSG_NOSIGNAL) == (ssize_t)n);
        HOLDS(link_fill(&link) == E_OK);
        done += n;
        while (link_next(&link, &packet, &error)) fuzz_accepted = decodes(&packet) || fuzz_accepted;
    }
    HOLDS(link.in_done <= link.in.n);
    link_close(&link);
    close(ends[1]);
    return 0;
}

static void give_packet(void (*give)(struct bytes sample), enum packet_kind kind, const struct object *object,
                        const void *value) {
    struct link link;
    int ends[2];
    uint8_t bytes[8192];
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    link_open(&link, ends[0]);
    assert_ok(link_put(&link, kind, object, value));
    assert_ok(link_put(&link, kind, object, value)); /* two packets, one after the other */
    assert_ok(link_flush(&link));
    ssize_t n = recv(ends[1], bytes, sizeof bytes, 0);
    HOLDS(n > 0);
    give(bytes_of(bytes, (size_t)n));
    link_close(&link);
    close(ends[1]);
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    const struct made *good = made();
    AUTO_BUF leaves = {0}, statements = {0};
    struct job job = {.session = 5, .has_device = true, .frame = buf_bytes(&good->receipt)};
    give_packet(give, PACKET_JOB, &job_object, &job);
    give_packet(give, PACKET_REPLY, &reply_object, &(struct reply){.session = 5, .frame = buf_bytes(&good->receipt)});
    for (size_t i = 0; i < 3; i++) cbor_put_bytes(&leaves, buf_bytes(&good->world.leaves[i]));
    give_packet(give, PACKET_GROWN, &grown_object, &(struct grown){.leaves = list_of(&leaves, 3), .size = 3});
    dirstatement_encode(&(struct dirstatement){.kind = 1, .statement = bytes_text("x")}, &statements);
    give_packet(give, PACKET_COMMAND, &command_object,
                &(struct command){.verb = 2, .statements = list_of(&statements, 1)});
}
