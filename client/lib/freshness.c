/* freshness.c - the witnesses' newest words, counted. */
#include "freshness.h"

#include <stdio.h>
#include <time.h>

#include "head.h"
#include "kept.h"

static enum error read_witness(struct home *home, size_t i, struct witness_view *view) {
    const struct note_key *key = &home->card.witnesses[i];
    AUTO_BUF note = {0};
    struct head head;
    bool found = false;
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, archive_key(key->key, NULL, 0));
    (void)snprintf(view->name, sizeof view->name, "%s", key->name);
    TRY(archive_next(home->archive, &cursor, &note, &found));
    /* Kept under another card, perhaps: then it says nothing under this one. */
    if (!found || head_open(&home->card, buf_bytes(&note), &head) != E_OK || !head.words[i].valid) return E_OK;
    view->size = head.size;
    view->time.ms = head.words[i].time_s > UINT64_MAX / 1000 ? UINT64_MAX : head.words[i].time_s * 1000;
    return E_OK;
}

static bool is_current(const struct witness_view *witness, uint64_t size, uint64_t freshness_s, struct instant now) {
    if (witness->time.ms == 0 || witness->size != size) return false;
    if (witness->time.ms > now.ms) return witness->time.ms - now.ms <= HEAD_TIME_MS;
    return (now.ms - witness->time.ms) / 1000 <= freshness_s;
}

enum error freshness_at(struct home *home, struct instant now, struct freshness_view *ret) {
    struct freshness_view view = {.quorum = home->card.quorum, .count = home->card.witness_count};
    if (home->directory) view.size = directory_size(home->directory);
    for (size_t i = 0; i < view.count; i++) {
        TRY(read_witness(home, i, &view.witnesses[i]));
        view.witnesses[i].current = is_current(&view.witnesses[i], view.size, home->card.freshness_s, now);
        view.current += view.witnesses[i].current;
    }
    view.witnessed = view.quorum > 0 && view.current >= view.quorum;
    *ret = view;
    return E_OK;
}

enum error freshness_gate(struct home *home, struct instant now, const struct header *header) {
    struct freshness_view view;
    if (home->card.quorum == 0 || header->has_parent || header->precedence >= PRECEDENCE_IMMEDIATE) return E_OK;
    TRY(freshness_at(home, now, &view));
    return view.witnessed ? E_OK : E_NOT_WITNESSED;
}

/* The later of what the relay said last and when it was asked: its own time at the last sync. */
enum error client_freshness(struct home *home, struct freshness_view *ret, struct failure *failure) {
    struct keptrelay relay;
    enum error error = kept_relay(home->archive, &relay);
    if (error == E_OK) error = freshness_at(home, relay.time, ret);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

static void since(struct instant time, char *out, size_t size) {
    time_t seconds = (time_t)(time.ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        (void)snprintf(out, size, "?");
}

void client_freshness_late(const struct freshness_view *view, char *ret, size_t size) {
    size_t n = 0;
    if (size) ret[0] = '\0';
    for (size_t i = 0; i < view->count && n < size; i++) {
        const struct witness_view *witness = &view->witnesses[i];
        char time[32];
        if (witness->current) continue;
        since(witness->time, time, sizeof time);
        int put =
            witness->time.ms == 0
                ? snprintf(ret + n, size - n, "%s%s has not cosigned yet", n ? ", " : "", witness->name)
                : snprintf(ret + n, size - n, "%s%s last cosigned %llu of %llu entries at %s", n ? ", " : "",
                           witness->name, (unsigned long long)witness->size, (unsigned long long)view->size, time);
        n += put > 0 ? (size_t)put : 0;
    }
}
