/* made.h - good bytes of many kinds, from one small world of fixed keys (directory_fixture.h): made once, freed at
 * exit. */
#ifndef MADE_H
#define MADE_H

#include "directory_fixture.h"
#include "evidence.h"
#include "fuzz.h"
#include "header.h"
#include "message.h"

enum { RELAY_KEY = 70 };

struct made {
    struct world world;
    struct pair device, relay;
    struct card card; /* its statement key is the relay's, and its log's */
    uint8_t prekey_secret[KEY_SIZE];
    struct header header;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE];
    struct buf header_stamped, opening, path, wrapset, wrapset_stamped, statement_stamped, receipt, refusal, offered;
    struct place place;
    struct buf offer_plain, body_plain; /* padded */
};
const struct made *made(void);

#endif
