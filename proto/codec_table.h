/* codec_table.h - macros that turn an object table into descriptions. Define, include the table, then include
 * codec_undef.h. The descriptions are named <object>_object; declare them with codec_declare.h. */
#define CODEC_OPT_REQUIRED(o, f) .optional = false
#define CODEC_OPT_OPTIONAL(o, f) .optional = true, .has_offset = offsetof(struct o, has_##f)
#define CODEC_ROW(o, k, f, need, kind_) .name = #f, .kind = kind_, .key = k, .offset = offsetof(struct o, f), CODEC_OPT_##need(o, f)
#define OBJECT(o) static const struct field o##_fields[] = {
#define SUITEFIELD(o, key) {CODEC_ROW(o, key, suite, REQUIRED, FIELD_SUITE)},
#define UINTFIELD(o, key, f, need, lo_, hi_) {CODEC_ROW(o, key, f, need, FIELD_UINT), .lo = lo_, .hi = hi_},
#define BOOLFIELD(o, key, f, need) {CODEC_ROW(o, key, f, need, FIELD_BOOL)},
#define TIMEFIELD(o, key, f, need) {CODEC_ROW(o, key, f, need, FIELD_TIME)},
#define TEXTFIELD(o, key, f, need, n) {CODEC_ROW(o, key, f, need, FIELD_TEXT), .hi = n},
#define BYTESFIELD(o, key, f, need, n) {CODEC_ROW(o, key, f, need, FIELD_BYTES), .hi = n},
#define FIXEDFIELD(o, key, f, need, n) {CODEC_ROW(o, key, f, need, FIELD_FIXED), .hi = n},
#define SUBFIELD(o, key, f, need, s) {CODEC_ROW(o, key, f, need, FIELD_SUB), .sub = &s##_object},
#define LISTFIELD(o, key, f, need, s, m) {CODEC_ROW(o, key, f, need, FIELD_LIST), .sub = &s##_object, .max = m},
#define LISTFIXEDFIELD(o, key, f, need, n, m) {CODEC_ROW(o, key, f, need, FIELD_LISTFIXED), .hi = n, .max = m},
#define LISTUINTFIELD(o, key, f, need, m) {CODEC_ROW(o, key, f, need, FIELD_LISTUINT), .max = m},
#define LISTBYTESFIELD(o, key, f, need, n, m) {CODEC_ROW(o, key, f, need, FIELD_LISTBYTES), .hi = n, .max = m},
#define END(o)                                                                                                         \
    }                                                                                                                  \
    ;                                                                                                                  \
    const struct object o##_object = {#o, sizeof(struct o), o##_fields, LENGTH(o##_fields)};
