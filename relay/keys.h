/* keys.h - the relay's key files, beside relay.yaml: hex text, mode 0600, one key a file.
 *
 *   curve.key       CURVE (X25519) secret; read by the gate only
 *   statement.key   Ed25519 seed: records and the relay's own statements; read by the ledger only
 *   log.key         Ed25519 seed for checkpoints; read by the ledger only
 *   registrar.key   the registrar's Ed25519 seed that `init` makes; read by pouchctl only, and better moved elsewhere
 */
#ifndef KEYS_H
#define KEYS_H

#include "limits.h"
#include "own.h"

/* Reads a 32-byte hex key file: E_IO, E_CORRUPT; E_NOT_ALLOWED when others may read it. */
CHECKED enum error keys_read(const char *folder, const char *name, uint8_t ret[static KEY_SIZE]);
/* Writes one, new (E_HOME_EXISTS), synced. */
CHECKED enum error keys_write(const char *folder, const char *name, const uint8_t key[static KEY_SIZE]);

#endif
