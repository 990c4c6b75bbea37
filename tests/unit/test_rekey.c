/* test_rekey.c - a post without a live device is waited for and resealed to, on every rung; and a leg that is passed on to
 * another post of the party. What is expected is written from the protocol's section on the life of a leg. */
#include <sqlite3.h>

#include "ledger_words.h"

enum { NEW_DEVICE = 300, OTHER_POST = 310, OTHER_DEVICE = 311, OTHER_READER = 312, MANY = 10000 };

static const char national[] = "fj/national", other_post[] = "fj/other";

/* What the ledger has recorded, the world follows. */
static void let_world_follow(struct bench *bench) {
    struct world *world = &bench->world;
    while (world->count < directory_size(bench->book.directory)) {
        struct buf *leaf = &world->leaves[world->count];
        assert_ok(bench->book.store->ops->leaf_get(bench->book.store, world->count, leaf));
        assert_ok(directory_apply(world->directory, buf_bytes(leaf)));
        world->count++;
    }
    world->time = bench->book.now.ms + 1000;
}

static void join(struct bench *bench, const char *post, unsigned key, unsigned number, enum device_role role) {
    world_device(&bench->world, post, OTHER_AUTHORITY, key, number, role);
    catch_up(bench);
    publish_prekey(bench, number, (uint32_t)(bench->book.now.ms / DAY_MS));
}

static int set_up(void **state) {
    setup(state);
    struct bench *bench = *state;
    world_post(&bench->world, other_post, OTHER_AUTHORITY, OTHER_POST);
    join(bench, other_post, OTHER_POST, OTHER_DEVICE, ROLE_DECIDER);
    join(bench, other_post, OTHER_POST, OTHER_READER, ROLE_READER);
    return 0;
}

/* As a client sends it: the directory grows by it, and the ledger takes note. */
static void revoke_in_batch(struct bench *bench, const char *post, unsigned number) {
    AUTO_BUF stamped = {0}, statements = {0};
    struct response response = {0};
    struct revocation revocation = revocation_of(post, number, OTHER_AUTHORITY);
    sign_revocation(&revocation, OTHER_AUTHORITY, &stamped);
    dirstatement_encode(&(struct dirstatement){LEAF_REVOCATION, buf_bytes(&stamped)}, &statements);
    struct declare declare = {.statements = list_of(&statements, 1)};
    assert_ok(enrolment_declare(&bench->book, &declare, &response));
    assert_int_equal(response.type, MESSAGE_DONE);
    response_free(&response);
}

static void revoke_alone(struct bench *bench, const char *post, unsigned number) {
    begin(bench);
    revoke_in_batch(bench, post, number);
    commit_batch(bench);
    let_world_follow(bench);
}

/* One batch of the work that is left; how many entries it wrote. */
static uint64_t run_rekey(struct bench *bench, bool *ret_more) {
    uint64_t before, after;
    begin(bench);
    assert_ok(bench->book.store->ops->entry_count(bench->book.store, &before));
    assert_ok(rekey_run(&bench->book, ret_more));
    commit_batch(bench);
    assert_ok(bench->book.store->ops->entry_count(bench->book.store, &after));
    return after - before;
}

static uint64_t run_all(struct bench *bench) {
    bool more = true;
    uint64_t count = 0;
    while (more) count += run_rekey(bench, &more);
    return count;
}

static enum error reseal(struct bench *bench, const struct cargo *parcel, unsigned number, uint64_t generation) {
    return speak(bench, parcel,
                 &(struct words){.event = EVENT_RESEALED,
                                 .post = "de/technical",
                                 .for_post = leg_of(bench, parcel, 0).to,
                                 .number = number,
                                 .nonce = (uint8_t)(generation + number),
                                 .generation = generation},
                 NULL);
}

static enum error note(struct bench *bench, const struct cargo *parcel, unsigned number, uint64_t generation,
                       uint8_t nonce) {
    return speak(
        bench, parcel,
        &(struct words){
            .event = EVENT_CANNOT_OPEN, .post = national, .number = number, .nonce = nonce, .generation = generation},
        NULL);
}

/* The last entry's event, after the whole chain was checked. */
static enum leg_event last_event(struct bench *bench, const struct cargo *parcel) {
    AUTO_BUF bytes = {0};
    struct evidence last;
    check_chain(bench, parcel, 0, &bytes, &last);
    return (enum leg_event)last.statement.event;
}

static struct store_feed newest_of(struct bench *bench, const char *post) {
    uint64_t newest;
    struct store_feed item = {0};
    assert_ok(bench->book.store->ops->feed_newest(bench->book.store, post, &newest));
    assert_ok(bench->book.store->ops->feed_next(bench->book.store, post, newest - 1, &item));
    return item;
}

/* ---- nobody there ---- */

static void a_leg_to_a_post_without_a_device_is_stored_and_waits(void **state) {
    struct bench *bench = *state;
    world_post(&bench->world, "fj/new", OTHER_AUTHORITY, OTHER_POST + 20);
    catch_up(bench);
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .to = "fj/new"});
    store_parcel(bench, &parcel, 0);
    struct store_leg leg = leg_of(bench, &parcel, 0);
    assert_int_equal(leg.state, STATE_STORED);
    assert_true(leg.needs_rekey);
    assert_int_equal(leg.ordinal, 2);
    assert_int_equal(last_event(bench, &parcel), EVENT_REKEY_NEEDED);
    assert_int_equal(newest_of(bench, "de/technical").kind, ITEM_CHANGED);
    assert_ok(send_parcel(bench, &parcel, 0)); /* again: answered as before */
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 2);

    assert_error(reseal(bench, &parcel, SENDER, 2), E_WRONG_STATE); /* there is still nobody */
    world_device(&bench->world, "fj/new", OTHER_AUTHORITY, OTHER_POST + 20, NEW_DEVICE, ROLE_DECIDER);
    catch_up(bench);
    publish_prekey(bench, NEW_DEVICE, (uint32_t)(bench->book.now.ms / DAY_MS));
    assert_ok(reseal(bench, &parcel, OTHER_SENDER, 2)); /* a reader, of the same post, suffices */
    leg = leg_of(bench, &parcel, 0);
    assert_false(leg.needs_rekey);
    assert_int_equal(leg.generation, 2);
    assert_int_equal(leg.state, STATE_STORED);
    assert_int_equal(last_event(bench, &parcel), EVENT_RESEALED);
    assert_int_equal(newest_of(bench, "fj/new").kind, ITEM_OFFERED);
    assert_int_equal(newest_of(bench, "de/technical").kind, ITEM_CHANGED);
}

/* ---- on every rung ---- */

struct rung {
    enum leg_kind kind;
    enum leg_event route[5];
    bool can; /* as leg.def says beside its rungs: from STORED to ACCEPTED, of a reply only STORED */
};
static const struct rung rungs[] = {
    {LEG_REQUEST, {EVENT_NONE}, true},
    {LEG_REQUEST, {EVENT_NOTIFIED}, true},
    {LEG_REQUEST, {EVENT_NOTIFIED, EVENT_OPENED}, true},
    {LEG_REQUEST, {EVENT_NOTIFIED, EVENT_FORWARDED}, true},
    {LEG_REQUEST, {EVENT_NOTIFIED, EVENT_FORWARDED, EVENT_NOTIFIED}, true},
    {LEG_REQUEST, {EVENT_ACCEPTED}, true},
    {LEG_OFFER_ONLY, {EVENT_NONE}, true},
    {LEG_OFFER_ONLY, {EVENT_ACCEPTED}, true},
    {LEG_REQUEST, {EVENT_ACCEPTED, EVENT_HANDED_OVER}, false},
    {LEG_REQUEST, {EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED}, false},
    {LEG_REQUEST, {EVENT_DECLINED}, false},
    {LEG_REQUEST, {EVENT_WITHDRAWN}, false},
    {LEG_REQUEST, {EVENT_ACCEPTED, EVENT_CLOSED}, false},
    {LEG_REPLY, {EVENT_NONE}, true},
    {LEG_REPLY, {EVENT_HANDED_OVER}, false},
    {LEG_REPLY, {EVENT_WITHDRAWN}, false},
};

static enum error forward(struct bench *bench, const struct cargo *parcel, const char *from, unsigned number,
                          const char *to, uint64_t generation) {
    return speak(bench, parcel,
                 &(struct words){.event = EVENT_FORWARDED,
                                 .post = from,
                                 .for_post = to,
                                 .number = number,
                                 .nonce = (uint8_t)generation,
                                 .generation = generation,
                                 .forward = to},
                 NULL);
}

static void walk(struct bench *bench, const struct cargo *parcel, const enum leg_event *route) {
    bool away = false;
    for (uint8_t nonce = 1; *route != EVENT_NONE; route++, nonce++) {
        if (*route == EVENT_FORWARDED)
            assert_ok(forward(bench, parcel, national, RECIPIENT, other_post, 2));
        else
            assert_ok(speak(bench, parcel,
                            &(struct words){.event = *route,
                                            .post = *route == EVENT_WITHDRAWN ? "de/technical"
                                                    : away                    ? other_post
                                                                              : national,
                                            .number = *route == EVENT_WITHDRAWN ? SENDER
                                                      : away                    ? OTHER_DEVICE
                                                                                : RECIPIENT,
                                            .nonce = nonce},
                            NULL));
        away |= *route == EVENT_FORWARDED;
    }
}

static void on_every_rung_a_lost_post_is_noticed_once_and_resealed_to(void **state) {
    struct bench *bench = *state;
    struct cargo parcels[LENGTH(rungs)], parent = parcel_new(bench, 100, 1);
    struct store_leg before[LENGTH(rungs)];
    uint64_t due = 0;
    store_parcel(bench, &parent, 0);
    walk(bench, &parent, (const enum leg_event[]){EVENT_ACCEPTED, EVENT_HANDED_OVER, EVENT_NONE});
    for (size_t i = 0; i < LENGTH(rungs); i++) {
        bool reply = rungs[i].kind == LEG_REPLY;
        parcels[i] = parcel_make(
            bench, (struct plan){.id = 1 + (unsigned)i, .kind = rungs[i].kind, .parent = reply ? &parent : NULL});
        store_parcel(bench, &parcels[i], 0);
        walk(bench, &parcels[i], rungs[i].route);
        before[i] = leg_of(bench, &parcels[i], 0);
        assert_false(before[i].needs_rekey);
        due += rungs[i].can;
    }
    revoke_alone(bench, national, RECIPIENT);
    revoke_alone(bench, other_post, OTHER_DEVICE);
    assert_int_equal(run_all(bench), 0); /* their sisters can */
    revoke_alone(bench, national, SISTER);
    revoke_alone(bench, other_post, OTHER_READER);
    assert_int_equal(run_all(bench), due);
    revoke_alone(bench, national, 0);
    assert_int_equal(run_all(bench), 0); /* it was said */
    join(bench, other_post, OTHER_POST, NEW_DEVICE, ROLE_READER);
    world_post(&bench->world, national, OTHER_AUTHORITY, OTHER_POST + 30);
    join(bench, national, OTHER_POST + 30, NEW_DEVICE + 1, ROLE_READER);
    assert_int_equal(run_all(bench), 0);
    for (size_t i = 0; i < LENGTH(rungs); i++) {
        struct store_leg leg = leg_of(bench, &parcels[i], 0);
        assert_int_equal(leg.needs_rekey, rungs[i].can);
        assert_int_equal(leg.state, before[i].state);
        assert_int_equal(leg.ordinal, before[i].ordinal + rungs[i].can);
        if (rungs[i].can) assert_int_equal(last_event(bench, &parcels[i]), EVENT_REKEY_NEEDED);
        enum error error = reseal(bench, &parcels[i], SENDER, leg.generation + 1);
        assert_error(error, rungs[i].can ? E_OK : E_WRONG_STATE);
        leg = leg_of(bench, &parcels[i], 0);
        assert_false(leg.needs_rekey);
        assert_int_equal(leg.state, before[i].state);
        assert_int_equal(leg.generation, before[i].generation + rungs[i].can);
        if (rungs[i].can) assert_int_equal(last_event(bench, &parcels[i]), EVENT_RESEALED);
        parcel_free(&parcels[i]);
    }
    parcel_free(&parent);
}

/* ---- what the devices say ---- */

static void all_devices_must_say_that_they_cannot_open_it(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    join(bench, national, OTHER_POST_KEY, NEW_DEVICE, ROLE_READER); /* after it was sealed */
    assert_ok(note(bench, &parcel, RECIPIENT, 1, 1));
    assert_ok(note(bench, &parcel, RECIPIENT, 1, 2));  /* the same device again */
    assert_ok(note(bench, &parcel, NEW_DEVICE, 1, 3)); /* it was never sealed for this one */
    assert_false(leg_of(bench, &parcel, 0).needs_rekey);
    assert_ok(note(bench, &parcel, SISTER, 1, 4));
    assert_true(leg_of(bench, &parcel, 0).needs_rekey);
    uint32_t ordinal = leg_of(bench, &parcel, 0).ordinal;
    assert_ok(note(bench, &parcel, SISTER, 1, 5));
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, ordinal);
    assert_ok(reseal(bench, &parcel, SENDER, 2));
    assert_ok(note(bench, &parcel, RECIPIENT, 1, 6)); /* about the wraps that were */
    assert_ok(note(bench, &parcel, SISTER, 1, 7));
    assert_ok(note(bench, &parcel, NEW_DEVICE, 2, 8));
    assert_ok(note(bench, &parcel, SISTER, 2, 9));
    assert_false(leg_of(bench, &parcel, 0).needs_rekey);
    assert_ok(note(bench, &parcel, RECIPIENT, 2, 10));
    assert_true(leg_of(bench, &parcel, 0).needs_rekey);
    assert_ok(note(bench, &parcel, RECIPIENT, 0, 11)); /* that names none: kept, and no more */
}

static void who_cannot_and_who_is_gone_count_together(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(note(bench, &parcel, RECIPIENT, 1, 1));
    revoke_alone(bench, national, SISTER);
    assert_int_equal(run_all(bench), 1);
    assert_true(leg_of(bench, &parcel, 0).needs_rekey);
}

static void a_certificate_that_runs_out_is_noticed_in_time(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_make(bench, (struct plan){.id = 1, .keep_s = KEEP_MAX_S});
    store_parcel(bench, &parcel, 0);
    begin(bench);
    assert_ok(rekey_housekeep(&bench->book));
    commit_batch(bench);
    assert_int_equal(run_all(bench), 0);
    bench->book.now.ms = WORLD_TIME + 300 * DAY_MS; /* when all certificates of this world end */
    begin(bench);
    assert_ok(rekey_housekeep(&bench->book));
    commit_batch(bench);
    assert_int_equal(run_all(bench), 1);
    assert_true(leg_of(bench, &parcel, 0).needs_rekey);
    begin(bench);
    assert_ok(rekey_housekeep(&bench->book));
    commit_batch(bench);
    bool more;
    assert_int_equal(run_rekey(bench, &more), 0);
    assert_false(more);
}

/* How much the relay remembers of what devices said about wraps. */
static uint64_t marks(struct bench *bench) {
    sqlite3 *store = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(bench->path, &store, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(store, "SELECT count(*) FROM quota WHERE key LIKE 'cannot %'", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(store);
    return count;
}

static void what_was_said_about_wraps_is_forgotten_with_them(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL resealed = parcel_new(bench, 1, 1), over = parcel_new(bench, 2, 1), other = parcel_new(bench, 3, 1);
    store_parcel(bench, &resealed, 0);
    store_parcel(bench, &over, 0);
    store_parcel(bench, &other, 0);
    assert_ok(note(bench, &resealed, RECIPIENT, 1, 1));
    assert_ok(note(bench, &resealed, SISTER, 1, 2));
    assert_ok(note(bench, &over, SISTER, 1, 3));
    assert_ok(note(bench, &other, SISTER, 1, 4));
    assert_int_equal(marks(bench), 4);
    assert_ok(reseal(bench, &resealed, SENDER, 2));
    assert_int_equal(marks(bench), 2);
    assert_ok(say_alone(bench, &over, 0, EVENT_NOTIFIED, RECIPIENT, 5)); /* still with who might need others */
    assert_int_equal(marks(bench), 2);
    assert_ok(say_alone(bench, &over, 0, EVENT_DECLINED, RECIPIENT, 6));
    assert_int_equal(marks(bench), 1);
    assert_ok(note(bench, &over, SISTER, 1, 7)); /* kept as a receipt, and no more */
    assert_int_equal(marks(bench), 1);
    assert_ok(note(bench, &other, RECIPIENT, 1, 8)); /* the other leg's word was not touched */
    assert_true(leg_of(bench, &other, 0).needs_rekey);
}

/* ---- who may reseal, with what ---- */

static void a_wrap_set_that_is_not_right_changes_nothing(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    struct words good = {.event = EVENT_RESEALED,
                         .post = "de/technical",
                         .for_post = national,
                         .number = SENDER,
                         .nonce = 1,
                         .generation = 2};
    struct {
        struct words words;
        enum error error;
    } bad[] = {{good, E_MISSING_FIELD}, {good, E_NOT_ALLOWED}, {good, E_MISMATCH},        {good, E_MISMATCH},
               {good, E_OUT_OF_RANGE},  {good, E_CONFLICT},    {good, E_STALE_DIRECTORY}, {good, E_STALE_DIRECTORY},
               {good, E_NOT_ALLOWED},   {good, E_NOT_ALLOWED}};
    bad[0].words.no_set = true;
    bad[1].words.signer = OTHER_SENDER;
    bad[2].words.other_leg = true;
    bad[3].words.said_generation = 3;
    bad[4].words.generation = 3;
    bad[5].words.generation = 1;
    bad[6].words.no_wraps = true;
    bad[7].words.for_post = other_post;
    bad[8].words.number = RECIPIENT; /* the recipient itself is no sealer */
    bad[8].words.post = national;
    bad[9].words.number = DEVICE + 2; /* a bell */
    struct store_leg before = leg_of(bench, &parcel, 0);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        bool receipt;
        bad[i].words.nonce = (uint8_t)(50 + i);
        assert_error(speak(bench, &parcel, &bad[i].words, &receipt), bad[i].error);
        assert_false(receipt);
        struct store_leg after = leg_of(bench, &parcel, 0);
        assert_memory_equal(&after, &before, sizeof before);
    }
    assert_ok(speak(bench, &parcel, &good, NULL)); /* also when nobody said that it is needed */
    assert_int_equal(leg_of(bench, &parcel, 0).generation, 2);
}

static void of_two_sisters_the_first_to_reseal_stands(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    struct words first = {.event = EVENT_RESEALED,
                          .post = "de/technical",
                          .for_post = national,
                          .number = SENDER,
                          .nonce = 1,
                          .generation = 2};
    struct words second = first;
    second.number = OTHER_SENDER;
    begin(bench);
    assert_ok(speak_in_batch(bench, &parcel, &first, &receipt));
    assert_error(speak_in_batch(bench, &parcel, &second, &receipt), E_CONFLICT);
    assert_false(receipt);
    commit_batch(bench);
    struct store_leg leg = leg_of(bench, &parcel, 0), after;
    assert_ok(speak(bench, &parcel, &first, &receipt)); /* repeated: answered as before */
    assert_true(receipt);
    assert_error(speak(bench, &parcel, &second, &receipt), E_CONFLICT);
    after = leg_of(bench, &parcel, 0);
    assert_memory_equal(&after, &leg, sizeof leg);
    AUTO_BUF opening = {0}, wrapset = {0};
    assert_ok(bench->book.store->ops->leg_sealed(bench->book.store, leg.id, &opening, &wrapset));
    struct bytes payload;
    struct wrapset set;
    assert_ok(stamp_verify(LABEL_WRAPSET, pair_of(SENDER).public, buf_bytes(&wrapset), &payload));
    assert_ok(wrapset_decode(payload, &set));
    assert_int_equal(set.generation, 2);
}

static void resealing_races_with_decisions_and_loses_to_the_end(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL accepted = parcel_new(bench, 1, 1);
    AUTO_PARCEL withdrawn = parcel_new(bench, 2, 1);
    store_parcel(bench, &accepted, 0);
    store_parcel(bench, &withdrawn, 0);
    assert_ok(say_alone(bench, &accepted, 0, EVENT_ACCEPTED, RECIPIENT, 1));
    assert_ok(reseal(bench, &accepted, SENDER, 2));
    assert_int_equal(leg_of(bench, &accepted, 0).state, STATE_ACCEPTED);
    assert_ok(say_alone(bench, &accepted, 0, EVENT_HANDED_OVER, SISTER, 2));
    assert_ok(say_alone(bench, &withdrawn, 0, EVENT_WITHDRAWN, SENDER, 1));
    assert_error(reseal(bench, &withdrawn, SENDER, 2), E_WRONG_STATE);
    assert_int_equal(leg_of(bench, &withdrawn, 0).generation, 1);
}

static void a_leg_cannot_be_resealed_without_end(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    uint64_t generation = 2;
    enum error error;
    while ((error = reseal(bench, &parcel, SENDER, generation)) == E_OK) assert_true(++generation < 1000);
    assert_error(error, E_WRONG_STATE);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1));
}

/* ---- many ---- */

/* The parcel's leg, and others like it until there are `count`. */
static void store_many(struct bench *bench, const struct cargo *parcel, uint64_t count) {
    struct store *store = bench->book.store;
    AUTO_BUF opening = {0}, wrapset = {0};
    store_parcel(bench, parcel, 0);
    struct store_leg leg = leg_of(bench, parcel, 0);
    assert_ok(store->ops->leg_sealed(store, leg.id, &opening, &wrapset));
    assert_ok(store->ops->begin(store));
    for (uint64_t i = 1; i < count; i++) {
        struct store_leg more = leg;
        more.sequence = 1000000 + i;
        memcpy(more.leg, &i, sizeof i);
        memset(more.leg + sizeof i, 0x42, HASH_SIZE - sizeof i);
        assert_ok(store->ops->leg_add(store, &more, buf_bytes(&opening), buf_bytes(&wrapset), &more.id));
    }
    assert_ok(store->ops->commit(store));
}

static void ten_thousand_legs_are_looked_at_in_pieces_and_hold_nobody_up(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_many(bench, &parcel, MANY);
    begin(bench);
    revoke_in_batch(bench, national, 0);
    bool more;
    assert_ok(rekey_run(&bench->book, &more)); /* in the very batch: not yet, entries would name the old directory */
    assert_true(more);
    assert_false(leg_of(bench, &parcel, 0).needs_rekey);
    commit_batch(bench);
    uint64_t done = 0, batches = 0, largest = 0;
    for (more = true; more; batches++) {
        uint64_t count = run_rekey(bench, &more);
        if (count > largest) largest = count;
        done += count;
        if (batches != 10) continue;
        AUTO_PARCEL meanwhile = parcel_make(bench, (struct plan){.id = 2, .sender = SENDER, .to = other_post});
        store_parcel(bench, &meanwhile, 0);
    }
    assert_int_equal(done, MANY);
    assert_true(largest <= 256);
    assert_true(batches >= MANY / 256);
    assert_int_equal(run_rekey(bench, &more), 0);
    assert_false(more);
    assert_true(leg_of(bench, &parcel, 0).needs_rekey);
}

/* The ledger is gone without a word, in the middle of a batch; another one opens its store. */
static void die_and_start(struct bench *bench) {
    struct book *book = &bench->book;
    uint8_t root[HASH_SIZE];
    book->store->ops->close(book->store);
    directory_free(book->growing);
    directory_free(book->directory);
    merkle_tree_free(&book->tree);
    scribe_free(&book->scribe);
    book->growing = NULL;
    book->tree = (struct merkle_tree){0};
    book->scribe = (struct scribe){0};
    book->wake_count = 0;
    assert_ok(store_sqlite_open(bench->path, false, &book->store));
    book->directory = fresh_directory();
    for (size_t i = 0; i < bench->world.count; i++) {
        assert_ok(directory_apply(book->directory, buf_bytes(&bench->world.leaves[i])));
        directory_root(book->directory, root);
        uint8_t stored[HASH_SIZE];
        assert_ok(book->store->ops->leaf_root(book->store, i + 1, stored));
        assert_memory_equal(stored, root, HASH_SIZE);
    }
    assert_ok(book_fill_tree(book));
}

static void a_scan_that_was_cut_off_goes_on_where_the_last_batch_ended(void **state) {
    struct bench *bench = *state;
    enum { SOME = 2000 };
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_many(bench, &parcel, SOME);
    revoke_alone(bench, national, 0);
    bool more = true;
    uint64_t done = 0;
    for (unsigned batches = 0; more; batches++) {
        done += run_rekey(bench, &more);
        if (!more || batches % 3 == 2) continue;
        begin(bench); /* the next piece is looked at, but the batch does not come to its end */
        bool lost;
        uint64_t before, after;
        assert_ok(rekey_run(&bench->book, &lost));
        die_and_start(bench);
        assert_ok(bench->book.store->ops->entry_count(bench->book.store, &before));
        assert_int_equal(before, 1 + done); /* that it was stored, and what was committed: nothing of the lost batch */
        die_and_start(bench);               /* also between two batches, and twice in a row */
        assert_ok(bench->book.store->ops->entry_count(bench->book.store, &after));
        assert_int_equal(after, before);
    }
    assert_int_equal(done, SOME); /* each leg once */
    assert_true(leg_of(bench, &parcel, 0).needs_rekey);
    die_and_start(bench);
    assert_int_equal(run_all(bench), 0);
}

/* ---- passing on ---- */

static void only_a_decider_passes_on_and_only_within_the_party(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_error(forward(bench, &parcel, national, RECIPIENT, other_post, 2), E_WRONG_STATE); /* nobody has looked */
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, SISTER, 1));
    world_post(&bench->world, "fj/gone", OTHER_AUTHORITY, OTHER_POST + 40);
    catch_up(bench);
    revoke_alone(bench, "fj/gone", 0);
    struct store_leg before = leg_of(bench, &parcel, 0), after;
    assert_error(forward(bench, &parcel, national, SISTER, other_post, 2), E_NOT_ALLOWED); /* a reader */
    assert_error(forward(bench, &parcel, "de/technical", SENDER, other_post, 2), E_NOT_ALLOWED);
    assert_error(forward(bench, &parcel, other_post, OTHER_DEVICE, other_post, 2), E_NOT_ALLOWED);
    assert_error(forward(bench, &parcel, national, RECIPIENT, "de/technical", 2), E_NOT_ALLOWED);
    assert_error(forward(bench, &parcel, national, RECIPIENT, national, 2), E_NOT_ALLOWED);
    assert_error(forward(bench, &parcel, national, RECIPIENT, "fj/unknown", 2), E_UNKNOWN_POST);
    assert_error(forward(bench, &parcel, national, RECIPIENT, "fj/gone", 2), E_REVOKED);
    assert_error(forward(bench, &parcel, national, RECIPIENT, other_post, 3), E_OUT_OF_RANGE);
    after = leg_of(bench, &parcel, 0);
    after.ordinal = before.ordinal; /* the lost try before it was notified is a receipt */
    assert_memory_equal(&after, &before, sizeof before);
    struct words words = {.event = EVENT_FORWARDED,
                          .post = national,
                          .for_post = other_post,
                          .number = RECIPIENT,
                          .nonce = 99,
                          .generation = 2,
                          .forward = other_post};
    assert_ok(speak(bench, &parcel, &words, NULL));
}

static void what_is_passed_on_is_with_the_other_post_alone(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_int_equal(quota(bench, "pair real de fj/national"), 1);
    assert_ok(forward(bench, &parcel, national, RECIPIENT, other_post, 2));
    struct store_leg leg = leg_of(bench, &parcel, 0);
    assert_string_equal(leg.to, other_post);
    assert_int_equal(leg.state, STATE_FORWARDED);
    assert_int_equal(leg.generation, 2);
    assert_false(leg.needs_rekey);
    assert_int_equal(quota(bench, "pair real de fj/national"), 0);
    assert_int_equal(quota(bench, "pair real de fj/other"), 1);
    assert_int_equal(quota(bench, "legs real de"), 1);
    assert_int_equal(newest_of(bench, other_post).kind, ITEM_OFFERED);
    assert_int_equal(newest_of(bench, national).kind, ITEM_CHANGED);
    assert_int_equal(newest_of(bench, "de/technical").kind, ITEM_CHANGED);
    assert_ok(fetch_offer(bench, &parcel, 0, OTHER_READER));
    assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), E_UNKNOWN_REQUEST);

    uint64_t heard = newest_of(bench, national).number;
    struct words accept = {.event = EVENT_ACCEPTED, .post = national, .number = RECIPIENT, .nonce = 9};
    assert_error(speak(bench, &parcel, &accept, &receipt), E_WRONG_STATE); /* too late, and kept as that */
    assert_true(receipt);
    assert_error(speak(bench, &parcel, &accept, &receipt), E_WRONG_STATE);
    struct words late = {.event = EVENT_OPENED, .post = national, .number = SISTER, .nonce = 10};
    assert_ok(speak(bench, &parcel, &late, &receipt));
    assert_true(receipt);
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, leg.ordinal);
    assert_int_equal(newest_of(bench, national).number, heard + 2); /* its own receipts */

    struct words words = {.event = EVENT_NOTIFIED, .post = other_post, .number = OTHER_READER, .nonce = 11};
    assert_ok(speak(bench, &parcel, &words, NULL));
    words.event = EVENT_ACCEPTED;
    assert_error(speak(bench, &parcel, &words, NULL), E_NOT_ALLOWED);
    words.number = OTHER_DEVICE;
    assert_ok(speak(bench, &parcel, &words, NULL));
    assert_ok(fetch_part(bench, &parcel, 0, PART_BODY, OTHER_DEVICE));
    assert_error(fetch_part(bench, &parcel, 0, PART_BODY, RECIPIENT), E_UNKNOWN_REQUEST);
    assert_int_equal(newest_of(bench, national).number, heard + 2); /* it hears no more */
    words.event = EVENT_HANDED_OVER;
    assert_ok(speak(bench, &parcel, &words, NULL));
    words.event = EVENT_ACKNOWLEDGED;
    assert_ok(speak(bench, &parcel, &words, NULL));
    assert_int_equal(quota(bench, "pair real de fj/other"), 0);
    assert_int_equal(quota(bench, "legs real de"), 0);
}

static size_t tracked_by(struct bench *bench, const struct cargo *parcel, unsigned number) {
    struct track track = {0};
    struct tracked tracked;
    struct response response = {0};
    struct job job = job_of(number);
    AUTO_BUF body = {0};
    memcpy(track.leg, parcel->leg[0], HASH_SIZE);
    track_encode(&track, &body);
    assert_ok(handover_answer(&bench->book, &job, MESSAGE_TRACK, buf_bytes(&body), &response));
    size_t count = 0;
    if (response.type == MESSAGE_TRACKED) {
        assert_ok(tracked_decode(buf_bytes(&response.body), &tracked));
        count = tracked.receipts.count;
    }
    response_free(&response);
    return count;
}

static void the_old_post_keeps_the_evidence_it_had(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_int_equal(tracked_by(bench, &parcel, OTHER_DEVICE), 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_ok(forward(bench, &parcel, national, RECIPIENT, other_post, 2));
    struct words words = {.event = EVENT_NOTIFIED, .post = other_post, .number = OTHER_DEVICE, .nonce = 1};
    assert_ok(speak(bench, &parcel, &words, NULL));
    assert_int_equal(tracked_by(bench, &parcel, RECIPIENT), 3); /* stored, notified, forwarded */
    assert_int_equal(tracked_by(bench, &parcel, OTHER_DEVICE), 4);
    assert_int_equal(tracked_by(bench, &parcel, SENDER), 4);
}

static void who_has_passed_it_on_may_seal_it_again_and_the_new_post_may_not(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_ok(forward(bench, &parcel, national, RECIPIENT, other_post, 2));
    struct words words = {.event = EVENT_RESEALED,
                          .post = other_post,
                          .for_post = other_post,
                          .number = OTHER_DEVICE,
                          .nonce = 1,
                          .generation = 3};
    assert_error(speak(bench, &parcel, &words, NULL), E_NOT_ALLOWED);
    words.post = national;
    words.number = SISTER;
    assert_ok(speak(bench, &parcel, &words, NULL));
    assert_ok(reseal(bench, &parcel, OTHER_SENDER, 4));
    assert_int_equal(leg_of(bench, &parcel, 0).generation, 4);
    assert_string_equal(leg_of(bench, &parcel, 0).to, other_post);
}

static void it_may_come_back_and_no_request_is_twice_with_one_post(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2); /* two legs to the same post */
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_ok(forward(bench, &parcel, national, RECIPIENT, other_post, 2));
    struct words words = {.event = EVENT_NOTIFIED, .post = other_post, .number = OTHER_DEVICE, .nonce = 1};
    assert_ok(speak(bench, &parcel, &words, NULL));
    assert_ok(forward(bench, &parcel, other_post, OTHER_DEVICE, national, 3));
    assert_string_equal(leg_of(bench, &parcel, 0).to, national);
    struct words again = {.event = EVENT_NOTIFIED, .post = national, .number = RECIPIENT, .nonce = 5};
    assert_ok(speak(bench, &parcel, &again, NULL));
    assert_ok(forward(bench, &parcel, national, RECIPIENT, other_post, 4));
    store_parcel(bench, &parcel, 1);
    assert_ok(speak(bench, &parcel,
                    &(struct words){.event = EVENT_NOTIFIED, .post = other_post, .number = OTHER_DEVICE, .nonce = 6},
                    NULL));
    assert_error(forward(bench, &parcel, other_post, OTHER_DEVICE, national, 5), E_NOT_ALLOWED); /* it has the second */
}

static void passed_on_to_a_post_without_device_it_waits_there(void **state) {
    struct bench *bench = *state;
    world_post(&bench->world, "fj/new", OTHER_AUTHORITY, OTHER_POST + 20);
    catch_up(bench);
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_ok(forward(bench, &parcel, national, RECIPIENT, "fj/new", 2));
    struct store_leg leg = leg_of(bench, &parcel, 0);
    assert_true(leg.needs_rekey);
    assert_int_equal(leg.state, STATE_FORWARDED);
    assert_int_equal(last_event(bench, &parcel), EVENT_REKEY_NEEDED);
}

static void replies_go_between_the_sender_and_the_new_post(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_ok(forward(bench, &parcel, national, RECIPIENT, other_post, 2));
    struct words words = {.event = EVENT_NOTIFIED, .post = other_post, .number = OTHER_DEVICE, .nonce = 1};
    assert_ok(speak(bench, &parcel, &words, NULL));
    words.event = EVENT_ACCEPTED;
    assert_ok(speak(bench, &parcel, &words, NULL));
    AUTO_PARCEL to_old = parcel_make(bench, (struct plan){.id = 2, .kind = LEG_REPLY, .parent = &parcel});
    assert_error(send_parcel(bench, &to_old, 0), E_NOT_ALLOWED);
    AUTO_PARCEL to_new =
        parcel_make(bench, (struct plan){.id = 3, .kind = LEG_REPLY, .parent = &parcel, .to = other_post});
    assert_ok(send_parcel(bench, &to_new, 0));
    AUTO_PARCEL from_old =
        parcel_make(bench, (struct plan){.id = 4, .kind = LEG_REPLY, .parent = &parcel, .sender = RECIPIENT});
    assert_error(send_parcel(bench, &from_old, 0), E_NOT_ALLOWED);
}

#define REKEY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        REKEY_TEST(a_leg_to_a_post_without_a_device_is_stored_and_waits),
        REKEY_TEST(on_every_rung_a_lost_post_is_noticed_once_and_resealed_to),
        REKEY_TEST(all_devices_must_say_that_they_cannot_open_it),
        REKEY_TEST(who_cannot_and_who_is_gone_count_together),
        REKEY_TEST(what_was_said_about_wraps_is_forgotten_with_them),
        REKEY_TEST(a_certificate_that_runs_out_is_noticed_in_time),
        REKEY_TEST(a_wrap_set_that_is_not_right_changes_nothing),
        REKEY_TEST(of_two_sisters_the_first_to_reseal_stands),
        REKEY_TEST(resealing_races_with_decisions_and_loses_to_the_end),
        REKEY_TEST(a_leg_cannot_be_resealed_without_end),
        REKEY_TEST(ten_thousand_legs_are_looked_at_in_pieces_and_hold_nobody_up),
        REKEY_TEST(a_scan_that_was_cut_off_goes_on_where_the_last_batch_ended),
        REKEY_TEST(only_a_decider_passes_on_and_only_within_the_party),
        REKEY_TEST(what_is_passed_on_is_with_the_other_post_alone),
        REKEY_TEST(the_old_post_keeps_the_evidence_it_had),
        REKEY_TEST(who_has_passed_it_on_may_seal_it_again_and_the_new_post_may_not),
        REKEY_TEST(it_may_come_back_and_no_request_is_twice_with_one_post),
        REKEY_TEST(passed_on_to_a_post_without_device_it_waits_there),
        REKEY_TEST(replies_go_between_the_sender_and_the_new_post),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
