/* tampering.c - the real client against a relay that changes one field of what it says, every field in its turn.
 *
 * Goal: whatever field of whatever object is changed, in whatever way, with the signature as it was or - where the
 * relay's own key signs - anew, the client names it (an exit code that means something, or an alarm) unless the table
 * tamper.def says that it may go by, because it says nothing that matters; it never shows what is not true; and with
 * an honest relay it has everything, once. A field without a row fails, and so does a row without a field.
 *
 * Arguments: one change in so many; the places that begin so. TAMPER_TELL in the environment: says what each change
 * led to, and goes on where it should stop. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "directory.h"
#include "stage.h"
#include "tamper.h"

/* ---- the table ---- */

#define FLIP (1U << CHANGE_FLIP)
#define REMOVE (1U << CHANGE_REMOVE)
#define EMPTY (1U << CHANGE_EMPTY)
#define OTHER (1U << CHANGE_OTHER)
#define PLUS (1U << CHANGE_PLUS)
#define MINUS (1U << CHANGE_MINUS)
#define ZERO (1U << CHANGE_ZERO)
#define MOST (1U << CHANGE_MOST)
#define TWICE (1U << CHANGE_TWICE)
#define REVERSE (1U << CHANGE_REVERSE)
#define ADD (1U << CHANGE_ADD)
#define NAMED 0U

static const struct row {
    const char *object, *field;
    unsigned quiet; /* these changes may go by without a word; all others must be named */
    const char *why;
} rows[] = {
#define TAMPER(object, field, quiet, why) {#object, #field, quiet, why},
#define UNPLAYED(object, why)
#include "tamper.def"
#undef TAMPER
#undef UNPLAYED
};

static const struct unplayed {
    const char *object, *why;
} unplayed[] = {
#define TAMPER(object, field, quiet, why)
#define UNPLAYED(object, why) {#object, why},
#include "tamper.def"
#undef TAMPER
#undef UNPLAYED
};

static const struct row *row_of(const struct object *object, const struct field *field) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].object, object->name) == 0 && strcmp(rows[i].field, field->name) == 0) return &rows[i];
    return NULL;
}

struct counted {
    size_t fields, missing;
};
static void count_field(const struct object *object, const struct field *field, void *context) {
    struct counted *counted = context;
    counted->fields++;
    if (row_of(object, field)) return;
    counted->missing++;
    print_message("TAMPER(%s, %s, NAMED, \"\")\n", object->name, field->name);
}

static void every_field_of_every_object_has_its_row(void **state) {
    (void)state;
    struct counted counted = {0};
    tamper_every_field(count_field, &counted);
    assert_int_equal(counted.missing, 0);
    assert_int_equal(counted.fields, LENGTH(rows));
    for (size_t i = 0; i < LENGTH(rows); i++)
        if ((rows[i].quiet != 0) != (rows[i].why[0] != 0)) fail_msg("%s.%s: why?", rows[i].object, rows[i].field);
}

/* ---- the play ---- */

static char note[SCENE_PATH];
static char first[2 * TEXT_ID_BYTES + 1], second[2 * TEXT_ID_BYTES + 1], third[2 * TEXT_ID_BYTES + 1];
static struct user ann = {.party = "fj", .post = "fj/technical"}, bob = {.party = "de", .post = "de/technical"};
static struct tamper tamper;
static const char *only = ""; /* of the places, those that begin so; for looking closer */
static unsigned every = 1;    /* of the changes, one in so many */

static void be_honest(void) { double_script_set(&stage_double, NULL, NULL, NULL, false); }

static void ann_sends(const char *subject, char id[static 2 * TEXT_ID_BYTES + 1]) {
    AUTO_RAN ran = {0};
    POUCH_GOOD(&ann, &ran, "send", "--to", "de", "--kind", "incident", "--tlp", "AMBER", "-s", subject, "--summary",
               "A summary", note);
    stage_text_field((const char *)ran.out.p, "id", id, 2 * TEXT_ID_BYTES + 1);
}

/* Longer than what comes along with an acceptance: the rest of it is fetched. */
static void write_note(void) {
    static char text[CHUNK_PLAIN + 1000];
    snprintf(note, sizeof note, "%s/note.txt", stage_papers);
    for (size_t i = 0; i < sizeof text; i++) text[i] = "Please look at this at once.\n"[i % 29];
    scene_write_file(note, bytes_of((const uint8_t *)text, sizeof text));
}

static int raise_curtain(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    stage_open(NULL);
    write_note();
    stage_make_user(&ann);
    stage_make_user(&bob);
    stage_join(&ann, &ran);
    assert_int_equal(ran.exit, 0);
    stage_join(&bob, &ran);
    assert_int_equal(ran.exit, 0);
    POUCH_GOOD(&ann, &ran, "sync");
    POUCH_GOOD(&bob, &ran, "sync");
    ann_sends("Before", first); /* nobody begins without a head */
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sync");
    tamper_open(&tamper, &stage_relay);
    return 0;
}

static int lower_curtain(void **state) {
    (void)state;
    tamper_close(&tamper);
    stage_close();
    return 0;
}

/* ---- what is shown ---- */

#define COMPLAIN(...)                                                                                                  \
    do {                                                                                                               \
        if (!getenv("TAMPER_TELL")) fail_msg(__VA_ARGS__);                                                             \
        print_message("WRONG " __VA_ARGS__);                                                                           \
        print_message("\n");                                                                                           \
    } while (0)
static json_t *lines_of(const struct ran *ran) {
    json_t *list = json_array();
    for (const char *at = (const char *)ran->out.p; at && *at;) {
        json_error_t error;
        json_t *line = json_loads(at, JSON_DISABLE_EOF_CHECK, &error);
        if (!line) fail_msg("not JSON: %s", at);
        json_array_append_new(list, line);
        at = strchr(at, '\n');
        if (at) at++;
    }
    return list;
}

static json_t *line_with(json_t *list, const char *id) {
    size_t i;
    json_t *line;
    json_array_foreach(list, i, line) if (strcmp(json_string_value(json_object_get(line, "id")), id) == 0) return line;
    return NULL;
}

/* An act: what is done, again and again, from the same home. */
struct act {
    const char *name;
    struct user *user;
    const char *const *words;
    const char *list;          /* what is shown to the user: `inbox` or `sent` */
    const char *const *states; /* that the requests were in, one after the other; ends with NULL */
    enum message types[8];
    bool mute, failing;
    bool goes_on; /* each time is another request: nothing is put back, and all are looked at in the end */
    json_t *truth;
};

static json_t *shown_to(const struct act *act, bool offline) {
    AUTO_RAN ran = {0};
    if (offline)
        POUCH(act->user, &ran, "--offline", act->list, "--all");
    else
        POUCH(act->user, &ran, act->list, "--all");
    if (ran.exit != 0) COMPLAIN("%s ends with %d: %s", act->list, ran.exit, (const char *)ran.err.p);
    return lines_of(&ran);
}

static bool was_once(const struct act *act, json_t *is) {
    for (const char *const *state = act->states; *state; state++)
        if (json_is_string(is) && strcmp(json_string_value(is), *state) == 0) return true;
    return false;
}

/* All that is shown is so, or was so, or is not known yet. */
static void assert_nothing_false(const struct act *act, json_t *shown, const char *what) {
    size_t i;
    json_t *line, *value;
    const char *name;
    json_array_foreach(shown, i, line) {
        json_t *right = line_with(act->truth, json_string_value(json_object_get(line, "id")));
        if (!right) COMPLAIN("%s: a request is shown that nobody sent: %s", what, json_dumps(line, 0));
        if (!right) continue;
        json_object_foreach(line, name, value) {
            bool state = strcmp(name, "state") == 0 || strcmp(name, "states") == 0 || strcmp(name, "legs") == 0;
            if (json_is_null(value) || json_equal(value, json_object_get(right, name))) continue;
            if (state && (!json_is_string(value) || was_once(act, value))) continue;
            COMPLAIN("%s: %s is shown falsely: %s, not %s", what, name, json_dumps(line, 0), json_dumps(right, 0));
        }
    }
}

/* Everything, once, and as it is; the order may be another, that of arriving. */
static void assert_all_there(const struct act *act, const char *what) {
    json_t *shown = shown_to(act, false), *line, *value;
    size_t i;
    const char *name;
    if (json_array_size(shown) != json_array_size(act->truth))
        COMPLAIN("%s: afterwards there are %zu of %zu", what, json_array_size(shown), json_array_size(act->truth));
    json_array_foreach(act->truth, i, line) {
        json_t *is = line_with(shown, json_string_value(json_object_get(line, "id")));
        if (!is) COMPLAIN("%s: lost: %s", what, json_dumps(line, 0));
        json_object_foreach(line, name, value) {
            if (json_equal(value, json_object_get(is, name))) continue;
            COMPLAIN("%s: afterwards %s is %s", what, name, json_dumps(json_object_get(is, name), JSON_ENCODE_ANY));
        }
    }
    json_decref(shown);
}

/* ---- changes ---- */

static bool is_of(const struct act *act, enum message type) {
    for (size_t i = 0; i < LENGTH(act->types); i++)
        if (act->types[i] == type) return true;
    return false;
}

static bool failing; /* FEED is answered with an error, which is tampered with in its turn */

static const struct message_row *fail_instead(const struct message_row *row, struct buf *frame) {
    if (!failing || row->type != MESSAGE_FEED) return row;
    struct frame parts;
    struct failed failed = {
        .error = E_NOT_ALLOWED, .has_detail = true, .detail = bytes_text("not now"), .has_retry_s = true, .retry_s = 1};
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    uint64_t number = parts.number;
    buf_clear(frame);
    message_encode(MESSAGE_FAILURE, number, &failed, frame);
    return message_row(MESSAGE_FAILURE);
}

static bool look(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    struct frame parts;
    row = fail_instead(row, frame);
    if (!is_of(context, row->type)) return true;
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    tamper_look(&tamper, row->type, parts.body);
    return true;
}

static bool change_it(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    struct tamper_aim *aim = context;
    struct frame parts;
    AUTO_BUF body = {0};
    row = fail_instead(row, frame);
    if (row->type != aim->field->type) return true;
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    tamper_body(&tamper, aim, row->type, parts.body, &body);
    if (!bytes_equal(buf_bytes(&body), parts.body)) double_replace_body(frame, buf_bytes(&body));
    return true;
}

static void run(const struct act *act, struct ran *ran) {
    double_become(&stage_double, act->user->secret, act->user->public);
    stage_run(act->user->home, ran, act->words);
}

static bool is_named(const struct ran *ran) {
    const char *out = (const char *)ran->out.p;
    if (ran->exit != 0) return strstr((const char *)ran->err.p, "\"error\"") || strstr(out, "\"findings\"");
    return strstr(out, "\"alarms\"") && !strstr(out, "\"alarms\": 0");
}

struct told {
    unsigned changes, named, fields, exits[16];
    unsigned turn; /* changes that might have been made; every act begins with the first */
};

/* One change in one session. */
static void tell(const struct act *act, struct tamper_aim *aim, struct told *told) {
    AUTO_RAN ran = {0};
    char what[TAMPER_PATH + 64];
    snprintf(what, sizeof what, "%s: %s%s", aim->field->path, change_names[aim->change],
             aim->anew ? ", signed anew" : "");
    if (!act->goes_on) stage_put_back(act->user);
    double_script_set(&stage_double, change_it, NULL, aim, act->mute);
    run(act, &ran);
    if (!aim->applied) return;
    told->changes++;
    told->exits[ran.exit & 15]++;
    bool named = is_named(&ran), sealed = aim->field->own && !aim->anew;
    told->named += named;
    const struct row *row = row_of(aim->field->object, aim->field->field);
    bool may = !sealed && (row->quiet & 1U << aim->change);
    if (getenv("TAMPER_TELL"))
        print_message("%s: exit %d, %s: %s%s\n", named ? "NAMED" : "QUIET", ran.exit, what, (char *)ran.err.p,
                      (char *)ran.out.p);
    if (!named && !may) COMPLAIN("%s: not a word: %s", what, (const char *)ran.out.p);
    if (act->goes_on) return;
    json_t *shown = shown_to(act, true);
    assert_nothing_false(act, shown, what);
    json_decref(shown);
    /* A false head that the log's own key has signed is proof; the home goes on saying so. */
    if (aim->field->object == &tamper_note_object) stage_put_back(act->user);
    double_script_set(&stage_double, NULL, NULL, NULL, act->mute);
    assert_all_there(act, what);
}

static void tell_all_of(const struct act *act, const struct tamper_field *field, struct told *told) {
    unsigned before = told->changes;
    for (unsigned change = 0; change < CHANGE_COUNT; change++)
        for (unsigned anew = 0; anew <= field->own; anew++) {
            struct tamper_aim aim = {.field = field, .change = (enum change)change, .anew = anew};
            if (strncmp(field->path, only, strlen(only)) != 0) continue;
            if (!tamper_fits(field, aim.change) || told->turn++ % every != 0) continue;
            tell(act, &aim, told);
        }
    told->fields += told->changes > before;
}

static void play(struct act *act, unsigned least) {
    failing = act->failing;
    AUTO_RAN ran = {0};
    struct told told = {0};
    uint64_t begun = scene_now_ms();
    tamper.count = 0;
    stage_save(act->user);
    double_script_set(&stage_double, look, NULL, act, act->mute);
    run(act, &ran);
    if (ran.exit != 0 && !failing) fail_msg("%s: %s", act->name, (const char *)ran.err.p);
    double_script_set(&stage_double, NULL, NULL, NULL, act->mute);
    act->truth = shown_to(act, false);
    size_t count = tamper.count;
    for (size_t i = 0; i < count; i++) tell_all_of(act, &tamper.fields[i], &told);
    print_message("%s: %zu places, %u tampered with, %u changes, %u of them named, %llu ms\n", act->name, count,
                  told.fields, told.changes, told.named, (unsigned long long)(scene_now_ms() - begun));
    assert_true((told.changes + 1) * every >= least);
    if (!act->goes_on) stage_put_back(act->user);
    be_honest();
    json_decref(act->truth);
}

/* ---- acts ---- */

static const char *const sync_words[] = {"sync", NULL};

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void declare(struct actor *actor, enum leaf_kind kind, enum label label, struct bytes payload,
                    const struct scene_keys *keys) {
    AUTO_BUF stamped = {0}, statements = {0};
    AUTO_REPLY reply = {0};
    assert_ok(stamp_sign_one(label, keys->secret, payload, &stamped));
    dirstatement_encode(&(struct dirstatement){kind, buf_bytes(&stamped)}, &statements);
    actor_call(actor, MESSAGE_DECLARE, &(struct declare){list_of(&statements, 1)}, &reply);
}

static void revoke(struct actor *anybody, const struct actor *actor) {
    AUTO_BUF payload = {0};
    struct revocation revocation = {.post = bytes_text(actor->post), .has_device = true, .created = {wall_ms()}};
    memcpy(revocation.device, actor->device.public, KEY_SIZE);
    memcpy(revocation.signer, actor->poster.public, KEY_SIZE);
    revocation_encode(&revocation, &payload);
    declare(anybody, LEAF_REVOCATION, LABEL_REVOCATION, buf_bytes(&payload), &actor->poster);
}

static void depart(struct actor *anybody, const struct actor *actor) {
    AUTO_BUF payload = {0};
    struct departure departure = {.party = bytes_text(actor->party), .created = {wall_ms()}};
    memcpy(departure.authority, actor->authority.public, KEY_SIZE);
    departure_encode(&departure, &payload);
    declare(anybody, LEAF_DEPARTURE, LABEL_DEPARTURE, buf_bytes(&payload), &actor->authority);
}

static void what_a_recipient_gets(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    struct actor anybody, late; /* leaves that bob has not seen */
    static const char *const states[] = {"stored", "notified", "withdrawn", NULL};
    actor_join(&stage_relay, "yy/late", &late);
    actor_new(&stage_relay, "zz/anybody", &anybody);
    actor_connect(&anybody);
    revoke(&anybody, &late);
    depart(&anybody, &late);
    actor_free(&late);
    actor_free(&anybody);
    be_honest();
    POUCH_GOOD(&ann, &ran, "card", "set", "office", "Harbour watch");
    ann_sends("First", first);
    ann_sends("Second", second);
    ann_sends("Third", third);
    POUCH_GOOD(&ann, &ran, "withdraw", third);
    play(&(struct act){.name = "what a recipient gets",
                       .user = &bob,
                       .words = sync_words,
                       .list = "inbox",
                       .states = states,
                       .types = {MESSAGE_WELCOME, MESSAGE_LEAVES, MESSAGE_HEADS, MESSAGE_LOG, MESSAGE_FEED,
                                 MESSAGE_FETCHED, MESSAGE_CONTACTCARD},
                       .mute = true},
         900);
}

/* What waits in the outbox is the same each time, so the relay's answer is. */
static void what_is_answered_to_a_decision(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    static const char *const states[] = {"stored",   "notified",  "accepted", "handed_over",
                                         "declined", "withdrawn", NULL};
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH(&bob, &ran, "--offline", "accept", first);
    POUCH(&bob, &ran, "--offline", "decline", second, "--note", "not now");
    play(&(struct act){.name = "what is answered to a decision",
                       .user = &bob,
                       .words = sync_words,
                       .list = "inbox",
                       .states = states,
                       .types = {MESSAGE_STATED, MESSAGE_FETCHED}},
         100);
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&bob, &ran, "ack", first);
    POUCH_GOOD(&bob, &ran, "reply", first, note);
}

static void what_a_sender_hears(void **state) {
    (void)state;
    static const char *const states[] = {"stored",   "notified", "accepted",  "handed_over", "acknowledged",
                                         "declined", "queued",   "withdrawn", NULL};
    play(&(struct act){.name = "what a sender hears",
                       .user = &ann,
                       .words = sync_words,
                       .list = "sent",
                       .states = states,
                       .types = {MESSAGE_FEED, MESSAGE_LOG},
                       .mute = true},
         300);
}

static void errors(void **state) {
    (void)state;
    static const char *const states[] = {"none",         "stored",   "notified",  "accepted", "handed_over",
                                         "acknowledged", "declined", "withdrawn", NULL};
    play(&(struct act){.name = "errors",
                       .user = &ann,
                       .words = sync_words,
                       .list = "sent",
                       .states = states,
                       .types = {MESSAGE_FAILURE},
                       .mute = true,
                       .failing = true},
         10);
}

/* A second device of ann's post. */
static struct user sister = {.party = "fj-second", .post = "fj/technical"};

static void what_a_sister_hears(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    char id[2 * TEXT_ID_BYTES + 1];
    static const char *const states[] = {"none", "stored", "notified", NULL};
    snprintf(sister.home, sizeof sister.home, "%s/home-second", stage_papers);
    snprintf(sister.saved, sizeof sister.saved, "%s/saved-second", stage_papers);
    be_honest();
    stage_run(sister.home, &ran, (const char *const[]){"init", sister.post, "--device", "--no-passphrase", NULL});
    stage_run(
        ann.authority, &ran,
        (const char *const[]){"authority", "certify", "fj-technical-device.request", "-o", "fj-second.cert", NULL});
    assert_int_equal(ran.exit, 0);
    double_transport_of(sister.home, sister.secret, sister.public);
    stage_join(&sister, &ran);
    POUCH_GOOD(&sister, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sync");
    POUCH_GOOD(&sister, &ran, "sync");
    ann_sends("Also for the sister", id);
    play(&(struct act){.name = "what a sister hears",
                       .user = &sister,
                       .words = sync_words,
                       .list = "sent",
                       .states = states,
                       .types = {MESSAGE_FEED},
                       .mute = true},
         100);
}

static void what_is_answered_to_joining(void **state) {
    (void)state;
    static char fingerprint[TEXT_FINGERPRINT_SIZE];
    static const char *words[] = {"join",    "--card",        stage_card,  "--cert",
                                  "de.cert", "--fingerprint", fingerprint, NULL};
    static const char *const states[] = {NULL};
    stage_fingerprint(fingerprint);
    play(&(struct act){.name = "what is answered to joining",
                       .user = &bob,
                       .words = words,
                       .list = "inbox",
                       .states = states,
                       .types = {MESSAGE_DONE}},
         10);
}

/* ---- a time that is a lie ---- */

struct clock_lie {
    int64_t ms;
    unsigned signed_by_it; /* day keys and certificates that the client has given out under it */
};

static bool another_time(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    const struct clock_lie *lie = context;
    struct frame parts;
    struct welcome welcome;
    AUTO_BUF body = {0};
    if (row->type != MESSAGE_WELCOME) return true;
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    assert_ok(welcome_decode(parts.body, &welcome));
    welcome.time.ms = lie->ms < 0 && (uint64_t)-lie->ms > welcome.time.ms ? 0 : welcome.time.ms + (uint64_t)lie->ms;
    welcome_encode(&welcome, &body);
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

static bool count_signed(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    (void)frame;
    ((struct clock_lie *)context)->signed_by_it += row->type == MESSAGE_PUBLISH || row->type == MESSAGE_DECLARE;
    return true;
}

static json_int_t days_with_keys(void) {
    AUTO_RAN ran = {0};
    json_error_t error;
    POUCH_GOOD(&bob, &ran, "--offline", "status");
    json_t *status = json_loads((const char *)ran.out.p, JSON_DISABLE_EOF_CHECK, &error);
    json_t *days = json_object_get(status, "prekey_days");
    assert_true(json_is_integer(days));
    json_int_t count = json_integer_value(days);
    json_decref(status);
    return count;
}

/* One after the other in the same home: day keys are made for the right days, once, and nothing is renewed before its time,
 * whatever the relay says of its own. */
static void a_time_that_is_a_lie(void **state) {
    (void)state;
    enum { HOURS = 60 * 60 * 1000 };
    static const int64_t hours[] = {-30,     -20,      20,         30,        20 * 24, -40 * 24,
                                    40 * 24, 385 * 24, -4000 * 24, 4000 * 24, -1000000};
    be_honest();
    AUTO_RAN ran = {0};
    POUCH_GOOD(&bob, &ran, "sync");
    json_int_t days = days_with_keys();
    for (size_t i = 0; i < LENGTH(hours); i++) {
        struct clock_lie lie = {.ms = hours[i] * HOURS};
        bool near = hours[i] > -24 && hours[i] < 24;
        double_script_set(&stage_double, another_time, count_signed, &lie, false);
        POUCH(&bob, &ran, "sync");
        assert_int_equal(ran.exit, near ? 0 : 4);
        if (!near) assert_non_null(strstr((const char *)ran.err.p, "\"clocks-differ\""));
        if (!near) assert_int_equal(lie.signed_by_it, 0);
        be_honest();
        POUCH_GOOD(&bob, &ran, "sync");
        assert_non_null(strstr((const char *)ran.out.p, "\"alarms\": 0"));
        assert_in_range(days_with_keys(), days, days + 1);
    }
}

/* ---- sending ---- */

static bool not_now(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    (void)context;
    struct frame parts;
    if (row->type != MESSAGE_SUBMITTED) return true;
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    uint64_t number = parts.number;
    buf_clear(frame);
    message_encode_failure(number, E_OVER_QUOTA, "not now", frame);
    return true;
}

static void what_is_answered_to_a_request(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    static const char *const states[] = {"stored",   "notified", "accepted",  "handed_over", "acknowledged",
                                         "declined", "queued",   "withdrawn", "waiting",     NULL};
    POUCH_GOOD(&ann, &ran, "sync");
    double_script_set(&stage_double, not_now, NULL, NULL, false);
    POUCH(&ann, &ran, "send", "--to", "de", "-s", "Fourth", note);
    play(&(struct act){.name = "what is answered to a request",
                       .user = &ann,
                       .words = sync_words,
                       .list = "sent",
                       .states = states,
                       .types = {MESSAGE_SUBMITTED}},
         100);
    POUCH_GOOD(&ann, &ran, "sync");
}

/* All that was sent has arrived, once. */
static void assert_all_sent(void) {
    AUTO_RAN ran = {0};
    size_t i, k;
    json_t *line, *other;
    be_honest();
    POUCH_GOOD(&ann, &ran, "sync");
    POUCH_GOOD(&bob, &ran, "sync");
    POUCH_GOOD(&ann, &ran, "sent", "--all");
    json_t *sent = lines_of(&ran);
    POUCH_GOOD(&bob, &ran, "inbox", "--all");
    json_t *inbox = lines_of(&ran);
    assert_int_equal(json_array_size(sent), json_array_size(inbox));
    json_array_foreach(sent, i, line) {
        const char *id = json_string_value(json_object_get(line, "id"));
        unsigned count = 0;
        json_array_foreach(inbox, k, other) count += strcmp(json_string_value(json_object_get(other, "id")), id) == 0;
        if (count != 1) fail_msg("%s arrives %u times", id, count);
        json_t *arrived = line_with(inbox, id);
        bool open = !json_is_null(json_object_get(arrived, "subject"));
        bool withdrawn = strcmp(json_string_value(json_object_get(arrived, "state")), "withdrawn") == 0;
        if (!open && !withdrawn) fail_msg("%s cannot be read", id);
    }
    json_decref(sent);
    json_decref(inbox);
}

static void whose_keys_a_request_is_sealed_for(void **state) {
    (void)state;
    static const char *words[] = {"send", "--to", "de", "-s", "Sealed", NULL, NULL};
    words[5] = note;
    play(&(struct act){.name = "whose keys a request is sealed for",
                       .user = &ann,
                       .words = words,
                       .list = "sent",
                       .types = {MESSAGE_PREKEYS},
                       .goes_on = true},
         20);
    assert_all_sent();
}

static bool another_today(struct double_relay *relay, const struct message_row *row, struct buf *frame, void *context) {
    (void)relay;
    const int64_t *days = context;
    struct frame parts;
    struct prekeys prekeys;
    AUTO_BUF body = {0};
    if (row->type != MESSAGE_PREKEYS) return true;
    assert_ok(frame_decode(buf_bytes(frame), &parts));
    assert_ok(prekeys_decode(parts.body, &prekeys));
    prekeys.time.ms += (uint64_t)(*days * (int64_t)DAY_MS);
    prekeys_encode(&prekeys, &body);
    double_replace_body(frame, buf_bytes(&body));
    return true;
}

/* Keys of days to come are with the relay already: under another `today` it could have any of them used. */
static void keys_of_another_day(void **state) {
    (void)state;
    static const int64_t lies[] = {2, 20, -3};
    for (size_t i = 0; i < LENGTH(lies); i++) {
        AUTO_RAN ran = {0};
        int64_t days = lies[i];
        double_script_set(&stage_double, another_today, NULL, &days, false);
        POUCH(&ann, &ran, "send", "--to", "de", "-s", "Which day", note);
        assert_int_not_equal(ran.exit, 0);
        if (!strstr((const char *)ran.err.p, "out-of-range")) fail_msg("%s", (const char *)ran.err.p);
        be_honest();
    }
    assert_all_sent();
}

static void what_an_auditor_reads(void **state) {
    (void)state;
    AUTO_RAN ran = {0};
    static const char *const words[] = {"audit", "--all", NULL};
    static const char *const states[] = {NULL};
    POUCH_GOOD(&bob, &ran, "sync");
    play(&(struct act){.name = "what an auditor reads",
                       .user = &bob,
                       .words = words,
                       .list = "inbox",
                       .states = states,
                       .types = {MESSAGE_HASHES}},
         10);
}

/* ---- was it all? ---- */

static void seek_values(const struct object *object, const struct field *field, void *context) {
    struct counted *counted = context;
    bool excused = false, seen = false;
    for (size_t i = 0; i < tamper.value_count && !seen; i++) seen = tamper.values[i].object == object;
    for (size_t i = 0; i < LENGTH(unplayed); i++) excused = excused || strcmp(unplayed[i].object, object->name) == 0;
    if (seen != excused) return;
    counted->missing++;
    print_message("%s.%s: %s\n", object->name, field->name, seen ? "comes up" : "never comes up");
}

static void every_object_has_come_up(void **state) {
    (void)state;
    struct counted counted = {0};
    tamper_every_field(seek_values, &counted);
    assert_int_equal(counted.missing, 0);
}

int main(int argc, char **argv) {
    if (argc > 1) every = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2) only = argv[2];
    const struct CMUnitTest acts[] = {
        cmocka_unit_test(every_field_of_every_object_has_its_row),
        cmocka_unit_test(what_a_recipient_gets),
        cmocka_unit_test(what_is_answered_to_a_decision),
        cmocka_unit_test(what_a_sender_hears),
        cmocka_unit_test(errors),
        cmocka_unit_test(what_is_answered_to_a_request),
        cmocka_unit_test(what_a_sister_hears),
        cmocka_unit_test(what_is_answered_to_joining),
        cmocka_unit_test(whose_keys_a_request_is_sealed_for),
        cmocka_unit_test(keys_of_another_day),
        cmocka_unit_test(what_an_auditor_reads),
        cmocka_unit_test(a_time_that_is_a_lie),
        cmocka_unit_test(every_object_has_come_up),
    };
    return cmocka_run_group_tests_name("a relay that tampers", acts, raise_curtain, lower_curtain);
}
