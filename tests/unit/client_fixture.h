/* client_fixture.h - two posts' homes without a relay: the directory of directory_fixture.h, archives in a fresh
 * folder, and the relay's words signed by a key of the test's. de/technical writes, fj/national receives. */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include "heads_fixture.h"
#undef fail /* ours is a function (failure.h) */

#include <unistd.h>

#include "arrival.h"
#include "enrol.h"
#include "evidence.h"
#include "outbox.h"
#include "pairs.h"
#include "trail.h"
#include "wrapping.h"
#include "wraps.h"

enum { RELAY = 9, SENDER = DEVICE, RECIPIENT = DEVICE + 10 };

static char folder[64];
static struct world world;
static struct home sender, recipient;
static struct failure failure;

UNUSED static void open_home(struct home *home, const char *name, const char *post, unsigned number) {
    *home = (struct home){.kind = HOME_POST, .joined = true, .lock_fd = -1};
    struct pair device = pair_of(number), relay = pair_of(RELAY);
    (void)snprintf(home->path, sizeof home->path, "%s/%s", folder, name);
    (void)snprintf(home->post, sizeof home->post, "%s", post);
    memcpy(home->device, device.public, KEY_SIZE);
    memcpy(home->card.statement, relay.public, KEY_SIZE);
    memcpy(home->card.log, pair_of(LOG_KEY).public, KEY_SIZE);
    (void)snprintf(home->card.name, sizeof home->card.name, "relay.test");
    home->given = home->card;
    home->directory = directory_copy(world.directory);
    assert_non_null(home->directory);
    assert_ok(secret_copy(device.secret, SIGN_SECRET_SIZE, &home->keys.device));
    assert_ok(secret_random(KEY_SIZE, &home->keys.archive));
    assert_ok(archive_open(home->path, &home->keys.archive, true, &home->archive, &failure));
    assert_ok(enrol_make_prekeys(home, (struct instant){WORLD_TIME}));
}

UNUSED static void close_home(struct home *home) {
    char name[4200];
    archive_close(&home->archive);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s%s", home->path, (const char *[]){"", "-wal", "-shm"}[i]);
        (void)unlink(name);
    }
    directory_free(home->directory);
    secret_free(&home->keys.device);
    secret_free(&home->keys.archive);
}

UNUSED static int homes_set_up(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pouch-homes-XXXXXX");
    assert_non_null(mkdtemp(folder));
    world = world_new();
    open_home(&sender, "sender", "de/technical", SENDER);
    open_home(&recipient, "recipient", "fj/national", RECIPIENT);
    return 0;
}

UNUSED static int homes_tear_down(void **state) {
    (void)state;
    close_home(&sender);
    close_home(&recipient);
    world_free(&world);
    (void)rmdir(folder);
    return 0;
}

/* ---- the relay's words ---- */

struct told { /* one step of a leg, or (entry false) a device receipt */
    enum leg_event event;
    unsigned speaker; /* a pair's number; RELAY for the relay */
    const char *post; /* NULL: the relay */
    const uint8_t *header, *leg, *previous;
    bool entry, has_reason;
    uint64_t ordinal, reason, generation; /* generation 0: none */
    const char *forward;                  /* NULL: nowhere */
    enum leg_state from, to;
    unsigned relay; /* who signs the record; 0: RELAY */
    const uint8_t *seen;
    uint64_t back; /* by so much the ledger's time goes back */
};

/* The evidence log that the relay's receipts stand in. */
static uint8_t entries[4096 * HASH_SIZE];
static size_t entry_count;

UNUSED static void log_entry(struct bytes entry) {
    assert_true(entry_count < sizeof entries / HASH_SIZE);
    entry_hash(entry, entries + entry_count * HASH_SIZE);
    entry_count++;
}

UNUSED static void make_receipt(const struct told *told, struct buf *out, uint8_t *ret_entry_hash) {
    static uint64_t clock = WORLD_TIME;
    AUTO_BUF payload = {0}, stamped = {0}, entry = {0}, record = {0}, stamped_record = {0};
    struct pair speaker = pair_of(told->speaker), relay = pair_of(told->relay ? told->relay : RELAY);
    struct statement statement = {.event = told->event,
                                  .has_leg = told->leg != NULL,
                                  .has_post = told->post != NULL,
                                  .post = bytes_text(told->post),
                                  .time = {++clock},
                                  .has_reason = told->has_reason,
                                  .reason = told->reason,
                                  .has_generation = told->generation > 0,
                                  .generation = told->generation,
                                  .has_forward = told->forward != NULL,
                                  .forward = bytes_text(told->forward)};
    memcpy(statement.header, told->header, HASH_SIZE);
    if (told->leg) memcpy(statement.leg, told->leg, HASH_SIZE);
    memcpy(statement.device, speaker.public, KEY_SIZE);
    statement.has_seen = told->seen != NULL;
    if (told->seen) memcpy(statement.seen, told->seen, HASH_SIZE);
    randombytes_buf(statement.nonce, sizeof statement.nonce);
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, speaker.secret, buf_bytes(&payload), &stamped));
    struct record value = {.time = {clock - told->back}};
    statement_hash(buf_bytes(&payload), value.statement);
    if (told->entry) {
        struct entry step = {.ordinal = told->ordinal,
                             .from = told->from,
                             .to = told->to,
                             .size = directory_size(world.directory),
                             .time = value.time};
        memcpy(step.leg, told->leg, HASH_SIZE);
        memcpy(step.previous, told->previous, HASH_SIZE);
        memcpy(step.statement, value.statement, HASH_SIZE);
        entry_encode(&step, &entry);
        if (ret_entry_hash) entry_hash(buf_bytes(&entry), ret_entry_hash);
        value.has_entry = value.has_index = true;
        value.entry = buf_bytes(&entry);
        value.index = entry_count;
        log_entry(buf_bytes(&entry));
    }
    record_encode(&value, &record);
    assert_ok(stamp_sign_one(LABEL_RECORD, relay.secret, buf_bytes(&record), &stamped_record));
    struct receipt receipt = {.statement = buf_bytes(&stamped), .record = buf_bytes(&stamped_record)};
    if (told->entry)
        receipt_with_place(&receipt, &sender.card, entries, entry_count, entry_count - 1, clock, out);
    else
        receipt_encode(&receipt, out);
}

/* The next step of a leg, as the home has it. */
UNUSED static void next_receipt(const struct kept_leg *leg, const uint8_t *header, enum leg_event event,
                                unsigned speaker, const char *post, enum leg_state to, struct buf *out) {
    struct told told = {.event = event,
                        .speaker = speaker,
                        .post = post,
                        .header = header,
                        .leg = leg->leg,
                        .previous = leg->record.head,
                        .entry = true,
                        .ordinal = leg->record.entries,
                        .from = (enum leg_state)leg->record.state,
                        .to = to};
    make_receipt(&told, out, NULL);
}

/* ---- requests ---- */

UNUSED static void compose(struct home *home, const struct draft *draft, uint8_t ret[static HASH_SIZE]) {
    enum error error = client_send(home, NULL, draft, NULL, ret, &failure);
    if (error != E_OK) print_error("%s: %s\n", error_text(error), failure.where);
    assert_ok(error);
}

UNUSED static void only_leg(struct home *home, const uint8_t *digest, struct kept_leg *ret) {
    AUTO_LEGS legs = {0};
    assert_ok(kept_legs_load(home->archive, digest, &legs));
    assert_int_equal(legs.count, 1);
    assert_ok(kept_leg_load(home->archive, digest, legs.legs[0].leg, ret));
}

/* Lets the sender's leg take a step. */
UNUSED static enum error step(struct home *home, const uint8_t *digest, enum leg_event event, unsigned speaker,
                              const char *post, enum leg_state to) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    AUTO_BUF receipt = {0};
    enum trail_outcome outcome;
    assert_ok(kept_load(home->archive, digest, &request));
    only_leg(home, digest, &leg);
    next_receipt(&leg, digest, event, speaker, post, to, &receipt);
    return trail_apply(home, digest, &request, &leg, buf_bytes(&receipt), &outcome);
}

/* A request of the sender's that the recipient has accepted. */
UNUSED static void accepted_request(uint8_t ret[static HASH_SIZE]) {
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "parent", .text = bytes_text("parent text")};
    compose(&sender, &draft, ret);
    assert_ok(step(&sender, ret, EVENT_STORED, RELAY, NULL, STATE_STORED));
    assert_ok(step(&sender, ret, EVENT_NOTIFIED, RECIPIENT, "fj/national", STATE_NOTIFIED));
    assert_ok(step(&sender, ret, EVENT_ACCEPTED, RECIPIENT, "fj/national", STATE_ACCEPTED));
}

UNUSED static void compose_reply(const uint8_t *parent, uint8_t ret[static HASH_SIZE]) {
    struct draft draft = {.parent_header = parent, .text = bytes_text("a reply's text")};
    compose(&sender, &draft, ret);
}

/* What one device of the recipient is sealed to: its newest prekey for the world's day. */
UNUSED static struct wrapping_target target_of(struct home *home) {
    AUTO_BUF items = {0};
    size_t count = 0;
    assert_ok(enrol_unpublished(home, &items, &count));
    assert_true(count > 0);
    struct list list = list_of(&items, count);
    struct bytes stamped;
    struct wrapping_target target;
    while (list_next_bytes(&list, &stamped)) {
        struct prekey prekey;
        assert_ok(directory_open_prekey(home->directory, stamped, &prekey, target.prekey_id));
        memcpy(target.device, prekey.device, KEY_SIZE);
        memcpy(target.prekey, prekey.key, KEY_SIZE);
        if (prekey.day == WORLD_TIME / DAY_MS) return target;
    }
    assert_true(false);
    return target;
}

struct offering {    /* how the wrap set is made; zeros: as it should be */
    unsigned signer; /* 0: the sender's device */
    const uint64_t *voids;
    size_t void_count;
    bool wrong_key, no_wrap;
    bool paired;               /* under the newest secret that the sender shares with the recipient's party */
    uint32_t generation;       /* 0: the first */
    const struct buf *receipt; /* NULL: that it was stored */
};

UNUSED static void make_wrapset(const struct kept_request *request, const uint8_t *digest, const uint8_t *leg,
                                const struct offering *how, struct buf *out) {
    AUTO_BUF payload = {0}, voids = {0};
    for (size_t i = 0; i < how->void_count; i++) cbor_put_uint(&voids, how->voids[i]);
    struct pair signer = pair_of(how->signer ? how->signer : SENDER);
    struct wrapped keys = {.has_offer_key = request->record.has_offer_key,
                           .has_body_key = request->record.has_body_key,
                           .voids = list_of(&voids, how->void_count)};
    memcpy(keys.offer_key, request->record.offer_key, KEY_SIZE);
    memcpy(keys.body_key, request->record.body_key, KEY_SIZE);
    if (how->wrong_key) keys.body_key[0] ^= 1;
    uint8_t root[HASH_SIZE];
    directory_root(world.directory, root);
    struct wrapping_set set = {.header = digest,
                               .leg = leg,
                               .generation = how->generation ? how->generation : 1,
                               .directory_size = directory_size(world.directory),
                               .directory_root = root,
                               .signer = signer.public};
    struct wrapping_target target = target_of(&recipient);
    AUTO_PAIR pair = {0};
    bool shared = false;
    if (how->paired) assert_ok(pairs_newest(&sender, bytes_text(recipient.post), &pair, &shared));
    target.psk = shared ? &pair.psk : NULL;
    assert_ok(wrapping_make(&set, &keys, &target, how->no_wrap ? 0 : 1, &payload));
    assert_ok(stamp_sign_one(LABEL_WRAPSET, signer.secret, buf_bytes(&payload), out));
}

/* The feed's item for a reply of the sender's, as an honest relay would make it. */
UNUSED static void make_offered(const uint8_t *digest, const struct offering *how, struct buf *out) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    AUTO_BUF wrapset = {0}, receipt = {0}, path = {0};
    uint8_t nodes[LEGS_DEPTH * HASH_SIZE];
    assert_ok(kept_load(sender.archive, digest, &request));
    only_leg(&sender, digest, &leg);
    struct legs_leaf leaf = {.position = (uint32_t)leg.record.place.position};
    memcpy(leaf.id, leg.leg, HASH_SIZE);
    assert_ok(legs_path(&leaf, 1, request.record.seed, 0, nodes));
    for (size_t i = 0; i < LEGS_DEPTH; i++) cbor_put_bytes(&path, bytes_of(nodes + i * HASH_SIZE, HASH_SIZE));
    make_wrapset(&request, digest, leg.leg, how, &wrapset);
    struct told told = {.event = EVENT_STORED,
                        .speaker = RELAY,
                        .header = digest,
                        .leg = leg.leg,
                        .previous = leg.leg,
                        .entry = true,
                        .from = STATE_NONE,
                        .to = STATE_STORED};
    make_receipt(&told, &receipt, NULL);
    struct offered offered = {.header = request.record.header,
                              .place = leg.record.place,
                              .path = list_of(&path, LEGS_DEPTH),
                              .wrapset = buf_bytes(&wrapset),
                              .receipt = buf_bytes(how->receipt ? how->receipt : &receipt)};
    offered_encode(&offered, out);
    assert_ok(buf_error(out));
}

UNUSED static enum error deliver(struct bytes bytes, bool *ret_new) {
    struct offered offered;
    bool reply = false;
    *ret_new = false;
    TRY(offered_decode(bytes, &offered));
    assert_ok(archive_begin(recipient.archive));
    enum error error = arrival_offered(&recipient, NULL, &offered, ret_new, &reply, &failure);
    if (error == E_OK)
        assert_ok(archive_commit(recipient.archive));
    else
        archive_rollback(recipient.archive);
    return error;
}

UNUSED static uint64_t count_rows(struct home *home, enum archive_table table) {
    uint64_t count = 0;
    assert_ok(archive_count(home->archive, table, SCOPE_ALL, archive_key(NULL, NULL, 0), &count));
    return count;
}

#endif
