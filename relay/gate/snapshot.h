/* snapshot.h - the directory as it was at one moment, shared between the network thread and the workers.
 *
 * Whoever holds a snapshot may read it for as long as it holds it. Only the network thread hands out holds and grows
 * the directory: in place while nobody else holds the snapshot, else in a copy that takes its place. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdatomic.h>

#include "directory.h"
#include "link.h"

struct snapshot {
    atomic_size_t holders;
    struct directory *directory;
    /* Network thread only: all devices ordered by post; made when first needed. */
    const struct directory_device **by_post;
    size_t device_count;
};

/* Takes the directory over; one hold is the caller's. NULL when memory ran out (the directory is freed then too). */
struct snapshot *snapshot_new(struct directory *directory);
struct snapshot *snapshot_hold(struct snapshot *snapshot);
void snapshot_drop(struct snapshot **snapshot);

/* Applies the leaves that *snapshot lacks. E_MISMATCH when there is a gap; any error of directory_apply. After an error
 * the snapshot is still consistent, but behind the ledger's: the gate cannot go on. */
CHECKED enum error snapshot_grow(struct snapshot **snapshot, const struct grown *grown);

/* The devices of a post, live or not: their number, and the first of them. */
size_t snapshot_post(struct snapshot *snapshot, struct bytes post, const struct directory_device *const **ret_devices);

#endif
