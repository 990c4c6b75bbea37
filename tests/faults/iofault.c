/* iofault.c - makes one system call of a running program fail, as a disk, a full disk, a signal or a slow kernel would.
 *
 * Loaded before the C library (LD_PRELOAD) into an unchanged program, so what is tried is what is shipped. The file that
 * POUCH_IO_FAULT names says which call, while it is there:
 *
 *     CLASS.CALL KIND NTH        for example: journal.sync eio 1
 *
 *   CLASS  what the descriptor is: store, journal, shm, directory-head, evidence-head, card, key (a client's identity too),
 *          ledger-link (the ledger's end of the link), gate-link, control, tcp, folder, file (anything else)
 *   CALL   write, sync, truncate, rename, open, send, recv
 *   KIND   kill (before the call), killed-after, eio, enospc, eintr, short (half of the bytes)
 *   NTH    of these calls in one process, since the file was written
 *
 * Whoever removes the file may fail: so it happens once, whatever the number of processes, and a test sees by the file being
 * gone that it did.
 *
 * Into the file that POUCH_IO_SEEN names, each process writes every CLASS.CALL that it makes, once: so a test knows what there is
 * to be tried. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum kind { NONE, KILL, KILLED_AFTER, FAIL, SHORT };

struct outcome {
    enum kind kind;
    int error;
};

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

static bool ends(const char *text, const char *tail) {
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

/* ---- what a descriptor is ---- */

static const char *class_of_path(const char *path, bool folder) {
    static const char *const known[][2] = {
        {"store.sqlite", "store"},
        {"store.sqlite-wal", "journal"},
        {"store.sqlite-shm", "shm"},
        {"directory.head", "directory-head"},
        {"directory.head.new", "directory-head"},
        {"evidence.head", "evidence-head"},
        {"evidence.head.new", "evidence-head"},
        {"relay.card", "card"},
        {"identity", "key"},
        {"keys", "key"},
    };
    if (ends(path, ".key")) return "key";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(path), m = strlen(known[i][0]);
        if (ends(path, known[i][0]) && (n == m || path[n - m - 1] == '/')) return known[i][1];
    }
    return folder ? "folder" : "file";
}

static bool socket_is(const struct sockaddr_un *address, socklen_t n, const char *name) {
    if (n <= offsetof(struct sockaddr_un, sun_path)) return false;
    char path[sizeof address->sun_path + 1];
    snprintf(path, sizeof path, "%.*s", (int)(n - offsetof(struct sockaddr_un, sun_path)), address->sun_path);
    return ends(path, name);
}

static const char *class_of_socket(int fd) {
    struct sockaddr_storage own, peer;
    socklen_t own_n = sizeof own, peer_n = sizeof peer;
    if (getsockname(fd, (struct sockaddr *)&own, &own_n) != 0) return "file";
    if (own.ss_family == AF_INET || own.ss_family == AF_INET6) return "tcp";
    if (own.ss_family != AF_UNIX) return "file";
    if (socket_is((struct sockaddr_un *)&own, own_n, "gate.sock")) return "ledger-link";
    if (socket_is((struct sockaddr_un *)&own, own_n, "control.sock")) return "control";
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_n) != 0) return "file";
    return socket_is((struct sockaddr_un *)&peer, peer_n, "gate.sock") ? "gate-link" : "file";
}

static const char *class_of(int fd) {
    char link[64], path[PATH_MAX + 1];
    struct stat info;
    if (fstat(fd, &info) != 0) return "file";
    if (S_ISSOCK(info.st_mode)) return class_of_socket(fd);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX);
    if (n < 0) return "file";
    path[n] = 0;
    return class_of_path(path, S_ISDIR(info.st_mode));
}

/* ---- what is to happen ---- */

static struct {
    pthread_mutex_t lock;
    unsigned long seen; /* calls, since the file with this inode and time came */
    struct stat file;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool read_order(const char *path, struct stat *info, char *text, size_t size) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = fstat(fd, info) == 0 ? (ssize_t)syscall(SYS_read, fd, text, size - 1) : -1;
    syscall(SYS_close, fd);
    if (n <= 0) return false;
    text[n] = 0;
    return true;
}

static struct outcome outcome_of(const char *word) {
    if (strcmp(word, "kill") == 0) return (struct outcome){KILL, 0};
    if (strcmp(word, "killed-after") == 0) return (struct outcome){KILLED_AFTER, 0};
    if (strcmp(word, "eio") == 0) return (struct outcome){FAIL, EIO};
    if (strcmp(word, "enospc") == 0) return (struct outcome){FAIL, ENOSPC};
    if (strcmp(word, "eintr") == 0) return (struct outcome){FAIL, EINTR};
    return (struct outcome){SHORT, 0};
}

static bool is_new(const struct stat *info) {
    return info->st_ino != state.file.st_ino || info->st_mtim.tv_sec != state.file.st_mtim.tv_sec ||
           info->st_mtim.tv_nsec != state.file.st_mtim.tv_nsec;
}

/* ---- what there is ---- */

enum { POINTS_MAX = 128, POINT_SIZE = 64 };

static struct {
    pthread_mutex_t lock;
    pid_t pid; /* whose points these are: a child begins anew */
    char points[POINTS_MAX][POINT_SIZE];
    size_t count;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_told(const char *point) {
    if (told.pid != getpid()) told.count = 0;
    told.pid = getpid();
    for (size_t i = 0; i < told.count; i++)
        if (strcmp(told.points[i], point) == 0) return true;
    return false;
}

static void tell(const char *point) {
    const char *path = getenv("POUCH_IO_SEEN");
    char line[POINT_SIZE + 1];
    if (!path) return;
    pthread_mutex_lock(&told.lock);
    if (!is_told(point) && told.count < POINTS_MAX) {
        snprintf(told.points[told.count++], POINT_SIZE, "%s", point);
        int n = snprintf(line, sizeof line, "%s\n", point);
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) syscall(SYS_write, fd, line, n);
        if (fd >= 0) syscall(SYS_close, fd);
    }
    pthread_mutex_unlock(&told.lock);
}

static struct outcome judge(const char *class, const char *call) {
    const char *path = getenv("POUCH_IO_FAULT");
    struct stat info;
    char text[128], wanted[64], word[16], here[POINT_SIZE];
    unsigned long nth;
    snprintf(here, sizeof here, "%s.%s", class, call);
    tell(here);
    if (!path || !read_order(path, &info, text, sizeof text)) return (struct outcome){NONE, 0};
    if (sscanf(text, "%63s %15s %lu", wanted, word, &nth) != 3) return (struct outcome){NONE, 0};
    if (strcmp(here, wanted) != 0) return (struct outcome){NONE, 0};
    pthread_mutex_lock(&state.lock);
    if (is_new(&info)) state.seen = 0;
    state.file = info;
    bool due = ++state.seen >= nth && syscall(SYS_unlinkat, AT_FDCWD, path, 0) == 0;
    pthread_mutex_unlock(&state.lock);
    struct outcome outcome = due ? outcome_of(word) : (struct outcome){NONE, 0};
    if (outcome.kind == KILL) kill(getpid(), SIGKILL);
    return outcome;
}

static struct outcome judge_fd(int fd, const char *call) {
    int saved = errno;
    bool asked = getenv("POUCH_IO_FAULT") || getenv("POUCH_IO_SEEN");
    struct outcome outcome = asked ? judge(class_of(fd), call) : (struct outcome){NONE, 0};
    errno = saved;
    return outcome;
}

static ssize_t after(struct outcome outcome, ssize_t result) {
    if (outcome.kind == KILLED_AFTER) kill(getpid(), SIGKILL);
    return result;
}

#define REFUSE(outcome)                                                                                                \
    if ((outcome).kind == FAIL) {                                                                                      \
        errno = (outcome).error;                                                                                       \
        return -1;                                                                                                     \
    }

/* At least one byte: none at all means something else. */
static size_t cut(struct outcome outcome, size_t n) { return outcome.kind == SHORT && n > 1 ? n / 2 : n; }

/* ---- the calls ---- */

ssize_t write(int fd, const void *p, size_t n) {
    struct outcome outcome = judge_fd(fd, "write");
    REFUSE(outcome)
    return after(outcome, REAL(ssize_t(*)(int, const void *, size_t), "write")(fd, p, cut(outcome, n)));
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) {
    struct outcome outcome = judge_fd(fd, "write");
    REFUSE(outcome)
    return after(outcome, REAL(ssize_t(*)(int, const void *, size_t, off64_t), "pwrite64")(fd, p, cut(outcome, n), at));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { return pwrite64(fd, p, n, at); }

int fsync(int fd) {
    struct outcome outcome = judge_fd(fd, "sync");
    REFUSE(outcome)
    return (int)after(outcome, REAL(int (*)(int), "fsync")(fd));
}

int fdatasync(int fd) {
    struct outcome outcome = judge_fd(fd, "sync");
    REFUSE(outcome)
    return (int)after(outcome, REAL(int (*)(int), "fdatasync")(fd));
}

int ftruncate64(int fd, off64_t size) {
    struct outcome outcome = judge_fd(fd, "truncate");
    REFUSE(outcome)
    return (int)after(outcome, REAL(int (*)(int, off64_t), "ftruncate64")(fd, size));
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int rename(const char *from, const char *to) {
    int saved = errno;
    struct outcome outcome = judge(class_of_path(to, false), "rename");
    errno = saved;
    REFUSE(outcome)
    return (int)after(outcome, REAL(int (*)(const char *, const char *), "rename")(from, to));
}

static int open_any(int at, const char *path, int flags, mode_t mode) {
    int saved = errno;
    struct outcome outcome = judge(class_of_path(path, (flags & O_DIRECTORY) != 0), "open");
    errno = saved;
    REFUSE(outcome)
    return (int)after(outcome, REAL(int (*)(int, const char *, int, ...), "openat64")(at, path, flags, mode));
}

static mode_t mode_in(int flags, va_list arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_in(flags, arguments);
    va_end(arguments);
    return open_any(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_in(flags, arguments);
    va_end(arguments);
    return open_any(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_in(flags, arguments);
    va_end(arguments);
    return open_any(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_in(flags, arguments);
    va_end(arguments);
    return open_any(at, path, flags, mode);
}

ssize_t send(int fd, const void *p, size_t n, int flags) {
    struct outcome outcome = judge_fd(fd, "send");
    REFUSE(outcome)
    return after(outcome, REAL(ssize_t(*)(int, const void *, size_t, int), "send")(fd, p, cut(outcome, n), flags));
}

ssize_t recv(int fd, void *p, size_t n, int flags) {
    struct outcome outcome = judge_fd(fd, "recv");
    REFUSE(outcome)
    return after(outcome, REAL(ssize_t(*)(int, void *, size_t, int), "recv")(fd, p, cut(outcome, n), flags));
}
