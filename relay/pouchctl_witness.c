/* pouchctl_witness.c - heads by file: for a witness that has no link to the relay, what it is asked and what it answers. */
#include "pouchctl.h"

#include <errno.h>
#include <stdio.h>

#include "witness.h"

/* Decimal, up to what a log can hold. */
static bool read_size(const char *text, uint64_t *ret) {
    uint64_t value = 0;
    if (!*text || strlen(text) > 18) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *ret = value;
    return true;
}

static void say_request(const struct task *task, const struct witness_request *request) {
    struct checkpoint checkpoint;
    if (checkpoint_parse(request->note.text, &checkpoint) != E_OK) return;
    if (task->cli.json) {
        fputs("{\"file\": ", stdout);
        cli_json_text(stdout, bytes_text(task->out ? task->out : "-"));
        printf(", \"old\": %llu, \"size\": %llu, \"request\": ", (unsigned long long)request->old,
               (unsigned long long)checkpoint.size);
    } else if (task->out && !task->quiet) {
        printf(
            "%s: the head of %llu entries, for a witness that cosigned %llu last. Take it there within ten minutes.\n",
            task->out, (unsigned long long)checkpoint.size, (unsigned long long)request->old);
    }
}

static int give_request(const struct task *task, struct bytes body) {
    struct witness_request request;
    enum error error = witness_request_parse(body, &request);
    if (error == E_OK && task->out) error = task_write(task->out, body);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", task->out ? task->out : "the relay's answer");
    say_request(task, &request);
    if (task->cli.json) {
        cli_json_text(stdout, body);
        puts("}");
    } else if (!task->out) {
        fwrite(body.p, 1, body.n, stdout);
    }
    return ferror(stdout) || fflush(stdout) ? cli_fail(&task->cli, E_IO, "stdout") : 0;
}

static bool read_log(const char *text, uint64_t *ret) {
    if (strcmp(text, "directory") == 0)
        *ret = LOG_DIRECTORY;
    else if (strcmp(text, "evidence") == 0)
        *ret = LOG_EVIDENCE;
    else
        return false;
    return true;
}

static int run_request(struct task *task) {
    struct command command = {.verb = COMMAND_WITNESS_REQUEST, .has_old = true, .has_log = true, .log = LOG_DIRECTORY};
    AUTO_BUF bytes = {0};
    struct answer answer;
    if (task->word_count != 1)
        return cli_fail(&task->cli, E_USAGE, "one word too many: %.80s", task->words[task->word_count - 1]);
    if (task->old && !read_size(task->old, &command.old))
        return cli_fail_hint(&task->cli, E_USAGE, "give the size that the witness cosigned last; 0 if none",
                             "--old %.40s is no size", task->old);
    if (task->log && !read_log(task->log, &command.log))
        return cli_fail_hint(&task->cli, E_USAGE, "directory, or evidence", "--log %.40s is no log", task->log);
    char about[64] = "";
    if (task->old) snprintf(about, sizeof about, "--old %.20s", task->old);
    task->subject = task->old ? about : NULL; /* not "request", which an error is not about */
    int code = task_ask(task, &command, &bytes, &answer);
    task->subject = NULL;
    return code ? code : give_request(task, answer.data);
}

static int run_add(struct task *task) {
    AUTO_BUF file = {0}, bytes = {0};
    struct answer answer;
    if (task->word_count != 2) return cli_fail(&task->cli, E_USAGE, "witness add needs FILE");
    const char *path = task->words[1];
    errno = 0;
    enum error error = task_read(path, HEAD_NOTE_MAX, &file);
    if (error == E_IO && errno == ENOENT) error = E_NO_FILE;
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", path);
    task->subject = path;
    struct command command = {.verb = COMMAND_WITNESS_ADD, .has_note = true, .note = buf_bytes(&file)};
    int code = task_ask(task, &command, &bytes, &answer);
    if (code) return code;
    if (task->cli.json) {
        fputs("{\"file\": ", stdout);
        cli_json_text(stdout, bytes_text(path));
        puts(", \"added\": true}");
    } else if (!task->quiet) {
        puts("The relay has the cosignature.");
    }
    return 0;
}

int witness_run(struct task *task) {
    if (strcmp(task->subject, "request") == 0) return run_request(task);
    if (strcmp(task->subject, "add") == 0) return run_add(task);
    return cli_fail_hint(&task->cli, E_USAGE, "pouchctl witness request, or pouchctl witness add FILE",
                         "what about the witness?");
}
