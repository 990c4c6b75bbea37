/* findings.c - the words of a verified bundle, and how they look on a terminal and in JSON. */
#include "findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "../words.h"
#include "text.h"
#include "units.h"

/* ---- words ---- */

void findings_who(const struct findings *findings, struct bytes post, char ret[static FINDING_SIZE]) {
    const struct directory_party *party = directory_party(findings->report->entries, text_party_of(post));
    if (post.n == 0)
        snprintf(ret, FINDING_SIZE, "the relay");
    else if (party && party->title[0])
        snprintf(ret, FINDING_SIZE, "%.*s (%s)", (int)post.n, (const char *)post.p, party->title);
    else
        snprintf(ret, FINDING_SIZE, "%.*s", (int)post.n, (const char *)post.p);
}

const char *findings_speaker(const struct bundle_rung *rung) {
    return rung->by_relay ? "" : rung->officer ? "officer" : "machine";
}

static void add(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *to, const char *format, ...) {
    size_t n = strlen(to);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(to + n, FINDING_SIZE - n, format, arguments);
    va_end(arguments);
}

/* Parts of one line are told apart by semicolons. */
static const char *seam(const char *text) { return *text ? "; " : ""; }

void findings_detail(const struct bundle_rung *rung, char ret[static FINDING_SIZE]) {
    char duration[UNITS_TEXT_SIZE];
    *ret = 0;
    if (rung->forward.n) add(ret, "to %.*s", (int)rung->forward.n, (const char *)rung->forward.p);
    if (rung->has_reason) add(ret, "%s%s", seam(ret), present_reason(rung->event, rung->reason));
    if (rung->grace_s > 0) {
        units_format_duration(rung->grace_s, duration);
        add(ret, "%sthe relay was away; it had %s longer for that", seam(ret), duration);
    }
    if (rung->disclosure) add(ret, "%sagrees that this may be shown to others", seam(ret));
}

static const char *event_text(const struct bundle_rung *rung) {
    const struct leg_event_row *row = leg_event_row((uint64_t)rung->event);
    return row ? row->text : "unknown";
}

static const char *state_name(enum leg_state state) {
    const struct leg_state_row *row = leg_state_row((uint64_t)state);
    return row ? row->name : "unknown";
}

/* The rung that brought the leg to where it is, and the one that decided, if another did. */
static const struct bundle_rung *last_move(const struct bundle_leg_report *leg) {
    for (size_t i = leg->rung_count; i > 0; i--)
        if (leg->rungs[i - 1].from != leg->rungs[i - 1].to) return &leg->rungs[i - 1];
    return NULL;
}

static const struct bundle_rung *decision(const struct bundle_leg_report *leg) {
    for (size_t i = 0; i < leg->rung_count; i++)
        if (leg->rungs[i].event == EVENT_ACCEPTED || leg->rungs[i].event == EVENT_DECLINED) return &leg->rungs[i];
    return NULL;
}

/* "said by an officer of fj/national (Fiji) on ..., position 7 of the relay's log" */
static void add_saying(const struct findings *findings, const struct bundle_rung *rung, char *ret) {
    static const char *const whose[] = {"a machine of ", "an officer of "};
    char who[FINDING_SIZE], time[TIME_SIZE];
    findings_who(findings, rung->post, who);
    add(ret, "said by %s%s on %s, position %" PRIu64 " of the relay's log", rung->by_relay ? "" : whose[rung->officer],
        who, present_utc(rung->time, time), rung->index);
}

void findings_state(const struct findings *findings, const struct bundle_leg_report *leg,
                    char ret[static FINDING_SIZE]) {
    const struct bundle_rung *rung = last_move(leg), *decided = decision(leg);
    const struct leg_state_row *row = leg_state_row((uint64_t)leg->state);
    *ret = 0;
    if (!rung) {
        add(ret, "the file shows no word of the relay that it was ever stored");
        return;
    }
    if (decided && decided != rung) {
        add(ret, "%s: ", event_text(decided));
        add_saying(findings, decided, ret);
        add(ret, ". Now ");
    }
    add(ret, "%s (%s): ", state_name(leg->state), row ? row->text : "");
    add_saying(findings, rung, ret);
}

void findings_consent(const struct findings *findings, const struct bundle_leg_report *leg,
                      char ret[static FINDING_SIZE]) {
    static const char *const sides[] = {[BUNDLE_SENDER] = "the sender", [BUNDLE_RECIPIENT] = "the recipient"};
    char who[FINDING_SIZE], time[TIME_SIZE];
    *ret = 0;
    for (unsigned side = 0; side < BUNDLE_SIDES; side++) {
        const struct bundle_rung *rung = leg->consent[side];
        if (!rung) {
            add(ret, "%s%s has not said that it agrees", seam(ret), sides[side]);
            continue;
        }
        findings_who(findings, rung->post, who);
        add(ret, "%s%s, %s, agreed on %s", seam(ret), sides[side], who, present_utc(rung->time, time));
    }
}

static const uint8_t *nth_key(const struct bundle_report *report, size_t n) {
    if (n == 0) return report->header.device;
    for (size_t i = 0; i < report->leg_count; i++) {
        const struct bundle_leg_report *leg = &report->legs[i];
        if (n <= leg->rung_count) return leg->rungs[n - 1].device;
        n -= leg->rung_count;
        if (n <= leg->note_count) return leg->notes[n - 1].device;
        n -= leg->note_count;
    }
    return NULL;
}

static bool seen_before(const struct bundle_report *report, size_t n, const uint8_t *key) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(nth_key(report, i), key, KEY_SIZE) == 0) return true;
    return false;
}

bool findings_key(const struct findings *findings, size_t n, struct finding_key *ret) {
    const struct bundle_report *report = findings->report;
    const uint8_t *key;
    for (size_t i = 0, found = 0; (key = nth_key(report, i)); i++) {
        const struct directory_device *device = directory_device(report->entries, key);
        if (!device || seen_before(report, i, key)) continue; /* the relay's is the card's */
        if (found++ < n) continue;
        *ret = (struct finding_key){key, device};
        return true;
    }
    return false;
}

/* ---- for people ---- */

static void print_foreign(const struct look *look, const char *text) {
    present_text(stdout, look, STYLE_NONE, bytes_text(text), false);
}

static void print_line(const struct look *look, const char *name, const char *text) {
    printf("%-11s ", name);
    print_foreign(look, text);
    putchar('\n');
}

static void print_request(const struct findings *findings, const struct look *look) {
    const struct header *header = &findings->report->header;
    char text[FINDING_SIZE], time[TIME_SIZE], id[2 * TEXT_ID_BYTES + 1], duration[UNITS_TEXT_SIZE];
    present_exercise(stdout, look, header->exercise);
    present_id(findings->report->digest, id);
    print_line(look, header->has_parent ? "reply" : "request", id);
    findings_who(findings, header->from, text);
    print_line(look, "from", text);
    print_line(look, "made", present_utc(header->created, time));
    units_format_duration(header->keep_s, duration);
    snprintf(text, sizeof text, "%s from when it was stored", duration);
    print_line(look, "kept for", text);
    print_line(look, "precedence", words_name(WORDS_PRECEDENCE, header->precedence));
    if (header->has_answer_by) print_line(look, "answer by", present_utc(header->answer_by, time));
    if (!header->has_parent) return;
    present_id(header->parent.header, id);
    print_line(look, "belongs to", id);
}

static void add_row(struct table *table, const struct findings *findings, const struct bundle_leg_report *leg,
                    const struct bundle_rung *rung) {
    char time[TIME_SIZE], detail[FINDING_SIZE];
    AUTO_BUF words = {0};
    table_add(table, STYLE_NONE, "%s", present_utc(rung->time, time));
    table_add(table, STYLE_BOLD, "%s", event_text(rung));
    table_add(table, STYLE_NONE, "%.*s", rung->by_relay ? 5 : (int)rung->post.n,
              rung->by_relay ? "relay" : (const char *)rung->post.p);
    table_add(table, STYLE_NONE, "%s", findings_speaker(rung));
    if (rung->has_entry)
        table_add(table, STYLE_NONE, "%" PRIu64, rung->index);
    else
        table_add(table, STYLE_DIM, "-");
    table_add(table, STYLE_DIM, "%s", rung->by_relay ? "-" : present_utc(rung->device_time, time));
    findings_detail(rung, detail);
    bool said = findings->disclosed && disclosed_words(findings->report, leg, rung, &words);
    table_add(table, STYLE_NONE, "%s%s%.*s%s", detail, said ? *detail ? "; \"" : "\"" : "", said ? (int)words.n : 0,
              said ? (const char *)words.p : "", said ? "\"" : "");
}

static void print_leg(const struct findings *findings, const struct look *look, const struct bundle_leg_report *leg) {
    static const char *const heads[] = {"LEDGER TIME", "STEP",           "BY",   "SPOKEN BY",
                                        "POSITION>",   "DEVICE'S CLOCK", "WORDS"};
    char text[FINDING_SIZE];
    AUTO_TABLE table = {.heads = heads, .columns = LENGTH(heads), .elastic = 6};
    findings_who(findings, leg->to, text);
    fputs("\nto ", stdout);
    print_foreign(look, text);
    if (!bytes_equal(leg->to, leg->with)) printf(", now with %.*s", (int)leg->with.n, (const char *)leg->with.p);
    putchar('\n');
    findings_state(findings, leg, text);
    print_foreign(look, text);
    puts(".\n");
    for (size_t i = 0; i < leg->rung_count; i++) add_row(&table, findings, leg, &leg->rungs[i]);
    for (size_t i = 0; i < leg->note_count; i++) add_row(&table, findings, leg, &leg->notes[i]);
    if (table.count) table_print(&table, stdout, look);
    if (leg->note_count)
        puts("(what has no position moved nothing: a repeat, a decision that came too late, a refusal)");
    findings_consent(findings, leg, text);
    print_line(look, "showing it", text);
}

/* Each line stands behind a bar: whoever wrote it could else write what looks like ours. */
static void print_quoted(const struct look *look, struct bytes text) {
    for (size_t from = 0; from < text.n;) {
        const uint8_t *line = text.p + from, *end = memchr(line, '\n', text.n - from);
        size_t n = end ? (size_t)(end - line) : text.n - from;
        fputs("| ", stdout);
        present_text(stdout, look, STYLE_NONE, bytes_of(line, n), true);
        putchar('\n');
        from += n + 1;
    }
}

static void print_opened(const struct findings *findings, const struct look *look) {
    const struct disclosed *disclosed = findings->disclosed;
    struct file file;
    struct bytes text;
    if (!disclosed) return;
    puts("\nopened here: this is what was sealed");
    if (disclosed->part == PART_OFFER) {
        const struct offer *offer = &disclosed->offer;
        fputs("subject     ", stdout);
        present_text(stdout, look, STYLE_BOLD, offer->subject, false);
        printf("\nkind        %s\n", words_name(WORDS_KIND, offer->kind));
        if (offer->has_tlp) printf("marking     TLP:%s\n", words_name(WORDS_TLP, offer->tlp));
        printf("showing it  %s\n", offer->has_disclosure && offer->disclosure
                                       ? "its sender asked that both sides agree first"
                                       : "its sender did not ask that both sides agree first");
        print_quoted(look, offer->summary);
        return;
    }
    for (size_t i = 0; disclosed_file(disclosed, i, &file, &text); i++) {
        if (!file.has_name) {
            print_quoted(look, text);
            continue;
        }
        fputs("attachment  ", stdout);
        present_text(stdout, look, STYLE_NONE, file.name, false);
        printf(", %zu bytes\n", text.n);
    }
}

static void print_hex(const char *name, const uint8_t *bytes) {
    char hex[2 * HASH_SIZE + 1];
    text_hex(bytes, HASH_SIZE, hex);
    printf("%-11s %s\n", name, hex);
}

static void print_keys(const struct findings *findings, const struct look *look) {
    static const char *const roles[] = {
        [ROLE_DECIDER] = "may decide", [ROLE_READER] = "may read", [ROLE_BELL] = "bell"};
    struct finding_key key;
    char who[FINDING_SIZE], hex[2 * KEY_SIZE + 1], time[TIME_SIZE];
    puts("\nkeys that signed, as the directory vouches for them");
    for (size_t n = 0; findings_key(findings, n, &key); n++) {
        findings_who(findings, bytes_text(key.device->post->name), who);
        text_hex(key.key, KEY_SIZE, hex);
        printf("  %s  ", hex);
        print_foreign(look, who);
        printf(", %s, since %s\n", roles[key.device->role], present_utc(key.device->added_at, time));
    }
}

static void print_heads(const struct findings *findings) {
    const struct bundle_report *report = findings->report;
    char time[TIME_SIZE];
    printf("\ndirectory   %" PRIu64 " entries, of which %zu are here; signed by the relay on %s\n",
           report->directory.size, report->leaf_count, present_utc(report->directory.time, time));
    print_hex("", report->directory.root);
    for (size_t i = 0; i < report->card.witness_count; i++) {
        const struct note_signed *word = &report->directory.words[i];
        if (word->valid)
            printf("            cosigned by %s on %s\n", report->card.witnesses[i].name,
                   present_utc((struct instant){word->time_s * 1000}, time));
    }
    if (report->has_evidence) {
        printf("log         all positions are of one log, which had %" PRIu64 " entries on %s\n", report->evidence.size,
               present_utc(report->evidence.time, time));
        print_hex("", report->evidence.root);
    }
}

static void print_trust(const struct findings *findings) {
    const struct bundle_report *report = findings->report;
    char fingerprint[TEXT_FINGERPRINT_SIZE];
    text_fingerprint(report->card_hash, fingerprint);
    printf("relay       %s\ncard        %s%s\n", report->card.name, fingerprint,
           report->card_given ? " (its keys are those of --card)" : "");
    if (findings->pinned_log || findings->pinned_statement || findings->pinned_registrars)
        printf("your keys   %s%s%zu of its %zu registrars, of whom %u must sign\n",
               findings->pinned_log ? "the log's, " : "", findings->pinned_statement ? "the statements', " : "",
               findings->pinned_registrars, report->card.registrar_count, report->card.threshold);
    print_hex("file", report->file_digest);
}

void findings_people(const struct findings *findings, const struct look *look) {
    const struct bundle_report *report = findings->report;
    char reference[TEXT_REFERENCE_SIZE];
    text_reference(report->digest, reference);
    printf("proven: what happened to %s, as the log of %s has it\n\n", reference, report->card.name);
    print_request(findings, look);
    for (size_t i = 0; i < report->leg_count; i++) print_leg(findings, look, &report->legs[i]);
    print_opened(findings, look);
    print_keys(findings, look);
    print_heads(findings);
    print_trust(findings);
    puts("\nnot proven:");
    for (unsigned i = 0; i < GAP_COUNT; i++)
        if (findings->gaps[i]) printf("- %s\n", bundle_gap_row((enum bundle_gap)i)->text);
}

/* ---- JSON ---- */

static json_t *hex_json(const uint8_t *bytes) {
    char hex[2 * HASH_SIZE + 1];
    text_hex(bytes, HASH_SIZE, hex);
    return json_string(hex);
}

static json_t *rung_json(const struct findings *findings, const struct bundle_leg_report *leg,
                         const struct bundle_rung *rung) {
    const struct leg_event_row *row = leg_event_row((uint64_t)rung->event);
    AUTO_BUF words = {0};
    json_t *object =
        json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:b}", "event", row ? row->name : "unknown", "text",
                  event_text(rung), "actor", rung->by_relay ? json_string("relay") : present_json_text(rung->post),
                  "signer", rung->by_relay ? "relay" : findings_speaker(rung), "key", hex_json(rung->device), "at",
                  present_json_time(rung->time), "device_time", present_json_time(rung->device_time), "disclosure",
                  rung->disclosure);
    if (rung->has_entry) {
        json_object_set_new(object, "state", json_string(state_name(rung->to)));
        json_object_set_new(object, "ordinal", json_integer((json_int_t)rung->ordinal));
        json_object_set_new(object, "log_index", json_integer((json_int_t)rung->index));
        json_object_set_new(object, "head_size", json_integer((json_int_t)rung->head_size));
        json_object_set_new(object, "directory_size", json_integer((json_int_t)rung->directory_size));
        json_object_set_new(object, "entry", hex_json(rung->hash));
    }
    if (rung->has_reason) {
        json_object_set_new(object, "reason", json_integer((json_int_t)rung->reason));
        json_object_set_new(object, "reason_text", json_string(present_reason(rung->event, rung->reason)));
    }
    if (rung->has_generation) json_object_set_new(object, "generation", json_integer((json_int_t)rung->generation));
    if (rung->forward.n) json_object_set_new(object, "forward", present_json_text(rung->forward));
    if (rung->grace_s) json_object_set_new(object, "grace_s", json_integer((json_int_t)rung->grace_s));
    if (findings->disclosed && disclosed_words(findings->report, leg, rung, &words))
        json_object_set_new(object, "words", present_json_text(buf_bytes(&words)));
    return object;
}

static json_t *consent_json(const struct bundle_rung *rung) {
    return rung ? present_json_time(rung->time) : json_null();
}

static json_t *leg_json(const struct findings *findings, const struct bundle_leg_report *leg) {
    json_t *rungs = json_array(), *notes = json_array();
    for (size_t i = 0; i < leg->rung_count; i++) json_array_append_new(rungs, rung_json(findings, leg, &leg->rungs[i]));
    for (size_t i = 0; i < leg->note_count; i++) json_array_append_new(notes, rung_json(findings, leg, &leg->notes[i]));
    return json_pack("{s:o, s:o, s:o, s:s, s:{s:o, s:o}, s:o, s:o}", "leg", hex_json(leg->leg), "to",
                     present_json_text(leg->to), "with", present_json_text(leg->with), "state", state_name(leg->state),
                     "consent", "sender", consent_json(leg->consent[BUNDLE_SENDER]), "recipient",
                     consent_json(leg->consent[BUNDLE_RECIPIENT]), "events", rungs, "notes", notes);
}

static json_t *opened_json(const struct findings *findings) {
    const struct disclosed *disclosed = findings->disclosed;
    struct file file;
    struct bytes text;
    if (!disclosed) return json_null();
    if (disclosed->part == PART_OFFER) {
        const struct offer *offer = &disclosed->offer;
        return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o}", "part", "offer", "subject",
                         present_json_text(offer->subject), "kind", words_name(WORDS_KIND, offer->kind), "tlp",
                         offer->has_tlp ? json_string(words_name(WORDS_TLP, offer->tlp)) : json_null(), "summary",
                         offer->has_summary ? present_json_text(offer->summary) : json_null(), "disclosure",
                         offer->has_disclosure && offer->disclosure ? json_string("both") : json_null());
    }
    json_t *object = json_pack("{s:s, s:n, s:o}", "part", "body", "text", "attachments", json_array());
    for (size_t i = 0; disclosed_file(disclosed, i, &file, &text); i++) {
        if (!file.has_name)
            json_object_set_new(object, "text", present_json_text(text));
        else
            json_array_append_new(
                json_object_get(object, "attachments"),
                json_pack("{s:o, s:I}", "name", present_json_text(file.name), "length", (json_int_t)file.length));
    }
    return object;
}

static json_t *head_json(const struct head *head) {
    return json_pack("{s:I, s:o, s:o}", "size", (json_int_t)head->size, "root", hex_json(head->root), "time",
                     present_json_time(head->time));
}

static json_t *directory_json(const struct bundle_report *report) {
    json_t *object = head_json(&report->directory), *witnesses = json_array();
    for (size_t i = 0; i < report->card.witness_count; i++)
        if (report->directory.words[i].valid)
            json_array_append_new(witnesses, json_string(report->card.witnesses[i].name));
    json_object_set_new(object, "witnesses", witnesses);
    json_object_set_new(object, "entries", json_integer((json_int_t)report->leaf_count));
    return object;
}

static json_t *gaps_json(const struct findings *findings, bool words) {
    json_t *array = json_array();
    for (unsigned i = 0; i < GAP_COUNT; i++) {
        const struct bundle_gap_row *row = bundle_gap_row((enum bundle_gap)i);
        if (findings->gaps[i]) json_array_append_new(array, json_string(words ? row->text : row->name));
    }
    return array;
}

json_t *findings_json(const struct findings *findings) {
    const struct bundle_report *report = findings->report;
    const struct header *header = &report->header;
    char fingerprint[TEXT_FINGERPRINT_SIZE], reference[TEXT_REFERENCE_SIZE];
    json_t *legs = json_array();
    text_fingerprint(report->card_hash, fingerprint);
    text_reference(report->digest, reference);
    for (size_t i = 0; i < report->leg_count; i++) json_array_append_new(legs, leg_json(findings, &report->legs[i]));
    json_t *object =
        json_pack("{s:s, s:b, s:s, s:s, s:o, s:s, s:o, s:o, s:I, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "kind",
                  "bundle", "proven", 1, "relay", report->card.name, "card_fingerprint", fingerprint, "id",
                  present_json_id(report->digest), "ref", reference, "from", present_json_text(header->from), "created",
                  present_json_time(header->created), "keep_s", (json_int_t)header->keep_s, "answer_by",
                  header->has_answer_by ? present_json_time(header->answer_by) : json_null(), "precedence",
                  words_name(WORDS_PRECEDENCE, header->precedence), "exercise", header->exercise, "parent",
                  header->has_parent ? present_json_id(header->parent.header) : json_null(), "legs", legs, "opened",
                  opened_json(findings), "directory", directory_json(report), "evidence",
                  report->has_evidence ? head_json(&report->evidence) : json_null());
    json_object_set_new(object, "header", hex_json(report->digest));
    json_object_set_new(object, "file", hex_json(report->file_digest));
    json_object_set_new(object, "card_matches", report->card_given ? json_true() : json_null());
    json_object_set_new(object, "not_proven", gaps_json(findings, true));
    json_object_set_new(object, "gaps", gaps_json(findings, false));
    return object;
}
