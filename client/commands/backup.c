/* backup.c - a home as one sealed file with its key on paper, and a home made from them. */
#include "backup.h"

#include <sodium.h>

#include "commands.h"
#include "qr.h"

enum { OPTION_KEEP = 1, OPTION_KEY_FILE, KEEP_MAX = 10000 };

/* ---- backup ---- */

COMMAND_OPTIONS(backup_backup, {"keep", OPTION_KEEP, true});

static void backup_told(struct run *run, const struct backup_done *done) {
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:o}", "post", run->home.post, "file",
                                       done->file, "sheet", done->sheet, "fingerprint", done->fingerprint, "bytes",
                                       (json_int_t)done->bytes, "files", (json_int_t)done->files, "removed",
                                       (int)done->removed, "created", present_json_time(done->created)));
        return;
    }
    printf("%s\n%s\n\nfingerprint %s; it was read again and opens with its key.\n"
           "Print the sheet, which holds the key; put it in a safe, away from the file; then delete it here.\n",
           done->file, done->sheet, done->fingerprint);
    if (done->removed) printf("%u older ones were deleted\n", done->removed);
}

static bool read_keep(struct run *run, unsigned *ret, int *ret_exit) {
    char *end = NULL;
    unsigned long keep = strtoul(run->args.value, &end, 10);
    bool good = *run->args.value >= '1' && *run->args.value <= '9' && !*end && keep <= KEEP_MAX;
    if (good)
        *ret = (unsigned)keep;
    else
        *ret_exit = run_usage_text(run, "--keep takes a number from 1 to %d", KEEP_MAX);
    return good;
}

/* On paper: what is drawn dark on light for a terminal, without the escapes that set its colours. */
static bool draw(FILE *out, const char *text) {
    char *drawn = NULL;
    size_t n = 0;
    FILE *memory = open_memstream(&drawn, &n);
    if (!memory) return false;
    bool good = qr_print(memory, text, true);
    good = fclose(memory) == 0 && good;
    for (size_t i = 0; good && i < n; i++) {
        if (drawn[i] == '\033')
            i += strcspn(drawn + i, "m");
        else
            fputc(drawn[i], out);
    }
    sodium_memzero(drawn, n);
    free(drawn);
    return good;
}

int backup_backup(struct run *run) {
    struct backup_order order = {.picture = draw};
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == OPTION_KEEP) {
            if (!read_keep(run, &order.keep, &exit_code)) return exit_code;
        } else if (id != CLI_WORD || order.folder) {
            return run_usage(run);
        } else {
            order.folder = run->args.value;
        }
    }
    if (!order.folder) return run_usage_text(run, "DIR is needed: a folder, best on another disk");
    struct backup_done done;
    enum error error = run_open(run);
    if (error == E_OK) error = backup_write(&run->home, &order, &done, &run->failure);
    if (error != E_OK) return run_fail(run, error);
    backup_told(run, &done);
    return 0;
}

/* ---- restore ---- */

COMMAND_OPTIONS(backup_restore, {"key-file", OPTION_KEY_FILE, true});

static enum error restore(struct run *run, const char *from, const char *key_file, struct restore_done *ret) {
    char path[BACKUP_PATH_SIZE];
    AUTO_SECRET key = {0};
    TRY(backup_find(from, path, &run->failure));
    TRY(run_code(run, key_file, "The key on the sheet: ", KEY_SIZE / TEXT_CODE_ROW, &key));
    struct home_options options = run_home_options(run);
    return backup_read(&options, path, &key, ret, &run->failure);
}

int backup_restore(struct run *run) {
    const char *from = NULL, *key_file = NULL;
    struct restore_done done = {0};
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == OPTION_KEY_FILE)
            key_file = run->args.value;
        else if (id != CLI_WORD || from)
            return run_usage(run);
        else
            from = run->args.value;
    }
    if (!from) return run_usage_text(run, "the backup is needed: its file, or the folder it is in");
    enum error error = restore(run, from, key_file, &done);
    if (error != E_OK) return run_fail(run, error);
    char time[TIME_SIZE];
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:I, s:o}", "post", done.post, "files", (json_int_t)done.files, "created",
                                       present_json_time(done.created)));
    else
        printf("the home of %s is as it was at %s\n%s", done.post, present_time(&run->look, done.created, time),
               text_is_post(bytes_text(done.post)) ? "run pouch sync now: it fetches what came and went since\n" : "");
    return 0;
}
