/* relay_double.c - the real client against a relay that lies.
 *
 * Goal: whatever an answer says, the program ends in order with an exit code that means something, shows nothing false,
 * and once the relay is honest again everything is found and right. The lies are told by a double (double.h) that
 * stands between the built `pouch` (environment POUCH) and a real relay; a home is put back to what it was before each
 * lie. */
#include <jansson.h>
#include <stdio.h>

#include "mutate.h"
#include "stage.h"

enum { PLACES_A_TEST = 400 };

static struct actor eve; /* another party, so that there are other devices, leaves and prekeys */
static char note[SCENE_PATH];
static struct user ann = {.party = "fj", .post = "fj/technical"}, bob = {.party = "de", .post = "de/technical"};
static const char words[] = "Please look at this at once.\n";

static void be_honest(void) { double_script_set(&stage_double, NULL, NULL, NULL, false); }
static void be_honest_but_mute(void) { double_script_set(&stage_double, NULL, NULL, NULL, true); }

static void send_one(const char *subject, char id[static 2 * TEXT_ID_BYTES + 1]) {
    AUTO_RAN ran = {0};
    POUCH_GOOD(&ann, &ran, "send", "--to", "de", "--kind", "incident", "--tlp", "AMBER", "--precedence", "immediate",
               "-s", subject, "--summary", "A summary", note);
    stage_text_field((const char *)ran.out.p, "id", id, 2 * TEXT_ID_BYTES + 1);
}

static int raise_curtain(void **state) {
    (void)state;
    stage_open(NULL);
    snprintf(note, sizeof note, "%s/note.txt", stage_papers);
    scene_write_file(note, bytes_text(words));
    stage_make_user(&ann);
    stage_make_user(&bob);
    return 0;
}

static int lower_curtain(void **state) {
    (void)state;
    actor_free(&eve);
    stage_close();
    return 0;
}

/* ---- what may be shown ---- */

/* Lines of an inbox or a sent list. */
static json_t *lines_of(const struct ran *ran) {
    json_t *list = json_array();
    const char *at = (const char *)ran->out.p;
    while (*at) {
        json_error_t error;
        json_t *line = json_loads(at, JSON_DISABLE_EOF_CHECK, &error);
        if (!line) fail_msg("not JSON: %s", at);
        json_array_append_new(list, line);
        at = strchr(at, '\n');
        if (!at) break;
        at++;
    }
    return list;
}

static json_t *line_with(json_t *list, const char *id) {
    size_t i;
    json_t *line;
    json_array_foreach(list, i, line) if (strcmp(json_string_value(json_object_get(line, "id")), id) == 0) return line;
    return NULL;
}

/* Every line speaks of a request that there is, and each of its fields is right or null. */
static void assert_nothing_false(json_t *shown, json_t *truth, const char *what) {
    static const char *const fields[] = {"ref",        "from",     "subject",   "kind",   "tlp",
                                         "precedence", "exercise", "answer_by", "parent", "received"};
    size_t i;
    json_t *line;
    json_array_foreach(shown, i, line) {
        json_t *right = line_with(truth, json_string_value(json_object_get(line, "id")));
        if (!right) fail_msg("%s: a request is shown that nobody sent: %s", what, json_dumps(line, 0));
        for (size_t k = 0; k < LENGTH(fields); k++) {
            json_t *value = json_object_get(line, fields[k]);
            if (!json_is_null(value) && !json_equal(value, json_object_get(right, fields[k])))
                fail_msg("%s: %s is shown falsely: %s", what, fields[k], json_dumps(line, 0));
        }
    }
}

static json_t *inbox_of(const struct user *user, bool offline) {
    AUTO_RAN ran = {0};
    if (offline)
        POUCH_GOOD(user, &ran, "--offline", "inbox", "--all");
    else
        POUCH_GOOD(user, &ran, "inbox", "--all");
    return lines_of(&ran);
}

/* With an honest relay all is there. */
static void assert_all_found(const struct user *user, json_t *truth, const char *what) {
    json_t *shown = inbox_of(user, false);
    assert_nothing_false(shown, truth, what);
    if (json_array_size(shown) != json_array_size(truth))
        fail_msg("%s: %zu of %zu requests are found afterwards", what, json_array_size(shown), json_array_size(truth));
    size_t i;
    json_t *line;
    json_array_foreach(shown, i, line) if (json_is_null(json_object_get(line, "subject")))
        fail_msg("%s: a request stays sealed afterwards", what);
    json_decref(shown);
}

/* ---- lies ---- */

struct lie {
    enum message type;
    size_t place;
    enum mutation mutation;
    bool past, applied; /* no answer has such a place; one was changed */
};

static bool tell_lie(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                     void *context) {
    (void)relay_double;
    struct lie *lie = context;
    struct frame parts;
    AUTO_BUF body = {0};
    bool past = false;
    if (lie->type == MESSAGE_FETCHED) double_strip(row, frame);
    if (row->type != lie->type || frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    bool applied = mutate(parts.body, lie->place, lie->mutation, &body, &past);
    lie->past = lie->past && past;
    if (!applied || past) return true;
    lie->applied = true;
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

/* At each place one change of value, and one other mutation, each place another. */
static const enum mutation *choices(size_t place) {
    static enum mutation chosen[2];
    chosen[0] = MUTATE_VALUE;
    chosen[1] = (enum mutation)(place % MUTATE_COUNT);
    return chosen;
}

struct told {
    unsigned lies, noticed, exits[16];
};

static void describe(const struct lie *lie, char *ret, size_t room) {
    snprintf(ret, room, "%s, place %zu, mutation %u", message_row(lie->type)->name, lie->place,
             (unsigned)lie->mutation);
}

/* One sync by a liar, then by an honest relay. */
static void sync_with_lie(const struct user *user, struct lie *lie, json_t *truth, struct told *told) {
    AUTO_RAN ran = {0};
    char what[128];
    stage_put_back(user);
    double_script_set(&stage_double, tell_lie, NULL, lie, true);
    POUCH(user, &ran, "sync");
    if (!lie->applied) return;
    describe(lie, what, sizeof what);
    told->lies++;
    told->exits[ran.exit & 15]++;
    told->noticed += ran.exit != 0 || !strstr((const char *)ran.out.p, "\"alarms\": 0");
    json_t *shown = inbox_of(user, true);
    assert_nothing_false(shown, truth, what);
    json_decref(shown);
    be_honest_but_mute();
    assert_all_found(user, truth, what);
}

static void all_lies(const struct user *user, enum message type, json_t *truth, unsigned least) {
    struct told told = {0};
    bool past = false;
    for (size_t place = 0; !past && place < PLACES_A_TEST; place++)
        for (size_t k = 0; k < 2 && !past; k++) {
            struct lie lie = {.type = type, .place = place, .mutation = choices(place)[k], .past = true};
            sync_with_lie(user, &lie, truth, &told);
            past = lie.past;
        }
    print_message("%s: %u lies, %u noticed; exit codes", message_row(type)->name, told.lies, told.noticed);
    for (size_t i = 0; i < LENGTH(told.exits); i++)
        if (told.exits[i]) print_message(" %zu: %u", i, told.exits[i]);
    print_message("\n");
    assert_true(told.lies >= least);
    stage_put_back(user);
}

/* ---- the acts, in this order ---- */

static void settle_in(void) {
    AUTO_RAN ran = {0};
    be_honest();
    stage_join(&bob, &ran);
    if (ran.exit != 0) fail_msg("joining: %s", (const char *)ran.err.p);
    POUCH_GOOD(&bob, &ran, "sync");
    stage_save(&bob);
    actor_join(&stage_relay, "xx/evil", &eve);
}

/* A home that has been put back would make other day keys for the same days, which the relay rightly refuses; so here
 * the lies are told to one home after the other, until one of them is believed or not worth a word: joining can be
 * repeated in any case. */
static void no_lie_about_joining_lasts(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    static const enum message types[] = {MESSAGE_LEAVES, MESSAGE_WELCOME, MESSAGE_DONE};
    be_honest();
    stage_join(&ann, &ran);
    assert_int_equal(ran.exit, 0);
    for (size_t i = 0; i < LENGTH(types); i++) {
        bool past = false;
        unsigned lies = 0;
        for (size_t place = 0; !past && place < PLACES_A_TEST; place += 1 + place / 40)
            for (size_t k = 0; k < 2 && !past; k++) {
                struct lie lie = {.type = types[i], .place = place, .mutation = choices(place)[k], .past = true};
                double_script_set(&stage_double, tell_lie, NULL, &lie, false);
                stage_join(&bob, &ran);
                past = lie.past;
                lies += lie.applied;
            }
        assert_true(lies > 0);
    }
    settle_in();
}

/* For those who were not there when joining was lied about. */
static int raise_joined(void **state) {
    AUTO_RAN ran = {0};
    raise_curtain(state);
    be_honest();
    stage_join(&ann, &ran);
    assert_int_equal(ran.exit, 0);
    settle_in();
    return 0;
}

static json_t *one_request(const char *subject) {
    char id[2 * TEXT_ID_BYTES + 1];
    be_honest();
    send_one(subject, id);
    be_honest_but_mute();
    json_t *truth = inbox_of(&bob, false);
    assert_non_null(line_with(truth, id));
    assert_string_equal(json_string_value(json_object_get(line_with(truth, id), "subject")), subject);
    stage_put_back(&bob);
    return truth;
}

static void no_lie_about_requests_lasts(void **state) {
    (void)state;
    struct actor late; /* leaves that bob has not seen */
    actor_join(&stage_relay, "yy/late", &late);
    actor_free(&late);
    json_t *truth = one_request("First");
    all_lies(&bob, MESSAGE_WELCOME, truth, 15);
    all_lies(&bob, MESSAGE_LEAVES, truth, 30);
    all_lies(&bob, MESSAGE_HEADS, truth, 3);
    all_lies(&bob, MESSAGE_FEED, truth, 100);
    all_lies(&bob, MESSAGE_FETCHED, truth, 8);
    json_decref(truth);
}

/* ---- lies that are told with a plan ---- */

static bool earlier_answer(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                           void *context) {
    const enum message *type = context;
    if (row->type == *type && relay_double->before[row->type].n)
        double_replace_body(frame, buf_bytes(&relay_double->before[row->type]));
    return true;
}

struct feed_plan {
    bool reverse, only_last, empty, swap_wrapsets, renumber;
};

/* The items as objects, so that they can be put together otherwise. */
static void rebuild_feed(const struct feed_plan *plan, const struct feed *feed, struct buf *out) {
    struct item items[FEED_MAX];
    size_t count = 0, kept = 0;
    struct list list = feed->items;
    AUTO_BUF rest = {0};
    struct buf body[2] = {0};
    while (item_next(&list, &items[count])) count++;
    if (plan->swap_wrapsets && count >= 2 && items[0].kind == ITEM_OFFERED && items[1].kind == ITEM_OFFERED) {
        struct offered one, two;
        if (offered_decode(items[0].body, &one) != E_OK || offered_decode(items[1].body, &two) != E_OK) return;
        struct bytes wrapset = one.wrapset;
        one.wrapset = two.wrapset;
        two.wrapset = wrapset;
        offered_encode(&one, &body[0]);
        offered_encode(&two, &body[1]);
        items[0].body = buf_bytes(&body[0]);
        items[1].body = buf_bytes(&body[1]);
    }
    for (size_t i = 0; i < count && !plan->empty; i++) {
        if (plan->only_last && i + 1 < count) continue;
        struct item item = items[plan->reverse ? count - 1 - i : i];
        if (plan->renumber) item.number = items[kept].number;
        item_encode(&item, &rest);
        kept++;
    }
    feed_encode(&(struct feed){.items = list_of(&rest, kept), .newest = plan->empty ? 0 : feed->newest}, out);
    for (size_t i = 0; i < 2; i++) buf_free(&body[i]);
}

static bool other_feed(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                       void *context) {
    (void)relay_double;
    struct frame parts;
    struct feed feed;
    AUTO_BUF body = {0};
    if (row->type != MESSAGE_FEED || frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    if (feed_decode(parts.body, &feed) != E_OK || feed.items.count == 0) return true;
    rebuild_feed(context, &feed, &body);
    if (body.n) double_replace_body(frame, buf_bytes(&body));
    return true;
}

static void reordered_withheld_and_mixed_up_requests_are_found_in_the_end(void **state) {
    (void)state;
    static const struct feed_plan plans[] = {{.reverse = true},
                                             {.only_last = true},
                                             {.empty = true},
                                             {.swap_wrapsets = true},
                                             {.reverse = true, .renumber = true},
                                             {.only_last = true, .renumber = true}};
    char id[2 * TEXT_ID_BYTES + 1];
    be_honest();
    send_one("Second", id);
    json_t *truth = one_request("Third");
    assert_int_equal(json_array_size(truth), 3);
    for (size_t i = 0; i < LENGTH(plans); i++) {
        AUTO_RAN ran = {0};
        char what[32];
        snprintf(what, sizeof what, "feed plan %zu", i);
        stage_put_back(&bob);
        double_script_set(&stage_double, other_feed, NULL, (void *)(uintptr_t)&plans[i], true);
        POUCH(&bob, &ran, "sync");
        json_t *shown = inbox_of(&bob, true);
        assert_nothing_false(shown, truth, what);
        json_decref(shown);
        be_honest_but_mute();
        assert_all_found(&bob, truth, what);
    }
    stage_put_back(&bob);
    json_decref(truth);
}

/* Several heads at once: it is asked. */
static void no_lie_about_how_the_evidence_log_has_grown_is_believed(void **state) {
    (void)state;
    json_t *truth = one_request("How it grows");
    all_lies(&bob, MESSAGE_LOG, truth, 5);
    json_decref(truth);
}

static void an_answer_of_yesterday_is_no_answer_of_today(void **state) {
    (void)state;
    static enum message types[] = {MESSAGE_WELCOME, MESSAGE_LEAVES, MESSAGE_FEED, MESSAGE_FETCHED, MESSAGE_LOG};
    json_t *truth = one_request("Fourth");
    for (size_t i = 0; i < LENGTH(types); i++) {
        AUTO_RAN ran = {0};
        stage_put_back(&bob);
        double_script_set(&stage_double, earlier_answer, NULL, &types[i], true);
        POUCH(&bob, &ran, "sync");
        json_t *shown = inbox_of(&bob, true);
        assert_nothing_false(shown, truth, message_row(types[i])->name);
        json_decref(shown);
        be_honest_but_mute();
        assert_all_found(&bob, truth, message_row(types[i])->name);
    }
    stage_put_back(&bob);
    json_decref(truth);
}

/* A directory that is shorter, or has another root, than what this home has seen. */
struct fork_plan {
    bool shorter, other_root;
};
static bool forked(struct double_relay *relay_double, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay_double;
    const struct fork_plan *plan = context;
    struct frame parts;
    AUTO_BUF body = {0};
    if (frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    if (row->type == MESSAGE_WELCOME) {
        struct welcome welcome;
        if (welcome_decode(parts.body, &welcome) != E_OK) return true;
        welcome.size -= plan->shorter;
        welcome.root[0] ^= plan->other_root || plan->shorter;
        welcome_encode(&welcome, &body);
    } else if (row->type == MESSAGE_LEAVES) {
        struct leaves leaves;
        if (leaves_decode(parts.body, &leaves) != E_OK) return true;
        leaves.size -= plan->shorter;
        leaves.root[0] ^= plan->other_root || plan->shorter;
        leaves_encode(&leaves, &body);
    } else {
        return true;
    }
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

static void a_directory_that_contradicts_the_one_seen_stops_the_client(void **state) {
    (void)state;
    static const struct fork_plan plans[] = {{.shorter = true}, {.other_root = true}};
    AUTO_RAN ran = {0};
    be_honest_but_mute();
    stage_put_back(&bob);
    POUCH_GOOD(&bob, &ran, "sync");
    for (size_t i = 0; i < LENGTH(plans); i++) {
        double_script_set(&stage_double, forked, NULL, (void *)(uintptr_t)&plans[i], true);
        POUCH(&bob, &ran, "sync");
        assert_int_equal(ran.exit, 4);
        assert_non_null(strstr((const char *)ran.err.p, "directory-forked"));
    }
    be_honest_but_mute();
    POUCH_GOOD(&bob, &ran, "sync");
    stage_put_back(&bob);
}

/* ---- sending ---- */

/* Puts eve's prekey where bob's stood. */
static bool other_prekey(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                         void *context) {
    (void)relay_double;
    (void)context;
    struct frame parts;
    struct prekeys prekeys;
    AUTO_BUF body = {0}, list = {0};
    if (row->type != MESSAGE_PREKEYS || frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    if (prekeys_decode(parts.body, &prekeys) != E_OK) return true;
    cbor_put_bytes(&list, buf_bytes(&eve.prekeys[0]));
    prekeys.prekeys = list_of(&list, 1);
    prekeys_encode(&prekeys, &body);
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

/* Has the client sealed anything for eve? */
static bool watch_wraps(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                        void *context) {
    (void)relay_double;
    bool *sealed = context;
    struct frame parts;
    struct submit submit;
    struct bytes stamped, payload;
    struct wrapset set;
    struct wrap wrap;
    if (row->type != MESSAGE_SUBMIT || frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    if (submit_decode(parts.body, &submit) != E_OK) return true;
    while (list_next_bytes(&submit.wrapsets, &stamped))
        if (stamp_peek(stamped, &payload) == E_OK && wrapset_decode(payload, &set) == E_OK)
            while (wrap_next(&set.wraps, &wrap))
                *sealed = *sealed || memcmp(wrap.device, eve.device.public, KEY_SIZE) == 0 ||
                          memcmp(wrap.prekey, eve.prekey_ids, PREKEY_ID_SIZE) == 0;
    return true;
}

static void nothing_is_sealed_for_a_substituted_prekey(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    bool sealed = false;
    double_script_set(&stage_double, other_prekey, watch_wraps, &sealed, false);
    POUCH(&ann, &ran, "send", "--to", "de", "-s", "Not for eve", note);
    assert_false(sealed);
    double_script_set(&stage_double, NULL, watch_wraps, &sealed, false);
    POUCH_GOOD(&ann, &ran, "sync"); /* goes now, for bob alone */
    assert_false(sealed);
    json_t *inbox = inbox_of(&bob, false);
    bool found = false;
    size_t i;
    json_t *line;
    json_array_foreach(inbox, i, line) {
        const char *subject = json_string_value(json_object_get(line, "subject"));
        found = found || (subject && strcmp(subject, "Not for eve") == 0);
    }
    assert_true(found);
    json_decref(inbox);
}

static unsigned send_with_lies(enum message type, json_t *ids, unsigned *sends) {
    unsigned lies = 0;
    bool past = false;
    for (size_t place = 0; !past && place < PLACES_A_TEST; place += 1 + place / 25)
        for (size_t k = 0; k < 2 && !past; k++) {
            AUTO_RAN ran = {0};
            char id[2 * TEXT_ID_BYTES + 1];
            struct lie lie = {.type = type, .place = place, .mutation = choices(place)[k], .past = true};
            double_script_set(&stage_double, tell_lie, NULL, &lie, false);
            POUCH(&ann, &ran, "send", "--to", "de", "--exercise", "-s", "Under lies", note);
            past = lie.past;
            lies += lie.applied;
            (*sends)++;
            if (!ran.out.n) continue;
            stage_text_field((const char *)ran.out.p, "id", id, sizeof id);
            json_array_append_new(ids, json_string(id));
        }
    return lies;
}

/* Whatever the relay said about them, all requests that were sent are stored in the end, and found by the recipient. */
static void no_lie_about_what_is_sent_lasts(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    json_t *ids = json_array(), *id;
    size_t i;
    unsigned sends = 0, found = 0;
    assert_true(send_with_lies(MESSAGE_PREKEYS, ids, &sends) > 5);
    assert_true(send_with_lies(MESSAGE_SUBMITTED, ids, &sends) > 20);
    be_honest();
    POUCH_GOOD(&ann, &ran, "sync");
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sent", "--all");
    json_t *sent = lines_of(&ran), *inbox = inbox_of(&bob, false);
    json_array_foreach(ids, i, id) {
        json_t *line = line_with(sent, json_string_value(id));
        assert_non_null(line);
        const char *is = json_string_value(json_object_get(line, "state"));
        if (strcmp(is, "notified") != 0) fail_msg("%s is %s", json_string_value(id), is);
        if (!line_with(inbox, json_string_value(id)))
            fail_msg("%s is not in the recipient's inbox", json_string_value(id));
    }
    json_array_foreach(sent, i, id) {
        const char *subject = json_string_value(json_object_get(id, "subject"));
        found += subject && strcmp(subject, "Under lies") == 0;
    }
    print_message("%u sends, %u found, %zu with an id\n", sends, found, json_array_size(ids));
    json_decref(ids);
    json_decref(sent);
    json_decref(inbox);
}

/* ---- deciding ---- */

/* Nor anything along with an answer. */
static bool no_chunks(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                      void *context) {
    (void)relay_double;
    (void)context;
    struct frame parts;
    double_strip(row, frame);
    if (row->type != MESSAGE_FETCHED || frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    uint64_t number = parts.number;
    buf_clear(frame);
    message_encode_failure(number, E_OVER_QUOTA, "not now", frame);
    return true;
}

static void show_body(const char *id, struct ran *ran, bool offline) {
    if (offline)
        POUCH(&bob, ran, "--offline", "show", id, "--body", "-");
    else
        POUCH(&bob, ran, "show", id, "--body", "-");
}

static void no_lie_about_a_body_is_read(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    be_honest();
    send_one("With a body", id);
    POUCH_GOOD(&bob, &ran, "sync");
    double_script_set(&stage_double, no_chunks, NULL, NULL, false);
    POUCH(&bob, &ran, "accept", id);
    stage_save(&bob);
    bool past = false;
    unsigned lies = 0;
    for (size_t place = 0; !past; place++)
        for (unsigned mutation = 0; mutation < MUTATE_COUNT && !past; mutation++) {
            struct lie lie = {
                .type = MESSAGE_FETCHED, .place = place, .mutation = (enum mutation)mutation, .past = true};
            stage_put_back(&bob);
            double_script_set(&stage_double, tell_lie, NULL, &lie, true);
            POUCH(&bob, &ran, "sync");
            past = lie.past;
            if (!lie.applied) continue;
            lies++;
            show_body(id, &ran, true);
            if (ran.exit == 0) assert_string_equal((const char *)ran.out.p, words);
            be_honest_but_mute();
            show_body(id, &ran, false);
            if (ran.exit != 0) fail_msg("after a lie (place %zu, mutation %u): %s", place, mutation, (char *)ran.err.p);
            assert_string_equal((const char *)ran.out.p, words);
        }
    assert_true(lies > 40);
}

static void state_of(const char *id, char *ret, size_t room) {
    json_t *inbox = inbox_of(&bob, true);
    json_t *line = line_with(inbox, id);
    assert_non_null(line);
    snprintf(ret, room, "%s", json_string_value(json_object_get(line, "state")));
    json_decref(inbox);
}

/* A decision counts when the relay's receipt for it holds, not before. */
static void no_lie_about_a_decision_lasts(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1], is[32];
    be_honest();
    send_one("To be declined", id);
    be_honest();
    POUCH_GOOD(&bob, &ran, "sync");
    stage_save(&bob);
    bool past = false;
    unsigned lies = 0;
    for (size_t place = 0; !past && place < PLACES_A_TEST; place += 1 + place / 40)
        for (size_t k = 0; k < 2 && !past; k++) {
            struct lie lie = {.type = MESSAGE_STATED, .place = place, .mutation = choices(place)[k], .past = true};
            stage_put_back(&bob);
            POUCH(&bob, &ran, "--offline", "decline", id, "--note", "not now"); /* waits in the outbox */
            double_script_set(&stage_double, tell_lie, NULL, &lie, false);
            POUCH(&bob, &ran, "sync");
            past = lie.past;
            if (!lie.applied) continue;
            lies++;
            state_of(id, is, sizeof is);
            if (strcmp(is, "notified") != 0 && strcmp(is, "declined") != 0) fail_msg("it is shown as %s", is);
            be_honest();
            POUCH(&bob, &ran, "sync");
            state_of(id, is, sizeof is);
            assert_string_equal(is, "declined");
        }
    print_message("STATED: %u lies\n", lies);
    assert_true(lies > 20);
    be_honest();
    POUCH_GOOD(&ann, &ran, "sync");
}

static bool no_statements(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                          void *context) {
    (void)relay_double;
    (void)context;
    struct frame parts;
    if (row->type != MESSAGE_STATED || frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    uint64_t number = parts.number;
    buf_clear(frame);
    message_encode_failure(number, E_MALFORMED, "never", frame);
    return true;
}

/* What does not go out must not keep out what comes in. */
static void a_relay_that_takes_no_statement_cannot_stop_the_inbox(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char decided[2 * TEXT_ID_BYTES + 1], later[2 * TEXT_ID_BYTES + 1], is[32];
    be_honest();
    send_one("Declined in vain", decided);
    POUCH_GOOD(&bob, &ran, "sync");
    send_one("Comes all the same", later);
    POUCH(&bob, &ran, "--offline", "decline", decided);
    double_script_set(&stage_double, no_statements, NULL, NULL, false);
    POUCH(&bob, &ran, "sync");
    assert_int_not_equal(ran.exit, 0);
    json_t *inbox = inbox_of(&bob, true);
    assert_non_null(line_with(inbox, later));
    json_decref(inbox);
    be_honest();
    POUCH_GOOD(&bob, &ran, "sync");
    state_of(decided, is, sizeof is);
    assert_string_equal(is, "declined");
}

/* ---- cards and parcels ---- */

/* What the user is shown, offline: `words` and an exit code of 0. */
static bool shows(const struct user *user, const char *word, const char *const *words_of) {
    AUTO_RAN ran = {0};
    double_become(&stage_double, user->secret, user->public);
    stage_run(user->home, &ran, words_of);
    return ran.exit == 0 && strstr((const char *)ran.out.p, word);
}

struct shown {
    const char *word;            /* must be shown in the end */
    const char *const *words_of; /* by this command, offline */
};

/* Asking on drops what was given; here it is to be there for the next lie: the question goes to a box that is empty. */
static bool keep_boxes(struct double_relay *relay_double, const struct message_row *row, struct buf *frame,
                       void *context) {
    (void)relay_double;
    (void)context;
    struct frame parts;
    struct get get;
    AUTO_BUF body = {0};
    if (row->type != MESSAGE_GET || frame_decode(buf_bytes(frame), &parts) != E_OK) return true;
    if (get_decode(parts.body, &get) != E_OK || get.after == 0) return true;
    memset(get.box, 7, sizeof get.box);
    get.after = 0;
    get_encode(&get, &body);
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

/* Whatever was said, the truth is shown once the relay is honest. */
static unsigned lies_about(const struct user *user, enum message type, const struct shown *shown) {
    bool past = false;
    unsigned lies = 0;
    for (size_t place = 0; !past && place < PLACES_A_TEST; place++)
        for (unsigned mutation = 0; mutation < MUTATE_COUNT && !past; mutation++) {
            AUTO_RAN ran = {0};
            char what[128];
            struct lie lie = {.type = type, .place = place, .mutation = (enum mutation)mutation, .past = true};
            describe(&lie, what, sizeof what);
            stage_put_back(user);
            double_script_set(&stage_double, tell_lie, keep_boxes, &lie, true);
            POUCH(user, &ran, "sync");
            past = lie.past;
            if (!lie.applied) continue;
            lies++;
            double_script_set(&stage_double, NULL, keep_boxes, NULL, true);
            POUCH(user, &ran, "sync");
            POUCH_GOOD(user, &ran, "sync");
            if (!shows(user, shown->word, shown->words_of)) fail_msg("%s: %s is not shown", what, shown->word);
        }
    print_message("%s: %u lies\n", message_row(type)->name, lies);
    return lies;
}

static void no_lie_about_a_contact_card_lasts(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    static const char *const show[] = {"--offline", "card", "show", "fj/technical", NULL};
    be_honest();
    POUCH_GOOD(&bob, &ran, "sync");
    stage_save(&bob);
    POUCH_GOOD(&ann, &ran, "card", "set", "office", "Harbour watch");
    assert_true(lies_about(&bob, MESSAGE_CONTACTCARD, &(struct shown){"\"Harbour watch\"", show}) > 20);
    be_honest();
}

/* A sister's parcel: a secret that is shared with another party. */
static void no_lie_about_a_parcel_lasts(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[64];
    struct user second = {.party = "fj-second", .post = ann.post};
    static const char *const list[] = {"--offline", "pair", "list", NULL};
    snprintf(second.home, sizeof second.home, "%s/home-second", stage_papers);
    snprintf(second.saved, sizeof second.saved, "%s/saved-second", stage_papers);
    be_honest();
    stage_run(second.home, &ran, (const char *const[]){"init", ann.post, "--device", "--no-passphrase", NULL});
    stage_run(
        ann.authority, &ran,
        (const char *const[]){"authority", "certify", "fj-technical-device.request", "-o", "fj-second.cert", NULL});
    assert_int_equal(ran.exit, 0);
    double_transport_of(second.home, second.secret, second.public);
    stage_join(&second, &ran);
    POUCH_GOOD(&second, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sync");
    POUCH_GOOD(&second, &ran, "sync");
    stage_save(&second);
    POUCH_GOOD(&ann, &ran, "pair", "new", "de");
    stage_text_field((const char *)ran.out.p, "id", id, sizeof id);
    POUCH_GOOD(&ann, &ran, "sync");
    assert_true(lies_about(&second, MESSAGE_BOX, &(struct shown){id, list}) > 10);
    be_honest();
}

/* Two halves, which may run beside each other: `requests`, `bodies`; without a word both. */
int main(int argc, char **argv) {
    const struct CMUnitTest requests[] = {
        cmocka_unit_test(no_lie_about_joining_lasts),
        cmocka_unit_test(no_lie_about_requests_lasts),
        cmocka_unit_test(reordered_withheld_and_mixed_up_requests_are_found_in_the_end),
        cmocka_unit_test(no_lie_about_how_the_evidence_log_has_grown_is_believed),
        cmocka_unit_test(an_answer_of_yesterday_is_no_answer_of_today),
        cmocka_unit_test(a_directory_that_contradicts_the_one_seen_stops_the_client),
        cmocka_unit_test(nothing_is_sealed_for_a_substituted_prekey),
        cmocka_unit_test(no_lie_about_what_is_sent_lasts),
    };
    const struct CMUnitTest bodies[] = {
        cmocka_unit_test(no_lie_about_a_body_is_read),
        cmocka_unit_test(no_lie_about_a_decision_lasts),
        cmocka_unit_test(a_relay_that_takes_no_statement_cannot_stop_the_inbox),
        cmocka_unit_test(no_lie_about_a_contact_card_lasts),
        cmocka_unit_test(no_lie_about_a_parcel_lasts),
    };
    const char *half = argc == 2 ? argv[1] : "";
    int failed = 0;
    if (strcmp(half, "bodies") != 0)
        failed += cmocka_run_group_tests_name("a relay that lies, of requests", requests, raise_curtain, lower_curtain);
    if (strcmp(half, "requests") != 0)
        failed += cmocka_run_group_tests_name("a relay that lies, of bodies", bodies, raise_joined, lower_curtain);
    return failed;
}
