/* exhibit.c - the command that writes evidence for others. */
#include "exhibit.h"

#include "commands.h"
#include "files.h"
#include "findings.h"
#include "header.h"

enum { OPTION_TO = 1, OPTION_OPEN, OPTION_HTML, OPTION_OUT = 'o' };

COMMAND_OPTIONS(exhibit_evidence, {"to", OPTION_TO, true}, {"open", OPTION_OPEN, true}, {"html", OPTION_HTML, true},
                {"output", OPTION_OUT, true});

struct order {
    const char *typed, *out, *html;
    struct exhibit_options options;
    uint8_t digest[HASH_SIZE];
    struct buf file;
};

/* ---- consent ---- */

/* Who of the other side has not agreed; the first, or NULL. */
static const char *not_agreed(const struct request_view *view, const struct bundle_report *report) {
    unsigned other = view->mine ? CONSENT_RECIPIENT : CONSENT_SENDER;
    for (size_t i = 0; i < view->leg_count; i++) {
        bool shown = false;
        for (size_t k = 0; k < report->leg_count; k++)
            shown |=
                memcmp(report->legs[k].leg, view->legs[i].leg, HASH_SIZE) == 0 ||
                (report->header.has_parent && memcmp(report->header.parent.leg, view->legs[i].leg, HASH_SIZE) == 0);
        if (shown && !(view->legs[i].consents & other)) return view->mine ? view->legs[i].to : view->from;
    }
    return NULL;
}

/* A reply belongs to an exchange: what was agreed there holds for it. */
static enum error ask_consent(struct run *run, const struct order *order, const struct bundle_report *report) {
    AUTO_VIEW view = {0};
    const struct header *header = &report->header;
    enum error error =
        client_view(&run->home, header->has_parent ? header->parent.header : order->digest, &view, &run->failure);
    if (error == E_UNKNOWN_REQUEST && header->has_parent) return E_OK; /* its request is not here */
    TRY(error);
    const char *who = view.disclosure ? not_agreed(&view, report) : NULL;
    if (!who) return E_OK;
    if (!run->yes && !run_can_ask(run)) {
        fail(&run->failure, E_NEEDS_TERMINAL, "%s is to be shown to others only if both sides agree, and %s has not",
             view.reference, who);
        return fail_hint(&run->failure,
                         "ask them (`pouch consent` on their side); or --yes, and the file says that they have not");
    }
    run_say(run, "%s is to be shown to others only if both sides agree, and %s has not. The file will say so.",
            view.reference, who);
    bool yes = run_ask(run, run->yes, "Write it all the same?");
    return yes ? E_OK : fail(&run->failure, E_INTERRUPTED, "nothing was written");
}

/* ---- the command ---- */

static enum error write_page(struct run *run, const struct order *order, const struct bundle_report *report) {
    AUTO_BUF page = {0};
    AUTO_DISCLOSED disclosed = {0};
    struct findings findings = {.report = report, .file = order->out};
    memcpy(findings.gaps, report->gaps, sizeof findings.gaps);
    if (report->has_opened) {
        TRY(disclosed_open(report, &disclosed));
        findings.disclosed = &disclosed;
    }
    TRY(findings_page(&findings, &page));
    return files_write(order->html, 0644, buf_bytes(&page), &run->failure);
}

static void tell(const struct run *run, const struct order *order, const struct bundle_report *report, bool later) {
    size_t entries = 0;
    for (size_t i = 0; i < report->leg_count; i++) entries += report->legs[i].rung_count;
    if (run->cli.json) {
        present_json(stdout,
                     json_pack("{s:o, s:s, s:I, s:I, s:I, s:b, s:s?}", "id", present_json_id(report->digest), "file",
                               order->out, "bytes", (json_int_t)order->file.n, "legs", (json_int_t)report->leg_count,
                               "entries", (json_int_t)entries, "later_head", later, "html", order->html));
        return;
    }
    char reference[TEXT_REFERENCE_SIZE];
    text_reference(report->digest, reference);
    printf("%s: %s, %zu steps with their proofs%s\n", order->out, reference, entries,
           report->has_opened ? report->opened == PART_OFFER ? ", and the summary opened" : ", and the text opened"
                              : "");
    if (order->html) printf("%s: the same as a page to read and print\n", order->html);
    if (!later && entries > 0)
        puts("Without the relay there is no later head of its log: the steps stand each for itself. Make it again when "
             "it answers.");
    puts("Anybody can check it offline: pouch verify FILE --card CARD");
}

static enum error make(struct run *run, struct order *order) {
    AUTO_BUNDLE_REPORT report = {0};
    struct bundle_where where;
    bool later = false;
    TRY(client_find(&run->home, order->typed, order->digest, &run->failure));
    TRY(client_exhibit(&run->home, run->relay, order->digest, &order->options, &order->file, &later, &run->failure));
    enum error error = bundle_verify(buf_bytes(&order->file), NULL, &report, &where);
    if (error != E_OK) return fail(&run->failure, error, "%s", where.text);
    TRY(ask_consent(run, order, &report));
    if (order->options.opened) /* before the file lies there */
        run_say(run, "The %s is opened in it%s: who has the file can read it.",
                order->options.opened == PART_OFFER ? "summary" : "text",
                (order->options.opened == PART_OFFER) == (report.kind != LEG_REPLY)
                    ? ", and with it the words of those who answered"
                    : "");
    TRY(files_write(order->out, 0644, buf_bytes(&order->file), &run->failure));
    if (order->html) TRY(write_page(run, order, &report));
    tell(run, order, &report, later);
    return E_OK;
}

static bool take_part(struct run *run, enum part_number *ret, int *ret_exit) {
    bool offer = strcmp(run->args.value, "offer") == 0, body = strcmp(run->args.value, "body") == 0;
    *ret = body ? PART_BODY : PART_OFFER;
    if (offer || body) return true;
    *ret_exit = run_usage_text(run, "--open takes one word: offer (its summary) or body (its text)");
    return false;
}

int exhibit_evidence(struct run *run) {
    struct order order = {0};
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_TO: order.options.to = run->args.value; break;
        case OPTION_OPEN:
            if (!take_part(run, &order.options.opened, &exit_code)) return exit_code;
            break;
        case OPTION_HTML: order.html = run->args.value; break;
        case OPTION_OUT: order.out = run->args.value; break;
        case CLI_WORD:
            if (order.typed) return run_usage(run);
            order.typed = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!order.typed) return run_usage_text(run, "ID is needed");
    if (!order.out) return run_usage_text(run, "-o FILE is needed");
    enum error error = run_open_post(run);
    if (error == E_OK) {
        run_try_sync(run);
        error = make(run, &order);
    }
    buf_free(&order.file);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}
