/* submission.c - a request arrives: its header once, its chunks singly, its legs one by one.
 *
 *   header known?  no: checked whole, then staged under its digest with its chunks
 *   chunks missing?  answered with `want`; the last chunk continues here
 *   all there: each leg that came with a wrap set is stored, or refused for good (signed), or must wait (unsigned)
 * Everything may be repeated: the header digest, the leg id and the chunk's place name what is already there. */
#include "book.h"

#include <stdio.h>

#include "chunks.h"
#include "header.h"

enum { SWEEPS_PER_BATCH = 256 };

/* One submission while it is worked on. */
struct work {
    struct book *book;
    const struct submit *submit;
    struct response *response;
    struct header header;
    uint8_t digest[HASH_SIZE];
    const struct directory_device *device;
    struct legs_leaf *leaves;
    struct place *places; /* same order as leaves */
    size_t count;
    struct store_request request;
};

static void post_name(struct bytes name, char out[static POST_MAX + 1]) {
    size_t n = name.n <= POST_MAX ? name.n : POST_MAX;
    memcpy(out, name.p, n);
    out[n] = 0;
}

/* A signed "never": the whole submission, or one leg. */
static enum error refuse(struct work *work, const uint8_t *leg, enum error error) {
    AUTO_BUF payload = {0};
    uint64_t reason = error;
    struct scribe_words words = {EVENT_REFUSED,   work->digest, leg, work->book->statement_key,
                                 work->book->now, &reason,      0};
    struct scribe_note note = {.own = true, .now = work->book->now};
    TRY(scribe_own(&words, &payload, note.hash));
    note.statement = buf_bytes(&payload);
    struct outcome *outcome = response_outcome(work->response, leg ? leg : work->digest, error);
    if (!outcome) return E_NO_MEMORY;
    if (!leg) response_fail(work->response, error, NULL);
    return scribe_refusal(&work->book->scribe, &note, &outcome->pending);
}

static enum error leg_result(struct work *work, const uint8_t leg[static HASH_SIZE], enum error error) {
    return response_outcome(work->response, leg, error) ? E_OK : E_NO_MEMORY;
}

/* ---- the header and what belongs to it ---- */

static enum error read_places(struct work *work) {
    work->count = 0;
    work->leaves = calloc(work->submit->places.count + 1, sizeof *work->leaves);
    work->places = calloc(work->submit->places.count + 1, sizeof *work->places);
    if (!work->leaves || !work->places) return E_NO_MEMORY;
    struct list list = work->submit->places;
    while (place_next(&list, &work->places[work->count])) work->count++;
    legs_leaves(work->submit->places, work->leaves);
    return E_OK;
}

static enum error check_part(const struct book *book, bool has, const struct part *part, bool has_digests,
                             struct bytes digests) {
    if (has != has_digests) return E_MALFORMED;
    if (!has) return E_OK;
    if (part->length > book->config->body_max) return E_TOO_LARGE;
    return chunks_check_digests(part->length, part->digest, digests);
}

/* What is wrong with this submission for good, or E_OK. */
static enum error check_whole(struct work *work) {
    const struct submit *submit = work->submit;
    const struct header *header = &work->header;
    TRY(header_check(header));
    if (work->count > work->book->config->legs_max) return E_TOO_MANY_LEGS;
    if (header->has_parent && work->count != 1) return E_TOO_MANY_LEGS;
    uint8_t root[HASH_SIZE];
    if (submit->wrapsets.count > work->count + 1) return E_MALFORMED; /* one a leg, and one for the sender's own post */
    TRY(legs_root(work->leaves, work->count, submit->seed, root));
    if (memcmp(root, header->legs, HASH_SIZE) != 0) return E_BAD_PROOF;
    TRY(check_part(work->book, header->has_offer, &header->offer, submit->has_offer_digests, submit->offer_digests));
    return check_part(work->book, header->has_body, &header->body, submit->has_body_digests, submit->body_digests);
}

/* What the request takes of its party's quota: content, and what is kept about it, so that a flood of tiny contents with
 * long lists of legs fills no disk either. */
static uint64_t counted_bytes(const struct header *header, const struct submit *submit) {
    uint64_t content = (header->has_offer ? header->offer.length : 0) + (header->has_body ? header->body.length : 0);
    return content + submit->header.n + submit->places.items.n + submit->wrapsets.items.n + submit->offer_digests.n +
           submit->body_digests.n;
}

/* The submission without chunks and without the legs' wrap sets: what is kept for the sender's own post and for paths.
 */
static enum error kept_form(const struct work *work, bool with_wrapsets, struct buf *out) {
    struct submit kept = *work->submit;
    AUTO_BUF own = {0};
    size_t count = 0;
    struct list list = work->submit->wrapsets;
    struct bytes stamped, payload;
    struct wrapset set;
    while (list_next_bytes(&list, &stamped)) {
        if (stamp_peek(stamped, &payload) != E_OK || wrapset_decode(payload, &set) != E_OK || set.has_leg) continue;
        cbor_put_bytes(&own, stamped);
        count++;
    }
    if (!with_wrapsets) kept.wrapsets = list_of(&own, count);
    kept.chunks = (struct list){0};
    submit_encode(&kept, out);
    return own.failed ? E_NO_MEMORY : buf_error(out);
}

/* Another header under an id that this device has used: refused, and kept as proof. */
static enum error conflict(struct work *work, const struct store_request *first) {
    TRY(work->book->store->ops->conflict_add(work->book->store, first->id, work->digest, work->submit->header));
    return refuse(work, NULL, E_CONFLICT);
}

static enum error add_want(struct work *work, unsigned number);

static bool has_new_leg(struct work *work, enum error *ret) {
    struct list list = work->submit->wrapsets;
    struct bytes stamped, payload;
    struct wrapset set;
    struct store_leg leg;
    while (list_next_bytes(&list, &stamped)) {
        if (stamp_peek(stamped, &payload) != E_OK || wrapset_decode(payload, &set) != E_OK || !set.has_leg) continue;
        *ret = work->book->store->ops->leg_by_id(work->book->store, set.leg, &leg);
        if (*ret != E_OK) return *ret == E_UNKNOWN_REQUEST;
    }
    return false;
}

/* The content of a stored request goes when its legs so far have ended, its body perhaps before that; a leg that comes later needs
 * it again. */
static enum error restage(struct work *work, bool *ret_go) {
    struct book *book = work->book;
    enum error error = E_OK, wrong;
    TRY(add_want(work, PART_OFFER));
    TRY(add_want(work, PART_BODY));
    size_t missing = work->response->want_count;
    work->response->want_count = 0; /* asked anew, once the chunks of this message are in */
    if (missing == 0) return E_OK;
    bool needed = has_new_leg(work, &error);
    if (error != E_OK && error != E_UNKNOWN_REQUEST) return error;
    if (!needed) return E_OK;
    const struct store_request *row = &work->request;
    uint64_t open, wanted;
    TRY(book->store->ops->legs_open(book->store, row->id, &open, &wanted));
    uint64_t more = open ? row->released : row->bytes; /* what is not counted now */
    TRY(book_quota_check(book, row->from, NULL, row->exercise, 0, more, &wrong));
    if (book->refuse_new) wrong = E_STORE_FULL;
    if (wrong != E_OK) {
        *ret_go = false;
        response_fail(work->response, wrong, NULL);
        return E_OK;
    }
    TRY(book->store->ops->request_restage(book->store, row->id, book->now));
    TRY(book->store->ops->request_release(book->store, row->id, 0));
    TRY(book_quota_bytes(book, row->from, row->exercise, (int64_t)more));
    work->request.stored = false;
    work->request.released = 0;
    return E_OK;
}

/* A request that is known: goes on where it stopped. */
static enum error resume(struct work *work, bool *ret_go) {
    *ret_go = true;
    if (work->request.stored) return restage(work, ret_go);
    if (!work->book->refuse_new) return E_OK;
    *ret_go = false;
    response_fail(work->response, E_STORE_FULL, NULL);
    return E_OK;
}

/* Finds or stages the request. *ret_go: go on; else the answer is already written. */
static enum error stage(struct work *work, bool *ret_go) {
    struct book *book = work->book;
    struct store *store = book->store;
    *ret_go = false;
    enum error wrong = check_whole(work);
    if (wrong != E_OK) return refuse(work, NULL, wrong);
    enum error error = store->ops->request_by_digest(store, work->digest, &work->request);
    if (error == E_OK) return resume(work, ret_go);
    if (error != E_UNKNOWN_REQUEST) return error;

    struct store_request first;
    error = store->ops->request_by_name(store, work->header.device, work->header.request, &first);
    if (error == E_OK) return conflict(work, &first);
    if (error != E_UNKNOWN_REQUEST) return error;
    if (book->refuse_new) {
        response_fail(work->response, E_STORE_FULL, NULL);
        return E_OK;
    }
    struct store_request row = {
        .exercise = work->header.exercise, .at = book->now, .bytes = counted_bytes(&work->header, work->submit)};
    post_name(work->header.from, row.from);
    memcpy(row.digest, work->digest, HASH_SIZE);
    memcpy(row.device, work->header.device, KEY_SIZE);
    memcpy(row.request, work->header.request, REQUEST_ID_SIZE);
    TRY(book_quota_check(book, row.from, NULL, row.exercise, 0, row.bytes, &wrong));
    if (wrong != E_OK) {
        response_fail(work->response, wrong, "bytes of this party's open requests");
        return E_OK;
    }
    AUTO_BUF kept = {0};
    TRY(kept_form(work, false, &kept));
    TRY(store->ops->request_add(store, &row, buf_bytes(&kept), (struct bytes){0}, &row.id));
    TRY(book_quota_bytes(book, row.from, row.exercise, (int64_t)row.bytes));
    work->request = row;
    *ret_go = true;
    return E_OK;
}

/* ---- chunks ---- */

static const struct part *part_of(const struct header *header, uint64_t number) {
    if (number == PART_OFFER) return header->has_offer ? &header->offer : NULL;
    return header->has_body ? &header->body : NULL;
}

/* What is wrong with the chunk, or E_OK: its place, its size, its digest in the submission's list. */
static enum error check_chunk(const struct work *work, const struct chunk *chunk) {
    const struct part *part = part_of(&work->header, chunk->part);
    size_t size = part ? chunks_size(part->length, chunk->index) : 0;
    if (size == 0) return E_NO_SUCH_CHUNK;
    if (memcmp(chunk->header, work->digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (chunk->data.n != size) return E_BAD_DIGEST;
    struct bytes digests = chunk->part == PART_OFFER ? work->submit->offer_digests : work->submit->body_digests;
    uint8_t digest[HASH_SIZE];
    chunk_digest(chunk->data, digest);
    return memcmp(digests.p + chunk->index * HASH_SIZE, digest, HASH_SIZE) == 0 ? E_OK : E_BAD_DIGEST;
}

static enum error take_chunk(struct work *work, const struct chunk *chunk, enum error *ret_wrong) {
    *ret_wrong = check_chunk(work, chunk);
    if (*ret_wrong != E_OK) return E_OK;
    return work->book->store->ops->chunk_put(work->book->store, work->request.id, (unsigned)chunk->part,
                                             (uint32_t)chunk->index, chunk->data);
}

static enum error add_want(struct work *work, unsigned number) {
    const struct part *part = part_of(&work->header, number);
    if (!part) return E_OK;
    uint32_t count = (uint32_t)chunks_count(part->length), missing;
    TRY(work->book->store->ops->chunk_missing(work->book->store, work->request.id, number, count, &missing));
    if (missing < count) work->response->wants[work->response->want_count++] = (struct want){number, missing};
    return E_OK;
}

/* ---- legs ---- */

/* The wraps are for exactly the devices that this ledger would name: neither a forgotten nor a strange one. A device
 * that has no fresh prekey cannot be sealed to and is left out; when it comes back it is resealed to, nobody is refused
 * for it. */
enum error submission_check_readers(const struct book *book, struct bytes to, const struct wrapset *set,
                                    enum error *ret_wrong) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    size_t count = directory_readers(book_directory(book), to, book->now, readers), expected = 0, found = 0;
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF prekey = {0};
        enum error error = book->store->ops->prekey_newest(book->store, readers[i]->device,
                                                           (uint32_t)(book->now.ms / DAY_MS), &prekey);
        if (error == E_UNKNOWN_REQUEST) continue;
        TRY(error);
        expected++;
        struct list list = set->wraps;
        struct wrap wrap;
        bool named = false;
        while (wrap_next(&list, &wrap)) named = named || memcmp(wrap.device, readers[i]->device, KEY_SIZE) == 0;
        found += named;
    }
    *ret_wrong = found == expected && set->wraps.count == expected ? E_OK : E_STALE_DIRECTORY;
    return E_OK;
}

/* The directory that the sender sealed for is this one, at that size. */
enum error submission_check_seen(struct book *book, const struct wrapset *set, enum error *ret_wrong) {
    *ret_wrong = E_OK;
    uint64_t committed = directory_size(book->directory);
    if (set->size == 0 || set->size > committed) {
        *ret_wrong = set->size > directory_size(book_directory(book)) ? E_DIRECTORY_FORKED : E_STALE_DIRECTORY;
        return E_OK;
    }
    uint8_t root[HASH_SIZE];
    TRY(book->store->ops->leaf_root(book->store, set->size, root));
    if (memcmp(root, set->root, HASH_SIZE) != 0) *ret_wrong = E_DIRECTORY_FORKED;
    return E_OK;
}

/* A reply goes to the other side of an accepted leg that is still open for it. */
static enum error check_parent(struct work *work, struct bytes to, struct store_leg *ret_parent,
                               enum error *ret_wrong) {
    const struct parent *parent = &work->header.parent;
    struct store_request request;
    *ret_wrong = E_UNKNOWN_REQUEST;
    enum error error = work->book->store->ops->leg_by_id(work->book->store, parent->leg, ret_parent);
    if (error == E_UNKNOWN_REQUEST) return E_OK;
    TRY(error);
    TRY(work->book->store->ops->request_by_row(work->book->store, ret_parent->request, &request));
    if (memcmp(request.digest, parent->header, HASH_SIZE) != 0) return E_OK;
    bool forth = bytes_are(work->header.from, ret_parent->from) && bytes_are(to, ret_parent->to);
    bool back = bytes_are(work->header.from, ret_parent->to) && bytes_are(to, ret_parent->from);
    bool open = ret_parent->state == STATE_ACCEPTED || ret_parent->state == STATE_HANDED_OVER ||
                ret_parent->state == STATE_ACKNOWLEDGED;
    if (!forth && !back)
        *ret_wrong = E_NOT_ALLOWED;
    else if (ret_parent->kind == LEG_REPLY || ret_parent->exercise != work->header.exercise)
        *ret_wrong = E_NOT_ALLOWED;
    else
        *ret_wrong = open ? E_OK : E_WRONG_STATE;
    return E_OK;
}

static bool refused_for_good(enum error error) { return !error_row(error)->again; }

/* What stands against storing this leg now. */
static enum error check_leg(struct work *work, const struct wrapset *set, const struct opening *opening,
                            struct store_leg *parent, enum error *ret_wrong) {
    struct book *book = work->book;
    char to[POST_MAX + 1];
    bool used;
    post_name(opening->to, to);
    const struct directory_post *post = directory_post(book_directory(book), opening->to);
    *ret_wrong = !post ? E_UNKNOWN_POST : post->revoked ? E_REVOKED : set->generation != 1 ? E_CONFLICT : E_OK;
    if (*ret_wrong != E_OK) return E_OK;
    if (work->header.has_parent)
        TRY(check_parent(work, opening->to, parent, ret_wrong));
    else
        *ret_wrong = directory_may_receive(post);
    if (*ret_wrong == E_OK && !work->header.has_parent) *ret_wrong = directory_may_submit(work->device, book->now);
    if (*ret_wrong != E_OK) return E_OK;
    TRY(book->store->ops->leg_sequence_used(book->store, work->header.device, to, opening->sequence, &used));
    if (used)
        *ret_wrong = E_CONFLICT;
    else
        TRY(submission_check_readers(book, opening->to, set, ret_wrong));
    if (*ret_wrong != E_OK) return E_OK;
    TRY(submission_check_seen(book, set, ret_wrong));
    if (*ret_wrong != E_OK) return E_OK;
    if (book->refuse_new) *ret_wrong = E_STORE_FULL;
    if (*ret_wrong != E_OK) return E_OK;
    return book_quota_check(book, work->request.from, to, work->header.exercise, 1, 0, ret_wrong);
}

/* The first leg makes the request stored, and visible to the sender's other devices. */
static enum error complete(struct work *work) {
    struct book *book = work->book;
    if (work->request.stored) return E_OK;
    struct store_leg earlier;
    TRY(book->store->ops->request_complete(book->store, work->request.id, book->now));
    work->request.stored = true;
    enum error error = book->store->ops->leg_nth(book->store, work->request.id, 0, &earlier);
    if (error != E_UNKNOWN_REQUEST) return error; /* told when the first leg was stored */
    struct store_feed item = {.kind = ITEM_SENT, .request = work->request.id};
    return book_feed(book, work->request.from, &item, PRECEDENCE_ROUTINE);
}

static enum error extend_parent(struct book *book, struct store_leg *parent) {
    struct store_leg extended = *parent;
    outage_deadline(book, &extended);
    if (parent->state != STATE_ACKNOWLEDGED || extended.expires.ms <= parent->expires.ms) return E_OK;
    *parent = extended;
    return book->store->ops->leg_update(book->store, parent);
}

static enum error store_leg(struct work *work, size_t which, const struct opening *opening, struct bytes wrapset,
                            struct store_leg *parent) {
    struct book *book = work->book;
    unsigned precedence = (unsigned)work->header.precedence;
    struct store_leg leg = {.request = work->request.id,
                            .sequence = opening->sequence,
                            .keep_s = work->header.keep_s,
                            .position = work->leaves[which].position,
                            .generation = 1,
                            .kind = header_leg_kind(&work->header),
                            .state = STATE_NONE,
                            .furthest = STATE_NONE,
                            .exercise = work->header.exercise,
                            .body = work->header.has_body ? BODY_WANTED : BODY_DONE,
                            .parent = work->header.has_parent ? parent->id : 0};
    memcpy(leg.leg, work->leaves[which].id, HASH_SIZE);
    memcpy(leg.head, leg.leg, HASH_SIZE);
    memcpy(leg.device, work->header.device, KEY_SIZE);
    post_name(opening->to, leg.to);
    snprintf(leg.from, sizeof leg.from, "%s", work->request.from);
    outage_deadline(book, &leg);

    TRY(complete(work));
    TRY(book->store->ops->leg_add(book->store, &leg, work->places[which].opening, wrapset, &leg.id));
    TRY(book_quota_legs(book, leg.from, leg.to, leg.exercise, 1));
    if (work->header.has_parent) TRY(extend_parent(book, parent));
    struct outcome *outcome = response_outcome(work->response, leg.leg, E_OK);
    if (!outcome) return E_NO_MEMORY;
    int pending;
    TRY(transition_relay(book, &leg, work->digest, EVENT_STORED, NULL, precedence, &pending));
    work->response->outcomes[work->response->outcome_count - 1].pending = pending;
    struct store_feed item = {
        .kind = ITEM_OFFERED, .request = leg.request, .leg = leg.id, .receipt = scribe_id(&book->scribe, pending)};
    TRY(book_feed(book, leg.to, &item, precedence));
    return rekey_judge(book, &leg, work->digest);
}

/* A leg that is already there is answered with its first receipt. */
static enum error known_leg(struct work *work, const struct store_leg *leg) {
    if (leg->request != work->request.id) return refuse(work, leg->leg, E_CONFLICT);
    AUTO_BUF receipt = {0};
    enum error error = work->book->store->ops->receipt_of(work->book->store, leg->id, 0, &receipt);
    if (error != E_OK && error != E_UNKNOWN_REQUEST) return error;
    struct outcome *outcome = response_outcome(work->response, leg->leg, E_OK);
    if (!outcome) return E_NO_MEMORY;
    if (error == E_UNKNOWN_REQUEST)
        outcome->pending = scribe_find_entry(&work->book->scribe, leg->id, 0); /* this batch */
    else
        outcome->receipt = buf_take(&receipt);
    return E_OK;
}

static enum error take_leg(struct work *work, struct bytes stamped) {
    struct bytes payload;
    struct wrapset set;
    struct opening opening;
    struct store_leg known, parent = {0};
    enum error wrong;
    if (stamp_peek(stamped, &payload) != E_OK || wrapset_decode(payload, &set) != E_OK)
        return E_OK; /* the gate refused it */
    if (!set.has_leg) return E_OK;
    size_t which = 0;
    while (which < work->count && memcmp(work->leaves[which].id, set.leg, HASH_SIZE) != 0) which++;
    if (which == work->count || memcmp(set.header, work->digest, HASH_SIZE) != 0)
        return refuse(work, set.leg, E_MISMATCH);
    enum error error = work->book->store->ops->leg_by_id(work->book->store, set.leg, &known);
    if (error == E_OK) return known_leg(work, &known);
    if (error != E_UNKNOWN_REQUEST) return error;
    wrong = opening_decode(work->places[which].opening, &opening);
    if (wrong == E_OK) TRY(check_leg(work, &set, &opening, &parent, &wrong));
    if (wrong == E_OK) return store_leg(work, which, &opening, stamped, &parent);
    return refused_for_good(wrong) ? refuse(work, set.leg, wrong) : leg_result(work, set.leg, wrong);
}

static enum error take_legs(struct work *work) {
    struct list list = work->submit->wrapsets;
    struct bytes stamped;
    while (work->response->outcome_count < LEGS_MAX && list_next_bytes(&list, &stamped)) TRY(take_leg(work, stamped));
    return E_OK;
}

/* Wants, or the legs when nothing is wanted. */
static enum error go_on(struct work *work) {
    work->response->type = MESSAGE_SUBMITTED;
    memcpy(work->response->header, work->digest, HASH_SIZE);
    if (!work->request.stored) {
        TRY(add_want(work, PART_OFFER));
        TRY(add_want(work, PART_BODY));
    }
    if (work->response->want_count == 0) return take_legs(work);
    return E_OK;
}

/* ---- the two messages ---- */

static enum error open_header(struct work *work, const struct job *job) {
    struct bytes payload;
    TRY(stamp_peek(work->submit->header, &payload));
    TRY(header_decode(payload, &work->header));
    header_digest(payload, work->digest);
    work->device = book_device(work->book, job);
    TRY(book_live(work->book, work->device));
    if (memcmp(work->header.device, job->device, KEY_SIZE) != 0) return E_NOT_ALLOWED;
    if (!bytes_are(work->header.from, work->device->post->name)) return E_NOT_ALLOWED;
    return work->device->role == ROLE_BELL ? E_NOT_ALLOWED : E_OK;
}

static enum error submit_work(struct work *work, const struct job *job) {
    bool go;
    enum error wrong = open_header(work, job);
    if (wrong != E_OK) {
        response_fail(work->response, wrong, NULL);
        return E_OK;
    }
    TRY(read_places(work));
    TRY(stage(work, &go));
    if (!go) return E_OK;
    struct list list = work->submit->chunks;
    struct chunk chunk;
    while (!work->request.stored && chunk_next(&list, &chunk)) {
        TRY(take_chunk(work, &chunk, &wrong));
        if (wrong != E_OK) {
            response_fail(work->response, wrong, "chunk");
            return E_OK;
        }
    }
    TRY(go_on(work));
    if (work->response->want_count == 0) return E_OK;
    AUTO_BUF waiting = {0};
    TRY(kept_form(work, true, &waiting));
    return work->book->store->ops->request_set_waiting(work->book->store, work->request.id, buf_bytes(&waiting));
}

enum error submission_submit(struct book *book, const struct job *job, const struct submit *submit,
                             struct response *response) {
    struct work work = {.book = book, .submit = submit, .response = response};
    enum error error = submit_work(&work, job);
    free(work.leaves);
    free(work.places);
    return error;
}

/* A chunk of a staged request: checked against the submission that waits for it. */
static enum error chunk_work(struct work *work, const struct job *job, const struct chunk *chunk) {
    enum error wrong = open_header(work, job);
    if (wrong == E_OK && work->book->refuse_new) wrong = E_STORE_FULL;
    if (wrong == E_OK) TRY(take_chunk(work, chunk, &wrong));
    if (wrong != E_OK) {
        response_fail(work->response, wrong, "chunk");
        return E_OK;
    }
    TRY(read_places(work));
    return go_on(work);
}

enum error submission_chunk(struct book *book, const struct job *job, const struct chunk *chunk,
                            struct response *response) {
    struct submit submit;
    struct work work = {.book = book, .submit = &submit, .response = response};
    AUTO_BUF waiting = {0};
    enum error error = book->store->ops->request_by_digest(book->store, chunk->header, &work.request);
    if (error == E_UNKNOWN_REQUEST) {
        response_fail(response, E_UNKNOWN_REQUEST, "no submission waits for this chunk; submit the header first");
        return E_OK;
    }
    TRY(error);
    error = work.request.stored ? book->store->ops->request_kept(book->store, work.request.id, &waiting)
                                : book->store->ops->request_waiting(book->store, work.request.id, &waiting);
    if (error == E_UNKNOWN_REQUEST) {
        response_fail(response, E_UNKNOWN_REQUEST, "no submission waits for this chunk; submit the header first");
        return E_OK;
    }
    TRY(error);
    if (submit_decode(buf_bytes(&waiting), &submit) != E_OK) return E_CORRUPT;
    /* A chunk sent twice after all was stored: nothing to do, the submit tells the results. */
    if (work.request.stored) {
        response->type = MESSAGE_SUBMITTED;
        memcpy(response->header, chunk->header, HASH_SIZE);
        return E_OK;
    }
    error = chunk_work(&work, job, chunk);
    free(work.leaves);
    free(work.places);
    return error;
}

/* A request staged once more has legs, which stay; only the second staging ends, and takes along what no leg has use for. */
static enum error drop(struct book *book, const struct store_request *request) {
    struct store_leg leg;
    uint64_t open, wanted;
    enum error error = book->store->ops->leg_nth(book->store, request->id, 0, &leg);
    if (error == E_UNKNOWN_REQUEST) {
        TRY(book->store->ops->request_drop(book->store, request->id));
        return book_quota_bytes(book, request->from, request->exercise, -(int64_t)request->bytes);
    }
    TRY(error);
    TRY(book->store->ops->request_complete(book->store, request->id, request->at));
    TRY(book->store->ops->legs_open(book->store, request->id, &open, &wanted));
    if (open == 0) return retention_erase_all(book, request);
    return wanted == 0 ? retention_erase_body(book, request) : E_OK;
}

enum error submission_sweep(struct book *book) {
    struct store_request request;
    uint64_t keep_ms = book->config->staging_s * 1000;
    struct instant before = {book->now.ms > keep_ms ? book->now.ms - keep_ms : 0};
    for (int i = 0; i < SWEEPS_PER_BATCH; i++) {
        enum error error = book->store->ops->request_stale(book->store, before, &request);
        if (error == E_UNKNOWN_REQUEST) return E_OK;
        TRY(error);
        TRY(drop(book, &request));
    }
    return E_OK;
}
