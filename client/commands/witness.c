/* witness.c - being a witness: a key of its own that cosigns those heads of the relay's two logs which continue each other. */
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "cosigner.h"
#include "files.h"
#include "guest.h"
#include "text.h"

enum { OPTION_CARD = 1, OPTION_ONCE, OPTION_INTERVAL, INTERVAL_S = 10, REQUEST_FILE_MAX = SIGNED_NOTE_MAX };

/* ---- the folder ---- */

static enum error folder_of(struct run *run, char *ret, size_t size) {
    return home_path(run->home_path, ret, size, &run->failure);
}

static enum error open_witness(struct run *run, struct cosigner *ret) {
    char folder[COSIGNER_PATH_SIZE];
    TRY(folder_of(run, folder, sizeof folder));
    TRY(run_passphrase_of(run, "witness.key"));
    return cosigner_open(folder, (const char *)run->passphrase.p, ret, &run->failure);
}

static void key_text(const struct note_key *key, struct buf *out) {
    note_key_format(key, out);
    buf_add(out, "", 1);
}

/* ---- witness init ---- */

COMMAND_OPTIONS(witness_init);

static int witness_made(struct run *run, const struct note_key *key) {
    AUTO_BUF vkey = {0};
    key_text(key, &vkey);
    if (vkey.failed) return run_fail(run, E_NO_MEMORY);
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:s, s:s}", "name", key->name, "vkey", (const char *)vkey.p));
        return 0;
    }
    printf("witness    %s\n", (const char *)vkey.p);
    run_say(run, "This line goes into the relay's card; then run: pouch witness run --card CARD");
    return 0;
}

int witness_init(struct run *run) {
    const char *name = NULL;
    char folder[COSIGNER_PATH_SIZE];
    struct note_key key;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id != CLI_WORD || name) return run_usage(run);
        name = run->args.value;
    }
    if (!name) return run_usage_text(run, "the witness's NAME is needed, such as witness.example");
    enum error error = run_passphrase(run, true);
    if (error == E_OK) error = folder_of(run, folder, sizeof folder);
    if (error == E_OK) error = cosigner_init(folder, name, (const char *)run->passphrase.p, &key, &run->failure);
    return error == E_OK ? witness_made(run, &key) : run_fail(run, error);
}

/* ---- witness run ---- */

COMMAND_OPTIONS(witness_run, {"card", OPTION_CARD, true}, {"once", OPTION_ONCE, false},
                {"interval", OPTION_INTERVAL, true});

struct watch {
    const char *card_path;
    bool once;
    uint64_t interval_s;
    struct card card;
    struct cosigner cosigner;
    uint64_t said[LOG_EVIDENCE + 1]; /* by enum relay_log: the size that was told last */
};

static void say_state(const struct run *run, const struct cosigner_state *state) {
    char root[2 * HASH_SIZE + 1], time[TIME_SIZE];
    text_hex(state->root, HASH_SIZE, root);
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:I, s:s, s:s}", "log", state->origin, "size", (json_int_t)state->size,
                                       "root", root, "time", present_utc(state->time, time)));
    else
        printf("%s: cosigned %llu entries at %s\n", state->origin, (unsigned long long)state->size,
               present_time(&run->look, state->time, time));
    fflush(stdout);
}

static enum error watch_log(struct run *run, struct watch *watch, enum relay_log log) {
    struct cosigner_state state = {0};
    TRY(cosigner_round(&watch->cosigner, &watch->card, run->relay, log, &state, &run->failure));
    if (watch->once || state.size != watch->said[log]) say_state(run, &state);
    watch->said[log] = state.size;
    return E_OK;
}

/* The card is read anew each time: it may have got this witness, or another address, meanwhile. */
static enum error watch_round(struct run *run, struct watch *watch) {
    struct client_options options = run_client_options(run);
    if (!run->relay) {
        TRY(guest_read_card(watch->card_path, &watch->card, &run->failure));
        TRY(guest_connect(&watch->card, &options, &run->relay, &run->failure));
    }
    TRY(watch_log(run, watch, LOG_DIRECTORY));
    enum error error = watch_log(run, watch, LOG_EVIDENCE);
    if (error != E_NO_HEAD) return error; /* nothing was sent yet */
    run->failure = (struct failure){0};
    return E_OK;
}

/* What may be otherwise the next time is said and waited for. A directory that is still empty is no trouble. */
static bool goes_on(enum error error) { return error == E_OK || error == E_UNKNOWN_REQUEST || error_row(error)->again; }

static int watch_all(struct run *run, struct watch *watch) {
    enum error said = E_OK;
    for (;;) {
        run->failure = (struct failure){0};
        enum error error = watch_round(run, watch);
        if (error != E_OK) client_disconnect(&run->relay);
        if (!goes_on(error) || (watch->once && error != E_OK)) return run_fail(run, error);
        if (watch->once) return 0;
        if (error != E_OK && error != said) (void)run_fail(run, error);
        said = error;
        nanosleep(&(struct timespec){.tv_sec = (time_t)watch->interval_s}, NULL);
    }
}

int witness_run(struct run *run) {
    struct watch watch = {.interval_s = INTERVAL_S};
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_CARD: watch.card_path = run->args.value; break;
        case OPTION_ONCE: watch.once = true; break;
        case OPTION_INTERVAL:
            if (!run_duration(run, &watch.interval_s, &exit_code)) return exit_code;
            break;
        default: return run_usage(run);
        }
    if (!watch.card_path) return run_usage_text(run, "--card CARD is needed");
    if (watch.interval_s == 0) return run_usage_text(run, "--interval is at least 1s");
    enum error error = open_witness(run, &watch.cosigner);
    exit_code = error == E_OK ? watch_all(run, &watch) : run_fail(run, error);
    cosigner_close(&watch.cosigner);
    return exit_code;
}

/* ---- witness sign ---- */

COMMAND_OPTIONS(witness_sign, {"card", OPTION_CARD, true}, {"output", 'o', true});

static enum error sign_file(struct run *run, const char *card_path, const char *file, const char *out) {
    AUTO_COSIGNER cosigner = {0};
    AUTO_BUF request = {0}, note = {0};
    struct card card;
    struct cosigner_state state;
    TRY(guest_read_card(card_path, &card, &run->failure));
    TRY(files_read(file, REQUEST_FILE_MAX, &request, &run->failure));
    TRY(open_witness(run, &cosigner));
    TRY(cosigner_sign(&cosigner, &card, NULL, buf_bytes(&request), &note, &state, &run->failure));
    TRY(files_write(out, 0644, buf_bytes(&note), &run->failure));
    say_state(run, &state);
    return E_OK;
}

int witness_sign(struct run *run) {
    const char *card = NULL, *file = NULL, *out = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_CARD: card = run->args.value; break;
        case 'o': out = run->args.value; break;
        case CLI_WORD:
            if (file) return run_usage(run);
            file = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!file || !card || !out) return run_usage_text(run, "the request's FILE, --card CARD and -o FILE are needed");
    enum error error = sign_file(run, card, file, out);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- witness status ---- */

COMMAND_OPTIONS(witness_status);

/* By their names: the folder has no order. */
static size_t place_of(const json_t *logs, const char *origin) {
    size_t i;
    json_t *log;
    json_array_foreach((json_t *)(uintptr_t)logs, i, log) {
        if (strcmp(json_string_value(json_object_get(log, "log")), origin) > 0) break;
    }
    return i;
}

static void collect(void *context, const struct cosigner_state *state) {
    char root[2 * HASH_SIZE + 1];
    text_hex(state->root, HASH_SIZE, root);
    json_array_insert_new(context, place_of(context, state->origin),
                          json_pack("{s:s, s:I, s:s, s:o}", "log", state->origin, "size", (json_int_t)state->size,
                                    "root", root, "time", present_json_time(state->time)));
}

static void print_log(const json_t *log) {
    printf("%-9s %s: %lld entries at %s\n          root %s\n", "cosigned",
           json_string_value(json_object_get(log, "log")), (long long)json_integer_value(json_object_get(log, "size")),
           json_string_value(json_object_get(log, "time")), json_string_value(json_object_get(log, "root")));
}

static enum error show_status(struct run *run, json_t *logs) {
    char folder[COSIGNER_PATH_SIZE];
    struct note_key key;
    AUTO_BUF vkey = {0};
    size_t i;
    json_t *log;
    TRY(folder_of(run, folder, sizeof folder));
    TRY(cosigner_key(folder, &key, &run->failure));
    TRY(cosigner_states(folder, collect, logs, &run->failure));
    key_text(&key, &vkey);
    TRY(buf_error(&vkey));
    if (run->cli.json) {
        present_json(stdout,
                     json_pack("{s:s, s:s, s:O}", "name", key.name, "vkey", (const char *)vkey.p, "logs", logs));
        return E_OK;
    }
    printf("%-9s %s\n", "witness", (const char *)vkey.p);
    json_array_foreach(logs, i, log) print_log(log);
    if (json_array_size(logs) == 0) puts("has cosigned nothing yet: pouch witness run --card CARD");
    return E_OK;
}

int witness_status(struct run *run) {
    if (run_next(run) != CLI_END) return run_usage(run);
    json_t *logs = json_array();
    enum error error = logs ? show_status(run, logs) : E_NO_MEMORY;
    json_decref(logs);
    return error == E_OK ? 0 : run_fail(run, error);
}
