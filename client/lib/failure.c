/* failure.c - fills in where an error happened. */
#include "failure.h"

#include <stdio.h>

enum error fail(struct failure *failure, enum error error, const char *where, ...) {
    if (!failure) return error;
    *failure = (struct failure){.error = error};
    va_list args;
    va_start(args, where);
    (void)vsnprintf(failure->where, sizeof failure->where, where, args);
    va_end(args);
    return error;
}

enum error fail_hint(struct failure *failure, const char *hint, ...) {
    if (!failure) return E_INTERNAL;
    va_list args;
    va_start(args, hint);
    (void)vsnprintf(failure->hint, sizeof failure->hint, hint, args);
    va_end(args);
    return failure->error;
}
