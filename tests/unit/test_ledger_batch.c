/* test_ledger_batch.c - a batch is taken whole or not at all: full disks, enrolments, revocations, prekeys. */
#include <sqlite3.h>

#include "ledger_fixture.h"

/* The store's own connection, caught when it is opened, so that its size can be limited and its tables be read. */
static sqlite3 *connection;

static int catch_connection(sqlite3 *db, UNUSED char **error, UNUSED const struct sqlite3_api_routines *routines) {
    connection = db;
    return SQLITE_OK;
}

static int setup_caught(void **state) {
    /* SQLite's own interface takes the hook as a function without parameters */
    assert_int_equal(sqlite3_auto_extension((void (*)(void))catch_connection), SQLITE_OK);
    int result = setup(state);
    sqlite3_reset_auto_extension();
    return connection ? result : -1;
}

static void hash_rows(const char *table, crypto_generichash_state *hash) {
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", table);
    sqlite3_stmt *rows;
    assert_int_equal(sqlite3_prepare_v2(connection, sql, -1, &rows, NULL), SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(rows); i++) {
            const void *data = sqlite3_column_blob(rows, i);
            int size = sqlite3_column_bytes(rows, i);
            crypto_generichash_update(hash, (const uint8_t *)&size, sizeof size);
            if (size) crypto_generichash_update(hash, data, (unsigned)size);
        }
    }
    sqlite3_finalize(rows);
    sqlite3_free(sql);
}

/* Every row of every table. */
static void hash_store(uint8_t ret[static HASH_SIZE]) {
    crypto_generichash_state hash;
    sqlite3_stmt *tables;
    unsigned count = 0;
    crypto_generichash_init(&hash, NULL, 0, HASH_SIZE);
    assert_int_equal(sqlite3_prepare_v2(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
                                        -1, &tables, NULL),
                     SQLITE_OK);
    for (; sqlite3_step(tables) == SQLITE_ROW; count++) hash_rows((const char *)sqlite3_column_text(tables, 0), &hash);
    sqlite3_finalize(tables);
    assert_true(count >= 10);
    crypto_generichash_final(&hash, ret, HASH_SIZE);
}

static int64_t number_of(const char *sql) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* From now on the store may grow by this many pages. */
static void leave_pages(int64_t pages) {
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)(number_of("PRAGMA page_count") + pages));
    number_of(sql);
}

/* ---- enrolling ---- */

enum { NEW_DEVICE = DEVICE + 20 };

struct dossier_draft {
    struct buf statements, prekeys;
    size_t statement_count, prekey_count;
};

static void draft_free(struct dossier_draft *draft) {
    buf_free(&draft->statements);
    buf_free(&draft->prekeys);
}
#define AUTO_DRAFT __attribute__((cleanup(draft_free))) struct dossier_draft

static void draft_statement(struct dossier_draft *draft, enum leaf_kind kind, const struct buf *stamped) {
    dirstatement_encode(&(struct dirstatement){(uint64_t)kind, buf_bytes(stamped)}, &draft->statements);
    draft->statement_count++;
}

static void draft_prekey(struct dossier_draft *draft, unsigned number, uint32_t day, unsigned key) {
    AUTO_BUF stamped = {0};
    stamp_prekey(number, day, key, &stamped);
    cbor_put_bytes(&draft->prekeys, buf_bytes(&stamped));
    draft->prekey_count++;
}

/* A new decider of fj/national. */
static struct dossier_draft draft_device(void) {
    struct dossier_draft draft = {0};
    struct device device = device_of("fj/national", OTHER_POST_KEY, NEW_DEVICE, ROLE_DECIDER);
    struct countersign countersign = countersign_of(&device, OTHER_AUTHORITY);
    AUTO_BUF certificate = {0}, voucher = {0};
    sign_device(&device, OTHER_POST_KEY, &certificate);
    sign_countersign(&countersign, OTHER_AUTHORITY, &voucher);
    draft_statement(&draft, LEAF_DEVICE, &certificate);
    draft_statement(&draft, LEAF_COUNTERSIGN, &voucher);
    return draft;
}

static enum error enrol_in_batch(struct bench *bench, const struct dossier_draft *draft) {
    struct response response = {0};
    struct job job = {0};
    transport_of(NEW_DEVICE, job.transport);
    struct enrol enrol = {.statements = list_of(&draft->statements, draft->statement_count),
                          .prekeys = list_of(&draft->prekeys, draft->prekey_count)};
    assert_ok(enrolment_enrol(&bench->book, &job, &enrol, &response));
    enum error error = response.type == MESSAGE_FAILURE ? response.error : E_OK;
    response_free(&response);
    return error;
}

static enum error publish_in_batch(struct bench *bench, unsigned number, const struct dossier_draft *draft) {
    struct response response = {0};
    struct job job = job_of(number);
    struct publish publish = {.prekeys = list_of(&draft->prekeys, draft->prekey_count)};
    assert_ok(enrolment_publish(&bench->book, &job, &publish, &response));
    enum error error = response.type == MESSAGE_FAILURE ? response.error : E_OK;
    response_free(&response);
    return error;
}

static uint32_t today(const struct bench *bench) { return (uint32_t)(bench->book.now.ms / DAY_MS); }

static void the_same_enrolment_twice_in_one_batch_is_one(void **state) {
    struct bench *bench = *state;
    uint64_t size = directory_size(bench->book.directory), leaves;
    AUTO_DRAFT draft = draft_device();
    draft_prekey(&draft, NEW_DEVICE, today(bench), 900);
    begin(bench);
    assert_ok(enrol_in_batch(bench, &draft));
    assert_ok(enrol_in_batch(bench, &draft));
    commit_batch(bench);
    assert_ok(enrol_in_batch(bench, &draft)); /* and later */
    assert_int_equal(directory_size(bench->book.directory), size + 2);
    assert_ok(bench->book.store->ops->leaf_count(bench->book.store, &leaves));
    assert_int_equal(leaves, size + 2);
    assert_non_null(directory_device(bench->book.directory, pair_of(NEW_DEVICE).public));
}

/* What the directory holds may come along again, whoever signed it: that a registrar's word is signed otherwise must not stop
 * the ledger. */
static void an_enrolment_that_repeats_every_statement_of_the_directory_is_answered(void **state) {
    struct bench *bench = *state;
    AUTO_DRAFT draft = draft_device();
    draft_prekey(&draft, NEW_DEVICE, today(bench), 900);
    for (size_t i = 0; i < bench->world.count; i++) {
        struct leaf leaf;
        assert_ok(leaf_decode(buf_bytes(&bench->world.leaves[i]), &leaf));
        dirstatement_encode(&(struct dirstatement){leaf.kind, leaf.statement}, &draft.statements);
        draft.statement_count++;
    }
    begin(bench);
    assert_ok(enrol_in_batch(bench, &draft));
    commit_batch(bench);
}

static enum error declare_in_batch(struct bench *bench, const struct dossier_draft *draft) {
    struct response response = {0};
    struct declare declare = {.statements = list_of(&draft->statements, draft->statement_count)};
    assert_ok(enrolment_declare(&bench->book, &declare, &response));
    enum error error = response.type == MESSAGE_FAILURE ? response.error : E_OK;
    response_free(&response);
    return error;
}

/* SENDER extends its own certificate by a little. */
static void draft_renewal(struct dossier_draft *draft, unsigned step) {
    AUTO_BUF stamped = {0};
    struct device device = device_of("de/technical", SENDER, SENDER, ROLE_DECIDER);
    device.not_after.ms += step;
    sign_device(&device, SENDER, &stamped);
    draft_statement(draft, LEAF_DEVICE, &stamped);
}

static enum error renew_in_batch(struct bench *bench, unsigned step) {
    AUTO_DRAFT draft = {0};
    draft_renewal(&draft, step);
    return declare_in_batch(bench, &draft);
}

static enum error state_post_in_batch(struct bench *bench) {
    AUTO_DRAFT draft = {0};
    AUTO_BUF stamped = {0};
    struct post post = post_of("de/technical", AUTHORITY, POST_KEY);
    sign_post(&post, AUTHORITY, &stamped);
    draft_statement(&draft, LEAF_POST, &stamped);
    return declare_in_batch(bench, &draft);
}

/* Of a device that the directory has never seen: nothing else bounds how many there are. */
static enum error revoke_unseen_in_batch(struct bench *bench, unsigned number) {
    AUTO_DRAFT draft = {0};
    AUTO_BUF stamped = {0};
    struct revocation revocation = revocation_of("fj/national", number, OTHER_POST_KEY);
    sign_revocation(&revocation, OTHER_POST_KEY, &stamped);
    draft_statement(&draft, LEAF_REVOCATION, &stamped);
    return declare_in_batch(bench, &draft);
}

static void revocations_of_devices_that_never_came_are_counted(void **state) {
    struct bench *bench = *state;
    begin(bench);
    for (unsigned i = 0; i < 64; i++) assert_ok(revoke_unseen_in_batch(bench, 3000 + i));
    assert_error(revoke_unseen_in_batch(bench, 3064), E_OVER_QUOTA);
    assert_ok(revoke_unseen_in_batch(bench, SISTER)); /* one that is there */
    commit_batch(bench);
}

/* The log is for ever: neither a device nor a party makes it grow without end, and what ends them always passes. */
static void the_log_grows_by_so_much_a_day_and_a_revocation_always_passes(void **state) {
    struct bench *bench = *state;
    bench->config.quota_directory = 70;
    begin(bench);
    for (unsigned i = 1; i <= 62; i++) assert_ok(renew_in_batch(bench, i));
    AUTO_DRAFT three = {0}; /* two would have room: taken whole or not at all, and then nothing is counted */
    for (unsigned i = 63; i <= 65; i++) draft_renewal(&three, i);
    assert_error(declare_in_batch(bench, &three), E_OVER_QUOTA);
    for (unsigned i = 63; i <= 64; i++) assert_ok(renew_in_batch(bench, i));
    assert_error(renew_in_batch(bench, 65), E_OVER_QUOTA);
    for (unsigned i = 0; i < 6; i++) assert_ok(state_post_in_batch(bench)); /* its party has more */
    assert_error(state_post_in_batch(bench), E_OVER_QUOTA);
    AUTO_DRAFT other = draft_device(); /* and another party all of its own */
    draft_prekey(&other, NEW_DEVICE, today(bench), 900);
    assert_ok(enrol_in_batch(bench, &other));
    AUTO_DRAFT end = {0};
    AUTO_BUF stamped = {0};
    struct revocation revocation = revocation_of("de/technical", OTHER_SENDER, SENDER);
    sign_revocation(&revocation, SENDER, &stamped);
    draft_statement(&end, LEAF_REVOCATION, &stamped);
    assert_ok(declare_in_batch(bench, &end));
    commit_batch(bench);
    bench->book.now.ms += DAY_MS;
    begin(bench);
    assert_ok(renew_in_batch(bench, 66));
    commit_batch(bench);
}

static void a_prekey_that_contradicts_another_leaves_nothing_of_its_message_behind(void **state) {
    struct bench *bench = *state;
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    hash_store(before);
    AUTO_DRAFT draft = draft_device();
    draft_prekey(&draft, NEW_DEVICE, today(bench), 900);
    draft_prekey(&draft, NEW_DEVICE, today(bench) + 1, 901);
    draft_prekey(&draft, NEW_DEVICE, today(bench), 902);
    begin(bench);
    assert_error(enrol_in_batch(bench, &draft), E_CONFLICT);
    assert_null(bench->book.growing);
    AUTO_DRAFT again = {0};
    draft_prekey(&again, SENDER, today(bench) + 1, 903);
    draft_prekey(&again, SENDER, today(bench), 904); /* the store has another for this day */
    assert_error(publish_in_batch(bench, SENDER, &again), E_CONFLICT);
    AUTO_DRAFT foreign = {0};
    draft_prekey(&foreign, SENDER, today(bench) + 2, 905);
    draft_prekey(&foreign, OTHER_SENDER, today(bench) + 2, 906);
    assert_error(publish_in_batch(bench, SENDER, &foreign), E_NOT_ALLOWED);
    AUTO_DRAFT distant = {0};
    draft_prekey(&distant, SENDER, today(bench) + 3, 907);
    draft_prekey(&distant, SENDER, today(bench) + 300, 908);
    assert_error(publish_in_batch(bench, SENDER, &distant), E_OUT_OF_RANGE);
    commit_batch(bench);
    hash_store(after);
    assert_memory_equal(before, after, HASH_SIZE);
    AUTO_DRAFT good = {0};
    draft_prekey(&good, SENDER, today(bench) + 1, 909);
    draft_prekey(&good, SENDER, today(bench) + 1, 909);
    draft_prekey(&good, SENDER, today(bench), SENDER + 500);
    begin(bench);
    assert_ok(publish_in_batch(bench, SENDER, &good));
    commit_batch(bench);
}

static void draft_replacement(struct dossier_draft *draft, uint32_t day, unsigned key, uint64_t serial) {
    AUTO_BUF payload = {0}, stamped = {0};
    struct prekey prekey = {.day = day, .has_serial = true, .serial = serial};
    memcpy(prekey.device, pair_of(SENDER).public, KEY_SIZE);
    transport_of(key, prekey.key);
    prekey_encode(&prekey, &payload);
    assert_ok(stamp_sign_one(LABEL_PREKEY, pair_of(SENDER).secret, buf_bytes(&payload), &stamped));
    cbor_put_bytes(&draft->prekeys, buf_bytes(&stamped));
    draft->prekey_count++;
}

static void assert_handed_out(struct bench *bench, uint32_t day, unsigned key) {
    AUTO_BUF held = {0};
    struct bytes payload;
    struct prekey prekey;
    uint8_t public[KEY_SIZE];
    transport_of(key, public);
    assert_ok(bench->book.store->ops->prekey_newest(bench->book.store, pair_of(SENDER).public, day, &held));
    assert_ok(stamp_peek(buf_bytes(&held), &payload));
    assert_ok(prekey_decode(payload, &prekey));
    assert_memory_equal(prekey.key, public, KEY_SIZE);
}

static void a_device_that_lost_its_day_keys_replaces_them_by_a_higher_serial_only(void **state) {
    struct bench *bench = *state;
    static const struct {
        unsigned key, then;
        uint64_t serial;
        enum error error;
    } steps[] = {{910, 910, 7, E_OK},
                 {911, 910, 7, E_CONFLICT},
                 {912, 910, 6, E_CONFLICT},
                 {910, 910, 7, E_OK},
                 {913, 913, 8, E_OK}};
    for (size_t i = 0; i < LENGTH(steps); i++) {
        AUTO_DRAFT draft = {0};
        draft_replacement(&draft, today(bench), steps[i].key, steps[i].serial);
        begin(bench);
        assert_int_equal(publish_in_batch(bench, SENDER, &draft), steps[i].error);
        commit_batch(bench);
        assert_handed_out(bench, today(bench), steps[i].then);
    }
    AUTO_DRAFT plain = {0}; /* one without a serial never takes a place */
    draft_prekey(&plain, SENDER, today(bench), SENDER + 500);
    begin(bench);
    assert_error(publish_in_batch(bench, SENDER, &plain), E_CONFLICT);
    commit_batch(bench);
}

/* The entries of a batch name the directory that was committed before it, and are judged by that: so who is revoked in
 * a batch is still heard in it, and never after it. */
static void a_revocation_counts_from_the_end_of_its_batch_on_as_the_entries_say(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    struct evidence last;
    bool receipt;
    AUTO_BUF bytes = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    AUTO_DRAFT draft = {0};
    AUTO_BUF revocation_bytes = {0};
    struct revocation revocation = revocation_of("fj/national", RECIPIENT, OTHER_AUTHORITY);
    sign_revocation(&revocation, OTHER_AUTHORITY, &revocation_bytes);
    draft_statement(&draft, LEAF_REVOCATION, &revocation_bytes);
    struct declare revoke = {.statements = list_of(&draft.statements, 1)};
    uint64_t size = directory_size(bench->book.directory);
    begin(bench);
    assert_ok(enrolment_declare(&bench->book, &revoke, &response));
    assert_int_equal(response.type, MESSAGE_DONE);
    response_free(&response);
    assert_ok(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1, NULL));
    commit_batch(bench);
    check_chain(bench, &parcel, 0, &bytes, &last);
    assert_int_equal(last.entry.size, size);
    const struct directory_device *device = directory_device(bench->book.directory, pair_of(RECIPIENT).public);
    assert_ok(directory_live_at(device, last.entry.size, last.entry.time));
    assert_error(directory_live_at(device, size + 1, last.entry.time), E_REVOKED);
    begin(bench);
    assert_error(say(bench, &parcel, 0, EVENT_HANDED_OVER, RECIPIENT, 2, &receipt), E_REVOKED);
    assert_false(receipt);
    assert_ok(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1, &receipt)); /* what it was told it is told again */
    assert_true(receipt);
    assert_ok(say(bench, &parcel, 0, EVENT_HANDED_OVER, SISTER, 3, NULL));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_HANDED_OVER);
    assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), E_REVOKED);
    assert_ok(fetch_offer(bench, &parcel, 0, SISTER));
}

/* A sender that is revoked, in the middle of bringing its chunks. */
static void the_submission_of_a_revoked_device_stays_where_it_was(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    struct store_leg leg;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    AUTO_PARCEL other = parcel_new(bench, 2, 1);
    AUTO_DRAFT draft = {0};
    AUTO_BUF revocation_bytes = {0};
    struct revocation revocation = revocation_of("de/technical", SENDER, AUTHORITY);
    sign_revocation(&revocation, AUTHORITY, &revocation_bytes);
    draft_statement(&draft, LEAF_REVOCATION, &revocation_bytes);
    begin(bench);
    submit_leg(bench, &parcel, 0, false, &response);
    response_free(&response);
    assert_ok(enrolment_declare(&bench->book, &(struct declare){list_of(&draft.statements, 1)}, &response));
    response_free(&response);
    commit_batch(bench);
    struct job job = job_of(SENDER);
    struct chunk chunk = chunk_of(&parcel, PART_OFFER, 0);
    begin(bench);
    assert_ok(submission_chunk(&bench->book, &job, &chunk, &response));
    assert_error(response.error, E_REVOKED);
    response_free(&response);
    submit_leg(bench, &other, 0, true, &response);
    assert_int_equal(response.type, MESSAGE_FAILURE);
    assert_error(response.error, E_REVOKED);
    response_free(&response);
    commit_batch(bench);
    assert_error(bench->book.store->ops->leg_by_id(bench->book.store, parcel.leg[0], &leg), E_UNKNOWN_REQUEST);
}

/* ---- a full disk ---- */

static void a_full_disk_undoes_the_whole_batch_and_decisions_still_pass(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    uint8_t before[HASH_SIZE], after[HASH_SIZE], root[HASH_SIZE], root_after[HASH_SIZE];
    AUTO_PARCEL waiting = parcel_make(bench, (struct plan){.id = 1, .body = CHUNK_SIZE});
    store_parcel(bench, &waiting, 0);
    AUTO_PARCEL large = parcel_make(bench, (struct plan){.id = 2, .body = 3 * CHUNK_SIZE});
    AUTO_DRAFT draft = draft_device();
    draft_prekey(&draft, NEW_DEVICE, today(bench), 900);
    hash_store(before);
    directory_root(bench->book.directory, root);
    leave_pages(20);

    begin(bench);
    assert_ok(enrol_in_batch(bench, &draft));
    assert_ok(say(bench, &waiting, 0, EVENT_NOTIFIED, RECIPIENT, 1, NULL));
    assert_error(try_submit(bench, &large, 0, 1, true, &response), E_STORE_FULL);
    response_free(&response);
    book_undo(&bench->book);
    hash_store(after);
    assert_memory_equal(before, after, HASH_SIZE);
    directory_root(bench->book.directory, root_after);
    assert_memory_equal(root, root_after, HASH_SIZE);
    assert_null(bench->book.growing);
    assert_int_equal(bench->book.wake_count, 0);
    assert_int_equal(leg_of(bench, &waiting, 0).state, STATE_STORED);

    bench->book.refuse_new = true; /* as ledger.c tries the batch again */
    begin(bench);
    assert_ok(enrol_in_batch(bench, &draft));
    assert_ok(say(bench, &waiting, 0, EVENT_NOTIFIED, RECIPIENT, 1, NULL));
    submit_leg(bench, &large, 0, true, &response);
    assert_int_equal(response.type, MESSAGE_FAILURE);
    assert_error(response.error, E_STORE_FULL);
    response_free(&response);
    assert_ok(say(bench, &waiting, 0, EVENT_DECLINED, RECIPIENT, 2, NULL));
    commit_batch(bench);
    struct evidence last;
    AUTO_BUF bytes = {0};
    assert_int_equal(check_chain(bench, &waiting, 0, &bytes, &last), 3);
    assert_int_equal(leg_of(bench, &waiting, 0).state, STATE_DECLINED);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    assert_non_null(directory_device(bench->book.directory, pair_of(NEW_DEVICE).public));
}

/* The room ends at every page in turn: each time all or nothing. */
static void wherever_the_room_ends_the_batch_is_whole_or_not_there(void **state) {
    struct bench *bench = *state;
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .body = CHUNK_SIZE});
    enum error error = E_STORE_FULL;
    int64_t refused = 0, spare = number_of("PRAGMA freelist_count"); /* pages that are in the file already */
    hash_store(before);
    for (int64_t pages = 0; error != E_OK && pages < 200; pages++) {
        struct response response = {0};
        leave_pages(pages);
        begin(bench);
        error = try_submit(bench, &parcel, 0, 1, true, &response);
        if (error == E_OK) error = scribe_sign(&bench->book.scribe, bench->book.store, bench->book.statement_secret);
        if (error == E_OK) error = proofs_write(&bench->book);
        if (error == E_OK) error = bench->book.store->ops->commit(bench->book.store);
        response_free(&response);
        if (error == E_OK) break;
        assert_error(error, E_STORE_FULL);
        book_undo(&bench->book);
        hash_store(after);
        assert_memory_equal(before, after, HASH_SIZE);
        refused++;
    }
    assert_ok(error);
    assert_true(refused + spare >= CHUNK_SIZE / number_of("PRAGMA page_size"));
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 1);
}

#define TEST_CAUGHT(name) cmocka_unit_test_setup_teardown(name, setup_caught, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_CAUGHT(the_same_enrolment_twice_in_one_batch_is_one),
        TEST_CAUGHT(revocations_of_devices_that_never_came_are_counted),
        TEST_CAUGHT(the_log_grows_by_so_much_a_day_and_a_revocation_always_passes),
        TEST_CAUGHT(an_enrolment_that_repeats_every_statement_of_the_directory_is_answered),
        TEST_CAUGHT(a_prekey_that_contradicts_another_leaves_nothing_of_its_message_behind),
        TEST_CAUGHT(a_device_that_lost_its_day_keys_replaces_them_by_a_higher_serial_only),
        TEST_CAUGHT(a_revocation_counts_from_the_end_of_its_batch_on_as_the_entries_say),
        TEST_CAUGHT(the_submission_of_a_revoked_device_stays_where_it_was),
        TEST_CAUGHT(a_full_disk_undoes_the_whole_batch_and_decisions_still_pass),
        TEST_CAUGHT(wherever_the_room_ends_the_batch_is_whole_or_not_there),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
