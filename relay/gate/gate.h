/* gate.h - the process that faces the world. It holds no store and no signing key, may die at any moment and is started
 * again by the supervisor; what it had not handed to the ledger, clients send again.
 *
 *   network.c   one thread owns every socket: ROUTER + CURVE, ZAP, the link to the ledger, timers
 *   session.c   who is connected: transport key -> routing id of its latest connection, rate, device
 *   admit.c     size, version, rate, member or guest: before any signature is checked
 *   verify.c    workers: decoding, signatures, certificate chain; pure functions of bytes and a directory snapshot
 *   gate.c      puts them together */
#ifndef GATE_H
#define GATE_H

#include "config.h"

/* Runs until SIGTERM or until the ledger's socket closes. ready_fd: one byte is written when it serves. Returns the
 * process's exit code. Current folder: the relay's. */
int gate_run(const struct config *config, int ready_fd);

#endif
