/* requests.c - every request by its signed header: columns, places, wrap sets, and the chunks that its digests name. */
#include <stdio.h>

#include "chunks.h"
#include "inspector.h"

struct work {
    struct submit kept;
    struct header header;
    uint8_t digest[HASH_SIZE];
    struct legs_leaf leaves[LEGS_MAX];
    struct cursor *chunks, *legs;
};

enum column { ID, DIGEST, DEVICE, REQUEST, SENDER, EXERCISE, STORED, KEPT, WAITING };

static enum error check_columns(struct inspector *inspector, struct cursor *cursor, const struct work *work) {
    const struct header *header = &work->header;
    const struct directory_device *device = directory_device(audit_directory(inspector->audit), header->device);
    bool same = rows_is(cursor, DIGEST, bytes_of(work->digest, HASH_SIZE)) &&
                rows_is(cursor, DEVICE, bytes_of(header->device, KEY_SIZE)) &&
                rows_is(cursor, REQUEST, bytes_of(header->request, REQUEST_ID_SIZE)) &&
                rows_is(cursor, SENDER, header->from) && rows_int(cursor, EXERCISE) == (int64_t)header->exercise;
    TRY(inspector_expect(inspector, same, "mismatch", E_MISMATCH, "the row is not what its signed header says"));
    bool its = device && bytes_are(header->from, device->post->name);
    return inspector_expect(inspector, its, "speaker", E_NOT_ALLOWED, "the header is of a device of another post");
}

/* The tree of legs, and the lists of chunk digests. */
static enum error check_whole(struct work *work) {
    const struct header *header = &work->header;
    const struct submit *kept = &work->kept;
    uint8_t root[HASH_SIZE];
    legs_leaves(kept->places, work->leaves);
    TRY(legs_root(work->leaves, kept->places.count, kept->seed, root));
    if (memcmp(root, header->legs, HASH_SIZE) != 0) return E_BAD_PROOF;
    if (header->has_offer != kept->has_offer_digests || header->has_body != kept->has_body_digests) return E_MISMATCH;
    if (header->has_offer) TRY(chunks_check_digests(header->offer.length, header->offer.digest, kept->offer_digests));
    return header->has_body ? chunks_check_digests(header->body.length, header->body.digest, kept->body_digests) : E_OK;
}

/* Each is signed by whom it names, and of this request. */
static enum error check_wrapsets(struct list list, const uint8_t digest[static HASH_SIZE]) {
    struct bytes stamped, payload;
    struct wrapset set;
    while (list_next_bytes(&list, &stamped)) {
        TRY(stamp_peek(stamped, &payload));
        TRY(wrapset_decode(payload, &set));
        TRY(stamp_verify(LABEL_WRAPSET, set.signer, stamped, NULL));
        if (memcmp(set.header, digest, HASH_SIZE) != 0) return E_MISMATCH;
    }
    return E_OK;
}

/* A submission that still waits for chunks is the one that is kept, with all its wrap sets. */
static enum error check_waiting(const struct work *work, struct bytes bytes) {
    struct submit waiting;
    struct header header;
    uint8_t digest[HASH_SIZE];
    TRY(submit_decode(bytes, &waiting));
    TRY(header_open(waiting.header, &header, digest));
    bool same = memcmp(digest, work->digest, HASH_SIZE) == 0 &&
                bytes_equal(waiting.places.items, work->kept.places.items) &&
                memcmp(waiting.seed, work->kept.seed, HASH_SIZE) == 0 &&
                bytes_equal(waiting.offer_digests, work->kept.offer_digests) &&
                bytes_equal(waiting.body_digests, work->kept.body_digests) && waiting.chunks.count == 0;
    return same ? check_wrapsets(waiting.wrapsets, digest) : E_MISMATCH;
}

/* ---- chunks ---- */

static const struct part *part_of(const struct work *work, int64_t number, struct bytes *ret_digests) {
    *ret_digests = number == PART_OFFER ? work->kept.offer_digests : work->kept.body_digests;
    if (number == PART_OFFER) return work->header.has_offer ? &work->header.offer : NULL;
    return number == PART_BODY && work->header.has_body ? &work->header.body : NULL;
}

static enum error check_chunk(struct inspector *inspector, const struct work *work, uint64_t ret_seen[static 3]) {
    struct cursor *cursor = work->chunks;
    struct bytes digests, data = rows_bytes(cursor, 3);
    int64_t number = rows_int(cursor, 1), index = rows_int(cursor, 2);
    const struct part *part = part_of(work, number, &digests);
    uint8_t digest[HASH_SIZE];
    inspector_at(inspector, "chunk", rows_int(cursor, 0));
    inspector_what(inspector, "request", bytes_of(work->digest, HASH_SIZE));
    inspector->numbers->chunks++;
    bool known = part && index >= 0 && (uint64_t)index < digests.n / HASH_SIZE;
    if (!known)
        return inspector_tell(inspector, "left-over", E_NO_SUCH_CHUNK, "a chunk that the request does not have");
    ret_seen[number]++;
    chunk_digest(data, digest);
    bool same = data.n == chunks_size(part->length, (uint64_t)index) &&
                memcmp(digest, digests.p + (size_t)index * HASH_SIZE, HASH_SIZE) == 0;
    if (same) return E_OK;
    return inspector_tell(inspector, "digest", E_BAD_DIGEST,
                          "chunk %lld of the %s is not what the header's digests say", (long long)index,
                          number == PART_OFFER ? "offer" : "body");
}

/* Does the request still have to have the part? Whole, then; or, once it has gone, none of it. */
static enum error check_whole_part(struct inspector *inspector, const struct work *work, int64_t number, bool staged,
                                   bool needed, uint64_t seen) {
    struct bytes digests;
    const struct part *part = part_of(work, number, &digests);
    uint64_t count = part ? chunks_count(part->length) : 0;
    const char *name = number == PART_OFFER ? "offer" : "body";
    inspector_at(inspector, "chunk", -1);
    inspector_what(inspector, "request", bytes_of(work->digest, HASH_SIZE));
    if (staged) return E_OK; /* they are still coming */
    if (needed && seen < count)
        return inspector_tell(inspector, "missing", E_GAP, "the %s has %llu of its %llu chunks", name,
                              (unsigned long long)seen, (unsigned long long)count);
    if (!needed && seen > 0)
        return inspector_tell(inspector, "left-over", E_MISMATCH, "the %s should have been erased", name);
    return E_OK;
}

static enum error check_chunks(struct inspector *inspector, struct cursor *cursor, const struct work *work) {
    int64_t id = rows_int(cursor, ID);
    uint64_t seen[3] = {0};
    bool row, staged = rows_int(cursor, STORED) == 0;
    TRY(rows_again(work->chunks, &id, 1));
    for (;;) {
        TRY(rows_next(work->chunks, &row));
        if (!row) break;
        TRY(check_chunk(inspector, work, seen));
    }
    TRY(rows_again(work->legs, &id, 1));
    TRY(rows_next(work->legs, &row));
    bool open = row && rows_int(work->legs, 0) > 0, wanted = row && rows_int(work->legs, 1) > 0;
    TRY(check_whole_part(inspector, work, PART_OFFER, staged, open, seen[PART_OFFER]));
    return check_whole_part(inspector, work, PART_BODY, staged, wanted, seen[PART_BODY]);
}

/* ---- rows ---- */

static enum error one_request(struct inspector *inspector, struct cursor *cursor, void *context) {
    struct work *work = context;
    inspector_at(inspector, "request", rows_int(cursor, ID));
    inspector_what(inspector, "request", rows_bytes(cursor, DIGEST));
    inspector->numbers->requests++;
    enum error error = submit_decode(rows_bytes(cursor, KEPT), &work->kept);
    if (error == E_OK) error = header_open(work->kept.header, &work->header, work->digest);
    if (error != E_OK)
        return inspector_tell(inspector, "header", error, "the signed header does not hold (%s)",
                              error_row(error)->name);
    TRY(check_columns(inspector, cursor, work));
    error = check_whole(work);
    if (error == E_OK) error = check_wrapsets(work->kept.wrapsets, work->digest);
    if (error == E_OK && work->kept.chunks.count > 0) error = E_MALFORMED;
    if (error != E_OK)
        return inspector_tell(inspector, "header", error, "what is kept with the header does not belong to it (%s)",
                              error_row(error)->name);
    bool stored = rows_int(cursor, STORED) != 0, waits = !rows_null(cursor, WAITING);
    if (waits) error = check_waiting(work, rows_bytes(cursor, WAITING));
    TRY(inspector_expect(inspector, error == E_OK && !(stored && waits), "mismatch", E_MISMATCH,
                         "the submission that waits for chunks is not this request's"));
    enum error read = check_chunks(inspector, cursor, work);
    if (read != E_CORRUPT) return read;
    inspector_at(inspector, "chunk", -1);
    inspector_what(inspector, "request", bytes_of(work->digest, HASH_SIZE));
    return inspector_tell(inspector, "unreadable", E_CORRUPT, "the chunks of this request cannot all be read");
}

static enum error one_conflict(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    struct header header;
    uint8_t digest[HASH_SIZE];
    inspector_at(inspector, "conflict", rows_int(cursor, 0));
    inspector_what(inspector, "request", rows_bytes(cursor, 1));
    enum error error = header_open(rows_bytes(cursor, 2), &header, digest);
    bool same = error == E_OK && rows_is(cursor, 1, bytes_of(digest, sizeof digest)) &&
                rows_is(cursor, 3, bytes_of(header.device, KEY_SIZE)) &&
                rows_is(cursor, 4, bytes_of(header.request, REQUEST_ID_SIZE)) &&
                !rows_is(cursor, 5, bytes_of(digest, sizeof digest));
    return inspector_expect(inspector, same, "mismatch", error == E_OK ? E_MISMATCH : error,
                            "the second header of a request, kept as proof, does not hold");
}

static enum error left_chunk(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_at(inspector, "chunk", rows_int(cursor, 0));
    return inspector_tell(inspector, "left-over", E_UNKNOWN_REQUEST, "a chunk of request row %lld, which is not there",
                          (long long)rows_int(cursor, 1));
}

static enum error all(struct inspector *inspector, struct work *work) {
    int64_t none = 0;
    TRY(rows_select(inspector->rows, "SELECT rowid, part, idx, data FROM chunk WHERE request = ? ORDER BY part, idx",
                    &none, 1, &work->chunks));
    TRY(rows_select(inspector->rows,
                    "SELECT count(*), ifnull(sum(body >= 0), 0) FROM leg WHERE request = ? AND state < 8", &none, 1,
                    &work->legs));
    TRY(inspector_each(
        inspector, "request",
        "SELECT id, digest, device, request, sender, exercise, stored, kept, waiting FROM request ORDER BY id", work,
        one_request));
    TRY(inspector_each(inspector, "conflict",
                       "SELECT c.rowid, c.digest, c.header, r.device, r.request, r.digest FROM conflict c "
                       "LEFT JOIN request r ON r.id = c.request",
                       NULL, one_conflict));
    return inspector_each(inspector, "chunk",
                          "SELECT rowid, request FROM chunk WHERE request NOT IN (SELECT id FROM request)", NULL,
                          left_chunk);
}

enum error inspect_requests(struct inspector *inspector) {
    AUTO_FREE(struct work) work = calloc(1, sizeof *work);
    if (!work) return E_NO_MEMORY;
    enum error error = all(inspector, work);
    rows_end(work->chunks);
    rows_end(work->legs);
    if (error != E_CORRUPT) return error;
    inspector_at(inspector, "request", -1);
    return inspector_tell(inspector, "unreadable", E_CORRUPT, "the requests cannot be read");
}
