/* succession.c - what a party's authority does about its own key, and about itself and its posts as a whole. */
#include "succession.h"

#include "../words.h"
#include "commands.h"
#include "text.h"

enum {
    OPTION_CARD = 1,
    OPTION_AGAIN,
    OPTION_RECOVERY_KEY,
    OPTION_RECOVERY_PASSPHRASE,
    OPTION_DIRECTORY,
    OPTION_REASON,
    OPTION_INTO,
    OPTION_BACK,
};

enum { PATH_SIZE = 4096 };

/* What these commands have in common. */
struct order {
    const char *card, *out, *directory, *recovery_key, *recovery_passphrase, *reason, *into, *word;
    bool again, back;
};

static bool order_take(struct run *run, struct order *order, int id) {
    switch (id) {
    case OPTION_CARD: order->card = run->args.value; return true;
    case OPTION_AGAIN: order->again = true; return true;
    case OPTION_RECOVERY_KEY: order->recovery_key = run->args.value; return true;
    case OPTION_RECOVERY_PASSPHRASE: order->recovery_passphrase = run->args.value; return true;
    case OPTION_DIRECTORY: order->directory = run->args.value; return true;
    case OPTION_REASON: order->reason = run->args.value; return true;
    case OPTION_INTO: order->into = run->args.value; return true;
    case OPTION_BACK: order->back = true; return true;
    case 'o': order->out = run->args.value; return true;
    default: return false;
    }
}

/* words: does the command take one word? False after saying what was wrong. */
static bool order_read(struct run *run, struct order *order, bool words, int *ret_exit) {
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (order_take(run, order, id)) continue;
        if (id == CLI_WORD && words && !order->word) {
            order->word = run->args.value;
            continue;
        }
        *ret_exit = run_usage(run);
        return false;
    }
    return true;
}

/* Where the statement goes without -o: where one stands, under the name that it is about. */
static const char *order_out(const struct order *order, const char *name, const char *ending, char *path, size_t size) {
    if (order->out) return order->out;
    snprintf(path, size, "%.120s.%s", name, ending);
    for (char *p = path; *p; p++)
        if (*p == '/') *p = '-';
    return path;
}

/* ---- what becomes of the statement ---- */

static void print_sent(const struct run *run, const char *what, const char *path,
                       const struct client_promise *promise) {
    char time[TIME_SIZE];
    printf("%s: %s; sent to the relay\n", path, what);
    if (promise->given)
        printf("the relay has promised that every directory shown after %s contains it: %s\n",
               present_time(&run->look, promise->deadline, time), promise->file);
}

/* {"file", "sent", "done", "promise", "deadline"}: as authority revoke says it. */
static void print_json(const char *path, bool sent, bool done, const struct client_promise *promise) {
    json_t *object =
        json_pack("{s:o, s:b, s:b}", "file", path ? json_string(path) : json_null(), "sent", sent, "done", done);
    json_object_set_new(object, "promise", promise->given ? json_string(promise->file) : json_null());
    json_object_set_new(object, "deadline", promise->given ? present_json_time(promise->deadline) : json_null());
    present_json(stdout, object);
}

static enum error deliver(struct run *run, const struct order *order, const char *what, const char *path) {
    struct client_promise promise = {0};
    struct client_options options = run_client_options(run);
    bool send = order->card && !order->directory;
    if (send) TRY(client_declare(NULL, order->card, path, &options, &promise, &run->failure));
    if (run->cli.json)
        print_json(path, send, false, &promise);
    else if (send)
        print_sent(run, what, path, &promise);
    else
        printf("%s: %s; send it from any computer: pouch authority send %s --card CARD\n", path, what, path);
    return E_OK;
}

/* What is asked for stands in the directory already. */
static enum error nothing_to_do(struct run *run, const char *text) {
    struct client_promise none = {0};
    if (run->cli.json)
        print_json(NULL, false, true, &none);
    else
        puts(text);
    return E_OK;
}

static int end(struct run *run, enum error error) { return error == E_OK ? 0 : run_fail(run, error); }

/* ---- authority succeed ---- */

COMMAND_OPTIONS(authority_succeed, {"card", OPTION_CARD, true}, {"output", 'o', true}, {"again", OPTION_AGAIN, false});

static enum error succeed(struct run *run, const struct order *order) {
    char path[PATH_SIZE];
    TRY(run_open(run));
    if (!order->again && !run_ask(run, true, "Renew the authority key of %s?", run->home.post))
        return fail(&run->failure, E_INTERRUPTED, "nothing was changed");
    const char *out = order_out(order, run->home.post, "succession", path, sizeof path);
    TRY(succession_renew(&run->home, (const char *)run->passphrase.p, order->again, out, &run->failure));
    TRY(deliver(run, order, "the succession", out));
    return succession_delivered(&run->home, &run->failure);
}

int authority_succeed(struct run *run) {
    struct order order = {0};
    int exit_code;
    if (!order_read(run, &order, false, &exit_code)) return exit_code;
    return end(run, succeed(run, &order));
}

/* ---- authority recover, take, object ---- */

COMMAND_OPTIONS(authority_recover, {"card", OPTION_CARD, true}, {"output", 'o', true},
                {"recovery-key", OPTION_RECOVERY_KEY, true},
                {"recovery-passphrase-file", OPTION_RECOVERY_PASSPHRASE, true}, {"directory", OPTION_DIRECTORY, true});
COMMAND_OPTIONS(authority_take, {"card", OPTION_CARD, true}, {"output", 'o', true},
                {"directory", OPTION_DIRECTORY, true});
COMMAND_OPTIONS(authority_object, {"card", OPTION_CARD, true}, {"output", 'o', true},
                {"recovery-key", OPTION_RECOVERY_KEY, true},
                {"recovery-passphrase-file", OPTION_RECOVERY_PASSPHRASE, true}, {"directory", OPTION_DIRECTORY, true});

static enum error look(struct run *run, const struct order *order, struct outsider *ret) {
    struct client_options options = run_client_options(run);
    TRY(run_open(run));
    enum error error = outsider_open(order->card, order->directory, &options, ret, &run->failure);
    bar_end(&run->bar);
    return error;
}

/* The recovery key is sealed on its own; where nobody is asked, the home's pass-phrase is tried. */
static enum error recovery_passphrase(struct run *run, const struct order *order, struct secret *ret) {
    bool sealed = false;
    if (!order->recovery_key) return E_OK;
    TRY(keystore_is_sealed(order->recovery_key, &sealed, &run->failure));
    if (!sealed) return E_OK;
    return run_other_passphrase(run, order->recovery_passphrase, "Pass-phrase of the recovery key: ", ret);
}

static enum error recover(struct run *run, const struct order *order) {
    char path[PATH_SIZE];
    bool done = false;
    AUTO_OUTSIDER outsider = {0};
    AUTO_SECRET passphrase = {0};
    TRY(look(run, order, &outsider));
    TRY(recovery_passphrase(run, order, &passphrase));
    const char *out = order_out(order, run->home.post, "succession", path, sizeof path);
    TRY(succession_recover(&run->home, &outsider, order->recovery_key, (const char *)passphrase.p, out, &done,
                           &run->failure));
    if (done) return nothing_to_do(run, "The directory names this home's key already.");
    return deliver(run, order, "the succession by the recovery key", out);
}

int authority_recover(struct run *run) {
    struct order order = {0};
    int exit_code;
    if (!order_read(run, &order, false, &exit_code)) return exit_code;
    if (!order.card || !order.recovery_key) return run_usage_text(run, "--recovery-key and --card are needed");
    return end(run, recover(run, &order));
}

static enum error take_over(struct run *run, const struct order *order) {
    char path[PATH_SIZE];
    bool done = false;
    AUTO_OUTSIDER outsider = {0};
    TRY(look(run, order, &outsider));
    const char *out = order_out(order, run->home.post, "succession", path, sizeof path);
    TRY(succession_take(&run->home, &outsider, out, &done, &run->failure));
    if (done) return nothing_to_do(run, "The directory names this home's key already.");
    return deliver(run, order, "the succession after the registrars' notice", out);
}

int authority_take(struct run *run) {
    struct order order = {0};
    int exit_code;
    if (!order_read(run, &order, false, &exit_code)) return exit_code;
    if (!order.card) return run_usage_text(run, "--card is needed");
    return end(run, take_over(run, &order));
}

static enum error object(struct run *run, const struct order *order) {
    char path[PATH_SIZE];
    AUTO_OUTSIDER outsider = {0};
    AUTO_SECRET passphrase = {0};
    TRY(look(run, order, &outsider));
    TRY(recovery_passphrase(run, order, &passphrase));
    const char *out = order_out(order, run->home.post, "objection", path, sizeof path);
    TRY(succession_contest(&run->home, &outsider, order->recovery_key, (const char *)passphrase.p, out, &run->failure));
    return deliver(run, order, "the objection", out);
}

int authority_object(struct run *run) {
    struct order order = {0};
    int exit_code;
    if (!order_read(run, &order, false, &exit_code)) return exit_code;
    if (!order.card) return run_usage_text(run, "--card is needed");
    return end(run, object(run, &order));
}

/* ---- authority depart, split ---- */

COMMAND_OPTIONS(authority_depart, {"card", OPTION_CARD, true}, {"output", 'o', true}, {"reason", OPTION_REASON, true});
COMMAND_OPTIONS(authority_split, {"card", OPTION_CARD, true}, {"output", 'o', true}, {"into", OPTION_INTO, true},
                {"back", OPTION_BACK, false});

static enum error depart(struct run *run, const struct order *order) {
    char path[PATH_SIZE];
    TRY(run_open(run));
    if (!run_ask(run, true, "Does %s leave the directory?", run->home.post))
        return fail(&run->failure, E_INTERRUPTED, "nothing was changed");
    const char *out = order_out(order, run->home.post, "departure", path, sizeof path);
    TRY(succession_depart(&run->home, order->reason, out, &run->failure));
    return deliver(run, order, "the departure", out);
}

int authority_depart(struct run *run) {
    struct order order = {0};
    int exit_code;
    if (!order_read(run, &order, false, &exit_code)) return exit_code;
    return end(run, depart(run, &order));
}

/* The names between commas, in place. */
static size_t split_names(char *text, const char *names[static SPLIT_MAX + 1]) {
    size_t count = 0;
    char *rest = NULL;
    for (char *name = strtok_r(text, ",", &rest); name && count <= SPLIT_MAX; name = strtok_r(NULL, ",", &rest))
        names[count++] = name;
    return count;
}

static enum error split(struct run *run, const struct order *order) {
    char path[PATH_SIZE];
    const char *names[SPLIT_MAX + 1] = {0};
    AUTO_FREE(char) text = strdup(order->into ? order->into : "");
    if (!text) return E_NO_MEMORY;
    size_t count = split_names(text, names);
    TRY(run_open(run));
    const char *out = order_out(order, order->word, "split", path, sizeof path);
    TRY(succession_split(&run->home, order->word, names, count, out, &run->failure));
    return deliver(run, order, count > 0 ? "the split" : "the end of the split", out);
}

int authority_split(struct run *run) {
    struct order order = {0};
    int exit_code;
    if (!order_read(run, &order, true, &exit_code)) return exit_code;
    if (!order.word || order.back == (order.into != NULL) || (order.into && !order.into[strspn(order.into, ",")]))
        return run_usage_text(run, "POST and either --into POST,POST... or --back are needed");
    return end(run, split(run, &order));
}

/* ---- authority send ---- */

COMMAND_OPTIONS(authority_send, {"card", OPTION_CARD, true});

int authority_send(struct run *run) {
    struct order order = {0};
    int exit_code;
    if (!order_read(run, &order, true, &exit_code)) return exit_code;
    if (!order.word || !order.card) return run_usage_text(run, "FILE and --card are needed");
    return end(run, deliver(run, &order, "the statement", order.word));
}
