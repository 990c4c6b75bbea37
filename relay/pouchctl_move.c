/* pouchctl_move.c - the relay goes to another host: under another address, perhaps another CURVE key.
 *
 * The registrars sign where it goes, the relay records it in its directory, and every client that syncs before the move
 * follows by itself; who comes later is given the order's file. Three steps, because the host that is left and the one
 * that is moved to must never both run:
 *   move key FILE        on the new host, if it is to have a CURVE key of its own
 *   move --address ...   on the old one, while it still runs
 *   move apply [ORDER]   on the new one, in the folder that was carried there: relay.card says where it is now */
#include <linux/limits.h>
#include <errno.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "cbor.h"
#include "keys.h"
#include "pouchctl.h"
#include "registrar.h"

#define ORDER_FILE "relay.move"

static int path_in_folder(const struct task *task, const char *name, char out[static PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/%s", task->config.folder, name);
    if (n > 0 && n < PATH_MAX) return 0;
    return cli_fail(&task->cli, E_USAGE, "the folder's name is too long");
}

static int card_of(const struct task *task, struct card *ret) {
    bool has = false;
    errno = 0;
    enum error error = task_card(task, ret, &has);
    if (error == E_OK && has) return 0;
    return cli_fail(&task->cli, error == E_OK ? E_NO_FILE : error, "%s",
                    task->card_path ? task->card_path : "relay.card");
}

/* ---- a key for the new host ---- */

static int make_key(const struct task *task) {
    char folder[PATH_MAX], name[PATH_MAX], hex[2 * KEY_SIZE + 1];
    uint8_t secret[KEY_SIZE], public[KEY_SIZE];
    if (task->word_count != 2 || strlen(task->words[1]) >= PATH_MAX)
        return cli_fail_hint(&task->cli, E_USAGE, "pouchctl move key FILE", "where is the key to be written?");
    snprintf(folder, sizeof folder, "%s", task->words[1]);
    snprintf(name, sizeof name, "%s", task->words[1]);
    randombytes_buf(secret, sizeof secret);
    enum error error = crypto_scalarmult_base(public, secret) == 0 ? E_OK : E_INTERNAL;
    if (error == E_OK) error = keys_write(dirname(folder), basename(name), secret);
    sodium_memzero(secret, sizeof secret);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", task->words[1]);
    text_hex(public, KEY_SIZE, hex);
    if (task->cli.json)
        printf("{\"file\": \"%s\", \"curve\": \"%s\"}\n", task->words[1], hex);
    else
        puts(hex);
    if (!task->cli.json && !task->quiet)
        fprintf(stderr, "%s is written; give the relay that is to move --curve and this number\n", task->words[1]);
    return 0;
}

/* ---- where it goes ---- */

static int fill(const struct task *task, const struct card *card, struct relaychange *change, struct buf *addresses) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    *change = (struct relaychange){
        .action = RELAY_MOVED,
        .created = {(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000},
        .has_reason = task->reason != NULL,
        .reason = bytes_text(task->reason),
    };
    if (task->address_count == 0)
        return cli_fail_hint(&task->cli, E_USAGE, "add --address tcp://HOST:PORT, as often as there are addresses",
                             "where does the relay go?");
    for (size_t i = 0; i < task->address_count; i++) {
        struct bytes address = bytes_text(task->addresses[i]);
        bool tcp = address.n > 6 && memcmp(address.p, "tcp://", 6) == 0;
        if (!tcp || !card_address_valid(address))
            return cli_fail_hint(&task->cli, E_USAGE, "tcp://HOST:PORT", "not an address: %.127s", task->addresses[i]);
        cbor_put_bytes(addresses, address);
    }
    change->addresses = list_of(addresses, task->address_count);
    memcpy(change->curve, card->curve, KEY_SIZE);
    if (!task->curve) return 0;
    bool good = text_unhex(bytes_text(task->curve), change->curve, KEY_SIZE) == E_OK && card_curve_valid(change->curve);
    return good ? 0 : cli_fail(&task->cli, E_BAD_KEY, "--curve: 64 hex digits, as `pouchctl move key` prints them");
}

static int order_move(struct task *task) {
    struct card card;
    struct relaychange change;
    AUTO_BUF addresses = {0};
    AUTO_BUF file = {0};
    char copy[PATH_MAX];
    int code = card_of(task, &card);
    if (code == 0) code = fill(task, &card, &change, &addresses);
    if (code) return code;
    enum error error = addresses.failed ? E_NO_MEMORY : registrar_begin_relay(&change, &file);
    if (error != E_OK) return cli_fail(&task->cli, error, "the order");
    task->subject = "the move";
    code = registrar_issue(task, &file);
    if (code || task->out) return code;
    code = path_in_folder(task, ORDER_FILE, copy);
    if (code) return code;
    errno = 0;
    error = task_write(copy, buf_bytes(&file));
    if (error != E_OK) return cli_fail(&task->cli, error, "%s: %s", copy, strerror(errno));
    if (!task->cli.json && !task->quiet)
        printf(
            "Who syncs from now on follows. When the members have, stop this relay for good, carry its folder and a\n"
            "backup to the new host, and there run `pouchctl --config FILE move apply`. %s is for those who come "
            "late.\n",
            copy);
    return 0;
}

/* ---- on the new host ---- */

static int check_curve(const struct task *task, const uint8_t wanted[static KEY_SIZE]) {
    uint8_t secret[KEY_SIZE], public[KEY_SIZE];
    enum error error = keys_read(task->config.folder, "curve.key", secret);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s/curve.key", task->config.folder);
    bool same = crypto_scalarmult_base(public, secret) == 0 && memcmp(public, wanted, KEY_SIZE) == 0;
    sodium_memzero(secret, sizeof secret);
    if (same) return 0;
    return cli_fail_hint(&task->cli, E_WRONG_FINGERPRINT,
                         "put the key that `pouchctl move key` made in the place of curve.key",
                         "curve.key is not the key that the order names");
}

static void move_card(const struct relaychange *change, struct card *card) {
    struct list addresses = change->addresses;
    struct bytes address;
    memset(card->addresses, 0, sizeof card->addresses);
    for (card->address_count = 0; list_next_bytes(&addresses, &address); card->address_count++)
        memcpy(card->addresses[card->address_count], address.p, address.n);
    memcpy(card->curve, change->curve, KEY_SIZE);
}

static int apply(const struct task *task) {
    char path[PATH_MAX], card_path[PATH_MAX], digits[TEXT_FINGERPRINT_SIZE];
    uint8_t hash[HASH_SIZE];
    AUTO_BUF file = {0};
    AUTO_BUF text = {0};
    struct registrar_order order;
    struct card card;
    int code = path_in_folder(task, ORDER_FILE, path);
    if (code == 0) code = path_in_folder(task, "relay.card", card_path);
    if (code == 0) code = card_of(task, &card);
    if (code) return code;
    const char *from = task->word_count == 2 ? task->words[1] : path;
    errno = 0;
    enum error error = task_read(from, TASK_FILE_MAX, &file);
    if (error != E_OK) return cli_fail(&task->cli, errno == ENOENT ? E_NO_FILE : error, "%s", from);
    error = registrar_open(buf_bytes(&file), &order);
    if (error == E_OK && order.kind != LEAF_RELAY) error = E_MALFORMED;
    if (error == E_OK) error = registrar_check(&order, &card);
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", from);
    code = check_curve(task, order.relay.curve);
    if (code) return code;
    move_card(&order.relay, &card);
    card_format(&card, &text);
    error = text.failed ? E_NO_MEMORY : task_write(card_path, buf_bytes(&text));
    if (error != E_OK) return cli_fail(&task->cli, error, "%s", card_path);
    card_hash(&card, hash);
    text_fingerprint(hash, digits);
    if (task->cli.json)
        printf("{\"card\": \"%s\", \"card_fingerprint\": \"%s\"}\n", card_path, digits);
    else
        printf("%s names the new place. Its fingerprint is\n  %s\nSet `listen` in relay.yaml and start the relay.\n",
               card_path, digits);
    return 0;
}

int move_run(struct task *task) {
    const char *what = task->word_count ? task->words[0] : "";
    if (strcmp(what, "key") == 0) return make_key(task);
    bool applies = strcmp(what, "apply") == 0;
    if (!task->config_path && (applies || !task->out))
        return cli_fail_hint(&task->cli, E_USAGE, "add --config FILE, the relay's relay.yaml", "which relay?");
    if (applies) return apply(task);
    if (task->word_count)
        return cli_fail(&task->cli, E_USAGE, "move --address ..., move key FILE, or move apply [ORDER]");
    return order_move(task);
}
