/* qr.h - a text as a QR code for a terminal: UTF-8 half blocks, dark on light, with the quiet zone that readers need. */
#ifndef QR_H
#define QR_H

#include <stdio.h>

#include "own.h"

/* Columns that the code of this text takes; 0: it does not fit into any. */
size_t qr_width(const char *text);
/* False when it could not be made. color: sets black on white, for a terminal of whatever colours; without, a terminal that
 * shows light on dark is assumed, and the code is drawn in light. */
bool qr_print(FILE *out, const char *text, bool color);

#endif
