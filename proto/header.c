/* header.c - the request's header, and the tree of its legs: a sparse tree whose empty subtrees are keyed padding. */
#include "header.h"

#include <sodium.h>

#include "chunks.h"
#include "merkle.h"
#include "text.h"

void header_digest(struct bytes payload, uint8_t ret[static HASH_SIZE]) {
    label_digest(LABEL_HEADER_DIGEST, payload, ret);
}

enum leg_kind header_leg_kind(const struct header *header) {
    if (header->has_parent) return LEG_REPLY;
    return header->has_body ? LEG_REQUEST : LEG_OFFER_ONLY;
}

enum error header_check(const struct header *header) {
    if (!text_is_post(header->from)) return E_BAD_TEXT;
    /* A reply has a body and no offer; every other request has an offer. So there is at least one part. */
    if (header->has_parent ? header->has_offer || !header->has_body : !header->has_offer) return E_MALFORMED;
    if (header->has_offer && chunks_count(header->offer.length) == 0) return E_MALFORMED;
    if (header->has_body && chunks_count(header->body.length) == 0) return E_MALFORMED;
    if (!header->exercise && header->keep_s < KEEP_MIN_S) return E_BAD_KEEP;
    return E_OK;
}

enum error header_open(struct bytes stamped, struct header *ret_header, uint8_t ret_digest[static HASH_SIZE]) {
    struct bytes payload;
    struct header header;
    TRY(stamp_peek(stamped, &payload));
    if (payload.n > HEADER_MAX) return E_OUT_OF_RANGE;
    TRY(header_decode(payload, &header));
    TRY(stamp_verify(LABEL_HEADER, header.device, stamped, NULL));
    TRY(header_check(&header));
    *ret_header = header;
    header_digest(payload, ret_digest);
    return E_OK;
}

/* The legs that stand in one subtree. */
struct range {
    const struct legs_leaf *leaves;
    size_t count;
};

static void pad(const uint8_t seed[static HASH_SIZE], unsigned level, uint32_t index, uint8_t ret[static HASH_SIZE]) {
    const uint8_t tail[] = {
        0, (uint8_t)level, (uint8_t)(index >> 24), (uint8_t)(index >> 16), (uint8_t)(index >> 8), (uint8_t)index};
    struct bytes text = label_text(LABEL_PAD);
    crypto_generichash_state state;
    crypto_generichash_init(&state, seed, HASH_SIZE, HASH_SIZE);
    crypto_generichash_update(&state, text.p, text.n);
    crypto_generichash_update(&state, tail, sizeof tail);
    crypto_generichash_final(&state, ret, HASH_SIZE);
}

/* Those of `all` at positions from..from+width-1. */
static struct range within(struct range all, uint32_t from, uint32_t width) {
    size_t first = 0, end;
    while (first < all.count && all.leaves[first].position < from) first++;
    for (end = first; end < all.count && all.leaves[end].position - from < width; end++) {
    }
    return (struct range){all.leaves + first, end - first};
}

static void subtree(struct range range, const uint8_t seed[static HASH_SIZE], unsigned level, uint32_t index,
                    uint8_t ret[static HASH_SIZE]) {
    if (range.count == 0) {
        pad(seed, level, index, ret);
        return;
    }
    if (level == 0) {
        memcpy(ret, range.leaves[0].id, HASH_SIZE);
        return;
    }
    uint8_t left[HASH_SIZE], right[HASH_SIZE];
    uint32_t width = (uint32_t)1 << (level - 1);
    subtree(within(range, 2 * index * width, width), seed, level - 1, 2 * index, left);
    subtree(within(range, (2 * index + 1) * width, width), seed, level - 1, 2 * index + 1, right);
    merkle_node(left, right, ret);
}

static bool in_order(const struct legs_leaf *leaves, size_t count) {
    if (count == 0 || count > LEGS_MAX || leaves[count - 1].position >= LEGS_MAX) return false;
    for (size_t i = 1; i < count; i++)
        if (leaves[i].position <= leaves[i - 1].position) return false;
    return true;
}

void legs_leaves(struct list places, struct legs_leaf *ret) {
    struct place place;
    for (; place_next(&places, &place); ret++) {
        ret->position = (uint32_t)place.position;
        stamp_hash(place.opening, ret->id);
    }
}

enum error legs_root(const struct legs_leaf *leaves, size_t count, const uint8_t seed[static HASH_SIZE],
                     uint8_t ret[static HASH_SIZE]) {
    if (!in_order(leaves, count)) return E_MALFORMED;
    subtree((struct range){leaves, count}, seed, LEGS_DEPTH, 0, ret);
    return E_OK;
}

enum error legs_path(const struct legs_leaf *leaves, size_t count, const uint8_t seed[static HASH_SIZE], size_t which,
                     uint8_t ret[static LEGS_DEPTH * HASH_SIZE]) {
    if (!in_order(leaves, count) || which >= count) return E_MALFORMED;
    for (unsigned level = 0; level < LEGS_DEPTH; level++) {
        uint32_t sibling = leaves[which].position >> level ^ 1;
        struct range range = within((struct range){leaves, count}, sibling << level, (uint32_t)1 << level);
        subtree(range, seed, level, sibling, ret + level * HASH_SIZE);
    }
    return E_OK;
}

enum error legs_verify(const struct place *place, struct list path, const uint8_t root[static HASH_SIZE],
                       struct opening *ret_opening, uint8_t ret_leg[static HASH_SIZE]) {
    if (path.count != LEGS_DEPTH) return E_BAD_PROOF;
    uint8_t leg[HASH_SIZE], hashes[LEGS_DEPTH * HASH_SIZE];
    const uint8_t *hash;
    for (size_t at = 0; list_next_fixed(&path, HASH_SIZE, &hash); at += HASH_SIZE) memcpy(hashes + at, hash, HASH_SIZE);
    merkle_leaf(place->opening, leg);
    TRY(merkle_verify_inclusion(leg, place->position, LEGS_MAX, bytes_of(hashes, sizeof hashes),
                                bytes_of(root, HASH_SIZE)));
    struct opening opening;
    TRY(opening_decode(place->opening, &opening));
    if (!text_is_post(opening.to)) return E_BAD_TEXT;
    *ret_opening = opening;
    memcpy(ret_leg, leg, HASH_SIZE);
    return E_OK;
}
