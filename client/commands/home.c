/* home.c - the home as a whole: bringing it up to date, and how things stand. */
#include <time.h>

#include "commands.h"
#include "units.h"

/* ---- sync ---- */

COMMAND_OPTIONS(home_sync);

static int sync_done(struct run *run, struct sync_summary *done) {
    done->offered -= done->ignored < done->offered ? done->ignored : done->offered; /* nobody is called for those */
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "directory_size",
                                       (json_int_t)done->directory_size, "offered", (int)done->offered, "changed",
                                       (int)done->changed, "replies", (int)done->replies, "sent", (int)done->sent,
                                       "waiting", (int)done->waiting, "alarms", (int)done->alarms, "decided",
                                       (int)done->decided, "ignored", (int)done->ignored));
        return 0;
    }
    printf("new requests %u, replies %u, news of others %u; sent %u, waiting %u\n", done->offered, done->replies,
           done->changed, done->sent, done->waiting);
    if (done->decided) printf("decided by the standing policy %u\n", done->decided);
    if (done->alarms) run_say(run, "%u alarms: see pouch status", done->alarms);
    return 0;
}

int home_sync(struct run *run) {
    struct sync_summary summary = {0};
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = run_open_post(run);
    struct client_options options = run_client_options(run);
    if (error == E_OK) error = client_connect(&run->home, &options, &run->relay, &run->failure);
    if (error == E_OK) error = client_sync(&run->home, run->relay, &summary, &run->failure);
    bar_end(&run->bar);
    if (error == E_OK) run_tell(run);
    return error == E_OK ? sync_done(run, &summary) : run_fail(run, error);
}

/* ---- status ---- */

COMMAND_OPTIONS(home_status);

static void collect(void *context, struct instant at, const char *text) {
    json_t *list = context;
    json_array_append_new(
        list, json_pack("{s:o, s:o}", "at", present_json_time(at), "text", present_json_text(bytes_text(text))));
}

static int64_t days_left(struct instant end) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return ((int64_t)(end.ms / 1000) - (int64_t)time.tv_sec) / 86400;
}

static void status_json(struct run *run, const struct home_status *status, const json_t *alarms) {
    const struct home *home = &run->home;
    json_t *object = json_pack("{s:s, s:s, s:s, s:b, s:b}", "home", home->path, "kind", "post", "post", home->post,
                               "joined", home->joined, "reachable", run->relay != NULL);
    json_object_set_new(object, "relay", home->joined ? json_string(home->card.name) : json_null());
    json_object_set_new(object, "restored", json_boolean(home->restored));
    json_object_set_new(object, "last_sync", present_json_time(status->last_sync));
    json_object_set_new(object, "relay_time", present_json_time(status->relay_time));
    json_object_set_new(object, "directory_size", json_integer((json_int_t)status->directory_size));
    present_json_freshness(object, &status->freshness);
    json_object_set_new(object, "inbox_open", json_integer((json_int_t)status->inbox_open));
    json_object_set_new(object, "sent_open", json_integer((json_int_t)status->sent_open));
    json_object_set_new(object, "outbox", json_integer((json_int_t)status->outbox));
    json_object_set_new(object, "prekey_days", json_integer((json_int_t)status->prekey_days));
    json_object_set_new(object, "certificate_expires", present_json_time(client_certificate_ends(home)));
    json_object_set_new(object, "certificate_days", json_integer(days_left(client_certificate_ends(home))));
    json_object_set_new(object, "news", json_integer((json_int_t)status->news));
    json_object_set_new(object, "body_max", json_integer((json_int_t)status->body_max));
    json_object_set_new(object, "policy_rules", json_integer((json_int_t)status->policy_rules));
    json_object_set_new(object, "opened", json_string(status->opened ? "disclosed" : "not-disclosed"));
    json_object_set_new(object, "alarms", json_deep_copy(alarms));
    present_json(stdout, object);
}

static void print_alarms(const struct run *run, const json_t *alarms) {
    size_t i;
    const json_t *one;
    struct bytes text;
    json_array_foreach((json_t *)(uintptr_t)alarms, i, one) {
        text = bytes_text(json_string_value(json_object_get(one, "text")));
        fputs("  ! ", stdout);
        present_text(stdout, &run->look, STYLE_BOLD, text, false);
        fputc('\n', stdout);
    }
}

static void status_people(const struct run *run, const struct home_status *status, const json_t *alarms) {
    const struct home *home = &run->home;
    char time[TIME_SIZE], size[UNITS_TEXT_SIZE], witnesses[2 * FAILURE_WHERE_SIZE];
    printf("%-12s %s\n", "post", home->post);
    if (!home->joined) {
        printf("%-12s %s\n", "relay", "not joined yet: pouch join --card CARD --cert CERT");
        return;
    }
    units_format_size(status->body_max, size);
    printf("%-12s %s%s\n", "relay", home->card.name, run->relay ? "" : " (not reached)");
    if (home->restored) printf("%-12s %s\n", "restored", "from a backup; run pouch sync before anything is sent");
    printf("%-12s %s\n", "last sync", present_time(&run->look, status->last_sync, time));
    printf("%-12s %llu open\n", "inbox", (unsigned long long)status->inbox_open);
    printf("%-12s %llu open\n", "sent", (unsigned long long)status->sent_open);
    printf("%-12s %llu waiting\n", "outbox", (unsigned long long)status->outbox);
    printf("%-12s size %llu\n", "directory", (unsigned long long)status->directory_size);
    present_freshness(&status->freshness, witnesses, sizeof witnesses);
    printf("%-12s %s\n", "witnesses", witnesses);
    printf("%-12s for %llu days\n", "day keys", (unsigned long long)status->prekey_days);
    printf("%-12s until %s (%lld days)\n", "certificate", present_time(&run->look, client_certificate_ends(home), time),
           (long long)days_left(client_certificate_ends(home)));
    printf("%-12s bodies up to %s\n", "limit", size);
    printf("%-12s %llu%s\n", "news", (unsigned long long)status->news, status->news ? ": pouch news" : "");
    printf("%-12s %llu rules; that an offer was opened is %stold\n", "policy", (unsigned long long)status->policy_rules,
           status->opened ? "" : "not ");
    printf("%-12s %zu\n", "alarms", json_array_size(alarms));
    print_alarms(run, alarms);
}

static int authority_status(struct run *run) {
    if (run->cli.json)
        present_json(
            stdout, json_pack("{s:s, s:s, s:s}", "home", run->home.path, "kind", "authority", "party", run->home.post));
    else
        printf("%-12s the authority of %s\n", "this is", run->home.post);
    return 0;
}

int home_status(struct run *run) {
    struct home_status status = {0};
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = run_open(run);
    if (error != E_OK) return run_fail(run, error);
    if (run->home.kind == HOME_AUTHORITY) return authority_status(run);
    if (run->home.joined) run_try_sync(run);
    json_t *alarms = json_array();
    if (run->home.joined) error = client_status(&run->home, &status, &run->failure);
    if (run->home.joined && error == E_OK) error = client_news_count(&run->home, &status.news, &run->failure);
    if (run->home.joined && error == E_OK) error = client_alarms(&run->home, collect, alarms, &run->failure);
    if (error == E_OK && run->cli.json)
        status_json(run, &status, alarms);
    else if (error == E_OK)
        status_people(run, &status, alarms);
    json_decref(alarms);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}
