/* rekey.c - legs that no live device can open: when the relay says so.
 *
 * A device can open a leg when the wrap set that is in force has a wrap for it, it is live, and it has not said that it
 * cannot open that generation. When no device of the post that the leg is with can, the relay writes REKEY_NEEDED, once, and
 * the leg waits for a new wrap set: nobody is refused for having no device, and nothing is lost when the only one is.
 *
 * That is looked at when the leg is stored, resealed or forwarded; when a device says that it cannot open it; and, for all
 * open legs of a post, after one of its devices has gone - by revocation, or because its certificate has run out. A post may
 * have many open legs, so these are gone through in pieces, a piece a batch; how far it has come stands in the store. */
#include "book.h"

#include <stdio.h>

enum {
    LEGS_PER_BATCH = 256,
    MARK_SIZE = 16 + 2 * HASH_SIZE + 16,
    POST_KEY_SIZE = POST_MAX + 16,
};

static const char any_key[] = "rekey";             /* is there a post whose legs are to be gone through? */
static const char checked_key[] = "rekey checked"; /* certificates that ran out before this time have been seen */

static void key_of_post(const char *post, char out[static POST_KEY_SIZE]) {
    snprintf(out, POST_KEY_SIZE, "rekey %s", post);
}

/* ---- can it be opened? ---- */

/* Counted beside the quotas: durable, found by name, and bounded by the devices that a wrap set names. They go when the leg
 * gets other wraps, or needs none any more. */
static void marks_of(const struct store_leg *leg, char out[static MARK_SIZE]) {
    char id[HASH_SIZE + 1];
    text_hex(leg->leg, HASH_SIZE / 2, id);
    snprintf(out, MARK_SIZE, "cannot %s ", id);
}

static void mark_of(const struct store_leg *leg, const uint8_t device[static KEY_SIZE], char out[static MARK_SIZE]) {
    char all[MARK_SIZE], who[KEY_SIZE + 1];
    marks_of(leg, all);
    text_hex(device, KEY_SIZE / 2, who);
    snprintf(out, MARK_SIZE, "%.40s%u %s", all, leg->generation, who);
}

/* May the leg, as it stands, still have to wait for other wraps? */
static bool needs_wraps(const struct store_leg *leg) {
    enum leg_state same;
    return leg_step(leg->state, EVENT_REKEY_NEEDED, leg->kind, &same) == E_OK;
}

enum error rekey_resealed(struct book *book, const struct store_leg *leg) {
    char marks[MARK_SIZE];
    marks_of(leg, marks);
    return book->store->ops->quota_drop(book->store, marks);
}

enum error rekey_moved(struct book *book, const struct store_leg *leg) {
    return needs_wraps(leg) ? E_OK : rekey_resealed(book, leg);
}

enum error rekey_wrapset(struct book *book, const struct store_leg *leg, struct buf *bytes, struct wrapset *ret) {
    AUTO_BUF opening = {0};
    struct bytes payload;
    TRY(book->store->ops->leg_sealed(book->store, leg->id, &opening, bytes));
    if (stamp_peek(buf_bytes(bytes), &payload) != E_OK || wrapset_decode(payload, ret) != E_OK) return E_CORRUPT;
    return E_OK;
}

bool rekey_is_wrapped(const struct wrapset *set, const uint8_t device[static KEY_SIZE]) {
    struct list list = set->wraps;
    struct wrap wrap;
    while (wrap_next(&list, &wrap))
        if (memcmp(wrap.device, device, KEY_SIZE) == 0) return true;
    return false;
}

/* E_OK in *ret, or why nobody can: no device at all, none that it was sealed for, or what they said themselves. */
static enum error judge(struct book *book, const struct store_leg *leg, enum error *ret) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    size_t count = directory_readers(book_directory(book), bytes_text(leg->to), book->now, readers);
    AUTO_BUF bytes = {0};
    struct wrapset set;
    *ret = count ? E_NOT_FOR_US : E_UNKNOWN_DEVICE;
    if (count == 0) return E_OK;
    TRY(rekey_wrapset(book, leg, &bytes, &set));
    for (size_t i = 0; i < count; i++) {
        char mark[MARK_SIZE];
        uint64_t said;
        if (!rekey_is_wrapped(&set, readers[i]->device)) continue;
        mark_of(leg, readers[i]->device, mark);
        TRY(book->store->ops->quota_get(book->store, mark, &said));
        *ret = said ? E_CANNOT_OPEN : E_OK;
        if (!said) return E_OK;
    }
    return E_OK;
}

enum error rekey_judge(struct book *book, struct store_leg *leg, const uint8_t header[static HASH_SIZE]) {
    enum error why;
    int pending;
    if (leg->needs_rekey || !needs_wraps(leg)) return E_OK;
    TRY(judge(book, leg, &why));
    if (why == E_OK) return E_OK;
    uint64_t reason = why;
    leg->needs_rekey = true;
    return transition_relay(book, leg, header, EVENT_REKEY_NEEDED, &reason, PRECEDENCE_ROUTINE, &pending);
}

enum error rekey_cannot_open(struct book *book, struct store_leg *leg, const struct statement *statement) {
    char mark[MARK_SIZE];
    uint64_t said;
    if (!statement->has_generation || statement->generation != leg->generation) return E_OK;
    if (!bytes_are(statement->post, leg->to) || !needs_wraps(leg)) return E_OK;
    AUTO_BUF bytes = {0};
    struct wrapset set;
    TRY(rekey_wrapset(book, leg, &bytes, &set));
    if (!rekey_is_wrapped(&set, statement->device)) return E_OK; /* never meant for it: that tells nothing new */
    mark_of(leg, statement->device, mark);
    TRY(book->store->ops->quota_get(book->store, mark, &said));
    if (!said) TRY(book->store->ops->quota_add(book->store, mark, 1));
    return rekey_judge(book, leg, statement->header);
}

/* ---- all legs of a post ---- */

static enum error mark_post(struct book *book, const char *post) {
    char key[POST_KEY_SIZE];
    key_of_post(post, key);
    TRY(book->store->ops->meta_put(book->store, key, 1)); /* from the first leg on, also if it was being gone through */
    return book->store->ops->meta_put(book->store, any_key, 1);
}

enum error rekey_directory_grew(struct book *book, struct list statements) {
    struct dirstatement statement;
    while (dirstatement_next(&statements, &statement)) {
        struct bytes payload;
        struct revocation revocation;
        char post[POST_MAX + 1] = {0};
        if (statement.kind != LEAF_REVOCATION) continue;
        if (stamp_peek(statement.statement, &payload) != E_OK || revocation_decode(payload, &revocation) != E_OK)
            return E_INTERNAL; /* the directory has taken it */
        memcpy(post, revocation.post.p, revocation.post.n);
        TRY(mark_post(book, post));
    }
    return E_OK;
}

enum error rekey_housekeep(struct book *book) {
    const struct directory *directory = book_directory(book);
    const struct directory_device *device;
    uint64_t since;
    TRY(book->store->ops->meta_get(book->store, checked_key, &since));
    for (size_t n = 0; (device = directory_device_nth(directory, n)); n++) {
        bool ran_out = device->not_after.ms > since && device->not_after.ms <= book->now.ms;
        if (ran_out && !device->revoked) TRY(mark_post(book, device->post->name));
    }
    return book->store->ops->meta_put(book->store, checked_key, book->now.ms);
}

static enum error judge_open(struct book *book, struct store_leg *leg) {
    struct store_request request;
    if (leg->needs_rekey || !needs_wraps(leg)) return E_OK;
    TRY(book->store->ops->request_by_row(book->store, leg->request, &request));
    return rekey_judge(book, leg, request.digest);
}

/* From `*after` on; *ret_done: there are no more. */
static enum error go_through(struct book *book, const char *post, int64_t *after, unsigned *left, bool *ret_done) {
    struct store_leg leg;
    *ret_done = false;
    for (; *left > 0; (*left)--) {
        enum error error = book->store->ops->leg_open_at(book->store, post, *after, &leg);
        *ret_done = error == E_UNKNOWN_REQUEST;
        if (*ret_done) return E_OK;
        TRY(error);
        *after = leg.id;
        TRY(judge_open(book, &leg));
    }
    return E_OK;
}

static enum error run_post(struct book *book, const char *post, unsigned *left) {
    char key[POST_KEY_SIZE];
    uint64_t next;
    bool done;
    key_of_post(post, key);
    TRY(book->store->ops->meta_get(book->store, key, &next));
    if (next == 0) return E_OK;
    int64_t after = (int64_t)next - 1;
    TRY(go_through(book, post, &after, left, &done));
    return book->store->ops->meta_put(book->store, key, done ? 0 : (uint64_t)after + 1);
}

enum error rekey_run(struct book *book, bool *ret_more) {
    const struct directory_post *post;
    unsigned left = LEGS_PER_BATCH;
    uint64_t any;
    *ret_more = false;
    TRY(book->store->ops->meta_get(book->store, any_key, &any));
    if (!any) return E_OK;
    *ret_more = true;
    if (book->growing) return E_OK; /* entries of this batch name the directory before it: the next batch's name it */
    for (size_t n = 0; left > 0 && (post = directory_post_nth(book->directory, n)); n++)
        TRY(run_post(book, post->name, &left));
    if (left == 0) return E_OK;
    *ret_more = false;
    return book->store->ops->meta_put(book->store, any_key, 0);
}
