/* compose.c - client_send: from a draft to a whole request in the archive - header, legs, sealed content - and on its
 * way.
 *
 *   recipients -> (one transaction: content sealed -> legs -> header signed -> outbox) -> the outbox sends */
#include "outbox.h"

#include <sodium.h>
#include <stdio.h>

#include "fault.h"
#include "freshness.h"
#include "gossip.h"
#include "mirror.h"
#include "moment.h"
#include "pairs.h"
#include "press.h"
#include "source.h"
#include "wraps.h"

struct plan {
    struct home *home;
    const struct draft *draft;
    struct failure *failure;
    char (*to)[POST_MAX + 1];
    size_t to_count;
    bool exercise;
    struct header header;
    struct keptrequest record;
    struct press offer, body;
    struct source sources[PARTS_MAX];
    size_t source_count;
    struct buf checkpoint;     /* the newest head of the directory, for the recipients to compare */
    const struct plan *before; /* of the same draft: what came through a pipe was laid by for it */
    bool more;                 /* another plan of the same draft follows */
    uint64_t body_max;
    uint64_t pressed, total; /* bytes of the body, for progress */
    const struct progress *progress;
    uint8_t digest[HASH_SIZE];
};

/* ---- to whom ---- */

static unsigned function_for(enum request_kind kind) {
    return kind == KIND_CLARIFICATION ? FUNCTION_DIPLOMATIC : FUNCTION_TECHNICAL;
}

/* Of several that would fit none is chosen: a request must not reach another desk than its sender thinks. Posts that take
 * nothing new - revoked, split into others - are not counted. */
static const struct directory_post *post_for_party(const struct directory *directory, struct bytes party,
                                                   enum request_kind kind, size_t *ret_fits) {
    const struct directory_post *post, *only = NULL, *fit = NULL;
    size_t all = 0, fits = 0;
    for (size_t n = 0; (post = directory_post_nth(directory, n)); n++) {
        if (directory_may_receive(post) != E_OK || !bytes_are(party, post->party->name)) continue;
        all++;
        only = post;
        if (!(post->functions & function_for(kind))) continue;
        fits++;
        fit = post;
    }
    *ret_fits = fits;
    return fits == 1 ? fit : all == 1 ? only : NULL;
}

static enum error check_party(const struct directory_party *party, struct failure *failure) {
    if (party->nominated) {
        enum error error = fail(failure, E_NOT_ADMITTED, "%s is nominated; it has no keys yet", party->name);
        fail_hint(failure, "it can be written to once its charter is admitted; pouch news tells when");
        return error;
    }
    if (!party->departed) return E_OK;
    enum error error = fail(failure, E_DEPARTED, "%s", party->name);
    fail_hint(failure, "nothing new can be sent to it; open exchanges go on: pouch reply");
    return error;
}

/* The one of those that a post was split into that has the kind's function; functions may lie with several, then the
 * sender says which. */
static enum error resolve_split(const struct directory *directory, const struct directory_post *split,
                                enum request_kind kind, const struct directory_post **ret, struct failure *failure) {
    const struct directory_post *fit = NULL;
    size_t fits = 0;
    for (size_t i = 0; i < split->into_count; i++) {
        const struct directory_post *post = directory_post(directory, bytes_text(split->into[i]));
        if (!post || directory_may_receive(post) != E_OK || !(post->functions & function_for(kind))) continue;
        fit = post;
        fits++;
    }
    if (fits == 1) {
        *ret = fit;
        return E_OK;
    }
    enum error error = fail(failure, E_SPLIT, "%s; %zu of its posts take this kind of request", split->name, fits);
    fail_hint(failure, "name one of its posts: see pouch directory show %s", split->name);
    return error;
}

static enum error resolve_party(const struct directory *directory, const char *typed, enum request_kind kind,
                                const struct directory_post **ret, struct failure *failure) {
    size_t fits = 0;
    const struct directory_party *party = directory_party(directory, bytes_text(typed));
    if (!party) return fail(failure, E_UNKNOWN_PARTY, "%.80s", typed);
    TRY(check_party(party, failure));
    *ret = post_for_party(directory, bytes_text(typed), kind, &fits);
    if (*ret) return E_OK;
    enum error error = fail(failure, fits ? E_AMBIGUOUS : E_UNKNOWN_POST, "%.80s has %s posts for this kind of request",
                            typed, fits ? "several" : "no");
    fail_hint(failure, "name the post, such as %.40s/technical; see pouch directory list", typed);
    return error;
}

enum error client_resolve(const struct home *home, const char *typed, enum request_kind kind,
                          const struct directory_post **ret, struct failure *failure) {
    const struct directory_post *post = NULL;
    struct bytes name = bytes_text(typed);
    if (text_is_post(name))
        post = directory_post(home->directory, name);
    else
        TRY(resolve_party(home->directory, typed, kind, &post, failure));
    if (!post) return fail(failure, E_UNKNOWN_POST, "%.80s", typed);
    TRY(check_party(post->party, failure));
    if (post->revoked) return fail(failure, E_REVOKED, "%.80s", typed);
    if (post->into_count > 0) TRY(resolve_split(home->directory, post, kind, &post, failure));
    if (strcmp(post->name, home->post) == 0) return fail(failure, E_USAGE, "%.80s is this post itself", typed);
    *ret = post;
    return E_OK;
}

static void add_recipient(struct plan *plan, const char *post) {
    for (size_t i = 0; i < plan->to_count; i++)
        if (strcmp(plan->to[i], post) == 0) return;
    (void)snprintf(plan->to[plan->to_count++], POST_MAX + 1, "%s", post);
}

static enum error resolve_all(struct plan *plan) {
    struct keptrelay limits;
    enum error error = kept_relay(plan->home->archive, &limits);
    if (error != E_OK) return fail(plan->failure, error, "the local store");
    plan->body_max = limits.body_max;
    size_t wanted = plan->draft->to_count;
    plan->to = calloc(wanted + 1, sizeof *plan->to);
    if (!plan->to) return fail(plan->failure, E_NO_MEMORY, "recipients");
    for (size_t i = 0; i < wanted; i++) {
        const struct directory_post *post = NULL;
        TRY(client_resolve(plan->home, plan->draft->to[i], plan->draft->kind, &post, plan->failure));
        add_recipient(plan, post->name);
    }
    if (plan->to_count > limits.legs_max)
        return fail(plan->failure, E_TOO_MANY_LEGS, "%zu recipients; the relay takes %llu", plan->to_count,
                    (unsigned long long)limits.legs_max);
    return E_OK;
}

/* ---- a reply's place ---- */

static bool takes_replies(const struct keptleg *leg) {
    return leg->state == STATE_ACCEPTED || leg->state == STATE_HANDED_OVER || leg->state == STATE_ACKNOWLEDGED;
}

/* The leg that is replied to: the one named, or the only one that can be. */
static enum error find_parent_leg(struct plan *plan, const struct kept_legs *legs, const uint8_t *named,
                                  const struct kept_leg **ret) {
    const struct kept_leg *found = NULL;
    for (size_t i = 0; i < legs->count; i++) {
        const struct kept_leg *leg = &legs->legs[i];
        if (named ? memcmp(leg->leg, named, HASH_SIZE) != 0 : legs->count > 1 && !takes_replies(&leg->record)) continue;
        if (found) return fail(plan->failure, E_AMBIGUOUS, "several recipients accepted; name the one to reply to");
        found = leg;
    }
    if (!found) return fail(plan->failure, E_WRONG_STATE, "nobody has accepted this request");
    if (!takes_replies(&found->record))
        return fail(plan->failure, E_WRONG_STATE, "a reply needs an accepted request; this one is %s",
                    leg_state_row(found->record.state)->name);
    *ret = found;
    return E_OK;
}

/* A reply to a reply belongs to the same exchange: its parent is the first request. */
static enum error place_reply(struct plan *plan) {
    struct archive *archive = plan->home->archive;
    uint8_t digest[HASH_SIZE], leg_id[HASH_SIZE];
    const uint8_t *named = plan->draft->parent_leg;
    AUTO_REQUEST parent = {0};
    memcpy(digest, plan->draft->parent_header, HASH_SIZE);
    enum error error = kept_load(archive, digest, &parent);
    if (error == E_OK && parent.header.has_parent) {
        memcpy(digest, parent.header.parent.header, HASH_SIZE);
        memcpy(leg_id, parent.header.parent.leg, HASH_SIZE);
        named = leg_id;
        kept_request_free(&parent);
        error = kept_load(archive, digest, &parent);
    }
    AUTO_LEGS legs = {0};
    if (error == E_OK) error = kept_legs_load(archive, digest, &legs);
    if (error != E_OK) return fail(plan->failure, error, "the request that this replies to");
    const struct kept_leg *leg = NULL;
    TRY(find_parent_leg(plan, &legs, named, &leg));
    struct bytes to = parent.record.mine ? leg->record.to : parent.header.from;
    plan->to = calloc(1, sizeof *plan->to);
    if (!plan->to) return fail(plan->failure, E_NO_MEMORY, "recipients");
    memcpy(plan->to[plan->to_count++], to.p, to.n);
    plan->header.has_parent = true;
    memcpy(plan->header.parent.header, digest, HASH_SIZE);
    memcpy(plan->header.parent.leg, leg->leg, HASH_SIZE);
    plan->exercise = parent.header.exercise;
    struct keptrelay limits;
    error = kept_relay(archive, &limits);
    plan->body_max = limits.body_max;
    return error == E_OK ? E_OK : fail(plan->failure, error, "the local store");
}

/* ---- what may be said ---- */

static enum error check_text(struct plan *plan, const char *text, size_t max, const char *what) {
    if (!text) return E_OK;
    if (strlen(text) > max)
        return fail(plan->failure, E_TOO_LARGE, "the %s has %zu bytes; at most %zu", what, strlen(text), max);
    AUTO_BUF check = {0};
    cbor_put_text(&check, bytes_text(text));
    return cbor_check(buf_bytes(&check)) == E_OK ? E_OK
                                                 : fail(plan->failure, E_USAGE, "the %s is not valid UTF-8", what);
}

static enum error check_draft(struct plan *plan) {
    const struct draft *draft = plan->draft;
    bool reply = draft->parent_header != NULL;
    if (!reply && draft->to_count == 0) return fail(plan->failure, E_USAGE, "no recipient");
    if (draft->keep_s > KEEP_MAX_S) return fail(plan->failure, E_BAD_KEEP, "%llu s", (unsigned long long)draft->keep_s);
    if (draft->answer_by_s > KEEP_MAX_S) return fail(plan->failure, E_USAGE, "--answer-by is at most 366d");
    bool content = draft->text_path || draft->text.n > 0 || draft->attachment_count > 0;
    if (draft->offer_only && (content || reply)) return fail(plan->failure, E_USAGE, "an offer alone carries no text");
    if (draft->attachment_count + 1 > PARTS_MAX)
        return fail(plan->failure, E_TOO_LARGE, "%zu attachments; at most %d", draft->attachment_count, PARTS_MAX - 1);
    TRY(check_text(plan, draft->subject, SUBJECT_MAX, "subject"));
    TRY(check_text(plan, draft->summary, SUMMARY_MAX, "summary"));
    return check_text(plan, draft->language, 35, "language");
}

/* ---- content ---- */

static void begin_part(struct plan *plan, struct press *press, enum part_number number) {
    press->archive = plan->home->archive;
    press->content = plan->record.content;
    press->context = (struct content_context){.part = number, .exercise = plan->exercise};
    memcpy(press->context.request, plan->header.request, REQUEST_ID_SIZE);
    memcpy(press->context.device, plan->home->device, KEY_SIZE);
}

static void encode_offer(const struct plan *plan, struct buf *out) {
    const struct draft *draft = plan->draft;
    struct offer offer = {.from = bytes_text(plan->home->post),
                          .exercise = plan->exercise,
                          .kind = draft->kind,
                          .subject = bytes_text(draft->subject ? draft->subject : ""),
                          .has_tlp = draft->has_tlp,
                          .tlp = draft->tlp,
                          .has_pap = draft->has_pap,
                          .pap = draft->pap,
                          .has_disclosure = draft->disclosure,
                          .disclosure = draft->disclosure,
                          .has_language = draft->language != NULL,
                          .language = bytes_text(draft->language),
                          .has_summary = draft->summary != NULL,
                          .summary = bytes_text(draft->summary),
                          .has_checkpoint = plan->checkpoint.n > 0,
                          .checkpoint = buf_bytes(&plan->checkpoint)};
    memcpy(offer.request, plan->header.request, REQUEST_ID_SIZE);
    offer_encode(&offer, out);
}

static enum error press_offer(struct plan *plan, struct buf *object) {
    encode_offer(plan, object);
    TRY(buf_error(object));
    begin_part(plan, &plan->offer, PART_OFFER);
    TRY(press_begin(&plan->offer, object->n));
    TRY(press_add(&plan->offer, buf_bytes(object)));
    plan->header.has_offer = true;
    return press_end(&plan->offer, &plan->header.offer);
}

/* A pipe can be read once: what was laid by for another plan of this draft serves this one, too. */
static enum error open_source(struct plan *plan, const char *path, bool named) {
    struct source *source = &plan->sources[plan->source_count];
    const struct source *laid_by = plan->before ? &plan->before->sources[plan->source_count] : NULL;
    if (laid_by && laid_by->spooled)
        *source = *laid_by;
    else
        TRY(source_open(plan->home->archive, path, named ? (struct bytes){0} : plan->draft->text, named, plan->body_max,
                        source, plan->failure));
    plan->source_count++;
    return E_OK;
}

static enum error open_sources(struct plan *plan) {
    const struct draft *draft = plan->draft;
    TRY(open_source(plan, draft->text_path, false));
    for (size_t i = 0; i < draft->attachment_count; i++) {
        TRY(open_source(plan, draft->attachments[i], true));
        TRY(check_text(plan, plan->sources[plan->source_count - 1].name, FILENAME_MAX_SIZE, "file name"));
    }
    return E_OK;
}

static void encode_manifest(const struct plan *plan, struct buf *out) {
    AUTO_BUF files = {0};
    for (size_t i = 0; i < plan->source_count; i++) {
        const struct source *source = &plan->sources[i];
        file_encode(&(struct file){.has_name = source->name[0] != 0,
                                   .name = bytes_text(source->name),
                                   .length = source->length},
                    &files);
    }
    struct manifest manifest = {.from = bytes_text(plan->home->post),
                                .exercise = plan->exercise,
                                .files = list_of(&files, plan->source_count),
                                .has_checkpoint = plan->header.has_parent && plan->checkpoint.n > 0,
                                .checkpoint = buf_bytes(&plan->checkpoint)};
    memcpy(manifest.request, plan->header.request, REQUEST_ID_SIZE);
    if (files.failed)
        out->failed = true;
    else
        manifest_encode(&manifest, out);
}

static enum error take_piece(void *context, struct bytes piece) {
    struct plan *plan = context;
    TRY(press_add(&plan->body, piece));
    plan->pressed += piece.n;
    if (plan->progress && plan->progress->report)
        plan->progress->report(plan->progress->context, "sealing", plan->pressed, plan->total);
    return E_OK;
}

static enum error press_body(struct plan *plan) {
    TRY(open_sources(plan));
    AUTO_BUF manifest = {0};
    encode_manifest(plan, &manifest);
    TRY(buf_error(&manifest));
    for (size_t i = 0; i < plan->source_count; i++) plan->total += plan->sources[i].length;
    if (content_length(manifest.n + plan->total) > plan->body_max)
        return fail(plan->failure, E_TOO_LARGE, "%llu bytes, sealed %llu; the relay takes %llu",
                    (unsigned long long)plan->total, (unsigned long long)content_length(manifest.n + plan->total),
                    (unsigned long long)plan->body_max);
    begin_part(plan, &plan->body, PART_BODY);
    TRY(press_begin(&plan->body, manifest.n + plan->total));
    TRY(press_add(&plan->body, buf_bytes(&manifest)));
    for (size_t i = 0; i < plan->source_count; i++)
        TRY(source_read(plan->home->archive, &plan->sources[i], take_piece, plan, plan->failure));
    plan->header.has_body = true;
    TRY(press_end(&plan->body, &plan->header.body));
    if (plan->more) return E_OK;
    return archive_delete_all(plan->home->archive, TABLE_SPOOL, SCOPE_ALL, archive_key(NULL, NULL, 0));
}

/* ---- legs ---- */

static uint32_t free_position(bool *used) {
    uint32_t position;
    do position = randombytes_uniform(LEGS_MAX);
    while (used[position]);
    used[position] = true;
    return position;
}

static enum error next_sequence(struct plan *plan, const char *to, uint64_t *ret) {
    struct archive *archive = plan->home->archive;
    struct archive_key key = wraps_post_key(archive, bytes_text(to), 0);
    TRY(kept_number(archive, TABLE_SEQUENCE, key, ret));
    (*ret)++;
    return kept_number_set(archive, TABLE_SEQUENCE, key, *ret);
}

static enum error make_leg(struct plan *plan, const char *to, bool *used, struct place *place, struct buf *opening) {
    struct opening value = {.to = bytes_text(to)};
    randombytes_buf(value.salt, sizeof value.salt);
    TRY(next_sequence(plan, to, &value.sequence));
    opening_encode(&value, opening);
    TRY(buf_error(opening));
    *place = (struct place){.opening = buf_bytes(opening), .position = free_position(used)};
    return E_OK;
}

static int by_position(const void *x, const void *y) {
    const struct legs_leaf *a = x, *b = y;
    return a->position < b->position ? -1 : a->position > b->position;
}

struct leg_bench {
    struct place *places;
    struct buf *openings;
    struct legs_leaf *leaves;
    bool used[LEGS_MAX];
};

static enum error make_legs(struct plan *plan, struct leg_bench *bench) {
    for (size_t i = 0; i < plan->to_count; i++) {
        TRY(make_leg(plan, plan->to[i], bench->used, &bench->places[i], &bench->openings[i]));
        bench->leaves[i].position = (uint32_t)bench->places[i].position;
        stamp_hash(bench->places[i].opening, bench->leaves[i].id);
    }
    qsort(bench->leaves, plan->to_count, sizeof *bench->leaves, by_position);
    randombytes_buf(plan->record.seed, HASH_SIZE);
    plan->record.has_seed = true;
    return legs_root(bench->leaves, plan->to_count, plan->record.seed, plan->header.legs);
}

static enum error save_legs(struct plan *plan, const struct leg_bench *bench) {
    for (size_t i = 0; i < plan->to_count; i++) {
        struct keptleg record = {.to = bytes_text(plan->to[i]), .place = bench->places[i], .state = STATE_NONE};
        stamp_hash(bench->places[i].opening, record.head);
        TRY(kept_leg_save(plan->home->archive, plan->digest, record.head, &record));
    }
    return E_OK;
}

/* ---- the whole ---- */

static enum error sign_header(struct plan *plan, struct buf *stamped) {
    AUTO_BUF payload = {0};
    header_encode(&plan->header, &payload);
    TRY(buf_error(&payload));
    header_digest(buf_bytes(&payload), plan->digest);
    return stamp_sign_one(LABEL_HEADER, plan->home->keys.device.p, buf_bytes(&payload), stamped);
}

static void fill_header(struct plan *plan) {
    const struct draft *draft = plan->draft;
    struct header *header = &plan->header;
    randombytes_buf(header->request, REQUEST_ID_SIZE);
    randombytes_buf(plan->record.content, HASH_SIZE);
    header->from = bytes_text(plan->home->post);
    memcpy(header->device, plan->home->device, KEY_SIZE);
    header->created = moment_now();
    header->keep_s = draft->keep_s ? draft->keep_s : KEEP_DEFAULT_S;
    header->has_answer_by = draft->has_answer_by;
    header->answer_by.ms = header->created.ms + draft->answer_by_s * 1000;
    header->precedence = draft->precedence;
    header->exercise = plan->exercise;
}

static void fill_record(struct plan *plan, const struct buf *stamped, const struct buf *offer) {
    struct keptrequest *record = &plan->record;
    record->header = buf_bytes(stamped);
    record->mine = true;
    record->whole = true;
    record->has_offer = record->has_offer_key = record->has_offer_digests = plan->header.has_offer;
    record->has_body_key = record->has_body_digests = plan->header.has_body;
    record->offer = buf_bytes(offer);
    record->offer_digests = buf_bytes(&plan->offer.digests);
    record->body_digests = buf_bytes(&plan->body.digests);
    if (plan->header.has_offer) memcpy(record->offer_key, plan->offer.key.p, KEY_SIZE);
    if (plan->header.has_body) memcpy(record->body_key, plan->body.key.p, KEY_SIZE);
}

static enum error write_all(struct plan *plan, struct leg_bench *bench) {
    AUTO_BUF offer = {0}, stamped = {0};
    fill_header(plan);
    TRY(gossip_head(plan->home, &plan->checkpoint));
    if (!plan->header.has_parent) TRY(press_offer(plan, &offer));
    if (!plan->draft->offer_only) TRY(press_body(plan));
    TRY(make_legs(plan, bench));
    enum error error = header_check(&plan->header);
    if (error != E_OK) return fail(plan->failure, error, "the request");
    TRY(sign_header(plan, &stamped));
    fill_record(plan, &stamped, &offer);
    error = kept_add(plan->home->archive, plan->digest, &plan->record, &plan->header);
    sodium_memzero(plan->record.offer_key, KEY_SIZE);
    sodium_memzero(plan->record.body_key, KEY_SIZE);
    TRY(error);
    TRY(save_legs(plan, bench));
    struct outgoing outgoing = {.kind = OUTGOING_REQUEST};
    memcpy(outgoing.header, plan->digest, HASH_SIZE);
    return kept_outgoing_add(plan->home->archive, &outgoing);
}

static enum error keep_all(struct plan *plan, struct leg_bench *bench) {
    struct archive *archive = plan->home->archive;
    TRY(archive_begin(archive));
    enum error error = write_all(plan, bench);
    if (error == E_OK) return archive_commit(archive);
    archive_rollback(archive);
    return error;
}

static enum error compose(struct plan *plan) {
    AUTO_FREE(struct leg_bench) bench = calloc(1, sizeof *bench);
    if (!bench) return E_NO_MEMORY;
    bench->places = calloc(plan->to_count + 1, sizeof *bench->places);
    bench->openings = calloc(plan->to_count + 1, sizeof *bench->openings);
    bench->leaves = calloc(plan->to_count + 1, sizeof *bench->leaves);
    enum error error = bench->places && bench->openings && bench->leaves ? keep_all(plan, bench) : E_NO_MEMORY;
    for (size_t i = 0; bench->openings && i < plan->to_count; i++) buf_free(&bench->openings[i]);
    free(bench->places);
    free(bench->openings);
    free(bench->leaves);
    for (size_t i = 0; i < plan->source_count; i++) source_close(&plan->sources[i]);
    press_free(&plan->offer);
    press_free(&plan->body);
    buf_free(&plan->checkpoint);
    if (error != E_OK && plan->failure && plan->failure->error != error) fail(plan->failure, error, "the local store");
    return error;
}

static enum error prepare(struct plan *plan) {
    TRY(check_draft(plan));
    plan->exercise = plan->draft->exercise;
    return plan->draft->parent_header ? place_reply(plan) : resolve_all(plan);
}

static enum error not_witnessed(struct home *home, struct bytes to, struct failure *failure) {
    struct freshness_view view;
    char late[FAILURE_WHERE_SIZE - 128];
    TRY(client_freshness(home, &view, failure));
    client_freshness_late(&view, late, sizeof late);
    return fail(failure, E_NOT_WITNESSED, "%.*s waits: %s", (int)to.n, (const char *)to.p, late);
}

/* How the request stands after sending: all stored, some, or none (and why). */
static enum error judge(struct home *home, const uint8_t digest[static HASH_SIZE], struct failure *failure) {
    AUTO_LEGS legs = {0};
    enum error error = kept_legs_load(home->archive, digest, &legs);
    if (error != E_OK) return fail(failure, error, "the local store");
    const struct kept_leg *bad = NULL;
    size_t stored = 0;
    for (size_t i = 0; i < legs.count; i++) {
        if (kept_leg_stored(&legs.legs[i].record))
            stored++;
        else if (!bad || kept_leg_refused(&legs.legs[i].record))
            bad = &legs.legs[i];
    }
    if (!bad) return E_OK;
    enum error why = bad->record.refused == E_OK ? E_NOT_COMPLETE : (enum error)bad->record.refused;
    const char *to = (const char *)bad->record.to.p;
    if (stored > 0) {
        fail(failure, E_PARTLY, "%zu of %zu recipients; %.*s: %s", stored, legs.count, (int)bad->record.to.n, to,
             error_text(why));
        return E_PARTLY;
    }
    if (why == E_NOT_WITNESSED) return not_witnessed(home, bad->record.to, failure);
    return fail(failure, why, "%.*s", (int)bad->record.to.n, to);
}

/* ---- one draft, one request or two ---- */

/* The part of the plan for the recipients of one group. */
static enum error plan_group(const struct plan *whole, const uint8_t *group_of, uint8_t group, struct plan *ret) {
    *ret = (struct plan){.home = whole->home,
                         .draft = whole->draft,
                         .failure = whole->failure,
                         .exercise = whole->exercise,
                         .body_max = whole->body_max,
                         .header = whole->header,
                         .progress = whole->progress};
    ret->to = calloc(whole->to_count + 1, sizeof *ret->to);
    if (!ret->to) return fail(whole->failure, E_NO_MEMORY, "recipients");
    for (size_t i = 0; i < whole->to_count; i++)
        if (group_of[i] == group) memcpy(ret->to[ret->to_count++], whole->to[i], sizeof *ret->to);
    return E_OK;
}

static enum error compose_groups(const struct plan *whole, const uint8_t *group_of, size_t groups, struct plan *plans,
                                 struct buf *ret_digests) {
    for (size_t i = 0; i < groups; i++) {
        TRY(plan_group(whole, group_of, (uint8_t)i, &plans[i]));
        plans[i].before = i > 0 ? &plans[i - 1] : NULL;
        plans[i].more = i + 1 < groups;
        TRY(compose(&plans[i]));
        buf_add(ret_digests, plans[i].digest, HASH_SIZE);
    }
    return buf_error(ret_digests);
}

/* All or none: one transaction. Recipients with whom a secret is shared, where one of them requires it, do not go into
 * one request with those that have none (pairs.h). */
static enum error compose_all(struct plan *whole, struct buf *ret_digests) {
    enum { GROUPS_MAX = 2 };
    size_t groups = 0;
    AUTO_FREE(uint8_t) group_of = calloc(whole->to_count + 1, 1);
    AUTO_FREE(struct plan) plans = calloc(GROUPS_MAX, sizeof *plans);
    if (!group_of || !plans) return fail(whole->failure, E_NO_MEMORY, "the request");
    TRY(pairs_groups(whole->home, whole->to, whole->to_count, group_of, &groups, whole->failure));
    enum error error = archive_begin(whole->home->archive);
    if (error != E_OK) return fail(whole->failure, error, "the local store");
    error = compose_groups(whole, group_of, groups, plans, ret_digests);
    for (size_t i = 0; i < GROUPS_MAX; i++) free(plans[i].to);
    if (error != E_OK) {
        archive_rollback(whole->home->archive);
        return error;
    }
    error = archive_commit(whole->home->archive);
    return error == E_OK ? E_OK : fail(whole->failure, error, "the local store");
}

static enum error compose_draft(struct home *home, const struct draft *draft, const struct client_options *options,
                                struct buf *ret_digests, struct failure *failure) {
    AUTO_FREE(struct plan) plan = calloc(1, sizeof *plan);
    if (!plan) return fail(failure, E_NO_MEMORY, "the request");
    *plan = (struct plan){
        .home = home, .draft = draft, .failure = failure, .progress = options ? &options->progress : NULL};
    enum error error = prepare(plan);
    if (error == E_OK) error = compose_all(plan, ret_digests);
    free(plan->to);
    return error;
}

/* Of several requests: the first that is not whole with the relay. */
static enum error judge_all(struct home *home, const struct buf *digests, struct failure *failure) {
    enum error first = E_OK;
    bool any = false;
    for (size_t at = 0; at < digests->n; at += HASH_SIZE) {
        enum error error = judge(home, digests->p + at, first == E_OK ? failure : NULL);
        any |= error == E_OK || error == E_PARTLY;
        if (first == E_OK) first = error;
    }
    if (first == E_OK || !any || first == E_PARTLY) return first;
    if (failure) failure->error = E_PARTLY;
    return E_PARTLY;
}

enum error client_send_all(struct home *home, struct relay *relay, const struct draft *draft,
                           const struct client_options *options, struct buf *ret_digests, struct failure *failure) {
    AUTO_BUF digests = {0};
    if (!home->directory) return fail(failure, E_NOT_JOINED, "%s", home->post);
    if (home->restored) return fail(failure, E_RESTORED, "%s", home->post);
    if (relay) TRY(mirror_update(home, relay, failure));
    TRY(home_check_role(home, ROLE_READER, failure));
    TRY(compose_draft(home, draft, options, &digests, failure));
    buf_add_bytes(ret_digests, buf_bytes(&digests));
    TRY(buf_error(ret_digests));
    FAULT("outbox.committed");
    if (!relay) return E_OK;
    struct outbox_summary summary;
    TRY(outbox_flush(home, relay, NULL, &summary, failure));
    return judge_all(home, &digests, failure);
}

enum error client_send(struct home *home, struct relay *relay, const struct draft *draft,
                       const struct client_options *options, uint8_t ret_digest[static HASH_SIZE],
                       struct failure *failure) {
    AUTO_BUF digests = {0};
    enum error error = client_send_all(home, relay, draft, options, &digests, failure);
    if (digests.n >= HASH_SIZE) memcpy(ret_digest, digests.p, HASH_SIZE);
    return error;
}
