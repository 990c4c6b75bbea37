/* gossip.c - comparing what the relay shows this home with what it shows others. */
#include "gossip.h"
#include "loss.h"

#include <stdio.h>

#include "evidence.h"
#include "fraud.h"
#include "kept.h"
#include "proofs.h"

enum { GOSSIP_MAX = 4096, WAITING_MAX = 256 };

static const char gossip_name[] = "gossip";

static struct archive_key gossip_key(uint64_t n) {
    struct archive_key key = archive_named(gossip_name);
    key.n = n;
    return key;
}

enum error gossip_head(struct home *home, struct buf *ret) {
    AUTO_BUF note = {0}, bare = {0};
    bool found = false;
    TRY(heads_newest(home, &note, &found));
    if (!found || head_bare(&home->card, buf_bytes(&note), &bare) != E_OK || bare.n > GOSSIP_MAX) return E_OK;
    buf_add_bytes(ret, buf_bytes(&bare));
    return buf_error(ret);
}

/* ---- heads ---- */

static enum error accuse(struct home *home, struct bytes from, struct bytes note, uint64_t size) {
    AUTO_BUF newest = {0}, proof = {0};
    bool found = false;
    char what[256];
    TRY(heads_newest(home, &newest, &found));
    (void)snprintf(what, sizeof what, "the relay has shown %.*s another directory of %llu entries than this home",
                   (int)from.n, (const char *)from.p, (unsigned long long)size);
    if (found && heads_contradict(home, note, buf_bytes(&newest), &proof) == E_OK)
        return proofs_accuse(home, buf_bytes(&proof), what);
    return proofs_suspect(home, E_DIRECTORY_FORKED, "%s", what);
}

static enum error same_root(struct home *home, const struct head *head, bool *ret) {
    struct phrase there; /* hashes the mirror's leaves again, up to that size */
    TRY(client_phrase(home, head->size, &there, NULL));
    *ret = memcmp(there.root, head->root, HASH_SIZE) == 0;
    return E_OK;
}

static enum error compare(struct home *home, struct bytes from, const struct head *head, struct bytes note) {
    bool same = true;
    if (head->size > 0) TRY(same_root(home, head, &same));
    return same ? E_OK : accuse(home, from, note, head->size);
}

/* Two heads of one size, which wait for the same leaves, need none to contradict each other. */
static enum error compare_waiting(struct home *home, struct bytes from, struct archive_key row, const struct head *head,
                                  struct bytes note) {
    AUTO_BUF bytes = {0}, proof = {0};
    struct keptgossip gossip;
    struct head first;
    bool found = false;
    char what[256];
    TRY(archive_get(home->archive, TABLE_HEAD, row, &bytes, &found));
    if (!found) return E_OK;
    if (keptgossip_decode(buf_bytes(&bytes), &gossip) != E_OK || head_open(&home->card, gossip.note, &first) != E_OK)
        return E_CORRUPT;
    if (memcmp(first.root, head->root, HASH_SIZE) == 0) return E_OK;
    (void)snprintf(what, sizeof what, "the relay has shown %.*s and %.*s different directories of %llu entries",
                   (int)gossip.from.n, (const char *)gossip.from.p, (int)from.n, (const char *)from.p,
                   (unsigned long long)head->size);
    if (fraud_make_heads(&home->card, gossip.note, note, (struct bytes){0}, &proof) == E_OK)
        return proofs_accuse(home, buf_bytes(&proof), what);
    return proofs_suspect(home, E_DIRECTORY_FORKED, "%s", what);
}

static enum error wait_for_mirror(struct home *home, struct bytes from, const struct head *head, struct bytes note) {
    AUTO_BUF bytes = {0};
    uint64_t waiting;
    bool known = false;
    struct archive_key row = gossip_key(head->size);
    TRY(archive_has(home->archive, TABLE_HEAD, row, &known));
    if (known) return compare_waiting(home, from, row, head, note);
    TRY(archive_count(home->archive, TABLE_HEAD, SCOPE_A, row, &waiting));
    if (waiting >= WAITING_MAX) return E_OK;
    keptgossip_encode(&(struct keptgossip){.from = from, .note = note}, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_HEAD, row, buf_bytes(&bytes));
}

enum error gossip_hear(struct home *home, struct bytes from, struct bytes note) {
    struct head head;
    AUTO_BUF bare = {0};
    enum error error = head_bare(&home->card, note, &bare);
    if (error == E_OK) error = head_open(&home->card, buf_bytes(&bare), &head);
    if (error == E_NO_MEMORY) return error;
    if (error != E_OK) /* the sender's program is at fault, or the sender lies: nothing against the relay */
        return kept_alarm(home->archive, "%.*s sent a head of the directory that does not hold: %s", (int)from.n,
                          (const char *)from.p, error_text(error));
    if (head.size > directory_size(home->directory)) return wait_for_mirror(home, from, &head, buf_bytes(&bare));
    return compare(home, from, &head, buf_bytes(&bare));
}

/* The heads that wait, smallest first; beyond `size` they go on waiting. */
static enum error next_waiting(struct home *home, struct archive_cursor *cursor, struct buf *bytes,
                               struct keptgossip *gossip, struct head *head, bool *ret_found) {
    TRY(archive_next(home->archive, cursor, bytes, ret_found));
    if (!*ret_found) return E_OK;
    TRY(keptgossip_decode(buf_bytes(bytes), gossip) == E_OK ? E_OK : E_CORRUPT);
    return head_open(&home->card, gossip->note, head) == E_OK ? E_OK : E_CORRUPT;
}

enum error gossip_settle(struct home *home) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, gossip_key(0));
    for (bool found = true;;) {
        struct keptgossip gossip;
        struct head head;
        TRY(next_waiting(home, &cursor, &bytes, &gossip, &head, &found));
        if (!found || head.size > directory_size(home->directory)) return E_OK;
        TRY(compare(home, gossip.from, &head, gossip.note));
        TRY(archive_delete(home->archive, TABLE_HEAD, cursor.key));
    }
}

/* What the mirror has not reached by the end of a sync is kept from this home: one alarm a head, and every sync ends
 * with it. */
static enum error heads_withheld(struct home *home) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, gossip_key(0));
    struct keptgossip gossip;
    struct head head;
    bool found = false;
    uint64_t named;
    TRY(next_waiting(home, &cursor, &bytes, &gossip, &head, &found));
    if (!found) return E_OK;
    (void)fail(&home->breach, E_WITHHELD,
               "the relay showed %.*s a newer directory (%llu entries) than it shows this home", (int)gossip.from.n,
               (const char *)gossip.from.p, (unsigned long long)head.size);
    TRY(kept_number(home->archive, TABLE_META, archive_named("gossip named"), &named));
    if (named >= head.size) return E_OK;
    TRY(kept_number_set(home->archive, TABLE_META, archive_named("gossip named"), head.size));
    return kept_alarm(home->archive, "%s", home->breach.where);
}

/* ---- entries ---- */

static enum error in_chain(struct home *home, const uint8_t *leg, const uint8_t *seen, bool *ret) {
    AUTO_BUF receipt = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_ENTRY, SCOPE_A, archive_key(leg, NULL, 0));
    *ret = memcmp(leg, seen, HASH_SIZE) == 0; /* nothing yet */
    for (bool found = true; !*ret;) {
        struct evidence evidence;
        TRY(archive_next(home->archive, &cursor, &receipt, &found));
        if (!found) return E_OK;
        enum error error = loss_open(home, buf_bytes(&receipt), &evidence);
        if (error != E_OK) return error == E_NO_MEMORY ? E_NO_MEMORY : E_CORRUPT;
        *ret = memcmp(evidence.entry_hash, seen, HASH_SIZE) == 0;
    }
    return E_OK;
}

static enum error save_seen(struct home *home, struct archive_key row, struct bytes from, uint64_t syncs) {
    AUTO_BUF bytes = {0};
    keptseen_encode(&(struct keptseen){.from = from, .syncs = syncs}, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(home->archive, TABLE_SEEN, row, buf_bytes(&bytes));
}

enum error gossip_seen(struct home *home, struct bytes from, const uint8_t leg[static HASH_SIZE],
                       const uint8_t seen[static HASH_SIZE]) {
    bool here = false, lost = false;
    TRY(in_chain(home, leg, seen, &here));
    if (!here) TRY(loss_waits(home, &lost)); /* of what was said before a declared loss nobody can show the entry any more */
    return here || lost ? E_OK : save_seen(home, archive_key(leg, seen, 0), from, 0);
}

static enum error judge_seen(struct home *home, struct relay *relay, struct archive_key row, const struct keptseen *record) {
    enum { SYNCS = 1 }; /* one more, and the relay has had its chance */
    bool here = false;
    char leg[2 * 8 + 1];
    TRY(in_chain(home, row.a, row.b, &here));
    if (!here && record->syncs < SYNCS) {
        struct keptseen next = *record;
        char from[POST_MAX + 1];
        memcpy(from, record->from.p, record->from.n);
        return save_seen(home, row, bytes_of(from, record->from.n), next.syncs + 1);
    }
    TRY(archive_delete(home->archive, TABLE_SEEN, row));
    if (here) return E_OK;
    if (relay) TRY(proofs_compare_leg(home, relay, row.a));
    text_hex(row.a, 8, leg);
    return proofs_suspect(home, E_WITHHELD,
                          "%.*s says that the relay showed it an entry of leg %s that it does not show this home: "
                          "compare with them, for one of the two is wrong",
                          (int)record->from.n, (const char *)record->from.p, leg);
}

static enum error entries_withheld(struct home *home, struct relay *relay) {
    AUTO_BUF bytes = {0};
    struct archive_cursor cursor = archive_cursor(TABLE_SEEN, SCOPE_ALL, archive_key(NULL, NULL, 0));
    for (bool found = true;;) {
        struct keptseen record;
        TRY(archive_next(home->archive, &cursor, &bytes, &found));
        if (!found) return E_OK;
        if (keptseen_decode(buf_bytes(&bytes), &record) != E_OK || record.from.n > POST_MAX) return E_CORRUPT;
        TRY(judge_seen(home, relay, cursor.key, &record));
    }
}

enum error gossip_end(struct home *home, struct relay *relay) {
    TRY(gossip_settle(home));
    TRY(heads_withheld(home));
    return entries_withheld(home, relay);
}
