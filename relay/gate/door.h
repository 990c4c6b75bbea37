/* door.h - how many newcomers are let in at a time.
 *
 * After a restart all clients come back at once, and libzmq accepts whoever connects. A CURVE handshake costs some tenths of
 * a millisecond on either side, in several steps; with thousands under way at once each step waits for everybody's, all run
 * into their time limits before any is through, and begin again; and who is in already waits with them. So the door lets in
 * one only while few others are in the midst of it. The rest waits in the kernel's queue, where it costs nothing, or
 * knocks again (TCP).
 *
 * Who connects and then says nothing must not block the door: in any case DOOR_RATE a second may pass. */
#ifndef DOOR_H
#define DOOR_H

#include <stdint.h>

enum {
    DOOR_NEWCOMERS = 200, /* connections in the midst of their handshake */
    DOOR_RATE = 500,      /* a second, who pass however many these are */
};

/* From now on accept4 of this process obeys. */
void door_watch(void);
/* How many newcomers there are now, as far as the monitor has told. Any thread. */
void door_count(uint32_t newcomers);

#endif
