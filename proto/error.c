/* error.c - the table of error.def, looked up by number. */
#include "error.h"

#include <stddef.h>

#define AGAIN true
#define FINAL false
static const struct error_row rows[] = {
#define ERROR(name, number, exit, retry, json, text, hint) {E_##name, exit, retry, json, text, hint},
#include "error.def"
#undef ERROR
};
#undef AGAIN
#undef FINAL

static const unsigned row_count = sizeof rows / sizeof rows[0];

const struct error_row *error_nth(unsigned n) { return n < row_count ? &rows[n] : NULL; }

const struct error_row *error_row(enum error error) {
    const struct error_row *internal = NULL;
    for (unsigned i = 0; i < row_count; i++) {
        if (rows[i].error == error) return &rows[i];
        if (rows[i].error == E_INTERNAL) internal = &rows[i];
    }
    return internal;
}
