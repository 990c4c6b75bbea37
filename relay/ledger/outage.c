/* outage.c - time in which the ledger was not there, and what it adds to deadlines.
 *
 * A deadline is decisive, so nobody may lose it to the relay's own absence. Two batches that were committed lie at most
 * a minute apart, for the housekeeping alone is one; where more than OUTAGE_MIN_MS lie between them, the ledger was
 * away: stopped, killed, asleep with its machine, without room on its disk. What it was away is added up, durably, and
 * deadlines are kept and compared in *served time*: ledger time less all outages until then. So an outage moves the
 * deadline of every leg that was open by all of its length, without touching a row, and of none that was stored after
 * it.
 *
 * The sum when a leg's deadline was set stands in its row; the difference is the grace that EXPIRED names.
 *
 * A clock that was set forward while the relay was down cannot be told from an outage. Then a grace is given where
 * there was none: a leg ends later than it might, which harms nobody's decision. */
#include "book.h"

enum { OUTAGE_MIN_MS = 2 * 60 * 1000 };

/* Names in the store. `time` is that of the last batch. */
static const char key_time[] = "time", key_sum[] = "outages ms", key_count[] = "outages", key_end[] = "outage end";

enum error outage_load(struct book *book) {
    struct outages outages;
    const struct store_ops *ops = book->store->ops;
    TRY(ops->meta_get(book->store, key_time, &outages.alive.ms));
    TRY(ops->meta_get(book->store, key_sum, &outages.sum_ms));
    TRY(ops->meta_get(book->store, key_count, &outages.count));
    TRY(ops->meta_get(book->store, key_end, &outages.end.ms));
    book->outages = book->outages_before = outages;
    return E_OK;
}

/* Anew for a batch that is tried again: what the one that was undone has found is found again. */
void outage_begin(struct book *book) {
    struct outages *outages = &book->outages;
    *outages = book->outages_before;
    uint64_t alive = outages->alive.ms;
    outages->alive = book->now;
    if (alive == 0 || book->now.ms <= alive + OUTAGE_MIN_MS) return;
    outages->sum_ms += book->now.ms - alive;
    outages->count++;
    outages->end = book->now;
}

enum error outage_write(struct book *book) {
    const struct outages *outages = &book->outages;
    const struct store_ops *ops = book->store->ops;
    TRY(ops->meta_put(book->store, key_time, outages->alive.ms));
    if (outages->count == book->outages_before.count) return E_OK;
    TRY(ops->meta_put(book->store, key_sum, outages->sum_ms));
    TRY(ops->meta_put(book->store, key_count, outages->count));
    return ops->meta_put(book->store, key_end, outages->end.ms);
}

uint64_t outage_committed(struct book *book) {
    uint64_t new_ms = book->outages.sum_ms - book->outages_before.sum_ms;
    book->outages_before = book->outages;
    return new_ms;
}

struct instant outage_served(const struct book *book) {
    return (struct instant){book->now.ms - book->outages.sum_ms};
}

void outage_deadline(const struct book *book, struct store_leg *leg) {
    leg->expires.ms = outage_served(book).ms + leg->keep_s * 1000;
    leg->outages_ms = book->outages.sum_ms;
}

/* Rounded up: a grace that was given is named. */
uint64_t outage_grace_s(const struct book *book, const struct store_leg *leg) {
    uint64_t s = (book->outages.sum_ms - leg->outages_ms + 999) / 1000;
    return s < UINT32_MAX ? s : UINT32_MAX;
}
