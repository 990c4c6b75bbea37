/* test_cli.c - options in any order, near misses, and errors as people and as scripts read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli.h"

static const struct cli_option options[] = {{"config", 'c', true}, {"json", 300, false}, {"help", 'h', false}};

static struct cli_args args_of(char *const *argv) {
    return (struct cli_args){.argv = argv, .options = options, .count = LENGTH(options)};
}

#define ARGS(...) ((char *const[]){__VA_ARGS__, NULL})
static char a_config[] = "--config", a_value[] = "x.yaml", a_equals[] = "--config=y.yaml", a_short[] = "-c",
            a_json[] = "--json", a_word[] = "status", a_end[] = "--", a_dash[] = "-", a_bad[] = "--cnfig",
            a_json_value[] = "--json=1", a_bad_short[] = "-x", a_bundle[] = "-hh", a_empty[] = "--config=";

static void options_and_words_may_stand_in_any_order(void **state) {
    (void)state;
    struct cli_args args =
        args_of(ARGS(a_word, a_config, a_value, a_json, a_equals, a_short, a_value, a_dash, a_end, a_json));
    assert_int_equal(cli_next(&args), CLI_WORD);
    assert_string_equal(args.value, "status");
    assert_int_equal(cli_next(&args), 'c');
    assert_string_equal(args.value, "x.yaml");
    assert_int_equal(cli_next(&args), 300);
    assert_null(args.value);
    assert_int_equal(cli_next(&args), 'c');
    assert_string_equal(args.value, "y.yaml");
    assert_int_equal(cli_next(&args), 'c');
    assert_string_equal(args.value, "x.yaml");
    assert_int_equal(cli_next(&args), CLI_WORD);
    assert_string_equal(args.value, "-");
    assert_int_equal(cli_next(&args), CLI_WORD); /* after "--" */
    assert_string_equal(args.value, "--json");
    assert_int_equal(cli_next(&args), CLI_END);
    assert_int_equal(cli_next(&args), CLI_END);
}

static void misused_options_say_what_is_wrong(void **state) {
    (void)state;
    struct cli_args args = args_of(ARGS(a_bad));
    assert_int_equal(cli_next(&args), CLI_BAD);
    assert_string_equal(args.problem, "unknown option --cnfig, did you mean --config?");
    args = args_of(ARGS(a_json_value));
    assert_int_equal(cli_next(&args), CLI_BAD);
    assert_string_equal(args.problem, "no value is taken by --json=1");
    args = args_of(ARGS(a_config));
    assert_int_equal(cli_next(&args), CLI_BAD);
    assert_string_equal(args.problem, "a value is missing after --config");
    args = args_of(ARGS(a_bad_short));
    assert_int_equal(cli_next(&args), CLI_BAD);
    args = args_of(ARGS(a_bundle));
    assert_int_equal(cli_next(&args), CLI_BAD);
    args = args_of(ARGS(a_empty));
    assert_int_equal(cli_next(&args), 'c');
    assert_string_equal(args.value, "");
}

/* Runs cli_fail with stderr in a file and gives what it wrote. */
static int said(const struct cli *cli, const char *where, char ret[static 1024]) {
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int code = cli_fail(cli, E_CONFIG, "%s", where);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    size_t n = fread(ret, 1, 1023, file);
    ret[n] = 0;
    fclose(file);
    return code;
}

static void errors_name_what_where_and_what_to_do(void **state) {
    (void)state;
    char text[1024];
    assert_int_equal(said(&(struct cli){.program = "pouchd"}, "relay.yaml", text), 1);
    assert_string_equal(text, "pouchd: the configuration has errors, relay.yaml\n  correct the lines named above\n");
    said(&(struct cli){.program = "pouchd"}, "a\x1b[31mb", text);
    assert_null(strchr(text, 0x1b)); /* a file's name does not colour the terminal */
}

static void errors_for_scripts_are_one_json_object(void **state) {
    (void)state;
    char text[1024];
    assert_int_equal(said(&(struct cli){.program = "pouchd", .json = true}, "a\"b\\c\n\x01\xff\xc3\xa9", text), 1);
    json_error_t error;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(object);
    assert_int_equal(json_object_size(object), 3);
    assert_string_equal(json_string_value(json_object_get(object, "error")), "config");
    assert_string_equal(json_string_value(json_object_get(object, "message")),
                        "the configuration has errors, a\"b\\c\n\x01\xef\xbf\xbd\xc3\xa9");
    assert_string_equal(json_string_value(json_object_get(object, "hint")), "correct the lines named above");
    json_decref(object);
}

/* Every one- and two-byte text, and some longer ones, make JSON that a strict reader takes. */
static void any_bytes_become_valid_json(void **state) {
    (void)state;
    for (unsigned i = 0; i < 65536; i++) {
        uint8_t bytes[4] = {(uint8_t)(i >> 8), (uint8_t)i, 0x80, 0x80};
        for (size_t n = 1; n <= 4; n++) {
            AUTO_FREE(char) text = NULL;
            size_t size;
            FILE *out = open_memstream(&text, &size);
            cli_json_text(out, bytes_of(bytes, n));
            fclose(out);
            json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            if (!value) fail_msg("%02x%02x, %zu bytes: %s", bytes[0], bytes[1], n, text);
            json_decref(value);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_may_stand_in_any_order),
        cmocka_unit_test(misused_options_say_what_is_wrong),
        cmocka_unit_test(errors_name_what_where_and_what_to_do),
        cmocka_unit_test(errors_for_scripts_are_one_json_object),
        cmocka_unit_test(any_bytes_become_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
