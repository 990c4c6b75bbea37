/* tree.c - libyaml's events made into a small tree. */
#include "tree.h"

#include <stdarg.h>
#include <yaml.h>

void tree_note(struct tree_notes *notes, struct tree_place place, const char *format, ...) {
    if (notes->count == notes->room) {
        size_t room = notes->room ? notes->room * 2 : 16;
        struct tree_note *grown = realloc(notes->notes, room * sizeof *grown);
        if (!grown) {
            notes->failed = true;
            return;
        }
        notes->notes = grown;
        notes->room = room;
    }
    struct tree_note *note = &notes->notes[notes->count++];
    note->place = place;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(note->text, sizeof note->text, format, arguments);
    va_end(arguments);
}

static bool before(const struct tree_note *a, const struct tree_note *b) {
    if (a->place.line != b->place.line) return a->place.line < b->place.line;
    return a->place.column < b->place.column;
}

static int compare(const void *a, const void *b) { return before(a, b) ? -1 : before(b, a) ? 1 : 0; }

void tree_notes_print(struct tree_notes *notes, const char *name, FILE *report) {
    if (!report || notes->count == 0) return;
    qsort(notes->notes, notes->count, sizeof *notes->notes, compare);
    for (size_t i = 0; i < notes->count; i++)
        fprintf(report, "%s:%u:%u: %s\n", name, notes->notes[i].place.line, notes->notes[i].place.column,
                notes->notes[i].text);
}

void tree_notes_free(struct tree_notes *notes) {
    free(notes->notes);
    *notes = (struct tree_notes){0};
}

/* Depth is bounded by TREE_DEPTH_MAX. */
void tree_free(struct tree_node *node) {
    while (node) {
        struct tree_node *next = node->next;
        tree_free(node->children);
        free(node->key);
        free(node->text);
        free(node);
        node = next;
    }
}

/* One pass over the events. `stopped`: nothing more can be read after a syntax error. */
struct pass {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; deleted by advance() */
    bool has_event, stopped;
    struct tree_notes *notes;
};

static struct tree_place place_of(yaml_mark_t mark) {
    return (struct tree_place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static void stop(struct pass *pass) { pass->stopped = true; }

static void note_syntax(struct pass *pass) {
    const yaml_parser_t *parser = &pass->parser;
    /* A reader error (bad UTF-8, control characters) has an offset only; the mark is where scanning stood. */
    yaml_mark_t mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
    tree_note(pass->notes, place_of(mark), "this is not YAML: %s; check indentation, colons and quotes",
              parser->problem ? parser->problem : "it cannot be read");
    stop(pass);
}

static void note_depth(struct pass *pass) {
    tree_note(pass->notes, place_of(pass->event.start_mark), "nested too deeply; there are two levels at most");
    stop(pass);
}

static void advance(struct pass *pass) {
    if (pass->has_event) yaml_event_delete(&pass->event);
    pass->has_event = false;
    if (pass->stopped) return;
    if (!yaml_parser_parse(&pass->parser, &pass->event)) {
        note_syntax(pass);
        return;
    }
    pass->has_event = true;
}

static yaml_event_type_t type_of(const struct pass *pass) { return pass->has_event ? pass->event.type : YAML_NO_EVENT; }
static struct tree_place place_now(const struct pass *pass) { return place_of(pass->event.start_mark); }

/* Anchors and tags are noted wherever they stand; the value itself is read on. */
static void refuse_extras(struct pass *pass) {
    const yaml_event_t *event = &pass->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor) tree_note(pass->notes, place_now(pass), "anchors (&) are not allowed here; write the value out");
    if (tag) tree_note(pass->notes, place_now(pass), "tags (!) are not allowed here; leave it out");
}

static struct tree_node *node_new(struct pass *pass, enum tree_kind kind) {
    struct tree_node *node = calloc(1, sizeof *node);
    if (!node) {
        pass->notes->failed = true;
        stop(pass);
        return NULL;
    }
    node->kind = kind;
    node->place = node->key_place = place_now(pass);
    return node;
}

/* The scalar's text; NULL (noted) when it holds a zero byte, which no value may. */
static char *scalar_text(struct pass *pass) {
    const char *value = (const char *)pass->event.data.scalar.value;
    size_t length = pass->event.data.scalar.length;
    if (memchr(value, 0, length)) {
        tree_note(pass->notes, place_now(pass), "a zero byte is not allowed here");
        return NULL;
    }
    char *text = strdup(value);
    if (!text) {
        pass->notes->failed = true;
        stop(pass);
    }
    return text;
}

static struct tree_node *read_node(struct pass *pass, unsigned depth);

/* Passes over the current value, whatever it is, without keeping it. */
static void skip_node(struct pass *pass) {
    unsigned open = 0;
    do {
        switch (type_of(pass)) {
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT:
            if (++open > TREE_DEPTH_MAX) {
                note_depth(pass);
                return;
            }
            break;
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT: open--; break;
        case YAML_NO_EVENT:
        case YAML_STREAM_END_EVENT: return;
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
        case YAML_ALIAS_EVENT:
        case YAML_SCALAR_EVENT: break;
        }
        advance(pass);
    } while (open);
}

static const struct tree_node *member(const struct tree_node *map, const char *key) {
    for (const struct tree_node *at = map->children; at; at = at->next)
        if (at->key && strcmp(at->key, key) == 0) return at;
    return NULL;
}

/* Reads a key and leaves the parser at its value. NULL: noted, and key and value are passed over. */
static char *read_key(struct pass *pass, const struct tree_node *map, struct tree_place *ret_place) {
    struct tree_place place = *ret_place = place_now(pass);
    AUTO_FREE(char) key = NULL;
    refuse_extras(pass);
    if (type_of(pass) == YAML_SCALAR_EVENT) {
        key = scalar_text(pass);
        advance(pass);
    } else {
        tree_note(pass->notes, place, "a key must be a plain word");
        skip_node(pass);
    }
    const struct tree_node *first = key ? member(map, key) : NULL;
    if (first)
        tree_note(pass->notes, place, "the key \"%.64s\" stands here a second time (first on line %u); remove one", key,
                  first->key_place.line);
    if (!key || first) {
        refuse_extras(pass);
        skip_node(pass);
        return NULL;
    }
    return take(&key);
}

/* The children of the list or mapping that has just been opened. */
static void read_children(struct pass *pass, struct tree_node *parent, unsigned depth) {
    struct tree_node **end = &parent->children;
    size_t count = 0;
    yaml_event_type_t last = parent->kind == TREE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    advance(pass);
    while (!pass->stopped && type_of(pass) != last) {
        if (++count > TREE_CHILDREN_MAX) {
            tree_note(pass->notes, place_now(pass), "more than %d members; that is no configuration",
                      TREE_CHILDREN_MAX);
            stop(pass);
            return;
        }
        struct tree_place key_place = {0};
        char *key = parent->kind == TREE_MAP ? read_key(pass, parent, &key_place) : NULL;
        if (parent->kind == TREE_MAP && !key) continue;
        struct tree_node *child = pass->stopped ? NULL : read_node(pass, depth + 1);
        if (!child) {
            free(key);
            continue;
        }
        child->key = key;
        if (key) child->key_place = key_place;
        *end = child;
        end = &child->next;
    }
    advance(pass);
}

/* NULL: noted and passed over. */
static struct tree_node *read_node(struct pass *pass, unsigned depth) {
    refuse_extras(pass);
    yaml_event_type_t type = type_of(pass);
    if (type == YAML_ALIAS_EVENT) {
        tree_note(pass->notes, place_now(pass), "aliases (*) are not allowed here; write the value out");
        advance(pass);
        return NULL;
    }
    if (type != YAML_SCALAR_EVENT && depth >= TREE_DEPTH_MAX) {
        note_depth(pass);
        return NULL;
    }
    struct tree_node *node = node_new(pass, type == YAML_SCALAR_EVENT          ? TREE_TEXT
                                            : type == YAML_MAPPING_START_EVENT ? TREE_MAP
                                                                               : TREE_LIST);
    if (!node) return NULL;
    if (type != YAML_SCALAR_EVENT) {
        read_children(pass, node, depth);
        if (!pass->stopped || node->kind == TREE_MAP) return node;
        tree_free(node); /* half a list would only bring errors that are none; of half a mapping the members count */
        return NULL;
    }
    node->quoted = pass->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = scalar_text(pass);
    advance(pass);
    if (node->text) return node;
    tree_free(node);
    return NULL;
}

static struct tree_node *read_stream(struct pass *pass) {
    advance(pass); /* to STREAM-START */
    advance(pass);
    if (type_of(pass) != YAML_DOCUMENT_START_EVENT) return NULL;
    advance(pass);
    struct tree_node *root = pass->stopped ? NULL : read_node(pass, 0);
    if (type_of(pass) == YAML_DOCUMENT_END_EVENT) advance(pass);
    if (type_of(pass) == YAML_DOCUMENT_START_EVENT)
        tree_note(pass->notes, place_now(pass), "a second document begins here; one is all there may be");
    return root;
}

struct tree_node *tree_parse(struct bytes text, struct tree_notes *notes) {
    static const unsigned char nothing[1];
    struct pass pass = {.notes = notes};
    if (!yaml_parser_initialize(&pass.parser)) {
        notes->failed = true;
        return NULL;
    }
    yaml_parser_set_encoding(&pass.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&pass.parser, text.n ? text.p : nothing, text.n);
    struct tree_node *root = read_stream(&pass);
    if (pass.has_event) yaml_event_delete(&pass.event);
    yaml_parser_delete(&pass.parser);
    return root;
}
