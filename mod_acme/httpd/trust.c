#include "httpd/trust.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <http_core.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "httpd/log.h"

static int has_certificate(const char *path)
{
    BIO *bio = BIO_new_file(path, "r");
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    int found = cert != NULL;

    X509_free(cert);
    BIO_free(bio);
    ERR_clear_error();
    return found;
}

/* NULL, or why it is of no use. The first certificate tells: trust stores are
 * long. */
static const char *why_useless(const char *path, apr_pool_t *pool)
{
    char reason[128];
    apr_finfo_t info;
    apr_file_t *file;
    apr_status_t rv = apr_stat(&info, path, APR_FINFO_TYPE, pool);

    /* nor is a FIFO waited for */
    if (rv == APR_SUCCESS && info.filetype == APR_REG) {
        rv = apr_file_open(&file, path, APR_READ, 0, pool);
        if (rv == APR_SUCCESS) {
            apr_file_close(file);
        }
    }
    if (rv != APR_SUCCESS) {
        return apr_psprintf(pool, "cannot read %s: %s", path,
                            apr_strerror(rv, reason, sizeof(reason)));
    }
    if (info.filetype != APR_REG || !has_certificate(path)) {
        return apr_psprintf(pool,
                            "%s holds no certificate; a file of PEM "
                            "certificates is needed",
                            path);
    }
    return NULL;
}

const char *acme_trust_add(const char **path, const char *name, cmd_parms *cmd)
{
    acme_global_config_t *global = acme_config_global();
    acme_trust_t *trust;

    *path = ap_server_root_relative(cmd->pool, name);
    if (!*path) {
        return apr_psprintf(cmd->pool, "\"%s\" is not a path", name);
    }
    if (apr_hash_get(global->trusts, *path, APR_HASH_KEY_STRING)) {
        return NULL;
    }
    trust = apr_pcalloc(cmd->pool, sizeof(*trust));
    trust->path = *path;
    trust->directive = cmd->directive->directive;
    trust->where.file = cmd->directive->filename;
    trust->where.line = cmd->directive->line_num;
    apr_hash_set(global->trusts, trust->path, APR_HASH_KEY_STRING, trust);
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
               ? why_useless(*path, cmd->pool)
               : NULL;
}

void acme_trust_tell(server_rec *s, apr_pool_t *scratch)
{
    apr_hash_index_t *at =
        apr_hash_first(scratch, acme_config_global()->trusts);
    apr_pool_t *pool;

    apr_pool_create(&pool, scratch);
    for (; at; at = apr_hash_next(at)) {
        const acme_trust_t *trust = apr_hash_this_val(at);
        const char *why = why_useless(trust->path, pool);

        if (why) {
            acme_log_msg(
                s, pool, ACME_W_TRUST_FILE, trust->directive,
                acme_where_text(trust->where.file, trust->where.line, pool),
                why, NULL);
        }
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
}
