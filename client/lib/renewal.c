/* renewal.c - the device's own statement that it goes on. */
#include "renewal.h"

#include "chain.h"
#include "enrol.h"
#include "fault.h"
#include "kept.h"
#include "mirror.h"
#include "outbox.h"
#include "promises.h"

static struct archive_key statement_key(void) { return archive_named("renewal"); }
static struct archive_key day_key(void) { return archive_named("renewal day"); }

struct instant client_certificate_ends(const struct home *home) {
    const struct directory_device *device = home->directory ? directory_device(home->directory, home->device) : NULL;
    return device ? device->not_after : home->certificate_ends;
}

/* A day early and a day short, as at init: for a relay whose clock is not quite this one's. */
static enum error make(struct home *home, const struct directory_device *own, struct instant now, struct buf *ret) {
    struct device device = {.post = bytes_text(home->post),
                            .role = own->role,
                            .not_before = {now.ms - DAY_MS},
                            .not_after = {now.ms + DEVICE_VALIDITY_MAX_MS - 2 * DAY_MS}};
    memcpy(device.device, own->device, KEY_SIZE);
    memcpy(device.transport, own->transport, KEY_SIZE);
    memcpy(device.issuer, own->device, KEY_SIZE);
    TRY(chain_sign(LEAF_DEVICE, LABEL_DEVICE, &device_object, &device, &home->keys.device, ret, NULL));
    TRY(archive_set(home->archive, TABLE_META, statement_key(), buf_bytes(ret)));
    FAULT("renewal.kept");
    return E_OK;
}

/* Would the kept one extend what stands? */
static bool extends(struct bytes statement, const struct directory_device *own) {
    struct list list = {.count = 1, .items = statement};
    struct dirstatement outer;
    struct dossier dossier = {.statements = list};
    struct chain chain;
    if (!dirstatement_next(&list, &outer) || chain_read(&dossier, &chain) != E_OK) return false;
    return chain.device_stamped.p && chain.device.not_after.ms > own->not_after.ms + DAY_MS;
}

static enum error statement_of(struct home *home, const struct directory_device *own, struct instant now,
                               struct buf *ret) {
    bool found = false;
    TRY(archive_get(home->archive, TABLE_META, statement_key(), ret, &found));
    if (found && extends(buf_bytes(ret), own)) return E_OK;
    buf_clear(ret);
    return make(home, own, now, ret);
}

/* What was sent today already waits for tomorrow. */
static enum error is_tried(struct home *home, struct instant now, bool *ret) {
    uint64_t day;
    TRY(kept_number(home->archive, TABLE_META, day_key(), &day));
    *ret = day == now.ms / DAY_MS;
    return E_OK;
}

static enum error refused(struct home *home, enum error error, const struct failure *why) {
    return kept_alarm(home->archive, "this device could not renew its certificate: %s%s%.300s", error_text(error),
                      why->where[0] ? ": " : "", why->where);
}

static enum error declare(struct home *home, struct relay *relay, const struct buf *statement,
                          struct failure *failure) {
    AUTO_ANSWER answer = {0};
    struct failure why = {0};
    struct instant now = relay_now(relay);
    const struct declare ask = {.statements = list_of(statement, 1)};
    enum error error = relay_call(relay, MESSAGE_DECLARE, &ask, &answer, &why);
    if (outbox_is_fatal(error) || (error != E_OK && error_row(error)->again)) {
        if (failure) *failure = why;
        return outbox_is_fatal(error) ? error : E_OK;
    }
    enum error kept = kept_number_set(home->archive, TABLE_META, day_key(), now.ms / DAY_MS);
    if (kept == E_OK && error != E_OK) kept = refused(home, error, &why);
    if (kept != E_OK) return fail(failure, kept, "the local store");
    if (error != E_OK) return E_OK;
    TRY(promises_take(home, ask.statements, answer.body, failure));
    return mirror_update(home, relay, failure);
}

enum error renewal_due(struct home *home, struct relay *relay, struct failure *failure) {
    const struct directory_device *own = directory_device(home->directory, home->device);
    struct instant now;
    bool tried = false;
    AUTO_BUF statement = {0};
    if (enrol_time(relay, &now, NULL) != E_OK) return E_OK; /* named with the day keys */
    if (!own || directory_live(own, now) != E_OK || own->not_after.ms - now.ms >= RENEWAL_LEFT_MS) return E_OK;
    enum error error = is_tried(home, now, &tried);
    if (error == E_OK && tried) return E_OK;
    if (error == E_OK) error = statement_of(home, own, now, &statement);
    if (error != E_OK) return fail(failure, error, "the renewal of this device's certificate");
    return declare(home, relay, &statement, failure);
}
