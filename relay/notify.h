/* notify.h - sd_notify by hand (sd_notify(3)): a datagram to the socket that NOTIFY_SOCKET names; nothing without it.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

/* "READY=1", "STOPPING=1", lines joined by '\n'. */
void notify_send(const char *state);

#endif
