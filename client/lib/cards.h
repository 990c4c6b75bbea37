/* cards.h - contact cards in a home: the own post's, which is edited and published here, and those of others.
 *
 * The own card is a draft (carddraft: META "contact card"), every field with its audience; what is for nobody stays
 * in it. Publishing makes a sheet an audience, with fresh salts and keys, and the statement that commits to them; all
 * of it is kept before it is sent, so a retry sends the same bytes. A change of what nobody sees publishes nothing.
 * What was published is given to the sisters in parcels; the later edited draft counts.
 *
 * Sheets that are not public are sealed to every device that can read of the audience's parties, and of the own post:
 * at every sync to devices that came later, and to all of them anew after RESEAL_MS, because the day keys they are
 * sealed to live for PREKEY_WINDOW_DAYS. That is the duty of the device that published the card; of its sisters, who
 * wait longer, once that one is gone or has not done it.
 *
 * Others' cards are fetched when the directory says that they have changed, and again, ever more rarely, while sheets
 * of them could not be opened. What does not match its commitment is an alarm and is never shown.
 *
 * All of it is bounded for each sync; the rest follows with the next. */
#ifndef CARDS_H
#define CARDS_H

#include "contact.h"
#include "home.h"
#include "link.h"

enum contact_state { CONTACT_DUE, CONTACT_PUBLISHED, CONTACT_REFUSED };

struct contact_entry {
    enum contact_field field;
    enum card_audience audience;
    char value[CARD_VALUE_MAX + 1];
    size_t party_count; /* of audience 1, in rising order */
    char parties[AUDIENCE_MAX][PARTY_MAX + 1];
};
/* About 100 KB: one at a time. */
struct contact_card {
    char post[POST_MAX + 1];
    bool own, there;          /* there: the post has a card */
    enum contact_state state; /* of the own one */
    unsigned sealed;          /* others': sheets that this device cannot open */
    struct instant edited;    /* the own one's draft */
    size_t count;
    struct contact_entry entries[CARD_FIELDS_MAX]; /* in order of their fields; those unknown here are left out */
};

/* The card as this home has it; an unknown one has there == false. For the own post the draft. */
CHECKED enum error cards_load(struct home *home, const char *post, struct contact_card *ret);
/* The same of others' cards and of the own one as others see it: no draft, nothing that is for nobody. */
CHECKED enum error cards_load_seen(struct home *home, const char *post, struct contact_card *ret);
CHECKED enum error cards_load_public(struct home *home, const char *post, struct contact_card *ret);
/* NULL: not on it. */
const struct contact_entry *cards_entry(const struct contact_card *card, enum contact_field field);
const char *cards_value(const struct contact_card *card, enum contact_field field); /* NULL */

/* Puts an entry on the own card, in the place of one of the same field; and takes one off. E_OUT_OF_RANGE: too many. */
CHECKED enum error cards_put(struct contact_card *card, const struct contact_entry *entry, struct failure *failure);
void cards_remove(struct contact_card *card, enum contact_field field);
/* Checks the own card - forms, parties and posts that are in the directory, at most SHEETS_MAX audiences - and keeps
 * it as the draft that is to be published. E_NOT_ALLOWED: this device is no decider. */
CHECKED enum error cards_save(struct home *home, const struct contact_card *card, struct failure *failure);

/* Whether what an away-until says is still to come. */
bool cards_is_away(const struct contact_card *card, struct instant now, struct instant *ret_until);

/* What is due: publishing, sealing, fetching. Errors of the link and of the disk; all else becomes an alarm or waits.
 * */
CHECKED enum error cards_sync(struct home *home, struct relay *relay, struct failure *failure);
/* Only the first two, after an edit. */
CHECKED enum error cards_publish(struct home *home, struct relay *relay, struct failure *failure);

/* The draft that a sister has given: taken if it was edited later than the one here. In the caller's transaction. */
CHECKED enum error cards_apply_draft(struct home *home, struct bytes draft);

/* ---- for the parts of this module (cards.c, publish.c, fetch.c) ---- */
CHECKED enum error cards_state(struct home *home, struct keptcardstate *ret, struct buf *bytes);
CHECKED enum error cards_set_state(struct home *home, const struct keptcardstate *state);
CHECKED enum error cards_set_draft(struct home *home, const struct contact_card *card, struct list keys);
CHECKED enum error cards_fetch(struct home *home, struct relay *relay, struct failure *failure);
CHECKED enum error cards_seal(struct home *home, struct relay *relay, struct failure *failure);
/* META rows that others read, too. */
#define CARDS_DRAFT "contact card"
#define CARDS_STATE "contact state"

#endif
