/* enrolment.c - the directory grows, and prekeys beside it. What may enter is decided by directory_make_leaf, the same
 * rules that every client replays; here stands only who may send what. A message is taken whole or not at all. */
#include "book.h"

#include <stdio.h>

#include "promise.h"

enum {
    PREKEY_DAYS_BACK = 2,
    PREKEY_DAYS_SLACK = 2,
    SIGNER_LEAVES_PER_DAY = 64,    /* of a device or post key: one that was stolen must not use up the party's */
    SUCCESSION_LEAVES_PER_DAY = 8, /* apart, so that a party whose leaves are used up can still change its key */
    PAYER_KEY_SIZE = 32 + 2 * KEY_SIZE,
};

/* One statement on the trial copy; its leaf, and the root once it is in, are laid by for the store. */
static enum error try_one(const struct book *book, const struct dirstatement *statement, struct directory *trial,
                          struct buf *grown, size_t *count) {
    AUTO_BUF leaf = {0};
    uint8_t root[HASH_SIZE];
    if (directory_holds(trial, (enum leaf_kind)statement->kind, statement->statement)) return E_OK;
    TRY(directory_make_leaf(trial, (enum leaf_kind)statement->kind, statement->statement, book->now, &leaf));
    TRY(directory_apply(trial, buf_bytes(&leaf)));
    directory_root(trial, root);
    cbor_put_bytes(grown, buf_bytes(&leaf));
    cbor_put_bytes(grown, bytes_of(root, HASH_SIZE));
    (*count)++;
    return buf_error(grown);
}

/* All statements in order on a copy: a later one that is refused must not leave earlier ones behind. */
static enum error try_all(const struct book *book, struct list statements, struct directory *trial, struct buf *grown,
                          size_t *count) {
    struct dirstatement statement;
    while (dirstatement_next(&statements, &statement)) TRY(try_one(book, &statement, trial, grown, count));
    return E_OK;
}

/* leaves: leaf and root in turn. */
static enum error keep_leaves(struct book *book, uint64_t index, struct list leaves) {
    struct bytes leaf, root;
    for (; list_next_bytes(&leaves, &leaf) && list_next_bytes(&leaves, &root); index++)
        TRY(book->store->ops->leaf_add(book->store, index, leaf, root.p));
    return E_OK;
}

static enum error check_prekey(const struct book *book, const struct directory *directory,
                               const uint8_t device[static KEY_SIZE], struct bytes stamped, struct prekey *ret) {
    uint8_t id[PREKEY_ID_SIZE];
    uint64_t today = book->now.ms / DAY_MS;
    TRY(directory_open_prekey(directory, stamped, ret, id));
    if (memcmp(ret->device, device, KEY_SIZE) != 0) return E_NOT_ALLOWED;
    bool near = ret->day + PREKEY_DAYS_BACK >= today && ret->day <= today + PREKEY_DAYS_AHEAD + PREKEY_DAYS_SLACK;
    return near ? E_OK : E_OUT_OF_RANGE;
}

static enum error peek_prekey(struct bytes stamped, struct bytes *ret_payload, struct prekey *ret) {
    TRY(stamp_peek(stamped, ret_payload));
    return prekey_decode(*ret_payload, ret);
}

/* Are two prekeys of a device different keys for one day? */
static bool contradicts(struct bytes a, struct bytes b) {
    struct prekey prekey_a, prekey_b;
    struct bytes payload_a, payload_b;
    if (peek_prekey(a, &payload_a, &prekey_a) != E_OK || peek_prekey(b, &payload_b, &prekey_b) != E_OK) return true;
    return prekey_a.day == prekey_b.day && !bytes_equal(payload_a, payload_b);
}

/* A device that has lost the secrets of its day keys gives out others, with a higher serial. */
static bool replaces(const struct prekey *prekey, struct bytes held) {
    struct prekey before;
    struct bytes payload;
    if (!prekey->has_serial || peek_prekey(held, &payload, &before) != E_OK) return false;
    return before.day == prekey->day && (!before.has_serial || prekey->serial > before.serial);
}

/* Against those before it in the message, and the one that the store has for its day. */
static enum error check_contradiction(const struct book *book, struct list before, size_t count,
                                      const struct prekey *prekey, struct bytes stamped, enum error *ret_wrong) {
    struct bytes earlier;
    AUTO_BUF held = {0};
    for (size_t i = 0; i < count && list_next_bytes(&before, &earlier); i++)
        if (contradicts(earlier, stamped)) *ret_wrong = E_CONFLICT;
    enum error error = book->store->ops->prekey_newest(book->store, prekey->device, (uint32_t)prekey->day, &held);
    if (error == E_UNKNOWN_REQUEST) return E_OK;
    TRY(error);
    bool new = replaces(prekey, buf_bytes(&held));
    if (!new &&contradicts(buf_bytes(&held), stamped)) *ret_wrong = E_CONFLICT;
    return E_OK;
}

/* All of them before the first is put: a message is taken whole or not at all. */
static enum error check_prekeys(const struct book *book, const struct directory *directory,
                                const uint8_t device[static KEY_SIZE], struct list prekeys, enum error *ret_wrong) {
    const struct list all = prekeys;
    struct bytes stamped;
    struct prekey prekey;
    *ret_wrong = E_OK;
    for (size_t i = 0; *ret_wrong == E_OK && list_next_bytes(&prekeys, &stamped); i++) {
        *ret_wrong = check_prekey(book, directory, device, stamped, &prekey);
        if (*ret_wrong == E_OK) TRY(check_contradiction(book, all, i, &prekey, stamped, ret_wrong));
    }
    return E_OK;
}

/* ---- who pays ---- */

/* The log keeps every leaf for ever, and every client reads it: so many a day, the same for every party. What ends something
 * is not counted, because it can be said only once about what was counted; nor is what the registrars say. */
struct payer {
    char party[PAYER_KEY_SIZE], signer[PAYER_KEY_SIZE]; /* keys of counters; empty: none */
    uint64_t party_max;
};

static void charge(const struct book *book, const struct directory *directory, struct bytes post, const uint8_t *signer,
                   struct payer *ret) {
    struct bytes name = text_party_of(post);
    const struct directory_party *party = directory_party(directory, name);
    ret->party_max = book->config->quota_directory;
    snprintf(ret->party, sizeof ret->party, "leaves %.*s", (int)name.n, (const char *)name.p);
    if (!signer || (party && memcmp(party->authority, signer, KEY_SIZE) == 0)) return;
    memcpy(ret->signer, "leaves by ", 10);
    text_hex(signer, KEY_SIZE / 2, ret->signer + 10);
}

static enum error find_payer(const struct book *book, const struct directory *directory, struct bytes leaf_bytes,
                             struct payer *ret) {
    struct leaf leaf;
    struct bytes payload;
    union {
        struct post post;
        struct device device;
        struct countersign countersign;
        struct split split;
        struct revocation revocation;
        struct succession succession;
    } said;
    *ret = (struct payer){0};
    TRY(leaf_decode(leaf_bytes, &leaf));
    if (leaf.kind == LEAF_POST) {
        TRY(stamp_peek(leaf.statement, &payload));
        TRY(post_decode(payload, &said.post));
        charge(book, directory, said.post.post, NULL, ret);
    } else if (leaf.kind == LEAF_DEVICE) {
        TRY(stamp_peek(leaf.statement, &payload));
        TRY(device_decode(payload, &said.device));
        charge(book, directory, said.device.post, said.device.issuer, ret);
    } else if (leaf.kind == LEAF_COUNTERSIGN) {
        TRY(stamp_peek(leaf.statement, &payload));
        TRY(countersign_decode(payload, &said.countersign));
        const struct directory_device *signer = directory_device(directory, said.countersign.signer);
        if (signer) charge(book, directory, bytes_text(signer->post->name), said.countersign.signer, ret);
    } else if (leaf.kind == LEAF_SPLIT) {
        TRY(stamp_peek(leaf.statement, &payload));
        TRY(split_decode(payload, &said.split));
        charge(book, directory, said.split.post, NULL, ret);
    } else if (leaf.kind == LEAF_REVOCATION) {
        TRY(stamp_peek(leaf.statement, &payload));
        TRY(revocation_decode(payload, &said.revocation));
        bool unseen = said.revocation.has_device && !directory_device(directory, said.revocation.device);
        if (unseen) charge(book, directory, said.revocation.post, said.revocation.signer, ret);
    } else if (leaf.kind == LEAF_SUCCESSION) {
        TRY(stamp_peek(leaf.statement, &payload));
        TRY(succession_decode(payload, &said.succession));
        struct bytes name = said.succession.party;
        bool counted = said.succession.action == SUCCESSION_RENEW || said.succession.action == SUCCESSION_RECOVER;
        ret->party_max = SUCCESSION_LEAVES_PER_DAY;
        if (counted) snprintf(ret->party, sizeof ret->party, "keys %.*s", (int)name.n, (const char *)name.p);
    }
    return E_OK;
}

static enum error pay_one(struct book *book, const struct payer *payer, enum error *ret_wrong) {
    *ret_wrong = E_OK;
    if (payer->signer[0]) TRY(book_daily_take(book, payer->signer, SIGNER_LEAVES_PER_DAY, ret_wrong));
    if (*ret_wrong != E_OK || !payer->party[0]) return E_OK;
    TRY(book_daily_take(book, payer->party, payer->party_max, ret_wrong));
    return *ret_wrong != E_OK && payer->signer[0] ? book_daily_give_back(book, payer->signer) : E_OK;
}

static enum error give_back(struct book *book, const struct payer *payer) {
    if (payer->signer[0]) TRY(book_daily_give_back(book, payer->signer));
    return payer->party[0] ? book_daily_give_back(book, payer->party) : E_OK;
}

/* All or nothing, as the message. leaves: leaf and root in turn. */
static enum error pay(struct book *book, const struct directory *trial, struct list leaves, enum error *ret_wrong) {
    struct list again = leaves;
    struct bytes leaf, root;
    struct payer payer;
    size_t paid = 0;
    *ret_wrong = E_OK;
    for (; list_next_bytes(&leaves, &leaf) && list_next_bytes(&leaves, &root); paid++) {
        TRY(find_payer(book, trial, leaf, &payer));
        TRY(pay_one(book, &payer, ret_wrong));
        if (*ret_wrong != E_OK) break;
    }
    if (*ret_wrong == E_OK) return E_OK;
    for (; paid > 0 && list_next_bytes(&again, &leaf) && list_next_bytes(&again, &root); paid--) {
        TRY(find_payer(book, trial, leaf, &payer));
        TRY(give_back(book, &payer));
    }
    return E_OK;
}

/* ---- taking them ---- */

/* Anybody may send statements, and a copy of the directory costs more than any of them: so the first new one is judged before
 * there is a copy. *ret_new: is there any? */
static enum error check_first(const struct book *book, struct list statements, bool *ret_new) {
    struct dirstatement statement;
    *ret_new = false;
    while (dirstatement_next(&statements, &statement)) {
        AUTO_BUF leaf = {0};
        enum leaf_kind kind = (enum leaf_kind)statement.kind;
        if (directory_holds(book_directory(book), kind, statement.statement)) continue;
        *ret_new = true;
        return directory_make_leaf(book_directory(book), kind, statement.statement, book->now, &leaf);
    }
    return E_OK;
}

/* The statements, if the prekeys that came with them (device NULL: none) are good as well. The copy on which they were
 * tried is then this batch's directory. */
static enum error add_all(struct book *book, struct list statements, const uint8_t *device, struct list prekeys,
                          enum error *ret_wrong) {
    AUTO_BUF grown = {0};
    size_t count = 0;
    bool new;
    *ret_wrong = check_first(book, statements, &new);
    if (*ret_wrong != E_OK) return *ret_wrong == E_NO_MEMORY ? E_NO_MEMORY : E_OK;
    if (!new) return device ? check_prekeys(book, book_directory(book), device, prekeys, ret_wrong) : E_OK;
    enum error error = E_OK;
    struct directory *trial = directory_copy(book_directory(book));
    if (!trial) return E_NO_MEMORY;
    uint64_t index = directory_size(trial);
    *ret_wrong = try_all(book, statements, trial, &grown, &count);
    if (*ret_wrong == E_NO_MEMORY) error = E_NO_MEMORY;
    if (*ret_wrong == E_OK && device) error = check_prekeys(book, trial, device, prekeys, ret_wrong);
    if (error == E_OK && *ret_wrong == E_OK) error = pay(book, trial, list_of(&grown, 2 * count), ret_wrong);
    if (error == E_OK && *ret_wrong == E_OK) error = keep_leaves(book, index, list_of(&grown, 2 * count));
    if (error != E_OK || *ret_wrong != E_OK || count == 0) {
        directory_free(trial);
        return error;
    }
    directory_free(book->growing);
    book->growing = trial;
    TRY(contacts_directory_grew(book, statements));
    return rekey_directory_grew(book, statements);
}

/* Those that check_prekeys has let pass. */
static enum error add_prekeys(struct book *book, const uint8_t device[static KEY_SIZE], struct list prekeys) {
    struct bytes stamped, payload;
    struct prekey prekey;
    while (list_next_bytes(&prekeys, &stamped)) {
        if (peek_prekey(stamped, &payload, &prekey) != E_OK) return E_INTERNAL;
        enum error error = book->store->ops->prekey_put(book->store, device, (uint32_t)prekey.day, stamped);
        if (error == E_CONFLICT) /* it was looked at a moment ago: this one takes its place */
            error = book->store->ops->prekey_replace(book->store, device, (uint32_t)prekey.day, stamped);
        TRY(error);
    }
    return E_OK;
}

static enum error answer_done(const struct book *book, struct response *response) {
    struct done done = {.has_size = true, .size = directory_size(book_directory(book))};
    response->type = MESSAGE_DONE;
    done_encode(&done, &response->body);
    return buf_error(&response->body);
}

/* With the relay's promise: they stand in the directory that this batch makes durable. */
static enum error answer_promised(const struct book *book, struct list statements, struct response *response) {
    AUTO_BUF promise = {0};
    uint8_t root[HASH_SIZE];
    struct done done = {.has_size = true, .size = directory_size(book_directory(book)), .has_promise = true};
    directory_root(book_directory(book), root);
    TRY(promise_make(statements, done.size, root, book->now, book->statement_secret, &promise));
    done.promise = buf_bytes(&promise);
    response->type = MESSAGE_DONE;
    done_encode(&done, &response->body);
    return buf_error(&response->body);
}

static void fail(struct response *response, enum error wrong) {
    response_fail(response, wrong, wrong == E_OVER_QUOTA ? "directory statements of a day" : NULL);
}

/* A guest may bring a post, devices and countersignatures, and the successions that lead to the key under which they are
 * signed; charters and admissions are the registrar's to bring, and are passed over here where the directory holds them
 * already (a certificate file carries its charter along). */
static enum error check_enrol(const struct book *book, const struct job *job, const struct enrol *enrol,
                              uint8_t ret_device[static KEY_SIZE]) {
    struct list list = enrol->statements;
    struct dirstatement statement;
    bool found = false;
    while (dirstatement_next(&list, &statement)) {
        bool held = directory_holds(book_directory(book), (enum leaf_kind)statement.kind, statement.statement);
        if (statement.kind == LEAF_CHARTER && !held) return E_NOT_ADMITTED;
        bool may = held || statement.kind == LEAF_SUCCESSION || statement.kind == LEAF_POST ||
                   statement.kind == LEAF_DEVICE || statement.kind == LEAF_COUNTERSIGN;
        if (!may) return E_NOT_ALLOWED;
        struct bytes payload;
        struct device device;
        if (statement.kind != LEAF_DEVICE) continue;
        TRY(stamp_peek(statement.statement, &payload));
        TRY(device_decode(payload, &device));
        if (memcmp(device.transport, job->transport, KEY_SIZE) != 0) continue;
        memcpy(ret_device, device.device, KEY_SIZE);
        found = true;
    }
    return found ? E_OK : E_FOREIGN_CERTIFICATE; /* the key on the line must be one that these certificates name */
}

enum error enrolment_enrol(struct book *book, const struct job *job, const struct enrol *enrol,
                           struct response *response) {
    uint8_t device[KEY_SIZE];
    enum error wrong = check_enrol(book, job, enrol, device);
    if (wrong == E_OK) TRY(add_all(book, enrol->statements, device, enrol->prekeys, &wrong));
    if (wrong == E_OK) {
        TRY(add_prekeys(book, device, enrol->prekeys));
        return answer_promised(book, enrol->statements, response);
    }
    fail(response, wrong);
    return E_OK;
}

/* Whoever brings them: they are signed by a key of the directory. Charters and the registrars' words come through the
 * operator, contact statements with their cards; after a declared loss members bring back the former, too. */
static bool may_declare(const struct book *book, uint64_t kind) {
    if (kind == LEAF_CHARTER || kind == LEAF_ADMISSION || kind == LEAF_NOTICE) return loss_lately(book);
    return kind == LEAF_POST || kind == LEAF_DEVICE || kind == LEAF_COUNTERSIGN || kind == LEAF_REVOCATION ||
           kind == LEAF_SUCCESSION || kind == LEAF_DEPARTURE || kind == LEAF_SPLIT;
}

enum error enrolment_declare(struct book *book, const struct declare *declare, struct response *response) {
    struct list list = declare->statements;
    struct dirstatement statement;
    enum error wrong = declare->statements.count ? E_OK : E_MALFORMED;
    while (dirstatement_next(&list, &statement))
        if (!may_declare(book, statement.kind)) wrong = E_NOT_ALLOWED;
    if (wrong == E_OK) TRY(add_all(book, declare->statements, NULL, (struct list){0}, &wrong));
    if (wrong == E_OK) return answer_promised(book, declare->statements, response);
    fail(response, wrong);
    return E_OK;
}

enum error enrolment_publish(struct book *book, const struct job *job, const struct publish *publish,
                             struct response *response) {
    enum error wrong = E_UNKNOWN_DEVICE;
    if (book_device(book, job)) TRY(check_prekeys(book, book_directory(book), job->device, publish->prekeys, &wrong));
    if (wrong == E_OK) {
        TRY(add_prekeys(book, job->device, publish->prekeys));
        return answer_done(book, response);
    }
    response_fail(response, wrong, NULL);
    return E_OK;
}

enum error enrolment_contact(struct book *book, struct bytes statement, struct response *response) {
    AUTO_BUF item = {0};
    enum error wrong;
    dirstatement_encode(&(struct dirstatement){LEAF_CONTACT, statement}, &item);
    TRY(buf_error(&item));
    TRY(add_all(book, list_of(&item, 1), NULL, (struct list){0}, &wrong));
    if (wrong == E_OK) return answer_done(book, response);
    response_fail(response, wrong, NULL);
    return E_OK;
}

enum error enrolment_record(struct book *book, struct list statements, enum error *ret_error) {
    struct list list = statements;
    struct dirstatement statement;
    *ret_error = statements.count ? E_OK : E_MALFORMED;
    while (dirstatement_next(&list, &statement))
        if (statement.kind != LEAF_CHARTER && statement.kind != LEAF_ADMISSION && statement.kind != LEAF_NOTICE &&
            statement.kind != LEAF_RELAY)
            *ret_error = E_NOT_ALLOWED;
    return *ret_error == E_OK ? add_all(book, statements, NULL, (struct list){0}, ret_error) : E_OK;
}
