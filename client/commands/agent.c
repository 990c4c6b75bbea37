/* agent.c - the home kept up to date in the background: one link, a sync at every hint and from time to time without, day
 * keys and certificates renewed by that; and one line for everything that has happened.
 *
 * The home's lock is held during a sync only, so every other command works beside the agent. Such a command takes the link
 * over for as long as it lasts (the relay knows one connection a key); the relay tells us, and the next sync takes it back.
 * That commands go through the agent's own socket, without opening the home themselves, is a later step. */
#include <signal.h>
#include <time.h>

#include "commands.h"
#include "link.h"
#include "words.h"

enum {
    OPTION_ONCE = 1,
    SLICE_MS = 500,
    IDLE_MS = 60 * 1000,
    TAKEN_MS = 3000,
    LOST_MS = 2000,
    BACKOFF_MIN_MS = 1000,
    BACKOFF_MAX_MS = 60 * 1000
};

COMMAND_OPTIONS(agent_agent, {"once", OPTION_ONCE, false});

static volatile sig_atomic_t asked_to_stop;

static void stop(int signal) {
    (void)signal;
    asked_to_stop = 1;
}

/* In place of the interrupt that ends other commands where they stand. */
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = stop};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

struct agent {
    struct run *run;
    bool online;
    enum error said; /* the trouble told last */
    unsigned backoff_ms;
    uint64_t synced_ms;
};

static uint64_t ticks_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nap(uint64_t ms) {
    uint64_t end = ticks_ms() + ms;
    while (!asked_to_stop && ticks_ms() < end) nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000L}, NULL);
}

/* ---- one line for each event ---- */

static struct instant wall(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct instant){(uint64_t)now.tv_sec * 1000};
}

/* `more` is used up; `text` is what people read after the time. */
static void tell(const struct run *run, const char *event, json_t *more, const char *text) {
    if (run->cli.json) {
        json_t *object = json_pack("{s:s, s:o}", "event", event, "at", present_json_time(wall()));
        if (more) json_object_update(object, more);
        present_json(stdout, object);
        fflush(stdout);
    } else if (!run->quiet) {
        char time[TIME_SIZE];
        fprintf(stderr, "%s  %s: %s\n", present_utc(wall(), time), event, text);
    }
    json_decref(more);
}

static void tell_count(const struct run *run, const char *event, uint32_t count, const char *what) {
    char text[96];
    if (count == 0) return;
    snprintf(text, sizeof text, "%u %s", count, what);
    tell(run, event, json_pack("{s:i}", "count", (int)count), text);
}

static enum error tell_request(struct run *run, const uint8_t digest[static HASH_SIZE]) {
    AUTO_VIEW view = {0};
    AUTO_BUF subject = {0};
    char text[SUBJECT_MAX * 3 + 512], policy[128];
    TRY(client_view(&run->home, digest, &view, &run->failure));
    if (view.ignored) return E_OK; /* no bell */
    present_policy(&view, policy, sizeof policy);
    text_for_terminal(bytes_text(view.subject), false, &subject);
    snprintf(text, sizeof text, "%s%s from %s, %s%s%s: %s", view.exercise ? "EXERCISE, " : "", view.reference,
             view.from, words_name(WORDS_PRECEDENCE, view.precedence), *policy ? ", " : "", policy,
             view.sealed ? "sealed"
             : subject.p ? (const char *)subject.p
                         : "");
    tell(run, view.is_reply ? "reply" : "request", present_json_request(&view), text);
    return E_OK;
}

/* The last `count` of what this post has received. */
static enum error tell_requests(struct run *run, uint32_t count) {
    AUTO_BUF digests = {0};
    if (count == 0) return E_OK;
    TRY(client_list(&run->home, BOX_INBOX, true, &digests, &run->failure));
    size_t have = digests.n / HASH_SIZE;
    for (size_t i = have > count ? have - count : 0; i < have; i++) TRY(tell_request(run, digests.p + i * HASH_SIZE));
    return E_OK;
}

struct alarms {
    struct run *run;
    uint64_t skip;
};

static void tell_alarm(void *context, struct instant at, const char *text) {
    struct alarms *alarms = context;
    AUTO_BUF safe = {0};
    (void)at;
    if (alarms->skip > 0) {
        alarms->skip--;
        return;
    }
    text_for_terminal(bytes_text(text), false, &safe);
    tell(alarms->run, "alarm", json_pack("{s:o}", "text", present_json_text(bytes_text(text))),
         safe.p ? (const char *)safe.p : "");
}

static enum error tell_alarms(struct run *run, uint32_t count) {
    struct home_status status;
    if (count == 0) return E_OK;
    TRY(client_status(&run->home, &status, &run->failure));
    struct alarms alarms = {run, status.alarms > count ? status.alarms - count : 0};
    return client_alarms(&run->home, tell_alarm, &alarms, &run->failure);
}

/* A bell cannot read what has come; how urgent it is stands outside the seal. */
static void tell_ring(struct run *run) {
    struct relay_hint hint = relay_last_hint(run->relay);
    const char *precedence = hint.has_precedence ? words_name(WORDS_PRECEDENCE, hint.precedence) : "unknown";
    char text[64];
    if (hint.newest == 0) return;
    snprintf(text, sizeof text, "something waits, %s", precedence);
    tell(run, "ring", json_pack("{s:s, s:I}", "precedence", precedence, "newest", (json_int_t)hint.newest), text);
}

/* ---- syncing ---- */

static enum error report(struct agent *agent, const struct sync_summary *summary) {
    struct run *run = agent->run;
    if (run->home.role == ROLE_BELL) return E_OK;
    TRY(tell_requests(run, summary->offered + summary->replies));
    tell_count(run, "changed", summary->changed, "news of requests");
    tell_count(run, "sent", summary->sent, "of the outbox settled");
    return tell_alarms(run, summary->alarms);
}

static enum error sync_once(struct agent *agent) {
    struct run *run = agent->run;
    struct client_options options = {0}; /* a machine speaks, and shows no bars */
    struct sync_summary summary = {0};
    if (!run->relay) TRY(client_connect(&run->home, &options, &run->relay, &run->failure));
    TRY(client_sync(&run->home, run->relay, &summary, &run->failure));
    if (!agent->online) {
        tell(
            run, "online",
            json_pack("{s:s, s:I}", "relay", run->home.card.name, "directory_size", (json_int_t)summary.directory_size),
            run->home.card.name);
    }
    agent->online = true;
    agent->said = E_OK;
    agent->backoff_ms = BACKOFF_MIN_MS;
    agent->synced_ms = ticks_ms();
    return report(agent, &summary);
}

/* Transient trouble ends the link and is told once; the next try comes later and later, never in step with other desks'. */
static enum error take_trouble(struct agent *agent, enum error error) {
    struct run *run = agent->run;
    if (!error_row(error)->again) return error;
    client_disconnect(&run->relay);
    if (agent->online || agent->said != error)
        tell(run, "offline", json_pack("{s:s, s:s}", "error", error_row(error)->name, "message", error_text(error)),
             error_text(error));
    agent->online = false;
    agent->said = error;
    return E_OK;
}

static void back_off(struct agent *agent) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    nap(agent->backoff_ms + (uint64_t)now.tv_nsec % (agent->backoff_ms / 2 + 1));
    agent->backoff_ms = agent->backoff_ms * 2 < BACKOFF_MAX_MS ? agent->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* Until something is new, or it was quiet for long. */
static void wait_for_news(struct agent *agent) {
    struct run *run = agent->run;
    uint64_t until = agent->synced_ms + IDLE_MS, up_ms = ticks_ms();
    while (!asked_to_stop && run->relay && ticks_ms() < until) {
        enum error error = relay_wait(run->relay, SLICE_MS, &run->failure);
        if (error == E_INTERRUPTED) continue;
        if (relay_is_up(run->relay)) up_ms = ticks_ms();
        if (error != E_OK || ticks_ms() - up_ms > LOST_MS) {
            client_disconnect(&run->relay); /* the next sync connects anew, or says why not */
            return;
        }
        if (relay_came_back(run->relay)) return; /* hints may have been missed, and none come before it is asked */
        if (relay_taken_over(run->relay)) until = ticks_ms() + TAKEN_MS;
        if (!relay_hinted(run->relay)) continue;
        if (run->home.role == ROLE_BELL) tell_ring(run);
        return;
    }
}

/* A command that holds the home for long is waited for. */
static enum error take_home_back(struct agent *agent) {
    for (;;) {
        enum error error = home_relock(&agent->run->home, &agent->run->failure);
        if (error != E_LOCKED || asked_to_stop) return error;
    }
}

static enum error loop(struct agent *agent) {
    while (!asked_to_stop) {
        enum error error = sync_once(agent);
        if (asked_to_stop) return E_OK;
        if (error != E_OK) TRY(take_trouble(agent, error));
        home_unlock(&agent->run->home);
        if (agent->run->relay)
            wait_for_news(agent);
        else
            back_off(agent);
        TRY(take_home_back(agent));
    }
    return E_OK;
}

int agent_agent(struct run *run) {
    struct agent agent = {.run = run, .backoff_ms = BACKOFF_MIN_MS};
    bool once = false;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_ONCE: once = true; break;
        default: return run_usage(run);
        }
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    catch_signals();
    tell(run, "started", json_pack("{s:s}", "post", run->home.post), run->home.post);
    error = once ? sync_once(&agent) : loop(&agent);
    if (error != E_OK && !asked_to_stop) return run_fail(run, error);
    tell(run, "stopped", NULL, asked_to_stop ? "asked to" : "done");
    return 0;
}
