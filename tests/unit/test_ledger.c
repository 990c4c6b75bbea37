/* test_ledger.c - the ledger's parts on a real store with really signed objects: batches are begun, applied, signed and
 * committed as ledger.c does it. */
#include <sys/stat.h>
#include <unistd.h>

#include "book.h"
#include "chunks.h"
#include "directory_fixture.h"
#include "header.h"

enum { SENDER = DEVICE, OTHER_SENDER = DEVICE + 1, RECIPIENT = DEVICE + 10, SISTER = DEVICE + 11, RELAY_KEY = 70, TEXT = 100 };

struct bench {
    char path[64];
    struct config config;
    struct world world;
    struct book book;
};

/* ---- a ledger without its loop ---- */

static void publish_prekey(struct bench *bench, unsigned number, uint32_t day) {
    struct prekey prekey = {.day = day};
    AUTO_BUF payload = {0}, stamped = {0};
    memcpy(prekey.device, pair_of(number).public, KEY_SIZE);
    transport_of(number + 500, prekey.key);
    prekey_encode(&prekey, &payload);
    assert_ok(stamp_sign_one(LABEL_PREKEY, pair_of(number).secret, buf_bytes(&payload), &stamped));
    assert_ok(bench->book.store->ops->prekey_put(bench->book.store, prekey.device, day, buf_bytes(&stamped)));
}

static void replay_world(struct bench *bench) {
    struct store *store = bench->book.store;
    uint8_t root[HASH_SIZE];
    bench->book.directory = fresh_directory();
    for (size_t i = 0; i < bench->world.count; i++) {
        assert_ok(directory_apply(bench->book.directory, buf_bytes(&bench->world.leaves[i])));
        directory_root(bench->book.directory, root);
        assert_ok(store->ops->leaf_add(store, i, buf_bytes(&bench->world.leaves[i]), root));
    }
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    snprintf(bench->path, sizeof bench->path, "/tmp/ledger-%d.sqlite", (int)getpid());
    unlink(bench->path);
    config_defaults(&bench->config);
    bench->world = world_new();
    bench->book.config = &bench->config;
    bench->book.now.ms = WORLD_TIME + 3600 * 1000;
    memcpy(bench->book.statement_key, pair_of(RELAY_KEY).public, KEY_SIZE);
    memcpy(bench->book.statement_secret, pair_of(RELAY_KEY).secret, SIGN_SECRET_SIZE);
    assert_ok(store_sqlite_open(bench->path, true, &bench->book.store));
    replay_world(bench);
    uint32_t today = (uint32_t)(bench->book.now.ms / DAY_MS);
    for (unsigned number = DEVICE; number <= DEVICE + 11; number++) publish_prekey(bench, number, today);
    *state = bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    char other[80];
    bench->book.store->ops->close(bench->book.store);
    directory_free(bench->book.directory);
    directory_free(bench->book.growing);
    scribe_free(&bench->book.scribe);
    free(bench->book.wakes);
    world_free(&bench->world);
    unlink(bench->path);
    snprintf(other, sizeof other, "%s-wal", bench->path);
    unlink(other);
    snprintf(other, sizeof other, "%s-shm", bench->path);
    unlink(other);
    free(bench);
    return 0;
}

static void begin(struct bench *bench) {
    struct book *book = &bench->book;
    assert_ok(book->store->ops->begin(book->store));
    assert_ok(scribe_begin(&book->scribe, book->store, directory_size(book->directory)));
}

static void commit_batch(struct bench *bench) {
    struct book *book = &bench->book;
    assert_ok(scribe_sign(&book->scribe, book->store, book->statement_secret));
    assert_ok(book->store->ops->commit(book->store));
    book->wake_count = 0;
}

static struct job job_of(unsigned number) {
    struct job job = {.has_device = true};
    memcpy(job.device, pair_of(number).public, KEY_SIZE);
    return job;
}

/* ---- a request of SENDER's to fj/national, with an offer and a body of one chunk each ---- */

struct parcel {
    struct header header;
    uint8_t digest[HASH_SIZE], leg[2][HASH_SIZE], seed[HASH_SIZE];
    struct buf stamped, places, wrapsets[2], chunks;
    uint8_t digests[2][HASH_SIZE];
    size_t legs;
};

static void parcel_free(struct parcel *parcel) {
    buf_free(&parcel->stamped);
    buf_free(&parcel->places);
    buf_free(&parcel->wrapsets[0]);
    buf_free(&parcel->wrapsets[1]);
    buf_free(&parcel->chunks);
}
#define AUTO_PARCEL __attribute__((cleanup(parcel_free))) struct parcel

static void fill_part(struct part *part, uint8_t fill, uint8_t digest[static HASH_SIZE]) {
    uint8_t data[TEXT];
    memset(data, fill, sizeof data);
    chunk_digest(bytes_of(data, sizeof data), digest);
    part->length = TEXT;
    part_digest(bytes_of(digest, HASH_SIZE), part->digest);
}

static void add_chunk(struct parcel *parcel, unsigned part, uint8_t fill) {
    uint8_t data[TEXT];
    memset(data, fill, sizeof data);
    struct chunk chunk = {.part = part, .data = bytes_of(data, sizeof data)};
    memcpy(chunk.header, parcel->digest, HASH_SIZE);
    chunk_encode(&chunk, &parcel->chunks);
}

static void seal_leg(struct bench *bench, struct parcel *parcel, size_t which) {
    struct wrapset set = {.has_leg = true, .generation = 1, .size = directory_size(bench->book.directory)};
    AUTO_BUF wraps = {0}, payload = {0};
    memcpy(set.header, parcel->digest, HASH_SIZE);
    memcpy(set.leg, parcel->leg[which], HASH_SIZE);
    memcpy(set.signer, parcel->header.device, KEY_SIZE);
    directory_root(bench->book.directory, set.root);
    for (unsigned number = RECIPIENT; number <= SISTER; number++) {
        struct wrap wrap = {.enc = bytes_text("enc"), .ciphertext = bytes_text("sealed")};
        memcpy(wrap.device, pair_of(number).public, KEY_SIZE);
        wrap_encode(&wrap, &wraps);
    }
    set.wraps = list_of(&wraps, 2);
    wrapset_encode(&set, &payload);
    assert_ok(stamp_sign_one(LABEL_WRAPSET, pair_of(SENDER).secret, buf_bytes(&payload), &parcel->wrapsets[which]));
}

static struct parcel parcel_new(struct bench *bench, uint8_t id, size_t legs) {
    struct parcel parcel = {.legs = legs};
    struct header *header = &parcel.header;
    struct legs_leaf leaves[2];
    AUTO_BUF payload = {0};
    *header = (struct header){.from = bytes_text("de/technical"), .created = bench->book.now, .keep_s = KEEP_MIN_S,
                              .has_offer = true, .has_body = true};
    memset(header->request, id, REQUEST_ID_SIZE);
    memcpy(header->device, pair_of(SENDER).public, KEY_SIZE);
    for (size_t i = 0; i < legs; i++) {
        struct opening opening = {.to = bytes_text("fj/national"), .sequence = (uint64_t)id * 2 + i};
        AUTO_BUF bytes = {0};
        memset(opening.salt, id, HASH_SIZE);
        opening_encode(&opening, &bytes);
        stamp_hash(buf_bytes(&bytes), parcel.leg[i]);
        memcpy(leaves[i].id, parcel.leg[i], HASH_SIZE);
        leaves[i].position = (uint32_t)i * 7;
        place_encode(&(struct place){buf_bytes(&bytes), leaves[i].position}, &parcel.places);
    }
    assert_ok(legs_root(leaves, legs, parcel.seed, header->legs));
    fill_part(&header->offer, 1, parcel.digests[0]);
    fill_part(&header->body, 2, parcel.digests[1]);
    header_encode(header, &payload);
    header_digest(buf_bytes(&payload), parcel.digest);
    assert_ok(stamp_sign_one(LABEL_HEADER, pair_of(SENDER).secret, buf_bytes(&payload), &parcel.stamped));
    for (size_t i = 0; i < legs; i++) seal_leg(bench, &parcel, i);
    add_chunk(&parcel, PART_OFFER, 1);
    add_chunk(&parcel, PART_BODY, 2);
    return parcel;
}

/* Submits the header with the wrap set of one leg. */
static void submit_leg(struct bench *bench, const struct parcel *parcel, size_t which, bool with_chunks,
                       struct response *ret) {
    AUTO_BUF sets = {0};
    struct job job = job_of(SENDER);
    cbor_put_bytes(&sets, buf_bytes(&parcel->wrapsets[which]));
    struct submit submit = {.header = buf_bytes(&parcel->stamped), .places = list_of(&parcel->places, parcel->legs),
                            .wrapsets = list_of(&sets, 1), .has_offer_digests = true, .has_body_digests = true,
                            .offer_digests = bytes_of(parcel->digests[0], HASH_SIZE),
                            .body_digests = bytes_of(parcel->digests[1], HASH_SIZE)};
    if (with_chunks) submit.chunks = list_of(&parcel->chunks, 2);
    memcpy(submit.seed, parcel->seed, HASH_SIZE);
    assert_ok(submission_submit(&bench->book, &job, &submit, ret));
}

static void store_parcel(struct bench *bench, const struct parcel *parcel, size_t which) {
    struct response response = {0};
    begin(bench);
    submit_leg(bench, parcel, which, true, &response);
    commit_batch(bench);
    assert_int_equal(response.type, MESSAGE_SUBMITTED);
    assert_int_equal(response.outcome_count, 1);
    assert_error(response.outcomes[0].error, E_OK);
    response_free(&response);
}

static void make_statement(const struct parcel *parcel, size_t which, enum leg_event event, unsigned number,
                           uint8_t nonce, struct buf *out) {
    bool recipient = number >= RECIPIENT;
    struct statement statement = {.event = (uint64_t)event, .has_leg = true, .has_post = true, .time = {1},
                                  .post = bytes_text(recipient ? "fj/national" : "de/technical")};
    AUTO_BUF payload = {0};
    memcpy(statement.header, parcel->digest, HASH_SIZE);
    memcpy(statement.leg, parcel->leg[which], HASH_SIZE);
    memcpy(statement.device, pair_of(number).public, KEY_SIZE);
    memset(statement.nonce, nonce, NONCE_SIZE);
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, pair_of(number).secret, buf_bytes(&payload), out));
}

/* Says it inside a batch; *ret_receipt: is there one? */
static enum error say(struct bench *bench, const struct parcel *parcel, size_t which, enum leg_event event,
                      unsigned number, uint8_t nonce, bool *ret_receipt) {
    AUTO_BUF stamped = {0}, said = {0};
    struct response response = {0};
    struct job job = job_of(number);
    make_statement(parcel, which, event, number, nonce, &stamped);
    said_encode(&(struct said){.statement = buf_bytes(&stamped)}, &said);
    struct state state = {.said = list_of(&said, 1)};
    assert_ok(transition_state(&bench->book, &job, &state, &response));
    assert_int_equal(response.outcome_count, 1);
    enum error error = response.outcomes[0].error;
    if (ret_receipt) *ret_receipt = response.outcomes[0].pending >= 0 || response.outcomes[0].receipt.n > 0;
    response_free(&response);
    return error;
}

static enum error say_alone(struct bench *bench, const struct parcel *parcel, size_t which, enum leg_event event,
                            unsigned number, uint8_t nonce) {
    begin(bench);
    enum error error = say(bench, parcel, which, event, number, nonce, NULL);
    commit_batch(bench);
    return error;
}

static struct store_leg leg_of(struct bench *bench, const struct parcel *parcel, size_t which) {
    struct store_leg leg;
    assert_ok(bench->book.store->ops->leg_by_id(bench->book.store, parcel->leg[which], &leg));
    return leg;
}

static uint64_t quota(struct bench *bench, const char *key) {
    uint64_t value;
    assert_ok(bench->book.store->ops->quota_get(bench->book.store, key, &value));
    return value;
}

static enum error fetch_offer(struct bench *bench, const struct parcel *parcel, size_t which, unsigned number) {
    struct fetch fetch = {.has_leg = true, .part = PART_OFFER};
    struct response response = {0};
    struct job job = job_of(number);
    AUTO_BUF body = {0};
    memcpy(fetch.header, parcel->digest, HASH_SIZE);
    memcpy(fetch.leg, parcel->leg[which], HASH_SIZE);
    fetch_encode(&fetch, &body);
    assert_ok(handover_answer(&bench->book, &job, MESSAGE_FETCH, buf_bytes(&body), &response));
    enum error error = response.type == MESSAGE_FAILURE ? response.error : E_OK;
    response_free(&response);
    return error;
}

/* ---- the tests ---- */

static void a_leg_that_comes_after_the_content_was_erased_brings_it_again(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    uint64_t counted = quota(bench, "bytes real de");
    assert_true(counted >= 2 * TEXT);
    assert_error(say_alone(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1), E_OK);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    begin(bench);
    submit_leg(bench, &parcel, 1, false, &response);
    commit_batch(bench);
    assert_int_equal(response.want_count, 2);
    assert_int_equal(response.outcome_count, 0);
    response_free(&response);
    assert_int_equal(quota(bench, "bytes real de"), counted);
    store_parcel(bench, &parcel, 1);
    assert_int_equal(quota(bench, "bytes real de"), counted);
    assert_error(fetch_offer(bench, &parcel, 1, RECIPIENT), E_OK);
    assert_error(say_alone(bench, &parcel, 1, EVENT_WITHDRAWN, SENDER, 1), E_OK);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    assert_int_equal(quota(bench, "legs real de"), 0);
}

static void a_second_staging_that_never_completes_is_swept_and_its_legs_stay(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    assert_error(say_alone(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1), E_OK);
    begin(bench);
    submit_leg(bench, &parcel, 1, false, &response);
    commit_batch(bench);
    response_free(&response);
    bench->book.now.ms += (bench->config.staging_s + 1) * 1000;
    begin(bench);
    assert_ok(submission_sweep(&bench->book));
    commit_batch(bench);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_DECLINED);
    struct store_request row;
    assert_ok(bench->book.store->ops->request_by_digest(bench->book.store, parcel.digest, &row));
    assert_true(row.stored);
}

static void the_same_submission_twice_in_one_batch_is_one_leg_and_one_receipt(void **state) {
    struct bench *bench = *state;
    struct response first = {0}, second = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    begin(bench);
    submit_leg(bench, &parcel, 0, true, &first);
    submit_leg(bench, &parcel, 0, true, &second);
    commit_batch(bench);
    assert_int_equal(second.outcome_count, 1);
    assert_int_equal(first.outcomes[0].pending, second.outcomes[0].pending);
    assert_int_equal(quota(bench, "legs real de"), 1);
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 1);
    response_free(&first);
    response_free(&second);
}

static void of_two_decisions_in_one_batch_the_first_wins_and_repeats_say_so(void **state) {
    struct bench *bench = *state;
    bool receipt;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    begin(bench);
    assert_error(say(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1, &receipt), E_OK);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 2, &receipt), E_WRONG_STATE);
    assert_true(receipt);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 2, &receipt), E_WRONG_STATE);
    commit_batch(bench);
    begin(bench);
    assert_error(say(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 2, &receipt), E_WRONG_STATE);
    assert_true(receipt);
    assert_error(say(bench, &parcel, 0, EVENT_DECLINED, RECIPIENT, 1, &receipt), E_OK);
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_DECLINED);
    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, 2);
}

static void submit_and_withdrawal_in_one_batch_leave_nothing_counted(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    begin(bench);
    submit_leg(bench, &parcel, 0, true, &response);
    assert_error(say(bench, &parcel, 0, EVENT_WITHDRAWN, SENDER, 1, NULL), E_OK);
    commit_batch(bench);
    response_free(&response);
    assert_int_equal(quota(bench, "legs real de"), 0);
    assert_int_equal(quota(bench, "bytes real de"), 0);
    assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), E_ERASED);
}

static void a_withdrawn_offer_is_gone_though_another_leg_still_waits(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    store_parcel(bench, &parcel, 0);
    store_parcel(bench, &parcel, 1);
    assert_error(say_alone(bench, &parcel, 0, EVENT_WITHDRAWN, SENDER, 1), E_OK);
    assert_error(fetch_offer(bench, &parcel, 0, RECIPIENT), E_ERASED);
    assert_error(fetch_offer(bench, &parcel, 1, RECIPIENT), E_OK);
}

static void one_side_cannot_use_up_the_other_sides_receipts(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_error(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, RECIPIENT, 1), E_OK);
    begin(bench);
    for (unsigned i = 0; i < 256; i++)
        assert_error(say(bench, &parcel, 0, EVENT_WITHDRAWN, SENDER, (uint8_t)i, NULL), E_WRONG_STATE);
    commit_batch(bench);
    assert_error(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, SISTER, 1), E_OK);
}

static void exactly_at_the_deadline_is_in_time(void **state) {
    struct bench *bench = *state;
    bool more;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    bench->book.now = leg_of(bench, &parcel, 0).expires;
    begin(bench);
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    bench->book.now.ms++;
    bench->book.clock.halted = true;
    begin(bench);
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
    bench->book.clock.halted = false;
    begin(bench);
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_EXPIRED);
    assert_int_equal(quota(bench, "legs real de"), 0);
    assert_int_equal(quota(bench, "bytes real de"), 0);
}

/* Every state x kind x event: a STEP moves the leg with one entry; nothing else does. */
static void only_the_steps_of_the_table_move_a_leg(void **state) {
    static const unsigned kinds[] = {LEG_REQUEST, LEG_OFFER_ONLY, LEG_REPLY};
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    for (unsigned from = STATE_STORED; from <= STATE_CLOSED; from++) {
        for (unsigned event = EVENT_STORED; event <= EVENT_CANNOT_OPEN; event++) {
            for (size_t k = 0; k < LENGTH(kinds); k++) {
                const struct leg_event_row *row = leg_event_row(event);
                begin(bench);
                struct store_leg leg = leg_of(bench, &parcel, 0);
                leg.state = from;
                assert_ok(bench->book.store->ops->leg_update(bench->book.store, &leg));
                enum leg_state to = from;
                /* the kind is no column that changes, so only the parcel's own kind goes through the door */
                bool step = leg_step(from, event, kinds[k], &to) == E_OK;
                if (kinds[k] == leg.kind && row->actor != ACTOR_RELAY && event != EVENT_FORWARDED) {
                    (void)!say(bench, &parcel, 0, event, row->actor == ACTOR_SENDER ? SENDER : RECIPIENT, 9, NULL);
                    assert_int_equal(leg_of(bench, &parcel, 0).state, step ? to : from);
                    assert_int_equal(leg_of(bench, &parcel, 0).ordinal, leg.ordinal + step);
                } else if (row->actor == ACTOR_RELAY) {
                    assert_error(say(bench, &parcel, 0, event, RECIPIENT, 9, NULL), E_NOT_ALLOWED);
                }
                bench->book.store->ops->rollback(bench->book.store);
            }
        }
    }
}

static void a_reader_cannot_decide_and_a_stranger_says_nothing(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    store_parcel(bench, &parcel, 0);
    assert_error(say_alone(bench, &parcel, 0, EVENT_ACCEPTED, SISTER, 1), E_NOT_ALLOWED);
    assert_error(say_alone(bench, &parcel, 0, EVENT_WITHDRAWN, OTHER_SENDER, 1), E_NOT_ALLOWED);
    assert_error(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, SENDER, 1), E_NOT_ALLOWED);
    assert_int_equal(leg_of(bench, &parcel, 0).state, STATE_STORED);
}

static void a_prekey_signed_anew_is_the_same_prekey(void **state) {
    struct bench *bench = *state;
    struct prekey prekeys[2];
    struct bytes payloads[2];
    struct buf bytes[2] = {{0}, {0}}, stamped[2] = {{0}, {0}};
    for (unsigned i = 0; i < 2; i++) {
        prekeys[i] = (struct prekey){.day = (uint32_t)(bench->book.now.ms / DAY_MS) + i};
        memcpy(prekeys[i].device, pair_of(SENDER).public, KEY_SIZE);
        transport_of(SENDER + 500, prekeys[i].key);
        prekey_encode(&prekeys[i], &bytes[i]);
        payloads[i] = buf_bytes(&bytes[i]);
    }
    assert_ok(stamp_sign(LABEL_PREKEY, pair_of(SENDER).secret, payloads, 2, stamped));
    assert_ok(bench->book.store->ops->prekey_put(bench->book.store, prekeys[0].device, (uint32_t)prekeys[0].day,
                                                 buf_bytes(&stamped[0])));
    for (unsigned i = 0; i < 2; i++) {
        buf_free(&bytes[i]);
        buf_free(&stamped[i]);
    }
}

static void only_the_relay_may_read_its_store(void **state) {
    struct bench *bench = *state;
    struct stat file;
    assert_int_equal(stat(bench->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_leg_that_comes_after_the_content_was_erased_brings_it_again),
        TEST(a_second_staging_that_never_completes_is_swept_and_its_legs_stay),
        TEST(the_same_submission_twice_in_one_batch_is_one_leg_and_one_receipt),
        TEST(of_two_decisions_in_one_batch_the_first_wins_and_repeats_say_so),
        TEST(submit_and_withdrawal_in_one_batch_leave_nothing_counted),
        TEST(a_withdrawn_offer_is_gone_though_another_leg_still_waits),
        TEST(one_side_cannot_use_up_the_other_sides_receipts),
        TEST(exactly_at_the_deadline_is_in_time),
        TEST(only_the_steps_of_the_table_move_a_leg),
        TEST(a_reader_cannot_decide_and_a_stranger_says_nothing),
        TEST(a_prekey_signed_anew_is_the_same_prekey),
        TEST(only_the_relay_may_read_its_store),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
