/* objects.c - the descriptions of the objects of objects.def. */
#include "objects.h"

#include "codec_table.h"
#include "objects.def"
#include "codec_undef.h"

#include "codec_declare.h"
#undef OBJECT
#define OBJECT(o) &o##_object,
const struct object *const object_list[] = {
#include "objects.def"
    NULL};
#include "codec_undef.h"
