/* fuzz_keystore.c - the file of a home's secret keys. Nobody gives a pass-phrase, so a file that asks for one is
 * refused before its limits cost anything. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "keystore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct keystore keys = {0};
    struct failure failure = {0};
    char path[64];
    bool sealed = false;
    int fd = memfd_create("keys", MFD_CLOEXEC);
    HOLDS(fd >= 0);
    HOLDS(size == 0 || write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fuzz_accepted = keystore_open(path, NULL, &keys, &failure) == E_OK;
    if (fuzz_accepted) {
        HOLDS(keystore_is_sealed(path, &sealed, &failure) == E_OK && !sealed);
        HOLDS(keys.device.n == SIGN_SECRET_SIZE && keys.device.p[0] == 1);
        HOLDS(keys.transport.n == KEY_SIZE && keys.transport.p[0] == 2);
        HOLDS(!keys.authority.p);
    } else
        HOLDS(!keys.device.p);
    keystore_free(&keys);
    close(fd);
    return 0;
}

void fuzz_samples(void (*give)(struct bytes sample)) {
    struct keystore keys = {0};
    struct failure failure = {0};
    char folder[] = "/tmp/pouch-fuzz-XXXXXX", path[64];
    uint8_t device[SIGN_SECRET_SIZE] = {1}, transport[KEY_SIZE] = {2}, archive[KEY_SIZE] = {3}, bytes[4096];
    HOLDS(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/keys", folder);
    HOLDS(secret_copy(device, sizeof device, &keys.device) == E_OK);
    HOLDS(secret_copy(transport, sizeof transport, &keys.transport) == E_OK);
    HOLDS(secret_copy(archive, sizeof archive, &keys.archive) == E_OK);
    HOLDS(keystore_create(path, &keys, NULL, &failure) == E_OK);
    keystore_free(&keys);
    FILE *file = fopen(path, "re");
    HOLDS(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    HOLDS(unlink(path) == 0 && rmdir(folder) == 0);
    give(bytes_of(bytes, n));
}
