/* inbox.c - what has come, what was sent, and one request whole. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../words.h"
#include "commands.h"
#include "files.h"
#include "text.h"

enum { OPTION_ALL = 1, OPTION_BODY, OPTION_SAVE };
enum { SHOWN_MAX = 1024 * 1024, SAVED_NAME_MAX = 240 };

const char *command_one_word(struct run *run, const char *what, int *ret_exit) {
    const char *word = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id != CLI_WORD || word) {
            *ret_exit = run_usage(run);
            return NULL;
        }
        word = run->args.value;
    }
    if (!word) *ret_exit = run_usage_text(run, "%s is needed", what);
    return word;
}

/* ---- inbox, sent ---- */

COMMAND_OPTIONS(inbox_inbox, {"all", OPTION_ALL, false});
COMMAND_OPTIONS(inbox_sent, {"all", OPTION_ALL, false});

static const char *other_end(const struct request_view *view, char *ret, size_t size) {
    if (!view->mine) return view->from;
    if (view->leg_count == 0) return "-";
    if (view->leg_count == 1) return view->legs[0].to;
    snprintf(ret, size, "%s and %zu more", view->legs[0].to, view->leg_count - 1);
    return ret;
}

static void list_row(const struct run *run, struct table *table, const struct request_view *view) {
    char other[POST_MAX + 32], time[TIME_SIZE];
    const char *urgent = view->precedence == PRECEDENCE_ROUTINE ? "" : words_name(WORDS_PRECEDENCE, view->precedence);
    const char *before = view->is_reply ? "Re: " : "", *subject = view->sealed ? "(sealed)" : view->subject;
    table_add(table, STYLE_BOLD, "%llu", (unsigned long long)view->number);
    table_add(table, STYLE_NONE, "%s", view->reference);
    table_add(table, view->exercise ? STYLE_LOUD : STYLE_NONE, "%s", view->exercise ? "EXERCISE" : "");
    if (view->has_tlp)
        table_add(table, STYLE_TLP + (unsigned)view->tlp, "TLP:%s", words_name(WORDS_TLP, view->tlp));
    else
        table_add(table, STYLE_NONE, "-");
    table_add(table, STYLE_NONE, "%s", other_end(view, other, sizeof other));
    table_add(table, STYLE_NONE, "%s", view->sealed ? "-" : words_name(WORDS_KIND, view->kind));
    table_add(table, view->precedence >= PRECEDENCE_IMMEDIATE ? STYLE_LOUD : STYLE_NONE, "%s", urgent);
    table_add(table, STYLE_NONE, "%s%s", present_state(view), view->ignored ? ", ignored" : "");
    table_add(table, STYLE_NONE, "%s%s", before, subject);
    table_add(table, STYLE_NONE, "%s", present_time(&run->look, view->stored.ms ? view->stored : view->created, time));
}

static enum error list_box(struct run *run, enum client_box box, bool all) {
    static const char *const received[] = {"#>",   "REF",    "",      "TLP",     "FROM",
                                           "KIND", "URGENT", "STATE", "SUBJECT", "RECEIVED"};
    static const char *const sent[] = {"#>", "REF", "", "TLP", "TO", "KIND", "URGENT", "STATE", "SUBJECT", "SENT"};
    AUTO_TABLE table = {.heads = box == BOX_INBOX ? received : sent, .columns = LENGTH(received), .elastic = 8};
    AUTO_BUF digests = {0};
    TRY(client_list(&run->home, box, all, &digests, &run->failure));
    for (size_t at = 0; at + HASH_SIZE <= digests.n; at += HASH_SIZE) {
        AUTO_VIEW view = {0};
        TRY(client_view(&run->home, digests.p + at, &view, &run->failure));
        if (run->cli.json)
            present_json(stdout, present_json_request(&view));
        else
            list_row(run, &table, &view);
    }
    if (table.failed) return E_NO_MEMORY;
    if (table.count)
        table_print(&table, stdout, &run->look);
    else if (!run->cli.json)
        run_say(run, all ? "nothing here" : "nothing open; --all shows what is settled");
    return E_OK;
}

static int list_command(struct run *run, enum client_box box) {
    bool all = false;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_ALL: all = true; break;
        default: return run_usage(run);
        }
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    error = list_box(run, box, all);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}

int inbox_inbox(struct run *run) { return list_command(run, BOX_INBOX); }
int inbox_sent(struct run *run) { return list_command(run, BOX_SENT); }

/* ---- show ---- */

COMMAND_OPTIONS(inbox_show, {"body", OPTION_BODY, true}, {"save", OPTION_SAVE, true});

static void line(const char *name, const char *value) { printf("%-11s %s\n", name, value); }

static void print_marking(const struct run *run, const struct request_view *view) {
    printf("%-11s ", "marking");
    present_tlp(stdout, &run->look, view->has_tlp, view->tlp);
    if (view->has_pap) printf("  PAP:%s", words_name(WORDS_PAP, view->pap));
    fputc('\n', stdout);
}

/* Who said the last word: a machine's "accepted" is not an officer's. */
static const char *by_whom(const struct leg_view *leg) {
    switch (leg->spoken) {
    case SPEAKER_OFFICER: return "; said by an officer";
    case SPEAKER_MACHINE: return "; said by a machine";
    case SPEAKER_RELAY: break;
    }
    return "";
}

static void print_consents(const struct request_view *view) {
    char who[2 * POST_MAX + 16];
    if (view->disclosure)
        line("disclosure", "both: its sender asks that others are shown it only if both sides agree (pouch consent)");
    for (size_t i = 0; i < view->leg_count; i++) {
        const struct leg_view *leg = &view->legs[i];
        if (!view->disclosure && leg->consents == 0) continue;
        present_consents(view, leg, who, sizeof who);
        printf("%-11s %s%s%s\n", "consent", view->mine ? leg->to : "", view->mine ? ": " : "", who);
    }
}

static void print_offer(const struct run *run, const struct request_view *view) {
    line("kind", words_name(WORDS_KIND, view->kind));
    print_marking(run, view);
    printf("%-11s ", "subject");
    present_text(stdout, &run->look, STYLE_BOLD, bytes_text(view->subject), false);
    fputc('\n', stdout);
    if (view->language[0]) {
        printf("%-11s ", "language");
        present_text(stdout, &run->look, STYLE_NONE, bytes_text(view->language), false);
        fputc('\n', stdout);
    }
    if (view->summary.n == 0) return;
    fputc('\n', stdout);
    present_text(stdout, &run->look, STYLE_NONE, buf_bytes(&view->summary), true);
    fputc('\n', stdout);
}

static void print_legs(const struct request_view *view) {
    for (size_t i = 0; i < view->leg_count; i++) {
        const struct leg_state_row *row = leg_state_row(view->legs[i].state);
        const char *trouble = present_leg_trouble(&view->legs[i]), *by = view->legs[i].forwarder;
        printf("%-11s %s: %s", i == 0 ? (view->mine ? "to" : "state") : "", view->mine ? view->legs[i].to : "",
               present_leg_state(&view->legs[i]));
        printf(" (%s)%s%s%s\n", trouble ? trouble : row ? row->text : "", by_whom(&view->legs[i]),
               *by ? "; forwarded by " : "", by);
    }
}

void command_print_request(struct run *run, const struct request_view *view) {
    char time[TIME_SIZE], id[2 * TEXT_ID_BYTES + 1], policy[128];
    present_exercise(stdout, &run->look, view->exercise);
    present_id(view->digest, id);
    line("reference", view->reference);
    line("id", id);
    line("from", view->from);
    if (view->is_reply) {
        present_id(view->parent_header, id);
        line("reply to", id);
    }
    if (view->unpaired) {
        struct bytes party = text_party_of(bytes_text(view->from));
        printf("%-11s not under a secret shared with %.*s, which this post requires\n", "warning", (int)party.n,
               (const char *)party.p);
    }
    line("urgency", words_name(WORDS_PRECEDENCE, view->precedence));
    if (view->stored.ms) line("stored", present_time(&run->look, view->stored, time));
    if (view->has_answer_by) line("answer by", present_time(&run->look, view->answer_by, time));
    if (view->expires.ms) line("kept until", present_time(&run->look, view->expires, time));
    if (!view->mine && view->leg_count) {
        const struct leg_state_row *row = leg_state_row(view->legs[0].state);
        const struct leg_view *leg = &view->legs[0];
        printf("%-11s %s (%s)%s\n", "state", present_leg_state(leg), row ? row->text : "", by_whom(leg));
        if (leg->forwarder[0]) line(leg->away ? "forwarded to" : "forwarded by", leg->away ? leg->to : leg->forwarder);
    } else {
        print_legs(view);
    }
    present_policy(view, policy, sizeof policy);
    if (*policy) line("policy", policy);
    print_consents(view);
    if (view->is_reply && !view->sealed) print_marking(run, view);
    if (view->is_reply) return;
    if (view->sealed)
        line("offer", view->leg_count && !view->mine && view->legs[0].away
                          ? "forwarded before this device could read it"
                          : "cannot be read on this device yet");
    else
        print_offer(run, view);
}

/* Whether the recipient's acceptance, or being the sender, has made the body readable. */
static bool body_is_ours(const struct request_view *view) {
    if (!view->has_body) return false;
    if (view->mine || view->is_reply) return true;
    if (view->leg_count == 0) return false;
    enum leg_state state = view->legs[0].state;
    return state == STATE_ACCEPTED || state == STATE_HANDED_OVER || state == STATE_ACKNOWLEDGED ||
           state == STATE_CLOSED;
}

static enum error gather(void *context, struct bytes piece) {
    struct buf *out = context;
    if (out->n + piece.n > SHOWN_MAX) piece.n = SHOWN_MAX - out->n;
    buf_add_bytes(out, piece);
    return buf_error(out);
}

static enum error body_files(struct run *run, const uint8_t digest[static HASH_SIZE],
                             struct body_file files[static PARTS_MAX], size_t *ret_count) {
    enum error error = client_body_files(&run->home, run->relay, digest, files, PARTS_MAX, ret_count, &run->failure);
    bar_end(&run->bar);
    return error;
}

/* The text is the file without a name. */
static bool text_of(const struct body_file *files, size_t count, size_t *ret) {
    for (size_t i = 0; i < count; i++) {
        if (files[i].name[0]) continue;
        *ret = i;
        return true;
    }
    return false;
}

enum error command_print_body(struct run *run, const struct request_view *view) {
    AUTO_FREE(struct body_file) files = calloc(PARTS_MAX, sizeof *files);
    AUTO_BUF text = {0};
    size_t count = 0, which;
    if (!files) return E_NO_MEMORY;
    TRY(body_files(run, view->digest, files, &count));
    if (text_of(files, count, &which)) {
        TRY(client_body_read(&run->home, view->digest, which, gather, &text, &run->failure));
        fputc('\n', stdout);
        present_text(stdout, &run->look, STYLE_NONE, buf_bytes(&text), true);
        if (text.n && text.p[text.n - 1] != '\n') fputc('\n', stdout);
        if (files[which].length > text.n) run_say(run, "the text goes on: pouch show %s --body -", view->reference);
    }
    for (size_t i = 0; i < count; i++) {
        if (!files[i].name[0]) continue;
        printf("attachment  ");
        present_text(stdout, &run->look, STYLE_NONE, bytes_text(files[i].name), false);
        printf("  %llu bytes\n", (unsigned long long)files[i].length);
    }
    return E_OK;
}

/* ---- show: JSON ---- */

static enum error add_body(struct run *run, const struct request_view *view, json_t *object) {
    AUTO_FREE(struct body_file) files = calloc(PARTS_MAX, sizeof *files);
    AUTO_BUF text = {0};
    size_t count = 0, which;
    if (!files) return E_NO_MEMORY;
    TRY(body_files(run, view->digest, files, &count));
    json_t *attachments = json_array();
    for (size_t i = 0; i < count; i++) {
        if (!files[i].name[0]) continue;
        json_array_append_new(attachments, json_pack("{s:o, s:I}", "name", present_json_text(bytes_text(files[i].name)),
                                                     "length", (json_int_t)files[i].length));
    }
    json_object_set_new(object, "attachments", attachments);
    if (!text_of(files, count, &which)) return E_OK;
    TRY(client_body_read(&run->home, view->digest, which, gather, &text, &run->failure));
    json_object_set_new(object, "body", present_json_text(buf_bytes(&text)));
    json_object_set_new(object, "body_length", json_integer((json_int_t)files[which].length));
    return E_OK;
}

static json_t *show_json(const struct request_view *view) {
    json_t *object = present_json_request(view);
    bool offer = !view->sealed;
    json_object_set_new(object, "summary", offer ? present_json_text(buf_bytes(&view->summary)) : json_null());
    json_object_set_new(object, "language",
                        offer && view->language[0] ? present_json_text(bytes_text(view->language)) : json_null());
    json_object_set_new(object, "pap",
                        offer && view->has_pap ? json_string(words_name(WORDS_PAP, view->pap)) : json_null());
    json_object_set_new(object, "disclosure", offer && view->disclosure ? json_string("both") : json_null());
    json_object_set_new(object, "offer_only", json_boolean(view->offer_only));
    json_object_set_new(object, "expires", present_json_time(view->expires));
    json_object_set_new(object, "legs", present_json_legs(view));
    json_object_set_new(object, "shared_secret", json_boolean(view->paired));
    json_object_set_new(object, "shared_secret_missing", json_boolean(view->unpaired));
    json_object_set_new(object, "body", json_null());
    return object;
}

/* ---- show: bytes and files ---- */

static enum error write_fd(void *context, struct bytes piece) {
    int fd = *(const int *)context;
    while (piece.n > 0) {
        ssize_t n = write(fd, piece.p, piece.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == ENOSPC || errno == EDQUOT ? E_DISK_FULL : E_IO;
        piece.p += n;
        piece.n -= (size_t)n;
    }
    return E_OK;
}

static enum error needs_body(struct run *run, const struct request_view *view) {
    if (body_is_ours(view)) return E_OK;
    return fail(&run->failure, view->has_body ? E_NOT_ACCEPTED : E_NO_BODY, "%s", view->reference);
}

static enum error body_bytes(struct run *run, const struct request_view *view) {
    AUTO_FREE(struct body_file) files = calloc(PARTS_MAX, sizeof *files);
    size_t count = 0, which;
    int fd = STDOUT_FILENO;
    if (!files) return E_NO_MEMORY;
    TRY(needs_body(run, view));
    TRY(body_files(run, view->digest, files, &count));
    if (!text_of(files, count, &which))
        return fail(&run->failure, E_NO_BODY, "%s has attachments only", view->reference);
    return client_body_read(&run->home, view->digest, which, write_fd, &fd, &run->failure);
}

/* At most so many bytes, cut between characters, with the ending (".pdf") kept where there is a short one. */
static void shorten(char *name, size_t most) {
    enum { ENDING_MAX = 12 };
    size_t n = strlen(name);
    const char *dot = strrchr(name, '.');
    size_t ending = dot && n - (size_t)(dot - name) <= ENDING_MAX ? n - (size_t)(dot - name) : 0;
    if (n <= most) return;
    size_t keep = most - ending;
    while (keep > 0 && ((unsigned char)name[keep] & 0xc0) == 0x80) keep--;
    memmove(name + keep, name + n - ending, ending + 1);
}

/* A sender's file name, made harmless: no path, no leading dot, no control or direction characters; never empty, and
 * short enough for a file system also with a number before it. */
static void safe_name(const char *name, size_t number, char *ret, size_t size) {
    const char *base = strrchr(name, '/');
    AUTO_BUF shown = {0};
    text_for_terminal(bytes_text(base ? base + 1 : name), false, &shown);
    snprintf(ret, size, "%s", shown.failed ? "" : (const char *)shown.p);
    for (char *p = ret; *p; p++)
        if (*p == '\\' || *p == '\t' || *p == '\n') *p = '_';
    while (*ret == '.') memmove(ret, ret + 1, strlen(ret));
    if (!*ret) snprintf(ret, size, "attachment-%zu", number);
    shorten(ret, SAVED_NAME_MAX);
}

/* Opens a new file; a name that is taken gets a number. */
static int open_new(const char *folder, const char *name, char *ret_path, size_t size) {
    for (unsigned i = 0; i < 1000; i++) {
        if (i == 0)
            snprintf(ret_path, size, "%s/%s", folder, name);
        else
            snprintf(ret_path, size, "%s/%u-%s", folder, i, name);
        int fd = open(ret_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

static enum error save_one(struct run *run, const struct request_view *view, const struct body_file *file, size_t index,
                           const char *folder, json_t *list) {
    char name[FILENAME_MAX_SIZE * 3 + 64], path[8192];
    safe_name(file->name, index, name, sizeof name);
    int fd = open_new(folder, name, path, sizeof path);
    if (fd < 0) return files_failure(&run->failure, path);
    enum error error = client_body_read(&run->home, view->digest, index, write_fd, &fd, &run->failure);
    if (error == E_OK && fsync(fd) != 0) error = files_failure(&run->failure, path);
    close(fd);
    if (error != E_OK) unlink(path);
    if (error == E_OK && list)
        json_array_append_new(list, present_json_text(bytes_text(path)));
    else if (error == E_OK)
        printf("%s\n", path);
    return error;
}

static enum error save(struct run *run, const struct request_view *view, const char *folder) {
    AUTO_FREE(struct body_file) files = calloc(PARTS_MAX, sizeof *files);
    size_t count = 0;
    if (!files) return E_NO_MEMORY;
    TRY(needs_body(run, view));
    TRY(files_make_folder(folder, &run->failure));
    TRY(body_files(run, view->digest, files, &count));
    json_t *list = run->cli.json ? json_array() : NULL;
    enum error error = E_OK;
    for (size_t i = 0; i < count && error == E_OK; i++)
        if (files[i].name[0]) error = save_one(run, view, &files[i], i, folder, list);
    if (list && error == E_OK)
        present_json(stdout, json_pack("{s:o, s:O}", "id", present_json_id(view->digest), "saved", list));
    json_decref(list);
    return error;
}

/* ---- show: the command ---- */

static void print_hint(struct run *run, const struct request_view *view) {
    if (view->offer_only || view->mine || view->is_reply || view->leg_count == 0) return;
    enum leg_state state = view->legs[0].state;
    if (state == STATE_STORED || state == STATE_NOTIFIED || state == STATE_OPENED)
        run_say(run, "\nThe body comes with acceptance: pouch accept %s (or: pouch decline %s)", view->reference,
                view->reference);
}

/* Only when somebody looks, and only where the standing policy discloses it to all; what cannot go out now waits in the
 * outbox, and what has been shown stays shown. */
static void tell_opened(struct run *run, const uint8_t digest[static HASH_SIZE]) {
    struct failure failure = {0};
    enum error error = run->officer ? client_opened(&run->home, run->relay, digest, &failure) : E_OK;
    if (error != E_OK && !error_row(error)->again)
        run_say(run, "pouch: it could not be told that this was opened: %s", error_text(error));
}

static enum error show(struct run *run, const char *typed, bool bytes, const char *folder) {
    uint8_t digest[HASH_SIZE];
    AUTO_VIEW view = {0};
    TRY(client_find(&run->home, typed, digest, &run->failure));
    TRY(client_view(&run->home, digest, &view, &run->failure));
    if (bytes) return body_bytes(run, &view);
    if (folder) return save(run, &view, folder);
    bool body = body_is_ours(&view);
    if (run->cli.json) {
        json_t *object = show_json(&view);
        enum error error = body ? add_body(run, &view, object) : E_OK;
        present_json(stdout, object);
        tell_opened(run, digest);
        return error;
    }
    command_print_request(run, &view);
    tell_opened(run, digest);
    if (!body) print_hint(run, &view);
    return body ? command_print_body(run, &view) : E_OK;
}

int inbox_show(struct run *run) {
    const char *typed = NULL, *folder = NULL;
    bool bytes = false;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_BODY:
            if (strcmp(run->args.value, "-") != 0) return run_usage_text(run, "--body takes - (standard output) only");
            bytes = true;
            break;
        case OPTION_SAVE: folder = run->args.value; break;
        case CLI_WORD:
            if (typed) return run_usage(run);
            typed = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!typed) return run_usage_text(run, "ID is needed");
    if (bytes && folder) return run_usage_text(run, "--body and --save are two commands");
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    error = show(run, typed, bytes, folder);
    if (error != E_OK) return run_fail(run, error);
    return run_shown(run);
}
