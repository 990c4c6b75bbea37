/* pairs.c - the table of secrets shared with other parties. */
#include "pairs.h"

#include <sodium.h>

#include "label.h"
#include "moment.h"
#include "text.h"

static const uint8_t rule_id[PREKEY_ID_SIZE]; /* zeros: no digest of a secret */

static bool is_rule(const struct pairsecret *record) { return memcmp(record->id, rule_id, sizeof rule_id) == 0; }

void pair_key_free(struct pair_key *key) {
    secret_free(&key->secret);
    *key = (struct pair_key){0};
}

void pairs_id(const uint8_t secret[static KEY_SIZE], uint8_t ret[static PREKEY_ID_SIZE]) {
    uint8_t digest[HASH_SIZE];
    label_digest(LABEL_PAIR, bytes_of(secret, KEY_SIZE), digest);
    memcpy(ret, digest, PREKEY_ID_SIZE);
}

/* ---- records ---- */

static struct archive_key row_of(const struct home *home, struct bytes party, const uint8_t id[static PREKEY_ID_SIZE]) {
    uint8_t hash[HASH_SIZE], row[HASH_SIZE] = {0};
    archive_hash(home->archive, party, hash);
    memcpy(row, id, PREKEY_ID_SIZE);
    return archive_key(hash, row, 0);
}

static void wipe(struct pairsecret *record) { sodium_memzero(record, sizeof *record); }
#define AUTO_RECORD __attribute__((cleanup(wipe))) struct pairsecret

/* `bytes` is what the record's views borrow. */
static enum error load(struct home *home, struct bytes party, const uint8_t id[static PREKEY_ID_SIZE],
                       struct buf *bytes, struct pairsecret *ret, bool *ret_found) {
    TRY(archive_get(home->archive, TABLE_PAIR, row_of(home, party, id), bytes, ret_found));
    if (!*ret_found) return E_OK;
    return pairsecret_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

static enum error save(struct home *home, const struct pairsecret *record) {
    AUTO_BUF bytes = {0};
    pairsecret_encode(record, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_PAIR, row_of(home, record->party, record->id), buf_bytes(&bytes));
}

static enum error next(struct home *home, struct archive_cursor *cursor, struct buf *bytes, struct pairsecret *ret,
                       bool *ret_found) {
    TRY(archive_next(home->archive, cursor, bytes, ret_found));
    if (!*ret_found) return E_OK;
    return pairsecret_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

static struct archive_cursor all_pairs(void) {
    return archive_cursor(TABLE_PAIR, SCOPE_ALL, archive_key(NULL, NULL, 0));
}

static struct archive_cursor pairs_of(const struct home *home, struct bytes party) {
    return archive_cursor(TABLE_PAIR, SCOPE_A, row_of(home, party, rule_id));
}

/* ---- changing ---- */

static enum error check_party(const struct home *home, const char *party, struct failure *failure) {
    struct bytes name = bytes_text(party);
    if (!text_is_party(name)) return fail(failure, E_USAGE, "%.80s is no name of a party, such as de", party);
    if (bytes_equal(name, text_party_of(bytes_text(home->post))))
        return fail(failure, E_USAGE, "%s is this post's own party", party);
    if (!home->directory || directory_party(home->directory, name)) return E_OK;
    return fail(failure, E_UNKNOWN_PARTY, "%s", party);
}

/* A change is later than what it changes, whatever the clock says. */
static struct instant later_than(struct instant before) {
    struct instant now = moment_now();
    return now.ms > before.ms ? now : (struct instant){before.ms + 1};
}

static enum error set_rule(struct home *home, struct bytes party, bool required) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    bool found = false;
    TRY(load(home, party, rule_id, &bytes, &record, &found));
    if (found && record.required == required) return E_OK;
    struct pairsecret rule = {.party = party, .required = required};
    rule.created = found ? record.created : moment_now();
    rule.changed = later_than(record.changed);
    return save(home, &rule);
}

static enum error put_secret(struct home *home, struct bytes party, const uint8_t secret[static KEY_SIZE],
                             const uint8_t id[static PREKEY_ID_SIZE]) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    bool found = false;
    TRY(load(home, party, id, &bytes, &record, &found));
    if (found) return record.removed ? E_CONFLICT : E_OK;
    record = (struct pairsecret){.party = party, .created = moment_now(), .changed = moment_now()};
    memcpy(record.id, id, PREKEY_ID_SIZE);
    memcpy(record.secret, secret, KEY_SIZE);
    TRY(save(home, &record));
    /* What came sealed under it before it was here is read again. */
    return kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1);
}

static enum error end_of(struct home *home, enum error error) {
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

static enum error local_store(struct failure *failure, enum error error) {
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

enum error pairs_add(struct home *home, const char *party, const uint8_t secret[static KEY_SIZE], bool require,
                     uint8_t ret_id[static PREKEY_ID_SIZE], struct failure *failure) {
    uint8_t id[PREKEY_ID_SIZE];
    struct bytes name = bytes_text(party);
    TRY(check_party(home, party, failure));
    pairs_id(secret, id);
    enum error error = archive_begin(home->archive);
    if (error != E_OK) return local_store(failure, error);
    error = put_secret(home, name, secret, id);
    if (error == E_OK && require) error = set_rule(home, name, true);
    error = end_of(home, error);
    if (error == E_CONFLICT) {
        fail(failure, error, "this secret with %s was removed here", party);
        fail_hint(failure, "make a new one with `pouch pair new %s`", party);
        return error;
    }
    TRY(local_store(failure, error));
    memcpy(ret_id, id, PREKEY_ID_SIZE);
    return E_OK;
}

enum error pairs_require(struct home *home, const char *party, bool required, struct failure *failure) {
    TRY(check_party(home, party, failure));
    enum error error = archive_begin(home->archive);
    if (error == E_OK) error = end_of(home, set_rule(home, bytes_text(party), required));
    return local_store(failure, error);
}

static bool typed_means(const char *typed, const uint8_t id[static PREKEY_ID_SIZE]) {
    char hex[2 * PREKEY_ID_SIZE + 1];
    size_t n = strlen(typed);
    text_hex(id, PREKEY_ID_SIZE, hex);
    return n > 0 && n < sizeof hex && strncmp(hex, typed, n) == 0;
}

/* The id that is meant, among the secrets that are here. */
static enum error find_typed(struct home *home, const char *party, const char *typed, uint8_t *ret) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    struct archive_cursor cursor = pairs_of(home, bytes_text(party));
    size_t count = 0;
    for (bool found = true;;) {
        TRY(next(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (is_rule(&record) || record.removed || !typed_means(typed, record.id)) continue;
        memcpy(ret, record.id, PREKEY_ID_SIZE);
        count++;
    }
    return count == 1 ? E_OK : count == 0 ? E_UNKNOWN_PAIR : E_AMBIGUOUS;
}

static enum error mark_removed(struct home *home, struct bytes party, const uint8_t *id) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    bool found = false;
    TRY(load(home, party, id, &bytes, &record, &found));
    if (!found) return E_UNKNOWN_PAIR;
    sodium_memzero(record.secret, KEY_SIZE);
    record.removed = true;
    record.changed = later_than(record.changed);
    return save(home, &record);
}

enum error pairs_remove(struct home *home, const char *party, const char *typed, struct failure *failure) {
    uint8_t id[PREKEY_ID_SIZE];
    TRY(check_party(home, party, failure));
    enum error error = find_typed(home, party, typed, id);
    if (error == E_UNKNOWN_PAIR || error == E_AMBIGUOUS) {
        fail(failure, error, "%.40s, of those shared with %s", typed, party);
        fail_hint(failure, "see `pouch pair list`");
        return error;
    }
    TRY(local_store(failure, error));
    error = archive_begin(home->archive);
    if (error == E_OK) error = end_of(home, mark_removed(home, bytes_text(party), id));
    if (error == E_OK) error = archive_scrub(home->archive);
    return local_store(failure, error);
}

/* ---- showing ---- */

static int by_party_and_age(const void *x, const void *y) {
    const struct pair_view *a = x, *b = y;
    int names = strcmp(a->party, b->party);
    if (names != 0) return names;
    if (a->created.ms != b->created.ms) return a->created.ms < b->created.ms ? -1 : 1;
    return memcmp(a->id, b->id, PREKEY_ID_SIZE);
}

/* Rules have become marks of their party's secrets, or stand for themselves where there are none. */
static size_t settle(struct pair_view *views, size_t count) {
    size_t kept = 0;
    for (size_t first = 0, end; first < count; first = end) {
        bool required = false, secrets = false;
        for (end = first; end < count && strcmp(views[end].party, views[first].party) == 0; end++) {
            required |= views[end].required;
            secrets |= !views[end].none;
        }
        for (size_t i = first; i < end; i++) {
            if (views[i].none && (secrets || !required)) continue;
            views[i].required = required;
            views[kept] = views[i];
            views[kept++].in_use = false;
        }
        if (secrets) views[kept - 1].in_use = true;
    }
    return kept;
}

static enum error fill(struct home *home, struct pair_view *views, size_t max, size_t *ret_count) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    struct archive_cursor cursor = all_pairs();
    size_t count = 0;
    for (bool found = true; count < max;) {
        TRY(next(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (record.removed) continue;
        struct pair_view *view = &views[count++];
        *view = (struct pair_view){.created = record.created, .none = is_rule(&record), .required = record.required};
        memcpy(view->party, record.party.p, record.party.n);
        memcpy(view->id, record.id, PREKEY_ID_SIZE);
    }
    *ret_count = count;
    return E_OK;
}

enum error pairs_list(struct home *home, struct pair_view **ret, size_t *ret_count) {
    uint64_t rows = 0;
    size_t count = 0;
    TRY(archive_count(home->archive, TABLE_PAIR, SCOPE_ALL, archive_key(NULL, NULL, 0), &rows));
    AUTO_FREE(struct pair_view) views = calloc((size_t)rows + 1, sizeof *views);
    if (!views) return E_NO_MEMORY;
    TRY(fill(home, views, (size_t)rows, &count));
    qsort(views, count, sizeof *views, by_party_and_age);
    *ret_count = settle(views, count);
    *ret = take(&views);
    return E_OK;
}

/* ---- among sisters ---- */

enum error pairs_records(struct home *home, struct buf *ret_items, size_t *ret_count) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    struct archive_cursor cursor = all_pairs();
    size_t count = 0;
    for (bool found = true; count < PARCEL_ITEMS_MAX;) {
        TRY(next(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        pairsecret_encode(&record, ret_items);
        count++;
    }
    *ret_count = count;
    return buf_error(ret_items);
}

/* A record that could not have been made here is passed over. */
static bool makes_sense(const struct pairsecret *record) {
    uint8_t id[PREKEY_ID_SIZE];
    if (!text_is_party(record->party)) return false;
    if (is_rule(record) || record->removed) return true;
    pairs_id(record->secret, id);
    return memcmp(id, record->id, sizeof id) == 0;
}

/* Of two changes at one moment the stricter counts, so that sisters end with the same. */
static bool counts_more(const struct pairsecret *a, const struct pairsecret *b) {
    if (a->changed.ms != b->changed.ms) return a->changed.ms > b->changed.ms;
    return (a->removed && !b->removed) || (a->required && !b->required);
}

/* A sister whose clock is years ahead, or that was stolen, has not the last word for ever: by the later of this machine's
 * clock and the relay's her changes count as a day ahead at most, and her secrets as no newer than now. */
static enum error not_from_the_future(struct home *home, struct pairsecret *record) {
    struct keptrelay relay;
    struct instant now = moment_now();
    TRY(kept_relay(home->archive, &relay));
    if (relay.time.ms > now.ms) now = relay.time;
    if (record->changed.ms > now.ms + DAY_MS) record->changed.ms = now.ms + DAY_MS;
    if (record->created.ms > now.ms) record->created = now;
    return E_OK;
}

static enum error apply_one(struct home *home, struct pairsecret *theirs, bool *ret_new_secret) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD ours = {0};
    bool found = false;
    if (!makes_sense(theirs)) return E_OK;
    TRY(not_from_the_future(home, theirs));
    TRY(load(home, theirs->party, theirs->id, &bytes, &ours, &found));
    if (found && !counts_more(theirs, &ours)) return E_OK;
    if (!found && !is_rule(theirs) && !theirs->removed) *ret_new_secret = true;
    AUTO_RECORD record = *theirs;
    if (record.removed) sodium_memzero(record.secret, KEY_SIZE);
    return save(home, &record);
}

static enum error apply_all(struct home *home, struct list pairs) {
    AUTO_RECORD record = {0};
    bool new_secret = false;
    while (pairsecret_next(&pairs, &record)) TRY(apply_one(home, &record, &new_secret));
    return new_secret ? kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1) : E_OK;
}

enum error pairs_apply(struct home *home, const struct list *pairs) {
    TRY(archive_begin(home->archive));
    return end_of(home, apply_all(home, *pairs));
}

/* ---- sealing and opening ---- */

enum error pairs_required(struct home *home, struct bytes party, bool *ret) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    bool found = false;
    TRY(load(home, party, rule_id, &bytes, &record, &found));
    *ret = found && record.required;
    return E_OK;
}

static enum error key_of(const struct pairsecret *record, struct pair_key *ret) {
    pair_key_free(ret);
    TRY(secret_copy(record->secret, KEY_SIZE, &ret->secret));
    ret->psk.secret = ret->secret.p;
    memcpy(ret->psk.id, record->id, PREKEY_ID_SIZE);
    return E_OK;
}

static bool newer(const struct pairsecret *record, struct instant created, const uint8_t *id) {
    if (record->created.ms != created.ms) return record->created.ms > created.ms;
    return memcmp(record->id, id, PREKEY_ID_SIZE) > 0;
}

enum error pairs_newest(struct home *home, struct bytes post, struct pair_key *ret, bool *ret_found) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    AUTO_PAIR key = {0};
    struct archive_cursor cursor = pairs_of(home, text_party_of(post));
    struct instant created = {0};
    for (bool found = true;;) {
        TRY(next(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (is_rule(&record) || record.removed) continue;
        if (key.secret.p && !newer(&record, created, key.psk.id)) continue;
        TRY(key_of(&record, &key));
        created = record.created;
    }
    *ret_found = key.secret.p != NULL;
    *ret = key;
    key = (struct pair_key){0};
    return E_OK;
}

enum error pairs_find(struct home *home, struct bytes post, const uint8_t id[static PREKEY_ID_SIZE],
                      struct pair_key *ret) {
    AUTO_BUF bytes = {0};
    AUTO_RECORD record = {0};
    bool found = false;
    TRY(load(home, text_party_of(post), id, &bytes, &record, &found));
    if (!found || record.removed || is_rule(&record)) return E_UNKNOWN_PAIR;
    return key_of(&record, ret);
}

static enum error standing(struct home *home, struct bytes post, bool *ret_has, bool *ret_required) {
    AUTO_PAIR key = {0};
    TRY(pairs_newest(home, post, &key, ret_has));
    return pairs_required(home, text_party_of(post), ret_required);
}

enum error pairs_groups(struct home *home, const char (*posts)[POST_MAX + 1], size_t count, uint8_t *ret,
                        size_t *ret_groups, struct failure *failure) {
    size_t with = 0;
    bool any_required = false;
    for (size_t i = 0; i < count; i++) {
        struct bytes post = bytes_text(posts[i]);
        bool has = false, required = false;
        TRY(local_store(failure, standing(home, post, &has, &required)));
        if (required && !has) {
            struct bytes party = text_party_of(post);
            enum error error = fail(failure, E_PAIR_REQUIRED, "%.*s", (int)party.n, (const char *)party.p);
            fail_hint(failure,
                      "nothing was sent; exchange a secret by hand: `pouch pair new %.*s` here, `pouch pair add` "
                      "there",
                      (int)party.n, (const char *)party.p);
            return error;
        }
        any_required |= required;
        with += has;
        ret[i] = has ? 0 : 1;
    }
    bool split = any_required && with < count;
    for (size_t i = 0; i < count && !split; i++) ret[i] = 0;
    *ret_groups = split ? 2 : 1;
    return E_OK;
}

enum error pairs_apply_to(struct home *home, const struct kept_legs *legs, bool *ret) {
    size_t with = 0;
    bool any_required = false;
    for (size_t i = 0; i < legs->count; i++) {
        bool has = false, required = false;
        TRY(standing(home, legs->legs[i].record.to, &has, &required));
        any_required |= required;
        with += has;
    }
    bool all = legs->count > 0 && with == legs->count;
    if (any_required && !all) return E_PAIR_REQUIRED;
    *ret = all;
    return E_OK;
}
