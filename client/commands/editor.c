/* editor.c - $EDITOR on a text that nobody else may read. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"

enum { EDITED_MAX = 16 * 1024 * 1024 };

static bool run_editor(const char *path) {
    const char *editor = getenv("VISUAL");
    if (!editor || !*editor) editor = getenv("EDITOR");
    if (!editor || !*editor) editor = "vi";
    int status;
    pid_t child = fork();
    if (child == 0) {
        /* The shell splits what the variable holds; the path is its $1. */
        execl("/bin/sh", "sh", "-c", "exec $0 \"$1\"", editor, path, (char *)NULL);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return false;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool write_all(int fd, struct bytes bytes) {
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = bytes_of(bytes.p + n, bytes.n - (size_t)n);
    }
    return true;
}

/* The text lies in memory-backed storage where there is any, readable by its owner only, and goes at once. */
enum error command_edit(struct run *run, struct bytes before, struct buf *ret) {
    char path[] = "/dev/shm/pouch-XXXXXX", other[] = "/tmp/pouch-XXXXXX", *used = path;
    int fd = mkstemp(path);
    if (fd < 0) fd = mkstemp(used = other);
    if (fd < 0) return files_failure(&run->failure, used);
    enum error error = write_all(fd, before) ? E_OK : files_failure(&run->failure, used);
    close(fd);
    if (error == E_OK && !run_editor(used))
        error = fail(&run->failure, E_INTERRUPTED, "the editor gave up; nothing was done");
    if (error == E_OK) error = files_read(used, EDITED_MAX, ret, &run->failure);
    unlink(used);
    return error;
}
