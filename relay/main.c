/* main.c - pouchd: makes a relay's folder, checks its configuration, runs it. The running parent only supervises
 * (supervise.h); it opens the two inner sockets, so that both outlive any ledger, and never holds a key. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cli.h"
#include "gate/gate.h"
#include "init.h"
#include "ledger/ledger.h"
#include "link.h"
#include "lockdown.h"
#include "log.h"
#include "notify.h"
#include "sign.h"
#include "supervise.h"
#include "text.h"
#include "units.h"

static const char help[] =
    "Examples:\n"
    "  pouchd init /var/lib/pouch --listen tcp://127.0.0.1:5870     make a relay's folder\n"
    "  pouchd --config /var/lib/pouch/relay.yaml --check-config     name every error of the configuration\n"
    "  pouchd --config /var/lib/pouch/relay.yaml                    run in the foreground; says \"ready\" when it "
    "serves\n"
    "\n"
    "pouchd is the relay of Pouch: it stores sealed requests, hands them over and keeps signed evidence.\n"
    "\n"
    "  init DIR            make DIR with relay.yaml, keys, an empty store, relay.card and a registrar's key\n"
    "    --listen ADDRESS  tcp://HOST:PORT or ipc://PATH; may be repeated (default tcp://127.0.0.1:5870)\n"
    "    --name NAME       the relay's name in its card (default: this host's name)\n"
    "    --registrar HEX   a registrar's public key (pouchctl registrar new); may be repeated. Then no registrar's "
    "key\n"
    "                      is made here: the keys stay with those who are trusted to admit\n"
    "    --threshold K     how many registrars must sign (default: more than half of them)\n"
    "    --witness VKEY    a witness's verifier key (pouch witness init); may be repeated\n"
    "    --witnesses K     how many of them must have cosigned a directory that is used for sending (default: none)\n"
    "    --freshness 24h   how old their word may be\n"
    "  --config FILE       the configuration, in the relay's folder\n"
    "  --check-config      only check it, and relay.card beside it: prints every error, or \"FILE: ok\"\n"
    "  --json              answers and errors as JSON objects\n"
    "  --help, --version\n"
    "\n"
    "Signals: TERM and INT stop it cleanly; a changed configuration needs a restart.\n"
    "Exit codes: 0 done, 1 you can fix it, 2 internal fault, 3 network or disk, 4 key or trust.\n";

enum {
    OPTION_CHECK = 256,
    OPTION_LISTEN,
    OPTION_NAME,
    OPTION_JSON,
    OPTION_VERSION,
    OPTION_PLAIN,
    OPTION_REGISTRAR,
    OPTION_THRESHOLD,
    OPTION_WITNESS,
    OPTION_WITNESSES,
    OPTION_FRESHNESS,
    WHERE_SIZE = 4400
};

static const struct cli_option options[] = {
    {"config", 'c', true},
    {"check-config", OPTION_CHECK, false},
    {"listen", OPTION_LISTEN, true},
    {"name", OPTION_NAME, true},
    {"registrar", OPTION_REGISTRAR, true},
    {"threshold", OPTION_THRESHOLD, true},
    {"witness", OPTION_WITNESS, true},
    {"witnesses", OPTION_WITNESSES, true},
    {"freshness", OPTION_FRESHNESS, true},
    {"json", OPTION_JSON, false},
    {"help", 'h', false},
    {"version", OPTION_VERSION, false},
    {"quiet", 'q', false},
    {"no-color", OPTION_PLAIN, false},
    {"yes", 'y', false},
};

struct arguments {
    const char *config, *folder, *name, *listen[CONFIG_ADDRESSES_MAX];
    size_t listen_count;
    struct card card; /* what its options say about registrars and witnesses */
    bool init, check, help, version, quiet;
};

/* ---- init ---- */

static void print_made(const struct cli *cli, const struct init *init, const struct card *card) {
    uint8_t hash[HASH_SIZE];
    char digits[TEXT_FINGERPRINT_SIZE];
    const char *folder = init->config.folder;
    bool key_made = init->wanted.registrar_count == 0;
    card_hash(card, hash);
    text_fingerprint(hash, digits);
    if (cli->json) {
        fputs("{\"folder\": ", stdout);
        cli_json_text(stdout, bytes_text(folder));
        printf(", \"config\": \"relay.yaml\", \"card\": \"relay.card\", \"registrar_key\": %s, \"registrars\": %zu, "
               "\"threshold\": %u, \"witnesses\": %zu, \"witnesses_needed\": %u, \"fingerprint\": \"%s\"}\n",
               key_made ? "\"registrar.key\"" : "null", card->registrar_count, card->threshold, card->witness_count,
               card->quorum, digits);
        return;
    }
    printf("The relay's folder is made: %s\n\n"
           "  card         %s/relay.card\n"
           "  fingerprint  %s\n",
           folder, folder, digits);
    for (size_t i = 0; i < card->address_count; i++) printf("  address      %s\n", card->addresses[i]);
    printf("  registrars   %u of %zu must sign an admission\n", card->threshold, card->registrar_count);
    if (card->witness_count)
        printf("  witnesses    %u of %zu must have cosigned the directory\n", card->quorum, card->witness_count);
    printf("\nGive relay.card to the members and read its fingerprint to them by telephone.\n");
    if (key_made)
        printf("Move %s/registrar.key to a computer off the network: whoever has it can admit\n"
               "parties. `pouchctl admit --registrar-key FILE` reads it from there.\n",
               folder);
    else
        printf("The registrars' keys are not here: whoever runs this relay can admit and suspend nobody.\n");
    printf("\nStart the relay:  pouchd --config %s/relay.yaml\n", folder);
}

static enum error fill_config(const struct arguments *arguments, struct config *ret, const char **ret_problem) {
    struct config config;
    config_defaults(&config);
    if (arguments->listen_count) config.listen_count = arguments->listen_count;
    for (size_t i = 0; i < arguments->listen_count; i++) {
        *ret_problem = config_address_problem(bytes_text(arguments->listen[i]));
        if (*ret_problem) return E_USAGE;
        snprintf(config.listen[i], sizeof config.listen[i], "%s", arguments->listen[i]);
    }
    if (arguments->name) {
        *ret_problem = strlen(arguments->name) >= sizeof config.name ? "the name is too long"
                                                                     : config_name_problem(bytes_text(arguments->name));
        if (*ret_problem) return E_USAGE;
        snprintf(config.name, sizeof config.name, "%s", arguments->name);
    }
    *ret = config;
    return E_OK;
}

/* What only all options together can say. */
static const char *card_problem(struct card *card) {
    if (card->registrar_count == 0) return card->threshold ? "--threshold without --registrar" : NULL;
    if (card->threshold == 0) card->threshold = (unsigned)card->registrar_count / 2 + 1;
    return card->threshold > card->registrar_count ? "the threshold is more than there are registrars" : NULL;
}

static int run_init(const struct cli *cli, const struct arguments *arguments) {
    struct init init = {.folder = arguments->folder, .create_store = ledger_create};
    struct card card;
    const char *problem = NULL;
    char where[WHERE_SIZE] = "";
    if (!arguments->folder) return cli_fail_hint(cli, E_USAGE, "pouchd init DIR", "init needs the name of a folder");
    if (fill_config(arguments, &init.config, &problem) != E_OK) return cli_fail(cli, E_USAGE, "%s", problem);
    init.wanted = arguments->card;
    problem = card_problem(&init.wanted);
    if (!problem && init.wanted.quorum > init.wanted.witness_count)
        problem = "more witnesses are asked for than are named with --witness";
    if (problem) return cli_fail(cli, E_USAGE, "%s", problem);
    enum error error = init_folder(&init, &card, where, sizeof where);
    if (error == E_HOME_EXISTS && strcmp(where, "relay.yaml") == 0)
        return cli_fail_hint(cli, error, "start it with `pouchd --config`, or choose another folder",
                             "%s has a relay.yaml", arguments->folder);
    if (error != E_OK)
        return cli_fail_hint(cli, error, "mend what is named above and run the same command again; whole keys are kept",
                             "%s in %s", where, arguments->folder);
    if (!arguments->quiet) print_made(cli, &init, &card);
    return 0;
}

/* ---- the configuration ---- */

/* For people the lines go to stderr as they are; for scripts they are part of the one JSON object. */
static enum error load(const struct cli *cli, const char *path, struct config *ret, int *ret_code) {
    AUTO_FREE(char) lines = NULL;
    size_t size = 0;
    FILE *report = cli->json ? open_memstream(&lines, &size) : stderr;
    enum error error = config_read(path, report, ret);
    if (cli->json && report) fclose(report);
    if (error != E_OK) *ret_code = cli_fail(cli, error, "%s", cli->json && lines ? lines : path);
    return error;
}

static int run_check(const struct cli *cli, const struct arguments *arguments) {
    struct config config;
    int code = 0;
    if (load(cli, arguments->config, &config, &code) != E_OK) return code;
    struct card card;
    bool has_card;
    char where[WHERE_SIZE];
    enum error error = init_check_card(config.folder, &card, &has_card, where, sizeof where);
    if (error != E_OK)
        return cli_fail_hint(cli, error, "mend it, or take relay.card from a copy that the members have", "%s in %s",
                             where, config.folder);
    if (cli->json) {
        fputs("{\"ok\": true, \"file\": ", stdout);
        cli_json_text(stdout, bytes_text(arguments->config));
        if (has_card)
            printf(", \"registrars\": %zu, \"threshold\": %u, \"witnesses\": %zu, \"witnesses_needed\": %u",
                   card.registrar_count, card.threshold, card.witness_count, card.quorum);
        puts("}");
    } else {
        printf("%s: ok\n", arguments->config);
    }
    return 0;
}

/* ---- running ---- */

struct relay {
    struct config config;
    int gate_fd, control_fd; /* listening */
    bool was_ready;
};

static int run_ledger(void *user) {
    const struct relay *relay = user;
    return ledger_run(&relay->config, relay->gate_fd, relay->control_fd);
}

static int run_gate(void *user, int ready_fd) {
    const struct relay *relay = user;
    close(
        relay->gate_fd); /* the gate connects like anybody else; it must not be able to accept in the ledger's place */
    close(relay->control_fd);
    return gate_run(&relay->config, ready_fd);
}

static void say_ready(void *user) {
    struct relay *relay = user;
    if (relay->was_ready) {
        log_line(LOG_INFO, "the gate serves again");
        return;
    }
    relay->was_ready = true;
    fputs("pouchd: ready, listening on ", stdout);
    for (size_t i = 0; i < relay->config.listen_count; i++) printf("%s%s", i ? ", " : "", relay->config.listen[i]);
    puts("");
    fflush(stdout);
    notify_send("READY=1\nSTATUS=serving");
}

static void say_stopping(void *user) {
    (void)user;
    notify_send("STOPPING=1");
}

static int run_relay(const struct cli *cli, const struct arguments *arguments) {
    static struct relay relay;
    int code = 0, lock;
    pid_t other = 0;
    if (load(cli, arguments->config, &relay.config, &code) != E_OK) return code;
    if (chdir(relay.config.folder) != 0) return cli_fail(cli, E_IO, "%s: %s", relay.config.folder, strerror(errno));
    enum error error = sign_self_test();
    if (error != E_OK) return cli_fail(cli, error, "the cryptographic library fails its self-test");
    error = lockdown_process(&relay.config);
    if (error != E_OK) return cli_fail(cli, error, "core dumps cannot be turned off");
    error = lockdown_folder(&lock, &other);
    if (error != E_OK) return cli_fail(cli, error, "%s (process %d)", relay.config.folder, (int)other);
    relay.gate_fd = link_listen("gate.sock");
    relay.control_fd = link_listen("control.sock");
    if (relay.gate_fd < 0 || relay.control_fd < 0)
        return cli_fail(cli, E_IO, "a socket in %s: %s", relay.config.folder, strerror(errno));
    signal(SIGPIPE, SIG_IGN); /* stdout and stderr may be pipes that end before we do */
    log_line(LOG_INFO, "version " POUCH_VERSION " starts in %s", relay.config.folder);
    code = supervise_run(&(struct supervise){
        .ledger = run_ledger, .gate = run_gate, .ready = say_ready, .stopping = say_stopping, .user = &relay});
    unlink("gate.sock");
    unlink("control.sock");
    log_line(LOG_INFO, "stopped");
    return code;
}

/* ---- the command line ---- */

static int word(const struct cli *cli, const char *word_given, struct arguments *arguments) {
    static const char *const verbs[] = {"init"};
    char near[64];
    if (!arguments->init && strcmp(word_given, "init") == 0) {
        arguments->init = true;
        return 0;
    }
    if (arguments->init && !arguments->folder) {
        arguments->folder = word_given;
        return 0;
    }
    cli_suggest(word_given, verbs, LENGTH(verbs), near, sizeof near);
    return cli_fail(cli, E_USAGE, "unknown word %.80s%s", word_given, near);
}

static int bad_value(const struct cli *cli, const char *option_name, const char *form, const char *value) {
    return cli_fail(cli, E_USAGE, "--%s is %s: %.120s", option_name, form, value);
}

/* Those that end up in the card. */
static int card_option(const struct cli *cli, int id, const char *value, struct card *card) {
    uint64_t number = 0;
    struct bytes text = bytes_text(value);
    switch (id) {
    case OPTION_REGISTRAR:
        if (card_add_registrar(card, text) == E_OK) return 0;
        return bad_value(cli, "registrar", "the 64 hex digits of a public key, each key once, at most 16", value);
    case OPTION_WITNESS:
        if (card_add_witness(card, text) == E_OK) return 0;
        return bad_value(cli, "witness", "a verifier key as `pouch witness init` prints it, each once, at most 16",
                         value);
    case OPTION_FRESHNESS:
        if (units_duration(text, &card->freshness_s) == E_OK && card->freshness_s > 0 &&
            card->freshness_s <= 366 * 86400)
            return 0;
        return bad_value(cli, "freshness", "a duration such as 24h, at most 366d", value);
    default: break;
    }
    bool good = units_number(text, &number) == E_OK && number > 0 && number <= CARD_KEYS_MAX;
    if (id == OPTION_THRESHOLD)
        card->threshold = (unsigned)number;
    else
        card->quorum = (unsigned)number;
    return good ? 0 : bad_value(cli, id == OPTION_THRESHOLD ? "threshold" : "witnesses", "a number, 1 to 16", value);
}

static int option(const struct cli *cli, int id, const char *value, struct arguments *arguments) {
    switch (id) {
    case OPTION_REGISTRAR:
    case OPTION_THRESHOLD:
    case OPTION_WITNESS:
    case OPTION_WITNESSES:
    case OPTION_FRESHNESS: return card_option(cli, id, value, &arguments->card);
    case 'c': arguments->config = value; break;
    case OPTION_CHECK: arguments->check = true; break;
    case OPTION_NAME: arguments->name = value; break;
    case OPTION_VERSION: arguments->version = true; break;
    case 'h': arguments->help = true; break;
    case 'q': arguments->quiet = true; break;
    case OPTION_LISTEN:
        if (arguments->listen_count == CONFIG_ADDRESSES_MAX) return cli_fail(cli, E_USAGE, "more than eight --listen");
        arguments->listen[arguments->listen_count++] = value;
        break;
    default: break; /* --json was seen before; --yes and --no-color change nothing here */
    }
    return 0;
}

static int parse(struct cli *cli, char **argv, struct arguments *ret) {
    struct cli_args args = {.argv = argv, .options = options, .count = LENGTH(options)};
    int id, code = 0;
    for (char **at = argv; *at; at++)
        if (strcmp(*at, "--json") == 0) cli->json = true; /* first of all: errors of the command line are JSON too */
    while (code == 0 && (id = cli_next(&args)) != CLI_END) {
        if (id == CLI_BAD)
            code = cli_fail(cli, E_USAGE, "%s", args.problem);
        else if (id == CLI_WORD)
            code = word(cli, args.value, ret);
        else
            code = option(cli, id, args.value, ret);
    }
    return code;
}

int main(int argc, char **argv) {
    struct cli cli = {.program = "pouchd"};
    struct arguments arguments = {0};
    if (argc < 1) return 1;
    int code = parse(&cli, argv + 1, &arguments);
    if (code) return code;
    if (arguments.help) {
        fputs(help, stdout);
        return 0;
    }
    if (arguments.version) {
        puts("pouchd " POUCH_VERSION);
        return 0;
    }
    if (arguments.init)
        return sign_self_test() == E_OK ? run_init(&cli, &arguments) : cli_fail(&cli, E_INTERNAL, "self-test");
    if (!arguments.config)
        return cli_fail_hint(&cli, E_USAGE, "pouchd --config FILE, or pouchd init DIR; see pouchd --help",
                             "what is to be done?");
    return arguments.check ? run_check(&cli, &arguments) : run_relay(&cli, &arguments);
}
