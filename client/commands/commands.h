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
/* evidence.c */
COMMAND(evidence_track);
COMMAND(evidence_wait);
COMMAND(evidence_explain);
/* home.c */
COMMAND(home_sync);
COMMAND(home_status);
#undef COMMAND

/* For a family's file: #define its options, and how many. */
#define COMMAND_OPTIONS(function, ...)                                                                                 \
    const struct cli_option function##_options[] = {__VA_ARGS__ __VA_OPT__(, ){NULL, 0, false}};                       \
    const size_t function##_count = LENGTH(function##_options) - 1

/* ---- shared by families ---- */
/* Reads the words of a command that takes one ID and no options but the shared ones; NULL after saying what is wrong. */
const char *command_one_word(struct run *run, const char *what, int *ret_exit);
/* The request as people see it: markings, offer, legs (inbox.c). */
void command_print_request(struct run *run, const struct request_view *view);
/* The body's text to stdout, as it may be shown on a terminal, and the names of its attachments (inbox.c). */
CHECKED enum error command_print_body(struct run *run, const struct request_view *view);
/* {"id", "ref", "legs"} or a line for people, after something was done to a request (request.c). */
void command_print_result(struct run *run, const uint8_t digest[static HASH_SIZE], const char *done);

#endif
