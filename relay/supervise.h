/* supervise.h - the parent of the relay's two processes. It opens no socket to the world and holds no key; it starts
 * the ledger and the gate, and starts them again.
 *
 *   gate ends, however          restarted: the first deaths at once, later ones after a pause that grows up to
 *                               SUPERVISE_PAUSE_MAX_MS; the count starts over when one has lived a second
 *   ... with 1, 2 or 4, before any gate was ever ready
 *                               stop with that code, since the configuration cannot work
 *   ledger ends by a signal, 0, 3, other
 *                               the gate is killed, both are started again, with the same pauses
 *   ... with 3, before any gate was ever ready
 *                               stop with 1: what fails from the beginning is the operator's to look at; what has worked
 *                               and fails at a restart, a disk for instance, may pass
 *   ... with 1, 2 or 4          the gate is killed; stop with that code
 *   SIGTERM, SIGINT             SIGTERM to the gate, then to the ledger; after stop_ms SIGKILL; 0
 *   SIGHUP                      a line in the log: the configuration is read at start only
 *
 * A child gets default signal handling with SIGINT, SIGHUP and SIGPIPE ignored (a terminal's Ctrl-C reaches the whole
 * group, but the parent decides the order), and is sent death_signal when its parent dies. The parent must have one
 * thread and no ZeroMQ context: children are forked, not executed. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdint.h>

/* The longest pause leaves a client that waits room to be served again within a second, whoever makes the gate die. */
enum { SUPERVISE_PAUSE_MAX_MS = 250, SUPERVISE_STOP_MS = 10000 };

struct supervise {
    /* Run in the children; their value is the exit code. ready_fd: the gate writes one byte to it when it serves. */
    int (*ledger)(void *user);
    int (*gate)(void *user, int ready_fd);
    /* In the parent: each time a gate is ready; once when stopping begins. May be NULL. */
    void (*ready)(void *user);
    void (*stopping)(void *user);
    void *user;
    uint32_t stop_ms; /* 0: SUPERVISE_STOP_MS */
};

/* Blocks SIGCHLD, SIGTERM, SIGINT and SIGHUP in the parent for good. Returns the exit code. */
int supervise_run(const struct supervise *supervise);

#endif
