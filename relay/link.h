/* link.h - the Unix sockets inside the relay: gate <-> ledger, pouchctl <-> ledger.
 *
 * A packet is a 4-byte big-endian length and a CBOR `packet` {kind, body}; the body is the object that the kind names.
 * struct link buffers both directions over a non-blocking socket; the owner polls its fd for what link_wants says.
 * The ledger never waits for a gate: when LINK_BACKLOG_MAX bytes are unsent the link counts as dead (E_BUSY) and is
 * closed; the gate is restarted and its clients come back, nothing is lost. */
#ifndef LINK_H
#define LINK_H

#include "objects.h"

/* Names in the relay's folder. */
#define GATE_SOCKET "gate.sock"
#define CONTROL_SOCKET "control.sock"

enum { LINK_PACKET_MAX = MESSAGE_MAX + 4096, LINK_BACKLOG_MAX = 256 * 1024 * 1024 };

#include "codec_struct.h"
#include "link.def"
#include "codec_undef.h"

#include "codec_declare.h"
#include "link.def"
#include "codec_undef.h"

enum packet_kind {
    PACKET_JOB = 1,
    PACKET_PULSE = 2, /* from the gate */
    PACKET_REPLY = 11,
    PACKET_GROWN = 12,
    PACKET_WAKE = 13, /* from the ledger */
    PACKET_COMMAND = 21,
    PACKET_ANSWER = 22, /* control */
};

enum command_verb {
    COMMAND_STATUS = 1,
    COMMAND_RECORD = 2, /* append the directory statements (admit, suspend, resume) */
    COMMAND_WITNESS_REQUEST = 3, /* data: the body of an add-checkpoint request, from the size `old` */
    COMMAND_WITNESS_ADD = 4,     /* a witness's answer, in `note` */
};

struct link {
    int fd; /* -1: closed */
    struct buf in, out;
    size_t in_done, out_done; /* consumed, sent */
};

void link_open(struct link *link, int fd); /* takes the fd, makes it non-blocking */
void link_close(struct link *link);

/* Queues one packet; object is the description of the kind's body. Nothing is sent before link_flush. */
CHECKED enum error link_put(struct link *link, enum packet_kind kind, const struct object *object, const void *value);
/* Sends what the socket takes. E_OK (also when some is left), E_UNREACHABLE when the peer is gone. */
CHECKED enum error link_flush(struct link *link);
/* Reads what the socket has. E_UNREACHABLE at its end. */
CHECKED enum error link_fill(struct link *link);
/* The next whole packet: true and *ret (views until the next link_fill), false when there is none yet. A packet that does
 * not decode gives *ret_error. */
bool link_next(struct link *link, struct packet *ret, enum error *ret_error);
/* poll(2) events to wait for. */
short link_wants(const struct link *link);

/* A listening Unix socket at a path relative to the current folder (so long paths do not matter), mode 0600; and a
 * connection to one inside `folder`. -1 and errno on failure. */
int link_listen(const char *name);
int link_connect(const char *folder, const char *name);

#endif
