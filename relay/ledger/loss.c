/* loss.c - going on after a declared loss: the store is older than what the relay has signed, the newer one is gone for good,
 * and the registrars have said so. Their statement lies beside the store (LOSS_FILE, put there by `pouchctl recover apply`)
 * and becomes the first leaf under the new keys; heads that the old keys signed are set aside, here and as files.
 *
 * Each step may be repeated: killed anywhere, the next start goes on. The file goes last. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fault.h"
#include "head.h"
#include "headfile.h"
#include "log.h"
#include "logs.h"

#define LOSS_FILE "relay.recover"
#define LOSS_DONE "relay.recovered"

static enum error read_statement(struct buf *ret) {
    uint8_t bytes[DIRSTATEMENT_MAX + 1];
    int fd = open(LOSS_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? E_OK : E_IO;
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    if (n <= 0) return n < 0 ? E_IO : E_MALFORMED;
    buf_add(ret, bytes, (size_t)n);
    return buf_error(ret);
}

/* It speaks of this very store, and under the keys that are here now. */
static enum error check(const struct book *book, struct bytes statement) {
    struct bytes payload;
    struct relaychange change;
    struct log_state evidence;
    TRY(directory_peek(LEAF_RELAY, statement, &payload));
    TRY(relaychange_decode(payload, &change));
    if (change.action != RELAY_RECOVERED) return E_MALFORMED;
    TRY(logs_now(book, LOG_EVIDENCE, &evidence));
    uint64_t size = directory_size(book->directory);
    bool same = change.size == size && change.entries == evidence.size &&
                memcmp(change.entries_root, evidence.root, HASH_SIZE) == 0;
    if (!same) {
        log_line(
            LOG_ERR,
            "the registrars have declared a loss after %llu entries of the directory and %llu of evidence; this store "
            "has %llu and %llu: bring back that one, or have this one declared by `pouchctl recover`",
            (unsigned long long)change.size, (unsigned long long)change.entries, (unsigned long long)size,
            (unsigned long long)evidence.size);
        return E_MISMATCH;
    }
    bool keys = memcmp(change.statement, book->statement_key, KEY_SIZE) == 0 &&
                memcmp(change.log, book->card.log, KEY_SIZE) == 0;
    return keys ? E_OK : E_WRONG_FINGERPRINT;
}

static enum error record(struct book *book, struct bytes leaf) {
    uint8_t root[HASH_SIZE];
    uint64_t index = directory_size(book->directory);
    TRY(directory_apply(book->directory, leaf));
    directory_root(book->directory, root);
    TRY(book->store->ops->begin(book->store));
    enum error error = book->store->ops->leaf_add(book->store, index, leaf, root);
    if (error == E_OK) error = book->store->ops->heads_drop(book->store);
    FAULT("loss.uncommitted");
    if (error == E_OK) return book->store->ops->commit(book->store);
    book->store->ops->rollback(book->store);
    return error;
}

static enum error set_aside(void) {
    TRY(headfile_set_aside(LOG_DIRECTORY));
    FAULT("loss.half-aside");
    TRY(headfile_set_aside(LOG_EVIDENCE));
    FAULT("loss.aside");
    return rename(LOSS_FILE, LOSS_DONE) == 0 ? E_OK : E_IO;
}

/* A head under the new keys: this loss was made up for before, and the relay has signed since. */
static enum error signed_since(const struct book *book, bool *ret) {
    static const enum relay_log logs[] = {LOG_DIRECTORY, LOG_EVIDENCE};
    *ret = false;
    for (size_t i = 0; i < LENGTH(logs); i++) {
        AUTO_BUF note = {0};
        struct head head;
        TRY(headfile_read(logs[i], &note));
        *ret = *ret || (note.n > 0 && head_open_log(&book->card, logs[i], buf_bytes(&note), &head) == E_OK);
    }
    return E_OK;
}

/* Applied again by mistake: the heads stay, for they tell whether the store is an older one. */
static enum error pass_over(bool held) {
    if (held) return rename(LOSS_FILE, LOSS_DONE) == 0 ? E_OK : E_IO;
    log_line(LOG_ERR,
             "the relay has gone on after this loss before, and this store is older than that: a loss of its own. "
             "Nothing is signed; bring back the newer store, or begin with `pouchctl recover` again");
    return E_CORRUPT;
}

enum error loss_take(struct book *book) {
    AUTO_BUF statement = {0};
    AUTO_BUF leaf = {0};
    bool since;
    TRY(read_statement(&statement));
    if (statement.n == 0) return E_OK;
    TRY(signed_since(book, &since));
    if (since) return pass_over(directory_holds(book->directory, LEAF_RELAY, buf_bytes(&statement)));
    if (!directory_holds(book->directory, LEAF_RELAY, buf_bytes(&statement))) {
        TRY(check(book, buf_bytes(&statement)));
        TRY(directory_make_leaf(book->directory, LEAF_RELAY, buf_bytes(&statement), book->now, &leaf));
        TRY(record(book, buf_bytes(&leaf)));
        log_line(
            LOG_WARNING,
            "going on after a declared loss, from %llu entries of the directory; members offer again what they have",
            (unsigned long long)directory_size(book->directory) - 1);
    }
    FAULT("loss.recorded");
    return set_aside();
}

enum error loss_newest(const struct book *book, struct buf *ret_statement) {
    const struct directory *directory = book->directory;
    const struct directory_relay *relay, *newest = NULL;
    for (size_t n = 0; (relay = directory_relay_nth(directory, n)); n++)
        if (relay->action == RELAY_RECOVERED) newest = relay;
    if (!newest) return E_OK;
    AUTO_BUF bytes = {0};
    struct leaf leaf;
    TRY(book->store->ops->leaf_get(book->store, newest->index, &bytes));
    if (leaf_decode(buf_bytes(&bytes), &leaf) != E_OK) return E_CORRUPT;
    buf_add_bytes(ret_statement, leaf.statement);
    return buf_error(ret_statement);
}

bool loss_lately(const struct book *book) {
    const struct directory_relay *relay;
    for (size_t n = 0; (relay = directory_relay_nth(book_directory(book), n)); n++)
        if (relay->action == RELAY_RECOVERED && book->now.ms < relay->at.ms + LOSS_OFFERS_MS) return true;
    return false;
}
