/* inspector.h - what the files of this folder share. */
#ifndef INSPECTOR_H
#define INSPECTOR_H

#include "header.h"
#include "inspect.h"
#include "rows.h"

struct inspector {
    const struct inspect_options *options;
    const struct card *card;
    struct rows *rows;
    struct audit *audit;
    struct inspect_numbers *numbers;
    uint64_t unproven; /* entries from before the evidence log had nodes */
    /* What is being looked at: where a finding of the audit belongs. */
    const char *table;
    bool has_row;
    int64_t row;
    char what[INSPECT_WHAT_SIZE];
};

/* What the following findings are about. */
void inspector_at(struct inspector *inspector, const char *table, int64_t row);
void inspector_what(struct inspector *inspector, const char *kind,
                    struct bytes id); /* leg, request: the id's first bytes */
void inspector_what_text(struct inspector *inspector, const char *kind, struct bytes text);
CHECKED enum error inspector_tell(struct inspector *inspector, const char *name, enum error error, const char *format,
                                  ...) __attribute__((format(printf, 4, 5)));
/* A finding unless `holds`. */
CHECKED enum error inspector_expect(struct inspector *inspector, bool holds, const char *name, enum error error,
                                    const char *words);
/* Runs a question to its end. A damaged file ends only this question, with a finding. each: called for every row. */
CHECKED enum error inspector_each(struct inspector *inspector, const char *table, const char *sql, void *context,
                                  enum error (*each)(struct inspector *inspector, struct cursor *cursor,
                                                     void *context));
void inspector_progress(const struct inspector *inspector, uint64_t done);

CHECKED enum error inspect_directory(struct inspector *inspector); /* logs.c: leaf, head, tile, receipt by index */
CHECKED enum error inspect_evidence(struct inspector *inspector);
CHECKED enum error inspect_requests(struct inspector *inspector); /* requests.c: request, chunk, conflict */
CHECKED enum error inspect_legs(struct inspector *inspector);     /* legs.c: leg, receipt by leg */
CHECKED enum error inspect_feeds(struct inspector *inspector);    /* feeds.c: feed */
CHECKED enum error inspect_rest(struct inspector *inspector); /* rest.c: prekey, box, sheet, sheetwrap, meta, quota */

#endif
