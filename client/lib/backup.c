/* backup.c - keys and archive of a home into one sealed file, and back. */
#include "backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "codec.h"
#include "fault.h"
#include "files.h"
#include "home_files.h"
#include "label.h"
#include "moment.h"
#include "recovery.h"

enum {
    STREAM_HEADER = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    SEALED_CHUNK = CHUNK_PLAIN + crypto_secretstream_xchacha20poly1305_ABYTES,
    KEY_ID_SIZE = 16,
    INFO_MAX = 64 * 1024,
    IDENTITY_MAX = 256 * 1024,
    TIME_TEXT_SIZE = 17, /* 20260131T120000Z */
};
static const char backup_magic[] = "pouch backup 0\n";
enum { MAGIC_SIZE = sizeof backup_magic - 1, HEAD_SIZE = MAGIC_SIZE + KEY_ID_SIZE + STREAM_HEADER };
static const char backup_format[] = "pouch home 0";
static const char copy_name[] = "store.copy.new";

#include "codec_struct.h"
#include "backup.def"
#include "codec_undef.h"

#include "codec_declare.h"
#include "backup.def"
#include "codec_undef.h"

#include "codec_table.h"
#include "backup.def"
#include "codec_undef.h"

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}
#define AUTO_FD __attribute__((cleanup(close_fd))) int

static bool write_all(int fd, const uint8_t *p, size_t n) {
    while (n > 0) {
        ssize_t wrote = write(fd, p, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return false;
        p += wrote;
        n -= (size_t)wrote;
    }
    return true;
}

/* As many of n bytes as the file has; -1 on failure. */
static ssize_t read_full(int fd, uint8_t *p, size_t n) {
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(fd, p + have, n - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static enum error sync_folder(const char *folder, struct failure *failure) {
    AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? E_OK : files_failure(failure, folder);
}

static enum error stream_key(const struct secret *key, struct secret *ret) {
    struct bytes label = label_text(LABEL_BACKUP);
    TRY(secret_new(crypto_secretstream_xchacha20poly1305_KEYBYTES, ret));
    crypto_generichash(ret->p, ret->n, label.p, label.n, key->p, key->n);
    return E_OK;
}

static void key_id(const struct secret *key, uint8_t ret[static KEY_ID_SIZE]) {
    uint8_t digest[HASH_SIZE];
    label_digest(LABEL_BACKUP, bytes_of(key->p, key->n), digest);
    memcpy(ret, digest, KEY_ID_SIZE);
}

/* A name that a backup may bring into a home. */
static bool is_name(struct bytes name) {
    if (name.n == 0 || name.n > BACKUP_NAME_MAX || name.p[0] == '.') return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '-' && c != '_') return false;
    }
    return true;
}

static bool ends_with(const char *name, const char *ending) {
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

/* What belongs to the moment or to SQLite's own bookkeeping is not part of a home. */
static bool is_passing(const char *name) {
    static const char *const names[] = {"lock",
                                        "unfinished",
                                        RECOVERY_MARK,
                                        "store.sqlite",
                                        "store.sqlite-wal",
                                        "store.sqlite-shm",
                                        "store.sqlite-journal"};
    for (size_t i = 0; i < LENGTH(names); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return ends_with(name, ".new") || ends_with(name, ".backup") || ends_with(name, ".sheet.txt");
}

/* ---- what is packed ---- */

struct packed_file {
    char name[BACKUP_NAME_MAX + 1];
    char path[BACKUP_PATH_SIZE];
    uint64_t length;
    uint8_t digest[HASH_SIZE];
};

struct packing {
    struct home *home;
    struct packed_file *files; /* BACKUP_FILES_MAX */
    size_t count;
    struct instant created;
    const struct backup_order *order;
    struct failure *failure;
};

static enum error add_file(struct packing *packing, const char *name, const char *in_home) {
    if (packing->count == BACKUP_FILES_MAX)
        return fail(packing->failure, E_TOO_LARGE, "%s holds more files than a home has", packing->home->path);
    struct packed_file *file = &packing->files[packing->count];
    TRY(files_join(packing->home->path, in_home, file->path, sizeof file->path, packing->failure));
    snprintf(file->name, sizeof file->name, "%s", name);
    packing->count++;
    return E_OK;
}

static bool is_regular(const char *folder, const char *name) {
    char path[BACKUP_PATH_SIZE];
    struct stat stat;
    return files_join(folder, name, path, sizeof path, NULL) == E_OK && lstat(path, &stat) == 0 &&
           S_ISREG(stat.st_mode);
}

static int by_name(const void *x, const void *y) {
    return strcmp(((const struct packed_file *)x)->name, ((const struct packed_file *)y)->name);
}

static enum error list_home(struct packing *packing) {
    DIR *folder = opendir(packing->home->path);
    if (!folder) return files_failure(packing->failure, packing->home->path);
    enum error error = E_OK;
    for (const struct dirent *entry; error == E_OK && (entry = readdir(folder));) {
        const char *name = entry->d_name;
        if (is_name(bytes_text(name)) && !is_passing(name) && is_regular(packing->home->path, name))
            error = add_file(packing, name, name);
    }
    closedir(folder);
    if (error == E_OK && packing->home->archive) error = add_file(packing, "store.sqlite", copy_name);
    qsort(packing->files, packing->count, sizeof *packing->files, by_name);
    return error;
}

static enum error measure(struct packed_file *file, struct failure *failure) {
    AUTO_FD fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    AUTO_SECRET piece = {0};
    crypto_generichash_state state;
    TRY(secret_new(CHUNK_PLAIN, &piece));
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    file->length = 0;
    for (ssize_t got = 1; got > 0; file->length += (uint64_t)got) {
        got = fd < 0 ? -1 : read_full(fd, piece.p, piece.n);
        if (got < 0) return files_failure(failure, file->path);
        crypto_generichash_update(&state, piece.p, (size_t)got);
    }
    crypto_generichash_final(&state, file->digest, HASH_SIZE);
    return E_OK;
}

static enum error copy_store(struct packing *packing) {
    char path[BACKUP_PATH_SIZE];
    if (!packing->home->archive) return E_OK;
    TRY(files_join(packing->home->path, copy_name, path, sizeof path, packing->failure));
    if (unlink(path) != 0 && errno != ENOENT) return files_failure(packing->failure, path);
    enum error error = archive_copy(packing->home->archive, path);
    if (error == E_OK && chmod(path, 0600) != 0) error = E_IO;
    return error == E_OK ? E_OK : fail(packing->failure, error, "a copy of the local store, %s", path);
}

static void drop_copy(const struct home *home) {
    char path[BACKUP_PATH_SIZE];
    if (files_join(home->path, copy_name, path, sizeof path, NULL) == E_OK) (void)unlink(path);
}

static enum error encode_info(const struct packing *packing, struct buf *out) {
    AUTO_BUF files = {0};
    for (size_t i = 0; i < packing->count; i++) {
        struct backupfile file = {.name = bytes_text(packing->files[i].name), .length = packing->files[i].length};
        memcpy(file.digest, packing->files[i].digest, HASH_SIZE);
        backupfile_encode(&file, &files);
    }
    TRY(buf_error(&files));
    struct backupinfo info = {.format = bytes_text(backup_format),
                              .post = bytes_text(packing->home->post),
                              .created = packing->created,
                              .files = list_of(&files, packing->count)};
    backupinfo_encode(&info, out);
    TRY(buf_error(out));
    return out->n <= INFO_MAX ? E_OK : E_TOO_LARGE;
}

/* ---- writing ---- */

struct sink {
    int fd;
    const char *path;
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t head[HEAD_SIZE];
    struct secret plain; /* CHUNK_PLAIN: gathered */
    size_t n;
    uint8_t *sealed; /* SEALED_CHUNK */
    struct failure *failure;
};

static void sink_free(struct sink *sink) {
    sodium_memzero(&sink->state, sizeof sink->state);
    secret_free(&sink->plain);
    free(sink->sealed);
    close_fd(&sink->fd);
}

static enum error sink_open(struct sink *sink, const struct secret *key) {
    AUTO_SECRET derived = {0};
    TRY(stream_key(key, &derived));
    TRY(secret_new(CHUNK_PLAIN, &sink->plain));
    sink->sealed = malloc(SEALED_CHUNK);
    if (!sink->sealed) return E_NO_MEMORY;
    if (unlink(sink->path) != 0 && errno != ENOENT) return files_failure(sink->failure, sink->path);
    sink->fd = open(sink->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (sink->fd < 0) return files_failure(sink->failure, sink->path);
    memcpy(sink->head, backup_magic, MAGIC_SIZE);
    key_id(key, sink->head + MAGIC_SIZE);
    crypto_secretstream_xchacha20poly1305_init_push(&sink->state, sink->head + MAGIC_SIZE + KEY_ID_SIZE, derived.p);
    return write_all(sink->fd, sink->head, HEAD_SIZE) ? E_OK : files_failure(sink->failure, sink->path);
}

static enum error sink_chunk(struct sink *sink, uint8_t tag) {
    unsigned long long length = 0;
    crypto_secretstream_xchacha20poly1305_push(&sink->state, sink->sealed, &length, sink->plain.p, sink->n, sink->head,
                                               HEAD_SIZE, tag);
    sink->n = 0;
    return write_all(sink->fd, sink->sealed, (size_t)length) ? E_OK : files_failure(sink->failure, sink->path);
}

/* A full chunk waits until it is known whether it is the last. */
static enum error sink_add(struct sink *sink, const uint8_t *p, size_t n) {
    while (n > 0) {
        if (sink->n == CHUNK_PLAIN) TRY(sink_chunk(sink, crypto_secretstream_xchacha20poly1305_TAG_MESSAGE));
        size_t room = CHUNK_PLAIN - sink->n, some = n < room ? n : room;
        memcpy(sink->plain.p + sink->n, p, some);
        sink->n += some;
        p += some;
        n -= some;
    }
    return E_OK;
}

static enum error sink_file(struct sink *sink, const struct packed_file *file) {
    AUTO_FD fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    AUTO_SECRET piece = {0};
    TRY(secret_new(CHUNK_PLAIN, &piece));
    for (uint64_t left = file->length; left > 0;) {
        size_t want = left < piece.n ? (size_t)left : piece.n;
        ssize_t got = fd < 0 ? -1 : read_full(fd, piece.p, want);
        if (got < 0) return files_failure(sink->failure, file->path);
        if ((size_t)got != want) return fail(sink->failure, E_IO, "%s changed while it was read", file->path);
        TRY(sink_add(sink, piece.p, want));
        left -= want;
    }
    return E_OK;
}

static enum error sink_all(struct sink *sink, const struct packing *packing, const struct secret *key) {
    AUTO_BUF info = {0};
    TRY(encode_info(packing, &info));
    TRY(sink_open(sink, key));
    uint8_t length[4] = {(uint8_t)(info.n >> 24), (uint8_t)(info.n >> 16), (uint8_t)(info.n >> 8), (uint8_t)info.n};
    TRY(sink_add(sink, length, sizeof length));
    TRY(sink_add(sink, info.p, info.n));
    for (size_t i = 0; i < packing->count; i++) TRY(sink_file(sink, &packing->files[i]));
    TRY(sink_chunk(sink, crypto_secretstream_xchacha20poly1305_TAG_FINAL));
    return fsync(sink->fd) == 0 ? E_OK : files_failure(sink->failure, sink->path);
}

static enum error write_sealed(const struct packing *packing, const struct secret *key, const char *path) {
    struct sink sink = {.fd = -1, .path = path, .failure = packing->failure};
    enum error error = sink_all(&sink, packing, key);
    sink_free(&sink);
    if (error == E_OK || (packing->failure && packing->failure->error == error)) return error;
    return fail(packing->failure, error, "%s", path);
}

/* ---- reading ---- */

struct tap {
    int fd;
    const char *path;
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t head[HEAD_SIZE];
    struct secret plain;
    size_t at, n; /* of `plain`: read so far, and there */
    uint8_t *sealed;
    uint64_t offset; /* in the file */
    bool final;
    struct failure *failure;
};

static void tap_free(struct tap *tap) {
    sodium_memzero(&tap->state, sizeof tap->state);
    secret_free(&tap->plain);
    free(tap->sealed);
    close_fd(&tap->fd);
}

static enum error damaged(const struct tap *tap, const char *how) {
    return fail(tap->failure, E_CORRUPT, "%s, from byte %llu: %s", tap->path, (unsigned long long)tap->offset, how);
}

static enum error tap_open(struct tap *tap, const struct secret *key) {
    AUTO_SECRET derived = {0};
    uint8_t id[KEY_ID_SIZE];
    TRY(stream_key(key, &derived));
    TRY(secret_new(CHUNK_PLAIN, &tap->plain));
    tap->sealed = malloc(SEALED_CHUNK);
    if (!tap->sealed) return fail(tap->failure, E_NO_MEMORY, "%s", tap->path);
    tap->fd = open(tap->path, O_RDONLY | O_CLOEXEC);
    ssize_t got = tap->fd < 0 ? -1 : read_full(tap->fd, tap->head, HEAD_SIZE);
    if (got < 0) return files_failure(tap->failure, tap->path);
    if (got != HEAD_SIZE || memcmp(tap->head, backup_magic, MAGIC_SIZE) != 0)
        return damaged(tap, "it is no backup of this version");
    key_id(key, id);
    if (memcmp(tap->head + MAGIC_SIZE, id, KEY_ID_SIZE) != 0)
        return fail(tap->failure, E_BAD_BACKUP_KEY, "%s", tap->path);
    tap->offset = HEAD_SIZE;
    return crypto_secretstream_xchacha20poly1305_init_pull(&tap->state, tap->head + MAGIC_SIZE + KEY_ID_SIZE,
                                                           derived.p) == 0
               ? E_OK
               : damaged(tap, "its head");
}

static enum error tap_chunk(struct tap *tap) {
    unsigned long long length = 0;
    unsigned char tag = 0;
    if (tap->final) return damaged(tap, "it ends too early");
    ssize_t got = read_full(tap->fd, tap->sealed, SEALED_CHUNK);
    if (got < 0) return files_failure(tap->failure, tap->path);
    if (got < (ssize_t)crypto_secretstream_xchacha20poly1305_ABYTES) return damaged(tap, "it is cut short");
    if (crypto_secretstream_xchacha20poly1305_pull(&tap->state, tap->plain.p, &length, &tag, tap->sealed,
                                                   (unsigned long long)got, tap->head, HEAD_SIZE) != 0)
        return damaged(tap, "it was changed or cut short");
    tap->final = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    if (!tap->final && got != SEALED_CHUNK) return damaged(tap, "a chunk in its middle is short");
    tap->offset += (uint64_t)got;
    tap->at = 0;
    tap->n = (size_t)length;
    return E_OK;
}

/* Exactly n bytes. */
static enum error tap_read(struct tap *tap, uint8_t *to, size_t n) {
    while (n > 0) {
        if (tap->at == tap->n) TRY(tap_chunk(tap));
        size_t there = tap->n - tap->at, some = n < there ? n : there;
        memcpy(to, tap->plain.p + tap->at, some);
        tap->at += some;
        to += some;
        n -= some;
    }
    return E_OK;
}

static enum error tap_end(struct tap *tap) {
    uint8_t more;
    if (tap->at != tap->n || !tap->final) return damaged(tap, "there is more in it than it lists");
    return read_full(tap->fd, &more, 1) == 0 ? E_OK : damaged(tap, "something follows its end");
}

static enum error check_info(const struct tap *tap, const struct backupinfo *info) {
    struct list list = info->files;
    struct backupfile file;
    char before[BACKUP_NAME_MAX + 1] = "";
    bool identity = false, keys = false;
    if (!bytes_are(info->format, backup_format)) return damaged(tap, "its contents are of another version");
    while (backupfile_next(&list, &file)) {
        char name[BACKUP_NAME_MAX + 1] = "";
        if (!is_name(file.name)) return damaged(tap, "a file in it has a name that no home uses");
        memcpy(name, file.name.p, file.name.n);
        bool store = strcmp(name, "store.sqlite") == 0;
        if ((is_passing(name) && !store) || strcmp(before, name) >= 0)
            return damaged(tap, "a file in it has a name that no home uses");
        identity |= strcmp(name, "identity") == 0;
        keys |= strcmp(name, "keys") == 0;
        snprintf(before, sizeof before, "%s", name);
    }
    return identity && keys ? E_OK : damaged(tap, "it holds no home");
}

static enum error tap_info(struct tap *tap, struct buf *bytes, struct backupinfo *ret) {
    uint8_t length[4];
    TRY(tap_read(tap, length, sizeof length));
    size_t n = (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
    if (n > INFO_MAX) return damaged(tap, "its list of files");
    uint8_t *to = buf_extend(bytes, n);
    if (!to) return fail(tap->failure, E_NO_MEMORY, "%s", tap->path);
    TRY(tap_read(tap, to, n));
    if (backupinfo_decode(buf_bytes(bytes), ret) != E_OK) return damaged(tap, "its list of files");
    return check_info(tap, ret);
}

/* One file: to `fd` unless it is -1, to `memory` unless it is NULL. */
static enum error tap_file(struct tap *tap, const struct backupfile *file, int fd, const char *path,
                           struct buf *memory) {
    AUTO_SECRET piece = {0};
    uint8_t digest[HASH_SIZE];
    crypto_generichash_state state;
    TRY(secret_new(CHUNK_PLAIN, &piece));
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    for (uint64_t left = file->length; left > 0;) {
        size_t some = left < piece.n ? (size_t)left : piece.n;
        TRY(tap_read(tap, piece.p, some));
        crypto_generichash_update(&state, piece.p, some);
        if (fd >= 0 && !write_all(fd, piece.p, some)) return files_failure(tap->failure, path);
        if (memory) buf_add(memory, piece.p, some);
        left -= some;
    }
    crypto_generichash_final(&state, digest, HASH_SIZE);
    if (memcmp(digest, file->digest, HASH_SIZE) != 0) return damaged(tap, "a file in it is not the one it lists");
    return memory && memory->failed ? fail(tap->failure, E_NO_MEMORY, "%s", tap->path) : E_OK;
}

/* Where an unpacked file goes; home NULL: nowhere. */
static enum error unpack_file(struct tap *tap, const struct backupfile *file, const char *home, struct buf *identity) {
    char path[BACKUP_PATH_SIZE], name[BACKUP_NAME_MAX + 1] = "";
    if (!home) return tap_file(tap, file, -1, NULL, NULL);
    memcpy(name, file->name.p, file->name.n);
    if (strcmp(name, "identity") == 0)
        return file->length <= IDENTITY_MAX ? tap_file(tap, file, -1, NULL, identity)
                                            : damaged(tap, "its identity is too long");
    TRY(files_join(home, name, path, sizeof path, tap->failure));
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return files_failure(tap->failure, path);
    TRY(tap_file(tap, file, fd, path, NULL));
    return fsync(fd) == 0 ? E_OK : files_failure(tap->failure, path);
}

static enum error unpack_all(struct tap *tap, const struct secret *key, const char *home, struct buf *identity,
                             struct restore_done *ret) {
    AUTO_BUF bytes = {0};
    struct backupinfo info;
    struct backupfile file;
    TRY(tap_open(tap, key));
    TRY(tap_info(tap, &bytes, &info));
    struct list list = info.files;
    struct restore_done done = {.created = info.created, .files = info.files.count};
    memcpy(done.post, info.post.p, info.post.n);
    while (backupfile_next(&list, &file)) TRY(unpack_file(tap, &file, home, identity));
    TRY(tap_end(tap));
    *ret = done;
    return E_OK;
}

static enum error unpack(const char *path, const struct secret *key, const char *home, struct buf *identity,
                         struct restore_done *ret, struct failure *failure) {
    struct tap tap = {.fd = -1, .path = path, .failure = failure};
    enum error error = unpack_all(&tap, key, home, identity, ret);
    tap_free(&tap);
    return error;
}

enum error backup_check(const char *path, const struct secret *key, struct restore_done *ret, struct failure *failure) {
    return unpack(path, key, NULL, NULL, ret, failure);
}

/* ---- names in the folder ---- */

static void base_of(const char *post, char ret[static POST_MAX + 1]) {
    snprintf(ret, POST_MAX + 1, "%s", post);
    for (char *p = ret; *p; p++)
        if (*p == '/') *p = '-';
}

static void time_text(struct instant time, char ret[static TIME_TEXT_SIZE]) {
    time_t seconds = (time_t)(time.ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(ret, TIME_TEXT_SIZE, "%Y%m%dT%H%M%SZ", &parts);
}

/* pouch-BASE-TIME.backup: where TIME begins; NULL for any other name. */
static const char *time_in(const char *name) {
    static const char shape[] = "-ddddddddTddddddZ.backup";
    size_t n = strlen(name), m = sizeof shape - 1;
    if (n < m + 7 || strncmp(name, "pouch-", 6) != 0) return NULL;
    const char *p = name + n - m;
    for (size_t i = 0; i < m; i++)
        if (shape[i] == 'd' ? p[i] < '0' || p[i] > '9' : p[i] != shape[i]) return NULL;
    return p + 1;
}

static bool is_of(const char *name, const char *base) {
    const char *time = time_in(name);
    return time && (size_t)(time - name) == strlen(base) + 7 && strncmp(name + 6, base, strlen(base)) == 0;
}

static int by_text(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

/* Names of backups, oldest first; base NULL: of all homes. Freed with free_names. */
struct names {
    char **names;
    size_t count;
};
static void free_names(struct names *names) {
    for (size_t i = 0; i < names->count; i++) free(names->names[i]);
    free(names->names);
}

static enum error list_backups(const char *folder, const char *base, struct names *ret, struct failure *failure) {
    DIR *open_folder = opendir(folder);
    if (!open_folder) return files_failure(failure, folder);
    bool full = false;
    for (const struct dirent *entry; !full && (entry = readdir(open_folder));) {
        if (base ? !is_of(entry->d_name, base) : !time_in(entry->d_name)) continue;
        char **more = realloc(ret->names, (ret->count + 1) * sizeof *more);
        if (more) ret->names = more;
        char *name = more ? strdup(entry->d_name) : NULL;
        if (name) ret->names[ret->count++] = name;
        full = !name;
    }
    closedir(open_folder);
    if (ret->count) qsort(ret->names, ret->count, sizeof *ret->names, by_text);
    return full ? fail(failure, E_NO_MEMORY, "%s", folder) : E_OK;
}

static void sheet_of(char *path) { /* the same name with another ending */
    size_t n = strlen(path) - strlen(".backup");
    snprintf(path + n, BACKUP_PATH_SIZE - n, ".sheet.txt");
}

static enum error remove_old(const char *folder, const char *base, unsigned keep, unsigned *ret_removed,
                             struct failure *failure) {
    __attribute__((cleanup(free_names))) struct names names = {0};
    TRY(list_backups(folder, base, &names, failure));
    for (size_t i = 0; keep > 0 && i + keep < names.count; i++) {
        char path[BACKUP_PATH_SIZE];
        TRY(files_join(folder, names.names[i], path, sizeof path, failure));
        if (unlink(path) != 0) return files_failure(failure, path);
        sheet_of(path);
        (void)unlink(path); /* it should be on paper only */
        (*ret_removed)++;
    }
    return E_OK;
}

enum error backup_find(const char *from, char ret[static BACKUP_PATH_SIZE], struct failure *failure) {
    struct stat stat_;
    if (stat(from, &stat_) != 0) return files_failure(failure, from);
    if (!S_ISDIR(stat_.st_mode)) {
        if (strlen(from) >= BACKUP_PATH_SIZE) return fail(failure, E_OUT_OF_RANGE, "the path is too long");
        snprintf(ret, BACKUP_PATH_SIZE, "%s", from);
        return E_OK;
    }
    __attribute__((cleanup(free_names))) struct names names = {0};
    TRY(list_backups(from, NULL, &names, failure));
    if (names.count == 0) return fail(failure, E_NO_FILE, "%s holds no backup", from);
    const char *first = names.names[0], *last = names.names[names.count - 1];
    size_t base = (size_t)(time_in(first) - first);
    if ((size_t)(time_in(last) - last) != base || strncmp(first, last, base) != 0) {
        enum error error = fail(failure, E_AMBIGUOUS, "%s holds backups of several homes", from);
        fail_hint(failure, "name the file, such as %s/%s", from, last);
        return error;
    }
    return files_join(from, last, ret, BACKUP_PATH_SIZE, failure);
}

/* ---- the sheet ---- */

enum { SHEET_SIZE = 32 * 1024 };

static const char sheet_words[] =
    "\nThis sheet and the file together are the home; whoever has both, and the home's\n"
    "pass-phrase if it has one, can read and speak for it. So print this sheet, put it in a\n"
    "safe, away from the file, and delete it from the machine.\n\n"
    "To restore, on a machine with pouch, into a folder that does not exist yet:\n\n"
    "    pouch --home FOLDER restore FILE          and type the key when asked\n"
    "    pouch --home FOLDER sync                  what came after the backup is fetched\n\n"
    "The pass-phrase of the home stays what it was; it is not on this sheet. If the old\n"
    "machine may be in foreign hands, do not restore: revoke the device and make a new one.\n"
    "The fingerprint tells whether a file is the one that belongs to this sheet; restoring\n"
    "checks every byte of it in any case.\n";

static void print_sheet(FILE *out, const struct packing *packing, const struct backup_done *done, const char *codes) {
    char made[TIME_TEXT_SIZE];
    const char *slash = strrchr(done->file, '/'), *name = slash ? slash + 1 : done->file;
    time_text(packing->created, made);
    fprintf(out, "Backup of a pouch home\n\n%-12s %s\nMade         %s\nFile         %s\nFingerprint  %s\n\nKey\n\n",
            packing->home->kind == HOME_AUTHORITY ? "Authority of" : "Post", packing->home->post, made, name,
            done->fingerprint);
    fprintf(out, "    %.*s\n    %s\n", TEXT_CODE_SIZE - 1, codes, codes + TEXT_CODE_SIZE);
    if (packing->order->picture) {
        fputc('\n', out);
        (void)packing->order->picture(out, codes);
    }
    fputs(sheet_words, out);
}

static enum error write_sheet(const struct packing *packing, const struct secret *key, const struct backup_done *done,
                              struct failure *failure) {
    AUTO_SECRET text = {0};
    AUTO_SECRET code = {0};
    TRY(secret_new(SHEET_SIZE, &text));
    TRY(secret_new(2 * TEXT_CODE_SIZE, &code));
    text_code(key->p, KEY_SIZE / TEXT_CODE_ROW, (char *)code.p);
    FILE *out = fmemopen(text.p, text.n, "w");
    if (!out) return fail(failure, E_NO_MEMORY, "the sheet");
    setvbuf(out, NULL, _IONBF, 0); /* no copy of the key elsewhere */
    print_sheet(out, packing, done, (const char *)code.p);
    long n = ftell(out);
    bool good = !ferror(out) && n > 0 && (size_t)n < text.n;
    good = fclose(out) == 0 && good;
    return good ? files_write(done->sheet, 0600, bytes_of(text.p, (size_t)n), failure)
                : fail(failure, E_INTERNAL, "the sheet");
}

/* Digest of the whole file, as people compare it. */
static enum error fingerprint(const char *path, struct backup_done *ret, struct failure *failure) {
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO_FREE(uint8_t) piece = malloc(CHUNK_PLAIN);
    uint8_t digest[HASH_SIZE];
    struct bytes label = label_text(LABEL_BACKUP);
    crypto_generichash_state state;
    if (!piece) return fail(failure, E_NO_MEMORY, "%s", path);
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, label.p, label.n);
    crypto_generichash_update(&state, (const uint8_t *)"", 1);
    for (ssize_t got = 1; got > 0; ret->bytes += (uint64_t)got) {
        got = fd < 0 ? -1 : read_full(fd, piece, CHUNK_PLAIN);
        if (got < 0) return files_failure(failure, path);
        crypto_generichash_update(&state, piece, (size_t)got);
    }
    crypto_generichash_final(&state, digest, HASH_SIZE);
    text_fingerprint(digest, ret->fingerprint);
    return E_OK;
}

/* ---- the whole ---- */

static enum error name_files(const struct packing *packing, const char *folder, char *ret_part,
                             struct backup_done *ret) {
    char base[POST_MAX + 1], made[TIME_TEXT_SIZE], name[POST_MAX + 64];
    base_of(packing->home->post, base);
    time_text(packing->created, made);
    snprintf(name, sizeof name, "pouch-%s-%s.backup", base, made);
    TRY(files_join(folder, name, ret->file, sizeof ret->file, packing->failure));
    snprintf(ret->sheet, sizeof ret->sheet, "%s", ret->file);
    sheet_of(ret->sheet);
    snprintf(name, sizeof name, "pouch-%s.backup.new", base);
    TRY(files_join(folder, name, ret_part, BACKUP_PATH_SIZE, packing->failure));
    if (files_exists(ret->file)) return fail(packing->failure, E_HOME_EXISTS, "%s", ret->file);
    return E_OK;
}

/* The backup counts when it has its name; before that it is whole, on disk, and was opened again. */
static enum error write_files(struct packing *packing, const char *folder, const struct secret *key, const char *part,
                              struct backup_done *done) {
    struct failure *failure = packing->failure;
    struct restore_done opened;
    TRY(copy_store(packing));
    FAULT("backup.copied");
    TRY(list_home(packing));
    for (size_t i = 0; i < packing->count; i++) TRY(measure(&packing->files[i], failure));
    TRY(write_sealed(packing, key, part));
    FAULT("backup.written");
    TRY(backup_check(part, key, &opened, failure));
    TRY(fingerprint(part, done, failure));
    TRY(write_sheet(packing, key, done, failure));
    FAULT("backup.sheet-written");
    if (rename(part, done->file) != 0) return files_failure(failure, done->file);
    done->files = packing->count;
    return sync_folder(folder, failure);
}

static enum error write_backup(struct packing *packing, const char *folder, struct backup_done *done) {
    AUTO_SECRET key = {0};
    char part[BACKUP_PATH_SIZE];
    TRY(files_make_folder(folder, packing->failure));
    TRY(name_files(packing, folder, part, done));
    TRY(secret_random(KEY_SIZE, &key));
    enum error error = write_files(packing, folder, &key, part, done);
    drop_copy(packing->home);
    if (error == E_OK) return E_OK;
    (void)unlink(part);
    if (!files_exists(done->file)) (void)unlink(done->sheet);
    return error;
}

enum error backup_write(struct home *home, const struct backup_order *order, struct backup_done *ret,
                        struct failure *failure) {
    struct packing packing = {.home = home, .order = order, .created = moment_now(), .failure = failure};
    AUTO_FREE(struct backup_done) done = calloc(1, sizeof *done);
    AUTO_FREE(struct packed_file) files = calloc(BACKUP_FILES_MAX, sizeof *files);
    char base[POST_MAX + 1];
    if (!done || !files) return fail(failure, E_NO_MEMORY, "the backup");
    packing.files = files;
    done->created = packing.created;
    TRY(write_backup(&packing, order->folder, done));
    base_of(home->post, base);
    TRY(remove_old(order->folder, base, order->keep, &done->removed, failure));
    *ret = *done;
    return E_OK;
}

/* ---- restoring ---- */

struct nest {
    char home[BACKUP_PATH_SIZE], identity[BACKUP_PATH_SIZE], unfinished[BACKUP_PATH_SIZE];
    int lock_fd;
};

static void nest_close(struct nest *nest) { close_fd(&nest->lock_fd); }

/* Does anything but the lock lie there? */
static enum error look_around(const struct nest *nest, bool *ret_empty, struct failure *failure) {
    DIR *folder = opendir(nest->home);
    if (!folder) return files_failure(failure, nest->home);
    *ret_empty = true;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lock") != 0) *ret_empty = false;
    }
    closedir(folder);
    return E_OK;
}

/* What a restore (or init) that did not end has left, and nothing else: identity is not there. `unfinished` goes last. */
static enum error clear_nest(const struct nest *nest, struct failure *failure) {
    DIR *folder = opendir(nest->home);
    if (!folder) return files_failure(failure, nest->home);
    enum error error = E_OK;
    for (const struct dirent *entry; error == E_OK && (entry = readdir(folder));) {
        char path[BACKUP_PATH_SIZE];
        const char *name = entry->d_name;
        if (strcmp(name, "lock") == 0 || strcmp(name, "unfinished") == 0 || !is_regular(nest->home, name)) continue;
        error = files_join(nest->home, name, path, sizeof path, failure);
        if (error == E_OK && unlink(path) != 0) error = files_failure(failure, path);
    }
    closedir(folder);
    return error;
}

static enum error nest_open(const struct home_options *options, struct nest *nest, struct failure *failure) {
    bool empty = false;
    TRY(home_path(options->path, nest->home, sizeof nest->home, failure));
    TRY(files_make_folder(nest->home, failure));
    TRY(home_lock_open(nest->home, options->wait_s, &nest->lock_fd, failure));
    TRY(files_join(nest->home, "identity", nest->identity, sizeof nest->identity, failure));
    TRY(files_join(nest->home, "unfinished", nest->unfinished, sizeof nest->unfinished, failure));
    TRY(look_around(nest, &empty, failure));
    if (files_exists(nest->identity) || (!empty && !files_exists(nest->unfinished)))
        return fail(failure, E_HOME_EXISTS, "%s", nest->home);
    return E_OK;
}

static enum error fill_nest(const struct nest *nest, const char *path, const struct secret *key,
                            struct restore_done *ret, struct failure *failure) {
    char mark[BACKUP_PATH_SIZE];
    AUTO_BUF identity = {0};
    struct restore_done done;
    TRY(files_write(nest->unfinished, 0600, bytes_text("pouch restore\n"), failure));
    TRY(clear_nest(nest, failure));
    FAULT("restore.begun");
    TRY(unpack(path, key, nest->home, &identity, &done, failure));
    FAULT("restore.files-written");
    if (text_is_post(bytes_text(done.post))) {
        TRY(files_join(nest->home, RECOVERY_MARK, mark, sizeof mark, failure));
        TRY(files_write(mark, 0600, bytes_text("pouch restore\n"), failure));
    }
    TRY(sync_folder(nest->home, failure));
    TRY(files_write(nest->identity, 0600, buf_bytes(&identity), failure));
    FAULT("restore.identity-written");
    (void)unlink(nest->unfinished); /* harmless if it stays: identity decides */
    *ret = done;
    return E_OK;
}

enum error backup_read(const struct home_options *options, const char *path, const struct secret *key,
                       struct restore_done *ret, struct failure *failure) {
    AUTO_FREE(struct nest) nest = calloc(1, sizeof *nest);
    struct restore_done checked;
    if (!nest) return fail(failure, E_NO_MEMORY, "%s", path);
    nest->lock_fd = -1;
    TRY(backup_check(path, key, &checked, failure)); /* whole, before anything is made */
    enum error error = nest_open(options, nest, failure);
    if (error == E_OK) {
        error = fill_nest(nest, path, key, ret, failure);
        if (error != E_OK && !files_exists(nest->identity) && clear_nest(nest, NULL) == E_OK)
            (void)unlink(nest->unfinished);
    }
    nest_close(nest);
    return error;
}
