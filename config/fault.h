/* fault.h - named places where a test may end the process, to prove that nothing is lost there.
 *
 * fault.def has them all, with what has happened at each; a FAULT() that is not in it ends the process at once, and so does a
 * POUCH_FAULT that names none of them. Built only with -Dfaults=true; otherwise FAULT() is nothing. The environment names one:
 *     POUCH_FAULT=name:n:token      at the nth time `name` is reached, if the file `token` can be removed, SIGKILL oneself
 * The token makes it happen once, however often the process is started again. */
#ifndef FAULT_H
#define FAULT_H

#ifdef POUCH_FAULTS
void fault_point(const char *name);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) ((void)0)
#endif

#endif
