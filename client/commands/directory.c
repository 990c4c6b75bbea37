/* directory.c - who there is. */
#include <time.h>

#include "../words.h"
#include "commands.h"
#include "text.h"

static struct instant now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000};
}

static unsigned live_devices(const struct directory *directory, const struct directory_post *post) {
    const struct directory_device *device;
    unsigned live = 0;
    for (size_t i = 0; (device = directory_device_nth(directory, i)); i++)
        live += device->post == post && directory_live(device, now()) == E_OK;
    return live;
}

static const char *standing(const struct directory_post *post) {
    if (post->revoked) return "revoked";
    if (post->party->suspended) return "suspended";
    return post->party->admitted ? "admitted" : "not admitted";
}

static json_t *functions_json(unsigned functions) {
    json_t *list = json_array();
    if (functions & FUNCTION_DIPLOMATIC) json_array_append_new(list, json_string("diplomatic"));
    if (functions & FUNCTION_POLICY) json_array_append_new(list, json_string("policy"));
    if (functions & FUNCTION_TECHNICAL) json_array_append_new(list, json_string("technical"));
    return list;
}

static json_t *post_json(const struct directory *directory, const struct directory_post *post) {
    const struct directory_party *party = post->party;
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:i, s:s}", "post", post->name, "party", party->name, "name", party->title,
                     "kind", words_name(WORDS_PARTY_KIND, party->kind), "functions", functions_json(post->functions),
                     "devices", (int)live_devices(directory, post), "standing", standing(post));
}

/* ---- directory list ---- */

COMMAND_OPTIONS(directory_list);

static bool has_post(const struct directory *directory, const struct directory_party *party) {
    const struct directory_post *post;
    for (size_t i = 0; (post = directory_post_nth(directory, i)); i++)
        if (post->party == party) return true;
    return false;
}

static void list_json(const struct directory *directory) {
    const struct directory_post *post;
    const struct directory_party *party;
    for (size_t i = 0; (post = directory_post_nth(directory, i)); i++) present_json(stdout, post_json(directory, post));
    for (size_t i = 0; (party = directory_party_nth(directory, i)); i++) {
        if (has_post(directory, party)) continue;
        present_json(stdout, json_pack("{s:n, s:s, s:s, s:s, s:[], s:i, s:s}", "post", "party", party->name, "name",
                                       party->title, "kind", words_name(WORDS_PARTY_KIND, party->kind), "functions",
                                       "devices", 0, "standing",
                                       party->suspended ? "suspended" : party->admitted ? "admitted" : "not admitted"));
    }
}

static void list_table(const struct run *run, const struct directory *directory) {
    static const char *const heads[] = {"POST", "PARTY", "FUNCTIONS", "DEVICES>", "STANDING"};
    AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads), .elastic = 1};
    const struct directory_post *post;
    const struct directory_party *party;
    char functions[64];
    for (size_t i = 0; (post = directory_post_nth(directory, i)); i++) {
        words_functions(post->functions, functions, sizeof functions);
        table_add(&table, STYLE_BOLD, "%s", post->name);
        table_add(&table, STYLE_NONE, "%s", post->party->title);
        table_add(&table, STYLE_NONE, "%s", functions);
        table_add(&table, STYLE_NONE, "%u", live_devices(directory, post));
        table_add(&table, STYLE_NONE, "%s", standing(post));
    }
    for (size_t i = 0; (party = directory_party_nth(directory, i)); i++) {
        if (has_post(directory, party)) continue;
        table_add(&table, STYLE_BOLD, "%s", party->name);
        table_add(&table, STYLE_NONE, "%s", party->title);
        table_add(&table, STYLE_NONE, "-");
        table_add(&table, STYLE_NONE, "0");
        table_add(&table, STYLE_NONE, "%s", party->suspended ? "suspended" : party->admitted ? "admitted" : "not admitted");
    }
    table_print(&table, stdout, &run->look);
}

int directory_list(struct run *run) {
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    if (run->cli.json) list_json(run->home.directory);
    else list_table(run, run->home.directory);
    return run_shown(run);
}

/* ---- directory show ---- */

COMMAND_OPTIONS(directory_show);

static const char *device_standing(const struct directory_device *device) {
    enum error error = directory_live(device, now());
    if (error == E_OK) return "live";
    if (error == E_REVOKED) return "revoked";
    return error == E_NOT_COUNTERSIGNED ? "not countersigned" : "not valid now";
}

static void devices_json(const struct directory *directory, const struct directory_post *post, json_t *object) {
    const struct directory_device *device;
    json_t *list = json_array();
    for (size_t i = 0; (device = directory_device_nth(directory, i)); i++) {
        char key[2 * KEY_SIZE + 1];
        if (device->post != post) continue;
        text_hex(device->device, KEY_SIZE, key);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "device", key, "role",
                                              words_name(WORDS_ROLE, device->role), "standing", device_standing(device),
                                              "not_before", present_json_time(device->not_before), "not_after",
                                              present_json_time(device->not_after)));
    }
    json_object_set_new(object, "device_list", list);
}

static void show_people(const struct run *run, const struct directory *directory, const struct directory_post *post) {
    static const char *const heads[] = {"DEVICE", "ROLE", "STANDING", "UNTIL"};
    AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads)};
    char functions[64], time[TIME_SIZE], key[2 * KEY_SIZE + 1];
    const struct directory_device *device;
    words_functions(post->functions, functions, sizeof functions);
    printf("post       %s\nparty      ", post->name);
    present_text(stdout, &run->look, STYLE_NONE, bytes_text(post->party->title), false);
    printf(" (%s)\nfunctions  %s\nstanding   %s\n\n", words_name(WORDS_PARTY_KIND, post->party->kind), functions,
           standing(post));
    for (size_t i = 0; (device = directory_device_nth(directory, i)); i++) {
        if (device->post != post) continue;
        text_hex(device->device, KEY_SIZE, key);
        table_add(&table, STYLE_NONE, "%s", key);
        table_add(&table, STYLE_NONE, "%s", words_name(WORDS_ROLE, device->role));
        table_add(&table, STYLE_NONE, "%s", device_standing(device));
        table_add(&table, STYLE_NONE, "%s", present_time(&run->look, device->not_after, time));
    }
    table_print(&table, stdout, &run->look);
}

int directory_show(struct run *run) {
    int exit_code;
    const char *name = command_one_word(run, "POST", &exit_code);
    if (!name) return exit_code;
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    const struct directory_post *post = directory_post(run->home.directory, bytes_text(name));
    if (!post) return run_fail(run, fail(&run->failure, E_UNKNOWN_POST, "%.80s", name));
    if (run->cli.json) {
        json_t *object = post_json(run->home.directory, post);
        devices_json(run->home.directory, post, object);
        present_json(stdout, object);
    } else {
        show_people(run, run->home.directory, post);
    }
    return run_shown(run);
}
