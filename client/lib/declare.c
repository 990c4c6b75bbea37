/* declare.c - statements that carry their own authority, such as a revocation slip: sent from any computer, and the
 * relay's promise that they stand in the directory. */
#include <stdio.h>

#include "files.h"
#include "guest.h"
#include "joint.h"
#include "promise.h"
#include "promises.h"
#include "stamp.h"

enum { DOSSIER_FILE_MAX = 256 * 1024 };

/* A promise of something else is none. */
static bool names_all(const struct promise *promise, struct list statements) {
    struct dirstatement statement;
    while (dirstatement_next(&statements, &statement)) {
        struct bytes payload;
        bool joint = statement.kind == LEAF_ADMISSION || statement.kind == LEAF_NOTICE;
        enum error error =
            joint ? joint_peek(statement.statement, &payload) : stamp_peek(statement.statement, &payload);
        if (error != E_OK || !promise_names(promise, payload)) return false;
    }
    return true;
}

static enum error take_promise(const struct card *card, const struct dossier *dossier, struct bytes body,
                               struct buf *ret, struct client_promise *told, struct failure *failure) {
    struct done done;
    struct promise promise;
    TRY(done_decode(body, &done));
    if (!done.has_promise) return E_OK;
    enum error error = promise_open(done.promise, card->statement, &promise);
    if (error != E_OK) return fail(failure, error, "the relay's promise");
    if (!names_all(&promise, dossier->statements))
        return fail(failure, E_WITHHELD, "the relay has promised to record something else than what it was sent");
    buf_add_bytes(ret, done.promise);
    told->given = true;
    told->size = promise.size;
    told->time = promise.time;
    told->deadline = promise.deadline;
    return buf_error(ret);
}

static enum error declare(const struct card *card, const struct dossier *dossier, const struct client_options *options,
                          struct buf *promise, struct client_promise *told, struct failure *failure) {
    struct relay *relay = NULL;
    AUTO_ANSWER answer = {0};
    TRY(guest_connect(card, options, &relay, failure));
    enum error error =
        relay_call(relay, MESSAGE_DECLARE, &(struct declare){.statements = dossier->statements}, &answer, failure);
    relay_close(&relay);
    TRY(error);
    error = take_promise(card, dossier, answer.body, promise, told, failure);
    return error == E_OK || (failure && failure->error == error) ? error : fail(failure, error, "the relay's answer");
}

static bool same_relay(const struct card *a, const struct card *b) {
    return memcmp(a->statement, b->statement, KEY_SIZE) == 0 && memcmp(a->log, b->log, KEY_SIZE) == 0;
}

enum error client_declare(struct home *home, const char *card_path, const char *dossier_path,
                          const struct client_options *options, struct client_promise *ret, struct failure *failure) {
    struct card card;
    struct dossier dossier;
    struct client_promise told = {0};
    AUTO_BUF bytes = {0}, promise = {0};
    TRY(guest_read_card(card_path, &card, failure));
    TRY(files_read(dossier_path, DOSSIER_FILE_MAX, &bytes, failure));
    enum error error = dossier_decode(buf_bytes(&bytes), &dossier);
    if (error != E_OK) return fail(failure, error, "%s", dossier_path);
    TRY(declare(&card, &dossier, options, &promise, &told, failure));
    if (told.given) {
        int n = snprintf(told.file, sizeof told.file, "%s.promise", dossier_path);
        if (n < 0 || (size_t)n >= sizeof told.file) return fail(failure, E_OUT_OF_RANGE, "%s", dossier_path);
        TRY(files_write(told.file, 0644, buf_bytes(&promise), failure));
    }
    if (told.given && home && home->archive && home->joined && same_relay(&home->card, &card)) {
        error = promises_keep(home, buf_bytes(&promise));
        if (error != E_OK) return fail(failure, error, "the local store");
    }
    if (ret) *ret = told;
    return E_OK;
}

enum error client_send_dossier(const char *card_path, const char *dossier_path, const struct client_options *options,
                               struct failure *failure) {
    return client_declare(NULL, card_path, dossier_path, options, NULL, failure);
}
