/* linkup.c - the new device's side of an invitation. */
#include "linkup.h"

#include "enrol.h"
#include "fault.h"
#include "guest.h"

static const char prefix[] = "POUCH-LINK:";

enum error linkup_parse(const char *typed, uint8_t ret_secret[static INVITE_SECRET], struct bytes *ret_card) {
    struct bytes code = bytes_text(typed);
    struct bytes card = {0};
    if (strncmp(typed, prefix, sizeof prefix - 1) == 0) {
        code = bytes_text(typed + sizeof prefix - 1);
        const uint8_t *colon = memchr(code.p, ':', code.n);
        if (colon) card = bytes_of(colon + 1, code.n - (size_t)(colon + 1 - code.p));
        if (colon) code.n = (size_t)(colon - code.p);
    }
    TRY(text_code_parse(code, ret_secret, 1));
    *ret_card = card;
    return E_OK;
}

static bool same_card(const struct card *card, struct bytes text) {
    struct card other;
    uint8_t hash[HASH_SIZE], other_hash[HASH_SIZE];
    if (card_parse(text, &other, NULL) != E_OK) return false;
    card_hash(card, hash);
    card_hash(&other, other_hash);
    return memcmp(hash, other_hash, HASH_SIZE) == 0;
}

/* ---- where the code leads ---- */

static enum error find_hello(struct relay *relay, const struct invite_keys *keys, struct buf *plain,
                             struct linkhello *ret, struct failure *failure) {
    AUTO_BUF item = {0};
    uint64_t number = 0;
    TRY(invite_get(relay, keys->box_hello, 0, &item, &number, failure)); /* it stays, also for whoever asks second */
    if (number == 0) return fail(failure, E_CODE_EXPIRED, "the relay has no invitation of this code");
    enum error error = invite_open(&keys->key_to_new, &linkhello_object, buf_bytes(&item), plain, ret);
    return error == E_OK ? E_OK : fail(failure, error, "what the relay has for this code");
}

static enum error take_hello(const struct card *card, const struct linkhello *hello, struct instant now,
                             struct linkup_hello *ret, struct failure *failure) {
    if (!same_card(card, hello->card)) {
        enum error error = fail(failure, E_WRONG_FINGERPRINT, "the card of %s", card->name);
        fail_hint(failure, "the device that made the code has another card of this relay: take its relay.card");
        return error;
    }
    if (!text_is_post(hello->post)) return fail(failure, E_BAD_TEXT, "the invitation's post");
    if (now.ms >= hello->expires.ms) return fail(failure, E_CODE_EXPIRED, "the invitation has ended");
    ret->role = (enum device_role)hello->role;
    memcpy(ret->post, hello->post.p, hello->post.n);
    ret->post[hello->post.n] = '\0';
    return E_OK;
}

enum error linkup_greet(const struct card *card, const struct invite_keys *keys, const struct client_options *options,
                        struct linkup_hello *ret, struct failure *failure) {
    AUTO_BUF plain = {0};
    struct linkhello hello;
    struct relay *relay = NULL;
    TRY(guest_connect(card, options, &relay, failure));
    enum error error = find_hello(relay, keys, &plain, &hello, failure);
    if (error == E_OK) error = take_hello(card, &hello, relay_now(relay), ret, failure);
    relay_close(&relay);
    return error;
}

/* ---- asking ---- */

/* Which code this home has asked under: asking twice would leave two items. */
static enum error asked_already(struct home *home, const uint8_t box[static HASH_SIZE], bool *ret) {
    AUTO_BUF bytes = {0};
    bool found = false;
    TRY(archive_get(home->archive, TABLE_META, archive_named("asked to be linked"), &bytes, &found));
    *ret = found && bytes_equal(buf_bytes(&bytes), bytes_of(box, HASH_SIZE));
    return E_OK;
}

/* One of the day keys that joining will publish. */
static enum error own_prekey(struct home *home, const struct relay *relay, struct buf *items, struct bytes *ret,
                             struct failure *failure) {
    size_t count = 0;
    struct instant now;
    TRY(enrol_time(relay, &now, failure));
    TRY(enrol_make_prekeys(home, now));
    TRY(enrol_unpublished(home, items, &count));
    struct list list = list_of(items, count);
    return list_next_bytes(&list, ret) ? E_OK : E_PREKEY_GONE;
}

static enum error ask(struct home *home, struct relay *relay, const struct invite_keys *keys, enum device_role role,
                      const char *name, struct failure *failure) {
    struct linkask value = {.role = (uint64_t)role, .has_name = name && *name};
    AUTO_BUF item = {0}, prekeys = {0};
    bool asked = false;
    enum error error = asked_already(home, keys->box_to_old, &asked);
    if (error == E_OK && !asked) error = own_prekey(home, relay, &prekeys, &value.prekey, failure);
    if (error == E_CLOCKS_DIFFER) return error;
    if (error != E_OK) return fail(failure, error, "the local store");
    if (asked) return E_OK;
    memcpy(value.device, home->device, KEY_SIZE);
    memcpy(value.transport, home->transport, KEY_SIZE);
    if (value.has_name) value.name = bytes_text(name);
    error = invite_seal(&keys->key_to_old, &linkask_object, &value, &item);
    if (error != E_OK) return fail(failure, error, "asking to be linked");
    TRY(invite_put(relay, keys->box_to_old, buf_bytes(&item), failure));
    FAULT("link.asked");
    error = archive_set(home->archive, TABLE_META, archive_named("asked to be linked"),
                        bytes_of(keys->box_to_old, HASH_SIZE));
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

enum error linkup_ask(struct home *home, const struct card *card, const struct invite_keys *keys, enum device_role role,
                      const char *name, const struct client_options *options, struct relay **ret_relay,
                      struct failure *failure) {
    struct relay *relay = NULL;
    struct relay_keys own = {&home->keys.transport, home->transport};
    TRY(relay_open(card, &own, options, &relay, failure));
    enum error error = ask(home, relay, keys, role, name, failure);
    if (error == E_OK)
        *ret_relay = relay;
    else
        relay_close(&relay);
    return error;
}

/* ---- the answer ---- */

/* What stands before the answer is dropped by asking on; the answer itself is not, so that a link that is killed now finds it
 * again. */
enum error linkup_look(struct relay *relay, const struct invite_keys *keys, struct buf *ret_plain, struct linkgive *ret,
                       bool *ret_found, struct failure *failure) {
    AUTO_BUF item = {0};
    uint64_t number = 0, after = 0;
    *ret_found = false;
    for (unsigned i = 0; i < BOX_ITEMS_MAX; i++) {
        TRY(invite_get(relay, keys->box_to_new, after, &item, &number, failure));
        if (number == 0) return E_OK;
        *ret_found = invite_open(&keys->key_to_new, &linkgive_object, buf_bytes(&item), ret_plain, ret) == E_OK;
        if (*ret_found) return E_OK;
        after = number;
    }
    return E_OK;
}

enum error linkup_done(struct relay *relay, const struct invite_keys *keys, struct failure *failure) {
    AUTO_BUF item = {0};
    uint64_t number = 0, after = 0;
    do {
        TRY(invite_get(relay, keys->box_to_new, after, &item, &number, failure));
        after = number;
    } while (number > 0);
    return E_OK;
}

enum error linkup_join(struct home *home, const struct card *card, const struct linkgive *give,
                       const struct client_options *options, struct failure *failure) {
    if (!same_card(card, give->card)) return fail(failure, E_WRONG_FINGERPRINT, "the card of %s", card->name);
    TRY(client_join_card(home, card, give->certificate, options, failure));
    FAULT("link.joined");
    return E_OK;
}
