/* files.h - small files of a home, whole: read with a bound, written so that a crash leaves the old or the new one. */
#ifndef FILES_H
#define FILES_H

#include <sys/types.h>

#include "failure.h"

/* path = folder "/" name; E_OUT_OF_RANGE when it does not fit. */
CHECKED enum error files_join(const char *folder, const char *name, char *ret, size_t size, struct failure *failure);
bool files_exists(const char *path);
/* A file of at most `max` bytes, appended. E_NO_FILE, E_IO, E_CORRUPT when it is longer. */
CHECKED enum error files_read(const char *path, size_t max, struct buf *ret, struct failure *failure);
/* Written under a temporary name beside it, synced, renamed, folder synced: E_IO, E_DISK_FULL. */
CHECKED enum error files_write(const char *path, mode_t mode, struct bytes bytes, struct failure *failure);
/* Replaces what is at `to`, and syncs the folder. */
CHECKED enum error files_rename(const char *from, const char *to, struct failure *failure);
/* The folder and those above it, with mode 0700; there already: fine. */
CHECKED enum error files_make_folder(const char *path, struct failure *failure);
/* What errno says, as an error of ours, with the path: E_NO_FILE, E_DISK_FULL, E_IO. */
enum error files_failure(struct failure *failure, const char *path);

#endif
