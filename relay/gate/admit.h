/* admit.h - who may send what, and how often: judged before any signature is checked. No sockets, no clock.
 *
 * A bucket holds up to one second's worth of messages and refills evenly; it belongs to a key, not to a connection, so
 * that reconnecting does not fill it. Times here are of a monotonic clock, in milliseconds. */
#ifndef ADMIT_H
#define ADMIT_H

#include "directory.h"
#include "message.h"

struct bucket {
    uint64_t thousandths; /* of a message */
    uint64_t at_ms;
    bool used; /* false: full, whatever the rate */
};

/* Takes one message at `rate` messages a second. False: none is left; *ret_retry_s says when it is worth trying again.
 */
bool bucket_take(struct bucket *bucket, uint64_t rate, uint64_t now_ms, uint32_t *ret_retry_s);

/* Whom a transport key belongs to at this moment. */
struct standing {
    const struct directory_device *device; /* NULL: unknown to the directory, a guest */
    enum error live;                       /* E_OK: a member; else why not. A guest: E_UNKNOWN_DEVICE */
};

struct standing admit_standing(const struct directory *directory, const uint8_t transport[static KEY_SIZE],
                               struct instant time);
/* Certificates that were revoked are not even let in: neither the device's nor its post's. */
bool admit_key(const struct directory *directory, const uint8_t transport[static KEY_SIZE]);

/* May a peer of this standing send this frame? E_REVOKED; E_UNKNOWN_MESSAGE for a type that is unknown or the relay's
 * own; E_UNKNOWN_VERSION for a HELLO of another version; for what only members may send, the reason in standing->live.
 */
CHECKED enum error admit_frame(const struct frame *frame, const struct standing *standing,
                               const struct message_row **ret_row);

#endif
