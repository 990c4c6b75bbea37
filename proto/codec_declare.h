/* codec_declare.h - macros that turn an object table into declarations of its descriptions and typed helpers:
 *   enum error o_decode(struct bytes, struct o *ret);   void o_encode(const struct o *, struct buf *out);
 *   bool o_next(struct list *, struct o *ret);           const struct object o_object; */
#define OBJECT(o)                                                                                                      \
    extern const struct object o##_object;                                                                             \
    CHECKED static inline enum error o##_decode(struct bytes bytes, struct o *ret) {                                   \
        return codec_decode(&o##_object, bytes, ret);                                                                  \
    }                                                                                                                  \
    static inline void o##_encode(const struct o *value, struct buf *out) { codec_encode(&o##_object, value, out); }   \
    static inline bool o##_next(struct list *list, struct o *ret) { return list_next(list, &o##_object, ret); }
#define SUITEFIELD(o, key)
#define UINTFIELD(o, key, f, need, lo, hi)
#define BOOLFIELD(o, key, f, need)
#define TIMEFIELD(o, key, f, need)
#define TEXTFIELD(o, key, f, need, max)
#define BYTESFIELD(o, key, f, need, max)
#define FIXEDFIELD(o, key, f, need, n)
#define SUBFIELD(o, key, f, need, sub)
#define LISTFIELD(o, key, f, need, sub, max)
#define LISTFIXEDFIELD(o, key, f, need, n, max)
#define LISTUINTFIELD(o, key, f, need, max)
#define LISTBYTESFIELD(o, key, f, need, n, max)
#define END(o)
