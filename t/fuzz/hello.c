/* The first octets of a visitor's handshake, and whether it is answered as a CA's
 * is (tls-alpn-01). The input is what OpenSSL reads: TLS records. */
#include "fuzz.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/cert.h"
#include "httpd.h"
#include "httpd/hits.h"
#include "httpd/tlsalpn.h"

#define PROTOCOL ACME_TLSALPN_PROTOCOL

static SSL_CTX *context;

static apr_array_header_t *offers_of(const unsigned char *list,
                                     unsigned int len, apr_pool_t *pool)
{
    apr_array_header_t *offers = apr_array_make(pool, 4, sizeof(char *));
    unsigned int at = 0;

    while (at < len) {
        unsigned int one = list[at++];

        FUZZ_MUST(one && at + one <= len); /* OpenSSL has looked */
        APR_ARRAY_PUSH(offers, const char *) =
            apr_pstrmemdup(pool, (const char *)list + at, one);
        at += one;
    }
    return offers;
}

static int is_cas(const apr_array_header_t *offers, const char *name)
{
    return offers->nelts == 1
           && !strcmp(APR_ARRAY_IDX(offers, 0, const char *), PROTOCOL) && name
           && !strcasecmp(name, fuzz_shop.value);
}

/* @return whether it was answered as to a CA */
static int answer(conn_rec *c, SSL *ssl, const char *name)
{
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;

    if (acme_tlsalpn_answer(c, name, &cert, &key) != OK) {
        return 0;
    }
    FUZZ_MUST(X509_check_host(cert, fuzz_shop.value, 0,
                              X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL)
              == 1);
    FUZZ_MUST(SSL_use_certificate(ssl, cert) == 1);
    FUZZ_MUST(SSL_use_PrivateKey(ssl, key) == 1);
    return 1;
}

/* What mod_ssl does when it is asked for a protocol. */
static int choose_protocol(SSL *ssl, const unsigned char **out,
                           unsigned char *out_len, const unsigned char *in,
                           unsigned int in_len, void *unused)
{
    conn_rec *c = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    apr_array_header_t *offers = offers_of(in, in_len, c->pool);
    apr_array_header_t *proposals = apr_array_make(c->pool, 1, sizeof(char *));
    int proposed =
        acme_tlsalpn_propose(c, NULL, c->base_server, offers, proposals) == OK;

    (void)unused;
    FUZZ_MUST(proposed == proposals->nelts);
    FUZZ_MUST(!acme_tlsalpn_get(c));
    if (proposed) {
        FUZZ_MUST(is_cas(offers, name));
        FUZZ_MUST(acme_tlsalpn_switch(c, NULL, c->base_server, PROTOCOL) == OK);
        FUZZ_MUST(acme_tlsalpn_get(c));
    }
    else {
        FUZZ_MUST(!is_cas(offers, name) || SSL_version(ssl) < TLS1_2_VERSION);
    }
    FUZZ_MUST(answer(c, ssl, name) == proposed);
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void set_up(apr_pool_t *pool)
{
    apr_array_header_t *idents = apr_array_make(pool, 1, sizeof(void *));
    X509 *made, *cert;

    APR_ARRAY_PUSH(idents, const acme_ident_t *) = &fuzz_shop;
    FUZZ_MUST(fuzz_ok(
        acme_cert_placeholder(&made, fuzz_key(), idents, apr_time_now(), pool),
        pool));
    cert = X509_dup(made); /* it is complete once it has been read */
    context = SSL_CTX_new(TLS_server_method());
    FUZZ_MUST(context && SSL_CTX_use_certificate(context, cert) == 1
              && SSL_CTX_use_PrivateKey(context, fuzz_key()) == 1);
    X509_free(cert);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

static conn_rec *make_connection(server_rec *server, apr_pool_t *pool)
{
    conn_rec *c = apr_pcalloc(pool, sizeof(*c));

    c->pool = pool;
    c->base_server = server;
    c->client_ip = apr_pstrdup(pool, "192.0.2.1");
    c->conn_config = apr_pcalloc(pool, sizeof(void *));
    return c;
}

void fuzz_hello(const char *data, apr_size_t len, apr_pool_t *pool)
{
    conn_rec *c = make_connection(fuzz_site(), pool);
    BIO *in = BIO_new_mem_buf(data, (int)len), *out = BIO_new(BIO_s_null());
    SSL *ssl;

    if (!context) {
        set_up(pool);
    }
    ssl = SSL_new(context);
    FUZZ_MUST(ssl && in && out);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_app_data(ssl, c);
    FUZZ_MUST(acme_tlsalpn_pre_handshake(c, ssl, 0) == OK);
    FUZZ_MUST(SSL_accept(ssl) <= 0); /* nobody goes on */
    FUZZ_MUST(acme_tlsalpn_close(c) == (acme_tlsalpn_get(c) ? OK : DECLINED));
    SSL_free(ssl);
    ERR_clear_error();
}
