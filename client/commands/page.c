/* page.c - a verified bundle as one page for who decides and does not compute: self-contained, without script, for
 * screen and A4. */
#include <inttypes.h>
#include <stdio.h>

#include "../html.h"
#include "../words.h"
#include "findings.h"
#include "text.h"
#include "units.h"

static const char style[] =
    ":root{color-scheme:light;--ink:#1b2430;--soft:#5a6675;--line:#d5dbe3;--band:#0b3d66;--back:#f5f7fa;--warn:#8a3b00}"
    "\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,\"Segoe UI\",\"Noto Sans\","
    "\"Liberation Sans\",sans-serif}\n"
    "header{background:var(--band);color:#fff;padding:1.6rem max(1rem,calc(50% - 30rem))}\n"
    "header h1{margin:0;font-size:1.7rem;font-weight:600}\n"
    "header p{margin:.3rem 0 0;color:#cfdceb}\n"
    "main,footer{max-width:62rem;margin:0 auto;padding:0 1rem}\n"
    "section{margin:1.6rem 0;background:#fff;border:1px solid var(--line);border-radius:6px;padding:.9rem 1.1rem}\n"
    "h2{margin:0 0 .6rem;font-size:1.2rem}\n"
    "p{margin:.4rem 0}\n"
    ".state{font-size:1.05rem;font-weight:600}\n"
    ".exercise{background:var(--warn);color:#fff;font-weight:700;padding:.4rem "
    "1rem;text-align:center;letter-spacing:.1em}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0}\n"
    "dt{color:var(--soft)}\n"
    "dd{margin:0;min-width:0;overflow-wrap:anywhere}\n"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}\n"
    "th{text-align:left;color:var(--soft);font-weight:600;border-bottom:2px solid var(--line);padding:.25rem .5rem "
    ".25rem 0}\n"
    "td{border-bottom:1px solid var(--line);padding:.3rem .5rem .3rem 0;vertical-align:top}\n"
    "td.t{white-space:nowrap}\n"
    "td.n{text-align:right;font-variant-numeric:tabular-nums;padding-right:1rem}\n"
    "tr.note td{color:var(--soft)}\n"
    "code,.hex{font-family:ui-monospace,\"DejaVu Sans Mono\",monospace;font-size:.82rem;overflow-wrap:anywhere}\n"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--back);padding:.7rem;margin:.4rem "
    "0;font:inherit}\n"
    ".not li{margin:.25rem 0}\n"
    "footer{color:var(--soft);font-size:.85rem;padding-bottom:2rem}\n"
    "@page{size:A4;margin:16mm 14mm}\n"
    "@media print{body{background:#fff;font-size:10pt}header{background:none;color:var(--ink);padding:0 0 "
    "3mm;border-bottom:"
    "1pt solid var(--ink)}header "
    "p{color:var(--soft)}main,footer{max-width:none;padding:0}section{border:0;padding:0;margin:"
    "5mm 0}h2{break-after:avoid}tr,li{break-inside:avoid}thead{display:table-header-group}.exercise{color:var(--warn);"
    "border:1pt solid var(--warn);background:none}}\n";

static void text(struct buf *out, const char *words) { html_text(out, bytes_text(words), false); }

static void term(struct buf *out, const char *name, const char *value) {
    html_format(out, "<dt>%s</dt><dd dir=\"auto\">", name);
    text(out, value);
    html_put(out, "</dd>\n");
}

static void hex(struct buf *out, const uint8_t *bytes) {
    char digits[2 * HASH_SIZE + 1];
    text_hex(bytes, HASH_SIZE, digits);
    html_format(out, "<span class=\"hex\">%s</span>", digits);
}

static void put_request(const struct findings *findings, struct buf *out) {
    const struct header *header = &findings->report->header;
    char line[FINDING_SIZE], time[TIME_SIZE], id[2 * TEXT_ID_BYTES + 1], duration[UNITS_TEXT_SIZE];
    html_put(out, "<section>\n<h2>The request</h2>\n<dl>\n");
    findings_who(findings, header->from, line);
    term(out, "From", line);
    term(out, "Made", present_utc(header->created, time));
    units_format_duration(header->keep_s, duration);
    term(out, "Kept for", duration);
    if (header->has_answer_by) term(out, "Answer wished by", present_utc(header->answer_by, time));
    term(out, "Precedence", words_name(WORDS_PRECEDENCE, header->precedence));
    present_id(findings->report->digest, id);
    term(out, "Number", id);
    if (header->has_parent) {
        present_id(header->parent.header, id);
        term(out, "A reply to", id);
    }
    html_put(out, "</dl>\n</section>\n");
}

static void put_rung(const struct findings *findings, const struct bundle_leg_report *leg,
                     const struct bundle_rung *rung, struct buf *out) {
    char line[FINDING_SIZE], time[TIME_SIZE];
    const struct leg_event_row *row = leg_event_row((uint64_t)rung->event);
    AUTO_BUF words = {0};
    html_format(out, "<tr%s><td class=\"t\">%s</td><td><strong>", rung->has_entry ? "" : " class=\"note\"",
                present_utc(rung->time, time));
    text(out, row ? row->text : "unknown");
    html_put(out, "</strong></td><td dir=\"auto\">");
    findings_who(findings, rung->post, line);
    text(out, line);
    html_format(out, "</td><td>%s</td>", findings_speaker(rung));
    if (rung->has_entry)
        html_format(out, "<td class=\"n\">%" PRIu64 "</td>", rung->index);
    else
        html_put(out, "<td class=\"n\">none</td>");
    html_format(out, "<td class=\"t\">%s</td><td dir=\"auto\">",
                rung->by_relay ? "" : present_utc(rung->device_time, time));
    findings_detail(rung, line);
    text(out, line);
    if (findings->disclosed && disclosed_words(findings->report, leg, rung, &words)) {
        html_put(out, *line ? "; &ldquo;" : "&ldquo;");
        html_text(out, buf_bytes(&words), false);
        html_put(out, "&rdquo;");
    }
    html_put(out, "</td></tr>\n");
}

static void put_leg(const struct findings *findings, const struct bundle_leg_report *leg, struct buf *out) {
    char line[FINDING_SIZE];
    html_put(out, "<section>\n<h2 dir=\"auto\">To ");
    findings_who(findings, leg->to, line);
    text(out, line);
    if (!bytes_equal(leg->to, leg->with)) {
        html_put(out, ", passed on to ");
        html_text(out, leg->with, false);
    }
    html_put(out, "</h2>\n<p class=\"state\" dir=\"auto\">");
    findings_state(findings, leg, line);
    text(out, line);
    html_put(out, ".</p>\n");
    if (leg->rung_count + leg->note_count > 0)
        html_put(out, "<table>\n<thead><tr><th>Relay&rsquo;s time</th><th>Step</th><th>By</th><th>Spoken "
                      "by</th><th>Position in the "
                      "log</th><th>Device&rsquo;s clock</th><th>With it</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < leg->rung_count; i++) put_rung(findings, leg, &leg->rungs[i], out);
    for (size_t i = 0; i < leg->note_count; i++) put_rung(findings, leg, &leg->notes[i], out);
    if (leg->rung_count + leg->note_count > 0) html_put(out, "</tbody>\n</table>\n");
    if (leg->note_count)
        html_put(out, "<p>What has no position in the log moved nothing: a repeat, a decision that came too late, a "
                      "refusal.</p>\n");
    html_put(out, "<p dir=\"auto\">Showing this to others: ");
    findings_consent(findings, leg, line);
    text(out, line);
    html_put(out, ".</p>\n</section>\n");
}

static void put_offer(const struct offer *offer, struct buf *out) {
    html_put(out, "<dl>\n<dt>Subject</dt><dd dir=\"auto\">");
    html_text(out, offer->subject, false);
    html_put(out, "</dd>\n");
    term(out, "Kind", words_name(WORDS_KIND, offer->kind));
    if (offer->has_tlp) html_format(out, "<dt>Marking</dt><dd>TLP:%s</dd>\n", words_name(WORDS_TLP, offer->tlp));
    term(out, "Showing it",
         offer->has_disclosure && offer->disclosure ? "its sender asked that both sides agree first"
                                                    : "its sender did not ask that both sides agree first");
    html_put(out, "</dl>\n");
    if (offer->summary.n == 0) return;
    html_put(out, "<pre dir=\"auto\">");
    html_text(out, offer->summary, true);
    html_put(out, "</pre>\n");
}

static void put_opened(const struct disclosed *disclosed, struct buf *out) {
    struct file file;
    struct bytes bytes;
    if (!disclosed) return;
    html_format(out, "<section>\n<h2>What was written: the %s, opened</h2>\n",
                disclosed->part == PART_OFFER ? "summary" : "text");
    if (disclosed->part == PART_OFFER) put_offer(&disclosed->offer, out);
    for (size_t i = 0; disclosed_file(disclosed, i, &file, &bytes); i++) {
        html_put(out, file.has_name ? "<p dir=\"auto\">Attachment: " : "<pre dir=\"auto\">");
        html_text(out, file.has_name ? file.name : bytes, !file.has_name);
        if (file.has_name)
            html_format(out, ", %zu bytes</p>\n", bytes.n);
        else
            html_put(out, "</pre>\n");
    }
    html_put(out, "</section>\n");
}

static void put_keys(const struct findings *findings, struct buf *out) {
    struct finding_key key;
    char line[FINDING_SIZE], time[TIME_SIZE];
    for (size_t n = 0; findings_key(findings, n, &key); n++) {
        html_put(out, "<dt>A key of</dt><dd dir=\"auto\">");
        findings_who(findings, bytes_text(key.device->post->name), line);
        text(out, line);
        html_format(out, ", since %s<br>", present_utc(key.device->added_at, time));
        hex(out, key.key);
        html_put(out, "</dd>\n");
    }
}

static void put_trust(const struct findings *findings, struct buf *out) {
    const struct bundle_report *report = findings->report;
    char fingerprint[TEXT_FINGERPRINT_SIZE], time[TIME_SIZE];
    text_fingerprint(report->card_hash, fingerprint);
    html_put(
        out,
        "<section>\n<h2>On what this rests</h2>\n<p>Each step bears the signature of the device that took it, and "
        "stands in the relay&rsquo;s log, which nobody can change afterwards without being noticed. The keys of the "
        "devices stand in the relay&rsquo;s directory.</p>\n<dl>\n");
    html_format(out, "<dt>Directory</dt><dd>%" PRIu64 " entries on %s<br>", report->directory.size,
                present_utc(report->directory.time, time));
    hex(out, report->directory.root);
    html_put(out, "</dd>\n");
    for (size_t i = 0; i < report->card.witness_count; i++) {
        const struct note_signed *word = &report->directory.words[i];
        if (!word->valid) continue;
        html_put(out, "<dt>Cosigned by</dt><dd>");
        text(out, report->card.witnesses[i].name);
        html_format(out, ", %s</dd>\n", present_utc((struct instant){word->time_s * 1000}, time));
    }
    if (report->has_evidence) {
        html_format(out, "<dt>Log</dt><dd>all positions are of one log; it had %" PRIu64 " entries on %s<br>",
                    report->evidence.size, present_utc(report->evidence.time, time));
        hex(out, report->evidence.root);
        html_put(out, "</dd>\n");
    }
    put_keys(findings, out);
    html_format(out, "<dt>Card&rsquo;s fingerprint</dt><dd class=\"hex\">%s%s</dd>\n</dl>\n</section>\n", fingerprint,
                report->card_given ? " (its keys are those of the card that was given)" : "");
}

static void put_gaps(const struct findings *findings, struct buf *out) {
    html_put(out, "<section class=\"not\">\n<h2>What this does not prove</h2>\n<ul>\n");
    for (unsigned i = 0; i < GAP_COUNT; i++) {
        if (!findings->gaps[i]) continue;
        html_put(out, "<li>");
        text(out, bundle_gap_row((enum bundle_gap)i)->text);
        html_put(out, "</li>\n");
    }
    html_put(out, "</ul>\n</section>\n");
}

enum error findings_page(const struct findings *findings, struct buf *out) {
    const struct bundle_report *report = findings->report;
    char reference[TEXT_REFERENCE_SIZE];
    text_reference(report->digest, reference);
    html_begin(out);
    html_format(out, "Evidence: %s", reference);
    html_style(out, style);
    if (report->header.exercise) html_put(out, "<div class=\"exercise\">EXERCISE</div>\n");
    html_format(out, "<header>\n<h1>What happened to %s</h1>\n<p>as the log of ", reference);
    text(out, report->card.name);
    html_put(out, " has it</p>\n</header>\n<main>\n");
    put_request(findings, out);
    for (size_t i = 0; i < report->leg_count; i++) put_leg(findings, &report->legs[i], out);
    put_opened(findings->disclosed, out);
    put_gaps(findings, out);
    put_trust(findings, out);
    html_put(out, "</main>\n<footer>\n<p>All times are UTC. This page is a reading of the file <code dir=\"auto\">");
    text(out, findings->file);
    html_put(out,
             "</code>, and not itself evidence. Who has that file and the relay&rsquo;s card checks all of it, without "
             "network: <code>pouch verify FILE --card CARD</code></p>\n<p>The file&rsquo;s digest: ");
    hex(out, report->file_digest);
    html_put(out, "</p>\n</footer>\n</body>\n</html>\n");
    return buf_error(out);
}
