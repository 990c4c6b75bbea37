/* libpouch.h - what a point of contact's program can do, as functions; the command line is a thin layer over them.
 *
 * All of it works on an open post home (home.h). Functions that need the relay take a struct relay (link.h) from
 * client_connect, and sync first where that matters. Nothing is printed; progress goes to an optional callback.
 *
 * Crash safety: what is to be sent is first made whole - sealed bytes, keys, statements - and committed to the local store
 * (the outbox); then sent; a retry sends the stored bytes. What was received is committed before the relay is told so.
 *
 * Who checks what: every object from the relay is verified under keys from the replayed directory before it is stored:
 * receipts under the card's statement key, headers under the sender's device, paths, wraps, commitments, digests, padding,
 * and that the inside of the seal says what the outside says. What does not hold is refused and named, never shown. */
#ifndef LIBPOUCH_H
#define LIBPOUCH_H

#include "home.h"
#include "policy.h"

/* ---- the relay ---- */
struct relay;
struct progress { /* all optional; done and total in bytes */
    void (*report)(void *context, const char *what, uint64_t done, uint64_t total);
    void *context;
};
struct client_options {
    unsigned timeout_s; /* for an answer; 0: 20 */
    struct progress progress;
    bool officer; /* who speaks in statements made by this command: a person (true) or a machine */
};

/* Connects to the card's addresses in turn: E_UNREACHABLE, E_WRONG_RELAY_KEY, E_REFUSED_BY_RELAY are told apart. */
CHECKED enum error client_connect(struct home *home, const struct client_options *options, struct relay **ret,
                                  struct failure *failure);
void client_disconnect(struct relay **relay);

/* join: checks the card and the certificate against this home (E_FOREIGN_CERTIFICATE), connects, mirrors the directory,
 * enrols with PREKEY_DAYS_AHEAD prekeys, and remembers the card. Repeatable. */
CHECKED enum error client_join(struct home *home, const char *card_path, const char *certificate_path,
                               const struct client_options *options, struct failure *failure);
/* The same with a card that has been read and a certificate's bytes. */
CHECKED enum error client_join_card(struct home *home, const struct card *card, struct bytes certificate,
                                    const struct client_options *options, struct failure *failure);
/* Sends the statements of a dossier file (a revocation) to the relay of a card, with a throw-away key. No home needed. */
CHECKED enum error client_send_dossier(const char *card_path, const char *dossier_path,
                                       const struct client_options *options, struct failure *failure);
/* The same, and the relay's promise: every directory shown after the deadline contains the statements. It is verified
 * (E_WITHHELD: it is of other ones), kept beside the file as FILE.promise, and in `home` (may be NULL), whose mirror is then
 * held against it. */
struct client_promise {
    bool given;
    struct instant time, deadline;
    uint64_t size; /* of the directory with them in it */
    char file[4096];
};
CHECKED enum error client_declare(struct home *home, const char *card_path, const char *dossier_path,
                                  const struct client_options *options, struct client_promise *ret,
                                  struct failure *failure);

struct sync_summary {
    uint64_t directory_size;
    uint32_t offered, changed, replies, sent; /* new offers, new evidence, new replies, outbox items settled */
    uint32_t waiting, alarms;                 /* still in the outbox; things that did not verify or numbers withheld */
    uint32_t decided, ignored; /* by the standing policy: accepted or declined; of those offered, not to be shown */
};
/* Directory, prekeys, outbox, feed, offers (NOTIFIED once safe), bodies of accepted legs and replies (HANDED_OVER once safe).
 * Items that do not verify are recorded as alarms and do not stop the rest. */
CHECKED enum error client_sync(struct home *home, struct relay *relay, struct sync_summary *ret,
                               struct failure *failure);
/* The relay's time, as it must be by now. */
struct instant client_now(const struct relay *relay);
/* Waits for the relay's hint that something is new, at most `ms`. */
CHECKED enum error client_wait_hint(struct relay *relay, unsigned ms);

/* ---- requests ---- */
struct draft {
    const char *const *to; /* posts, or bare parties that resolve to their post for the kind */
    size_t to_count;
    enum request_kind kind;
    enum precedence precedence;
    const char *subject, *summary, *language; /* may be NULL */
    bool has_tlp, has_pap, has_answer_by, exercise, offer_only;
    bool disclosure; /* marked: to be shown to others only with the consent of both sides */
    enum tlp tlp;
    enum pap pap;
    uint64_t answer_by_s, keep_s; /* from now; keep 0: default */
    const char *text_path;        /* the text's file; "-" stdin; NULL with text_bytes */
    struct bytes text;
    const char *const *attachments;
    size_t attachment_count;
    const uint8_t *parent_header, *parent_leg; /* a reply, else NULL */
};
enum speaker { SPEAKER_RELAY, SPEAKER_MACHINE, SPEAKER_OFFICER };
enum { CONSENT_SENDER = 1, CONSENT_RECIPIENT = 2 };
struct leg_view {
    char to[POST_MAX + 1];
    uint8_t leg[HASH_SIZE];
    enum leg_state state;
    enum error refused;           /* E_OK, or why the relay refused this leg (final or, while it waits, transient) */
    bool needs_rekey;             /* no live device of `to` can open it: it waits, and is sealed anew when one can */
    bool away;                    /* this post has forwarded it to `to` */
    char forwarder[POST_MAX + 1]; /* the post that has forwarded it last; else empty */
    enum speaker spoken;          /* who brought it to its state */
    unsigned consents;            /* who agrees that it may be shown to others: CONSENT_* */
};
struct request_view {
    uint8_t digest[HASH_SIZE];
    uint64_t
        number; /* in this home's lists: rises in the order of arrival, received and sent alike; never given twice */
    char reference[TEXT_REFERENCE_SIZE], from[POST_MAX + 1];
    bool sealed; /* true: offer not (yet) readable; the fields below it are empty */
    enum request_kind kind;
    bool has_tlp, has_pap, exercise, has_answer_by, is_reply, mine, has_body, offer_only;
    bool disclosure;       /* marked by its sender: to be shown to others only with the consent of both sides */
    bool ignored;          /* by the standing policy, and nobody has decided since */
    struct policy_view {   /* what the standing policy has made of it */
        enum policy_decision decision; /* 0: it was not asked, or has nothing to say */
        unsigned line;                 /* of the rule; 0: none fits */
        bool late;                     /* another decision was first */
    } policy;
    bool paired, unpaired; /* sealed under a secret shared with the sender's party; without, although one is required */
    enum tlp tlp;
    enum pap pap;
    enum precedence precedence;
    char subject[SUBJECT_MAX + 1], language[36];
    struct buf summary;
    struct instant created, stored, answer_by, expires;
    uint8_t parent_header[HASH_SIZE];
    struct leg_view *legs; /* received: one, this post's; sent: all */
    size_t leg_count;
    uint64_t body_length;
};
void request_view_free(struct request_view *view);
#define AUTO_VIEW __attribute__((cleanup(request_view_free))) struct request_view

/* The post that a name means: itself, or a bare party's only post or its only one for the kind (diplomatic for a
 * clarification, technical for all else), among those that take new requests. A split post means the one of those it was
 * split into. E_UNKNOWN_PARTY, E_NOT_ADMITTED (nominated), E_DEPARTED, E_UNKNOWN_POST, E_AMBIGUOUS, E_REVOKED, E_USAGE (the own post). */
CHECKED enum error client_resolve(const struct home *home, const char *typed, enum request_kind kind,
                                  const struct directory_post **ret, struct failure *failure);

/* Seals, stores in the outbox, and sends through `relay` (NULL: only keeps it in the outbox). The digest is set as soon as
 * the outbox holds it, also on failure after that. E_PARTLY when some legs were refused; E_UNKNOWN_POST, E_TOO_LARGE ... before
 * anything is stored. */
CHECKED enum error client_send(struct home *home, struct relay *relay, const struct draft *draft,
                               const struct client_options *options, uint8_t ret_digest[static HASH_SIZE],
                               struct failure *failure);

/* The same, with all that became of the draft: HASH_SIZE bytes a request are appended. It becomes two where some recipients
 * may only be written to under a shared secret and others have none (pairs.h). E_PAIR_REQUIRED, E_RESTORED (recovery.h)
 * before anything is stored. client_send gives the first alone. */
CHECKED enum error client_send_all(struct home *home, struct relay *relay, const struct draft *draft,
                                   const struct client_options *options, struct buf *ret_digests,
                                   struct failure *failure);

/* By list number, unique hex prefix, or reference: E_UNKNOWN_REQUEST, E_AMBIGUOUS. */
CHECKED enum error client_find(struct home *home, const char *typed, uint8_t ret_digest[static HASH_SIZE],
                               struct failure *failure);
CHECKED enum error client_view(struct home *home, const uint8_t digest[static HASH_SIZE], struct request_view *ret,
                               struct failure *failure);
enum client_box { BOX_INBOX, BOX_SENT };
/* Digests, oldest first: HASH_SIZE bytes each; all: also settled ones. */
CHECKED enum error client_list(struct home *home, enum client_box box, bool all, struct buf *ret_digests,
                               struct failure *failure);

/* This post's decision or step on a received leg - ACCEPTED, DECLINED, ACKNOWLEDGED, OPENED - or CLOSED or CONSENTED by either
 * side, or WITHDRAWN by the sender (to: that leg only, NULL: all). Signed, stored in the outbox, sent, and its receipt verified and
 * stored. With relay NULL it is kept in the outbox. E_WRONG_STATE when the relay says another decision was first. */
struct act {
    enum leg_event event;
    const char *to, *note; /* may be NULL */
    bool has_reason;
    unsigned reason;
    bool disclosure; /* beside a decision, an acknowledgement or an end: it may be shown to others */
};
CHECKED enum error client_act(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                              const struct act *act, const struct client_options *options, struct failure *failure);

/* Somebody has looked at an offer for the first time. Says OPENED - a machine tells it, nobody has spoken - if the standing
 * policy discloses that, to all senders alike; else, and of what is ignored, nothing. */
CHECKED enum error client_opened(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                                 struct failure *failure);

/* Passes a received request on to another post of the own party, which then decides; possible until this post has decided.
 * Needs the relay, and the content's keys here. Begun but not answered, it goes on with the next sync. E_USAGE,
 * E_NOT_ALLOWED (another party's post, or a device that may not decide), E_UNKNOWN_POST, E_CANNOT_OPEN, E_WRONG_STATE. */
CHECKED enum error client_forward(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                                  const char *to, const struct client_options *options, struct failure *failure);

/* The body, after acceptance (or one's own): fetched if it is not here yet, then decrypted piece by piece into `write`.
 * file_index 0 is the text. E_NOT_ACCEPTED, E_NO_BODY. */
struct body_file {
    char name[FILENAME_MAX_SIZE + 1]; /* empty: the text */
    uint64_t length;
};
CHECKED enum error client_body_files(struct home *home, struct relay *relay, const uint8_t digest[static HASH_SIZE],
                                     struct body_file *ret, size_t max, size_t *ret_count, struct failure *failure);
CHECKED enum error client_body_read(struct home *home, const uint8_t digest[static HASH_SIZE], size_t file_index,
                                    enum error (*write)(void *context, struct bytes piece), void *context,
                                    struct failure *failure);

/* The ladder of one leg, oldest first, from verified receipts. */
struct event_view {
    enum leg_event event;
    enum leg_state from, to;
    char actor[POST_MAX + 1]; /* empty: the relay */
    bool officer, has_entry;
    struct instant at, device_time;
    uint64_t ordinal, log_index;
    unsigned reason;
    bool has_reason, disclosure; /* disclosure: with it its speaker agrees that this may be shown to others */
    uint64_t grace_s;           /* of an expiry: what outages of the relay had added to the deadline */
    struct buf note;            /* opened words, where we hold the key */
    char forward[POST_MAX + 1]; /* to which post it was forwarded; else empty */
};
void event_views_free(struct event_view *events, size_t count);
CHECKED enum error client_track(struct home *home, const uint8_t digest[static HASH_SIZE],
                                const uint8_t leg[static HASH_SIZE], struct event_view **ret, size_t *ret_count,
                                struct failure *failure);

/* Replies within the exchange of a request (their digests), oldest first. */
CHECKED enum error client_replies(struct home *home, const uint8_t digest[static HASH_SIZE], struct buf *ret_digests,
                                  struct failure *failure);

/* ---- the directory, compared by people ---- */
struct phrase {
    uint64_t size;
    uint8_t root[HASH_SIZE], digest[HASH_SIZE]; /* digest: directory_phrase; what is typed is held against it */
    char digits[TEXT_FINGERPRINT_SIZE];
};
/* Of the home's card and mirror, at `size` entries, of which the leaves are hashed again; 0: all there are. E_NOT_MIRRORED,
 * E_CORRUPT. */
CHECKED enum error client_phrase(struct home *home, uint64_t size, struct phrase *ret, struct failure *failure);
/* The mirrored leaves, oldest first, as the relay gave them; an error of `each` ends it. */
CHECKED enum error client_leaves(struct home *home,
                                 enum error (*each)(void *context, uint64_t index, struct bytes leaf), void *context,
                                 struct failure *failure);

/* ---- how fresh the directory is ---- */
struct witness_view {
    char name[NOTE_KEY_NAME_MAX + 1];
    uint64_t size;       /* of the newest directory that it has cosigned, as far as this home was shown */
    struct instant time; /* when; 0: never */
    bool current;        /* it counts: the mirror's full size, and not too long ago */
};
struct freshness_view {
    bool witnessed;   /* as many as the card asks for count; false when it asks for none: freshness unproven */
    unsigned quorum;  /* how many it asks for */
    unsigned current; /* how many count */
    uint64_t size;    /* of the mirror */
    size_t count;
    struct witness_view witnesses[WITNESSES_MAX];
};
/* By the relay's time. When the card asks for witnesses and the directory is not witnessed, requests up to priority wait in the
 * outbox (E_NOT_WITNESSED); immediate and flash ones go, replies and statements always. */
CHECKED enum error client_freshness(struct home *home, struct freshness_view *ret, struct failure *failure);
/* The witnesses that do not count, and since when, as words. */
void client_freshness_late(const struct freshness_view *view, char *ret, size_t size);

/* ---- what the home holds ---- */
struct home_status {
    uint64_t inbox_open, sent_open, outbox, alarms, prekey_days, directory_size;
    uint64_t news; /* client_news_count; not filled by client_status */
    struct instant last_sync, certificate_expires, relay_time;
    uint64_t body_max;
    uint64_t policy_rules; /* of the standing policy */
    bool opened;           /* it discloses that an offer was looked at */
    struct freshness_view freshness;
};
CHECKED enum error client_status(struct home *home, struct home_status *ret, struct failure *failure);
/* News of the directory (news.h), oldest first. Two readers, each of whom gets every piece once, unless `all`. */
enum news_reader {
    NEWS_TOLD, /* at the end of a sync, whatever was asked for */
    NEWS_READ, /* by somebody who asked for news */
};
struct news_view {
    struct instant at; /* the ledger's */
    char kind[33], party[PARTY_MAX + 1], post[POST_MAX + 1], text[1025];
};
CHECKED enum error client_news(struct home *home, enum news_reader reader, bool all,
                               void (*each)(void *context, const struct news_view *news), void *context,
                               struct failure *failure);
/* How many NEWS_READ has not got. */
CHECKED enum error client_news_count(struct home *home, uint64_t *ret, struct failure *failure);

/* When this device's certificate ends: as the directory has it, which knows of renewals. */
struct instant client_certificate_ends(const struct home *home);
/* What a person should know before writing to `typed`: that a split post's name leads elsewhere, that the recipient has no live
 * device, or none that lives as long as the request. Errors are client_resolve's. */
CHECKED enum error client_advise(const struct home *home, const char *typed, enum request_kind kind, uint64_t keep_s,
                                 struct instant now, void (*each)(void *context, const char *text), void *context,
                                 struct failure *failure);
/* About this home's own keys: a certificate or day keys that end soon. */
enum { PREKEY_DAYS_LOW = 7 };
void client_advise_keys(const struct home *home, const struct home_status *status, struct instant now,
                        void (*each)(void *context, const char *text), void *context);

/* Alarms: one text each, oldest first, to the callback. */
CHECKED enum error client_alarms(struct home *home, void (*each)(void *context, struct instant at, const char *text),
                                 void *context, struct failure *failure);

#endif
