/* bound.h - the two halves of the bound: the skeleton relay (bound_relay.c), and clients with the measuring itself (bound.c). */
#ifndef BENCH_BOUND_H
#define BENCH_BOUND_H

#include <sqlite3.h>
#include <time.h>

#include "letter.h"

enum {
    WINDOW = 8, /* letters of a client under way, and under one signature */
    CLIENTS_MAX = 32,
    BATCH = 256,    /* frames a commit: as the relay */
    SIGNATURES = 3, /* a commit */
    EVIDENCE_CHECKS = 12,
    /* Bytes of what is not made here, as the relay's own are with 100,000 entries. */
    RECEIPT = 1600, /* statement, record, head, path */
    QUESTION = 60,
    HINT = 40,
    FEED_ROW = 40,
    COMMITTED = 160, /* what the relay's signatures cover */
};

/* What a frame asks for; its first byte. */
enum kind { SUBMIT = 'S', GETFEED = 'F', STATE = 'A', HANDED_OVER = 'H', GETCHANGES = 'C', ECHO = 'E' };

enum phase { CONNECTING, MEASURED, ALONE, END };

/* Memory of all processes. */
struct bound_shared {
    _Atomic unsigned ready, done, phase;
    uint64_t relay_us, letters[CLIENTS_MAX], client_us[CLIENTS_MAX];
    uint8_t curve[KEY_SIZE], curve_secret[KEY_SIZE];
    char address[128];
};

struct bound_task {
    const char *folder;
    size_t size;
    double seconds;
    unsigned clients;
    struct bound_shared *shared;
    struct letter_ends ends;
    struct letter letter; /* a sample: sizes */
    struct letter_room room;
    struct buf flat;
};

static inline void bound_must(enum error error, const char *what) {
    if (error != E_OK) letter_die("bound: %s: %s", what, error_text(error));
}

static inline uint64_t bound_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Serves until shared->phase is END; relay_us is the processor time of the phase MEASURED. */
void bound_relay(const struct bound_task *task);
/* A socket that drops nothing. */
void *bound_socket(void *context, int type);
/* The signatures of header and wrap set. */
void bound_verify(const struct bound_task *task, const struct letter *letter);

struct bound_rows {
    sqlite3 *db;
    sqlite3_stmt *add;
};
void bound_rows_open(const char *folder, struct bound_rows *ret);
void bound_rows_close(struct bound_rows *rows);
void bound_sql(struct bound_rows *rows, const char *text);
/* All rows of a letter that was submitted; in a transaction. */
void bound_put_letter(struct bound_rows *rows, const struct letter *letter);

#endif
