/* decide.c - what a post says about a request: accept, decline, acknowledge, forward, close, consent to show it; and the
 * sender's withdrawal. */
#include "../words.h"
#include "commands.h"

enum { OPTION_REASON = 1, OPTION_NOTE, OPTION_TO, OPTION_CONSENT };

COMMAND_OPTIONS(decide_accept, {"note", OPTION_NOTE, true}, {"consent", OPTION_CONSENT, false});
COMMAND_OPTIONS(decide_decline, {"reason", OPTION_REASON, true}, {"note", OPTION_NOTE, true},
                {"consent", OPTION_CONSENT, false});
COMMAND_OPTIONS(decide_ack, {"note", OPTION_NOTE, true}, {"consent", OPTION_CONSENT, false});
COMMAND_OPTIONS(decide_close, {"consent", OPTION_CONSENT, false});
COMMAND_OPTIONS(decide_withdraw, {"to", OPTION_TO, true}, {"consent", OPTION_CONSENT, false});
COMMAND_OPTIONS(decide_consent, {"to", OPTION_TO, true});

/* After acceptance the body is fetched; on a terminal it is shown at once. */
static enum error bring_body(struct run *run, const uint8_t digest[static HASH_SIZE]) {
    struct sync_summary summary;
    AUTO_VIEW view = {0};
    enum error error = client_sync(&run->home, run->relay, &summary, &run->failure);
    bar_end(&run->bar);
    TRY(error);
    TRY(client_view(&run->home, digest, &view, &run->failure));
    if (run->cli.json || !run->look.terminal || !view.has_body) return E_OK;
    command_print_request(run, &view);
    return command_print_body(run, &view);
}

/* What is agreed to once cannot be taken back. */
static enum error ask_consent(struct run *run, const uint8_t digest[static HASH_SIZE]) {
    AUTO_VIEW view = {0};
    TRY(client_view(&run->home, digest, &view, &run->failure));
    if (run_can_ask(run))
        run_say(run, "Who consents agrees that others may be shown what was exchanged. It cannot be taken back. That a step\n"
                     "happened can be proven without; what it was about stays sealed until somebody opens it.");
    bool yes = run_ask(run, true, "Does %s agree that %s may be shown to others?", run->home.post, view.reference);
    return yes ? E_OK : fail(&run->failure, E_INTERRUPTED, "nothing was said");
}

static enum error perform(struct run *run, const char *typed, const struct act *act, const char *done) {
    uint8_t digest[HASH_SIZE];
    struct client_options options = run_client_options(run);
    TRY(run_open_post(run));
    TRY(run_sync(run));
    TRY(client_find(&run->home, typed, digest, &run->failure));
    if (act->disclosure || act->event == EVENT_CONSENTED) TRY(ask_consent(run, digest));
    TRY(client_act(&run->home, run->relay, digest, act, &options, &run->failure));
    enum error error = run->relay && act->event == EVENT_ACCEPTED ? bring_body(run, digest) : E_OK;
    char kept[96];
    snprintf(kept, sizeof kept, "is to be %s; kept in the outbox until the relay is reached", done);
    command_print_result(run, digest, run->relay ? done : kept);
    return error;
}

/* One word, the ID, and options that fill the act. */
static int decide(struct run *run, struct act act, const char *done) {
    const char *typed = NULL;
    char list[256];
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_REASON:
            if (words_reason_parse(run->args.value, &act.reason) != E_OK) {
                words_reason_list(list, sizeof list);
                return run_usage_text(run, "%.80s is no reason; there are %s", run->args.value, list);
            }
            act.has_reason = true;
            break;
        case OPTION_NOTE:
            if (strlen(run->args.value) > NOTE_MAX) return run_usage_text(run, "a note has at most %d bytes", NOTE_MAX);
            act.note = run->args.value;
            break;
        case OPTION_TO: act.to = run->args.value; break;
        case OPTION_CONSENT: act.disclosure = true; break;
        case CLI_WORD:
            if (typed) return run_usage(run);
            typed = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!typed) return run_usage_text(run, "ID is needed");
    enum error error = perform(run, typed, &act, done);
    if (error != E_OK) return run_fail(run, error);
    return run->relay ? 0 : run_kept(run);
}

int decide_accept(struct run *run) { return decide(run, (struct act){.event = EVENT_ACCEPTED}, "accepted"); }
int decide_decline(struct run *run) { return decide(run, (struct act){.event = EVENT_DECLINED}, "declined"); }
int decide_ack(struct run *run) { return decide(run, (struct act){.event = EVENT_ACKNOWLEDGED}, "acknowledged"); }
int decide_close(struct run *run) { return decide(run, (struct act){.event = EVENT_CLOSED}, "closed"); }
int decide_withdraw(struct run *run) { return decide(run, (struct act){.event = EVENT_WITHDRAWN}, "withdrawn"); }
int decide_consent(struct run *run) {
    return decide(run, (struct act){.event = EVENT_CONSENTED}, "agreed that it may be shown to others");
}

/* ---- forward ---- */

COMMAND_OPTIONS(decide_forward);

static enum error forward(struct run *run, const char *typed, const char *to) {
    uint8_t digest[HASH_SIZE];
    char done[POST_MAX + 32];
    struct client_options options = run_client_options(run);
    TRY(run_open_post(run));
    TRY(run_sync(run));
    TRY(client_find(&run->home, typed, digest, &run->failure));
    TRY(client_forward(&run->home, run->relay, digest, to, &options, &run->failure));
    snprintf(done, sizeof done, "forwarded to %s", to);
    command_print_result(run, digest, done);
    return E_OK;
}

int decide_forward(struct run *run) {
    const char *words[2];
    size_t count = 0;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id != CLI_WORD || count == LENGTH(words)) return run_usage(run);
        words[count++] = run->args.value;
    }
    if (count < LENGTH(words)) return run_usage_text(run, "ID and POST are needed");
    enum error error = forward(run, words[0], words[1]);
    return error == E_OK ? 0 : run_fail(run, error);
}
