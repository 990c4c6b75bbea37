/* test_evidence.c - receipts of a whole leg, and every way in which one can be false. */
#include "heads_fixture.h"

enum { RELAY = 500, SENDER = DEVICE, DECIDER = DEVICE + 10, READER = DEVICE + 11 };

static const uint8_t leg_id[HASH_SIZE] = {0x1e, 0x60}, header_hash[HASH_SIZE] = {0x4e, 0xad};

/* A receipt before it is signed: what a test bends stands here. */
struct draft {
    struct statement statement;
    unsigned signer, relay;
    struct record record;
    struct entry entry;
    bool has_entry;
};

static struct statement statement_of(enum leg_event event, const char *post, unsigned signer) {
    static uint8_t nonce;
    struct statement statement = {.event = (uint64_t)event, .has_leg = true, .time = {WORLD_TIME}};
    memcpy(statement.header, header_hash, HASH_SIZE);
    memcpy(statement.leg, leg_id, HASH_SIZE);
    statement.has_post = post != NULL;
    statement.post = bytes_text(post);
    memcpy(statement.device, pair_of(signer).public, KEY_SIZE);
    statement.nonce[0] = nonce++;
    return statement;
}

static void payload_hash(const struct statement *statement, uint8_t ret[static HASH_SIZE]) {
    AUTO_BUF payload = {0};
    statement_encode(statement, &payload);
    statement_hash(buf_bytes(&payload), ret);
}

static struct draft step_draft(enum leg_event event, const char *post, unsigned signer, enum leg_state from,
                               enum leg_state to, unsigned ordinal, const uint8_t previous[static HASH_SIZE]) {
    struct draft draft = {.statement = statement_of(event, post, signer), .signer = signer, .relay = RELAY};
    draft.has_entry = true;
    draft.entry = (struct entry){
        .ordinal = ordinal, .from = (uint64_t)from, .to = (uint64_t)to, .size = 14, .time = {WORLD_TIME + ordinal}};
    memcpy(draft.entry.leg, leg_id, HASH_SIZE);
    memcpy(draft.entry.previous, previous, HASH_SIZE);
    payload_hash(&draft.statement, draft.entry.statement);
    draft.record = (struct record){.time = draft.entry.time, .has_entry = true, .has_index = true, .index = 40};
    payload_hash(&draft.statement, draft.record.statement);
    return draft;
}

static struct draft first_draft(void) {
    return step_draft(EVENT_STORED, NULL, RELAY, STATE_NONE, STATE_STORED, 0, leg_id);
}

static void draft_receipt(const struct draft *draft, struct buf *out) {
    AUTO_BUF statement = {0};
    AUTO_BUF stamped = {0};
    AUTO_BUF entry = {0};
    AUTO_BUF record_bytes = {0};
    AUTO_BUF record_stamped = {0};
    struct pair signer = pair_of(draft->signer), relay = pair_of(draft->relay);
    struct record record = draft->record;
    statement_encode(&draft->statement, &statement);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, signer.secret, buf_bytes(&statement), &stamped));
    if (draft->has_entry) {
        entry_encode(&draft->entry, &entry);
        record.entry = buf_bytes(&entry);
    }
    record_encode(&record, &record_bytes);
    assert_ok(stamp_sign_one(LABEL_RECORD, relay.secret, buf_bytes(&record_bytes), &record_stamped));
    struct receipt receipt = {.statement = buf_bytes(&stamped), .record = buf_bytes(&record_stamped)};
    receipt_encode(&receipt, out);
    assert_ok(buf_error(out));
}

static enum error draft_open(const struct draft *draft) {
    AUTO_BUF bytes = {0};
    struct evidence evidence;
    draft_receipt(draft, &bytes);
    return evidence_open(buf_bytes(&bytes), pair_of(RELAY).public, &evidence);
}

static void receipts_of_a_whole_leg_follow_each_other(void **state) {
    (void)state;
    static const struct {
        enum leg_event event;
        const char *post;
        unsigned signer;
        enum leg_state to;
    } life[] = {
        {EVENT_STORED, NULL, RELAY, STATE_STORED},
        {EVENT_NOTIFIED, "fj/national", READER, STATE_NOTIFIED},
        {EVENT_OPENED, "fj/national", READER, STATE_OPENED},
        {EVENT_ACCEPTED, "fj/national", DECIDER, STATE_ACCEPTED},
        {EVENT_HANDED_OVER, "fj/national", READER, STATE_HANDED_OVER},
        {EVENT_ACKNOWLEDGED, "fj/national", DECIDER, STATE_ACKNOWLEDGED},
        {EVENT_CLOSED, "de/technical", SENDER, STATE_CLOSED},
    };
    AUTO_WORLD world = world_new();
    uint8_t last[HASH_SIZE];
    enum leg_state from = STATE_NONE;
    memcpy(last, leg_id, HASH_SIZE);
    for (unsigned i = 0; i < LENGTH(life); i++) {
        AUTO_BUF bytes = {0};
        struct evidence evidence;
        struct draft draft = step_draft(life[i].event, life[i].post, life[i].signer, from, life[i].to, i, last);
        draft_receipt(&draft, &bytes);
        assert_ok(evidence_open(buf_bytes(&bytes), pair_of(RELAY).public, &evidence));
        assert_true(evidence.has_entry);
        assert_int_equal(evidence.statement.event, life[i].event);
        assert_int_equal(evidence.entry.to, life[i].to);
        assert_memory_equal(evidence.statement_hash, draft.record.statement, HASH_SIZE);
        assert_ok(evidence_follows(&evidence, (int64_t)i - 1, last));
        assert_error(evidence_follows(&evidence, (int64_t)i, last), E_BAD_PROOF);
        assert_error(evidence_follows(&evidence, (int64_t)i - 2, last), E_BAD_PROOF);
        last[7] ^= 1;
        assert_error(evidence_follows(&evidence, (int64_t)i - 1, last), E_BAD_PROOF);
        assert_ok(statement_may(&evidence.statement, world.directory, pair_of(RELAY).public, bytes_text("de/technical"),
                                bytes_text("fj/national")));
        AUTO_BUF entry = {0};
        entry_encode(&draft.entry, &entry);
        merkle_leaf(buf_bytes(&entry), last);
        assert_memory_equal(last, evidence.entry_hash, HASH_SIZE);
        from = life[i].to;
    }
}

static void every_step_of_the_table_is_evidence(void **state) {
    (void)state;
    const struct leg_step *step;
    unsigned n = 0;
    for (; (step = leg_step_nth(n)); n++) {
        unsigned ordinal = step->from == STATE_NONE ? 0 : 3;
        struct draft draft = step_draft(step->event, NULL, RELAY, step->from, step->to, ordinal, leg_id);
        assert_ok(draft_open(&draft));
    }
    assert_true(n > 20);
}

static void entry_that_is_no_step_is_refused(void **state) {
    (void)state;
    for (unsigned from = STATE_NONE; from <= STATE_CLOSED + 1; from++) {
        struct draft draft = step_draft(EVENT_ACCEPTED, "fj/national", DECIDER, (enum leg_state)from, STATE_ACCEPTED,
                                        from ? 3 : 0, leg_id);
        bool step = from == STATE_STORED || from == STATE_NOTIFIED || from == STATE_OPENED;
        assert_error(draft_open(&draft), step ? E_OK : E_WRONG_STATE);
    }
    struct draft draft = step_draft(EVENT_ACCEPTED, "fj/national", DECIDER, STATE_OPENED, STATE_DECLINED, 3, leg_id);
    assert_error(draft_open(&draft), E_WRONG_STATE);
    draft = step_draft(EVENT_CANNOT_OPEN, "fj/national", DECIDER, STATE_STORED, STATE_STORED, 3, leg_id);
    assert_error(draft_open(&draft), E_WRONG_STATE);
}

static void first_entry_comes_from_nothing_and_names_the_leg(void **state) {
    (void)state;
    struct draft draft = first_draft();
    assert_ok(draft_open(&draft));
    draft.entry.previous[3] ^= 1;
    assert_error(draft_open(&draft), E_BAD_PROOF);
    draft = first_draft();
    draft.entry.ordinal = 1;
    assert_error(draft_open(&draft), E_BAD_PROOF);
    draft = step_draft(EVENT_NOTIFIED, "fj/national", READER, STATE_STORED, STATE_NOTIFIED, 0, leg_id);
    assert_error(draft_open(&draft), E_BAD_PROOF);
}

static void statement_record_and_entry_must_agree(void **state) {
    (void)state;
    struct draft draft = first_draft();
    draft.record.statement[0] ^= 1;
    assert_error(draft_open(&draft), E_MISMATCH);
    draft = first_draft();
    draft.entry.statement[0] ^= 1;
    assert_error(draft_open(&draft), E_MISMATCH);
    draft = first_draft();
    draft.entry.leg[0] ^= 1;
    memcpy(draft.entry.previous, draft.entry.leg, HASH_SIZE);
    assert_error(draft_open(&draft), E_MISMATCH);
    draft = first_draft();
    draft.entry.time.ms++;
    assert_error(draft_open(&draft), E_MISMATCH);
    draft = first_draft();
    draft.statement.nonce[5] ^= 1; /* another statement than the one that was recorded */
    assert_error(draft_open(&draft), E_MISMATCH);
    draft = first_draft();
    draft.statement.has_leg = false;
    payload_hash(&draft.statement, draft.record.statement);
    payload_hash(&draft.statement, draft.entry.statement);
    assert_error(draft_open(&draft), E_MISMATCH);
    draft = first_draft();
    draft.record.has_index = false;
    assert_error(draft_open(&draft), E_MALFORMED);
    draft = first_draft();
    draft.has_entry = draft.record.has_entry = false;
    assert_error(draft_open(&draft), E_MALFORMED);
}

static void device_receipt_has_no_entry(void **state) {
    (void)state;
    struct draft draft = step_draft(EVENT_CANNOT_OPEN, "fj/national", READER, STATE_STORED, STATE_STORED, 0, leg_id);
    draft.has_entry = draft.record.has_entry = draft.record.has_index = false;
    AUTO_BUF bytes = {0};
    struct evidence evidence;
    draft_receipt(&draft, &bytes);
    assert_ok(evidence_open(buf_bytes(&bytes), pair_of(RELAY).public, &evidence));
    assert_false(evidence.has_entry);
    assert_error(evidence_follows(&evidence, -1, leg_id), E_BAD_PROOF);
    draft.statement = statement_of(EVENT_REFUSED, NULL, RELAY);
    draft.statement.has_leg = false;
    draft.signer = RELAY;
    payload_hash(&draft.statement, draft.record.statement);
    assert_ok(draft_open(&draft));
}

static void record_of_another_relay_is_refused(void **state) {
    (void)state;
    struct draft draft = first_draft();
    draft.relay = RELAY + 1;
    assert_error(draft_open(&draft), E_BAD_SIGNATURE);
    AUTO_BUF bytes = {0};
    struct evidence evidence;
    draft.relay = RELAY;
    draft_receipt(&draft, &bytes);
    assert_error(evidence_open(buf_bytes(&bytes), pair_of(RELAY + 1).public, &evidence), E_BAD_SIGNATURE);
}

static void statement_under_another_key_than_it_names_is_refused(void **state) {
    (void)state;
    struct draft draft = first_draft();
    draft.signer = RELAY + 1;
    assert_error(draft_open(&draft), E_BAD_SIGNATURE);
}

static void every_bit_flip_and_truncation_of_a_receipt_is_refused(void **state) {
    (void)state;
    struct draft draft = step_draft(EVENT_ACCEPTED, "fj/national", DECIDER, STATE_OPENED, STATE_ACCEPTED, 3, leg_id);
    AUTO_BUF bytes = {0};
    struct evidence evidence, untouched;
    uint8_t key[KEY_SIZE];
    memcpy(key, pair_of(RELAY).public, KEY_SIZE);
    memset(&untouched, 0x77, sizeof untouched);
    evidence = untouched;
    draft_receipt(&draft, &bytes);
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(evidence_open(buf_bytes(&bytes), key, &evidence), E_OK);
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_not_equal(evidence_open(bytes_of(bytes.p, n), key, &evidence), E_OK);
    assert_memory_equal(&evidence, &untouched, sizeof evidence);
    assert_ok(evidence_open(buf_bytes(&bytes), key, &evidence));
}

/* ---- the place in the evidence log ---- */

enum { PLACE = 5, PLACED = 11 }; /* index, and size of the log */

static struct card card;
static uint8_t log_hashes[HEADS_LEAVES * HASH_SIZE];

/* The draft's entry at `place` of a log, with the receipt's own words. */
static void place_draft(struct draft *draft, uint64_t place, struct buf *ret_bare) {
    AUTO_BUF entry = {0};
    card = heads_card(0);
    memcpy(card.statement, pair_of(RELAY).public, KEY_SIZE);
    draft->record.index = place;
    heads_log(HEADS_LEAVES, log_hashes);
    entry_encode(&draft->entry, &entry);
    entry_hash(buf_bytes(&entry), log_hashes + PLACE * HASH_SIZE);
    draft_receipt(draft, ret_bare);
}

static void placed_receipt(struct buf *out) {
    AUTO_BUF bare = {0};
    struct receipt receipt;
    struct draft draft = first_draft();
    place_draft(&draft, PLACE, &bare);
    assert_ok(receipt_decode(buf_bytes(&bare), &receipt));
    receipt_with_place(&receipt, &card, log_hashes, PLACED, PLACE, draft.record.time.ms, out);
}

static enum error open_logged(const struct receipt *receipt) {
    AUTO_BUF bytes = {0};
    struct evidence evidence;
    struct head head;
    receipt_encode(receipt, &bytes);
    return evidence_open_logged(buf_bytes(&bytes), &card, &evidence, &head);
}

static void an_entry_opens_with_its_place_in_the_evidence_log(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    struct evidence evidence;
    struct head head;
    uint8_t root[HASH_SIZE];
    placed_receipt(&bytes);
    assert_ok(evidence_open_logged(buf_bytes(&bytes), &card, &evidence, &head));
    merkle_root(log_hashes, PLACED, root);
    assert_int_equal(head.size, PLACED);
    assert_memory_equal(head.root, root, HASH_SIZE);
    assert_int_equal(evidence.record.index, PLACE);
}

static void a_place_that_is_not_shown_is_refused(void **state) {
    (void)state;
    AUTO_BUF bytes = {0}, other_head = {0}, of_directory = {0}, old = {0}, small = {0}, two = {0};
    struct receipt good, bad;
    placed_receipt(&bytes);
    assert_ok(receipt_decode(buf_bytes(&bytes), &good));
    assert_ok(open_logged(&good));
    bad = good, bad.has_checkpoint = false;
    assert_error(open_logged(&bad), E_MISSING_FIELD);
    bad = good, bad.has_proof = false;
    assert_error(open_logged(&bad), E_MISSING_FIELD);
    log_hashes[0] ^= 1; /* another log */
    evidence_head_of(&card, log_hashes, PLACED, WORLD_TIME, &other_head);
    bad = good, bad.checkpoint = buf_bytes(&other_head);
    assert_error(open_logged(&bad), E_BAD_PROOF);
    log_hashes[0] ^= 1;
    head_of(&card, log_hashes, PLACED, WORLD_TIME, &of_directory);
    bad = good, bad.checkpoint = buf_bytes(&of_directory);
    assert_error(open_logged(&bad), E_BAD_SIGNATURE);
    evidence_head_of(&card, log_hashes, PLACED, WORLD_TIME - 1, &old);
    bad = good, bad.checkpoint = buf_bytes(&old);
    assert_error(open_logged(&bad), E_OUT_OF_RANGE);
    evidence_head_of(&card, log_hashes, PLACE, WORLD_TIME, &small);
    bad = good, bad.checkpoint = buf_bytes(&small);
    assert_error(open_logged(&bad), E_BAD_PROOF);
    evidence_head_of(&card, log_hashes, PLACED, WORLD_TIME, &two);
    head_cosign(&card, 0, WORLD_TIME / 1000, &two);
    bad = good, bad.checkpoint = buf_bytes(&two);
    assert_error(open_logged(&bad), E_MALFORMED);
    bad = good, bad.proof = (struct list){0};
    assert_error(open_logged(&bad), E_BAD_PROOF);
}

static void another_index_than_the_path_shows_is_refused(void **state) {
    (void)state;
    AUTO_BUF bare = {0}, bytes = {0};
    struct receipt receipt;
    struct draft draft = first_draft();
    place_draft(&draft, PLACE + 1, &bare); /* signed so */
    assert_ok(receipt_decode(buf_bytes(&bare), &receipt));
    receipt_with_place(&receipt, &card, log_hashes, PLACED, PLACE, draft.record.time.ms, &bytes);
    assert_ok(receipt_decode(buf_bytes(&bytes), &receipt));
    assert_error(open_logged(&receipt), E_BAD_PROOF);
}

static void what_has_no_entry_has_no_place(void **state) {
    (void)state;
    AUTO_BUF bytes = {0}, note = {0};
    struct receipt receipt;
    struct evidence evidence;
    struct head head = {.size = 1};
    struct draft draft = step_draft(EVENT_CANNOT_OPEN, "fj/national", READER, STATE_STORED, STATE_STORED, 0, leg_id);
    draft.has_entry = draft.record.has_entry = draft.record.has_index = false;
    draft_receipt(&draft, &bytes);
    card = heads_card(0);
    memcpy(card.statement, pair_of(RELAY).public, KEY_SIZE);
    heads_log(HEADS_LEAVES, log_hashes);
    assert_ok(evidence_open_logged(buf_bytes(&bytes), &card, &evidence, &head));
    assert_int_equal(head.size, 0);
    assert_ok(receipt_decode(buf_bytes(&bytes), &receipt));
    evidence_head_of(&card, log_hashes, PLACED, WORLD_TIME, &note);
    receipt.has_checkpoint = true;
    receipt.checkpoint = buf_bytes(&note);
    assert_error(open_logged(&receipt), E_MALFORMED);
}

static void what_held_before_makes_nothing_else_hold(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    AUTO_EVIDENCE_CACHE cache = {0};
    struct evidence evidence;
    struct head head, again;
    placed_receipt(&bytes);
    assert_ok(evidence_open_cached(buf_bytes(&bytes), &card, &cache, &evidence, &head));
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(evidence_open_cached(buf_bytes(&bytes), &card, &cache, &evidence, &head), E_OK);
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_ok(evidence_open_cached(buf_bytes(&bytes), &card, &cache, &evidence, &again));
    assert_int_equal(again.size, head.size);
    assert_memory_equal(again.root, head.root, HASH_SIZE);
    struct card other = card; /* of another relay: what held for the first says nothing */
    memcpy(other.log, pair_of(READER).public, KEY_SIZE);
    assert_int_not_equal(evidence_open_cached(buf_bytes(&bytes), &other, &cache, &evidence, &again), E_OK);
    other = card;
    memcpy(other.statement, pair_of(READER).public, KEY_SIZE);
    assert_error(evidence_open_cached(buf_bytes(&bytes), &other, &cache, &evidence, &again), E_BAD_SIGNATURE);
    other = card;
    other.name[0] ^= 1;
    assert_int_not_equal(evidence_open_cached(buf_bytes(&bytes), &other, &cache, &evidence, &again), E_OK);
}

static void every_bit_flip_and_truncation_of_a_receipt_with_its_place_is_refused(void **state) {
    (void)state;
    AUTO_BUF bytes = {0};
    struct evidence evidence;
    struct head head;
    placed_receipt(&bytes);
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(evidence_open_logged(buf_bytes(&bytes), &card, &evidence, &head), E_OK);
        bytes.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_not_equal(evidence_open_logged(bytes_of(bytes.p, n), &card, &evidence, &head), E_OK);
    assert_ok(evidence_open_logged(buf_bytes(&bytes), &card, &evidence, &head));
}

static void statement_opens_to_what_was_signed(void **state) {
    (void)state;
    struct statement statement = statement_of(EVENT_DECLINED, "fj/national", DECIDER), got;
    uint8_t hash[HASH_SIZE], wanted[HASH_SIZE];
    struct pair pair = pair_of(DECIDER);
    AUTO_BUF payload = {0};
    AUTO_BUF stamped = {0};
    AUTO_BUF mislabelled = {0};
    AUTO_BUF unknown = {0};
    statement.has_reason = true;
    statement.reason = 9;
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, pair.secret, buf_bytes(&payload), &stamped));
    assert_ok(statement_open(buf_bytes(&stamped), &got, hash));
    statement_hash(buf_bytes(&payload), wanted);
    assert_memory_equal(hash, wanted, HASH_SIZE);
    assert_int_equal(got.event, EVENT_DECLINED);
    assert_int_equal(got.reason, 9);
    assert_true(bytes_are(got.post, "fj/national"));
    assert_ok(stamp_sign_one(LABEL_RECORD, pair.secret, buf_bytes(&payload), &mislabelled));
    assert_error(statement_open(buf_bytes(&mislabelled), &got, hash), E_BAD_SIGNATURE);
    statement.event = 200;
    buf_clear(&payload);
    statement_encode(&statement, &payload);
    assert_ok(stamp_sign_one(LABEL_STATEMENT, pair.secret, buf_bytes(&payload), &unknown));
    assert_error(statement_open(buf_bytes(&unknown), &got, hash), E_OUT_OF_RANGE);
}

/* What decides, acknowledges or ends. */
static bool takes_consent(enum leg_event event) {
    return event == EVENT_ACCEPTED || event == EVENT_DECLINED || event == EVENT_ACKNOWLEDGED || event == EVENT_CLOSED ||
           event == EVENT_WITHDRAWN || event == EVENT_CONSENTED;
}

/* Who may say what, against a list written by hand from the table of states in the design, not from leg.def. */
static void each_event_has_its_speakers(void **state) {
    (void)state;
    enum { R = 1, S = 2, BOTH = 3 };
    static const struct {
        enum leg_event event;
        unsigned sides; /* 0: the relay */
        bool reader;
    } rights[] = {
        {EVENT_STORED, 0, false},       {EVENT_REFUSED, 0, false},     {EVENT_EXPIRED, 0, false},
        {EVENT_REKEY_NEEDED, 0, false}, {EVENT_NOTIFIED, R, true},     {EVENT_OPENED, R, true},
        {EVENT_HANDED_OVER, R, true},   {EVENT_ACKNOWLEDGED, R, true}, {EVENT_CANNOT_OPEN, R, true},
        {EVENT_ACCEPTED, R, false},     {EVENT_DECLINED, R, false},    {EVENT_FORWARDED, R, false},
        {EVENT_WITHDRAWN, S, false},    {EVENT_CLOSED, BOTH, false},   {EVENT_RESEALED, S, true},
        {EVENT_CONSENTED, BOTH, false},
    };
    static const struct {
        const char *post;
        unsigned device, side;
        enum device_role role;
    } speakers[] = {
        {"de/technical", DEVICE, S, ROLE_DECIDER},      {"de/technical", DEVICE + 1, S, ROLE_READER},
        {"de/technical", DEVICE + 2, S, ROLE_BELL},     {"fj/national", DEVICE + 10, R, ROLE_DECIDER},
        {"fj/national", DEVICE + 11, R, ROLE_READER},   {"fj/national", DEVICE + 12, R, ROLE_BELL},
        {"it/technical", DEVICE + 20, 0, ROLE_DECIDER},
    };
    AUTO_WORLD world = world_new();
    world_device(&world, "fj/national", OTHER_AUTHORITY, OTHER_POST_KEY, DEVICE + 12, ROLE_BELL);
    world_party(&world, "it", STRANGER);
    world_post(&world, "it/technical", STRANGER, STRANGER + 1);
    world_device(&world, "it/technical", STRANGER, STRANGER + 1, DEVICE + 20, ROLE_DECIDER);
    struct bytes sender = bytes_text("de/technical"), recipient = bytes_text("fj/national");
    uint8_t relay[KEY_SIZE];
    memcpy(relay, pair_of(RELAY).public, KEY_SIZE);
    for (size_t e = 0; e < LENGTH(rights); e++) {
        enum leg_event event = rights[e].event;
        for (size_t s = 0; s < LENGTH(speakers); s++) {
            struct statement statement = statement_of(event, speakers[s].post, speakers[s].device);
            bool may = (rights[e].sides & speakers[s].side) &&
                       (speakers[s].role == ROLE_DECIDER || (speakers[s].role == ROLE_READER && rights[e].reader));
            assert_error(statement_may(&statement, world.directory, relay, sender, recipient),
                         may ? E_OK : E_NOT_ALLOWED);
            /* what goes with consent is a decision, whatever it goes with */
            statement.has_disclosure = statement.disclosure = true;
            assert_error(statement_may(&statement, world.directory, relay, sender, recipient),
                         may && speakers[s].role == ROLE_DECIDER && takes_consent(event) ? E_OK : E_NOT_ALLOWED);
            statement.has_disclosure = statement.disclosure = false;
            /* in another post's name, and in nobody's */
            statement.post = bytes_text(speakers[s].side == S ? "fj/national" : "de/technical");
            assert_error(statement_may(&statement, world.directory, relay, sender, recipient), E_NOT_ALLOWED);
            statement.has_post = false;
            assert_error(statement_may(&statement, world.directory, relay, sender, recipient), E_NOT_ALLOWED);
        }
        struct statement statement = statement_of(event, NULL, RELAY);
        assert_error(statement_may(&statement, world.directory, relay, sender, recipient),
                     rights[e].sides ? E_NOT_ALLOWED : E_OK);
        statement = statement_of(event, "de/technical", RELAY);
        assert_error(statement_may(&statement, world.directory, relay, sender, recipient),
                     rights[e].sides ? E_UNKNOWN_DEVICE : E_NOT_ALLOWED);
        statement = statement_of(event, "fj/national", STRANGER + 3);
        assert_error(statement_may(&statement, world.directory, relay, sender, recipient),
                     rights[e].sides ? E_UNKNOWN_DEVICE : E_NOT_ALLOWED);
    }
    assert_int_equal(LENGTH(rights), EVENT_CONSENTED);
    struct leg_posts posts = {sender, bytes_text("it/technical"), recipient}; /* forwarded by fj/national */
    struct statement resealed = statement_of(EVENT_RESEALED, "fj/national", DEVICE + 11);
    assert_ok(statement_may_on(&resealed, world.directory, relay, &posts));
    resealed = statement_of(EVENT_RESEALED, "it/technical", DEVICE + 20);
    assert_error(statement_may_on(&resealed, world.directory, relay, &posts), E_NOT_ALLOWED);
    struct statement accepted = statement_of(EVENT_ACCEPTED, "fj/national", DEVICE + 10);
    assert_error(statement_may_on(&accepted, world.directory, relay, &posts), E_NOT_ALLOWED);
    accepted = statement_of(EVENT_ACCEPTED, "it/technical", DEVICE + 20);
    assert_ok(statement_may_on(&accepted, world.directory, relay, &posts));
    struct statement unknown = statement_of((enum leg_event)99, NULL, RELAY);
    assert_error(statement_may(&unknown, world.directory, relay, sender, recipient), E_NOT_ALLOWED);
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipts_of_a_whole_leg_follow_each_other),
        cmocka_unit_test(every_step_of_the_table_is_evidence),
        cmocka_unit_test(entry_that_is_no_step_is_refused),
        cmocka_unit_test(first_entry_comes_from_nothing_and_names_the_leg),
        cmocka_unit_test(statement_record_and_entry_must_agree),
        cmocka_unit_test(device_receipt_has_no_entry),
        cmocka_unit_test(record_of_another_relay_is_refused),
        cmocka_unit_test(statement_under_another_key_than_it_names_is_refused),
        cmocka_unit_test(an_entry_opens_with_its_place_in_the_evidence_log),
        cmocka_unit_test(a_place_that_is_not_shown_is_refused),
        cmocka_unit_test(another_index_than_the_path_shows_is_refused),
        cmocka_unit_test(what_has_no_entry_has_no_place),
        cmocka_unit_test(what_held_before_makes_nothing_else_hold),
        cmocka_unit_test(every_bit_flip_and_truncation_of_a_receipt_with_its_place_is_refused),
        cmocka_unit_test(every_bit_flip_and_truncation_of_a_receipt_is_refused),
        cmocka_unit_test(statement_opens_to_what_was_signed),
        cmocka_unit_test(each_event_has_its_speakers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
