/* arrival.c - verifying and keeping one request. */
#include "arrival.h"
#include "loss.h"

#include <sodium.h>
#include <stdio.h>

#include "body.h"
#include "content.h"
#include "enrol.h"
#include "gaps.h"
#include "gossip.h"
#include "outbox.h"
#include "pairs.h"
#include "parcel.h"
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
    struct kept_leg ladder; /* the leg, with the evidence that is here */
    struct wrapset set;
    bool handed;            /* opened with keys that a sister gave: what else the wrap says is not known */
    struct buf plain;       /* of the wrap */
    struct wrapped wrapped; /* views into it */
    struct buf offer;       /* plaintext of the offer part */
};

static void arrival_free(struct arrival *arrival) {
    kept_leg_free(&arrival->ladder);
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

/* The entry that brought this generation: 1 came with the leg, later ones with a statement that names them. */
static enum error find_seal(const struct arrival *arrival, uint64_t generation, struct buf *receipt,
                            struct evidence *ret) {
    struct archive_cursor cursor = archive_cursor(TABLE_ENTRY, SCOPE_A, archive_key(arrival->leg, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(arrival->home->archive, &cursor, receipt, &found));
        if (!found) return E_MISMATCH;
        enum error error = loss_open(arrival->home, buf_bytes(receipt), ret);
        if (error != E_OK) return error == E_NO_MEMORY ? E_NO_MEMORY : E_CORRUPT;
        const struct statement *statement = &ret->statement;
        if (generation == 1 && statement->event == EVENT_STORED) return E_OK;
        bool seals = statement->event == EVENT_RESEALED || statement->event == EVENT_FORWARDED;
        if (seals && statement->generation == generation) return E_OK;
    }
}

/* The first set is by a device of the sending post that was live when the leg was stored; a later one by the device whose
 * statement brought it, of which the trail has seen that it might. */
static enum error check_sealer(const struct arrival *arrival, const struct wrapset *set,
                               const struct directory_device *signer) {
    AUTO_BUF receipt = {0};
    struct evidence evidence;
    bool first = set->generation == 1;
    if ((first || !arrival->leg) && !bytes_are(arrival->header.from, signer->post->name)) return E_NOT_ALLOWED;
    if (!arrival->leg) return first ? E_OK : E_MISMATCH; /* the own post's is never sealed anew */
    TRY(find_seal(arrival, set->generation, &receipt, &evidence));
    if (first) return directory_live_at(signer, evidence.entry.size, evidence.entry.time);
    return memcmp(evidence.statement.device, set->signer, KEY_SIZE) == 0 ? E_OK : E_NOT_ALLOWED;
}

/* A wrap set of this request and leg, signed by who may seal it. */
static enum error check_wrapset(struct arrival *arrival, struct bytes stamped) {
    struct bytes payload;
    struct wrapset set;
    TRY(stamp_peek(stamped, &payload));
    TRY(wrapset_decode(payload, &set));
    const struct directory_device *signer = directory_device(arrival->home->directory, set.signer);
    if (!signer) return E_UNKNOWN_DEVICE;
    TRY(stamp_verify(LABEL_WRAPSET, set.signer, stamped, NULL));
    if (memcmp(set.header, arrival->digest, HASH_SIZE) != 0) return E_MISMATCH;
    if (set.has_leg != (arrival->leg != NULL)) return E_MISMATCH;
    if (arrival->leg && memcmp(set.leg, arrival->leg, HASH_SIZE) != 0) return E_MISMATCH;
    TRY(check_sealer(arrival, &set, signer));
    arrival->set = set;
    return E_OK;
}

/* ---- the seal ---- */

static enum error check_commitment(bool has_part, const struct part *part, bool has_key, const uint8_t *key) {
    uint8_t commitment[HASH_SIZE];
    if (has_part != has_key) return E_BAD_COMMITMENT;
    if (!has_part) return E_OK;
    content_commitment(key, commitment);
    return memcmp(commitment, part->commitment, HASH_SIZE) == 0 ? E_OK : E_BAD_COMMITMENT;
}

/* By another post of the own party, which has forwarded it: there is no secret to share with oneself. */
static bool sealed_at_home(const struct arrival *arrival) {
    const struct directory_device *signer = directory_device(arrival->home->directory, arrival->set.signer);
    return signer &&
           bytes_equal(text_party_of(bytes_text(signer->post->name)), text_party_of(bytes_text(arrival->home->post)));
}

/* The shared secret that the wrap names; none in base mode. What came without one, although this post requires one of
 * the sender's party, is shown with a warning. */
static enum error find_pair(struct arrival *arrival, const struct wrap *wrap, struct pair_key *ret) {
    struct keptrequest *record = &arrival->request.record;
    struct bytes from = arrival->header.from;
    if (wrap->mode == HPKE_PSK) {
        if (!wrap->has_psk) return E_MISSING_FIELD;
        TRY(pairs_find(arrival->home, from, wrap->psk, ret));
        record->has_paired = record->paired = true;
        return E_OK;
    }
    bool required = false;
    if (arrival->leg && !sealed_at_home(arrival)) TRY(pairs_required(arrival->home, text_party_of(from), &required));
    record->has_paired = required;
    return E_OK;
}

/* This device's wrap: opened, and its keys held against the header's promises. */
static enum error open_own_wrap(struct arrival *arrival) {
    struct wrap wrap;
    AUTO_SECRET secret = {0};
    AUTO_PAIR pair = {0};
    const struct header *header = &arrival->header;
    TRY(wrapping_find(&arrival->set, arrival->home->device, &wrap));
    TRY(enrol_prekey_secret(arrival->home, wrap.prekey, &secret));
    TRY(find_pair(arrival, &wrap, &pair));
    TRY(wrapping_open(&arrival->set, &wrap, secret.p, pair.secret.p ? &pair.psk : NULL, &arrival->plain,
                      &arrival->wrapped));
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

/* The device may come too late or be too new for this wrap, or lack a shared secret: nobody's fraud. */
static bool merely_sealed(enum error error) {
    return error == E_NOT_FOR_US || error == E_PREKEY_GONE || error == E_UNKNOWN_PAIR;
}

/* What this device cannot open by itself it can with the keys that an older sister gave. */
static enum error open_wrap(struct arrival *arrival) {
    struct handedkey keys;
    struct keptrequest *record = &arrival->request.record;
    enum error error = open_own_wrap(arrival);
    if (!merely_sealed(error)) return error;
    TRY(parcel_handed(arrival->home->archive, arrival->digest, &arrival->header, &keys, &arrival->handed));
    if (!arrival->handed) return error;
    record->has_offer_key = keys.has_offer_key;
    record->has_body_key = keys.has_body_key;
    memcpy(record->offer_key, keys.offer_key, KEY_SIZE);
    memcpy(record->body_key, keys.body_key, KEY_SIZE);
    sodium_memzero(&keys, sizeof keys);
    return E_OK;
}

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

/* A relay that has erased it already (declined, expired, withdrawn) leaves the request sealed here. What differs from the
 * digest that the sender signed is the relay's doing: E_BAD_DIGEST, and the whole item is asked for again. *ret_sealed: what
 * came is what the header names, and does not open or says something else inside. */
static enum error fetch_offer(struct arrival *arrival, enum error *ret_sealed) {
    const struct header *header = &arrival->header;
    *ret_sealed = E_OK;
    if (!header->has_offer || !arrival->request.record.has_offer_key) return E_OK;
    *ret_sealed = header->offer.length > OFFER_LENGTH_MAX ? E_TOO_LARGE : E_OK;
    if (*ret_sealed != E_OK) return E_OK;
    enum error error = body_fetch(arrival->home, arrival->relay, arrival->digest, arrival->leg, &arrival->request,
                                  PART_OFFER, arrival->failure);
    if (error == E_ERASED) return E_OK;
    TRY(error);
    TRY(body_intact(arrival->home, &arrival->request, PART_OFFER));
    *ret_sealed = open_offer(arrival);
    return outbox_is_fatal(*ret_sealed) ? *ret_sealed : E_OK;
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

/* Numbers that the sender declares void will never arrive. */
static enum error hear_voids(struct arrival *arrival) {
    struct list voids = arrival->wrapped.voids;
    uint64_t number;
    while (list_next_uint(&voids, &number)) {
        bool known = false;
        if (number == 0 || number > INT64_MAX) return E_OUT_OF_RANGE;
        TRY(archive_has(arrival->home->archive, TABLE_HEARD, archive_key(arrival->header.device, NULL, number),
                        &known));
        if (!known) TRY(gaps_hear(arrival->home, arrival->header.device, number, (struct bytes){0}));
    }
    return E_OK;
}

/* Each sender device numbers what it sends to this post: a gap that it did not declare may be something withheld (gaps.h). What it
 * declared stands within the seal, so a request that stays sealed is no ground for an alarm. */
static enum error hear(struct arrival *arrival, uint64_t sequence, bool sealed) {
    struct archive *archive = arrival->home->archive;
    struct archive_key top = archive_key(arrival->header.device, NULL, 0);
    AUTO_BUF first = {0};
    uint64_t highest;
    bool used = false;
    const struct bytes *from = &arrival->header.from;
    TRY(kept_number(archive, TABLE_HEARD, top, &highest));
    TRY(archive_get(archive, TABLE_HEARD, archive_key(arrival->header.device, NULL, sequence), &first, &used));
    if (used)
        TRY(kept_alarm(archive, "%.*s: number %llu of a device was used twice, or was declared void and came",
                       (int)from->n, (const char *)from->p, (unsigned long long)sequence));
    TRY(hear_voids(arrival));
    TRY(gaps_hear(arrival->home, arrival->header.device, sequence, bytes_of(arrival->leg, HASH_SIZE)));
    if (sequence <= highest) return E_OK;
    if (!sealed) TRY(gaps_look(arrival->home, arrival->header.device, *from, highest, sequence));
    return kept_number_set(archive, TABLE_HEARD, top, sequence);
}

/* ---- the evidence that is there already ---- */

static enum error apply_receipt(struct arrival *arrival, struct bytes receipt, enum trail_outcome *ret) {
    TRY(trail_apply(arrival->home, arrival->digest, &arrival->request, &arrival->ladder, receipt, ret));
    return *ret == TRAIL_NOTE ? E_BAD_PROOF : E_OK;
}

/* A leg that was forwarded to this post, or sealed anew, has a past that its feed does not tell. */
static enum error fetch_past(struct arrival *arrival) {
    if (!arrival->relay) return E_BAD_PROOF; /* nobody to ask */
    for (uint64_t before = UINT64_MAX; before != arrival->ladder.record.entries;) {
        AUTO_ANSWER answer = {0};
        struct tracked tracked;
        struct bytes receipt;
        enum trail_outcome outcome;
        struct track ask = {.ordinal = before = arrival->ladder.record.entries};
        memcpy(ask.leg, arrival->leg, HASH_SIZE);
        TRY(relay_call(arrival->relay, MESSAGE_TRACK, &ask, &answer, arrival->failure));
        TRY(tracked_decode(answer.body, &tracked));
        while (list_next_bytes(&tracked.receipts, &receipt)) {
            TRY(apply_receipt(arrival, receipt, &outcome));
            if (outcome == TRAIL_EARLY) return E_GAP;
        }
    }
    return E_OK;
}

static enum error set_generation(struct bytes stamped, uint64_t *ret) {
    struct bytes payload;
    struct wrapset set;
    TRY(stamp_peek(stamped, &payload));
    TRY(wrapset_decode(payload, &set));
    *ret = set.generation;
    return E_OK;
}

/* It was checked; without it nobody could be shown that the leg is one of the request's. */
static enum error keep_path(struct arrival *arrival, const struct offered *offered) {
    struct kept_leg *leg = &arrival->ladder;
    if (leg->record.has_path) return E_OK;
    leg->record.has_path = true;
    leg->record.path = offered->path;
    return kept_leg_save(arrival->home->archive, arrival->digest, arrival->leg, &leg->record);
}

/* The leg as the evidence has it: with which post it is, and which generation of wraps is in force. */
static enum error climb(struct arrival *arrival, const struct offered *offered, const struct opening *opening,
                        bool known) {
    struct archive *archive = arrival->home->archive;
    enum trail_outcome outcome;
    uint64_t generation;
    if (known) {
        enum error error = kept_leg_load(archive, arrival->digest, arrival->leg, &arrival->ladder);
        TRY(error == E_UNKNOWN_REQUEST ? E_MISMATCH : error);
    } else {
        struct kept_leg *leg = &arrival->ladder;
        leg->record = (struct keptleg){.to = opening->to, .place = offered->place, .state = STATE_NONE};
        memcpy(leg->leg, arrival->leg, HASH_SIZE);
        memcpy(leg->record.head, arrival->leg, HASH_SIZE);
    }
    TRY(keep_path(arrival, offered));
    TRY(apply_receipt(arrival, offered->receipt, &outcome));
    TRY(set_generation(offered->wrapset, &generation));
    bool behind = outcome == TRAIL_EARLY || generation > arrival->ladder.record.generation;
    if (behind) TRY(fetch_past(arrival));
    const struct keptleg *record = &arrival->ladder.record;
    bool ours = bytes_are(record->to, arrival->home->post) || record->away;
    return ours ? E_OK : E_MISMATCH;
}

/* ---- what cannot be opened ---- */

/* The post's devices, and the relay, learn of it once a generation, when all that came with it has been looked at
 * (inbox.c): a sister's keys may still open it. */
static enum error cannot_open(struct arrival *arrival, enum error why) {
    const struct bytes *from = &arrival->header.from;
    const struct keptleg *record = &arrival->ladder.record;
    bool stale = arrival->set.generation != record->generation, told = record->told >= record->generation;
    if (record->away || stale || (record->has_told && told)) return E_OK;
    const char *hint = why == E_UNKNOWN_PAIR ? "; " : "";
    if (why != E_NOT_FOR_US)
        TRY(kept_alarm(arrival->home->archive, "a request from %.*s is sealed for this device in vain: %s%s%s",
                       (int)from->n, (const char *)from->p, error_text(why), hint,
                       why == E_UNKNOWN_PAIR ? error_row(why)->hint : ""));
    return kept_number_set(arrival->home->archive, TABLE_DUTY,
                           archive_key(arrival->digest, arrival->leg, EVENT_CANNOT_OPEN), why);
}

/* Opens the wrap and the offer. *ret_sealed: why they stay closed - which is this device's or the sender's trouble, not
 * the relay's: that one's errors are returned. */
static enum error unseal(struct arrival *arrival, enum error *ret_sealed) {
    struct keptrequest *record = &arrival->request.record;
    *ret_sealed = arrival->ladder.record.away ? E_NOT_FOR_US : open_wrap(arrival);
    if (outbox_is_fatal(*ret_sealed)) return *ret_sealed;
    if (*ret_sealed != E_OK) return E_OK;
    TRY(fetch_offer(arrival, ret_sealed));
    if (*ret_sealed == E_OK) return E_OK;
    record->has_offer = record->has_offer_key = record->has_body_key = false;
    sodium_memzero(record->offer_key, KEY_SIZE);
    sodium_memzero(record->body_key, KEY_SIZE);
    return E_OK;
}

/* What this device still has to say once it can read the request. */
static enum error add_duties(struct arrival *arrival) {
    uint64_t state = arrival->ladder.record.state;
    bool reply = arrival->header.has_parent;
    TRY(trail_duty_done(arrival->home, arrival->digest, arrival->leg, EVENT_CANNOT_OPEN));
    if (state == STATE_ACCEPTED || state == STATE_HANDED_OVER || (reply && state == STATE_STORED))
        return arrival->header.has_body
                   ? trail_duty_add(arrival->home, arrival->digest, arrival->leg, EVENT_HANDED_OVER)
                   : E_OK;
    /* Erased before it came here: nothing is safe on this device, so nothing is said. */
    if (!arrival->request.record.has_offer || reply) return E_OK;
    if (state == STATE_STORED || state == STATE_FORWARDED)
        return trail_duty_add(arrival->home, arrival->digest, arrival->leg, EVENT_NOTIFIED);
    bool said = state == STATE_NOTIFIED || state == STATE_OPENED; /* by a sister */
    return said ? policy_due(arrival->home, arrival->digest, arrival->leg) : E_OK;
}

static enum error keep_offered(struct arrival *arrival, const struct offered *offered, const struct opening *opening) {
    struct archive *archive = arrival->home->archive;
    enum error sealed;
    TRY(kept_add(archive, arrival->digest, &arrival->request.record, &arrival->header));
    TRY(climb(arrival, offered, opening, false));
    if (!arrival->ladder.record.away) TRY(check_wrapset(arrival, offered->wrapset));
    TRY(unseal(arrival, &sealed));
    TRY(kept_save(archive, arrival->digest, &arrival->request.record));
    /* Numbers count between a device and the post that it wrote to; what is void stands in the first generation's wraps. */
    bool untold = sealed != E_OK || arrival->handed || arrival->set.generation > 1;
    if (bytes_are(opening->to, arrival->home->post)) TRY(hear(arrival, opening->sequence, untold));
    return sealed == E_OK ? add_duties(arrival) : cannot_open(arrival, sealed);
}

/* What the sender was shown by the relay, against what this home was shown. */
static enum error compare_notes(struct arrival *arrival) {
    const struct header *header = &arrival->header;
    const struct keptrequest *record = &arrival->request.record;
    struct offer offer;
    if (record->has_offer && offer_decode(record->offer, &offer) == E_OK && offer.has_checkpoint)
        TRY(gossip_hear(arrival->home, header->from, offer.checkpoint));
    if (!header->has_parent || !arrival->wrapped.has_seen) return E_OK;
    AUTO_LEG parent = {0};
    enum error error = kept_leg_load(arrival->home->archive, header->parent.header, header->parent.leg, &parent);
    if (error == E_UNKNOWN_REQUEST) return E_OK;
    TRY(error);
    return gossip_seen(arrival->home, header->from, header->parent.leg, arrival->wrapped.seen);
}

/* A request that is here, but sealed, and a wrap set that can perhaps be opened now: the secret shared with the sender's
 * party has come since, or the leg was sealed anew; or it is here and has come back by another post's forwarding. */
static enum error open_later(struct arrival *arrival, const struct offered *offered, const struct opening *opening) {
    AUTO_REQUEST kept = {0};
    enum error sealed;
    TRY(kept_load(arrival->home->archive, arrival->digest, &kept));
    TRY(climb(arrival, offered, opening, true));
    arrival->request.record = kept.record;
    bool opened = kept.record.has_offer_key || kept.record.has_body_key;
    if (arrival->ladder.record.away) return E_OK;
    TRY(check_wrapset(arrival, offered->wrapset));
    if (opened) return arrival->ladder.record.state == STATE_FORWARDED ? add_duties(arrival) : E_OK;
    TRY(unseal(arrival, &sealed));
    if (sealed != E_OK) return cannot_open(arrival, sealed);
    TRY(kept_save(arrival->home->archive, arrival->digest, &arrival->request.record));
    TRY(compare_notes(arrival));
    return add_duties(arrival);
}

static enum error take_offered(struct arrival *arrival, const struct offered *offered, bool *ret_new) {
    struct opening opening;
    uint8_t leg[HASH_SIZE];
    bool known = false;
    TRY(begin(arrival, offered->header, false, &known));
    TRY(legs_verify(&offered->place, offered->path, arrival->header.legs, &opening, leg));
    arrival->leg = leg;
    if (known) return open_later(arrival, offered, &opening);
    TRY(check_parent(arrival));
    TRY(keep_offered(arrival, offered, &opening));
    TRY(compare_notes(arrival));
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

/* Without a wrap set it stays closed for good, unless a sister has given its keys. */
static enum error lack(const struct sent *sent, enum error sealed) {
    return merely_sealed(sealed) && !sent->has_wrapset ? E_MISSING_FIELD : E_OK;
}

/* A request of this post that is here sealed: a sister has given its keys since, or the relay its wrap set. */
static enum error open_sent_later(struct arrival *arrival, const struct sent *sent, enum error *ret_lack) {
    AUTO_REQUEST kept = {0};
    TRY(kept_load(arrival->home->archive, arrival->digest, &kept));
    if (kept.record.has_offer_key || kept.record.has_body_key) return E_OK;
    arrival->request.record = kept.record;
    if (sent->has_wrapset) TRY(check_wrapset(arrival, sent->wrapset));
    enum error sealed = open_wrap(arrival);
    *ret_lack = lack(sent, sealed);
    if (merely_sealed(sealed)) return E_OK;
    TRY(sealed);
    TRY(fetch_offer(arrival, &sealed));
    TRY(sealed);
    return kept_save(arrival->home->archive, arrival->digest, &arrival->request.record);
}

static enum error take_sent(struct arrival *arrival, const struct sent *sent, struct sent_legs *legs, bool *ret_new,
                            enum error *ret_lack) {
    bool known = false;
    TRY(begin(arrival, sent->header, true, &known));
    if (!bytes_are(arrival->header.from, arrival->home->post)) return E_MISMATCH;
    if (known) return open_sent_later(arrival, sent, ret_lack);
    TRY(check_legs(&arrival->header, sent, legs));
    enum error sealed = sent->has_wrapset ? check_wrapset(arrival, sent->wrapset) : E_OK;
    if (sealed == E_OK) sealed = open_wrap(arrival);
    *ret_lack = lack(sent, sealed);
    if (sealed != E_OK && !merely_sealed(sealed)) return sealed;
    TRY(fetch_offer(arrival, &sealed));
    TRY(sealed);
    TRY(keep_sent(arrival, sent, legs));
    *ret_new = true;
    return E_OK;
}

enum error arrival_sent(struct home *home, struct relay *relay, const struct sent *sent, bool *ret_new,
                        enum error *ret_lack, struct failure *failure) {
    struct arrival arrival = {.home = home, .relay = relay, .failure = failure};
    AUTO_FREE(struct sent_legs) legs = calloc(1, sizeof *legs);
    *ret_lack = E_OK;
    enum error error = legs ? take_sent(&arrival, sent, legs, ret_new, ret_lack) : E_NO_MEMORY;
    arrival_free(&arrival);
    return error;
}
