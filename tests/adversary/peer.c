/* peer.c - a registered but hostile device against a real relay.
 *
 * Goal: whatever a peer sends, it is answered or cut off, nothing of it is stored that should not be, no process of the
 * relay dies, and others are served as if nothing had happened. Each test ends with stage_unharmed(), which looks at
 * exactly that. */
#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "contact.h"
#include "head.h"
#include "mutate.h"
#include "sign.h"
#include "witness.h"

enum { WINDOW = 64, TRUNCATIONS = 300, FLIPS = 700, QUIET_MS = 700 };

static struct scene_relay relay;
static struct actor ann, bob, eve; /* fj/national and de/technical behave; xx/evil does not */

/* ---- what must hold after each test ---- */

static struct scene_numbers stage_begin(void) { return scene_status(&relay); }

static void assert_same_processes(const struct scene_numbers *before, const struct scene_numbers *after) {
    assert_int_equal(after->ledger_pid, before->ledger_pid);
    assert_int_equal(after->gate_pid, before->gate_pid);
}

/* Requests, legs and entries are what they were (plus what the test says was rightly stored); then an honest request
 * goes its way, and exactly that is added. */
static void stage_unharmed(const struct scene_numbers *before, uint64_t requests, uint64_t legs, uint64_t entries,
                           uint64_t leaves) {
    struct scene_numbers after = scene_status(&relay);
    assert_same_processes(before, &after);
    assert_int_equal(after.requests, before->requests + requests);
    assert_int_equal(after.legs, before->legs + legs);
    assert_int_equal(after.entries, before->entries + entries);
    assert_int_equal(after.directory, before->directory + leaves);
    scene_good_request(&ann, &bob);
    struct scene_numbers last = scene_status(&relay);
    assert_same_processes(before, &last);
    assert_int_equal(last.requests, after.requests + 1);
    assert_int_equal(last.legs, after.legs + 1);
    assert_int_equal(last.entries, after.entries + 4);
    assert_int_equal(last.directory, after.directory);
}

/* ---- volleys: many messages, each answered once ---- */

struct volley {
    struct actor *actor;
    unsigned waiting, sent, failures;
};

static void volley_collect(struct volley *volley) {
    for (; volley->waiting; volley->waiting--) {
        AUTO_REPLY reply = {0};
        if (!actor_hear(volley->actor, SCENE_WAIT_MS, &reply))
            fail_msg("%u messages were never answered", volley->waiting);
        volley->failures += reply.type == MESSAGE_FAILURE;
    }
}

static void volley_fire(struct volley *volley, struct bytes frame) {
    actor_send_bytes(volley->actor, frame);
    volley->sent++;
    if (++volley->waiting == WINDOW) volley_collect(volley);
}

static void volley_fire_body(struct volley *volley, enum message type, struct bytes body) {
    AUTO_BUF frame = {0};
    frame_encode(&(struct frame){.type = (uint64_t)type, .number = ++volley->actor->number, .body = body}, &frame);
    volley_fire(volley, buf_bytes(&frame));
}

/* ---- samples: one good message of every kind ---- */

struct sample {
    struct actor *actor;
    enum message type;
    struct buf body;
    size_t unsigned_at; /* of one byte that its sender may choose, and that nothing signs; 0: none */
};
enum { SAMPLES = 21 };
struct samples {
    struct sample list[SAMPLES];
    size_t count;
    struct actor newcomer, goner; /* to be enrolled; to be revoked */
    struct request offered, unsent, staged;
};

static void add_sample(struct samples *samples, struct actor *actor, enum message type, const void *value) {
    struct sample *sample = &samples->list[samples->count++];
    *sample = (struct sample){.actor = actor, .type = type};
    codec_encode(message_row(type)->object, value, &sample->body);
    assert_false(sample->body.failed);
}

static void store(struct actor *from, const struct request *request, bool with_chunks) {
    AUTO_ROOM room = {0};
    AUTO_REPLY reply = {0};
    struct submit submit;
    struct submitted submitted;
    request_submit(request, with_chunks, &room, &submit);
    actor_call(from, MESSAGE_SUBMIT, &submit, &reply);
    assert_ok(submitted_decode(reply.body, &submitted));
    assert_int_equal(submitted.wants.count, with_chunks ? 0 : 2);
    struct result result;
    while (result_next(&submitted.results, &result)) assert_ok((enum error)result.error);
}

static void sample_directory(struct samples *samples) {
    AUTO_BUF statements = {0}, prekeys = {0}, payload = {0}, stamped = {0}, revocations = {0}, own_prekeys = {0};
    struct enrol enrol;
    static unsigned posts;
    actor_sister(&eve, &samples->newcomer); /* of a post of its own, so that no statement is there already */
    samples->newcomer.poster = scene_keys();
    snprintf(samples->newcomer.post, sizeof samples->newcomer.post, "%s/post-%u", eve.party, ++posts);
    actor_connect(&samples->newcomer);
    actor_enrolment(&samples->newcomer, &statements, &prekeys, &enrol);
    add_sample(samples, &samples->newcomer, MESSAGE_ENROL, &enrol);

    actor_sister(&eve, &samples->goner);
    actor_connect(&samples->goner);
    actor_enrol(&samples->goner);
    struct revocation revocation = {.post = bytes_text(eve.post), .has_device = true, .created = {1}};
    memcpy(revocation.device, samples->goner.device.public, KEY_SIZE);
    memcpy(revocation.signer, eve.poster.public, KEY_SIZE);
    revocation_encode(&revocation, &payload);
    assert_ok(stamp_sign_one(LABEL_REVOCATION, eve.poster.secret, buf_bytes(&payload), &stamped));
    dirstatement_encode(&(struct dirstatement){.kind = LEAF_REVOCATION, .statement = buf_bytes(&stamped)},
                        &revocations);
    add_sample(samples, &eve, MESSAGE_DECLARE, &(struct declare){.statements = list_of(&revocations, 1)});

    for (size_t i = 0; i < PREKEYS; i++) cbor_put_bytes(&own_prekeys, buf_bytes(&eve.prekeys[i]));
    add_sample(samples, &eve, MESSAGE_PUBLISH, &(struct publish){.prekeys = list_of(&own_prekeys, PREKEYS)});
}

static void sample_requests(struct samples *samples) {
    const char *to_eve[] = {eve.post}, *to_bob[] = {bob.post};
    AUTO_ROOM room = {0};
    AUTO_BUF stamped = {0}, said = {0};
    struct submit submit;
    request_new(&ann, &(struct outline){.to = to_eve, .count = 1}, &samples->offered);
    store(&ann, &samples->offered, true);
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &samples->unsent);
    request_submit(&samples->unsent, true, &room, &submit);
    add_sample(samples, &eve, MESSAGE_SUBMIT, &submit);

    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &samples->staged);
    store(&eve, &samples->staged, false);
    struct chunk chunk = {.part = PART_OFFER, .data = buf_bytes(&samples->staged.offer_chunk)};
    memcpy(chunk.header, samples->staged.digest, HASH_SIZE);
    add_sample(samples, &eve, MESSAGE_CHUNK, &chunk);

    const struct request *offered = &samples->offered;
    struct statement statement = actor_statement(&eve, EVENT_NOTIFIED, offered->digest, offered->legs[0].id);
    sign_statement(&statement, &eve.device, &stamped);
    said_encode(&(struct said){.statement = buf_bytes(&stamped)}, &said);
    add_sample(samples, &eve, MESSAGE_STATE, &(struct state){.said = list_of(&said, 1)});

    struct fetch fetch = {.has_leg = true, .part = PART_OFFER};
    memcpy(fetch.header, offered->digest, HASH_SIZE);
    memcpy(fetch.leg, offered->legs[0].id, HASH_SIZE);
    add_sample(samples, &eve, MESSAGE_FETCH, &fetch);
    struct track track = {0};
    memcpy(track.leg, offered->legs[0].id, HASH_SIZE);
    add_sample(samples, &eve, MESSAGE_TRACK, &track);
}

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The relay's card names one witness, whose key the tests hold. */
static struct note_key witness_key(uint8_t ret_secret[static SIGN_SECRET_SIZE]) {
    uint8_t seed[KEY_SIZE] = {7}, public[KEY_SIZE];
    struct note_key key;
    assert_int_equal(crypto_sign_seed_keypair(public, ret_secret, seed), 0);
    assert_ok(note_key_make(bytes_text("witness.test"), NOTE_COSIGNATURE, public, &key));
    return key;
}

/* The newest head, as the relay gives it to whoever asks, appended with the witness's word. */
static void cosign_newest(struct actor *actor, struct buf *ret_note) {
    AUTO_REPLY reply = {0};
    struct addcheckpoint answer;
    struct witness_request request;
    struct witness_verdict verdict;
    struct witness_log log = {.timed = true};
    uint8_t secret[SIGN_SECRET_SIZE];
    struct note_key key = witness_key(secret);
    actor_call(actor, MESSAGE_GETCHECKPOINT, &(struct getcheckpoint){0}, &reply);
    assert_ok(addcheckpoint_decode(reply.body, &answer));
    assert_ok(card_log_key(&relay.card, "directory", &log.key));
    assert_ok(witness_request_parse(answer.request, &request));
    assert_ok(witness_judge(&log, &request, (struct instant){wall_ms()}, &verdict));
    buf_add_bytes(ret_note, request.bytes);
    note_sign(request.note.text, &key, secret, wall_ms() / 1000, ret_note);
}

static void sample_heads(struct samples *samples) {
    AUTO_BUF note = {0}, sizes = {0};
    add_sample(samples, &eve, MESSAGE_GETHEADS, &(struct getheads){});
    add_sample(samples, &eve, MESSAGE_GETCHECKPOINT, &(struct getcheckpoint){.old = 1});
    cbor_put_uint(&sizes, 1);
    cbor_put_uint(&sizes, 2);
    add_sample(samples, &eve, MESSAGE_GETLOG, &(struct getlog){.log = LOG_DIRECTORY, .sizes = list_of(&sizes, 2)});
    add_sample(samples, &eve, MESSAGE_GETHASHES, &(struct gethashes){.log = LOG_EVIDENCE, .max = 3});
    cosign_newest(&eve, &note);
    add_sample(samples, &eve, MESSAGE_COSIGN, &(struct cosign){.note = buf_bytes(&note)});
}

/* An invitation's box, and a contact card of one public sheet: what the relay can check all of. */
static void sample_boxes_and_cards(struct samples *samples) {
    struct put put = {.data = bytes_text("sealed")};
    struct get get = {0};
    randombytes_buf(put.box, sizeof put.box);
    memcpy(get.box, put.box, sizeof get.box);
    add_sample(samples, &eve, MESSAGE_PUT, &put);
    add_sample(samples, &eve, MESSAGE_GET, &get);

    AUTO_BUF fields = {0}, sheet_bytes = {0}, commitments = {0}, payload = {0}, stamped = {0}, sheets = {0};
    struct sheet sheet = {.post = bytes_text(eve.post), .audience = AUDIENCE_PUBLIC};
    struct sealedsheet sealed = {.audience = AUDIENCE_PUBLIC, .has_data = true};
    struct contact contact = {.post = bytes_text(eve.post), .created = {wall_ms()}};
    randombytes_buf(sheet.salt, sizeof sheet.salt);
    cardfield_encode(&(struct cardfield){.field = CONTACT_ZONE, .value = bytes_text("Pacific/Fiji")}, &fields);
    sheet.fields = list_of(&fields, 1);
    sheet_encode(&sheet, &sheet_bytes);
    sealed.data = buf_bytes(&sheet_bytes);
    sheet_commitment(sealed.data, sealed.commitment);
    cbor_put_bytes(&commitments, bytes_of(sealed.commitment, HASH_SIZE));
    contact.commitments = list_of(&commitments, 1);
    memcpy(contact.device, eve.device.public, KEY_SIZE);
    contact_encode(&contact, &payload);
    assert_ok(stamp_sign_one(LABEL_CONTACT, eve.device.secret, buf_bytes(&payload), &stamped));
    sealedsheet_encode(&sealed, &sheets);
    struct putcontact putcontact = {
        .has_statement = true, .statement = buf_bytes(&stamped), .sheets = list_of(&sheets, 1)};
    add_sample(samples, &eve, MESSAGE_PUTCONTACT, &putcontact);
    /* Of a sealed sheet the relay can check nothing: whether this one is sealed is its post's to say, behind the commitment. */
    struct sample *card = &samples->list[samples->count - 1];
    const uint8_t *last = NULL;
    for (size_t i = 0; i + HASH_SIZE + 2 < card->body.n; i++)
        if (memcmp(card->body.p + i, sealed.commitment, HASH_SIZE) == 0) last = card->body.p + i;
    assert_non_null(last);
    card->unsigned_at = (size_t)(last - card->body.p) + HASH_SIZE + 1;
    assert_int_equal(card->body.p[card->unsigned_at], AUDIENCE_PUBLIC);
    add_sample(samples, &eve, MESSAGE_GETCONTACT, &(struct getcontact){.post = bytes_text(bob.post)});
}

static void samples_make(struct samples *samples) {
    *samples = (struct samples){0};
    add_sample(samples, &eve, MESSAGE_HELLO, &(struct hello){.size = 3});
    add_sample(samples, &eve, MESSAGE_GETLEAVES, &(struct getleaves){.from = 1, .max = 2});
    add_sample(samples, &eve, MESSAGE_GETPREKEYS, &(struct getprekeys){.post = bytes_text(bob.post)});
    add_sample(samples, &eve, MESSAGE_GETFEED, &(struct getfeed){.max = 2});
    sample_requests(samples);
    sample_directory(samples);
    sample_heads(samples);
    sample_boxes_and_cards(samples);
    assert_int_equal(samples->count, SAMPLES);
    for (unsigned i = 0; message_nth(i) && message_nth(i)->from_client; i++) { /* every kind that a client may send */
        bool found = false;
        for (size_t j = 0; j < SAMPLES; j++) found = found || samples->list[j].type == message_nth(i)->type;
        assert_true(found);
    }
}

static void samples_free(struct samples *samples) {
    for (size_t i = 0; i < samples->count; i++) buf_free(&samples->list[i].body);
    actor_free(&samples->newcomer);
    actor_free(&samples->goner);
    request_free(&samples->offered);
    request_free(&samples->unsent);
    request_free(&samples->staged);
}

/* The undamaged message is taken: so it was the damage that was refused. */
static void fire_good(const struct sample *sample) {
    AUTO_REPLY reply = {0};
    volley_fire_body(&(struct volley){.actor = sample->actor}, sample->type, buf_bytes(&sample->body));
    assert_true(actor_hear(sample->actor, SCENE_WAIT_MS, &reply));
    if (reply.type == MESSAGE_FAILURE)
        fail_msg("%s: %s", message_row(sample->type)->name, error_row(reply.error)->name);
    assert_int_equal(reply.type, message_row(sample->type)->answer);
}

static void fire_all_good(const struct samples *samples) {
    for (size_t i = 0; i < samples->count; i++) fire_good(&samples->list[i]);
}

/* ---- truncations, flips, structure ---- */

static void fire_truncations(struct volley *volley, const struct sample *sample) {
    AUTO_BUF frame = {0};
    size_t n = sample->body.n, step = n / TRUNCATIONS + 1;
    for (size_t i = 0; i < n; i += step) volley_fire_body(volley, sample->type, bytes_of(sample->body.p, i));
    frame_encode(&(struct frame){.type = sample->type, .number = 7, .body = buf_bytes(&sample->body)}, &frame);
    for (size_t i = 1; i < frame.n; i += frame.n / TRUNCATIONS + 1) volley_fire(volley, bytes_of(frame.p, i));
    volley_collect(volley);
}

static void no_truncated_message_is_taken(void **state) {
    (void)state;
    struct samples samples;
    samples_make(&samples);
    struct scene_numbers before = stage_begin();
    for (size_t i = 0; i < samples.count; i++) {
        struct volley volley = {.actor = samples.list[i].actor};
        fire_truncations(&volley, &samples.list[i]);
        assert_int_equal(volley.failures, volley.sent);
    }
    stage_unharmed(&before, 0, 0, 0, 0);
    fire_all_good(&samples);
    samples_free(&samples);
}

static void fire_flips(struct volley *volley, const struct sample *sample) {
    AUTO_BUF copy = {0};
    size_t step = sample->body.n / FLIPS + 1;
    buf_add_bytes(&copy, buf_bytes(&sample->body));
    for (size_t i = 0; i < copy.n; i += step) {
        uint8_t bit = (uint8_t)(1 << randombytes_uniform(8));
        if (i == sample->unsigned_at && i > 0) continue;
        copy.p[i] ^= bit;
        volley_fire_body(volley, sample->type, buf_bytes(&copy));
        copy.p[i] ^= bit;
    }
    volley_collect(volley);
}

/* Questions may still make sense with a bit flipped; nothing that is signed or digested does. */
static bool is_question(enum message type) {
    return type == MESSAGE_HELLO || type == MESSAGE_GETLEAVES || type == MESSAGE_GETPREKEYS ||
           type == MESSAGE_GETFEED || type == MESSAGE_FETCH || type == MESSAGE_TRACK || type == MESSAGE_GETHEADS ||
           type == MESSAGE_GETCHECKPOINT || type == MESSAGE_GET || type == MESSAGE_GETCONTACT ||
           type == MESSAGE_GETLOG || type == MESSAGE_GETHASHES;
}

static void no_message_with_a_flipped_bit_changes_anything(void **state) {
    (void)state;
    struct samples samples;
    samples_make(&samples);
    struct scene_numbers before = stage_begin();
    for (size_t i = 0; i < samples.count; i++) {
        struct volley volley = {.actor = samples.list[i].actor};
        if (samples.list[i].type == MESSAGE_PUT) continue; /* sealed for somebody else: any bytes may go into a box */
        fire_flips(&volley, &samples.list[i]);
        if (!is_question(samples.list[i].type) && volley.failures != volley.sent)
            fail_msg("%s is taken with a bit flipped, %u times", message_row(samples.list[i].type)->name,
                     volley.sent - volley.failures);
    }
    stage_unharmed(&before, 0, 0, 0, 0);
    fire_all_good(&samples);
    samples_free(&samples);
}

/* `n` further mutations that apply; at most WINDOW wait for an answer. */
static void fire_mutations(struct volley *volley, const struct sample *sample) {
    bool past = false;
    for (size_t place = 0; !past; place++)
        for (unsigned mutation = 0; mutation < MUTATE_FORMS && !past; mutation++) {
            AUTO_BUF damaged = {0};
            unsigned failures = volley->failures, sent = volley->sent;
            if (!mutate(buf_bytes(&sample->body), place, (enum mutation)mutation, &damaged, &past)) continue;
            volley_fire_body(volley, sample->type, buf_bytes(&damaged));
            volley_collect(volley);
            if (volley->failures - failures != volley->sent - sent)
                fail_msg("%s is taken with mutation %u at place %zu", message_row(sample->type)->name, mutation, place);
        }
}

static void no_other_encoding_type_or_field_is_taken(void **state) {
    (void)state;
    struct samples samples;
    samples_make(&samples);
    struct scene_numbers before = stage_begin();
    for (size_t i = 0; i < samples.count; i++) {
        struct volley volley = {.actor = samples.list[i].actor};
        fire_mutations(&volley, &samples.list[i]);
        assert_true(volley.sent > (samples.list[i].body.n > 1 ? MUTATE_FORMS : 0)); /* one question is empty */
    }
    stage_unharmed(&before, 0, 0, 0, 0);
    fire_all_good(&samples);
    samples_free(&samples);
}

static void a_relays_own_messages_and_unknown_ones_are_refused(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    for (unsigned type = 1; type < 256; type++) {
        const struct message_row *row = message_row(type);
        if (row && row->from_client) continue;
        AUTO_BUF frame = {0};
        AUTO_REPLY reply = {0};
        frame_encode(&(struct frame){.type = type, .number = ++eve.number}, &frame);
        actor_send_bytes(&eve, buf_bytes(&frame));
        assert_true(actor_hear(&eve, SCENE_WAIT_MS, &reply));
        assert_error(reply.error, E_UNKNOWN_MESSAGE);
    }
    stage_unharmed(&before, 0, 0, 0, 0);
}

/* ---- lies about requests ---- */

static enum error submit_error(struct actor *actor, const struct submit *submit, struct reply *reply) {
    struct submitted submitted;
    struct result result;
    actor_ask(actor, MESSAGE_SUBMIT, submit, reply);
    if (reply->type == MESSAGE_FAILURE) return reply->error;
    assert_ok(submitted_decode(reply->body, &submitted));
    if (submitted.wants.count) return E_NOT_COMPLETE;
    assert_true(result_next(&submitted.results, &result));
    return (enum error)result.error;
}

static enum error send_request(struct actor *actor, const struct request *request) {
    AUTO_ROOM room = {0};
    AUTO_REPLY reply = {0};
    struct submit submit;
    request_submit(request, true, &room, &submit);
    return submit_error(actor, &submit, &reply);
}

static const char *to_bob[] = {"de/technical"};

static enum error send_outline(struct actor *actor, struct outline outline) {
    AUTO_REQUEST request = {0};
    if (!outline.to) outline.to = to_bob;
    if (!outline.count) outline.count = 1;
    request_new(actor, &outline, &request);
    return send_request(actor, &request);
}

static void nobody_sends_in_anothers_name(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    struct scene_keys stranger = scene_keys();
    assert_error(send_outline(&eve, (struct outline){.from = ann.post}), E_NOT_ALLOWED);
    assert_error(send_outline(&eve, (struct outline){.signer = &stranger}), E_NOT_ALLOWED);
    assert_error(send_outline(&eve, (struct outline){.signer = &ann.device, .from = ann.post}), E_NOT_ALLOWED);
    /* ann's own request, word for word, but sent by eve */
    AUTO_REQUEST anns = {0};
    request_new(&ann, &(struct outline){.to = to_bob, .count = 1}, &anns);
    assert_error(send_request(&eve, &anns), E_NOT_ALLOWED);
    stage_unharmed(&before, 0, 0, 0, 0);
}

static void wrap_sets_of_others_are_refused(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    AUTO_REQUEST request = {0}, other = {0};
    struct actor sister;
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &request);
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &other);
    struct buf own = buf_take(&request.legs[0].wrapset);

    request_wrapset(&ann, &request, request.legs[0].id, bob.post, 1, false,
                    &request.legs[0].wrapset); /* by another post */
    assert_error(send_request(&eve, &request), E_NOT_ALLOWED);
    buf_clear(&request.legs[0].wrapset);
    actor_sister(&eve, &sister); /* by a device that the directory does not know */
    sister.socket = eve.socket;
    request_wrapset(&sister, &request, request.legs[0].id, bob.post, 1, false, &request.legs[0].wrapset);
    eve.number = sister.number + 1000;
    sister.socket = NULL;
    actor_free(&sister);
    assert_error(send_request(&eve, &request), E_UNKNOWN_DEVICE);
    buf_clear(&request.legs[0].wrapset);
    buf_add_bytes(&request.legs[0].wrapset, buf_bytes(&other.legs[0].wrapset)); /* of another request */
    assert_error(send_request(&eve, &request), E_MISMATCH);
    buf_clear(&request.legs[0].wrapset);
    request_wrapset(&eve, &request, request.legs[0].id, ann.post, 1, false,
                    &request.legs[0].wrapset); /* for other devices */
    assert_error(send_request(&eve, &request), E_STALE_DIRECTORY);
    buf_clear(&request.legs[0].wrapset);
    request_wrapset(&eve, &request, other.legs[0].id, bob.post, 1, false,
                    &request.legs[0].wrapset); /* for no leg of it */
    assert_error(send_request(&eve, &request), E_MISMATCH);
    stage_unharmed(&before, 0, 0, 0, 0);

    buf_free(&request.legs[0].wrapset);
    request.legs[0].wrapset = own;
    assert_ok(send_request(&eve, &request));
}

static void wide_keep(struct header *header, void *context) { header->keep_s = *(const uint64_t *)context; }
static void wide_offer(struct header *header, void *context) { header->offer.length = *(const uint64_t *)context; }
static void long_created(struct header *header, void *context) { header->created.ms = *(const uint64_t *)context; }
static void other_root(struct header *header, void *context) { header->legs[0] ^= *(const uint8_t *)context; }

static void claims_that_cannot_be_are_refused_for_good(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    uint64_t short_keep = 1, huge = PART_MAX, impossible = CHUNK_SIZE + 3, other = CHUNK_SIZE + 300, late = UINT64_MAX;
    uint8_t one = 1;
    const char *nowhere[] = {"zz/nobody"};
    assert_error(send_outline(&eve, (struct outline){.spoil = wide_keep, .context = &short_keep}), E_BAD_KEEP);
    assert_error(send_outline(&eve, (struct outline){.spoil = wide_offer, .context = &huge}), E_TOO_LARGE);
    assert_error(send_outline(&eve, (struct outline){.spoil = wide_offer, .context = &impossible}), E_MALFORMED);
    assert_error(send_outline(&eve, (struct outline){.spoil = wide_offer, .context = &other}), E_BAD_DIGEST);
    assert_error(send_outline(&eve, (struct outline){.spoil = other_root, .context = &one}), E_BAD_PROOF);
    assert_error(send_outline(&eve, (struct outline){.to = nowhere, .no_wraps = true}), E_UNKNOWN_POST);
    struct scene_numbers middle = scene_status(&relay);
    assert_int_equal(middle.legs, before.legs);
    /* A device's clock is its own affair. */
    assert_ok(send_outline(&eve, (struct outline){.spoil = long_created, .context = &late}));
    stage_unharmed(&before, 1, 1, 1, 0);
}

static void the_same_id_with_other_content_is_a_conflict_with_proof(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    AUTO_REQUEST first = {0}, second = {0};
    AUTO_ROOM room = {0};
    struct submit submit;
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &first);
    assert_ok(send_request(&eve, &first));
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1, .request_id = first.header.request}, &second);
    request_submit(&second, true, &room, &submit);
    for (int i = 0; i < 3; i++) {
        AUTO_REPLY reply = {0};
        struct evidence evidence;
        assert_error(submit_error(&eve, &submit, &reply), E_CONFLICT);
        assert_true(reply.failed.has_refusal);
        assert_ok(evidence_open(reply.failed.refusal, relay.card.statement, &evidence));
        assert_int_equal(evidence.statement.event, EVENT_REFUSED);
        assert_false(evidence.has_entry);
        assert_true(evidence.statement.has_reason);
        assert_int_equal(evidence.statement.reason, E_CONFLICT);
        assert_memory_equal(evidence.statement.header, second.digest, HASH_SIZE);
        assert_memory_equal(evidence.statement.device, relay.card.statement, KEY_SIZE);
    }
    assert_ok(send_request(&eve, &first)); /* the first one stands */
    stage_unharmed(&before, 1, 1, 1, 0);
}

static void a_number_used_twice_or_a_leg_of_another_request_is_refused(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    AUTO_REQUEST first = {0}, second = {0};
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &first);
    assert_ok(send_request(&eve, &first));
    eve.sequence--;
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &second);
    assert_error(send_request(&eve, &second), E_CONFLICT);
    struct scene_numbers after = scene_status(&relay);
    assert_int_equal(after.requests, before.requests + 1);
    stage_unharmed(&before, 1, 1, 1, 0);
}

static void pieces_in_the_wrong_place_or_size_are_refused(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    AUTO_REQUEST request = {0};
    AUTO_BUF big = {0};
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &request);
    struct chunk chunk = {.part = PART_OFFER, .data = buf_bytes(&request.offer_chunk)};
    memcpy(chunk.header, request.digest, HASH_SIZE);
    assert_error(actor_refused(&eve, MESSAGE_CHUNK, &chunk), E_UNKNOWN_REQUEST); /* nobody waits for it */
    store(&eve, &request, false);
    chunk.part = PART_BODY;
    assert_error(actor_refused(&eve, MESSAGE_CHUNK, &chunk), E_BAD_DIGEST);
    chunk.part = PART_OFFER;
    chunk.index = 1;
    assert_error(actor_refused(&eve, MESSAGE_CHUNK, &chunk), E_NO_SUCH_CHUNK);
    chunk.index = UINT32_MAX;
    assert_error(actor_refused(&eve, MESSAGE_CHUNK, &chunk), E_NO_SUCH_CHUNK);
    chunk.index = 0;
    chunk.data.n--;
    assert_error(actor_refused(&eve, MESSAGE_CHUNK, &chunk), E_BAD_DIGEST);
    uint8_t *room = buf_extend(&big, CHUNK_SIZE);
    assert_non_null(room);
    memset(room, 0, CHUNK_SIZE);
    chunk.data = buf_bytes(&big);
    assert_error(actor_refused(&eve, MESSAGE_CHUNK, &chunk), E_BAD_DIGEST);
    chunk.data = buf_bytes(&request.offer_chunk);
    assert_error(actor_refused(&ann, MESSAGE_CHUNK, &chunk), E_NOT_ALLOWED); /* another's staged request */
    stage_unharmed(&before, 0, 0, 0, 0);
    assert_ok(send_request(&eve, &request));
}

/* ---- answers that would not fit into a message ---- */

/* A wrap set for a leg, signed alone and without wraps: the smallest that passes the gate. */
static void add_small_wrapset(const struct request *request, const uint8_t leg[static HASH_SIZE], struct buf *out) {
    AUTO_BUF payload = {0}, stamped = {0};
    struct wrapset set = {.has_leg = true, .generation = 1, .size = 1};
    memcpy(set.header, request->digest, HASH_SIZE);
    memcpy(set.leg, leg, HASH_SIZE);
    memcpy(set.signer, eve.device.public, KEY_SIZE);
    wrapset_encode(&set, &payload);
    assert_ok(stamp_sign_one(LABEL_WRAPSET, eve.device.secret, buf_bytes(&payload), &stamped));
    cbor_put_bytes(out, buf_bytes(&stamped));
}

static void more_refusals_than_an_answer_holds_do_not_end_the_relay(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    AUTO_REQUEST request = {0};
    AUTO_ROOM room = {0};
    AUTO_REPLY reply = {0};
    AUTO_BUF sets = {0};
    struct submit submit;
    uint8_t leg[HASH_SIZE];
    request_new(&eve, &(struct outline){.to = to_bob, .count = 1}, &request);
    request_submit(&request, true, &room, &submit);
    for (size_t i = 0; i < LEGS_MAX + 1; i++) {
        randombytes_buf(leg, sizeof leg);
        add_small_wrapset(&request, leg, &sets);
    }
    submit.wrapsets = list_of(&sets, LEGS_MAX + 1);
    actor_ask(&eve, MESSAGE_SUBMIT, &submit, &reply);
    stage_unharmed(&before, 0, 0, 0, 0);
    assert_ok(send_request(&eve, &request));
}

static void more_receipts_than_an_answer_holds_do_not_end_the_relay(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    AUTO_REQUEST request = {0};
    AUTO_REPLY reply = {0};
    AUTO_BUF note = {0}, said = {0};
    struct buf stamped[STATEMENTS_MAX] = {0}, payloads[STATEMENTS_MAX] = {0};
    struct bytes views[STATEMENTS_MAX];
    const char *to_eve[] = {eve.post};
    request_new(&ann, &(struct outline){.to = to_eve, .count = 1}, &request);
    store(&ann, &request, true);
    uint8_t *room = buf_extend(&note, NOTE_MAX + TAG_SIZE + 64);
    assert_non_null(room);
    memset(room, 7, note.n);
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        struct statement statement = actor_statement(&eve, EVENT_CANNOT_OPEN, request.digest, request.legs[0].id);
        statement.has_note = true;
        statement.note = buf_bytes(&note);
        statement_encode(&statement, &payloads[i]);
        views[i] = buf_bytes(&payloads[i]);
    }
    assert_ok(stamp_sign(LABEL_STATEMENT, eve.device.secret, views, STATEMENTS_MAX, stamped));
    for (size_t i = 0; i < STATEMENTS_MAX; i++) said_encode(&(struct said){.statement = buf_bytes(&stamped[i])}, &said);
    for (int i = 0; i < 2; i++) { /* told once, and asked again */
        struct stated stated;
        struct result result;
        size_t without = 0;
        actor_call(&eve, MESSAGE_STATE, &(struct state){.said = list_of(&said, STATEMENTS_MAX)}, &reply);
        assert_ok(stated_decode(reply.body, &stated));
        assert_int_equal(stated.results.count, STATEMENTS_MAX);
        while (result_next(&stated.results, &result)) without += !result.has_receipt;
        assert_true(without < STATEMENTS_MAX);
    }
    /* Whoever was told to wait gets the receipt when it asks again. */
    AUTO_BUF receipt = {0};
    assert_ok(actor_state(&eve, buf_bytes(&stamped[STATEMENTS_MAX - 1]), &receipt));
    assert_true(receipt.n > 0);
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        buf_free(&stamped[i]);
        buf_free(&payloads[i]);
    }
    stage_unharmed(&before, 1, 1, 1, 0);
}

static void a_request_with_as_many_legs_as_one_message_holds_is_stored(void **state) {
    (void)state;
    enum { MANY = 700 };
    struct scene_numbers before = stage_begin();
    AUTO_REQUEST request = {0};
    AUTO_ROOM room = {0};
    AUTO_REPLY reply = {0}, again = {0};
    struct submit submit;
    struct submitted submitted;
    struct result result;
    struct actor silent; /* a post without any prekey: empty wrap sets are right for it */
    AUTO_BUF statements = {0}, prekeys = {0};
    struct enrol enrol;
    AUTO_REPLY done = {0};
    actor_new(&relay, "yy/silent", &silent);
    actor_admit(&silent);
    actor_connect(&silent);
    actor_enrolment(&silent, &statements, &prekeys, &enrol);
    enrol.prekeys = (struct list){0};
    actor_call(&silent, MESSAGE_ENROL, &enrol, &done);
    const char *to[] = {silent.post};
    request_new(&eve, &(struct outline){.to = to, .count = MANY, .same_post = true, .no_wraps = true}, &request);
    /* no_wraps asks for no directory: give it the right one */
    AUTO_REPLY welcome_reply = {0};
    struct welcome welcome;
    actor_call(&eve, MESSAGE_HELLO, &(struct hello){0}, &welcome_reply);
    assert_ok(welcome_decode(welcome_reply.body, &welcome));
    for (size_t i = 0; i < MANY; i++) {
        AUTO_BUF payload = {0};
        struct wrapping_set set = {request.digest, request.legs[i].id, 1,
                                   welcome.size,   welcome.root,       eve.device.public};
        buf_clear(&request.legs[i].wrapset);
        assert_ok(wrapping_make(&set, &(struct wrapped){0}, NULL, 0, &payload));
        assert_ok(stamp_sign_one(LABEL_WRAPSET, eve.device.secret, buf_bytes(&payload), &request.legs[i].wrapset));
    }
    request_submit(&request, true, &room, &submit);
    actor_call(&eve, MESSAGE_SUBMIT, &submit, &reply);
    assert_ok(submitted_decode(reply.body, &submitted));
    assert_int_equal(submitted.results.count, MANY);
    size_t told = 0;
    while (result_next(&submitted.results, &result)) {
        assert_true(result.error == E_OK || error_row((enum error)result.error)->again);
        assert_true(result.has_receipt || result.error != E_OK);
        told += result.error == E_OK;
    }
    assert_true(told > 0);
    /* What was not told is told when it is asked for alone. */
    AUTO_BUF last = {0};
    cbor_put_bytes(&last, buf_bytes(&request.legs[MANY - 1].wrapset));
    submit.wrapsets = list_of(&last, 1);
    assert_ok(submit_error(&eve, &submit, &again));
    struct scene_numbers after = scene_status(&relay);
    assert_same_processes(&before, &after);
    assert_int_equal(after.legs, before.legs + MANY);
    stage_unharmed(&after, 0, 0, 0, 0);
    actor_free(&silent);
}

/* ---- lies in statements ---- */

static void nobody_speaks_for_another(void **state) {
    (void)state;
    AUTO_REQUEST request = {0};
    request_new(&ann, &(struct outline){.to = to_bob, .count = 1}, &request);
    store(&ann, &request, true);
    struct scene_numbers before = stage_begin();
    const uint8_t *header = request.digest, *leg = request.legs[0].id;
    AUTO_BUF as_bob = {0}, bobs = {0}, post_of_bob = {0};

    struct statement statement = actor_statement(&bob, EVENT_ACCEPTED, header, leg); /* names bob, signed by eve */
    sign_statement(&statement, &eve.device, &as_bob);
    assert_error(actor_state(&eve, buf_bytes(&as_bob), NULL), E_NOT_ALLOWED);
    assert_error(actor_state(&bob, buf_bytes(&as_bob), NULL), E_BAD_SIGNATURE);
    sign_statement(&statement, &bob.device, &bobs); /* bob's own, brought by eve */
    assert_error(actor_state(&eve, buf_bytes(&bobs), NULL), E_NOT_ALLOWED);
    statement = actor_statement(&eve, EVENT_ACCEPTED, header, leg); /* eve's key under bob's post */
    statement.post = bytes_text(bob.post);
    sign_statement(&statement, &eve.device, &post_of_bob);
    assert_error(actor_state(&eve, buf_bytes(&post_of_bob), NULL), E_NOT_ALLOWED);
    for (enum leg_event event = EVENT_STORED; leg_event_row(event); event++) /* nothing at all on a leg of others */
        assert_int_not_equal(actor_say(&eve, event, header, leg, NULL), E_OK);
    assert_error(actor_say(&ann, EVENT_ACCEPTED, header, leg, NULL), E_NOT_ALLOWED);  /* the sender does not accept */
    assert_error(actor_say(&bob, EVENT_WITHDRAWN, header, leg, NULL), E_NOT_ALLOWED); /* nor the recipient withdraw */
    assert_int_not_equal(actor_fetch(&eve, header, leg, PART_OFFER, 0, NULL), E_OK);
    assert_int_not_equal(actor_fetch(&eve, header, NULL, PART_BODY, 0, NULL), E_OK);
    struct track track = {0};
    memcpy(track.leg, leg, HASH_SIZE);
    assert_error(actor_refused(&eve, MESSAGE_TRACK, &track), E_UNKNOWN_REQUEST);
    stage_unharmed(&before, 0, 0, 0, 0);
    assert_ok(actor_state(&bob, buf_bytes(&bobs), NULL));
}

static void nothing_is_said_before_its_time(void **state) {
    (void)state;
    AUTO_REQUEST request = {0};
    const char *to_eve[] = {eve.post};
    request_new(&ann, &(struct outline){.to = to_eve, .count = 1}, &request);
    store(&ann, &request, true);
    struct scene_numbers before = stage_begin();
    const uint8_t *header = request.digest, *leg = request.legs[0].id;
    assert_error(actor_fetch(&eve, header, leg, PART_BODY, 0, NULL), E_NOT_ACCEPTED);
    assert_error(actor_say(&eve, EVENT_HANDED_OVER, header, leg, NULL), E_WRONG_STATE);
    assert_error(actor_say(&eve, EVENT_ACKNOWLEDGED, header, leg, NULL), E_WRONG_STATE);
    assert_error(actor_say(&eve, EVENT_CLOSED, header, leg, NULL), E_WRONG_STATE);
    assert_error(actor_say(&ann, EVENT_CLOSED, header, leg, NULL), E_WRONG_STATE);
    static const enum leg_event relays[] = {EVENT_STORED, EVENT_REFUSED, EVENT_EXPIRED, EVENT_REKEY_NEEDED};
    for (size_t i = 0; i < LENGTH(relays); i++)
        assert_error(actor_say(&eve, relays[i], header, leg, NULL), E_NOT_ALLOWED);
    assert_error(actor_fetch(&eve, header, leg, PART_BODY, 0, NULL), E_NOT_ACCEPTED);
    assert_ok(actor_say(&eve, EVENT_DECLINED, header, leg, NULL));
    assert_int_not_equal(actor_fetch(&eve, header, leg, PART_BODY, 0, NULL), E_OK); /* and not after declining */
    assert_error(actor_say(&eve, EVENT_ACCEPTED, header, leg, NULL), E_WRONG_STATE);
    assert_int_not_equal(actor_fetch(&eve, header, leg, PART_BODY, 0, NULL), E_OK);
    stage_unharmed(&before, 0, 0, 1, 0);
}

static void a_replayed_statement_has_the_same_receipt(void **state) {
    (void)state;
    AUTO_REQUEST request = {0};
    AUTO_BUF stamped = {0}, first = {0};
    const char *to_eve[] = {eve.post};
    request_new(&ann, &(struct outline){.to = to_eve, .count = 1}, &request);
    store(&ann, &request, true);
    struct scene_numbers before = stage_begin();
    struct statement statement = actor_statement(&eve, EVENT_ACCEPTED, request.digest, request.legs[0].id);
    sign_statement(&statement, &eve.device, &stamped);
    assert_ok(actor_state(&eve, buf_bytes(&stamped), &first));
    for (int i = 0; i < 5; i++) {
        AUTO_BUF again = {0};
        assert_ok(actor_state(&eve, buf_bytes(&stamped), &again));
        assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&first)));
    }
    struct scene_numbers after = scene_status(&relay);
    assert_int_equal(after.receipts, before.receipts + 1);
    stage_unharmed(&before, 0, 0, 1, 0);
}

/* ---- strangers ---- */

static void a_key_unknown_to_the_directory_reads_the_directory_and_no_more(void **state) {
    (void)state;
    struct samples samples;
    samples_make(&samples);
    struct scene_numbers before = stage_begin();
    struct actor stranger;
    actor_new(&relay, "zz/stranger", &stranger);
    actor_connect(&stranger);
    for (size_t i = 0; i < samples.count; i++) {
        const struct message_row *row = message_row(samples.list[i].type);
        AUTO_REPLY reply = {0};
        if (row->type == MESSAGE_DECLARE) continue; /* whoever holds a slip may bring it */
        volley_fire_body(&(struct volley){.actor = &stranger}, row->type, buf_bytes(&samples.list[i].body));
        assert_true(actor_hear(&stranger, SCENE_WAIT_MS, &reply));
        if (row->type == MESSAGE_ENROL)
            assert_error(reply.error, E_FOREIGN_CERTIFICATE);
        else if (row->anyone) /* the directory and its heads, cosigned or not; what is public; an invitation's box */
            assert_int_equal(reply.type, row->answer);
        else
            assert_error(reply.error, E_UNKNOWN_DEVICE);
    }
    AUTO_BUF statements = {0}, prekeys = {0}; /* a party that nobody admitted */
    struct enrol enrol;
    actor_enrolment(&stranger, &statements, &prekeys, &enrol);
    assert_int_not_equal(actor_refused(&stranger, MESSAGE_ENROL, &enrol), E_OK);
    stage_unharmed(&before, 0, 0, 0, 0);
    actor_free(&stranger);
    fire_all_good(&samples);
    samples_free(&samples);
}

static void a_revoked_device_is_put_out_while_connected(void **state) {
    (void)state;
    struct samples samples;
    samples_make(&samples);
    struct scene_numbers before = stage_begin();
    AUTO_REPLY reply = {0};
    struct actor *goner = &samples.goner;
    actor_call(goner, MESSAGE_GETFEED, &(struct getfeed){.max = 1}, &reply);
    for (size_t i = 0; i < samples.count; i++)
        if (samples.list[i].type == MESSAGE_DECLARE) fire_good(&samples.list[i]);
    assert_error(actor_refused(goner, MESSAGE_GETFEED, &(struct getfeed){.max = 1}), E_REVOKED);
    assert_error(actor_refused(goner, MESSAGE_HELLO, &(struct hello){0}), E_REVOKED);
    actor_disconnect(goner); /* and it is not let in again */
    actor_connect(goner);
    actor_send(goner, MESSAGE_HELLO, &(struct hello){0});
    assert_false(actor_hear(goner, 2 * QUIET_MS, &reply));
    stage_unharmed(&before, 0, 0, 0, 1);
    samples_free(&samples);
}

/* ---- heads ---- */

static void heads_are_for_everybody_and_only_the_cards_witnesses_are_heard(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    struct actor stranger;
    struct welcome welcome;
    struct heads heads;
    struct head head;
    struct bytes note;
    AUTO_BUF cosigned = {0}, other = {0};
    AUTO_REPLY hello = {0}, answer = {0};
    actor_new(&relay, "zz/stranger", &stranger);
    actor_connect(&stranger);
    actor_call(&stranger, MESSAGE_HELLO, &(struct hello){0}, &hello);
    assert_ok(welcome_decode(hello.body, &welcome));
    assert_true(welcome.has_checkpoint);
    assert_ok(head_open(&relay.card, welcome.checkpoint, &head));
    assert_int_equal(head.size, welcome.size);
    assert_memory_equal(head.root, welcome.root, HASH_SIZE);

    uint8_t secret[SIGN_SECRET_SIZE];
    struct scene_keys keys = scene_keys();
    struct note_key forged = witness_key(secret), unknown;
    struct note parsed;
    assert_ok(note_parse(welcome.checkpoint, &parsed));
    buf_add_bytes(&other, welcome.checkpoint);
    assert_ok(note_key_make(bytes_text("nobody.test"), NOTE_COSIGNATURE, keys.public, &unknown));
    note_sign(parsed.text, &unknown, keys.secret, 5, &other);
    struct cosign brought = {.note = buf_bytes(&other)};
    if (!head.words[0].valid) assert_error(actor_refused(&stranger, MESSAGE_COSIGN, &brought), E_UNKNOWN_WITNESS);
    buf_clear(&other);
    buf_add_bytes(&other, welcome.checkpoint);
    note_sign(parsed.text, &forged, keys.secret, 5, &other); /* the witness's name and hash, another's key */
    brought.note = buf_bytes(&other);
    assert_error(actor_refused(&stranger, MESSAGE_COSIGN, &brought), E_BAD_SIGNATURE);

    cosign_newest(&stranger, &cosigned);
    AUTO_REPLY done = {0};
    actor_call(&stranger, MESSAGE_COSIGN, &(struct cosign){.note = buf_bytes(&cosigned)}, &done);
    actor_call(&stranger, MESSAGE_GETHEADS, &(struct getheads){}, &answer);
    assert_ok(heads_decode(answer.body, &heads));
    assert_true(list_next_bytes(&heads.notes, &note));
    assert_ok(head_open(&relay.card, note, &head));
    assert_true(head.words[0].valid);
    actor_free(&stranger);
    stage_unharmed(&before, 0, 0, 0, 0);
}

/* A stranger sees how the logs grow, and can hold that against the heads; what is in the evidence log it does not see. */
static void how_the_logs_grow_is_shown_to_everybody(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    struct actor stranger;
    const enum relay_log logs[] = {LOG_DIRECTORY, LOG_EVIDENCE};
    scene_good_request(&ann, &bob);
    actor_new(&relay, "zz/stranger", &stranger);
    actor_connect(&stranger);
    for (size_t i = 0; i < LENGTH(logs); i++) {
        AUTO_REPLY grown = {0}, leaves = {0};
        AUTO_BUF sizes = {0};
        struct log log;
        struct hashes hashes;
        struct head head;
        struct bytes proof;
        uint8_t old[HASH_SIZE], new[HASH_SIZE];
        cbor_put_uint(&sizes, 3);
        actor_call(&stranger, MESSAGE_GETLOG, &(struct getlog){.log = logs[i], .sizes = list_of(&sizes, 1)}, &grown);
        assert_ok(log_decode(grown.body, &log));
        assert_ok(head_open_log(&relay.card, logs[i], log.note, &head));
        struct gethashes ask = {.log = logs[i], .max = LOG_HASHES_MAX};
        actor_call(&stranger, MESSAGE_GETHASHES, &ask, &leaves);
        assert_ok(hashes_decode(leaves.body, &hashes));
        assert_int_equal(hashes.hashes.n, head.size * HASH_SIZE);
        merkle_root(hashes.hashes.p, head.size, new);
        assert_memory_equal(new, head.root, HASH_SIZE);
        merkle_root(hashes.hashes.p, 3, old);
        assert_true(list_next_bytes(&log.proofs, &proof));
        assert_ok(merkle_verify_consistency(3, bytes_of(old, HASH_SIZE), head.size, bytes_of(new, HASH_SIZE), proof));
        AUTO_BUF far = {0};
        cbor_put_uint(&far, head.size + 1);
        struct getlog wrong = {.log = logs[i], .sizes = list_of(&far, 1)};
        assert_error(actor_refused(&stranger, MESSAGE_GETLOG, &wrong), E_OUT_OF_RANGE);
    }
    actor_free(&stranger);
    stage_unharmed(&before, 1, 1, 4, 0);
}

/* ---- the network ---- */

static int tcp(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)relay.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void put(int fd, const void *bytes, size_t n) {
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    assert_true(sent == (ssize_t)n || errno == EPIPE || errno == ECONNRESET);
}

/* ZMTP 3.1 greeting: signature, version, mechanism, as-server, filler. */
static void greet(int fd, const char *mechanism) {
    uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1};
    memcpy(greeting + 12, mechanism, strlen(mechanism));
    put(fd, greeting, sizeof greeting);
}

/* Reads until the other side ends it; false when it does not within the time. */
static bool is_cut(int fd, uint64_t wait_ms) {
    uint8_t room[4096];
    for (uint64_t end = scene_now_ms() + wait_ms; scene_now_ms() < end;) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        if (poll(&item, 1, 100) <= 0) continue;
        if (recv(fd, room, sizeof room, 0) <= 0) return true;
    }
    return false;
}

static void three_hundred_half_open_connections_cost_others_nothing(void **state) {
    (void)state;
    enum { HALF_OPEN = 300 };
    int fds[HALF_OPEN];
    struct scene_numbers before = stage_begin();
    for (size_t i = 0; i < HALF_OPEN; i++) {
        fds[i] = tcp();
        if (i % 3 == 1) put(fds[i], "\xff\0\0\0", 4);
        if (i % 3 == 2) greet(fds[i], "CURVE");
    }
    stage_unharmed(&before, 0, 0, 0, 0); /* while they are open */
    size_t cut = 0;
    for (size_t i = 0; i < HALF_OPEN; i++) { /* ZMQ_HANDSHAKE_IVL is 5 s */
        cut += is_cut(fds[i], i == 0 ? 20000 : 3000);
        close(fds[i]);
    }
    assert_int_equal(cut, HALF_OPEN);
    struct scene_numbers middle = stage_begin();
    stage_unharmed(&middle, 0, 0, 0, 0);
}

static void garbage_and_oversized_frames_before_authentication_are_cut_off(void **state) {
    (void)state;
    static const uint8_t huge[] = {0x06, 0x7f, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff};           /* a long command of 2^63 - 1 bytes */
    static const uint8_t large[] = {0x06, 0, 0, 0, 0, 0x40, 0, 0, 0}; /* 1 GiB */
    struct scene_numbers before = stage_begin();
    uint8_t noise[4096];
    for (unsigned i = 0; i < 60; i++) {
        int fd = tcp();
        if (i % 4 < 2) greet(fd, "CURVE");
        if (i % 4 == 0) put(fd, huge, sizeof huge);
        if (i % 4 == 1) put(fd, large, sizeof large);
        randombytes_buf(noise, sizeof noise);
        for (unsigned k = 0; k < 8; k++) put(fd, noise, sizeof noise);
        close(fd);
    }
    for (unsigned i = 0; i < 3; i++) { /* valid HELLO command's name, wrong everything else */
        static const uint8_t hello[] = {0x04, 200, 5, 'H', 'E', 'L', 'L', 'O', 1, 0};
        int fd = tcp();
        greet(fd, "CURVE");
        put(fd, hello, sizeof hello);
        put(fd, noise, 200 - 8);
        assert_true(is_cut(fd, 20000));
        close(fd);
    }
    stage_unharmed(&before, 0, 0, 0, 0);
}

static void plain_connections_are_refused(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    static const char *const mechanisms[] = {"NULL", "PLAIN", "GSSAPI", "CURVER", ""};
    for (size_t i = 0; i < LENGTH(mechanisms); i++) {
        int fd = tcp();
        greet(fd, mechanisms[i]);
        assert_true(is_cut(fd, 20000));
        close(fd);
    }
    void *socket = zmq_socket(relay.context, ZMQ_DEALER); /* libzmq's own NULL client */
    int zero = 0;
    char byte;
    AUTO_BUF frame = {0};
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_connect(socket, relay.address);
    message_encode(MESSAGE_HELLO, 1, &(struct hello){0}, &frame);
    zmq_send(socket, frame.p, frame.n, ZMQ_DONTWAIT);
    int wait = QUIET_MS;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(zmq_recv(socket, &byte, 1, 0), -1);
    zmq_close(socket);
    stage_unharmed(&before, 0, 0, 0, 0);
}

static void who_expects_another_relays_key_hears_nothing(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    struct actor lost;
    AUTO_REPLY reply = {0};
    uint8_t secret[KEY_SIZE], right[KEY_SIZE];
    memcpy(right, relay.card.curve, KEY_SIZE);
    randombytes_buf(secret, sizeof secret);
    assert_int_equal(crypto_scalarmult_base(relay.card.curve, secret), 0);
    actor_new(&relay, "zz/lost", &lost);
    actor_connect(&lost);
    memcpy(relay.card.curve, right, KEY_SIZE);
    actor_send(&lost, MESSAGE_HELLO, &(struct hello){0});
    assert_false(actor_hear(&lost, QUIET_MS, &reply));
    actor_free(&lost);
    stage_unharmed(&before, 0, 0, 0, 0);
}

static void multipart_empty_and_oversized_messages_of_a_member_are_harmless(void **state) {
    (void)state;
    struct scene_numbers before = stage_begin();
    AUTO_BUF big = {0};
    AUTO_REPLY reply = {0};
    uint8_t *room = buf_extend(&big, MESSAGE_MAX + 4096);
    assert_non_null(room);
    memset(room, 0x40, big.n);
    for (int i = 0; i < 20; i++) { /* many parts: dropped without an answer */
        for (int part = 0; part < 9; part++) zmq_send(eve.socket, "x", 1, ZMQ_SNDMORE);
        zmq_send(eve.socket, "", 0, 0);
    }
    zmq_send(eve.socket, "", 0, 0); /* an empty one is answered like any that does not decode */
    assert_true(actor_hear(&eve, SCENE_WAIT_MS, &reply));
    assert_int_equal(reply.type, MESSAGE_FAILURE);
    struct actor second; /* too large for a message: the connection ends, and nothing else */
    actor_sister(&eve, &second);
    actor_connect(&second);
    actor_call(&second, MESSAGE_HELLO, &(struct hello){0}, &reply);
    zmq_send(second.socket, big.p, big.n, 0);
    assert_false(actor_hear(&second, QUIET_MS, &reply));
    actor_disconnect(&second);
    actor_free(&second);
    stage_unharmed(&before, 0, 0, 0, 0);
}

/* A key that comes back over a second connection takes the first one's place; both get their answers or an end. */
static void one_key_on_fifty_connections_is_one_session(void **state) {
    (void)state;
    enum { TWINS = 50 };
    struct scene_numbers before = stage_begin();
    struct actor twins[TWINS];
    AUTO_REPLY reply = {0};
    for (size_t i = 0; i < TWINS; i++) {
        twins[i] = eve;
        twins[i].number = 100000 * (i + 1);
        actor_connect(&twins[i]);
        actor_call(&twins[i], MESSAGE_HELLO, &(struct hello){0}, &reply);
    }
    actor_call(&twins[TWINS - 1], MESSAGE_GETFEED, &(struct getfeed){.max = 1}, &reply);
    for (size_t i = 0; i < TWINS; i++) actor_disconnect(&twins[i]);
    actor_disconnect(&eve);
    actor_connect(&eve);
    actor_call(&eve, MESSAGE_HELLO, &(struct hello){0}, &reply);
    stage_unharmed(&before, 0, 0, 0, 0);
}

static void a_member_that_never_reads_is_cut_off_and_others_go_on(void **state) {
    (void)state;
    enum { ASKED = 6000 };
    struct scene_numbers before = stage_begin();
    struct actor deaf;
    int wait = QUIET_MS;
    deaf = eve;
    deaf.unread_max = 1;
    actor_connect(&deaf);
    zmq_setsockopt(deaf.socket, ZMQ_SNDTIMEO, &wait, sizeof wait);
    AUTO_BUF frame = {0};
    message_encode(MESSAGE_GETLEAVES, 9, &(struct getleaves){.max = LEAVES_MAX}, &frame);
    for (int i = 0; i < ASKED && zmq_send(deaf.socket, frame.p, frame.n, 0) >= 0; i++) continue;
    stage_unharmed(&before, 0, 0, 0, 0);
    actor_disconnect(&deaf);
    AUTO_REPLY reply = {0};
    actor_disconnect(&eve);
    actor_connect(&eve);
    actor_call(&eve, MESSAGE_HELLO, &(struct hello){0}, &reply);
}

/* Asked in the same breath as the directory grows: what is answered is of one moment. */
static void a_welcome_has_the_size_of_its_head_also_while_the_directory_grows(void **state) {
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        AUTO_BUF statements = {0}, prekeys = {0};
        AUTO_REPLY reply = {0};
        struct actor newcomer;
        struct enrol enrol;
        struct welcome welcome;
        struct note note;
        struct checkpoint checkpoint;
        actor_sister(&eve, &newcomer);
        newcomer.poster = scene_keys();
        snprintf(newcomer.post, sizeof newcomer.post, "%s/breath-%u", eve.party, i);
        actor_connect(&newcomer);
        actor_enrolment(&newcomer, &statements, &prekeys, &enrol);
        actor_send(&newcomer, MESSAGE_ENROL, &enrol);
        actor_call(&newcomer, MESSAGE_HELLO, &(struct hello){0}, &reply);
        assert_ok(welcome_decode(reply.body, &welcome));
        assert_ok(note_parse(welcome.checkpoint, &note));
        assert_ok(checkpoint_parse(note.text, &checkpoint));
        assert_int_equal(welcome.size, checkpoint.size);
        assert_memory_equal(welcome.root, checkpoint.root, HASH_SIZE);
        actor_free(&newcomer);
    }
}

/* ---- floods, with the rates that a relay has by itself ---- */

static void a_flooding_member_is_slowed_and_others_are_served(void **state) {
    (void)state;
    enum { FLOOD = 6000 };
    struct scene_numbers before = stage_begin();
    AUTO_BUF frame = {0};
    unsigned limited = 0, answered = 0, sent = 0;
    message_encode(MESSAGE_HELLO, 5, &(struct hello){0}, &frame);
    uint64_t began = scene_now_ms();
    int wait = 50;
    zmq_setsockopt(eve.socket, ZMQ_SNDTIMEO, &wait, sizeof wait);
    for (; sent < FLOOD; sent++) {
        if (zmq_send(eve.socket, frame.p, frame.n, 0) < 0) break;
        if (sent == FLOOD / 2) { /* in the midst of it */
            uint64_t good = scene_now_ms();
            scene_good_request(&ann, &bob);
            assert_true(scene_now_ms() - good < SCENE_WAIT_MS / 2);
        }
    }
    for (unsigned i = 0; i < sent; i++) {
        AUTO_REPLY reply = {0};
        if (!actor_hear(&eve, SCENE_WAIT_MS, &reply)) break;
        answered++;
        if (reply.type != MESSAGE_FAILURE) continue;
        assert_true(reply.error == E_RATE_LIMITED || reply.error == E_BUSY);
        limited++;
    }
    uint64_t took_s = (scene_now_ms() - began) / 1000 + 1;
    assert_int_equal(answered, sent); /* each is told, none is dropped */
    assert_true(limited > 0);
    assert_true(answered - limited <= 400 * (took_s + 1));
    struct scene_numbers after = scene_status(&relay);
    assert_same_processes(&before, &after);
}

static void a_flood_of_strangers_keys_costs_members_nothing(void **state) {
    (void)state;
    enum { STRANGERS = 60 };
    struct scene_numbers before = stage_begin();
    struct actor strangers[STRANGERS];
    for (size_t i = 0; i < STRANGERS; i++) {
        actor_new(&relay, "zz/stranger", &strangers[i]);
        actor_connect(&strangers[i]);
        for (int k = 0; k < 40; k++)
            actor_send(&strangers[i], MESSAGE_GETLEAVES, &(struct getleaves){.max = LEAVES_MAX});
    }
    scene_good_request(&ann, &bob);
    unsigned limited = 0;
    for (size_t i = 0; i < STRANGERS; i++) {
        for (int k = 0; k < 40; k++) {
            AUTO_REPLY reply = {0};
            assert_true(actor_hear(&strangers[i], SCENE_WAIT_MS, &reply));
            limited += reply.type == MESSAGE_FAILURE && reply.error == E_RATE_LIMITED;
        }
        actor_free(&strangers[i]);
    }
    assert_true(limited > 0);
    struct scene_numbers after = scene_status(&relay);
    assert_same_processes(&before, &after);
}

/* ---- two stages: one whose rates do not stand in the adversary's way, one as it comes ---- */

static void wide_open(struct config *config) {
    config->rate_member = 100000;
    config->rate_guest = 10000;
    config->quota_pair_legs = 100000;
    config->quota_legs = 100000;
}

static int raise_curtain(void (*adjust)(struct config *config)) {
    uint8_t secret[SIGN_SECRET_SIZE];
    AUTO_BUF vkey = {0};
    assert_true(sodium_init() >= 0);
    struct note_key key = witness_key(secret);
    note_key_format(&key, &vkey);
    buf_add(&vkey, "", 1);
    assert_ok(buf_error(&vkey));
    scene_relay_start_with(&relay, adjust, (const char *const[]){"--witness", (const char *)vkey.p, NULL});
    actor_join(&relay, "fj/national", &ann);
    actor_join(&relay, "de/technical", &bob);
    actor_join(&relay, "xx/evil", &eve);
    return 0;
}
static int stage_open(void **state) {
    (void)state;
    return raise_curtain(wide_open);
}
static int stage_ordinary(void **state) {
    (void)state;
    return raise_curtain(NULL);
}
static int stage_close(void **state) {
    (void)state;
    actor_free(&ann);
    actor_free(&bob);
    actor_free(&eve);
    scene_relay_stop(&relay);
    return 0;
}

int main(void) {
    const struct CMUnitTest lies[] = {
        cmocka_unit_test(no_truncated_message_is_taken),
        cmocka_unit_test(no_message_with_a_flipped_bit_changes_anything),
        cmocka_unit_test(no_other_encoding_type_or_field_is_taken),
        cmocka_unit_test(a_relays_own_messages_and_unknown_ones_are_refused),
        cmocka_unit_test(nobody_sends_in_anothers_name),
        cmocka_unit_test(wrap_sets_of_others_are_refused),
        cmocka_unit_test(claims_that_cannot_be_are_refused_for_good),
        cmocka_unit_test(the_same_id_with_other_content_is_a_conflict_with_proof),
        cmocka_unit_test(a_number_used_twice_or_a_leg_of_another_request_is_refused),
        cmocka_unit_test(pieces_in_the_wrong_place_or_size_are_refused),
        cmocka_unit_test(nobody_speaks_for_another),
        cmocka_unit_test(nothing_is_said_before_its_time),
        cmocka_unit_test(a_replayed_statement_has_the_same_receipt),
        cmocka_unit_test(a_key_unknown_to_the_directory_reads_the_directory_and_no_more),
        cmocka_unit_test(a_revoked_device_is_put_out_while_connected),
        cmocka_unit_test(heads_are_for_everybody_and_only_the_cards_witnesses_are_heard),
        cmocka_unit_test(how_the_logs_grow_is_shown_to_everybody),
        cmocka_unit_test(more_refusals_than_an_answer_holds_do_not_end_the_relay),
        cmocka_unit_test(more_receipts_than_an_answer_holds_do_not_end_the_relay),
        cmocka_unit_test(a_request_with_as_many_legs_as_one_message_holds_is_stored),
        cmocka_unit_test(three_hundred_half_open_connections_cost_others_nothing),
        cmocka_unit_test(garbage_and_oversized_frames_before_authentication_are_cut_off),
        cmocka_unit_test(plain_connections_are_refused),
        cmocka_unit_test(who_expects_another_relays_key_hears_nothing),
        cmocka_unit_test(multipart_empty_and_oversized_messages_of_a_member_are_harmless),
        cmocka_unit_test(one_key_on_fifty_connections_is_one_session),
        cmocka_unit_test(a_welcome_has_the_size_of_its_head_also_while_the_directory_grows),
        cmocka_unit_test(a_member_that_never_reads_is_cut_off_and_others_go_on),
    };
    const struct CMUnitTest floods[] = {
        cmocka_unit_test(a_flood_of_strangers_keys_costs_members_nothing),
        cmocka_unit_test(a_flooding_member_is_slowed_and_others_are_served),
    };
    int failed = cmocka_run_group_tests_name("a hostile device", lies, stage_open, stage_close);
    return failed + cmocka_run_group_tests_name("floods", floods, stage_ordinary, stage_close);
}
