/* store.json: the version of the format, and the secret under which the worker's
 * keys are sealed. */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/encode.h"
#include "engine/store_impl.h"

/* Hold what nobody can read without the secret. */
static const char *const sealed_parts[] = { "accounts", "work", "fresh", "keys",
                                            NULL };

static acme_err_t *io_error(const char *verb, const char *path,
                            apr_pool_t *pool)
{
    return acme_err_os(pool, errno, ACME_E_STORE_IO, verb, path, NULL);
}

static acme_err_t *secret_damaged(const acme_store_t *store, const char *how,
                                  apr_pool_t *pool)
{
    return acme_err_make(
        pool, ACME_E_STORE_DAMAGED,
        acme_fsfile_path(&store->base, ACME_STORE_FILE, pool),
        apr_pstrcat(
            pool, how,
            "; without it the keys in accounts, work, fresh and keys cannot be opened: restore it from a backup, or move those four directories away to begin anew",
            NULL),
        NULL);
}

static acme_err_t *parse_secret(acme_store_t *store, const json_t *object,
                                apr_pool_t *pool)
{
    json_int_t version = json_integer_value(json_object_get(object, "version"));
    const char *text = json_string_value(json_object_get(object, "secret"));
    const unsigned char *secret;
    apr_size_t len;

    if (version > ACME_STORE_VERSION) {
        return acme_err_make(pool, ACME_E_STORE_VERSION, store->base.path,
                             apr_psprintf(pool, "%ld", (long)version),
                             APR_STRINGIFY(ACME_STORE_VERSION), NULL);
    }
    if (version < 1 || !text
        || acme_decode_base64url(&secret, &len, text, pool) != APR_SUCCESS
        || len != ACME_SEAL_SECRET) {
        return secret_damaged(
            store, "it has no version and secret as they should be", pool);
    }
    memcpy(store->secret, secret, ACME_SEAL_SECRET);
    OPENSSL_cleanse((void *)(apr_uintptr_t)secret, len);
    return NULL;
}

static acme_err_t *check_secret_file(const acme_store_t *store,
                                     apr_pool_t *pool)
{
    struct stat st;

    if (fstatat(store->base.fd, ACME_STORE_FILE, &st, AT_SYMLINK_NOFOLLOW)
        != 0) {
        return io_error("examine",
                        acme_fsfile_path(&store->base, ACME_STORE_FILE, pool),
                        pool);
    }
    return acme_store_check_owner(
        &st, store->owner, 077,
        acme_fsfile_path(&store->base, ACME_STORE_FILE, pool), pool);
}

/* @param found  0: there is no store.json */
static acme_err_t *read_secret(int *found, acme_store_t *store,
                               apr_pool_t *pool)
{
    const char *text;
    apr_size_t len;

    ACME_TRY(acme_fsfile_read(&text, &len, &store->base, ACME_STORE_FILE,
                              ACME_FSFILE_ANYONE, pool));
    *found = text != NULL;
    if (!text) {
        return NULL;
    }
    ACME_TRY(check_secret_file(store, pool));
    json_t *object = NULL;
    acme_err_t *err = acme_json_load(&object, text, len, ACME_STORE_FILE, pool);
    if (!err || err->msg != ACME_E_MEMORY) {
        err = parse_secret(store, object, pool);
    }
    json_decref(object);
    OPENSSL_cleanse((void *)(apr_uintptr_t)text, len);
    return err;
}

/* Whether anything is there that was sealed under a secret now lost. */
static acme_err_t *anything_sealed(int *sealed, const acme_store_t *store,
                                   apr_pool_t *pool)
{
    *sealed = 0;
    for (int i = 0; sealed_parts[i] && !*sealed; i++) {
        apr_array_header_t *names;
        ACME_TRY(acme_fsfile_list(&names, &store->base, sealed_parts[i], pool));
        for (int k = 0; names && k < names->nelts; k++) {
            *sealed |= !acme_fsfile_is_temporary(
                APR_ARRAY_IDX(names, k, const char *));
        }
    }
    return NULL;
}

/* In one go with looking once more: httpd and acmectl may start together. */
static acme_err_t *write_secret(acme_store_t *store, apr_pool_t *pool)
{
    unsigned char secret[ACME_SEAL_SECRET];
    int found;

    ACME_TRY(read_secret(&found, store, pool));
    if (found) {
        return NULL;
    }
    if (RAND_bytes(secret, sizeof(secret)) != 1) {
        return acme_err_ssl(pool, ACME_E_SEAL_MAKE, ACME_STORE_FILE, NULL);
    }
    const char *encoded = acme_encode_base64url(secret, sizeof(secret), pool);
    const char *text =
        apr_psprintf(pool, "{\n \"version\": %d,\n \"secret\": \"%s\"\n}\n",
                     ACME_STORE_VERSION, encoded);
    acme_fsfile_entry_t entry = { ACME_STORE_FILE, 0600, text, strlen(text) };
    acme_fsfile_clean(&store->base, pool);
    acme_err_t *err = acme_fsfile_put(&store->base, &entry, pool);
    if (!err) {
        memcpy(store->secret, secret, sizeof(secret));
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse((void *)(apr_uintptr_t)encoded, strlen(encoded));
    OPENSSL_cleanse((void *)(apr_uintptr_t)text, strlen(text));
    return err;
}

acme_err_t *acme_store_settle_secret(acme_store_t *store, int create,
                                     apr_pool_t *pool)
{
    int found, sealed;

    ACME_TRY(read_secret(&found, store, pool));
    if (found) {
        return NULL;
    }
    ACME_TRY(anything_sealed(&sealed, store, pool));
    if (sealed) {
        return secret_damaged(store, "it is missing", pool);
    }
    if (!create) {
        errno = ENOENT;
        return io_error("open",
                        acme_fsfile_path(&store->base, ACME_STORE_FILE, pool),
                        pool);
    }
    /* store.json itself cannot be locked yet; the directory every child can that
     * was forked by an earlier httpd. */
    if (!acme_fsfile_lock(store->base.fd)) {
        return io_error("lock", store->base.path, pool);
    }
    acme_err_t *err = write_secret(store, pool);
    flock(store->base.fd, LOCK_UN);
    return err;
}
