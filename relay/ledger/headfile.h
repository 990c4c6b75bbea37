/* headfile.h - the newest head of each log, once more outside the store: `directory.head` and `evidence.head` beside relay.yaml.
 *
 * Written after the commit and before anything of the batch is answered, so that nobody can hold a head that is newer. At start
 * they tell a store that was put back from an older copy: such a relay would sign a second log. */
#ifndef HEADFILE_H
#define HEADFILE_H

#include "limits.h"
#include "own.h"

const char *headfile_name(enum relay_log log);
/* Replaces what the file says; the directory's durably. The evidence log's is filled up with empty lines, which headfile_read
 * leaves out. E_IO, E_STORE_FULL. */
CHECKED enum error headfile_write(enum relay_log log, struct bytes note);
/* Renames it to NAME.lost, durably; no file is no error. E_IO. */
CHECKED enum error headfile_set_aside(enum relay_log log);
/* Appends; nothing, with E_OK, when there is no file. E_IO. */
CHECKED enum error headfile_read(enum relay_log log, struct buf *ret_note);

#endif
