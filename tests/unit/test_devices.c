/* test_devices.c - what goes between the devices of one post: items of an invitation, parcels for a sister, handed keys.
 * The relay, or whoever thinks of a box's id, may put there what they like. */
#include "client_fixture.h"

#include "invite.h"
#include "linkup.h"
#include "parcel.h"

enum { SISTER = DEVICE + 1, BELL = DEVICE + 2 };

static struct home sister;
static const struct instant now = {WORLD_TIME + 3600 * 1000};

static int set_up(void **state) {
    assert_int_equal(homes_set_up(state), 0);
    open_home(&sister, "sister", "de/technical", SISTER);
    return 0;
}

static int tear_down(void **state) {
    close_home(&sister);
    return homes_tear_down(state);
}

/* ---- an invitation's items ---- */

static const uint8_t secret[INVITE_SECRET] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void make_ask(const struct invite_keys *keys, struct buf *out) {
    struct linkask ask = {
        .role = ROLE_READER, .has_name = true, .name = bytes_text("night desk"), .prekey = bytes_text("a prekey")};
    memset(ask.device, 3, KEY_SIZE);
    memset(ask.transport, 4, KEY_SIZE);
    assert_ok(invite_seal(&keys->key_to_old, &linkask_object, &ask, out));
}

static void both_ends_of_a_code_have_the_same_boxes_and_keys(void **state) {
    (void)state;
    AUTO_INVITE_KEYS old = {0}, new = {0}, other = {0};
    AUTO_BUF item = {0}, plain = {0};
    uint8_t typed[INVITE_SECRET], another[INVITE_SECRET] = {9};
    struct bytes card;
    struct linkask ask;
    char code[TEXT_CODE_SIZE], pasted[256];
    text_code(secret, 1, code);
    (void)snprintf(pasted, sizeof pasted, "POUCH-LINK:%s:pouch-relay-card 0\nname x\n", code);
    assert_ok(linkup_parse(pasted, typed, &card));
    assert_true(bytes_are(card, "pouch-relay-card 0\nname x\n"));
    assert_ok(invite_derive(secret, &old));
    assert_ok(invite_derive(typed, &new));
    assert_ok(invite_derive(another, &other));
    assert_memory_equal(old.box_hello, new.box_hello, HASH_SIZE);
    assert_memory_not_equal(old.box_hello, old.box_to_old, HASH_SIZE);
    assert_memory_not_equal(old.box_to_new, old.box_to_old, HASH_SIZE);
    assert_memory_not_equal(old.key_to_new.p, old.key_to_old.p, KEY_SIZE);
    assert_memory_not_equal(old.box_to_old, other.box_to_old, HASH_SIZE);
    make_ask(&new, &item);
    assert_ok(invite_open(&old.key_to_old, &linkask_object, buf_bytes(&item), &plain, &ask));
    assert_true(bytes_are(ask.name, "night desk"));
    assert_error(invite_open(&other.key_to_old, &linkask_object, buf_bytes(&item), &plain, &ask), E_CANNOT_OPEN);
    assert_error(linkup_parse("POUCH-LINK:", typed, &card), E_BAD_CODE);
    code[0] = code[0] == 'A' ? 'B' : 'A';
    assert_error(linkup_parse(code, typed, &card), E_BAD_CODE);
}

static void an_item_that_was_changed_or_cut_opens_nothing(void **state) {
    (void)state;
    AUTO_INVITE_KEYS keys = {0};
    AUTO_BUF item = {0}, plain = {0};
    struct linkask ask;
    assert_ok(invite_derive(secret, &keys));
    make_ask(&keys, &item);
    for (size_t i = 0; i < item.n * 8; i++) {
        item.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_error(invite_open(&keys.key_to_old, &linkask_object, buf_bytes(&item), &plain, &ask), E_CANNOT_OPEN);
        item.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < item.n; n++)
        assert_error(invite_open(&keys.key_to_old, &linkask_object, bytes_of(item.p, n), &plain, &ask), E_CANNOT_OPEN);
    assert_ok(invite_open(&keys.key_to_old, &linkask_object, buf_bytes(&item), &plain, &ask));
}

static void an_item_is_good_for_one_direction_and_one_kind(void **state) {
    (void)state;
    AUTO_INVITE_KEYS keys = {0};
    AUTO_BUF item = {0}, plain = {0}, hello_item = {0};
    struct linkask ask;
    struct linkgive give;
    struct linkhello hello = {.post = bytes_text("de/technical"), .card = bytes_text("x"), .expires = now};
    assert_ok(invite_derive(secret, &keys));
    make_ask(&keys, &item);
    assert_error(invite_open(&keys.key_to_new, &linkask_object, buf_bytes(&item), &plain, &ask), E_CANNOT_OPEN);
    assert_ok(invite_seal(&keys.key_to_new, &linkhello_object, &hello, &hello_item));
    assert_error(invite_open(&keys.key_to_new, &linkgive_object, buf_bytes(&hello_item), &plain, &give), E_CANNOT_OPEN);
}

/* ---- parcels ---- */

/* The day key that the relay would hand out for this device. */
static void day_key(struct home *home, struct prekey *ret, uint8_t ret_id[static PREKEY_ID_SIZE]) {
    AUTO_BUF items = {0};
    size_t count = 0;
    struct bytes stamped;
    assert_ok(enrol_unpublished(home, &items, &count));
    struct list list = list_of(&items, count);
    assert_true(list_next_bytes(&list, &stamped));
    assert_ok(directory_open_prekey(home->directory, stamped, ret, ret_id));
}

static void make_parcel(const struct home *from, const char *post, const uint8_t *digest, const uint8_t *offer_key,
                        struct buf *out) {
    struct handedkey key = {.has_offer_key = true, .has_body_key = true};
    AUTO_BUF keys = {0};
    memcpy(key.header, digest, HASH_SIZE);
    memcpy(key.offer_key, offer_key, KEY_SIZE);
    handedkey_encode(&key, &keys);
    struct parcel parcel = {.post = bytes_text(post), .keys = list_of(&keys, 1)};
    memcpy(parcel.from, from->device, KEY_SIZE);
    parcel_encode(&parcel, out);
}

static void seal_for(struct home *from, struct home *to, const char *post, struct buf *out) {
    static const uint8_t digest[HASH_SIZE] = {5}, key[KEY_SIZE] = {6};
    struct prekey prekey;
    uint8_t id[PREKEY_ID_SIZE];
    AUTO_BUF parcel = {0};
    make_parcel(from, post, digest, key, &parcel);
    day_key(to, &prekey, id);
    assert_ok(parcel_seal(from, &prekey, id, buf_bytes(&parcel), out));
}

static void a_sister_opens_what_was_sealed_for_her(void **state) {
    (void)state;
    AUTO_BUF sealed = {0}, plain = {0};
    struct parcel parcel;
    bool has = false;
    seal_for(&sender, &sister, "de/technical", &sealed);
    for (unsigned i = 0; i < 2; i++) { /* given twice it is there once */
        assert_ok(parcel_open(&sister, buf_bytes(&sealed), now, &plain, &parcel));
        assert_ok(parcel_apply(&sister, &parcel));
        buf_clear(&plain);
    }
    uint64_t count = 0;
    assert_ok(archive_count(sister.archive, TABLE_HANDED, SCOPE_ALL, archive_key(NULL, NULL, 0), &count));
    assert_int_equal(count, 1);
    static const uint8_t digest[HASH_SIZE] = {5};
    assert_ok(archive_has(sister.archive, TABLE_HANDED, archive_key(digest, sender.device, 0), &has));
    assert_true(has);
}

static void a_parcel_that_was_changed_or_cut_opens_nothing(void **state) {
    (void)state;
    AUTO_BUF sealed = {0}, plain = {0};
    struct parcel parcel;
    seal_for(&sender, &sister, "de/technical", &sealed);
    for (size_t i = 0; i < sealed.n * 8; i++) {
        sealed.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(parcel_open(&sister, buf_bytes(&sealed), now, &plain, &parcel), E_OK);
        sealed.p[i / 8] ^= (uint8_t)(1u << i % 8);
        buf_clear(&plain);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_int_not_equal(parcel_open(&sister, bytes_of(sealed.p, n), now, &plain, &parcel), E_OK);
    assert_ok(parcel_open(&sister, buf_bytes(&sealed), now, &plain, &parcel));
}

static void a_parcel_is_for_one_device_and_from_a_live_sister(void **state) {
    (void)state;
    AUTO_BUF foreign = {0}, sealed = {0}, own = {0}, plain = {0};
    struct parcel parcel;
    seal_for(&recipient, &sister, "de/technical", &foreign); /* a device of another post */
    assert_error(parcel_open(&sister, buf_bytes(&foreign), now, &plain, &parcel), E_NOT_ALLOWED);
    seal_for(&sender, &sister, "de/technical", &sealed);
    assert_error(parcel_open(&recipient, buf_bytes(&sealed), now, &plain, &parcel), E_NOT_FOR_US);
    seal_for(&sister, &sister, "de/technical", &own); /* nobody is her own sister */
    assert_error(parcel_open(&sister, buf_bytes(&own), now, &plain, &parcel), E_NOT_ALLOWED);
    struct instant late = {now.ms + 500 * DAY_MS}; /* the giver's certificate has ended */
    assert_error(parcel_open(&sister, buf_bytes(&sealed), late, &plain, &parcel), E_NOT_ALLOWED);
}

static void a_bell_gives_nothing(void **state) {
    (void)state;
    AUTO_BUF sealed = {0}, plain = {0};
    struct home bell;
    struct parcel parcel;
    open_home(&bell, "bell", "de/technical", BELL);
    seal_for(&bell, &sister, "de/technical", &sealed);
    assert_error(parcel_open(&sister, buf_bytes(&sealed), now, &plain, &parcel), E_NOT_ALLOWED);
    close_home(&bell);
}

static void a_parcel_whose_inside_says_otherwise_is_refused(void **state) {
    (void)state;
    AUTO_BUF inside = {0}, sealed = {0}, plain = {0}, other_post = {0}, other_plain = {0};
    static const uint8_t digest[HASH_SIZE] = {5}, key[KEY_SIZE] = {6};
    struct prekey prekey;
    uint8_t id[PREKEY_ID_SIZE];
    struct parcel parcel;
    make_parcel(&recipient, "de/technical", digest, key, &inside); /* names another giver */
    day_key(&sister, &prekey, id);
    assert_ok(parcel_seal(&sender, &prekey, id, buf_bytes(&inside), &sealed));
    assert_error(parcel_open(&sister, buf_bytes(&sealed), now, &plain, &parcel), E_MISMATCH);
    seal_for(&sender, &sister, "fj/national", &other_post);
    assert_ok(parcel_open(&sister, buf_bytes(&other_post), now, &other_plain, &parcel));
    assert_error(parcel_apply(&sister, &parcel), E_MISMATCH);
}

static void a_parcel_under_a_day_key_that_is_gone_is_named(void **state) {
    (void)state;
    AUTO_BUF sealed = {0}, plain = {0};
    struct parcel parcel;
    seal_for(&sender, &sister, "de/technical", &sealed);
    assert_ok(archive_delete_all(sister.archive, TABLE_PREKEY, SCOPE_ALL, archive_key(NULL, NULL, 0)));
    assert_error(parcel_open(&sister, buf_bytes(&sealed), now, &plain, &parcel), E_PREKEY_GONE);
}

/* ---- handed keys ---- */

static void a_handed_key_is_used_only_when_it_fits_the_headers_commitments(void **state) {
    (void)state;
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "old", .text = bytes_text("old text")};
    uint8_t digest[HASH_SIZE];
    AUTO_REQUEST request = {0};
    AUTO_BUF bytes = {0};
    struct handedkey got;
    bool found = true;
    compose(&sender, &draft, digest);
    assert_ok(kept_load(sender.archive, digest, &request));
    assert_ok(parcel_handed(sister.archive, digest, &request.header, &got, &found));
    assert_false(found);
    struct handedkey key = {.has_offer_key = true, .has_body_key = true};
    memcpy(key.header, digest, HASH_SIZE);
    memcpy(key.offer_key, request.record.offer_key, KEY_SIZE);
    memcpy(key.body_key, request.record.body_key, KEY_SIZE);
    for (unsigned turn = 0; turn < 3; turn++) { /* 0: right, 1: another offer key, 2: another body key */
        key.offer_key[0] ^= turn == 1;
        key.body_key[0] ^= turn == 2;
        buf_clear(&bytes);
        handedkey_encode(&key, &bytes);
        assert_ok(archive_set(sister.archive, TABLE_HANDED, archive_key(digest, NULL, 0), buf_bytes(&bytes)));
        assert_ok(parcel_handed(sister.archive, digest, &request.header, &got, &found));
        assert_true(found == (turn == 0));
        key.offer_key[0] ^= turn == 1;
        key.body_key[0] ^= turn == 2;
    }
}

/* Who overheard the code reads what lies in the boxes: keys of content are sealed to the new device itself. */
static void what_a_new_sister_gets_is_for_her_alone_and_nothing_for_a_bell(void **state) {
    (void)state;
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "old", .text = bytes_text("old text")};
    uint8_t digest[HASH_SIZE];
    AUTO_BUF items = {0}, sealed = {0}, plain = {0}, bell_items = {0}, nothing = {0};
    AUTO_REQUEST request = {0};
    struct home bell;
    struct parcel parcel;
    struct bytes prekey;
    size_t count = 0;
    compose(&sender, &draft, digest);
    assert_ok(kept_load(sender.archive, digest, &request));
    assert_ok(enrol_unpublished(&sister, &items, &count));
    struct list list = list_of(&items, count);
    assert_true(list_next_bytes(&list, &prekey));
    assert_ok(parcel_seal_for_new(&sender, prekey, &sealed));
    assert_null(memmem(sealed.p, sealed.n, request.record.body_key, KEY_SIZE));
    assert_ok(parcel_open(&sister, buf_bytes(&sealed), now, &plain, &parcel));
    assert_int_equal(parcel.keys.count, 1);
    open_home(&bell, "bell", "de/technical", BELL);
    assert_ok(enrol_unpublished(&bell, &bell_items, &count));
    list = list_of(&bell_items, count);
    assert_true(list_next_bytes(&list, &prekey));
    assert_ok(parcel_seal_for_new(&sender, prekey, &nothing));
    assert_int_equal(nothing.n, 0);
    close_home(&bell);
}

/* A sister that was stolen may hand what she likes: it does not push out what another gave. */
static void a_false_handed_key_does_not_take_the_place_of_a_good_one(void **state) {
    (void)state;
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "old", .text = bytes_text("old text")};
    uint8_t digest[HASH_SIZE];
    AUTO_REQUEST request = {0};
    struct handedkey got;
    bool found = false;
    compose(&sender, &draft, digest);
    assert_ok(kept_load(sender.archive, digest, &request));
    for (unsigned good_first = 0; good_first < 2; good_first++) {
        assert_ok(archive_delete_all(sister.archive, TABLE_HANDED, SCOPE_ALL, archive_key(NULL, NULL, 0)));
        for (unsigned turn = 0; turn < 2; turn++) {
            struct handedkey key = {.has_offer_key = true, .has_body_key = true};
            AUTO_BUF keys = {0};
            bool good = turn != good_first;
            memcpy(key.header, digest, HASH_SIZE);
            if (good) memcpy(key.offer_key, request.record.offer_key, KEY_SIZE);
            if (good) memcpy(key.body_key, request.record.body_key, KEY_SIZE);
            handedkey_encode(&key, &keys);
            struct parcel parcel = {.post = bytes_text("de/technical"), .keys = list_of(&keys, 1)};
            memset(parcel.from, good ? 1 : 2, KEY_SIZE);
            assert_ok(parcel_apply(&sister, &parcel));
        }
        assert_ok(parcel_handed(sister.archive, digest, &request.header, &got, &found));
        assert_true(found);
        assert_memory_equal(got.offer_key, request.record.offer_key, KEY_SIZE);
    }
}

static void a_new_sister_gets_the_keys_of_all_requests(void **state) {
    (void)state;
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "one of many", .text = bytes_text("text")};
    AUTO_BUF bytes = {0};
    struct parcel parcel;
    uint8_t digest[HASH_SIZE] = {0};
    for (unsigned i = 0; i < 5; i++) compose(&sender, &draft, digest);
    assert_ok(parcel_for_new(&sender, sister.device, &bytes));
    assert_ok(parcel_decode(buf_bytes(&bytes), &parcel));
    assert_int_equal(parcel.keys.count, 5);
    struct handedkey newest;
    assert_true(handedkey_next(&parcel.keys, &newest));
    assert_memory_equal(newest.header, digest, HASH_SIZE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_a_code_have_the_same_boxes_and_keys),
        cmocka_unit_test(an_item_that_was_changed_or_cut_opens_nothing),
        cmocka_unit_test(an_item_is_good_for_one_direction_and_one_kind),
        TEST(a_sister_opens_what_was_sealed_for_her),
        TEST(a_parcel_that_was_changed_or_cut_opens_nothing),
        TEST(a_parcel_is_for_one_device_and_from_a_live_sister),
        TEST(a_bell_gives_nothing),
        TEST(a_parcel_whose_inside_says_otherwise_is_refused),
        TEST(a_parcel_under_a_day_key_that_is_gone_is_named),
        TEST(a_handed_key_is_used_only_when_it_fits_the_headers_commitments),
        TEST(a_false_handed_key_does_not_take_the_place_of_a_good_one),
        TEST(what_a_new_sister_gets_is_for_her_alone_and_nothing_for_a_bell),
        TEST(a_new_sister_gets_the_keys_of_all_requests),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
