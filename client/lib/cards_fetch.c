/* cards_fetch.c - others' cards: asked for, held against the directory's commitments, opened, kept. */
#include <sodium.h>
#include <stdio.h>

#include "cards.h"
#include "enrol.h"
#include "kept.h"
#include "mirror.h"
#include "outbox.h"
#include "sheet.h"

enum { FETCH_POSTS_MAX = 128, TRIES_AT_ONCE = 3, BACKOFF_MAX = 8 };
#define BACKOFF_MS ((uint64_t)10 * 60 * 1000)

struct wanted {
    const struct directory_post *post;
    char name[POST_MAX + 1];
    uint64_t size;
    bool foreign; /* what came is not what the directory says */
};

struct fetching {
    struct home *home;
    struct relay *relay;
    struct failure *failure;
    struct instant now;
    struct wanted wanted[FETCH_POSTS_MAX];
    size_t count;
    bool forgot;
};

static enum error in_store(enum error error, struct failure *failure) {
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

static struct archive_key row_of(const struct home *home, const char *post) {
    uint8_t hash[HASH_SIZE];
    archive_hash(home->archive, bytes_text(post), hash);
    return archive_key(hash, NULL, 0);
}

static enum error load(struct home *home, const char *post, struct keptcontact *ret, struct buf *bytes,
                       bool *ret_found) {
    TRY(archive_get(home->archive, TABLE_CONTACT, row_of(home, post), bytes, ret_found));
    if (!*ret_found) return E_OK;
    return keptcontact_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

/* ---- which ---- */

static bool has_card(const struct directory_post *post) { return !post->revoked && post->sheet_count > 0; }

static enum error is_due(struct fetching *fetching, const struct directory_post *post, bool *ret) {
    struct keptcontact record;
    AUTO_BUF bytes = {0};
    bool found = false;
    *ret = false;
    TRY(load(fetching->home, post->name, &record, &bytes, &found));
    if (has_card(post)) {
        bool missing = found && record.sealed > 0 && record.next.ms <= fetching->now.ms;
        *ret = !found || record.size != post->contact_size || missing;
        return E_OK;
    }
    if (!found) return E_OK;
    fetching->forgot = true; /* erased by its owner: here, too */
    return archive_delete(fetching->home->archive, TABLE_CONTACT, row_of(fetching->home, post->name));
}

/* From where the last sync stopped, round once. */
static enum error list_wanted(struct fetching *fetching) {
    const struct directory *directory = fetching->home->directory;
    struct archive_key row = archive_named("contact cursor");
    uint64_t from = 0, posts = 0;
    while (directory_post_nth(directory, posts)) posts++;
    TRY(kept_number(fetching->home->archive, TABLE_META, row, &from));
    uint64_t walked = 0;
    for (; walked < posts && fetching->count < FETCH_POSTS_MAX; walked++) {
        const struct directory_post *post = directory_post_nth(directory, (from + walked) % posts);
        bool wanted = false;
        TRY(is_due(fetching, post, &wanted));
        if (!wanted) continue;
        struct wanted *one = &fetching->wanted[fetching->count++];
        *one = (struct wanted){.post = post, .size = post->contact_size};
        snprintf(one->name, sizeof one->name, "%s", post->name);
    }
    if (walked == posts) return E_OK;
    return kept_number_set(fetching->home->archive, TABLE_META, row, (from + walked) % posts);
}

/* ---- opening ---- */

static enum error unseal(struct home *home, const struct sealedsheet *sealed, struct buf *out) {
    struct list wraps = sealed->wraps;
    struct wrap wrap;
    AUTO_SECRET secret = {0}, key = {0};
    bool found = false;
    while (!found && wrap_next(&wraps, &wrap)) found = memcmp(wrap.device, home->device, KEY_SIZE) == 0;
    if (!found) return E_NOT_FOR_US;
    TRY(enrol_prekey_secret(home, wrap.prekey, &secret));
    TRY(sheet_unwrap(&wrap, sealed->commitment, secret.p, &key));
    return sheet_unseal(key.p, sealed->commitment, sealed->data, out);
}

/* Appends the sheet's bytes. E_NOT_FOR_US, E_PREKEY_GONE: perhaps later. */
static enum error open_sealed(struct home *home, const struct directory_post *post, const struct sealedsheet *sealed,
                              struct buf *out) {
    struct sheet sheet;
    AUTO_BUF plain = {0};
    if (!sealed->has_data) return E_NOT_FOR_US;
    if (sealed->audience == AUDIENCE_PUBLIC)
        buf_add_bytes(&plain, sealed->data);
    else
        TRY(unseal(home, sealed, &plain));
    TRY(buf_error(&plain));
    TRY(sheet_open(buf_bytes(&plain), sealed->commitment, bytes_text(post->name), sealed->audience, &sheet));
    buf_add_bytes(out, buf_bytes(&plain));
    return buf_error(out);
}

static bool merely_sealed(enum error error) { return error == E_NOT_FOR_US || error == E_PREKEY_GONE; }

/* What was opened before stays, also when the relay has no wrap for it any more. */
static bool opened_before(const struct keptcontact *before, const uint8_t commitment[static HASH_SIZE],
                          struct bytes *ret) {
    struct list sheets = before->sheets;
    uint8_t computed[HASH_SIZE];
    while (list_next_bytes(&sheets, ret)) {
        sheet_commitment(*ret, computed);
        if (memcmp(computed, commitment, HASH_SIZE) == 0) return true;
    }
    return false;
}

static bool find_sheet(struct list sheets, const uint8_t commitment[static HASH_SIZE], struct sealedsheet *ret) {
    while (sealedsheet_next(&sheets, ret))
        if (memcmp(ret->commitment, commitment, HASH_SIZE) == 0) return true;
    return false;
}

/* Does every sheet that came stand in the directory? */
static bool all_committed(const struct directory_post *post, struct list sheets) {
    struct sealedsheet sheet;
    while (sealedsheet_next(&sheets, &sheet)) {
        bool found = false;
        for (size_t i = 0; i < post->sheet_count; i++)
            found |= memcmp(post->sheets[i], sheet.commitment, HASH_SIZE) == 0;
        if (!found) return false;
    }
    return true;
}

static uint64_t backoff(uint64_t tries) {
    if (tries <= TRIES_AT_ONCE) return 0;
    uint64_t doublings = tries - TRIES_AT_ONCE - 1;
    return BACKOFF_MS << (doublings < BACKOFF_MAX ? doublings : BACKOFF_MAX);
}

static enum error tell(struct fetching *fetching, struct keptcontact *record, const char *post, const char *what) {
    if (record->told) return E_OK;
    record->told = true;
    return kept_alarm(fetching->home->archive, "the contact card of %s: %s", post, what);
}

static enum error save(struct fetching *fetching, const char *post, const struct keptcontact *record) {
    AUTO_BUF bytes = {0};
    keptcontact_encode(record, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(fetching->home->archive, TABLE_CONTACT, row_of(fetching->home, post), buf_bytes(&bytes));
}

struct opened {
    struct buf list;
    size_t count, sealed;
    bool withheld;
    enum error wrong;
};

static enum error open_one(struct fetching *fetching, const struct directory_post *post, size_t n,
                           const struct keptcontact *before, struct list sheets, struct opened *opened) {
    struct sealedsheet sealed;
    struct bytes kept;
    AUTO_BUF plain = {0};
    if (opened_before(before, post->sheets[n], &kept)) {
        cbor_put_bytes(&opened->list, kept);
        opened->count++;
        return buf_error(&opened->list);
    }
    enum error error = E_NOT_FOR_US;
    if (find_sheet(sheets, post->sheets[n], &sealed))
        error = open_sealed(fetching->home, post, &sealed, &plain);
    else
        opened->withheld = true;
    if (error == E_NO_MEMORY || error == E_IO || error == E_CORRUPT || error == E_DISK_FULL) return error;
    if (error == E_OK) {
        cbor_put_bytes(&opened->list, buf_bytes(&plain));
        opened->count++;
        return buf_error(&opened->list);
    }
    opened->sealed++;
    if (!merely_sealed(error)) opened->wrong = error;
    return E_OK;
}

static enum error take_card(struct fetching *fetching, const struct directory_post *post, struct list sheets) {
    struct keptcontact before = {0}, record = {0};
    AUTO_BUF bytes = {0};
    bool found = false;
    __attribute__((cleanup(buf_free))) struct buf list = {0};
    struct opened opened = {0};
    TRY(load(fetching->home, post->name, &before, &bytes, &found));
    bool same = found && before.size == post->contact_size;
    if (!same) {
        fetching->forgot |= found;
        before = (struct keptcontact){0};
    }
    enum error error = E_OK;
    for (size_t i = 0; error == E_OK && i < post->sheet_count; i++)
        error = open_one(fetching, post, i, &before, sheets, &opened);
    list = buf_take(&opened.list);
    TRY(error);
    record.size = post->contact_size;
    record.sheets = list_of(&list, opened.count);
    record.sealed = opened.sealed;
    record.tries = before.tries < UINT32_MAX ? before.tries + 1 : before.tries;
    record.next.ms = fetching->now.ms + backoff(record.tries);
    record.told = before.told;
    if (opened.wrong != E_OK)
        TRY(tell(fetching, &record, post->name, error_row(opened.wrong)->text));
    else if (opened.withheld && record.tries >= TRIES_AT_ONCE)
        TRY(tell(fetching, &record, post->name, "the relay keeps back a part of it"));
    return save(fetching, post->name, &record);
}

/* ---- asking ---- */

/* No card at all: named once, and asked for again. */
static enum error bad_answer(struct fetching *fetching, const struct wanted *wanted, struct bytes body,
                             enum error why) {
    struct archive *archive = fetching->home->archive;
    uint8_t hash[HASH_SIZE];
    bool known = false;
    stamp_hash(body, hash);
    TRY(archive_has(archive, TABLE_META, archive_key(hash, NULL, 0), &known));
    if (known) return E_OK;
    TRY(archive_set(archive, TABLE_META, archive_key(hash, NULL, 0), (struct bytes){0}));
    return kept_alarm(archive, "the relay's answer for the contact card of %s: %s", wanted->name, error_row(why)->text);
}

static enum error take_answer(struct fetching *fetching, const struct relay_answer *answer) {
    struct wanted *wanted = &fetching->wanted[answer->tag];
    struct contactcard card;
    enum error error = answer->error;
    if (error != E_OK)
        return outbox_is_fatal(error) ? fail(fetching->failure, error, "the contact card of %s", wanted->name) : E_OK;
    error = contactcard_decode(answer->body, &card);
    if (error != E_OK) return in_store(bad_answer(fetching, wanted, answer->body, error), fetching->failure);
    wanted->foreign = !all_committed(wanted->post, card.sheets);
    return wanted->foreign ? E_OK : in_store(take_card(fetching, wanted->post, card.sheets), fetching->failure);
}

static enum error ask_all(struct fetching *fetching) {
    size_t asked = 0;
    while (asked < fetching->count || relay_outstanding(fetching->relay) > 0) {
        while (asked < fetching->count && relay_outstanding(fetching->relay) < RELAY_WINDOW) {
            struct getcontact ask = {.post = bytes_text(fetching->wanted[asked].name)};
            TRY(relay_post(fetching->relay, MESSAGE_GETCONTACT, &ask, asked));
            asked++;
        }
        AUTO_ANSWER answer = {0};
        TRY(relay_collect(fetching->relay, &answer, fetching->failure));
        TRY(take_answer(fetching, &answer));
    }
    return E_OK;
}

/* A card that was replaced between the directory and the question is fetched again; else the relay shows what nobody
 * has committed to. */
static enum error judge_foreign(struct fetching *fetching, const struct wanted *wanted) {
    struct keptcontact record = {0};
    AUTO_BUF bytes = {0};
    bool found = false;
    const struct directory_post *post = directory_post(fetching->home->directory, bytes_text(wanted->name));
    if (!post || post->contact_size != wanted->size) return E_OK;
    TRY(load(fetching->home, wanted->name, &record, &bytes, &found));
    if (!found || record.size != wanted->size) record = (struct keptcontact){.size = wanted->size};
    record.sealed = post->sheet_count - record.sheets.count;
    record.tries = record.tries < UINT32_MAX ? record.tries + 1 : record.tries;
    record.next.ms = fetching->now.ms + backoff(record.tries);
    TRY(tell(fetching, &record, wanted->name, "the relay shows one that does not match its commitment"));
    return save(fetching, wanted->name, &record);
}

static enum error judge_all(struct fetching *fetching) {
    bool any = false;
    for (size_t i = 0; i < fetching->count; i++) any |= fetching->wanted[i].foreign;
    if (!any) return E_OK;
    TRY(mirror_update(fetching->home, fetching->relay, fetching->failure));
    for (size_t i = 0; i < fetching->count; i++)
        if (fetching->wanted[i].foreign)
            TRY(in_store(judge_foreign(fetching, &fetching->wanted[i]), fetching->failure));
    return E_OK;
}

/* One transaction for all that comes; what came before the link broke stays. */
static enum error ask_and_keep(struct fetching *fetching) {
    TRY(in_store(archive_begin(fetching->home->archive), fetching->failure));
    enum error error = in_store(list_wanted(fetching), fetching->failure);
    if (error == E_OK) error = ask_all(fetching);
    if (error != E_OK) relay_abandon(fetching->relay);
    enum error kept = archive_commit(fetching->home->archive);
    return error == E_OK ? in_store(kept, fetching->failure) : error;
}

static enum error fetch(struct fetching *fetching) {
    enum error error = ask_and_keep(fetching);
    if (error == E_OK) error = judge_all(fetching);
    if (fetching->forgot) TRY(in_store(archive_scrub(fetching->home->archive), fetching->failure));
    return error == E_OK || outbox_is_fatal(error) ? error : E_OK;
}

enum error cards_fetch(struct home *home, struct relay *relay, struct failure *failure) {
    struct fetching *fetching = calloc(1, sizeof *fetching);
    if (!fetching) return fail(failure, E_NO_MEMORY, "contact cards");
    *fetching = (struct fetching){.home = home, .relay = relay, .failure = failure, .now = relay_now(relay)};
    enum error error = fetch(fetching);
    free(fetching);
    return error;
}

enum error cards_sync(struct home *home, struct relay *relay, struct failure *failure) {
    TRY(cards_publish(home, relay, failure));
    return cards_fetch(home, relay, failure);
}
