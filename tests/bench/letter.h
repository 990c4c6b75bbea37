/* letter.h - what is sent and what is answered, the same over every carrier: Pouch's own objects, made and verified by proto/.
 *
 *   letter   stamped header, opening of its one leg and where it stands, stamped wrap set (HPKE to the recipient's prekey), sealed offer,
 *            sealed body in chunks. Two Ed25519 signatures, one X25519 key pair and agreement.
 *   receipt  the recipient's statement HANDED_OVER, stamped: any number of them under one signature
 *
 * letter_seal and letter_sign are all that ends do before sending, letter_open and letter_check all that they do with what has come:
 * every signature and every byte is verified. Failure of what cannot fail (memory, our own keys) ends the process. */
#ifndef BENCH_LETTER_H
#define BENCH_LETTER_H

#include "header.h"
#include "limits.h"
#include "objects.h"
#include "own.h"
#include "stamp.h"

/* One end's keys. A recipient's prekey is that of today. */
struct letter_end {
    char post[POST_MAX + 1];
    uint8_t device[KEY_SIZE], device_secret[SIGN_SECRET_SIZE];
    uint8_t transport[KEY_SIZE], transport_secret[KEY_SIZE];
    uint8_t prekey[KEY_SIZE], prekey_secret[KEY_SIZE], prekey_id[PREKEY_ID_SIZE];
};

/* Both ends of a pair; a process uses the secrets of its own end alone. size, root: the directory that wrap sets name. */
struct letter_ends {
    struct letter_end sender, recipient;
    uint64_t size;
    uint8_t root[HASH_SIZE];
};

/* Ends made of chance, for carriers that register nobody; kept in `folder`/PAIR.ends, so that both processes have them. */
void letter_ends_make(const char *pair, struct letter_ends *ret);
void letter_ends_write(const char *folder, const char *pair, const struct letter_ends *ends);
void letter_ends_read(const char *folder, const char *pair, struct letter_ends *ret);

enum { LETTER_CHUNKS_MAX = 1024 };

/* Views: into what letter_seal's room or letter_parse's bytes hold. */
struct letter {
    struct bytes header, opening, wrapset, offer;
    uint64_t position;
    uint8_t seed[HASH_SIZE], digest[HASH_SIZE], leg[HASH_SIZE]; /* seed: sender's alone; digest, leg: worked out */
    struct bytes body;    /* all sealed chunks, one after the other: CHUNK_SIZE each, the last perhaps shorter */
    struct bytes digests; /* of the body's chunks */
    bool has_path;
    struct bytes path; /* instead of the seed, for a recipient: LEGS_DEPTH hashes */
    bool has_keys;     /* the wrap has been opened already (letter_open_offer) */
    uint8_t keys[2 * KEY_SIZE];
};

/* Holds what a sealed letter consists of; may be used again and again. Begin with zeros. */
struct letter_room {
    struct buf header, opening, wrapset, offer, body, digests, path, plain;
};
void letter_room_free(struct letter_room *room);

/* The number of the letter stands in the header's request id, so that no table is needed to find it again. */
void letter_seal(const struct letter_ends *ends, uint64_t number, struct bytes text, struct letter_room *room,
                 struct letter *ret);
uint64_t letter_number(const struct letter *letter);

/* For carriers that take nothing but bytes. */
void letter_flatten(const struct letter *letter, struct buf *out);
CHECKED enum error letter_parse(struct bytes bytes, struct letter *ret);

/* Header, leg, wrap set, offer: what comes before an acceptance. Fills digest, leg and keys. */
CHECKED enum error letter_open_offer(const struct letter_ends *ends, struct letter *letter);
/* The body; and all of letter_open_offer, if that was not done yet. ret_text is appended to. */
CHECKED enum error letter_open(const struct letter_ends *ends, struct letter *letter, struct buf *ret_text);

struct letter_done {
    uint64_t number;
    uint8_t digest[HASH_SIZE], leg[HASH_SIZE];
};
/* What the recipient says: of a letter, that this has happened. */
struct letter_word {
    enum leg_event event;
    const struct letter_done *done;
};
/* One signature over `count` statements by the recipient's device; ret_stamped[i] is appended to. */
void letter_sign(const struct letter_ends *ends, const struct letter_word *words, size_t count,
                 struct buf *ret_stamped);
/* The receipt is the recipient's, of this letter. cache: signatures that held (stamp.h). */
CHECKED enum error letter_check(const struct letter_ends *ends, const struct letter_done *done, struct bytes receipt,
                                struct stamp_cache *cache);

_Noreturn void letter_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
