/* test_bundle.c - bundles of all kinds of ends verify and tell what happened; whatever is bent in one is refused, and
 * named. */
#include "bundle_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disclosed.h"
#include "starve.h"

static const char *const fiji[] = {"fj/national"};

static struct bundle_where where;

static enum error verify_bundle(const struct bundle *bundle, const struct card *card, struct bundle_report *ret) {
    AUTO_BUF file = {0};
    bundle_file(bundle, &file);
    enum error error = bundle_verify(buf_bytes(&file), card, ret, &where);
    if (error == E_OK) assert_string_equal(where.text, "");
    return error;
}

/* The facts are read, the views into the file are not. */
static enum error verify_story(struct story *story) {
    AUTO_BUNDLE_REPORT report = {0};
    return verify_bundle(&story->bundle, NULL, &report);
}

#define assert_refused(story, error, place)                                                                            \
    do {                                                                                                               \
        assert_error(verify_story(story), error);                                                                      \
        assert_string_equal(where.text, place);                                                                        \
    } while (0)

static void answered_story(struct story *story, bool with_evidence, unsigned opened) {
    story_begin(story, STORY_REQUEST, fiji, 1);
    story_of_an_answer(story, 0);
    story_bundle(story, with_evidence, opened);
}

/* ---- what it tells ---- */

static void bundle_tells_who_said_what_when_and_where_in_the_log(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUNDLE_REPORT report = {0};
    AUTO_BUF file = {0};
    answered_story(&story, true, 0);
    assert_ok(bundle_make(&story.bundle, &file, &where));
    assert_ok(bundle_verify(buf_bytes(&file), NULL, &report, &where));
    assert_memory_equal(report.digest, story.digest, HASH_SIZE);
    assert_true(bytes_are(report.header.from, "de/technical"));
    assert_int_equal(report.leg_count, 1);
    const struct bundle_leg_report *leg = &report.legs[0];
    assert_true(bytes_are(leg->to, "fj/national") && bytes_are(leg->with, "fj/national"));
    assert_int_equal(leg->state, STATE_ACKNOWLEDGED);
    assert_int_equal(leg->sequence, 7);
    assert_int_equal(leg->rung_count, 6);
    assert_int_equal(leg->note_count, 1);
    static const enum leg_event events[] = {EVENT_STORED,      EVENT_NOTIFIED,     EVENT_ACCEPTED,
                                            EVENT_HANDED_OVER, EVENT_ACKNOWLEDGED, EVENT_CONSENTED};
    for (size_t i = 0; i < leg->rung_count; i++) {
        const struct bundle_rung *rung = &leg->rungs[i];
        assert_int_equal(rung->event, events[i]);
        assert_int_equal(rung->ordinal, i);
        assert_int_equal(rung->index, 3 + 2 * i);
        assert_int_equal(rung->head_size, 5 + 2 * i);
        assert_int_equal(rung->time.ms, WORLD_TIME + DAY_MS + 1000 * (i + 1));
        assert_int_equal(rung->device_time.ms, rung->time.ms - 3000);
        assert_int_equal(rung->by_relay, i == 0);
        assert_int_equal(rung->officer, i == 2);
        assert_int_equal(rung->directory_size, story.world.count);
    }
    assert_memory_equal(leg->rungs[1].device, pair_of(READER).public, KEY_SIZE);
    assert_memory_equal(leg->rungs[2].device, pair_of(DECIDER).public, KEY_SIZE);
    assert_int_equal(leg->notes[0].event, EVENT_DECLINED);
    assert_false(leg->notes[0].has_entry);
    assert_ptr_equal(leg->consent[BUNDLE_RECIPIENT], &leg->rungs[2]);
    assert_ptr_equal(leg->consent[BUNDLE_SENDER], &leg->rungs[5]);
    assert_int_equal(report.witnesses, 2);
    assert_int_equal(report.directory.size, story.world.count);
    assert_int_equal(report.leaf_count, story.world.count);
    assert_true(report.has_evidence);
    assert_int_equal(report.step_count, 6);
    assert_int_equal(report.evidence.size, story.log_size);
    static const enum bundle_gap stand[] = {GAP_CARD,   GAP_LATER, GAP_RECIPIENTS, GAP_DIRECTORY, GAP_SAME_FOR_ALL,
                                            GAP_HOLDER, GAP_READ,  GAP_CLOCK,      GAP_AGREEMENT, GAP_OFFER,
                                            GAP_BODY,   GAP_MARK,  GAP_RECEIPTS};
    static const enum bundle_gap closed[] = {GAP_WITNESSES, GAP_ONE_LOG, GAP_SILENCE, GAP_CONSENT};
    for (size_t i = 0; i < LENGTH(stand); i++) assert_true(report.gaps[stand[i]]);
    for (size_t i = 0; i < LENGTH(closed); i++) assert_false(report.gaps[closed[i]]);
}

static void card_from_outside_closes_a_gap_and_must_have_the_same_keys(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    answered_story(&story, true, 0);
    struct card moved = story.card;
    (void)snprintf(moved.addresses[0], sizeof moved.addresses[0], "tcp://192.0.2.7:443");
    transport_of(LOG_KEY + 5, moved.curve);
    moved.witnesses[0] = moved.witnesses[1];
    moved.witness_count = 1;
    {
        AUTO_BUNDLE_REPORT report = {0};
        assert_ok(verify_bundle(&story.bundle, &moved, &report));
        assert_true(report.card_given);
        assert_false(report.gaps[GAP_CARD]);
        assert_int_equal(report.witnesses, 1); /* the other is nobody's whom this card names */
    }
    uint8_t *const keys[] = {moved.log, moved.statement, moved.registrars[0]};
    for (size_t i = 0; i < LENGTH(keys); i++) {
        AUTO_BUNDLE_REPORT report = {0};
        uint8_t right[KEY_SIZE];
        memcpy(right, keys[i], KEY_SIZE);
        memcpy(keys[i], pair_of(STRANGER).public, KEY_SIZE);
        assert_error(verify_bundle(&story.bundle, &moved, &report), E_WRONG_FINGERPRINT);
        assert_string_equal(where.text, "card");
        memcpy(keys[i], right, KEY_SIZE);
    }
    AUTO_BUNDLE_REPORT report = {0};
    moved.name[0] = 'q';
    assert_error(verify_bundle(&story.bundle, &moved, &report), E_WRONG_FINGERPRINT);
    moved.name[0] = 'r';
    moved.registrar_count = 2;
    memcpy(moved.registrars[1], pair_of(STRANGER).public, KEY_SIZE);
    assert_error(verify_bundle(&story.bundle, &moved, &report), E_WRONG_FINGERPRINT);
    moved.registrar_count = 1;
    moved.threshold = 2;
    assert_error(verify_bundle(&story.bundle, &moved, &report), E_WRONG_FINGERPRINT);
}

static void opened_part_is_the_one_that_the_header_names(void **state) {
    (void)state;
    for (unsigned part = PART_OFFER; part <= PART_BODY; part++) {
        AUTO_STORY story = {0};
        AUTO_BUNDLE_REPORT report = {0};
        AUTO_DISCLOSED disclosed = {0};
        AUTO_BUF file = {0};
        struct file one;
        struct bytes text;
        answered_story(&story, false, part);
        assert_ok(bundle_make(&story.bundle, &file, &where));
        assert_ok(bundle_verify(buf_bytes(&file), NULL, &report, &where));
        assert_true(report.has_opened);
        assert_int_equal(report.opened, part);
        assert_int_equal(report.gaps[GAP_OFFER], part != PART_OFFER);
        assert_int_equal(report.gaps[GAP_MARK], part != PART_OFFER);
        assert_int_equal(report.gaps[GAP_BODY], part != PART_BODY);
        assert_true(report.gaps[GAP_ONE_LOG]);
        assert_ok(disclosed_open(&report, &disclosed));
        if (part == PART_OFFER) {
            assert_true(bytes_are(disclosed.offer.subject, "Access to <berth> & \"9\""));
            assert_int_equal(disclosed.offer.disclosure, 1);
            assert_false(disclosed_file(&disclosed, 0, &one, &text));
        } else {
            assert_true(disclosed_file(&disclosed, 0, &one, &text));
            assert_false(one.has_name);
            assert_true(bytes_are(text, "Please confirm by noon."));
            assert_false(disclosed_file(&disclosed, 1, &one, &text));
        }
    }
}

static void opened_part_with_another_key_or_other_chunks_is_refused(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    answered_story(&story, false, PART_OFFER);
    struct bundlepart *opened = &story.bundle.opened, right = *opened;
    opened->key[9] ^= 4;
    assert_refused(&story, E_BAD_COMMITMENT, "opened part, key");
    *opened = right;
    opened->part = PART_BODY;
    assert_refused(&story, E_BAD_COMMITMENT, "opened part, key");
    *opened = right;
    opened->chunks = (struct list){0};
    assert_refused(&story, E_BAD_DIGEST, "opened part, chunks");
    *opened = right;
    story.chunks[0].p[40] ^= 1;
    assert_refused(&story, E_BAD_DIGEST, "opened part, chunks");
}

static void offer_only_request_has_no_body_to_open(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    story_begin(&story, STORY_OFFER_ONLY, fiji, 1);
    story_say(&story, 0, &STORED_BY_RELAY);
    story_bundle(&story, false, PART_OFFER);
    assert_ok(verify_story(&story));
    story.bundle.opened.part = PART_BODY;
    assert_refused(&story, E_NO_BODY, "opened part");
}

/* ---- all kinds of ends ---- */

static void end_of(struct story *story, enum leg_state wanted, struct bundle_report *ret) {
    static struct buf file;
    buf_free(&file);
    story_bundle(story, true, 0);
    assert_ok(bundle_make(&story->bundle, &file, &where));
    assert_ok(bundle_verify(buf_bytes(&file), NULL, ret, &where));
    assert_int_equal(ret->legs[0].state, wanted);
    bool terminal = leg_state_row((uint64_t)wanted)->terminal;
    assert_int_equal(ret->gaps[GAP_LATER], !terminal);
    story_free(story);
    *story = (struct story){0};
}

static void every_kind_of_end_is_told(void **state) {
    (void)state;
    struct story story = {0};
    struct bundle_report report = {0};
    const struct telling stored = STORED_BY_RELAY,
                         notified = SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national");

    story_begin(&story, STORY_REQUEST, fiji, 1);
    story_say(&story, 0, &stored);
    story_say(&story, 0, &notified);
    struct telling declined = SAID_BY(EVENT_DECLINED, STATE_DECLINED, DECIDER, "fj/national");
    declined.has_reason = true;
    declined.reason = 2;
    story_say(&story, 0, &declined);
    end_of(&story, STATE_DECLINED, &report);
    assert_true(report.legs[0].rungs[2].has_reason && report.legs[0].rungs[2].reason == 2);
    assert_false(report.gaps[GAP_SILENCE] || report.gaps[GAP_AGREEMENT]);
    assert_true(report.gaps[GAP_CONSENT]);
    bundle_report_free(&report);

    story_begin(&story, STORY_REQUEST, fiji, 1);
    story_say(&story, 0, &stored);
    struct telling expired = {.event = EVENT_EXPIRED, .to = STATE_EXPIRED, .has_reason = true, .reason = STATE_STORED};
    story_say(&story, 0, &expired);
    end_of(&story, STATE_EXPIRED, &report);
    assert_true(report.gaps[GAP_SILENCE]);
    bundle_report_free(&report);

    story_begin(&story, STORY_REQUEST, fiji, 1);
    story_say(&story, 0, &stored);
    story_say(&story, 0, &SAID_BY(EVENT_WITHDRAWN, STATE_WITHDRAWN, SENDER_DEVICE, "de/technical"));
    end_of(&story, STATE_WITHDRAWN, &report);
    bundle_report_free(&report);

    story_begin(&story, STORY_OFFER_ONLY, fiji, 1);
    story_say(&story, 0, &stored);
    story_say(&story, 0, &SAID_BY(EVENT_ACCEPTED, STATE_ACCEPTED, DECIDER, "fj/national"));
    story_say(&story, 0, &SAID_BY(EVENT_ACKNOWLEDGED, STATE_ACKNOWLEDGED, READER, "fj/national"));
    story_say(&story, 0, &SAID_BY(EVENT_CLOSED, STATE_CLOSED, DECIDER, "fj/national"));
    end_of(&story, STATE_CLOSED, &report);
    assert_true(report.gaps[GAP_AGREEMENT]);
    assert_false(report.gaps[GAP_BODY]);
    bundle_report_free(&report);

    story_begin(&story, STORY_REPLY, fiji, 1);
    story_say(&story, 0, &stored);
    story_say(&story, 0, &SAID_BY(EVENT_HANDED_OVER, STATE_HANDED_OVER, READER, "fj/national"));
    end_of(&story, STATE_HANDED_OVER, &report);
    assert_int_equal(report.kind, LEG_REPLY);
    assert_false(report.gaps[GAP_RECIPIENTS] || report.gaps[GAP_CONSENT] || report.gaps[GAP_OFFER]);
    bundle_report_free(&report);

    story_begin(&story, STORY_REQUEST, fiji, 1);
    end_of(&story, STATE_NONE, &report); /* never stored, as far as is shown */
    assert_int_equal(report.legs[0].rung_count, 0);
    bundle_report_free(&report);
}

/* fj has a second post by now. */
static void second_post(struct story *story) {
    world_post(&story->world, "fj/legal", OTHER_AUTHORITY, OTHER_POST_KEY + 30);
    world_device(&story->world, "fj/legal", OTHER_AUTHORITY, OTHER_POST_KEY + 30, DEVICE + 30, ROLE_DECIDER);
}

static void forwarded_and_resealed_leg_is_followed_to_where_it_is(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUNDLE_REPORT report = {0};
    AUTO_BUF file = {0};
    story_begin(&story, STORY_REQUEST, fiji, 1);
    second_post(&story);
    story_say(&story, 0, &STORED_BY_RELAY);
    story_say(&story, 0,
              &((struct telling){
                  .event = EVENT_REKEY_NEEDED, .to = STATE_STORED, .has_reason = true, .reason = E_NOT_FOR_US}));
    struct telling resealed = SAID_BY(EVENT_RESEALED, STATE_STORED, SENDER_DEVICE, "de/technical");
    resealed.generation = 2;
    story_say(&story, 0, &resealed);
    story_say(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    struct telling forwarded = SAID_BY(EVENT_FORWARDED, STATE_FORWARDED, DECIDER, "fj/national");
    forwarded.generation = 3;
    forwarded.forward = "fj/legal";
    story_say(&story, 0, &forwarded);
    story_say(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, DEVICE + 30, "fj/legal"));
    struct telling again = SAID_BY(EVENT_RESEALED, STATE_NOTIFIED, READER, "fj/national");
    again.generation = 4;
    story_say(&story, 0, &again);
    struct telling accepted = SAID_BY(EVENT_ACCEPTED, STATE_ACCEPTED, DEVICE + 30, "fj/legal");
    accepted.disclosure = true;
    story_say(&story, 0, &accepted);
    struct telling late = SAID_BY(EVENT_ACCEPTED, STATE_NONE, DECIDER, "fj/national");
    late.note = true;
    story_say(&story, 0, &late);
    story_bundle(&story, true, 0);
    assert_ok(bundle_make(&story.bundle, &file, &where));
    assert_ok(bundle_verify(buf_bytes(&file), &story.card, &report, &where));
    const struct bundle_leg_report *leg = &report.legs[0];
    assert_true(bytes_are(leg->to, "fj/national") && bytes_are(leg->with, "fj/legal"));
    assert_true(bytes_are(leg->rungs[4].forward, "fj/legal"));
    assert_int_equal(leg->state, STATE_ACCEPTED);
    assert_ptr_equal(leg->consent[BUNDLE_RECIPIENT], &leg->rungs[7]);
    assert_null(leg->consent[BUNDLE_SENDER]);
}

static void forwarding_out_of_the_party_or_by_who_has_it_no_longer_is_refused(void **state) {
    (void)state;
    struct telling forwarded = SAID_BY(EVENT_FORWARDED, STATE_FORWARDED, DECIDER, "fj/national");
    forwarded.generation = 2;
    static const struct {
        const char *forward;
        uint64_t generation;
        enum error error;
    } cases[] = {{"de/technical", 2, E_BAD_PROOF}, {"fj/national", 2, E_BAD_PROOF}, {"fj/legal", 3, E_BAD_PROOF}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        AUTO_STORY story = {0};
        story_begin(&story, STORY_REQUEST, fiji, 1);
        second_post(&story);
        story_say(&story, 0, &STORED_BY_RELAY);
        story_say(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
        forwarded.forward = cases[i].forward;
        forwarded.generation = cases[i].generation;
        story_say(&story, 0, &forwarded);
        story_bundle(&story, true, 0);
        assert_refused(&story, cases[i].error, "leg 1, receipt 3");
    }
    AUTO_STORY story = {0};
    story_begin(&story, STORY_REQUEST, fiji, 1);
    second_post(&story);
    story_say(&story, 0, &STORED_BY_RELAY);
    story_say(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    forwarded.forward = "fj/legal";
    forwarded.generation = 2;
    story_say(&story, 0, &forwarded);
    story_say(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    story_bundle(&story, true, 0);
    assert_refused(&story, E_NOT_ALLOWED, "leg 1, receipt 4");
}

static void several_recipients_stand_in_the_order_of_their_places(void **state) {
    (void)state;
    static const char *const to[] = {"fj/national", "de/technical", "fj/national"};
    AUTO_STORY story = {0};
    story_begin(&story, STORY_REQUEST, to, 3);
    for (size_t i = 0; i < 3; i++) story_say(&story, i, &STORED_BY_RELAY);
    story_of_an_answer(&story, 2);
    story_free(&story);
    story = (struct story){0};
    story_begin(&story, STORY_REQUEST, to, 3);
    for (size_t i = 0; i < 2; i++) story_say(&story, i, &STORED_BY_RELAY);
    story_of_an_answer(&story, 2);
    story_bundle(&story, true, 0);
    assert_ok(verify_story(&story));
    /* The maker may show fewer, and not in another order. */
    struct list all = story.bundle.legs, rest = all;
    struct bundleleg leg[3];
    for (size_t i = 0; i < 3; i++) assert_true(bundleleg_next(&rest, &leg[i]));
    AUTO_BUF some = {0}, turned = {0};
    bundleleg_encode(&leg[0], &some);
    bundleleg_encode(&leg[2], &some);
    bundleleg_encode(&leg[2], &turned);
    bundleleg_encode(&leg[0], &turned);
    story.bundle.legs = list_of(&some, 2);
    assert_refused(&story, E_MISMATCH, "steps"); /* one head is nobody's now */
    story.bundle.legs = list_of(&turned, 2);
    assert_refused(&story, E_NON_CANONICAL, "leg 2");
    story.bundle.has_evidence = false;
    story.bundle.steps = (struct list){0};
    story.bundle.legs = list_of(&some, 2);
    assert_ok(verify_story(&story));
    story.bundle.legs = (struct list){0};
    assert_refused(&story, E_MISSING_FIELD, "legs");
}

/* ---- what is bent ---- */

static void bend_time(struct bent *bent) { bent->entry->time.ms -= 60000, bent->record->time.ms -= 60000; }
static void bend_ordinal(struct bent *bent) { bent->entry->ordinal++; }
static void bend_previous(struct bent *bent) { bent->entry->previous[3] ^= 1; }
static void bend_from(struct bent *bent) { bent->entry->from = STATE_OPENED; }
static void bend_size(struct bent *bent) { bent->entry->size = 1000; }
static void bend_checkpoint(struct bent *bent) { bent->receipt->has_checkpoint = false; }
static void bend_proof(struct bent *bent) { bent->receipt->has_proof = false; }
static void bend_index(struct bent *bent) { bent->record->index = 1; }

static void receipts_that_are_bent_are_named(void **state) {
    (void)state;
    static const struct {
        void (*bend)(struct bent *bent);
        enum error error;
        const char *place;
    } cases[] = {{bend_time, E_OUT_OF_RANGE, "leg 1, receipt 2"},
                 {bend_ordinal, E_BAD_PROOF, "leg 1, receipt 2"},
                 {bend_previous, E_BAD_PROOF, "leg 1, receipt 2"},
                 {bend_from, E_WRONG_STATE, "leg 1, receipt 2"},
                 {bend_size, E_BAD_PROOF, "leg 1, receipt 2"},
                 {bend_checkpoint, E_MISSING_FIELD, "leg 1, receipt 2, checkpoint"},
                 {bend_proof, E_MISSING_FIELD, "leg 1, receipt 2, proof"},
                 {bend_index, E_BAD_PROOF, "leg 1, receipt 2, proof"}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        AUTO_STORY story = {0};
        story_begin(&story, STORY_REQUEST, fiji, 1);
        story_say(&story, 0, &STORED_BY_RELAY);
        story_say_bent(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"), cases[i].bend);
        story_bundle(&story, false, 0);
        assert_refused(&story, cases[i].error, cases[i].place);
    }
}

static void who_may_not_say_it_is_refused(void **state) {
    (void)state;
    const struct {
        struct telling said;
        enum error error;
    } cases[] = {{SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, SENDER_DEVICE, "de/technical"), E_NOT_ALLOWED},
                 {SAID_BY(EVENT_ACCEPTED, STATE_ACCEPTED, READER, "fj/national"), E_NOT_ALLOWED}, /* decides nothing */
                 {SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, STRANGER, "fj/national"), E_UNKNOWN_DEVICE},
                 {SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "de/technical"), E_NOT_ALLOWED},
                 {SAID_BY(EVENT_WITHDRAWN, STATE_WITHDRAWN, DECIDER, "fj/national"), E_NOT_ALLOWED},
                 {SAID_BY(EVENT_EXPIRED, STATE_EXPIRED, STRANGER, NULL), E_NOT_ALLOWED}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        AUTO_STORY story = {0};
        story_begin(&story, STORY_REQUEST, fiji, 1);
        story_say(&story, 0, &STORED_BY_RELAY);
        story_say(&story, 0, &cases[i].said);
        story_bundle(&story, false, 0);
        assert_refused(&story, cases[i].error, "leg 1, receipt 2");
    }
}

static void key_that_was_revoked_or_not_vouched_for_proves_nothing(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    struct revocation revocation = revocation_of("fj/national", READER, OTHER_AUTHORITY);
    story_begin(&story, STORY_REQUEST, fiji, 1);
    story_say(&story, 0, &STORED_BY_RELAY);
    assert_ok(say_revocation(&story.world, &revocation, OTHER_AUTHORITY));
    story_say(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    story_bundle(&story, true, 0);
    assert_refused(&story, E_REVOKED, "leg 1, receipt 2");

    AUTO_STORY before = {0};
    story_begin(&before, STORY_REQUEST, fiji, 1);
    story_say(&before, 0, &STORED_BY_RELAY);
    story_say(&before, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    assert_ok(say_revocation(&before.world, &revocation, OTHER_AUTHORITY));
    story_bundle(&before, true, 0);
    assert_ok(verify_story(&before)); /* what was signed before stays good */

    AUTO_STORY sender = {0};
    story_begin_by(&sender, DEVICE + 40, STORY_REQUEST, fiji, 1);
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 40, ROLE_DECIDER);
    assert_ok(say_device(&sender.world, &device, POST_KEY));
    story_say(&sender, 0, &STORED_BY_RELAY);
    story_bundle(&sender, true, 0);
    assert_refused(&sender, E_NOT_COUNTERSIGNED, "leg 1, receipt 1");
}

static void sender_unknown_or_of_another_post_is_refused(void **state) {
    (void)state;
    AUTO_STORY unknown = {0}, foreign = {0}, bell = {0};
    story_begin_by(&unknown, STRANGER, STORY_REQUEST, fiji, 1);
    story_bundle(&unknown, false, 0);
    assert_refused(&unknown, E_UNKNOWN_DEVICE, "header, sender");
    story_begin_by(&foreign, DECIDER, STORY_REQUEST, fiji, 1);
    story_bundle(&foreign, false, 0);
    assert_refused(&foreign, E_MISMATCH, "header, sender");
    story_begin_by(&bell, DEVICE + 2, STORY_REQUEST, fiji, 1);
    story_say(&bell, 0, &STORED_BY_RELAY);
    story_bundle(&bell, false, 0);
    assert_refused(&bell, E_NOT_ALLOWED, "leg 1, receipt 1");
}

static void notes_are_sorted_and_only_of_who_had_the_leg(void **state) {
    (void)state;
    struct telling note = SAID_BY(EVENT_NOTIFIED, STATE_NONE, READER, "fj/national");
    note.note = true;
    AUTO_STORY story = {0};
    story_begin(&story, STORY_REQUEST, fiji, 1);
    for (size_t i = 0; i < 4; i++) story_say(&story, 0, &note);
    story_bundle(&story, false, 0);
    assert_refused(&story, E_NON_CANONICAL, where.text);
    assert_non_null(strstr(where.text, "leg 1, note "));

    static const struct {
        struct telling said;
        enum error error;
    } cases[] = {
        {{.event = EVENT_CANNOT_OPEN, .speaker = DEVICE + 30, .post = "fj/legal", .note = true}, E_NOT_ALLOWED},
        {{.event = EVENT_EXPIRED, .note = true}, E_NOT_ALLOWED},
        {{.event = EVENT_REFUSED, .note = true, .has_reason = true, .reason = E_UNKNOWN_POST}, E_OK},
        {{.event = EVENT_WITHDRAWN, .speaker = SENDER_DEVICE, .post = "de/technical", .note = true}, E_OK}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        AUTO_STORY one = {0};
        story_begin(&one, STORY_REQUEST, fiji, 1);
        second_post(&one);
        story_say(&one, 0, &cases[i].said);
        story_bundle(&one, false, 0);
        assert_error(verify_story(&one), cases[i].error);
        if (cases[i].error != E_OK) assert_string_equal(where.text, "leg 1, note 1");
    }
}

static void directory_entries_need_their_place_and_a_party_concerned(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    answered_story(&story, true, 0);
    struct list list = story.bundle.leaves;
    struct bundleleaf leaf[64];
    size_t count = 0;
    while (bundleleaf_next(&list, &leaf[count])) count++;
    static const struct {
        size_t skip, twice;
        enum error error;
        const char *place;
    } cases[] = {{0, 99, E_NOT_ADMITTED, "directory entry 1"},
                 {1, 99, E_NOT_ADMITTED, "directory entry 2"},
                 {99, 4, E_NON_CANONICAL, "directory entry 4"},
                 {3, 99, E_UNKNOWN_DEVICE, "directory entry 4"}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        AUTO_BUF some = {0};
        size_t kept = 0;
        for (size_t k = 0; k < count; k++)
            for (size_t n = k == cases[i].skip ? 0 : k == cases[i].twice ? 2 : 1; n > 0; n--, kept++)
                bundleleaf_encode(&leaf[k], &some);
        story.bundle.leaves = list_of(&some, kept);
        enum error error = verify_story(&story);
        if (i == 0)
            assert_int_equal(error, E_UNKNOWN_PARTY);
        else
            assert_error(error, cases[i].error);
        assert_string_equal(where.text, cases[i].place);
    }
    AUTO_BUF moved = {0};
    leaf[2].index = 99;
    for (size_t k = 0; k < 3; k++) bundleleaf_encode(&leaf[k], &moved);
    story.bundle.leaves = list_of(&moved, 3);
    assert_refused(&story, E_BAD_PROOF, "directory entry 99, proof");
}

static void directory_entry_about_a_third_party_is_refused(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    story_begin(&story, STORY_REQUEST, fiji, 1);
    world_party(&story.world, "nz", STRANGER);
    story_say(&story, 0, &STORED_BY_RELAY);
    story_bundle(&story, true, 0);
    assert_refused(&story, E_MISMATCH, "directory entry 16");
}

static void gaps_in_the_directory_of_others_are_no_matter(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUNDLE_REPORT report = {0};
    AUTO_BUF some = {0};
    size_t kept = 0;
    story_begin(&story, STORY_REQUEST, fiji, 1);
    world_party(&story.world, "nz", STRANGER);
    second_post(&story);
    story_say(&story, 0, &STORED_BY_RELAY);
    story_bundle(&story, true, 0);
    struct list list = story.bundle.leaves;
    struct bundleleaf leaf;
    while (bundleleaf_next(&list, &leaf)) {
        if (leaf.index == 16 || leaf.index == 17) continue;
        bundleleaf_encode(&leaf, &some);
        kept++;
    }
    story.bundle.leaves = list_of(&some, kept);
    assert_ok(verify_bundle(&story.bundle, NULL, &report));
    assert_int_equal(directory_size(report.entries), story.world.count);
    const struct directory_device *device = directory_device(report.entries, pair_of(DEVICE + 30).public);
    assert_non_null(device);
    assert_int_equal(device->countersigned_size, story.world.count); /* as in the whole one */
}

static void heads_bear_no_line_that_nobody_checks(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUF more = {0}, twice = {0}, turned = {0}, text = {0};
    struct note note;
    struct note_key stranger;
    answered_story(&story, true, 0);
    struct bytes right = story.bundle.directory;
    assert_ok(note_parse(right, &note));
    assert_ok(note_key_make(bytes_text("three.example"), NOTE_COSIGNATURE, pair_of(STRANGER).public, &stranger));
    buf_add_bytes(&more, right);
    note_sign(note.text, &stranger, pair_of(STRANGER).secret, 5, &more);
    story.bundle.directory = buf_bytes(&more);
    assert_refused(&story, E_MALFORMED, "directory head");
    buf_add_bytes(&twice, right);
    note_sign(note.text, &story.card.witnesses[1], pair_of(WITNESS_TWO).secret, 5, &twice);
    story.bundle.directory = buf_bytes(&twice);
    assert_refused(&story, E_MALFORMED, "directory head");
    struct note_line first = note.lines[0];
    note.lines[0] = note.lines[1];
    note.lines[1] = first;
    note_format(&note, &turned);
    story.bundle.directory = buf_bytes(&turned);
    assert_refused(&story, E_MALFORMED, "directory head");
    story.bundle.directory = story.bundle.evidence;
    assert_int_not_equal(verify_story(&story), E_OK);
    assert_string_equal(where.text, "directory head");
}

static void steps_are_all_there_or_none(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    answered_story(&story, true, 0);
    struct bundle right = story.bundle;
    story.bundle.has_evidence = false;
    assert_refused(&story, E_UNKNOWN_FIELD, "steps");
    story.bundle.steps = (struct list){0};
    assert_ok(verify_story(&story));
    story.bundle = right;
    story.bundle.steps = (struct list){0};
    assert_refused(&story, E_MISMATCH, "steps");
    story.bundle = right;
    /* A head of before the last receipt. */
    AUTO_BUF early = {0}, forked = {0};
    evidence_head(&story, 6, &early);
    story.bundle.evidence = buf_bytes(&early);
    assert_refused(&story, E_BAD_PROOF, "evidence head");
    /* A log that has another past. */
    story.log[HASH_SIZE * 4] ^= 1;
    evidence_head(&story, story.log_size, &forked);
    story.bundle.evidence = buf_bytes(&forked);
    assert_refused(&story, E_BAD_PROOF, "step 6");
    AUTO_BUF same = {0};
    evidence_head(&story, (size_t)story.head_sizes[5], &same);
    story.bundle.evidence = buf_bytes(&same);
    assert_refused(&story, E_EVIDENCE_FORKED, "step 6");
}

static void two_heads_of_one_size_with_other_roots_are_a_fork(void **state) {
    (void)state;
    static const char *const to[] = {"fj/national", "fj/national"};
    AUTO_STORY story = {0};
    story_begin(&story, STORY_REQUEST, to, 2);
    story_say(&story, 0, &STORED_BY_RELAY);
    story.log_size = 3; /* as if it had not been said */
    story_say(&story, 1, &STORED_BY_RELAY);
    story_bundle(&story, false, 0);
    assert_refused(&story, E_EVIDENCE_FORKED, "heads of receipts");
}

static void story_over_a_loss(struct story *story, bool with_evidence) {
    story_begin(story, STORY_REQUEST, fiji, 1);
    story_say(story, 0, &STORED_BY_RELAY);
    struct telling note = SAID_BY(EVENT_NOTIFIED, STATE_NONE, READER, "fj/national");
    story_say(story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    story_recovers(story, LOG_KEY + 20, STATEMENT_KEY + 20);
    story_say(story, 0, &SAID_BY(EVENT_DECLINED, STATE_DECLINED, DECIDER, "fj/national"));
    note.note = true;
    story_say(story, 0, &note);
    story_bundle(story, with_evidence, 0);
}

static void relay_that_lost_its_store_signs_with_other_keys_since(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    struct card other;
    story_over_a_loss(&story, true);
    const struct card *cards[] = {NULL, &story.card, &story.signing};
    for (size_t i = 0; i < LENGTH(cards); i++) {
        AUTO_BUNDLE_REPORT report = {0};
        assert_ok(verify_bundle(&story.bundle, cards[i], &report));
        assert_int_equal(report.card_given, i > 0);
        assert_int_equal(report.legs[0].state, STATE_DECLINED);
        assert_int_equal(report.witnesses, 2);
    }
    AUTO_BUNDLE_REPORT report = {0};
    other = story.signing;
    memcpy(other.statement, story.card.statement, KEY_SIZE); /* the keys of two times */
    assert_error(verify_bundle(&story.bundle, &other, &report), E_WRONG_FINGERPRINT);
    assert_string_equal(where.text, "card");
}

static void either_card_may_be_the_newer_one_and_a_third_is_none(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUF text = {0}, stranger = {0};
    story_over_a_loss(&story, false);
    card_format(&story.signing, &text);
    story.bundle.card = buf_bytes(&text);
    const struct card *cards[] = {NULL, &story.card, &story.signing};
    for (size_t i = 0; i < LENGTH(cards); i++) {
        AUTO_BUNDLE_REPORT report = {0};
        assert_ok(verify_bundle(&story.bundle, cards[i], &report));
    }
    struct card other = story.card;
    memcpy(other.log, pair_of(STRANGER).public, KEY_SIZE);
    card_format(&other, &stranger);
    story.bundle.card = buf_bytes(&stranger);
    assert_refused(&story, E_MISMATCH, "card");
}

static void keys_of_before_a_loss_sign_nothing_after_it(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    story_begin(&story, STORY_REQUEST, fiji, 1);
    story_say(&story, 0, &STORED_BY_RELAY);
    story_recovers(&story, LOG_KEY + 20, STATEMENT_KEY + 20);
    story.statement_key = STATEMENT_KEY;
    story_say(&story, 0, &SAID_BY(EVENT_NOTIFIED, STATE_NOTIFIED, READER, "fj/national"));
    story_bundle(&story, true, 0);
    assert_refused(&story, E_BAD_SIGNATURE, "leg 1, receipt 2");
}

static void reply_with_two_recipients_is_refused(void **state) {
    (void)state;
    static const char *const to[] = {"fj/national", "fj/national"};
    AUTO_STORY story = {0};
    story_begin(&story, STORY_REPLY, to, 2);
    story_bundle(&story, false, 0);
    assert_refused(&story, E_MALFORMED, "legs");
}

static void card_has_one_form(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    answered_story(&story, true, 0);
    buf_add_bytes(&story.card_text, bytes_text("# a comment\n"));
    story.bundle.card = buf_bytes(&story.card_text);
    assert_refused(&story, E_NON_CANONICAL, "card");
}

/* ---- single bits, and ends ---- */

/* As small as one can be that still has everything: two receipts, a note, an offer that is opened. */
static void small_file(struct story *story, struct buf *out) {
    story_begin(story, STORY_OFFER_ONLY, fiji, 1);
    story_say(story, 0, &STORED_BY_RELAY);
    struct telling accepted = SAID_BY(EVENT_ACCEPTED, STATE_ACCEPTED, DECIDER, "fj/national");
    accepted.disclosure = true;
    story_say(story, 0, &accepted);
    struct telling late = SAID_BY(EVENT_NOTIFIED, STATE_NONE, READER, "fj/national");
    late.note = true;
    story_say(story, 0, &late);
    story_bundle(story, true, PART_OFFER);
    bundle_file(&story->bundle, out);
}

static void every_single_bit_that_changes_is_refused(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUF file = {0};
    small_file(&story, &file);
    for (size_t i = 0; i < 8 * file.n; i++) {
        AUTO_BUNDLE_REPORT report = {0};
        file.p[i / 8] ^= (uint8_t)(1 << i % 8);
        enum error error = bundle_verify(buf_bytes(&file), NULL, &report, &where);
        if (error == E_OK) print_error("bit %zu of %zu\n", i, 8 * file.n);
        assert_int_not_equal(error, E_OK);
        assert_true(where.text[0]);
        file.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUF file = {0}, inner = {0};
    small_file(&story, &file);
    for (size_t n = 0; n < file.n; n++) {
        AUTO_BUNDLE_REPORT report = {0};
        assert_int_not_equal(bundle_verify(bytes_of(file.p, n), NULL, &report, &where), E_OK);
        assert_string_equal(where.text, "file");
    }
    bundle_encode(&story.bundle, &inner);
    for (size_t n = 0; n < inner.n; n++) {
        AUTO_BUNDLE_REPORT report = {0};
        AUTO_BUF cut = {0};
        bundle_seal(bytes_of(inner.p, n), &cut);
        assert_int_not_equal(bundle_verify(buf_bytes(&cut), NULL, &report, &where), E_OK);
        assert_string_equal(where.text, "bundle");
    }
}

static void add(crypto_generichash_state *state, const void *p, size_t n) {
    (void)crypto_generichash_update(state, p, n);
}
static void add_text(crypto_generichash_state *state, struct bytes text) {
    add(state, &text.n, sizeof text.n);
    add(state, text.p, text.n);
}

static void add_rung(crypto_generichash_state *state, const struct bundle_rung *rung) {
    const uint64_t numbers[] = {(uint64_t)rung->event, rung->by_relay,       rung->officer,     rung->disclosure,
                                rung->has_reason,      rung->reason,         rung->generation,  rung->device_time.ms,
                                rung->time.ms,         rung->ordinal,        rung->index,       rung->head_size,
                                rung->head_time.ms,    rung->directory_size, (uint64_t)rung->to};
    add(state, numbers, sizeof numbers);
    add(state, rung->device, KEY_SIZE);
    add(state, rung->hash, HASH_SIZE);
    add(state, rung->statement, HASH_SIZE);
    add_text(state, rung->post);
    add_text(state, rung->forward);
}

/* What is printed of it, in one hash. */
static void hash_facts(const struct bundle_report *report, uint8_t ret[static HASH_SIZE]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    add(&state, report->card_hash, HASH_SIZE);
    add(&state, report->digest, HASH_SIZE);
    add(&state, &report->directory, sizeof report->directory);
    add(&state, &report->evidence, sizeof report->evidence);
    add(&state, report->gaps, sizeof report->gaps);
    add(&state, &report->opened, sizeof report->opened);
    for (size_t i = 0; i < report->leg_count; i++) {
        add(&state, report->legs[i].leg, HASH_SIZE);
        for (size_t k = 0; k < report->legs[i].rung_count; k++) add_rung(&state, &report->legs[i].rungs[k]);
        for (size_t k = 0; k < report->legs[i].note_count; k++) add_rung(&state, &report->legs[i].notes[k]);
    }
    crypto_generichash_final(&state, ret, HASH_SIZE);
}

static void with_its_digest_made_anew_a_changed_bit_is_refused_or_tells_something_else(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUF file = {0}, inner = {0};
    AUTO_BUNDLE_REPORT right = {0};
    uint8_t facts[HASH_SIZE], other[HASH_SIZE];
    size_t accepted = 0;
    small_file(&story, &file);
    bundle_encode(&story.bundle, &inner);
    assert_ok(bundle_verify(buf_bytes(&file), NULL, &right, &where));
    hash_facts(&right, facts);
    for (size_t i = 0; i < inner.n; i++) {
        AUTO_BUNDLE_REPORT report = {0};
        AUTO_BUF bent = {0};
        uint8_t bit = (uint8_t)(1 << i % 8);
        inner.p[i] ^= bit;
        bundle_seal(buf_bytes(&inner), &bent);
        inner.p[i] ^= bit;
        enum error error = bundle_verify(buf_bytes(&bent), NULL, &report, &where);
        if (error != E_OK) {
            assert_true(where.text[0]);
            continue;
        }
        accepted++;
        hash_facts(&report, other);
        if (memcmp(facts, other, HASH_SIZE) == 0) print_error("byte %zu\n", i);
        assert_memory_not_equal(facts, other, HASH_SIZE);
    }
    print_message("%zu of %zu changes tell something else\n", accepted, inner.n);
}

/* ---- hostile files ---- */

/* Verified in a process of its own that may take no more memory than this. */
static void verify_in(struct bytes file, size_t memory) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct bundle_report report = {0};
        struct rlimit limit = {memory, memory};
        if (CAN_STARVE) (void)setrlimit(RLIMIT_DATA, &limit); /* a sanitizer needs more for itself */
        enum error error = bundle_verify(file, NULL, &report, &where);
        _exit(error == E_OK ? 1 : error == E_NO_MEMORY ? 2 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void hostile_counts_take_no_memory(void **state) {
    (void)state;
    enum { MANY = BUNDLE_RECEIPTS_MAX, MEMORY = 64 * 1024 * 1024 };
    AUTO_STORY story = {0};
    AUTO_BUF empty = {0}, legs = {0}, chunks = {0}, file = {0};
    story_begin(&story, STORY_REQUEST, fiji, 1);
    for (size_t i = 0; i < MANY; i++) cbor_put_bytes(&empty, (struct bytes){0});
    for (size_t i = 0; i < LEGS_MAX; i++)
        bundleleg_encode(&(struct bundleleg){.place = {.opening = story.places[0].opening, .position = i},
                                             .path = list_of(&story.paths[0], LEGS_DEPTH),
                                             .receipts = list_of(&empty, MANY),
                                             .notes = list_of(&empty, MANY)},
                         &legs);
    story_bundle(&story, true, PART_OFFER);
    struct bundle right = story.bundle;
    story.bundle.legs = list_of(&legs, LEGS_MAX);
    bundle_file(&story.bundle, &file);
    verify_in(buf_bytes(&file), MEMORY);
    buf_free(&file);
    for (size_t i = 0; i < 4000000; i++) cbor_put_bytes(&chunks, (struct bytes){0});
    story.bundle = right;
    story.bundle.opened.chunks = list_of(&chunks, 4000000);
    bundle_file(&story.bundle, &file);
    verify_in(buf_bytes(&file), MEMORY);
}

static void making_refuses_what_does_not_hold(void **state) {
    (void)state;
    AUTO_STORY story = {0};
    AUTO_BUF out = {0};
    answered_story(&story, true, 0);
    story.steps.p[20] ^= 1;
    assert_int_not_equal(bundle_make(&story.bundle, &out, &where), E_OK);
    assert_int_equal(out.n, 0);
    assert_non_null(strstr(where.text, "step"));
}

static void memory_that_runs_out_is_told_and_nothing_leaks(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    AUTO_STORY story = {0};
    AUTO_BUF file = {0};
    answered_story(&story, true, PART_OFFER);
    bundle_file(&story.bundle, &file);
    for (long n = 0;; n++) {
        AUTO_BUNDLE_REPORT report = {0};
        AUTO_DISCLOSED disclosed = {0};
        starve(n);
        enum error error = bundle_verify(buf_bytes(&file), NULL, &report, &where);
        if (error == E_OK) error = disclosed_open(&report, &disclosed);
        if (!starve_end()) {
            assert_ok(error);
            assert_true(n > 50);
            return;
        }
        assert_error(error, E_NO_MEMORY);
    }
}

static void every_gap_has_its_words(void **state) {
    (void)state;
    for (unsigned i = 0; i < GAP_COUNT; i++) {
        assert_non_null(bundle_gap_row((enum bundle_gap)i));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(bundle_gap_row((enum bundle_gap)i)->name, bundle_gap_row((enum bundle_gap)k)->name);
    }
    assert_null(bundle_gap_row(GAP_COUNT));
}

int main(void) {
    assert_int_equal(sign_self_test(), E_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundle_tells_who_said_what_when_and_where_in_the_log),
        cmocka_unit_test(card_from_outside_closes_a_gap_and_must_have_the_same_keys),
        cmocka_unit_test(opened_part_is_the_one_that_the_header_names),
        cmocka_unit_test(opened_part_with_another_key_or_other_chunks_is_refused),
        cmocka_unit_test(offer_only_request_has_no_body_to_open),
        cmocka_unit_test(every_kind_of_end_is_told),
        cmocka_unit_test(forwarded_and_resealed_leg_is_followed_to_where_it_is),
        cmocka_unit_test(forwarding_out_of_the_party_or_by_who_has_it_no_longer_is_refused),
        cmocka_unit_test(several_recipients_stand_in_the_order_of_their_places),
        cmocka_unit_test(receipts_that_are_bent_are_named),
        cmocka_unit_test(who_may_not_say_it_is_refused),
        cmocka_unit_test(key_that_was_revoked_or_not_vouched_for_proves_nothing),
        cmocka_unit_test(sender_unknown_or_of_another_post_is_refused),
        cmocka_unit_test(notes_are_sorted_and_only_of_who_had_the_leg),
        cmocka_unit_test(directory_entries_need_their_place_and_a_party_concerned),
        cmocka_unit_test(directory_entry_about_a_third_party_is_refused),
        cmocka_unit_test(gaps_in_the_directory_of_others_are_no_matter),
        cmocka_unit_test(heads_bear_no_line_that_nobody_checks),
        cmocka_unit_test(steps_are_all_there_or_none),
        cmocka_unit_test(two_heads_of_one_size_with_other_roots_are_a_fork),
        cmocka_unit_test(relay_that_lost_its_store_signs_with_other_keys_since),
        cmocka_unit_test(either_card_may_be_the_newer_one_and_a_third_is_none),
        cmocka_unit_test(keys_of_before_a_loss_sign_nothing_after_it),
        cmocka_unit_test(reply_with_two_recipients_is_refused),
        cmocka_unit_test(card_has_one_form),
        cmocka_unit_test(every_single_bit_that_changes_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(with_its_digest_made_anew_a_changed_bit_is_refused_or_tells_something_else),
        cmocka_unit_test(hostile_counts_take_no_memory),
        cmocka_unit_test(making_refuses_what_does_not_hold),
        cmocka_unit_test(memory_that_runs_out_is_told_and_nothing_leaks),
        cmocka_unit_test(every_gap_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
