/* audit.c - `pouch audit`: both logs of the relay replayed, and a report that tells nothing of content, nor of
 * correspondents that this home does not have itself. */
#include <errno.h>

#include "auditor.h"
#include "commands.h"
#include "files.h"
#include "guest.h"
#include "text.h"

enum { OPTION_BACKUP = 1, OPTION_REPORT, OPTION_CARD, OPTION_ALL, FINDINGS_EXIT = 4, FINDINGS_SHOWN_MAX = 10000 };

COMMAND_OPTIONS(audit_audit, {"backup", OPTION_BACKUP, true}, {"report", OPTION_REPORT, true},
                {"card", OPTION_CARD, true}, {"all", OPTION_ALL, false});

struct told { /* one finding, kept until the report is written */
    struct audit_finding finding;
    bool ours;
    uint8_t request[HASH_SIZE];
    char to[POST_MAX + 1];
};
struct work {
    struct run *run;
    const char *backup, *report, *card_path;
    bool all;
    struct card card;
    struct told *told;
    size_t count, cap;
    struct auditor_result result;
};

static enum error keep(void *context, const struct audit_finding *finding, const uint8_t *request, const char *to) {
    struct work *work = context;
    if (work->count == FINDINGS_SHOWN_MAX) return E_OK; /* the number goes on */
    if (work->count == work->cap) {
        size_t cap = work->cap ? work->cap * 2 : 16;
        struct told *grown = realloc(work->told, cap * sizeof *grown);
        if (!grown) return E_NO_MEMORY;
        work->told = grown;
        work->cap = cap;
    }
    struct told *told = &work->told[work->count++];
    *told = (struct told){.finding = *finding, .ours = request != NULL};
    if (request) memcpy(told->request, request, HASH_SIZE);
    if (to) snprintf(told->to, sizeof told->to, "%s", to);
    return E_OK;
}

/* ---- the report ---- */

static const char *log_name(enum relay_log log) { return log == LOG_EVIDENCE ? "evidence" : "directory"; }

static const char *const not_audited[] = {
    "what the relay showed to others, unless they compare: the digits of `pouch directory phrase`, or their own audit",
    "that nothing was kept from the log: only that what is in it holds together",
    "the relay's clock, beyond that its time never goes back", "contents, which the relay does not have either"};
static const char not_receipts[] =
    "statements behind the entries that this home does not have; with --backup all of them";

static json_t *finding_json(const struct told *told) {
    const struct audit_finding *finding = &told->finding;
    json_t *object = json_pack("{s:s, s:s, s:s}", "finding", audit_name(finding->kind), "error",
                               error_row(finding->error)->name, "message", audit_text(finding->kind));
    if (finding->log) json_object_set_new(object, "log", json_string(log_name(finding->log)));
    if (finding->has_index) json_object_set_new(object, "index", json_integer((json_int_t)finding->index));
    if (finding->has_leg) {
        char hex[2 * HASH_SIZE + 1];
        text_hex(finding->leg, HASH_SIZE, hex);
        json_object_set_new(object, "leg", json_string(hex));
    }
    if (finding->has_ordinal) json_object_set_new(object, "ordinal", json_integer((json_int_t)finding->ordinal));
    if (finding->who) json_object_set_new(object, "who", json_string(finding->who));
    if (told->ours) json_object_set_new(object, "id", present_json_id(told->request));
    if (told->ours) json_object_set_new(object, "to", json_string(told->to));
    return object;
}

static json_t *log_json(const struct auditor_result *result, int which) {
    char root[2 * HASH_SIZE + 1];
    text_hex(result->roots[which], HASH_SIZE, root);
    return json_pack("{s:I, s:s, s:o}", "size", (json_int_t)result->sizes[which], "root", root, "head_time",
                     present_json_time(result->times[which]));
}

static json_t *witness_json(const struct work *work, size_t i) {
    const struct auditor_witness *witness = &work->result.witnesses[i];
    return json_pack("{s:s, s:I, s:I, s:o}", "witness", work->card.witnesses[i].name, "directory",
                     (json_int_t)witness->sizes[0], "evidence", (json_int_t)witness->sizes[1], "time",
                     present_json_time((struct instant){witness->time_s[0] * 1000}));
}

static json_t *report_json(const struct work *work) {
    const struct auditor_result *result = &work->result;
    char fingerprint[TEXT_FINGERPRINT_SIZE];
    uint8_t hash[HASH_SIZE];
    json_t *findings = json_array(), *witnesses = json_array(), *gaps = json_array();
    card_hash(&work->card, hash);
    text_fingerprint(hash, fingerprint);
    for (size_t i = 0; i < work->count; i++) json_array_append_new(findings, finding_json(&work->told[i]));
    for (size_t i = 0; i < work->card.witness_count; i++) json_array_append_new(witnesses, witness_json(work, i));
    if (!work->backup) json_array_append_new(gaps, json_string(not_receipts));
    for (size_t i = 0; i < LENGTH(not_audited); i++) json_array_append_new(gaps, json_string(not_audited[i]));
    return json_pack("{s:s, s:s, s:s, s:b, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "relay",
                     work->card.name, "card_fingerprint", fingerprint, "source", work->backup ? "backup" : "relay",
                     "holds", result->findings == 0, "findings", (json_int_t)result->findings, "found", findings,
                     "directory", log_json(result, 0), "evidence", log_json(result, 1), "from",
                     (json_int_t)result->from, "own_receipts", (json_int_t)result->own, "receipts",
                     (json_int_t)result->receipts, "legs", (json_int_t)result->legs, "witnesses", witnesses, "proof",
                     result->proofs ? json_string(result->proof) : json_null(), "not_audited", gaps);
}

static void print_log(FILE *out, const struct auditor_result *result, int which) {
    char root[2 * HASH_SIZE + 1], time[TIME_SIZE];
    text_hex(result->roots[which], HASH_SIZE, root);
    fprintf(out, "%-10s %llu entries", log_name(which ? LOG_EVIDENCE : LOG_DIRECTORY),
            (unsigned long long)result->sizes[which]);
    if (result->times[which].ms) fprintf(out, ", signed at %s", present_utc(result->times[which], time));
    fprintf(out, "\n  root     %s\n", root);
    if (which && result->from) fprintf(out, "  the first %llu were audited before\n", (unsigned long long)result->from);
}

static void print_finding(FILE *out, const struct told *told) {
    const struct audit_finding *finding = &told->finding;
    fprintf(out, "- %s", audit_text(finding->kind));
    if (finding->has_index)
        fprintf(out, ", %s log at %llu", log_name(finding->log), (unsigned long long)finding->index);
    if (finding->has_leg) {
        char hex[2 * TEXT_ID_BYTES + 1];
        text_hex(finding->leg, TEXT_ID_BYTES, hex);
        fprintf(out, ", leg %s", hex);
    }
    if (finding->has_ordinal) fprintf(out, ", ordinal %llu", (unsigned long long)finding->ordinal);
    if (finding->who) fprintf(out, ", %s", finding->who);
    if (told->ours) {
        char reference[TEXT_REFERENCE_SIZE];
        text_reference(told->request, reference);
        fprintf(out, " (%s to %s)", reference, told->to);
    }
    fprintf(out, ": %s\n", error_text(finding->error));
}

static void report_people(FILE *out, const struct work *work) {
    const struct auditor_result *result = &work->result;
    char fingerprint[TEXT_FINGERPRINT_SIZE], time[TIME_SIZE];
    uint8_t hash[HASH_SIZE];
    card_hash(&work->card, hash);
    text_fingerprint(hash, fingerprint);
    if (result->findings)
        fprintf(out, "%s does not hold: %llu findings\n\n", work->card.name, (unsigned long long)result->findings);
    else
        fprintf(out, "%s holds: both logs were replayed, every root recomputed, and nothing found\n\n",
                work->card.name);
    for (size_t i = 0; i < work->count; i++) print_finding(out, &work->told[i]);
    if (work->count) fputs("\n", out);
    if (result->proofs) fprintf(out, "proof      %s (pouch verify)\n", result->proof);
    fprintf(out, "card       %s\nread from  %s\n", fingerprint, work->backup ? work->backup : "the relay");
    print_log(out, result, 0);
    print_log(out, result, 1);
    for (size_t i = 0; i < work->card.witness_count; i++) {
        const struct auditor_witness *witness = &result->witnesses[i];
        fprintf(out, "witness    %s: ", work->card.witnesses[i].name);
        if (witness->sizes[0])
            fprintf(out, "has cosigned %llu entries of the directory, at %s\n", (unsigned long long)witness->sizes[0],
                    present_utc((struct instant){witness->time_s[0] * 1000}, time));
        else
            fputs("has cosigned nothing that is shown\n", out);
    }
    if (result->own) fprintf(out, "receipts   %llu of this home, each at its place\n", (unsigned long long)result->own);
    if (result->receipts) fprintf(out, "receipts   %llu in the backup\n", (unsigned long long)result->receipts);
    fprintf(out, "legs       %llu histories replayed\n\nnot audited:\n", (unsigned long long)result->legs);
    if (!work->backup) fprintf(out, "- %s\n", not_receipts);
    for (size_t i = 0; i < LENGTH(not_audited); i++) fprintf(out, "- %s\n", not_audited[i]);
}

/* For people, or with --json as that; whole, and never over another file. */
static enum error write_report(struct work *work) {
    char *text = NULL;
    size_t size = 0;
    struct run *run = work->run;
    if (files_exists(work->report)) return fail(&run->failure, E_HOME_EXISTS, "%s", work->report);
    FILE *out = open_memstream(&text, &size);
    if (!out) return E_NO_MEMORY;
    if (run->cli.json)
        present_json(out, report_json(work));
    else
        report_people(out, work);
    bool bad = fclose(out) != 0;
    enum error error = bad ? E_NO_MEMORY : files_write(work->report, 0644, bytes_of(text, size), &run->failure);
    free(text);
    return error;
}

/* ---- the audit ---- */

/* A guest's card decides; else the home's. */
static enum error prepare(struct work *work, struct auditor_order *order) {
    struct run *run = work->run;
    struct client_options options = run_client_options(run);
    if (work->card_path) {
        TRY(guest_read_card(work->card_path, &work->card, &run->failure));
        if (!work->backup) TRY(guest_connect(&work->card, &options, &run->relay, &run->failure));
    } else {
        TRY(run_open_post(run));
        /* A relay that has contradicted itself is what an audit is for: a sync that fails for that does not end it. */
        if (!work->backup) (void)!run_sync(run);
        run->failure = (struct failure){0};
        if (!work->backup && !run->relay) TRY(client_connect(&run->home, &options, &run->relay, &run->failure));
        work->card = run->home.card;
        order->home = &run->home;
    }
    order->card = &work->card;
    order->relay = run->relay;
    order->backup = work->backup;
    order->all = work->all;
    order->sink.context = work;
    order->sink.tell = keep;
    return E_OK;
}

static enum error audit(struct work *work) {
    struct run *run = work->run;
    struct auditor_order order = {0};
    TRY(prepare(work, &order));
    TRY(auditor_run(&order, &work->result, &run->failure));
    if (work->report) TRY(write_report(work));
    if (run->cli.json)
        present_json(stdout, report_json(work));
    else if (!work->report || work->result.findings)
        report_people(stdout, work);
    else
        run_say(run, "%s holds; the report is in %s", work->card.name, work->report);
    return E_OK;
}

int audit_audit(struct run *run) {
    AUTO_FREE(struct work) work = calloc(1, sizeof *work);
    if (!work) return run_fail(run, E_NO_MEMORY);
    work->run = run;
    for (int id; (id = run_next(run)) != CLI_END;) {
        switch (id) {
        case OPTION_BACKUP: work->backup = run->args.value; break;
        case OPTION_REPORT: work->report = run->args.value; break;
        case OPTION_CARD: work->card_path = run->args.value; break;
        case OPTION_ALL: work->all = true; break;
        default: return run_usage(run);
        }
    }
    enum error error = audit(work);
    uint64_t findings = work->result.findings;
    free(work->told);
    if (error != E_OK) return run_fail(run, error);
    return findings ? FINDINGS_EXIT : 0;
}
