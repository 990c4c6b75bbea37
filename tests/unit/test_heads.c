/* test_heads.c - the signed heads of both logs and the relay's promises: made with the batch, given out, cosigned. */
#include "heads.h"
#include "headfile.h"
#include "ledger_fixture.h"
#include "promise.h"
#include "witness.h"

/* What the tests that are run for either log are about. */
static enum relay_log which;

static void newest_note(const struct bench *bench, struct buf *ret) {
    bool has = false;
    buf_clear(ret);
    assert_ok(heads_newest(&bench->book, which, ret, &has));
    assert_true(has);
}

static struct head newest_head(const struct bench *bench) {
    AUTO_BUF note = {0};
    struct head head;
    newest_note(bench, &note);
    assert_ok(head_open_log(&bench->book.card, which, buf_bytes(&note), &head));
    return head;
}

static bool has_head(const struct bench *bench) {
    AUTO_BUF note = {0};
    bool has = false;
    assert_ok(heads_newest(&bench->book, which, &note, &has));
    return has;
}

static void write_head(struct bench *bench, uint64_t age_ms) {
    begin(bench);
    assert_ok(heads_write(&bench->book, which, age_ms));
    commit_batch(bench);
}

/* A batch with one more leaf: a device of fj/national is revoked. */
static void declare_revocation(struct bench *bench, unsigned number, struct response *ret) {
    struct revocation revocation = revocation_of("fj/national", number, OTHER_POST_KEY);
    AUTO_BUF stamped = {0}, items = {0};
    sign_revocation(&revocation, OTHER_POST_KEY, &stamped);
    dirstatement_encode(&(struct dirstatement){.kind = LEAF_REVOCATION, .statement = buf_bytes(&stamped)}, &items);
    struct declare declare = {.statements = list_of(&items, 1)};
    assert_ok(enrolment_declare(&bench->book, &declare, ret));
}

static uint64_t size_of(const struct bench *bench) {
    uint64_t size;
    assert_ok(logs_size(&bench->book, which, &size));
    return size;
}

static void add_entries(struct bench *bench, unsigned id, size_t legs) {
    struct response response = {0};
    AUTO_PARCEL parcel = parcel_new(bench, id, legs);
    begin(bench);
    assert_ok(try_submit(bench, &parcel, 0, legs, true, &response));
    commit_batch(bench);
    response_free(&response);
}

/* By one entry; number: a device, another one every time. */
static void grow(struct bench *bench, unsigned number) {
    struct response response = {0};
    if (which == LOG_EVIDENCE) {
        add_entries(bench, 1000 + number, 1);
        return;
    }
    begin(bench);
    declare_revocation(bench, number, &response);
    commit_batch(bench);
    assert_int_equal(response.type, MESSAGE_DONE);
    response_free(&response);
}

/* ---- signing ---- */

static void the_batch_that_grows_the_directory_signs_its_head(void **state) {
    struct bench *bench = *state;
    uint8_t root[HASH_SIZE];
    assert_false(has_head(bench));
    uint64_t before = directory_size(bench->book.directory);
    grow(bench, SISTER);
    struct head head = newest_head(bench);
    directory_root(bench->book.directory, root);
    assert_int_equal(head.size, before + 1);
    assert_int_equal(head.size, directory_size(bench->book.directory));
    assert_memory_equal(head.root, root, HASH_SIZE);
    assert_int_equal(head.time.ms, bench->book.now.ms);
}

static void a_directory_that_has_no_head_yet_gets_one(void **state) {
    struct bench *bench = *state;
    write_head(bench, HEAD_INTERVAL_MS);
    assert_int_equal(newest_head(bench).size, directory_size(bench->book.directory));
}

static void an_empty_directory_has_no_head(void **state) {
    struct bench *bench = *state;
    struct directory *full = bench->book.directory;
    struct response response = {0};
    struct heads heads;
    bench->book.directory = fresh_directory();
    write_head(bench, 0);
    assert_false(has_head(bench));
    assert_ok(heads_answer(&bench->book, &response));
    assert_ok(heads_decode(buf_bytes(&response.body), &heads));
    assert_int_equal(heads.notes.count, 0);
    response_free(&response);
    assert_ok(heads_answer_request(&bench->book, which, 0, &response));
    assert_int_equal(response.type, MESSAGE_FAILURE);
    assert_error(response.error, E_NO_HEAD);
    response_free(&response);
    directory_free(bench->book.directory);
    bench->book.directory = full;
}

static void a_head_is_made_anew_when_it_is_old_and_not_before(void **state) {
    struct bench *bench = *state;
    write_head(bench, HEAD_INTERVAL_MS);
    uint64_t made = newest_head(bench).time.ms;
    bench->book.now.ms = made + HEAD_INTERVAL_MS - 1;
    assert_false(heads_old(&bench->book, which, HEAD_INTERVAL_MS));
    write_head(bench, HEAD_INTERVAL_MS);
    assert_int_equal(newest_head(bench).time.ms, made);
    bench->book.now.ms++;
    assert_true(heads_old(&bench->book, which, HEAD_INTERVAL_MS));
    write_head(bench, HEAD_INTERVAL_MS);
    assert_int_equal(newest_head(bench).time.ms, made + HEAD_INTERVAL_MS);
    assert_int_equal(newest_head(bench).size, size_of(bench));
}

static void what_is_rolled_back_was_never_signed(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    AUTO_BUF before = {0}, after = {0};
    write_head(bench, HEAD_INTERVAL_MS);
    newest_note(bench, &before);
    begin(bench);
    declare_revocation(bench, SISTER, &response);
    bench->book.now.ms += 1000;
    assert_ok(heads_write(&bench->book, which, HEAD_INTERVAL_MS));
    book_undo(&bench->book);
    response_free(&response);
    newest_note(bench, &after);
    assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    grow(bench, SISTER);
    assert_int_equal(newest_head(bench).size, directory_size(bench->book.directory));
}

/* The newest head becomes one that the log's key has signed over something else. */
static void put_other_head(struct bench *bench, uint64_t size, bool other_root) {
    AUTO_BUF note = {0};
    uint8_t root[HASH_SIZE] = {0};
    struct book *book = &bench->book;
    if (!other_root) assert_ok(logs_root(book, which, size, root));
    assert_ok(head_make(&book->log_keys[which], book->log_secret, size, root, book->now, &note));
    assert_ok(heads_put(book, which, HEADS_NEWEST, size, buf_bytes(&note)));
}

static enum error try_write(struct bench *bench) {
    begin(bench);
    enum error error = heads_write(&bench->book, which, 0);
    book_undo(&bench->book);
    return error;
}

static void nothing_is_signed_that_does_not_continue_the_last_head(void **state) {
    struct bench *bench = *state;
    uint64_t size = size_of(bench);
    put_other_head(bench, size - 1, false);
    assert_ok(try_write(bench));
    put_other_head(bench, size, false);
    assert_ok(try_write(bench));
    put_other_head(bench, size + 1, true);
    assert_error(try_write(bench), E_CORRUPT);
    put_other_head(bench, size, true);
    assert_error(try_write(bench), E_CORRUPT);
    put_other_head(bench, size - 1, true);
    assert_error(try_write(bench), E_CORRUPT);
}

/* ---- promises ---- */

static void a_declaration_is_answered_with_a_promise_that_the_next_head_keeps(void **state) {
    struct bench *bench = *state;
    struct response response = {0};
    struct done done;
    struct promise promise, again;
    struct revocation revocation = revocation_of("fj/national", SISTER, OTHER_POST_KEY);
    AUTO_BUF stamped = {0}, items = {0}, payload = {0}, bent = {0};
    revocation_encode(&revocation, &payload);
    sign_revocation(&revocation, OTHER_POST_KEY, &stamped);
    dirstatement_encode(&(struct dirstatement){.kind = LEAF_REVOCATION, .statement = buf_bytes(&stamped)}, &items);
    struct declare declare = {.statements = list_of(&items, 1)};
    begin(bench);
    assert_ok(enrolment_declare(&bench->book, &declare, &response));
    commit_batch(bench);
    assert_int_equal(response.type, MESSAGE_DONE);
    assert_ok(done_decode(buf_bytes(&response.body), &done));
    assert_true(done.has_promise);
    assert_ok(promise_open(done.promise, bench->book.statement_key, &promise));
    assert_true(promise_names(&promise, buf_bytes(&payload)));
    assert_false(promise_names(&promise, bytes_text("something else")));
    struct head head = newest_head(bench);
    assert_int_equal(promise.size, head.size);
    assert_memory_equal(promise.root, head.root, HASH_SIZE);
    assert_int_equal(promise.time.ms, bench->book.now.ms);
    assert_int_equal(promise.deadline.ms, bench->book.now.ms + PROMISE_MS);
    assert_error(promise_open(done.promise, bench->book.card.log, &again), E_BAD_SIGNATURE);
    buf_add_bytes(&bent, done.promise);
    for (size_t i = 0; i < 8 * bent.n; i++) {
        bent.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_true(promise_open(buf_bytes(&bent), bench->book.statement_key, &again) != E_OK);
        bent.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < bent.n; n++)
        assert_true(promise_open(bytes_of(bent.p, n), bench->book.statement_key, &again) != E_OK);
    response_free(&response);
}

static void a_repeated_declaration_is_promised_again(void **state) {
    struct bench *bench = *state;
    struct revocation revocation = revocation_of("fj/national", SISTER, OTHER_POST_KEY);
    AUTO_BUF stamped = {0}, items = {0}, payload = {0};
    revocation_encode(&revocation, &payload);
    sign_revocation(&revocation, OTHER_POST_KEY, &stamped);
    dirstatement_encode(&(struct dirstatement){.kind = LEAF_REVOCATION, .statement = buf_bytes(&stamped)}, &items);
    for (int i = 0; i < 2; i++) {
        struct response response = {0};
        struct done done;
        struct promise promise;
        struct declare declare = {.statements = list_of(&items, 1)};
        begin(bench);
        assert_ok(enrolment_declare(&bench->book, &declare, &response));
        commit_batch(bench);
        assert_ok(done_decode(buf_bytes(&response.body), &done));
        assert_ok(promise_open(done.promise, bench->book.statement_key, &promise));
        assert_true(promise_names(&promise, buf_bytes(&payload)));
        assert_int_equal(promise.size, directory_size(bench->book.directory));
        response_free(&response);
    }
}

static void a_refused_declaration_is_not_promised(void **state) {
    struct bench *bench = *state;
    struct revocation revocation = revocation_of("fj/national", SISTER, STRANGER);
    struct response response = {0};
    AUTO_BUF stamped = {0}, items = {0};
    sign_revocation(&revocation, STRANGER, &stamped);
    dirstatement_encode(&(struct dirstatement){.kind = LEAF_REVOCATION, .statement = buf_bytes(&stamped)}, &items);
    struct declare declare = {.statements = list_of(&items, 1)};
    begin(bench);
    assert_ok(enrolment_declare(&bench->book, &declare, &response));
    commit_batch(bench);
    assert_int_equal(response.type, MESSAGE_FAILURE);
    response_free(&response);
    assert_false(has_head(bench));
}

/* ---- witnesses ---- */

/* Asks as a witness would, judges, and signs; *log goes on. Appends the head's whole note with its cosignature. */
static void cosign_newest(struct bench *bench, unsigned number, struct witness_log *log, struct buf *ret) {
    struct response response = {0};
    struct addcheckpoint answer;
    struct witness_request request;
    struct witness_verdict verdict;
    struct note_key key = witness_key(number);
    assert_ok(heads_answer_request(&bench->book, which, log->size, &response));
    assert_int_equal(response.type, MESSAGE_ADDCHECKPOINT);
    assert_ok(addcheckpoint_decode(buf_bytes(&response.body), &answer));
    assert_ok(witness_request_parse(answer.request, &request));
    assert_int_equal(request.old, log->size);
    assert_ok(witness_judge(log, &request, bench->book.now, &verdict));
    buf_add_bytes(ret, request.bytes);
    note_sign(request.note.text, &key, pair_of(number).secret, bench->book.now.ms / 1000, ret);
    log->size = verdict.size;
    memcpy(log->root, verdict.root, HASH_SIZE);
    response_free(&response);
}

static struct witness_log log_of(const struct bench *bench) {
    return (struct witness_log){.key = bench->book.log_keys[which], .timed = true};
}

static enum error bring(struct bench *bench, struct bytes note) {
    struct response response = {0};
    begin(bench);
    assert_ok(heads_answer_cosign(&bench->book, note, &response));
    commit_batch(bench);
    enum error error = response.type == MESSAGE_FAILURE ? response.error : E_OK;
    if (error == E_OK) assert_int_equal(response.type, MESSAGE_DONE);
    response_free(&response);
    return error;
}

/* The newest, and beside it each witness's newest that is another: HEADS gives the directory's. */
static size_t list_evidence_heads(struct bench *bench, struct head ret[static WITNESSES_MAX + 1]) {
    const struct book *book = &bench->book;
    size_t count = 1;
    ret[0] = newest_head(bench);
    for (size_t i = 0; i < book->card.witness_count; i++) {
        AUTO_STORED kept = {0};
        enum error error = heads_get(book, LOG_EVIDENCE, book->card.witnesses[i].name, &kept);
        if (error == E_UNKNOWN_REQUEST) continue;
        assert_ok(error);
        if (kept.head.size != ret[0].size || kept.head.time.ms != ret[0].time.ms) ret[count++] = kept.head;
    }
    return count;
}

static size_t list_heads(struct bench *bench, struct head ret[static WITNESSES_MAX + 1]) {
    struct response response = {0};
    struct heads heads;
    struct bytes note;
    size_t count = 0;
    if (which == LOG_EVIDENCE) return list_evidence_heads(bench, ret);
    assert_ok(heads_answer(&bench->book, &response));
    assert_ok(heads_decode(buf_bytes(&response.body), &heads));
    while (list_next_bytes(&heads.notes, &note)) assert_ok(head_open_log(&bench->book.card, which, note, &ret[count++]));
    response_free(&response);
    return count;
}

static void a_witness_is_shown_that_each_head_continues_the_last(void **state) {
    struct bench *bench = *state;
    struct witness_log log = log_of(bench);
    unsigned numbers[] = {SISTER, RECIPIENT};
    write_head(bench, HEAD_INTERVAL_MS);
    for (size_t i = 0;; i++) {
        AUTO_BUF note = {0};
        cosign_newest(bench, WITNESS, &log, &note);
        assert_int_equal(log.size, size_of(bench));
        if (i == LENGTH(numbers)) break;
        grow(bench, numbers[i]);
    }
    struct response response = {0};
    assert_ok(heads_answer_request(&bench->book, which, log.size + 1, &response));
    assert_error(response.error, E_OUT_OF_RANGE);
    response_free(&response);
    for (uint64_t old = 1; old <= log.size; old++) { /* from every size that the log has had */
        struct witness_log at = log_of(bench);
        AUTO_BUF note = {0};
        at.size = old;
        assert_ok(logs_root(&bench->book, which, old, at.root));
        cosign_newest(bench, WITNESS, &at, &note);
    }
}

static void cosignatures_of_two_witnesses_stand_under_one_head(void **state) {
    struct bench *bench = *state;
    struct witness_log log = log_of(bench), other = log_of(bench);
    struct head heads[WITNESSES_MAX + 1];
    AUTO_BUF one = {0}, two = {0};
    write_head(bench, HEAD_INTERVAL_MS);
    cosign_newest(bench, OTHER_WITNESS, &other, &two);
    bench->book.now.ms += 1000;
    cosign_newest(bench, WITNESS, &log, &one);
    assert_ok(bring(bench, buf_bytes(&two)));
    assert_ok(bring(bench, buf_bytes(&one)));
    assert_ok(bring(bench, buf_bytes(&one)));
    assert_int_equal(list_heads(bench, heads), 1);
    assert_true(heads[0].words[0].valid && heads[0].words[1].valid);
    assert_int_equal(heads[0].words[0].time_s, bench->book.now.ms / 1000);
    assert_int_equal(heads[0].words[1].time_s, bench->book.now.ms / 1000 - 1);
}

static void a_later_cosignature_of_the_same_head_takes_the_earlier_ones_place(void **state) {
    struct bench *bench = *state;
    struct witness_log log = log_of(bench), again = log_of(bench);
    struct head heads[WITNESSES_MAX + 1];
    AUTO_BUF early = {0}, late = {0}, newest = {0};
    write_head(bench, HEAD_INTERVAL_MS);
    cosign_newest(bench, WITNESS, &log, &early);
    bench->book.now.ms += 60 * 1000;
    cosign_newest(bench, WITNESS, &again, &late);
    assert_ok(bring(bench, buf_bytes(&late)));
    assert_ok(bring(bench, buf_bytes(&early)));
    assert_int_equal(list_heads(bench, heads), 1);
    assert_int_equal(heads[0].words[0].time_s, bench->book.now.ms / 1000);
    newest_note(bench, &newest);
    struct note note;
    assert_ok(note_parse(buf_bytes(&newest), &note));
    assert_int_equal(note.count, 2); /* the log's line and one of the witness */
}

static void who_cosigned_an_older_head_is_shown_beside_the_newest(void **state) {
    struct bench *bench = *state;
    struct witness_log log = log_of(bench), other = log_of(bench);
    struct head heads[WITNESSES_MAX + 1];
    AUTO_BUF old = {0}, one = {0}, late = {0};
    write_head(bench, HEAD_INTERVAL_MS);
    uint64_t size = newest_head(bench).size;
    cosign_newest(bench, OTHER_WITNESS, &other, &old);
    cosign_newest(bench, WITNESS, &log, &late);
    assert_ok(bring(bench, buf_bytes(&old)));
    bench->book.now.ms += 1000;
    grow(bench, SISTER);
    cosign_newest(bench, WITNESS, &log, &one);
    assert_ok(bring(bench, buf_bytes(&one)));
    assert_int_equal(list_heads(bench, heads), 2);
    assert_int_equal(heads[0].size, size + 1);
    assert_true(heads[0].words[0].valid && !heads[0].words[1].valid);
    assert_int_equal(heads[1].size, size);
    assert_true(!heads[1].words[0].valid && heads[1].words[1].valid);
    assert_ok(bring(bench, buf_bytes(&late))); /* its own newer one stays */
    assert_int_equal(list_heads(bench, heads), 2);
    assert_true(heads[0].words[0].valid);
    bench->book.now.ms += 1000;
    grow(bench, RECIPIENT); /* nobody has cosigned this one */
    assert_int_equal(list_heads(bench, heads), 3);
    assert_int_equal(heads[1].size, size + 1);
    assert_int_equal(heads[2].size, size);
}

static void what_no_witness_of_the_card_has_signed_is_refused(void **state) {
    struct bench *bench = *state;
    struct witness_log log = log_of(bench);
    struct note_key stranger = witness_key(STRANGER);
    struct note note;
    AUTO_BUF newest = {0}, foreign = {0}, unsigned_note = {0}, mixed = {0};
    write_head(bench, HEAD_INTERVAL_MS);
    newest_note(bench, &newest);
    assert_ok(note_parse(buf_bytes(&newest), &note));
    assert_error(bring(bench, buf_bytes(&newest)), E_UNKNOWN_WITNESS);
    buf_add_bytes(&foreign, buf_bytes(&newest));
    note_sign(note.text, &stranger, pair_of(STRANGER).secret, 5, &foreign);
    assert_error(bring(bench, buf_bytes(&foreign)), E_UNKNOWN_WITNESS);
    struct note_key key = witness_key(WITNESS);
    assert_ok(note_begin(note.text, &unsigned_note));
    note_sign(note.text, &key, pair_of(WITNESS).secret, 5, &unsigned_note);
    assert_error(bring(bench, buf_bytes(&unsigned_note)), E_BAD_SIGNATURE);
    assert_error(bring(bench, bytes_text("no note")), E_MALFORMED);
    cosign_newest(bench, WITNESS, &log, &mixed); /* a known witness beside a stranger, who is left out */
    note_sign(note.text, &stranger, pair_of(STRANGER).secret, 5, &mixed);
    assert_ok(bring(bench, buf_bytes(&mixed)));
    buf_clear(&newest);
    newest_note(bench, &newest);
    assert_null(memmem(newest.p, newest.n, stranger.name, strlen(stranger.name)));
}

static void a_head_of_another_log_is_not_kept_though_the_key_has_signed_it(void **state) {
    struct bench *bench = *state;
    struct book *book = &bench->book;
    struct note_key key = witness_key(WITNESS);
    struct head heads[WITNESSES_MAX + 1];
    write_head(bench, HEAD_INTERVAL_MS);
    uint64_t size = size_of(bench), sizes[] = {0, 1, size, size + 1};
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        AUTO_BUF other = {0};
        struct note note;
        uint8_t root[HASH_SIZE] = {1};
        assert_ok(head_make(&book->log_keys[which], book->log_secret, sizes[i], root, book->now, &other));
        assert_ok(note_parse(buf_bytes(&other), &note));
        AUTO_BUF text = {0};
        buf_add_bytes(&text, note.text);
        note_sign(buf_bytes(&text), &key, pair_of(WITNESS).secret, 5, &other);
        assert_error(bring(bench, buf_bytes(&other)),
                     which == LOG_EVIDENCE ? E_EVIDENCE_FORKED : E_DIRECTORY_FORKED);
    }
    assert_int_equal(list_heads(bench, heads), 1);
    assert_false(heads[0].words[0].valid);
}

static void no_touched_cosignature_is_kept(void **state) {
    struct bench *bench = *state;
    struct witness_log log = log_of(bench);
    AUTO_BUF note = {0}, before = {0}, after = {0};
    write_head(bench, HEAD_INTERVAL_MS);
    newest_note(bench, &before);
    cosign_newest(bench, WITNESS, &log, &note);
    for (size_t i = 0; i < 8 * note.n; i++) {
        note.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_true(bring(bench, buf_bytes(&note)) != E_OK);
        note.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < note.n; n++) assert_true(bring(bench, bytes_of(note.p, n)) != E_OK);
    newest_note(bench, &after);
    assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    assert_ok(bring(bench, buf_bytes(&note)));
}

/* ---- by file ---- */

static void lines_alone_are_put_under_the_head_that_was_asked_about(void **state) {
    struct bench *bench = *state;
    struct witness_log log = log_of(bench);
    struct head heads[WITNESSES_MAX + 1];
    struct note note;
    AUTO_BUF whole = {0}, lines = {0};
    enum error wrong;
    write_head(bench, HEAD_INTERVAL_MS);
    begin(bench);
    assert_ok(heads_remember_asked(&bench->book, which));
    assert_ok(heads_remember_asked(&bench->book, which)); /* for a second witness */
    commit_batch(bench);
    cosign_newest(bench, WITNESS, &log, &whole);
    assert_ok(note_parse(buf_bytes(&whole), &note));
    note.lines[0] = note.lines[1];
    note.count = 1;
    note_format(&note, &lines);
    struct bytes alone = bytes_of(lines.p + note.text.n + 1, lines.n - note.text.n - 1);
    bench->book.now.ms += 1000;
    grow(bench, SISTER); /* meanwhile */
    begin(bench);
    assert_ok(heads_add_answer(&bench->book, alone, &wrong));
    commit_batch(bench);
    assert_ok(wrong);
    assert_int_equal(list_heads(bench, heads), 2);
    assert_int_equal(heads[1].size, log.size);
    assert_true(heads[1].words[0].valid);
    begin(bench);
    assert_ok(heads_add_answer(&bench->book, buf_bytes(&whole), &wrong)); /* a whole note does as well */
    assert_ok(wrong);
    assert_ok(heads_add_answer(&bench->book, bytes_text("\xe2\x80\x94 nonsense\n"), &wrong));
    assert_error(wrong, E_MALFORMED);
    commit_batch(bench);
}

static void lines_that_sign_no_head_that_was_asked_about_are_refused(void **state) {
    struct bench *bench = *state;
    struct note_key key = witness_key(WITNESS);
    AUTO_BUF lines = {0};
    enum error wrong;
    write_head(bench, HEAD_INTERVAL_MS);
    note_sign(bytes_text("another text\n"), &key, pair_of(WITNESS).secret, 5, &lines);
    begin(bench);
    assert_ok(heads_add_answer(&bench->book, buf_bytes(&lines), &wrong));
    commit_batch(bench);
    assert_error(wrong, E_BAD_SIGNATURE);
}

/* ---- the two beside each other ---- */

static void a_cosignature_is_kept_with_the_log_that_its_first_line_names(void **state) {
    struct bench *bench = *state;
    struct head heads[WITNESSES_MAX + 1];
    AUTO_BUF of_directory = {0}, of_evidence = {0};
    which = LOG_DIRECTORY;
    struct witness_log directory = log_of(bench);
    write_head(bench, HEAD_INTERVAL_MS);
    cosign_newest(bench, WITNESS, &directory, &of_directory);
    which = LOG_EVIDENCE;
    struct witness_log evidence = log_of(bench);
    cosign_newest(bench, OTHER_WITNESS, &evidence, &of_evidence);
    assert_ok(bring(bench, buf_bytes(&of_evidence)));
    assert_ok(bring(bench, buf_bytes(&of_directory)));
    assert_int_equal(list_heads(bench, heads), 1);
    assert_true(!heads[0].words[0].valid && heads[0].words[1].valid);
    which = LOG_DIRECTORY;
    assert_int_equal(list_heads(bench, heads), 1);
    assert_true(heads[0].words[0].valid && !heads[0].words[1].valid);
    /* The quorum is asked of the directory alone. */
    struct heads_numbers numbers;
    assert_ok(heads_count(&bench->book, &numbers));
    assert_int_equal(numbers.fresh, 1);
    which = LOG_EVIDENCE;
    assert_int_equal(numbers.evidence_size, size_of(bench));
    assert_int_equal(numbers.evidence_time.ms, newest_head(bench).time.ms);
}

static void the_directorys_head_is_no_head_of_the_evidence_log(void **state) {
    struct bench *bench = *state;
    struct note_key key = witness_key(WITNESS);
    uint8_t root[HASH_SIZE];
    AUTO_BUF crossed = {0}, text = {0};
    struct note note;
    /* The directory's text, signed with the evidence log's line: both keys are the same, the names are not. */
    assert_ok(logs_root(&bench->book, LOG_EVIDENCE, size_of(bench), root));
    assert_ok(head_make(&bench->book.log_keys[LOG_DIRECTORY], bench->book.log_secret, size_of(bench), root, bench->book.now,
                        &crossed));
    assert_ok(note_parse(buf_bytes(&crossed), &note));
    buf_add_bytes(&text, note.text);
    buf_clear(&crossed);
    assert_ok(note_begin(buf_bytes(&text), &crossed));
    note_sign(buf_bytes(&text), &bench->book.log_keys[LOG_EVIDENCE], bench->book.log_secret, 0, &crossed);
    note_sign(buf_bytes(&text), &key, pair_of(WITNESS).secret, 5, &crossed);
    assert_true(bring(bench, buf_bytes(&crossed)) != E_OK);
}

/* The file beside the store; tests have a folder of their own for it. */
static void a_store_that_is_older_than_the_head_outside_is_refused(void **state) {
    struct bench *bench = *state;
    struct book *book = &bench->book;
    char folder[] = "/tmp/pouch-heads-XXXXXX", home[512];
    AUTO_BUF kept = {0}, other = {0};
    uint8_t root[HASH_SIZE] = {1};
    assert_non_null(getcwd(home, sizeof home));
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_ok(heads_check_outside(book, which)); /* no file says nothing */
    heads_keep_outside(book);                    /* of the batch before the test */
    assert_ok(headfile_read(which, &kept));
    if (which == LOG_DIRECTORY) assert_int_equal(kept.n, 0);
    write_head(bench, 0);
    heads_keep_outside(book);
    assert_ok(heads_check_outside(book, which));
    buf_clear(&kept);
    assert_ok(headfile_read(which, &kept));
    grow(bench, SISTER);
    heads_keep_outside(book);
    assert_ok(heads_check_outside(book, which));
    assert_ok(headfile_write(which, buf_bytes(&kept))); /* an older file is no harm */
    assert_ok(heads_check_outside(book, which));
    const struct {
        uint64_t size;
        bool own_root;
    } rows[] = {{size_of(bench) + 1, false}, {size_of(bench), false}, {1, false}, {1, true}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        buf_clear(&other);
        if (rows[i].own_root) assert_ok(logs_root(book, which, rows[i].size, root));
        assert_ok(head_make(&book->log_keys[which], book->log_secret, rows[i].size, root, book->now, &other));
        assert_ok(headfile_write(which, buf_bytes(&other)));
        assert_error(heads_check_outside(book, which), rows[i].own_root ? E_OK : E_CORRUPT);
    }
    assert_ok(headfile_write(which, bytes_text("no head")));
    assert_error(heads_check_outside(book, which), E_CORRUPT);
    assert_int_equal(unlink(headfile_name(which)), 0);
    assert_int_equal(chdir(home), 0);
    assert_int_equal(rmdir(folder), 0);
}

static int setup_directory(void **state) {
    which = LOG_DIRECTORY;
    return setup(state);
}

/* With entries across a full tile. */
static int setup_evidence(void **state) {
    which = LOG_EVIDENCE;
    int result = setup(state);
    if (result == 0) add_entries(*state, 1, 258);
    return result;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_directory, teardown)
#define TEST_EVIDENCE(name) {#name " (evidence)", name, setup_evidence, teardown, NULL}
int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        TEST(the_batch_that_grows_the_directory_signs_its_head),
        TEST(a_directory_that_has_no_head_yet_gets_one),
        TEST(an_empty_directory_has_no_head),
        TEST(a_head_is_made_anew_when_it_is_old_and_not_before),
        TEST(what_is_rolled_back_was_never_signed),
        TEST(nothing_is_signed_that_does_not_continue_the_last_head),
        TEST(a_declaration_is_answered_with_a_promise_that_the_next_head_keeps),
        TEST(a_repeated_declaration_is_promised_again),
        TEST(a_refused_declaration_is_not_promised),
        TEST(a_witness_is_shown_that_each_head_continues_the_last),
        TEST(cosignatures_of_two_witnesses_stand_under_one_head),
        TEST(a_later_cosignature_of_the_same_head_takes_the_earlier_ones_place),
        TEST(who_cosigned_an_older_head_is_shown_beside_the_newest),
        TEST(what_no_witness_of_the_card_has_signed_is_refused),
        TEST(a_head_of_another_log_is_not_kept_though_the_key_has_signed_it),
        TEST(no_touched_cosignature_is_kept),
        TEST(lines_alone_are_put_under_the_head_that_was_asked_about),
        TEST(lines_that_sign_no_head_that_was_asked_about_are_refused),
        TEST(a_store_that_is_older_than_the_head_outside_is_refused),
        TEST_EVIDENCE(a_head_is_made_anew_when_it_is_old_and_not_before),
        TEST_EVIDENCE(nothing_is_signed_that_does_not_continue_the_last_head),
        TEST_EVIDENCE(a_witness_is_shown_that_each_head_continues_the_last),
        TEST_EVIDENCE(cosignatures_of_two_witnesses_stand_under_one_head),
        TEST_EVIDENCE(a_later_cosignature_of_the_same_head_takes_the_earlier_ones_place),
        TEST_EVIDENCE(who_cosigned_an_older_head_is_shown_beside_the_newest),
        TEST_EVIDENCE(what_no_witness_of_the_card_has_signed_is_refused),
        TEST_EVIDENCE(a_head_of_another_log_is_not_kept_though_the_key_has_signed_it),
        TEST_EVIDENCE(no_touched_cosignature_is_kept),
        TEST_EVIDENCE(lines_alone_are_put_under_the_head_that_was_asked_about),
        TEST_EVIDENCE(lines_that_sign_no_head_that_was_asked_about_are_refused),
        TEST_EVIDENCE(a_store_that_is_older_than_the_head_outside_is_refused),
        TEST_EVIDENCE(a_cosignature_is_kept_with_the_log_that_its_first_line_names),
        TEST_EVIDENCE(the_directorys_head_is_no_head_of_the_evidence_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
