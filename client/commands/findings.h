/* findings.h - what a verified bundle says, for people, for scripts, and as a page. One view for all three: the words
 * stand in findings.c. */
#ifndef FINDINGS_H
#define FINDINGS_H

#include <jansson.h>

#include "../present.h"
#include "disclosed.h"

struct findings {
    const struct bundle_report *report;
    const struct disclosed *disclosed; /* NULL: nothing is opened */
    const char *file;                  /* its name */
    /* Keys that the reader named: which of the card's they are. */
    bool pinned_log, pinned_statement;
    size_t pinned_registrars;
    bool gaps[GAP_COUNT]; /* the report's, less what the reader's keys close */
};

/* ---- words ---- */
/* Room for a sentence that names two parties: titles have up to 256 bytes, as few as 85 signs. */
enum { FINDING_SIZE = 2048 };
/* "fj/national (Fiji)"; "the relay" for an empty name. What the directory calls the party is foreign text. */
void findings_who(const struct findings *findings, struct bytes post, char ret[static FINDING_SIZE]);
/* "officer", "machine"; empty for the relay. */
const char *findings_speaker(const struct bundle_rung *rung);
/* What came with it: a reason, where to, a grace, consent. Empty when there is nothing. */
void findings_detail(const struct bundle_rung *rung, char ret[static FINDING_SIZE]);
/* Where the leg stands, as one sentence. */
void findings_state(const struct findings *findings, const struct bundle_leg_report *leg,
                    char ret[static FINDING_SIZE]);
/* Who agreed that it may be shown. */
void findings_consent(const struct findings *findings, const struct bundle_leg_report *leg,
                      char ret[static FINDING_SIZE]);
/* Every signing key once: false when there is no nth. */
struct finding_key {
    const uint8_t *key;
    const struct directory_device *device;
};
bool findings_key(const struct findings *findings, size_t n, struct finding_key *ret);

/* ---- forms ---- */
void findings_people(const struct findings *findings, const struct look *look);
json_t *findings_json(const struct findings *findings);
/* One page, self-contained; appended (page.c). */
CHECKED enum error findings_page(const struct findings *findings, struct buf *out);

#endif
