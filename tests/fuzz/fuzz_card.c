/* fuzz_card.c - relay cards: what is taken can be written and read again, and is the same card. */
#include "card.h"
#include "fuzz.h"
#include "made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct card card, again;
    uint8_t hash[HASH_SIZE], hash_again[HASH_SIZE];
    unsigned line = 0;
    AUTO_BUF text = {0};
    fuzz_accepted = card_parse(bytes_of(data, size), &card, &line) == E_OK;
    if (!fuzz_accepted) return 0;
    card_format(&card, &text);
    NEEDS(card_parse(buf_bytes(&text), &again, NULL) == E_OK);
    card_hash(&card, hash);
    card_hash(&again, hash_again);
    HOLDS(memcmp(hash, hash_again, HASH_SIZE) == 0);
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    struct card card = {.name = "relay.test",
                        .addresses = {"tcp://127.0.0.1:5870", "tcp://relay.test:443"},
                        .address_count = 2,
                        .registrar_count = 2,
                        .threshold = 1,
                        .witness_count = 2,
                        .quorum = 2,
                        .freshness_s = 3600};
    AUTO_BUF text = {0};
    transport_of(9, card.curve);
    memcpy(card.statement, pair_of(RELAY_KEY).public, KEY_SIZE);
    memcpy(card.log, pair_of(71).public, KEY_SIZE);
    memcpy(card.registrars[0], pair_of(REGISTRAR).public, KEY_SIZE);
    memcpy(card.registrars[1], pair_of(72).public, KEY_SIZE);
    if (note_key_make(bytes_text("witness.example"), NOTE_COSIGNATURE, pair_of(73).public, &card.witnesses[0]) != E_OK)
        abort();
    if (note_key_make(bytes_text("other.example"), NOTE_COSIGNATURE, pair_of(74).public, &card.witnesses[1]) != E_OK)
        abort();
    card_format(&card, &text);
    give(buf_bytes(&text));
    AUTO_BUF plain = {0};
    card.witness_count = card.quorum = 0;
    card.freshness_s = WITNESS_AGE_S;
    card_format(&card, &plain);
    give(buf_bytes(&plain));
}
