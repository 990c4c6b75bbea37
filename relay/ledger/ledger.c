/* ledger.c - the loop of the process that remembers: gather a batch, write it, commit, answer.
 *
 *     poll ── jobs of the gate, commands of pouchctl, deadlines
 *       └─ batch: apply (submission, transition, enrolment) ─ expiry ─ scribe signs ─ COMMIT ─ answer questions ─ send
 *
 * A store failure other than a full disk ends the process without answering anybody: what the disk holds is then read
 * anew by the next ledger, and clients ask again. A full disk undoes the batch; it is tried again without new
 * submissions, so that decisions and evidence still pass, and only then everything in it is told to wait. */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "book.h"
#include "fault.h"
#include "head.h"
#include "keys.h"
#include "log.h"
#include "sign.h"

enum {
    BATCH_JOBS = 256,
    BATCH_BYTES = 8 * 1024 * 1024,
    CONTROLS = 8,
    TICK_MS = 250, /* how late a deadline may be noticed */
    HOUSEKEEPING_MS = 60 * 1000,
    SETTLE_MS = 50, /* so often the store is settled while it is written to */
    CARD_MAX = 64 * 1024,
};

struct task { /* one job or command of a batch */
    struct job job;
    struct frame frame;
    const struct message_row *row;
    struct link *control; /* a command instead of a job */
    struct command command;
    struct response response;
};

struct ledger {
    struct book book;
    struct link gate, controls[CONTROLS];
    int gate_listen, control_listen, signals;
    struct task *tasks;
    size_t count;
    struct pulse pulse;
    struct instant started, housekept;
    uint64_t settled_ms;   /* steady clock */
    bool stop, more, full; /* full: said so in the log */
    bool unsettled;        /* something was committed since */
};

/* ---- start ---- */

static enum error read_card(struct card *ret) {
    AUTO_FREE(char) text = malloc(CARD_MAX);
    if (!text) return E_NO_MEMORY;
    int fd = open("relay.card", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, CARD_MAX);
    if (fd >= 0) close(fd);
    return n < 0 ? E_IO : card_parse(bytes_of(text, (size_t)n), ret, NULL);
}

static enum error read_statement_key(struct book *book) {
    uint8_t seed[KEY_SIZE];
    TRY(keys_read(".", "statement.key", seed));
    crypto_sign_seed_keypair(book->statement_key, book->statement_secret, seed);
    sodium_memzero(seed, sizeof seed);
    return memcmp(book->statement_key, book->card.statement, KEY_SIZE) == 0 ? E_OK : E_WRONG_FINGERPRINT;
}

static enum error read_log_key(struct book *book) {
    uint8_t seed[KEY_SIZE], public[KEY_SIZE];
    TRY(head_key(&book->card, LOG_DIRECTORY, &book->log_keys[LOG_DIRECTORY]));
    TRY(head_key(&book->card, LOG_EVIDENCE, &book->log_keys[LOG_EVIDENCE]));
    TRY(keys_read(".", "log.key", seed));
    crypto_sign_seed_keypair(public, book->log_secret, seed);
    sodium_memzero(seed, sizeof seed);
    return memcmp(public, book->card.log, KEY_SIZE) == 0 ? E_OK : E_WRONG_FINGERPRINT;
}

/* The directory is what its leaves say, replayed by the rules that every client uses. */
static enum error replay(struct book *book) {
    uint64_t count;
    book->directory = directory_new(&book->card);
    if (!book->directory) return E_NO_MEMORY;
    TRY(book->store->ops->leaf_count(book->store, &count));
    for (uint64_t i = 0; i < count; i++) {
        AUTO_BUF leaf = {0};
        TRY(book->store->ops->leaf_get(book->store, i, &leaf));
        enum error error = directory_apply(book->directory, buf_bytes(&leaf));
        /* The log stands; the card was changed so that it no longer knows who signed it. */
        if (error == E_UNKNOWN_REGISTRAR || error == E_TOO_FEW_SIGNERS || error == E_NO_MEMORY) return error;
        if (error != E_OK) return E_CORRUPT;
    }
    uint8_t stored[HASH_SIZE], computed[HASH_SIZE];
    if (count == 0) return E_OK;
    TRY(book->store->ops->leaf_root(book->store, count, stored));
    directory_root(book->directory, computed);
    return memcmp(stored, computed, HASH_SIZE) == 0 ? E_OK : E_CORRUPT;
}

static enum error commit_after(struct book *book, enum error error) {
    return error == E_OK ? book->store->ops->commit(book->store) : error;
}

/* Entries from before the evidence log: without their place in it nothing can be added, so a full disk is no excuse. */
static enum error catch_up(struct book *book) {
    TRY(book->store->ops->begin(book->store));
    return commit_after(book, proofs_catch_up(book));
}

/* The newest head must be of this log; one is made where there is none, or only an old one. */
static enum error check_head(struct book *book, enum relay_log log) {
    TRY(heads_check_outside(book, log));
    TRY(book->store->ops->begin(book->store));
    enum error error = commit_after(book, heads_write(book, log, HEAD_INTERVAL_MS));
    if (error == E_STORE_FULL) book_undo(book); /* a full disk keeps nobody from reading */
    if (error != E_STORE_FULL) TRY(error);
    book->head_made[log] = true; /* perhaps just before it was killed */
    heads_keep_outside(book);
    return E_OK;
}

static enum error open_book(struct book *book, const struct config *config, const char **ret_what) {
    book->config = config;
    *ret_what = "relay.card";
    TRY(read_card(&book->card));
    *ret_what = "statement.key";
    TRY(read_statement_key(book));
    *ret_what = "log.key";
    TRY(read_log_key(book));
    *ret_what = config->store_file;
    TRY(store_sqlite_open(config->store_file, false, &book->store));
    TRY(replay(book));
    TRY(outage_load(book));
    clock_start(&book->clock, book->outages.alive);
    book->now = clock_read(&book->clock);
    TRY(catch_up(book));
    *ret_what = "relay.recover";
    TRY(loss_take(book));
    *ret_what = config->store_file;
    TRY(book_fill_tree(book));
    TRY(check_head(book, LOG_DIRECTORY));
    return check_head(book, LOG_EVIDENCE);
}

enum error ledger_create(const struct config *config) {
    struct store *store;
    TRY(store_sqlite_open(config->store_file, true, &store));
    store->ops->close(store);
    return E_OK;
}

/* ---- a batch ---- */

/* Anything but a full disk leaves the store's state unknown: end here, answer nobody. */
static _Noreturn void give_up(enum error error) {
    log_line(LOG_ERR, "the store failed (%s): stopping without an answer; it is opened anew", error_row(error)->name);
    _exit(error_row(E_IO)->exit);
}

static enum error apply_job(struct ledger *ledger, struct task *task) {
    struct book *book = &ledger->book;
    struct response *response = &task->response;
    union {
        struct submit submit;
        struct chunk chunk;
        struct state state;
        struct enrol enrol;
        struct declare declare;
        struct publish publish;
        struct cosign cosign;
        struct put put;
        struct get get;
        struct putcontact putcontact;
        uint8_t room[4096];
    } body;
    if (task->row->object->size > sizeof body) return E_INTERNAL;
    enum error wrong = codec_decode(task->row->object, task->frame.body, &body);
    if (wrong != E_OK) {
        response_fail(response, wrong, task->row->object->name);
        return E_OK;
    }
    switch (task->row->type) {
    case MESSAGE_SUBMIT: return submission_submit(book, &task->job, &body.submit, response);
    case MESSAGE_CHUNK: return submission_chunk(book, &task->job, &body.chunk, response);
    case MESSAGE_STATE: return transition_state(book, &task->job, &body.state, response);
    case MESSAGE_ENROL: return enrolment_enrol(book, &task->job, &body.enrol, response);
    case MESSAGE_DECLARE: return enrolment_declare(book, &body.declare, response);
    case MESSAGE_PUBLISH: return enrolment_publish(book, &task->job, &body.publish, response);
    case MESSAGE_COSIGN: return heads_answer_cosign(book, body.cosign.note, response);
    case MESSAGE_PUT: return boxes_put(book, &task->job, &body.put, response);
    case MESSAGE_GET: return boxes_drop(book, &task->job, &body.get);
    case MESSAGE_PUTCONTACT: return contacts_put(book, &task->job, &body.putcontact, response);
    default: return E_OK; /* a question: after the commit */
    }
}

static enum error add_witness_answer(struct book *book, struct task *task, enum error *ret_wrong) {
    TRY(heads_add_answer(book, task->command.note, ret_wrong));
    if (*ret_wrong == E_BAD_SIGNATURE)
        snprintf(task->response.detail, sizeof task->response.detail,
                 "the lines are under none of the heads that were asked about lately; bring the whole note");
    return E_OK;
}

static enum error apply_command(struct ledger *ledger, struct task *task) {
    enum error wrong = E_OK;
    if (task->command.verb == COMMAND_RECORD)
        TRY(enrolment_record(&ledger->book, task->command.statements, &wrong));
    else if (task->command.verb == COMMAND_WITNESS_ADD)
        TRY(add_witness_answer(&ledger->book, task, &wrong));
    else if (task->command.verb != COMMAND_STATUS && task->command.verb != COMMAND_WITNESS_REQUEST)
        wrong = E_UNKNOWN_MESSAGE;
    task->response.error = wrong;
    return E_OK;
}

static bool disk_is_low(const struct book *book) {
    struct statvfs disk;
    if (statvfs(".", &disk) != 0) return false;
    return (uint64_t)disk.f_bavail * disk.f_frsize < book->config->store_reserve;
}

static enum error housekeep(struct ledger *ledger) {
    struct book *book = &ledger->book;
    if (book->now.ms < ledger->housekept.ms + HOUSEKEEPING_MS) return E_OK;
    uint64_t today = book->now.ms / DAY_MS;
    TRY(submission_sweep(book));
    TRY(retention_sweep(book));
    TRY(rekey_housekeep(book));
    TRY(boxes_sweep(book));
    TRY(book->store->ops->prekey_drop(book->store,
                                      (uint32_t)(today > PREKEY_WINDOW_DAYS ? today - PREKEY_WINDOW_DAYS : 0)));
    ledger->housekept = book->now;
    return E_OK;
}

static bool is_asked_by_operator(const struct task *task) {
    return task->control && task->command.verb == COMMAND_WITNESS_REQUEST;
}

static enum relay_log asked_log(const struct task *task) {
    struct getcheckpoint ask;
    if (task->control) return task->command.has_log ? (enum relay_log)task->command.log : LOG_DIRECTORY;
    if (getcheckpoint_decode(task->frame.body, &ask) != E_OK || !ask.has_log) return LOG_DIRECTORY;
    return (enum relay_log)ask.log;
}

/* Whoever takes a head to a witness needs one whose time is right. */
static bool asks_for_head(const struct task *task, enum relay_log log) {
    bool asks = task->control ? is_asked_by_operator(task) : task->row->type == MESSAGE_GETCHECKPOINT;
    return asks && asked_log(task) == log;
}

/* The evidence log's heads are signed with its entries, after the scribe; here only one that has become old. */
static enum error write_head(struct ledger *ledger, enum relay_log log) {
    struct book *book = &ledger->book;
    bool asked = false, housekept = ledger->housekept.ms == book->now.ms;
    bool grown = log == LOG_DIRECTORY && book->growing;
    for (size_t i = 0; i < ledger->count; i++) asked = asked || asks_for_head(&ledger->tasks[i], log);
    if (log == LOG_EVIDENCE && scribe_entries(&book->scribe) > 0) return E_OK;
    return asked || grown || housekept ? heads_write(book, log, asked ? HEAD_ASKED_MS : HEAD_INTERVAL_MS) : E_OK;
}

static enum error remember_asked(struct ledger *ledger) {
    for (size_t i = 0; i < ledger->count; i++) {
        const struct task *task = &ledger->tasks[i];
        if (is_asked_by_operator(task)) TRY(heads_remember_asked(&ledger->book, asked_log(task)));
    }
    return E_OK;
}

static enum error write_batch(struct ledger *ledger) {
    struct book *book = &ledger->book;
    outage_begin(book);
    TRY(scribe_begin(&book->scribe, book->store, directory_size(book->directory)));
    for (size_t i = 0; i < ledger->count; i++) {
        struct task *task = &ledger->tasks[i];
        TRY(task->control ? apply_command(ledger, task) : apply_job(ledger, task));
    }
    bool legs_left;
    TRY(expiry_run(book, &ledger->more));
    TRY(rekey_run(book, &legs_left));
    ledger->more |= legs_left;
    TRY(housekeep(ledger));
    FAULT("ledger.applied");
    TRY(write_head(ledger, LOG_DIRECTORY));
    TRY(write_head(ledger, LOG_EVIDENCE));
    TRY(scribe_sign(&book->scribe, book->store, book->statement_secret));
    FAULT("ledger.signed");
    TRY(proofs_write(book));
    TRY(remember_asked(ledger));
    return outage_write(book);
}

static void undo_batch(struct ledger *ledger) {
    book_undo(&ledger->book);
    for (size_t i = 0; i < ledger->count; i++) response_free(&ledger->tasks[i].response);
}

static void tell_outage(struct book *book) {
    uint64_t ms = outage_committed(book);
    if (ms == 0) return;
    log_line(LOG_WARNING, "the ledger was away for %llu s: every open request has so much longer",
             (unsigned long long)(ms / 1000));
}

/* One transaction; E_STORE_FULL has undone it. */
static enum error try_batch(struct ledger *ledger) {
    struct book *book = &ledger->book;
    enum error error = book->store->ops->begin(book->store);
    if (error == E_OK) error = write_batch(ledger);
    if (error == E_OK) {
        FAULT("ledger.before-commit");
        error = book->store->ops->commit(book->store);
        if (error == E_OK) {
            FAULT("ledger.committed");
            ledger->unsettled = true;
            heads_keep_outside(book);
            tell_outage(book);
            return E_OK;
        }
    }
    if (error != E_STORE_FULL) give_up(error);
    undo_batch(ledger);
    return error;
}

static bool changes(enum message type) {
    return type == MESSAGE_COSIGN || type == MESSAGE_ENROL || type == MESSAGE_DECLARE || type == MESSAGE_PUBLISH ||
           type == MESSAGE_SUBMIT || type == MESSAGE_CHUNK || type == MESSAGE_STATE || type == MESSAGE_PUT ||
           type == MESSAGE_PUTCONTACT;
}

/* Looking into a box changes nothing, unless the question also says what was got. */
static bool drops(const struct task *task) {
    struct get get;
    return task->row->type == MESSAGE_GET && get_decode(task->frame.body, &get) == E_OK && get.after > 0;
}

/* Reading goes on: only what would have changed something is told to wait. */
static void refuse_batch(struct ledger *ledger) {
    for (size_t i = 0; i < ledger->count; i++) {
        struct task *task = &ledger->tasks[i];
        if (task->control)
            task->response.error = E_STORE_FULL;
        else if (changes(task->row->type))
            response_fail(&task->response, E_STORE_FULL, NULL);
    }
    ledger->more = false; /* not at once, but with the next tick */
    if (!ledger->full) log_line(LOG_ERR, "the disk is full: everything waits until there is room");
    ledger->full = true;
}

/* ---- answers, after the commit ---- */

static bool is_question(const struct task *task) { return !task->control && task->response.type == MESSAGE_NONE; }

static void answer_questions(struct ledger *ledger) {
    struct store *store = ledger->book.store;
    size_t questions = 0;
    for (size_t i = 0; i < ledger->count; i++) questions += is_question(&ledger->tasks[i]);
    if (questions == 0) return;
    if (store->ops->view_begin(store) != E_OK) give_up(E_IO);
    for (size_t i = 0; i < ledger->count; i++) {
        struct task *task = &ledger->tasks[i];
        if (!is_question(task)) continue;
        enum error error =
            handover_answer(&ledger->book, &task->job, task->row->type, task->frame.body, &task->response);
        if (error == E_IO || error == E_CORRUPT || error == E_NO_MEMORY || error == E_INTERNAL) give_up(error);
        if (error != E_OK) response_fail(&task->response, error, task->row->object->name);
    }
    if (store->ops->view_end(store) != E_OK) give_up(E_IO);
}

static struct bytes receipt_of(const struct book *book, const struct outcome *outcome) {
    return outcome->pending >= 0 ? scribe_receipt(&book->scribe, outcome->pending) : buf_bytes(&outcome->receipt);
}

/* Receipts may be larger than what asked for them, so not all need fit into one message. Who gets none is told to ask
 * again, and then gets what is recorded. */
static void encode_results(const struct book *book, const struct response *response, struct buf *out) {
    enum { RESULT_BYTES = 64, RECEIPTS_BYTES = MESSAGE_MAX - (LEGS_MAX + 1) * RESULT_BYTES };
    for (size_t i = 0; i < response->outcome_count; i++) {
        const struct outcome *outcome = &response->outcomes[i];
        struct result result = {.error = outcome->error, .receipt = receipt_of(book, outcome)};
        result.has_receipt = result.receipt.n > 0;
        if (result.has_receipt && out->n + result.receipt.n > RECEIPTS_BYTES) {
            result.has_receipt = false;
            result.error = E_BUSY;
        }
        memcpy(result.subject, outcome->subject, HASH_SIZE);
        result_encode(&result, out);
    }
}

/* The body of the answer's message, as its object. */
static void encode_failure(const struct book *book, const struct response *response, struct buf *out) {
    struct failed failure = {
        .error = response->error, .has_detail = response->detail[0] != 0, .detail = bytes_text(response->detail)};
    for (size_t i = 0; i < response->outcome_count && !failure.has_refusal; i++) {
        failure.refusal = receipt_of(book, &response->outcomes[i]);
        failure.has_refusal = failure.refusal.n > 0;
    }
    failed_encode(&failure, out);
}

/* The bodies that were accepted are read after the commit, like all that is answered. */
static void encode_stated(struct book *book, const struct response *response, struct list results, struct buf *out) {
    AUTO_BUF along = {0};
    size_t count = 0;
    if (handover_along(book, response, results.items.n, &along, &count) != E_OK) give_up(E_IO);
    struct stated stated = {.results = results, .has_along = count > 0, .along = list_of(&along, count)};
    stated_encode(&stated, out);
}

static void encode_body(struct book *book, const struct response *response, struct buf *out) {
    AUTO_BUF results = {0}, wants = {0};
    if (response->type == MESSAGE_FAILURE) {
        encode_failure(book, response, out);
        return;
    }
    if (response->type != MESSAGE_SUBMITTED && response->type != MESSAGE_STATED) {
        buf_add_bytes(out, buf_bytes(&response->body));
        return;
    }
    encode_results(book, response, &results);
    struct list list = list_of(&results, response->outcome_count);
    if (response->type == MESSAGE_STATED) {
        encode_stated(book, response, list, out);
        return;
    }
    for (size_t i = 0; i < response->want_count; i++) want_encode(&response->wants[i], &wants);
    struct submitted submitted = {.results = list, .wants = list_of(&wants, response->want_count)};
    memcpy(submitted.header, response->header, HASH_SIZE);
    submitted_encode(&submitted, out);
}

static void send_reply(struct ledger *ledger, const struct task *task) {
    AUTO_BUF body = {0}, frame = {0};
    encode_body(&ledger->book, &task->response, &body);
    frame_encode(&(struct frame){task->response.type, task->frame.number, buf_bytes(&body)}, &frame);
    struct reply reply = {.session = task->job.session, .frame = buf_bytes(&frame)};
    if (body.failed || frame.failed) give_up(E_NO_MEMORY);
    if (link_put(&ledger->gate, PACKET_REPLY, &reply_object, &reply) != E_OK) link_close(&ledger->gate);
}

static void add_number(struct buf *out, size_t *count, const char *name, uint64_t value) {
    number_encode(&(struct number){bytes_text(name), value <= INT64_MAX ? value : INT64_MAX}, out);
    (*count)++;
}

static void add_directory_numbers(const struct directory *directory, struct buf *out, size_t *count) {
    size_t parties = 0, posts = 0, devices = 0;
    while (directory_party_nth(directory, parties)) parties++;
    while (directory_post_nth(directory, posts)) posts++;
    while (directory_device_nth(directory, devices)) devices++;
    add_number(out, count, "parties", parties);
    add_number(out, count, "posts", posts);
    add_number(out, count, "devices", devices);
    add_number(out, count, "directory_size", directory_size(directory));
}

static void add_head_numbers(const struct book *book, struct buf *out, size_t *count) {
    struct heads_numbers numbers;
    if (heads_count(book, &numbers) != E_OK) give_up(E_IO);
    add_number(out, count, "head_size", numbers.size);
    add_number(out, count, "head_time_ms", numbers.time.ms);
    add_number(out, count, "evidence_size", numbers.evidence_size);
    add_number(out, count, "evidence_time_ms", numbers.evidence_time.ms);
    add_number(out, count, "witnesses", numbers.witnesses);
    add_number(out, count, "witnesses_fresh", numbers.fresh);
    add_number(out, count, "witnesses_needed", book->card.quorum);
}

static void add_status(struct ledger *ledger, struct buf *out, size_t *count) {
    struct book *book = &ledger->book;
    struct store_counts counts;
    struct statvfs disk;
    if (book->store->ops->counts(book->store, &counts) != E_OK) give_up(E_IO);
    add_directory_numbers(book->directory, out, count);
    add_head_numbers(book, out, count);
    add_number(out, count, "requests", counts.requests - counts.staged);
    add_number(out, count, "staged", counts.staged);
    add_number(out, count, "legs_total", counts.legs);
    add_number(out, count, "legs_open", counts.legs_open);
    add_number(out, count, "entries", counts.entries);
    add_number(out, count, "receipts", counts.receipts);
    add_number(out, count, "connections", ledger->pulse.connections);
    add_number(out, count, "members", ledger->pulse.members);
    add_number(out, count, "received", ledger->pulse.received);
    add_number(out, count, "refused", ledger->pulse.refused);
    add_number(out, count, "gate_pid", ledger->pulse.pid);
    add_number(out, count, "ledger_pid", (uint64_t)getpid());
    add_number(out, count, "store_bytes", counts.bytes);
    add_number(out, count, "free_bytes", statvfs(".", &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : 0);
    add_number(out, count, "disk_low", book->refuse_new);
    add_number(out, count, "clock_halted", book->clock.halted);
    add_number(out, count, "outages", book->outages_before.count);
    add_number(out, count, "outages_s", book->outages_before.sum_ms / 1000);
    add_number(out, count, "outage_end_time_ms", book->outages_before.end.ms);
    add_number(out, count, "ledger_time_ms", book->now.ms);
    add_number(out, count, "uptime_s", (book->now.ms - ledger->started.ms) / 1000);
}

static void send_answer(struct ledger *ledger, struct task *task) {
    AUTO_BUF numbers = {0}, data = {0};
    size_t count = 0;
    if (task->command.verb == COMMAND_STATUS) add_status(ledger, &numbers, &count);
    if (is_asked_by_operator(task) &&
        heads_request(&ledger->book, asked_log(task), task->command.old, &data, &task->response.error) != E_OK)
        give_up(E_IO);
    struct answer packet = {.error = task->response.error,
                            .numbers = list_of(&numbers, count),
                            .has_detail = task->response.detail[0] != 0,
                            .detail = bytes_text(task->response.detail),
                            .has_data = data.n > 0,
                            .data = buf_bytes(&data)};
    if (link_put(task->control, PACKET_ANSWER, &answer_object, &packet) != E_OK) link_close(task->control);
}

/* Leaves from `from` on, in packets that the link takes. */
static enum error send_leaves(struct ledger *ledger, uint64_t from) {
    enum { PAGE = 100 };
    struct book *book = &ledger->book;
    uint64_t size = directory_size(book->directory), time_ms = clock_read(&book->clock).ms;
    do {
        AUTO_BUF list = {0};
        size_t count = 0;
        for (; count < PAGE && from + count < size; count++) {
            AUTO_BUF leaf = {0};
            TRY(book->store->ops->leaf_get(book->store, from + count, &leaf));
            cbor_put_bytes(&list, buf_bytes(&leaf));
        }
        struct grown grown = {.from = from, .leaves = list_of(&list, count), .size = size, .time_ms = time_ms};
        TRY(buf_error(&list));
        TRY(link_put(&ledger->gate, PACKET_GROWN, &grown_object, &grown));
        from += count;
    } while (from < size);
    return E_OK;
}

/* The gate learns of new devices and revocations before it sees the answers that depend on them. */
static void publish_growth(struct ledger *ledger) {
    struct book *book = &ledger->book;
    if (!book->growing) return;
    uint64_t from = directory_size(book->directory);
    if (book_grow(book) != E_OK) give_up(E_IO);
    if (ledger->gate.fd >= 0 && send_leaves(ledger, from) != E_OK) link_close(&ledger->gate);
}

static void send_wakes(struct ledger *ledger) {
    struct book *book = &ledger->book;
    for (size_t i = 0; i < book->wake_count && ledger->gate.fd >= 0; i++) {
        const struct book_wake *wake = &book->wakes[i];
        struct wake packet = {bytes_text(wake->post), wake->newest, true, wake->precedence};
        if (link_put(&ledger->gate, PACKET_WAKE, &wake_object, &packet) != E_OK) link_close(&ledger->gate);
    }
    book->wake_count = 0;
}

static void send_all(struct ledger *ledger) {
    for (size_t i = 0; i < ledger->count; i++) {
        struct task *task = &ledger->tasks[i];
        if (task->control)
            send_answer(ledger, task);
        else if (ledger->gate.fd >= 0)
            send_reply(ledger, task);
        response_free(&task->response);
        FAULT("ledger.answered");
    }
    send_wakes(ledger);
    ledger->count = 0;
}

static bool changes_anything(const struct ledger *ledger) {
    for (size_t i = 0; i < ledger->count; i++) {
        const struct task *task = &ledger->tasks[i];
        if (task->control ? task->command.verb != COMMAND_STATUS : changes(task->row->type) || drops(task)) return true;
        bool witness = !task->control && task->row->type == MESSAGE_GETCHECKPOINT;
        if (witness && heads_old(&ledger->book, asked_log(task), HEAD_ASKED_MS)) return true;
    }
    return false;
}

/* Questions alone, with no deadline due, need no transaction. */
static bool deadline_due(struct ledger *ledger) {
    struct book *book = &ledger->book;
    struct store_leg leg;
    bool housekeeping = book->now.ms >= ledger->housekept.ms + HOUSEKEEPING_MS;
    return housekeeping || ledger->more ||
           (!book->clock.halted && book->store->ops->leg_due(book->store, outage_served(book), &leg) == E_OK);
}

static void run_batch(struct ledger *ledger) {
    struct book *book = &ledger->book;
    book->now = clock_read(&book->clock);
    book->refuse_new = disk_is_low(book);
    if (changes_anything(ledger) || deadline_due(ledger)) {
        enum error error = try_batch(ledger);
        if (error == E_STORE_FULL && !book->refuse_new) {
            book->refuse_new = true;
            error = try_batch(ledger);
        }
        if (error != E_OK)
            refuse_batch(ledger);
        else
            ledger->full = false;
    }
    publish_growth(ledger); /* first: an answer has the directory and the head of one moment */
    answer_questions(ledger);
    send_all(ledger);
}

/* After the answers, so that nobody waits for it; little and often, so that no batch waits long. A full disk leaves it for later:
 * the journal holds everything. */
static void settle(struct ledger *ledger) {
    struct store *store = ledger->book.store;
    uint64_t now_ms = clock_steady_ms();
    if (!ledger->unsettled || now_ms - ledger->settled_ms < SETTLE_MS) return;
    enum error error = store->ops->settle(store);
    if (error != E_OK && error != E_STORE_FULL) give_up(error);
    ledger->unsettled = error != E_OK;
    ledger->settled_ms = now_ms;
    FAULT("ledger.settled");
}

/* ---- gathering ---- */

static struct task *task_new(struct ledger *ledger) {
    struct task *task = &ledger->tasks[ledger->count++];
    *task = (struct task){0};
    return task;
}

/* The gate has decoded it already; what it passes that does not decode is a fault of ours, and is dropped with a word.
 */
static void take_packet(struct ledger *ledger, const struct packet *packet) {
    struct task *task;
    if (packet->kind == PACKET_PULSE) {
        if (pulse_decode(packet->body, &ledger->pulse) != E_OK)
            log_line(LOG_WARNING, "a pulse of the gate does not decode");
        return;
    }
    task = task_new(ledger);
    enum error error = packet->kind == PACKET_JOB ? job_decode(packet->body, &task->job) : E_UNKNOWN_MESSAGE;
    if (error == E_OK) error = message_decode(task->job.frame, &task->frame, &task->row);
    if (error == E_OK && !task->row->from_client) error = E_UNKNOWN_MESSAGE;
    if (error == E_OK) return;
    log_line(LOG_WARNING, "a packet of the gate does not decode: %s", error_row(error)->name);
    ledger->count--;
}

static void gather_gate(struct ledger *ledger, short revents) {
    struct packet packet;
    enum error error = E_OK;
    if (revents & (POLLIN | POLLHUP | POLLERR)) {
        size_t before;
        do {
            before = ledger->gate.in.n - ledger->gate.in_done;
            error = link_fill(&ledger->gate);
        } while (error == E_OK && ledger->gate.in.n - ledger->gate.in_done > before && ledger->gate.in.n < BATCH_BYTES);
    }
    enum error wrong = E_OK;
    while (ledger->count < BATCH_JOBS && link_next(&ledger->gate, &packet, &wrong)) take_packet(ledger, &packet);
    if (wrong != E_OK || (error != E_OK && ledger->count == 0)) {
        link_close(&ledger->gate);
        ledger->count = 0;
    }
}

static void gather_control(struct ledger *ledger, struct link *link) {
    struct packet packet;
    enum error wrong = E_OK;
    enum error error = link_fill(link);
    if (ledger->count < BATCH_JOBS + CONTROLS && link_next(link, &packet, &wrong)) {
        struct task *task = task_new(ledger);
        task->control = link;
        wrong = packet.kind == PACKET_COMMAND ? command_decode(packet.body, &task->command) : E_UNKNOWN_MESSAGE;
        if (wrong == E_OK) return;
        ledger->count--;
    }
    if (wrong != E_OK || error != E_OK) link_close(link);
}

/* A new gate replaces the old one, which can only be dead. */
static void accept_gate(struct ledger *ledger) {
    int fd = accept4(ledger->gate_listen, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    link_close(&ledger->gate);
    link_open(&ledger->gate, fd);
    if (send_leaves(ledger, 0) != E_OK) link_close(&ledger->gate);
}

static void accept_control(struct ledger *ledger) {
    int fd = accept4(ledger->control_listen, NULL, NULL, SOCK_CLOEXEC);
    for (size_t i = 0; i < CONTROLS && fd >= 0; i++) {
        if (ledger->controls[i].fd >= 0) continue;
        link_open(&ledger->controls[i], fd);
        return;
    }
    if (fd >= 0) close(fd);
}

/* ---- the loop ---- */

enum {
    POLL_SIGNAL,
    POLL_GATE_LISTEN,
    POLL_CONTROL_LISTEN,
    POLL_GATE,
    POLL_CONTROLS,
    POLL_COUNT = POLL_CONTROLS + CONTROLS
};

static void flush(struct link *link) {
    if (link->fd >= 0 && link_flush(link) != E_OK) link_close(link);
}

static void poll_once(struct ledger *ledger, int timeout_ms) {
    struct pollfd fds[POLL_COUNT] = {
        [POLL_SIGNAL] = {ledger->signals, POLLIN, 0},
        [POLL_GATE_LISTEN] = {ledger->gate_listen, POLLIN, 0},
        [POLL_CONTROL_LISTEN] = {ledger->control_listen, POLLIN, 0},
        [POLL_GATE] = {ledger->gate.fd, link_wants(&ledger->gate), 0},
    };
    for (int i = 0; i < CONTROLS; i++)
        fds[POLL_CONTROLS + i] = (struct pollfd){ledger->controls[i].fd, link_wants(&ledger->controls[i]), 0};
    int n = poll(fds, POLL_COUNT, timeout_ms);
    if (n < 0 && errno != EINTR) give_up(E_INTERNAL);
    if (n < 0) return;
    if (fds[POLL_SIGNAL].revents) ledger->stop = true;
    if (ledger->gate.fd >= 0) gather_gate(ledger, fds[POLL_GATE].revents);
    for (size_t i = 0; i < CONTROLS; i++)
        if (fds[POLL_CONTROLS + i].revents & (POLLIN | POLLHUP | POLLERR)) gather_control(ledger, &ledger->controls[i]);
    run_batch(ledger);
    if (fds[POLL_GATE_LISTEN].revents) accept_gate(ledger);
    if (fds[POLL_CONTROL_LISTEN].revents) accept_control(ledger);
    flush(&ledger->gate);
    for (size_t i = 0; i < CONTROLS; i++) flush(&ledger->controls[i]);
    settle(ledger);
}

/* More waits in the buffer than one batch took: go on at once. */
static bool backlog(const struct ledger *ledger) {
    return ledger->more || ledger->gate.in.n - ledger->gate.in_done > 64;
}

static void loop(struct ledger *ledger) {
    bool busy = false;
    while (!ledger->stop) {
        size_t before = ledger->gate.in.n - ledger->gate.in_done;
        poll_once(ledger, busy ? 0 : TICK_MS);
        busy = backlog(ledger) && (ledger->more || ledger->gate.in.n - ledger->gate.in_done != before);
    }
}

static int signal_fd(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void close_all(struct ledger *ledger) {
    struct book *book = &ledger->book;
    link_close(&ledger->gate);
    for (size_t i = 0; i < CONTROLS; i++) link_close(&ledger->controls[i]);
    if (book->store) book->store->ops->close(book->store);
    directory_free(book->directory);
    merkle_tree_free(&book->tree);
    scribe_free(&book->scribe);
    sodium_memzero(book->statement_secret, sizeof book->statement_secret);
    sodium_memzero(book->log_secret, sizeof book->log_secret);
    free(book->wakes);
    free(ledger->tasks);
    close(ledger->signals);
}

/* Memory may be there again a moment later: like a disk that fails, that ends no relay that has served. */
static int start_exit(enum error error) { return error_row(error == E_NO_MEMORY ? E_IO : error)->exit; }

int ledger_run(const struct config *config, int gate_fd, int control_fd) {
    struct ledger ledger = {
        .gate = {.fd = -1}, .gate_listen = gate_fd, .control_listen = control_fd, .signals = signal_fd()};
    const char *what = "";
    for (size_t i = 0; i < CONTROLS; i++) ledger.controls[i].fd = -1;
    ledger.tasks = calloc(BATCH_JOBS + CONTROLS + 1, sizeof *ledger.tasks);
    enum error error = ledger.tasks ? open_book(&ledger.book, config, &what) : E_NO_MEMORY;
    if (error != E_OK) {
        log_line(LOG_ERR, "%s: %s; %s", what, error_row(error)->text, error_row(error)->hint);
        close_all(&ledger);
        return start_exit(error);
    }
    ledger.started = ledger.book.now = clock_read(&ledger.book.clock);
    loop(&ledger);
    close_all(&ledger);
    return 0;
}
