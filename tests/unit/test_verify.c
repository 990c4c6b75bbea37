/* test_verify.c - what a message must say, and by whose signature, before it may go on to the ledger; and that the
 * workers release in order. Everything is signed with real keys; each test breaks one thing of a message that was good.
 */
#include <poll.h>

#include "directory_fixture.h"
#include "header.h"
#include "leg.h"
#include "verify.h"
#include "workers.h"

static const struct instant now = {WORLD_TIME + DAY_MS};

struct setting {
    struct world world;
    char detail[VERIFY_DETAIL];
};

static void setting_free(struct setting *setting) { world_free(&setting->world); }
#define AUTO_SETTING __attribute__((cleanup(setting_free))) struct setting

static enum error judge_at(struct setting *setting, unsigned device, enum message type, struct bytes body,
                           struct instant time) {
    struct verify_question question = {.directory = setting->world.directory,
                                       .device = device ? world_find(&setting->world, device) : NULL,
                                       .row = message_row(type),
                                       .body = body,
                                       .time = time};
    strcpy(setting->detail, "unset");
    return verify_message(&question, setting->detail);
}

static enum error judge(struct setting *setting, unsigned device, enum message type, struct bytes body) {
    return judge_at(setting, device, type, body, now);
}

static void stamp(enum label label, unsigned key, const struct buf *payload, struct buf *out) {
    assert_ok(stamp_sign_one(label, pair_of(key).secret, buf_bytes(payload), out));
}

/* ---- a submission: header, one leg, two wrap sets under one signature, a chunk ---- */

struct submission {
    const char *from;
    unsigned device, header_key; /* who is named, who signs */
    unsigned signer, signer_key;
    bool foreign_header, bad_opening, bad_keep;
    enum label label;
};

static const struct submission good_submission = {.from = "de/technical",
                                                  .device = DEVICE,
                                                  .header_key = DEVICE,
                                                  .signer = DEVICE,
                                                  .signer_key = DEVICE,
                                                  .label = LABEL_WRAPSET};

static void make_header(const struct submission *how, struct buf *stamped, uint8_t digest[static HASH_SIZE]) {
    struct header header = {.from = bytes_text(how->from),
                            .created = now,
                            .keep_s = how->bad_keep ? 1 : KEEP_DEFAULT_S,
                            .has_offer = true,
                            .offer = {.length = 100}};
    memcpy(header.device, pair_of(how->device).public, KEY_SIZE);
    AUTO_BUF payload = {0};
    header_encode(&header, &payload);
    header_digest(buf_bytes(&payload), digest);
    stamp(LABEL_HEADER, how->header_key, &payload, stamped);
}

static void make_wrapset(const struct submission *how, const uint8_t digest[static HASH_SIZE], unsigned leg,
                         struct buf *out) {
    struct wrapset wrapset = {.has_leg = true, .leg = {(uint8_t)leg}, .generation = 1};
    memcpy(wrapset.header, digest, HASH_SIZE);
    if (how->foreign_header) wrapset.header[0] ^= 1;
    memcpy(wrapset.signer, pair_of(how->signer).public, KEY_SIZE);
    wrapset_encode(&wrapset, out);
}

static void make_wrapsets(const struct submission *how, const uint8_t digest[static HASH_SIZE], struct buf *items) {
    AUTO_BUF first = {0};
    AUTO_BUF second = {0};
    struct buf stamped[2] = {{0}, {0}};
    make_wrapset(how, digest, 1, &first);
    make_wrapset(how, digest, 2, &second);
    struct bytes payloads[] = {buf_bytes(&first), buf_bytes(&second)};
    assert_ok(stamp_sign(how->label, pair_of(how->signer_key).secret, payloads, LENGTH(payloads), stamped));
    for (size_t i = 0; i < LENGTH(stamped); i++) {
        cbor_put_bytes(items, buf_bytes(&stamped[i]));
        buf_free(&stamped[i]);
    }
}

static void make_submit(const struct submission *how, struct buf *out) {
    AUTO_BUF header = {0};
    AUTO_BUF opening = {0};
    AUTO_BUF places = {0};
    AUTO_BUF wrapsets = {0};
    AUTO_BUF chunks = {0};
    uint8_t digest[HASH_SIZE];
    make_header(how, &header, digest);
    opening_encode(&(struct opening){.to = bytes_text("fj/national"), .sequence = 1}, &opening);
    if (how->bad_opening) opening.n--;
    place_encode(&(struct place){.opening = buf_bytes(&opening), .position = 3}, &places);
    make_wrapsets(how, digest, &wrapsets);
    struct chunk chunk = {.part = 1, .data = bytes_text("sealed")};
    memcpy(chunk.header, digest, HASH_SIZE);
    chunk_encode(&chunk, &chunks);
    submit_encode(&(struct submit){.header = buf_bytes(&header),
                                   .places = list_of(&places, 1),
                                   .wrapsets = list_of(&wrapsets, 2),
                                   .chunks = list_of(&chunks, 1)},
                  out);
    assert_ok(buf_error(out));
}

static enum error submit(struct setting *setting, const struct submission *how) {
    AUTO_BUF body = {0};
    make_submit(how, &body);
    return judge(setting, DEVICE, MESSAGE_SUBMIT, buf_bytes(&body));
}

static void submission_of_the_device_for_its_post_is_good(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    assert_ok(submit(&setting, &good_submission));
    assert_string_equal(setting.detail, "");
    struct submission by_sister = good_submission;
    by_sister.signer = by_sister.signer_key = DEVICE + 1;
    assert_ok(submit(&setting, &by_sister));
}

static void header_of_another_device_or_post_is_refused(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct submission sister = good_submission, post = good_submission, unsigned_ = good_submission;
    sister.device = sister.header_key = DEVICE + 1;
    assert_error(submit(&setting, &sister), E_NOT_ALLOWED);
    assert_string_equal(setting.detail, "header");
    post.from = "fj/national";
    assert_error(submit(&setting, &post), E_NOT_ALLOWED);
    unsigned_.header_key = DEVICE + 1;
    assert_error(submit(&setting, &unsigned_), E_BAD_SIGNATURE);
    assert_string_equal(setting.detail, "header");
}

static void header_that_promises_too_little_is_refused(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct submission how = good_submission;
    how.bad_keep = true;
    assert_error(submit(&setting, &how), E_BAD_KEEP);
    assert_string_equal(setting.detail, "header");
}

static void opening_that_does_not_decode_is_refused_by_its_index(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct submission how = good_submission;
    how.bad_opening = true;
    assert_error(submit(&setting, &how), E_TRUNCATED);
    assert_string_equal(setting.detail, "places[0]");
}

static void wrapset_of_another_post_request_key_or_label_is_refused(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct submission how = good_submission;
    how.foreign_header = true;
    assert_error(submit(&setting, &how), E_MISMATCH);
    assert_string_equal(setting.detail, "wrapsets[0]");
    how = good_submission;
    how.signer = how.signer_key = DEVICE + 10;
    assert_error(submit(&setting, &how), E_NOT_ALLOWED);
    how.signer = how.signer_key = STRANGER;
    assert_error(submit(&setting, &how), E_UNKNOWN_DEVICE);
    how = good_submission;
    how.signer_key = DEVICE + 1;
    assert_error(submit(&setting, &how), E_BAD_SIGNATURE);
    how = good_submission;
    how.label = LABEL_STATEMENT;
    assert_error(submit(&setting, &how), E_BAD_SIGNATURE);
}

static void wrapset_of_a_revoked_sister_is_refused(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct submission how = good_submission;
    how.signer = how.signer_key = DEVICE + 1;
    struct revocation revocation = revocation_of("de/technical", DEVICE + 1, AUTHORITY);
    assert_ok(say_revocation(&setting.world, &revocation, AUTHORITY));
    assert_error(submit(&setting, &how), E_REVOKED);
    assert_string_equal(setting.detail, "wrapsets[0]");
}

static void submission_is_refused_with_every_byte_changed_or_missing(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    AUTO_BUF body = {0};
    make_submit(&good_submission, &body);
    for (size_t n = 0; n < body.n; n++)
        assert_true(judge(&setting, DEVICE, MESSAGE_SUBMIT, bytes_of(body.p, n)) != E_OK);
    /* Of the message itself position, seed and chunks are unsigned: they are the ledger's to hold against the header.
     */
    size_t passed = 0;
    for (size_t i = 0; i < body.n; i++) {
        body.p[i] ^= 0x10;
        passed += judge(&setting, DEVICE, MESSAGE_SUBMIT, buf_bytes(&body)) == E_OK;
        body.p[i] ^= 0x10;
    }
    /* opening: salt 32, `to` 11, sequence 1; position 1; seed 32; chunk: header 32, data 6; some heads that stay valid
     */
    assert_in_range(passed, 60, 130);
}

static void second_wrapset_is_checked_though_the_signature_was_seen(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    AUTO_BUF body = {0};
    struct submit submit_;
    struct bytes item;
    make_submit(&good_submission, &body);
    assert_ok(submit_decode(buf_bytes(&body), &submit_));
    assert_true(list_next_bytes(&submit_.wrapsets, &item) && list_next_bytes(&submit_.wrapsets, &item));
    struct stamped stamped;
    struct wrapset wrapset;
    assert_ok(stamped_decode(item, &stamped));
    assert_ok(wrapset_decode(stamped.payload, &wrapset));
    size_t at = (size_t)(stamped.payload.p - body.p);
    while (body.p[at] != 2 || body.p[at + 1] != 0) at++; /* the leg's first byte */
    body.p[at] = 77;
    assert_error(judge(&setting, DEVICE, MESSAGE_SUBMIT, buf_bytes(&body)), E_BAD_SIGNATURE);
    assert_string_equal(setting.detail, "wrapsets[1]");
}

/* ---- statements ---- */

struct utterance {
    unsigned device, key;
    const char *post;
    uint64_t event;
    bool with_wrapset;
    struct submission wrapset;
};

static const struct utterance good_utterance = {.device = DEVICE,
                                                .key = DEVICE,
                                                .post = "de/technical",
                                                .event = EVENT_NOTIFIED,
                                                .wrapset = {.label = LABEL_WRAPSET}};

static void make_said(const struct utterance *how, struct buf *items) {
    AUTO_BUF payload = {0};
    AUTO_BUF statement = {0};
    AUTO_BUF payload_set = {0};
    AUTO_BUF wrapset = {0};
    struct statement value = {.event = how->event,
                              .header = {9},
                              .has_leg = true,
                              .has_post = how->post != NULL,
                              .post = bytes_text(how->post),
                              .time = now};
    memcpy(value.device, pair_of(how->device).public, KEY_SIZE);
    statement_encode(&value, &payload);
    stamp(LABEL_STATEMENT, how->key, &payload, &statement);
    struct said said = {.statement = buf_bytes(&statement), .has_wrapset = how->with_wrapset};
    if (how->with_wrapset) {
        make_wrapset(&how->wrapset, value.header, 1, &payload_set);
        stamp(how->wrapset.label, how->wrapset.signer_key, &payload_set, &wrapset);
        said.wrapset = buf_bytes(&wrapset);
    }
    said_encode(&said, items);
}

/* The utterance stands second, after a good one. */
static enum error state_it(struct setting *setting, const struct utterance *how) {
    AUTO_BUF items = {0};
    AUTO_BUF body = {0};
    make_said(&good_utterance, &items);
    make_said(how, &items);
    state_encode(&(struct state){.said = list_of(&items, 2)}, &body);
    enum error error = judge(setting, DEVICE, MESSAGE_STATE, buf_bytes(&body));
    assert_string_equal(setting->detail, error == E_OK ? "" : "said[1]");
    return error;
}

static void statement_of_the_device_itself_is_good_and_of_any_other_is_not(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct utterance how = good_utterance;
    assert_ok(state_it(&setting, &how));
    how.key = DEVICE + 1;
    assert_error(state_it(&setting, &how), E_BAD_SIGNATURE);
    how.device = DEVICE + 1;
    assert_error(state_it(&setting, &how), E_NOT_ALLOWED);
    how = good_utterance;
    how.post = "fj/national";
    assert_error(state_it(&setting, &how), E_NOT_ALLOWED);
    how.post = NULL;
    assert_error(state_it(&setting, &how), E_NOT_ALLOWED);
    how = good_utterance;
    how.event = 200;
    assert_error(state_it(&setting, &how), E_OUT_OF_RANGE);
}

static void wrapset_beside_a_statement_is_held_to_the_same_rules(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct utterance how = good_utterance;
    how.with_wrapset = true;
    how.wrapset.signer = how.wrapset.signer_key = DEVICE + 1;
    assert_ok(state_it(&setting, &how));
    how.wrapset.foreign_header = true;
    assert_error(state_it(&setting, &how), E_MISMATCH);
    how.wrapset.foreign_header = false;
    how.wrapset.signer_key = DEVICE;
    assert_error(state_it(&setting, &how), E_BAD_SIGNATURE);
    how.wrapset.signer = how.wrapset.signer_key = DEVICE + 10;
    assert_error(state_it(&setting, &how), E_NOT_ALLOWED);
}

static void statements_under_one_signature_are_each_checked(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    enum { COUNT = 40 };
    struct buf payloads[COUNT] = {{0}}, stamped[COUNT] = {{0}};
    struct bytes views[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        struct statement value = {.event = EVENT_NOTIFIED, .header = {(uint8_t)i}, .has_post = true};
        value.post = bytes_text("de/technical");
        memcpy(value.device, pair_of(DEVICE).public, KEY_SIZE);
        statement_encode(&value, &payloads[i]);
        views[i] = buf_bytes(&payloads[i]);
    }
    assert_ok(stamp_sign(LABEL_STATEMENT, pair_of(DEVICE).secret, views, COUNT, stamped));
    for (size_t bad = 0; bad <= COUNT; bad += 13) {
        AUTO_BUF items = {0};
        AUTO_BUF body = {0};
        for (size_t i = 0; i < COUNT; i++) {
            struct said said = {.statement = buf_bytes(&stamped[i])};
            if (i == bad) stamped[i].p[30] ^= 1; /* within the payload */
            said_encode(&said, &items);
            if (i == bad) stamped[i].p[30] ^= 1;
        }
        state_encode(&(struct state){.said = list_of(&items, COUNT)}, &body);
        enum error error = judge(&setting, DEVICE, MESSAGE_STATE, buf_bytes(&body));
        char where[32];
        snprintf(where, sizeof where, "said[%zu]", bad);
        assert_true(error != E_OK);
        assert_string_equal(setting.detail, where);
    }
    for (size_t i = 0; i < COUNT; i++) {
        buf_free(&payloads[i]);
        buf_free(&stamped[i]);
    }
}

/* ---- prekeys ---- */

static enum error publish(struct setting *setting, unsigned device, unsigned key, bool weak) {
    AUTO_BUF payload = {0};
    AUTO_BUF stamped = {0};
    AUTO_BUF items = {0};
    AUTO_BUF body = {0};
    struct prekey prekey = {.day = 20000};
    memcpy(prekey.device, pair_of(device).public, KEY_SIZE);
    if (!weak) transport_of(4000, prekey.key);
    prekey_encode(&prekey, &payload);
    stamp(LABEL_PREKEY, key, &payload, &stamped);
    cbor_put_bytes(&items, buf_bytes(&stamped));
    publish_encode(&(struct publish){.prekeys = list_of(&items, 1)}, &body);
    return judge(setting, DEVICE, MESSAGE_PUBLISH, buf_bytes(&body));
}

static void prekey_is_the_devices_own_and_signed_by_it(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    assert_ok(publish(&setting, DEVICE, DEVICE, false));
    assert_error(publish(&setting, DEVICE + 1, DEVICE + 1, false), E_NOT_ALLOWED);
    assert_string_equal(setting.detail, "prekeys[0]");
    assert_error(publish(&setting, DEVICE, DEVICE + 1, false), E_BAD_SIGNATURE);
    assert_error(publish(&setting, DEVICE, DEVICE, true), E_BAD_KEY);
}

/* ---- the rest ---- */

static void guest_is_no_member_here_either(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    AUTO_BUF body = {0};
    make_submit(&good_submission, &body);
    assert_error(judge(&setting, 0, MESSAGE_SUBMIT, buf_bytes(&body)), E_UNKNOWN_DEVICE);
}

static const char *first_required(const struct object *object) {
    for (size_t i = 0; i < object->count; i++)
        if (!object->fields[i].optional) return object->fields[i].name;
    return NULL;
}

static void every_message_of_a_client_is_decoded_and_the_field_at_fault_named(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    const struct message_row *row;
    unsigned seen = 0;
    for (unsigned n = 0; (row = message_nth(n)); n++) {
        if (!row->from_client) continue;
        const char *first = first_required(row->object);
        assert_error(judge(&setting, DEVICE, row->type, bytes_of("\xa0", 1)), first ? E_MISSING_FIELD : E_OK);
        assert_string_equal(setting.detail, first ? first : "");
        assert_error(judge(&setting, DEVICE, row->type, (struct bytes){0}), E_TRUNCATED);
        seen++;
    }
    assert_int_equal(seen, 21);
    AUTO_BUF body = {0};
    getfeed_encode(&(struct getfeed){.max = 5}, &body);
    assert_ok(judge(&setting, DEVICE, MESSAGE_GETFEED, buf_bytes(&body)));
    assert_string_equal(setting.detail, "");
}

/* ---- workers ---- */

static struct work *work_of(struct snapshot *snapshot, uint64_t number, enum message type, const struct buf *body) {
    struct work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    buf_add_bytes(&work->frame, buf_bytes(body));
    assert_ok(buf_error(&work->frame));
    work->number = number;
    work->body = buf_bytes(&work->frame);
    work->row = message_row(type);
    work->device = directory_device(snapshot->directory, pair_of(DEVICE).public);
    work->snapshot = snapshot_hold(snapshot);
    work->time = now;
    return work;
}

static struct work *wait_for_work(struct workers *workers) {
    for (;;) {
        struct work *work = workers_take(workers);
        struct pollfd fd = {.fd = workers_fd(workers), .events = POLLIN};
        if (work) return work;
        assert_int_equal(poll(&fd, 1, 10000), 1);
    }
}

/* Slow and quick messages by turns, while the directory grows in between. */
static void workers_release_in_the_order_given_while_the_directory_grows(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    AUTO_BUF slow = {0};
    AUTO_BUF quick = {0};
    make_submit(&good_submission, &slow);
    getfeed_encode(&(struct getfeed){.max = 5}, &quick);
    struct snapshot *snapshot = snapshot_new(fresh_directory());
    assert_non_null(snapshot);
    struct workers *workers = workers_start(3);
    assert_non_null(workers);
    uint64_t put = 0, taken = 0;
    for (size_t leaf = 0; leaf < setting.world.count; leaf++) {
        AUTO_BUF item = {0};
        cbor_put_bytes(&item, buf_bytes(&setting.world.leaves[leaf]));
        assert_ok(snapshot_grow(&snapshot, &(struct grown){.from = leaf, .leaves = list_of(&item, 1)}));
        if (!directory_device(snapshot->directory, pair_of(DEVICE).public)) continue;
        for (unsigned i = 0; i < 30; i++, put++) {
            struct work *work =
                work_of(snapshot, put, put % 3 ? MESSAGE_GETFEED : MESSAGE_SUBMIT, put % 3 ? &quick : &slow);
            assert_ok(workers_put(workers, &work));
            assert_null(work);
        }
    }
    assert_true(put > 100);
    for (; taken < put; taken++) {
        struct work *work = wait_for_work(workers);
        assert_int_equal(work->number, taken);
        if (taken % 3) assert_error(work->error, E_OK);
        work_free(&work);
    }
    assert_null(workers_take(workers));
    assert_int_equal(atomic_load(&snapshot->holders), 1);
    workers_stop(&workers);
    snapshot_drop(&snapshot);
}

static void full_queue_refuses_the_new_and_keeps_the_old(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    AUTO_BUF quick = {0};
    getfeed_encode(&(struct getfeed){.max = 5}, &quick);
    struct snapshot *snapshot = snapshot_new(directory_copy(setting.world.directory));
    struct workers *workers = workers_start(1);
    enum error error = E_OK;
    size_t put = 0;
    for (; error == E_OK && put <= WORKERS_QUEUE_MAX; put++) {
        struct work *work = work_of(snapshot, put, MESSAGE_GETFEED, &quick);
        error = workers_put(workers, &work);
        assert_true((work == NULL) == (error == E_OK));
        work_free(&work);
    }
    assert_error(error, E_BUSY);
    assert_int_equal(put, WORKERS_QUEUE_MAX + 1);
    struct work *work = wait_for_work(workers);
    assert_int_equal(work->number, 0);
    work_free(&work);
    work = work_of(snapshot, put, MESSAGE_GETFEED, &quick);
    assert_ok(workers_put(workers, &work));
    workers_stop(&workers); /* with work left in it */
    assert_int_equal(atomic_load(&snapshot->holders), 1);
    snapshot_drop(&snapshot);
}

static void snapshot_lists_a_posts_devices_and_refuses_gaps(void **state) {
    (void)state;
    AUTO_SETTING setting = {.world = world_new()};
    struct snapshot *snapshot = snapshot_new(directory_copy(setting.world.directory));
    struct snapshot *held = snapshot_hold(snapshot);
    const struct directory_device *const *devices;
    assert_int_equal(snapshot_post(snapshot, bytes_text("de/technical"), &devices), 3);
    for (size_t i = 0; i < 3; i++) assert_string_equal(devices[i]->post->name, "de/technical");
    assert_int_equal(snapshot_post(snapshot, bytes_text("fj/national"), &devices), 2);
    assert_int_equal(snapshot_post(snapshot, bytes_text("fj/none"), &devices), 0);
    struct grown gap = {.from = setting.world.count + 1};
    assert_error(snapshot_grow(&snapshot, &gap), E_MISMATCH);

    size_t before = setting.world.count;
    world_device(&setting.world, "fj/national", OTHER_AUTHORITY, OTHER_POST_KEY, DEVICE + 12, ROLE_BELL);
    AUTO_BUF items = {0};
    for (size_t i = before - 1; i < setting.world.count; i++) /* one that it has already */
        cbor_put_bytes(&items, buf_bytes(&setting.world.leaves[i]));
    struct grown grown = {.from = before - 1, .leaves = list_of(&items, setting.world.count - before + 1)};
    assert_ok(snapshot_grow(&snapshot, &grown));
    assert_int_equal(snapshot_post(snapshot, bytes_text("fj/national"), &devices), 3);
    assert_ptr_not_equal(snapshot, held); /* who holds the old one keeps it as it was */
    assert_int_equal(directory_size(held->directory), before);
    assert_int_equal(directory_size(snapshot->directory), setting.world.count);
    snapshot_drop(&held);
    snapshot_drop(&snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submission_of_the_device_for_its_post_is_good),
        cmocka_unit_test(header_of_another_device_or_post_is_refused),
        cmocka_unit_test(header_that_promises_too_little_is_refused),
        cmocka_unit_test(opening_that_does_not_decode_is_refused_by_its_index),
        cmocka_unit_test(wrapset_of_another_post_request_key_or_label_is_refused),
        cmocka_unit_test(wrapset_of_a_revoked_sister_is_refused),
        cmocka_unit_test(submission_is_refused_with_every_byte_changed_or_missing),
        cmocka_unit_test(second_wrapset_is_checked_though_the_signature_was_seen),
        cmocka_unit_test(statement_of_the_device_itself_is_good_and_of_any_other_is_not),
        cmocka_unit_test(wrapset_beside_a_statement_is_held_to_the_same_rules),
        cmocka_unit_test(statements_under_one_signature_are_each_checked),
        cmocka_unit_test(prekey_is_the_devices_own_and_signed_by_it),
        cmocka_unit_test(guest_is_no_member_here_either),
        cmocka_unit_test(every_message_of_a_client_is_decoded_and_the_field_at_fault_named),
        cmocka_unit_test(workers_release_in_the_order_given_while_the_directory_grows),
        cmocka_unit_test(full_queue_refuses_the_new_and_keeps_the_old),
        cmocka_unit_test(snapshot_lists_a_posts_devices_and_refuses_gaps),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
