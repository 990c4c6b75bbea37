/* source.h - where a body's bytes come from: memory, a file, or a pipe. Lengths are known before the first byte is
 * sealed; what comes from a pipe is therefore laid by, sealed, in the archive first (table SPOOL), never in a file. */
#ifndef SOURCE_H
#define SOURCE_H

#include "archive.h"

struct source {
    char name[FILENAME_MAX_SIZE + 1]; /* empty: the text */
    uint64_t length;
    struct bytes memory;
    int fd; /* -1: not a file */
    bool spooled;
    uint64_t spool_first, spool_count;
};

/* Memory, or path ("-": standard input). named: an attachment, called by the path's last part. */
CHECKED enum error source_open(struct archive *archive, const char *path, struct bytes memory, bool named, uint64_t max,
                               struct source *ret, struct failure *failure);
void source_close(struct source *source);
/* All bytes in order: exactly `length`, else E_IO (a file that changes meanwhile). */
CHECKED enum error source_read(struct archive *archive, const struct source *source,
                               enum error (*each)(void *context, struct bytes piece), void *context,
                               struct failure *failure);

#endif
