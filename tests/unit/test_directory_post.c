/* test_directory_post.c - what becomes of posts and devices: split and taken back, revoked and begun anew, renewed,
 * ended by a sister; contact statements; and the damage that every newer kind of statement must survive. */
#include "directory_fixture.h"
#include "starve.h"

enum { NEW_KEY = 300, NEXT, LATER, AFTER };

static const struct directory_post *post_named(const struct world *world, const char *name) {
    const struct directory_post *found = directory_post(world->directory, bytes_text(name));
    assert_non_null(found);
    return found;
}

/* de/national for all functions, beside de/technical and de/policy. */
static struct world desks(void) {
    struct world world = world_new();
    struct post national = post_of("de/national", AUTHORITY, NEW_KEY), policy = post_of("de/policy", AUTHORITY, NEXT);
    national.functions = FUNCTION_TECHNICAL | FUNCTION_POLICY;
    policy.functions = FUNCTION_POLICY;
    assert_ok(say_post(&world, &national, AUTHORITY));
    assert_ok(say_post(&world, &policy, AUTHORITY));
    return world;
}

/* ---- split ---- */

static void split_post_receives_nothing_new_until_it_is_taken_back(void **state) {
    (void)state;
    AUTO_WORLD world = desks();
    AUTO_BUF items = {0};
    static const char *const into[] = {"de/technical", "de/policy", NULL};
    world_device(&world, "de/national", AUTHORITY, NEW_KEY, DEVICE + 30, ROLE_DECIDER);
    struct split split = split_of("de/national", AUTHORITY, into, &items),
                 back = split_of("de/national", AUTHORITY, NULL, NULL);
    struct split early = split_of("de/national", AUTHORITY, NULL, NULL);
    assert_error(say_split(&world, &early, AUTHORITY), E_CONFLICT); /* nothing to take back */
    assert_ok(directory_may_receive(post_named(&world, "de/national")));
    assert_ok(say_split(&world, &split, AUTHORITY));
    const struct directory_post *post = post_named(&world, "de/national");
    assert_int_equal(post->into_count, 2);
    assert_string_equal(post->into[0], "de/technical");
    assert_string_equal(post->into[1], "de/policy");
    assert_error(directory_may_receive(post), E_SPLIT);
    assert_ok(directory_may_receive(post_named(&world, "de/technical")));
    assert_ok(
        directory_live(world_find(&world, DEVICE + 30), (struct instant){world.time})); /* open legs finish there */
    AUTO_BUF more = {0};
    struct split again = split_of("de/national", AUTHORITY, into, &more);
    assert_error(say_split(&world, &again, AUTHORITY), E_CONFLICT);
    assert_ok(say_split(&world, &back, AUTHORITY));
    assert_int_equal(post_named(&world, "de/national")->into_count, 0);
    assert_ok(directory_may_receive(post_named(&world, "de/national")));
}

static void split_is_the_authoritys_alone_and_covers_all_functions(void **state) {
    (void)state;
    AUTO_WORLD world = desks();
    static const char *const whole[] = {"de/technical", "de/policy", NULL}, *const part[] = {"de/technical", NULL},
                             *const none[] = {NULL}, *const self[] = {"de/national", "de/policy", NULL},
                             *const foreign[] = {"de/technical", "de/policy", "fj/national", NULL},
                             *const unknown[] = {"de/technical", "de/nowhere", NULL}, *const bad[] = {"DE", NULL},
                             *const twice[] = {"de/technical", "de/policy", "de/policy", NULL};
    static const struct {
        const char *const *into;
        enum error error;
    } wrong[] = {{part, E_MISMATCH},        {none, E_MISSING_FIELD}, {self, E_NOT_ALLOWED}, {foreign, E_NOT_ALLOWED},
                 {unknown, E_UNKNOWN_POST}, {bad, E_UNKNOWN_POST},   {twice, E_CONFLICT}};
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        AUTO_BUF items = {0};
        struct split split = split_of("de/national", AUTHORITY, wrong[i].into, &items);
        assert_error(say_split(&world, &split, AUTHORITY), wrong[i].error);
    }
    AUTO_BUF items = {0};
    struct split split = split_of("de/national", OTHER_AUTHORITY, whole, &items);
    assert_error(say_split(&world, &split, OTHER_AUTHORITY), E_FOREIGN_CERTIFICATE);
    memcpy(split.authority, pair_of(NEW_KEY).public, KEY_SIZE);
    assert_error(say_split(&world, &split, NEW_KEY), E_FOREIGN_CERTIFICATE);
    memcpy(split.authority, pair_of(AUTHORITY).public, KEY_SIZE);
    assert_error(say_split(&world, &split, OTHER_AUTHORITY), E_BAD_SIGNATURE);
    split.post = bytes_text("de/nowhere");
    assert_error(say_split(&world, &split, AUTHORITY), E_UNKNOWN_POST);
    split.post = bytes_text("de/national");
    split.action = SPLIT_BACK; /* with names */
    assert_error(say_split(&world, &split, AUTHORITY), E_CONFLICT);
    split.action = SPLIT_INTO;
    assert_ok(say_split(&world, &split, AUTHORITY));
    AUTO_BUF named = {0};
    struct split back = split_of("de/national", AUTHORITY, whole, &named);
    back.action = SPLIT_BACK;
    assert_error(say_split(&world, &back, AUTHORITY), E_MALFORMED);
}

static void split_into_a_revoked_or_split_post_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = desks();
    static const char *const whole[] = {"de/technical", "de/policy", NULL}, *const to_national[] = {"de/national",
                                                                                                    NULL};
    AUTO_BUF one = {0}, two = {0}, three = {0}, four = {0};
    struct split policy = split_of("de/policy", AUTHORITY, to_national, &one);
    assert_ok(say_split(&world, &policy, AUTHORITY));
    struct split split = split_of("de/national", AUTHORITY, whole, &two); /* a circle */
    assert_error(say_split(&world, &split, AUTHORITY), E_CONFLICT);
    struct split back = split_of("de/policy", AUTHORITY, NULL, NULL);
    assert_ok(say_split(&world, &back, AUTHORITY));
    struct revocation revocation = revocation_of("de/policy", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    split = split_of("de/national", AUTHORITY, whole, &three);
    assert_error(say_split(&world, &split, AUTHORITY), E_REVOKED);
    revocation = revocation_of("de/national", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &revocation, AUTHORITY));
    split = split_of("de/national", AUTHORITY, whole, &four);
    assert_error(say_split(&world, &split, AUTHORITY), E_REVOKED);
}

static void split_that_was_kept_back_does_not_undo_a_later_one(void **state) {
    (void)state;
    AUTO_WORLD world = desks();
    static const char *const whole[] = {"de/technical", "de/policy", NULL};
    AUTO_BUF one = {0}, two = {0}, three = {0};
    struct split first = split_of("de/national", AUTHORITY, whole, &one);
    struct split kept = split_of("de/national", AUTHORITY, whole, &two),
                 back = split_of("de/national", AUTHORITY, NULL, NULL);
    assert_ok(say_split(&world, &first, AUTHORITY));
    assert_ok(say_split(&world, &back, AUTHORITY));
    assert_error(say_split(&world, &kept, AUTHORITY), E_STALE_STATEMENT);
    struct departure departure = departure_of("de", AUTHORITY);
    assert_ok(say_departure(&world, &departure, AUTHORITY));
    struct split after = split_of("de/national", AUTHORITY, whole, &three);
    assert_error(say_split(&world, &after, AUTHORITY), E_DEPARTED);
}

/* ---- posts stated anew ---- */

static void post_statement_that_was_kept_back_does_not_bring_a_former_key_back(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct post kept = post_of("de/technical", AUTHORITY, NEW_KEY), now = post_of("de/technical", AUTHORITY, NEXT);
    assert_ok(say_post(&world, &now, AUTHORITY));
    assert_error(say_post(&world, &kept, AUTHORITY), E_STALE_STATEMENT);
    assert_memory_equal(post_named(&world, "de/technical")->key, now.key, KEY_SIZE);
    struct post far = post_of("de/technical", AUTHORITY, LATER);
    far.created.ms = world.time + DAY_MS + 1;
    assert_error(say_post(&world, &far, AUTHORITY), E_STALE_STATEMENT);
}

/* The certificates of two devices each carry the post: whichever of them joins first. */
static void older_post_statement_that_says_the_same_is_taken(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct post first = post_of("de/technical", AUTHORITY, POST_KEY),
                second = post_of("de/technical", AUTHORITY, POST_KEY);
    assert_ok(say_post(&world, &second, AUTHORITY));
    uint64_t stated = post_named(&world, "de/technical")->stated.ms;
    assert_ok(say_post(&world, &first, AUTHORITY));
    assert_int_equal(post_named(&world, "de/technical")->stated.ms, stated);
    struct post without = post_of("de/technical", AUTHORITY, POST_KEY);
    without.created.ms = 1;
    without.has_revoker = false;
    assert_error(say_post(&world, &without, AUTHORITY), E_STALE_STATEMENT);
}

static void revocation_of_a_post_takes_its_devices_for_good(void **state) {
    (void)state;
    AUTO_WORLD world = desks();
    AUTO_BUF items = {0}, sheets = {0};
    static const char *const into[] = {"de/national", NULL};
    struct contact contact = contact_of("de/technical", DEVICE, 3, &sheets);
    struct split split = split_of("de/technical", AUTHORITY, into, &items);
    assert_ok(say_contact(&world, &contact, DEVICE));
    assert_ok(say_split(&world, &split, AUTHORITY));
    struct revocation early = revocation_of("de/technical", DEVICE + 1, POST_KEY);
    assert_ok(say_revocation(&world, &early, POST_KEY));
    uint64_t alone = world_find(&world, DEVICE + 1)->revoked_size;
    struct instant then = {world.time};
    uint64_t before = directory_size(world.directory);
    struct revocation revocation = revocation_of("de/technical", 0, POST_KEY + 1000);
    assert_ok(say_revocation(&world, &revocation, POST_KEY + 1000));
    assert_int_equal(post_named(&world, "de/technical")->revoked_size, before + 1);
    assert_error(directory_may_receive(post_named(&world, "de/technical")), E_REVOKED);

    struct post anew = post_of("de/technical", AUTHORITY, LATER);
    assert_ok(say_post(&world, &anew, AUTHORITY));
    const struct directory_post *post = post_named(&world, "de/technical");
    assert_false(post->revoked);
    assert_int_equal(post->into_count, 0);
    assert_int_equal(post->sheet_count, 0);
    assert_int_equal(post->contact_size, 0);
    assert_ok(directory_may_receive(post));
    for (unsigned i = 0; i < 3; i++) {
        const struct directory_device *device = world_find(&world, DEVICE + i);
        assert_error(directory_live(device, then), E_REVOKED);
        assert_int_equal(device->revoked_size, i == 1 ? alone : before + 1);
        assert_error(directory_live_at(device, before + 2, then), E_REVOKED);
    }
    assert_ok(directory_live_at(world_find(&world, DEVICE), before, then)); /* what it did then stays good */
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    assert_int_equal(directory_readers(world.directory, bytes_text("de/technical"), then, readers), 0);
    struct device device = device_of("de/technical", POST_KEY, DEVICE + 40, ROLE_DECIDER);
    assert_error(say_device(&world, &device, POST_KEY), E_FOREIGN_CERTIFICATE);
    device = device_of("de/technical", LATER, DEVICE, ROLE_DECIDER); /* a key that was the post's once */
    assert_error(say_device(&world, &device, LATER), E_CONFLICT);
    world_device(&world, "de/technical", AUTHORITY, LATER, DEVICE + 40, ROLE_DECIDER);
    assert_int_equal(directory_readers(world.directory, bytes_text("de/technical"), then, readers), 1);
    const struct directory_device *member = NULL;
    size_t count = 0;
    while ((member = directory_device_of(world.directory, post_named(&world, "de/technical"), member))) count++;
    assert_int_equal(count, 4);
    revocation = revocation_of("de/technical", 0, POST_KEY); /* the former key, and its slip, are worth nothing */
    assert_error(say_revocation(&world, &revocation, POST_KEY), E_NOT_ALLOWED);
    revocation = revocation_of("de/technical", 0, LATER); /* and it can be ended a second time */
    assert_ok(say_revocation(&world, &revocation, LATER));
    assert_error(directory_live(world_find(&world, DEVICE + 40), then), E_REVOKED);
}

/* ---- devices ---- */

static void authority_issues_a_device_too(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device device = device_of("de/technical", AUTHORITY, DEVICE + 20, ROLE_READER);
    assert_error(say_device(&world, &device, POST_KEY), E_BAD_SIGNATURE);
    assert_ok(say_device(&world, &device, AUTHORITY));
    struct instant now = {world.time};
    assert_error(directory_live(world_find(&world, DEVICE + 20), now), E_NOT_COUNTERSIGNED);
    struct countersign countersign = countersign_of(&device, DEVICE);
    assert_ok(say_countersign(&world, &countersign, DEVICE));
    assert_ok(directory_live(world_find(&world, DEVICE + 20), now));
}

static struct device renewal_of(const struct world *world, unsigned number, uint64_t days) {
    struct device renewal = device_of("de/technical", number, number, world_find(world, number)->role);
    renewal.not_before.ms = world->time;
    renewal.not_after.ms = world->time + days * DAY_MS;
    return renewal;
}

static void live_device_renews_itself(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct directory_device before = *world_find(&world, DEVICE);
    world.time = WORLD_TIME + 299 * DAY_MS;
    struct device renewal = renewal_of(&world, DEVICE, 400);
    assert_error(say_device(&world, &renewal, POST_KEY), E_BAD_SIGNATURE);
    assert_ok(say_device(&world, &renewal, DEVICE));
    const struct directory_device *device = world_find(&world, DEVICE);
    assert_int_equal(device->not_after.ms, renewal.not_after.ms);
    assert_int_equal(device->not_before.ms, before.not_before.ms);
    assert_memory_equal(device->certificate, before.certificate, HASH_SIZE);
    assert_int_equal(device->countersigned_size, before.countersigned_size);
    struct instant late = {WORLD_TIME + 500 * DAY_MS};
    assert_ok(directory_live(device, late));
    assert_error(directory_live(world_find(&world, DEVICE + 1), late), E_CERTIFICATE_EXPIRED);
    assert_ok(directory_live_at(device, before.countersigned_size, (struct instant){WORLD_TIME})); /* the past stays */
    const struct directory_device *member = NULL; /* and it stands in its post's list once */
    size_t count = 0;
    while ((member = directory_device_of(world.directory, post_named(&world, "de/technical"), member))) count++;
    assert_int_equal(count, 3);
}

static void renewal_changes_nothing_but_the_end(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    world_post(&world, "de/policy", AUTHORITY, NEW_KEY);
    struct device renewal = renewal_of(&world, DEVICE, 350);
    renewal.role = ROLE_READER;
    assert_error(say_device(&world, &renewal, DEVICE), E_FOREIGN_CERTIFICATE);
    renewal = renewal_of(&world, DEVICE + 1, 350);
    renewal.role = ROLE_DECIDER; /* a reader that would like to decide */
    assert_error(say_device(&world, &renewal, DEVICE + 1), E_FOREIGN_CERTIFICATE);
    renewal = renewal_of(&world, DEVICE, 350);
    renewal.post = bytes_text("de/policy");
    assert_error(say_device(&world, &renewal, DEVICE), E_FOREIGN_CERTIFICATE);
    renewal = renewal_of(&world, DEVICE, 350);
    transport_of(DEVICE + 60, renewal.transport);
    assert_error(say_device(&world, &renewal, DEVICE), E_FOREIGN_CERTIFICATE);
    renewal = renewal_of(&world, DEVICE, 300);
    renewal.not_after = world_find(&world, DEVICE)->not_after;
    assert_error(say_device(&world, &renewal, DEVICE), E_OUT_OF_RANGE); /* no longer than before */
    renewal = renewal_of(&world, DEVICE, 400);
    renewal.not_after.ms++;
    assert_error(say_device(&world, &renewal, DEVICE), E_OUT_OF_RANGE);
    renewal = renewal_of(&world, DEVICE, 350);
    renewal.not_before.ms++;
    assert_error(say_device(&world, &renewal, DEVICE), E_OUT_OF_RANGE);
    renewal = device_of("de/technical", DEVICE + 60, DEVICE + 60, ROLE_DECIDER); /* nobody certifies itself */
    assert_error(say_device(&world, &renewal, DEVICE + 60), E_FOREIGN_CERTIFICATE);
}

static void device_that_is_not_live_does_not_renew_itself(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    struct device waiting = device_of("de/technical", POST_KEY, DEVICE + 20, ROLE_READER);
    assert_ok(say_device(&world, &waiting, POST_KEY));
    struct device renewal = renewal_of(&world, DEVICE + 20, 350);
    assert_error(say_device(&world, &renewal, DEVICE + 20), E_NOT_COUNTERSIGNED);
    struct revocation revocation = revocation_of("de/technical", DEVICE + 1, POST_KEY);
    assert_ok(say_revocation(&world, &revocation, POST_KEY));
    renewal = renewal_of(&world, DEVICE + 1, 350);
    assert_error(say_device(&world, &renewal, DEVICE + 1), E_REVOKED);
    world.time = WORLD_TIME + 300 * DAY_MS;
    renewal = renewal_of(&world, DEVICE, 350);
    assert_error(say_device(&world, &renewal, DEVICE), E_CERTIFICATE_EXPIRED);
}

static void renewal_needs_no_room_among_the_posts_devices(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    for (unsigned i = 3; i < DEVICES_PER_POST_MAX; i++) {
        struct device device = device_of("de/technical", POST_KEY, DEVICE + 20 + i, ROLE_READER);
        assert_ok(say_device(&world, &device, POST_KEY));
    }
    struct device renewal = renewal_of(&world, DEVICE, 400);
    assert_ok(say_device(&world, &renewal, DEVICE));
}

static void deciding_sister_ends_a_lost_device(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    static const unsigned others[] = {DEVICE + 1, DEVICE + 2, DEVICE + 10, STRANGER};
    for (size_t i = 0; i < LENGTH(others); i++) {
        struct revocation revocation = revocation_of("de/technical", DEVICE, others[i]);
        assert_error(say_revocation(&world, &revocation, others[i]), E_NOT_ALLOWED);
    }
    struct revocation whole = revocation_of("de/technical", 0, DEVICE); /* a laptop does not end the desk */
    assert_error(say_revocation(&world, &whole, DEVICE), E_NOT_ALLOWED);
    struct revocation revocation = revocation_of("de/technical", DEVICE + 1, DEVICE);
    assert_error(say_revocation(&world, &revocation, DEVICE + 1), E_BAD_SIGNATURE);
    assert_ok(say_revocation(&world, &revocation, DEVICE));
    assert_error(directory_live(world_find(&world, DEVICE + 1), (struct instant){world.time}), E_REVOKED);
    revocation = revocation_of("fj/national", DEVICE + 11, DEVICE);
    assert_error(say_revocation(&world, &revocation, DEVICE), E_NOT_ALLOWED);
    world.time = WORLD_TIME + 300 * DAY_MS; /* run out: it decides nothing any more */
    revocation = revocation_of("de/technical", DEVICE + 2, DEVICE);
    assert_error(say_revocation(&world, &revocation, DEVICE), E_NOT_ALLOWED);
}

/* ---- contact ---- */

static void deciding_device_says_what_the_contact_card_hashes_to(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    AUTO_BUF items = {0}, fewer = {0};
    struct contact contact = contact_of("de/technical", DEVICE, SHEETS_MAX, &items);
    struct list list = contact.commitments;
    assert_int_equal(post_named(&world, "de/technical")->contact_size, 0);
    assert_ok(say_contact(&world, &contact, DEVICE));
    const struct directory_post *post = post_named(&world, "de/technical");
    assert_int_equal(post->sheet_count, SHEETS_MAX);
    assert_int_equal(post->contact_size, directory_size(world.directory));
    const uint8_t *commitment;
    for (size_t i = 0; list_next_fixed(&list, HASH_SIZE, &commitment); i++)
        assert_memory_equal(post->sheets[i], commitment, HASH_SIZE);
    contact = contact_of("de/technical", DEVICE, 1, &fewer);
    assert_ok(say_contact(&world, &contact, DEVICE));
    static const uint8_t none[HASH_SIZE];
    post = post_named(&world, "de/technical");
    assert_int_equal(post->sheet_count, 1);
    assert_memory_equal(post->sheets[1], none, HASH_SIZE); /* nothing of the former is left */
    contact = contact_of("de/technical", DEVICE, 0, NULL); /* taken back */
    assert_ok(say_contact(&world, &contact, DEVICE));
    assert_int_equal(post_named(&world, "de/technical")->sheet_count, 0);
}

/* A relay that kept a card's statement back cannot put the old card in the place of the new one. */
static void an_older_contact_statement_undoes_nothing(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    AUTO_BUF items = {0}, fewer = {0};
    struct contact kept_back = contact_of("de/technical", DEVICE, 2, &items);
    struct contact erased = contact_of("de/technical", DEVICE, 0, &fewer);
    assert_ok(say_contact(&world, &erased, DEVICE));
    assert_error(say_contact(&world, &kept_back, DEVICE), E_STALE_STATEMENT);
    kept_back.created.ms = world.time + DAY_MS + 1; /* nor may a clock run ahead for ever */
    assert_error(say_contact(&world, &kept_back, DEVICE), E_STALE_STATEMENT);
    assert_int_equal(post_named(&world, "de/technical")->sheet_count, 0);
}

static void nobody_else_speaks_for_the_contact_card(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    static const unsigned others[] = {DEVICE + 1, DEVICE + 2, DEVICE + 10, POST_KEY, AUTHORITY, REGISTRAR, STRANGER};
    for (size_t i = 0; i < LENGTH(others); i++) {
        AUTO_BUF items = {0};
        struct contact contact = contact_of("de/technical", others[i], 1, &items);
        assert_error(say_contact(&world, &contact, others[i]), E_NOT_ALLOWED);
    }
    AUTO_BUF items = {0};
    struct contact contact = contact_of("de/technical", DEVICE, 1, &items);
    assert_error(say_contact(&world, &contact, DEVICE + 1), E_BAD_SIGNATURE);
    contact.post = bytes_text("de/nowhere");
    assert_error(say_contact(&world, &contact, DEVICE), E_UNKNOWN_POST);
    struct revocation revocation = revocation_of("de/technical", DEVICE, DEVICE);
    assert_ok(say_revocation(&world, &revocation, DEVICE));
    contact.post = bytes_text("de/technical");
    assert_error(say_contact(&world, &contact, DEVICE), E_NOT_ALLOWED);
}

/* ---- damage ---- */

/* One good leaf of each newer kind, each of which fits after the others. */
static struct world of_every_kind(size_t *ret_first) {
    struct world world = desks();
    AUTO_BUF into = {0}, sheets = {0};
    static const char *const names[] = {"de/technical", "de/policy", NULL};
    *ret_first = world.count;
    struct admission nomination = nomination_of("it", "Italy");
    struct notice notice = notice_of("de", LATER, AFTER);
    struct succession objection = succession_of("de", SUCCESSION_OBJECT, AUTHORITY, 0, 0);
    objection.has_notice = true;
    hash_notice(&notice, objection.notice);
    struct split split = split_of("de/national", AUTHORITY, names, &into);
    struct contact contact = contact_of("de/technical", DEVICE, 2, &sheets);
    struct device renewal = renewal_of(&world, DEVICE, 350);
    struct revocation by_sister = revocation_of("de/technical", DEVICE + 1, DEVICE);
    struct departure departure = departure_of("de", AUTHORITY);
    assert_ok(say_admission(&world, &nomination, REGISTRAR));
    assert_ok(say_notice(&world, &notice, REGISTRAR));
    assert_ok(say_succession(&world, &objection, AUTHORITY));
    assert_ok(say_split(&world, &split, AUTHORITY));
    assert_ok(say_contact(&world, &contact, DEVICE));
    renewal.not_before.ms = world.time;
    assert_ok(say_device(&world, &renewal, DEVICE));
    assert_ok(say_revocation(&world, &by_sister, DEVICE));
    struct revocation whole = revocation_of("de/policy", 0, AUTHORITY);
    assert_ok(say_revocation(&world, &whole, AUTHORITY));
    struct post anew = post_of("de/policy", AUTHORITY, LATER + 20);
    assert_ok(say_post(&world, &anew, AUTHORITY));
    assert_ok(say_departure(&world, &departure, AUTHORITY));
    return world;
}

static struct directory *up_to(const struct world *world, size_t count) {
    struct directory *directory = fresh_directory();
    for (size_t i = 0; i < count; i++) assert_ok(directory_apply(directory, buf_bytes(&world->leaves[i])));
    return directory;
}

static void every_truncation_of_every_newer_statement_is_refused(void **state) {
    (void)state;
    size_t first;
    AUTO_WORLD world = of_every_kind(&first);
    struct directory *second = up_to(&world, first);
    for (size_t i = first; i < world.count; i++) {
        struct bytes leaf = buf_bytes(&world.leaves[i]);
        uint8_t before[HASH_SIZE], after[HASH_SIZE];
        hash_directory(second, before);
        for (size_t n = 0; n < leaf.n; n++) {
            AUTO_FREE(uint8_t) part = malloc(n ? n : 1); /* its own block, so that a read past the end is seen */
            if (n) memcpy(part, leaf.p, n);
            assert_int_not_equal(directory_apply(second, bytes_of(part, n)), E_OK);
        }
        hash_directory(second, after);
        assert_memory_equal(before, after, HASH_SIZE);
        assert_ok(directory_apply(second, leaf));
    }
    directory_free(second);
}

static void every_bit_flip_of_every_newer_statement_is_refused_or_changes_the_time_only(void **state) {
    (void)state;
    size_t first;
    AUTO_WORLD world = of_every_kind(&first);
    struct directory *second = up_to(&world, first);
    for (size_t i = first; i < world.count; i++) {
        struct bytes leaf = buf_bytes(&world.leaves[i]);
        struct leaf good, bad;
        assert_ok(leaf_decode(leaf, &good));
        for (size_t bit = 0; bit < leaf.n * 8; bit++) {
            world.leaves[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            AUTO_BUF asked = {0};
            if (leaf_decode(leaf, &bad) == E_OK &&
                directory_make_leaf(second, (enum leaf_kind)bad.kind, bad.statement, bad.time, &asked) == E_OK) {
                assert_int_equal(bad.kind, good.kind);
                assert_int_not_equal(bad.time.ms, good.time.ms);
                assert_true(bytes_equal(bad.statement, good.statement));
            }
            world.leaves[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_ok(directory_apply(second, leaf));
    }
    directory_free(second);
}

static void every_newer_statement_survives_the_end_of_memory(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    size_t first;
    AUTO_WORLD world = of_every_kind(&first);
    struct directory *second = up_to(&world, first);
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    for (size_t i = first; i < world.count; i++) {
        hash_directory(second, before);
        for (long n = 0;; n++) {
            starve(n);
            enum error error = directory_apply(second, buf_bytes(&world.leaves[i]));
            bool reached = starve_end();
            if (!reached) {
                assert_ok(error);
                break;
            }
            hash_directory(second, after);
            assert_error(error, E_NO_MEMORY);
            assert_memory_equal(before, after, HASH_SIZE);
        }
    }
    hash_directory(world.directory, before);
    hash_directory(second, after);
    assert_memory_equal(before, after, HASH_SIZE);
    directory_free(second);
}

/* A signature under another label does not count, whoever made it. */
static void newer_statement_signed_under_another_label_is_refused(void **state) {
    (void)state;
    AUTO_WORLD world = world_new();
    AUTO_BUF payload = {0}, joint_payload = {0};
    struct departure departure = departure_of("de", AUTHORITY);
    struct admission nomination = nomination_of("it", "Italy");
    departure_encode(&departure, &payload);
    admission_encode(&nomination, &joint_payload);
    for (unsigned label = 0; label < LABEL_COUNT; label++) {
        AUTO_BUF stamped = {0}, begun = {0}, joint = {0};
        if (label != LABEL_DEPARTURE) {
            assert_ok(stamp_sign_one((enum label)label, pair_of(AUTHORITY).secret, buf_bytes(&payload), &stamped));
            assert_error(world_leaf(&world, LEAF_DEPARTURE, buf_bytes(&stamped)), E_BAD_SIGNATURE);
        }
        if (label == LABEL_ADMISSION) continue;
        assert_ok(joint_begin(buf_bytes(&joint_payload), &begun));
        assert_ok(joint_sign((enum label)label, pair_of(REGISTRAR).secret, buf_bytes(&begun), &joint));
        assert_error(world_leaf(&world, LEAF_ADMISSION, buf_bytes(&joint)), E_BAD_SIGNATURE);
    }
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_post_receives_nothing_new_until_it_is_taken_back),
        cmocka_unit_test(split_is_the_authoritys_alone_and_covers_all_functions),
        cmocka_unit_test(split_into_a_revoked_or_split_post_is_refused),
        cmocka_unit_test(split_that_was_kept_back_does_not_undo_a_later_one),
        cmocka_unit_test(post_statement_that_was_kept_back_does_not_bring_a_former_key_back),
        cmocka_unit_test(older_post_statement_that_says_the_same_is_taken),
        cmocka_unit_test(revocation_of_a_post_takes_its_devices_for_good),
        cmocka_unit_test(authority_issues_a_device_too),
        cmocka_unit_test(live_device_renews_itself),
        cmocka_unit_test(renewal_changes_nothing_but_the_end),
        cmocka_unit_test(device_that_is_not_live_does_not_renew_itself),
        cmocka_unit_test(renewal_needs_no_room_among_the_posts_devices),
        cmocka_unit_test(deciding_sister_ends_a_lost_device),
        cmocka_unit_test(deciding_device_says_what_the_contact_card_hashes_to),
        cmocka_unit_test(an_older_contact_statement_undoes_nothing),
        cmocka_unit_test(nobody_else_speaks_for_the_contact_card),
        cmocka_unit_test(every_truncation_of_every_newer_statement_is_refused),
        cmocka_unit_test(every_bit_flip_of_every_newer_statement_is_refused_or_changes_the_time_only),
        cmocka_unit_test(every_newer_statement_survives_the_end_of_memory),
        cmocka_unit_test(newer_statement_signed_under_another_label_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
