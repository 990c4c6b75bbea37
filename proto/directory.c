/* directory.c - replay of the directory log.
 *
 * A leaf passes three stages. judge_*: is it valid, and what would the one record that it touches look like afterwards?
 * Nothing is changed there, so directory_make_leaf asks the same question for the ledger. prepare: all memory the
 * change needs. commit: puts the record in place and cannot fail. Hence a refused leaf, or one that meets the end of
 * memory, leaves no trace.
 *
 * Records are allocated one by one and never move; they refer to each other by position (and, for readers outside, by
 * pointer), so that a copy only has to set the pointers anew. The devices of a post form a chain in log order. */
#include "directory.h"

#include <assert.h>
#include <sodium.h>

#include "directory_index.h"
#include "joint.h"
#include "label.h"
#include "sign.h"
#include "stamp.h"

static const uint32_t NOWHERE = UINT32_MAX;

enum { KEYS_PER_LEAF = 2, INDEX_PER_LEAF = 8 };

struct post_record {
    struct directory_post post;
    uint32_t party, first, last; /* first and last device */
};

struct device_record {
    struct directory_device device;
    uint32_t post, next; /* next device of that post */
};

/* The kinds of records. */
enum table { TABLE_PARTIES, TABLE_POSTS, TABLE_DEVICES, TABLE_RELAYS, TABLE_COUNT };

static const size_t record_size[TABLE_COUNT] = {
    [TABLE_PARTIES] = sizeof(struct directory_party),
    [TABLE_POSTS] = sizeof(struct post_record),
    [TABLE_DEVICES] = sizeof(struct device_record),
    [TABLE_RELAYS] = sizeof(struct directory_relay),
};

struct records {
    void **p;
    uint32_t count, capacity;
};

struct directory {
    uint8_t registrars[CARD_KEYS_MAX][KEY_SIZE];
    size_t registrar_count;
    unsigned threshold;
    struct merkle_frontier frontier;
    uint64_t size;       /* one more than the newest leaf's index */
    bool sparse;         /* leaves are missing: there is no root */
    struct instant last; /* ledger time of the newest leaf */
    struct records records[TABLE_COUNT];
    struct index index;
};

/* What a valid leaf does: one record, new or replaced, and up to two keys that are from now on known. */
struct change {
    uint8_t statement[HASH_SIZE];
    enum table table;
    uint32_t at; /* equal to the count: a new record */
    union {
        struct directory_party party;
        struct post_record post;
        struct device_record device;
        struct directory_relay relay;
    } record;
    uint8_t keys[KEYS_PER_LEAF][KEY_SIZE];
    size_t key_count;
    bool ends_devices; /* of the post that the record is: they are revoked with it */
};

/* A statement on its way through judgement. */
struct judged {
    const struct directory *directory;
    enum label label;
    struct bytes stamped, payload;
    struct instant time;
    uint64_t index; /* that it has in the log, or would have */
    bool verified;  /* signatures were verified before */
};

/* ---- records ---- */

static struct directory_party *party_at(const struct directory *directory, uint32_t at) {
    return directory->records[TABLE_PARTIES].p[at];
}

static struct post_record *post_at(const struct directory *directory, uint32_t at) {
    return directory->records[TABLE_POSTS].p[at];
}

static struct device_record *device_at(const struct directory *directory, uint32_t at) {
    return directory->records[TABLE_DEVICES].p[at];
}

static bool find_party(const struct directory *directory, struct bytes name, uint32_t *ret) {
    return index_get(&directory->index, INDEX_PARTY, name, ret);
}

static bool find_post(const struct directory *directory, struct bytes name, uint32_t *ret) {
    return index_get(&directory->index, INDEX_POST, name, ret);
}

static bool find_device(const struct directory *directory, enum index_space space, const uint8_t key[static KEY_SIZE],
                        uint32_t *ret) {
    return index_get(&directory->index, space, bytes_of(key, KEY_SIZE), ret);
}

static bool key_equal(const uint8_t a[static KEY_SIZE], const uint8_t b[static KEY_SIZE]) {
    return memcmp(a, b, KEY_SIZE) == 0;
}

/* Callers have checked the size against the table's bound. */
static void put_text(struct bytes text, char *to, size_t size) {
    assert(text.n < size);
    if (text.n) memcpy(to, text.p, text.n);
    to[text.n] = 0;
}

/* ---- keys ---- */

/* X25519 gives no output for the points of small order (RFC 7748 section 6.1); any scalar shows it. */
static bool transport_key_valid(const uint8_t key[static KEY_SIZE]) {
    static const uint8_t scalar[KEY_SIZE] = {8};
    uint8_t out[KEY_SIZE];
    return crypto_scalarmult(out, scalar, key) == 0;
}

/* What was verified once need not be asked again: both questions cost as much as a signature. */
static bool sign_key_good(const struct judged *judged, const uint8_t key[static KEY_SIZE]) {
    return judged->verified || sign_key_valid(key);
}

static bool transport_key_good(const struct judged *judged, const uint8_t key[static KEY_SIZE]) {
    return judged->verified || transport_key_valid(key);
}

static void note_key(struct change *change, const uint8_t key[static KEY_SIZE]) {
    assert(change->key_count < KEYS_PER_LEAF);
    memcpy(change->keys[change->key_count++], key, KEY_SIZE);
}

static enum error check_signature(const struct judged *judged, const uint8_t key[static KEY_SIZE]) {
    if (judged->verified) return E_OK;
    return stamp_verify(judged->label, key, judged->stamped, NULL);
}

static enum error check_registrars(const struct judged *judged) {
    const struct directory *directory = judged->directory;
    if (judged->verified) return E_OK;
    return joint_verify(judged->label, directory->registrars, directory->registrar_count, directory->threshold,
                        judged->stamped, NULL);
}

static bool is_registrar(const struct directory *directory, const uint8_t key[static KEY_SIZE]) {
    for (size_t i = 0; i < directory->registrar_count; i++)
        if (key_equal(directory->registrars[i], key)) return true;
    return false;
}

static bool key_known(const struct directory *directory, const uint8_t key[static KEY_SIZE]) {
    return index_has(&directory->index, INDEX_KEY, bytes_of(key, KEY_SIZE)) || is_registrar(directory, key);
}

/* What the directory's size is once this statement stands in it. */
static uint64_t size_after(const struct judged *judged) { return judged->index + 1; }

/* What was signed and kept back must not undo what was said since; nor may a wrong clock lock its owner out. */
static enum error check_younger(const struct judged *judged, struct instant created, struct instant last) {
    if (created.ms <= last.ms) return E_STALE_STATEMENT;
    return created.ms > judged->time.ms && created.ms - judged->time.ms > DAY_MS ? E_STALE_STATEMENT : E_OK;
}

/* ---- judgement: one function a kind of leaf; the rules stand in directory.h ---- */

/* A title is shown to people and kept as a C string. */
static bool title_valid(struct bytes title) {
    for (size_t i = 0; i < title.n; i++)
        if (title.p[i] < 0x20 || title.p[i] == 0x7f) return false;
    return true;
}

/* The party's record: a fresh one at the end, or the one that stands. */
static enum error party_before(const struct judged *judged, struct bytes name, struct change *ret) {
    ret->table = TABLE_PARTIES;
    if (!find_party(judged->directory, name, &ret->at)) return E_UNKNOWN_PARTY;
    ret->record.party = *party_at(judged->directory, ret->at);
    return E_OK;
}

static void party_fresh(const struct judged *judged, struct bytes name, struct change *ret) {
    ret->table = TABLE_PARTIES;
    ret->at = judged->directory->records[TABLE_PARTIES].count;
    ret->record.party = (struct directory_party){0};
    put_text(name, ret->record.party.name, sizeof ret->record.party.name);
}

static enum error judge_charter(const struct judged *judged, struct change *ret) {
    struct charter charter;
    TRY(charter_decode(judged->payload, &charter));
    if (!text_is_party(charter.party) || !title_valid(charter.name)) return E_BAD_TEXT;
    if (party_before(judged, charter.party, ret) != E_OK)
        party_fresh(judged, charter.party, ret);
    else if (ret->record.party.admitted)
        return E_CONFLICT;
    if (!sign_key_good(judged, charter.authority)) return E_BAD_KEY;
    if (charter.has_recovery && !sign_key_good(judged, charter.recovery)) return E_BAD_KEY;
    if (charter.has_recovery && key_equal(charter.recovery, charter.authority)) return E_CONFLICT;
    TRY(check_signature(judged, charter.authority));

    struct directory_party *party = &ret->record.party;
    party->nominated = false;
    party->kind = (enum party_kind)charter.kind;
    put_text(charter.name, party->title, sizeof party->title);
    memcpy(party->authority, charter.authority, KEY_SIZE);
    memcpy(party->next, charter.next, HASH_SIZE);
    memcpy(party->charter, ret->statement, HASH_SIZE);
    party->has_recovery = charter.has_recovery;
    memcpy(party->recovery, charter.recovery, KEY_SIZE); /* zeros when absent */
    note_key(ret, charter.authority);
    if (charter.has_recovery) note_key(ret, charter.recovery);
    return E_OK;
}

/* A letter has come: the party is listed, so that all see whom to expect; it has no keys yet. */
static enum error nominate(const struct judged *judged, const struct admission *admission, struct change *ret) {
    if (!admission->has_name || !admission->has_kind) return E_MISSING_FIELD;
    if (admission->has_charter || admission->has_legs || admission->has_bytes) return E_MALFORMED;
    if (!text_is_party(admission->party) || !title_valid(admission->name)) return E_BAD_TEXT;
    if (party_before(judged, admission->party, ret) != E_OK)
        party_fresh(judged, admission->party, ret);
    else if (!ret->record.party.nominated)
        return E_CONFLICT;
    struct directory_party *party = &ret->record.party;
    party->nominated = true;
    party->kind = (enum party_kind)admission->kind;
    put_text(admission->name, party->title, sizeof party->title);
    return E_OK;
}

static enum error admit(const struct admission *admission, struct instant time, struct directory_party *party) {
    if (party->admitted && !party->departed) return E_CONFLICT;
    if (!admission->has_charter) return E_MISSING_FIELD;
    party->admitted = true;
    party->departed = false;
    party->admitted_at = time;
    return E_OK;
}

static enum error judge_admission(const struct judged *judged, struct change *ret) {
    struct admission admission;
    TRY(admission_decode(judged->payload, &admission));
    if (admission.action == ACTION_NOMINATE) {
        TRY(nominate(judged, &admission, ret));
        TRY(check_younger(judged, admission.created, ret->record.party.ordered));
        ret->record.party.ordered = admission.created;
        return check_registrars(judged);
    }
    if (admission.has_name || admission.has_kind) return E_MALFORMED;
    TRY(party_before(judged, admission.party, ret));
    struct directory_party *party = &ret->record.party;
    if (party->nominated) return E_NOT_ADMITTED;
    if (admission.has_charter && memcmp(admission.charter, party->charter, HASH_SIZE) != 0) return E_MISMATCH;
    if (admission.action == ACTION_ADMIT)
        TRY(admit(&admission, judged->time, party));
    else if (!party->admitted)
        return E_NOT_ADMITTED;
    TRY(check_younger(judged, admission.created, party->ordered));
    TRY(check_registrars(judged));

    party->ordered = admission.created;
    party->suspended = admission.action == ACTION_SUSPEND;
    party->has_quota_legs = admission.has_legs;
    party->quota_legs = admission.has_legs ? admission.legs : 0;
    party->has_quota_bytes = admission.has_bytes;
    party->quota_bytes = admission.has_bytes ? admission.bytes : 0;
    return E_OK;
}

/* ---- another authority key ---- */

static enum error check_new_key(const struct judged *judged, const uint8_t key[static KEY_SIZE]) {
    if (!sign_key_good(judged, key)) return E_BAD_KEY;
    return key_known(judged->directory, key) ? E_CONFLICT : E_OK;
}

/* A recovery key may stay the one that it was; it is never the new authority key itself. */
static enum error check_recovery(const struct judged *judged, const struct directory_party *party,
                                 const uint8_t authority[static KEY_SIZE], const uint8_t key[static KEY_SIZE]) {
    if (key_equal(key, authority)) return E_CONFLICT;
    if (party->has_recovery && key_equal(party->recovery, key)) return E_OK;
    return check_new_key(judged, key);
}

/* Its key counts as known only once it is taken: a notice that comes to nothing must not burn it. */
static enum error judge_notice(const struct judged *judged, struct change *ret) {
    struct notice notice;
    TRY(notice_decode(judged->payload, &notice));
    TRY(party_before(judged, notice.party, ret));
    struct directory_party *party = &ret->record.party;
    if (!party->admitted) return E_NOT_ADMITTED;
    TRY(check_new_key(judged, notice.authority));
    if (notice.has_recovery) TRY(check_recovery(judged, party, notice.authority, notice.recovery));
    TRY(check_younger(judged, notice.created, party->noticed));
    TRY(check_registrars(judged));
    party->noticed = notice.created;
    party->notice.stands = true;
    party->notice.since = judged->time;
    memcpy(party->notice.hash, ret->statement, HASH_SIZE);
    memcpy(party->notice.authority, notice.authority, KEY_SIZE);
    memcpy(party->notice.next, notice.next, HASH_SIZE);
    party->notice.has_recovery = notice.has_recovery;
    memcpy(party->notice.recovery, notice.recovery, KEY_SIZE);
    return E_OK;
}

static bool answers_notice(const struct directory_party *party, const struct succession *succession) {
    return party->notice.stands && succession->has_notice &&
           memcmp(succession->notice, party->notice.hash, HASH_SIZE) == 0;
}

/* Registrars who act without cause are stopped by the party that is still there. */
static enum error object(const struct succession *succession, struct directory_party *party) {
    bool own = key_equal(succession->signer, party->authority) ||
               (party->has_recovery && key_equal(succession->signer, party->recovery));
    if (!own) return E_NOT_ALLOWED;
    if (!answers_notice(party, succession)) return E_CONFLICT;
    party->notice.stands = false;
    return E_OK;
}

/* May the signer name this new authority? */
static enum error may_succeed(const struct judged *judged, const struct succession *succession,
                              const struct directory_party *party) {
    uint8_t digest[HASH_SIZE];
    switch ((enum succession_action)succession->action) {
    case SUCCESSION_RENEW:
        label_digest(LABEL_NEXT_KEY, bytes_of(succession->authority, KEY_SIZE), digest);
        if (memcmp(digest, party->next, HASH_SIZE) != 0) return E_NOT_ALLOWED;
        return key_equal(succession->signer, succession->authority) ? E_OK : E_NOT_ALLOWED;
    case SUCCESSION_RECOVER:
        return party->has_recovery && key_equal(succession->signer, party->recovery) ? E_OK : E_NOT_ALLOWED;
    case SUCCESSION_TAKE:
        if (!answers_notice(party, succession)) return E_CONFLICT;
        if (!key_equal(succession->authority, party->notice.authority)) return E_NOT_ALLOWED;
        if (!key_equal(succession->signer, succession->authority)) return E_NOT_ALLOWED;
        return judged->time.ms - party->notice.since.ms < NOTICE_MS ? E_NOTICE_RUNNING : E_OK;
    case SUCCESSION_OBJECT: break;
    }
    return E_MALFORMED;
}

/* What the registrars' notice said stands: the one who takes cannot change it. */
static enum error take_over(const struct succession *succession, struct directory_party *party) {
    if (memcmp(succession->next, party->notice.next, HASH_SIZE) != 0 || succession->has_recovery) return E_MISMATCH;
    party->has_recovery = party->notice.has_recovery;
    memcpy(party->recovery, party->notice.recovery, KEY_SIZE);
    return E_OK;
}

static enum error succeed(const struct judged *judged, const struct succession *succession, struct change *ret) {
    struct directory_party *party = &ret->record.party;
    if (!succession->has_authority || !succession->has_next) return E_MISSING_FIELD;
    TRY(may_succeed(judged, succession, party));
    /* What a notice announces for 14 days anybody can name as a key of his own meanwhile; the taker's signature shows whose it is. */
    if (succession->action != SUCCESSION_TAKE) TRY(check_new_key(judged, succession->authority));
    if (succession->has_recovery) TRY(check_recovery(judged, party, succession->authority, succession->recovery));
    if (succession->action == SUCCESSION_TAKE)
        TRY(take_over(succession, party));
    else if (succession->has_recovery)
        party->has_recovery = true, memcpy(party->recovery, succession->recovery, KEY_SIZE);
    memcpy(party->authority, succession->authority, KEY_SIZE);
    memcpy(party->next, succession->next, HASH_SIZE);
    party->succeeded_size = size_after(judged);
    party->notice.stands = false;
    note_key(ret, party->authority);
    if (party->has_recovery) note_key(ret, party->recovery);
    return E_OK;
}

static enum error judge_succession(const struct judged *judged, struct change *ret) {
    struct succession succession;
    TRY(succession_decode(judged->payload, &succession));
    TRY(party_before(judged, succession.party, ret));
    if (!ret->record.party.admitted) return E_NOT_ADMITTED;
    TRY(succession.action == SUCCESSION_OBJECT ? object(&succession, &ret->record.party)
                                               : succeed(judged, &succession, ret));
    return check_signature(judged, succession.signer);
}

static enum error judge_departure(const struct judged *judged, struct change *ret) {
    struct departure departure;
    TRY(departure_decode(judged->payload, &departure));
    TRY(party_before(judged, departure.party, ret));
    struct directory_party *party = &ret->record.party;
    if (!party->admitted) return E_NOT_ADMITTED;
    if (party->departed) return E_DEPARTED;
    if (!key_equal(departure.authority, party->authority)) return E_FOREIGN_CERTIFICATE;
    TRY(check_signature(judged, party->authority));
    party->departed = true;
    return E_OK;
}

/* What a post that was revoked does not bring back with it. */
static void begin_anew(struct directory_post *post) {
    post->revoked = false;
    post->into_count = 0;
    memset(post->into, 0, sizeof post->into);
    post->sheet_count = 0;
    memset(post->sheets, 0, sizeof post->sheets);
    post->contact_size = 0;
}

/* The post's record before this statement, or a fresh one. A revoked post comes back only under another post key:
 * whoever has the old one has nothing. */
static enum error post_before(const struct judged *judged, const struct post *post, uint32_t party,
                              struct change *ret) {
    const struct directory *directory = judged->directory;
    struct post_record *record = &ret->record.post;
    ret->table = TABLE_POSTS;
    if (find_post(directory, post->post, &ret->at)) {
        *record = *post_at(directory, ret->at);
        if (record->post.revoked && key_known(directory, post->key)) return E_REVOKED;
        if (record->post.revoked) begin_anew(&record->post);
        return E_OK;
    }
    ret->at = directory->records[TABLE_POSTS].count;
    *record = (struct post_record){.party = party, .first = NOWHERE, .last = NOWHERE};
    record->post.party = party_at(directory, party);
    record->post.added_at = judged->time;
    put_text(post->post, record->post.name, sizeof record->post.name);
    return E_OK;
}

/* Does it say what stands already? */
static bool says_the_same(const struct post *post, const struct directory_post *standing) {
    return post->functions == standing->functions && key_equal(post->key, standing->key) &&
           post->has_revoker == standing->has_revoker &&
           (!post->has_revoker || key_equal(post->revoker, standing->revoker));
}

static enum error judge_post(const struct judged *judged, struct change *ret) {
    struct post post;
    TRY(post_decode(judged->payload, &post));
    if (!text_is_post(post.post)) return E_BAD_TEXT;
    uint32_t at;
    if (!find_party(judged->directory, text_party_of(post.post), &at)) return E_UNKNOWN_PARTY;
    const struct directory_party *party = party_at(judged->directory, at);
    if (!party->admitted) return E_NOT_ADMITTED;
    if (party->departed) return E_DEPARTED;
    if (!key_equal(post.authority, party->authority)) return E_FOREIGN_CERTIFICATE;
    if (!sign_key_good(judged, post.key) || (post.has_revoker && !sign_key_good(judged, post.revoker)))
        return E_BAD_KEY;
    TRY(post_before(judged, &post, at, ret));
    TRY(check_signature(judged, party->authority));

    struct directory_post *record = &ret->record.post.post;
    enum error stale = check_younger(judged, post.created, record->stated);
    if (stale != E_OK && (post.created.ms > record->stated.ms || !says_the_same(&post, record))) return stale;
    if (post.created.ms > record->stated.ms) record->stated = post.created;
    record->functions = (unsigned)post.functions;
    memcpy(record->key, post.key, KEY_SIZE);
    record->has_revoker = post.has_revoker;
    memcpy(record->revoker, post.revoker, KEY_SIZE); /* zeros when absent */
    note_key(ret, post.key);
    if (post.has_revoker) note_key(ret, post.revoker);
    return E_OK;
}

/* ---- one post becomes several ---- */

static bool named_before(const struct directory_post *post, struct bytes name) {
    for (size_t i = 0; i < post->into_count; i++)
        if (bytes_are(name, post->into[i])) return true;
    return false;
}

/* The posts that take over: named in the record, and their functions. */
static enum error split_into(const struct judged *judged, struct list names, struct directory_post *post) {
    unsigned functions = 0;
    struct bytes name;
    while (list_next_bytes(&names, &name)) {
        const struct directory_post *other = text_is_post(name) ? directory_post(judged->directory, name) : NULL;
        if (!other) return E_UNKNOWN_POST;
        if (other->party != post->party || bytes_are(name, post->name)) return E_NOT_ALLOWED;
        if (other->revoked) return E_REVOKED;
        if (other->into_count > 0 || named_before(post, name)) return E_CONFLICT;
        put_text(name, post->into[post->into_count++], sizeof post->into[0]);
        functions |= other->functions;
    }
    if (post->into_count == 0) return E_MISSING_FIELD;
    return (post->functions & ~functions) == 0 ? E_OK : E_MISMATCH;
}

static enum error judge_split(const struct judged *judged, struct change *ret) {
    struct split split;
    TRY(split_decode(judged->payload, &split));
    ret->table = TABLE_POSTS;
    if (!find_post(judged->directory, split.post, &ret->at)) return E_UNKNOWN_POST;
    ret->record.post = *post_at(judged->directory, ret->at);
    struct directory_post *post = &ret->record.post.post;
    if (post->revoked) return E_REVOKED;
    if (post->party->departed) return E_DEPARTED;
    if (!key_equal(split.authority, post->party->authority)) return E_FOREIGN_CERTIFICATE;
    if ((split.action == SPLIT_INTO) != (post->into_count == 0)) return E_CONFLICT;
    if (split.action == SPLIT_BACK && split.into.count > 0) return E_MALFORMED;
    TRY(check_younger(judged, split.created, post->parted));
    post->parted = split.created;
    post->into_count = 0;
    memset(post->into, 0, sizeof post->into);
    if (split.action == SPLIT_INTO) TRY(split_into(judged, split.into, post));
    return check_signature(judged, post->party->authority);
}

/* ---- devices ---- */

/* Counts those, too, that wait for their countersignature or their first day: otherwise they could all become live
 * later. */
static size_t standing_devices(const struct directory *directory, const struct post_record *post, struct instant time) {
    size_t count = 0;
    for (uint32_t at = post->first; at != NOWHERE; at = device_at(directory, at)->next) {
        const struct directory_device *device = &device_at(directory, at)->device;
        count += !device->revoked && time.ms < device->not_after.ms;
    }
    return count;
}

static enum error check_validity(const struct device *device) {
    if (device->not_after.ms <= device->not_before.ms) return E_OUT_OF_RANGE;
    return device->not_after.ms - device->not_before.ms > DEVICE_VALIDITY_MAX_MS ? E_OUT_OF_RANGE : E_OK;
}

static enum error check_device_keys(const struct judged *judged, const struct device *device) {
    const struct directory *directory = judged->directory;
    if (!sign_key_good(judged, device->device) || !transport_key_good(judged, device->transport)) return E_BAD_KEY;
    if (key_known(directory, device->device) || key_known(directory, device->transport)) return E_CONFLICT;
    return key_equal(device->device, device->transport) ? E_CONFLICT : E_OK;
}

/* A device that is live extends its own validity: same keys, same role. */
static enum error renew_device(const struct judged *judged, const struct device *device, struct change *ret) {
    if (!find_device(judged->directory, INDEX_DEVICE, device->device, &ret->at)) return E_FOREIGN_CERTIFICATE;
    ret->table = TABLE_DEVICES;
    ret->record.device = *device_at(judged->directory, ret->at);
    struct directory_device *record = &ret->record.device.device;
    bool same = bytes_are(device->post, record->post->name) && key_equal(device->transport, record->transport) &&
                device->role == (uint64_t)record->role;
    if (!same) return E_FOREIGN_CERTIFICATE;
    TRY(directory_live(record, judged->time));
    if (device->not_after.ms <= record->not_after.ms || device->not_before.ms > judged->time.ms) return E_OUT_OF_RANGE;
    if (device->not_after.ms - judged->time.ms > DEVICE_VALIDITY_MAX_MS) return E_OUT_OF_RANGE;
    record->not_after = device->not_after;
    return check_signature(judged, record->device);
}

static enum error add_device(const struct judged *judged, const struct device *device, uint32_t at,
                             struct change *ret) {
    const struct directory *directory = judged->directory;
    const struct post_record *post = post_at(directory, at);
    bool issued = key_equal(device->issuer, post->post.key) || key_equal(device->issuer, post->post.party->authority);
    if (!issued) return E_FOREIGN_CERTIFICATE;
    TRY(check_validity(device));
    TRY(check_device_keys(judged, device));
    if (standing_devices(directory, post, judged->time) >= DEVICES_PER_POST_MAX) return E_NOT_ALLOWED;
    TRY(check_signature(judged, device->issuer));

    ret->table = TABLE_DEVICES;
    ret->at = directory->records[TABLE_DEVICES].count;
    ret->record.device = (struct device_record){.post = at, .next = NOWHERE};
    struct directory_device *record = &ret->record.device.device;
    *record = (struct directory_device){
        .role = (enum device_role)device->role,
        .not_before = device->not_before,
        .not_after = device->not_after,
        .added_at = judged->time,
        .post = &post->post,
    };
    memcpy(record->device, device->device, KEY_SIZE);
    memcpy(record->transport, device->transport, KEY_SIZE);
    memcpy(record->certificate, ret->statement, HASH_SIZE);
    note_key(ret, device->device);
    note_key(ret, device->transport);
    return E_OK;
}

static enum error judge_device(const struct judged *judged, struct change *ret) {
    struct device device;
    uint32_t at;
    TRY(device_decode(judged->payload, &device));
    if (!find_post(judged->directory, device.post, &at)) return E_UNKNOWN_POST;
    if (post_at(judged->directory, at)->post.revoked) return E_REVOKED;
    bool own = key_equal(device.issuer, device.device);
    return own ? renew_device(judged, &device, ret) : add_device(judged, &device, at, ret);
}

/* The authority of the device's party, or a live device of its post; a bell only pages somebody, and vouches for
 * nobody. */
static enum error may_countersign(const struct judged *judged, const struct directory_device *device,
                                  const uint8_t signer[static KEY_SIZE]) {
    if (key_equal(signer, device->post->party->authority)) return E_OK;
    const struct directory_device *sister = directory_device(judged->directory, signer);
    if (!sister || sister->post != device->post || sister->role == ROLE_BELL) return E_NOT_ALLOWED;
    return directory_live(sister, judged->time);
}

static enum error judge_countersign(const struct judged *judged, struct change *ret) {
    struct countersign countersign;
    TRY(countersign_decode(judged->payload, &countersign));
    ret->table = TABLE_DEVICES;
    if (!find_device(judged->directory, INDEX_CERTIFICATE, countersign.certificate, &ret->at)) return E_UNKNOWN_DEVICE;
    ret->record.device = *device_at(judged->directory, ret->at);
    struct directory_device *device = &ret->record.device.device;
    if (device->revoked || device->post->revoked) return E_REVOKED;
    TRY(may_countersign(judged, device, countersign.signer));
    TRY(check_signature(judged, countersign.signer));
    if (!device->countersigned) device->countersigned_size = size_after(judged);
    device->countersigned = true;
    return E_OK;
}

/* The desk whose laptop is gone must not wait for the safe to be opened: a sister that decides may end it. */
static bool is_deciding_sister(const struct judged *judged, const struct directory_post *post, const uint8_t *signer) {
    const struct directory_device *sister = directory_device(judged->directory, signer);
    return sister && sister->post == post && sister->role == ROLE_DECIDER &&
           directory_live(sister, judged->time) == E_OK;
}

static bool may_revoke(const struct judged *judged, const struct directory_post *post,
                       const struct revocation *revocation) {
    const uint8_t *signer = revocation->signer;
    if (key_equal(signer, post->party->authority) || key_equal(signer, post->key)) return true;
    if (post->has_revoker && key_equal(signer, post->revoker)) return true;
    if (!revocation->has_device) return false;
    return key_equal(signer, revocation->device) || is_deciding_sister(judged, post, signer);
}

/* Certified, lost, and never seen here: from now on its key is known, so that its certificate comes too late. A key that
 * speaks for itself alone is anybody's. */
static enum error revoke_unseen(const struct judged *judged, const struct revocation *revocation, uint32_t post,
                                struct change *ret) {
    if (key_equal(revocation->signer, revocation->device)) return E_UNKNOWN_DEVICE;
    if (key_known(judged->directory, revocation->device)) return E_UNKNOWN_DEVICE;
    ret->table = TABLE_POSTS;
    ret->at = post;
    ret->record.post = *post_at(judged->directory, post);
    note_key(ret, revocation->device);
    return E_OK;
}

static enum error revoke_device(const struct judged *judged, const struct revocation *revocation, uint32_t at,
                                struct change *ret) {
    const struct directory_post *post = &post_at(judged->directory, at)->post;
    ret->table = TABLE_DEVICES;
    if (!find_device(judged->directory, INDEX_DEVICE, revocation->device, &ret->at))
        return revoke_unseen(judged, revocation, at, ret);
    ret->record.device = *device_at(judged->directory, ret->at);
    struct directory_device *device = &ret->record.device.device;
    if (device->post != post) return E_UNKNOWN_DEVICE;
    if (device->revoked) return E_REVOKED;
    device->revoked = true;
    device->revoked_size = size_after(judged);
    return E_OK;
}

static enum error revoke_post(const struct judged *judged, uint32_t at, struct change *ret) {
    ret->table = TABLE_POSTS;
    ret->at = at;
    ret->record.post = *post_at(judged->directory, at);
    if (ret->record.post.post.revoked) return E_REVOKED;
    ret->record.post.post.revoked = true;
    ret->record.post.post.revoked_size = size_after(judged);
    ret->ends_devices = true;
    return E_OK;
}

static enum error judge_revocation(const struct judged *judged, struct change *ret) {
    struct revocation revocation;
    TRY(revocation_decode(judged->payload, &revocation));
    uint32_t at;
    if (!find_post(judged->directory, revocation.post, &at)) return E_UNKNOWN_POST;
    const struct directory_post *post = &post_at(judged->directory, at)->post;
    if (!may_revoke(judged, post, &revocation)) return E_NOT_ALLOWED;
    if (revocation.has_device)
        TRY(revoke_device(judged, &revocation, at, ret));
    else
        TRY(revoke_post(judged, at, ret));
    return check_signature(judged, revocation.signer);
}

static enum error judge_contact(const struct judged *judged, struct change *ret) {
    struct contact contact;
    TRY(contact_decode(judged->payload, &contact));
    ret->table = TABLE_POSTS;
    if (!find_post(judged->directory, contact.post, &ret->at)) return E_UNKNOWN_POST;
    const struct directory_post *post = &post_at(judged->directory, ret->at)->post;
    if (!is_deciding_sister(judged, post, contact.device)) return E_NOT_ALLOWED;
    TRY(check_younger(judged, contact.created, post->carded));
    TRY(check_signature(judged, contact.device));
    ret->record.post = *post_at(judged->directory, ret->at);
    struct directory_post *record = &ret->record.post.post;
    record->carded = contact.created;
    const uint8_t *commitment;
    record->sheet_count = 0;
    memset(record->sheets, 0, sizeof record->sheets);
    while (list_next_fixed(&contact.commitments, HASH_SIZE, &commitment))
        memcpy(record->sheets[record->sheet_count++], commitment, HASH_SIZE);
    record->contact_size = size_after(judged);
    return E_OK;
}

/* ---- the relay itself ---- */

static enum error take_addresses(struct list addresses, struct directory_relay *relay) {
    struct bytes address;
    if (addresses.count == 0) return E_MISSING_FIELD;
    while (list_next_bytes(&addresses, &address)) {
        if (!card_address_valid(address)) return E_BAD_TEXT;
        char *to = relay->addresses[relay->address_count];
        put_text(address, to, CARD_ADDRESS_SIZE);
        for (size_t i = 0; i < relay->address_count; i++)
            if (strcmp(relay->addresses[i], to) == 0) return E_CONFLICT;
        relay->address_count++;
    }
    return E_OK;
}

/* What was lost is named by what is left: the log up to here. */
static enum error check_loss(const struct judged *judged, const struct relaychange *said) {
    uint8_t root[HASH_SIZE];
    if (said->size != judged->index) return E_MISMATCH;
    if (!judged->directory->sparse && judged->index == judged->directory->size) { /* else there is no root to compare */
        directory_root(judged->directory, root);
        if (memcmp(said->root, root, HASH_SIZE) != 0) return E_MISMATCH;
    }
    if (!sign_key_good(judged, said->log) || !sign_key_good(judged, said->statement)) return E_BAD_KEY;
    bool known = key_known(judged->directory, said->log) || key_known(judged->directory, said->statement);
    return known || key_equal(said->log, said->statement) ? E_CONFLICT : E_OK;
}

static enum error judge_relay(const struct judged *judged, struct change *ret) {
    const struct records *before = &judged->directory->records[TABLE_RELAYS];
    struct directory_relay *relay = &ret->record.relay;
    struct relaychange said;
    TRY(relaychange_decode(judged->payload, &said));
    bool all = said.has_log && said.has_statement && said.has_size && said.has_root && said.has_entries &&
               said.has_entries_root && said.has_old_log && said.has_old_statement;
    bool any = said.has_log || said.has_statement || said.has_size || said.has_root || said.has_entries ||
               said.has_entries_root || said.has_old_log || said.has_old_statement;
    if (said.action == RELAY_RECOVERED ? !all : any)
        return said.action == RELAY_RECOVERED ? E_MISSING_FIELD : E_MALFORMED;
    ret->table = TABLE_RELAYS;
    ret->at = before->count;
    *relay = (struct directory_relay){.action = (enum relay_action)said.action,
                                      .index = judged->index,
                                      .entries = said.entries,
                                      .created = said.created,
                                      .at = judged->time};
    TRY(take_addresses(said.addresses, relay));
    if (!judged->verified && !card_curve_valid(said.curve)) return E_BAD_KEY;
    const struct directory_relay *last = before->count ? before->p[before->count - 1] : NULL;
    TRY(check_younger(judged, said.created, last ? last->created : (struct instant){0}));
    memcpy(relay->curve, said.curve, KEY_SIZE);
    if (said.action == RELAY_RECOVERED) {
        TRY(check_loss(judged, &said));
        memcpy(relay->log, said.log, KEY_SIZE);
        memcpy(relay->statement, said.statement, KEY_SIZE);
        memcpy(relay->old_log, said.old_log, KEY_SIZE);
        memcpy(relay->old_statement, said.old_statement, KEY_SIZE);
        memcpy(relay->entries_root, said.entries_root, HASH_SIZE);
        note_key(ret, said.log);
        note_key(ret, said.statement);
    }
    return check_registrars(judged);
}

/* joint: signed by several (joint.h), not stamped. name: where the statement says of whom it speaks; a countersignature names
 * a certificate, a word on the relay nobody. */
#define NAMED(o, field) &o##_object, offsetof(struct o, field)
#define UNNAMED NULL, 0
static const struct leaf_rule {
    enum label label;
    enum error (*judge)(const struct judged *judged, struct change *ret);
    bool joint;
    const struct object *object;
    size_t name;
} rules[] = {
    [LEAF_CHARTER] = {LABEL_CHARTER, judge_charter, false, NAMED(charter, party)},
    [LEAF_ADMISSION] = {LABEL_ADMISSION, judge_admission, true, NAMED(admission, party)},
    [LEAF_POST] = {LABEL_POST, judge_post, false, NAMED(post, post)},
    [LEAF_DEVICE] = {LABEL_DEVICE, judge_device, false, NAMED(device, post)},
    [LEAF_COUNTERSIGN] = {LABEL_COUNTERSIGN, judge_countersign, false, UNNAMED},
    [LEAF_REVOCATION] = {LABEL_REVOCATION, judge_revocation, false, NAMED(revocation, post)},
    [LEAF_SUCCESSION] = {LABEL_SUCCESSION, judge_succession, false, NAMED(succession, party)},
    [LEAF_DEPARTURE] = {LABEL_DEPARTURE, judge_departure, false, NAMED(departure, party)},
    [LEAF_SPLIT] = {LABEL_SPLIT, judge_split, false, NAMED(split, post)},
    [LEAF_NOTICE] = {LABEL_NOTICE, judge_notice, true, NAMED(notice, party)},
    [LEAF_CONTACT] = {LABEL_CONTACT, judge_contact, false, NAMED(contact, post)},
    [LEAF_RELAY] = {LABEL_RELAY, judge_relay, true, UNNAMED},
};

static const struct leaf_rule *rule_of(uint64_t kind) {
    return kind < LENGTH(rules) && rules[kind].judge ? &rules[kind] : NULL;
}

enum error directory_peek(uint64_t kind, struct bytes statement, struct bytes *ret_payload) {
    const struct leaf_rule *rule = rule_of(kind);
    if (!rule) return E_UNKNOWN_VERSION;
    return rule->joint ? joint_peek(statement, ret_payload) : stamp_peek(statement, ret_payload);
}

/* Everything that a named statement may be. */
union any_statement {
    struct charter charter;
    struct admission admission;
    struct post post;
    struct device device;
    struct revocation revocation;
    struct succession succession;
    struct departure departure;
    struct split split;
    struct notice notice;
    struct contact contact;
};

static enum error countersigned_post(const struct directory *directory, struct bytes payload, struct bytes *ret) {
    struct countersign countersign;
    uint32_t at;
    TRY(countersign_decode(payload, &countersign));
    if (!directory || !find_device(directory, INDEX_CERTIFICATE, countersign.certificate, &at)) return E_UNKNOWN_DEVICE;
    *ret = bytes_text(device_at(directory, at)->device.post->name);
    return E_OK;
}

enum error directory_leaf_name(const struct directory *directory, struct bytes bytes, enum leaf_kind *ret_kind,
                               struct bytes *ret_name) {
    struct leaf leaf;
    struct bytes payload;
    union any_statement value;
    TRY(leaf_decode(bytes, &leaf));
    const struct leaf_rule *rule = rule_of(leaf.kind);
    struct bytes name = {0};
    if (!rule) return E_UNKNOWN_VERSION;
    TRY(directory_peek(leaf.kind, leaf.statement, &payload));
    if (leaf.kind == LEAF_COUNTERSIGN) {
        TRY(countersigned_post(directory, payload, &name));
    } else if (rule && rule->object) {
        TRY(codec_decode(rule->object, payload, &value));
        memcpy(&name, (const uint8_t *)&value + rule->name, sizeof name);
    }
    *ret_kind = (enum leaf_kind)leaf.kind;
    *ret_name = name;
    return E_OK;
}

/* A statement stands at most once in the log: else a relay could repeat an old one - a suspension, a post's former key
 * - and undo what its signer said since. */
static enum error judge(const struct directory *directory, const struct leaf *leaf, uint64_t index, bool verified,
                        struct change *ret) {
    const struct leaf_rule *rule = rule_of(leaf->kind);
    if (!rule) return E_UNKNOWN_VERSION;
    if (leaf->time.ms < directory->last.ms) return E_OUT_OF_RANGE;
    struct judged judged = {directory, rule->label, leaf->statement, {0}, leaf->time, index, verified};
    TRY(directory_peek(leaf->kind, leaf->statement, &judged.payload));
    stamp_hash(judged.payload, ret->statement);
    if (index_has(&directory->index, INDEX_STATEMENT, bytes_of(ret->statement, HASH_SIZE))) return E_CONFLICT;
    return rule->judge(&judged, ret);
}

/* ---- putting a change in place ---- */

static enum error records_reserve(struct records *records) {
    if (records->count < records->capacity) return E_OK;
    if (records->capacity > NOWHERE / 4) return E_NO_MEMORY;
    uint32_t capacity = records->capacity ? records->capacity * 2 : 16;
    void **p = reallocarray(records->p, capacity, sizeof *p);
    if (!p) return E_NO_MEMORY;
    records->p = p;
    records->capacity = capacity;
    return E_OK;
}

static bool is_new(const struct directory *directory, const struct change *change) {
    return change->at == directory->records[change->table].count;
}

/* ret_record: memory for a new record; NULL where an old one is replaced. */
static enum error prepare(struct directory *directory, const struct change *change, void **ret_record) {
    TRY(index_reserve(&directory->index, INDEX_PER_LEAF));
    *ret_record = NULL;
    if (!is_new(directory, change)) return E_OK;
    TRY(records_reserve(&directory->records[change->table]));
    *ret_record = malloc(record_size[change->table]);
    return *ret_record ? E_OK : E_NO_MEMORY;
}

static void chain_device(struct directory *directory, uint32_t at) {
    struct post_record *post = post_at(directory, device_at(directory, at)->post);
    if (post->last == NOWHERE)
        post->first = at;
    else
        device_at(directory, post->last)->next = at;
    post->last = at;
}

static void index_record(struct directory *directory, const struct change *change) {
    struct index *index = &directory->index;
    uint32_t at = change->at;
    switch (change->table) {
    case TABLE_PARTIES: index_put(index, INDEX_PARTY, bytes_text(change->record.party.name), at); return;
    case TABLE_POSTS: index_put(index, INDEX_POST, bytes_text(change->record.post.post.name), at); return;
    case TABLE_DEVICES: {
        const struct directory_device *device = &change->record.device.device;
        index_put(index, INDEX_DEVICE, bytes_of(device->device, KEY_SIZE), at);
        index_put(index, INDEX_TRANSPORT, bytes_of(device->transport, KEY_SIZE), at);
        index_put(index, INDEX_CERTIFICATE, bytes_of(device->certificate, HASH_SIZE), at);
        chain_device(directory, at);
        return;
    }
    case TABLE_RELAYS: return; /* read in log order only */
    case TABLE_COUNT: break;
    }
    assert(false && "a change names its table");
}

static void end_devices(struct directory *directory, uint32_t post) {
    for (uint32_t at = post_at(directory, post)->first; at != NOWHERE; at = device_at(directory, at)->next) {
        struct directory_device *device = &device_at(directory, at)->device;
        if (device->revoked) continue;
        device->revoked = true;
        device->revoked_size = post_at(directory, post)->post.revoked_size;
    }
}

static void commit(struct directory *directory, const struct change *change, void *record) {
    struct records *records = &directory->records[change->table];
    bool added = record != NULL;
    if (added) records->p[records->count++] = record;
    memcpy(records->p[change->at], &change->record, record_size[change->table]);
    if (added) index_record(directory, change);
    if (change->ends_devices) end_devices(directory, change->at);
    index_put(&directory->index, INDEX_STATEMENT, bytes_of(change->statement, HASH_SIZE), 0);
    for (size_t i = 0; i < change->key_count; i++)
        index_put(&directory->index, INDEX_KEY, bytes_of(change->keys[i], KEY_SIZE), 0);
}

static enum error apply(struct directory *directory, uint64_t index, struct bytes leaf_bytes, bool verified) {
    struct leaf leaf;
    struct change change = {0};
    void *record;
    TRY(leaf_decode(leaf_bytes, &leaf));
    TRY(judge(directory, &leaf, index, verified, &change));
    TRY(prepare(directory, &change, &record));
    commit(directory, &change, record);

    uint8_t hash[HASH_SIZE];
    merkle_leaf(leaf_bytes, hash);
    directory->sparse |= index > directory->size;
    if (!directory->sparse) merkle_frontier_add(&directory->frontier, hash);
    directory->size = index + 1;
    directory->last = leaf.time;
    return E_OK;
}

enum error directory_apply(struct directory *directory, struct bytes leaf) {
    return apply(directory, directory->size, leaf, false);
}

enum error directory_replay(struct directory *directory, struct bytes leaf) {
    return apply(directory, directory->size, leaf, true);
}

enum error directory_apply_at(struct directory *directory, uint64_t index, struct bytes leaf) {
    if (index < directory->size || index >= INT64_MAX) return E_OUT_OF_RANGE;
    return apply(directory, index, leaf, false);
}

enum error directory_make_leaf(const struct directory *directory, enum leaf_kind kind, struct bytes statement,
                               struct instant time, struct buf *ret_leaf) {
    struct leaf leaf = {.kind = (uint64_t)kind, .statement = statement, .time = time};
    struct change change = {0};
    if (statement.n > DIRSTATEMENT_MAX) return E_OUT_OF_RANGE;
    TRY(judge(directory, &leaf, directory->size, false, &change));
    AUTO_BUF bytes = {0};
    leaf_encode(&leaf, &bytes);
    TRY(buf_error(&bytes));
    buf_add_bytes(ret_leaf, buf_bytes(&bytes));
    return buf_error(ret_leaf);
}

bool directory_holds(const struct directory *directory, enum leaf_kind kind, struct bytes statement) {
    struct bytes payload;
    if (directory_peek(kind, statement, &payload) != E_OK) return false;
    uint8_t hash[HASH_SIZE];
    stamp_hash(payload, hash);
    return index_has(&directory->index, INDEX_STATEMENT, bytes_of(hash, sizeof hash));
}

/* ---- making, copying, freeing ---- */

struct directory *directory_new(const struct card *card) {
    struct directory *directory = calloc(1, sizeof *directory);
    if (!directory) return NULL;
    assert(card->registrar_count <= CARD_KEYS_MAX);
    index_init(&directory->index);
    memcpy(directory->registrars, card->registrars, card->registrar_count * KEY_SIZE);
    directory->registrar_count = card->registrar_count;
    directory->threshold = card->threshold;
    return directory;
}

void directory_free(struct directory *directory) {
    if (!directory) return;
    for (unsigned table = 0; table < TABLE_COUNT; table++) {
        struct records *records = &directory->records[table];
        for (uint32_t i = 0; i < records->count; i++) free(records->p[i]);
        free(records->p);
    }
    index_free(&directory->index);
    free(directory);
}

static bool copy_records(const struct records *from, size_t size, struct records *to) {
    if (from->count == 0) return true;
    to->p = reallocarray(NULL, from->count, sizeof *to->p);
    if (!to->p) return false;
    to->capacity = from->count;
    for (; to->count < from->count; to->count++) {
        void *record = malloc(size);
        if (!record) return false;
        memcpy(record, from->p[to->count], size);
        to->p[to->count] = record;
    }
    return true;
}

/* Copied records still point into the directory that they come from. */
static void point_anew(struct directory *directory) {
    for (uint32_t i = 0; i < directory->records[TABLE_POSTS].count; i++) {
        struct post_record *record = post_at(directory, i);
        record->post.party = party_at(directory, record->party);
    }
    for (uint32_t i = 0; i < directory->records[TABLE_DEVICES].count; i++) {
        struct device_record *record = device_at(directory, i);
        record->device.post = &post_at(directory, record->post)->post;
    }
}

struct directory *directory_copy(const struct directory *directory) {
    struct directory *copy = calloc(1, sizeof *copy);
    if (!copy) return NULL;
    index_init(&copy->index);
    memcpy(copy->registrars, directory->registrars, sizeof copy->registrars);
    copy->registrar_count = directory->registrar_count;
    copy->threshold = directory->threshold;
    bool copied = index_copy(&directory->index, &copy->index) == E_OK;
    for (unsigned table = 0; copied && table < TABLE_COUNT; table++)
        copied = copy_records(&directory->records[table], record_size[table], &copy->records[table]);
    if (!copied) {
        directory_free(copy);
        return NULL;
    }
    copy->frontier = directory->frontier;
    copy->size = directory->size;
    copy->sparse = directory->sparse;
    copy->last = directory->last;
    point_anew(copy);
    return copy;
}

/* ---- questions ---- */

uint64_t directory_size(const struct directory *directory) { return directory->size; }

void directory_root(const struct directory *directory, uint8_t ret[static HASH_SIZE]) {
    assert(!directory->sparse);
    merkle_frontier_root(&directory->frontier, ret);
}

void directory_phrase(const uint8_t card_hash[static HASH_SIZE], uint64_t size, const uint8_t root[static HASH_SIZE],
                      uint8_t ret[static HASH_SIZE]) {
    uint8_t whole[HASH_SIZE + sizeof size + HASH_SIZE];
    memcpy(whole, card_hash, HASH_SIZE);
    for (size_t i = 0; i < sizeof size; i++) whole[HASH_SIZE + i] = (uint8_t)(size >> (56 - 8 * i));
    memcpy(whole + HASH_SIZE + sizeof size, root, HASH_SIZE);
    label_digest(LABEL_PHRASE, bytes_of(whole, sizeof whole), ret);
}

const struct directory_party *directory_party(const struct directory *directory, struct bytes name) {
    uint32_t at;
    return find_party(directory, name, &at) ? party_at(directory, at) : NULL;
}

const struct directory_post *directory_post(const struct directory *directory, struct bytes name) {
    uint32_t at;
    return find_post(directory, name, &at) ? &post_at(directory, at)->post : NULL;
}

const struct directory_device *directory_device(const struct directory *directory,
                                                const uint8_t device[static KEY_SIZE]) {
    uint32_t at;
    return find_device(directory, INDEX_DEVICE, device, &at) ? &device_at(directory, at)->device : NULL;
}

const struct directory_device *directory_transport(const struct directory *directory,
                                                   const uint8_t transport[static KEY_SIZE]) {
    uint32_t at;
    return find_device(directory, INDEX_TRANSPORT, transport, &at) ? &device_at(directory, at)->device : NULL;
}

const struct directory_party *directory_party_nth(const struct directory *directory, size_t n) {
    return n < directory->records[TABLE_PARTIES].count ? party_at(directory, (uint32_t)n) : NULL;
}

const struct directory_post *directory_post_nth(const struct directory *directory, size_t n) {
    return n < directory->records[TABLE_POSTS].count ? &post_at(directory, (uint32_t)n)->post : NULL;
}

const struct directory_device *directory_device_nth(const struct directory *directory, size_t n) {
    return n < directory->records[TABLE_DEVICES].count ? &device_at(directory, (uint32_t)n)->device : NULL;
}

void directory_charter_digest(struct bytes payload, uint8_t ret[static HASH_SIZE]) {
    label_digest(LABEL_FINGERPRINT, payload, ret);
}

enum error directory_live(const struct directory_device *device, struct instant time) {
    if (device->revoked) return E_REVOKED; /* with a post, all its devices are */
    if (time.ms < device->not_before.ms || time.ms >= device->not_after.ms) return E_CERTIFICATE_EXPIRED;
    return device->countersigned ? E_OK : E_NOT_COUNTERSIGNED;
}

static bool revoked_by(uint64_t revoked_size, uint64_t size) { return revoked_size != 0 && revoked_size <= size; }

enum error directory_live_at(const struct directory_device *device, uint64_t size, struct instant time) {
    if (revoked_by(device->revoked_size, size)) return E_REVOKED;
    if (time.ms < device->not_before.ms || time.ms >= device->not_after.ms) return E_CERTIFICATE_EXPIRED;
    bool vouched = device->countersigned_size != 0 && device->countersigned_size <= size;
    return vouched ? E_OK : E_NOT_COUNTERSIGNED;
}

enum error directory_may_submit(const struct directory_device *device, struct instant time) {
    TRY(directory_live(device, time));
    if (device->role == ROLE_BELL) return E_NOT_ALLOWED;
    if (device->post->party->departed) return E_DEPARTED;
    return device->post->party->suspended ? E_SUSPENDED : E_OK;
}

enum error directory_may_receive(const struct directory_post *post) {
    if (post->revoked) return E_REVOKED;
    if (post->party->departed) return E_DEPARTED;
    return post->into_count > 0 ? E_SPLIT : E_OK;
}

const struct directory_device *directory_device_of(const struct directory *directory, const struct directory_post *post,
                                                   const struct directory_device *after) {
    uint32_t at = NOWHERE;
    if (after) {
        if (!find_device(directory, INDEX_DEVICE, after->device, &at)) return NULL;
        at = device_at(directory, at)->next;
    } else if (find_post(directory, bytes_text(post->name), &at)) {
        at = post_at(directory, at)->first;
    }
    return at == NOWHERE ? NULL : &device_at(directory, at)->device;
}

size_t directory_readers(const struct directory *directory, struct bytes post, struct instant time,
                         const struct directory_device *ret[static DEVICES_PER_POST_MAX]) {
    uint32_t at;
    size_t count = 0;
    if (!find_post(directory, post, &at)) return 0;
    for (at = post_at(directory, at)->first; at != NOWHERE; at = device_at(directory, at)->next) {
        const struct directory_device *device = &device_at(directory, at)->device;
        if (device->role == ROLE_BELL || directory_live(device, time) != E_OK) continue;
        if (count == DEVICES_PER_POST_MAX) break;
        ret[count++] = device;
    }
    return count;
}

enum error directory_open_prekey(const struct directory *directory, struct bytes stamped, struct prekey *ret,
                                 uint8_t ret_id[static PREKEY_ID_SIZE]) {
    struct bytes payload;
    struct prekey prekey;
    TRY(stamp_peek(stamped, &payload));
    TRY(prekey_decode(payload, &prekey));
    if (!directory_device(directory, prekey.device)) return E_UNKNOWN_DEVICE;
    if (!transport_key_valid(prekey.key)) return E_BAD_KEY;
    TRY(stamp_verify(LABEL_PREKEY, prekey.device, stamped, NULL));
    uint8_t hash[HASH_SIZE];
    stamp_hash(payload, hash);
    memcpy(ret_id, hash, PREKEY_ID_SIZE);
    *ret = prekey;
    return E_OK;
}

/* ---- the relay ---- */

const struct directory_relay *directory_relay_nth(const struct directory *directory, size_t n) {
    const struct records *records = &directory->records[TABLE_RELAYS];
    return n < records->count ? records->p[n] : NULL;
}

static void follow_place(const struct directory_relay *relay, struct card *card) {
    memcpy(card->addresses, relay->addresses, sizeof relay->addresses);
    card->address_count = relay->address_count;
    memcpy(card->curve, relay->curve, KEY_SIZE);
}

static void follow_keys(const uint8_t log[static KEY_SIZE], const uint8_t statement[static KEY_SIZE],
                        struct card *card) {
    memcpy(card->log, log, KEY_SIZE);
    memcpy(card->statement, statement, KEY_SIZE);
}

void directory_relay_card(const struct directory *directory, struct card *card) {
    directory_relay_card_at(directory, UINT64_MAX, card, card);
}

void directory_relay_card_at(const struct directory *directory, uint64_t size, const struct card *given,
                             struct card *ret) {
    const struct directory_relay *relay;
    if (ret != given) *ret = *given;
    for (size_t n = 0; (relay = directory_relay_nth(directory, n)); n++) {
        bool before = relay->index < size, keys = relay->action == RELAY_RECOVERED;
        if (before) follow_place(relay, ret);
        if (before && keys) follow_keys(relay->log, relay->statement, ret);
        if (before || !keys) continue;
        follow_keys(relay->old_log, relay->old_statement, ret); /* the card may have been given after that */
        return;
    }
}
