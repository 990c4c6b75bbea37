/* feeds.c - what each post is told: numbers without gaps, items that point to what concerns it, and nothing left out.
 * */
#include <stdio.h>

#include "inspector.h"
#include "text.h"

struct work {
    char post[POST_MAX + 1];
    int64_t number;
    int64_t receipt; /* of the last item that had one, and whether that was an offer */
    bool offered;
};

enum column {
    POST,
    NUMBER,
    KIND,
    REQUEST,
    LEG,
    RECEIPT,
    LEG_OF,
    LEG_FROM,
    ADDRESSED,
    RECEIPT_LEG,
    BYTES,
    REQUEST_SENDER
};

static enum error check_number(struct inspector *inspector, struct cursor *item, struct work *work) {
    struct bytes post = rows_bytes(item, POST);
    int64_t number = rows_int(item, NUMBER);
    if (!bytes_are(post, work->post)) {
        *work = (struct work){0};
        snprintf(work->post, sizeof work->post, "%.*s", (int)(post.n < POST_MAX ? post.n : POST_MAX),
                 (const char *)post.p);
    }
    int64_t expected = work->number + 1;
    work->number = number;
    if (number == expected) return E_OK;
    return inspector_tell(inspector, "gap", E_GAP, "after item %lld comes %lld", (long long)expected - 1,
                          (long long)number);
}

/* Items come in the order of their receipts; of one receipt the change stands before the offer. */
static enum error check_order(struct inspector *inspector, struct cursor *item, struct work *work) {
    int64_t receipt = rows_int(item, RECEIPT);
    bool offered = rows_int(item, KIND) == ITEM_OFFERED;
    bool after = receipt > work->receipt || (receipt == work->receipt && offered && !work->offered);
    work->receipt = receipt;
    work->offered = offered;
    return inspector_expect(inspector, after, "order", E_MISMATCH, "its receipt is out of turn, or told twice");
}

static bool read_statement(struct bytes bytes, struct statement *ret) {
    struct receipt receipt;
    struct bytes payload;
    return receipt_decode(bytes, &receipt) == E_OK && stamp_peek(receipt.statement, &payload) == E_OK &&
           statement_decode(payload, ret) == E_OK;
}

static bool same_party(struct bytes a, struct bytes b) { return bytes_equal(text_party_of(a), text_party_of(b)); }

/* Does this receipt concern this post in this way? */
static bool concerns(struct cursor *item, const struct statement *statement) {
    struct bytes post = rows_bytes(item, POST), addressed = rows_bytes(item, ADDRESSED);
    bool of_recipient = same_party(post, addressed);
    switch (rows_int(item, KIND)) {
    case ITEM_CHANGED: return of_recipient || rows_is(item, LEG_FROM, post);
    case ITEM_OFFERED:
        if (statement->event == EVENT_STORED) return bytes_equal(post, addressed);
        if (statement->event == EVENT_FORWARDED) return bytes_equal(post, statement->forward);
        return statement->event == EVENT_RESEALED && of_recipient;
    default: return false;
    }
}

static enum error check_target(struct inspector *inspector, struct cursor *item) {
    struct statement statement;
    bool points = !rows_null(item, LEG_OF) && !rows_null(item, RECEIPT_LEG) &&
                  rows_int(item, LEG_OF) == rows_int(item, REQUEST) &&
                  rows_int(item, RECEIPT_LEG) == rows_int(item, LEG);
    if (!points)
        return inspector_tell(
            inspector, "mismatch", E_UNKNOWN_REQUEST, "it points nowhere: request %lld, leg %lld, receipt %lld",
            (long long)rows_int(item, REQUEST), (long long)rows_int(item, LEG), (long long)rows_int(item, RECEIPT));
    bool fits = read_statement(rows_bytes(item, BYTES), &statement) && concerns(item, &statement);
    return inspector_expect(inspector, fits, "mismatch", E_MISMATCH, "it tells the post what does not concern it");
}

static enum error one_item(struct inspector *inspector, struct cursor *item, void *context) {
    struct work *work = context;
    inspector_at(inspector, "feed", rows_int(item, NUMBER));
    inspector_what_text(inspector, "post", rows_bytes(item, POST));
    inspector->numbers->items++;
    TRY(check_number(inspector, item, work));
    if (rows_int(item, KIND) == ITEM_SENT) {
        bool fits = rows_int(item, LEG) == 0 && rows_int(item, RECEIPT) == 0 && !rows_null(item, REQUEST_SENDER) &&
                    rows_is(item, REQUEST_SENDER, rows_bytes(item, POST));
        return inspector_expect(inspector, fits, "mismatch", E_MISMATCH, "it tells of no request of this post");
    }
    TRY(check_order(inspector, item, work));
    return check_target(inspector, item);
}

static enum error untold_request(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_at(inspector, "request", rows_int(cursor, 0));
    inspector_what(inspector, "request", rows_bytes(cursor, 1));
    return inspector_tell(inspector, "missing", E_GAP, "the sender's post is told of it %lld times, not once",
                          (long long)rows_int(cursor, 2));
}

static enum error untold_receipt(struct inspector *inspector, struct cursor *cursor, void *context) {
    const char *words = context;
    inspector_at(inspector, "receipt", rows_int(cursor, 0));
    inspector_what(inspector, "leg", rows_bytes(cursor, 1));
    return inspector_tell(inspector, "missing", E_GAP, "%s", words);
}

enum error inspect_feeds(struct inspector *inspector) {
    struct work work = {0};
    static char nobody[] = "no feed tells of this receipt", sender[] = "the sender's feed does not tell of this entry",
                recipient[] = "the recipient was never offered the leg";
    TRY(inspector_each(
        inspector, "feed",
        "SELECT f.post, f.number, f.kind, f.request, f.leg, f.receipt, l.request, l.sender, l.addressed, r.leg, "
        "r.bytes, q.sender FROM feed f LEFT JOIN leg l ON l.id = f.leg LEFT JOIN receipt r ON r.id = f.receipt "
        "LEFT JOIN request q ON q.id = f.request ORDER BY f.post, f.number",
        &work, one_item));
    TRY(inspector_each(
        inspector, "request",
        "SELECT q.id, q.digest, ifnull(n, 0) FROM request q LEFT JOIN (SELECT request, count(*) AS n FROM feed "
        "WHERE kind = 2 GROUP BY request) f ON f.request = q.id WHERE ifnull(n, 0) <> "
        "(stored = 1 OR EXISTS (SELECT 1 FROM leg WHERE request = q.id))",
        NULL, untold_request));
    TRY(inspector_each(inspector, "receipt",
                       "SELECT r.id, l.leg FROM receipt r LEFT JOIN leg l ON l.id = r.leg WHERE r.id NOT IN "
                       "(SELECT receipt FROM feed)",
                       nobody, untold_receipt));
    TRY(inspector_each(inspector, "receipt",
                       "SELECT r.id, l.leg FROM receipt r JOIN leg l ON l.id = r.leg WHERE r.ordinal IS NOT NULL AND "
                       "l.sender || ' ' || r.id NOT IN (SELECT post || ' ' || receipt FROM feed WHERE kind = 3)",
                       sender, untold_receipt));
    return inspector_each(inspector, "receipt",
                          "SELECT r.id, l.leg FROM receipt r JOIN leg l ON l.id = r.leg WHERE r.ordinal = 0 AND "
                          "l.addressed || ' ' || r.id NOT IN (SELECT post || ' ' || receipt FROM feed WHERE kind = 1)",
                          recipient, untold_receipt);
}
