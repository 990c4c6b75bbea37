/* test_hpke.c - RFC 9180 against its published vectors, base and psk mode. The file also holds auth and auth_psk (modes
 * 2 and 3): Pouch has no such code, its wrap sets are signed instead, so those two are counted and passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "hpke.h"
#include "vectors.h"

#define FILE_NAME "hpke/rfc9180_x25519_hkdfsha256_chacha20poly1305.json"

/* One vector's inputs and expectations as bytes. */
struct vector {
    const json_t *json;
    struct buf info, ikm_e, ikm_r, sk_e, sk_r, pk_e, pk_r, enc, key, base_nonce, exporter, psk, psk_id;
};

static void vector_read(const json_t *json, struct vector *ret) {
    *ret = (struct vector){.json = json};
    const struct {
        const char *name;
        struct buf *to;
    } members[] = {
        {"info", &ret->info},
        {"ikmE", &ret->ikm_e},
        {"ikmR", &ret->ikm_r},
        {"skEm", &ret->sk_e},
        {"skRm", &ret->sk_r},
        {"pkEm", &ret->pk_e},
        {"pkRm", &ret->pk_r},
        {"enc", &ret->enc},
        {"key", &ret->key},
        {"base_nonce", &ret->base_nonce},
        {"exporter_secret", &ret->exporter},
        {"psk", &ret->psk},
        {"psk_id", &ret->psk_id},
    };
    for (size_t i = 0; i < LENGTH(members); i++) vectors_hex(json_object_get(json, members[i].name), members[i].to);
}

static void vector_free(struct vector *vector) {
    struct buf *all[] = {&vector->info, &vector->ikm_e,  &vector->ikm_r,   &vector->sk_e, &vector->sk_r,
                         &vector->pk_e, &vector->pk_r,   &vector->enc,     &vector->key,  &vector->base_nonce,
                         &vector->psk,  &vector->psk_id, &vector->exporter};
    for (size_t i = 0; i < LENGTH(all); i++) buf_free(all[i]);
}
#define AUTO_VECTOR __attribute__((cleanup(vector_free))) struct vector

/* Calls `check` for the vectors of both modes. */
static void each_vector(void (*check)(const struct vector *vector)) {
    AUTO_JSON *file = vectors_load(FILE_NAME);
    unsigned taken = 0, passed_over = 0;
    for (size_t i = 0; i < json_array_size(file); i++) {
        const json_t *json = json_array_get(file, i);
        uint64_t mode = vectors_uint(json, "mode");
        if (mode > HPKE_PSK) {
            passed_over++;
            continue;
        }
        AUTO_VECTOR vector;
        vector_read(json, &vector);
        assert_int_equal(vector.psk.n > 0, mode == HPKE_PSK);
        check(&vector);
        taken++;
    }
    assert_int_equal(taken, 2);
    assert_int_equal(passed_over, 2);
}

static struct hpke_psk psk_of(const struct vector *vector) {
    return (struct hpke_psk){buf_bytes(&vector->psk), buf_bytes(&vector->psk_id)};
}

static struct hpke_context sender_of(const struct vector *vector) {
    struct hpke_psk psk = psk_of(vector);
    struct hpke_context context;
    uint8_t enc[HPKE_ENC_SIZE];
    assert_int_equal(hpke_setup_sender(vector->pk_r.p, buf_bytes(&vector->info), &psk, vector->sk_e.p, enc, &context),
                     E_OK);
    assert_memory_equal(enc, vector->enc.p, HPKE_ENC_SIZE);
    return context;
}

static struct hpke_context receiver_of(const struct vector *vector) {
    struct hpke_psk psk = psk_of(vector);
    struct hpke_context context;
    assert_int_equal(
        hpke_setup_receiver(buf_bytes(&vector->enc), vector->sk_r.p, buf_bytes(&vector->info), &psk, &context), E_OK);
    return context;
}

static void check_pairs(const struct vector *vector) {
    uint8_t secret[KEY_SIZE], public[KEY_SIZE];
    assert_int_equal(hpke_derive_pair(buf_bytes(&vector->ikm_e), secret, public), E_OK);
    assert_memory_equal(secret, vector->sk_e.p, KEY_SIZE);
    assert_memory_equal(public, vector->pk_e.p, KEY_SIZE);
    assert_int_equal(hpke_derive_pair(buf_bytes(&vector->ikm_r), secret, public), E_OK);
    assert_memory_equal(secret, vector->sk_r.p, KEY_SIZE);
    assert_memory_equal(public, vector->pk_r.p, KEY_SIZE);
}

static void key_pairs_are_derived_as_published(void **state) {
    (void)state;
    each_vector(check_pairs);
}

static void check_schedule(const struct vector *vector) {
    struct hpke_context contexts[] = {sender_of(vector), receiver_of(vector)};
    for (size_t i = 0; i < LENGTH(contexts); i++) {
        assert_memory_equal(contexts[i].key, vector->key.p, HPKE_AEAD_KEY_SIZE);
        assert_memory_equal(contexts[i].base_nonce, vector->base_nonce.p, HPKE_NONCE_SIZE);
        assert_memory_equal(contexts[i].exporter, vector->exporter.p, HPKE_EXPORTER_SIZE);
        assert_int_equal(contexts[i].sequence, 0);
    }
}

static void key_schedule_of_both_ends_is_as_published(void **state) {
    (void)state;
    each_vector(check_schedule);
}

static void check_seals(const struct vector *vector) {
    struct hpke_context sender = sender_of(vector), receiver = receiver_of(vector);
    const json_t *seals = json_object_get(vector->json, "encryptions");
    for (size_t i = 0; i < json_array_size(seals); i++) {
        const json_t *seal = json_array_get(seals, i);
        AUTO_BUF aad = {0};
        AUTO_BUF plain = {0};
        AUTO_BUF wanted = {0};
        AUTO_BUF sealed = {0};
        AUTO_BUF opened = {0};
        vectors_hex(json_object_get(seal, "aad"), &aad);
        vectors_hex(json_object_get(seal, "pt"), &plain);
        vectors_hex(json_object_get(seal, "ct"), &wanted);
        assert_int_equal(hpke_seal(&sender, buf_bytes(&aad), buf_bytes(&plain), &sealed), E_OK);
        assert_true(bytes_equal(buf_bytes(&sealed), buf_bytes(&wanted)));
        assert_int_equal(hpke_open(&receiver, buf_bytes(&aad), buf_bytes(&wanted), &opened), E_OK);
        assert_true(bytes_equal(buf_bytes(&opened), buf_bytes(&plain)));
    }
    assert_int_equal(json_array_size(seals), 257);
    assert_int_equal(sender.sequence, 257);
}

static void every_seal_is_as_published_and_opens(void **state) {
    (void)state;
    each_vector(check_seals);
}

static void check_exports(const struct vector *vector) {
    struct hpke_context contexts[] = {sender_of(vector), receiver_of(vector)};
    const json_t *exports = json_object_get(vector->json, "exports");
    for (size_t i = 0; i < json_array_size(exports) * 2; i++) {
        const json_t *export = json_array_get(exports, i / 2);
        AUTO_BUF label = {0};
        AUTO_BUF wanted = {0};
        uint8_t got[64];
        vectors_hex(json_object_get(export, "exporter_context"), &label);
        vectors_hex(json_object_get(export, "exported_value"), &wanted);
        assert_int_equal(vectors_uint(export, "L"), wanted.n);
        assert_int_equal(hpke_export(&contexts[i % 2], buf_bytes(&label), got, wanted.n), E_OK);
        assert_memory_equal(got, wanted.p, wanted.n);
    }
    assert_int_equal(json_array_size(exports), 3);
}

static void every_export_is_as_published(void **state) {
    (void)state;
    each_vector(check_exports);
}

static void check_failures(const struct vector *vector) {
    struct hpke_context sender = sender_of(vector), receiver = receiver_of(vector);
    struct bytes aad = bytes_text("aad");
    AUTO_BUF sealed = {0};
    AUTO_BUF opened = {0};
    buf_add(&opened, "kept", 4);
    assert_int_equal(hpke_seal(&sender, aad, bytes_text("Beauty"), &sealed), E_OK);
    for (size_t bit = 0; bit < sealed.n * 8; bit++) {
        sealed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(hpke_open(&receiver, aad, buf_bytes(&sealed), &opened), E_CANNOT_OPEN);
        sealed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_int_equal(hpke_open(&receiver, aad, bytes_of(sealed.p, n), &opened), E_CANNOT_OPEN);
    assert_int_equal(hpke_open(&receiver, bytes_text("aae"), buf_bytes(&sealed), &opened), E_CANNOT_OPEN);
    assert_int_equal(opened.n, 4);
    assert_int_equal(receiver.sequence, 0); /* a failure does not use a number up */
    assert_int_equal(hpke_open(&receiver, aad, buf_bytes(&sealed), &opened), E_OK);
    assert_memory_equal(opened.p, "keptBeauty", 10);
    assert_int_equal(hpke_open(&receiver, aad, buf_bytes(&sealed), &opened),
                     E_CANNOT_OPEN); /* the next number's turn */
}

static void damaged_seal_is_refused_and_uses_no_number(void **state) {
    (void)state;
    each_vector(check_failures);
}

static void fresh_ephemeral_keys_give_different_seals_that_open(void **state) {
    (void)state;
    uint8_t secret[KEY_SIZE], public[KEY_SIZE], enc[2][HPKE_ENC_SIZE];
    assert_int_equal(hpke_generate_pair(secret, public), E_OK);
    for (unsigned i = 0; i < 2; i++) {
        struct hpke_context sender, receiver;
        AUTO_BUF sealed = {0};
        AUTO_BUF opened = {0};
        assert_int_equal(hpke_setup_sender(public, bytes_text("info"), NULL, NULL, enc[i], &sender), E_OK);
        assert_int_equal(
            hpke_setup_receiver(bytes_of(enc[i], HPKE_ENC_SIZE), secret, bytes_text("info"), NULL, &receiver), E_OK);
        assert_int_equal(hpke_seal(&sender, (struct bytes){0}, (struct bytes){0}, &sealed), E_OK);
        assert_int_equal(sealed.n, TAG_SIZE);
        assert_int_equal(hpke_open(&receiver, (struct bytes){0}, buf_bytes(&sealed), &opened), E_OK);
        assert_int_equal(opened.n, 0);
    }
    assert_memory_not_equal(enc[0], enc[1], HPKE_ENC_SIZE);
}

static void keys_of_small_order_and_of_wrong_size_are_refused(void **state) {
    (void)state;
    static const uint8_t small[][KEY_SIZE] = {{0}, {1}, {0xec, [1 ... 30] = 0xff, 0x7f}};
    uint8_t secret[KEY_SIZE], public[KEY_SIZE], enc[HPKE_ENC_SIZE] = {0};
    struct hpke_context context;
    struct bytes info = bytes_text("info");
    assert_int_equal(hpke_generate_pair(secret, public), E_OK);
    for (size_t i = 0; i < LENGTH(small); i++) {
        assert_int_equal(hpke_setup_sender(small[i], info, NULL, NULL, enc, &context), E_BAD_KEY);
        assert_int_equal(hpke_setup_receiver(bytes_of(small[i], KEY_SIZE), secret, info, NULL, &context), E_BAD_KEY);
    }
    for (size_t n = 0; n < KEY_SIZE; n++)
        assert_int_equal(hpke_setup_receiver(bytes_of(public, n), secret, info, NULL, &context), E_BAD_KEY);
    uint8_t longer[KEY_SIZE + 1] = {9};
    assert_int_equal(hpke_setup_receiver(bytes_of(longer, sizeof longer), secret, info, NULL, &context), E_BAD_KEY);
}

static void psk_is_whole_or_absent(void **state) {
    (void)state;
    uint8_t secret[KEY_SIZE], public[KEY_SIZE], enc[HPKE_ENC_SIZE], psk[32] = {1};
    struct hpke_context context;
    struct bytes none = {0}, id = bytes_text("id");
    const struct hpke_psk bad[] = {{bytes_of(psk, 32), none}, {none, id}, {bytes_of(psk, 31), id}};
    assert_int_equal(hpke_generate_pair(secret, public), E_OK);
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_int_equal(hpke_setup_sender(public, none, &bad[i], NULL, enc, &context), E_BAD_KEY);
    const struct hpke_psk good = {bytes_of(psk, 32), id};
    assert_int_equal(hpke_setup_sender(public, none, &good, NULL, enc, &context), E_OK);
}

static void export_is_limited_as_hkdf_is(void **state) {
    (void)state;
    static uint8_t out[255 * HASH_SIZE + 1];
    struct hpke_context context = {0};
    assert_int_equal(hpke_export(&context, bytes_text("x"), out, sizeof out - 1), E_OK);
    assert_int_equal(hpke_export(&context, bytes_text("x"), out, sizeof out), E_OUT_OF_RANGE);
}

static void wiped_context_holds_nothing(void **state) {
    (void)state;
    struct hpke_context context;
    memset(&context, 0x55, sizeof context);
    hpke_context_wipe(&context);
    assert_true(sodium_is_zero((const uint8_t *)&context, sizeof context));
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_pairs_are_derived_as_published),
        cmocka_unit_test(key_schedule_of_both_ends_is_as_published),
        cmocka_unit_test(every_seal_is_as_published_and_opens),
        cmocka_unit_test(every_export_is_as_published),
        cmocka_unit_test(damaged_seal_is_refused_and_uses_no_number),
        cmocka_unit_test(fresh_ephemeral_keys_give_different_seals_that_open),
        cmocka_unit_test(keys_of_small_order_and_of_wrong_size_are_refused),
        cmocka_unit_test(psk_is_whole_or_absent),
        cmocka_unit_test(export_is_limited_as_hkdf_is),
        cmocka_unit_test(wiped_context_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
