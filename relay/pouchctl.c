/* pouchctl.c - the operator's control: asks the running relay for its numbers, and hands it what a registrar signs. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/limits.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"
#include "directory.h"
#include "figures.h"
#include "keys.h"
#include "registrar.h"
#include "sign.h"

static const char help[] =
    "Examples:\n"
    "  pouchctl --config /var/lib/pouch/relay.yaml status\n"
    "  pouchctl --config relay.yaml admit de.charter --registrar-key /media/key/registrar.key\n"
    "  pouchctl --config relay.yaml admit de.charter --fingerprint \"12345 67890 ...\"\n"
    "  pouchctl --config relay.yaml suspend de --reason \"key stolen, see letter of 3 May\"\n"
    "\n"
    "pouchctl speaks to the relay that runs on the configuration's folder.\n"
    "\n"
    "  status              the relay's numbers, as a table\n"
    "  check               one line for Icinga or Nagios; exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN\n"
    "  stats               the numbers in Prometheus' text format\n"
    "  admit CHARTER       admit a party, by the charter file its authority made\n"
    "    --fingerprint N   the charter's fingerprint as the party told you; without it you are asked\n"
    "  suspend PARTY --reason TEXT\n"
    "  resume PARTY        with --reason TEXT if you like\n"
    "\n"
    "  --config FILE       the relay's configuration\n"
    "  --registrar-key FILE  the registrar's key (default: registrar.key in the relay's folder); may be repeated\n"
    "  --yes               no question: the fingerprint has been compared\n"
    "  --json --quiet --no-color --help --version\n"
    "\n"
    "Exit codes: 0 done, 1 you can fix it, 2 internal fault, 3 relay or disk, 4 key or trust, 6 time ran out.\n";

enum {
    OPTION_FINGERPRINT = 256,
    OPTION_KEY,
    OPTION_REASON,
    OPTION_JSON,
    OPTION_VERSION,
    OPTION_PLAIN,
    CHARTER_FILE_MAX = 64 * 1024,
    ICINGA_CRITICAL = 2,
    ICINGA_UNKNOWN = 3
};

static const struct cli_option options[] = {
    {"config", 'c', true},
    {"fingerprint", OPTION_FINGERPRINT, true},
    {"registrar-key", OPTION_KEY, true},
    {"reason", OPTION_REASON, true},
    {"yes", 'y', false},
    {"json", OPTION_JSON, false},
    {"quiet", 'q', false},
    {"no-color", OPTION_PLAIN, false},
    {"help", 'h', false},
    {"version", OPTION_VERSION, false},
};

struct task {
    struct cli cli;
    struct config config;
    const char *config_path, *verb, *subject; /* subject: a file or a party */
    const char *fingerprint, *reason, *keys[CARD_KEYS_MAX];
    size_t key_count;
    bool yes, quiet, help, version;
};

/* ---- the relay's answers ---- */

/* Asks; says what went wrong. Views of *ret into *bytes. */
static int ask(const struct task *task, const struct command *command, struct buf *bytes, struct answer *ret) {
    enum error error = control_ask(task->config.folder, command, bytes, ret);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", task->config.folder);
    if (ret->error == E_OK) return 0;
    char detail[SUBJECT_MAX] = "";
    if (ret->has_detail)
        snprintf(detail, sizeof detail, "%.*s", (int)ret->detail.n, (const char *)ret->detail.p);
    else if (task->subject)
        snprintf(detail, sizeof detail, "%s", task->subject);
    if (ret->error == E_CONFLICT)
        return cli_fail_hint(&task->cli, E_CONFLICT,
                             "nothing was changed; a party of this name is in the directory already", "%s", detail);
    return cli_fail(&task->cli, (enum error)ret->error, "%s", detail);
}

/* status for people, stats for Prometheus; both the same in JSON. */
static int show_numbers(struct task *task, void (*show)(FILE *out, struct list numbers)) {
    AUTO_BUF bytes = {0};
    struct answer answer;
    int code = ask(task, &(struct command){.verb = COMMAND_STATUS}, &bytes, &answer);
    if (code) return code;
    if (task->cli.json) {
        figures_json(stdout, answer.numbers);
        puts("");
    } else {
        show(stdout, answer.numbers);
    }
    return 0;
}

static int run_status(struct task *task) { return show_numbers(task, figures_table); }
static int run_stats(struct task *task) { return show_numbers(task, figures_prometheus); }

/* A plug-in speaks on stdout and in one line, whatever happens. */
static int say_check(const struct task *task, int code, const char *reason, const struct list *numbers) {
    static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    if (task->cli.json) {
        printf("{\"status\": \"%s\", \"message\": ", words[code]);
        cli_json_text(stdout, bytes_text(reason));
        fputs(", \"numbers\": ", stdout);
        figures_json(stdout, numbers ? *numbers : (struct list){0});
        puts("}");
        return code;
    }
    printf("POUCH %s - %s", words[code], reason);
    if (numbers) {
        fputs(" |", stdout);
        figures_perfdata(stdout, *numbers, &task->config);
    }
    puts("");
    return code;
}

static int run_check(struct task *task) {
    AUTO_BUF bytes = {0};
    struct answer answer;
    char reason[256];
    enum error error = control_ask(task->config.folder, &(struct command){.verb = COMMAND_STATUS}, &bytes, &answer);
    if (error == E_OK && answer.error != E_OK) error = (enum error)answer.error;
    if (error != E_OK) return say_check(task, ICINGA_CRITICAL, error_text(error), NULL);
    int code = figures_judge(answer.numbers, &task->config, reason, sizeof reason);
    return say_check(task, code, reason, &answer.numbers);
}

/* ---- the registrar ---- */

static enum error read_file(const char *path, size_t max, struct buf *out) {
    FILE *file = fopen(path, "re");
    if (!file) return E_IO;
    uint8_t *at = buf_extend(out, max + 1);
    size_t n = at ? fread(at, 1, max + 1, file) : 0;
    bool bad = ferror(file) != 0;
    fclose(file);
    if (!at) return E_NO_MEMORY;
    if (bad) return E_IO;
    if (n > max) return E_TOO_LARGE;
    out->n = n;
    return E_OK;
}

static enum error read_key(const char *path, uint8_t ret[static KEY_SIZE]) {
    char folder[PATH_MAX], name[PATH_MAX];
    if (strlen(path) >= PATH_MAX) return E_IO;
    snprintf(folder, sizeof folder, "%s", path);
    snprintf(name, sizeof name, "%s", path);
    return keys_read(dirname(folder), basename(name), ret);
}

/* The relay's own card, where there is one to read. */
static bool read_card(const struct task *task, struct card *ret) {
    AUTO_BUF text = {0};
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/relay.card", task->config.folder);
    return read_file(path, CHARTER_FILE_MAX, &text) == E_OK && card_parse(buf_bytes(&text), ret, NULL) == E_OK;
}

/* The first of the given keys that is a registrar's by the card. One signature is what this version of the directory
 * asks for, so further keys are not used. */
static int find_key(const struct task *task, uint8_t ret[static KEY_SIZE]) {
    char own[PATH_MAX + 16];
    struct card card;
    bool has_card = read_card(task, &card);
    const char *const own_list[] = {own};
    const char *const *keys = task->key_count ? task->keys : own_list;
    size_t count = task->key_count ? task->key_count : 1;
    snprintf(own, sizeof own, "%s/registrar.key", task->config.folder);
    for (size_t i = 0; i < count; i++) {
        enum error error = read_key(keys[i], ret);
        if (error == E_NOT_ALLOWED)
            return cli_fail_hint(&task->cli, error, "chmod 600 it: others can read this key", "%s", keys[i]);
        if (error != E_OK)
            return cli_fail_hint(&task->cli, error, "name the registrar's key with --registrar-key FILE", "%s",
                                 keys[i]);
        if (!has_card || registrar_is_of(&card, ret)) return 0;
    }
    sodium_memzero(ret, KEY_SIZE);
    return cli_fail(&task->cli, E_UNKNOWN_REGISTRAR, "%s", keys[count - 1]);
}

static struct instant now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000};
}

/* Signs the order and has it recorded, after `before` (a charter) where there is one. */
static int sign_and_record(const struct task *task, const struct registrar_order *order, struct bytes before) {
    uint8_t seed[KEY_SIZE];
    AUTO_BUF admission = {0};
    AUTO_BUF items = {0};
    AUTO_BUF bytes = {0};
    struct answer answer;
    int code = find_key(task, seed);
    if (code) return code;
    enum error error = registrar_sign(order, seed, &admission);
    sodium_memzero(seed, sizeof seed);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", task->subject);
    size_t count = 0;
    if (before.n) {
        dirstatement_encode(&(struct dirstatement){.kind = LEAF_CHARTER, .statement = before}, &items);
        count++;
    }
    dirstatement_encode(&(struct dirstatement){.kind = LEAF_ADMISSION, .statement = buf_bytes(&admission)}, &items);
    count++;
    if (items.failed) return cli_fail(&task->cli, E_NO_MEMORY, NULL);
    return ask(task, &(struct command){.verb = COMMAND_RECORD, .statements = list_of(&items, count)}, &bytes, &answer);
}

static const char *kind_name(uint64_t kind) {
    static const char *const names[] = {"State", "intergovernmental organisation", "observer"};
    return kind < LENGTH(names) ? names[kind] : "unknown";
}

/* digits may be NULL: who is about to type the number as it was told must not have it before his eyes. */
static void show_charter(const struct registrar_charter *charter, const char *digits) {
    AUTO_BUF party = {0};
    AUTO_BUF name = {0};
    text_for_terminal(charter->charter.party, false, &party);
    text_for_terminal(charter->charter.name, false, &name);
    if (party.failed || name.failed) return;
    printf("  party        %s\n  name         %s\n  kind         %s\n", (const char *)party.p, (const char *)name.p,
           kind_name(charter->charter.kind));
    if (digits) printf("  fingerprint  %s\n", digits);
    fflush(stdout);
}

static bool will_ask(const struct task *task) { return !task->fingerprint && !task->yes && isatty(STDIN_FILENO); }

/* Has somebody compared the number with what the party's authority says? */
static int confirm(const struct task *task, const struct registrar_charter *charter) {
    char typed[256];
    if (task->fingerprint) {
        if (text_fingerprint_matches(charter->fingerprint, task->fingerprint)) return 0;
        return cli_fail(&task->cli, E_WRONG_FINGERPRINT, "%s; nothing was admitted", task->subject);
    }
    if (task->yes) return 0;
    if (!will_ask(task))
        return cli_fail_hint(&task->cli, E_NEEDS_TERMINAL,
                             "compare the number with the party's authority and give it with --fingerprint",
                             "the charter's fingerprint");
    fprintf(stderr, "Ask the party's authority for the fingerprint, by telephone, and type what you are told:\n> ");
    if (!fgets(typed, sizeof typed, stdin)) return cli_fail(&task->cli, E_INTERRUPTED, "nothing was admitted");
    if (text_fingerprint_matches(charter->fingerprint, typed)) return 0;
    return cli_fail(&task->cli, E_WRONG_FINGERPRINT, "%s; nothing was admitted", task->subject);
}

static void say_admitted(const struct task *task, const struct registrar_charter *charter, const char *digits) {
    if (!task->cli.json) {
        if (!task->quiet)
            printf("%.*s is admitted.\n", (int)charter->charter.party.n, (const char *)charter->charter.party.p);
        return;
    }
    fputs("{\"party\": ", stdout);
    cli_json_text(stdout, charter->charter.party);
    fputs(", \"name\": ", stdout);
    cli_json_text(stdout, charter->charter.name);
    fputs(", \"kind\": ", stdout);
    cli_json_text(stdout, bytes_text(kind_name(charter->charter.kind)));
    printf(", \"fingerprint\": \"%s\", \"admitted\": true}\n", digits);
}

static int run_admit(struct task *task) {
    AUTO_BUF file = {0};
    struct registrar_charter charter;
    char digits[TEXT_FINGERPRINT_SIZE];
    enum error error = read_file(task->subject, CHARTER_FILE_MAX, &file);
    if (error != E_OK)
        return cli_fail(&task->cli, error, "%s%s%s", task->subject, error == E_IO ? ": " : "",
                        error == E_IO ? strerror(errno) : "");
    error = registrar_open_charter(buf_bytes(&file), &charter);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s is no charter that can be admitted", task->subject);
    text_fingerprint(charter.fingerprint, digits);
    if (!task->cli.json && !task->quiet) show_charter(&charter, will_ask(task) ? NULL : digits);
    int code = confirm(task, &charter);
    if (code) return code;
    struct registrar_order order = {.action = ACTION_ADMIT,
                                    .party = charter.charter.party,
                                    .charter = charter.hash,
                                    .reason = task->reason,
                                    .created = now()};
    code = sign_and_record(task, &order, charter.statement);
    if (code == 0) say_admitted(task, &charter, digits);
    return code;
}

static int change(struct task *task, enum admission_action action, const char *done) {
    if (!text_is_party(bytes_text(task->subject)))
        return cli_fail(&task->cli, E_USAGE, "%s is not a party's name", task->subject);
    struct registrar_order order = {
        .action = action, .party = bytes_text(task->subject), .reason = task->reason, .created = now()};
    int code = sign_and_record(task, &order, (struct bytes){0});
    if (code) return code;
    if (task->cli.json)
        printf("{\"party\": \"%s\", \"state\": \"%s\"}\n", task->subject, done);
    else if (!task->quiet)
        printf("%s is %s.\n", task->subject, done);
    return 0;
}

static int run_suspend(struct task *task) {
    if (!task->reason || !*task->reason)
        return cli_fail_hint(&task->cli, E_USAGE, "add --reason TEXT: every member will see it",
                             "a suspension needs a reason");
    return change(task, ACTION_SUSPEND, "suspended");
}

static int run_resume(struct task *task) { return change(task, ACTION_RESUME, "resumed"); }

/* ---- the command line ---- */

static const struct verb {
    const char *name;
    const char *subject; /* what must follow, or NULL */
    int (*run)(struct task *task);
} verbs[] = {
    {"status", NULL, run_status},    {"check", NULL, run_check},        {"stats", NULL, run_stats},
    {"admit", "CHARTER", run_admit}, {"suspend", "PARTY", run_suspend}, {"resume", "PARTY", run_resume},
};

static const struct verb *find_verb(const char *name) {
    for (size_t i = 0; i < LENGTH(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

static int unknown_verb(const struct task *task) {
    const char *names[LENGTH(verbs)];
    char near[64];
    for (size_t i = 0; i < LENGTH(verbs); i++) names[i] = verbs[i].name;
    cli_suggest(task->verb, names, LENGTH(names), near, sizeof near);
    return cli_fail(&task->cli, E_USAGE, "unknown command %.80s%s", task->verb, near);
}

static int option(struct task *task, int id, const char *value) {
    switch (id) {
    case 'c': task->config_path = value; break;
    case 'y': task->yes = true; break;
    case 'q': task->quiet = true; break;
    case 'h': task->help = true; break;
    case OPTION_VERSION: task->version = true; break;
    case OPTION_FINGERPRINT: task->fingerprint = value; break;
    case OPTION_REASON: task->reason = value; break;
    case OPTION_KEY:
        if (task->key_count == LENGTH(task->keys)) return cli_fail(&task->cli, E_USAGE, "too many --registrar-key");
        task->keys[task->key_count++] = value;
        break;
    default: break; /* --json was seen before; there are no colours to turn off */
    }
    return 0;
}

static int word(struct task *task, const char *value) {
    if (!task->verb)
        task->verb = value;
    else if (!task->subject)
        task->subject = value;
    else
        return cli_fail(&task->cli, E_USAGE, "one word too many: %.80s", value);
    return 0;
}

static int parse(struct task *task, char **argv) {
    struct cli_args args = {.argv = argv, .options = options, .count = LENGTH(options)};
    int id, code = 0;
    for (char **at = argv; *at; at++)
        if (strcmp(*at, "--json") == 0)
            task->cli.json = true; /* first of all: errors of the command line are JSON too */
    while (code == 0 && (id = cli_next(&args)) != CLI_END) {
        if (id == CLI_BAD)
            code = cli_fail(&task->cli, E_USAGE, "%s", args.problem);
        else if (id == CLI_WORD)
            code = word(task, args.value);
        else
            code = option(task, id, args.value);
    }
    return code;
}

static int load(struct task *task) {
    AUTO_FREE(char) lines = NULL;
    size_t size = 0;
    bool quiet = task->cli.json;
    FILE *report = quiet ? open_memstream(&lines, &size) : stderr;
    enum error error = config_read(task->config_path, report, &task->config);
    if (quiet && report) fclose(report);
    return error == E_OK ? 0 : cli_fail(&task->cli, error, "%s", quiet && lines ? lines : task->config_path);
}

static int run(struct task *task) {
    const struct verb *verb = find_verb(task->verb);
    if (!verb) return unknown_verb(task);
    if (verb->subject && !task->subject) return cli_fail(&task->cli, E_USAGE, "%s needs %s", verb->name, verb->subject);
    if (!verb->subject && task->subject)
        return cli_fail(&task->cli, E_USAGE, "one word too many: %.80s", task->subject);
    bool check = verb->run == run_check;
    if (!task->config_path) {
        if (check) return say_check(task, ICINGA_UNKNOWN, "--config FILE is missing", NULL);
        return cli_fail_hint(&task->cli, E_USAGE, "add --config FILE, the relay's relay.yaml", "which relay?");
    }
    int code = load(task);
    if (code && check) return say_check(task, ICINGA_UNKNOWN, "the configuration cannot be read", NULL);
    return code ? code : verb->run(task);
}

int main(int argc, char **argv) {
    static struct task task = {.cli = {.program = "pouchctl"}};
    if (argc < 1) return 1;
    int code = parse(&task, argv + 1);
    if (code && task.verb && strcmp(task.verb, "check") == 0) return ICINGA_UNKNOWN; /* 1 would be WARNING */
    if (code) return code;
    if (task.help) {
        fputs(help, stdout);
        return 0;
    }
    if (task.version) {
        puts("pouchctl " POUCH_VERSION);
        return 0;
    }
    if (!task.verb) return cli_fail_hint(&task.cli, E_USAGE, "see pouchctl --help", "what is to be done?");
    if (sign_self_test() != E_OK)
        return cli_fail(&task.cli, E_INTERNAL, "the cryptographic library fails its self-test");
    return run(&task);
}
