/* failure.h - an error with the place where it happened, for people. Libraries return enum error and, where more is known,
 * fill a struct failure that their caller owns; only a program prints it. */
#ifndef FAILURE_H
#define FAILURE_H

#include <stdarg.h>

#include "own.h"

enum { FAILURE_WHERE_SIZE = 512 };

struct failure {
    enum error error;
    char where[FAILURE_WHERE_SIZE]; /* the file, post, request or address concerned; may be empty */
    char hint[FAILURE_WHERE_SIZE];  /* overrides the error's own hint unless empty */
};

/* Both return `error`, so that a line can say: return fail(failure, E_IO, "%s: %s", path, strerror(errno)); */
enum error fail(struct failure *failure, enum error error, const char *where, ...)
    __attribute__((format(printf, 3, 4)));
enum error fail_hint(struct failure *failure, const char *hint, ...) __attribute__((format(printf, 2, 3)));

#endif
