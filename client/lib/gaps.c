/* gaps.c - waits for numbers that were skipped, and names those that do not come. */
#include "gaps.h"

#include "kept.h"
#include "moment.h"
#include "proofs.h"

enum error gaps_hear(struct home *home, const uint8_t device[static KEY_SIZE], uint64_t number, struct bytes leg) {
    return archive_set(home->archive, TABLE_HEARD, archive_key(device, NULL, number), leg);
}

/* How many numbers from first up to last were not heard of. */
static enum error count_missing(struct home *home, const uint8_t *device, uint64_t first, uint64_t last,
                                uint64_t *ret) {
    AUTO_BUF value = {0};
    uint64_t missing = last - first + 1;
    struct archive_cursor cursor = archive_cursor(TABLE_HEARD, SCOPE_AB, archive_key(device, NULL, first));
    for (bool found = true;; missing--) {
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found || cursor.key.n > last) break;
    }
    *ret = missing;
    return E_OK;
}

static enum error save(struct home *home, struct archive_key row, const struct keptgap *gap) {
    AUTO_BUF bytes = {0};
    keptgap_encode(gap, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_GAP, row, buf_bytes(&bytes));
}

enum error gaps_look(struct home *home, const uint8_t device[static KEY_SIZE], struct bytes from, uint64_t highest,
                     uint64_t number) {
    uint64_t missing;
    struct keptrelay relay;
    if (number <= highest + 1) return E_OK;
    TRY(count_missing(home, device, highest + 1, number - 1, &missing));
    if (missing == 0) return E_OK;
    TRY(kept_relay(home->archive, &relay));
    struct keptgap gap = {.from = from, .last = number - 1, .since = moment_now(), .since_ledger = relay.time};
    TRY(save(home, archive_key(device, NULL, highest + 1), &gap));
    return kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1);
}

static bool has_passed(struct instant since, struct instant now) {
    return now.ms > since.ms && now.ms - since.ms >= GAP_WAIT_MS;
}

/* Either clock will do: the relay could let its own stand still. */
static enum error is_over(struct home *home, const struct keptgap *gap, bool *ret) {
    struct keptrelay relay;
    TRY(kept_relay(home->archive, &relay));
    *ret =
        gap->syncs >= GAP_SYNCS && (has_passed(gap->since, moment_now()) || has_passed(gap->since_ledger, relay.time));
    return E_OK;
}

static enum error name(struct home *home, const struct keptgap *gap, uint64_t first, uint64_t missing) {
    return proofs_suspect(
        home, E_GAP,
        "%.*s: %llu of the numbers %llu to %llu of one of its devices have not arrived: kept back, or "
        "lost, or not sent after all; ask them",
        (int)gap->from.n, (const char *)gap->from.p, (unsigned long long)missing, (unsigned long long)first,
        (unsigned long long)gap->last);
}

static enum error judge(struct home *home, struct archive_key row, const struct keptgap *read) {
    struct keptgap gap = *read;
    uint64_t missing;
    bool over = false;
    TRY(count_missing(home, row.a, row.n, gap.last, &missing));
    if (missing == 0) return archive_delete(home->archive, TABLE_GAP, row);
    if (gap.named) return E_OK;
    if (gap.syncs < UINT32_MAX) gap.syncs++;
    TRY(is_over(home, &gap, &over));
    if (over) TRY(name(home, &gap, row.n, missing));
    gap.named = over;
    /* Before it is an alarm the relay gets the chance to show what it may have passed over. */
    if (gap.syncs <= GAP_SYNCS) TRY(kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1));
    return save(home, row, &gap);
}

enum error gaps_end(struct home *home) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_GAP, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        struct keptgap gap;
        TRY(archive_next(home->archive, &cursor, &bytes, &found));
        if (!found) return E_OK;
        if (keptgap_decode(buf_bytes(&bytes), &gap) != E_OK) return E_CORRUPT;
        TRY(judge(home, cursor.key, &gap));
    }
}
