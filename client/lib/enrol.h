/* enrol.h - this device's day keys (prekeys): made ahead, published, and destroyed PREKEY_KEEP_DAYS after their day. */
#ifndef ENROL_H
#define ENROL_H

#include "home.h"
#include "link.h"

enum { PREKEY_KEEP_DAYS = 14 };

/* Makes those that are missing up to PREKEY_DAYS_AHEAD days from `now`, and keeps them. */
CHECKED enum error enrol_make_prekeys(struct home *home, struct instant now);
/* Makes new ones for all days from today to PREKEY_DAYS_AHEAD, in the place of any that are published: their secrets are
 * lost. Those that are here stay, for what was sealed to them. */
CHECKED enum error enrol_replace_prekeys(struct home *home, struct instant now);
/* Publishes what is unpublished, over the link. */
CHECKED enum error enrol_publish(struct home *home, struct relay *relay, struct failure *failure);
/* Appends the stamped prekeys not published yet, as items of a list; at most PREKEY_BATCH_MAX. */
CHECKED enum error enrol_unpublished(struct home *home, struct buf *ret_items, size_t *ret_count);
/* All that were unpublished are out. */
CHECKED enum error enrol_published(struct home *home);
/* They are given to the relay once more: it has lost some. */
CHECKED enum error enrol_forget_published(struct home *home);
/* The secret of the day key that something is sealed to. E_PREKEY_GONE: its window is over, or it was never here. */
CHECKED enum error enrol_prekey_secret(struct home *home, const uint8_t id[static PREKEY_ID_SIZE], struct secret *ret);
/* Destroys the secrets whose window is over. */
CHECKED enum error enrol_destroy_old(struct home *home, struct instant now);
/* The relay's time, to make day keys and to renew a certificate by: of other days they are of no use to anybody, and in the way
 * of the right ones. Nobody can say which of two clocks is right; E_CLOCKS_DIFFER: they are more than a day apart. */
CHECKED enum error enrol_time(const struct relay *relay, struct instant *ret, struct failure *failure);
/* Destroys, makes and publishes, over the link. While clocks differ nothing is made, and the home is in breach (home.h). */
CHECKED enum error enrol_top_up(struct home *home, struct relay *relay, struct failure *failure);

/* What a connection is opened with; remembers the relay's limits. */
CHECKED enum error enrol_connect(struct home *home, const struct client_options *options, struct relay **ret,
                                 struct failure *failure);

#endif
