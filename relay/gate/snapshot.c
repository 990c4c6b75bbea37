/* snapshot.c - shared, counted directories. */
#include "snapshot.h"

#include <assert.h>

struct snapshot *snapshot_new(struct directory *directory) {
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        directory_free(directory);
        return NULL;
    }
    atomic_init(&snapshot->holders, 1);
    snapshot->directory = directory;
    return snapshot;
}

struct snapshot *snapshot_hold(struct snapshot *snapshot) {
    atomic_fetch_add_explicit(&snapshot->holders, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_drop(struct snapshot **pp) {
    struct snapshot *snapshot = take(pp);
    if (!snapshot) return;
    size_t before = atomic_fetch_sub_explicit(&snapshot->holders, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1) return;
    directory_free(snapshot->directory);
    free(snapshot->by_post);
    free(snapshot);
}

/* The ledger has verified every signature; here they would cost the same again at each start. */
static enum error apply(struct directory *directory, const struct grown *grown) {
    uint64_t held = directory_size(directory);
    if (grown->from > held) return E_MISMATCH;
    struct list leaves = grown->leaves;
    struct bytes bytes;
    for (uint64_t index = grown->from; list_next_bytes(&leaves, &bytes); index++) {
        if (index < held) continue;
        TRY(directory_replay(directory, bytes));
    }
    return E_OK;
}

/* Nobody else can come to hold it meanwhile, because only this thread hands out holds. */
static bool held_alone(const struct snapshot *snapshot) {
    return atomic_load_explicit(&snapshot->holders, memory_order_acquire) == 1;
}

static enum error grow_in_place(struct snapshot *snapshot, const struct grown *grown) {
    free(snapshot->by_post);
    snapshot->by_post = NULL;
    return apply(snapshot->directory, grown);
}

enum error snapshot_grow(struct snapshot **pp, const struct grown *grown) {
    if (held_alone(*pp)) return grow_in_place(*pp, grown);
    struct directory *directory = directory_copy((*pp)->directory);
    if (!directory) return E_NO_MEMORY;
    struct snapshot *snapshot = snapshot_new(directory);
    if (!snapshot) return E_NO_MEMORY;
    enum error error = grow_in_place(snapshot, grown);
    if (error != E_OK) {
        snapshot_drop(&snapshot);
        return error;
    }
    snapshot_drop(pp);
    *pp = snapshot;
    return E_OK;
}

static int compare_posts(const void *a, const void *b) {
    const struct directory_device *const *x = a, *const *y = b;
    return strcmp((*x)->post->name, (*y)->post->name);
}

static bool order_by_post(struct snapshot *snapshot) {
    if (snapshot->by_post) return true;
    size_t count = 0;
    while (directory_device_nth(snapshot->directory, count)) count++;
    snapshot->by_post = calloc(count + 1, sizeof *snapshot->by_post);
    if (!snapshot->by_post) return false;
    for (size_t i = 0; i < count; i++) snapshot->by_post[i] = directory_device_nth(snapshot->directory, i);
    qsort(snapshot->by_post, count, sizeof *snapshot->by_post, compare_posts);
    snapshot->device_count = count;
    return true;
}

size_t snapshot_post(struct snapshot *snapshot, struct bytes name, const struct directory_device *const **ret_devices) {
    const struct directory_post *post = directory_post(snapshot->directory, name);
    if (!post || !order_by_post(snapshot)) return 0;
    size_t low = 0, high = snapshot->device_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(snapshot->by_post[middle]->post->name, post->name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < snapshot->device_count && snapshot->by_post[end]->post == post) end++;
    *ret_devices = (const struct directory_device *const *)(snapshot->by_post + low);
    return end - low;
}
