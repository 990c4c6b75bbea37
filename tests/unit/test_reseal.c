/* test_reseal.c - the client's side of sealing anew: what a recipient takes as a later wrap set and what it refuses, how both
 * sides follow a leg that is passed on, and what the sender's devices make of the relay's answers. */
#include "client_fixture.h"

#include "reseal.h"

enum { OTHER_POST = 310, OTHER_DEVICE = 311 };

static uint8_t parent[HASH_SIZE], reply[HASH_SIZE];

/* What the world has learned since, both homes learn. */
static void learn(struct home *home) {
    for (size_t i = (size_t)directory_size(home->directory); i < world.count; i++)
        assert_ok(directory_apply(home->directory, buf_bytes(&world.leaves[i])));
}

static int set_up(void **state) {
    homes_set_up(state);
    world_post(&world, "fj/other", OTHER_AUTHORITY, OTHER_POST);
    world_device(&world, "fj/other", OTHER_AUTHORITY, OTHER_POST, OTHER_DEVICE, ROLE_DECIDER);
    learn(&sender);
    learn(&recipient);
    accepted_request(parent);
    compose_reply(parent, reply);
    return 0;
}

/* The next entry of a home's leg. */
static void entry_of(struct home *home, const uint8_t *digest, struct told told, struct buf *out) {
    AUTO_LEG leg = {0};
    only_leg(home, digest, &leg);
    told.header = digest;
    told.leg = leg.leg;
    told.previous = leg.record.head;
    told.entry = true;
    told.ordinal = leg.record.entries;
    told.from = (enum leg_state)leg.record.state;
    if (told.to == STATE_NONE) told.to = told.from;
    make_receipt(&told, out, NULL);
}

static enum error apply(struct home *home, const uint8_t *digest, const struct buf *receipt) {
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    enum trail_outcome outcome;
    assert_ok(kept_load(home->archive, digest, &request));
    only_leg(home, digest, &leg);
    TRY(trail_apply(home, digest, &request, &leg, buf_bytes(receipt), &outcome));
    assert_int_equal(outcome, TRAIL_STEP);
    return E_OK;
}

static enum error take_entry(struct home *home, const uint8_t *digest, struct told told) {
    AUTO_BUF receipt = {0};
    entry_of(home, digest, told, &receipt);
    return apply(home, digest, &receipt);
}

static const struct told needed = {
    .event = EVENT_REKEY_NEEDED, .speaker = RELAY, .has_reason = true, .reason = E_NOT_FOR_US};
static struct told resealed(unsigned by, uint64_t generation) {
    return (struct told){.event = EVENT_RESEALED, .speaker = by, .post = "de/technical", .generation = generation};
}
static struct told passed(unsigned by, const char *from, const char *to, uint64_t generation) {
    return (struct told){.event = EVENT_FORWARDED,
                         .speaker = by,
                         .post = from,
                         .forward = to,
                         .generation = generation,
                         .to = STATE_FORWARDED};
}

static bool has_duty(struct home *home, const uint8_t *digest, enum leg_event event) {
    AUTO_LEG leg = {0};
    bool found = false;
    only_leg(home, digest, &leg);
    assert_ok(archive_has(home->archive, TABLE_DUTY, archive_key(digest, leg.leg, event), &found));
    return found;
}

static void sealed_in_vain_as(struct buf *bytes) {
    bool fresh;
    static const uint64_t voids[] = {1};
    make_offered(reply, &(struct offering){.no_wrap = true, .voids = voids, .void_count = 1}, bytes);
    assert_ok(deliver(buf_bytes(bytes), &fresh));
    assert_true(has_duty(&recipient, reply, EVENT_CANNOT_OPEN));
}

static void sealed_in_vain(void) {
    AUTO_BUF bytes = {0};
    sealed_in_vain_as(&bytes);
}

static enum error offer_again(const struct offering *how, struct told told) {
    AUTO_BUF receipt = {0}, bytes = {0};
    bool fresh;
    struct offering offering = *how;
    entry_of(&recipient, reply, told, &receipt);
    offering.receipt = &receipt;
    make_offered(reply, &offering, &bytes);
    return deliver(buf_bytes(&bytes), &fresh);
}

static bool is_sealed(void) {
    AUTO_VIEW view = {0};
    assert_ok(client_view(&recipient, reply, &view, &failure));
    return view.sealed;
}

/* ---- the recipient ---- */

static void what_was_sealed_in_vain_opens_when_it_is_sealed_anew(void **state) {
    (void)state;
    sealed_in_vain();
    assert_true(is_sealed());
    assert_ok(take_entry(&recipient, reply, needed));
    assert_ok(offer_again(&(struct offering){.generation = 2}, resealed(SENDER, 2)));
    assert_false(is_sealed());
    assert_false(has_duty(&recipient, reply, EVENT_CANNOT_OPEN));
    assert_true(has_duty(&recipient, reply, EVENT_HANDED_OVER));
    assert_int_equal(count_rows(&recipient, TABLE_ALARM), 0);
    AUTO_LEG leg = {0};
    only_leg(&recipient, reply, &leg);
    assert_int_equal(leg.record.generation, 2);
    assert_false(leg.record.rekey);
}

static void sealed_anew_in_vain_is_said_once_a_generation(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    AUTO_LEG leg = {0};
    bool fresh;
    sealed_in_vain_as(&bytes);
    only_leg(&recipient, reply, &leg);
    leg.record.has_told = true; /* as inbox_duties leaves it */
    leg.record.told = 1;
    assert_ok(kept_leg_save(recipient.archive, reply, leg.leg, &leg.record));
    assert_ok(trail_duty_done(&recipient, reply, leg.leg, EVENT_CANNOT_OPEN));
    assert_ok(deliver(buf_bytes(&bytes), &fresh));
    assert_false(has_duty(&recipient, reply, EVENT_CANNOT_OPEN));
    assert_ok(offer_again(&(struct offering){.generation = 2, .no_wrap = true}, resealed(SENDER, 2)));
    assert_true(has_duty(&recipient, reply, EVENT_CANNOT_OPEN));
}

static void a_wrap_set_needs_the_entry_that_brought_it(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    make_offered(reply, &(struct offering){.generation = 2}, &bytes); /* of an entry that is nowhere */
    assert_int_not_equal(deliver(buf_bytes(&bytes), &fresh), E_OK);
    sealed_in_vain();
    /* another's wrap set than the one whose statement brought it; another generation; by the recipient's own sister */
    assert_error(offer_again(&(struct offering){.generation = 2, .signer = SENDER + 1}, resealed(SENDER, 2)),
                 E_NOT_ALLOWED);
    assert_int_not_equal(offer_again(&(struct offering){.generation = 3}, resealed(SENDER, 2)), E_OK);
    assert_error(offer_again(&(struct offering){.generation = 3}, resealed(SENDER, 3)), E_BAD_PROOF);
    assert_true(is_sealed());
    struct told own = resealed(RECIPIENT + 1, 2);
    own.post = "fj/national";
    assert_error(offer_again(&(struct offering){.generation = 2, .signer = RECIPIENT + 1}, own), E_NOT_ALLOWED);
    assert_ok(offer_again(&(struct offering){.generation = 2, .signer = SENDER + 1}, resealed(SENDER + 1, 2)));
    assert_false(is_sealed());
}

static void a_device_that_was_revoked_before_seals_nothing(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    bool fresh;
    struct revocation revocation = revocation_of("de/technical", SENDER + 1, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    learn(&recipient);
    make_offered(reply, &(struct offering){.signer = SENDER + 1}, &bytes);
    assert_error(deliver(buf_bytes(&bytes), &fresh), E_REVOKED);
    sealed_in_vain();
    assert_error(offer_again(&(struct offering){.generation = 2, .signer = SENDER + 1}, resealed(SENDER + 1, 2)),
                 E_REVOKED);
    assert_ok(offer_again(&(struct offering){.generation = 2}, resealed(SENDER, 2)));
}

/* ---- both sides, where it is passed on ---- */

static uint8_t asked[HASH_SIZE];

static void ask(void) {
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "subject", .text = bytes_text("text")};
    compose(&sender, &draft, asked);
    assert_ok(step(&sender, asked, EVENT_STORED, RELAY, NULL, STATE_STORED));
    assert_ok(step(&sender, asked, EVENT_NOTIFIED, RECIPIENT, "fj/national", STATE_NOTIFIED));
}

static void the_sender_follows_a_leg_to_the_post_that_it_is_with(void **state) {
    (void)state;
    ask();
    assert_ok(take_entry(&sender, asked, passed(RECIPIENT, "fj/national", "fj/other", 2)));
    AUTO_VIEW view = {0};
    assert_ok(client_view(&sender, asked, &view, &failure));
    assert_string_equal(view.legs[0].to, "fj/other");
    assert_string_equal(view.legs[0].forwarder, "fj/national");
    assert_false(view.legs[0].away);
    struct told accepts = {.event = EVENT_NOTIFIED, .speaker = RECIPIENT, .post = "fj/national", .to = STATE_NOTIFIED};
    assert_error(take_entry(&sender, asked, accepts), E_NOT_ALLOWED); /* no longer theirs */
    accepts.speaker = OTHER_DEVICE;
    accepts.post = "fj/other";
    assert_ok(take_entry(&sender, asked, accepts));
    struct told again = resealed(RECIPIENT + 1, 3); /* who has passed it on may seal it */
    again.post = "fj/national";
    assert_ok(take_entry(&sender, asked, needed));
    assert_true(has_duty(&sender, asked, EVENT_RESEALED));
    assert_ok(take_entry(&sender, asked, again));
    assert_false(has_duty(&sender, asked, EVENT_RESEALED));
    accepts.event = EVENT_ACCEPTED;
    accepts.to = STATE_ACCEPTED;
    assert_ok(take_entry(&sender, asked, accepts));
}

static void a_forwarding_that_the_protocol_does_not_know_is_refused(void **state) {
    (void)state;
    ask();
    assert_error(take_entry(&sender, asked, passed(RECIPIENT, "fj/national", "de/other", 2)), E_BAD_PROOF);
    assert_error(take_entry(&sender, asked, passed(RECIPIENT, "fj/national", "fj/national", 2)), E_BAD_PROOF);
    assert_error(take_entry(&sender, asked, passed(RECIPIENT, "fj/national", NULL, 2)), E_BAD_PROOF);
    assert_error(take_entry(&sender, asked, passed(RECIPIENT, "fj/national", "fj/other", 1)), E_BAD_PROOF);
    assert_error(take_entry(&sender, asked, passed(RECIPIENT + 1, "fj/national", "fj/other", 2)), E_NOT_ALLOWED);
    assert_error(take_entry(&sender, asked, passed(SENDER, "de/technical", "fj/other", 2)), E_NOT_ALLOWED);
    assert_ok(take_entry(&sender, asked, passed(RECIPIENT, "fj/national", "fj/other", 2)));
}

/* ---- the sender ---- */

static void sealing_anew_is_a_duty_until_it_is_done_or_the_leg_ends(void **state) {
    (void)state;
    AUTO_VIEW view = {0};
    ask();
    assert_false(has_duty(&sender, asked, EVENT_RESEALED));
    assert_ok(take_entry(&sender, asked, needed));
    assert_true(has_duty(&sender, asked, EVENT_RESEALED));
    assert_ok(client_view(&sender, asked, &view, &failure));
    assert_true(view.legs[0].needs_rekey);
    assert_ok(take_entry(&sender, asked, resealed(SENDER + 1, 2)));
    assert_false(has_duty(&sender, asked, EVENT_RESEALED));
    assert_ok(take_entry(&sender, asked, needed));
    assert_true(has_duty(&sender, asked, EVENT_RESEALED));
    assert_ok(step(&sender, asked, EVENT_WITHDRAWN, SENDER, "de/technical", STATE_WITHDRAWN));
    assert_false(has_duty(&sender, asked, EVENT_RESEALED));
}

/* A relay that has kept yesteryear's prekeys, whose secrets may be known by now, gets nothing sealed to them. */
static void a_day_key_is_good_from_its_day_until_its_secret_is_destroyed(void **state) {
    (void)state;
    const uint64_t day = WORLD_TIME / DAY_MS;
    const struct instant time = {WORLD_TIME};
    struct prekey prekey = {.day = day + 1};
    assert_error(wraps_current(&prekey, time), E_OUT_OF_RANGE);
    prekey.day = day;
    assert_ok(wraps_current(&prekey, time));
    prekey.day = day - PREKEY_WINDOW_DAYS;
    assert_ok(wraps_current(&prekey, time));
    prekey.day--;
    assert_error(wraps_current(&prekey, time), E_PREKEY_GONE);
}

static void put_duty(enum leg_event event, bool made) {
    AUTO_LEG leg = {0};
    AUTO_BUF bytes = {0};
    only_leg(&sender, asked, &leg);
    keptseal_encode(&(struct keptseal){.made = made}, &bytes);
    assert_ok(archive_set(sender.archive, TABLE_DUTY, archive_key(asked, leg.leg, event), buf_bytes(&bytes)));
}

static bool is_made(enum leg_event event) {
    AUTO_LEG leg = {0};
    AUTO_BUF bytes = {0};
    struct keptseal seal = {0};
    bool found = false;
    only_leg(&sender, asked, &leg);
    assert_ok(archive_get(sender.archive, TABLE_DUTY, archive_key(asked, leg.leg, event), &bytes, &found));
    assert_true(found);
    assert_ok(keptseal_decode(buf_bytes(&bytes), &seal));
    return seal.made;
}

static void what_the_relay_answers_decides_what_becomes_of_the_duty(void **state) {
    (void)state;
    static const struct {
        enum leg_event event;
        enum error said;
        bool drop, quiet, duty, made;
    } cases[] = {
        {EVENT_RESEALED, E_OK, false, false, true, true},
        {EVENT_RESEALED, E_BUSY, false, false, true, true},
        {EVENT_RESEALED, E_STALE_DIRECTORY, true, true, true, false},
        {EVENT_RESEALED, E_CONFLICT, true, true, true, false},
        {EVENT_RESEALED, E_WRONG_STATE, true, true, false, false},
        {EVENT_RESEALED, E_NOT_ALLOWED, true, false, false, false},
        {EVENT_FORWARDED, E_STALE_DIRECTORY, true, true, true, false},
        {EVENT_FORWARDED, E_CONFLICT, true, true, true, false},
        {EVENT_FORWARDED, E_WRONG_STATE, true, false, false, false},
        {EVENT_FORWARDED, E_REVOKED, true, false, false, false},
    };
    ask();
    AUTO_LEG leg = {0};
    only_leg(&sender, asked, &leg);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct statement statement = {.event = (uint64_t)cases[i].event, .has_leg = true};
        AUTO_BUF payload = {0}, stamped = {0};
        memcpy(statement.device, sender.device, KEY_SIZE);
        statement_encode(&statement, &payload);
        assert_ok(stamp_sign_one(LABEL_STATEMENT, pair_of(SENDER).secret, buf_bytes(&payload), &stamped));
        struct outgoing outgoing = {.kind = OUTGOING_STATEMENT, .has_leg = true, .statement = buf_bytes(&stamped)};
        memcpy(outgoing.header, asked, HASH_SIZE);
        memcpy(outgoing.leg, leg.leg, HASH_SIZE);
        bool drop = !cases[i].drop, quiet = !cases[i].quiet;
        put_duty(cases[i].event, true);
        assert_ok(reseal_answered(&sender, &outgoing, cases[i].said, &drop, &quiet));
        assert_int_equal(drop, cases[i].drop);
        assert_int_equal(quiet, cases[i].quiet);
        assert_int_equal(has_duty(&sender, asked, cases[i].event), cases[i].duty);
        if (cases[i].duty) assert_int_equal(is_made(cases[i].event), cases[i].made);
    }
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sealed_in_vain_opens_when_it_is_sealed_anew, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(sealed_anew_in_vain_is_said_once_a_generation, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_wrap_set_needs_the_entry_that_brought_it, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_device_that_was_revoked_before_seals_nothing, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(the_sender_follows_a_leg_to_the_post_that_it_is_with, set_up, homes_tear_down),
        cmocka_unit_test_setup_teardown(a_forwarding_that_the_protocol_does_not_know_is_refused, set_up,
                                        homes_tear_down),
        cmocka_unit_test_setup_teardown(sealing_anew_is_a_duty_until_it_is_done_or_the_leg_ends, set_up,
                                        homes_tear_down),
        cmocka_unit_test_setup_teardown(a_day_key_is_good_from_its_day_until_its_secret_is_destroyed, set_up,
                                        homes_tear_down),
        cmocka_unit_test_setup_teardown(what_the_relay_answers_decides_what_becomes_of_the_duty, set_up,
                                        homes_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
