/* judge.c - the library's opinion of many bundles, for a test that compares it with another verifier's: one process, so that
 * thousands of changed files can be judged.
 *
 * Reads from stdin, again and again: length of a file in four bytes, big-endian, and its bytes. Writes a line for each: the error's
 * name, a tab, and where. With an argument: the relay's card, a file. */
#include <sodium.h>
#include <stdio.h>

#include "bundle.h"
#include "disclosed.h"

static bool read_length(size_t *ret) {
    uint8_t length[4];
    if (fread(length, 1, sizeof length, stdin) != sizeof length) return false;
    *ret = (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
    return true;
}

static enum error judge(struct bytes file, const struct card *card, struct bundle_where *where) {
    AUTO_BUNDLE_REPORT report = {0};
    AUTO_DISCLOSED disclosed = {0};
    TRY(bundle_verify(file, card, &report, where));
    if (!report.has_opened) return E_OK;
    (void)snprintf(where->text, sizeof where->text, "opened part, content");
    TRY(disclosed_open(&report, &disclosed));
    where->text[0] = 0;
    return E_OK;
}

static bool judge_next(const struct card *card) {
    struct bundle_where where = {.text = ""};
    size_t n;
    if (!read_length(&n)) return false;
    uint8_t *bytes = malloc(n ? n : 1);
    if (!bytes || fread(bytes, 1, n, stdin) != n) {
        free(bytes);
        return false;
    }
    enum error error = judge(bytes_of(bytes, n), card, &where);
    free(bytes);
    printf("%s\t%s\n", error_row(error)->name, where.text);
    return fflush(stdout) == 0;
}

static bool read_card(const char *path, struct card *ret) {
    static uint8_t bytes[64 * 1024];
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file) fclose(file);
    return card_parse(bytes_of(bytes, n), ret, NULL) == E_OK;
}

int main(int argc, char **argv) {
    struct card card;
    if (sodium_init() < 0) return 1;
    if (argc > 1 && !read_card(argv[1], &card)) return 1;
    while (judge_next(argc > 1 ? &card : NULL)) {
    }
    return 0;
}
