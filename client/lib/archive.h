/* archive.h - the local store of a post's home: SQLite (WAL, synchronous FULL, secure_delete), one table a purpose,
 * values sealed at rest.
 *
 * Every table has the same form: a row's key {a, b, n} in plain columns and one value. Keys are only what is needed to
 * find rows: digests, leg ids, keyed hashes of names, numbers. The value is XChaCha20-Poly1305 under the home's archive
 * key with associated data = table and row key, so that no sealed value can be moved elsewhere. Content chunks alone
 * are kept as they were received (sealed by the sender); their key lies in a sealed value.
 *
 * archive_begin / archive_commit bracket what must go together; after commit it is on disk. E_DISK_FULL and E_IO leave
 * the store as it was before begin. They nest: only the outermost commit writes, and a rollback inside undoes only what
 * came after its own begin. Outside of them every single write is a transaction of its own. A commit whose outcome is
 * unknown (the disk failed while syncing) spoils the handle: all later calls give E_IO, and the next open finds out.
 *
 * What stands in the tables (records: archive.def):
 *   META      a = name            named small values: the feed cursor, the relay's limits, the mirror's size and root
 *   LEAF      n = index           the directory log as the relay gave it
 *   PREKEY    a = prekey id       keptprekey
 *   REQUEST   a = header digest   keptrequest
 *   ORDER     n = number          the header digest; numbers rise in the order in which requests came here
 *   LEG       a = header, b = leg keptleg
 *   ENTRY     a = leg, n = ordinal          receipt with an entry
 *   NOTE      a = leg, b = statement hash   receipt without one (a device receipt)
 *   CHUNK     a = content id, b = part number in the last byte, n = index   ciphertext
 *   OUTBOX    n = number          outgoing
 *   DUTY      a = header, b = leg, n = event   a statement that a device must make once it can; CANNOT_OPEN: keptnumber, why;
 *                                 RESEALED, FORWARDED: keptseal, or nothing; DUTY_POLICY (policy.h): nothing
 *   SEQUENCE  a = hash of a post  the last number given to it (keptnumber)
 *   VOID      a = hash of a post, n = number   a number that never arrives
 *   HEARD     a = sender device, n = number    the leg (or nothing: declared void); n = 0: the highest (keptnumber)
 *   THREAD    a = parent header, n = number    digest of the reply
 *   ALARM     n = number          keptalarm
 *   AGAIN     n = number          a feed item that did not hold: it is asked for again
 *   SPOOL     n = index           text from a pipe, until it has been sealed
 *   HEAD      a = zeros or a witness's key, n = size   the newest head that the relay signed, and the newest that each
 *                                 witness has cosigned: the note's text
 *             a = "gossip", n = size   keptgossip: a head that another member was shown and this home not yet
 *             a = "evidence", n = size   keptevidence: the evidence log's newest head that was checked
 *             a = "evidence seen", n = size   keptevidence: one that waits until it has been
 *   GAP       a = sender device, n = number   keptgap: from this number on some have not come
 *   SEEN      a = leg, b = entry hash   keptseen: what another member saw as the leg's last entry and this home has not got
 *   PROMISE   n = number          the relay's promise that a revocation stands in the directory
 *   NEWS      n = number          keptnews: what changed in the directory that every desk is told, not an alarm
 *   PAIR      a = hash of a party, b = psk id   pairsecret
 *   HANDED    a = header digest, b = giver   handedkey: content keys that an older sister gave
 *   PARCEL    a = sister, n = number   parcel that waits until it lies in her box
 *   CONTACT   a = hash of a post  keptcontact: the sheets of its contact card, as far as this device may see them
 *   SHEETKEY  a = commitment      keptsheet: an own sheet's key and whom it has been sealed to
 *   POLICY    a = header, b = leg keptdecision: what the standing policy has made of it; zeros: keptpolicy, the policy itself
 *   LOST      what the relay has lost (loss.h): a = "leaves", n = index: a leaf; a = leg, n = ordinal: a receipt */
#ifndef ARCHIVE_H
#define ARCHIVE_H

#include "failure.h"
#include "leg.h"
#include "objects.h"
#include "secret.h"

#include "codec_struct.h"
#include "archive.def"
#include "codec_undef.h"

#include "codec_declare.h"
#include "archive.def"
#include "codec_undef.h"

struct archive;

enum archive_table {
    TABLE_META,
    TABLE_LEAF,
    TABLE_PREKEY,
    TABLE_REQUEST,
    TABLE_ORDER,
    TABLE_LEG,
    TABLE_ENTRY,
    TABLE_NOTE,
    TABLE_CHUNK,
    TABLE_OUTBOX,
    TABLE_DUTY,
    TABLE_SEQUENCE,
    TABLE_VOID,
    TABLE_HEARD,
    TABLE_THREAD,
    TABLE_ALARM,
    TABLE_SPOOL,
    TABLE_AGAIN,
    TABLE_HEAD,
    TABLE_PROMISE,
    TABLE_NEWS,
    TABLE_PAIR,
    TABLE_HANDED,
    TABLE_CONTACT,
    TABLE_SHEETKEY,
    TABLE_SEEN,
    TABLE_PARCEL,
    TABLE_POLICY,
    TABLE_GAP,
    TABLE_LOST,
    TABLE_COUNT
};

/* How many leading columns of the key are given. */
enum archive_scope { SCOPE_ALL, SCOPE_A, SCOPE_AB };

/* What is shorter than 32 bytes ends in zeros. */
struct archive_key {
    uint8_t a[HASH_SIZE], b[HASH_SIZE];
    uint64_t n;
};
/* NULL stands for zeros. */
struct archive_key archive_key(const uint8_t *a, const uint8_t *b, uint64_t n);
struct archive_key archive_named(const char *name);

CHECKED enum error archive_open(const char *path, const struct secret *key, bool create, struct archive **ret,
                                struct failure *failure);
void archive_close(struct archive **archive);
CHECKED enum error archive_begin(struct archive *archive);
CHECKED enum error archive_commit(struct archive *archive);
void archive_rollback(struct archive *archive);

/* Inserts or replaces. */
CHECKED enum error archive_set(struct archive *archive, enum archive_table table, struct archive_key key,
                               struct bytes value);
/* Appends the value; *ret_found tells whether there was one (and nothing is appended otherwise). E_CORRUPT when it does
 * not open. */
CHECKED enum error archive_get(struct archive *archive, enum archive_table table, struct archive_key key,
                               struct buf *out, bool *ret_found);
CHECKED enum error archive_has(struct archive *archive, enum archive_table table, struct archive_key key, bool *ret);
CHECKED enum error archive_delete(struct archive *archive, enum archive_table table, struct archive_key key);
/* All rows whose key begins with the scope's columns. */
CHECKED enum error archive_delete_all(struct archive *archive, enum archive_table table, enum archive_scope scope,
                                      struct archive_key key);

/* Walking: rows in rising order of their keys whose leading columns (the scope) are those of the cursor.
 *     struct archive_cursor cursor = archive_cursor(TABLE_LEG, SCOPE_A, archive_key(header, NULL, 0));
 *     for (bool found = true; found;) { TRY(archive_next(archive, &cursor, &value, &found)); ... }
 * Rows may be written and deleted between two steps. The first step can begin at the cursor's own key. */
struct archive_cursor {
    enum archive_table table;
    enum archive_scope scope;
    struct archive_key key; /* of the row just given */
    bool begun;
};
struct archive_cursor archive_cursor(enum archive_table table, enum archive_scope scope, struct archive_key key);
/* `out` is emptied and receives the value. */
CHECKED enum error archive_next(struct archive *archive, struct archive_cursor *cursor, struct buf *out,
                                bool *ret_found);
CHECKED enum error archive_count(struct archive *archive, enum archive_table table, enum archive_scope scope,
                                 struct archive_key key, uint64_t *ret);
/* One more than the highest n beside the key's a and b; 1 when there is none. */
CHECKED enum error archive_number(struct archive *archive, enum archive_table table, struct archive_key key,
                                  uint64_t *ret);

/* A name as a row key: keyed hash, so that the file does not tell it. */
void archive_hash(const struct archive *archive, struct bytes name, uint8_t ret[static HASH_SIZE]);
/* Overwrites what deleted rows left in the log file: after secrets were destroyed. */
CHECKED enum error archive_scrub(struct archive *archive);
/* A whole copy, as one new file at `path`, which must not be there. */
CHECKED enum error archive_copy(struct archive *archive, const char *path);

#endif
