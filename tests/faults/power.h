/* power.h - what a disk may hold after the power was cut, for SQLite's files.
 *
 * A VFS of its own stands between SQLite and the real one and notes every write, truncation, sync and deletion of one database and its
 * journal, in their order. Afterwards a moment is chosen, and files are made as a disk might have them then:
 *
 *     what was synced before            is there
 *     each sector written since         is there, or not, or half of it, whatever became of those written before and after it
 *     a truncation, a deletion since    has happened, or not
 *
 * What the store says of itself is noted at moments, too (power_mark): a hash of all rows. Whoever was answered at one moment must
 * find that state after the cut, or the next one, and none in between. */
#ifndef POWER_H
#define POWER_H

#include "own.h"

enum { POWER_SECTOR = 512 };

/* Begins with the files as they lie at `path`; what is in them then counts as safe. Every database opened from now on passes. */
void power_begin(const char *path);
/* No more is noted. */
void power_stop(void);
void power_end(void);

/* So many operations have been noted. */
size_t power_count(void);
bool power_is_sync(size_t operation);
/* The state that somebody is being told of now. */
void power_mark(void);

struct power_trial {
    uint64_t seed;
    unsigned images; /* how many */
    bool lying;      /* the disk has not done what it said it had: no sync counts */
    bool hasty;      /* the answer went out before the commit */
};
struct power_found {
    unsigned images, torn; /* made; of them neither all nor nothing of what was pending was there */
    unsigned lost;         /* did not open, were damaged, or had neither state */
    char first[256];       /* what the first of those was */
};
/* open: opens the file as the program under test does, and closes it; false when it says that it is damaged. */
void power_try(const struct power_trial *trial, bool (*open)(const char *path), struct power_found *ret);

/* Seed and number of images from the environment: POUCH_SEED, POUCH_LONG. */
struct power_trial power_trial_of_environment(unsigned images, unsigned images_long);

#endif
