/* enrol.c - connecting as this device, joining a relay, and day keys. */
#include "enrol.h"

#include <sodium.h>
#include <stdio.h>

#include "evlog.h"
#include "files.h"
#include "guest.h"
#include "joint.h"
#include "kept.h"
#include "loss.h"
#include "mirror.h"
#include "moment.h"
#include "promises.h"
#include "proofs.h"
#include "wrapping.h"

enum {
    CARD_MAX = 64 * 1024,
    DOSSIER_MAX = 256 * 1024,
    PREKEY_DAYS_BACK = 2, /* older ones no relay takes (PROTOCOL.md section 10) */
};

/* ---- day keys ---- */

static uint64_t day_of(struct instant time) { return time.ms / DAY_MS; }

static struct archive_key last_day_key(void) { return archive_named("last prekey day"); }

static struct archive_key prekey_key(const uint8_t id[static PREKEY_ID_SIZE]) {
    uint8_t row[HASH_SIZE] = {0};
    memcpy(row, id, PREKEY_ID_SIZE);
    return archive_key(row, NULL, 0);
}

static enum error keep_prekey(struct home *home, uint32_t day, const uint8_t *secret, const uint8_t *id,
                              struct bytes stamped) {
    struct keptprekey record = {.day = day, .stamped = stamped};
    memcpy(record.secret, secret, KEY_SIZE);
    AUTO_BUF bytes = {0};
    keptprekey_encode(&record, &bytes);
    sodium_memzero(&record, sizeof record);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_PREKEY, prekey_key(id), buf_bytes(&bytes));
}

static enum error make_some(struct home *home, uint32_t first, size_t count, uint64_t serial) {
    struct buf stamped[PREKEY_BATCH_MAX] = {0};
    uint8_t ids[PREKEY_BATCH_MAX * PREKEY_ID_SIZE];
    AUTO_SECRET secrets = {0};
    TRY(secret_new(count * KEY_SIZE, &secrets));
    enum error error = prekey_make(home->keys.device.p, first, count, serial, stamped, secrets.p, ids);
    for (size_t i = 0; error == E_OK && i < count; i++)
        error = keep_prekey(home, first + (uint32_t)i, secrets.p + i * KEY_SIZE, ids + i * PREKEY_ID_SIZE,
                            buf_bytes(&stamped[i]));
    for (size_t i = 0; i < count; i++) buf_free(&stamped[i]);
    TRY(error);
    return kept_number_set(home->archive, TABLE_META, last_day_key(), first + count - 1);
}

/* Every prekey, as a walk: what to do with it is the caller's. */
static enum error next_prekey(struct home *home, struct archive_cursor *cursor, struct buf *bytes,
                              struct keptprekey *ret, bool *ret_found) {
    TRY(archive_next(home->archive, cursor, bytes, ret_found));
    if (!*ret_found) return E_OK;
    return keptprekey_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

static enum error spend(struct home *home, struct archive_key key, struct keptprekey *record) {
    AUTO_BUF changed = {0};
    record->published = true;
    keptprekey_encode(record, &changed);
    TRY(buf_error(&changed));
    return archive_set(home->archive, TABLE_PREKEY, key, buf_bytes(&changed));
}

/* The last day that has a key: a day never gets two. A relay that once told a time years ahead must not be the end of day
 * keys: days beyond what is made ahead do not count. What no relay takes any more is not offered again; it may have been
 * taken when it was, though no answer came. */
static enum error last_day(struct home *home, uint64_t today, uint64_t *ret) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_PREKEY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct keptprekey record;
    uint64_t last = 0;
    for (bool found = true;;) {
        TRY(next_prekey(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (record.day < today + PREKEY_DAYS_AHEAD && record.day > last) last = record.day;
        if (record.published) continue;
        if (record.day >= today + 2 * PREKEY_DAYS_AHEAD) /* nobody has it, no relay would */
            TRY(archive_delete(home->archive, TABLE_PREKEY, cursor.key));
        else if (record.day + PREKEY_DAYS_BACK < today)
            TRY(spend(home, cursor.key, &record));
    }
    sodium_memzero(&record, sizeof record);
    *ret = last;
    return E_OK;
}

enum error enrol_make_prekeys(struct home *home, struct instant now) {
    uint64_t last, today = day_of(now), first;
    TRY(last_day(home, today, &last));
    first = last >= today ? last + 1 : today;
    uint64_t end = today + PREKEY_DAYS_AHEAD;
    if (first >= end) return E_OK;
    TRY(archive_begin(home->archive));
    enum error error = make_some(home, (uint32_t)first, (size_t)(end - first), 0);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

enum error enrol_unpublished(struct home *home, struct buf *ret_items, size_t *ret_count) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_PREKEY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct keptprekey record;
    size_t count = 0;
    for (bool found = true; count < PREKEY_BATCH_MAX;) {
        TRY(next_prekey(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (record.published) continue;
        cbor_put_bytes(ret_items, record.stamped);
        count++;
    }
    *ret_count = count;
    sodium_memzero(&record, sizeof record);
    return buf_error(ret_items);
}

enum error enrol_forget_published(struct home *home) {
    AUTO_BUF bytes = {0}, changed = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_PREKEY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct keptprekey record;
    for (bool found = true;;) {
        TRY(next_prekey(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (!record.published) continue;
        record.published = false;
        buf_clear(&changed);
        keptprekey_encode(&record, &changed);
        TRY(buf_error(&changed));
        TRY(archive_set(home->archive, TABLE_PREKEY, cursor.key, buf_bytes(&changed)));
    }
    sodium_memzero(&record, sizeof record);
    return E_OK;
}

static enum error mark_published(struct home *home) {
    AUTO_BUF bytes = {0}, changed = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_PREKEY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct keptprekey record;
    size_t count = 0;
    for (bool found = true; count < PREKEY_BATCH_MAX;) {
        TRY(next_prekey(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (record.published) continue;
        record.published = true;
        buf_clear(&changed);
        keptprekey_encode(&record, &changed);
        TRY(buf_error(&changed));
        TRY(archive_set(home->archive, TABLE_PREKEY, cursor.key, buf_bytes(&changed)));
        count++;
    }
    sodium_memzero(&record, sizeof record);
    return E_OK;
}

enum error enrol_published(struct home *home) {
    TRY(archive_begin(home->archive));
    enum error error = mark_published(home);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

enum error enrol_prekey_secret(struct home *home, const uint8_t id[static PREKEY_ID_SIZE], struct secret *ret) {
    AUTO_BUF bytes = {0};
    struct keptprekey record;
    bool found = false;
    TRY(archive_get(home->archive, TABLE_PREKEY, prekey_key(id), &bytes, &found));
    if (!found) return E_PREKEY_GONE;
    if (keptprekey_decode(buf_bytes(&bytes), &record) != E_OK) return E_CORRUPT;
    enum error error = secret_copy(record.secret, KEY_SIZE, ret);
    sodium_memzero(&record, sizeof record);
    return error;
}

enum error enrol_destroy_old(struct home *home, struct instant now) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_PREKEY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct keptprekey record;
    bool any = false;
    for (bool found = true;;) {
        TRY(next_prekey(home, &cursor, &bytes, &record, &found));
        if (!found) break;
        if (record.day + PREKEY_KEEP_DAYS >= day_of(now)) continue;
        TRY(archive_delete(home->archive, TABLE_PREKEY, cursor.key));
        any = true;
    }
    sodium_memzero(&record, sizeof record);
    return any ? archive_scrub(home->archive) : E_OK;
}

/* Higher than any before, also than one that was given out after the backup: seconds pass in between. */
static enum error next_serial(struct home *home, struct instant now, uint64_t *ret) {
    struct archive_key key = archive_named("prekey serial");
    TRY(kept_number(home->archive, TABLE_META, key, ret));
    uint64_t seconds = now.ms / 1000;
    *ret = seconds > *ret ? seconds : *ret + 1;
    return kept_number_set(home->archive, TABLE_META, key, *ret);
}

static enum error replace_prekeys(struct home *home, struct instant now) {
    uint64_t serial;
    TRY(mark_published(home)); /* older ones are not to be given out any more */
    TRY(next_serial(home, now, &serial));
    return make_some(home, (uint32_t)day_of(now), PREKEY_DAYS_AHEAD, serial);
}

enum error enrol_replace_prekeys(struct home *home, struct instant now) {
    TRY(archive_begin(home->archive));
    enum error error = replace_prekeys(home, now);
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

enum error enrol_publish(struct home *home, struct relay *relay, struct failure *failure) {
    for (;;) {
        AUTO_BUF items = {0};
        AUTO_ANSWER answer = {0};
        size_t count = 0;
        TRY(enrol_unpublished(home, &items, &count));
        if (count == 0) return E_OK;
        TRY(relay_call(relay, MESSAGE_PUBLISH, &(struct publish){.prekeys = list_of(&items, count)}, &answer, failure));
        TRY(enrol_published(home));
    }
}

/* By how much a device's clock and the relay's may differ: more than any time zone that was set wrongly, less than the days
 * that the relay takes before and after its own. */
enum { CLOCKS_MS = 24 * 60 * 60 * 1000 };

enum error enrol_time(const struct relay *relay, struct instant *ret, struct failure *failure) {
    struct instant there = relay_now(relay), here = moment_now();
    uint64_t apart = there.ms > here.ms ? there.ms - here.ms : here.ms - there.ms;
    if (apart > CLOCKS_MS)
        return fail(failure, E_CLOCKS_DIFFER, "the relay's clock is %s than this machine's",
                    there.ms > here.ms ? "more than a day later" : "more than a day earlier");
    *ret = there;
    return E_OK;
}

enum error enrol_top_up(struct home *home, struct relay *relay, struct failure *failure) {
    struct instant now = relay_now(relay), here = moment_now();
    struct failure clocks = {0};
    /* Destroying cannot be taken back: only what is old by the relay's clock and by this machine's. But it waits for nobody. */
    enum error error = enrol_destroy_old(home, here.ms < now.ms ? here : now);
    if (error == E_OK && enrol_time(relay, &now, &clocks) != E_OK)
        return proofs_suspect_once(home, clocks.error, "%s: no day keys are made until that is explained",
                                   clocks.where);
    if (error == E_OK) error = enrol_make_prekeys(home, now);
    if (error == E_OK) error = enrol_publish(home, relay, failure);
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "day keys");
    return error;
}

/* ---- connecting ---- */

static enum error keep_limits(struct home *home, const struct welcome *welcome) {
    AUTO_BUF bytes = {0};
    keptrelay_encode(&(struct keptrelay){welcome->body_max, welcome->legs_max, welcome->time}, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_META, archive_named("relay"), buf_bytes(&bytes));
}

static bool same_place(const struct card *a, const struct card *b) {
    return memcmp(a->addresses, b->addresses, sizeof a->addresses) == 0 && memcmp(a->curve, b->curve, KEY_SIZE) == 0;
}

/* Where the directory says that it is; a relay that has announced its move and not moved yet is where it was. */
static enum error open_relay(struct home *home, const struct client_options *options, struct relay **ret,
                             struct failure *failure) {
    struct relay_keys keys = {&home->keys.transport, home->transport};
    enum error error = relay_open(&home->card, &keys, options, ret, failure);
    bool away = error == E_UNREACHABLE || error == E_WRONG_RELAY_KEY;
    if (!away || same_place(&home->card, &home->given)) return error;
    struct failure aside = {0};
    if (relay_open(&home->given, &keys, options, ret, &aside) != E_OK) return error;
    if (failure) *failure = (struct failure){0};
    return E_OK;
}

enum error enrol_connect(struct home *home, const struct client_options *options, struct relay **ret,
                         struct failure *failure) {
    struct relay *relay = NULL;
    TRY(open_relay(home, options, &relay, failure));
    enum error error = keep_limits(home, relay_welcome(relay));
    if (error != E_OK) {
        relay_close(&relay);
        return fail(failure, error, "the local store");
    }
    *ret = relay;
    return E_OK;
}

/* The relay's door says no more than no. The directory, which anybody may read, says why - and it is signed. */
static enum error why_refused(struct home *home, const struct client_options *options, struct failure *failure) {
    struct relay *relay = NULL;
    struct failure aside = {0};
    enum error error = guest_connect(&home->card, options, &relay, &aside);
    if (error == E_OK) error = mirror_update(home, relay, &aside);
    relay_close(&relay);
    const struct directory_device *own = directory_device(home->directory, home->device);
    if (error != E_OK || !own || (!own->revoked && !own->post->revoked)) return E_REFUSED_BY_RELAY;
    error = fail(failure, E_REVOKED, "%s %s", own->revoked ? "this device of" : "the post", home->post);
    fail_hint(failure,
              "what is here can still be read with --offline; a sister device (pouch device list, there) or your "
              "authority knows why, and can link a new device");
    return error;
}

/* The relay may not have known this device before its entries were offered: it is greeted anew. */
static enum error follow_loss(struct home *home, const struct client_options *options, struct relay **relay,
                              struct failure *failure) {
    TRY(loss_follow(home, *relay, failure));
    relay_close(relay);
    return enrol_connect(home, options, relay, failure);
}

enum error client_connect(struct home *home, const struct client_options *options, struct relay **ret,
                          struct failure *failure) {
    if (!home->joined || !home->directory) return fail(failure, E_NOT_JOINED, "%s", home->post);
    struct relay *relay = NULL;
    enum error error = enrol_connect(home, options, &relay, failure);
    if (error == E_REFUSED_BY_RELAY) return why_refused(home, options, failure);
    TRY(error);
    bool lost = false;
    error = loss_greet(home, relay, &lost, failure);
    if (error == E_OK && lost) error = follow_loss(home, options, &relay, failure);
    if (error == E_OK) error = mirror_greet(home, relay, failure);
    if (error == E_OK && (error = evlog_greet(home, relay)) != E_OK) fail(failure, error, "the local store");
    if (error == E_OK)
        *ret = relay;
    else
        relay_close(&relay);
    return error;
}

void client_disconnect(struct relay **relay) { relay_close(relay); }

enum error client_wait_hint(struct relay *relay, unsigned ms) {
    enum error error = relay_wait(relay, ms, NULL);
    (void)relay_hinted(relay);
    return error;
}

/* ---- joining ---- */

static enum error enrol(struct home *home, struct relay *relay, const struct dossier *certificate,
                        struct failure *failure) {
    AUTO_BUF items = {0};
    AUTO_ANSWER answer = {0};
    size_t count = 0;
    struct instant now;
    TRY(enrol_time(relay, &now, failure));
    enum error error = enrol_make_prekeys(home, now);
    if (error == E_OK) error = enrol_unpublished(home, &items, &count);
    if (error != E_OK) return fail(failure, error, "day keys");
    struct enrol ask = {.statements = certificate->statements, .prekeys = list_of(&items, count)};
    TRY(relay_call(relay, MESSAGE_ENROL, &ask, &answer, failure));
    TRY(promises_take(home, certificate->statements, answer.body, failure));
    error = enrol_published(home);
    return error == E_OK ? E_OK : fail(failure, error, "day keys");
}

/* What the relay recorded is what this home asked for. */
static enum error check_enrolled(const struct home *home, const struct relay *relay, struct failure *failure) {
    const struct directory_device *device = directory_device(home->directory, home->device);
    if (!device) return fail(failure, E_UNKNOWN_DEVICE, "%s", home->post);
    if (!bytes_are(bytes_text(home->post), device->post->name) ||
        memcmp(device->transport, home->transport, KEY_SIZE) != 0)
        return fail(failure, E_FOREIGN_CERTIFICATE, "%s", home->post);
    enum error error = directory_live(device, relay_now(relay));
    return error == E_OK ? E_OK : fail(failure, error, "%s", home->post);
}

/* All that the certificate says stands in the directory, and so was valid there: also a succession after a notice, which the
 * certificate alone cannot show. */
static enum error check_held(const struct home *home, const struct dossier *certificate, struct failure *failure) {
    struct list list = certificate->statements;
    struct dirstatement statement;
    while (dirstatement_next(&list, &statement))
        if (!directory_holds(home->directory, (enum leaf_kind)statement.kind, statement.statement))
            return fail(failure, E_FOREIGN_CERTIFICATE, "the directory lacks a statement of the certificate of %s",
                        home->post);
    return E_OK;
}

/* A new card may name other registrars: the directory must hold under them too, or this home would not open again. */
static enum error check_replay(const struct home *home, struct failure *failure) {
    struct directory *directory = NULL;
    if (mirror_load(home->archive, &home->card, &directory, NULL) != E_OK)
        return fail(failure, E_UNKNOWN_REGISTRAR, "the directory of %s does not hold under this card", home->card.name);
    directory_free(directory);
    return E_OK;
}

/* Leaves of another relay, from a join that did not succeed, are not this one's. */
static enum error forget_mirror(struct home *home) {
    TRY(archive_begin(home->archive));
    enum error error = archive_delete_all(home->archive, TABLE_LEAF, SCOPE_ALL, archive_key(NULL, NULL, 0));
    if (error == E_OK) error = archive_delete(home->archive, TABLE_META, archive_named("mirror"));
    if (error == E_OK) return archive_commit(home->archive);
    archive_rollback(home->archive);
    return error;
}

static bool same_relay(const struct card *a, const struct card *b) {
    return memcmp(a->statement, b->statement, KEY_SIZE) == 0 && memcmp(a->log, b->log, KEY_SIZE) == 0;
}

static bool same_registrars(const struct card *a, const struct card *b) {
    return a->registrar_count == b->registrar_count && a->threshold == b->threshold &&
           memcmp(a->registrars, b->registrars, a->registrar_count * KEY_SIZE) == 0;
}

static enum error is_another(const struct card *before, struct failure *failure) {
    return fail(failure, E_CONFLICT, "this home has joined %s; another relay needs another home", before->name);
}

/* Other keys than this home knows are those of its relay only if its registrars have said so, after a loss. */
static bool is_successor(const struct card *before, const struct card *card, struct bytes recovery) {
    struct relaychange change;
    struct bytes payload;
    return joint_verify(LABEL_RELAY, before->registrars, before->registrar_count, before->threshold, recovery,
                        &payload) == E_OK &&
           relaychange_decode(payload, &change) == E_OK && change.action == RELAY_RECOVERED &&
           memcmp(change.log, card->log, KEY_SIZE) == 0 && memcmp(change.statement, card->statement, KEY_SIZE) == 0;
}

/* Who joins again with a new card may have slept through a loss. before: the card until now. */
static enum error catch_up(struct home *home, const struct card *before, const struct client_options *options,
                           struct relay **relay, struct failure *failure) {
    bool lost = false;
    if (!home->joined) return E_OK;
    if (!same_relay(before, &home->card) && !is_successor(before, &home->card, relay_recovery(*relay)))
        return is_another(before, failure);
    enum error error = loss_greet(home, *relay, &lost, failure);
    return error == E_OK && lost ? follow_loss(home, options, relay, failure) : error;
}

static enum error join(struct home *home, const struct card *before, const struct dossier *dossier,
                       struct bytes certificate, const struct client_options *options, struct failure *failure) {
    struct relay *relay = NULL;
    TRY(enrol_connect(home, options, &relay, failure));
    enum error error = catch_up(home, before, options, &relay, failure);
    if (error == E_OK) error = mirror_update(home, relay, failure);
    if (error == E_OK) error = enrol(home, relay, dossier, failure);
    if (error == E_OK) error = mirror_update(home, relay, failure);
    if (error == E_OK) error = check_enrolled(home, relay, failure);
    if (error == E_OK) error = check_held(home, dossier, failure);
    relay_close(&relay);
    if (error == E_OK) error = check_replay(home, failure);
    if (error == E_OK) {
        struct card card = home->given;
        error = home_join(home, &card, certificate, failure);
    }
    return error;
}

/* Who has joined has it: only the card is another one. */
static enum error read_certificate(const struct home *home, const char *path, struct buf *ret,
                                   struct failure *failure) {
    char own[4200];
    if (path) return files_read(path, DOSSIER_MAX, ret, failure);
    if (!home->joined) return fail(failure, E_USAGE, "--cert FILE is needed: the certificate that the authority made");
    TRY(files_join(home->path, "identity", own, sizeof own, failure));
    return files_read(own, DOSSIER_MAX, ret, failure);
}

enum error client_join(struct home *home, const char *card_path, const char *certificate_path,
                       const struct client_options *options, struct failure *failure) {
    struct card card;
    AUTO_BUF certificate = {0};
    if (home->kind != HOME_POST) return fail(failure, E_USAGE, "%s is an authority; a post joins", home->post);
    TRY(guest_read_card(card_path, &card, failure));
    TRY(read_certificate(home, certificate_path, &certificate, failure));
    return client_join_card(home, &card, buf_bytes(&certificate), options, failure);
}

enum error client_join_card(struct home *home, const struct card *card, struct bytes certificate,
                            const struct client_options *options, struct failure *failure) {
    struct card before = home->card, given = home->given;
    struct dossier dossier;
    TRY(home_check_certificate(home, certificate, &dossier, failure));
    if (home->joined && !same_relay(card, &before) && !same_registrars(card, &before))
        return is_another(&before, failure);
    enum error error = home->joined ? E_OK : forget_mirror(home);
    if (error != E_OK) return fail(failure, error, "the local store");
    home->card = home->given = *card;
    error = join(home, &before, &dossier, certificate, options, failure);
    if (error == E_OK) return E_OK;
    home->card = before;
    home->given = given;
    if (home->joined) home_follow_relay(home);
    if (!home->joined && home->directory) {
        directory_free(home->directory);
        home->directory = NULL;
    }
    return error;
}
