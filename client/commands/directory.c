/* directory.c - who there is. */
#include <time.h>

#include "../words.h"
#include "commands.h"
#include "contact.h"
#include "files.h"
#include "text.h"

enum { OPTION_AT = 1, OPTION_PUBLIC, OPTION_HTML, DIGITS_COUNT = 50 };

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

static const char *party_standing(const struct directory_party *party) {
    if (party->departed) return "departed";
    if (party->suspended) return "suspended";
    if (party->nominated) return "nominated";
    return party->admitted ? "admitted" : "not admitted";
}

static const char *standing(const struct directory_post *post) {
    if (post->revoked) return "revoked";
    return post->into_count > 0 ? "split" : party_standing(post->party);
}

static json_t *functions_json(unsigned functions) {
    json_t *list = json_array();
    if (functions & FUNCTION_DIPLOMATIC) json_array_append_new(list, json_string("diplomatic"));
    if (functions & FUNCTION_POLICY) json_array_append_new(list, json_string("policy"));
    if (functions & FUNCTION_TECHNICAL) json_array_append_new(list, json_string("technical"));
    return list;
}

/* The registrars' notice that stands, and the newest succession. */
static void party_keys_json(const struct directory_party *party, json_t *object) {
    json_t *notice = json_null();
    char key[2 * KEY_SIZE + 1];
    if (party->notice.stands) {
        text_hex(party->notice.authority, KEY_SIZE, key);
        notice = json_pack("{s:s, s:o, s:o}", "authority", key, "since", present_json_time(party->notice.since), "due",
                           present_json_time((struct instant){party->notice.since.ms + NOTICE_MS}));
    }
    text_hex(party->authority, KEY_SIZE, key);
    json_object_set_new(object, "party_standing", json_string(party_standing(party)));
    json_object_set_new(object, "authority", party->nominated ? json_null() : json_string(key));
    json_object_set_new(object, "recovery", json_boolean(party->has_recovery));
    json_object_set_new(object, "succession",
                        party->succeeded_size ? json_integer((json_int_t)party->succeeded_size) : json_null());
    json_object_set_new(object, "notice", notice);
}

static json_t *into_json(const struct directory_post *post) {
    json_t *list = json_array();
    for (size_t i = 0; i < post->into_count; i++) json_array_append_new(list, json_string(post->into[i]));
    return list;
}

static json_t *party_json(const struct directory_party *party) {
    json_t *object = json_pack("{s:n, s:s, s:s, s:s, s:[], s:i, s:s, s:[]}", "post", "party", party->name, "name",
                               party->title, "kind", words_name(WORDS_PARTY_KIND, party->kind), "functions", "devices",
                               0, "standing", party_standing(party), "split_into");
    party_keys_json(party, object);
    return object;
}

static json_t *post_json(const struct directory *directory, const struct directory_post *post) {
    const struct directory_party *party = post->party;
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:o, s:i, s:s, s:o}", "post", post->name, "party", party->name,
                               "name", party->title, "kind", words_name(WORDS_PARTY_KIND, party->kind), "functions",
                               functions_json(post->functions), "devices", (int)live_devices(directory, post),
                               "standing", standing(post), "split_into", into_json(post));
    party_keys_json(party, object);
    return object;
}

/* ---- directory list ---- */

COMMAND_OPTIONS(directory_list);

static bool has_post(const struct directory *directory, const struct directory_party *party) {
    const struct directory_post *post;
    for (size_t i = 0; (post = directory_post_nth(directory, i)); i++)
        if (post->party == party) return true;
    return false;
}

/* Who is away, and whom to try otherwise, from the contact card. */
static enum error add_card(struct run *run, const struct directory_post *post, json_t *object) {
    struct card_brief brief;
    TRY(command_card_brief(run, post->name, &brief));
    struct bytes list = bytes_text(brief.fallback), name;
    json_t *fallback = json_array();
    while (contact_list_next(&list, &name)) json_array_append_new(fallback, present_json_text(name));
    json_object_set_new(object, "away_until", present_json_time(brief.away_until));
    json_object_set_new(object, "stand_in", *brief.stand_in ? json_string(brief.stand_in) : json_null());
    json_object_set_new(object, "fallback", fallback);
    return E_OK;
}

static enum error list_json(struct run *run, const struct directory *directory) {
    const struct directory_post *post;
    const struct directory_party *party;
    for (size_t i = 0; (post = directory_post_nth(directory, i)); i++) {
        json_t *object = post_json(directory, post);
        enum error error = add_card(run, post, object);
        if (error == E_OK)
            present_json(stdout, object);
        else
            json_decref(object);
        TRY(error);
    }
    for (size_t i = 0; (party = directory_party_nth(directory, i)); i++) {
        if (has_post(directory, party)) continue;
        present_json(stdout, party_json(party));
    }
    return E_OK;
}

static enum error list_table(struct run *run, const struct directory *directory) {
    static const char *const heads[] = {"POST", "PARTY", "FUNCTIONS", "DEVICES>", "STANDING", "FALLBACK"};
    AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads), .elastic = 1};
    const struct directory_post *post;
    const struct directory_party *party;
    char functions[64];
    struct card_brief brief;
    for (size_t i = 0; (post = directory_post_nth(directory, i)); i++) {
        words_functions(post->functions, functions, sizeof functions);
        table_add(&table, STYLE_BOLD, "%s", post->name);
        table_add(&table, STYLE_NONE, "%s", post->party->title);
        table_add(&table, STYLE_NONE, "%s", functions);
        table_add(&table, STYLE_NONE, "%u", live_devices(directory, post));
        TRY(command_card_brief(run, post->name, &brief));
        table_add(&table, STYLE_NONE, "%s%s%s", standing(post), brief.away_until.ms ? ", away: " : "",
                  brief.away_until.ms && !*brief.stand_in ? "nobody stands in" : brief.stand_in);
        table_add(&table, STYLE_NONE, "%s", *brief.fallback ? brief.fallback : "-");
    }
    for (size_t i = 0; (party = directory_party_nth(directory, i)); i++) {
        if (has_post(directory, party)) continue;
        table_add(&table, STYLE_BOLD, "%s", party->name);
        table_add(&table, STYLE_NONE, "%s", party->title);
        table_add(&table, STYLE_NONE, "-");
        table_add(&table, STYLE_NONE, "0");
        table_add(&table, STYLE_NONE, "%s",
                  party_standing(party));
        table_add(&table, STYLE_NONE, "-");
    }
    table_print(&table, stdout, &run->look);
    return E_OK;
}

int directory_list(struct run *run) {
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    error = run->cli.json ? list_json(run, run->home.directory) : list_table(run, run->home.directory);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
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
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b, s:o, s:o}", "device", key, "role",
                                              words_name(WORDS_ROLE, device->role), "standing", device_standing(device),
                                              "countersigned", device->countersigned, "not_before", present_json_time(device->not_before), "not_after",
                                              present_json_time(device->not_after)));
    }
    json_object_set_new(object, "device_list", list);
}

static void show_party_keys(const struct run *run, const struct directory_party *party) {
    char time[TIME_SIZE];
    if (party->succeeded_size)
        printf("authority  another key since entry %llu of the directory\n", (unsigned long long)party->succeeded_size);
    if (party->notice.stands)
        printf("NOTICE     the registrars have announced another authority key; it can be taken from %s on\n",
               present_time(&run->look, (struct instant){party->notice.since.ms + NOTICE_MS}, time));
}

static void show_people(const struct run *run, const struct directory *directory, const struct directory_post *post) {
    static const char *const heads[] = {"DEVICE", "ROLE", "STANDING", "UNTIL"};
    AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads)};
    char functions[64], time[TIME_SIZE], key[2 * KEY_SIZE + 1];
    const struct directory_device *device;
    words_functions(post->functions, functions, sizeof functions);
    printf("post       %s\nparty      ", post->name);
    present_text(stdout, &run->look, STYLE_NONE, bytes_text(post->party->title), false);
    printf(" (%s)\nfunctions  %s\nstanding   %s\n", words_name(WORDS_PARTY_KIND, post->party->kind), functions,
           standing(post));
    for (size_t i = 0; i < post->into_count; i++) printf("split into %s\n", post->into[i]);
    show_party_keys(run, post->party);
    fputc('\n', stdout);
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
        json_t *card = NULL;
        error = command_card_json(run, post->name, &card);
        if (error == E_OK) json_object_set_new(object, "card", card);
        present_json(stdout, object);
    } else {
        show_people(run, run->home.directory, post);
        error = command_print_card(run, post->name);
    }
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}

/* ---- directory phrase, compare ---- */

COMMAND_OPTIONS(directory_phrase_show, {"at", OPTION_AT, true});
COMMAND_OPTIONS(directory_compare, {"at", OPTION_AT, true});

static bool read_size(struct run *run, uint64_t *ret, int *ret_exit) {
    const char *text = run->args.value;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n] || strspn(text, "0") == n) {
        *ret_exit = run_usage_text(run, "--at is a size of the directory, from 1");
        return false;
    }
    *ret = strtoull(text, NULL, 10);
    return true;
}

static json_t *phrase_json(const struct phrase *phrase) {
    char root[2 * HASH_SIZE + 1];
    text_hex(phrase->root, HASH_SIZE, root);
    return json_pack("{s:I, s:s, s:s}", "size", (json_int_t)phrase->size, "root", root, "digits", phrase->digits);
}

static void phrase_people(const struct run *run, const struct phrase *phrase) {
    char root[2 * HASH_SIZE + 1];
    text_hex(phrase->root, HASH_SIZE, root);
    printf("relay   %s\nsize    %llu\nroot    %s\n\ndigits  ", run->home.card.name, (unsigned long long)phrase->size,
           root);
    present_text(stdout, &run->look, STYLE_BOLD, bytes_text(phrase->digits), false);
    printf("\n\nBy telephone, with somebody whose voice you know: read the size and the digits aloud; the other side\n"
           "types\n  pouch directory compare --at %llu DIGITS\n",
           (unsigned long long)phrase->size);
}

static void say_freshness(const struct run *run, const struct freshness_view *fresh) {
    char text[2 * FAILURE_WHERE_SIZE];
    present_freshness(fresh, text, sizeof text);
    run_say(run, "%s", text);
}

int directory_phrase_show(struct run *run) {
    uint64_t size = 0;
    int exit_code;
    struct phrase phrase;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id != OPTION_AT) return run_usage(run);
        if (!read_size(run, &size, &exit_code)) return exit_code;
    }
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    error = client_phrase(&run->home, size, &phrase, &run->failure);
    if (error != E_OK) return run_fail(run, error);
    struct freshness_view fresh;
    error = client_freshness(&run->home, &fresh, &run->failure);
    if (error != E_OK) return run_fail(run, error);
    if (run->cli.json) {
        json_t *object = phrase_json(&phrase);
        present_json_freshness(object, &fresh);
        present_json(stdout, object);
    } else {
        phrase_people(run, &phrase);
        say_freshness(run, &fresh);
    }
    return run_shown(run);
}

/* The digits of one word more: people give them as one word or as ten. False: something else is in it, or too many. */
static bool add_digits(const char *word, char digits[static DIGITS_COUNT + 1]) {
    size_t n = strlen(digits);
    for (; *word; word++) {
        if (strchr(" \t-.", *word)) continue;
        if (*word < '0' || *word > '9' || n == DIGITS_COUNT) return false;
        digits[n++] = *word;
        digits[n] = 0;
    }
    return true;
}

static int compare(struct run *run, uint64_t size, const char *digits) {
    struct phrase phrase;
    enum error error = client_phrase(&run->home, size, &phrase, &run->failure);
    if (error != E_OK) return run_fail(run, error);
    if (!text_fingerprint_matches(phrase.digest, digits))
        return run_fail(run, fail(&run->failure, E_WRONG_PHRASE, "at %llu entries", (unsigned long long)phrase.size));
    if (run->cli.json) {
        json_t *object = phrase_json(&phrase);
        json_object_set_new(object, "equal", json_true());
        present_json(stdout, object);
    } else {
        printf("Equal: both have the same relay card and the same directory up to %llu entries.\n",
               (unsigned long long)phrase.size);
    }
    return run_shown(run);
}

int directory_compare(struct run *run) {
    uint64_t size = 0;
    int exit_code;
    char digits[DIGITS_COUNT + 1] = "";
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_AT:
            if (!read_size(run, &size, &exit_code)) return exit_code;
            break;
        case CLI_WORD:
            if (add_digits(run->args.value, digits)) break;
            return run_usage_text(run, "DIGITS are ten groups of five digits");
        default: return run_usage(run);
        }
    if (strlen(digits) != DIGITS_COUNT) return run_usage_text(run, "DIGITS are ten groups of five digits");
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    return compare(run, size, digits);
}

/* ---- directory export ---- */

COMMAND_OPTIONS(directory_export, {"public", OPTION_PUBLIC, false}, {"html", OPTION_HTML, false}, {"output", 'o', true});

static void add_line(struct buf *out, json_t *object) {
    char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (line) {
        buf_add_bytes(out, bytes_text(line));
        buf_add_bytes(out, bytes_text("\n"));
    } else {
        out->failed = true;
    }
    free(line);
    json_decref(object);
}

struct export {
    bool json;
    struct buf out;
};

static enum error export_leaf(void *context, uint64_t index, struct bytes leaf) {
    struct export *export = context;
    AUTO_FREE(char) hex = malloc(2 * leaf.n + 1);
    if (!hex) return E_NO_MEMORY;
    text_hex(leaf.p, leaf.n, hex);
    if (export->json) {
        add_line(&export->out, json_pack("{s:I, s:s}", "index", (json_int_t)index, "leaf", hex));
    } else {
        buf_add(&export->out, hex, 2 * leaf.n);
        buf_add_bytes(&export->out, bytes_text("\n"));
    }
    return buf_error(&export->out);
}

static enum error export_write(struct run *run, const char *path, struct bytes bytes) {
    if (path && strcmp(path, "-") != 0) return files_write(path, 0644, bytes, &run->failure);
    if (fwrite(bytes.p, 1, bytes.n, stdout) == bytes.n && fflush(stdout) == 0) return E_OK;
    return files_failure(&run->failure, "standard output");
}

int directory_export(struct run *run) {
    bool only_public = false, html = false;
    const char *path = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_PUBLIC: only_public = true; break;
        case OPTION_HTML: html = true; break;
        case 'o': path = run->args.value; break;
        default: return run_usage(run);
        }
    if (html && !only_public) return run_usage_text(run, "--html goes with --public");
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    struct export export = {.json = run->cli.json};
    if (only_public)
        error = command_export_public(run, html, &export.out);
    else
        error = client_leaves(&run->home, export_leaf, &export, &run->failure);
    if (error == E_OK) error = export_write(run, path, buf_bytes(&export.out));
    buf_free(&export.out);
    return error == E_OK ? run_shown(run) : run_fail(run, error);
}
