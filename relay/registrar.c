/* registrar.c - orders made, signed, joined and taken apart. */
#include "registrar.h"

#include <sodium.h>

#include "joint.h"
#include "sign.h"
#include "stamp.h"

/* ---- the charter ---- */

static enum error open_charter(struct bytes statement, struct bytes party, struct registrar_charter *ret) {
    struct registrar_charter opened = {.statement = statement};
    struct bytes payload;
    TRY(stamp_peek(statement, &payload));
    TRY(charter_decode(payload, &opened.charter));
    if (!sign_key_valid(opened.charter.authority)) return E_BAD_KEY;
    TRY(stamp_verify(LABEL_CHARTER, opened.charter.authority, statement, NULL));
    if (!text_is_party(opened.charter.party)) return E_BAD_TEXT;
    if (!bytes_equal(opened.charter.party, party)) return E_MISMATCH;
    stamp_hash(payload, opened.hash);
    directory_charter_digest(payload, opened.fingerprint);
    *ret = opened;
    return E_OK;
}

enum error registrar_open_charter(struct bytes file, struct registrar_charter *ret) {
    struct dossier dossier;
    struct dirstatement statement;
    TRY(dossier_decode(file, &dossier));
    struct list statements = dossier.statements;
    if (statements.count != 1 || !dirstatement_next(&statements, &statement)) return E_MALFORMED;
    if (statement.kind != LEAF_CHARTER) return E_MALFORMED;
    return open_charter(statement.statement, dossier.post, ret);
}

/* ---- order files ---- */

static enum error put_items(const struct registrar_charter *charter, enum leaf_kind kind, struct bytes joint,
                            struct buf *items, size_t *count) {
    *count = 0;
    if (charter) {
        dirstatement_encode(&(struct dirstatement){.kind = LEAF_CHARTER, .statement = charter->statement}, items);
        ++*count;
    }
    dirstatement_encode(&(struct dirstatement){.kind = (uint64_t)kind, .statement = joint}, items);
    ++*count;
    return buf_error(items);
}

static enum error put_file(struct bytes party, const struct registrar_charter *charter, enum leaf_kind kind,
                           struct bytes joint, struct buf *ret) {
    AUTO_BUF items = {0};
    size_t count;
    TRY(put_items(charter, kind, joint, &items, &count));
    dossier_encode(&(struct dossier){.suite = SUITE, .post = party, .statements = list_of(&items, count)}, ret);
    return buf_error(ret);
}

/* Opened again before it is given away: what no reader of the directory could read, nobody should sign. */
static enum error begin(struct bytes party, const struct registrar_charter *charter, enum leaf_kind kind,
                        struct bytes payload, struct buf *ret) {
    AUTO_BUF joint = {0};
    AUTO_BUF file = {0};
    struct registrar_order again;
    TRY(joint_begin(payload, &joint));
    TRY(put_file(party, charter, kind, buf_bytes(&joint), &file));
    TRY(registrar_open(buf_bytes(&file), &again));
    buf_add_bytes(ret, buf_bytes(&file));
    return buf_error(ret);
}

enum error registrar_begin(const struct admission *admission, const struct registrar_charter *charter,
                           struct buf *ret) {
    struct admission whole = *admission;
    AUTO_BUF payload = {0};
    if (!text_is_party(whole.party) || whole.reason.n > SUBJECT_MAX || whole.name.n > NAME_MAX_SIZE) return E_BAD_TEXT;
    whole.suite = SUITE;
    whole.has_charter = charter != NULL;
    if (charter) memcpy(whole.charter, charter->hash, HASH_SIZE);
    admission_encode(&whole, &payload);
    TRY(buf_error(&payload));
    return begin(whole.party, charter, LEAF_ADMISSION, buf_bytes(&payload), ret);
}

enum error registrar_begin_notice(const struct registrar_charter *charter, const char *reason, struct instant created,
                                  struct buf *ret) {
    const struct charter *key = &charter->charter;
    struct notice notice = {.suite = SUITE,
                            .party = key->party,
                            .created = created,
                            .has_reason = reason != NULL,
                            .reason = bytes_text(reason),
                            .has_recovery = key->has_recovery};
    AUTO_BUF payload = {0};
    if (notice.reason.n > SUBJECT_MAX) return E_BAD_TEXT;
    memcpy(notice.authority, key->authority, KEY_SIZE);
    memcpy(notice.next, key->next, HASH_SIZE);
    if (key->has_recovery) memcpy(notice.recovery, key->recovery, KEY_SIZE);
    notice_encode(&notice, &payload);
    TRY(buf_error(&payload));
    return begin(key->party, charter, LEAF_NOTICE, buf_bytes(&payload), ret);
}

enum error registrar_begin_relay(const struct relaychange *change, struct buf *ret) {
    struct relaychange whole = *change;
    AUTO_BUF payload = {0};
    whole.suite = SUITE;
    if (whole.reason.n > SUBJECT_MAX) return E_BAD_TEXT;
    relaychange_encode(&whole, &payload);
    TRY(buf_error(&payload));
    if (payload.n > CERTIFICATE_MAX) return E_OUT_OF_RANGE;
    return begin(bytes_text(REGISTRAR_RELAY), NULL, LEAF_RELAY, buf_bytes(&payload), ret);
}

static enum error open_relay(struct bytes payload, struct registrar_order *order) {
    TRY(relaychange_decode(payload, &order->relay));
    if (!bytes_are(order->party, REGISTRAR_RELAY) || order->has_charter) return E_MISMATCH;
    struct list addresses = order->relay.addresses;
    struct bytes address;
    if (addresses.count == 0) return E_MISSING_FIELD;
    while (list_next_bytes(&addresses, &address))
        if (!card_address_valid(address)) return E_BAD_TEXT;
    return card_curve_valid(order->relay.curve) ? E_OK : E_BAD_KEY;
}

static enum error open_admission(struct bytes payload, struct registrar_order *order) {
    TRY(admission_decode(payload, &order->admission));
    const struct admission *admission = &order->admission;
    if (!bytes_equal(admission->party, order->party)) return E_MISMATCH;
    if (admission->action == ACTION_NOMINATE && (!admission->has_name || !admission->has_kind)) return E_MISSING_FIELD;
    if (admission->action != ACTION_ADMIT) return admission->has_charter || order->has_charter ? E_MALFORMED : E_OK;
    if (!admission->has_charter || !order->has_charter) return E_MISSING_FIELD;
    return memcmp(admission->charter, order->charter.hash, HASH_SIZE) == 0 ? E_OK : E_MISMATCH;
}

static enum error open_notice(struct bytes payload, struct registrar_order *order) {
    TRY(notice_decode(payload, &order->notice));
    const struct notice *notice = &order->notice;
    const struct charter *charter = &order->charter.charter;
    if (!order->has_charter) return E_MISSING_FIELD;
    bool same = bytes_equal(notice->party, order->party) && notice->has_recovery == charter->has_recovery &&
                memcmp(notice->authority, charter->authority, KEY_SIZE) == 0 &&
                memcmp(notice->next, charter->next, HASH_SIZE) == 0 &&
                memcmp(notice->recovery, charter->recovery, KEY_SIZE) == 0;
    return same ? E_OK : E_MISMATCH;
}

static enum label label_of(enum leaf_kind kind) {
    return kind == LEAF_RELAY ? LABEL_RELAY : kind == LEAF_NOTICE ? LABEL_NOTICE : LABEL_ADMISSION;
}

/* Each signer's own signature holds. */
static enum error open_signers(struct registrar_order *order) {
    struct joint joint;
    struct signer signer;
    TRY(joint_decode(order->joint, &joint));
    while (signer_next(&joint.signers, &signer)) {
        if (!sign_key_valid(signer.key)) return E_BAD_KEY;
        memcpy(order->signers[order->signer_count++], signer.key, KEY_SIZE);
    }
    if (order->signer_count == 0) return E_OK;
    const uint8_t(*keys)[KEY_SIZE] = (const uint8_t(*)[KEY_SIZE])order->signers;
    return joint_verify(label_of(order->kind), keys, order->signer_count, 1, order->joint, NULL);
}

static enum error take_statements(struct list statements, struct registrar_order *order) {
    struct dirstatement statement;
    if (statements.count < 1 || statements.count > 2 || !dirstatement_next(&statements, &statement)) return E_MALFORMED;
    if (statement.kind == LEAF_CHARTER) {
        TRY(open_charter(statement.statement, order->party, &order->charter));
        order->has_charter = true;
        if (!dirstatement_next(&statements, &statement)) return E_MALFORMED;
    }
    if (statements.count != 0) return E_MALFORMED;
    bool known = statement.kind == LEAF_ADMISSION || statement.kind == LEAF_NOTICE || statement.kind == LEAF_RELAY;
    if (!known) return E_MALFORMED;
    order->kind = (enum leaf_kind)statement.kind;
    order->joint = statement.statement;
    return E_OK;
}

enum error registrar_open(struct bytes file, struct registrar_order *ret) {
    struct registrar_order order = {0};
    struct dossier dossier;
    struct bytes payload;
    TRY(dossier_decode(file, &dossier));
    order.party = dossier.post;
    if (!text_is_party(order.party)) return E_BAD_TEXT;
    if (dossier.has_post_key || dossier.has_revoker) return E_MALFORMED;
    TRY(take_statements(dossier.statements, &order));
    TRY(joint_peek(order.joint, &payload));
    switch (order.kind) {
    case LEAF_NOTICE: TRY(open_notice(payload, &order)); break;
    case LEAF_RELAY: TRY(open_relay(payload, &order)); break;
    default: TRY(open_admission(payload, &order)); break;
    }
    TRY(open_signers(&order));
    *ret = order;
    return E_OK;
}

static enum error put_again(const struct registrar_order *order, struct bytes joint, struct buf *ret) {
    return put_file(order->party, order->has_charter ? &order->charter : NULL, order->kind, joint, ret);
}

enum error registrar_sign(struct bytes file, const uint8_t seed[static KEY_SIZE], struct buf *ret) {
    struct registrar_order order;
    uint8_t public[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    AUTO_BUF joint = {0};
    TRY(registrar_open(file, &order));
    crypto_sign_seed_keypair(public, secret, seed);
    enum error error = joint_sign(label_of(order.kind), secret, order.joint, &joint);
    sodium_memzero(secret, sizeof secret);
    TRY(error);
    return put_again(&order, buf_bytes(&joint), ret);
}

enum error registrar_combine(struct bytes a, struct bytes b, struct buf *ret) {
    struct registrar_order one, other;
    AUTO_BUF joint = {0};
    TRY(registrar_open(a, &one));
    TRY(registrar_open(b, &other));
    bool same = one.kind == other.kind && one.has_charter == other.has_charter &&
                bytes_equal(one.charter.statement, other.charter.statement);
    if (!same) return E_MISMATCH;
    TRY(joint_merge(one.joint, other.joint, &joint));
    return put_again(&one, buf_bytes(&joint), ret);
}

enum error registrar_check(const struct registrar_order *order, const struct card *card) {
    return joint_verify(label_of(order->kind), card->registrars, card->registrar_count, card->threshold, order->joint,
                        NULL);
}

enum error registrar_statements(const struct registrar_order *order, struct buf *ret_items, size_t *ret_count) {
    const struct registrar_charter *charter =
        order->kind == LEAF_ADMISSION && order->has_charter ? &order->charter : NULL;
    return put_items(charter, order->kind, order->joint, ret_items, ret_count);
}

void registrar_public(const uint8_t seed[static KEY_SIZE], uint8_t ret[static KEY_SIZE]) {
    uint8_t secret[SIGN_SECRET_SIZE];
    crypto_sign_seed_keypair(ret, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

bool registrar_is_of(const struct card *card, const uint8_t seed[static KEY_SIZE]) {
    uint8_t key[KEY_SIZE];
    registrar_public(seed, key);
    for (size_t i = 0; i < card->registrar_count; i++)
        if (memcmp(card->registrars[i], key, KEY_SIZE) == 0) return true;
    return false;
}
