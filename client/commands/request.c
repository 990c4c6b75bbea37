/* request.c - sending: a draft from the command line, an editor or a pipe, sealed and put into the outbox, then sent. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../words.h"
#include "commands.h"
#include "files.h"
#include "text.h"

enum {
    OPTION_TO = 1,
    OPTION_SUBJECT = 's',
    OPTION_KIND = 2,
    OPTION_TLP,
    OPTION_PAP,
    OPTION_PRECEDENCE,
    OPTION_ANSWER_BY,
    OPTION_KEEP,
    OPTION_SUMMARY,
    OPTION_LANGUAGE,
    OPTION_OFFER_ONLY,
    OPTION_ATTACH,
    OPTION_EXERCISE,
    OPTION_DISCLOSURE,
};
enum { TO_MAX = LEGS_MAX, ATTACHMENTS_MAX = PARTS_MAX - 1 };

/* What the words of the command line ask for. The texts point into argv, the recipients into `names`. */
struct order {
    struct draft draft;
    const char *to[TO_MAX];
    char *names[TO_MAX]; /* owned copies */
    const char *attachments[ATTACHMENTS_MAX];
    const char *reply_to; /* reply: the ID */
    struct buf edited;
    unsigned kind, tlp, pap, precedence;
    bool attached_too_many;
};

static void order_free(struct order *order) {
    for (size_t i = 0; i < order->draft.to_count; i++) free(order->names[i]);
    buf_free(&order->edited);
}

static bool order_to(struct order *order, const char *list) {
    while (*list) {
        size_t n = strcspn(list, ",");
        if (n > 0) {
            if (order->draft.to_count == TO_MAX) return false;
            char *name = strndup(list, n);
            if (!name) return false;
            order->names[order->draft.to_count] = name;
            order->to[order->draft.to_count++] = name;
        }
        list += n + (list[n] == ',');
    }
    return true;
}

/* One option or word; false after saying what is wrong. */
static bool order_take(struct run *run, struct order *order, int id, int *ret_exit) {
    struct draft *draft = &order->draft;
    const char *value = run->args.value;
    switch (id) {
    case OPTION_TO:
        if (order_to(order, value)) return true;
        *ret_exit = draft->to_count < TO_MAX ? run_fail(run, E_NO_MEMORY)
                                             : run_usage_text(run, "more than %d recipients", TO_MAX);
        return false;
    case OPTION_SUBJECT: draft->subject = value; return true;
    case OPTION_KIND: return run_word(run, WORDS_KIND, &order->kind, ret_exit);
    case OPTION_TLP: return draft->has_tlp = run_word(run, WORDS_TLP, &order->tlp, ret_exit);
    case OPTION_PAP: return draft->has_pap = run_word(run, WORDS_PAP, &order->pap, ret_exit);
    case OPTION_PRECEDENCE: return run_word(run, WORDS_PRECEDENCE, &order->precedence, ret_exit);
    case OPTION_ANSWER_BY: return draft->has_answer_by = run_duration(run, &draft->answer_by_s, ret_exit);
    case OPTION_KEEP: return run_duration(run, &draft->keep_s, ret_exit);
    case OPTION_SUMMARY: draft->summary = value; return true;
    case OPTION_LANGUAGE: draft->language = value; return true;
    case OPTION_OFFER_ONLY: return draft->offer_only = true;
    case OPTION_EXERCISE: return draft->exercise = true;
    case OPTION_DISCLOSURE:
        draft->disclosure = strcmp(value, "both") == 0;
        if (!draft->disclosure) *ret_exit = run_usage_text(run, "--disclosure takes one word: both");
        return draft->disclosure;
    case OPTION_ATTACH:
        if (draft->attachment_count < ATTACHMENTS_MAX)
            return order->attachments[draft->attachment_count++] = value, true;
        *ret_exit = run_usage_text(run, "more than %d attachments", ATTACHMENTS_MAX);
        return false;
    default: *ret_exit = run_usage(run); return false;
    }
}

static void order_finish(struct order *order) {
    order->draft.to = order->to;
    order->draft.attachments = order->attachments;
    order->draft.kind = (enum request_kind)order->kind;
    order->draft.tlp = (enum tlp)order->tlp;
    order->draft.pap = (enum pap)order->pap;
    order->draft.precedence = (enum precedence)order->precedence;
}

/* ---- the text ---- */

/* One stream cannot carry the pass-phrase and the text. */
static enum error order_check_input(struct run *run, const struct draft *draft) {
    bool text = draft->text_path && strcmp(draft->text_path, "-") == 0;
    bool secret = run->passphrase_file && strcmp(run->passphrase_file, "-") == 0;
    if (!text || !secret) return E_OK;
    return fail(&run->failure, E_USAGE, "standard input cannot be both the text and the pass-phrase");
}

static enum error order_text(struct run *run, struct order *order) {
    struct draft *draft = &order->draft;
    if (draft->offer_only || draft->text_path) return E_OK;
    bool edits = run_can_ask(run);
    if (edits)
        TRY(command_edit(run, (struct bytes){0}, &order->edited));
    else if (isatty(STDIN_FILENO) != 1 && draft->attachment_count == 0)
        draft->text_path = "-";
    if (edits && order->edited.n == 0) return fail(&run->failure, E_INTERRUPTED, "the text is empty; nothing was sent");
    TRY(order_check_input(run, draft));
    draft->text = buf_bytes(&order->edited);
    return E_OK;
}

/* ---- the recipients ---- */

/* People are shown, and asked about, the posts themselves. */
static void say_advice(void *context, const char *text) { run_say(context, "pouch: %s", text); }

/* The relay's time; this machine's where it is not reached. */
static struct instant time_of(const struct run *run) {
    struct timespec time;
    if (run->relay) return client_now(run->relay);
    clock_gettime(CLOCK_REALTIME, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000};
}

static enum error resolve(struct run *run, const struct draft *draft, char **name) {
    const struct directory_post *post = NULL;
    TRY(client_resolve(&run->home, *name, draft->kind, &post, &run->failure));
    TRY(client_advise(&run->home, *name, draft->kind, draft->keep_s, time_of(run), say_advice, run, &run->failure));
    char *full = strdup(post->name);
    if (!full) return E_NO_MEMORY;
    free(*name);
    *name = full;
    return E_OK;
}

static enum error order_resolve(struct run *run, struct order *order) {
    for (size_t i = 0; i < order->draft.to_count; i++) {
        TRY(resolve(run, &order->draft, &order->names[i]));
        order->to[i] = order->names[i];
    }
    return E_OK;
}

/* What is known of the recipients, and better ones where there are. */
static enum error order_advise(struct run *run, struct order *order) {
    TRY(command_advise(run, order->names, order->draft.to_count));
    for (size_t i = 0; i < order->draft.to_count; i++) order->to[i] = order->names[i];
    return E_OK;
}

static enum error order_confirm(struct run *run, const struct order *order) {
    const struct draft *draft = &order->draft;
    if (!run_can_ask(run)) return E_OK;
    struct look look = look_of(stderr, run->no_color);
    present_exercise(stderr, &look, draft->exercise);
    for (size_t i = 0; i < draft->to_count; i++) fprintf(stderr, "to       %s\n", draft->to[i]);
    fprintf(stderr, "kind     %s, %s\n", words_name(WORDS_KIND, draft->kind),
            words_name(WORDS_PRECEDENCE, draft->precedence));
    if (draft->subject) fprintf(stderr, "subject  %s\n", draft->subject);
    fputs("marking  ", stderr);
    present_tlp(stderr, &look, draft->has_tlp, draft->tlp);
    fputc('\n', stderr);
    return run_ask(run, true, "Send?") ? E_OK : fail(&run->failure, E_INTERRUPTED, "nothing was sent");
}

/* A person may write for an hour: others use the home meanwhile. */
static enum error order_dialogue(struct run *run, struct order *order) {
    bool person = run_can_ask(run);
    if (person) home_unlock(&run->home);
    enum error error = order_text(run, order);
    if (error == E_OK && !order->draft.parent_header) error = order_advise(run, order);
    if (error == E_OK && !order->draft.parent_header) error = order_confirm(run, order);
    if (person && error == E_OK) error = home_relock(&run->home, &run->failure);
    return error;
}

/* ---- sending ---- */

/* The legs that the relay refused or that wait, for people. */
static void print_legs(const struct run *run, const struct request_view *view) {
    for (size_t i = 0; i < view->leg_count; i++) {
        const struct leg_view *leg = &view->legs[i];
        const char *trouble = present_leg_trouble(leg);
        printf("  %-32s %s%s%s\n", leg->to, present_leg_state(leg), trouble ? ": " : "", trouble ? trouble : "");
    }
    (void)run;
}

void command_print_result(struct run *run, const uint8_t digest[static HASH_SIZE], const char *done) {
    AUTO_VIEW view = {0};
    if (client_view(&run->home, digest, &view, NULL) != E_OK) return;
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:o, s:s, s:s, s:o}", "id", present_json_id(digest), "ref", view.reference,
                                       "state", present_state(&view), "legs", present_json_legs(&view)));
        return;
    }
    present_exercise(stdout, &run->look, view.exercise);
    if (strcmp(present_state(&view), "refused") == 0) done = "was refused";
    printf("%s %s\n", view.reference, done);
    print_legs(run, &view);
}

/* Whether the directory that was sent by is one that witnesses have seen too. An error of the store shows elsewhere. */
static void warn_freshness(struct run *run, const struct draft *draft) {
    struct freshness_view fresh;
    char text[2 * FAILURE_WHERE_SIZE];
    if (!run->relay || draft->parent_header || client_freshness(&run->home, &fresh, NULL) != E_OK || fresh.witnessed)
        return;
    present_freshness(&fresh, text, sizeof text);
    if (fresh.quorum == 0 && !run->cli.json) run_say(run, "%s", text);
    if (fresh.quorum > 0 && draft->precedence >= PRECEDENCE_IMMEDIATE)
        run_say(run, "warning: sent by a directory that is %s", text);
}

/* A draft may have become two requests: one line, or one object, each. */
static int send_order(struct run *run, struct order *order) {
    AUTO_BUF digests = {0};
    struct client_options options = run_client_options(run);
    enum error error = client_send_all(&run->home, run->relay, &order->draft, &options, &digests, &run->failure);
    bar_end(&run->bar);
    if (digests.n > 0) warn_freshness(run, &order->draft);
    if (digests.n > HASH_SIZE)
        run_say(run, "sent as %zu requests: not all recipients share a secret with this post's party",
                digests.n / HASH_SIZE);
    for (size_t at = 0; at < digests.n; at += HASH_SIZE)
        command_print_result(run, digests.p + at,
                             run->relay && error == E_OK ? "is with the relay" : "is in the outbox");
    if (error == E_OK) return run->relay ? 0 : run_kept(run);
    return run_fail(run, error);
}

/* ---- send ---- */

COMMAND_OPTIONS(request_send, {"to", OPTION_TO, true}, {"subject", OPTION_SUBJECT, true}, {"kind", OPTION_KIND, true},
                {"tlp", OPTION_TLP, true}, {"pap", OPTION_PAP, true}, {"precedence", OPTION_PRECEDENCE, true},
                {"answer-by", OPTION_ANSWER_BY, true}, {"keep", OPTION_KEEP, true}, {"summary", OPTION_SUMMARY, true},
                {"language", OPTION_LANGUAGE, true}, {"offer-only", OPTION_OFFER_ONLY, false},
                {"attach", OPTION_ATTACH, true}, {"exercise", OPTION_EXERCISE, false},
                {"disclosure", OPTION_DISCLOSURE, true});

static enum error order_check(struct run *run, const struct draft *draft) {
    if (draft->offer_only && (draft->text_path || draft->attachment_count))
        return fail(&run->failure, E_USAGE, "--offer-only has no body: neither FILE nor --attach");
    TRY(order_check_input(run, draft));
    for (size_t i = 0; i < draft->attachment_count; i++)
        if (access(draft->attachments[i], R_OK) != 0) return files_failure(&run->failure, draft->attachments[i]);
    if (draft->text_path && strcmp(draft->text_path, "-") != 0 && access(draft->text_path, R_OK) != 0)
        return files_failure(&run->failure, draft->text_path);
    return E_OK;
}

static enum error prepare_send(struct run *run, struct order *order) {
    TRY(order_check(run, &order->draft));
    TRY(run_open_post(run));
    TRY(run_sync(run));
    TRY(order_resolve(run, order));
    return order_dialogue(run, order);
}

int request_send(struct run *run) {
    __attribute__((cleanup(order_free))) struct order order = {.draft = {.subject = ""}};
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == CLI_WORD && !order.draft.text_path)
            order.draft.text_path = run->args.value;
        else if (!order_take(run, &order, id, &exit_code))
            return exit_code;
    }
    order_finish(&order);
    if (order.draft.to_count == 0) return run_usage_text(run, "--to POST is needed");
    enum error error = prepare_send(run, &order);
    return error == E_OK ? send_order(run, &order) : run_fail(run, error);
}

/* ---- reply ---- */

COMMAND_OPTIONS(request_reply, {"to", OPTION_TO, true}, {"attach", OPTION_ATTACH, true}, {"keep", OPTION_KEEP, true});

static enum error wants_to(struct run *run, const struct request_view *view) {
    enum error error = fail(&run->failure, E_USAGE, "%s went to %zu posts", view->reference, view->leg_count);
    fail_hint(&run->failure, "say which of them the reply is for: --to POST");
    return error;
}

/* The leg of an exchange that the reply belongs to, and the post at its other end. */
static enum error exchange_leg(struct run *run, const struct request_view *view, const char *to,
                               uint8_t ret_leg[static HASH_SIZE], char ret_to[static POST_MAX + 1]) {
    const struct leg_view *chosen = NULL;
    if (view->mine && !to && view->leg_count > 1) return wants_to(run, view);
    for (size_t i = 0; i < view->leg_count; i++)
        if (!view->mine || !to || strcmp(to, view->legs[i].to) == 0) chosen = &view->legs[i];
    if (!chosen)
        return fail(&run->failure, E_UNKNOWN_POST, "%s did not go to %.80s", view->reference, to ? to : "anybody");
    memcpy(ret_leg, chosen->leg, HASH_SIZE);
    snprintf(ret_to, POST_MAX + 1, "%s", view->mine ? chosen->to : view->from);
    return E_OK;
}

/* A reply to a reply belongs to the same exchange. */
static enum error prepare_reply(struct run *run, struct order *order, uint8_t header[static HASH_SIZE],
                                uint8_t leg[static HASH_SIZE]) {
    const char *to = order->draft.to_count ? order->names[0] : NULL;
    char other[POST_MAX + 1], from[POST_MAX + 1] = "";
    AUTO_VIEW view = {0};
    TRY(order_check(run, &order->draft));
    TRY(run_open_post(run));
    TRY(run_sync(run));
    TRY(client_find(&run->home, order->reply_to, header, &run->failure));
    TRY(client_view(&run->home, header, &view, &run->failure));
    if (view.is_reply) {
        memcpy(header, view.parent_header, HASH_SIZE);
        snprintf(from, sizeof from, "%s", view.mine ? view.legs[0].to : view.from);
        if (!to) to = from;
        request_view_free(&view);
        TRY(client_view(&run->home, header, &view, &run->failure));
    }
    TRY(exchange_leg(run, &view, to, leg, other));
    order_free(order);
    order->draft.to_count = 0;
    if (!order_to(order, other)) return E_NO_MEMORY;
    order->draft.exercise = view.exercise; /* an exchange is an exercise from end to end */
    order->draft.parent_header = header;
    order->draft.parent_leg = leg;
    return order_dialogue(run, order);
}

int request_reply(struct run *run) {
    __attribute__((cleanup(order_free))) struct order order = {0};
    uint8_t header[HASH_SIZE], leg[HASH_SIZE];
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == CLI_WORD && !order.reply_to)
            order.reply_to = run->args.value;
        else if (id == CLI_WORD && !order.draft.text_path)
            order.draft.text_path = run->args.value;
        else if (!order_take(run, &order, id, &exit_code))
            return exit_code;
    }
    order_finish(&order);
    if (!order.reply_to) return run_usage_text(run, "ID is needed");
    if (order.draft.to_count > 1) return run_usage_text(run, "a reply goes to one post");
    enum error error = prepare_reply(run, &order, header, leg);
    return error == E_OK ? send_order(run, &order) : run_fail(run, error);
}
