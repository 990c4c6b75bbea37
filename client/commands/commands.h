/* commands.h - the functions behind the names of main's table; one file a family of verbs. Each returns the exit code. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "../run.h"

/* Every command: function name, options of its own (an array in the same file). */
#define COMMAND(function)                                                                                              \
    extern const struct cli_option function##_options[];                                                               \
    extern const size_t function##_count;                                                                              \
    int function(struct run *run)

/* authority.c */
COMMAND(authority_init);
COMMAND(authority_certify);
COMMAND(authority_revoke);
/* succession.c */
COMMAND(authority_succeed);
COMMAND(authority_recover);
COMMAND(authority_take);
COMMAND(authority_object);
COMMAND(authority_depart);
COMMAND(authority_split);
COMMAND(authority_send);
/* post.c */
COMMAND(post_init);
COMMAND(post_join);
/* directory.c */
COMMAND(directory_list);
COMMAND(directory_show);
COMMAND(directory_phrase_show);
COMMAND(directory_compare);
COMMAND(directory_export);
/* request.c */
COMMAND(request_send);
COMMAND(request_reply);
/* inbox.c */
COMMAND(inbox_inbox);
COMMAND(inbox_sent);
COMMAND(inbox_show);
/* decide.c */
COMMAND(decide_accept);
COMMAND(decide_decline);
COMMAND(decide_ack);
COMMAND(decide_close);
COMMAND(decide_withdraw);
COMMAND(decide_forward);
COMMAND(decide_consent);
/* evidence.c */
COMMAND(evidence_track);
COMMAND(evidence_wait);
COMMAND(evidence_explain);
/* exhibit.c */
COMMAND(exhibit_evidence);
/* witness.c */
COMMAND(witness_init);
COMMAND(witness_run);
COMMAND(witness_sign);
COMMAND(witness_status);
/* verify.c */
COMMAND(verify_verify);
/* audit.c */
COMMAND(audit_audit);
/* home.c */
COMMAND(home_sync);
COMMAND(home_status);
/* news.c */
COMMAND(home_news);
/* device.c */
COMMAND(device_invite);
COMMAND(device_link);
COMMAND(device_list);
COMMAND(device_revoke);
/* agent.c */
COMMAND(agent_agent);
/* pair.c */
COMMAND(pair_new);
COMMAND(pair_add);
COMMAND(pair_list);
COMMAND(pair_require);
COMMAND(pair_remove);
/* policy.c */
COMMAND(policy_show);
COMMAND(policy_set_file);
COMMAND(policy_check);
/* backup.c */
COMMAND(backup_backup);
COMMAND(backup_restore);
/* card.c */
COMMAND(card_show);
COMMAND(card_edit);
COMMAND(card_set);
COMMAND(card_erase);
COMMAND(card_away);
#undef COMMAND

/* For a family's file: #define its options, and how many. */
#define COMMAND_OPTIONS(function, ...)                                                                                 \
    const struct cli_option function##_options[] = {__VA_ARGS__ __VA_OPT__(, ){NULL, 0, false}};                       \
    const size_t function##_count = LENGTH(function##_options) - 1

/* ---- shared by families ---- */
/* $EDITOR on a text; what it left is appended. E_INTERRUPTED (editor.c). */
CHECKED enum error command_edit(struct run *run, struct bytes before, struct buf *ret);
/* Before a request goes out: local time and languages, who is away and stands in, ranks that differ, fallbacks of posts that
 * nobody can answer from. On a terminal better recipients are offered, and names[i] (malloc'd) replaced (advice.c). */
CHECKED enum error command_advise(struct run *run, char **names, size_t count);
/* A post's contact card: an object of its fields; and as people see it, nothing when there is none (card.c). */
CHECKED enum error command_card_json(struct run *run, const char *post, json_t **ret);
CHECKED enum error command_print_card(struct run *run, const char *post);
/* What a list has room for: away until then (else 0), who stands in, whom to try otherwise; empty where the card does not say. */
struct card_brief {
    struct instant away_until;
    char stand_in[POST_MAX + 1], fallback[1024 + 1];
};
CHECKED enum error command_card_brief(struct run *run, const char *post, struct card_brief *ret);
/* Only what its owners made public, as one JSON object or one HTML page (public.c). */
CHECKED enum error command_export_public(struct run *run, bool html, struct buf *out);
/* Reads the words of a command that takes one ID and no options but the shared ones; NULL after saying what is wrong. */
const char *command_one_word(struct run *run, const char *what, int *ret_exit);
/* The request as people see it: markings, offer, legs (inbox.c). */
void command_print_request(struct run *run, const struct request_view *view);
/* The body's text to stdout, as it may be shown on a terminal, and the names of its attachments (inbox.c). */
CHECKED enum error command_print_body(struct run *run, const struct request_view *view);
/* {"id", "ref", "legs"} or a line for people, after something was done to a request (request.c). */
void command_print_result(struct run *run, const uint8_t digest[static HASH_SIZE], const char *done);

#endif
