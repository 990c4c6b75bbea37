/* content.c - chunks, their padding, the objects at their beginning, and the words of a note. */
#include "content.h"

#include <sodium.h>

#include "hpke.h"

enum { CHUNK_NONCE_SIZE = 12, NOTE_STEP = 64 };

/* ---- sizes ---- */

static unsigned bits_of(uint64_t value) { return value ? 64 - (unsigned)__builtin_clzll(value) : 0; }

/* Padme: of the size's binary digits after the first, as many are kept as the number of digits has digits itself; the
 * rest is rounded up. */
static uint64_t padme(uint64_t size) {
    if (size < 2) return size;
    unsigned exponent = bits_of(size) - 1;
    uint64_t mask = ((uint64_t)1 << (exponent - bits_of(exponent))) - 1;
    return (size + mask) & ~mask;
}

uint64_t content_padme(uint64_t size) { return size < CONTENT_MIN ? CONTENT_MIN : padme(size); }

uint64_t content_length(uint64_t plain) {
    uint64_t padded = content_padme(plain);
    return padded + (padded + CHUNK_PLAIN - 1) / CHUNK_PLAIN * TAG_SIZE;
}

/* Plaintext size of a part, padding included; 0 when no part has that length. */
static uint64_t padded_size(const struct part *part) {
    uint64_t chunks = chunks_count(part->length);
    return chunks ? part->length - chunks * TAG_SIZE : 0;
}

/* ---- chunks ---- */

void content_commitment(const uint8_t key[static KEY_SIZE], uint8_t ret[static HASH_SIZE]) {
    label_digest(LABEL_COMMITMENT, bytes_of(key, KEY_SIZE), ret);
}

static void chunk_nonce(uint64_t index, bool last, uint8_t ret[static CHUNK_NONCE_SIZE]) {
    memset(ret, 0, CHUNK_NONCE_SIZE);
    for (unsigned i = 0; i < 8; i++) ret[10 - i] = (uint8_t)(index >> (8 * i));
    ret[11] = last;
}

static enum error chunk_aad(const struct content_context *context, struct buf *out) {
    static const uint8_t zero;
    struct chunkaad aad = {.part = (uint64_t)context->part, .exercise = context->exercise};
    memcpy(aad.request, context->request, sizeof aad.request);
    memcpy(aad.device, context->device, sizeof aad.device);
    buf_add_bytes(out, label_text(LABEL_CHUNK));
    buf_add(out, &zero, 1);
    chunkaad_encode(&aad, out);
    return buf_error(out);
}

/* Only the last chunk may be shorter, and none is empty. */
static bool chunk_fits(size_t n, bool last) { return last ? n > 0 && n <= CHUNK_PLAIN : n == CHUNK_PLAIN; }

enum error content_seal_chunk(const struct content_context *context, const uint8_t key[static KEY_SIZE], uint64_t index,
                              bool last, struct bytes plain, struct buf *out) {
    uint8_t nonce[CHUNK_NONCE_SIZE];
    AUTO_BUF aad = {0};
    if (!chunk_fits(plain.n, last)) return E_OUT_OF_RANGE;
    TRY(chunk_aad(context, &aad));
    uint8_t *to = buf_extend(out, plain.n + TAG_SIZE);
    if (!to) return E_NO_MEMORY;
    chunk_nonce(index, last, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(to, NULL, plain.p, plain.n, aad.p, aad.n, NULL, nonce, key);
    return E_OK;
}

enum error content_open_chunk(const struct content_context *context, const uint8_t key[static KEY_SIZE], uint64_t index,
                              bool last, struct bytes chunk, struct buf *out) {
    uint8_t nonce[CHUNK_NONCE_SIZE];
    AUTO_BUF aad = {0};
    if (chunk.n < TAG_SIZE || !chunk_fits(chunk.n - TAG_SIZE, last)) return E_CANNOT_OPEN;
    TRY(chunk_aad(context, &aad));
    size_t before = out->n;
    uint8_t *to = buf_extend(out, chunk.n - TAG_SIZE);
    if (!to) return E_NO_MEMORY;
    chunk_nonce(index, last, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(to, NULL, NULL, chunk.p, chunk.n, aad.p, aad.n, nonce, key) != 0) {
        out->n = before;
        return E_CANNOT_OPEN;
    }
    return E_OK;
}

/* ---- what stands at the beginning, and the zeros at the end ---- */

static bool all_zero(struct bytes bytes) { return bytes.n == 0 || sodium_is_zero(bytes.p, bytes.n); }

enum error content_check_padding(uint64_t plain, uint64_t total, struct bytes zeros) {
    if (plain > total || total != content_padme(plain)) return E_BAD_PADDING;
    return zeros.n <= total - plain && all_zero(zeros) ? E_OK : E_BAD_PADDING;
}

/* The one CBOR item that the plaintext begins with, and what follows it. */
static enum error cut_object(struct bytes plain, struct bytes *ret_object, struct bytes *ret_rest) {
    struct cbor_in in = cbor_in(plain);
    struct bytes object = cbor_item(&in);
    if (in.error != E_OK) return in.error;
    *ret_object = object;
    *ret_rest = bytes_of(object.p + object.n, plain.n - object.n);
    return E_OK;
}

static bool same_origin(const struct header *header, struct bytes from, const uint8_t request[static REQUEST_ID_SIZE],
                        bool exercise) {
    return bytes_equal(header->from, from) && memcmp(header->request, request, REQUEST_ID_SIZE) == 0 &&
           header->exercise == exercise;
}

enum error content_open_offer(struct bytes plain, const struct header *header, struct offer *ret) {
    struct bytes object, rest;
    struct offer offer;
    if (!header->has_offer) return E_MISMATCH;
    TRY(cut_object(plain, &object, &rest));
    TRY(offer_decode(object, &offer));
    TRY(content_check_padding(object.n, padded_size(&header->offer), rest));
    if (!same_origin(header, offer.from, offer.request, offer.exercise)) return E_MISMATCH;
    *ret = offer;
    return E_OK;
}

/* The manifest and its files, without padding. At most PARTS_MAX lengths of at most PART_MAX: no overflow. */
static uint64_t body_size(size_t manifest_size, struct list files) {
    uint64_t size = manifest_size;
    struct file file;
    while (file_next(&files, &file)) size += file.length;
    return size;
}

enum error content_open_manifest(struct bytes plain, const struct header *header, struct manifest *ret,
                                 size_t *ret_size) {
    struct bytes object, rest;
    struct manifest manifest;
    if (!header->has_body) return E_MISMATCH;
    TRY(cut_object(plain, &object, &rest));
    TRY(manifest_decode(object, &manifest));
    TRY(content_check_padding(body_size(object.n, manifest.files), padded_size(&header->body), (struct bytes){0}));
    if (!same_origin(header, manifest.from, manifest.request, manifest.exercise)) return E_MISMATCH;
    *ret = manifest;
    *ret_size = object.n;
    return E_OK;
}

/* ---- notes ---- */

static enum error note_key(const uint8_t key[static KEY_SIZE], const uint8_t nonce[static NONCE_SIZE],
                           const uint8_t header[static HASH_SIZE], const uint8_t leg[static HASH_SIZE],
                           struct secret *ret) {
    static const uint8_t zero;
    AUTO_BUF info = {0};
    AUTO_SECRET prk = {0};
    AUTO_SECRET okm = {0};
    buf_add_bytes(&info, label_text(LABEL_NOTE));
    buf_add(&info, &zero, 1);
    buf_add(&info, header, HASH_SIZE);
    buf_add(&info, leg, HASH_SIZE);
    TRY(buf_error(&info));
    TRY(secret_new(HASH_SIZE, &prk));
    TRY(secret_new(KEY_SIZE, &okm));
    hkdf_extract(bytes_of(nonce, NONCE_SIZE), bytes_of(key, KEY_SIZE), prk.p);
    TRY(hkdf_expand(prk.p, buf_bytes(&info), okm.p, okm.n));
    *ret = okm;
    okm = (struct secret){0};
    return E_OK;
}

/* A key serves one note only, because the statement's nonce is fresh: so the cipher's nonce may be constant. */
static const uint8_t note_nonce[CHUNK_NONCE_SIZE];

static size_t note_padded(size_t n) { return n ? (n + NOTE_STEP - 1) / NOTE_STEP * NOTE_STEP : NOTE_STEP; }

enum error content_seal_note(const uint8_t key[static KEY_SIZE], const uint8_t nonce[static NONCE_SIZE],
                             const uint8_t header[static HASH_SIZE], const uint8_t leg[static HASH_SIZE],
                             struct bytes words, struct buf *out) {
    AUTO_SECRET secret = {0};
    AUTO_BUF plain = {0};
    if (words.n > NOTE_MAX) return E_TOO_LARGE;
    if (words.n && memchr(words.p, 0, words.n)) return E_BAD_TEXT; /* zeros are padding */
    TRY(note_key(key, nonce, header, leg, &secret));
    size_t padded = note_padded(words.n);
    uint8_t *from = buf_extend(&plain, padded);
    uint8_t *to = from ? buf_extend(out, padded + TAG_SIZE) : NULL;
    if (!to) return E_NO_MEMORY;
    memset(from, 0, padded);
    if (words.n) memcpy(from, words.p, words.n);
    crypto_aead_chacha20poly1305_ietf_encrypt(to, NULL, from, padded, NULL, 0, NULL, note_nonce, secret.p);
    return E_OK;
}

/* The words end at the first zero; after it come only zeros, and no more than needed. */
static enum error note_words(struct bytes plain, struct bytes *ret) {
    const uint8_t *zero = memchr(plain.p, 0, plain.n);
    struct bytes words = bytes_of(plain.p, zero ? (size_t)(zero - plain.p) : plain.n);
    struct bytes rest = bytes_of(plain.p + words.n, plain.n - words.n);
    if (note_padded(words.n) != plain.n || !all_zero(rest)) return E_BAD_PADDING;
    *ret = words;
    return E_OK;
}

enum error content_open_note(const uint8_t key[static KEY_SIZE], const uint8_t nonce[static NONCE_SIZE],
                             const uint8_t header[static HASH_SIZE], const uint8_t leg[static HASH_SIZE],
                             struct bytes note, struct buf *out) {
    AUTO_SECRET secret = {0};
    AUTO_BUF plain = {0};
    struct bytes words;
    if (note.n < TAG_SIZE + NOTE_STEP || note.n > NOTE_MAX + TAG_SIZE) return E_CANNOT_OPEN;
    TRY(note_key(key, nonce, header, leg, &secret));
    uint8_t *to = buf_extend(&plain, note.n - TAG_SIZE);
    if (!to) return E_NO_MEMORY;
    if (crypto_aead_chacha20poly1305_ietf_decrypt(to, NULL, NULL, note.p, note.n, NULL, 0, note_nonce, secret.p) != 0)
        return E_CANNOT_OPEN;
    TRY(note_words(buf_bytes(&plain), &words));
    buf_add_bytes(out, words);
    return buf_error(out);
}
