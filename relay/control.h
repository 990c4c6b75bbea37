/* control.h - one question to the running relay over its control socket. */
#ifndef CONTROL_H
#define CONTROL_H

#include "link.h"

enum { CONTROL_WAIT_MS = 15000 };

/* Asks and waits. ret_answer views into ret_bytes, which the caller frees. An answer that carries an error is an
 * answer: E_OK. E_RELAY_NOT_RUNNING: nobody listens in this folder, or not any more; E_TIMED_OUT; E_UNREACHABLE: it broke
 * off, and one listens there still or again. After either of the last two, or a relay that went away meanwhile, the command
 * may have been carried out. */
CHECKED enum error control_ask(const char *folder, const struct command *command, struct buf *ret_bytes,
                               struct answer *ret_answer);

#endif
