/* tamper.h - changes one field of one object inside an answer, whatever it lies in.
 *
 * The protocol's tables are walked: an answer's object, the objects in it, and what lies in byte strings - signed
 * payloads, receipts, records, entries, heads, leaves, wrap sets, feed items. Everything around a changed field is put
 * together again as it was, so that the change gets as far as the check it is meant for. What the relay signs itself
 * (records, promises, its own statements, heads) keeps the signature it had, or is signed anew with the relay's key.
 *
 * A field is named by where it lies: "FEED/feed.items/item.body/offered.receipt/receipt.record". First an honest
 * session is looked at (tamper_look): all fields that there are, and values of each to put in the place of others. */
#ifndef TAMPER_H
#define TAMPER_H

#include "scene.h"

enum change {
    CHANGE_FLIP,    /* a bit of bytes, another truth value, a key of a list's first item */
    CHANGE_REMOVE,  /* the field */
    CHANGE_EMPTY,   /* bytes, a text or a list with nothing in it */
    CHANGE_OTHER,   /* the same field of another object of the kind */
    CHANGE_PLUS,    /* a number, one more */
    CHANGE_MINUS,   /* one less */
    CHANGE_ZERO,    /* a number or bytes of fixed length */
    CHANGE_MOST,    /* the largest that the table allows */
    CHANGE_TWICE,   /* a list whose first item is there twice */
    CHANGE_REVERSE, /* a list backwards */
    CHANGE_ADD,     /* an optional field that was not there */
    CHANGE_COUNT
};
extern const char *const change_names[CHANGE_COUNT];

enum { TAMPER_PATH = 256, TAMPER_FIELDS = 1200, TAMPER_SAMPLES = 4, TAMPER_KINDS = 400 };

/* Values that a field of an object has had, wherever it lay. */
struct tamper_values {
    const struct object *object;
    const struct field *field;
    struct buf items[TAMPER_SAMPLES];
    size_t count;
};
struct tamper_field {
    char path[TAMPER_PATH];
    enum message type;
    const struct object *object;
    const struct field *field;
    bool own;     /* lies inside something that the relay signs itself */
    bool present; /* was there at least once */
};
struct tamper {
    struct card card;
    struct scene_keys log, statement;
    struct tamper_field fields[TAMPER_FIELDS];
    size_t count;
    struct tamper_values values[TAMPER_KINDS];
    size_t value_count;
};
struct tamper_aim {
    const struct tamper_field *field;
    enum change change;
    bool anew;    /* signed anew, where the relay signs it */
    bool applied; /* out: the bytes are others now */
};

void tamper_open(struct tamper *tamper, const struct scene_relay *relay);
void tamper_close(struct tamper *tamper);
/* What there is in this answer. */
void tamper_look(struct tamper *tamper, enum message type, struct bytes body);
/* Appends the changed answer; the same bytes when there is nothing to change at this place. */
void tamper_body(struct tamper *tamper, struct tamper_aim *aim, enum message type, struct bytes body, struct buf *out);
/* Does such a change make sense for the field? */
bool tamper_fits(const struct tamper_field *field, enum change change);

/* A signed head as an object, so that it can be walked like others. */
extern const struct object tamper_note_object;
/* Everything that a walk can come to from the relay's answers: calls `each` for every field of every such object. */
void tamper_every_field(void (*each)(const struct object *object, const struct field *field, void *context),
                        void *context);

#endif
