/* fuzz_text.c - what people read and type; the first byte picks the function. */
#include "text.h"

#include "fuzz.h"
#include "made.h"

enum { WHICH_TERMINAL, WHICH_FINGERPRINT, WHICH_REFERENCE, WHICH_UNHEX, WHICH_NAME };

/* No control character is left but what is allowed, and it is UTF-8. */
static bool terminal(struct bytes text, bool many_lines) {
    AUTO_BUF out = {0};
    text_for_terminal(text, many_lines, &out);
    HOLDS(!out.failed && out.p[out.n] == 0);
    for (size_t i = 0; i < out.n;) {
        size_t n = text_utf8_sequence(out.p + i, out.n - i);
        HOLDS(n > 0);
        bool allowed = many_lines && (out.p[i] == '\n' || out.p[i] == '\t');
        HOLDS(n > 1 || allowed || (out.p[i] >= 0x20 && out.p[i] != 0x7f));
        HOLDS(n != 2 || out.p[i] != 0xc2 || out.p[i + 1] >= 0xa0); /* C1 controls */
        HOLDS(n != 3 || out.p[i] != 0xe2 || out.p[i + 1] != 0x80 || out.p[i + 2] < 0xaa || out.p[i + 2] > 0xae);
        i += n;
    }
    return out.n == text.n;
}

static bool fingerprint(struct bytes text) {
    uint8_t hash[HASH_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    char digits[TEXT_FINGERPRINT_SIZE];
    AUTO_BUF typed = {0};
    fuzz_plenty = true;
    buf_add_bytes(&typed, text);
    buf_add(&typed, "", 1);
    fuzz_plenty = false;
    text_fingerprint(hash, digits);
    if (!text_fingerprint_matches(hash, (const char *)typed.p)) return false;
    size_t at = 0; /* then all of its digits are there, in order */
    for (const char *d = digits; *d; d++) {
        if (*d == ' ') continue;
        while (at < text.n && text.p[at] != (uint8_t)*d) at++;
        HOLDS(at++ < text.n);
    }
    return true;
}

static bool reference(struct bytes text) {
    uint32_t bits;
    if (text_reference_parse(text, &bits) != E_OK) return false;
    HOLDS(bits < (uint32_t)1 << 30);
    uint8_t digest[HASH_SIZE] = {(uint8_t)(bits >> 22), (uint8_t)(bits >> 14), (uint8_t)(bits >> 6),
                                 (uint8_t)(bits << 2)};
    char again[TEXT_REFERENCE_SIZE];
    uint32_t bits_again;
    text_reference(digest, again);
    HOLDS(text_reference_parse(bytes_text(again), &bits_again) == E_OK && bits_again == bits);
    return true;
}

static bool unhex(struct bytes text) {
    uint8_t bytes[16];
    char again[33];
    if (text_unhex(text, bytes, sizeof bytes) != E_OK) return false;
    text_hex(bytes, sizeof bytes, again);
    HOLDS(text.n == 32);
    for (size_t i = 0; i < 32; i++) HOLDS((text.p[i] | (text.p[i] >= 'A' ? 0x20 : 0)) == (uint8_t)again[i]);
    return true;
}

static bool name(struct bytes text) {
    if (!text_is_post(text)) return text_is_party(text);
    HOLDS(text.n <= POST_MAX && text_is_party(text_party_of(text)));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_accepted = false;
    if (size == 0) return 0;
    struct bytes text = bytes_of(data + 1, size - 1);
    switch (data[0] % 5) {
    case WHICH_TERMINAL:
        terminal(text, false);
        fuzz_accepted = terminal(text, true);
        break;
    case WHICH_FINGERPRINT: fuzz_accepted = fingerprint(text); break;
    case WHICH_REFERENCE: fuzz_accepted = reference(text); break;
    case WHICH_UNHEX: fuzz_accepted = unhex(text); break;
    default: fuzz_accepted = name(text); break;
    }
    return 0;
}

static void give_marked(void (*give)(struct bytes sample), uint8_t which, const char *text) {
    AUTO_BUF sample = {0};
    buf_add(&sample, &which, 1);
    buf_add_bytes(&sample, bytes_text(text));
    give(buf_bytes(&sample));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    uint8_t hash[HASH_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    char digits[TEXT_FINGERPRINT_SIZE];
    text_fingerprint(hash, digits);
    give_marked(give, WHICH_TERMINAL,
                "Gr\xc3\xbc\xc3\x9f"
                "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80\n\tend");
    give_marked(give, WHICH_FINGERPRINT, digits);
    give_marked(give, WHICH_REFERENCE, "K7Q-M2F");
    give_marked(give, WHICH_UNHEX, "00112233445566778899aAbBcCdDeEfF");
    give_marked(give, WHICH_NAME, "org.first/technical");
}
