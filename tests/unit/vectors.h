/* vectors.h - test data: JSON files below $POUCH_VECTORS (tests/vectors), hex and base64 in them. A fault in the data ends
 * the test program: a vector that is not read must not pass for one that agrees. */
#ifndef VECTORS_H
#define VECTORS_H

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

#include "own.h"

#define AUTO_JSON __attribute__((cleanup(vectors_free))) json_t

static inline void vectors_free(json_t **json) { json_decref(*json); }

static inline void vectors_fault(const char *what, const char *detail) {
    (void)fprintf(stderr, "test vectors: %s: %s\n", what, detail ? detail : "");
    abort();
}

static inline json_t *vectors_load(const char *path) {
    char full[4096];
    const char *folder = getenv("POUCH_VECTORS");
    if (!folder) vectors_fault("POUCH_VECTORS is not set", path);
    (void)snprintf(full, sizeof full, "%s/%s", folder, path);
    json_error_t error;
    json_t *json = json_load_file(full, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (!json) vectors_fault(full, error.text);
    return json;
}

/* Appends the bytes of a hex string; absent members (json NULL) append nothing. */
static inline void vectors_hex(const json_t *json, struct buf *out) {
    if (!json) return;
    const char *hex = json_string_value(json);
    if (!hex) vectors_fault("not a string", NULL);
    size_t n = strlen(hex) / 2, got = 0;
    uint8_t *at = buf_extend(out, n);
    if (!at || sodium_hex2bin(at, n, hex, strlen(hex), NULL, &got, NULL) != 0 || got != n || strlen(hex) % 2)
        vectors_fault("not hex", hex);
}

static inline void vectors_base64(const json_t *json, struct buf *out) {
    const char *text = json_string_value(json);
    if (!text) vectors_fault("not a string", NULL);
    size_t room = strlen(text), got = 0;
    uint8_t *at = buf_extend(out, room);
    if (!at || sodium_base642bin(at, room, text, strlen(text), NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        vectors_fault("not base64", text);
    out->n -= room - got;
}

static inline const char *vectors_text(const json_t *json, const char *member) {
    const char *text = json_string_value(json_object_get(json, member));
    if (!text) vectors_fault("member missing", member);
    return text;
}

/* Numbers are loaded as reals, because some vectors go beyond jansson's integers: exact below 2^53, and 2^64 - 1. */
static inline uint64_t vectors_uint(const json_t *json, const char *member) {
    const json_t *value = json_object_get(json, member);
    if (!json_is_real(value)) vectors_fault("number missing", member);
    return json_real_value(value) < 0x1p64 ? (uint64_t)json_real_value(value) : UINT64_MAX;
}

static inline bool vectors_bool(const json_t *json, const char *member) {
    const json_t *value = json_object_get(json, member);
    if (!json_is_boolean(value)) vectors_fault("boolean missing", member);
    return json_is_true(value);
}

#endif
