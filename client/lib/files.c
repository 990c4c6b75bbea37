/* files.c - reading and atomic writing of small files. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4200 };

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
}
#define AUTO_FD __attribute__((cleanup(close_fd))) int

enum error files_failure(struct failure *failure, const char *path) {
    int saved = errno;
    bool full = saved == ENOSPC || saved == EDQUOT;
    bool none = saved == ENOENT || saved == ENOTDIR || saved == EACCES;
    return fail(failure, full ? E_DISK_FULL : none ? E_NO_FILE : E_IO, "%s: %s", path, strerror(saved));
}

enum error files_join(const char *folder, const char *name, char *ret, size_t size, struct failure *failure) {
    int n = snprintf(ret, size, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= size) return fail(failure, E_OUT_OF_RANGE, "the path %s/%s is too long", folder, name);
    return E_OK;
}

bool files_exists(const char *path) { return access(path, F_OK) == 0; }

enum error files_read(const char *path, size_t max, struct buf *ret, struct failure *failure) {
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0) return files_failure(failure, path);
    if (S_ISDIR(stat.st_mode)) return fail(failure, E_NO_FILE, "%s is a folder", path);
    size_t start = ret->n;
    for (;;) {
        uint8_t piece[4096];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return files_failure(failure, path);
        if (n == 0) break;
        if (ret->n - start + (size_t)n > max) return fail(failure, E_CORRUPT, "%s is larger than it can be", path);
        buf_add(ret, piece, (size_t)n);
    }
    return ret->failed ? fail(failure, E_NO_MEMORY, "%s", path) : E_OK;
}

static bool write_all(int fd, struct bytes bytes) {
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return true;
}

/* The rename is durable only when the folder is. */
static bool sync_folder_of(const char *path) {
    char folder[PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else if (slash == folder)
        slash[1] = '\0';
    else
        *slash = '\0';
    AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

enum error files_write(const char *path, mode_t mode, struct bytes bytes, struct failure *failure) {
    char temporary[PATH_SIZE];
    int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return fail(failure, E_OUT_OF_RANGE, "the path %s is too long", path);
    if (unlink(temporary) != 0 && errno != ENOENT) return files_failure(failure, temporary);
    AUTO_FD fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return files_failure(failure, path);
    if (!write_all(fd, bytes) || fsync(fd) != 0 || rename(temporary, path) != 0) {
        enum error error = files_failure(failure, path);
        unlink(temporary);
        return error;
    }
    return sync_folder_of(path) ? E_OK : files_failure(failure, path);
}

enum error files_rename(const char *from, const char *to, struct failure *failure) {
    if (rename(from, to) != 0) return files_failure(failure, to);
    return sync_folder_of(to) ? E_OK : files_failure(failure, to);
}

enum error files_make_folder(const char *path, struct failure *failure) {
    char part[PATH_SIZE];
    int length = snprintf(part, sizeof part, "%s", path);
    if (length <= 0 || (size_t)length >= sizeof part)
        return fail(failure, E_OUT_OF_RANGE, "the path %s is too long", path);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char kept = *p;
        *p = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) return files_failure(failure, part);
        if (kept == '\0') break;
        *p = kept;
    }
    struct stat stat_;
    if (stat(path, &stat_) != 0) return files_failure(failure, path);
    if (!S_ISDIR(stat_.st_mode)) return fail(failure, E_HOME_EXISTS, "%s is not a folder", path);
    return E_OK;
}
