/* pouchctl.h - what the files of pouchctl share: one task, as the command line named it, and what every verb may do
 * with it. A verb returns the program's exit code and has said what went wrong. */
#ifndef POUCHCTL_H
#define POUCHCTL_H

#include "card.h"
#include "cli.h"
#include "config.h"
#include "inspect.h"
#include "link.h"

enum { TASK_WORDS_MAX = 32, TASK_FILE_MAX = 64 * 1024 };

struct task {
    struct cli cli;
    struct config config;
    const char *config_path, *verb, *subject; /* subject: the first word after the verb, as a file or a party */
    const char *words[TASK_WORDS_MAX];        /* all words after the verb */
    size_t word_count;
    const char *fingerprint, *reason, *keys[CARD_KEYS_MAX], *card_path, *out, *name, *kind, *legs, *bytes, *old, *log;
    size_t key_count;
    const char *addresses[CARD_ADDRESSES_MAX], *curve;
    size_t address_count;
    const char *store;   /* verify: instead of the one in the configuration's folder */
    bool aside, no_keys; /* restore, backup */
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

/* Signs the order with the keys that are at hand and has it recorded, or writes it where -o says. */
int registrar_issue(struct task *task, struct buf *file);

/* The relay goes to another host (pouchctl_move.c). */
int move_run(struct task *task);
/* It goes on after a loss (pouchctl_recover.c). */
int recover_run(struct task *task);

/* The store from end to end (pouchctl_verify.c). verify_store shows findings as they come and, if asked to, the summary. folder: where
 * the heads lie that were kept outside of it. */
enum { VERIFY_FINDINGS_EXIT = 4 };
int verify_run(struct task *task);
CHECKED enum error verify_store(const struct task *task, const char *store, const char *folder, const struct card *card,
                                bool show_result, struct inspect_numbers *ret);
/* Appends; nothing where there is no such file. */
CHECKED enum error verify_read_head(const char *folder, const char *name, struct buf *ret);

/* Copies of all that a relay is (pouchctl_backup.c). */
int backup_run(struct task *task);
int restore_run(struct task *task);

/* What witnesses without a link to the relay are asked and answer, as files (pouchctl_witness.c). */
int witness_run(struct task *task);

#endif
