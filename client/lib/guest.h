/* guest.h - a link to a relay for somebody who is no member there: by its card, under a throw-away key. Guests read the
 * directory, enrol, and bring statements that carry their own authority. */
#ifndef GUEST_H
#define GUEST_H

#include "libpouch.h"

/* Reads a relay's card from a file: E_NO_FILE, or what is wrong with it and in which line. */
CHECKED enum error guest_read_card(const char *path, struct card *ret, struct failure *failure);
/* A link under a fresh key, which nobody keeps. */
CHECKED enum error guest_connect(const struct card *card, const struct client_options *options, struct relay **ret,
                                 struct failure *failure);

#endif
