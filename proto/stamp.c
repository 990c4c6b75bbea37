/* stamp.c - batch signatures: a tree over the payloads, one COSE_Sign1 over its size and root. */
#include "stamp.h"

#include <assert.h>

#include "merkle.h"
#include "sign.h"

void stamp_hash(struct bytes payload, uint8_t ret[static HASH_SIZE]) { merkle_leaf(payload, ret); }

static void batch_bytes(uint64_t size, const uint8_t root[static HASH_SIZE], struct buf *out) {
    struct batch batch = {.size = size};
    memcpy(batch.root, root, HASH_SIZE);
    batch_encode(&batch, out);
}

static enum error stamp_encode(struct bytes payload, const uint8_t *levels, size_t n, size_t index,
                               struct bytes signature, struct buf *out) {
    uint8_t hashes[MERKLE_DEPTH_MAX * HASH_SIZE];
    size_t count = merkle_levels_path(levels, n, index, hashes);
    AUTO_BUF path = {0};
    for (size_t i = 0; i < count; i++) cbor_put_bytes(&path, bytes_of(hashes + i * HASH_SIZE, HASH_SIZE));
    TRY(buf_error(&path));
    struct stamped stamped = {
        .payload = payload, .index = index, .size = n, .path = list_of(&path, count), .signature = signature};
    stamped_encode(&stamped, out);
    return buf_error(out);
}

enum error stamp_sign(enum label label, const uint8_t secret[static SIGN_SECRET_SIZE], const struct bytes *payloads,
                      size_t n, struct buf *ret) {
    assert(n >= 1 && n <= STAMP_MAX);
    for (size_t i = 0; i < n; i++)
        if (payloads[i].n > WRAPSET_MAX) return E_TOO_LARGE;
    size_t count = merkle_levels_count(n);
    AUTO_FREE(uint8_t) levels = malloc(count * HASH_SIZE);
    if (!levels) return E_NO_MEMORY;
    for (size_t i = 0; i < n; i++) merkle_leaf(payloads[i], levels + i * HASH_SIZE);
    merkle_levels(levels, n);
    AUTO_BUF batch = {0}, signature = {0};
    batch_bytes(n, levels + (count - 1) * HASH_SIZE, &batch);
    TRY(buf_error(&batch));
    sign1_sign(secret, label_text(label), buf_bytes(&batch), &signature);
    TRY(buf_error(&signature));
    for (size_t i = 0; i < n; i++) TRY(stamp_encode(payloads[i], levels, n, i, buf_bytes(&signature), &ret[i]));
    return E_OK;
}

enum error stamp_sign_one(enum label label, const uint8_t secret[static SIGN_SECRET_SIZE], struct bytes payload,
                          struct buf *ret) {
    return stamp_sign(label, secret, &payload, 1, ret);
}

enum error stamp_peek(struct bytes stamped, struct bytes *ret_payload) {
    struct stamped got;
    TRY(stamped_decode(stamped, &got));
    *ret_payload = got.payload;
    return E_OK;
}

/* The path's hashes without their CBOR heads; at most STAMP_PATH_MAX, as the table bounds the list. */
static struct bytes flatten(struct list path, uint8_t room[static STAMP_PATH_MAX * HASH_SIZE]) {
    const uint8_t *hash;
    size_t n = 0;
    for (; list_next_fixed(&path, HASH_SIZE, &hash); n += HASH_SIZE) memcpy(room + n, hash, HASH_SIZE);
    return bytes_of(room, n);
}

/* ---- verification: a batch's signature holds, or held before ---- */

static bool cache_has(const struct stamp_cache *cache, const struct stamp_checked *checked) {
    for (size_t i = 0; i < cache->count; i++)
        if (memcmp(&cache->checked[i], checked, sizeof *checked) == 0) return true;
    return false;
}

static void cache_add(struct stamp_cache *cache, const struct stamp_checked *checked) {
    cache->checked[cache->next] = *checked;
    cache->next = (cache->next + 1) % STAMP_CACHE_MAX;
    if (cache->count < STAMP_CACHE_MAX) cache->count++;
}

/* Everything that the signature's validity depends on; zeroed first, because entries are compared whole. */
static void checked_set(struct stamp_checked *checked, enum label label, const uint8_t key[static KEY_SIZE],
                        const struct stamped *stamped, const uint8_t root[static HASH_SIZE]) {
    memset(checked, 0, sizeof *checked);
    checked->label = label;
    checked->size = stamped->size;
    memcpy(checked->key, key, KEY_SIZE);
    memcpy(checked->root, root, HASH_SIZE);
    memcpy(checked->signature, stamped->signature.p, stamped->signature.n);
}

static enum error verify_batch(enum label label, const uint8_t key[static KEY_SIZE], const struct stamped *stamped,
                               const uint8_t root[static HASH_SIZE]) {
    AUTO_BUF batch = {0};
    batch_bytes(stamped->size, root, &batch);
    TRY(buf_error(&batch));
    return sign1_verify(key, label_text(label), stamped->signature, buf_bytes(&batch), NULL);
}

enum error stamp_verify_cached(enum label label, const uint8_t key[static KEY_SIZE], struct bytes stamped,
                               struct stamp_cache *cache, struct bytes *ret_payload) {
    struct stamped got;
    TRY(stamped_decode(stamped, &got));
    /* Only the narrow form: it has no unsigned byte, so nobody can make a second valid encoding of the same object. */
    if (!sign1_is_narrow(got.signature)) return E_MALFORMED;
    uint8_t room[STAMP_PATH_MAX * HASH_SIZE], leaf[HASH_SIZE], root[HASH_SIZE];
    stamp_hash(got.payload, leaf);
    TRY(merkle_root_from_path(leaf, got.index, got.size, flatten(got.path, room), root));
    struct stamp_checked checked;
    checked_set(&checked, label, key, &got, root);
    if (!cache_has(cache, &checked)) {
        TRY(verify_batch(label, key, &got, root));
        cache_add(cache, &checked);
    }
    if (ret_payload) *ret_payload = got.payload;
    return E_OK;
}

enum error stamp_verify(enum label label, const uint8_t key[static KEY_SIZE], struct bytes stamped,
                        struct bytes *ret_payload) {
    struct stamp_cache cache = {0};
    return stamp_verify_cached(label, key, stamped, &cache, ret_payload);
}
