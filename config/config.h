/* config.h - the relay's configuration, as read from relay.yaml.
 *
 * The keys stand in schema.def. config_read reports every error of a file at once, each as "file:line:column: what is
 * wrong; what to do", suggests near-miss keys, and refuses unknown and duplicate keys, aliases, tags and files above 64
 * KiB. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdio.h>

#include "error.h"
#include "own.h"

enum { CONFIG_ADDRESSES_MAX = 8, CONFIG_ADDRESS_SIZE = 128, CONFIG_FILE_MAX = 64 * 1024 };

struct config {
#define ADDRESSES(field, path, doc)                                                                                    \
    char field[CONFIG_ADDRESSES_MAX][CONFIG_ADDRESS_SIZE];                                                             \
    size_t field##_count;
#define TEXT(field, path, init, max, doc) char field[(max) + 1];
#define NUMBER(field, path, init, min, max, doc) uint64_t field;
#define SIZE(field, path, init, min, max, doc) uint64_t field;
#define DURATION(field, path, init, min, max, doc) uint64_t field;
#include "schema.def"
#undef ADDRESSES
#undef TEXT
#undef NUMBER
#undef SIZE
#undef DURATION
    char folder[4096]; /* where the file lies: keys, store and sockets are beside it */
};

void config_defaults(struct config *ret);
/* Messages go to `report` (may be NULL), one a line. E_CONFIG, E_IO. On failure *ret is untouched. */
CHECKED enum error config_read(const char *path, FILE *report, struct config *ret);
/* The same for a text in memory; `name` stands for it in messages, and ret->folder is left empty. */
CHECKED enum error config_parse(struct bytes text, const char *name, FILE *report, struct config *ret);
/* Is this an address to listen on? NULL, or what is wrong with it. */
const char *config_address_problem(struct bytes address);
/* May a relay have this name (or none: empty)? NULL, or what is wrong with it. */
const char *config_name_problem(struct bytes name);
/* The text of a documented relay.yaml with these values. */
void config_format(const struct config *config, struct buf *out);

#endif
