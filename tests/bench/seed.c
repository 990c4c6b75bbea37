/* seed.c - fills a stopped relay with undelivered letters: the rows that it would have if they had been sent to it.
 *
 *     bench_seed FOLDER DEPTH PAIRS      relay in FOLDER/relay, ends in FOLDER/pN.ends
 *
 * Letters are sealed and signed by their senders (letter.c) on a thread of their own, and go through the ledger's own
 * submission, scribe, evidence log and heads into the ledger's own store. Left out are the link, and the gate that
 * verifies before it. The result is no different from a store that was filled over the network: `pouchctl verify` reads
 * all of it. Pair p0 is left alone, since it is the one that is measured; the others take turns, in both directions. */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "book.h"
#include "chunks.h"
#include "keys.h"
#include "letter.h"
#include "lockdown.h"
#include "sign.h"

enum {
    BATCH = 256, /* as many jobs as the ledger's own batches take */
    TEXT = 200,
    CARD_MAX = 64 * 1024,
    PAIRS_MAX = 4096,
};

struct seeded {
    struct buf submit; /* encoded */
    uint8_t device[KEY_SIZE], transport[KEY_SIZE];
};

struct sealer {
    struct letter_ends *ends; /* 2 * (pairs - 1): each pair in both directions */
    size_t count;
    struct letter_room room;
    uint64_t from, to; /* numbers of the letters to seal */
    struct seeded *ret;
};

static void must(enum error error, const char *what) {
    if (error != E_OK) letter_die("%s: %s", what, error_text(error));
}

/* ---- sealing ---- */

static void encode_submit(const struct letter *letter, struct buf *out) {
    AUTO_BUF places = {0}, wrapsets = {0}, chunks = {0};
    uint8_t offer_digest[HASH_SIZE];
    struct chunk offer = {.part = PART_OFFER, .data = letter->offer}, body = {.part = PART_BODY, .data = letter->body};
    memcpy(offer.header, letter->digest, HASH_SIZE);
    memcpy(body.header, letter->digest, HASH_SIZE);
    place_encode(&(struct place){.opening = letter->opening, .position = letter->position}, &places);
    cbor_put_bytes(&wrapsets, letter->wrapset);
    chunk_encode(&offer, &chunks);
    chunk_encode(&body, &chunks);
    chunk_digest(letter->offer, offer_digest);
    struct submit submit = {.header = letter->header,
                            .places = list_of(&places, 1),
                            .wrapsets = list_of(&wrapsets, 1),
                            .has_offer_digests = true,
                            .offer_digests = bytes_of(offer_digest, HASH_SIZE),
                            .has_body_digests = true,
                            .body_digests = letter->digests,
                            .chunks = list_of(&chunks, 2)};
    memcpy(submit.seed, letter->seed, HASH_SIZE);
    submit_encode(&submit, out);
    must(buf_error(out), "a submission");
}

static void *seal_some(void *context) {
    struct sealer *sealer = context;
    static const uint8_t text[TEXT];
    for (uint64_t number = sealer->from; number < sealer->to; number++) {
        const struct letter_ends *ends = &sealer->ends[number % sealer->count];
        struct seeded *ret = &sealer->ret[number - sealer->from];
        struct letter letter;
        letter_seal(ends, number / sealer->count + 1, bytes_of(text, sizeof text), &sealer->room, &letter);
        buf_clear(&ret->submit);
        encode_submit(&letter, &ret->submit);
        memcpy(ret->device, ends->sender.device, KEY_SIZE);
        memcpy(ret->transport, ends->sender.transport, KEY_SIZE);
    }
    return NULL;
}

static void read_ends(const char *folder, unsigned pairs, struct sealer *ret) {
    ret->count = 2 * ((size_t)pairs - 1);
    ret->ends = calloc(ret->count, sizeof *ret->ends);
    if (!ret->ends) letter_die("memory ran out");
    for (unsigned i = 1; i < pairs; i++) {
        struct letter_ends *forth = &ret->ends[2 * (i - 1)], *back = forth + 1;
        char pair[16];
        snprintf(pair, sizeof pair, "p%u", i);
        letter_ends_read(folder, pair, forth);
        *back = *forth;
        back->sender = forth->recipient;
        back->recipient = forth->sender;
    }
}

/* ---- the ledger's book, as ledger.c opens it ---- */

static void read_secrets(struct book *book) {
    uint8_t seed[KEY_SIZE], public[KEY_SIZE];
    must(keys_read(".", "statement.key", seed), "statement.key");
    crypto_sign_seed_keypair(book->statement_key, book->statement_secret, seed);
    must(keys_read(".", "log.key", seed), "log.key");
    crypto_sign_seed_keypair(public, book->log_secret, seed);
    for (enum relay_log log = LOG_DIRECTORY; log <= LOG_EVIDENCE; log++)
        must(head_key(&book->card, log, &book->log_keys[log]), "the log's key");
}

static void open_book(const struct config *config, struct book *book) {
    static char text[CARD_MAX];
    uint64_t count;
    FILE *file = fopen("relay.card", "re");
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    if (file) fclose(file);
    *book = (struct book){.config = config};
    must(card_parse(bytes_of(text, n), &book->card, NULL), "relay.card");
    read_secrets(book);
    must(store_sqlite_open(config->store_file, false, &book->store), config->store_file);
    book->directory = directory_new(&book->card);
    must(book->directory ? E_OK : E_NO_MEMORY, "the directory");
    must(book->store->ops->leaf_count(book->store, &count), "the directory");
    for (uint64_t i = 0; i < count; i++) {
        AUTO_BUF leaf = {0};
        must(book->store->ops->leaf_get(book->store, i, &leaf), "the directory");
        must(directory_apply(book->directory, buf_bytes(&leaf)), "the directory");
    }
    must(outage_load(book), "the times of outages");
    clock_start(&book->clock, book->outages.alive);
    must(book_fill_tree(book), "the directory's tree");
}

static enum error take_one(struct book *book, const struct seeded *seeded) {
    struct submit submit;
    struct response response = {0};
    struct job job = {.session = 1, .has_device = true};
    memcpy(job.device, seeded->device, KEY_SIZE);
    memcpy(job.transport, seeded->transport, KEY_SIZE);
    TRY(submit_decode(buf_bytes(&seeded->submit), &submit));
    TRY(submission_submit(book, &job, &submit, &response));
    if (response.type != MESSAGE_SUBMITTED || response.outcome_count != 1)
        letter_die("not taken: %s", error_text(response.error));
    must(response.outcomes[0].error, "not taken");
    response_free(&response);
    return E_OK;
}

/* One batch, in the order of ledger.c's write_batch. */
static enum error write_batch(struct book *book, const struct seeded *seeded, size_t count) {
    book->now = clock_read(&book->clock);
    TRY(book->store->ops->begin(book->store));
    outage_begin(book);
    TRY(scribe_begin(&book->scribe, book->store, directory_size(book->directory)));
    for (size_t i = 0; i < count; i++) TRY(take_one(book, &seeded[i]));
    TRY(scribe_sign(&book->scribe, book->store, book->statement_secret));
    TRY(proofs_write(book));
    TRY(outage_write(book));
    TRY(book->store->ops->commit(book->store));
    heads_keep_outside(book);
    (void)outage_committed(book);
    book->wake_count = 0; /* nobody is there to be woken */
    return book->store->ops->settle(book->store);
}

/* The next batch is sealed while this one is written. */
static void fill(struct book *book, struct sealer *sealer, uint64_t depth) {
    static struct seeded batches[2][BATCH];
    uint64_t done = 0, ready = 0;
    for (unsigned turn = 0; done < depth; turn++) {
        pthread_t thread;
        sealer->from = ready;
        sealer->to = depth - ready < BATCH ? depth : ready + BATCH;
        sealer->ret = batches[turn % 2];
        if (pthread_create(&thread, NULL, seal_some, sealer) != 0) letter_die("no thread");
        if (ready > done) must(write_batch(book, batches[(turn + 1) % 2], (size_t)(ready - done)), "the store");
        pthread_join(thread, NULL);
        done = ready;
        ready = sealer->to;
    }
    for (size_t i = 0; i < BATCH; i++) {
        buf_free(&batches[0][i].submit);
        buf_free(&batches[1][i].submit);
    }
}

int main(int argc, char **argv) {
    char path[512];
    struct config config;
    struct book book;
    struct sealer sealer = {0};
    int lock;
    pid_t other;
    if (sodium_init() < 0 || sign_self_test() != E_OK) letter_die("libsodium does not work");
    unsigned pairs = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (pairs < 2 || pairs > PAIRS_MAX) letter_die("FOLDER DEPTH PAIRS (at least two)");
    read_ends(argv[1], pairs, &sealer);
    snprintf(path, sizeof path, "%s/relay", argv[1]);
    if (chdir(path) != 0) letter_die("%s: no such folder", path);
    must(config_read("relay.yaml", stderr, &config), "relay.yaml");
    must(lockdown_folder(&lock, &other), "the relay runs");
    open_book(&config, &book);
    fill(&book, &sealer, strtoull(argv[2], NULL, 10));
    scribe_free(&book.scribe);
    free(book.wakes);
    directory_free(book.directory);
    merkle_tree_free(&book.tree);
    book.store->ops->close(book.store);
    letter_room_free(&sealer.room);
    free(sealer.ends);
    close(lock);
    return 0;
}
