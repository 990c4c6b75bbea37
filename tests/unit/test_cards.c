/* test_cards.c - contact cards in a home: the draft, a sister's draft, the time in another zone. */
#include "client_fixture.h"

#include "cards.h"
#include "zone.h"

static struct contact_card card;

static struct contact_entry entry_of(enum contact_field field, enum card_audience audience, const char *value) {
    struct contact_entry entry = {.field = field, .audience = audience};
    (void)snprintf(entry.value, sizeof entry.value, "%s", value);
    return entry;
}

static void put(enum contact_field field, enum card_audience audience, const char *value) {
    struct contact_entry entry = entry_of(field, audience, value);
    assert_ok(cards_put(&card, &entry, &failure));
}

static void a_draft_comes_back_as_it_was_kept_in_the_order_of_its_fields(void **state) {
    (void)state;
    assert_ok(cards_load(&sender, sender.post, &card));
    assert_true(card.own && !card.there && card.count == 0);
    put(CONTACT_NOTE, AUDIENCE_NOBODY, "only here");
    put(CONTACT_OFFICE, AUDIENCE_PUBLIC, "Lagezentrum");
    struct contact_entry entry = entry_of(CONTACT_MOBILE, AUDIENCE_PARTIES, "+49 170 1");
    (void)snprintf(entry.parties[entry.party_count++], PARTY_MAX + 1, "fj");
    (void)snprintf(entry.parties[entry.party_count++], PARTY_MAX + 1, "de");
    assert_ok(cards_put(&card, &entry, &failure));
    assert_ok(cards_save(&sender, &card, &failure));
    assert_ok(cards_load(&sender, sender.post, &card));
    assert_int_equal(card.state, CONTACT_DUE);
    assert_int_equal(card.count, 3);
    assert_string_equal(cards_value(&card, CONTACT_NOTE), "only here");
    assert_int_equal(card.entries[0].field, CONTACT_OFFICE);
    assert_int_equal(card.entries[1].party_count, 2);
    assert_string_equal(card.entries[1].parties[0], "de");
    assert_string_equal(card.entries[1].parties[1], "fj");
    cards_remove(&card, CONTACT_MOBILE);
    assert_null(cards_value(&card, CONTACT_MOBILE));
    assert_ok(cards_save(&sender, &card, &failure));
    assert_ok(cards_load(&sender, sender.post, &card));
    assert_int_equal(card.count, 2);
}

static void a_card_that_is_wrong_is_not_kept(void **state) {
    (void)state;
    assert_ok(cards_load(&sender, sender.post, &card));
    put(CONTACT_PHONE, AUDIENCE_MEMBERS, "call me");
    assert_int_equal(cards_save(&sender, &card, &failure), E_USAGE);
    put(CONTACT_PHONE, AUDIENCE_PARTIES, "112"); /* names no party */
    assert_int_equal(cards_save(&sender, &card, &failure), E_USAGE);
    struct contact_entry entry = entry_of(CONTACT_PHONE, AUDIENCE_PARTIES, "112");
    (void)snprintf(entry.parties[entry.party_count++], PARTY_MAX + 1, "atlantis");
    assert_ok(cards_put(&card, &entry, &failure));
    assert_int_equal(cards_save(&sender, &card, &failure), E_UNKNOWN_PARTY);
    put(CONTACT_PHONE, AUDIENCE_MEMBERS, "112");
    put(CONTACT_FALLBACK, AUDIENCE_MEMBERS, "de/nowhere");
    assert_int_equal(cards_save(&sender, &card, &failure), E_UNKNOWN_POST);
    assert_ok(cards_load(&sender, sender.post, &card));
    assert_int_equal(card.count, 0);
    put(CONTACT_PHONE, AUDIENCE_MEMBERS, "112");
    memcpy(sender.device, pair_of(SENDER + 1).public, KEY_SIZE); /* a reader */
    assert_int_equal(cards_save(&sender, &card, &failure), E_NOT_ALLOWED);
    memcpy(sender.device, pair_of(SENDER).public, KEY_SIZE);
}

static void make_draft(const char *post, uint64_t edited, const char *office, struct buf *out) {
    AUTO_BUF fields = {0}, keys = {0};
    struct sheetkey key = {.commitment = {7}, .key = {8}, .audience = AUDIENCE_MEMBERS};
    draftfield_encode(&(struct draftfield){CONTACT_OFFICE, bytes_text(office), AUDIENCE_MEMBERS, {{0}, 0}}, &fields);
    sheetkey_encode(&key, &keys);
    carddraft_encode(
        &(struct carddraft){
            .post = bytes_text(post), .edited = {edited}, .fields = list_of(&fields, 1), .keys = list_of(&keys, 1)},
        out);
}

static void of_two_drafts_the_later_edited_one_counts(void **state) {
    (void)state;
    AUTO_BUF newer = {0}, older = {0}, foreign = {0}, value = {0};
    struct keptsheet sheet;
    bool found = false;
    make_draft("de/technical", 20, "the newer", &newer);
    make_draft("de/technical", 10, "the older", &older);
    make_draft("fj/national", 30, "another's", &foreign);
    assert_ok(cards_apply_draft(&sender, buf_bytes(&newer)));
    assert_ok(cards_apply_draft(&sender, buf_bytes(&older)));
    assert_int_equal(cards_apply_draft(&sender, buf_bytes(&foreign)), E_MISMATCH);
    for (size_t n = 0; n < newer.n; n++) assert_int_not_equal(cards_apply_draft(&sender, bytes_of(newer.p, n)), E_OK);
    assert_ok(cards_load(&sender, sender.post, &card));
    assert_int_equal(card.state, CONTACT_PUBLISHED);
    assert_string_equal(cards_value(&card, CONTACT_OFFICE), "the newer");
    const uint8_t commitment[HASH_SIZE] = {7};
    assert_ok(archive_get(sender.archive, TABLE_SHEETKEY, archive_key(commitment, NULL, 0), &value, &found));
    assert_true(found);
    assert_ok(keptsheet_decode(buf_bytes(&value), &sheet));
    assert_true(sheet.key[0] == 8 && !sheet.mine && sheet.sealed.count == 0);
}

/* A sister that was stolen writes from the end of time: the post can still edit its card. */
static void a_draft_from_the_end_of_time_is_not_the_last(void **state) {
    (void)state;
    AUTO_BUF last = {0};
    make_draft("de/technical", INT64_MAX, "the last", &last);
    assert_ok(cards_apply_draft(&sender, buf_bytes(&last)));
    assert_ok(cards_load(&sender, sender.post, &card));
    assert_string_equal(cards_value(&card, CONTACT_OFFICE), "the last");
    put(CONTACT_OFFICE, AUDIENCE_MEMBERS, "ours");
    assert_ok(cards_save(&sender, &card, &failure));
    assert_ok(cards_load(&sender, sender.post, &card));
    assert_string_equal(cards_value(&card, CONTACT_OFFICE), "ours");
}

static void the_time_in_a_place_is_its_own_and_an_unknown_zone_has_none(void **state) {
    (void)state;
    const struct instant summer = {UINT64_C(1783252800000)}, winter = {UINT64_C(1767614400000)}; /* noon, UTC */
    struct tm local;
    setenv("TZ", "Asia/Tokyo", 1);
    assert_true(zone_local("Europe/Berlin", summer, &local));
    assert_int_equal(local.tm_hour, 14);
    assert_true(zone_local("Europe/Berlin", winter, &local));
    assert_int_equal(local.tm_hour, 13);
    assert_true(zone_local("Asia/Kathmandu", winter, &local));
    assert_true(local.tm_hour == 17 && local.tm_min == 45);
    assert_false(zone_local("Nowhere/Atlantis", winter, &local));
    assert_false(zone_local("../../etc/passwd", winter, &local));
    assert_false(zone_local("zone.tab", winter, &local));
    assert_string_equal(getenv("TZ"), "Asia/Tokyo");
    unsetenv("TZ");
    assert_true(zone_local("Europe/Berlin", winter, &local));
    assert_null(getenv("TZ"));
}

int main(void) {
#define CARD_TEST(f) cmocka_unit_test_setup_teardown(f, homes_set_up, homes_tear_down)
    const struct CMUnitTest tests[] = {
        CARD_TEST(a_draft_comes_back_as_it_was_kept_in_the_order_of_its_fields),
        CARD_TEST(a_card_that_is_wrong_is_not_kept),
        CARD_TEST(of_two_drafts_the_later_edited_one_counts),
        CARD_TEST(a_draft_from_the_end_of_time_is_not_the_last),
        CARD_TEST(the_time_in_a_place_is_its_own_and_an_unknown_zone_has_none),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
