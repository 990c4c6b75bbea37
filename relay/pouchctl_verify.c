/* pouchctl_verify.c - `verify`: the store looked through from end to end (inspect.h), also while the relay works on
 * it. */
#include "pouchctl.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <unistd.h>

#include "inspect.h"
#include "text.h"

struct showing {
    const struct cli *cli;
    bool terminal, result; /* result: findings are what was asked for; else they are talk */
    uint64_t shown;
};

static void json_pair(const char *name, const char *text) {
    printf("\"%s\": ", name);
    cli_json_text(stdout, bytes_text(text));
}

static void finding_json(const struct inspect_finding *finding, bool first) {
    fputs(first ? "{" : ", {", stdout);
    json_pair("table", finding->table);
    if (finding->has_row) printf(", \"row\": %lld", (long long)finding->row);
    fputs(", ", stdout);
    json_pair("about", finding->what);
    fputs(", ", stdout);
    json_pair("finding", finding->name);
    fputs(", ", stdout);
    json_pair("error", error_row(finding->error)->name);
    fputs(", ", stdout);
    json_pair("message", finding->words);
    fputs(", ", stdout);
    json_pair("hint", finding->todo);
    putchar('}');
}

static void finding_people(FILE *out, const struct inspect_finding *finding) {
    fputs(finding->table[0] ? finding->table : "file", out);
    if (finding->has_row) fprintf(out, " row %lld", (long long)finding->row);
    if (finding->what[0]) fprintf(out, " (%s)", finding->what);
    fprintf(out, ": %s\n  %s\n", finding->words, finding->todo);
}

static enum error show(void *context, const struct inspect_finding *finding) {
    struct showing *showing = context;
    if (showing->terminal) fputs("\r\033[K", stderr);
    if (!showing->result)
        finding_people(stderr, finding);
    else if (showing->cli->json)
        finding_json(finding, showing->shown == 0);
    else
        finding_people(stdout, finding);
    showing->shown++;
    return E_OK;
}

static void progress(void *context, const char *table, uint64_t done) {
    const struct showing *showing = context;
    if (showing->terminal) fprintf(stderr, "\r\033[K%s %llu", table, (unsigned long long)done);
}

/* ---- what was kept outside the store ---- */

enum error verify_read_head(const char *folder, const char *name, struct buf *ret) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    enum error error = task_read(path, HEAD_NOTE_MAX, ret);
    while (error == E_OK && ret->n > 1 && ret->p[ret->n - 1] == '\n' && ret->p[ret->n - 2] == '\n')
        ret->n--; /* the rest of a block (headfile.c) */
    return error == E_IO && errno == ENOENT ? E_OK : error;
}

/* The folder in which a file lies. */
static void folder_of(const char *path, char ret[static PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    snprintf(ret, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (slash == path) snprintf(ret, PATH_MAX, "/");
}

static void log_json(const char *name, uint64_t size, const uint8_t root[static HASH_SIZE]) {
    char hex[2 * HASH_SIZE + 1];
    text_hex(root, HASH_SIZE, hex);
    printf("\"%s\": {\"size\": %llu, \"root\": \"%s\"}", name, (unsigned long long)size, hex);
}

static void summary_json(const char *store, const struct inspect_numbers *numbers) {
    fputs("], ", stdout);
    printf("\"verified\": %s, ", numbers->findings ? "false" : "true");
    json_pair("store", store);
    fputs(", ", stdout);
    log_json("directory", numbers->sizes[0], numbers->roots[0]);
    fputs(", ", stdout);
    log_json("evidence", numbers->sizes[1], numbers->roots[1]);
    printf(", \"requests\": %llu, \"legs\": %llu, \"receipts\": %llu, \"chunks\": %llu, \"feed_items\": %llu}\n",
           (unsigned long long)numbers->requests, (unsigned long long)numbers->legs,
           (unsigned long long)numbers->receipts, (unsigned long long)numbers->chunks,
           (unsigned long long)numbers->items);
}

static void summary_people(const char *store, const struct inspect_numbers *numbers, bool quiet) {
    if (numbers->findings) {
        printf("%s: %llu findings. Nothing was changed\n", store, (unsigned long long)numbers->findings);
        return;
    }
    if (quiet) return;
    printf("%s holds: directory %llu, evidence %llu, %llu requests, %llu legs, %llu receipts, %llu chunks, %llu feed "
           "items\n",
           store, (unsigned long long)numbers->sizes[0], (unsigned long long)numbers->sizes[1],
           (unsigned long long)numbers->requests, (unsigned long long)numbers->legs,
           (unsigned long long)numbers->receipts, (unsigned long long)numbers->chunks,
           (unsigned long long)numbers->items);
}

enum error verify_store(const struct task *task, const char *store, const char *folder, const struct card *card,
                        bool show_result, struct inspect_numbers *ret) {
    AUTO_BUF directory = {0}, evidence = {0};
    struct showing showing = {
        .cli = &task->cli, .terminal = !task->quiet && isatty(STDERR_FILENO), .result = show_result};
    TRY(verify_read_head(folder, "directory.head", &directory));
    TRY(verify_read_head(folder, "evidence.head", &evidence));
    struct inspect_options options = {.store = store,
                                      .card = card,
                                      .outside = {buf_bytes(&directory), buf_bytes(&evidence)},
                                      .context = &showing,
                                      .tell = show,
                                      .progress = progress};
    if (task->cli.json && show_result) fputs("{\"findings\": [", stdout);
    enum error error = inspect_store(&options, ret);
    if (showing.terminal) fputs("\r\033[K", stderr);
    if (error != E_OK) return error;
    if (show_result && task->cli.json)
        summary_json(store, ret);
    else if (show_result)
        summary_people(store, ret, task->quiet);
    return E_OK;
}

static int fail_store(const struct task *task, enum error error, const char *store) {
    if (task->cli.json) puts("], \"verified\": false}");
    if (error == E_CORRUPT)
        return cli_fail_hint(
            &task->cli, error,
            "if the relay was just updated, start it once; else change nothing and bring back the newest "
            "backup that verifies",
            "%s is no store of this version, or too damaged to be read", store);
    return cli_fail(&task->cli, error, "%s", store);
}

/* verify [--store FILE]: of a backup, the card beside it unless --card names one. */
int verify_run(struct task *task) {
    char store[2 * PATH_MAX], folder[PATH_MAX], beside[PATH_MAX + 16];
    struct inspect_numbers numbers;
    struct card card;
    bool has_card;
    if (!task->store && !task->config_path)
        return cli_fail_hint(&task->cli, E_USAGE,
                             "add --config FILE, the relay's relay.yaml, or --store FILE of a backup", "which store?");
    if (task->store) {
        snprintf(store, sizeof store, "%s", task->store);
        folder_of(store, folder);
        snprintf(beside, sizeof beside, "%s/relay.card", folder);
        if (!task->card_path && access(beside, R_OK) == 0) task->card_path = beside;
    } else {
        snprintf(folder, sizeof folder, "%s", task->config.folder);
        snprintf(store, sizeof store, "%s/%s", folder, task->config.store_file);
    }
    enum error error = task_card(task, &card, &has_card);
    if (error == E_OK && !has_card) error = E_IO;
    if (error != E_OK) return cli_fail_hint(&task->cli, error, "name the relay's card with --card", "relay.card");
    error = verify_store(task, store, folder, &card, true, &numbers);
    if (error != E_OK) return fail_store(task, error, store);
    return numbers.findings ? VERIFY_FINDINGS_EXIT : 0;
}
