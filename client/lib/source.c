/* source.c - reads a body's pieces; spools pipes. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

enum { PIECE = 32 * 1024 };

static ssize_t read_some(int fd, void *p, size_t n) {
    for (;;) {
        ssize_t got = read(fd, p, n);
        if (got >= 0 || errno != EINTR) return got;
    }
}

/* Fills the piece unless the file ends. */
static ssize_t read_piece(int fd, uint8_t *p, size_t n) {
    size_t have = 0;
    while (have < n) {
        ssize_t got = read_some(fd, p + have, n - have);
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static enum error spool(struct archive *archive, int fd, uint64_t max, struct source *source) {
    uint8_t piece[PIECE];
    TRY(archive_number(archive, TABLE_SPOOL, archive_key(NULL, NULL, 0), &source->spool_first));
    enum error error = E_OK;
    for (ssize_t got; error == E_OK && (got = read_piece(fd, piece, sizeof piece)) != 0;) {
        if (got < 0)
            error = E_IO;
        else if ((source->length += (uint64_t)got) > max)
            error = E_TOO_LARGE;
        else
            error =
                archive_set(archive, TABLE_SPOOL, archive_key(NULL, NULL, source->spool_first + source->spool_count++),
                            bytes_of(piece, (size_t)got));
    }
    sodium_memzero(piece, sizeof piece);
    source->spooled = true;
    return error;
}

static enum error open_file(struct archive *archive, const char *path, uint64_t max, struct source *source,
                            struct failure *failure) {
    bool standard = strcmp(path, "-") == 0;
    source->fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (source->fd < 0 || fstat(source->fd, &stat) != 0) return files_failure(failure, path);
    if (S_ISDIR(stat.st_mode)) return fail(failure, E_NO_FILE, "%s is a folder", path);
    if (S_ISREG(stat.st_mode) && !standard) {
        source->length = (uint64_t)stat.st_size;
        return source->length <= max ? E_OK : fail(failure, E_TOO_LARGE, "%s", path);
    }
    enum error error = spool(archive, source->fd, max, source);
    if (error == E_IO) return fail(failure, error, "%s: %s", path, strerror(errno));
    return error == E_OK ? E_OK : fail(failure, error, "%s", standard ? "standard input" : path);
}

static enum error take_name(const char *path, struct source *source, struct failure *failure) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strlen(name) > FILENAME_MAX_SIZE || !*name)
        return fail(failure, E_USAGE, "%s has no file name of 1 to %d bytes", path, FILENAME_MAX_SIZE);
    (void)snprintf(source->name, sizeof source->name, "%s", name);
    return E_OK;
}

enum error source_open(struct archive *archive, const char *path, struct bytes memory, bool named, uint64_t max,
                       struct source *ret, struct failure *failure) {
    struct source source = {.fd = -1};
    if (path && named) TRY(take_name(path, &source, failure));
    if (!path) {
        source.memory = memory;
        source.length = memory.n;
        if (source.length > max) return fail(failure, E_TOO_LARGE, "the text");
    } else {
        enum error error = open_file(archive, path, max, &source, failure);
        if (error != E_OK) {
            source_close(&source);
            return error;
        }
    }
    *ret = source;
    return E_OK;
}

void source_close(struct source *source) {
    if (source->fd >= 0) close(source->fd);
    source->fd = -1;
}

static enum error read_spool(struct archive *archive, const struct source *source,
                             enum error (*each)(void *context, struct bytes piece), void *context) {
    for (uint64_t i = 0; i < source->spool_count; i++) {
        AUTO_BUF piece = {0};
        bool found = false;
        TRY(archive_get(archive, TABLE_SPOOL, archive_key(NULL, NULL, source->spool_first + i), &piece, &found));
        if (!found) return E_CORRUPT;
        TRY(each(context, buf_bytes(&piece)));
    }
    return E_OK;
}

static enum error read_file(const struct source *source, enum error (*each)(void *context, struct bytes piece),
                            void *context) {
    uint8_t piece[PIECE];
    uint64_t left = source->length;
    enum error error = E_OK;
    while (error == E_OK && left > 0) {
        ssize_t got = read_piece(source->fd, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        if (got <= 0)
            error = E_IO;
        else
            error = each(context, bytes_of(piece, (size_t)got));
        if (error == E_OK) left -= (uint64_t)got;
    }
    if (error == E_OK && read_some(source->fd, piece, 1) != 0) error = E_IO; /* it has grown */
    sodium_memzero(piece, sizeof piece);
    return error;
}

enum error source_read(struct archive *archive, const struct source *source,
                       enum error (*each)(void *context, struct bytes piece), void *context, struct failure *failure) {
    enum error error = E_OK;
    if (source->spooled)
        error = read_spool(archive, source, each, context);
    else if (source->fd >= 0)
        error = read_file(source, each, context);
    else
        error = each(context, source->memory);
    const char *name = source->name[0] ? source->name : "the text";
    if (error == E_IO) return fail(failure, error, "%s changed while it was read, or cannot be read", name);
    return error == E_OK ? E_OK : fail(failure, error, "%s", name);
}
