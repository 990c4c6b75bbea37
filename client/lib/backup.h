/* backup.h - a home as one sealed file, its key on a sheet of paper, and a home made from the two.
 *
 * What is in it: every file of the home but its lock and marks, as it lies there - so the key store stays sealed under
 * the home's pass-phrase -, and a consistent copy of the archive, which is sealed by a key of the key store.
 *
 * The file, `pouch-POST-TIME.backup` (TIME: YYYYMMDDThhmmssZ):
 *   "pouch backup 0\n"
 *   key id    16 bytes: the first of the labelled digest (BACKUP) of the key; tells a wrong key from a damaged file
 *   header    24 bytes of crypto_secretstream_xchacha20poly1305 (libsodium) under BLAKE2b-256(key, label BACKUP)
 *   chunks    of CHUNK_PLAIN plaintext bytes each, the last one shorter or equal and marked final; associated data: all
 *             of the file before the chunks
 * The plaintext: 4 bytes (big-endian) length of a CBOR `backupinfo`; that; then the files it lists, one after the
 * other, nothing after them. Names are letters, digits, dots, dashes and underlines and never begin with a dot.
 *
 * The key is 32 random bytes, made anew for each backup, and stands in `pouch-POST-TIME.sheet.txt` as a code (text.h) of
 * two rows. Its digest (labelled BACKUP, over the whole file) as ten groups of digits stands there, too.
 *
 * A backup opens what was sealed to the day keys it holds, like the home itself: it is to be kept as safely,
 * and replaced. */
#ifndef BACKUP_H
#define BACKUP_H

#include <stdio.h>

#include "home.h"
#include "text.h"

enum { BACKUP_PATH_SIZE = 4200, BACKUP_NAME_MAX = 64, BACKUP_FILES_MAX = 64 };

struct backup_done {
    char file[BACKUP_PATH_SIZE], sheet[BACKUP_PATH_SIZE], fingerprint[TEXT_FINGERPRINT_SIZE];
    uint64_t bytes;
    size_t files;
    unsigned removed; /* older backups */
    struct instant created;
};
struct backup_order {
    const char *folder;
    unsigned keep;                                /* of this post's backups in the folder the newest; 0: all */
    bool (*picture)(FILE *out, const char *text); /* draws the key on the sheet; NULL: no picture */
};
/* Writes both files into the folder; what was written is read again and opened before it counts. The home is locked by
 * whoever opened it. */
CHECKED enum error backup_write(struct home *home, const struct backup_order *order, struct backup_done *ret,
                                struct failure *failure);

/* The newest backup of a folder, or the file itself. E_AMBIGUOUS: the folder holds those of several homes. */
CHECKED enum error backup_find(const char *from, char ret[static BACKUP_PATH_SIZE], struct failure *failure);

struct restore_done {
    char post[POST_MAX + 1];
    struct instant created;
    size_t files;
};
/* Opens and checks all of it, without writing anything. E_BAD_BACKUP_KEY, E_CORRUPT (with where). */
CHECKED enum error backup_check(const char *path, const struct secret *key, struct restore_done *ret,
                                struct failure *failure);
/* Makes the home that the options name, which must be empty (E_HOME_EXISTS): all of it or nothing. As in init,
 * `unfinished` stands there meanwhile and `identity` comes last. A post's home is marked as restored (recovery.h). */
CHECKED enum error backup_read(const struct home_options *options, const char *path, const struct secret *key,
                               struct restore_done *ret, struct failure *failure);

#endif
