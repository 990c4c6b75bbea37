/* arrival.c - verifying and keeping one request. */
#include "arrival.h"

#include <sodium.h>
#include <stdio.h>

#include "body.h"
#include "content.h"
#include "outbox.h"
#include "trail.h"
#include "wrapping.h"
#include "wraps.h"

enum { OFFER_LENGTH_MAX = 256 * 1024 };

struct arrival {
    struct home *home;
    struct relay *relay;
    struct failure *failure;
    struct header header;
    uint8_t digest[HASH_SIZE];
    const uint8_t *leg; /* NULL: the own post's */
    struct kept_request request;
    struct wrapset set;
    struct buf plain;       /* of the wrap */
    struct wrapped wrapped; /* views into it */
    struct buf offer;       /* plaintext of the offer part */
};

static void arrival_free(struct arrival *arrival) {
    buf_free(&arrival->plain);
    buf_free(&arrival->offer);
    sodium_memzero(&arrival->wrapped, sizeof arrival->wrapped);
    sodium_memzero(&arrival->request.record, sizeof arrival->request.record);
}

/* ---- outside ---- */

static enum error check_sender(const struct arrival *arrival) {
    const struct directory_device *device = directory_device(arrival->home->directory, arrival->header.device);
    if (!device) return E_UNKNOWN_DEVICE;
    return bytes_are(arrival->header.from, device->post->name) ? E_OK : E_MISMATCH;
}

/* A wrap set of this request and leg, signed by a device of the sending post. */
static enum error check_wrapset(struct arrival *arrival, struct bytes stamped) {
    struct bytes payload;
    struct wrapset set;
    TRY(stamp_peek(stamped, &payload));
    TRY(wrapset_decode(payload, &set));
    const struct directory_device *signer = directory_device(arrival->home->directory, set.signer);
    if (!signer) return E_UNKNOWN_DEVICE;
    TRY(stamp_verify(LABEL_WRAPSET, set.signer, stamped, NULL));
    if (!bytes_are(arrival->header.from, signer->post->name)) return E_NOT_ALLOWED;
    if (memcmp(set.header, arrival->digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (set.has_leg != (arrival->leg != NULL)) return E_MISMATCH;
    if (arrival->leg && memcmp(set.leg, arrival->leg, HASH_SIZE) != 0) return E_MISMATCH;
    arrival->set = set;
    return E_OK;
}

/* ---- the seal ---- */

static enum error prekey_secret(struct arrival *arrival, const uint8_t id[static PREKEY_ID_SIZE], struct secret *ret) {
    uint8_t row[HASH_SIZE] = {0};
    memcpy(row, id, PREKEY_ID_SIZE);
    AUTO_BUF bytes = {0};
    struct keptprekey record;
    bool found = false;
    TRY(archive_get(arrival->home->archive, TABLE_PREKEY, archive_key(row, NULL, 0), &bytes, &found));
    if (!found) return E_PREKEY_GONE;
    if (keptprekey_decode(buf_bytes(&bytes), &record) != E_OK) return E_CORRUPT;
    enum error error = secret_copy(record.secret, KEY_SIZE, ret);
    sodium_memzero(&record, sizeof record);
    return error;
}

static enum error check_commitment(bool has_part, const struct part *part, bool has_key, const uint8_t *key) {
    uint8_t commitment[HASH_SIZE];
    if (has_part != has_key) return E_BAD_COMMITMENT;
    if (!has_part) return E_OK;
    content_commitment(key, commitment);
    return memcmp(commitment, part->commitment, HASH_SIZE) == 0 ? E_OK : E_BAD_COMMITMENT;
}

/* This device's wrap: opened, and its keys held against the header's promises. */
static enum error open_wrap(struct arrival *arrival) {
    struct wrap wrap;
    AUTO_SECRET secret = {0};
    const struct header *header = &arrival->header;
    TRY(wrapping_find(&arrival->set, arrival->home->device, &wrap));
    TRY(prekey_secret(arrival, wrap.prekey, &secret));
    TRY(wrapping_open(&arrival->set, &wrap, secret.p, NULL, &arrival->plain, &arrival->wrapped));
    const struct wrapped *keys = &arrival->wrapped;
    TRY(check_commitment(header->has_offer, &header->offer, keys->has_offer_key, keys->offer_key));
    TRY(check_commitment(header->has_body, &header->body, keys->has_body_key, keys->body_key));
    struct keptrequest *record = &arrival->request.record;
    record->has_offer_key = keys->has_offer_key;
    record->has_body_key = keys->has_body_key;
    memcpy(record->offer_key, keys->offer_key, KEY_SIZE);
    memcpy(record->body_key, keys->body_key, KEY_SIZE);
    return E_OK;
}

/* The device may come too late or be too new for this wrap: nobody's fraud. */
static bool merely_sealed(enum error error) { return error == E_NOT_FOR_US || error == E_PREKEY_GONE; }

/* ---- the offer ---- */

static enum error add_piece(void *context, uint64_t at, struct bytes plain) {
    struct buf *to = context;
    if (to->n != at) return E_INTERNAL;
    buf_add_bytes(to, plain);
    return buf_error(to);
}

static enum error open_offer(struct arrival *arrival) {
    struct offer offer;
    AUTO_BUF object = {0};
    TRY(body_walk(arrival->home, &arrival->request, PART_OFFER, add_piece, &arrival->offer));
    TRY(content_open_offer(buf_bytes(&arrival->offer), &arrival->header, &offer));
    offer_encode(&offer, &object);
    TRY(buf_error(&object));
    buf_free(&arrival->offer);
    arrival->offer = buf_take(&object);
    arrival->request.record.has_offer = true;
    arrival->request.record.offer = buf_bytes(&arrival->offer);
    return E_OK;
}

/* A relay that has erased it already (declined, expired, withdrawn) leaves the request sealed here. */
static enum error fetch_offer(struct arrival *arrival) {
    const struct header *header = &arrival->header;
    if (!header->has_offer || !arrival->request.record.has_offer_key) return E_OK;
    if (header->offer.length > OFFER_LENGTH_MAX) return E_TOO_LARGE;
    enum error error = body_fetch(arrival->home, arrival->relay, arrival->digest, arrival->leg, &arrival->request,
                                  PART_OFFER, arrival->failure);
    if (error == E_ERASED) return E_OK;
    TRY(error);
    return open_offer(arrival);
}

static enum error begin(struct arrival *arrival, struct bytes header, bool mine, bool *ret_known) {
    TRY(header_open(header, &arrival->header, arrival->digest));
    TRY(archive_has(arrival->home->archive, TABLE_REQUEST, archive_key(arrival->digest, NULL, 0), ret_known));
    TRY(check_sender(arrival));
    struct keptrequest *record = &arrival->request.record;
    arrival->request.header = arrival->header;
    record->header = header;
    record->mine = mine;
    randombytes_buf(record->content, HASH_SIZE);
    return E_OK;
}

/* ---- offered to this post ---- */

/* A reply needs no decision of its own because its parent had one; what was stored before closing or expiry still comes. */
static bool opens_exchange(enum leg_state state) {
    return state == STATE_ACCEPTED || state == STATE_HANDED_OVER || state == STATE_ACKNOWLEDGED ||
           state == STATE_CLOSED || state == STATE_EXPIRED;
}

/* The exchange that a reply claims to belong to, where it is known here, is one between these two posts. */
static enum error check_parent(const struct arrival *arrival) {
    const struct header *header = &arrival->header;
    if (!header->has_parent) return E_OK;
    AUTO_REQUEST parent = {0};
    AUTO_LEG leg = {0};
    enum error error = kept_load(arrival->home->archive, header->parent.header, &parent);
    if (error == E_OK) error = kept_leg_load(arrival->home->archive, header->parent.header, header->parent.leg, &leg);
    if (error == E_UNKNOWN_REQUEST) return E_OK;
    TRY(error);
    struct bytes other = parent.record.mine ? leg.record.to : parent.header.from;
    if (parent.header.has_parent || parent.header.exercise != header->exercise) return E_MISMATCH;
    if (!bytes_equal(other, header->from)) return E_MISMATCH;
    return opens_exchange((enum leg_state)leg.record.state) ? E_OK : E_NOT_ACCEPTED;
}

static enum error mark_heard(struct arrival *arrival, uint64_t number, struct bytes value) {
    return archive_set(arrival->home->archive, TABLE_HEARD, archive_key(arrival->header.device, NULL, number), value);
}

/* Numbers that the sender declares void will never arrive. */
static enum error hear_voids(struct arrival *arrival) {
    struct list voids = arrival->wrapped.voids;
    uint64_t number;
    while (list_next_uint(&voids, &number)) {
        bool known = false;
        if (number == 0 || number > INT64_MAX) return E_OUT_OF_RANGE;
        TRY(archive_has(arrival->home->archive, TABLE_HEARD, archive_key(arrival->header.device, NULL, number),
                        &known));
        if (!known) TRY(mark_heard(arrival, number, (struct bytes){0}));
    }
    return E_OK;
}

/* How many numbers from first up to (without) end were heard of. */
static enum error count_heard(struct arrival *arrival, uint64_t first, uint64_t end, uint64_t *ret) {
    AUTO_BUF value = {0};
    uint64_t count = 0;
    struct archive_cursor cursor =
        archive_cursor(TABLE_HEARD, SCOPE_AB, archive_key(arrival->header.device, NULL, first));
    for (bool found = true;; count++) {
        TRY(archive_next(arrival->home->archive, &cursor, &value, &found));
        if (!found || cursor.key.n >= end) break;
    }
    *ret = count;
    return E_OK;
}

/* Each sender device numbers what it sends to this post: a gap that it did not declare is something withheld. What it
 * declared stands within the seal, so a request that stays sealed is no ground for an alarm. */
static enum error hear(struct arrival *arrival, uint64_t sequence, bool sealed) {
    struct archive *archive = arrival->home->archive;
    struct archive_key top = archive_key(arrival->header.device, NULL, 0);
    AUTO_BUF first = {0};
    uint64_t highest, heard;
    bool used = false;
    const struct bytes *from = &arrival->header.from;
    TRY(kept_number(archive, TABLE_HEARD, top, &highest));
    TRY(archive_get(archive, TABLE_HEARD, archive_key(arrival->header.device, NULL, sequence), &first, &used));
    if (used)
        TRY(kept_alarm(archive, "%.*s: number %llu of a device was used twice, or was declared void and came",
                       (int)from->n, (const char *)from->p, (unsigned long long)sequence));
    TRY(hear_voids(arrival));
    TRY(mark_heard(arrival, sequence, bytes_of(arrival->leg, HASH_SIZE)));
    if (sequence <= highest) return E_OK;
    TRY(count_heard(arrival, highest + 1, sequence, &heard));
    uint64_t missing = sequence - highest - 1 - heard;
    if (missing > 0 && !sealed) {
        TRY(kept_alarm(
            archive, "%.*s: %llu of the numbers %llu to %llu did not arrive: withheld, or still on their way; ask them",
            (int)from->n, (const char *)from->p, (unsigned long long)missing, (unsigned long long)(highest + 1),
            (unsigned long long)(sequence - 1)));
        TRY(kept_number_set(archive, TABLE_META, archive_named(KEPT_FEED_GAP),
                            1)); /* perhaps the relay passed it over */
    }
    return kept_number_set(archive, TABLE_HEARD, top, sequence);
}

/* Its wrap cannot be opened: the request is kept sealed, and the post's devices learn of it. */
static enum error cannot_open(struct arrival *arrival, enum error why) {
    const struct bytes *from = &arrival->header.from;
    struct saying saying = {
        .event = EVENT_CANNOT_OPEN, .header = arrival->digest, .leg = arrival->leg, .has_reason = true, .reason = why};
    TRY(kept_alarm(arrival->home->archive, "a request from %.*s is sealed for this device in vain: %s", (int)from->n,
                   (const char *)from->p, error_text(why)));
    return outbox_say(arrival->home, &saying, 1, NULL);
}

static enum error keep_offered(struct arrival *arrival, const struct offered *offered, const struct opening *opening,
                               enum error sealed) {
    struct archive *archive = arrival->home->archive;
    TRY(kept_add(archive, arrival->digest, &arrival->request.record, &arrival->header));
    struct kept_leg leg = {
        .record = {
            .to = opening->to, .place = offered->place, .state = STATE_NONE, .generation = arrival->set.generation}};
    memcpy(leg.leg, arrival->leg, HASH_SIZE);
    memcpy(leg.record.head, arrival->leg, HASH_SIZE);
    enum trail_outcome outcome;
    TRY(trail_apply(arrival->home, arrival->digest, &arrival->request, &leg, offered->receipt, &outcome));
    if (outcome != TRAIL_STEP || leg.record.state != STATE_STORED) return E_BAD_PROOF;
    TRY(hear(arrival, opening->sequence, sealed != E_OK));
    if (sealed != E_OK) return cannot_open(arrival, sealed);
    if (arrival->header.has_parent)
        return trail_duty_add(arrival->home, arrival->digest, arrival->leg, EVENT_HANDED_OVER);
    /* Erased before it came here: nothing is safe on this device, so nothing is said. */
    return arrival->request.record.has_offer
               ? trail_duty_add(arrival->home, arrival->digest, arrival->leg, EVENT_NOTIFIED)
               : E_OK;
}

static enum error take_offered(struct arrival *arrival, const struct offered *offered, bool *ret_new) {
    struct opening opening;
    uint8_t leg[HASH_SIZE];
    bool known = false;
    TRY(begin(arrival, offered->header, false, &known));
    TRY(legs_verify(&offered->place, offered->path, arrival->header.legs, &opening, leg));
    if (!bytes_are(opening.to, arrival->home->post)) return E_MISMATCH;
    if (known) return E_OK;
    arrival->leg = leg;
    TRY(check_parent(arrival));
    TRY(check_wrapset(arrival, offered->wrapset));
    enum error sealed = open_wrap(arrival);
    if (sealed != E_OK && !merely_sealed(sealed)) return sealed;
    TRY(fetch_offer(arrival));
    TRY(keep_offered(arrival, offered, &opening, sealed));
    *ret_new = true;
    return E_OK;
}

enum error arrival_offered(struct home *home, struct relay *relay, const struct offered *offered, bool *ret_new,
                           bool *ret_reply, struct failure *failure) {
    struct arrival arrival = {.home = home, .relay = relay, .failure = failure};
    enum error error = take_offered(&arrival, offered, ret_new);
    *ret_reply = arrival.header.has_parent;
    arrival_free(&arrival);
    return error;
}

/* ---- sent by this post ---- */

struct sent_legs {
    struct place places[LEGS_MAX];
    struct legs_leaf leaves[LEGS_MAX];
    size_t count;
};

static int by_position(const void *x, const void *y) {
    const struct legs_leaf *a = x, *b = y;
    return a->position < b->position ? -1 : a->position > b->position;
}

static enum error check_legs(const struct header *header, const struct sent *sent, struct sent_legs *legs) {
    struct list list = sent->places;
    uint8_t root[HASH_SIZE];
    while (place_next(&list, &legs->places[legs->count])) legs->count++; /* the list has at most LEGS_MAX */
    legs_leaves(sent->places, legs->leaves);
    qsort(legs->leaves, legs->count, sizeof *legs->leaves, by_position);
    TRY(legs_root(legs->leaves, legs->count, sent->seed, root));
    return memcmp(root, header->legs, HASH_SIZE) == 0 ? E_OK : E_BAD_PROOF;
}

/* A request of this very device that is not here: the home was restored from a backup. Its numbers are not given twice.
 */
static enum error skip_number(struct arrival *arrival, const struct opening *opening) {
    struct archive *archive = arrival->home->archive;
    if (memcmp(arrival->header.device, arrival->home->device, KEY_SIZE) != 0) return E_OK;
    struct archive_key key = wraps_post_key(archive, opening->to, 0);
    uint64_t last;
    TRY(kept_number(archive, TABLE_SEQUENCE, key, &last));
    return opening->sequence > last ? kept_number_set(archive, TABLE_SEQUENCE, key, opening->sequence) : E_OK;
}

static enum error keep_sent(struct arrival *arrival, const struct sent *sent, const struct sent_legs *legs) {
    struct archive *archive = arrival->home->archive;
    arrival->request.record.has_seed = true;
    memcpy(arrival->request.record.seed, sent->seed, HASH_SIZE);
    TRY(kept_add(archive, arrival->digest, &arrival->request.record, &arrival->header));
    for (size_t i = 0; i < legs->count; i++) {
        struct opening opening;
        TRY(opening_decode(legs->places[i].opening, &opening));
        struct keptleg leg = {.to = opening.to, .place = legs->places[i], .state = STATE_NONE, .generation = 1};
        stamp_hash(legs->places[i].opening, leg.head);
        TRY(kept_leg_save(archive, arrival->digest, leg.head, &leg));
        TRY(skip_number(arrival, &opening));
    }
    return E_OK;
}

static enum error take_sent(struct arrival *arrival, const struct sent *sent, struct sent_legs *legs, bool *ret_new) {
    bool known = false;
    TRY(begin(arrival, sent->header, true, &known));
    if (!bytes_are(arrival->header.from, arrival->home->post)) return E_MISMATCH;
    if (known) return E_OK;
    TRY(check_legs(&arrival->header, sent, legs));
    enum error sealed = sent->has_wrapset ? check_wrapset(arrival, sent->wrapset) : E_NOT_FOR_US;
    if (sealed == E_OK) sealed = open_wrap(arrival);
    if (sealed != E_OK && !merely_sealed(sealed)) return sealed;
    TRY(fetch_offer(arrival));
    TRY(keep_sent(arrival, sent, legs));
    *ret_new = true;
    return E_OK;
}

enum error arrival_sent(struct home *home, struct relay *relay, const struct sent *sent, bool *ret_new,
                        struct failure *failure) {
    struct arrival arrival = {.home = home, .relay = relay, .failure = failure};
    AUTO_FREE(struct sent_legs) legs = calloc(1, sizeof *legs);
    enum error error = legs ? take_sent(&arrival, sent, legs, ret_new) : E_NO_MEMORY;
    arrival_free(&arrival);
    return error;
}
