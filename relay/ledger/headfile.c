/* headfile.c - the files beside the store that hold the newest heads. */
#include "headfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static enum error error_of_errno(void) { return errno == ENOSPC || errno == EDQUOT ? E_STORE_FULL : E_IO; }

const char *headfile_name(enum relay_log log) { return log == LOG_EVIDENCE ? "evidence.head" : "directory.head"; }

static const char *temporary_name(enum relay_log log) {
    return log == LOG_EVIDENCE ? "evidence.head.new" : "directory.head.new";
}

static enum error write_new(const char *name, struct bytes note) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return error_of_errno();
    ssize_t n = write(fd, note.p, note.n);
    enum error error = n == (ssize_t)note.n && fsync(fd) == 0 ? E_OK : error_of_errno();
    close(fd);
    return error;
}

static enum error sync_folder(void) {
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return E_IO;
    int failed = fsync(fd);
    close(fd);
    return failed ? E_IO : E_OK;
}

static enum error replace(enum relay_log log, struct bytes note) {
    const char *name = temporary_name(log);
    enum error error = write_new(name, note);
    if (error == E_OK && rename(name, headfile_name(log)) != 0) error = error_of_errno();
    if (error != E_OK) unlink(name);
    return error == E_OK ? sync_folder() : error;
}

/* The evidence log's head is written with nearly every batch, so it is written over, in a file that keeps its size, and not synced:
 * that would double the time of a batch. Whatever ends the process, the file is whole; a power failure may leave it as it was
 * half a minute before, which tells an older store all the same. */
enum { BLOCK = 4096 };

static enum error write_over(enum relay_log log, const char block[static BLOCK]) {
    int fd = open(headfile_name(log), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? replace(log, bytes_of(block, BLOCK)) : error_of_errno();
    ssize_t n = pwrite(fd, block, BLOCK, 0);
    enum error error = n == BLOCK ? E_OK : error_of_errno();
    close(fd);
    return error;
}

enum error headfile_write(enum relay_log log, struct bytes note) {
    char block[BLOCK];
    if (log == LOG_DIRECTORY || note.n > sizeof block) return replace(log, note);
    memset(block, '\n', sizeof block);
    memcpy(block, note.p, note.n);
    return write_over(log, block);
}

enum error headfile_read(enum relay_log log, struct buf *ret_note) {
    int fd = open(headfile_name(log), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? E_OK : E_IO;
    uint8_t *at = buf_extend(ret_note, HEAD_NOTE_MAX);
    ssize_t n = at ? read(fd, at, HEAD_NOTE_MAX) : 0;
    close(fd);
    if (!at) return E_NO_MEMORY;
    ret_note->n -= HEAD_NOTE_MAX - (n > 0 ? (size_t)n : 0);
    while (n > 1 && at[n - 1] == '\n' && at[n - 2] == '\n') n--, ret_note->n--; /* a block's rest */
    return n < 0 ? E_IO : E_OK;
}

enum error headfile_set_aside(enum relay_log log) {
    const char *aside = log == LOG_EVIDENCE ? "evidence.head.lost" : "directory.head.lost";
    if (rename(headfile_name(log), aside) != 0 && errno != ENOENT) return error_of_errno();
    return sync_folder();
}
