/* note.h - signed notes, checkpoints and cosignatures: C2SP signed-note, tlog-checkpoint, tlog-cosignature (v1,
 * Ed25519).
 *
 *     relay.example/evidence            the text: here a checkpoint's origin,
 *     7                                 size,
 *     3bib5AOAnjJXUNPSY814kpwp...=      and root; extension lines may follow
 *                                       one empty line
 *     — relay.example/evidence l7f6...  signature lines: name, base64(key hash || signature)
 *
 * The text ends in a newline that belongs to it and to what is signed; the last empty line of the note ends it. A
 * cosignature signs the text under two lines of its own, and carries its time.
 *
 * A signature by a key that the reader does not know is passed over; one that fails under a key it does know spoils the
 * whole note. struct note and struct checkpoint hold views of the bytes they were read from.
 *
 * Errors: E_OUT_OF_RANGE (too long, too many signatures, a number too large), E_BAD_TEXT (no UTF-8, control characters,
 * a name with blanks), E_MALFORMED, E_BAD_KEY, E_UNKNOWN_SUITE (a key of another algorithm), E_BAD_SIGNATURE. */
#ifndef NOTE_H
#define NOTE_H

#include "limits.h"
#include "own.h"

enum { NOTE_KEY_HASH_SIZE = 4 };

/* The byte that stands before the public key, in verifier keys and key hashes. */
enum note_algorithm {
    NOTE_ED25519 = 1,     /* signs the text */
    NOTE_COSIGNATURE = 4, /* signs the cosignature/v1 message */
};

struct note_key {
    char name[NOTE_KEY_NAME_MAX + 1];
    enum note_algorithm algorithm;
    uint8_t hash[NOTE_KEY_HASH_SIZE]; /* SHA-256(name || 0a || algorithm || key), first 4 bytes */
    uint8_t key[KEY_SIZE];
};

struct note_line {
    struct bytes name, base64;
    uint8_t hash[NOTE_KEY_HASH_SIZE];
};
struct note {
    struct bytes text; /* with its last newline */
    struct note_line lines[NOTE_SIGNATURES_MAX];
    size_t count; /* at least 1 */
};

/* ---- keys ---- */
/* E_BAD_TEXT when the name is empty, too long or has blanks, a plus or control characters; E_BAD_KEY. */
CHECKED enum error note_key_make(struct bytes name, enum note_algorithm algorithm, const uint8_t key[static KEY_SIZE],
                                 struct note_key *ret);
/* Of a key that its holder has checked already, as card_parse does: the question costs as much as a signature. */
CHECKED enum error note_key_of(struct bytes name, enum note_algorithm algorithm, const uint8_t key[static KEY_SIZE],
                               struct note_key *ret);
/* `name+hash+base64(algorithm || key)`; the hash, eight lower-case hex digits, must be the key's (E_BAD_KEY). */
CHECKED enum error note_key_parse(struct bytes text, struct note_key *ret);
void note_key_format(const struct note_key *key, struct buf *out);

/* Base64 in its one form: standard alphabet, padded, no stray bits. False also when it is longer than max. */
bool note_base64(struct bytes text, uint8_t *ret, size_t max, size_t *ret_n);

/* ---- notes ---- */
CHECKED enum error note_parse(struct bytes bytes, struct note *ret);
void note_format(const struct note *note, struct buf *out); /* the bytes that note_parse read */

/* Which of the keys have signed. E_BAD_SIGNATURE when none has, or when a signature under one of them does not hold. */
struct note_signed {
    bool valid;
    uint64_t time_s; /* of a cosignature: seconds since 1970; else 0 */
};
CHECKED enum error note_verify(const struct note *note, const struct note_key *keys, size_t count,
                               struct note_signed *ret);

/* Making one: the text and the empty line, then signature lines. E_BAD_TEXT, E_MALFORMED: the text cannot be one. */
CHECKED enum error note_begin(struct bytes text, struct buf *out);
/* secret belongs to key->key. time_s: of a cosignature, at most INT64_MAX; else not used. */
void note_sign(struct bytes text, const struct note_key *key, const uint8_t secret[static SIGN_SECRET_SIZE],
               uint64_t time_s, struct buf *out);
/* What a cosignature signs. */
void note_cosignature_message(uint64_t time_s, struct bytes text, struct buf *out);

/* ---- checkpoints: the text of a note ---- */
struct checkpoint {
    struct bytes origin; /* one line, not empty */
    uint64_t size;       /* at most INT64_MAX */
    uint8_t root[HASH_SIZE];
    struct bytes extensions; /* nothing, or lines that are not empty, each with its newline */
};
CHECKED enum error checkpoint_parse(struct bytes text, struct checkpoint *ret);
void checkpoint_format(const struct checkpoint *checkpoint, struct buf *out);

#endif
