/* test_proofs.c - the evidence log: every entry has its place and its proof, all heads are of one log, and what the store does not
 * hold as it was written is never signed. */
#include <sqlite3.h>

#include "ledger_fixture.h"
#include "logs.h"
#include "merkle.h"

/* ---- looking ---- */

struct proven {
    struct record record;
    struct head head;
    uint8_t entry[HASH_SIZE];
    struct bytes checkpoint;
};

static void paths_of(struct list proof, struct buf *out) {
    const uint8_t *hash;
    while (list_next_fixed(&proof, HASH_SIZE, &hash)) buf_add(out, hash, HASH_SIZE);
}

/* As a client holds it against the card: head, place, path. */
static struct proven open_proven(const struct bench *bench, struct bytes bytes) {
    struct receipt receipt;
    struct bytes payload;
    struct proven proven;
    AUTO_BUF path = {0};
    assert_ok(receipt_decode(bytes, &receipt));
    assert_ok(stamp_verify(LABEL_RECORD, bench->book.statement_key, receipt.record, &payload));
    assert_ok(record_decode(payload, &proven.record));
    assert_true(proven.record.has_entry && proven.record.has_index);
    assert_true(receipt.has_proof && receipt.has_checkpoint);
    assert_ok(head_open_log(&bench->book.card, LOG_EVIDENCE, receipt.checkpoint, &proven.head));
    entry_hash(proven.record.entry, proven.entry);
    paths_of(receipt.proof, &path);
    assert_ok(merkle_verify_inclusion(proven.entry, proven.record.index, proven.head.size, buf_bytes(&path),
                                      bytes_of(proven.head.root, HASH_SIZE)));
    proven.checkpoint = receipt.checkpoint;
    return proven;
}

static uint64_t entries(const struct bench *bench) {
    uint64_t count;
    assert_ok(bench->book.store->ops->entry_count(bench->book.store, &count));
    return count;
}

/* The whole log, from its receipts; every head in them is of it. Returns its size. */
static uint64_t check_log(const struct bench *bench, uint8_t *hashes) {
    uint64_t count = entries(bench);
    for (uint64_t i = 0; i < count; i++) {
        AUTO_BUF bytes = {0};
        assert_ok(bench->book.store->ops->receipt_at(bench->book.store, i, &bytes));
        struct proven proven = open_proven(bench, buf_bytes(&bytes));
        assert_int_equal(proven.record.index, i);
        memcpy(hashes + i * HASH_SIZE, proven.entry, HASH_SIZE);
    }
    for (uint64_t i = 0; i < count; i++) {
        uint8_t root[HASH_SIZE];
        AUTO_BUF bytes = {0};
        assert_ok(bench->book.store->ops->receipt_at(bench->book.store, i, &bytes));
        struct proven proven = open_proven(bench, buf_bytes(&bytes));
        assert_true(proven.head.size <= count);
        merkle_root(hashes, proven.head.size, root);
        assert_memory_equal(root, proven.head.root, HASH_SIZE);
    }
    return count;
}

static bool newest(const struct bench *bench, struct head *ret) {
    AUTO_BUF note = {0};
    bool has;
    assert_ok(heads_newest(&bench->book, LOG_EVIDENCE, &note, &has));
    if (has) assert_ok(head_open_log(&bench->book.card, LOG_EVIDENCE, buf_bytes(&note), ret));
    return has;
}

static void assert_newest_is(const struct bench *bench, const uint8_t *hashes, uint64_t count) {
    struct head head;
    uint8_t root[HASH_SIZE];
    assert_true(newest(bench, &head));
    assert_int_equal(head.size, count);
    merkle_root(hashes, count, root);
    assert_memory_equal(head.root, root, HASH_SIZE);
}

/* A batch of so many stored legs. */
static void store_legs(struct bench *bench, unsigned id, size_t legs) {
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, id, legs);
    begin(bench);
    assert_ok(try_submit(bench, &parcel, 0, legs, true, &response));
    assert_int_equal(response.outcome_count, legs);
    commit_batch(bench);
    response_free(&response);
}

enum { LEGS = 700 };
static uint8_t hashes[(LEGS + 200) * HASH_SIZE];

/* ---- what is given ---- */

static void every_entry_has_its_place_and_its_proof_in_its_batchs_head(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 3);
    struct response response = {0};
    struct head head;
    assert_false(newest(bench, &head));
    begin(bench);
    assert_ok(try_submit(bench, &parcel, 0, 3, true, &response));
    commit_batch(bench);
    for (size_t i = 0; i < 3; i++) { /* what is answered is what is kept */
        AUTO_BUF kept = {0};
        struct bytes given = scribe_receipt(&bench->book.scribe, response.outcomes[i].pending);
        struct proven proven = open_proven(bench, given);
        assert_int_equal(proven.record.index, i);
        assert_int_equal(proven.head.size, 3);
        assert_int_equal(proven.head.time.ms, proven.record.time.ms);
        assert_ok(bench->book.store->ops->receipt_at(bench->book.store, i, &kept));
        assert_true(bytes_equal(buf_bytes(&kept), given));
    }
    response_free(&response);
    bench->book.now.ms += 1000;
    assert_ok(say_alone(bench, &parcel, 1, EVENT_ACCEPTED, RECIPIENT, 1));
    assert_int_equal(check_log(bench, hashes), 4);
    assert_newest_is(bench, hashes, 4);
    assert_true(newest(bench, &head));
    assert_int_equal(head.time.ms, bench->book.now.ms);
}

static void what_is_no_entry_has_no_proof_and_makes_no_head(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 1);
    AUTO_BUF bytes = {0};
    struct head before, after;
    struct receipt receipt;
    int pending;
    bool has;
    store_parcel(bench, &parcel, 0);
    assert_ok(say_alone(bench, &parcel, 0, EVENT_NOTIFIED, RECIPIENT, 1));
    assert_true(newest(bench, &before));
    bench->book.now.ms += 5000;
    begin(bench);
    assert_ok(say_pending(bench, &parcel, 0, EVENT_NOTIFIED, SISTER, 2, &pending, &has)); /* a sister repeats it */
    commit_batch(bench);
    assert_ok(receipt_decode(scribe_receipt(&bench->book.scribe, pending), &receipt));
    assert_false(receipt.has_proof || receipt.has_checkpoint);
    assert_true(newest(bench, &after));
    assert_int_equal(after.size, before.size);
    assert_int_equal(after.time.ms, before.time.ms);
}

static void batches_of_every_size_make_one_log(void **state) {
    struct bench *bench = *state;
    static const size_t sizes[] = {1, 2, 1, 250, 3, 254, 1, 1, 180};
    uint64_t count = 0;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        bench->book.now.ms += 1000;
        store_legs(bench, (unsigned)i + 1, sizes[i]);
        count += sizes[i];
        assert_int_equal(entries(bench), count);
    }
    assert_true(count <= LENGTH(hashes) / HASH_SIZE);
    assert_int_equal(check_log(bench, hashes), count);
    assert_newest_is(bench, hashes, count);
}

static void what_is_rolled_back_was_never_signed(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    struct head before, after;
    AUTO_PARCEL other = parcel_new(bench, 2, 3);
    store_legs(bench, 1, 2);
    assert_true(newest(bench, &before));
    begin(bench);
    assert_ok(try_submit(bench, &other, 0, 3, true, &response));
    assert_ok(scribe_sign(&bench->book.scribe, bench->book.store, bench->book.statement_secret));
    assert_ok(proofs_write(&bench->book));
    book_undo(&bench->book);
    response_free(&response);
    assert_true(newest(bench, &after));
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.root, before.root, HASH_SIZE);
    bench->book.now.ms += 1000;
    store_legs(bench, 3, 4);
    assert_int_equal(check_log(bench, hashes), 6);
    assert_newest_is(bench, hashes, 6);
}

/* ---- what is asked ---- */

static enum error ask_log(struct bench *bench, enum relay_log log, const uint64_t *sizes, size_t count,
                          struct response *response, struct log *ret) {
    AUTO_BUF list = {0}, body = {0};
    struct job guest = {0};
    for (size_t i = 0; i < count; i++) cbor_put_uint(&list, sizes[i]);
    getlog_encode(&(struct getlog){.log = (uint64_t)log, .sizes = list_of(&list, count)}, &body);
    assert_ok(handover_answer(&bench->book, &guest, MESSAGE_GETLOG, buf_bytes(&body), response));
    if (response->type == MESSAGE_FAILURE) return response->error;
    assert_int_equal(response->type, MESSAGE_LOG);
    assert_ok(log_decode(buf_bytes(&response->body), ret));
    return E_OK;
}

static void assert_grows(struct bench *bench, enum relay_log which, const uint8_t *leaves, const uint64_t *sizes,
                         size_t count) {
    struct response response = {0};
    struct log log;
    struct head head;
    uint8_t old[HASH_SIZE], new[HASH_SIZE];
    assert_ok(ask_log(bench, which, sizes, count, &response, &log));
    assert_int_equal(log.log, which);
    assert_int_equal(log.proofs.count, count);
    assert_ok(head_open_log(&bench->book.card, which, log.note, &head));
    for (size_t i = 0; i < count; i++) {
        struct bytes proof;
        uint64_t to = i + 1 < count ? sizes[i + 1] : head.size;
        assert_true(list_next_bytes(&log.proofs, &proof));
        merkle_root(leaves, sizes[i], old);
        merkle_root(leaves, to, new);
        assert_ok(merkle_verify_consistency(sizes[i], bytes_of(old, HASH_SIZE), to, bytes_of(new, HASH_SIZE), proof));
    }
    merkle_root(leaves, head.size, new);
    assert_memory_equal(head.root, new, HASH_SIZE);
    response_free(&response);
}

static void anybody_is_shown_how_either_log_has_grown(void **state) {
    struct bench *bench = *state;
    static uint8_t directory[64 * HASH_SIZE];
    static const uint64_t steps[] = {1, 2, 3, 255, 256, 300}, all[] = {300}, few[] = {1, 2, 5};
    store_legs(bench, 1, 3);
    store_legs(bench, 2, 297);
    assert_int_equal(check_log(bench, hashes), 300);
    assert_grows(bench, LOG_EVIDENCE, hashes, steps, LENGTH(steps));
    assert_grows(bench, LOG_EVIDENCE, hashes, all, 1);
    assert_grows(bench, LOG_EVIDENCE, hashes, NULL, 0);

    begin(bench);
    assert_ok(heads_write(&bench->book, LOG_DIRECTORY, 0));
    commit_batch(bench);
    for (size_t i = 0; i < bench->world.count; i++)
        merkle_leaf(buf_bytes(&bench->world.leaves[i]), directory + i * HASH_SIZE);
    assert_grows(bench, LOG_DIRECTORY, directory, few, LENGTH(few));
}

static void a_question_about_sizes_that_no_log_had_is_refused(void **state) {
    struct bench *bench = *state;
    static const uint64_t falling[] = {2, 1}, same[] = {2, 2}, nothing[] = {0, 1}, beyond[] = {1, 4}, good[] = {1, 3};
    static const struct {
        const uint64_t *sizes;
        enum error error;
    } rows[] = {{falling, E_OUT_OF_RANGE},
                {same, E_OUT_OF_RANGE},
                {nothing, E_OUT_OF_RANGE},
                {beyond, E_OUT_OF_RANGE},
                {good, E_OK}};
    struct log log;
    struct response empty = {0};
    assert_error(ask_log(bench, LOG_EVIDENCE, NULL, 0, &empty, &log), E_NO_HEAD);
    response_free(&empty);
    store_legs(bench, 1, 3);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct response response = {0};
        assert_error(ask_log(bench, LOG_EVIDENCE, rows[i].sizes, 2, &response, &log), rows[i].error);
        response_free(&response);
    }
}

static void assert_hashes(struct bench *bench, enum relay_log log, uint64_t from, uint64_t max, const uint8_t *leaves,
                          uint64_t count) {
    struct response response = {0};
    struct hashes answer;
    struct job guest = {0};
    AUTO_BUF body = {0};
    gethashes_encode(&(struct gethashes){.log = (uint64_t)log, .from = from, .max = max}, &body);
    assert_ok(handover_answer(&bench->book, &guest, MESSAGE_GETHASHES, buf_bytes(&body), &response));
    assert_int_equal(response.type, MESSAGE_HASHES);
    assert_ok(hashes_decode(buf_bytes(&response.body), &answer));
    assert_int_equal(answer.from, from);
    assert_int_equal(answer.hashes.n, count * HASH_SIZE);
    if (count) assert_memory_equal(answer.hashes.p, leaves + from * HASH_SIZE, count * HASH_SIZE);
    response_free(&response);
}

static void leaf_hashes_are_given_in_pieces_of_any_size(void **state) {
    struct bench *bench = *state;
    assert_hashes(bench, LOG_EVIDENCE, 0, 10, NULL, 0);
    store_legs(bench, 1, 600);
    assert_int_equal(check_log(bench, hashes), 600);
    assert_hashes(bench, LOG_EVIDENCE, 0, LOG_HASHES_MAX, hashes, 600);
    assert_hashes(bench, LOG_EVIDENCE, 0, 1, hashes, 1);
    assert_hashes(bench, LOG_EVIDENCE, 255, 2, hashes, 2);
    assert_hashes(bench, LOG_EVIDENCE, 100, 400, hashes, 400);
    assert_hashes(bench, LOG_EVIDENCE, 512, 256, hashes, 88);
    assert_hashes(bench, LOG_EVIDENCE, 600, 5, NULL, 0);
    assert_hashes(bench, LOG_EVIDENCE, INT64_MAX, 5, NULL, 0);
    uint8_t first[HASH_SIZE];
    merkle_leaf(buf_bytes(&bench->world.leaves[0]), first);
    assert_hashes(bench, LOG_DIRECTORY, 0, 1, first, 1);
    assert_hashes(bench, LOG_DIRECTORY, directory_size(bench->book.directory), 9, NULL, 0);
}

static void the_first_answer_names_the_newest_head(void **state) {
    struct bench *bench = *state;
    for (unsigned round = 0; round < 2; round++) {
        struct response response = {0};
        struct welcome welcome;
        struct job job = job_of(RECIPIENT);
        struct head head;
        AUTO_BUF body = {0};
        hello_encode(&(struct hello){.version = WIRE_VERSION}, &body);
        assert_ok(handover_answer(&bench->book, &job, MESSAGE_HELLO, buf_bytes(&body), &response));
        assert_ok(welcome_decode(buf_bytes(&response.body), &welcome));
        assert_int_equal(welcome.has_evidence, round == 1);
        if (round) {
            assert_ok(head_open_log(&bench->book.card, LOG_EVIDENCE, welcome.evidence, &head));
            assert_int_equal(head.size, welcome.entries);
        }
        response_free(&response);
        if (!round) store_legs(bench, 1, 2);
    }
}

/* ---- damage ---- */

/* The store, but one byte of one answer is another; and what is asked of it is counted. */
static struct store_ops bent;
static const struct store_ops *honest;
static unsigned tile_gets, tile_puts, receipt_gets, head_puts, bend_tile, bend_receipt;

static void bend(struct buf *buf, size_t from) {
    if (buf->n > from) buf->p[from] ^= 1;
}
static enum error bent_tile_get(struct store *store, unsigned log, unsigned level, uint64_t index, struct buf *ret) {
    size_t from = ret->n;
    TRY(honest->tile_get(store, log, level, index, ret));
    if (++tile_gets == bend_tile) bend(ret, from);
    return E_OK;
}
static enum error bent_tile_put(struct store *store, unsigned log, unsigned level, uint64_t index,
                                struct bytes hashes_of_it) {
    tile_puts++;
    return honest->tile_put(store, log, level, index, hashes_of_it);
}
static enum error bent_receipt_at(struct store *store, uint64_t index, struct buf *ret) {
    size_t from = ret->n;
    TRY(honest->receipt_at(store, index, ret));
    if (++receipt_gets == bend_receipt) bend(ret, from + (ret->n - from) / 2);
    return E_OK;
}
static enum error bent_head_put(struct store *store, const char *who, uint64_t size, struct bytes note) {
    head_puts++;
    return honest->head_put(store, who, size, note);
}

static void watch(struct bench *bench, unsigned tile, unsigned receipt) {
    if (bench->book.store->ops != &bent) honest = bench->book.store->ops;
    bent = *honest;
    bent.tile_get = bent_tile_get;
    bent.tile_put = bent_tile_put;
    bent.receipt_at = bent_receipt_at;
    bent.head_put = bent_head_put;
    tile_gets = tile_puts = receipt_gets = head_puts = 0;
    bend_tile = tile;
    bend_receipt = receipt;
    bench->book.store->ops = &bent;
}

static enum error try_batch(struct bench *bench, const struct cargo *parcel, size_t legs) {
    struct response response = {0};
    begin(bench);
    enum error error = try_submit(bench, parcel, 0, legs, true, &response);
    if (error == E_OK) error = scribe_sign(&bench->book.scribe, bench->book.store, bench->book.statement_secret);
    if (error == E_OK) error = proofs_write(&bench->book);
    response_free(&response);
    return error;
}

static void whatever_is_read_back_otherwise_is_noticed_and_nothing_is_signed(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 2, 9);
    store_legs(bench, 1, 250); /* the batch fills a tile and begins another */
    unsigned tiles = 1, receipts = 1;
    for (enum error error = E_CORRUPT; error != E_OK; tiles++) {
        watch(bench, tiles, 0);
        error = try_batch(bench, &parcel, 9);
        if (error != E_OK) assert_error(error, E_CORRUPT);
        assert_int_equal(head_puts, error == E_OK);
        book_undo(&bench->book);
    }
    assert_true(tiles > 4); /* before, and each of those that were written */
    for (enum error error = E_CORRUPT; error != E_OK; receipts++) {
        watch(bench, 0, receipts);
        error = try_batch(bench, &parcel, 9);
        if (error != E_OK) assert_error(error, E_CORRUPT);
        assert_int_equal(head_puts, error == E_OK);
        book_undo(&bench->book);
    }
    assert_int_equal(receipts, 9 + 2);
    watch(bench, 0, 0);
    store_parcel(bench, &parcel, 0);
    assert_int_equal(check_log(bench, hashes), 251);
}

static void a_bit_that_flips_in_the_right_edge_ends_the_signing(void **state) {
    struct bench *bench = *state;
    struct store *store = bench->book.store;
    AUTO_PARCEL parcel = parcel_new(bench, 2, 1);
    store_legs(bench, 1, 300);
    for (unsigned level = 0; level < 2; level++) {
        for (size_t bit = 0; bit < 8 * HASH_SIZE; bit += 37) {
            AUTO_BUF tile = {0};
            assert_ok(store->ops->tile_get(store, LOG_EVIDENCE, level, level == 0 ? 1 : 0, &tile));
            tile.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_ok(store->ops->tile_put(store, LOG_EVIDENCE, level, level == 0 ? 1 : 0, buf_bytes(&tile)));
            assert_error(try_batch(bench, &parcel, 1), E_CORRUPT);
            book_undo(&bench->book);
            tile.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_ok(store->ops->tile_put(store, LOG_EVIDENCE, level, level == 0 ? 1 : 0, buf_bytes(&tile)));
        }
    }
    store_parcel(bench, &parcel, 0);
    assert_int_equal(check_log(bench, hashes), 301);
}

/* Somewhere inside: what is asked about that place is not answered, everything else goes on. */
static void damage_inside_is_told_to_who_asks_and_ends_nothing(void **state) {
    struct bench *bench = *state;
    struct store *store = bench->book.store;
    static const uint64_t from[] = {3};
    struct response shown = {0}, given = {0};
    struct log log;
    struct job guest = {0};
    AUTO_PARCEL parcel = parcel_new(bench, 2, 1);
    AUTO_BUF body = {0};
    store_legs(bench, 1, 300);
    assert_int_equal(check_log(bench, hashes), 300);
    assert_ok(store->ops->tile_put(store, LOG_EVIDENCE, 0, 0, bytes_of(hashes, 100 * HASH_SIZE)));
    assert_error(ask_log(bench, LOG_EVIDENCE, from, 1, &shown, &log), E_CORRUPT);
    response_free(&shown);
    gethashes_encode(&(struct gethashes){.log = LOG_EVIDENCE, .from = 5, .max = 5}, &body);
    assert_ok(handover_answer(&bench->book, &guest, MESSAGE_GETHASHES, buf_bytes(&body), &given));
    assert_int_equal(given.type, MESSAGE_FAILURE);
    assert_error(given.error, E_CORRUPT);
    response_free(&given);
    store_parcel(bench, &parcel, 0);
    assert_hashes(bench, LOG_EVIDENCE, 256, 44, hashes, 44);
}

/* ---- cost ---- */

/* A log of so many entries, of which the store has only the nodes and the last one's row. */
static void pretend(struct bench *bench, uint64_t size) {
    struct store *store = bench->book.store;
    uint8_t hash[HASH_SIZE] = {1};
    AUTO_TILES tiles = {0};
    int64_t id;
    assert_ok(store->ops->begin(store));
    assert_ok(tiles_open(&tiles, store, LOG_EVIDENCE, 0));
    for (uint64_t i = 0; i < size; i++) assert_ok(tiles_add(&tiles, hash));
    assert_ok(tiles_flush(&tiles));
    assert_ok(store->ops->receipt_next(store, &id));
    assert_ok(store->ops->receipt_put(store, id, hash, 0, 0, (int64_t)size - 1, bytes_text("an entry")));
    assert_ok(heads_write(&bench->book, LOG_EVIDENCE, 0));
    assert_ok(store->ops->commit(store));
}

static void the_cost_of_a_batch_does_not_grow_with_the_log(void **state) {
    struct bench *bench = *state;
    AUTO_PARCEL parcel = parcel_new(bench, 1, 2);
    pretend(bench, 70000); /* three levels */
    watch(bench, 0, 0);
    assert_ok(try_batch(bench, &parcel, 2));
    assert_ok(bench->book.store->ops->commit(bench->book.store));
    assert_int_equal(receipt_gets, 2);
    assert_int_equal(tile_puts, 1);
    assert_true(tile_gets <= 3 + 1 + 3); /* the edge before; what was written; the edge after */
    assert_int_equal(head_puts, 1);
    struct proven proven = open_proven(bench, scribe_receipt(&bench->book.scribe, 0));
    assert_int_equal(proven.record.index, 70000);
    assert_int_equal(proven.head.size, 70002);
}

/* ---- a store from before the evidence log ---- */

static sqlite3 *connection;

static int catch_connection(sqlite3 *db, UNUSED char **error, UNUSED const struct sqlite3_api_routines *routines) {
    connection = db;
    return SQLITE_OK;
}

static int setup_caught(void **state) {
    assert_int_equal(sqlite3_auto_extension((void (*)(void))catch_connection), SQLITE_OK);
    int result = setup(state);
    sqlite3_reset_auto_extension();
    return connection ? result : -1;
}

/* As it was stored when there were no proofs. */
static void make_old(struct bench *bench) {
    struct store *store = bench->book.store;
    uint64_t count = entries(bench);
    for (uint64_t i = 0; i < count; i++) {
        AUTO_BUF bytes = {0}, bare = {0};
        struct receipt receipt;
        assert_ok(store->ops->receipt_at(store, i, &bytes));
        assert_ok(receipt_decode(buf_bytes(&bytes), &receipt));
        receipt.has_proof = receipt.has_checkpoint = false;
        receipt_encode(&receipt, &bare);
        assert_ok(store->ops->receipt_prove(store, i, buf_bytes(&bare)));
    }
    assert_int_equal(sqlite3_exec(connection, "DELETE FROM tile; DELETE FROM head", NULL, NULL, NULL), SQLITE_OK);
    assert_ok(store->ops->meta_put(store, "unproven", count));
}

static void entries_from_before_the_log_get_their_proofs_once(void **state) {
    struct bench *bench = *state;
    struct store *store = bench->book.store;
    AUTO_PARCEL parcel = parcel_new(bench, 2, 1);
    AUTO_BUF first = {0}, again = {0};
    store_legs(bench, 1, 520);
    make_old(bench);
    bench->book.now.ms += 60 * 1000;
    for (unsigned times = 0; times < 2; times++) {
        assert_ok(store->ops->begin(store));
        assert_ok(proofs_catch_up(&bench->book));
        assert_ok(store->ops->commit(store));
        assert_ok(store->ops->receipt_at(store, 7, times ? &again : &first));
    }
    assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&again)));
    struct proven proven = open_proven(bench, buf_bytes(&first));
    assert_int_equal(proven.head.size, 520);
    assert_int_equal(proven.head.time.ms, bench->book.now.ms); /* later than the entry, and says so */
    store_parcel(bench, &parcel, 0);
    assert_int_equal(check_log(bench, hashes), 521);
    assert_newest_is(bench, hashes, 521);
}

static void an_old_store_that_lacks_an_entry_is_not_taken_over(void **state) {
    struct bench *bench = *state;
    struct store *store = bench->book.store;
    struct head head;
    store_legs(bench, 1, 5);
    make_old(bench);
    assert_int_equal(sqlite3_exec(connection, "DELETE FROM receipt WHERE idx = 2", NULL, NULL, NULL), SQLITE_OK);
    assert_ok(store->ops->begin(store));
    assert_error(proofs_catch_up(&bench->book), E_CORRUPT);
    store->ops->rollback(store);
    assert_false(newest(bench, &head));
}

#define TEST_CAUGHT(name) cmocka_unit_test_setup_teardown(name, setup_caught, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_entry_has_its_place_and_its_proof_in_its_batchs_head),
        TEST(what_is_no_entry_has_no_proof_and_makes_no_head),
        TEST(batches_of_every_size_make_one_log),
        TEST(what_is_rolled_back_was_never_signed),
        TEST(anybody_is_shown_how_either_log_has_grown),
        TEST(a_question_about_sizes_that_no_log_had_is_refused),
        TEST(leaf_hashes_are_given_in_pieces_of_any_size),
        TEST(the_first_answer_names_the_newest_head),
        TEST(whatever_is_read_back_otherwise_is_noticed_and_nothing_is_signed),
        TEST(a_bit_that_flips_in_the_right_edge_ends_the_signing),
        TEST(damage_inside_is_told_to_who_asks_and_ends_nothing),
        TEST(the_cost_of_a_batch_does_not_grow_with_the_log),
        TEST_CAUGHT(entries_from_before_the_log_get_their_proofs_once),
        TEST_CAUGHT(an_old_store_that_lacks_an_entry_is_not_taken_over),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
