/* public.c - the public directory: only what its owners made public, as one JSON object or one HTML page that needs
 * nothing beside it - no script, no picture, no network - and prints on A4. Parties and posts without a public sheet
 * are not in it. */
#include <stdio.h>

#include "../html.h"
#include "../words.h"
#include "cards.h"
#include "commands.h"
#include "moment.h"
#include "text.h"

struct listed {
    const struct directory_post *post;
    json_t *fields; /* name -> value */
};

struct listing {
    struct listed *posts;
    size_t count;
    struct instant now;
    struct phrase phrase;
};

static void listing_free(struct listing *listing) {
    for (size_t i = 0; i < listing->count; i++) json_decref(listing->posts[i].fields);
    free(listing->posts);
}

/* ---- gathering ---- */

static int by_party(const void *a, const void *b) {
    const struct listed *one = a, *other = b;
    int order = strcmp(one->post->party->title, other->post->party->title);
    if (order == 0) order = strcmp(one->post->party->name, other->post->party->name);
    return order ? order : strcmp(one->post->name, other->post->name);
}

/* A time that has passed is nobody's absence any more. */
static bool is_past(const struct contact_card *card, enum contact_field field, struct instant now) {
    struct instant until;
    return (field == CONTACT_AWAY_UNTIL || field == CONTACT_STAND_IN) && !cards_is_away(card, now, &until);
}

static enum error add_post(struct listing *listing, const struct directory_post *post,
                           const struct contact_card *card) {
    json_t *fields = json_object();
    for (size_t i = 0; i < card->count; i++)
        if (!is_past(card, card->entries[i].field, listing->now))
            json_object_set_new(fields, contact_field_row(card->entries[i].field)->name,
                                present_json_text(bytes_text(card->entries[i].value)));
    struct listed *posts = realloc(listing->posts, (listing->count + 1) * sizeof *posts);
    if (!posts || !fields) {
        json_decref(fields);
        if (posts) listing->posts = posts;
        return E_NO_MEMORY;
    }
    listing->posts = posts;
    posts[listing->count++] = (struct listed){post, fields};
    return E_OK;
}

static enum error gather_posts(struct run *run, struct listing *listing, struct contact_card *card) {
    const struct directory_post *post;
    for (size_t i = 0; (post = directory_post_nth(run->home.directory, i)); i++) {
        if (!post->party->admitted || post->party->departed || post->party->suspended) continue;
        TRY(cards_load_public(&run->home, post->name, card));
        if (card->count > 0) TRY(add_post(listing, post, card));
    }
    if (listing->count > 1) qsort(listing->posts, listing->count, sizeof *listing->posts, by_party);
    return E_OK;
}

static enum error gather(struct run *run, struct listing *listing) {
    struct contact_card *card = malloc(sizeof *card);
    enum error error = card ? client_phrase(&run->home, 0, &listing->phrase, &run->failure) : E_NO_MEMORY;
    listing->now = moment_now();
    if (error == E_OK) error = gather_posts(run, listing, card);
    free(card);
    return error;
}

static bool same_party(const struct listing *listing, size_t i, size_t j) {
    return i < listing->count && listing->posts[i].post->party == listing->posts[j].post->party;
}

/* ---- JSON ---- */

static enum error write_json(const struct run *run, const struct listing *listing, struct buf *out) {
    char root[2 * HASH_SIZE + 1];
    json_t *parties = json_array(), *posts = NULL;
    text_hex(listing->phrase.root, HASH_SIZE, root);
    for (size_t i = 0; i < listing->count; i++) {
        const struct directory_post *post = listing->posts[i].post;
        if (i == 0 || !same_party(listing, i - 1, i)) {
            posts = json_array();
            json_array_append_new(parties,
                                  json_pack("{s:s, s:o, s:o}", "party", post->party->name, "name",
                                            present_json_text(bytes_text(post->party->title)), "posts", posts));
        }
        json_array_append_new(posts, json_pack("{s:s, s:O}", "post", post->name, "fields", listing->posts[i].fields));
    }
    json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:o, s:o}", "relay", run->home.card.name, "size",
                               (json_int_t)listing->phrase.size, "root", root, "digits", listing->phrase.digits, "at",
                               present_json_time(listing->now), "parties", parties);
    char *text =
        object ? json_dumps(object, JSON_ENSURE_ASCII | (run->cli.json ? JSON_COMPACT : JSON_INDENT(2))) : NULL;
    json_decref(object);
    if (!text) return E_NO_MEMORY;
    buf_add_bytes(out, bytes_text(text));
    buf_add_bytes(out, bytes_text("\n"));
    free(text);
    return buf_error(out);
}

/* ---- HTML ---- */

static const char style[] =
    ":root{color-scheme:light;--ink:#1b2430;--soft:#5a6675;--line:#d5dbe3;--band:#0b3d66;--back:#f5f7fa}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,\"Segoe UI\",\"Noto Sans\",\"Noto "
    "Sans "
    "Arabic\",\"Liberation Sans\",sans-serif}\n"
    "header{background:var(--band);color:#fff;padding:1.6rem max(1rem,calc(50% - 30rem))}\n"
    "header h1{margin:0;font-size:1.7rem;font-weight:600}\n"
    "header p{margin:.3rem 0 0;color:#cfdceb}\n"
    "main,footer{max-width:62rem;margin:0 auto;padding:0 1rem}\n"
    "section{margin:1.8rem 0}\n"
    "h2{margin:0 0 .7rem;font-size:1.25rem;border-bottom:2px solid var(--band);padding-bottom:.25rem}\n"
    "h2 small{color:var(--soft);font-weight:400;font-size:.9rem;margin-inline:.5rem}\n"
    ".posts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,28rem),1fr));gap:1rem;align-items:"
    "start}\n"
    "article{background:#fff;border:1px solid var(--line);border-radius:6px;padding:.9rem 1.1rem}\n"
    "h3{margin:0 0 .5rem;font-size:1rem}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0;font-size:.95rem}\n"
    "dt{color:var(--soft)}\n"
    "dd{margin:0;min-width:0;justify-self:start;overflow-wrap:anywhere}\n"
    "a{color:inherit}\n"
    ".away{color:#8a3b00;font-weight:600}\n"
    "footer{color:var(--soft);font-size:.85rem;padding-bottom:2rem;border-top:1px solid var(--line);padding-top:1rem}\n"
    "footer p{margin:.3rem 0}\n"
    ".digits{font-family:ui-monospace,\"DejaVu Sans Mono\",monospace}\n"
    "@page{size:A4;margin:16mm 14mm}\n"
    "@media print{body{background:#fff;font-size:10pt}header{background:none;color:var(--ink);padding:0 0 3mm;"
    "border-bottom:1pt solid var(--ink)}header p{color:var(--soft)}main,footer{max-width:none;padding-left:0;"
    "padding-right:0}article,h2{break-inside:avoid}h2{break-after:avoid}.posts{grid-template-columns:1fr 1fr}"
    "section{margin:5mm 0}a{text-decoration:none}}\n";

static void put_text(struct buf *out, const char *text) { html_text(out, bytes_text(text), false); }

/* RFC 3986: what is not unreserved, in percent; the @ of an address stays. */
static void put_link(struct buf *out, const char *scheme, const char *text, const char *also) {
    html_format(out, "<a href=\"%s:", scheme);
    for (const char *c = text; *c; c++) {
        bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr(also, *c);
        if (plain)
            buf_add(out, c, 1);
        else if (strcmp(scheme, "tel") != 0) /* RFC 3966: separators may go */
            html_format(out, "%%%02X", (unsigned)(uint8_t)*c);
    }
    html_put(out, "\">");
    put_text(out, text);
    html_put(out, "</a>");
}

static void put_languages(struct buf *out, const char *value) {
    struct bytes list = bytes_text(value), tag;
    char name[64];
    for (bool first = true; contact_list_next(&list, &tag); first = false) {
        words_language(tag, name, sizeof name);
        if (!first) html_put(out, ", ");
        put_text(out, name);
    }
}

static void put_value(struct buf *out, const struct contact_field_row *row, const char *value) {
    if (row->form == FORM_EMAIL)
        put_link(out, "mailto", value, "@._-+");
    else if (row->form == FORM_PHONE && !strstr(value, "ext"))
        put_link(out, "tel", value, "+");
    else if (row->form == FORM_LANGUAGES)
        put_languages(out, value);
    else
        put_text(out, value);
}

/* "time-zone" -> "Time zone"; but "E-mail", "Stand-in" */
static void put_label(struct buf *out, const struct contact_field_row *row) {
    bool hyphen = row->field == CONTACT_EMAIL || row->field == CONTACT_STAND_IN;
    for (const char *c = row->name; *c; c++) {
        char letter = *c == '-' && !hyphen ? ' ' : *c;
        if (c == row->name && letter >= 'a' && letter <= 'z') letter = (char)(letter - 'a' + 'A');
        buf_add(out, &letter, 1);
    }
}

static void put_post(struct buf *out, const struct listed *listed) {
    html_put(out, "<article>\n<h3>");
    put_text(out, listed->post->name);
    html_put(out, "</h3>\n<dl>\n");
    for (const struct contact_field_row *row = contact_field_rows; row->name; row++) {
        const char *value = json_string_value(json_object_get(listed->fields, row->name));
        if (!value) continue;
        html_put(out, "<dt>");
        put_label(out, row);
        html_format(out, "</dt><dd dir=\"auto\"%s>", row->field == CONTACT_AWAY_UNTIL ? " class=\"away\"" : "");
        put_value(out, row, value);
        html_put(out, "</dd>\n");
    }
    html_put(out, "</dl>\n</article>\n");
}

static void put_party(struct buf *out, const struct directory_party *party) {
    html_put(out, "<section>\n<h2 dir=\"auto\">");
    put_text(out, party->title);
    html_put(out, "<small dir=\"ltr\">");
    put_text(out, party->name);
    html_put(out, "</small></h2>\n<div class=\"posts\">\n");
}

static enum error write_html(const struct run *run, const struct listing *listing, struct buf *out) {
    char time[TIME_SIZE];
    html_begin(out);
    html_put(out, "Points of contact: ");
    put_text(out, run->home.card.name);
    html_style(out, style);
    html_put(out, "<header>\n<h1>Points of contact</h1>\n<p>");
    put_text(out, run->home.card.name);
    html_format(out, ", %s</p>\n</header>\n<main>\n", present_utc(listing->now, time));
    if (listing->count == 0) html_put(out, "<p>No post has made anything public.</p>\n");
    for (size_t i = 0; i < listing->count; i++) {
        if (i == 0 || !same_party(listing, i - 1, i)) put_party(out, listing->posts[i].post->party);
        put_post(out, &listing->posts[i]);
        if (!same_party(listing, i + 1, i)) html_put(out, "</div>\n</section>\n");
    }
    html_put(out, "</main>\n<footer>\n<p>Here stands what the posts themselves have made public, and nothing else. Times "
             "are UTC.</p>\n");
    html_format(out, "<p>Directory: %llu entries, <span class=\"digits\">%s</span></p>\n</footer>\n</body>\n</html>\n",
               (unsigned long long)listing->phrase.size, listing->phrase.digits);
    return buf_error(out);
}

enum error command_export_public(struct run *run, bool html, struct buf *out) {
    __attribute__((cleanup(listing_free))) struct listing listing = {0};
    TRY(gather(run, &listing));
    return html ? write_html(run, &listing, out) : write_json(run, &listing, out);
}
