/* cards_publish.c - the own card: from the draft to sheets and their statement, and from sheets to wraps for
 * everybody who may see them. */
#include <sodium.h>
#include <stdio.h>

#include "cards.h"
#include "fault.h"
#include "freshness.h"
#include "kept.h"
#include "mirror.h"
#include "moment.h"
#include "outbox.h"
#include "parcel.h"
#include "sheet.h"
#include "wraps.h"

enum { SEAL_POSTS_MAX = 128 }; /* asked for day keys in one sync */
#define RESEAL_MS (7 * DAY_MS)
#define SISTER_RESEAL_MS (10 * DAY_MS) /* when she who should has not, well before the day keys are gone */
#define SISTER_NEW_MS DAY_MS

static enum error in_store(enum error error, struct failure *failure) {
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

/* ---- sheets from a draft ---- */

struct sheets { /* the message that publishes a card, in parts */
    struct buf sealed, commitments, keys;
    size_t count, key_count;
};

static void sheets_free(struct sheets *sheets) {
    buf_free(&sheets->sealed);
    buf_free(&sheets->commitments);
    buf_free(&sheets->keys);
}

static bool same_audience(const struct contact_entry *a, const struct contact_entry *b) {
    if (a->audience != b->audience || a->party_count != b->party_count) return false;
    return memcmp(a->parties, b->parties, a->party_count * sizeof a->parties[0]) == 0;
}

/* The entries that stand on one sheet with the nth, which is its first. */
static enum error encode_sheet(const struct contact_card *card, size_t first, struct buf *out,
                               uint8_t ret_commitment[static HASH_SIZE]) {
    const struct contact_entry *entry = &card->entries[first];
    AUTO_BUF fields = {0}, parties = {0};
    size_t count = 0;
    for (size_t i = first; i < card->count; i++) {
        if (!same_audience(entry, &card->entries[i])) continue;
        cardfield_encode(&(struct cardfield){card->entries[i].field, bytes_text(card->entries[i].value)}, &fields);
        count++;
    }
    for (size_t i = 0; i < entry->party_count; i++) cbor_put_bytes(&parties, bytes_text(entry->parties[i]));
    TRY(buf_error(&fields));
    TRY(buf_error(&parties));
    struct sheet sheet = {.post = bytes_text(card->post),
                          .audience = entry->audience,
                          .parties = list_of(&parties, entry->party_count),
                          .fields = list_of(&fields, count)};
    randombytes_buf(sheet.salt, sizeof sheet.salt);
    return sheet_make(&sheet, out, ret_commitment);
}

/* Its key goes into the archive before anything is sealed to anybody. */
static enum error keep_key(struct home *home, const struct contact_entry *entry,
                           const uint8_t commitment[static HASH_SIZE], const struct secret *key,
                           struct sheets *sheets) {
    AUTO_BUF parties = {0}, bytes = {0};
    for (size_t i = 0; i < entry->party_count; i++) cbor_put_bytes(&parties, bytes_text(entry->parties[i]));
    TRY(buf_error(&parties));
    struct list names = list_of(&parties, entry->party_count);
    struct keptsheet record = {.audience = entry->audience, .parties = names, .mine = true, .since = moment_now()};
    struct sheetkey handed = {.audience = entry->audience, .parties = names};
    memcpy(record.key, key->p, KEY_SIZE);
    memcpy(handed.key, key->p, KEY_SIZE);
    memcpy(handed.commitment, commitment, HASH_SIZE);
    keptsheet_encode(&record, &bytes);
    sheetkey_encode(&handed, &sheets->keys);
    sheets->key_count++;
    sodium_memzero(&record, sizeof record);
    sodium_memzero(&handed, sizeof handed);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_SHEETKEY, archive_key(commitment, NULL, 0), buf_bytes(&bytes));
}

static enum error make_sheet(struct home *home, const struct contact_card *card, size_t first, struct sheets *sheets) {
    const struct contact_entry *entry = &card->entries[first];
    struct sealedsheet sealed = {.audience = entry->audience, .has_data = true};
    AUTO_BUF plain = {0}, cipher = {0};
    TRY(encode_sheet(card, first, &plain, sealed.commitment));
    sealed.data = buf_bytes(&plain);
    if (entry->audience != AUDIENCE_PUBLIC) {
        AUTO_SECRET key = {0};
        TRY(secret_random(KEY_SIZE, &key));
        TRY(keep_key(home, entry, sealed.commitment, &key, sheets));
        TRY(sheet_seal(key.p, sealed.commitment, buf_bytes(&plain), &cipher));
        sealed.data = buf_bytes(&cipher);
    }
    sealedsheet_encode(&sealed, &sheets->sealed);
    cbor_put_bytes(&sheets->commitments, bytes_of(sealed.commitment, HASH_SIZE));
    sheets->count++;
    return buf_error(&sheets->sealed);
}

/* One for each audience, in the order of its first field. */
static enum error make_sheets(struct home *home, const struct contact_card *card, struct sheets *sheets) {
    for (size_t i = 0; i < card->count; i++) {
        bool first = card->entries[i].audience != AUDIENCE_NOBODY;
        for (size_t j = 0; first && j < i; j++) first = !same_audience(&card->entries[i], &card->entries[j]);
        if (first) TRY(make_sheet(home, card, i, sheets));
    }
    return E_OK;
}

/* Later than the post's last one, though a sister's clock may be ahead of this one's. */
static struct instant later_than_last(const struct home *home, struct instant now) {
    const struct directory_post *post = directory_post(home->directory, bytes_text(home->post));
    if (post && now.ms <= post->carded.ms) now.ms = post->carded.ms + 1;
    return now;
}

static enum error sign_contact(const struct home *home, const struct sheets *sheets, struct instant now,
                               struct buf *out) {
    AUTO_BUF payload = {0};
    struct contact contact = {.post = bytes_text(home->post),
                              .commitments = list_of(&sheets->commitments, sheets->count),
                              .created = later_than_last(home, now)};
    memcpy(contact.device, home->device, KEY_SIZE);
    contact_encode(&contact, &payload);
    TRY(buf_error(&payload));
    return stamp_sign_one(LABEL_CONTACT, home->keys.device.p, buf_bytes(&payload), out);
}

/* ---- publishing ---- */

/* What others see: fields, values, audiences. */
static enum error hash_content(const struct contact_card *card, uint8_t ret[static HASH_SIZE]) {
    AUTO_BUF bytes = {0};
    for (size_t i = 0; i < card->count; i++) {
        const struct contact_entry *entry = &card->entries[i];
        if (entry->audience == AUDIENCE_NOBODY) continue;
        cbor_put_uint(&bytes, (uint64_t)entry->field);
        cbor_put_uint(&bytes, (uint64_t)entry->audience);
        cbor_put_text(&bytes, bytes_text(entry->value));
        cbor_put_uint(&bytes, entry->party_count);
        for (size_t j = 0; j < entry->party_count; j++) cbor_put_text(&bytes, bytes_text(entry->parties[j]));
    }
    TRY(buf_error(&bytes));
    label_digest(LABEL_SHEET, buf_bytes(&bytes), ret);
    return E_OK;
}

static bool all_for_nobody(const struct contact_card *card) {
    for (size_t i = 0; i < card->count; i++)
        if (card->entries[i].audience != AUDIENCE_NOBODY) return false;
    return true;
}

/* Is what the directory commits to already what the draft says? */
static bool stands(const struct home *home, const struct contact_card *card, const struct keptcardstate *state,
                   const uint8_t content[static HASH_SIZE]) {
    const struct directory_post *post = directory_post(home->directory, bytes_text(home->post));
    if (post && post->sheet_count == 0 && all_for_nobody(card)) return true;
    return state->has_content && memcmp(state->content, content, HASH_SIZE) == 0 && post && post->sheet_count > 0;
}

/* The message, kept with the keys that it needs. */
static enum error prepare(struct home *home, const struct contact_card *card, struct instant now,
                          struct keptcardstate *state, struct buf *message) {
    __attribute__((cleanup(sheets_free))) struct sheets sheets = {0};
    AUTO_BUF statement = {0};
    TRY(make_sheets(home, card, &sheets));
    TRY(buf_error(&sheets.commitments));
    TRY(buf_error(&sheets.keys));
    TRY(sign_contact(home, &sheets, now, &statement));
    putcontact_encode(&(struct putcontact){.has_statement = true,
                                           .statement = buf_bytes(&statement),
                                           .sheets = list_of(&sheets.sealed, sheets.count)},
                      message);
    TRY(buf_error(message));
    state->has_pending = true;
    state->pending = buf_bytes(message);
    TRY(cards_set_state(home, state));
    return cards_set_draft(home, card, list_of(&sheets.keys, sheets.key_count));
}

static bool committed(const struct directory_post *post, const uint8_t commitment[static HASH_SIZE]) {
    for (size_t i = 0; post && i < post->sheet_count; i++)
        if (memcmp(post->sheets[i], commitment, HASH_SIZE) == 0) return true;
    return false;
}

/* Keys of sheets that the directory does not commit to any more. */
static enum error forget_keys(struct home *home, bool *ret_any) {
    const struct directory_post *post = directory_post(home->directory, bytes_text(home->post));
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_SHEETKEY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (committed(post, cursor.key.a)) continue;
        TRY(archive_delete(home->archive, TABLE_SHEETKEY, cursor.key));
        *ret_any = true;
    }
}

static enum error give_sisters(struct home *home, struct relay *relay, struct failure *failure) {
    AUTO_BUF draft = {0};
    bool found = false;
    TRY(in_store(archive_get(home->archive, TABLE_META, archive_named(CARDS_DRAFT), &draft, &found), failure));
    if (!found) return E_OK;
    return parcel_give_sisters(home, relay, &(struct parcel_contents){.card = buf_bytes(&draft)}, failure);
}

static enum error finish(struct home *home, enum contact_state state, const uint8_t *content) {
    struct keptcardstate record = {.state = (uint64_t)state, .has_content = content != NULL};
    if (content) memcpy(record.content, content, HASH_SIZE);
    return cards_set_state(home, &record);
}

/* The relay has it: what it replaced is forgotten here, too. */
static enum error published(struct home *home, struct relay *relay, const uint8_t content[static HASH_SIZE],
                            struct failure *failure) {
    bool any = false;
    TRY(mirror_update(home, relay, failure));
    TRY(in_store(finish(home, CONTACT_PUBLISHED, content), failure));
    TRY(in_store(forget_keys(home, &any), failure));
    if (any) TRY(in_store(archive_scrub(home->archive), failure));
    return give_sisters(home, relay, failure);
}

static enum error refused(struct home *home, enum error why, struct failure *failure) {
    if (error_row(why)->again) return E_OK; /* with the next sync */
    TRY(in_store(kept_alarm(home->archive, "the contact card was refused by the relay: %s", error_row(why)->text),
                 failure));
    return in_store(finish(home, CONTACT_REFUSED, NULL), failure);
}

static enum error send_pending(struct home *home, struct relay *relay, const struct keptcardstate *state,
                               const uint8_t content[static HASH_SIZE], struct failure *failure) {
    struct putcontact put;
    AUTO_ANSWER answer = {0};
    if (putcontact_decode(state->pending, &put) != E_OK) return in_store(E_CORRUPT, failure);
    FAULT("card.kept");
    enum error error = relay_call(relay, MESSAGE_PUTCONTACT, &put, &answer, failure);
    FAULT("card.answered");
    if (error == E_OK) return published(home, relay, content, failure);
    return outbox_is_fatal(error) ? error : refused(home, error, failure);
}

static enum error prepare_in_store(struct home *home, const struct contact_card *card, struct instant now,
                                   struct keptcardstate *state, struct buf *message) {
    TRY(archive_begin(home->archive));
    enum error error = prepare(home, card, now, state, message);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

static enum error publish_card(struct home *home, struct relay *relay, const struct contact_card *card,
                               struct failure *failure) {
    struct keptcardstate state;
    AUTO_BUF bytes = {0}, message = {0};
    uint8_t content[HASH_SIZE];
    TRY(in_store(cards_state(home, &state, &bytes), failure));
    TRY(in_store(hash_content(card, content), failure));
    if (!state.has_pending && stands(home, card, &state, content)) {
        TRY(in_store(finish(home, CONTACT_PUBLISHED, content), failure));
        return give_sisters(home, relay, failure);
    }
    if (!state.has_pending) TRY(in_store(prepare_in_store(home, card, relay_now(relay), &state, &message), failure));
    return send_pending(home, relay, &state, content, failure);
}

static enum error publish(struct home *home, struct relay *relay, struct failure *failure) {
    struct contact_card *card = malloc(sizeof *card);
    enum error error = card ? cards_load(home, home->post, card) : E_NO_MEMORY;
    if (error != E_OK)
        error = in_store(error, failure);
    else if (card->state == CONTACT_DUE)
        error = publish_card(home, relay, card, failure);
    if (card) sodium_memzero(card, sizeof *card);
    free(card);
    return error;
}

/* ---- sealing to the audience ---- */

struct sealing_sheet {
    uint8_t commitment[HASH_SIZE];
    struct keptsheet record;
    struct buf bytes, sealed; /* the record's; an array of struct sealedto */
    struct buf wraps,
        ends; /* made now: one after the other; where each ends (size_t), whom it is for (struct sealedto) */
    struct buf whom;
    bool changed;
};

struct sealing {
    struct home *home;
    struct relay *relay;
    struct failure *failure;
    struct instant now;
    bool orphaned; /* the device that published the card is not live any more */
    struct sealing_sheet sheets[SHEETS_MAX];
    size_t count;
    const struct directory_post *posts[SEAL_POSTS_MAX];
    size_t post_count;
};

static void sealing_free(struct sealing *sealing) {
    for (size_t i = 0; i < sealing->count; i++) {
        struct sealing_sheet *sheet = &sealing->sheets[i];
        sodium_memzero(&sheet->record, sizeof sheet->record);
        buf_free(&sheet->bytes);
        buf_free(&sheet->sealed);
        buf_free(&sheet->wraps);
        buf_free(&sheet->ends);
        buf_free(&sheet->whom);
    }
}

static enum error load_sheet(struct sealing *sealing, const uint8_t commitment[static HASH_SIZE]) {
    struct sealing_sheet *sheet = &sealing->sheets[sealing->count];
    bool found = false;
    *sheet = (struct sealing_sheet){0};
    TRY(archive_get(sealing->home->archive, TABLE_SHEETKEY, archive_key(commitment, NULL, 0), &sheet->bytes, &found));
    if (!found) return E_OK; /* a public one, or a sister's that she has not given */
    sealing->count++;
    memcpy(sheet->commitment, commitment, HASH_SIZE);
    if (keptsheet_decode(buf_bytes(&sheet->bytes), &sheet->record) != E_OK) return E_CORRUPT;
    struct list list = sheet->record.sealed;
    struct sealedto one;
    while (sealedto_next(&list, &one)) buf_add(&sheet->sealed, &one, sizeof one);
    return buf_error(&sheet->sealed);
}

static struct sealedto *find_sealed(const struct sealing_sheet *sheet, const uint8_t device[static KEY_SIZE]) {
    struct sealedto *all = (struct sealedto *)(void *)sheet->sealed.p;
    for (size_t i = 0; i < sheet->sealed.n / sizeof *all; i++)
        if (memcmp(all[i].device, device, KEY_SIZE) == 0) return &all[i];
    return NULL;
}

static bool names_party(struct list parties, const char *name) {
    struct bytes party;
    while (list_next_bytes(&parties, &party))
        if (bytes_are(party, name)) return true;
    return false;
}

static bool may_see(const struct sealing *sealing, const struct sealing_sheet *sheet,
                    const struct directory_post *post) {
    if (strcmp(post->name, sealing->home->post) == 0) return true;
    return sheet->record.audience == AUDIENCE_MEMBERS || names_party(sheet->record.parties, post->party->name);
}

static bool due(const struct sealing *sealing, const struct sealing_sheet *sheet,
                const struct directory_device *device) {
    bool mine = sheet->record.mine || sealing->orphaned;
    const struct sealedto *sealed = find_sealed(sheet, device->device);
    uint64_t since = sheet->record.since.ms, at;
    if (sealed)
        at = sealed->at.ms + (mine ? RESEAL_MS : SISTER_RESEAL_MS);
    else if (mine)
        at = 0;
    else
        at = device->added_at.ms > since ? device->added_at.ms + SISTER_NEW_MS : since + SISTER_RESEAL_MS;
    return at <= sealing->now.ms;
}

static bool post_is_due(const struct sealing *sealing, const struct directory_post *post) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    if (post->revoked || !post->party->admitted || post->party->departed) return false;
    size_t count = directory_readers(sealing->home->directory, bytes_text(post->name), sealing->now, readers);
    for (size_t i = 0; i < sealing->count; i++) {
        if (!may_see(sealing, &sealing->sheets[i], post)) continue;
        for (size_t j = 0; j < count; j++)
            if (due(sealing, &sealing->sheets[i], readers[j])) return true;
    }
    return false;
}

static void list_posts(struct sealing *sealing) {
    const struct directory_post *post;
    for (size_t i = 0; (post = directory_post_nth(sealing->home->directory, i)); i++)
        if (sealing->post_count < SEAL_POSTS_MAX && post_is_due(sealing, post))
            sealing->posts[sealing->post_count++] = post;
}

/* Who published the card that stands: the leaf says it. */
static enum error find_author(struct sealing *sealing, const struct directory_post *own) {
    AUTO_BUF bytes = {0};
    struct leaf leaf;
    struct bytes payload;
    struct contact contact;
    bool found = false;
    struct archive_key row = archive_key(NULL, NULL, own->contact_size - 1);
    TRY(archive_get(sealing->home->archive, TABLE_LEAF, row, &bytes, &found));
    if (!found || leaf_decode(buf_bytes(&bytes), &leaf) != E_OK) return E_CORRUPT;
    if (stamp_peek(leaf.statement, &payload) != E_OK || contact_decode(payload, &contact) != E_OK) return E_CORRUPT;
    const struct directory_device *author = directory_device(sealing->home->directory, contact.device);
    sealing->orphaned = !author || directory_live(author, sealing->now) != E_OK;
    return E_OK;
}

/* One device and sheet: the wrap is made; without a day key it is tried again tomorrow. */
static enum error seal_one(struct sealing_sheet *sheet, const struct directory_device *device,
                           const struct wrapping_target *target, struct instant now) {
    struct sealedto whom = {.at = now};
    memcpy(whom.device, device->device, KEY_SIZE);
    if (!target) {
        struct sealedto *known = find_sealed(sheet, device->device);
        whom.at.ms = now.ms - RESEAL_MS + DAY_MS;
        sheet->changed = true;
        if (known)
            *known = whom;
        else
            buf_add(&sheet->sealed, &whom, sizeof whom);
        return buf_error(&sheet->sealed);
    }
    enum error error = sheet_wrap(sheet->record.key, sheet->commitment, target, &sheet->wraps);
    if (error == E_BAD_KEY) return E_OK; /* its own fault; the next day key may be better */
    TRY(error);
    buf_add(&sheet->ends, &sheet->wraps.n, sizeof sheet->wraps.n);
    buf_add(&sheet->whom, &whom, sizeof whom);
    TRY(buf_error(&sheet->ends));
    return buf_error(&sheet->whom);
}

static const struct wrapping_target *find_target(const struct wrapping_target *targets, size_t count,
                                                 const struct directory_device *device) {
    for (size_t i = 0; i < count; i++)
        if (memcmp(targets[i].device, device->device, KEY_SIZE) == 0) return &targets[i];
    return NULL;
}

static enum error seal_to_post(struct sealing *sealing, const struct directory_post *post,
                               const struct prekeys *prekeys) {
    struct wrapping_target targets[DEVICES_PER_POST_MAX];
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    size_t target_count = 0;
    TRY(wraps_targets(sealing->home, sealing->relay, bytes_text(post->name), prekeys, targets, &target_count));
    size_t count = directory_readers(sealing->home->directory, bytes_text(post->name), sealing->now, readers);
    for (size_t i = 0; i < sealing->count; i++) {
        struct sealing_sheet *sheet = &sealing->sheets[i];
        for (size_t j = 0; may_see(sealing, sheet, post) && j < count; j++)
            if (due(sealing, sheet, readers[j]))
                TRY(seal_one(sheet, readers[j], find_target(targets, target_count, readers[j]), sealing->now));
    }
    return E_OK;
}

/* A post whose day keys do not verify is passed over: its own desk is told by others, and others' cards must go on. */
static enum error take_prekeys(struct sealing *sealing, const struct relay_answer *answer) {
    const struct directory_post *post = sealing->posts[answer->tag];
    struct prekeys prekeys;
    enum error error = answer->error;
    if (error == E_OK) error = prekeys_decode(answer->body, &prekeys);
    if (error == E_OK) error = seal_to_post(sealing, post, &prekeys);
    if (error == E_NO_MEMORY || outbox_is_fatal(error))
        return fail(sealing->failure, error, "day keys of %s", post->name);
    return E_OK;
}

static enum error make_wraps(struct sealing *sealing) {
    size_t asked = 0;
    while (asked < sealing->post_count || relay_outstanding(sealing->relay) > 0) {
        while (asked < sealing->post_count && relay_outstanding(sealing->relay) < RELAY_WINDOW) {
            struct getprekeys ask = {.post = bytes_text(sealing->posts[asked]->name)};
            TRY(relay_post(sealing->relay, MESSAGE_GETPREKEYS, &ask, asked));
            asked++;
        }
        AUTO_ANSWER answer = {0};
        TRY(relay_collect(sealing->relay, &answer, sealing->failure));
        TRY(take_prekeys(sealing, &answer));
    }
    return E_OK;
}

static enum error save_sheet(struct sealing *sealing, struct sealing_sheet *sheet) {
    AUTO_BUF list = {0}, bytes = {0};
    const struct sealedto *all = (const struct sealedto *)(const void *)sheet->sealed.p;
    size_t count = sheet->sealed.n / sizeof *all;
    for (size_t i = 0; i < count; i++) sealedto_encode(&all[i], &list);
    TRY(buf_error(&list));
    struct keptsheet record = sheet->record;
    record.sealed = list_of(&list, count);
    keptsheet_encode(&record, &bytes);
    sodium_memzero(&record, sizeof record);
    TRY(buf_error(&bytes));
    sheet->changed = false;
    return archive_set(sealing->home->archive, TABLE_SHEETKEY, archive_key(sheet->commitment, NULL, 0),
                       buf_bytes(&bytes));
}

static enum error note_sealed(struct sealing_sheet *sheet, const struct sealedto *whom, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct sealedto *known = find_sealed(sheet, whom[i].device);
        if (known)
            *known = whom[i];
        else
            buf_add(&sheet->sealed, &whom[i], sizeof whom[i]);
    }
    sheet->changed = true;
    return buf_error(&sheet->sealed);
}

/* `count` wraps from the nth on, in one message. */
static enum error send_some(struct sealing *sealing, struct sealing_sheet *sheet, size_t from, size_t count) {
    const size_t *ends = (const size_t *)(const void *)sheet->ends.p;
    const struct sealedto *whom = (const struct sealedto *)(const void *)sheet->whom.p;
    size_t begin = from ? ends[from - 1] : 0, end = ends[from + count - 1];
    AUTO_BUF item = {0};
    AUTO_ANSWER answer = {0};
    struct sealedsheet sealed = {.audience = sheet->record.audience,
                                 .wraps = {bytes_of(sheet->wraps.p + begin, end - begin), count}};
    memcpy(sealed.commitment, sheet->commitment, HASH_SIZE);
    sealedsheet_encode(&sealed, &item);
    TRY(buf_error(&item));
    FAULT("card.wrapped");
    TRY(relay_call(sealing->relay, MESSAGE_PUTCONTACT, &(struct putcontact){.sheets = list_of(&item, 1)}, &answer,
                   sealing->failure));
    return in_store(note_sealed(sheet, whom + from, count), sealing->failure);
}

static enum error send_sheet(struct sealing *sealing, struct sealing_sheet *sheet) {
    size_t count = sheet->whom.n / sizeof(struct sealedto);
    enum error error = E_OK;
    for (size_t i = 0; error == E_OK && i < count; i += SHEET_WRAPS_MAX)
        error = send_some(sealing, sheet, i, count - i < SHEET_WRAPS_MAX ? count - i : SHEET_WRAPS_MAX);
    if (sheet->changed) TRY(in_store(save_sheet(sealing, sheet), sealing->failure));
    return error;
}

static enum error seal(struct sealing *sealing, const struct directory_post *own) {
    for (size_t i = 0; i < own->sheet_count; i++) TRY(in_store(load_sheet(sealing, own->sheets[i]), sealing->failure));
    if (sealing->count == 0) return E_OK;
    TRY(in_store(find_author(sealing, own), sealing->failure));
    /* Whom the witnesses have not seen may be nobody's device. */
    struct freshness_view view;
    TRY(in_store(freshness_at(sealing->home, sealing->now, &view), sealing->failure));
    if (view.quorum > 0 && !view.witnessed) return E_OK;
    list_posts(sealing);
    enum error error = make_wraps(sealing);
    if (error != E_OK) relay_abandon(sealing->relay);
    for (size_t i = 0; error == E_OK && i < sealing->count; i++) error = send_sheet(sealing, &sealing->sheets[i]);
    return error == E_OK || outbox_is_fatal(error) ? error : E_OK; /* with the next sync */
}

enum error cards_seal(struct home *home, struct relay *relay, struct failure *failure) {
    const struct directory_post *own = directory_post(home->directory, bytes_text(home->post));
    if (!own || own->sheet_count == 0) return E_OK;
    struct sealing *sealing = calloc(1, sizeof *sealing);
    if (!sealing) return fail(failure, E_NO_MEMORY, "the contact card");
    sealing->home = home;
    sealing->relay = relay;
    sealing->failure = failure;
    sealing->now = relay_now(relay);
    enum error error = seal(sealing, own);
    sealing_free(sealing);
    free(sealing);
    return error;
}

enum error cards_publish(struct home *home, struct relay *relay, struct failure *failure) {
    TRY(publish(home, relay, failure));
    return cards_seal(home, relay, failure);
}
