/* verify.c - the signatures of one message. What is cheap to refuse is refused before a signature is checked, and a
 * signature that many payloads share is checked once (stamp_verify_cached). */
#include "verify.h"

#include <assert.h>
#include <stdio.h>

#include "contact.h"
#include "header.h"

struct verifier {
    const struct verify_question *question;
    struct stamp_cache cache;
    char *detail;
};

/* "wrapsets[3]": which item of a list is at fault. */
static enum error at_item(struct verifier *verifier, enum error error, const char *list, size_t index) {
    if (error != E_OK) snprintf(verifier->detail, VERIFY_DETAIL, "%s[%zu]", list, index);
    return error;
}

static enum error at_field(struct verifier *verifier, enum error error, const char *field) {
    if (error != E_OK) snprintf(verifier->detail, VERIFY_DETAIL, "%s", field);
    return error;
}

static enum error decode(struct verifier *verifier, void *ret_value) {
    const struct verify_question *question = verifier->question;
    const char *field = NULL;
    enum error error = codec_decode_where(question->row->object, question->body, ret_value, &field);
    return field ? at_field(verifier, error, field) : error;
}

/* The asking device, and nobody else, for its own post. */
static enum error own_words(const struct verifier *verifier, const uint8_t device[static KEY_SIZE], struct bytes post) {
    const struct directory_device *own = verifier->question->device;
    if (memcmp(device, own->device, KEY_SIZE) != 0) return E_NOT_ALLOWED;
    return bytes_are(post, own->post->name) ? E_OK : E_NOT_ALLOWED;
}

/* A wrap set may have been made by a sister of the asking device, but it is of the same post and its key still counts.
 */
static enum error check_wrapset(struct verifier *verifier, struct bytes stamped,
                                const uint8_t header[static HASH_SIZE]) {
    const struct verify_question *question = verifier->question;
    struct bytes payload;
    struct wrapset wrapset;
    TRY(stamp_peek(stamped, &payload));
    TRY(wrapset_decode(payload, &wrapset));
    if (memcmp(wrapset.header, header, HASH_SIZE) != 0) return E_MISMATCH;
    const struct directory_device *signer = directory_device(question->directory, wrapset.signer);
    if (!signer) return E_UNKNOWN_DEVICE;
    if (signer->post != question->device->post) return E_NOT_ALLOWED;
    TRY(directory_live(signer, question->time));
    return stamp_verify_cached(LABEL_WRAPSET, wrapset.signer, stamped, &verifier->cache, NULL);
}

/* ---- SUBMIT ---- */

static enum error check_header(struct verifier *verifier, struct bytes stamped, uint8_t ret_digest[static HASH_SIZE]) {
    struct bytes payload;
    struct header header;
    TRY(stamp_peek(stamped, &payload));
    TRY(header_decode(payload, &header));
    TRY(own_words(verifier, header.device, header.from));
    return header_open(stamped, &header, ret_digest);
}

static enum error check_places(struct verifier *verifier, struct list places) {
    struct place place;
    for (size_t i = 0; place_next(&places, &place); i++) {
        struct opening opening;
        TRY(at_item(verifier, opening_decode(place.opening, &opening), "places", i));
    }
    return E_OK;
}

static enum error verify_submit(struct verifier *verifier) {
    struct submit submit;
    uint8_t digest[HASH_SIZE];
    struct bytes wrapset;
    TRY(decode(verifier, &submit));
    TRY(at_field(verifier, check_header(verifier, submit.header, digest), "header"));
    TRY(check_places(verifier, submit.places));
    for (size_t i = 0; list_next_bytes(&submit.wrapsets, &wrapset); i++)
        TRY(at_item(verifier, check_wrapset(verifier, wrapset, digest), "wrapsets", i));
    return E_OK;
}

/* ---- STATE ---- */

/* statement_open, but with the signature remembered: a device that was away signs many statements at once. */
static enum error check_statement(struct verifier *verifier, struct bytes stamped, struct statement *ret) {
    struct bytes payload;
    TRY(stamp_peek(stamped, &payload));
    TRY(statement_decode(payload, ret));
    if (!leg_event_row(ret->event)) return E_OUT_OF_RANGE;
    if (!ret->has_post) return E_NOT_ALLOWED; /* the relay's own words */
    TRY(own_words(verifier, ret->device, ret->post));
    return stamp_verify_cached(LABEL_STATEMENT, ret->device, stamped, &verifier->cache, NULL);
}

static enum error check_said(struct verifier *verifier, const struct said *said) {
    struct statement statement;
    TRY(check_statement(verifier, said->statement, &statement));
    return said->has_wrapset ? check_wrapset(verifier, said->wrapset, statement.header) : E_OK;
}

static enum error verify_state(struct verifier *verifier) {
    struct state state;
    struct said said;
    TRY(decode(verifier, &state));
    for (size_t i = 0; said_next(&state.said, &said); i++)
        TRY(at_item(verifier, check_said(verifier, &said), "said", i));
    return E_OK;
}

/* ---- PUBLISH ---- */

static enum error check_prekey(struct verifier *verifier, struct bytes stamped) {
    const struct verify_question *question = verifier->question;
    struct bytes payload;
    struct prekey prekey;
    uint8_t id[PREKEY_ID_SIZE];
    TRY(stamp_peek(stamped, &payload));
    TRY(prekey_decode(payload, &prekey));
    if (memcmp(prekey.device, question->device->device, KEY_SIZE) != 0) return E_NOT_ALLOWED;
    return directory_open_prekey(question->directory, stamped, &prekey, id);
}

static enum error verify_publish(struct verifier *verifier) {
    struct publish publish;
    struct bytes prekey;
    TRY(decode(verifier, &publish));
    for (size_t i = 0; list_next_bytes(&publish.prekeys, &prekey); i++)
        TRY(at_item(verifier, check_prekey(verifier, prekey), "prekeys", i));
    return E_OK;
}

/* ---- PUTCONTACT ---- */

static enum error check_contact(struct verifier *verifier, const struct putcontact *put) {
    struct bytes payload;
    struct contact contact;
    if (!put->has_statement) return E_OK;
    TRY(stamp_peek(put->statement, &payload));
    TRY(contact_decode(payload, &contact));
    TRY(own_words(verifier, contact.device, contact.post));
    return stamp_verify_cached(LABEL_CONTACT, contact.device, put->statement, &verifier->cache, NULL);
}

static enum error verify_putcontact(struct verifier *verifier) {
    struct putcontact put;
    struct sealedsheet sheet;
    TRY(decode(verifier, &put));
    TRY(at_field(verifier, check_contact(verifier, &put), "statement"));
    struct bytes post = bytes_text(verifier->question->device->post->name);
    for (size_t i = 0; sealedsheet_next(&put.sheets, &sheet); i++)
        TRY(at_item(verifier, sheet_check_sealed(&sheet, post), "sheets", i));
    return E_OK;
}

/* ---- the rest ---- */

/* Room for whatever object a client may send. */
union any_object {
    struct hello hello;
    struct getleaves getleaves;
    struct enrol enrol;
    struct declare declare;
    struct getprekeys getprekeys;
    struct chunk chunk;
    struct getfeed getfeed;
    struct fetch fetch;
    struct track track;
    struct getheads getheads;
    struct getcheckpoint getcheckpoint;
    struct cosign cosign;
    struct put put;
    struct get get;
    struct getcontact getcontact;
};

static enum error verify_shape(struct verifier *verifier) {
    union any_object value;
    assert(verifier->question->row->object->size <= sizeof value);
    return decode(verifier, &value);
}

bool verify_is_light(const struct message_row *row) {
    return row->type != MESSAGE_SUBMIT && row->type != MESSAGE_STATE && row->type != MESSAGE_PUBLISH &&
           row->type != MESSAGE_PUTCONTACT;
}

enum error verify_message(const struct verify_question *question, char ret_detail[static VERIFY_DETAIL]) {
    struct verifier verifier = {.question = question, .detail = ret_detail};
    ret_detail[0] = 0;
    if (!question->row->anyone && !question->device) return E_UNKNOWN_DEVICE;
    if (question->row->type == MESSAGE_SUBMIT) return verify_submit(&verifier);
    if (question->row->type == MESSAGE_STATE) return verify_state(&verifier);
    if (question->row->type == MESSAGE_PUBLISH) return verify_publish(&verifier);
    if (question->row->type == MESSAGE_PUTCONTACT) return verify_putcontact(&verifier);
    return verify_shape(&verifier);
}
