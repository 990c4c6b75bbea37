/* body.c - fetching, checking and reading bodies, piece by piece. */
#include "body.h"

#include <stdio.h>

#include "content.h"
#include "fault.h"
#include "gossip.h"
#include "outbox.h"
#include "press.h"
#include "trail.h"

enum { FETCH_WINDOW = 8, CHUNKS_PER_COMMIT = 32 };

static const struct part *part_of(const struct header *header, enum part_number number) {
    if (number == PART_OFFER) return header->has_offer ? &header->offer : NULL;
    return header->has_body ? &header->body : NULL;
}

/* ---- fetching ---- */

struct fetch_work {
    struct home *home;
    struct relay *relay;
    const uint8_t *digest, *leg;
    const struct kept_request *request;
    const struct part *part;
    enum part_number number;
    uint64_t count, next, have;
    struct failure *failure;
};

static struct archive_key chunk_key(const struct fetch_work *work, uint64_t index) {
    return press_key(work->request->record.content, work->number, index);
}

/* The next index that is not here yet; `count` when all are here or asked for. */
static enum error skip_present(struct fetch_work *work) {
    for (bool present = true; work->next < work->count; work->next++) {
        TRY(archive_has(work->home->archive, TABLE_CHUNK, chunk_key(work, work->next), &present));
        if (!present) return E_OK;
        work->have++;
    }
    return E_OK;
}

static enum error ask(struct fetch_work *work) {
    struct fetch fetch = {.has_leg = work->leg != NULL, .part = work->number, .index = work->next};
    memcpy(fetch.header, work->digest, HASH_SIZE);
    if (work->leg) memcpy(fetch.leg, work->leg, HASH_SIZE);
    return relay_post(work->relay, MESSAGE_FETCH, &fetch, work->next++);
}

static enum error take_chunk(struct fetch_work *work, const struct relay_answer *answer) {
    if (answer->error != E_OK) return fail(work->failure, answer->error, "%s", answer->detail);
    struct chunk chunk;
    TRY(chunk_decode(answer->body, &chunk));
    if (memcmp(chunk.header, work->digest, HASH_SIZE) != 0 || chunk.part != (uint64_t)work->number ||
        chunk.index != answer->tag)
        return E_MISMATCH;
    if (chunk.data.n != chunks_size(work->part->length, chunk.index)) return E_BAD_DIGEST;
    work->have++;
    return archive_set(work->home->archive, TABLE_CHUNK, chunk_key(work, chunk.index), chunk.data);
}

/* The first chunk may have come along with what told of it. One of another size is passed over: it is asked for. */
static enum error take_along(struct fetch_work *work) {
    AUTO_BUF data = {0};
    if (work->next != 0 || !relay_take_along(work->relay, work->digest, work->number, &data)) return E_OK;
    if (data.n != chunks_size(work->part->length, 0)) return E_OK;
    TRY(archive_set(work->home->archive, TABLE_CHUNK, chunk_key(work, 0), buf_bytes(&data)));
    return skip_present(work);
}

static void report(const struct fetch_work *work) {
    uint64_t done = work->have * CHUNK_SIZE;
    relay_progress(work->relay, work->number == PART_BODY ? "fetching the body" : "fetching the offer",
                   done < work->part->length ? done : work->part->length, work->part->length);
}

/* At most some chunks, in one transaction. *ret_more: there are others. */
static enum error fetch_some(struct fetch_work *work, bool *ret_more) {
    for (unsigned taken = 0; taken < CHUNKS_PER_COMMIT;) {
        TRY(skip_present(work));
        while (work->next < work->count && relay_outstanding(work->relay) < FETCH_WINDOW) {
            TRY(ask(work));
            TRY(skip_present(work));
        }
        *ret_more = relay_outstanding(work->relay) > 0;
        if (!*ret_more) return E_OK;
        AUTO_ANSWER answer = {0};
        TRY(relay_collect(work->relay, &answer, work->failure));
        TRY(take_chunk(work, &answer));
        report(work);
        taken++;
    }
    return E_OK;
}

enum error body_fetch(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                      const uint8_t *leg, const struct kept_request *request, enum part_number part,
                      struct failure *failure) {
    struct fetch_work work = {.home = home,
                              .relay = relay,
                              .digest = digest,
                              .leg = leg,
                              .request = request,
                              .part = part_of(&request->header, part),
                              .number = part,
                              .failure = failure};
    if (!work.part) return E_NO_BODY;
    work.count = chunks_count(work.part->length);
    if (work.count == 0) return E_MALFORMED;
    TRY(skip_present(&work));
    TRY(take_along(&work));
    if (work.next == work.count) return E_OK; /* all here: nobody is asked */
    for (bool more = true; more;) {
        TRY(archive_begin(home->archive));
        enum error error = fetch_some(&work, &more);
        if (error != E_OK) relay_abandon(relay);
        /* What has come is kept also when the link breaks. */
        enum error kept = archive_commit(home->archive);
        TRY(error);
        TRY(kept);
    }
    return E_OK;
}

enum error body_drop(struct home *home, const struct kept_request *request, enum part_number part) {
    return archive_delete_all(home->archive, TABLE_CHUNK, SCOPE_AB, press_key(request->record.content, part, 0));
}

/* ---- reading ---- */

static struct content_context context_of(const struct header *header, enum part_number number) {
    struct content_context context = {.part = number, .exercise = header->exercise};
    memcpy(context.request, header->request, REQUEST_ID_SIZE);
    memcpy(context.device, header->device, KEY_SIZE);
    return context;
}

/* One chunk as it was fetched, and its digest behind those before it. */
static enum error read_chunk(struct home *home, const struct kept_request *request, enum part_number number,
                             uint64_t index, struct buf *ret, struct buf *digests) {
    bool found = false;
    uint8_t digest[HASH_SIZE];
    buf_clear(ret);
    TRY(archive_get(home->archive, TABLE_CHUNK, press_key(request->record.content, number, index), ret, &found));
    if (!found) return E_NOT_COMPLETE;
    chunk_digest(buf_bytes(ret), digest);
    buf_add(digests, digest, sizeof digest);
    return buf_error(digests);
}

enum error body_intact(struct home *home, const struct kept_request *request, enum part_number number) {
    const struct part *part = part_of(&request->header, number);
    if (!part) return E_NO_BODY;
    AUTO_BUF digests = {0}, chunk = {0};
    for (uint64_t i = 0; i < chunks_count(part->length); i++)
        TRY(read_chunk(home, request, number, i, &chunk, &digests));
    return chunks_check_digests(part->length, part->digest, buf_bytes(&digests));
}

enum error body_walk(struct home *home, const struct kept_request *request, enum part_number number,
                     enum error (*each)(void *context, uint64_t at, struct bytes plain), void *context) {
    const struct part *part = part_of(&request->header, number);
    if (!part) return E_NO_BODY;
    const uint8_t *key = number == PART_OFFER ? request->record.offer_key : request->record.body_key;
    struct content_context binding = context_of(&request->header, number);
    uint64_t count = chunks_count(part->length);
    AUTO_BUF digests = {0}, chunk = {0}, plain = {0};
    for (uint64_t i = 0; i < count; i++) {
        buf_clear(&plain);
        TRY(read_chunk(home, request, number, i, &chunk, &digests));
        TRY(content_open_chunk(&binding, key, i, i + 1 == count, buf_bytes(&chunk), &plain));
        TRY(each(context, i * CHUNK_PLAIN, buf_bytes(&plain)));
    }
    return chunks_check_digests(part->length, part->digest, buf_bytes(&digests));
}

/* ---- checking a body ---- */

struct check {
    const struct kept_request *request;
    uint64_t plain;        /* where the files end and the zeros begin */
    struct buf checkpoint; /* the sender's newest head of the directory, if it came */
};

static bool all_zeros(struct bytes bytes) {
    uint8_t any = 0;
    for (size_t i = 0; i < bytes.n; i++) any |= bytes.p[i];
    return any == 0;
}

static enum error check_head(struct check *check, struct bytes first) {
    struct manifest manifest;
    struct file file;
    size_t size = 0;
    TRY(content_open_manifest(first, &check->request->header, &manifest, &size));
    check->plain = size;
    if (manifest.has_checkpoint) buf_add_bytes(&check->checkpoint, manifest.checkpoint);
    TRY(buf_error(&check->checkpoint));
    struct list files = manifest.files;
    while (file_next(&files, &file)) {
        if (file.length > PART_MAX - check->plain) return E_OUT_OF_RANGE;
        check->plain += file.length;
    }
    return content_length(check->plain) == check->request->header.body.length ? E_OK : E_BAD_PADDING;
}

static enum error check_piece(void *context, uint64_t at, struct bytes plain) {
    struct check *check = context;
    if (at == 0) TRY(check_head(check, plain));
    if (at + plain.n <= check->plain) return E_OK;
    size_t from = at >= check->plain ? 0 : (size_t)(check->plain - at);
    return all_zeros(bytes_of(plain.p + from, plain.n - from)) ? E_OK : E_BAD_PADDING;
}

static enum error check_body(struct home *home, const struct kept_request *request, struct buf *ret_checkpoint) {
    struct check check = {.request = request};
    enum error error = body_walk(home, request, PART_BODY, check_piece, &check);
    *ret_checkpoint = buf_take(&check.checkpoint);
    return error;
}

enum error body_check(struct home *home, const struct kept_request *request) {
    AUTO_BUF checkpoint = {0};
    return check_body(home, request, &checkpoint);
}

/* ---- receiving ---- */

static enum error keep_whole(struct home *home, const uint8_t *digest, const uint8_t *leg, struct kept_request *request,
                             struct bytes checkpoint) {
    if (checkpoint.n) TRY(gossip_hear(home, request->header.from, checkpoint));
    request->record.whole = true;
    TRY(kept_save(home->archive, digest, &request->record));
    struct saying saying = {.event = EVENT_HANDED_OVER, .header = digest, .leg = leg};
    TRY(outbox_say(home, &saying, 1, NULL));
    return trail_duty_done(home, digest, leg, EVENT_HANDED_OVER);
}

static enum error settle(struct home *home, const uint8_t *digest, const uint8_t *leg, struct kept_request *request,
                         struct bytes checkpoint) {
    TRY(archive_begin(home->archive));
    enum error error = keep_whole(home, digest, leg, request, checkpoint);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

enum error body_receive(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                        const uint8_t leg[static HASH_SIZE], struct failure *failure) {
    AUTO_REQUEST request = {0};
    TRY(kept_load(home->archive, digest, &request));
    if (request.record.whole) return E_OK;
    if (!request.header.has_body) return E_NO_BODY;
    if (!request.record.has_body_key) return E_NOT_FOR_US;
    TRY(body_fetch(home, relay, digest, leg, &request, PART_BODY, failure));
    FAULT("body.archived");
    AUTO_BUF checkpoint = {0};
    enum error error = check_body(home, &request, &checkpoint);
    if (error == E_OK) return settle(home, digest, leg, &request, buf_bytes(&checkpoint));
    if (!outbox_is_fatal(error)) TRY(body_drop(home, &request, PART_BODY));
    return error;
}

/* ---- the caller's view: files ---- */

static enum error fetch_own(struct home *home, struct relay *relay, const uint8_t *digest, struct kept_request *request,
                            struct failure *failure) {
    TRY(body_fetch(home, relay, digest, NULL, request, PART_BODY, failure));
    enum error error = body_check(home, request);
    if (error != E_OK) {
        if (!outbox_is_fatal(error)) TRY(body_drop(home, request, PART_BODY));
        return error;
    }
    request->record.whole = true;
    return kept_save(home->archive, digest, &request->record);
}

static enum error fetch_received(struct home *home, struct relay *relay, const uint8_t *digest,
                                 struct failure *failure) {
    AUTO_LEGS legs = {0};
    TRY(kept_legs_load(home->archive, digest, &legs));
    if (legs.count != 1) return E_CORRUPT;
    TRY(body_receive(home, relay, digest, legs.legs[0].leg, failure));
    struct outbox_summary summary;
    return outbox_send_statements(home, relay, NULL, &summary, failure);
}

/* Why a body that is not here cannot be had without asking. */
static enum error not_here(struct home *home, const uint8_t *digest, const struct kept_request *request) {
    AUTO_LEGS legs = {0};
    TRY(kept_legs_load(home->archive, digest, &legs));
    if (request->record.mine || legs.count != 1) return E_UNREACHABLE;
    return leg_releases_body((enum leg_state)legs.legs[0].record.state, header_leg_kind(&request->header))
               ? E_UNREACHABLE
               : E_NOT_ACCEPTED;
}

static enum error ensure_body(struct home *home, struct relay *relay, const uint8_t *digest,
                              struct kept_request *request, struct failure *failure) {
    TRY(kept_load(home->archive, digest, request));
    if (!request->header.has_body) return E_NO_BODY;
    if (!request->record.has_body_key) return E_NOT_FOR_US;
    if (request->record.whole) return E_OK;
    enum error missing = not_here(home, digest, request);
    if (!relay || missing == E_NOT_ACCEPTED) return missing;
    if (request->record.mine) return fetch_own(home, relay, digest, request, failure);
    return fetch_received(home, relay, digest, failure);
}

struct listing {
    const struct kept_request *request;
    struct body_file *files;
    size_t max, count;
    uint64_t first; /* where the first file's bytes begin */
};

static enum error list_files(struct listing *listing, struct bytes plain) {
    struct manifest manifest;
    struct file file;
    size_t size = 0;
    TRY(content_open_manifest(plain, &listing->request->header, &manifest, &size));
    listing->first = size;
    struct list files = manifest.files;
    while (file_next(&files, &file) && listing->count < listing->max) {
        struct body_file *to = &listing->files[listing->count++];
        *to = (struct body_file){.length = file.length};
        if (file.has_name) memcpy(to->name, file.name.p, file.name.n);
    }
    return E_OK;
}

/* The first chunk alone, which holds the manifest. */
static enum error read_manifest(struct home *home, const struct kept_request *request, struct listing *listing) {
    struct content_context binding = context_of(&request->header, PART_BODY);
    AUTO_BUF chunk = {0}, plain = {0};
    bool found = false;
    TRY(archive_get(home->archive, TABLE_CHUNK, press_key(request->record.content, PART_BODY, 0), &chunk, &found));
    if (!found) return E_CORRUPT;
    bool last = chunks_count(request->header.body.length) == 1;
    TRY(content_open_chunk(&binding, request->record.body_key, 0, last, buf_bytes(&chunk), &plain));
    return list_files(listing, buf_bytes(&plain));
}

static enum error explain(struct failure *failure, enum error error, const uint8_t *digest) {
    if (error == E_OK || (failure && failure->error == error)) return error;
    char reference[TEXT_REFERENCE_SIZE];
    text_reference(digest, reference);
    return fail(failure, error, "%s", reference);
}

enum error client_body_files(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                             struct body_file *ret, size_t max, size_t *ret_count, struct failure *failure) {
    AUTO_REQUEST request = {0};
    enum error error = ensure_body(home, relay, digest, &request, failure);
    struct listing listing = {.request = &request, .files = ret, .max = max};
    if (error == E_OK) error = read_manifest(home, &request, &listing);
    if (error != E_OK) return explain(failure, error, digest);
    *ret_count = listing.count;
    return E_OK;
}

struct slice {
    uint64_t from, to;
    enum error (*write)(void *context, struct bytes piece);
    void *context;
};

static enum error give_slice(void *context, uint64_t at, struct bytes plain) {
    struct slice *slice = context;
    uint64_t end = at + plain.n, from = slice->from > at ? slice->from : at, to = slice->to < end ? slice->to : end;
    if (from >= to) return E_OK;
    return slice->write(slice->context, bytes_of(plain.p + (from - at), (size_t)(to - from)));
}

enum error client_body_read(struct home *home, const uint8_t digest[static HASH_SIZE], size_t file_index,
                            enum error (*write)(void *context, struct bytes piece), void *context,
                            struct failure *failure) {
    AUTO_REQUEST request = {0};
    enum error error = ensure_body(home, NULL, digest, &request, failure);
    if (error != E_OK) return explain(failure, error, digest);
    AUTO_FREE(struct body_file) files = calloc(PARTS_MAX, sizeof *files);
    if (!files) return fail(failure, E_NO_MEMORY, "the body");
    struct listing listing = {.request = &request, .files = files, .max = PARTS_MAX};
    error = read_manifest(home, &request, &listing);
    if (error == E_OK && file_index >= listing.count) error = E_OUT_OF_RANGE;
    if (error != E_OK) return explain(failure, error, digest);
    struct slice slice = {.from = listing.first, .write = write, .context = context};
    for (size_t i = 0; i < file_index; i++) slice.from += files[i].length;
    slice.to = slice.from + files[file_index].length;
    return explain(failure, body_walk(home, &request, PART_BODY, give_slice, &slice), digest);
}
