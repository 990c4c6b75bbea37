/* objects.h - the protocol's objects as C structs, with their decoders and encoders, all made from objects.def.
 *
 * For every OBJECT(o) there: struct o; o_decode(bytes, &o); o_encode(&o, &buf); o_next(&list, &o); o_object.
 * Views inside a decoded struct borrow from the bytes it was decoded from. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "codec.h"
#include "limits.h"

#include "codec_struct.h"
#include "objects.def"
#include "codec_undef.h"

#include "codec_declare.h"
#include "objects.def"
#include "codec_undef.h"

/* All of them, for documents, tests and the fuzzer; ends with NULL. */
extern const struct object *const object_list[];

enum party_kind { PARTY_STATE, PARTY_INTERGOVERNMENTAL, PARTY_OBSERVER };
enum admission_action { ACTION_ADMIT, ACTION_SUSPEND, ACTION_RESUME, ACTION_NOMINATE };
enum succession_action { SUCCESSION_RENEW, SUCCESSION_RECOVER, SUCCESSION_TAKE, SUCCESSION_OBJECT };
enum split_action { SPLIT_INTO, SPLIT_BACK };
enum card_audience { AUDIENCE_NOBODY, AUDIENCE_PARTIES, AUDIENCE_MEMBERS, AUDIENCE_PUBLIC };
enum fraud_kind { FRAUD_HEADS = 1, FRAUD_ENTRIES, FRAUD_PROMISE, FRAUD_LEAVES };
enum post_function { FUNCTION_DIPLOMATIC = 1, FUNCTION_POLICY = 2, FUNCTION_TECHNICAL = 4 };
enum device_role { ROLE_DECIDER, ROLE_READER, ROLE_BELL };
enum part_number { PART_OFFER = 1, PART_BODY = 2 };
enum request_kind { KIND_INCIDENT, KIND_CLARIFICATION, KIND_ASSISTANCE, KIND_NOTICE, KIND_PING };
enum precedence { PRECEDENCE_ROUTINE, PRECEDENCE_PRIORITY, PRECEDENCE_IMMEDIATE, PRECEDENCE_FLASH };
enum tlp { TLP_CLEAR, TLP_GREEN, TLP_AMBER, TLP_AMBER_STRICT, TLP_RED };
enum pap { PAP_CLEAR, PAP_GREEN, PAP_AMBER, PAP_RED };
enum item_kind { ITEM_OFFERED = 1, ITEM_SENT, ITEM_CHANGED };

#endif
