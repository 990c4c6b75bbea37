/* heads.c - signed heads of the directory, beside the mirror. */
#include "heads.h"

#include "fraud.h"
#include "kept.h"
#include "leaves.h"
#include "proofs.h"

struct inspection {
    struct home *home;
    const struct directory *directory;
    struct heads_charge *charge;
    struct failure *failure;
    struct buf hashes; /* of the mirror's leaves; empty until needed */
    struct buf newest; /* the note that came first */
    uint64_t newest_size;
    bool behind;
};

void heads_charge_free(struct heads_charge *charge) { buf_free(&charge->proof); }

/* ---- rows ---- */

/* The one row beneath this key: *ret_size of the head in it. */
static enum error load_row(struct archive *archive, const uint8_t *key, struct buf *note, uint64_t *ret_size,
                           bool *ret_found) {
    struct archive_cursor cursor = archive_cursor(TABLE_HEAD, SCOPE_A, archive_key(key, NULL, 0));
    TRY(archive_next(archive, &cursor, note, ret_found));
    *ret_size = *ret_found ? cursor.key.n : 0;
    return E_OK;
}

static enum error save_row(struct archive *archive, const uint8_t *key, uint64_t size, struct bytes note) {
    TRY(archive_delete_all(archive, TABLE_HEAD, SCOPE_A, archive_key(key, NULL, 0)));
    return archive_set(archive, TABLE_HEAD, archive_key(key, NULL, size), note);
}

enum error heads_newest(struct home *home, struct buf *ret_note, bool *ret_found) {
    uint64_t size;
    return load_row(home->archive, NULL, ret_note, &size, ret_found);
}

/* ---- against the mirror ---- */

static enum error load_hashes(struct inspection *work) {
    if (work->hashes.n) return E_OK;
    return leaves_of_mirror(work->home->archive, &work->hashes);
}

static enum error root_at(struct inspection *work, uint64_t size, uint8_t ret[static HASH_SIZE]) {
    if (size == directory_size(work->directory)) {
        directory_root(work->directory, ret);
        return E_OK;
    }
    TRY(load_hashes(work));
    return leaves_root(&work->hashes, size, ret) ? E_OK : E_CORRUPT;
}

/* The other side of the contradiction is the newest head that agrees with the mirror and has at least that many
 * entries: the one kept, or the one that came first. */
static void accuse(struct inspection *work, const struct head *head, struct bytes note) {
    AUTO_BUF kept = {0};
    uint64_t kept_size;
    bool found = false;
    if (load_row(work->home->archive, NULL, &kept, &kept_size, &found) != E_OK || load_hashes(work) != E_OK) return;
    bool with_kept = found && kept_size >= head->size;
    if (!with_kept && (work->newest.n == 0 || work->newest_size < head->size)) return;
    struct bytes other = buf_bytes(with_kept ? &kept : &work->newest);
    size_t size = (size_t)(with_kept ? kept_size : work->newest_size);
    if (size * HASH_SIZE > work->hashes.n) return;
    /* Without a proof the contradiction still stands: the caller refuses the head. */
    if (fraud_make_heads(&work->home->card, note, other, bytes_of(work->hashes.p, size * HASH_SIZE),
                         &work->charge->proof) != E_OK)
        buf_clear(&work->charge->proof);
}

static enum error compare(struct inspection *work, const struct head *head, struct bytes note) {
    uint8_t root[HASH_SIZE];
    TRY(root_at(work, head->size, root));
    if (memcmp(root, head->root, HASH_SIZE) == 0) return E_OK;
    accuse(work, head, note);
    return fail(work->failure, E_DIRECTORY_FORKED, "the relay has signed another root at %llu entries",
                (unsigned long long)head->size);
}

/* ---- one note ---- */

/* Named once: the relay may show the same note for days. */
static enum error bad_word(struct inspection *work, struct bytes note) {
    struct archive *archive = work->home->archive;
    uint8_t hash[HASH_SIZE];
    bool known = false;
    stamp_hash(note, hash);
    TRY(archive_has(archive, TABLE_META, archive_key(hash, NULL, 0), &known));
    if (known) return E_OK;
    TRY(archive_set(archive, TABLE_META, archive_key(hash, NULL, 0), (struct bytes){0}));
    return kept_alarm_proof(archive, note,
                            "a head of the directory has a bad signature under a witness's name; it was refused");
}

static enum error keep_words(struct inspection *work, const struct head *head, struct bytes note) {
    struct archive *archive = work->home->archive;
    for (size_t i = 0; i < work->home->card.witness_count; i++) {
        const uint8_t *key = work->home->card.witnesses[i].key;
        AUTO_BUF kept = {0};
        struct head before;
        uint64_t size;
        bool found = false;
        if (!head->words[i].valid) continue;
        TRY(load_row(archive, key, &kept, &size, &found));
        if (found && size > head->size) continue;
        if (found && size == head->size && head_open(&work->home->card, buf_bytes(&kept), &before) == E_OK &&
            before.words[i].time_s >= head->words[i].time_s)
            continue;
        TRY(save_row(archive, key, head->size, note));
    }
    return E_OK;
}

/* A note with a false word of a witness still binds the log: without that word it counts as what the log signed. */
static enum error open_newest(struct inspection *work, struct bytes note, struct head *head, struct buf *ret) {
    enum error error = head_open(&work->home->card, note, head);
    if (error == E_OK) {
        buf_add_bytes(ret, note);
        return buf_error(ret);
    }
    if (error != E_BAD_SIGNATURE || head_bare(&work->home->card, note, ret) != E_OK ||
        head_open(&work->home->card, buf_bytes(ret), head) != E_OK)
        return fail(work->failure, error, "the directory's newest head");
    return bad_word(work, note);
}

static enum error take_newest(struct inspection *work, struct bytes note) {
    struct head head;
    uint64_t size = directory_size(work->directory);
    TRY(open_newest(work, note, &head, &work->newest));
    work->newest_size = head.size;
    work->behind = head.size > size;
    if (work->behind) return E_OK;
    TRY(compare(work, &head, buf_bytes(&work->newest)));
    if (head.size < size)
        return fail(work->failure, E_WITHHELD, "the relay has signed %llu of the %llu entries that it shows",
                    (unsigned long long)head.size, (unsigned long long)size);
    TRY(save_row(work->home->archive, NULL, head.size, buf_bytes(&work->newest)));
    return keep_words(work, &head, buf_bytes(&work->newest));
}

static enum error take_cosigned(struct inspection *work, struct bytes note) {
    struct head head;
    enum error error = head_open(&work->home->card, note, &head);
    if (error == E_NO_MEMORY) return error;
    if (error != E_OK) return bad_word(work, note);
    if (head.size > directory_size(work->directory)) {
        work->behind = true;
        return E_OK;
    }
    TRY(compare(work, &head, note));
    return keep_words(work, &head, note);
}

static enum error take_notes(struct inspection *work, struct list notes) {
    struct bytes note;
    if (!list_next_bytes(&notes, &note)) {
        if (directory_size(work->directory) == 0) return E_OK;
        return fail(work->failure, E_WITHHELD, "the relay shows %llu directory entries and no signed head of them",
                    (unsigned long long)directory_size(work->directory));
    }
    TRY(take_newest(work, note));
    while (!work->behind && list_next_bytes(&notes, &note)) TRY(take_cosigned(work, note));
    return E_OK;
}

enum error heads_take(struct home *home, const struct directory *directory, struct list notes,
                      struct heads_charge *charge, bool *ret_behind, struct failure *failure) {
    struct inspection work = {.home = home, .directory = directory, .charge = charge, .failure = failure};
    enum error error = take_notes(&work, notes);
    buf_free(&work.hashes);
    buf_free(&work.newest);
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "the directory's heads");
    if (error == E_OK) *ret_behind = work.behind;
    return error;
}

static enum error see(struct inspection *work, const struct heads_shown *shown) {
    struct head head;
    AUTO_BUF note = {0};
    if (shown->size == 0 && shown->note.n == 0) return E_OK;
    if (shown->note.n == 0)
        return fail(work->failure, E_WITHHELD, "the relay shows %llu directory entries and no signed head of them",
                    (unsigned long long)shown->size);
    TRY(open_newest(work, shown->note, &head, &note));
    work->behind = head.size > directory_size(work->directory);
    if (work->behind) return E_OK;
    TRY(compare(work, &head, buf_bytes(&note)));
    if (head.size != shown->size)
        return fail(work->failure, E_WITHHELD, "the relay shows %llu directory entries with a head of %llu",
                    (unsigned long long)shown->size, (unsigned long long)head.size);
    if (memcmp(head.root, shown->root, HASH_SIZE) != 0)
        return fail(work->failure, E_DIRECTORY_FORKED,
                    "the relay shows another root at %llu entries than it has signed", (unsigned long long)head.size);
    return keep_words(work, &head, buf_bytes(&note));
}

enum error heads_see(struct home *home, const struct directory *directory, const struct heads_shown *shown,
                     struct heads_charge *charge, bool *ret_behind, struct failure *failure) {
    struct inspection work = {.home = home, .directory = directory, .charge = charge, .failure = failure};
    enum error error = see(&work, shown);
    buf_free(&work.hashes);
    if (error != E_OK && failure && failure->error != error) fail(failure, error, "the directory's heads");
    if (error == E_OK) *ret_behind = work.behind;
    return error;
}

enum error heads_update(struct home *home, struct relay *relay, const struct directory *directory,
                        struct heads_charge *charge, bool *ret_behind, struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct heads heads;
    TRY(relay_call(relay, MESSAGE_GETHEADS, &(struct getheads){}, &answer, failure));
    enum error error = heads_decode(answer.body, &heads);
    if (error != E_OK) return fail(failure, error, "the directory's heads");
    return heads_take(home, directory, heads.notes, charge, ret_behind, failure);
}

/* ---- proofs ---- */

enum error heads_contradict(const struct home *home, struct bytes note, struct bytes newest, struct buf *proof) {
    AUTO_BUF hashes = {0};
    struct head head;
    TRY(head_open(&home->card, newest, &head));
    TRY(leaves_of_mirror(home->archive, &hashes));
    if (head.size * HASH_SIZE > hashes.n) return E_NOT_MIRRORED;
    return fraud_make_heads(&home->card, note, newest, bytes_of(hashes.p, (size_t)head.size * HASH_SIZE), proof);
}

/* A head of more entries than the one kept, of another log: its leaves are asked for, all of them. */
static enum error contradict_newer(struct home *home, struct relay *relay, struct bytes note, const struct head *head,
                                   struct bytes kept, struct buf *proof) {
    AUTO_BUF hashes = {0};
    TRY(leaves_of_relay(relay, head->size, &hashes, NULL));
    return fraud_make_heads(&home->card, kept, note, buf_bytes(&hashes), proof);
}

/* A head over an entry that breaks the rules: proof enough, also for who comes for the first time. */
static enum error investigate_entries(struct home *home, struct relay *relay, struct buf *proof) {
    AUTO_ANSWER answer = {0};
    AUTO_BUF items = {0};
    struct heads heads;
    struct head head;
    struct bytes note;
    size_t count = 0;
    TRY(relay_call(relay, MESSAGE_GETHEADS, &(struct getheads){}, &answer, NULL));
    TRY(heads_decode(answer.body, &heads));
    if (!list_next_bytes(&heads.notes, &note)) return E_NO_PROOF;
    TRY(head_open(&home->card, note, &head));
    TRY(leaves_from_relay(relay, head.size, &items, &count));
    return fraud_make_leaves(&home->card, note, list_of(&items, count), proof);
}

static enum error investigate(struct home *home, struct relay *relay, struct buf *proof) {
    AUTO_ANSWER answer = {0};
    AUTO_BUF kept = {0};
    struct heads heads;
    struct bytes note;
    uint64_t kept_size;
    bool found = false;
    TRY(load_row(home->archive, NULL, &kept, &kept_size, &found));
    if (!found) return E_NO_PROOF;
    TRY(relay_call(relay, MESSAGE_GETHEADS, &(struct getheads){}, &answer, NULL));
    TRY(heads_decode(answer.body, &heads));
    while (list_next_bytes(&heads.notes, &note)) {
        struct head head;
        AUTO_BUF bare = {0};
        if (head_bare(&home->card, note, &bare) != E_OK || head_open(&home->card, buf_bytes(&bare), &head) != E_OK)
            continue;
        enum error error = head.size <= kept_size
                               ? heads_contradict(home, buf_bytes(&bare), buf_bytes(&kept), proof)
                               : contradict_newer(home, relay, buf_bytes(&bare), &head, buf_bytes(&kept), proof);
        if (error == E_OK) return E_OK;
        buf_clear(proof);
    }
    return E_NO_PROOF;
}

void heads_investigate(struct home *home, struct relay *relay, struct heads_charge *charge) {
    if (charge->proof.n) return;
    charge->leaves = investigate_entries(home, relay, &charge->proof) == E_OK;
    if (charge->leaves) return;
    buf_clear(&charge->proof);
    if (investigate(home, relay, &charge->proof) != E_OK) buf_clear(&charge->proof);
}
