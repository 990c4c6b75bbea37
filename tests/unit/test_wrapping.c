/* test_wrapping.c - content keys sealed to devices, and prekeys. */
#include "directory_fixture.h"
#include "starve.h"
#include "wrapping.h"

enum { TARGETS = 3 };

/* A wrap set for three devices, with the secrets of their prekeys. */
struct scene {
    uint8_t header[HASH_SIZE], leg[HASH_SIZE], root[HASH_SIZE], signer[KEY_SIZE];
    struct wrapped keys;
    struct buf voids;
    struct wrapping_target targets[TARGETS];
    uint8_t secrets[TARGETS][KEY_SIZE];
    struct buf bytes;
    struct wrapset set;
};

static void scene_free(struct scene *scene) {
    buf_free(&scene->voids);
    buf_free(&scene->bytes);
}
#define AUTO_SCENE __attribute__((cleanup(scene_free))) struct scene

static struct wrapping_set set_of(const struct scene *scene, bool with_leg) {
    return (struct wrapping_set){.header = scene->header,
                                 .leg = with_leg ? scene->leg : NULL,
                                 .generation = 3,
                                 .directory_size = 99,
                                 .directory_root = scene->root,
                                 .signer = scene->signer};
}

/* In place: the struct holds views into its own buffers. */
static void scene_new(struct scene *scene, size_t targets, bool with_leg) {
    *scene = (struct scene){0};
    randombytes_buf(scene->header, HASH_SIZE);
    randombytes_buf(scene->leg, HASH_SIZE);
    randombytes_buf(scene->root, HASH_SIZE);
    randombytes_buf(scene->signer, KEY_SIZE);
    cbor_put_uint(&scene->voids, 7);
    cbor_put_uint(&scene->voids, 700000);
    scene->keys = (struct wrapped){.has_offer_key = true, .has_body_key = true, .voids = list_of(&scene->voids, 2)};
    randombytes_buf(scene->keys.offer_key, KEY_SIZE);
    randombytes_buf(scene->keys.body_key, KEY_SIZE);
    for (unsigned i = 0; i < TARGETS; i++) {
        memcpy(scene->targets[i].device, pair_of(DEVICE + i).public, KEY_SIZE);
        memset(scene->targets[i].prekey_id, (int)i + 1, PREKEY_ID_SIZE);
        assert_ok(hpke_generate_pair(scene->secrets[i], scene->targets[i].prekey));
    }
    struct wrapping_set set = set_of(scene, with_leg);
    assert_ok(wrapping_make(&set, &scene->keys, scene->targets, targets, &scene->bytes));
    assert_ok(wrapset_decode(buf_bytes(&scene->bytes), &scene->set));
}

static void every_target_opens_its_own_wrap(void **state) {
    (void)state;
    for (unsigned with_leg = 0; with_leg < 2; with_leg++) {
        AUTO_SCENE scene;
        scene_new(&scene, TARGETS, with_leg);
        assert_int_equal(scene.set.has_leg, with_leg);
        assert_memory_equal(scene.set.header, scene.header, HASH_SIZE);
        if (with_leg) assert_memory_equal(scene.set.leg, scene.leg, HASH_SIZE);
        assert_int_equal(scene.set.generation, 3);
        assert_int_equal(scene.set.size, 99);
        assert_memory_equal(scene.set.root, scene.root, HASH_SIZE);
        assert_memory_equal(scene.set.signer, scene.signer, KEY_SIZE);
        assert_int_equal(scene.set.wraps.count, TARGETS);
        for (unsigned i = 0; i < TARGETS; i++) {
            struct wrap wrap;
            struct wrapped got;
            AUTO_BUF out = {0};
            buf_add(&out, "kept", 4);
            assert_ok(wrapping_find(&scene.set, scene.targets[i].device, &wrap));
            assert_memory_equal(wrap.prekey, scene.targets[i].prekey_id, PREKEY_ID_SIZE);
            assert_ok(wrapping_open(&scene.set, &wrap, scene.secrets[i], NULL, &out, &got));
            assert_memory_equal(out.p, "kept", 4);
            assert_true(got.has_offer_key && got.has_body_key && !got.has_seen);
            assert_memory_equal(got.offer_key, scene.keys.offer_key, KEY_SIZE);
            assert_memory_equal(got.body_key, scene.keys.body_key, KEY_SIZE);
            uint64_t number;
            assert_int_equal(got.voids.count, 2);
            assert_true(list_next_uint(&got.voids, &number) && number == 7);
            assert_true(list_next_uint(&got.voids, &number) && number == 700000);
        }
    }
}

static void device_that_is_not_among_the_targets_is_told_so(void **state) {
    (void)state;
    AUTO_SCENE scene;
    struct wrap wrap;
    scene_new(&scene, TARGETS - 1, true);
    assert_error(wrapping_find(&scene.set, scene.targets[TARGETS - 1].device, &wrap), E_NOT_FOR_US);
}

static void empty_set_is_valid(void **state) {
    (void)state;
    AUTO_SCENE scene;
    struct wrap wrap;
    scene_new(&scene, 0, true);
    assert_int_equal(scene.set.wraps.count, 0);
    assert_error(wrapping_find(&scene.set, scene.targets[0].device, &wrap), E_NOT_FOR_US);
}

static void wrap_of_another_device_does_not_open(void **state) {
    (void)state;
    AUTO_SCENE scene;
    scene_new(&scene, TARGETS, true);
    for (unsigned wrapped_for = 0; wrapped_for < TARGETS; wrapped_for++)
        for (unsigned opener = 0; opener < TARGETS; opener++) {
            struct wrap wrap;
            struct wrapped got;
            AUTO_BUF out = {0};
            assert_ok(wrapping_find(&scene.set, scene.targets[wrapped_for].device, &wrap));
            assert_error(wrapping_open(&scene.set, &wrap, scene.secrets[opener], NULL, &out, &got),
                         wrapped_for == opener ? E_OK : E_CANNOT_OPEN);
            if (wrapped_for != opener) assert_int_equal(out.n, 0);
        }
}

static enum error open_first(const struct wrapset *set, const struct wrap *wrap, const struct scene *scene) {
    AUTO_BUF out = {0};
    struct wrapped got;
    enum error error = wrapping_open(set, wrap, scene->secrets[0], NULL, &out, &got);
    if (error != E_OK) assert_int_equal(out.n, 0);
    return error;
}

static void wrap_opens_in_its_own_place_only(void **state) {
    (void)state;
    AUTO_SCENE scene;
    scene_new(&scene, TARGETS, true);
    struct wrap wrap, bad;
    assert_ok(wrapping_find(&scene.set, scene.targets[0].device, &wrap));
    assert_ok(open_first(&scene.set, &wrap, &scene));
    struct wrapset set = scene.set;
    set.header[0] ^= 1;
    assert_error(open_first(&set, &wrap, &scene), E_CANNOT_OPEN);
    set = scene.set;
    set.leg[31] ^= 0x80;
    assert_error(open_first(&set, &wrap, &scene), E_CANNOT_OPEN);
    set = scene.set;
    set.has_leg = false;
    assert_error(open_first(&set, &wrap, &scene), E_CANNOT_OPEN);
    set = scene.set;
    set.generation++;
    assert_error(open_first(&set, &wrap, &scene), E_CANNOT_OPEN);
    bad = wrap;
    bad.device[0] ^= 1;
    assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
    bad = wrap;
    bad.prekey[0] ^= 1;
    assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
    bad = wrap;
    bad.mode = HPKE_PSK;
    assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
    bad = wrap;
    bad.has_psk = true;
    assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
    static const uint8_t zero[HPKE_ENC_SIZE];
    bad = wrap;
    bad.enc = bytes_of(zero, sizeof zero); /* a point of small order */
    assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
    for (size_t n = 0; n < wrap.enc.n; n++) {
        bad.enc = bytes_of(wrap.enc.p, n);
        assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
    }
    bad = wrap;
    for (bad.ciphertext.n = 0; bad.ciphertext.n < wrap.ciphertext.n; bad.ciphertext.n++)
        assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
}

/* The top bit of a u-coordinate does not count for X25519 (RFC 7748 section 5), but enc is bound into the shared
 * secret. */
static void every_bit_flip_of_a_wrap_is_refused(void **state) {
    (void)state;
    AUTO_SCENE scene;
    scene_new(&scene, 1, true);
    struct wrap wrap, bad;
    assert_ok(wrapping_find(&scene.set, scene.targets[0].device, &wrap));
    uint8_t enc[HPKE_ENC_SIZE], cipher[WRAP_PLAIN_MAX + TAG_SIZE];
    memcpy(enc, wrap.enc.p, sizeof enc);
    memcpy(cipher, wrap.ciphertext.p, wrap.ciphertext.n);
    bad = wrap;
    bad.enc.p = enc;
    bad.ciphertext.p = cipher;
    assert_ok(open_first(&scene.set, &bad, &scene));
    for (size_t bit = 0; bit < sizeof enc * 8; bit++) {
        enc[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
        enc[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < wrap.ciphertext.n * 8; bit++) {
        cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_error(open_first(&scene.set, &bad, &scene), E_CANNOT_OPEN);
        cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void sealed_nonsense_is_refused_after_opening(void **state) {
    (void)state;
    AUTO_SCENE scene;
    scene_new(&scene, 1, false);
    struct wrap wrap;
    assert_ok(wrapping_find(&scene.set, scene.targets[0].device, &wrap));
    struct wrapinfo info = {.generation = 3};
    memcpy(info.header, scene.header, HASH_SIZE);
    memcpy(info.device, wrap.device, KEY_SIZE);
    memcpy(info.prekey, wrap.prekey, PREKEY_ID_SIZE);
    AUTO_BUF info_bytes = {0};
    AUTO_BUF cipher = {0};
    struct hpke_context context;
    uint8_t enc[HPKE_ENC_SIZE];
    buf_add(&info_bytes, "pouch/0 wrap info", 18); /* label and its zero, as PROTOCOL.md has it */
    wrapinfo_encode(&info, &info_bytes);
    assert_ok(hpke_setup_sender(scene.targets[0].prekey, buf_bytes(&info_bytes), NULL, NULL, enc, &context));
    assert_ok(hpke_seal(&context, (struct bytes){0}, bytes_text("nonsense"), &cipher));
    wrap.enc = bytes_of(enc, sizeof enc);
    wrap.ciphertext = buf_bytes(&cipher);
    enum error error = open_first(&scene.set, &wrap, &scene);
    assert_int_not_equal(error, E_OK);
    assert_int_not_equal(error, E_CANNOT_OPEN); /* it did open: the info is what the format says */
}

static void too_many_targets_or_a_bad_prekey_make_no_set(void **state) {
    (void)state;
    AUTO_SCENE scene;
    AUTO_BUF out = {0};
    struct wrapping_target many[DEVICES_PER_POST_MAX + 1];
    scene_new(&scene, 1, true);
    for (size_t i = 0; i < LENGTH(many); i++) many[i] = scene.targets[0];
    struct wrapping_set set = set_of(&scene, true);
    assert_error(wrapping_make(&set, &scene.keys, many, LENGTH(many), &out), E_OUT_OF_RANGE);
    set.generation = 0;
    assert_error(wrapping_make(&set, &scene.keys, many, 1, &out), E_OUT_OF_RANGE);
    set.generation = 1;
    memset(many[1].prekey, 0, KEY_SIZE);
    assert_error(wrapping_make(&set, &scene.keys, many, 2, &out), E_BAD_KEY);
    assert_int_equal(out.n, 0);
    assert_ok(wrapping_make(&set, &scene.keys, many, 1, &out));
}

static void largest_keys_fit_a_wrap(void **state) {
    (void)state;
    AUTO_SCENE scene;
    AUTO_BUF voids = {0};
    AUTO_BUF out = {0};
    struct wrapset set;
    scene_new(&scene, 1, true);
    for (unsigned i = 0; i < VOIDS_MAX; i++) cbor_put_uint(&voids, UINT64_MAX - i);
    scene.keys.voids = list_of(&voids, VOIDS_MAX);
    scene.keys.has_seen = true;
    struct wrapping_set what = set_of(&scene, true);
    struct wrapping_target many[DEVICES_PER_POST_MAX];
    for (size_t i = 0; i < LENGTH(many); i++) many[i] = scene.targets[0];
    assert_ok(wrapping_make(&what, &scene.keys, many, LENGTH(many), &out));
    assert_true(out.n <= WRAPSET_MAX);
    assert_ok(wrapset_decode(buf_bytes(&out), &set));
    cbor_put_uint(&voids, 1);
    scene.keys.voids = list_of(&voids, VOIDS_MAX + 1);
    assert_error(wrapping_make(&what, &scene.keys, many, 1, &out), E_OUT_OF_RANGE);
}

static void sealing_and_opening_survive_the_end_of_memory(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    AUTO_SCENE scene;
    scene_new(&scene, TARGETS, true);
    struct wrapping_set set = set_of(&scene, true);
    struct wrap wrap;
    assert_ok(wrapping_find(&scene.set, scene.targets[0].device, &wrap));
    bool sealed = false, opened = false;
    for (long n = 0; !sealed || !opened; n++) {
        AUTO_BUF out = {0};
        AUTO_BUF plain = {0};
        struct wrapped got;
        starve(n);
        enum error error = wrapping_make(&set, &scene.keys, scene.targets, TARGETS, &out);
        sealed = !starve_end();
        assert_error(error, sealed ? E_OK : E_NO_MEMORY);
        starve(n);
        error = wrapping_open(&scene.set, &wrap, scene.secrets[0], NULL, &plain, &got);
        opened = !starve_end();
        assert_error(error, opened ? E_OK : E_NO_MEMORY);
        assert_true(n > 1 || (!sealed && !opened));
    }
}

static void prekeys_survive_the_end_of_memory(void **state) {
    (void)state;
    if (!CAN_STARVE) skip();
    struct pair device = pair_of(DEVICE);
    bool made = false;
    for (long n = 0; !made; n++) {
        struct buf stamped[2] = {0};
        uint8_t secrets[2][KEY_SIZE] = {0}, ids[2][PREKEY_ID_SIZE] = {0};
        starve(n);
        enum error error = prekey_make(device.secret, 7, 2, 0, stamped, secrets[0], ids[0]);
        made = !starve_end();
        assert_error(error, made ? E_OK : E_NO_MEMORY);
        if (!made) assert_true(sodium_is_zero(secrets[0], sizeof secrets) && sodium_is_zero(ids[0], sizeof ids));
        for (size_t i = 0; i < LENGTH(stamped); i++) buf_free(&stamped[i]);
        assert_true(n > 3 || !made);
    }
}

static void prekeys_are_signed_by_their_device(void **state) {
    (void)state;
    enum { COUNT = PREKEY_DAYS_AHEAD };
    AUTO_WORLD world = world_new();
    struct pair device = pair_of(DEVICE);
    struct buf stamped[COUNT] = {0};
    uint8_t secrets[COUNT][KEY_SIZE], ids[COUNT][PREKEY_ID_SIZE];
    assert_ok(prekey_make(device.secret, 20000, COUNT, 0, stamped, secrets[0], ids[0]));
    for (unsigned i = 0; i < COUNT; i++) {
        struct prekey prekey;
        struct bytes payload;
        uint8_t id[PREKEY_ID_SIZE], public[KEY_SIZE];
        assert_ok(directory_open_prekey(world.directory, buf_bytes(&stamped[i]), &prekey, id));
        assert_int_equal(prekey.day, 20000 + i);
        assert_memory_equal(prekey.device, device.public, KEY_SIZE);
        assert_memory_equal(id, ids[i], PREKEY_ID_SIZE);
        assert_ok(stamp_peek(buf_bytes(&stamped[i]), &payload));
        prekey_id(payload, id);
        assert_memory_equal(id, ids[i], PREKEY_ID_SIZE);
        assert_int_equal(crypto_scalarmult_base(public, secrets[i]), 0);
        assert_memory_equal(public, prekey.key, KEY_SIZE);
        if (i) assert_memory_not_equal(secrets[i], secrets[i - 1], KEY_SIZE);
    }
    for (unsigned i = 0; i < COUNT; i++) buf_free(&stamped[i]);
}

static void prekeys_beyond_the_limits_are_not_made(void **state) {
    (void)state;
    struct pair device = pair_of(DEVICE);
    struct buf stamped[1] = {0};
    uint8_t secret[KEY_SIZE], id[PREKEY_ID_SIZE];
    assert_error(prekey_make(device.secret, 1, 0, 0, stamped, secret, id), E_OUT_OF_RANGE);
    assert_error(prekey_make(device.secret, 1, PREKEY_BATCH_MAX + 1, 0, stamped, secret, id), E_OUT_OF_RANGE);
    assert_error(prekey_make(device.secret, UINT32_MAX, 2, 0, stamped, secret, id), E_OUT_OF_RANGE);
    assert_int_equal(stamped[0].n, 0);
    assert_ok(prekey_make(device.secret, UINT32_MAX, 1, 0, stamped, secret, id));
    buf_free(&stamped[0]);
}

int main(void) {
    if (sign_self_test() != E_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_target_opens_its_own_wrap),
        cmocka_unit_test(device_that_is_not_among_the_targets_is_told_so),
        cmocka_unit_test(empty_set_is_valid),
        cmocka_unit_test(wrap_of_another_device_does_not_open),
        cmocka_unit_test(wrap_opens_in_its_own_place_only),
        cmocka_unit_test(every_bit_flip_of_a_wrap_is_refused),
        cmocka_unit_test(sealed_nonsense_is_refused_after_opening),
        cmocka_unit_test(too_many_targets_or_a_bad_prekey_make_no_set),
        cmocka_unit_test(largest_keys_fit_a_wrap),
        cmocka_unit_test(sealing_and_opening_survive_the_end_of_memory),
        cmocka_unit_test(prekeys_survive_the_end_of_memory),
        cmocka_unit_test(prekeys_are_signed_by_their_device),
        cmocka_unit_test(prekeys_beyond_the_limits_are_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
