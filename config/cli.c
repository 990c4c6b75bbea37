/* cli.c - what the programs' command lines share. */
#include "cli.h"

#include <ctype.h>
#include <stdarg.h>

#include "text.h"

enum { WHERE_SIZE = 1024, OPTIONS_MAX = 64, NAME_SIZE = 40 };

/* ASCII only, as all JSON of the programs: a foreign word steers no terminal and breaks no line. */
static void put_escaped(FILE *out, const uint8_t *p, size_t n) {
    uint32_t code = p[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) code = code << 6 | (p[i] & 0x3fU);
    if (code >= 0x10000) {
        code -= 0x10000;
        fprintf(out, "\\u%04x", (unsigned)(0xd800 + (code >> 10)));
        code = 0xdc00 + (code & 0x3ff);
    }
    fprintf(out, "\\u%04x", (unsigned)code);
}

void cli_json_text(FILE *out, struct bytes text) {
    fputc('"', out);
    for (size_t i = 0; i < text.n;) {
        size_t length = text_utf8_sequence(text.p + i, text.n - i);
        uint8_t c = text.p[i];
        if (length == 0)
            fputs("\\ufffd", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < ' ' || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else if (length > 1)
            put_escaped(out, text.p + i, length);
        else
            fputc(c, out);
        i += length ? length : 1;
    }
    fputc('"', out);
}

static int fail(const struct cli *cli, const struct error_row *row, const char *hint, const char *where) {
    char message[WHERE_SIZE + 256];
    snprintf(message, sizeof message, "%s%s%s", row->text, where && *where ? ", " : "", where ? where : "");
    if (cli->json) {
        fputs("{\"error\": ", stderr);
        cli_json_text(stderr, bytes_text(row->name));
        fputs(", \"message\": ", stderr);
        cli_json_text(stderr, bytes_text(message));
        fputs(", \"hint\": ", stderr);
        cli_json_text(stderr, bytes_text(hint));
        fputs("}\n", stderr);
        return row->exit;
    }
    AUTO_BUF shown = {0};
    text_for_terminal(bytes_text(message), true, &shown);
    fprintf(stderr, "%s: %s\n", cli->program, shown.failed || !shown.p ? message : (const char *)shown.p);
    if (*hint) fprintf(stderr, "  %s\n", hint);
    return row->exit;
}

int cli_fail(const struct cli *cli, enum error error, const char *where, ...) {
    char text[WHERE_SIZE] = "";
    const struct error_row *row = error_row(error);
    va_list arguments;
    va_start(arguments, where);
    if (where) vsnprintf(text, sizeof text, where, arguments);
    va_end(arguments);
    return fail(cli, row, row->hint, text);
}

int cli_fail_hint(const struct cli *cli, enum error error, const char *hint, const char *where, ...) {
    char text[WHERE_SIZE] = "";
    va_list arguments;
    va_start(arguments, where);
    if (where) vsnprintf(text, sizeof text, where, arguments);
    va_end(arguments);
    return fail(cli, error_row(error), hint, text);
}

void cli_suggest(const char *word, const char *const *names, size_t count, char *ret, size_t room) {
    enum { WORD_MAX = 64 };
    const char *near = strlen(word) <= WORD_MAX ? text_nearest(word, names, count) : NULL;
    if (near)
        snprintf(ret, room, ", did you mean %s?", near);
    else if (room)
        *ret = 0;
}

static int bad(struct cli_args *args, const char *what, const char *which) {
    snprintf(args->problem, sizeof args->problem, "%s %.80s", what, which);
    return CLI_BAD;
}

static int bad_unknown(struct cli_args *args, const char *word) {
    char names[OPTIONS_MAX][NAME_SIZE], near[NAME_SIZE + 20], shown[96];
    const char *list[OPTIONS_MAX];
    size_t n = 0;
    for (; n < args->count && n < OPTIONS_MAX; n++) {
        snprintf(names[n], NAME_SIZE, "--%s", args->options[n].name);
        list[n] = names[n];
    }
    snprintf(shown, sizeof shown, "%.*s", (int)(strcspn(word, "=") < sizeof shown ? strcspn(word, "=") : sizeof shown),
             word);
    cli_suggest(shown, list, n, near, sizeof near);
    snprintf(args->problem, sizeof args->problem, "unknown option %.80s%.70s", shown, near);
    return CLI_BAD;
}

static int take_value(struct cli_args *args, const struct cli_option *option, const char *shown) {
    if (!*args->argv) return bad(args, "a value is missing after", shown);
    args->value = *args->argv++;
    return option->id;
}

static int long_option(struct cli_args *args, const char *word) {
    size_t n = strcspn(word + 2, "=");
    const char *equals = word[2 + n] ? word + 2 + n : NULL;
    for (size_t i = 0; i < args->count; i++) {
        const struct cli_option *option = &args->options[i];
        if (strlen(option->name) != n || memcmp(option->name, word + 2, n) != 0) continue;
        if (!option->takes_value) return equals ? bad(args, "no value is taken by", word) : option->id;
        if (!equals) return take_value(args, option, word);
        args->value = equals + 1;
        return option->id;
    }
    return bad_unknown(args, word);
}

/* One letter only: -o FILE. Letters are not bundled. */
static int short_option(struct cli_args *args, const char *word) {
    for (size_t i = 0; i < args->count && !word[2]; i++) {
        const struct cli_option *option = &args->options[i];
        if (option->id != word[1] || !isalnum((unsigned char)word[1])) continue;
        return option->takes_value ? take_value(args, option, word) : option->id;
    }
    return bad_unknown(args, word);
}

int cli_next(struct cli_args *args) {
    args->value = NULL;
    if (!*args->argv) return CLI_END;
    const char *word = *args->argv++;
    if (!args->words_only && strcmp(word, "--") == 0) {
        args->words_only = true;
        return cli_next(args);
    }
    if (!args->words_only && strncmp(word, "--", 2) == 0) return long_option(args, word);
    if (!args->words_only && word[0] == '-' && word[1]) return short_option(args, word); /* "-" alone: stdin, a word */
    args->value = word;
    return CLI_WORD;
}
