/* leafname.h - a directory entry in a few words, as people are told of it: "a device of fj/technical". Also of an entry
 * that does not hold: it says what the entry claims to be. */
#ifndef LEAFNAME_H
#define LEAFNAME_H

#include "directory.h"

enum { LEAFNAME_SIZE = POST_MAX + 48 };

void leafname(struct bytes leaf, char ret[static LEAFNAME_SIZE]);

#endif
