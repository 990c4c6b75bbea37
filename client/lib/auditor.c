/* auditor.c - feeds the audit from a relay or a backup, with what this home has itself, and remembers how far it
 * came. */
#include "auditor.h"

#include <stdio.h>

#include "evidence.h"
#include "fraud.h"
#include "kept.h"
#include "leaves.h"
#include "text.h"

enum { PROOF_LEAVES_MAX = 1 << 21, NOTES_MAX = 4096 };

/* ---- findings ---- */

/* Whose leg is it, if this home holds it? */
static enum error find_leg(struct home *home, const uint8_t leg[static HASH_SIZE],
                           uint8_t ret_request[static HASH_SIZE], char ret_to[static POST_MAX + 1], bool *ret_found) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_LEG, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct keptleg record;
    *ret_found = false;
    for (bool found = home != NULL; found;) {
        TRY(archive_next(home->archive, &cursor, &bytes, &found));
        if (!found || memcmp(cursor.key.b, leg, HASH_SIZE) != 0) continue;
        if (keptleg_decode(buf_bytes(&bytes), &record) != E_OK) return E_CORRUPT;
        memcpy(ret_request, cursor.key.a, HASH_SIZE);
        snprintf(ret_to, POST_MAX + 1, "%.*s", (int)record.to.n, (const char *)record.to.p);
        *ret_found = true;
        return E_OK;
    }
    return E_OK;
}

static enum error take_finding(void *context, const struct audit_finding *finding) {
    struct auditing *auditing = context;
    const struct auditor_sink *sink = &auditing->order->sink;
    uint8_t request[HASH_SIZE];
    char to[POST_MAX + 1];
    bool ours = false;
    auditing->result->findings++;
    if (finding->kind == AUDIT_HEAD_ROOT || finding->kind == AUDIT_EQUIVOCATION)
        auditing->contradicted[finding->log == LOG_EVIDENCE] = true;
    if (finding->has_leg) TRY(find_leg(auditing->order->home, finding->leg, request, to, &ours));
    return sink->tell(sink->context, finding, ours ? request : NULL, ours ? to : NULL);
}

/* ---- heads ---- */

static void count_words(struct auditing *auditing, enum relay_log log, const struct head *head) {
    int which = log == LOG_EVIDENCE;
    for (size_t i = 0; i < auditing->order->card->witness_count; i++) {
        struct auditor_witness *witness = &auditing->result->witnesses[i];
        if (!head->words[i].valid || head->size < witness->sizes[which]) continue;
        witness->sizes[which] = head->size;
        if (head->words[i].time_s > witness->time_s[which]) witness->time_s[which] = head->words[i].time_s;
    }
}

enum error auditor_head(struct auditing *auditing, enum relay_log log, struct bytes note) {
    int which = log == LOG_EVIDENCE;
    struct head head;
    bool good = head_open_log(auditing->order->card, log, note, &head) == E_OK;
    if (good) count_words(auditing, log, &head);
    if (good && auditing->note_count[which] < NOTES_MAX) {
        cbor_put_bytes(&auditing->notes[which], note);
        TRY(buf_error(&auditing->notes[which]));
        auditing->note_count[which]++;
    }
    /* What an earlier audit has gone past was compared then. */
    if (good && head.size < audit_size(auditing->audit, log)) return E_OK;
    return audit_head(auditing->audit, log, note, NULL);
}

/* Those that this home was given, of the directory. */
static enum error own_heads(struct auditing *auditing) {
    struct home *home = auditing->order->home;
    AUTO_BUF note = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = home != NULL; found;) {
        struct head head;
        TRY(archive_next(home->archive, &cursor, &note, &found));
        if (!found) break;
        /* The table has other records too: what is no head of the log is not meant. */
        for (int log = LOG_DIRECTORY; log <= LOG_EVIDENCE; log++)
            if (head_open_log(auditing->order->card, (enum relay_log)log, buf_bytes(&note), &head) == E_OK)
                TRY(auditor_head(auditing, (enum relay_log)log, buf_bytes(&note)));
    }
    return E_OK;
}

static enum error ask_heads(struct auditing *auditing) {
    AUTO_ANSWER answer = {0};
    struct heads heads;
    struct bytes note;
    TRY(relay_call(auditing->order->relay, MESSAGE_GETHEADS, &(struct getheads){}, &answer, auditing->failure));
    enum error error = heads_decode(answer.body, &heads);
    if (error != E_OK) return fail(auditing->failure, error, "the relay's heads");
    struct list list = heads.notes;
    while (list_next_bytes(&list, &note)) TRY(auditor_head(auditing, LOG_DIRECTORY, note));
    return E_OK;
}

static enum error ask_log(struct auditing *auditing, enum relay_log which) {
    AUTO_ANSWER answer = {0};
    struct log log;
    struct getlog ask = {.log = (uint64_t)which};
    enum error error = relay_call(auditing->order->relay, MESSAGE_GETLOG, &ask, &answer, auditing->failure);
    if (error == E_NO_HEAD) return E_OK; /* it is empty */
    TRY(error);
    error = log_decode(answer.body, &log);
    if (error != E_OK) return fail(auditing->failure, error, "the relay's log");
    return auditor_head(auditing, which, log.note);
}

/* ---- the directory ---- */

/* From this home's copy, whose root was compared when it came; all of it is applied anew. */
static enum error own_leaves(struct auditing *auditing) {
    AUTO_BUF leaf = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_LEAF, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true; found;) {
        TRY(archive_next(auditing->order->home->archive, &cursor, &leaf, &found));
        if (found) TRY(audit_leaf(auditing->audit, buf_bytes(&leaf)));
    }
    return E_OK;
}

static enum error ask_leaves(struct auditing *auditing) {
    for (;;) {
        AUTO_ANSWER answer = {0};
        struct leaves leaves;
        struct bytes leaf;
        uint64_t size = audit_size(auditing->audit, LOG_DIRECTORY);
        struct getleaves ask = {.from = size, .max = LEAVES_MAX};
        TRY(relay_call(auditing->order->relay, MESSAGE_GETLEAVES, &ask, &answer, auditing->failure));
        enum error error = leaves_decode(answer.body, &leaves);
        if (error == E_OK && leaves.from != size) error = E_MALFORMED;
        if (error != E_OK) return fail(auditing->failure, error, "the relay's directory");
        struct list list = leaves.leaves;
        /* No further than the heads that it has signed: what came since is audited next time. */
        struct instant time;
        uint64_t last = audit_headed(auditing->audit, LOG_DIRECTORY, &time);
        while (audit_size(auditing->audit, LOG_DIRECTORY) < last && list_next_bytes(&list, &leaf))
            TRY(audit_leaf(auditing->audit, leaf));
        if (leaves.leaves.count == 0 || audit_size(auditing->audit, LOG_DIRECTORY) >= last) return E_OK;
    }
}

/* ---- this home's receipts ---- */

static int by_index(const void *a, const void *b) {
    const struct auditor_own *one = a, *other = b;
    return one->index < other->index ? -1 : one->index > other->index;
}

static enum error add_own(struct auditing *auditing, const struct archive_key *key, struct bytes bytes) {
    struct receipt receipt;
    struct record record;
    struct bytes payload;
    if (receipt_decode(bytes, &receipt) != E_OK || stamp_peek(receipt.record, &payload) != E_OK ||
        record_decode(payload, &record) != E_OK || !record.has_index)
        return E_OK; /* judged with its leg */
    if (auditing->own_count == auditing->own_cap) {
        size_t cap = auditing->own_cap ? auditing->own_cap * 2 : 64;
        struct auditor_own *grown = realloc(auditing->own, cap * sizeof *grown);
        if (!grown) return E_NO_MEMORY;
        auditing->own = grown;
        auditing->own_cap = cap;
    }
    struct auditor_own *own = &auditing->own[auditing->own_count++];
    *own = (struct auditor_own){.index = record.index, .ordinal = key->n};
    memcpy(own->leg, key->a, HASH_SIZE);
    /* An older receipt has none yet (its relay was updated since); one in a backup is the relay's own copy. */
    return receipt.has_checkpoint ? auditor_head(auditing, LOG_EVIDENCE, receipt.checkpoint) : E_OK;
}

static enum error own_receipts(struct auditing *auditing) {
    struct home *home = auditing->order->home;
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ENTRY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = home != NULL; found;) {
        TRY(archive_next(home->archive, &cursor, &bytes, &found));
        if (found) TRY(add_own(auditing, &cursor.key, buf_bytes(&bytes)));
    }
    if (auditing->own_count > 0) qsort(auditing->own, auditing->own_count, sizeof *auditing->own, by_index);
    auditing->result->own = auditing->own_count;
    return E_OK;
}

/* The home's receipt for the leaf that comes now; none: *ret empty. */
static enum error own_receipt(struct auditing *auditing, uint64_t index, struct buf *ret) {
    bool found;
    buf_clear(ret);
    while (auditing->own_at < auditing->own_count && auditing->own[auditing->own_at].index < index) auditing->own_at++;
    if (auditing->own_at == auditing->own_count || auditing->own[auditing->own_at].index != index) return E_OK;
    const struct auditor_own *own = &auditing->own[auditing->own_at];
    return archive_get(auditing->order->home->archive, TABLE_ENTRY, archive_key(own->leg, NULL, own->ordinal), ret,
                       &found);
}

/* Two receipts of one leg and ordinal that the relay has signed, and that are different entries. */
static enum error accuse(struct auditing *auditing, struct bytes proof, const char *what);
static enum error hold_against(struct auditing *auditing, struct bytes own, struct bytes other) {
    AUTO_BUF proof = {0};
    if (!other.p || bytes_equal(own, other)) return E_OK;
    enum error error = fraud_make_entries(auditing->order->card, own, other, &proof);
    return error == E_OK ? accuse(auditing, buf_bytes(&proof), "the relay has signed two entries for one place") : E_OK;
}

enum error auditor_leaf(struct auditing *auditing, const uint8_t hash[static HASH_SIZE], struct bytes receipt) {
    AUTO_BUF own = {0};
    if (auditing->own_count > 0) TRY(own_receipt(auditing, audit_size(auditing->audit, LOG_EVIDENCE), &own));
    if (own.n > 0) TRY(hold_against(auditing, buf_bytes(&own), receipt));
    if (own.n > 0) return audit_entry(auditing->audit, hash, buf_bytes(&own));
    return receipt.p ? audit_entry(auditing->audit, hash, receipt) : audit_hash(auditing->audit, hash);
}

/* ---- the evidence log ---- */

static enum error ask_hashes(struct auditing *auditing) {
    struct instant time;
    uint64_t last = audit_headed(auditing->audit, LOG_EVIDENCE, &time);
    for (uint64_t size; (size = audit_size(auditing->audit, LOG_EVIDENCE)) < last;) {
        AUTO_ANSWER answer = {0};
        struct hashes hashes;
        uint64_t left = last - size;
        struct gethashes ask = {
            .log = LOG_EVIDENCE, .from = size, .max = left < LOG_HASHES_MAX ? left : LOG_HASHES_MAX};
        TRY(relay_call(auditing->order->relay, MESSAGE_GETHASHES, &ask, &answer, auditing->failure));
        enum error error = hashes_decode(answer.body, &hashes);
        bool fits = error == E_OK && hashes.log == ask.log && hashes.from == size && hashes.hashes.n % HASH_SIZE == 0 &&
                    hashes.hashes.n / HASH_SIZE <= ask.max;
        if (!fits) return fail(auditing->failure, error == E_OK ? E_MALFORMED : error, "the relay's log");
        if (hashes.hashes.n == 0) return E_OK; /* it has signed more than it shows: the end of the log tells */
        for (size_t at = 0; at < hashes.hashes.n; at += HASH_SIZE)
            TRY(auditor_leaf(auditing, hashes.hashes.p + at, (struct bytes){0}));
        relay_progress(auditing->order->relay, "entries", size, last);
    }
    return E_OK;
}

/* Receipts for places that the log does not have. */
static enum error own_beyond(struct auditing *auditing) {
    for (size_t i = 0; i < auditing->own_count; i++) {
        const struct auditor_own *own = &auditing->own[i];
        if (own->index < audit_size(auditing->audit, LOG_EVIDENCE)) continue;
        struct audit_finding finding = {.kind = AUDIT_RECEIPT_ELSEWHERE,
                                        .log = LOG_EVIDENCE,
                                        .has_index = true,
                                        .index = own->index,
                                        .has_leg = true,
                                        .has_ordinal = true,
                                        .ordinal = own->ordinal,
                                        .error = E_GAP};
        memcpy(finding.leg, own->leg, HASH_SIZE);
        TRY(take_finding(auditing, &finding));
    }
    return E_OK;
}

/* ---- this home's legs ---- */

static enum error leg_receipts(struct auditing *auditing, struct audit_trail *trail, enum archive_table table) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(table, SCOPE_A, archive_key(trail->about.leg, NULL, 0));
    for (bool found = true; found;) {
        TRY(archive_next(auditing->order->home->archive, &cursor, &bytes, &found));
        if (!found) break;
        if (table == TABLE_ENTRY)
            TRY(audit_step(auditing->audit, trail, buf_bytes(&bytes)));
        else
            TRY(audit_note(auditing->audit, trail, buf_bytes(&bytes)));
    }
    return E_OK;
}

static enum error own_leg(struct auditing *auditing, const uint8_t digest[static HASH_SIZE],
                          const struct kept_request *request, const struct kept_leg *leg) {
    struct opening opening;
    struct audit_trail trail;
    if (leg->record.entries == 0 || opening_decode(leg->record.place.opening, &opening) != E_OK) return E_OK;
    struct audit_leg about = {.sender = request->header.from,
                              .recipient = opening.to,
                              .device = request->header.device,
                              .kind = header_leg_kind(&request->header),
                              .keep_s = request->header.keep_s};
    memcpy(about.leg, leg->leg, HASH_SIZE);
    memcpy(about.header, digest, HASH_SIZE);
    audit_begin(&trail, &about);
    TRY(leg_receipts(auditing, &trail, TABLE_ENTRY));
    TRY(leg_receipts(auditing, &trail, TABLE_NOTE));
    auditing->result->legs++;
    if (trail.ordinal == leg->record.entries && memcmp(trail.head, leg->record.head, HASH_SIZE) == 0) return E_OK;
    struct audit_finding finding = {
        .kind = AUDIT_ORDINAL_GAP, .has_leg = true, .has_ordinal = true, .ordinal = trail.ordinal, .error = E_GAP};
    memcpy(finding.leg, leg->leg, HASH_SIZE);
    return take_finding(auditing, &finding);
}

static enum error own_request(struct auditing *auditing, const uint8_t digest[static HASH_SIZE]) {
    struct archive *archive = auditing->order->home->archive;
    AUTO_REQUEST request = {0};
    AUTO_LEGS legs = {0};
    TRY(kept_load(archive, digest, &request));
    TRY(kept_legs_load(archive, digest, &legs));
    for (size_t i = 0; i < legs.count; i++) TRY(own_leg(auditing, digest, &request, &legs.legs[i]));
    return E_OK;
}

static enum error own_legs(struct auditing *auditing) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ORDER, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = auditing->order->home != NULL; found;) {
        TRY(archive_next(auditing->order->home->archive, &cursor, &bytes, &found));
        if (!found) break;
        if (bytes.n != HASH_SIZE) return E_CORRUPT;
        uint8_t digest[HASH_SIZE];
        memcpy(digest, bytes.p, HASH_SIZE);
        TRY(own_request(auditing, digest));
    }
    return E_OK;
}

/* ---- where the last one ended ---- */

static struct archive_key mark_key(void) { return archive_named("audit"); }

static enum error load_mark(struct home *home, struct keptaudit *ret, struct buf *bytes, bool *ret_found) {
    TRY(archive_get(home->archive, TABLE_META, mark_key(), bytes, ret_found));
    if (*ret_found && keptaudit_decode(buf_bytes(bytes), ret) != E_OK) return E_CORRUPT;
    return E_OK;
}

static enum error read_frontier(const struct keptaudit *mark, struct merkle_frontier *ret) {
    struct merkle_frontier frontier = {.size = mark->size};
    struct list list = mark->nodes;
    const uint8_t *node;
    uint8_t root[HASH_SIZE];
    for (unsigned i = 0; i < MERKLE_DEPTH_MAX; i++) {
        if (!(mark->size >> i & 1)) continue;
        if (!list_next_fixed(&list, HASH_SIZE, &node)) return E_CORRUPT;
        memcpy(frontier.nodes[i], node, HASH_SIZE);
    }
    merkle_frontier_root(&frontier, root);
    if (memcmp(root, mark->root, HASH_SIZE) != 0) return E_CORRUPT;
    *ret = frontier;
    return E_OK;
}

static uint64_t own_below(const struct auditing *auditing, uint64_t size) {
    uint64_t n = 0;
    while (n < auditing->own_count && auditing->own[n].index < size) n++;
    return n;
}

/* Only if nothing has come since for a place that was audited: that receipt was not held against the log yet. */
static enum error resume(struct auditing *auditing) {
    const struct auditor_order *order = auditing->order;
    AUTO_BUF bytes = {0};
    struct keptaudit mark;
    struct merkle_frontier frontier;
    bool found;
    if (!order->home || !order->relay || order->all) return E_OK;
    TRY(load_mark(order->home, &mark, &bytes, &found));
    uint8_t card[HASH_SIZE];
    card_hash(order->card, card);
    bool fits = found && mark.size > 0 && memcmp(mark.card, card, HASH_SIZE) == 0 &&
                own_below(auditing, mark.size) == mark.own && read_frontier(&mark, &frontier) == E_OK;
    if (!fits) return E_OK;
    auditing->result->from = mark.size;
    return audit_resume(auditing->audit, &frontier, mark.time);
}

static enum error save_mark(struct auditing *auditing) {
    const struct auditor_order *order = auditing->order;
    const struct merkle_frontier *frontier = audit_frontier(auditing->audit, LOG_EVIDENCE);
    struct keptaudit mark = {.size = frontier->size, .time = audit_time(auditing->audit)};
    AUTO_BUF nodes = {0}, bytes = {0};
    size_t count = 0;
    if (!order->home || !order->relay || auditing->result->findings > 0) return E_OK;
    for (unsigned i = 0; i < MERKLE_DEPTH_MAX; i++) {
        if (!(frontier->size >> i & 1)) continue;
        cbor_put_bytes(&nodes, bytes_of(frontier->nodes[i], HASH_SIZE));
        count++;
    }
    mark.own = own_below(auditing, frontier->size);
    mark.nodes = list_of(&nodes, count);
    merkle_frontier_root(frontier, mark.root);
    card_hash(order->card, mark.card);
    keptaudit_encode(&mark, &bytes);
    if (nodes.failed || bytes.failed) return E_NO_MEMORY;
    return archive_set(order->home->archive, TABLE_META, mark_key(), buf_bytes(&bytes));
}

/* ---- proofs ---- */

static enum error accuse(struct auditing *auditing, struct bytes proof, const char *what) {
    char name[PROOF_NAME_SIZE];
    struct home *home = auditing->order->home;
    const char *folder = home ? home->path : ".";
    TRY(proofs_write(folder, proof, name, auditing->failure));
    if (auditing->result->proofs++ == 0)
        snprintf(auditing->result->proof, sizeof auditing->result->proof, "%s/%s", folder, name);
    return home ? proofs_accuse(home, proof, what) : E_OK;
}

static enum error all_hashes(struct auditing *auditing, enum relay_log log, uint64_t size, struct buf *out) {
    while (out->n / HASH_SIZE < size) {
        AUTO_ANSWER answer = {0};
        struct hashes hashes;
        uint64_t from = out->n / HASH_SIZE, left = size - from;
        struct gethashes ask = {
            .log = (uint64_t)log, .from = from, .max = left < LOG_HASHES_MAX ? left : LOG_HASHES_MAX};
        TRY(relay_call(auditing->order->relay, MESSAGE_GETHASHES, &ask, &answer, auditing->failure));
        enum error error = hashes_decode(answer.body, &hashes);
        if (error == E_OK && (hashes.from != from || hashes.hashes.n == 0 || hashes.hashes.n % HASH_SIZE))
            error = E_NO_PROOF;
        TRY(error);
        buf_add_bytes(out, hashes.hashes);
        TRY(buf_error(out));
    }
    return E_OK;
}

/* The largest head, and its size. */
static bool newest_of(const struct auditing *auditing, enum relay_log log, struct bytes *ret, uint64_t *ret_size) {
    int which = log == LOG_EVIDENCE;
    struct list list = list_of(&auditing->notes[which], auditing->note_count[which]);
    struct bytes note;
    struct head head;
    *ret_size = 0;
    while (list_next_bytes(&list, &note)) {
        if (head_open_log(auditing->order->card, log, note, &head) != E_OK || head.size < *ret_size) continue;
        *ret_size = head.size;
        *ret = note;
    }
    return *ret_size > 0;
}

/* Two signed heads that cannot be of one log, if the hashes that the relay gives lead to the newest one's root. */
static enum error prove_heads(struct auditing *auditing, enum relay_log log) {
    int which = log == LOG_EVIDENCE;
    AUTO_BUF hashes = {0};
    struct bytes newest, note;
    uint64_t size;
    if (!auditing->contradicted[which] || !newest_of(auditing, log, &newest, &size)) return E_OK;
    bool has_hashes =
        auditing->order->relay && size <= PROOF_LEAVES_MAX && all_hashes(auditing, log, size, &hashes) == E_OK;
    struct list list = list_of(&auditing->notes[which], auditing->note_count[which]);
    while (list_next_bytes(&list, &note)) {
        AUTO_BUF proof = {0};
        struct bytes given = has_hashes ? buf_bytes(&hashes) : (struct bytes){0};
        if (fraud_make_heads(auditing->order->card, note, newest, given, &proof) != E_OK) continue;
        return accuse(auditing, buf_bytes(&proof), "the relay has signed two logs that cannot be one");
    }
    return E_OK;
}

/* ---- the whole ---- */

static enum error read_relay(struct auditing *auditing) {
    const struct auditor_order *order = auditing->order;
    TRY(ask_heads(auditing));
    TRY(ask_log(auditing, LOG_EVIDENCE));
    if (order->home && !order->all) TRY(own_leaves(auditing));
    TRY(ask_leaves(auditing));
    TRY(audit_done(auditing->audit, LOG_DIRECTORY, true));
    return ask_hashes(auditing);
}

static enum error run_all(struct auditing *auditing) {
    const struct auditor_order *order = auditing->order;
    TRY(own_heads(auditing));
    TRY(own_receipts(auditing));
    TRY(resume(auditing));
    TRY(order->relay ? read_relay(auditing) : auditor_read_backup(auditing));
    TRY(audit_done(auditing->audit, LOG_EVIDENCE, true));
    TRY(own_beyond(auditing));
    TRY(own_legs(auditing));
    if (!order->relay) TRY(auditor_backup_legs(auditing));
    TRY(prove_heads(auditing, LOG_DIRECTORY));
    TRY(prove_heads(auditing, LOG_EVIDENCE));
    return save_mark(auditing);
}

enum error auditor_run(const struct auditor_order *order, struct auditor_result *ret, struct failure *failure) {
    struct auditor_result result = {0};
    struct auditing auditing = {.order = order, .result = &result, .failure = failure};
    auditing.audit = audit_new(order->card, (struct audit_sink){&auditing, take_finding});
    enum error error = auditing.audit ? run_all(&auditing) : E_NO_MEMORY;
    for (int i = 0; i < 2 && auditing.audit; i++) {
        enum relay_log log = i ? LOG_EVIDENCE : LOG_DIRECTORY;
        result.sizes[i] = audit_size(auditing.audit, log);
        audit_root(auditing.audit, log, result.roots[i]);
        (void)audit_headed(auditing.audit, log, &result.times[i]);
    }
    audit_free(auditing.audit);
    free(auditing.own);
    buf_free(&auditing.notes[0]);
    buf_free(&auditing.notes[1]);
    if (error != E_OK) return failure->error == error ? error : fail(failure, error, "the audit");
    *ret = result;
    return E_OK;
}
