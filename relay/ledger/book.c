/* book.c - answers, feeds and quotas: what all parts of the ledger use. */
#include "book.h"

#include <stdio.h>

void response_fail(struct response *response, enum error error, const char *detail) {
    response->type = MESSAGE_FAILURE;
    response->error = error;
    snprintf(response->detail, sizeof response->detail, "%s", detail ? detail : "");
}

struct outcome *response_outcome(struct response *response, const uint8_t subject[static HASH_SIZE], enum error error) {
    struct outcome *grown = realloc(response->outcomes, (response->outcome_count + 1) * sizeof *grown);
    if (!grown) return NULL;
    response->outcomes = grown;
    struct outcome *outcome = &grown[response->outcome_count++];
    *outcome = (struct outcome){.error = error, .pending = -1};
    memcpy(outcome->subject, subject, HASH_SIZE);
    return outcome;
}

enum error response_along(struct response *response, int64_t request, unsigned part,
                          const uint8_t digest[static HASH_SIZE]) {
    struct keepsake *grown = realloc(response->along, (response->along_count + 1) * sizeof *grown);
    if (!grown) return E_NO_MEMORY;
    response->along = grown;
    grown[response->along_count] = (struct keepsake){.request = request, .part = part};
    memcpy(grown[response->along_count++].digest, digest, HASH_SIZE);
    return E_OK;
}

void response_free(struct response *response) {
    for (size_t i = 0; i < response->outcome_count; i++) buf_free(&response->outcomes[i].receipt);
    free(response->outcomes);
    free(response->along);
    buf_free(&response->body);
    *response = (struct response){0};
}

enum error book_fill_tree(struct book *book) {
    uint64_t size = directory_size(book->directory);
    for (uint64_t i = merkle_tree_size(&book->tree); i < size; i++) {
        AUTO_BUF leaf = {0};
        uint8_t hash[HASH_SIZE];
        TRY(book->store->ops->leaf_get(book->store, i, &leaf));
        merkle_leaf(buf_bytes(&leaf), hash);
        TRY(merkle_tree_add(&book->tree, hash));
    }
    return E_OK;
}

enum error book_grow(struct book *book) {
    if (!book->growing) return E_OK;
    directory_free(book->directory);
    book->directory = book->growing;
    book->growing = NULL;
    return book_fill_tree(book);
}

void book_undo(struct book *book) {
    book->store->ops->rollback(book->store);
    directory_free(book->growing);
    book->growing = NULL;
    book->edge.size = 0;
    book->wake_count = 0;
    memset(book->head_made, 0, sizeof book->head_made);
}

const struct directory_device *book_device(const struct book *book, const struct job *job) {
    return job->has_device ? directory_device(book_directory(book), job->device) : NULL;
}

enum error book_live(const struct book *book, const struct directory_device *device) {
    if (!device) return E_UNKNOWN_DEVICE;
    return directory_live_at(device, directory_size(book->directory), book->now);
}

static struct book_wake *wake_for(struct book *book, const char *post) {
    for (size_t i = 0; i < book->wake_count; i++)
        if (strcmp(book->wakes[i].post, post) == 0) return &book->wakes[i];
    if (book->wake_count == book->wake_cap) {
        size_t cap = book->wake_cap ? book->wake_cap * 2 : 16;
        struct book_wake *grown = realloc(book->wakes, cap * sizeof *grown);
        if (!grown) return NULL;
        book->wakes = grown;
        book->wake_cap = cap;
    }
    struct book_wake *wake = &book->wakes[book->wake_count++];
    *wake = (struct book_wake){0};
    snprintf(wake->post, sizeof wake->post, "%s", post);
    return wake;
}

enum error book_feed(struct book *book, const char *post, const struct store_feed *item, unsigned precedence) {
    uint64_t number;
    TRY(book->store->ops->feed_add(book->store, post, item, &number));
    struct book_wake *wake = wake_for(book, post);
    if (!wake) return E_NO_MEMORY;
    wake->newest = number;
    if (precedence > wake->precedence) wake->precedence = precedence;
    return E_OK;
}

/* ---- quotas: counters in the store, so that they are as durable as what they count ---- */

enum { QUOTA_KEY_SIZE = 2 * POST_MAX + 16 };

static const char *mark(bool exercise) { return exercise ? "exercise" : "real"; }

static void key_of_party(char out[static QUOTA_KEY_SIZE], const char *what, const char *from, bool exercise) {
    struct bytes party = text_party_of(bytes_text(from));
    snprintf(out, QUOTA_KEY_SIZE, "%s %s %.*s", what, mark(exercise), (int)party.n, (const char *)party.p);
}

static void key_of_pair(char out[static QUOTA_KEY_SIZE], const char *from, const char *to, bool exercise) {
    struct bytes party = text_party_of(bytes_text(from));
    snprintf(out, QUOTA_KEY_SIZE, "pair %s %.*s %s", mark(exercise), (int)party.n, (const char *)party.p, to);
}

enum error book_quota_legs(struct book *book, const char *from, const char *to, bool exercise, int change) {
    char party[QUOTA_KEY_SIZE], pair[QUOTA_KEY_SIZE];
    key_of_party(party, "legs", from, exercise);
    key_of_pair(pair, from, to, exercise);
    TRY(book->store->ops->quota_add(book->store, party, change));
    return book->store->ops->quota_add(book->store, pair, change);
}

enum error book_quota_bytes(struct book *book, const char *from, bool exercise, int64_t change) {
    char party[QUOTA_KEY_SIZE];
    key_of_party(party, "bytes", from, exercise);
    return book->store->ops->quota_add(book->store, party, change);
}

/* The registrar's signed values in the directory win over the configuration; exercises have the configuration's only. */
static void limits_of(const struct book *book, const char *from, bool exercise, uint64_t *ret_legs,
                      uint64_t *ret_bytes) {
    *ret_legs = exercise ? book->config->quota_exercise_legs : book->config->quota_legs;
    *ret_bytes = exercise ? book->config->quota_exercise_bytes : book->config->quota_bytes;
    const struct directory_party *party = directory_party(book_directory(book), text_party_of(bytes_text(from)));
    if (!party || exercise) return;
    if (party->has_quota_legs) *ret_legs = party->quota_legs;
    if (party->has_quota_bytes) *ret_bytes = party->quota_bytes;
}

enum error book_quota_check(struct book *book, const char *from, const char *to, bool exercise, uint64_t legs,
                            uint64_t bytes, enum error *ret) {
    char key[QUOTA_KEY_SIZE];
    uint64_t used, legs_limit, bytes_limit;
    limits_of(book, from, exercise, &legs_limit, &bytes_limit);
    *ret = E_OK;
    key_of_party(key, "bytes", from, exercise);
    TRY(book->store->ops->quota_get(book->store, key, &used));
    if (bytes && used + bytes > bytes_limit) *ret = E_OVER_QUOTA;
    key_of_party(key, "legs", from, exercise);
    TRY(book->store->ops->quota_get(book->store, key, &used));
    if (legs && used + legs > legs_limit) *ret = E_OVER_QUOTA;
    if (!to) return E_OK;
    key_of_pair(key, from, to, exercise);
    TRY(book->store->ops->quota_get(book->store, key, &used));
    if (legs && used + legs > book->config->quota_pair_legs) *ret = E_OVER_QUOTA;
    return E_OK;
}

/* The counter holds the day above the count, so that no sweep is needed. */
enum { DAILY_COUNTS = 1 << 21 };

enum error book_daily_take(struct book *book, const char *key, uint64_t max, enum error *ret_wrong) {
    uint64_t counter, today = book->now.ms / DAY_MS * DAILY_COUNTS;
    TRY(book->store->ops->quota_get(book->store, key, &counter));
    uint64_t next = counter >= today && counter < today + DAILY_COUNTS ? counter + 1 : today + 1;
    *ret_wrong = next - today > max ? E_OVER_QUOTA : E_OK;
    if (*ret_wrong != E_OK) return E_OK;
    return book->store->ops->quota_add(book->store, key, (int64_t)next - (int64_t)counter);
}

enum error book_daily_give_back(struct book *book, const char *key) {
    return book->store->ops->quota_add(book->store, key, -1);
}
