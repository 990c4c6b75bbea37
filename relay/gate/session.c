/* session.c - three chained tables (by key, number, fd) over two lists. The tables are sized for the
 * greatest number of sessions at once and never grow; keys are hashed under a random key, because peers choose them. */
#include "session.h"

#include <assert.h>
#include <sodium.h>

struct chain {
    struct session *first, *last;
};

struct sessions {
    size_t max, count, mask;
    uint64_t next_number;
    size_t unsent_bytes;
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    struct chain connected, parted;
    struct session **by_key, **by_number, **by_fd;
};

/* ---- lists ---- */

static void chain_add(struct chain *chain, struct session *session) {
    session->list_before = chain->last;
    session->list_after = NULL;
    if (chain->last)
        chain->last->list_after = session;
    else
        chain->first = session;
    chain->last = session;
}

static void chain_remove(struct chain *chain, struct session *session) {
    if (session->list_before)
        session->list_before->list_after = session->list_after;
    else
        chain->first = session->list_after;
    if (session->list_after)
        session->list_after->list_before = session->list_before;
    else
        chain->last = session->list_before;
}

static struct chain *chain_of(struct sessions *sessions, const struct session *session) {
    return session->route.n ? &sessions->connected : &sessions->parted;
}

/* ---- tables ---- */

static struct session **key_slot(const struct sessions *sessions, const uint8_t transport[static KEY_SIZE]) {
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "the hash is a number");
    crypto_shorthash((uint8_t *)&hash, transport, KEY_SIZE, sessions->hash_key);
    return &sessions->by_key[hash & sessions->mask];
}

static struct session **number_slot(const struct sessions *sessions, uint64_t number) {
    return &sessions->by_number[number & sessions->mask];
}

static struct session **fd_slot(const struct sessions *sessions, int fd) {
    return &sessions->by_fd[(unsigned)fd & sessions->mask];
}

static void number_add(struct sessions *sessions, struct session *session) {
    struct session **slot = number_slot(sessions, session->number);
    session->number_next = *slot;
    *slot = session;
}

static void number_remove(struct sessions *sessions, struct session *session) {
    struct session **at = number_slot(sessions, session->number);
    while (*at != session) at = &(*at)->number_next;
    *at = session->number_next;
}

static void fd_add(struct sessions *sessions, struct session *session, int fd) {
    session->fd = fd;
    if (fd < 0) return;
    struct session **slot = fd_slot(sessions, fd);
    session->fd_next = *slot;
    *slot = session;
}

static void fd_remove(struct sessions *sessions, struct session *session) {
    if (session->fd < 0) return;
    struct session **at = fd_slot(sessions, session->fd);
    while (*at != session) at = &(*at)->fd_next;
    *at = session->fd_next;
    session->fd = -1;
}

static void key_remove(struct sessions *sessions, struct session *session) {
    struct session **at = key_slot(sessions, session->transport);
    while (*at != session) at = &(*at)->key_next;
    *at = session->key_next;
}

/* ---- unsent frames ---- */

static void unsent_drop(struct sessions *sessions, struct session *session) {
    struct unsent *first = session->unsent_first;
    session->unsent_first = first->next;
    if (!session->unsent_first) session->unsent_last = NULL;
    session->unsent_bytes -= first->n;
    sessions->unsent_bytes -= first->n;
    free(first);
}

static void unsent_clear(struct sessions *sessions, struct session *session) {
    while (session->unsent_first) unsent_drop(sessions, session);
}

enum error sessions_keep(struct sessions *sessions, struct session *session, struct bytes frame, size_t max,
                         uint64_t now_ms) {
    assert(session->route.n > 0);
    if (frame.n > max || session->unsent_bytes > max - frame.n) return E_BUSY;
    if (sessions->unsent_bytes > UNSENT_ALL_MAX - frame.n) return E_BUSY;
    struct unsent *unsent = malloc(sizeof *unsent + frame.n);
    if (!unsent) return E_NO_MEMORY;
    unsent->next = NULL;
    unsent->n = frame.n;
    if (frame.n) memcpy(unsent->bytes, frame.p, frame.n);
    if (session->unsent_last)
        session->unsent_last->next = unsent;
    else
        session->unsent_first = unsent;
    if (!session->unsent_last) session->stuck_ms = now_ms;
    session->unsent_last = unsent;
    session->unsent_bytes += frame.n;
    sessions->unsent_bytes += frame.n;
    return E_OK;
}

void sessions_sent(struct sessions *sessions, struct session *session, uint64_t now_ms) {
    assert(session->unsent_first);
    unsent_drop(sessions, session);
    session->stuck_ms = now_ms;
}

size_t sessions_unsent(const struct sessions *sessions) { return sessions->unsent_bytes; }

/* ---- making and forgetting ---- */

struct sessions *sessions_new(size_t max, uint64_t first_number) {
    size_t slots = 16;
    while (slots < max) slots *= 2;
    struct sessions *sessions = calloc(1, sizeof *sessions);
    if (!sessions) return NULL;
    sessions->by_key = calloc(slots, sizeof *sessions->by_key);
    sessions->by_number = calloc(slots, sizeof *sessions->by_number);
    sessions->by_fd = calloc(slots, sizeof *sessions->by_fd);
    if (!sessions->by_key || !sessions->by_number || !sessions->by_fd) {
        sessions_free(sessions);
        return NULL;
    }
    sessions->max = max;
    sessions->mask = slots - 1;
    sessions->next_number = first_number;
    crypto_shorthash_keygen(sessions->hash_key);
    return sessions;
}

static void chain_free(struct sessions *sessions, struct chain *chain) {
    while (chain->first) {
        struct session *session = chain->first;
        unsent_clear(sessions, session);
        chain->first = session->list_after;
        free(session);
    }
}

void sessions_free(struct sessions *sessions) {
    if (!sessions) return;
    chain_free(sessions, &sessions->connected);
    chain_free(sessions, &sessions->parted);
    free(sessions->by_key);
    free(sessions->by_number);
    free(sessions->by_fd);
    free(sessions);
}

static void forget(struct sessions *sessions, struct session *session) {
    chain_remove(chain_of(sessions, session), session);
    key_remove(sessions, session);
    number_remove(sessions, session);
    fd_remove(sessions, session);
    sessions->count--;
    free(session);
}

/* Who is connected is never forgotten for a newcomer; who parted longest ago is. */
static enum error make_room(struct sessions *sessions) {
    if (sessions->count < sessions->max) return E_OK;
    if (!sessions->parted.first) return E_BUSY;
    forget(sessions, sessions->parted.first);
    return E_OK;
}

static enum error add(struct sessions *sessions, const uint8_t transport[static KEY_SIZE], struct session **ret) {
    TRY(make_room(sessions));
    struct session *session = calloc(1, sizeof *session);
    if (!session) return E_NO_MEMORY;
    memcpy(session->transport, transport, KEY_SIZE);
    session->fd = -1;
    session->number = sessions->next_number++;
    struct session **slot = key_slot(sessions, transport);
    session->key_next = *slot;
    *slot = session;
    number_add(sessions, session);
    chain_add(&sessions->parted, session);
    sessions->count++;
    *ret = session;
    return E_OK;
}

/* ---- what the network tells ---- */

static bool same_route(const struct route *a, const struct route *b) {
    return bytes_equal(bytes_of(a->id, a->n), bytes_of(b->id, b->n));
}

/* The session moves to another connection and takes a new number with it. */
static void reconnect(struct sessions *sessions, struct session *session, const struct route *route, int fd) {
    unsent_clear(sessions, session); /* answers to what the earlier connection asked */
    fd_remove(sessions, session);
    if (fd >= 0) sessions_part_fd(sessions, fd); /* its former user is gone, or the fd would not be there again */
    number_remove(sessions, session);
    session->number = sessions->next_number++;
    number_add(sessions, session);
    session->route = *route;
    session->waiting = 0;
    session->evict_ms = 0;
    fd_add(sessions, session, fd);
}

enum error sessions_arrive(struct sessions *sessions, const uint8_t transport[static KEY_SIZE],
                           const struct route *route, int fd, uint64_t now_ms, struct session **ret,
                           struct route *ret_older) {
    assert(route->n > 0);
    struct session *session = sessions_by_key(sessions, transport);
    if (!session) TRY(add(sessions, transport, &session));
    *ret_older = (struct route){0};
    chain_remove(chain_of(sessions, session), session);
    bool same = same_route(&session->route, route);
    if (!same || session->fd != fd) { /* peers may choose a routing id, and choose it again for the next connection */
        if (!same) *ret_older = session->route;
        reconnect(sessions, session, route, fd);
    }
    session->seen_ms = now_ms;
    chain_add(&sessions->connected, session);
    *ret = session;
    return E_OK;
}

struct session *sessions_by_key(const struct sessions *sessions, const uint8_t transport[static KEY_SIZE]) {
    struct session *session = *key_slot(sessions, transport);
    while (session && memcmp(session->transport, transport, KEY_SIZE) != 0) session = session->key_next;
    return session;
}

struct session *sessions_by_number(const struct sessions *sessions, uint64_t number) {
    struct session *session = *number_slot(sessions, number);
    while (session && session->number != number) session = session->number_next;
    return session;
}

void sessions_part(struct sessions *sessions, struct session *session) {
    if (session->route.n == 0) return;
    chain_remove(&sessions->connected, session);
    unsent_clear(sessions, session);
    fd_remove(sessions, session);
    session->route.n = 0;
    session->evict_ms = 0;
    chain_add(&sessions->parted, session);
}

void sessions_part_fd(struct sessions *sessions, int fd) {
    if (fd < 0) return;
    struct session *session = *fd_slot(sessions, fd);
    while (session && session->fd != fd) session = session->fd_next;
    if (session) sessions_part(sessions, session);
}

void sessions_sweep(struct sessions *sessions, uint64_t now_ms) {
    struct session *session;
    while ((session = sessions->parted.first) && now_ms - session->seen_ms >= SESSION_IDLE_MS)
        forget(sessions, session);
}

struct session *sessions_next(const struct sessions *sessions, const struct session *after) {
    return after ? after->list_after : sessions->connected.first;
}

size_t sessions_count(const struct sessions *sessions) { return sessions->count; }

static size_t check_list(const struct sessions *sessions, const struct chain *chain, bool connected,
                         size_t *unsent_bytes) {
    size_t count = 0;
    const struct session *before = NULL;
    for (const struct session *session = chain->first; session; session = session->list_after) {
        assert((session->route.n > 0) == connected);
        assert(session->list_before == before);
        assert(!connected || !before || before->seen_ms <= session->seen_ms);
        assert(sessions_by_key(sessions, session->transport) == session);
        assert(sessions_by_number(sessions, session->number) == session);
        assert(connected || (session->fd < 0 && !session->unsent_first));
        *unsent_bytes += session->unsent_bytes;
        before = session;
        count++;
    }
    assert(chain->last == before);
    return count;
}

void sessions_check(const struct sessions *sessions) {
    size_t unsent_bytes = 0;
    size_t count = check_list(sessions, &sessions->connected, true, &unsent_bytes);
    count += check_list(sessions, &sessions->parted, false, &unsent_bytes);
    assert(unsent_bytes == sessions->unsent_bytes);
    assert(count == sessions->count && count <= sessions->max);
}
