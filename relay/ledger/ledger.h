/* ledger.h - the process that remembers. One writer, one store, no lock; it faces only the gate and pouchctl.
 *
 * What arrived while the last commit ran is the next batch: every change of it - states, chunks, entries, directory leaves -
 * goes into one transaction, one signature covers its records, and answers leave only after the commit is durable. */
#ifndef LEDGER_H
#define LEDGER_H

#include "config.h"

/* gate_fd, control_fd: listening Unix sockets. Runs until SIGTERM: finishes its batch and returns 0. A commit whose outcome
 * is unknown ends the process at once (exit code 3) without answering; the supervisor starts it again and clients retry. */
int ledger_run(const struct config *config, int gate_fd, int control_fd);

/* Makes the empty store; an existing one is kept as it is (init may be run again). Current folder: the relay's. E_IO,
 * E_CORRUPT, E_STORE_FULL. */
CHECKED enum error ledger_create(const struct config *config);

#endif
