/* chain.c - a home's own statements, read, checked and made. */
#include "chain.h"

#include "sign.h"
#include "stamp.h"
#include "text.h"

static enum error read_one(const struct dirstatement *statement, struct chain *chain) {
    struct bytes payload;
    TRY(stamp_peek(statement->statement, &payload));
    switch (statement->kind) {
    case LEAF_CHARTER:
        if (chain->charter_stamped.p) return E_MALFORMED;
        chain->charter_stamped = statement->statement;
        return charter_decode(payload, &chain->charter);
    case LEAF_POST:
        if (chain->post_stamped.p) return E_MALFORMED;
        chain->post_stamped = statement->statement;
        return post_decode(payload, &chain->post);
    case LEAF_DEVICE:
        if (chain->device_stamped.p) return E_MALFORMED;
        chain->device_stamped = statement->statement;
        stamp_hash(payload, chain->certificate);
        return device_decode(payload, &chain->device);
    case LEAF_COUNTERSIGN:
        if (chain->countersign_stamped.p) return E_MALFORMED;
        chain->countersign_stamped = statement->statement;
        return countersign_decode(payload, &chain->countersign);
    default: return E_MALFORMED;
    }
}

enum error chain_read(const struct dossier *dossier, struct chain *ret) {
    struct chain chain = {0};
    struct list list = dossier->statements;
    struct dirstatement statement;
    while (dirstatement_next(&list, &statement)) TRY(read_one(&statement, &chain));
    *ret = chain;
    return E_OK;
}

static bool same_key(const uint8_t a[static KEY_SIZE], const uint8_t b[static KEY_SIZE]) {
    return memcmp(a, b, KEY_SIZE) == 0;
}

enum error chain_check_charter(const struct chain *chain) {
    if (!chain->charter_stamped.p) return E_MISSING_FIELD;
    if (!text_is_party(chain->charter.party)) return E_BAD_TEXT;
    if (!sign_key_valid(chain->charter.authority)) return E_BAD_KEY;
    return stamp_verify(LABEL_CHARTER, chain->charter.authority, chain->charter_stamped, NULL);
}

enum error chain_check_device(const struct chain *chain, struct bytes post, const uint8_t post_key[static KEY_SIZE]) {
    const struct device *device = &chain->device;
    if (!chain->device_stamped.p) return E_MISSING_FIELD;
    if (!bytes_equal(device->post, post) || !same_key(device->issuer, post_key)) return E_FOREIGN_CERTIFICATE;
    if (!sign_key_valid(device->device) || !sign_key_valid(post_key)) return E_BAD_KEY;
    if (device->not_after.ms <= device->not_before.ms ||
        device->not_after.ms - device->not_before.ms > DEVICE_VALIDITY_MAX_MS)
        return E_OUT_OF_RANGE;
    return stamp_verify(LABEL_DEVICE, post_key, chain->device_stamped, NULL);
}

enum error chain_check(const struct chain *chain, struct bytes post) {
    const uint8_t *authority = chain->charter.authority;
    if (!chain->charter_stamped.p || !chain->post_stamped.p || !chain->device_stamped.p ||
        !chain->countersign_stamped.p)
        return E_MISSING_FIELD;
    if (!bytes_equal(chain->post.post, post) || !bytes_equal(text_party_of(post), chain->charter.party) ||
        !same_key(chain->post.authority, authority) || !same_key(chain->countersign.signer, authority) ||
        memcmp(chain->countersign.certificate, chain->certificate, HASH_SIZE) != 0)
        return E_FOREIGN_CERTIFICATE;
    TRY(chain_check_charter(chain));
    TRY(stamp_verify(LABEL_POST, authority, chain->post_stamped, NULL));
    TRY(stamp_verify(LABEL_COUNTERSIGN, authority, chain->countersign_stamped, NULL));
    return chain_check_device(chain, post, chain->post.key);
}

enum error chain_append(enum leaf_kind kind, struct bytes stamped, struct buf *statements) {
    dirstatement_encode(&(struct dirstatement){.kind = kind, .statement = stamped}, statements);
    return buf_error(statements);
}

enum error chain_sign(enum leaf_kind kind, enum label label, const struct object *object, const void *value,
                      const struct secret *key, struct buf *statements, uint8_t *ret_hash) {
    AUTO_BUF payload = {0};
    AUTO_BUF stamped = {0};
    codec_encode(object, value, &payload);
    TRY(buf_error(&payload));
    TRY(stamp_sign_one(label, key->p, buf_bytes(&payload), &stamped));
    TRY(buf_error(&stamped));
    TRY(chain_append(kind, buf_bytes(&stamped), statements));
    if (ret_hash) stamp_hash(buf_bytes(&payload), ret_hash);
    return E_OK;
}
