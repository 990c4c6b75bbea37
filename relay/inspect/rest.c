/* rest.c - day keys, boxes, contact cards, and the ledger's own numbers. */
#include <stdio.h>

#include "inspector.h"

static enum error one_prekey(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    struct prekey prekey;
    uint8_t id[PREKEY_ID_SIZE];
    inspector_at(inspector, "prekey", rows_int(cursor, 1));
    inspector_what(inspector, "device", rows_bytes(cursor, 0));
    enum error error = directory_open_prekey(audit_directory(inspector->audit), rows_bytes(cursor, 2), &prekey, id);
    bool same = error == E_OK && rows_is(cursor, 0, bytes_of(prekey.device, KEY_SIZE)) &&
                rows_int(cursor, 1) == (int64_t)prekey.day;
    return inspector_expect(inspector, same, "mismatch", error == E_OK ? E_MISMATCH : error,
                            "the day key is not signed by this device for this day");
}

static enum error one_box(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_at(inspector, "box", rows_int(cursor, 0));
    inspector_what(inspector, "box", rows_bytes(cursor, 1));
    return inspector_expect(inspector, rows_sum_holds(cursor, 3, NULL, 0, rows_bytes(cursor, 2)), "digest",
                            E_BAD_DIGEST, "the item is not what was put there");
}

static enum error one_sheet(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    uint8_t audience = (uint8_t)rows_int(cursor, 2);
    inspector_at(inspector, "sheet", rows_int(cursor, 0));
    inspector_what_text(inspector, "post", rows_bytes(cursor, 1));
    const struct directory_post *post = directory_post(audit_directory(inspector->audit), rows_bytes(cursor, 1));
    bool named = false;
    for (size_t i = 0; post && i < post->sheet_count; i++)
        named = named || rows_is(cursor, 5, bytes_of(post->sheets[i], HASH_SIZE));
    bool holds =
        rows_sum_holds(cursor, 4, &audience, 1, rows_bytes(cursor, 3)) && rows_int(cursor, 2) == (int64_t)audience;
    TRY(inspector_expect(inspector, holds, "digest", E_BAD_DIGEST, "the sheet is not what was put there"));
    return inspector_expect(inspector, named, "mismatch", E_MISMATCH, "the post has not committed to this sheet");
}

static enum error one_wrap(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    uint8_t key[HASH_SIZE + KEY_SIZE] = {0};
    struct bytes commitment = rows_bytes(cursor, 0), device = rows_bytes(cursor, 1);
    inspector_at(inspector, "sheetwrap", -1);
    inspector_what(inspector, "sheet", commitment);
    bool sized = commitment.n == HASH_SIZE && device.n == KEY_SIZE;
    if (sized) memcpy(key, commitment.p, HASH_SIZE);
    if (sized) memcpy(key + HASH_SIZE, device.p, KEY_SIZE);
    bool holds = sized && rows_sum_holds(cursor, 3, key, sizeof key, rows_bytes(cursor, 2));
    return inspector_expect(inspector, holds, "digest", E_BAD_DIGEST, "the key of a sheet is not what was put there");
}

/* ---- numbers ---- */

static enum error one_meta(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_what_text(inspector, "key", rows_bytes(cursor, 0));
    if (!bytes_are(rows_bytes(cursor, 0), "time")) return E_OK;
    return inspector_expect(inspector, (uint64_t)rows_int(cursor, 1) >= audit_time(inspector->audit).ms, "time-back",
                            E_OUT_OF_RANGE, "the ledger's time is before that of its last entry");
}

static enum error box_counter(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_what_text(inspector, "key", bytes_text("box"));
    return inspector_tell(inspector, "mismatch", E_MISMATCH,
                          "the number of the last box item stands twice, %lld and %lld", (long long)rows_int(cursor, 0),
                          (long long)rows_int(cursor, 1));
}

static enum error one_quota(struct inspector *inspector, struct cursor *cursor, void *context) {
    (void)context;
    inspector_what_text(inspector, "key", rows_bytes(cursor, 0));
    return inspector_tell(inspector, "mismatch", E_MISMATCH, "the counter is %lld, counted anew it is %lld",
                          (long long)rows_int(cursor, 1), (long long)rows_int(cursor, 2));
}

/* As submission.c, transition.c and retention.c count: legs that are not settled, and the bytes of what is kept. */
#define MARK "CASE exercise WHEN 0 THEN 'real' ELSE 'exercise' END"
#define PARTY "substr(sender, 1, instr(sender, '/') - 1)"
#define OPEN_LEGS "FROM leg WHERE NOT (state >= 7 OR (kind = 4 AND state = 6))"
static const char quota_sql[] =
    "WITH counted(key, value) AS ("
    "  SELECT 'legs ' || " MARK " || ' ' || " PARTY ", count(*) " OPEN_LEGS " GROUP BY 1"
    "  UNION ALL SELECT 'pair ' || " MARK " || ' ' || " PARTY " || ' ' || recipient, count(*) " OPEN_LEGS " GROUP BY 1"
    "  UNION ALL SELECT 'bytes ' || " MARK " || ' ' || " PARTY ", sum(bytes - released) FROM request"
    "    WHERE stored = 0 OR EXISTS (SELECT 1 FROM leg WHERE leg.request = request.id AND state < 8) GROUP BY 1)"
    " SELECT counted.key, ifnull(quota.value, 0), counted.value FROM counted LEFT JOIN quota USING (key)"
    "   WHERE ifnull(quota.value, 0) <> counted.value"
    " UNION ALL SELECT key, value, 0 FROM quota WHERE value <> 0 AND key NOT IN (SELECT key FROM counted)"
    "   AND (key GLOB 'legs *' OR key GLOB 'pair *' OR key GLOB 'bytes *')";

enum error inspect_rest(struct inspector *inspector) {
    TRY(inspector_each(inspector, "prekey", "SELECT device, day, bytes FROM prekey", NULL, one_prekey));
    TRY(inspector_each(inspector, "box", "SELECT number, box, data, sum FROM box ORDER BY number", NULL, one_box));
    TRY(inspector_each(inspector, "sheet", "SELECT id, post, audience, data, sum, commitment FROM sheet ORDER BY id",
                       NULL, one_sheet));
    TRY(inspector_each(inspector, "sheetwrap", "SELECT commitment, device, wrap, sum FROM sheetwrap", NULL, one_wrap));
    TRY(inspector_each(inspector, "meta", "SELECT key, value FROM meta", NULL, one_meta));
    TRY(inspector_each(inspector, "meta",
                       "SELECT value, seq FROM (SELECT ifnull(max(value), 0) AS value FROM meta WHERE key = 'box'), "
                       "(SELECT ifnull(max(seq), 0) AS seq FROM sqlite_sequence WHERE name = 'box') WHERE value <> seq",
                       NULL, box_counter));
    return inspector_each(inspector, "quota", quota_sql, NULL, one_quota);
}
