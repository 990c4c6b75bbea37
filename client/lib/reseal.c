/* reseal.c - sealing a leg again: when it is due, for whom, and what becomes of it. */
#include "reseal.h"

#include <stdio.h>

#include "evidence.h"
#include "fault.h"
#include "libpouch.h"
#include "mirror.h"
#include "outbox.h"
#include "trail.h"
#include "wraps.h"

enum { ATTEMPTS_MAX = 3 }; /* with a newer directory each time */

struct sealer {
    struct home *home;
    struct relay *relay;
    struct buf nobody; /* posts, POST_MAX + 1 bytes each, that were found without a device to seal for */
    size_t made;
    const struct outbox_listener *listener; /* somebody waits for what becomes of it; or NULL */
    struct failure *failure;
};

/* ---- the duty ---- */

static enum error load_duty(struct archive *archive, const struct archive_key *key, struct buf *bytes,
                            struct keptseal *ret, bool *ret_found) {
    *ret = (struct keptseal){0};
    TRY(archive_get(archive, TABLE_DUTY, *key, bytes, ret_found));
    if (bytes->n == 0) return E_OK; /* as the trail makes it */
    return keptseal_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

static enum error save_duty(struct archive *archive, const struct archive_key *key, const struct keptseal *seal) {
    AUTO_BUF bytes = {0};
    keptseal_encode(seal, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(archive, TABLE_DUTY, *key, buf_bytes(&bytes));
}

static bool is_seal(uint64_t event) { return event == EVENT_RESEALED || event == EVENT_FORWARDED; }

/* ---- one leg ---- */

struct task {
    struct sealer *sealer;
    const struct archive_key *key; /* of the duty: header, leg, event */
    enum leg_event event;
    struct keptseal seal;
    struct kept_request request;
    struct kept_legs legs;
    struct kept_leg leg;
};

static void task_free(struct task *task) {
    kept_request_free(&task->request);
    kept_legs_free(&task->legs);
    kept_leg_free(&task->leg);
}

static enum error load_task(struct task *task) {
    struct archive *archive = task->sealer->home->archive;
    TRY(kept_load(archive, task->key->a, &task->request));
    TRY(kept_legs_load(archive, task->key->a, &task->legs));
    return kept_leg_load(archive, task->key->a, task->key->b, &task->leg);
}

static bool has_keys(const struct kept_request *request) {
    const struct keptrequest *record = &request->record;
    return record->has_offer_key == request->header.has_offer && record->has_body_key == request->header.has_body;
}

static bool possible(const struct task *task) {
    enum leg_state to;
    if (task->leg.record.away) return false;
    if (task->event == EVENT_RESEALED && !task->leg.record.rekey) return false;
    return leg_step((enum leg_state)task->leg.record.state, task->event, header_leg_kind(&task->request.header), &to) ==
           E_OK;
}

static enum error give_up(const struct task *task) {
    struct archive *archive = task->sealer->home->archive;
    TRY(archive_delete(archive, TABLE_DUTY, *task->key));
    if (task->event == EVENT_RESEALED) return E_OK;
    char id[2 * 8 + 1];
    text_hex(task->key->a, 8, id);
    return kept_alarm(archive, "request %s was not forwarded to %.*s: another step was first", id, (int)task->seal.to.n,
                      (const char *)task->seal.to.p);
}

static bool known_empty(const struct sealer *sealer, struct bytes post) {
    for (size_t at = 0; at + POST_MAX + 1 <= sealer->nobody.n; at += POST_MAX + 1)
        if (bytes_are(post, (const char *)sealer->nobody.p + at)) return true;
    return false;
}

static enum error remember_empty(struct sealer *sealer, struct bytes post) {
    char name[POST_MAX + 1] = {0};
    memcpy(name, post.p, post.n);
    buf_add(&sealer->nobody, name, sizeof name);
    return buf_error(&sealer->nobody);
}

/* Nobody to seal it for yet, as far as is known here. A forwarded leg may wait for a device at the other post. */
static bool must_wait(const struct task *task, struct bytes post) {
    const struct directory_device *readers[DEVICES_PER_POST_MAX];
    const struct sealer *sealer = task->sealer;
    if (task->event == EVENT_FORWARDED) return false;
    return known_empty(sealer, post) ||
           directory_readers(sealer->home->directory, post, relay_now(sealer->relay), readers) == 0;
}

static enum error keep(struct task *task, uint32_t generation, struct bytes wrapset) {
    struct home *home = task->sealer->home;
    char to[POST_MAX + 1];
    (void)snprintf(to, sizeof to, "%.*s", (int)task->seal.to.n, (const char *)task->seal.to.p);
    struct saying saying = {.event = task->event,
                            .header = task->key->a,
                            .leg = task->key->b,
                            .officer = task->seal.officer,
                            .wrapset = wrapset,
                            .generation = generation,
                            .forward = task->event == EVENT_FORWARDED ? to : NULL};
    task->seal.made = true;
    TRY(archive_begin(home->archive));
    enum error error = outbox_say(home, &saying, 1, NULL);
    if (error == E_OK) error = save_duty(home->archive, task->key, &task->seal);
    if (error == E_OK)
        error = archive_commit(home->archive);
    else
        archive_rollback(home->archive);
    FAULT("seal.committed");
    return error;
}

static enum error seal(struct task *task) {
    struct sealer *sealer = task->sealer;
    bool forward = task->event == EVENT_FORWARDED;
    struct bytes post = forward ? task->seal.to : task->leg.record.to;
    uint32_t generation = (uint32_t)task->leg.record.generation + 1;
    if (!has_keys(&task->request) || must_wait(task, post)) return E_OK;
    struct wraps_order order = {.digest = task->key->a,
                                .request = &task->request,
                                .leg = &task->leg,
                                .legs = forward ? NULL : &task->legs,
                                .post = post,
                                .generation = generation};
    AUTO_BUF wrapset = {0};
    struct failure failure = {0};
    size_t devices = 0;
    enum error error = wraps_seal(sealer->home, sealer->relay, &order, &wrapset, &devices, &failure);
    if (outbox_is_fatal(error)) {
        if (sealer->failure) *sealer->failure = failure;
        return error;
    }
    if (error != E_OK) return E_OK; /* with the next sync */
    if (!forward && devices == 0) return remember_empty(sealer, post);
    sealer->made++;
    return keep(task, generation, buf_bytes(&wrapset));
}

static enum error work_on(struct sealer *sealer, const struct archive_key *key) {
    struct task task = {.sealer = sealer, .key = key, .event = (enum leg_event)key->n};
    AUTO_BUF bytes = {0};
    bool found = false;
    enum error error = load_duty(sealer->home->archive, key, &bytes, &task.seal, &found);
    if (error == E_OK && (!found || task.seal.made)) return E_OK; /* made: it is in the outbox */
    if (error == E_OK) error = load_task(&task);
    if (error == E_OK) error = possible(&task) ? seal(&task) : give_up(&task);
    task_free(&task);
    return error;
}

/* ---- all that is due ---- */

static enum error make_due(struct sealer *sealer) {
    AUTO_BUF value = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_DUTY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        TRY(archive_next(sealer->home->archive, &cursor, &value, &found));
        if (!found) return E_OK;
        if (!is_seal(cursor.key.n)) continue;
        struct archive_key key = cursor.key;
        TRY(work_on(sealer, &key));
    }
}

static bool may_seal(const struct home *home) {
    const struct directory_device *device = directory_device(home->directory, home->device);
    return device && device->role != ROLE_BELL;
}

/* Some of the answers may be that the recipient's devices are others by now: then once more, by the newer directory. */
static enum error run(struct sealer *sealer) {
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        struct outbox_summary sent = {0};
        sealer->made = 0;
        if (attempt > 0) TRY(mirror_update(sealer->home, sealer->relay, sealer->failure));
        TRY(make_due(sealer));
        if (sealer->made == 0) return E_OK;
        TRY(outbox_send_statements(sealer->home, sealer->relay, sealer->listener, &sent, sealer->failure));
    }
    return E_OK;
}

static enum error seal_due(struct home *home, struct relay *relay, const struct outbox_listener *listener,
                           struct failure *failure) {
    struct sealer sealer = {.home = home, .relay = relay, .listener = listener, .failure = failure};
    if (!may_seal(home)) return E_OK;
    enum error error = run(&sealer);
    buf_free(&sealer.nobody);
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "sealing again");
    return error;
}

enum error reseal_run(struct home *home, struct relay *relay, struct failure *failure) {
    return seal_due(home, relay, NULL, failure);
}

/* ---- answers ---- */

enum error reseal_answered(struct home *home, const struct outgoing *outgoing, enum error said, bool *ret_drop,
                           bool *ret_quiet) {
    struct bytes payload;
    struct statement statement;
    struct keptseal seal;
    AUTO_BUF bytes = {0};
    bool found = false;
    if (stamp_peek(outgoing->statement, &payload) != E_OK || statement_decode(payload, &statement) != E_OK)
        return E_CORRUPT;
    struct archive_key key = archive_key(outgoing->header, outgoing->leg, statement.event);
    *ret_drop = *ret_quiet = false;
    if (said == E_OK || (error_row(said)->again && said != E_STALE_DIRECTORY)) return E_OK;
    *ret_drop = true;
    bool first_come = said == E_CONFLICT || said == E_WRONG_STATE; /* a sister, or the end of the leg, was first */
    bool anew = said == E_STALE_DIRECTORY || said == E_CONFLICT;
    *ret_quiet = anew || (statement.event == EVENT_RESEALED && first_come);
    TRY(load_duty(home->archive, &key, &bytes, &seal, &found));
    if (!found) return E_OK;
    if (!anew) return archive_delete(home->archive, TABLE_DUTY, key);
    seal.made = false;
    return save_duty(home->archive, &key, &seal);
}

/* ---- forward ---- */

static enum error find_target(const struct home *home, const char *typed, const struct directory_post **ret,
                              struct failure *failure) {
    const struct directory_post *post = directory_post(home->directory, bytes_text(typed));
    if (!text_is_post(bytes_text(typed)))
        return fail(failure, E_USAGE, "%.80s is no post; name it as PARTY/DESK", typed);
    if (!bytes_equal(text_party_of(bytes_text(typed)), text_party_of(bytes_text(home->post)))) {
        enum error error = fail(failure, E_NOT_ALLOWED, "%.80s is not a post of this party", typed);
        fail_hint(failure, "decline, and say in the note whom to ask");
        return error;
    }
    if (!post) return fail(failure, E_UNKNOWN_POST, "%.80s", typed);
    if (strcmp(post->name, home->post) == 0) return fail(failure, E_USAGE, "%.80s is this post itself", typed);
    enum error error = directory_may_receive(post);
    if (error != E_OK && error != E_DEPARTED) return fail(failure, error, "%.80s", typed);
    *ret = post;
    return E_OK;
}

/* The leg of a received request, and that it can be forwarded now. */
static enum error check_forward(struct home *home, const uint8_t *digest, const char *to, struct kept_leg *ret,
                                struct failure *failure) {
    AUTO_REQUEST request = {0};
    AUTO_LEGS legs = {0};
    enum leg_state state;
    enum error error = kept_load(home->archive, digest, &request);
    if (error == E_OK) error = kept_legs_load(home->archive, digest, &legs);
    if (error == E_OK && legs.count != 1 && !request.record.mine) error = E_CORRUPT;
    if (error != E_OK) return fail(failure, error, "%s", error == E_UNKNOWN_REQUEST ? "" : "the local store");
    if (request.record.mine) return fail(failure, E_NOT_ALLOWED, "this post has sent it");
    if (bytes_are(request.header.from, to)) return fail(failure, E_USAGE, "%.80s has sent it", to);
    const struct keptleg *leg = &legs.legs[0].record;
    if (leg->away)
        return fail(failure, E_WRONG_STATE, "it has been forwarded to %.*s", (int)leg->to.n, (const char *)leg->to.p);
    if (leg_step((enum leg_state)leg->state, EVENT_FORWARDED, header_leg_kind(&request.header), &state) != E_OK)
        return fail(failure, E_WRONG_STATE, "it is %s", leg_state_row(leg->state)->name);
    if (!has_keys(&request)) return fail(failure, E_CANNOT_OPEN, "this device cannot read it, so it cannot pass it on");
    error = kept_leg_load(home->archive, digest, legs.legs[0].leg, ret);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

static void take_answer(void *context, const uint8_t statement[static HASH_SIZE], enum error error) {
    enum error *last = context;
    (void)statement;
    *last = error;
}

/* What became of it: the entry is here, or the relay said why not. */
static enum error judge_forward(struct home *home, const struct archive_key *key, const char *to, enum error said,
                                struct failure *failure) {
    AUTO_LEG leg = {0};
    bool waits = false;
    enum error error = kept_leg_load(home->archive, key->a, key->b, &leg);
    if (error == E_OK) error = archive_has(home->archive, TABLE_DUTY, *key, &waits);
    if (error != E_OK) return fail(failure, error, "the local store");
    if (leg.record.away && bytes_are(leg.record.to, to)) return E_OK;
    if (waits) return fail(failure, said == E_OK ? E_STALE_DIRECTORY : said, "it goes with the next sync");
    return fail(failure, said == E_OK ? E_WRONG_STATE : said, "%s", to);
}

enum error client_forward(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                          const char *to, const struct client_options *options, struct failure *failure) {
    const struct directory_post *post = NULL;
    AUTO_LEG leg = {0};
    if (!home->directory) return fail(failure, E_NOT_JOINED, "%s", home->post);
    if (!relay) return fail(failure, E_UNREACHABLE, "forwarding needs the other post's day keys");
    const struct directory_device *own = directory_device(home->directory, home->device);
    if (own && own->role != ROLE_DECIDER) return fail(failure, E_NOT_ALLOWED, "this device may not decide");
    TRY(find_target(home, to, &post, failure));
    TRY(check_forward(home, digest, post->name, &leg, failure));
    struct archive_key key = archive_key(digest, leg.leg, EVENT_FORWARDED);
    char name[POST_MAX + 1];
    (void)snprintf(name, sizeof name, "%s", post->name); /* the directory may be another after a try */
    struct keptseal seal = {
        .has_to = true, .to = bytes_text(name), .has_officer = true, .officer = options && options->officer};
    enum error error = save_duty(home->archive, &key, &seal);
    if (error != E_OK) return fail(failure, error, "the local store");
    enum error said = E_OK;
    TRY(seal_due(home, relay, &(struct outbox_listener){take_answer, &said}, failure));
    return judge_forward(home, &key, name, said, failure);
}
