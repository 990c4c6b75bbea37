/* handover.c - what goes to whom: feeds, ciphertext, directory leaves, prekeys, ladders. Questions only; they are answered
 * from the committed store. A body is handed over only against the recipient's signed acceptance. */
#include "book.h"

#include "chunks.h"
#include "header.h"

/* Answers stay well below MESSAGE_MAX; one item more always fits. */
enum { ANSWER_BYTES = 300 * 1024, ITEM_BYTES_MAX = 190 * 1024 };

static enum error finish(struct response *response, enum message type) {
    response->type = type;
    return buf_error(&response->body);
}

static enum error answer_hello(struct book *book, const struct job *job, struct bytes body, struct response *response) {
    struct hello hello;
    TRY(hello_decode(body, &hello));
    const struct directory_device *device = book_device(book, job);
    struct welcome welcome = {.version = WIRE_VERSION,
                              .time = book->now,
                              .size = directory_size(book->directory),
                              .body_max = book->config->body_max,
                              .registered = device != NULL,
                              .legs_max = book->config->legs_max};
    AUTO_BUF head = {0}, evidence = {0}, recovery = {0};
    directory_root(book->directory, welcome.root);
    TRY(heads_newest(book, LOG_DIRECTORY, &head, &welcome.has_checkpoint));
    TRY(heads_newest(book, LOG_EVIDENCE, &evidence, &welcome.has_evidence));
    welcome.checkpoint = buf_bytes(&head);
    welcome.evidence = buf_bytes(&evidence);
    TRY(loss_newest(book, &recovery));
    welcome.has_recovery = recovery.n > 0;
    welcome.recovery = buf_bytes(&recovery);
    TRY(book->store->ops->entry_count(book->store, &welcome.entries));
    if (device) {
        welcome.has_newest = true;
        TRY(book->store->ops->feed_newest(book->store, device->post->name, &welcome.newest));
    }
    welcome_encode(&welcome, &response->body);
    return finish(response, MESSAGE_WELCOME);
}

static enum error answer_leaves(struct book *book, struct bytes body, struct response *response) {
    struct getleaves ask;
    TRY(getleaves_decode(body, &ask));
    AUTO_BUF list = {0};
    size_t count = 0;
    uint64_t size = directory_size(book->directory);
    for (uint64_t i = ask.from; i < size && count < ask.max && list.n < ANSWER_BYTES; i++, count++) {
        AUTO_BUF leaf = {0};
        TRY(book->store->ops->leaf_get(book->store, i, &leaf));
        cbor_put_bytes(&list, buf_bytes(&leaf));
    }
    AUTO_BUF head = {0};
    struct leaves leaves = {.from = ask.from, .leaves = list_of(&list, count), .size = size};
    directory_root(book->directory, leaves.root);
    TRY(heads_newest(book, LOG_DIRECTORY, &head, &leaves.has_checkpoint));
    leaves.checkpoint = buf_bytes(&head);
    leaves_encode(&leaves, &response->body);
    return list.failed ? E_NO_MEMORY : finish(response, MESSAGE_LEAVES);
}

static enum error answer_prekeys(struct book *book, struct bytes body, struct response *response) {
    struct getprekeys ask;
    TRY(getprekeys_decode(body, &ask));
    if (!directory_post(book->directory, ask.post)) {
        response_fail(response, E_UNKNOWN_POST, NULL);
        return E_OK;
    }
    AUTO_BUF list = {0};
    size_t count = 0;
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    size_t reader_count = directory_readers(book->directory, ask.post, book->now, readers);
    for (size_t i = 0; i < reader_count; i++) {
        AUTO_BUF prekey = {0};
        enum error error = book->store->ops->prekey_newest(book->store, readers[i]->device,
                                                           (uint32_t)(book->now.ms / DAY_MS), &prekey);
        if (error == E_UNKNOWN_REQUEST) continue;
        TRY(error);
        cbor_put_bytes(&list, buf_bytes(&prekey));
        count++;
    }
    prekeys_encode(&(struct prekeys){.time = book->now, .prekeys = list_of(&list, count)}, &response->body);
    return list.failed ? E_NO_MEMORY : finish(response, MESSAGE_PREKEYS);
}

/* ---- the feed ---- */

/* The path of one leg, worked out from what the submission said about all of them. */
static enum error path_of(const struct submit *kept, const struct store_leg *leg,
                          uint8_t ret[static LEGS_DEPTH * HASH_SIZE]) {
    AUTO_FREE(struct legs_leaf) leaves = calloc(kept->places.count, sizeof *leaves);
    if (!leaves) return E_NO_MEMORY;
    size_t count = kept->places.count, which = 0;
    legs_leaves(kept->places, leaves);
    while (which < count && memcmp(leaves[which].id, leg->leg, HASH_SIZE) != 0) which++;
    return which < count ? legs_path(leaves, count, kept->seed, which, ret) : E_CORRUPT;
}

static enum error compose_offered(struct book *book, const struct store_feed *item, struct buf *out) {
    struct store_leg leg;
    struct submit kept;
    uint8_t path[LEGS_DEPTH * HASH_SIZE];
    AUTO_BUF kept_bytes = {0}, opening = {0}, wrapset = {0}, receipt = {0}, hashes = {0};
    TRY(book->store->ops->leg_by_row(book->store, item->leg, &leg));
    TRY(book->store->ops->leg_sealed(book->store, item->leg, &opening, &wrapset));
    TRY(book->store->ops->request_kept(book->store, item->request, &kept_bytes));
    TRY(book->store->ops->receipt_get(book->store, item->receipt, &receipt));
    if (submit_decode(buf_bytes(&kept_bytes), &kept) != E_OK) return E_CORRUPT;
    TRY(path_of(&kept, &leg, path));
    for (size_t i = 0; i < LEGS_DEPTH; i++) cbor_put_bytes(&hashes, bytes_of(path + i * HASH_SIZE, HASH_SIZE));
    struct offered offered = {.header = kept.header,
                              .place = {buf_bytes(&opening), leg.position},
                              .path = list_of(&hashes, LEGS_DEPTH),
                              .wrapset = buf_bytes(&wrapset),
                              .receipt = buf_bytes(&receipt)};
    offered_encode(&offered, out);
    return hashes.failed ? E_NO_MEMORY : buf_error(out);
}

static enum error compose_sent(struct book *book, const struct store_feed *item, struct buf *out) {
    struct submit kept;
    AUTO_BUF kept_bytes = {0};
    TRY(book->store->ops->request_kept(book->store, item->request, &kept_bytes));
    if (submit_decode(buf_bytes(&kept_bytes), &kept) != E_OK) return E_CORRUPT;
    struct sent sent = {.header = kept.header, .places = kept.places};
    memcpy(sent.seed, kept.seed, HASH_SIZE);
    struct list list = kept.wrapsets;
    sent.has_wrapset = list_next_bytes(&list, &sent.wrapset);
    sent_encode(&sent, out);
    return buf_error(out);
}

static enum error compose_changed(struct book *book, const struct store_feed *item, struct buf *out) {
    struct store_leg leg;
    struct store_request request;
    AUTO_BUF receipt = {0};
    TRY(book->store->ops->leg_by_row(book->store, item->leg, &leg));
    TRY(book->store->ops->request_by_row(book->store, item->request, &request));
    TRY(book->store->ops->receipt_get(book->store, item->receipt, &receipt));
    struct changed changed = {.receipt = buf_bytes(&receipt)};
    memcpy(changed.header, request.digest, HASH_SIZE);
    memcpy(changed.leg, leg.leg, HASH_SIZE);
    changed_encode(&changed, out);
    return buf_error(out);
}

static enum error compose(struct book *book, const struct store_feed *item, struct buf *out) {
    switch (item->kind) {
    case ITEM_OFFERED: return compose_offered(book, item, out);
    case ITEM_SENT: return compose_sent(book, item, out);
    case ITEM_CHANGED: return compose_changed(book, item, out);
    }
    return E_CORRUPT;
}

/* ---- what goes along ---- */

/* Why this post may not have this part of this leg, or E_OK. */
static enum error may_fetch(const struct fetch *fetch, const struct store_leg *leg, const char *post) {
    if (strcmp(leg->to, post) != 0) return E_UNKNOWN_REQUEST; /* not told apart from "no such request" */
    bool ended = leg->state == STATE_DECLINED || leg->state == STATE_EXPIRED || leg->state == STATE_WITHDRAWN;
    if (fetch->part == PART_OFFER) return ended ? E_ERASED : E_OK; /* kept only for other legs, if at all */
    return leg_releases_body(leg->state, leg->kind) ? E_OK : E_NOT_ACCEPTED;
}

enum error handover_along(struct book *book, const struct response *response, size_t taken, struct buf *out,
                          size_t *ret_count) {
    enum { SPARE = 4096, CHUNK_HEAD = 64 };
    uint64_t room = response->room;
    for (size_t i = 0; i < response->along_count && room > 0; i++) {
        const struct keepsake *along = &response->along[i];
        AUTO_BUF data = {0};
        enum error error = book->store->ops->chunk_get(book->store, along->request, along->part, 0, &data);
        if (error == E_UNKNOWN_REQUEST) continue; /* there is none, or no more */
        TRY(error);
        if (data.n > room || taken + out->n + data.n + CHUNK_HEAD > MESSAGE_MAX - SPARE) continue;
        room -= data.n;
        struct along chunk = {.part = along->part, .data = buf_bytes(&data)};
        memcpy(chunk.header, along->digest, HASH_SIZE);
        along_encode(&chunk, out);
        (*ret_count)++;
    }
    return buf_error(out);
}

/* The offer of an item, if the post may have it. */
static enum error offer_along(struct book *book, const struct store_feed *item, const char *post,
                              struct response *response) {
    struct store_leg leg;
    struct store_request request;
    struct fetch fetch = {.part = PART_OFFER};
    if (item->kind != ITEM_OFFERED) return E_OK;
    TRY(book->store->ops->leg_by_row(book->store, item->leg, &leg));
    if (may_fetch(&fetch, &leg, post) != E_OK) return E_OK;
    TRY(book->store->ops->request_by_row(book->store, item->request, &request));
    return response_along(response, request.id, PART_OFFER, request.digest);
}

static enum error answer_feed(struct book *book, const char *post, struct bytes body, struct response *response) {
    struct getfeed ask;
    struct store_feed row = {0};
    TRY(getfeed_decode(body, &ask));
    AUTO_BUF list = {0}, along = {0};
    size_t count = 0, along_count = 0;
    struct feed feed = {0};
    response->room = ask.has_room ? ask.room : 0;
    TRY(book->store->ops->feed_newest(book->store, post, &feed.newest));
    for (uint64_t after = ask.after; count < ask.max && list.n < ANSWER_BYTES; after = row.number, count++) {
        AUTO_BUF composed = {0};
        enum error error = book->store->ops->feed_next(book->store, post, after, &row);
        if (error == E_UNKNOWN_REQUEST) break;
        TRY(error);
        TRY(compose(book, &row, &composed));
        if (count > 0 && list.n + composed.n > ANSWER_BYTES + ITEM_BYTES_MAX) break;
        item_encode(&(struct item){.number = row.number, .kind = row.kind, .body = buf_bytes(&composed)}, &list);
        if (response->room > 0) TRY(offer_along(book, &row, post, response));
    }
    TRY(handover_along(book, response, list.n, &along, &along_count));
    feed.items = list_of(&list, count);
    feed.has_along = along_count > 0;
    feed.along = list_of(&along, along_count);
    feed_encode(&feed, &response->body);
    return list.failed || along.failed ? E_NO_MEMORY : finish(response, MESSAGE_FEED);
}

/* ---- ciphertext ---- */

static enum error find_fetch(struct book *book, const struct fetch *fetch, const char *post,
                             struct store_request *ret) {
    TRY(book->store->ops->request_by_digest(book->store, fetch->header, ret));
    struct store_leg leg; /* one that is staged has none, unless it is staged once more */
    if (!fetch->has_leg) {
        TRY(book->store->ops->leg_nth(book->store, ret->id, 0, &leg));
        return strcmp(ret->from, post) == 0 ? E_OK : E_UNKNOWN_REQUEST;
    }
    TRY(book->store->ops->leg_by_id(book->store, fetch->leg, &leg));
    return leg.request == ret->id ? may_fetch(fetch, &leg, post) : E_UNKNOWN_REQUEST;
}

static enum error header_of(struct book *book, int64_t request, struct header *ret, struct buf *ret_bytes) {
    struct submit kept;
    struct bytes payload;
    TRY(book->store->ops->request_kept(book->store, request, ret_bytes));
    if (submit_decode(buf_bytes(ret_bytes), &kept) != E_OK || stamp_peek(kept.header, &payload) != E_OK)
        return E_CORRUPT;
    return header_decode(payload, ret) == E_OK ? E_OK : E_CORRUPT;
}

/* A chunk that is not there: never was (the part is shorter), or erased since. */
static enum error why_no_chunk(struct book *book, const struct fetch *fetch, int64_t request) {
    AUTO_BUF bytes = {0};
    struct header header;
    TRY(header_of(book, request, &header, &bytes));
    bool has = fetch->part == PART_OFFER ? header.has_offer : header.has_body;
    if (!has) return E_NO_BODY;
    uint64_t length = fetch->part == PART_OFFER ? header.offer.length : header.body.length;
    return fetch->index < chunks_count(length) ? E_ERASED : E_NO_SUCH_CHUNK;
}

static bool store_failed(enum error error) {
    return error == E_IO || error == E_CORRUPT || error == E_NO_MEMORY || error == E_INTERNAL || error == E_STORE_FULL;
}

static enum error answer_fetch(struct book *book, const char *post, struct bytes body, struct response *response) {
    struct fetch fetch;
    struct store_request request;
    AUTO_BUF data = {0};
    TRY(fetch_decode(body, &fetch));
    enum error error = find_fetch(book, &fetch, post, &request);
    if (error == E_OK) {
        error =
            book->store->ops->chunk_get(book->store, request.id, (unsigned)fetch.part, (uint32_t)fetch.index, &data);
        if (error == E_UNKNOWN_REQUEST) error = why_no_chunk(book, &fetch, request.id);
    }
    if (store_failed(error)) return error;
    if (error != E_OK) {
        response_fail(response, error, NULL);
        return E_OK;
    }
    struct chunk chunk = {.part = fetch.part, .index = fetch.index, .data = buf_bytes(&data)};
    memcpy(chunk.header, fetch.header, HASH_SIZE);
    chunk_encode(&chunk, &response->body);
    return finish(response, MESSAGE_FETCHED);
}

static enum error answer_track(struct book *book, const char *post, struct bytes body, struct response *response) {
    enum { TRACKED_MAX = 32 };
    struct track ask;
    struct store_leg leg;
    TRY(track_decode(body, &ask));
    enum error error = book->store->ops->leg_by_id(book->store, ask.leg, &leg);
    if (error != E_OK && error != E_UNKNOWN_REQUEST) return error;
    uint32_t last = 0;
    bool theirs = error == E_OK && (strcmp(leg.from, post) == 0 || strcmp(leg.to, post) == 0), left = false;
    if (error == E_OK && !theirs) TRY(reseal_left(book, &leg, bytes_text(post), &last, &left));
    if (!theirs && !left) {
        response_fail(response, E_UNKNOWN_REQUEST, NULL);
        return E_OK;
    }
    if (left) leg.ordinal = last + 1; /* what came after it was forwarded is not for the old post */
    AUTO_BUF list = {0};
    size_t count = 0;
    for (uint32_t i = (uint32_t)ask.ordinal; i < leg.ordinal && count < TRACKED_MAX; i++, count++) {
        AUTO_BUF receipt = {0};
        TRY(book->store->ops->receipt_of(book->store, leg.id, i, &receipt));
        cbor_put_bytes(&list, buf_bytes(&receipt));
    }
    tracked_encode(&(struct tracked){.receipts = list_of(&list, count)}, &response->body);
    return list.failed ? E_NO_MEMORY : finish(response, MESSAGE_TRACKED);
}

static enum error answer_box(struct book *book, const struct job *job, struct bytes body, struct response *response) {
    struct get get;
    TRY(get_decode(body, &get));
    return boxes_get(book, job, &get, response);
}

/* A log that is damaged somewhere is named in the relay's own log, and its asker told; the relay goes on, or else whoever asks for
 * that place could end it at will. What is signed is checked apart from this. */
static enum error answer_of_log(enum error error, struct response *response) {
    if (error != E_CORRUPT) return error;
    response_fail(response, E_CORRUPT, "this relay's copy of the log");
    return E_OK;
}

static enum error answer_checkpoint(const struct book *book, struct bytes body, struct response *response) {
    struct getcheckpoint ask;
    TRY(getcheckpoint_decode(body, &ask));
    return heads_answer_request(book, ask.has_log ? (enum relay_log)ask.log : LOG_DIRECTORY, ask.old, response);
}

static enum error answer_contact(const struct book *book, const struct job *job, struct bytes body,
                                 struct response *response) {
    struct getcontact get;
    TRY(getcontact_decode(body, &get));
    return contacts_get(book, job, &get, response);
}

enum error handover_answer(struct book *book, const struct job *job, enum message type, struct bytes body,
                           struct response *response) {
    if (type == MESSAGE_HELLO) return answer_hello(book, job, body, response);
    if (type == MESSAGE_GETLEAVES) return answer_leaves(book, body, response);
    if (type == MESSAGE_GETHEADS) return heads_answer(book, response);
    if (type == MESSAGE_GETLOG) return answer_of_log(logs_answer(book, body, response), response);
    if (type == MESSAGE_GETHASHES) return answer_of_log(logs_answer_hashes(book, body, response), response);
    if (type == MESSAGE_GETCHECKPOINT) return answer_of_log(answer_checkpoint(book, body, response), response);
    if (type == MESSAGE_GET) return answer_box(book, job, body, response);
    if (type == MESSAGE_GETCONTACT) return answer_contact(book, job, body, response);
    const struct directory_device *device = book_device(book, job);
    if (!device) {
        response_fail(response, E_UNKNOWN_DEVICE, NULL);
        return E_OK;
    }
    enum error dead = directory_live(device, book->now); /* the gate may have passed it before a revocation came */
    if (dead != E_OK) {
        response_fail(response, dead, NULL);
        return E_OK;
    }
    const char *post = device->post->name;
    bool bell = device->role == ROLE_BELL; /* bells learn that something waits, from hints; they read nothing */
    if (bell) {
        response_fail(response, E_NOT_ALLOWED, "this device can only ring");
        return E_OK;
    }
    if (type == MESSAGE_GETPREKEYS) return answer_prekeys(book, body, response);
    if (type == MESSAGE_GETFEED) return answer_feed(book, post, body, response);
    if (type == MESSAGE_FETCH) return answer_fetch(book, post, body, response);
    if (type == MESSAGE_TRACK) return answer_track(book, post, body, response);
    response_fail(response, E_UNKNOWN_MESSAGE, NULL);
    return E_OK;
}
