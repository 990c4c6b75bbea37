/* pouchctl_recover.c - the relay goes on after a loss: the store is older than the heads that it has signed, and the newer store is
 * gone for good. Never a way around a refusal to start while the newer store can still be found.
 *
 *   recover              looks how far the store goes, makes new log and statement keys beside the old ones, and writes the order
 *                        (recover.order, or where -o says), signed by the registrars' keys that are at hand
 *   recover apply [ORDER]   once enough registrars have signed: puts the new keys in the old ones' place, the new relay.card, and
 *                        the statement where the relay finds it at its next start (relay.recover)
 *
 * The first keys stay as NAME.lost: what they have signed is still evidence, and nobody has to trust them any more. Both may be
 * repeated after a crash. */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cbor.h"
#include "directory.h"
#include "fault.h"
#include "joint.h"
#include "keys.h"
#include "pouchctl.h"
#include "registrar.h"
#include "sqlite.h"
#include "tiles.h"

#define ORDER_NAME "recover.order"
#define STATEMENT_NAME "relay.recover"
#define TAKEN_NAME "relay.recovered" /* once the relay has gone on */

static const char *const key_names[] = {"log.key", "statement.key"};
enum { LOG_KEY, STATEMENT_KEY, KEYS, NAME_ROOM = 32 };

static bool path_in(const struct task *task, const char *name, char out[static PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/%s", task->config.folder, name);
    return n > 0 && n < PATH_MAX;
}

static int too_long(const struct task *task) { return cli_fail(&task->cli, E_USAGE, "the folder's name is too long"); }

/* Held until the program ends. */
static int check_stopped(const struct task *task) {
    char path[PATH_MAX];
    if (!path_in(task, "lock", path)) return too_long(task);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    return cli_fail_hint(&task->cli, E_LOCKED, "stop it first", "the relay runs on %s", task->config.folder);
}

static int card_of(const struct task *task, struct card *ret) {
    bool has = false;
    errno = 0;
    enum error error = task_card(task, ret, &has);
    if (error == E_OK && has) return 0;
    return cli_fail(&task->cli, error == E_OK ? E_NO_FILE : error, "relay.card");
}

static void public_of(const uint8_t seed[static KEY_SIZE], uint8_t ret[static KEY_SIZE]) {
    uint8_t secret[SIGN_SECRET_SIZE];
    crypto_sign_seed_keypair(ret, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

/* ---- how far the store goes ---- */

static enum error measure_directory(struct store *store, struct relaychange *change) {
    TRY(store->ops->leaf_count(store, &change->size));
    if (change->size > 0) return store->ops->leaf_root(store, change->size, change->root);
    merkle_root(NULL, 0, change->root);
    return E_OK;
}

static enum error measure_evidence(struct store *store, struct relaychange *change) {
    AUTO_TILES tiles = {0};
    TRY(store->ops->entry_count(store, &change->entries));
    if (change->entries == 0) return E_OK; /* zeros, as the ledger has it (logs.h) */
    TRY(tiles_open(&tiles, store, LOG_EVIDENCE, change->entries));
    struct merkle_source source = tiles_source(&tiles);
    return merkle_source_root(&source, change->entries, change->entries_root);
}

/* ---- whose signatures are in it ---- */

/* Members have followed the last loss: a copy that goes further and does not know of it is another log than theirs. */
static enum error check_lineage(const struct task *task, const struct directory *directory) {
    char path[PATH_MAX];
    AUTO_BUF joint = {0};
    struct bytes payload;
    struct relaychange last;
    if (!path_in(task, TAKEN_NAME, path)) return E_USAGE;
    if (access(path, F_OK) != 0) return E_OK; /* the first one */
    TRY(task_read(path, TASK_FILE_MAX, &joint));
    TRY(directory_peek(LEAF_RELAY, buf_bytes(&joint), &payload));
    TRY(relaychange_decode(payload, &last));
    bool knows = directory_holds(directory, LEAF_RELAY, buf_bytes(&joint));
    return knows || directory_size(directory) <= last.size ? E_OK : E_DIRECTORY_FORKED;
}

/* relay.card names the keys of the last order that was applied, and the store may be older than that. */
static enum error keys_in_store(const struct task *task, struct store *store, const struct card *card,
                                struct relaychange *change, bool *ret_found) {
    const struct directory_relay *relay;
    struct directory *directory = directory_new(card);
    if (!directory) return E_NO_MEMORY;
    enum error error = E_OK;
    for (uint64_t n = 0; n < change->size && error == E_OK; n++) {
        AUTO_BUF leaf = {0};
        error = store->ops->leaf_get(store, n, &leaf);
        if (error == E_OK) error = directory_apply(directory, buf_bytes(&leaf));
    }
    *ret_found = false;
    for (size_t n = 0; error == E_OK && (relay = directory_relay_nth(directory, n)); n++) {
        if (relay->action != RELAY_RECOVERED) continue;
        memcpy(change->old_log, relay->log, KEY_SIZE);
        memcpy(change->old_statement, relay->statement, KEY_SIZE);
        *ret_found = true;
    }
    if (error == E_OK) error = check_lineage(task, directory);
    directory_free(directory);
    return error;
}

/* Without a loss in the store its keys are the first that the relay has had: those of NAME.lost, if there was one since. */
static enum error first_key(const struct task *task, const char *name, const uint8_t now[static KEY_SIZE],
                            uint8_t ret[static KEY_SIZE]) {
    uint8_t seed[KEY_SIZE];
    char lost[NAME_ROOM];
    snprintf(lost, sizeof lost, "%s.lost", name);
    enum error error = keys_read(task->config.folder, lost, seed);
    if (error == E_OK) public_of(seed, ret);
    if (error == E_IO) memcpy(ret, now, KEY_SIZE);
    sodium_memzero(seed, sizeof seed);
    return error == E_IO ? E_OK : error;
}

static enum error old_keys(const struct task *task, struct store *store, const struct card *card,
                           struct relaychange *change) {
    bool found;
    TRY(keys_in_store(task, store, card, change, &found));
    if (found) return E_OK;
    TRY(first_key(task, key_names[LOG_KEY], card->log, change->old_log));
    return first_key(task, key_names[STATEMENT_KEY], card->statement, change->old_statement);
}

static int measure(const struct task *task, const struct card *card, struct relaychange *change) {
    struct store *store;
    char path[PATH_MAX];
    bool absolute = task->config.store_file[0] == '/';
    if (absolute)
        snprintf(path, sizeof path, "%s", task->config.store_file);
    else if (!path_in(task, task->config.store_file, path))
        return too_long(task);
    enum error error = store_sqlite_open(path, false, &store);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", path);
    error = measure_directory(store, change);
    if (error == E_OK) error = measure_evidence(store, change);
    if (error == E_OK) error = old_keys(task, store, card, change);
    store->ops->close(store);
    if (error == E_DIRECTORY_FORKED)
        return cli_fail_hint(&task->cli, error,
                             "take a copy made after the last loss, or the one that was declared then",
                             "%s knows nothing of the last loss and goes further than members have followed", path);
    return error == E_OK ? 0 : cli_fail(&task->cli, error, "%s", path);
}

/* ---- the new keys ---- */

static enum error next_key(const struct task *task, const char *name, uint8_t ret_public[static KEY_SIZE]) {
    uint8_t seed[KEY_SIZE];
    char next[NAME_ROOM];
    snprintf(next, sizeof next, "%s.next", name);
    enum error error = keys_read(task->config.folder, next, seed);
    if (error == E_IO) {
        randombytes_buf(seed, sizeof seed);
        error = keys_write(task->config.folder, next, seed);
    }
    if (error == E_OK) public_of(seed, ret_public);
    sodium_memzero(seed, sizeof seed);
    return error;
}

/* ---- the order ---- */

static int fill(const struct task *task, const struct card *card, struct relaychange *change, struct buf *addresses) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    *change = (struct relaychange){.action = RELAY_RECOVERED,
                                   .created = {(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000},
                                   .has_reason = true,
                                   .reason = bytes_text(task->reason),
                                   .has_log = true,
                                   .has_statement = true,
                                   .has_size = true,
                                   .has_root = true,
                                   .has_entries = true,
                                   .has_entries_root = true,
                                   .has_old_log = true,
                                   .has_old_statement = true};
    for (size_t i = 0; i < card->address_count; i++) cbor_put_bytes(addresses, bytes_text(card->addresses[i]));
    change->addresses = list_of(addresses, card->address_count);
    memcpy(change->curve, card->curve, KEY_SIZE);
    int code = measure(task, card, change);
    if (code) return code;
    enum error error = next_key(task, key_names[LOG_KEY], change->log);
    if (error == E_OK) error = next_key(task, key_names[STATEMENT_KEY], change->statement);
    return error == E_OK ? 0 : cli_fail(&task->cli, error, "the new keys in %s", task->config.folder);
}

static int order(struct task *task) {
    struct card card;
    struct relaychange change;
    AUTO_BUF addresses = {0};
    AUTO_BUF file = {0};
    char path[PATH_MAX];
    if (!task->reason || !*task->reason)
        return cli_fail_hint(&task->cli, E_USAGE, "add --reason TEXT: every member will see it", "why is it lost?");
    if (!path_in(task, ORDER_NAME, path)) return too_long(task);
    int code = check_stopped(task);
    if (code == 0) code = card_of(task, &card);
    if (code == 0) code = fill(task, &card, &change, &addresses);
    if (code) return code;
    enum error error = addresses.failed ? E_NO_MEMORY : registrar_begin_relay(&change, &file);
    if (error != E_OK) return cli_fail(&task->cli, error, "the order");
    task->subject = "the recovery";
    if (!task->out) task->out = path;
    return registrar_issue(task, &file);
}

/* ---- applying it ---- */

static bool has_key(const struct task *task, const char *name, const uint8_t wanted[static KEY_SIZE]) {
    uint8_t seed[KEY_SIZE], public[KEY_SIZE];
    if (keys_read(task->config.folder, name, seed) != E_OK) return false;
    public_of(seed, public);
    sodium_memzero(seed, sizeof seed);
    return memcmp(public, wanted, KEY_SIZE) == 0;
}

/* NAME to NAME.lost, NAME.next to NAME; nothing where that was done before. */
static enum error swap_key(const struct task *task, const char *name, const uint8_t wanted[static KEY_SIZE]) {
    char short_next[NAME_ROOM], short_lost[NAME_ROOM], now[PATH_MAX], next[PATH_MAX], lost[PATH_MAX];
    if (has_key(task, name, wanted)) return E_OK;
    snprintf(short_next, sizeof short_next, "%s.next", name);
    snprintf(short_lost, sizeof short_lost, "%s.lost", name);
    if (!has_key(task, short_next, wanted)) return E_WRONG_FINGERPRINT;
    if (!path_in(task, name, now) || !path_in(task, short_next, next) || !path_in(task, short_lost, lost))
        return E_USAGE;
    if (access(lost, F_OK) != 0 && link(now, lost) != 0) return E_IO;
    FAULT("recover.linked");
    return rename(next, now) == 0 ? E_OK : E_IO;
}

static enum error sync_folder(const struct task *task) {
    int fd = open(task->config.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return E_IO;
    int failed = fsync(fd);
    close(fd);
    return failed ? E_IO : E_OK;
}

static enum error put_in_place(const struct task *task, const struct registrar_order *order, struct card *card) {
    char path[PATH_MAX];
    AUTO_BUF text = {0};
    if (!path_in(task, STATEMENT_NAME, path)) return E_USAGE;
    TRY(task_write(path, order->joint));
    FAULT("recover.written");
    TRY(swap_key(task, key_names[LOG_KEY], order->relay.log));
    FAULT("recover.half");
    TRY(swap_key(task, key_names[STATEMENT_KEY], order->relay.statement));
    FAULT("recover.keys");
    memcpy(card->log, order->relay.log, KEY_SIZE);
    memcpy(card->statement, order->relay.statement, KEY_SIZE);
    card_format(card, &text);
    TRY(buf_error(&text));
    if (!path_in(task, "relay.card", path)) return E_USAGE;
    TRY(task_write(path, buf_bytes(&text)));
    return sync_folder(task);
}

static int apply(const struct task *task) {
    char path[PATH_MAX], digits[TEXT_FINGERPRINT_SIZE];
    uint8_t hash[HASH_SIZE];
    AUTO_BUF file = {0};
    struct registrar_order order;
    struct card card;
    if (!path_in(task, ORDER_NAME, path)) return too_long(task);
    const char *from = task->word_count == 2 ? task->words[1] : path;
    int code = check_stopped(task);
    if (code == 0) code = card_of(task, &card);
    if (code) return code;
    errno = 0;
    enum error error = task_read(from, TASK_FILE_MAX, &file);
    if (error != E_OK) return cli_fail(&task->cli, errno == ENOENT ? E_NO_FILE : error, "%s", from);
    error = registrar_open(buf_bytes(&file), &order);
    if (error == E_OK && (order.kind != LEAF_RELAY || order.relay.action != RELAY_RECOVERED)) error = E_MALFORMED;
    if (error == E_OK) error = registrar_check(&order, &card);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", from);
    error = put_in_place(task, &order, &card);
    if (error == E_WRONG_FINGERPRINT)
        return cli_fail_hint(&task->cli, error, "apply it in the folder where `pouchctl recover` made the keys",
                             "the keys in %s are not those that %s names", task->config.folder, from);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", task->config.folder);
    card_hash(&card, hash);
    text_fingerprint(hash, digits);
    if (task->cli.json)
        printf("{\"card_fingerprint\": \"%s\", \"size\": %llu, \"entries\": %llu}\n", digits,
               (unsigned long long)order.relay.size, (unsigned long long)order.relay.entries);
    else
        printf(
            "Start the relay: it goes on from %llu entries of the directory, and members offer again what came after.\n"
            "Its card's new fingerprint is\n  %s\n",
            (unsigned long long)order.relay.size, digits);
    return 0;
}

int recover_run(struct task *task) {
    if (task->word_count == 0) return order(task);
    if (strcmp(task->words[0], "apply") == 0) return apply(task);
    return cli_fail(&task->cli, E_USAGE, "recover --reason TEXT, or recover apply [ORDER]");
}
