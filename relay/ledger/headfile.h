/* headfile.h - the newest head of the directory, once more outside the store: `directory.head` beside relay.yaml.
 *
 * Written after the commit and before anything of the batch is answered, so that nobody can hold a head that is newer. At start
 * it tells a store that was put back from an older copy: such a relay would sign a second log. */
#ifndef HEADFILE_H
#define HEADFILE_H

#include "own.h"

#define HEADFILE "directory.head"

/* Replaces the file whole, durably. E_IO, E_STORE_FULL. */
CHECKED enum error headfile_write(struct bytes note);
/* Appends; nothing, with E_OK, when there is no file. E_IO. */
CHECKED enum error headfile_read(struct buf *ret_note);

#endif
