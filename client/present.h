/* present.h - how things look: tables, markings, times and progress for people; JSON for scripts.
 *
 * struct look says what the output can show: colour only on a terminal that wants it (NO_COLOR, --no-color, TERM=dumb), local
 * time and cutting to the window's width only on a terminal. Every text that came from elsewhere passes through
 * text_for_terminal before a person sees it; JSON carries it whole, as JSON strings. */
#ifndef PRESENT_H
#define PRESENT_H

#include <jansson.h>
#include <stdio.h>

#include "libpouch.h"

struct look {
    bool terminal, color;
    size_t width; /* of the window; 0: no limit */
};
struct look look_of(FILE *out, bool no_color);

enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_LOUD, STYLE_TLP /* + enum tlp */ };

/* Columns on a terminal that a zero-terminated UTF-8 text takes. */
size_t present_width(const char *text);
/* Foreign text in one style; many_lines: line ends stay. */
void present_text(FILE *out, const struct look *look, unsigned style, struct bytes text, bool many_lines);
/* "TLP:AMBER", with its colour where there is colour; "-" without a marking. */
void present_tlp(FILE *out, const struct look *look, bool has, enum tlp tlp);
/* EXERCISE, across the line, when it is one. */
void present_exercise(FILE *out, const struct look *look, bool exercise);

/* ---- tables ---- */
struct cell {
    char *text;
    unsigned style;
};
struct table {
    const char *const *heads; /* one a column; its last character '>' aligns to the right */
    size_t columns;
    size_t elastic; /* the column that is cut when the window is too narrow */
    struct cell *cells;
    size_t count, cap;
    bool failed;
};
void table_add(struct table *table, unsigned style, const char *format, ...) __attribute__((format(printf, 3, 4)));
void table_print(const struct table *table, FILE *out, const struct look *look);
void table_free(struct table *table);
#define AUTO_TABLE __attribute__((cleanup(table_free))) struct table

/* ---- times ---- */
enum { TIME_SIZE = 80 };
/* ISO 8601 in UTC: 2026-01-31T12:00:00Z. An unset time (0) gives "-". */
const char *present_utc(struct instant time, char out[static TIME_SIZE]);
/* For people: local time with its offset, and UTC: "2026-01-31 13:00 +01:00 (12:00Z)"; UTC only off a terminal. */
const char *present_time(const struct look *look, struct instant time, char out[static TIME_SIZE]);

/* ---- JSON ---- */
json_t *present_json_text(struct bytes text);   /* what is not UTF-8 becomes U+FFFD */
json_t *present_json_time(struct instant time); /* null when unset */
json_t *present_json_id(const uint8_t digest[static HASH_SIZE]);
json_t *present_json_request(const struct request_view *view); /* a line of inbox and sent */
json_t *present_json_legs(const struct request_view *view);    /* [{"to", "state"}] */
json_t *present_json_event(const struct event_view *event);
/* "witnessed", "quorum" and "witnesses": [{"name", "size", "time", "current"}] into the object. */
void present_json_freshness(json_t *object, const struct freshness_view *view);
/* One object on one line, and frees it. False when memory or the output failed. */
bool present_json(FILE *out, json_t *object);

/* How fresh the directory is, in one line: "cosigned by 2 of the 2 witnesses asked for", "freshness unproven: ..." */
void present_freshness(const struct freshness_view *view, char *ret, size_t size);

/* What a leg's state is called: as in leg.def, or "refused" when the relay refused it for good. */
const char *present_leg_state(const struct leg_view *leg);
/* Why it does not go on, for people: the relay's refusal, or that nobody there can open it; NULL when it goes on. */
const char *present_leg_trouble(const struct leg_view *leg);
/* The reason's number is an error's (enum error). */
bool present_is_error(enum leg_event event);
/* The reason in words: its number means something else with each event. */
const char *present_reason(enum leg_event event, uint64_t reason);
/* Who brought the leg to its state: "relay", "machine" or "officer"; empty when nothing has happened yet. */
const char *present_speaker(const struct leg_view *leg);
/* Who of the two sides agrees that it may be shown to others: "fj/technical and de/national", a post, or "nobody yet". */
void present_consents(const struct request_view *view, const struct leg_view *leg, char *ret, size_t size);
/* What the standing policy has made of it, in words; empty when there is nothing to tell. */
void present_policy(const struct request_view *view, char *ret, size_t size);
/* The one state of all legs, or "mixed". */
const char *present_state(const struct request_view *view);
void present_id(const uint8_t digest[static HASH_SIZE], char out[static 2 * TEXT_ID_BYTES + 1]);

/* ---- progress ---- */
/* A bar on stderr, on a terminal, for what takes longer than a second. context: struct bar, zeroed. */
struct bar {
    struct instant begun;
    bool shown;
};
void bar_report(void *context, const char *what, uint64_t done, uint64_t total);
void bar_end(struct bar *bar);

#endif
