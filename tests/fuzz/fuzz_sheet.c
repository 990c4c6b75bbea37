/* fuzz_sheet.c - the sheets of contact cards: only what keeps the rules opens, and every value on it has its field's
 * form. */
#include "contact.h"
#include "fuzz.h"

static const char post[] = "de/technical";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes bytes = bytes_of(data, size);
    struct sheet sheet;
    struct cardfield field;
    uint8_t commitment[HASH_SIZE];
    AUTO_BUF again = {0};
    fuzz_accepted = false;
    sheet_commitment(bytes, commitment);
    if (sheet_decode(bytes, &sheet) != E_OK) return 0;
    uint64_t audience = sheet.audience;
    if (sheet_open(bytes, commitment, bytes_text(post), audience, &sheet) != E_OK) return 0;
    struct list fields = sheet.fields;
    uint64_t last = 0;
    while (cardfield_next(&fields, &field)) {
        HOLDS(field.field > last && field.value.n > 0 && field.value.n <= CARD_VALUE_MAX);
        HOLDS(contact_field_check(sheet.post, field.field, field.value) == E_OK);
        last = field.field;
    }
    HOLDS((sheet.audience == AUDIENCE_PARTIES) == (sheet.parties.count > 0));
    uint8_t same[HASH_SIZE];
    HOLDS(sheet_make(&sheet, &again, same) == E_OK);
    HOLDS(bytes_equal(buf_bytes(&again), bytes) && memcmp(same, commitment, HASH_SIZE) == 0);
    fuzz_accepted = true;
    return 0;
}

static void give_one(void (*give)(struct bytes sample), enum card_audience audience) {
    AUTO_BUF parties = {0}, fields = {0}, bytes = {0};
    uint8_t commitment[HASH_SIZE];
    size_t party_count = audience == AUDIENCE_PARTIES ? 2 : 0, count = 0;
    for (size_t i = 0; i < party_count; i++) cbor_put_bytes(&parties, bytes_text(i ? "fr" : "fj"));
    static const struct {
        enum contact_field field;
        const char *value;
    } values[] = {
        {CONTACT_OFFICE, "Lagezentrum \xd9\x85"},     {CONTACT_LEVEL, "director"},
        {CONTACT_PHONE, "+49 30 5550100 ext 2"},      {CONTACT_EMAIL, "desk@cert.example"},
        {CONTACT_LANGUAGES, "de, zh-Hant-TW"},        {CONTACT_HOURS, "Mon-Fri 08:00-17:00, Sat 22:00-02:00"},
        {CONTACT_ZONE, "America/Argentina/Ushuaia"},  {CONTACT_FALLBACK, "de/policy, de/national"},
        {CONTACT_AWAY_UNTIL, "2026-12-01T08:00:00Z"}, {CONTACT_STAND_IN, "de/national"},
    };
    for (size_t i = 0; i < LENGTH(values); i++, count++)
        cardfield_encode(&(struct cardfield){values[i].field, bytes_text(values[i].value)}, &fields);
    struct sheet sheet = {.post = bytes_text(post),
                          .salt = {1},
                          .audience = audience,
                          .parties = list_of(&parties, party_count),
                          .fields = list_of(&fields, count)};
    HOLDS(sheet_make(&sheet, &bytes, commitment) == E_OK);
    give(buf_bytes(&bytes));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    for (int audience = AUDIENCE_PARTIES; audience <= AUDIENCE_PUBLIC; audience++)
        give_one(give, (enum card_audience)audience);
}
