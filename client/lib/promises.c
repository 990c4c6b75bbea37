/* promises.c - holding the relay to what it promised. */
#include "promises.h"

#include "directory.h"
#include "fraud.h"
#include "kept.h"
#include "leaves.h"
#include "proofs.h"

static enum error open_promise(const struct card *card, struct bytes stamped, struct promise *ret) {
    TRY(promise_open(stamped, card->statement, ret));
    return ret->deadline.ms - ret->time.ms > PROMISE_MS ? E_OUT_OF_RANGE : E_OK; /* of some day, it binds nobody */
}

enum error promises_keep(struct home *home, struct bytes stamped) {
    struct promise promise;
    uint64_t number;
    TRY(open_promise(&home->card, stamped, &promise));
    TRY(archive_number(home->archive, TABLE_PROMISE, archive_key(NULL, NULL, 0), &number));
    return archive_set(home->archive, TABLE_PROMISE, archive_key(NULL, NULL, number), stamped);
}

static bool names_all(const struct promise *promise, struct list statements) {
    struct dirstatement statement;
    struct bytes payload;
    while (dirstatement_next(&statements, &statement))
        if (directory_peek(statement.kind, statement.statement, &payload) != E_OK || !promise_names(promise, payload))
            return false;
    return true;
}

enum error promises_read(const struct card *card, struct list statements, struct bytes bytes, struct promise *ret,
                         struct bytes *ret_stamped, struct failure *failure) {
    struct done done;
    enum error error = done_decode(bytes, &done);
    if (error == E_OK && done.has_promise) error = open_promise(card, done.promise, ret);
    if (error != E_OK) return fail(failure, error, "the relay's promise");
    if (done.has_promise && !names_all(ret, statements))
        return fail(failure, E_WITHHELD, "the relay has promised to record something else than what it was sent");
    *ret_stamped = done.promise;
    return E_OK;
}

enum error promises_take(struct home *home, struct list statements, struct bytes bytes, struct failure *failure) {
    struct promise promise;
    struct bytes stamped;
    TRY(promises_read(&home->card, statements, bytes, &promise, &stamped, failure));
    enum error error = stamped.n ? promises_keep(home, stamped) : E_OK;
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

struct review {
    struct home *home;
    struct buf newest, hashes;
    struct head head;
};

/* ---- is it kept? ---- */

static bool names_leaf(const struct promise *promise, struct bytes bytes) {
    struct leaf leaf;
    struct bytes payload;
    if (leaf_decode(bytes, &leaf) != E_OK) return false;
    return directory_peek(leaf.kind, leaf.statement, &payload) == E_OK && promise_names(promise, payload);
}

/* How many of the promised statements stand among the first `size` leaves. A statement stands there once. */
static enum error count_named(struct home *home, const struct promise *promise, size_t *ret) {
    AUTO_BUF leaf = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_LEAF, SCOPE_ALL, archive_key(NULL, NULL, 0));
    *ret = 0;
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &leaf, &found));
        if (!found || cursor.key.n >= promise->size) return E_OK;
        *ret += names_leaf(promise, buf_bytes(&leaf));
    }
}

static enum error is_kept(struct review *review, const struct promise *promise, bool *ret_root, bool *ret_all) {
    uint8_t root[HASH_SIZE];
    size_t named = 0;
    *ret_all = false;
    if (review->hashes.n == 0) TRY(leaves_of_mirror(review->home->archive, &review->hashes));
    *ret_root = leaves_root(&review->hashes, promise->size, root) && memcmp(root, promise->root, HASH_SIZE) == 0;
    if (!*ret_root) return E_OK;
    TRY(count_named(review->home, promise, &named));
    *ret_all = named >= promise->statements.count;
    return E_OK;
}

/* ---- what follows ---- */

static enum error broken(struct review *review, struct bytes stamped) {
    AUTO_BUF proof = {0};
    static const char what[] = "the relay has broken its promise: the directory does not contain what it confirmed";
    enum error error = E_NO_PROOF;
    if (review->head.size * HASH_SIZE <= review->hashes.n)
        error = fraud_make_promise(&review->home->card, stamped, buf_bytes(&review->newest),
                                   bytes_of(review->hashes.p, (size_t)review->head.size * HASH_SIZE), &proof);
    if (error == E_OK) return proofs_accuse(review->home, buf_bytes(&proof), what);
    return proofs_suspect(review->home, E_WITHHELD, "%s", what);
}

/* *ret_done: settled, one way or the other. */
static enum error review_one(struct review *review, struct bytes stamped, bool *ret_done) {
    struct promise promise;
    bool root = false, all = false;
    *ret_done = true;
    if (promise_open(stamped, review->home->card.statement, &promise) != E_OK) return E_OK; /* another card's */
    TRY(is_kept(review, &promise, &root, &all));
    if (all) return E_OK;
    bool due = review->head.time.ms > promise.deadline.ms;
    *ret_done = due || root;
    if (root) /* the root that it promised does not hold what it promised */
        return proofs_suspect(review->home, E_WITHHELD,
                              "the relay has promised a directory of %llu entries that lacks what it confirmed",
                              (unsigned long long)promise.size);
    return due ? broken(review, stamped) : E_OK;
}

static enum error review_all(struct review *review) {
    struct archive *archive = review->home->archive;
    AUTO_BUF stamped = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_PROMISE, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        bool done = false;
        TRY(archive_next(archive, &cursor, &stamped, &found));
        if (!found) return E_OK;
        TRY(review_one(review, buf_bytes(&stamped), &done));
        if (done) TRY(archive_delete(archive, TABLE_PROMISE, cursor.key));
    }
}

enum error promises_check(struct home *home) {
    struct review review = {.home = home};
    uint64_t count;
    bool found = false;
    TRY(archive_count(home->archive, TABLE_PROMISE, SCOPE_ALL, archive_key(NULL, NULL, 0), &count));
    if (count == 0) return E_OK;
    enum error error = heads_newest(home, &review.newest, &found);
    if (error == E_OK && found) error = head_open(&home->card, buf_bytes(&review.newest), &review.head);
    if (error == E_OK && found) error = review_all(&review);
    buf_free(&review.newest);
    buf_free(&review.hashes);
    return error;
}
