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

/* The first chunk of one part of a request, to be given along. */
struct keepsake {
    int64_t request;
    unsigned part;
    uint8_t digest[HASH_SIZE];
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
    struct keepsake *along; /* content that may go along with the answer */
    size_t along_count;
    uint64_t room; /* bytes of it that are welcome */
    struct buf body; /* encoded object, for the other types */
};
void response_fail(struct response *response, enum error error, const char *detail);
/* A new outcome, or NULL when memory ran out. */
struct outcome *response_outcome(struct response *response, const uint8_t subject[static HASH_SIZE], enum error error);
/* One more that may go along. */
CHECKED enum error response_along(struct response *response, int64_t request, unsigned part,
                                  const uint8_t digest[static HASH_SIZE]);
void response_free(struct response *response);

/* Time in which the ledger was not there (outage.c). */
struct outages {
    struct instant alive; /* of the last batch */
    uint64_t sum_ms, count;
    struct instant end; /* of the last one */
};

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
    struct note_key log_keys[LOG_EVIDENCE + 1]; /* by enum relay_log: signs the log's heads; its name is their origin */
    uint8_t log_secret[SIGN_SECRET_SIZE];
    struct merkle_tree tree;          /* the leaf hashes of `directory` */
    struct merkle_frontier edge;      /* of the evidence log, as the last batch left it; size 0: not known */
    bool head_made[LOG_EVIDENCE + 1]; /* by enum relay_log: in this batch */
    struct head_seen {                /* by enum relay_log: the note last signed or verified here */
        size_t n;
        uint8_t note[HEAD_NOTE_MAX];
    } head_seen[LOG_EVIDENCE + 1];
    struct ledger_clock clock;
    struct scribe scribe;
    struct instant now;                     /* of this batch */
    struct outages outages, outages_before; /* with this batch; as committed */
    bool refuse_new;                        /* the disk is full, or nearly: submissions wait */
    struct book_wake *wakes;
    size_t wake_count, wake_cap;
};

/* The directory that this batch sees. */
static inline const struct directory *book_directory(const struct book *book) {
    return book->growing ? book->growing : book->directory;
}

/* After the commit: what grew is what stands. */
CHECKED enum error book_grow(struct book *book);
/* The leaf hashes of `directory` that `tree` lacks. */
CHECKED enum error book_fill_tree(struct book *book);

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

/* A counter of today, by the ledger's time, that begins anew every day: takes one, unless `max` have been taken (E_OVER_QUOTA in
 * *ret_wrong, and nothing is changed). Giving back is for what was taken today and then did not happen. */
CHECKED enum error book_daily_take(struct book *book, const char *key, uint64_t max, enum error *ret_wrong);
CHECKED enum error book_daily_give_back(struct book *book, const char *key);

/* ---- the parts ---- */

/* submission.c: SUBMIT and CHUNK */
CHECKED enum error submission_submit(struct book *book, const struct job *job, const struct submit *submit,
                                     struct response *response);
CHECKED enum error submission_chunk(struct book *book, const struct job *job, const struct chunk *chunk,
                                    struct response *response);
CHECKED enum error submission_sweep(struct book *book); /* drops stale stagings */
/* Are the wraps for exactly the readers of `to` as this ledger names them, and is the directory that they were made by this
 * one? The peer's error in *ret_wrong. */
CHECKED enum error submission_check_readers(const struct book *book, struct bytes to, const struct wrapset *set,
                                            enum error *ret_wrong);
CHECKED enum error submission_check_seen(struct book *book, const struct wrapset *set, enum error *ret_wrong);

/* transition.c: one event on one leg */
CHECKED enum error transition_state(struct book *book, const struct job *job, const struct state *state,
                                    struct response *response);
/* The relay's own event on a leg: STORED, EXPIRED, REKEY_NEEDED. Writes the entry, the feed items and the effects. */
CHECKED enum error transition_relay(struct book *book, struct store_leg *leg, const uint8_t header[static HASH_SIZE],
                                    enum leg_event event, const uint64_t *reason, unsigned precedence,
                                    int *ret_pending);
/* What every entry brings with it once the scribe has moved the leg: the leg's row, the feeds of both sides, quota, and
 * ciphertext that nobody waits for any more. */
CHECKED enum error transition_follow(struct book *book, struct store_leg *leg, bool was_settled, int pending,
                                     unsigned precedence);

/* reseal.c: RESEALED and FORWARDED, by a statement that may be made and the wrap set that it brings */
CHECKED enum error reseal_apply(struct book *book, const struct scribe_note *note, const struct statement *statement,
                                const struct said *said, struct store_leg *leg, struct outcome *outcome);
/* The post that has forwarded the leg last; empty: nobody. */
CHECKED enum error reseal_forwarder(struct book *book, const struct store_leg *leg, char ret[static POST_MAX + 1]);
/* Was the leg with this post, which has forwarded it since? By the entry with *ret_ordinal. */
CHECKED enum error reseal_left(struct book *book, const struct store_leg *leg, struct bytes post, uint32_t *ret_ordinal,
                               bool *ret);
/* Has this post agreed before, by an entry, that the leg may be shown to others? */
CHECKED enum error reseal_consented(struct book *book, const struct store_leg *leg, struct bytes post, bool *ret);

/* rekey.c: REKEY_NEEDED */
/* Writes it, once, if no live device can open the leg. */
CHECKED enum error rekey_judge(struct book *book, struct store_leg *leg, const uint8_t header[static HASH_SIZE]);
/* A device says that it cannot open it. */
CHECKED enum error rekey_cannot_open(struct book *book, struct store_leg *leg, const struct statement *statement);
/* The leg has other wraps, or has moved: what devices said about the ones before it is dropped when it has no more use. */
CHECKED enum error rekey_resealed(struct book *book, const struct store_leg *leg);
CHECKED enum error rekey_moved(struct book *book, const struct store_leg *leg);
/* These statements entered the directory: posts that have lost a device are to be gone through. */
CHECKED enum error rekey_directory_grew(struct book *book, struct list statements);
CHECKED enum error rekey_housekeep(struct book *book); /* the same for certificates that have run out */
/* Goes on with that, a piece a batch. */
CHECKED enum error rekey_run(struct book *book, bool *ret_more);

/* The wrap set in force, views into *bytes; has it a wrap for this device? */
CHECKED enum error rekey_wrapset(struct book *book, const struct store_leg *leg, struct buf *bytes,
                                 struct wrapset *ret);
bool rekey_is_wrapped(const struct wrapset *set, const uint8_t device[static KEY_SIZE]);

/* outage.c: what deadlines are counted in. A batch begins with outage_begin and ends with outage_write, in its transaction;
 * outage_committed says what it has found in ms, usually 0. */
CHECKED enum error outage_load(struct book *book);
void outage_begin(struct book *book);
CHECKED enum error outage_write(struct book *book);
uint64_t outage_committed(struct book *book);
struct instant outage_served(const struct book *book); /* served time of this batch */
/* Sets the leg's deadline: `keep` from now. The caller stores it. */
void outage_deadline(const struct book *book, struct store_leg *leg);
/* What outages have added to it since, in seconds. */
uint64_t outage_grace_s(const struct book *book, const struct store_leg *leg);

/* retention.c: when ciphertext goes */
/* The leg has moved: is the body from now on kept for a time only? The caller stores the leg. */
bool retention_moves(const struct book *book, struct store_leg *leg);
/* The leg, stored, is terminal. */
CHECKED enum error retention_ended(struct book *book, const struct store_leg *leg);
/* The leg, stored, whose body this device of the recipient says that it has. */
CHECKED enum error retention_handed_over(struct book *book, struct store_leg *leg,
                                         const uint8_t device[static KEY_SIZE]);
CHECKED enum error retention_erase_body(struct book *book, const struct store_request *request);
CHECKED enum error retention_erase_all(struct book *book, const struct store_request *request);
CHECKED enum error retention_sweep(struct book *book); /* bodies that have been kept long enough */

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

/* The statement that commits to a contact card, which the caller has looked at. */
CHECKED enum error enrolment_contact(struct book *book, struct bytes statement, struct response *response);

/* contacts.c: contact cards */
CHECKED enum error contacts_put(struct book *book, const struct job *job, const struct putcontact *put,
                                struct response *response);
CHECKED enum error contacts_get(const struct book *book, const struct job *job, const struct getcontact *get,
                                struct response *response);

/* These statements entered the directory: a post that was revoked, or revived, has no card any more. */
CHECKED enum error contacts_directory_grew(struct book *book, struct list statements);

/* boxes.c: what one device leaves for another */
CHECKED enum error boxes_put(struct book *book, const struct job *job, const struct put *put,
                             struct response *response);
CHECKED enum error boxes_drop(struct book *book, const struct job *job, const struct get *get); /* what was got */
CHECKED enum error boxes_get(struct book *book, const struct job *job, const struct get *get,
                             struct response *response);
CHECKED enum error boxes_sweep(struct book *book); /* drops what nobody fetched in time */

/* heads.c: the signed heads of both logs */
#define HEAD_INTERVAL_MS ((uint64_t)60 * 60 * 1000) /* so old the newest head may become before it is made anew */
#define HEAD_ASKED_MS (HEAD_TIME_MS / 2)            /* so old when a witness is about to look at its time */
struct log_state;                                   /* logs.h */
/* Signs one if the log has grown since the newest, or that one is older than age_ms. E_CORRUPT, and why in the log, when the
 * store is older than the newest head or contradicts it: the relay must stop. */
CHECKED enum error heads_write(struct book *book, enum relay_log log, uint64_t age_ms);
/* Signs one of `now`, when the caller has worked out both that and what there was before, from the store. The same errors. */
CHECKED enum error heads_grown(struct book *book, enum relay_log log, const struct log_state *before,
                               const struct log_state *now, struct buf *ret_note);
/* After the commit: a head that the batch has made is written into the file beside the store (headfile.h); at start that one
 * must be of this log too (E_CORRUPT). */
void heads_keep_outside(struct book *book);
CHECKED enum error heads_check_outside(const struct book *book, enum relay_log log);
/* Is there none, or has its time passed by age_ms? */
bool heads_old(const struct book *book, enum relay_log log, uint64_t age_ms);
CHECKED enum error heads_newest(const struct book *book, enum relay_log log, struct buf *ret_note, bool *ret_has);
struct heads_numbers {
    uint64_t size, evidence_size; /* 0: no head */
    struct instant time, evidence_time;
    size_t witnesses, fresh; /* in the card; those whose word on the directory is no older than the card's freshness */
};
CHECKED enum error heads_count(const struct book *book, struct heads_numbers *ret);

/* cosigning.c: heads given out, cosignatures taken in */
CHECKED enum error heads_newest_of(const struct book *book, enum relay_log log, struct buf *ret_note,
                                   uint64_t *ret_size, bool *ret_has);
CHECKED enum error heads_answer(const struct book *book, struct response *response); /* the directory's */
/* The body of an add-checkpoint request for the newest head. Wrong: E_OUT_OF_RANGE (old is larger), E_NO_HEAD (the
 * log is empty). */
CHECKED enum error heads_request(const struct book *book, enum relay_log log, uint64_t old, struct buf *ret_body,
                                 enum error *ret_wrong);
CHECKED enum error heads_answer_request(const struct book *book, enum relay_log log, uint64_t old,
                                        struct response *response);
/* A head of either log with witnesses' cosignatures. Wrong: E_BAD_SIGNATURE, E_UNKNOWN_WITNESS, E_DIRECTORY_FORKED or
 * E_EVIDENCE_FORKED (signed by the log's key, but not of this log), head_open's errors. */
CHECKED enum error heads_cosign(struct book *book, struct bytes note, enum error *ret_wrong);
CHECKED enum error heads_answer_cosign(struct book *book, struct bytes note, struct response *response);
/* Through the operator: a request as file was made of the newest head; an answer as file, of signature lines or a note. */
CHECKED enum error heads_remember_asked(struct book *book, enum relay_log log);
CHECKED enum error heads_add_answer(struct book *book, struct bytes answer, enum error *ret_wrong);

/* proofs.c: the evidence log */
/* After scribe_sign, in the same transaction: the batch's entries enter the log, its head is signed, and the receipts get their
 * proofs. E_CORRUPT, and which row in the log: the store does not hold what was written. */
CHECKED enum error proofs_write(struct book *book);
/* At start, in a transaction: entries from before the evidence log enter it, and their receipts get proofs. */
CHECKED enum error proofs_catch_up(struct book *book);
/* The log is not what was signed: says in the log which row it is, if that can be seen from what the newest root is made of. */
void proofs_name_damage(const struct book *book);

/* logs.c: answers about how the logs have grown */
CHECKED enum error logs_answer(const struct book *book, struct bytes body, struct response *response);
CHECKED enum error logs_answer_hashes(const struct book *book, struct bytes body, struct response *response);

/* loss.c: a declared loss */
/* At start, before any head is looked at: takes the registrars' statement, if one lies beside the store. E_MISMATCH: it is about
 * another store; E_WRONG_FINGERPRINT: the keys here are not those that it names; the directory's errors. */
CHECKED enum error loss_take(struct book *book);
/* The newest such statement in the directory; appends nothing when there was never one. */
CHECKED enum error loss_newest(const struct book *book, struct buf *ret_statement);
/* Was there one in the last LOSS_OFFERS_MS? Then anybody may bring what the registrars signed and the relay has lost. */
bool loss_lately(const struct book *book);

/* handover.c: questions, answered after the commit */
CHECKED enum error handover_answer(struct book *book, const struct job *job, enum message type, struct bytes body,
                                   struct response *response);
/* Of what may go along with a response, as much as its room and a message of so many bytes so far take: encoded chunks. */
CHECKED enum error handover_along(struct book *book, const struct response *response, size_t taken, struct buf *out,
                                  size_t *ret_count);

#endif
