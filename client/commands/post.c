/* post.c - a post's keys, and its joining of a relay. */
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "text.h"
#include "words.h"

enum { OPTION_CARD = 1, OPTION_CERT, OPTION_FINGERPRINT, OPTION_DEVICE, OPTION_ROLE, OPTION_VALIDITY, CARD_MAX = 64 * 1024 };

/* ---- init ---- */

COMMAND_OPTIONS(post_init, {"device", OPTION_DEVICE, false}, {"role", OPTION_ROLE, true},
                {"validity", OPTION_VALIDITY, true});

static bool read_validity(struct run *run, uint64_t *ret_s, int *ret_exit) {
    if (!run_duration(run, ret_s, ret_exit)) return false;
    if (*ret_s >= DAY_MS / 1000 && *ret_s <= DEVICE_VALIDITY_MAX_MS / 1000) return true;
    *ret_exit = run_usage_text(run, "--validity is 1d to 400d");
    return false;
}

/* Keys of a further device: no post key, no slip. */
static int device_made(struct run *run, const struct home_new_device *what) {
    char base[POST_MAX + 1];
    snprintf(base, sizeof base, "%s", what->post);
    for (char *p = base; *p; p++)
        if (*p == '/') *p = '-';
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:s, s:s, s:o}", "post", what->post, "role",
                                       words_name(WORDS_ROLE, what->role), "request",
                                       json_sprintf("%s-device.request", base)));
        return 0;
    }
    printf("%s-device.request  for your authority to certify: pouch authority certify\n", base);
    return 0;
}

static int init_device(struct run *run, const struct home_new_device *what) {
    enum error error = run_passphrase(run, true);
    struct home_options options = run_home_options(run);
    if (error == E_OK) error = home_init_device(&options, what, &run->failure);
    return error == E_OK ? device_made(run, what) : run_fail(run, error);
}

static int post_made(struct run *run, const char *post) {
    char base[POST_MAX + 1], home[4096], key[4200];
    enum error error = home_path(run->home_path, home, sizeof home, &run->failure);
    if (error == E_OK) error = files_join(home, "post.key", key, sizeof key, &run->failure);
    if (error != E_OK) return run_fail(run, error);
    snprintf(base, sizeof base, "%s", post);
    for (char *p = base; *p; p++)
        if (*p == '/') *p = '-';
    if (run->cli.json) {
        char request[POST_MAX + 16], slip[POST_MAX + 16];
        snprintf(request, sizeof request, "%s.request", base);
        snprintf(slip, sizeof slip, "%s.revocation", base);
        present_json(stdout, json_pack("{s:s, s:s, s:s, s:s}", "post", post, "request", request, "revocation", slip,
                                       "post_key", key));
        return 0;
    }
    printf("%s.request     for your authority to certify: pouch authority certify\n", base);
    printf("%s.revocation  keep it in a safe; whoever holds it can only revoke\n", base);
    printf("%s  the post key: take it away from this machine; it is needed only to add devices\n", key);
    return 0;
}

int post_init(struct run *run) {
    struct home_new_post what = {0};
    unsigned role = ROLE_DECIDER;
    bool device = false, has_role = false;
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case CLI_WORD:
            if (what.post) return run_usage(run);
            what.post = run->args.value;
            break;
        case OPTION_DEVICE: device = true; break;
        case OPTION_ROLE:
            if (!run_word(run, WORDS_ROLE, &role, &exit_code)) return exit_code;
            has_role = true;
            break;
        case OPTION_VALIDITY:
            if (!read_validity(run, &what.validity_s, &exit_code)) return exit_code;
            break;
        default: return run_usage(run);
        }
    if (!what.post) return run_usage_text(run, "POST is needed, such as fj/technical");
    if (!text_is_post(bytes_text(what.post)))
        return run_usage_text(run, "%.80s is no name of a post, such as fj/technical", what.post);
    if (has_role && !device) return run_usage_text(run, "--role goes with --device: a post's first device decides");
    if (device)
        return init_device(run, &(struct home_new_device){.post = what.post, .outdir = ".", .role = (enum device_role)role,
                                                           .validity_s = what.validity_s});
    enum error error = run_passphrase(run, true);
    struct home_options options = run_home_options(run);
    if (error == E_OK) error = home_init_post(&options, &what, &run->failure);
    return error == E_OK ? post_made(run, what.post) : run_fail(run, error);
}

/* ---- join ---- */

COMMAND_OPTIONS(post_join, {"card", OPTION_CARD, true}, {"cert", OPTION_CERT, true},
                {"fingerprint", OPTION_FINGERPRINT, true});

static enum error read_card(struct run *run, const char *path, struct card *ret) {
    AUTO_BUF text = {0};
    unsigned line = 0;
    TRY(files_read(path, CARD_MAX, &text, &run->failure));
    enum error error = card_parse(buf_bytes(&text), ret, &line);
    return error == E_OK ? E_OK : fail(&run->failure, error, "%s:%u", path, line);
}

/* The card is the one thing that nothing but a person's comparison can vouch for. */
static enum error confirm_card(struct run *run, const struct card *card, const char *typed,
                               char ret[static TEXT_FINGERPRINT_SIZE]) {
    uint8_t hash[HASH_SIZE];
    card_hash(card, hash);
    text_fingerprint(hash, ret);
    if (typed && text_fingerprint_matches(hash, typed)) return E_OK;
    if (typed) return fail(&run->failure, E_WRONG_FINGERPRINT, "the card of %s", card->name);
    if (run->yes) return E_OK;
    if (!run_can_ask(run)) {
        enum error error = fail(&run->failure, E_NEEDS_TERMINAL, "the fingerprint of the card of %s", card->name);
        fail_hint(&run->failure, "give what the operator read to you as --fingerprint N, or --yes to go without");
        return error;
    }
    fprintf(stderr, "The card of %s has the fingerprint\n\n    %s\n\nRing the relay's operator and compare.\n",
            card->name, ret);
    if (run_ask(run, false, "Does the operator read the same number?")) return E_OK;
    return fail(&run->failure, E_WRONG_FINGERPRINT, "the card of %s was not confirmed", card->name);
}

static enum error join(struct run *run, const char *card_path, const char *certificate, const char *typed) {
    struct card card;
    char fingerprint[TEXT_FINGERPRINT_SIZE];
    TRY(read_card(run, card_path, &card));
    TRY(confirm_card(run, &card, typed, fingerprint));
    TRY(run_open(run));
    struct client_options options = run_client_options(run);
    TRY(client_join(&run->home, card_path, certificate, &options, &run->failure));
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:s, s:s}", "post", run->home.post, "relay", card.name, "fingerprint",
                                       fingerprint));
    else
        printf("%s has joined %s\n", run->home.post, card.name);
    return E_OK;
}

int post_join(struct run *run) {
    const char *card = NULL, *certificate = NULL, *typed = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_CARD: card = run->args.value; break;
        case OPTION_CERT: certificate = run->args.value; break;
        case OPTION_FINGERPRINT: typed = run->args.value; break;
        default: return run_usage(run);
        }
    if (!card) return run_usage_text(run, "--card is needed");
    enum error error = join(run, card, certificate, typed);
    return error == E_OK ? 0 : run_fail(run, error);
}
