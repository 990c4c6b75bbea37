/* lockdown.c - core dumps, limits, the folder's lock. */
#include "lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

enum { FILES_BESIDE = 1024, ORPHANS_WAIT_MS = 10000, STEP_MS = 20, PID_TEXT = 24 };

/* Only ever raised; the hard limit is the operator's word. */
static void raise_files(uint64_t connections) {
    struct rlimit files;
    rlim_t wanted = (rlim_t)connections + FILES_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return;
    files.rlim_cur = files.rlim_max == RLIM_INFINITY || files.rlim_max >= wanted ? wanted : files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < wanted)
        log_line(LOG_WARNING, "only %llu open files are allowed, too few for limits.connections; raise LimitNOFILE",
                 (unsigned long long)files.rlim_cur);
}

enum error lockdown_process(const struct config *config) {
    struct rlimit none = {0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) return E_INTERNAL;
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return E_INTERNAL;
    raise_files(config->connections);
    return E_OK;
}

static pid_t holder(int fd) {
    char text[PID_TEXT] = "";
    if (pread(fd, text, sizeof text - 1, 0) <= 0) return 0;
    long pid = strtol(text, NULL, 10);
    return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static bool alive(pid_t pid) { return pid > 0 && (kill(pid, 0) == 0 || errno != ESRCH); }

static enum error lock_file(int fd, pid_t *ret_pid) {
    for (unsigned waited = 0;; waited += STEP_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return E_OK;
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK) return E_IO;
        pid_t pid = holder(fd);
        if (alive(pid) || waited >= ORPHANS_WAIT_MS) {
            *ret_pid = pid;
            return E_RELAY_RUNNING;
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
}

enum error lockdown_folder(int *ret_fd, pid_t *ret_pid) {
    int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return E_IO;
    enum error error = lock_file(fd, ret_pid);
    char text[PID_TEXT];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (error == E_OK && (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n))
        error = errno == ENOSPC ? E_OK : E_IO;
    if (error != E_OK) {
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return E_OK;
}
