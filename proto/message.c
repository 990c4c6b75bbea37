/* message.c - frames by the table of message.def. */
#include "message.h"

#include <assert.h>

#define CLIENT true
#define RELAY false
#define ANYONE true
#define MEMBER false
static const struct message_row rows[] = {
#define MESSAGE(name, type, object, sender, who, answer)                                                               \
    {MESSAGE_##name, #name, &object##_object, sender, who, MESSAGE_##answer},
#include "message.def"
#undef MESSAGE
};
#undef CLIENT
#undef RELAY
#undef ANYONE
#undef MEMBER

const struct message_row *message_nth(unsigned n) { return n < LENGTH(rows) ? &rows[n] : NULL; }

const struct message_row *message_row(uint64_t type) {
    for (size_t i = 0; i < LENGTH(rows); i++)
        if ((uint64_t)rows[i].type == type) return &rows[i];
    return NULL;
}

void message_encode(enum message type, uint64_t number, const void *value, struct buf *out) {
    const struct message_row *row = message_row(type);
    assert(row);
    AUTO_BUF body = {0};
    codec_encode(row->object, value, &body);
    if (body.failed) {
        out->failed = true;
        return;
    }
    frame_encode(&(struct frame){.type = type, .number = number, .body = buf_bytes(&body)}, out);
}

void message_encode_failure(uint64_t number, enum error error, const char *detail, struct buf *out) {
    struct failed failure = {.error = error, .has_detail = detail != NULL, .detail = bytes_text(detail)};
    if (failure.detail.n > SUBJECT_MAX) {
        failure.detail.n = SUBJECT_MAX; /* cut before a letter, never inside: the peer refuses half of one */
        while (failure.detail.n > 0 && (failure.detail.p[failure.detail.n] & 0xc0) == 0x80) failure.detail.n--;
    }
    message_encode(MESSAGE_FAILURE, number, &failure, out);
}

enum error message_decode(struct bytes bytes, struct frame *ret_frame, const struct message_row **ret_row) {
    struct frame frame;
    TRY(frame_decode(bytes, &frame));
    const struct message_row *row = message_row(frame.type);
    if (!row) return E_UNKNOWN_MESSAGE;
    *ret_frame = frame;
    *ret_row = row;
    return E_OK;
}
