/* book.h - what the parts of the ledger share: the open store, the directory, the batch being written.
 *
 * The way of a batch (ledger.c): jobs that change something are applied in order of arrival (submission, transition,
 * enrolment), deadlines follow (expiry), the scribe signs all records at once, the store commits; then questions are answered
 * (handover), and only then anything is sent.
 *
 * Two kinds of failure are kept apart everywhere in this folder. What a peer did wrong goes into its answer. A returned
 * enum error other than E_OK means that the store failed, and the whole batch is undone. */
#ifndef BOOK_H
#define BOOK_H

#include "card.h"
#include "clock.h"
#include "config.h"
#include "directory.h"
#include "link.h"
#include "message.h"
#include "scribe.h"
#include "store.h"

/* One result within an answer; its receipt is ready or still with the scribe. */
struct outcome {
    uint8_t subject[HASH_SIZE];
    enum error error;
    int pending;        /* scribe's number, or -1 */
    struct buf receipt; /* an earlier receipt, given again */
};

/* What a job is answered with. */
struct response {
    enum message type; /* MESSAGE_NONE: not answered yet */
    enum error error;  /* with MESSAGE_FAILURE */
    char detail[160];
    uint8_t header[HASH_SIZE];
    struct outcome *outcomes;
    size_t outcome_count;
    struct want wants[2];
    size_t want_count;
    struct buf body; /* encoded object, for the other types */
};
void response_fail(struct response *response, enum error error, const char *detail);
/* A new outcome, or NULL when memory ran out. */
struct outcome *response_outcome(struct response *response, const uint8_t subject[static HASH_SIZE], enum error error);
void response_free(struct response *response);

struct book_wake {
    char post[POST_MAX + 1];
    uint64_t newest;
    unsigned precedence;
};

struct book {
    const struct config *config;
    struct store *store;
    struct card card;
    struct directory *directory; /* as committed */
    struct directory *growing;   /* with this batch's leaves; NULL while there are none */
    uint8_t statement_secret[SIGN_SECRET_SIZE], statement_key[KEY_SIZE];
    struct ledger_clock clock;
    struct scribe scribe;
    struct instant now; /* of this batch */
    bool refuse_new;    /* the disk is full, or nearly: submissions wait */
    struct book_wake *wakes;
    size_t wake_count, wake_cap;
};

/* The directory that this batch sees. */
static inline const struct directory *book_directory(const struct book *book) {
    return book->growing ? book->growing : book->directory;
}

/* Undoes the batch, in the store and in memory; the next begins as this one did. */
void book_undo(struct book *book);

/* The authenticated device behind a job, in this batch's directory; NULL when there is none (any more). */
const struct directory_device *book_device(const struct book *book, const struct job *job);

/* Is it live, by the log order and the time that this batch's entries will name? Clients judge the entries by the same rule. */
CHECKED enum error book_live(const struct book *book, const struct directory_device *device);

/* Adds a feed item and remembers to wake that post. */
CHECKED enum error book_feed(struct book *book, const char *post, const struct store_feed *item, unsigned precedence);

/* Quota of the sender's party: legs and bytes, real and exercise apart. change may be negative. */
CHECKED enum error book_quota_legs(struct book *book, const char *from, const char *to, bool exercise, int change);
CHECKED enum error book_quota_bytes(struct book *book, const char *from, bool exercise, int64_t change);
/* E_OK, or E_OVER_QUOTA in *ret; the returned error is the store's. */
CHECKED enum error book_quota_check(struct book *book, const char *from, const char *to, bool exercise, uint64_t legs,
                                    uint64_t bytes, enum error *ret);

/* ---- the parts ---- */

/* submission.c: SUBMIT and CHUNK */
CHECKED enum error submission_submit(struct book *book, const struct job *job, const struct submit *submit,
                                     struct response *response);
CHECKED enum error submission_chunk(struct book *book, const struct job *job, const struct chunk *chunk,
                                    struct response *response);
CHECKED enum error submission_sweep(struct book *book); /* drops stale stagings */

/* transition.c: one event on one leg */
CHECKED enum error transition_state(struct book *book, const struct job *job, const struct state *state,
                                    struct response *response);
/* The relay's own event on a leg: STORED, EXPIRED. Writes the entry, the feed items and the effects. */
CHECKED enum error transition_relay(struct book *book, struct store_leg *leg, const uint8_t header[static HASH_SIZE],
                                    enum leg_event event, const uint64_t *reason, unsigned precedence,
                                    int *ret_pending);

/* expiry.c: deadlines that have passed */
CHECKED enum error expiry_run(struct book *book, bool *ret_more);

/* enrolment.c: directory statements and prekeys */
CHECKED enum error enrolment_enrol(struct book *book, const struct job *job, const struct enrol *enrol,
                                   struct response *response);
CHECKED enum error enrolment_declare(struct book *book, const struct declare *declare, struct response *response);
CHECKED enum error enrolment_publish(struct book *book, const struct job *job, const struct publish *publish,
                                     struct response *response);
/* The registrar's: charters and admissions. E_OK, or the peer's error in *ret_error. */
CHECKED enum error enrolment_record(struct book *book, struct list statements, enum error *ret_error);

/* handover.c: questions, answered after the commit */
CHECKED enum error handover_answer(struct book *book, const struct job *job, enum message type, struct bytes body,
                                   struct response *response);

#endif
