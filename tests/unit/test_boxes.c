/* test_boxes.c - boxes at the relay: who may put, who gets, how much, and for how long. */
#include "ledger_fixture.h"

static const uint8_t some_box[HASH_SIZE] = {7, 7, 7};

static struct job guest(void) { return (struct job){0}; }

static void sister_box(unsigned number, uint8_t ret[static HASH_SIZE]) {
    label_digest(LABEL_BOX, bytes_of(pair_of(number).public, KEY_SIZE), ret);
}

/* A batch of one; what it was answered with. */
static enum error put_one(struct bench *bench, const struct job *job, const struct put *put) {
    struct response response = {0};
    begin(bench);
    assert_ok(boxes_put(&bench->book, job, put, &response));
    commit_batch(bench);
    enum error error = response.type == MESSAGE_FAILURE ? response.error : E_OK;
    if (error == E_OK) assert_int_equal(response.type, MESSAGE_DONE);
    response_free(&response);
    return error;
}

static enum error put_text(struct bench *bench, const struct job *job, const uint8_t *box, const char *text) {
    struct put put = {.data = bytes_text(text)};
    memcpy(put.box, box, HASH_SIZE);
    return put_one(bench, job, &put);
}

static enum error give(struct bench *bench, unsigned from, unsigned to, const char *text) {
    struct put put = {.data = bytes_text(text), .has_sister = true};
    struct job job = job_of(from);
    memcpy(put.sister, pair_of(to).public, KEY_SIZE);
    sister_box(to, put.box);
    return put_one(bench, &job, &put);
}

/* What lies there after `after`; "" when nothing does, NULL when it was refused. */
static const char *get(struct bench *bench, const struct job *job, const uint8_t *box, uint64_t after,
                       uint64_t *ret_number) {
    static char text[64];
    struct get ask = {.after = after};
    struct response response = {0};
    struct box answer;
    memcpy(ask.box, box, HASH_SIZE);
    begin(bench);
    assert_ok(boxes_drop(&bench->book, job, &ask));
    commit_batch(bench);
    assert_ok(boxes_get(&bench->book, job, &ask, &response));
    const char *got = NULL;
    if (response.type == MESSAGE_BOX) {
        assert_ok(box_decode(buf_bytes(&response.body), &answer));
        assert_true(answer.has_data == answer.has_number && answer.data.n < sizeof text);
        if (answer.has_data) memcpy(text, answer.data.p, answer.data.n);
        text[answer.has_data ? answer.data.n : 0] = 0;
        if (ret_number) *ret_number = answer.has_number ? answer.number : 0;
        got = text;
    }
    response_free(&response);
    return got;
}

static void a_sister_gets_what_was_put_into_her_box_in_order(void **state) {
    struct bench *bench = *state;
    struct job job = job_of(OTHER_SENDER);
    uint8_t box[HASH_SIZE];
    uint64_t first, second;
    sister_box(OTHER_SENDER, box);
    assert_ok(give(bench, SENDER, OTHER_SENDER, "one"));
    assert_ok(give(bench, SENDER, OTHER_SENDER, "two"));
    assert_string_equal(get(bench, &job, box, 0, &first), "one");
    assert_string_equal(get(bench, &job, box, 0, &first), "one"); /* looking takes nothing away */
    assert_string_equal(get(bench, &job, box, first, &second), "two");
    assert_true(second > first);
    assert_string_equal(get(bench, &job, box, 0, NULL), "two"); /* the first was dropped by asking on */
    assert_string_equal(get(bench, &job, box, second, NULL), "");
    assert_string_equal(get(bench, &job, box, 0, NULL), "");
}

static void a_put_that_is_repeated_lies_there_once(void **state) {
    struct bench *bench = *state;
    struct job job = job_of(OTHER_SENDER);
    uint8_t box[HASH_SIZE];
    uint64_t number;
    sister_box(OTHER_SENDER, box);
    assert_ok(give(bench, SENDER, OTHER_SENDER, "one"));
    assert_ok(give(bench, SENDER, OTHER_SENDER, "one"));
    assert_string_equal(get(bench, &job, box, 0, &number), "one");
    assert_string_equal(get(bench, &job, box, number, NULL), "");
}

static void only_devices_of_the_post_put_into_a_sisters_box(void **state) {
    struct bench *bench = *state;
    struct put put = {.data = bytes_text("x"), .has_sister = true};
    struct job job = job_of(SENDER), nobody = guest();
    assert_error(give(bench, RECIPIENT, OTHER_SENDER, "x"), E_NOT_ALLOWED);
    memcpy(put.sister, pair_of(OTHER_SENDER).public, KEY_SIZE);
    sister_box(OTHER_SENDER, put.box);
    assert_error(put_one(bench, &nobody, &put), E_UNKNOWN_DEVICE);
    put.box[0] ^= 1; /* another box than hers */
    assert_error(put_one(bench, &job, &put), E_MISMATCH);
    assert_error(give(bench, SENDER, DEVICE + 5000, "x"), E_UNKNOWN_DEVICE);
}

static void nobody_reads_or_fills_anothers_box_as_if_it_were_an_invitations(void **state) {
    struct bench *bench = *state;
    struct job own = job_of(OTHER_SENDER), sister = job_of(SENDER), foreign = job_of(RECIPIENT), nobody = guest();
    uint8_t box[HASH_SIZE];
    sister_box(OTHER_SENDER, box);
    assert_ok(give(bench, SENDER, OTHER_SENDER, "hers"));
    assert_string_equal(get(bench, &sister, box, 0, NULL), "");
    assert_string_equal(get(bench, &foreign, box, 0, NULL), "");
    assert_string_equal(get(bench, &nobody, box, INT64_MAX, NULL), ""); /* nor does that drop anything */
    assert_ok(put_text(bench, &nobody, box, "planted"));
    assert_string_equal(get(bench, &own, box, 0, NULL), "hers");
    assert_string_equal(get(bench, &nobody, box, 0, NULL), "planted");
}

static void a_revoked_device_neither_gives_nor_gets(void **state) {
    struct bench *bench = *state;
    struct job job = job_of(OTHER_SENDER);
    uint8_t box[HASH_SIZE];
    sister_box(OTHER_SENDER, box);
    assert_ok(give(bench, SENDER, OTHER_SENDER, "hers"));
    struct revocation revocation = {.post = bytes_text("de/technical"), .has_device = true, .created = {WORLD_TIME}};
    AUTO_BUF payload = {0}, stamped = {0}, items = {0};
    memcpy(revocation.device, pair_of(OTHER_SENDER).public, KEY_SIZE);
    memcpy(revocation.signer, pair_of(SENDER).public, KEY_SIZE);
    revocation_encode(&revocation, &payload);
    assert_ok(stamp_sign_one(LABEL_REVOCATION, pair_of(SENDER).secret, buf_bytes(&payload), &stamped));
    dirstatement_encode(&(struct dirstatement){LEAF_REVOCATION, buf_bytes(&stamped)}, &items);
    struct declare declare = {.statements = list_of(&items, 1)};
    struct response response = {0};
    begin(bench);
    assert_ok(enrolment_declare(&bench->book, &declare, &response));
    commit_batch(bench);
    assert_int_equal(response.type, MESSAGE_DONE);
    response_free(&response);
    assert_null(get(bench, &job, box, 0, NULL));
    assert_error(give(bench, OTHER_SENDER, SENDER, "x"), E_REVOKED);
    assert_error(give(bench, SENDER, OTHER_SENDER, "x"), E_REVOKED);
}

static void a_sisters_box_holds_sixty_four_and_keeps_the_old(void **state) {
    struct bench *bench = *state;
    struct job job = job_of(OTHER_SENDER);
    uint8_t box[HASH_SIZE];
    char text[16];
    sister_box(OTHER_SENDER, box);
    for (unsigned i = 0; i < BOX_ITEMS_MAX; i++) {
        snprintf(text, sizeof text, "item %u", i);
        assert_ok(give(bench, SENDER, OTHER_SENDER, text));
    }
    assert_error(give(bench, SENDER, OTHER_SENDER, "one more"), E_OVER_QUOTA);
    assert_ok(give(bench, SENDER, OTHER_SENDER, "item 3")); /* there already */
    assert_string_equal(get(bench, &job, box, 0, NULL), "item 0");
}

static void anybody_who_knows_an_invitations_box_puts_and_gets(void **state) {
    struct bench *bench = *state;
    struct job member = job_of(RECIPIENT), nobody = guest();
    uint64_t number;
    assert_ok(put_text(bench, &nobody, some_box, "ask"));
    assert_string_equal(get(bench, &member, some_box, 0, &number), "ask");
    assert_ok(put_text(bench, &member, some_box, "give"));
    assert_string_equal(get(bench, &nobody, some_box, number, NULL), "give");
    assert_error(put_text(bench, &nobody, some_box, ""), E_MISSING_FIELD);
}

static void an_invitations_box_holds_four(void **state) {
    struct bench *bench = *state;
    struct job nobody = guest();
    for (char text[] = "a"; *text < 'e'; (*text)++) assert_ok(put_text(bench, &nobody, some_box, text));
    assert_error(put_text(bench, &nobody, some_box, "e"), E_OVER_QUOTA);
}

static void guests_items_are_bounded_together_and_sisters_do_not_suffer(void **state) {
    struct bench *bench = *state;
    struct job nobody = guest();
    uint8_t box[HASH_SIZE] = {0};
    struct put put = {.data = bytes_text("x")};
    struct response response = {0};
    begin(bench); /* all in one batch: it is only the counting that matters */
    for (unsigned i = 0; i < 1024; i++) {
        memcpy(put.box, &i, sizeof i);
        assert_ok(boxes_put(&bench->book, &nobody, &put, &response));
        assert_int_equal(response.type, MESSAGE_DONE);
        response_free(&response);
        response = (struct response){0};
    }
    commit_batch(bench);
    box[31] = 1;
    assert_error(put_text(bench, &nobody, box, "one more"), E_BUSY);
    assert_ok(give(bench, SENDER, OTHER_SENDER, "hers"));
    uint64_t number;
    memset(put.box, 0, HASH_SIZE);
    assert_string_equal(get(bench, &nobody, put.box, 0, &number), "x");
    assert_string_equal(get(bench, &nobody, put.box, number, NULL), "");
    assert_ok(put_text(bench, &nobody, box, "now there is room"));
}

static void guests_who_fill_every_box_do_not_keep_members_from_inviting(void **state) {
    struct bench *bench = *state;
    struct job member = job_of(SENDER), nobody = guest();
    static uint8_t large[16 * 1024 + 1];
    uint8_t box[HASH_SIZE] = {0};
    struct put put = {.data = bytes_of(large, sizeof large)};
    assert_error(put_one(bench, &nobody, &put), E_TOO_LARGE);
    put.data = bytes_text("x");
    begin(bench);
    for (unsigned i = 1; i <= 1024; i++) {
        struct response response = {0};
        memcpy(put.box, &i, sizeof i);
        assert_ok(boxes_put(&bench->book, &nobody, &put, &response));
        assert_int_equal(response.type, MESSAGE_DONE);
        response_free(&response);
    }
    commit_batch(bench);
    assert_error(put_text(bench, &nobody, some_box, "ask"), E_BUSY);
    assert_ok(put_text(bench, &member, some_box, "hello"));
    for (unsigned i = 1; i < 64; i++) {
        memcpy(box + 8, &i, sizeof i);
        assert_ok(put_text(bench, &member, box, "hello"));
    }
    memset(box, 9, sizeof box);
    assert_error(put_text(bench, &member, box, "one too many of the day"), E_OVER_QUOTA);
    bench->book.now.ms += DAY_MS;
    assert_ok(put_text(bench, &member, box, "hello"));
}

static void nobody_is_waited_for_longer_than_a_day_and_a_sister_thirty(void **state) {
    struct bench *bench = *state;
    struct job nobody = guest(), own = job_of(OTHER_SENDER);
    uint8_t box[HASH_SIZE];
    sister_box(OTHER_SENDER, box);
    assert_ok(put_text(bench, &nobody, some_box, "ask"));
    assert_ok(give(bench, SENDER, OTHER_SENDER, "hers"));
    struct instant begun = bench->book.now;
    const struct {
        uint64_t after_ms;
        const char *guests, *hers;
    } steps[] = {
        {DAY_MS, "ask", "hers"}, {DAY_MS + 1, "", "hers"}, {30 * DAY_MS, "", "hers"}, {30 * DAY_MS + 1, "", ""}};
    for (size_t i = 0; i < LENGTH(steps); i++) {
        bench->book.now.ms = begun.ms + steps[i].after_ms;
        begin(bench);
        assert_ok(boxes_sweep(&bench->book));
        commit_batch(bench);
        assert_string_equal(get(bench, &nobody, some_box, 0, NULL), steps[i].guests);
        assert_string_equal(get(bench, &own, box, 0, NULL), steps[i].hers);
    }
}

static void a_full_disk_takes_no_more_and_gives_what_is_there(void **state) {
    struct bench *bench = *state;
    struct job nobody = guest();
    assert_ok(put_text(bench, &nobody, some_box, "there"));
    bench->book.refuse_new = true;
    assert_error(put_text(bench, &nobody, some_box, "more"), E_STORE_FULL);
    assert_string_equal(get(bench, &nobody, some_box, 0, NULL), "there");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_sister_gets_what_was_put_into_her_box_in_order),
        TEST(a_put_that_is_repeated_lies_there_once),
        TEST(only_devices_of_the_post_put_into_a_sisters_box),
        TEST(nobody_reads_or_fills_anothers_box_as_if_it_were_an_invitations),
        TEST(a_revoked_device_neither_gives_nor_gets),
        TEST(a_sisters_box_holds_sixty_four_and_keeps_the_old),
        TEST(anybody_who_knows_an_invitations_box_puts_and_gets),
        TEST(an_invitations_box_holds_four),
        TEST(guests_who_fill_every_box_do_not_keep_members_from_inviting),
        TEST(guests_items_are_bounded_together_and_sisters_do_not_suffer),
        TEST(nobody_is_waited_for_longer_than_a_day_and_a_sister_thirty),
        TEST(a_full_disk_takes_no_more_and_gives_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
