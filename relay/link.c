/* link.c - framed packets over Unix sockets. */
#include "link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "codec_table.h"
#include "link.def"
#include "codec_undef.h"

enum { LENGTH_SIZE = 4, READ_SIZE = 256 * 1024 };

void link_open(struct link *link, int fd) {
    *link = (struct link){.fd = fd};
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void link_close(struct link *link) {
    if (link->fd >= 0) close(link->fd);
    buf_free(&link->in);
    buf_free(&link->out);
    *link = (struct link){.fd = -1};
}

enum error link_put(struct link *link, enum packet_kind kind, const struct object *object, const void *value) {
    if (link->fd < 0) return E_UNREACHABLE;
    AUTO_BUF body = {0};
    AUTO_BUF packet = {0};
    codec_encode(object, value, &body);
    packet_encode(&(struct packet){.kind = kind, .body = buf_bytes(&body)}, &packet);
    if (body.failed || packet.failed) return E_NO_MEMORY;
    if (link->out.n - link->out_done + packet.n > LINK_BACKLOG_MAX) return E_BUSY;
    uint8_t length[LENGTH_SIZE] = {(uint8_t)(packet.n >> 24), (uint8_t)(packet.n >> 16), (uint8_t)(packet.n >> 8),
                                   (uint8_t)packet.n};
    size_t before = link->out.n;
    buf_add(&link->out, length, sizeof length);
    buf_add_bytes(&link->out, buf_bytes(&packet));
    if (!link->out.failed) return E_OK;
    link->out.n = before; /* all of a packet or nothing */
    link->out.failed = false;
    return E_NO_MEMORY;
}

/* A peer that always leaves something unsent must not make the buffer grow for ever; and moving bytes only when most have
 * gone costs each of them less than one move. */
static void drop_sent(struct buf *out, size_t *done) {
    if (*done == 0 || *done < out->n - *done) return;
    memmove(out->p, out->p + *done, out->n - *done);
    out->n -= *done;
    *done = 0;
}

enum error link_flush(struct link *link) {
    while (link->fd >= 0 && link->out_done < link->out.n) {
        ssize_t n = send(link->fd, link->out.p + link->out_done, link->out.n - link->out_done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) return E_UNREACHABLE;
        link->out_done += (size_t)n;
    }
    drop_sent(&link->out, &link->out_done);
    return link->fd < 0 ? E_UNREACHABLE : E_OK;
}

static void compact(struct link *link) {
    if (link->in_done == 0) return;
    memmove(link->in.p, link->in.p + link->in_done, link->in.n - link->in_done);
    link->in.n -= link->in_done;
    link->in_done = 0;
}

enum error link_fill(struct link *link) {
    compact(link);
    uint8_t *at = buf_extend(&link->in, READ_SIZE);
    if (!at) return E_NO_MEMORY;
    link->in.n -= READ_SIZE;
    ssize_t n;
    do n = recv(link->fd, at, READ_SIZE, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return E_OK;
    if (n <= 0) return E_UNREACHABLE;
    link->in.n += (size_t)n;
    return E_OK;
}

bool link_next(struct link *link, struct packet *ret, enum error *ret_error) {
    *ret_error = E_OK;
    size_t left = link->in.n - link->in_done;
    if (left < LENGTH_SIZE) return false;
    const uint8_t *at = link->in.p + link->in_done;
    size_t n = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    if (n > LINK_PACKET_MAX + 64) {
        *ret_error = E_OUT_OF_RANGE;
        return false;
    }
    if (left - LENGTH_SIZE < n) return false;
    *ret_error = packet_decode(bytes_of(at + LENGTH_SIZE, n), ret);
    link->in_done += LENGTH_SIZE + n;
    return *ret_error == E_OK;
}

short link_wants(const struct link *link) { return (short)(POLLIN | (link->out_done < link->out.n ? POLLOUT : 0)); }

static bool address_of(const char *name, struct sockaddr_un *ret) {
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(name) >= sizeof ret->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(ret->sun_path, name, strlen(name) + 1);
    return true;
}

int link_listen(const char *name) {
    struct sockaddr_un address;
    if (!address_of(name, &address)) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    unlink(name);
    mode_t old = umask(0177);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(old);
    if (bound == 0 && listen(fd, 8) == 0) return fd;
    close(fd);
    return -1;
}

/* Through /proc/self/fd, so that the folder's own path may be longer than sun_path. */
int link_connect(const char *folder, const char *name) {
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) return -1;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", at, name);
    struct sockaddr_un address;
    int fd = address_of(path, &address) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    close(at);
    return fd;
}
