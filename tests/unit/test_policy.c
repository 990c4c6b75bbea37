/* test_policy.c - the standing policy: which rule fits, what a home makes of it - once, as a machine, and never of
 * what is not a request -, and a reader that names every mistake and survives every text. */
#include "client_fixture.h"

#include "policy_text.h"
#include "words.h"

static const char rules[] =
    "opened: disclosed\n"
    "rules:\n"
    "  - {from: de/technical, kind: ping, then: accept}\n"
    "  - {from: [it, de], kind: [notice, clarification], exercise: no, then: decline, reason: other}\n"
    "  - {precedence: [priority, flash], then: ignore}\n"
    "  - {exercise: yes, then: ask}\n";

/* ---- rules ---- */

struct question {
    const char *from;
    enum request_kind kind;
    enum precedence precedence;
    bool exercise;
    unsigned line; /* 0: none fits */
};

static void the_first_rule_that_fits_counts(void **state) {
    (void)state;
    static const struct question questions[] = {
        {"de/technical", KIND_PING, PRECEDENCE_ROUTINE, true, 3},
        {"de/technical", KIND_PING, PRECEDENCE_FLASH, false, 3},
        {"de/diplomatic", KIND_PING, PRECEDENCE_ROUTINE, true, 6},
        {"de/diplomatic", KIND_NOTICE, PRECEDENCE_FLASH, false, 4},
        {"it/national", KIND_CLARIFICATION, PRECEDENCE_ROUTINE, false, 4},
        {"it/national", KIND_CLARIFICATION, PRECEDENCE_FLASH, true, 5},
        {"ita/national", KIND_NOTICE, PRECEDENCE_ROUTINE, false, 0},
        {"fr/technical", KIND_INCIDENT, PRECEDENCE_PRIORITY, false, 5},
        {"fr/technical", KIND_INCIDENT, PRECEDENCE_IMMEDIATE, false, 0},
        {"fr/technical", KIND_INCIDENT, PRECEDENCE_IMMEDIATE, true, 6},
    };
    AUTO_POLICY_TEXT read = {0};
    assert_ok(policy_text_read(bytes_text(rules), "rules", NULL, NULL, &read));
    assert_true(read.policy.opened);
    assert_int_equal(read.policy.rules.count, 4);
    for (size_t i = 0; i < LENGTH(questions); i++) {
        const struct question *q = &questions[i];
        struct policy_case what = {bytes_text(q->from), q->kind, q->precedence, q->exercise};
        struct policyrule rule = {0};
        assert_int_equal(policy_judge(&read.policy, &what, &rule), q->line != 0);
        assert_int_equal(rule.line, q->line);
    }
}

/* Against all cases: an earlier rule that covers a later one leaves it nothing. */
static void a_rule_covers_another_exactly_if_nothing_is_left_for_it(void **state) {
    (void)state;
    static const char *const heads[] = {"",
                                        "from: de, ",
                                        "from: de/technical, ",
                                        "from: [de/technical, it], ",
                                        "kind: ping, ",
                                        "from: de, kind: [ping, notice], ",
                                        "exercise: yes, ",
                                        "precedence: flash, exercise: no, ",
                                        "from: it, precedence: [flash, routine], "};
    static const char *const posts[] = {"de/technical", "de/diplomatic", "it/technical", "fr/technical"};
    for (size_t a = 0; a < LENGTH(heads); a++)
        for (size_t b = 0; b < LENGTH(heads); b++) {
            AUTO_POLICY_TEXT read = {0};
            char text[256];
            struct policyrule first, second, hit;
            bool left = false;
            (void)snprintf(text, sizeof text, "rules:\n  - {%sthen: ask}\n  - {%sthen: ask}\n", heads[a], heads[b]);
            assert_ok(policy_text_read(bytes_text(text), "text", NULL, NULL, &read));
            struct list list = read.policy.rules;
            assert_true(policyrule_next(&list, &first) && policyrule_next(&list, &second));
            for (size_t p = 0; p < LENGTH(posts); p++)
                for (unsigned k = KIND_INCIDENT; k <= KIND_PING; k++)
                    for (unsigned u = PRECEDENCE_ROUTINE; u <= PRECEDENCE_FLASH; u++)
                        for (unsigned e = 0; e < 2; e++) {
                            struct policy_case what = {bytes_text(posts[p]), k, u, e};
                            left |= policy_judge(&read.policy, &what, &hit) && hit.line == 3;
                        }
            assert_int_equal(policy_covers(&first, &second), !left);
        }
}

/* ---- the text ---- */

static void a_text_cut_anywhere_or_with_any_byte_changed_is_read_or_refused(void **state) {
    (void)state;
    AUTO_BUF text = {0};
    for (size_t n = 0; n < sizeof rules; n++) {
        AUTO_POLICY_TEXT read = {0};
        enum error error = policy_text_read(bytes_of(rules, n), "rules", NULL, NULL, &read);
        assert_true(error == E_OK || error == E_CONFIG);
    }
    buf_add(&text, rules, sizeof rules - 1);
    for (size_t i = 0; i < text.n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            AUTO_POLICY_TEXT read = {0};
            text.p[i] ^= (uint8_t)(1u << bit);
            enum error error = policy_text_read(buf_bytes(&text), "rules", NULL, NULL, &read);
            assert_true(error == E_OK || error == E_CONFIG);
            text.p[i] ^= (uint8_t)(1u << bit);
        }
}

static void all_mistakes_are_named_at_once_and_in_their_order(void **state) {
    (void)state;
    static const char bad[] = "opend: yes\nrules:\n  - {from: DE, then: accept}\n  - {then: drop}\n  - {kind: ping}\n";
    char *said = NULL;
    size_t length = 0;
    AUTO_POLICY_TEXT read = {0};
    FILE *report = open_memstream(&said, &length);
    assert_non_null(report);
    assert_error(policy_text_read(bytes_text(bad), "bad.yaml", NULL, report, &read), E_CONFIG);
    assert_int_equal(fclose(report), 0);
    static const char *const places[] = {
        "bad.yaml:1:1: ", "\nbad.yaml:3:12: ", "\nbad.yaml:4:12: ", "\nbad.yaml:5:5: "};
    const char *at = said;
    for (size_t i = 0; i < LENGTH(places); i++) {
        at = strstr(at, places[i]);
        assert_non_null(at);
    }
    free(said);
    assert_int_equal(read.policy.rules.count, 0);
}

static void a_policy_is_kept_as_it_was_written(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    struct keptpolicy policy;
    bool found = true;
    assert_ok(policy_load(&recipient, &bytes, &policy, &found));
    assert_false(found || policy.opened || policy.rules.count);
    AUTO_POLICY_TEXT read = {0};
    assert_ok(policy_text_read(bytes_text(rules), "rules", NULL, NULL, &read));
    assert_ok(policy_set(&recipient, &read.policy));
    assert_ok(policy_load(&recipient, &bytes, &policy, &found));
    assert_true(found && policy.opened && bytes_are(policy.text, rules));
    assert_int_equal(policy.rules.count, 4);
}

/* ---- judging ---- */

static void set(const char *text) {
    AUTO_POLICY_TEXT read = {0};
    assert_ok(policy_text_read(bytes_text(text), "text", NULL, NULL, &read));
    assert_ok(policy_set(&recipient, &read.policy));
}

/* A request of de/technical lies at fj/national, which has said NOTIFIED: it may be judged. */
static void arrive(uint8_t ret[static HASH_SIZE], uint8_t ret_leg[static HASH_SIZE]) {
    static const char *const to[] = {"fj/national"};
    struct draft draft = {
        .to = to, .to_count = 1, .subject = "subject", .kind = KIND_NOTICE, .text = bytes_text("text")};
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    compose(&sender, &draft, ret);
    assert_ok(kept_load(sender.archive, ret, &request));
    only_leg(&sender, ret, &leg);
    request.record.mine = false;
    leg.record.state = STATE_NOTIFIED;
    leg.record.entries = 2;
    assert_ok(kept_add(recipient.archive, ret, &request.record, &request.header));
    assert_ok(kept_leg_save(recipient.archive, ret, leg.leg, &leg.record));
    memcpy(ret_leg, leg.leg, HASH_SIZE);
    assert_ok(policy_due(&recipient, ret, ret_leg));
}

static struct sync_summary judge(void) {
    struct sync_summary summary = {0};
    assert_ok(policy_run(&recipient, &summary, &failure));
    return summary;
}

/* The only statement in the outbox. */
static void said(struct buf *bytes, struct statement *ret) {
    struct archive_cursor cursor = archive_cursor(TABLE_OUTBOX, SCOPE_ALL, archive_key(NULL, NULL, 0));
    struct outgoing outgoing;
    struct bytes payload;
    bool found = false;
    assert_int_equal(count_rows(&recipient, TABLE_OUTBOX), 1);
    assert_ok(archive_next(recipient.archive, &cursor, bytes, &found));
    assert_ok(outgoing_decode(buf_bytes(bytes), &outgoing));
    assert_ok(stamp_peek(outgoing.statement, &payload));
    assert_ok(statement_decode(payload, ret));
}

static void a_decision_is_made_once_by_a_machine_with_its_reason(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE];
    AUTO_BUF bytes = {0};
    struct statement statement;
    struct keptdecision decision;
    set("rules:\n  - {kind: notice, then: decline, reason: no-capacity}\n");
    arrive(digest, leg);
    assert_int_equal(count_rows(&recipient, TABLE_OUTBOX), 0);
    assert_int_equal(judge().decided, 1);
    assert_int_equal(judge().decided, 0);
    said(&bytes, &statement);
    assert_int_equal(statement.event, EVENT_DECLINED);
    assert_false(statement.officer || statement.has_note || statement.has_disclosure);
    assert_true(statement.has_reason);
    assert_string_equal(words_reason((unsigned)statement.reason), "no-capacity");
    assert_ok(policy_decision_of(recipient.archive, digest, leg, &decision));
    assert_int_equal(decision.decision, POLICY_DECLINE);
    assert_int_equal(decision.line, 2);
}

static void to_ignore_and_to_ask_write_the_same_and_say_nothing(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE];
    uint64_t rows[2][TABLE_COUNT];
    static const char *const texts[] = {"rules:\n  - {then: ignore}\n", "rules:\n  - {then: ask}\n"};
    for (size_t i = 0; i < 2; i++) {
        uint64_t before[TABLE_COUNT];
        set(texts[i]);
        for (unsigned t = 0; t < TABLE_COUNT; t++) before[t] = count_rows(&recipient, t);
        arrive(digest, leg);
        assert_int_equal(judge().ignored, i == 0);
        for (unsigned t = 0; t < TABLE_COUNT; t++) rows[i][t] = count_rows(&recipient, t) - before[t];
    }
    assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    assert_int_equal(rows[0][TABLE_OUTBOX], 0);
}

static void what_is_ignored_is_listed_only_when_all_is_asked_for(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE];
    AUTO_BUF open = {0}, all = {0};
    AUTO_VIEW view = {0};
    set("rules:\n  - {then: ignore}\n");
    arrive(digest, leg);
    judge();
    assert_ok(client_list(&recipient, BOX_INBOX, false, &open, &failure));
    assert_ok(client_list(&recipient, BOX_INBOX, true, &all, &failure));
    assert_int_equal(open.n, 0);
    assert_int_equal(all.n, HASH_SIZE);
    assert_ok(client_view(&recipient, digest, &view, &failure));
    assert_true(view.ignored);
    assert_int_equal(view.policy.line, 2);
}

static void what_was_decided_before_is_not_judged(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE];
    set("rules:\n  - {then: accept}\n");
    arrive(digest, leg);
    assert_ok(step(&recipient, digest, EVENT_DECLINED, RECIPIENT, "fj/national", STATE_DECLINED));
    assert_int_equal(judge().decided, 0);
    assert_int_equal(count_rows(&recipient, TABLE_OUTBOX), 0);
}

static void a_decision_that_came_too_late_is_noted_with_its_request_and_no_other_is(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE], other[HASH_SIZE] = {7};
    struct keptdecision decision;
    bool quiet = false;
    set("rules:\n  - {then: accept}\n");
    arrive(digest, leg);
    judge();
    assert_ok(policy_decision_of(recipient.archive, digest, leg, &decision));
    struct outgoing outgoing = {.has_leg = true};
    memcpy(outgoing.header, digest, HASH_SIZE);
    memcpy(outgoing.leg, leg, HASH_SIZE);
    assert_ok(policy_was_late(&recipient, &outgoing, other, &quiet)); /* a person's */
    assert_false(quiet);
    assert_ok(policy_was_late(&recipient, &outgoing, decision.statement, &quiet));
    assert_true(quiet);
    assert_ok(policy_decision_of(recipient.archive, digest, leg, &decision));
    assert_true(decision.late);
}

static void consent_and_speakers_are_read_off_the_entries(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE];
    AUTO_LEG leg = {0}, later = {0};
    accepted_request(digest);
    only_leg(&sender, digest, &leg);
    assert_int_equal(leg.record.consents, 0);
    assert_int_equal(leg.record.spoken, SPEAKER_MACHINE);
    assert_ok(step(&sender, digest, EVENT_CONSENTED, RECIPIENT, "fj/national", STATE_ACCEPTED));
    assert_ok(step(&sender, digest, EVENT_EXPIRED, RELAY, NULL, STATE_EXPIRED));
    only_leg(&sender, digest, &later);
    assert_int_equal(later.record.consents, CONSENT_RECIPIENT);
    assert_int_equal(later.record.spoken, SPEAKER_RELAY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, homes_set_up, homes_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rule_that_fits_counts),
        cmocka_unit_test(a_rule_covers_another_exactly_if_nothing_is_left_for_it),
        cmocka_unit_test(a_text_cut_anywhere_or_with_any_byte_changed_is_read_or_refused),
        cmocka_unit_test(all_mistakes_are_named_at_once_and_in_their_order),
        TEST(a_policy_is_kept_as_it_was_written),
        TEST(a_decision_is_made_once_by_a_machine_with_its_reason),
        TEST(to_ignore_and_to_ask_write_the_same_and_say_nothing),
        TEST(what_is_ignored_is_listed_only_when_all_is_asked_for),
        TEST(what_was_decided_before_is_not_judged),
        TEST(a_decision_that_came_too_late_is_noted_with_its_request_and_no_other_is),
        TEST(consent_and_speakers_are_read_off_the_entries),
    };
    if (sign_self_test() != E_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
