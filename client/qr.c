/* qr.c - QR codes on a terminal, by libqrencode. */
#include "qr.h"

#include <qrencode.h>

enum { QUIET = 4 }; /* modules around the code (ISO/IEC 18004 section 6.3.8) */

static QRcode *make(const char *text) { return QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L); }

size_t qr_width(const char *text) {
    QRcode *code = make(text);
    if (!code) return 0;
    size_t width = (size_t)code->width + 2 * QUIET;
    QRcode_free(code);
    return width;
}

static bool dark(const QRcode *code, int x, int y) {
    if (x < 0 || y < 0 || x >= code->width || y >= code->width) return false;
    return code->data[y * code->width + x] & 1;
}

/* Two rows a line: which half of the character is ink. */
static const char *half(bool upper, bool lower) {
    return upper && lower ? "\u2588" : upper ? "\u2580" : lower ? "\u2584" : " ";
}

static void print(FILE *out, const QRcode *code, bool color) {
    int end = code->width + QUIET;
    for (int y = -QUIET; y < end; y += 2) {
        if (color) fputs("\033[30;107m", out);
        for (int x = -QUIET; x < end; x++) {
            bool upper = dark(code, x, y), lower = y + 1 < end && dark(code, x, y + 1);
            fputs(color ? half(upper, lower) : half(!upper, !lower && y + 1 < end), out);
        }
        fputs(color ? "\033[0m\n" : "\n", out);
    }
}

bool qr_print(FILE *out, const char *text, bool color) {
    QRcode *code = make(text);
    if (!code) return false;
    print(out, code, color);
    QRcode_free(code);
    return true;
}
