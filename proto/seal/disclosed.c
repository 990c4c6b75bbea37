/* disclosed.c - opens the part that a bundle discloses. */
#include "disclosed.h"

#include <sodium.h>

void disclosed_free(struct disclosed *disclosed) {
    buf_free(&disclosed->plain);
    sodium_memzero(disclosed, sizeof *disclosed);
}

static enum error decrypt(const struct bundle_report *report, struct buf *out) {
    struct content_context context = {.part = report->opened, .exercise = report->header.exercise};
    struct list chunks = report->opened_chunks;
    struct bytes chunk;
    memcpy(context.request, report->header.request, REQUEST_ID_SIZE);
    memcpy(context.device, report->header.device, KEY_SIZE);
    for (uint64_t i = 0; list_next_bytes(&chunks, &chunk); i++)
        TRY(content_open_chunk(&context, report->opened_key, i, chunks.count == 0, chunk, out));
    return E_OK;
}

/* content_open_manifest has seen that all files and their padding fit the plaintext. */
static size_t end_of_files(const struct disclosed *disclosed) {
    size_t end = disclosed->manifest_size;
    struct list files = disclosed->manifest.files;
    struct file file;
    while (file_next(&files, &file)) end += (size_t)file.length;
    return end;
}

static enum error open_body(const struct bundle_report *report, struct disclosed *disclosed) {
    struct bytes plain = buf_bytes(&disclosed->plain);
    TRY(content_open_manifest(plain, &report->header, &disclosed->manifest, &disclosed->manifest_size));
    size_t end = end_of_files(disclosed);
    if (end > plain.n) return E_BAD_PADDING;
    return content_check_padding(end, plain.n, bytes_of(plain.p + end, plain.n - end));
}

enum error disclosed_open(const struct bundle_report *report, struct disclosed *ret) {
    AUTO_DISCLOSED disclosed = {.part = report->opened};
    if (!report->has_opened) return E_MISSING_FIELD;
    TRY(decrypt(report, &disclosed.plain));
    TRY(disclosed.part == PART_OFFER
            ? content_open_offer(buf_bytes(&disclosed.plain), &report->header, &disclosed.offer)
            : open_body(report, &disclosed));
    *ret = disclosed;
    disclosed.plain = (struct buf){0};
    return E_OK;
}

bool disclosed_file(const struct disclosed *disclosed, size_t which, struct file *ret, struct bytes *ret_bytes) {
    size_t from = disclosed->manifest_size;
    struct list files = disclosed->manifest.files;
    struct file file;
    if (disclosed->part != PART_BODY) return false;
    for (size_t i = 0; file_next(&files, &file); i++) {
        if (i == which) {
            *ret = file;
            *ret_bytes = bytes_of(disclosed->plain.p + from, (size_t)file.length);
            return true;
        }
        from += (size_t)file.length;
    }
    return false;
}

bool disclosed_words(const struct bundle_report *report, const struct bundle_leg_report *leg,
                     const struct bundle_rung *rung, struct buf *out) {
    enum part_number under = report->kind == LEG_REPLY ? PART_BODY : PART_OFFER;
    if (!report->has_opened || report->opened != under || rung->words.n == 0) return false;
    return content_open_note(report->opened_key, rung->nonce, report->digest, leg->leg, rung->words, out) == E_OK;
}
