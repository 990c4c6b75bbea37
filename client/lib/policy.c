/* policy.c - rules onto requests, after NOTIFIED. */
#include "policy.h"

#include <stdio.h>

#include "fault.h"
#include "kept.h"
#include "leg.h"
#include "libpouch.h"
#include "outbox.h"
#include "text.h"

static struct archive_key policy_key(void) { return archive_key(NULL, NULL, 0); }

/* ---- rules ---- */

static bool has_bit(uint64_t bits, uint64_t number) { return bits == 0 || (number < 32 && (bits >> number & 1)); }

/* A party means all of its posts. */
static bool names(struct bytes named, struct bytes post) {
    return bytes_equal(named, post) || bytes_equal(named, text_party_of(post));
}

static bool any_names(struct list from, struct bytes post) {
    struct bytes named;
    if (from.count == 0) return true;
    while (list_next_bytes(&from, &named))
        if (names(named, post)) return true;
    return false;
}

static bool fits(const struct policyrule *rule, const struct policy_case *what) {
    unsigned mark = what->exercise ? POLICY_EXERCISE : POLICY_REAL;
    if (rule->marks != 0 && !(rule->marks & mark)) return false;
    return has_bit(rule->kinds, what->kind) && has_bit(rule->precedences, what->precedence) &&
           any_names(rule->from, what->from);
}

bool policy_judge(const struct keptpolicy *policy, const struct policy_case *what, struct policyrule *ret) {
    struct list rules = policy->rules;
    struct policyrule rule;
    while (policyrule_next(&rules, &rule)) {
        if (!fits(&rule, what)) continue;
        *ret = rule;
        return true;
    }
    return false;
}

static bool bits_cover(uint64_t earlier, uint64_t later) {
    return earlier == 0 || (later != 0 && (later & ~earlier) == 0);
}

bool policy_covers(const struct policyrule *earlier, const struct policyrule *later) {
    struct list from = later->from;
    struct bytes named;
    if (!bits_cover(earlier->kinds, later->kinds) || !bits_cover(earlier->precedences, later->precedences) ||
        !bits_cover(earlier->marks, later->marks))
        return false;
    if (earlier->from.count == 0) return true;
    if (later->from.count == 0) return false;
    while (list_next_bytes(&from, &named))
        if (!any_names(earlier->from, named)) return false;
    return true;
}

/* ---- kept ---- */

enum error policy_set(struct home *home, const struct keptpolicy *policy) {
    AUTO_BUF bytes = {0};
    keptpolicy_encode(policy, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_POLICY, policy_key(), buf_bytes(&bytes));
}

enum error policy_load(struct home *home, struct buf *bytes, struct keptpolicy *ret, bool *ret_found) {
    TRY(archive_get(home->archive, TABLE_POLICY, policy_key(), bytes, ret_found));
    if (!*ret_found) {
        *ret = (struct keptpolicy){0};
        return E_OK;
    }
    return keptpolicy_decode(buf_bytes(bytes), ret) == E_OK ? E_OK : E_CORRUPT;
}

static enum error keep(struct home *home, struct archive_key key, const struct keptdecision *decision) {
    AUTO_BUF bytes = {0};
    keptdecision_encode(decision, &bytes);
    TRY(buf_error(&bytes));
    key.n = 0;
    return archive_set(home->archive, TABLE_POLICY, key, buf_bytes(&bytes));
}

enum error policy_decision_of(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                              const uint8_t leg[static HASH_SIZE], struct keptdecision *ret) {
    AUTO_BUF bytes = {0};
    struct keptdecision decision = {0};
    bool found = false;
    TRY(archive_get(archive, TABLE_POLICY, archive_key(digest, leg, 0), &bytes, &found));
    if (found && keptdecision_decode(buf_bytes(&bytes), &decision) != E_OK) return E_CORRUPT;
    *ret = decision;
    return E_OK;
}

enum error policy_due(struct home *home, const uint8_t digest[static HASH_SIZE], const uint8_t leg[static HASH_SIZE]) {
    return archive_set(home->archive, TABLE_DUTY, archive_key(digest, leg, DUTY_POLICY), (struct bytes){0});
}

enum error policy_was_late(struct home *home, const struct outgoing *outgoing, const uint8_t hash[static HASH_SIZE],
                           bool *ret) {
    struct keptdecision decision;
    if (!outgoing->has_leg) return E_OK;
    TRY(policy_decision_of(home->archive, outgoing->header, outgoing->leg, &decision));
    if (!decision.has_statement || memcmp(decision.statement, hash, HASH_SIZE) != 0) return E_OK;
    decision.late = true;
    *ret = true;
    return keep(home, archive_key(outgoing->header, outgoing->leg, 0), &decision);
}

/* ---- judging ---- */

struct bench {
    struct home *home;
    struct keptpolicy policy;
    bool decides; /* this device may */
    struct sync_summary *summary;
};

/* Nobody has decided yet, here or on another device, as far as this home knows. */
static bool is_undecided(const struct kept_request *request, const struct keptleg *leg) {
    enum leg_state to;
    if (request->record.mine || leg->away || request->header.has_parent) return false;
    return leg_step((enum leg_state)leg->state, EVENT_DECLINED, header_leg_kind(&request->header), &to) == E_OK;
}

static enum error case_of(const struct kept_request *request, struct policy_case *ret) {
    struct offer offer;
    if (offer_decode(request->record.offer, &offer) != E_OK) return E_CORRUPT;
    *ret = (struct policy_case){.from = request->header.from,
                                .kind = offer.kind,
                                .precedence = request->header.precedence,
                                .exercise = request->header.exercise};
    return E_OK;
}

/* What a rule may not do here becomes a question for a person. */
static enum policy_decision allowed(const struct bench *bench, const struct kept_request *request, uint64_t wanted) {
    const struct keptrequest *record = &request->record;
    bool warned = record->has_paired && !record->paired;
    if (wanted == POLICY_IGNORE) return POLICY_IGNORE;
    if (wanted == POLICY_DECLINE && bench->decides) return POLICY_DECLINE;
    return wanted == POLICY_ACCEPT && bench->decides && !warned ? POLICY_ACCEPT : POLICY_ASK;
}

static enum error decide(struct bench *bench, struct archive_key key, enum leg_event event,
                         const struct policyrule *rule, struct keptdecision *decision) {
    struct saying saying = {.event = event,
                            .header = key.a,
                            .leg = key.b,
                            .has_reason = event == EVENT_DECLINED && rule->has_reason,
                            .reason = (unsigned)rule->reason}; /* a machine speaks */
    decision->has_statement = true;
    bench->summary->decided++;
    return outbox_say(bench->home, &saying, 1, decision->statement);
}

static enum error judge(struct bench *bench, struct archive_key key, const struct kept_request *request) {
    struct policy_case what;
    struct policyrule rule = {.decision = POLICY_ASK};
    TRY(case_of(request, &what));
    (void)policy_judge(&bench->policy, &what, &rule);
    struct keptdecision decision = {.decision = allowed(bench, request, rule.decision), .line = rule.line};
    if (decision.decision == POLICY_ACCEPT) TRY(decide(bench, key, EVENT_ACCEPTED, &rule, &decision));
    if (decision.decision == POLICY_DECLINE) TRY(decide(bench, key, EVENT_DECLINED, &rule, &decision));
    if (decision.decision == POLICY_IGNORE) bench->summary->ignored++;
    return keep(bench->home, key, &decision);
}

static enum error judge_due(struct bench *bench, struct archive_key key) {
    struct archive *archive = bench->home->archive;
    AUTO_REQUEST request = {0};
    AUTO_LEG leg = {0};
    TRY(archive_delete(archive, TABLE_DUTY, key));
    TRY(kept_load(archive, key.a, &request));
    TRY(kept_leg_load(archive, key.a, key.b, &leg));
    if (!is_undecided(&request, &leg.record) || !request.record.has_offer) return E_OK;
    return judge(bench, key, &request);
}

static enum error in_transaction(struct bench *bench, struct archive_key key) {
    struct archive *archive = bench->home->archive;
    TRY(archive_begin(archive));
    enum error error = judge_due(bench, key);
    if (error == E_OK) return archive_commit(archive);
    archive_rollback(archive);
    return error;
}

static enum error next_due(struct home *home, struct archive_cursor *cursor, bool *ret_found) {
    AUTO_BUF value = {0};
    do TRY(archive_next(home->archive, cursor, &value, ret_found));
    while (*ret_found && cursor->key.n != DUTY_POLICY);
    return E_OK;
}

static enum error run(struct home *home, struct sync_summary *summary) {
    AUTO_BUF bytes = {0};
    struct bench bench = {.home = home, .summary = summary};
    struct archive_cursor cursor = archive_cursor(TABLE_DUTY, SCOPE_ALL, archive_key(NULL, NULL, 0));
    bool found = false, set;
    TRY(next_due(home, &cursor, &found));
    if (!found) return E_OK;
    FAULT("policy.due");
    bench.decides = home_check_role(home, ROLE_DECIDER, NULL) == E_OK;
    TRY(policy_load(home, &bytes, &bench.policy, &set));
    while (found) {
        TRY(in_transaction(&bench, cursor.key));
        FAULT("policy.decided");
        TRY(next_due(home, &cursor, &found));
    }
    return E_OK;
}

enum error policy_run(struct home *home, struct sync_summary *summary, struct failure *failure) {
    enum error error = run(home, summary);
    return error == E_OK ? E_OK : fail(failure, error, "the standing policy");
}
