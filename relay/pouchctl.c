/* pouchctl.c - the operator's control: asks the running relay for its numbers, and hands it what registrars have signed
 * (pouchctl_registrar.c). Here: the table of verbs and the command line. */
#include "pouchctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "figures.h"
#include "sign.h"

static const char help[] = "Examples:\n"
                           "  pouchctl --config /var/lib/pouch/relay.yaml status\n"
                           "  pouchctl --config relay.yaml admit de.charter --registrar-key /usb/one.key\n"
                           "  pouchctl --config relay.yaml suspend de --reason \"key stolen, letter of 3 May\"\n"
                           "Where several must sign: write the order, sign it on each registrar's own\n"
                           "computer, and hand it to the relay:\n"
                           "  pouchctl --card relay.card admit de.charter --registrar-key one.key -o de.order\n"
                           "  pouchctl --card relay.card sign de.order --registrar-key two.key\n"
                           "  pouchctl --config relay.yaml record de.order\n"
                           "\n"
                           "pouchctl speaks to the relay that runs on the configuration's folder.\n"
                           "\n"
                           "  status              the relay's numbers, as a table\n"
                           "  check               one line for Icinga or Nagios; exit code 0 OK, 1 WARNING,\n"
                           "                      2 CRITICAL, 3 UNKNOWN\n"
                           "  stats               the numbers in Prometheus' text format\n"
                           "\n"
                           "  verify [--store FILE]\n"
                           "                      look through the whole store, also while the relay runs: what\n"
                           "                      does not fit is named, and nothing changed. --store: of a backup\n"
                           "  backup DIR          copy all that the relay is into a new folder, also while it\n"
                           "                      runs; verified before it counts. --no-keys leaves keys out\n"
                           "  restore DIR         bring a backup back into the folder of --config, where no\n"
                           "                      store may be; --aside first moves what is there aside\n"
                           "\n"
                           "What registrars decide. Each is signed with every --registrar-key given and\n"
                           "recorded if as many have signed as the relay's card asks for; with -o FILE it is\n"
                           "written as an order for the others to sign:\n"
                           "  nominate PARTY --name NAME [--kind state|intergovernmental|observer]\n"
                           "                      list a party whose letter has come, before it has keys\n"
                           "  admit CHARTER       admit a party, by the charter file its authority made\n"
                           "    --legs N --bytes SIZE  its quota of open requests and of bytes (also with\n"
                           "                      resume)\n"
                           "  suspend PARTY --reason TEXT\n"
                           "  resume PARTY        with --reason TEXT if you like\n"
                           "  takeover CHARTER --reason TEXT\n"
                           "                      public notice that the key of this charter, made anew, will\n"
                           "                      be its party's authority: the party may take it after 14\n"
                           "                      days, unless it objects\n"
                           "    --fingerprint N   of the charter, as the party told you (admit, takeover,\n"
                           "                      sign); without it you are asked\n"
                           "\n"
                           "Orders, also on a computer off the network, without relay and configuration:\n"
                           "  sign ORDER --registrar-key FILE [-o OUT] [--card CARD]\n"
                           "                      shows what it says, asks, and adds a signature\n"
                           "  combine ORDER ORDER... -o OUT\n"
                           "                      joins what registrars signed on copies of the same order\n"
                           "  registrar new FILE  makes a registrar's key; prints its line in a card\n"
                           "  record ORDER        hands an order that enough registrars have signed to the\n"
                           "                      relay\n"
                           "\n"
                           "The relay goes to another host:\n"
                           "  move --address tcp://HOST:PORT... [--curve HEX] [--reason TEXT]\n"
                           "                      say so to all members, jointly with the registrars, while it\n"
                           "                      still runs here; clients follow by themselves\n"
                           "  move key FILE       make a CURVE key for the new host; prints what --curve wants\n"
                           "  move apply [ORDER]  on the new host: relay.card names the new place\n"
                           "\n"
                           "The store was lost, and an older copy is all there is (the relay is stopped):\n"
                           "  recover --reason TEXT\n"
                           "                      writes the order recover.order with new log keys, for the\n"
                           "                      registrars to sign\n"
                           "  recover apply [ORDER]  puts it in place; the relay then goes on from the copy, and\n"
                           "                      members offer again what came after\n"
                           "\n"
                           "Witnesses that are not on the network; those that are ask by themselves:\n"
                           "  witness request [--old N] [--log directory|evidence] [-o FILE]\n"
                           "                      what a witness is asked about the newest head (tlog-witness\n"
                           "                      add-checkpoint); N is the size that it cosigned last. Take\n"
                           "                      it there within ten minutes\n"
                           "  witness add FILE    hand its answer to the relay: its signature lines, or the\n"
                           "                      whole note\n"
                           "\n"
                           "  --config FILE       the relay's configuration\n"
                           "  --card FILE         the relay's card, where there is no configuration\n"
                           "  --registrar-key FILE  a registrar's key (default: registrar.key in the relay's\n"
                           "                      folder); may be repeated\n"
                           "  -o, --output FILE   write the order there instead of recording it\n"
                           "  --yes               no question: the fingerprint has been compared\n"
                           "  --json --quiet --no-color --help --version\n"
                           "\n"
                           "Exit codes: 0 done, 1 you can fix it, 2 internal fault, 3 relay or disk, 4 key or\n"
                           "trust, 6 time ran out.\n";

enum {
    OPTION_FINGERPRINT = 256,
    OPTION_KEY,
    OPTION_REASON,
    OPTION_JSON,
    OPTION_VERSION,
    OPTION_PLAIN,
    OPTION_CARD,
    OPTION_NAME,
    OPTION_KIND,
    OPTION_LEGS,
    OPTION_BYTES,
    OPTION_OLD,
    OPTION_LOG,
    OPTION_ADDRESS,
    OPTION_CURVE,
    OPTION_STORE,
    OPTION_ASIDE,
    OPTION_NO_KEYS,
    ICINGA_CRITICAL = 2,
    ICINGA_UNKNOWN = 3
};

static const struct cli_option options[] = {
    {"config", 'c', true},
    {"fingerprint", OPTION_FINGERPRINT, true},
    {"registrar-key", OPTION_KEY, true},
    {"reason", OPTION_REASON, true},
    {"output", 'o', true},
    {"card", OPTION_CARD, true},
    {"name", OPTION_NAME, true},
    {"kind", OPTION_KIND, true},
    {"legs", OPTION_LEGS, true},
    {"bytes", OPTION_BYTES, true},
    {"old", OPTION_OLD, true},
    {"log", OPTION_LOG, true},
    {"address", OPTION_ADDRESS, true},
    {"curve", OPTION_CURVE, true},
    {"store", OPTION_STORE, true},
    {"aside", OPTION_ASIDE, false},
    {"no-keys", OPTION_NO_KEYS, false},
    {"yes", 'y', false},
    {"json", OPTION_JSON, false},
    {"quiet", 'q', false},
    {"no-color", OPTION_PLAIN, false},
    {"help", 'h', false},
    {"version", OPTION_VERSION, false},
};

/* ---- the relay's answers ---- */

int task_ask(const struct task *task, const struct command *command, struct buf *bytes, struct answer *ret) {
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
                             "nothing was changed: what this says is so already; see `pouch directory list`", "%s",
                             detail);
    return cli_fail(&task->cli, (enum error)ret->error, "%s", detail);
}

/* status for people, stats for Prometheus; both the same in JSON. */
static int show_numbers(struct task *task, void (*show)(FILE *out, struct list numbers)) {
    AUTO_BUF bytes = {0};
    struct answer answer;
    int code = task_ask(task, &(struct command){.verb = COMMAND_STATUS}, &bytes, &answer);
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

/* ---- files ---- */

enum error task_read(const char *path, size_t max, struct buf *out) {
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

static enum error write_all(int fd, struct bytes bytes) {
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == ENOSPC || errno == EDQUOT ? E_DISK_FULL : E_IO;
        bytes = bytes_of(bytes.p + n, bytes.n - (size_t)n);
    }
    return fsync(fd) == 0 ? E_OK : E_IO;
}

enum error task_write(const char *path, struct bytes bytes) {
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof temporary) return E_USAGE;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return E_IO;
    enum error error = write_all(fd, bytes);
    if (error == E_OK && (fchmod(fd, 0644) != 0 || rename(temporary, path) != 0)) error = E_IO;
    if (error != E_OK) unlink(temporary);
    close(fd);
    return error;
}

enum error task_card(const struct task *task, struct card *ret, bool *ret_has) {
    AUTO_BUF text = {0};
    char path[PATH_MAX + 16];
    *ret_has = false;
    if (!task->card_path && !task->config_path) return E_OK;
    snprintf(path, sizeof path, "%s/relay.card", task->config.folder);
    enum error error = task_read(task->card_path ? task->card_path : path, TASK_FILE_MAX, &text);
    if (error == E_IO && !task->card_path && errno == ENOENT) return E_OK;
    TRY(error);
    TRY(card_parse(buf_bytes(&text), ret, NULL));
    *ret_has = true;
    return E_OK;
}

/* ---- the command line ---- */

enum need {
    NEED_CONFIG,
    NEED_NOTHING,      /* works without a relay and its configuration */
    NEED_UNLESS_OUT,   /* the configuration, unless the order only goes to a file */
    NEED_UNLESS_STORE, /* the same, unless a store is named */
    NEED_PATH,         /* where the configuration is to be; it is not read */
};

static const struct verb {
    const char *name;
    const char *subject; /* what must follow, or NULL */
    int (*run)(struct task *task);
    enum need need;
    size_t words_max; /* after the verb */
} verbs[] = {
    {"status", NULL, run_status, NEED_CONFIG, 0},
    {"check", NULL, run_check, NEED_CONFIG, 0},
    {"stats", NULL, run_stats, NEED_CONFIG, 0},
    {"verify", NULL, verify_run, NEED_UNLESS_STORE, 0},
    {"backup", "DIR", backup_run, NEED_CONFIG, 1},
    {"restore", "DIR", restore_run, NEED_PATH, 1},
    {"nominate", "PARTY", registrar_run_nominate, NEED_UNLESS_OUT, 1},
    {"admit", "CHARTER", registrar_run_admit, NEED_UNLESS_OUT, 1},
    {"suspend", "PARTY", registrar_run_suspend, NEED_UNLESS_OUT, 1},
    {"resume", "PARTY", registrar_run_resume, NEED_UNLESS_OUT, 1},
    {"takeover", "CHARTER", registrar_run_takeover, NEED_UNLESS_OUT, 1},
    {"sign", "ORDER", registrar_run_sign, NEED_NOTHING, 1},
    {"combine", "ORDER...", registrar_run_combine, NEED_NOTHING, TASK_WORDS_MAX},
    {"record", "ORDER", registrar_run_record, NEED_CONFIG, 1},
    {"registrar", "new FILE", registrar_run_registrar, NEED_NOTHING, 2},
    {"move", NULL, move_run, NEED_NOTHING, 2},
    {"recover", NULL, recover_run, NEED_CONFIG, 2},
    {"witness", "request, or add FILE", witness_run, NEED_CONFIG, 2},
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
    case OPTION_CARD: task->card_path = value; break;
    case OPTION_NAME: task->name = value; break;
    case OPTION_KIND: task->kind = value; break;
    case OPTION_LEGS: task->legs = value; break;
    case OPTION_BYTES: task->bytes = value; break;
    case OPTION_OLD: task->old = value; break;
    case OPTION_LOG: task->log = value; break;
    case OPTION_CURVE: task->curve = value; break;
    case OPTION_STORE: task->store = value; break;
    case OPTION_ASIDE: task->aside = true; break;
    case OPTION_NO_KEYS: task->no_keys = true; break;
    case OPTION_ADDRESS:
        if (task->address_count == LENGTH(task->addresses)) return cli_fail(&task->cli, E_USAGE, "too many --address");
        task->addresses[task->address_count++] = value;
        break;
    case 'o': task->out = value; break;
    case OPTION_KEY:
        if (task->key_count == LENGTH(task->keys)) return cli_fail(&task->cli, E_USAGE, "too many --registrar-key");
        task->keys[task->key_count++] = value;
        break;
    default: break; /* --json was seen before; there are no colours to turn off */
    }
    return 0;
}

static int word(struct task *task, const char *value) {
    if (!task->verb) {
        task->verb = value;
        return 0;
    }
    if (task->word_count == TASK_WORDS_MAX) return cli_fail(&task->cli, E_USAGE, "one word too many: %.80s", value);
    task->words[task->word_count++] = value;
    task->subject = task->words[0];
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
    if (task->word_count > verb->words_max)
        return cli_fail(&task->cli, E_USAGE, "one word too many: %.80s", task->words[verb->words_max]);
    bool check = verb->run == run_check;
    bool needs = verb->need == NEED_CONFIG || (verb->need == NEED_UNLESS_OUT && !task->out);
    if (verb->need == NEED_PATH || (verb->need == NEED_UNLESS_STORE && task->store)) return verb->run(task);
    if (!task->config_path && !needs) return verb->run(task);
    if (!task->config_path) {
        if (check) return say_check(task, ICINGA_UNKNOWN, "--config FILE is missing", NULL);
        return cli_fail_hint(&task->cli, E_USAGE,
                             verb->need == NEED_UNLESS_OUT
                                 ? "add --config FILE, the relay's relay.yaml, or -o FILE to write the order"
                                 : "add --config FILE, the relay's relay.yaml",
                             "which relay?");
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
