/* policy_text.h - the standing policy as people write it: YAML into records (policy.h), with the place of every
 * mistake.
 *
 *     opened: not-disclosed | disclosed
 *     rules:
 *       - from: PARTY | POST | [..] | any          kind, precedence: WORD | [..] | any      exercise: yes | no | any
 *         then: accept | ask | decline | ignore    reason: CODE, with decline only
 *
 * What is left out is any; `then` may not be. Nothing at all, or no rules: a person is asked about everything. */
#ifndef POLICY_TEXT_H
#define POLICY_TEXT_H

#include <jansson.h>
#include <stdio.h>

#include "policy.h"
#include "tree.h"

struct policy_text {
    struct keptpolicy policy; /* views borrow `text` and `rules`; `since` is the caller's */
    struct buf text, rules, names;
};
void policy_text_free(struct policy_text *read);
#define AUTO_POLICY_TEXT __attribute__((cleanup(policy_text_free))) struct policy_text

/* E_CONFIG: mistakes, all of them on `report` (may be NULL) as "name:line:column: what is wrong; what to do". *ret
 * must be zeroed. What is no mistake but surely not meant goes to `report`, too: a rule that an earlier one leaves
 * nothing, and, with a directory, names that are not in it. */
CHECKED enum error policy_text_read(struct bytes text, const char *name, const struct directory *directory,
                                    FILE *report, struct policy_text *ret);
/* [{"line", "from", "kind", "precedence", "exercise", "then", "reason"}]; null: any. */
json_t *policy_text_json(const struct keptpolicy *policy);
/* What to begin with where there is no policy. */
const char *policy_text_example(void);

#endif
