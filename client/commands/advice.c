/* advice.c - what a sender should know of a recipient before the request goes: the hour there, the languages it
 * reads, who stands in, whether ranks match, whom to try instead. From the contact cards; what they do not say is not
 * said. */
#include <stdio.h>
#include <unistd.h>

#include "../words.h"
#include "cards.h"
#include "commands.h"
#include "moment.h"
#include "text.h"
#include "zone.h"

enum { WORDS_SIZE = 512, SWAPS_MAX = 3, HOURS_MAX = 12 /* of more recipients nobody reads the hours */ };

struct adviser {
    struct run *run;
    struct contact_card *own, *theirs, *other;
    struct instant now;
    char **names; /* all recipients */
    size_t count;
};

/* On a terminal as a line before the question; else as talk. */
static void say(const struct adviser *adviser, const char *post, const char *words) {
    AUTO_BUF safe = {0};
    text_for_terminal(bytes_text(words), false, &safe);
    if (!safe.failed)
        run_say(adviser->run, "%s%s: %s", run_can_ask(adviser->run) ? "" : "pouch: ", post, (const char *)safe.p);
}

/* Cut where it is full. */
static void add(char *words, const char *between, const char *text) {
    size_t n = strlen(words);
    if (snprintf(words + n, WORDS_SIZE - n, "%s%s", n ? between : "", text) < 0) words[n] = '\0';
}

/* ---- hours and languages ---- */

static void add_hours(const char *value, const struct tm *local, char *words) {
    struct contact_hours hours;
    char text[WORDS_SIZE];
    if (contact_hours_parse(bytes_text(value), &hours) != E_OK || hours.count == 0) return;
    unsigned weekday = ((unsigned)local->tm_wday + 6) % 7, minute = (unsigned)(local->tm_hour * 60 + local->tm_min);
    bool open = contact_hours_open(&hours, weekday, minute);
    snprintf(text, sizeof text, "%s its hours (%.200s)", open ? "within" : "outside", value);
    add(words, ", ", text);
}

static void add_time(const struct adviser *adviser, char *words) {
    const char *zone = cards_value(adviser->theirs, CONTACT_ZONE), *hours = cards_value(adviser->theirs, CONTACT_HOURS);
    struct tm local;
    char text[WORDS_SIZE];
    if (!zone || !zone_local(zone, adviser->now, &local)) return;
    snprintf(text, sizeof text, "%02d:%02d there (%.80s)", local.tm_hour, local.tm_min, zone);
    add(words, "; ", text);
    if (hours) add_hours(hours, &local, words);
}

static void add_languages(const struct adviser *adviser, char *words) {
    const char *value = cards_value(adviser->theirs, CONTACT_LANGUAGES);
    struct bytes list = bytes_text(value), tag;
    char text[WORDS_SIZE] = "", one[64];
    if (!value) return;
    while (contact_list_next(&list, &tag)) {
        words_language(tag, one, sizeof one);
        add(text, ", ", one);
    }
    add(words, "; ", "reads ");
    add(words, "", text);
}

/* ---- others of the same party ---- */

static bool can_answer(const struct adviser *adviser, const struct directory_post *post) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    return directory_readers(adviser->run->home.directory, bytes_text(post->name), adviser->now, readers) > 0;
}

static const struct directory_post *usable(const struct adviser *adviser, struct bytes name) {
    const struct directory_post *post = directory_post(adviser->run->home.directory, name);
    if (!post || directory_may_receive(post) != E_OK || !can_answer(adviser, post)) return NULL;
    for (size_t i = 0; i < adviser->count; i++)
        if (strcmp(adviser->names[i], post->name) == 0) return NULL; /* gets it anyhow */
    return strcmp(post->name, adviser->run->home.post) != 0 ? post : NULL;
}

/* The first of its fallbacks that can answer. */
static const struct directory_post *fallback(const struct adviser *adviser) {
    struct bytes list = bytes_text(cards_value(adviser->theirs, CONTACT_FALLBACK)), name;
    const struct directory_post *found = NULL;
    while (!found && contact_list_next(&list, &name)) found = usable(adviser, name);
    return found;
}

/* The post of that party whose rank is ours. */
static enum error counterpart(struct adviser *adviser, const struct directory_post *than, int level,
                              const struct directory_post **ret) {
    const struct directory_post *post;
    for (size_t i = 0; (post = directory_post_nth(adviser->run->home.directory, i)); i++) {
        if (post == than || post->party != than->party || !usable(adviser, bytes_text(post->name))) continue;
        TRY(cards_load_seen(&adviser->run->home, post->name, adviser->other));
        const char *word = cards_value(adviser->other, CONTACT_LEVEL);
        if (!word || contact_level(bytes_text(word)) != level) continue;
        *ret = post;
        return E_OK;
    }
    return E_OK;
}

/* Says why, and offers the other post; true when the person takes it. */
static bool offer(const struct adviser *adviser, const struct directory_post *post, const char *why,
                  const struct directory_post *other) {
    char words[WORDS_SIZE + 128];
    if (other && run_can_ask(adviser->run)) {
        say(adviser, post->name, why);
        return run_ask(adviser->run, false, "Send to %s instead?", other->name);
    }
    snprintf(words, sizeof words, "%s%s%s", why, other ? "; instead there is " : "", other ? other->name : "");
    say(adviser, post->name, words);
    return false;
}

/* ---- one recipient ---- */

static const struct directory_post *advise_away(const struct adviser *adviser, const struct directory_post *post) {
    struct instant until;
    char words[WORDS_SIZE], time[TIME_SIZE];
    const char *stand_in = cards_value(adviser->theirs, CONTACT_STAND_IN);
    if (!cards_is_away(adviser->theirs, adviser->now, &until)) return NULL;
    const struct directory_post *other = stand_in ? usable(adviser, bytes_text(stand_in)) : NULL;
    if (!other) other = fallback(adviser);
    struct look look = look_of(stderr, true);
    snprintf(words, sizeof words, "away until %s", present_time(&look, until, time));
    return offer(adviser, post, words, other) ? other : NULL;
}

static const struct directory_post *advise_absent(const struct adviser *adviser, const struct directory_post *post) {
    const struct directory_post *other = fallback(adviser);
    if (can_answer(adviser, post)) return NULL;
    return offer(adviser, post, "has no device that is live; what is sent waits until it has one", other) ? other
                                                                                                          : NULL;
}

static enum error advise_level(struct adviser *adviser, const struct directory_post *post,
                               const struct directory_post **ret) {
    const char *own = cards_value(adviser->own, CONTACT_LEVEL), *theirs = cards_value(adviser->theirs, CONTACT_LEVEL);
    const struct directory_post *other = NULL;
    char words[WORDS_SIZE];
    if (!own || !theirs || strcmp(own, theirs) == 0) return E_OK;
    TRY(counterpart(adviser, post, contact_level(bytes_text(own)), &other));
    snprintf(words, sizeof words, "its level is %s; this post's is %s", theirs, own);
    if (offer(adviser, post, words, other)) *ret = other;
    return E_OK;
}

/* *ret: the post to send to instead, or NULL. */
static enum error advise(struct adviser *adviser, const struct directory_post *post,
                         const struct directory_post **ret) {
    char words[WORDS_SIZE] = "";
    TRY(cards_load_seen(&adviser->run->home, post->name, adviser->theirs));
    *ret = advise_absent(adviser, post);
    if (!*ret) *ret = advise_away(adviser, post);
    if (!*ret) TRY(advise_level(adviser, post, ret));
    if (*ret || adviser->count > HOURS_MAX) return E_OK;
    add_time(adviser, words);
    add_languages(adviser, words);
    if (*words) say(adviser, post->name, words);
    return E_OK;
}

/* Who takes another's place may be away, too; but nobody is asked for ever. */
static enum error advise_name(struct adviser *adviser, char **name) {
    for (unsigned swaps = 0; swaps < SWAPS_MAX; swaps++) {
        const struct directory_post *post = directory_post(adviser->run->home.directory, bytes_text(*name));
        const struct directory_post *other = NULL;
        if (!post) return E_OK;
        TRY(advise(adviser, post, &other));
        if (!other) return E_OK;
        char *copy = strdup(other->name);
        if (!copy) return E_NO_MEMORY;
        free(*name);
        *name = copy;
    }
    return E_OK;
}

enum error command_advise(struct run *run, char **names, size_t count) {
    struct contact_card *cards = calloc(3, sizeof *cards);
    if (!cards) return E_NO_MEMORY;
    struct adviser adviser = {run, &cards[0], &cards[1], &cards[2], moment_now(), names, count};
    enum error error = cards_load(&run->home, run->home.post, adviser.own);
    for (size_t i = 0; error == E_OK && i < count; i++) error = advise_name(&adviser, &names[i]);
    explicit_bzero(cards, 3 * sizeof *cards);
    free(cards);
    return error == E_OK ? E_OK : fail(&run->failure, error, "contact cards");
}
