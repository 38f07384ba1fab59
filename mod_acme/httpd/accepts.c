#include "httpd/accepts.h"

#include <string.h>

#include <apr_strings.h>
#include <http_config.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <util_cfgtree.h>

/* The last SSLCipherSuite but those of TLS 1.3: it may set the security level.
 * @return found, if there is none */
static const char *find_suite(const char *found, const ap_directive_t *node,
                              apr_pool_t *pool)
{
    for (; node; node = node->next) {
        const char *args = node->args;

        if (!strcasecmp(node->directive, "SSLCipherSuite") && args) {
            const char *first = ap_getword_conf(pool, &args);

            if (!*args) {
                found = first;
            }
            else if (!strcmp(first, "SSL")) {
                found = ap_getword_conf(pool, &args);
            }
        }
    }
    return found;
}

static const char *suite_of(const server_rec *host, apr_pool_t *pool)
{
    const char *found = find_suite(NULL, ap_conftree, pool);
    const ap_directive_t *node;

    for (node = ap_conftree; node; node = node->next) {
        if (host->is_virtual && node->filename == host->defn_name
            && node->line_num == (int)host->defn_line_number) {
            found = find_suite(found, node->first_child, pool);
        }
    }
    return found;
}

const char *acme_accepts(void *host, const acme_set_t *set, apr_pool_t *pool)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    const char *suite = suite_of(host, pool), *why = NULL;

    /* One that OpenSSL does not know ends the server anyway. */
    if (ctx && suite) {
        SSL_CTX_set_cipher_list(ctx, suite);
    }
    ERR_clear_error();
    if (ctx
        && SSL_CTX_use_cert_and_key(ctx, set->chain->leaf, set->key,
                                    set->chain->issuers, 1)
               != 1) {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        why = apr_pstrcat(pool, "OpenSSL does not take it: ",
                          reason ? reason : "it does not say why", NULL);
    }
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return why;
}
