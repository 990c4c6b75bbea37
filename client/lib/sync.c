/* sync.c - client_sync: everything that is due between this home and its relay, in the order in which one thing needs
 * another: the directory (who is who), day keys (so that others can write), the outbox, the feed, and what follows from
 * it. */
#include "cards.h"
#include "enrol.h"
#include "evlog.h"
#include "gaps.h"
#include "gossip.h"
#include "inbox.h"
#include "mirror.h"
#include "moment.h"
#include "outbox.h"
#include "parcel.h"
#include "recovery.h"
#include "renewal.h"
#include "reseal.h"

static enum error count(struct home *home, enum archive_table table, uint32_t *ret) {
    uint64_t n = 0;
    TRY(archive_count(home->archive, table, SCOPE_ALL, archive_key(NULL, NULL, 0), &n));
    *ret = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    return E_OK;
}

static enum error finish(struct home *home, uint32_t alarms_before, struct sync_summary *summary) {
    uint32_t alarms = 0;
    summary->directory_size = directory_size(home->directory);
    TRY(count(home, TABLE_OUTBOX, &summary->waiting));
    TRY(count(home, TABLE_ALARM, &alarms));
    summary->alarms = alarms - alarms_before;
    return kept_number_set(home->archive, TABLE_META, archive_named("last sync"), moment_now().ms);
}

/* What does not go out must not keep out what comes in: trouble with day keys or the outbox is told at the end, unless it is the
 * link, the disk or this device itself that fails. */
static enum error send_due(struct home *home, struct relay *relay, struct sync_summary *summary, enum error *ret_stuck,
                           struct failure *failure) {
    struct outbox_summary sent = {0};
    *ret_stuck = enrol_top_up(home, relay, failure);
    if (outbox_is_fatal(*ret_stuck)) return *ret_stuck;
    if (*ret_stuck == E_OK) *ret_stuck = outbox_flush(home, relay, NULL, &sent, failure);
    summary->sent = sent.settled;
    return outbox_is_fatal(*ret_stuck) ? *ret_stuck : E_OK;
}

/* After a restore what came out of this home since the backup must be known before anything else goes out of it. */
static enum error catch_up(struct home *home, struct relay *relay, struct sync_summary *summary,
                           struct failure *failure) {
    if (!home->restored) return E_OK;
    TRY(recovery_begin(home, failure));
    TRY(inbox_read(home, relay, summary, failure));
    TRY(recovery_replace_prekeys(home, relay, failure));
    return recovery_end(home, failure);
}

/* A full box or an older relay delays parcels, and nothing else. */
static enum error unless_fatal(enum error error) { return outbox_is_fatal(error) ? error : E_OK; }

/* What sisters gave comes first: it opens what the feed brings. A bell reads nothing. */
static enum error read_due(struct home *home, struct relay *relay, struct sync_summary *summary,
                           struct failure *failure) {
    const struct directory_device *own = directory_device(home->directory, home->device);
    if (own && own->role == ROLE_BELL) return E_OK;
    TRY(unless_fatal(parcel_receive(home, relay, failure)));
    TRY(inbox_read(home, relay, summary, failure));
    TRY(reseal_run(home, relay, failure));
    TRY(inbox_duties(home, relay, summary, failure));
    TRY(unless_fatal(cards_sync(home, relay, failure)));
    TRY(parcel_welcome(home, relay_now(relay), failure));
    return unless_fatal(parcel_send(home, relay, failure));
}

enum error client_sync(struct home *home, struct relay *relay, struct sync_summary *ret, struct failure *failure) {
    struct sync_summary summary = {0};
    struct failure stuck_failure = {0};
    enum error stuck = E_OK;
    uint32_t alarms = 0;
    if (!home->directory) return fail(failure, E_NOT_JOINED, "%s", home->post);
    enum error error = count(home, TABLE_ALARM, &alarms);
    if (error != E_OK) return fail(failure, error, "the local store");
    TRY(mirror_update(home, relay, failure));
    TRY(catch_up(home, relay, &summary, failure));
    TRY(renewal_due(home, relay, failure));
    error = send_due(home, relay, &summary, &stuck, &stuck_failure);
    if (error == E_OK)
        error = read_due(home, relay, &summary, failure);
    else if (failure)
        *failure = stuck_failure;
    if (error != E_OK) return error;
    TRY(evlog_settle(home, relay, failure));
    error = gossip_end(home, relay);
    if (error == E_OK) error = gaps_end(home);
    if (error == E_OK) error = finish(home, alarms, &summary);
    if (error != E_OK) return fail(failure, error, "the local store");
    if (home->breach.error != E_OK) { /* all that came is kept; but nobody shall overlook this */
        stuck_failure = home->breach;
        stuck = home->breach.error;
        home->breach = (struct failure){0};
    }
    if (stuck != E_OK && failure) *failure = stuck_failure;
    if (stuck == E_OK) *ret = summary;
    return stuck;
}
