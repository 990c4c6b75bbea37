/* mutate.h - one CBOR item, damaged or changed at one place in one way, everything around it kept well-formed.
 *
 * The places of an item are its heads in order, those inside byte strings that hold CBOR themselves included (a stamped
 * object carries its payload so): the lengths around a damaged inner object are put right again, so that the damage
 * reaches the decoder it is meant for. */
#ifndef MUTATE_H
#define MUTATE_H

#include "own.h"

enum mutation {
    MUTATE_LONG_HEAD,            /* the head in a longer form than needed */
    MUTATE_OTHER_TYPE,           /* another major type with the same argument */
    MUTATE_INDEFINITE,           /* indefinite length */
    MUTATE_TAGGED,               /* a tag before it */
    MUTATE_NULL,                 /* null instead of it */
    MUTATE_FLOAT,                /* a floating-point number instead of it */
    MUTATE_HUGE,                 /* a string, list or map that claims 2^63 members */
    MUTATE_WIDE,                 /* one that claims 2^32 - 1 */
    MUTATE_MORE,                 /* one that claims one more than it has */
    MUTATE_FEWER,                /* one less */
    MUTATE_UNKNOWN_FIELD,        /* a map with one more pair, in order */
    MUTATE_REPEATED,             /* a map with its first pair twice */
    MUTATE_DEEP,                 /* a hundred nested lists instead of it */
    MUTATE_FORMS,                /* so far: no decoder may take them */
    MUTATE_VALUE = MUTATE_FORMS, /* another number, truth value or byte; the same form */
    MUTATE_EMPTY,                /* a string, list or map with nothing in it */
    MUTATE_DROP,                 /* a map without its last pair, a list without its first item */
    MUTATE_TWICE,                /* a list with its first item twice */
    MUTATE_REVERSED,             /* a list whose first item has become its last */
    MUTATE_COUNT,
};

/* Damages place `place` of the well-formed `item` and appends the result. False when the mutation does not apply there;
 * *ret_past is set when there is no such place. */
bool mutate(struct bytes item, size_t place, enum mutation mutation, struct buf *out, bool *ret_past);

#endif
