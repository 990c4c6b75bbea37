/* test_keystore.c - the sealed file of a home's keys: what went in comes out, and nothing that was touched opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is a function (failure.h) */

#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cbor.h"
#include "files.h"
#include "keystore.h"

static char folder[] = "/tmp/pouch-keystore-XXXXXX";
static char path[64], other[64];

static void make(const char *at, const char *passphrase) {
    struct keystore keys = {0};
    assert_int_equal(secret_random(SIGN_SECRET_SIZE, &keys.device), E_OK);
    assert_int_equal(secret_random(KEY_SIZE, &keys.transport), E_OK);
    assert_int_equal(secret_random(KEY_SIZE, &keys.archive), E_OK);
    unlink(at);
    struct failure failure = {0};
    assert_int_equal(keystore_create(at, &keys, passphrase, &failure), E_OK);
    keystore_free(&keys);
}

static enum error open_at(const char *at, const char *passphrase) {
    struct keystore keys = {0};
    struct failure failure = {0};
    enum error error = keystore_open(at, passphrase, &keys, &failure);
    if (error == E_OK)
        assert_non_null(keys.device.p);
    else
        assert_null(keys.device.p);
    keystore_free(&keys);
    return error;
}

static void write_at(const char *at, const uint8_t *p, size_t n) {
    struct failure failure = {0};
    assert_int_equal(files_write(at, 0600, bytes_of(p, n), &failure), E_OK);
}

static void read_at(const char *at, struct buf *out) {
    struct failure failure = {0};
    assert_int_equal(files_read(at, 4096, out, &failure), E_OK);
}

static void keys_come_back_as_they_were_stored(void **state) {
    (void)state;
    struct failure failure = {0};
    struct keystore keys = {0}, back = {0};
    assert_int_equal(secret_random(SIGN_SECRET_SIZE, &keys.authority), E_OK);
    assert_int_equal(secret_random(SIGN_SECRET_SIZE, &keys.authority_next), E_OK);
    assert_int_equal(secret_random(SIGN_SECRET_SIZE, &keys.post), E_OK);
    assert_int_equal(secret_random(KEY_SIZE, &keys.archive), E_OK);
    assert_int_equal(keystore_create(other, &keys, NULL, &failure), E_OK);
    assert_int_equal(keystore_open(other, NULL, &back, &failure), E_OK);
    assert_memory_equal(back.authority.p, keys.authority.p, SIGN_SECRET_SIZE);
    assert_memory_equal(back.authority_next.p, keys.authority_next.p, SIGN_SECRET_SIZE);
    assert_memory_equal(back.post.p, keys.post.p, SIGN_SECRET_SIZE);
    assert_memory_equal(back.archive.p, keys.archive.p, KEY_SIZE);
    assert_null(back.device.p);
    assert_null(back.transport.p);
    keystore_free(&keys);
    keystore_free(&back);
}

static void an_existing_file_is_never_overwritten(void **state) {
    (void)state;
    make(path, NULL);
    AUTO_BUF before = {0};
    AUTO_BUF after = {0};
    read_at(path, &before);
    struct keystore keys = {0};
    struct failure failure = {0};
    assert_int_equal(keystore_create(path, &keys, NULL, &failure), E_HOME_EXISTS);
    read_at(path, &after);
    assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
}

static void the_file_is_readable_by_its_owner_only(void **state) {
    (void)state;
    make(path, NULL);
    struct stat stat_;
    assert_int_equal(stat(path, &stat_), 0);
    assert_int_equal(stat_.st_mode & 0777, 0600);
}

static void the_right_pass_phrase_opens_and_no_other(void **state) {
    (void)state;
    struct failure failure = {0};
    bool sealed = false;
    make(path, "correct horse");
    assert_int_equal(keystore_is_sealed(path, &sealed, &failure), E_OK);
    assert_true(sealed);
    assert_int_equal(open_at(path, "correct horse"), E_OK);
    assert_int_equal(open_at(path, "correct horsf"), E_BAD_PASSPHRASE);
    assert_int_equal(open_at(path, ""), E_BAD_PASSPHRASE);
    assert_int_equal(open_at(path, NULL), E_BAD_PASSPHRASE);
}

static void an_unsealed_store_says_so_and_needs_no_pass_phrase(void **state) {
    (void)state;
    struct failure failure = {0};
    bool sealed = true;
    make(path, NULL);
    assert_int_equal(keystore_is_sealed(path, &sealed, &failure), E_OK);
    assert_false(sealed);
    assert_int_equal(open_at(path, NULL), E_OK);
}

static void every_flipped_bit_of_an_unsealed_store_is_refused(void **state) {
    (void)state;
    make(path, NULL);
    AUTO_BUF file = {0};
    read_at(path, &file);
    for (size_t bit = 0; bit < file.n * 8; bit++) {
        file.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        write_at(other, file.p, file.n);
        /* The method's lowest bit makes it a sealed store, for which there is no pass-phrase. */
        enum error error = open_at(other, NULL);
        assert_true(error == E_CORRUPT || error == E_BAD_PASSPHRASE);
        file.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    write_at(other, file.p, file.n);
    assert_int_equal(open_at(other, NULL), E_OK);
}

/* Each try costs a key derivation, so one bit a field and some of the ciphertext. */
static void flipped_bits_of_a_sealed_store_are_refused(void **state) {
    (void)state;
    make(path, "x");
    AUTO_BUF file = {0};
    read_at(path, &file);
    for (size_t at = 17; at < file.n; at += file.n / 9) {
        file.p[at] ^= 1;
        write_at(other, file.p, file.n);
        assert_int_not_equal(open_at(other, "x"), E_OK);
        file.p[at] ^= 1;
    }
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    make(path, NULL);
    AUTO_BUF file = {0};
    read_at(path, &file);
    for (size_t n = 0; n < file.n; n++) {
        write_at(other, file.p, n);
        assert_int_equal(open_at(other, NULL), E_CORRUPT);
    }
}

static void trailing_bytes_and_overlong_files_are_refused(void **state) {
    (void)state;
    make(path, NULL);
    AUTO_BUF file = {0};
    read_at(path, &file);
    buf_add(&file, "", 1);
    write_at(other, file.p, file.n);
    assert_int_equal(open_at(other, NULL), E_CORRUPT);
    uint8_t *more = buf_extend(&file, 3000);
    memset(more, 0, 3000);
    write_at(other, file.p, file.n);
    assert_int_equal(open_at(other, NULL), E_CORRUPT);
}

/* A whole file, with limits of the writer's choice. */
static void write_with_limits(uint64_t method, uint64_t opslimit, uint64_t memlimit) {
    static const uint8_t zeros[64];
    AUTO_BUF out = {0};
    cbor_put_map(&out, 7);
    cbor_put_uint(&out, 1);
    cbor_put_text(&out, bytes_text("pouch keys 0"));
    cbor_put_uint(&out, 2);
    cbor_put_uint(&out, method);
    cbor_put_uint(&out, 3);
    cbor_put_bytes(&out, bytes_of(zeros, crypto_pwhash_SALTBYTES));
    cbor_put_uint(&out, 4);
    cbor_put_uint(&out, opslimit);
    cbor_put_uint(&out, 5);
    cbor_put_uint(&out, memlimit);
    cbor_put_uint(&out, 6);
    cbor_put_bytes(&out, bytes_of(zeros, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES));
    cbor_put_uint(&out, 7);
    cbor_put_bytes(&out, bytes_of(zeros, 32));
    write_at(other, out.p, out.n);
}

static void hostile_limits_are_refused_before_any_work(void **state) {
    (void)state;
    write_with_limits(1, 3, (uint64_t)1 << 40);
    assert_int_equal(open_at(other, "x"), E_CORRUPT);
    write_with_limits(1, UINT32_MAX, 1 << 20);
    assert_int_equal(open_at(other, "x"), E_CORRUPT);
    write_with_limits(1, 0, 1 << 20);
    assert_int_equal(open_at(other, "x"), E_CORRUPT);
    write_with_limits(1, 3, 0);
    assert_int_equal(open_at(other, "x"), E_CORRUPT);
    write_with_limits(2, 3, 1 << 20);
    assert_int_equal(open_at(other, "x"), E_CORRUPT);
    /* The same file within its limits is tried, and does not open. */
    write_with_limits(1, 1, 1 << 20);
    assert_int_equal(open_at(other, "x"), E_BAD_PASSPHRASE);
}

static void a_missing_file_is_an_input_error(void **state) {
    (void)state;
    assert_int_equal(open_at("/tmp/pouch-no-such-file", NULL), E_NO_FILE);
}

static int setup(void **state) {
    (void)state;
    if (sodium_init() < 0 || !mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/keys", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_back_as_they_were_stored),
        cmocka_unit_test(an_existing_file_is_never_overwritten),
        cmocka_unit_test(the_file_is_readable_by_its_owner_only),
        cmocka_unit_test(the_right_pass_phrase_opens_and_no_other),
        cmocka_unit_test(an_unsealed_store_says_so_and_needs_no_pass_phrase),
        cmocka_unit_test(every_flipped_bit_of_an_unsealed_store_is_refused),
        cmocka_unit_test(flipped_bits_of_a_sealed_store_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(trailing_bytes_and_overlong_files_are_refused),
        cmocka_unit_test(hostile_limits_are_refused_before_any_work),
        cmocka_unit_test(a_missing_file_is_an_input_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
