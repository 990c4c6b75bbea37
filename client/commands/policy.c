/* policy.c - the standing policy of this device: shown, set, checked. */
#include <time.h>

#include "../policy_text.h"
#include "commands.h"
#include "files.h"

COMMAND_OPTIONS(policy_show);
COMMAND_OPTIONS(policy_set_file);
COMMAND_OPTIONS(policy_check);

/* ---- show ---- */

static void show_json(const struct keptpolicy *policy, bool found) {
    json_t *object = json_pack("{s:b, s:s}", "set", found, "opened", policy->opened ? "disclosed" : "not-disclosed");
    json_object_set_new(object, "since", found ? present_json_time(policy->since) : json_null());
    json_object_set_new(object, "rules", policy_text_json(policy));
    json_object_set_new(object, "text", found ? present_json_text(policy->text) : json_null());
    present_json(stdout, object);
}

static enum error show(struct run *run) {
    AUTO_BUF bytes = {0};
    struct keptpolicy policy;
    bool found = false;
    TRY(run_open_post(run));
    enum error error = policy_load(&run->home, &bytes, &policy, &found);
    if (error != E_OK) return fail(&run->failure, error, "the local store");
    if (run->cli.json)
        show_json(&policy, found);
    else if (found)
        fwrite(policy.text.p, 1, policy.text.n, stdout);
    else
        fputs(policy_text_example(), stdout);
    return E_OK;
}

int policy_show(struct run *run) {
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = show(run);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- set, check ---- */

static enum error read_policy(struct run *run, const char *path, struct policy_text *ret) {
    AUTO_BUF text = {0};
    bool standard = strcmp(path, "-") == 0;
    enum error error = files_read(standard ? "/dev/stdin" : path, POLICY_TEXT_MAX, &text, &run->failure);
    if (error == E_CORRUPT) {
        error = fail(&run->failure, E_CONFIG, "%s:1:1: the file is larger than 64 KiB", path);
        fail_hint(&run->failure, "shorten it");
    }
    TRY(error);
    error = policy_text_read(buf_bytes(&text), standard ? "standard input" : path, run->home.directory, stderr, ret);
    return error == E_OK ? E_OK : fail(&run->failure, error, "%s", path);
}

/* What the text has come to, in a line. */
static void tell(struct run *run, const char *path, const struct keptpolicy *policy, const char *done) {
    if (run->cli.json) {
        present_json(stdout, json_pack("{s:i, s:s, s:b}", "rules", (int)policy->rules.count, "opened",
                                       policy->opened ? "disclosed" : "not-disclosed", "set", *done != '\0'));
        return;
    }
    printf("%s: %zu rule%s%s; that an offer was opened is %stold to its sender\n", path, (size_t)policy->rules.count,
           policy->rules.count == 1 ? "" : "s", done, policy->opened ? "" : "not ");
}

/* A device that may not decide asks instead. */
static void warn_role(struct run *run, const struct keptpolicy *policy) {
    struct list rules = policy->rules;
    struct policyrule rule;
    if (home_check_role(&run->home, ROLE_DECIDER, NULL) == E_OK) return;
    while (policyrule_next(&rules, &rule)) {
        if (rule.decision != POLICY_ACCEPT && rule.decision != POLICY_DECLINE) continue;
        run_say(run, "pouch: this device may not decide; where a rule accepts or declines, it asks");
        return;
    }
}

static enum error set(struct run *run, const char *path) {
    AUTO_POLICY_TEXT read = {0};
    struct timespec now;
    TRY(run_open_post(run));
    TRY(read_policy(run, path, &read));
    clock_gettime(CLOCK_REALTIME, &now);
    read.policy.since.ms = (uint64_t)now.tv_sec * 1000;
    enum error error = policy_set(&run->home, &read.policy);
    if (error != E_OK) return fail(&run->failure, error, "the local store");
    warn_role(run, &read.policy);
    tell(run, path, &read.policy, ", in force on this device from now on");
    return E_OK;
}

int policy_set_file(struct run *run) {
    int exit_code;
    const char *path = command_one_word(run, "FILE", &exit_code);
    if (!path) return exit_code;
    enum error error = set(run, path);
    return error == E_OK ? 0 : run_fail(run, error);
}

int policy_check(struct run *run) {
    int exit_code;
    AUTO_POLICY_TEXT read = {0};
    const char *path = command_one_word(run, "FILE", &exit_code);
    if (!path) return exit_code;
    enum error error = read_policy(run, path, &read);
    if (error != E_OK) return run_fail(run, error);
    tell(run, path, &read.policy, "");
    return 0;
}
