/* policy_text.c - reads the tree that config's YAML reader gives, rule by rule. */
#include "policy_text.h"

#include <strings.h>

#include "cbor.h"
#include "text.h"
#include "words.h"

static const char *const decisions[] = {
    [POLICY_ACCEPT] = "accept", [POLICY_ASK] = "ask", [POLICY_DECLINE] = "decline", [POLICY_IGNORE] = "ignore"};

void policy_text_free(struct policy_text *read) {
    buf_free(&read->text);
    buf_free(&read->rules);
    buf_free(&read->names);
}

const char *policy_text_example(void) {
    return "# The standing policy of this device: rules, the first that fits counts; where none fits you are asked.\n"
           "# Take the # away where you want a line, and set it: pouch policy set FILE\n"
           "#\n"
           "# opened: not-disclosed          # or disclosed: tell every sender that the offer was looked at\n"
           "# rules:\n"
           "#   - from: org.first            # a party, a post, a list of them; left out: any\n"
           "#     kind: ping                 # incident, clarification, assistance, notice, ping\n"
           "#     exercise: yes\n"
           "#     then: accept               # accept, ask, decline, ignore\n"
           "#   - kind: notice\n"
           "#     precedence: routine        # routine, priority, immediate, flash\n"
           "#     then: decline\n"
           "#     reason: no-capacity\n";
}

struct reading {
    struct tree_notes notes, hints;
    const struct directory *directory;
    struct policy_text *out;
    size_t count;
};

/* One rule under way; its names go into `from` as CBOR. */
struct rule {
    struct policyrule record;
    struct buf from;
    const struct tree_node *reason;
};

static bool is_nothing(const struct tree_node *node) {
    return node->kind == TREE_TEXT && !node->quoted &&
           (strcmp(node->text, "") == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

static bool is_any(const struct tree_node *node) { return node->kind == TREE_TEXT && strcmp(node->text, "any") == 0; }

static void note_unknown(struct reading *reading, const struct tree_node *node, const char *const *keys, size_t count,
                         const char *list) {
    const char *near = strlen(node->key) <= 64 ? text_nearest(node->key, keys, count) : NULL;
    if (near)
        tree_note(&reading->notes, node->key_place, "unknown key \"%.64s\"; did you mean %s?", node->key, near);
    else
        tree_note(&reading->notes, node->key_place, "unknown key \"%.64s\"; remove it, there are %s", node->key, list);
}

/* ---- one value, or a list of them, or any ---- */

typedef void take_word(struct reading *reading, struct rule *rule, const struct tree_node *node);

static void read_words(struct reading *reading, struct rule *rule, const struct tree_node *node, take_word *each) {
    if (is_nothing(node)) {
        tree_note(&reading->notes, node->place, "%s: the value is missing; give one, or leave the key out for any",
                  node->key);
        return;
    }
    if (node->kind == TREE_MAP) {
        tree_note(&reading->notes, node->place, "%s: one word, a list [a, b] or any is wanted here", node->key);
        return;
    }
    if (is_any(node)) return;
    if (node->kind == TREE_TEXT) {
        each(reading, rule, node);
        return;
    }
    if (!node->children)
        tree_note(&reading->notes, node->place, "%s: the list is empty; name something, or leave the key out for any",
                  node->key);
    for (const struct tree_node *at = node->children; at; at = at->next) {
        if (at->kind != TREE_TEXT || is_nothing(at))
            tree_note(&reading->notes, at->place, "%s: a word is wanted here", node->key);
        else if (is_any(at))
            tree_note(&reading->notes, at->place, "%s: any stands alone; take it out of the list, or the rest",
                      node->key);
        else
            each(reading, rule, at);
    }
}

static bool is_known(const struct directory *directory, struct bytes name) {
    return text_is_post(name) ? directory_post(directory, name) != NULL : directory_party(directory, name) != NULL;
}

static void take_name(struct reading *reading, struct rule *rule, const struct tree_node *node) {
    struct bytes name = bytes_text(node->text);
    if (!text_is_party(name) && !text_is_post(name)) {
        tree_note(
            &reading->notes, node->place,
            "from: \"%.64s\" is no name of a party (de) or of a post (de/technical); write it in small letters, as in "
            "pouch directory list",
            node->text);
        return;
    }
    if (reading->directory && !is_known(reading->directory, name))
        tree_note(&reading->hints, node->place, "note: %.80s is not in the directory; the rule waits for it",
                  node->text);
    cbor_put_bytes(&rule->from, name);
    rule->record.from.count++;
}

static void take_numbered(struct reading *reading, const struct tree_node *node, const char *key, enum words table,
                          uint64_t *bits) {
    char list[256];
    unsigned number;
    if (words_parse(table, node->text, &number) == E_OK) {
        *bits |= (uint64_t)1 << number;
        return;
    }
    words_list(table, list, sizeof list);
    tree_note(&reading->notes, node->place, "%s: \"%.40s\" is none; write %s, or any", key, node->text, list);
}

static void take_kind(struct reading *reading, struct rule *rule, const struct tree_node *node) {
    take_numbered(reading, node, "kind", WORDS_KIND, &rule->record.kinds);
}

static void take_precedence(struct reading *reading, struct rule *rule, const struct tree_node *node) {
    take_numbered(reading, node, "precedence", WORDS_PRECEDENCE, &rule->record.precedences);
}

/* ---- single values ---- */

/* The text of a value that is one word; NULL after saying what is wanted. */
static const char *one_word(struct reading *reading, const struct tree_node *node, const char *wanted) {
    if (node->kind == TREE_TEXT && !is_nothing(node)) return node->text;
    tree_note(&reading->notes, node->place, "%s: one word is wanted here: %s", node->key, wanted);
    return NULL;
}

static bool is_word(const char *text, const char *word, const char *other) {
    return strcasecmp(text, word) == 0 || strcasecmp(text, other) == 0;
}

static void read_exercise(struct reading *reading, struct rule *rule, const struct tree_node *node) {
    const char *text = one_word(reading, node, "yes, no or any");
    if (!text || is_any(node)) return;
    if (is_word(text, "yes", "true"))
        rule->record.marks = POLICY_EXERCISE;
    else if (is_word(text, "no", "false"))
        rule->record.marks = POLICY_REAL;
    else
        tree_note(&reading->notes, node->place, "exercise: \"%.40s\" is neither; write yes, no or any", text);
}

static void read_then(struct reading *reading, struct rule *rule, const struct tree_node *node) {
    static const char wanted[] = "accept, ask, decline or ignore";
    const char *text = one_word(reading, node, wanted);
    for (size_t i = POLICY_ACCEPT; text && i < LENGTH(decisions); i++)
        if (strcmp(text, decisions[i]) == 0) rule->record.decision = i;
    if (text && rule->record.decision == POLICY_NONE)
        tree_note(&reading->notes, node->place, "then: \"%.40s\" is none; write %s", text, wanted);
}

static void read_reason(struct reading *reading, struct rule *rule, const struct tree_node *node) {
    char list[256];
    unsigned reason;
    words_reason_list(list, sizeof list);
    const char *text = one_word(reading, node, "a code, such as no-capacity");
    rule->reason = node;
    if (!text) return;
    if (words_reason_parse(text, &reason) != E_OK) {
        tree_note(&reading->notes, node->place, "reason: \"%.40s\" is none; there are %s", text, list);
        return;
    }
    rule->record.has_reason = true;
    rule->record.reason = reason;
}

/* ---- rules ---- */

static void read_key(struct reading *reading, struct rule *rule, const struct tree_node *node) {
    static const char *const keys[] = {"from", "kind", "precedence", "exercise", "then", "reason"};
    if (strcmp(node->key, "from") == 0)
        read_words(reading, rule, node, take_name);
    else if (strcmp(node->key, "kind") == 0)
        read_words(reading, rule, node, take_kind);
    else if (strcmp(node->key, "precedence") == 0)
        read_words(reading, rule, node, take_precedence);
    else if (strcmp(node->key, "exercise") == 0)
        read_exercise(reading, rule, node);
    else if (strcmp(node->key, "then") == 0)
        read_then(reading, rule, node);
    else if (strcmp(node->key, "reason") == 0)
        read_reason(reading, rule, node);
    else if (strcmp(node->key, "opened") == 0)
        tree_note(&reading->notes, node->key_place,
                  "opened is one setting for all senders; move it out of the rule, to the beginning of a line");
    else
        note_unknown(reading, node, keys, LENGTH(keys), "from, kind, precedence, exercise, then and reason");
}

static void note_covered(struct reading *reading, struct tree_place place, const struct policyrule *rule) {
    struct list before = list_of(&reading->out->rules, reading->count);
    struct policyrule earlier;
    while (policyrule_next(&before, &earlier)) {
        if (!policy_covers(&earlier, rule)) continue;
        tree_note(&reading->hints, place,
                  "note: this rule has nothing to do: the one on line %u takes all that fits it",
                  (unsigned)earlier.line);
        return;
    }
}

static void keep_rule(struct reading *reading, const struct tree_node *node, struct rule *rule) {
    rule->record.line = node->place.line;
    rule->record.from = list_of(&rule->from, rule->record.from.count);
    note_covered(reading, node->place, &rule->record);
    policyrule_encode(&rule->record, &reading->out->rules);
    reading->count++;
}

static void read_rule(struct reading *reading, const struct tree_node *node) {
    struct rule rule = {0};
    size_t before = reading->notes.count;
    if (node->kind != TREE_MAP) {
        tree_note(&reading->notes, node->place, "a rule is wanted here, such as: - {from: de, then: accept}");
        return;
    }
    for (const struct tree_node *at = node->children; at; at = at->next) read_key(reading, &rule, at);
    bool sound = reading->notes.count == before;
    if (sound && rule.record.decision == POLICY_NONE)
        tree_note(&reading->notes, node->place,
                  "the rule does not say what to do; add then: accept, ask, decline or ignore");
    else if (sound && rule.reason && rule.record.decision != POLICY_DECLINE)
        tree_note(&reading->notes, rule.reason->key_place, "a reason goes with then: decline only; remove it");
    else if (sound)
        keep_rule(reading, node, &rule);
    if (rule.from.failed) reading->notes.failed = true;
    buf_free(&rule.from);
}

static void read_rules(struct reading *reading, const struct tree_node *node) {
    if (is_nothing(node)) return;
    if (node->kind != TREE_LIST) {
        tree_note(&reading->notes, node->place,
                  "rules: a list is wanted here, each rule after a dash: - {from: de, then: accept}");
        return;
    }
    for (const struct tree_node *at = node->children; at; at = at->next) read_rule(reading, at);
}

static void read_opened(struct reading *reading, const struct tree_node *node) {
    static const char wanted[] = "disclosed or not-disclosed";
    const char *text = one_word(reading, node, wanted);
    if (!text) return;
    reading->out->policy.opened = strcmp(text, "disclosed") == 0;
    if (!reading->out->policy.opened && strcmp(text, "not-disclosed") != 0)
        tree_note(&reading->notes, node->place, "opened: \"%.40s\" is neither; write %s", text, wanted);
}

static void read_top(struct reading *reading, struct bytes text) {
    static const char *const keys[] = {"opened", "rules"};
    struct tree_node *top = tree_parse(text, &reading->notes);
    if (top && top->kind != TREE_MAP && !is_nothing(top))
        tree_note(&reading->notes, top->place, "keys are wanted here, such as rules:");
    for (const struct tree_node *at = top && top->kind == TREE_MAP ? top->children : NULL; at; at = at->next) {
        if (strcmp(at->key, "opened") == 0)
            read_opened(reading, at);
        else if (strcmp(at->key, "rules") == 0)
            read_rules(reading, at);
        else
            note_unknown(reading, at, keys, LENGTH(keys), "opened and rules");
    }
    tree_free(top);
}

static enum error finish(struct reading *reading, struct bytes text) {
    struct policy_text *out = reading->out;
    if (reading->notes.failed) return E_NO_MEMORY;
    if (reading->notes.count) return E_CONFIG;
    buf_add_bytes(&out->text, text);
    if (out->text.failed || out->rules.failed) return E_NO_MEMORY;
    out->policy.text = out->text.p ? buf_bytes(&out->text) : bytes_text("");
    out->policy.rules = list_of(&out->rules, reading->count);
    return E_OK;
}

enum error policy_text_read(struct bytes text, const char *name, const struct directory *directory, FILE *report,
                            struct policy_text *ret) {
    struct reading reading = {.directory = directory, .out = ret};
    if (text.n > POLICY_TEXT_MAX)
        tree_note(&reading.notes, (struct tree_place){1, 1}, "the file is larger than 64 KiB; shorten it");
    else
        read_top(&reading, text);
    tree_notes_print(&reading.notes, name, report);
    enum error error = finish(&reading, text);
    if (error == E_OK) tree_notes_print(&reading.hints, name, report);
    tree_notes_free(&reading.notes);
    tree_notes_free(&reading.hints);
    return error;
}

/* ---- as JSON ---- */

static json_t *json_words(enum words table, uint64_t bits) {
    if (bits == 0) return json_null();
    json_t *list = json_array();
    for (unsigned i = 0; i < 32; i++)
        if (bits >> i & 1) json_array_append_new(list, json_string(words_name(table, i)));
    return list;
}

static json_t *json_names(struct list names) {
    struct bytes name;
    if (names.count == 0) return json_null();
    json_t *list = json_array();
    while (list_next_bytes(&names, &name)) json_array_append_new(list, json_stringn((const char *)name.p, name.n));
    return list;
}

json_t *policy_text_json(const struct keptpolicy *policy) {
    json_t *list = json_array();
    struct list rules = policy->rules;
    struct policyrule rule;
    while (policyrule_next(&rules, &rule)) {
        json_t *one = json_pack("{s:I, s:s}", "line", (json_int_t)rule.line, "then", decisions[rule.decision]);
        json_object_set_new(one, "from", json_names(rule.from));
        json_object_set_new(one, "kind", json_words(WORDS_KIND, rule.kinds));
        json_object_set_new(one, "precedence", json_words(WORDS_PRECEDENCE, rule.precedences));
        json_object_set_new(one, "exercise",
                            rule.marks == 0 ? json_null() : json_boolean(rule.marks == POLICY_EXERCISE));
        const char *reason = rule.has_reason ? words_reason((unsigned)rule.reason) : NULL;
        json_object_set_new(one, "reason", reason ? json_string(reason) : json_null());
        json_array_append_new(list, one);
    }
    return list;
}
