/**
 * What httpd has done before any of its children begins, and programs of the tests
 * must do for themselves: OpenSSL is ready. Where it has no memory to get so, it
 * may never work again in that process.
 */
#ifndef ACME_WARM_H
#define ACME_WARM_H

#include <openssl/ssl.h>

#include "core/cert.h"
#include "core/jws.h"
#include "core/key.h"
#include "engine/seal.h"

static acme_err_t *warm_once(apr_pool_t *pool)
{
    static const unsigned char secret[ACME_SEAL_SECRET] = { 1 };
    const acme_jws_header_t header = { "https://ca.example/", "nonce", NULL };
    apr_array_header_t *idents = apr_array_make(pool, 1, sizeof(void *));
    acme_chain_t made = { NULL, NULL }, *chain;
    const unsigned char *der, *sealed;
    const char *pem, *body;
    acme_ident_t *ident;
    apr_size_t len;
    EVP_PKEY *key;

    SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
    ACME_TRY(acme_ident_parse(&ident, "a.example", pool));
    APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    ACME_TRY(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    ACME_TRY(acme_key_to_pem(&pem, key, pool));
    ACME_TRY(acme_key_from_pem(&key, pem, strlen(pem), pool));
    ACME_TRY(acme_key_to_der(&der, &len, key, pool));
    ACME_TRY(acme_seal(&sealed, &len, secret, "warm", der, len, pool));
    ACME_TRY(acme_unseal(&der, &len, secret, "warm", sealed, len, pool));
    ACME_TRY(acme_key_from_der(&key, der, len, pool));
    ACME_TRY(
        acme_cert_placeholder(&made.leaf, key, idents, apr_time_now(), pool));
    ACME_TRY(acme_chain_to_pem(&pem, &made, pool));
    ACME_TRY(acme_chain_parse(&chain, pem, strlen(pem), pool));
    ACME_TRY(acme_chain_verify(chain, key, NULL, apr_time_now(), pool));
    return acme_jws_sign(&body, key, &header, "{}", pool);
}

/* @return 0: not ready */
static int warm_up(apr_pool_t *parent)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, parent);
    int ready = warm_once(pool) == NULL;
    apr_pool_destroy(pool);
    return ready;
}

#endif
