/* outsider.c - the directory, fetched or read whole and replayed. */
#include "outsider.h"

#include "chain.h"
#include "files.h"
#include "guest.h"
#include "leafname.h"
#include "link.h"
#include "moment.h"
#include "stamp.h"
#include "text.h"

enum { EXPORT_MAX = 256 * 1024 * 1024 };

void outsider_free(struct outsider *outsider) {
    directory_free(outsider->directory);
    buf_free(&outsider->leaves);
    *outsider = (struct outsider){0};
}

static enum error take_leaf(struct outsider *outsider, struct bytes leaf, struct failure *failure) {
    char name[LEAFNAME_SIZE];
    enum error error = directory_apply(outsider->directory, leaf);
    if (error == E_NO_MEMORY) return fail(failure, error, "the directory");
    if (error != E_OK) {
        leafname(leaf, name);
        return fail(failure, E_FALSE_ENTRY, "entry %zu, %s: %s", outsider->count, name, error_text(error));
    }
    cbor_put_bytes(&outsider->leaves, leaf);
    outsider->count++;
    return outsider->leaves.failed ? fail(failure, E_NO_MEMORY, "the directory") : E_OK;
}

/* ---- from a relay ---- */

static enum error take_answer(struct outsider *outsider, const struct leaves *leaves, struct failure *failure) {
    uint8_t root[HASH_SIZE];
    uint64_t size = directory_size(outsider->directory);
    struct list list = leaves->leaves;
    struct bytes leaf;
    if (leaves->from != size || leaves->size < size || leaves->leaves.count > leaves->size - size ||
        (leaves->leaves.count == 0 && leaves->size > size))
        return fail(failure, E_MALFORMED, "directory entries from %llu", (unsigned long long)size);
    while (list_next_bytes(&list, &leaf)) TRY(take_leaf(outsider, leaf, failure));
    directory_root(outsider->directory, root);
    if (directory_size(outsider->directory) == leaves->size && memcmp(root, leaves->root, HASH_SIZE) != 0)
        return fail(failure, E_DIRECTORY_FORKED, "different roots at %llu entries", (unsigned long long)leaves->size);
    return E_OK;
}

static enum error fetch(struct outsider *outsider, struct relay *relay, struct failure *failure) {
    for (;;) {
        AUTO_ANSWER answer = {0};
        struct leaves leaves;
        struct getleaves ask = {.from = directory_size(outsider->directory), .max = LEAVES_MAX};
        TRY(relay_call(relay, MESSAGE_GETLEAVES, &ask, &answer, failure));
        enum error error = leaves_decode(answer.body, &leaves);
        if (error != E_OK) return fail(failure, error, "the relay's directory");
        TRY(take_answer(outsider, &leaves, failure));
        if (directory_size(outsider->directory) == leaves.size) return E_OK;
    }
}

static enum error from_relay(struct outsider *outsider, const struct client_options *options, struct failure *failure) {
    struct relay *relay = NULL;
    TRY(guest_connect(&outsider->card, options, &relay, failure));
    outsider->now = relay_now(relay);
    enum error error = fetch(outsider, relay, failure);
    relay_close(&relay);
    return error;
}

/* ---- from a file: one leaf a line, in hex, or in an object as `directory export --json` writes it ---- */

/* Its "leaf": hex has no characters that would be escaped. */
static struct bytes leaf_of_object(struct bytes line) {
    static const char name[] = "\"leaf\"";
    const uint8_t *at = memmem(line.p, line.n, name, sizeof name - 1);
    const uint8_t *end = line.p + line.n;
    const uint8_t *open = at ? memchr(at + sizeof name - 1, '"', (size_t)(end - at) - (sizeof name - 1)) : NULL;
    const uint8_t *close = open ? memchr(open + 1, '"', (size_t)(end - open) - 1) : NULL;
    return close ? bytes_of(open + 1, (size_t)(close - open) - 1) : bytes_of(line.p, 1);
}

static enum error take_line(struct outsider *outsider, const char *path, struct bytes line, struct failure *failure) {
    AUTO_BUF leaf = {0};
    if (line.p[0] == '{') line = leaf_of_object(line);
    uint8_t *p = buf_extend(&leaf, line.n / 2);
    if (!p) return fail(failure, E_NO_MEMORY, "%s", path);
    if (line.n % 2 != 0 || text_unhex(line, p, line.n / 2) != E_OK)
        return fail(failure, E_MALFORMED, "%s:%zu is no entry of a directory", path, outsider->count + 1);
    return take_leaf(outsider, buf_bytes(&leaf), failure);
}

static enum error from_file(struct outsider *outsider, const char *path, struct failure *failure) {
    AUTO_BUF text = {0};
    outsider->now = moment_now();
    TRY(files_read(path, EXPORT_MAX, &text, failure));
    for (size_t at = 0; at < text.n;) {
        const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
        size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
        if (n > 0) TRY(take_line(outsider, path, bytes_of(text.p + at, n), failure));
        at += n + 1;
    }
    return E_OK;
}

enum error outsider_open(const char *card_path, const char *file, const struct client_options *options,
                         struct outsider *ret, struct failure *failure) {
    AUTO_OUTSIDER outsider = {0};
    TRY(guest_read_card(card_path, &outsider.card, failure));
    outsider.directory = directory_new(&outsider.card);
    if (!outsider.directory) return fail(failure, E_NO_MEMORY, "the directory");
    TRY(file ? from_file(&outsider, file, failure) : from_relay(&outsider, options, failure));
    *ret = outsider;
    outsider = (struct outsider){0};
    return E_OK;
}

/* ---- a party's origin ---- */

static bool is_charter(const struct leaf *leaf, const struct directory_party *party) {
    struct bytes payload;
    uint8_t hash[HASH_SIZE];
    if (leaf->kind != LEAF_CHARTER || stamp_peek(leaf->statement, &payload) != E_OK) return false;
    stamp_hash(payload, hash);
    return memcmp(hash, party->charter, HASH_SIZE) == 0;
}

/* Those in the log are valid: the replay has said so. */
static bool is_succession(const struct leaf *leaf, const struct directory_party *party) {
    struct bytes payload;
    struct succession succession;
    if (leaf->kind != LEAF_SUCCESSION || stamp_peek(leaf->statement, &payload) != E_OK) return false;
    if (succession_decode(payload, &succession) != E_OK || !bytes_are(succession.party, party->name)) return false;
    return succession.action != SUCCESSION_OBJECT;
}

enum error outsider_origin(const struct outsider *outsider, const char *name, struct buf *statements,
                           size_t *ret_count) {
    const struct directory_party *party = directory_party(outsider->directory, bytes_text(name));
    struct list list = list_of(&outsider->leaves, outsider->count);
    struct bytes bytes;
    struct leaf leaf;
    if (!party) return E_UNKNOWN_PARTY;
    *ret_count = 0;
    while (list_next_bytes(&list, &bytes)) {
        TRY(leaf_decode(bytes, &leaf));
        if (!is_charter(&leaf, party) && !is_succession(&leaf, party)) continue;
        TRY(chain_append((enum leaf_kind)leaf.kind, leaf.statement, statements));
        (*ret_count)++;
    }
    return E_OK;
}
