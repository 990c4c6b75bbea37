/* zone.h - the time in a place, by the machine's own time zone database (tzdata). */
#ifndef ZONE_H
#define ZONE_H

#include <time.h>

#include "own.h"

/* False for a zone that this machine does not know. Changes the process's TZ for a moment: one thread. */
bool zone_local(const char *zone, struct instant time, struct tm *ret);

#endif
