/* stage.c - the house in which the acts are played. */
#include "stage.h"

#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS = 24, EXIT_INTERNAL = 2, EXIT_PARTLY = 7 };

struct scene_relay stage_relay;
struct double_relay stage_double;
char stage_papers[64], stage_card[SCENE_PATH];

void stage_run(const char *home, struct ran *ran, const char *const *words_of) {
    const char *argv[ARGUMENTS] = {getenv("POUCH"), "--home", home, "--json", "--yes"};
    size_t n = 5;
    assert_non_null(argv[0]);
    while (*words_of && n + 1 < ARGUMENTS) argv[n++] = *words_of++;
    scene_run(stage_papers, argv, ran);
    if (ran->exit == EXIT_INTERNAL || ran->exit > EXIT_PARTLY)
        fail_msg("pouch %s ended with %d: %s", argv[5], ran->exit, (const char *)ran->err.p);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw) {
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void stage_remove_tree(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

void stage_copy_tree(const char *from, const char *to) {
    AUTO_RAN ran = {0};
    stage_remove_tree(to);
    scene_run(NULL, (const char *const[]){"/bin/cp", "-a", from, to, NULL}, &ran);
    assert_int_equal(ran.exit, 0);
}

void stage_save(const struct user *user) { stage_copy_tree(user->home, user->saved); }
void stage_put_back(const struct user *user) { stage_copy_tree(user->saved, user->home); }

/* ---- making the parties ---- */

void stage_fingerprint(char ret[static TEXT_FINGERPRINT_SIZE]) {
    struct card as_given;
    AUTO_BUF text = {0};
    uint8_t hash[HASH_SIZE];
    scene_read_file(stage_card, &text);
    assert_ok(card_parse(buf_bytes(&text), &as_given, NULL));
    card_hash(&as_given, hash);
    text_fingerprint(hash, ret);
}

void stage_join(const struct user *user, struct ran *ran) {
    char certificate[SCENE_PATH], fingerprint[TEXT_FINGERPRINT_SIZE];
    snprintf(certificate, sizeof certificate, "%s.cert", user->party);
    stage_fingerprint(fingerprint);
    POUCH(user, ran, "join", "--card", stage_card, "--cert", certificate, "--fingerprint", fingerprint);
}

void stage_make_user(struct user *user) {
    AUTO_RAN ran = {0};
    char charter[SCENE_PATH], request[SCENE_PATH], certificate[SCENE_PATH];
    snprintf(user->home, sizeof user->home, "%s/home-%s", stage_papers, user->party);
    snprintf(user->authority, sizeof user->authority, "%s/authority-%s", stage_papers, user->party);
    snprintf(user->saved, sizeof user->saved, "%s/saved-%s", stage_papers, user->party);
    snprintf(charter, sizeof charter, "%s.charter", user->party);
    snprintf(request, sizeof request, "%s-technical.request", user->party);
    snprintf(certificate, sizeof certificate, "%s.cert", user->party);
    stage_run(user->authority, &ran,
              (const char *const[]){"authority", "init", user->party, "--name", "A member", "--no-passphrase", NULL});
    scene_run(stage_papers,
              (const char *const[]){getenv("POUCHCTL"), "--config", stage_relay.yaml, "--yes", "admit", charter, NULL},
              &ran);
    assert_int_equal(ran.exit, 0);
    stage_run(user->home, &ran, (const char *const[]){"init", user->post, "--no-passphrase", NULL});
    stage_run(
        user->authority, &ran,
        (const char *const[]){"authority", "certify", request, "--functions", "technical", "-o", certificate, NULL});
    double_transport_of(user->home, user->secret, user->public);
}

void stage_text_field(const char *json, const char *name, char *ret, size_t room) {
    json_error_t error;
    json_t *object = json_loads(json, JSON_DISABLE_EOF_CHECK, &error);
    const char *value = json_string_value(json_object_get(object, name));
    if (!value) fail_msg("no %s in %s", name, json);
    snprintf(ret, room, "%s", value);
    json_decref(object);
}

void stage_open(void (*adjust)(struct config *config)) {
    scene_relay_start(&stage_relay, adjust);
    snprintf(stage_papers, sizeof stage_papers, "/tmp/pouch-double-XXXXXX");
    assert_non_null(mkdtemp(stage_papers));
    snprintf(stage_card, sizeof stage_card, "%s/relay.card", stage_papers);
    double_start(&stage_double, &stage_relay, stage_card);
}

void stage_close(void) {
    double_stop(&stage_double);
    scene_relay_stop(&stage_relay);
    stage_remove_tree(stage_papers);
}
