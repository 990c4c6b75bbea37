/* fault.c - the fault points of test builds. */
#include "fault.h"

#ifdef POUCH_FAULTS
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const known[] = {
#define FAULT_POINT(name, program, file, what) name,
#include "fault.def"
#undef FAULT_POINT
};

static bool is_known(const char *name, size_t n) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == n && memcmp(known[i], name, n) == 0) return true;
    return false;
}

/* A test that names a point that does not exist would otherwise see that nothing is lost there. */
static void check(const char *name, size_t n) {
    if (is_known(name, n)) return;
    fprintf(stderr, "fault.def has no point named %.*s\n", (int)n, name);
    abort();
}

void fault_point(const char *name) {
    static unsigned hits;
    const char *spec = getenv("POUCH_FAULT");
    size_t n = strlen(name);
    if (!spec) return;
    check(name, n);
    check(spec, strcspn(spec, ":"));
    if (strncmp(spec, name, n) != 0 || spec[n] != ':') return;
    char *token = NULL;
    unsigned long wanted = strtoul(spec + n + 1, &token, 10);
    if (!token || *token != ':' || ++hits < wanted) return;
    if (unlink(token + 1) == 0) kill(getpid(), SIGKILL);
}
#else
typedef int fault_is_empty; /* ISO C wants a declaration in every file */
#endif
