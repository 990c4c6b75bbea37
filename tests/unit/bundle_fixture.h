/* bundle_fixture.h - a request's whole story for tests: header, legs, receipts with their places in an evidence log,
 * directory with paths and cosignatures, and the bundle of all that; every part can be bent before the file is made. */
#ifndef BUNDLE_FIXTURE_H
#define BUNDLE_FIXTURE_H

#include "bundle.h"
#include "chunks.h"
#include "content.h"
#include "header.h"
#include "heads_fixture.h"

enum {
    STORY_LEGS = 3,
    STORY_RECEIPTS = 12,
    STORY_LOG = 64,
    SENDER_DEVICE = DEVICE,
    DECIDER = DEVICE + 10,
    READER = DEVICE + 11
};

struct telling { /* one receipt of a leg */
    enum leg_event event;
    enum leg_state to;
    unsigned speaker; /* a pair's number; 0: the relay */
    const char *post, *forward;
    bool note, officer, disclosure, has_reason;
    uint64_t reason, generation;
};

struct story {
    struct world world;
    struct card card;    /* as it was given out */
    struct card signing; /* with the keys that the relay signs with now, which are these pairs' */
    unsigned log_key, statement_key;
    struct header header;
    uint8_t digest[HASH_SIZE], leg[STORY_LEGS][HASH_SIZE], keys[2][KEY_SIZE];
    size_t leg_count;
    uint8_t log[STORY_LOG * HASH_SIZE]; /* leaf hashes of the evidence log */
    size_t log_size;
    uint64_t clock;
    /* the bundle's parts */
    struct buf card_text, stamped, openings[STORY_LEGS], paths[STORY_LEGS], receipts[STORY_LEGS], notes[STORY_LEGS],
        legs;
    struct buf directory, leaves, evidence, steps, chunks[2];
    struct place places[STORY_LEGS];
    uint64_t ordinals[STORY_LEGS], states[STORY_LEGS];
    uint8_t heads[STORY_LEGS][HASH_SIZE];
    size_t receipt_count[STORY_LEGS], note_count[STORY_LEGS], leaf_count, step_count, chunk_count[2];
    uint64_t head_sizes[STORY_LOG];
    size_t head_count;
    struct bundle bundle;
};

UNUSED static void put_hashes(struct bytes flat, struct buf *out) {
    for (size_t i = 0; i < flat.n; i += HASH_SIZE) cbor_put_bytes(out, bytes_of(flat.p + i, HASH_SIZE));
}

/* A head of the evidence log as it is now. */
UNUSED static void evidence_head(const struct story *story, size_t size, struct buf *out) {
    struct note_key key;
    uint8_t root[HASH_SIZE];
    merkle_root(story->log, size, root);
    assert_ok(head_key(&story->signing, LOG_EVIDENCE, &key));
    assert_ok(head_make(&key, pair_of(story->log_key).secret, size, root, (struct instant){story->clock}, out));
}

UNUSED static void log_grows(struct story *story, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t filler[8] = {0xf1, (uint8_t)story->log_size};
        assert_true(story->log_size < STORY_LOG);
        merkle_leaf(bytes_of(filler, sizeof filler), story->log + HASH_SIZE * story->log_size++);
    }
}

/* ---- the request ---- */

UNUSED static void seal_part(struct story *story, enum part_number number, struct bytes plain, struct part *ret) {
    struct content_context context = {.part = number, .exercise = story->header.exercise};
    size_t which = (size_t)number - 1;
    uint8_t *key = story->keys[which];
    AUTO_BUF padded = {0}, digests = {0};
    memset(key, 0x40 + (int)number, KEY_SIZE);
    memcpy(context.request, story->header.request, REQUEST_ID_SIZE);
    memcpy(context.device, story->header.device, KEY_SIZE);
    buf_add_bytes(&padded, plain);
    while (padded.n < content_padme(plain.n)) buf_add(&padded, "", 1);
    for (size_t at = 0; at < padded.n; at += CHUNK_PLAIN) {
        AUTO_BUF chunk = {0};
        uint8_t digest[HASH_SIZE];
        size_t n = padded.n - at < CHUNK_PLAIN ? padded.n - at : CHUNK_PLAIN;
        assert_ok(content_seal_chunk(&context, key, story->chunk_count[which], at + n == padded.n,
                                     bytes_of(padded.p + at, n), &chunk));
        chunk_digest(buf_bytes(&chunk), digest);
        buf_add(&digests, digest, sizeof digest);
        cbor_put_bytes(&story->chunks[which], buf_bytes(&chunk));
        story->chunk_count[which]++;
    }
    ret->length = content_length(plain.n);
    part_digest(buf_bytes(&digests), ret->digest);
    content_commitment(key, ret->commitment);
}

UNUSED static void story_parts(struct story *story, bool offer, bool body) {
    AUTO_BUF plain = {0};
    struct header *header = &story->header;
    if (offer) {
        struct offer value = {.from = header->from,
                              .exercise = header->exercise,
                              .kind = KIND_CLARIFICATION,
                              .subject = bytes_text("Access to <berth> & \"9\""),
                              .has_disclosure = true,
                              .disclosure = 1};
        memcpy(value.request, header->request, REQUEST_ID_SIZE);
        offer_encode(&value, &plain);
        header->has_offer = true;
        seal_part(story, PART_OFFER, buf_bytes(&plain), &header->offer);
    }
    if (!body) return;
    static const char text[] = "Please confirm by noon.";
    AUTO_BUF files = {0}, whole = {0};
    file_encode(&(struct file){.length = sizeof text - 1}, &files);
    struct manifest manifest = {.from = header->from, .exercise = header->exercise, .files = list_of(&files, 1)};
    memcpy(manifest.request, header->request, REQUEST_ID_SIZE);
    manifest_encode(&manifest, &whole);
    buf_add(&whole, text, sizeof text - 1);
    header->has_body = true;
    seal_part(story, PART_BODY, buf_bytes(&whole), &header->body);
}

UNUSED static void story_legs(struct story *story, const char *const *to) {
    struct legs_leaf leaves[STORY_LEGS];
    static const uint8_t seed[HASH_SIZE] = {0x5e};
    size_t count = story->leg_count;
    for (size_t i = 0; i < count; i++) {
        struct opening opening = {.to = bytes_text(to[i]), .sequence = 7 + i};
        memset(opening.salt, 0x60 + (int)i, HASH_SIZE);
        opening_encode(&opening, &story->openings[i]);
        story->places[i] = (struct place){.opening = buf_bytes(&story->openings[i]), .position = 5 + 100 * i};
        leaves[i].position = (uint32_t)story->places[i].position;
        stamp_hash(story->places[i].opening, leaves[i].id);
        memcpy(story->leg[i], leaves[i].id, HASH_SIZE);
        memcpy(story->heads[i], leaves[i].id, HASH_SIZE);
    }
    assert_ok(legs_root(leaves, count, seed, story->header.legs));
    for (size_t i = 0; i < count; i++) {
        uint8_t path[LEGS_DEPTH * HASH_SIZE];
        assert_ok(legs_path(leaves, count, seed, i, path));
        put_hashes(bytes_of(path, sizeof path), &story->paths[i]);
    }
}

enum story_kind { STORY_REQUEST, STORY_OFFER_ONLY, STORY_REPLY };

/* From de/technical to these posts, sent by `device`. */
UNUSED static void story_begin_by(struct story *story, unsigned device, enum story_kind kind, const char *const *to,
                                  size_t count) {
    AUTO_BUF payload = {0};
    story->world = world_new();
    story->card = story->signing = heads_card(0);
    story->log_key = LOG_KEY;
    story->statement_key = STATEMENT_KEY;
    story->clock = WORLD_TIME + DAY_MS;
    story->leg_count = count;
    struct header *header = &story->header;
    *header = (struct header){.from = bytes_text("de/technical"),
                              .created = {WORLD_TIME + 77},
                              .keep_s = KEEP_DEFAULT_S,
                              .precedence = PRECEDENCE_PRIORITY,
                              .has_parent = kind == STORY_REPLY};
    memset(header->request, 0x1d, REQUEST_ID_SIZE);
    memcpy(header->device, pair_of(device).public, KEY_SIZE);
    if (header->has_parent) memset(&header->parent, 0x7a, sizeof header->parent);
    story_parts(story, kind != STORY_REPLY, kind != STORY_OFFER_ONLY);
    story_legs(story, to);
    header_encode(header, &payload);
    assert_ok(stamp_sign_one(LABEL_HEADER, pair_of(device).secret, buf_bytes(&payload), &story->stamped));
    header_digest(buf_bytes(&payload), story->digest);
    log_grows(story, 3);
}

UNUSED static void story_begin(struct story *story, enum story_kind kind, const char *const *to, size_t count) {
    story_begin_by(story, SENDER_DEVICE, kind, to, count);
}

/* ---- what happens ---- */

UNUSED static void story_statement(struct story *story, size_t which, const struct telling *said,
                                   struct buf *ret_stamped, uint8_t ret_hash[static HASH_SIZE]) {
    AUTO_BUF payload = {0};
    unsigned speaker = said->speaker ? said->speaker : story->statement_key;
    struct statement statement = {.event = said->event,
                                  .has_leg = true,
                                  .has_post = said->post != NULL,
                                  .post = bytes_text(said->post),
                                  .officer = said->officer,
                                  .time = {story->clock - 3000},
                                  .has_reason = said->has_reason,
                                  .reason = said->reason,
                                  .has_generation = said->generation > 0,
                                  .generation = said->generation,
                                  .has_forward = said->forward != NULL,
                                  .forward = bytes_text(said->forward),
                                  .has_disclosure = said->disclosure,
                                  .disclosure = said->disclosure};
    memcpy(statement.header, story->digest, HASH_SIZE);
    memcpy(statement.leg, story->leg[which], HASH_SIZE);
    memcpy(statement.device, pair_of(speaker).public, KEY_SIZE);
    memset(statement.nonce, (int)(story->clock / 1000 % 251), NONCE_SIZE);
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, pair_of(speaker).secret, buf_bytes(&payload), ret_stamped));
    stamp_hash(buf_bytes(&payload), ret_hash);
}

/* What a test bends of a receipt before the relay signs it. */
struct bent {
    struct entry *entry;
    struct record *record;
    struct receipt *receipt;
};

UNUSED static void story_say_bent(struct story *story, size_t which, const struct telling *said,
                                  void (*bend)(struct bent *bent)) {
    AUTO_BUF stamped = {0}, entry = {0}, record = {0}, stamped_record = {0}, head = {0}, path = {0}, flat = {0},
             out = {0};
    story->clock += 1000;
    struct record value = {.time = {story->clock}};
    struct entry step = {.ordinal = story->ordinals[which],
                         .from = story->states[which],
                         .to = (uint64_t)said->to,
                         .size = directory_size(story->world.directory),
                         .time = {story->clock}};
    struct receipt receipt = {0};
    struct bent bent = {&step, &value, &receipt};
    story_statement(story, which, said, &stamped, value.statement);
    memcpy(step.leg, story->leg[which], HASH_SIZE);
    memcpy(step.previous, story->heads[which], HASH_SIZE);
    memcpy(step.statement, value.statement, HASH_SIZE);
    value.has_entry = value.has_index = !said->note;
    value.index = story->log_size;
    if (bend) bend(&bent);
    if (!said->note) {
        entry_encode(&step, &entry);
        value.entry = buf_bytes(&entry);
        merkle_leaf(buf_bytes(&entry), story->log + HASH_SIZE * story->log_size++);
        log_grows(story, 1);
        merkle_leaf(buf_bytes(&entry), story->heads[which]);
        evidence_head(story, story->log_size, &head);
        merkle_path(story->log, story->log_size, (size_t)value.index, &flat);
        put_hashes(buf_bytes(&flat), &path);
        receipt.has_checkpoint = receipt.has_proof = true;
        receipt.checkpoint = buf_bytes(&head);
        receipt.proof = list_of(&path, flat.n / HASH_SIZE);
        story->head_sizes[story->head_count++] = story->log_size;
        story->ordinals[which]++;
        story->states[which] = (uint64_t)said->to;
    }
    record_encode(&value, &record);
    assert_ok(stamp_sign_one(LABEL_RECORD, pair_of(story->statement_key).secret, buf_bytes(&record), &stamped_record));
    receipt.statement = buf_bytes(&stamped);
    receipt.record = buf_bytes(&stamped_record);
    if (bend) bend(&bent);
    receipt_encode(&receipt, &out);
    cbor_put_bytes(said->note ? &story->notes[which] : &story->receipts[which], buf_bytes(&out));
    story->receipt_count[which] += !said->note;
    story->note_count[which] += said->note;
}

UNUSED static void story_say(struct story *story, size_t which, const struct telling *said) {
    story_say_bent(story, which, said, NULL);
}

#define STORED_BY_RELAY ((struct telling){EVENT_STORED, STATE_STORED, .generation = 0})
#define SAID_BY(event_, to_, speaker_, post_)                                                                          \
    ((struct telling){.event = event_, .to = to_, .speaker = speaker_, .post = post_})

/* The registrars declare a loss: from here on the relay signs with other keys. */
UNUSED static void story_recovers(struct story *story, unsigned log_key, unsigned statement_key) {
    AUTO_BUF addresses = {0};
    cbor_put_bytes(&addresses, bytes_text("tcp://127.0.0.1:5870"));
    struct relaychange change = {.action = RELAY_RECOVERED,
                                 .addresses = list_of(&addresses, 1),
                                 .created = {WORLD_TIME + 5},
                                 .has_log = true,
                                 .has_statement = true,
                                 .has_size = true,
                                 .size = directory_size(story->world.directory),
                                 .has_root = true,
                                 .has_entries = true,
                                 .entries = story->log_size,
                                 .has_entries_root = true};
    memcpy(change.curve, story->card.curve, KEY_SIZE);
    change.has_old_log = change.has_old_statement = true;
    memcpy(change.old_log, story->signing.log, KEY_SIZE);
    memcpy(change.old_statement, story->signing.statement, KEY_SIZE);
    memcpy(change.log, pair_of(log_key).public, KEY_SIZE);
    memcpy(change.statement, pair_of(statement_key).public, KEY_SIZE);
    directory_root(story->world.directory, change.root);
    merkle_root(story->log, story->log_size, change.entries_root);
    assert_ok(say_relaychange(&story->world, &change, REGISTRAR));
    memcpy(story->signing.log, change.log, KEY_SIZE);
    memcpy(story->signing.statement, change.statement, KEY_SIZE);
    story->log_key = log_key;
    story->statement_key = statement_key;
}

/* ---- the bundle ---- */

UNUSED static void story_directory(struct story *story) {
    uint8_t hashes[LENGTH(story->world.leaves) * HASH_SIZE], root[HASH_SIZE];
    size_t count = story->world.count;
    for (size_t i = 0; i < count; i++) merkle_leaf(buf_bytes(&story->world.leaves[i]), hashes + i * HASH_SIZE);
    merkle_root(hashes, count, root);
    struct note_key key;
    assert_ok(head_key(&story->signing, LOG_DIRECTORY, &key));
    assert_ok(head_make(&key, pair_of(story->log_key).secret, count, root, (struct instant){story->clock},
                        &story->directory));
    head_cosign(&story->card, 0, story->clock / 1000, &story->directory);
    head_cosign(&story->card, 1, story->clock / 1000 + 5, &story->directory);
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF flat = {0}, path = {0};
        merkle_path(hashes, count, i, &flat);
        put_hashes(buf_bytes(&flat), &path);
        bundleleaf_encode(&(struct bundleleaf){.index = i,
                                               .leaf = buf_bytes(&story->world.leaves[i]),
                                               .path = list_of(&path, flat.n / HASH_SIZE)},
                          &story->leaves);
    }
    story->leaf_count = count;
}

UNUSED static void story_steps(struct story *story) {
    log_grows(story, 2);
    story->clock += 60000;
    evidence_head(story, story->log_size, &story->evidence);
    for (size_t i = 0; i < story->head_count; i++) {
        size_t to = i + 1 < story->head_count ? (size_t)story->head_sizes[i + 1] : story->log_size;
        AUTO_BUF flat = {0}, path = {0};
        merkle_consistency_path(story->log, to, (size_t)story->head_sizes[i], &flat);
        put_hashes(buf_bytes(&flat), &path);
        bundlestep_encode(
            &(struct bundlestep){.size = story->head_sizes[i], .path = list_of(&path, flat.n / HASH_SIZE)},
            &story->steps);
    }
    story->step_count = story->head_count;
}

/* Fills story->bundle with views; opened: a part, or 0. */
UNUSED static void story_bundle(struct story *story, bool with_evidence, unsigned opened) {
    struct bundle *bundle = &story->bundle;
    card_format(&story->card, &story->card_text);
    story_directory(story);
    if (with_evidence) story_steps(story);
    for (size_t i = 0; i < story->leg_count; i++)
        bundleleg_encode(&(struct bundleleg){.place = story->places[i],
                                             .path = list_of(&story->paths[i], LEGS_DEPTH),
                                             .receipts = list_of(&story->receipts[i], story->receipt_count[i]),
                                             .notes = list_of(&story->notes[i], story->note_count[i])},
                         &story->legs);
    *bundle = (struct bundle){.card = buf_bytes(&story->card_text),
                              .header = buf_bytes(&story->stamped),
                              .legs = list_of(&story->legs, story->leg_count),
                              .directory = buf_bytes(&story->directory),
                              .leaves = list_of(&story->leaves, story->leaf_count),
                              .has_evidence = with_evidence,
                              .evidence = buf_bytes(&story->evidence),
                              .steps = list_of(&story->steps, story->step_count),
                              .has_opened = opened != 0};
    if (!opened) return;
    bundle->opened = (struct bundlepart){.part = opened,
                                         .chunks = list_of(&story->chunks[opened - 1], story->chunk_count[opened - 1])};
    memcpy(bundle->opened.key, story->keys[opened - 1], KEY_SIZE);
}

/* The file, whatever it is worth. */
UNUSED static void bundle_seal(struct bytes inner, struct buf *out) {
    struct bundlefile file = {.bundle = inner};
    label_digest(LABEL_BUNDLE, inner, file.digest);
    bundlefile_encode(&file, out);
    assert_ok(buf_error(out));
}
UNUSED static void bundle_file(const struct bundle *bundle, struct buf *out) {
    AUTO_BUF inner = {0};
    bundle_encode(bundle, &inner);
    bundle_seal(buf_bytes(&inner), out);
}

UNUSED static void story_free(struct story *story) {
    struct buf *single[] = {&story->card_text, &story->stamped, &story->legs,      &story->directory, &story->leaves,
                            &story->evidence,  &story->steps,   &story->chunks[0], &story->chunks[1]};
    for (size_t i = 0; i < LENGTH(single); i++) buf_free(single[i]);
    for (size_t i = 0; i < STORY_LEGS; i++) {
        buf_free(&story->openings[i]);
        buf_free(&story->paths[i]);
        buf_free(&story->receipts[i]);
        buf_free(&story->notes[i]);
    }
    world_free(&story->world);
}
#define AUTO_STORY __attribute__((cleanup(story_free))) struct story

/* Accepted by an officer, handed over and acknowledged by a machine, closed by the sender. */
UNUSED static void story_of_an_answer(struct story *story, size_t leg) {
    story_say(story, leg, &STORED_BY_RELAY);
    story_say(story, leg, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    struct telling accepted = SAID_BY(EVENT_ACCEPTED, STATE_ACCEPTED, DECIDER, "fj/national");
    accepted.officer = true;
    accepted.disclosure = true;
    story_say(story, leg, &accepted);
    story_say(story, leg, &SAID_BY(EVENT_HANDED_OVER, STATE_HANDED_OVER, READER, "fj/national"));
    story_say(story, leg, &SAID_BY(EVENT_ACKNOWLEDGED, STATE_ACKNOWLEDGED, READER, "fj/national"));
    story_say(story, leg, &SAID_BY(EVENT_CONSENTED, STATE_ACKNOWLEDGED, SENDER_DEVICE, "de/technical"));
    struct telling late = SAID_BY(EVENT_DECLINED, STATE_NONE, DECIDER, "fj/national");
    late.note = true;
    story_say(story, leg, &late);
}

#endif
