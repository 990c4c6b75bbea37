/* test_door.c - the door between the kernel's queue and libzmq (door.h), with real sockets. libzmq is the real one: that it goes
 * through the door at all hangs on the linker, and nothing but this would tell. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "door.h"

enum { BACKLOG = 1024, CROWD = 2 * DOOR_NEWCOMERS, WAIT_MS = 5000, LOOK_MS = 400 };

struct crowd {
    int fds[CROWD];
};

static uint64_t clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t now_ms(void) { return clock_ms(CLOCK_MONOTONIC); }

static int tcp(struct sockaddr_in *address, int flags) {
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    assert_true(fd >= 0);
    return fd;
}

static int listener(unsigned *ret_port) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = tcp(&address, SOCK_NONBLOCK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, BACKLOG), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static struct crowd crowd_at(unsigned port) {
    struct crowd crowd;
    for (size_t i = 0; i < CROWD; i++) {
        struct sockaddr_in address;
        crowd.fds[i] = tcp(&address, 0);
        address.sin_port = htons((uint16_t)port);
        assert_int_equal(connect(crowd.fds[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    return crowd;
}

static void crowd_leave(struct crowd *crowd) {
    for (size_t i = 0; i < CROWD; i++) close(crowd->fds[i]);
}

/* How many come in within the time; ends early when `enough` are in. */
static unsigned let_in(int fd, uint64_t ms, unsigned enough) {
    unsigned in = 0;
    for (uint64_t end = now_ms() + ms; now_ms() < end && in < enough;) {
        int one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (one < 0) {
            assert_int_equal(errno, EAGAIN);
            continue;
        }
        in++;
        close(one);
    }
    return in;
}

static unsigned at_the_rate(uint64_t ms) { return (unsigned)(ms * DOOR_RATE / 1000) + 1; }

/* Must be the first: the door cannot be left open again. */
static void nobody_is_kept_out_before_the_door_is_watched(void **state) {
    (void)state;
    unsigned port;
    int fd = listener(&port);
    struct crowd crowd = crowd_at(port);
    door_count(10 * DOOR_NEWCOMERS);
    assert_int_equal(let_in(fd, WAIT_MS, CROWD), CROWD);
    crowd_leave(&crowd);
    close(fd);
}

static void those_let_in_since_the_last_count_are_counted(void **state) {
    (void)state;
    unsigned port;
    int fd = listener(&port);
    struct crowd crowd = crowd_at(port);
    door_watch();
    door_count(0);
    uint64_t began = now_ms();
    unsigned in = let_in(fd, 50, CROWD);
    assert_in_range(in, DOOR_NEWCOMERS, DOOR_NEWCOMERS + at_the_rate(now_ms() - began));
    door_count(0);
    assert_int_equal(in + let_in(fd, WAIT_MS, CROWD - in), CROWD);
    crowd_leave(&crowd);
    close(fd);
}

static void door_full_of_newcomers_lets_in_some_all_the_same(void **state) {
    (void)state;
    unsigned port;
    int fd = listener(&port);
    struct crowd crowd = crowd_at(port);
    door_watch();
    door_count(DOOR_NEWCOMERS);
    uint64_t began = now_ms();
    unsigned in = let_in(fd, LOOK_MS, CROWD);
    assert_in_range(in, at_the_rate(LOOK_MS) / 5, at_the_rate(now_ms() - began));
    crowd_leave(&crowd);
    close(fd);
}

static unsigned accepted(void *monitor) {
    unsigned count = 0;
    char room[256];
    while (zmq_recv(monitor, room, sizeof room, ZMQ_DONTWAIT) >= 0) {
        zmq_recv(monitor, room, sizeof room, 0);
        count++;
    }
    return count;
}

static void libzmq_goes_through_the_door_and_does_not_spin_before_it(void **state) {
    (void)state;
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER), *monitor = zmq_socket(context, ZMQ_PAIR);
    char endpoint[64];
    size_t size = sizeof endpoint;
    int backlog = BACKLOG, none = 0;
    assert_int_equal(zmq_setsockopt(router, ZMQ_BACKLOG, &backlog, sizeof backlog), 0);
    assert_int_equal(zmq_setsockopt(monitor, ZMQ_RCVHWM, &none, sizeof none), 0);
    assert_int_equal(zmq_socket_monitor(router, "inproc://seen", ZMQ_EVENT_ACCEPTED), 0);
    assert_int_equal(zmq_connect(monitor, "inproc://seen"), 0);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    door_watch();
    door_count(10 * DOOR_NEWCOMERS);
    uint64_t began = now_ms(), busy = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    struct crowd crowd = crowd_at((unsigned)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    unsigned in = accepted(monitor);
    uint64_t took = now_ms() - began;
    assert_in_range(in, 1, at_the_rate(took));
    assert_true(clock_ms(CLOCK_PROCESS_CPUTIME_ID) - busy < took * 3 / 4);
    door_count(0);
    for (uint64_t end = now_ms() + WAIT_MS; in < CROWD && now_ms() < end; in += accepted(monitor)) door_count(0);
    assert_int_equal(in, CROWD);
    crowd_leave(&crowd);
    zmq_close(monitor);
    zmq_close(router);
    zmq_ctx_term(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_kept_out_before_the_door_is_watched),
        cmocka_unit_test(those_let_in_since_the_last_count_are_counted),
        cmocka_unit_test(door_full_of_newcomers_lets_in_some_all_the_same),
        cmocka_unit_test(libzmq_goes_through_the_door_and_does_not_spin_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
