/* words.c - words for numbers. */
#include "words.h"

#include <stdio.h>
#include <strings.h>

enum { WORDS_MAX = 6 };

/* By the numbers of the enums in objects.h. */
static const char *const tables[WORDS_COUNT][WORDS_MAX] = {
    [WORDS_KIND] = {[KIND_INCIDENT] = "incident",
                    [KIND_CLARIFICATION] = "clarification",
                    [KIND_ASSISTANCE] = "assistance",
                    [KIND_NOTICE] = "notice",
                    [KIND_PING] = "ping"},
    [WORDS_PRECEDENCE] = {[PRECEDENCE_ROUTINE] = "routine",
                          [PRECEDENCE_PRIORITY] = "priority",
                          [PRECEDENCE_IMMEDIATE] = "immediate",
                          [PRECEDENCE_FLASH] = "flash"},
    [WORDS_TLP] = {[TLP_CLEAR] = "CLEAR",
                   [TLP_GREEN] = "GREEN",
                   [TLP_AMBER] = "AMBER",
                   [TLP_AMBER_STRICT] = "AMBER+STRICT",
                   [TLP_RED] = "RED"},
    [WORDS_PAP] = {[PAP_CLEAR] = "CLEAR", [PAP_GREEN] = "GREEN", [PAP_AMBER] = "AMBER", [PAP_RED] = "RED"},
    [WORDS_PARTY_KIND] =
        {[PARTY_STATE] = "state", [PARTY_INTERGOVERNMENTAL] = "intergovernmental", [PARTY_OBSERVER] = "observer"},
    [WORDS_ROLE] = {[ROLE_DECIDER] = "decider", [ROLE_READER] = "reader", [ROLE_BELL] = "bell"},
};

static const struct {
    unsigned number;
    const char *name, *text;
} reasons[] = {
#define REASON(number, name, text) {number, name, text},
#include "reasons.def"
#undef REASON
};

static const struct {
    unsigned bit;
    const char *name;
} functions_[] = {{FUNCTION_DIPLOMATIC, "diplomatic"}, {FUNCTION_POLICY, "policy"}, {FUNCTION_TECHNICAL, "technical"}};

const char *words_name(enum words table, uint64_t number) {
    const char *name = number < WORDS_MAX ? tables[table][number] : NULL;
    return name ? name : "unknown";
}

enum error words_parse(enum words table, const char *word, unsigned *ret) {
    bool marking = table == WORDS_TLP || table == WORDS_PAP;
    if (marking && (strncasecmp(word, "tlp:", 4) == 0 || strncasecmp(word, "pap:", 4) == 0)) word += 4;
    for (unsigned i = 0; i < WORDS_MAX && tables[table][i]; i++) {
        if (strcasecmp(word, tables[table][i]) != 0) continue;
        *ret = i;
        return E_OK;
    }
    return E_BAD_TEXT;
}

static void list_add(char *ret, size_t size, const char *word, const char *between) {
    size_t n = strlen(ret);
    if (n < size) snprintf(ret + n, size - n, "%s%s", n ? between : "", word);
}

void words_list(enum words table, char *ret, size_t size) {
    *ret = '\0';
    for (unsigned i = 0; i < WORDS_MAX && tables[table][i]; i++) list_add(ret, size, tables[table][i], ", ");
}

void words_language(struct bytes tag, char *ret, size_t size) {
    static const struct {
        const char *tag, *name;
    } names[] = {
#define LANGUAGE(tag, name) {tag, name},
#include "languages.def"
#undef LANGUAGE
    };
    const uint8_t *dash = memchr(tag.p, '-', tag.n);
    size_t n = dash ? (size_t)(dash - tag.p) : tag.n;
    snprintf(ret, size, "%.*s", (int)tag.n, (const char *)tag.p);
    for (size_t i = 0; i < LENGTH(names); i++)
        if (n == strlen(names[i].tag) && strncasecmp((const char *)tag.p, names[i].tag, n) == 0)
            snprintf(ret, size, "%s", names[i].name);
}

const char *words_reason(unsigned number) {
    for (size_t i = 0; i < LENGTH(reasons); i++)
        if (reasons[i].number == number) return reasons[i].name;
    return NULL;
}

const char *words_reason_text(unsigned number) {
    for (size_t i = 0; i < LENGTH(reasons); i++)
        if (reasons[i].number == number) return reasons[i].text;
    return "a reason that this version does not know";
}

enum error words_reason_parse(const char *word, unsigned *ret) {
    for (size_t i = 0; i < LENGTH(reasons); i++) {
        char digits[16];
        snprintf(digits, sizeof digits, "%u", reasons[i].number);
        if (strcasecmp(word, reasons[i].name) != 0 && strcmp(word, digits) != 0) continue;
        *ret = reasons[i].number;
        return E_OK;
    }
    return E_BAD_TEXT;
}

void words_reason_list(char *ret, size_t size) {
    *ret = '\0';
    for (size_t i = 0; i < LENGTH(reasons); i++) list_add(ret, size, reasons[i].name, ", ");
}

static unsigned function_bit(struct bytes word) {
    for (size_t i = 0; i < LENGTH(functions_); i++)
        if (bytes_are(word, functions_[i].name)) return functions_[i].bit;
    return 0;
}

enum error words_functions_parse(const char *text, unsigned *ret) {
    unsigned functions = 0;
    for (;;) {
        size_t n = strcspn(text, ",");
        unsigned bit = function_bit(bytes_of(text, n));
        if (!bit) return E_BAD_TEXT;
        functions |= bit;
        if (!text[n]) break;
        text += n + 1;
    }
    *ret = functions;
    return E_OK;
}

void words_functions(unsigned functions, char *ret, size_t size) {
    *ret = '\0';
    for (size_t i = 0; i < LENGTH(functions_); i++)
        if (functions & functions_[i].bit) list_add(ret, size, functions_[i].name, ",");
}
