/* clockfault.c - moves the wall clock of a running program, and lets the steady clocks be.
 *
 * Loaded before the C library (LD_PRELOAD) into an unchanged program. The file that POUCH_CLOCK names holds a number of seconds (64
 * bits, signed); it is mapped, so a test can write another one while the program runs: that is a jump. What the kernel itself
 * does by the wall clock (times of files, absolute waits) stays where it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *offset_s;

static __attribute__((constructor)) void map_offset(void) {
    const char *path = getenv("POUCH_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) offset_s = at;
}

int clock_gettime(clockid_t id, struct timespec *ret) {
    long result = syscall(SYS_clock_gettime, id, ret);
    bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    if (result == 0 && offset_s && wall) ret->tv_sec += atomic_load(offset_s);
    return (int)result;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret) *ret = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *ret, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, ret) == 0 ? base : 0;
}
