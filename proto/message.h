/* message.h - frames: one ZeroMQ message, one CBOR `frame`, one object of the kind its type says (message.def).
 *
 * A client numbers its frames; the relay's answer repeats the number. Number 0 is what the relay sends unasked. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "objects.h"

enum message {
    MESSAGE_NONE = 0,
#define MESSAGE(name, type, object, sender, who, answer) MESSAGE_##name = type,
#include "message.def"
#undef MESSAGE
};

struct message_row {
    enum message type;
    const char *name;
    const struct object *object;
    bool from_client, anyone;
    enum message answer;
};

/* The row of a type, or NULL. */
const struct message_row *message_row(uint64_t type);
const struct message_row *message_nth(unsigned n);

/* Appends the frame that carries `value` (the struct of the type's object). */
void message_encode(enum message type, uint64_t number, const void *value, struct buf *out);
/* Appends the frame that says `error`; detail may be NULL. */
void message_encode_failure(uint64_t number, enum error error, const char *detail, struct buf *out);

/* Reads the outer frame only and finds its row: E_UNKNOWN_MESSAGE, or a decoding error. */
CHECKED enum error message_decode(struct bytes bytes, struct frame *ret_frame, const struct message_row **ret_row);

#endif
