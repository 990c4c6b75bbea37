/* mirror.c - fetches, replays and keeps the directory log. New leaves are tried on a copy, so that a relay that
 * contradicts itself changes nothing here. */
#include "mirror.h"

#include "gossip.h"
#include "heads.h"
#include "kept.h"
#include "leafname.h"
#include "loss.h"
#include "news.h"
#include "promises.h"
#include "proofs.h"

static enum error load_mark(struct archive *archive, struct keptmirror *ret, bool *ret_found) {
    AUTO_BUF bytes = {0};
    TRY(archive_get(archive, TABLE_META, archive_named("mirror"), &bytes, ret_found));
    if (!*ret_found) return E_OK;
    return keptmirror_decode(buf_bytes(&bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

/* Of a card, what decides which entries are valid; where the relay is does not. */
static void rules_hash(const struct card *card, uint8_t ret[static HASH_SIZE]) {
    struct card rules = *card;
    rules.address_count = 0;
    memset(rules.curve, 0, KEY_SIZE);
    card_hash(&rules, ret);
}

static enum error save_mark(struct archive *archive, const struct card *card, const struct directory *directory) {
    struct keptmirror mark = {.size = directory_size(directory), .has_card = true};
    rules_hash(card, mark.card);
    directory_root(directory, mark.root);
    AUTO_BUF bytes = {0};
    keptmirror_encode(&mark, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(archive, TABLE_META, archive_named("mirror"), buf_bytes(&bytes));
}

/* Signatures were verified when the entries came; the store is sealed, and the root is compared afterwards. Under another
 * card - other registrars, perhaps - everything is verified anew. */
static enum error replay(struct archive *archive, uint64_t size, bool verified, struct directory *directory) {
    AUTO_BUF leaf = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_LEAF, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(archive, &cursor, &leaf, &found));
        if (!found) return directory_size(directory) == size ? E_OK : E_CORRUPT;
        if (cursor.key.n != directory_size(directory)) return E_CORRUPT;
        enum error error =
            verified ? directory_replay(directory, buf_bytes(&leaf)) : directory_apply(directory, buf_bytes(&leaf));
        if (error != E_OK) return error == E_NO_MEMORY ? E_NO_MEMORY : E_CORRUPT;
    }
}

static enum error check_mark(const struct keptmirror *mark, const struct directory *directory) {
    uint8_t root[HASH_SIZE];
    directory_root(directory, root);
    return memcmp(root, mark->root, HASH_SIZE) == 0 ? E_OK : E_CORRUPT;
}

enum error mirror_mark(struct home *home, const struct directory *directory) {
    return save_mark(home->archive, &home->given, directory);
}

static bool same_card(const struct keptmirror *mark, const struct card *card) {
    uint8_t hash[HASH_SIZE];
    rules_hash(card, hash);
    return mark->has_card && memcmp(mark->card, hash, HASH_SIZE) == 0;
}

enum error mirror_load(struct archive *archive, const struct card *card, struct directory **ret,
                       struct failure *failure) {
    struct keptmirror mark = {0};
    bool found = false;
    enum error error = load_mark(archive, &mark, &found);
    if (error != E_OK) return fail(failure, error, "the stored directory");
    struct directory *directory = directory_new(card);
    if (!directory) return fail(failure, E_NO_MEMORY, "the stored directory");
    error = found ? replay(archive, mark.size, same_card(&mark, card), directory) : E_OK;
    if (error == E_OK && found) error = check_mark(&mark, directory);
    if (error != E_OK) {
        directory_free(directory);
        return fail(failure, error, "the stored directory");
    }
    *ret = directory;
    return E_OK;
}

/* The relay itself checks every entry by the same rules: what breaks one was put there on purpose. */
static enum error false_entry(uint64_t index, struct bytes leaf, enum error why, struct failure *failure) {
    char name[LEAFNAME_SIZE];
    leafname(leaf, name);
    return fail(failure, E_FALSE_ENTRY, "entry %llu, %s: %s", (unsigned long long)index, name, error_text(why));
}

/* One answer's leaves: applied and written. The root is compared when the relay's size is reached. */
static enum error take_leaves(struct home *home, struct directory *directory, const struct leaves *leaves,
                              struct failure *failure) {
    uint64_t size = directory_size(directory);
    if (leaves->size < size)
        return fail(failure, E_DIRECTORY_FORKED, "the relay shows %llu entries; this home has seen %llu",
                    (unsigned long long)leaves->size, (unsigned long long)size);
    if (leaves->from != size || leaves->leaves.count > leaves->size - size ||
        (leaves->leaves.count == 0 && leaves->size > size))
        return fail(failure, E_MALFORMED, "directory entries from %llu", (unsigned long long)size);
    struct list list = leaves->leaves;
    struct bytes leaf;
    while (list_next_bytes(&list, &leaf)) {
        enum error error = directory_apply(directory, leaf);
        if (error != E_OK && error != E_NO_MEMORY) return false_entry(size, leaf, error, failure);
        if (error == E_OK) error = archive_set(home->archive, TABLE_LEAF, archive_key(NULL, NULL, size), leaf);
        if (error == E_OK && home->directory) error = news_take(home, directory, leaf);
        if (error == E_OK && home->directory) error = loss_take_leaf(home, leaf);
        if (error != E_OK) return fail(failure, error, "directory entry %llu", (unsigned long long)size);
        size++;
    }
    uint8_t root[HASH_SIZE];
    directory_root(directory, root);
    if (size == leaves->size && memcmp(root, leaves->root, HASH_SIZE) != 0)
        return fail(failure, E_DIRECTORY_FORKED, "different roots at %llu entries", (unsigned long long)size);
    return E_OK;
}

/* The heads beside what the relay shows, to be judged when all leaves are here: each in a `leaves` without any. */
struct showing {
    struct buf items;
    size_t count;
};
static void showing_free(struct showing *showing) { buf_free(&showing->items); }
#define AUTO_SHOWING __attribute__((cleanup(showing_free))) struct showing

static enum error show(struct showing *showing, uint64_t size, const uint8_t *root, struct bytes note) {
    AUTO_BUF item = {0};
    struct leaves shown = {.size = size, .has_checkpoint = note.n > 0, .checkpoint = note};
    memcpy(shown.root, root, HASH_SIZE);
    leaves_encode(&shown, &item);
    TRY(buf_error(&item));
    cbor_put_bytes(&showing->items, buf_bytes(&item));
    showing->count++;
    return buf_error(&showing->items);
}

static enum error show_welcome(struct showing *showing, struct relay *relay) {
    const struct welcome *welcome = relay_welcome(relay);
    AUTO_BUF note = {0};
    if (!relay_take_head(relay, &note)) return E_OK;
    TRY(buf_error(&note));
    return show(showing, welcome->size, welcome->root, buf_bytes(&note));
}

static enum error judge(struct home *home, const struct directory *directory, const struct showing *showing,
                        struct heads_charge *charge, bool *ret_behind, struct failure *failure) {
    struct list list = list_of(&showing->items, showing->count);
    struct bytes item;
    while (list_next_bytes(&list, &item)) {
        struct leaves shown;
        bool behind = false;
        if (leaves_decode(item, &shown) != E_OK) return E_INTERNAL;
        const struct heads_shown head = {shown.size, shown.root, shown.checkpoint};
        TRY(heads_see(home, directory, &head, charge, &behind, failure));
        *ret_behind = *ret_behind || behind;
    }
    return E_OK;
}

static enum error fetch_all(struct home *home, struct relay *relay, struct directory *directory,
                            struct showing *showing, struct failure *failure) {
    for (;;) {
        AUTO_ANSWER answer = {0};
        struct getleaves ask = {.from = directory_size(directory), .max = LEAVES_MAX};
        TRY(relay_call(relay, MESSAGE_GETLEAVES, &ask, &answer, failure));
        struct leaves leaves;
        enum error error = leaves_decode(answer.body, &leaves);
        if (error != E_OK) return fail(failure, error, "the relay's directory");
        TRY(take_leaves(home, directory, &leaves, failure));
        error = show(showing, leaves.size, leaves.root, leaves.checkpoint);
        if (error != E_OK) return fail(failure, error, "the relay's directory");
        if (directory_size(directory) == leaves.size) return E_OK;
    }
}

/* Leaves, then heads; again when the log has grown between the two. */
static enum error fetch_signed(struct home *home, struct relay *relay, struct directory *directory,
                               struct heads_charge *charge, struct failure *failure) {
    enum { CATCH_UP_MAX = 8 };
    AUTO_SHOWING showing = {0};
    bool behind = true;
    enum error error = show_welcome(&showing, relay);
    if (error != E_OK) return fail(failure, error, "the relay's welcome");
    for (unsigned i = 0; behind; i++) {
        if (i == CATCH_UP_MAX)
            return fail(failure, E_WITHHELD, "the relay has signed more directory entries than the %llu that it shows",
                        (unsigned long long)directory_size(directory));
        TRY(fetch_all(home, relay, directory, &showing, failure));
        directory_relay_card_at(directory, UINT64_MAX, &home->given, &home->card); /* whose log key signs now */
        TRY(heads_update(home, relay, directory, charge, &behind, failure));
        if (!behind) TRY(judge(home, directory, &showing, charge, &behind, failure));
    }
    return E_OK;
}

static enum error update(struct home *home, struct relay *relay, struct directory *directory,
                         struct heads_charge *charge, struct failure *failure) {
    uint64_t before = directory_size(directory);
    TRY(fetch_signed(home, relay, directory, charge, failure));
    if (directory_size(directory) == before && home->directory && before > 0) return E_OK;
    enum error error = save_mark(home->archive, &home->given, directory);
    if (error == E_OK && !home->directory) error = news_first(home, directory);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

/* Which entry it is, and where the proof lies. */
static enum error with_proof(enum error error, const struct failure *breach, struct failure *failure) {
    if (!failure) return error;
    struct failure entry = *failure;
    const char *place = strstr(breach->where, "proof: ");
    return fail(failure, error, "%s; %s", entry.where, place ? place : "");
}

/* The relay contradicts itself: what it has signed may prove it, to anybody. */
static enum error contradicted(struct home *home, struct relay *relay, struct heads_charge *charge, enum error error,
                               struct failure *failure) {
    if (error != E_DIRECTORY_FORKED && error != E_FALSE_ENTRY) return error;
    heads_investigate(home, relay, charge);
    if (charge->proof.n == 0) return error;
    TRY(proofs_accuse(home, buf_bytes(&charge->proof),
                      charge->leaves ? "the relay has signed a directory with an entry that breaks the rules"
                                     : "the relay has signed two directories that contradict each other"));
    struct failure breach = home->breach;
    home->breach = (struct failure){0};
    if (charge->leaves) return with_proof(error, &breach, failure);
    if (failure) *failure = breach; /* told now, with the proof's place */
    if (failure) failure->error = E_DIRECTORY_FORKED;
    return E_DIRECTORY_FORKED;
}

static enum error greet(const struct home *home, const struct relay *relay, struct failure *failure) {
    const struct welcome *welcome = relay_welcome(relay);
    uint64_t size = directory_size(home->directory);
    if (welcome->size < size)
        return fail(failure, E_DIRECTORY_FORKED, "the relay shows %llu entries; this home has seen %llu",
                    (unsigned long long)welcome->size, (unsigned long long)size);
    uint8_t root[HASH_SIZE];
    directory_root(home->directory, root);
    if (welcome->size == size && memcmp(root, welcome->root, HASH_SIZE) != 0)
        return fail(failure, E_DIRECTORY_FORKED, "different roots at %llu entries", (unsigned long long)size);
    return E_OK;
}

enum error mirror_greet(struct home *home, struct relay *relay, struct failure *failure) {
    AUTO_CHARGE charge = {0};
    enum error error = greet(home, relay, failure);
    return error == E_OK ? E_OK : contradicted(home, relay, &charge, error, failure);
}

/* What others were shown, and what the relay has promised, against the mirror as it is now. */
static enum error compare_words(struct home *home, struct failure *failure) {
    enum error error = gossip_settle(home);
    if (error == E_OK) error = promises_check(home);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

enum error mirror_update(struct home *home, struct relay *relay, struct failure *failure) {
    AUTO_CHARGE charge = {0};
    struct directory *directory = home->directory ? directory_copy(home->directory) : directory_new(&home->card);
    if (!directory) return fail(failure, E_NO_MEMORY, "the directory");
    enum error error = archive_begin(home->archive);
    if (error == E_OK) {
        error = update(home, relay, directory, &charge, failure);
        if (error != E_OK)
            archive_rollback(home->archive);
        else
            error = archive_commit(home->archive);
    }
    if (error != E_OK) {
        home_follow_relay(home);
        directory_free(directory);
        if (!failure || failure->error != error) fail(failure, error, "the local store");
        return contradicted(home, relay, &charge, error, failure);
    }
    directory_free(home->directory);
    home->directory = directory;
    home_follow_relay(home);
    return compare_words(home, failure);
}
