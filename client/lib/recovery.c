/* recovery.c - a home that was restored from a backup catches up with the relay. */
#include "recovery.h"

#include <errno.h>
#include <unistd.h>

#include "enrol.h"
#include "fault.h"
#include "files.h"
#include "home_files.h"
#include "kept.h"

enum error recovery_begin(struct home *home, struct failure *failure) {
    enum error error = kept_number_set(home->archive, TABLE_META, archive_named(KEPT_FEED_GAP), 1);
    return error == E_OK ? E_OK : fail(failure, error, "the local store");
}

enum error recovery_replace_prekeys(struct home *home, struct relay *relay, struct failure *failure) {
    struct instant now;
    TRY(enrol_time(relay, &now, failure));
    enum error error = enrol_replace_prekeys(home, now);
    if (error != E_OK) return fail(failure, error, "day keys");
    FAULT("recovery.prekeys-made");
    error = enrol_publish(home, relay, failure);
    return error == E_OK || (failure && failure->error == error) ? error : fail(failure, error, "day keys");
}

enum error recovery_end(struct home *home, struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(files_join(home->path, RECOVERY_MARK, path, sizeof path, failure));
    FAULT("recovery.caught-up");
    if (unlink(path) != 0 && errno != ENOENT) return files_failure(failure, path);
    home->restored = false;
    return E_OK;
}
