/* allocfault.c - lets the nth allocation of a running program fail, as when memory runs out.
 *
 * Loaded before the C library (LD_PRELOAD) into an unchanged program, so what is tried is what is shipped, libraries included. The
 * file that POUCH_ALLOC_FAULT names is mapped by every process that inherits it, and the test writes into it (alloc.py):
 *
 *   who      whose allocations count: ledger, gate, or the name of a program for its first process
 *   left     so many allocations until all is over; 0: nothing fails
 *   count    so many of the last ones fail
 *   seen     how many there were since `left` was set; failed: how many of them failed
 *
 * Counting goes on over processes that end and are started again, so each order is carried out once. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WHO_SIZE = 16 };

struct order {
    char who[WHO_SIZE];
    _Atomic int64_t left, count, seen, failed;
};

/* glibc's own, under the names that stay when ours take theirs. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static struct order *order;
static pid_t first, self;
static const char *name;

static __attribute__((constructor)) void map_order(void) {
    const char *path = getenv("POUCH_ALLOC_FAULT");
    first = getpid();
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    long at = syscall(SYS_mmap, NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (at > 0 || at < -4095) order = (struct order *)at;
}

/* A child of pouchd is told apart by the signal that it gets when its parent dies: it asks for that first of all. */
static const char *who_am_i(void) {
    pid_t pid = getpid();
    if (pid == self) return name;
    int number = 0;
    if (pid != first) syscall(SYS_prctl, PR_GET_PDEATHSIG, &number, 0, 0, 0);
    if (pid != first && number == 0) return "";
    name = pid == first ? program_invocation_short_name : number == SIGTERM ? "ledger" : "gate";
    self = pid;
    return name;
}

static _Thread_local bool spared;

static bool is_due(void) {
    if (!order || spared || atomic_load(&order->left) <= 0) return false;
    int saved = errno;
    bool mine = strncmp(order->who, who_am_i(), WHO_SIZE) == 0;
    errno = saved;
    if (!mine) return false;
    int64_t left = atomic_fetch_sub(&order->left, 1);
    if (left <= 0) return false;
    atomic_fetch_add(&order->seen, 1);
    if (left > atomic_load(&order->count)) return false;
    atomic_fetch_add(&order->failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n) { return is_due() ? NULL : __libc_malloc(n); }

void *calloc(size_t count, size_t n) { return is_due() ? NULL : __libc_calloc(count, n); }

/* To free is not to ask for room. */
void *realloc(void *p, size_t n) { return n > 0 && is_due() ? NULL : __libc_realloc(p, n); }

void *reallocarray(void *p, size_t count, size_t n) {
    size_t size;
    if (__builtin_mul_overflow(count, n, &size)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, size);
}

void *memalign(size_t alignment, size_t n) { return is_due() ? NULL : __libc_memalign(alignment, n); }

void *aligned_alloc(size_t alignment, size_t n) { return memalign(alignment, n); }

int posix_memalign(void **ret, size_t alignment, size_t n) {
    void *p = is_due() ? NULL : __libc_memalign(alignment, n);
    if (!p) return ENOMEM;
    *ret = p;
    return 0;
}

/* The one exception: when libzmq starts, libpgm asks for a protocol by name, and glibc 2.36 reads through a null pointer if the first
 * allocation of its name service fails. To let that pass as an end would hide a null pointer of ours. */
int getprotobyname_r(const char *restrict protocol, struct protoent *restrict room, char *restrict text, size_t size,
                     struct protoent **restrict ret) {
    static int (*real)(const char *, struct protoent *, char *, size_t, struct protoent **);
    spared = true;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getprotobyname_r");
    int result = real(protocol, room, text, size, ret);
    spared = false;
    return result;
}

/* libsodium takes the room for secrets from here. */
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    if (flags & MAP_ANONYMOUS && is_due()) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, n, protection, flags, fd, offset);
}
