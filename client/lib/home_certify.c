/* home_certify.c - what an authority's home signs: posts, their devices, revocations. */
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
    if (error == E_OK && (!ret->has_post_key || !ret->has_revoker)) error = E_MISSING_FIELD;
    if (error == E_OK && !text_is_post(ret->post)) error = E_BAD_TEXT;
    if (error == E_OK && !sign_key_valid(ret->revoker)) error = E_BAD_KEY;
    if (error == E_OK && !bytes_are(text_party_of(ret->post), authority->post))
        return fail(failure, E_FOREIGN_CERTIFICATE, "%s asks for %.*s, this is the authority of %s", path,
                    (int)ret->post.n, (const char *)ret->post.p, authority->post);
    if (error == E_OK) error = chain_check_device(ret_chain, ret->post, ret->post_key);
    return error == E_OK ? E_OK : fail(failure, error, "%s", path);
}

/* Charter, post, device, countersignature: the order in which they are to be applied. */
static enum error certificate(const struct home *authority, const struct chain *own, const struct dossier *request,
                              const struct chain *asked, unsigned functions, struct buf *out) {
    const struct secret *key = &authority->keys.authority;
    struct post post = {.post = request->post, .functions = functions, .created = now(), .has_revoker = true};
    struct countersign countersign = {.created = post.created};
    memcpy(post.key, request->post_key, KEY_SIZE);
    memcpy(post.authority, authority->authority, KEY_SIZE);
    memcpy(post.revoker, request->revoker, KEY_SIZE);
    memcpy(countersign.certificate, asked->certificate, HASH_SIZE);
    memcpy(countersign.signer, authority->authority, KEY_SIZE);
    AUTO_BUF statements = {0};
    TRY(chain_append(LEAF_CHARTER, own->charter_stamped, &statements));
    TRY(chain_sign(LEAF_POST, LABEL_POST, &post_object, &post, key, &statements, NULL));
    TRY(chain_append(LEAF_DEVICE, asked->device_stamped, &statements));
    TRY(chain_sign(LEAF_COUNTERSIGN, LABEL_COUNTERSIGN, &countersign_object, &countersign, key, &statements, NULL));
    dossier_encode(&(struct dossier){.post = request->post, .statements = list_of(&statements, 4)}, out);
    return buf_error(out);
}

enum error home_certify(struct home *authority, const char *request, unsigned functions, const char *out,
                        char ret_post[static POST_MAX + 1], struct failure *failure) {
    AUTO_BUF own_bytes = {0};
    AUTO_BUF asked_bytes = {0};
    AUTO_BUF file = {0};
    struct chain own, asked;
    struct dossier dossier;
    TRY(own_charter(authority, &own_bytes, &own, failure));
    TRY(request_read(authority, request, &asked_bytes, &dossier, &asked, failure));
    if (functions == 0) functions = functions_by_name(dossier.post);
    if (functions > (FUNCTION_DIPLOMATIC | FUNCTION_POLICY | FUNCTION_TECHNICAL))
        return fail(failure, E_OUT_OF_RANGE, "functions %u", functions);
    enum error error = certificate(authority, &own, &dossier, &asked, functions, &file);
    if (error != E_OK) return fail(failure, error, "%s", request);
    TRY(files_write(out, 0644, buf_bytes(&file), failure));
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
