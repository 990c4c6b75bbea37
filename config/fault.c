/* fault.c - the fault points of test builds. */
#include "fault.h"

#ifdef POUCH_FAULTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fault_point(const char *name) {
    static unsigned hits;
    const char *spec = getenv("POUCH_FAULT");
    size_t n = strlen(name);
    if (!spec || strncmp(spec, name, n) != 0 || spec[n] != ':') return;
    char *token = NULL;
    unsigned long wanted = strtoul(spec + n + 1, &token, 10);
    if (!token || *token != ':' || ++hits < wanted) return;
    if (unlink(token + 1) == 0) kill(getpid(), SIGKILL);
}
#else
typedef int fault_is_empty; /* ISO C wants a declaration in every file */
#endif
