/* home_certify.c - what an authority's home signs: posts, their devices, revocations.
 *
 * A request with a post key is of a post's first device, whose statement the post key has signed. One without is of a further
 * device: the authority itself issues it, and takes what it says of the post from the certificate that it made last. */
#include <stdio.h>
#include <time.h>

#include "chain.h"
#include "files.h"
#include "home_files.h"
#include "sign.h"
#include "text.h"

static struct instant now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (struct instant){(uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000};
}

static unsigned functions_by_name(struct bytes post) {
    size_t party = text_party_of(post).n;
    struct bytes desk = bytes_of(post.p + party + 1, post.n - party - 1);
    if (bytes_are(desk, "diplomatic")) return FUNCTION_DIPLOMATIC;
    if (bytes_are(desk, "policy")) return FUNCTION_POLICY;
    if (bytes_are(desk, "technical")) return FUNCTION_TECHNICAL;
    return FUNCTION_DIPLOMATIC | FUNCTION_POLICY | FUNCTION_TECHNICAL;
}

static enum error own_charter(const struct home *authority, struct buf *bytes, struct chain *ret,
                              struct failure *failure) {
    char path[HOME_PATH_SIZE];
    struct dossier dossier;
    if (authority->kind != HOME_AUTHORITY) {
        enum error error = fail(failure, E_NOT_ALLOWED, "%s is a post's home", authority->path);
        fail_hint(failure, "use the authority's home: pouch --home AUTHORITY authority ...");
        return error;
    }
    TRY(files_join(authority->path, "identity", path, sizeof path, failure));
    TRY(files_read(path, HOME_FILE_MAX, bytes, failure));
    enum error error = dossier_decode(buf_bytes(bytes), &dossier);
    if (error == E_OK) error = chain_read(&dossier, ret);
    return error == E_OK ? E_OK : fail(failure, E_CORRUPT, "%s: %s", path, error_text(error));
}

static enum error request_read(const struct home *authority, const char *path, struct buf *bytes, struct dossier *ret,
                               struct chain *ret_chain, struct failure *failure) {
    TRY(files_read(path, HOME_FILE_MAX, bytes, failure));
    enum error error = dossier_decode(buf_bytes(bytes), ret);
    if (error == E_OK) error = chain_read(ret, ret_chain);
    if (error == E_OK && ret->has_post_key != ret->has_revoker) error = E_MISSING_FIELD;
    if (error == E_OK && !ret_chain->device_stamped.p) error = E_MISSING_FIELD;
    if (error == E_OK && !text_is_post(ret->post)) error = E_BAD_TEXT;
    if (error == E_OK && ret->has_revoker && !sign_key_valid(ret->revoker)) error = E_BAD_KEY;
    if (error == E_OK && !bytes_are(text_party_of(ret->post), authority->post))
        return fail(failure, E_FOREIGN_CERTIFICATE, "%s asks for %.*s, this is the authority of %s", path,
                    (int)ret->post.n, (const char *)ret->post.p, authority->post);
    const uint8_t *issuer = ret->has_post_key ? ret->post_key : ret_chain->device.device;
    if (error == E_OK) error = chain_check_device(ret_chain, ret->post, issuer);
    return error == E_OK ? E_OK : fail(failure, error, "%s", path);
}

/* ---- the certificate ---- */

struct desk {
    unsigned functions; /* 0: as they were, or by the desk's name */
    uint8_t key[KEY_SIZE], revoker[KEY_SIZE];
    bool has_revoker;
};

/* PARTY's file about the post: the certificate made last. */
static enum error certified_path(const struct home *authority, struct bytes post, char *ret, size_t size,
                                 struct failure *failure) {
    char name[POST_MAX + 16];
    (void)snprintf(name, sizeof name, "certified-%.*s", (int)post.n, (const char *)post.p);
    for (char *p = name; *p; p++)
        if (*p == '/') *p = '-';
    return files_join(authority->path, name, ret, size, failure);
}

/* What this home has said of the post before. */
static enum error desk_known(const struct home *authority, struct bytes post, struct desk *desk,
                             struct failure *failure) {
    char path[HOME_PATH_SIZE];
    AUTO_BUF bytes = {0};
    struct dossier dossier;
    struct chain chain;
    TRY(certified_path(authority, post, path, sizeof path, failure));
    if (!files_exists(path)) {
        enum error error =
            fail(failure, E_UNKNOWN_POST, "%.*s was not certified by this home", (int)post.n, (const char *)post.p);
        fail_hint(failure, "certify the request of the post's first device here before that of a further one");
        return error;
    }
    TRY(files_read(path, HOME_FILE_MAX, &bytes, failure));
    enum error error = dossier_decode(buf_bytes(&bytes), &dossier);
    if (error == E_OK) error = chain_read(&dossier, &chain);
    if (error != E_OK || !chain.post_stamped.p) return fail(failure, E_CORRUPT, "%s: %s", path, error_text(error));
    if (desk->functions == 0) desk->functions = (unsigned)chain.post.functions;
    memcpy(desk->key, chain.post.key, KEY_SIZE);
    memcpy(desk->revoker, chain.post.revoker, KEY_SIZE);
    desk->has_revoker = chain.post.has_revoker;
    return E_OK;
}

static enum error desk_of(const struct home *authority, const struct dossier *request, struct desk *desk,
                          struct failure *failure) {
    if (!request->has_post_key) return desk_known(authority, request->post, desk, failure);
    if (desk->functions == 0) desk->functions = functions_by_name(request->post);
    memcpy(desk->key, request->post_key, KEY_SIZE);
    memcpy(desk->revoker, request->revoker, KEY_SIZE);
    desk->has_revoker = true;
    return E_OK;
}

static enum error add_post(const struct home *authority, struct bytes name, const struct desk *desk,
                           struct buf *statements) {
    struct post post = {.post = name, .functions = desk->functions, .created = now(), .has_revoker = desk->has_revoker};
    memcpy(post.key, desk->key, KEY_SIZE);
    memcpy(post.authority, authority->authority, KEY_SIZE);
    memcpy(post.revoker, desk->revoker, KEY_SIZE);
    return chain_sign(LEAF_POST, LABEL_POST, &post_object, &post, &authority->keys.authority, statements, NULL);
}

/* As the post key has signed it; a further device's anew, by the authority. */
static enum error add_device(const struct home *authority, const struct dossier *request, const struct chain *asked,
                             struct buf *statements, uint8_t ret_hash[static HASH_SIZE]) {
    if (request->has_post_key) {
        memcpy(ret_hash, asked->certificate, HASH_SIZE);
        return chain_append(LEAF_DEVICE, asked->device_stamped, statements);
    }
    struct device device = asked->device;
    memcpy(device.issuer, authority->authority, KEY_SIZE);
    return chain_sign(LEAF_DEVICE, LABEL_DEVICE, &device_object, &device, &authority->keys.authority, statements,
                      ret_hash);
}

/* Charter, successions, post, device, countersignature: the order in which they are to be applied. */
static enum error certificate(const struct home *authority, const struct chain *own, const struct dossier *request,
                              const struct chain *asked, const struct desk *desk, struct buf *out) {
    struct countersign countersign = {.created = now()};
    size_t count = 3;
    memcpy(countersign.signer, authority->authority, KEY_SIZE);
    AUTO_BUF statements = {0};
    TRY(chain_append_origin(own, &statements, &count));
    TRY(add_post(authority, request->post, desk, &statements));
    TRY(add_device(authority, request, asked, &statements, countersign.certificate));
    TRY(chain_sign(LEAF_COUNTERSIGN, LABEL_COUNTERSIGN, &countersign_object, &countersign, &authority->keys.authority,
                   &statements, NULL));
    dossier_encode(&(struct dossier){.post = request->post, .statements = list_of(&statements, count)}, out);
    return buf_error(out);
}

/* The home's own copy first: without it no further device could be certified. */
static enum error certificate_write(const struct home *authority, struct bytes post, struct bytes file, const char *out,
                                    struct failure *failure) {
    char path[HOME_PATH_SIZE];
    TRY(certified_path(authority, post, path, sizeof path, failure));
    TRY(files_write(path, 0600, file, failure));
    return files_write(out, 0644, file, failure);
}

enum error home_certify(struct home *authority, const char *request, unsigned functions, const char *out,
                        char ret_post[static POST_MAX + 1], struct failure *failure) {
    AUTO_BUF own_bytes = {0};
    AUTO_BUF asked_bytes = {0};
    AUTO_BUF file = {0};
    struct chain own, asked;
    struct dossier dossier;
    struct desk desk = {.functions = functions};
    if (functions > (FUNCTION_DIPLOMATIC | FUNCTION_POLICY | FUNCTION_TECHNICAL))
        return fail(failure, E_OUT_OF_RANGE, "functions %u", functions);
    TRY(own_charter(authority, &own_bytes, &own, failure));
    TRY(request_read(authority, request, &asked_bytes, &dossier, &asked, failure));
    TRY(desk_of(authority, &dossier, &desk, failure));
    enum error error = certificate(authority, &own, &dossier, &asked, &desk, &file);
    if (error != E_OK) return fail(failure, error, "%s", request);
    TRY(certificate_write(authority, dossier.post, buf_bytes(&file), out, failure));
    memcpy(ret_post, dossier.post.p, dossier.post.n);
    ret_post[dossier.post.n] = '\0';
    return E_OK;
}

enum error home_revoke(struct home *authority, const char *post, const uint8_t *device, unsigned reason,
                       const char *out, struct failure *failure) {
    AUTO_BUF own_bytes = {0};
    struct chain own;
    TRY(own_charter(authority, &own_bytes, &own, failure));
    if (!text_is_post(bytes_text(post))) return fail(failure, E_BAD_TEXT, "%s is no name of a post", post);
    if (!bytes_are(text_party_of(bytes_text(post)), authority->post))
        return fail(failure, E_NOT_ALLOWED, "%s is not a post of %s", post, authority->post);
    struct revocation revocation = {
        .post = bytes_text(post), .has_device = device != NULL, .reason = reason, .created = now()};
    if (device) memcpy(revocation.device, device, KEY_SIZE);
    memcpy(revocation.signer, authority->authority, KEY_SIZE);
    AUTO_BUF statements = {0};
    AUTO_BUF file = {0};
    enum error error = chain_sign(LEAF_REVOCATION, LABEL_REVOCATION, &revocation_object, &revocation,
                                  &authority->keys.authority, &statements, NULL);
    if (error != E_OK) return fail(failure, error, "%s", post);
    dossier_encode(&(struct dossier){.post = bytes_text(post), .statements = list_of(&statements, 1)}, &file);
    if (file.failed) return fail(failure, E_NO_MEMORY, "%s", post);
    return files_write(out, 0644, buf_bytes(&file), failure);
}
