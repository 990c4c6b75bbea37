/* pouchctl_backup.c - `backup` and `restore`: all that a relay is, in one folder, whole or not at all.
 *
 * A backup folder holds relay.yaml, relay.card, the keys (unless --no-keys), directory.head, evidence.head,
 * store.sqlite - one moment's, written anew by SQLite while the relay goes on - and `manifest`: a line a file, its
 * BLAKE2b-256 and its name. The heads are copied before the store, so that they are never newer than it. Everything
 * is written into DIR.partial, synced, verified from end to end, and only then renamed. What does not verify becomes
 * DIR.damaged: it may still be the best there is.
 *
 * restore copies the other way, into a folder without a store; the store comes last, by rename, so that a relay that
 * starts in the meantime finds none. Killed at any moment, it is run again and goes on: what is there already must be
 * what it would write. */
#include "pouchctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "head.h"
#include "rows.h"
#include "text.h"

enum { PATH_ROOM = PATH_MAX + 320, COPY_SIZE = 64 * 1024, SUM_SIZE = 32, MANIFEST_MAX = 16 * 1024 };

#define STORE_NAME "store.sqlite"
#define MANIFEST "manifest"

static const struct kept {
    const char *name;
    bool key, head;
} kept_files[] = {
    {"directory.head", false, true}, {"evidence.head", false, true}, {"relay.yaml", false, false},
    {"relay.card", false, false},    {"curve.key", true, false},     {"statement.key", true, false},
    {"log.key", true, false},        {"registrar.key", true, false},
};

static bool path_in(char *ret, const char *folder, const char *name) {
    int n = snprintf(ret, PATH_ROOM, "%s/%s", folder, name);
    return n > 0 && n < PATH_ROOM;
}

static enum error error_of_errno(void) { return errno == ENOSPC || errno == EDQUOT ? E_DISK_FULL : E_IO; }

static bool exists(const char *folder, const char *name) {
    char path[PATH_ROOM];
    return path_in(path, folder, name) && access(path, F_OK) == 0;
}

/* ---- files ---- */

static enum error sync_folder(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return E_IO;
    int failed = fsync(fd);
    close(fd);
    return failed ? E_IO : E_OK;
}

/* The folder in which `path` lies, so that its name there is durable. */
static enum error sync_parent(const char *path) {
    char parent[PATH_ROOM];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return sync_folder(slash == path ? "/" : parent);
}

static enum error write_all(int fd, const uint8_t *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return error_of_errno();
        p += done;
        n -= (size_t)done;
    }
    return E_OK;
}

/* Reads to the end, writing (to >= 0) and hashing. */
static enum error pump(int from, int to, uint8_t ret_sum[static SUM_SIZE]) {
    AUTO_FREE(uint8_t) room = malloc(COPY_SIZE);
    crypto_generichash_state state;
    if (!room) return E_NO_MEMORY;
    crypto_generichash_init(&state, NULL, 0, SUM_SIZE);
    for (;;) {
        ssize_t n = read(from, room, COPY_SIZE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return E_IO;
        if (n == 0) break;
        crypto_generichash_update(&state, room, (size_t)n);
        if (to >= 0) TRY(write_all(to, room, (size_t)n));
    }
    crypto_generichash_final(&state, ret_sum, SUM_SIZE);
    return E_OK;
}

static enum error sum_file(const char *path, uint8_t ret[static SUM_SIZE]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return E_IO;
    enum error error = pump(fd, -1, ret);
    close(fd);
    return error;
}

/* Copies a file, private, replacing what a killed run may have left; synced. */
static enum error copy_file(const char *from, const char *to, mode_t mode, uint8_t ret_sum[static SUM_SIZE]) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return E_IO;
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    enum error error = out < 0 ? error_of_errno() : pump(in, out, ret_sum);
    if (error == E_OK && fsync(out) != 0) error = error_of_errno();
    if (out >= 0) close(out);
    close(in);
    return error;
}

static mode_t mode_of(const char *name) { return strcmp(name, "relay.card") == 0 ? 0644 : 0600; }

/* A folder of ours, with files only. */
static void remove_folder(const char *folder) {
    char path[PATH_ROOM];
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && path_in(path, folder, entry->d_name))
            unlink(path);
    if (dir) closedir(dir);
    rmdir(folder);
}

/* ---- the manifest ---- */

static void add_line(struct buf *manifest, const uint8_t sum[static SUM_SIZE], const char *name) {
    char hex[2 * SUM_SIZE + 1];
    text_hex(sum, SUM_SIZE, hex);
    buf_add(manifest, hex, sizeof hex - 1);
    buf_add(manifest, "  ", 2);
    buf_add_bytes(manifest, bytes_text(name));
    buf_add(manifest, "\n", 1);
}

/* The sum of one file of the backup as its manifest has it; false: it is none of its files. */
static bool find_line(struct bytes manifest, const char *name, uint8_t ret[static SUM_SIZE]) {
    size_t length = strlen(name), line = 2 * SUM_SIZE + 2 + length;
    for (const uint8_t *p = manifest.p, *end = p + manifest.n; p < end;) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) return false;
        if ((size_t)(stop - p) == line && memcmp(p + 2 * SUM_SIZE + 2, name, length) == 0 &&
            text_unhex(bytes_of(p, 2 * SUM_SIZE), ret, SUM_SIZE) == E_OK)
            return true;
        p = stop + 1;
    }
    return false;
}

/* ---- backup ---- */

struct making {
    const struct task *task;
    const char *from, *to; /* folders */
    struct buf manifest;
};

static enum error keep_file(struct making *making, const struct kept *file) {
    char from[PATH_ROOM], to[PATH_ROOM];
    uint8_t sum[SUM_SIZE];
    if (file->key && making->task->no_keys) return E_OK;
    if (!exists(making->from, file->name)) return E_OK; /* no head yet; a registrar's key that was moved away */
    if (!path_in(from, making->from, file->name) || !path_in(to, making->to, file->name)) return E_USAGE;
    TRY(copy_file(from, to, mode_of(file->name), sum));
    add_line(&making->manifest, sum, file->name);
    return E_OK;
}

static enum error keep_store(struct making *making) {
    char from[PATH_ROOM], to[PATH_ROOM];
    uint8_t sum[SUM_SIZE];
    if (!path_in(from, making->from, making->task->config.store_file) || !path_in(to, making->to, STORE_NAME))
        return E_USAGE;
    TRY(rows_copy(from, to));
    TRY(sum_file(to, sum));
    add_line(&making->manifest, sum, STORE_NAME);
    return E_OK;
}

static enum error make_backup(struct making *making) {
    char path[PATH_ROOM];
    for (size_t i = 0; i < LENGTH(kept_files); i++) TRY(keep_file(making, &kept_files[i]));
    FAULT("relay-backup.files");
    TRY(keep_store(making));
    FAULT("relay-backup.store");
    TRY(buf_error(&making->manifest));
    if (!path_in(path, making->to, MANIFEST)) return E_USAGE;
    TRY(task_write(path, buf_bytes(&making->manifest)));
    return sync_folder(making->to);
}

/* Without a slash at its end, so that names can be put beside it. */
static bool clean_name(const char *path, char ret[static PATH_MAX]) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0 || n + 32 >= PATH_MAX) return false;
    memcpy(ret, path, n);
    ret[n] = 0;
    return true;
}

static enum error count(const struct making *making, const char *final, const char *damaged, bool *ret_damaged,
                        struct inspect_numbers *ret_numbers) {
    char store[PATH_ROOM];
    struct card card;
    bool has_card;
    TRY(task_card(making->task, &card, &has_card));
    if (!has_card) return E_NO_FILE;
    if (!path_in(store, making->to, STORE_NAME)) return E_USAGE;
    TRY(verify_store(making->task, store, making->to, &card, false, ret_numbers));
    FAULT("relay-backup.verified");
    *ret_damaged = ret_numbers->findings > 0;
    const char *name = *ret_damaged ? damaged : final;
    if (rename(making->to, name) != 0) return error_of_errno();
    return sync_parent(name);
}

static void say_backup(const struct task *task, const char *folder, const struct inspect_numbers *numbers) {
    if (task->cli.json) {
        fputs("{\"backup\": ", stdout);
        cli_json_text(stdout, bytes_text(folder));
        printf(", \"verified\": true, \"directory\": %llu, \"evidence\": %llu, \"requests\": %llu, \"keys\": %s}\n",
               (unsigned long long)numbers->sizes[0], (unsigned long long)numbers->sizes[1],
               (unsigned long long)numbers->requests, task->no_keys ? "false" : "true");
        return;
    }
    if (task->quiet) return;
    printf("%s is whole and verified: directory %llu, evidence %llu, %llu requests\n", folder,
           (unsigned long long)numbers->sizes[0], (unsigned long long)numbers->sizes[1],
           (unsigned long long)numbers->requests);
    if (!task->no_keys)
        puts("It holds the relay's keys: who has it can speak in the relay's name. Keep it as you keep those");
}

int backup_run(struct task *task) {
    char final[PATH_MAX], partial[PATH_MAX + 16], damaged[PATH_MAX + 16];
    struct making making = {.task = task, .from = task->config.folder};
    struct inspect_numbers numbers;
    bool is_damaged = false;
    if (!clean_name(task->subject, final)) return cli_fail(&task->cli, E_USAGE, "%s", task->subject);
    if (access(final, F_OK) == 0)
        return cli_fail_hint(&task->cli, E_USAGE, "name a folder that is not there yet, with the day in its name",
                             "%s is there already", final);
    snprintf(partial, sizeof partial, "%s.partial", final);
    snprintf(damaged, sizeof damaged, "%s.damaged", final);
    remove_folder(partial); /* of a backup that was killed */
    if (mkdir(partial, 0700) != 0) return cli_fail(&task->cli, error_of_errno(), "%s: %s", partial, strerror(errno));
    making.to = partial;
    FAULT("relay-backup.begun");
    enum error error = make_backup(&making);
    buf_free(&making.manifest);
    if (error == E_OK) error = count(&making, final, damaged, &is_damaged, &numbers);
    if (error != E_OK) {
        remove_folder(partial);
        return cli_fail(&task->cli, error, "%s: no backup was made", final);
    }
    if (is_damaged) {
        cli_fail_hint(&task->cli, E_CORRUPT, "see `pouchctl verify` for the relay's own store; change nothing there",
                      "the copy does not verify, and was left as %s", damaged);
        return VERIFY_FINDINGS_EXIT;
    }
    FAULT("relay-backup.renamed");
    say_backup(task, final, &numbers);
    return 0;
}

/* ---- restore ---- */

struct restoring {
    const struct task *task;
    char from[PATH_MAX], to[PATH_MAX];
    struct config config; /* the backup's */
    struct card card;
    struct buf manifest;
    char what[PATH_ROOM]; /* the file at fault */
    bool older[2];        /* the folder knows a newer head than the backup, of this log */
    uint64_t sizes[2], newer[2];
};

static enum error blame(struct restoring *restoring, enum error error, const char *name) {
    snprintf(restoring->what, sizeof restoring->what, "%.*s", (int)sizeof restoring->what - 1, name);
    return error;
}

/* Every file of the manifest is there and is what it was; and the store verifies. */
static enum error check_backup(struct restoring *restoring) {
    char path[PATH_ROOM];
    uint8_t said[SUM_SIZE], found[SUM_SIZE];
    struct inspect_numbers numbers;
    if (!path_in(path, restoring->from, MANIFEST)) return E_USAGE;
    if (task_read(path, MANIFEST_MAX, &restoring->manifest) != E_OK) return blame(restoring, E_IO, MANIFEST);
    for (size_t i = 0; i <= LENGTH(kept_files); i++) {
        const char *name = i < LENGTH(kept_files) ? kept_files[i].name : STORE_NAME;
        bool listed = find_line(buf_bytes(&restoring->manifest), name, said);
        if (!path_in(path, restoring->from, name)) return E_USAGE;
        bool there = access(path, F_OK) == 0;
        bool needed =
            strcmp(name, STORE_NAME) == 0 || strcmp(name, "relay.yaml") == 0 || strcmp(name, "relay.card") == 0;
        if (listed != there || (needed && !there)) return blame(restoring, E_CORRUPT, name);
        if (!listed) continue;
        TRY(sum_file(path, found));
        if (memcmp(said, found, SUM_SIZE) != 0) return blame(restoring, E_CORRUPT, name);
    }
    AUTO_BUF text = {0};
    if (!path_in(path, restoring->from, "relay.card")) return E_USAGE;
    TRY(task_read(path, TASK_FILE_MAX, &text));
    if (card_parse(buf_bytes(&text), &restoring->card, NULL) != E_OK) return blame(restoring, E_CORRUPT, "relay.card");
    if (!path_in(path, restoring->from, "relay.yaml")) return E_USAGE;
    if (config_read(path, NULL, &restoring->config) != E_OK) return blame(restoring, E_CONFIG, "relay.yaml");
    if (!path_in(path, restoring->from, STORE_NAME)) return E_USAGE;
    TRY(verify_store(restoring->task, path, restoring->from, &restoring->card, false, &numbers));
    memcpy(restoring->sizes, numbers.sizes, sizeof numbers.sizes);
    return numbers.findings ? blame(restoring, E_CORRUPT, STORE_NAME) : E_OK;
}

/* Heads that the folder knows and the backup does not: what was signed stays known. */
static enum error compare_heads(struct restoring *restoring) {
    for (int i = 0; i < 2; i++) {
        AUTO_BUF note = {0};
        struct head head;
        TRY(verify_read_head(restoring->to, i ? "evidence.head" : "directory.head", &note));
        if (note.n == 0) continue;
        enum relay_log log = i ? LOG_EVIDENCE : LOG_DIRECTORY;
        if (head_open_log(&restoring->card, log, buf_bytes(&note), &head) != E_OK) continue;
        restoring->newer[i] = head.size;
        restoring->older[i] = head.size > restoring->sizes[i];
    }
    return E_OK;
}

/* No relay may run there; held until this program ends. */
static enum error lock_target(const char *folder, int *ret_fd) {
    char path[PATH_ROOM];
    if (!path_in(path, folder, "lock")) return E_USAGE;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return E_IO;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return E_RELAY_RUNNING;
    }
    *ret_fd = fd;
    return E_OK;
}

/* What stands in the way: a store, or what SQLite has left beside one. */
static bool has_store(const struct restoring *restoring) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[320];
    for (size_t i = 0; i < LENGTH(ends); i++) {
        snprintf(name, sizeof name, "%s%s", restoring->config.store_file, ends[i]);
        if (exists(restoring->to, name)) return true;
    }
    return false;
}

/* A new one each time: in that of a restore that was killed a moment ago, renaming would overwrite what was put aside. */
static enum error make_aside(const struct restoring *restoring, char ret_folder[static PATH_ROOM]) {
    char day[32], name[48];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(day, sizeof day, "aside-%Y%m%dT%H%M%SZ", &utc);
    snprintf(name, sizeof name, "%s", day);
    for (unsigned number = 2;; number++) {
        if (!path_in(ret_folder, restoring->to, name)) return E_USAGE;
        if (mkdir(ret_folder, 0700) == 0) return E_OK;
        if (errno != EEXIST) return error_of_errno();
        snprintf(name, sizeof name, "%s-%u", day, number);
    }
}

/* All files of a relay into one folder beside them; the heads stay, because what was signed must stay known. */
static enum error move_aside(struct restoring *restoring, char ret_folder[static PATH_ROOM]) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[320], from[PATH_ROOM], to[PATH_ROOM];
    TRY(make_aside(restoring, ret_folder));
    for (size_t i = 0; i < LENGTH(kept_files) + LENGTH(ends); i++) {
        if (i < LENGTH(kept_files) && kept_files[i].head) continue;
        if (i < LENGTH(kept_files))
            snprintf(name, sizeof name, "%s", kept_files[i].name);
        else
            snprintf(name, sizeof name, "%s%s", restoring->config.store_file, ends[i - LENGTH(kept_files)]);
        if (!exists(restoring->to, name)) continue;
        if (!path_in(from, restoring->to, name) || !path_in(to, ret_folder, name)) return E_USAGE;
        if (rename(from, to) != 0) return blame(restoring, error_of_errno(), name);
        FAULT("relay-restore.aside");
    }
    TRY(sync_folder(ret_folder));
    return sync_folder(restoring->to);
}

static bool same_files(const char *a, const char *b) {
    uint8_t one[SUM_SIZE], other[SUM_SIZE];
    return sum_file(a, one) == E_OK && sum_file(b, other) == E_OK && memcmp(one, other, SUM_SIZE) == 0;
}

/* One file, whole or not at all; what is there already must be the same. */
static enum error put_file(struct restoring *restoring, const char *name, const char *as) {
    char from[PATH_ROOM], to[PATH_ROOM], new[PATH_ROOM + 16];
    uint8_t said[SUM_SIZE], sum[SUM_SIZE];
    if (!find_line(buf_bytes(&restoring->manifest), name, said)) return E_OK;
    if (!path_in(from, restoring->from, name) || !path_in(to, restoring->to, as)) return E_USAGE;
    if (access(to, F_OK) == 0) return same_files(from, to) ? E_OK : blame(restoring, E_HOME_EXISTS, as);
    snprintf(new, sizeof new, "%s.restoring", to);
    enum error error = copy_file(from, new, mode_of(name), sum);
    if (error == E_OK && memcmp(sum, said, SUM_SIZE) != 0) error = E_CORRUPT;
    FAULT("relay-restore.copied");
    if (error == E_OK && rename(new, to) != 0) error = error_of_errno();
    if (error != E_OK) unlink(new);
    return error == E_OK ? sync_folder(restoring->to) : blame(restoring, error, as);
}

static enum error put_head(struct restoring *restoring, int which) {
    const char *name = which ? "evidence.head" : "directory.head";
    return exists(restoring->to, name) ? E_OK : put_file(restoring, name, name);
}

static enum error put_all(struct restoring *restoring) {
    TRY(put_head(restoring, 0));
    TRY(put_head(restoring, 1));
    for (size_t i = 0; i < LENGTH(kept_files); i++)
        if (!kept_files[i].head) TRY(put_file(restoring, kept_files[i].name, kept_files[i].name));
    FAULT("relay-restore.files");
    return put_file(restoring, STORE_NAME, restoring->config.store_file);
}

static void say_restored(const struct restoring *restoring, const char *aside) {
    bool older = restoring->older[0] || restoring->older[1];
    if (restoring->task->cli.json) {
        fputs("{\"restored\": ", stdout);
        cli_json_text(stdout, bytes_text(restoring->to));
        printf(", \"directory\": %llu, \"evidence\": %llu, \"older_than_signed\": %s, \"aside\": ",
               (unsigned long long)restoring->sizes[0], (unsigned long long)restoring->sizes[1],
               older ? "true" : "false");
        if (aside[0])
            cli_json_text(stdout, bytes_text(aside));
        else
            fputs("null", stdout);
        puts("}");
        return;
    }
    if (aside[0]) printf("what was there is in %s now\n", aside);
    printf("%s is restored: directory %llu, evidence %llu\n", restoring->to, (unsigned long long)restoring->sizes[0],
           (unsigned long long)restoring->sizes[1]);
    if (older)
        printf(
            "This store is older than what the relay has signed (directory %llu, evidence %llu): pouchd will refuse "
            "to\n"
            "start, because it would sign a second history. If a newer store exists, bring that back. If none does,\n"
            "what came later is lost here and its loss must be declared: see \"A store that is older\" in "
            "OPERATING.md\n",
            (unsigned long long)restoring->newer[0], (unsigned long long)restoring->newer[1]);
    else
        puts("If the relay has worked on since this backup was made, somebody holds newer heads than this store has: "
             "then\n"
             "do not start it, see \"A store that is older\" in OPERATING.md");
}

static int fail_restore(const struct restoring *restoring, enum error error) {
    const struct cli *cli = &restoring->task->cli;
    if (error == E_HOME_EXISTS)
        return cli_fail_hint(cli, error, "restore into an empty folder, or with --aside", "%s/%s is there already",
                             restoring->to, restoring->what[0] ? restoring->what : restoring->config.store_file);
    if (error == E_CORRUPT) {
        cli_fail_hint(cli, error, "take another backup; nothing was changed", "%s: %s is damaged or missing",
                      restoring->from, restoring->what);
        return VERIFY_FINDINGS_EXIT;
    }
    return cli_fail(cli, error, "%s", restoring->what[0] ? restoring->what : restoring->to);
}

static enum error restore(struct restoring *restoring, char aside[static PATH_ROOM]) {
    int lock = -1;
    TRY(check_backup(restoring));
    FAULT("relay-restore.begun");
    if (mkdir(restoring->to, 0700) != 0 && errno != EEXIST) return blame(restoring, error_of_errno(), restoring->to);
    TRY(lock_target(restoring->to, &lock));
    enum error error = E_OK;
    if (restoring->task->aside) error = move_aside(restoring, aside);
    if (error == E_OK && has_store(restoring)) error = E_HOME_EXISTS;
    if (error == E_OK) error = compare_heads(restoring);
    if (error == E_OK) error = put_all(restoring);
    close(lock);
    return error;
}

int restore_run(struct task *task) {
    static struct restoring restoring;
    char aside[PATH_ROOM] = "";
    restoring.task = task;
    if (!task->config_path)
        return cli_fail_hint(&task->cli, E_USAGE,
                             "add --config FILE: relay.yaml in the folder that is to be the relay's",
                             "restore to where?");
    const char *slash = strrchr(task->config_path, '/');
    snprintf(restoring.to, sizeof restoring.to, "%.*s", slash ? (int)(slash - task->config_path) : 1,
             slash ? task->config_path : ".");
    if (!clean_name(task->subject, restoring.from)) return cli_fail(&task->cli, E_USAGE, "%s", task->subject);
    enum error error = restore(&restoring, aside);
    buf_free(&restoring.manifest);
    if (error != E_OK) return fail_restore(&restoring, error);
    if (!task->quiet) say_restored(&restoring, aside);
    return 0;
}
