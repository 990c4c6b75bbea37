/* pair.c - secrets shared with other parties: made, read in, listed, required, removed. */
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "pairs.h"
#include "parcel.h"
#include "qr.h"
#include "text.h"

enum { OPTION_OUT = 'o', OPTION_REQUIRE = 1, OPTION_FILE, OPTION_OFF, CODE_ROWS = KEY_SIZE / TEXT_CODE_ROW };
enum { CODE_SIZE = CODE_ROWS * TEXT_CODE_SIZE };

/* ---- shared ---- */

/* All that this post has goes to its other devices, so that none is left behind by a parcel that was lost. */
static enum error tell_sisters(struct run *run) {
    AUTO_BUF items = {0};
    size_t count = 0;
    enum error error = pairs_records(&run->home, &items, &count);
    if (error != E_OK) return fail(&run->failure, error, "the local store");
    struct parcel_contents contents = {.pairs = list_of(&items, count)};
    return parcel_give_sisters(&run->home, run->relay, &contents, &run->failure);
}

static enum error open_home(struct run *run) {
    TRY(run_open_post(run));
    return run_sync(run);
}

static void id_text(const uint8_t id[static PREKEY_ID_SIZE], char out[static 2 * PREKEY_ID_SIZE + 1]) {
    text_hex(id, PREKEY_ID_SIZE, out);
}

/* The one word PARTY and, where there is one, a second. */
static bool take_word(const struct run *run, const char **party, const char **second) {
    const char **to = !*party ? party : second && !*second ? second : NULL;
    if (to) *to = run->args.value;
    return to != NULL;
}

static int needs_party(struct run *run) { return run_usage_text(run, "PARTY is needed, such as de"); }

/* ---- new ---- */

COMMAND_OPTIONS(pair_new, {"out", OPTION_OUT, true}, {"require", OPTION_REQUIRE, false});

/* Past stdio, which would keep a copy. */
static enum error write_secret(const char *text) {
    fflush(stdout);
    for (size_t n = strlen(text); n > 0;) {
        ssize_t wrote = write(STDOUT_FILENO, text, n);
        if (wrote <= 0) return E_IO;
        text += wrote;
        n -= (size_t)wrote;
    }
    return E_OK;
}

/* In two lines that can be read aloud and typed. */
static void two_lines(const char *code, const char *margin, char *ret, size_t size) {
    snprintf(ret, size, "%s%.*s\n%s%s\n", margin, TEXT_CODE_SIZE - 1, code, margin, code + TEXT_CODE_SIZE);
}

static enum error show_code(struct run *run, const char *party, const char *id, const char *code, bool require) {
    AUTO_SECRET text = {0};
    TRY(secret_new(512, &text));
    char *at = (char *)text.p;
    if (run->cli.json) {
        snprintf(at, text.n, "{\"party\": \"%s\", \"id\": \"%s\", \"required\": %s, \"code\": \"%s\"}\n", party, id,
                 require ? "true" : "false", code);
        return write_secret(at);
    }
    struct bytes own = text_party_of(bytes_text(run->home.post));
    printf("A new secret shared with %s, shown this once. Give it to them by hand, over no network, and soon: what is\n"
           "sent to them from now on is sealed under it. They type it after\n\n    pouch pair add %.*s\n\n",
           party, (int)own.n, (const char *)own.p);
    two_lines(code, "    ", at, text.n);
    TRY(write_secret(at));
    if (run->look.terminal && qr_width(code) <= run->look.width) {
        fputc('\n', stdout);
        (void)qr_print(stdout, code, run->look.color);
    }
    printf("\nid %s; it must be the same on their side.\n", id);
    return E_OK;
}

static enum error write_code(struct run *run, const char *path, const char *party, const char *id, const char *code,
                             bool require) {
    AUTO_SECRET text = {0};
    TRY(secret_new(512, &text));
    two_lines(code, "", (char *)text.p, text.n);
    TRY(files_write(path, 0600, bytes_text((const char *)text.p), &run->failure));
    if (run->cli.json)
        present_json(stdout,
                     json_pack("{s:s, s:s, s:b, s:s}", "party", party, "id", id, "required", require, "file", path));
    else
        printf("%s holds the new secret shared with %s, id %s: carry it there by hand, then destroy it\n", path, party,
               id);
    return E_OK;
}

static enum error new_pair(struct run *run, const char *party, const char *out, bool require) {
    AUTO_SECRET secret = {0};
    AUTO_SECRET code = {0};
    uint8_t id[PREKEY_ID_SIZE];
    char hex[2 * PREKEY_ID_SIZE + 1];
    if (out && files_exists(out)) return fail(&run->failure, E_HOME_EXISTS, "%s", out);
    TRY(open_home(run));
    TRY(secret_random(KEY_SIZE, &secret));
    TRY(secret_new(CODE_SIZE, &code));
    TRY(pairs_add(&run->home, party, secret.p, require, id, &run->failure));
    text_code(secret.p, CODE_ROWS, (char *)code.p);
    id_text(id, hex);
    TRY(out ? write_code(run, out, party, hex, (const char *)code.p, require)
            : show_code(run, party, hex, (const char *)code.p, require));
    return tell_sisters(run);
}

int pair_new(struct run *run) {
    const char *party = NULL, *out = NULL;
    bool require = false;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == OPTION_OUT)
            out = run->args.value;
        else if (id == OPTION_REQUIRE)
            require = true;
        else if (id != CLI_WORD || !take_word(run, &party, NULL))
            return run_usage(run);
    }
    if (!party) return needs_party(run);
    enum error error = new_pair(run, party, out, require);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- add ---- */

COMMAND_OPTIONS(pair_add, {"file", OPTION_FILE, true}, {"require", OPTION_REQUIRE, false});

static enum error add_pair(struct run *run, const char *party, const char *path, bool require) {
    AUTO_SECRET secret = {0};
    uint8_t id[PREKEY_ID_SIZE];
    char hex[2 * PREKEY_ID_SIZE + 1];
    struct sync_summary summary;
    TRY(run_code(run, path, "The secret, as it was given to you: ", CODE_ROWS, &secret));
    TRY(open_home(run));
    TRY(pairs_add(&run->home, party, secret.p, require, id, &run->failure));
    id_text(id, hex);
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:s, s:b}", "party", party, "id", hex, "required", require));
    else
        printf("a secret is shared with %s, id %s; it must be the same on their side\n", party, hex);
    TRY(tell_sisters(run));
    /* What came sealed under it before is opened now. */
    return run->relay ? client_sync(&run->home, run->relay, &summary, &run->failure) : E_OK;
}

int pair_add(struct run *run) {
    const char *party = NULL, *second = NULL, *path = NULL;
    bool require = false;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == OPTION_FILE)
            path = run->args.value;
        else if (id == OPTION_REQUIRE)
            require = true;
        else if (id != CLI_WORD || !take_word(run, &party, &second))
            return run_usage(run);
    }
    if (!party) return needs_party(run);
    if (second && strcmp(second, "-") != 0)
        return run_usage_text(run, "a secret in the command line is seen by others: type it when asked, or use - or "
                                   "--file");
    enum error error = add_pair(run, party, path ? path : second, require);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- list ---- */

COMMAND_OPTIONS(pair_list);

static void list_json(const struct pair_view *view) {
    char hex[2 * PREKEY_ID_SIZE + 1];
    id_text(view->id, hex);
    present_json(stdout, json_pack("{s:s, s:o, s:o, s:b, s:b}", "party", view->party, "id",
                                   view->none ? json_null() : json_string(hex), "created",
                                   view->none ? json_null() : present_json_time(view->created), "required",
                                   view->required, "in_use", view->in_use));
}

static void list_people(const struct run *run, const struct pair_view *views, size_t count) {
    static const char *const heads[] = {"party", "id", "since", "required", "in use"};
    AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads)};
    for (size_t i = 0; i < count; i++) {
        char hex[2 * PREKEY_ID_SIZE + 1], time[TIME_SIZE];
        id_text(views[i].id, hex);
        table_add(&table, STYLE_NONE, "%s", views[i].party);
        table_add(&table, STYLE_NONE, "%s", views[i].none ? "none" : hex);
        table_add(&table, STYLE_NONE, "%s", views[i].none ? "-" : present_utc(views[i].created, time));
        table_add(&table, STYLE_NONE, "%s", views[i].required ? "yes" : "no");
        table_add(&table, STYLE_NONE, "%s", views[i].in_use ? "yes" : "no");
    }
    table_print(&table, stdout, &run->look);
}

int pair_list(struct run *run) {
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = run_open_post(run);
    AUTO_FREE(struct pair_view) views = NULL;
    size_t count = 0;
    if (error == E_OK && (error = pairs_list(&run->home, &views, &count)) != E_OK)
        fail(&run->failure, error, "the local store");
    if (error != E_OK) return run_fail(run, error);
    for (size_t i = 0; run->cli.json && i < count; i++) list_json(&views[i]);
    if (!run->cli.json) list_people(run, views, count);
    return 0;
}

/* ---- require ---- */

COMMAND_OPTIONS(pair_require, {"off", OPTION_OFF, false});

static enum error require_pair(struct run *run, const char *party, bool required) {
    bool here = false;
    AUTO_PAIR key = {0};
    TRY(open_home(run));
    TRY(pairs_require(&run->home, party, required, &run->failure));
    TRY(pairs_newest(&run->home, bytes_text(party), &key, &here));
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:b, s:b}", "party", party, "required", required, "shared", here));
    else
        printf("nothing goes to %s without a shared secret: %s%s\n", party, required ? "from now on" : "no longer so",
               required && !here ? "; there is none yet, so nothing goes there" : "");
    return tell_sisters(run);
}

int pair_require(struct run *run) {
    const char *party = NULL;
    bool off = false;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == OPTION_OFF)
            off = true;
        else if (id != CLI_WORD || !take_word(run, &party, NULL))
            return run_usage(run);
    }
    if (!party) return needs_party(run);
    enum error error = require_pair(run, party, !off);
    return error == E_OK ? 0 : run_fail(run, error);
}

/* ---- remove ---- */

COMMAND_OPTIONS(pair_remove);

static enum error remove_pair(struct run *run, const char *party, const char *typed) {
    TRY(open_home(run));
    if (!run_ask(run, true, "What is still sealed under it cannot be opened any more. Remove it?"))
        return fail(&run->failure, E_INTERRUPTED, "nothing was removed");
    TRY(pairs_remove(&run->home, party, typed, &run->failure));
    if (run->cli.json)
        present_json(stdout, json_pack("{s:s, s:s}", "party", party, "removed", typed));
    else
        printf("removed\n");
    return tell_sisters(run);
}

int pair_remove(struct run *run) {
    const char *party = NULL, *typed = NULL;
    for (int id; (id = run_next(run)) != CLI_END;)
        if (id != CLI_WORD || !take_word(run, &party, &typed)) return run_usage(run);
    if (!party || !typed) return run_usage_text(run, "PARTY and ID are needed; see pouch pair list");
    enum error error = remove_pair(run, party, typed);
    return error == E_OK ? 0 : run_fail(run, error);
}
