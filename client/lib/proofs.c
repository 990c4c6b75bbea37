/* proofs.c - keeps what proves a relay's fraud. */
#include "proofs.h"
#include "loss.h"

#include <stdio.h>

#include "evidence.h"
#include "evlog.h"
#include "files.h"
#include "fraud.h"
#include "home_files.h"
#include "kept.h"

/* The same proof has the same name, however often it is found. */
static void proof_name(struct bytes proof, char ret[static PROOF_NAME_SIZE]) {
    uint8_t hash[HASH_SIZE];
    char hex[2 * 4 + 1];
    stamp_hash(proof, hash);
    text_hex(hash, 4, hex);
    (void)snprintf(ret, PROOF_NAME_SIZE, "proofs/fraud-%s.proof", hex);
}

enum error proofs_write(const char *base, struct bytes proof, char ret_name[static PROOF_NAME_SIZE],
                        struct failure *failure) {
    char folder[HOME_PATH_SIZE], path[HOME_PATH_SIZE], name[PROOF_NAME_SIZE];
    proof_name(proof, name);
    TRY(files_join(base, "proofs", folder, sizeof folder, failure));
    TRY(files_join(base, name, path, sizeof path, failure));
    TRY(files_make_folder(folder, failure));
    if (!files_exists(path)) TRY(files_write(path, 0600, proof, failure));
    memcpy(ret_name, name, sizeof name);
    return E_OK;
}

/* What is proven is not covered by what is only suspected. */
static void breach(struct home *home, enum error error, const char *what) {
    if (home->breach.error != E_FRAUD) (void)fail(&home->breach, error, "%s", what);
}

static enum error alarm_once(struct home *home, struct bytes proof, const char *what, const char *name) {
    uint8_t hash[HASH_SIZE];
    bool known = false;
    stamp_hash(proof, hash);
    struct archive_key row = archive_key(hash, NULL, 0);
    TRY(archive_has(home->archive, TABLE_META, row, &known));
    if (known) return E_OK;
    TRY(archive_set(home->archive, TABLE_META, row, (struct bytes){0}));
    if (proof.n > MESSAGE_MAX) return kept_alarm(home->archive, "%s; proof: %s", what, name); /* the file has it */
    return kept_alarm_proof(home->archive, proof, "%s; proof: %s", what, name);
}

enum error proofs_accuse(struct home *home, struct bytes proof, const char *what) {
    char name[PROOF_NAME_SIZE];
    if (proofs_write(home->path, proof, name, NULL) != E_OK)
        (void)snprintf(name, sizeof name, "%s", "(file could not be written)");
    (void)fail(&home->breach, E_FRAUD, "%s; proof: %s/%s", what, home->path, name);
    return alarm_once(home, proof, what, name);
}

enum error proofs_suspect(struct home *home, enum error error, const char *text, ...) {
    char line[FAILURE_WHERE_SIZE];
    va_list args;
    va_start(args, text);
    (void)vsnprintf(line, sizeof line, text, args);
    va_end(args);
    breach(home, error, line);
    return kept_alarm(home->archive, "%s", line);
}

enum error proofs_suspect_once(struct home *home, enum error error, const char *text, ...) {
    char line[FAILURE_WHERE_SIZE];
    uint8_t hash[HASH_SIZE];
    bool known = false;
    va_list args;
    va_start(args, text);
    (void)vsnprintf(line, sizeof line, text, args);
    va_end(args);
    breach(home, error, line);
    stamp_hash(bytes_text(line), hash);
    TRY(archive_has(home->archive, TABLE_META, archive_key(hash, NULL, 0), &known));
    if (known) return E_OK;
    TRY(archive_set(home->archive, TABLE_META, archive_key(hash, NULL, 0), (struct bytes){0}));
    return kept_alarm(home->archive, "%s", line);
}

/* ---- receipts ---- */

static enum error contradicts(struct home *home, struct bytes receipt, struct buf *proof) {
    AUTO_BUF known = {0};
    struct evidence evidence;
    bool found = false;
    TRY(evidence_open(receipt, home->card.statement, &evidence));
    if (!evidence.has_entry) return E_NO_PROOF;
    TRY(archive_get(home->archive, TABLE_ENTRY, archive_key(evidence.entry.leg, NULL, evidence.entry.ordinal), &known,
                    &found));
    return found ? fraud_make_entries(&home->card, buf_bytes(&known), receipt, proof) : E_NO_PROOF;
}

static enum error accuse_entries(struct home *home, struct bytes receipt) {
    AUTO_BUF proof = {0};
    if (contradicts(home, receipt, &proof) != E_OK) return E_OK;
    return proofs_accuse(home, buf_bytes(&proof), "the relay has signed two entries for one place of a leg");
}

static enum error accuse_head(struct home *home, struct bytes bytes) {
    struct receipt receipt;
    bool proven;
    if (receipt_decode(bytes, &receipt) != E_OK || !receipt.has_checkpoint) return E_OK;
    return evlog_accuse(home, receipt.checkpoint, &proven);
}

enum error proofs_contradictions(struct home *home, struct bytes receipt) {
    TRY(accuse_entries(home, receipt));
    return accuse_head(home, receipt);
}

enum error proofs_receipt(struct home *home, struct bytes receipt, enum error why, const char *text, ...) {
    char line[FAILURE_WHERE_SIZE];
    va_list args;
    va_start(args, text);
    (void)vsnprintf(line, sizeof line, text, args);
    va_end(args);
    TRY(proofs_contradictions(home, receipt));
    breach(home, why, line);
    return receipt.n > 0 ? kept_alarm_proof(home->archive, receipt, "%s", line) : kept_alarm(home->archive, "%s", line);
}

/* One answer's receipts. *ret_next: the ordinal to go on from; as it was: there are no more. */
static enum error compare_some(struct home *home, const struct tracked *tracked, uint64_t *ret_next) {
    struct list receipts = tracked->receipts;
    struct bytes receipt;
    while (list_next_bytes(&receipts, &receipt)) {
        struct evidence evidence;
        if (evidence_open(receipt, home->card.statement, &evidence) != E_OK || !evidence.has_entry) continue;
        if (evidence.entry.ordinal >= *ret_next) *ret_next = evidence.entry.ordinal + 1;
        TRY(proofs_contradictions(home, receipt));
    }
    return E_OK;
}

enum error proofs_compare_leg(struct home *home, struct relay *relay, const uint8_t leg[static HASH_SIZE]) {
    for (uint64_t next = 0, before = 1; next != before;) {
        AUTO_ANSWER answer = {0};
        struct tracked tracked;
        struct track ask = {.ordinal = before = next};
        memcpy(ask.leg, leg, HASH_SIZE);
        enum error error = relay_call(relay, MESSAGE_TRACK, &ask, &answer, NULL);
        if (error != E_OK) return answer.error != E_OK ? E_OK : error;
        if (tracked_decode(answer.body, &tracked) != E_OK) return E_OK;
        TRY(compare_some(home, &tracked, &next));
    }
    return E_OK;
}
