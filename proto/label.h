/* label.h - the labels of label.def and the labelled digest. */
#ifndef LABEL_H
#define LABEL_H

#include "limits.h"
#include "own.h"

enum label {
#define LABEL(name, text) LABEL_##name,
#include "label.def"
#undef LABEL
    LABEL_COUNT
};

struct bytes label_text(enum label label);

/* BLAKE2b-256 (RFC 7693) over label text, one zero byte, then the bytes. */
void label_digest(enum label label, struct bytes bytes, uint8_t ret[static HASH_SIZE]);

#endif
