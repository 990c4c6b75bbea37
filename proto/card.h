/* card.h - relay.card: what a client is given to know its relay. Public text, one `field value` a line, `#` comments.
 *
 *     pouch-relay-card 0
 *     name       relay.example            log origin name; letters, digits, dots, dashes
 *     address    tcp://relay.example:5870   one line each, 1..8
 *     curve      <64 hex>      CURVE public key (X25519)
 *     statement  <64 hex>      Ed25519: records and the relay's own statements
 *     log        <64 hex>      Ed25519: checkpoints (used by later versions)
 *     registrar  <64 hex>      one line each, 1..16
 *     threshold  1             how many registrars must sign an admission
 *     witness    <64 hex>      optional, one line each, up to 16
 *
 * The fingerprint is text_fingerprint over the labelled digest (CARD) of the canonical text that card_format makes,
 * so comments and order do not matter: it sorts addresses, registrars and witnesses. */
#ifndef CARD_H
#define CARD_H

#include "label.h"
#include "text.h"

enum { CARD_ADDRESSES_MAX = 8, CARD_KEYS_MAX = 16, CARD_ADDRESS_SIZE = 128, CARD_NAME_SIZE = 64 };

struct card {
    char name[CARD_NAME_SIZE];
    char addresses[CARD_ADDRESSES_MAX][CARD_ADDRESS_SIZE];
    size_t address_count;
    uint8_t curve[KEY_SIZE], statement[KEY_SIZE], log[KEY_SIZE];
    uint8_t registrars[CARD_KEYS_MAX][KEY_SIZE];
    size_t registrar_count;
    unsigned threshold;
    uint8_t witnesses[CARD_KEYS_MAX][KEY_SIZE];
    size_t witness_count;
};

/* ret_line: the line at fault (from 1) on failure; may be NULL. Keys are checked (E_BAD_KEY). */
CHECKED enum error card_parse(struct bytes text, struct card *ret, unsigned *ret_line);
void card_format(const struct card *card, struct buf *out);
void card_hash(const struct card *card, uint8_t ret[static HASH_SIZE]);

#endif
