/* codec_struct.h - macros that turn an object table into C structs. Define, include the table, then include
 * codec_undef.h. No guard: included once per table. */
#define CODEC_HAS_REQUIRED(f)
#define CODEC_HAS_OPTIONAL(f) bool has_##f;
#define OBJECT(o) struct o {
#define SUITEFIELD(o, key) uint64_t suite;
#define UINTFIELD(o, key, f, need, lo, hi) CODEC_HAS_##need(f) uint64_t f;
#define BOOLFIELD(o, key, f, need) CODEC_HAS_##need(f) bool f;
#define TIMEFIELD(o, key, f, need) CODEC_HAS_##need(f) struct instant f;
#define TEXTFIELD(o, key, f, need, max) CODEC_HAS_##need(f) struct bytes f;
#define BYTESFIELD(o, key, f, need, max) CODEC_HAS_##need(f) struct bytes f;
#define FIXEDFIELD(o, key, f, need, n) CODEC_HAS_##need(f) uint8_t f[n];
#define SUBFIELD(o, key, f, need, sub) CODEC_HAS_##need(f) struct sub f;
#define LISTFIELD(o, key, f, need, sub, max) CODEC_HAS_##need(f) struct list f;
#define LISTFIXEDFIELD(o, key, f, need, n, max) CODEC_HAS_##need(f) struct list f;
#define LISTUINTFIELD(o, key, f, need, max) CODEC_HAS_##need(f) struct list f;
#define LISTBYTESFIELD(o, key, f, need, n, max) CODEC_HAS_##need(f) struct list f;
#define END(o) };
