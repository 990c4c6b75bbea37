/* linkup.h - the new device's side of an invitation (invite.h): asks, waits, checks what it is given, joins. */
#ifndef LINKUP_H
#define LINKUP_H

#include "invite.h"

/* What people paste or scan: `POUCH-LINK:CODE`, with the relay's card after one more colon; or a bare code. *ret_card is empty
 * without a card; a view into `typed`. E_BAD_CODE. */
CHECKED enum error linkup_parse(const char *typed, uint8_t ret_secret[static INVITE_SECRET], struct bytes *ret_card);

struct linkup_hello {
    char post[POST_MAX + 1];
    enum device_role role;
};
/* Where the code leads, asked with a throw-away key. The card in the hello must be this one (E_WRONG_FINGERPRINT): who made the
 * code vouches for it. E_CODE_EXPIRED: there is no such invitation at this relay, or not any more. */
CHECKED enum error linkup_greet(const struct card *card, const struct invite_keys *keys,
                                const struct client_options *options, struct linkup_hello *ret,
                                struct failure *failure);

/* Connects as this home's device and asks to be linked, once for one code. */
CHECKED enum error linkup_ask(struct home *home, const struct card *card, const struct invite_keys *keys,
                              enum device_role role, const char *name, const struct client_options *options,
                              struct relay **ret_relay, struct failure *failure);
/* Is the answer there? What does not open is passed over. */
CHECKED enum error linkup_look(struct relay *relay, const struct invite_keys *keys, struct buf *ret_plain,
                               struct linkgive *ret, bool *ret_found, struct failure *failure);
/* Empties the box: what lay there has been taken. */
CHECKED enum error linkup_done(struct relay *relay, const struct invite_keys *keys, struct failure *failure);
/* Takes it: joins with the certificate. What else the older device gave lies in this device's own box, for the first sync. */
CHECKED enum error linkup_join(struct home *home, const struct card *card, const struct linkgive *give,
                               const struct client_options *options, struct failure *failure);

#endif
