/* text.h - what people read and type: names, hex, fingerprints, references.
 *
 * party  1..32 of a-z 0-9 . -, beginning with a letter: `de`, `org.first`
 * post   party/desk, desk likewise without dots: `de/technical`
 * fingerprint  `12345 67890 ...`: ten groups of five decimal digits over a 32-byte hash; group i (0..9) is the big-endian
 *              24-bit number of its bytes 3i, 3i+1, 3i+2, modulo 100,000
 * reference    `K7Q-M2F`: 30 bits of the header digest in Crockford's base 32 (no I, L, O, U); equal on
 *              both sides, easy to say; not unique for ever, so commands accept it only where one request matches
 * code         a secret to be typed: rows of 16 bytes, each 26 symbols of Crockford's base 32 (two zero bits at the end) and two
 *              check symbols, in groups of four: `9F3K-0TQA-...`. Over GF(32), a symbol being its polynomial modulo
 *              x^5 + x^2 + 1, the 28 symbols s0..s27 of row r (from 0) fulfil sum s(i) = r and sum s(i) x^(27-i) = 0; so
 *              any one or two wrong symbols of a row, and rows in another order, are noticed */
#ifndef TEXT_H
#define TEXT_H

#include "limits.h"
#include "own.h"

enum { TEXT_FINGERPRINT_SIZE = 60, TEXT_REFERENCE_SIZE = 8, TEXT_ID_BYTES = 16 };
enum { TEXT_CODE_ROW = 16, TEXT_CODE_SIZE = 35, TEXT_CODE_ROWS_MAX = 32 }; /* bytes of a row; its text with the end or a dash */

/* Length of the valid UTF-8 sequence that the n >= 1 bytes at p begin with (no overlong forms, no surrogates), or 0. */
size_t text_utf8_sequence(const uint8_t *p, size_t n);

bool text_is_party(struct bytes name);
bool text_is_post(struct bytes name);
/* The party part of a post's name (a view), or of a bare party itself. */
struct bytes text_party_of(struct bytes post);

/* out holds 2n + 1 bytes; lower case. */
void text_hex(const uint8_t *bytes, size_t n, char *out);
/* Exactly 2n hex digits of either case: E_BAD_TEXT. */
CHECKED enum error text_unhex(struct bytes text, uint8_t *ret, size_t n);

void text_fingerprint(const uint8_t hash[static HASH_SIZE], char out[static TEXT_FINGERPRINT_SIZE]);
/* As a person types it: white space, dashes and dots are passed over; all 50 digits must match. */
bool text_fingerprint_matches(const uint8_t hash[static HASH_SIZE], const char *typed);

/* "K7Q-M2F" from the first 30 bits of the header digest. */
void text_reference(const uint8_t digest[static HASH_SIZE], char out[static TEXT_REFERENCE_SIZE]);
/* Reads one back as a person types it (case, I/L -> 1, O -> 0, dash optional): 30 bits. */
CHECKED enum error text_reference_parse(struct bytes typed, uint32_t *ret_bits);
uint32_t text_reference_bits(const uint8_t digest[static HASH_SIZE]);

/* A secret of `rows` rows as a code: out holds rows * TEXT_CODE_SIZE bytes. */
void text_code(const uint8_t *secret, size_t rows, char *out);
/* As a person types it: any case, I and L for 1, O for 0; blanks and dashes are passed over. E_BAD_CODE. */
CHECKED enum error text_code_parse(struct bytes typed, uint8_t *ret, size_t rows);

/* Copies foreign text for a terminal: control characters (but newline, tab where allowed) and bidirectional overrides
 * (U+202A..U+202E, U+2066..U+2069, U+200E, U+200F, U+061C) and separators (U+2028, U+2029) become U+FFFD; invalid UTF-8 likewise. Appends a final zero byte
 * that does not count in out->n. */
void text_for_terminal(struct bytes text, bool many_lines, struct buf *out);

/* Closest of n names by edit distance, for "did you mean"; NULL when none is near. */
const char *text_nearest(const char *word, const char *const *names, size_t n);

#endif
