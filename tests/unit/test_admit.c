/* test_admit.c - rates, and who may send what, before any signature is looked at. */
#include "admit.h"
#include "directory_fixture.h"

static const struct instant now = {WORLD_TIME + DAY_MS};

static struct standing standing_of(const struct world *world, unsigned number, struct instant time) {
    uint8_t transport[KEY_SIZE];
    transport_of(number, transport);
    return admit_standing(world->directory, transport, time);
}

static bool let_in(const struct world *world, unsigned number) {
    uint8_t transport[KEY_SIZE];
    transport_of(number, transport);
    return admit_key(world->directory, transport);
}

static enum error admit(enum message type, struct bytes body, const struct standing *standing) {
    const struct message_row *row = NULL;
    struct frame frame = {.type = (uint64_t)type, .number = 3, .body = body};
    enum error error = admit_frame(&frame, standing, &row);
    if (error == E_OK)
        assert_int_equal(row->type, type);
    else
        assert_null(row);
    return error;
}

static void bucket_gives_one_second_of_messages_at_once_and_then_the_rate(void **state) {
    (void)state;
    struct bucket bucket = {0};
    uint32_t retry_s = 0;
    for (unsigned i = 0; i < 20; i++) assert_true(bucket_take(&bucket, 20, 5000, &retry_s));
    assert_int_equal(retry_s, 0);
    assert_false(bucket_take(&bucket, 20, 5000, &retry_s));
    assert_int_equal(retry_s, 1);
    assert_false(bucket_take(&bucket, 20, 5049, &retry_s));
    assert_true(bucket_take(&bucket, 20, 5050, &retry_s));
    assert_false(bucket_take(&bucket, 20, 5050, &retry_s));
    for (unsigned i = 0; i < 20; i++) assert_true(bucket_take(&bucket, 20, 500000, &retry_s));
    assert_false(bucket_take(&bucket, 20, 500000, &retry_s));
}

static void bucket_asked_too_often_still_fills(void **state) {
    (void)state;
    struct bucket bucket = {0};
    uint32_t retry_s;
    unsigned taken = 0;
    for (uint64_t ms = 0; ms < 10000; ms++) taken += bucket_take(&bucket, 7, ms, &retry_s);
    assert_in_range(taken, 7 + 69, 7 + 70); /* the burst, and ten seconds' worth */
}

static void bucket_survives_clocks_and_rates_that_jump(void **state) {
    (void)state;
    struct bucket bucket = {0};
    uint32_t retry_s;
    assert_true(bucket_take(&bucket, 1, 1000, &retry_s));
    assert_false(bucket_take(&bucket, 1, 10, &retry_s)); /* back: nothing gained */
    assert_true(bucket_take(&bucket, 1, UINT64_MAX, &retry_s));
    assert_true(bucket_take(&bucket, 100000, UINT64_MAX, &retry_s) == false);
    struct bucket rich = {0};
    assert_true(bucket_take(&rich, 400, 0, &retry_s));
    for (unsigned i = 0; i < 20; i++) assert_true(bucket_take(&rich, 20, 0, &retry_s)); /* member turned guest */
    assert_false(bucket_take(&rich, 20, 0, &retry_s));
}

static void standing_names_why_a_device_does_not_count(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device fresh = device_of("de/technical", POST_KEY, DEVICE + 3, ROLE_READER);
    assert_ok(say_device(&world, &fresh, POST_KEY));
    assert_error(standing_of(&world, DEVICE, now).live, E_OK);
    assert_ptr_equal(standing_of(&world, DEVICE, now).device, world_find(&world, DEVICE));
    assert_error(standing_of(&world, DEVICE + 3, now).live, E_NOT_COUNTERSIGNED);
    assert_error(standing_of(&world, DEVICE, (struct instant){WORLD_TIME + 301 * DAY_MS}).live, E_CERTIFICATE_EXPIRED);
    assert_error(standing_of(&world, 999, now).live, E_UNKNOWN_DEVICE);
    assert_null(standing_of(&world, 999, now).device);
    struct revocation revocation = revocation_of("de/technical", DEVICE, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    assert_error(standing_of(&world, DEVICE, now).live, E_REVOKED);
}

static void revoked_keys_are_not_let_in_and_all_others_are(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    assert_true(let_in(&world, DEVICE) && let_in(&world, DEVICE + 10) && let_in(&world, 999));
    struct revocation device = revocation_of("de/technical", DEVICE, AUTHORITY);
    assert_ok(say_revocation(&world, &device, AUTHORITY));
    assert_false(let_in(&world, DEVICE));
    assert_true(let_in(&world, DEVICE + 1));
    struct revocation post = revocation_of("de/technical", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &post, AUTHORITY));
    assert_false(let_in(&world, DEVICE + 1));
    assert_true(let_in(&world, DEVICE + 10));
}

static void each_message_is_for_members_or_for_all_as_its_table_says(void **state) {
    (void)state;
    static const struct standing guest = {NULL, E_UNKNOWN_DEVICE}, unvouched = {NULL, E_NOT_COUNTERSIGNED},
                                 expired = {NULL, E_CERTIFICATE_EXPIRED}, member = {NULL, E_OK},
                                 revoked = {NULL, E_REVOKED};
    const struct message_row *row;
    unsigned members_only = 0, relays_own = 0;
    for (unsigned n = 0; (row = message_nth(n)); n++) {
        struct bytes none = bytes_of("\xa0", 1);
        enum error foreign = row->from_client ? E_OK : E_UNKNOWN_MESSAGE;
        assert_error(admit(row->type, none, &member), foreign);
        assert_error(admit(row->type, none, &guest), foreign != E_OK || row->anyone ? foreign : E_UNKNOWN_DEVICE);
        assert_error(admit(row->type, none, &unvouched),
                     foreign != E_OK || row->anyone ? foreign : E_NOT_COUNTERSIGNED);
        assert_error(admit(row->type, none, &expired),
                     foreign != E_OK || row->anyone ? foreign : E_CERTIFICATE_EXPIRED);
        assert_error(admit(row->type, none, &revoked), E_REVOKED);
        relays_own += !row->from_client;
        members_only += row->from_client && !row->anyone;
    }
    assert_int_equal(members_only, 9);
    assert_int_equal(relays_own, 17);
    assert_error(admit((enum message)77, (struct bytes){0}, &member), E_UNKNOWN_MESSAGE);
}

static void hello_of_another_version_is_told_so_even_with_fields_we_do_not_know(void **state) {
    (void)state;
    static const struct standing guest = {NULL, E_UNKNOWN_DEVICE};
    AUTO_BUF ours = {0};
    AUTO_BUF later = {0};
    hello_encode(&(struct hello){.version = 0, .size = 5}, &ours);
    cbor_put_map(&later, 3);
    cbor_put_uint(&later, 1);
    cbor_put_uint(&later, 1);
    cbor_put_uint(&later, 2);
    cbor_put_uint(&later, 5);
    cbor_put_uint(&later, 99);
    cbor_put_text(&later, bytes_text("from the future"));
    assert_error(admit(MESSAGE_HELLO, buf_bytes(&ours), &guest), E_OK);
    assert_error(admit(MESSAGE_HELLO, buf_bytes(&later), &guest), E_UNKNOWN_VERSION);
    /* What is cut short is left for the decoder to name. */
    assert_error(admit(MESSAGE_HELLO, bytes_of(later.p, 2), &guest), E_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_gives_one_second_of_messages_at_once_and_then_the_rate),
        cmocka_unit_test(bucket_asked_too_often_still_fills),
        cmocka_unit_test(bucket_survives_clocks_and_rates_that_jump),
        cmocka_unit_test(standing_names_why_a_device_does_not_count),
        cmocka_unit_test(revoked_keys_are_not_let_in_and_all_others_are),
        cmocka_unit_test(each_message_is_for_members_or_for_all_as_its_table_says),
        cmocka_unit_test(hello_of_another_version_is_told_so_even_with_fields_we_do_not_know),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
