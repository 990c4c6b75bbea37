/* limits.h - every number that both ends must agree on. Sizes in bytes, times as named. */
#ifndef LIMITS_H
#define LIMITS_H

enum {
    WIRE_VERSION = 0, /* may change until keys, evidence and logs all stand */
    SUITE = 1,        /* Ed25519, X25519, HKDF-SHA256, ChaCha20-Poly1305, BLAKE2b-256, SHA-256 */

    HASH_SIZE = 32,
    KEY_SIZE = 32,
    SIGN_SECRET_SIZE = 64, /* libsodium's form: seed and public key */
    SIGNATURE_SIZE = 64,
    REQUEST_ID_SIZE = 16,
    NONCE_SIZE = 16,
    PREKEY_ID_SIZE = 16,
    TAG_SIZE = 16, /* Poly1305 */

    PARTY_MAX = 32, /* `de`, `org.first` */
    DESK_MAX = 32,  /* the part after the slash */
    POST_MAX = PARTY_MAX + 1 + DESK_MAX,
    NAME_MAX_SIZE = 256, /* a party's display name, UTF-8 bytes */

    CBOR_DEPTH_MAX = 16,

    LEGS_DEPTH = 10, /* every request's tree of legs has this depth, whatever the number of legs */
    LEGS_MAX = 1 << LEGS_DEPTH,
    STAMP_PATH_MAX = 16, /* so one signature covers at most 65,536 payloads */
    STAMP_MAX = 1 << STAMP_PATH_MAX,

    CHUNK_PLAIN = 64 * 1024,
    CHUNK_SIZE = CHUNK_PLAIN + TAG_SIZE,

    DEVICES_PER_POST_MAX = 16,
    PREKEY_DAYS_AHEAD = 30,
    PREKEY_WINDOW_DAYS = 14, /* a prekey's secret is destroyed, and the key given to nobody, this long after its day */
    PREKEY_BATCH_MAX = 64,
    VOIDS_MAX = 64,

    SUBJECT_MAX = 512,
    SUMMARY_MAX = 16 * 1024,
    NOTE_MAX = 1024, /* plaintext bytes of a decline's or acknowledgement's words */
    PARTS_MAX = 64,  /* the text and its attachments */
    FILENAME_MAX_SIZE = 255,

    HEADER_MAX = 1024,
    SIGNATURE_MAX = 96, /* a COSE_Sign1 with detached payload */
    STAMPED_OVERHEAD = 768,
    OPENING_MAX = 160,
    STATEMENT_MAX = 2048,
    ENTRY_MAX = 256,
    WRAP_PLAIN_MAX = 768,
    WRAPSET_MAX = 24 * 1024,
    CERTIFICATE_MAX = 1024,
    RECEIPT_MAX = 8 * 1024,
    SIGNERS_MAX = 16,        /* of what several sign together */
    DIRSTATEMENT_MAX = 4096, /* a directory statement with its signatures */
    SPLIT_MAX = 8,           /* posts that one post is split into */

    SHEETS_MAX = 8,        /* of a contact card: one an audience */
    SHEET_MAX = 16 * 1024, /* plaintext bytes */
    SHEET_WRAPS_MAX = 512, /* in one message */
    AUDIENCE_MAX = 64,     /* parties named for one sheet */
    CARD_FIELDS_MAX = 32,
    CARD_VALUE_MAX = 1024,

    BOX_ITEM_MAX = 300 * 1024,
    BOX_ITEMS_MAX = 64, /* in one box */
    PARCEL_MAX = 256 * 1024,
    PARCEL_ITEMS_MAX = 1024,

    CARD_ADDRESSES = 8,
    CARD_ADDRESS_MAX = 127,
    FRAUD_LEAVES_MAX = 65536, /* directory entries in a proof */
    WITNESSES_MAX = 16,
    HEAD_NOTE_MAX = 8 * 1024, /* a directory head with its cosignatures */

    MESSAGE_MAX = 512 * 1024, /* one frame between client and relay */
    FEED_MAX = 256,           /* items an answer may hold */
    LEAVES_MAX = 512,
    STATEMENTS_MAX = 256, /* statements in one message */

    LOG_SIZES_MAX = 64,    /* proofs in one answer */
    LOG_HASHES_MAX = 4096, /* leaf hashes in one answer */
    MERKLE_PROOF_MAX = 64 * HASH_SIZE,
    BUNDLE_RECEIPTS_MAX = 4096, /* of one leg */
    BUNDLE_STEPS_MAX = 65536,
    BUNDLE_MAX = 256 * 1024 * 1024,

    SIGNED_NOTE_MAX = 64 * 1024, /* a checkpoint with its signatures */
    NOTE_KEY_NAME_MAX = 255,
    NOTE_SIGNATURES_MAX = 64,  /* signature lines of a note */
    NOTE_SIGNATURE_MAX = 4096, /* key hash and signature of one line, also of an algorithm unknown here */
};

/* The relay's two logs; their names stand in the origins of their heads (head.h) */
enum relay_log {
    LOG_DIRECTORY = 1,
    LOG_EVIDENCE = 2,
};

/* A request's content: ciphertext of one part. The relay's configuration may ask for less. */
#define PART_MAX ((uint64_t)1 << 40)

/* keep: how long after `stored` a leg waits, in seconds */
#define KEEP_MIN_S ((uint64_t)72 * 3600)
#define KEEP_MAX_S ((uint64_t)366 * 86400)
#define KEEP_DEFAULT_S ((uint64_t)30 * 86400)

/* A device certificate's longest validity */
#define DEVICE_VALIDITY_MAX_MS ((uint64_t)400 * 86400 * 1000)
/* How long the registrars' notice of a new authority key stands before the key may be taken */
#define NOTICE_MS ((uint64_t)14 * 86400 * 1000)
/* How far the time in a head may be from a witness's clock; and how old a witness's word may be, unless the card says so */
#define HEAD_TIME_MS ((uint64_t)10 * 60 * 1000)
#define WITNESS_AGE_S ((uint64_t)24 * 3600)
/* How long after a declared loss members offer again what the relay has lost */
#define LOSS_OFFERS_MS ((uint64_t)30 * 86400 * 1000)
/* By when a promised statement stands in every head */
#define PROMISE_MS ((uint64_t)60 * 60 * 1000)
#define DAY_MS ((uint64_t)86400 * 1000)

#endif
