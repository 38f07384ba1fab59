#include "httpd/emergency.h"

#include <stdlib.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "core/cert.h"
#include "core/key.h"

static acme_err_t *write_file(const char *path, const char *text,
                              apr_pool_t *pool)
{
    apr_file_t *file;
    apr_status_t rv;

    rv = apr_file_open(&file, path,
                       APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL,
                       APR_FPROT_UREAD | APR_FPROT_UWRITE, pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_write_full(file, text, strlen(text), NULL);
        apr_file_close(file);
    }
    return rv == APR_SUCCESS
               ? NULL
               : acme_err_os(pool, rv, ACME_E_EMERGENCY, path, NULL);
}

typedef struct files_t {
    const char *dir, *chain, *key;
    apr_pool_t *pool;
} files_t;

static apr_status_t remove_files(void *data)
{
    files_t *files = data;

    apr_file_remove(files->chain, files->pool);
    apr_file_remove(files->key, files->pool);
    apr_dir_remove(files->dir, files->pool);
    return APR_SUCCESS;
}

static acme_err_t *make_files(files_t *files, apr_pool_t *pool)
{
    const char *tmp;
    char *dir;

    if (apr_temp_dir_get(&tmp, pool) != APR_SUCCESS) {
        tmp = "/tmp";
    }
    dir = apr_pstrcat(pool, tmp, "/mod_acme-XXXXXX", NULL);
    if (!mkdtemp(dir)) {
        return acme_err_os(pool, apr_get_os_error(), ACME_E_EMERGENCY, dir,
                           NULL);
    }
    files->pool = pool;
    files->dir = dir;
    files->chain = apr_pstrcat(pool, dir, "/chain.pem", NULL);
    files->key = apr_pstrcat(pool, dir, "/key.pem", NULL);
    apr_pool_cleanup_register(pool, files, remove_files, apr_pool_cleanup_null);
    return NULL;
}

acme_err_t *acme_emergency_placeholder(const char **chain, const char **key,
                                       const apr_array_header_t *idents,
                                       apr_time_t now, apr_pool_t *pool)
{
    files_t *files = apr_pcalloc(pool, sizeof(*files));
    acme_chain_t self = { 0 };
    const char *chain_pem, *key_pem;
    EVP_PKEY *made;

    ACME_TRY(acme_key_make(&made, ACME_KEY_ECDSA_P256, pool));
    ACME_TRY(acme_cert_placeholder(&self.leaf, made, idents, now, pool));
    ACME_TRY(acme_chain_to_pem(&chain_pem, &self, pool));
    ACME_TRY(acme_key_to_pem(&key_pem, made, pool));
    ACME_TRY(make_files(files, pool));
    ACME_TRY(write_file(files->chain, chain_pem, pool));
    ACME_TRY(write_file(files->key, key_pem, pool));
    *chain = files->chain;
    *key = files->key;
    return NULL;
}
