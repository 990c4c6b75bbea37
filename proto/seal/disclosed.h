/* disclosed.h - the part of a request that a bundle opens: decrypted under the key in it, and held against the header.
 *
 * The bundle has been verified (bundle.h), so key and ciphertext are those that the sender's signed header names.
 * What opens is hence what the sender has sealed - or, if it does not open, what nobody could open either:
 * E_CANNOT_OPEN, E_MISMATCH (the inside says another sender, request or exercise mark than the outside),
 * E_BAD_PADDING, decoding errors. */
#ifndef DISCLOSED_H
#define DISCLOSED_H

#include "bundle.h"
#include "content.h"

struct disclosed {
    enum part_number part;
    struct buf plain;         /* wiped when it is freed; the rest are views into it */
    struct offer offer;       /* part 1 */
    struct manifest manifest; /* part 2 */
    size_t manifest_size;
};
void disclosed_free(struct disclosed *disclosed);
#define AUTO_DISCLOSED __attribute__((cleanup(disclosed_free))) struct disclosed

/* The report is one with has_opened. */
CHECKED enum error disclosed_open(const struct bundle_report *report, struct disclosed *ret);
/* A body's file `which`, its text or an attachment: its name (none: the text) and its bytes; false when there is
 * none. */
bool disclosed_file(const struct disclosed *disclosed, size_t which, struct file *ret, struct bytes *ret_bytes);
/* The words that came with a statement of this leg, if the opened part's key is the one that they are sealed under:
 * appended. False: there are none, or they do not open. */
bool disclosed_words(const struct bundle_report *report, const struct bundle_leg_report *leg,
                     const struct bundle_rung *rung, struct buf *out);

#endif
