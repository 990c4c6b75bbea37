/* log.c - one line an event, on stderr. */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

static const char *process_name = "pouchd";

void log_open(const char *process) { process_name = process; }

/* JOURNAL_STREAM is inherited; it counts only while stderr still is the stream it names (systemd.exec(5)). */
static bool to_journal(void) {
    static int known; /* 0 unknown, 1 yes, -1 no */
    unsigned long long device, inode;
    struct stat stat;
    const char *stream = getenv("JOURNAL_STREAM");
    if (known) return known > 0;
    known = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &stat) == 0 &&
                    (unsigned long long)stat.st_dev == device && (unsigned long long)stat.st_ino == inode
                ? 1
                : -1;
    return known > 0;
}

static const char *word(int priority) {
    return priority <= LOG_ERR ? "error" : priority == LOG_WARNING ? "warning" : "info";
}

static int begin_line(int priority, char *line) {
    if (to_journal()) return snprintf(line, LINE_SIZE, "<%d>%s: ", priority, process_name);
    char stamp[32] = "";
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts)) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    return snprintf(line, LINE_SIZE, "%s.%03ldZ %s %s: ", stamp, now.tv_nsec / 1000000, process_name, word(priority));
}

void log_line(int priority, const char *format, ...) {
    char line[LINE_SIZE];
    if (priority >= LOG_DEBUG) return;
    int n = begin_line(priority, line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + n, sizeof line - (size_t)n - 1, format, arguments);
    va_end(arguments);
    size_t length = strlen(line);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ') line[i] = ' ';
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, length) < 0) return; /* nowhere left to say so */
}
