/* wrapping.h - the content keys of a leg, sealed for each device of a post; and the prekeys they are sealed to.
 *
 * A wrap is HPKE (base mode, or psk mode where the two parties share a secret) to a device's prekey, info = label WRAP_INFO, 0x00, CBOR `wrapinfo`, aad
 * empty, plaintext = CBOR `wrapped`. */
#ifndef WRAPPING_H
#define WRAPPING_H

#include "../directory.h"
#include "../objects.h"
#include "hpke.h"
#include "secret.h"

/* A pairwise secret (RFC 9180 section 5.1.2: psk and psk_id). */
struct wrapping_psk {
    uint8_t id[PREKEY_ID_SIZE];
    const uint8_t *secret; /* KEY_SIZE, in guarded memory */
};

/* A device and the prekey to seal to. */
struct wrapping_target {
    uint8_t device[KEY_SIZE];
    uint8_t prekey_id[PREKEY_ID_SIZE];
    uint8_t prekey[KEY_SIZE];
    const struct wrapping_psk *psk; /* NULL: base mode */
};

/* What a wrap set says beside its wraps. leg NULL: for the sender's own post. */
struct wrapping_set {
    const uint8_t *header, *leg; /* HASH_SIZE each */
    uint32_t generation;
    uint64_t directory_size;
    const uint8_t *directory_root, *signer;
};

/* Appends the unsigned wrap set payload. count may be 0 (no live device yet). */
CHECKED enum error wrapping_make(const struct wrapping_set *set, const struct wrapped *keys,
                                 const struct wrapping_target *targets, size_t count, struct buf *out);

/* Opens this device's wrap; `secret` is the secret of the prekey it names (wrapping_prekey_id tells which).
 * E_NOT_FOR_US, E_CANNOT_OPEN. The keys are views into `out`, which receives the plaintext. */
CHECKED enum error wrapping_find(const struct wrapset *set, const uint8_t device[static KEY_SIZE], struct wrap *ret);
/* psk: the pairwise secret whose id the wrap names, or NULL (E_UNKNOWN_PAIR when the wrap needs one). */
CHECKED enum error wrapping_open(const struct wrapset *set, const struct wrap *wrap,
                                 const uint8_t secret[static KEY_SIZE], const struct wrapping_psk *psk, struct buf *out,
                                 struct wrapped *ret);

/* A prekey payload {device, day, key} and its id: the first bytes of its stamp hash. */
void prekey_id(struct bytes payload, uint8_t ret[static PREKEY_ID_SIZE]);
/* Makes `count` fresh pairs for days first_day.., signed by the device with one signature. serial: 0, or higher than
 * that of the keys they take the place of. ret_stamped[i] appended,
 * ret_secrets holds count * 32 bytes, ret_ids count * PREKEY_ID_SIZE. */
CHECKED enum error prekey_make(const uint8_t device_secret[static SIGN_SECRET_SIZE], uint32_t first_day, size_t count,
                               uint64_t serial, struct buf *ret_stamped, uint8_t *ret_secrets, uint8_t *ret_ids);

#endif
