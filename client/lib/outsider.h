/* outsider.h - the directory for somebody who is no member: fetched from a relay with a throw-away key, or read from a file that a
 * member has exported (`pouch directory export`), and replayed under the card's registrars. An authority's home, which is
 * kept offline, learns so what stands about its party. */
#ifndef OUTSIDER_H
#define OUTSIDER_H

#include "libpouch.h"

struct outsider {
    struct card card;
    struct directory *directory;
    struct buf leaves; /* CBOR byte strings, in order */
    size_t count;
    struct instant now; /* the relay's time; of a file, this machine's */
};
void outsider_free(struct outsider *outsider);
#define AUTO_OUTSIDER __attribute__((cleanup(outsider_free))) struct outsider

/* file NULL: from the relay. E_FALSE_ENTRY, E_DIRECTORY_FORKED: what is shown does not hold; E_MALFORMED: the file is no export. */
CHECKED enum error outsider_open(const char *card_path, const char *file, const struct client_options *options,
                                 struct outsider *ret, struct failure *failure);
/* The party's charter and its successions so far, as dirstatements: what its certificates begin with. E_UNKNOWN_PARTY. */
CHECKED enum error outsider_origin(const struct outsider *outsider, const char *party, struct buf *statements,
                                   size_t *ret_count);

#endif
