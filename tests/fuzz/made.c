/* made.c - a request from de/technical to fj/national, and the evidence of its being stored. */
#include "made.h"

#include "content.h"
#include "wrapping.h"

static struct made all;
static bool ready;

static void free_all(void) {
    struct buf *bufs[] = {&all.header_stamped,  &all.opening,           &all.path,      &all.wrapset,
                          &all.wrapset_stamped, &all.statement_stamped, &all.receipt,   &all.refusal,
                          &all.offered,         &all.offer_plain,       &all.body_plain};
    for (size_t i = 0; i < LENGTH(bufs); i++) buf_free(bufs[i]);
    world_free(&all.world);
}

static void pad(struct buf *plain) {
    size_t n = (size_t)content_padme(plain->n) - plain->n;
    uint8_t *zeros = buf_extend(plain, n);
    HOLDS(zeros);
    memset(zeros, 0, n);
}

static void make_content(void) {
    struct header *header = &all.header;
    AUTO_BUF files = {0};
    struct offer offer = {.from = header->from,
                          .kind = 1,
                          .subject = bytes_text("A subject"),
                          .has_tlp = true,
                          .tlp = 2,
                          .has_summary = true,
                          .summary = bytes_text("Words \xc3\xa4 words")};
    memcpy(offer.request, header->request, REQUEST_ID_SIZE);
    offer_encode(&offer, &all.offer_plain);
    pad(&all.offer_plain);
    file_encode(&(struct file){.length = 5}, &files);
    file_encode(&(struct file){.has_name = true, .name = bytes_text("a.txt"), .length = 3}, &files);
    struct manifest manifest = {.from = header->from, .files = list_of(&files, 2)};
    memcpy(manifest.request, header->request, REQUEST_ID_SIZE);
    manifest_encode(&manifest, &all.body_plain);
    buf_add(&all.body_plain, "helloabc", 8);
    pad(&all.body_plain);
    header->has_offer = header->has_body = true;
    header->offer.length = all.offer_plain.n + TAG_SIZE;
    header->body.length = all.body_plain.n + TAG_SIZE;
}

static void make_legs(void) {
    uint8_t seed[HASH_SIZE] = {9}, path[LEGS_DEPTH * HASH_SIZE];
    struct opening opening = {.salt = {1, 2, 3}, .to = bytes_text("fj/national"), .sequence = 1};
    opening_encode(&opening, &all.opening);
    struct legs_leaf leaf = {.position = 77};
    stamp_hash(buf_bytes(&all.opening), leaf.id);
    memcpy(all.leg, leaf.id, HASH_SIZE);
    assert_ok(legs_root(&leaf, 1, seed, all.header.legs));
    assert_ok(legs_path(&leaf, 1, seed, 0, path));
    for (size_t i = 0; i < LEGS_DEPTH; i++) cbor_put_bytes(&all.path, bytes_of(path + i * HASH_SIZE, HASH_SIZE));
    all.place = (struct place){buf_bytes(&all.opening), 77};
}

static void make_wrapset(void) {
    uint8_t root[HASH_SIZE], secret[KEY_SIZE], public[KEY_SIZE];
    struct wrapping_target target = {.prekey_id = {7}};
    struct wrapped keys = {.has_offer_key = true, .offer_key = {1}, .has_body_key = true, .body_key = {2}};
    directory_root(all.world.directory, root);
    memset(secret, 3, sizeof secret);
    memcpy(all.prekey_secret, secret, KEY_SIZE);
    assert_int_equal(crypto_scalarmult_base(public, secret), 0);
    memcpy(target.prekey, public, KEY_SIZE);
    memcpy(target.device, pair_of(DEVICE + 10).public, KEY_SIZE);
    struct wrapping_set set = {all.digest, all.leg, 1, directory_size(all.world.directory), root, all.device.public};
    assert_ok(wrapping_make(&set, &keys, &target, 1, &all.wrapset));
    assert_ok(stamp_sign_one(LABEL_WRAPSET, all.device.secret, buf_bytes(&all.wrapset), &all.wrapset_stamped));
}

/* Where it stands in an evidence log of eleven entries: the head, and the path. */
static struct list place_receipt(struct bytes entry, size_t index, struct buf *ret_note, struct buf *path) {
    enum { SIZE = 11 };
    uint8_t hashes[SIZE * HASH_SIZE] = {0}, root[HASH_SIZE];
    struct note_key key;
    AUTO_BUF flat = {0};
    entry_hash(entry, hashes + index * HASH_SIZE);
    merkle_root(hashes, SIZE, root);
    merkle_path(hashes, SIZE, index, &flat);
    for (size_t i = 0; i < flat.n; i += HASH_SIZE) cbor_put_bytes(path, bytes_of(flat.p + i, HASH_SIZE));
    assert_ok(head_key(&all.card, LOG_EVIDENCE, &key));
    assert_ok(head_make(&key, all.relay.secret, SIZE, root, (struct instant){WORLD_TIME}, ret_note));
    return list_of(path, flat.n / HASH_SIZE);
}

static void make_receipt(const struct statement *statement, bool entry, struct buf *stamped, struct buf *out) {
    AUTO_BUF payload = {0}, record_payload = {0}, record_stamped = {0}, entry_bytes = {0};
    struct record record = {.time = {WORLD_TIME}, .has_entry = entry, .has_index = entry, .index = 5};
    statement_encode(statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, all.relay.secret, buf_bytes(&payload), stamped));
    statement_hash(buf_bytes(&payload), record.statement);
    struct entry step = {.from = STATE_NONE, .to = STATE_STORED, .size = 3, .time = {WORLD_TIME}};
    memcpy(step.leg, all.leg, HASH_SIZE);
    memcpy(step.previous, all.leg, HASH_SIZE);
    memcpy(step.statement, record.statement, HASH_SIZE);
    entry_encode(&step, &entry_bytes);
    if (entry) record.entry = buf_bytes(&entry_bytes);
    record_encode(&record, &record_payload);
    assert_ok(stamp_sign_one(LABEL_RECORD, all.relay.secret, buf_bytes(&record_payload), &record_stamped));
    struct receipt receipt = {.statement = buf_bytes(stamped), .record = buf_bytes(&record_stamped)};
    AUTO_BUF note = {0}, path = {0};
    if (entry) receipt.proof = place_receipt(buf_bytes(&entry_bytes), (size_t)record.index, &note, &path);
    receipt.has_checkpoint = receipt.has_proof = entry;
    receipt.checkpoint = buf_bytes(&note);
    receipt_encode(&receipt, out);
}

static void make_evidence(void) {
    AUTO_BUF refused = {0};
    struct statement statement = {.event = EVENT_STORED, .has_leg = true, .time = {WORLD_TIME}, .nonce = {4}};
    memcpy(statement.header, all.digest, HASH_SIZE);
    memcpy(statement.leg, all.leg, HASH_SIZE);
    memcpy(statement.device, all.relay.public, KEY_SIZE);
    make_receipt(&statement, true, &all.statement_stamped, &all.receipt);
    statement.event = EVENT_REFUSED;
    statement.has_reason = true;
    statement.reason = E_CONFLICT;
    make_receipt(&statement, false, &refused, &all.refusal);
}

static void make_all(void) {
    AUTO_BUF payload = {0};
    all.world = world_new();
    all.device = pair_of(DEVICE);
    all.relay = pair_of(RELAY_KEY);
    (void)snprintf(all.card.name, sizeof all.card.name, "relay.test");
    memcpy(all.card.log, all.relay.public, KEY_SIZE);
    memcpy(all.card.statement, all.relay.public, KEY_SIZE);
    all.header = (struct header){.request = {1},
                                 .from = bytes_text("de/technical"),
                                 .created = {WORLD_TIME},
                                 .keep_s = KEEP_DEFAULT_S,
                                 .precedence = 1};
    memcpy(all.header.device, all.device.public, KEY_SIZE);
    make_content();
    make_legs();
    header_encode(&all.header, &payload);
    header_digest(buf_bytes(&payload), all.digest);
    assert_ok(stamp_sign_one(LABEL_HEADER, all.device.secret, buf_bytes(&payload), &all.header_stamped));
    make_wrapset();
    make_evidence();
    struct offered offered = {.header = buf_bytes(&all.header_stamped),
                              .place = all.place,
                              .path = list_of(&all.path, LEGS_DEPTH),
                              .wrapset = buf_bytes(&all.wrapset_stamped),
                              .receipt = buf_bytes(&all.receipt)};
    offered_encode(&offered, &all.offered);
}

const struct made *made(void) {
    if (ready) return &all;
    ready = true;
    assert_ok(sign_self_test());
    make_all();
    atexit(free_all);
    return &all;
}
