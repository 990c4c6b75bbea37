/* keys.c - key files: 64 hex digits and a line feed, mode 0600. Written under a temporary name, synced and linked to
 * their own, so that a key file that exists is whole and an existing one is never replaced. */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

enum { HEX_SIZE = 2 * KEY_SIZE + 1 };

static int open_folder(const char *folder) { return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

static enum error read_all(int fd, char *to, size_t room, size_t *ret_n) {
    size_t n = 0;
    while (n < room) {
        ssize_t got = read(fd, to + n, room - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return E_IO;
        if (got == 0) break;
        n += (size_t)got;
    }
    *ret_n = n;
    return E_OK;
}

static enum error read_key(int fd, uint8_t ret[static KEY_SIZE]) {
    char text[HEX_SIZE + 1]; /* one more, to see that nothing follows */
    struct stat stat;
    size_t n;
    if (fstat(fd, &stat) != 0) return E_IO;
    if (!S_ISREG(stat.st_mode)) return E_CORRUPT;
    if (stat.st_mode & (S_IRWXG | S_IRWXO)) return E_NOT_ALLOWED;
    enum error error = read_all(fd, text, sizeof text, &n);
    if (error == E_OK && n == HEX_SIZE && text[HEX_SIZE - 1] != '\n') error = E_CORRUPT;
    if (error == E_OK && n != HEX_SIZE && n != HEX_SIZE - 1) error = E_CORRUPT;
    if (error == E_OK && text_unhex(bytes_of(text, HEX_SIZE - 1), ret, KEY_SIZE) != E_OK) error = E_CORRUPT;
    sodium_memzero(text, sizeof text);
    return error;
}

enum error keys_read(const char *folder, const char *name, uint8_t ret[static KEY_SIZE]) {
    int at = open_folder(folder);
    if (at < 0) return E_IO;
    int fd =
        openat(at, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* NONBLOCK: a FIFO under that name must not hang us */
    enum error error = fd < 0 ? E_IO : read_key(fd, ret);
    if (fd >= 0) close(fd);
    close(at);
    return error;
}

static enum error write_all(int fd, const char *text, size_t n) {
    while (n) {
        ssize_t put = write(fd, text, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno == ENOSPC || errno == EDQUOT ? E_DISK_FULL : E_IO;
        text += put;
        n -= (size_t)put;
    }
    return fsync(fd) == 0 ? E_OK : E_IO;
}

/* link(2), unlike rename(2), refuses an existing name. */
static enum error publish(int at, const char *temporary, const char *name) {
    if (linkat(at, temporary, at, name, 0) != 0) return errno == EEXIST ? E_HOME_EXISTS : E_IO;
    return E_OK;
}

static enum error write_key(int at, const char *name, const uint8_t key[static KEY_SIZE]) {
    char temporary[128], text[HEX_SIZE + 1];
    snprintf(temporary, sizeof temporary, ".%.100s.new", name);
    unlinkat(at, temporary, 0); /* what a killed run may have left */
    int fd = openat(at, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return errno == ENOSPC ? E_DISK_FULL : E_IO;
    text_hex(key, KEY_SIZE, text);
    text[HEX_SIZE - 1] = '\n';
    enum error error = write_all(fd, text, HEX_SIZE);
    sodium_memzero(text, sizeof text);
    close(fd);
    if (error == E_OK) error = publish(at, temporary, name);
    unlinkat(at, temporary, 0);
    if (error == E_OK && fsync(at) != 0) error = E_IO;
    return error;
}

enum error keys_write(const char *folder, const char *name, const uint8_t key[static KEY_SIZE]) {
    int at = open_folder(folder);
    if (at < 0) return E_IO;
    enum error error = write_key(at, name, key);
    close(at);
    return error;
}
