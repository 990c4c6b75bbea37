/* power.c - the VFS that takes notes, and the images made of them. */
#include "power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum file { MAIN, JOURNAL, FILES };
enum what { WRITE, TRUNCATE, SYNC, DELETE };

struct operation {
    enum what what;
    enum file file;
    size_t at, n; /* truncation: n is the new length */
    uint8_t *data;
};

struct mark {
    size_t operation, begun; /* noted before the answer; before the transaction */
    uint8_t rows[HASH_SIZE];
};

static struct {
    sqlite3_vfs *real;
    char path[512], journal[520];
    bool noting;
    struct buf base[FILES];
    struct operation *operations;
    size_t count, cap;
    struct mark *marks;
    size_t mark_count;
} power;

/* ---- the VFS ---- */

struct shim {
    sqlite3_file file;
    enum file which;
    bool watched;
    sqlite3_file *real; /* lies behind this */
};

static sqlite3_file *real_of(sqlite3_file *file) { return ((struct shim *)(void *)file)->real; }

static void note(enum what what, enum file file, size_t at, const void *data, size_t n) {
    if (!power.noting) return;
    if (power.count == power.cap) {
        power.cap = power.cap ? 2 * power.cap : 1024;
        power.operations = realloc(power.operations, power.cap * sizeof *power.operations);
        assert_non_null(power.operations);
    }
    struct operation *operation = &power.operations[power.count++];
    *operation = (struct operation){what, file, at, n, NULL};
    if (what != WRITE) return;
    operation->data = malloc(n);
    assert_non_null(operation->data);
    memcpy(operation->data, data, n);
}

static void note_of(sqlite3_file *file, enum what what, size_t at, const void *data, size_t n) {
    const struct shim *shim = (const struct shim *)(const void *)file;
    if (shim->watched) note(what, shim->which, at, data, n);
}

static int shim_close(sqlite3_file *file) { return real_of(file)->pMethods->xClose(real_of(file)); }
static int shim_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at) {
    return real_of(file)->pMethods->xRead(real_of(file), out, n, at);
}
static int shim_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at) {
    int code = real_of(file)->pMethods->xWrite(real_of(file), data, n, at);
    if (code == SQLITE_OK) note_of(file, WRITE, (size_t)at, data, (size_t)n);
    return code;
}
static int shim_truncate(sqlite3_file *file, sqlite3_int64 size) {
    int code = real_of(file)->pMethods->xTruncate(real_of(file), size);
    if (code == SQLITE_OK) note_of(file, TRUNCATE, 0, NULL, (size_t)size);
    return code;
}
static int shim_sync(sqlite3_file *file, int flags) {
    int code = real_of(file)->pMethods->xSync(real_of(file), flags);
    if (code == SQLITE_OK) note_of(file, SYNC, 0, NULL, 0);
    return code;
}
static int shim_size(sqlite3_file *file, sqlite3_int64 *ret) {
    return real_of(file)->pMethods->xFileSize(real_of(file), ret);
}
static int shim_lock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xLock(real_of(file), lock); }
static int shim_unlock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xUnlock(real_of(file), lock); }
static int shim_reserved(sqlite3_file *file, int *ret) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret);
}
static int shim_control(sqlite3_file *file, int what, void *value) {
    return real_of(file)->pMethods->xFileControl(real_of(file), what, value);
}
static int shim_sector(sqlite3_file *file) { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
static int shim_traits(sqlite3_file *file) { return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file)); }
static int shim_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret) {
    return real_of(file)->pMethods->xShmMap(real_of(file), region, size, extend, ret);
}
static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}
static void shim_shm_barrier(sqlite3_file *file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }
static int shim_shm_unmap(sqlite3_file *file, int remove) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

/* Version 2: no memory-mapped reading, so that no write goes by. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_traits,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
    struct shim *shim = (struct shim *)(void *)file;
    (void)vfs;
    *shim = (struct shim){.real = (sqlite3_file *)(void *)(shim + 1)};
    int code = power.real->xOpen(power.real, name, shim->real, flags, ret_flags);
    if (code != SQLITE_OK) return code;
    shim->file.pMethods = &methods;
    bool journal = name && strcmp(name, power.journal) == 0;
    shim->which = journal ? JOURNAL : MAIN;
    shim->watched = journal || (name && strcmp(name, power.path) == 0);
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
    (void)vfs;
    int code = power.real->xDelete(power.real, name, sync);
    if (code == SQLITE_OK && strcmp(name, power.journal) == 0) note(DELETE, JOURNAL, 0, NULL, 0);
    return code;
}

static sqlite3_vfs shim_vfs;

static void load(const char *path, struct buf *ret) {
    uint8_t room[65536];
    size_t n;
    FILE *file = fopen(path, "re");
    if (!file) return;
    while ((n = fread(room, 1, sizeof room, file)) > 0) buf_add(ret, room, n);
    fclose(file);
    assert_false(ret->failed);
}

void power_begin(const char *path) {
    snprintf(power.path, sizeof power.path, "%s", path);
    snprintf(power.journal, sizeof power.journal, "%s-wal", path);
    if (!power.real) {
        power.real = sqlite3_vfs_find(NULL);
        shim_vfs = *power.real;
        shim_vfs.zName = "power";
        shim_vfs.szOsFile = (int)sizeof(struct shim) + power.real->szOsFile;
        shim_vfs.xOpen = vfs_open;
        shim_vfs.xDelete = vfs_delete;
        assert_int_equal(sqlite3_vfs_register(&shim_vfs, 1), SQLITE_OK);
    }
    load(power.path, &power.base[MAIN]);
    load(power.journal, &power.base[JOURNAL]);
    power.noting = true;
}

void power_stop(void) { power.noting = false; }

void power_end(void) {
    for (size_t i = 0; i < power.count; i++) free(power.operations[i].data);
    free(power.operations);
    free(power.marks);
    for (unsigned i = 0; i < FILES; i++) buf_free(&power.base[i]);
    power.operations = NULL;
    power.marks = NULL;
    power.count = power.cap = power.mark_count = 0;
    power.noting = false;
    power.path[0] = power.journal[0] = 0;
}

size_t power_count(void) { return power.count; }
bool power_is_sync(size_t operation) { return power.operations[operation].what == SYNC; }

/* ---- all rows ---- */

static void add(crypto_generichash_state *state, const void *p, size_t n) {
    uint64_t length = n;
    crypto_generichash_update(state, (const uint8_t *)&length, sizeof length);
    crypto_generichash_update(state, p, n);
}

static bool add_rows(sqlite3 *db, const char *sql, crypto_generichash_state *state) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            int type = sqlite3_column_type(statement, i);
            add(state, &type, sizeof type);
            const void *p = sqlite3_column_blob(statement, i);
            add(state, p ? p : "", (size_t)sqlite3_column_bytes(statement, i));
        }
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE;
}

static bool add_tables(sqlite3 *db, crypto_generichash_state *state) {
    sqlite3_stmt *tables = NULL;
    bool good = add_rows(db, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name", state);
    int code =
        sqlite3_prepare_v2(db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name", -1, &tables, NULL);
    while (good && code == SQLITE_OK && sqlite3_step(tables) == SQLITE_ROW) {
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", (const char *)sqlite3_column_text(tables, 0));
        good = add_rows(db, sql, state);
    }
    sqlite3_finalize(tables);
    return good && code == SQLITE_OK;
}

static bool is_sound(sqlite3 *db) {
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW &&
                strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    sqlite3_finalize(statement);
    return good;
}

static bool rows_of(const char *path, bool check, uint8_t ret[static HASH_SIZE]) {
    sqlite3 *db = NULL;
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    bool good = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK && (!check || is_sound(db)) &&
                add_tables(db, &state);
    sqlite3_close(db);
    crypto_generichash_final(&state, ret, HASH_SIZE);
    return good;
}

void power_mark(void) {
    power.marks = realloc(power.marks, (power.mark_count + 1) * sizeof *power.marks);
    assert_non_null(power.marks);
    struct mark *mark = &power.marks[power.mark_count];
    mark->operation = power.count;
    mark->begun = power.mark_count ? mark[-1].operation : 0;
    assert_true(rows_of(power.path, false, mark->rows));
    power.mark_count++;
}

/* ---- images ---- */

enum fate { NOTHING, EVERYTHING, CHANCE };

static uint64_t next(uint64_t *state) { /* xorshift: only so that a seed repeats a run */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void put(struct buf *image, size_t at, const uint8_t *data, size_t n) {
    if (image->n < at + n) {
        size_t more = at + n - image->n;
        uint8_t *zeros = buf_extend(image, more);
        assert_non_null(zeros);
        memset(zeros, 0, more);
    }
    memcpy(image->p + at, data, n);
}

static void apply(struct buf *image, const struct operation *operation) {
    if (operation->what == WRITE) put(image, operation->at, operation->data, operation->n);
    if (operation->what == DELETE) image->n = 0;
    if (operation->what == TRUNCATE && image->n > operation->n) image->n = operation->n;
}

/* Each sector has its own fate. */
static void apply_some(struct buf *image, const struct operation *operation, uint64_t *chance) {
    if (operation->what != WRITE) {
        if (next(chance) % 2) apply(image, operation);
        return;
    }
    for (size_t done = 0; done < operation->n;) {
        size_t at = operation->at + done, n = POWER_SECTOR - at % POWER_SECTOR;
        if (n > operation->n - done) n = operation->n - done;
        unsigned fate = (unsigned)(next(chance) % 8);
        if (fate < 4) put(image, at, operation->data + done, fate == 0 ? n / 2 : n);
        done += n;
    }
}

static void write_image(const char *path, const struct buf *image) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(image->p ? image->p : (const uint8_t *)"", 1, image->n, file), image->n);
    assert_int_equal(fclose(file), 0);
}

static size_t last_sync(enum file file, size_t cut) {
    while (cut > 0 && (power.operations[cut - 1].file != file || power.operations[cut - 1].what != SYNC)) cut--;
    return cut;
}

static void make_file(const char *path, enum file file, size_t cut, const struct power_trial *trial, enum fate fate,
                      uint64_t *chance) {
    struct buf image = {0};
    size_t safe = trial->lying ? 0 : last_sync(file, cut);
    buf_add_bytes(&image, buf_bytes(&power.base[file]));
    for (size_t i = 0; i < cut; i++) {
        const struct operation *operation = &power.operations[i];
        if (operation->file != file || operation->what == SYNC) continue;
        if (i < safe || fate == EVERYTHING)
            apply(&image, operation);
        else if (fate == CHANCE)
            apply_some(&image, operation, chance);
    }
    unlink(path);
    if (file == MAIN || image.n > 0) write_image(path, &image);
    buf_free(&image);
}

/* The newest state that somebody was told of by then. */
static size_t told_by(size_t cut, const struct power_trial *trial) {
    size_t told = 0;
    for (size_t i = 1; i < power.mark_count; i++)
        if ((trial->hasty ? power.marks[i].begun : power.marks[i].operation) <= cut) told = i;
    return told;
}

static const char *judge(const char *path, size_t told, bool (*open)(const char *path)) {
    uint8_t rows[HASH_SIZE];
    if (!open(path)) return "it does not open";
    if (!rows_of(path, true, rows)) return "it is damaged";
    for (size_t i = told; i <= told + 1 && i < power.mark_count; i++)
        if (memcmp(rows, power.marks[i].rows, HASH_SIZE) == 0) return NULL;
    return "it has neither what was answered nor the whole next batch";
}

void power_try(const struct power_trial *trial, bool (*open)(const char *path), struct power_found *ret) {
    char path[560], journal[576], shared[576];
    uint64_t chance;
    crypto_generichash((uint8_t *)&chance, sizeof chance, (const uint8_t *)&trial->seed, sizeof trial->seed, NULL, 0);
    chance |= 1;
    *ret = (struct power_found){0};
    snprintf(path, sizeof path, "%s.image", power.path);
    snprintf(journal, sizeof journal, "%s-wal", path);
    snprintf(shared, sizeof shared, "%s-shm", path);
    size_t first = power.marks[0].operation;
    for (unsigned i = 0; i < trial->images; i++) {
        /* Every third moment is just before or after a sync, where the promises change. */
        size_t cut = first + next(&chance) % (power.count - first + 1);
        if (i % 3 == 0) cut = last_sync(next(&chance) % 2 ? MAIN : JOURNAL, cut) + next(&chance) % 2;
        if (cut < first) cut = first;
        if (cut > power.count) cut = power.count;
        enum fate fate = i % 5 == 0 ? NOTHING : i % 5 == 1 ? EVERYTHING : CHANCE;
        make_file(path, MAIN, cut, trial, fate, &chance);
        make_file(journal, JOURNAL, cut, trial, fate, &chance);
        unlink(shared);
        const char *wrong = judge(path, told_by(cut, trial), open);
        ret->images++;
        ret->torn += fate == CHANCE;
        if (wrong && ret->lost++ == 0)
            snprintf(ret->first, sizeof ret->first, "image %u of seed %llu, cut after operation %zu of %zu: %s", i,
                     (unsigned long long)trial->seed, cut, power.count, wrong);
    }
    unlink(path);
    unlink(journal);
    unlink(shared);
}

struct power_trial power_trial_of_environment(unsigned images, unsigned images_long) {
    const char *seed = getenv("POUCH_SEED"), *longer = getenv("POUCH_LONG");
    struct power_trial trial = {.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL),
                                .images = longer ? images_long : images};
    print_message("seed %llu, %u images\n", (unsigned long long)trial.seed, trial.images);
    return trial;
}
