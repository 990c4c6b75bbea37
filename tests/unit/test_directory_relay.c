/* test_directory_relay.c - the relay itself in its directory: it moves, and it goes on after a declared loss. */
#include "directory_fixture.h"

enum { SECOND = 200, NEW_LOG = 400, NEW_STATEMENT, OLD_LOG, OLD_STATEMENT };

static struct relaychange moved_to(const char *address, unsigned curve, struct buf *items) {
    static uint64_t created;
    struct relaychange change = {.action = RELAY_MOVED, .created = {++created}};
    cbor_put_bytes(items, bytes_text(address));
    change.addresses = list_of(items, 1);
    transport_of(curve, change.curve);
    return change;
}

static struct relaychange recovered(const struct world *world, struct buf *items) {
    struct relaychange change = moved_to("tcp://relay.example:5870", 1, items);
    change.action = RELAY_RECOVERED;
    change.has_log = change.has_statement = change.has_size = change.has_root = true;
    change.has_entries = change.has_entries_root = change.has_old_log = change.has_old_statement = true;
    memcpy(change.old_log, pair_of(OLD_LOG).public, KEY_SIZE);
    memcpy(change.old_statement, pair_of(OLD_STATEMENT).public, KEY_SIZE);
    memcpy(change.log, pair_of(NEW_LOG).public, KEY_SIZE);
    memcpy(change.statement, pair_of(NEW_STATEMENT).public, KEY_SIZE);
    change.size = directory_size(world->directory);
    directory_root(world->directory, change.root);
    change.entries = 7;
    memset(change.entries_root, 0x17, HASH_SIZE);
    return change;
}

static struct world with_de(void) {
    struct world world = {.directory = fresh_directory(), .time = WORLD_TIME};
    world_party(&world, "de", AUTHORITY);
    return world;
}

static void the_registrars_say_where_the_relay_is(void **state) {
    (void)state;
    AUTO_WORLD world = with_de();
    AUTO_BUF items = {0}, more = {0};
    struct card card = {.name = "relay.example", .address_count = 1};
    struct relaychange change = moved_to("tcp://new.example:443", 9, &items);
    assert_null(directory_relay_nth(world.directory, 0));
    assert_error(say_relaychange(&world, &change, STRANGER), E_UNKNOWN_REGISTRAR);
    assert_ok(say_relaychange(&world, &change, REGISTRAR));
    directory_relay_card(world.directory, &card);
    assert_string_equal(card.addresses[0], "tcp://new.example:443");
    assert_memory_equal(card.curve, change.curve, KEY_SIZE);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_CONFLICT);

    struct relaychange again = moved_to("tcp://third.example:443", 10, &more);
    assert_ok(say_relaychange(&world, &again, REGISTRAR));
    directory_relay_card(world.directory, &card);
    assert_int_equal(card.address_count, 1);
    assert_string_equal(card.addresses[0], "tcp://third.example:443");
    assert_int_equal(directory_relay_nth(world.directory, 1)->index, directory_size(world.directory) - 1);
}

static void as_many_registrars_as_the_card_asks_for_move_it(void **state) {
    (void)state;
    struct card card = {.registrar_count = 2, .threshold = 2};
    memcpy(card.registrars[0], pair_of(REGISTRAR).public, KEY_SIZE);
    memcpy(card.registrars[1], pair_of(SECOND).public, KEY_SIZE);
    AUTO_WORLD world = {.directory = directory_new(&card), .time = WORLD_TIME};
    AUTO_BUF items = {0}, joint = {0};
    struct relaychange change = moved_to("tcp://new.example:443", 9, &items);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_TOO_FEW_SIGNERS);
    sign_relaychange_by(&change, REGISTRAR, SECOND, &joint);
    assert_ok(world_leaf(&world, LEAF_RELAY, buf_bytes(&joint)));
}

static void a_move_that_was_kept_back_undoes_nothing(void **state) {
    (void)state;
    AUTO_WORLD world = with_de();
    AUTO_BUF items = {0}, more = {0}, ahead = {0};
    struct relaychange older = moved_to("tcp://old.example:443", 9, &items);
    struct relaychange newer = moved_to("tcp://new.example:443", 10, &more);
    assert_ok(say_relaychange(&world, &newer, REGISTRAR));
    assert_error(say_relaychange(&world, &older, REGISTRAR), E_STALE_STATEMENT);
    struct relaychange future = moved_to("tcp://far.example:443", 11, &ahead);
    future.created.ms = WORLD_TIME + 2 * DAY_MS;
    assert_error(say_relaychange(&world, &future, REGISTRAR), E_STALE_STATEMENT);
}

static void a_move_changes_neither_keys_nor_logs(void **state) {
    (void)state;
    AUTO_WORLD world = with_de();
    AUTO_BUF items = {0};
    struct relaychange change = moved_to("tcp://new.example:443", 9, &items);
    change.has_log = true;
    memcpy(change.log, pair_of(NEW_LOG).public, KEY_SIZE);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_MALFORMED);
    change.has_log = false;
    change.has_size = true;
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_MALFORMED);
}

static void addresses_and_keys_are_looked_at(void **state) {
    (void)state;
    AUTO_WORLD world = with_de();
    AUTO_BUF items = {0}, twice = {0}, once = {0};
    struct relaychange change = moved_to("two words", 9, &items);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_BAD_TEXT);
    change.addresses = (struct list){0};
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_MISSING_FIELD);
    cbor_put_bytes(&twice, bytes_text("tcp://a:1"));
    cbor_put_bytes(&twice, bytes_text("tcp://a:1"));
    change.addresses = list_of(&twice, 2);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_CONFLICT);
    change = moved_to("tcp://new.example:443", 9, &once);
    memset(change.curve, 0, KEY_SIZE);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_BAD_KEY);
}

static void after_a_loss_it_goes_on_under_new_keys_from_what_is_left(void **state) {
    (void)state;
    AUTO_WORLD world = with_de();
    AUTO_BUF items = {0};
    struct card card = {.name = "relay.example"};
    struct relaychange change = recovered(&world, &items);
    uint64_t size = change.size;

    change.size = size + 1;
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_MISMATCH);
    change.size = size;
    change.root[0] ^= 1;
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_MISMATCH);
    change.root[0] ^= 1;
    memcpy(change.log, pair_of(AUTHORITY).public, KEY_SIZE); /* known as something else */
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_CONFLICT);
    memcpy(change.log, change.statement, KEY_SIZE);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_CONFLICT);
    memset(change.log, 0, KEY_SIZE);
    assert_error(say_relaychange(&world, &change, REGISTRAR), E_BAD_KEY);
    memcpy(change.log, pair_of(NEW_LOG).public, KEY_SIZE);
    bool *const needed[] = {&change.has_log,  &change.has_statement, &change.has_size,
                            &change.has_root, &change.has_entries,   &change.has_entries_root,
                            &change.has_old_log, &change.has_old_statement};
    for (size_t i = 0; i < LENGTH(needed); i++) {
        *needed[i] = false;
        assert_error(say_relaychange(&world, &change, REGISTRAR), E_MISSING_FIELD);
        *needed[i] = true;
    }
    assert_ok(say_relaychange(&world, &change, REGISTRAR));
    directory_relay_card(world.directory, &card);
    assert_memory_equal(card.log, change.log, KEY_SIZE);
    assert_memory_equal(card.statement, change.statement, KEY_SIZE);
    struct card then;
    directory_relay_card_at(world.directory, size + 1, &card, &then);
    assert_memory_equal(then.log, change.log, KEY_SIZE);
    directory_relay_card_at(world.directory, size, &card, &then); /* whichever card was given */
    assert_memory_equal(then.log, change.old_log, KEY_SIZE);
    assert_memory_equal(then.statement, change.old_statement, KEY_SIZE);
    const struct directory_relay *relay = directory_relay_nth(world.directory, 0);
    assert_int_equal(relay->index, size);
    assert_int_equal(relay->entries, 7);

    /* The keys are used up: nobody may be enrolled, nor the relay recovered, under them. */
    AUTO_BUF more = {0};
    struct relaychange again = recovered(&world, &more);
    assert_error(say_relaychange(&world, &again, REGISTRAR), E_CONFLICT);
    struct charter charter = charter_of("fj", NEW_LOG);
    assert_ok(say_charter(&world, &charter, NEW_LOG)); /* a charter names whom it likes; it is admitted by people */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_registrars_say_where_the_relay_is),
        cmocka_unit_test(as_many_registrars_as_the_card_asks_for_move_it),
        cmocka_unit_test(a_move_that_was_kept_back_undoes_nothing),
        cmocka_unit_test(a_move_changes_neither_keys_nor_logs),
        cmocka_unit_test(addresses_and_keys_are_looked_at),
        cmocka_unit_test(after_a_loss_it_goes_on_under_new_keys_from_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
