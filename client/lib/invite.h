/* invite.h - a further device of a post, linked by a one-time code.
 *
 * The code is a secret of 16 random bytes (text_code). Both ends derive from it, by HKDF-SHA256 with salt = label INVITATION
 * and info = that label, 0x00, the name in quotes below, 32 bytes each: the ids of three boxes at the relay ("box hello",
 * "box to old", "box to new") and two keys ("key to old", "key to new", which also seals the hello). An item is a random nonce (12 bytes) and a ChaCha20-Poly1305
 * ciphertext of one CBOR object; associated data = label INVITATION, 0x00, the object's name.
 *
 *   older device                       relay's boxes                     new device
 *   makes the code; linkhello ───────▶ hello
 *                        the code, read aloud, typed or as a QR code
 *                                      hello ────────▶ knows post, role and card; makes its keys
 *                                      to old ◀─────── linkask: its public keys, a prekey
 *   both show one fingerprint; a person compares it
 *   post key certifies, own device key
 *   countersigns; DECLARE to the relay
 *   parcel (parcel.h) ───────────────▶ her own box
 *   linkgive: card, certificate ─────▶ to new ───────▶ checks, joins, syncs
 *
 * What a stranger who overheard the code could read with it is therefore public anyway: the parcel, which holds content keys
 * and shared secrets, is sealed to the new device's own prekey and signed by the older device.
 *
 * Whoever knows the code and is faster can ask in the new device's place; so the fingerprint is compared, and a second ask
 * under another key is an alarm. The relay does not know the code and can only drop items, or give them again.
 *
 * Crash safety: the invitation is kept in the archive until it is answered, with the certificate before that is declared; an
 * invite that was killed goes on where it stopped, with the same code and the same certificate. */
#ifndef INVITE_H
#define INVITE_H

#include "kept.h"
#include "link.h"
#include "text.h"

enum { INVITE_SECRET = TEXT_CODE_ROW, INVITE_NONCE = 12 };
enum { INVITE_DEFAULT_S = 15 * 60, INVITE_MAX_S = 24 * 3600 }; /* how long a code may be good: boxes keep no longer */

struct invite_keys {
    uint8_t box_hello[HASH_SIZE], box_to_old[HASH_SIZE], box_to_new[HASH_SIZE];
    struct secret key_to_old, key_to_new;
};
void invite_keys_free(struct invite_keys *keys);
#define AUTO_INVITE_KEYS __attribute__((cleanup(invite_keys_free))) struct invite_keys
CHECKED enum error invite_derive(const uint8_t secret[static INVITE_SECRET], struct invite_keys *ret);

/* One item: the object's table says its name and how it is encoded. E_CANNOT_OPEN: made under another code, or of another kind.
 * The value's views borrow from `plain`. */
CHECKED enum error invite_seal(const struct secret *key, const struct object *object, const void *value,
                               struct buf *out);
CHECKED enum error invite_open(const struct secret *key, const struct object *object, struct bytes item,
                               struct buf *plain, void *ret_value);

/* What both ends show: text_fingerprint of the label digest (FINGERPRINT) over device and transport key. */
void invite_fingerprint(const uint8_t device[static KEY_SIZE], const uint8_t transport[static KEY_SIZE],
                        uint8_t ret[static HASH_SIZE]);

/* ---- the boxes ---- */
CHECKED enum error invite_put(struct relay *relay, const uint8_t box[static HASH_SIZE], struct bytes item,
                              struct failure *failure);
/* The first item numbered above `after` (which drops those up to it); ret_number 0: none. */
CHECKED enum error invite_get(struct relay *relay, const uint8_t box[static HASH_SIZE], uint64_t after,
                              struct buf *ret_item, uint64_t *ret_number, struct failure *failure);

/* ---- the older device ---- */
struct invitation {
    struct keptinvitation record; /* of an asking device once one has */
    struct buf bytes;             /* what its views borrow */
    char code[TEXT_CODE_SIZE];
    bool resumed; /* made by an earlier run */
    uint64_t seen;
};
void invitation_free(struct invitation *invitation);
#define AUTO_INVITATION __attribute__((cleanup(invitation_free))) struct invitation

struct invite_options {
    enum device_role role;
    bool has_role;
    uint64_t valid_s; /* 0: INVITE_DEFAULT_S */
    bool fresh;       /* another code, whatever was given out before */
};
/* May this device invite? A live decider: E_NOT_ALLOWED, and directory_live's errors. */
CHECKED enum error invite_check(const struct home *home, const struct relay *relay, struct failure *failure);
/* The post key, from `path` (NULL: post.key in the home): E_NO_FILE says whose signature is needed, E_FOREIGN_CERTIFICATE
 * when it is not this post's. */
CHECKED enum error invite_post_key(const struct home *home, const char *path, const char *passphrase,
                                   struct keystore *ret, struct failure *failure);
/* The invitation that is still good, or a new one; its hello lies at the relay after. E_USAGE: the one that is still good is for
 * another role. */
CHECKED enum error invite_begin(struct home *home, struct relay *relay, const struct invite_options *options,
                                struct invitation *ret, struct failure *failure);
/* Looks whether somebody has asked; record.has_device then. E_CODE_EXPIRED. A second one under another key: an alarm,
 * and E_CONFLICT; the invitation has ended. */
CHECKED enum error invite_look(struct home *home, struct relay *relay, struct invitation *invitation,
                               struct failure *failure);
/* Certifies, declares, answers. Repeatable. */
CHECKED enum error invite_certify(struct home *home, struct relay *relay, const struct secret *post_key,
                                  struct invitation *invitation, struct failure *failure);
/* Ends it: its code is good for nothing any more. alarm may be NULL. */
CHECKED enum error invite_end(struct home *home, const char *alarm, struct failure *failure);

/* What a linked device's user has called it here; empty when nothing is known. */
CHECKED enum error invite_name(struct home *home, const uint8_t device[static KEY_SIZE], char ret[static 65]);

#endif
