/* card.h - relay.card: what a client is given to know its relay. Public text, one `field value` a line, `#` comments.
 *
 *     pouch-relay-card 0
 *     name       relay.example            log origin name; letters, digits, dots, dashes
 *     address    tcp://relay.example:5870   one line each, 1..8
 *     curve      <64 hex>      CURVE public key (X25519)
 *     statement  <64 hex>      Ed25519: records and the relay's own statements
 *     log        <64 hex>      Ed25519: checkpoints of the logs `NAME/directory` and `NAME/evidence`
 *     registrar  <64 hex>      one line each, 1..16
 *     threshold  1             how many registrars must sign an admission
 *     witness    <vkey>        optional, one line each, up to 16: name+hash+base64 of a cosignature/v1 key (note.h)
 *     witnesses  2             how many of them must have cosigned a directory that is used for sending; absent: none
 *     freshness  86400         how old, in seconds, their word may be; absent: WITNESS_AGE_S
 *
 * The fingerprint is text_fingerprint over the labelled digest (CARD) of the canonical text that card_format makes,
 * so comments and order do not matter: it sorts addresses, registrars and witnesses. */
#ifndef CARD_H
#define CARD_H

#include "label.h"
#include "note.h"
#include "text.h"

enum {
    CARD_ADDRESSES_MAX = CARD_ADDRESSES,
    CARD_KEYS_MAX = 16,
    CARD_ADDRESS_SIZE = CARD_ADDRESS_MAX + 1,
    CARD_NAME_SIZE = 64
};

struct card {
    char name[CARD_NAME_SIZE];
    char addresses[CARD_ADDRESSES_MAX][CARD_ADDRESS_SIZE];
    size_t address_count;
    uint8_t curve[KEY_SIZE], statement[KEY_SIZE], log[KEY_SIZE];
    uint8_t registrars[CARD_KEYS_MAX][KEY_SIZE];
    size_t registrar_count;
    unsigned threshold;
    struct note_key witnesses[WITNESSES_MAX];
    size_t witness_count;
    unsigned quorum;      /* of witnesses; 0: none is asked for */
    uint64_t freshness_s; /* WITNESS_AGE_S unless the card says otherwise */
};

/* ret_line: the line at fault (from 1) on failure; may be NULL. Keys are checked (E_BAD_KEY). */
CHECKED enum error card_parse(struct bytes text, struct card *ret, unsigned *ret_line);
/* One more registrar (64 hex digits) or witness (its verifier key), as a card's line has it. Nothing that is there
 * already (E_MALFORMED), no more than there is room for (E_OUT_OF_RANGE); E_BAD_KEY, E_UNKNOWN_SUITE. */
CHECKED enum error card_add_registrar(struct card *card, struct bytes hex);
CHECKED enum error card_add_witness(struct card *card, struct bytes vkey);
/* The key that signs the heads of the relay's log of this name (`directory`): its name is also their origin. */
CHECKED enum error card_log_key(const struct card *card, const char *log, struct note_key *ret);
/* Is it one that a card's line may have? And: no X25519 key of small order. */
bool card_address_valid(struct bytes address);
bool card_curve_valid(const uint8_t key[static KEY_SIZE]);
void card_format(const struct card *card, struct buf *out);
void card_hash(const struct card *card, uint8_t ret[static HASH_SIZE]);

#endif
