/* kept.c - loads and saves the records of archive.def. */
#include "kept.h"

#include <stdarg.h>
#include <stdio.h>

#include "moment.h"

#include "codec_table.h"
#include "archive.def"
#include "codec_undef.h"

void kept_request_free(struct kept_request *request) { buf_free(&request->bytes); }

void kept_leg_free(struct kept_leg *leg) { buf_free(&leg->bytes); }

void kept_legs_free(struct kept_legs *legs) {
    for (size_t i = 0; i < legs->count; i++) kept_leg_free(&legs->legs[i]);
    free(legs->legs);
    *legs = (struct kept_legs){0};
}

static enum error corrupt(enum error error) { return error == E_OK || error == E_NO_MEMORY ? error : E_CORRUPT; }

static enum error decode_request(struct kept_request *request) {
    TRY(keptrequest_decode(buf_bytes(&request->bytes), &request->record));
    struct bytes payload;
    TRY(stamp_peek(request->record.header, &payload));
    return header_decode(payload, &request->header);
}

enum error kept_load(struct archive *archive, const uint8_t digest[static HASH_SIZE], struct kept_request *ret) {
    AUTO_REQUEST request = {0};
    bool found = false;
    TRY(archive_get(archive, TABLE_REQUEST, archive_key(digest, NULL, 0), &request.bytes, &found));
    if (!found) return E_UNKNOWN_REQUEST;
    TRY(corrupt(decode_request(&request)));
    *ret = request;
    request.bytes = (struct buf){0};
    return E_OK;
}

enum error kept_save(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                     const struct keptrequest *record) {
    AUTO_BUF bytes = {0};
    keptrequest_encode(record, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(archive, TABLE_REQUEST, archive_key(digest, NULL, 0), buf_bytes(&bytes));
}

enum error kept_add(struct archive *archive, const uint8_t digest[static HASH_SIZE], struct keptrequest *record,
                    const struct header *header) {
    TRY(archive_number(archive, TABLE_ORDER, archive_key(NULL, NULL, 0), &record->number));
    TRY(archive_set(archive, TABLE_ORDER, archive_key(NULL, NULL, record->number), bytes_of(digest, HASH_SIZE)));
    if (header->has_parent)
        TRY(archive_set(archive, TABLE_THREAD, archive_key(header->parent.header, NULL, record->number),
                        bytes_of(digest, HASH_SIZE)));
    return kept_save(archive, digest, record);
}

enum error kept_leg_load(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                         const uint8_t leg[static HASH_SIZE], struct kept_leg *ret) {
    AUTO_LEG loaded = {0};
    bool found = false;
    TRY(archive_get(archive, TABLE_LEG, archive_key(digest, leg, 0), &loaded.bytes, &found));
    if (!found) return E_UNKNOWN_REQUEST;
    TRY(corrupt(keptleg_decode(buf_bytes(&loaded.bytes), &loaded.record)));
    memcpy(loaded.leg, leg, HASH_SIZE);
    *ret = loaded;
    loaded.bytes = (struct buf){0};
    return E_OK;
}

enum error kept_leg_save(struct archive *archive, const uint8_t digest[static HASH_SIZE],
                         const uint8_t leg[static HASH_SIZE], const struct keptleg *record) {
    AUTO_BUF bytes = {0};
    keptleg_encode(record, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(archive, TABLE_LEG, archive_key(digest, leg, 0), buf_bytes(&bytes));
}

static int by_position(const void *x, const void *y) {
    const struct kept_leg *a = x, *b = y;
    uint64_t p = a->record.place.position, q = b->record.place.position;
    return p < q ? -1 : p > q;
}

enum error kept_legs_load(struct archive *archive, const uint8_t digest[static HASH_SIZE], struct kept_legs *ret) {
    uint64_t count;
    TRY(archive_count(archive, TABLE_LEG, SCOPE_A, archive_key(digest, NULL, 0), &count));
    AUTO_LEGS legs = {calloc(count ? count : 1, sizeof(struct kept_leg)), 0};
    if (!legs.legs) return E_NO_MEMORY;
    struct archive_cursor cursor = archive_cursor(TABLE_LEG, SCOPE_A, archive_key(digest, NULL, 0));
    while (legs.count < count) {
        struct kept_leg *leg = &legs.legs[legs.count];
        bool found = false;
        TRY(archive_next(archive, &cursor, &leg->bytes, &found));
        if (!found) break;
        legs.count++;
        TRY(corrupt(keptleg_decode(buf_bytes(&leg->bytes), &leg->record)));
        memcpy(leg->leg, cursor.key.b, HASH_SIZE);
    }
    qsort(legs.legs, legs.count, sizeof *legs.legs, by_position);
    *ret = legs;
    legs = (struct kept_legs){0};
    return E_OK;
}

bool kept_leg_stored(const struct keptleg *leg) { return leg->state != STATE_NONE; }

bool kept_leg_refused(const struct keptleg *leg) {
    return leg->state == STATE_NONE && leg->refused != E_OK && !error_row((enum error)leg->refused)->again;
}

bool kept_leg_settled(const struct keptleg *leg) {
    const struct leg_state_row *row = leg_state_row(leg->state);
    return kept_leg_refused(leg) || leg->away || leg->state == STATE_ACKNOWLEDGED || (row && row->terminal);
}

enum error kept_number(struct archive *archive, enum archive_table table, struct archive_key key, uint64_t *ret) {
    AUTO_BUF bytes = {0};
    bool found = false;
    TRY(archive_get(archive, table, key, &bytes, &found));
    struct keptnumber number = {0};
    if (found) TRY(corrupt(keptnumber_decode(buf_bytes(&bytes), &number)));
    *ret = number.value;
    return E_OK;
}

enum error kept_number_set(struct archive *archive, enum archive_table table, struct archive_key key, uint64_t value) {
    AUTO_BUF bytes = {0};
    keptnumber_encode(&(struct keptnumber){.value = value}, &bytes);
    TRY(buf_error(&bytes));
    return archive_set(archive, table, key, buf_bytes(&bytes));
}

enum error kept_relay(struct archive *archive, struct keptrelay *ret) {
    AUTO_BUF bytes = {0};
    bool found = false;
    TRY(archive_get(archive, TABLE_META, archive_named("relay"), &bytes, &found));
    if (found) return corrupt(keptrelay_decode(buf_bytes(&bytes), ret));
    *ret = (struct keptrelay){.body_max = PART_MAX, .legs_max = LEGS_MAX};
    return E_OK;
}

enum error kept_outgoing_add(struct archive *archive, const struct outgoing *outgoing) {
    AUTO_BUF bytes = {0};
    outgoing_encode(outgoing, &bytes);
    TRY(buf_error(&bytes));
    uint64_t number;
    TRY(archive_number(archive, TABLE_OUTBOX, archive_key(NULL, NULL, 0), &number));
    return archive_set(archive, TABLE_OUTBOX, archive_key(NULL, NULL, number), buf_bytes(&bytes));
}

static enum error add_alarm(struct archive *archive, const struct keptalarm *alarm) {
    AUTO_BUF bytes = {0};
    keptalarm_encode(alarm, &bytes);
    TRY(buf_error(&bytes));
    uint64_t number;
    TRY(archive_number(archive, TABLE_ALARM, archive_key(NULL, NULL, 0), &number));
    return archive_set(archive, TABLE_ALARM, archive_key(NULL, NULL, number), buf_bytes(&bytes));
}

enum error kept_alarm(struct archive *archive, const char *text, ...) {
    char line[1024];
    va_list args;
    va_start(args, text);
    (void)vsnprintf(line, sizeof line, text, args);
    va_end(args);
    return add_alarm(archive, &(struct keptalarm){.at = moment_now(), .text = bytes_text(line)});
}

enum error kept_alarm_proof(struct archive *archive, struct bytes proof, const char *text, ...) {
    char line[1024];
    va_list args;
    va_start(args, text);
    (void)vsnprintf(line, sizeof line, text, args);
    va_end(args);
    return add_alarm(
        archive, &(struct keptalarm){.at = moment_now(), .text = bytes_text(line), .has_proof = true, .proof = proof});
}
