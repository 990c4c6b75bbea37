/* figures.h - the relay's numbers as people, scripts and monitors want them. Names that are not known here are shown
 * too. */
#ifndef FIGURES_H
#define FIGURES_H

#include <stdio.h>

#include "config.h"
#include "link.h"

void figures_table(FILE *out, struct list numbers);      /* aligned lines */
void figures_json(FILE *out, struct list numbers);       /* one object, without a line feed */
void figures_prometheus(FILE *out, struct list numbers); /* its text exposition format, names pouch_... */
/* The value of a name, or false. */
bool figures_find(struct list numbers, const char *name, uint64_t *ret);

/* Judged as Icinga plug-ins do: 0 OK, 1 WARNING, 2 CRITICAL; the reason is a text of at most room bytes. */
int figures_judge(struct list numbers, const struct config *config, char *ret_reason, size_t room);
/* name=value pairs for the performance data after the bar. */
void figures_perfdata(FILE *out, struct list numbers, const struct config *config);

#endif
