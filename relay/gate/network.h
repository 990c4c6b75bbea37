/* network.h - the sockets that face the world: one ROUTER with CURVE, the ZAP handler that lets keys in, and the
 * monitor that counts connections. One thread owns them all.
 *
 * Order of things: network_open, then in a loop poll network_items and call network_zap, network_watch and
 * network_receive until each finds nothing more. */
#ifndef NETWORK_H
#define NETWORK_H

#include <zmq.h>

#include "config.h"
#include "session.h"

#define NETWORK_DOMAIN "pouch"

enum { NETWORK_ITEMS = 3 };

struct network;

struct arrival {
    uint8_t transport[KEY_SIZE];
    struct route route;
    int fd;
    zmq_msg_t body; /* the receiver closes it */
};

struct network_numbers {
    uint64_t connections;
    uint64_t refused; /* keys and connections not let in, frames dropped, peers put out */
};

/* Binds every address of the configuration. `secret`: the CURVE key; the caller wipes it afterwards. `sessions` are
 * told which connections end. Complains to stderr: E_IO when an address cannot be bound, E_NO_MEMORY. */
CHECKED enum error network_open(const struct config *config, const uint8_t secret[static KEY_SIZE],
                                struct sessions *sessions, struct network **ret);
void network_close(struct network **network);

void network_items(const struct network *network, zmq_pollitem_t ret[static NETWORK_ITEMS]);

/* Answers what asks to be let in: any key that the directory has not revoked. */
void network_zap(struct network *network, const struct directory *directory);
/* Counts connections and closes those above the limit. */
void network_watch(struct network *network);
/* Every second or so: who has been let in long ago and said nothing is no newcomer any more (door.h). */
void network_tick(struct network *network, uint64_t now_ms);

/* One message, or false when there is none. What is not exactly one frame of an authenticated peer is dropped.
 * Everything that the monitor said before the message came has been acted upon, so arrival.fd is that connection's. */
bool network_receive(struct network *network, struct arrival *ret);

/* E_BUSY: the peer does not read. E_UNREACHABLE: it is gone. Never waits. */
CHECKED enum error network_send(struct network *network, const struct route *route, struct bytes frame);
/* Ends a connection. */
void network_cut(struct network *network, int fd);

struct network_numbers network_numbers(const struct network *network);

#endif
