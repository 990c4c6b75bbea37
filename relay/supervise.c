/* supervise.c - one loop over a signalfd and the gate's ready pipe. */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

enum { QUICK_DEATHS = 3, PAUSE_FIRST_MS = 20, LIVED_MS = 1000, EXIT_REFUSED = 1, EXIT_TRANSIENT = 3 };

/* A child. pid 0: not running; then it is due at start_ms. */
struct child {
    const char *name;
    pid_t pid;
    uint64_t start_ms; /* when it was started, or is to be */
    unsigned deaths;   /* in a row, each within LIVED_MS of its start */
};

struct parent {
    const struct supervise *supervise;
    struct child ledger, gate;
    sigset_t mask_before;
    int signals, ready_fd; /* ready_fd: read end of the present gate's pipe, or -1 */
    bool ever_ready, stopping;
    uint64_t deadline_ms; /* when stopping: SIGKILL then */
    int code;             /* the exit code when stopping is over */
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- starting ---- */

/* In the child, first of all. The parent may have died between fork and prctl: then no signal ever comes. */
static void become_child(const struct parent *parent, pid_t parent_pid, int death_signal) {
    prctl(PR_SET_PDEATHSIG, death_signal);
    if (getppid() != parent_pid) _exit(EXIT_TRANSIENT);
    close(parent->signals);
    if (parent->ready_fd >= 0) close(parent->ready_fd);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &parent->mask_before, NULL);
}

static void started(struct child *child, pid_t pid) {
    child->start_ms = now_ms();
    if (pid > 0)
        child->pid = pid;
    else
        child->start_ms += SUPERVISE_PAUSE_MAX_MS; /* no fork now: try again later */
    if (pid < 0) log_line(LOG_ERR, "cannot start the %s: %s", child->name, strerror(errno));
}

/* The ledger gets SIGTERM when the parent dies, to finish its batch; it holds the folder's lock until it has. */
static void start_ledger(struct parent *parent) {
    pid_t parent_pid = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become_child(parent, parent_pid, SIGTERM);
        log_open(parent->ledger.name);
        exit(parent->supervise->ledger(parent->supervise->user));
    }
    started(&parent->ledger, pid);
}

static void close_ready(struct parent *parent) {
    if (parent->ready_fd >= 0) close(parent->ready_fd);
    parent->ready_fd = -1;
}

static void start_gate(struct parent *parent) {
    int ends[2] = {-1, -1};
    close_ready(parent);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        started(&parent->gate, -1);
        return;
    }
    parent->ready_fd = ends[0];
    pid_t parent_pid = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become_child(parent, parent_pid, SIGKILL);
        log_open(parent->gate.name);
        exit(parent->supervise->gate(parent->supervise->user, ends[1]));
    }
    close(ends[1]);
    started(&parent->gate, pid);
}

/* The ledger first: the gate connects to it. */
static void start_due(struct parent *parent) {
    if (parent->stopping) return;
    uint64_t now = now_ms();
    if (parent->ledger.pid == 0 && parent->ledger.start_ms <= now) start_ledger(parent);
    if (parent->ledger.pid != 0 && parent->gate.pid == 0 && parent->gate.start_ms <= now) start_gate(parent);
}

/* ---- ends ---- */

static void signal_child(const struct child *child, int number) {
    if (child->pid > 0) kill(child->pid, number);
}

/* When the child may be started again: at once for the first few, then doubling pauses. */
static void plan_restart(struct child *child) {
    uint64_t now = now_ms();
    child->deaths = now - child->start_ms < LIVED_MS ? child->deaths + 1 : 1;
    uint64_t pause = 0;
    if (child->deaths > QUICK_DEATHS) {
        unsigned doublings = child->deaths - QUICK_DEATHS - 1;
        pause = doublings > 6 ? SUPERVISE_PAUSE_MAX_MS : (uint64_t)PAUSE_FIRST_MS << doublings;
        if (pause > SUPERVISE_PAUSE_MAX_MS) pause = SUPERVISE_PAUSE_MAX_MS;
    }
    child->start_ms = now + pause;
}

static void begin_stop(struct parent *parent, int code) {
    if (parent->stopping) return;
    const struct supervise *supervise = parent->supervise;
    parent->stopping = true;
    parent->code = code;
    parent->deadline_ms = now_ms() + (supervise->stop_ms ? supervise->stop_ms : SUPERVISE_STOP_MS);
    if (supervise->stopping) supervise->stopping(supervise->user);
    signal_child(&parent->gate, SIGTERM);
    if (parent->gate.pid == 0) signal_child(&parent->ledger, SIGTERM);
}

/* Exit codes that a restart cannot mend: 1 the operator can fix it, 2 internal fault, 4 key or trust refused (CLI exit
 * codes). */
static bool hopeless(int status) {
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return code == 1 || code == 2 || code == 4;
}

static void log_end(const struct child *child, int status, bool stopping) {
    if (WIFSIGNALED(status))
        log_line(LOG_WARNING, "the %s was ended by signal %d (%s)", child->name, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (stopping || WEXITSTATUS(status) == 0)
        log_line(LOG_INFO, "the %s has ended (exit code %d)", child->name, WEXITSTATUS(status));
    else
        log_line(LOG_WARNING, "the %s has ended (exit code %d)", child->name, WEXITSTATUS(status));
}

static void gate_ended(struct parent *parent, int status) {
    close_ready(parent);
    if (parent->stopping) {
        signal_child(&parent->ledger, SIGTERM);
    } else if (!parent->ever_ready && hopeless(status)) {
        begin_stop(parent, WEXITSTATUS(status));
    } else {
        plan_restart(&parent->gate);
    }
}

static void ledger_ended(struct parent *parent, int status) {
    signal_child(&parent->gate, SIGKILL); /* it holds snapshots and promises of the one that is gone */
    if (parent->stopping) return;
    bool never = !parent->ever_ready && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_TRANSIENT;
    if (never || hopeless(status))
        begin_stop(parent, never ? EXIT_REFUSED : WEXITSTATUS(status));
    else
        plan_restart(&parent->ledger);
}

static void reap(struct parent *parent) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        bool is_gate = pid == parent->gate.pid, is_ledger = pid == parent->ledger.pid;
        if (!is_gate && !is_ledger) continue;
        struct child *child = is_gate ? &parent->gate : &parent->ledger;
        log_end(child, status, parent->stopping);
        child->pid = 0;
        if (is_gate)
            gate_ended(parent, status);
        else
            ledger_ended(parent, status);
    }
}

/* ---- the loop ---- */

static void take_signals(struct parent *parent) {
    struct signalfd_siginfo info;
    while (read(parent->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            log_line(LOG_NOTICE, "SIGHUP: the configuration is read at start only; restart the relay to apply changes");
        } else if (info.ssi_signo != SIGCHLD && !parent->stopping) {
            log_line(LOG_INFO, "stopping");
            begin_stop(parent, 0);
        }
    }
    reap(parent);
}

static void take_ready(struct parent *parent) {
    char byte;
    ssize_t n = read(parent->ready_fd, &byte, 1);
    if (n < 0 && errno == EINTR) return;
    close_ready(parent);
    if (n != 1 || parent->stopping) return;
    parent->ever_ready = true;
    if (parent->supervise->ready) parent->supervise->ready(parent->supervise->user);
}

/* Milliseconds until something is due; -1: nothing is. */
static int wait_ms(const struct parent *parent) {
    uint64_t due = UINT64_MAX, now = now_ms();
    if (parent->stopping)
        due = parent->deadline_ms;
    else if (parent->ledger.pid == 0)
        due = parent->ledger.start_ms;
    else if (parent->gate.pid == 0)
        due = parent->gate.start_ms;
    if (due == UINT64_MAX) return -1;
    return due <= now ? 0 : (int)(due - now);
}

static void kill_late(struct parent *parent) {
    if (!parent->stopping || now_ms() < parent->deadline_ms) return;
    log_line(LOG_WARNING, "not everything ended in time; killing it");
    signal_child(&parent->gate, SIGKILL);
    signal_child(&parent->ledger, SIGKILL);
    parent->deadline_ms = now_ms() + SUPERVISE_PAUSE_MAX_MS; /* until both are reaped */
}

static void loop(struct parent *parent) {
    while (!parent->stopping || parent->gate.pid || parent->ledger.pid) {
        start_due(parent);
        struct pollfd fds[2] = {{.fd = parent->signals, .events = POLLIN}, {.fd = parent->ready_fd, .events = POLLIN}};
        int n = poll(fds, 2, wait_ms(parent));
        if (n > 0 && fds[1].revents)
            take_ready(parent); /* before the signals: a gate that was ready and died was ready */
        if (n > 0 && fds[0].revents) take_signals(parent);
        kill_late(parent);
    }
}

int supervise_run(const struct supervise *supervise) {
    struct parent parent = {
        .supervise = supervise, .ledger = {.name = "ledger"}, .gate = {.name = "gate"}, .ready_fd = -1};
    sigset_t mask;
    fflush(NULL); /* children leave with exit(), which would write our buffered lines once more */
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, &parent.mask_before);
    parent.signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (parent.signals < 0) {
        log_line(LOG_ERR, "no signalfd: %s", strerror(errno));
        return 2;
    }
    loop(&parent);
    close_ready(&parent);
    close(parent.signals);
    return parent.code;
}
