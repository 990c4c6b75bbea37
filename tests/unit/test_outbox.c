/* test_outbox.c - writing: what a draft becomes in the archive before anything is sent, and what is refused before
 * that. */
#include "client_fixture.h"

#include <fcntl.h>

#include "body.h"
#include "content.h"
#include "press.h"

static const char *const to_fiji[] = {"fj/national"};

static struct draft draft_of(const char *text) {
    return (struct draft){
        .to = to_fiji, .to_count = 1, .subject = "a subject", .summary = "a summary", .text = bytes_text(text)};
}

static enum error refused(const struct draft *draft) {
    uint8_t digest[HASH_SIZE];
    enum error error = client_send(&sender, NULL, draft, NULL, digest, &failure);
    assert_int_equal(count_rows(&sender, TABLE_REQUEST), 0);
    assert_int_equal(count_rows(&sender, TABLE_CHUNK), 0);
    assert_int_equal(count_rows(&sender, TABLE_OUTBOX), 0);
    assert_int_equal(count_rows(&sender, TABLE_SEQUENCE), 0);
    assert_int_equal(count_rows(&sender, TABLE_SPOOL), 0);
    return error;
}

static enum error collect(void *context, struct bytes piece) {
    buf_add_bytes(context, piece);
    return E_OK;
}

static void a_written_request_is_whole_before_it_is_sent(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], again[HASH_SIZE], root[HASH_SIZE];
    struct draft draft = draft_of("the text of the body");
    compose(&sender, &draft, digest);
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    struct header header;
    assert_ok(kept_load(sender.archive, digest, &request));
    assert_ok(header_open(request.record.header, &header, again));
    assert_memory_equal(digest, again, HASH_SIZE);
    only_leg(&sender, digest, &leg);
    struct legs_leaf leaf = {.position = (uint32_t)leg.record.place.position};
    memcpy(leaf.id, leg.leg, HASH_SIZE);
    assert_ok(legs_root(&leaf, 1, request.record.seed, root));
    assert_memory_equal(root, header.legs, HASH_SIZE);
    assert_ok(chunks_check_digests(header.body.length, header.body.digest, request.record.body_digests));
    assert_ok(chunks_check_digests(header.offer.length, header.offer.digest, request.record.offer_digests));
    assert_ok(body_check(&sender, &request));
    assert_int_equal(count_rows(&sender, TABLE_OUTBOX), 1);
    AUTO_BUF text = {0};
    assert_ok(client_body_read(&sender, digest, 0, collect, &text, &failure));
    assert_true(bytes_are(buf_bytes(&text), "the text of the body"));
}

static void the_sealed_length_hides_the_exact_one(void **state) {
    (void)state;
    uint8_t first[HASH_SIZE], second[HASH_SIZE];
    static char text[20001];
    memset(text, 'a', 20000);
    struct draft draft = draft_of(text);
    compose(&sender, &draft, first);
    text[19950] = 0;
    draft.text = bytes_text(text);
    compose(&sender, &draft, second);
    AUTO_REQUEST a = {0}, b = {0};
    assert_ok(kept_load(sender.archive, first, &a));
    assert_ok(kept_load(sender.archive, second, &b));
    assert_int_equal(a.header.body.length, b.header.body.length);
    assert_memory_not_equal(first, second, HASH_SIZE);
}

/* Writes n pseudo-random bytes into a new file below the test's folder. */
static void make_file(const char *name, size_t n, char *path, size_t size) {
    (void)snprintf(path, size, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++) assert_true(fputc((int)(i * 2654435761U >> 24), file) != EOF);
    assert_int_equal(fclose(file), 0);
}

static void attachments_come_out_as_they_went_in_at_every_chunk_boundary(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, CHUNK_PLAIN - 1, CHUNK_PLAIN, CHUNK_PLAIN + 1, 3 * CHUNK_PLAIN, 1000003};
    char path[128];
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        uint8_t digest[HASH_SIZE];
        make_file("attachment", sizes[i], path, sizeof path);
        const char *attachments[] = {path, path};
        struct draft draft = draft_of("text");
        draft.attachments = attachments;
        draft.attachment_count = 2;
        compose(&sender, &draft, digest);
        struct body_file files[4];
        size_t count = 0;
        assert_ok(client_body_files(&sender, NULL, digest, files, LENGTH(files), &count, &failure));
        assert_int_equal(count, 3);
        assert_string_equal(files[0].name, "");
        assert_string_equal(files[2].name, "attachment");
        assert_int_equal(files[2].length, sizes[i]);
        AUTO_BUF got = {0};
        assert_ok(client_body_read(&sender, digest, 2, collect, &got, &failure));
        assert_int_equal(got.n, sizes[i]);
        for (size_t k = 0; k < got.n; k++) assert_int_equal(got.p[k], (uint8_t)(k * 2654435761U >> 24));
        AUTO_REQUEST request = {0};
        assert_ok(kept_load(sender.archive, digest, &request));
        assert_ok(body_check(&sender, &request));
    }
    (void)unlink(path);
}

static void a_text_from_a_pipe_is_laid_by_sealed_and_leaves_nothing(void **state) {
    (void)state;
    int ends[2], before = dup(STDIN_FILENO);
    uint8_t digest[HASH_SIZE];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "piped text", 10), 10);
    close(ends[1]);
    assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
    close(ends[0]);
    struct draft draft = draft_of("");
    draft.text_path = "-";
    compose(&sender, &draft, digest);
    if (before >= 0) {
        assert_true(dup2(before, STDIN_FILENO) >= 0);
        close(before);
    }
    AUTO_BUF got = {0};
    assert_ok(client_body_read(&sender, digest, 0, collect, &got, &failure));
    assert_true(bytes_are(buf_bytes(&got), "piped text"));
    assert_int_equal(count_rows(&sender, TABLE_SPOOL), 0);
}

static void a_damaged_chunk_is_noticed_and_named(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE];
    struct draft draft = draft_of("text");
    compose(&sender, &draft, digest);
    AUTO_REQUEST request = {0};
    AUTO_BUF chunk = {0};
    bool found = false;
    assert_ok(kept_load(sender.archive, digest, &request));
    struct archive_key key = press_key(request.record.content, PART_BODY, 0);
    assert_ok(archive_get(sender.archive, TABLE_CHUNK, key, &chunk, &found));
    assert_true(found);
    for (size_t i = 0; i < chunk.n; i += 7) {
        chunk.p[i] ^= 4;
        assert_ok(archive_set(sender.archive, TABLE_CHUNK, key, buf_bytes(&chunk)));
        assert_error(body_check(&sender, &request), E_CANNOT_OPEN);
        chunk.p[i] ^= 4;
    }
    assert_ok(archive_delete(sender.archive, TABLE_CHUNK, key));
    assert_error(body_check(&sender, &request), E_NOT_COMPLETE);
}

static void numbers_to_one_post_rise_by_one(void **state) {
    (void)state;
    for (uint64_t wanted = 1; wanted <= 4; wanted++) {
        uint8_t digest[HASH_SIZE];
        struct draft draft = draft_of("text");
        compose(&sender, &draft, digest);
        AUTO_LEG leg = {0};
        struct opening opening;
        only_leg(&sender, digest, &leg);
        assert_ok(opening_decode(leg.record.place.opening, &opening));
        assert_int_equal(opening.sequence, wanted);
        assert_true(bytes_are(opening.to, "fj/national"));
    }
}

static void a_bare_party_resolves_to_its_post_and_repeats_count_once(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE];
    const char *to[] = {"fj", "fj/national", "fj"};
    struct draft draft = draft_of("text");
    draft.to = to;
    draft.to_count = 3;
    compose(&sender, &draft, digest);
    AUTO_LEG leg = {0};
    only_leg(&sender, digest, &leg);
    assert_true(bytes_are(leg.record.to, "fj/national"));
}

static void nothing_is_kept_of_a_draft_that_cannot_be_sent(void **state) {
    (void)state;
    struct draft draft = draft_of("text");
    static const struct {
        const char *to;
        enum error error;
    } rows[] = {{"fj/nobody", E_UNKNOWN_POST},
                {"xx", E_UNKNOWN_PARTY},
                {"xx/yy", E_UNKNOWN_POST},
                {"Not A Name", E_UNKNOWN_PARTY},
                {"de/technical", E_USAGE}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        draft.to = &rows[i].to;
        assert_error(refused(&draft), rows[i].error);
    }
    draft.to_count = 0;
    assert_error(refused(&draft), E_USAGE);
    draft = draft_of("text");
    draft.keep_s = 60;
    assert_error(refused(&draft), E_BAD_KEEP);
    draft.keep_s = KEEP_MAX_S + 1;
    assert_error(refused(&draft), E_BAD_KEEP);
    draft = draft_of("text");
    draft.subject = "\xff";
    assert_error(refused(&draft), E_USAGE);
    draft = draft_of("text");
    draft.text_path = "/nonexistent/file";
    assert_error(refused(&draft), E_NO_FILE);
    draft = draft_of("text");
    draft.offer_only = true;
    assert_error(refused(&draft), E_USAGE);
}

static void a_subject_may_be_as_long_as_the_limit_and_no_longer(void **state) {
    (void)state;
    static char subject[SUBJECT_MAX + 2];
    uint8_t digest[HASH_SIZE];
    memset(subject, 's', SUBJECT_MAX + 1);
    struct draft draft = draft_of("text");
    draft.subject = subject;
    assert_error(refused(&draft), E_TOO_LARGE);
    subject[SUBJECT_MAX] = 0;
    compose(&sender, &draft, digest);
    AUTO_VIEW view = {0};
    assert_ok(client_view(&sender, digest, &view, &failure));
    assert_string_equal(view.subject, subject);
}

static void a_body_larger_than_the_relay_takes_is_refused_before_anything_is_kept(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    keptrelay_encode(&(struct keptrelay){.body_max = 100 * 1000, .legs_max = 1}, &bytes);
    assert_ok(archive_set(sender.archive, TABLE_META, archive_named("relay"), buf_bytes(&bytes)));
    static char text[99000];
    memset(text, 'x', sizeof text - 1);
    struct draft draft = draft_of(text);
    assert_error(refused(&draft), E_TOO_LARGE); /* fits bare, but not sealed and padded */
    text[80000] = 0;
    uint8_t digest[HASH_SIZE];
    draft.text = bytes_text(text);
    compose(&sender, &draft, digest);
}

static void a_reply_needs_an_accepted_leg_and_goes_to_its_other_side(void **state) {
    (void)state;
    uint8_t parent[HASH_SIZE], reply[HASH_SIZE], second[HASH_SIZE];
    struct draft draft = draft_of("text");
    compose(&sender, &draft, parent);
    struct draft answer = {.parent_header = parent, .text = bytes_text("reply")};
    assert_error(client_send(&sender, NULL, &answer, NULL, reply, &failure), E_WRONG_STATE);
    assert_ok(step(&sender, parent, EVENT_STORED, RELAY, NULL, STATE_STORED));
    assert_error(client_send(&sender, NULL, &answer, NULL, reply, &failure), E_WRONG_STATE);
    assert_ok(step(&sender, parent, EVENT_ACCEPTED, RECIPIENT, "fj/national", STATE_ACCEPTED));
    compose(&sender, &answer, reply);
    AUTO_REQUEST request = {0}, other = {0};
    AUTO_LEG leg = {0};
    assert_ok(kept_load(sender.archive, reply, &request));
    only_leg(&sender, reply, &leg);
    assert_true(request.header.has_parent && !request.header.has_offer);
    assert_memory_equal(request.header.parent.header, parent, HASH_SIZE);
    assert_true(bytes_are(leg.record.to, "fj/national"));
    /* A reply to a reply belongs to the first request. */
    answer.parent_header = reply;
    compose(&sender, &answer, second);
    assert_ok(kept_load(sender.archive, second, &other));
    assert_memory_equal(other.header.parent.header, parent, HASH_SIZE);
    AUTO_BUF replies = {0};
    assert_ok(client_replies(&sender, parent, &replies, &failure));
    assert_int_equal(replies.n, 2 * HASH_SIZE);
    assert_memory_equal(replies.p, reply, HASH_SIZE);
}

/* ---- finding ---- */

static void a_request_is_found_by_number_prefix_and_reference(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], found[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1], reference[TEXT_REFERENCE_SIZE];
    struct draft draft = draft_of("text");
    compose(&sender, &draft, digest);
    text_hex(digest, HASH_SIZE, hex);
    text_reference(digest, reference);
    const char *typed[] = {"1", hex, reference};
    for (size_t i = 0; i < LENGTH(typed); i++) {
        memset(found, 0, sizeof found);
        assert_ok(client_find(&sender, typed[i], found, &failure));
        assert_memory_equal(found, digest, HASH_SIZE);
    }
    hex[32] = 0; /* the id that JSON gives */
    assert_ok(client_find(&sender, hex, found, &failure));
    for (char *p = hex; *p; p++)
        if (*p >= 'a') *p = (char)(*p - 32);
    assert_ok(client_find(&sender, hex, found, &failure));
    const char *other = digest[0] >> 4 == 7 ? "8" : "7"; /* neither a list number nor how the id begins */
    assert_error(client_find(&sender, other, found, &failure), E_UNKNOWN_REQUEST);
    assert_error(client_find(&sender, "zz", found, &failure), E_UNKNOWN_REQUEST);
    assert_error(client_find(&sender, "", found, &failure), E_UNKNOWN_REQUEST);
}

static void a_prefix_of_two_requests_is_ambiguous(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], found[HASH_SIZE];
    /* with 40 requests two begin with the same hex digit for certain; letters are never list numbers */
    unsigned letters[6] = {0};
    for (int i = 0; i < 40; i++) {
        struct draft draft = draft_of("text");
        compose(&sender, &draft, digest);
        if (digest[0] >> 4 >= 10) letters[(digest[0] >> 4) - 10]++;
    }
    for (int i = 0; i < 6; i++) {
        char typed[2] = {(char)('a' + i), 0};
        enum error wanted = letters[i] == 0 ? E_UNKNOWN_REQUEST : letters[i] == 1 ? E_OK : E_AMBIGUOUS;
        assert_error(client_find(&sender, typed, found, &failure), wanted);
    }
}

int main(void) {
    if (sodium_init() < 0) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, homes_set_up, homes_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_written_request_is_whole_before_it_is_sent),
        TEST(the_sealed_length_hides_the_exact_one),
        TEST(attachments_come_out_as_they_went_in_at_every_chunk_boundary),
        TEST(a_text_from_a_pipe_is_laid_by_sealed_and_leaves_nothing),
        TEST(a_damaged_chunk_is_noticed_and_named),
        TEST(numbers_to_one_post_rise_by_one),
        TEST(a_bare_party_resolves_to_its_post_and_repeats_count_once),
        TEST(nothing_is_kept_of_a_draft_that_cannot_be_sent),
        TEST(a_subject_may_be_as_long_as_the_limit_and_no_longer),
        TEST(a_body_larger_than_the_relay_takes_is_refused_before_anything_is_kept),
        TEST(a_reply_needs_an_accepted_leg_and_goes_to_its_other_side),
        TEST(a_request_is_found_by_number_prefix_and_reference),
        TEST(a_prefix_of_two_requests_is_ambiguous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
