/* policy.h - the standing policy: what this device does about requests by itself. Rules are asked in their order, the
 * first that fits counts, and where none fits a person is asked.
 *
 * The policy is this device's own: it lies sealed in the archive, no relay and no sister gets it. Each device applies
 * its own to every request that it could show, once, whichever of the post's devices said NOTIFIED; of two decisions
 * the first one wins.
 *
 * The law that this file keeps: NOTIFIED is signed and sent before any rule is read, for every sender alike. In the
 * transaction that says NOTIFIED a request becomes a duty (DUTY_POLICY); policy_run judges it later, and ends the duty
 * in the transaction that keeps the decision, so that a decision is made exactly once, wherever the device is killed.
 *   accept, decline  said as a machine, like a person's decision (outbox.h). A device that may not decide asks instead,
 *                    and so does every device instead of accepting what comes with a warning
 *   ignore           a row in the archive; nothing is said, sent or rung, and the request is listed with `--all` only
 *   ask              a row in the archive, too: so both cost the same
 * No rule opens, acknowledges, replies or consents, and only a request is judged - no reply, no receipt -, so that two
 * desks' policies cannot keep each other busy. What was judged is not judged again when the policy changes.
 *
 * The text is YAML; its reader is the program's (policy_text.h), the archive has what it means. */
#ifndef POLICY_H
#define POLICY_H

#include "header.h"
#include "home.h"

enum policy_decision { POLICY_NONE, POLICY_ACCEPT, POLICY_ASK, POLICY_DECLINE, POLICY_IGNORE };
enum { POLICY_TEXT_MAX = 65536, POLICY_RULES_MAX = 256, POLICY_REAL = 1, POLICY_EXERCISE = 2 };

/* The n of a row of the table DUTY; no number of an event. */
enum { DUTY_POLICY = 1000 };

/* What a rule can ask about. */
struct policy_case {
    struct bytes from; /* a post */
    uint64_t kind, precedence;
    bool exercise;
};
/* The first rule that fits; false: none. */
bool policy_judge(const struct keptpolicy *policy, const struct policy_case *what, struct policyrule *ret);
/* Everything that `later` fits, `earlier` fits. */
bool policy_covers(const struct policyrule *earlier, const struct policyrule *later);

/* Replaces the policy. */
CHECKED enum error policy_set(struct home *home, const struct keptpolicy *policy);
/* Views in *ret borrow `bytes`. *ret_found false: none was set; *ret is then the default, no rules and nothing
 * disclosed. */
CHECKED enum error policy_load(struct home *home, struct buf *bytes, struct keptpolicy *ret, bool *ret_found);

/* For the caller's transaction: the request may be judged from now on. */
CHECKED enum error policy_due(struct home *home, const uint8_t digest[static HASH_SIZE],
                              const uint8_t leg[static HASH_SIZE]);
/* Judges all that are due; decisions lie in the outbox then. */
struct sync_summary;
CHECKED enum error policy_run(struct home *home, struct sync_summary *summary, struct failure *failure);
/* What was made of a leg; decision POLICY_NONE when nothing was. */
CHECKED enum error policy_decision_of(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                                      const uint8_t leg[static HASH_SIZE], struct keptdecision *ret);
/* A statement was refused because another was first. If the policy has made it, that is noted with the request, and
 * *ret is set: a machine's lost race is no alarm. */
CHECKED enum error policy_was_late(struct home *home, const struct outgoing *outgoing,
                                   const uint8_t hash[static HASH_SIZE], bool *ret);

#endif
