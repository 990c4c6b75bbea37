/* authority.c - what a party's authority does: its key, its posts' certificates, their revocation. */
#include <sys/stat.h>

#include "../words.h"
#include "commands.h"
#include "files.h"
#include "stamp.h"
#include "text.h"

enum { OPTION_NAME = 1, OPTION_KIND, OPTION_FUNCTIONS, OPTION_CARD, OPTION_POST, OPTION_REASON, OPTION_RECOVERY, OPTION_NO_RECOVERY };

/* ---- authority init ---- */

COMMAND_OPTIONS(authority_init, {"name", OPTION_NAME, true}, {"kind", OPTION_KIND, true},
                {"recovery", OPTION_RECOVERY, true}, {"no-recovery", OPTION_NO_RECOVERY, false});

/* The fingerprint of the charter that was just written. */
static enum error charter_fingerprint(struct run *run, const char *path, char ret[static TEXT_FINGERPRINT_SIZE]) {
    AUTO_BUF bytes = {0};
    struct dossier dossier;
    struct dirstatement statement;
    struct bytes payload;
    uint8_t digest[HASH_SIZE];
    TRY(files_read(path, 64 * 1024, &bytes, &run->failure));
    TRY(dossier_decode(buf_bytes(&bytes), &dossier));
    if (!dirstatement_next(&dossier.statements, &statement)) return E_MISSING_FIELD;
    TRY(stamp_peek(statement.statement, &payload));
    directory_charter_digest(payload, digest);
    text_fingerprint(digest, ret);
    return E_OK;
}

static int authority_made(struct run *run, const struct home_new_authority *what) {
    const char *party = what->party;
    char home[4096], recovery[4200] = "";
    char charter[PARTY_MAX + 16], sheet[PARTY_MAX + 16], fingerprint[TEXT_FINGERPRINT_SIZE];
    snprintf(charter, sizeof charter, "%s.charter", party);
    snprintf(sheet, sizeof sheet, "%s.nomination", party);
    enum error error = charter_fingerprint(run, charter, fingerprint);
    if (error == E_OK) error = home_path(run->home_path, home, sizeof home, &run->failure);
    if (error == E_OK && !what->no_recovery && !what->recovery)
        error = files_join(home, "recovery.key", recovery, sizeof recovery, &run->failure);
    if (what->recovery) snprintf(recovery, sizeof recovery, "%s", what->recovery);
    if (error != E_OK) return run_fail(run, error);
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:s, s:s, s:s, s:s, s:o}", "party", party, "charter", charter, "nomination",
                                       sheet, "fingerprint", fingerprint, "recovery_key",
                                       what->no_recovery ? json_null() : json_string(recovery)));
        return 0;
    }
    printf("%s: for the registrar\n%s: the sheet that goes with it\nfingerprint  %s\n", charter, sheet, fingerprint);
    if (!what->no_recovery)
        printf("%s: the recovery key: take it away, and keep it apart from this home\n", recovery);
    run_say(run, "Keep the home offline: its key says who the posts of %s are.", party);
    return 0;
}

int authority_init(struct run *run) {
    struct home_new_authority what = {.kind = PARTY_STATE};
    unsigned kind = PARTY_STATE;
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_NAME: what.name = run->args.value; break;
        case OPTION_KIND:
            if (!run_word(run, WORDS_PARTY_KIND, &kind, &exit_code)) return exit_code;
            break;
        case OPTION_RECOVERY: what.recovery = run->args.value; break;
        case OPTION_NO_RECOVERY: what.no_recovery = true; break;
        case CLI_WORD:
            if (what.party) return run_usage(run);
            what.party = run->args.value;
            break;
        default: return run_usage(run);
        }
    what.kind = (enum party_kind)kind;
    if (!what.party || !what.name) return run_usage_text(run, "PARTY and --name are needed");
    enum error error = run_passphrase(run, true);
    struct home_options options = run_home_options(run);
    if (error == E_OK) error = home_init_authority(&options, &what, &run->failure);
    return error == E_OK ? authority_made(run, &what) : run_fail(run, error);
}

/* ---- authority certify ---- */

COMMAND_OPTIONS(authority_certify, {"functions", OPTION_FUNCTIONS, true}, {"output", 'o', true});

/* PARTY-POST.ending; `ending` also for the whole name without a post. */
static void file_name(const char *post, const char *ending, char *ret, size_t size) {
    snprintf(ret, size, "%s.%s", post, ending);
    for (char *p = ret; *p; p++)
        if (*p == '/') *p = '-';
}

/* Where the certificate goes without -o: beside where one stands, named after the request. */
static enum error request_post(struct run *run, const char *path, char ret[static POST_MAX + 1]) {
    AUTO_BUF bytes = {0};
    struct dossier dossier;
    TRY(files_read(path, 256 * 1024, &bytes, &run->failure));
    enum error error = dossier_decode(buf_bytes(&bytes), &dossier);
    if (error == E_OK && !text_is_post(dossier.post)) error = E_BAD_TEXT;
    if (error != E_OK) {
        fail(&run->failure, error, "%s is no post's request", path);
        return fail_hint(&run->failure, "name the .request file that `pouch init` has written for the post or the device");
    }
    memcpy(ret, dossier.post.p, dossier.post.n);
    ret[dossier.post.n] = '\0';
    return E_OK;
}

static enum error certify(struct run *run, const char *request, unsigned functions, const char *out) {
    char post[POST_MAX + 1], path[POST_MAX + 16];
    TRY(request_post(run, request, post));
    file_name(post, "cert", path, sizeof path);
    TRY(run_open(run));
    TRY(home_certify(&run->home, request, functions, out ? out : path, post, &run->failure));
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:s}", "post", post, "certificate", out ? out : path));
    else
        printf("%s: the certificate of %s, for pouch join\n", out ? out : path, post);
    return E_OK;
}

int authority_certify(struct run *run) {
    const char *request = NULL, *out = NULL;
    unsigned functions = 0;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_FUNCTIONS:
            if (words_functions_parse(run->args.value, &functions) != E_OK)
                return run_usage_text(run, "%.80s: functions are diplomatic, policy, technical", run->args.value);
            break;
        case 'o': out = run->args.value; break;
        case CLI_WORD:
            if (request) return run_usage(run);
            request = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!request) return run_usage_text(run, "the request's FILE is needed");
    enum error error = certify(run, request, functions, out);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- authority revoke ---- */

COMMAND_OPTIONS(authority_revoke, {"card", OPTION_CARD, true}, {"post", OPTION_POST, true},
                {"reason", OPTION_REASON, true}, {"output", 'o', true});

struct revoking {
    const char *what, *card, *post, *out;
    unsigned reason;
};

static enum error send_file(struct run *run, const struct revoking *revoking, const char *path,
                            struct client_promise *ret) {
    struct client_options options = run_client_options(run);
    struct home *home = run->home.archive ? &run->home : NULL;
    return client_declare(home, revoking->card, path, &options, ret, &run->failure);
}

/* A relay that says nothing of when it will show it has only said that it took it. */
static void print_promise(const struct run *run, const struct client_promise *promise) {
    char time[TIME_SIZE];
    if (!promise->given)
        run_say(run, "The relay has given no promise by when every directory contains it.");
    else
        printf("the relay has promised that every directory shown after %s contains it: %s\n",
               present_time(&run->look, promise->deadline, time), promise->file);
}

static enum error revoked(struct run *run, const struct revoking *revoking, const char *path) {
    struct client_promise promise = {0};
    enum error error = revoking->card ? send_file(run, revoking, path, &promise) : E_OK;
    if (error != E_OK) return error;
    const char *said = revoking->card ? "sent to the relay" : "send it with --card CARD";
    if (run->cli.json) {
        json_t *object = json_pack("{s:s, s:b}", "file", path, "sent", revoking->card != NULL);
        json_object_set_new(object, "promise", promise.given ? json_string(promise.file) : json_null());
        json_object_set_new(object, "deadline", promise.given ? present_json_time(promise.deadline) : json_null());
        present_json(stdout, object);
        return E_OK;
    }
    printf("%s: revocation; %s\n", path, said);
    if (revoking->card) print_promise(run, &promise);
    return E_OK;
}

static enum error revoke(struct run *run, const struct revoking *revoking) {
    char path[POST_MAX + 64];
    uint8_t device[KEY_SIZE];
    bool is_device = text_unhex(bytes_text(revoking->what), device, sizeof device) == E_OK;
    const char *post = is_device ? revoking->post : revoking->what;
    if (is_device && !post) {
        enum error error = fail(&run->failure, E_USAGE, "whose device is it");
        fail_hint(&run->failure, "name its post: --post PARTY/POST");
        return error;
    }
    if (!run_ask(run, true, "Revoke %s for good?", revoking->what))
        return fail(&run->failure, E_INTERRUPTED, "nothing was revoked");
    char ending[48] = "authority.revocation";
    if (is_device) snprintf(ending, sizeof ending, "%.8s.revocation", revoking->what);
    file_name(post, ending, path, sizeof path);
    TRY(run_open(run));
    TRY(home_revoke(&run->home, post, is_device ? device : NULL, revoking->reason, revoking->out ? revoking->out : path,
                    &run->failure));
    return revoked(run, revoking, revoking->out ? revoking->out : path);
}

/* A file that is there is sent as it is; a name is revoked anew. */
int authority_revoke(struct run *run) {
    struct revoking revoking = {0};
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_CARD: revoking.card = run->args.value; break;
        case OPTION_POST: revoking.post = run->args.value; break;
        case 'o': revoking.out = run->args.value; break;
        case OPTION_REASON: {
            char *end;
            unsigned long number = strtoul(run->args.value, &end, 10);
            if (*end || end == run->args.value || number > 255)
                return run_usage_text(run, "--reason is a number, 0 to 255");
            revoking.reason = (unsigned)number;
            break;
        }
        case CLI_WORD:
            if (revoking.what) return run_usage(run);
            revoking.what = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!revoking.what) return run_usage_text(run, "POST, DEVICE or FILE is needed");
    struct stat stat_;
    bool file = stat(revoking.what, &stat_) == 0 && S_ISREG(stat_.st_mode);
    if (file && !revoking.card)
        return run_usage_text(run, "%.80s is a file: to which relay, --card CARD", revoking.what);
    enum error error = file ? revoked(run, &revoking, revoking.what) : revoke(run, &revoking);
    return error == E_OK ? 0 : run_fail(run, error);
}
