/* submit.c - one request on its way to the relay: header, places, wrap sets, chunks; and what comes back leg by leg. */
#include "outbox.h"

#include <assert.h>
#include <stdio.h>

#include "chunks.h"
#include "fault.h"
#include "freshness.h"
#include "mirror.h"
#include "proofs.h"
#include "trail.h"
#include "wraps.h"

enum {
    ATTEMPTS_MAX = 5,              /* with a newer directory each time */
    INLINE_BYTES_MAX = 256 * 1024, /* content up to this size travels within the submission */
    INLINE_CHUNKS_MAX = 16,
    CHUNK_WINDOW = 8,
    FRAME_RESERVE = 8 * 1024, /* of a message, for what surrounds the lists */
};

struct shipment {
    struct home *home;
    struct relay *relay;
    const uint8_t *digest;
    struct kept_request request;
    struct kept_legs legs;
    bool *held;     /* per leg: not now */
    bool *answered; /* per leg, in this attempt */
    bool first;     /* the next submission is the first of this attempt */
    struct failure *failure;
};

static bool sendable(const struct shipment *shipment, size_t i) {
    const struct keptleg *leg = &shipment->legs.legs[i].record;
    return !shipment->held[i] && !shipment->answered[i] && !kept_leg_stored(leg) && !kept_leg_refused(leg) &&
           leg->has_wrapset;
}

/* ---- results ---- */

static struct kept_leg *find_leg(struct shipment *shipment, const uint8_t id[static HASH_SIZE], size_t *ret_index) {
    for (size_t i = 0; i < shipment->legs.count; i++) {
        if (memcmp(shipment->legs.legs[i].leg, id, HASH_SIZE) != 0) continue;
        *ret_index = i;
        return &shipment->legs.legs[i];
    }
    return NULL;
}

/* Its number will never arrive: the next wrap to that post says so. */
static enum error add_void(struct shipment *shipment, const struct kept_leg *leg) {
    struct opening opening;
    struct archive *archive = shipment->home->archive;
    if (opening_decode(leg->record.place.opening, &opening) != E_OK) return E_CORRUPT;
    return archive_set(archive, TABLE_VOID, wraps_post_key(archive, leg->record.to, opening.sequence),
                       (struct bytes){0});
}

/* The numbers that this leg's wrap has declared void are told. */
static enum error voids_told(struct shipment *shipment, const struct kept_leg *leg) {
    struct opening opening;
    struct archive *archive = shipment->home->archive;
    if (opening_decode(leg->record.place.opening, &opening) != E_OK) return E_CORRUPT;
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_VOID, SCOPE_A, wraps_post_key(archive, leg->record.to, 0));
    size_t count = 0;
    for (bool found = true; count < VOIDS_MAX; count++) {
        TRY(archive_next(archive, &cursor, &value, &found));
        if (!found || cursor.key.n > opening.sequence) return E_OK;
        TRY(archive_delete(archive, TABLE_VOID, cursor.key));
    }
    return E_OK;
}

static enum error leg_stored(struct shipment *shipment, struct kept_leg *leg, struct bytes receipt) {
    enum trail_outcome outcome;
    TRY(trail_apply(shipment->home, shipment->digest, &shipment->request, leg, receipt, &outcome));
    if (!kept_leg_stored(&leg->record)) return E_MISMATCH;
    return voids_told(shipment, leg);
}

/* A refusal is believed when it is signed; what only the gate said (no signature) is kept as said. */
static enum error leg_refused(struct shipment *shipment, struct kept_leg *leg, enum error reason, const uint8_t *named,
                              bool has_receipt, struct bytes receipt) {
    if (has_receipt) TRY(trail_check_refusal(shipment->home, shipment->digest, named, reason, receipt));
    leg->record.refused = reason;
    leg->record.has_refusal = has_receipt;
    leg->record.refusal = receipt;
    TRY(kept_leg_save(shipment->home->archive, shipment->digest, leg->leg, &leg->record));
    leg->record.has_refusal = false; /* its view ends with the answer */
    leg->record.refusal = (struct bytes){0};
    return add_void(shipment, leg);
}

static enum error leg_waits(struct shipment *shipment, struct kept_leg *leg, enum error reason) {
    leg->record.refused = reason;
    if (reason == E_STALE_DIRECTORY) {
        leg->record.has_wrapset = false;
    }
    return kept_leg_save(shipment->home->archive, shipment->digest, leg->leg, &leg->record);
}

static enum error take_result(struct shipment *shipment, const struct result *result) {
    size_t index = 0;
    struct kept_leg *leg = find_leg(shipment, result->subject, &index);
    if (!leg) return E_MISMATCH;
    shipment->answered[index] = true;
    enum error said = result->error == E_OK ? E_OK : error_row((enum error)result->error)->error;
    if (said == E_OK) return result->has_receipt ? leg_stored(shipment, leg, result->receipt) : E_WITHHELD;
    if (error_row(said)->again) return leg_waits(shipment, leg, said);
    return leg_refused(shipment, leg, said, leg->leg, result->has_receipt, result->receipt);
}

/* A result that does not verify is named and the leg stays where it was. */
static enum error take_results(struct shipment *shipment, const struct submitted *submitted) {
    struct list list = submitted->results;
    struct result result;
    while (result_next(&list, &result)) {
        enum error error = take_result(shipment, &result);
        if (error == E_OK) continue;
        if (outbox_is_fatal(error)) return error;
        char id[2 * 8 + 1];
        text_hex(shipment->digest, 8, id);
        TRY(proofs_receipt(shipment->home, result.receipt, error,
                           result.has_receipt ? "the relay's answer to submission %s does not hold: %s"
                                              : "the relay gave no receipt for submission %s: %s",
                           id, error_text(error)));
    }
    return E_OK;
}

static enum error all_refused(struct shipment *shipment, const struct relay_answer *answer) {
    for (size_t i = 0; i < shipment->legs.count; i++) {
        struct kept_leg *leg = &shipment->legs.legs[i];
        if (kept_leg_stored(&leg->record) || kept_leg_refused(&leg->record)) continue;
        shipment->answered[i] = true;
        TRY(leg_refused(shipment, leg, answer->error, NULL, answer->refusal.p != NULL, answer->refusal));
    }
    return E_OK;
}

static enum error all_wait(struct shipment *shipment, enum error reason) {
    for (size_t i = 0; i < shipment->legs.count; i++) {
        struct kept_leg *leg = &shipment->legs.legs[i];
        if (kept_leg_stored(&leg->record) || kept_leg_refused(&leg->record)) continue;
        shipment->answered[i] = true;
        TRY(leg_waits(shipment, leg, reason));
    }
    return E_OK;
}

/* The relay does not take this device's word at all: nothing to do with the request, which stays. */
static bool about_this_device(enum error error) {
    return error == E_UNKNOWN_DEVICE || error == E_REVOKED || error == E_CERTIFICATE_EXPIRED ||
           error == E_NOT_COUNTERSIGNED;
}

/* The whole message failed. */
static enum error take_failure(struct shipment *shipment, const struct relay_answer *answer) {
    /* The relay's own trouble with this one request is no reason to hold up the others. */
    if (outbox_is_fatal(answer->error) && answer->error != E_REFUSED_BY_RELAY) return all_wait(shipment, E_BUSY);
    if (answer->error == E_REFUSED_BY_RELAY || about_this_device(answer->error))
        return fail(shipment->failure, answer->error, "%s", answer->detail);
    if (error_row(answer->error)->again) return all_wait(shipment, answer->error);
    return all_refused(shipment, answer);
}

/* One answer to a submission or a chunk, as one transaction. *ret_submitted views the answer. */
static enum error take_answer(struct shipment *shipment, const struct relay_answer *answer,
                              struct submitted *ret_submitted) {
    struct archive *archive = shipment->home->archive;
    *ret_submitted = (struct submitted){0};
    FAULT("outbox.unanswered");
    TRY(archive_begin(archive));
    enum error error;
    if (answer->error != E_OK) {
        error = take_failure(shipment, answer);
    } else {
        error = submitted_decode(answer->body, ret_submitted);
        if (error == E_OK && memcmp(ret_submitted->header, shipment->digest, HASH_SIZE) != 0) error = E_MISMATCH;
        if (error == E_OK) error = take_results(shipment, ret_submitted);
    }
    if (error == E_OK) return archive_commit(archive);
    archive_rollback(archive);
    return error;
}

/* ---- chunks ---- */

static const struct part *part_of(const struct header *header, uint64_t number) {
    if (number == PART_OFFER) return header->has_offer ? &header->offer : NULL;
    return header->has_body ? &header->body : NULL;
}

static enum error load_chunk(struct shipment *shipment, uint64_t part, uint64_t index, struct buf *out) {
    uint8_t column[HASH_SIZE] = {0};
    column[HASH_SIZE - 1] = (uint8_t)part;
    bool found = false;
    TRY(archive_get(shipment->home->archive, TABLE_CHUNK, archive_key(shipment->request.record.content, column, index),
                    out, &found));
    return found ? E_OK : E_CORRUPT;
}

static enum error post_chunk(struct shipment *shipment, uint64_t part, uint64_t index) {
    AUTO_BUF data = {0};
    TRY(load_chunk(shipment, part, index, &data));
    struct chunk chunk = {.part = part, .index = index, .data = buf_bytes(&data)};
    memcpy(chunk.header, shipment->digest, HASH_SIZE);
    return relay_post(shipment->relay, MESSAGE_CHUNK, &chunk, index);
}

/* The relay no longer knows the submission (its staging time is over): submitting again brings it back. */
static enum error chunk_answer(struct shipment *shipment, const struct relay_answer *answer) {
    if (answer->error == E_UNKNOWN_REQUEST) return E_OK;
    struct submitted submitted;
    return take_answer(shipment, answer, &submitted);
}

static enum error send_chunks(struct shipment *shipment, const struct want *want) {
    const struct part *part = part_of(&shipment->request.header, want->part);
    uint64_t count = part ? chunks_count(part->length) : 0;
    if (want->index >= count) return E_NO_SUCH_CHUNK;
    uint64_t next = want->index, answered = want->index;
    const char *what = want->part == PART_BODY ? "sending the body" : "sending the offer";
    while (answered < count) {
        while (next < count && relay_outstanding(shipment->relay) < CHUNK_WINDOW)
            TRY(post_chunk(shipment, want->part, next++));
        AUTO_ANSWER answer = {0};
        TRY(relay_collect(shipment->relay, &answer, shipment->failure));
        TRY(chunk_answer(shipment, &answer));
        answered++;
        if (answer.error != E_OK) next = count; /* no use to go on; what is under way is still answered */
        if (answer.error != E_OK && relay_outstanding(shipment->relay) == 0) return E_OK;
        relay_progress(shipment->relay, what,
                       answered * CHUNK_SIZE < part->length ? answered * CHUNK_SIZE : part->length, part->length);
        if (next == count && relay_outstanding(shipment->relay) == 0) return E_OK;
    }
    return E_OK;
}

static enum error send_wants(struct shipment *shipment, struct list wants) {
    struct want want;
    while (want_next(&wants, &want)) {
        enum error error = send_chunks(shipment, &want);
        if (error == E_OK) continue;
        relay_abandon(shipment->relay);
        return error;
    }
    return E_OK;
}

/* ---- the submission ---- */

static enum error add_inline(struct shipment *shipment, uint64_t number, struct buf *out, size_t *count) {
    const struct part *part = part_of(&shipment->request.header, number);
    uint64_t chunks = part ? chunks_count(part->length) : 0;
    for (uint64_t i = 0; i < chunks; i++) {
        AUTO_BUF data = {0};
        TRY(load_chunk(shipment, number, i, &data));
        struct chunk chunk = {.part = number, .index = i, .data = buf_bytes(&data)};
        memcpy(chunk.header, shipment->digest, HASH_SIZE);
        chunk_encode(&chunk, out);
        (*count)++;
    }
    return buf_error(out);
}

/* Small content travels along; large content is asked for by the relay. */
static bool goes_inline(const struct header *header, size_t room) {
    uint64_t bytes = 0, chunks = 0;
    for (uint64_t number = PART_OFFER; number <= PART_BODY; number++) {
        const struct part *part = part_of(header, number);
        if (!part) continue;
        bytes += part->length;
        chunks += chunks_count(part->length);
    }
    return bytes <= INLINE_BYTES_MAX && chunks <= INLINE_CHUNKS_MAX && bytes + chunks * 128 <= room / 2;
}

static void add_places(const struct shipment *shipment, struct buf *out) {
    for (size_t i = 0; i < shipment->legs.count; i++) place_encode(&shipment->legs.legs[i].record.place, out);
}

/* As many wrap sets as fit. The own post's goes with the first. */
static void add_wrapsets(struct shipment *shipment, size_t room, bool *taken, struct buf *out, size_t *count) {
    const struct keptrequest *record = &shipment->request.record;
    if (shipment->first && record->has_wrapset) {
        cbor_put_bytes(out, record->wrapset);
        (*count)++;
    }
    for (size_t i = 0; i < shipment->legs.count; i++) {
        struct bytes wrapset = shipment->legs.legs[i].record.wrapset;
        if (!sendable(shipment, i) || out->n + wrapset.n + 8 > room) continue;
        cbor_put_bytes(out, wrapset);
        (*count)++;
        taken[i] = true;
    }
}

static enum error make_submit(struct shipment *shipment, bool *taken, struct relay_answer *ret) {
    AUTO_BUF places = {0}, wrapsets = {0}, chunks = {0};
    size_t wrapset_count = 0, chunk_count = 0;
    const struct keptrequest *record = &shipment->request.record;
    add_places(shipment, &places);
    size_t base = record->header.n + places.n + record->offer_digests.n + record->body_digests.n + FRAME_RESERVE;
    if (base + WRAPSET_MAX + STAMPED_OVERHEAD > MESSAGE_MAX) return fail(shipment->failure, E_TOO_LARGE, "the request");
    if (shipment->first && goes_inline(&shipment->request.header, MESSAGE_MAX - base)) {
        TRY(add_inline(shipment, PART_OFFER, &chunks, &chunk_count));
        TRY(add_inline(shipment, PART_BODY, &chunks, &chunk_count));
    }
    add_wrapsets(shipment, MESSAGE_MAX - base - chunks.n, taken, &wrapsets, &wrapset_count);
    if (places.failed || wrapsets.failed || chunks.failed) return E_NO_MEMORY;
    struct submit submit = {.header = record->header,
                            .places = list_of(&places, shipment->legs.count),
                            .wrapsets = list_of(&wrapsets, wrapset_count),
                            .chunks = list_of(&chunks, chunk_count),
                            .has_offer_digests = record->has_offer_digests,
                            .offer_digests = record->offer_digests,
                            .has_body_digests = record->has_body_digests,
                            .body_digests = record->body_digests};
    memcpy(submit.seed, record->seed, HASH_SIZE);
    enum error error = relay_post(shipment->relay, MESSAGE_SUBMIT, &submit, 0);
    if (error != E_OK) return fail(shipment->failure, error, "the request");
    return relay_collect(shipment->relay, ret, shipment->failure);
}

static bool anything_sendable(const struct shipment *shipment) {
    for (size_t i = 0; i < shipment->legs.count; i++)
        if (sendable(shipment, i)) return true;
    return false;
}

/* Submits until every leg that can go has been answered. Each round must bring an answer for some leg or take chunks.
 */
static enum error submit_all(struct shipment *shipment) {
    AUTO_FREE(bool) taken = calloc(shipment->legs.count + 1, sizeof *taken);
    if (!taken) return E_NO_MEMORY;
    shipment->first = true;
    memset(shipment->answered, 0, shipment->legs.count * sizeof *shipment->answered);
    for (unsigned idle = 0; anything_sendable(shipment) && idle < ATTEMPTS_MAX; idle++) {
        AUTO_ANSWER answer = {0};
        struct submitted submitted;
        memset(taken, 0, shipment->legs.count * sizeof *taken);
        TRY(make_submit(shipment, taken, &answer));
        TRY(take_answer(shipment, &answer, &submitted));
        shipment->first = submitted.wants.count > 0;
        if (submitted.wants.count > 0) TRY(send_wants(shipment, submitted.wants));
        for (size_t i = 0; i < shipment->legs.count; i++)
            if (taken[i] && shipment->answered[i]) idle = 0;
    }
    return E_OK;
}

static bool same_queue(const struct held_post *held, const struct header *header, struct bytes post) {
    return held->precedence == header->precedence && held->exercise == header->exercise &&
           held->reply == header->has_parent && bytes_are(post, held->post);
}

static const struct held_post *find_held(const struct buf *held, const struct header *header, struct bytes post) {
    const struct held_post *posts = (const struct held_post *)(const void *)held->p;
    for (size_t i = 0; i < held->n / sizeof *posts; i++)
        if (same_queue(&posts[i], header, post)) return &posts[i];
    return NULL;
}

static enum error mark_held(struct shipment *shipment, const struct buf *held) {
    free(shipment->held);
    free(shipment->answered);
    shipment->held = calloc(shipment->legs.count + 1, sizeof *shipment->held);
    shipment->answered = calloc(shipment->legs.count + 1, sizeof *shipment->answered);
    if (!shipment->held || !shipment->answered) return E_NO_MEMORY;
    for (size_t i = 0; i < shipment->legs.count; i++)
        shipment->held[i] = find_held(held, &shipment->request.header, shipment->legs.legs[i].record.to) != NULL;
    return E_OK;
}

static size_t count_waiting(const struct shipment *shipment, enum error why) {
    size_t count = 0;
    for (size_t i = 0; i < shipment->legs.count; i++)
        count += !shipment->held[i] && !kept_leg_stored(&shipment->legs.legs[i].record) &&
                 shipment->legs.legs[i].record.refused == (uint64_t)why;
    return count;
}

/* Again for legs whose recipients have changed in the directory, and for those that a busy relay put off, as long as
 * that brings some of them on. */
static enum error ship(struct shipment *shipment, const struct buf *held) {
    size_t busy_before = SIZE_MAX;
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        enum error gate =
            freshness_gate(shipment->home, relay_now(shipment->relay), &shipment->request.header);
        if (gate == E_NOT_WITNESSED) return all_wait(shipment, gate);
        TRY(gate);
        TRY(wraps_prepare(shipment->home, shipment->relay, shipment->digest, &shipment->request, &shipment->legs,
                          shipment->held, shipment->failure));
        TRY(submit_all(shipment));
        size_t stale = count_waiting(shipment, E_STALE_DIRECTORY), busy = count_waiting(shipment, E_BUSY);
        if (stale == 0 && (busy == 0 || busy >= busy_before)) return E_OK;
        if (busy < busy_before) attempt = 0;
        busy_before = busy;
        if (stale > 0) TRY(mirror_update(shipment->home, shipment->relay, shipment->failure));
        TRY(mark_held(shipment, held));
    }
    return E_OK;
}

/* What is left: the queues that later requests must wait in. A leg that waited for another's sake says why that one
 * waits. */
static enum error hold_rest(struct shipment *shipment, struct buf *held, bool *ret_done) {
    const struct header *header = &shipment->request.header;
    bool done = true;
    for (size_t i = 0; i < shipment->legs.count; i++) {
        struct kept_leg *leg = &shipment->legs.legs[i];
        if (kept_leg_stored(&leg->record) || kept_leg_refused(&leg->record)) continue;
        done = false;
        const struct held_post *before = find_held(held, header, leg->record.to);
        if (before && leg->record.refused != (uint64_t)before->why) {
            leg->record.refused = before->why;
            TRY(kept_leg_save(shipment->home->archive, shipment->digest, leg->leg, &leg->record));
        }
        if (before) continue;
        struct held_post post = {.precedence = header->precedence,
                                 .exercise = header->exercise,
                                 .reply = header->has_parent,
                                 .why = leg->record.refused ? (enum error)leg->record.refused : E_BUSY};
        memcpy(post.post, leg->record.to.p, leg->record.to.n);
        buf_add(held, &post, sizeof post);
    }
    *ret_done = done;
    return buf_error(held);
}

enum error submit_request(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                          struct buf *held, bool *ret_done, struct failure *failure) {
    struct shipment shipment = {.home = home, .relay = relay, .digest = digest, .failure = failure};
    enum error error = kept_load(home->archive, digest, &shipment.request);
    if (error == E_OK) error = kept_legs_load(home->archive, digest, &shipment.legs);
    if (error == E_OK) error = mark_held(&shipment, held);
    if (error == E_OK) error = ship(&shipment, held);
    if (error == E_OK) error = hold_rest(&shipment, held, ret_done);
    kept_request_free(&shipment.request);
    kept_legs_free(&shipment.legs);
    free(shipment.held);
    free(shipment.answered);
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "sending a request");
    return error;
}
