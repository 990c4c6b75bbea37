/* schema.sql.h - the embedded store's tables. A new store is made as the first version and then upgraded like an old one, so that
 * both ways end at the same tables. PRAGMA user_version tells how far a store has come. */
#ifndef SCHEMA_SQL_H
#define SCHEMA_SQL_H

enum { SCHEMA_VERSION = 5 };

/* The step that leads to each version, from the one before it. */
static const char *const schema_sql[SCHEMA_VERSION] = {
    /* 1 */
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE leaf(idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL, root BLOB NOT NULL);"
    "CREATE TABLE request(id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, device BLOB NOT NULL, request BLOB NOT "
    "NULL,"
    "  sender TEXT NOT NULL, exercise INTEGER NOT NULL, stored INTEGER NOT NULL, at INTEGER NOT NULL, bytes INTEGER "
    "NOT NULL,"
    "  kept BLOB NOT NULL, waiting BLOB, UNIQUE(device, request));"
    "CREATE INDEX request_staged ON request(at) WHERE stored = 0;"
    "CREATE TABLE conflict(request INTEGER NOT NULL, digest BLOB NOT NULL UNIQUE, header BLOB NOT NULL);"
    "CREATE INDEX conflict_request ON conflict(request);"
    "CREATE TABLE chunk(request INTEGER NOT NULL, part INTEGER NOT NULL, idx INTEGER NOT NULL, data BLOB NOT NULL,"
    "  UNIQUE(request, part, idx));"
    "CREATE TABLE leg(id INTEGER PRIMARY KEY, request INTEGER NOT NULL, leg BLOB NOT NULL UNIQUE, device BLOB NOT NULL,"
    "  sender TEXT NOT NULL, recipient TEXT NOT NULL, sequence INTEGER NOT NULL, keep_s INTEGER NOT NULL,"
    "  position INTEGER NOT NULL, ordinal INTEGER NOT NULL, generation INTEGER NOT NULL, kind INTEGER NOT NULL,"
    "  state INTEGER NOT NULL, furthest INTEGER NOT NULL, exercise INTEGER NOT NULL, head BLOB NOT NULL,"
    "  expires INTEGER NOT NULL, parent INTEGER NOT NULL, opening BLOB NOT NULL, wrapset BLOB NOT NULL,"
    "  addressed TEXT NOT NULL, UNIQUE(device, addressed, sequence));"
    "CREATE INDEX leg_request ON leg(request);"
    "CREATE INDEX leg_due ON leg(expires) WHERE state < 8;"
    "CREATE TABLE receipt(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, leg INTEGER NOT NULL, ordinal INTEGER,"
    "  idx INTEGER, bytes BLOB NOT NULL);"
    "CREATE UNIQUE INDEX receipt_entry ON receipt(leg, ordinal) WHERE ordinal IS NOT NULL;"
    "CREATE UNIQUE INDEX receipt_index ON receipt(idx) WHERE idx IS NOT NULL;"
    "CREATE TABLE feed(post TEXT NOT NULL, number INTEGER NOT NULL, kind INTEGER NOT NULL, request INTEGER NOT NULL,"
    "  leg INTEGER NOT NULL, receipt INTEGER NOT NULL, PRIMARY KEY(post, number)) WITHOUT ROWID;"
    "CREATE TABLE prekey(device BLOB NOT NULL, day INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY(device, day))"
    "  WITHOUT ROWID;"
    "CREATE TABLE quota(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;",
    /* 2. A box's items are numbered from one counter of the whole store (AUTOINCREMENT): so no number comes back after it
     * was dropped, and no counter is left behind by a box that is empty. */
    "ALTER TABLE leg ADD COLUMN rekey INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX leg_at ON leg(recipient, id) WHERE state < 8;"
    "CREATE TABLE head(who TEXT PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE box(number INTEGER PRIMARY KEY AUTOINCREMENT, box BLOB NOT NULL, guest INTEGER NOT NULL, expires INTEGER NOT NULL, data BLOB NOT "
    "NULL);"
    "CREATE INDEX box_box ON box(box, number);"
    "CREATE INDEX box_expires ON box(expires);"
    "CREATE INDEX box_guest ON box(guest);"
    "CREATE TABLE sheet(id INTEGER PRIMARY KEY, post TEXT NOT NULL, commitment BLOB NOT NULL UNIQUE, audience INTEGER NOT "
    "NULL, data BLOB NOT NULL, UNIQUE(post, commitment));"
    "CREATE TABLE sheetwrap(commitment BLOB NOT NULL, device BLOB NOT NULL, wrap BLOB NOT NULL, PRIMARY KEY(commitment, "
    "device)) WITHOUT ROWID;",
    /* 3. Of a leg: what the ledger's outages came to when its deadline was set, until when its body is kept (0: it is wanted, -1:
     * no more), and how many device receipts of each side there are, which stood among the quotas before. Of a request: the bytes
     * that its party has back because the body went first. The evidence log's nodes; entries from before it have neither nodes
     * nor proofs: `unproven` tells the ledger how many to make up for (proofs.c). */
    "ALTER TABLE leg ADD COLUMN outages INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE leg ADD COLUMN body INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE leg ADD COLUMN notes_sender INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE leg ADD COLUMN notes_recipient INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE request ADD COLUMN released INTEGER NOT NULL DEFAULT 0;"
    "UPDATE leg SET body = -1 WHERE kind = 2;"
    "UPDATE leg SET"
    "  notes_sender = ifnull((SELECT value FROM quota WHERE key = 'receipts s ' || lower(hex(substr(leg, 1, 16)))), 0),"
    "  notes_recipient = ifnull((SELECT value FROM quota WHERE key = 'receipts r ' || lower(hex(substr(leg, 1, 16)))), 0);"
    "DELETE FROM quota WHERE key >= 'receipts ' AND key < 'receipts~';"
    "CREATE INDEX leg_body ON leg(body) WHERE state < 8 AND body > 0;"
    "CREATE TABLE tile(log INTEGER NOT NULL, level INTEGER NOT NULL, idx INTEGER NOT NULL, hashes BLOB NOT NULL,"
    "  PRIMARY KEY(log, level, idx)) WITHOUT ROWID;"
    "INSERT INTO meta(key, value) SELECT 'unproven', count(idx) FROM receipt;"
    /* What nothing else in the store says again is kept twice, so that a flipped bit is seen (rows.h): numbers in an index, of
     * which integrity_check tells where it differs from its row; bytes that only others can open by their digest. */
    "ALTER TABLE box ADD COLUMN sum BLOB;"
    "ALTER TABLE sheet ADD COLUMN sum BLOB;"
    "ALTER TABLE sheetwrap ADD COLUMN sum BLOB;"
    "CREATE INDEX meta_value ON meta(value);"
    "CREATE INDEX quota_value ON quota(value);"
    "CREATE INDEX head_size ON head(size);"
    "CREATE INDEX request_numbers ON request(at, stored, bytes, released);"
    "CREATE INDEX leg_numbers ON leg(id, expires, outages, body, notes_sender, notes_recipient);"
    "INSERT INTO meta(key, value) SELECT 'box', ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'box';",
    /* 4. A receipt is looked for among those of its leg: an index over hashes alone is written to in a place of chance for each of
     * them, and of a million receipts that is a page each. */
    "CREATE TABLE receipt4(id INTEGER PRIMARY KEY, hash BLOB NOT NULL, leg INTEGER NOT NULL, ordinal INTEGER,"
    "  idx INTEGER, bytes BLOB NOT NULL, UNIQUE(leg, hash));"
    "INSERT INTO receipt4 SELECT id, hash, leg, ordinal, idx, bytes FROM receipt ORDER BY id;"
    "DROP TABLE receipt;"
    "ALTER TABLE receipt4 RENAME TO receipt;"
    "CREATE UNIQUE INDEX receipt_entry ON receipt(leg, ordinal) WHERE ordinal IS NOT NULL;"
    "CREATE UNIQUE INDEX receipt_index ON receipt(idx) WHERE idx IS NOT NULL;",
    /* 5. Which devices have a body is marked by the leg's row, no more by its id: retention.c. Of what was marked before, the time
     * limit alone decides. */
    "DELETE FROM quota WHERE key >= 'has ' AND key < 'has~';"};

#endif
