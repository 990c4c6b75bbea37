/* contacts.c - contact cards: kept beside the directory, erased when their post says so.
 *
 * A new card comes with the statement that commits to it; both enter in one transaction, and what the card before it
 * held - values, salts, wraps - is overwritten in it. Without a statement a device of the post adds wraps to the
 * sheets that are there, for devices that came later and day keys that have passed. Public sheets are for whoever
 * asks; the others go, still sealed, to members, each with the wrap for the asking device and no other. */
#include "book.h"
#include "contact.h"

enum { CARDS_PER_DAY = 32, QUOTA_KEY_SIZE = POST_MAX + 16 };

static bool store_failed(enum error error) {
    return error == E_IO || error == E_CORRUPT || error == E_NO_MEMORY || error == E_INTERNAL || error == E_STORE_FULL;
}

static bool has_sheet(const struct directory_post *post, const uint8_t commitment[static HASH_SIZE]) {
    for (size_t i = 0; i < post->sheet_count; i++)
        if (memcmp(post->sheets[i], commitment, HASH_SIZE) == 0) return true;
    return false;
}

/* ---- may it be put? ---- */

/* The sheets are exactly those that the statement commits to, in its order, no two alike. */
static enum error check_committed(const struct contact *contact, struct list sheets, struct bytes post) {
    struct list commitments = contact->commitments, before;
    struct sealedsheet sheet, earlier;
    const uint8_t *commitment;
    if (commitments.count != sheets.count) return E_MISMATCH;
    const struct list all = sheets;
    for (size_t i = 0; sealedsheet_next(&sheets, &sheet) && list_next_fixed(&commitments, HASH_SIZE, &commitment);
         i++) {
        if (memcmp(sheet.commitment, commitment, HASH_SIZE) != 0) return E_MISMATCH;
        if (!sheet.has_data) return E_MISSING_FIELD;
        TRY(sheet_check_sealed(&sheet, post));
        before = all;
        for (size_t j = 0; j < i && sealedsheet_next(&before, &earlier); j++)
            if (memcmp(earlier.commitment, commitment, HASH_SIZE) == 0) return E_NON_CANONICAL;
    }
    return E_OK;
}

/* A commitment says nothing about whose it is, so another's can be repeated; its sheet cannot. */
static enum error check_unused(const struct directory *directory, const struct directory_post *own,
                               struct list commitments) {
    const struct directory_post *post;
    const uint8_t *commitment;
    while (list_next_fixed(&commitments, HASH_SIZE, &commitment))
        for (size_t i = 0; (post = directory_post_nth(directory, i)); i++)
            if (post != own && has_sheet(post, commitment)) return E_CONFLICT;
    return E_OK;
}

static enum error check_card(const struct book *book, const struct directory_device *device,
                             const struct putcontact *put, bool *ret_held) {
    struct bytes payload;
    struct contact contact;
    TRY(stamp_peek(put->statement, &payload));
    TRY(contact_decode(payload, &contact));
    const struct directory_post *post = device->post;
    if (device->role != ROLE_DECIDER || memcmp(contact.device, device->device, KEY_SIZE) != 0 ||
        !bytes_are(contact.post, post->name))
        return E_NOT_ALLOWED;
    TRY(check_committed(&contact, put->sheets, contact.post));
    TRY(check_unused(book_directory(book), post, contact.commitments));
    *ret_held = directory_holds(book_directory(book), LEAF_CONTACT, put->statement);
    if (!*ret_held) return E_OK;
    /* Said before: then it is the card that stands, or another one has taken its place. */
    const uint8_t *commitment;
    if (contact.commitments.count != post->sheet_count) return E_CONFLICT;
    while (list_next_fixed(&contact.commitments, HASH_SIZE, &commitment))
        if (!has_sheet(post, commitment)) return E_CONFLICT;
    return E_OK;
}

static enum error check_wraps(const struct directory_device *device, struct list sheets) {
    struct sealedsheet sheet;
    if (device->role == ROLE_BELL) return E_NOT_ALLOWED;
    if (sheets.count == 0) return E_MISSING_FIELD;
    while (sealedsheet_next(&sheets, &sheet)) {
        if (!has_sheet(device->post, sheet.commitment)) return E_STALE_DIRECTORY; /* the card is another one by now */
        if (sheet.has_data || sheet.audience == AUDIENCE_PUBLIC) return E_MALFORMED;
    }
    return E_OK;
}

/* Every card is a leaf for ever: so many a day, the same for all. To erase what is there is always possible: it needs a card
 * before it, which was counted. */
static enum error take_quota(struct book *book, const struct directory_post *post, enum error *ret_wrong) {
    char key[QUOTA_KEY_SIZE];
    snprintf(key, sizeof key, "card/%s", post->name);
    return book_daily_take(book, key, CARDS_PER_DAY, ret_wrong);
}

static bool erases(const struct directory_post *post, const struct putcontact *put) {
    return put->has_statement && put->sheets.count == 0 && post->sheet_count > 0;
}

/* ---- putting ---- */

/* For devices that the directory knows and that are not revoked: who has gone meanwhile needs none. */
static enum error put_wraps(struct book *book, const struct sealedsheet *sheet) {
    struct list wraps = sheet->wraps;
    struct wrap wrap;
    while (wrap_next(&wraps, &wrap)) {
        const struct directory_device *device = directory_device(book_directory(book), wrap.device);
        AUTO_BUF bytes = {0};
        if (!device || device->revoked || device->role == ROLE_BELL) continue;
        wrap_encode(&wrap, &bytes);
        TRY(buf_error(&bytes));
        TRY(book->store->ops->sheetwrap_put(book->store, sheet->commitment, wrap.device, buf_bytes(&bytes)));
    }
    return E_OK;
}

static enum error put_sheets(struct book *book, const char *post, struct list sheets, enum error *ret_wrong) {
    struct sealedsheet sheet;
    while (sealedsheet_next(&sheets, &sheet)) {
        enum error error = E_OK;
        if (sheet.has_data)
            error =
                book->store->ops->sheet_put(book->store, post, sheet.commitment, (unsigned)sheet.audience, sheet.data);
        if (error == E_CONFLICT) *ret_wrong = error; /* of a post that was revoked; nobody else has it */
        if (error == E_CONFLICT) continue;
        TRY(error);
        TRY(put_wraps(book, &sheet));
    }
    return E_OK;
}

static enum error put_card(struct book *book, const struct directory_device *device, const struct putcontact *put,
                           bool held, struct response *response) {
    enum error wrong = E_OK;
    char post[POST_MAX + 1];
    snprintf(post, sizeof post, "%s", device->post->name); /* the directory changes */
    if (!held && !erases(device->post, put)) TRY(take_quota(book, device->post, &wrong));
    if (wrong == E_OK) TRY(enrolment_contact(book, put->statement, response));
    if (wrong == E_OK && response->type == MESSAGE_FAILURE) return E_OK;
    if (wrong == E_OK && !held) TRY(book->store->ops->sheets_erase(book->store, post));
    if (wrong == E_OK) TRY(put_sheets(book, post, put->sheets, &wrong));
    if (wrong != E_OK) response_fail(response, wrong, wrong == E_OVER_QUOTA ? "contact cards of a day" : NULL);
    return E_OK;
}

static enum error put_more_wraps(struct book *book, const struct putcontact *put, struct response *response) {
    enum error wrong = E_OK;
    TRY(put_sheets(book, NULL, put->sheets, &wrong));
    done_encode(&(struct done){0}, &response->body);
    response->type = MESSAGE_DONE;
    return buf_error(&response->body);
}

enum error contacts_put(struct book *book, const struct job *job, const struct putcontact *put,
                        struct response *response) {
    const struct directory_device *device = book_device(book, job);
    bool held = false;
    enum error wrong = device ? book_live(book, device) : E_UNKNOWN_DEVICE;
    if (wrong == E_OK && book->refuse_new && !erases(device->post, put)) wrong = E_STORE_FULL;
    if (wrong == E_OK)
        wrong = put->has_statement ? check_card(book, device, put, &held) : check_wraps(device, put->sheets);
    if (wrong != E_OK) {
        response_fail(response, wrong, NULL);
        return E_OK;
    }
    return put->has_statement ? put_card(book, device, put, held, response) : put_more_wraps(book, put, response);
}

/* ---- a post that was revoked, or has come back ---- */

/* Who has no device any more cannot erase: without a sheet that the directory commits to, what is stored has no use. Judged
 * by the directory, because the statement may be a repeat of one that is long past, of a post that has a new card. */
static enum error erase_lost(struct book *book, struct bytes name) {
    const struct directory_post *post = directory_post(book_directory(book), name);
    uint8_t commitment[HASH_SIZE];
    unsigned audience;
    AUTO_BUF data = {0};
    if (!post || (post->sheet_count > 0 && !post->revoked)) return E_OK;
    enum error error = book->store->ops->sheet_nth(book->store, post->name, 0, commitment, &audience, &data);
    if (error == E_UNKNOWN_REQUEST) return E_OK; /* nothing to erase, which is the usual, and erasing costs */
    TRY(error);
    return book->store->ops->sheets_erase(book->store, post->name);
}

enum error contacts_directory_grew(struct book *book, struct list statements) {
    struct dirstatement statement;
    while (dirstatement_next(&statements, &statement)) {
        struct bytes payload;
        struct revocation revocation;
        struct post post;
        if (statement.kind != LEAF_REVOCATION && statement.kind != LEAF_POST) continue;
        if (stamp_peek(statement.statement, &payload) != E_OK) return E_INTERNAL; /* the directory has taken it */
        if (statement.kind == LEAF_REVOCATION && revocation_decode(payload, &revocation) == E_OK)
            TRY(erase_lost(book, revocation.post));
        if (statement.kind == LEAF_POST && post_decode(payload, &post) == E_OK) TRY(erase_lost(book, post.post));
    }
    return E_OK;
}

/* ---- getting ---- */

static enum error add_sheet(const struct book *book, const struct directory_device *device, struct sealedsheet *sheet,
                            struct buf *out) {
    AUTO_BUF wrap = {0};
    enum error error = E_UNKNOWN_REQUEST;
    if (device && sheet->audience != AUDIENCE_PUBLIC)
        error = book->store->ops->sheetwrap_get(book->store, sheet->commitment, device->device, &wrap);
    if (error != E_UNKNOWN_REQUEST) TRY(error);
    sheet->wraps = list_of(&wrap, error == E_OK);
    sealedsheet_encode(sheet, out);
    return buf_error(out);
}

/* Those that the directory commits to; device NULL: the public ones. */
static enum error list_sheets(const struct book *book, const struct directory_post *post,
                              const struct directory_device *device, struct buf *out, size_t *ret_count) {
    for (unsigned n = 0;; n++) {
        AUTO_BUF data = {0};
        struct sealedsheet sheet = {.has_data = true};
        unsigned audience;
        enum error error = book->store->ops->sheet_nth(book->store, post->name, n, sheet.commitment, &audience, &data);
        if (error == E_UNKNOWN_REQUEST) return E_OK;
        TRY(error);
        sheet.audience = audience;
        sheet.data = buf_bytes(&data);
        if (!has_sheet(post, sheet.commitment) || (!device && audience != AUDIENCE_PUBLIC)) continue;
        TRY(add_sheet(book, device, &sheet, out));
        (*ret_count)++;
    }
}

enum error contacts_get(const struct book *book, const struct job *job, const struct getcontact *get,
                        struct response *response) {
    const struct directory_post *post = directory_post(book->directory, get->post);
    const struct directory_device *device = book_device(book, job);
    AUTO_BUF list = {0};
    size_t count = 0;
    if (!post || post->revoked) {
        response_fail(response, post ? E_REVOKED : E_UNKNOWN_POST, NULL);
        return E_OK;
    }
    bool member = device && device->role != ROLE_BELL && directory_live(device, book->now) == E_OK;
    enum error error = list_sheets(book, post, member ? device : NULL, &list, &count);
    if (store_failed(error)) return error;
    contactcard_encode(&(struct contactcard){.sheets = list_of(&list, count)}, &response->body);
    response->type = MESSAGE_CONTACTCARD;
    return buf_error(&response->body);
}
