/* sheet.h - the sheets of a contact card that are not for everybody: sealed under a fresh key, which is sealed to the
 * devices of their audience.
 *
 * A sealed sheet is ChaCha20-Poly1305-IETF of the sheet's bytes under its key, which seals nothing else, with a nonce
 * of zeros; associated data = label SHEET, 0x00, the commitment. A wrap is HPKE (base mode) of the key to a device's
 * prekey, info = label SHEET_INFO, 0x00, CBOR `sheetinfo`, aad empty. */
#ifndef SHEET_H
#define SHEET_H

#include "../contact.h"
#include "secret.h"
#include "wrapping.h"

/* Appends bytes.n + TAG_SIZE bytes. */
CHECKED enum error sheet_seal(const uint8_t key[static KEY_SIZE], const uint8_t commitment[static HASH_SIZE],
                              struct bytes bytes, struct buf *out);
/* Appends the sheet's bytes, which sheet_open (contact.h) then judges: E_CANNOT_OPEN. */
CHECKED enum error sheet_unseal(const uint8_t key[static KEY_SIZE], const uint8_t commitment[static HASH_SIZE],
                                struct bytes cipher, struct buf *out);

/* Appends the `wrap` of the key for one device. E_BAD_KEY. */
CHECKED enum error sheet_wrap(const uint8_t key[static KEY_SIZE], const uint8_t commitment[static HASH_SIZE],
                              const struct wrapping_target *target, struct buf *out);
/* The key, with the secret of the prekey that the wrap names: E_CANNOT_OPEN. */
CHECKED enum error sheet_unwrap(const struct wrap *wrap, const uint8_t commitment[static HASH_SIZE],
                                const uint8_t secret[static KEY_SIZE], struct secret *ret_key);

#endif
