/* chain.c - a home's own statements, read, checked and made. */
#include "chain.h"

#include "sign.h"
#include "stamp.h"
#include "text.h"

static enum error read_succession(struct bytes stamped, struct bytes payload, struct chain *chain) {
    struct succession succession;
    TRY(succession_decode(payload, &succession));
    if (succession.action == SUCCESSION_OBJECT) return E_MALFORMED;
    if (!succession.has_authority || !succession.has_next) return E_MISSING_FIELD;
    if (chain->succession_count == CHAIN_SUCCESSIONS_MAX) return E_OUT_OF_RANGE;
    chain->succession_stamped[chain->succession_count++] = stamped;
    memcpy(chain->authorities[chain->succession_count], succession.authority, KEY_SIZE);
    return E_OK;
}

static enum error read_charter(struct bytes stamped, struct bytes payload, struct chain *chain) {
    if (chain->charter_stamped.p) return E_MALFORMED;
    TRY(charter_decode(payload, &chain->charter));
    chain->charter_stamped = stamped;
    memcpy(chain->authorities[0], chain->charter.authority, KEY_SIZE);
    return E_OK;
}

static enum error read_one(const struct dirstatement *statement, struct chain *chain) {
    struct bytes payload;
    TRY(stamp_peek(statement->statement, &payload));
    switch (statement->kind) {
    case LEAF_CHARTER: return read_charter(statement->statement, payload, chain);
    case LEAF_SUCCESSION: return read_succession(statement->statement, payload, chain);
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

const uint8_t *chain_authority(const struct chain *chain) { return chain->authorities[chain->succession_count]; }

/* What stands after the charter and the successions so far. */
struct standing {
    struct bytes party;
    uint8_t authority[KEY_SIZE], next[HASH_SIZE], recovery[KEY_SIZE];
    bool has_recovery;
};

static bool may_succeed(const struct succession *succession, const struct standing *standing) {
    uint8_t digest[HASH_SIZE];
    switch ((enum succession_action)succession->action) {
    case SUCCESSION_RENEW:
        label_digest(LABEL_NEXT_KEY, bytes_of(succession->authority, KEY_SIZE), digest);
        return memcmp(digest, standing->next, HASH_SIZE) == 0 && same_key(succession->signer, succession->authority);
    case SUCCESSION_RECOVER: return standing->has_recovery && same_key(succession->signer, standing->recovery);
    case SUCCESSION_TAKE: return same_key(succession->signer, succession->authority);
    case SUCCESSION_OBJECT: break;
    }
    return false;
}

static enum error check_succession(struct bytes stamped, struct standing *standing) {
    struct bytes payload;
    struct succession succession;
    TRY(stamp_peek(stamped, &payload));
    TRY(succession_decode(payload, &succession));
    if (!bytes_equal(succession.party, standing->party) || !may_succeed(&succession, standing))
        return E_FOREIGN_CERTIFICATE;
    if (!sign_key_valid(succession.authority)) return E_BAD_KEY;
    TRY(stamp_verify(LABEL_SUCCESSION, succession.signer, stamped, NULL));
    memcpy(standing->authority, succession.authority, KEY_SIZE);
    memcpy(standing->next, succession.next, HASH_SIZE);
    /* After a notice the registrars have said which recovery key there is from now on; the chain does not know. */
    if (succession.action == SUCCESSION_TAKE) standing->has_recovery = false;
    if (succession.has_recovery) standing->has_recovery = true, memcpy(standing->recovery, succession.recovery, KEY_SIZE);
    return E_OK;
}

static enum error check_successions(const struct chain *chain) {
    const struct charter *charter = &chain->charter;
    struct standing standing = {.party = charter->party, .has_recovery = charter->has_recovery};
    memcpy(standing.authority, charter->authority, KEY_SIZE);
    memcpy(standing.next, charter->next, HASH_SIZE);
    memcpy(standing.recovery, charter->recovery, KEY_SIZE);
    for (size_t i = 0; i < chain->succession_count; i++) TRY(check_succession(chain->succession_stamped[i], &standing));
    return E_OK;
}

/* One of the keys that the party has had. */
static bool is_authority(const struct chain *chain, const uint8_t key[static KEY_SIZE]) {
    for (size_t i = 0; i <= chain->succession_count; i++)
        if (same_key(chain->authorities[i], key)) return true;
    return false;
}

enum error chain_check_charter(const struct chain *chain) {
    if (!chain->charter_stamped.p) return E_MISSING_FIELD;
    if (!text_is_party(chain->charter.party)) return E_BAD_TEXT;
    if (!sign_key_valid(chain->charter.authority)) return E_BAD_KEY;
    TRY(stamp_verify(LABEL_CHARTER, chain->charter.authority, chain->charter_stamped, NULL));
    return check_successions(chain);
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
    const uint8_t *authority = chain_authority(chain);
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

enum error chain_check_further(const struct chain *chain, struct bytes post) {
    const struct device *device = &chain->device;
    if (!chain->charter_stamped.p || !chain->post_stamped.p || !chain->device_stamped.p ||
        !chain->countersign_stamped.p)
        return E_MISSING_FIELD;
    bool issued = same_key(device->issuer, chain->post.key) || is_authority(chain, device->issuer) ||
                  same_key(device->issuer, device->device);
    if (!bytes_equal(chain->post.post, post) || !bytes_equal(text_party_of(post), chain->charter.party) || !issued ||
        !is_authority(chain, chain->post.authority) ||
        memcmp(chain->countersign.certificate, chain->certificate, HASH_SIZE) != 0)
        return E_FOREIGN_CERTIFICATE;
    TRY(chain_check_charter(chain));
    TRY(stamp_verify(LABEL_POST, chain->post.authority, chain->post_stamped, NULL));
    TRY(stamp_verify(LABEL_COUNTERSIGN, chain->countersign.signer, chain->countersign_stamped, NULL));
    return chain_check_device(chain, post, device->issuer);
}

enum error chain_append(enum leaf_kind kind, struct bytes stamped, struct buf *statements) {
    dirstatement_encode(&(struct dirstatement){.kind = kind, .statement = stamped}, statements);
    return buf_error(statements);
}

enum error chain_append_origin(const struct chain *chain, struct buf *statements, size_t *count) {
    TRY(chain_append(LEAF_CHARTER, chain->charter_stamped, statements));
    for (size_t i = 0; i < chain->succession_count; i++)
        TRY(chain_append(LEAF_SUCCESSION, chain->succession_stamped[i], statements));
    *count += 1 + chain->succession_count;
    return E_OK;
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
