/* wraps.c - from content keys to signed wrap sets. */
#include "wraps.h"

#include <sodium.h>

#include "pairs.h"
#include "wrapping.h"

struct job { /* one wrap set to make; leg NULL: for the own post */
    struct kept_leg *leg;
    struct bytes post;
    uint32_t generation;
    struct buf payload;
    size_t targets;
    bool made;
};

struct bench {
    struct home *home;
    struct relay *relay;
    const uint8_t *digest;
    struct kept_request *request;
    struct job *jobs;
    size_t count;
    uint64_t size;
    uint8_t root[HASH_SIZE];
    enum error
        unpaired; /* E_OK, or why no wraps can be made for the legs: a shared secret that is required is not here */
    bool paired;  /* those for the legs are made under secrets shared with their parties */
    struct failure *failure;
};

struct archive_key wraps_post_key(const struct archive *archive, struct bytes post, uint64_t number) {
    uint8_t hash[HASH_SIZE];
    archive_hash(archive, post, hash);
    return archive_key(hash, NULL, number);
}

/* ---- for whom ---- */

static const struct prekey *find_prekey(const struct prekey *prekeys, size_t count,
                                        const uint8_t device[static KEY_SIZE]) {
    for (size_t i = 0; i < count; i++)
        if (memcmp(prekeys[i].device, device, KEY_SIZE) == 0) return &prekeys[i];
    return NULL;
}

enum error wraps_current(const struct prekey *prekey, struct instant now) {
    if (prekey->day * DAY_MS > now.ms) return E_OUT_OF_RANGE;
    return prekey->day + PREKEY_WINDOW_DAYS >= now.ms / DAY_MS ? E_OK : E_PREKEY_GONE;
}

/* It is one relay's clock that speaks here and spoke at the beginning of this connection. */
static bool same_clock(struct instant now, struct instant then) {
    return (now.ms > then.ms ? now.ms - then.ms : then.ms - now.ms) <= DAY_MS;
}

/* Each prekey under its device's signature, none of a day that has not begun, and none whose secret should be destroyed: a
 * relay that keeps old ones, or calls another day today, would undo the forward secrecy. */
static enum error open_prekeys(const struct bench *bench, const struct prekeys *answer, struct prekey *ret,
                               uint8_t (*ret_ids)[PREKEY_ID_SIZE], size_t *ret_count) {
    struct list list = answer->prekeys;
    struct bytes stamped;
    size_t count = 0;
    if (!same_clock(answer->time, relay_now(bench->relay))) return E_OUT_OF_RANGE;
    while (list_next_bytes(&list, &stamped) && count < DEVICES_PER_POST_MAX) {
        TRY(directory_open_prekey(bench->home->directory, stamped, &ret[count], ret_ids[count]));
        TRY(wraps_current(&ret[count], answer->time));
        count++;
    }
    *ret_count = count;
    return E_OK;
}

/* The readers with their prekeys. A device without a fresh one has been away for long and is left out, as the relay
 * does; it is resealed to when it comes back. */
static enum error find_targets(const struct bench *bench, struct bytes post, const struct prekeys *answer,
                               const struct wrapping_psk *psk, struct wrapping_target *ret, size_t *ret_count) {
    struct prekey prekeys[DEVICES_PER_POST_MAX];
    uint8_t ids[DEVICES_PER_POST_MAX][PREKEY_ID_SIZE];
    size_t have = 0;
    TRY(open_prekeys(bench, answer, prekeys, ids, &have));
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    struct instant now = relay_now(bench->relay);
    if (answer->time.ms > now.ms) now = answer->time;
    size_t count = directory_readers(bench->home->directory, post, now, readers), made = 0;
    for (size_t i = 0; i < count; i++) {
        const struct prekey *prekey = find_prekey(prekeys, have, readers[i]->device);
        if (!prekey) continue;
        memcpy(ret[made].device, readers[i]->device, KEY_SIZE);
        memcpy(ret[made].prekey, prekey->key, KEY_SIZE);
        memcpy(ret[made].prekey_id, ids[prekey - prekeys], PREKEY_ID_SIZE);
        ret[made].psk = psk;
        made++;
    }
    *ret_count = made;
    return E_OK;
}

enum error wraps_targets(struct home *home, struct relay *relay, struct bytes post, const struct prekeys *answer,
                         struct wrapping_target *ret, size_t *ret_count) {
    const struct bench bench = {.home = home, .relay = relay};
    return find_targets(&bench, post, answer, NULL, ret, ret_count);
}

/* ---- what is wrapped ---- */

/* The numbers that this post will never get: it is told with the next one that it does get. */
static enum error list_voids(const struct bench *bench, struct bytes post, struct buf *items, size_t *ret_count) {
    struct archive *archive = bench->home->archive;
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_VOID, SCOPE_A, wraps_post_key(archive, post, 0));
    size_t count = 0;
    for (bool found = true; count < VOIDS_MAX; count++) {
        TRY(archive_next(archive, &cursor, &value, &found));
        if (!found) break;
        cbor_put_uint(items, cursor.key.n);
    }
    *ret_count = count;
    return E_OK;
}

/* The parent leg's head, so that both ends can see whether the relay shows them the same. */
static enum error seen_head(const struct bench *bench, struct wrapped *keys) {
    const struct header *header = &bench->request->header;
    if (!header->has_parent) return E_OK;
    AUTO_LEG parent = {0};
    enum error error = kept_leg_load(bench->home->archive, header->parent.header, header->parent.leg, &parent);
    if (error == E_UNKNOWN_REQUEST) return E_OK;
    TRY(error);
    keys->has_seen = true;
    memcpy(keys->seen, parent.record.head, HASH_SIZE);
    return E_OK;
}

/* The shared secret under which a leg's wraps are made, if they are; the own post's never. */
static enum error find_pair(const struct bench *bench, const struct job *job, struct pair_key *ret) {
    bool found = false;
    if (!job->leg) return E_OK;
    TRY(bench->unpaired);
    if (!bench->paired) return E_OK;
    TRY(pairs_newest(bench->home, job->post, ret, &found));
    return found ? E_OK : E_PAIR_REQUIRED;
}

static enum error make_payload(struct bench *bench, struct job *job, const struct prekeys *answer) {
    struct wrapping_target targets[DEVICES_PER_POST_MAX];
    size_t count = 0, voids = 0;
    AUTO_PAIR pair = {0};
    TRY(find_pair(bench, job, &pair));
    TRY(find_targets(bench, job->post, answer, pair.secret.p ? &pair.psk : NULL, targets, &count));
    AUTO_BUF items = {0};
    struct wrapped keys = {0};
    const struct keptrequest *record = &bench->request->record;
    keys.has_offer_key = record->has_offer_key;
    keys.has_body_key = record->has_body_key;
    memcpy(keys.offer_key, record->offer_key, KEY_SIZE);
    memcpy(keys.body_key, record->body_key, KEY_SIZE);
    enum error error = job->leg && job->generation == 1 ? list_voids(bench, job->post, &items, &voids) : E_OK;
    keys.voids = list_of(&items, voids);
    if (error == E_OK) error = seen_head(bench, &keys);
    struct wrapping_set set = {.header = bench->digest,
                               .leg = job->leg ? job->leg->leg : NULL,
                               .generation = job->generation,
                               .directory_size = bench->size,
                               .directory_root = bench->root,
                               .signer = bench->home->device};
    if (error == E_OK) error = buf_error(&items);
    if (error == E_OK) error = wrapping_make(&set, &keys, targets, count, &job->payload);
    sodium_memzero(&keys, sizeof keys);
    if (error == E_OK) job->made = true;
    job->targets = count;
    return error;
}

/* ---- asking and making ---- */

static enum error take_prekeys(struct bench *bench, struct relay_answer *answer) {
    struct job *job = &bench->jobs[answer->tag];
    struct prekeys prekeys;
    enum error error = answer->error;
    if (error == E_OK) error = prekeys_decode(answer->body, &prekeys);
    if (error == E_OK) error = make_payload(bench, job, &prekeys);
    if (error == E_STALE_DIRECTORY || error == E_PAIR_REQUIRED) return E_OK;
    return error == E_OK ? E_OK
                         : fail(bench->failure, error, "day keys of %.*s", (int)job->post.n, (const char *)job->post.p);
}

static enum error make_all(struct bench *bench) {
    size_t asked = 0;
    while (asked < bench->count || relay_outstanding(bench->relay) > 0) {
        while (asked < bench->count && relay_outstanding(bench->relay) < RELAY_WINDOW) {
            struct getprekeys ask = {.post = bench->jobs[asked].post};
            TRY(relay_post(bench->relay, MESSAGE_GETPREKEYS, &ask, asked));
            asked++;
        }
        AUTO_ANSWER answer = {0};
        TRY(relay_collect(bench->relay, &answer, bench->failure));
        TRY(take_prekeys(bench, &answer));
    }
    return E_OK;
}

static enum error keep_one(struct bench *bench, struct job *job, struct bytes stamped) {
    if (!job->leg) {
        bench->request->record.has_wrapset = true;
        bench->request->record.wrapset = stamped;
        bench->request->record.has_paired = bench->request->record.paired = bench->paired;
        return kept_save(bench->home->archive, bench->digest, &bench->request->record);
    }
    struct keptleg *record = &job->leg->record;
    record->has_wrapset = job->made;
    record->wrapset = stamped;
    record->generation = 1;
    record->has_wrapped = job->made;
    record->wrapped = relay_now(bench->relay);
    enum error missing = bench->unpaired != E_OK ? bench->unpaired : E_STALE_DIRECTORY;
    record->refused = job->made ? E_OK : missing;
    return kept_leg_save(bench->home->archive, bench->digest, job->leg->leg, record);
}

/* One signature over all; then all of it into the archive. */
static enum error sign_all(struct bench *bench, struct bytes *payloads, struct buf *stamped) {
    size_t n = 0;
    for (size_t i = 0; i < bench->count; i++)
        if (bench->jobs[i].made) payloads[n++] = buf_bytes(&bench->jobs[i].payload);
    if (n > 0) TRY(stamp_sign(LABEL_WRAPSET, bench->home->keys.device.p, payloads, n, stamped));
    n = 0;
    for (size_t i = 0; i < bench->count; i++) {
        struct job *job = &bench->jobs[i];
        if (!job->made && !job->leg) continue;
        TRY(keep_one(bench, job, job->made ? buf_bytes(&stamped[n++]) : (struct bytes){0}));
    }
    return E_OK;
}

static enum error keep_all(struct bench *bench) {
    struct bytes *payloads = calloc(bench->count, sizeof *payloads);
    struct buf *stamped = calloc(bench->count, sizeof *stamped);
    enum error error = payloads && stamped ? archive_begin(bench->home->archive) : E_NO_MEMORY;
    if (error == E_OK) {
        error = sign_all(bench, payloads, stamped);
        if (error == E_OK)
            error = archive_commit(bench->home->archive);
        else
            archive_rollback(bench->home->archive);
    }
    for (size_t i = 0; stamped && i < bench->count; i++) buf_free(&stamped[i]);
    free(stamped);
    free(payloads);
    return error == E_OK ? E_OK : fail(bench->failure, error, "the local store");
}

static bool fresh(const struct bench *bench, const struct keptleg *record) {
    return record->has_wrapset && record->has_wrapped && relay_now(bench->relay).ms < record->wrapped.ms + DAY_MS;
}

static void find_jobs(struct bench *bench, struct kept_legs *legs, const bool *held) {
    bool any = false;
    for (size_t i = 0; i < legs->count; i++) {
        struct keptleg *record = &legs->legs[i].record;
        if (held[i] || kept_leg_stored(record) || kept_leg_refused(record) || fresh(bench, record)) continue;
        bench->jobs[bench->count++] = (struct job){.leg = &legs->legs[i], .post = record->to, .generation = 1};
        any = true;
    }
    if (any && !bench->request->record.has_wrapset)
        bench->jobs[bench->count++] = (struct job){.post = bytes_text(bench->home->post), .generation = 1};
}

/* One mode for all legs of the request (pairs.h). */
static enum error find_mode(struct bench *bench, const struct kept_legs *legs) {
    enum error error = pairs_apply_to(bench->home, legs, &bench->paired);
    if (error == E_PAIR_REQUIRED) bench->unpaired = error;
    return error == E_PAIR_REQUIRED || error == E_OK ? E_OK : fail(bench->failure, error, "the local store");
}

enum error wraps_prepare(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                         struct kept_request *request, struct kept_legs *legs, const bool *held,
                         struct failure *failure) {
    struct bench bench = {.home = home,
                          .relay = relay,
                          .digest = digest,
                          .request = request,
                          .size = directory_size(home->directory),
                          .failure = failure};
    directory_root(home->directory, bench.root);
    bench.jobs = calloc(legs->count + 1, sizeof *bench.jobs);
    if (!bench.jobs) return fail(failure, E_NO_MEMORY, "wrap sets");
    find_jobs(&bench, legs, held);
    enum error error = bench.count ? find_mode(&bench, legs) : E_OK;
    if (error == E_OK && bench.count) error = make_all(&bench);
    if (error != E_OK) relay_abandon(relay);
    if (error == E_OK && bench.count) error = keep_all(&bench);
    for (size_t i = 0; i < bench.count; i++) buf_free(&bench.jobs[i].payload);
    free(bench.jobs);
    TRY(error);
    if (bench.count == 0) return E_OK;
    kept_request_free(request); /* their views of wrap sets have ended: read them anew */
    *request = (struct kept_request){0};
    kept_legs_free(legs);
    error = kept_load(home->archive, digest, request);
    if (error == E_OK) error = kept_legs_load(home->archive, digest, legs);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

/* ---- one wrap set of a later generation ---- */

enum error wraps_seal(struct home *home, struct relay *relay, const struct wraps_order *order, struct buf *ret_stamped,
                      size_t *ret_devices, struct failure *failure) {
    struct job job = {.leg = order->leg, .post = order->post, .generation = order->generation};
    struct bench bench = {.home = home,
                          .relay = relay,
                          .digest = order->digest,
                          .request = order->request,
                          .jobs = &job,
                          .count = 1,
                          .size = directory_size(home->directory),
                          .failure = failure};
    directory_root(home->directory, bench.root);
    enum error error = order->legs ? find_mode(&bench, order->legs) : E_OK;
    if (error == E_OK) error = make_all(&bench);
    if (error != E_OK) relay_abandon(relay);
    if (error == E_OK && !job.made) error = bench.unpaired != E_OK ? bench.unpaired : E_STALE_DIRECTORY;
    if (error == E_OK) error = stamp_sign_one(LABEL_WRAPSET, home->keys.device.p, buf_bytes(&job.payload), ret_stamped);
    buf_free(&job.payload);
    if (error == E_OK) *ret_devices = job.targets;
    return error;
}
