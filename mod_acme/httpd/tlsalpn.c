#include "httpd/tlsalpn.h"

#include <string.h>

#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <openssl/err.h>

#include "core/cert.h"
#include "core/encode.h"
#include "httpd/config.h"
#include "httpd/hits.h"
#include "httpd/live.h"
#include "httpd/log.h"
#include "httpd/tls.h"

extern module AP_MODULE_DECLARE_DATA acme_module;

#define PROTOCOL ACME_TLSALPN_PROTOCOL

/* What we know of a connection of TLS. ssl is good while hands are shaken. */
typedef struct handshake_t {
    SSL *ssl;
    server_rec *server; /* the host that SNI leads to; NULL: not proposed */
    int chosen;
} handshake_t;

static handshake_t *handshake_of(const conn_rec *c)
{
    return ap_get_module_config(c->conn_config, &acme_module);
}

void acme_tlsalpn_allow(server_rec *s, apr_pool_t *pconf)
{
    core_server_config *core = ap_get_core_module_config(s->module_config);
    apr_array_header_t *protocols;

    if (ap_array_str_contains(core->protocols, PROTOCOL)) {
        return;
    }
    /* a copy: hosts that have no list of their own share the main server's */
    protocols = apr_array_copy(pconf, core->protocols);
    if (!protocols->nelts) {
        APR_ARRAY_PUSH(protocols, const char *) = AP_PROTOCOL_HTTP1;
    }
    /* last: what comes before the present protocol is advertised (Upgrade) */
    APR_ARRAY_PUSH(protocols, const char *) = PROTOCOL;
    core->protocols = protocols;
}

int acme_tlsalpn_pre_handshake(conn_rec *c, SSL *ssl, int is_proxy)
{
    if (!is_proxy && acme_live_table()) {
        handshake_t *handshake = apr_pcalloc(c->pool, sizeof(*handshake));

        handshake->ssl = ssl;
        ap_set_module_config(c->conn_config, &acme_module, handshake);
    }
    return OK;
}

static const char *server_name_of(const handshake_t *handshake)
{
    return SSL_get_servername(handshake->ssl, TLSEXT_NAMETYPE_host_name);
}

/* The challenge that is published for the name in this handshake. */
static int find(acme_live_found_t *found, const handshake_t *handshake)
{
    const acme_live_table_t *table = acme_live_table();
    const char *name = server_name_of(handshake);

    return table && name && acme_live_lookup_handshake(found, table, name);
}

/* RFC 8737 section 4: offered alone, in TLS 1.2 or newer. Who offers more wants
 * something else. */
int acme_tlsalpn_propose(conn_rec *c, request_rec *r, server_rec *s,
                         const apr_array_header_t *offers,
                         apr_array_header_t *proposals)
{
    handshake_t *handshake = handshake_of(c);
    acme_live_found_t found;

    int known;

    if (!handshake || r || !offers || offers->nelts != 1
        || strcmp(APR_ARRAY_IDX(offers, 0, const char *), PROTOCOL)) {
        return DECLINED;
    }
    known = find(&found, handshake);
    if (!known || SSL_version(handshake->ssl) < TLS1_2_VERSION) {
        acme_hits_handshake(c, s, server_name_of(handshake), known, 0);
        return DECLINED;
    }
    handshake->server = s;
    APR_ARRAY_PUSH(proposals, const char *) = PROTOCOL;
    return OK;
}

int acme_tlsalpn_switch(conn_rec *c, request_rec *r, server_rec *s,
                        const char *protocol)
{
    handshake_t *handshake = handshake_of(c);

    (void)s;
    if (!handshake || !handshake->server || r || strcmp(protocol, PROTOCOL)) {
        return DECLINED;
    }
    handshake->chosen = 1;
    return OK;
}

const char *acme_tlsalpn_get(const conn_rec *c)
{
    const handshake_t *handshake = handshake_of(c);

    return handshake && handshake->chosen ? PROTOCOL : NULL;
}

/* The key of the host itself: it fits what was agreed on so far. TLS 1.2 has
 * chosen cipher, and with it the kind of key, when ALPN has its turn; TLS 1.3
 * asks the host for its newest key only later, and chooses from what it finds. */
static EVP_PKEY *find_key(const handshake_t *handshake)
{
    acme_live_t *live = acme_config_of(handshake->server)->live;
    SSL *ssl = handshake->ssl;
    EVP_PKEY *found = NULL;
    long more;

    if (SSL_version(ssl) < TLS1_3_VERSION) {
        return SSL_set_current_cert(ssl, SSL_CERT_SET_SERVER) == 1
                   ? SSL_get_privatekey(ssl)
                   : NULL;
    }
    if (live) {
        acme_tls_choose(ssl, live);
    }
    for (more = SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST); more;
         more = SSL_set_current_cert(ssl, SSL_CERT_SET_NEXT)) {
        EVP_PKEY *key = SSL_get_privatekey(ssl);

        if (key && (!found || EVP_PKEY_is_a(key, "EC"))) {
            found = key;
        }
    }
    return found;
}

static apr_status_t release_key(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

static acme_err_t *make(X509 **cert, EVP_PKEY **key,
                        const handshake_t *handshake,
                        const acme_live_found_t *found, apr_pool_t *pool)
{
    acme_ident_t ident = { found->ident_type, found->name };
    unsigned char digest[ACME_ALPN_DIGEST];
    EVP_PKEY *own = find_key(handshake);

    if (!own) {
        return acme_err_ssl(pool, ACME_E_ALPN_KEY, found->name, NULL);
    }
    acme_sha256(digest, found->key_authorization,
                strlen(found->key_authorization));
    ACME_TRY(
        acme_cert_challenge(cert, own, &ident, digest, apr_time_now(), pool));
    EVP_PKEY_up_ref(own);
    apr_pool_cleanup_register(pool, own, release_key, apr_pool_cleanup_null);
    *key = own;
    return NULL;
}

/* Nobody who shook hands as a CA does may resume that session as a visitor: he
 * was not asked for a client certificate. */
static void keep_apart(SSL *ssl)
{
    static const unsigned char context[] = PROTOCOL;
    SSL_SESSION *session = SSL_get_session(ssl);

    SSL_set_num_tickets(ssl, 0);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_session_id_context(ssl, context, sizeof(context));
    if (session) {
        SSL_SESSION_set1_id_context(session, context, sizeof(context));
    }
}

int acme_tlsalpn_answer(conn_rec *c, const char *server_name, X509 **cert,
                        EVP_PKEY **key)
{
    handshake_t *handshake = handshake_of(c);
    acme_live_found_t found;
    acme_err_t *err;

    (void)server_name;
    if (!handshake || !handshake->chosen || !find(&found, handshake)) {
        return DECLINED;
    }
    err = make(cert, key, handshake, &found, c->pool);
    acme_hits_handshake(c, handshake->server, server_name_of(handshake), 1,
                        !err);
    if (err) {
        acme_log_err(c->base_server, found.name, err, c->pool);
        ERR_clear_error();
        return DECLINED;
    }
    keep_apart(handshake->ssl);
    /* so that no certificate of another kind is preferred to it */
    SSL_certs_clear(handshake->ssl);
    acme_log_msg(c->base_server, c->pool, ACME_I_ALPN_ANSWERED, found.name,
                 c->client_ip, NULL);
    return OK;
}

int acme_tlsalpn_close(conn_rec *c)
{
    const handshake_t *handshake = handshake_of(c);

    if (!handshake || !handshake->chosen) {
        return DECLINED;
    }
    c->keepalive = AP_CONN_CLOSE;
    if (c->cs) {
        c->cs->state = CONN_STATE_LINGER;
    }
    return OK;
}
