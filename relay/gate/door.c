/* door.c - accept4, as libzmq finds it.
 *
 * libzmq has no option for this, and an address that is unbound takes its connections along. So the wart: the program defines
 * accept4 itself, and the linker gives libzmq this one instead of the C library's. "Nobody is there" (EAGAIN) is an answer that
 * libzmq knows. It asks again as long as somebody waits, so a thread that has nothing else to do is made to sleep a moment.
 *
 * The number of newcomers is the monitor's, which comes late: those admitted since then are added here. */
#include "door.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SECOND_US = 1000000, SLEEP_US = 200, IDLE_US = 50 };

static atomic_bool watched;
static atomic_uint inside;

void door_watch(void) { atomic_store(&watched, true); }

void door_count(uint32_t newcomers) { atomic_store(&inside, newcomers); }

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_US + (uint64_t)now.tv_nsec / 1000;
}

/* Of the thread that listens. */
static _Thread_local uint64_t next_us, turned_away_us;

static bool may_enter(void) {
    uint64_t now = now_us();
    bool few = atomic_load(&inside) < DOOR_NEWCOMERS;
    if (few || now >= next_us) {
        if (!few) next_us = now + SECOND_US / DOOR_RATE;
        atomic_fetch_add(&inside, 1);
        return true;
    }
    if (now - turned_away_us < IDLE_US) {
        struct timespec moment = {.tv_nsec = SLEEP_US * 1000L};
        nanosleep(&moment, NULL);
    }
    turned_away_us = now_us();
    return false;
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict size, int flags) {
    if (atomic_load(&watched) && !may_enter()) {
        errno = EAGAIN;
        return -1;
    }
    long accepted = syscall(SYS_accept4, fd, address.__sockaddr__, size, flags);
    return (int)accepted;
}
