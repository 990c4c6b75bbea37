/* joint.h - one payload that several sign: what registrars decide together, k of n.
 *
 * The object `joint` {payload, signers}: each signer {key, signature}, the signature a COSE_Sign1 (RFC 9052) with
 * detached payload under the kind's label. Signers stand in rising order of their keys, so a set of signers has one
 * form. Signatures are added one after the other, on different machines and days, and are joined later: the payload
 * never changes, and the statement's hash (stamp_hash of the payload) does not depend on who has signed. */
#ifndef JOINT_H
#define JOINT_H

#include "label.h"
#include "objects.h"

/* The payload without any check but decoding and the signers' order (E_NON_CANONICAL), which all functions here check. */
CHECKED enum error joint_peek(struct bytes joint, struct bytes *ret_payload);

/* A joint object around the payload that nobody has signed yet; signed by one more (E_CONFLICT: it has signed
 * already); and two of the same payload as one (E_MISMATCH: of different payloads). Append to `out`. */
CHECKED enum error joint_begin(struct bytes payload, struct buf *out);
CHECKED enum error joint_sign(enum label label, const uint8_t secret[static SIGN_SECRET_SIZE], struct bytes joint,
                              struct buf *out);
CHECKED enum error joint_merge(struct bytes a, struct bytes b, struct buf *out);

/* Every signer is one of the n keys and every signature holds (E_UNKNOWN_REGISTRAR, E_BAD_SIGNATURE), keys rise
 * (E_NON_CANONICAL), and there are at least `threshold` of them (E_TOO_FEW_SIGNERS). ret_payload may be NULL. */
CHECKED enum error joint_verify(enum label label, const uint8_t (*keys)[KEY_SIZE], size_t n, unsigned threshold,
                                struct bytes joint, struct bytes *ret_payload);

#endif
