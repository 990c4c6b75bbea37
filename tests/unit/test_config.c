/* test_config.c - relay.yaml: every error named with its place, all of them in one run, and nothing else accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

/* Parses, and gives the report's text. */
static enum error parse(const char *text, size_t n, char **ret_report, struct config *ret) {
    size_t size;
    FILE *report = open_memstream(ret_report, &size);
    assert_non_null(report);
    enum error error = config_parse(bytes_of(text, n), "f", report, ret);
    fclose(report);
    return error;
}

/* The report must be these lines' beginnings, in this order, and no more. */
static void expect(const char *text, const char *const *lines, size_t count) {
    AUTO_FREE(char) report = NULL;
    struct config config;
    memset(&config, 0x5a, sizeof config);
    struct config before = config;
    enum error error = parse(text, strlen(text), &report, &config);
    assert_int_equal(error, count ? E_CONFIG : E_OK);
    if (count) assert_memory_equal(&before, &config, sizeof config); /* untouched on failure */
    const char *at = report;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(at, lines[i], strlen(lines[i])) != 0)
            fail_msg("for <%s>: wanted <%s>, report is <%s>", text, lines[i], report);
        at = strchr(at, '\n');
        assert_non_null(at);
        at++;
    }
    if (*at) fail_msg("for <%s>: more than wanted: <%s>", text, at);
}
#define EXPECT(text, ...)                                                                                              \
    do {                                                                                                               \
        const char *const lines[] = {__VA_ARGS__};                                                                     \
        expect(text, lines, LENGTH(lines));                                                                            \
    } while (0)

static void example_file_is_the_formatted_defaults(void **state) {
    (void)state;
    char path[4096];
    const char *source = getenv("POUCH_SOURCE");
    assert_non_null(source);
    snprintf(path, sizeof path, "%s/config/relay.example.yaml", source);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char text[CONFIG_FILE_MAX];
    size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    struct config config;
    AUTO_BUF formatted = {0};
    config_defaults(&config);
    config_format(&config, &formatted);
    assert_int_equal(n, formatted.n);
    assert_memory_equal(text, formatted.p, n);
}

static void formatted_values_read_back_as_themselves(void **state) {
    (void)state;
    struct config config, back;
    AUTO_FREE(char) report = NULL;
    AUTO_BUF text = {0};
    config_defaults(&config);
    memset(config.listen, 0, sizeof config.listen);
    snprintf(config.listen[0], sizeof config.listen[0], "tcp://[::1]:443");
    snprintf(config.listen[1], sizeof config.listen[1], "ipc://relay.sock");
    config.listen_count = 2;
    snprintf(config.name, sizeof config.name, "relay.example");
    snprintf(config.store_file, sizeof config.store_file, "a \"b\" \\c: #d.sqlite");
    config.body_max = 65537;
    config.staging_s = 90061;
    config.workers = 64;
    config_format(&config, &text);
    enum error error = parse((const char *)text.p, text.n, &report, &back);
    assert_string_equal(report, "");
    assert_int_equal(error, E_OK);
    assert_memory_equal(&config, &back, sizeof config);
}

static void empty_file_means_the_defaults(void **state) {
    (void)state;
    struct config defaults, config;
    config_defaults(&defaults);
    static const char *const texts[] = {"", "# nothing\n", "---\n", "~\n", "store:\n"};
    for (size_t i = 0; i < LENGTH(texts); i++) {
        AUTO_FREE(char) report = NULL;
        assert_int_equal(parse(texts[i], strlen(texts[i]), &report, &config), E_OK);
        assert_memory_equal(&defaults, &config, sizeof config);
    }
    assert_int_equal(defaults.listen_count, 1);
    assert_int_equal(defaults.body_max, 67108864);
}

static void values_are_read(void **state) {
    (void)state;
    AUTO_FREE(char) report = NULL;
    struct config config;
    const char text[] =
        "listen: tcp://*:443\nname: \"r1\"\nstore: {file: 'x.db', reserve: 1MB}\nlimits:\n  staging: 1h30m\n"
        "rate:\n  member: 7\n";
    assert_int_equal(parse(text, strlen(text), &report, &config), E_OK);
    assert_int_equal(config.listen_count, 1);
    assert_string_equal(config.listen[0], "tcp://*:443");
    assert_string_equal(config.name, "r1");
    assert_string_equal(config.store_file, "x.db");
    assert_int_equal(config.store_reserve, 1000000);
    assert_int_equal(config.staging_s, 5400);
    assert_int_equal(config.rate_member, 7);
    assert_int_equal(config.rate_guest, 20);
}

static void unknown_keys_are_named_with_the_nearest(void **state) {
    (void)state;
    EXPECT("listn: tcp://*:1\n", "f:1:1: unknown key \"listn\"; did you mean listen?");
    EXPECT("limits:\n  bodi: 1MiB\n", "f:2:3: unknown key \"limits.bodi\"; did you mean limits.body?");
    EXPECT("body: 1MiB\n", "f:1:1: unknown key \"body\"; did you mean limits.body?");
    EXPECT("stroe:\n  file: x\n", "f:1:1: unknown key \"stroe\"; did you mean store?");
    EXPECT("zzzzzzzzzzzzzzzzzz: 1\n", "f:1:1: unknown key \"zzzzzzzzzzzzzzzzzz\"; remove it");
    EXPECT("store.file: x\n", "f:1:1: unknown key \"store.file\"");
}

static void wrong_types_are_named(void **state) {
    (void)state;
    EXPECT("workers: two\n", "f:1:10: workers: a whole number is wanted");
    EXPECT("workers: \"2\"\n", "f:1:10: workers: a whole number is wanted, without quotes");
    EXPECT("workers: [2]\n", "f:1:10: workers: a whole number is wanted");
    EXPECT("workers:\n", "f:1:9: workers: the value is missing");
    EXPECT("limits:\n  staging: 30\n", "f:2:12: limits.staging: a duration with its unit is wanted");
    EXPECT("limits:\n  body: 64Mb\n", "f:2:9: limits.body: a size is wanted");
    EXPECT("name: {a: b}\n", "f:1:7: name: a text is wanted");
    EXPECT("store: store.sqlite\n", "f:1:8: store: keys are wanted below it");
    EXPECT("store: [a]\n", "f:1:8: store: keys are wanted below it");
    EXPECT("- a\n- b\n", "f:1:1: keys are wanted here");
    EXPECT("hello\n", "f:1:1: keys are wanted here");
    EXPECT("name: \"a b\"\n", "f:1:7: name: a name has letters");
    EXPECT("name: \"a\\0b\"\n", "f:1:7: a zero byte");
    EXPECT("store:\n  file: \"\"\n", "f:2:9: store.file: a file name is wanted");
    EXPECT("store:\n  file: \"a\\tb\"\n", "f:2:9: store.file: control characters");
}

static void values_out_of_bounds_are_named_with_the_bounds(void **state) {
    (void)state;
    EXPECT("workers: 0\n", "f:1:10: workers: 0 is out of bounds; it must be from 1 to 64");
    EXPECT("workers: 65\n", "f:1:10: workers: 65 is out of bounds");
    EXPECT("workers: 99999999999999999999999\n", "f:1:10: workers: 99999999999999999999999 is out of bounds");
    EXPECT("limits:\n  staging: 8d\n", "f:2:12: limits.staging: 8d is out of bounds; it must be from 1m to 7d");
    EXPECT("limits: {body: 1GiB}\n", "f:1:16: limits.body: 1GiB is out of bounds; it must be from 64KiB to 512MiB");
    EXPECT("name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
           "f:1:7: name: the text is too long");
}

static void addresses_are_checked(void **state) {
    (void)state;
    EXPECT("listen: []\n", "f:1:9: listen: the list is empty");
    EXPECT("listen: 5870\n", "f:1:9: listen: an address begins with tcp://");
    EXPECT("listen: tcp://127.0.0.1\n", "f:1:9: listen: the port is missing");
    EXPECT("listen: [\"tcp://[::1]\"]\n", "f:1:10: listen: the port is missing");
    EXPECT("listen: tcp://a:0\n", "f:1:9: listen: the port must be");
    EXPECT("listen: tcp://a:65536\n", "f:1:9: listen: the port must be");
    EXPECT("listen: \"tcp://a:*\"\n", "f:1:9: listen: the port must be");
    EXPECT("listen: tcp://:80\n", "f:1:9: listen: the host must be");
    EXPECT("listen: tcp://a/b:80\n", "f:1:9: listen: the host must be");
    EXPECT("listen: \"ipc://\"\n", "f:1:9: listen: the path is missing");
    EXPECT("listen: \"tcp://a b:80\"\n", "f:1:9: listen: an address has no spaces");
    EXPECT("listen:\n  - tcp://a:1\n  - udp://a:1\n  - \n  - [x]\n", "f:3:5: listen: an address begins",
           "f:4:4: listen: an address is missing", "f:5:5: listen: an address or a list");
    EXPECT("listen: [a:1, tcp://a:1, tcp://a:2, tcp://a:3, tcp://a:4, tcp://a:5, tcp://a:6, tcp://a:7, tcp://a:8, "
           "tcp://a:9]\n",
           "f:1:10: listen: an address begins", "f:1:103: listen: too many addresses");
    assert_null(config_address_problem(bytes_text("tcp://[fe80::1%eth0]:65535")));
    assert_null(config_address_problem(bytes_text("tcp://relay.example:1")));
    assert_null(config_address_problem(bytes_text("ipc:///run/pouch.sock")));
}

static void all_errors_come_in_one_run_in_the_order_of_the_file(void **state) {
    (void)state;
    EXPECT("workers: 0\nnmae: x\nlimits:\n  body: many\n  body: 1MiB\n  staging: &a 1h\nquota: !!map\n  pair: "
           "*a\nlisten: tcp://a:0\n",
           "f:1:10: workers", "f:2:1: unknown key \"nmae\"", "f:4:9: limits.body",
           "f:5:3: the key \"body\" stands here a second time (first on line 4)", "f:6:12: anchors", "f:7:8: tags",
           "f:8:9: aliases", "f:9:9: listen");
}

static void what_yaml_could_do_beyond_is_refused(void **state) {
    (void)state;
    EXPECT("workers: &w 2\n", "f:1:10: anchors");
    EXPECT("&k workers: 2\n", "f:1:1: anchors");
    EXPECT("workers: !!int 2\n", "f:1:10: tags");
    EXPECT("store: !x {file: a}\n", "f:1:8: tags");
    EXPECT("name: a\nname: b\n", "f:2:1: the key \"name\" stands here a second time (first on line 1)");
    EXPECT("store:\n  file: a\nstore:\n  file: b\n", "f:3:1: the key \"store\" stands here a second time");
    EXPECT("? [a, b]\n: 1\nname: ok\n", "f:1:3: a key must be a plain word");
    EXPECT("? *a\n: 1\n", "f:1:3: a key must be a plain word");
    EXPECT("name: a\n---\nname: b\n", "f:2:1: a second document");
    EXPECT("<<: *a\n", "f:1:5: aliases");
}

static void syntax_errors_have_a_place(void **state) {
    (void)state;
    EXPECT("name: [a\n", "f:2:1: this is not YAML");
    EXPECT("name: a\n\tworkers: 2\n", "f:2:1: this is not YAML");
    EXPECT("workers: 0\nname: \"a\n", "f:1:10: workers", "f:3:1: this is not YAML");
    EXPECT("name: \xff\xfe\n", "f:1:1: this is not YAML");
    EXPECT("name: a\x01\n", "f:1:1: this is not YAML");
}

/* Twenty thousand brackets take libyaml seconds; the reader must stop at the first few. */
static void nesting_bomb_is_refused_at_once(void **state) {
    (void)state;
    static const char *const openings[] = {"[", "{a: ", "? "};
    for (size_t kind = 0; kind < 2 * LENGTH(openings); kind++) {
        AUTO_BUF text = {0};
        AUTO_FREE(char) report = NULL;
        struct config config;
        buf_add_bytes(&text, bytes_text(kind < LENGTH(openings) ? "name: a\nlimits: " : "name: a\nname: "));
        for (size_t i = 0; i < 15000; i++) buf_add_bytes(&text, bytes_text(openings[kind % LENGTH(openings)]));
        clock_t start = clock();
        assert_int_equal(parse((const char *)text.p, text.n, &report, &config), E_CONFIG);
        assert_true(clock() - start < CLOCKS_PER_SEC / 2);
        assert_true(strlen(report) > 0);
    }
}

static void file_above_64_kib_is_refused(void **state) {
    (void)state;
    static char text[CONFIG_FILE_MAX + 1];
    AUTO_FREE(char) report = NULL;
    AUTO_FREE(char) second = NULL;
    struct config config;
    memset(text, '#', sizeof text);
    assert_int_equal(parse(text, CONFIG_FILE_MAX, &report, &config), E_OK);
    assert_int_equal(parse(text, CONFIG_FILE_MAX + 1, &second, &config), E_CONFIG);
    assert_string_equal(second, "f:1:1: the file is larger than 64 KiB; that is no configuration\n");
}

static void many_members_are_refused(void **state) {
    (void)state;
    AUTO_BUF text = {0};
    AUTO_FREE(char) report = NULL;
    struct config config;
    for (unsigned i = 0; i < 300; i++) {
        char line[32];
        snprintf(line, sizeof line, "k%u: 1\n", i);
        buf_add_bytes(&text, bytes_text(line));
    }
    assert_int_equal(parse((const char *)text.p, text.n, &report, &config), E_CONFIG);
    assert_non_null(strstr(report, "f:257:1: more than 256 members"));
}

/* Whatever the beginning of a good file is, reading it ends in a valid configuration or in errors with places. */
static void every_truncation_is_an_error_or_a_valid_configuration(void **state) {
    (void)state;
    struct config defaults;
    AUTO_BUF text = {0};
    unsigned good = 0, bad = 0;
    config_defaults(&defaults);
    config_format(&defaults, &text);
    for (size_t n = 0; n <= text.n; n++) {
        AUTO_FREE(char) report = NULL;
        struct config config;
        enum error error = parse((const char *)text.p, n, &report, &config);
        if (error == E_OK) {
            assert_string_equal(report, "");
            assert_true(config.listen_count >= 1 && config.workers >= 1 && config.connections >= 16);
            good++;
        } else {
            assert_int_equal(error, E_CONFIG);
            assert_int_equal(strncmp(report, "f:", 2), 0);
            bad++;
        }
    }
    assert_true(good > 100 && bad > 20);
}

static void every_flipped_byte_is_survived(void **state) {
    (void)state;
    struct config defaults;
    AUTO_BUF text = {0};
    config_defaults(&defaults);
    config_format(&defaults, &text);
    for (size_t i = 0; i < text.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            AUTO_FREE(char) report = NULL;
            struct config config;
            text.p[i] = (uint8_t)(text.p[i] ^ 1u << bit);
            enum error error = parse((const char *)text.p, text.n, &report, &config);
            assert_true(error == E_OK ? *report == 0 : error == E_CONFIG && *report);
            text.p[i] = (uint8_t)(text.p[i] ^ 1u << bit);
        }
    }
}

static void missing_file_is_reported_and_folder_is_resolved(void **state) {
    (void)state;
    char path[] = "/tmp/pouch-config-XXXXXX", file[64], away[80];
    AUTO_FREE(char) report = NULL;
    size_t size;
    struct config config;
    assert_non_null(mkdtemp(path));
    snprintf(file, sizeof file, "%s/relay.yaml", path);
    snprintf(away, sizeof away, "%s/../%s/relay.yaml", path, path + strlen("/tmp/"));
    FILE *stream = open_memstream(&report, &size);
    assert_int_equal(config_read(file, stream, &config), E_IO);
    fclose(stream);
    assert_non_null(strstr(report, "relay.yaml: cannot be read: No such file or directory"));
    FILE *made = fopen(file, "w");
    assert_non_null(made);
    fputs("workers: 3\n", made);
    fclose(made);
    assert_int_equal(config_read(away, NULL, &config), E_OK);
    assert_string_equal(config.folder, path);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config_read(path, NULL, &config), E_IO); /* a folder */
    unlink(file);
    rmdir(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_file_is_the_formatted_defaults),
        cmocka_unit_test(formatted_values_read_back_as_themselves),
        cmocka_unit_test(empty_file_means_the_defaults),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(unknown_keys_are_named_with_the_nearest),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(values_out_of_bounds_are_named_with_the_bounds),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(all_errors_come_in_one_run_in_the_order_of_the_file),
        cmocka_unit_test(what_yaml_could_do_beyond_is_refused),
        cmocka_unit_test(syntax_errors_have_a_place),
        cmocka_unit_test(nesting_bomb_is_refused_at_once),
        cmocka_unit_test(file_above_64_kib_is_refused),
        cmocka_unit_test(many_members_are_refused),
        cmocka_unit_test(every_truncation_is_an_error_or_a_valid_configuration),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(missing_file_is_reported_and_folder_is_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
