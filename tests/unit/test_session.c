/* test_session.c - sessions follow keys, not connections. Every test checks the table's invariants as it goes. */
#include "directory_fixture.h"
#include "session.h"

enum { FIRST = 1000, ROOM = 4, NOBODY = -1 };

struct table {
    struct sessions *sessions;
    struct route older; /* what the last arrival displaced */
    uint64_t now_ms;
};

static struct table table_new(size_t room) {
    struct table table = {.sessions = sessions_new(room, FIRST), .now_ms = 1};
    assert_non_null(table.sessions);
    return table;
}

static void table_free(struct table *table) {
    sessions_check(table->sessions);
    sessions_free(table->sessions);
}
#define AUTO_TABLE __attribute__((cleanup(table_free))) struct table

static void key_of(unsigned number, uint8_t ret[static KEY_SIZE]) {
    memset(ret, 0, KEY_SIZE);
    ret[0] = (uint8_t)number;
    ret[1] = (uint8_t)(number >> 8);
}

static struct session *find(const struct table *table, unsigned key) {
    uint8_t transport[KEY_SIZE];
    key_of(key, transport);
    return sessions_by_key(table->sessions, transport);
}

static enum error try_arrive(struct table *table, unsigned key, unsigned connection, int fd, struct session **ret) {
    uint8_t transport[KEY_SIZE];
    key_of(key, transport);
    struct route route = {.id = {0, (uint8_t)connection, (uint8_t)(connection >> 8)}, .n = 5};
    enum error error = sessions_arrive(table->sessions, transport, &route, fd, table->now_ms, ret, &table->older);
    sessions_check(table->sessions);
    return error;
}

static struct session *arrive(struct table *table, unsigned key, unsigned connection, int fd) {
    struct session *session = NULL;
    assert_ok(try_arrive(table, key, connection, fd, &session));
    assert_non_null(session);
    return session;
}

static void session_is_found_by_key_and_number_while_the_connection_lasts(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    struct session *session = arrive(&table, 1, 11, 7);
    assert_int_equal(table.older.n, 0);
    assert_int_equal(session->fd, 7);
    assert_true(session->number > FIRST);
    assert_ptr_equal(find(&table, 1), session);
    assert_ptr_equal(sessions_by_number(table.sessions, session->number), session);
    assert_null(find(&table, 2));
    assert_null(sessions_by_number(table.sessions, session->number + 1));
    uint64_t number = session->number;
    assert_ptr_equal(arrive(&table, 1, 11, 7), session);
    assert_int_equal(session->number, number);
    assert_int_equal(table.older.n, 0);
}

static void second_connection_of_a_key_takes_over_and_names_the_older(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    struct session *session = arrive(&table, 1, 11, 7);
    uint64_t number = session->number;
    session->waiting = 3;
    session->bucket = (struct bucket){5, 6, true};
    assert_ptr_equal(arrive(&table, 1, 12, 8), session);
    assert_int_equal(table.older.n, 5);
    assert_int_equal(table.older.id[1], 11);
    assert_null(sessions_by_number(table.sessions, number)); /* answers for the older one find nobody */
    assert_int_not_equal(session->number, number);
    assert_int_equal(session->waiting, 0);
    assert_int_equal(session->bucket.thousandths, 5); /* but the rate is the key's */
    sessions_part_fd(table.sessions, 7);              /* the older connection's end is not the newer one's */
    assert_int_equal(session->route.n, 5);
    sessions_part_fd(table.sessions, 8);
    assert_int_equal(session->route.n, 0);
}

static void same_chosen_routing_id_over_another_connection_is_a_new_session(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    uint64_t number = arrive(&table, 1, 11, 7)->number;
    struct session *session = arrive(&table, 1, 11, 8);
    assert_int_not_equal(session->number, number);
    assert_int_equal(table.older.n, 0); /* nobody is there to be told */
    assert_int_equal(session->fd, 8);
}

static void reused_fd_belongs_to_its_latest_user(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    struct session *first = arrive(&table, 1, 11, 7);
    struct session *second = arrive(&table, 2, 12, 7);
    assert_int_equal(first->route.n, 0);
    assert_int_equal(first->fd, NOBODY);
    sessions_part_fd(table.sessions, 7);
    assert_int_equal(second->route.n, 0);
    sessions_part_fd(table.sessions, NOBODY);
    sessions_part_fd(table.sessions, 7);
}

static void fd_that_is_not_known_does_no_harm(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    struct session *first = arrive(&table, 1, 11, NOBODY), *second = arrive(&table, 2, 12, NOBODY);
    sessions_part_fd(table.sessions, NOBODY);
    assert_int_equal(first->route.n, 5);
    sessions_part(table.sessions, second);
    sessions_part(table.sessions, second);
    assert_int_equal(second->route.n, 0);
}

static void parted_session_keeps_its_rate_until_it_is_swept(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    struct session *session = arrive(&table, 1, 11, 7);
    session->bucket = (struct bucket){5, 6, true};
    sessions_part_fd(table.sessions, 7);
    sessions_sweep(table.sessions, table.now_ms + SESSION_IDLE_MS - 1);
    assert_ptr_equal(find(&table, 1), session);
    assert_ptr_equal(arrive(&table, 1, 12, 8), session);
    assert_int_equal(session->bucket.thousandths, 5);
    sessions_part_fd(table.sessions, 8);
    sessions_sweep(table.sessions, table.now_ms + SESSION_IDLE_MS);
    assert_null(find(&table, 1));
    assert_int_equal(sessions_count(table.sessions), 0);
}

static void connected_session_is_never_swept(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    arrive(&table, 1, 11, 7);
    sessions_sweep(table.sessions, table.now_ms + 100 * (uint64_t)SESSION_IDLE_MS);
    assert_non_null(find(&table, 1));
}

static void full_table_forgets_who_parted_first_and_refuses_when_all_are_connected(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    struct session *refused = NULL;
    for (unsigned key = 0; key < ROOM; key++) arrive(&table, key, 10 + key, (int)(20 + key));
    assert_error(try_arrive(&table, 9, 19, 29, &refused), E_BUSY);
    assert_null(refused);
    arrive(&table, 1, 11, 21); /* who is known may still speak */
    sessions_part_fd(table.sessions, 22);
    sessions_part_fd(table.sessions, 20);
    arrive(&table, 9, 19, 29);
    assert_null(find(&table, 2));
    assert_non_null(find(&table, 0));
    assert_int_equal(sessions_count(table.sessions), ROOM);
}

static void connected_ones_are_listed_longest_silent_first(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    for (unsigned key = 0; key < 3; key++, table.now_ms++) arrive(&table, key, 10 + key, (int)(20 + key));
    arrive(&table, 0, 10, 20);
    sessions_part_fd(table.sessions, 21);
    const struct session *at = sessions_next(table.sessions, NULL);
    assert_ptr_equal(at, find(&table, 2));
    at = sessions_next(table.sessions, at);
    assert_ptr_equal(at, find(&table, 0));
    assert_null(sessions_next(table.sessions, at));
}

static void unsent_frames_are_kept_in_order_within_bounds_and_go_with_the_connection(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(ROOM);
    struct session *session = arrive(&table, 1, 11, 7), *other = arrive(&table, 2, 12, 8);
    assert_ok(sessions_keep(table.sessions, session, bytes_text("one"), 8, 5));
    assert_ok(sessions_keep(table.sessions, session, bytes_text("three"), 8, 6));
    assert_error(sessions_keep(table.sessions, session, bytes_text("!"), 8, 7), E_BUSY);
    assert_error(sessions_keep(table.sessions, other, bytes_text("too long!"), 8, 7), E_BUSY);
    assert_ok(sessions_keep(table.sessions, other, bytes_text("x"), 8, 7));
    assert_int_equal(sessions_unsent(table.sessions), 9);
    assert_int_equal(session->stuck_ms, 5);
    assert_memory_equal(session->unsent_first->bytes, "one", 3);
    sessions_sent(table.sessions, session, 9);
    assert_memory_equal(session->unsent_first->bytes, "three", 5);
    assert_int_equal(session->stuck_ms, 9);
    sessions_check(table.sessions);
    arrive(&table, 1, 13, 9); /* another connection: what the earlier one asked is not for it */
    assert_null(session->unsent_first);
    sessions_part_fd(table.sessions, 8);
    assert_int_equal(sessions_unsent(table.sessions), 0);
    assert_ok(sessions_keep(table.sessions, session, bytes_text("left"), 8, 7)); /* freed with the table */
}

/* A long random life; sessions_check in arrive() and at the end tells. */
static void table_stays_whole_whatever_happens(void **state) {
    (void)state;
    AUTO_TABLE table = table_new(32);
    uint32_t chance = 1;
    for (unsigned i = 0; i < 20000; i++) {
        chance = chance * 1664525 + 1013904223;
        unsigned key = (chance >> 8) % 48, connection = (chance >> 16) % 96;
        struct session *session;
        table.now_ms += (chance >> 4) % 2000;
        if (chance >> 31) {
            enum error error = try_arrive(&table, key, connection, (int)connection, &session);
            assert_true(error == E_OK || error == E_BUSY);
        } else {
            sessions_part_fd(table.sessions, (int)connection);
        }
        if (i % 64 == 0) sessions_sweep(table.sessions, table.now_ms);
    }
    assert_true(sessions_count(table.sessions) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_is_found_by_key_and_number_while_the_connection_lasts),
        cmocka_unit_test(second_connection_of_a_key_takes_over_and_names_the_older),
        cmocka_unit_test(same_chosen_routing_id_over_another_connection_is_a_new_session),
        cmocka_unit_test(reused_fd_belongs_to_its_latest_user),
        cmocka_unit_test(fd_that_is_not_known_does_no_harm),
        cmocka_unit_test(parted_session_keeps_its_rate_until_it_is_swept),
        cmocka_unit_test(connected_session_is_never_swept),
        cmocka_unit_test(full_table_forgets_who_parted_first_and_refuses_when_all_are_connected),
        cmocka_unit_test(connected_ones_are_listed_longest_silent_first),
        cmocka_unit_test(unsent_frames_are_kept_in_order_within_bounds_and_go_with_the_connection),
        cmocka_unit_test(table_stays_whole_whatever_happens),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
