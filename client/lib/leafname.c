/* leafname.c - the kinds of entries, in words, and of whom they speak. */
#include "leafname.h"

#include <stdio.h>

#include "directory.h"

static const char *const kinds[] = {
    [LEAF_CHARTER] = "the charter of",
    [LEAF_ADMISSION] = "the registrars' word on",
    [LEAF_POST] = "the post",
    [LEAF_DEVICE] = "a device of",
    [LEAF_COUNTERSIGN] = "a countersignature",
    [LEAF_REVOCATION] = "a revocation at",
    [LEAF_SUCCESSION] = "another authority key of",
    [LEAF_DEPARTURE] = "the departure of",
    [LEAF_SPLIT] = "the splitting of",
    [LEAF_NOTICE] = "the registrars' notice on",
    [LEAF_CONTACT] = "the contact card of",
    [LEAF_RELAY] = "the registrars' word on the relay",
};

/* The name that stands in the statement, if it is the object that it should be. */
static struct bytes name_in(struct bytes leaf) {
    enum leaf_kind kind;
    struct bytes name;
    return directory_leaf_name(NULL, leaf, &kind, &name) == E_OK ? name : (struct bytes){0};
}

/* Names come from a stranger: only what a name may have is shown. */
static bool showable(struct bytes name) { return text_is_party(name) || text_is_post(name); }

void leafname(struct bytes bytes, char ret[static LEAFNAME_SIZE]) {
    struct leaf leaf;
    const char *words = "no entry of any kind";
    struct bytes name = {0};
    if (leaf_decode(bytes, &leaf) == E_OK && leaf.kind < LENGTH(kinds) && kinds[leaf.kind]) {
        words = kinds[leaf.kind];
        name = name_in(bytes);
    }
    if (!showable(name)) name = (struct bytes){0};
    snprintf(ret, LEAFNAME_SIZE, "%s%s%.*s", words, name.n ? " " : "", (int)name.n, (const char *)name.p);
}
