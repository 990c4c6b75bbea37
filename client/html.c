/* html.c - writes pages. */
#include "html.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

void html_put(struct buf *out, const char *markup) { buf_add_bytes(out, bytes_text(markup)); }

void html_format(struct buf *out, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    html_put(out, text);
}

/* What would steer a terminal or turn the text around it has no place in a page, either. */
void html_text(struct buf *out, struct bytes text, bool many_lines) {
    AUTO_BUF safe = {0};
    text_for_terminal(text, many_lines, &safe);
    if (safe.failed) out->failed = true;
    for (size_t i = 0; !safe.failed && i < safe.n; i++) switch (safe.p[i]) {
        case '&': html_put(out, "&amp;"); break;
        case '<': html_put(out, "&lt;"); break;
        case '>': html_put(out, "&gt;"); break;
        case '"': html_put(out, "&quot;"); break;
        case '\'': html_put(out, "&#39;"); break;
        default: buf_add(out, &safe.p[i], 1);
        }
}

void html_begin(struct buf *out) {
    html_put(out,
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
}

void html_style(struct buf *out, const char *style) {
    html_put(out, "</title>\n<style>\n");
    html_put(out, style);
    html_put(out, "</style>\n</head>\n<body>\n");
}
