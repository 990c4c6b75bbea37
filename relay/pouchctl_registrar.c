/* pouchctl_registrar.c - the registrars' verbs. What they decide is an order (registrar.h): made here, signed by
 * whoever of them is at hand, carried as a file to the others where the card asks for more, and recorded once enough
 * have signed. `sign`, `combine` and `registrar` need no relay and no configuration: they run on a computer that is
 * off the network. */
#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <linux/limits.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "keys.h"
#include "pouchctl.h"
#include "registrar.h"
#include "text.h"
#include "units.h"

/* ---- files and keys ---- */

static int fail_file(const struct task *task, enum error error, const char *path) {
    if (error == E_IO && errno == ENOENT) error = E_NO_FILE;
    if (error == E_IO) return cli_fail(&task->cli, error, "%s: %s", path, strerror(errno));
    return cli_fail(&task->cli, error, "%s", path);
}

static int read_file(const struct task *task, const char *path, struct buf *out) {
    errno = 0;
    enum error error = task_read(path, TASK_FILE_MAX, out);
    return error == E_OK ? 0 : fail_file(task, error, path);
}

static int write_file(const struct task *task, const char *path, struct bytes bytes) {
    errno = 0;
    enum error error = task_write(path, bytes);
    return error == E_OK ? 0 : fail_file(task, error, path);
}

static enum error read_key(const char *path, uint8_t ret[static KEY_SIZE]) {
    char folder[PATH_MAX], name[PATH_MAX];
    if (strlen(path) >= PATH_MAX) return E_IO;
    snprintf(folder, sizeof folder, "%s", path);
    snprintf(name, sizeof name, "%s", path);
    return keys_read(dirname(folder), basename(name), ret);
}

static int fail_key(const struct task *task, enum error error, const char *path) {
    if (error == E_NOT_ALLOWED)
        return cli_fail_hint(&task->cli, error, "chmod 600 it: others can read this key", "%s", path);
    return cli_fail_hint(&task->cli, error, "name the registrar's key with --registrar-key FILE", "%s", path);
}

/* The card that binds this order, where one is known. */
static int read_card(const struct task *task, struct card *ret, bool *ret_has) {
    errno = 0;
    enum error error = task_card(task, ret, ret_has);
    if (error == E_OK) return 0;
    return cli_fail(&task->cli, error, "%s", task->card_path ? task->card_path : "relay.card");
}

static struct instant now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000};
}

/* ---- words ---- */

static const char *kind_name(uint64_t kind) {
    static const char *const names[] = {"State", "intergovernmental organisation", "observer"};
    return kind < LENGTH(names) ? names[kind] : "unknown";
}

/* As `pouch authority init --kind` has them. */
static bool kind_of(const char *word, uint64_t *ret) {
    static const char *const words[] = {"state", "intergovernmental", "observer"};
    for (size_t i = 0; i < LENGTH(words); i++)
        if (strcmp(words[i], word) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

static const struct deed {
    const char *name, *plain, *done, *state; /* the verb; what is to be signed; once it is recorded; the same in JSON */
} deeds[] = {
    [ACTION_ADMIT] = {"admit", "admit this party", "admitted", "admitted"},
    [ACTION_SUSPEND] = {"suspend", "suspend this party: it may send no new requests", "suspended", "suspended"},
    [ACTION_RESUME] = {"resume", "end this party's suspension", "resumed", "resumed"},
    [ACTION_NOMINATE] = {"nominate", "list this party as nominated, before it has keys", "nominated", "nominated"},
};
static const struct deed takeover_deed = {
    "takeover", "give notice that this key will be the party's authority in 14 days, unless the party objects",
    "given public notice: its new key may be taken after 14 days, unless it objects", "notice"};

static const struct deed relay_deeds[] = {
    [RELAY_MOVED] = {"move", "the relay goes to the addresses below", "announced to have moved", "moved"},
    [RELAY_RECOVERED] = {"recover",
                         "the relay has lost what came after this, and goes on from there under the keys below",
                         "declared recovered", "recovered"},
};

static const struct deed *deed_of(const struct registrar_order *order) {
    if (order->kind == LEAF_RELAY) return &relay_deeds[order->relay.action];
    return order->kind == LEAF_NOTICE ? &takeover_deed : &deeds[order->admission.action];
}

static struct bytes reason_of(const struct registrar_order *order) {
    if (order->kind == LEAF_RELAY) return order->relay.has_reason ? order->relay.reason : (struct bytes){0};
    if (order->kind == LEAF_NOTICE) return order->notice.has_reason ? order->notice.reason : (struct bytes){0};
    return order->admission.has_reason ? order->admission.reason : (struct bytes){0};
}

/* The party's own name and kind, as its charter or its nomination has them. */
static bool names_of(const struct registrar_order *order, struct bytes *ret_name, uint64_t *ret_kind) {
    *ret_name = order->has_charter ? order->charter.charter.name : order->admission.name;
    *ret_kind = order->has_charter ? order->charter.charter.kind : order->admission.kind;
    return order->has_charter || order->admission.has_name;
}

static struct instant created_of(const struct registrar_order *order) {
    if (order->kind == LEAF_RELAY) return order->relay.created;
    return order->kind == LEAF_NOTICE ? order->notice.created : order->admission.created;
}

/* When it was made, by its maker's clock: an old order that turns up is looked at twice. */
static void show_made(struct instant created) {
    char text[40] = "";
    time_t seconds = (time_t)(created.ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) && strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts) > 0)
        printf("  %-12s %s\n", "made", text);
}

static void show_text(const char *field, struct bytes text) {
    AUTO_BUF safe = {0};
    text_for_terminal(text, false, &safe);
    if (!safe.failed) printf("  %-12s %s\n", field, (const char *)safe.p);
}

static void show_key(const char *field, const uint8_t key[static KEY_SIZE]) {
    char hex[2 * KEY_SIZE + 1];
    text_hex(key, KEY_SIZE, hex);
    printf("  %-12s %s\n", field, hex);
}

static void show_relay(const struct relaychange *change) {
    struct list addresses = change->addresses;
    struct bytes address;
    while (list_next_bytes(&addresses, &address)) show_text("address", address);
    show_key("curve", change->curve);
    if (change->action != RELAY_RECOVERED) return;
    printf("  %-12s %llu entries of the directory, %llu of the evidence log\n", "left",
           (unsigned long long)change->size, (unsigned long long)change->entries);
    show_key("log", change->log);
    show_key("statement", change->statement);
}

/* digits may be NULL: who is about to type the number as it was told must not have it before his eyes. */
static void show_order(const struct registrar_order *order, const char *digits) {
    struct bytes name;
    uint64_t kind;
    show_text("party", order->party);
    if (names_of(order, &name, &kind)) {
        show_text("name", name);
        printf("  %-12s %s\n", "kind", kind_name(kind));
    }
    printf("  %-12s %s\n", "action", deed_of(order)->plain);
    if (order->kind == LEAF_RELAY) show_relay(&order->relay);
    if (reason_of(order).n) show_text("reason", reason_of(order));
    if (order->admission.has_legs)
        printf("  %-12s %llu open requests\n", "quota", (unsigned long long)order->admission.legs);
    if (order->admission.has_bytes) {
        char size[UNITS_TEXT_SIZE];
        units_format_size(order->admission.bytes, size);
        printf("  %-12s %s\n", "quota", size);
    }
    show_made(created_of(order));
    if (digits) printf("  %-12s %s\n", "fingerprint", digits);
    fflush(stdout);
}

static void digits_of(const struct registrar_order *order, char ret[static TEXT_FINGERPRINT_SIZE]) {
    ret[0] = 0;
    if (order->has_charter) text_fingerprint(order->charter.fingerprint, ret);
}

/* ---- what stands after a verb ---- */

/* How far an order has come. */
struct outcome {
    const struct registrar_order *order;
    const struct card *card; /* NULL: not known */
    const char *file;        /* that was written, or NULL */
    bool recorded;
};

static void json_text(const char *field, struct bytes text) {
    printf(", \"%s\": ", field);
    cli_json_text(stdout, text);
}

static void say_json(const struct outcome *outcome) {
    const struct registrar_order *order = outcome->order;
    const struct deed *deed = deed_of(order);
    char digits[TEXT_FINGERPRINT_SIZE];
    struct bytes name;
    uint64_t kind;
    printf("{\"action\": \"%s\"", deed->name);
    json_text("party", order->party);
    if (names_of(order, &name, &kind)) {
        json_text("name", name);
        json_text("kind", bytes_text(kind_name(kind)));
    }
    digits_of(order, digits);
    if (*digits) json_text("fingerprint", bytes_text(digits));
    if (reason_of(order).n) json_text("reason", reason_of(order));
    if (order->admission.has_legs) printf(", \"legs\": %llu", (unsigned long long)order->admission.legs);
    if (order->admission.has_bytes) printf(", \"bytes\": %llu", (unsigned long long)order->admission.bytes);
    printf(", \"created\": %llu, \"signatures\": %zu", (unsigned long long)created_of(order).ms, order->signer_count);
    if (outcome->card) printf(", \"needed\": %u", outcome->card->threshold);
    if (outcome->file) json_text("file", bytes_text(outcome->file));
    printf(", \"recorded\": %s", outcome->recorded ? "true" : "false");
    if (outcome->recorded) printf(", \"state\": \"%s\"", deed->state);
    if (outcome->recorded && strcmp(deed->name, "admit") == 0) fputs(", \"admitted\": true", stdout);
    puts("}");
}

static void say_plain(const struct outcome *outcome) {
    const struct registrar_order *order = outcome->order;
    int n = (int)order->party.n;
    const char *party = (const char *)order->party.p; /* a name of letters, digits, dots and dashes */
    if (outcome->recorded) {
        printf("%.*s is %s.\n", n, party, deed_of(order)->done);
        return;
    }
    if (!outcome->card) {
        printf("%s: %zu signature%s\n", outcome->file, order->signer_count, order->signer_count == 1 ? "" : "s");
    } else if (registrar_check(order, outcome->card) == E_OK && deed_of(order) == &relay_deeds[RELAY_RECOVERED]) {
        printf("%s: %zu of %u signatures; put it in place with `pouchctl --config FILE recover apply %s`\n",
               outcome->file, order->signer_count, outcome->card->threshold, outcome->file);
    } else if (registrar_check(order, outcome->card) == E_OK) {
        printf("%s: %zu of %u signatures; record it with `pouchctl --config FILE record %s`\n", outcome->file,
               order->signer_count, outcome->card->threshold, outcome->file);
    } else {
        printf("%s: %zu of %u signatures; have the others sign it with `pouchctl sign %s --registrar-key KEY`\n",
               outcome->file, order->signer_count, outcome->card->threshold, outcome->file);
    }
}

static void say(const struct task *task, const struct outcome *outcome) {
    if (task->cli.json)
        say_json(outcome);
    else if (!task->quiet)
        say_plain(outcome);
}

/* ---- recording ---- */

static int too_few(const struct task *task, const struct registrar_order *order, const struct card *card) {
    return cli_fail_hint(&task->cli, E_TOO_FEW_SIGNERS,
                         "give all keys with --registrar-key, or write the order with -o FILE, have the others sign it "
                         "(pouchctl sign FILE --registrar-key KEY), then `pouchctl --config FILE record FILE`",
                         "%zu of %u signatures for %.*s; nothing was recorded", order->signer_count, card->threshold,
                         (int)order->party.n, (const char *)order->party.p);
}

/* The relay checks again; here the reason is said before anything goes over the wire. */
static int record(const struct task *task, const struct registrar_order *order, const struct card *card) {
    AUTO_BUF items = {0};
    AUTO_BUF bytes = {0};
    struct answer answer;
    size_t count;
    enum error error = card ? registrar_check(order, card) : E_OK;
    if (error == E_TOO_FEW_SIGNERS) return too_few(task, order, card);
    if (error == E_OK) error = registrar_statements(order, &items, &count);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", task->subject);
    return task_ask(task, &(struct command){.verb = COMMAND_RECORD, .statements = list_of(&items, count)}, &bytes,
                    &answer);
}

static int open_order(const struct task *task, struct bytes file, const char *path, struct registrar_order *ret) {
    enum error error = registrar_open(file, ret);
    return error == E_OK ? 0 : cli_fail(&task->cli, error, "%s is no order of registrars", path);
}

/* ---- signing ---- */

/* Adds one signature in place. */
static int sign_with(const struct task *task, const uint8_t seed[static KEY_SIZE], const char *path, struct buf *file) {
    AUTO_BUF more = {0};
    enum error error = registrar_sign(buf_bytes(file), seed, &more);
    if (error == E_CONFLICT)
        return cli_fail_hint(&task->cli, error, "each registrar signs once; use another's key",
                             "%s has signed this order already", path);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", path);
    buf_free(file);
    *file = buf_take(&more);
    return 0;
}

/* With every given key that the card names; the others are told of, and one at least must be left. */
static int sign_all(const struct task *task, const char *const *keys, size_t count, const struct card *card,
                    struct buf *file) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t seed[KEY_SIZE];
        enum error error = read_key(keys[i], seed);
        if (error != E_OK) return fail_key(task, error, keys[i]);
        int code = 0;
        if (!card || registrar_is_of(card, seed)) {
            code = sign_with(task, seed, keys[i], file);
            used++;
        } else if (count > 1 && !task->quiet && !task->cli.json) {
            fprintf(stderr, "pouchctl: passed over, no registrar of the card: %s\n", keys[i]);
        }
        sodium_memzero(seed, sizeof seed);
        if (code) return code;
    }
    return used ? 0 : cli_fail(&task->cli, E_UNKNOWN_REGISTRAR, "%s", keys[count - 1]);
}

/* The keys of the command line, else the one that `pouchd init` made, where there is still one. An order that is only
 * written to a file may be signed elsewhere. */
static int sign_here(const struct task *task, const struct card *card, struct buf *file) {
    char own[PATH_MAX + 16];
    const char *const own_list[] = {own};
    if (task->key_count) return sign_all(task, task->keys, task->key_count, card, file);
    if (task->out && !task->config_path) return 0;
    snprintf(own, sizeof own, "%s/registrar.key", task->config.folder);
    if (access(own, F_OK) == 0) return sign_all(task, own_list, 1, card, file);
    if (task->out) return 0;
    return cli_fail_hint(&task->cli, E_NO_FILE,
                         "name the registrars' keys with --registrar-key FILE, or write the order with -o FILE to have "
                         "it signed elsewhere",
                         "%s", own);
}

/* Signs the order and has it recorded, or writes it where it goes on to the other registrars. */
int registrar_issue(struct task *task, struct buf *file) {
    struct card card;
    struct registrar_order order;
    bool has_card = false;
    int code = read_card(task, &card, &has_card);
    if (code == 0) code = sign_here(task, has_card ? &card : NULL, file);
    if (code == 0) code = open_order(task, buf_bytes(file), task->subject, &order);
    if (code) return code;
    struct outcome outcome = {&order, has_card ? &card : NULL, task->out, task->out == NULL};
    code = task->out ? write_file(task, task->out, buf_bytes(file)) : record(task, &order, outcome.card);
    if (code == 0) say(task, &outcome);
    return code;
}

/* ---- the question before an admission ---- */

static bool will_ask(const struct task *task) { return !task->fingerprint && !task->yes && isatty(STDIN_FILENO); }

/* Has somebody compared the number with what the party's authority says? */
static int compare(const struct task *task, const struct registrar_order *order) {
    char typed[256];
    const uint8_t *number = order->charter.fingerprint;
    if (task->fingerprint) {
        if (text_fingerprint_matches(number, task->fingerprint)) return 0;
        return cli_fail(&task->cli, E_WRONG_FINGERPRINT, "%s; nothing was signed", task->subject);
    }
    if (task->yes) return 0;
    if (!will_ask(task))
        return cli_fail_hint(&task->cli, E_NEEDS_TERMINAL,
                             "compare the number with the party's authority and give it with --fingerprint",
                             "the charter's fingerprint");
    fprintf(stderr, "Ask the party's authority for the fingerprint, by telephone, and type what you are told:\n> ");
    if (!fgets(typed, sizeof typed, stdin)) return cli_fail(&task->cli, E_INTERRUPTED, "nothing was signed");
    if (text_fingerprint_matches(number, typed)) return 0;
    return cli_fail(&task->cli, E_WRONG_FINGERPRINT, "%s; nothing was signed", task->subject);
}

static void show(const struct task *task, const struct registrar_order *order) {
    char digits[TEXT_FINGERPRINT_SIZE];
    digits_of(order, digits);
    if (!task->cli.json && !task->quiet) show_order(order, *digits && !will_ask(task) ? digits : NULL);
}

/* ---- making orders ---- */

static int open_charter(const struct task *task, struct buf *file, struct registrar_charter *ret) {
    int code = read_file(task, task->subject, file);
    if (code) return code;
    enum error error = registrar_open_charter(buf_bytes(file), ret);
    return error == E_OK ? 0 : cli_fail(&task->cli, error, "%s is no charter that can be admitted", task->subject);
}

static int fill_quota(const struct task *task, struct admission *admission) {
    if (task->legs && (units_number(bytes_text(task->legs), &admission->legs) != E_OK || admission->legs > UINT32_MAX))
        return cli_fail(&task->cli, E_USAGE, "--legs is a number of open requests: %.40s", task->legs);
    if (task->bytes && units_size(bytes_text(task->bytes), &admission->bytes) != E_OK)
        return cli_fail(&task->cli, E_USAGE, "--bytes is a size such as 2GiB: %.40s", task->bytes);
    admission->has_legs = task->legs != NULL;
    admission->has_bytes = task->bytes != NULL;
    return 0;
}

static struct admission admission_of(const struct task *task, enum admission_action action, struct bytes party) {
    return (struct admission){.party = party,
                              .action = (uint64_t)action,
                              .created = now(),
                              .has_reason = task->reason != NULL,
                              .reason = bytes_text(task->reason)};
}

static int begin(const struct task *task, const struct admission *admission, const struct registrar_charter *charter,
                 struct buf *ret) {
    enum error error = registrar_begin(admission, charter, ret);
    return error == E_OK ? 0 : cli_fail(&task->cli, error, "%s", task->subject);
}

/* Shows what is about to be signed; has the number compared where there is a charter. */
static int agree(const struct task *task, struct bytes file) {
    struct registrar_order order;
    int code = open_order(task, file, task->subject, &order);
    if (code) return code;
    if (order.has_charter) show(task, &order);
    return order.has_charter ? compare(task, &order) : 0;
}

int registrar_run_admit(struct task *task) {
    AUTO_BUF charter_file = {0};
    AUTO_BUF file = {0};
    struct registrar_charter charter;
    int code = open_charter(task, &charter_file, &charter);
    if (code) return code;
    struct admission admission = admission_of(task, ACTION_ADMIT, charter.charter.party);
    code = fill_quota(task, &admission);
    if (code == 0) code = begin(task, &admission, &charter, &file);
    if (code == 0) code = agree(task, buf_bytes(&file));
    return code ? code : registrar_issue(task, &file);
}

static int need_reason(const struct task *task, const char *what) {
    if (task->reason && *task->reason) return 0;
    return cli_fail_hint(&task->cli, E_USAGE, "add --reason TEXT: every member will see it", "%s needs a reason", what);
}

static int change(struct task *task, enum admission_action action) {
    AUTO_BUF file = {0};
    if (!text_is_party(bytes_text(task->subject)))
        return cli_fail(&task->cli, E_USAGE, "%s is not a party's name", task->subject);
    struct admission admission = admission_of(task, action, bytes_text(task->subject));
    int code = fill_quota(task, &admission);
    if (code == 0) code = begin(task, &admission, NULL, &file);
    return code ? code : registrar_issue(task, &file);
}

int registrar_run_suspend(struct task *task) {
    int code = need_reason(task, "a suspension");
    return code ? code : change(task, ACTION_SUSPEND);
}

int registrar_run_resume(struct task *task) { return change(task, ACTION_RESUME); }

int registrar_run_nominate(struct task *task) {
    AUTO_BUF file = {0};
    uint64_t kind = PARTY_STATE;
    if (!text_is_party(bytes_text(task->subject)))
        return cli_fail(&task->cli, E_USAGE, "%s is not a party's name", task->subject);
    if (!task->name || !*task->name)
        return cli_fail_hint(&task->cli, E_USAGE, "add --name NAME, as the letter has it", "what is the party's name?");
    if (task->kind && !kind_of(task->kind, &kind))
        return cli_fail(&task->cli, E_USAGE, "--kind is state, intergovernmental or observer: %.40s", task->kind);
    if (task->legs || task->bytes) return cli_fail(&task->cli, E_USAGE, "quotas are given when the party is admitted");
    struct admission admission = admission_of(task, ACTION_NOMINATE, bytes_text(task->subject));
    admission.has_name = admission.has_kind = true;
    admission.name = bytes_text(task->name);
    admission.kind = kind;
    int code = begin(task, &admission, NULL, &file);
    return code ? code : registrar_issue(task, &file);
}

int registrar_run_takeover(struct task *task) {
    AUTO_BUF charter_file = {0};
    AUTO_BUF file = {0};
    struct registrar_charter charter;
    int code = need_reason(task, "a notice");
    if (code == 0) code = open_charter(task, &charter_file, &charter);
    if (code) return code;
    enum error error = registrar_begin_notice(&charter, task->reason, now(), &file);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", task->subject);
    code = agree(task, buf_bytes(&file));
    return code ? code : registrar_issue(task, &file);
}

/* ---- orders that others made ---- */

/* Off the network nobody but this person can see what the key is used for. */
static int ask_to_sign(const struct task *task, const struct registrar_order *order) {
    char typed[16];
    show(task, order);
    if (order->has_charter) return compare(task, order);
    if (task->yes) return 0;
    if (!isatty(STDIN_FILENO))
        return cli_fail_hint(&task->cli, E_NEEDS_TERMINAL, "look at the order and give --yes", "sign this order?");
    fprintf(stderr, "Sign this? [y/N] ");
    if (fgets(typed, sizeof typed, stdin) && tolower((unsigned char)typed[0]) == 'y') return 0;
    return cli_fail(&task->cli, E_INTERRUPTED, "nothing was signed");
}

static int finish_file(struct task *task, const struct buf *file, const char *out) {
    struct registrar_order order;
    struct card card;
    bool has_card = false;
    int code = open_order(task, buf_bytes(file), out, &order);
    if (code == 0) code = read_card(task, &card, &has_card);
    if (code == 0) code = write_file(task, out, buf_bytes(file));
    if (code == 0) say(task, &(struct outcome){&order, has_card ? &card : NULL, out, false});
    return code;
}

int registrar_run_sign(struct task *task) {
    AUTO_BUF file = {0};
    struct registrar_order order;
    struct card card;
    bool has_card = false;
    if (!task->key_count)
        return cli_fail_hint(&task->cli, E_USAGE, "add --registrar-key FILE; `pouchctl registrar new FILE` makes one",
                             "with which key?");
    int code = read_file(task, task->subject, &file);
    if (code == 0) code = open_order(task, buf_bytes(&file), task->subject, &order);
    if (code == 0) code = read_card(task, &card, &has_card);
    if (code == 0) code = ask_to_sign(task, &order);
    if (code == 0) code = sign_all(task, task->keys, task->key_count, has_card ? &card : NULL, &file);
    return code ? code : finish_file(task, &file, task->out ? task->out : task->subject);
}

int registrar_run_combine(struct task *task) {
    AUTO_BUF whole = {0};
    if (!task->out) return cli_fail_hint(&task->cli, E_USAGE, "add -o OUT", "where is the whole order to go?");
    int code = read_file(task, task->subject, &whole);
    for (size_t i = 1; code == 0 && i < task->word_count; i++) {
        AUTO_BUF part = {0};
        AUTO_BUF joined = {0};
        code = read_file(task, task->words[i], &part);
        if (code) break;
        enum error error = registrar_combine(buf_bytes(&whole), buf_bytes(&part), &joined);
        if (error == E_MISMATCH)
            return cli_fail_hint(&task->cli, error, "each registrar must sign a copy of the very same file",
                                 "%s and %s are different orders", task->subject, task->words[i]);
        if (error != E_OK) return cli_fail(&task->cli, error, "%s with %s", task->subject, task->words[i]);
        buf_free(&whole);
        whole = buf_take(&joined);
    }
    return code ? code : finish_file(task, &whole, task->out);
}

int registrar_run_record(struct task *task) {
    AUTO_BUF file = {0};
    struct registrar_order order;
    struct card card;
    bool has_card = false;
    int code = read_file(task, task->subject, &file);
    if (code == 0) code = open_order(task, buf_bytes(&file), task->subject, &order);
    if (code == 0) code = read_card(task, &card, &has_card);
    if (code) return code;
    if (!task->cli.json && !task->quiet) show_order(&order, NULL);
    code = record(task, &order, has_card ? &card : NULL);
    if (code == 0) say(task, &(struct outcome){&order, has_card ? &card : NULL, NULL, true});
    return code;
}

/* ---- a registrar's key ---- */

int registrar_run_registrar(struct task *task) {
    char folder[PATH_MAX], name[PATH_MAX], hex[2 * KEY_SIZE + 1];
    uint8_t seed[KEY_SIZE], public[KEY_SIZE];
    if (strcmp(task->subject, "new") != 0 || task->word_count != 2)
        return cli_fail_hint(&task->cli, E_USAGE, "pouchctl registrar new FILE", "what about the registrar?");
    const char *path = task->words[1];
    if (strlen(path) >= PATH_MAX) return cli_fail(&task->cli, E_USAGE, "the file's name is too long");
    snprintf(folder, sizeof folder, "%s", path);
    snprintf(name, sizeof name, "%s", path);
    randombytes_buf(seed, sizeof seed);
    errno = 0;
    enum error error = keys_write(dirname(folder), basename(name), seed);
    registrar_public(seed, public);
    sodium_memzero(seed, sizeof seed);
    if (error != E_OK) return fail_file(task, error, path);
    text_hex(public, KEY_SIZE, hex);
    if (task->cli.json) {
        fputs("{\"file\": ", stdout);
        cli_json_text(stdout, bytes_text(path));
        printf(", \"registrar\": \"%s\", \"card_line\": \"registrar  %s\"}\n", hex, hex);
    } else {
        printf("%s: the registrar's secret key; keep it off the network\n\n"
               "Its line in the relay's card, also for `pouchd init --registrar`:\n\nregistrar  %s\n",
               path, hex);
    }
    return 0;
}
