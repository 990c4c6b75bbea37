/* headfile.c - the file beside the store that holds the newest head. */
#include "headfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "limits.h"

#define TEMPORARY HEADFILE ".new"

static enum error error_of_errno(void) { return errno == ENOSPC || errno == EDQUOT ? E_STORE_FULL : E_IO; }

static enum error write_new(struct bytes note) {
    int fd = open(TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
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

enum error headfile_write(struct bytes note) {
    enum error error = write_new(note);
    if (error == E_OK && rename(TEMPORARY, HEADFILE) != 0) error = error_of_errno();
    if (error != E_OK) unlink(TEMPORARY);
    return error == E_OK ? sync_folder() : error;
}

enum error headfile_read(struct buf *ret_note) {
    int fd = open(HEADFILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? E_OK : E_IO;
    uint8_t *at = buf_extend(ret_note, HEAD_NOTE_MAX);
    ssize_t n = at ? read(fd, at, HEAD_NOTE_MAX) : 0;
    close(fd);
    if (!at) return E_NO_MEMORY;
    ret_note->n -= HEAD_NOTE_MAX - (n > 0 ? (size_t)n : 0);
    return n < 0 ? E_IO : E_OK;
}
