/* card.c - the contact card: shown, edited as a text, field by field, erased; away and back. */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cards.h"
#include "commands.h"
#include "files.h"
#include "moment.h"
#include "text.h"
#include "units.h"

enum { OPTION_FOR = 1, OPTION_ERASE, OPTION_UNTIL, OPTION_TO, OPTION_END };
enum { FORM_TEXT_MAX = 256 * 1024, AUDIENCE_TEXT = AUDIENCE_MAX * (PARTY_MAX + 2) + 1 };

static const char *const audiences[] = {[AUDIENCE_NOBODY] = "nobody",
                                        [AUDIENCE_PARTIES] = "parties",
                                        [AUDIENCE_MEMBERS] = "members",
                                        [AUDIENCE_PUBLIC] = "public"};

static void card_free(struct contact_card **card) {
    if (*card) explicit_bzero(*card, sizeof **card);
    free(*card);
}
#define AUTO_CARD __attribute__((cleanup(card_free))) struct contact_card

static enum error load(struct run *run, const char *post, struct contact_card **ret) {
    *ret = malloc(sizeof **ret);
    enum error error = *ret ? cards_load(&run->home, post, *ret) : E_NO_MEMORY;
    return error == E_OK ? E_OK : fail(&run->failure, error, "the contact card of %s", post);
}

/* ---- audiences in words ---- */

static void audience_text(const struct contact_entry *entry, char ret[static AUDIENCE_TEXT]) {
    size_t n = 0;
    if (entry->audience != AUDIENCE_PARTIES) n = (size_t)snprintf(ret, AUDIENCE_TEXT, "%s", audiences[entry->audience]);
    for (size_t i = 0; i < entry->party_count; i++)
        n += (size_t)snprintf(ret + n, AUDIENCE_TEXT - n, "%s%s", i ? ", " : "", entry->parties[i]);
}

/* "nobody", "members", "public", or parties: false when it is none of them. The own party is always in. */
static bool audience_parse(const char *text, const char *own_party, struct contact_entry *entry) {
    entry->party_count = 0;
    for (size_t i = 0; i < LENGTH(audiences); i++) {
        if (i == AUDIENCE_PARTIES || strcmp(text, audiences[i]) != 0) continue;
        entry->audience = (enum card_audience)i;
        return true;
    }
    entry->audience = AUDIENCE_PARTIES;
    while (*text) {
        size_t n = strcspn(text, ", ");
        struct bytes name = bytes_of(text, n);
        if (n > 0) {
            if (!text_is_party(name) || entry->party_count == AUDIENCE_MAX) return false;
            if (!bytes_are(name, own_party))
                snprintf(entry->parties[entry->party_count++], PARTY_MAX + 1, "%.*s", (int)n, text);
        }
        text += n + (text[n] != '\0');
    }
    return entry->party_count > 0;
}

static const char *own_party(const struct run *run) {
    const struct directory_post *post = directory_post(run->home.directory, bytes_text(run->home.post));
    return post ? post->party->name : "";
}

/* ---- showing ---- */

static json_t *entry_json(const struct contact_entry *entry) {
    struct bytes list = bytes_text(entry->value), item;
    enum contact_form form = contact_field_row(entry->field)->form;
    json_t *object = json_pack("{s:o}", "value", present_json_text(bytes_text(entry->value)));
    json_t *parties = json_array();
    for (size_t i = 0; i < entry->party_count; i++) json_array_append_new(parties, json_string(entry->parties[i]));
    if (entry->audience == AUDIENCE_PARTIES)
        json_object_set(object, "for", parties);
    else
        json_object_set_new(object, "for", json_string(audiences[entry->audience]));
    json_decref(parties);
    if (form != FORM_LANGUAGES && form != FORM_POSTS && form != FORM_HOURS) return object;
    json_t *items = json_array();
    while (contact_list_next(&list, &item)) json_array_append_new(items, present_json_text(item));
    json_object_set_new(object, "list", items);
    return object;
}

static const char *state_word(const struct contact_card *card) {
    if (card->state == CONTACT_DUE) return "to be published";
    return card->state == CONTACT_REFUSED ? "refused" : "published";
}

static json_t *card_json(const struct contact_card *card) {
    struct instant until = {0};
    bool away = cards_is_away(card, moment_now(), &until);
    json_t *fields = json_object();
    for (size_t i = 0; i < card->count; i++)
        json_object_set_new(fields, contact_field_row(card->entries[i].field)->name, entry_json(&card->entries[i]));
    json_t *object = json_pack("{s:s, s:b, s:b, s:i, s:b, s:o}", "post", card->post, "own", card->own, "there",
                               card->there, "sealed", (int)card->sealed, "away", away, "fields", fields);
    if (card->own) json_object_set_new(object, "state", json_string(state_word(card)));
    return object;
}

static void print_entry(struct run *run, const struct contact_card *card, const struct contact_entry *entry) {
    char audience[AUDIENCE_TEXT];
    printf("%-14s ", contact_field_row(entry->field)->name);
    present_text(stdout, &run->look, STYLE_NONE, bytes_text(entry->value), false);
    audience_text(entry, audience);
    if (card->own || entry->audience != AUDIENCE_MEMBERS) printf("  [%s]", audience);
    putchar('\n');
}

static void print_card(struct run *run, const struct contact_card *card) {
    for (size_t i = 0; i < card->count; i++) print_entry(run, card, &card->entries[i]);
    if (card->sealed) printf("%u part%s of it cannot be read here\n", card->sealed, card->sealed == 1 ? "" : "s");
}

enum error command_card_json(struct run *run, const char *post, json_t **ret) {
    AUTO_CARD *card = NULL;
    TRY(load(run, post, &card));
    *ret = card_json(card);
    return E_OK;
}

enum error command_print_card(struct run *run, const char *post) {
    AUTO_CARD *card = NULL;
    TRY(load(run, post, &card));
    if (!card->count && !card->sealed) return E_OK;
    putchar('\n');
    print_card(run, card);
    return E_OK;
}

enum error command_card_brief(struct run *run, const char *post, struct card_brief *ret) {
    AUTO_CARD *card = NULL;
    *ret = (struct card_brief){0};
    TRY(load(run, post, &card));
    const char *stand_in = cards_value(card, CONTACT_STAND_IN), *fallback = cards_value(card, CONTACT_FALLBACK);
    if (!cards_is_away(card, moment_now(), &ret->away_until)) ret->away_until.ms = 0;
    if (stand_in && ret->away_until.ms) snprintf(ret->stand_in, sizeof ret->stand_in, "%s", stand_in);
    if (fallback) snprintf(ret->fallback, sizeof ret->fallback, "%s", fallback);
    return E_OK;
}

COMMAND_OPTIONS(card_show);

int card_show(struct run *run) {
    const char *post = NULL;
    AUTO_CARD *card = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id != CLI_WORD || post) return run_usage(run);
        post = run->args.value;
    }
    enum error error = run_open_post(run);
    if (error != E_OK) return run_fail(run, error);
    run_try_sync(run);
    if (!post) post = run->home.post;
    if (!directory_post(run->home.directory, bytes_text(post)))
        return run_fail(run, fail(&run->failure, E_UNKNOWN_POST, "%.80s", post));
    error = load(run, post, &card);
    if (error != E_OK) return run_fail(run, error);
    if (run->cli.json) {
        present_json(stdout, card_json(card));
        return run_shown(run);
    }
    bool empty = !card->count && !card->sealed, says = card->own && !empty;
    printf("%-14s %s%s%s\n", "post", card->post, says ? ", " : "", says ? state_word(card) : "");
    print_card(run, card);
    if (empty && !run->quiet) printf("There is no contact card.%s\n", card->own ? " Make one: pouch card edit" : "");
    return run_shown(run);
}

/* ---- after a change ---- */

/* Kept, published if the relay is there, and told. */
static int save(struct run *run, struct contact_card **card) {
    enum error error = cards_save(&run->home, *card, &run->failure);
    if (error == E_OK && run->relay) error = cards_publish(&run->home, run->relay, &run->failure);
    if (error == E_OK) {
        card_free(card);
        error = load(run, run->home.post, card);
    }
    if (error != E_OK) return run_fail(run, error);
    if (run->cli.json)
        present_json(stdout, card_json(*card));
    else if ((*card)->count == 0 && (*card)->state != CONTACT_REFUSED)
        printf("The contact card of %s is %s.\n", (*card)->post,
               (*card)->state == CONTACT_DUE ? "to be erased" : "erased");
    else
        printf("The contact card of %s is %s.\n", (*card)->post, state_word(*card));
    if ((*card)->state == CONTACT_REFUSED)
        return run_fail(run, fail(&run->failure, E_NOT_ALLOWED, "the relay refused the card; see pouch status"));
    if ((*card)->state == CONTACT_PUBLISHED) return 0;
    if (!run->relay) return run_kept(run);
    return run_fail(run, run->failure.error != E_OK ? run->failure.error : E_BUSY); /* the relay says: not now */
}

static enum error open_own(struct run *run, struct contact_card **ret) {
    TRY(run_open_post(run));
    TRY(run_sync(run));
    return load(run, run->home.post, ret);
}

static enum error unknown_field(struct run *run, const char *name) {
    const char *names[CARD_FIELDS_MAX];
    char near[64];
    size_t count = 0;
    for (const struct contact_field_row *row = contact_field_rows; row->name; row++) names[count++] = row->name;
    cli_suggest(name, names, count, near, sizeof near);
    fail(&run->failure, E_USAGE, "a contact card has no field %.40s%s", name, near);
    return fail_hint(&run->failure, "`pouch card set --help` lists the fields");
}

/* ---- set ---- */

COMMAND_OPTIONS(card_set, {"for", OPTION_FOR, true}, {"erase", OPTION_ERASE, false});

static enum error put(struct run *run, struct contact_card *card, const struct contact_field_row *row,
                      const char *value, const char *audience) {
    struct contact_entry entry = {.field = row->field, .audience = row->audience};
    const struct contact_entry *before = cards_entry(card, row->field);
    if (before) entry = *before;
    if (value && strlen(value) > CARD_VALUE_MAX)
        return fail(&run->failure, E_TOO_LARGE, "%s: more than %d bytes", row->name, CARD_VALUE_MAX);
    if (value) snprintf(entry.value, sizeof entry.value, "%s", value);
    if (audience && !audience_parse(audience, own_party(run), &entry))
        return fail(&run->failure, E_USAGE, "%.80s: an audience is nobody, members, public, or parties such as fj,fr",
                    audience);
    return cards_put(card, &entry, &run->failure);
}

static enum error set(struct run *run, struct contact_card *card, const char *name, const char *value,
                      const char *audience, bool erase) {
    const struct contact_field_row *row = contact_field_named(bytes_text(name));
    if (!row) return unknown_field(run, name);
    if (!erase && !value && !cards_entry(card, row->field))
        return fail(&run->failure, E_USAGE, "VALUE is needed: %s", row->text);
    if (!erase) return put(run, card, row, value, audience);
    cards_remove(card, row->field);
    return E_OK;
}

int card_set(struct run *run) {
    const char *name = NULL, *value = NULL, *audience = NULL;
    bool erase = false;
    AUTO_CARD *card = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_FOR: audience = run->args.value; break;
        case OPTION_ERASE: erase = true; break;
        case CLI_WORD:
            if (value) return run_usage_text(run, "one VALUE is enough; put it into quotes");
            *(name ? &value : &name) = run->args.value;
            break;
        default: return run_usage(run);
        }
    if (!name) return run_usage_text(run, "FIELD is needed");
    if (erase && (value || audience)) return run_usage_text(run, "--erase takes neither VALUE nor --for");
    if (!erase && !value && !audience) return run_usage_text(run, "VALUE or --for is needed");
    enum error error = open_own(run, &card);
    if (error == E_OK) error = set(run, card, name, value, audience, erase);
    return error == E_OK ? save(run, &card) : run_fail(run, error);
}

/* ---- edit ---- */

COMMAND_OPTIONS(card_edit);

static void add_format(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_format(struct buf *out, const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        out->failed = true;
    else
        buf_add_bytes(out, bytes_text(text));
    va_end(arguments);
    free(text);
}

static void write_form(const struct contact_card *card, struct buf *out) {
    char audience[AUDIENCE_TEXT];
    add_format(out,
               "# Contact card of %s. One field a line:\n"
               "#     field: value  [audience]\n"
               "# An audience is nobody (it never leaves this post's devices), members, public, or parties: [fj, fr].\n"
               "# A line that is taken out, or begins with #, is not on the card.\n\n",
               card->post);
    for (const struct contact_field_row *row = contact_field_rows; row->name; row++) {
        const struct contact_entry *entry = cards_entry(card, row->field);
        add_format(out, "# %s\n", row->text);
        if (entry)
            audience_text(entry, audience);
        else
            snprintf(audience, sizeof audience, "%s", audiences[row->audience]);
        add_format(out, "%s%s: %s  [%s]\n\n", entry ? "" : "#", row->name, entry ? entry->value : "", audience);
    }
}

static char *trim(char *text) {
    while (*text == ' ' || *text == '\t') text++;
    for (size_t n = strlen(text); n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t' || text[n - 1] == '\r'); n--)
        text[n - 1] = '\0';
    return text;
}

/* "value  [audience]", cut in two. */
static char *cut_audience(char *value) {
    size_t n = strlen(value);
    char *open = strrchr(value, '[');
    if (n == 0 || value[n - 1] != ']' || !open) return NULL;
    value[n - 1] = '\0';
    *open = '\0';
    trim(value);
    return trim(open + 1);
}

static enum error read_line(struct run *run, char *line, struct contact_card *card) {
    line = trim(line);
    if (!*line || *line == '#') return E_OK;
    char *colon = strchr(line, ':');
    if (!colon) return fail(&run->failure, E_USAGE, "%.60s: a line is  field: value  [audience]", line);
    *colon = '\0';
    const char *name = trim(line);
    char *value = trim(colon + 1), *audience = cut_audience(value);
    const struct contact_field_row *row = contact_field_named(bytes_text(name));
    if (!row) return unknown_field(run, name);
    if (cards_entry(card, row->field)) return fail(&run->failure, E_USAGE, "%s is there twice", name);
    return *value ? put(run, card, row, value, audience) : E_OK;
}

static enum error read_form(struct run *run, struct bytes text, struct contact_card *card) {
    AUTO_FREE(char) copy = strndup((const char *)text.p, text.n);
    unsigned number = 1;
    if (!copy) return E_NO_MEMORY;
    if (strlen(copy) != text.n) return fail(&run->failure, E_BAD_TEXT, "there is a zero byte in it");
    card->count = 0;
    for (char *line = copy, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        enum error error = read_line(run, line, card);
        if (error == E_OK) continue;
        struct failure what = run->failure;
        error = fail(&run->failure, error, "line %u: %.400s", number, what.error == error ? what.where : "");
        if (what.hint[0]) fail_hint(&run->failure, "%.500s", what.hint);
        return error;
    }
    return E_OK;
}

/* Until it is right, or the person has had enough. Others use the home meanwhile. */
static enum error edit_by_hand(struct run *run, struct contact_card *card) {
    AUTO_BUF text = {0};
    write_form(card, &text);
    TRY(buf_error(&text));
    for (;;) {
        AUTO_BUF edited = {0};
        home_unlock(&run->home);
        enum error error = command_edit(run, buf_bytes(&text), &edited);
        struct failure before = run->failure;
        enum error locked = home_relock(&run->home, &run->failure);
        if (locked != E_OK) return locked;
        run->failure = before;
        TRY(error);
        error = read_form(run, buf_bytes(&edited), card);
        if (error == E_OK) return E_OK;
        run_say(run, "pouch: %s", run->failure.where);
        if (!run_ask(run, false, "Edit it again?")) return error;
        buf_free(&text);
        text = buf_take(&edited);
    }
}

static enum error read_input(struct run *run, const char *path, struct buf *ret) {
    if (strcmp(path, "-") != 0) return files_read(path, FORM_TEXT_MAX, ret, &run->failure);
    if (run->passphrase_file && strcmp(run->passphrase_file, "-") == 0)
        return fail(&run->failure, E_USAGE, "standard input cannot be both the card and the pass-phrase");
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof piece, stdin)) > 0;) {
        buf_add(ret, piece, n);
        if (ret->n > FORM_TEXT_MAX) return fail(&run->failure, E_TOO_LARGE, "the card's text");
    }
    return buf_error(ret);
}

static enum error edit(struct run *run, const char *path, struct contact_card *card) {
    AUTO_BUF text = {0};
    if (path) {
        TRY(read_input(run, path, &text));
        return read_form(run, buf_bytes(&text), card);
    }
    if (run_can_ask(run)) return edit_by_hand(run, card);
    enum error error = fail(&run->failure, E_NEEDS_TERMINAL, "an editor");
    fail_hint(&run->failure, "use pouch card set FIELD VALUE, or give the text: pouch card edit FILE");
    return error;
}

int card_edit(struct run *run) {
    const char *path = NULL;
    AUTO_CARD *card = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id != CLI_WORD || path) return run_usage(run);
        path = run->args.value;
    }
    enum error error = open_own(run, &card);
    if (error == E_OK) error = edit(run, path, card);
    return error == E_OK ? save(run, &card) : run_fail(run, error);
}

/* ---- erase ---- */

COMMAND_OPTIONS(card_erase);

int card_erase(struct run *run) {
    AUTO_CARD *card = NULL;
    if (run_next(run) != CLI_END) return run_usage(run);
    enum error error = open_own(run, &card);
    if (error != E_OK) return run_fail(run, error);
    if (!run_ask(run, true, "Erase the contact card of %s, here and at the relay?", run->home.post))
        return run_fail(run, fail(&run->failure, E_INTERRUPTED, "nothing was erased"));
    card->count = 0;
    return save(run, &card);
}

/* ---- away ---- */

COMMAND_OPTIONS(card_away, {"until", OPTION_UNTIL, true}, {"to", OPTION_TO, true}, {"end", OPTION_END, false});

/* 3d; 2026-12-01; 2026-12-01T08:00; with Z: UTC, else this machine's time. */
static bool parse_until(const char *text, struct instant *ret) {
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    uint64_t seconds;
    if (units_duration(bytes_text(text), &seconds) == E_OK) {
        ret->ms = moment_now().ms / 1000 * 1000 + seconds * 1000;
        return seconds < UINT32_MAX;
    }
    for (size_t i = 0; i < LENGTH(forms); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, forms[i], &tm);
        bool utc = end && strcmp(end, "Z") == 0;
        if (!end || (*end && !utc)) continue;
        time_t time = utc ? timegm(&tm) : mktime(&tm);
        if (time <= 0) return false;
        ret->ms = (uint64_t)time * 1000;
        return true;
    }
    return false;
}

static enum error go_away(struct run *run, struct contact_card *card, const char *until, const char *to) {
    struct instant time;
    char value[CONTACT_TIME_SIZE];
    if (!parse_until(until, &time))
        return fail(&run->failure, E_USAGE, "--until %.40s: such as 3d, 2026-12-01 or 2026-12-01T08:00Z", until);
    if (time.ms <= moment_now().ms) return fail(&run->failure, E_USAGE, "--until %.40s is past", until);
    contact_time_format(time, value);
    TRY(put(run, card, contact_field_row(CONTACT_AWAY_UNTIL), value, NULL));
    cards_remove(card, CONTACT_STAND_IN);
    return to ? put(run, card, contact_field_row(CONTACT_STAND_IN), to, NULL) : E_OK;
}

int card_away(struct run *run) {
    const char *until = NULL, *to = NULL;
    bool end = false;
    AUTO_CARD *card = NULL;
    for (int id; (id = run_next(run)) != CLI_END;) switch (id) {
        case OPTION_UNTIL: until = run->args.value; break;
        case OPTION_TO: to = run->args.value; break;
        case OPTION_END: end = true; break;
        default: return run_usage(run);
        }
    if (end == (until != NULL) || (end && to)) return run_usage_text(run, "either --until T [--to POST] or --end");
    enum error error = open_own(run, &card);
    if (error == E_OK && end) {
        cards_remove(card, CONTACT_AWAY_UNTIL);
        cards_remove(card, CONTACT_STAND_IN);
    } else if (error == E_OK) {
        error = go_away(run, card, until, to);
    }
    return error == E_OK ? save(run, &card) : run_fail(run, error);
}
