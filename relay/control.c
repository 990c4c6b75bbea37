/* control.c - one question to the running relay. */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

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

static bool nobody_listens(void) { return errno == ENOENT || errno == ECONNREFUSED; }

/* A relay that was killed a moment ago still takes a connection, and then breaks it off: soon its socket says so. */
static bool is_gone(const char *folder) {
    enum { TRIES = 10, PAUSE_MS = 20 };
    for (int i = 0; i < TRIES; i++) {
        int fd = link_connect(folder, "control.sock");
        if (fd < 0) return nobody_listens();
        close(fd);
        (void)poll(NULL, 0, PAUSE_MS);
    }
    return false;
}

enum error control_ask(const char *folder, const struct command *command, struct buf *ret_bytes,
                       struct answer *ret_answer) {
    struct link link;
    struct packet packet;
    int fd = link_connect(folder, "control.sock");
    if (fd < 0) return nobody_listens() ? E_RELAY_NOT_RUNNING : E_IO;
    link_open(&link, fd);
    enum error error = converse(&link, command, &packet);
    if (error == E_OK) {
        buf_add_bytes(ret_bytes, packet.body);
        error = buf_error(ret_bytes);
    }
    link_close(&link);
    if (error == E_UNREACHABLE && is_gone(folder)) return E_RELAY_NOT_RUNNING;
    return error == E_OK ? answer_decode(buf_bytes(ret_bytes), ret_answer) : error;
}
