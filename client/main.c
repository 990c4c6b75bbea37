/* main.c - pouch, the point of contact's program: one table of commands, found by one word or two. */
#include <locale.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "commands/commands.h"
#include "sign.h"

#define ROW(function) function, function##_options

static const struct command_row {
    const char *name, *usage, *text, *examples, *help;
    int (*function)(struct run *run);
    const struct cli_option *options;
    const size_t *count;
} rows[] = {
    {"authority init", "PARTY --name NAME [--kind state|intergovernmental|observer]", "make a party's authority key",
     "pouch --home ~/authority authority init fj --name \"Republic of Fiji\"\n"
     "pouch --home A authority init org.first --name FIRST --kind observer --passphrase-file pp",
     "Writes PARTY.charter, for the registrar, and PARTY.nomination, a sheet with the fingerprint, into the current\n"
     "folder. Keep the home on a machine that is not connected: it alone says who the party's posts are.",
     ROW(authority_init), &authority_init_count},
    {"authority certify", "FILE [--functions diplomatic,policy,technical] [-o CERT]", "certify a post's request",
     "pouch --home ~/authority authority certify fj-technical.request -o fj-technical.cert",
     "Without --functions they follow the desk's name: fj/technical is technical; fj/national has all three.",
     ROW(authority_certify), &authority_certify_count},
    {"authority revoke", "POST | DEVICE --post POST | FILE  [-o FILE] [--card CARD] [--reason N]",
     "revoke a post or one of its devices",
     "pouch --home ~/authority authority revoke fj/technical --card relay.card\n"
     "pouch authority revoke fj-technical.revocation --card relay.card      the slip from the safe; needs no home",
     "Makes a signed statement: a file (-o), and with --card sent to the relay at once. DEVICE is the key that\n"
     "pouch directory show POST prints. FILE sends a revocation that was made before.",
     ROW(authority_revoke), &authority_revoke_count},
    {"init", "POST", "make a post's keys",
     "pouch --home ~/fj init fj/technical\npouch --home H init fj/technical --no-passphrase",
     "Writes POST's request, for the authority to certify, and its revocation slip into the current folder; the post\n"
     "key is a separately sealed file in the home, to be taken away.",
     ROW(post_init), &post_init_count},
    {"join", "--card CARD --cert CERT [--fingerprint N]", "register this device at a relay",
     "pouch --home ~/fj join --card relay.card --cert fj-technical.cert\n"
     "pouch --home H join --card relay.card --cert C --fingerprint \"12345 67890 ...\"",
     "Compare the card's fingerprint with the relay's operator, by telephone. Joining again does no harm.",
     ROW(post_join), &post_join_count},
    {"directory list", "", "parties and posts", "pouch directory list\npouch directory list --json | jq .post", "",
     ROW(directory_list), &directory_list_count},
    {"directory show", "POST", "one post and its devices", "pouch directory show de/technical", "", ROW(directory_show),
     &directory_show_count},
    {"directory phrase", "[--at SIZE]", "the digits to read to another member by telephone",
     "pouch directory phrase\npouch directory phrase --at 42",
     "Ten groups of five digits over the relay's card and the directory. Members who have the same digits at the same\n"
     "size are shown the same posts and keys. Read the size aloud, too; where sizes differ, compare at the smaller "
     "one.",
     ROW(directory_phrase_show), &directory_phrase_show_count},
    {"directory compare", "DIGITS [--at SIZE]", "compare the digits that another member reads aloud",
     "pouch directory compare --at 42 12345 67890 ...\npouch directory compare \"12345-67890-...\" --at 42",
     "Blanks, dashes and dots are passed over. --at: the size that the other side reads aloud; else this home's.\n"
     "Exit code 4 when the digits differ, 1 when this home has not seen that many entries.",
     ROW(directory_compare), &directory_compare_count},
    {"directory export", "[--public] [-o FILE]", "the whole directory, for others to check or to read",
     "pouch directory export -o directory.hex\npouch directory export --public -o directory.jsonl",
     "One line an entry of the log, in order: its bytes as the relay gave them, in hex; with --json {\"index\",\n"
     "\"leaf\"}.\n"
     "--public: JSON lines to hand on, without keys: first size, root and digits, then the parties, then the posts.",
     ROW(directory_export), &directory_export_count},
    {"send",
     "--to POST[,POST...] [-s SUBJECT] [--kind incident|clarification|assistance|notice|ping] [--tlp LABEL]\n"
     "           [--pap LABEL] [--precedence routine|priority|immediate|flash] [--answer-by 24h] [--keep 30d]\n"
     "           [--summary TEXT] [--language TAG] [--offer-only] [--attach FILE]... [--exercise] [FILE|-]",
     "send a request",
     "pouch send --to de/technical -s \"Phishing from your network\" --tlp amber report.txt\n"
     "pouch send --to de,fr,fj --kind ping --exercise --offer-only -s \"Communications check\" --keep 1h\n"
     "mail2text | pouch send --to de --kind clarification -s \"Your note of 3 May\" --answer-by 24h -",
     "A bare party (de) stands for its post for the kind: diplomatic for a clarification, technical for all else. The\n"
     "subject, the summary and the markings are the offer, which the recipient sees before deciding; the text and the\n"
     "attachments are the body, handed over after acceptance. Without FILE on a terminal, $EDITOR opens.",
     ROW(request_send), &request_send_count},
    {"reply", "ID [--to POST] [--attach FILE]... [--keep 30d] [FILE|-]", "reply within an accepted exchange",
     "pouch reply 3 answer.txt\necho \"We are looking into it.\" | pouch reply K7Q-M2F -",
     "--to is needed only where one's own request was accepted by several posts.", ROW(request_reply),
     &request_reply_count},
    {"inbox", "[--all]", "requests that this post has received", "pouch inbox\npouch inbox --all --json", "",
     ROW(inbox_inbox), &inbox_inbox_count},
    {"sent", "[--all]", "requests that this post has sent", "pouch sent\npouch sent --all --json", "", ROW(inbox_sent),
     &inbox_sent_count},
    {"show", "ID [--body -] [--save DIR]", "one request: its offer; after acceptance its body",
     "pouch show 3\npouch show K7Q-M2F --body - | less\npouch show 3 --save attachments/",
     "--body - writes the body's bytes alone to stdout. --save writes attachments; it never overwrites a file.",
     ROW(inbox_show), &inbox_show_count},
    {"accept", "ID [--note TEXT]", "take the text; this agrees to nothing",
     "pouch accept 3\npouch accept K7Q-M2F --json", "", ROW(decide_accept), &decide_accept_count},
    {"decline", "ID [--reason CODE] [--note TEXT]", "refuse a request",
     "pouch decline 3\n"
     "pouch decline 3 --reason not-competent --note \"Please ask fj/national.\"",
     "A reason is optional. The note is sealed: only the sender can read it.", ROW(decide_decline),
     &decide_decline_count},
    {"ack", "ID [--note TEXT]", "say: we have it", "pouch ack 3\npouch ack 3 --note \"Received; under analysis.\"", "",
     ROW(decide_ack), &decide_ack_count},
    {"close", "ID", "close an exchange to further replies", "pouch close 3", "", ROW(decide_close),
     &decide_close_count},
    {"withdraw", "ID [--to POST]", "take a request back", "pouch withdraw 2\npouch withdraw 2 --to de/technical",
     "Possible until the recipient has decided.", ROW(decide_withdraw), &decide_withdraw_count},
    {"track", "ID", "the evidence of every step", "pouch track 3\npouch track K7Q-M2F --json", "", ROW(evidence_track),
     &evidence_track_count},
    {"wait", "[ID...] --for STATE [--any] [--timeout 60s]", "wait for a state; for scripts",
     "pouch wait 3 --for acknowledged --timeout 5m\npouch wait --for notified --any",
     "Without ID: the open requests, received and sent, also those that come meanwhile. With --any one leg is enough.\n"
     "A state counts as reached when the leg has been in it or beyond it. Exit code 6 when time runs out, 1 when the\n"
     "state can no longer come.",
     ROW(evidence_wait), &evidence_wait_count},
    {"explain", "ID", "the history in plain words, and what can be done next", "pouch explain 3", "",
     ROW(evidence_explain), &evidence_explain_count},
    {"sync", "", "send what waits, fetch what is new", "pouch sync", "", ROW(home_sync), &home_sync_count},
    {"status", "", "how things stand; also bare pouch", "pouch\npouch status --json", "", ROW(home_status),
     &home_status_count},
};

static const char shared_help[] =
    "Options of every command:\n"
    "  --home DIR              the home (else $POUCH_HOME, else the XDG data folder)\n"
    "  --json                  one object, or one object a line\n"
    "  --quiet                 no talk on stderr but errors\n"
    "  --no-color              no colour (also: NO_COLOR)\n"
    "  --yes                   no questions\n"
    "  --offline               do not try to reach the relay\n"
    "  --officer, --machine    who speaks, in evidence; without: a person at a terminal, a machine elsewhere\n"
    "  --passphrase-file FILE  the pass-phrase's file (- for standard input)\n"
    "  --no-passphrase         at init: an unsealed key store, for tests and protected hosts\n";

static void examples(const char *text, FILE *out) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        fprintf(out, "  %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

void run_help(const struct command *command) {
    fputs("Examples:\n", stdout);
    examples(command->examples, stdout);
    printf("\nUsage: pouch %s%s%s\n\n", command->name, *command->usage ? " " : "", command->usage);
    printf("%s: %s.\n", command->name, command->text);
    if (*command->help) printf("%s\n", command->help);
    printf("\n%s", shared_help);
}

static void help(FILE *out) {
    fputs("pouch - sealed requests between points of contact\n\n"
          "Examples:\n"
          "  pouch                                   how things stand\n"
          "  pouch inbox                             what has come\n"
          "  pouch accept 3                          take the text of number 3; this agrees to nothing\n"
          "  pouch send --to de -s Question note.txt ask the technical post of de\n\n"
          "Commands (pouch COMMAND --help):\n",
          out);
    for (size_t i = 0; i < LENGTH(rows); i++) fprintf(out, "  %-18s %s\n", rows[i].name, rows[i].text);
    fprintf(out, "\n%s", shared_help);
}

static const struct command_row *named(const char *name) {
    for (size_t i = 0; i < LENGTH(rows); i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

/* A table row, found by the word just read and, for two-word names, the one after it. */
static const struct command_row *find(struct cli_args *args) {
    const char *first = args->value, *second = *args->argv;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        size_t n = strcspn(rows[i].name, " ");
        if (strlen(first) != n || strncmp(first, rows[i].name, n) != 0) continue;
        if (!rows[i].name[n]) return &rows[i];
        if (!second || strcmp(second, rows[i].name + n + 1) != 0) continue;
        args->argv++;
        return &rows[i];
    }
    bool bare = strcmp(first, "directory") == 0 && (!second || second[0] == '-');
    return bare ? named("directory list") : NULL;
}

static int unknown_command(struct run *run) {
    const char *names[LENGTH(rows)];
    char near[64], word[96];
    const char *second = *run->args.argv;
    for (size_t i = 0; i < LENGTH(rows); i++) names[i] = rows[i].name;
    bool family = strcmp(run->args.value, "authority") == 0 || strcmp(run->args.value, "directory") == 0;
    snprintf(word, sizeof word, "%.40s%s%.40s", run->args.value, family && second ? " " : "",
             family && second ? second : "");
    cli_suggest(word, names, LENGTH(rows), near, sizeof near);
    return cli_fail_hint(&run->cli, E_USAGE, "pouch --help lists the commands", "there is no command %s%s", word, near);
}

static int run_row(struct run *run, const struct command_row *row) {
    struct command command = {row->name, row->usage,    row->text,    row->examples,
                              row->help, row->function, row->options, *row->count};
    size_t n = 0;
    for (size_t i = 0; i < run_shared_count; i++) run->options[n++] = run_shared_options[i];
    for (size_t i = 0; i < command.option_count && n < RUN_OPTIONS_MAX; i++) run->options[n++] = command.options[i];
    run->args.options = run->options;
    run->args.count = n;
    run->command = &command;
    int exit_code = command.function(run);
    run_close(run);
    return exit_code;
}

/* Shared options may stand before the command, too. */
static int dispatch(struct run *run) {
    run->args.options = run_shared_options;
    run->args.count = run_shared_count;
    for (;;) {
        int id = cli_next(&run->args);
        if (run_shared(run, id)) continue;
        if (id == 'h') return help(stdout), 0;
        if (id == CLI_BAD && strstr(run->args.problem, "--version")) return puts("pouch " POUCH_VERSION) < 0 ? 3 : 0;
        if (id == CLI_BAD) return cli_fail(&run->cli, E_USAGE, "%s", run->args.problem);
        if (id == CLI_END) return run_row(run, named("status"));
        if (strcmp(run->args.value, "help") == 0) return help(stdout), 0;
        const struct command_row *row = find(&run->args);
        return row ? run_row(run, row) : unknown_command(run);
    }
}

/* An error before --json was read is said as a script wants it, too. */
static bool wants_json(char *const *argv) {
    for (; *argv && strcmp(*argv, "--") != 0; argv++)
        if (strcmp(*argv, "--json") == 0) return true;
    return false;
}

int main(int argc, char **argv) {
    struct run run = {.cli = {.program = "pouch"}, .officer = isatty(STDIN_FILENO) == 1};
    (void)argc;
    setlocale(LC_CTYPE, "C.UTF-8"); /* widths; formats and messages stay as they are */
#ifndef __SANITIZE_ADDRESS__        /* its leak checker traces the process */
    prctl(PR_SET_DUMPABLE, 0);
#endif
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    run.args.argv = argv + (argv[0] ? 1 : 0);
    run.cli.json = wants_json(run.args.argv);
    run_catch_interrupt();
    enum error error = sign_self_test();
    int exit_code = error == E_OK ? dispatch(&run) : cli_fail(&run.cli, error, "libsodium");
    /* ferror: what was flushed line by line may have failed long before. */
    bool lost = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (lost && exit_code == 0) exit_code = cli_fail(&run.cli, E_IO, "standard output");
    return exit_code;
}
