/* test_pairs.c - secrets shared with other parties: which one is used, when a request is split, what a device without
 * the secret sees and what it sees once it has it. */
#include "client_fixture.h"

#include "pairs.h"

static const uint8_t one[KEY_SIZE] = {1}, two[KEY_SIZE] = {2};

static void add(struct home *home, const char *party, const uint8_t *secret, bool require, uint8_t *ret_id) {
    uint8_t id[PREKEY_ID_SIZE];
    assert_ok(pairs_add(home, party, secret, require, id, &failure));
    if (ret_id) memcpy(ret_id, id, sizeof id);
}

static void pause_a_moment(void) { usleep(3000); } /* the age of a secret counts in milliseconds */

/* ---- the table ---- */

static void the_newest_secret_is_used_and_each_is_found_by_its_id(void **state) {
    (void)state;
    uint8_t first[PREKEY_ID_SIZE], second[PREKEY_ID_SIZE];
    AUTO_PAIR newest = {0};
    AUTO_PAIR older = {0};
    bool found = false;
    add(&sender, "fj", one, false, first);
    pause_a_moment();
    add(&sender, "fj", two, false, second);
    assert_ok(pairs_newest(&sender, bytes_text("fj/national"), &newest, &found));
    assert_true(found);
    assert_memory_equal(newest.psk.id, second, PREKEY_ID_SIZE);
    assert_memory_equal(newest.psk.secret, two, KEY_SIZE);
    assert_ok(pairs_find(&sender, bytes_text("fj/national"), first, &older));
    assert_memory_equal(older.psk.secret, one, KEY_SIZE);
    AUTO_PAIR none = {0};
    assert_int_equal(pairs_find(&sender, bytes_text("de/technical"), first, &none), E_UNKNOWN_PAIR);
}

static void one_does_not_share_with_nobody_or_with_oneself(void **state) {
    (void)state;
    uint8_t id[PREKEY_ID_SIZE];
    assert_int_equal(pairs_add(&sender, "zz", one, false, id, &failure), E_UNKNOWN_PARTY);
    assert_int_equal(pairs_add(&sender, "de", one, false, id, &failure), E_USAGE);
    assert_int_equal(pairs_add(&sender, "not a party", one, false, id, &failure), E_USAGE);
    assert_int_equal(count_rows(&sender, TABLE_PAIR), 0);
}

static void a_removed_secret_is_gone_and_does_not_come_back(void **state) {
    (void)state;
    uint8_t id[PREKEY_ID_SIZE];
    char hex[2 * PREKEY_ID_SIZE + 1];
    AUTO_PAIR key = {0};
    bool found = true;
    add(&sender, "fj", one, false, id);
    text_hex(id, PREKEY_ID_SIZE, hex);
    hex[6] = '\0';
    assert_int_equal(pairs_remove(&sender, "fj", "ffffffffffff", &failure), E_UNKNOWN_PAIR);
    assert_ok(pairs_remove(&sender, "fj", hex, &failure));
    assert_ok(pairs_newest(&sender, bytes_text("fj/national"), &key, &found));
    assert_false(found);
    assert_int_equal(pairs_find(&sender, bytes_text("fj/national"), id, &key), E_UNKNOWN_PAIR);
    assert_int_equal(pairs_add(&sender, "fj", one, false, id, &failure), E_CONFLICT);
    AUTO_BUF items = {0};
    size_t count = 0;
    assert_ok(pairs_records(&sender, &items, &count));
    for (size_t at = 0; at + KEY_SIZE <= items.n; at++) assert_memory_not_equal(items.p + at, one, KEY_SIZE);
}

static void the_list_tells_which_is_in_use_and_what_is_required(void **state) {
    (void)state;
    AUTO_FREE(struct pair_view) views = NULL;
    size_t count = 0;
    add(&sender, "fj", one, false, NULL);
    pause_a_moment();
    add(&sender, "fj", two, true, NULL);
    assert_ok(pairs_list(&sender, &views, &count));
    assert_int_equal(count, 2);
    assert_true(views[0].required && views[1].required);
    assert_true(!views[0].in_use && views[1].in_use);
    AUTO_FREE(struct pair_view) rule = NULL;
    assert_ok(pairs_require(&recipient, "de", true, &failure));
    assert_ok(pairs_list(&recipient, &rule, &count));
    assert_int_equal(count, 1);
    assert_true(rule[0].none && rule[0].required && !rule[0].in_use);
}

/* ---- among sisters ---- */

static void give(struct home *from, struct home *to) {
    AUTO_BUF items = {0};
    size_t count = 0;
    assert_ok(pairs_records(from, &items, &count));
    struct list list = list_of(&items, count);
    assert_ok(pairs_apply(to, &list));
}

/* The recipient's home stands for a sister here: nothing in a record depends on whose it is. */
static void sisters_end_with_the_same_whatever_the_order(void **state) {
    (void)state;
    uint8_t id[PREKEY_ID_SIZE];
    char hex[2 * PREKEY_ID_SIZE + 1];
    AUTO_PAIR key = {0};
    bool found = false, required = false;
    add(&sender, "fj", one, true, id);
    give(&sender, &recipient);
    assert_ok(pairs_find(&recipient, bytes_text("fj"), id, &key));
    assert_ok(pairs_required(&recipient, bytes_text("fj"), &required));
    assert_true(required);
    pause_a_moment();
    text_hex(id, PREKEY_ID_SIZE, hex);
    assert_ok(pairs_remove(&sender, "fj", hex, &failure));
    assert_ok(pairs_require(&sender, "fj", false, &failure));
    give(&recipient, &sender); /* what is older changes nothing */
    give(&sender, &recipient);
    give(&recipient, &sender);
    struct home *homes[] = {&sender, &recipient};
    for (size_t i = 0; i < LENGTH(homes); i++) {
        assert_ok(pairs_newest(homes[i], bytes_text("fj"), &key, &found));
        assert_false(found);
        assert_ok(pairs_required(homes[i], bytes_text("fj"), &required));
        assert_false(required);
    }
}

static void a_record_whose_id_is_not_its_secrets_is_passed_over(void **state) {
    (void)state;
    AUTO_BUF items = {0};
    struct pairsecret record = {.party = bytes_text("fj"), .id = {7}, .secret = {1}, .changed = {5}};
    pairsecret_encode(&record, &items);
    struct list list = list_of(&items, 1);
    assert_ok(pairs_apply(&sender, &list));
    assert_int_equal(count_rows(&sender, TABLE_PAIR), 0);
}

/* A sister that was stolen speaks from the end of time: what she says counts like a word of today, and can be outdone. */
static void a_record_from_the_end_of_time_is_not_the_last_word(void **state) {
    (void)state;
    AUTO_BUF items = {0};
    AUTO_PAIR key = {0};
    uint8_t id[PREKEY_ID_SIZE];
    char hex[2 * PREKEY_ID_SIZE + 1];
    bool found = false, required = true;
    struct pairsecret secret = {.party = bytes_text("fj"), .created = {INT64_MAX}, .changed = {INT64_MAX}};
    struct pairsecret rule = {.party = bytes_text("fj"), .required = true, .changed = {INT64_MAX}};
    memcpy(secret.secret, two, KEY_SIZE);
    pairs_id(two, secret.id);
    pairsecret_encode(&secret, &items);
    pairsecret_encode(&rule, &items);
    struct list list = list_of(&items, 2);
    assert_ok(pairs_apply(&sender, &list));
    pause_a_moment();
    add(&sender, "fj", one, false, id);
    assert_ok(pairs_newest(&sender, bytes_text("fj"), &key, &found));
    assert_memory_equal(key.psk.id, id, PREKEY_ID_SIZE);
    assert_ok(pairs_require(&sender, "fj", false, &failure));
    assert_ok(pairs_required(&sender, bytes_text("fj"), &required));
    assert_false(required);
    text_hex(secret.id, PREKEY_ID_SIZE, hex);
    assert_ok(pairs_remove(&sender, "fj", hex, &failure));
    assert_error(pairs_find(&sender, bytes_text("fj"), secret.id, &key), E_UNKNOWN_PAIR);
    AUTO_FREE(struct pair_view) views = NULL;
    size_t count = 0;
    assert_ok(pairs_list(&sender, &views, &count));
    assert_int_equal(count, 1);
}

/* ---- the rule for several recipients ---- */

enum { HAS = 1, NEEDS = 2 };

static void groups_follow_the_rule(void **state) {
    (void)state;
    static const struct {
        int fj, de;
        size_t groups;
        uint8_t of_fj, of_de;
        enum error error;
    } rows[] = {
        {0, 0, 1, 0, 0, E_OK},
        {HAS, 0, 1, 0, 0, E_OK},
        {HAS, HAS, 1, 0, 0, E_OK},
        {HAS | NEEDS, HAS, 1, 0, 0, E_OK},
        {HAS | NEEDS, 0, 2, 0, 1, E_OK},
        {0, HAS | NEEDS, 2, 1, 0, E_OK},
        {NEEDS, 0, 0, 0, 0, E_PAIR_REQUIRED},
        {NEEDS, HAS | NEEDS, 0, 0, 0, E_PAIR_REQUIRED},
    };
    /* Asked of a post of a third party, so that both are others. */
    (void)snprintf(sender.post, sizeof sender.post, "xx/third");
    char posts[2][POST_MAX + 1] = {"fj/national", "de/technical"};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        uint8_t groups[2] = {9, 9};
        size_t count = 0;
        assert_ok(archive_delete_all(sender.archive, TABLE_PAIR, SCOPE_ALL, archive_key(NULL, NULL, 0)));
        if (rows[i].fj & HAS) add(&sender, "fj", one, false, NULL);
        if (rows[i].de & HAS) add(&sender, "de", two, false, NULL);
        assert_ok(pairs_require(&sender, "fj", rows[i].fj & NEEDS, &failure));
        assert_ok(pairs_require(&sender, "de", rows[i].de & NEEDS, &failure));
        assert_int_equal(pairs_groups(&sender, posts, 2, groups, &count, &failure), rows[i].error);
        if (rows[i].error != E_OK) continue;
        assert_int_equal(count, rows[i].groups);
        assert_int_equal(groups[0], rows[i].of_fj);
        assert_int_equal(groups[1], rows[i].of_de);
    }
}

static void sending_without_a_required_secret_is_refused_before_anything_is_kept(void **state) {
    (void)state;
    const char *to[] = {"fj/national"};
    struct draft draft = {.to = to, .to_count = 1, .subject = "s", .text = bytes_text("t")};
    uint8_t digest[HASH_SIZE];
    assert_ok(pairs_require(&sender, "fj", true, &failure));
    assert_int_equal(client_send(&sender, NULL, &draft, NULL, digest, &failure), E_PAIR_REQUIRED);
    assert_non_null(strstr(failure.where, "fj"));
    assert_int_equal(count_rows(&sender, TABLE_REQUEST), 0);
    assert_int_equal(count_rows(&sender, TABLE_OUTBOX), 0);
    assert_int_equal(count_rows(&sender, TABLE_SEQUENCE), 0);
    add(&sender, "fj", one, false, NULL);
    assert_ok(client_send(&sender, NULL, &draft, NULL, digest, &failure));
}

/* ---- sealing and opening ---- */

static const struct offering under_pair = {.paired = true};

static void reply_under_pair(uint8_t *ret_digest, struct buf *ret_offered, const struct offering *how) {
    uint8_t parent[HASH_SIZE];
    accepted_request(parent);
    compose_reply(parent, ret_digest);
    make_offered(ret_digest, how, ret_offered);
}

static void load_received(const uint8_t *digest, struct kept_request *ret) {
    assert_ok(kept_load(recipient.archive, digest, ret));
}

static void without_the_secret_it_stays_sealed_and_is_no_fraud(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE];
    AUTO_BUF offered = {0};
    AUTO_REQUEST request = {0};
    bool fresh = false;
    add(&sender, "fj", one, false, NULL);
    reply_under_pair(digest, &offered, &under_pair);
    assert_ok(deliver(buf_bytes(&offered), &fresh));
    assert_true(fresh);
    load_received(digest, &request);
    assert_false(request.record.has_body_key);
    assert_int_equal(count_rows(&recipient, TABLE_DUTY), 1); /* the note: cannot open */
    bool told = false;
    AUTO_LEG leg = {0};
    only_leg(&recipient, digest, &leg);
    assert_ok(archive_has(recipient.archive, TABLE_DUTY, archive_key(digest, leg.leg, EVENT_CANNOT_OPEN), &told));
    assert_true(told);
}

static void once_the_secret_is_here_it_opens(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE];
    AUTO_BUF offered = {0};
    bool fresh = false;
    add(&sender, "fj", one, false, NULL);
    reply_under_pair(digest, &offered, &under_pair);
    assert_ok(deliver(buf_bytes(&offered), &fresh));
    add(&recipient, "de", two, false, NULL); /* not this one */
    assert_ok(deliver(buf_bytes(&offered), &fresh));
    AUTO_REQUEST sealed = {0};
    load_received(digest, &sealed);
    assert_false(sealed.record.has_body_key);
    add(&recipient, "de", one, false, NULL);
    uint64_t again = 0;
    assert_ok(kept_number(recipient.archive, TABLE_META, archive_named(KEPT_FEED_GAP), &again));
    assert_int_equal(again, 1); /* the feed is read anew */
    assert_ok(deliver(buf_bytes(&offered), &fresh));
    assert_false(fresh);
    AUTO_REQUEST open = {0};
    load_received(digest, &open);
    assert_true(open.record.has_body_key);
    assert_true(open.record.has_paired && open.record.paired);
    assert_int_equal(open.record.number, sealed.record.number);
    assert_int_equal(count_rows(&recipient, TABLE_DUTY), 1); /* to fetch the body and say so */
}

static void what_comes_without_a_required_secret_is_marked(void **state) {
    (void)state;
    uint8_t digest[HASH_SIZE];
    AUTO_BUF offered = {0};
    AUTO_REQUEST request = {0};
    bool fresh = false;
    const struct offering base = {0};
    assert_ok(pairs_require(&recipient, "de", true, &failure));
    reply_under_pair(digest, &offered, &base);
    assert_ok(deliver(buf_bytes(&offered), &fresh));
    load_received(digest, &request);
    assert_true(request.record.has_body_key);
    assert_true(request.record.has_paired && !request.record.paired);
    AUTO_VIEW view = {0};
    assert_ok(client_view(&recipient, digest, &view, &failure));
    assert_true(view.unpaired && !view.paired);
}

int main(void) {
    if (sodium_init() < 0) return 1;
#define T(name) cmocka_unit_test_setup_teardown(name, homes_set_up, homes_tear_down)
    const struct CMUnitTest tests[] = {
        T(the_newest_secret_is_used_and_each_is_found_by_its_id),
        T(one_does_not_share_with_nobody_or_with_oneself),
        T(a_removed_secret_is_gone_and_does_not_come_back),
        T(the_list_tells_which_is_in_use_and_what_is_required),
        T(sisters_end_with_the_same_whatever_the_order),
        T(a_record_whose_id_is_not_its_secrets_is_passed_over),
        T(a_record_from_the_end_of_time_is_not_the_last_word),
        T(groups_follow_the_rule),
        T(sending_without_a_required_secret_is_refused_before_anything_is_kept),
        T(without_the_secret_it_stays_sealed_and_is_no_fraud),
        T(once_the_secret_is_here_it_opens),
        T(what_comes_without_a_required_secret_is_marked),
    };
    return cmocka_run_group_tests_name("pairs", tests, NULL, NULL);
}
