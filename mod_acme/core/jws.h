/**
 * JSON Web Signature as ACME uses it: flattened JSON, one signature, protected
 * header only. RFC 8555 section 6.2, RFC 7515, RFC 7517, RFC 7638.
 */
#ifndef ACME_JWS_H
#define ACME_JWS_H

#include <apr_pools.h>
#include <openssl/evp.h>

#include "core/err.h"

/** Public key as JWK, members sorted, no white space (RFC 7638 section 3): EC
 *  coordinates of fixed width, RSA integers minimal. */
acme_err_t *acme_jws_jwk(const char **jwk, EVP_PKEY *key,
                         apr_pool_t *pool) ACME_MUST_CHECK;

/** base64url SHA-256 of acme_jws_jwk: 43 characters. RFC 7638. */
acme_err_t *acme_jws_thumbprint(const char **thumbprint, EVP_PKEY *key,
                                apr_pool_t *pool) ACME_MUST_CHECK;

/** "ES256", "ES384" or "RS256", by the key; NULL for other keys. Static. */
const char *acme_jws_alg(const EVP_PKEY *key);

/** Name of the account key type that makes such signatures: "ecdsa-p256"; of several
 *  the smallest; NULL: none of ours does. Static. */
const char *acme_jws_key_type(const char *alg);

/** Header fields; url is copied byte for byte. */
typedef struct acme_jws_header_t {
    const char *url;   /* never NULL */
    const char *nonce; /* NULL for an inner JWS (EAB, key change) */
    const char *kid;   /* account URL; NULL: the key's own jwk goes in */
} acme_jws_header_t;

/** Sign. ECDSA signatures are raw r||s of fixed width (RFC 7518 section 3.4).
 *  @param payload  JSON text, "" for POST-as-GET
 *  @return E_JWS_SIGN */
acme_err_t *acme_jws_sign(const char **body, EVP_PKEY *key,
                          const acme_jws_header_t *header, const char *payload,
                          apr_pool_t *pool) ACME_MUST_CHECK;

/** External account binding, RFC 8555 section 7.3.4: HS256 over jwk.
 *  @param hmac_text  base64url or base64 key as the CA handed it out
 *  @return E_EAB_KEY if that does not decode */
acme_err_t *acme_jws_bind(const char **body, const char *kid,
                          const char *hmac_text, const char *url,
                          const char *jwk, apr_pool_t *pool) ACME_MUST_CHECK;

#endif
