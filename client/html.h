/* html.h - pages that need nothing beside them: no script, no picture, no network. What came from elsewhere goes
 * through html_text alone, which leaves nothing in it that a page or a terminal would act on. */
#ifndef HTML_H
#define HTML_H

#include "own.h"

/* Own markup, as it is. */
void html_put(struct buf *out, const char *markup);
void html_format(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Foreign text, on one line or many. */
void html_text(struct buf *out, struct bytes text, bool many_lines);

/* Up to the title's text, which the caller puts; then the style, up to the body's begin. */
void html_begin(struct buf *out);
void html_style(struct buf *out, const char *style);

#endif
