/* directory.h - replay of the directory log: who the parties, posts and devices are, and whose keys.
 *
 * The log is a list of `leaf` objects {kind, statement, ledger time}. Every reader - gate, ledger and each client -
 * replays all of it through directory_apply, which alone decides what is valid; so they cannot differ. A leaf that does not
 * verify or does not fit is refused and changes nothing. Log order decides which key was valid; of a leaf's times only the
 * ledger's own counts.
 *
 * Rules (kind: signer, must hold):
 *   charter      own authority key; party not admitted so far, so that nobody's charter stands in another's way: the last one
 *                counts, and the admission names which it means; keys valid points, the recovery key not the authority key
 *   admission    jointly `threshold` registrars of the card (joint.h). nominate: name and kind and nothing else, no charter
 *                yet. admit: names the charter's hash, party not admitted yet, or departed; suspend / resume: party admitted.
 *                Name and kind are a nomination's only. The quotas are those of the newest admission statement; younger than
 *                the party's last one
 *   notice       jointly by registrars; the party is admitted, the key is new to the directory. A later one takes its place,
 *                and the time begins anew; younger than the party's last one
 *   succession   renew: the new key itself, whose labelled digest (NEXT_KEY) the party has committed to; recover: the party's
 *                recovery key; take: the key of a notice that has stood for NOTICE_MS; object: authority or recovery key,
 *                while a notice stands. The new key is new to the directory; a notice's was when the notice was given. The first three end any notice
 *   departure    the party's authority; party admitted, not departed
 *   post         the party's authority; party admitted, not departed; a post of that party; repeats replace functions and
 *                keys; an older one than the post's last may only say the same (certificates may arrive in another order than
 *                they were made). A revoked post comes back only with a post key that is new to the directory, and without
 *                its devices, contact card and split
 *   split        the party's authority; party not departed; into posts of the same party, not revoked nor split, that together
 *                have all functions of the one that is split; back: a split post; younger than the post's last one
 *   device       the post's key or the party's authority; post exists and is not revoked; sign and transport key new to the
 *                directory, in whatever use; validity at most DEVICE_VALIDITY_MAX_MS; at most DEVICES_PER_POST_MAX devices of
 *                a post that are live or may still become so. Or the device itself, while live, to extend its validity: same
 *                keys and role, at most DEVICE_VALIDITY_MAX_MS from now
 *   countersign  authority of the party, or a live device of the same post that is no bell; device and post not revoked
 *   revocation   authority, post key, post's revoker; of a device also itself or a live decider of its post; not revoked yet.
 *                With a post go all devices that it has. A device that has not come yet - its laptop is lost, its
 *                certificate is not - never will: its key counts as known
 *   relay        jointly by registrars; younger than the last one. moved: addresses and CURVE key, nothing else changes. recovered: the
 *                relay's store was lost from `size` on, which is this leaf's index, `root` the root before it; it goes on under new
 *                log and statement keys, so that nobody takes its words before and after for words of one relay that lies
 *   contact      a live decider of the post: what the sheets of its contact card must hash to; younger than the post's last one
 * All: a statement stands once in the log (E_CONFLICT), so that nobody can repeat an old one and undo what was said since.
 * Nor can one that was signed and kept back: where a rule says "younger", the signer's own time must have risen since its
 * last word, and may be at most a day ahead of the ledger's, so that a wrong clock locks nobody out (E_STALE_STATEMENT).
 *
 * A device is *live* at a time when it is countersigned, neither it nor its post is revoked, and the time lies in
 * [not_before, not_after). A suspended or departed party's devices stay live: they read, keep evidence and answer open legs,
 * but may not submit new requests (directory_may_submit). To a post of a departed party, and to a split post, goes nothing
 * new (directory_may_receive); what is open finishes where it is.
 *
 * Memory: the directory copies what it keeps. Not thread safe; an unchanging one may be read by many threads. */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include "card.h"
#include "label.h"
#include "merkle.h"
#include "objects.h"

/* The kinds of leaves. */
enum leaf_kind {
    LEAF_CHARTER = 1,
    LEAF_ADMISSION = 2,
    LEAF_POST = 3,
    LEAF_DEVICE = 4,
    LEAF_COUNTERSIGN = 5,
    LEAF_REVOCATION = 6,
    LEAF_SUCCESSION = 7,
    LEAF_DEPARTURE = 8,
    LEAF_SPLIT = 9,
    LEAF_NOTICE = 10,
    LEAF_CONTACT = 11,
    LEAF_RELAY = 12,
};

enum relay_action {
    RELAY_MOVED = 1,
    RELAY_RECOVERED = 2,
};

/* Where the relay is, and under which keys it speaks, since a leaf of the kind RELAY. */
struct directory_relay {
    enum relay_action action;
    uint64_t index; /* of the leaf */
    char addresses[CARD_ADDRESSES_MAX][CARD_ADDRESS_SIZE];
    size_t address_count;
    uint8_t curve[KEY_SIZE];
    uint8_t log[KEY_SIZE], statement[KEY_SIZE];         /* recovered: from here on */
    uint8_t old_log[KEY_SIZE], old_statement[KEY_SIZE]; /* recovered: up to here */
    uint64_t entries;                                   /* recovered: the evidence log goes on from here */
    uint8_t entries_root[HASH_SIZE];
    struct instant created, at; /* the signers' time, the leaf's */
};

struct directory_party {
    char name[PARTY_MAX + 1];
    char title[NAME_MAX_SIZE + 1];
    enum party_kind kind;
    bool nominated; /* a letter has come, no charter yet: no keys, no posts */
    uint8_t authority[KEY_SIZE], next[HASH_SIZE], charter[HASH_SIZE];
    bool has_recovery;
    uint8_t recovery[KEY_SIZE];
    bool admitted, suspended, departed;
    struct instant admitted_at;
    struct instant ordered, noticed; /* the signers' time in the newest admission statement and notice */
    uint64_t
        succeeded_size; /* the directory's size once the newest succession stood in it; 0: still the charter's key */
    struct {            /* the registrars' notice of another authority key */
        bool stands;
        uint8_t hash[HASH_SIZE], authority[KEY_SIZE], next[HASH_SIZE];
        bool has_recovery;
        uint8_t recovery[KEY_SIZE];
        struct instant since;
    } notice;
    bool has_quota_legs, has_quota_bytes; /* the registrar's, from the last admission statement */
    uint64_t quota_legs, quota_bytes;
};

struct directory_post {
    char name[POST_MAX + 1];
    unsigned functions;
    uint8_t key[KEY_SIZE];
    bool has_revoker, revoked;
    uint8_t revoker[KEY_SIZE];
    uint64_t revoked_size; /* the directory's size once the newest revocation stood in it; 0: never revoked */
    struct instant added_at;
    struct instant stated, parted; /* the authority's time in the newest post and split statement */
    size_t into_count;             /* > 0: split into these posts */
    char into[SPLIT_MAX][POST_MAX + 1];
    size_t sheet_count; /* of its contact card */
    uint8_t sheets[SHEETS_MAX][HASH_SIZE];
    struct instant carded; /* the device's time in the newest contact statement */
    uint64_t contact_size; /* the directory's size once the newest contact statement stood in it; 0: none */
    const struct directory_party *party;
};

struct directory_device {
    uint8_t device[KEY_SIZE], transport[KEY_SIZE], certificate[HASH_SIZE];
    enum device_role role;
    struct instant not_before, not_after, added_at;
    bool countersigned, revoked;
    uint64_t countersigned_size, revoked_size; /* the directory's size once that stood in it; 0: it does not */
    const struct directory_post *post;
};

struct directory;

/* Whose text_fingerprint the party and the registrar compare before an admission: the labelled digest (FINGERPRINT) of the
 * charter's payload. */
void directory_charter_digest(struct bytes payload, uint8_t ret[static HASH_SIZE]);

/* The registrars and their threshold come from the card and are copied. NULL when memory ran out. */
struct directory *directory_new(const struct card *card);
struct directory *directory_copy(const struct directory *directory);
void directory_free(struct directory *directory);

/* Verifies and applies the next leaf; ledger times must not go back (E_OUT_OF_RANGE). On failure nothing changed. */
CHECKED enum error directory_apply(struct directory *directory, struct bytes leaf);
/* The same without verifying signatures again: for leaves that this reader once applied and has kept where nobody else can
 * write, and whose root it compares with the one that it noted then; or that come from whom it believes (the relay's gate its
 * ledger). */
CHECKED enum error directory_replay(struct directory *directory, struct bytes leaf);
/* The same where leaves are missing: a sparse directory, as evidence brings it. This leaf has `index` in the log, not below
 * directory_size (E_OUT_OF_RANGE), which becomes one more. What the missing leaves say is not known: keys and statements are held
 * against those seen, and there is no root. Leaves of one party lean on no leaf of another, so those that a log has taken
 * pass here too, if none of their party is missing. */
CHECKED enum error directory_apply_at(struct directory *directory, uint64_t index, struct bytes leaf);
/* Would this statement be accepted now, at `time`, as the next leaf? Appends the leaf's bytes. For the ledger. */
CHECKED enum error directory_make_leaf(const struct directory *directory, enum leaf_kind kind, struct bytes statement,
                                       struct instant time, struct buf *ret_leaf);
/* The directory already holds this statement (its payload): an enrolment that is repeated is no error. */
bool directory_holds(const struct directory *directory, enum leaf_kind kind, struct bytes statement);
/* What a statement of this kind says, nothing verified: it is stamped, or signed by several (joint.h). */
CHECKED enum error directory_peek(uint64_t kind, struct bytes statement, struct bytes *ret_payload);

/* Of whom a leaf speaks: the name of a party or post as its statement has it, nothing verified (a view into the leaf). A
 * countersignature names a certificate: the post is that of the device, as far as `directory` (may be NULL) knows it (a view into
 * that): E_UNKNOWN_DEVICE. A word on the relay itself: no name. */
CHECKED enum error directory_leaf_name(const struct directory *directory, struct bytes leaf, enum leaf_kind *ret_kind,
                                       struct bytes *ret_name);

uint64_t directory_size(const struct directory *directory);
/* Of a directory without gaps. */
void directory_root(const struct directory *directory, uint8_t ret[static HASH_SIZE]);
/* What two people compare by telephone, as text_fingerprint of this digest: the labelled digest (PHRASE) of card hash,
 * size (8 bytes, big-endian) and root. */
void directory_phrase(const uint8_t card_hash[static HASH_SIZE], uint64_t size, const uint8_t root[static HASH_SIZE],
                      uint8_t ret[static HASH_SIZE]);

/* Look-ups; NULL when unknown. Pointers live until the directory changes or is freed. */
const struct directory_party *directory_party(const struct directory *directory, struct bytes name);
const struct directory_post *directory_post(const struct directory *directory, struct bytes name);
const struct directory_device *directory_device(const struct directory *directory,
                                                const uint8_t device[static KEY_SIZE]);
const struct directory_device *directory_transport(const struct directory *directory,
                                                   const uint8_t transport[static KEY_SIZE]);
const struct directory_party *directory_party_nth(const struct directory *directory, size_t n);
const struct directory_post *directory_post_nth(const struct directory *directory, size_t n);
const struct directory_device *directory_device_nth(const struct directory *directory, size_t n);

/* The relay's changes in log order; NULL past the last one. */
const struct directory_relay *directory_relay_nth(const struct directory *directory, size_t n);
/* The card as it was given out once, with all of the directory's changes in it. */
void directory_relay_card(const struct directory *directory, struct card *card);
/* The same with those whose leaves are among the first `size` ones: whose keys an entry of that directory size is signed with,
 * whether the card was given before or after. */
void directory_relay_card_at(const struct directory *directory, uint64_t size, const struct card *given,
                             struct card *ret);

/* E_OK, or why the device is not live: E_REVOKED, E_CERTIFICATE_EXPIRED, E_NOT_COUNTERSIGNED. */
CHECKED enum error directory_live(const struct directory_device *device, struct instant time);
/* Was it live when the directory had `size` leaves and the ledger's time was `time`? Evidence of the past is judged so: what a
 * device signed before its revocation stays good, what came after it never was. */
CHECKED enum error directory_live_at(const struct directory_device *device, uint64_t size, struct instant time);
/* E_OK, or why the device may not send new requests: not live, E_NOT_ALLOWED (a bell), E_SUSPENDED or E_DEPARTED (its party). */
CHECKED enum error directory_may_submit(const struct directory_device *device, struct instant time);
/* E_OK, or why nothing new may be sent to the post: E_REVOKED, E_SPLIT, E_DEPARTED. Replies go on. */
CHECKED enum error directory_may_receive(const struct directory_post *post);

/* The live devices of a post that can open things (deciders and readers), in log order; at most DEVICES_PER_POST_MAX. */
size_t directory_readers(const struct directory *directory, struct bytes post, struct instant time,
                         const struct directory_device *ret[static DEVICES_PER_POST_MAX]);

/* All devices of a post, whatever their standing, in log order: the first after `after` (NULL: the very first). */
const struct directory_device *directory_device_of(const struct directory *directory, const struct directory_post *post,
                                                   const struct directory_device *after);

/* Verifies a stamped prekey of a known device: signature, its device. */
CHECKED enum error directory_open_prekey(const struct directory *directory, struct bytes stamped, struct prekey *ret,
                                         uint8_t ret_id[static PREKEY_ID_SIZE]);

#endif
