/* ledger_fixture.h - a ledger without its loop: a real SQLite store, a real directory, and requests really signed.
 * Batches are begun, applied, signed and committed as ledger.c does it. */
#ifndef LEDGER_FIXTURE_H
#define LEDGER_FIXTURE_H

#include <sys/stat.h>
#include <unistd.h>

#include "book.h"
#include "chunks.h"
#include "directory_fixture.h"
#include "evidence.h"
#include "head.h"
#include "header.h"

enum {
    SENDER = DEVICE,
    OTHER_SENDER = DEVICE + 1,
    RECIPIENT = DEVICE + 10,
    SISTER = DEVICE + 11,
    RELAY_KEY = 70,
    LOG_KEY = 71,
    WITNESS = 72,
    OTHER_WITNESS = 73,
    TEXT = 100
};

struct bench {
    char path[64];
    struct config config;
    struct world world;
    struct book book;
};

UNUSED static void stamp_prekey(unsigned number, uint32_t day, unsigned key, struct buf *out) {
    struct prekey prekey = {.day = day};
    AUTO_BUF payload = {0};
    memcpy(prekey.device, pair_of(number).public, KEY_SIZE);
    transport_of(key, prekey.key);
    prekey_encode(&prekey, &payload);
    assert_ok(stamp_sign_one(LABEL_PREKEY, pair_of(number).secret, buf_bytes(&payload), out));
}

static void publish_prekey(struct bench *bench, unsigned number, uint32_t day) {
    AUTO_BUF stamped = {0};
    stamp_prekey(number, day, number + 500, &stamped);
    assert_ok(bench->book.store->ops->prekey_put(bench->book.store, pair_of(number).public, day, buf_bytes(&stamped)));
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

static struct note_key witness_key(unsigned number) {
    struct note_key key;
    char name[40];
    snprintf(name, sizeof name, "witness-%u.example", number);
    assert_ok(note_key_make(bytes_text(name), NOTE_COSIGNATURE, pair_of(number).public, &key));
    return key;
}

/* The card's part in the directory's heads: the log's key, and two witnesses. */
static void give_log_key(struct bench *bench) {
    struct card *card = &bench->book.card;
    snprintf(card->name, sizeof card->name, "relay.example");
    memcpy(card->log, pair_of(LOG_KEY).public, KEY_SIZE);
    memcpy(card->statement, pair_of(RELAY_KEY).public, KEY_SIZE);
    memcpy(bench->book.log_secret, pair_of(LOG_KEY).secret, SIGN_SECRET_SIZE);
    card->witnesses[card->witness_count++] = witness_key(WITNESS);
    card->witnesses[card->witness_count++] = witness_key(OTHER_WITNESS);
    assert_ok(head_key(card, LOG_DIRECTORY, &bench->book.log_keys[LOG_DIRECTORY]));
    assert_ok(head_key(card, LOG_EVIDENCE, &bench->book.log_keys[LOG_EVIDENCE]));
}

UNUSED static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    snprintf(bench->path, sizeof bench->path, "/tmp/ledger-%d.sqlite", (int)getpid());
    unlink(bench->path);
    config_defaults(&bench->config);
    bench->world = world_new();
    bench->book.config = &bench->config;
    bench->config.quota_pair_legs = 2 * LEGS_MAX;
    bench->book.now.ms = WORLD_TIME + 3600 * 1000;
    memcpy(bench->book.statement_key, pair_of(RELAY_KEY).public, KEY_SIZE);
    memcpy(bench->book.statement_secret, pair_of(RELAY_KEY).secret, SIGN_SECRET_SIZE);
    give_log_key(bench);
    assert_ok(store_sqlite_open(bench->path, true, &bench->book.store));
    replay_world(bench);
    assert_ok(book_fill_tree(&bench->book));
    uint32_t today = (uint32_t)(bench->book.now.ms / DAY_MS);
    for (unsigned number = DEVICE; number <= DEVICE + 11; number++) publish_prekey(bench, number, today);
    *state = bench;
    return 0;
}

UNUSED static int teardown(void **state) {
    struct bench *bench = *state;
    char other[80];
    bench->book.store->ops->close(bench->book.store);
    directory_free(bench->book.directory);
    directory_free(bench->book.growing);
    merkle_tree_free(&bench->book.tree);
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

/* Leaves that were said to the world enter the ledger's directory and store, as if in a batch of their own. */
UNUSED static void catch_up(struct bench *bench) {
    struct store *store = bench->book.store;
    uint8_t root[HASH_SIZE];
    for (size_t i = (size_t)directory_size(bench->book.directory); i < bench->world.count; i++) {
        assert_ok(directory_apply(bench->book.directory, buf_bytes(&bench->world.leaves[i])));
        directory_root(bench->book.directory, root);
        assert_ok(store->ops->leaf_add(store, i, buf_bytes(&bench->world.leaves[i]), root));
    }
    if (bench->book.now.ms < bench->world.time) bench->book.now.ms = bench->world.time;
}

UNUSED static void begin(struct bench *bench) {
    struct book *book = &bench->book;
    assert_ok(book->store->ops->begin(book->store));
    assert_ok(scribe_begin(&book->scribe, book->store, directory_size(book->directory)));
}

UNUSED static void commit_batch(struct bench *bench) {
    struct book *book = &bench->book;
    if (book->growing) assert_ok(heads_write(book, LOG_DIRECTORY, HEAD_INTERVAL_MS));
    assert_ok(scribe_sign(&book->scribe, book->store, book->statement_secret));
    assert_ok(proofs_write(book));
    assert_ok(book->store->ops->commit(book->store));
    book->wake_count = 0;
    assert_ok(book_grow(book));
}

UNUSED static struct job job_of(unsigned number) {
    struct job job = {.has_device = true};
    memcpy(job.device, pair_of(number).public, KEY_SIZE);
    return job;
}

/* ---- requests ---- */

/* What a test wants; zeros mean a request with an offer and a body of SENDER's to the other post. */
struct plan {
    unsigned id;
    size_t legs;
    enum leg_kind kind;
    unsigned sender;
    const char *to;
    size_t body; /* bytes of ciphertext */
    const struct cargo *parent;
    bool exercise, misfit; /* misfit: the body's digest is of a chunk one byte too short */
    uint64_t keep_s;
};

struct cargo {
    struct header header;
    unsigned sender;
    uint8_t digest[HASH_SIZE], seed[HASH_SIZE], leg[LEGS_MAX][HASH_SIZE];
    struct buf stamped, places, wrapsets[LEGS_MAX], chunks, digests[2];
    size_t legs, chunk_count;
};

UNUSED static void parcel_free(struct cargo *parcel) {
    buf_free(&parcel->stamped);
    buf_free(&parcel->places);
    buf_free(&parcel->chunks);
    buf_free(&parcel->digests[0]);
    buf_free(&parcel->digests[1]);
    for (size_t i = 0; i < parcel->legs; i++) buf_free(&parcel->wrapsets[i]);
}
#define AUTO_PARCEL __attribute__((cleanup(parcel_free))) struct cargo

/* The ciphertext of one chunk: as good as random to the relay. */
static struct bytes chunk_text(const struct part *part, unsigned number, uint32_t index) {
    static uint8_t data[CHUNK_SIZE];
    size_t size = chunks_size(part->length, index);
    memset(data, (int)(number * 16 + index + 1), size);
    return bytes_of(data, size);
}

static void fill_part(struct part *part, unsigned number, size_t length, bool misfit, struct buf *ret_digests) {
    part->length = length;
    for (uint32_t i = 0; i < chunks_count(length); i++) {
        uint8_t digest[HASH_SIZE];
        struct bytes text = chunk_text(part, number, i);
        text.n -= misfit;
        chunk_digest(text, digest);
        buf_add_bytes(ret_digests, bytes_of(digest, HASH_SIZE));
    }
    part_digest(buf_bytes(ret_digests), part->digest);
}

static struct chunk chunk_of(const struct cargo *parcel, unsigned number, uint32_t index) {
    const struct part *part = number == PART_OFFER ? &parcel->header.offer : &parcel->header.body;
    struct chunk chunk = {.part = number, .index = index, .data = chunk_text(part, number, index)};
    memcpy(chunk.header, parcel->digest, HASH_SIZE);
    return chunk;
}

static void add_chunks(struct cargo *parcel, unsigned number, const struct part *part) {
    for (uint32_t i = 0; i < chunks_count(part->length); i++, parcel->chunk_count++) {
        struct chunk chunk = chunk_of(parcel, number, i);
        chunk_encode(&chunk, &parcel->chunks);
    }
}

static const char *post_name_of(unsigned number) { return number >= RECIPIENT ? "fj/national" : "de/technical"; }

static void seal_leg(struct bench *bench, struct cargo *parcel, size_t which, const char *to) {
    struct wrapset set = {.has_leg = true, .generation = 1, .size = directory_size(bench->book.directory)};
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    AUTO_BUF wraps = {0}, payload = {0};
    memcpy(set.header, parcel->digest, HASH_SIZE);
    memcpy(set.leg, parcel->leg[which], HASH_SIZE);
    memcpy(set.signer, parcel->header.device, KEY_SIZE);
    directory_root(bench->book.directory, set.root);
    size_t count = directory_readers(bench->book.directory, bytes_text(to), bench->book.now, readers);
    for (size_t i = 0; i < count; i++) {
        struct wrap wrap = {.enc = bytes_text("enc"), .ciphertext = bytes_text("sealed")};
        memcpy(wrap.device, readers[i]->device, KEY_SIZE);
        wrap_encode(&wrap, &wraps);
    }
    set.wraps = list_of(&wraps, count);
    wrapset_encode(&set, &payload);
    assert_ok(
        stamp_sign_one(LABEL_WRAPSET, pair_of(parcel->sender).secret, buf_bytes(&payload), &parcel->wrapsets[which]));
}

static void add_leg(struct cargo *parcel, const struct plan *plan, size_t i, struct legs_leaf *ret_leaf) {
    struct opening opening = {.to = bytes_text(plan->to), .sequence = (uint64_t)plan->id * LEGS_MAX + i + 1};
    AUTO_BUF bytes = {0};
    memset(opening.salt, (int)plan->id, HASH_SIZE);
    opening_encode(&opening, &bytes);
    stamp_hash(buf_bytes(&bytes), parcel->leg[i]);
    memcpy(ret_leaf->id, parcel->leg[i], HASH_SIZE);
    ret_leaf->position = (uint32_t)i;
    place_encode(&(struct place){buf_bytes(&bytes), ret_leaf->position}, &parcel->places);
}

static void fill_header(struct bench *bench, struct cargo *parcel, const struct plan *plan) {
    struct header *header = &parcel->header;
    *header = (struct header){.from = bytes_text(post_name_of(plan->sender)),
                              .created = bench->book.now,
                              .keep_s = plan->keep_s ? plan->keep_s : KEEP_MIN_S,
                              .exercise = plan->exercise,
                              .has_offer = plan->kind != LEG_REPLY,
                              .has_body = plan->kind != LEG_OFFER_ONLY,
                              .has_parent = plan->parent != NULL};
    memcpy(header->request, &plan->id, sizeof plan->id);
    memcpy(header->device, pair_of(plan->sender).public, KEY_SIZE);
    if (plan->parent) {
        memcpy(header->parent.header, plan->parent->digest, HASH_SIZE);
        memcpy(header->parent.leg, plan->parent->leg[0], HASH_SIZE);
    }
    if (header->has_offer) fill_part(&header->offer, PART_OFFER, TEXT, false, &parcel->digests[0]);
    if (!header->has_body) return;
    fill_part(&header->body, PART_BODY, plan->body ? plan->body : TEXT, plan->misfit, &parcel->digests[1]);
}

static struct cargo parcel_make(struct bench *bench, struct plan plan) {
    struct cargo parcel = {.legs = plan.legs ? plan.legs : 1, .sender = plan.sender ? plan.sender : SENDER};
    struct legs_leaf leaves[LEGS_MAX];
    AUTO_BUF payload = {0};
    plan.sender = parcel.sender;
    if (!plan.kind) plan.kind = LEG_REQUEST;
    if (!plan.to) plan.to = post_name_of(plan.sender >= RECIPIENT ? SENDER : RECIPIENT);
    fill_header(bench, &parcel, &plan);
    for (size_t i = 0; i < parcel.legs; i++) add_leg(&parcel, &plan, i, &leaves[i]);
    assert_ok(legs_root(leaves, parcel.legs, parcel.seed, parcel.header.legs));
    header_encode(&parcel.header, &payload);
    header_digest(buf_bytes(&payload), parcel.digest);
    assert_ok(stamp_sign_one(LABEL_HEADER, pair_of(plan.sender).secret, buf_bytes(&payload), &parcel.stamped));
    for (size_t i = 0; i < parcel.legs; i++) seal_leg(bench, &parcel, i, plan.to);
    if (parcel.header.has_offer) add_chunks(&parcel, PART_OFFER, &parcel.header.offer);
    if (parcel.header.has_body) add_chunks(&parcel, PART_BODY, &parcel.header.body);
    return parcel;
}

/* From de/technical to fj/national, an offer and a body of one chunk each. */
UNUSED static struct cargo parcel_new(struct bench *bench, unsigned id, size_t legs) {
    return parcel_make(bench, (struct plan){.id = id, .legs = legs});
}

/* Submits the header with the wrap sets of `count` legs from `first` on, as a message that the wire would carry. */
static enum error try_submit(struct bench *bench, const struct cargo *parcel, size_t first, size_t count,
                             bool with_chunks, struct response *ret) {
    AUTO_BUF sets = {0}, message = {0};
    struct job job = job_of(parcel->sender);
    for (size_t i = first; i < first + count; i++) cbor_put_bytes(&sets, buf_bytes(&parcel->wrapsets[i]));
    struct submit submit = {.header = buf_bytes(&parcel->stamped),
                            .places = list_of(&parcel->places, parcel->legs),
                            .wrapsets = list_of(&sets, count),
                            .has_offer_digests = parcel->header.has_offer,
                            .has_body_digests = parcel->header.has_body,
                            .offer_digests = buf_bytes(&parcel->digests[0]),
                            .body_digests = buf_bytes(&parcel->digests[1])};
    if (with_chunks) submit.chunks = list_of(&parcel->chunks, parcel->chunk_count);
    memcpy(submit.seed, parcel->seed, HASH_SIZE);
    submit_encode(&submit, &message);
    assert_true(message.n <= MESSAGE_MAX);
    return submission_submit(&bench->book, &job, &submit, ret);
}

UNUSED static void submit_leg(struct bench *bench, const struct cargo *parcel, size_t which, bool with_chunks,
                              struct response *ret) {
    assert_ok(try_submit(bench, parcel, which, 1, with_chunks, ret));
}

/* A batch of one submission; what was said of its leg, or of the whole. */
UNUSED static enum error send_parcel(struct bench *bench, const struct cargo *parcel, size_t which) {
    struct response response = {0};
    begin(bench);
    submit_leg(bench, parcel, which, true, &response);
    commit_batch(bench);
    enum error error = response.type == MESSAGE_FAILURE ? response.error : response.outcomes[0].error;
    assert_int_equal(response.outcome_count, response.type == MESSAGE_SUBMITTED ? 1 : response.outcome_count);
    response_free(&response);
    return error;
}

UNUSED static void store_parcel(struct bench *bench, const struct cargo *parcel, size_t which) {
    assert_ok(send_parcel(bench, parcel, which));
}

static void make_statement(const struct cargo *parcel, size_t which, enum leg_event event, unsigned number,
                           uint8_t nonce, struct buf *out) {
    struct statement statement = {.event = (uint64_t)event,
                                  .has_leg = true,
                                  .has_post = true,
                                  .time = {1},
                                  .post = bytes_text(post_name_of(number))};
    AUTO_BUF payload = {0};
    memcpy(statement.header, parcel->digest, HASH_SIZE);
    memcpy(statement.leg, parcel->leg[which], HASH_SIZE);
    memcpy(statement.device, pair_of(number).public, KEY_SIZE);
    memset(statement.nonce, nonce, NONCE_SIZE);
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, pair_of(number).secret, buf_bytes(&payload), out));
}

/* Says it inside a batch; *ret_pending: the scribe's number of a new receipt, or -1. */
static enum error say_pending(struct bench *bench, const struct cargo *parcel, size_t which, enum leg_event event,
                              unsigned number, uint8_t nonce, int *ret_pending, bool *ret_receipt) {
    AUTO_BUF stamped = {0}, said = {0};
    struct response response = {0};
    struct job job = job_of(number);
    make_statement(parcel, which, event, number, nonce, &stamped);
    said_encode(&(struct said){.statement = buf_bytes(&stamped)}, &said);
    struct state state = {.said = list_of(&said, 1)};
    assert_ok(transition_state(&bench->book, &job, &state, &response));
    assert_int_equal(response.outcome_count, 1);
    enum error error = response.outcomes[0].error;
    *ret_pending = response.outcomes[0].pending;
    *ret_receipt = *ret_pending >= 0 || response.outcomes[0].receipt.n > 0;
    response_free(&response);
    return error;
}

/* ret_receipt: is there one? May be NULL. */
UNUSED static enum error say(struct bench *bench, const struct cargo *parcel, size_t which, enum leg_event event,
                             unsigned number, uint8_t nonce, bool *ret_receipt) {
    int pending;
    bool receipt;
    enum error error = say_pending(bench, parcel, which, event, number, nonce, &pending, &receipt);
    if (ret_receipt) *ret_receipt = receipt;
    return error;
}

UNUSED static enum error say_alone(struct bench *bench, const struct cargo *parcel, size_t which, enum leg_event event,
                                   unsigned number, uint8_t nonce) {
    begin(bench);
    enum error error = say(bench, parcel, which, event, number, nonce, NULL);
    commit_batch(bench);
    return error;
}

UNUSED static struct store_leg leg_of(struct bench *bench, const struct cargo *parcel, size_t which) {
    struct store_leg leg;
    memset(&leg, 0, sizeof leg); /* also what lies behind the names, so that two can be compared whole */
    assert_ok(bench->book.store->ops->leg_by_id(bench->book.store, parcel->leg[which], &leg));
    return leg;
}

UNUSED static uint64_t quota(struct bench *bench, const char *key) {
    uint64_t value;
    assert_ok(bench->book.store->ops->quota_get(bench->book.store, key, &value));
    return value;
}

static enum error fetch_part(struct bench *bench, const struct cargo *parcel, size_t which, unsigned part,
                             unsigned number) {
    struct fetch fetch = {.has_leg = true, .part = part};
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

UNUSED static enum error fetch_offer(struct bench *bench, const struct cargo *parcel, size_t which, unsigned number) {
    return fetch_part(bench, parcel, which, PART_OFFER, number);
}

UNUSED static void run_expiry(struct bench *bench) {
    bool more;
    begin(bench);
    assert_ok(expiry_run(&bench->book, &more));
    commit_batch(bench);
    assert_false(more);
}

/* The committed entries of a leg are one chain that ends where the leg stands; ret_last: the last one, views into
 * *bytes. */
UNUSED static size_t check_chain(struct bench *bench, const struct cargo *parcel, size_t which, struct buf *bytes,
                                 struct evidence *ret_last) {
    struct store *store = bench->book.store;
    struct store_leg leg = leg_of(bench, parcel, which);
    uint8_t last[HASH_SIZE];
    memcpy(last, leg.leg, HASH_SIZE);
    for (uint32_t i = 0; i < leg.ordinal; i++) {
        buf_free(bytes);
        *bytes = (struct buf){0};
        assert_ok(store->ops->receipt_of(store, leg.id, i, bytes));
        assert_ok(evidence_open(buf_bytes(bytes), bench->book.statement_key, ret_last));
        assert_ok(evidence_follows(ret_last, (int64_t)i - 1, last));
        assert_memory_equal(ret_last->entry.leg, leg.leg, HASH_SIZE);
        memcpy(last, ret_last->entry_hash, HASH_SIZE);
    }
    assert_memory_equal(last, leg.head, HASH_SIZE);
    /* the reserved state is reached by no entry: a test that wants it puts the leg there */
    if (leg.state != STATE_FORWARDED) assert_int_equal(ret_last->entry.to, leg.state);
    AUTO_BUF more = {0};
    assert_error(store->ops->receipt_of(store, leg.id, leg.ordinal, &more), E_UNKNOWN_REQUEST);
    return leg.ordinal;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
