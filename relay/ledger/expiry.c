/* expiry.c - deadlines that have passed, by the ledger's time. Runs after the batch's statements: what arrived in time
 * counts, and exactly at the deadline is in time (store: expires < served time). Outages have moved the deadlines
 * (outage.c). */
#include "book.h"

enum { EXPIRIES_PER_BATCH = 256 };

static enum error expire(struct book *book, struct store_leg *leg) {
    struct store_request request;
    uint64_t furthest = leg->furthest;
    int pending;
    TRY(book->store->ops->request_by_row(book->store, leg->request, &request));
    return transition_relay(book, leg, request.digest, EVENT_EXPIRED, &furthest, PRECEDENCE_ROUTINE, &pending);
}

enum error expiry_run(struct book *book, bool *ret_more) {
    struct store_leg leg;
    *ret_more = false;
    if (book->clock.halted) return E_OK;
    for (int i = 0; i < EXPIRIES_PER_BATCH; i++) {
        enum error error = book->store->ops->leg_due(book->store, outage_served(book), &leg);
        if (error == E_UNKNOWN_REQUEST) return E_OK;
        TRY(error);
        TRY(expire(book, &leg));
    }
    *ret_more = true;
    return E_OK;
}
