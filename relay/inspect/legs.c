/* legs.c - every leg derived again from its entries, its header and its opening, and compared with its row. */
#include <stdio.h>

#include "inspector.h"

struct work {
    /* the request that the last leg was of */
    int64_t request;
    bool has_request;
    struct buf kept_bytes;
    struct submit kept;
    struct header header;
    uint8_t digest[HASH_SIZE];
    struct cursor *requests, *entries, *notes, *parents;
    bool note; /* `notes` stands on a row */
    struct audit_trail trail;
};

enum column {
    ID,
    REQUEST,
    LEG,
    DEVICE,
    SENDER,
    RECIPIENT,
    SEQUENCE,
    KEEP,
    POSITION,
    ORDINAL,
    GENERATION,
    KIND,
    STATE,
    FURTHEST,
    EXERCISE,
    HEAD,
    PARENT,
    OPENING,
    WRAPSET,
    ADDRESSED,
    REKEY,
    NOTES_SENDER,
    NOTES_RECIPIENT
};
#define COLUMNS                                                                                                        \
    "id, request, leg, device, sender, recipient, sequence, keep_s, position, ordinal, generation, kind, state, "      \
    "furthest, exercise, head, parent, opening, wrapset, addressed, rekey, notes_sender, notes_recipient"

static void about(struct inspector *inspector, struct cursor *leg, const char *table, int64_t row) {
    inspector_at(inspector, table, row);
    inspector_what(inspector, "leg", rows_bytes(leg, LEG));
}

/* ---- the request behind it ---- */

static enum error load_request(struct work *work, int64_t id) {
    bool row;
    struct bytes payload;
    if (work->request == id) return E_OK;
    work->request = id;
    work->has_request = false;
    TRY(rows_again(work->requests, &id, 1));
    TRY(rows_next(work->requests, &row));
    if (!row) return E_OK;
    buf_clear(&work->kept_bytes);
    buf_add_bytes(&work->kept_bytes, rows_bytes(work->requests, 0));
    TRY(buf_error(&work->kept_bytes));
    /* Its signature was looked at with the request (requests.c). */
    if (submit_decode(buf_bytes(&work->kept_bytes), &work->kept) != E_OK ||
        stamp_peek(work->kept.header, &payload) != E_OK || header_decode(payload, &work->header) != E_OK)
        return E_OK;
    header_digest(payload, work->digest);
    work->has_request = true;
    return E_OK;
}

static bool has_place(const struct work *work, struct bytes opening, int64_t position) {
    struct list list = work->kept.places;
    struct place place;
    while (place_next(&list, &place))
        if (bytes_equal(place.opening, opening) && (int64_t)place.position == position) return true;
    return false;
}

static enum error check_parent(struct inspector *inspector, struct cursor *leg, const struct work *work) {
    int64_t parent = rows_int(leg, PARENT);
    bool row = false;
    if (work->header.has_parent) {
        TRY(rows_again(work->parents, &parent, 1));
        TRY(rows_next(work->parents, &row));
        row = row && rows_is(work->parents, 0, bytes_of(work->header.parent.leg, HASH_SIZE)) &&
              rows_is(work->parents, 1, bytes_of(work->header.parent.header, HASH_SIZE));
    }
    bool fits = work->header.has_parent ? row : parent == 0;
    return inspector_expect(inspector, fits, "mismatch", E_MISMATCH, "the leg that it answers is another one");
}

/* What the header and the opening say of the leg. */
static enum error check_identity(struct inspector *inspector, struct cursor *leg, const struct work *work) {
    struct bytes bytes = rows_bytes(leg, OPENING);
    struct opening opening;
    uint8_t id[HASH_SIZE];
    enum error error = opening_decode(bytes, &opening);
    merkle_leaf(bytes, id);
    bool opens =
        error == E_OK && rows_is(leg, LEG, bytes_of(id, sizeof id)) && has_place(work, bytes, rows_int(leg, POSITION));
    if (!opens) return inspector_tell(inspector, "mismatch", E_BAD_PROOF, "the leg is not one of its request's places");
    bool same = rows_is(leg, ADDRESSED, opening.to) && rows_int(leg, SEQUENCE) == (int64_t)opening.sequence &&
                rows_is(leg, SENDER, work->header.from) &&
                rows_is(leg, DEVICE, bytes_of(work->header.device, KEY_SIZE)) &&
                rows_int(leg, KEEP) == (int64_t)work->header.keep_s &&
                rows_int(leg, KIND) == (int64_t)header_leg_kind(&work->header) &&
                rows_int(leg, EXERCISE) == (int64_t)work->header.exercise;
    TRY(inspector_expect(inspector, same, "mismatch", E_MISMATCH, "the row is not what header and opening say"));
    return check_parent(inspector, leg, work);
}

static enum error check_wrapset(struct inspector *inspector, struct cursor *leg, const struct work *work) {
    struct bytes stamped = rows_bytes(leg, WRAPSET), payload;
    struct wrapset set;
    enum error error = stamp_peek(stamped, &payload);
    if (error == E_OK) error = wrapset_decode(payload, &set);
    if (error == E_OK) error = stamp_verify(LABEL_WRAPSET, set.signer, stamped, NULL);
    if (error == E_OK) {
        bool same = memcmp(set.header, work->digest, HASH_SIZE) == 0 && set.has_leg &&
                    rows_is(leg, LEG, bytes_of(set.leg, HASH_SIZE)) &&
                    (int64_t)set.generation == rows_int(leg, GENERATION);
        if (!same) error = E_MISMATCH;
    }
    return inspector_expect(inspector, error == E_OK, "wrapset", error,
                            "the wrap set is not this leg's, or not signed");
}

/* ---- its receipts ---- */

/* id, hash, ordinal, idx, bytes: the receipt stands under what it says itself. */
static enum error check_filing(struct inspector *inspector, struct cursor *receipt) {
    struct receipt decoded;
    struct bytes statement, payload;
    struct record record;
    struct entry entry = {0};
    uint8_t hash[HASH_SIZE];
    if (receipt_decode(rows_bytes(receipt, 4), &decoded) != E_OK || stamp_peek(decoded.statement, &statement) != E_OK ||
        stamp_peek(decoded.record, &payload) != E_OK || record_decode(payload, &record) != E_OK ||
        (record.has_entry && entry_decode(record.entry, &entry) != E_OK))
        return E_OK; /* the audit has told it */
    statement_hash(statement, hash);
    bool same = rows_is(receipt, 1, bytes_of(hash, sizeof hash)) && rows_null(receipt, 2) == !record.has_entry &&
                rows_null(receipt, 3) == !record.has_index;
    if (same && record.has_entry)
        same = rows_int(receipt, 2) == (int64_t)entry.ordinal && rows_int(receipt, 3) == (int64_t)record.index;
    if (same && !record.has_entry) same = !decoded.has_checkpoint && !decoded.has_proof;
    return inspector_expect(inspector, same, "mismatch", E_MISMATCH,
                            "the receipt is filed under another hash, ordinal or index");
}

static enum error read_entries(struct inspector *inspector, struct cursor *leg, struct work *work) {
    int64_t id = rows_int(leg, ID);
    bool row;
    TRY(rows_again(work->entries, &id, 1));
    for (;;) {
        TRY(rows_next(work->entries, &row));
        if (!row) return E_OK;
        about(inspector, leg, "receipt", rows_int(work->entries, 0));
        inspector->numbers->receipts++;
        TRY(check_filing(inspector, work->entries));
        TRY(audit_step(inspector->audit, &work->trail, rows_bytes(work->entries, 4)));
    }
}

static enum error next_note(struct work *work) { return rows_next(work->notes, &work->note); }

/* Device receipts are read in the order of their legs, beside the legs. Those that come before this leg's are of
 * none. */
static enum error skip_notes(struct inspector *inspector, struct work *work, int64_t leg) {
    while (work->note && rows_int(work->notes, 5) < leg) {
        inspector_at(inspector, "receipt", rows_int(work->notes, 0));
        inspector->numbers->receipts++;
        TRY(inspector_tell(inspector, "left-over", E_UNKNOWN_REQUEST,
                           "a device receipt of leg row %lld, which is not there",
                           (long long)rows_int(work->notes, 5)));
        TRY(next_note(work));
    }
    return E_OK;
}

static enum error read_notes(struct inspector *inspector, struct cursor *leg, struct work *work) {
    int64_t id = rows_int(leg, ID);
    TRY(skip_notes(inspector, work, id));
    while (work->note && rows_int(work->notes, 5) == id) {
        about(inspector, leg, "receipt", rows_int(work->notes, 0));
        inspector->numbers->receipts++;
        TRY(check_filing(inspector, work->notes));
        TRY(audit_note(inspector->audit, &work->trail, rows_bytes(work->notes, 4)));
        TRY(next_note(work));
    }
    return E_OK;
}

/* ---- its row ---- */

static enum error expect_number(struct inspector *inspector, const char *name, int64_t row, uint64_t derived) {
    if (row >= 0 && (uint64_t)row == derived) return E_OK;
    return inspector_tell(inspector, "mismatch", E_MISMATCH, "%s is %lld, but by its entries it is %llu", name,
                          (long long)row, (unsigned long long)derived);
}

static enum error check_standing(struct inspector *inspector, struct cursor *leg, const struct work *work) {
    const struct audit_trail *trail = &work->trail;
    about(inspector, leg, "leg", rows_int(leg, ID));
    TRY(expect_number(inspector, "state", rows_int(leg, STATE), trail->state));
    TRY(expect_number(inspector, "furthest", rows_int(leg, FURTHEST), trail->furthest));
    TRY(expect_number(inspector, "ordinal", rows_int(leg, ORDINAL), trail->ordinal));
    TRY(expect_number(inspector, "generation", rows_int(leg, GENERATION), trail->generation));
    TRY(expect_number(inspector, "rekey", rows_int(leg, REKEY), trail->needs_rekey));
    TRY(expect_number(inspector, "notes_sender", rows_int(leg, NOTES_SENDER), trail->notes_sender));
    TRY(expect_number(inspector, "notes_recipient", rows_int(leg, NOTES_RECIPIENT), trail->notes_recipient));
    TRY(inspector_expect(inspector, rows_is(leg, HEAD, bytes_of(trail->head, HASH_SIZE)), "mismatch", E_MISMATCH,
                         "head is not the hash of the last entry"));
    return inspector_expect(inspector, rows_is(leg, RECIPIENT, bytes_text(trail->to)), "mismatch", E_MISMATCH,
                            "recipient is not the post that its entries leave it with");
}

static enum error one_leg(struct inspector *inspector, struct cursor *leg, void *context) {
    struct work *work = context;
    struct audit_leg known = {0};
    inspector->numbers->legs++;
    TRY(load_request(work, rows_int(leg, REQUEST)));
    about(inspector, leg, "leg", rows_int(leg, ID));
    if (!work->has_request) {
        TRY(inspector_tell(inspector, "left-over", E_UNKNOWN_REQUEST,
                           "its request, row %lld, is not there or not readable", (long long)rows_int(leg, REQUEST)));
        return skip_notes(inspector, work, rows_int(leg, ID) + 1);
    }
    TRY(check_identity(inspector, leg, work));
    TRY(check_wrapset(inspector, leg, work));
    struct bytes id = rows_bytes(leg, LEG);
    if (id.n == HASH_SIZE) memcpy(known.leg, id.p, HASH_SIZE);
    memcpy(known.header, work->digest, HASH_SIZE);
    known.sender = work->header.from;
    known.recipient = rows_bytes(leg, ADDRESSED);
    known.device = work->header.device;
    known.kind = header_leg_kind(&work->header);
    known.keep_s = work->header.keep_s;
    audit_begin(&work->trail, &known);
    TRY(read_entries(inspector, leg, work));
    TRY(read_notes(inspector, leg, work));
    return check_standing(inspector, leg, work);
}

static enum error left_receipt(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_at(inspector, "receipt", rows_int(cursor, 0));
    return inspector_tell(inspector, "left-over", E_UNKNOWN_REQUEST, "an entry of leg row %lld, which is not there",
                          (long long)rows_int(cursor, 1));
}

static enum error unpaired_receipt(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_at(inspector, "receipt", rows_int(cursor, 0));
    return inspector_tell(inspector, "mismatch", E_MISMATCH,
                          "a receipt with an ordinal and without an index, or the reverse");
}

static enum error all(struct inspector *inspector, struct work *work) {
    struct rows *rows = inspector->rows;
    int64_t none = 0;
    TRY(rows_select(rows, "SELECT kept FROM request WHERE id = ?", &none, 1, &work->requests));
    TRY(rows_select(
        rows,
        "SELECT id, hash, ordinal, idx, bytes FROM receipt WHERE leg = ? AND ordinal IS NOT NULL ORDER BY ordinal",
        &none, 1, &work->entries));
    TRY(rows_select(rows,
                    "SELECT id, hash, ordinal, idx, bytes, leg FROM receipt WHERE ordinal IS NULL ORDER BY leg, id",
                    NULL, 0, &work->notes));
    TRY(rows_select(rows, "SELECT l.leg, r.digest FROM leg l JOIN request r ON r.id = l.request WHERE l.id = ?", &none,
                    1, &work->parents));
    TRY(next_note(work));
    TRY(inspector_each(inspector, "leg", "SELECT " COLUMNS " FROM leg ORDER BY id", work, one_leg));
    TRY(skip_notes(inspector, work, INT64_MAX));
    TRY(inspector_each(inspector, "receipt",
                       "SELECT id, leg FROM receipt WHERE ordinal IS NOT NULL AND leg NOT IN (SELECT id FROM leg)",
                       NULL, left_receipt));
    return inspector_each(inspector, "receipt", "SELECT id FROM receipt WHERE (ordinal IS NULL) <> (idx IS NULL)", NULL,
                          unpaired_receipt);
}

enum error inspect_legs(struct inspector *inspector) {
    AUTO_FREE(struct work) work = calloc(1, sizeof *work);
    if (!work) return E_NO_MEMORY;
    enum error error = all(inspector, work);
    rows_end(work->requests);
    rows_end(work->entries);
    rows_end(work->notes);
    rows_end(work->parents);
    buf_free(&work->kept_bytes);
    if (error != E_CORRUPT) return error;
    inspector_at(inspector, "leg", -1);
    return inspector_tell(inspector, "unreadable", E_CORRUPT, "the legs and their receipts cannot all be read");
}
