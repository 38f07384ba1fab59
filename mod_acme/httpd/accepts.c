#include "httpd/accepts.h"

#include <string.h>

#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <util_cfgtree.h>

/* What the configuration says of a host. */
typedef struct said_t {
    const char
        *suite; /* the last SSLCipherSuite but those of TLS 1.3: it may set the
                          security level; NULL: there is none */
    const char *engine; /* SSLEngine, or NULL */
    int own;            /* it has SSLCertificateFile */
} said_t;

static void read_suite(said_t *said, const char *args, apr_pool_t *pool)
{
    const char *first = ap_getword_conf(pool, &args);

    if (!*args) {
        said->suite = first;
    }
    else if (!strcmp(first, "SSL")) {
        said->suite = ap_getword_conf(pool, &args);
    }
}

static void read_section(said_t *said, const ap_directive_t *node,
                         apr_pool_t *pool)
{
    for (; node; node = node->next) {
        const char *args = node->args ? node->args : "";

        if (strncasecmp(node->directive, "SSL", 3) != 0) {
            continue;
        }
        if (!strcasecmp(node->directive, "SSLCipherSuite") && *args) {
            read_suite(said, args, pool);
        }
        else if (!strcasecmp(node->directive, "SSLEngine")) {
            said->engine = ap_getword_conf(pool, &args);
        }
        else if (!strcasecmp(node->directive, "SSLCertificateFile")) {
            said->own = 1;
        }
    }
}

static said_t read_host(const server_rec *host, apr_pool_t *pool)
{
    const ap_directive_t *node;
    said_t said = { 0 };

    read_section(&said, ap_conftree, pool);
    for (node = ap_conftree; node; node = node->next) {
        if (host->is_virtual && node->filename == host->defn_name
            && node->line_num == (int)host->defn_line_number) {
            read_section(&said, node->first_child, pool);
        }
    }
    return said;
}

/* Whether mod_ssl will ask for its files, too. */
static int will_show(const said_t *said, server_rec *host)
{
    const char *protocol;

    if (said->own) {
        return 0;
    }
    if (said->engine) {
        return strcasecmp(said->engine, "off") != 0;
    }
    protocol = ap_get_server_protocol(host);
    return protocol && !strcmp(protocol, "https");
}

/* @return NULL, or why not */
static const char *try_suite(const char *suite, const acme_set_t *set,
                             apr_pool_t *pool)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    const char *why = NULL;

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

const char *acme_accepts(void *baton, const acme_set_t *set, apr_pool_t *pool)
{
    const acme_accepts_t *accepts = baton;
    const char *why = NULL;
    int i;

    for (i = 0; i < accepts->hosts->nelts && !why; i++) {
        server_rec *host = APR_ARRAY_IDX(accepts->hosts, i, server_rec *);
        said_t said = read_host(host, pool);

        if (host == accepts->host || will_show(&said, host)) {
            why = try_suite(said.suite, set, pool);
        }
    }
    return why;
}
