/* leafname.c - the kinds of entries, in words, and of whom they speak. */
#include "leafname.h"

#include <stdio.h>

#include "directory.h"

/* Everything that an entry may be: of each the field that names its party or post. */
union any_statement {
    struct charter charter;
    struct admission admission;
    struct post post;
    struct device device;
    struct revocation revocation;
    struct succession succession;
    struct departure departure;
    struct split split;
    struct notice notice;
    struct contact contact;
};

#define NAMED(kind, object, field, words) [kind] = {&object##_object, offsetof(struct object, field), words}
static const struct leaf_words {
    const struct object *object;
    size_t name;
    const char *words;
} kinds[] = {
    NAMED(LEAF_CHARTER, charter, party, "the charter of"),
    NAMED(LEAF_ADMISSION, admission, party, "the registrars' word on"),
    NAMED(LEAF_POST, post, post, "the post"),
    NAMED(LEAF_DEVICE, device, post, "a device of"),
    [LEAF_COUNTERSIGN] = {NULL, 0, "a countersignature"},
    NAMED(LEAF_REVOCATION, revocation, post, "a revocation at"),
    NAMED(LEAF_SUCCESSION, succession, party, "another authority key of"),
    NAMED(LEAF_DEPARTURE, departure, party, "the departure of"),
    NAMED(LEAF_SPLIT, split, post, "the splitting of"),
    NAMED(LEAF_NOTICE, notice, party, "the registrars' notice on"),
    NAMED(LEAF_CONTACT, contact, post, "the contact card of"),
};

/* The name that stands in the statement, if it is the object that it should be. */
static struct bytes name_in(const struct leaf_words *row, const struct leaf *leaf) {
    struct bytes payload;
    union any_statement value;
    if (directory_peek(leaf->kind, leaf->statement, &payload) != E_OK) return (struct bytes){0};
    if (codec_decode(row->object, payload, &value) != E_OK) return (struct bytes){0};
    return *(const struct bytes *)(const void *)((const uint8_t *)&value + row->name);
}

/* Names come from a stranger: only what a name may have is shown. */
static bool showable(struct bytes name) { return text_is_party(name) || text_is_post(name); }

void leafname(struct bytes bytes, char ret[static LEAFNAME_SIZE]) {
    struct leaf leaf;
    const struct leaf_words *row = NULL;
    if (leaf_decode(bytes, &leaf) == E_OK && leaf.kind < LENGTH(kinds) && kinds[leaf.kind].words)
        row = &kinds[leaf.kind];
    struct bytes name = row && row->object ? name_in(row, &leaf) : (struct bytes){0};
    if (!showable(name)) name = (struct bytes){0};
    snprintf(ret, LEAFNAME_SIZE, "%s%s%.*s", row ? row->words : "no entry of any kind", name.n ? " " : "", (int)name.n,
             (const char *)name.p);
}
