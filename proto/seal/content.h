/* content.h - sealing and opening the two parts of a request, chunk by chunk; and the words of a note.
 *
 * Plaintext of the offer part: the CBOR object `offer`, then zeros up to the padded size.
 * Plaintext of the body part: the CBOR object `manifest`, the bytes of its files in order, then zeros.
 * The padded size is Padme (Nikitin et al., PETS 2019) of the unpadded size, at least CONTENT_MIN.
 * Chunk i is ChaCha20-Poly1305-IETF under the part's key with nonce = 11 bytes big-endian i, then 1 for the last chunk and
 * 0 for others; associated data = label CHUNK, 0x00, CBOR `chunkaad`. Commitment = labelled digest (COMMITMENT) of the key.
 *
 * Nothing here holds a whole body: the caller feeds and takes at most one chunk at a time. */
#ifndef CONTENT_H
#define CONTENT_H

#include "../chunks.h"
#include "../objects.h"
#include "secret.h"

enum { CONTENT_MIN = 256 };

uint64_t content_padme(uint64_t size);
/* Ciphertext length of a part whose unpadded plaintext has this size. */
uint64_t content_length(uint64_t plain);

/* What binds every chunk to its request: from the header. */
struct content_context {
    uint8_t request[REQUEST_ID_SIZE], device[KEY_SIZE];
    enum part_number part;
    bool exercise;
};

void content_commitment(const uint8_t key[static KEY_SIZE], uint8_t ret[static HASH_SIZE]);

/* One chunk. plain.n is CHUNK_PLAIN, or less in the last. Appends plain.n + TAG_SIZE bytes. */
CHECKED enum error content_seal_chunk(const struct content_context *context, const uint8_t key[static KEY_SIZE],
                                      uint64_t index, bool last, struct bytes plain, struct buf *out);
CHECKED enum error content_open_chunk(const struct content_context *context, const uint8_t key[static KEY_SIZE],
                                      uint64_t index, bool last, struct bytes chunk,
                                      struct buf *out); /* E_CANNOT_OPEN */

/* The padding after an offer or after a body's last file is all zeros and ends at the padded size: E_BAD_PADDING. */
CHECKED enum error content_check_padding(uint64_t plain, uint64_t total, struct bytes zeros);

/* The object at the beginning of a part's plaintext, and how many bytes it takes. The padding of an offer is checked whole
 * when `plain` is the whole plaintext. Inner and outer must agree: from, request, exercise (E_MISMATCH). */
CHECKED enum error content_open_offer(struct bytes plain, const struct header *header, struct offer *ret);
CHECKED enum error content_open_manifest(struct bytes plain, const struct header *header, struct manifest *ret,
                                         size_t *ret_size);

/* The words of a decline or acknowledgement, sealed to whoever holds the content key (offer key; a reply: body key):
 * ChaCha20-Poly1305, zero nonce, key = HKDF-SHA256(salt = statement nonce, ikm = content key,
 * info = label NOTE, 0x00, header digest, leg id); plaintext padded with zeros to a multiple of 64. */
CHECKED enum error content_seal_note(const uint8_t key[static KEY_SIZE], const uint8_t nonce[static NONCE_SIZE],
                                     const uint8_t header[static HASH_SIZE], const uint8_t leg[static HASH_SIZE],
                                     struct bytes words, struct buf *out);
CHECKED enum error content_open_note(const uint8_t key[static KEY_SIZE], const uint8_t nonce[static NONCE_SIZE],
                                     const uint8_t header[static HASH_SIZE], const uint8_t leg[static HASH_SIZE],
                                     struct bytes note, struct buf *out);

#endif
