/* sisters.c - the devices of one post: listed, found, revoked. */
#include "sisters.h"

#include <ctype.h>

#include "chain.h"
#include "fault.h"
#include "mirror.h"
#include "promises.h"
#include "text.h"

enum { PREFIX_MIN = 4 };

enum error sisters_declare(struct home *home, struct relay *relay, struct list statements, struct failure *failure) {
    AUTO_ANSWER answer = {0};
    TRY(relay_call(relay, MESSAGE_DECLARE, &(struct declare){.statements = statements}, &answer, failure));
    TRY(promises_take(home, statements, answer.body, failure));
    return mirror_update(home, relay, failure);
}

const struct directory_device *sisters_nth(const struct home *home, size_t n) {
    const struct directory_post *post = directory_post(home->directory, bytes_text(home->post));
    const struct directory_device *device = NULL;
    if (!post || n == 0) return NULL;
    for (size_t i = 0; i < n; i++) {
        device = directory_device_of(home->directory, post, device);
        if (!device) return NULL;
    }
    return device;
}

static bool is_number(const char *typed) {
    size_t n = strspn(typed, "0123456789");
    return n > 0 && n < PREFIX_MIN && !typed[n];
}

static bool begins(const struct directory_device *device, const char *typed) {
    char hex[2 * KEY_SIZE + 1];
    size_t n = strlen(typed);
    text_hex(device->device, KEY_SIZE, hex);
    if (n < PREFIX_MIN || n > 2 * KEY_SIZE) return false;
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)typed[i]) != hex[i]) return false;
    return true;
}

enum error sisters_find(const struct home *home, const char *typed, const struct directory_device **ret,
                        struct failure *failure) {
    const struct directory_device *device, *found = NULL;
    if (is_number(typed)) found = sisters_nth(home, (size_t)atoi(typed));
    for (size_t n = 1; !is_number(typed) && (device = sisters_nth(home, n)); n++) {
        if (!begins(device, typed)) continue;
        if (found) return fail(failure, E_AMBIGUOUS, "%s", typed);
        found = device;
    }
    if (!found) {
        enum error error = fail(failure, E_UNKNOWN_DEVICE, "%s has no device %s", home->post, typed);
        fail_hint(failure, "see pouch device list for their numbers and keys");
        return error;
    }
    *ret = found;
    return E_OK;
}

/* An honest relay has recorded it before it answers. What it has promised is kept, and becomes a proof in time. */
static enum error check_revoked(const struct home *home, const uint8_t device[static KEY_SIZE],
                                struct failure *failure) {
    const struct directory_device *meant = directory_device(home->directory, device);
    if (meant && (meant->revoked || meant->post->revoked)) return E_OK;
    enum error error = fail(failure, E_WITHHELD, "the relay took the revocation, and its directory does not show it");
    fail_hint(failure,
              "nobody else knows of it yet: tell your correspondents another way, and ask the relay's operator; "
              "run pouch sync in an hour, and this again");
    return error;
}

enum error sisters_revoke(struct home *home, struct relay *relay, const uint8_t device[static KEY_SIZE],
                          unsigned reason, struct failure *failure) {
    const struct directory_device *meant = directory_device(home->directory, device);
    bool itself = memcmp(device, home->device, KEY_SIZE) == 0;
    if (!meant || !bytes_are(bytes_text(home->post), meant->post->name))
        return fail(failure, E_UNKNOWN_DEVICE, "%s has no such device", home->post);
    if (meant->revoked) return fail(failure, E_REVOKED, "the device is revoked already");
    TRY(home_check_role(home, itself ? ROLE_BELL : ROLE_DECIDER, failure));
    struct revocation revocation = {
        .post = bytes_text(home->post), .has_device = true, .reason = reason, .created = relay_now(relay)};
    memcpy(revocation.device, device, KEY_SIZE);
    memcpy(revocation.signer, home->device, KEY_SIZE);
    AUTO_BUF statements = {0};
    enum error error = chain_sign(LEAF_REVOCATION, LABEL_REVOCATION, &revocation_object, &revocation,
                                  &home->keys.device, &statements, NULL);
    if (error != E_OK) return fail(failure, error, "the revocation");
    error = sisters_declare(home, relay, list_of(&statements, 1), failure);
    FAULT("device.revoked");
    if (error == E_OK) error = check_revoked(home, device, failure);
    /* After revoking itself a device may not hear the end of it: the relay has closed the door. */
    bool gone = error == E_REVOKED || error == E_REFUSED_BY_RELAY;
    return itself && gone ? E_OK : error;
}
