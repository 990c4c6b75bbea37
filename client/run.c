/* run.c - what all commands share. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "text.h"
#include "units.h"
#include "words.h"

/* ---- options ---- */

enum {
    SHARED_HOME = 1000,
    SHARED_JSON,
    SHARED_QUIET,
    SHARED_NO_COLOR,
    SHARED_YES,
    SHARED_PASSPHRASE,
    SHARED_NO_PASSPHRASE,
    SHARED_OFFLINE,
    SHARED_OFFICER,
    SHARED_MACHINE
};

const struct cli_option run_shared_options[] = {
    {"home", SHARED_HOME, true},
    {"json", SHARED_JSON, false},
    {"quiet", SHARED_QUIET, false},
    {"no-color", SHARED_NO_COLOR, false},
    {"yes", SHARED_YES, false},
    {"passphrase-file", SHARED_PASSPHRASE, true},
    {"no-passphrase", SHARED_NO_PASSPHRASE, false},
    {"offline", SHARED_OFFLINE, false},
    {"officer", SHARED_OFFICER, false},
    {"machine", SHARED_MACHINE, false},
    {"help", 'h', false},
};
const size_t run_shared_count = LENGTH(run_shared_options);

bool run_shared(struct run *run, int id) {
    switch (id) {
    case SHARED_HOME: run->home_path = run->args.value; return true;
    case SHARED_JSON: run->cli.json = true; return true;
    case SHARED_QUIET: run->quiet = true; return true;
    case SHARED_NO_COLOR: run->no_color = true; return true;
    case SHARED_YES: run->yes = true; return true;
    case SHARED_PASSPHRASE: run->passphrase_file = run->args.value; return true;
    case SHARED_NO_PASSPHRASE: run->no_passphrase = true; return true;
    case SHARED_OFFLINE: run->offline = true; return true;
    case SHARED_OFFICER: run->officer = true; return true;
    case SHARED_MACHINE: run->officer = false; return true;
    default: return false;
    }
}

int run_next(struct run *run) {
    int id = cli_next(&run->args);
    while (run_shared(run, id)) id = cli_next(&run->args);
    if (id == 'h') {
        run_help(run->command);
        exit(0);
    }
    if (id == CLI_END) run->look = look_of(stdout, run->no_color);
    return id;
}

int run_usage_text(struct run *run, const char *format, ...) {
    char text[512], hint[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bool brief = !strchr(run->command->usage, '\n'); /* else the help is the place for it */
    snprintf(hint, sizeof hint, "pouch %s %s%ssee pouch %s --help", run->command->name,
             brief ? run->command->usage : "...", brief && !*run->command->usage ? "" : "; ", run->command->name);
    return cli_fail_hint(&run->cli, E_USAGE, hint, "%s", text);
}

int run_usage(struct run *run) {
    if (run->args.problem[0]) return run_usage_text(run, "%s", run->args.problem);
    return run_usage_text(run, "%.80s is one word too many", run->args.value ? run->args.value : "something");
}

bool run_duration(struct run *run, uint64_t *ret_s, int *ret_exit) {
    enum { DURATION_MAX_S = 10 * 366 * 86400 };
    if (units_duration(bytes_text(run->args.value), ret_s) == E_OK && *ret_s <= DURATION_MAX_S) return true;
    *ret_exit = run_usage_text(run, "%.80s is no duration, such as 30s, 10m, 24h, 14d", run->args.value);
    return false;
}

bool run_word(struct run *run, int words_table, unsigned *ret, int *ret_exit) {
    char list[256];
    if (words_parse((enum words)words_table, run->args.value, ret) == E_OK) return true;
    words_list((enum words)words_table, list, sizeof list);
    *ret_exit = run_usage_text(run, "%.80s is none of %s", run->args.value, list);
    return false;
}

/* ---- the pass-phrase ---- */

static struct termios terminal_before;
static int terminal_fd = STDIN_FILENO;
static volatile sig_atomic_t terminal_is_quiet;

/* Everything that matters is written whole or not at all, so an interrupt may end the program where it stands. */
static void interrupted(int signal) {
    (void)signal;
    if (terminal_is_quiet) tcsetattr(terminal_fd, TCSAFLUSH, &terminal_before);
    _exit(130);
}

void run_catch_interrupt(void) {
    struct sigaction action = {.sa_handler = interrupted};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* Reads up to the end of a line into guarded memory, byte by byte, so that nothing is left in a stream's buffer. */
static enum error secret_line(int fd, struct secret *ret) {
    AUTO_SECRET line = {0};
    TRY(secret_new(RUN_PASSPHRASE_MAX, &line));
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, line.p + n, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return E_IO;
        if (got == 0 || line.p[n] == '\n') break;
        if (++n == line.n) return E_OUT_OF_RANGE;
    }
    if (n > 0 && line.p[n - 1] == '\r') n--;
    line.p[n] = '\0';
    *ret = line;
    line = (struct secret){0};
    return E_OK;
}

static enum error secret_from(struct run *run, const char *path) {
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return files_failure(&run->failure, path);
    enum error error = secret_line(fd, &run->passphrase);
    if (!standard) close(fd);
    return error == E_OK ? E_OK : fail(&run->failure, error, "the pass-phrase from %s", path);
}

/* Where a pass-phrase can be typed: also when the text comes through a pipe, as long as somebody watches stderr. */
static bool find_terminal(void) {
    if (terminal_fd != STDIN_FILENO || isatty(STDIN_FILENO) == 1) return true;
    int fd = isatty(STDERR_FILENO) == 1 ? open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (fd < 0) return false;
    terminal_fd = fd; /* for as long as the program runs */
    return true;
}

static enum error secret_asked(struct run *run, const char *prompt, struct secret *ret) {
    if (tcgetattr(terminal_fd, &terminal_before) != 0) return fail(&run->failure, E_NEEDS_TERMINAL, "the pass-phrase");
    struct termios silent = terminal_before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    terminal_is_quiet = 1;
    tcsetattr(terminal_fd, TCSAFLUSH, &silent);
    fputs(prompt, stderr);
    enum error error = secret_line(terminal_fd, ret);
    tcsetattr(terminal_fd, TCSAFLUSH, &terminal_before);
    terminal_is_quiet = 0;
    fputc('\n', stderr);
    return error;
}

static enum error secret_twice(struct run *run) {
    AUTO_SECRET again = {0};
    TRY(secret_asked(run, "New pass-phrase: ", &run->passphrase));
    if (run->passphrase.p[0] == '\0') {
        enum error error = fail(&run->failure, E_BAD_PASSPHRASE, "it is empty");
        fail_hint(&run->failure, "for a home without one, say --no-passphrase");
        return error;
    }
    TRY(secret_asked(run, "The same again: ", &again));
    if (strcmp((const char *)again.p, (const char *)run->passphrase.p) == 0) return E_OK;
    return fail(&run->failure, E_BAD_PASSPHRASE, "the two differ");
}

/* systemd's LoadCredential=pouch-passphrase:... */
static bool credential(char *ret, size_t size) {
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder) return false;
    int n = snprintf(ret, size, "%s/pouch-passphrase", folder);
    return n > 0 && (size_t)n < size && files_exists(ret);
}

static enum error needs_passphrase(struct run *run, const char *file, bool *ret) {
    char home[4096], keys[4200];
    TRY(home_path(run->home_path, home, sizeof home, &run->failure));
    TRY(files_join(home, file, keys, sizeof keys, &run->failure));
    *ret = false;
    return files_exists(keys) ? keystore_is_sealed(keys, ret, &run->failure) : E_OK;
}

static enum error get_passphrase(struct run *run, const char *file, bool fresh) {
    char path[4096];
    bool sealed = true;
    if (run->passphrase.p || run->no_passphrase) return E_OK;
    if (!fresh) TRY(needs_passphrase(run, file, &sealed));
    if (!sealed) return E_OK;
    if (run->passphrase_file) return secret_from(run, run->passphrase_file);
    if (credential(path, sizeof path)) return secret_from(run, path);
    if (find_terminal()) return fresh ? secret_twice(run) : secret_asked(run, "Pass-phrase: ", &run->passphrase);
    if (!fresh) return E_OK; /* home_open says what is missing */
    enum error error = fail(&run->failure, E_NEEDS_TERMINAL, "a pass-phrase for the new home");
    fail_hint(&run->failure, "give --passphrase-file FILE (- for standard input), or --no-passphrase");
    return error;
}

/* ---- secrets on paper ---- */

enum { CODE_FILE_MAX = 16 * 1024 };

static enum error read_secret_file(struct run *run, const char *path, struct secret *ret) {
    bool standard = strcmp(path, "-") == 0;
    AUTO_SECRET text = {0};
    TRY(secret_new(CODE_FILE_MAX, &text));
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return files_failure(&run->failure, path);
    size_t n = 0;
    ssize_t got = 0;
    while (n < text.n && ((got = read(fd, text.p + n, text.n - n)) > 0 || (got < 0 && errno == EINTR)))
        n += got > 0 ? (size_t)got : 0;
    enum error error = got < 0 ? files_failure(&run->failure, path) : E_OK;
    if (!standard) close(fd);
    TRY(error);
    *ret = (struct secret){text.p, text.n};
    text = (struct secret){0};
    return E_OK;
}

/* A line of a code: seven groups of four, with nothing but blanks around them. */
static bool is_code_line(struct bytes line) {
    if (line.n != TEXT_CODE_SIZE - 1) return false;
    for (size_t i = 0; i < line.n; i++)
        if ((line.p[i] == '-') != (i % 5 == 4) || line.p[i] <= ' ') return false;
    return true;
}

static struct bytes next_line(struct bytes *text) {
    const uint8_t *end = memchr(text->p, '\n', text->n);
    struct bytes line = {text->p, end ? (size_t)(end - text->p) : text->n};
    size_t used = line.n + (end ? 1 : 0);
    *text = bytes_of(text->p + used, text->n - used);
    while (line.n && line.p[0] <= ' ') line = bytes_of(line.p + 1, line.n - 1);
    while (line.n && line.p[line.n - 1] <= ' ') line.n--;
    return line;
}

/* The code alone, or the lines of it that stand on a sheet. */
static enum error find_code(struct bytes text, size_t rows, struct secret *ret) {
    AUTO_SECRET lines = {0};
    AUTO_SECRET code = {0};
    size_t n = 0;
    TRY(secret_new(rows * TEXT_CODE_ROW, &code));
    TRY(secret_new(rows * TEXT_CODE_SIZE, &lines));
    enum error error = text_code_parse(text, code.p, rows);
    for (struct bytes rest = text; error != E_OK && rest.n > 0;) {
        struct bytes line = next_line(&rest);
        if (!is_code_line(line) || n + line.n > lines.n) continue;
        memcpy(lines.p + n, line.p, line.n);
        n += line.n;
    }
    if (error != E_OK) error = text_code_parse(bytes_of(lines.p, n), code.p, rows);
    TRY(error);
    *ret = code;
    code = (struct secret){0};
    return E_OK;
}

static enum error type_code(struct run *run, const char *prompt, struct secret *ret) {
    if (!find_terminal() || run->yes) {
        enum error error = fail(&run->failure, E_NEEDS_TERMINAL, "the code");
        fail_hint(&run->failure, "give it in a file, or - for standard input");
        return error;
    }
    fputs(prompt, stderr);
    return secret_line(terminal_fd, ret);
}

enum error run_code(struct run *run, const char *path, const char *prompt, size_t rows, struct secret *ret) {
    AUTO_SECRET text = {0};
    if (path && strcmp(path, "-") == 0 && run->passphrase_file && strcmp(run->passphrase_file, "-") == 0)
        return fail(&run->failure, E_USAGE, "standard input cannot be both the code and the pass-phrase");
    TRY(path ? read_secret_file(run, path, &text) : type_code(run, prompt, &text));
    enum error error = find_code(bytes_of(text.p, strnlen((const char *)text.p, text.n)), rows, ret);
    if (error != E_BAD_CODE) return error;
    fail(&run->failure, error, "%s", path ? path : "what was typed");
    fail_hint(&run->failure, "read it again: %zu groups of four letters and digits; there is no O, I, L or U",
              7 * rows);
    return error;
}

enum error run_passphrase(struct run *run, bool fresh) { return get_passphrase(run, "keys", fresh); }

enum error run_passphrase_of(struct run *run, const char *file) { return get_passphrase(run, file, false); }

enum error run_other_passphrase(struct run *run, const char *file, const char *prompt, struct secret *ret) {
    struct secret own = run->passphrase;
    if (file) {
        run->passphrase = (struct secret){0};
        enum error error = secret_from(run, file);
        *ret = run->passphrase;
        run->passphrase = own;
        return error;
    }
    if (!run->passphrase_file && find_terminal()) return secret_asked(run, prompt, ret);
    return own.p ? secret_copy(own.p, own.n, ret) : E_OK; /* keystore_open says what is missing */
}

/* ---- the home and the relay ---- */

struct home_options run_home_options(struct run *run) {
    return (struct home_options){.path = run->home_path, .passphrase = (const char *)run->passphrase.p};
}

enum error run_open(struct run *run) {
    TRY(run_passphrase(run, false));
    struct home_options options = run_home_options(run);
    return home_open(&options, &run->home, &run->failure);
}

enum error run_open_post(struct run *run) {
    TRY(run_open(run));
    if (run->home.kind != HOME_POST) {
        enum error error = fail(&run->failure, E_NOT_ALLOWED, "%s is an authority's home", run->home.path);
        fail_hint(&run->failure, "name a post's home with --home");
        return error;
    }
    return run->home.joined ? E_OK : fail(&run->failure, E_NOT_JOINED, "%s", run->home.post);
}

struct client_options run_client_options(struct run *run) {
    struct client_options options = {.officer = run->officer};
    if (!run->quiet && isatty(STDERR_FILENO) == 1) options.progress = (struct progress){bar_report, &run->bar};
    return options;
}

static void say_summary(const struct run *run, const struct sync_summary *summary) {
    if (summary->alarms)
        run_say(run, "pouch: %u new alarm%s, about what did not verify, is missing or came too late; see pouch status",
                summary->alarms, summary->alarms == 1 ? "" : "s");
}

static void say_news(void *context, const struct news_view *news) {
    struct run *run = context;
    struct look look = look_of(stderr, run->no_color);
    fputs("NEWS ", stderr);
    present_text(stderr, &look, STYLE_BOLD, bytes_text(news->text), false);
    fputc('\n', stderr);
}

static void say_advice(void *context, const char *text) { run_say(context, "pouch: %s", text); }

/* What it cannot tell - the store fails - shows in the command itself. */
void run_tell(struct run *run) {
    struct home_status status = {0};
    if (run->quiet || !run->home.archive || !run->home.joined) return;
    if (!run->tells_news && client_news(&run->home, NEWS_TOLD, false, say_news, run, NULL) != E_OK) return;
    if (client_status(&run->home, &status, NULL) != E_OK) return;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    client_advise_keys(&run->home, &status, (struct instant){(uint64_t)time.tv_sec * 1000}, say_advice, run);
}

enum error run_sync(struct run *run) {
    struct client_options options = run_client_options(run);
    struct sync_summary summary = {0};
    if (run->offline) {
        run->link = fail(&run->link_failure, E_UNREACHABLE, "--offline was asked for");
        run_tell(run);
        return E_OK;
    }
    enum error error = client_connect(&run->home, &options, &run->relay, &run->failure);
    if (error == E_OK) error = client_sync(&run->home, run->relay, &summary, &run->failure);
    bar_end(&run->bar);
    run->link = error;
    if (error == E_OK) say_summary(run, &summary);
    run_tell(run);
    if (error == E_OK) return E_OK;
    client_disconnect(&run->relay);
    run->link_failure = run->failure;
    return error_row(error)->again ? E_OK : error;
}

void run_try_sync(struct run *run) {
    enum error error = run_sync(run);
    run->link = error != E_OK ? error : run->link;
}

void run_close(struct run *run) {
    client_disconnect(&run->relay);
    if (run->home.path[0]) home_close(&run->home);
    secret_free(&run->passphrase);
}

/* ---- ends ---- */

static int fail_with(struct run *run, enum error error, const struct failure *failure, const char *hint) {
    bool known = failure->error == error;
    if (known && failure->hint[0]) hint = failure->hint;
    return cli_fail_hint(&run->cli, error, hint, "%s", known ? failure->where : "");
}

int run_fail(struct run *run, enum error error) { return fail_with(run, error, &run->failure, error_row(error)->hint); }

int run_breach(struct run *run) {
    if (run->home.breach.error == E_OK) return 0;
    run->failure = run->home.breach;
    return run_fail(run, run->failure.error);
}

int run_kept(struct run *run) {
    const struct failure plain = {.error = run->link};
    char where[FAILURE_WHERE_SIZE + 32];
    snprintf(where, sizeof where, "%s%skept in the outbox", run->link_failure.where,
             run->link_failure.where[0] ? "; " : "");
    return cli_fail_hint(&run->cli, plain.error, "nothing is lost: pouch sync, or any later command, sends it", "%s",
                         where);
}

int run_shown(struct run *run) {
    if (run->link == E_OK || (run->offline && run->link == E_UNREACHABLE)) return 0;
    bool trust = !error_row(run->link)->again;
    if (run->quiet && !trust) return 0;
    int exit_code = fail_with(run, run->link, &run->link_failure, "shown is what this home already has");
    return trust ? exit_code : 0;
}

void run_say(const struct run *run, const char *format, ...) {
    if (run->quiet) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* ---- questions ---- */

bool run_can_ask(const struct run *run) {
    return !run->yes && !run->cli.json && isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

bool run_read_line(char *ret, size_t size) {
    if (!fgets(ret, (int)size, stdin)) return false;
    ret[strcspn(ret, "\r\n")] = '\0';
    return true;
}

bool run_ask(struct run *run, bool otherwise, const char *format, ...) {
    char answer[16];
    if (!run_can_ask(run)) return otherwise;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs(" [y/N] ", stderr);
    return run_read_line(answer, sizeof answer) && (answer[0] == 'y' || answer[0] == 'Y');
}
