/* phrase.c - the directory phrase: what two members read to each other by telephone, to know that the relay shows both
 * the same. */
#include "libpouch.h"
#include "merkle.h"

enum error client_leaves(struct home *home, enum error (*each)(void *context, uint64_t index, struct bytes leaf),
                         void *context, struct failure *failure) {
    AUTO_BUF leaf = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_LEAF, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (uint64_t index = 0, size = directory_size(home->directory); index < size; index++) {
        bool found = false;
        enum error error = archive_next(home->archive, &cursor, &leaf, &found);
        if (error == E_OK && (!found || cursor.key.n != index)) error = E_CORRUPT;
        if (error != E_OK) return fail(failure, error, "directory entry %llu", (unsigned long long)index);
        TRY(each(context, index, buf_bytes(&leaf)));
    }
    return E_OK;
}

struct beginning {
    struct merkle_frontier frontier;
    uint64_t size;
};

static enum error add_leaf(void *context, uint64_t index, struct bytes leaf) {
    struct beginning *part = context;
    uint8_t hash[HASH_SIZE];
    if (index >= part->size) return E_OK;
    merkle_leaf(leaf, hash);
    merkle_frontier_add(&part->frontier, hash);
    return E_OK;
}

/* All leaves are walked: the way to an earlier root is believed when it leads on to the verified one. */
static enum error root_at(struct home *home, uint64_t size, uint8_t ret[static HASH_SIZE], struct failure *failure) {
    struct beginning part = {.size = size}, whole = {.size = directory_size(home->directory)};
    uint8_t root[HASH_SIZE], known[HASH_SIZE];
    TRY(client_leaves(home, add_leaf, &whole, failure));
    merkle_frontier_root(&whole.frontier, root);
    directory_root(home->directory, known);
    if (memcmp(root, known, HASH_SIZE) != 0) return fail(failure, E_CORRUPT, "the stored directory");
    TRY(client_leaves(home, add_leaf, &part, failure));
    merkle_frontier_root(&part.frontier, ret);
    return E_OK;
}

enum error client_phrase(struct home *home, uint64_t size, struct phrase *ret, struct failure *failure) {
    uint64_t seen = directory_size(home->directory);
    uint8_t card[HASH_SIZE];
    struct phrase phrase = {.size = size ? size : seen};
    if (size > seen)
        return fail(failure, E_NOT_MIRRORED, "%llu asked for, %llu here", (unsigned long long)size,
                    (unsigned long long)seen);
    if (phrase.size == seen)
        directory_root(home->directory, phrase.root);
    else
        TRY(root_at(home, phrase.size, phrase.root, failure));
    card_hash(&home->card, card);
    directory_phrase(card, phrase.size, phrase.root, phrase.digest);
    text_fingerprint(phrase.digest, phrase.digits);
    *ret = phrase;
    return E_OK;
}
