/* home_files.h - what the files of this library that make a home and those that open it share. Private. */
#ifndef HOME_FILES_H
#define HOME_FILES_H

#include "home.h"

enum { HOME_PATH_SIZE = 4200, HOME_FILE_MAX = 256 * 1024 };

CHECKED enum error home_lock_open(const char *home, unsigned wait_s, int *ret_fd, struct failure *failure);

#endif
