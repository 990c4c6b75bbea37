/* present.c - tables, markings, times, progress; JSON. */
#include "present.h"

#include <inttypes.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "words.h"

struct look look_of(FILE *out, bool no_color) {
    struct look look = {.terminal = isatty(fileno(out)) == 1};
    const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
    struct winsize size;
    look.color = look.terminal && !no_color && !(none && *none) && !(term && strcmp(term, "dumb") == 0);
    if (look.terminal && ioctl(fileno(out), TIOCGWINSZ, &size) == 0) look.width = size.ws_col;
    return look;
}

/* The next character's bytes and columns; what the C library does not know counts as one column a byte. */
static size_t step(const char *text, mbstate_t *state, size_t *ret_columns) {
    wchar_t character;
    size_t n = mbrtowc(&character, text, strlen(text), state);
    if (n == 0 || n > strlen(text)) {
        *state = (mbstate_t){0};
        *ret_columns = 1;
        return 1;
    }
    int columns = wcwidth(character);
    *ret_columns = columns < 0 ? 1 : (size_t)columns;
    return n;
}

size_t present_width(const char *text) {
    mbstate_t state = {0};
    size_t total = 0;
    while (*text) {
        size_t columns;
        text += step(text, &state, &columns);
        total += columns;
    }
    return total;
}

/* The beginning of the text that fits into so many columns, in bytes. */
static size_t cut(const char *text, size_t columns) {
    mbstate_t state = {0};
    size_t at = 0, used = 0;
    while (text[at]) {
        size_t wide, n = step(text + at, &state, &wide);
        if (used + wide > columns) break;
        used += wide;
        at += n;
    }
    return at;
}

/* TLP 2.0 prescribes the colours, on black. */
static const char *const tlp_colors[] = {
    [TLP_CLEAR] = "\033[38;2;255;255;255;48;2;0;0;0m", [TLP_GREEN] = "\033[38;2;51;255;0;48;2;0;0;0m",
    [TLP_AMBER] = "\033[38;2;255;192;0;48;2;0;0;0m",   [TLP_AMBER_STRICT] = "\033[38;2;255;192;0;48;2;0;0;0m",
    [TLP_RED] = "\033[38;2;255;43;43;48;2;0;0;0m",
};

static const char *style_code(unsigned style) {
    static const char *const codes[] = {
        [STYLE_NONE] = "", [STYLE_BOLD] = "\033[1m", [STYLE_DIM] = "\033[2m", [STYLE_LOUD] = "\033[1;7m"};
    if (style >= STYLE_TLP) return style - STYLE_TLP < LENGTH(tlp_colors) ? tlp_colors[style - STYLE_TLP] : "";
    return codes[style];
}

static void styled(FILE *out, const struct look *look, unsigned style, const char *text, size_t n) {
    const char *code = look->color && n > 0 ? style_code(style) : "";
    fputs(code, out);
    fwrite(text, 1, n, out);
    if (*code) fputs("\033[0m", out);
}

void present_text(FILE *out, const struct look *look, unsigned style, struct bytes text, bool many_lines) {
    AUTO_BUF shown = {0};
    text_for_terminal(text, many_lines, &shown);
    if (!shown.failed) styled(out, look, style, (const char *)shown.p, shown.n);
}

void present_tlp(FILE *out, const struct look *look, bool has, enum tlp tlp) {
    char word[32];
    int n = snprintf(word, sizeof word, "TLP:%s", words_name(WORDS_TLP, tlp));
    if (has)
        styled(out, look, STYLE_TLP + (unsigned)tlp, word, (size_t)n);
    else
        fputc('-', out);
}

void present_exercise(FILE *out, const struct look *look, bool exercise) {
    static const char words[] = "*** EXERCISE EXERCISE EXERCISE ***";
    if (!exercise) return;
    styled(out, look, STYLE_LOUD, words, sizeof words - 1);
    fputc('\n', out);
}

/* ---- tables ---- */

static bool table_grow(struct table *table) {
    if (table->count < table->cap) return true;
    size_t cap = table->cap ? table->cap * 2 : 64;
    struct cell *cells = reallocarray(table->cells, cap, sizeof *cells);
    if (!cells) return false;
    table->cells = cells;
    table->cap = cap;
    return true;
}

/* Cells are made safe for a terminal as they are added, so no caller can forget. */
void table_add(struct table *table, unsigned style, const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    AUTO_BUF safe = {0};
    if (n >= 0) text_for_terminal(bytes_of(text, (size_t)n), false, &safe);
    if (n >= 0) free(text);
    if (n < 0 || safe.failed || !table_grow(table)) {
        table->failed = true;
        return;
    }
    table->cells[table->count++] = (struct cell){(char *)buf_take(&safe).p, style};
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->count; i++) free(table->cells[i].text);
    free(table->cells);
    *table = (struct table){0};
}

enum { COLUMNS_MAX = 16, COLUMN_GAP = 2, ELASTIC_MIN = 8 };

static size_t head_width(const char *head, bool *ret_right) {
    size_t n = strlen(head);
    *ret_right = n > 0 && head[n - 1] == '>';
    return *ret_right ? n - 1 : n;
}

static void measure(const struct table *table, const struct look *look, size_t widths[COLUMNS_MAX]) {
    size_t total = 0;
    for (size_t column = 0; column < table->columns; column++) {
        bool right;
        widths[column] = head_width(table->heads[column], &right);
        for (size_t i = column; i < table->count; i += table->columns) {
            size_t width = present_width(table->cells[i].text);
            if (width > widths[column]) widths[column] = width;
        }
        total += widths[column] + COLUMN_GAP;
    }
    if (!look->width || total - COLUMN_GAP <= look->width) return;
    size_t over = total - COLUMN_GAP - look->width, *elastic = &widths[table->elastic];
    *elastic = *elastic > over + ELASTIC_MIN ? *elastic - over : *elastic < ELASTIC_MIN ? *elastic : ELASTIC_MIN;
}

static void put(FILE *out, const struct look *look, const struct cell *cell, size_t width, bool right, bool last) {
    size_t own = present_width(cell->text), n = strlen(cell->text);
    bool cutting = own > width && width > 0;
    if (cutting) {
        n = cut(cell->text, width - 1);
        own = width;
    }
    size_t pad = width - own;
    if (right) fprintf(out, "%*s", (int)pad, "");
    styled(out, look, cell->style, cell->text, n);
    if (cutting) fputs("\u2026", out);
    if (!last) fprintf(out, "%*s", (int)((right ? 0 : pad) + COLUMN_GAP), "");
}

void table_print(const struct table *table, FILE *out, const struct look *look) {
    size_t widths[COLUMNS_MAX] = {0};
    bool right[COLUMNS_MAX];
    if (table->columns == 0 || table->columns > COLUMNS_MAX) return;
    measure(table, look, widths);
    for (size_t column = 0; column < table->columns; column++) {
        char head[64];
        size_t n = head_width(table->heads[column], &right[column]);
        snprintf(head, sizeof head, "%.*s", (int)n, table->heads[column]);
        put(out, look, &(struct cell){head, STYLE_DIM}, widths[column], right[column], column + 1 == table->columns);
    }
    fputc('\n', out);
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns) {
        for (size_t column = 0; column < table->columns; column++)
            put(out, look, &table->cells[i + column], widths[column], right[column], column + 1 == table->columns);
        fputc('\n', out);
    }
}

/* ---- times ---- */

const char *present_utc(struct instant time, char out[static TIME_SIZE]) {
    time_t seconds = (time_t)(time.ms / 1000);
    struct tm tm;
    if (time.ms == 0 || !gmtime_r(&seconds, &tm) || strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, TIME_SIZE, "-");
    return out;
}

const char *present_time(const struct look *look, struct instant time, char out[static TIME_SIZE]) {
    time_t seconds = (time_t)(time.ms / 1000);
    struct tm local, utc;
    char zone[16], minutes[8], date[32];
    if (!look->terminal || time.ms == 0 || !localtime_r(&seconds, &local) || !gmtime_r(&seconds, &utc))
        return present_utc(time, out);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M", &local);
    strftime(zone, sizeof zone, "%z", &local);
    strftime(minutes, sizeof minutes, "%H:%M", &utc);
    snprintf(out, TIME_SIZE, "%s %.3s:%s (%sZ)", date, zone, strlen(zone) > 3 ? zone + 3 : "00", minutes);
    return out;
}

/* ---- JSON ---- */

json_t *present_json_text(struct bytes text) {
    json_t *value = json_stringn(text.n ? (const char *)text.p : "", text.n);
    if (value) return value;
    AUTO_BUF safe = {0};
    text_for_terminal(text, true, &safe);
    return safe.failed ? NULL : json_stringn((const char *)safe.p, safe.n);
}

json_t *present_json_time(struct instant time) {
    char out[TIME_SIZE];
    return time.ms ? json_string(present_utc(time, out)) : json_null();
}

void present_id(const uint8_t digest[static HASH_SIZE], char out[static 2 * TEXT_ID_BYTES + 1]) {
    text_hex(digest, TEXT_ID_BYTES, out);
}

json_t *present_json_id(const uint8_t digest[static HASH_SIZE]) {
    char id[2 * TEXT_ID_BYTES + 1];
    present_id(digest, id);
    return json_string(id);
}

const char *present_leg_state(const struct leg_view *leg) {
    if (leg->refused != E_OK && !error_row(leg->refused)->again) return "refused";
    const struct leg_state_row *row = leg_state_row(leg->state);
    return row ? row->name : "unknown";
}

const char *present_state(const struct request_view *view) {
    if (view->leg_count == 0) return "none";
    const char *first = present_leg_state(&view->legs[0]);
    for (size_t i = 1; i < view->leg_count; i++)
        if (strcmp(first, present_leg_state(&view->legs[i])) != 0) return "mixed";
    return first;
}

const char *present_leg_trouble(const struct leg_view *leg) {
    if (leg->refused != E_OK) return error_row(leg->refused)->text;
    return leg->needs_rekey ? "no device there can open it yet; it waits" : NULL;
}

const char *present_speaker(const struct leg_view *leg) {
    static const char *const names[] = {
        [SPEAKER_RELAY] = "relay", [SPEAKER_MACHINE] = "machine", [SPEAKER_OFFICER] = "officer"};
    if (leg->state == STATE_NONE) return "";
    return (unsigned)leg->spoken < LENGTH(names) ? names[leg->spoken] : "";
}

void present_consents(const struct request_view *view, const struct leg_view *leg, char *ret, size_t size) {
    bool sender = leg->consents & CONSENT_SENDER, recipient = leg->consents & CONSENT_RECIPIENT;
    snprintf(ret, size, "%s%s%s", sender ? view->from : recipient ? "" : "nobody yet", sender && recipient ? " and " : "",
             recipient ? leg->to : "");
}

void present_policy(const struct request_view *view, char *ret, size_t size) {
    static const char *const did[] = {[POLICY_NONE] = "",
                                      [POLICY_ACCEPT] = "accepted",
                                      [POLICY_ASK] = "",
                                      [POLICY_DECLINE] = "declined",
                                      [POLICY_IGNORE] = "ignored"};
    const struct policy_view *policy = &view->policy;
    const char *word = (unsigned)policy->decision < LENGTH(did) ? did[policy->decision] : "";
    if (policy->late)
        snprintf(ret, size, "first decided otherwise; the standing policy (line %u) came too late", policy->line);
    else if (*word)
        snprintf(ret, size, "%s by the standing policy (line %u)", word, policy->line);
    else
        *ret = '\0';
}

static const char *policy_word(const struct policy_view *policy) {
    static const char *const words[] = {[POLICY_ACCEPT] = "accept",
                                        [POLICY_ASK] = "ask",
                                        [POLICY_DECLINE] = "decline",
                                        [POLICY_IGNORE] = "ignore"};
    return (unsigned)policy->decision < LENGTH(words) ? words[policy->decision] : NULL;
}

/* {"decision", "line", "late"}, or null where no rule had anything to do. */
static json_t *json_policy(const struct policy_view *policy) {
    const char *word = policy_word(policy);
    if (!word) return json_null();
    return json_pack("{s:s, s:o, s:b}", "decision", word, "line",
                     policy->line ? json_integer(policy->line) : json_null(), "late", policy->late);
}

/* The posts that agree that it may be shown to others. */
static json_t *json_consents(const struct request_view *view, const struct leg_view *leg) {
    json_t *posts = json_array();
    if (leg->consents & CONSENT_SENDER) json_array_append_new(posts, json_string(view->from));
    if (leg->consents & CONSENT_RECIPIENT) json_array_append_new(posts, json_string(leg->to));
    return posts;
}

bool present_is_error(enum leg_event event) {
    return event == EVENT_REFUSED || event == EVENT_REKEY_NEEDED || event == EVENT_CANNOT_OPEN;
}

static const char *rekey_text(enum error why) {
    if (why == E_UNKNOWN_DEVICE) return "the post has no device";
    if (why == E_NOT_FOR_US) return "it is sealed for none of the post's devices";
    return "the devices that it is sealed for cannot open it";
}

/* A rung reached, an error, a reason to decline. */
const char *present_reason(enum leg_event event, uint64_t reason) {
    const struct leg_state_row *rung = leg_state_row(reason);
    if (event == EVENT_EXPIRED) return rung ? rung->name : "";
    if (event == EVENT_REKEY_NEEDED) return rekey_text((enum error)reason);
    if (present_is_error(event)) return error_text((enum error)reason);
    return words_reason_text((unsigned)reason);
}

json_t *present_json_legs(const struct request_view *view) {
    json_t *legs = json_array();
    for (size_t i = 0; i < view->leg_count; i++) {
        const struct leg_view *leg = &view->legs[i];
        json_t *one = json_pack("{s:s, s:s}", "to", leg->to, "state", present_leg_state(leg));
        if (*present_speaker(leg)) json_object_set_new(one, "signer", json_string(present_speaker(leg)));
        json_object_set_new(one, "consents", json_consents(view, leg));
        if (leg->refused != E_OK) json_object_set_new(one, "error", json_string(error_row(leg->refused)->name));
        if (leg->needs_rekey) json_object_set_new(one, "needs_rekey", json_true());
        if (leg->forwarder[0]) json_object_set_new(one, "forwarded_by", json_string(leg->forwarder));
        json_array_append_new(legs, one);
    }
    return legs;
}

/* What is inside the seal is null until the seal is open. A reply has no offer of its own: it shows its parent's. */
json_t *present_json_request(const struct request_view *view) {
    bool offer = !view->sealed;
    json_t *line = json_object();
    json_object_set_new(line, "id", present_json_id(view->digest));
    json_object_set_new(line, "ref", json_string(view->reference));
    json_object_set_new(line, "from", json_string(view->from));
    json_object_set_new(line, "subject", offer ? present_json_text(bytes_text(view->subject)) : json_null());
    json_object_set_new(line, "kind", offer ? json_string(words_name(WORDS_KIND, view->kind)) : json_null());
    json_object_set_new(line, "tlp",
                        offer && view->has_tlp ? json_string(words_name(WORDS_TLP, view->tlp)) : json_null());
    json_object_set_new(line, "precedence", json_string(words_name(WORDS_PRECEDENCE, view->precedence)));
    json_object_set_new(line, "exercise", json_boolean(view->exercise));
    json_object_set_new(line, "state", json_string(present_state(view)));
    json_object_set_new(line, "answer_by", view->has_answer_by ? present_json_time(view->answer_by) : json_null());
    json_object_set_new(line, "received", present_json_time(view->stored));
    json_object_set_new(line, "parent", view->is_reply ? present_json_id(view->parent_header) : json_null());
    if (view->mine) json_object_set_new(line, "legs", present_json_legs(view));
    if (view->mine || view->leg_count == 0) return line;
    json_object_set_new(line, "ignored", json_boolean(view->ignored));
    json_object_set_new(line, "policy", json_policy(&view->policy));
    if (view->legs[0].away) json_object_set_new(line, "forwarded_to", json_string(view->legs[0].to));
    if (view->legs[0].forwarder[0]) json_object_set_new(line, "forwarded_by", json_string(view->legs[0].forwarder));
    return line;
}

void present_json_freshness(json_t *object, const struct freshness_view *view) {
    json_t *list = json_array();
    for (size_t i = 0; i < view->count; i++) {
        const struct witness_view *witness = &view->witnesses[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:b}", "name", witness->name, "size",
                                              witness->time.ms ? json_integer((json_int_t)witness->size) : json_null(),
                                              "time", present_json_time(witness->time), "current", witness->current));
    }
    json_object_set_new(object, "witnessed", json_boolean(view->witnessed));
    json_object_set_new(object, "quorum", json_integer((json_int_t)view->quorum));
    json_object_set_new(object, "witnesses", list);
}

void present_freshness(const struct freshness_view *view, char *ret, size_t size) {
    char late[FAILURE_WHERE_SIZE];
    client_freshness_late(view, late, sizeof late);
    if (view->quorum == 0)
        (void)snprintf(ret, size, "freshness unproven: the card asks for no witnesses");
    else if (view->witnessed)
        (void)snprintf(ret, size, "cosigned by %u witnesses; the card asks for %u", view->current, view->quorum);
    else
        (void)snprintf(ret, size, "NOT cosigned by the %u witnesses that the card asks for: %s", view->quorum, late);
}

json_t *present_json_event(const struct event_view *event) {
    const struct leg_event_row *row = leg_event_row(event->event);
    json_t *one = json_object();
    json_object_set_new(one, "event", json_string(row ? row->name : "unknown"));
    json_object_set_new(one, "actor", json_string(event->actor[0] ? event->actor : "relay"));
    json_object_set_new(one, "signer", json_string(event->officer ? "officer" : "machine"));
    json_object_set_new(one, "at", present_json_time(event->at));
    json_object_set_new(one, "device_time", present_json_time(event->device_time));
    json_object_set_new(one, "ordinal", event->has_entry ? json_integer((json_int_t)event->ordinal) : json_null());
    json_object_set_new(one, "log_index", event->has_entry ? json_integer((json_int_t)event->log_index) : json_null());
    if (event->has_reason) {
        const struct leg_state_row *rung = leg_state_row(event->reason); /* an expiry names the furthest rung */
        const char *name = event->event == EVENT_EXPIRED   ? (rung ? rung->name : NULL)
                           : present_is_error(event->event) ? error_row((enum error)event->reason)->name
                                                            : words_reason(event->reason);
        json_object_set_new(one, "reason", name ? json_string(name) : json_integer(event->reason));
    }
    if (event->grace_s) json_object_set_new(one, "grace_s", json_integer((json_int_t)event->grace_s));
    if (event->disclosure) json_object_set_new(one, "disclosure", json_true());
    if (event->forward[0]) json_object_set_new(one, "forward", json_string(event->forward));
    if (event->note.n) json_object_set_new(one, "note", present_json_text(buf_bytes(&event->note)));
    return one;
}

bool present_json(FILE *out, json_t *object) {
    /* ASCII only: a foreign subject can neither steer a terminal nor break a line for readers that split at U+2028. */
    bool good = object && json_dumpf(object, out, JSON_ENSURE_ASCII) == 0;
    json_decref(object);
    return fputc('\n', out) != EOF && good && fflush(out) == 0;
}

/* ---- progress ---- */

enum { BAR_AFTER_MS = 1000, BAR_CELLS = 30 };

static struct instant now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000};
}

void bar_report(void *context, const char *what, uint64_t done, uint64_t total) {
    struct bar *bar = context;
    if (bar->begun.ms == 0) bar->begun = now();
    if (total == 0 || now().ms - bar->begun.ms < BAR_AFTER_MS) return;
    unsigned cells = (unsigned)((double)done / (double)total * BAR_CELLS);
    bar->shown = true;
    fprintf(stderr, "\r%s [%.*s%*s] %3.0f %%", what, (int)cells,
            "==============================", (int)(BAR_CELLS - cells), "", 100.0 * (double)done / (double)total);
    fflush(stderr);
    if (done >= total) bar_end(bar);
}

void bar_end(struct bar *bar) {
    if (bar->shown) fputc('\n', stderr);
    *bar = (struct bar){0};
}
