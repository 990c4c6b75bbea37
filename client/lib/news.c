/* news.c - leaves of the directory into words, and the words into the archive. */
#include "news.h"

#include <stdarg.h>
#include <stdio.h>

#include "kept.h"
#include "moment.h"
#include "stamp.h"
#include "text.h"

enum { NEWS_TEXT_MAX = 1024, FINGER_SIZE = 17 };

/* One leaf, looked at. */
struct look {
    struct home *home;
    const struct directory *directory;
    const struct leaf *leaf;
    struct bytes payload;
};

static enum error tell(const struct look *look, const char *kind, struct bytes party, struct bytes post,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

static enum error tell(const struct look *look, const char *kind, struct bytes party, struct bytes post,
                       const char *format, ...) {
    char text[NEWS_TEXT_MAX];
    uint64_t number;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0) return E_INTERNAL;
    size_t size = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    while (size > 0 && (size_t)n > size && ((uint8_t)text[size] & 0xc0) == 0x80) size--; /* no half character */
    struct keptnews record = {.at = look->leaf->time,
                              .kind = bytes_text(kind),
                              .party = party,
                              .has_post = post.n > 0,
                              .post = post,
                              .text = bytes_of(text, size)};
    AUTO_BUF bytes = {0};
    keptnews_encode(&record, &bytes);
    TRY(buf_error(&bytes));
    TRY(archive_number(look->home->archive, TABLE_NEWS, archive_key(NULL, NULL, 0), &number));
    return archive_set(look->home->archive, TABLE_NEWS, archive_key(NULL, NULL, number), buf_bytes(&bytes));
}

static bool is_own_post(const struct look *look, const char *post) { return strcmp(look->home->post, post) == 0; }

static bool is_own_party(const struct look *look, const char *party) {
    return bytes_are(text_party_of(bytes_text(look->home->post)), party);
}

static const struct directory_party *party_of(const struct look *look, struct bytes name) {
    return directory_party(look->directory, name);
}

static enum error tell_party(const struct look *look, const char *kind, const struct directory_party *party,
                             const char *what) {
    return tell(look, kind, bytes_text(party->name), (struct bytes){0}, "%s (%s) %s", party->title, party->name, what);
}

/* ---- parties ---- */

static enum error take_admission(const struct look *look) {
    struct admission admission;
    TRY(admission_decode(look->payload, &admission));
    const struct directory_party *party = party_of(look, admission.party);
    if (!party) return E_OK;
    switch ((enum admission_action)admission.action) {
    case ACTION_ADMIT: return tell_party(look, "admitted", party, "was admitted");
    case ACTION_NOMINATE:
        return tell_party(look, "nominated", party, "was nominated; it has no keys yet and cannot be written to");
    case ACTION_RESUME: return tell_party(look, "resumed", party, "is no longer suspended");
    case ACTION_SUSPEND: break;
    }
    return tell(look, "suspended", admission.party, (struct bytes){0},
                "%s (%s) was suspended by the registrars%s%.*s; it still reads and answers what is open", party->title,
                party->name, admission.has_reason ? ": " : "", (int)admission.reason.n,
                (const char *)admission.reason.p);
}

static enum error tell_notice(const struct look *look, const struct directory_party *party) {
    char date[MOMENT_SIZE];
    struct instant due = {party->notice.since.ms + NOTICE_MS};
    return tell(look, "notice", bytes_text(party->name), (struct bytes){0},
                "the registrars have given notice of another authority key for %s (%s): it can be taken from %s on, "
                "unless %s objects. Ask %s by telephone whether it has lost its keys",
                party->title, party->name, moment_text(due, date), party->name, party->name);
}

static enum error take_notice(const struct look *look) {
    struct notice notice;
    TRY(notice_decode(look->payload, &notice));
    const struct directory_party *party = party_of(look, notice.party);
    return party ? tell_notice(look, party) : E_OK;
}

static enum error take_succession(const struct look *look) {
    struct succession succession;
    TRY(succession_decode(look->payload, &succession));
    const struct directory_party *party = party_of(look, succession.party);
    if (!party) return E_OK;
    switch ((enum succession_action)succession.action) {
    case SUCCESSION_RENEW:
        return tell_party(look, "key-renewed", party,
                          "has renewed its authority key, with the one it had committed to");
    case SUCCESSION_RECOVER:
        return tell_party(
            look, "key-recovered", party,
            "has another authority key, named by its recovery key. Ask it by telephone whether it was so");
    case SUCCESSION_TAKE:
        return tell_party(
            look, "key-taken", party,
            "has another authority key, taken after the registrars' notice. Ask it by telephone whether it "
            "was so");
    case SUCCESSION_OBJECT: break;
    }
    return tell_party(look, "objected", party,
                      "has objected to the registrars' notice of another key; the notice is void");
}

static enum error take_departure(const struct look *look) {
    struct departure departure;
    TRY(departure_decode(look->payload, &departure));
    const struct directory_party *party = party_of(look, departure.party);
    if (!party) return E_OK;
    return tell(look, "departed", departure.party, (struct bytes){0},
                "%s (%s) has left the directory%s%.*s; what is open goes on, nothing new can be sent to it",
                party->title, party->name, departure.has_reason ? ": " : "", (int)departure.reason.n,
                (const char *)departure.reason.p);
}

/* ---- posts ---- */

static enum error take_post(const struct look *look) {
    struct post post;
    TRY(post_decode(look->payload, &post));
    const struct directory_post *known = directory_post(look->directory, post.post);
    if (!known || !is_own_party(look, known->party->name) || is_own_post(look, known->name)) return E_OK;
    return tell(look, "post", bytes_text(known->party->name), post.post,
                "%s was added or changed by the authority of %s", known->name, known->party->name);
}

static enum error take_split(const struct look *look) {
    struct split split;
    char names[SPLIT_MAX * (POST_MAX + 2)] = "";
    TRY(split_decode(look->payload, &split));
    const struct directory_post *post = directory_post(look->directory, split.post);
    if (!post) return E_OK;
    struct bytes party = bytes_text(post->party->name);
    if (split.action == SPLIT_BACK)
        return tell(look, "split-back", party, split.post, "%s takes new requests itself again", post->name);
    struct list list = split.into;
    struct bytes name;
    for (size_t n = 0; list_next_bytes(&list, &name);) {
        int more = snprintf(names + n, sizeof names - n, "%s%.*s", n ? ", " : "", (int)name.n, (const char *)name.p);
        n += more > 0 && (size_t)more < sizeof names - n ? (size_t)more : 0;
    }
    return tell(look, "split", party, split.post,
                "%s was split: new requests go to %s; what is open finishes where it is", post->name, names);
}

static enum error take_contact(const struct look *look) {
    struct contact contact;
    TRY(contact_decode(look->payload, &contact));
    const struct directory_post *post = directory_post(look->directory, contact.post);
    if (!post || !is_own_post(look, post->name) || memcmp(contact.device, look->home->device, KEY_SIZE) == 0)
        return E_OK;
    return tell(look, "contact", bytes_text(post->party->name), contact.post,
                "a sister device has changed the contact card of %s", post->name);
}

/* ---- devices of the own post ---- */

static const char *finger(const uint8_t key[static KEY_SIZE], char ret[static FINGER_SIZE]) {
    text_hex(key, (FINGER_SIZE - 1) / 2, ret);
    return ret;
}

static const struct directory_device *certified(const struct look *look, const uint8_t hash[static HASH_SIZE]) {
    const struct directory_post *post = directory_post(look->directory, bytes_text(look->home->post));
    const struct directory_device *device = NULL;
    while (post && (device = directory_device_of(look->directory, post, device)))
        if (memcmp(device->certificate, hash, HASH_SIZE) == 0) return device;
    return NULL;
}

/* From here on senders seal to it: the sisters must know, and who has vouched for it. */
static enum error take_countersign(const struct look *look) {
    struct countersign countersign;
    char device_text[FINGER_SIZE], signer_text[FINGER_SIZE];
    TRY(countersign_decode(look->payload, &countersign));
    const struct directory_device *device = certified(look, countersign.certificate);
    if (!device || memcmp(device->device, look->home->device, KEY_SIZE) == 0) return E_OK;
    const struct directory_post *post = device->post;
    bool authority = memcmp(countersign.signer, post->party->authority, KEY_SIZE) == 0;
    bool own = memcmp(countersign.signer, look->home->device, KEY_SIZE) == 0;
    return tell(look, "device-linked", bytes_text(post->party->name), bytes_text(post->name),
                "another device of %s was linked: %s, countersigned by %s%s. If nobody of you did that, revoke it: "
                "pouch device revoke, or the revocation slip",
                post->name, finger(device->device, device_text),
                authority ? "the authority of "
                : own     ? "this device"
                          : "the device ",
                authority ? post->party->name
                : own     ? ""
                          : finger(countersign.signer, signer_text));
}

static enum error take_revocation(const struct look *look) {
    struct revocation revocation;
    char device_text[FINGER_SIZE];
    TRY(revocation_decode(look->payload, &revocation));
    const struct directory_post *post = directory_post(look->directory, revocation.post);
    if (!post) return E_OK;
    struct bytes party = bytes_text(post->party->name);
    if (!revocation.has_device)
        return tell(look, "post-revoked", party, revocation.post, "%s was revoked, with all its devices", post->name);
    if (!is_own_post(look, post->name)) return E_OK;
    return tell(look, "device-revoked", party, revocation.post, "the device %s of %s was revoked",
                finger(revocation.device, device_text), post->name);
}

/* ---- the whole ---- */

/* ---- the relay ---- */

static enum error take_relay(const struct look *look) {
    struct relaychange change;
    struct bytes address = {0};
    TRY(relaychange_decode(look->payload, &change));
    struct list addresses = change.addresses;
    (void)list_next_bytes(&addresses, &address);
    bool moved = change.action == RELAY_MOVED;
    return tell(look, moved ? "relay-moved" : "relay-recovered", (struct bytes){0}, (struct bytes){0},
                "the registrars say that the relay %s %.*s%s%.*s; this home follows by itself",
                moved ? "goes to" : "has lost what came after this, and goes on at", (int)address.n,
                (const char *)address.p, change.has_reason ? ": " : "", (int)change.reason.n,
                (const char *)change.reason.p);
}

static enum error take_leaf(const struct look *look) {
    switch ((enum leaf_kind)look->leaf->kind) {
    case LEAF_ADMISSION: return take_admission(look);
    case LEAF_NOTICE: return take_notice(look);
    case LEAF_SUCCESSION: return take_succession(look);
    case LEAF_DEPARTURE: return take_departure(look);
    case LEAF_POST: return take_post(look);
    case LEAF_SPLIT: return take_split(look);
    case LEAF_CONTACT: return take_contact(look);
    case LEAF_COUNTERSIGN: return take_countersign(look);
    case LEAF_REVOCATION: return take_revocation(look);
    case LEAF_RELAY: return take_relay(look);
    case LEAF_CHARTER: /* the admission tells */
    case LEAF_DEVICE: /* the countersignature tells; a renewal changes nobody's trust */ break;
    }
    return E_OK;
}

enum error news_take(struct home *home, const struct directory *directory, struct bytes bytes) {
    struct leaf leaf;
    TRY(leaf_decode(bytes, &leaf));
    struct look look = {.home = home, .directory = directory, .leaf = &leaf};
    TRY(directory_peek(leaf.kind, leaf.statement, &look.payload));
    return take_leaf(&look);
}

enum error news_first(struct home *home, const struct directory *directory) {
    const struct directory_party *party;
    struct leaf leaf = {0};
    struct look look = {.home = home, .directory = directory, .leaf = &leaf};
    for (size_t i = 0; (party = directory_party_nth(directory, i)); i++) {
        leaf.time = party->notice.stands ? party->notice.since : party->admitted_at;
        if (party->notice.stands) TRY(tell_notice(&look, party));
        if (!is_own_party(&look, party->name)) continue;
        if (party->suspended) TRY(tell_party(&look, "suspended", party, "is suspended by the registrars"));
        if (party->departed) TRY(tell_party(&look, "departed", party, "has left the directory"));
    }
    return E_OK;
}

/* ---- reading ---- */

static struct archive_key told_key(enum news_reader reader) {
    return archive_named(reader == NEWS_TOLD ? "news told" : "news read");
}

static enum error next_news(struct home *home, struct archive_cursor *cursor, struct buf *bytes, struct keptnews *ret,
                            bool *ret_found) {
    TRY(archive_next(home->archive, cursor, bytes, ret_found));
    if (!*ret_found) return E_OK;
    return keptnews_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

static void view_of(const struct keptnews *record, struct news_view *ret) {
    *ret = (struct news_view){.at = record->at};
    (void)snprintf(ret->kind, sizeof ret->kind, "%.*s", (int)record->kind.n, (const char *)record->kind.p);
    (void)snprintf(ret->party, sizeof ret->party, "%.*s", (int)record->party.n, (const char *)record->party.p);
    (void)snprintf(ret->post, sizeof ret->post, "%.*s", (int)record->post.n, (const char *)record->post.p);
    (void)snprintf(ret->text, sizeof ret->text, "%.*s", (int)record->text.n, (const char *)record->text.p);
}

static enum error walk(struct home *home, uint64_t after, void (*each)(void *context, const struct news_view *news),
                       void *context, uint64_t *ret_count, uint64_t *ret_last) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_NEWS, SCOPE_ALL, archive_key(NULL, NULL, after + 1));
    struct keptnews record;
    struct news_view view;
    *ret_count = 0;
    *ret_last = after;
    for (bool found = true;;) {
        TRY(next_news(home, &cursor, &bytes, &record, &found));
        if (!found) return E_OK;
        view_of(&record, &view);
        if (each) each(context, &view);
        *ret_last = cursor.key.n;
        (*ret_count)++;
    }
}

enum error client_news(struct home *home, enum news_reader reader, bool all,
                       void (*each)(void *context, const struct news_view *news), void *context,
                       struct failure *failure) {
    uint64_t after = 0, count = 0, last = 0, before = 0;
    enum error error = kept_number(home->archive, TABLE_META, told_key(reader), &before);
    if (!all) after = before;
    if (error == E_OK) error = walk(home, after, each, context, &count, &last);
    if (error == E_OK && last > before) error = kept_number_set(home->archive, TABLE_META, told_key(reader), last);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

enum error client_news_count(struct home *home, uint64_t *ret, struct failure *failure) {
    uint64_t after = 0, last = 0;
    enum error error = kept_number(home->archive, TABLE_META, told_key(NEWS_READ), &after);
    if (error == E_OK) error = walk(home, after, NULL, NULL, ret, &last);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}
