/* declare.c - statements that carry their own authority, such as a revocation slip: sent from any computer, and the
 * relay's promise that they stand in the directory. */
#include <stdio.h>

#include "files.h"
#include "guest.h"
#include "promises.h"

enum { DOSSIER_FILE_MAX = 256 * 1024 };

static enum error declare(const struct card *card, const struct dossier *dossier, const struct client_options *options,
                          struct buf *ret, struct client_promise *told, struct failure *failure) {
    struct relay *relay = NULL;
    struct promise promise;
    struct bytes stamped;
    AUTO_ANSWER answer = {0};
    TRY(guest_connect(card, options, &relay, failure));
    enum error error =
        relay_call(relay, MESSAGE_DECLARE, &(struct declare){.statements = dossier->statements}, &answer, failure);
    relay_close(&relay);
    TRY(error);
    TRY(promises_read(card, dossier->statements, answer.body, &promise, &stamped, failure));
    if (!stamped.n) return E_OK;
    *told = (struct client_promise){
        .given = true, .size = promise.size, .time = promise.time, .deadline = promise.deadline};
    buf_add_bytes(ret, stamped);
    return buf_error(ret);
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
