/* cli.h - what the programs' command lines share: options, the form of errors, JSON texts.
 *
 * Errors go to stderr, as people read them or, with --json, as scripts do:
 *
 *     pouchd: the configuration has errors, relay.yaml          {"error": "config", "message": ..., "hint": ...}
 *       correct the lines named above
 *
 * Options are read one by one; options and other words may stand in any order, "--" ends the options, --name=value and
 * --name value are the same:
 *
 *     struct cli_args args = {.argv = argv + 1, .options = options, .count = LENGTH(options)};
 *     int id;
 *     while ((id = cli_next(&args)) != CLI_END) switch (id) { case 'h': ...; case CLI_WORD: use(args.value); ... }
 *
 * CLI_BAD stands for an option that is unknown or misused; args.problem says which and what may have been meant. */
#ifndef CLI_H
#define CLI_H

#include <stdio.h>

#include "own.h"

struct cli {
    const char *program; /* "pouchd" */
    bool json;
};

/* Says the error on stderr and returns the exit code of its row. `where` is a printf text or NULL. */
int cli_fail(const struct cli *cli, enum error error, const char *where, ...) __attribute__((format(printf, 3, 4)));
/* The same with a hint of one's own. */
int cli_fail_hint(const struct cli *cli, enum error error, const char *hint, const char *where, ...)
    __attribute__((format(printf, 4, 5)));

/* A JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. */
void cli_json_text(FILE *out, struct bytes text);

enum { CLI_END = -1, CLI_BAD = -2, CLI_WORD = -3, CLI_PROBLEM_SIZE = 160 };

struct cli_option {
    const char *name; /* without the dashes */
    int id;           /* what cli_next returns; a letter or digit is also the short form */
    bool takes_value;
};

struct cli_args {
    char *const *argv; /* what is left; ends with NULL */
    const struct cli_option *options;
    size_t count;
    bool words_only;   /* after "--" */
    const char *value; /* of the option, or the word */
    char problem[CLI_PROBLEM_SIZE];
};

int cli_next(struct cli_args *args);

/* ", did you mean X?" or nothing, for a word that should be one of these. */
void cli_suggest(const char *word, const char *const *names, size_t count, char *ret, size_t room);

#endif
