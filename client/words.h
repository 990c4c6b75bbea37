/* words.h - the words of the command line and of JSON for what the protocol has numbers for: kinds, precedences, markings,
 * reasons, functions. Parsing ignores case. */
#ifndef WORDS_H
#define WORDS_H

#include "objects.h"

enum words { WORDS_KIND, WORDS_PRECEDENCE, WORDS_TLP, WORDS_PAP, WORDS_PARTY_KIND, WORDS_ROLE, WORDS_COUNT };

/* The word of a number; "unknown" for one that has none. */
const char *words_name(enum words table, uint64_t number);
/* E_BAD_TEXT. `TLP:` and `PAP:` before a marking are passed over. */
CHECKED enum error words_parse(enum words table, const char *word, unsigned *ret);
/* "incident, clarification, ..." for messages and help. */
void words_list(enum words table, char *ret, size_t size);

/* What a language of a BCP 47 tag is called in English; the tag itself where that is not known (languages.def). */
void words_language(struct bytes tag, char *ret, size_t size);

/* Reasons by name or number (reasons.def). */
const char *words_reason(unsigned number);      /* the name, or NULL */
const char *words_reason_text(unsigned number); /* never NULL */
CHECKED enum error words_reason_parse(const char *word, unsigned *ret);
void words_reason_list(char *ret, size_t size);

/* "diplomatic,technical" to and from the bits of enum post_function. */
CHECKED enum error words_functions_parse(const char *text, unsigned *ret);
void words_functions(unsigned functions, char *ret, size_t size);

#endif
