/* zone.c - local time elsewhere, with libc's own arithmetic. */
#include "zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "contact.h"

/* libc takes a zone that it does not know for UTC, so the file is looked at first. */
static bool is_known(const char *zone) {
    char path[512], magic[4];
    const char *folder = getenv("TZDIR");
    if (contact_field_check((struct bytes){0}, CONTACT_ZONE, bytes_text(zone)) != E_OK) return false;
    int n = snprintf(path, sizeof path, "%s/%s", folder && *folder ? folder : "/usr/share/zoneinfo", zone);
    if (n < 0 || (size_t)n >= sizeof path) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool known = read(fd, magic, sizeof magic) == (ssize_t)sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0;
    close(fd);
    return known;
}

static void restore(const char *before) {
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
}

bool zone_local(const char *zone, struct instant time, struct tm *ret) {
    time_t seconds = (time_t)(time.ms / 1000);
    const char *current = getenv("TZ");
    AUTO_FREE(char) before = current ? strdup(current) : NULL;
    if (!is_known(zone) || (current && !before)) return false;
    if (setenv("TZ", zone, 1) != 0) return false;
    tzset();
    bool good = localtime_r(&seconds, ret) != NULL;
    restore(before);
    return good;
}
