/* parcel.c - parcels made, sealed, sent, fetched and taken in. */
#include "parcel.h"

#include <sodium.h>

#include "cards.h"
#include "content.h"
#include "enrol.h"
#include "fault.h"
#include "hpke.h"
#include "outbox.h"
#include "pairs.h"
#include "stamp.h"
#include "wraps.h"

enum { PARCEL_KEYS = 1000 }; /* in one parcel: about 105 bytes each, so it stays far below PARCEL_MAX */

static struct archive_key taken_key(void) { return archive_named("box item taken last"); }
static struct archive_key refused_key(void) { return archive_named("box item refused last"); }
static struct archive_key card_key(void) { return archive_named("contact card"); }

static void box_of(const uint8_t device[static KEY_SIZE], uint8_t ret[static HASH_SIZE]) {
    label_digest(LABEL_BOX, bytes_of(device, KEY_SIZE), ret);
}

static const struct directory_device *own_device(const struct home *home) {
    return directory_device(home->directory, home->device);
}

/* A device that parcels may go to: of this post, live, and no bell. */
static bool is_sister(const struct home *home, const struct directory_device *device, struct instant now) {
    return device && bytes_are(bytes_text(home->post), device->post->name) && device->role != ROLE_BELL &&
           memcmp(device->device, home->device, KEY_SIZE) != 0 && directory_live(device, now) == E_OK;
}

/* ---- making ---- */

static enum error make(const struct home *home, const struct parcel_contents *contents, struct buf *out) {
    struct parcel parcel = {.post = bytes_text(home->post),
                            .pairs = contents->pairs,
                            .keys = contents->keys,
                            .has_card = contents->card.p != NULL,
                            .card = contents->card};
    memcpy(parcel.from, home->device, KEY_SIZE);
    parcel_encode(&parcel, out);
    TRY(buf_error(out));
    return out->n <= PARCEL_MAX ? E_OK : E_TOO_LARGE;
}

static enum error queue(struct home *home, const uint8_t sister[static KEY_SIZE], struct bytes parcel) {
    struct archive_key key = archive_key(sister, NULL, 0);
    TRY(archive_number(home->archive, TABLE_PARCEL, key, &key.n));
    return archive_set(home->archive, TABLE_PARCEL, key, parcel);
}

static enum error queue_all(struct home *home, struct bytes parcel) {
    const struct directory_device *own = own_device(home), *sister = NULL;
    if (!own) return E_UNKNOWN_DEVICE;
    struct keptrelay relay;
    TRY(kept_relay(home->archive, &relay));
    while ((sister = directory_device_of(home->directory, own->post, sister)))
        if (is_sister(home, sister, relay.time)) TRY(queue(home, sister->device, parcel));
    return E_OK;
}

static enum error in_transaction(struct home *home, struct bytes parcel) {
    TRY(archive_begin(home->archive));
    enum error error = queue_all(home, parcel);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

enum error parcel_give_sisters(struct home *home, struct relay *relay, const struct parcel_contents *contents,
                               struct failure *failure) {
    AUTO_BUF parcel = {0};
    enum error error = make(home, contents, &parcel);
    if (error == E_OK) error = in_transaction(home, buf_bytes(&parcel));
    if (error != E_OK) return fail(failure, error, "a parcel for the other devices of %s", home->post);
    struct failure later = {0}; /* trouble on the way is the next sync's */
    if (relay && parcel_send(home, relay, &later) != E_OK) return E_OK;
    return E_OK;
}

/* ---- sealing and sending ---- */

static enum error info_of(const struct sealedparcel *sealed, struct buf *out) {
    struct parcelinfo info = {0};
    memcpy(info.from, sealed->from, KEY_SIZE);
    memcpy(info.device, sealed->device, KEY_SIZE);
    memcpy(info.prekey, sealed->prekey, PREKEY_ID_SIZE);
    buf_add_bytes(out, label_text(LABEL_PARCEL_INFO));
    buf_add(out, "", 1);
    parcelinfo_encode(&info, out);
    return buf_error(out);
}

enum error parcel_seal(const struct home *home, const struct prekey *prekey, const uint8_t id[static PREKEY_ID_SIZE],
                       struct bytes parcel, struct buf *out) {
    struct sealedparcel sealed = {0};
    struct hpke_context context = {0};
    uint8_t enc[HPKE_ENC_SIZE];
    AUTO_BUF info = {0}, ciphertext = {0}, payload = {0};
    memcpy(sealed.from, home->device, KEY_SIZE);
    memcpy(sealed.device, prekey->device, KEY_SIZE);
    memcpy(sealed.prekey, id, PREKEY_ID_SIZE);
    TRY(info_of(&sealed, &info));
    TRY(hpke_setup_sender(prekey->key, buf_bytes(&info), NULL, NULL, enc, &context));
    enum error error = hpke_seal(&context, (struct bytes){0}, parcel, &ciphertext);
    hpke_context_wipe(&context);
    TRY(error);
    sealed.enc = bytes_of(enc, sizeof enc);
    sealed.ciphertext = buf_bytes(&ciphertext);
    sealedparcel_encode(&sealed, &payload);
    TRY(buf_error(&payload));
    return stamp_sign_one(LABEL_PARCEL, home->keys.device.p, buf_bytes(&payload), out);
}

/* The newest day keys of the own post's devices, as the relay hands them out. */
struct day_keys {
    struct prekey prekeys[DEVICES_PER_POST_MAX];
    uint8_t ids[DEVICES_PER_POST_MAX][PREKEY_ID_SIZE];
    size_t count;
};

static enum error ask_day_keys(struct home *home, struct relay *relay, struct day_keys *ret, struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct prekeys prekeys;
    struct bytes stamped;
    TRY(relay_call(relay, MESSAGE_GETPREKEYS, &(struct getprekeys){.post = bytes_text(home->post)}, &answer, failure));
    TRY(prekeys_decode(answer.body, &prekeys));
    while (list_next_bytes(&prekeys.prekeys, &stamped) && ret->count < DEVICES_PER_POST_MAX) {
        struct prekey *prekey = &ret->prekeys[ret->count];
        TRY(directory_open_prekey(home->directory, stamped, prekey, ret->ids[ret->count]));
        TRY(wraps_current(prekey, prekeys.time));
        ret->count++;
    }
    return E_OK;
}

static enum error put(struct relay *relay, const uint8_t sister[static KEY_SIZE], struct bytes data,
                      struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct put ask = {.data = data, .has_sister = true};
    memcpy(ask.sister, sister, KEY_SIZE);
    box_of(sister, ask.box);
    return relay_call(relay, MESSAGE_PUT, &ask, &answer, failure);
}

/* *ret_gone: nothing more is to be done with it. */
static enum error send_one(struct home *home, struct relay *relay, const struct day_keys *keys,
                           const uint8_t sister[static KEY_SIZE], struct bytes parcel, bool *ret_gone,
                           struct failure *failure) {
    AUTO_BUF sealed = {0};
    *ret_gone = !is_sister(home, directory_device(home->directory, sister), relay_now(relay));
    if (*ret_gone) return E_OK;
    for (size_t i = 0; i < keys->count; i++) {
        if (memcmp(keys->prekeys[i].device, sister, KEY_SIZE) != 0) continue;
        TRY(parcel_seal(home, &keys->prekeys[i], keys->ids[i], parcel, &sealed));
        enum error error = put(relay, sister, buf_bytes(&sealed), failure);
        FAULT("parcel.unanswered");
        *ret_gone = error == E_OK;
        return outbox_is_fatal(error) ? error : E_OK; /* a full box, say: next time */
    }
    return E_OK; /* she has published no day key yet */
}

static enum error send_all(struct home *home, struct relay *relay, struct failure *failure) {
    AUTO_BUF parcel = {0};
    struct day_keys keys = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_PARCEL, SCOPE_ALL, archive_key(NULL, NULL, 0));
    bool asked = false, gone = false;
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &parcel, &found));
        if (!found) return E_OK;
        if (!asked) TRY(ask_day_keys(home, relay, &keys, failure));
        asked = true;
        TRY(send_one(home, relay, &keys, cursor.key.a, buf_bytes(&parcel), &gone, failure));
        if (gone) TRY(archive_delete(home->archive, TABLE_PARCEL, cursor.key));
    }
}

enum error parcel_send(struct home *home, struct relay *relay, struct failure *failure) {
    enum error error = send_all(home, relay, failure);
    if (error == E_OK || (failure && failure->error == error)) return error;
    return fail(failure, error, "parcels for the other devices of %s", home->post);
}

/* ---- taking in ---- */

static bool keys_fit(const struct handedkey *handed, const struct header *header) {
    uint8_t commitment[HASH_SIZE];
    if (handed->has_offer_key != header->has_offer || handed->has_body_key != header->has_body) return false;
    if (handed->has_offer_key) {
        content_commitment(handed->offer_key, commitment);
        if (memcmp(commitment, header->offer.commitment, HASH_SIZE) != 0) return false;
    }
    if (!handed->has_body_key) return true;
    content_commitment(handed->body_key, commitment);
    return memcmp(commitment, header->body.commitment, HASH_SIZE) == 0;
}

enum error parcel_handed(struct archive *archive, const uint8_t digest[static HASH_SIZE], const struct header *header,
                         struct handedkey *ret, bool *ret_found) {
    AUTO_BUF bytes = {0};
    struct handedkey handed = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_HANDED, SCOPE_A, archive_key(digest, NULL, 0));
    *ret_found = false;
    for (bool found = true; !*ret_found;) {
        TRY(archive_next(archive, &cursor, &bytes, &found));
        if (!found) break;
        if (handedkey_decode(buf_bytes(&bytes), &handed) != E_OK) return E_CORRUPT;
        *ret_found = keys_fit(&handed, header);
        if (*ret_found) *ret = handed;
    }
    sodium_memzero(&handed, sizeof handed);
    return E_OK;
}

/* One row a giver: a key that does not fit its request is found out when it is used, and pushes out no other's. */
static enum error apply_key(struct home *home, const uint8_t from[static KEY_SIZE], const struct handedkey *key) {
    AUTO_BUF bytes = {0};
    handedkey_encode(key, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_HANDED, archive_key(key->header, from, 0), buf_bytes(&bytes));
}

enum error parcel_apply(struct home *home, const struct parcel *parcel) {
    struct list keys = parcel->keys;
    struct handedkey key;
    if (!bytes_are(parcel->post, home->post)) return E_MISMATCH;
    while (handedkey_next(&keys, &key)) TRY(apply_key(home, parcel->from, &key));
    sodium_memzero(&key, sizeof key);
    if (parcel->keys.count) /* the feed is read anew, so that they open what lies here sealed */
        TRY(kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1));
    if (parcel->pairs.count) TRY(pairs_apply(home, &parcel->pairs));
    if (parcel->has_card) TRY(cards_apply_draft(home, parcel->card));
    return E_OK;
}

/* ---- fetching ---- */

/* By whom, for whom, under which key; then what is inside says the same. */
enum error parcel_open(struct home *home, struct bytes stamped, struct instant now, struct buf *plain,
                       struct parcel *ret) {
    struct bytes payload;
    struct sealedparcel sealed;
    struct hpke_context context = {0};
    AUTO_SECRET secret = {0};
    AUTO_BUF info = {0};
    TRY(stamp_peek(stamped, &payload));
    TRY(sealedparcel_decode(payload, &sealed));
    if (memcmp(sealed.device, home->device, KEY_SIZE) != 0) return E_NOT_FOR_US;
    const struct directory_device *giver = directory_device(home->directory, sealed.from);
    if (!giver) return E_UNKNOWN_DEVICE;
    if (!is_sister(home, giver, now)) return E_NOT_ALLOWED;
    TRY(stamp_verify(LABEL_PARCEL, sealed.from, stamped, NULL));
    TRY(enrol_prekey_secret(home, sealed.prekey, &secret));
    TRY(info_of(&sealed, &info));
    TRY(hpke_setup_receiver(sealed.enc, secret.p, buf_bytes(&info), NULL, &context));
    enum error error = hpke_open(&context, (struct bytes){0}, sealed.ciphertext, plain);
    hpke_context_wipe(&context);
    TRY(error);
    TRY(parcel_decode(buf_bytes(plain), ret));
    return memcmp(ret->from, sealed.from, KEY_SIZE) == 0 ? E_OK : E_MISMATCH;
}

static enum error is_hash(struct home *home, struct archive_key row, const uint8_t hash[static HASH_SIZE], bool *ret) {
    AUTO_BUF kept = {0};
    bool found = false;
    TRY(archive_get(home->archive, TABLE_META, row, &kept, &found));
    *ret = found && bytes_equal(buf_bytes(&kept), bytes_of(hash, HASH_SIZE));
    return E_OK;
}

/* In a transaction of its own, so that what does not hold leaves nothing. */
static enum error apply_whole(struct home *home, struct bytes data, struct instant now) {
    AUTO_BUF plain = {0};
    struct parcel parcel;
    TRY(archive_begin(home->archive));
    enum error error = parcel_open(home, data, now, &plain, &parcel);
    if (error == E_OK) error = parcel_apply(home, &parcel);
    if (plain.n) sodium_memzero(plain.p, plain.n);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

/* A relay may be wrong today and right tomorrow: what does not hold is left in the box once, and dropped when it comes again.
 * Which item it is its bytes tell, not the relay's numbers. *ret_stay: it is not to be dropped. */
static enum error take_item(struct home *home, struct relay *relay, struct bytes data, bool *ret_stay) {
    uint8_t hash[HASH_SIZE];
    bool taken = false, refused = false;
    stamp_hash(data, hash);
    *ret_stay = false;
    TRY(is_hash(home, taken_key(), hash, &taken));
    if (taken) return E_OK;
    enum error error = apply_whole(home, data, relay_now(relay));
    if (outbox_is_fatal(error)) return error;
    if (error == E_OK) return archive_set(home->archive, TABLE_META, taken_key(), bytes_of(hash, HASH_SIZE));
    TRY(is_hash(home, refused_key(), hash, &refused));
    *ret_stay = !refused;
    if (refused) return E_OK;
    TRY(archive_set(home->archive, TABLE_META, refused_key(), bytes_of(hash, HASH_SIZE)));
    return kept_alarm(home->archive, "a parcel in the box of this device does not hold: %s", error_text(error));
}

static enum error take_box(struct home *home, struct relay *relay, const struct box *box, bool *ret_stay) {
    TRY(archive_begin(home->archive));
    enum error error = take_item(home, relay, box->data, ret_stay);
    if (error == E_OK) {
        error = archive_commit(home->archive);
        FAULT("parcel.archived");
        return error;
    }
    archive_rollback(home->archive);
    return error;
}

static enum error receive_all(struct home *home, struct relay *relay, struct failure *failure) {
    uint64_t got = 0; /* nothing is asked to be dropped as long as nothing is there: that would be a write */
    for (unsigned i = 0; i <= BOX_ITEMS_MAX; i++) {
        AUTO_ANSWER answer = {0};
        struct get ask = {.after = got};
        struct box box;
        bool stay = false;
        box_of(home->device, ask.box);
        TRY(relay_call(relay, MESSAGE_GET, &ask, &answer, failure));
        TRY(box_decode(answer.body, &box));
        if (!box.has_number || !box.has_data) return E_OK;
        if (box.number <= got) return E_MALFORMED;
        TRY(take_box(home, relay, &box, &stay));
        if (stay) return E_OK;
        got = box.number;
    }
    return E_OK;
}

enum error parcel_receive(struct home *home, struct relay *relay, struct failure *failure) {
    enum error error = receive_all(home, relay, failure);
    if (error == E_OK || (failure && failure->error == error)) return error;
    return fail(failure, error, "parcels from the other devices of %s", home->post);
}

/* ---- for a new sister ---- */

/* Digests of all requests whose keys are here, newest first; then those handed here that have not come yet. */
static enum error list_requests(struct home *home, struct buf *ret_digests) {
    AUTO_BUF rising = {0}, value = {0};
    struct archive_cursor orders = archive_cursor(TABLE_ORDER, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct archive_cursor handed = archive_cursor(TABLE_HANDED, SCOPE_ALL, archive_key(NULL, NULL, 0));
    uint8_t last[HASH_SIZE] = {0};
    bool found = true, known = false;
    for (;;) {
        TRY(archive_next(home->archive, &orders, &value, &found));
        if (!found) break;
        if (value.n == HASH_SIZE) buf_add_bytes(&rising, buf_bytes(&value));
    }
    TRY(buf_error(&rising));
    for (size_t at = rising.n; at >= HASH_SIZE; at -= HASH_SIZE)
        buf_add(ret_digests, rising.p + at - HASH_SIZE, HASH_SIZE);
    for (;;) {
        TRY(archive_next(home->archive, &handed, &value, &found));
        if (!found) return buf_error(ret_digests);
        if (memcmp(last, handed.key.a, HASH_SIZE) == 0) continue; /* of one more giver */
        memcpy(last, handed.key.a, HASH_SIZE);
        TRY(archive_has(home->archive, TABLE_REQUEST, archive_key(handed.key.a, NULL, 0), &known));
        if (!known) buf_add(ret_digests, handed.key.a, HASH_SIZE);
    }
}

/* What others gave for a request that is not here: which of them fits, only its header will tell. */
static enum error add_handed(struct home *home, const uint8_t digest[static HASH_SIZE], struct buf *items,
                             size_t *count) {
    AUTO_BUF handed = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_HANDED, SCOPE_A, archive_key(digest, NULL, 0));
    bool found = true;
    TRY(archive_next(home->archive, &cursor, &handed, &found));
    if (found) buf_add_bytes(items, buf_bytes(&handed));
    *count += found;
    return buf_error(items);
}

static enum error add_key(struct home *home, const uint8_t digest[static HASH_SIZE], struct buf *items, size_t *count) {
    struct handedkey key = {0};
    AUTO_REQUEST request = {0};
    enum error error = kept_load(home->archive, digest, &request);
    if (error == E_UNKNOWN_REQUEST) return add_handed(home, digest, items, count);
    TRY(error);
    const struct keptrequest *record = &request.record;
    if (!record->has_offer_key && !record->has_body_key) return E_OK;
    memcpy(key.header, digest, HASH_SIZE);
    key.has_offer_key = record->has_offer_key;
    key.has_body_key = record->has_body_key;
    memcpy(key.offer_key, record->offer_key, KEY_SIZE);
    memcpy(key.body_key, record->body_key, KEY_SIZE);
    handedkey_encode(&key, items);
    sodium_memzero(&key, sizeof key);
    (*count)++;
    return buf_error(items);
}

/* The next parcel's worth of keys; *at moves on. */
static enum error some_keys(struct home *home, const struct buf *digests, size_t *at, struct buf *items,
                            size_t *ret_count) {
    size_t count = 0;
    for (; *at + HASH_SIZE <= digests->n && count < PARCEL_KEYS; *at += HASH_SIZE)
        TRY(add_key(home, digests->p + *at, items, &count));
    *ret_count = count;
    return E_OK;
}

static enum error first_parcel(struct home *home, const struct buf *digests, size_t *at, struct buf *out) {
    AUTO_BUF pairs = {0}, keys = {0}, card = {0};
    size_t pair_count = 0, key_count = 0;
    bool has_card = false;
    TRY(pairs_records(home, &pairs, &pair_count));
    TRY(some_keys(home, digests, at, &keys, &key_count));
    TRY(archive_get(home->archive, TABLE_META, card_key(), &card, &has_card));
    struct parcel_contents contents = {list_of(&pairs, pair_count), list_of(&keys, key_count),
                                       has_card ? buf_bytes(&card) : (struct bytes){0}};
    return make(home, &contents, out);
}

static enum error further_parcel(struct home *home, const uint8_t device[static KEY_SIZE], const struct buf *digests,
                                 size_t *at) {
    AUTO_BUF keys = {0}, parcel = {0};
    size_t count = 0;
    TRY(some_keys(home, digests, at, &keys, &count));
    if (count == 0) return E_OK;
    TRY(make(home, &(struct parcel_contents){.keys = list_of(&keys, count)}, &parcel));
    return queue(home, device, buf_bytes(&parcel));
}

/* Whom this device has given what she needs, or found here when it came itself. */
static struct archive_key met_key(const uint8_t device[static KEY_SIZE]) {
    uint8_t row[HASH_SIZE];
    label_digest(LABEL_PARCEL, bytes_of(device, KEY_SIZE), row); /* no name of another row */
    return archive_key(row, NULL, 0);
}

enum error parcel_for_new(struct home *home, const uint8_t device[static KEY_SIZE], struct buf *ret_parcel) {
    AUTO_BUF digests = {0};
    size_t at = 0;
    TRY(list_requests(home, &digests));
    TRY(archive_delete_all(home->archive, TABLE_PARCEL, SCOPE_A, archive_key(device, NULL, 0)));
    TRY(first_parcel(home, &digests, &at, ret_parcel));
    TRY(kept_number_set(home->archive, TABLE_META, met_key(device), 1));
    while (at + HASH_SIZE <= digests.n) TRY(further_parcel(home, device, &digests, &at));
    return E_OK;
}

/* Sealed and signed: who overheard the code opens nothing of it, and she sees that it is a live sister's. */
enum error parcel_seal_for_new(struct home *home, struct bytes prekey, struct buf *ret_sealed) {
    struct prekey opened;
    uint8_t id[PREKEY_ID_SIZE];
    AUTO_BUF parcel = {0};
    TRY(directory_open_prekey(home->directory, prekey, &opened, id));
    const struct directory_device *device = directory_device(home->directory, opened.device);
    if (device && device->role == ROLE_BELL) return E_OK;
    TRY(parcel_for_new(home, opened.device, &parcel));
    enum error error = parcel_seal(home, &opened, id, buf_bytes(&parcel), ret_sealed);
    if (parcel.n) sodium_memzero(parcel.p, parcel.n);
    return error;
}

enum error parcel_greet(struct home *home, struct relay *relay, struct bytes prekey, struct failure *failure) {
    AUTO_BUF sealed = {0};
    struct prekey opened;
    uint8_t id[PREKEY_ID_SIZE];
    enum error error = parcel_seal_for_new(home, prekey, &sealed);
    if (error == E_OK) error = directory_open_prekey(home->directory, prekey, &opened, id);
    if (error != E_OK) return fail(failure, error, "what the new device needs");
    return sealed.n ? put(relay, opened.device, buf_bytes(&sealed), failure) : E_OK;
}

/* ---- sisters that came otherwise ---- */

static enum error welcome(struct home *home, const struct directory_device *sister, bool first) {
    AUTO_BUF parcel = {0};
    uint64_t met;
    TRY(kept_number(home->archive, TABLE_META, met_key(sister->device), &met));
    if (met) return E_OK;
    if (first) return kept_number_set(home->archive, TABLE_META, met_key(sister->device), 1);
    TRY(parcel_for_new(home, sister->device, &parcel));
    return queue(home, sister->device, buf_bytes(&parcel));
}

static enum error welcome_all(struct home *home, struct instant now) {
    const struct archive_key key = archive_named("met the sisters");
    const struct directory_device *own = own_device(home), *sister = NULL;
    uint64_t begun;
    if (!own) return E_OK;
    TRY(kept_number(home->archive, TABLE_META, key, &begun));
    while ((sister = directory_device_of(home->directory, own->post, sister)))
        if (is_sister(home, sister, now)) TRY(welcome(home, sister, !begun));
    return begun ? E_OK : kept_number_set(home->archive, TABLE_META, key, 1);
}

enum error parcel_welcome(struct home *home, struct instant time, struct failure *failure) {
    enum error error = archive_begin(home->archive);
    if (error == E_OK) {
        error = welcome_all(home, time);
        if (error == E_OK)
            error = archive_commit(home->archive);
        else
            archive_rollback(home->archive);
    }
    return error == E_OK ? E_OK : fail(failure, error, "parcels for new devices of %s", home->post);
}
