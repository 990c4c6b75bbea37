/* guest.c - a card from its file, and a link under a throw-away key. */
#include "guest.h"

#include <sodium.h>

#include "files.h"
#include "link.h"

enum { CARD_FILE_MAX = 64 * 1024 };

enum error guest_read_card(const char *path, struct card *ret, struct failure *failure) {
    AUTO_BUF text = {0};
    unsigned line = 0;
    TRY(files_read(path, CARD_FILE_MAX, &text, failure));
    enum error error = card_parse(buf_bytes(&text), ret, &line);
    return error == E_OK ? E_OK : fail(failure, error, "%s:%u", path, line);
}

enum error guest_connect(const struct card *card, const struct client_options *options, struct relay **ret,
                         struct failure *failure) {
    AUTO_SECRET secret = {0};
    uint8_t public[KEY_SIZE];
    enum error error = secret_random(KEY_SIZE, &secret);
    if (error == E_OK && crypto_scalarmult_base(public, secret.p) != 0) error = E_INTERNAL;
    if (error != E_OK) return fail(failure, error, "a key for this connection");
    return relay_open(card, &(struct relay_keys){&secret, public}, options, ret, failure);
}
