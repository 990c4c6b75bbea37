/* verify.c - checking a file that proves something - a relay's fraud, or what happened to a request: offline, from nothing but the
 * file and, if it is here, the relay's card or keys of it. */
#include "bundle.h"
#include "commands.h"
#include "files.h"
#include "findings.h"
#include "fraud.h"
#include "guest.h"
#include "leafname.h"
#include "text.h"

enum { OPTION_CARD = 1, OPTION_KEY, OPTION_HTML, KEYS_MAX = 2 * CARD_KEYS_MAX, PROOF_FILE_MAX = BUNDLE_MAX + 1024 };

COMMAND_OPTIONS(verify_verify, {"card", OPTION_CARD, true}, {"key", OPTION_KEY, true}, {"html", OPTION_HTML, true});

struct verifying {
    const char *file, *card_path, *html;
    uint8_t keys[KEYS_MAX][KEY_SIZE]; /* of --key: the reader knows that they are the relay's */
    size_t key_count;
    struct card card; /* of --card */
    struct buf bytes;
    struct fraud_view fraud;
};

/* ---- proofs of fraud ---- */

static const char *const kind_names[] = {
    [FRAUD_HEADS] = "heads", [FRAUD_ENTRIES] = "entries", [FRAUD_PROMISE] = "promise", [FRAUD_LEAVES] = "leaves"};
static const char *const kind_texts[] = {
    [FRAUD_HEADS] = "has signed two directories that cannot be of one log",
    [FRAUD_ENTRIES] = "has signed two different entries for one place in the history of a leg",
    [FRAUD_PROMISE] = "has promised that statements stand in its directory, and later signed one without them",
    [FRAUD_LEAVES] = "has signed a directory with an entry that breaks its rules"};
static const char *what_it_did(const struct fraud_view *fraud) {
    bool evidence = fraud->kind == FRAUD_HEADS && fraud->log == LOG_EVIDENCE;
    return evidence ? "has signed two evidence logs that cannot be one" : kind_texts[fraud->kind];
}

static const char *const not_proven[] = {
    "that the card is the relay's: compare its fingerprint with the operator's or another member's",
    "what of this the relay showed to whom, and who else has seen it",
    "whether the relay's operator meant it, or somebody who holds the relay's keys did it"};

static const uint8_t *signing_key(const struct fraud_view *fraud) {
    return fraud->kind == FRAUD_HEADS || fraud->kind == FRAUD_LEAVES ? fraud->card.log : fraud->card.statement;
}

static json_t *side_json(const struct fraud_view *fraud, const struct fraud_side *side) {
    char root[2 * HASH_SIZE + 1];
    text_hex(side->root, HASH_SIZE, root);
    return json_pack("{s:I, s:s, s:o}", "size", (json_int_t)side->size, fraud->kind == FRAUD_ENTRIES ? "entry" : "root",
                     root, "time", present_json_time(side->time));
}

static void set_hex(json_t *object, const char *name, const uint8_t *bytes) {
    char hex[2 * HASH_SIZE + 1];
    text_hex(bytes, HASH_SIZE, hex);
    json_object_set_new(object, name, json_string(hex));
}

static void fraud_json(const struct verifying *work) {
    const struct fraud_view *fraud = &work->fraud;
    char fingerprint[TEXT_FINGERPRINT_SIZE];
    text_fingerprint(fraud->card_hash, fingerprint);
    json_t *object = json_pack("{s:s, s:b, s:s, s:s, s:o, s:o}", "kind", kind_names[fraud->kind], "proven", 1, "relay",
                               fraud->card.name, "card_fingerprint", fingerprint, "older",
                               side_json(fraud, &fraud->older), "newer", side_json(fraud, &fraud->newer));
    set_hex(object, "key", signing_key(fraud));
    if (fraud->kind != FRAUD_ENTRIES) json_object_set_new(object, "log", json_string(head_log_name(fraud->log)));
    if (fraud->kind == FRAUD_PROMISE) set_hex(object, "log_key", fraud->card.log);
    if (fraud->has_root) set_hex(object, "root", fraud->root);
    if (fraud->kind == FRAUD_ENTRIES) {
        set_hex(object, "leg", fraud->leg);
        json_object_set_new(object, "ordinal", json_integer((json_int_t)fraud->ordinal));
    }
    if (fraud->kind == FRAUD_LEAVES) {
        char name[LEAFNAME_SIZE];
        leafname(fraud->leaf, name);
        json_object_set_new(object, "index", json_integer((json_int_t)fraud->older.size - 1));
        json_object_set_new(object, "entry", json_string(name));
        json_object_set_new(object, "why", json_string(error_row(fraud->why)->name));
    }
    if (fraud->kind == FRAUD_PROMISE) {
        json_object_set_new(object, "deadline", present_json_time(fraud->deadline));
        json_object_set_new(object, "statements", json_integer((json_int_t)fraud->statements));
    }
    json_object_set_new(object, "card_matches", work->card_path ? json_true() : json_null());
    json_t *gaps = json_array();
    for (size_t i = work->card_path ? 1 : 0; i < LENGTH(not_proven); i++)
        json_array_append_new(gaps, json_string(not_proven[i]));
    json_object_set_new(object, "not_proven", gaps);
    present_json(stdout, object);
}

static void print_hex(const char *what, const uint8_t *bytes) {
    char hex[2 * HASH_SIZE + 1];
    text_hex(bytes, HASH_SIZE, hex);
    printf("  %-9s %s\n", what, hex);
}

static void print_side(const char *what, const struct fraud_view *fraud, const struct fraud_side *side) {
    char time[TIME_SIZE];
    if (fraud->kind == FRAUD_ENTRIES)
        printf("%-10s of %s\n", what, present_utc(side->time, time));
    else
        printf("%-10s %llu entries, of %s\n", what, (unsigned long long)side->size, present_utc(side->time, time));
    print_hex(fraud->kind == FRAUD_ENTRIES ? "entry" : "root", side->root);
}

static void fraud_people(const struct verifying *work) {
    const struct fraud_view *fraud = &work->fraud;
    char fingerprint[TEXT_FINGERPRINT_SIZE], time[TIME_SIZE];
    text_fingerprint(fraud->card_hash, fingerprint);
    printf("proven: the relay %s %s\n\n", fraud->card.name, what_it_did(fraud));
    if (fraud->kind == FRAUD_ENTRIES) {
        print_hex("leg", fraud->leg);
        printf("  %-9s %llu\n", "ordinal", (unsigned long long)fraud->ordinal);
    }
    if (fraud->kind == FRAUD_LEAVES) {
        char name[LEAFNAME_SIZE];
        leafname(fraud->leaf, name);
        printf("entry      %llu, %s: %s\n", (unsigned long long)fraud->older.size - 1, name, error_text(fraud->why));
    }
    print_side(fraud->kind == FRAUD_PROMISE   ? "promised"
               : fraud->kind == FRAUD_ENTRIES ? "one"
                                              : "older",
               fraud, &fraud->older);
    if (fraud->kind == FRAUD_PROMISE)
        printf("  %-9s %s, for %zu statements\n", "deadline", present_utc(fraud->deadline, time), fraud->statements);
    print_side(fraud->kind == FRAUD_ENTRIES ? "other" : "newer", fraud, &fraud->newer);
    if (fraud->has_root && fraud->older.size != fraud->newer.size) {
        printf("  at %llu entries it has another root\n", (unsigned long long)fraud->older.size);
        print_hex("", fraud->root);
    }
    puts("signed by");
    print_hex("key", signing_key(fraud));
    if (fraud->kind == FRAUD_PROMISE) print_hex("log key", fraud->card.log);
    printf("\ncard       %s%s\n\nnot proven:\n", fingerprint, work->card_path ? " (the same relay as --card)" : "");
    for (size_t i = work->card_path ? 1 : 0; i < LENGTH(not_proven); i++) printf("- %s\n", not_proven[i]);
}

/* A card may have got new witnesses or addresses since: the keys are what signed. */
static bool same_keys(const struct card *a, const struct card *b) {
    return strcmp(a->name, b->name) == 0 && memcmp(a->log, b->log, KEY_SIZE) == 0 &&
           memcmp(a->statement, b->statement, KEY_SIZE) == 0;
}

static enum error verify_fraud(struct run *run, struct verifying *work) {
    if (work->html || work->key_count)
        return fail(&run->failure, E_USAGE, "%s is a proof of fraud: --html and --key are for evidence", work->file);
    enum error error = fraud_verify(buf_bytes(&work->bytes), &work->fraud);
    if (error != E_OK) return fail(&run->failure, error, "%s", work->file);
    if (work->card_path && !same_keys(&work->card, &work->fraud.card))
        return fail(&run->failure, E_WRONG_FINGERPRINT, "%s accuses the holder of another card than %s", work->file,
                    work->card_path);
    if (run->cli.json)
        fraud_json(work);
    else
        fraud_people(work);
    return E_OK;
}

/* ---- evidence ---- */

/* Which of the card's keys the reader has named; one that is not the card's tells that it is another relay's.
 * again: it was named before. */
static bool pin(struct findings *findings, const uint8_t key[static KEY_SIZE], bool again) {
    const struct card *card = &findings->report->card;
    bool log = memcmp(card->log, key, KEY_SIZE) == 0, statement = memcmp(card->statement, key, KEY_SIZE) == 0;
    size_t registrars = 0;
    for (size_t i = 0; i < card->registrar_count; i++) registrars += memcmp(card->registrars[i], key, KEY_SIZE) == 0;
    findings->pinned_log |= log;
    findings->pinned_statement |= statement;
    if (!again) findings->pinned_registrars += registrars;
    return log || statement || registrars > 0;
}

static bool named_before(const struct verifying *work, size_t which) {
    for (size_t i = 0; i < which; i++)
        if (memcmp(work->keys[i], work->keys[which], KEY_SIZE) == 0) return true;
    return false;
}

/* Who knows the log's key, the statements' and those of all registrars needs no card. As many registrars as must sign
 * would not do: the others in the file's card could be made up, and admit whom the relay likes. */
static enum error pin_keys(struct run *run, const struct verifying *work, struct findings *findings) {
    char hex[2 * KEY_SIZE + 1];
    for (size_t i = 0; i < work->key_count; i++) {
        text_hex(work->keys[i], KEY_SIZE, hex);
        if (!pin(findings, work->keys[i], named_before(work, i)))
            return fail(&run->failure, E_WRONG_FINGERPRINT, "%s: the key %s is none of the relay's that it is about",
                        work->file, hex);
    }
    if (findings->pinned_log && findings->pinned_statement &&
        findings->pinned_registrars == findings->report->card.registrar_count)
        findings->gaps[GAP_CARD] = false;
    return E_OK;
}

static enum error show_findings(struct run *run, const struct verifying *work, const struct findings *findings) {
    AUTO_BUF page = {0};
    if (work->html) {
        TRY(findings_page(findings, &page));
        TRY(files_write(work->html, 0644, buf_bytes(&page), &run->failure));
    }
    if (run->cli.json)
        present_json(stdout, findings_json(findings));
    else
        findings_people(findings, &run->look);
    return E_OK;
}

static enum error verify_bundle(struct run *run, struct verifying *work) {
    AUTO_BUNDLE_REPORT report = {0};
    AUTO_DISCLOSED disclosed = {0};
    struct bundle_where where;
    struct findings findings = {.report = &report, .file = work->file};
    enum error error = bundle_verify(buf_bytes(&work->bytes), work->card_path ? &work->card : NULL, &report, &where);
    if (error == E_OK && report.has_opened) {
        snprintf(where.text, sizeof where.text, "opened part, seal");
        error = disclosed_open(&report, &disclosed);
        findings.disclosed = &disclosed;
    }
    if (error != E_OK) {
        fail(&run->failure, error, "%s proves nothing: %s", work->file, where.text);
        return fail_hint(&run->failure,
                         "ask whoever gave it to you for the file as it was made; if it stays so, do not believe it");
    }
    memcpy(findings.gaps, report.gaps, sizeof findings.gaps);
    TRY(pin_keys(run, work, &findings));
    return show_findings(run, work, &findings);
}

/* ---- what kind of file it is ---- */

static const struct reader {
    const struct object *object; /* whose bytes the file holds */
    enum error (*verify)(struct run *run, struct verifying *work);
} readers[] = {{&fraud_object, verify_fraud}, {&bundlefile_object, verify_bundle}};

enum { TWO_FIELDS = 0xa2 }; /* how a bundlefile begins, and no proof of fraud */

/* The first kind that it decodes as; of a damaged file: what is wrong with it as the first kind. */
static enum error verify_any(struct run *run, struct verifying *work) {
    union {
        struct fraud fraud;
        struct bundlefile bundlefile;
    } value;
    if (work->card_path) TRY(guest_read_card(work->card_path, &work->card, &run->failure));
    TRY(files_read(work->file, PROOF_FILE_MAX, &work->bytes, &run->failure));
    for (size_t i = 0; i < LENGTH(readers); i++)
        if (codec_decode(readers[i].object, buf_bytes(&work->bytes), &value) == E_OK)
            return readers[i].verify(run, work);
    if (work->bytes.n > 0 && work->bytes.p[0] == TWO_FIELDS) return verify_bundle(run, work);
    enum error error = codec_decode(readers[0].object, buf_bytes(&work->bytes), &value);
    fail(&run->failure, error, "%s is no proof", work->file);
    return fail_hint(&run->failure,
                     "name a file that `pouch evidence` has written, or a .proof file, as pouch or a witness has "
                     "written it in its home's folder proofs; if it is one, it was damaged on its way");
}

static bool take_key(struct verifying *work, const char *hex) {
    if (work->key_count == KEYS_MAX) return false;
    return text_unhex(bytes_text(hex), work->keys[work->key_count++], KEY_SIZE) == E_OK;
}

int verify_verify(struct run *run) {
    AUTO_FREE(struct verifying) work = calloc(1, sizeof *work);
    if (!work) return run_fail(run, E_NO_MEMORY);
    for (int id; (id = run_next(run)) != CLI_END;) {
        if (id == OPTION_CARD)
            work->card_path = run->args.value;
        else if (id == OPTION_HTML)
            work->html = run->args.value;
        else if (id == OPTION_KEY && !take_key(work, run->args.value))
            return run_usage_text(run, "--key takes 64 hex digits, as a card's lines have them; at most %d of them",
                                  KEYS_MAX);
        else if (id == OPTION_KEY)
            continue;
        else if (id == CLI_WORD && !work->file)
            work->file = run->args.value;
        else
            return run_usage(run);
    }
    if (!work->file) return run_usage_text(run, "FILE is needed");
    enum error error = verify_any(run, work);
    buf_free(&work->bytes);
    return error == E_OK ? 0 : run_fail(run, error);
}
