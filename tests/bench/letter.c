/* letter.c - letters and receipts of the benchmark. */
#include "letter.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "chunks.h"
#include "content.h"
#include "evidence.h"
#include "wrapping.h"

enum { LENGTH_BYTES = 4 }; /* before each field of a flat letter, big-endian */

void letter_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "bench: ");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void must(enum error error, const char *what) {
    if (error != E_OK) letter_die("%s: %s", what, error_text(error));
}

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- ends ---- */

static void make_end(const char *pair, const char *side, struct letter_end *ret) {
    AUTO_BUF stamped = {0};
    *ret = (struct letter_end){0};
    snprintf(ret->post, sizeof ret->post, "%s/%s", side, pair);
    crypto_sign_keypair(ret->device, ret->device_secret);
    crypto_box_keypair(ret->transport, ret->transport_secret);
    must(prekey_make(ret->device_secret, (uint32_t)(wall_ms() / DAY_MS), 1, 0, &stamped, ret->prekey_secret,
                     ret->prekey_id),
         "a prekey");
    crypto_scalarmult_base(ret->prekey, ret->prekey_secret);
}

void letter_ends_make(const char *pair, struct letter_ends *ret) {
    *ret = (struct letter_ends){.size = 1};
    make_end(pair, "aa", &ret->sender);
    make_end(pair, "bb", &ret->recipient);
    randombytes_buf(ret->root, HASH_SIZE);
}

static void ends_path(const char *folder, const char *pair, char ret[static 512]) {
    snprintf(ret, 512, "%s/%s.ends", folder, pair);
}

void letter_ends_write(const char *folder, const char *pair, const struct letter_ends *ends) {
    char path[512];
    ends_path(folder, pair, path);
    FILE *file = fopen(path, "we");
    bool good = file && fwrite(ends, sizeof *ends, 1, file) == 1;
    if (!file || fclose(file) != 0 || !good) letter_die("%s cannot be written", path);
}

void letter_ends_read(const char *folder, const char *pair, struct letter_ends *ret) {
    char path[512];
    ends_path(folder, pair, path);
    FILE *file = fopen(path, "re");
    bool good = file && fread(ret, sizeof *ret, 1, file) == 1;
    if (file) fclose(file);
    if (!good) letter_die("%s cannot be read", path);
}

/* ---- sealing ---- */

void letter_room_free(struct letter_room *room) {
    struct buf *all[] = {&room->header, &room->opening, &room->wrapset, &room->offer,
                         &room->body,   &room->digests, &room->path,    &room->plain};
    for (size_t i = 0; i < LENGTH(all); i++) buf_free(all[i]);
}

static void clear(struct letter_room *room) {
    struct buf *all[] = {&room->header, &room->opening, &room->wrapset, &room->offer,
                         &room->body,   &room->digests, &room->path,    &room->plain};
    for (size_t i = 0; i < LENGTH(all); i++) buf_clear(all[i]);
}

static struct content_context context_of(const struct header *header, enum part_number part) {
    struct content_context context = {.part = part, .exercise = header->exercise};
    memcpy(context.request, header->request, REQUEST_ID_SIZE);
    memcpy(context.device, header->device, KEY_SIZE);
    return context;
}

static void pad(struct buf *plain) {
    size_t more = (size_t)content_padme(plain->n) - plain->n;
    uint8_t *zeros = buf_extend(plain, more);
    if (!zeros) letter_die("memory ran out");
    memset(zeros, 0, more);
}

/* Seals all of `plain`, chunk by chunk. */
static void seal_part(const struct header *header, enum part_number number, const uint8_t key[static KEY_SIZE],
                      struct buf *plain, struct buf *out, struct buf *digests, struct part *ret) {
    struct content_context context = context_of(header, number);
    uint64_t index = 0;
    pad(plain);
    for (size_t at = 0; at < plain->n; at += CHUNK_PLAIN) {
        size_t left = plain->n - at, n = left < CHUNK_PLAIN ? left : CHUNK_PLAIN, before = out->n;
        uint8_t digest[HASH_SIZE];
        must(content_seal_chunk(&context, key, index++, left <= CHUNK_PLAIN, bytes_of(plain->p + at, n), out),
             "a chunk");
        chunk_digest(bytes_of(out->p + before, out->n - before), digest);
        buf_add(digests, digest, HASH_SIZE);
    }
    ret->length = out->n;
    part_digest(buf_bytes(digests), ret->digest);
    content_commitment(key, ret->commitment);
}

static void seal_offer(const struct header *header, const uint8_t key[static KEY_SIZE], struct letter_room *room,
                       struct part *ret) {
    AUTO_BUF digests = {0};
    struct offer offer = {.from = header->from,
                          .exercise = header->exercise,
                          .kind = KIND_INCIDENT,
                          .subject = bytes_text("Scans of port 4786 from your network")};
    memcpy(offer.request, header->request, REQUEST_ID_SIZE);
    buf_clear(&room->plain);
    offer_encode(&offer, &room->plain);
    seal_part(header, PART_OFFER, key, &room->plain, &room->offer, &digests, ret);
}

static void seal_body(const struct header *header, const uint8_t key[static KEY_SIZE], struct bytes text,
                      struct letter_room *room, struct part *ret) {
    AUTO_BUF files = {0};
    file_encode(&(struct file){.length = text.n}, &files);
    struct manifest manifest = {.from = header->from, .exercise = header->exercise, .files = list_of(&files, 1)};
    memcpy(manifest.request, header->request, REQUEST_ID_SIZE);
    buf_clear(&room->plain);
    manifest_encode(&manifest, &room->plain);
    buf_add_bytes(&room->plain, text);
    seal_part(header, PART_BODY, key, &room->plain, &room->body, &room->digests, ret);
}

static void make_leg(const struct letter_ends *ends, uint64_t number, struct letter_room *room, struct letter *letter,
                     struct header *header) {
    struct opening opening = {.to = bytes_text(ends->recipient.post), .sequence = number};
    randombytes_buf(opening.salt, HASH_SIZE);
    opening_encode(&opening, &room->opening);
    letter->position = randombytes_uniform(LEGS_MAX);
    stamp_hash(buf_bytes(&room->opening), letter->leg);
    randombytes_buf(letter->seed, HASH_SIZE);
    struct legs_leaf leaf = {.position = (uint32_t)letter->position};
    memcpy(leaf.id, letter->leg, HASH_SIZE);
    must(legs_root(&leaf, 1, letter->seed, header->legs), "the tree of legs");
}

static void make_wrapset(const struct letter_ends *ends, const struct letter *letter, const struct wrapped *keys,
                         struct buf *out) {
    AUTO_BUF payload = {0};
    struct wrapping_target target = {0};
    memcpy(target.device, ends->recipient.device, KEY_SIZE);
    memcpy(target.prekey, ends->recipient.prekey, KEY_SIZE);
    memcpy(target.prekey_id, ends->recipient.prekey_id, PREKEY_ID_SIZE);
    struct wrapping_set set = {letter->digest, letter->leg, 1, ends->size, ends->root, ends->sender.device};
    must(wrapping_make(&set, keys, &target, 1, &payload), "a wrap set");
    must(stamp_sign_one(LABEL_WRAPSET, ends->sender.device_secret, buf_bytes(&payload), out), "a wrap set");
}

static void name(uint64_t number, uint8_t ret[static REQUEST_ID_SIZE]) {
    randombytes_buf(ret, REQUEST_ID_SIZE);
    for (unsigned i = 0; i < 8; i++) ret[REQUEST_ID_SIZE - 1 - i] = (uint8_t)(number >> (8 * i));
}

void letter_seal(const struct letter_ends *ends, uint64_t number, struct bytes text, struct letter_room *room,
                 struct letter *ret) {
    AUTO_BUF payload = {0};
    struct header header = {.from = bytes_text(ends->sender.post),
                            .created = {wall_ms()},
                            .keep_s = KEEP_DEFAULT_S,
                            .precedence = PRECEDENCE_ROUTINE,
                            .has_offer = true,
                            .has_body = true};
    struct wrapped keys = {.has_offer_key = true, .has_body_key = true};
    *ret = (struct letter){0};
    clear(room);
    memcpy(header.device, ends->sender.device, KEY_SIZE);
    name(number, header.request);
    randombytes_buf(keys.offer_key, KEY_SIZE);
    randombytes_buf(keys.body_key, KEY_SIZE);
    seal_offer(&header, keys.offer_key, room, &header.offer);
    seal_body(&header, keys.body_key, text, room, &header.body);
    make_leg(ends, number, room, ret, &header);
    header_encode(&header, &payload);
    header_digest(buf_bytes(&payload), ret->digest);
    must(stamp_sign_one(LABEL_HEADER, ends->sender.device_secret, buf_bytes(&payload), &room->header), "a header");
    make_wrapset(ends, ret, &keys, &room->wrapset);
    ret->header = buf_bytes(&room->header);
    ret->opening = buf_bytes(&room->opening);
    ret->wrapset = buf_bytes(&room->wrapset);
    ret->offer = buf_bytes(&room->offer);
    ret->body = buf_bytes(&room->body);
    ret->digests = buf_bytes(&room->digests);
    struct legs_leaf leaf = {.position = (uint32_t)ret->position};
    memcpy(leaf.id, ret->leg, HASH_SIZE);
    uint8_t *path = buf_extend(&room->path, LEGS_DEPTH * HASH_SIZE);
    if (!path) letter_die("memory ran out");
    must(legs_path(&leaf, 1, ret->seed, 0, path), "a path");
    ret->path = buf_bytes(&room->path);
    ret->has_path = true;
}

uint64_t letter_number(const struct letter *letter) {
    struct bytes payload;
    struct header header;
    uint64_t number = 0;
    if (stamp_peek(letter->header, &payload) != E_OK || header_decode(payload, &header) != E_OK) return 0;
    for (unsigned i = 8; i < REQUEST_ID_SIZE; i++) number = number << 8 | header.request[i];
    return number;
}

/* ---- as bytes ---- */

static void put_field(struct buf *out, struct bytes field) {
    uint8_t length[LENGTH_BYTES] = {(uint8_t)(field.n >> 24), (uint8_t)(field.n >> 16), (uint8_t)(field.n >> 8),
                                    (uint8_t)field.n};
    buf_add(out, length, sizeof length);
    buf_add_bytes(out, field);
}

static bool take_field(struct bytes *rest, struct bytes *ret) {
    if (rest->n < LENGTH_BYTES) return false;
    size_t n = (size_t)rest->p[0] << 24 | (size_t)rest->p[1] << 16 | (size_t)rest->p[2] << 8 | rest->p[3];
    if (n > rest->n - LENGTH_BYTES) return false;
    *ret = bytes_of(rest->p + LENGTH_BYTES, n);
    *rest = bytes_of(rest->p + LENGTH_BYTES + n, rest->n - LENGTH_BYTES - n);
    return true;
}

void letter_flatten(const struct letter *letter, struct buf *out) {
    AUTO_BUF place = {0};
    place_encode(&(struct place){.opening = letter->opening, .position = letter->position}, &place);
    put_field(out, letter->header);
    put_field(out, buf_bytes(&place));
    put_field(out, letter->path);
    put_field(out, letter->wrapset);
    put_field(out, letter->offer);
    put_field(out, letter->body);
    must(buf_error(out), "a letter");
}

enum error letter_parse(struct bytes bytes, struct letter *ret) {
    struct bytes place_bytes;
    struct place place;
    *ret = (struct letter){.has_path = true};
    bool good = take_field(&bytes, &ret->header) && take_field(&bytes, &place_bytes) &&
                take_field(&bytes, &ret->path) && take_field(&bytes, &ret->wrapset) &&
                take_field(&bytes, &ret->offer) && take_field(&bytes, &ret->body);
    if (!good || bytes.n > 0 || ret->path.n != LEGS_DEPTH * HASH_SIZE) return E_MALFORMED;
    TRY(place_decode(place_bytes, &place));
    ret->opening = place.opening;
    ret->position = place.position;
    return E_OK;
}

/* ---- opening ---- */

static enum error check_place(const struct letter *letter, const struct header *header,
                              uint8_t ret_leg[static HASH_SIZE]) {
    AUTO_BUF list = {0};
    struct opening opening;
    struct place place = {.opening = letter->opening, .position = letter->position};
    for (size_t at = 0; at < letter->path.n; at += HASH_SIZE)
        cbor_put_bytes(&list, bytes_of(letter->path.p + at, HASH_SIZE));
    TRY(buf_error(&list));
    return legs_verify(&place, list_of(&list, letter->path.n / HASH_SIZE), header->legs, &opening, ret_leg);
}

static enum error open_keys(const struct letter_ends *ends, struct letter *letter) {
    AUTO_BUF room = {0};
    struct bytes payload;
    struct wrapset set;
    struct wrap wrap;
    struct wrapped keys;
    TRY(stamp_verify(LABEL_WRAPSET, ends->sender.device, letter->wrapset, &payload));
    TRY(wrapset_decode(payload, &set));
    if (memcmp(set.header, letter->digest, HASH_SIZE) != 0 || !set.has_leg ||
        memcmp(set.leg, letter->leg, HASH_SIZE) != 0)
        return E_MISMATCH;
    TRY(wrapping_find(&set, ends->recipient.device, &wrap));
    TRY(wrapping_open(&set, &wrap, ends->recipient.prekey_secret, NULL, &room, &keys));
    if (!keys.has_offer_key || !keys.has_body_key) return E_MISSING_FIELD;
    memcpy(letter->keys, keys.offer_key, KEY_SIZE);
    memcpy(letter->keys + KEY_SIZE, keys.body_key, KEY_SIZE);
    letter->has_keys = true;
    return E_OK;
}

/* All chunks of a part: digests as the header says, then the plaintext. */
static enum error open_part(const struct header *header, const struct part *part, enum part_number number,
                            const uint8_t key[static KEY_SIZE], struct bytes sealed, struct buf *plain) {
    struct content_context context = context_of(header, number);
    uint64_t count = chunks_count(part->length);
    AUTO_BUF digests = {0};
    size_t at = 0;
    if (sealed.n != part->length) return E_BAD_DIGEST;
    for (uint64_t i = 0; i < count; i++) {
        size_t n = chunks_size(part->length, i);
        uint8_t digest[HASH_SIZE];
        chunk_digest(bytes_of(sealed.p + at, n), digest);
        buf_add(&digests, digest, HASH_SIZE);
        TRY(content_open_chunk(&context, key, i, i + 1 == count, bytes_of(sealed.p + at, n), plain));
        at += n;
    }
    TRY(chunks_check_digests(part->length, part->digest, buf_bytes(&digests)));
    return buf_error(plain);
}

enum error letter_open_offer(const struct letter_ends *ends, struct letter *letter) {
    AUTO_BUF plain = {0};
    struct header header;
    struct offer offer;
    TRY(header_open(letter->header, &header, letter->digest));
    if (memcmp(header.device, ends->sender.device, KEY_SIZE) != 0) return E_NOT_ALLOWED;
    TRY(check_place(letter, &header, letter->leg));
    TRY(open_keys(ends, letter));
    TRY(open_part(&header, &header.offer, PART_OFFER, letter->keys, letter->offer, &plain));
    return content_open_offer(buf_bytes(&plain), &header, &offer);
}

enum error letter_open(const struct letter_ends *ends, struct letter *letter, struct buf *ret_text) {
    AUTO_BUF plain = {0};
    struct bytes payload;
    struct header header;
    struct manifest manifest;
    struct file file;
    size_t size;
    if (!letter->has_keys) TRY(letter_open_offer(ends, letter));
    TRY(stamp_peek(letter->header, &payload));
    TRY(header_decode(payload, &header));
    TRY(open_part(&header, &header.body, PART_BODY, letter->keys + KEY_SIZE, letter->body, &plain));
    TRY(content_open_manifest(buf_bytes(&plain), &header, &manifest, &size));
    if (!file_next(&manifest.files, &file) || file.length > plain.n - size) return E_MALFORMED;
    size_t end = size + (size_t)file.length;
    TRY(content_check_padding(end, plain.n, bytes_of(plain.p + end, plain.n - end)));
    buf_add(ret_text, plain.p + size, (size_t)file.length);
    return buf_error(ret_text);
}

/* ---- receipts ---- */

static void encode_word(const struct letter_ends *ends, const struct letter_word *word, struct buf *out) {
    struct statement statement = {.event = (uint64_t)word->event,
                                  .has_leg = true,
                                  .has_post = true,
                                  .post = bytes_text(ends->recipient.post),
                                  .time = {wall_ms()}};
    memcpy(statement.header, word->done->digest, HASH_SIZE);
    memcpy(statement.leg, word->done->leg, HASH_SIZE);
    memcpy(statement.device, ends->recipient.device, KEY_SIZE);
    randombytes_buf(statement.nonce, NONCE_SIZE);
    statement_encode(&statement, out);
}

void letter_sign(const struct letter_ends *ends, const struct letter_word *words, size_t count,
                 struct buf *ret_stamped) {
    AUTO_FREE(struct buf) payloads = calloc(count, sizeof *payloads);
    AUTO_FREE(struct bytes) views = calloc(count, sizeof *views);
    if (!payloads || !views) letter_die("memory ran out");
    for (size_t i = 0; i < count; i++) {
        encode_word(ends, &words[i], &payloads[i]);
        views[i] = buf_bytes(&payloads[i]);
    }
    must(stamp_sign(LABEL_STATEMENT, ends->recipient.device_secret, views, count, ret_stamped), "statements");
    for (size_t i = 0; i < count; i++) buf_free(&payloads[i]);
}

enum error letter_check(const struct letter_ends *ends, const struct letter_done *done, struct bytes receipt,
                        struct stamp_cache *cache) {
    struct bytes payload;
    struct statement statement;
    TRY(stamp_verify_cached(LABEL_STATEMENT, ends->recipient.device, receipt, cache, &payload));
    TRY(statement_decode(payload, &statement));
    if (statement.event != EVENT_HANDED_OVER || !statement.has_leg) return E_MISMATCH;
    if (memcmp(statement.device, ends->recipient.device, KEY_SIZE) != 0) return E_NOT_ALLOWED;
    bool same =
        memcmp(statement.header, done->digest, HASH_SIZE) == 0 && memcmp(statement.leg, done->leg, HASH_SIZE) == 0;
    return same ? E_OK : E_MISMATCH;
}
