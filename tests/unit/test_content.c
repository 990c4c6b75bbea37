/* test_content.c - parts sealed chunk by chunk, their padding and first objects, and notes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <sodium.h>

#include "content.h"
#include "hpke.h"
#include "starve.h"

#define assert_error(call, wanted) assert_string_equal(error_row(call)->name, error_row(wanted)->name)
#define assert_ok(call) assert_error(call, E_OK)

static const uint8_t key[KEY_SIZE] = {3, 1, 4}, other_key[KEY_SIZE] = {3, 1, 5};

static struct content_context context_of(enum part_number part) {
    struct content_context context = {.part = part};
    memset(context.request, 0x11, sizeof context.request);
    memset(context.device, 0x22, sizeof context.device);
    return context;
}

static void fill(size_t n, struct buf *out) {
    uint8_t *to = buf_extend(out, n);
    assert_non_null(to);
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(i * 7 + i / 251);
}

/* ---- sizes ---- */

static void padded_sizes_are_padme(void **state) {
    (void)state;
    /* by the definition of the paper, computed by hand: E = floor(log2 L), S = floor(log2 E) + 1, keep 1 + S bits at
     * most */
    static const struct {
        uint64_t size, padded;
    } table[] = {
        {0, 256},
        {1, 256},
        {255, 256},
        {256, 256},
        {257, 272},
        {272, 272},
        {273, 288},
        {511, 512},
        {512, 512},
        {513, 544},
        {1000, 1024},
        {1025, 1088},
        {65536, 65536},
        {65537, 67584},
        {67584, 67584},
        {67585, 69632},
        {100000, 100352},
        {1000000, 1015808},
        {((uint64_t)1 << 40) - 1, (uint64_t)1 << 40},
        {((uint64_t)1 << 40) + 1, ((uint64_t)1 << 40) + ((uint64_t)1 << 34)},
    };
    for (size_t i = 0; i < LENGTH(table); i++) assert_int_equal(content_padme(table[i].size), table[i].padded);
}

static void padding_costs_little_and_grows_with_the_size(void **state) {
    (void)state;
    uint64_t last = 0;
    for (uint64_t size = 256; size < 300000; size += 13) {
        uint64_t padded = content_padme(size);
        assert_true(padded >= size && padded >= last);
        assert_true((padded - size) * 100 <= size * 12);
        assert_int_equal(content_padme(padded), padded);
        last = padded;
    }
}

static void lengths_count_a_tag_for_every_chunk(void **state) {
    (void)state;
    assert_int_equal(content_length(0), 256 + TAG_SIZE);
    assert_int_equal(content_length(CHUNK_PLAIN), CHUNK_PLAIN + TAG_SIZE);
    assert_int_equal(content_length(CHUNK_PLAIN + 1), 67584 + 2 * TAG_SIZE);
    for (uint64_t size = 0; size < 400000; size += 997)
        assert_int_equal(content_length(size) - chunks_count(content_length(size)) * TAG_SIZE, content_padme(size));
}

/* ---- chunks ---- */

/* Seals a plaintext whole, cut as the format says. */
static void seal_all(const struct content_context *context, struct bytes plain, struct buf *out) {
    for (uint64_t index = 0; plain.n; index++) {
        bool last = plain.n <= CHUNK_PLAIN;
        struct bytes piece = bytes_of(plain.p, last ? plain.n : CHUNK_PLAIN);
        assert_ok(content_seal_chunk(context, key, index, last, piece, out));
        plain = bytes_of(plain.p + piece.n, plain.n - piece.n);
    }
}

static enum error open_all(const struct content_context *context, struct bytes cipher, struct buf *out) {
    for (uint64_t index = 0; cipher.n; index++) {
        bool last = cipher.n <= CHUNK_SIZE;
        struct bytes chunk = bytes_of(cipher.p, last ? cipher.n : CHUNK_SIZE);
        TRY(content_open_chunk(context, key, index, last, chunk, out));
        cipher = bytes_of(cipher.p + chunk.n, cipher.n - chunk.n);
    }
    return E_OK;
}

static void parts_of_many_sizes_come_back(void **state) {
    (void)state;
    static const size_t sizes[] = {1,
                                   2,
                                   15,
                                   16,
                                   17,
                                   255,
                                   256,
                                   4096,
                                   CHUNK_PLAIN - 1,
                                   CHUNK_PLAIN,
                                   CHUNK_PLAIN + 1,
                                   2 * CHUNK_PLAIN - 1,
                                   2 * CHUNK_PLAIN,
                                   2 * CHUNK_PLAIN + 1,
                                   5 * CHUNK_PLAIN + 777};
    struct content_context context = context_of(PART_BODY);
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        AUTO_BUF plain = {0};
        AUTO_BUF cipher = {0};
        AUTO_BUF opened = {0};
        fill(sizes[i], &plain);
        seal_all(&context, buf_bytes(&plain), &cipher);
        size_t chunks = (sizes[i] + CHUNK_PLAIN - 1) / CHUNK_PLAIN;
        assert_int_equal(cipher.n, sizes[i] + chunks * TAG_SIZE);
        assert_int_equal(chunks_count(cipher.n), chunks);
        assert_ok(open_all(&context, buf_bytes(&cipher), &opened));
        assert_true(bytes_equal(buf_bytes(&plain), buf_bytes(&opened)));
    }
}

static void empty_overlong_and_short_inner_chunks_are_not_sealed(void **state) {
    (void)state;
    struct content_context context = context_of(PART_BODY);
    AUTO_BUF plain = {0};
    AUTO_BUF out = {0};
    fill(CHUNK_PLAIN + 1, &plain);
    assert_error(content_seal_chunk(&context, key, 0, true, bytes_of(plain.p, 0), &out), E_OUT_OF_RANGE);
    assert_error(content_seal_chunk(&context, key, 0, true, bytes_of(plain.p, CHUNK_PLAIN + 1), &out), E_OUT_OF_RANGE);
    assert_error(content_seal_chunk(&context, key, 0, false, bytes_of(plain.p, CHUNK_PLAIN - 1), &out), E_OUT_OF_RANGE);
    assert_error(content_seal_chunk(&context, key, 0, false, bytes_of(plain.p, CHUNK_PLAIN + 1), &out), E_OUT_OF_RANGE);
    assert_int_equal(out.n, 0);
}

/* The bytes that another implementation must make, put together here by hand. */
static void chunk_is_what_the_format_says(void **state) {
    (void)state;
    struct content_context context = context_of(PART_OFFER);
    context.exercise = true;
    uint8_t aad[128], nonce[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1}, wanted[5 + TAG_SIZE];
    size_t n = 0;
    memcpy(aad, "pouch/0 chunk", 14);
    n = 14;
    memcpy(aad + n, "\xa5\x01\x01\x02\x50", 5);
    memset(aad + n + 5, 0x11, 16);
    n += 21;
    memcpy(aad + n, "\x03\x58\x20", 3);
    memset(aad + n + 3, 0x22, 32);
    n += 35;
    memcpy(aad + n, "\x04\x01\x05\xf5", 4);
    n += 4;
    crypto_aead_chacha20poly1305_ietf_encrypt(wanted, NULL, (const uint8_t *)"words", 5, aad, n, NULL, nonce, key);
    AUTO_BUF got = {0};
    assert_ok(content_seal_chunk(&context, key, 258, true, bytes_text("words"), &got));
    assert_int_equal(got.n, sizeof wanted);
    assert_memory_equal(got.p, wanted, sizeof wanted);
}

static void chunk_opens_in_its_own_place_only(void **state) {
    (void)state;
    const struct content_context context = context_of(PART_BODY);
    struct content_context other;
    AUTO_BUF plain = {0};
    AUTO_BUF cipher = {0};
    AUTO_BUF out = {0};
    fill(CHUNK_PLAIN, &plain);
    assert_ok(content_seal_chunk(&context, key, 1, false, buf_bytes(&plain), &cipher));
    struct bytes chunk = buf_bytes(&cipher);
    assert_error(content_open_chunk(&context, key, 0, false, chunk, &out), E_CANNOT_OPEN); /* reordered */
    assert_error(content_open_chunk(&context, key, 2, false, chunk, &out), E_CANNOT_OPEN);
    assert_error(content_open_chunk(&context, key, 257, false, chunk, &out), E_CANNOT_OPEN);
    assert_error(content_open_chunk(&context, key, 1, true, chunk, &out), E_CANNOT_OPEN); /* cut off behind it */
    assert_error(content_open_chunk(&context, other_key, 1, false, chunk, &out), E_CANNOT_OPEN);
    other = context;
    other.part = PART_OFFER;
    assert_error(content_open_chunk(&other, key, 1, false, chunk, &out), E_CANNOT_OPEN);
    other = context;
    other.exercise = true;
    assert_error(content_open_chunk(&other, key, 1, false, chunk, &out), E_CANNOT_OPEN);
    other = context;
    other.device[0] ^= 1;
    assert_error(content_open_chunk(&other, key, 1, false, chunk, &out), E_CANNOT_OPEN);
    other = context;
    other.request[15] ^= 1;
    assert_error(content_open_chunk(&other, key, 1, false, chunk, &out), E_CANNOT_OPEN);
    assert_int_equal(out.n, 0);
    assert_ok(content_open_chunk(&context, key, 1, false, chunk, &out));
}

static void truncated_and_swapped_parts_are_refused(void **state) {
    (void)state;
    struct content_context context = context_of(PART_BODY);
    AUTO_BUF plain = {0};
    AUTO_BUF cipher = {0};
    AUTO_BUF swapped = {0};
    AUTO_BUF out = {0};
    fill(2 * CHUNK_PLAIN + 100, &plain);
    seal_all(&context, buf_bytes(&plain), &cipher);
    assert_error(open_all(&context, bytes_of(cipher.p, 2 * CHUNK_SIZE), &out), E_CANNOT_OPEN);
    assert_error(open_all(&context, bytes_of(cipher.p, CHUNK_SIZE), &out), E_CANNOT_OPEN);
    assert_error(open_all(&context, bytes_of(cipher.p, cipher.n - 1), &out), E_CANNOT_OPEN);
    buf_add(&swapped, cipher.p + CHUNK_SIZE, CHUNK_SIZE);
    buf_add(&swapped, cipher.p, CHUNK_SIZE);
    buf_add(&swapped, cipher.p + 2 * CHUNK_SIZE, 100 + TAG_SIZE);
    assert_error(open_all(&context, buf_bytes(&swapped), &out), E_CANNOT_OPEN);
}

static void every_bit_flip_and_truncation_of_a_chunk_is_refused(void **state) {
    (void)state;
    struct content_context context = context_of(PART_BODY);
    AUTO_BUF plain = {0};
    AUTO_BUF cipher = {0};
    AUTO_BUF out = {0};
    fill(300, &plain);
    buf_add(&out, "kept", 4);
    seal_all(&context, buf_bytes(&plain), &cipher);
    for (size_t bit = 0; bit < cipher.n * 8; bit++) {
        cipher.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_error(open_all(&context, buf_bytes(&cipher), &out), E_CANNOT_OPEN);
        cipher.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < cipher.n; n++)
        assert_error(content_open_chunk(&context, key, 0, true, bytes_of(cipher.p, n), &out), E_CANNOT_OPEN);
    assert_int_equal(out.n, 4);
    assert_ok(open_all(&context, buf_bytes(&cipher), &out));
    assert_memory_equal(out.p, "kept", 4);
}

static void commitment_names_one_key(void **state) {
    (void)state;
    uint8_t a[HASH_SIZE], b[HASH_SIZE];
    content_commitment(key, a);
    label_digest(LABEL_COMMITMENT, bytes_of(key, KEY_SIZE), b);
    assert_memory_equal(a, b, HASH_SIZE);
    content_commitment(other_key, b);
    assert_memory_not_equal(a, b, HASH_SIZE);
}

/* ---- padding and first objects ---- */

static void padding_is_zeros_up_to_the_padded_size(void **state) {
    (void)state;
    uint8_t zeros[256] = {0};
    assert_ok(content_check_padding(100, 256, bytes_of(zeros, 156)));
    assert_ok(content_check_padding(256, 256, (struct bytes){0}));
    assert_ok(content_check_padding(100, 256, bytes_of(zeros, 20))); /* a piece of it */
    assert_error(content_check_padding(100, 272, bytes_of(zeros, 172)), E_BAD_PADDING);
    assert_error(content_check_padding(100, 255, bytes_of(zeros, 155)), E_BAD_PADDING);
    assert_error(content_check_padding(257, 256, (struct bytes){0}), E_BAD_PADDING);
    assert_error(content_check_padding(100, 256, bytes_of(zeros, 157)), E_BAD_PADDING);
    for (size_t i = 0; i < 156; i++) {
        zeros[i] = 1;
        assert_error(content_check_padding(100, 256, bytes_of(zeros, 156)), E_BAD_PADDING);
        zeros[i] = 0;
    }
}

static struct header header_of(uint64_t offer_size, uint64_t body_size) {
    struct header header = {.from = bytes_text("de/technical"), .has_offer = offer_size > 0, .has_body = body_size > 0};
    memset(header.request, 0x11, sizeof header.request);
    if (offer_size) header.offer.length = content_length(offer_size);
    if (body_size) header.body.length = content_length(body_size);
    return header;
}

static struct offer offer_of(void) {
    struct offer offer = {.from = bytes_text("de/technical"), .kind = KIND_INCIDENT, .subject = bytes_text("Warning")};
    memset(offer.request, 0x11, sizeof offer.request);
    return offer;
}

/* An offer as its part's plaintext; returns the unpadded size. */
static size_t offer_plain(const struct offer *offer, struct buf *out) {
    offer_encode(offer, out);
    size_t size = out->n, padding = (size_t)content_padme(size) - size;
    uint8_t *to = buf_extend(out, padding);
    assert_non_null(to);
    memset(to, 0, padding);
    return size;
}

static void offer_opens_when_inside_and_outside_agree(void **state) {
    (void)state;
    struct offer offer = offer_of(), got;
    AUTO_BUF plain = {0};
    size_t size = offer_plain(&offer, &plain);
    struct header header = header_of(size, 0);
    assert_ok(content_open_offer(buf_bytes(&plain), &header, &got));
    assert_true(bytes_are(got.subject, "Warning"));
    struct header bad = header;
    bad.from = bytes_text("de/policy");
    assert_error(content_open_offer(buf_bytes(&plain), &bad, &got), E_MISMATCH);
    bad = header;
    bad.request[0] ^= 1;
    assert_error(content_open_offer(buf_bytes(&plain), &bad, &got), E_MISMATCH);
    bad = header;
    bad.exercise = true;
    assert_error(content_open_offer(buf_bytes(&plain), &bad, &got), E_MISMATCH);
    bad = header;
    bad.has_offer = false;
    assert_error(content_open_offer(buf_bytes(&plain), &bad, &got), E_MISMATCH);
    bad = header;
    bad.offer.length = content_length(content_padme(size) + 1);
    assert_error(content_open_offer(buf_bytes(&plain), &bad, &got), E_BAD_PADDING);
}

static void offer_with_anything_behind_it_is_refused(void **state) {
    (void)state;
    struct offer offer = offer_of(), got;
    AUTO_BUF plain = {0};
    size_t size = offer_plain(&offer, &plain);
    struct header header = header_of(size, 0);
    for (size_t i = size; i < plain.n; i++) {
        plain.p[i] = 0x80;
        assert_error(content_open_offer(buf_bytes(&plain), &header, &got), E_BAD_PADDING);
        plain.p[i] = 0;
    }
    for (size_t n = 0; n < size; n++)
        assert_int_not_equal(content_open_offer(bytes_of(plain.p, n), &header, &got), E_OK);
    uint8_t zero = 0;
    buf_add(&plain, &zero, 1);
    assert_error(content_open_offer(buf_bytes(&plain), &header, &got), E_BAD_PADDING);
}

static void body_plain(const uint64_t *lengths, size_t count, bool exercise, struct buf *out) {
    AUTO_BUF files = {0};
    for (size_t i = 0; i < count; i++) {
        struct file file = {.length = lengths[i], .has_name = i > 0, .name = bytes_text("attachment.pdf")};
        file_encode(&file, &files);
    }
    struct manifest manifest = {
        .from = bytes_text("de/technical"), .exercise = exercise, .files = list_of(&files, count)};
    memset(manifest.request, 0x11, sizeof manifest.request);
    manifest_encode(&manifest, out);
}

static void manifest_opens_when_inside_and_outside_agree(void **state) {
    (void)state;
    static const uint64_t lengths[] = {1000, 0, 123456};
    AUTO_BUF plain = {0};
    body_plain(lengths, LENGTH(lengths), true, &plain);
    size_t manifest_size = plain.n, size;
    fill(500, &plain); /* as much of the files as came along */
    struct header header = header_of(0, manifest_size + 124456);
    struct manifest got;
    struct file file;
    header.exercise = true;
    assert_ok(content_open_manifest(buf_bytes(&plain), &header, &got, &size));
    assert_int_equal(size, manifest_size);
    assert_int_equal(got.files.count, 3);
    assert_true(file_next(&got.files, &file) && !file.has_name && file.length == 1000);
    assert_true(file_next(&got.files, &file) && bytes_are(file.name, "attachment.pdf"));
    struct header bad = header;
    bad.exercise = false; /* an exercise shown as real */
    assert_error(content_open_manifest(buf_bytes(&plain), &bad, &got, &size), E_MISMATCH);
    bad = header;
    bad.from = bytes_text("fj/national");
    assert_error(content_open_manifest(buf_bytes(&plain), &bad, &got, &size), E_MISMATCH);
    bad = header;
    bad.request[3] ^= 0x10;
    assert_error(content_open_manifest(buf_bytes(&plain), &bad, &got, &size), E_MISMATCH);
    bad = header;
    bad.has_body = false;
    assert_error(content_open_manifest(buf_bytes(&plain), &bad, &got, &size), E_MISMATCH);
    bad = header;
    bad.body.length = content_length(manifest_size + 124456 + 20000); /* the files do not fill it */
    assert_error(content_open_manifest(buf_bytes(&plain), &bad, &got, &size), E_BAD_PADDING);
    for (size_t n = 0; n < manifest_size; n++)
        assert_int_not_equal(content_open_manifest(bytes_of(plain.p, n), &header, &got, &size), E_OK);
}

static void manifest_of_the_largest_files_does_not_overflow(void **state) {
    (void)state;
    uint64_t lengths[PARTS_MAX];
    for (size_t i = 0; i < PARTS_MAX; i++) lengths[i] = PART_MAX;
    AUTO_BUF plain = {0};
    struct manifest got;
    size_t size;
    body_plain(lengths, PARTS_MAX, false, &plain);
    struct header header = header_of(0, 5000);
    assert_error(content_open_manifest(buf_bytes(&plain), &header, &got, &size), E_BAD_PADDING);
}

/* ---- notes ---- */

static const uint8_t nonce[NONCE_SIZE] = {5}, header_hash[HASH_SIZE] = {6}, leg[HASH_SIZE] = {7};

static void note_comes_back_padded_to_sixty_four(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 5, 63, 64, 65, 127, 128, NOTE_MAX - 1, NOTE_MAX};
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        AUTO_BUF words = {0};
        AUTO_BUF note = {0};
        AUTO_BUF opened = {0};
        fill(sizes[i], &words);
        for (size_t j = 0; j < words.n; j++) words.p[j] |= 1;
        assert_ok(content_seal_note(key, nonce, header_hash, leg, buf_bytes(&words), &note));
        assert_int_equal((note.n - TAG_SIZE) % 64, 0);
        assert_true(note.n > TAG_SIZE && note.n - TAG_SIZE < sizes[i] + 64 + (sizes[i] == 0));
        assert_ok(content_open_note(key, nonce, header_hash, leg, buf_bytes(&note), &opened));
        assert_true(bytes_equal(buf_bytes(&words), buf_bytes(&opened)));
    }
}

static void note_with_zeros_or_too_long_is_not_sealed(void **state) {
    (void)state;
    AUTO_BUF words = {0};
    AUTO_BUF out = {0};
    assert_error(content_seal_note(key, nonce, header_hash, leg, bytes_of("a\0b", 3), &out), E_BAD_TEXT);
    assert_error(content_seal_note(key, nonce, header_hash, leg, bytes_of("a\0", 2), &out), E_BAD_TEXT);
    fill(NOTE_MAX + 1, &words);
    assert_error(content_seal_note(key, nonce, header_hash, leg, buf_bytes(&words), &out), E_TOO_LARGE);
    assert_int_equal(out.n, 0);
}

static void note_opens_in_its_own_place_only(void **state) {
    (void)state;
    static const uint8_t other[HASH_SIZE] = {9};
    AUTO_BUF note = {0};
    AUTO_BUF out = {0};
    assert_ok(content_seal_note(key, nonce, header_hash, leg, bytes_text("not our system"), &note));
    struct bytes bytes = buf_bytes(&note);
    assert_error(content_open_note(other_key, nonce, header_hash, leg, bytes, &out), E_CANNOT_OPEN);
    assert_error(content_open_note(key, other, header_hash, leg, bytes, &out), E_CANNOT_OPEN);
    assert_error(content_open_note(key, nonce, other, leg, bytes, &out), E_CANNOT_OPEN);
    assert_error(content_open_note(key, nonce, header_hash, other, bytes, &out), E_CANNOT_OPEN);
    for (size_t bit = 0; bit < note.n * 8; bit++) {
        note.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_error(content_open_note(key, nonce, header_hash, leg, bytes, &out), E_CANNOT_OPEN);
        note.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < note.n; n++)
        assert_error(content_open_note(key, nonce, header_hash, leg, bytes_of(note.p, n), &out), E_CANNOT_OPEN);
    assert_int_equal(out.n, 0);
    assert_ok(content_open_note(key, nonce, header_hash, leg, bytes, &out));
}

/* Sealed by hand under the documented key: so the derivation is checked, and padding that we would not make. */
static void note_with_wrong_padding_is_refused(void **state) {
    (void)state;
    uint8_t info[13 + 2 * HASH_SIZE] = "pouch/0 note", prk[HASH_SIZE], okm[KEY_SIZE], plain[128], zero_nonce[12] = {0};
    uint8_t note[128 + TAG_SIZE];
    memcpy(info + 13, header_hash, HASH_SIZE);
    memcpy(info + 13 + HASH_SIZE, leg, HASH_SIZE);
    hkdf_extract(bytes_of(nonce, NONCE_SIZE), bytes_of(key, KEY_SIZE), prk);
    assert_ok(hkdf_expand(prk, bytes_of(info, sizeof info), okm, sizeof okm));
    static const struct {
        size_t size, words, mark; /* mark: a byte behind the words that is not zero */
        enum error error;
    } cases[] = {
        {64, 5, 0, E_OK},
        {128, 65, 0, E_OK},
        {128, 128, 0, E_OK},
        {128, 64, 0, E_BAD_PADDING},
        {128, 5, 0, E_BAD_PADDING},
        {64, 5, 63, E_BAD_PADDING},
        {128, 65, 100, E_BAD_PADDING},
        {65, 60, 0, E_BAD_PADDING},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        AUTO_BUF out = {0};
        memset(plain, 0, sizeof plain);
        memset(plain, 'x', cases[i].words);
        if (cases[i].mark) plain[cases[i].mark] = 'y';
        crypto_aead_chacha20poly1305_ietf_encrypt(note, NULL, plain, cases[i].size, NULL, 0, NULL, zero_nonce, okm);
        assert_error(content_open_note(key, nonce, header_hash, leg, bytes_of(note, cases[i].size + TAG_SIZE), &out),
                     cases[i].error);
        assert_int_equal(out.n, cases[i].error == E_OK ? cases[i].words : 0);
    }
}

static void chunks_and_notes_survive_the_end_of_memory(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    struct content_context context = context_of(PART_BODY);
    AUTO_BUF chunk = {0};
    AUTO_BUF note = {0};
    assert_ok(content_seal_chunk(&context, key, 0, true, bytes_text("words"), &chunk));
    assert_ok(content_seal_note(key, nonce, header_hash, leg, bytes_text("words"), &note));
    bool reached = true;
    for (long n = 0; reached; n++) {
        enum error errors[4];
        bool failed[4];
        struct buf out[4] = {0};
        starve(n);
        errors[0] = content_seal_chunk(&context, key, 0, true, bytes_text("words"), &out[0]);
        failed[0] = starve_end();
        starve(n);
        errors[1] = content_open_chunk(&context, key, 0, true, buf_bytes(&chunk), &out[1]);
        failed[1] = starve_end();
        starve(n);
        errors[2] = content_seal_note(key, nonce, header_hash, leg, bytes_text("words"), &out[2]);
        failed[2] = starve_end();
        starve(n);
        errors[3] = content_open_note(key, nonce, header_hash, leg, buf_bytes(&note), &out[3]);
        failed[3] = starve_end();
        reached = false;
        for (size_t i = 0; i < LENGTH(errors); i++) {
            assert_error(errors[i], failed[i] ? E_NO_MEMORY : E_OK);
            if (failed[i]) assert_int_equal(out[i].n, 0);
            reached = reached || failed[i];
            buf_free(&out[i]);
        }
        assert_true(n > 1 || reached);
    }
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padded_sizes_are_padme),
        cmocka_unit_test(padding_costs_little_and_grows_with_the_size),
        cmocka_unit_test(lengths_count_a_tag_for_every_chunk),
        cmocka_unit_test(parts_of_many_sizes_come_back),
        cmocka_unit_test(empty_overlong_and_short_inner_chunks_are_not_sealed),
        cmocka_unit_test(chunk_is_what_the_format_says),
        cmocka_unit_test(chunk_opens_in_its_own_place_only),
        cmocka_unit_test(truncated_and_swapped_parts_are_refused),
        cmocka_unit_test(every_bit_flip_and_truncation_of_a_chunk_is_refused),
        cmocka_unit_test(commitment_names_one_key),
        cmocka_unit_test(padding_is_zeros_up_to_the_padded_size),
        cmocka_unit_test(offer_opens_when_inside_and_outside_agree),
        cmocka_unit_test(offer_with_anything_behind_it_is_refused),
        cmocka_unit_test(manifest_opens_when_inside_and_outside_agree),
        cmocka_unit_test(manifest_of_the_largest_files_does_not_overflow),
        cmocka_unit_test(note_comes_back_padded_to_sixty_four),
        cmocka_unit_test(note_with_zeros_or_too_long_is_not_sealed),
        cmocka_unit_test(note_opens_in_its_own_place_only),
        cmocka_unit_test(note_with_wrong_padding_is_refused),
        cmocka_unit_test(chunks_and_notes_survive_the_end_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
