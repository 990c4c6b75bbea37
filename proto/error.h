/* error.h - the one error type. Rows stand in error.def.
 *
 * Functions that can fail return enum error and leave their outputs untouched on failure. A library returns; only a
 * program prints. */
#ifndef ERROR_H
#define ERROR_H

#include <stdbool.h>

enum error {
#define ERROR(name, number, exit, retry, json, text, hint) E_##name = number,
#include "error.def"
#undef ERROR
};

struct error_row {
    enum error error;
    int exit;         /* exit code of the commands, see CLI help */
    bool again;       /* transient: the same bytes may succeed later */
    const char *name; /* stable name for scripts */
    const char *text; /* what happened */
    const char *hint; /* what to do next */
};

/* The row of an error; a number from a peer that this version does not know gives the row of E_INTERNAL. */
const struct error_row *error_row(enum error error);
/* The nth row, or NULL: for documents and tests. */
const struct error_row *error_nth(unsigned n);

static inline const char *error_text(enum error error) { return error_row(error)->text; }

/* Return early on failure: TRY(f(x)); */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        enum error try_error = (call);                                                                                 \
        if (try_error != E_OK) return try_error;                                                                       \
    } while (0)

#endif
