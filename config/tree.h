/* tree.h - the part of YAML that a configuration needs, as a small tree with positions.
 *
 * Mappings, lists and scalars; nothing else. Aliases, anchors, tags, a second document, duplicate keys, keys that are
 * no plain text, more than TREE_DEPTH_MAX levels or TREE_CHILDREN_MAX members are errors. Each is noted with its place
 * and reading goes on where it can, so that one run names them all; a syntax error ends it. libyaml is quadratic on
 * nesting, so depth is judged event by event and the text's size by the caller. */
#ifndef TREE_H
#define TREE_H

#include <stdio.h>

#include "own.h"

enum { TREE_DEPTH_MAX = 8, TREE_CHILDREN_MAX = 256, TREE_NOTE_SIZE = 256 };

struct tree_place {
    unsigned line, column; /* from 1 */
};

/* What is wrong, and where. */
struct tree_notes {
    struct tree_note {
        struct tree_place place;
        char text[TREE_NOTE_SIZE];
    } * notes;
    size_t count, room;
    bool failed; /* memory ran out */
};

void tree_note(struct tree_notes *notes, struct tree_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* In the order of the file, "name:line:column: text" each. report may be NULL. */
void tree_notes_print(struct tree_notes *notes, const char *name, FILE *report);
void tree_notes_free(struct tree_notes *notes);

enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP };

struct tree_node {
    enum tree_kind kind;
    struct tree_place place; /* of the value */
    struct tree_place key_place;
    char *key;   /* a mapping's member: its key, else NULL */
    char *text;  /* TREE_TEXT: without zero bytes, as UTF-8 */
    bool quoted; /* TREE_TEXT: so it cannot be a number or nothing */
    struct tree_node *children, *next;
};

/* NULL with no note: an empty document. NULL with notes: nothing could be read. Freed with tree_free. */
struct tree_node *tree_parse(struct bytes text, struct tree_notes *notes);
void tree_free(struct tree_node *node);

#endif
