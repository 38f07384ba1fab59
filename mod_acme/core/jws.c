#include "core/jws.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>

#include "core/encode.h"
#include "core/key.h"

#define MAX_COORDINATE 48   /* octets, P-384 */
#define MAX_RSA        2048 /* octets of a modulus: 16384 bits */
#define MAX_HMAC_TEXT  4096

/* --- JWK ------------------------------------------------------------------- */

/* A public number of the key in base64url: width octets, or as few as it needs
 * if width is 0. NULL if the key has none of this name. */
static const char *number(const EVP_PKEY *key, const char *name, int width,
                          apr_pool_t *pool)
{
    unsigned char bytes[MAX_RSA];
    const char *text = NULL;
    BIGNUM *value = NULL;

    if (EVP_PKEY_get_bn_param(key, name, &value) == 1) {
        int size = width ? width : BN_num_bytes(value);

        if (size <= MAX_RSA && BN_bn2binpad(value, bytes, size) == size) {
            text = acme_encode_base64url(bytes, (apr_size_t)size, pool);
        }
    }
    BN_free(value);
    return text;
}

/* Octets of a coordinate or of half a signature, 0 for keys that are not EC, or of
 * another curve; or where there is no memory to tell the curve. */
static int ec_width(const EVP_PKEY *key)
{
    acme_key_type_t type;

    if (acme_key_type_of(&type, key) != 0
        || acme_key_family(type) != ACME_FAMILY_ECDSA) {
        return 0;
    }
    return type == ACME_KEY_ECDSA_P256 ? 32 : 48;
}

const char *acme_jws_alg(const EVP_PKEY *key)
{
    switch (ec_width(key)) {
    case 32:
        return "ES256";
    case 48:
        return "ES384";
    default:
        return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? "RS256" : NULL;
    }
}

const char *acme_jws_key_type(const char *alg)
{
    return !strcmp(alg, "ES256")   ? acme_key_type_name(ACME_KEY_ECDSA_P256)
           : !strcmp(alg, "ES384") ? acme_key_type_name(ACME_KEY_ECDSA_P384)
           : !strcmp(alg, "RS256") ? acme_key_type_name(ACME_KEY_RSA2048)
                                   : NULL;
}

acme_err_t *acme_jws_jwk(const char **jwk, EVP_PKEY *key, apr_pool_t *pool)
{
    const char *first, *second;
    int width = ec_width(key);

    if (!acme_jws_alg(key)) {
        return acme_err_make(pool, ACME_E_JWS_SIGN,
                             "the account key is of an unknown kind", NULL);
    }
    if (width) {
        first = number(key, OSSL_PKEY_PARAM_EC_PUB_X, width, pool);
        second = number(key, OSSL_PKEY_PARAM_EC_PUB_Y, width, pool);
    }
    else {
        first = number(key, OSSL_PKEY_PARAM_RSA_E, 0, pool);
        second = number(key, OSSL_PKEY_PARAM_RSA_N, 0, pool);
    }
    if (!first || !second) {
        return acme_err_ssl(pool, ACME_E_JWS_SIGN,
                            "the public part of the key is not readable", NULL);
    }
    if (width) {
        *jwk = apr_pstrcat(pool, "{\"crv\":\"", width == 32 ? "P-256" : "P-384",
                           "\",\"kty\":\"EC\",\"x\":\"", first, "\",\"y\":\"",
                           second, "\"}", NULL);
    }
    else {
        *jwk = apr_pstrcat(pool, "{\"e\":\"", first,
                           "\",\"kty\":\"RSA\",\"n\":\"", second, "\"}", NULL);
    }
    return NULL;
}

acme_err_t *acme_jws_thumbprint(const char **thumbprint, EVP_PKEY *key,
                                apr_pool_t *pool)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const char *jwk;

    ACME_TRY(acme_jws_jwk(&jwk, key, pool));
    if (EVP_Digest(jwk, strlen(jwk), digest, NULL, EVP_sha256(), NULL) != 1) {
        return acme_err_ssl(pool, ACME_E_JWS_SIGN, "no SHA-256", NULL);
    }
    *thumbprint = acme_encode_base64url(digest, sizeof(digest), pool);
    return NULL;
}

/* --- building -------------------------------------------------------------- */

/* Takes the reference to object. @return NULL where a value was not UTF-8 */
static const char *encode_json(json_t *object, int complete, apr_pool_t *pool)
{
    const char *text = acme_json_text(object, JSON_COMPACT, pool);

    return complete && text ? acme_encode_base64url(text, strlen(text), pool)
                            : NULL;
}

/* "protected": only what RFC 8555 section 6.2 lists. */
static acme_err_t *protect(const char **encoded, EVP_PKEY *key,
                           const acme_jws_header_t *header, apr_pool_t *pool)
{
    json_t *object = json_object();
    const char *jwk = NULL;
    int failed = 0;

    failed |=
        json_object_set_new(object, "alg", json_string(acme_jws_alg(key)));
    if (header->nonce) {
        failed |=
            json_object_set_new(object, "nonce", json_string(header->nonce));
    }
    failed |= json_object_set_new(object, "url", json_string(header->url));
    if (header->kid) {
        failed |= json_object_set_new(object, "kid", json_string(header->kid));
    }
    else {
        acme_err_t *err = acme_jws_jwk(&jwk, key, pool);

        if (err) {
            json_decref(object);
            return err;
        }
        failed |= acme_json_put_json(object, "jwk", jwk);
    }
    *encoded = encode_json(object, !failed, pool);
    return *encoded
               ? NULL
               : acme_err_make(pool, ACME_E_JWS_SIGN,
                               "a nonce or URL of the CA is not UTF-8", NULL);
}

static const char *flattened(const char *header, const char *payload,
                             const char *signature, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "{\"protected\":\"", header, "\",\"payload\":\"",
                       payload, "\",\"signature\":\"", signature, "\"}", NULL);
}

/* --- signing --------------------------------------------------------------- */

/* DER of an ECDSA signature to r || s, each of width octets. */
static const char *raw_signature(const unsigned char *der, apr_size_t len,
                                 int width, apr_pool_t *pool)
{
    unsigned char raw[2 * MAX_COORDINATE];
    const char *text = NULL;
    const BIGNUM *r, *s;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)len);

    if (signature) {
        ECDSA_SIG_get0(signature, &r, &s);
        if (BN_bn2binpad(r, raw, width) == width
            && BN_bn2binpad(s, raw + width, width) == width) {
            text = acme_encode_base64url(raw, 2 * (apr_size_t)width, pool);
        }
    }
    ECDSA_SIG_free(signature);
    return text;
}

/* Signature of input in base64url, NULL with the reason in OpenSSL's queue. */
static const char *signature_of(const char *input, EVP_PKEY *key,
                                apr_pool_t *pool)
{
    int width = ec_width(key);
    const EVP_MD *digest = width == 48 ? EVP_sha384() : EVP_sha256();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const unsigned char *data = (const unsigned char *)input;
    const char *text = NULL;
    unsigned char *bytes;
    size_t length = 0;

    if (!width == (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)) {
        goto cleanup;
    }
    if (!context || EVP_DigestSignInit(context, NULL, digest, NULL, key) != 1
        || EVP_DigestSign(context, NULL, &length, data, strlen(input)) != 1) {
        goto cleanup;
    }
    bytes = apr_palloc(pool, length);
    if (EVP_DigestSign(context, bytes, &length, data, strlen(input)) != 1) {
        goto cleanup;
    }
    text = width ? raw_signature(bytes, length, width, pool)
                 : acme_encode_base64url(bytes, length, pool);
cleanup:
    EVP_MD_CTX_free(context);
    return text;
}

acme_err_t *acme_jws_sign(const char **body, EVP_PKEY *key,
                          const acme_jws_header_t *header, const char *payload,
                          apr_pool_t *pool)
{
    const char *protected, *encoded, *signature;

    if (!acme_jws_alg(key)) {
        return acme_err_make(pool, ACME_E_JWS_SIGN,
                             "the account key is of an unknown kind", NULL);
    }
    ACME_TRY(protect(&protected, key, header, pool));
    encoded = acme_encode_base64url(payload, strlen(payload), pool);
    signature = signature_of(apr_pstrcat(pool, protected, ".", encoded, NULL),
                             key, pool);
    if (!signature) {
        return acme_err_ssl(pool, ACME_E_JWS_SIGN, "no signature", NULL);
    }
    *body = flattened(protected, encoded, signature, pool);
    return NULL;
}

/* --- external account binding ---------------------------------------------- */

/* CAs hand out base64url and base64, padded or not: all of it to base64url. */
static acme_err_t *decode_hmac(const unsigned char **secret, apr_size_t *len,
                               const char *hmac_text, apr_pool_t *pool)
{
    apr_size_t length = strlen(hmac_text);
    apr_status_t rv;
    char *text, *at;
    int padding;

    if (length > MAX_HMAC_TEXT) {
        return acme_err_make(pool, ACME_E_EAB_KEY, "it is too long", NULL);
    }
    while (length && apr_isspace(hmac_text[length - 1])) {
        length--;
    }
    while (length && apr_isspace(*hmac_text)) {
        hmac_text++;
        length--;
    }
    for (padding = 0; padding < 2 && length && hmac_text[length - 1] == '=';
         padding++) {
        length--;
    }
    text = apr_pstrmemdup(pool, hmac_text, length);
    for (at = text; *at; at++) {
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    }
    rv = acme_decode_base64url(secret, len, text, pool);
    OPENSSL_cleanse(text, length);
    if (rv != APR_SUCCESS || *len == 0) {
        return acme_err_make(pool, ACME_E_EAB_KEY,
                             length ? "it is not base64" : "it is empty", NULL);
    }
    return NULL;
}

acme_err_t *acme_jws_bind(const char **body, const char *kid,
                          const char *hmac_text, const char *url,
                          const char *jwk, apr_pool_t *pool)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len = 0;
    const unsigned char *secret;
    apr_size_t secret_len;
    const char *protected, *payload, *input;
    json_t *header;
    int failed = 0;

    ACME_TRY(decode_hmac(&secret, &secret_len, hmac_text, pool));
    header = json_object();
    failed |= json_object_set_new(header, "alg", json_string("HS256"));
    failed |= json_object_set_new(header, "kid", json_string(kid));
    failed |= json_object_set_new(header, "url", json_string(url));
    protected = encode_json(header, !failed, pool);
    payload = acme_encode_base64url(jwk, strlen(jwk), pool);
    if (protected) {
        input = apr_pstrcat(pool, protected, ".", payload, NULL);
        if (!HMAC(EVP_sha256(), secret, (int)secret_len,
                  (const unsigned char *)input, strlen(input), mac, &mac_len)) {
            mac_len = 0;
        }
    }
    /* The buffer is ours, its const only the decoder's promise to callers. */
    OPENSSL_cleanse((void *)(uintptr_t)secret, secret_len);
    if (!protected) {
        return acme_utf8_valid(kid)
                   ? acme_err_make(pool, ACME_E_MEMORY, "binding an account",
                                   NULL)
                   : acme_err_make(pool, ACME_E_EAB_KEY,
                                   "its key identifier is not UTF-8", NULL);
    }
    if (!mac_len) {
        return acme_err_ssl(pool, ACME_E_JWS_SIGN, "no HMAC", NULL);
    }
    *body = flattened(protected, payload,
                      acme_encode_base64url(mac, mac_len, pool), pool);
    return NULL;
}
