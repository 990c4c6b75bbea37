/* registrar.c - admissions made and signed. */
#include "registrar.h"

#include <sodium.h>

#include "directory.h"
#include "joint.h"
#include "sign.h"
#include "stamp.h"

static enum error only_statement(const struct dossier *dossier, struct bytes *ret) {
    struct list statements = dossier->statements;
    struct dirstatement statement;
    if (statements.count != 1 || !dirstatement_next(&statements, &statement)) return E_MALFORMED;
    if (statement.kind != LEAF_CHARTER) return E_MALFORMED;
    *ret = statement.statement;
    return E_OK;
}

enum error registrar_open_charter(struct bytes file, struct registrar_charter *ret) {
    struct registrar_charter opened;
    struct dossier dossier;
    struct bytes payload;
    TRY(dossier_decode(file, &dossier));
    TRY(only_statement(&dossier, &opened.statement));
    TRY(stamp_peek(opened.statement, &payload));
    TRY(charter_decode(payload, &opened.charter));
    if (!sign_key_valid(opened.charter.authority)) return E_BAD_KEY;
    TRY(stamp_verify(LABEL_CHARTER, opened.charter.authority, opened.statement, NULL));
    if (!text_is_party(opened.charter.party)) return E_BAD_TEXT;
    if (!bytes_equal(opened.charter.party, dossier.post)) return E_MISMATCH;
    stamp_hash(payload, opened.hash);
    directory_charter_digest(payload, opened.fingerprint);
    *ret = opened;
    return E_OK;
}

enum error registrar_sign(const struct registrar_order *order, const uint8_t seed[static KEY_SIZE], struct buf *ret) {
    uint8_t secret[SIGN_SECRET_SIZE];
    struct admission admission = {.suite = SUITE,
                                  .party = order->party,
                                  .action = order->action,
                                  .created = order->created,
                                  .has_reason = order->reason != NULL,
                                  .reason = bytes_text(order->reason),
                                  .has_charter = order->charter != NULL};
    AUTO_BUF payload = {0};
    if (!text_is_party(order->party) || admission.reason.n > SUBJECT_MAX) return E_BAD_TEXT;
    if (order->charter) memcpy(admission.charter, order->charter, HASH_SIZE);
    uint8_t public[KEY_SIZE];
    crypto_sign_seed_keypair(public, secret, seed);
    admission_encode(&admission, &payload);
    enum error error = buf_error(&payload);
    /* A reason that is not UTF-8 would be refused by every reader of the directory: decode what we made. */
    struct admission again;
    if (error == E_OK) error = admission_decode(buf_bytes(&payload), &again);
    AUTO_BUF joint = {0};
    if (error == E_OK) error = joint_begin(buf_bytes(&payload), &joint);
    if (error == E_OK) error = joint_sign(LABEL_ADMISSION, secret, buf_bytes(&joint), ret);
    sodium_memzero(secret, sizeof secret);
    return error;
}

bool registrar_is_of(const struct card *card, const uint8_t seed[static KEY_SIZE]) {
    uint8_t key[KEY_SIZE], secret[SIGN_SECRET_SIZE];
    crypto_sign_seed_keypair(key, secret, seed);
    sodium_memzero(secret, sizeof secret);
    for (size_t i = 0; i < card->registrar_count; i++)
        if (memcmp(card->registrars[i], key, KEY_SIZE) == 0) return true;
    return false;
}
