/* invite.c - codes, the boxes between two devices, and the older device's side. */
#include "invite.h"

#include <sodium.h>

#include "chain.h"
#include "fault.h"
#include "files.h"
#include "hpke.h"
#include "moment.h"
#include "parcel.h"
#include "sign.h"
#include "sisters.h"
#include "stamp.h"

enum { DEVICE_EARLY_MS = 86400 * 1000, IDENTITY_MAX = 256 * 1024, INVITE_PATH_SIZE = 4200 };

/* ---- keys and items ---- */

static enum error derive_one(const uint8_t prk[static HASH_SIZE], const char *name, uint8_t ret[static HASH_SIZE]) {
    AUTO_BUF info = {0};
    buf_add_bytes(&info, label_text(LABEL_INVITATION));
    buf_add(&info, "", 1);
    buf_add_bytes(&info, bytes_text(name));
    TRY(buf_error(&info));
    return hkdf_expand(prk, buf_bytes(&info), ret, HASH_SIZE);
}

void invite_keys_free(struct invite_keys *keys) {
    secret_free(&keys->key_to_old);
    secret_free(&keys->key_to_new);
}

enum error invite_derive(const uint8_t secret[static INVITE_SECRET], struct invite_keys *ret) {
    AUTO_INVITE_KEYS keys = {0};
    uint8_t prk[HASH_SIZE];
    hkdf_extract(label_text(LABEL_INVITATION), bytes_of(secret, INVITE_SECRET), prk);
    enum error error = secret_new(KEY_SIZE, &keys.key_to_old);
    if (error == E_OK) error = secret_new(KEY_SIZE, &keys.key_to_new);
    if (error == E_OK) error = derive_one(prk, "box hello", keys.box_hello);
    if (error == E_OK) error = derive_one(prk, "box to old", keys.box_to_old);
    if (error == E_OK) error = derive_one(prk, "box to new", keys.box_to_new);
    if (error == E_OK) error = derive_one(prk, "key to old", keys.key_to_old.p);
    if (error == E_OK) error = derive_one(prk, "key to new", keys.key_to_new.p);
    sodium_memzero(prk, sizeof prk);
    TRY(error);
    *ret = keys;
    keys = (struct invite_keys){0};
    return E_OK;
}

static enum error aad_of(const struct object *object, struct buf *out) {
    buf_add_bytes(out, label_text(LABEL_INVITATION));
    buf_add(out, "", 1);
    buf_add_bytes(out, bytes_text(object->name));
    return buf_error(out);
}

enum error invite_seal(const struct secret *key, const struct object *object, const void *value, struct buf *out) {
    AUTO_BUF plain = {0}, aad = {0};
    codec_encode(object, value, &plain);
    TRY(buf_error(&plain));
    TRY(aad_of(object, &aad));
    uint8_t *at = buf_extend(out, INVITE_NONCE + plain.n + TAG_SIZE);
    if (!at) return E_NO_MEMORY;
    randombytes_buf(at, INVITE_NONCE);
    unsigned long long n;
    crypto_aead_chacha20poly1305_ietf_encrypt(at + INVITE_NONCE, &n, plain.p, plain.n, aad.p, aad.n, NULL, at, key->p);
    return E_OK;
}

enum error invite_open(const struct secret *key, const struct object *object, struct bytes item, struct buf *plain,
                       void *ret_value) {
    AUTO_BUF aad = {0};
    unsigned long long n;
    if (item.n < INVITE_NONCE + TAG_SIZE) return E_CANNOT_OPEN;
    TRY(aad_of(object, &aad));
    buf_clear(plain);
    uint8_t *to = buf_extend(plain, item.n - INVITE_NONCE - TAG_SIZE + 1); /* one more: none may be nothing */
    if (!to) return E_NO_MEMORY;
    plain->n--;
    if (crypto_aead_chacha20poly1305_ietf_decrypt(to, &n, NULL, item.p + INVITE_NONCE, item.n - INVITE_NONCE, aad.p,
                                                  aad.n, item.p, key->p) != 0)
        return E_CANNOT_OPEN;
    return codec_decode(object, buf_bytes(plain), ret_value);
}

void invite_fingerprint(const uint8_t device[static KEY_SIZE], const uint8_t transport[static KEY_SIZE],
                        uint8_t ret[static HASH_SIZE]) {
    uint8_t both[2 * KEY_SIZE];
    memcpy(both, device, KEY_SIZE);
    memcpy(both + KEY_SIZE, transport, KEY_SIZE);
    label_digest(LABEL_FINGERPRINT, bytes_of(both, sizeof both), ret);
}

/* ---- the boxes ---- */

enum error invite_put(struct relay *relay, const uint8_t box[static HASH_SIZE], struct bytes item,
                      struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct put ask = {.data = item};
    memcpy(ask.box, box, HASH_SIZE);
    return relay_call(relay, MESSAGE_PUT, &ask, &answer, failure);
}

enum error invite_get(struct relay *relay, const uint8_t box[static HASH_SIZE], uint64_t after, struct buf *ret_item,
                      uint64_t *ret_number, struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct get ask = {.after = after};
    struct box got;
    memcpy(ask.box, box, HASH_SIZE);
    *ret_number = 0;
    TRY(relay_call(relay, MESSAGE_GET, &ask, &answer, failure));
    enum error error = box_decode(answer.body, &got);
    if (error == E_OK && got.has_number && got.number <= after) error = E_MALFORMED;
    if (error != E_OK) return fail(failure, error, "the invitation's box");
    if (!got.has_number || !got.has_data) return E_OK;
    buf_clear(ret_item);
    buf_add_bytes(ret_item, got.data);
    TRY(buf_error(ret_item));
    *ret_number = got.number;
    return E_OK;
}

/* ---- the older device: what it keeps ---- */

static struct archive_key invitation_key(void) { return archive_named("invitation"); }

static struct archive_key name_key(const uint8_t device[static KEY_SIZE]) {
    uint8_t row[HASH_SIZE];
    label_digest(LABEL_INVITATION, bytes_of(device, KEY_SIZE), row); /* no name of another row */
    return archive_key(row, NULL, 0);
}

void invitation_free(struct invitation *invitation) {
    buf_free(&invitation->bytes);
    sodium_memzero(&invitation->record, sizeof invitation->record);
    sodium_memzero(invitation->code, sizeof invitation->code);
}

static enum error load(struct home *home, struct invitation *ret, bool *ret_found) {
    AUTO_BUF bytes = {0};
    TRY(archive_get(home->archive, TABLE_META, invitation_key(), &bytes, ret_found));
    if (!*ret_found) return E_OK;
    struct keptinvitation record;
    if (keptinvitation_decode(buf_bytes(&bytes), &record) != E_OK) return E_CORRUPT;
    buf_free(&ret->bytes);
    ret->bytes = buf_take(&bytes);
    ret->record = record;
    return E_OK;
}

static enum error save(struct home *home, struct invitation *invitation) {
    AUTO_BUF bytes = {0};
    bool found;
    keptinvitation_encode(&invitation->record, &bytes);
    TRY(buf_error(&bytes));
    TRY(archive_set(home->archive, TABLE_META, invitation_key(), buf_bytes(&bytes)));
    return load(home, invitation, &found);
}

enum error invite_end(struct home *home, const char *alarm, struct failure *failure) {
    enum error error = archive_delete(home->archive, TABLE_META, invitation_key());
    if (error == E_OK && alarm) error = kept_alarm(home->archive, "%s", alarm);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

enum error invite_name(struct home *home, const uint8_t device[static KEY_SIZE], char ret[static 65]) {
    AUTO_BUF name = {0};
    bool found = false;
    ret[0] = '\0';
    TRY(archive_get(home->archive, TABLE_META, name_key(device), &name, &found));
    if (!found || name.n > 64) return E_OK;
    memcpy(ret, name.p, name.n);
    ret[name.n] = '\0';
    return E_OK;
}

/* ---- the older device: may it, and with what key ---- */

enum error invite_check(const struct home *home, const struct relay *relay, struct failure *failure) {
    const struct directory_device *own = directory_device(home->directory, home->device);
    enum error error = own ? directory_live(own, relay_now(relay)) : E_UNKNOWN_DEVICE;
    if (error == E_OK && own->role != ROLE_DECIDER) error = E_NOT_ALLOWED;
    return error == E_OK ? E_OK : fail(failure, error, "only a live decider of %s can invite", home->post);
}

enum error invite_post_key(const struct home *home, const char *path, const char *passphrase, struct keystore *ret,
                           struct failure *failure) {
    char own[INVITE_PATH_SIZE];
    struct keystore keys = {0};
    const struct directory_post *post = directory_post(home->directory, bytes_text(home->post));
    TRY(files_join(home->path, "post.key", own, sizeof own, failure));
    if (!path) path = own;
    if (!files_exists(path)) {
        enum error error =
            fail(failure, E_NO_FILE, "the post key of %s, which certifies its devices: %s", home->post, path);
        fail_hint(failure,
                  "bring the post key and give it with --post-key FILE; or have the authority of %.*s certify "
                  "the new device: pouch init %s --device, there",
                  (int)text_party_of(bytes_text(home->post)).n, home->post, home->post);
        return error;
    }
    TRY(keystore_open(path, passphrase, &keys, failure));
    if (!keys.post.p || !post || memcmp(keys.post.p + KEY_SIZE, post->key, KEY_SIZE) != 0) {
        keystore_free(&keys);
        return fail(failure, E_FOREIGN_CERTIFICATE, "%s is not the post key that the directory has for %s", path,
                    home->post);
    }
    *ret = keys;
    return E_OK;
}

/* ---- the older device: the code ---- */

static enum error say_hello(struct home *home, struct relay *relay, const struct invitation *invitation,
                            struct failure *failure) {
    AUTO_INVITE_KEYS keys = {0};
    AUTO_BUF card = {0}, item = {0}, there = {0};
    uint64_t number = 0;
    card_format(&home->card, &card);
    struct linkhello hello = {.post = bytes_text(home->post),
                              .role = invitation->record.role,
                              .card = buf_bytes(&card),
                              .expires = invitation->record.expires};
    enum error error = buf_error(&card);
    if (error == E_OK) error = invite_derive(invitation->record.secret, &keys);
    if (error == E_OK) error = invite_seal(&keys.key_to_new, &linkhello_object, &hello, &item);
    if (error != E_OK) return fail(failure, error, "the invitation");
    TRY(invite_get(relay, keys.box_hello, 0, &there, &number, failure));
    return number ? E_OK : invite_put(relay, keys.box_hello, buf_bytes(&item), failure);
}

static bool still_good(const struct invitation *invitation, const struct relay *relay) {
    return !invitation->record.given && relay_now(relay).ms < invitation->record.expires.ms;
}

static enum error make(struct home *home, const struct relay *relay, const struct invite_options *options,
                       struct invitation *ret) {
    uint64_t valid_s = options->valid_s ? options->valid_s : INVITE_DEFAULT_S;
    ret->record = (struct keptinvitation){.role = options->has_role ? options->role : ROLE_DECIDER,
                                          .expires = {relay_now(relay).ms + valid_s * 1000}};
    randombytes_buf(ret->record.secret, INVITE_SECRET);
    return save(home, ret);
}

enum error invite_begin(struct home *home, struct relay *relay, const struct invite_options *options,
                        struct invitation *ret, struct failure *failure) {
    AUTO_INVITATION invitation = {0};
    bool found = false;
    enum error error = load(home, &invitation, &found);
    if (error == E_OK && found) found = still_good(&invitation, relay) && !options->fresh;
    if (error == E_OK && !found) error = make(home, relay, options, &invitation);
    if (error != E_OK) return fail(failure, error, "the local store");
    if (found && options->has_role && options->role != invitation.record.role) {
        error = fail(failure, E_CONFLICT, "a code for another role is still good");
        fail_hint(failure, "say --new to give out another code; the earlier one is then good for nothing");
        return error;
    }
    FAULT("invite.kept");
    TRY(say_hello(home, relay, &invitation, failure));
    invitation.resumed = found;
    text_code(invitation.record.secret, 1, invitation.code);
    *ret = invitation;
    invitation = (struct invitation){0};
    return E_OK;
}

/* ---- the older device: who asks ---- */

static enum error bind(struct home *home, struct invitation *invitation, const struct linkask *ask) {
    struct keptinvitation *record = &invitation->record;
    record->has_device = record->has_transport = true;
    memcpy(record->device, ask->device, KEY_SIZE);
    memcpy(record->transport, ask->transport, KEY_SIZE);
    record->has_name = ask->has_name;
    record->name = ask->name;
    record->has_prekey = true;
    record->prekey = ask->prekey;
    return save(home, invitation);
}

static enum error somebody_else(struct home *home, struct failure *failure) {
    TRY(invite_end(home, "somebody else used the code of an invitation: two devices asked to be linked under it",
                   failure));
    enum error error = fail(failure, E_CONFLICT, "somebody else used the code: two devices ask to be linked under it");
    fail_hint(failure, "the code is good for nothing any more. If a device was linked already, compare its fingerprint "
                       "(pouch device list) and revoke it at any doubt; then give a new code over another way");
    return error;
}

/* No program of ours asks otherwise. The prekey is under the device's own signature: the fingerprint that people compare
 * vouches for it, too. */
static bool is_well_asked(const struct keptinvitation *record, const struct linkask *ask) {
    struct bytes payload;
    struct prekey prekey;
    if (ask->role != record->role || !sign_key_valid(ask->device)) return false;
    if (stamp_verify(LABEL_PREKEY, ask->device, ask->prekey, &payload) != E_OK) return false;
    return prekey_decode(payload, &prekey) == E_OK && memcmp(prekey.device, ask->device, KEY_SIZE) == 0;
}

static enum error judge(struct home *home, struct invitation *invitation, const struct linkask *ask,
                        struct failure *failure) {
    const struct keptinvitation *record = &invitation->record;
    if (!is_well_asked(record, ask)) return E_OK;
    if (!record->has_device) {
        enum error error = bind(home, invitation, ask);
        return error == E_OK ? E_OK : fail(failure, error, "the local store");
    }
    bool same =
        memcmp(ask->device, record->device, KEY_SIZE) == 0 && memcmp(ask->transport, record->transport, KEY_SIZE) == 0;
    return same ? E_OK : somebody_else(home, failure);
}

/* While this run waited, another may have given out a new code, or have ended this one: then it stays ended. */
static enum error still_kept(struct home *home, const struct invitation *invitation, struct failure *failure) {
    AUTO_INVITATION kept = {0};
    bool found = false;
    enum error error = load(home, &kept, &found);
    if (error != E_OK) return fail(failure, error, "the local store");
    if (found && sodium_memcmp(kept.record.secret, invitation->record.secret, INVITE_SECRET) == 0) return E_OK;
    return fail(failure, E_CODE_EXPIRED, "this code was ended, or another one was given out, meanwhile");
}

enum error invite_look(struct home *home, struct relay *relay, struct invitation *invitation, struct failure *failure) {
    AUTO_INVITE_KEYS keys = {0};
    AUTO_BUF item = {0}, plain = {0};
    struct linkask ask;
    uint64_t number = 0, after = 0;
    enum error error = invite_derive(invitation->record.secret, &keys);
    if (error != E_OK) return fail(failure, error, "the invitation");
    TRY(still_kept(home, invitation, failure));
    for (;;) {
        TRY(invite_get(relay, keys.box_to_old, after, &item, &number, failure));
        if (number == 0) break;
        if (invite_open(&keys.key_to_old, &linkask_object, buf_bytes(&item), &plain, &ask) == E_OK)
            TRY(judge(home, invitation, &ask, failure));
        after = number; /* the device that asked is kept: its item may go */
    }
    if (!invitation->record.has_device && !still_good(invitation, relay))
        return fail(failure, E_CODE_EXPIRED, "nobody has used the code in time");
    return E_OK;
}

/* ---- the older device: certifying ---- */

/* Charter, successions and post as this home's own certificate has them. */
static enum error add_own_chain(const struct home *home, struct buf *statements, size_t *count,
                                struct failure *failure) {
    char path[INVITE_PATH_SIZE];
    AUTO_BUF bytes = {0};
    struct dossier dossier;
    struct chain own;
    TRY(files_join(home->path, "identity", path, sizeof path, failure));
    TRY(files_read(path, IDENTITY_MAX, &bytes, failure));
    enum error error = dossier_decode(buf_bytes(&bytes), &dossier);
    if (error == E_OK) error = chain_read(&dossier, &own);
    if (error == E_OK && (!own.charter_stamped.p || !own.post_stamped.p)) error = E_MISSING_FIELD;
    if (error == E_OK) error = chain_append_origin(&own, statements, count);
    if (error == E_OK) error = chain_append(LEAF_POST, own.post_stamped, statements);
    return error == E_OK ? E_OK : fail(failure, error, "%s", path);
}

static enum error add_device(const struct home *home, const struct secret *post_key,
                             const struct keptinvitation *record, struct instant now, struct buf *statements) {
    struct device device = {.post = bytes_text(home->post), .role = record->role};
    struct countersign countersign = {.created = now};
    memcpy(device.device, record->device, KEY_SIZE);
    memcpy(device.transport, record->transport, KEY_SIZE);
    memcpy(device.issuer, post_key->p + KEY_SIZE, KEY_SIZE);
    device.not_before.ms = now.ms - DEVICE_EARLY_MS; /* as init does: for a relay whose clock is behind */
    device.not_after.ms = device.not_before.ms + DEVICE_VALIDITY_MAX_MS - DEVICE_EARLY_MS;
    memcpy(countersign.signer, home->device, KEY_SIZE);
    TRY(chain_sign(LEAF_DEVICE, LABEL_DEVICE, &device_object, &device, post_key, statements, countersign.certificate));
    return chain_sign(LEAF_COUNTERSIGN, LABEL_COUNTERSIGN, &countersign_object, &countersign, &home->keys.device,
                      statements, NULL);
}

/* The certificate, made once and kept before anybody else sees it: the directory takes one for a key, no second. */
static enum error certificate(struct home *home, const struct relay *relay, const struct secret *post_key,
                              struct invitation *invitation, struct failure *failure) {
    AUTO_BUF statements = {0}, dossier = {0};
    if (invitation->record.has_certificate) return E_OK;
    size_t count = 3; /* post, device, countersignature; and what leads to them */
    TRY(add_own_chain(home, &statements, &count, failure));
    enum error error = add_device(home, post_key, &invitation->record, relay_now(relay), &statements);
    if (error == E_OK) {
        dossier_encode(&(struct dossier){.post = bytes_text(home->post), .statements = list_of(&statements, count)},
                       &dossier);
        error = buf_error(&dossier);
    }
    invitation->record.has_certificate = error == E_OK;
    invitation->record.certificate = buf_bytes(&dossier);
    if (error == E_OK) error = save(home, invitation);
    return error == E_OK ? E_OK : fail(failure, error, "the certificate of the new device");
}

static enum error declare(struct home *home, struct relay *relay, const struct invitation *invitation,
                          struct failure *failure) {
    struct dossier dossier;
    struct dirstatement statement;
    AUTO_BUF statements = {0};
    size_t count = 0;
    enum error error = dossier_decode(invitation->record.certificate, &dossier);
    if (error != E_OK) return fail(failure, E_CORRUPT, "the certificate of the new device");
    while (dirstatement_next(&dossier.statements, &statement)) {
        if (statement.kind != LEAF_DEVICE && statement.kind != LEAF_COUNTERSIGN) continue;
        dirstatement_encode(&statement, &statements);
        count++;
    }
    TRY(buf_error(&statements));
    return sisters_declare(home, relay, list_of(&statements, count), failure);
}

static enum error give(struct home *home, struct relay *relay, struct invitation *invitation, struct failure *failure) {
    AUTO_INVITE_KEYS keys = {0};
    AUTO_BUF card = {0}, item = {0};
    card_format(&home->card, &card);
    enum error error = buf_error(&card);
    if (error == E_OK) error = invite_derive(invitation->record.secret, &keys);
    struct linkgive value = {.card = buf_bytes(&card), .certificate = invitation->record.certificate};
    if (error == E_OK) error = invite_seal(&keys.key_to_new, &linkgive_object, &value, &item);
    if (error == E_OK && item.n > BOX_ITEM_MAX) error = E_TOO_LARGE;
    if (error != E_OK) return fail(failure, error, "what the new device needs");
    return invite_put(relay, keys.box_to_new, buf_bytes(&item), failure);
}

static enum error finish(struct home *home, struct invitation *invitation) {
    const struct keptinvitation *record = &invitation->record;
    if (record->has_name) TRY(archive_set(home->archive, TABLE_META, name_key(record->device), record->name));
    return archive_delete(home->archive, TABLE_META, invitation_key());
}

enum error invite_certify(struct home *home, struct relay *relay, const struct secret *post_key,
                          struct invitation *invitation, struct failure *failure) {
    TRY(still_kept(home, invitation, failure));
    TRY(certificate(home, relay, post_key, invitation, failure));
    FAULT("invite.certified");
    TRY(declare(home, relay, invitation, failure));
    FAULT("invite.declared");
    TRY(parcel_greet(home, relay, invitation->record.prekey, failure)); /* first: then it lies there when she joins */
    FAULT("invite.greeted");
    TRY(give(home, relay, invitation, failure));
    FAULT("invite.given");
    enum error error = finish(home, invitation);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}
