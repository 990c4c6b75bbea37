/* logs.c - both logs with one face, and the answers to who asks how they have grown. */
#include "logs.h"

#include "log.h"

const char *logs_name(enum relay_log log) { return log == LOG_EVIDENCE ? "the evidence log" : "the directory"; }

enum error logs_blame(const struct tiles *tiles, enum error error) {
    char fault[TILES_FAULT_SIZE];
    if (error != E_CORRUPT || !tiles_fault(tiles, fault)) return error;
    log_line(LOG_ERR, "the evidence log is damaged in the store (%s): nothing is signed; bring back a copy", fault);
    return error;
}

static enum error open_evidence(const struct book *book, struct tiles *ret) {
    uint64_t size;
    TRY(book->store->ops->entry_count(book->store, &size));
    return tiles_open(ret, book->store, LOG_EVIDENCE, size);
}

enum error logs_size(const struct book *book, enum relay_log log, uint64_t *ret) {
    if (log == LOG_EVIDENCE) return book->store->ops->entry_count(book->store, ret);
    *ret = directory_size(book_directory(book));
    return E_OK;
}

static enum error evidence_root(const struct book *book, uint64_t size, uint8_t ret[static HASH_SIZE]) {
    AUTO_TILES tiles = {0};
    TRY(open_evidence(book, &tiles));
    struct merkle_source source = tiles_source(&tiles);
    return logs_blame(&tiles, merkle_source_root(&source, size, ret));
}

enum error logs_root(const struct book *book, enum relay_log log, uint64_t size, uint8_t ret[static HASH_SIZE]) {
    if (log == LOG_EVIDENCE) return evidence_root(book, size, ret);
    const struct directory *directory = book_directory(book);
    if (size != directory_size(directory)) return book->store->ops->leaf_root(book->store, size, ret);
    directory_root(directory, ret);
    return E_OK;
}

enum error logs_now(const struct book *book, enum relay_log log, struct log_state *ret) {
    struct log_state now = {0};
    TRY(logs_size(book, log, &now.size));
    if (now.size > 0) TRY(logs_root(book, log, now.size, now.root));
    *ret = now;
    return E_OK;
}

enum error logs_consistency(const struct book *book, enum relay_log log, uint64_t old, uint64_t size, struct buf *out) {
    if (log == LOG_DIRECTORY) {
        if (size > merkle_tree_size(&book->tree)) return E_CORRUPT;
        merkle_tree_consistency_path(&book->tree, old, size, out);
        return buf_error(out);
    }
    AUTO_TILES tiles = {0};
    TRY(open_evidence(book, &tiles));
    if (size > tiles.size) return E_CORRUPT;
    struct merkle_source source = tiles_source(&tiles);
    return logs_blame(&tiles, merkle_source_consistency_path(&source, old, size, out));
}

/* ---- answers ---- */

static bool sizes_rise(struct list sizes, uint64_t *ret_last) {
    uint64_t last = 0, size;
    while (list_next_uint(&sizes, &size)) {
        if (size <= last) return false;
        last = size;
    }
    *ret_last = last;
    return true;
}

/* From each size to the next, and from the last to the head. */
static enum error add_proofs(const struct book *book, enum relay_log log, struct list sizes, uint64_t head,
                             struct buf *list) {
    uint64_t from, to;
    bool more = list_next_uint(&sizes, &from);
    for (; more; from = to) {
        AUTO_BUF proof = {0};
        more = list_next_uint(&sizes, &to);
        if (!more) to = head;
        TRY(logs_consistency(book, log, from, to, &proof));
        cbor_put_bytes(list, buf_bytes(&proof));
    }
    return buf_error(list);
}

enum error logs_answer(const struct book *book, struct bytes body, struct response *response) {
    struct getlog ask;
    uint64_t last, head;
    AUTO_BUF note = {0}, proofs = {0};
    bool has;
    TRY(getlog_decode(body, &ask));
    enum relay_log which = (enum relay_log)ask.log;
    TRY(heads_newest_of(book, which, &note, &head, &has));
    bool good = sizes_rise(ask.sizes, &last) && (!has || last <= head);
    if (!has || !good) {
        response_fail(response, good ? E_NO_HEAD : E_OUT_OF_RANGE,
                      good ? NULL : "the sizes must rise, and the log must have as many entries");
        return E_OK;
    }
    TRY(add_proofs(book, which, ask.sizes, head, &proofs));
    struct log answer = {.log = ask.log, .note = buf_bytes(&note), .proofs = list_of(&proofs, ask.sizes.count)};
    log_encode(&answer, &response->body);
    response->type = MESSAGE_LOG;
    return buf_error(&response->body);
}

static enum error evidence_hashes(const struct book *book, uint64_t from, uint64_t count, struct buf *out) {
    AUTO_TILES tiles = {0};
    TRY(open_evidence(book, &tiles));
    for (uint64_t at = from; at < from + count;) {
        AUTO_BUF hashes = {0};
        uint64_t skip = at % TILE_HASHES;
        TRY(logs_blame(&tiles, tiles_read(&tiles, 0, at / TILE_HASHES, &hashes)));
        uint64_t n = hashes.n / HASH_SIZE - skip, left = from + count - at;
        if (n > left) n = left;
        buf_add(out, hashes.p + skip * HASH_SIZE, (size_t)n * HASH_SIZE);
        at += n;
    }
    return buf_error(out);
}

enum error logs_answer_hashes(const struct book *book, struct bytes body, struct response *response) {
    struct gethashes ask;
    AUTO_BUF hashes = {0};
    uint64_t size;
    TRY(gethashes_decode(body, &ask));
    bool of_directory = ask.log == LOG_DIRECTORY;
    TRY(logs_size(book, (enum relay_log)ask.log, &size));
    if (of_directory) size = merkle_tree_size(&book->tree); /* committed */
    uint64_t left = ask.from < size ? size - ask.from : 0, count = left < ask.max ? left : ask.max;
    if (of_directory && count > 0)
        buf_add(&hashes, book->tree.levels[0].p + ask.from * HASH_SIZE, (size_t)count * HASH_SIZE);
    if (!of_directory && count > 0) TRY(evidence_hashes(book, ask.from, count, &hashes));
    struct hashes answer = {.log = ask.log, .from = ask.from, .hashes = buf_bytes(&hashes)};
    hashes_encode(&answer, &response->body);
    response->type = MESSAGE_HASHES;
    return hashes.failed ? E_NO_MEMORY : buf_error(&response->body);
}
