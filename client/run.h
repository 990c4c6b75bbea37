/* run.h - one run of the program: options, the open home, the link to the relay, and how it ends.
 *
 * A command is a function of a run that returns the exit code. It reads its words and options with run_next until CLI_END -
 * options that all commands share are taken care of there -, opens what it needs, and ends with run_fail or 0.
 *
 * Questions are asked on a terminal only, and not with --yes. stdout is data, stderr is talk. */
#ifndef RUN_H
#define RUN_H

#include "cli.h"
#include "libpouch.h"
#include "present.h"

enum { RUN_OPTIONS_MAX = 48, RUN_PASSPHRASE_MAX = 1024 };

struct run;
struct command {
    const char *name;  /* one or two words: "accept", "authority init" */
    const char *usage; /* what follows the name */
    const char *text;  /* one line: what it does */
    const char *examples, *help;
    int (*function)(struct run *run);
    const struct cli_option *options;
    size_t option_count;
};

struct run {
    struct cli cli;
    const struct command *command;
    struct cli_args args;
    struct cli_option options[RUN_OPTIONS_MAX];
    const char *home_path, *passphrase_file;
    bool no_passphrase, yes, quiet, no_color, offline, officer;
    bool tells_news; /* the command itself: the sync need not */
    struct look look; /* of stdout */
    struct secret passphrase;
    struct home home;
    struct relay *relay; /* NULL: not connected, and `link` says why */
    enum error link;
    struct failure link_failure, failure;
    struct bar bar;
};

/* ---- options ---- */
/* The next option or word that is the command's own. */
int run_next(struct run *run);
/* For the default case of the switch: says what was wrong; the exit code. */
int run_usage(struct run *run);
int run_usage_text(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* args.value as a duration, or as one of the words; say what is wrong themselves (the exit code in *ret_exit). */
bool run_duration(struct run *run, uint64_t *ret_s, int *ret_exit);
bool run_word(struct run *run, int words_table, unsigned *ret, int *ret_exit);

/* ---- for main ---- */
extern const struct cli_option run_shared_options[];
extern const size_t run_shared_count;
/* Takes care of an option that all commands share; false when it is none. */
bool run_shared(struct run *run, int id);
void run_help(const struct command *command); /* main's: on stdout */
/* SIGINT ends the program with 130. */
void run_catch_interrupt(void);

/* ---- the home and the relay ---- */
/* The pass-phrase, if one was given; asked for (twice when `fresh`) on a terminal. With fresh and none: E_NEEDS_TERMINAL. */
CHECKED enum error run_passphrase(struct run *run, bool fresh);
/* The same for a key file of that name in the folder, not `keys`. */
CHECKED enum error run_passphrase_of(struct run *run, const char *file);
/* Of something else than the home: from the file (may be NULL), else asked for; where nobody can be asked, the home's own. */
CHECKED enum error run_other_passphrase(struct run *run, const char *file, const char *prompt, struct secret *ret);
struct home_options run_home_options(struct run *run);
CHECKED enum error run_open(struct run *run);
/* A post's home that has joined: E_NOT_ALLOWED, E_NOT_JOINED. */
CHECKED enum error run_open_post(struct run *run);
/* Connects and syncs. Transient trouble leaves relay NULL, is remembered in `link`, and is no error: E_OK. */
CHECKED enum error run_sync(struct run *run);
/* run_sync for commands that only look: no trouble stops them. */
void run_try_sync(struct run *run);
/* On stderr: what the directory has new, each piece once, and what ends soon of this home's keys. */
void run_tell(struct run *run);
struct client_options run_client_options(struct run *run);
void run_close(struct run *run);

/* ---- secrets on paper ---- */
/* A code of `rows` rows (text.h), never from the command line: from a file ("-": standard input) that holds it, alone or as
 * lines of seven groups among others; or, path NULL, typed at the terminal. E_BAD_CODE, E_NEEDS_TERMINAL. */
CHECKED enum error run_code(struct run *run, const char *path, const char *prompt, size_t rows, struct secret *ret);

/* ---- ends ---- */
/* Says the error with the run's failure; the exit code. */
int run_fail(struct run *run, enum error error);
/* What the relay was found to have done after the last sync: 0 when it is nothing. */
int run_breach(struct run *run);
/* After something was put into the outbox without a relay: says so; the exit code. */
int run_kept(struct run *run);
/* After something was shown without a relay: warns on stderr; the exit code 0, or that of a breach of trust. */
int run_shown(struct run *run);
/* A line of talk on stderr, unless --quiet. */
void run_say(const struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- questions ---- */
bool run_can_ask(const struct run *run);
/* True on yes. Without a terminal or with --yes: `otherwise`. */
bool run_ask(struct run *run, bool otherwise, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A line as typed, without its end. */
bool run_read_line(char *ret, size_t size);

#endif
