/* pouchctl.h - what the files of pouchctl share: one task, as the command line named it, and what every verb may do
 * with it. A verb returns the program's exit code and has said what went wrong. */
#ifndef POUCHCTL_H
#define POUCHCTL_H

#include "card.h"
#include "cli.h"
#include "config.h"
#include "link.h"

enum { TASK_WORDS_MAX = 32, TASK_FILE_MAX = 64 * 1024 };

struct task {
    struct cli cli;
    struct config config;
    const char *config_path, *verb, *subject; /* subject: the first word after the verb, as a file or a party */
    const char *words[TASK_WORDS_MAX];        /* all words after the verb */
    size_t word_count;
    const char *fingerprint, *reason, *keys[CARD_KEYS_MAX], *card_path, *out, *name, *kind, *legs, *bytes, *old;
    size_t key_count;
    bool yes, quiet, help, version;
};

/* Asks the running relay; says what went wrong. Views of *ret into *bytes. */
int task_ask(const struct task *task, const struct command *command, struct buf *bytes, struct answer *ret);

/* Files. Reading says why in errno where it is E_IO; writing replaces the file whole or leaves it as it was. */
CHECKED enum error task_read(const char *path, size_t max, struct buf *out);
CHECKED enum error task_write(const char *path, struct bytes bytes);

/* The card that --card names, else the one in the folder of --config. E_OK and *ret_has false where neither was named,
 * or the folder has none. */
CHECKED enum error task_card(const struct task *task, struct card *ret, bool *ret_has);

/* The registrars' verbs (pouchctl_registrar.c). */
int registrar_run_admit(struct task *task);
int registrar_run_suspend(struct task *task);
int registrar_run_resume(struct task *task);
int registrar_run_nominate(struct task *task);
int registrar_run_takeover(struct task *task);
int registrar_run_sign(struct task *task);
int registrar_run_combine(struct task *task);
int registrar_run_record(struct task *task);
int registrar_run_registrar(struct task *task);

/* What witnesses without a link to the relay are asked and answer, as files (pouchctl_witness.c). */
int witness_run(struct task *task);

#endif
