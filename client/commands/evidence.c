/* evidence.c - what happened to a request, step by step, from verified evidence; waiting for a step; and plain words. */
#include <time.h>

#include "../words.h"
#include "commands.h"
#include "units.h"

enum { OPTION_FOR = 1, OPTION_ANY, OPTION_TIMEOUT };
enum { GRACE_SIZE = UNITS_TEXT_SIZE + 64 };
enum { TIMEOUT_DEFAULT_S = 60, HINT_MS = 1000, RETRY_MS = 500 };

static enum leg_kind kind_of(const struct request_view *view) {
    return view->is_reply ? LEG_REPLY : view->offer_only ? LEG_OFFER_ONLY : LEG_REQUEST;
}

/* The events of one leg, freed at the end of scope. */
struct ladder {
    struct event_view *events;
    size_t count;
};
static void ladder_free(struct ladder *ladder) {
    if (ladder->events) event_views_free(ladder->events, ladder->count);
}
#define AUTO_LADDER __attribute__((cleanup(ladder_free))) struct ladder

static enum error ladder_of(struct run *run, const struct request_view *view, const struct leg_view *leg,
                            struct ladder *ret) {
    return client_track(&run->home, view->digest, leg->leg, &ret->events, &ret->count, &run->failure);
}

static enum error find(struct run *run, const char *typed, struct request_view *ret) {
    uint8_t digest[HASH_SIZE];
    TRY(client_find(&run->home, typed, digest, &run->failure));
    return client_view(&run->home, digest, ret, &run->failure);
}

static const char *event_text(const struct event_view *event) {
    const struct leg_event_row *row = leg_event_row(event->event);
    return row ? row->text : "something that this version does not know";
}

static const char *speaker(const struct event_view *event) {
    return !event->actor[0] ? "" : event->officer ? "officer" : "machine";
}

/* ---- track ---- */

COMMAND_OPTIONS(evidence_track);

static enum error track_json(struct run *run, const struct request_view *view) {
    json_t *legs = json_array();
    enum error error = E_OK;
    for (size_t i = 0; i < view->leg_count && error == E_OK; i++) {
        AUTO_LADDER ladder = {0};
        error = ladder_of(run, view, &view->legs[i], &ladder);
        json_t *events = json_array();
        for (size_t k = 0; k < ladder.count; k++) json_array_append_new(events, present_json_event(&ladder.events[k]));
        json_array_append_new(legs, json_pack("{s:s, s:s, s:o}", "to", view->legs[i].to, "state",
                                              present_leg_state(&view->legs[i]), "events", events));
    }
    json_t *object =
        json_pack("{s:o, s:s, s:o}", "id", present_json_id(view->digest), "ref", view->reference, "legs", legs);
    if (error == E_OK)
        present_json(stdout, object);
    else
        json_decref(object);
    return error;
}

static const char *reason_text(const struct event_view *event) {
    return event->has_reason ? present_reason(event->event, event->reason) : "";
}

/* What an expiry says of its deadline: nothing, unless the relay had been away. */
static const char *grace_text(const struct event_view *event, char ret[static GRACE_SIZE]) {
    char duration[UNITS_TEXT_SIZE];
    if (event->grace_s == 0) return "";
    units_format_duration(event->grace_s, duration);
    snprintf(ret, GRACE_SIZE, " (the relay was away; it had %s longer for that)", duration);
    return ret;
}

static void track_row(const struct run *run, struct table *table, const struct event_view *event) {
    char time[TIME_SIZE], grace[GRACE_SIZE];
    table_add(table, STYLE_NONE, "%s", present_time(&run->look, event->at, time));
    table_add(table, STYLE_BOLD, "%s", event_text(event));
    table_add(table, STYLE_NONE, "%s", event->actor[0] ? event->actor : "relay");
    table_add(table, STYLE_NONE, "%s", speaker(event));
    if (event->has_entry)
        table_add(table, STYLE_NONE, "%llu", (unsigned long long)event->log_index);
    else
        table_add(table, STYLE_DIM, "-");
    bool aside = event->disclosure && event->event != EVENT_CONSENTED;
    table_add(table, STYLE_NONE, "%s%s%s%s%s%s%.*s", aside ? "consents to show it; " : "",
              event->event == EVENT_EXPIRED ? "it got as far as: " : "",
              event->forward, reason_text(event), grace_text(event, grace), event->has_reason && event->note.n ? ": " : "", (int)event->note.n,
              event->note.n ? (const char *)event->note.p : "");
}

static enum error track_people(struct run *run, const struct request_view *view) {
    static const char *const heads[] = {"LEDGER TIME", "STEP", "BY", "SPOKEN BY", "ENTRY>", "WORDS"};
    present_exercise(stdout, &run->look, view->exercise);
    for (size_t i = 0; i < view->leg_count; i++) {
        const struct leg_view *leg = &view->legs[i];
        AUTO_LADDER ladder = {0};
        AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads), .elastic = 5};
        TRY(ladder_of(run, view, leg, &ladder));
        printf("%s%s to %s: %s\n", i ? "\n" : "", view->reference, leg->to, present_leg_state(leg));
        for (size_t k = 0; k < ladder.count; k++) track_row(run, &table, &ladder.events[k]);
        if (table.count) table_print(&table, stdout, &run->look);
    }
    return E_OK;
}

/* The commands that tell of one request: open, fetch what is new, find it, show it. */
static int tell_of(struct run *run, enum error (*show)(struct run *run, const struct request_view *view)) {
    int exit_code;
    AUTO_VIEW view = {0};
    const char *typed = command_one_word(run, "ID", &exit_code);
    if (!typed) return exit_code;
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    error = find(run, typed, &view);
    if (error == E_OK) error = show(run, &view);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}

static enum error track(struct run *run, const struct request_view *view) {
    return run->cli.json ? track_json(run, view) : track_people(run, view);
}

int evidence_track(struct run *run) { return tell_of(run, track); }

/* ---- wait ---- */

COMMAND_OPTIONS(evidence_wait, {"for", OPTION_FOR, true}, {"any", OPTION_ANY, false},
                {"timeout", OPTION_TIMEOUT, true});

enum prospect { NEVER, PERHAPS, REACHED };

struct waiting {
    const char *const *ids;
    size_t id_count;
    enum leg_state target;
    bool any;
    struct instant deadline; /* monotonic */
    struct buf open, known;  /* without ids: what was open, and what there was, at the beginning */
};

static struct instant monotonic(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000};
}

/* The rungs that lie one above the other; 0 for the states beside the ladder. */
static unsigned rung(enum leg_state state) {
    static const unsigned char rungs[] = {[STATE_STORED] = 1,   [STATE_NOTIFIED] = 2,    [STATE_OPENED] = 3,
                                          [STATE_ACCEPTED] = 4, [STATE_HANDED_OVER] = 5, [STATE_ACKNOWLEDGED] = 6};
    return (unsigned)state < LENGTH(rungs) ? rungs[state] : 0;
}

static bool can_come(enum leg_state from, enum leg_state target, enum leg_kind kind, unsigned seen) {
    const struct leg_step *step;
    if (from == target || (rung(target) && rung(from) >= rung(target))) return true;
    for (unsigned i = 0; (step = leg_step_nth(i)); i++) {
        if (step->from != from || !(step->kinds & kind) || (seen & 1u << step->to)) continue;
        if (can_come(step->to, target, kind, seen | 1u << step->to)) return true;
    }
    return false;
}

static enum error leg_prospect(struct run *run, const struct request_view *view, const struct leg_view *leg,
                               enum leg_state target, enum prospect *ret) {
    AUTO_LADDER ladder = {0};
    *ret = REACHED;
    if (leg->state == target || (rung(target) && rung(leg->state) >= rung(target))) return E_OK;
    TRY(ladder_of(run, view, leg, &ladder));
    for (size_t i = 0; i < ladder.count; i++)
        if (ladder.events[i].has_entry && ladder.events[i].to == target) return E_OK;
    bool refused = leg->refused != E_OK && !error_row(leg->refused)->again;
    *ret = !refused && !leg->away && can_come(leg->state, target, kind_of(view), 1u << leg->state) ? PERHAPS : NEVER;
    return E_OK;
}

/* Of all legs, the least; of any, the best. */
static enum error request_prospect(struct run *run, const struct waiting *waiting, const struct request_view *view,
                                   enum prospect *ret) {
    enum prospect all = REACHED, any = NEVER, one;
    for (size_t i = 0; i < view->leg_count; i++) {
        TRY(leg_prospect(run, view, &view->legs[i], waiting->target, &one));
        if (one < all) all = one;
        if (one > any) any = one;
    }
    *ret = view->leg_count == 0 ? PERHAPS : waiting->any ? any : all;
    return E_OK;
}

static bool holds(const struct buf *digests, const uint8_t *digest) {
    for (size_t at = 0; at + HASH_SIZE <= digests->n; at += HASH_SIZE)
        if (memcmp(digests->p + at, digest, HASH_SIZE) == 0) return true;
    return false;
}

static enum error both_boxes(struct run *run, bool all, struct buf *ret) {
    TRY(client_list(&run->home, BOX_INBOX, all, ret, &run->failure));
    return client_list(&run->home, BOX_SENT, all, ret, &run->failure);
}

/* The requests to look at now. */
static enum error subjects(struct run *run, const struct waiting *waiting, struct buf *ret) {
    for (size_t i = 0; i < waiting->id_count; i++) {
        uint8_t digest[HASH_SIZE];
        TRY(client_find(&run->home, waiting->ids[i], digest, &run->failure));
        buf_add(ret, digest, sizeof digest);
    }
    if (waiting->id_count > 0) return buf_error(ret);
    AUTO_BUF now = {0};
    TRY(both_boxes(run, true, &now));
    for (size_t at = 0; at + HASH_SIZE <= now.n; at += HASH_SIZE)
        if (holds(&waiting->open, now.p + at) || !holds(&waiting->known, now.p + at))
            buf_add(ret, now.p + at, HASH_SIZE);
    return buf_error(ret);
}

struct tally {
    size_t reached, perhaps, never;
    char last[TEXT_REFERENCE_SIZE], state[32]; /* of the last that can never reach it */
};

static enum error take_stock(struct run *run, const struct waiting *waiting, const struct buf *digests,
                             struct tally *tally, bool print) {
    *tally = (struct tally){0};
    for (size_t at = 0; at + HASH_SIZE <= digests->n; at += HASH_SIZE) {
        AUTO_VIEW view = {0};
        enum prospect prospect;
        TRY(client_view(&run->home, digests->p + at, &view, &run->failure));
        if (view.ignored && waiting->id_count == 0) continue;
        TRY(request_prospect(run, waiting, &view, &prospect));
        if (prospect == REACHED) tally->reached++;
        if (prospect == PERHAPS) tally->perhaps++;
        if (prospect == NEVER) {
            tally->never++;
            snprintf(tally->last, sizeof tally->last, "%s", view.reference);
            snprintf(tally->state, sizeof tally->state, "%s", present_state(&view));
        }
        if (!print || prospect != REACHED) continue;
        if (run->cli.json)
            present_json(stdout,
                         json_pack("{s:o, s:s, s:s, s:o}", "id", present_json_id(view.digest), "ref", view.reference,
                                   "state", present_state(&view), "legs", present_json_legs(&view)));
        else
            printf("%s %s\n", view.reference, present_state(&view));
    }
    return E_OK;
}

/* Done: *ret is true. E_WRONG_STATE when it can no longer come. */
static enum error look(struct run *run, const struct waiting *waiting, bool *ret) {
    AUTO_BUF digests = {0};
    struct tally tally;
    TRY(subjects(run, waiting, &digests));
    TRY(take_stock(run, waiting, &digests, &tally, false));
    bool hopeless = waiting->any ? tally.reached + tally.perhaps == 0 : tally.never > 0;
    if (waiting->id_count > 0 && hopeless && tally.never > 0)
        return fail(&run->failure, E_WRONG_STATE, "%s is %s; %s can no longer come", tally.last, tally.state,
                    leg_state_row(waiting->target)->name);
    *ret = tally.reached > 0 && (waiting->any || tally.perhaps == 0);
    return *ret ? take_stock(run, waiting, &digests, &tally, true) : E_OK;
}

/* Lets others use the home until the relay hints at something new. */
static enum error pause_for_news(struct run *run, uint64_t left_ms) {
    uint64_t slice = run->relay ? HINT_MS : RETRY_MS;
    if (left_ms < slice) slice = left_ms ? left_ms : 1;
    home_unlock(&run->home);
    enum error error = E_OK;
    if (run->relay)
        error = client_wait_hint(run->relay, (unsigned)slice);
    else
        nanosleep(&(struct timespec){(time_t)(slice / 1000), (long)(slice % 1000) * 1000000L}, NULL);
    if (error != E_OK && error != E_TIMED_OUT) client_disconnect(&run->relay);
    return home_relock(&run->home, &run->failure);
}

static enum error refresh(struct run *run) {
    struct sync_summary summary;
    if (!run->relay) return run_sync(run);
    enum error error = client_sync(&run->home, run->relay, &summary, &run->failure);
    if (error == E_OK || !error_row(error)->again) return error;
    client_disconnect(&run->relay);
    return E_OK;
}

static enum error wait_until(struct run *run, struct waiting *waiting) {
    bool done = false;
    TRY(run_open_post(run));
    TRY(run_sync(run));
    if (waiting->id_count == 0) {
        TRY(both_boxes(run, false, &waiting->open));
        TRY(both_boxes(run, true, &waiting->known));
    }
    for (;;) {
        TRY(look(run, waiting, &done));
        if (done) return E_OK;
        uint64_t now = monotonic().ms;
        if (now >= waiting->deadline.ms)
            return fail(&run->failure, E_TIMED_OUT, "%s was not reached", leg_state_row(waiting->target)->name);
        TRY(pause_for_news(run, waiting->deadline.ms - now));
        TRY(refresh(run));
    }
}

static bool take_state(struct run *run, enum leg_state *ret, int *ret_exit) {
    char list[256] = "";
    if (leg_state_parse(bytes_text(run->args.value), ret) && *ret != STATE_NONE) return true;
    for (uint64_t i = 1; leg_state_row(i); i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", leg_state_row(i)->name);
    }
    *ret_exit = run_usage_text(run, "%.80s is none of %s", run->args.value, list);
    return false;
}

static void waiting_free(struct waiting *waiting) {
    buf_free(&waiting->open);
    buf_free(&waiting->known);
}

int evidence_wait(struct run *run) {
    enum { IDS_MAX = 1024 };
    static const char *ids[IDS_MAX];
    __attribute__((cleanup(waiting_free))) struct waiting waiting = {.ids = ids};
    uint64_t timeout_s = TIMEOUT_DEFAULT_S;
    bool has_target = false;
    int exit_code;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_FOR:
            if (!take_state(run, &waiting.target, &exit_code)) return exit_code;
            has_target = true;
            break;
        case OPTION_ANY: waiting.any = true; break;
        case OPTION_TIMEOUT:
            if (!run_duration(run, &timeout_s, &exit_code)) return exit_code;
            break;
        case CLI_WORD:
            if (waiting.id_count == IDS_MAX) return run_usage_text(run, "more than %d requests", IDS_MAX);
            ids[waiting.id_count++] = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!has_target) return run_usage_text(run, "--for STATE is needed");
    waiting.deadline.ms = monotonic().ms + timeout_s * 1000;
    enum error error = wait_until(run, &waiting);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- explain ---- */

COMMAND_OPTIONS(evidence_explain);

/* The command by which this post would make an event happen; NULL when it is not this post's to do by a command. */
static const char *command_for(const struct request_view *view, enum leg_event event) {
    const struct leg_event_row *row = leg_event_row(event);
    bool ours = row->actor == ACTOR_EITHER || row->actor == (view->mine ? ACTOR_SENDER : ACTOR_RECIPIENT);
    static const struct {
        enum leg_event event;
        const char *command;
    } commands[] = {{EVENT_ACCEPTED, "accept"},
                    {EVENT_DECLINED, "decline"},
                    {EVENT_ACKNOWLEDGED, "ack"},
                    {EVENT_CLOSED, "close"},
                    {EVENT_WITHDRAWN, "withdraw"},
                    {EVENT_FORWARDED, "forward"},
                    {EVENT_CONSENTED, "consent"}};
    for (size_t i = 0; ours && i < LENGTH(commands); i++)
        if (commands[i].event == event) return commands[i].command;
    return NULL;
}

static const char *who_may(const struct request_view *view, const struct leg_view *leg,
                           const struct leg_event_row *row) {
    switch (row->actor) {
    case ACTOR_RELAY: return "the relay";
    case ACTOR_RECIPIENT: return view->mine ? leg->to : "this post";
    case ACTOR_SENDER: return view->mine ? "this post" : view->from;
    case ACTOR_EITHER: return "either side";
    case ACTOR_SEALER: return view->mine ? "this post's devices, by themselves" : view->from;
    }
    return "somebody";
}

/* The relay may say at any time that nobody can open it: no need to tell, until it has. Consent is given once. */
static bool is_news(const struct request_view *view, const struct leg_view *leg, enum leg_event event) {
    unsigned own = view->mine ? CONSENT_SENDER : CONSENT_RECIPIENT;
    if (event == EVENT_CONSENTED) return !(leg->consents & own);
    return event != EVENT_REKEY_NEEDED && (event != EVENT_RESEALED || leg->needs_rekey);
}

/* Calls `each` for every step that the leg may take next. */
static void next_steps(const struct request_view *view, const struct leg_view *leg,
                       void (*each)(void *context, const struct request_view *view, const struct leg_view *leg,
                                    const struct leg_event_row *row),
                       void *context) {
    const struct leg_step *step;
    if (leg->refused != E_OK && !error_row(leg->refused)->again) return;
    if (leg->away) return;
    for (unsigned i = 0; (step = leg_step_nth(i)); i++)
        if (step->from == leg->state && (step->kinds & kind_of(view)) && is_news(view, leg, step->event))
            each(context, view, leg, leg_event_row(step->event));
}

static void next_json(void *context, const struct request_view *view, const struct leg_view *leg,
                      const struct leg_event_row *row) {
    const char *command = command_for(view, row->event);
    json_t *one = json_pack("{s:s, s:s, s:s}", "event", row->name, "text", row->text, "who", who_may(view, leg, row));
    const char *more = row->event == EVENT_FORWARDED ? " POST" : "";
    json_object_set_new(one, "command",
                        command ? json_sprintf("pouch %s %s%s", command, view->reference, more) : json_null());
    json_array_append_new(context, one);
}

static void next_line(void *context, const struct request_view *view, const struct leg_view *leg,
                      const struct leg_event_row *row) {
    const char *command = command_for(view, row->event);
    (void)context;
    if (command)
        printf("  - %s: pouch %s %s%s\n", row->text, command, view->reference,
               row->event == EVENT_FORWARDED ? " POST" : "");
    else
        printf("  - %s: by %s\n", row->text, who_may(view, leg, row));
}

/* Consent that goes with another step. */
static const char *consent_text(const struct event_view *event) {
    bool aside = event->disclosure && event->event != EVENT_CONSENTED;
    return aside ? ", and agreed that this may be shown to others" : "";
}

static void sentence(const struct event_view *event, char *ret, size_t size) {
    char time[TIME_SIZE], grace[GRACE_SIZE];
    const char *actor = event->actor[0] ? event->actor : "the relay";
    const char *role = !event->actor[0] ? "" : event->officer ? " (an officer)" : " (a machine)";
    snprintf(ret, size, "%s  %s%s: %s%s%s%s%s", present_utc(event->at, time), actor, role, event_text(event),
             event->forward[0] ? " to " : "", event->forward, consent_text(event), event->has_entry ? "" : " (noted; it moved nothing)");
    if (!event->has_reason) return;
    size_t n = strlen(ret);
    if (n < size)
        snprintf(ret + n, size - n, "; %s: %s%s", event->event == EVENT_EXPIRED ? "it got this far" : "reason",
                 reason_text(event), grace_text(event, grace));
}

static void now_text(const struct leg_view *leg, char *ret, size_t size) {
    const struct leg_state_row *row = leg_state_row(leg->state);
    const struct error_row *refused = error_row(leg->refused);
    if (leg->refused != E_OK)
        snprintf(ret, size, "not taken by the relay: %s; %s", refused->text, refused->hint);
    else if (leg->away)
        snprintf(ret, size, "forwarded to %s, which decides; what happens there is told to the sender, not here", leg->to);
    else if (leg->needs_rekey)
        snprintf(ret, size, "%s: %s has no device that can open it; it waits, and the sender's devices seal it anew by "
                 "themselves when there is one", row ? row->name : "unknown", leg->to);
    else if (leg->state == STATE_NONE)
        snprintf(ret, size, "in the outbox: pouch sync sends it when the relay answers");
    else
        snprintf(ret, size, "%s: %s", row ? row->name : "unknown", row ? row->text : "unknown");
}

static enum error explain_leg_json(struct run *run, const struct request_view *view, const struct leg_view *leg,
                                   json_t *legs) {
    char text[1024];
    AUTO_LADDER ladder = {0};
    TRY(ladder_of(run, view, leg, &ladder));
    json_t *history = json_array(), *next = json_array();
    for (size_t i = 0; i < ladder.count; i++) {
        sentence(&ladder.events[i], text, sizeof text);
        json_array_append_new(history, json_string(text));
    }
    next_steps(view, leg, next_json, next);
    now_text(leg, text, sizeof text);
    json_array_append_new(legs, json_pack("{s:s, s:s, s:o, s:s, s:o}", "to", leg->to, "state", present_leg_state(leg),
                                          "history", history, "now", text, "next", next));
    return E_OK;
}

static enum error explain_leg(struct run *run, const struct request_view *view, const struct leg_view *leg) {
    char text[1024];
    AUTO_LADDER ladder = {0};
    TRY(ladder_of(run, view, leg, &ladder));
    printf("\n%s to %s\n", view->from, leg->to);
    for (size_t i = 0; i < ladder.count; i++) {
        sentence(&ladder.events[i], text, sizeof text);
        printf("  %s\n", text);
        if (ladder.events[i].note.n == 0) continue;
        fputs("      \"", stdout);
        present_text(stdout, &run->look, STYLE_NONE, buf_bytes(&ladder.events[i].note), false);
        fputs("\"\n", stdout);
    }
    now_text(leg, text, sizeof text);
    printf("Now: %s\n", text);
    if (leg->away || (leg_state_row(leg->state) && leg_state_row(leg->state)->terminal))
        puts("Nothing more will happen here.");
    else
        puts("What can happen next:");
    next_steps(view, leg, next_line, NULL);
    return E_OK;
}

static enum error explain(struct run *run, const struct request_view *view) {
    json_t *legs = json_array();
    enum error error = E_OK;
    char time[TIME_SIZE], policy[128];
    if (!run->cli.json) {
        present_exercise(stdout, &run->look, view->exercise);
        printf("%s, from %s, made %s\n", view->reference, view->from, present_time(&run->look, view->created, time));
        present_policy(view, policy, sizeof policy);
        if (*policy) printf("It was %s.\n", policy);
        if (view->disclosure) puts("Its sender asks that others are shown it only if both sides agree.");
    }
    for (size_t i = 0; i < view->leg_count && error == E_OK; i++)
        error =
            run->cli.json ? explain_leg_json(run, view, &view->legs[i], legs) : explain_leg(run, view, &view->legs[i]);
    if (error == E_OK && run->cli.json)
        present_json(stdout, json_pack("{s:o, s:s, s:s, s:O}", "id", present_json_id(view->digest), "ref",
                                       view->reference, "state", present_state(view), "legs", legs));
    json_decref(legs);
    return error;
}

int evidence_explain(struct run *run) { return tell_of(run, explain); }
