/* boxes.c - what one device leaves at the relay for another, sealed, until that one fetches it.
 *
 * Two kinds, told apart in the store so that neither can be reached as the other:
 *   a sister's      id = label digest (BOX) of her device key. Only live devices of her own post put, only she gets
 *   an invitation's the id follows from the code's secret, and who knows it may put and get, also a guest; few items, and not
 *                   for long, because anybody can think of ids
 * Getting with `after` drops what is numbered up to it: whoever got something says so with the next question. */
#include <stdio.h>

#include "book.h"
#include "label.h"

enum {
    INVITATION_ITEMS_MAX = 4,
    INVITATIONS_MAX = 1024,         /* items of guests, together */
    GUEST_ITEM_MAX = 16 * 1024,     /* a guest has only a request for a certificate to send */
    PARTY_INVITATIONS_PER_DAY = 64, /* items of a party's devices: guests cannot take their room */
    DAILY_KEY_SIZE = PARTY_MAX + 16,
};
#define INVITATION_MS DAY_MS
#define SISTER_MS (30 * DAY_MS)

struct shelf {
    uint8_t box[HASH_SIZE]; /* in the store */
    bool guest;             /* an invitation's */
};

static void shelf_of_sister(const uint8_t sister[static KEY_SIZE], struct shelf *ret) {
    label_digest(LABEL_BOX, bytes_of(sister, KEY_SIZE), ret->box);
    ret->guest = false;
}

static void shelf_of_invitation(const uint8_t box[static HASH_SIZE], struct shelf *ret) {
    label_digest(LABEL_INVITATION, bytes_of(box, HASH_SIZE), ret->box);
    ret->guest = true;
}

/* ---- putting ---- */

static enum error check_sister(const struct book *book, const struct job *job, const struct put *put,
                               struct shelf *ret_shelf) {
    const struct directory_device *giver = book_device(book, job);
    const struct directory_device *sister = directory_device(book_directory(book), put->sister);
    if (!giver || !sister) return E_UNKNOWN_DEVICE;
    TRY(book_live(book, giver));
    if (giver->post != sister->post || giver->role == ROLE_BELL)
        return E_NOT_ALLOWED; /* a bell gives nobody anything */
    if (sister->revoked) return E_REVOKED;
    shelf_of_sister(put->sister, ret_shelf);
    return memcmp(ret_shelf->box, put->box, HASH_SIZE) == 0 ? E_OK : E_MISMATCH;
}

/* A put that is repeated leaves nothing twice. */
static enum error holds(const struct book *book, const struct shelf *shelf, struct bytes data, bool *ret) {
    AUTO_BUF item = {0};
    for (uint64_t number = 0;;) {
        buf_clear(&item);
        enum error error = book->store->ops->box_next(book->store, shelf->box, number, &number, &item);
        if (error == E_UNKNOWN_REQUEST) return E_OK;
        TRY(error);
        *ret = bytes_equal(buf_bytes(&item), data);
        if (*ret) return E_OK;
    }
}

/* member: the live device that puts, or NULL. */
static enum error check_room(struct book *book, const struct shelf *shelf, const struct directory_device *member,
                             enum error *ret_wrong) {
    uint64_t count, total;
    TRY(book->store->ops->box_count(book->store, shelf->box, &count));
    *ret_wrong = count < (shelf->guest ? INVITATION_ITEMS_MAX : BOX_ITEMS_MAX) ? E_OK : E_OVER_QUOTA;
    if (*ret_wrong != E_OK || !shelf->guest) return E_OK;
    if (member) {
        char key[DAILY_KEY_SIZE];
        snprintf(key, sizeof key, "invite/%s", member->post->party->name);
        return book_daily_take(book, key, PARTY_INVITATIONS_PER_DAY, ret_wrong);
    }
    TRY(book->store->ops->box_total(book->store, true, &total));
    *ret_wrong = total < INVITATIONS_MAX ? E_OK : E_BUSY;
    return E_OK;
}

static enum error add(struct book *book, const struct shelf *shelf, const struct directory_device *member,
                      struct bytes data, enum error *ret_wrong) {
    bool there = false;
    TRY(holds(book, shelf, data, &there));
    if (there) return E_OK;
    TRY(check_room(book, shelf, member, ret_wrong));
    if (*ret_wrong != E_OK) return E_OK;
    struct instant expires = {book->now.ms + (shelf->guest ? INVITATION_MS : SISTER_MS)};
    return book->store->ops->box_add(book->store, shelf->box, shelf->guest && !member, expires, data);
}

enum error boxes_put(struct book *book, const struct job *job, const struct put *put, struct response *response) {
    struct shelf shelf;
    enum error wrong = E_OK;
    const struct directory_device *member = book_device(book, job);
    if (member && book_live(book, member) != E_OK) member = NULL;
    if (put->has_sister)
        wrong = check_sister(book, job, put, &shelf);
    else
        shelf_of_invitation(put->box, &shelf);
    if (wrong == E_OK && put->data.n == 0) wrong = E_MISSING_FIELD;
    if (wrong == E_OK && !member && put->data.n > GUEST_ITEM_MAX) wrong = E_TOO_LARGE;
    if (wrong == E_OK && book->refuse_new) wrong = E_STORE_FULL;
    if (wrong == E_OK) TRY(add(book, &shelf, member, put->data, &wrong));
    if (wrong != E_OK) {
        response_fail(response, wrong, NULL);
        return E_OK;
    }
    response->type = MESSAGE_DONE;
    done_encode(&(struct done){0}, &response->body);
    return buf_error(&response->body);
}

/* ---- getting ---- */

/* Its own box, for a live device; for everybody else the id means an invitation's. */
static enum error shelf_for(const struct book *book, const struct job *job, const struct get *get, struct shelf *ret) {
    const struct directory_device *device = book_device(book, job);
    if (device) {
        shelf_of_sister(device->device, ret);
        if (memcmp(ret->box, get->box, HASH_SIZE) == 0) return book_live(book, device);
    }
    shelf_of_invitation(get->box, ret);
    return E_OK;
}

enum error boxes_drop(struct book *book, const struct job *job, const struct get *get) {
    struct shelf shelf;
    if (get->after == 0 || shelf_for(book, job, get, &shelf) != E_OK) return E_OK; /* boxes_get says what is wrong */
    return book->store->ops->box_drop(book->store, shelf.box, get->after);
}

enum error boxes_get(struct book *book, const struct job *job, const struct get *get, struct response *response) {
    struct shelf shelf;
    struct box box = {0};
    AUTO_BUF data = {0};
    enum error error = shelf_for(book, job, get, &shelf);
    if (error != E_OK) {
        response_fail(response, error, NULL);
        return E_OK;
    }
    error = book->store->ops->box_next(book->store, shelf.box, get->after, &box.number, &data);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    box.has_number = box.has_data = error == E_OK;
    box.data = buf_bytes(&data);
    box_encode(&box, &response->body);
    response->type = MESSAGE_BOX;
    return buf_error(&response->body);
}

enum error boxes_sweep(struct book *book) { return book->store->ops->box_sweep(book->store, book->now); }
