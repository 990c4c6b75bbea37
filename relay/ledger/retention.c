/* retention.c - when ciphertext goes. Evidence never does.
 *
 * A request's offer is kept while any of its legs is open: a device that comes late, or anew, may ask for it. Its body
 * has no more use for a leg that has ended, nor for one whose post has it on all devices that can open it, and on two
 * at least: a post with one device would lose it with that, and its second device, or what a backup brings back, reads
 * here what came before. From the first hand-over on, a body is kept at most `limits.handed_over`; before that it stays
 * as long as the leg, so that what was accepted is not lost to a slow link. The sender's other devices have no word of
 * their own for having read what their post has sent: where there are any, that time alone decides.
 *
 * Which devices have it is counted beside the quotas, like what rekey.c counts there: durable, found by name, and gone
 * with the body. The body's bytes go back to the party's quota at once, the rest with the last leg.
 *
 * A leg that follows later under the same header may ask for content that has gone: the request is then staged once
 * more (submission.c), and what it counts for is the staging's until that has ended. */
#include "book.h"

#include <stdio.h>

#include "header.h"

enum { SWEEPS_PER_BATCH = 256, MARK_SIZE = 24 + KEY_SIZE + 1 };

/* ---- who has it ---- */

/* By the leg's row, so that marks of one time lie together in the store; by its id each would be on a page of its own. */
static void marks_of(const struct store_leg *leg, char out[static MARK_SIZE]) {
    snprintf(out, MARK_SIZE, "has %016llx ", (unsigned long long)leg->id);
}

static void mark_of(const struct store_leg *leg, const uint8_t device[static KEY_SIZE], char out[static MARK_SIZE]) {
    char all[MARK_SIZE], who[KEY_SIZE + 1];
    marks_of(leg, all);
    text_hex(device, KEY_SIZE / 2, who);
    snprintf(out, MARK_SIZE, "%.24s%s", all, who);
}

static enum error forget_marks(struct book *book, const struct store_leg *leg) {
    char marks[MARK_SIZE];
    marks_of(leg, marks);
    return book->store->ops->quota_drop(book->store, marks);
}

/* A device of the sender's post, other than the one that has sealed it. */
static bool has_sister(const struct book *book, const struct store_leg *leg) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    size_t count = directory_readers(book_directory(book), bytes_text(leg->from), book->now, readers);
    for (size_t i = 0; i < count; i++)
        if (memcmp(readers[i]->device, leg->device, KEY_SIZE) != 0) return true;
    return false;
}

/* Do two have it, and all live devices that the newest wrap set has a wrap for? */
static enum error all_have_it(struct book *book, const struct store_leg *leg, bool *ret) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    size_t count = directory_readers(book_directory(book), bytes_text(leg->to), book->now, readers);
    AUTO_BUF bytes = {0};
    struct wrapset set;
    TRY(rekey_wrapset(book, leg, &bytes, &set));
    bool all = !has_sister(book, leg);
    uint64_t holders = 0;
    for (size_t i = 0; i < count && all; i++) {
        char mark[MARK_SIZE];
        uint64_t has;
        if (!rekey_is_wrapped(&set, readers[i]->device)) continue;
        mark_of(leg, readers[i]->device, mark);
        TRY(book->store->ops->quota_get(book->store, mark, &has));
        all = has > 0;
        holders += has;
    }
    *ret = all && holders > 1;
    return E_OK;
}

/* ---- what goes ---- */

static enum error body_length(struct book *book, const struct store_request *request, uint64_t *ret) {
    AUTO_BUF bytes = {0};
    struct submit kept;
    struct bytes payload;
    struct header header;
    TRY(book->store->ops->request_kept(book->store, request->id, &bytes));
    if (submit_decode(buf_bytes(&bytes), &kept) != E_OK || stamp_peek(kept.header, &payload) != E_OK ||
        header_decode(payload, &header) != E_OK)
        return E_CORRUPT;
    *ret = header.has_body ? header.body.length : 0;
    return E_OK;
}

static enum error give_back(struct book *book, const struct store_request *request, uint64_t released) {
    TRY(book_quota_bytes(book, request->from, request->exercise, (int64_t)request->released - (int64_t)released));
    return book->store->ops->request_release(book->store, request->id, released);
}

enum error retention_erase_body(struct book *book, const struct store_request *request) {
    uint64_t length;
    TRY(body_length(book, request, &length));
    TRY(book->store->ops->chunk_erase(book->store, request->id, PART_BODY));
    return give_back(book, request, length);
}

enum error retention_erase_all(struct book *book, const struct store_request *request) {
    TRY(book->store->ops->chunk_erase(book->store, request->id, PART_OFFER));
    TRY(book->store->ops->chunk_erase(book->store, request->id, PART_BODY));
    TRY(book_quota_bytes(book, request->from, request->exercise, (int64_t)request->released - (int64_t)request->bytes));
    return book->store->ops->request_release(book->store, request->id, 0); /* of nothing that is counted */
}

/* What has no use for any leg of the request any more. */
static enum error erase_unneeded(struct book *book, int64_t row) {
    uint64_t open, wanted;
    struct store_request request;
    TRY(book->store->ops->legs_open(book->store, row, &open, &wanted));
    if (wanted > 0) return E_OK;
    TRY(book->store->ops->request_by_row(book->store, row, &request));
    if (!request.stored) return E_OK; /* staged once more, for a leg that follows */
    if (open == 0) return retention_erase_all(book, &request);
    return request.released ? E_OK : retention_erase_body(book, &request);
}

/* ---- when ---- */

bool retention_moves(const struct book *book, struct store_leg *leg) {
    bool handed_over = leg->state == STATE_HANDED_OVER || leg->state == STATE_ACKNOWLEDGED;
    if (!handed_over || leg->body != BODY_WANTED) return false;
    leg->body = (int64_t)(outage_served(book).ms + book->config->keep_body_s * 1000);
    return true;
}

enum error retention_ended(struct book *book, const struct store_leg *leg) {
    TRY(forget_marks(book, leg));
    return erase_unneeded(book, leg->request);
}

static enum error body_done(struct book *book, struct store_leg *leg) {
    leg->body = BODY_DONE;
    TRY(book->store->ops->leg_update(book->store, leg));
    TRY(forget_marks(book, leg));
    return erase_unneeded(book, leg->request);
}

enum error retention_handed_over(struct book *book, struct store_leg *leg, const uint8_t device[static KEY_SIZE]) {
    char mark[MARK_SIZE];
    uint64_t has;
    bool done;
    if (leg_state_row(leg->state)->terminal || leg->body == BODY_DONE) return E_OK;
    if (retention_moves(book, leg)) TRY(book->store->ops->leg_update(book->store, leg));
    mark_of(leg, device, mark);
    TRY(book->store->ops->quota_get(book->store, mark, &has));
    if (!has) TRY(book->store->ops->quota_add(book->store, mark, 1));
    TRY(all_have_it(book, leg, &done));
    return done ? body_done(book, leg) : E_OK;
}

enum error retention_sweep(struct book *book) {
    struct store_leg leg;
    if (book->clock.halted) return E_OK;
    for (int i = 0; i < SWEEPS_PER_BATCH; i++) {
        enum error error = book->store->ops->leg_body_due(book->store, outage_served(book), &leg);
        if (error == E_UNKNOWN_REQUEST) return E_OK;
        TRY(error);
        TRY(body_done(book, &leg));
    }
    return E_OK;
}
