/* cosigner.c - a witness's key, state and signature. */
#include "cosigner.h"

#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "fault.h"
#include "files.h"
#include "fraud.h"
#include "home_files.h"
#include "leaves.h"
#include "moment.h"
#include "proofs.h"
#include "stamp.h"
#include "witness.h"

#include "codec_declare.h"
#include "cosigner.def"
#include "codec_undef.h"

#include "codec_table.h"
#include "cosigner.def"
#include "codec_undef.h"

enum { VKEY_MAX = 512, STATE_MAX = 16 * 1024 };

/* ---- the folder ---- */

static enum error write_vkey(const char *path, const struct note_key *key, struct failure *failure) {
    char file[HOME_PATH_SIZE];
    AUTO_BUF text = {0};
    TRY(files_join(path, "witness.vkey", file, sizeof file, failure));
    note_key_format(key, &text);
    buf_add(&text, "\n", 1);
    if (text.failed) return fail(failure, E_NO_MEMORY, "%s", file);
    return files_write(file, 0644, buf_bytes(&text), failure);
}

enum error cosigner_init(const char *path, const char *name, const char *passphrase, struct note_key *ret,
                         struct failure *failure) {
    char file[HOME_PATH_SIZE];
    uint8_t public[KEY_SIZE];
    struct keystore keys = {0};
    struct note_key key;
    TRY(files_join(path, "witness.key", file, sizeof file, failure));
    if (files_exists(file)) return fail(failure, E_HOME_EXISTS, "%s", file);
    enum error error = secret_new(SIGN_SECRET_SIZE, &keys.witness);
    if (error == E_OK && crypto_sign_keypair(public, keys.witness.p) != 0) error = E_INTERNAL;
    if (error == E_OK) error = note_key_make(bytes_text(name), NOTE_COSIGNATURE, public, &key);
    if (error != E_OK) fail(failure, error, "the witness's name %.80s", name);
    if (error == E_OK) error = files_make_folder(path, failure);
    /* The public file first: the key's file is what makes the folder a witness's. */
    if (error == E_OK) error = write_vkey(path, &key, failure);
    if (error == E_OK) error = keystore_create(file, &keys, passphrase, failure);
    keystore_free(&keys);
    if (error == E_OK) *ret = key;
    return error;
}

enum error cosigner_key(const char *path, struct note_key *ret, struct failure *failure) {
    char file[HOME_PATH_SIZE];
    AUTO_BUF text = {0};
    TRY(files_join(path, "witness.vkey", file, sizeof file, failure));
    if (!files_exists(file)) {
        fail(failure, E_NO_HOME, "%s is no witness's folder", path);
        return fail_hint(failure, "run `pouch witness init NAME`, or name another folder with --home");
    }
    TRY(files_read(file, VKEY_MAX, &text, failure));
    if (text.n && text.p[text.n - 1] == '\n') text.n--;
    enum error error = note_key_parse(buf_bytes(&text), ret);
    if (error == E_OK && ret->algorithm != NOTE_COSIGNATURE) error = E_BAD_KEY;
    return error == E_OK ? E_OK : fail(failure, E_CORRUPT, "%s: %s", file, error_text(error));
}

enum error cosigner_open(const char *path, const char *passphrase, struct cosigner *ret, struct failure *failure) {
    AUTO_COSIGNER cosigner = {0};
    char file[HOME_PATH_SIZE];
    int n = snprintf(cosigner.path, sizeof cosigner.path, "%s", path);
    if (n < 0 || (size_t)n >= sizeof cosigner.path)
        return fail(failure, E_OUT_OF_RANGE, "the folder's path is too long");
    TRY(cosigner_key(path, &cosigner.key, failure));
    TRY(files_join(path, "witness.key", file, sizeof file, failure));
    TRY(keystore_open(file, passphrase, &cosigner.keys, failure));
    if (!cosigner.keys.witness.p || memcmp(cosigner.keys.witness.p + KEY_SIZE, cosigner.key.key, KEY_SIZE) != 0)
        return fail(failure, E_CORRUPT, "%s holds another key than the witness.vkey beside it", file);
    *ret = cosigner;
    cosigner = (struct cosigner){0};
    return E_OK;
}

void cosigner_close(struct cosigner *cosigner) { keystore_free(&cosigner->keys); }

/* ---- the state ---- */

/* Name and key: a relay that goes on after a declared loss signs another log under another key, and its card says
 * so. */
static enum error state_path(const char *path, const struct note_key *log, char *ret, size_t size,
                             struct failure *failure) {
    uint8_t hash[HASH_SIZE];
    char hex[2 * 4 + 1], name[16];
    AUTO_BUF both = {0};
    buf_add_bytes(&both, bytes_text(log->name));
    buf_add(&both, log->key, KEY_SIZE);
    if (both.failed) return fail(failure, E_NO_MEMORY, "%s", path);
    stamp_hash(buf_bytes(&both), hash);
    text_hex(hash, 4, hex);
    (void)snprintf(name, sizeof name, "log-%s", hex);
    return files_join(path, name, ret, size, failure);
}

struct memory { /* the state with the bytes that it views */
    struct cosigned record;
    struct buf bytes;
};
static void memory_free(struct memory *memory) { buf_free(&memory->bytes); }
#define AUTO_MEMORY __attribute__((cleanup(memory_free))) struct memory

static enum error read_state(const char *file, struct memory *memory, struct failure *failure) {
    TRY(files_read(file, STATE_MAX, &memory->bytes, failure));
    return cosigned_decode(buf_bytes(&memory->bytes), &memory->record) == E_OK
               ? E_OK
               : fail(failure, E_CORRUPT, "%s: without it this witness could sign what contradicts its own word", file);
}

static enum error load_state(const char *path, const struct note_key *log, struct memory *memory,
                             struct failure *failure) {
    char file[HOME_PATH_SIZE];
    TRY(state_path(path, log, file, sizeof file, failure));
    if (!files_exists(file)) return E_OK; /* size 0 */
    TRY(read_state(file, memory, failure));
    return bytes_are(memory->record.origin, log->name) ? E_OK : fail(failure, E_CORRUPT, "%s is of another log", file);
}

static enum error save_state(const char *path, const struct note_key *log, const struct cosigned *record,
                             struct failure *failure) {
    char file[HOME_PATH_SIZE];
    AUTO_BUF bytes = {0};
    TRY(state_path(path, log, file, sizeof file, failure));
    cosigned_encode(record, &bytes);
    if (bytes.failed) return fail(failure, E_NO_MEMORY, "%s", file);
    return files_write(file, 0600, buf_bytes(&bytes), failure);
}

static void view_state(const struct cosigned *record, struct cosigner_state *ret) {
    struct cosigner_state state = {.size = record->size, .time = record->time};
    size_t n = record->origin.n < sizeof state.origin ? record->origin.n : sizeof state.origin - 1;
    if (n) memcpy(state.origin, record->origin.p, n);
    memcpy(state.root, record->root, HASH_SIZE);
    *ret = state;
}

enum error cosigner_states(const char *path, void (*each)(void *context, const struct cosigner_state *state),
                           void *context, struct failure *failure) {
    DIR *folder = opendir(path);
    if (!folder) return files_failure(failure, path);
    enum error error = E_OK;
    for (const struct dirent *entry; error == E_OK && (entry = readdir(folder));) {
        char file[HOME_PATH_SIZE];
        AUTO_MEMORY memory = {0};
        struct cosigner_state state;
        if (strncmp(entry->d_name, "log-", 4) != 0 || strlen(entry->d_name) != 12) continue;
        error = files_join(path, entry->d_name, file, sizeof file, failure);
        if (error == E_OK) error = read_state(file, &memory, failure);
        if (error != E_OK) break;
        view_state(&memory.record, &state);
        each(context, &state);
    }
    closedir(folder);
    return error;
}

/* ---- fraud ---- */

/* What was cosigned last and what is shown now cannot be of one log: is there a proof of it? */
static enum error prove(const struct cosigner *cosigner, const struct card *card, enum relay_log log,
                        struct relay *relay, const struct memory *memory, struct bytes note, enum error error,
                        struct failure *failure) {
    AUTO_BUF bare = {0}, hashes = {0}, proof = {0};
    char name[PROOF_NAME_SIZE];
    struct head head;
    if (memory->record.size == 0 || head_bare_log(card, log, note, &bare) != E_OK) return error;
    if (head_open_log(card, log, buf_bytes(&bare), &head) != E_OK) return error;
    if (head.size > memory->record.size && relay)
        (void)!leaves_of_log(relay, log, head.size, &hashes, NULL); /* too few prove nothing */
    if (fraud_make_heads(card, memory->record.note, buf_bytes(&bare), buf_bytes(&hashes), &proof) != E_OK) return error;
    TRY(proofs_write(cosigner->path, buf_bytes(&proof), name, failure));
    return fail(failure, E_FRAUD, "%.*s has signed two %s that contradict each other; proof: %s/%s",
                (int)memory->record.origin.n, (const char *)memory->record.origin.p,
                log == LOG_EVIDENCE ? "evidence logs" : "directories", cosigner->path, name);
}

/* ---- signing ---- */

static enum error is_named(const struct cosigner *cosigner, const struct card *card, struct failure *failure) {
    for (size_t i = 0; i < card->witness_count; i++)
        if (strcmp(card->witnesses[i].name, cosigner->key.name) == 0 &&
            memcmp(card->witnesses[i].key, cosigner->key.key, KEY_SIZE) == 0)
            return E_OK;
    return fail(failure, E_UNKNOWN_WITNESS, "%s does not stand in the card of %s", cosigner->key.name, card->name);
}

struct judgement {
    const struct cosigner *cosigner;
    const struct card *card;
    struct relay *relay;
    enum relay_log log;
    struct note_key log_key;
    struct witness_request request;
    struct memory memory;
    struct instant now;
    struct buf bare; /* the head with the log's line */
};

static enum error forked(enum relay_log log) { return log == LOG_EVIDENCE ? E_EVIDENCE_FORKED : E_DIRECTORY_FORKED; }

static enum error explain(const struct judgement *judgement, enum error error, struct failure *failure) {
    unsigned long long size = (unsigned long long)judgement->memory.record.size;
    switch (error) {
    case E_CONFLICT:
        fail(failure, error, "the request begins at %llu entries; this witness has cosigned %llu",
             (unsigned long long)judgement->request.old, size);
        return fail_hint(failure, "ask the relay's operator for a request that begins at %llu", size);
    case E_DIRECTORY_FORKED:
    case E_EVIDENCE_FORKED: return fail(failure, error, "another root at the %llu entries cosigned last", size);
    case E_BAD_PROOF:
        return fail(failure, error, "the head does not continue the %llu entries that were cosigned", size);
    default: return fail(failure, error, "the head of %s", judgement->log_key.name);
    }
}

static enum error judge(struct judgement *judgement, struct witness_verdict *ret, struct failure *failure) {
    const struct cosigned *record = &judgement->memory.record;
    struct witness_log log = {.key = judgement->log_key, .timed = true, .size = record->size};
    memcpy(log.root, record->root, HASH_SIZE);
    enum error error = witness_judge(&log, &judgement->request, judgement->now, ret);
    if (error == E_OK) return E_OK;
    if (error == E_DIRECTORY_FORKED) error = forked(judgement->log);
    (void)explain(judgement, error, failure);
    if (error != forked(judgement->log) && error != E_BAD_PROOF) return error;
    return prove(judgement->cosigner, judgement->card, judgement->log, judgement->relay, &judgement->memory,
                 judgement->request.bytes, error, failure);
}

/* Under the lock: judged, written down. Only what this returns E_OK for may be signed. */
static enum error remember(struct judgement *judgement, struct cosigner_state *ret, struct failure *failure) {
    const char *origin = judgement->log_key.name;
    struct witness_verdict verdict;
    TRY(load_state(judgement->cosigner->path, &judgement->log_key, &judgement->memory, failure));
    TRY(judge(judgement, &verdict, failure));
    enum error error = head_bare_log(judgement->card, judgement->log, judgement->request.bytes, &judgement->bare);
    if (error != E_OK) return fail(failure, error, "the head of %s", origin);
    if (verdict.size == 0) return fail(failure, E_UNKNOWN_REQUEST, "the log %s is still empty", origin);
    struct cosigned record = {.origin = bytes_text(origin),
                              .size = verdict.size,
                              .note = buf_bytes(&judgement->bare),
                              .time = judgement->now};
    memcpy(record.root, verdict.root, HASH_SIZE);
    TRY(save_state(judgement->cosigner->path, &judgement->log_key, &record, failure));
    FAULT("witness.stored");
    view_state(&record, ret);
    return E_OK;
}

/* The head's first line tells; of which relay it is, is judged later. */
static enum error choose_log(struct judgement *judgement) {
    struct checkpoint checkpoint;
    TRY(head_key(judgement->card, LOG_EVIDENCE, &judgement->log_key));
    bool evidence = checkpoint_parse(judgement->request.note.text, &checkpoint) == E_OK &&
                    bytes_are(checkpoint.origin, judgement->log_key.name);
    judgement->log = evidence ? LOG_EVIDENCE : LOG_DIRECTORY;
    return head_key(judgement->card, judgement->log, &judgement->log_key);
}

static enum error sign(struct judgement *judgement, struct bytes request, struct buf *ret_note,
                       struct cosigner_state *ret, struct failure *failure) {
    const struct cosigner *cosigner = judgement->cosigner;
    int lock = -1;
    enum error error = witness_request_parse(request, &judgement->request);
    if (error == E_OK) error = choose_log(judgement);
    if (error != E_OK) return fail(failure, error, "the request to cosign");
    TRY(home_lock_open(cosigner->path, 0, &lock, failure));
    error = remember(judgement, ret, failure);
    close(lock);
    TRY(error);
    buf_add_bytes(ret_note, buf_bytes(&judgement->bare));
    note_sign(judgement->request.note.text, &cosigner->key, cosigner->keys.witness.p, judgement->now.ms / 1000,
              ret_note);
    return ret_note->failed ? fail(failure, E_NO_MEMORY, "the cosignature") : E_OK;
}

enum error cosigner_sign(const struct cosigner *cosigner, const struct card *card, struct relay *relay,
                         struct bytes request, struct buf *ret_note, struct cosigner_state *ret,
                         struct failure *failure) {
    AUTO_FREE(struct judgement) judgement = calloc(1, sizeof *judgement);
    if (!judgement) return fail(failure, E_NO_MEMORY, "the request to cosign");
    *judgement = (struct judgement){.cosigner = cosigner, .card = card, .relay = relay, .now = moment_now()};
    enum error error = is_named(cosigner, card, failure);
    if (error == E_OK) error = sign(judgement, request, ret_note, ret, failure);
    memory_free(&judgement->memory);
    buf_free(&judgement->bare);
    return error;
}

/* ---- over the link ---- */

/* Fewer entries than were cosigned: the relay's store has gone back, or another log is shown. */
static enum error gone_back(const struct memory *memory, enum relay_log log, struct failure *failure) {
    return fail(failure, forked(log), "the relay shows fewer than the %llu entries that this witness has cosigned",
                (unsigned long long)memory->record.size);
}

enum error cosigner_round(const struct cosigner *cosigner, const struct card *card, struct relay *relay,
                          enum relay_log log, struct cosigner_state *ret, struct failure *failure) {
    AUTO_MEMORY memory = {0};
    AUTO_ANSWER asked = {0}, given = {0};
    AUTO_BUF note = {0};
    struct note_key log_key;
    struct addcheckpoint request;
    TRY(head_key(card, log, &log_key));
    TRY(load_state(cosigner->path, &log_key, &memory, failure));
    struct getcheckpoint ask = {.old = memory.record.size, .has_log = log != LOG_DIRECTORY, .log = log};
    enum error error = relay_call(relay, MESSAGE_GETCHECKPOINT, &ask, &asked, failure);
    if (error == E_OUT_OF_RANGE || (error == E_NO_HEAD && memory.record.size > 0))
        return gone_back(&memory, log, failure);
    TRY(error);
    error = addcheckpoint_decode(asked.body, &request);
    if (error != E_OK) return fail(failure, error, "the relay's request to cosign");
    TRY(cosigner_sign(cosigner, card, relay, request.request, &note, ret, failure));
    FAULT("witness.signed");
    return relay_call(relay, MESSAGE_COSIGN, &(struct cosign){.note = buf_bytes(&note)}, &given, failure);
}
