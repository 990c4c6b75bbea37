/* lockdown.h - what a process of the relay gives up before it touches keys, and the folder it alone may serve. */
#ifndef LOCKDOWN_H
#define LOCKDOWN_H

#include <sys/types.h>

#include "config.h"

/* No core dumps, no tracing by others of the same user; room for the configured connections. Inherited by children. */
CHECKED enum error lockdown_process(const struct config *config);

/* Takes the file "lock" in the current folder for this process and its children, and writes the process id into it. The
 * lock ends when the last of them does: so when a parent was killed, its orphans are waited for (a few seconds at
 * most). E_RELAY_RUNNING (*ret_pid: who), E_IO. *ret_fd is to be left open. */
CHECKED enum error lockdown_folder(int *ret_fd, pid_t *ret_pid);

#endif
