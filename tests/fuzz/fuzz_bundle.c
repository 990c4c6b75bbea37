/* fuzz_bundle.c - bundles: what is accepted as one bears the keys that signed it, its rungs follow each other, and
 * what it opens does so under the header's digest. The file's digest is made anew, or a fuzzer would never get past
 * it. */
#include "fuzz.h"
#include "bundle_fixture.h"
#include "disclosed.h"

static void check_leg(const struct bundle_leg_report *leg) {
    for (size_t i = 0; i < leg->rung_count; i++) {
        HOLDS(leg->rungs[i].has_entry && leg->rungs[i].ordinal == i);
        HOLDS(leg->rungs[i].index < leg->rungs[i].head_size);
        HOLDS(i == 0 || leg->rungs[i].from == leg->rungs[i - 1].to);
        HOLDS(i == 0 || leg->rungs[i].time.ms >= leg->rungs[i - 1].time.ms);
    }
    for (size_t i = 0; i < leg->note_count; i++) HOLDS(!leg->notes[i].has_entry);
    HOLDS(leg->rung_count == 0 || leg->state == leg->rungs[leg->rung_count - 1].to);
}

static void check(const struct bundle_report *report) {
    HOLDS(memcmp(report->card.log, pair_of(LOG_KEY).public, KEY_SIZE) == 0);
    HOLDS(memcmp(report->card.statement, pair_of(STATEMENT_KEY).public, KEY_SIZE) == 0 ||
          report->legs[0].rung_count == 0);
    HOLDS(report->leg_count >= 1 && directory_device(report->entries, report->header.device));
    for (size_t i = 0; i < report->leg_count; i++) check_leg(&report->legs[i]);
    if (!report->has_opened) return;
    AUTO_DISCLOSED disclosed = {0};
    HOLDS(disclosed_open(report, &disclosed) == E_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    AUTO_BUNDLE_REPORT report = {0};
    AUTO_BUF file = {0};
    struct bundle_where where;
    struct bundlefile outer;
    fuzz_plenty = true;
    if (bundlefile_decode(bytes_of(data, size), &outer) == E_OK)
        bundle_seal(outer.bundle, &file);
    else
        buf_add(&file, data, size);
    fuzz_plenty = false;
    fuzz_accepted = bundle_verify(buf_bytes(&file), NULL, &report, &where) == E_OK;
    if (fuzz_accepted)
        check(&report);
    else
        HOLDS(where.text[0]);
    return 0;
}

static void give_story(unsigned opened, bool with_evidence, void (*give)(struct bytes sample)) {
    static const char *const to[] = {"fj/national"};
    AUTO_STORY story = {0};
    AUTO_BUF file = {0};
    story_begin(&story, opened == PART_OFFER ? STORY_OFFER_ONLY : STORY_REQUEST, to, 1);
    story_say(&story, 0, &STORED_BY_RELAY);
    story_say(&story, 0, &SAID_BY(EVENT_ACCEPTED, STATE_ACCEPTED, DECIDER, "fj/national"));
    story_bundle(&story, with_evidence, opened);
    bundle_file(&story.bundle, &file);
    give(buf_bytes(&file));
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    give_story(0, true, give);
    give_story(PART_OFFER, false, give);
    give_story(PART_BODY, true, give);
}
