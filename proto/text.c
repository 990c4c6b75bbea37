/* text.c - names, hex, fingerprints, references, and foreign text made safe for a terminal. */
#include "text.h"

static bool is_letter(uint8_t c) { return c >= 'a' && c <= 'z'; }
static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static bool is_name(struct bytes name, size_t max, bool dots) {
    if (name.n < 1 || name.n > max || !is_letter(name.p[0])) return false;
    for (size_t i = 1; i < name.n; i++) {
        uint8_t c = name.p[i];
        if (!is_letter(c) && !is_digit(c) && c != '-' && !(dots && c == '.')) return false;
    }
    return true;
}

bool text_is_party(struct bytes name) { return is_name(name, PARTY_MAX, true); }

bool text_is_post(struct bytes name) {
    struct bytes party = text_party_of(name);
    if (party.n == name.n) return false;
    return text_is_party(party) && is_name(bytes_of(name.p + party.n + 1, name.n - party.n - 1), DESK_MAX, false);
}

struct bytes text_party_of(struct bytes post) {
    const uint8_t *slash = post.n ? memchr(post.p, '/', post.n) : NULL;
    return slash ? bytes_of(post.p, (size_t)(slash - post.p)) : post;
}

void text_hex(const uint8_t *bytes, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = 0;
}

static int hex_digit(uint8_t c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

enum error text_unhex(struct bytes text, uint8_t *ret, size_t n) {
    if (text.n % 2 || text.n / 2 != n) return E_BAD_TEXT;
    for (size_t i = 0; i < text.n; i++)
        if (hex_digit(text.p[i]) < 0) return E_BAD_TEXT;
    for (size_t i = 0; i < n; i++) ret[i] = (uint8_t)(hex_digit(text.p[2 * i]) << 4 | hex_digit(text.p[2 * i + 1]));
    return E_OK;
}

void text_fingerprint(const uint8_t hash[static HASH_SIZE], char out[static TEXT_FINGERPRINT_SIZE]) {
    for (size_t i = 0; i < 10; i++) {
        const uint8_t *b = hash + 3 * i;
        unsigned group = ((unsigned)b[0] << 16 | (unsigned)b[1] << 8 | b[2]) % 100000;
        for (size_t digit = 5; digit-- > 0; group /= 10) out[6 * i + digit] = (char)('0' + group % 10);
        out[6 * i + 5] = i < 9 ? ' ' : 0;
    }
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool text_fingerprint_matches(const uint8_t hash[static HASH_SIZE], const char *typed) {
    char right[TEXT_FINGERPRINT_SIZE];
    text_fingerprint(hash, right);
    const char *want = right;
    for (; *typed; typed++) {
        if (is_blank(*typed) || *typed == '-' || *typed == '.') continue;
        if (*want == ' ') want++;
        if (*want == 0 || *typed != *want) return false;
        want++;
    }
    return *want == 0;
}

/* Crockford's base 32. */
static const char symbols[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
enum { REFERENCE_SYMBOLS = 6, REFERENCE_DASH = 3 };

uint32_t text_reference_bits(const uint8_t digest[static HASH_SIZE]) {
    uint32_t first = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
    return first >> 2;
}

void text_reference(const uint8_t digest[static HASH_SIZE], char out[static TEXT_REFERENCE_SIZE]) {
    uint32_t bits = text_reference_bits(digest);
    for (unsigned i = 0; i < REFERENCE_SYMBOLS; i++) {
        if (i == REFERENCE_DASH) *out++ = '-';
        *out++ = symbols[bits >> 5 * (REFERENCE_SYMBOLS - 1 - i) & 31];
    }
    *out = 0;
}

static int symbol_value(uint8_t c) {
    if (c >= 'a' && c <= 'z') c = (uint8_t)(c - 'a' + 'A');
    if (c == 'I' || c == 'L') c = '1';
    if (c == 'O') c = '0';
    const char *at = c ? strchr(symbols, c) : NULL;
    return at ? (int)(at - symbols) : -1;
}

enum error text_reference_parse(struct bytes typed, uint32_t *ret_bits) {
    uint32_t bits = 0;
    unsigned n = 0;
    bool dash = false;
    for (size_t i = 0; i < typed.n; i++) {
        if (typed.p[i] == '-' && n == REFERENCE_DASH && !dash) {
            dash = true;
            continue;
        }
        int value = symbol_value(typed.p[i]);
        if (value < 0 || ++n > REFERENCE_SYMBOLS) return E_BAD_TEXT;
        bits = bits << 5 | (uint32_t)value;
    }
    if (n != REFERENCE_SYMBOLS) return E_BAD_TEXT;
    *ret_bits = bits;
    return E_OK;
}

/* ---- codes ---- */

enum { CODE_SYMBOLS = 28, CODE_DATA = 26, CODE_GROUP = 4, CODE_INVERSE = 28 /* of x + 1 */ };

/* GF(32): multiplied by x, modulo x^5 + x^2 + 1. */
static unsigned times_x(unsigned a) { return (a << 1 ^ (a & 16 ? 0x25u : 0)) & 31; }

static unsigned times(unsigned a, unsigned b) {
    unsigned product = 0;
    for (unsigned bit = 16; bit; bit >>= 1) product = times_x(product) ^ (b & bit ? a : 0);
    return product;
}

static void code_sums(const uint8_t symbol[static CODE_SYMBOLS], unsigned *ret_plain, unsigned *ret_weighted) {
    *ret_plain = *ret_weighted = 0;
    for (size_t i = 0; i < CODE_SYMBOLS; i++) {
        *ret_plain ^= symbol[i];
        *ret_weighted = times_x(*ret_weighted) ^ symbol[i];
    }
}

static void code_row(const uint8_t *secret, unsigned row, uint8_t ret[static CODE_SYMBOLS]) {
    unsigned bits = 0, have = 0, plain, weighted;
    size_t n = 0;
    for (size_t i = 0; i < TEXT_CODE_ROW; i++) {
        bits = (bits << 8 | secret[i]) & 0xfff;
        for (have += 8; have >= 5; have -= 5) ret[n++] = bits >> (have - 5) & 31;
    }
    ret[n++] = bits << (5 - have) & 31;
    ret[n] = ret[n + 1] = 0;
    code_sums(ret, &plain, &weighted);
    ret[n] = (uint8_t)times(plain ^ row ^ weighted, CODE_INVERSE);
    ret[n + 1] = (uint8_t)(plain ^ row ^ ret[n]);
}

void text_code(const uint8_t *secret, size_t rows, char *out) {
    uint8_t symbol[CODE_SYMBOLS];
    for (size_t row = 0; row < rows && row < TEXT_CODE_ROWS_MAX; row++) {
        code_row(secret + row * TEXT_CODE_ROW, (unsigned)row, symbol);
        for (size_t i = 0; i < CODE_SYMBOLS; i++) {
            if (row + i > 0 && i % CODE_GROUP == 0) *out++ = '-';
            *out++ = symbols[symbol[i]];
        }
    }
    *out = 0;
}

static bool code_read_row(const uint8_t symbol[static CODE_SYMBOLS], unsigned row, uint8_t *ret) {
    unsigned plain, weighted, bits = 0, have = 0;
    code_sums(symbol, &plain, &weighted);
    if (plain != row || weighted != 0 || (symbol[CODE_DATA - 1] & 3) != 0) return false;
    for (size_t i = 0; i < CODE_DATA; i++) {
        bits = (bits << 5 | symbol[i]) & 0xfff;
        have += 5;
        if (have < 8) continue;
        have -= 8;
        *ret++ = (uint8_t)(bits >> have);
    }
    return true;
}

enum error text_code_parse(struct bytes typed, uint8_t *ret, size_t rows) {
    uint8_t symbol[TEXT_CODE_ROWS_MAX * CODE_SYMBOLS], secret[TEXT_CODE_ROWS_MAX * TEXT_CODE_ROW];
    size_t n = 0;
    bool good = rows <= TEXT_CODE_ROWS_MAX;
    for (size_t i = 0; good && i < typed.n; i++) {
        if (is_blank((char)typed.p[i]) || typed.p[i] == '-') continue;
        int value = n < rows * CODE_SYMBOLS ? symbol_value(typed.p[i]) : -1;
        good = value >= 0;
        if (good) symbol[n++] = (uint8_t)value;
    }
    good = good && n == rows * CODE_SYMBOLS;
    for (size_t row = 0; good && row < rows; row++)
        good = code_read_row(symbol + row * CODE_SYMBOLS, (unsigned)row, secret + row * TEXT_CODE_ROW);
    if (good) memcpy(ret, secret, rows * TEXT_CODE_ROW);
    return good ? E_OK : E_BAD_CODE;
}

/* Unicode 15 table 3-7. */
size_t text_utf8_sequence(const uint8_t *p, size_t n) {
    if (p[0] < 0x80) return 1;
    size_t more = p[0] >= 0xc2 && p[0] <= 0xdf   ? 1
                  : p[0] >= 0xe0 && p[0] <= 0xef ? 2
                  : p[0] >= 0xf0 && p[0] <= 0xf4 ? 3
                                                 : 0;
    if (more == 0 || n <= more) return 0;
    uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i <= more; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return more + 1;
}

static uint32_t code_point(const uint8_t *p, size_t n) {
    if (n == 1) return p[0];
    uint32_t code = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) code = code << 6 | (p[i] & 0x3fu);
    return code;
}

/* What could move the cursor, recolour the screen, or show text in another order than it is read. */
static bool is_unsafe(uint32_t code, bool many_lines) {
    if (code == '\n' || code == '\t') return !many_lines;
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
    if (code == 0x2028 || code == 0x2029) return true; /* line and paragraph separator */
    return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
           code == 0x200f || code == 0x061c;
}

void text_for_terminal(struct bytes text, bool many_lines, struct buf *out) {
    static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};
    for (size_t i = 0; i < text.n;) {
        const uint8_t *p = text.p + i;
        size_t n = text_utf8_sequence(p, text.n - i);
        if (n == 0 || is_unsafe(code_point(p, n), many_lines))
            buf_add(out, replacement, sizeof replacement);
        else
            buf_add(out, p, n);
        i += n ? n : 1;
    }
    if (buf_extend(out, 1)) out->p[--out->n] = 0;
}

enum { NEAREST_MAX = 64 };

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each counting one. */
static size_t distance(const char *a, size_t an, const char *b, size_t bn) {
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= bn; j++) above[j] = j;
    for (size_t i = 1; i <= an; i++) {
        row[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[bn];
}

const char *text_nearest(const char *word, const char *const *names, size_t n) {
    const char *nearest = NULL;
    size_t length = strlen(word);
    if (length == 0 || length > NEAREST_MAX) return NULL;
    size_t best = length < 4 ? 2 : length / 3 + 2; /* one more than what still counts as near */
    for (size_t i = 0; i < n; i++) {
        size_t name_length = strlen(names[i]);
        if (name_length > NEAREST_MAX) continue;
        size_t d = distance(word, length, names[i], name_length);
        if (d >= best) continue;
        best = d;
        nearest = names[i];
    }
    return nearest;
}
