/* log.h - the relay's log: one line an event, on stderr, never content and never keys.
 *
 * Under systemd's journal (JOURNAL_STREAM names our stderr) a line begins with <N>, the syslog priority; elsewhere with
 * the time and a word. One write(2) a line, so that lines of the three processes do not mix. */
#ifndef LOG_H
#define LOG_H

#include <syslog.h>

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG (kept quiet). Line breaks in the text become spaces.
 */
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Names the process in every line from now on: "gate", "ledger". */
void log_open(const char *process);

#endif
