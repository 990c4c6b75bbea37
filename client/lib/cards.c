/* cards.c - contact cards as values: loaded from sheets and drafts, edited, checked, kept. */
#include "cards.h"

#include <sodium.h>
#include <stdio.h>

#include "kept.h"
#include "moment.h"
#include "text.h"

enum { DRAFT_MAX = 32768 }; /* what a parcel holds */

/* ---- entries ---- */

static int by_field(const void *a, const void *b) {
    const struct contact_entry *one = a, *other = b;
    return (int)one->field - (int)other->field;
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

const struct contact_entry *cards_entry(const struct contact_card *card, enum contact_field field) {
    for (size_t i = 0; i < card->count; i++)
        if (card->entries[i].field == field) return &card->entries[i];
    return NULL;
}

const char *cards_value(const struct contact_card *card, enum contact_field field) {
    const struct contact_entry *entry = cards_entry(card, field);
    return entry ? entry->value : NULL;
}

void cards_remove(struct contact_card *card, enum contact_field field) {
    const struct contact_entry *entry = cards_entry(card, field);
    if (!entry) return;
    size_t at = (size_t)(entry - card->entries);
    memmove(&card->entries[at], &card->entries[at + 1], (card->count - at - 1) * sizeof card->entries[0]);
    card->count--;
}

enum error cards_put(struct contact_card *card, const struct contact_entry *entry, struct failure *failure) {
    cards_remove(card, entry->field);
    if (card->count == CARD_FIELDS_MAX) return fail(failure, E_OUT_OF_RANGE, "more than %d fields", CARD_FIELDS_MAX);
    struct contact_entry *new = &card->entries[card->count++];
    *new = *entry;
    qsort(new->parties, new->party_count, sizeof new->parties[0], by_name);
    qsort(card->entries, card->count, sizeof card->entries[0], by_field);
    return E_OK;
}

/* One from its decoded parts; a field of a later version is passed over. */
static void add_entry(struct contact_card *card, uint64_t field, struct bytes value, uint64_t audience,
                      struct list parties) {
    struct bytes party;
    if (!contact_field_row(field) || card->count == CARD_FIELDS_MAX || value.n > CARD_VALUE_MAX) return;
    if (cards_entry(card, (enum contact_field)field)) return; /* the narrowest audience's stands */
    struct contact_entry *entry = &card->entries[card->count++];
    *entry = (struct contact_entry){.field = (enum contact_field)field, .audience = (enum card_audience)audience};
    memcpy(entry->value, value.p, value.n);
    while (entry->party_count < AUDIENCE_MAX && list_next_bytes(&parties, &party))
        if (party.n <= PARTY_MAX) memcpy(entry->parties[entry->party_count++], party.p, party.n);
}

/* ---- loading ---- */

/* Sheets of the card, those for the fewest first. */
static void add_sheets(struct contact_card *card, struct list sheets, uint64_t audience) {
    struct bytes bytes;
    struct sheet sheet;
    struct cardfield field;
    while (list_next_bytes(&sheets, &bytes)) {
        if (sheet_decode(bytes, &sheet) != E_OK || sheet.audience != audience) continue;
        while (cardfield_next(&sheet.fields, &field))
            add_entry(card, field.field, field.value, sheet.audience, sheet.parties);
    }
}

static enum error load_sheets(struct home *home, const char *post, uint64_t from, struct contact_card *ret) {
    uint8_t hash[HASH_SIZE];
    AUTO_BUF bytes = {0};
    struct keptcontact record;
    bool found = false;
    *ret = (struct contact_card){0};
    snprintf(ret->post, sizeof ret->post, "%s", post);
    const struct directory_post *known = home->directory ? directory_post(home->directory, bytes_text(post)) : NULL;
    if (!known || known->revoked || known->sheet_count == 0) return E_OK;
    ret->there = true;
    archive_hash(home->archive, bytes_text(post), hash);
    TRY(archive_get(home->archive, TABLE_CONTACT, archive_key(hash, NULL, 0), &bytes, &found));
    ret->sealed = (unsigned)known->sheet_count;
    if (!found) return E_OK;
    if (keptcontact_decode(buf_bytes(&bytes), &record) != E_OK) return E_CORRUPT;
    if (record.size != known->contact_size) return E_OK; /* another card by now: not fetched yet */
    ret->sealed = (unsigned)record.sealed;
    for (uint64_t audience = from; audience <= AUDIENCE_PUBLIC; audience++) add_sheets(ret, record.sheets, audience);
    qsort(ret->entries, ret->count, sizeof ret->entries[0], by_field);
    return E_OK;
}

enum error cards_load_seen(struct home *home, const char *post, struct contact_card *ret) {
    return load_sheets(home, post, AUDIENCE_PARTIES, ret);
}

enum error cards_load_public(struct home *home, const char *post, struct contact_card *ret) {
    return load_sheets(home, post, AUDIENCE_PUBLIC, ret);
}

static enum error load_draft(struct home *home, struct contact_card *ret, bool *ret_found) {
    AUTO_BUF bytes = {0};
    struct carddraft draft;
    struct draftfield field;
    TRY(archive_get(home->archive, TABLE_META, archive_named(CARDS_DRAFT), &bytes, ret_found));
    if (!*ret_found) return E_OK;
    if (carddraft_decode(buf_bytes(&bytes), &draft) != E_OK) return E_CORRUPT;
    ret->edited = draft.edited;
    while (draftfield_next(&draft.fields, &field))
        add_entry(ret, field.field, field.value, field.audience, field.parties);
    return E_OK;
}

enum error cards_load(struct home *home, const char *post, struct contact_card *ret) {
    struct keptcardstate state = {0};
    AUTO_BUF bytes = {0};
    bool found = false;
    if (strcmp(post, home->post) != 0) return cards_load_seen(home, post, ret);
    *ret = (struct contact_card){.own = true};
    snprintf(ret->post, sizeof ret->post, "%s", post);
    TRY(load_draft(home, ret, &found));
    if (!found) { /* a device that no sister has given the draft: what it can see of it */
        TRY(cards_load_seen(home, post, ret));
        ret->own = true;
        ret->state = CONTACT_PUBLISHED;
        return E_OK;
    }
    TRY(cards_state(home, &state, &bytes));
    ret->there = ret->count > 0;
    ret->state = (enum contact_state)state.state;
    return E_OK;
}

bool cards_is_away(const struct contact_card *card, struct instant now, struct instant *ret_until) {
    const char *until = cards_value(card, CONTACT_AWAY_UNTIL);
    return until && contact_time_parse(bytes_text(until), ret_until) == E_OK && ret_until->ms > now.ms;
}

/* ---- keeping ---- */

enum error cards_state(struct home *home, struct keptcardstate *ret, struct buf *bytes) {
    bool found = false;
    *ret = (struct keptcardstate){.state = CONTACT_PUBLISHED};
    TRY(archive_get(home->archive, TABLE_META, archive_named(CARDS_STATE), bytes, &found));
    if (!found) return E_OK;
    return keptcardstate_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

enum error cards_set_state(struct home *home, const struct keptcardstate *state) {
    AUTO_BUF bytes = {0};
    keptcardstate_encode(state, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_META, archive_named(CARDS_STATE), buf_bytes(&bytes));
}

static enum error encode_entry(const struct contact_entry *entry, struct buf *out) {
    AUTO_BUF parties = {0};
    for (size_t i = 0; i < entry->party_count; i++) cbor_put_bytes(&parties, bytes_text(entry->parties[i]));
    TRY(buf_error(&parties));
    draftfield_encode(&(struct draftfield){entry->field, bytes_text(entry->value), entry->audience,
                                           list_of(&parties, entry->party_count)},
                      out);
    return buf_error(out);
}

enum error cards_set_draft(struct home *home, const struct contact_card *card, struct list keys) {
    AUTO_BUF fields = {0}, bytes = {0};
    for (size_t i = 0; i < card->count; i++) TRY(encode_entry(&card->entries[i], &fields));
    carddraft_encode(&(struct carddraft){.post = bytes_text(home->post),
                                         .edited = card->edited,
                                         .fields = list_of(&fields, card->count),
                                         .keys = keys},
                     &bytes);
    TRY(buf_error(&bytes));
    if (bytes.n > DRAFT_MAX) return E_TOO_LARGE;
    return archive_set(home->archive, TABLE_META, archive_named(CARDS_DRAFT), buf_bytes(&bytes));
}

/* ---- checking ---- */

static enum error check_posts(const struct home *home, const struct contact_entry *entry, struct failure *failure) {
    struct bytes list = bytes_text(entry->value), name;
    while (contact_list_next(&list, &name)) {
        const struct directory_post *post = directory_post(home->directory, name);
        if (!post || post->revoked) return fail(failure, E_UNKNOWN_POST, "%.*s", (int)name.n, (const char *)name.p);
    }
    return E_OK;
}

static enum error check_parties(const struct home *home, const struct contact_entry *entry, struct failure *failure) {
    if ((entry->audience == AUDIENCE_PARTIES) != (entry->party_count > 0))
        return fail(failure, E_USAGE, "no party is named for %s", contact_field_row(entry->field)->name);
    for (size_t i = 0; i < entry->party_count; i++) {
        if (!directory_party(home->directory, bytes_text(entry->parties[i])))
            return fail(failure, E_UNKNOWN_PARTY, "%s", entry->parties[i]);
        if (i > 0 && strcmp(entry->parties[i - 1], entry->parties[i]) == 0)
            return fail(failure, E_USAGE, "%s is named twice for %s", entry->parties[i],
                        contact_field_row(entry->field)->name);
    }
    return E_OK;
}

static enum error check_entry(const struct home *home, const struct contact_entry *entry, struct failure *failure) {
    const struct contact_field_row *row = contact_field_row(entry->field);
    if (!row) return fail(failure, E_INTERNAL, "field %d", (int)entry->field);
    enum error error = contact_field_check(bytes_text(home->post), entry->field, bytes_text(entry->value));
    if (error != E_OK) {
        bool posts = row->form == FORM_POST || row->form == FORM_POSTS;
        error = fail(failure, E_USAGE, "%s cannot be \"%.80s\"", row->name, entry->value);
        fail_hint(failure, "%s%s", row->text, posts ? "; other posts of the same party" : "");
        return error;
    }
    if (row->form == FORM_POST || row->form == FORM_POSTS) TRY(check_posts(home, entry, failure));
    return check_parties(home, entry, failure);
}

static bool same_audience(const struct contact_entry *a, const struct contact_entry *b) {
    if (a->audience != b->audience || a->party_count != b->party_count) return false;
    return memcmp(a->parties, b->parties, a->party_count * sizeof a->parties[0]) == 0;
}

static enum error check_audiences(const struct contact_card *card, struct failure *failure) {
    size_t sheets = 0;
    for (size_t i = 0; i < card->count; i++) {
        bool first = card->entries[i].audience != AUDIENCE_NOBODY;
        for (size_t j = 0; first && j < i; j++) first = !same_audience(&card->entries[i], &card->entries[j]);
        sheets += first;
    }
    if (sheets <= SHEETS_MAX) return E_OK;
    return fail(failure, E_OUT_OF_RANGE, "%zu different audiences; a card may have %d", sheets, SHEETS_MAX);
}

static enum error keep_draft(struct home *home, const struct contact_card *card) {
    struct contact_card *copy = malloc(sizeof *copy);
    struct keptcardstate state;
    AUTO_BUF bytes = {0}, before = {0};
    struct carddraft draft = {0};
    bool found = false;
    if (!copy) return E_NO_MEMORY;
    *copy = *card;
    uint64_t now = moment_now().ms;
    copy->edited.ms = now > card->edited.ms ? now : card->edited.ms + 1;
    enum error error = cards_state(home, &state, &bytes);
    if (error == E_OK) error = archive_get(home->archive, TABLE_META, archive_named(CARDS_DRAFT), &before, &found);
    if (error == E_OK && found && carddraft_decode(buf_bytes(&before), &draft) != E_OK) error = E_CORRUPT;
    if (error == E_OK) error = cards_set_draft(home, copy, draft.keys);
    state.state = CONTACT_DUE;
    state.has_pending = false;
    if (error == E_OK) error = cards_set_state(home, &state);
    sodium_memzero(&draft, sizeof draft);
    free(copy);
    return error;
}

enum error cards_save(struct home *home, const struct contact_card *card, struct failure *failure) {
    const struct directory_device *device = directory_device(home->directory, home->device);
    if (!device || device->role != ROLE_DECIDER) {
        enum error error = fail(failure, E_NOT_ALLOWED, "this device is no decider of %s", home->post);
        fail_hint(failure, "edit the card on a device that decides");
        return error;
    }
    for (size_t i = 0; i < card->count; i++) TRY(check_entry(home, &card->entries[i], failure));
    TRY(check_audiences(card, failure));
    TRY(archive_begin(home->archive));
    enum error error = keep_draft(home, card);
    if (error == E_OK)
        error = archive_commit(home->archive);
    else
        archive_rollback(home->archive);
    if (error == E_TOO_LARGE) return fail(failure, E_TOO_LARGE, "the card");
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

/* ---- from a sister ---- */

static enum error apply_key(struct home *home, const struct sheetkey *key) {
    struct keptsheet record = {.audience = key->audience, .parties = key->parties, .since = moment_now()};
    AUTO_BUF bytes = {0};
    bool there = false;
    struct archive_key row = archive_key(key->commitment, NULL, 0);
    TRY(archive_has(home->archive, TABLE_SHEETKEY, row, &there));
    if (there) return E_OK;
    memcpy(record.key, key->key, KEY_SIZE);
    keptsheet_encode(&record, &bytes);
    sodium_memzero(&record, sizeof record);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_SHEETKEY, row, buf_bytes(&bytes));
}

/* Edited at the end of time, by a clock that is years ahead or by a device that was stolen: the next edit must still be later. */
static enum error keep_theirs(struct home *home, struct carddraft *draft, struct bytes bytes) {
    AUTO_BUF again = {0};
    struct keptrelay relay;
    struct instant now = moment_now();
    TRY(kept_relay(home->archive, &relay));
    if (relay.time.ms > now.ms) now = relay.time;
    if (draft->edited.ms > now.ms + DAY_MS) {
        draft->edited.ms = now.ms + DAY_MS;
        carddraft_encode(draft, &again);
        TRY(buf_error(&again));
        bytes = buf_bytes(&again);
    }
    return archive_set(home->archive, TABLE_META, archive_named(CARDS_DRAFT), bytes);
}

enum error cards_apply_draft(struct home *home, struct bytes bytes) {
    struct contact_card *before = calloc(1, sizeof *before);
    struct carddraft draft;
    struct sheetkey key = {0};
    bool found = false;
    enum error error = before ? carddraft_decode(bytes, &draft) : E_NO_MEMORY;
    if (error == E_OK && !bytes_are(draft.post, home->post)) error = E_MISMATCH;
    if (error == E_OK) error = load_draft(home, before, &found);
    bool newer = error == E_OK && (!found || draft.edited.ms > before->edited.ms);
    free(before);
    TRY(error);
    if (!newer) return E_OK;
    TRY(keep_theirs(home, &draft, bytes));
    TRY(cards_set_state(home, &(struct keptcardstate){.state = CONTACT_PUBLISHED}));
    while (error == E_OK && sheetkey_next(&draft.keys, &key)) error = apply_key(home, &key);
    sodium_memzero(&key, sizeof key);
    sodium_memzero(&draft, sizeof draft);
    return error;
}
