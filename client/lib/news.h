/* news.h - what changed in the directory that every desk is told, whether it asks or not (table NEWS, record keptnews).
 *
 * kind         told to   when
 *   nominated    all       a letter has come; the party has no keys yet
 *   admitted     all       a party was admitted, or again
 *   suspended    all       by the registrars; resumed: no longer
 *   notice       all       the registrars announce another authority key; with the date from which it can be taken
 *   objected     all       the party has objected: the notice is void
 *   key-renewed  all       another authority key: the one that the party had committed to
 *   key-recovered, key-taken   by its recovery key; after the registrars' notice
 *   departed     all       the party has left
 *   split        all       a post's new requests go to others; split-back: no longer
 *   post-revoked all       with all its devices
 *   relay-moved, relay-recovered   all   the relay has another address, or goes on after a loss
 *   post         own party a post was added or changed
 *   device-linked, device-revoked, contact   own post   something about its devices or its contact card
 * That a device has renewed its own certificate is not told: it changes nobody's trust.
 * A home that joins is not told of the past, only of notices that stand and of its own party's trouble. */
#ifndef NEWS_H
#define NEWS_H

#include "libpouch.h"

/* Within the mirror's transaction, after the leaf was applied. */
CHECKED enum error news_take(struct home *home, const struct directory *directory, struct bytes leaf);
/* The same, once, for the directory that a home sees first. */
CHECKED enum error news_first(struct home *home, const struct directory *directory);

#endif
