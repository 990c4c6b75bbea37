/* admit.c - type, version, member or guest, rate. */
#include "admit.h"

enum { THOUSAND = 1000, HELLO_PAIRS_MAX = 32 };

bool bucket_take(struct bucket *bucket, uint64_t rate, uint64_t now_ms, uint32_t *ret_retry_s) {
    uint64_t full = rate * THOUSAND;
    uint64_t elapsed_ms = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
    /* `rate` messages a second are `rate` thousandths a millisecond; after a second it is full in any case. */
    uint64_t gained = elapsed_ms >= THOUSAND ? full : elapsed_ms * rate;
    uint64_t held = bucket->used ? bucket->thousandths + gained : full;
    if (held > full) held = full;
    bool enough = held >= THOUSAND;
    *bucket = (struct bucket){enough ? held - THOUSAND : held, now_ms, true};
    if (!enough) *ret_retry_s = 1;
    return enough;
}

struct standing admit_standing(const struct directory *directory, const uint8_t transport[static KEY_SIZE],
                               struct instant time) {
    const struct directory_device *device = directory_transport(directory, transport);
    if (!device) return (struct standing){NULL, E_UNKNOWN_DEVICE};
    return (struct standing){device, directory_live(device, time)};
}

bool admit_key(const struct directory *directory, const uint8_t transport[static KEY_SIZE]) {
    const struct directory_device *device = directory_transport(directory, transport);
    return !device || (!device->revoked && !device->post->revoked);
}

/* Looks at the version alone: a later version's HELLO may have fields that this one does not know, and its sender is
 * better served by hearing which of the two programs is old. What is no HELLO at all fails in decoding later. */
static bool other_version(struct bytes hello) {
    struct cbor_in in = cbor_in(hello);
    cbor_map(&in, HELLO_PAIRS_MAX);
    uint64_t key = cbor_uint(&in);
    uint64_t version = cbor_uint(&in);
    return in.error == E_OK && key == 1 && version != WIRE_VERSION;
}

enum error admit_frame(const struct frame *frame, const struct standing *standing, const struct message_row **ret_row) {
    if (standing->live == E_REVOKED) return E_REVOKED;
    const struct message_row *row = message_row(frame->type);
    if (!row || !row->from_client) return E_UNKNOWN_MESSAGE;
    if (row->type == MESSAGE_HELLO && other_version(frame->body)) return E_UNKNOWN_VERSION;
    if (!row->anyone) TRY(standing->live);
    *ret_row = row;
    return E_OK;
}
