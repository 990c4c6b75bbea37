/* fraud.c - makes and verifies proofs of fraud. Whatever is made is verified before it is given out, so that there is
 * one opinion on what a proof is. */
#include "fraud.h"

#include "evidence.h"

/* ---- heads ---- */

/* A head in a proof bears the log's signature and no other, so that a proof has one form. */
static enum error open_side(const struct card *card, enum relay_log log, struct bytes bytes, struct fraud_side *ret) {
    struct head head;
    struct note note;
    TRY(head_open_log(card, log, bytes, &head));
    TRY(note_parse(bytes, &note));
    if (note.count != 1) return E_MALFORMED;
    ret->size = head.size;
    memcpy(ret->root, head.root, HASH_SIZE);
    ret->time = head.time;
    return E_OK;
}

static enum error flat_path(struct list list, struct buf *out) {
    const uint8_t *hash;
    while (list_next_fixed(&list, HASH_SIZE, &hash)) buf_add(out, hash, HASH_SIZE);
    return buf_error(out);
}

/* The root that the newer head's log has at the older size: its own when the sizes are equal, else shown by the path.
 * */
static enum error check_root(const struct fraud *fraud, struct fraud_view *view) {
    AUTO_BUF path = {0};
    if (view->older.size == view->newer.size) {
        if (fraud->has_root || fraud->path.count) return E_MALFORMED;
        memcpy(view->root, view->newer.root, HASH_SIZE);
        view->has_root = true;
        return E_OK;
    }
    if (!fraud->has_root) return E_MISSING_FIELD;
    if (view->older.size == 0) return E_NO_PROOF; /* every log begins with nothing */
    TRY(flat_path(fraud->path, &path));
    TRY(merkle_verify_consistency(view->older.size, bytes_of(fraud->root, HASH_SIZE), view->newer.size,
                                  bytes_of(view->newer.root, HASH_SIZE), buf_bytes(&path)));
    memcpy(view->root, fraud->root, HASH_SIZE);
    view->has_root = true;
    return E_OK;
}

static enum error roots_differ(const struct fraud_view *view) {
    return memcmp(view->root, view->older.root, HASH_SIZE) != 0 ? E_OK : E_NO_PROOF;
}

/* Of which log the first head is: its origin tells. */
static enum relay_log log_of(const struct card *card, struct bytes note) {
    struct head head;
    return head_open_log(card, LOG_EVIDENCE, note, &head) == E_OK ? LOG_EVIDENCE : LOG_DIRECTORY;
}

static enum error verify_heads(const struct fraud *fraud, struct fraud_view *view) {
    if (!fraud->has_older || !fraud->has_newer) return E_MISSING_FIELD;
    if (fraud->receipts.count || fraud->has_promise || fraud->has_leaves) return E_UNKNOWN_FIELD;
    view->log = log_of(&view->card, fraud->older);
    TRY(open_side(&view->card, view->log, fraud->older, &view->older));
    TRY(open_side(&view->card, view->log, fraud->newer, &view->newer));
    if (view->older.size > view->newer.size) return E_MALFORMED;
    if (view->older.size == view->newer.size && view->older.time.ms > view->newer.time.ms) return E_NON_CANONICAL;
    TRY(check_root(fraud, view));
    return roots_differ(view);
}

/* ---- entries ---- */

static enum error open_entry(const struct card *card, struct bytes bytes, struct evidence *ret) {
    struct receipt receipt;
    TRY(receipt_decode(bytes, &receipt));
    if (receipt.has_proof || receipt.has_checkpoint) return E_UNKNOWN_FIELD; /* nothing signed would cover them */
    TRY(evidence_open(bytes, card->statement, ret));
    return ret->has_entry ? E_OK : E_MISSING_FIELD;
}

static void entry_side(const struct evidence *evidence, struct fraud_side *ret) {
    ret->size = evidence->entry.size;
    memcpy(ret->root, evidence->entry_hash, HASH_SIZE);
    ret->time = evidence->entry.time;
}

static enum error verify_entries(const struct fraud *fraud, struct fraud_view *view) {
    struct evidence a, b;
    struct bytes first, second;
    struct list list = fraud->receipts;
    if (fraud->has_older || fraud->has_newer || fraud->has_root || fraud->path.count || fraud->has_promise ||
        fraud->has_leaves)
        return E_UNKNOWN_FIELD;
    if (!list_next_bytes(&list, &first) || !list_next_bytes(&list, &second)) return E_MISSING_FIELD;
    TRY(open_entry(&view->card, first, &a));
    TRY(open_entry(&view->card, second, &b));
    entry_side(&a, &view->older);
    entry_side(&b, &view->newer);
    memcpy(view->leg, a.entry.leg, HASH_SIZE);
    view->ordinal = a.entry.ordinal;
    if (memcmp(a.entry.leg, b.entry.leg, HASH_SIZE) != 0 || a.entry.ordinal != b.entry.ordinal) return E_NO_PROOF;
    int order = memcmp(a.entry_hash, b.entry_hash, HASH_SIZE);
    if (order > 0) return E_NON_CANONICAL;
    return order < 0 ? E_OK : E_NO_PROOF;
}

/* ---- promise ---- */

static enum error open_promise(const struct fraud *fraud, struct fraud_view *view) {
    struct bytes payload;
    struct promise promise;
    TRY(stamp_verify(LABEL_PROMISE, view->card.statement, fraud->promise, &payload));
    TRY(promise_decode(payload, &promise));
    view->older = (struct fraud_side){.size = promise.size, .time = promise.time};
    memcpy(view->older.root, promise.root, HASH_SIZE);
    view->deadline = promise.deadline;
    view->statements = promise.statements.count;
    return E_OK;
}

static enum error verify_promise(const struct fraud *fraud, struct fraud_view *view) {
    if (!fraud->has_promise || !fraud->has_newer) return E_MISSING_FIELD;
    if (fraud->has_older || fraud->receipts.count || fraud->has_leaves) return E_UNKNOWN_FIELD;
    TRY(open_promise(fraud, view));
    TRY(open_side(&view->card, LOG_DIRECTORY, fraud->newer, &view->newer));
    if (view->newer.time.ms <= view->deadline.ms) return E_NO_PROOF;
    if (view->newer.size < view->older.size) return fraud->has_root || fraud->path.count ? E_MALFORMED : E_OK;
    TRY(check_root(fraud, view));
    return roots_differ(view);
}

/* ---- leaves ---- */

/* How a replay ends: with the first entry that breaks a rule, or with all that hold. */
struct replayed {
    size_t count; /* entries taken, and the one that was not */
    struct bytes leaf;
    enum error why; /* E_OK: all hold */
    struct buf hashes;
};
static void replayed_free(struct replayed *replayed) { buf_free(&replayed->hashes); }
#define AUTO_REPLAYED __attribute__((cleanup(replayed_free))) struct replayed

static enum error replay(const struct card *card, struct list leaves, struct replayed *ret) {
    struct directory *directory = directory_new(card);
    if (!directory) return E_NO_MEMORY;
    struct bytes leaf;
    while (ret->why == E_OK && list_next_bytes(&leaves, &leaf)) {
        uint8_t hash[HASH_SIZE];
        ret->why = directory_apply(directory, leaf);
        ret->leaf = leaf;
        ret->count++;
        merkle_leaf(leaf, hash);
        buf_add(&ret->hashes, hash, sizeof hash);
    }
    directory_free(directory);
    return ret->why == E_NO_MEMORY ? E_NO_MEMORY : buf_error(&ret->hashes);
}

/* The entries are the beginning of the head's log: check_root shows it, with their root in the older one's place. */
static enum error verify_leaves(const struct fraud *fraud, struct fraud_view *view) {
    AUTO_REPLAYED replayed = {0};
    if (!fraud->has_leaves || !fraud->has_newer) return E_MISSING_FIELD;
    if (fraud->has_older || fraud->receipts.count || fraud->has_promise) return E_UNKNOWN_FIELD;
    TRY(open_side(&view->card, LOG_DIRECTORY, fraud->newer, &view->newer));
    TRY(replay(&view->card, fraud->leaves, &replayed));
    if (replayed.why == E_OK) return E_NO_PROOF;
    if (replayed.count != fraud->leaves.count) return E_MALFORMED; /* entries behind the one that it is about */
    if (replayed.count > view->newer.size) return E_BAD_PROOF;
    view->older = (struct fraud_side){.size = replayed.count, .time = view->newer.time};
    merkle_root(replayed.hashes.p, replayed.count, view->older.root);
    TRY(check_root(fraud, view));
    if (memcmp(view->root, view->older.root, HASH_SIZE) != 0) return E_BAD_PROOF;
    view->leaf = replayed.leaf;
    view->why = replayed.why;
    return E_OK;
}

/* ---- verifying ---- */

/* In the one form that it has: comments and order could otherwise be changed unnoticed. */
static enum error open_card(struct bytes text, struct fraud_view *view) {
    AUTO_BUF again = {0};
    TRY(card_parse(text, &view->card, NULL));
    card_format(&view->card, &again);
    TRY(buf_error(&again));
    if (!bytes_equal(text, buf_bytes(&again))) return E_NON_CANONICAL;
    card_hash(&view->card, view->card_hash);
    return E_OK;
}

enum error fraud_verify(struct bytes bytes, struct fraud_view *ret) {
    struct fraud fraud;
    AUTO_FREE(struct fraud_view) view = calloc(1, sizeof *view);
    if (!view) return E_NO_MEMORY;
    TRY(fraud_decode(bytes, &fraud));
    view->kind = (enum fraud_kind)fraud.kind;
    view->log = LOG_DIRECTORY;
    TRY(open_card(fraud.card, view));
    switch (view->kind) {
    case FRAUD_HEADS: TRY(verify_heads(&fraud, view)); break;
    case FRAUD_ENTRIES: TRY(verify_entries(&fraud, view)); break;
    case FRAUD_PROMISE: TRY(verify_promise(&fraud, view)); break;
    case FRAUD_LEAVES: TRY(verify_leaves(&fraud, view)); break;
    default: return E_MALFORMED;
    }
    *ret = *view;
    return E_OK;
}

/* ---- making ---- */

static enum error finish(struct fraud *fraud, const struct card *card, struct buf *out) {
    AUTO_BUF text = {0}, bytes = {0};
    AUTO_FREE(struct fraud_view) view = calloc(1, sizeof *view);
    if (!view) return E_NO_MEMORY;
    card_format(card, &text);
    TRY(buf_error(&text));
    fraud->card = buf_bytes(&text);
    fraud_encode(fraud, &bytes);
    TRY(buf_error(&bytes));
    TRY(fraud_verify(buf_bytes(&bytes), view));
    buf_add_bytes(out, buf_bytes(&bytes));
    return buf_error(out);
}

static enum error path_items(struct bytes flat, struct buf *out) {
    for (size_t i = 0; i < flat.n; i += HASH_SIZE) cbor_put_bytes(out, bytes_of(flat.p + i, HASH_SIZE));
    return buf_error(out);
}

/* root and path: of the newer log at the older size. */
static enum error show_root(struct fraud *fraud, uint64_t older, const struct fraud_side *newer, struct bytes hashes,
                            struct buf *path) {
    uint8_t root[HASH_SIZE];
    AUTO_BUF flat = {0};
    if (older >= newer->size || older == 0) return E_OK;
    if (hashes.n / HASH_SIZE != newer->size) return E_BAD_PROOF;
    merkle_root(hashes.p, newer->size, root);
    if (memcmp(root, newer->root, HASH_SIZE) != 0) return E_BAD_PROOF;
    merkle_root(hashes.p, older, fraud->root);
    fraud->has_root = true;
    merkle_consistency_path(hashes.p, newer->size, older, &flat);
    TRY(buf_error(&flat));
    TRY(path_items(buf_bytes(&flat), path));
    fraud->path = list_of(path, flat.n / HASH_SIZE);
    return E_OK;
}

static bool is_older(const struct fraud_side *a, const struct fraud_side *b) {
    return a->size != b->size ? a->size < b->size : a->time.ms <= b->time.ms;
}

/* Two notes of one log, each with the log's signature alone. */
struct pair_of_heads {
    struct buf bare_a, bare_b;
    struct fraud_side a, b;
    bool in_order;
};
static void pair_free(struct pair_of_heads *pair) {
    buf_free(&pair->bare_a);
    buf_free(&pair->bare_b);
}
#define AUTO_HEADS __attribute__((cleanup(pair_free))) struct pair_of_heads

static enum error open_pair(const struct card *card, struct bytes a, struct bytes b, struct pair_of_heads *pair) {
    enum relay_log log = LOG_DIRECTORY;
    enum error error = head_bare_log(card, log, a, &pair->bare_a);
    if (error != E_OK) TRY(head_bare_log(card, log = LOG_EVIDENCE, a, &pair->bare_a));
    TRY(head_bare_log(card, log, b, &pair->bare_b));
    TRY(open_side(card, log, buf_bytes(&pair->bare_a), &pair->a));
    TRY(open_side(card, log, buf_bytes(&pair->bare_b), &pair->b));
    pair->in_order = is_older(&pair->a, &pair->b);
    return E_OK;
}

static struct fraud fraud_of(const struct pair_of_heads *pair) {
    return (struct fraud){.kind = FRAUD_HEADS,
                          .has_older = true,
                          .older = buf_bytes(pair->in_order ? &pair->bare_a : &pair->bare_b),
                          .has_newer = true,
                          .newer = buf_bytes(pair->in_order ? &pair->bare_b : &pair->bare_a)};
}

enum error fraud_make_heads(const struct card *card, struct bytes a, struct bytes b, struct bytes newer_hashes,
                            struct buf *out) {
    AUTO_HEADS pair = {0};
    AUTO_BUF path = {0};
    TRY(open_pair(card, a, b, &pair));
    struct fraud fraud = fraud_of(&pair);
    const struct fraud_side *older = pair.in_order ? &pair.a : &pair.b, *newer = pair.in_order ? &pair.b : &pair.a;
    TRY(show_root(&fraud, older->size, newer, newer_hashes, &path));
    return finish(&fraud, card, out);
}

enum error fraud_make_heads_by(const struct card *card, struct bytes older, struct bytes newer,
                               const uint8_t root[static HASH_SIZE], struct bytes path, struct buf *out) {
    AUTO_HEADS pair = {0};
    AUTO_BUF items = {0};
    if (path.n % HASH_SIZE) return E_BAD_PROOF;
    TRY(open_pair(card, older, newer, &pair));
    struct fraud fraud = fraud_of(&pair);
    if (pair.a.size != pair.b.size) {
        TRY(path_items(path, &items));
        fraud.path = list_of(&items, path.n / HASH_SIZE);
        fraud.has_root = true;
        memcpy(fraud.root, root, HASH_SIZE);
    }
    return finish(&fraud, card, out);
}

/* A receipt without what nothing signed covers. */
static enum error bare_receipt(const struct card *card, struct bytes bytes, struct buf *out,
                               uint8_t ret_hash[static HASH_SIZE]) {
    struct receipt receipt;
    struct evidence evidence;
    TRY(evidence_open(bytes, card->statement, &evidence));
    if (!evidence.has_entry) return E_NO_PROOF;
    memcpy(ret_hash, evidence.entry_hash, HASH_SIZE);
    TRY(receipt_decode(bytes, &receipt));
    receipt_encode(&(struct receipt){.statement = receipt.statement, .record = receipt.record}, out);
    return buf_error(out);
}

enum error fraud_make_entries(const struct card *card, struct bytes a, struct bytes b, struct buf *out) {
    AUTO_BUF bare_a = {0}, bare_b = {0}, items = {0};
    uint8_t hash_a[HASH_SIZE], hash_b[HASH_SIZE];
    TRY(bare_receipt(card, a, &bare_a, hash_a));
    TRY(bare_receipt(card, b, &bare_b, hash_b));
    bool in_order = memcmp(hash_a, hash_b, HASH_SIZE) <= 0;
    cbor_put_bytes(&items, buf_bytes(in_order ? &bare_a : &bare_b));
    cbor_put_bytes(&items, buf_bytes(in_order ? &bare_b : &bare_a));
    TRY(buf_error(&items));
    struct fraud fraud = {.kind = FRAUD_ENTRIES, .receipts = list_of(&items, 2)};
    return finish(&fraud, card, out);
}

enum error fraud_make_promise(const struct card *card, struct bytes promise, struct bytes newer,
                              struct bytes newer_hashes, struct buf *out) {
    AUTO_BUF bare = {0}, path = {0};
    struct fraud_view view = {.card = *card};
    TRY(head_bare(card, newer, &bare));
    struct fraud fraud = {
        .kind = FRAUD_PROMISE, .has_newer = true, .newer = buf_bytes(&bare), .has_promise = true, .promise = promise};
    TRY(open_promise(&fraud, &view));
    TRY(open_side(card, LOG_DIRECTORY, buf_bytes(&bare), &view.newer));
    TRY(show_root(&fraud, view.older.size, &view.newer, newer_hashes, &path));
    return finish(&fraud, card, out);
}

/* The first items of a list. */
static struct list first_of(struct list list, size_t count) {
    struct list rest = list;
    struct bytes item;
    for (size_t i = 0; i < count; i++)
        if (!list_next_bytes(&rest, &item)) break;
    return (struct list){bytes_of(list.items.p, (size_t)(rest.items.p - list.items.p)), count};
}

static enum error hashes_of(struct list leaves, struct buf *out) {
    struct bytes leaf;
    while (list_next_bytes(&leaves, &leaf)) {
        uint8_t hash[HASH_SIZE];
        merkle_leaf(leaf, hash);
        buf_add(out, hash, sizeof hash);
    }
    return buf_error(out);
}

enum error fraud_make_leaves(const struct card *card, struct bytes newer, struct list leaves, struct buf *out) {
    AUTO_BUF bare = {0}, path = {0}, hashes = {0};
    AUTO_REPLAYED replayed = {0};
    struct fraud_side side;
    TRY(head_bare(card, newer, &bare));
    TRY(open_side(card, LOG_DIRECTORY, buf_bytes(&bare), &side));
    TRY(replay(card, leaves, &replayed));
    if (replayed.why == E_OK) return E_NO_PROOF;
    if (replayed.count > FRAUD_LEAVES_MAX) return E_TOO_LARGE;
    TRY(hashes_of(leaves, &hashes));
    struct fraud fraud = {.kind = FRAUD_LEAVES,
                          .has_newer = true,
                          .newer = buf_bytes(&bare),
                          .has_leaves = true,
                          .leaves = first_of(leaves, replayed.count)};
    TRY(show_root(&fraud, replayed.count, &side, buf_bytes(&hashes), &path));
    return finish(&fraud, card, out);
}
