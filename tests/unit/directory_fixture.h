/* directory_fixture.h - a small world for tests: deterministic keys, signed directory statements, and a directory that
 * checks at every leaf that asking (directory_make_leaf) and doing (directory_apply) agree, and that a refusal changes
 * nothing. */
#ifndef DIRECTORY_FIXTURE_H
#define DIRECTORY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>

#include "directory.h"
#include "joint.h"
#include "sign.h"
#include "stamp.h"

#define UNUSED __attribute__((unused))
#define assert_error(call, wanted) assert_string_equal(error_row(call)->name, error_row(wanted)->name)
#define assert_ok(call) assert_error(call, E_OK)

struct pair {
    uint8_t public[KEY_SIZE], secret[SIGN_SECRET_SIZE];
};

UNUSED static struct pair pair_of(unsigned number) {
    struct pair pair;
    uint8_t seed[crypto_sign_SEEDBYTES] = {(uint8_t)number, (uint8_t)(number >> 8), 1};
    assert_int_equal(crypto_sign_seed_keypair(pair.public, pair.secret, seed), 0);
    return pair;
}

UNUSED static void transport_of(unsigned number, uint8_t ret[static KEY_SIZE]) {
    uint8_t secret[KEY_SIZE] = {0, (uint8_t)number, (uint8_t)(number >> 8), 2}; /* the first bits are clamped away */
    assert_int_equal(crypto_scalarmult_base(ret, secret), 0);
}

enum { REGISTRAR = 1, AUTHORITY, POST_KEY, REVOKER, OTHER_AUTHORITY, OTHER_POST_KEY, STRANGER, DEVICE = 100 };
#define WORLD_TIME ((uint64_t)1800000000000)

struct world {
    struct directory *directory;
    struct buf leaves[128]; /* those accepted, for a second reader */
    size_t count;
    uint64_t time;
};

UNUSED static struct directory *fresh_directory(void) {
    struct card card = {.registrar_count = 2, .threshold = 1};
    memcpy(card.registrars[0], pair_of(STRANGER + 50).public, KEY_SIZE);
    memcpy(card.registrars[1], pair_of(REGISTRAR).public, KEY_SIZE);
    struct directory *directory = directory_new(&card);
    assert_non_null(directory);
    return directory;
}

UNUSED static void world_free(struct world *world) {
    directory_free(world->directory);
    for (size_t i = 0; i < world->count; i++) buf_free(&world->leaves[i]);
}

/* Everything that can be asked of a directory, in one hash. */
UNUSED static void hash_directory(const struct directory *directory, uint8_t ret[static HASH_SIZE]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    uint8_t root[HASH_SIZE];
    directory_root(directory, root);
    crypto_generichash_update(&state, root, sizeof root);
    uint64_t size = directory_size(directory);
    crypto_generichash_update(&state, (const uint8_t *)&size, sizeof size);
    const struct directory_party *party;
    for (size_t i = 0; (party = directory_party_nth(directory, i)); i++) {
        assert_ptr_equal(directory_party(directory, bytes_text(party->name)), party);
        crypto_generichash_update(&state, (const uint8_t *)party, sizeof *party);
    }
    const struct directory_post *post;
    for (size_t i = 0; (post = directory_post_nth(directory, i)); i++) {
        assert_ptr_equal(directory_post(directory, bytes_text(post->name)), post);
        crypto_generichash_update(&state, (const uint8_t *)post, offsetof(struct directory_post, party));
    }
    const struct directory_device *device;
    for (size_t i = 0; (device = directory_device_nth(directory, i)); i++) {
        assert_ptr_equal(directory_device(directory, device->device), device);
        assert_ptr_equal(directory_transport(directory, device->transport), device);
        crypto_generichash_update(&state, (const uint8_t *)device, offsetof(struct directory_device, post));
    }
    const struct directory_relay *relay;
    for (size_t i = 0; (relay = directory_relay_nth(directory, i)); i++)
        crypto_generichash_update(&state, (const uint8_t *)relay, sizeof *relay);
    crypto_generichash_final(&state, ret, HASH_SIZE);
}

UNUSED static void leaf_bytes(enum leaf_kind kind, struct bytes statement, uint64_t time, struct buf *out) {
    struct leaf leaf = {.kind = (uint64_t)kind, .statement = statement, .time = {time}};
    leaf_encode(&leaf, out);
    assert_ok(buf_error(out));
}

/* The next leaf, with all that must hold whether it is accepted or not. */
UNUSED static enum error world_leaf(struct world *world, enum leaf_kind kind, struct bytes statement) {
    AUTO_BUF leaf = {0};
    AUTO_BUF asked = {0};
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    bool held = directory_holds(world->directory, kind, statement);
    leaf_bytes(kind, statement, world->time, &leaf);
    hash_directory(world->directory, before);
    enum error answer = directory_make_leaf(world->directory, kind, statement, (struct instant){world->time}, &asked);
    hash_directory(world->directory, after);
    assert_memory_equal(before, after, HASH_SIZE);

    enum error error = directory_apply(world->directory, buf_bytes(&leaf));
    assert_error(answer, error);
    hash_directory(world->directory, after);
    if (error != E_OK) {
        assert_memory_equal(before, after, HASH_SIZE);
        assert_int_equal(asked.n, 0);
        assert_int_equal(directory_holds(world->directory, kind, statement), held);
        return error;
    }
    assert_memory_not_equal(before, after, HASH_SIZE);
    assert_false(held);
    assert_true(directory_holds(world->directory, kind, statement));
    assert_true(bytes_equal(buf_bytes(&asked), buf_bytes(&leaf)));
    struct directory *copy = directory_copy(world->directory);
    assert_non_null(copy);
    hash_directory(copy, before);
    assert_memory_equal(before, after, HASH_SIZE);
    directory_free(copy);
    assert_true(world->count < LENGTH(world->leaves));
    world->leaves[world->count++] = buf_take(&leaf);
    world->time += 1000;
    return error;
}

/* sign_<object>(value, key, out) and say_<object>(world, value, key). */
#define STATEMENT(object, LABEL, KIND)                                                                                 \
    UNUSED static void sign_##object(const struct object *value, unsigned key, struct buf *out) {                      \
        AUTO_BUF payload = {0};                                                                                        \
        struct pair pair = pair_of(key);                                                                               \
        object##_encode(value, &payload);                                                                              \
        assert_ok(stamp_sign_one(LABEL, pair.secret, buf_bytes(&payload), out));                                       \
    }                                                                                                                  \
    UNUSED static void hash_##object(const struct object *value, uint8_t ret[static HASH_SIZE]) {                      \
        AUTO_BUF payload = {0};                                                                                        \
        object##_encode(value, &payload);                                                                              \
        stamp_hash(buf_bytes(&payload), ret);                                                                          \
    }                                                                                                                  \
    UNUSED static enum error say_##object(struct world *world, const struct object *value, unsigned key) {             \
        AUTO_BUF stamped = {0};                                                                                        \
        sign_##object(value, key, &stamped);                                                                           \
        return world_leaf(world, KIND, buf_bytes(&stamped));                                                           \
    }
STATEMENT(charter, LABEL_CHARTER, LEAF_CHARTER)
STATEMENT(post, LABEL_POST, LEAF_POST)
STATEMENT(device, LABEL_DEVICE, LEAF_DEVICE)
STATEMENT(countersign, LABEL_COUNTERSIGN, LEAF_COUNTERSIGN)
STATEMENT(revocation, LABEL_REVOCATION, LEAF_REVOCATION)
STATEMENT(succession, LABEL_SUCCESSION, LEAF_SUCCESSION)
STATEMENT(departure, LABEL_DEPARTURE, LEAF_DEPARTURE)
STATEMENT(split, LABEL_SPLIT, LEAF_SPLIT)
STATEMENT(contact, LABEL_CONTACT, LEAF_CONTACT)

/* The same of what registrars sign jointly: by `key`, and by `other` too where it is not 0. */
#define JOINTLY(object, LABEL, KIND)                                                                                   \
    UNUSED static void hash_##object(const struct object *value, uint8_t ret[static HASH_SIZE]) {                      \
        AUTO_BUF payload = {0};                                                                                        \
        object##_encode(value, &payload);                                                                              \
        stamp_hash(buf_bytes(&payload), ret);                                                                          \
    }                                                                                                                  \
    UNUSED static void sign_##object##_by(const struct object *value, unsigned key, unsigned other, struct buf *out) { \
        AUTO_BUF payload = {0}, begun = {0}, one = {0};                                                                \
        object##_encode(value, &payload);                                                                              \
        assert_ok(joint_begin(buf_bytes(&payload), &begun));                                                           \
        assert_ok(joint_sign(LABEL, pair_of(key).secret, buf_bytes(&begun), &one));                                    \
        if (other)                                                                                                     \
            assert_ok(joint_sign(LABEL, pair_of(other).secret, buf_bytes(&one), out));                                 \
        else                                                                                                           \
            buf_add_bytes(out, buf_bytes(&one));                                                                       \
    }                                                                                                                  \
    UNUSED static void sign_##object(const struct object *value, unsigned key, struct buf *out) {                      \
        sign_##object##_by(value, key, 0, out);                                                                        \
    }                                                                                                                  \
    UNUSED static enum error say_##object(struct world *world, const struct object *value, unsigned key) {             \
        AUTO_BUF joint = {0};                                                                                          \
        sign_##object(value, key, &joint);                                                                             \
        return world_leaf(world, KIND, buf_bytes(&joint));                                                             \
    }
JOINTLY(admission, LABEL_ADMISSION, LEAF_ADMISSION)
JOINTLY(notice, LABEL_NOTICE, LEAF_NOTICE)
JOINTLY(relaychange, LABEL_RELAY, LEAF_RELAY)

UNUSED static struct charter charter_of(const char *party, unsigned authority) {
    struct charter charter = {
        .party = bytes_text(party), .name = bytes_text("A member"), .kind = PARTY_STATE, .created = {7}};
    memcpy(charter.authority, pair_of(authority).public, KEY_SIZE);
    memset(charter.next, 0x5a, HASH_SIZE);
    return charter;
}

UNUSED static struct admission admission_of(const char *party, enum admission_action action, unsigned authority) {
    static uint64_t created;
    struct admission admission = {.party = bytes_text(party), .action = (uint64_t)action, .created = {++created}};
    if (action == ACTION_ADMIT) {
        struct charter charter = charter_of(party, authority);
        admission.has_charter = true;
        hash_charter(&charter, admission.charter);
    }
    return admission;
}

UNUSED static struct post post_of(const char *name, unsigned authority, unsigned key) {
    static uint64_t created;
    struct post post = {.post = bytes_text(name), .functions = FUNCTION_TECHNICAL, .created = {++created}};
    memcpy(post.key, pair_of(key).public, KEY_SIZE);
    memcpy(post.authority, pair_of(authority).public, KEY_SIZE);
    post.has_revoker = true;
    memcpy(post.revoker, pair_of(key + 1000).public, KEY_SIZE);
    return post;
}

UNUSED static struct device device_of(const char *post, unsigned issuer, unsigned number, enum device_role role) {
    struct device device = {.post = bytes_text(post),
                            .role = (uint64_t)role,
                            .not_before = {WORLD_TIME - DAY_MS},
                            .not_after = {WORLD_TIME + 300 * DAY_MS}};
    memcpy(device.device, pair_of(number).public, KEY_SIZE);
    transport_of(number, device.transport);
    memcpy(device.issuer, pair_of(issuer).public, KEY_SIZE);
    return device;
}

UNUSED static struct countersign countersign_of(const struct device *device, unsigned signer) {
    static uint64_t created;
    struct countersign countersign = {.created = {++created}};
    hash_device(device, countersign.certificate);
    memcpy(countersign.signer, pair_of(signer).public, KEY_SIZE);
    return countersign;
}

/* device 0: the whole post. */
UNUSED static struct revocation revocation_of(const char *post, unsigned device, unsigned signer) {
    static uint64_t created;
    struct revocation revocation = {.post = bytes_text(post), .has_device = device != 0, .created = {++created}};
    if (device) memcpy(revocation.device, pair_of(device).public, KEY_SIZE);
    memcpy(revocation.signer, pair_of(signer).public, KEY_SIZE);
    return revocation;
}

UNUSED static void next_of(unsigned key, uint8_t ret[static HASH_SIZE]) {
    struct pair pair = pair_of(key);
    label_digest(LABEL_NEXT_KEY, bytes_of(pair.public, KEY_SIZE), ret);
}

UNUSED static struct admission nomination_of(const char *party, const char *name) {
    struct admission admission = admission_of(party, ACTION_NOMINATE, 0);
    admission.has_name = admission.has_kind = true;
    admission.name = bytes_text(name);
    admission.kind = PARTY_STATE;
    return admission;
}

/* The registrars' word that `authority` will be the party's key, and `next` the one after it. */
UNUSED static struct notice notice_of(const char *party, unsigned authority, unsigned next) {
    static uint64_t created;
    struct notice notice = {.party = bytes_text(party), .created = {++created}};
    memcpy(notice.authority, pair_of(authority).public, KEY_SIZE);
    next_of(next, notice.next);
    return notice;
}

/* authority 0: an objection. A notice that is answered is put in by the test. */
UNUSED static struct succession succession_of(const char *party, enum succession_action action, unsigned signer,
                                              unsigned authority, unsigned next) {
    static uint64_t created;
    struct succession succession = {.party = bytes_text(party), .action = (uint64_t)action, .created = {++created}};
    memcpy(succession.signer, pair_of(signer).public, KEY_SIZE);
    if (!authority) return succession;
    succession.has_authority = succession.has_next = true;
    memcpy(succession.authority, pair_of(authority).public, KEY_SIZE);
    next_of(next, succession.next);
    return succession;
}

UNUSED static struct departure departure_of(const char *party, unsigned authority) {
    static uint64_t created;
    struct departure departure = {.party = bytes_text(party), .created = {++created}};
    memcpy(departure.authority, pair_of(authority).public, KEY_SIZE);
    return departure;
}

/* names: of the posts that take over, ended by NULL; NULL itself: taken back. `items` must outlive the split. */
UNUSED static struct split split_of(const char *post, unsigned authority, const char *const *names, struct buf *items) {
    static uint64_t created;
    size_t count = 0;
    struct split split = {.post = bytes_text(post), .action = names ? SPLIT_INTO : SPLIT_BACK, .created = {++created}};
    memcpy(split.authority, pair_of(authority).public, KEY_SIZE);
    for (; names && names[count]; count++) cbor_put_bytes(items, bytes_text(names[count]));
    if (items) split.into = list_of(items, count);
    return split;
}

UNUSED static struct contact contact_of(const char *post, unsigned device, size_t sheets, struct buf *items) {
    static uint64_t created;
    struct contact contact = {.post = bytes_text(post), .created = {++created}};
    uint8_t commitment[HASH_SIZE] = {0x77};
    memcpy(contact.device, pair_of(device).public, KEY_SIZE);
    for (size_t i = 0; i < sheets; i++) {
        commitment[1] = (uint8_t)(created + i);
        cbor_put_bytes(items, bytes_of(commitment, sizeof commitment));
    }
    if (items) contact.commitments = list_of(items, sheets);
    return contact;
}

UNUSED static void world_party(struct world *world, const char *party, unsigned authority) {
    struct charter charter = charter_of(party, authority);
    struct admission admission = admission_of(party, ACTION_ADMIT, authority);
    assert_ok(say_charter(world, &charter, authority));
    assert_ok(say_admission(world, &admission, REGISTRAR));
}

UNUSED static void world_post(struct world *world, const char *name, unsigned authority, unsigned key) {
    struct post post = post_of(name, authority, key);
    assert_ok(say_post(world, &post, authority));
}

/* Certified and countersigned by the authority. */
UNUSED static void world_device(struct world *world, const char *post, unsigned authority, unsigned key,
                                unsigned number, enum device_role role) {
    struct device device = device_of(post, key, number, role);
    struct countersign countersign = countersign_of(&device, authority);
    assert_ok(say_device(world, &device, key));
    assert_ok(say_countersign(world, &countersign, authority));
}

/* de with de/technical (DEVICE decider, DEVICE+1 reader, DEVICE+2 bell) and fj with fj/national (DEVICE+10 decider,
 * DEVICE+11 reader). */
UNUSED static struct world world_new(void) {
    struct world world = {.directory = fresh_directory(), .time = WORLD_TIME};
    world_party(&world, "de", AUTHORITY);
    world_post(&world, "de/technical", AUTHORITY, POST_KEY);
    world_device(&world, "de/technical", AUTHORITY, POST_KEY, DEVICE, ROLE_DECIDER);
    world_device(&world, "de/technical", AUTHORITY, POST_KEY, DEVICE + 1, ROLE_READER);
    world_device(&world, "de/technical", AUTHORITY, POST_KEY, DEVICE + 2, ROLE_BELL);
    world_party(&world, "fj", OTHER_AUTHORITY);
    world_post(&world, "fj/national", OTHER_AUTHORITY, OTHER_POST_KEY);
    world_device(&world, "fj/national", OTHER_AUTHORITY, OTHER_POST_KEY, DEVICE + 10, ROLE_DECIDER);
    world_device(&world, "fj/national", OTHER_AUTHORITY, OTHER_POST_KEY, DEVICE + 11, ROLE_READER);
    return world;
}

UNUSED static const struct directory_device *world_find(const struct world *world, unsigned number) {
    return directory_device(world->directory, pair_of(number).public);
}

#define AUTO_WORLD __attribute__((cleanup(world_free))) struct world

#endif
