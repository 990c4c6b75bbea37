/* control.c - one question to the running relay. */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum error wait_for(const struct link *link, int64_t deadline) {
    struct pollfd fd = {.fd = link->fd, .events = link_wants(link)};
    int64_t left = deadline - now_ms();
    int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
    if (n < 0 && errno != EINTR) return E_IO;
    return n == 0 ? E_TIMED_OUT : E_OK;
}

static enum error converse(struct link *link, const struct command *command, struct packet *ret) {
    int64_t deadline = now_ms() + CONTROL_WAIT_MS;
    enum error error;
    TRY(link_put(link, PACKET_COMMAND, &command_object, command));
    for (;;) {
        TRY(link_flush(link));
        if (link_next(link, ret, &error)) return ret->kind == PACKET_ANSWER ? E_OK : E_UNKNOWN_MESSAGE;
        TRY(error);
        TRY(wait_for(link, deadline));
        TRY(link_fill(link));
    }
}

enum error control_ask(const char *folder, const struct command *command, struct buf *ret_bytes,
                       struct answer *ret_answer) {
    struct link link;
    struct packet packet;
    int fd = link_connect(folder, "control.sock");
    if (fd < 0) return errno == ENOENT || errno == ECONNREFUSED ? E_RELAY_NOT_RUNNING : E_IO;
    link_open(&link, fd);
    enum error error = converse(&link, command, &packet);
    if (error == E_OK) {
        buf_add_bytes(ret_bytes, packet.body);
        error = buf_error(ret_bytes);
    }
    link_close(&link);
    return error == E_OK ? answer_decode(buf_bytes(ret_bytes), ret_answer) : error;
}
