/* test_store.c - the store's contract (relay/store/store.h), on every store there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leg.h"
#include "schema.sql.h"
#include "store.h"

static char folder[] = "/tmp/pouch-store-XXXXXX";
static char path[64];

static struct store *open_store(bool create) {
    struct store *store = NULL;
    assert_int_equal(store_sqlite_open(path, create, &store), E_OK);
    return store;
}

static int fresh(void **state) {
    char command[128];
    snprintf(command, sizeof command, "rm -f %s*", path);
    assert_int_equal(system(command), 0);
    *state = open_store(true);
    return 0;
}

static int finish(void **state) {
    struct store *store = *state;
    if (store) store->ops->close(store);
    return 0;
}

static void fill(uint8_t *p, size_t n, uint8_t with) { memset(p, with, n); }

static struct store_request sample_request(uint8_t mark) {
    struct store_request row = {.from = "fj/technical", .at = {1000}, .bytes = 500};
    fill(row.digest, HASH_SIZE, mark);
    fill(row.device, KEY_SIZE, 1);
    fill(row.request, REQUEST_ID_SIZE, mark);
    return row;
}

static int64_t add_request(struct store *store, uint8_t mark) {
    struct store_request row = sample_request(mark);
    int64_t id = 0;
    assert_int_equal(store->ops->request_add(store, &row, bytes_text("kept"), (struct bytes){0}, &id), E_OK);
    return id;
}

static struct store_leg sample_leg(int64_t request, uint8_t mark) {
    struct store_leg leg = {.request = request,
                            .from = "fj/technical",
                            .to = "de/technical",
                            .sequence = mark,
                            .keep_s = 60,
                            .position = 7,
                            .generation = 1,
                            .kind = LEG_REQUEST,
                            .state = STATE_STORED,
                            .furthest = STATE_STORED,
                            .ordinal = 1,
                            .expires = {5000}};
    fill(leg.leg, HASH_SIZE, mark);
    fill(leg.device, KEY_SIZE, 1);
    fill(leg.head, HASH_SIZE, (uint8_t)(mark + 100));
    return leg;
}

static void a_request_is_found_by_digest_and_by_name_and_only_then(void **state) {
    struct store *store = *state;
    struct store_request row = sample_request(9), got;
    assert_int_equal(store->ops->request_by_digest(store, row.digest, &got), E_UNKNOWN_REQUEST);
    int64_t id = add_request(store, 9);
    assert_int_equal(store->ops->request_by_digest(store, row.digest, &got), E_OK);
    assert_int_equal(got.id, id);
    assert_string_equal(got.from, "fj/technical");
    assert_false(got.stored);
    assert_int_equal(got.bytes, 500);
    assert_int_equal(store->ops->request_by_name(store, row.device, row.request, &got), E_OK);
    row.device[0]++;
    assert_int_equal(store->ops->request_by_name(store, row.device, row.request, &got), E_UNKNOWN_REQUEST);
}

static void the_same_id_with_another_header_is_refused_by_the_store_too(void **state) {
    struct store *store = *state;
    struct store_request row = sample_request(9);
    int64_t id;
    add_request(store, 9);
    row.digest[0]++;
    assert_int_equal(store->ops->request_add(store, &row, bytes_text("x"), (struct bytes){0}, &id), E_CONFLICT);
}

static void conflicts_kept_as_proof_are_bounded(void **state) {
    struct store *store = *state;
    int64_t id = add_request(store, 9);
    uint8_t digest[HASH_SIZE];
    for (int i = 0; i < CONFLICTS_MAX + 5; i++) {
        fill(digest, sizeof digest, (uint8_t)(50 + i));
        assert_int_equal(store->ops->conflict_add(store, id, digest, bytes_text("other header")), E_OK);
    }
}

static void what_is_rolled_back_never_was(void **state) {
    struct store *store = *state;
    struct store_request got, row = sample_request(3);
    assert_int_equal(store->ops->begin(store), E_OK);
    add_request(store, 3);
    assert_int_equal(store->ops->request_by_digest(store, row.digest, &got), E_OK);
    store->ops->rollback(store);
    assert_int_equal(store->ops->request_by_digest(store, row.digest, &got), E_UNKNOWN_REQUEST);
}

static void the_first_missing_chunk_is_named_in_any_order_of_arrival(void **state) {
    struct store *store = *state;
    int64_t id = add_request(store, 4);
    static const uint32_t order[] = {3, 0, 2, 1};
    static const uint32_t missing_after[] = {0, 1, 1, 4};
    uint32_t missing;
    assert_int_equal(store->ops->chunk_missing(store, id, PART_BODY, 5, &missing), E_OK);
    assert_int_equal(missing, 0);
    for (size_t i = 0; i < LENGTH(order); i++) {
        assert_int_equal(store->ops->chunk_put(store, id, PART_BODY, order[i], bytes_text("data")), E_OK);
        assert_int_equal(store->ops->chunk_put(store, id, PART_BODY, order[i], bytes_text("data")),
                         E_OK); /* twice: once */
        assert_int_equal(store->ops->chunk_missing(store, id, PART_BODY, 5, &missing), E_OK);
        assert_int_equal(missing, missing_after[i]);
    }
    assert_int_equal(store->ops->chunk_missing(store, id, PART_BODY, 4, &missing), E_OK);
    assert_int_equal(missing, 4);
    assert_int_equal(store->ops->chunk_missing(store, id, PART_OFFER, 1, &missing), E_OK);
    assert_int_equal(missing, 0);
}

static void a_dropped_staging_takes_its_chunks_along_but_a_stored_request_stays(void **state) {
    struct store *store = *state;
    AUTO_BUF data = {0};
    struct store_request got;
    int64_t staged = add_request(store, 5), stored = add_request(store, 6);
    assert_int_equal(store->ops->chunk_put(store, staged, PART_BODY, 0, bytes_text("data")), E_OK);
    assert_int_equal(store->ops->request_complete(store, stored, (struct instant){2000}), E_OK);
    assert_int_equal(store->ops->request_stale(store, (struct instant){1001}, &got), E_OK);
    assert_int_equal(got.id, staged);
    assert_int_equal(store->ops->request_drop(store, staged), E_OK);
    assert_int_equal(store->ops->request_drop(store, stored), E_OK);
    assert_int_equal(store->ops->request_by_row(store, staged, &got), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->request_by_row(store, stored, &got), E_OK);
    assert_true(got.stored);
    assert_int_equal(store->ops->chunk_get(store, staged, PART_BODY, 0, &data), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->request_stale(store, (struct instant){UINT32_MAX}, &got), E_UNKNOWN_REQUEST);
}

static void a_leg_comes_back_as_it_was_put(void **state) {
    struct store *store = *state;
    struct store_leg leg = sample_leg(add_request(store, 7), 8), got;
    AUTO_BUF opening = {0}, wrapset = {0};
    leg.exercise = true;
    leg.parent = 77;
    leg.outages_ms = 88;
    leg.body = BODY_DONE;
    assert_int_equal(store->ops->leg_add(store, &leg, bytes_text("opening"), bytes_text("wraps"), &leg.id), E_OK);
    memset(&got, 0, sizeof got);
    assert_int_equal(store->ops->leg_by_id(store, leg.leg, &got), E_OK);
    assert_int_equal(got.id, leg.id);
    assert_int_equal(got.request, leg.request);
    assert_memory_equal(got.device, leg.device, KEY_SIZE);
    assert_string_equal(got.from, leg.from);
    assert_string_equal(got.to, leg.to);
    assert_int_equal(got.sequence, 8);
    assert_int_equal(got.keep_s, 60);
    assert_int_equal(got.position, 7);
    assert_int_equal(got.ordinal, 1);
    assert_int_equal(got.generation, 1);
    assert_int_equal(got.kind, LEG_REQUEST);
    assert_int_equal(got.state, STATE_STORED);
    assert_int_equal(got.furthest, STATE_STORED);
    assert_true(got.exercise);
    assert_memory_equal(got.head, leg.head, HASH_SIZE);
    assert_int_equal(got.expires.ms, 5000);
    assert_int_equal(got.parent, 77);
    assert_int_equal(got.outages_ms, 88);
    assert_int_equal(got.body, BODY_DONE);
    assert_int_equal(store->ops->leg_sealed(store, leg.id, &opening, &wrapset), E_OK);
    assert_true(bytes_are(buf_bytes(&opening), "opening"));
    assert_true(bytes_are(buf_bytes(&wrapset), "wraps"));
    assert_int_equal(store->ops->leg_by_row(store, leg.id + 1, &got), E_UNKNOWN_REQUEST);
}

static void a_sequence_number_is_used_once_for_each_recipient(void **state) {
    struct store *store = *state;
    struct store_leg leg = sample_leg(add_request(store, 7), 8), second = sample_leg(leg.request, 8);
    bool used;
    assert_int_equal(store->ops->leg_add(store, &leg, bytes_text("o"), bytes_text("w"), &leg.id), E_OK);
    assert_int_equal(store->ops->leg_sequence_used(store, leg.device, leg.to, 8, &used), E_OK);
    assert_true(used);
    assert_int_equal(store->ops->leg_sequence_used(store, leg.device, "ke/national", 8, &used), E_OK);
    assert_false(used);
    fill(second.leg, HASH_SIZE, 99);
    assert_int_equal(store->ops->leg_add(store, &second, bytes_text("o"), bytes_text("w"), &second.id), E_CONFLICT);
}

static void deadlines_come_earliest_first_and_only_for_open_legs(void **state) {
    struct store *store = *state;
    int64_t request = add_request(store, 7);
    struct store_leg late = sample_leg(request, 1), early = sample_leg(request, 2), over = sample_leg(request, 3), got;
    uint64_t open, wanted;
    late.expires.ms = 3000;
    early.expires.ms = 2000;
    over.expires.ms = 1000;
    over.state = STATE_DECLINED;
    assert_int_equal(store->ops->leg_add(store, &late, bytes_text("o"), bytes_text("w"), &late.id), E_OK);
    assert_int_equal(store->ops->leg_add(store, &early, bytes_text("o"), bytes_text("w"), &early.id), E_OK);
    assert_int_equal(store->ops->leg_add(store, &over, bytes_text("o"), bytes_text("w"), &over.id), E_OK);
    assert_int_equal(store->ops->leg_due(store, (struct instant){2000}, &got),
                     E_UNKNOWN_REQUEST); /* exactly: in time */
    assert_int_equal(store->ops->leg_due(store, (struct instant){9000}, &got), E_OK);
    assert_int_equal(got.id, early.id);
    assert_int_equal(store->ops->legs_open(store, request, &open, &wanted), E_OK);
    assert_int_equal(open, 2);
    early.state = STATE_EXPIRED;
    assert_int_equal(store->ops->leg_update(store, &early), E_OK);
    assert_int_equal(store->ops->leg_due(store, (struct instant){9000}, &got), E_OK);
    assert_int_equal(got.id, late.id);
}

static void a_body_is_due_earliest_first_and_only_for_open_legs_that_have_a_time_for_it(void **state) {
    struct store *store = *state;
    int64_t request = add_request(store, 7);
    struct store_leg late = sample_leg(request, 1), early = sample_leg(request, 2), over = sample_leg(request, 3),
                     wanted = sample_leg(request, 4), done = sample_leg(request, 5), got;
    struct store_leg *all[] = {&late, &early, &over, &wanted, &done};
    uint64_t open, waiting;
    late.body = 3000;
    early.body = 2000;
    over.body = 1000;
    over.state = STATE_CLOSED;
    done.body = BODY_DONE;
    for (size_t i = 0; i < LENGTH(all); i++)
        assert_int_equal(store->ops->leg_add(store, all[i], bytes_text("o"), bytes_text("w"), &all[i]->id), E_OK);
    assert_int_equal(store->ops->legs_open(store, request, &open, &waiting), E_OK);
    assert_int_equal(open, 4);
    assert_int_equal(waiting, 3);
    assert_int_equal(store->ops->leg_body_due(store, (struct instant){2000}, &got), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->leg_body_due(store, (struct instant){9000}, &got), E_OK);
    assert_int_equal(got.id, early.id);
    early.body = BODY_DONE;
    early.outages_ms = 11;
    early.notes[SIDE_SENDER] = 12;
    early.notes[SIDE_RECIPIENT] = 13;
    assert_int_equal(store->ops->leg_update(store, &early), E_OK);
    assert_int_equal(store->ops->leg_by_row(store, early.id, &got), E_OK);
    assert_int_equal(got.body, BODY_DONE);
    assert_int_equal(got.outages_ms, 11);
    assert_int_equal(got.notes[SIDE_SENDER], 12);
    assert_int_equal(got.notes[SIDE_RECIPIENT], 13);
    assert_int_equal(store->ops->leg_body_due(store, (struct instant){9000}, &got), E_OK);
    assert_int_equal(got.id, late.id);
}

static void what_a_request_no_longer_counts_for_is_kept_in_its_row(void **state) {
    struct store *store = *state;
    struct store_request row = sample_request(9), got;
    int64_t id = add_request(store, 9);
    assert_int_equal(store->ops->request_by_digest(store, row.digest, &got), E_OK);
    assert_int_equal(got.released, 0);
    assert_int_equal(store->ops->request_release(store, id, 300), E_OK);
    assert_int_equal(store->ops->request_by_row(store, id, &got), E_OK);
    assert_int_equal(got.released, 300);
    assert_int_equal(got.bytes, 500);
}

static void every_terminal_state_of_the_table_counts_as_closed(void **state) {
    struct store *store = *state;
    int64_t request = add_request(store, 7);
    for (unsigned i = STATE_STORED; leg_state_row(i); i++) {
        struct store_leg leg = sample_leg(request, (uint8_t)(10 + i));
        uint64_t before, after, wanted;
        leg.state = i;
        assert_int_equal(store->ops->legs_open(store, request, &before, &wanted), E_OK);
        assert_int_equal(store->ops->leg_add(store, &leg, bytes_text("o"), bytes_text("w"), &leg.id), E_OK);
        assert_int_equal(store->ops->legs_open(store, request, &after, &wanted), E_OK);
        assert_int_equal(after - before, leg_state_row(i)->terminal ? 0 : 1);
    }
}

static void receipts_are_found_three_ways_and_never_twice(void **state) {
    struct store *store = *state;
    uint8_t hash[HASH_SIZE] = {1}, other[HASH_SIZE] = {2};
    AUTO_BUF a = {0}, b = {0}, c = {0};
    int64_t id;
    uint64_t entries;
    assert_int_equal(store->ops->receipt_next(store, &id), E_OK);
    assert_int_equal(id, 1);
    assert_int_equal(store->ops->receipt_put(store, id, hash, 5, 0, 0, bytes_text("receipt")), E_OK);
    assert_int_equal(store->ops->receipt_by_hash(store, 5, hash, &a), E_OK);
    assert_int_equal(store->ops->receipt_get(store, id, &b), E_OK);
    assert_int_equal(store->ops->receipt_of(store, 5, 0, &c), E_OK);
    assert_true(bytes_are(buf_bytes(&a), "receipt") && bytes_are(buf_bytes(&b), "receipt") &&
                bytes_are(buf_bytes(&c), "receipt"));
    assert_int_equal(store->ops->receipt_put(store, 2, hash, 5, 1, 1, bytes_text("x")), E_CONFLICT);
    assert_int_equal(store->ops->receipt_put(store, 2, other, 5, 0, 1, bytes_text("x")), E_CONFLICT); /* one ordinal */
    assert_int_equal(store->ops->receipt_put(store, 2, other, 6, 0, 0, bytes_text("x")), E_CONFLICT); /* one index */
    assert_int_equal(store->ops->receipt_put(store, 2, other, 5, -1, -1, bytes_text("note")), E_OK);
    assert_int_equal(store->ops->entry_count(store, &entries), E_OK);
    assert_int_equal(entries, 1);
}

static void an_entrys_receipt_is_found_by_its_place_and_gets_its_proof_there(void **state) {
    struct store *store = *state;
    uint8_t hash[HASH_SIZE] = {1}, other[HASH_SIZE] = {2};
    AUTO_BUF bare = {0}, proven = {0}, untouched = {0}, none = {0};
    assert_int_equal(store->ops->receipt_put(store, 1, hash, 5, 0, 0, bytes_text("receipt")), E_OK);
    assert_int_equal(store->ops->receipt_put(store, 2, other, 5, 1, 1, bytes_text("another")), E_OK);
    assert_int_equal(store->ops->receipt_at(store, 0, &bare), E_OK);
    assert_true(bytes_are(buf_bytes(&bare), "receipt"));
    assert_int_equal(store->ops->receipt_prove(store, 0, bytes_text("receipt with proof")), E_OK);
    assert_int_equal(store->ops->receipt_by_hash(store, 5, hash, &proven), E_OK);
    assert_true(bytes_are(buf_bytes(&proven), "receipt with proof"));
    assert_int_equal(store->ops->receipt_at(store, 1, &untouched), E_OK);
    assert_true(bytes_are(buf_bytes(&untouched), "another"));
    assert_int_equal(store->ops->receipt_at(store, 2, &none), E_UNKNOWN_REQUEST);
}

static void nodes_of_a_log_are_replaced_in_their_place(void **state) {
    struct store *store = *state;
    AUTO_BUF got = {0}, none = {0}, above = {0};
    assert_int_equal(store->ops->tile_get(store, LOG_EVIDENCE, 0, 7, &none), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->tile_put(store, LOG_EVIDENCE, 0, 7, bytes_text("one")), E_OK);
    assert_int_equal(store->ops->tile_put(store, LOG_EVIDENCE, 0, 7, bytes_text("one and two")), E_OK);
    assert_int_equal(store->ops->tile_put(store, LOG_EVIDENCE, 1, 7, bytes_text("above")), E_OK);
    assert_int_equal(store->ops->tile_get(store, LOG_EVIDENCE, 0, 7, &got), E_OK);
    assert_true(bytes_are(buf_bytes(&got), "one and two"));
    assert_int_equal(store->ops->tile_get(store, LOG_EVIDENCE, 1, 7, &above), E_OK);
    assert_true(bytes_are(buf_bytes(&above), "above"));
    assert_int_equal(store->ops->tile_get(store, LOG_EVIDENCE, 0, 8, &none), E_UNKNOWN_REQUEST);
}

static void feeds_are_numbered_without_gaps_for_each_post(void **state) {
    struct store *store = *state;
    struct store_feed item = {.kind = ITEM_CHANGED, .request = 1, .leg = 2, .receipt = 3}, got;
    uint64_t number;
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(store->ops->feed_add(store, "de/technical", &item, &number), E_OK);
        assert_int_equal(number, i);
    }
    assert_int_equal(store->ops->feed_add(store, "fj/technical", &item, &number), E_OK);
    assert_int_equal(number, 1);
    assert_int_equal(store->ops->feed_next(store, "de/technical", 1, &got), E_OK);
    assert_int_equal(got.number, 2);
    assert_int_equal(got.receipt, 3);
    assert_int_equal(store->ops->feed_next(store, "de/technical", 3, &got), E_UNKNOWN_REQUEST);
}

static void a_device_has_one_prekey_a_day_and_the_newest_not_later_is_given(void **state) {
    struct store *store = *state;
    uint8_t device[KEY_SIZE] = {4};
    AUTO_BUF got = {0};
    assert_int_equal(store->ops->prekey_put(store, device, 10, bytes_text("ten")), E_OK);
    assert_int_equal(store->ops->prekey_put(store, device, 12, bytes_text("twelve")), E_OK);
    assert_int_equal(store->ops->prekey_put(store, device, 10, bytes_text("ten")), E_OK);
    assert_int_equal(store->ops->prekey_put(store, device, 10, bytes_text("other")), E_CONFLICT);
    assert_int_equal(store->ops->prekey_newest(store, device, 11, &got), E_OK);
    assert_true(bytes_are(buf_bytes(&got), "ten"));
    assert_int_equal(store->ops->prekey_drop(store, 11), E_OK);
    assert_int_equal(store->ops->prekey_newest(store, device, 11, &got), E_UNKNOWN_REQUEST);
}

static uint64_t counted(struct store *store, const char *key) {
    uint64_t value = UINT64_MAX;
    assert_int_equal(store->ops->quota_get(store, key, &value), E_OK);
    return value;
}

/* More names than the memory of a batch begins with, each counted several times. */
static void quotas_of_a_batch_are_seen_in_it_and_kept_or_undone_with_it(void **state) {
    struct store *store = *state;
    enum { NAMES = 300 };
    char key[32];
    assert_int_equal(store->ops->quota_add(store, "name 7 ", 5), E_OK);
    assert_int_equal(store->ops->begin(store), E_OK);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < NAMES; i++) {
            snprintf(key, sizeof key, "name %d ", i);
            assert_int_equal(store->ops->quota_add(store, key, round == 1 ? -100 : 2 + i), E_OK);
        }
    }
    assert_int_equal(counted(store, "name 7 "), 9);
    assert_int_equal(counted(store, "name 299 "), 301 - 100 + 301);
    store->ops->rollback(store);
    assert_int_equal(counted(store, "name 7 "), 5);
    assert_int_equal(counted(store, "name 299 "), 0);

    assert_int_equal(store->ops->begin(store), E_OK);
    assert_int_equal(store->ops->quota_add(store, "name 7 ", 1), E_OK);
    assert_int_equal(store->ops->quota_add(store, "name 8 ", 1), E_OK);
    assert_int_equal(store->ops->quota_drop(store, "name 7 "), E_OK);
    assert_int_equal(counted(store, "name 7 "), 0);
    assert_int_equal(store->ops->quota_add(store, "name 7 ", 3), E_OK);
    assert_int_equal(store->ops->quota_add(store, "name 7 ", -1), E_OK);
    assert_int_equal(store->ops->commit(store), E_OK);
    assert_int_equal(counted(store, "name 7 "), 2);
    assert_int_equal(counted(store, "name 8 "), 1);
    store->ops->close(store);
    *state = store = open_store(false);
    assert_int_equal(counted(store, "name 7 "), 2);
    assert_int_equal(counted(store, "name 8 "), 1);
}

static void quotas_count_and_never_go_below_zero(void **state) {
    struct store *store = *state;
    uint64_t value;
    assert_int_equal(store->ops->quota_get(store, "legs real fj", &value), E_OK);
    assert_int_equal(value, 0);
    assert_int_equal(store->ops->quota_add(store, "legs real fj", 3), E_OK);
    assert_int_equal(store->ops->quota_add(store, "legs real fj", -1), E_OK);
    assert_int_equal(store->ops->quota_get(store, "legs real fj", &value), E_OK);
    assert_int_equal(value, 2);
    assert_int_equal(store->ops->quota_add(store, "legs real fj", -9), E_OK);
    assert_int_equal(store->ops->quota_get(store, "legs real fj", &value), E_OK);
    assert_int_equal(value, 0);
}

static void counters_are_dropped_by_the_beginning_of_their_keys_and_no_others(void **state) {
    struct store *store = *state;
    static const char *const keys[] = {"cannot aa 1 ff", "cannot aa 2 00", "cannot aab 1", "cannot ab 1", "cannot aa"};
    uint64_t value;
    for (size_t i = 0; i < LENGTH(keys); i++) assert_int_equal(store->ops->quota_add(store, keys[i], 1), E_OK);
    assert_int_equal(store->ops->quota_drop(store, "cannot aa "), E_OK);
    for (size_t i = 0; i < LENGTH(keys); i++) {
        assert_int_equal(store->ops->quota_get(store, keys[i], &value), E_OK);
        assert_int_equal(value, i < 2 ? 0 : 1);
    }
}

static void directory_leaves_keep_the_root_of_every_size(void **state) {
    struct store *store = *state;
    uint8_t first[HASH_SIZE] = {1}, second[HASH_SIZE] = {2}, got[HASH_SIZE];
    uint64_t count;
    assert_int_equal(store->ops->leaf_add(store, 0, bytes_text("a"), first), E_OK);
    assert_int_equal(store->ops->leaf_add(store, 1, bytes_text("b"), second), E_OK);
    assert_int_equal(store->ops->leaf_add(store, 1, bytes_text("c"), second), E_CONFLICT);
    assert_int_equal(store->ops->leaf_root(store, 1, got), E_OK);
    assert_memory_equal(got, first, HASH_SIZE);
    assert_int_equal(store->ops->leaf_root(store, 2, got), E_OK);
    assert_memory_equal(got, second, HASH_SIZE);
    assert_int_equal(store->ops->leaf_root(store, 3, got), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->leaf_count(store, &count), E_OK);
    assert_int_equal(count, 2);
}

static void a_lost_prekey_is_replaced_on_its_own_day_only(void **state) {
    struct store *store = *state;
    uint8_t device[KEY_SIZE] = {4};
    AUTO_BUF ten = {0}, eleven = {0};
    assert_int_equal(store->ops->prekey_put(store, device, 10, bytes_text("ten")), E_OK);
    assert_int_equal(store->ops->prekey_put(store, device, 11, bytes_text("eleven")), E_OK);
    assert_int_equal(store->ops->prekey_replace(store, device, 10, bytes_text("other ten")), E_OK);
    assert_int_equal(store->ops->prekey_newest(store, device, 10, &ten), E_OK);
    assert_int_equal(store->ops->prekey_newest(store, device, 11, &eleven), E_OK);
    assert_true(bytes_are(buf_bytes(&ten), "other ten"));
    assert_true(bytes_are(buf_bytes(&eleven), "eleven"));
    assert_int_equal(store->ops->prekey_replace(store, device, 12, bytes_text("twelve")),
                     E_OK); /* or put, if none is */
    buf_clear(&ten);
    assert_int_equal(store->ops->prekey_newest(store, device, 12, &ten), E_OK);
    assert_true(bytes_are(buf_bytes(&ten), "twelve"));
}

static void the_newest_head_is_kept_for_each_who(void **state) {
    struct store *store = *state;
    AUTO_BUF a = {0}, b = {0}, none = {0};
    uint64_t size = 77;
    assert_int_equal(store->ops->head_get(store, "", &size, &none), E_UNKNOWN_REQUEST);
    assert_int_equal(size, 77);
    assert_int_equal(none.n, 0);
    assert_int_equal(store->ops->head_put(store, "", 3, bytes_text("note 3")), E_OK);
    assert_int_equal(store->ops->head_put(store, "", 5, bytes_text("note 5")), E_OK);
    assert_int_equal(store->ops->head_put(store, "witness.example/w", 3, bytes_text("cosigned 3")), E_OK);
    assert_int_equal(store->ops->head_get(store, "", &size, &a), E_OK);
    assert_int_equal(size, 5);
    assert_true(bytes_are(buf_bytes(&a), "note 5"));
    assert_int_equal(store->ops->head_get(store, "witness.example/w", &size, &b), E_OK);
    assert_int_equal(size, 3);
    assert_true(bytes_are(buf_bytes(&b), "cosigned 3"));
    assert_int_equal(store->ops->head_get(store, "witness.example/v", &size, &none), E_UNKNOWN_REQUEST);
}

static uint64_t box_number(struct store *store, const uint8_t *box, uint64_t after, const char *expected) {
    AUTO_BUF data = {0};
    uint64_t number = 0;
    enum error error = store->ops->box_next(store, box, after, &number, &data);
    assert_int_equal(error, expected ? E_OK : E_UNKNOWN_REQUEST);
    if (expected) assert_true(bytes_are(buf_bytes(&data), expected));
    return number;
}

static void a_box_gives_its_items_in_order_and_no_number_twice(void **state) {
    struct store *store = *state;
    uint8_t box[HASH_SIZE] = {1}, other[HASH_SIZE] = {2};
    uint64_t count, total;
    assert_int_equal(store->ops->box_add(store, box, false, (struct instant){10}, bytes_text("a")), E_OK);
    assert_int_equal(store->ops->box_add(store, other, false, (struct instant){10}, bytes_text("x")), E_OK);
    assert_int_equal(store->ops->box_add(store, box, false, (struct instant){20}, bytes_text("b")), E_OK);
    uint64_t first = box_number(store, box, 0, "a"), second = box_number(store, box, first, "b");
    assert_true(first > 0 && second > first);
    box_number(store, box, second, NULL);
    assert_int_equal(store->ops->box_count(store, box, &count), E_OK);
    assert_int_equal(store->ops->box_total(store, false, &total), E_OK);
    assert_int_equal(count, 2);
    assert_int_equal(total, 3);
    assert_int_equal(store->ops->box_add(store, other, true, (struct instant){20}, bytes_text("guest's")), E_OK);
    assert_int_equal(store->ops->box_total(store, true, &total), E_OK);
    assert_int_equal(total, 1);
    assert_int_equal(store->ops->box_drop(store, box, first), E_OK);
    assert_int_equal(box_number(store, box, 0, "b"), second);
    assert_int_equal(store->ops->box_drop(store, box, second), E_OK);
    box_number(store, box, 0, NULL);
    box_number(store, other, 0, "x");
    /* Emptied altogether, and the store opened anew: a device that asks for what follows `second` must not miss this. */
    assert_int_equal(store->ops->box_drop(store, other, INT64_MAX), E_OK);
    store->ops->close(store);
    *state = store = open_store(false);
    assert_int_equal(store->ops->box_add(store, box, false, (struct instant){30}, bytes_text("c")), E_OK);
    assert_true(box_number(store, box, second, "c") > second);
}

static void a_sweep_takes_the_old_items_of_all_boxes(void **state) {
    struct store *store = *state;
    uint8_t box[HASH_SIZE] = {1}, other[HASH_SIZE] = {2};
    uint64_t total;
    assert_int_equal(store->ops->box_add(store, box, false, (struct instant){10}, bytes_text("old")), E_OK);
    assert_int_equal(store->ops->box_add(store, other, false, (struct instant){19}, bytes_text("old")), E_OK);
    assert_int_equal(store->ops->box_add(store, box, false, (struct instant){20}, bytes_text("new")), E_OK);
    assert_int_equal(store->ops->box_sweep(store, (struct instant){20}), E_OK);
    assert_int_equal(store->ops->box_total(store, false, &total), E_OK);
    assert_int_equal(total, 1);
    box_number(store, box, 0, "new");
}

static void a_contact_cards_sheets_come_back_with_the_asking_devices_wraps(void **state) {
    struct store *store = *state;
    uint8_t one[HASH_SIZE] = {1}, two[HASH_SIZE] = {2}, device[KEY_SIZE] = {9}, got[HASH_SIZE] = {0};
    AUTO_BUF data = {0}, wrap = {0}, none = {0};
    unsigned audience = 0;
    assert_int_equal(store->ops->sheet_put(store, "de/technical", one, AUDIENCE_MEMBERS, bytes_text("sealed")), E_OK);
    assert_int_equal(store->ops->sheet_put(store, "de/technical", two, AUDIENCE_PUBLIC, bytes_text("plain")), E_OK);
    assert_int_equal(store->ops->sheet_nth(store, "de/technical", 1, got, &audience, &data), E_OK);
    assert_memory_equal(got, two, HASH_SIZE);
    assert_int_equal(audience, AUDIENCE_PUBLIC);
    assert_true(bytes_are(buf_bytes(&data), "plain"));
    assert_int_equal(store->ops->sheet_nth(store, "de/technical", 2, got, &audience, &none), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->sheet_nth(store, "fj/technical", 0, got, &audience, &none), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->sheetwrap_get(store, one, device, &none), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->sheetwrap_put(store, one, device, bytes_text("wrap")), E_OK);
    assert_int_equal(store->ops->sheetwrap_put(store, one, device, bytes_text("newer wrap")), E_OK);
    assert_int_equal(store->ops->sheetwrap_get(store, one, device, &wrap), E_OK);
    assert_true(bytes_are(buf_bytes(&wrap), "newer wrap"));
    assert_int_equal(store->ops->sheet_put(store, "fj/technical", one, AUDIENCE_PUBLIC, bytes_text("mine")),
                     E_CONFLICT);
    assert_int_equal(store->ops->sheet_put(store, "de/technical", one, AUDIENCE_MEMBERS, bytes_text("again")), E_OK);
    buf_clear(&data);
    assert_int_equal(store->ops->sheet_nth(store, "de/technical", 0, got, &audience, &data), E_OK);
    assert_true(bytes_are(buf_bytes(&data), "again"));
}

static bool file_holds(const char *name, const char *canary) {
    FILE *file = fopen(name, "rb");
    if (!file) return false;
    static char whole[4 * 1024 * 1024];
    size_t n = fread(whole, 1, sizeof whole, file);
    fclose(file);
    assert_true(n < sizeof whole);
    return memmem(whole, n, canary, strlen(canary)) != NULL;
}

static bool store_holds(const char *canary) {
    char journal[80];
    snprintf(journal, sizeof journal, "%s-wal", path);
    return file_holds(path, canary) || file_holds(journal, canary);
}

static void an_erased_contact_card_is_gone_from_the_file_and_its_journal(void **state) {
    struct store *store = *state;
    uint8_t one[HASH_SIZE] = {1}, other[HASH_SIZE] = {2}, device[KEY_SIZE] = {9};
    static char sheet[SHEET_MAX];
    AUTO_BUF left = {0}, none = {0};
    memset(sheet, 'x', sizeof sheet);
    memcpy(sheet + sizeof sheet / 2, "+49 30 canary in the middle", 27);
    struct bytes data = bytes_of(sheet, sizeof sheet);
    assert_int_equal(store->ops->begin(store), E_OK);
    assert_int_equal(store->ops->sheet_put(store, "de/technical", one, AUDIENCE_PUBLIC, data), E_OK);
    assert_int_equal(store->ops->sheetwrap_put(store, one, device, bytes_text("canary of a wrap")), E_OK);
    assert_int_equal(
        store->ops->sheet_put(store, "fj/technical", other, AUDIENCE_PUBLIC, bytes_text("canary of others")), E_OK);
    assert_int_equal(store->ops->commit(store), E_OK);
    assert_true(store_holds("+49 30 canary in the middle"));
    assert_true(store_holds("canary of a wrap"));
    assert_int_equal(store->ops->begin(store), E_OK);
    assert_int_equal(store->ops->sheets_erase(store, "de/technical"), E_OK);
    assert_int_equal(store->ops->commit(store), E_OK);
    assert_false(store_holds("+49 30 canary in the middle"));
    assert_false(store_holds("canary of a wrap"));
    assert_true(store_holds("canary of others"));
    uint8_t got[HASH_SIZE];
    unsigned audience;
    assert_int_equal(store->ops->sheet_nth(store, "de/technical", 0, got, &audience, &none), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->sheetwrap_get(store, one, device, &none), E_UNKNOWN_REQUEST);
    assert_int_equal(store->ops->sheet_nth(store, "fj/technical", 0, got, &audience, &left), E_OK);
}

static void open_legs_of_a_post_are_walked_row_by_row(void **state) {
    struct store *store = *state;
    int64_t request = add_request(store, 7);
    struct store_leg a = sample_leg(request, 1), over = sample_leg(request, 2), elsewhere = sample_leg(request, 3),
                     b = sample_leg(request, 4), got;
    over.state = STATE_EXPIRED;
    snprintf(elsewhere.to, sizeof elsewhere.to, "ke/national");
    struct store_leg *all[] = {&a, &over, &elsewhere, &b};
    for (size_t i = 0; i < LENGTH(all); i++)
        assert_int_equal(store->ops->leg_add(store, all[i], bytes_text("o"), bytes_text("w"), &all[i]->id), E_OK);
    assert_int_equal(store->ops->leg_open_at(store, "de/technical", 0, &got), E_OK);
    assert_int_equal(got.id, a.id);
    assert_int_equal(store->ops->leg_open_at(store, "de/technical", a.id, &got), E_OK);
    assert_int_equal(got.id, b.id);
    assert_int_equal(store->ops->leg_open_at(store, "de/technical", b.id, &got), E_UNKNOWN_REQUEST);
    /* Forwarded: it is with another post now, and its number stays taken where it was addressed. */
    bool used;
    snprintf(a.to, sizeof a.to, "de/policy");
    assert_int_equal(store->ops->leg_update(store, &a), E_OK);
    assert_int_equal(store->ops->leg_open_at(store, "de/technical", 0, &got), E_OK);
    assert_int_equal(got.id, b.id);
    assert_int_equal(store->ops->leg_open_at(store, "de/policy", 0, &got), E_OK);
    assert_int_equal(got.id, a.id);
    assert_int_equal(store->ops->leg_sequence_used(store, a.device, "de/technical", 1, &used), E_OK);
    assert_true(used);
}

static void the_condition_rekey_needed_is_kept_beside_the_rung(void **state) {
    struct store *store = *state;
    struct store_leg plain = sample_leg(add_request(store, 7), 1), needs = sample_leg(plain.request, 2), got;
    needs.needs_rekey = true;
    assert_int_equal(store->ops->leg_add(store, &plain, bytes_text("o"), bytes_text("w"), &plain.id), E_OK);
    assert_int_equal(store->ops->leg_add(store, &needs, bytes_text("o"), bytes_text("w"), &needs.id), E_OK);
    assert_int_equal(store->ops->leg_by_row(store, plain.id, &got), E_OK);
    assert_false(got.needs_rekey);
    assert_int_equal(store->ops->leg_by_row(store, needs.id, &got), E_OK);
    assert_true(got.needs_rekey);
    got.needs_rekey = false;
    assert_int_equal(store->ops->leg_update(store, &got), E_OK);
    assert_int_equal(store->ops->leg_by_row(store, needs.id, &got), E_OK);
    assert_false(got.needs_rekey);
}

/* As the first version made it, with a request and a leg in it. */
static void make_first_version(void) {
    sqlite3 *db;
    char command[128];
    snprintf(command, sizeof command, "rm -f %s*", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema_sql[0], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA user_version = 1;"
                                  "INSERT INTO meta VALUES('n', 41);"
                                  "INSERT INTO request VALUES(3, zeroblob(32), zeroblob(32), zeroblob(16), "
                                  "'fj/technical', 0, 1, 5, 6, 'k', NULL);"
                                  "INSERT INTO leg VALUES(8, 3, zeroblob(32), zeroblob(32), 'fj/technical', "
                                  "'de/technical', 1, 60, 7, 1, 1, 1, 1, 1,"
                                  " 0, zeroblob(32), 5000, 0, 'o', 'w', 'de/technical');"
                                  "INSERT INTO receipt VALUES(1, zeroblob(32), 8, 0, 0, 'entry');"
                                  "INSERT INTO receipt VALUES(2, zeroblob(31), 8, NULL, NULL, 'note');"
                                  "INSERT INTO quota VALUES('receipts r 00000000000000000000000000000000', 17);"
                                  "INSERT INTO quota VALUES('receipts s ffffffffffffffffffffffffffffffff', 18);"
                                  "INSERT INTO quota VALUES('has 00000000000000000000000000000000 00', 1);"
                                  "INSERT INTO quota VALUES('hat', 1);",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_store_of_the_first_version_is_upgraded_with_all_that_is_in_it(void **state) {
    struct store *store = *state;
    store->ops->close(store);
    make_first_version();
    *state = store = open_store(false);
    struct store_leg got;
    uint64_t value;
    uint8_t box[HASH_SIZE] = {1};
    assert_int_equal(store->ops->meta_get(store, "n", &value), E_OK);
    assert_int_equal(value, 41);
    assert_int_equal(store->ops->meta_get(store, "unproven", &value), E_OK);
    assert_int_equal(value, 1); /* entries without a place in the evidence log, which the ledger makes up for */
    assert_int_equal(store->ops->leg_open_at(store, "de/technical", 0, &got), E_OK);
    assert_int_equal(got.id, 8);
    assert_false(got.needs_rekey);
    assert_int_equal(got.body, BODY_WANTED);
    assert_int_equal(got.notes[SIDE_SENDER], 0); /* counted among the quotas before */
    assert_int_equal(got.notes[SIDE_RECIPIENT], 17);
    assert_int_equal(counted(store, "has 00000000000000000000000000000000 00"), 0); /* marked otherwise since */
    assert_int_equal(counted(store, "hat"), 1);
    assert_int_equal(store->ops->quota_get(store, "receipts r 00000000000000000000000000000000", &value), E_OK);
    assert_int_equal(value, 0);
    assert_int_equal(store->ops->box_add(store, box, false, (struct instant){1}, bytes_text("a")), E_OK);
    AUTO_BUF entry = {0};
    uint8_t hash[HASH_SIZE] = {0};
    assert_int_equal(store->ops->receipt_by_hash(store, 8, hash, &entry), E_OK);
    assert_true(bytes_are(buf_bytes(&entry), "entry"));
    assert_int_equal(store->ops->receipt_by_hash(store, 9, hash, &entry), E_UNKNOWN_REQUEST);
    store->ops->close(store);
    *state = store = open_store(false); /* upgraded once */
    box_number(store, box, 0, "a");
}

static void an_upgrade_that_fails_leaves_the_first_version_as_it_was(void **state) {
    struct store *store = *state, *none = NULL;
    sqlite3 *db;
    store->ops->close(store);
    *state = NULL;
    make_first_version();
    /* A table in the way of one of the upgrade's last steps. */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE sheetwrap(x)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_true(store_sqlite_open(path, false, &none) != E_OK);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT rekey FROM leg", NULL, NULL, NULL), SQLITE_ERROR);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE sheetwrap", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    *state = open_store(false);
}

static void a_store_of_a_newer_version_is_refused(void **state) {
    struct store *store = *state, *none = NULL;
    sqlite3 *db;
    store->ops->close(store);
    *state = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 999", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(store_sqlite_open(path, false, &none), E_CORRUPT);
    assert_int_equal(store_sqlite_open(path, true, &none), E_CORRUPT);
}

/* A child writes until it is killed and reports each commit through a pipe: everything reported must be there. */
static void what_was_committed_survives_a_kill(void **state) {
    struct store *store = *state;
    store->ops->close(store);
    *state = NULL;
    for (int round = 0; round < 5; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct store *mine;
            uint64_t at;
            if (store_sqlite_open(path, false, &mine) != E_OK) _exit(9);
            (void)!mine->ops->meta_get(mine, "n", &at);
            for (;;) {
                at++;
                if (mine->ops->begin(mine) != E_OK || mine->ops->meta_put(mine, "n", at) != E_OK ||
                    mine->ops->commit(mine) != E_OK)
                    _exit(8);
                if (write(fds[1], &at, sizeof at) != sizeof at) _exit(7);
            }
        }
        close(fds[1]);
        uint64_t reported = 0, found;
        for (int i = 0; i < 20 + round; i++)
            assert_int_equal(read(fds[0], &reported, sizeof reported), sizeof reported);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        uint64_t more;
        while (read(fds[0], &more, sizeof more) == sizeof more) reported = more;
        close(fds[0]);
        struct store *again = open_store(false);
        assert_int_equal(again->ops->meta_get(again, "n", &found), E_OK);
        assert_true(found == reported || found == reported + 1);
        again->ops->close(again);
    }
}

/* The file may not grow: the transaction fails as a whole, with a name, and what was there stays. */
static void a_full_disk_is_named_and_keeps_what_there_was(void **state) {
    struct store *store = *state;
    add_request(store, 1);
    store->ops->close(store);
    *state = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct store *mine;
        struct store_request got, row = sample_request(1);
        if (store_sqlite_open(path, false, &mine) != E_OK) _exit(1);
        struct rlimit limit = {400 * 1024, 400 * 1024};
        setrlimit(RLIMIT_FSIZE, &limit);
        static uint8_t big[64 * 1024];
        enum error error = mine->ops->begin(mine);
        for (uint32_t i = 0; i < 400 && error == E_OK; i++)
            error = mine->ops->chunk_put(mine, 1, PART_BODY, i, bytes_of(big, sizeof big));
        if (error == E_OK) error = mine->ops->commit(mine);
        mine->ops->rollback(mine);
        if (error != E_STORE_FULL && error != E_IO) _exit(2);
        if (mine->ops->request_by_digest(mine, row.digest, &got) != E_OK) _exit(3);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file_that_is_no_store_is_refused(void **state) {
    struct store *store = *state, *other = NULL;
    (void)store;
    char strange[80];
    snprintf(strange, sizeof strange, "%s/strange", folder);
    FILE *file = fopen(strange, "w");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++) fputs("not a database ", file);
    fclose(file);
    assert_int_equal(store_sqlite_open(strange, false, &other), E_CORRUPT);
    assert_int_equal(store_sqlite_open(strange, true, &other), E_CORRUPT);
    unlink(strange);
    assert_int_equal(store_sqlite_open(strange, false, &other), E_IO);
    assert_null(other);
}

int main(void) {
    if (sodium_init() < 0 || !mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/store.sqlite", folder);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_found_by_digest_and_by_name_and_only_then),
        TEST(the_same_id_with_another_header_is_refused_by_the_store_too),
        TEST(conflicts_kept_as_proof_are_bounded),
        TEST(what_is_rolled_back_never_was),
        TEST(the_first_missing_chunk_is_named_in_any_order_of_arrival),
        TEST(a_dropped_staging_takes_its_chunks_along_but_a_stored_request_stays),
        TEST(a_leg_comes_back_as_it_was_put),
        TEST(a_sequence_number_is_used_once_for_each_recipient),
        TEST(deadlines_come_earliest_first_and_only_for_open_legs),
        TEST(a_body_is_due_earliest_first_and_only_for_open_legs_that_have_a_time_for_it),
        TEST(what_a_request_no_longer_counts_for_is_kept_in_its_row),
        TEST(every_terminal_state_of_the_table_counts_as_closed),
        TEST(receipts_are_found_three_ways_and_never_twice),
        TEST(an_entrys_receipt_is_found_by_its_place_and_gets_its_proof_there),
        TEST(nodes_of_a_log_are_replaced_in_their_place),
        TEST(feeds_are_numbered_without_gaps_for_each_post),
        TEST(a_device_has_one_prekey_a_day_and_the_newest_not_later_is_given),
        TEST(quotas_count_and_never_go_below_zero),
        TEST(quotas_of_a_batch_are_seen_in_it_and_kept_or_undone_with_it),
        TEST(counters_are_dropped_by_the_beginning_of_their_keys_and_no_others),
        TEST(directory_leaves_keep_the_root_of_every_size),
        TEST(a_lost_prekey_is_replaced_on_its_own_day_only),
        TEST(the_newest_head_is_kept_for_each_who),
        TEST(a_box_gives_its_items_in_order_and_no_number_twice),
        TEST(a_sweep_takes_the_old_items_of_all_boxes),
        TEST(a_contact_cards_sheets_come_back_with_the_asking_devices_wraps),
        TEST(an_erased_contact_card_is_gone_from_the_file_and_its_journal),
        TEST(open_legs_of_a_post_are_walked_row_by_row),
        TEST(the_condition_rekey_needed_is_kept_beside_the_rung),
        TEST(a_store_of_the_first_version_is_upgraded_with_all_that_is_in_it),
        TEST(an_upgrade_that_fails_leaves_the_first_version_as_it_was),
        TEST(a_store_of_a_newer_version_is_refused),
        TEST(what_was_committed_survives_a_kill),
        TEST(a_full_disk_is_named_and_keeps_what_there_was),
        TEST(a_file_that_is_no_store_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : failed;
}
