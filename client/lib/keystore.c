/* keystore.c - seals and opens the file of a home's secret keys.
 *
 * The limits of Argon2id stand in the file, so that they can rise later; they are bounded when read, so that a hostile
 * file cannot ask for a day or a terabyte. A file that does not open under a pass-phrase may be damaged or the pass-phrase
 * wrong: the two cannot be told apart, and E_BAD_PASSPHRASE says the likelier. */
#include "keystore.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <unistd.h>

#include "codec.h"
#include "files.h"

enum {
    KEYSTORE_SALT_SIZE = crypto_pwhash_SALTBYTES,
    KEYSTORE_NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    KEYSTORE_OPSLIMIT_MAX = 16,
    KEYSTORE_MEMLIMIT_MAX = 1024 * 1024 * 1024,
    KEYSTORE_PLAIN_MAX = 512,
    KEYSTORE_FILE_MAX = 1024,
    METHOD_NONE = 0,
    METHOD_ARGON2ID = 1,
};
static const char keystore_format[] = "pouch keys 0";

#include "codec_struct.h"
#include "keystore.def"
#include "codec_undef.h"

#include "codec_declare.h"
#include "keystore.def"
#include "codec_undef.h"

#include "codec_table.h"
#include "keystore.def"
#include "codec_undef.h"

/* Each key: its place in the keystore, its place in the ring, its size. */
static const struct {
    size_t key, ring, has, size;
} places[] = {
#define PLACE(name, size)                                                                                              \
    { offsetof(struct keystore, name), offsetof(struct keyring, name), offsetof(struct keyring, has_##name), size }
    PLACE(authority, SIGN_SECRET_SIZE), PLACE(authority_next, SIGN_SECRET_SIZE),
    PLACE(post, SIGN_SECRET_SIZE),      PLACE(device, SIGN_SECRET_SIZE),
    PLACE(transport, KEY_SIZE),         PLACE(archive, KEY_SIZE),
    PLACE(recovery, SIGN_SECRET_SIZE),  PLACE(witness, SIGN_SECRET_SIZE),
#undef PLACE
};

static void *inside(const void *base, size_t offset) { return (uint8_t *)(uintptr_t)base + offset; }

void keystore_free(struct keystore *keystore) {
    for (size_t i = 0; i < LENGTH(places); i++) secret_free(inside(keystore, places[i].key));
}

static void keyring_of(const struct keystore *keystore, struct keyring *ret) {
    *ret = (struct keyring){0};
    for (size_t i = 0; i < LENGTH(places); i++) {
        const struct secret *key = inside(keystore, places[i].key);
        if (!key->p) continue;
        assert(key->n == places[i].size);
        *(struct bytes *)inside(ret, places[i].ring) = bytes_of(key->p, key->n);
        *(bool *)inside(ret, places[i].has) = true;
    }
}

static enum error keyring_take(const struct keyring *ring, struct keystore *ret) {
    for (size_t i = 0; i < LENGTH(places); i++) {
        const struct bytes *bytes = inside(ring, places[i].ring);
        if (!*(const bool *)inside(ring, places[i].has)) continue;
        if (bytes->n != places[i].size) return E_CORRUPT;
        TRY(secret_copy(bytes->p, bytes->n, inside(ret, places[i].key)));
    }
    return E_OK;
}

/* Encodes into guarded memory: a struct buf over it that is large enough never to grow. */
static enum error keyring_plain(const struct keystore *keystore, struct secret *memory, struct bytes *ret) {
    TRY(secret_new(KEYSTORE_PLAIN_MAX, memory));
    struct keyring ring;
    keyring_of(keystore, &ring);
    struct buf out = {.p = memory->p, .cap = memory->n};
    keyring_encode(&ring, &out);
    sodium_memzero(&ring, sizeof ring);
    assert(out.p == memory->p && !out.failed);
    *ret = buf_bytes(&out);
    return E_OK;
}

/* The sealing key: Argon2id of the pass-phrase, or zeros for a store that is not sealed. */
static enum error derive(const struct keyhead *head, const char *passphrase, struct secret *ret) {
    AUTO_SECRET key = {0};
    TRY(secret_new(crypto_aead_xchacha20poly1305_ietf_KEYBYTES, &key));
    if (head->method == METHOD_ARGON2ID &&
        crypto_pwhash(key.p, key.n, passphrase, strlen(passphrase), head->salt, head->opslimit, (size_t)head->memlimit,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return E_NO_MEMORY;
    *ret = key;
    key = (struct secret){0};
    return E_OK;
}

static enum error seal(const struct keyhead *head, struct bytes plain, const char *passphrase, struct buf *out) {
    AUTO_SECRET key = {0};
    TRY(derive(head, passphrase, &key));
    AUTO_BUF aad = {0};
    keyhead_encode(head, &aad);
    TRY(buf_error(&aad));
    uint8_t sealed[KEYSTORE_PLAIN_MAX + TAG_SIZE];
    struct keyfile file = {.format = head->format,
                           .method = head->method,
                           .opslimit = head->opslimit,
                           .memlimit = head->memlimit,
                           .sealed = {sealed, plain.n + TAG_SIZE}};
    memcpy(file.salt, head->salt, sizeof file.salt);
    randombytes_buf(file.nonce, sizeof file.nonce);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, plain.p, plain.n, aad.p, aad.n, NULL, file.nonce, key.p);
    keyfile_encode(&file, out);
    return buf_error(out);
}

enum error keystore_create(const char *path, const struct keystore *keystore, const char *passphrase,
                           struct failure *failure) {
    if (access(path, F_OK) == 0) return fail(failure, E_HOME_EXISTS, "%s", path);
    struct keyhead head = {.format = bytes_text(keystore_format), .method = METHOD_NONE};
    if (passphrase) {
        head.method = METHOD_ARGON2ID;
        head.opslimit = crypto_pwhash_OPSLIMIT_MODERATE;
        head.memlimit = crypto_pwhash_MEMLIMIT_MODERATE;
        randombytes_buf(head.salt, sizeof head.salt);
    }
    AUTO_SECRET memory = {0};
    AUTO_BUF file = {0};
    struct bytes plain;
    enum error error = keyring_plain(keystore, &memory, &plain);
    if (error == E_OK) error = seal(&head, plain, passphrase, &file);
    if (error != E_OK) return fail(failure, error, "%s", path);
    return files_write(path, 0600, buf_bytes(&file), failure);
}

/* Decodes the file and holds it against the bounds that the table cannot tell. */
static enum error read_file(const char *path, struct buf *ret_bytes, struct keyfile *ret, struct failure *failure) {
    TRY(files_read(path, KEYSTORE_FILE_MAX, ret_bytes, failure));
    struct keyfile file;
    enum error error = keyfile_decode(buf_bytes(ret_bytes), &file);
    bool good = error == E_OK && bytes_are(file.format, keystore_format) && file.sealed.n >= TAG_SIZE;
    if (good && file.method == METHOD_ARGON2ID)
        good = file.opslimit >= crypto_pwhash_OPSLIMIT_MIN && file.memlimit >= crypto_pwhash_MEMLIMIT_MIN;
    if (!good) return fail(failure, E_CORRUPT, "%s is not a key store of this version", path);
    *ret = file;
    return E_OK;
}

enum error keystore_is_sealed(const char *path, bool *ret, struct failure *failure) {
    AUTO_BUF bytes = {0};
    struct keyfile file;
    TRY(read_file(path, &bytes, &file, failure));
    *ret = file.method != METHOD_NONE;
    return E_OK;
}

static enum error open_sealed(const struct keyfile *file, const char *passphrase, struct secret *memory,
                              struct bytes *ret_plain) {
    struct keyhead head = {
        .format = file->format, .method = file->method, .opslimit = file->opslimit, .memlimit = file->memlimit};
    memcpy(head.salt, file->salt, sizeof head.salt);
    AUTO_SECRET key = {0};
    AUTO_BUF aad = {0};
    TRY(derive(&head, passphrase, &key));
    keyhead_encode(&head, &aad);
    TRY(buf_error(&aad));
    TRY(secret_new(KEYSTORE_PLAIN_MAX, memory));
    unsigned long long n = 0;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(memory->p, &n, NULL, file->sealed.p, file->sealed.n, aad.p, aad.n,
                                                   file->nonce, key.p) != 0)
        return file->method == METHOD_NONE ? E_CORRUPT : E_BAD_PASSPHRASE;
    *ret_plain = bytes_of(memory->p, (size_t)n);
    return E_OK;
}

enum error keystore_open(const char *path, const char *passphrase, struct keystore *ret, struct failure *failure) {
    AUTO_BUF bytes = {0};
    struct keyfile file;
    TRY(read_file(path, &bytes, &file, failure));
    if (file.method == METHOD_ARGON2ID && !passphrase) {
        enum error none = fail(failure, E_BAD_PASSPHRASE, "%s is sealed, and no pass-phrase was given", path);
        fail_hint(failure, "give it at the terminal or with --passphrase-file FILE (- for standard input)");
        return none;
    }
    AUTO_SECRET memory = {0};
    struct bytes plain;
    struct keyring ring;
    struct keystore keys = {0};
    enum error error = open_sealed(&file, passphrase, &memory, &plain);
    if (error == E_OK && keyring_decode(plain, &ring) != E_OK) error = E_CORRUPT;
    if (error == E_OK) error = keyring_take(&ring, &keys);
    if (error != E_OK) {
        keystore_free(&keys);
        return fail(failure, error, "%s", path);
    }
    *ret = keys;
    return E_OK;
}
