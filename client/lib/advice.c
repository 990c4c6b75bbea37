/* advice.c - what a person should know before a request goes out, or about this home's own keys. */
#include <stdarg.h>
#include <stdio.h>

#include "link.h"
#include "moment.h"
#include "renewal.h"

struct instant client_now(const struct relay *relay) {
    return relay_now(relay);
}

struct adviser {
    void (*each)(void *context, const char *text);
    void *context;
};

static void advise(const struct adviser *adviser, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void advise(const struct adviser *adviser, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    adviser->each(adviser->context, text);
}

/* When the last of the post's devices that can open things ends; 0: none is live. */
static struct instant last_end(const struct directory *directory, const struct directory_post *post,
                               struct instant now) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    struct instant last = {0};
    size_t count = directory_readers(directory, bytes_text(post->name), now, readers);
    for (size_t i = 0; i < count; i++)
        if (readers[i]->not_after.ms > last.ms) last = readers[i]->not_after;
    return last;
}

static void advise_post(const struct adviser *adviser, const struct directory *directory,
                        const struct directory_post *post, struct instant now, uint64_t keep_s) {
    char date[MOMENT_SIZE];
    struct instant last = last_end(directory, post, now);
    uint64_t until = now.ms + (keep_s ? keep_s : KEEP_DEFAULT_S) * 1000;
    if (last.ms == 0)
        advise(adviser, "%s has no live device now: the request waits until it has one, at most as long as it is kept",
               post->name);
    else if (last.ms < until)
        advise(adviser, "the last device of %s ends %s, before the request does: unless it renews, nobody may open it",
               post->name, moment_text(last, date));
}

enum error client_advise(const struct home *home, const char *typed, enum request_kind kind, uint64_t keep_s,
                         struct instant now, void (*each)(void *context, const char *text), void *context,
                         struct failure *failure) {
    struct adviser adviser = {each, context};
    const struct directory_post *post = NULL;
    TRY(client_resolve(home, typed, kind, &post, failure));
    const struct directory_post *named = directory_post(home->directory, bytes_text(typed));
    if (named && named != post) advise(&adviser, "%s is split: this goes to %s", typed, post->name);
    advise_post(&adviser, home->directory, post, now, keep_s);
    return E_OK;
}

static int64_t days(uint64_t end_ms, uint64_t now_ms) { return ((int64_t)end_ms - (int64_t)now_ms) / (int64_t)DAY_MS; }

void client_advise_keys(const struct home *home, const struct home_status *status, struct instant now,
                        void (*each)(void *context, const char *text), void *context) {
    struct adviser adviser = {each, context};
    char date[MOMENT_SIZE];
    struct instant ends = client_certificate_ends(home);
    const char *what = "run pouch sync while it is live: it renews itself";
    moment_text(ends, date);
    if (ends.ms <= now.ms)
        advise(&adviser, "this device's certificate ended %s: it needs a new one (pouch init, pouch authority certify)",
               date);
    else if (ends.ms - now.ms < RENEWAL_URGENT_MS)
        advise(&adviser, "URGENT: this device's certificate ends %s, in %lld days; %s", date,
               (long long)days(ends.ms, now.ms), what);
    else if (ends.ms - now.ms < RENEWAL_LEFT_MS)
        advise(&adviser, "this device's certificate ends %s, in %lld days; %s", date, (long long)days(ends.ms, now.ms),
               what);
    if (home->joined && status->prekey_days < PREKEY_DAYS_LOW)
        advise(&adviser, "day keys are out for %llu more days only: run pouch sync, or nobody can write to this device",
               (unsigned long long)status->prekey_days);
}
